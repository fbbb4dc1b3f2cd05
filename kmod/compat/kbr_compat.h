/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What differs between the kernels that are supported, 6.1 and later, under
 * one name. The newer kernel's name and meaning are used where it has one;
 * else the name begins with kbr_. Nothing else in the module compares versions.
 */
#ifndef _KBR_COMPAT_H
#define _KBR_COMPAT_H

#include <linux/fs.h>
#include <linux/mount.h>
#include <linux/pagemap.h>
#include <linux/version.h>

/* 6.3: file locks moved. */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 3, 0)
#include <linux/filelock.h>
#endif

/* 6.3: a mount's mapping of owners got a type of its own. */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 3, 0)
#define kbr_mnt_idmap(mnt)	mnt_idmap(mnt)
#else
#define kbr_mnt_idmap(mnt)	mnt_user_ns(mnt)
/* the type that inode operations are given */
#define mnt_idmap		user_namespace
#define nop_mnt_idmap		init_user_ns
#endif

/* 6.6: generic_fillattr() is told what was asked for. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 6, 0)
#define generic_fillattr(idmap, mask, inode, stat) \
	((void)(mask), generic_fillattr(idmap, inode, stat))
#endif

/* kbr_renamedata_set_mnt() - the mount that both sides of a rename are on */
static inline void kbr_renamedata_set_mnt(struct renamedata *rd, const struct vfsmount *mnt)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 3, 0)
	rd->old_mnt_idmap = mnt_idmap(mnt);
	rd->new_mnt_idmap = rd->old_mnt_idmap;
#else
	rd->old_mnt_userns = mnt_user_ns(mnt);
	rd->new_mnt_userns = rd->old_mnt_userns;
#endif
}

/* 6.4: filemap_get_folio() returns an error pointer where it returned NULL. */
static inline struct folio *kbr_filemap_get_folio(struct address_space *mapping, pgoff_t index)
{
	struct folio *folio = filemap_get_folio(mapping, index);

	return IS_ERR(folio) ? NULL : folio;
}

/*
 * 6.7: the times of an inode are reached through functions, some of which were
 * taken back to older kernels: hence the names.
 */
static inline struct timespec64 kbr_inode_mtime(const struct inode *inode)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 7, 0)
	return inode_get_mtime(inode);
#else
	return inode->i_mtime;
#endif
}

/* kbr_inode_init_times() - all times of a new inode are now */
static inline void kbr_inode_init_times(struct inode *inode)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 7, 0)
	simple_inode_init_ts(inode);
#else
	inode->i_ctime = current_time(inode);
	inode->i_mtime = inode->i_ctime;
	inode->i_atime = inode->i_ctime;
#endif
}

/*
 * kbr_file_lock_alloc() - a request to lock (F_WRLCK) or unlock (F_UNLCK) a whole
 * file on behalf of its open; locks_free_lock() it
 *
 * 6.9: the fields that all kinds of locks have moved into one.
 */
static inline struct file_lock *kbr_file_lock_alloc(struct file *filp, unsigned char type)
{
	struct file_lock *fl = locks_alloc_lock();

	if (!fl)
		return NULL;
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 9, 0)
	fl->c.flc_flags = FL_POSIX | FL_OFDLCK;
	fl->c.flc_type = type;
	fl->c.flc_owner = filp;
	fl->c.flc_pid = current->tgid;
	fl->c.flc_file = filp;
#else
	fl->fl_flags = FL_POSIX | FL_OFDLCK;
	fl->fl_type = type;
	fl->fl_owner = filp;
	fl->fl_pid = current->tgid;
	fl->fl_file = filp;
#endif
	fl->fl_start = 0;
	fl->fl_end = OFFSET_MAX;
	return fl;
}

#endif /* _KBR_COMPAT_H */
