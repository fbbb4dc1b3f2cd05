/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A RAM disk behind the file seam, for tests: it forgets what was not synced,
 * tears and reorders it, and fails on request; everything from a seed.
 *
 * Each file has a volatile content (what reads see) and a durable one (what
 * survives), with the unsynced changes between them as an ordered list; each
 * directory likewise. kbr_ram_crash() gives the disk after a loss of power.
 *
 * What a crash may do: every 512-byte sector has one of the values it had
 * since the last sync, independently of the others; the file's size is one it
 * went through; unwritten sectors below it read as zeros; each directory has
 * lost some of its latest changes. What syncing promises is what ext4 and xfs
 * do: syncing a file makes its own directory entries durable (up to the one
 * that gave it its name), syncing a directory makes all its entries durable.
 * A sync that fails with EIO drops the dirty data as the page cache does:
 * reads still show it, no later sync writes it.
 */
#ifndef _KBR_TESTS_FILE_RAM_H
#define _KBR_TESTS_FILE_RAM_H

#include "storage/file.h"

#define KBR_RAM_SECTOR		512

/* Classes of calls that can be made to fail; a mask of BIT()s of them */
#define KBR_RAM_OPEN		0x0001
#define KBR_RAM_READ		0x0002	/* read, read_iter */
#define KBR_RAM_WRITE		0x0004
#define KBR_RAM_TRUNCATE	0x0008
#define KBR_RAM_SYNC		0x0010	/* each file of a sync or a sync_many */
#define KBR_RAM_SYNC_MANY	0x0020	/* a sync_many as a whole */
#define KBR_RAM_INVALIDATE	0x0040
#define KBR_RAM_MKDIR		0x0080
#define KBR_RAM_RMDIR		0x0100
#define KBR_RAM_UNLINK		0x0200
#define KBR_RAM_RENAME		0x0400
#define KBR_RAM_LIST		0x0800
#define KBR_RAM_SYNC_DIR	0x1000
#define KBR_RAM_STAT		0x2000
#define KBR_RAM_LOCK		0x4000
#define KBR_RAM_ANY		0x7fff
/* What changes the disk or makes it durable */
#define KBR_RAM_CHANGES		(KBR_RAM_OPEN | KBR_RAM_WRITE | KBR_RAM_TRUNCATE | \
				 KBR_RAM_SYNC | KBR_RAM_MKDIR | KBR_RAM_RMDIR | KBR_RAM_UNLINK | \
				 KBR_RAM_RENAME | KBR_RAM_SYNC_DIR)

/**
 * struct kbr_ram_stats - what was asked of a disk
 * @calls: calls of any class (each file of a sync_many counts)
 * @flushes: device flushes: a sync, a sync_dir or a whole sync_many is one
 * @syncs: files synced
 * @writes: writes
 * @write_bytes: bytes written
 * @opens: opens
 * @files: files open now
 */
struct kbr_ram_stats {
	u64 calls;
	u64 flushes;
	u64 syncs;
	u64 writes;
	u64 write_bytes;
	u64 opens;
	unsigned int files;
};

/** kbr_ram_create() - an empty disk; NULL without memory; kbr_dir_put() frees it */
struct kbr_dir *kbr_ram_create(u64 seed);

/**
 * kbr_ram_crash() - the disk as it is found after a loss of power now
 * @dir: stays as it is, may be in use and may be crashed again
 * @seed: chooses what survives; 0: nothing that was not synced,
 *	U64_MAX: everything
 *
 * Return: a new disk without faults; NULL without memory.
 */
struct kbr_dir *kbr_ram_crash(struct kbr_dir *dir, u64 seed);

/**
 * kbr_ram_fail() - make calls fail
 * @ops: classes of calls
 * @after: let so many matching calls through first
 * @times: then fail so many, 0 for all
 * @err: negative errno
 * @match: only on paths that contain this (kept by reference), NULL for all
 *
 * Up to eight may be set; the first that matches decides. Return: false if
 * there is no room.
 */
bool kbr_ram_fail(struct kbr_dir *dir, u32 ops, u64 after, u64 times, int err, const char *match);
/** kbr_ram_heal() - drop all faults; what they did to the disk stays */
void kbr_ram_heal(struct kbr_dir *dir);
/**
 * kbr_ram_set_space() - size of the disk
 * @bytes: of file content; default 1 GiB
 *
 * A write that does not fit is cut short and fails with -ENOSPC.
 */
void kbr_ram_set_space(struct kbr_dir *dir, u64 bytes);
/** kbr_ram_set_sync_delay() - every flush takes so long; what is written meanwhile is not part of it */
void kbr_ram_set_sync_delay(struct kbr_dir *dir, unsigned int usecs);
/** kbr_ram_damage() - bit rot: xor the byte at @pos of @path with @mask, in both images; 0 or -ENOENT, -ERANGE */
int kbr_ram_damage(struct kbr_dir *dir, const char *path, loff_t pos, u8 mask);
void kbr_ram_get_stats(struct kbr_dir *dir, struct kbr_ram_stats *stats);

#endif /* _KBR_TESTS_FILE_RAM_H */
