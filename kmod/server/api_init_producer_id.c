// SPDX-License-Identifier: GPL-2.0-only
/*
 * InitProducerId, versions 0 to 4: an id for an idempotent producer. There are
 * no transactions: a transactional id is refused with the error that clients
 * do not retry, that nobody may use it.
 */
#include <linux/slab.h>

#include "base/error.h"
#include "broker/broker.h"
#include "server/request.h"

/* How long a client waits for the disk, ms; it asks again then */
#define KBR_INIT_PRODUCER_ID_MS	10000

static enum kbr_request_state kbr_init_producer_id_answer(struct kbr_request *req, int err, s64 id)
{
	struct kbr_wire_writer *w = &req->reply;

	kbr_put_s32(w, 0);	/* throttle_time_ms */
	kbr_put_s16(w, kbr_error_to_kafka(err));
	kbr_put_s64(w, err ? -1 : id);
	kbr_put_s16(w, err ? -1 : 0);
	kbr_put_tags(w);
	return KBR_REQUEST_DONE;
}

static enum kbr_request_state kbr_init_producer_id_try(struct kbr_request *req, bool expired)
{
	struct kbr_broker *broker = kbr_request_broker(req);
	struct kbr_waiter_entry *entry = req->priv;
	s64 id = -1;
	int err;

	err = kbr_producer_id_take(broker, &id);
	if (err == -EAGAIN && !expired) {
		if (!entry)
			entry = kzalloc(sizeof(*entry), GFP_KERNEL);
		if (!entry)
			return KBR_REQUEST_CLOSE;
		req->priv = entry;
		req->pinned = sizeof(*entry);
		kbr_request_park(req, entry,
				 KBR_INIT_PRODUCER_ID_MS -
				 ktime_ms_delta(ktime_get(), req->received));
		kbr_waiter_add_head(&req->waiter, &broker->producer_ids.wait);
		/* once more: they may have come before they were waited for */
		err = kbr_producer_id_take(broker, &id);
		if (err == -EAGAIN)
			return KBR_REQUEST_PARKED;
		kbr_waiter_drop(&req->waiter);
	}
	return kbr_init_producer_id_answer(req, err == -EAGAIN ? -ETIMEDOUT : err, id);
}

static enum kbr_request_state kbr_init_producer_id_start(struct kbr_request *req)
{
	struct kbr_str transactional_id = kbr_get_nullable_string(&req->body);

	/* What follows concerns transactions alone: a timeout, and an id to be renewed. */
	if (transactional_id.len >= 0)
		return kbr_init_producer_id_answer(req, -EKEYREJECTED, -1);
	return kbr_init_producer_id_try(req, false);
}

static enum kbr_request_state kbr_init_producer_id_resume(struct kbr_request *req, bool expired)
{
	kbr_waiter_drop(&req->waiter);
	return kbr_init_producer_id_try(req, expired);
}

static void kbr_init_producer_id_drop(struct kbr_request *req)
{
	kbr_waiter_drop(&req->waiter);
	kfree(req->priv);
	req->priv = NULL;
}

const struct kbr_handler kbr_handle_init_producer_id = {
	.start = kbr_init_producer_id_start,
	.resume = kbr_init_producer_id_resume,
	.drop = kbr_init_producer_id_drop,
};
