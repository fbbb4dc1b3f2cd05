// SPDX-License-Identifier: GPL-2.0-only
/*
 * A follower's side of replication: what the fetcher brings goes into the log,
 * or cuts it; see replica.h. And how a leader hears of it.
 *
 * A leader is trusted no more than a client: each batch is checked, its offsets
 * must follow the log, and its leader epoch must not be above the one that was
 * fetched in (KAFKA-18723).
 */
#define pr_fmt(fmt) "kbroker: " fmt

#include <linux/mm.h>
#include <linux/printk.h>
#include <linux/ratelimit.h>
#include <linux/slab.h>
#include <linux/srcu.h>

#include "base/clock.h"
#include "base/kunit.h"
#include "broker/cluster.h"
#include "broker/replica.h"
#include "broker/request.h"

/* ---- the leader hears of a follower ---- */

/* Is @fetch one that this leadership may answer? @reps->lock held. */
static int kbr_replica_check_fetch(const struct kbr_replicas *reps,
				   const struct kbr_replica_fetch *fetch)
{
	if (reps->role != KBROKER_REPLICA_ROLE_LEADER)
		return -EREMOTE;
	if (fetch->leader_epoch != reps->state.leader_epoch)
		return fetch->leader_epoch < reps->state.leader_epoch ? -ESTALE : -ESRCH;
	return kbr_id_set_has(&reps->state.replicas, fetch->id) ? 0 : -EPERM;
}

/* Does the follower's log end as this one went on? (A2) */
static bool kbr_replica_diverges(struct kbr_partition *part, const struct kbr_replica_fetch *fetch,
				 struct kbr_replica_diverging *diverging)
{
	s64 start;

	if (fetch->last_epoch < 0)
		return false;
	kbr_log_epoch_end(&part->log, fetch->last_epoch, &diverging->epoch, &diverging->end);
	if (diverging->epoch < fetch->last_epoch || diverging->end < fetch->offset)
		return true;
	/* It ends where this one begins, with an epoch that is known no more: nobody can tell. */
	start = kbr_log_start(&part->log);
	return fetch->offset == start && fetch->last_epoch < kbr_log_epoch_at(&part->log, start);
}

/* @reps->lock held; the rule of lastCaughtUp is Kafka's (KIP-16) */
static void kbr_replica_note_fetch(struct kbr_partition *part,
				   struct kbr_replica_progress *progress,
				   const struct kbr_replica_fetch *fetch, s64 end, s64 now_ms)
{
	if (fetch->offset >= end)
		progress->caught_up_ms = now_ms;
	else if (fetch->offset >= progress->fetched_end)
		progress->caught_up_ms = max(progress->caught_up_ms, progress->fetched_ms);
	progress->fetched_ms = now_ms;
	progress->fetched_end = end;
	progress->broker_epoch = fetch->broker_epoch;
	progress->end = fetch->offset;
	/* What it has on its disk and not in its log is of no use. */
	progress->synced = min(fetch->synced, fetch->offset);
	progress->start = fetch->start;
	progress->hw = min(fetch->hw, fetch->offset);
}

/* Should @progress be in the in-sync set, from what is known? @reps->lock held. */
static bool kbr_replica_may_join(struct kbr_partition *part,
				 const struct kbr_replica_progress *progress)
{
	const struct kbr_replicas *reps = part->replicas;
	/* What its epoch begins with may be committed: after a restart its high watermark is old. */
	s64 need = max(kbr_partition_hw(part), reps->epoch_start);

	if (progress->broker_epoch < 0 || progress->end < need)
		return false;
	return READ_ONCE(part->topic->config.flush_async) || progress->synced >= need;
}

/**
 * struct kbr_alive - replicas whose brokers have a session
 * @set: their node.ids
 * @epoch: broker epoch of each
 */
struct kbr_alive {
	struct kbr_id_set set;
	s64 epoch[KBROKER_REPLICAS_MAX];
};

/* No lock held: the cluster's is an outer one. */
static void kbr_replica_find_alive(struct kbr_partition *part, struct kbr_alive *alive)
{
	struct kbr_replicas *reps = part->replicas;
	struct kbr_id_set replicas;
	struct kbr_peer peer;
	unsigned int i;

	spin_lock(&reps->lock);
	replicas = reps->state.replicas;
	spin_unlock(&reps->lock);
	alive->set.count = 0;
	for (i = 0; i < replicas.count; i++) {
		if (kbr_cluster_peer(part->topic->broker, replicas.id[i], &peer) || peer.fenced)
			continue;
		alive->set.id[alive->set.count] = replicas.id[i];
		alive->epoch[alive->set.count++] = peer.epoch;
	}
}

/* Has it the session that it proved? The controller refuses any other (KIP-903). */
static bool kbr_replica_is_alive(const struct kbr_alive *alive,
				 const struct kbr_replica_progress *progress)
{
	unsigned int i;

	for (i = 0; i < alive->set.count; i++)
		if (alive->set.id[i] == progress->id)
			return alive->epoch[i] == progress->broker_epoch;
	return false;
}

/* What the set should be; true if it should be another one. @reps->lock held. */
static bool kbr_replica_wish(struct kbr_partition *part, const struct kbr_alive *alive,
			     s64 now_ms, struct kbr_isr_wish *wish)
{
	s64 lag_max = READ_ONCE(part->topic->broker->config.replica_lag_time_max_ms);
	const struct kbr_replicas *reps = part->replicas;
	const struct kbr_broker *broker = part->topic->broker;
	bool other = false, in;
	unsigned int i;

	*wish = (struct kbr_isr_wish) {
		.leader_epoch = reps->state.leader_epoch,
		.partition_epoch = reps->state.partition_epoch,
	};
	for (i = 0; i < reps->state.replicas.count; i++) {
		s32 id = reps->state.replicas.id[i];
		const struct kbr_replica_progress *progress = kbr_replica_find(part->replicas, id);
		s64 epoch;

		in = kbr_id_set_has(&reps->state.isr, id);
		if (id == READ_ONCE(broker->id)) {
			epoch = kbr_cluster_epoch(broker);
		} else if (!progress) {
			continue;
		} else {
			epoch = progress->broker_epoch;
			if (in && now_ms - progress->caught_up_ms > lag_max &&
			    progress->end < kbr_log_end(&part->log)) {
				other = true;
				continue;
			}
			if (!in && (!kbr_replica_may_join(part, progress) ||
				    !kbr_replica_is_alive(alive, progress)))
				continue;
			other |= !in;
		}
		wish->id[wish->count] = id;
		wish->epoch[wish->count++] = epoch;
	}
	return other;
}

void kbr_replica_check_followers(struct kbr_partition *part, s64 now_ms)
{
	struct kbr_replicas *reps = part->replicas;
	struct kbr_isr_wish wish;
	struct kbr_alive alive;
	bool ask = false;
	unsigned int i;

	kbr_replica_find_alive(part, &alive);
	spin_lock(&reps->lock);
	/* who can't send its log doesn't judge those that can't fetch it */
	if (reps->role == KBROKER_REPLICA_ROLE_LEADER && !reps->wanted.count &&
	    READ_ONCE(part->state) != KBR_PARTITION_FAILED &&
	    kbr_replica_wish(part, &alive, now_ms, &wish)) {
		ask = true;
		for (i = 0; i < wish.count; i++)
			reps->wanted.id[i] = wish.id[i];
		reps->wanted.count = wish.count;
	}
	spin_unlock(&reps->lock);
	if (ask && kbr_cluster_isr_request(part, &wish)) {
		/* not asked: the next round tries again; what a later epoch wants stays */
		spin_lock(&reps->lock);
		if (reps->state.partition_epoch == wish.partition_epoch)
			reps->wanted.count = 0;
		spin_unlock(&reps->lock);
	}
}
KBR_EXPORT_IF_KUNIT(kbr_replica_check_followers);

int kbr_replica_fetched(struct kbr_partition *part, const struct kbr_replica_fetch *fetch,
			s64 now_ms, struct kbr_replica_diverging *diverging)
{
	struct kbr_broker *broker = part->topic->broker;
	struct kbr_replica_progress *progress;
	struct kbr_replicas *reps = part->replicas;
	bool join = false;
	int idx, err;

	if (!reps)
		return -EREMOTE;
	idx = srcu_read_lock(&broker->io);
	err = kbr_topic_gone(part->topic) ? -ENODATA :
	      READ_ONCE(part->opened) && READ_ONCE(part->state) != KBR_PARTITION_FAILED ? 0 : -EIO;
	if (err)
		goto out;
	spin_lock(&reps->lock);
	err = kbr_replica_check_fetch(reps, fetch);
	if (!err && kbr_replica_diverges(part, fetch, diverging))
		err = 1;
	if (!err && fetch->offset > kbr_log_end(&part->log))
		err = -ERANGE;
	if (!err) {
		progress = kbr_replica_find(reps, fetch->id);
		if (!progress || fetch->broker_epoch < progress->broker_epoch) {
			err = -EPERM;
		} else {
			kbr_replica_note_fetch(part, progress, fetch, kbr_log_end(&part->log), now_ms);
			join = !reps->wanted.count && !kbr_id_set_has(&reps->state.isr, fetch->id) &&
			       kbr_replica_may_join(part, progress);
		}
	}
	spin_unlock(&reps->lock);
	if (!err) {
		kbr_partition_advance_hw(part);
		if (unlikely(join))
			kbr_replica_check_followers(part, now_ms);
	}
out:
	srcu_read_unlock(&broker->io, idx);
	return err;
}
KBR_EXPORT_IF_KUNIT(kbr_replica_fetched);

/* ---- a follower's log ---- */

/* Is the follower still what it was when it fetched? Inside an I/O section. */
static int kbr_replica_check_follower(const struct kbr_partition *part, s32 leader_epoch)
{
	const struct kbr_replicas *reps = part->replicas;

	if (kbr_topic_gone(part->topic))
		return -ENODATA;
	if (READ_ONCE(reps->role) != KBROKER_REPLICA_ROLE_FOLLOWER ||
	    READ_ONCE(reps->state.leader_epoch) != leader_epoch)
		return -ESTALE;
	return READ_ONCE(part->state) == KBR_PARTITION_FOLLOWER && READ_ONCE(part->opened) ? 0 : -EIO;
}

int kbr_replica_get_position(struct kbr_partition *part, struct kbr_replica_position *position)
{
	struct kbr_broker *broker = part->topic->broker;
	struct kbr_replicas *reps = part->replicas;
	int idx = srcu_read_lock(&broker->io);
	int err;

	spin_lock(&reps->lock);
	position->leader = reps->state.leader;
	position->leader_epoch = reps->state.leader_epoch;
	err = reps->role == KBROKER_REPLICA_ROLE_FOLLOWER ? 0 : -EREMOTE;
	spin_unlock(&reps->lock);
	if (!err)
		err = kbr_replica_check_follower(part, position->leader_epoch);
	if (!err) {
		/* synced first: it is never above the end */
		position->synced = kbr_log_synced(&part->log);
		position->start = kbr_log_start(&part->log);
		position->end = kbr_log_end(&part->log);
		position->last_epoch = position->end > position->start ?
				       kbr_log_epoch_at(&part->log, position->end - 1) : -1;
	}
	srcu_read_unlock(&broker->io, idx);
	return err == -ESTALE ? -EREMOTE : err;
}
KBR_EXPORT_IF_KUNIT(kbr_replica_get_position);

/* The high watermark of the leader, as far as this log goes. */
static void kbr_replica_follow_hw(struct kbr_partition *part, s64 hw)
{
	kbr_partition_follow_hw(part, min(hw, kbr_log_end(&part->log)));
}

/* Check the batch at @buf, which @end bytes follow; its size, 0 if it is cut off, or an error. */
static int kbr_replica_check_batch(void *buf, size_t len, s64 next, s32 leader_epoch,
				   struct kbr_batch_verdict *verdict)
{
	struct kbr_batch *batch = &verdict->batch;
	int err;

	if (len < KBR_BATCH_HEADER_LEN)
		return 0;
	err = kbr_batch_decode(batch, buf, len);
	if (err)
		return err;
	if (batch->size > len)
		return 0;
	if (batch->base_offset < next || batch->leader_epoch > leader_epoch ||
	    batch->leader_epoch < 0)
		return -EBADMSG;
	err = kbr_batch_check_crc(buf, batch->size);
	if (err)
		return err;
	verdict->fault = KBR_FAULT_NONE;
	verdict->record = -1;
	verdict->max_timestamp = batch->max_timestamp;
	verdict->max_timestamp_delta = batch->last_offset_delta;
	return batch->size;
}

/*
 * Its log is to be cut, and may end at @to then, for a start after a crash. What
 * the disk promises beyond goes first, or that start would take the cut for damage.
 */
static int kbr_replica_begin_cut(struct kbr_partition *part, s64 to)
{
	struct kbr_broker *broker = part->topic->broker;
	s64 point = kbr_log_recovery_point(&part->log);
	int err;

	kbr_log_limit_checkpoint(&part->log, to);
	err = point > to ? kbr_broker_write_checkpoints(broker) :
			   kbr_broker_refresh_checkpoints(broker);
	if (err)
		kbr_log_limit_checkpoint(&part->log, S64_MAX);
	return err;
}

static void kbr_replica_end_cut(struct kbr_partition *part)
{
	kbr_log_limit_checkpoint(&part->log, S64_MAX);
	/* A cut that failed has stopped the log: the sync, which fails, begins the repair. */
	if (unlikely(READ_ONCE(part->log.stopped)))
		kbr_log_request_sync(&part->log, 0);
}

/* Drop the whole log: it begins anew at @start. The disk knows that first. */
static int kbr_replica_begin_anew(struct kbr_partition *part, s64 start)
{
	struct kbr_log *log = &part->log;
	int err;

	WRITE_ONCE(log->start_min, start);
	if (start > kbr_log_start(log))
		WRITE_ONCE(part->topic->broker->checkpoints_stale, true);
	err = kbr_replica_begin_cut(part, 0);
	if (!err) {
		kbr_partition_cutting(part, min(start, kbr_log_start(log)));
		err = kbr_log_restart(log, start);
		kbr_replica_end_cut(part);
	}
	WRITE_ONCE(log->start_min, 0);
	/* what the leader has deleted was committed */
	if (!err)
		kbr_replica_follow_hw(part, start);
	return err;
}

/* One append for all of them keeps the lock for too long, one for each costs too much. */
#define KBR_REPLICA_APPEND_BATCHES	64

/*
 * The leader's log may begin in the middle of a batch, where records before it
 * were deleted: the first one of an empty log begins before that, too.
 */
static int kbr_replica_begin_before(struct kbr_partition *part, void *buf, size_t len,
				    s32 leader_epoch, struct kbr_batch_verdict *verdict)
{
	const struct kbr_batch *batch = &verdict->batch;
	s64 end = kbr_log_end(&part->log);

	if (kbr_log_start(&part->log) != end ||
	    kbr_replica_check_batch(buf, len, 0, leader_epoch, verdict) <= 0 ||
	    batch->base_offset >= end || kbr_batch_last_offset(batch) < end)
		return 0;
	return kbr_replica_begin_anew(part, batch->base_offset);
}

static int kbr_replica_append_some(struct kbr_partition *part, void *buf, size_t len,
				   s32 leader_epoch, struct kbr_batch_verdict *verdicts,
				   size_t *used)
{
	s64 next = kbr_log_end(&part->log);
	struct kbr_append append = {
		.buf = buf,
		.verdicts = verdicts,
		.as_follower = true,
		.now_ms = kbr_clock_now_ms(),
	};
	int size;

	while (append.batches < KBR_REPLICA_APPEND_BATCHES && append.len < len) {
		struct kbr_batch_verdict *verdict = &verdicts[append.batches];

		size = kbr_replica_check_batch(buf + append.len, len - append.len, next,
					       leader_epoch, verdict);
		if (size < 0)
			return size;
		if (!size)
			break;
		if (append.len && append.len + size > KBR_BATCH_BYTES_MAX)
			break;
		append.len += size;
		append.batches++;
		next = kbr_batch_last_offset(&verdict->batch) + 1;
	}
	*used = append.len;
	if (!append.batches)
		return 0;
	return kbr_log_append(&part->log, &append, false);
}

int kbr_replica_append(struct kbr_partition *part, void *buf, size_t len, s32 leader_epoch,
		       s64 hw, s64 start)
{
	struct kbr_broker *broker = part->topic->broker;
	struct kbr_batch_verdict *verdicts = NULL;
	size_t used = 0, at = 0;
	s64 deleted;
	int idx, err = 0;

	if (len) {
		verdicts = kvmalloc_array(KBR_REPLICA_APPEND_BATCHES, sizeof(*verdicts), GFP_KERNEL);
		if (!verdicts)
			return -ENOMEM;
	}
	idx = srcu_read_lock(&broker->io);
	/* what was deleted was committed, also if the log has to begin before that */
	deleted = kbr_log_start(&part->log);
	do {
		/* looked at for each part: a change of the role stops the rest (A1) */
		err = kbr_replica_check_follower(part, leader_epoch);
		if (!err && len && !at)
			err = kbr_replica_begin_before(part, buf, len, leader_epoch, verdicts);
		if (!err && len)
			err = kbr_replica_append_some(part, buf + at, len - at, leader_epoch,
						      verdicts, &used);
		at += used;
	} while (!err && used && at < len);
	if (at)
		kbr_log_request_sync(&part->log, !READ_ONCE(part->topic->config.flush_async));
	if (!err) {
		kbr_replica_follow_hw(part, max(hw, deleted));
		/* what the leader has dropped is dropped here, too, as far as it is committed */
		start = min(max(start, deleted), kbr_partition_hw(part));
		if (start > kbr_log_start(&part->log)) {
			err = kbr_log_set_start(&part->log, start);
			atomic_set(&broker->checkpoints_due, 1);
		}
	}
	srcu_read_unlock(&broker->io, idx);
	kvfree(verdicts);
	return err;
}
KBR_EXPORT_IF_KUNIT(kbr_replica_append);

/* Where the own largest epoch up to @epoch ends. */
static s64 kbr_replica_own_end(struct kbr_partition *part, s32 epoch)
{
	s32 found;
	s64 end;

	/* of a later epoch nothing is here: then there is nothing to cut */
	if (epoch >= kbr_log_last_epoch(&part->log))
		return kbr_log_end(&part->log);
	kbr_log_epoch_end(&part->log, epoch, &found, &end);
	if (found > epoch || end < 0)
		return kbr_log_start(&part->log);	/* it has nothing that old */
	return end;
}

int kbr_replica_truncate(struct kbr_partition *part, s32 leader_epoch,
			 const struct kbr_replica_diverging *diverging)
{
	struct kbr_broker *broker = part->topic->broker;
	int idx = srcu_read_lock(&broker->io);
	s64 to, hw;
	int err;

	err = kbr_replica_check_follower(part, leader_epoch);
	if (err)
		goto out;
	to = min(kbr_replica_own_end(part, diverging->epoch), max(diverging->end, 0));
	/*
	 * What it knows of epochs ends at its log start: below that nobody can tell
	 * what differs, and nobody has to, since it was deleted.
	 */
	if (to <= diverging->start && kbr_log_start(&part->log) < diverging->start) {
		err = kbr_replica_begin_anew(part, diverging->start);
		goto out;
	}
	to = max(to, kbr_log_start(&part->log));
	hw = kbr_partition_hw(part);
	if (to < hw)
		pr_warn_ratelimited("%s: %s-%u: the leader's log differs below the high watermark: records %lld to %lld are cut (an unclean election?)\n",
				    broker->name, part->topic->name, part->index, to, hw - 1);
	err = kbr_replica_begin_cut(part, to);
	if (!err) {
		kbr_partition_cutting(part, to);
		err = kbr_log_truncate(&part->log, to);
		kbr_replica_end_cut(part);
	}
out:
	srcu_read_unlock(&broker->io, idx);
	return err;
}
KBR_EXPORT_IF_KUNIT(kbr_replica_truncate);

int kbr_replica_restart(struct kbr_partition *part, s32 leader_epoch, s64 start)
{
	struct kbr_broker *broker = part->topic->broker;
	int idx = srcu_read_lock(&broker->io);
	int err = kbr_replica_check_follower(part, leader_epoch);

	if (!err) {
		pr_info_ratelimited("%s: %s-%u: the leader begins at offset %lld: so does this replica, anew\n",
				    broker->name, part->topic->name, part->index, start);
		err = kbr_replica_begin_anew(part, start);
	}
	srcu_read_unlock(&broker->io, idx);
	return err;
}
KBR_EXPORT_IF_KUNIT(kbr_replica_restart);
