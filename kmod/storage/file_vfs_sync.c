// SPDX-License-Identifier: GPL-2.0-only
/*
 * Making files durable, and no longer believing the page cache when that
 * failed; see file.h and file_vfs.c.
 *
 * Many files are synced as syncfs(2) would, but with the data of these files
 * only: write all back, wait for all, then one sync_fs() of the file system,
 * which is one commit and one device flush. That this is enough is known for
 * ext4 with a journal and for xfs; elsewhere each file is fsynced.
 */
#include <linux/backing-dev.h>
#include <linux/blkdev.h>
#include <linux/buffer_head.h>
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/pagemap.h>

#include "kbr_compat.h"
#include "storage/file_vfs.h"

/* ext4's superblock on disk: where it is and what says that there is a journal */
#define KBR_EXT4_SB_POS		1024
#define KBR_EXT4_SB_MAGIC	0x38
#define KBR_EXT4_SB_COMPAT	0x5c
#define KBR_EXT4_MAGIC		0xef53
#define KBR_EXT4_HAS_JOURNAL	0x0004

/* Without a journal sync_fs() writes no inodes. */
static bool kbr_vfs_ext4_has_journal(struct super_block *sb)
{
	struct buffer_head *bh = sb_bread(sb, KBR_EXT4_SB_POS / sb->s_blocksize);
	bool has = false;
	const u8 *disk;

	if (!bh)
		return false;
	disk = (u8 *)bh->b_data + KBR_EXT4_SB_POS % sb->s_blocksize;
	if (le16_to_cpup((const __le16 *)(disk + KBR_EXT4_SB_MAGIC)) == KBR_EXT4_MAGIC)
		has = le32_to_cpup((const __le32 *)(disk + KBR_EXT4_SB_COMPAT)) &
		      KBR_EXT4_HAS_JOURNAL;
	brelse(bh);
	return has;
}

/**
 * kbr_vfs_sync_group() - how many files of a file system are synced at once
 * @sb: the file system
 */
enum kbr_vfs_group kbr_vfs_sync_group(struct super_block *sb)
{
	if (!sb->s_bdev || !sb->s_op->sync_fs)
		return KBR_VFS_GROUP_NONE;
	if (!strcmp(sb->s_type->name, "ext4") && kbr_vfs_ext4_has_journal(sb))
		return KBR_VFS_GROUP_EXT4;
	if (!strcmp(sb->s_type->name, "xfs"))
		return KBR_VFS_GROUP_XFS;
	return KBR_VFS_GROUP_NONE;
}

/*
 * The time of the last write, as far as anybody wants to know it: see
 * kbr_vfs_open(). Not in a file system that is frozen, for a snapshot of its
 * device say: everything was written before, and a change must wait for its end.
 */
static void kbr_vfs_stamp(struct file *filp)
{
	struct super_block *sb = file_inode(filp)->i_sb;

	if (!(filp->f_mode & FMODE_WRITE) || !sb_start_write_trylock(sb))
		return;
	file_update_time(filp);
	sb_end_write(sb);
}

int kbr_vfs_sync(struct kbr_file *f)
{
	struct kbr_vfs_file *file = kbr_vfs_file(f);

	kbr_vfs_stamp(file->filp);
	WRITE_ONCE(file->overwrote, false);
	return kbr_vfs_err(vfs_fsync(file->filp, 1));
}

/* One commit, one flush, for data that has been written and waited for. */
static int kbr_vfs_sync_fs(struct kbr_vfs_dir *dir, bool overwrote)
{
	struct super_block *sb = dir->path.dentry->d_sb;
	int err;

	down_read(&sb->s_umount);
	err = sb_rdonly(sb) ? -EIO : sb->s_op->sync_fs(sb, 1);
	up_read(&sb->s_umount);
	if (!err && overwrote && dir->group == KBR_VFS_GROUP_XFS)
		err = blkdev_issue_flush(sb->s_bdev);
	/* An aborted journal has nothing to commit and may be silent about it. */
	if (!err && sb_rdonly(sb))
		err = -EIO;
	return err;
}

int kbr_vfs_sync_many(struct kbr_dir *d, struct kbr_file **files, int *errs, unsigned int n)
{
	struct kbr_vfs_dir *dir = kbr_vfs_dir(d);
	bool overwrote = false;
	struct file *filp;
	int err, ret = 0;
	unsigned int i;

	if (n == 1 || dir->group == KBR_VFS_GROUP_NONE) {
		for (i = 0; i < n; i++) {
			errs[i] = kbr_vfs_sync(files[i]);
			ret = ret ?: errs[i];
		}
		return ret;
	}

	for (i = 0; i < n; i++) {
		struct kbr_vfs_file *file = kbr_vfs_file(files[i]);

		if (READ_ONCE(file->overwrote)) {
			WRITE_ONCE(file->overwrote, false);
			overwrote = true;
		}
		kbr_vfs_stamp(file->filp);
		errs[i] = filemap_fdatawrite(file->filp->f_mapping);
	}
	for (i = 0; i < n; i++) {
		filp = kbr_vfs_file(files[i])->filp;
		/* Waits whatever the first result was, and takes the error note of the file. */
		err = file_fdatawait_range(filp, 0, LLONG_MAX);
		errs[i] = errs[i] ?: err;
	}
	err = kbr_vfs_sync_fs(dir, overwrote);
	for (i = 0; i < n; i++) {
		errs[i] = kbr_vfs_err(errs[i] ?: err);
		ret = ret ?: errs[i];
	}
	return ret;
}

/*
 * Dirty pages are dropped too, as in a truncation, but the size stays: what
 * has not been synced from @from on is given up. Pages that straddle @from go
 * as a whole, since dropping a part would leave zeros in memory in place of
 * what is on disk.
 */
int kbr_vfs_invalidate(struct kbr_file *f, loff_t from)
{
	struct file *filp = kbr_vfs_file(f)->filp;
	struct address_space *mapping = filp->f_mapping;
	struct inode *inode = mapping->host;
	struct folio *folio;
	loff_t start;

	/* In memory the cache is the file. */
	if (!(inode->i_sb->s_bdi->capabilities & BDI_CAP_WRITEBACK))
		return 0;
	start = round_down(from, PAGE_SIZE);
	inode_lock(inode);
	filemap_invalidate_lock(mapping);
	folio = kbr_filemap_get_folio(mapping, start >> PAGE_SHIFT);
	if (folio) {
		if (folio->mapping == mapping)
			start = min_t(loff_t, start, folio_pos(folio));
		folio_put(folio);
	}
	truncate_inode_pages_range(mapping, start, -1);
	filemap_invalidate_unlock(mapping);
	inode_unlock(inode);
	return 0;
}
