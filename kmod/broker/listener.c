// SPDX-License-Identifier: GPL-2.0-only
/*
 * Where the broker and the server meet: who provides listeners, and those that
 * a start was given. What a listener does is the server's business.
 */
#include <linux/slab.h>

#include "base/kunit.h"
#include "broker/broker.h"
#include "broker/listener.h"

static const struct kbr_server_ops *kbr_server_ops;

void kbr_server_register(const struct kbr_server_ops *ops)
{
	kbr_server_ops = ops;
}

const struct kbr_server_ops *kbr_server(void)
{
	return kbr_server_ops;
}
KBR_EXPORT_IF_KUNIT(kbr_server);

int kbr_broker_keep_listeners(struct kbr_broker *broker, const struct kbr_listener_params *params,
			      unsigned int count, struct kbr_refusal *why)
{
	if (!count)
		return 0;
	if (count > KBR_LISTENERS_MAX)
		return kbr_refuse(why, -E2BIG, 0, "a broker has at most %u listeners",
				  KBR_LISTENERS_MAX);
	broker->listeners = kvmalloc_array(count, sizeof(*params), GFP_KERNEL);
	if (!broker->listeners)
		return -ENOMEM;
	memcpy(broker->listeners, params, count * sizeof(*params));
	broker->listeners_count = count;
	return 0;
}

int kbr_broker_add_listeners(struct kbr_broker *broker, struct kbr_refusal *why)
{
	unsigned int i;
	int err = 0;
	u32 id;

	for (i = 0; i < broker->listeners_count && !err; i++)
		err = kbr_server()->listener_add(broker, &broker->listeners[i], &id, why);
	kvfree(broker->listeners);
	broker->listeners = NULL;
	broker->listeners_count = 0;
	return err;
}
