/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The log of one partition: ordered segments in a directory in Kafka's format.
 *
 * One append entry (kbr_log_append()), one read entry (kbr_log_map(), with
 * kbr_log_read() on top). Offsets are published with release and read with
 * acquire, so readers never take the append lock. Files are opened on use and
 * kept in an LRU of the broker (struct kbr_log_env); an idle log has none
 * open, no timer and no thread.
 *
 * Invariant: start <= end and synced <= end (all offsets); the start passes the
 * synced end when records that are not durable yet are deleted. The high
 * watermark is the broker layer's and lies between start and end.
 */
#ifndef _KBR_STORAGE_LOG_H
#define _KBR_STORAGE_LOG_H

#include <linux/atomic.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/seqlock.h>
#include <linux/types.h>
#include <linux/uio.h>

#include "codec/batch.h"
#include "storage/file.h"
#include "storage/syncer.h"

struct kbr_segment;
struct kbr_segment_list;
struct kbr_producer_table;
struct kbr_epoch_cache;
struct kbr_file_cache;
struct kbr_files;
struct kbr_index_tail;
struct kbr_log;

/**
 * struct kbr_log_config - the topic configs that storage obeys (Kafka's names)
 * @segment_bytes: segment.bytes
 * @index_bytes_max: segment.index.bytes
 * @index_interval_bytes: index.interval.bytes
 * @segment_ms: segment.ms
 * @segment_jitter_ms: segment.jitter.ms
 * @retention_ms: retention.ms, -1 unlimited
 * @retention_bytes: retention.bytes, -1 unlimited
 * @file_delete_delay_ms: file.delete.delay.ms
 * @batch_bytes_max: max.message.bytes
 * @timestamp_before_max_ms: message.timestamp.before.max.ms
 * @timestamp_after_max_ms: message.timestamp.after.max.ms
 * @append_time: message.timestamp.type=LogAppendTime
 * @compact: cleanup.policy contains compact (null keys are refused)
 * @retain: cleanup.policy contains delete
 */
struct kbr_log_config {
	u32 segment_bytes;
	u32 index_bytes_max;
	u32 index_interval_bytes;
	s64 segment_ms;
	s64 segment_jitter_ms;
	s64 retention_ms;
	s64 retention_bytes;
	s64 file_delete_delay_ms;
	u32 batch_bytes_max;
	s64 timestamp_before_max_ms;
	s64 timestamp_after_max_ms;
	bool append_time;
	bool compact;
	bool retain;
};

extern const struct kbr_log_config kbr_log_config_default;

/**
 * struct kbr_log_env - what the logs of one broker share
 * @dir: the broker directory
 * @syncer: group commit
 * @files: LRU of open segment files (opaque; kbr_log_env_init() makes it)
 * @producer_expiration_ms: producer.id.expiration.ms
 * @unsynced_bytes: appended and not known to be durable, all logs; kept by storage
 * @synced: called from the syncer's worker, without locks, after the synced end
 *	moved (err 0) or a sync failed (err < 0; the log is then stopped until
 *	kbr_log_repair()); may be NULL
 */
struct kbr_log_env {
	struct kbr_dir *dir;
	struct kbr_syncer *syncer;
	struct kbr_file_cache *files;
	s64 producer_expiration_ms;
	atomic64_t unsynced_bytes;
	void (*synced)(struct kbr_log *log, int err);
};

int kbr_log_env_init(struct kbr_log_env *env, struct kbr_dir *dir, unsigned int files_max);
void kbr_log_env_exit(struct kbr_log_env *env);
/** kbr_log_env_set_files_max() - how many segments keep their files open from now on */
void kbr_log_env_set_files_max(struct kbr_log_env *env, unsigned int files_max);
/**
 * kbr_log_env_trim() - close cached files not used for @idle_ms and with nothing unsynced
 *
 * Periodic upkeep calls it.
 */
void kbr_log_env_trim(struct kbr_log_env *env, unsigned int idle_ms);

/* Ends of the last appends that are remembered, for readers at the tail */
#define KBR_LOG_BORDERS		4

/**
 * struct kbr_log_border - a place between two batches
 * @offset: offset of the record after it
 * @pos: file position
 */
struct kbr_log_border {
	s64 offset;
	u32 pos;
};

/**
 * struct kbr_log - see the head of this file
 *
 * Fields are storage's own except where an accessor below reads them; the
 * struct is public so that it can be embedded in a partition.
 *
 * Lock order: @lock, then @tail, then the file cache's lock.
 *
 * @lock: append, roll, truncate, delete segments ("append lock"; held over
 *	page-cache writes, never over a disk sync of appends or a fault of user
 *	memory)
 * @tail: short; what appends publish to readers and to the syncer
 * @start: log start offset (release/acquire; written under @lock)
 * @end: log end offset (release/acquire; written under @lock and @tail)
 * @synced: first offset not known to be durable (release/acquire; written
 *	under @tail)
 * @checkpoint: recovery point: data and indexes below are durable (READ_ONCE)
 * @checkpoint_max: it does not rise above this while the log is being cut
 * @start_min: where the log is to begin anew, for the checkpoint before it does; 0 it is not
 * @size: bytes of all segments (READ_ONCE; written under @lock, and by appends
 *	with release after @end, see kbr_log_size())
 * @stopped: 0, or the errno that stopped appends (-EIO on a sync, damage;
 *	READ_ONCE)
 * @epoch: leader epoch that appends carry (@lock)
 * @generation: counts truncations, so that readers' hints die (READ_ONCE;
 *	written under @lock)
 * @borders_at: where the next border goes (@tail)
 * @borders: ends of the last appends, all in segment @tail_base (@tail)
 * @tail_base: base offset of the active segment (@tail)
 * @synced_base: segment of @synced_pos, S64_MIN unknown (@tail)
 * @synced_pos: file position of @synced (@tail)
 * @noted_base: segment of @noted_pos (@tail)
 * @noted: end of the running sync round, -1 none (@tail)
 * @noted_pos: its file position (@tail)
 * @round: files that the running sync round was given, -1 none runs (@tail)
 * @retaining: kbr_log_retain() is under way (@lock)
 * @meta_dirty: indexes, epochs or snapshots may be newer than on disk (@lock)
 * @epochs_dirty: leader-epoch-checkpoint is older than @epochs (@lock)
 * @snapshot: offset of the newest producer snapshot, -1 none (@lock)
 * @snapshot_wanted: the one that must be durable before segments are removed,
 *	-1 not chosen yet (@lock)
 * @snapshot_durable: the newest that was synced, -1 none (@lock)
 * @snapshot_behind: bytes appended since it was taken (@lock)
 * @snapshots_stale: there are others that nobody needs any more (@lock)
 * @half_made: base of a segment that could not be made and whose file did not
 *	go either, -1 none (@lock)
 * @env: the broker's
 * @config: the topic's; may change under our feet, each field is read once
 * @name: "<topic>-<n>", owned
 * @segments: all segments by base offset (RCU; written under @lock)
 * @producers: idempotent producers, NULL until an id is seen (@lock)
 * @epochs: leader epochs, immutable once published (RCU; written under @lock)
 * @index_tail: index entries not yet written, NULL if none (@lock)
 * @sync: handle for the syncer
 * @dirty: segments with unsynced bytes, oldest first (@tail)
 * @doomed: removed segments whose files are still there (@lock)
 * @unsynced_bytes: appended and not known to be durable (@tail)
 */
struct kbr_log {
	struct mutex lock;
	seqlock_t tail;
	int stopped;
	s64 start;
	s64 end;
	s64 synced;
	s64 checkpoint;
	s64 checkpoint_max;
	s64 start_min;
	u64 size;
	s32 epoch;
	u32 generation;
	u32 borders_at;
	u32 synced_pos;
	struct kbr_log_border borders[KBR_LOG_BORDERS];
	s64 tail_base;
	s64 synced_base;
	s64 noted_base;
	s64 noted;
	u32 noted_pos;
	int round;
	bool retaining;
	bool meta_dirty;
	bool epochs_dirty;
	bool snapshots_stale;
	s64 snapshot;
	s64 snapshot_wanted;
	s64 snapshot_durable;
	u64 snapshot_behind;
	s64 half_made;
	struct kbr_log_env *env;
	const struct kbr_log_config *config;
	char *name;
	struct kbr_segment_list __rcu *segments;
	struct kbr_producer_table *producers;
	struct kbr_epoch_cache __rcu *epochs;
	struct kbr_index_tail *index_tail;
	struct kbr_sync_target sync;
	struct list_head dirty;
	struct list_head doomed;
	u64 unsynced_bytes;
};

/**
 * struct kbr_log_report - what opening a log found and did
 * @clean: nothing had to be read
 * @scanned_bytes: bytes read to check what was not known to be synced
 * @cut_bytes: bytes of a torn tail that were cut
 * @cut_offset: first offset that was cut
 * @removed_segments: segments after the cut that were removed
 * @rebuilt_indexes: indexes written anew
 * @damaged_offset: offset of damage below the recovery point, -1 if none:
 *	acknowledged data is lost from there on and the log stops at it
 */
struct kbr_log_report {
	bool clean;
	u64 scanned_bytes;
	u64 cut_bytes;
	s64 cut_offset;
	unsigned int removed_segments;
	unsigned int rebuilt_indexes;
	s64 damaged_offset;
};

/**
 * kbr_log_create() - make the directory and the first segment, and open it
 * @name: "<topic>-<n>"
 * @topic_id: for partition.metadata
 * @start: first offset
 */
int kbr_log_create(struct kbr_log *log, struct kbr_log_env *env, const char *name,
		   const u8 topic_id[16], const struct kbr_log_config *config, s64 start);

/**
 * kbr_log_make() - kbr_log_create() for many: nothing is synced
 *
 * The caller syncs the broker directory once for all of them, before it lets
 * anybody append. After a crash a directory without segments may be left, or
 * none; kbr_log_open() makes an empty log of the one and gives -ENOENT for the
 * other. What is appended and synced makes the log's own files durable.
 */
int kbr_log_make(struct kbr_log *log, struct kbr_log_env *env, const char *name,
		 const u8 topic_id[16], const struct kbr_log_config *config, s64 start);

/**
 * kbr_log_open() - open an existing log, recovering it
 * @clean: the broker's clean-shutdown marker was there
 * @recovery_point: everything below was synced, as checkpointed (0: unknown)
 * @start_checkpoint: log start offset as checkpointed (0: unknown)
 * @report: what was found and done
 *
 * After an unclean stop the leader epoch must be raised by the caller
 * (kbr_log_set_epoch()) before appends. After an error kbr_log_recovery_point()
 * and kbr_log_start() give what was checkpointed, so that it is not forgotten.
 * Context: may read a lot; runs on a worker.
 */
int kbr_log_open(struct kbr_log *log, struct kbr_log_env *env, const char *name,
		 const u8 topic_id[16], const struct kbr_log_config *config, bool clean,
		 s64 recovery_point, s64 start_checkpoint, struct kbr_log_report *report);

/**
 * kbr_log_close() - clean stop: sync, producer snapshot, indexes, close files
 *
 * No user may remain. kbr_log_recovery_point() may be asked afterwards.
 * Returns the first error; memory and files are released whatever it is, and
 * the stop then does not count as clean.
 */
int kbr_log_close(struct kbr_log *log);
/**
 * kbr_log_abandon() - release memory and files without touching the disk (failed start,
 * crash tests)
 */
void kbr_log_abandon(struct kbr_log *log);
/** kbr_log_delete() - close and remove: renamed to "<name>.<hex>-delete", then unlinked */
int kbr_log_delete(struct kbr_log *log);
/**
 * kbr_log_discard() - kbr_log_delete() for many: the broker directory is synced by the caller
 *
 * A crash may leave any part.
 */
int kbr_log_discard(struct kbr_log *log);
/** kbr_log_discard_unopened() - the same of one that could not be opened; 0 too if there is none */
int kbr_log_discard_unopened(struct kbr_dir *dir, const char *name);
/**
 * kbr_log_delete_leftovers() - remove "*-delete" directories that a crash left in the broker
 * directory
 */
int kbr_log_delete_leftovers(struct kbr_dir *dir);

/**
 * kbr_log_checkpoint() - make indexes, epochs and snapshots durable as far as the data is
 *
 * What recovery-point-offset-checkpoint should say for this log. Cheap when
 * nothing changed since the last time. Not for several callers at once.
 * Context: may sync small files; takes @log->lock, but not over a sync.
 * Return: the recovery point (also when syncing failed: then it did not move).
 */
s64 kbr_log_checkpoint(struct kbr_log *log);

/**
 * kbr_log_recovery_point() - what kbr_log_checkpoint() or kbr_log_close() last returned or
 * reached
 */
static inline s64 kbr_log_recovery_point(const struct kbr_log *log)
{
	return READ_ONCE(log->checkpoint);
}

/**
 * kbr_log_set_epoch() - appends from now on carry @epoch
 *
 * leader-epoch-checkpoint is written by the next kbr_log_checkpoint() or
 * kbr_log_close(), before the recovery point passes a record of that epoch;
 * until then recovery finds the epoch in the batches.
 *
 * Return: 0; -ESTALE @epoch is older than the last; -ENOMEM.
 */
int kbr_log_set_epoch(struct kbr_log *log, s32 epoch);
/**
 * kbr_log_stop_leading() - from now on only followers' appends are taken (-EREMOTE)
 *
 * Until the next kbr_log_set_epoch(). No other append is under way any more
 * when it returns. Epochs without a record are forgotten: another leader may
 * have records of older ones for these offsets.
 */
void kbr_log_stop_leading(struct kbr_log *log);
/** kbr_log_last_epoch() - the last leader epoch that the log knows, -1 none */
s32 kbr_log_last_epoch(struct kbr_log *log);
/**
 * kbr_log_epoch_end() - Kafka's endOffsetFor(@epoch)
 *
 * Fills the epoch found and its end offset (-1/-1 unknown).
 */
void kbr_log_epoch_end(struct kbr_log *log, s32 epoch, s32 *found, s64 *end);
/** kbr_log_epoch_at() - epoch of the record at @offset, -1 unknown */
s32 kbr_log_epoch_at(struct kbr_log *log, s64 offset);

static inline s64 kbr_log_start(const struct kbr_log *log)
{
	return smp_load_acquire(&log->start);	/* pairs with (A) in kbr_log_publish_start() */
}

static inline s64 kbr_log_end(const struct kbr_log *log)
{
	return smp_load_acquire(&log->end);	/* pairs with (B) in kbr_log_publish_end() */
}

static inline s64 kbr_log_synced(const struct kbr_log *log)
{
	return smp_load_acquire(&log->synced);	/* pairs with (C) in kbr_log_publish_synced() */
}

/** kbr_log_size() - bytes of all segments; a kbr_log_end() asked for afterwards counts them, too */
static inline u64 kbr_log_size(const struct kbr_log *log)
{
	return smp_load_acquire(&log->size);	/* pairs with (E) in kbr_log_publish_end() */
}

/**
 * struct kbr_append - one append: in and out
 * @buf: one or more whole batches back to back, in kernel memory; they were
 *	validated (kbr_batch_validate()) and are stamped in place: offset,
 *	epoch, append time, and maxTimestamp where the verdict says otherwise
 * @len: bytes, all batches together at most KBR_BATCH_BYTES_MAX
 * @verdicts: what validation found, one a batch (a follower: decoded headers);
 *	their headers are stamped as the batches are
 * @batches: number of batches
 * @as_follower: keep the offsets and epochs that are in the batches
 * @now_ms: append time
 * @base_offset: out: offset of the first record
 * @last_offset: out: offset of the last record
 * @log_append_time: out: ms or -1
 * @duplicate: out: an idempotent producer's repeat; nothing was appended and
 *	the offsets (and @log_append_time) are those of the first time. When
 *	only the first of several batches are repeats, the others are appended
 *	and this is false.
 */
struct kbr_append {
	void *buf;
	size_t len;
	struct kbr_batch_verdict *verdicts;
	unsigned int batches;
	bool as_follower;
	s64 now_ms;
	s64 base_offset;
	s64 last_offset;
	s64 log_append_time;
	bool duplicate;
};

/**
 * kbr_log_append() - the one append entry
 *
 * Stamps offsets, epoch and append time, checks idempotent sequences, rolls
 * if needed, writes to the page cache, indexes, publishes the new end. All or
 * nothing: after an error nothing is visible and the file is cut back. (Until
 * the next sync, which is then asked for at once, a crash may bring back
 * batches of it that had been written whole.)
 * Does not sync: the caller asks the syncer if somebody waits.
 *
 * Context: process; takes @log->lock. Callers must not hold user pages.
 * Return: 0; -ENOSPC; -EIO and @log->stopped; -EILSEQ out of order sequence;
 * -EKEYEXPIRED stale producer epoch; -EFBIG offsets beyond what a segment can
 * hold; -ERANGE a follower's batch below the end; -EREMOTE not a follower's,
 * after kbr_log_stop_leading(); -ENOMEM; -EINTR if
 * @interruptible and a signal came before the lock was had.
 */
int kbr_log_append(struct kbr_log *log, struct kbr_append *append, bool interruptible);

/**
 * kbr_log_request_sync() - have everything appended so far synced soon
 *
 * @waiters as in kbr_syncer_request().
 */
void kbr_log_request_sync(struct kbr_log *log, unsigned int waiters);

/**
 * struct kbr_log_pos - a reader's place; belongs to one reader, zero it to start
 * @offset: next offset wanted; the reader may set it to anything
 * @base: base offset of the segment of @file_pos
 * @batch: offset for which @file_pos is right: in the batch there, or the next after it
 * @file_pos: file position of a batch
 * @generation: of the log when this was found
 * @hint: @base, @batch, @file_pos and @generation are set
 *
 * The hint lets a sequential reader go on without the index. It is checked
 * against @offset and the log, and not used when stale.
 */
struct kbr_log_pos {
	s64 offset;
	s64 base;
	s64 batch;
	u32 file_pos;
	u32 generation;
	bool hint;
};

/**
 * struct kbr_log_slice - whole batches, contiguous in one segment file
 * @file: the file; open until kbr_log_unmap()
 * @files: what holds @file open
 * @seg: its segment, with a reference
 * @pos: file position of the first batch
 * @len: bytes, whole batches only
 * @next: offset after the last batch
 * @next_pos: a reader's place after it
 */
struct kbr_log_slice {
	struct kbr_file *file;
	struct kbr_files *files;
	struct kbr_segment *seg;
	loff_t pos;
	size_t len;
	s64 next;
	struct kbr_log_pos next_pos;
};

/**
 * kbr_log_map() - the one read entry: find whole batches to read
 * @pos: reader's place; its hint may be refreshed
 * @limit: only batches that end below this offset (the high watermark)
 * @max: at most so many bytes, but always at least one batch
 * @slice: result
 *
 * The first batch may begin before @pos->offset. Takes no lock; may sleep to
 * open a file or read its headers.
 *
 * Return: 1 with a slice; 0 nothing below @limit; -ERANGE @pos->offset is
 * below the log start or above the end; -EBADMSG damage, at @pos->offset;
 * -EIO, -ENOMEM.
 */
int kbr_log_map(struct kbr_log *log, struct kbr_log_pos *pos, s64 limit, size_t max,
		struct kbr_log_slice *slice);
void kbr_log_unmap(struct kbr_log_slice *slice);

/**
 * kbr_log_read() - copy whole batches from @pos on to @to, and advance @pos
 * @room: out if -EMSGSIZE: bytes that the first batch needs
 *
 * Return: bytes (whole batches); 0 nothing below @limit; -EMSGSIZE the first
 * batch does not fit (nothing copied); -EFAULT; else as kbr_log_map().
 */
ssize_t kbr_log_read(struct kbr_log *log, struct kbr_log_pos *pos, s64 limit,
		     struct iov_iter *to, size_t *room);

/**
 * struct kbr_log_time_search - a lookup by time under way
 * @timestamp: the first record with this or a later one is looked for
 * @limit: look below this offset only
 * @at: where to go on; 0 at first
 * @offset: out: exact record offset; the caller sets it to -1
 * @found: out: that record's timestamp; likewise
 */
struct kbr_log_time_search {
	s64 timestamp;
	s64 limit;
	s64 at;
	s64 offset;
	s64 found;
};

/**
 * kbr_log_search_time() - one step of a lookup by time
 *
 * It reads a piece of one segment at most, so that who waits for the log to be
 * left does not wait for the whole lookup.
 * Return: 1 there is more to look at; 0 decided: @s->offset, or there is none;
 * or a negative errno.
 */
int kbr_log_search_time(struct kbr_log *log, struct kbr_log_time_search *s);

/**
 * kbr_log_search_max_timestamp() - one step of looking for the largest timestamp
 * @at: where to go on; 0 at first
 * @max: in/out: the largest so far; -1 at first
 *
 * Context: may open the time index of a segment.
 * Return: 1 there is more to look at; 0 done; or a negative errno.
 */
int kbr_log_search_max_timestamp(struct kbr_log *log, s64 *at, s64 *max);

/**
 * kbr_log_set_start() - delete-records
 *
 * Raise the log start to @offset (<= end); whole segments below go with the next
 * kbr_log_retain(). -ERANGE above the end.
 */
int kbr_log_set_start(struct kbr_log *log, s64 offset);

/**
 * kbr_log_retain() - upkeep: retention.ms and .bytes, segment.ms, expired producers
 * @hw: nothing at or above is removed
 *
 * Files of removed segments are renamed to "*.deleted" and unlinked by a call
 * after file.delete.delay.ms.
 * Context: may sync the directory, not under @log->lock.
 * Return: segments removed, or a negative errno.
 */
int kbr_log_retain(struct kbr_log *log, s64 hw, s64 now_ms);

/**
 * kbr_log_limit_checkpoint() - kbr_log_checkpoint() says at most @offset from now on; S64_MAX no limit
 *
 * Before a log is cut where it was durable: a recovery point on the disk that
 * is above the log's end tells the next start of damage.
 */
void kbr_log_limit_checkpoint(struct kbr_log *log, s64 offset);

/**
 * kbr_log_start_checkpoint() - log start for the next start after a crash
 *
 * Where the log is about to begin anew that is where it will: a crash in the middle of
 * that may leave no segment, and a log that began at 0 again would give its offsets away twice.
 */
static inline s64 kbr_log_start_checkpoint(const struct kbr_log *log)
{
	return max(kbr_log_start(log), READ_ONCE(log->start_min));
}

/** kbr_log_truncate() - cut everything from @offset on (followers; repair) */
int kbr_log_truncate(struct kbr_log *log, s64 offset);

/** kbr_log_restart() - drop everything: the log is empty and begins at @offset (followers) */
int kbr_log_restart(struct kbr_log *log, s64 offset);

/**
 * kbr_log_repair() - after a failed sync: drop the cached, unsynced range,
 * read it back from the disk, cut at the last good batch, roll to a new
 * segment and allow appends again
 * @lost: out: offset from which records are gone, -1 if none
 */
int kbr_log_repair(struct kbr_log *log, s64 *lost);

/**
 * struct kbr_log_damage - records that can't be read
 * @offset: the first, -1 if there is no damage
 * @end: the first behind them that can, as far as can be told
 */
struct kbr_log_damage {
	s64 offset;
	s64 end;
};

/**
 * kbr_log_scrub() - verify checksums of sealed segments, a piece at a time
 * @pos: in/out: where to go on (zeroed: the beginning); offset is S64_MAX when through
 * @budget: bytes to read at most (one batch at least)
 * @damage: out: what was found; the next call then goes on with the next segment
 *
 * Return: 0, or why nothing could be read.
 */
int kbr_log_scrub(struct kbr_log *log, struct kbr_log_pos *pos, size_t budget,
		  struct kbr_log_damage *damage);

/** struct kbr_log_stats - for netlink */
struct kbr_log_stats {
	unsigned int segments;
	u64 bytes;
	u64 unsynced_bytes;
	s64 max_timestamp;
};

/** kbr_log_get_stats() - takes no lock: appends may be waiting for a disk with theirs held */
void kbr_log_get_stats(struct kbr_log *log, struct kbr_log_stats *stats);

/**
 * struct kbr_log_lag - how far an offset is from the end, estimated
 * @bytes: bytes of the log between
 * @timestamp: about that of the record at the offset, ms; -1 not known, or at the end
 */
struct kbr_log_lag {
	u64 bytes;
	s64 timestamp;
};

void kbr_log_get_lag(struct kbr_log *log, s64 offset, struct kbr_log_lag *lag);

#endif /* _KBR_STORAGE_LOG_H */
