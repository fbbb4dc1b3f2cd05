// SPDX-License-Identifier: GPL-2.0-only
/*
 * The real implementation of the file seam (file.h): the only caller of the
 * VFS in storage. Opens, reads, writes and sizes are here; names, listings and
 * space are in file_vfs_dir.c, syncing is in file_vfs_sync.c.
 *
 * Whoever started the broker is the one who touches its files: each call that
 * can be refused runs with the credentials taken then, below the directory
 * taken then. Of the calling process nothing may show:
 *  - its file size limit: a write beyond it is done by a kernel worker;
 *  - its umask, and an exiting process has no file system state at all: files
 *    and directories are then created by a worker;
 *  - a fatal signal ends a page-cache write halfway: a worker does the rest.
 * These detours are rare. The usual write costs one call of the file system.
 *
 * A file system that turns read-only under the broker (as ext4 does after an
 * error) is a storage error here: -EROFS has another meaning above. A quota is
 * -ENOSPC.
 */
#include <linux/bvec.h>
#include <linux/cred.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/fs_struct.h>
#include <linux/mount.h>
#include <linux/module.h>
#include <linux/namei.h>
#include <linux/pagemap.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/swap.h>
#include <linux/uio.h>
#include <linux/workqueue.h>

#include "base/kunit.h"
#include "kbr_compat.h"
#include "storage/file_vfs.h"

static const struct kbr_file_ops kbr_vfs_ops;

/**
 * kbr_vfs_err() - an errno of the VFS in the module's vocabulary
 * @err: 0, a count or a negative errno
 */
long kbr_vfs_err(long err)
{
	switch (err) {
	case -EROFS:
		return -EIO;
	case -EDQUOT:
		return -ENOSPC;
	default:
		return err;
	}
}
KBR_EXPORT_IF_KUNIT(kbr_vfs_err);

struct kbr_vfs_detour {
	struct work_struct work;
	int (*fn)(void *arg);
	void *arg;
	int ret;
};

static void kbr_vfs_detour_work(struct work_struct *work)
{
	struct kbr_vfs_detour *detour = container_of(work, struct kbr_vfs_detour, work);

	detour->ret = detour->fn(detour->arg);
}

/**
 * kbr_vfs_detour() - call a function in a worker and wait for it
 * @fn: what to call; takes the broker's credentials itself
 * @arg: for @fn
 *
 * A worker has no limits, no umask of its own making and no signals.
 * Context: process; sleeps, can't be interrupted.
 */
int kbr_vfs_detour(int (*fn)(void *arg), void *arg)
{
	struct kbr_vfs_detour detour = { .fn = fn, .arg = arg };

	INIT_WORK_ONSTACK(&detour.work, kbr_vfs_detour_work);
	queue_work(system_unbound_wq, &detour.work);
	flush_work(&detour.work);
	destroy_work_on_stack(&detour.work);
	return detour.ret;
}

/**
 * kbr_vfs_call_creating() - call a function that may create a file or directory
 * @fn: what to call
 * @arg: for @fn
 *
 * In a worker if the caller's umask would show in the file's mode. Workers
 * have that of the machine's first process, which is as good as another's: they
 * call directly, since the broker's must not wait for one that may wait for memory.
 */
int kbr_vfs_call_creating(int (*fn)(void *arg), void *arg)
{
	if (current->flags & PF_WQ_WORKER)
		return fn(arg);
	/* An exiting process may have let go of its umask already. */
	if (!current->fs || (current_umask() & (KBR_VFS_FILE_MODE | KBR_VFS_DIR_MODE)))
		return kbr_vfs_detour(fn, arg);
	return fn(arg);
}

/**
 * kbr_vfs_path_check() - refuse what is not a path below the directory
 * @path: see file.h
 *
 * Return: 0 or -EINVAL.
 */
int kbr_vfs_path_check(const char *path)
{
	const char *name = path;
	unsigned int n = 0;
	size_t len;

	if (!*path)
		return 0;
	for (;;) {
		len = strcspn(name, "/");
		if (!len || ++n > 2)
			return -EINVAL;
		if (name[0] == '.' && (len == 1 || (len == 2 && name[1] == '.')))
			return -EINVAL;
		if (!name[len])
			return 0;
		name += len + 1;
	}
}

struct kbr_vfs_open_args {
	struct kbr_vfs_dir *dir;
	const char *path;
	int flags;
	struct file *filp;
};

static int kbr_vfs_open_fn(void *arg)
{
	struct kbr_vfs_open_args *args = arg;
	const struct cred *old = override_creds(args->dir->cred);

	args->filp = file_open_root(&args->dir->path, args->path, args->flags, KBR_VFS_FILE_MODE);
	revert_creds(old);
	return PTR_ERR_OR_ZERO(args->filp);
}

static int kbr_vfs_open(struct kbr_dir *d, const char *path, unsigned int flags,
			struct kbr_file **out)
{
	struct kbr_vfs_open_args args = {
		.dir = kbr_vfs_dir(d),
		.path = path,
		.flags = O_LARGEFILE | O_NOFOLLOW,
	};
	struct kbr_vfs_file *file;
	int err;

	err = *path ? kbr_vfs_path_check(path) : -EISDIR;
	if (err)
		return err;
	args.flags |= flags & KBR_FILE_RDONLY ? O_RDONLY : O_RDWR;
	if (flags & KBR_FILE_CREATE)
		args.flags |= O_CREAT;
	if (flags & KBR_FILE_EXCL)
		args.flags |= O_EXCL;
	if (flags & KBR_FILE_TRUNC)
		args.flags |= O_TRUNC;

	file = kzalloc(sizeof(*file), GFP_KERNEL);
	if (!file)
		return -ENOMEM;
	if (flags & KBR_FILE_CREATE)
		err = kbr_vfs_call_creating(kbr_vfs_open_fn, &args);
	else
		err = kbr_vfs_open_fn(&args);
	if (err)
		goto err_free;

	err = -EISDIR;
	if (S_ISDIR(file_inode(args.filp)->i_mode))
		goto err_close;
	err = -EINVAL;
	if (!S_ISREG(file_inode(args.filp)->i_mode) || !args.filp->f_op->read_iter ||
	    (!(flags & KBR_FILE_RDONLY) && !args.filp->f_op->write_iter))
		goto err_close;
	/* A file system mounted inside is not the broker's: it would be synced apart. */
	err = -EXDEV;
	if (args.filp->f_path.mnt != args.dir->path.mnt)
		goto err_close;
	/* Reading a log is no access that anybody wants to have on disk. */
	spin_lock(&args.filp->f_lock);
	args.filp->f_flags |= O_NOATIME;
	spin_unlock(&args.filp->f_lock);
	/*
	 * A time stamp costs as much as the rest of a small append, since it
	 * starts a transaction of the file system: syncs set it instead.
	 */
	args.filp->f_mode |= FMODE_NOCMTIME;

	file->file.ops = &kbr_vfs_ops;
	file->file.dir = d;
	file->filp = args.filp;
	*out = &file->file;
	return 0;

err_close:
	fput(args.filp);
err_free:
	kfree(file);
	return kbr_vfs_err(err);
}

static int kbr_vfs_set_lock(struct file *filp, unsigned char type)
{
	struct file_lock *fl = kbr_file_lock_alloc(filp, type);
	int err;

	if (!fl)
		return -ENOMEM;
	err = vfs_lock_file(filp, F_SETLK, fl, NULL);
	locks_free_lock(fl);
	return err;
}

static int kbr_vfs_lock(struct kbr_file *f)
{
	struct kbr_vfs_file *file = kbr_vfs_file(f);
	int err = kbr_vfs_set_lock(file->filp, F_WRLCK);

	if (err)
		return err == -EAGAIN || err == -EACCES ? -EBUSY : kbr_vfs_err(err);
	file->locked = true;
	return 0;
}

static void kbr_vfs_close(struct kbr_file *f)
{
	struct kbr_vfs_file *file = kbr_vfs_file(f);

	/* A worker's fput() acts later: whoever comes next must find it unlocked. */
	if (file->locked)
		kbr_vfs_set_lock(file->filp, F_UNLCK);
	fput(file->filp);
	kfree(file);
}

/* init_sync_kiocb() without the I/O priority, which the page cache does not ask for. */
static void kbr_vfs_kiocb_init(struct kiocb *kiocb, struct file *filp, loff_t pos)
{
	*kiocb = (struct kiocb) {
		.ki_filp = filp,
		.ki_pos = pos,
		.ki_flags = filp->f_iocb_flags,
	};
}

/*
 * What is in one page that the cache has, such as a header, or what a reader at
 * the end of a log waits for: most of what a file system's read does is for
 * other cases. Return: bytes; 0 leave it to the file system.
 */
static size_t kbr_vfs_read_page(struct file *filp, struct iov_iter *to, loff_t pos)
{
	size_t len = iov_iter_count(to), copied = 0;
	struct folio *folio;

	folio = kbr_filemap_get_folio(filp->f_mapping, pos >> PAGE_SHIFT);
	if (!folio)
		return 0;
	/* As filemap_read(): the size is looked at when the contents are there. */
	if (folio_test_uptodate(folio) && !folio_test_readahead(folio) &&
	    pos + len <= i_size_read(file_inode(filp))) {
		folio_mark_accessed(folio);
		copied = copy_page_to_iter(folio_file_page(folio, pos >> PAGE_SHIFT),
					   offset_in_page(pos), len, to);
	}
	folio_put(folio);
	return copied;
}

/*
 * Straight to the file system: what the VFS does on top (notification, access
 * checks that were made at open, accounting of calls) is not for log files.
 * Reads need no credentials either: they were checked at open.
 */
static ssize_t kbr_vfs_read_iter(struct kbr_file *f, struct iov_iter *to, loff_t pos)
{
	struct file *filp = kbr_vfs_file(f)->filp;
	struct kiocb kiocb;
	size_t copied;

	if (offset_in_page(pos) + iov_iter_count(to) <= PAGE_SIZE) {
		copied = kbr_vfs_read_page(filp, to, pos);
		if (copied)
			return copied;
	}
	kbr_vfs_kiocb_init(&kiocb, filp, pos);
	return filp->f_op->read_iter(&kiocb, to);
}

/* What is in the page cache; one entry for each folio, which may be of many pages. */
static unsigned int kbr_vfs_get_pages(struct kbr_file *f, loff_t pos, size_t len,
				      struct bio_vec *vecs, unsigned int max)
{
	struct address_space *mapping = kbr_vfs_file(f)->filp->f_mapping;
	struct folio *folio;
	size_t offset, part;
	unsigned int n;

	for (n = 0; n < max && len; n++) {
		folio = kbr_filemap_get_folio(mapping, pos >> PAGE_SHIFT);
		if (!folio)
			break;
		if (!folio_test_uptodate(folio)) {
			folio_put(folio);
			break;
		}
		folio_mark_accessed(folio);
		offset = offset_in_folio(folio, pos);
		part = min(len, folio_size(folio) - offset);
		vecs[n].bv_page = folio_page(folio, offset >> PAGE_SHIFT);
		vecs[n].bv_offset = offset_in_page(offset);
		vecs[n].bv_len = part;
		pos += part;
		len -= part;
	}
	return n;
}

/**
 * struct kbr_vfs_io - a read or write of kernel memory
 * @file: the file
 * @buf: bytes still to do
 * @len: how many
 * @pos: where
 */
struct kbr_vfs_io {
	struct kbr_vfs_file *file;
	void *buf;
	size_t len;
	loff_t pos;
};

/* Read until nothing is left, the file ends, or it fails. */
static int kbr_vfs_read_fn(void *arg)
{
	struct kbr_vfs_io *io = arg;
	struct kvec vec;
	struct iov_iter to;
	ssize_t ret;

	do {
		vec.iov_base = io->buf;
		vec.iov_len = io->len;
		iov_iter_kvec(&to, ITER_DEST, &vec, 1, io->len);
		ret = kbr_vfs_read_iter(&io->file->file, &to, io->pos);
		if (ret <= 0)
			return ret;
		io->buf += ret;
		io->pos += ret;
		io->len -= ret;
	} while (io->len);
	return 0;
}

static ssize_t kbr_vfs_read(struct kbr_file *f, void *buf, size_t len, loff_t pos)
{
	struct kbr_vfs_io io = {
		.file = kbr_vfs_file(f), .buf = buf, .len = len, .pos = pos,
	};
	int err;

	if (!len)
		return 0;
	err = kbr_vfs_read_fn(&io);
	/* A fatal signal interrupts waiting for the disk; others may depend on this read. */
	if (err == -EINTR && fatal_signal_pending(current))
		err = kbr_vfs_detour(kbr_vfs_read_fn, &io);
	return err ? kbr_vfs_err(err) : len - io.len;
}

static int kbr_vfs_write_fn(void *arg)
{
	struct kbr_vfs_io *io = arg;
	struct file *filp = io->file->filp;
	const struct cred *old;
	struct kiocb kiocb;
	struct iov_iter from;
	struct kvec vec;
	ssize_t ret;

	old = override_creds(kbr_vfs_dir(io->file->file.dir)->cred);
	file_start_write(filp);
	do {
		vec.iov_base = io->buf;
		vec.iov_len = io->len;
		iov_iter_kvec(&from, ITER_SOURCE, &vec, 1, io->len);
		kbr_vfs_kiocb_init(&kiocb, filp, io->pos);
		ret = filp->f_op->write_iter(&kiocb, &from);
		if (ret <= 0)
			break;
		io->buf += ret;
		io->pos += ret;
		io->len -= ret;
	} while (io->len && !fatal_signal_pending(current));
	file_end_write(filp);
	revert_creds(old);

	if (!io->len)
		return 0;
	/* Short because of a signal, or a file system that writes nothing and says so. */
	if (fatal_signal_pending(current))
		return -EINTR;
	return ret < 0 ? ret : -EIO;
}

static int kbr_vfs_write(struct kbr_file *f, const void *buf, size_t len, loff_t pos)
{
	struct kbr_vfs_file *file = kbr_vfs_file(f);
	struct kbr_vfs_io io = {
		.file = file, .buf = (void *)buf, .len = len, .pos = pos,
	};
	int err;

	if (unlikely(!(file->filp->f_mode & FMODE_WRITE)))
		return -EBADF;
	if (!len)
		return 0;
	if (unlikely(pos < i_size_read(file_inode(file->filp))))
		WRITE_ONCE(file->overwrote, true);
	if (unlikely(rlimit(RLIMIT_FSIZE) < pos + len))
		return kbr_vfs_err(kbr_vfs_detour(kbr_vfs_write_fn, &io));
	err = kbr_vfs_write_fn(&io);
	if (unlikely(err == -EINTR && fatal_signal_pending(current)))
		err = kbr_vfs_detour(kbr_vfs_write_fn, &io);
	return kbr_vfs_err(err);
}

static loff_t kbr_vfs_size(struct kbr_file *f)
{
	return i_size_read(file_inode(kbr_vfs_file(f)->filp));
}

static s64 kbr_vfs_mtime_ms(struct kbr_file *f)
{
	struct timespec64 ts = kbr_inode_mtime(file_inode(kbr_vfs_file(f)->filp));

	return ts.tv_sec * MSEC_PER_SEC + ts.tv_nsec / NSEC_PER_MSEC;
}

static int kbr_vfs_truncate_fn(void *arg)
{
	struct kbr_vfs_io *io = arg;
	const struct cred *old = override_creds(kbr_vfs_dir(io->file->file.dir)->cred);
	int err = vfs_truncate(&io->file->filp->f_path, io->pos);

	revert_creds(old);
	return err;
}

static int kbr_vfs_truncate(struct kbr_file *f, loff_t size)
{
	struct kbr_vfs_file *file = kbr_vfs_file(f);
	struct kbr_vfs_io io = { .file = file, .pos = size };

	if (!(file->filp->f_mode & FMODE_WRITE))
		return -EBADF;
	WRITE_ONCE(file->overwrote, true);
	if (rlimit(RLIMIT_FSIZE) < size)
		return kbr_vfs_err(kbr_vfs_detour(kbr_vfs_truncate_fn, &io));
	return kbr_vfs_err(kbr_vfs_truncate_fn(&io));
}

static const struct kbr_file_ops kbr_vfs_ops = {
	.open = kbr_vfs_open,
	.close = kbr_vfs_close,
	.read = kbr_vfs_read,
	.read_iter = kbr_vfs_read_iter,
	.get_pages = kbr_vfs_get_pages,
	.write = kbr_vfs_write,
	.size = kbr_vfs_size,
	.mtime_ms = kbr_vfs_mtime_ms,
	.truncate = kbr_vfs_truncate,
	.sync = kbr_vfs_sync,
	.sync_many = kbr_vfs_sync_many,
	.invalidate = kbr_vfs_invalidate,
	.lock = kbr_vfs_lock,
	.mkdir = kbr_vfs_mkdir,
	.rmdir = kbr_vfs_rmdir,
	.unlink = kbr_vfs_unlink,
	.rename = kbr_vfs_rename,
	.list = kbr_vfs_list,
	.sync_dir = kbr_vfs_sync_dir,
	.stat_space = kbr_vfs_stat_space,
	.put = kbr_vfs_put,
};

/**
 * kbr_dir_open_vfs() - take a real directory
 * @path: absolute path, resolved with the caller's root and credentials, which
 *	are kept and used for all later access
 * @out: the directory; release with kbr_dir_put(); its file system can't be
 *	unmounted until then
 *
 * Context: process with a file system context (a system call, not a worker).
 * Return: 0; -ENOENT, -ENOTDIR; -EACCES the caller may not list and change it;
 * -EROFS; -ENOMEM.
 */
int kbr_dir_open_vfs(const char *path, struct kbr_dir **out)
{
	struct kbr_vfs_dir *dir = kzalloc(sizeof(*dir), GFP_KERNEL);
	int err;

	if (!dir)
		return -ENOMEM;
	err = kern_path(path, LOOKUP_FOLLOW | LOOKUP_DIRECTORY, &dir->path);
	if (err)
		goto err_free;
	err = path_permission(&dir->path, MAY_READ | MAY_WRITE | MAY_EXEC);
	/* inode_permission() looks at the file system alone, not at the mount. */
	if (!err && __mnt_is_readonly(dir->path.mnt))
		err = -EROFS;
	if (err)
		goto err_path;
	dir->dir.ops = &kbr_vfs_ops;
	dir->cred = get_current_cred();
	dir->group = kbr_vfs_sync_group(dir->path.dentry->d_sb);
	*out = &dir->dir;
	return 0;

err_path:
	path_put(&dir->path);
err_free:
	kfree(dir);
	return err;
}
KBR_EXPORT_IF_KUNIT(kbr_dir_open_vfs);

/**
 * kbr_dir_same() - are these one directory of one file system?
 * @a: one
 * @b: another
 *
 * Whatever paths led there. RAM directories are the same only if they are one
 * object.
 */
bool kbr_dir_same(struct kbr_dir *a, struct kbr_dir *b)
{
	if (a == b)
		return true;
	if (a->ops != &kbr_vfs_ops || b->ops != &kbr_vfs_ops)
		return false;
	return d_inode(kbr_vfs_dir(a)->path.dentry) == d_inode(kbr_vfs_dir(b)->path.dentry);
}

dev_t kbr_dir_device(struct kbr_dir *d, const char **fstype)
{
	struct super_block *sb;

	if (d->ops != &kbr_vfs_ops) {
		*fstype = "ram";
		return 0;
	}
	sb = kbr_vfs_dir(d)->path.dentry->d_sb;
	*fstype = sb->s_type->name;
	return sb->s_dev;
}
KBR_EXPORT_IF_KUNIT(kbr_dir_device);
