// SPDX-License-Identifier: GPL-2.0-only
/*
 * Produce, versions 3 to 8: one batch a partition, appended in the order of the
 * request. The whole answer is written as the batches are appended; what waits
 * for the disk is corrected in it if it fails later.
 *
 * A request waits for two things. Room below log.unsynced.bytes.max, before a
 * batch is appended: it then holds back the requests behind it, or batches
 * would change places. And its acks, one partition after the other, since the
 * answer leaves with the last of them anyway: requests behind it go on, and
 * share the next sync.
 */
#include <linux/ktime.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "base/error.h"
#include "broker/access.h"
#include "broker/partition.h"
#include "server/request.h"

/* Partitions whose acks are waited for that there is room for at first */
#define KBR_PRODUCE_PENDING	2
/* Late failures that get a sentence: each moves the rest of the answer, which may be long */
#define KBR_PRODUCE_LATE_TEXTS	16

/**
 * struct kbr_produce_pending - one batch that was appended and is not committed yet
 * @topic: a reference
 * @part: its partition
 * @last_offset: as kbr_produce has it
 * @failures: likewise
 * @at: where the partition's error is in the reply
 */
struct kbr_produce_pending {
	struct kbr_topic *topic;
	struct kbr_partition *part;
	s64 last_offset;
	u32 failures;
	size_t at;
};

/**
 * struct kbr_produce_state - a Produce under way
 * @acks: as asked for
 * @refusal: why all of it is refused, 0 if it is not
 * @deadline: when the client wants its answer
 * @topics: topics not yet begun
 * @partitions: partitions of the present topic not yet begun
 * @topic: the present one; a reference, or NULL
 * @topic_err: why it can't be written to
 * @index: partition that is being written
 * @produce: what is written to it
 * @again: @produce was validated and waits for room
 * @failed: a partition was refused
 * @entry: where it waits
 * @pending: appended
 * @pending_done: the first of them whose end is not known
 * @pending_synced: the first of them, given to the syncer
 * @pending_count: entries in use
 * @pending_room: entries
 * @late: partitions that failed after they were answered, with a sentence
 * @moved: bytes by which these sentences have moved what is behind them
 */
struct kbr_produce_state {
	s16 acks;
	int refusal;
	ktime_t deadline;
	s32 topics;
	s32 partitions;
	struct kbr_topic *topic;
	int topic_err;
	s32 index;
	struct kbr_produce produce;
	bool again;
	bool failed;
	struct kbr_waiter_entry entry;
	struct kbr_produce_pending *pending;
	unsigned int pending_done;
	unsigned int pending_synced;
	unsigned int pending_count;
	unsigned int pending_room;
	unsigned int late;
	size_t moved;
};

/**
 * struct kbr_produce_result - what is answered for one partition
 * @err: 0 or a negative errno
 * @record: index of the record that is to blame, -1 none
 * @why: a sentence, or NULL
 */
struct kbr_produce_result {
	int err;
	s32 record;
	const char *why;
};

/* ---- the answer ---- */

/* One partition's part of it. Returns where its error is, for kbr_produce_correct(). */
static size_t kbr_produce_answer(struct kbr_request *req, const struct kbr_produce_state *state,
				 const struct kbr_produce_result *result,
				 struct kbr_partition *part)
{
	const struct kbr_produce *p = &state->produce;
	struct kbr_wire_writer *w = &req->reply;
	bool good = !result->err;
	size_t at;

	kbr_put_s32(w, state->index);
	at = w->len;
	kbr_put_s16(w, kbr_error_to_kafka(result->err));
	kbr_put_s64(w, good ? p->base_offset : -1);
	kbr_put_s64(w, good ? p->log_append_time : -1);
	if (req->header.version >= 5)
		kbr_put_s64(w, good ? kbr_log_start(&part->log) : -1);
	if (req->header.version >= 8) {
		kbr_put_count(w, result->record >= 0);
		if (result->record >= 0) {
			kbr_put_s32(w, result->record);
			kbr_put_string(w, result->why);
		}
		kbr_put_string(w, result->why);
	}
	return at;
}

static const char *kbr_produce_late_text(int err)
{
	switch (err) {
	case -ETIMEDOUT:
		return "it was appended, but is not on disk yet";
	case -ENODEV:
		return "it was appended, but the topic is being deleted";
	default:
		return "it was appended, but could not be written to disk";
	}
}

/* The partition whose error is @at in the answer failed after all. */
static void kbr_produce_correct(struct kbr_request *req, size_t at, int err)
{
	struct kbr_produce_state *state = req->priv;
	const char *why = kbr_produce_late_text(err);
	struct kbr_wire_writer *w = &req->reply;
	size_t len = strlen(why);

	kbr_wire_writer_patch_s16(w, at, kbr_error_to_kafka(err));
	kbr_wire_writer_patch_s64(w, at + 2, -1);
	kbr_wire_writer_patch_s64(w, at + 10, -1);
	if (req->header.version >= 5)
		kbr_wire_writer_patch_s64(w, at + 18, -1);
	if (req->header.version < 8 || state->late == KBR_PRODUCE_LATE_TEXTS)
		return;
	/* Behind an array that is empty: the message, which was null till now. */
	kbr_wire_writer_patch_s16(w, at + 30, len);
	kbr_wire_writer_insert(w, at + 32, why, len);
	state->moved += len;
	state->late++;
}

/* ---- one partition ---- */

/*
 * What Produce asks of a batch beyond what every door does. What the checksum
 * covers is only to blame if that is right; if not, the append says so.
 */
static int kbr_produce_check(const struct kbr_request *req, const struct kbr_produce *p,
			     const char **why)
{
	struct kbr_batch batch;
	const u8 *buf = p->buf;

	*why = "there must be exactly one batch for each partition";
	if (!p->len)
		return -EINVAL;
	if (p->len > offsetof(struct kbr_batch_wire, magic) &&
	    buf[offsetof(struct kbr_batch_wire, magic)] != KBR_BATCH_MAGIC) {
		*why = kbr_batch_fault_text(KBR_FAULT_MAGIC);
		return -EINVAL;
	}
	if (kbr_batch_decode(&batch, p->buf, p->len) || batch.size > p->len)
		return 0;
	if (batch.size < p->len)
		return -EINVAL;
	if (batch.attributes & KBR_BATCH_TRANSACTIONAL) {
		*why = "there are no transactions here";
		return kbr_batch_check_crc(p->buf, batch.size) ? 0 : -EUNATCH;
	}
	if (kbr_batch_codec(&batch) == KBR_CODEC_ZSTD && req->header.version < 7) {
		*why = "zstd needs version 7 of Produce";
		return kbr_batch_check_crc(p->buf, batch.size) ? 0 : -EOPNOTSUPP;
	}
	return 0;
}

/* What is wrong with the records themselves does not get better by sending them again. */
static int kbr_produce_fault_errno(int err, enum kbr_batch_fault fault)
{
	switch (fault) {
	case KBR_FAULT_UNPACK:
	case KBR_FAULT_RECORD:
	case KBR_FAULT_TRAILING:
		return -EINVAL;
	default:
		return err;
	}
}

/* Room for one more batch to wait for, before it is appended. */
static int kbr_produce_reserve(struct kbr_request *req, struct kbr_produce_state *state)
{
	unsigned int room = max_t(unsigned int, 2 * state->pending_room, KBR_PRODUCE_PENDING);
	struct kbr_produce_pending *more;

	if (state->acks != KBR_ACKS_ALL || state->pending_count < state->pending_room)
		return 0;
	more = kvmalloc_array(room, sizeof(*more), GFP_KERNEL);
	if (!more)
		return -ENOMEM;
	if (state->pending_count)
		memcpy(more, state->pending, state->pending_count * sizeof(*more));
	kvfree(state->pending);
	state->pending = more;
	req->pinned += (room - state->pending_room) * sizeof(*more);
	state->pending_room = room;
	return 0;
}

/* Validate and append. -EAGAIN: no room, try again; else the partition is answered. */
static int kbr_produce_partition(struct kbr_request *req, bool expired)
{
	struct kbr_produce_state *state = req->priv;
	struct kbr_produce_result result = { .record = -1 };
	struct kbr_produce *p = &state->produce;
	struct kbr_partition *part = NULL;
	size_t at;

	result.err = state->topic_err;
	if (!result.err) {
		part = state->index < 0 ? NULL : kbr_topic_partition(state->topic, state->index);
		result.err = part ? 0 : -ENOENT;
	}
	if (!result.err && !state->again)
		result.err = kbr_produce_check(req, p, &result.why);
	if (!result.err) {
		result.why = NULL;
		result.err = kbr_produce_reserve(req, state);
	}
	if (!result.err)
		result.err = kbr_partition_produce(part, p);
	if (result.err == -EAGAIN) {
		/* validated: it need not be again */
		state->again = true;
		p->trusted = true;
		if (!expired)
			return -EAGAIN;
		result.err = -ETIMEDOUT;
		result.why = "too much waits for the disk";
	} else if (result.err && p->fault) {
		result.err = kbr_produce_fault_errno(result.err, p->fault);
		result.why = kbr_batch_fault_text(p->fault);
		result.record = p->verdict.record;
	}
	at = kbr_produce_answer(req, state, &result, part);
	if (result.err) {
		state->failed = true;
	} else if (state->acks == KBR_ACKS_ALL) {
		kbr_topic_get(state->topic);
		state->pending[state->pending_count++] = (struct kbr_produce_pending) {
			.topic = state->topic,
			.part = part,
			.last_offset = p->last_offset,
			.failures = p->failures,
			.at = at,
		};
	}
	return 0;
}

/* ---- the request ---- */

/* Have what was appended synced, all of it together. */
static void kbr_produce_sync(struct kbr_produce_state *state)
{
	const struct kbr_produce p = { .acks = KBR_ACKS_ALL };

	for (; state->pending_synced < state->pending_count; state->pending_synced++)
		kbr_partition_request_sync(state->pending[state->pending_synced].part, &p);
}

/* The next topic of the request, and whether it may be written to. */
static void kbr_produce_next_topic(struct kbr_request *req)
{
	struct kbr_produce_state *state = req->priv;
	struct kbr_str name;

	kbr_topic_put(state->topic);
	state->topic = NULL;
	state->topics--;
	name = kbr_get_string(&req->body);
	state->partitions = kbr_get_count(&req->body);
	kbr_put_str(&req->reply, &name);
	kbr_put_count(&req->reply, state->partitions);
	state->topic_err = state->refusal;
	if (!state->topic_err)
		state->topic = kbr_request_topic(req, &name, KBR_MAY_PRODUCE, &state->topic_err);
}

static void kbr_produce_next_partition(struct kbr_request *req)
{
	struct kbr_produce_state *state = req->priv;
	struct kbr_str records;

	state->partitions--;
	state->index = kbr_get_s32(&req->body);
	records = kbr_get_nullable_bytes(&req->body);
	state->again = false;
	state->produce = (struct kbr_produce) {
		.buf = (void *)records.at,
		.len = max(records.len, 0),
		.acks = state->acks,
		.nowait = true,
		.defer_sync = state->acks == KBR_ACKS_ALL,
	};
}

static bool kbr_produce_expired(const struct kbr_produce_state *state)
{
	return ktime_compare(ktime_get(), state->deadline) >= 0;
}

static void kbr_produce_park(struct kbr_request *req)
{
	struct kbr_produce_state *state = req->priv;
	s64 left = ktime_ms_delta(state->deadline, ktime_get());

	kbr_request_park(req, &state->entry, max(left, 0LL) + 1);
}

/* Append all that is left. True when through; false: parked until there is room. */
static bool kbr_produce_append(struct kbr_request *req)
{
	struct kbr_broker *broker = kbr_request_broker(req);
	struct kbr_produce_state *state = req->priv;
	int err;

	while (state->again || state->partitions || state->topics) {
		/* Unpacking takes long: nobody is kept waiting for the end of it. */
		if (kbr_request_is_futile(req))
			break;
		if (!state->again && !state->partitions) {
			kbr_produce_next_topic(req);
			continue;
		}
		if (!state->again)
			kbr_produce_next_partition(req);
		err = kbr_produce_partition(req, kbr_produce_expired(state) && state->again);
		if (err) {
			/* What waits for room must not itself be what fills it. */
			kbr_produce_sync(state);
			kbr_produce_park(req);
			kbr_waiter_add_head(&req->waiter, &broker->unsynced_wait);
			err = kbr_produce_partition(req, kbr_produce_expired(state));
			if (err)
				return false;
			kbr_waiter_drop(&req->waiter);
		}
		state->again = false;
	}
	return true;
}

/* Wait for the acks of one after the other. True when through; false: parked. */
static bool kbr_produce_settle(struct kbr_request *req)
{
	struct kbr_produce_state *state = req->priv;
	bool expired = kbr_produce_expired(state);

	for (; state->pending_done < state->pending_count; state->pending_done++) {
		struct kbr_produce_pending *pending = &state->pending[state->pending_done];
		int fate = kbr_partition_acked(pending->part, pending->last_offset,
					       pending->failures);

		if (!fate && !expired) {
			kbr_produce_park(req);
			kbr_waiter_add_partition(&req->waiter, pending->part,
						 pending->last_offset);
			/* once more: it may have come before it was waited for */
			fate = kbr_partition_acked(pending->part, pending->last_offset,
						   pending->failures);
			if (!fate)
				return false;
			kbr_waiter_drop(&req->waiter);
		}
		if (fate <= 0)
			kbr_produce_correct(req, pending->at + state->moved, fate ?: -ETIMEDOUT);
		kbr_topic_put(pending->topic);
	}
	return true;
}

static enum kbr_request_state kbr_produce_run(struct kbr_request *req)
{
	struct kbr_produce_state *state = req->priv;

	if (!req->settled) {
		if (!kbr_produce_append(req))
			return KBR_REQUEST_PARKED;
		kbr_put_s32(&req->reply, 0);	/* throttle_time_ms */
		kbr_produce_sync(state);
		kbr_request_drop_frame(req);
		req->settled = true;
	}
	if (!kbr_produce_settle(req))
		return KBR_REQUEST_PARKED;
	if (state->acks)
		return KBR_REQUEST_DONE;
	/* The only way to tell a client that asked for no answer. */
	return state->failed ? KBR_REQUEST_CLOSE : KBR_REQUEST_NO_REPLY;
}

static enum kbr_request_state kbr_produce_start(struct kbr_request *req)
{
	struct kbr_produce_state *state = kzalloc(sizeof(*state), GFP_KERNEL);
	struct kbr_str transactional_id;
	s32 timeout_ms;

	if (!state)
		return KBR_REQUEST_CLOSE;
	req->priv = state;
	req->pinned = sizeof(*state);
	transactional_id = kbr_get_nullable_string(&req->body);
	state->acks = kbr_get_s16(&req->body);
	timeout_ms = kbr_get_s32(&req->body);
	state->deadline = ktime_add_ms(req->received, max(timeout_ms, 0));
	if (state->acks != KBR_ACKS_NONE && state->acks != KBR_ACKS_LEADER &&
	    state->acks != KBR_ACKS_ALL)
		state->refusal = -EDOM;
	else if (transactional_id.len >= 0)
		/* Nobody may use a transactional id: fatal to clients, who would retry others. */
		state->refusal = -EKEYREJECTED;
	state->topics = kbr_get_count(&req->body);
	kbr_put_count(&req->reply, state->topics);
	return kbr_produce_run(req);
}

static enum kbr_request_state kbr_produce_resume(struct kbr_request *req, bool expired)
{
	struct kbr_produce_state *state = req->priv;

	kbr_waiter_drop(&req->waiter);
	if (expired)
		state->deadline = 0;
	return kbr_produce_run(req);
}

static void kbr_produce_drop(struct kbr_request *req)
{
	struct kbr_produce_state *state = req->priv;

	if (!state)
		return;
	kbr_waiter_drop(&req->waiter);
	for (; state->pending_done < state->pending_count; state->pending_done++)
		kbr_topic_put(state->pending[state->pending_done].topic);
	kvfree(state->pending);
	kbr_topic_put(state->topic);
	kfree(state);
	req->priv = NULL;
}

const struct kbr_handler kbr_handle_produce = {
	.start = kbr_produce_start,
	.resume = kbr_produce_resume,
	.drop = kbr_produce_drop,
	.lasting = true,
};
