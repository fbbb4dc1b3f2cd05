/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Private to file_vfs*.c: a directory and a file of the VFS behind the file
 * seam. See file_vfs.c for what runs with whose credentials and limits.
 */
#ifndef _KBR_STORAGE_FILE_VFS_H
#define _KBR_STORAGE_FILE_VFS_H

#include <linux/path.h>

#include "storage/file.h"

struct cred;
struct super_block;

#define KBR_VFS_FILE_MODE	0640
#define KBR_VFS_DIR_MODE	0750

/**
 * enum kbr_vfs_group - how many files of a file system are synced at once
 * @KBR_VFS_GROUP_NONE: not at all: fsync of each
 * @KBR_VFS_GROUP_EXT4: sync_fs() commits the journal and flushes the device
 * @KBR_VFS_GROUP_XFS: sync_fs() forces the log; where the log has nothing to
 *	write the device is not flushed
 */
enum kbr_vfs_group {
	KBR_VFS_GROUP_NONE,
	KBR_VFS_GROUP_EXT4,
	KBR_VFS_GROUP_XFS,
};

/**
 * struct kbr_vfs_dir - a broker directory
 * @dir: what the seam sees
 * @path: the directory, held
 * @cred: of whoever started the broker, held
 * @group: how to sync many files
 */
struct kbr_vfs_dir {
	struct kbr_dir dir;
	struct path path;
	const struct cred *cred;
	enum kbr_vfs_group group;
};

/**
 * struct kbr_vfs_file - an open file
 * @file: what the seam sees
 * @filp: the file
 * @overwrote: written below its end or truncated since it was last synced, so
 *	that a sync may have no metadata to write (READ_ONCE, WRITE_ONCE)
 * @locked: locked against other programs
 */
struct kbr_vfs_file {
	struct kbr_file file;
	struct file *filp;
	bool overwrote;
	bool locked;
};

static inline struct kbr_vfs_dir *kbr_vfs_dir(struct kbr_dir *dir)
{
	return container_of(dir, struct kbr_vfs_dir, dir);
}

static inline struct kbr_vfs_file *kbr_vfs_file(struct kbr_file *file)
{
	return container_of(file, struct kbr_vfs_file, file);
}

/* file_vfs.c */
long kbr_vfs_err(long err);
int kbr_vfs_detour(int (*fn)(void *arg), void *arg);
int kbr_vfs_call_creating(int (*fn)(void *arg), void *arg);
int kbr_vfs_path_check(const char *path);

/* file_vfs_sync.c */
enum kbr_vfs_group kbr_vfs_sync_group(struct super_block *sb);
int kbr_vfs_sync(struct kbr_file *f);
int kbr_vfs_sync_many(struct kbr_dir *d, struct kbr_file **files, int *errs, unsigned int n);
int kbr_vfs_invalidate(struct kbr_file *f, loff_t from);

/* file_vfs_dir.c */
int kbr_vfs_mkdir(struct kbr_dir *d, const char *path);
int kbr_vfs_rmdir(struct kbr_dir *d, const char *path);
int kbr_vfs_unlink(struct kbr_dir *d, const char *path);
int kbr_vfs_rename(struct kbr_dir *d, const char *from, const char *to);
int kbr_vfs_list(struct kbr_dir *d, const char *path, kbr_dir_actor actor, void *arg);
int kbr_vfs_sync_dir(struct kbr_dir *d, const char *path);
int kbr_vfs_stat_space(struct kbr_dir *d, u64 *total, u64 *avail);
void kbr_vfs_put(struct kbr_dir *d);

#endif /* _KBR_STORAGE_FILE_VFS_H */
