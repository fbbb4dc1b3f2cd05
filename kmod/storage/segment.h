/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * One segment of a log: a .log file with its two indexes, named for the first
 * offset. What is known of it in memory, its index entries, and walking it.
 *
 * This header is storage's own: nothing above includes it.
 */
#ifndef _KBR_STORAGE_SEGMENT_H
#define _KBR_STORAGE_SEGMENT_H

#include <linux/kref.h>
#include <linux/list.h>
#include <linux/rcupdate.h>
#include <linux/types.h>

#include "codec/batch.h"
#include "storage/file_cache.h"
#include "storage/index.h"
#include "storage/log.h"

#define KBR_SUFFIX_LOG		".log"
#define KBR_SUFFIX_INDEX	".index"
#define KBR_SUFFIX_TIME		".timeindex"
#define KBR_SUFFIX_TXN		".txnindex"
#define KBR_SUFFIX_SNAPSHOT	".snapshot"
#define KBR_SUFFIX_DELETED	".deleted"

#define KBR_TIME_UNKNOWN	S64_MIN
#define KBR_COUNT_UNKNOWN	U32_MAX

/**
 * struct kbr_segment - one segment
 * @ref: the log's list, readers' slices, the dirty list
 * @size: bytes of whole batches in the file (release/acquire; written under
 *	log->lock); never falls but by truncation
 * @base: first offset
 * @files: its open files (RCU; written under the cache's lock)
 * @rcu: freed after a grace period, since the list is walked without a lock
 * @dirty: in log->dirty, with a reference to the segment (log->tail)
 * @doomed: in log->doomed (log->lock)
 * @pin: reference to the open files while in log->dirty (log->tail)
 * @synced: bytes known to be durable (log->tail)
 * @collected: bytes that the running sync round covers (log->tail)
 * @index_count: entries in .index, KBR_COUNT_UNKNOWN until looked at
 *	(release/acquire; written under log->lock, or once by whoever looks)
 * @time_count: entries in .timeindex, likewise
 * @indexed_pos: position of the last offset index entry (log->lock)
 * @jitter_ms: taken off segment.ms (constant)
 * @time_last: timestamp of the last time index entry (log->lock)
 * @first_timestamp: max timestamp of the first batch, or KBR_TIME_UNKNOWN (log->lock)
 * @max_timestamp: largest timestamp, -1 none, KBR_TIME_UNKNOWN not loaded
 *	(READ_ONCE; written under log->lock, or once by whoever loads it)
 * @max_timestamp_offset: last offset of the batch that holds it (likewise)
 * @created_ms: when it was made (constant); once doomed: when that was (log->lock)
 * @collecting: the running round covers it (log->tail)
 * @cut_back: it was shortened and needs a sync for that (log->tail)
 * @cut_collected: and the running round covers this (log->tail)
 * @removed: no longer part of the log (cache lock, READ_ONCE)
 * @renamed: its files are ".deleted" (log->lock)
 * @meta_dirty: its indexes are newer than on disk (log->lock)
 * @index_due: its index files end with what a failed write left, or lack the
 *	closing entry (log->lock)
 * @index_lost: a sync of them failed: nothing may vouch for what is on disk
 *	(READ_ONCE; for good)
 * @snapshot_dirty: the snapshot named for @base is, too (log->lock)
 */
struct kbr_segment {
	struct kref ref;
	u32 size;
	s64 base;
	struct kbr_files __rcu *files;
	struct rcu_head rcu;
	struct list_head dirty;
	struct list_head doomed;
	struct kbr_files *pin;
	u32 synced;
	u32 collected;
	u32 index_count;
	u32 time_count;
	u32 indexed_pos;
	u32 jitter_ms;
	s64 time_last;
	s64 first_timestamp;
	s64 max_timestamp;
	s64 max_timestamp_offset;
	s64 created_ms;
	bool collecting;
	bool cut_back;
	bool cut_collected;
	bool removed;
	bool renamed;
	bool meta_dirty;
	bool index_due;
	bool index_lost;
	bool snapshot_dirty;
};

/**
 * struct kbr_segment_list - the segments of a log, immutable once published
 * @rcu: freed after a grace period
 * @count: entries, at least 1
 * @seg: by base offset; the list holds one reference to each as long as it is
 *	the published one (a new list takes them over)
 */
struct kbr_segment_list {
	struct rcu_head rcu;
	unsigned int count;
	struct kbr_segment *seg[];
};

/** kbr_segment_alloc() - a segment with no bytes; NULL on -ENOMEM */
struct kbr_segment *kbr_segment_alloc(s64 base);
void kbr_segment_put(struct kbr_segment *seg);

/** kbr_segment_path() - "<log>/<20 digits><suffix>", to be kfree()d; NULL on -ENOMEM */
char *kbr_segment_path(const struct kbr_log *log, s64 base, const char *suffix);

/** kbr_segment_size() - bytes of whole batches, published */
static inline u32 kbr_segment_size(const struct kbr_segment *seg)
{
	return smp_load_acquire(&seg->size);	/* pairs with (D) in kbr_log_publish_end() */
}

/**
 * kbr_segment_note_batch() - a batch lies at @pos: timestamps, and index entries if due
 *
 * Entries go to log->index_tail, which is flushed when full.
 * Context: log->lock.
 */
void kbr_segment_note_batch(struct kbr_log *log, struct kbr_segment *seg,
			    const struct kbr_batch *batch, u32 pos);

/**
 * kbr_segment_flush_index() - write the gathered entries
 *
 * A failure drops them: the index is then sparser there, nothing else. What it
 * leaves in the files goes now or with kbr_segment_mend_index().
 * Context: log->lock.
 */
void kbr_segment_flush_index(struct kbr_log *log, struct kbr_segment *seg);

/**
 * kbr_segment_seal_index() - the closing time index entry, and all entries written
 *
 * Context: log->lock.
 */
void kbr_segment_seal_index(struct kbr_log *log, struct kbr_segment *seg);

/**
 * kbr_segment_mend_index() - make good what an earlier write of the indexes failed to do
 *
 * Until then the files are not what the log's recovery point may vouch for.
 * Context: log->lock.
 * Return: 0, also if there was nothing to do, or a negative errno.
 */
int kbr_segment_mend_index(struct kbr_log *log, struct kbr_segment *seg);

/** kbr_segment_index_full() - Kafka's condition to roll. Context: log->lock. */
bool kbr_segment_index_full(const struct kbr_log *log, const struct kbr_segment *seg);

/**
 * kbr_segment_index_count() - entries in its .index file, learned from the file's size when
 * unknown
 */
u32 kbr_segment_index_count(struct kbr_segment *seg, struct kbr_file *index);
/** kbr_segment_time_count() - the same for .timeindex */
u32 kbr_segment_time_count(struct kbr_segment *seg, struct kbr_file *time);

/**
 * kbr_segment_load_times() - learn @max_timestamp of a segment opened without reading
 *
 * From the last time index entry, which closing a segment writes.
 * Return: 0 or a negative errno (then it stays unknown).
 */
int kbr_segment_load_times(struct kbr_log *log, struct kbr_segment *seg);

/**
 * kbr_segment_cut_index() - drop index entries of batches at or beyond @pos and @offset
 * @rewalk: notes what remains unindexed before @pos again: 0 nothing, else walk from there
 *
 * For truncation and recovery. Afterwards @seg's index fields describe what
 * is left; timestamps are those of the last time index entry until the caller
 * has noted the batches from @rewalk on.
 * Context: log->lock.
 * Return: 0 or a negative errno.
 */
int kbr_segment_cut_index(struct kbr_log *log, struct kbr_segment *seg, struct kbr_files *files,
			  s64 offset, u32 pos, u32 *rewalk);

/**
 * kbr_segment_cut() - cut the file to @pos and the indexes with it
 * @offset: offset of the record that would be at @pos
 *
 * Reads the batches behind the last index entry that stays, to know the
 * largest timestamp. Does not publish a size: the caller does.
 * Context: log->lock.
 */
int kbr_segment_cut(struct kbr_log *log, struct kbr_segment *seg, s64 offset, u32 pos);

/** kbr_segment_header() - decode the batch header at @pos; -EBADMSG also if it is cut by @end */
int kbr_segment_header(struct kbr_file *file, u32 pos, u32 end, struct kbr_batch *batch);

/**
 * kbr_segment_locate() - find the batch that holds @offset, or the first after it
 * @files: its open files
 * @end: position where to stop
 * @pos: in: where to begin at the latest (0: use the index); out: the batch
 * @batch: out: its header
 *
 * Return: 1 found; 0 everything before @end is below @offset (*@pos is @end);
 * -EBADMSG a header on the way is damaged (*@pos says where); other errors.
 */
int kbr_segment_locate(struct kbr_log *log, struct kbr_segment *seg, struct kbr_files *files,
		       s64 offset, u32 end, u32 *pos, struct kbr_batch *batch);

/**
 * struct kbr_scan - walks the batches of one file through a buffer of its own
 * @file: what is read
 * @pos: position of the next batch
 * @end: where to stop
 * @buf: buffer
 * @size: its size
 * @at: file position of its first byte
 * @len: bytes in it
 * @bytes: read from the file so far
 */
struct kbr_scan {
	struct kbr_file *file;
	u32 pos;
	u32 end;
	u8 *buf;
	size_t size;
	u32 at;
	size_t len;
	u64 bytes;
};

/**
 * kbr_scan_start() - @size
 *
 * Bytes a read; small for headers only, large for whole batches. 0 or -ENOMEM.
 */
int kbr_scan_start(struct kbr_scan *scan, struct kbr_file *file, u32 pos, u32 end, size_t size);
/**
 * kbr_scan_header() - header at @scan->pos
 *
 * 1; 0 at the end; -EBADMSG no batch, or cut; I/O errors.
 */
int kbr_scan_header(struct kbr_scan *scan, struct kbr_batch *batch);
/** kbr_scan_body() - the whole batch whose header was just read; NULL pointer never with 0 */
int kbr_scan_body(struct kbr_scan *scan, const struct kbr_batch *batch, const void **body);
/** kbr_scan_next() - go behind @batch */
static inline void kbr_scan_next(struct kbr_scan *scan, const struct kbr_batch *batch)
{
	scan->pos += batch->size;
}

void kbr_scan_stop(struct kbr_scan *scan);

#endif /* _KBR_STORAGE_SEGMENT_H */
