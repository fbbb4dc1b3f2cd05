// SPDX-License-Identifier: GPL-2.0-only
/* What handlers share: the topics they are asked for, batches sent from the page cache. */
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "base/kunit.h"
#include "broker/access.h"
#include "broker/topic.h"
#include "server/request.h"

/* Slices that there is room for at first */
#define KBR_REQUEST_SLICES	4

struct kbr_topic *kbr_request_topic(struct kbr_request *req, const struct kbr_str *name,
				    unsigned int what, int *err)
{
	char text[KBR_TOPIC_NAME_MAX + 1];
	struct kbr_topic *topic;
	s64 epoch;

	*err = -ENOENT;
	if (kbr_str_copy(name, text, sizeof(text)))
		return NULL;
	topic = kbr_topic_lookup(kbr_request_broker(req), text);
	/* A broker of the cluster forwards what was written, and reads what is read, there by who may. */
	if (topic && kbr_request_peer(req, &epoch) >= 0 &&
	    (!topic->internal || what == KBR_MAY_CONSUME))
		*err = 0;
	else if (topic)
		*err = kbr_access_check(topic, kbr_request_cred(req), what);
	else if ((what & KBR_MAY_PRODUCE) && !strncmp(text, "__", 2))
		*err = -EROFS;
	if (!*err)
		return topic;
	kbr_topic_put(topic);
	return NULL;
}

int kbr_request_add_slice(struct kbr_request *req, struct kbr_topic *topic,
			  struct kbr_log_slice *slice)
{
	if (req->slices_count == req->slices_room) {
		unsigned int room = max_t(unsigned int, 2 * req->slices_room, KBR_REQUEST_SLICES);
		struct kbr_reply_slice *more = kvmalloc_array(room, sizeof(*more), GFP_KERNEL);

		if (!more) {
			kbr_log_unmap(slice);
			return -ENOMEM;
		}
		memcpy(more, req->slices, req->slices_count * sizeof(*more));
		kvfree(req->slices);
		req->slices = more;
		req->slices_room = room;
	}
	kbr_topic_get(topic);
	req->slices[req->slices_count++] = (struct kbr_reply_slice) {
		.at = req->reply.len,
		.topic = topic,
		.slice = *slice,
	};
	req->slices_bytes += slice->len;
	return 0;
}
KBR_EXPORT_IF_KUNIT(kbr_request_add_slice);

void kbr_request_drop_slices(struct kbr_request *req)
{
	unsigned int i;

	for (i = 0; i < req->slices_count; i++) {
		kbr_log_unmap(&req->slices[i].slice);
		kbr_topic_put(req->slices[i].topic);
	}
	kvfree(req->slices);
	req->slices = NULL;
	req->slices_count = 0;
	req->slices_room = 0;
	req->slices_bytes = 0;
}
KBR_EXPORT_IF_KUNIT(kbr_request_drop_slices);
