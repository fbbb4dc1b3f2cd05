// SPDX-License-Identifier: GPL-2.0-only
/*
 * The module's state in each network namespace: made with it, marked dead with
 * it. Not responsible for brokers (broker.c), operations (op.c) or the netlink
 * family.
 */
#include <linux/slab.h>
#include <net/net_namespace.h>
#include <net/netns/generic.h>

#include "base/kunit.h"
#include "broker/broker.h"
#include "broker/net.h"
#include "broker/op.h"

static unsigned int kbr_net_id;

/* What the namespace itself holds: one reference, found by kbr_net_of(). */
struct kbr_net_slot {
	struct kbr_net *knet;
};

struct kbr_net *kbr_net_of(const struct net *net)
{
	struct kbr_net_slot *slot = net_generic(net, kbr_net_id);

	return slot->knet;
}

struct kbr_net *kbr_net_create(struct net *net)
{
	struct kbr_net *knet = kzalloc(sizeof(*knet), GFP_KERNEL);

	if (!knet)
		return NULL;
	kref_init(&knet->ref);
	knet->net = net;
	mutex_init(&knet->admin);
	mutex_init(&knet->event_lock);
	kbr_op_net_init(knet);
	return knet;
}
KBR_EXPORT_IF_KUNIT(kbr_net_create);

static void kbr_net_release(struct kref *ref)
{
	struct kbr_net *knet = container_of(ref, struct kbr_net, ref);

	mutex_destroy(&knet->admin);
	mutex_destroy(&knet->event_lock);
	kfree(knet);
}

void kbr_net_get(struct kbr_net *knet)
{
	kref_get(&knet->ref);
}

void kbr_net_put(struct kbr_net *knet)
{
	kref_put(&knet->ref, kbr_net_release);
}

/*
 * Unpublish: no broker starts here again. Mark dead: the broker's readers and
 * writers end. The rest (closing logs) is the broker's own worker's, which
 * holds a reference on @knet; nothing is waited for here but the event under
 * way.
 */
void kbr_net_destroy(struct kbr_net *knet)
{
	kbr_broker_net_exit(knet);
	mutex_lock(&knet->event_lock);
	knet->net = NULL;
	mutex_unlock(&knet->event_lock);
	kbr_op_net_exit(knet);
	kbr_net_put(knet);
}
KBR_EXPORT_IF_KUNIT(kbr_net_destroy);

static int __net_init kbr_net_init(struct net *net)
{
	struct kbr_net_slot *slot = net_generic(net, kbr_net_id);

	slot->knet = kbr_net_create(net);
	return slot->knet ? 0 : -ENOMEM;
}

static void __net_exit kbr_net_exit(struct net *net)
{
	struct kbr_net_slot *slot = net_generic(net, kbr_net_id);

	kbr_net_destroy(slot->knet);
}

static struct pernet_operations kbr_net_ops = {
	.init = kbr_net_init,
	.exit = kbr_net_exit,
	.id = &kbr_net_id,
	.size = sizeof(struct kbr_net_slot),
};

int kbr_net_register(void)
{
	return register_pernet_subsys(&kbr_net_ops);
}

void kbr_net_unregister(void)
{
	unregister_pernet_subsys(&kbr_net_ops);
}
