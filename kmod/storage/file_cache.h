/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Open files of segments: opened on use, kept in one LRU a broker, closed by a
 * cap and by idleness, never while anybody uses them or while bytes in them
 * are unsynced (their owner then keeps a reference).
 */
#ifndef _KBR_STORAGE_FILE_CACHE_H
#define _KBR_STORAGE_FILE_CACHE_H

#include <linux/list.h>
#include <linux/rcupdate.h>
#include <linux/refcount.h>
#include <linux/types.h>

#include "storage/file.h"

struct kbr_log;
struct kbr_log_env;
struct kbr_segment;

/**
 * struct kbr_files - the open files of one segment
 * @ref: users, and one for the cache while it is in it
 * @rcu: freed after a grace period, since lookups take no lock
 * @lru: in the cache's list (cache lock); empty when not in it
 * @seg: its segment while in the cache (cache lock)
 * @log: the .log file
 * @index: the .index file, NULL until used (set once, by cmpxchg)
 * @time: the .timeindex file, likewise
 * @used: jiffies of the last use (READ_ONCE, WRITE_ONCE)
 */
struct kbr_files {
	refcount_t ref;
	struct rcu_head rcu;
	struct list_head lru;
	struct kbr_segment *seg;
	struct kbr_file *log;
	struct kbr_file *index;
	struct kbr_file *time;
	unsigned long used;
};

struct kbr_file_cache *kbr_file_cache_create(unsigned int max);
/** kbr_file_cache_set_max() - another cap; what is open beyond it goes as others are opened */
void kbr_file_cache_set_max(struct kbr_file_cache *cache, unsigned int max);
/** kbr_file_cache_destroy() - all logs must be closed */
void kbr_file_cache_destroy(struct kbr_file_cache *cache);
/** kbr_file_cache_trim() - close what nobody used for @idle_ms and nobody holds */
void kbr_file_cache_trim(struct kbr_file_cache *cache, unsigned int idle_ms);
/** kbr_file_cache_count() - segments with open files, for tests and statistics */
unsigned int kbr_file_cache_count(struct kbr_file_cache *cache);

/**
 * kbr_files_get() - the open files of @seg, opened if need be
 * @log: the segment's log (for paths)
 *
 * Context: takes no lock when they are open; otherwise may sleep.
 * Return: a reference; -ENOENT if the segment was removed meanwhile; other
 * errors of opening.
 */
struct kbr_files *kbr_files_get(struct kbr_log *log, struct kbr_segment *seg);
/** kbr_files_put() - may sleep when the segment left the cache */
void kbr_files_put(struct kbr_files *files);
/**
 * kbr_files_create() - make the three files of a new segment, empty
 *
 * They stay open in the cache.
 */
int kbr_files_create(struct kbr_log *log, struct kbr_segment *seg);
/** kbr_files_index() - the .index file, created if missing; valid as long as @files */
struct kbr_file *kbr_files_index(struct kbr_log *log, struct kbr_segment *seg,
				 struct kbr_files *files);
/** kbr_files_time() - the .timeindex file, likewise */
struct kbr_file *kbr_files_time(struct kbr_log *log, struct kbr_segment *seg,
				struct kbr_files *files);
/**
 * kbr_files_detach() - @seg leaves its log: no more opening, users go on
 *
 * Sets @seg->removed. Must come before the log's reference to @seg is dropped.
 */
void kbr_files_detach(struct kbr_log *log, struct kbr_segment *seg);

#endif /* _KBR_STORAGE_FILE_CACHE_H */
