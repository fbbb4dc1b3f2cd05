// SPDX-License-Identifier: GPL-2.0-only
/*
 * Produce and fetch: the only door to a log for every front end. Validates,
 * appends, moves the high watermark, wakes and waits. A partition's beginning,
 * repair and end are in partition_life.c; access was checked at open.
 */
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/srcu.h>

#include "base/clock.h"
#include "base/kunit.h"
#include "broker/partition.h"
#include "broker/replica.h"

/* So much of a reader's memory is made present at first, bytes */
#define KBR_PARTITION_WINDOW	(1u << 20)

/* Why a partition that is not its leader's takes no records. */
static int kbr_partition_stopped(const struct kbr_partition *part)
{
	u8 state = READ_ONCE(part->state);

	return state == KBR_PARTITION_FOLLOWER || state == KBR_PARTITION_REMOTE ? -EREMOTE : -EIO;
}

/* May it be written to? Inside an I/O section. */
static int kbr_partition_writable(const struct kbr_partition *part)
{
	if (unlikely(kbr_topic_gone(part->topic)))
		return -ENODEV;
	if (likely(READ_ONCE(part->state) == KBR_PARTITION_LEADER))
		return 0;
	return kbr_partition_stopped(part);
}

static void kbr_partition_wake_readers(struct kbr_partition *part)
{
	/*
	 * All of them, since each has a position of its own, and without a
	 * key, which io_uring would take for the truth: a sync may have ended
	 * and no record come, or one that was read by now.
	 *
	 * wq_has_sleeper()'s barrier orders the high watermark before both
	 * looks; it pairs with the one in prepare_to_wait() and poll_wait().
	 */
	if (wq_has_sleeper(&part->wait))
		wake_up_all(&part->wait);
	/* ordered by the barrier of wq_has_sleeper() above */
	if (waitqueue_active(&part->topic->wait))
		wake_up_all(&part->topic->wait);
}

void kbr_partition_wake(struct kbr_partition *part)
{
	/* Readers see the end, writers an error. */
	wake_up_all(&part->wait);
}

/* Raise the high watermark to @to; several may come at once. */
static void kbr_partition_raise_hw(struct kbr_partition *part, s64 to)
{
	s64 hw = READ_ONCE(part->hw);

	while (hw < to) {
		s64 seen = cmpxchg_release(&part->hw, hw, to);

		if (seen == hw)
			break;
		hw = seen;
	}
}

/*
 * Raise it to the log's end, for an async topic. A repair that came between the
 * append and this has cut the log and lowered the high watermark: not above it again.
 */
static void kbr_partition_raise_async(struct kbr_partition *part, u32 failures)
{
	s64 end, raised = kbr_log_end(&part->log);

	kbr_partition_raise_hw(part, raised);
	smp_mb();	/* pairs with the release of hw in kbr_partition_repaired() */
	if (likely(READ_ONCE(part->sync_failures) == failures))
		return;
	end = kbr_log_end(&part->log);
	if (end < raised)
		cmpxchg_release(&part->hw, raised, end);
	kbr_partition_raise_hw(part, kbr_log_end(&part->log));
}

/* How far the high watermark of a leader may go; -1: it rests. */
static s64 kbr_partition_goal(struct kbr_partition *part)
{
	if (unlikely(part->replicas))
		return kbr_replica_hw(part);
	return READ_ONCE(part->topic->config.flush_async) ? kbr_log_end(&part->log) :
							    kbr_log_synced(&part->log);
}

void kbr_partition_advance_hw(struct kbr_partition *part)
{
	s64 before = READ_ONCE(part->hw);

	if (READ_ONCE(part->state) != KBR_PARTITION_LEADER)
		return;
	kbr_partition_raise_hw(part, kbr_partition_goal(part));
	if (READ_ONCE(part->hw) != before)
		kbr_partition_wake_readers(part);
}

void kbr_partition_follow_hw(struct kbr_partition *part, s64 hw)
{
	if (hw <= READ_ONCE(part->hw))
		return;
	kbr_partition_raise_hw(part, hw);
	kbr_partition_wake_readers(part);
}

void kbr_partition_cutting(struct kbr_partition *part, s64 offset)
{
	s64 hw = READ_ONCE(part->hw);

	part->failed_from = offset;
	/* Pairs with the acquire in kbr_partition_lost(): failed_from is set before. */
	smp_store_release(&part->sync_failures, part->sync_failures + 1);
	if (hw > offset)
		smp_store_release(&part->hw, offset);	/* pairs with kbr_partition_hw() */
	kbr_partition_wake(part);
}

/* A sync failed: whoever waits learns it, and the repair begins. */
static void kbr_partition_sync_failed(struct kbr_partition *part, int err)
{
	struct kbr_broker *broker = part->topic->broker;
	int idx = srcu_read_lock(&broker->io);

	if (kbr_topic_gone(part->topic) || !kbr_partition_serves(part))
		goto out;
	part->error = err;
	WRITE_ONCE(part->state, KBR_PARTITION_REPAIRING);
	part->failed_from = kbr_log_synced(&part->log);
	/* Pairs with the acquire in kbr_partition_lost(): failed_from is set before. */
	smp_store_release(&part->sync_failures, part->sync_failures + 1);
	queue_work(broker->work_wq, &part->repair);
out:
	srcu_read_unlock(&broker->io, idx);
	kbr_partition_wake(part);
}

void kbr_partition_advance(struct kbr_partition *part, int err)
{
	struct kbr_broker *broker = part->topic->broker;

	kbr_broker_room_made(broker);
	if (unlikely(err)) {
		kbr_partition_sync_failed(part, err);
		return;
	}
	/* Not during a repair, which sets both itself. */
	if (READ_ONCE(part->state) == KBR_PARTITION_LEADER) {
		kbr_partition_raise_hw(part, kbr_partition_goal(part));
	} else if (part->replicas && kbr_follow()) {
		/* its leader wants to know */
		kbr_follow()->synced(part);
	}
	if (!atomic_read(&broker->checkpoints_due))
		atomic_set(&broker->checkpoints_due, 1);
	kbr_partition_wake_readers(part);
}

static void kbr_partition_rules(struct kbr_partition *part, bool internal, s64 now_ms,
				struct kbr_batch_rules *rules)
{
	const struct kbr_log_config *config = &part->topic->config.log;

	*rules = (struct kbr_batch_rules) {
		.batch_bytes_max = READ_ONCE(config->batch_bytes_max),
		.segment_bytes_max = READ_ONCE(config->segment_bytes),
		.append_time = READ_ONCE(config->append_time),
		.key_required = READ_ONCE(config->compact),
		.internal = internal,
		.now_ms = now_ms,
		.before_max_ms = READ_ONCE(config->timestamp_before_max_ms),
		.after_max_ms = READ_ONCE(config->timestamp_after_max_ms),
	};
}

/* How many batches lie back to back in @p, by their headers; an error of the first bad one. */
static int kbr_partition_count_batches(struct kbr_produce *p)
{
	struct kbr_batch batch;
	size_t at = 0;
	int count = 0;
	int err;

	while (at < p->len) {
		err = kbr_batch_decode(&batch, p->buf + at, p->len - at);
		if (err || batch.size > p->len - at) {
			/* Let the validation of this batch say what is wrong with it. */
			return count + 1;
		}
		at += batch.size;
		count++;
	}
	return count;
}

/*
 * Check each batch of @p; @verdicts has room for @count. Nothing is held:
 * walking records takes long, and compressed ones need memory.
 */
static int kbr_partition_check_batches(struct kbr_partition *part, struct kbr_produce *p,
				       s64 now_ms, struct kbr_batch_verdict *verdicts, int count)
{
	struct kbr_batch_rules rules;
	size_t at = 0;
	int i, err;

	kbr_partition_rules(part, p->internal, now_ms, &rules);
	for (i = 0; i < count; i++) {
		struct kbr_batch_verdict *verdict = &verdicts[i];
		void *buf = p->buf + at;

		err = kbr_batch_validate(buf, p->len - at, &rules, verdict);
		if (err) {
			p->fault = verdict->fault;
			p->verdict = *verdict;
			return err;
		}
		if (!rules.append_time && verdict->batch.max_timestamp != verdict->max_timestamp) {
			kbr_batch_set_max_timestamp(buf, verdict->batch.size,
						    verdict->max_timestamp);
			verdict->batch.max_timestamp = verdict->max_timestamp;
		}
		at += verdict->batch.size;
	}
	return 0;
}

/* Check what @p brings; @append gets the verdicts, which are to be freed if they are many. */
static int kbr_partition_validate(struct kbr_partition *part, struct kbr_produce *p,
				  struct kbr_append *append)
{
	struct kbr_batch_verdict *verdicts = &p->verdict;
	int count = kbr_partition_count_batches(p);

	if (!count)
		return -EINVAL;
	if (count > KBR_WRITE_BATCHES_MAX)
		return -EMSGSIZE;
	if (count > 1) {
		verdicts = kvmalloc_array(count, sizeof(*verdicts), GFP_KERNEL);
		if (!verdicts)
			return -ENOMEM;
		append->verdicts = verdicts;
		append->batches = count;
	}
	return kbr_partition_check_batches(part, p, append->now_ms, verdicts, count);
}

/* Too much waits for the disk: wait with it, before anything is appended. */
static int kbr_partition_throttle(struct kbr_partition *part, const struct kbr_produce *p)
{
	struct kbr_broker *broker = part->topic->broker;
	long left;

	while (!kbr_broker_has_room(broker)) {
		if (kbr_topic_gone(part->topic))
			return -ENODEV;
		/* Others' bytes count too; the background has theirs synced. */
		if (p->nowait)
			return -EAGAIN;
		left = wait_event_interruptible_timeout(broker->unsynced_wait,
							kbr_broker_has_room(broker) ||
							kbr_topic_gone(part->topic), HZ);
		if (left < 0)
			return -EINTR;
		if (!left)
			mod_delayed_work(broker->work_wq, &broker->upkeep, 0);
	}
	return 0;
}

/*
 * May an async append leave the syncing to upkeep? Not if flush.messages or a
 * short flush.ms want it sooner, or much of the broker's memory waits for it.
 */
static bool kbr_partition_sync_can_wait(const struct kbr_partition *part)
{
	const struct kbr_topic_config *config = &part->topic->config;
	const struct kbr_broker *broker = part->topic->broker;

	return READ_ONCE(part->log.end) - READ_ONCE(part->log.synced) <
		       READ_ONCE(config->flush_messages) &&
	       READ_ONCE(config->flush_ms) >= KBR_UPKEEP_MS_MAX &&
	       kbr_broker_unsynced_bytes(broker) < READ_ONCE(broker->config.unsynced_bytes_max) / 4;
}

/* Have it synced: at once if somebody waits, soon if nobody does. */
static void kbr_partition_want_sync(struct kbr_partition *part, int acks, bool async)
{
	if (async && kbr_partition_sync_can_wait(part))
		return;
	kbr_log_request_sync(&part->log, acks == KBR_ACKS_ALL && !async);
}

/* Append what was validated, inside an I/O section. */
static int kbr_partition_append(struct kbr_partition *part, struct kbr_produce *p,
				struct kbr_append *append)
{
	struct kbr_broker *broker = part->topic->broker;
	bool async = READ_ONCE(part->topic->config.flush_async);
	int idx, err;

	idx = srcu_read_lock(&broker->io);
	err = kbr_partition_writable(part);
	if (err)
		goto out;
	/* Pairs with the release in kbr_partition_sync_failed(); before the append. */
	p->failures = smp_load_acquire(&part->sync_failures);
	err = kbr_log_append(&part->log, append, !p->final);
	if (err)
		goto out;
	p->base_offset = append->base_offset;
	p->last_offset = append->last_offset;
	p->log_append_time = append->log_append_time;
	p->records = append->last_offset - append->base_offset + 1;
	if (unlikely(part->replicas)) {
		/* followers fetch what is not committed yet */
		kbr_partition_raise_hw(part, kbr_partition_goal(part));
		kbr_partition_wake_readers(part);
	} else if (async) {
		kbr_partition_raise_async(part, p->failures);
		kbr_partition_wake_readers(part);
	}
	if (!p->defer_sync)
		kbr_partition_want_sync(part, p->acks, async);
out:
	srcu_read_unlock(&broker->io, idx);
	return err;
}

void kbr_partition_request_sync(struct kbr_partition *part, const struct kbr_produce *p)
{
	struct kbr_broker *broker = part->topic->broker;
	int idx = srcu_read_lock(&broker->io);

	if (!kbr_partition_writable(part))
		kbr_partition_want_sync(part, p->acks, READ_ONCE(part->topic->config.flush_async));
	srcu_read_unlock(&broker->io, idx);
}
KBR_EXPORT_IF_KUNIT(kbr_partition_request_sync);

int kbr_partition_check(struct kbr_partition *part, struct kbr_produce *p)
{
	struct kbr_append append = { .now_ms = p->now_ms ?: kbr_clock_now_ms() };
	int err;

	p->fault = KBR_FAULT_NONE;
	if (part->topic->internal)
		return -EROFS;
	if (p->trusted)
		return 0;
	err = kbr_partition_validate(part, p, &append);
	if (append.batches > 1)
		kvfree(append.verdicts);
	return err;
}

int kbr_partition_produce(struct kbr_partition *part, struct kbr_produce *p)
{
	struct kbr_topic *topic = part->topic;
	struct kbr_append append = {
		.buf = p->buf,
		.len = p->len,
		.verdicts = &p->verdict,
		.batches = 1,
		.now_ms = p->now_ms ?: kbr_clock_now_ms(),
	};
	int err;

	p->fault = KBR_FAULT_NONE;
	if (unlikely(topic->internal && !p->internal))
		return -EROFS;
	if (unlikely(p->acks == KBR_ACKS_ALL &&
		     READ_ONCE(topic->config.min_insync_replicas) > 1)) {
		/* The in-sync set of a standalone partition is its leader. */
		err = part->replicas ? kbr_replica_check_isr(part) : -ENOLINK;
		if (err)
			return err;
	}
	if (!p->trusted) {
		err = kbr_partition_validate(part, p, &append);
		if (err)
			goto out;
	}
	/* The last close() must not wait: its line was in memory before, too. */
	if (unlikely(!kbr_broker_has_room(topic->broker)) && !p->final) {
		err = kbr_partition_throttle(part, p);
		if (err)
			goto out;
	}
	err = kbr_partition_append(part, p, &append);
	if (unlikely(err == -ENOSPC) && kbr_topic_gone(topic))
		err = -ENODEV;
out:
	if (append.batches > 1)
		kvfree(append.verdicts);
	return err;
}
KBR_EXPORT_IF_KUNIT(kbr_partition_produce);

bool kbr_partition_lost(const struct kbr_partition *part, s64 offset, u32 failures)
{
	/* Pairs with the release in kbr_partition_sync_failed(). */
	u32 now = smp_load_acquire(&part->sync_failures);

	if (likely(now == failures))
		return false;
	/* It was durable already if the only sync that failed began above it. */
	return now != failures + 1 || offset >= READ_ONCE(part->failed_from);
}
KBR_EXPORT_IF_KUNIT(kbr_partition_lost);

/*
 * What became of a record at @offset: 1 committed, 0 not yet, or an error.
 * @committed: up to where its kind of waiter is satisfied.
 */
static int kbr_partition_fate(const struct kbr_partition *part, s64 offset, u32 failures,
			      s64 committed)
{
	if (unlikely(kbr_partition_lost(part, offset, failures)))
		return -EIO;
	if (committed > offset)
		return 1;
	if (unlikely(kbr_topic_gone(part->topic)))
		return -ENODEV;
	if (likely(READ_ONCE(part->state) == KBR_PARTITION_LEADER))
		return 0;
	return kbr_partition_stopped(part);
}

int kbr_partition_acked(const struct kbr_partition *part, s64 offset, u32 failures)
{
	return kbr_partition_fate(part, offset, failures, kbr_partition_hw(part));
}
KBR_EXPORT_IF_KUNIT(kbr_partition_acked);

static int kbr_partition_wait_result(long left, int fate)
{
	if (fate)
		return min(fate, 0);
	return left < 0 ? -EINTR : -ETIMEDOUT;
}

int kbr_partition_wait_acks(struct kbr_partition *part, s64 offset, u32 failures, s64 timeout_ms)
{
	int fate = 0;
	long left;

	left = wait_event_killable_timeout(part->wait,
					   (fate = kbr_partition_acked(part, offset, failures)),
					   msecs_to_jiffies(min_t(s64, timeout_ms, INT_MAX)));
	return kbr_partition_wait_result(left, fate);
}
KBR_EXPORT_IF_KUNIT(kbr_partition_wait_acks);

int kbr_partition_sync(struct kbr_partition *part, s64 end, u32 failures)
{
	struct kbr_broker *broker = part->topic->broker;
	int fate = kbr_partition_fate(part, end - 1, failures, kbr_log_synced(&part->log));
	long left;
	int idx;

	if (fate)
		return min(fate, 0);
	idx = srcu_read_lock(&broker->io);
	if (!kbr_partition_writable(part))
		kbr_log_request_sync(&part->log, 1);
	srcu_read_unlock(&broker->io, idx);
	left = wait_event_killable_timeout(part->wait,
					   (fate = kbr_partition_fate(part, end - 1, failures,
								      kbr_log_synced(&part->log))),
					   msecs_to_jiffies(min_t(s64, INT_MAX,
								  READ_ONCE(part->topic->config.delivery_timeout_ms))));
	return kbr_partition_wait_result(left, fate);
}
KBR_EXPORT_IF_KUNIT(kbr_partition_sync);

/* One try, inside an I/O section. */
static ssize_t kbr_partition_read_once(struct kbr_partition *part, struct kbr_log_pos *pos,
				       struct iov_iter *to, size_t *room)
{
	s64 limit = kbr_partition_hw(part);
	s64 damaged = READ_ONCE(part->damaged);

	if (unlikely(kbr_topic_gone(part->topic)))
		return -ENODATA;
	if (unlikely(!READ_ONCE(part->opened)))
		return kbr_partition_stopped(part);
	if (unlikely(damaged >= 0)) {
		if (pos->offset >= damaged)
			return -EBADMSG;
		limit = min(limit, damaged);
	}
	if (unlikely(pos->offset > limit)) {
		/*
		 * A failed sync took back what an async topic had shown: go on at its
		 * end. What a follower lacks its leader has.
		 */
		s64 end = kbr_log_end(&part->log);

		if (pos->offset > end && kbr_replica_leads(part)) {
			pos->offset = end;
			pos->hint = false;
		}
		return 0;
	}
	return kbr_log_read(&part->log, pos, limit, to, room);
}

/*
 * Have the user's memory there, outside the I/O section, for one more try: at
 * most @window bytes of it, since a program may offer far more than it is
 * given. Returns 0, or an error if trying again is no use.
 */
static int kbr_partition_fault_in(struct iov_iter *to, size_t *window, bool *hole)
{
	size_t want = min(*window, iov_iter_count(to)), left;

	/* What lies before a hole was there and was not enough. */
	if (*hole)
		return -EFAULT;
	if (fatal_signal_pending(current))
		return -EINTR;
	cond_resched();
	left = fault_in_iov_iter_writeable(to, want);
	if (left == want)
		return -EFAULT;
	*hole = left;
	if (*window < iov_iter_count(to))
		*window *= 4;
	return 0;
}

ssize_t kbr_partition_read(struct kbr_partition *part, struct kbr_log_pos *pos,
			   struct iov_iter *to, size_t *room)
{
	struct kbr_broker *broker = part->topic->broker;
	size_t window = KBR_PARTITION_WINDOW;
	bool user = user_backed_iter(to);
	struct iov_iter before = *to;
	bool hole = false;
	ssize_t ret;
	int idx, err;

	for (;;) {
		idx = srcu_read_lock(&broker->io);
		/*
		 * A fault of user memory may last as long as its owner likes
		 * (userfaultfd, FUSE); deleting the topic must not wait for it.
		 */
		if (user)
			pagefault_disable();
		ret = kbr_partition_read_once(part, pos, to, room);
		if (user)
			pagefault_enable();
		srcu_read_unlock(&broker->io, idx);
		if (likely(ret != -EFAULT) || !user)
			return ret;
		*to = before;
		err = kbr_partition_fault_in(to, &window, &hole);
		if (err)
			return err;
	}
}
KBR_EXPORT_IF_KUNIT(kbr_partition_read);

/* May its log be looked at? Inside an I/O section. */
static int kbr_partition_readable(const struct kbr_partition *part)
{
	if (kbr_topic_gone(part->topic))
		return -ENODATA;
	return READ_ONCE(part->opened) ? 0 : kbr_partition_stopped(part);
}

/* As kbr_partition_get_bounds(), inside an I/O section. */
static int kbr_partition_bound(struct kbr_partition *part, struct kbr_partition_bounds *bounds)
{
	int err = kbr_partition_readable(part);

	if (err)
		return err;
	bounds->start = kbr_log_start(&part->log);
	bounds->hw = kbr_partition_hw(part);
	return 0;
}

int kbr_partition_get_bounds(struct kbr_partition *part, struct kbr_partition_bounds *bounds)
{
	struct kbr_broker *broker = part->topic->broker;
	int idx = srcu_read_lock(&broker->io);
	int err = kbr_partition_bound(part, bounds);

	srcu_read_unlock(&broker->io, idx);
	return err;
}
KBR_EXPORT_IF_KUNIT(kbr_partition_get_bounds);

static int kbr_partition_map_below(struct kbr_partition *part, struct kbr_log_pos *pos, size_t max,
				   struct kbr_log_slice *slice,
				   struct kbr_partition_bounds *bounds, bool replica)
{
	struct kbr_broker *broker = part->topic->broker;
	s64 limit, damaged = READ_ONCE(part->damaged);
	int idx = srcu_read_lock(&broker->io);
	int ret;

	ret = kbr_partition_bound(part, bounds);
	if (ret)
		goto out;
	limit = replica ? kbr_log_end(&part->log) : bounds->hw;
	if (unlikely(damaged >= 0)) {
		if (pos->offset >= damaged) {
			ret = -EBADMSG;
			goto out;
		}
		limit = min(limit, damaged);
	}
	ret = kbr_log_map(&part->log, pos, limit, max, slice);
out:
	srcu_read_unlock(&broker->io, idx);
	return ret;
}

int kbr_partition_map(struct kbr_partition *part, struct kbr_log_pos *pos, size_t max,
		      struct kbr_log_slice *slice, struct kbr_partition_bounds *bounds)
{
	return kbr_partition_map_below(part, pos, max, slice, bounds, false);
}
KBR_EXPORT_IF_KUNIT(kbr_partition_map);

int kbr_partition_map_replica(struct kbr_partition *part, struct kbr_log_pos *pos, size_t max,
			      struct kbr_log_slice *slice, struct kbr_partition_bounds *bounds)
{
	return kbr_partition_map_below(part, pos, max, slice, bounds, true);
}
KBR_EXPORT_IF_KUNIT(kbr_partition_map_replica);

s32 kbr_partition_leader_epoch(const struct kbr_partition *part)
{
	return unlikely(part->replicas) ? READ_ONCE(part->replicas->state.leader_epoch) :
					  READ_ONCE(part->log.epoch);
}
KBR_EXPORT_IF_KUNIT(kbr_partition_leader_epoch);

int kbr_partition_check_epoch(struct kbr_partition *part, s32 epoch)
{
	struct kbr_broker *broker = part->topic->broker;
	int err, idx;
	s32 now;

	if (epoch < 0)
		return 0;
	idx = srcu_read_lock(&broker->io);
	err = kbr_partition_readable(part);
	now = kbr_partition_leader_epoch(part);
	srcu_read_unlock(&broker->io, idx);
	if (err)
		return err == -ENODATA ? err : 0;	/* whatever follows says what is wrong */
	if (epoch == now)
		return 0;
	return epoch < now ? -ESTALE : -ESRCH;
}
KBR_EXPORT_IF_KUNIT(kbr_partition_check_epoch);

int kbr_partition_epoch_end(struct kbr_partition *part, s32 epoch, s32 *found, s64 *end)
{
	struct kbr_broker *broker = part->topic->broker;
	int idx = srcu_read_lock(&broker->io);
	int err = kbr_partition_readable(part);

	if (!err)
		kbr_log_epoch_end(&part->log, epoch, found, end);
	srcu_read_unlock(&broker->io, idx);
	return err;
}
KBR_EXPORT_IF_KUNIT(kbr_partition_epoch_end);

s32 kbr_partition_epoch_at(struct kbr_partition *part, s64 offset)
{
	struct kbr_broker *broker = part->topic->broker;
	int idx = srcu_read_lock(&broker->io);
	s32 epoch = -1;

	if (!kbr_partition_readable(part))
		epoch = kbr_log_epoch_at(&part->log, offset);
	srcu_read_unlock(&broker->io, idx);
	return epoch;
}
KBR_EXPORT_IF_KUNIT(kbr_partition_epoch_at);

int kbr_partition_find_time(struct kbr_partition *part, s64 timestamp, s64 *offset, s64 *found)
{
	struct kbr_broker *broker = part->topic->broker;
	struct kbr_log_time_search search = {
		.timestamp = timestamp,
		.limit = kbr_partition_hw(part),
		.offset = -1,
		.found = -1,
	};
	int idx, ret;

	/* a section for each step: it may wait for the disk */
	do {
		idx = srcu_read_lock(&broker->io);
		ret = kbr_partition_readable(part) ?: kbr_log_search_time(&part->log, &search);
		srcu_read_unlock(&broker->io, idx);
	} while (ret > 0);
	*offset = search.offset;
	*found = search.found;
	return ret;
}
KBR_EXPORT_IF_KUNIT(kbr_partition_find_time);

int kbr_partition_find_latest_time(struct kbr_partition *part, s64 *offset, s64 *found)
{
	struct kbr_broker *broker = part->topic->broker;
	s64 at = 0, max = -1;
	int idx, ret;

	*offset = -1;
	*found = -1;
	do {
		idx = srcu_read_lock(&broker->io);
		ret = kbr_partition_readable(part) ?:
		      kbr_log_search_max_timestamp(&part->log, &at, &max);
		srcu_read_unlock(&broker->io, idx);
	} while (ret > 0);
	if (!ret && max >= 0)
		ret = kbr_partition_find_time(part, max, offset, found);
	if (!ret && max >= 0 && *offset < 0)
		ret = -EINPROGRESS;
	return ret;
}
KBR_EXPORT_IF_KUNIT(kbr_partition_find_latest_time);

void kbr_partition_describe(struct kbr_partition *part, struct kbr_partition_info *info)
{
	struct kbr_broker *broker = part->topic->broker;
	int idx;

	memset(info, 0, sizeof(*info));
	idx = srcu_read_lock(&broker->io);
	info->state = READ_ONCE(part->state);
	info->error = READ_ONCE(part->error);
	info->damaged = READ_ONCE(part->damaged);
	info->leader_epoch = kbr_partition_leader_epoch(part);
	info->log_start = kbr_log_start(&part->log);
	info->hw = kbr_partition_hw(part);
	info->log_end = kbr_log_end(&part->log);
	info->synced = kbr_log_synced(&part->log);
	if (!kbr_topic_gone(part->topic) && READ_ONCE(part->opened))
		kbr_log_get_stats(&part->log, &info->stats);
	srcu_read_unlock(&broker->io, idx);
}
KBR_EXPORT_IF_KUNIT(kbr_partition_describe);
