// SPDX-License-Identifier: GPL-2.0-only
/*
 * The RAM disk as an implementation of the file seam: paths, opens, faults
 * and counters; see file_ram.h. What files consist of and what a crash does
 * to them is in file_ram_inode.c.
 *
 * One mutex a disk guards everything. A listing calls back without it.
 */
#include <linux/delay.h>
#include <linux/mutex.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/uio.h>

#include "tests/file_ram.h"
#include "tests/file_ram_inode.h"

#define KBR_RAM_FAULTS		8
#define KBR_RAM_SPACE		((u64)SZ_1G)
#define KBR_RAM_NAME_MAX	255

/**
 * struct kbr_ram_fault - see kbr_ram_fail()
 * @ops: 0: free
 * @after: matching calls still let through
 * @times: still to fail; U64_MAX for all
 * @err: negative errno
 * @match: part of the path, or NULL
 */
struct kbr_ram_fault {
	u32 ops;
	u64 after;
	u64 times;
	int err;
	const char *match;
};

/**
 * struct kbr_ram_disk - a disk
 * @dir: what the seam sees
 * @lock: guards all below
 * @root: the broker directory
 * @seq: number of the latest change
 * @next_id: of the next inode
 * @rand: state of the random numbers of faults
 * @space: capacity, bytes
 * @used: bytes of live files
 * @sync_usecs: time that a flush takes
 * @faults: see kbr_ram_fail()
 * @stats: counters
 */
struct kbr_ram_disk {
	struct kbr_dir dir;
	struct mutex lock;
	struct kbr_ram_inode *root;
	u64 seq;
	u64 next_id;
	u64 rand;
	u64 space;
	u64 used;
	unsigned int sync_usecs;
	struct kbr_ram_fault faults[KBR_RAM_FAULTS];
	struct kbr_ram_stats stats;
};

/**
 * struct kbr_ram_file - an open file
 * @file: what the seam sees
 * @inode: with a reference
 * @rdonly: opened with KBR_FILE_RDONLY
 * @path: as opened, for faults
 */
struct kbr_ram_file {
	struct kbr_file file;
	struct kbr_ram_inode *inode;
	bool rdonly;
	char path[];
};

static const struct kbr_file_ops kbr_ram_ops;

static struct kbr_ram_disk *kbr_ram_disk(struct kbr_dir *dir)
{
	return container_of(dir, struct kbr_ram_disk, dir);
}

static struct kbr_ram_file *kbr_ram_file(struct kbr_file *file)
{
	return container_of(file, struct kbr_ram_file, file);
}

/* Count a call; 0 or the error that it is to fail with. */
static int kbr_ram_check(struct kbr_ram_disk *disk, u32 op, const char *path)
{
	struct kbr_ram_fault *fault;
	int err = 0;

	lockdep_assert_held(&disk->lock);
	disk->stats.calls++;
	for (fault = disk->faults; fault < disk->faults + KBR_RAM_FAULTS; fault++) {
		if (!(fault->ops & op))
			continue;
		if (fault->match && !strstr(path, fault->match))
			continue;
		if (fault->after) {
			fault->after--;
			continue;
		}
		if (!fault->times)
			continue;
		if (fault->times != U64_MAX)
			fault->times--;
		if (!err)
			err = fault->err;
	}
	return err;
}

/* The directory that @path is an entry of, and the entry's name. */
static int kbr_ram_parent(struct kbr_ram_disk *disk, const char *path, struct kbr_ram_inode **dir,
			  const char **name)
{
	const char *slash = strchr(path, '/');
	struct kbr_ram_ent *ent;

	*dir = disk->root;
	*name = path;
	if (slash) {
		ent = kbr_ram_dir_find(disk->root, path, slash - path);
		if (!ent)
			return -ENOENT;
		if (!ent->inode->is_dir)
			return -ENOTDIR;
		*dir = ent->inode;
		*name = slash + 1;
	}
	/* The seam has two components at most and no special names. */
	if (!**name || strchr(*name, '/') || !strcmp(*name, ".") || !strcmp(*name, ".."))
		return -EINVAL;
	if (strlen(*name) > KBR_RAM_NAME_MAX)
		return -ENAMETOOLONG;
	return 0;
}

static int kbr_ram_lookup(struct kbr_ram_disk *disk, const char *path,
			  struct kbr_ram_inode **dir, struct kbr_ram_inode **inode)
{
	struct kbr_ram_ent *ent;
	const char *name;
	int err;

	if (!*path) {
		*dir = NULL;
		*inode = disk->root;
		return 0;
	}
	err = kbr_ram_parent(disk, path, dir, &name);
	if (err)
		return err;
	ent = kbr_ram_dir_find(*dir, name, strlen(name));
	if (!ent)
		return -ENOENT;
	*inode = ent->inode;
	return 0;
}

/* Make an empty file or directory under a name that is free. */
static int kbr_ram_make(struct kbr_ram_disk *disk, const char *path, bool is_dir,
			struct kbr_ram_inode **made)
{
	struct kbr_ram_inode *dir, *inode;
	const char *name;
	int err;

	err = kbr_ram_parent(disk, path, &dir, &name);
	if (err)
		return err;
	inode = kbr_ram_inode_alloc(is_dir, disk->next_id++, &disk->used);
	if (!inode)
		return -ENOMEM;
	err = kbr_ram_dir_change(dir, NULL, name, inode, ++disk->seq);
	if (made)
		*made = inode;
	kbr_ram_inode_put(inode);
	return err;
}

static int kbr_ram_open_locked(struct kbr_ram_disk *disk, const char *path, unsigned int flags,
			       struct kbr_ram_inode **inode)
{
	struct kbr_ram_inode *dir;
	int err;

	err = kbr_ram_check(disk, KBR_RAM_OPEN, path);
	if (err)
		return err;
	err = kbr_ram_lookup(disk, path, &dir, inode);
	if (err == -ENOENT && flags & KBR_FILE_CREATE)
		return kbr_ram_make(disk, path, false, inode);
	if (err)
		return err;
	if ((flags & (KBR_FILE_CREATE | KBR_FILE_EXCL)) == (KBR_FILE_CREATE | KBR_FILE_EXCL))
		return -EEXIST;
	if ((*inode)->is_dir)
		return -EISDIR;
	if (flags & KBR_FILE_TRUNC && (*inode)->vol.size)
		return kbr_ram_inode_resize(*inode, 0, ++disk->seq);
	return 0;
}

static int kbr_ram_open(struct kbr_dir *dir, const char *path, unsigned int flags,
			struct kbr_file **out)
{
	struct kbr_ram_disk *disk = kbr_ram_disk(dir);
	size_t len = strlen(path) + 1;
	struct kbr_ram_file *file;
	int err;

	file = kzalloc(struct_size(file, path, len), GFP_KERNEL);
	if (!file)
		return -ENOMEM;
	file->file.ops = &kbr_ram_ops;
	file->file.dir = dir;
	file->rdonly = flags & KBR_FILE_RDONLY;
	memcpy(file->path, path, len);

	mutex_lock(&disk->lock);
	err = kbr_ram_open_locked(disk, path, flags, &file->inode);
	if (!err) {
		file->inode->refs++;
		disk->stats.opens++;
		disk->stats.files++;
	}
	mutex_unlock(&disk->lock);
	if (err) {
		kfree(file);
		return err;
	}
	*out = &file->file;
	return 0;
}

static void kbr_ram_close(struct kbr_file *f)
{
	struct kbr_ram_disk *disk = kbr_ram_disk(f->dir);
	struct kbr_ram_file *file = kbr_ram_file(f);

	mutex_lock(&disk->lock);
	disk->stats.files--;
	kbr_ram_inode_put(file->inode);
	mutex_unlock(&disk->lock);
	kfree(file);
}

static ssize_t kbr_ram_read_iter(struct kbr_file *f, struct iov_iter *to, loff_t pos)
{
	struct kbr_ram_disk *disk = kbr_ram_disk(f->dir);
	struct kbr_ram_file *file = kbr_ram_file(f);
	struct kbr_ram_image *img = &file->inode->vol;
	size_t want = iov_iter_count(to);
	ssize_t ret;

	if (pos < 0)
		return -EINVAL;
	mutex_lock(&disk->lock);
	ret = kbr_ram_check(disk, KBR_RAM_READ, file->path);
	if (!ret && pos < img->size) {
		want = min_t(u64, want, img->size - pos);
		ret = copy_to_iter(img->data + pos, want, to);
		if (!ret && want)
			ret = -EFAULT;
	}
	mutex_unlock(&disk->lock);
	return ret;
}

static ssize_t kbr_ram_read(struct kbr_file *f, void *buf, size_t len, loff_t pos)
{
	struct kvec vec = { .iov_base = buf, .iov_len = len };
	struct iov_iter to;

	iov_iter_kvec(&to, ITER_DEST, &vec, 1, len);
	return kbr_ram_read_iter(f, &to, pos);
}

static int kbr_ram_write(struct kbr_file *f, const void *buf, size_t len, loff_t pos)
{
	struct kbr_ram_disk *disk = kbr_ram_disk(f->dir);
	struct kbr_ram_file *file = kbr_ram_file(f);
	struct kbr_ram_inode *inode = file->inode;
	size_t fit = len;
	int err, werr;

	if (file->rdonly)
		return -EBADF;
	if (pos < 0)
		return -EINVAL;
	mutex_lock(&disk->lock);
	err = kbr_ram_check(disk, KBR_RAM_WRITE, file->path);
	if (err) {
		/* Any part of it may have been written, in front as a rule. */
		fit = len ? kbr_ram_rand(&disk->rand) % len : 0;
	} else {
		u64 avail = disk->space > disk->used ? disk->space - disk->used : 0;
		u64 most = inode->vol.size + avail;

		if (pos + len > most && pos + len > inode->vol.size) {
			fit = most > pos ? most - pos : 0;
			err = -ENOSPC;
		}
	}
	werr = kbr_ram_inode_write(inode, buf, fit, pos, ++disk->seq);
	disk->stats.writes++;
	disk->stats.write_bytes += fit;
	mutex_unlock(&disk->lock);
	return err ?: werr;
}

static loff_t kbr_ram_size(struct kbr_file *f)
{
	struct kbr_ram_disk *disk = kbr_ram_disk(f->dir);
	loff_t size;

	mutex_lock(&disk->lock);
	size = kbr_ram_file(f)->inode->vol.size;
	mutex_unlock(&disk->lock);
	return size;
}

static s64 kbr_ram_mtime_ms(struct kbr_file *f)
{
	struct kbr_ram_disk *disk = kbr_ram_disk(f->dir);
	s64 ms;

	mutex_lock(&disk->lock);
	ms = kbr_ram_file(f)->inode->mtime_ms;
	mutex_unlock(&disk->lock);
	return ms;
}

static int kbr_ram_truncate(struct kbr_file *f, loff_t size)
{
	struct kbr_ram_disk *disk = kbr_ram_disk(f->dir);
	struct kbr_ram_file *file = kbr_ram_file(f);
	u64 grow;
	int err;

	if (file->rdonly)
		return -EBADF;
	if (size < 0)
		return -EINVAL;
	mutex_lock(&disk->lock);
	grow = size > file->inode->vol.size ? size - file->inode->vol.size : 0;
	err = kbr_ram_check(disk, KBR_RAM_TRUNCATE, file->path);
	if (!err && grow && disk->used + grow > disk->space)
		err = -ENOSPC;
	if (!err)
		err = kbr_ram_inode_resize(file->inode, size, ++disk->seq);
	mutex_unlock(&disk->lock);
	return err;
}

/* Nobody else has the disk: only a fault says that somebody has the lock. */
static int kbr_ram_lock(struct kbr_file *f)
{
	struct kbr_ram_disk *disk = kbr_ram_disk(f->dir);
	int err;

	mutex_lock(&disk->lock);
	err = kbr_ram_check(disk, KBR_RAM_LOCK, kbr_ram_file(f)->path);
	mutex_unlock(&disk->lock);
	return err;
}

/* What a flush covers is what was there when it began. */
static u64 kbr_ram_flush_begin(struct kbr_ram_disk *disk)
{
	unsigned int usecs;
	u64 until;

	mutex_lock(&disk->lock);
	until = disk->seq;
	usecs = disk->sync_usecs;
	mutex_unlock(&disk->lock);
	if (usecs)
		usleep_range(usecs, usecs + 1);
	return until;
}

static int kbr_ram_sync_one(struct kbr_ram_disk *disk, struct kbr_file *f, u64 until, int err)
{
	struct kbr_ram_file *file = kbr_ram_file(f);
	int lerr;

	disk->stats.syncs++;
	err = kbr_ram_check(disk, KBR_RAM_SYNC, file->path) ?: err;
	if (!err) {
		kbr_ram_inode_sync(file->inode, until);
		return 0;
	}
	lerr = kbr_ram_inode_lose(file->inode, until, &disk->rand);
	return lerr ?: err;
}

static int kbr_ram_sync(struct kbr_file *f)
{
	struct kbr_ram_disk *disk = kbr_ram_disk(f->dir);
	u64 until = kbr_ram_flush_begin(disk);
	int err;

	mutex_lock(&disk->lock);
	disk->stats.flushes++;
	err = kbr_ram_sync_one(disk, f, until, 0);
	mutex_unlock(&disk->lock);
	return err;
}

static int kbr_ram_sync_many(struct kbr_dir *dir, struct kbr_file **files, int *errs,
			     unsigned int n)
{
	struct kbr_ram_disk *disk = kbr_ram_disk(dir);
	u64 until = kbr_ram_flush_begin(disk);
	unsigned int i;
	int all, ret = 0;

	mutex_lock(&disk->lock);
	disk->stats.flushes++;
	all = kbr_ram_check(disk, KBR_RAM_SYNC_MANY, "");
	for (i = 0; i < n; i++) {
		errs[i] = kbr_ram_sync_one(disk, files[i], until, all);
		ret = ret ?: errs[i];
	}
	mutex_unlock(&disk->lock);
	return ret;
}

static int kbr_ram_invalidate(struct kbr_file *f, loff_t from)
{
	struct kbr_ram_disk *disk = kbr_ram_disk(f->dir);
	struct kbr_ram_file *file = kbr_ram_file(f);
	int err;

	mutex_lock(&disk->lock);
	err = kbr_ram_check(disk, KBR_RAM_INVALIDATE, file->path);
	if (!err)
		err = kbr_ram_inode_invalidate(file->inode, from, ++disk->seq);
	mutex_unlock(&disk->lock);
	return err;
}

static int kbr_ram_mkdir(struct kbr_dir *dir, const char *path)
{
	struct kbr_ram_disk *disk = kbr_ram_disk(dir);
	struct kbr_ram_inode *parent, *inode;
	int err;

	mutex_lock(&disk->lock);
	err = kbr_ram_check(disk, KBR_RAM_MKDIR, path);
	if (!err) {
		err = kbr_ram_lookup(disk, path, &parent, &inode);
		if (!err)
			err = -EEXIST;
		else if (err == -ENOENT)
			err = kbr_ram_make(disk, path, true, NULL);
	}
	mutex_unlock(&disk->lock);
	return err;
}

static int kbr_ram_remove(struct kbr_dir *dir, const char *path, u32 op)
{
	struct kbr_ram_disk *disk = kbr_ram_disk(dir);
	struct kbr_ram_inode *parent, *inode;
	const char *name;
	int err;

	mutex_lock(&disk->lock);
	err = kbr_ram_check(disk, op, path);
	if (!err)
		err = kbr_ram_lookup(disk, path, &parent, &inode);
	if (!err)
		err = kbr_ram_parent(disk, path, &parent, &name);
	if (!err && op == KBR_RAM_UNLINK && inode->is_dir)
		err = -EISDIR;
	if (!err && op == KBR_RAM_RMDIR && !inode->is_dir)
		err = -ENOTDIR;
	if (!err && op == KBR_RAM_RMDIR && !list_empty(&inode->names))
		err = -ENOTEMPTY;
	if (!err)
		err = kbr_ram_dir_change(parent, name, NULL, NULL, ++disk->seq);
	mutex_unlock(&disk->lock);
	return err;
}

static int kbr_ram_rmdir(struct kbr_dir *dir, const char *path)
{
	return kbr_ram_remove(dir, path, KBR_RAM_RMDIR);
}

static int kbr_ram_unlink(struct kbr_dir *dir, const char *path)
{
	return kbr_ram_remove(dir, path, KBR_RAM_UNLINK);
}

static int kbr_ram_rename_locked(struct kbr_ram_disk *disk, const char *from, const char *to)
{
	struct kbr_ram_inode *from_dir, *to_dir, *inode, *old;
	const char *from_name, *to_name;
	int err;

	err = kbr_ram_check(disk, KBR_RAM_RENAME, from);
	if (!err)
		err = kbr_ram_lookup(disk, from, &from_dir, &inode);
	if (!err)
		err = kbr_ram_parent(disk, from, &from_dir, &from_name);
	if (!err)
		err = kbr_ram_parent(disk, to, &to_dir, &to_name);
	if (err)
		return err;
	/* Nobody needs it, and it would tie the two directories' changes together. */
	if (from_dir != to_dir)
		return -EXDEV;
	if (!strcmp(from_name, to_name))
		return 0;
	if (!kbr_ram_lookup(disk, to, &to_dir, &old)) {
		if (old->is_dir != inode->is_dir)
			return old->is_dir ? -EISDIR : -ENOTDIR;
		if (!list_empty(&old->names))
			return -ENOTEMPTY;
	}
	return kbr_ram_dir_change(from_dir, from_name, to_name, inode, ++disk->seq);
}

static int kbr_ram_rename(struct kbr_dir *dir, const char *from, const char *to)
{
	struct kbr_ram_disk *disk = kbr_ram_disk(dir);
	int err;

	mutex_lock(&disk->lock);
	err = kbr_ram_rename_locked(disk, from, to);
	mutex_unlock(&disk->lock);
	return err;
}

/* Copies the names first, since the callback may use the disk. */
static int kbr_ram_list(struct kbr_dir *dir, const char *path, kbr_dir_actor actor, void *arg)
{
	struct kbr_ram_disk *disk = kbr_ram_disk(dir);
	struct kbr_ram_inode *parent, *inode;
	size_t bytes = 0, used = 0, len;
	struct kbr_ram_ent *ent;
	char *buf = NULL;
	int err;

	mutex_lock(&disk->lock);
	err = kbr_ram_check(disk, KBR_RAM_LIST, path);
	if (!err)
		err = kbr_ram_lookup(disk, path, &parent, &inode);
	if (!err && !inode->is_dir)
		err = -ENOTDIR;
	if (!err) {
		list_for_each_entry(ent, &inode->names, node)
			bytes += strlen(ent->name) + 2;
		buf = kvmalloc(bytes + 1, GFP_KERNEL);
		if (!buf)
			err = -ENOMEM;
	}
	if (!err) {
		list_for_each_entry(ent, &inode->names, node) {
			len = strlen(ent->name) + 1;
			buf[used] = ent->inode->is_dir ? 'd' : 'f';
			memcpy(buf + used + 1, ent->name, len);
			used += len + 1;
		}
	}
	mutex_unlock(&disk->lock);

	for (bytes = 0; !err && bytes < used; bytes += strlen(buf + bytes) + 1) {
		struct kbr_dirent dent = {
			.name = buf + bytes + 1,
			.is_dir = buf[bytes] == 'd',
		};

		err = actor(arg, &dent);
	}
	kvfree(buf);
	return err;
}

static int kbr_ram_sync_dir(struct kbr_dir *dir, const char *path)
{
	struct kbr_ram_disk *disk = kbr_ram_disk(dir);
	u64 until = kbr_ram_flush_begin(disk);
	struct kbr_ram_inode *parent, *inode;
	int err;

	mutex_lock(&disk->lock);
	disk->stats.flushes++;
	err = kbr_ram_check(disk, KBR_RAM_SYNC_DIR, path);
	if (!err)
		err = kbr_ram_lookup(disk, path, &parent, &inode);
	if (!err && !inode->is_dir)
		err = -ENOTDIR;
	if (!err)
		kbr_ram_dir_sync(inode, until);
	mutex_unlock(&disk->lock);
	return err;
}

static int kbr_ram_stat_space(struct kbr_dir *dir, u64 *total, u64 *avail)
{
	struct kbr_ram_disk *disk = kbr_ram_disk(dir);
	int err;

	mutex_lock(&disk->lock);
	err = kbr_ram_check(disk, KBR_RAM_STAT, "");
	*total = disk->space;
	*avail = disk->space > disk->used ? disk->space - disk->used : 0;
	mutex_unlock(&disk->lock);
	return err;
}

static void kbr_ram_put(struct kbr_dir *dir)
{
	struct kbr_ram_disk *disk = kbr_ram_disk(dir);

	WARN(disk->stats.files, "%u files of a RAM disk left open", disk->stats.files);
	kbr_ram_inode_put(disk->root);
	mutex_destroy(&disk->lock);
	kfree(disk);
}

static const struct kbr_file_ops kbr_ram_ops = {
	.open = kbr_ram_open,
	.close = kbr_ram_close,
	.read = kbr_ram_read,
	.read_iter = kbr_ram_read_iter,
	.write = kbr_ram_write,
	.size = kbr_ram_size,
	.mtime_ms = kbr_ram_mtime_ms,
	.truncate = kbr_ram_truncate,
	.sync = kbr_ram_sync,
	.sync_many = kbr_ram_sync_many,
	.invalidate = kbr_ram_invalidate,
	.lock = kbr_ram_lock,
	.mkdir = kbr_ram_mkdir,
	.rmdir = kbr_ram_rmdir,
	.unlink = kbr_ram_unlink,
	.rename = kbr_ram_rename,
	.list = kbr_ram_list,
	.sync_dir = kbr_ram_sync_dir,
	.stat_space = kbr_ram_stat_space,
	.put = kbr_ram_put,
};

static struct kbr_ram_disk *kbr_ram_disk_alloc(u64 seed)
{
	struct kbr_ram_disk *disk = kzalloc(sizeof(*disk), GFP_KERNEL);

	if (!disk)
		return NULL;
	disk->dir.ops = &kbr_ram_ops;
	mutex_init(&disk->lock);
	disk->next_id = 1;
	disk->rand = seed;
	disk->space = KBR_RAM_SPACE;
	return disk;
}

struct kbr_dir *kbr_ram_create(u64 seed)
{
	struct kbr_ram_disk *disk = kbr_ram_disk_alloc(seed);

	if (!disk)
		return NULL;
	disk->root = kbr_ram_inode_alloc(true, 0, &disk->used);
	if (!disk->root) {
		kfree(disk);
		return NULL;
	}
	return &disk->dir;
}

struct kbr_dir *kbr_ram_crash(struct kbr_dir *dir, u64 seed)
{
	struct kbr_ram_disk *old = kbr_ram_disk(dir);
	struct kbr_ram_disk *disk = kbr_ram_disk_alloc(seed);

	if (!disk)
		return NULL;
	mutex_lock(&old->lock);
	disk->space = old->space;
	disk->next_id = old->next_id;
	disk->root = kbr_ram_inode_crash(old->root, seed, &disk->used);
	mutex_unlock(&old->lock);
	if (!disk->root) {
		kfree(disk);
		return NULL;
	}
	return &disk->dir;
}

bool kbr_ram_fail(struct kbr_dir *dir, u32 ops, u64 after, u64 times, int err, const char *match)
{
	struct kbr_ram_disk *disk = kbr_ram_disk(dir);
	struct kbr_ram_fault *fault;
	bool set = false;

	mutex_lock(&disk->lock);
	for (fault = disk->faults; fault < disk->faults + KBR_RAM_FAULTS && !set; fault++) {
		if (fault->ops)
			continue;
		fault->ops = ops;
		fault->after = after;
		fault->times = times ?: U64_MAX;
		fault->err = err;
		fault->match = match;
		set = true;
	}
	mutex_unlock(&disk->lock);
	return set;
}

void kbr_ram_heal(struct kbr_dir *dir)
{
	struct kbr_ram_disk *disk = kbr_ram_disk(dir);

	mutex_lock(&disk->lock);
	memset(disk->faults, 0, sizeof(disk->faults));
	mutex_unlock(&disk->lock);
}

void kbr_ram_set_space(struct kbr_dir *dir, u64 bytes)
{
	struct kbr_ram_disk *disk = kbr_ram_disk(dir);

	mutex_lock(&disk->lock);
	disk->space = bytes;
	mutex_unlock(&disk->lock);
}

void kbr_ram_set_sync_delay(struct kbr_dir *dir, unsigned int usecs)
{
	struct kbr_ram_disk *disk = kbr_ram_disk(dir);

	mutex_lock(&disk->lock);
	disk->sync_usecs = usecs;
	mutex_unlock(&disk->lock);
}

int kbr_ram_damage(struct kbr_dir *dir, const char *path, loff_t pos, u8 mask)
{
	struct kbr_ram_disk *disk = kbr_ram_disk(dir);
	struct kbr_ram_inode *parent, *inode;
	int err;

	mutex_lock(&disk->lock);
	err = kbr_ram_lookup(disk, path, &parent, &inode);
	if (!err && (pos < 0 || pos >= inode->vol.size))
		err = -ERANGE;
	if (!err) {
		inode->vol.data[pos] ^= mask;
		if (pos < inode->dur.size)
			inode->dur.data[pos] ^= mask;
	}
	mutex_unlock(&disk->lock);
	return err;
}

void kbr_ram_get_stats(struct kbr_dir *dir, struct kbr_ram_stats *stats)
{
	struct kbr_ram_disk *disk = kbr_ram_disk(dir);

	mutex_lock(&disk->lock);
	*stats = disk->stats;
	mutex_unlock(&disk->lock);
}
