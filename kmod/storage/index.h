/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Kafka's sparse indexes of a segment: offset -> file position, timestamp ->
 * offset. Formats, lookup, checks of what is found on disk, and the entries
 * that wait to be written. When an entry is due is segment.c's business.
 */
#ifndef _KBR_STORAGE_INDEX_H
#define _KBR_STORAGE_INDEX_H

#include <linux/build_bug.h>
#include <linux/types.h>

#include "storage/file.h"

/** struct kbr_index_disk - entry of .index: relative offset, file position */
struct kbr_index_disk {
	__be32 offset;
	__be32 pos;
} __packed;
static_assert(sizeof(struct kbr_index_disk) == 8);

/** struct kbr_time_disk - entry of .timeindex: timestamp, relative offset */
struct kbr_time_disk {
	__be64 timestamp;
	__be32 offset;
} __packed;
static_assert(sizeof(struct kbr_time_disk) == 12);

/**
 * struct kbr_index_entry - an offset index entry in host order
 * @offset: last offset of a batch, minus the segment's base
 * @pos: file position where that batch begins
 */
struct kbr_index_entry {
	u32 offset;
	u32 pos;
};

/**
 * struct kbr_time_entry - a time index entry in host order
 * @timestamp: largest timestamp of the segment up to there
 * @offset: last offset of the batch that holds it, minus the segment's base
 */
struct kbr_time_entry {
	s64 timestamp;
	u32 offset;
};

/* Entries gathered before they are written: fewer, larger writes */
#define KBR_INDEX_TAIL	24

/**
 * struct kbr_index_tail - entries of the active segment not yet in its files
 * @offsets: used of @offset
 * @times: used of @time
 * @offset: as they will be on disk
 * @time: as they will be on disk
 *
 * Lookups do not see them: they find an earlier entry and walk further.
 */
struct kbr_index_tail {
	u16 offsets;
	u16 times;
	struct kbr_index_disk offset[KBR_INDEX_TAIL];
	struct kbr_time_disk time[KBR_INDEX_TAIL];
};

/**
 * kbr_index_floor() - last entry whose offset and position are not beyond given ones
 * @file: the .index file
 * @count: entries in it
 * @offset_max: largest relative offset wanted
 * @pos_max: largest position wanted
 * @guess: entry to look near first; any number
 * @entry: result
 *
 * Return: 1 with @entry; 0 if there is none; negative errno.
 */
int kbr_index_floor(struct kbr_file *file, u32 count, u32 offset_max, u32 pos_max, u32 guess,
		    struct kbr_index_entry *entry);

/**
 * kbr_time_index_floor() - last entry with a timestamp <= @timestamp
 *
 * Returns as kbr_index_floor().
 */
int kbr_time_index_floor(struct kbr_file *file, u32 count, s64 timestamp,
			 struct kbr_time_entry *entry);

/** kbr_time_index_read() - entry number @slot; 0, or -EBADMSG if the file is shorter */
int kbr_time_index_read(struct kbr_file *file, u32 slot, struct kbr_time_entry *entry);

/**
 * kbr_index_check() - how many entries from the first on can be believed
 * @file: the .index file
 * @offset_end: relative offsets at or above are not believed
 * @pos_end: positions at or above are not believed
 * @last: the last believed entry, zero if none
 *
 * Entries must rise strictly. A zero tail (preallocated by another program, or
 * never written back) ends them.
 * Return: the number, or a negative errno.
 */
s64 kbr_index_check(struct kbr_file *file, u64 offset_end, u32 pos_end,
		    struct kbr_index_entry *last);

/** kbr_time_index_check() - the same for a .timeindex; @last's timestamp is -1 if none */
s64 kbr_time_index_check(struct kbr_file *file, u64 offset_end, struct kbr_time_entry *last);

#endif /* _KBR_STORAGE_INDEX_H */
