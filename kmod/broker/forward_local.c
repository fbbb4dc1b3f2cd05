// SPDX-License-Identifier: GPL-2.0-only
/*
 * What was to be forwarded is appended here, since this broker came to lead the
 * partition meanwhile: in order and with its sequences, as its leader before may
 * have had it appended already. One batch at a time: it is only what had piled
 * up.
 */
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "broker/forward_internal.h"
#include "broker/replica.h"

/*
 * Append a copy of it, since what is appended is stamped, and it may yet go to
 * another leader. 0: its acks are to be waited for.
 */
static int kbr_forward_append(struct kbr_forward_stream *stream, struct kbr_forward_sent *sent)
{
	struct kbr_produce p = {
		.buf = kvmalloc(sent->size, GFP_KERNEL),
		.len = sent->size,
		.acks = KBR_ACKS_ALL,
		.nowait = true,
	};
	int err;

	if (!p.buf)
		return -ENOMEM;
	memcpy(p.buf, sent->buf, sent->size);
	err = kbr_partition_produce(stream->part, &p);
	kvfree(p.buf);
	if (err)
		return err;
	sent->base_offset = p.base_offset;
	sent->last_offset = p.last_offset;
	sent->log_append_time = p.log_append_time;
	sent->failures = p.failures;
	return 0;
}

/* Is what was appended committed? 0: not yet, and the work is queued when it may be. */
static int kbr_forward_acked(struct kbr_forward_stream *stream,
			     const struct kbr_forward_sent *sent)
{
	int fate = kbr_partition_acked(stream->part, sent->last_offset, sent->failures);

	if (fate)
		return fate;
	kbr_waiter_add_partition(&stream->waiter, stream->part, sent->last_offset);
	/* once more: it may have come before it was waited for */
	fate = kbr_partition_acked(stream->part, sent->last_offset, sent->failures);
	if (fate)
		kbr_waiter_drop(&stream->waiter);
	return fate;
}

void kbr_forward_local_work(struct work_struct *work)
{
	struct kbr_forward_stream *stream = container_of(to_delayed_work(work),
							 struct kbr_forward_stream, local);
	struct kbr_broker *broker = stream->part->topic->broker;
	struct kbr_forward_route *route = &stream->route;
	struct kbr_forward_sent *sent;
	long retry;
	int fate;

	kbr_waiter_drop(&stream->waiter);
	kbr_waiter_take_news(&stream->waiter);
	for (;;) {
		sent = list_first_entry_or_null(&route->sent, struct kbr_forward_sent, node);
		if (sent) {
			fate = kbr_forward_acked(stream, sent);
			if (!fate)
				return;
			kbr_forward_answer(broker, route, min(fate, 0), sent->base_offset,
					   sent->log_append_time);
		}
		sent = kbr_forward_take(broker, stream, route);
		if (!sent)
			break;
		fate = kbr_forward_append(stream, sent);
		if (fate)
			kbr_forward_answer(broker, route, fate, -1, -1);
		cond_resched();
	}
	retry = kbr_forward_next_retry(broker, route->leader);
	if (retry >= 0)
		queue_delayed_work(broker->work_wq, &stream->local, retry);
}
