// SPDX-License-Identifier: GPL-2.0-only
/*
 * What only the VFS implementation of the file seam has to promise: nothing of
 * the calling process shows (limit on file sizes, umask, a fatal signal, an
 * exit halfway through), and the credentials are those of whoever took the
 * directory.
 */
#include <kunit/test.h>
#include <linux/cred.h>
#include <linux/fs.h>
#include <linux/fs_struct.h>
#include <linux/namei.h>
#include <linux/sched/signal.h>
#include <linux/sched/task.h>
#include <linux/slab.h>
#include <linux/uio.h>

#include "kbr_compat.h"
#include "storage/file.h"
#include "storage/file_vfs.h"

/* A directory that anybody may write, and one of ours in it */
#define VFS_TOP		"/dev/shm"
#define VFS_NAME	"kbroker-kunit-vfs"
#define VFS_DIR		VFS_TOP "/" VFS_NAME
#define VFS_BYTES	300000

struct vfs_env {
	struct kbr_dir *top;
	struct kbr_dir *dir;
	u8 *buf;
	u8 *back;
};

static int vfs_env_init(struct kunit *test)
{
	struct vfs_env *env = kunit_kzalloc(test, sizeof(*env), GFP_KERNEL);
	int i, err;

	KUNIT_ASSERT_NOT_NULL(test, env);
	err = kbr_dir_open_vfs(VFS_TOP, &env->top);
	if (err == -ENOENT)
		kunit_skip(test, VFS_TOP " is not there");
	KUNIT_ASSERT_EQ(test, err, 0);
	test->priv = env;
	KUNIT_ASSERT_EQ(test, kbr_dir_mkdir(env->top, VFS_NAME), 0);
	KUNIT_ASSERT_EQ(test, kbr_dir_open_vfs(VFS_DIR, &env->dir), 0);
	env->buf = kvmalloc(VFS_BYTES, GFP_KERNEL);
	env->back = kvmalloc(VFS_BYTES, GFP_KERNEL);
	KUNIT_ASSERT_TRUE(test, env->buf && env->back);
	for (i = 0; i < VFS_BYTES; i++)
		env->buf[i] = i * 11 + i / 253;
	return 0;
}

static int vfs_remove(void *arg, const struct kbr_dirent *ent)
{
	struct vfs_env *env = arg;

	return ent->is_dir ? kbr_dir_rmdir(env->dir, ent->name) :
			     kbr_dir_unlink(env->dir, ent->name);
}

static void vfs_env_exit(struct kunit *test)
{
	struct vfs_env *env = test->priv;

	if (!env)
		return;
	if (env->dir)
		KUNIT_EXPECT_EQ(test, kbr_dir_list(env->dir, "", vfs_remove, env), 0);
	kbr_dir_put(env->dir);
	KUNIT_EXPECT_EQ(test, kbr_dir_rmdir(env->top, VFS_NAME), 0);
	kbr_dir_put(env->top);
	kvfree(env->buf);
	kvfree(env->back);
}

static struct kbr_file *vfs_make(struct kunit *test, const char *path)
{
	struct vfs_env *env = test->priv;
	struct kbr_file *file = NULL;

	KUNIT_ASSERT_EQ(test, kbr_file_open(env->dir, path, KBR_FILE_CREATE, &file), 0);
	return file;
}

static void vfs_expect_content(struct kunit *test, struct kbr_file *file, size_t len)
{
	struct vfs_env *env = test->priv;

	KUNIT_EXPECT_EQ(test, kbr_file_size(file), len);
	KUNIT_EXPECT_EQ(test, kbr_file_read(file, env->back, len, 0), len);
	KUNIT_EXPECT_EQ(test, memcmp(env->buf, env->back, len), 0);
}

static void vfs_file_limit(struct kunit *test)
{
	struct rlimit *limit = &current->signal->rlim[RLIMIT_FSIZE], old = *limit;
	struct kbr_file *file = vfs_make(test, "f");
	struct vfs_env *env = test->priv;

	limit->rlim_cur = 1000;
	limit->rlim_max = 1000;
	KUNIT_EXPECT_EQ(test, kbr_file_write(file, env->buf, 900, 0), 0);
	KUNIT_EXPECT_EQ(test, kbr_file_write(file, env->buf + 900, 200, 900), 0);
	KUNIT_EXPECT_EQ(test, kbr_file_write(file, env->buf + 1100, VFS_BYTES - 1100, 1100), 0);
	vfs_expect_content(test, file, VFS_BYTES);
	KUNIT_EXPECT_EQ(test, kbr_file_truncate(file, VFS_BYTES + 5000), 0);
	KUNIT_EXPECT_EQ(test, kbr_file_size(file), VFS_BYTES + 5000);
	KUNIT_EXPECT_EQ(test, kbr_file_truncate(file, VFS_BYTES), 0);
	vfs_expect_content(test, file, VFS_BYTES);
	/* The process would have got SIGXFSZ. */
	KUNIT_EXPECT_FALSE(test, signal_pending(current));
	*limit = old;
	kbr_file_close(file);
}

static umode_t vfs_mode(struct kbr_file *file)
{
	return file_inode(kbr_vfs_file(file)->filp)->i_mode & 07777;
}

static void vfs_umask(struct kunit *test)
{
	struct vfs_env *env = test->priv;
	struct kbr_file *file;
	umode_t old;

	KUNIT_ASSERT_EQ(test, unshare_fs_struct(), 0);
	old = current->fs->umask;
	current->fs->umask = 0777;
	file = vfs_make(test, "f");
	KUNIT_EXPECT_EQ(test, vfs_mode(file), 0640);
	kbr_file_close(file);
	KUNIT_EXPECT_EQ(test, kbr_dir_mkdir(env->dir, "d"), 0);
	file = vfs_make(test, "d/f");
	KUNIT_EXPECT_EQ(test, vfs_mode(file), 0640);
	kbr_file_close(file);
	current->fs->umask = old;
	KUNIT_EXPECT_EQ(test, kbr_dir_unlink(env->dir, "d/f"), 0);
}

/* The last close of a device may come when the process has let go of its umask and root. */
static void vfs_exiting(struct kunit *test)
{
	struct vfs_env *env = test->priv;
	struct kbr_file *file = NULL;
	struct fs_struct *fs;
	int err[7];

	task_lock(current);
	fs = current->fs;
	current->fs = NULL;
	task_unlock(current);
	err[0] = kbr_dir_mkdir(env->dir, "d");
	err[1] = kbr_file_open(env->dir, "d/f", KBR_FILE_CREATE, &file);
	err[2] = err[1] ?: kbr_file_write(file, env->buf, 5000, 0);
	err[3] = err[1] ?: kbr_file_sync(file);
	err[4] = kbr_dir_rename(env->dir, "d/f", "d/g");
	err[5] = kbr_dir_sync(env->dir, "d");
	if (!err[1])
		kbr_file_close(file);
	err[6] = kbr_file_open(env->dir, "d/g", 0, &file);
	task_lock(current);
	current->fs = fs;
	task_unlock(current);
	KUNIT_EXPECT_NULL(test, memchr_inv(err, 0, sizeof(err)));
	if (!err[6]) {
		vfs_expect_content(test, file, 5000);
		kbr_file_close(file);
	}
	KUNIT_EXPECT_EQ(test, kbr_dir_unlink(env->dir, "d/g"), 0);
}

/* A write in the page cache is whole, also for a process that is being killed. */
static void vfs_killed(struct kunit *test)
{
	struct kbr_file *file = vfs_make(test, "f");
	struct vfs_env *env = test->priv;
	int err;
	ssize_t len;

	spin_lock_irq(&current->sighand->siglock);
	sigaddset(&current->pending.signal, SIGKILL);
	set_tsk_thread_flag(current, TIF_SIGPENDING);
	spin_unlock_irq(&current->sighand->siglock);
	err = kbr_file_write(file, env->buf, VFS_BYTES, 0);
	len = kbr_file_read(file, env->back, VFS_BYTES, 0);
	KUNIT_EXPECT_TRUE(test, fatal_signal_pending(current));
	flush_signals(current);
	KUNIT_EXPECT_EQ(test, err, 0);
	KUNIT_EXPECT_EQ(test, len, VFS_BYTES);
	vfs_expect_content(test, file, VFS_BYTES);
	kbr_file_close(file);
}

/* Made as somebody else, used as root: what is made belongs to somebody else. */
static void vfs_credentials(struct kunit *test)
{
	struct vfs_env *env = test->priv;
	struct kbr_dir *dir, *none;
	const struct cred *old;
	struct kbr_file *file;
	struct cred *cred;
	int err, denied;

	cred = prepare_creds();
	KUNIT_ASSERT_NOT_NULL(test, cred);
	cred->fsuid = KUIDT_INIT(1000);
	cred->fsgid = KGIDT_INIT(1000);
	cred->cap_effective = (kernel_cap_t){};
	old = override_creds(cred);
	err = kbr_dir_open_vfs(VFS_TOP, &dir);
	denied = kbr_dir_open_vfs(VFS_DIR, &none);
	revert_creds(old);
	put_cred(cred);
	KUNIT_EXPECT_EQ(test, denied, -EACCES);
	KUNIT_ASSERT_EQ(test, err, 0);

	KUNIT_EXPECT_EQ(test, kbr_file_open(dir, VFS_NAME "-user", KBR_FILE_CREATE, &file), 0);
	KUNIT_EXPECT_TRUE(test, uid_eq(file_inode(kbr_vfs_file(file)->filp)->i_uid,
				       KUIDT_INIT(1000)));
	kbr_file_close(file);
	/* Root's directory: none of the calls gets in. */
	kbr_file_close(vfs_make(test, "f"));
	KUNIT_EXPECT_EQ(test, kbr_file_open(dir, VFS_NAME "/f", 0, &file), -EACCES);
	KUNIT_EXPECT_EQ(test, kbr_file_open(dir, VFS_NAME "/g", KBR_FILE_CREATE, &file), -EACCES);
	KUNIT_EXPECT_EQ(test, kbr_dir_mkdir(dir, VFS_NAME "/d"), -EACCES);
	KUNIT_EXPECT_EQ(test, kbr_dir_unlink(dir, VFS_NAME "/f"), -EACCES);
	KUNIT_EXPECT_EQ(test, kbr_dir_rename(dir, VFS_NAME "/f", VFS_NAME "/g"), -EACCES);
	KUNIT_EXPECT_EQ(test, kbr_dir_list(dir, VFS_NAME, vfs_remove, env), -EACCES);
	KUNIT_EXPECT_EQ(test, kbr_dir_unlink(dir, VFS_NAME "-user"), 0);
	kbr_dir_put(dir);
	KUNIT_EXPECT_EQ(test, kbr_dir_open_vfs(VFS_DIR "/f", &none), -ENOTDIR);
	KUNIT_EXPECT_EQ(test, kbr_dir_open_vfs(VFS_DIR "/x", &none), -ENOENT);
}

static int vfs_symlink_make(const char *path, const char *target)
{
	struct path parent;
	struct dentry *dentry = kern_path_create(AT_FDCWD, path, &parent, 0);
	int err;

	if (IS_ERR(dentry))
		return PTR_ERR(dentry);
	err = vfs_symlink(kbr_mnt_idmap(parent.mnt), d_inode(parent.dentry), dentry, target);
	done_path_create(&parent, dentry);
	return err;
}

/* A symbolic link leads nowhere: not to other files, and not out of the directory. */
static void vfs_symlinks(struct kunit *test)
{
	struct vfs_env *env = test->priv;
	struct kbr_file *file;

	KUNIT_ASSERT_EQ(test, vfs_symlink_make(VFS_DIR "/link", "target"), 0);
	KUNIT_ASSERT_EQ(test, vfs_symlink_make(VFS_DIR "/up", ".."), 0);
	kbr_file_close(vfs_make(test, "target"));
	KUNIT_EXPECT_EQ(test, kbr_file_open(env->dir, "link", 0, &file), -ELOOP);
	KUNIT_EXPECT_EQ(test, kbr_file_open(env->dir, "link", KBR_FILE_CREATE, &file), -ELOOP);
	KUNIT_EXPECT_EQ(test, kbr_file_open(env->dir, "up/" VFS_NAME, 0, &file), -ENOENT);
	KUNIT_EXPECT_EQ(test, kbr_dir_mkdir(env->dir, "up/d"), -ENOTDIR);
	KUNIT_EXPECT_EQ(test, kbr_dir_rename(env->dir, "target", "up/t"), -ENOTDIR);
	KUNIT_EXPECT_EQ(test, kbr_dir_unlink(env->dir, "link"), 0);
	KUNIT_EXPECT_EQ(test, kbr_dir_unlink(env->dir, "up"), 0);
	KUNIT_EXPECT_EQ(test, kbr_file_open(env->dir, "target", 0, &file), 0);
	KUNIT_EXPECT_TRUE(test, kbr_vfs_file(file)->filp->f_flags & O_NOATIME);
	kbr_file_close(file);
}

/* Errnos with another meaning above are not let through. */
static void vfs_errnos(struct kunit *test)
{
	KUNIT_EXPECT_EQ(test, kbr_vfs_err(-EROFS), -EIO);
	KUNIT_EXPECT_EQ(test, kbr_vfs_err(-EDQUOT), -ENOSPC);
	KUNIT_EXPECT_EQ(test, kbr_vfs_err(-ENOSPC), -ENOSPC);
	KUNIT_EXPECT_EQ(test, kbr_vfs_err(5), 5);
}

static struct kunit_case vfs_tests[] = {
	KUNIT_CASE(vfs_file_limit),
	KUNIT_CASE(vfs_umask),
	KUNIT_CASE(vfs_exiting),
	KUNIT_CASE(vfs_killed),
	KUNIT_CASE(vfs_credentials),
	KUNIT_CASE(vfs_symlinks),
	KUNIT_CASE(vfs_errnos),
	{}
};

static struct kunit_suite vfs_suite = {
	.name = "kbroker_file_vfs",
	.init = vfs_env_init,
	.exit = vfs_env_exit,
	.test_cases = vfs_tests,
};

kunit_test_suite(vfs_suite);
