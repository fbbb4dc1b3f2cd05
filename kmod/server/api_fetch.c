// SPDX-License-Identifier: GPL-2.0-only
/*
 * Fetch, versions 4 to 12: whole batches from many partitions, sent from the
 * page cache. The answer is written partition by partition; if it holds too
 * little it is thrown away again and the request waits until enough may have
 * come, or for its deadline.
 *
 * There are no transactions yet: the last stable offset is the high watermark,
 * and nothing was aborted.
 */
#include <linux/ktime.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "base/clock.h"
#include "base/error.h"
#include "broker/access.h"
#include "broker/cluster.h"
#include "broker/partition.h"
#include "broker/replica.h"
#include "server/fetch_session.h"
#include "server/request.h"

#define KBR_ISOLATION_COMMITTED	1

/* Epochs of a session that are none */
#define KBR_SESSION_EPOCH_NEW	0
#define KBR_SESSION_EPOCH_NONE	(-1)

/**
 * struct kbr_fetch_state - a Fetch under way
 * @committed: read_committed
 * @replica: node.id of the follower that fetches, as it says, -1 a consumer
 * @replica_epoch: its broker epoch, as it has proved
 * @refused: it says to be a replica and has not proved it
 * @err: of the request as a whole
 * @want_session: the client would like to have one
 * @min_bytes: wait for so many
 * @max_bytes: of records in the whole answer
 * @deadline: until when
 * @throttled_ms: a follower's: when there may be something for a partition that
 *	is throttled now, ms from the look at it
 * @rack: a consumer's, if it may be sent to a replica there; or NULL
 * @session: in use, or NULL
 * @own: partitions, if there is no session
 * @parts: those of the session, or @own
 * @entries: where it waits, one a partition
 * @reply_at: where the answer begins, behind the header
 */
struct kbr_fetch_state {
	bool committed;
	bool refused;
	bool want_session;
	s32 replica;
	s64 replica_epoch;
	int err;
	s32 min_bytes;
	s32 max_bytes;
	ktime_t deadline;
	s64 throttled_ms;
	char *rack;
	struct kbr_fetch_session *session;
	struct kbr_fetch_parts own;
	struct kbr_fetch_parts *parts;
	struct kbr_waiter_entry *entries;
	size_t reply_at;
};

/**
 * struct kbr_fetch_answer - the answer as far as it is written
 * @all: partitions without news are in it, too
 * @topics: so many
 * @partitions: of the last topic
 * @session_at: where the session's id is in the reply
 * @topics_at: where the number of topics is in the reply
 * @partitions_at: where the number of partitions is
 * @topic: name of the last topic
 * @left: bytes of records that it may still take
 * @have: bytes that count for min_bytes
 * @now: it has what can't wait
 */
struct kbr_fetch_answer {
	bool all;
	s32 topics;
	s32 partitions;
	size_t session_at;
	size_t topics_at;
	size_t partitions_at;
	const char *topic;
	s64 left;
	s64 have;
	bool now;
};

/* ---- reading ---- */

static bool kbr_fetch_is_replica(const struct kbr_request *req)
{
	const struct kbr_fetch_state *state = req->priv;

	return state->replica >= 0;
}

/* Is it a broker of the cluster that asks, for itself or for its readers? */
static bool kbr_fetch_is_peer(const struct kbr_request *req)
{
	s64 epoch;

	return kbr_fetch_is_replica(req) || kbr_request_peer(req, &epoch) >= 0;
}

/* The partition behind a name, which may have come, or gone and come again. */
static int kbr_fetch_find(struct kbr_request *req, struct kbr_fetch_part *fp)
{
	if (!fp->topic)
		return -ENOENT;
	if (!fp->part && fp->index >= 0)
		fp->part = kbr_topic_partition(fp->topic, fp->index);
	if (!fp->part)
		return -ENOENT;
	/* Devices of other brokers have checked who reads there. */
	if (kbr_fetch_is_peer(req))
		return 0;
	return kbr_access_check(fp->topic, kbr_request_cred(req), KBR_MAY_CONSUME);
}

/*
 * Note how far a follower has come with @fp. Once a request, for all of its
 * partitions: those that it does not name are where they were.
 */
static void kbr_fetch_note(struct kbr_request *req, struct kbr_fetch_part *fp, s64 now_ms)
{
	const struct kbr_fetch_state *state = req->priv;
	struct kbr_replica_diverging diverging;
	struct kbr_replica_fetch fetch = {
		.id = state->replica,
		.broker_epoch = state->replica_epoch,
		.leader_epoch = fp->leader_epoch,
		.last_epoch = fp->last_epoch,
		.offset = fp->offset,
		.synced = fp->synced,
		.start = fp->log_start,
		.hw = fp->told.hw,
	};
	int ret = kbr_fetch_find(req, fp);

	fp->diverges = false;
	if (!ret)
		ret = kbr_replica_fetched(fp->part, &fetch, now_ms, &diverging);
	fp->noted = min(ret, 0);
	if (ret == 1) {
		fp->diverges = true;
		fp->diverging_epoch = diverging.epoch;
		fp->diverging_end = diverging.end;
	}
}

/* Does the follower catch up, faster than it may? */
static bool kbr_fetch_throttle(struct kbr_fetch_state *state, struct kbr_fetch_part *fp)
{
	s64 ms = kbr_replica_throttle_ms(fp->part, state->replica, true);

	if (likely(!ms))
		return false;
	fp->throttled = true;
	state->throttled_ms = min(state->throttled_ms, ms);
	return true;
}

/* As kbr_partition_map() for a follower: all that there is, and that its epoch still is the leader's. */
static int kbr_fetch_map_replica(struct kbr_request *req, struct kbr_fetch_part *fp, size_t max,
				 struct kbr_log_slice *slice)
{
	int err = fp->noted;

	if (!err)
		err = kbr_partition_check_leader(fp->part);
	if (!err)
		err = kbr_partition_check_epoch(fp->part, fp->leader_epoch);
	if (err)
		return err;
	if (fp->diverges || kbr_fetch_throttle(req->priv, fp))
		return kbr_partition_get_bounds(fp->part, &fp->now);
	return kbr_partition_map_replica(fp->part, &fp->pos, max, slice, &fp->now);
}

/*
 * Is what the client read last in this log? Otherwise it has followed another
 * leader too far, and is told where that began instead of records.
 */
static int kbr_fetch_check_last(struct kbr_fetch_part *fp)
{
	s32 found;
	s64 end;
	int err;

	if (fp->last_epoch < 0)
		return 0;
	err = kbr_partition_epoch_end(fp->part, fp->last_epoch, &found, &end);
	if (err)
		return err;
	if (found < 0)
		return -ERANGE;
	if (found >= fp->last_epoch && end >= fp->offset)
		return 0;
	fp->diverges = true;
	fp->diverging_epoch = found;
	fp->diverging_end = end;
	return 0;
}

/* May a consumer read here what it asks for? Of a follower only if it knows that there are some. */
static int kbr_fetch_check(struct kbr_request *req, struct kbr_fetch_part *fp)
{
	int err = kbr_partition_check_epoch(fp->part, fp->leader_epoch);

	if (!err && req->header.version < 11)
		err = kbr_partition_check_leader(fp->part);
	return err ?: kbr_fetch_check_last(fp);
}

/* A consumer that another replica should serve is told so, instead of records. */
static bool kbr_fetch_elsewhere(const struct kbr_fetch_state *state, struct kbr_fetch_part *fp)
{
	fp->nearest = unlikely(state->rack) ?
		      kbr_replica_nearest(fp->part, state->rack, fp->offset) : -1;
	return fp->nearest >= 0;
}

/* As kbr_partition_map(), within the limits. */
static int kbr_fetch_map(struct kbr_request *req, struct kbr_fetch_answer *answer,
			 struct kbr_fetch_part *fp, struct kbr_log_slice *slice)
{
	s64 max = min_t(s64, max(fp->max_bytes, 0), answer->left);
	struct kbr_fetch_state *state = req->priv;
	int ret;

	if (state->refused)
		return -EPERM;
	ret = kbr_fetch_find(req, fp);
	if (!ret && !kbr_fetch_is_replica(req))
		ret = kbr_fetch_check(req, fp);
	if (ret)
		return ret;
	if (answer->left <= 0 && req->slices_bytes)
		return kbr_partition_get_bounds(fp->part, &fp->now);
	kbr_waiter_mark(&fp->mark, fp->part);
	fp->pos.offset = fp->offset;
	if (kbr_fetch_is_replica(req))
		ret = kbr_fetch_map_replica(req, fp, max, slice);
	else if (fp->diverges || kbr_fetch_elsewhere(state, fp))
		ret = kbr_partition_get_bounds(fp->part, &fp->now);
	else
		ret = kbr_partition_map(fp->part, &fp->pos, max, slice, &fp->now);
	if (ret == 1 && slice->len > max && req->slices_bytes) {
		/* Only the first one may go beyond the limits, so that a consumer gets on. */
		kbr_log_unmap(slice);
		answer->have += max;
		return 0;
	}
	return ret;
}

/* ---- the answer ---- */

/* Versions with tagged fields: the partition before is complete. */
static void kbr_fetch_end_topic(struct kbr_request *req, const struct kbr_fetch_answer *answer)
{
	if (!answer->topic)
		return;
	kbr_wire_writer_patch_count(&req->reply, answer->partitions_at, answer->partitions);
	kbr_put_tags(&req->reply);
}

static void kbr_fetch_answer_topic(struct kbr_request *req, struct kbr_fetch_answer *answer,
				   const char *name)
{
	struct kbr_wire_writer *w = &req->reply;

	if (answer->topic && !strcmp(answer->topic, name))
		return;
	kbr_fetch_end_topic(req, answer);
	answer->topic = name;
	answer->topics++;
	kbr_put_string(w, name);
	answer->partitions_at = kbr_put_open_count(w);
	answer->partitions = 0;
}

/* What only some answers have: where the reader's log stopped to be the leader's; who leads instead */
static void kbr_fetch_answer_tags(struct kbr_request *req, const struct kbr_fetch_part *fp, int ret)
{
	struct kbr_wire_writer *w = &req->reply;
	enum kbroker_replica_role role;
	struct kbr_replica_state now;
	bool other;

	if (!w->flexible)
		return;
	other = (ret == -EREMOTE || ret == -ESTALE) && kbr_replica_get(fp->part, &now, &role);
	kbr_put_uvarint(w, fp->diverges + other);
	if (fp->diverges) {
		kbr_put_tag(w, KBR_TAG_FETCH_DIVERGING_EPOCH, sizeof(s32) + sizeof(s64) + 1);
		kbr_put_s32(w, fp->diverging_epoch);
		kbr_put_s64(w, fp->diverging_end);
		kbr_put_tags(w);
	}
	if (other) {
		kbr_put_tag(w, KBR_TAG_FETCH_CURRENT_LEADER, 2 * sizeof(s32) + 1);
		kbr_put_s32(w, now.leader);
		kbr_put_s32(w, now.leader_epoch);
		kbr_put_tags(w);
	}
}

/* Write one partition; @ret and @slice as from kbr_fetch_map(). */
static int kbr_fetch_answer_partition(struct kbr_request *req, struct kbr_fetch_answer *answer,
				      struct kbr_fetch_part *fp, int ret,
				      struct kbr_log_slice *slice)
{
	const struct kbr_fetch_state *state = req->priv;
	struct kbr_wire_writer *w = &req->reply;
	int err = 0;

	kbr_fetch_answer_topic(req, answer, fp->name);
	answer->partitions++;
	kbr_put_s32(w, fp->index);
	kbr_put_s16(w, kbr_error_to_kafka(ret));
	kbr_put_s64(w, fp->now.hw);
	kbr_put_s64(w, fp->now.hw);	/* last stable offset */
	if (req->header.version >= 5)
		kbr_put_s64(w, fp->now.start);
	/* aborted transactions: there are none; null where it was not asked for them */
	kbr_put_count(w, state->committed ? 0 : -1);
	if (req->header.version >= 11)
		kbr_put_s32(w, ret < 0 ? -1 : fp->nearest);
	kbr_put_bytes_length(w, ret == 1 ? slice->len : 0);
	if (ret == 1) {
		fp->served = true;
		err = kbr_request_add_slice(req, fp->topic, slice);
	}
	kbr_fetch_answer_tags(req, fp, ret);
	return err;
}

/* Read and write one partition. */
static int kbr_fetch_partition(struct kbr_request *req, struct kbr_fetch_answer *answer,
			       struct kbr_fetch_part *fp)
{
	struct kbr_log_slice slice;
	int ret;

	fp->served = false;
	fp->nearest = -1;
	fp->throttled = false;
	if (!kbr_fetch_is_replica(req))
		fp->diverges = false;
	fp->now = (struct kbr_partition_bounds) { .start = -1, .hw = -1 };
	ret = kbr_fetch_map(req, answer, fp, &slice);
	/* A follower has records above the watermark, and wants to know of this alone, too. */
	fp->watch = kbr_fetch_is_replica(req) ? fp->now.hw : max(fp->now.hw, fp->offset);
	if (ret < 0) {
		/* Told of with every answer until it has gone, and the bounds again then. */
		if (ret != -ERANGE || !kbr_fetch_is_peer(req))
			fp->now = (struct kbr_partition_bounds) { .start = -1, .hw = -1 };
		answer->now = true;
	} else if (ret) {
		fp->watch = slice.next;
		answer->left -= slice.len;
		answer->have += slice.len;
		if (slice.next < fp->now.hw || kbr_fetch_is_replica(req)) {
			/* There is more, which the limits or the end of a segment kept out. */
			answer->have += max_t(s64, fp->max_bytes - (s64)slice.len, 0);
			fp->watch = S64_MAX;
		}
	} else if (fp->throttled) {
		/* Nothing that comes is news to it, before it may have that. */
		fp->watch = S64_MAX;
		fp->now = fp->told;
		return 0;
	} else if (fp->diverges || fp->nearest >= 0 ||
		   (kbr_fetch_is_replica(req) && fp->now.hw > fp->told.hw)) {
		answer->now = true;
	} else if (!answer->all && fp->now.hw == fp->told.hw && fp->now.start == fp->told.start) {
		return 0;
	}
	return kbr_fetch_answer_partition(req, answer, fp, ret, &slice);
}

/* Write the whole answer, as it is now. */
static int kbr_fetch_answer(struct kbr_request *req, struct kbr_fetch_answer *answer)
{
	struct kbr_fetch_state *state = req->priv;
	struct kbr_wire_writer *w = &req->reply;
	struct kbr_fetch_part *fp;
	int err = 0;

	*answer = (struct kbr_fetch_answer) {
		.all = !state->session,
		.left = state->max_bytes,
	};
	state->throttled_ms = S64_MAX;
	kbr_put_s32(w, 0);	/* throttle_time_ms */
	if (req->header.version >= 7) {
		kbr_put_s16(w, kbr_error_to_kafka(state->err));
		answer->session_at = w->len;
		kbr_put_s32(w, state->session ? state->session->id : 0);
	}
	answer->topics_at = kbr_put_open_count(w);
	list_for_each_entry(fp, &state->parts->list, node) {
		if (state->err)
			break;
		err = kbr_fetch_partition(req, answer, fp);
		if (!err && kbr_request_is_futile(req))
			err = -ECANCELED;
		if (err)
			return err;
	}
	kbr_fetch_end_topic(req, answer);
	kbr_wire_writer_patch_count(w, answer->topics_at, answer->topics);
	kbr_put_tags(w);
	return 0;
}

/* An answer with too little in it is thrown away again. */
static void kbr_fetch_discard(struct kbr_request *req)
{
	struct kbr_fetch_state *state = req->priv;

	kbr_request_drop_slices(req);
	req->reply.len = state->reply_at;
}

/* The answer is going to be sent: count what followers that catch up get with it. */
static void kbr_fetch_charge(const struct kbr_request *req)
{
	const struct kbr_fetch_state *state = req->priv;
	const struct kbr_fetch_part *fp;
	unsigned int slice = 0;

	if (!kbr_fetch_is_replica(req) || !req->slices_count)
		return;
	list_for_each_entry(fp, &state->parts->list, node)
		if (fp->served)
			kbr_replica_throttle_take(fp->part, state->replica, true,
						  req->slices[slice++].slice.len);
}

/* The answer is going to be sent: keep what the next one needs to know. */
static void kbr_fetch_told(struct kbr_request *req, const struct kbr_fetch_answer *answer)
{
	struct kbr_fetch_state *state = req->priv;
	struct kbr_fetch_part *fp, *next;
	unsigned int slice = 0;
	LIST_HEAD(served);

	if (!state->session && !state->want_session)
		return;
	list_for_each_entry_safe(fp, next, &state->parts->list, node) {
		fp->told = fp->now;
		if (!fp->served)
			continue;
		fp->pos = req->slices[slice++].slice.next_pos;
		/* Behind the others, so that these get their share next time. */
		list_move_tail(&fp->node, &served);
	}
	list_splice_tail(&served, &state->parts->list);
	if (state->want_session) {
		state->session = kbr_fetch_session_create(kbr_request_broker(req), &state->own,
							  kbr_fetch_is_replica(req));
		if (!state->session)
			return;
		kbr_wire_writer_patch_s32(&req->reply, answer->session_at, state->session->id);
	}
	/* The next request may come before this one is sent. */
	kbr_fetch_session_end(state->session);
	state->session = NULL;
	state->parts = &state->own;
}

/* ---- waiting ---- */

/* Has something come since the answer was written? */
static bool kbr_fetch_behind(const struct kbr_fetch_state *state)
{
	const struct kbr_fetch_part *fp;

	list_for_each_entry(fp, &state->parts->list, node) {
		if (kbr_partition_hw(fp->part) > fp->watch || kbr_topic_gone(fp->topic))
			return true;
		if (state->replica >= 0 && ((!fp->throttled && kbr_log_end(&fp->part->log) > fp->offset) ||
					    READ_ONCE(fp->part->state) != KBR_PARTITION_LEADER))
			return true;
	}
	return false;
}

/* Wait for @bytes more than the answer had. False: no memory for it. */
static bool kbr_fetch_wait(struct kbr_request *req, s64 bytes)
{
	struct kbr_fetch_state *state = req->priv;
	unsigned int count = state->parts->count;
	struct kbr_fetch_part *fp;
	s64 ms = ktime_ms_delta(state->deadline, ktime_get());

	/* A request's partitions stay the same, from its first wait on. */
	if (!state->entries) {
		state->entries = kvcalloc(count, sizeof(*state->entries), GFP_KERNEL);
		if (!state->entries)
			return false;
		req->pinned += count * sizeof(*state->entries);
	}
	kbr_request_park(req, state->entries, max_t(s64, min(ms, state->throttled_ms), 0) + 1);
	kbr_waiter_need_bytes(&req->waiter, bytes);
	list_for_each_entry(fp, &state->parts->list, node) {
		if (kbr_fetch_is_replica(req))
			kbr_waiter_add_replica(&req->waiter, fp->part,
					       fp->throttled ? S64_MAX : fp->offset, fp->watch);
		else
			kbr_waiter_add_bytes(&req->waiter, fp->part, fp->watch, &fp->mark);
	}
	return true;
}

/*
 * Answer if there is enough, or if it can't wait. Otherwise wait, and look
 * once more at what may have come before that: then it must answer, or sleep.
 */
static enum kbr_request_state kbr_fetch_run(struct kbr_request *req)
{
	struct kbr_fetch_state *state = req->priv;
	struct kbr_fetch_answer answer;
	bool waits = false;

	for (;;) {
		if (kbr_fetch_answer(req, &answer))
			return KBR_REQUEST_CLOSE;
		if (answer.now || !state->parts->count || answer.have >= state->min_bytes ||
		    ktime_compare(ktime_get(), state->deadline) >= 0)
			break;
		if (!waits && !kbr_fetch_wait(req, state->min_bytes - answer.have))
			break;
		if (waits || !kbr_fetch_behind(state)) {
			kbr_fetch_discard(req);
			return KBR_REQUEST_PARKED;
		}
		kbr_fetch_discard(req);
		waits = true;
	}
	kbr_waiter_drop(&req->waiter);
	kbr_fetch_charge(req);
	kbr_fetch_told(req, &answer);
	return KBR_REQUEST_DONE;
}

/* ---- the request ---- */

static struct kbr_fetch_part *kbr_fetch_part_new(const char *name, s32 index)
{
	size_t size = strlen(name) + 1;
	struct kbr_fetch_part *fp = kzalloc(struct_size(fp, name, size), GFP_KERNEL);

	if (!fp)
		return NULL;
	memcpy(fp->name, name, size);
	fp->index = index;
	fp->told = (struct kbr_partition_bounds) { .start = -1, .hw = -1 };
	return fp;
}

/* The topics of those names, whatever was known of them before. */
static void kbr_fetch_find_topics(struct kbr_request *req)
{
	struct kbr_fetch_state *state = req->priv;
	struct kbr_fetch_part *fp, *last = NULL;

	list_for_each_entry(fp, &state->parts->list, node) {
		if (!fp->topic || kbr_topic_gone(fp->topic)) {
			kbr_topic_put(fp->topic);
			fp->part = NULL;
			/* Partitions of one topic mostly come one after the other. */
			if (last && last->topic && !strcmp(last->name, fp->name)) {
				kbr_topic_get(last->topic);
				fp->topic = last->topic;
			} else {
				fp->topic = kbr_topic_lookup(kbr_request_broker(req), fp->name);
			}
		}
		last = fp;
	}
}

/* A partition that the client names: one that was named before, or a new one. */
static struct kbr_fetch_part *kbr_fetch_take(struct kbr_request *req, const char *name, s32 index)
{
	struct kbr_fetch_state *state = req->priv;
	struct kbr_fetch_part *fp = kbr_fetch_parts_find(state->parts, name, index);

	if (fp)
		return fp;
	if (state->parts->count == KBR_FETCH_PARTITIONS_MAX)
		return ERR_PTR(-E2BIG);
	fp = kbr_fetch_part_new(name, index);
	if (!fp)
		return ERR_PTR(-ENOMEM);
	if (!state->session) {
		kbr_fetch_parts_add(&state->own, fp);
		req->pinned += struct_size(fp, name, strlen(name) + 1);
	} else if (kbr_fetch_session_add(state->session, fp)) {
		kfree(fp);
		return ERR_PTR(-EBADF);
	}
	return fp;
}

static void kbr_fetch_parse_tags(struct kbr_wire_reader *r, struct kbr_fetch_part *fp)
{
	struct kbr_wire_reader field;
	u32 count;

	fp->synced = -1;
	for (count = kbr_get_tag_count(r); count; count--)
		if (kbr_get_tag(r, &field) == KBR_TAG_FETCH_SYNCED)
			fp->synced = kbr_get_s64(&field);
}

static int kbr_fetch_parse_partition(struct kbr_request *req, const char *name)
{
	struct kbr_wire_reader *r = &req->body;
	struct kbr_fetch_part *fp;

	fp = kbr_fetch_take(req, name, kbr_get_s32(r));
	if (IS_ERR(fp))
		return PTR_ERR(fp);
	fp->leader_epoch = req->header.version >= 9 ? kbr_get_s32(r) : -1;
	fp->offset = kbr_get_s64(r);
	fp->last_epoch = req->header.version >= 12 ? kbr_get_s32(r) : -1;
	fp->log_start = req->header.version >= 5 ? kbr_get_s64(r) : -1;
	fp->max_bytes = kbr_get_s32(r);
	kbr_fetch_parse_tags(r, fp);
	return 0;
}

static int kbr_fetch_parse_topics(struct kbr_request *req)
{
	struct kbr_wire_reader *r = &req->body;
	s32 topics = kbr_get_count(r), count;
	char text[KBR_TOPIC_NAME_MAX + 1];
	struct kbr_str name;
	int err;

	while (topics--) {
		name = kbr_get_string(r);
		count = kbr_get_count(r);
		/* What can't be a name is not kept for each of the partitions. */
		err = kbr_str_copy(&name, text, sizeof(text));
		while (!err && count--)
			err = kbr_fetch_parse_partition(req, text);
		kbr_get_tags(r);
		if (!err && kbr_request_is_futile(req))
			err = -ECANCELED;
		if (err)
			return err;
	}
	return 0;
}

/* What the client does not want any more of its session; without one there is nothing to forget */
static int kbr_fetch_parse_forgotten(struct kbr_request *req)
{
	struct kbr_fetch_state *state = req->priv;
	struct kbr_wire_reader *r = &req->body;
	s32 topics = kbr_get_count(r), count;
	char text[KBR_TOPIC_NAME_MAX + 1];
	struct kbr_fetch_part *fp;
	struct kbr_str name;
	bool known;
	s32 index;

	while (topics--) {
		name = kbr_get_string(r);
		known = !kbr_str_copy(&name, text, sizeof(text));
		count = kbr_get_count(r);
		while (count--) {
			index = kbr_get_s32(r);
			fp = known && state->session ?
			     kbr_fetch_parts_find(state->parts, text, index) : NULL;
			if (fp)
				kbr_fetch_session_del(state->session, fp);
		}
		kbr_get_tags(r);
	}
	return 0;
}

/* Where a consumer stands, if it matters: then answers may send it elsewhere. */
static int kbr_fetch_parse_rack(struct kbr_request *req)
{
	struct kbr_broker *broker = kbr_request_broker(req);
	struct kbr_fetch_state *state = req->priv;
	struct kbr_wire_reader *r = &req->body;
	char text[KBROKER_RACK_MAX + 1];
	struct kbr_str rack;

	if (req->header.version < 11 || kbr_fetch_is_replica(req) ||
	    !READ_ONCE(broker->config.replica_nearest) || !kbr_cluster_is_member(broker))
		return 0;
	rack = kbr_get_string(r);
	/* A longer one is no broker's. */
	if (!rack.len || kbr_str_copy(&rack, text, sizeof(text)))
		return 0;
	state->rack = kstrdup(text, GFP_KERNEL);
	return state->rack ? 0 : -ENOMEM;
}

/* Which session is it, or will there be one? */
static void kbr_fetch_join(struct kbr_request *req, s32 id, s32 epoch)
{
	struct kbr_broker *broker = kbr_request_broker(req);
	struct kbr_fetch_state *state = req->priv;
	struct kbr_fetch_session *session;

	if (epoch == KBR_SESSION_EPOCH_NEW || epoch == KBR_SESSION_EPOCH_NONE) {
		if (id)
			kbr_fetch_session_close(broker, id);
		state->want_session = epoch == KBR_SESSION_EPOCH_NEW;
		return;
	}
	session = kbr_fetch_session_begin(broker, id, epoch);
	if (IS_ERR(session)) {
		state->err = PTR_ERR(session);
		return;
	}
	state->session = session;
	state->parts = &session->parts;
}

/* The client has taken all partitions out of its session. */
static void kbr_fetch_leave(struct kbr_request *req)
{
	struct kbr_fetch_state *state = req->priv;
	s32 id = state->session->id;

	kbr_fetch_session_end(state->session);
	kbr_fetch_session_close(kbr_request_broker(req), id);
	state->session = NULL;
	state->parts = &state->own;
}

static void kbr_fetch_note_all(struct kbr_request *req)
{
	const struct kbr_fetch_state *state = req->priv;
	struct kbr_fetch_part *fp;
	s64 now_ms;

	if (!kbr_fetch_is_replica(req) || state->refused)
		return;
	now_ms = kbr_clock_mono_ms();
	list_for_each_entry(fp, &state->parts->list, node) {
		kbr_fetch_note(req, fp, now_ms);
		cond_resched();
	}
}

static int kbr_fetch_parse(struct kbr_request *req)
{
	struct kbr_broker *broker = kbr_request_broker(req);
	struct kbr_fetch_state *state = req->priv;
	struct kbr_wire_reader *r = &req->body;
	s32 max_wait_ms, id, epoch;
	int err;

	state->replica = kbr_get_s32(r);
	if (state->replica >= 0)
		state->refused = kbr_request_peer(req, &state->replica_epoch) != state->replica;
	max_wait_ms = kbr_get_s32(r);
	state->deadline = ktime_add_ms(req->received, max(max_wait_ms, 0));
	state->min_bytes = kbr_get_s32(r);
	state->max_bytes = min_t(s64, max(kbr_get_s32(r), 0),
				 READ_ONCE(broker->config.fetch_bytes_max));
	state->min_bytes = min(state->min_bytes, state->max_bytes);
	state->committed = kbr_get_s8(r) == KBR_ISOLATION_COMMITTED;
	if (req->header.version >= 7) {
		id = kbr_get_s32(r);
		epoch = kbr_get_s32(r);
		kbr_fetch_join(req, id, epoch);
		if (state->err)
			return 0;
	}
	err = kbr_fetch_parse_topics(req);
	if (!err && req->header.version >= 7)
		err = kbr_fetch_parse_forgotten(req);
	if (!err)
		err = kbr_fetch_parse_rack(req);
	if (err == -EBADF) {
		/* More than a session may grow to: the client asks for all again. */
		state->err = err;
		kbr_fetch_leave(req);
		return 0;
	}
	if (err)
		return err;
	if (state->session && !state->parts->count)
		kbr_fetch_leave(req);
	kbr_fetch_find_topics(req);
	kbr_fetch_note_all(req);
	return 0;
}

static enum kbr_request_state kbr_fetch_start(struct kbr_request *req)
{
	struct kbr_fetch_state *state = kzalloc(sizeof(*state), GFP_KERNEL);

	if (!state)
		return KBR_REQUEST_CLOSE;
	kbr_fetch_parts_init(&state->own);
	state->parts = &state->own;
	state->reply_at = req->reply.len;
	req->priv = state;
	req->pinned = sizeof(*state);
	if (kbr_fetch_parse(req))
		return KBR_REQUEST_CLOSE;
	/* It may wait for long, and has been read. */
	kbr_request_drop_frame(req);
	return kbr_fetch_run(req);
}

static enum kbr_request_state kbr_fetch_resume(struct kbr_request *req, bool expired)
{
	struct kbr_fetch_state *state = req->priv;

	kbr_waiter_drop(&req->waiter);
	if (expired)
		state->deadline = 0;
	return kbr_fetch_run(req);
}

static void kbr_fetch_drop(struct kbr_request *req)
{
	struct kbr_fetch_state *state = req->priv;

	if (!state)
		return;
	kbr_waiter_drop(&req->waiter);
	if (state->session)
		kbr_fetch_session_end(state->session);
	kbr_fetch_parts_free(&state->own);
	kvfree(state->entries);
	kfree(state->rack);
	kfree(state);
	req->priv = NULL;
}

const struct kbr_handler kbr_handle_fetch = {
	.start = kbr_fetch_start,
	.resume = kbr_fetch_resume,
	.drop = kbr_fetch_drop,
};
