// SPDX-License-Identifier: GPL-2.0-only
/*
 * Names, listings and space of a real broker directory; see file.h and
 * file_vfs.c. Everything here runs with the broker's credentials.
 */
#include <linux/cred.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/mount.h>
#include <linux/namei.h>
#include <linux/slab.h>
#include <linux/statfs.h>

#include "kbr_compat.h"
#include "storage/file_vfs.h"

/* Names of a directory that are read at a time, bytes */
#define KBR_VFS_LIST_BYTES	16384

/**
 * struct kbr_vfs_name - a name and the directory it is in
 * @parent: held
 * @name: last component, points into the path given
 */
struct kbr_vfs_name {
	struct path parent;
	const char *name;
};

/* Find the directory of a path; with the broker's credentials taken. */
static int kbr_vfs_name_get(struct kbr_vfs_dir *dir, const char *path, struct kbr_vfs_name *name)
{
	const char *slash = strchr(path, '/');
	struct dentry *dentry;
	int err;

	if (!*path)
		return -EINVAL;
	err = kbr_vfs_path_check(path);
	if (err)
		return err;
	name->name = path;
	name->parent = dir->path;
	path_get(&name->parent);
	if (!slash)
		return 0;
	/* Follows neither symbolic links nor mounts: those are not the broker's. */
	dentry = lookup_one_positive_unlocked(kbr_mnt_idmap(dir->path.mnt), path, dir->path.dentry,
					      slash - path);
	err = PTR_ERR_OR_ZERO(dentry);
	if (!err && !d_can_lookup(dentry)) {
		dput(dentry);
		err = -ENOTDIR;
	}
	if (err) {
		path_put(&name->parent);
		return err;
	}
	dput(name->parent.dentry);
	name->parent.dentry = dentry;
	name->name = slash + 1;
	return 0;
}

static void kbr_vfs_name_put(struct kbr_vfs_name *name)
{
	path_put(&name->parent);
}

/* The dentry of a name; its directory's inode is locked. */
static struct dentry *kbr_vfs_name_lookup(struct kbr_vfs_name *name)
{
	return lookup_one(kbr_mnt_idmap(name->parent.mnt), name->name, name->parent.dentry,
			  strlen(name->name));
}

enum kbr_vfs_name_op { KBR_VFS_MKDIR, KBR_VFS_RMDIR, KBR_VFS_UNLINK };

struct kbr_vfs_name_args {
	struct kbr_vfs_dir *dir;
	const char *path;
	enum kbr_vfs_name_op op;
};

static int kbr_vfs_name_do(struct kbr_vfs_name *name, enum kbr_vfs_name_op op)
{
	struct inode *inode = d_inode(name->parent.dentry);
	struct vfsmount *mnt = name->parent.mnt;
	struct dentry *dentry;
	int err;

	err = mnt_want_write(mnt);
	if (err)
		return err;
	inode_lock_nested(inode, I_MUTEX_PARENT);
	dentry = kbr_vfs_name_lookup(name);
	err = PTR_ERR_OR_ZERO(dentry);
	if (err)
		goto out_unlock;
	if (op == KBR_VFS_MKDIR)
		err = d_is_positive(dentry) ? -EEXIST :
		      vfs_mkdir(kbr_mnt_idmap(mnt), inode, dentry, KBR_VFS_DIR_MODE);
	else if (d_is_negative(dentry))
		err = -ENOENT;
	else if (op == KBR_VFS_RMDIR)
		err = vfs_rmdir(kbr_mnt_idmap(mnt), inode, dentry);
	else
		err = vfs_unlink(kbr_mnt_idmap(mnt), inode, dentry, NULL);
	dput(dentry);
out_unlock:
	inode_unlock(inode);
	mnt_drop_write(mnt);
	return err;
}

static int kbr_vfs_name_fn(void *arg)
{
	struct kbr_vfs_name_args *args = arg;
	const struct cred *old = override_creds(args->dir->cred);
	struct kbr_vfs_name name;
	int err;

	err = kbr_vfs_name_get(args->dir, args->path, &name);
	if (!err) {
		err = kbr_vfs_name_do(&name, args->op);
		kbr_vfs_name_put(&name);
	}
	revert_creds(old);
	return err;
}

int kbr_vfs_mkdir(struct kbr_dir *d, const char *path)
{
	struct kbr_vfs_name_args args = { kbr_vfs_dir(d), path, KBR_VFS_MKDIR };

	return kbr_vfs_err(kbr_vfs_call_creating(kbr_vfs_name_fn, &args));
}

int kbr_vfs_rmdir(struct kbr_dir *d, const char *path)
{
	struct kbr_vfs_name_args args = { kbr_vfs_dir(d), path, KBR_VFS_RMDIR };

	return kbr_vfs_err(kbr_vfs_name_fn(&args));
}

int kbr_vfs_unlink(struct kbr_dir *d, const char *path)
{
	struct kbr_vfs_name_args args = { kbr_vfs_dir(d), path, KBR_VFS_UNLINK };

	return kbr_vfs_err(kbr_vfs_name_fn(&args));
}

static int kbr_vfs_rename_names(struct kbr_vfs_name *from, struct kbr_vfs_name *to)
{
	struct dentry *from_dir = from->parent.dentry, *to_dir = to->parent.dentry;
	struct dentry *old, *new, *trap;
	struct renamedata rd = {};
	int err;

	err = mnt_want_write(from->parent.mnt);
	if (err)
		return err;
	trap = lock_rename(from_dir, to_dir);
	if (IS_ERR(trap)) {
		err = PTR_ERR(trap);
		goto out_drop;
	}
	old = kbr_vfs_name_lookup(from);
	err = PTR_ERR_OR_ZERO(old);
	if (err)
		goto out_unlock;
	err = -ENOENT;
	if (d_is_negative(old))
		goto out_old;
	/* A directory can't go below itself, nor replace what is above it. */
	err = -EINVAL;
	if (old == trap)
		goto out_old;
	new = kbr_vfs_name_lookup(to);
	err = PTR_ERR_OR_ZERO(new);
	if (err)
		goto out_old;
	err = -ENOTEMPTY;
	if (new == trap)
		goto out_new;
	kbr_renamedata_set_mnt(&rd, from->parent.mnt);
	rd.old_dir = d_inode(from_dir);
	rd.old_dentry = old;
	rd.new_dir = d_inode(to_dir);
	rd.new_dentry = new;
	err = vfs_rename(&rd);
out_new:
	dput(new);
out_old:
	dput(old);
out_unlock:
	unlock_rename(from_dir, to_dir);
out_drop:
	mnt_drop_write(from->parent.mnt);
	return err;
}

int kbr_vfs_rename(struct kbr_dir *d, const char *from, const char *to)
{
	struct kbr_vfs_dir *dir = kbr_vfs_dir(d);
	const struct cred *old = override_creds(dir->cred);
	struct kbr_vfs_name from_name, to_name;
	int err;

	err = kbr_vfs_name_get(dir, from, &from_name);
	if (err)
		goto out_creds;
	err = kbr_vfs_name_get(dir, to, &to_name);
	if (!err) {
		err = kbr_vfs_rename_names(&from_name, &to_name);
		kbr_vfs_name_put(&to_name);
	}
	kbr_vfs_name_put(&from_name);
out_creds:
	revert_creds(old);
	return kbr_vfs_err(err);
}

static struct file *kbr_vfs_open_dir(struct kbr_vfs_dir *dir, const char *path)
{
	int err = kbr_vfs_path_check(path);

	if (err)
		return ERR_PTR(err);
	return file_open_root(&dir->path, *path ? path : ".",
			      O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_LARGEFILE, 0);
}

/**
 * struct kbr_vfs_list - names as they come from the file system
 * @ctx: of iterate_dir()
 * @used: bytes of @buf that are used
 * @seen: entries met in this call, also "." and ".."
 * @buf: a byte DT_*, then the name with its NUL, for each
 */
struct kbr_vfs_list {
	struct dir_context ctx;
	size_t used;
	unsigned int seen;
	char buf[KBR_VFS_LIST_BYTES];
};

/* Called with the directory locked: only notes the names. */
static bool kbr_vfs_list_one(struct dir_context *ctx, const char *name, int len, loff_t pos,
			     u64 ino, unsigned int type)
{
	struct kbr_vfs_list *list = container_of(ctx, struct kbr_vfs_list, ctx);

	if (list->used + len + 2 > sizeof(list->buf))
		return false;
	list->seen++;
	if (name[0] == '.' && (len == 1 || (len == 2 && name[1] == '.')))
		return true;
	list->buf[list->used] = type;
	memcpy(list->buf + list->used + 1, name, len);
	list->buf[list->used + 1 + len] = '\0';
	list->used += len + 2;
	return true;
}

/* Some file systems do not say in the listing what an entry is. */
static bool kbr_vfs_list_is_dir(struct file *filp, const char *name, unsigned char type)
{
	struct dentry *dentry;
	bool is_dir;

	if (type != DT_UNKNOWN)
		return type == DT_DIR;
	dentry = lookup_one_positive_unlocked(kbr_mnt_idmap(filp->f_path.mnt), name,
					      filp->f_path.dentry, strlen(name));
	if (IS_ERR(dentry))
		return false;
	is_dir = d_is_dir(dentry);
	dput(dentry);
	return is_dir;
}

/* The directory is not locked while @actor runs, so that it may change it. */
int kbr_vfs_list(struct kbr_dir *d, const char *path, kbr_dir_actor actor, void *arg)
{
	struct kbr_vfs_dir *dir = kbr_vfs_dir(d);
	const struct cred *old = override_creds(dir->cred);
	struct kbr_vfs_list *list;
	struct kbr_dirent ent;
	struct file *filp;
	size_t at;
	int err;

	err = -ENOMEM;
	list = kvzalloc(sizeof(*list), GFP_KERNEL);
	if (!list)
		goto out_creds;
	list->ctx.actor = kbr_vfs_list_one;
	filp = kbr_vfs_open_dir(dir, path);
	err = PTR_ERR_OR_ZERO(filp);
	if (err)
		goto out_free;
	do {
		list->used = 0;
		list->seen = 0;
		err = iterate_dir(filp, &list->ctx);
		for (at = 0; !err && at < list->used; at += strlen(list->buf + at + 1) + 2) {
			ent.name = list->buf + at + 1;
			ent.is_dir = kbr_vfs_list_is_dir(filp, ent.name, list->buf[at]);
			err = actor(arg, &ent);
		}
	} while (!err && list->seen);
	fput(filp);
out_free:
	kvfree(list);
out_creds:
	revert_creds(old);
	return kbr_vfs_err(err);
}

int kbr_vfs_sync_dir(struct kbr_dir *d, const char *path)
{
	struct kbr_vfs_dir *dir = kbr_vfs_dir(d);
	const struct cred *old = override_creds(dir->cred);
	struct file *filp = kbr_vfs_open_dir(dir, path);
	int err = PTR_ERR_OR_ZERO(filp);

	if (!err) {
		err = vfs_fsync(filp, 0);
		fput(filp);
	}
	revert_creds(old);
	return kbr_vfs_err(err);
}

int kbr_vfs_stat_space(struct kbr_dir *d, u64 *total, u64 *avail)
{
	struct kstatfs st;
	int err;

	err = vfs_statfs(&kbr_vfs_dir(d)->path, &st);
	if (err)
		return kbr_vfs_err(err);
	/* f_bsize unless the file system counts in something else, as in statvfs(3) */
	*total = st.f_blocks * (u64)(st.f_frsize ?: st.f_bsize);
	*avail = st.f_bavail * (u64)(st.f_frsize ?: st.f_bsize);
	return 0;
}

void kbr_vfs_put(struct kbr_dir *d)
{
	struct kbr_vfs_dir *dir = kbr_vfs_dir(d);

	/* Files that workers closed are let go of a moment later: unmounting shall work now. */
	flush_delayed_fput();
	path_put(&dir->path);
	put_cred(dir->cred);
	kfree(dir);
}
