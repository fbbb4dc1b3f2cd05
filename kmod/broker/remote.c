// SPDX-License-Identifier: GPL-2.0-only
/*
 * What readers want of partitions that have no replica here; see remote.h. Knows
 * no connections: the fetcher takes requests and brings answers.
 *
 * What an answer brings is handed to all wants that it helps, and belongs to them
 * until their readers have copied it; it is kept no longer.
 */
#include <linux/jiffies.h>
#include <linux/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include "base/kunit.h"
#include "broker/broker.h"
#include "broker/remote.h"
#include "broker/replica.h"
#include "codec/batch.h"

/* Chunks of one broker; beyond it the oldest that nobody has come for are dropped */
#define KBR_REMOTE_BYTES_MAX	(16u << 20)
/* How soon a leader that has refused is asked again, ms; doubled each time in a row */
#define KBR_REMOTE_RETRY_MS	20
#define KBR_REMOTE_RETRY_MS_MAX	1000

/**
 * struct kbr_remote - what is wanted of one partition
 * @node: in kbr_remotes.active while there are @wants
 * @part: it
 * @wants: those that wait, oldest first
 * @hw: high watermark that its leader told last, -1 none yet
 * @waits: it is not asked for before @retry_at
 * @retry_at: jiffies
 * @refusals: how often in a row it was refused
 */
struct kbr_remote {
	struct list_head node;
	struct kbr_partition *part;
	struct list_head wants;
	s64 hw;
	bool waits;
	unsigned long retry_at;
	unsigned int refusals;
};

static struct kbr_remotes *kbr_remotes_of(const struct kbr_partition *part)
{
	return &part->topic->broker->remotes;
}

/* ---- chunks ---- */

static void kbr_remote_put_locked(struct kbr_remotes *rs, struct kbr_remote_chunk *chunk,
				  struct list_head *dead)
{
	lockdep_assert_held(&rs->lock);
	if (!chunk || --chunk->refs)
		return;
	rs->bytes -= chunk->len;
	list_add(&chunk->node, dead);
}

static void kbr_remote_free_chunks(struct list_head *dead)
{
	struct kbr_remote_chunk *chunk, *next;

	list_for_each_entry_safe(chunk, next, dead, node)
		kvfree(chunk);
}

void kbr_remote_put_chunk(struct kbr_remote_chunk *chunk)
{
	struct kbr_remotes *rs = &chunk->broker->remotes;
	LIST_HEAD(dead);

	spin_lock(&rs->lock);
	kbr_remote_put_locked(rs, chunk, &dead);
	spin_unlock(&rs->lock);
	kbr_remote_free_chunks(&dead);
}
KBR_EXPORT_IF_KUNIT(kbr_remote_put_chunk);

/* ---- wants ---- */

/* Nothing is wanted any more, and what has come is given up. */
static void kbr_remote_drop_locked(struct kbr_remotes *rs, struct kbr_remote_want *want,
				   struct list_head *dead)
{
	struct kbr_remote *remote = want->part->replicas->remote;

	lockdep_assert_held(&rs->lock);
	list_del_init(&want->node);
	if (remote && list_empty(&remote->wants))
		list_del_init(&remote->node);
	kbr_remote_put_locked(rs, want->chunk, dead);
	want->chunk = NULL;
	want->asked_by = 0;
	WRITE_ONCE(want->step, KBR_REMOTE_IDLE);
}

/* Its reader is to look. */
static void kbr_remote_ready_locked(struct kbr_remotes *rs, struct kbr_remote_want *want, int err,
				    struct kbr_remote_chunk *chunk)
{
	LIST_HEAD(dead);

	kbr_remote_drop_locked(rs, want, &dead);
	want->err = err;
	if (chunk) {
		chunk->refs++;
		want->chunk = chunk;
		list_add_tail(&want->node, &rs->ready);
	}
	WRITE_ONCE(want->step, KBR_REMOTE_READY);
}

/* Make room for more than what has come last, which is @chunk. */
static void kbr_remote_shrink_locked(struct kbr_remotes *rs, const struct kbr_remote_chunk *chunk,
				     struct list_head *dead)
{
	struct kbr_remote_want *want;

	while (rs->bytes > KBR_REMOTE_BYTES_MAX && !list_empty(&rs->ready)) {
		want = list_first_entry(&rs->ready, struct kbr_remote_want, node);
		if (want->chunk == chunk)
			break;
		kbr_remote_drop_locked(rs, want, dead);
		/* Not asked for again before somebody looks: else the next one would lose its. */
		WRITE_ONCE(want->step, KBR_REMOTE_READY);
	}
}

void kbr_remote_want_init(struct kbr_remote_want *want, struct kbr_partition *part)
{
	memset(want, 0, sizeof(*want));
	INIT_LIST_HEAD(&want->node);
	want->part = part;
}
KBR_EXPORT_IF_KUNIT(kbr_remote_want_init);

/* The leader of @part and its epoch as they are known here; the leader may be -1. */
static s32 kbr_remote_leader(const struct kbr_partition *part, s32 *epoch)
{
	struct kbr_replicas *reps = part->replicas;
	s32 leader;

	spin_lock(&reps->lock);
	leader = reps->state.leader;
	*epoch = reps->state.leader_epoch;
	spin_unlock(&reps->lock);
	return leader;
}

static void kbr_remote_kick(struct kbr_partition *part)
{
	const struct kbr_follow_ops *follow = kbr_follow();
	struct kbr_broker *broker = part->topic->broker;
	s32 leader, epoch;

	leader = kbr_remote_leader(part, &epoch);
	if (leader >= 0 && leader != READ_ONCE(broker->id) && follow && follow->remote)
		follow->remote(broker, leader);
}

/* That of @part, made if there was none; -ENOMEM. */
static int kbr_remote_make(struct kbr_partition *part)
{
	struct kbr_remotes *rs = kbr_remotes_of(part);
	struct kbr_remote *made;

	if (READ_ONCE(part->replicas->remote))
		return 0;
	made = kzalloc(sizeof(*made), GFP_KERNEL_ACCOUNT);
	if (!made)
		return -ENOMEM;
	INIT_LIST_HEAD(&made->node);
	INIT_LIST_HEAD(&made->wants);
	made->part = part;
	made->hw = -1;
	spin_lock(&rs->lock);
	if (!part->replicas->remote) {
		WRITE_ONCE(part->replicas->remote, made);
		made = NULL;
	}
	spin_unlock(&rs->lock);
	kfree(made);
	return 0;
}

static void kbr_remote_queue_locked(struct kbr_remotes *rs, struct kbr_remote_want *want,
				    s64 offset, struct list_head *dead)
{
	struct kbr_remote *remote = want->part->replicas->remote;

	kbr_remote_drop_locked(rs, want, dead);
	WRITE_ONCE(want->offset, offset);
	list_add_tail(&want->node, &remote->wants);
	if (list_empty(&remote->node))
		list_add_tail(&remote->node, &rs->active);
	WRITE_ONCE(want->step, KBR_REMOTE_WAITING);
}

/* As kbr_remote_read(), of what is there. */
static int kbr_remote_look_locked(struct kbr_remotes *rs, struct kbr_remote_want *want, s64 offset,
				  struct kbr_remote_chunk **chunk,
				  struct kbr_remote_bounds *bounds, struct list_head *dead)
{
	int err = want->err;

	if (want->step != KBR_REMOTE_READY)
		return 0;
	if (want->chunk && want->chunk->first <= offset && offset < want->chunk->end) {
		want->chunk->refs++;
		*chunk = want->chunk;
		return 1;
	}
	if (!err || want->offset != offset)
		return 0;
	*bounds = want->bounds;
	kbr_remote_drop_locked(rs, want, dead);
	return err;
}

int kbr_remote_read(struct kbr_remote_want *want, s64 offset, struct kbr_remote_chunk **chunk,
		    struct kbr_remote_bounds *bounds)
{
	struct kbr_remotes *rs = kbr_remotes_of(want->part);
	bool asks = false;
	LIST_HEAD(dead);
	int ret;

	if (kbr_topic_gone(want->part->topic))
		return -ENODATA;
	ret = kbr_remote_make(want->part);
	if (ret)
		return ret;
	spin_lock(&rs->lock);
	ret = kbr_remote_look_locked(rs, want, offset, chunk, bounds, &dead);
	asks = !ret && (want->step != KBR_REMOTE_WAITING || want->offset != offset);
	if (asks)
		kbr_remote_queue_locked(rs, want, offset, &dead);
	spin_unlock(&rs->lock);
	kbr_remote_free_chunks(&dead);
	if (asks)
		kbr_remote_kick(want->part);
	return ret;
}
KBR_EXPORT_IF_KUNIT(kbr_remote_read);

void kbr_remote_ahead(struct kbr_remote_want *want, s64 offset)
{
	struct kbr_remotes *rs = kbr_remotes_of(want->part);
	LIST_HEAD(dead);

	spin_lock(&rs->lock);
	kbr_remote_queue_locked(rs, want, offset, &dead);
	spin_unlock(&rs->lock);
	kbr_remote_free_chunks(&dead);
	kbr_remote_kick(want->part);
}
KBR_EXPORT_IF_KUNIT(kbr_remote_ahead);

void kbr_remote_cancel(struct kbr_remote_want *want)
{
	struct kbr_remotes *rs = kbr_remotes_of(want->part);
	LIST_HEAD(dead);

	spin_lock(&rs->lock);
	kbr_remote_drop_locked(rs, want, &dead);
	spin_unlock(&rs->lock);
	kbr_remote_free_chunks(&dead);
}
KBR_EXPORT_IF_KUNIT(kbr_remote_cancel);

/* Ask, and wait for the answer: @want has it then. */
static int kbr_remote_wait(struct kbr_remote_want *want, enum kbr_remote_kind kind, s64 offset)
{
	struct kbr_partition *part = want->part;
	s64 timeout = READ_ONCE(part->topic->config.delivery_timeout_ms);
	long left;
	int err;

	err = kbr_remote_make(part);
	if (err)
		return err;
	want->kind = kind;
	kbr_remote_ahead(want, offset);
	left = wait_event_interruptible_timeout(part->wait,
						READ_ONCE(want->step) == KBR_REMOTE_READY ||
						kbr_topic_gone(part->topic),
						msecs_to_jiffies(min_t(s64, timeout, INT_MAX)));
	/* Whoever answered has let go of it, or does not find it any more. */
	err = READ_ONCE(want->step) == KBR_REMOTE_READY;
	kbr_remote_cancel(want);
	if (err)
		return want->err;
	if (kbr_topic_gone(part->topic))
		return -ENODEV;
	return left < 0 ? -EINTR : -ETIMEDOUT;
}

int kbr_remote_get_bounds(struct kbr_partition *part, struct kbr_remote_bounds *bounds)
{
	struct kbr_remote_want want;
	int err;

	kbr_remote_want_init(&want, part);
	err = kbr_remote_wait(&want, KBR_REMOTE_BOUNDS, S64_MAX);
	*bounds = want.bounds;
	return err;
}
KBR_EXPORT_IF_KUNIT(kbr_remote_get_bounds);

int kbr_remote_find_time(struct kbr_partition *part, s64 timestamp, s64 *offset, s64 *found)
{
	struct kbr_remote_want want;
	int err;

	kbr_remote_want_init(&want, part);
	err = kbr_remote_wait(&want, KBR_REMOTE_TIME, timestamp);
	*offset = want.offset;
	*found = want.found;
	return err;
}
KBR_EXPORT_IF_KUNIT(kbr_remote_find_time);

/* ---- asking ---- */

/* May it be asked of @leader, or could it be if it did not wait? */
static bool kbr_remote_is_at(const struct kbr_remote *remote, s32 leader, s32 *epoch)
{
	return kbr_remote_leader(remote->part, epoch) == leader &&
	       !kbr_topic_gone(remote->part->topic);
}

bool kbr_remote_waits(struct kbr_broker *broker, s32 leader)
{
	struct kbr_remotes *rs = &broker->remotes;
	struct kbr_remote *remote;
	bool waits = false;
	s32 epoch;

	spin_lock(&rs->lock);
	list_for_each_entry(remote, &rs->active, node) {
		waits = kbr_remote_is_at(remote, leader, &epoch);
		if (waits)
			break;
	}
	spin_unlock(&rs->lock);
	return waits;
}
KBR_EXPORT_IF_KUNIT(kbr_remote_waits);

/* Does @want wait for what is not there yet, as far as is known? */
static bool kbr_remote_at_end(const struct kbr_remote *remote, const struct kbr_remote_want *want)
{
	return want->kind == KBR_REMOTE_RECORDS && want->offset >= remote->hw;
}

/* Is @want asked for by requests of @kind? */
static bool kbr_remote_is_of(const struct kbr_remote_want *want, enum kbr_remote_kind kind)
{
	bool time = want->kind == KBR_REMOTE_TIME;

	return kind == KBR_REMOTE_TIME ? time : !time;
}

/* May @remote be asked for, and is there anything of a request of @kind that was not? */
static bool kbr_remote_is_due(const struct kbr_remote *remote, enum kbr_remote_kind kind)
{
	const struct kbr_remote_want *want;

	if (remote->waits && time_before(jiffies, remote->retry_at))
		return false;
	list_for_each_entry(want, &remote->wants, node)
		if (!want->asked_by && kbr_remote_is_of(want, kind))
			return true;
	return false;
}

/*
 * Which want decides what @remote is asked for. What can be answered at once comes
 * first; of those that wait at the end, the lowest, since it brings the others along.
 * What a request before has asked for is asked again if it waits at the end.
 */
static struct kbr_remote_want *kbr_remote_pick(const struct kbr_remote *remote,
					       enum kbr_remote_kind kind)
{
	struct kbr_remote_want *want, *lowest = NULL;

	list_for_each_entry(want, &remote->wants, node) {
		if (!kbr_remote_is_of(want, kind))
			continue;
		if (kbr_remote_at_end(remote, want)) {
			if (!lowest || want->offset < lowest->offset)
				lowest = want;
		} else if (!want->asked_by) {
			return want;
		}
	}
	return lowest;
}

/* Ask for @remote with @request, from @picked on. */
static void kbr_remote_add_locked(struct kbr_remote *remote, struct kbr_remote_request *request,
				  const struct kbr_remote_want *picked, s32 epoch)
{
	bool at_end = kbr_remote_at_end(remote, picked);
	struct kbr_remote_want *want;

	list_for_each_entry(want, &remote->wants, node)
		if (want->kind == picked->kind &&
		    (want->offset == picked->offset ||
		     (at_end && kbr_remote_at_end(remote, want))))
			want->asked_by = request->number;
	remote->waits = false;
	kbr_topic_get(remote->part->topic);
	request->asks[request->count++] = (struct kbr_remote_ask) {
		.topic = remote->part->topic,
		.part = remote->part,
		.leader_epoch = epoch,
		.offset = picked->offset,
	};
}

/* Fill @request with what is wanted of its kind, if any of that is due. */
static void kbr_remote_fill_locked(struct kbr_remotes *rs, struct kbr_remote_request *request)
{
	struct kbr_remote_want *want;
	struct kbr_remote *remote;
	bool due = false;
	s32 epoch;

	list_for_each_entry(remote, &rs->active, node) {
		due = kbr_remote_is_at(remote, request->leader, &epoch) &&
		      kbr_remote_is_due(remote, request->kind);
		if (due)
			break;
	}
	if (!due)
		return;
	if (!++rs->sequence)
		rs->sequence++;
	request->number = rs->sequence;
	list_for_each_entry(remote, &rs->active, node) {
		if (request->count == KBR_REMOTE_PARTS_MAX) {
			/* The next request begins with others. */
			list_rotate_to_front(&remote->node, &rs->active);
			break;
		}
		if (!kbr_remote_is_at(remote, request->leader, &epoch) ||
		    (remote->waits && time_before(jiffies, remote->retry_at)))
			continue;
		want = kbr_remote_pick(remote, request->kind);
		if (want)
			kbr_remote_add_locked(remote, request, want, epoch);
	}
}

struct kbr_remote_request *kbr_remote_next(struct kbr_broker *broker, s32 leader)
{
	struct kbr_remotes *rs = &broker->remotes;
	struct kbr_remote_request *request;

	if (!kbr_remote_waits(broker, leader))
		return NULL;
	request = kvzalloc(struct_size(request, asks, KBR_REMOTE_PARTS_MAX), GFP_KERNEL);
	if (!request)
		return NULL;
	INIT_LIST_HEAD(&request->node);
	request->leader = leader;
	spin_lock(&rs->lock);
	request->kind = KBR_REMOTE_TIME;
	kbr_remote_fill_locked(rs, request);
	if (!request->count) {
		request->kind = KBR_REMOTE_RECORDS;
		kbr_remote_fill_locked(rs, request);
	}
	spin_unlock(&rs->lock);
	if (request->count)
		return request;
	kvfree(request);
	return NULL;
}
KBR_EXPORT_IF_KUNIT(kbr_remote_next);

long kbr_remote_next_retry(struct kbr_broker *broker, s32 leader)
{
	struct kbr_remotes *rs = &broker->remotes;
	struct kbr_remote *remote;
	long left, first = -1;
	s32 epoch;

	spin_lock(&rs->lock);
	list_for_each_entry(remote, &rs->active, node) {
		if (!remote->waits || !kbr_remote_is_at(remote, leader, &epoch))
			continue;
		left = max_t(long, (long)(remote->retry_at - jiffies), 0);
		if (first < 0 || left < first)
			first = left;
	}
	spin_unlock(&rs->lock);
	return first;
}
KBR_EXPORT_IF_KUNIT(kbr_remote_next_retry);

/* ---- answers ---- */

/* Does what @request's leader says of @ask still count? */
static bool kbr_remote_is_current(const struct kbr_remote_request *request,
				  const struct kbr_remote_ask *ask)
{
	s32 epoch;

	return kbr_remote_leader(ask->part, &epoch) == request->leader &&
	       epoch == ask->leader_epoch;
}

/* Not again for a while. */
static void kbr_remote_refused_locked(struct kbr_remote *remote)
{
	unsigned int ms = min(KBR_REMOTE_RETRY_MS << min(remote->refusals, 16u),
			      (unsigned int)KBR_REMOTE_RETRY_MS_MAX);

	remote->refusals++;
	remote->waits = true;
	remote->retry_at = jiffies + msecs_to_jiffies(ms);
}

/* Tell @err, or 0, to all wants of @ask that are of @kind. */
static void kbr_remote_tell_locked(struct kbr_remotes *rs, const struct kbr_remote_ask *ask,
				   enum kbr_remote_kind kind, int err,
				   const struct kbr_remote_bounds *bounds)
{
	struct kbr_remote *remote = ask->part->replicas->remote;
	struct kbr_remote_want *want, *next;

	list_for_each_entry_safe(want, next, &remote->wants, node) {
		if (want->kind != kind || want->offset != ask->offset)
			continue;
		want->bounds = *bounds;
		kbr_remote_ready_locked(rs, want, err, NULL);
	}
	remote->refusals = 0;
}

static void kbr_remote_wake(struct kbr_partition *part)
{
	kbr_partition_wake(part);
	wake_up_all(&part->topic->wait);
}

/* What @ask's leader says instead of records. */
static void kbr_remote_answer_error(const struct kbr_remote_request *request,
				    const struct kbr_remote_ask *ask, int err,
				    const struct kbr_remote_bounds *bounds)
{
	struct kbr_remotes *rs = kbr_remotes_of(ask->part);

	spin_lock(&rs->lock);
	if (!kbr_remote_is_current(request, ask))
		goto out;
	if (err == -ERANGE && bounds->start >= 0 && bounds->hw >= bounds->start) {
		ask->part->replicas->remote->hw = bounds->hw;
		if (ask->offset == S64_MAX)
			kbr_remote_tell_locked(rs, ask, KBR_REMOTE_BOUNDS, 0, bounds);
		else
			kbr_remote_tell_locked(rs, ask, KBR_REMOTE_RECORDS, err, bounds);
	} else if (err == -EBADMSG) {
		kbr_remote_tell_locked(rs, ask, KBR_REMOTE_RECORDS, err, bounds);
	} else {
		kbr_remote_refused_locked(ask->part->replicas->remote);
	}
out:
	spin_unlock(&rs->lock);
	kbr_remote_wake(ask->part);
}

/*
 * Bytes of whole batches among @records, one after the other and below @hw, as many as
 * a reader takes; @first, @end: out: of them.
 */
static size_t kbr_remote_whole(const u8 *records, size_t len, s64 hw, s64 *first, s64 *end)
{
	struct kbr_batch batch;
	size_t at = 0;

	*end = -1;
	len = min_t(size_t, len, KBR_BATCH_BYTES_MAX);
	while (!kbr_batch_decode(&batch, records + at, len - at) && batch.size <= len - at &&
	       kbr_batch_last_offset(&batch) < hw && batch.base_offset >= *end) {
		if (!at)
			*first = batch.base_offset;
		*end = kbr_batch_last_offset(&batch) + 1;
		at += batch.size;
	}
	return at;
}

/* Is there somebody who wants something between @first and @end? */
static bool kbr_remote_is_wanted(struct kbr_partition *part, s64 first, s64 end)
{
	struct kbr_remotes *rs = kbr_remotes_of(part);
	struct kbr_remote_want *want;
	bool wanted = false;

	spin_lock(&rs->lock);
	list_for_each_entry(want, &part->replicas->remote->wants, node)
		if (want->kind == KBR_REMOTE_RECORDS && want->offset >= first &&
		    want->offset < end)
			wanted = true;
	spin_unlock(&rs->lock);
	return wanted;
}

/* Give @chunk to all that want something of it. */
static void kbr_remote_give(struct kbr_partition *part, struct kbr_remote_chunk *chunk)
{
	struct kbr_remotes *rs = kbr_remotes_of(part);
	struct kbr_remote *remote = part->replicas->remote;
	struct kbr_remote_want *want, *next;
	LIST_HEAD(dead);

	spin_lock(&rs->lock);
	rs->bytes += chunk->len;
	list_for_each_entry_safe(want, next, &remote->wants, node)
		if (want->kind == KBR_REMOTE_RECORDS && want->offset >= chunk->first &&
		    want->offset < chunk->end)
			kbr_remote_ready_locked(rs, want, 0, chunk);
	kbr_remote_shrink_locked(rs, chunk, &dead);
	kbr_remote_put_locked(rs, chunk, &dead);
	spin_unlock(&rs->lock);
	kbr_remote_free_chunks(&dead);
	kbr_remote_wake(part);
}

static struct kbr_remote_chunk *kbr_remote_copy(struct kbr_broker *broker, const u8 *records,
						size_t len, s64 first, s64 end)
{
	struct kbr_remote_chunk *chunk = kvmalloc(struct_size(chunk, data, len), GFP_KERNEL);

	if (!chunk)
		return NULL;
	INIT_LIST_HEAD(&chunk->node);
	chunk->broker = broker;
	chunk->refs = 1;
	chunk->first = first;
	chunk->end = end;
	chunk->len = len;
	memcpy(chunk->data, records, len);
	return chunk;
}

void kbr_remote_answer_records(const struct kbr_remote_request *request,
			       const struct kbr_remote_ask *ask, int err,
			       const struct kbr_remote_bounds *bounds, const u8 *records,
			       size_t len)
{
	struct kbr_remotes *rs = kbr_remotes_of(ask->part);
	struct kbr_remote_chunk *chunk = NULL;
	s64 first = ask->offset, end;
	size_t whole;
	bool bad;

	if (err) {
		kbr_remote_answer_error(request, ask, err, bounds);
		return;
	}
	whole = kbr_remote_whole(records, len, bounds->hw, &first, &end);
	/* Where nothing is left of what was there before, the first may lie above. */
	first = min(first, ask->offset);
	bad = len && end <= ask->offset;
	if (!bad && whole && kbr_remote_is_wanted(ask->part, first, end)) {
		chunk = kbr_remote_copy(ask->topic->broker, records, whole, first, end);
		bad = !chunk;
	}
	spin_lock(&rs->lock);
	if (bad) {
		kbr_remote_refused_locked(ask->part->replicas->remote);
	} else if (kbr_remote_is_current(request, ask)) {
		ask->part->replicas->remote->hw = bounds->hw;
		ask->part->replicas->remote->refusals = 0;
	}
	spin_unlock(&rs->lock);
	if (chunk)
		kbr_remote_give(ask->part, chunk);
}
KBR_EXPORT_IF_KUNIT(kbr_remote_answer_records);

void kbr_remote_answer_time(const struct kbr_remote_request *request,
			    const struct kbr_remote_ask *ask, int err, s64 offset, s64 found)
{
	struct kbr_remotes *rs = kbr_remotes_of(ask->part);
	struct kbr_remote *remote = ask->part->replicas->remote;
	struct kbr_remote_want *want, *next;

	spin_lock(&rs->lock);
	if (!kbr_remote_is_current(request, ask))
		goto out;
	if (err && err != -EBADMSG) {
		kbr_remote_refused_locked(remote);
		goto out;
	}
	list_for_each_entry_safe(want, next, &remote->wants, node) {
		if (want->kind != KBR_REMOTE_TIME || want->offset != ask->offset)
			continue;
		want->offset = offset;
		want->found = found;
		kbr_remote_ready_locked(rs, want, err, NULL);
	}
	remote->refusals = 0;
out:
	spin_unlock(&rs->lock);
	kbr_remote_wake(ask->part);
}
KBR_EXPORT_IF_KUNIT(kbr_remote_answer_time);

void kbr_remote_end(struct kbr_broker *broker, struct kbr_remote_request *request)
{
	struct kbr_remotes *rs = &broker->remotes;
	struct kbr_remote_want *want;
	struct kbr_remote *remote;
	unsigned int i;

	spin_lock(&rs->lock);
	for (i = 0; i < request->count; i++) {
		remote = request->asks[i].part->replicas->remote;
		list_for_each_entry(want, &remote->wants, node)
			if (want->asked_by == request->number)
				want->asked_by = 0;
	}
	spin_unlock(&rs->lock);
	for (i = 0; i < request->count; i++)
		kbr_topic_put(request->asks[i].topic);
	kvfree(request);
}
KBR_EXPORT_IF_KUNIT(kbr_remote_end);

/* ---- beginning and end ---- */

void kbr_remote_moved(struct kbr_partition *part)
{
	struct kbr_remotes *rs = kbr_remotes_of(part);
	struct kbr_remote_want *want;
	struct kbr_remote *remote;
	bool wanted = false;

	spin_lock(&rs->lock);
	remote = part->replicas->remote;
	if (remote) {
		remote->hw = -1;
		remote->waits = false;
		remote->refusals = 0;
		/* What the old one still answers is not waited for. */
		list_for_each_entry(want, &remote->wants, node)
			want->asked_by = 0;
		wanted = !list_empty(&remote->wants);
	}
	spin_unlock(&rs->lock);
	if (wanted)
		kbr_remote_kick(part);
}
KBR_EXPORT_IF_KUNIT(kbr_remote_moved);

void kbr_remote_init(struct kbr_broker *broker)
{
	spin_lock_init(&broker->remotes.lock);
	INIT_LIST_HEAD(&broker->remotes.active);
	INIT_LIST_HEAD(&broker->remotes.ready);
}

void kbr_remote_free(struct kbr_replicas *reps)
{
	kfree(reps->remote);
	reps->remote = NULL;
}
