// SPDX-License-Identifier: GPL-2.0-only
/*
 * Streams of batches that wait for their leaders; see forward.h. Knows no
 * connections: a route is whoever takes batches and brings answers. What is
 * appended here, since this broker came to lead, is in forward_local.c.
 */
#include <linux/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include "base/kunit.h"
#include "base/limits.h"
#include "broker/forward_internal.h"
#include "broker/replica.h"

/* On their way in one stream: leaders remember so many batches of a producer */
#define KBR_FORWARD_FLIGHT_MAX	5
/* On their way to one leader */
#define KBR_FORWARD_REQUESTS_MAX	32
#define KBR_FORWARD_ROUTE_BYTES	(8u << 20)
/* How soon what was refused is sent again, ms */
#define KBR_FORWARD_RETRY_MS	50
/* How long a leader may take to commit a batch before it says that it has not, ms */
#define KBR_FORWARD_COMMIT_MS	5000
/* A leader may have forgotten the producer of a stream that rested so long, ms */
#define KBR_FORWARD_REST_MS	60000

static struct kbr_broker *kbr_forward_broker(const struct kbr_forward_stream *stream)
{
	return stream->part->topic->broker;
}

/* ---- writes ---- */

struct kbr_forwarded *kbr_forwarded_create(struct kbr_forwarded *account, bool detached)
{
	struct kbr_forwarded *forwarded = kzalloc(sizeof(*forwarded), GFP_KERNEL_ACCOUNT);

	if (!forwarded)
		return NULL;
	refcount_set(&forwarded->ref, 1);
	forwarded->base_offset = -1;
	forwarded->log_append_time = -1;
	forwarded->detached = detached;
	forwarded->account = account;
	if (account)
		kbr_forwarded_get(account);
	return forwarded;
}
KBR_EXPORT_IF_KUNIT(kbr_forwarded_create);

void kbr_forwarded_get(struct kbr_forwarded *forwarded)
{
	refcount_inc(&forwarded->ref);
}
KBR_EXPORT_IF_KUNIT(kbr_forwarded_get);

void kbr_forwarded_put(struct kbr_forwarded *forwarded)
{
	if (!forwarded || !refcount_dec_and_test(&forwarded->ref))
		return;
	kbr_forwarded_put(forwarded->account);
	kfree(forwarded);
}
KBR_EXPORT_IF_KUNIT(kbr_forwarded_put);

int kbr_forwarded_fate(const struct kbr_forwarded *forwarded)
{
	/* pairs with the release in kbr_forwarded_tell(): all else is set then */
	u32 ended = smp_load_acquire(&forwarded->ended);

	if (ended != READ_ONCE(forwarded->taken))
		return 0;
	return READ_ONCE(forwarded->err) ?: 1;
}
KBR_EXPORT_IF_KUNIT(kbr_forwarded_fate);

/* Have @count of its batches ended? */
static bool kbr_forwarded_has_ended(const struct kbr_forwarded *forwarded, u32 count)
{
	/* pairs with the release in kbr_forwarded_tell() */
	return (s32)(smp_load_acquire(&forwarded->ended) - count) >= 0;
}

int kbr_forwarded_wait(struct kbr_partition *part, const struct kbr_forwarded *forwarded)
{
	u32 count = READ_ONCE(forwarded->taken);

	/* It ends by itself: with its deadline, or with the topic. */
	if (wait_event_killable(part->wait, kbr_forwarded_has_ended(forwarded, count)))
		return -EINTR;
	return READ_ONCE(forwarded->err);
}

int kbr_forwarded_take_error(struct kbr_broker *broker, struct kbr_forwarded *forwarded)
{
	struct kbr_forwards *fw = &broker->forwards;
	int err;

	if (!READ_ONCE(forwarded->err))
		return 0;
	spin_lock(&fw->lock);
	err = forwarded->err;
	WRITE_ONCE(forwarded->err, 0);
	spin_unlock(&fw->lock);
	return err;
}
KBR_EXPORT_IF_KUNIT(kbr_forwarded_take_error);

static void kbr_forwarded_tell(struct kbr_forwarded *forwarded, int err)
{
	if (err && !forwarded->err)
		WRITE_ONCE(forwarded->err, err);
	/* pairs with the acquire in kbr_forwarded_fate() */
	smp_store_release(&forwarded->ended, forwarded->ended + 1);
}

/* ---- batches ---- */

/* @dead: those that nobody has any more, to be freed without the lock. */
static void kbr_forward_put_locked(struct kbr_forwards *fw, struct kbr_forward_batch *batch,
				   struct list_head *dead)
{
	struct kbr_broker *broker = kbr_forward_broker(batch->stream);

	lockdep_assert_held(&fw->lock);
	if (--batch->ref)
		return;
	list_add(&batch->node, dead);
	WRITE_ONCE(fw->bytes, fw->bytes - batch->size);
	if (wq_has_sleeper(&broker->unsynced_wait))
		wake_up_all(&broker->unsynced_wait);
}

static void kbr_forward_free_batches(struct list_head *dead)
{
	struct kbr_forward_batch *batch, *next;

	list_for_each_entry_safe(batch, next, dead, node) {
		struct kbr_topic *topic = batch->stream->part->topic;

		kbr_forwarded_put(batch->forwarded);
		kvfree(batch->buf);
		kfree(batch);
		kbr_topic_put(topic);
	}
}

/* It comes back from its way, or its way does not count any more. */
static void kbr_forward_unsend_locked(struct kbr_forward_batch *batch)
{
	if (!batch->sent)
		return;
	batch->sent = NULL;
	batch->stream->in_flight--;
}

/* The end of a batch: its writer is told. */
static void kbr_forward_end_locked(struct kbr_forwards *fw, struct kbr_forward_batch *batch,
				   int err, struct list_head *dead)
{
	struct kbr_forward_stream *stream = batch->stream;
	struct kbr_forwarded *forwarded = batch->forwarded;

	kbr_forward_unsend_locked(batch);
	list_del(&batch->node);
	WRITE_ONCE(stream->queued, stream->queued - 1);
	if (!stream->queued)
		list_del_init(&stream->node);
	if (err)
		fw->counters.failed++;
	else
		fw->counters.batches++;
	if (forwarded->account)
		kbr_forwarded_tell(forwarded->account, forwarded->detached ? err : 0);
	kbr_forwarded_tell(forwarded, err);
	if (wq_has_sleeper(&stream->part->wait))
		kbr_partition_wake(stream->part);
	kbr_forward_put_locked(fw, batch, dead);
}

static void kbr_forward_end_all_locked(struct kbr_forwards *fw, struct kbr_forward_stream *stream,
				       int err, struct list_head *dead)
{
	struct kbr_forward_batch *batch, *next;

	list_for_each_entry_safe(batch, next, &stream->queue, node)
		kbr_forward_end_locked(fw, batch, err, dead);
}

/* All of the stream that is on its way comes back, then it begins again at the head. */
static void kbr_forward_again_locked(struct kbr_forwards *fw, struct kbr_forward_stream *stream,
				     bool at_once)
{
	fw->counters.retries++;
	stream->again = true;
	stream->proven = false;
	if (at_once)
		return;
	stream->waits = true;
	stream->retry_at = jiffies + msecs_to_jiffies(KBR_FORWARD_RETRY_MS);
}

/* ---- what a leader says ---- */

enum kbr_forward_verdict {
	KBR_FORWARD_DONE,
	KBR_FORWARD_SEQUENCE,	/* it expects another sequence */
	KBR_FORWARD_NOT_NOW,	/* nothing was appended; send it again */
	KBR_FORWARD_UNCERTAIN,	/* it may have been appended; send it again */
	KBR_FORWARD_FINAL,	/* nothing was appended, nor will be */
};

static enum kbr_forward_verdict kbr_forward_judge(const struct kbr_forward_batch *batch, int err)
{
	switch (err) {
	case 0:
	case -EALREADY:
		return KBR_FORWARD_DONE;
	case -EILSEQ:
	case -EKEYEXPIRED:
		return batch->own ? KBR_FORWARD_FINAL : KBR_FORWARD_SEQUENCE;
	case -EAGAIN:
	case -ENOMEM:
	case -ENOSPC:
		return KBR_FORWARD_NOT_NOW;
	case -ENOLINK:
		/* One that may be in the log already is only waited for. */
		return batch->uncertain ? KBR_FORWARD_NOT_NOW : KBR_FORWARD_FINAL;
	case -EBADMSG:
	case -EINVAL:
	case -EMSGSIZE:
	case -EFBIG:
	case -ETIME:
	case -EOPNOTSUPP:
	case -EROFS:
	case -EACCES:
		return KBR_FORWARD_FINAL;
	default:
		return KBR_FORWARD_UNCERTAIN;
	}
}

/* Is there none before it whose sequences are ours? */
static bool kbr_forward_is_head(const struct kbr_forward_batch *batch)
{
	const struct kbr_forward_batch *first;

	list_for_each_entry(first, &batch->stream->queue, node)
		if (first == batch || !first->own)
			break;
	return first == batch;
}

/* It is in no log: if it was the last to be numbered, the next takes its place. */
static void kbr_forward_unnumber_locked(const struct kbr_forward_batch *batch)
{
	struct kbr_forward_stream *stream = batch->stream;

	if (!batch->own && !batch->uncertain &&
	    stream->next == (((u32)batch->sequence + batch->records) & S32_MAX))
		stream->next = batch->sequence;
}

static void kbr_forward_answer_locked(struct kbr_forwards *fw, struct kbr_forward_batch *batch,
				      int err, struct list_head *dead)
{
	struct kbr_forward_stream *stream = batch->stream;

	kbr_forward_unsend_locked(batch);
	switch (kbr_forward_judge(batch, err)) {
	case KBR_FORWARD_DONE:
		/* Others behind a failed one must not make it seem well. */
		stream->proven = !stream->again;
		stream->acked = ktime_get();
		kbr_forward_end_locked(fw, batch, 0, dead);
		break;
	case KBR_FORWARD_SEQUENCE:
		if (!kbr_forward_is_head(batch)) {
			/* One before it came back. */
		} else if (batch->uncertain) {
			kbr_forward_end_locked(fw, batch, -ETIMEDOUT, dead);
		} else {
			/* Not in the log: neither it nor, for want of it, one behind it. */
			stream->renumber = true;
		}
		kbr_forward_again_locked(fw, stream, true);
		break;
	case KBR_FORWARD_UNCERTAIN:
		batch->uncertain = true;
		fallthrough;
	case KBR_FORWARD_NOT_NOW:
		kbr_forward_again_locked(fw, stream, false);
		break;
	case KBR_FORWARD_FINAL:
		stream->proven = false;
		kbr_forward_unnumber_locked(batch);
		kbr_forward_end_locked(fw, batch, batch->uncertain ? -ETIMEDOUT : err, dead);
		break;
	}
}

/* Take the oldest off its route. */
static struct kbr_forward_sent *kbr_forward_pop_locked(struct kbr_forward_route *route)
{
	struct kbr_forward_sent *sent;

	sent = list_first_entry_or_null(&route->sent, struct kbr_forward_sent, node);
	if (sent) {
		list_del(&sent->node);
		route->requests--;
		route->bytes -= sent->size;
	}
	return sent;
}

void kbr_forward_answer(struct kbr_broker *broker, struct kbr_forward_route *route, int err,
			s64 base_offset, s64 log_append_time)
{
	struct kbr_forwards *fw = &broker->forwards;
	struct kbr_forward_batch *batch;
	struct kbr_forward_sent *sent;
	LIST_HEAD(dead);

	spin_lock(&fw->lock);
	sent = kbr_forward_pop_locked(route);
	if (sent) {
		batch = sent->batch;
		/* Else it has ended, or it is another leader's business by now. */
		if (batch->sent == sent) {
			if (!err && batch->forwarded->base_offset < 0) {
				batch->forwarded->base_offset = base_offset;
				batch->forwarded->log_append_time = log_append_time;
			}
			kbr_forward_answer_locked(fw, batch, err, &dead);
		}
		kbr_forward_put_locked(fw, batch, &dead);
	}
	spin_unlock(&fw->lock);
	kfree(sent);
	kbr_forward_free_batches(&dead);
}
KBR_EXPORT_IF_KUNIT(kbr_forward_answer);

void kbr_forward_lost(struct kbr_broker *broker, struct kbr_forward_route *route)
{
	struct kbr_forwards *fw = &broker->forwards;
	struct kbr_forward_batch *batch;
	struct kbr_forward_sent *sent;
	LIST_HEAD(dead);

	spin_lock(&fw->lock);
	while ((sent = kbr_forward_pop_locked(route))) {
		batch = sent->batch;
		if (batch->sent == sent) {
			kbr_forward_unsend_locked(batch);
			batch->uncertain = true;
			kbr_forward_again_locked(fw, batch->stream, true);
		}
		kbr_forward_put_locked(fw, batch, &dead);
		kfree(sent);
	}
	spin_unlock(&fw->lock);
	kbr_forward_free_batches(&dead);
}
KBR_EXPORT_IF_KUNIT(kbr_forward_lost);

/* ---- what goes next ---- */

/* None of what is in the queue is in the leader's log: number it anew. */
static void kbr_forward_renumber_locked(struct kbr_forward_stream *stream)
{
	struct kbr_forward_batch *batch;

	stream->renumber = false;
	stream->next = 0;
	if (stream->epoch == S16_MAX)
		stream->producer_id = -1;
	else
		stream->epoch++;
	list_for_each_entry(batch, &stream->queue, node) {
		if (batch->own)
			continue;
		batch->sequenced = false;
		batch->uncertain = false;
	}
}

/* Give it its sequences. -EAGAIN: there is no producer id yet. */
static int kbr_forward_number_locked(struct kbr_forwards *fw, struct kbr_forward_batch *batch)
{
	struct kbr_forward_stream *stream = batch->stream;
	bool fresh = stream->producer_id < 0;
	s64 id = fw->producer_id;
	int err;

	if (fresh && (id < 0 || stream->epoch == S16_MAX)) {
		err = kbr_producer_id_take(kbr_forward_broker(stream), &id);
		if (err)
			return err;
		/* The broker's own, or one for a stream that has used up all epochs of that. */
		if (fw->producer_id < 0)
			fw->producer_id = id;
	}
	if (fresh) {
		stream->producer_id = id;
		stream->epoch = 0;
	}
	batch->sequence = stream->next;
	batch->sequenced = true;
	stream->next = ((u32)stream->next + batch->records) & S32_MAX;
	return 0;
}

/* The next of @stream that may go now, or NULL. */
static struct kbr_forward_batch *kbr_forward_pick_locked(struct kbr_forwards *fw,
							 struct kbr_forward_stream *stream)
{
	unsigned int most = stream->proven ? KBR_FORWARD_FLIGHT_MAX : 1;
	struct kbr_forward_batch *batch;

	if (stream->waits && time_before(jiffies, stream->retry_at))
		return NULL;
	stream->waits = false;
	if (stream->in_flight >= most || (stream->again && stream->in_flight))
		return NULL;
	stream->again = false;
	if (stream->renumber)
		kbr_forward_renumber_locked(stream);
	list_for_each_entry(batch, &stream->queue, node) {
		if (batch->sent)
			continue;
		if (batch->own || batch->sequenced || !kbr_forward_number_locked(fw, batch))
			return batch;
		stream->waits = true;
		stream->retry_at = jiffies + msecs_to_jiffies(KBR_FORWARD_RETRY_MS);
		break;
	}
	return NULL;
}

/* @sent is @batch's way from now on. */
static void kbr_forward_send_locked(struct kbr_forward_batch *batch,
				    struct kbr_forward_route *route, struct kbr_forward_sent *sent)
{
	s64 left = ktime_ms_delta(batch->deadline, ktime_get());

	*sent = (struct kbr_forward_sent) {
		.batch = batch,
		.topic = batch->stream->part->topic,
		.index = batch->stream->part->index,
		.buf = batch->buf,
		.size = batch->size,
		.timeout_ms = clamp_t(s64, left, 1, KBR_FORWARD_COMMIT_MS),
	};
	batch->ref++;
	batch->sent = sent;
	batch->stream->in_flight++;
	list_add_tail(&sent->node, &route->sent);
	route->requests++;
	route->bytes += sent->size;
}

/* Write into the batch what it was numbered with, @id. */
static void kbr_forward_seal(const struct kbr_forward_sent *sent, s64 id, s16 epoch, s32 sequence)
{
	struct kbr_batch header;

	if (WARN_ON_ONCE(kbr_batch_decode(&header, sent->buf, sent->size)))
		return;
	if (header.producer_id == id && header.producer_epoch == epoch &&
	    header.base_sequence == sequence)
		return;
	header.producer_id = id;
	header.producer_epoch = epoch;
	header.base_sequence = sequence;
	kbr_batch_encode_header(&header, sent->buf);
	kbr_batch_seal(sent->buf, sent->size);
}

/* As kbr_forward_take(); @stream NULL: of any that the route leads to. */
static struct kbr_forward_sent *kbr_forward_take_any(struct kbr_broker *broker,
						     struct kbr_forward_stream *stream,
						     struct kbr_forward_route *route)
{
	struct kbr_forward_sent *sent = kzalloc(sizeof(*sent), GFP_KERNEL);
	struct kbr_forwards *fw = &broker->forwards;
	struct kbr_forward_batch *batch = NULL;
	struct kbr_forward_stream *at;
	s32 sequence = -1;
	s16 epoch = -1;
	bool own = true;
	s64 id = -1;

	if (!sent)
		return NULL;
	spin_lock(&fw->lock);
	list_for_each_entry(at, &fw->streams, node) {
		if (at->leader != route->leader || (stream && at != stream))
			continue;
		batch = kbr_forward_pick_locked(fw, at);
		if (batch)
			break;
	}
	if (batch && route->bytes && route->bytes + batch->size > KBR_FORWARD_ROUTE_BYTES)
		batch = NULL;
	if (batch) {
		kbr_forward_send_locked(batch, route, sent);
		own = batch->own;
		id = at->producer_id;
		epoch = at->epoch;
		sequence = batch->sequence;
		/* the others of this leader come first next time */
		list_move_tail(&at->node, &fw->streams);
	}
	spin_unlock(&fw->lock);
	if (!batch) {
		kfree(sent);
		return NULL;
	}
	/* @sent is the route's alone: nobody gives it back meanwhile. */
	if (!own)
		kbr_forward_seal(sent, id, epoch, sequence);
	return sent;
}

struct kbr_forward_sent *kbr_forward_take(struct kbr_broker *broker,
					  struct kbr_forward_stream *stream,
					  struct kbr_forward_route *route)
{
	return kbr_forward_take_any(broker, stream, route);
}

struct kbr_forward_sent *kbr_forward_next(struct kbr_broker *broker,
					  struct kbr_forward_route *route)
{
	if (route->requests >= KBR_FORWARD_REQUESTS_MAX)
		return NULL;
	return kbr_forward_take_any(broker, NULL, route);
}
KBR_EXPORT_IF_KUNIT(kbr_forward_next);

void kbr_forward_route_init(struct kbr_forward_route *route, s32 leader)
{
	*route = (struct kbr_forward_route) { .leader = leader };
	INIT_LIST_HEAD(&route->sent);
}
KBR_EXPORT_IF_KUNIT(kbr_forward_route_init);

bool kbr_forward_waits(struct kbr_broker *broker, s32 leader)
{
	struct kbr_forwards *fw = &broker->forwards;
	struct kbr_forward_stream *stream;
	bool found = false;

	spin_lock(&fw->lock);
	list_for_each_entry(stream, &fw->streams, node) {
		found = stream->leader == leader;
		if (found)
			break;
	}
	spin_unlock(&fw->lock);
	return found;
}
KBR_EXPORT_IF_KUNIT(kbr_forward_waits);

long kbr_forward_next_retry(struct kbr_broker *broker, s32 leader)
{
	struct kbr_forwards *fw = &broker->forwards;
	struct kbr_forward_stream *stream;
	long left, first = -1;

	spin_lock(&fw->lock);
	list_for_each_entry(stream, &fw->streams, node) {
		if (stream->leader != leader || !stream->waits)
			continue;
		left = max_t(long, (long)(stream->retry_at - jiffies), 1);
		if (first < 0 || left < first)
			first = left;
	}
	spin_unlock(&fw->lock);
	return first;
}

/* ---- leaders ---- */

/* Have it sent, or appended here. Without locks. */
static void kbr_forward_kick(struct kbr_forward_stream *stream, s32 leader)
{
	struct kbr_broker *broker = kbr_forward_broker(stream);
	const struct kbr_follow_ops *follow = kbr_follow();

	if (leader == READ_ONCE(broker->id))
		mod_delayed_work(broker->work_wq, &stream->local, 0);
	else if (leader >= 0 && follow && follow->forward)
		follow->forward(broker, leader);
}

static s32 kbr_forward_leader(const struct kbr_partition *part)
{
	struct kbr_replicas *reps = part->replicas;
	s32 leader;

	spin_lock(&reps->lock);
	leader = reps->state.leader;
	spin_unlock(&reps->lock);
	return leader;
}

void kbr_forward_moved(struct kbr_partition *part)
{
	struct kbr_broker *broker = part->topic->broker;
	struct kbr_forwards *fw = &broker->forwards;
	struct kbr_forward_stream *stream;
	struct kbr_forward_batch *batch;
	bool wanted = false;
	s32 leader = -1;

	spin_lock(&fw->lock);
	stream = part->replicas->forward;
	if (stream && !stream->retired) {
		leader = kbr_forward_leader(part);
		wanted = stream->queued;
		stream->leader = leader;
		/* What the old one still answers is not waited for: it may have gone. */
		list_for_each_entry(batch, &stream->queue, node) {
			if (!batch->sent)
				continue;
			kbr_forward_unsend_locked(batch);
			batch->uncertain = true;
			fw->counters.retries++;
		}
		stream->proven = false;
		stream->waits = false;
	}
	spin_unlock(&fw->lock);
	if (wanted)
		kbr_forward_kick(stream, leader);
	/* who waits for a leader */
	wake_up_all(&broker->unsynced_wait);
}
KBR_EXPORT_IF_KUNIT(kbr_forward_moved);

bool kbr_forward_due(const struct kbr_partition *part)
{
	const struct kbr_replicas *reps = part->replicas;
	const struct kbr_forward_stream *stream;

	if (READ_ONCE(reps->role) != KBROKER_REPLICA_ROLE_LEADER)
		return true;
	/* pairs with the release in kbr_forward_stream() */
	stream = smp_load_acquire(&reps->forward);
	return stream && READ_ONCE(stream->queued);
}
KBR_EXPORT_IF_KUNIT(kbr_forward_due);

bool kbr_forward_has_room(const struct kbr_broker *broker)
{
	return READ_ONCE(broker->forwards.bytes) < KBR_FORWARD_BYTES_MAX;
}

/* ---- writing ---- */

/* The stream of @part, made if there was none; NULL on -ENOMEM. */
static struct kbr_forward_stream *kbr_forward_stream(struct kbr_partition *part)
{
	struct kbr_broker *broker = part->topic->broker;
	struct kbr_forwards *fw = &broker->forwards;
	struct kbr_forward_stream *stream, *made;

	/* pairs with the release below: it is set up then */
	stream = smp_load_acquire(&part->replicas->forward);
	if (stream)
		return stream;
	made = kzalloc(sizeof(*made), GFP_KERNEL_ACCOUNT);
	if (!made)
		return NULL;
	INIT_LIST_HEAD(&made->node);
	INIT_LIST_HEAD(&made->queue);
	made->part = part;
	made->producer_id = -1;
	INIT_DELAYED_WORK(&made->local, kbr_forward_local_work);
	kbr_forward_route_init(&made->route, READ_ONCE(broker->id));
	kbr_waiter_init(&made->waiter, broker->work_wq, &made->local.work, &made->entry);
	spin_lock(&fw->lock);
	stream = part->replicas->forward;
	if (!stream) {
		made->leader = kbr_forward_leader(part);
		/* pairs with the acquire above, and in kbr_forward_due() */
		smp_store_release(&part->replicas->forward, made);
		stream = made;
		made = NULL;
	}
	spin_unlock(&fw->lock);
	kfree(made);
	return stream;
}

/* One of the batches of a write, copied. NULL on -ENOMEM. */
static struct kbr_forward_batch *kbr_forward_copy(struct kbr_forward_stream *stream,
						  struct kbr_forwarded *forwarded,
						  const void *buf, const struct kbr_batch *header)
{
	struct kbr_forward_batch *batch = kzalloc(sizeof(*batch), GFP_KERNEL_ACCOUNT);

	if (!batch)
		return NULL;
	batch->buf = kvmalloc(header->size, GFP_KERNEL_ACCOUNT);
	if (!batch->buf) {
		kfree(batch);
		return NULL;
	}
	memcpy(batch->buf, buf, header->size);
	/* It may have been stamped by a log that then did not take it. */
	kbr_batch_stamp(batch->buf, 0, -1);
	batch->ref = 1;
	batch->stream = stream;
	batch->size = header->size;
	batch->records = (u32)header->last_offset_delta + 1;
	batch->own = header->producer_id >= 0;
	batch->forwarded = forwarded;
	kbr_forwarded_get(forwarded);
	kbr_topic_get(stream->part->topic);
	return batch;
}

/* All batches of @p, which were validated, into @batches. */
static int kbr_forward_split(struct kbr_forward_stream *stream, const struct kbr_produce *p,
			     struct kbr_forwarded *forwarded, struct list_head *batches)
{
	struct kbr_forward_batch *batch;
	struct kbr_batch header;
	size_t at;
	int err;

	for (at = 0; at < p->len; at += header.size) {
		err = kbr_batch_decode(&header, p->buf + at, p->len - at);
		if (err)
			return err;
		batch = kbr_forward_copy(stream, forwarded, p->buf + at, &header);
		if (!batch)
			return -ENOMEM;
		list_add_tail(&batch->node, batches);
		forwarded->taken++;
		forwarded->records += batch->records;
	}
	return 0;
}

static void kbr_forward_arm_locked(struct kbr_broker *broker, ktime_t deadline)
{
	struct kbr_forwards *fw = &broker->forwards;
	s64 ms;

	if (!ktime_before(deadline, fw->expiry))
		return;
	fw->expiry = deadline;
	ms = max_t(s64, ktime_ms_delta(deadline, ktime_get()), 0);
	mod_delayed_work(broker->work_wq, &fw->work, msecs_to_jiffies(min_t(s64, ms, INT_MAX)) + 1);
}

/* Take over @batches, all or none; -EAGAIN: not now. */
static int kbr_forward_queue(struct kbr_forward_stream *stream, const struct kbr_produce *p,
			     struct kbr_forwarded *forwarded, struct list_head *batches)
{
	struct kbr_broker *broker = kbr_forward_broker(stream);
	struct kbr_forwards *fw = &broker->forwards;
	struct kbr_forward_batch *batch;
	ktime_t deadline;
	s64 timeout;
	int err = 0;

	timeout = READ_ONCE(stream->part->topic->config.delivery_timeout_ms);
	deadline = ktime_add_ms(ktime_get(), min_t(s64, timeout, INT_MAX));
	spin_lock(&fw->lock);
	if (fw->stopped || stream->retired || kbr_topic_gone(stream->part->topic))
		err = -ENODEV;
	else if (!p->final && (!kbr_forward_has_room(broker) || (!p->nowait && stream->leader < 0)))
		err = -EAGAIN;
	if (err)
		goto out;
	if (!stream->queued) {
		list_add_tail(&stream->node, &fw->streams);
		if (ktime_ms_delta(ktime_get(), stream->acked) > KBR_FORWARD_REST_MS)
			stream->proven = false;
	}
	list_for_each_entry(batch, batches, node) {
		batch->deadline = deadline;
		WRITE_ONCE(fw->bytes, fw->bytes + batch->size);
		WRITE_ONCE(stream->queued, stream->queued + 1);
		if (forwarded->account)
			WRITE_ONCE(forwarded->account->taken, forwarded->account->taken + 1);
	}
	list_splice_tail_init(batches, &stream->queue);
	kbr_forward_arm_locked(broker, deadline);
out:
	spin_unlock(&fw->lock);
	return err;
}

static int kbr_forward_queue_wait(struct kbr_forward_stream *stream, const struct kbr_produce *p,
				  struct kbr_forwarded *forwarded, struct list_head *batches)
{
	s64 timeout = READ_ONCE(stream->part->topic->config.delivery_timeout_ms);
	struct kbr_broker *broker = kbr_forward_broker(stream);
	int err = kbr_forward_queue(stream, p, forwarded, batches);
	long left;

	if (err != -EAGAIN || p->nowait)
		return err;
	left = wait_event_interruptible_timeout(broker->unsynced_wait,
						(err = kbr_forward_queue(stream, p, forwarded,
									 batches)) != -EAGAIN,
						msecs_to_jiffies(min_t(s64, timeout, INT_MAX)));
	if (err != -EAGAIN)
		return err;
	return left < 0 ? -EINTR : -EREMOTE;
}

int kbr_forward_submit(struct kbr_partition *part, struct kbr_produce *p, bool detached,
		       struct kbr_forwarded *account, struct kbr_forwarded **forwarded)
{
	struct kbr_forward_stream *stream;
	struct kbr_forwarded *ours;
	LIST_HEAD(batches);
	int err;

	err = kbr_partition_check(part, p);
	if (err)
		return err;
	stream = kbr_forward_stream(part);
	ours = kbr_forwarded_create(account, detached);
	if (!stream || !ours) {
		kbr_forwarded_put(ours);
		return -ENOMEM;
	}
	err = kbr_forward_split(stream, p, ours, &batches);
	if (!err)
		err = kbr_forward_queue_wait(stream, p, ours, &batches);
	if (err) {
		kbr_forward_free_batches(&batches);
		kbr_forwarded_put(ours);
		return err;
	}
	kbr_forward_kick(stream, READ_ONCE(stream->leader));
	*forwarded = ours;
	return 0;
}
KBR_EXPORT_IF_KUNIT(kbr_forward_submit);

/* ---- the end ---- */

/* Give up what is over its time; tells when the next one is. */
static ktime_t kbr_forward_expire_locked(struct kbr_forwards *fw, ktime_t now,
					 struct list_head *dead)
{
	struct kbr_forward_stream *stream, *next_stream;
	struct kbr_forward_batch *batch, *next;
	ktime_t first = KTIME_MAX;

	list_for_each_entry_safe(stream, next_stream, &fw->streams, node) {
		list_for_each_entry_safe(batch, next, &stream->queue, node) {
			if (ktime_before(now, batch->deadline)) {
				first = min(first, batch->deadline);
				continue;
			}
			stream->proven = false;
			kbr_forward_end_locked(fw, batch, batch->sent || batch->uncertain ?
					       -ETIMEDOUT : -EREMOTE, dead);
		}
	}
	return first;
}

static void kbr_forward_work(struct work_struct *work)
{
	struct kbr_forwards *fw = container_of(to_delayed_work(work), struct kbr_forwards, work);
	struct kbr_broker *broker = container_of(fw, struct kbr_broker, forwards);
	ktime_t next;
	LIST_HEAD(dead);

	spin_lock(&fw->lock);
	fw->expiry = KTIME_MAX;
	next = kbr_forward_expire_locked(fw, ktime_get(), &dead);
	if (next != KTIME_MAX)
		kbr_forward_arm_locked(broker, next);
	spin_unlock(&fw->lock);
	kbr_forward_free_batches(&dead);
}

void kbr_forward_init(struct kbr_broker *broker)
{
	struct kbr_forwards *fw = &broker->forwards;

	spin_lock_init(&fw->lock);
	INIT_LIST_HEAD(&fw->streams);
	fw->producer_id = -1;
	fw->expiry = KTIME_MAX;
	INIT_DELAYED_WORK(&fw->work, kbr_forward_work);
}

void kbr_forward_stop(struct kbr_broker *broker)
{
	struct kbr_forwards *fw = &broker->forwards;
	struct kbr_forward_stream *stream, *next;
	LIST_HEAD(dead);

	spin_lock(&fw->lock);
	fw->stopped = true;
	list_for_each_entry_safe(stream, next, &fw->streams, node)
		kbr_forward_end_all_locked(fw, stream, -ENODEV, &dead);
	spin_unlock(&fw->lock);
	kbr_forward_free_batches(&dead);
	cancel_delayed_work_sync(&fw->work);
	wake_up_all(&broker->unsynced_wait);
}

void kbr_forward_retire(struct kbr_partition *part)
{
	struct kbr_broker *broker = part->topic->broker;
	struct kbr_forwards *fw = &broker->forwards;
	struct kbr_forward_stream *stream;
	LIST_HEAD(dead);

	if (!part->replicas)
		return;
	spin_lock(&fw->lock);
	stream = part->replicas->forward;
	if (stream) {
		stream->retired = true;
		stream->leader = -1;
		kbr_forward_end_all_locked(fw, stream, -ENODEV, &dead);
	}
	spin_unlock(&fw->lock);
	kbr_forward_free_batches(&dead);
	if (!stream)
		return;
	/* Once more: it leaves the wait queue for good, since the topic is gone. */
	mod_delayed_work(broker->work_wq, &stream->local, 0);
	flush_delayed_work(&stream->local);
	/* a wake-up may have come in between */
	cancel_delayed_work_sync(&stream->local);
	kbr_forward_lost(broker, &stream->route);
}

void kbr_forward_free(struct kbr_replicas *reps)
{
	kfree(reps->forward);
	reps->forward = NULL;
}

void kbr_forward_get_counters(struct kbr_broker *broker, struct kbr_forward_counters *counters)
{
	struct kbr_forwards *fw = &broker->forwards;

	spin_lock(&fw->lock);
	*counters = fw->counters;
	spin_unlock(&fw->lock);
}
KBR_EXPORT_IF_KUNIT(kbr_forward_get_counters);
