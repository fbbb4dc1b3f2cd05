/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The one seam to files: a broker's directory and the files below it.
 *
 * Nothing above this header calls the VFS. Two implementations: file_vfs.c
 * (real; uses the credentials and the root of whoever started the broker, and
 * never the caller's RLIMIT_FSIZE) and tests/file_ram.c (a RAM disk that
 * tears, reorders, drops unsynced writes and fails any call, from a seed).
 *
 * Paths are relative to the broker directory, at most two components
 * ("orders-0/00000000000000000000.log"); "" is the directory itself.
 */
#ifndef _KBR_STORAGE_FILE_H
#define _KBR_STORAGE_FILE_H

#include <linux/types.h>
#include <linux/uio.h>

struct bio_vec;
struct kbr_dir;
struct kbr_file;

#define KBR_FILE_CREATE		0x1	/* create if missing */
#define KBR_FILE_EXCL		0x2	/* with CREATE: fail with -EEXIST if there */
#define KBR_FILE_RDONLY		0x4
#define KBR_FILE_TRUNC		0x8

/**
 * struct kbr_dirent - one entry given to a kbr_dir_list() callback
 * @name: NUL-terminated, valid during the call only
 * @is_dir: a directory
 */
struct kbr_dirent {
	const char *name;
	bool is_dir;
};

/** kbr_dir_list() callback: 0 goes on, anything else ends the listing and is returned */
typedef int (*kbr_dir_actor)(void *arg, const struct kbr_dirent *ent);

/**
 * struct kbr_file_ops - an implementation of the seam
 *
 * @get_pages may be missing: there is no page cache to give pages of.
 * All others may sleep. They return 0 or a byte count, or a negative errno; a short
 * write is retried inside and never returned: a write is whole or an error,
 * after which the bytes from @pos on are undefined.
 */
struct kbr_file_ops {
	int (*open)(struct kbr_dir *dir, const char *path, unsigned int flags,
		    struct kbr_file **file);
	void (*close)(struct kbr_file *file);
	ssize_t (*read)(struct kbr_file *file, void *buf, size_t len, loff_t pos);
	ssize_t (*read_iter)(struct kbr_file *file, struct iov_iter *to, loff_t pos);
	unsigned int (*get_pages)(struct kbr_file *file, loff_t pos, size_t len,
				  struct bio_vec *vecs, unsigned int max);
	int (*write)(struct kbr_file *file, const void *buf, size_t len, loff_t pos);
	loff_t (*size)(struct kbr_file *file);
	s64 (*mtime_ms)(struct kbr_file *file);
	int (*truncate)(struct kbr_file *file, loff_t size);
	int (*sync)(struct kbr_file *file);
	int (*sync_many)(struct kbr_dir *dir, struct kbr_file **files, int *errs, unsigned int n);
	int (*invalidate)(struct kbr_file *file, loff_t from);
	int (*lock)(struct kbr_file *file);
	int (*mkdir)(struct kbr_dir *dir, const char *path);
	int (*rmdir)(struct kbr_dir *dir, const char *path);
	int (*unlink)(struct kbr_dir *dir, const char *path);
	int (*rename)(struct kbr_dir *dir, const char *from, const char *to);
	int (*list)(struct kbr_dir *dir, const char *path, kbr_dir_actor actor, void *arg);
	int (*sync_dir)(struct kbr_dir *dir, const char *path);
	int (*stat_space)(struct kbr_dir *dir, u64 *total, u64 *avail);
	void (*put)(struct kbr_dir *dir);
};

/** struct kbr_dir - a broker directory; embedded in the implementation's own struct */
struct kbr_dir {
	const struct kbr_file_ops *ops;
};

/** struct kbr_file - an open file; embedded in the implementation's own struct */
struct kbr_file {
	const struct kbr_file_ops *ops;
	struct kbr_dir *dir;
};

/**
 * kbr_dir_open_vfs() - take a real directory
 * @path: absolute path, resolved with the caller's root and credentials,
 *	which are kept and used for all later access
 * @out: the directory; release with kbr_dir_put()
 *
 * Return: 0; -ENOENT, -ENOTDIR, -EACCES, -EROFS, -ENOMEM.
 */
int kbr_dir_open_vfs(const char *path, struct kbr_dir **out);
void kbr_dir_put(struct kbr_dir *dir);

/** kbr_dir_device() - dev_t of the file system and its type's name, for "what does the broker pin"; RAM: 0 */
dev_t kbr_dir_device(struct kbr_dir *dir, const char **fstype);
/** kbr_dir_same() - are these one directory of one file system, whatever paths led there? */
bool kbr_dir_same(struct kbr_dir *a, struct kbr_dir *b);

/* Thin calls of the operations; see struct kbr_file_ops. */
int kbr_file_open(struct kbr_dir *dir, const char *path, unsigned int flags, struct kbr_file **file);
void kbr_file_close(struct kbr_file *file);
/** kbr_file_read() - returns bytes read, short only at the end of the file */
ssize_t kbr_file_read(struct kbr_file *file, void *buf, size_t len, loff_t pos);
/** kbr_file_read_iter() - page cache straight to @to (user memory or a pipe); may be short */
ssize_t kbr_file_read_iter(struct kbr_file *file, struct iov_iter *to, loff_t pos);
/**
 * kbr_file_get_pages() - the cached pages of a range, for sending without a copy
 * @vecs: out: parts of pages, each with a reference for kbr_file_put_pages()
 * @max: entries of @vecs
 *
 * Reads nothing. Return: entries, for the range's first bytes; 0: those are not
 * in the cache, see kbr_file_fill_cache().
 */
unsigned int kbr_file_get_pages(struct kbr_file *file, loff_t pos, size_t len,
				struct bio_vec *vecs, unsigned int max);
void kbr_file_put_pages(struct bio_vec *vecs, unsigned int count);
/** kbr_file_fill_cache() - read a range into the page cache; bytes read, or -errno */
ssize_t kbr_file_fill_cache(struct kbr_file *file, loff_t pos, size_t len);
int kbr_file_write(struct kbr_file *file, const void *buf, size_t len, loff_t pos);
loff_t kbr_file_size(struct kbr_file *file);
s64 kbr_file_mtime_ms(struct kbr_file *file);
int kbr_file_truncate(struct kbr_file *file, loff_t size);
/** kbr_file_sync() - data, and the metadata needed to read it, are on stable storage when it returns 0 */
int kbr_file_sync(struct kbr_file *file);
/**
 * kbr_file_sync_many() - make @n files durable with as few device flushes as the file system allows
 * @errs: one result a file; an error of the whole call goes to every file
 *
 * Writes back all, waits, then one flush (ext4, xfs: s_op->sync_fs under
 * s_umount; elsewhere fsync of each). New directory entries of these files
 * are made durable too.
 * Return: 0 if every file is durable, else the first error.
 */
int kbr_file_sync_many(struct kbr_dir *dir, struct kbr_file **files, int *errs, unsigned int n);
/** kbr_file_invalidate() - after EIO: drop cached pages from @from on, so that reads show the disk */
int kbr_file_invalidate(struct kbr_file *file, loff_t from);
/**
 * kbr_file_lock() - lock the whole file against other programs, until it is closed
 *
 * As fcntl(F_OFD_SETLK, F_WRLCK) does: it excludes the locks of fcntl(F_SETLK),
 * which is what Java's FileChannel.tryLock() takes.
 * Return: 0; -EBUSY somebody else has it; -ENOLCK the file system has no locks.
 */
int kbr_file_lock(struct kbr_file *file);
int kbr_dir_mkdir(struct kbr_dir *dir, const char *path);
int kbr_dir_rmdir(struct kbr_dir *dir, const char *path);
int kbr_dir_unlink(struct kbr_dir *dir, const char *path);
int kbr_dir_rename(struct kbr_dir *dir, const char *from, const char *to);
int kbr_dir_list(struct kbr_dir *dir, const char *path, kbr_dir_actor actor, void *arg);
/** kbr_dir_sync() - make the entries of directory @path durable */
int kbr_dir_sync(struct kbr_dir *dir, const char *path);
int kbr_dir_stat_space(struct kbr_dir *dir, u64 *total, u64 *avail);

#endif /* _KBR_STORAGE_FILE_H */
