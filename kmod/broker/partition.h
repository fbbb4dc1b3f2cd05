/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A partition: the only door to a log for every front end.
 *
 * Role, high watermark, waiters. Standalone it leads and its high watermark is
 * the synced end (flush.policy=async: the log end). Replication will set the
 * high watermark from the in-sync set through the same function.
 */
#ifndef _KBR_BROKER_PARTITION_H
#define _KBR_BROKER_PARTITION_H

#include <linux/types.h>
#include <linux/uio.h>
#include <linux/wait.h>

#include "broker/topic.h"
#include "codec/batch.h"
#include "storage/log.h"

enum kbr_partition_state {
	KBR_PARTITION_OFFLINE,		/* not opened, or could not be */
	KBR_PARTITION_LEADER,
	KBR_PARTITION_REPAIRING,	/* a sync failed; being read back */
	KBR_PARTITION_FAILED,		/* stopped at damage or an I/O error, see @error */
	KBR_PARTITION_DELETED,
	KBR_PARTITION_FOLLOWER,		/* a member's: copies its leader, if there is one */
	KBR_PARTITION_REMOTE,		/* a member's: no replica is here */
};

/**
 * struct kbr_partition - one partition; freed with its topic
 * @log: its log
 * @topic: its topic (no reference: the topic owns the partition)
 * @index: its number
 * @minor: minor of its device node
 * @state: enum kbr_partition_state (READ_ONCE; changed by the operation or the
 *	work that brings it there)
 * @error: errno that made it REPAIRING or FAILED
 * @opened: @log was opened and not yet closed (operations only, or inside an
 *	I/O section)
 * @has_minor: @minor was allocated
 * @sync_failures: counts syncs that failed; kbr_produce.failures is its value at
 *	an append, see kbr_partition_lost() (release/acquire)
 * @failed_from: log's synced end when the last sync failed (before @sync_failures)
 * @damaged: offset of damage found by recovery or the scrub, -1 none
 * @damaged_end: where what the scrub found ends (before @damaged)
 * @hw: high watermark (release/acquire), see kbr_partition_hw()
 * @wait: readers at the end and writers that wait for their acks
 * @repair: work item
 * @scrub: where the scrub goes on
 * @replicas: what a member of a cluster is to it; NULL standalone. Set once,
 *	before it is published
 */
struct kbr_partition {
	struct kbr_log log;
	struct kbr_topic *topic;
	u32 index;
	u32 minor;
	u8 state;
	bool opened;
	bool has_minor;
	int error;
	u32 sync_failures;
	s64 failed_from;
	s64 damaged;
	s64 damaged_end;
	s64 hw;
	wait_queue_head_t wait;
	struct work_struct repair;
	struct kbr_log_pos scrub;
	struct kbr_replicas *replicas;
};

struct kbr_replicas;

#define KBR_ACKS_NONE	0
#define KBR_ACKS_LEADER	1
#define KBR_ACKS_ALL	(-1)

/**
 * struct kbr_produce - one produce: in and out
 * @buf: whole batches back to back in kernel memory; stamped in place
 * @len: bytes (<= KBR_WRITE_BYTES_MAX in at most KBR_WRITE_BATCHES_MAX batches,
 *	or one batch)
 * @acks: KBR_ACKS_*
 * @trusted: built by our own code from checked parts: not validated again;
 *	@verdict must then describe the one batch
 * @internal: the broker's own code writes to an internal topic
 * @nowait: -EAGAIN instead of waiting for unsynced bytes to fall; who parks on
 *	kbr_broker.unsynced_wait then tries again
 * @defer_sync: kbr_partition_request_sync() follows, so that what one caller
 *	appends to several partitions shares a sync
 * @final: the last close() of a device: no signal may end it, nor does it wait
 *	for room
 * @now_ms: time of the append, if the caller has asked the clock already; else 0
 * @verdict: see @trusted
 * @base_offset: out
 * @last_offset: out
 * @records: out
 * @log_append_time: out: ms or -1
 * @failures: out: what kbr_partition_wait_acks() compares
 * @fault: out: why a batch was refused
 */
struct kbr_produce {
	void *buf;
	size_t len;
	int acks;
	bool trusted;
	bool internal;
	bool nowait;
	bool defer_sync;
	bool final;
	s64 now_ms;
	struct kbr_batch_verdict verdict;
	s64 base_offset;
	s64 last_offset;
	u32 records;
	s64 log_append_time;
	u32 failures;
	enum kbr_batch_fault fault;
};

/**
 * kbr_partition_produce() - validate and append; does not wait for acks
 *
 * Asks for a sync where @p->acks needs one (and lets the background do it
 * otherwise). Interruptible until the append begins.
 *
 * Return: 0; -EBADMSG, -EINVAL, -EMSGSIZE, -EFBIG, -ETIME, -EOPNOTSUPP as
 * kbr_batch_validate(); -ENOLINK in-sync set too small; -ENODEV gone;
 * -EREMOTE another broker leads it; -EIO stopped; -ENOSPC; -EROFS internal
 * topic; -EAGAIN; -EINTR; -ENOMEM;
 * -EILSEQ, -EKEYEXPIRED idempotent producer.
 */
int kbr_partition_produce(struct kbr_partition *part, struct kbr_produce *p);

/**
 * kbr_partition_check() - would the leader of @part refuse what @p holds?
 *
 * Return: 0, or as kbr_partition_produce() what is wrong with it.
 */
int kbr_partition_check(struct kbr_partition *part, struct kbr_produce *p);

/** kbr_partition_request_sync() - the sync that @p->defer_sync left out, if @p->acks needs it */
void kbr_partition_request_sync(struct kbr_partition *part, const struct kbr_produce *p);

/**
 * kbr_partition_acked() - kbr_partition_wait_acks() for who must not wait
 *
 * Context: any.
 * Return: 1 committed; 0 not yet; -EIO the sync failed (the records may be
 * gone); -EREMOTE it leads no more: they may still be committed; -ENODEV
 * deleted or stopped.
 */
int kbr_partition_acked(const struct kbr_partition *part, s64 offset, u32 failures);

/**
 * kbr_partition_wait_acks() - wait until @offset is committed
 * @offset: last offset of what was appended
 * @failures: kbr_produce.failures of that append: offsets are used again after
 *	a failed sync cut the log, so the offset alone does not tell
 * @timeout_ms: delivery.timeout.ms
 *
 * Only a fatal signal ends the wait early. Return: 0; -ETIMEDOUT; -EINTR;
 * -EIO the sync failed (the records may be gone); -ENODEV deleted or stopped.
 */
int kbr_partition_wait_acks(struct kbr_partition *part, s64 offset, u32 failures,
			    s64 timeout_ms);

/**
 * kbr_partition_sync() - fsync: everything up to @end (exclusive) is durable
 * @failures: kbr_produce.failures of the first write since the last fsync
 *
 * Kicks a sync and waits for it, at most delivery.timeout.ms, whatever
 * flush.policy says. Return: as kbr_partition_wait_acks().
 */
int kbr_partition_sync(struct kbr_partition *part, s64 end, u32 failures);

/**
 * kbr_partition_lost() - may a failed sync have taken the record at @offset?
 * @failures: kbr_produce.failures of its append
 *
 * For writers that did not wait for their acks.
 */
bool kbr_partition_lost(const struct kbr_partition *part, s64 offset, u32 failures);

/** kbr_partition_hw() - high watermark, never above the log's end */
static inline s64 kbr_partition_hw(const struct kbr_partition *part)
{
	/* pairs with the release in kbr_partition_raise_hw() */
	s64 hw = smp_load_acquire(&part->hw);

	/* a repair cuts the log of an async topic before it lowers the watermark */
	return min(hw, kbr_log_end(&part->log));
}

/**
 * kbr_partition_read() - whole batches from @pos on, below the high watermark
 *
 * Return: as kbr_log_read(); 0 at the high watermark; -ENODATA gone (end of file).
 */
ssize_t kbr_partition_read(struct kbr_partition *part, struct kbr_log_pos *pos,
			   struct iov_iter *to, size_t *room);

/**
 * struct kbr_partition_bounds - what a fetch tells beside the records
 * @start: log start
 * @hw: high watermark
 */
struct kbr_partition_bounds {
	s64 start;
	s64 hw;
};

/** kbr_partition_get_bounds() - 0; -ENODATA gone; -EIO it was never opened */
int kbr_partition_get_bounds(struct kbr_partition *part, struct kbr_partition_bounds *bounds);

/**
 * kbr_partition_map() - whole batches from @pos on, below the high watermark, to be sent
 * @max: as kbr_log_map()
 * @slice: result; holds segment and file alone: neither the deletion of the
 *	topic nor its broker's stop waits for it, but the directory must live
 *	until kbr_log_unmap()
 * @bounds: as they were before @slice was looked for
 *
 * Return: 1 with a slice; 0 nothing below the high watermark; -ERANGE outside
 * of the log; -EBADMSG damage; -EIO; -ENOMEM; -ENODATA gone. @bounds is set
 * unless it is gone.
 */
int kbr_partition_map(struct kbr_partition *part, struct kbr_log_pos *pos, size_t max,
		      struct kbr_log_slice *slice, struct kbr_partition_bounds *bounds);

/**
 * kbr_partition_check_epoch() - is @epoch, which a client believes in, the leader epoch?
 * @epoch: -1: the client does not know
 *
 * Return: 0; -ESTALE it is older; -ESRCH it is newer; -ENODATA gone.
 */
int kbr_partition_check_epoch(struct kbr_partition *part, s32 epoch);

/** kbr_partition_epoch_end() - as kbr_log_epoch_end(); 0, -ENODATA gone, -EIO */
int kbr_partition_epoch_end(struct kbr_partition *part, s32 epoch, s32 *found, s64 *end);

/** kbr_partition_epoch_at() - leader epoch of the record at @offset, -1 unknown */
s32 kbr_partition_epoch_at(struct kbr_partition *part, s64 offset);

/**
 * kbr_partition_find_latest_time() - the first record with the largest timestamp
 *
 * Return: as kbr_partition_find_time(); -EINPROGRESS: it is not committed yet.
 */
int kbr_partition_find_latest_time(struct kbr_partition *part, s64 *offset, s64 *found);

/**
 * kbr_partition_find_time() - the first committed record with a timestamp at or after @timestamp
 * @offset: out: exact record offset, -1 if none
 * @found: out: that record's timestamp, -1 if none
 *
 * Return: 0; -ENODATA gone; other errors of the log.
 */
int kbr_partition_find_time(struct kbr_partition *part, s64 timestamp, s64 *offset, s64 *found);

/**
 * struct kbr_partition_lag - how far a position is behind the end
 * @position: it, or the log start if that is above it
 * @start: log start
 * @hw: high watermark
 * @records: between @position and @hw
 * @bytes: between @position and the log end, estimated
 * @ms: age of the record at @position, estimated; 0 at the end, -1 not known
 */
struct kbr_partition_lag {
	s64 position;
	s64 start;
	s64 hw;
	s64 records;
	u64 bytes;
	s64 ms;
};

/** kbr_partition_get_lag() - 0; -ENODATA the log is not open, or gone */
int kbr_partition_get_lag(struct kbr_partition *part, s64 position, struct kbr_partition_lag *lag);

/**
 * struct kbr_partition_info - a copy of a partition's state, for netlink
 * @state: enum kbr_partition_state
 * @error: errno that stopped it, 0 if none
 * @damaged: offset of damage, -1 none
 * @leader_epoch: epoch of appends
 * @log_start: first offset that exists
 * @hw: high watermark
 * @log_end: offset of the next append
 * @synced: first offset not known to be durable
 * @stats: what storage counts; zero once the broker has stopped
 */
struct kbr_partition_info {
	enum kbr_partition_state state;
	int error;
	s64 damaged;
	s32 leader_epoch;
	s64 log_start;
	s64 hw;
	s64 log_end;
	s64 synced;
	struct kbr_log_stats stats;
};

/** kbr_partition_describe() - fill @info; at any time while a reference on the topic is held */
void kbr_partition_describe(struct kbr_partition *part, struct kbr_partition_info *info);

/**
 * kbr_partition_map_replica() - as kbr_partition_map(), for a follower: up to the log end
 *
 * kbr_replica_fetched() comes first.
 */
int kbr_partition_map_replica(struct kbr_partition *part, struct kbr_log_pos *pos, size_t max,
			      struct kbr_log_slice *slice, struct kbr_partition_bounds *bounds);

/** kbr_partition_check_leader() - 0, or -EREMOTE: another broker leads it, or none */
static inline int kbr_partition_check_leader(const struct kbr_partition *part)
{
	u8 state = READ_ONCE(part->state);

	return state == KBR_PARTITION_FOLLOWER || state == KBR_PARTITION_REMOTE ? -EREMOTE : 0;
}

/** kbr_partition_leader_epoch() - of its leadership as far as it is known here, -1 not at all */
s32 kbr_partition_leader_epoch(const struct kbr_partition *part);

/** kbr_partition_serves() - is there a log that consumers may read? */
static inline bool kbr_partition_serves(const struct kbr_partition *part)
{
	u8 state = READ_ONCE(part->state);

	return state == KBR_PARTITION_LEADER || state == KBR_PARTITION_FOLLOWER;
}

/** kbr_partition_advance() - storage's news: the synced end moved, or a sync failed (@err); wakes who waits for it */
void kbr_partition_advance(struct kbr_partition *part, int err);
/** kbr_partition_wake() - wake everybody who sleeps on it (death of topic or broker) */
void kbr_partition_wake(struct kbr_partition *part);

/** kbr_partition_alloc() - an OFFLINE partition of @topic without a log; NULL on -ENOMEM */
struct kbr_partition *kbr_partition_alloc(struct kbr_topic *topic, u32 index);
void kbr_partition_free(struct kbr_partition *part);
/** kbr_partition_create() - make the log of a new partition and lead it */
int kbr_partition_create(struct kbr_partition *part);
/**
 * kbr_partition_open() - open and recover an existing log, and lead it
 * @clean: the broker stopped cleanly
 * @recovery_point: checkpointed, 0 unknown
 * @start: checkpointed log start, 0 unknown
 * @hw: checkpointed high watermark, 0 unknown; for members
 *
 * A directory that is not there though nothing was ever synced in it is made
 * anew: its topic's creation was cut off after the commit. On error the
 * partition is FAILED and says so.
 */
int kbr_partition_open(struct kbr_partition *part, bool clean, s64 recovery_point, s64 start,
		       s64 hw, struct kbr_log_report *report);
/** kbr_partition_fail() - stop at an error or at damage (@damaged >= 0), visibly */
void kbr_partition_fail(struct kbr_partition *part, int err, s64 damaged);
/** kbr_partition_retire() - no I/O section runs or begins any more: end its repair */
void kbr_partition_retire(struct kbr_partition *part);
/** kbr_partition_delete_records() - raise the log start; @offset -1: the high watermark; lifts damage below */
int kbr_partition_delete_records(struct kbr_partition *part, s64 offset);
/* Between this and replica*.c. */
/** kbr_partition_advance_hw() - a follower has come further: raise the high watermark, wake who waits */
void kbr_partition_advance_hw(struct kbr_partition *part);
/** kbr_partition_follow_hw() - a follower's high watermark is at least @hw; wake who waits */
void kbr_partition_follow_hw(struct kbr_partition *part, s64 hw);
/**
 * kbr_partition_cutting() - what lies at @offset and above is about to go
 *
 * Its writers must not take other records for theirs.
 */
void kbr_partition_cutting(struct kbr_partition *part, s64 offset);
/** kbr_partition_quiesce() - nobody appends from here on but the fetcher; who waits learns it */
void kbr_partition_quiesce(struct kbr_partition *part, enum kbr_partition_state state);
/** kbr_partition_set_role() - from now on it is @state, unless it is damaged or being repaired */
void kbr_partition_set_role(struct kbr_partition *part, enum kbr_partition_state state);
/** kbr_partition_join() - make the log of a replica that is new here, unsynced; operations */
int kbr_partition_join(struct kbr_partition *part);
/** kbr_partition_remove() - remove the log of one that is here no more; operations */
void kbr_partition_remove(struct kbr_partition *part);
/** kbr_partition_clear() - the same, be it that the log could not be opened; 0 or -errno; operations */
int kbr_partition_clear(struct kbr_partition *part);
/** kbr_partition_is_lost() - is its log damaged, or gone, and no try is left? */
bool kbr_partition_is_lost(const struct kbr_partition *part);
void kbr_partition_raise(struct kbr_partition *part);
int kbr_partition_init(void);
void kbr_partition_exit(void);

static inline struct kbr_partition *kbr_partition_of(struct kbr_log *log)
{
	return container_of(log, struct kbr_partition, log);
}

/** kbr_partition_name() - "<topic>-<n>" into @name (KBR_PARTITION_NAME_SIZE) */
#define KBR_PARTITION_NAME_SIZE	(KBR_TOPIC_NAME_MAX + 12)
void kbr_partition_name(const struct kbr_partition *part, char *name);
const char *kbr_partition_state_name(enum kbr_partition_state state);

#endif /* _KBR_BROKER_PARTITION_H */
