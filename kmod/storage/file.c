// SPDX-License-Identifier: GPL-2.0-only
/*
 * The seam to files, as functions: each call goes to the implementation that
 * the directory or file belongs to. See file.h for the contract and
 * file_vfs.c for the real one. Nothing is decided here.
 */
#include <linux/bvec.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/uio.h>

#include "base/kunit.h"
#include "storage/file.h"

void kbr_dir_put(struct kbr_dir *dir)
{
	if (dir)
		dir->ops->put(dir);
}
KBR_EXPORT_IF_KUNIT(kbr_dir_put);

int kbr_file_open(struct kbr_dir *dir, const char *path, unsigned int flags,
		  struct kbr_file **file)
{
	return dir->ops->open(dir, path, flags, file);
}
KBR_EXPORT_IF_KUNIT(kbr_file_open);

void kbr_file_close(struct kbr_file *file)
{
	if (file)
		file->ops->close(file);
}
KBR_EXPORT_IF_KUNIT(kbr_file_close);

ssize_t kbr_file_read(struct kbr_file *file, void *buf, size_t len, loff_t pos)
{
	return file->ops->read(file, buf, len, pos);
}
KBR_EXPORT_IF_KUNIT(kbr_file_read);

ssize_t kbr_file_read_iter(struct kbr_file *file, struct iov_iter *to, loff_t pos)
{
	return file->ops->read_iter(file, to, pos);
}
KBR_EXPORT_IF_KUNIT(kbr_file_read_iter);

unsigned int kbr_file_get_pages(struct kbr_file *file, loff_t pos, size_t len,
				struct bio_vec *vecs, unsigned int max)
{
	return file->ops->get_pages ? file->ops->get_pages(file, pos, len, vecs, max) : 0;
}
KBR_EXPORT_IF_KUNIT(kbr_file_get_pages);

void kbr_file_put_pages(struct bio_vec *vecs, unsigned int count)
{
	while (count--)
		put_page(vecs[count].bv_page);
}
KBR_EXPORT_IF_KUNIT(kbr_file_put_pages);

ssize_t kbr_file_fill_cache(struct kbr_file *file, loff_t pos, size_t len)
{
	struct iov_iter nowhere;

	if (!file->ops->get_pages)
		return -EOPNOTSUPP;
	iov_iter_discard(&nowhere, ITER_DEST, len);
	return file->ops->read_iter(file, &nowhere, pos);
}
KBR_EXPORT_IF_KUNIT(kbr_file_fill_cache);

int kbr_file_write(struct kbr_file *file, const void *buf, size_t len, loff_t pos)
{
	return file->ops->write(file, buf, len, pos);
}
KBR_EXPORT_IF_KUNIT(kbr_file_write);

loff_t kbr_file_size(struct kbr_file *file)
{
	return file->ops->size(file);
}
KBR_EXPORT_IF_KUNIT(kbr_file_size);

s64 kbr_file_mtime_ms(struct kbr_file *file)
{
	return file->ops->mtime_ms(file);
}
KBR_EXPORT_IF_KUNIT(kbr_file_mtime_ms);

int kbr_file_truncate(struct kbr_file *file, loff_t size)
{
	return file->ops->truncate(file, size);
}
KBR_EXPORT_IF_KUNIT(kbr_file_truncate);

int kbr_file_sync(struct kbr_file *file)
{
	return file->ops->sync(file);
}
KBR_EXPORT_IF_KUNIT(kbr_file_sync);

int kbr_file_sync_many(struct kbr_dir *dir, struct kbr_file **files, int *errs, unsigned int n)
{
	return n ? dir->ops->sync_many(dir, files, errs, n) : 0;
}
KBR_EXPORT_IF_KUNIT(kbr_file_sync_many);

int kbr_file_invalidate(struct kbr_file *file, loff_t from)
{
	return file->ops->invalidate(file, from);
}
KBR_EXPORT_IF_KUNIT(kbr_file_invalidate);

int kbr_file_lock(struct kbr_file *file)
{
	return file->ops->lock(file);
}
KBR_EXPORT_IF_KUNIT(kbr_file_lock);

int kbr_dir_mkdir(struct kbr_dir *dir, const char *path)
{
	return dir->ops->mkdir(dir, path);
}
KBR_EXPORT_IF_KUNIT(kbr_dir_mkdir);

int kbr_dir_rmdir(struct kbr_dir *dir, const char *path)
{
	return dir->ops->rmdir(dir, path);
}
KBR_EXPORT_IF_KUNIT(kbr_dir_rmdir);

int kbr_dir_unlink(struct kbr_dir *dir, const char *path)
{
	return dir->ops->unlink(dir, path);
}
KBR_EXPORT_IF_KUNIT(kbr_dir_unlink);

int kbr_dir_rename(struct kbr_dir *dir, const char *from, const char *to)
{
	return dir->ops->rename(dir, from, to);
}
KBR_EXPORT_IF_KUNIT(kbr_dir_rename);

int kbr_dir_list(struct kbr_dir *dir, const char *path, kbr_dir_actor actor, void *arg)
{
	return dir->ops->list(dir, path, actor, arg);
}
KBR_EXPORT_IF_KUNIT(kbr_dir_list);

int kbr_dir_sync(struct kbr_dir *dir, const char *path)
{
	return dir->ops->sync_dir(dir, path);
}
KBR_EXPORT_IF_KUNIT(kbr_dir_sync);

int kbr_dir_stat_space(struct kbr_dir *dir, u64 *total, u64 *avail)
{
	return dir->ops->stat_space(dir, total, avail);
}
KBR_EXPORT_IF_KUNIT(kbr_dir_stat_space);
