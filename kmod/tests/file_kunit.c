// SPDX-License-Identifier: GPL-2.0-only
/*
 * The contract of the file seam, run against both implementations: the RAM
 * disk and, in a directory of the running kernel, the VFS. What storage builds
 * on must not differ between what is tested and what is used.
 */
#include <kunit/test.h>
#include <linux/pagemap.h>
#include <linux/slab.h>
#include <linux/uio.h>

#include "storage/file.h"
#include "storage/file_vfs.h"
#include "tests/file_ram.h"

/*
 * Where the VFS is tested: the first that can be written. Suites run in a kernel
 * thread, whose root is not that of the test bench's processes.
 */
static const char * const file_roots[] = {
	"/run/rw/root/var/lib/kbroker", "/var/lib/kbroker", "/tmp", "/dev/shm",
};

struct file_impl {
	const char *name;
	bool vfs;
};

static const struct file_impl file_impls[] = { { "ram", false }, { "vfs", true } };

static void file_impl_desc(const struct file_impl *impl, char *desc)
{
	strscpy(desc, impl->name, KUNIT_PARAM_DESC_SIZE);
}

KUNIT_ARRAY_PARAM(file_impl, file_impls, file_impl_desc);

#define FILE_SCRATCH	"kunit-scratch"

struct file_env {
	struct kbr_dir *top;	/* vfs: where the scratch directory is */
	struct kbr_dir *dir;
};

static int file_remove_sub(void *arg, const struct kbr_dirent *ent)
{
	char *path = kasprintf(GFP_KERNEL, "%s/%s", FILE_SCRATCH, ent->name);
	struct kbr_dir *top = arg;
	int err;

	if (!path)
		return -ENOMEM;
	err = ent->is_dir ? kbr_dir_rmdir(top, path) : kbr_dir_unlink(top, path);
	kfree(path);
	return err;
}

static int file_env_init(struct kunit *test)
{
	const struct file_impl *impl = test->param_value;
	struct file_env *env = kunit_kzalloc(test, sizeof(*env), GFP_KERNEL);
	char path[64];
	int i, err = -ENOENT;

	KUNIT_ASSERT_NOT_NULL(test, env);
	test->priv = env;
	if (!impl->vfs) {
		env->dir = kbr_ram_create(1);
		return env->dir ? 0 : -ENOMEM;
	}
	for (i = 0; i < ARRAY_SIZE(file_roots) && err; i++) {
		err = kbr_dir_open_vfs(file_roots[i], &env->top);
		if (err)
			continue;
		snprintf(path, sizeof(path), "%s/%s", file_roots[i], FILE_SCRATCH);
		err = kbr_dir_mkdir(env->top, FILE_SCRATCH);
		if (!err)
			err = kbr_dir_open_vfs(path, &env->dir);
		if (err)
			kbr_dir_put(env->top);
	}
	return err;
}

static void file_env_exit(struct kunit *test)
{
	struct file_env *env = test->priv;

	if (!env || !env->dir)
		return;
	kbr_dir_put(env->dir);
	if (env->top) {
		KUNIT_EXPECT_EQ(test, kbr_dir_list(env->top, FILE_SCRATCH, file_remove_sub,
						   env->top), 0);
		KUNIT_EXPECT_EQ(test, kbr_dir_rmdir(env->top, FILE_SCRATCH), 0);
		kbr_dir_put(env->top);
	}
}

static struct kbr_file *file_make(struct kunit *test, const char *path)
{
	struct file_env *env = test->priv;
	struct kbr_file *file = NULL;

	KUNIT_ASSERT_EQ(test, kbr_file_open(env->dir, path, KBR_FILE_CREATE, &file), 0);
	return file;
}

/* Every flag of open() does what it says, and each refusal has its errno. */
static void file_open_flags(struct kunit *test)
{
	struct file_env *env = test->priv;
	struct kbr_dir *dir = env->dir;
	struct kbr_file *file;
	char buf[8] = "";

	KUNIT_EXPECT_EQ(test, kbr_file_open(dir, "f", 0, &file), -ENOENT);
	KUNIT_EXPECT_EQ(test, kbr_file_open(dir, "f", KBR_FILE_RDONLY, &file), -ENOENT);
	KUNIT_EXPECT_EQ(test, kbr_file_open(dir, "d/f", KBR_FILE_CREATE, &file), -ENOENT);
	KUNIT_ASSERT_EQ(test, kbr_dir_mkdir(dir, "d"), 0);
	KUNIT_EXPECT_EQ(test, kbr_dir_mkdir(dir, "d"), -EEXIST);
	KUNIT_EXPECT_EQ(test, kbr_file_open(dir, "d", 0, &file), -EISDIR);
	file = file_make(test, "d/f");
	KUNIT_EXPECT_EQ(test, kbr_file_write(file, "hello", 5, 0), 0);
	kbr_file_close(file);
	KUNIT_EXPECT_EQ(test, kbr_file_open(dir, "d/f", KBR_FILE_CREATE | KBR_FILE_EXCL, &file),
			-EEXIST);
	KUNIT_ASSERT_EQ(test, kbr_file_open(dir, "d/f", KBR_FILE_RDONLY, &file), 0);
	KUNIT_EXPECT_EQ(test, kbr_file_size(file), 5);
	KUNIT_EXPECT_EQ(test, kbr_file_read(file, buf, sizeof(buf), 0), 5);
	KUNIT_EXPECT_STREQ(test, buf, "hello");
	KUNIT_EXPECT_EQ(test, kbr_file_write(file, "x", 1, 0), -EBADF);
	KUNIT_EXPECT_EQ(test, kbr_file_truncate(file, 0), -EBADF);
	kbr_file_close(file);
	KUNIT_ASSERT_EQ(test, kbr_file_open(dir, "d/f", KBR_FILE_TRUNC, &file), 0);
	KUNIT_EXPECT_EQ(test, kbr_file_size(file), 0);
	KUNIT_EXPECT_EQ(test, kbr_file_write(file, "", 0, 0), 0);
	kbr_file_close(file);
	kbr_file_close(file_make(test, "g"));
	KUNIT_EXPECT_EQ(test, kbr_file_open(dir, "g/h", KBR_FILE_CREATE, &file), -ENOTDIR);
	KUNIT_EXPECT_EQ(test, kbr_dir_mkdir(dir, "g/h"), -ENOTDIR);
	KUNIT_EXPECT_EQ(test, kbr_dir_rmdir(dir, "d"), -ENOTEMPTY);
	KUNIT_EXPECT_EQ(test, kbr_dir_rmdir(dir, "d/f"), -ENOTDIR);
	KUNIT_EXPECT_EQ(test, kbr_dir_unlink(dir, "d"), -EISDIR);
	KUNIT_EXPECT_EQ(test, kbr_dir_unlink(dir, "d/f"), 0);
	KUNIT_EXPECT_EQ(test, kbr_dir_unlink(dir, "d/f"), -ENOENT);
	KUNIT_EXPECT_EQ(test, kbr_dir_rmdir(dir, "d"), 0);
	KUNIT_EXPECT_EQ(test, kbr_dir_rmdir(dir, "d"), -ENOENT);
}

/* Nobody gets out of the directory by way of a name. */
static void file_confined(struct kunit *test)
{
	static const char * const bad[] = { "..", "../x", "d/..", ".", "d/.", "/etc/passwd",
					    "d/e/f", "d/", "//" };
	struct file_env *env = test->priv;
	struct kbr_file *file;
	int i;

	KUNIT_ASSERT_EQ(test, kbr_dir_mkdir(env->dir, "d"), 0);
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		KUNIT_EXPECT_LT_MSG(test, kbr_file_open(env->dir, bad[i], KBR_FILE_CREATE, &file),
				    0, "%s", bad[i]);
		KUNIT_EXPECT_LT_MSG(test, kbr_dir_mkdir(env->dir, bad[i]), 0, "%s", bad[i]);
		KUNIT_EXPECT_LT_MSG(test, kbr_dir_rename(env->dir, "d", bad[i]), 0, "%s", bad[i]);
		KUNIT_EXPECT_LT_MSG(test, kbr_dir_rmdir(env->dir, bad[i]), 0, "%s", bad[i]);
	}
	KUNIT_EXPECT_EQ(test, kbr_dir_rmdir(env->dir, "d"), 0);
}

/* Reads are whole up to the end; writes go where they were told to; holes are zeros. */
static void file_read_write(struct kunit *test)
{
	struct kbr_file *file = file_make(test, "f");
	size_t len = 300000, i, bad = 0;
	struct kvec vec[2];
	struct iov_iter to;
	u8 *buf, *back;

	buf = kvmalloc(len, GFP_KERNEL);
	back = kvmalloc(len + 100, GFP_KERNEL);
	KUNIT_ASSERT_TRUE(test, buf && back);
	for (i = 0; i < len; i++)
		buf[i] = i * 7 + i / 251;
	KUNIT_EXPECT_EQ(test, kbr_file_write(file, buf, len, 1000), 0);
	KUNIT_EXPECT_EQ(test, kbr_file_size(file), len + 1000);
	KUNIT_EXPECT_EQ(test, kbr_file_read(file, back, len + 100, 1000), (ssize_t)len);
	KUNIT_EXPECT_EQ(test, memcmp(buf, back, len), 0);
	KUNIT_EXPECT_EQ(test, kbr_file_read(file, back, 1000, 0), 1000);
	for (i = 0; i < 1000; i++)
		bad += !!back[i];
	KUNIT_EXPECT_EQ(test, bad, 0);
	KUNIT_EXPECT_EQ(test, kbr_file_read(file, back, 10, len + 1000), 0);
	KUNIT_EXPECT_EQ(test, kbr_file_read(file, back, 10, len + 995), 5);

	vec[0].iov_base = back;
	vec[0].iov_len = 5000;
	vec[1].iov_base = back + 5000;
	vec[1].iov_len = 7;
	iov_iter_kvec(&to, ITER_DEST, vec, 2, 5007);
	KUNIT_EXPECT_EQ(test, kbr_file_read_iter(file, &to, 2000), 5007);
	KUNIT_EXPECT_EQ(test, iov_iter_count(&to), 0);
	KUNIT_EXPECT_EQ(test, memcmp(buf + 1000, back, 5007), 0);

	KUNIT_EXPECT_EQ(test, kbr_file_truncate(file, 1500), 0);
	KUNIT_EXPECT_EQ(test, kbr_file_size(file), 1500);
	KUNIT_EXPECT_EQ(test, kbr_file_truncate(file, 3000), 0);
	KUNIT_EXPECT_EQ(test, kbr_file_read(file, back, 2000, 1000), 2000);
	KUNIT_EXPECT_EQ(test, memcmp(buf, back, 500), 0);
	for (i = 500; i < 2000; i++)
		bad += !!back[i];
	KUNIT_EXPECT_EQ(test, bad, 0);
	KUNIT_EXPECT_GT(test, kbr_file_mtime_ms(file), 1000000000000LL);
	kbr_file_close(file);
	kvfree(buf);
	kvfree(back);
}

/* What is written and synced is still there after dropping the cache. */
static void file_sync_invalidate(struct kunit *test)
{
	struct file_env *env = test->priv;
	struct kbr_file *files[5];
	char name[8], buf[16];
	int errs[5], i;

	for (i = 0; i < ARRAY_SIZE(files); i++) {
		snprintf(name, sizeof(name), "f%d", i);
		files[i] = file_make(test, name);
		KUNIT_EXPECT_EQ(test, kbr_file_write(files[i], name, 3, 0), 0);
		errs[i] = -1;
	}
	KUNIT_EXPECT_EQ(test, kbr_file_sync(files[0]), 0);
	KUNIT_EXPECT_EQ(test, kbr_file_sync_many(env->dir, files, errs, 1), 0);
	KUNIT_EXPECT_EQ(test, errs[0], 0);
	KUNIT_EXPECT_EQ(test, kbr_file_sync_many(env->dir, files, errs, ARRAY_SIZE(files)), 0);
	KUNIT_EXPECT_EQ(test, kbr_file_sync_many(env->dir, files, errs, 0), 0);
	KUNIT_EXPECT_EQ(test, kbr_dir_sync(env->dir, ""), 0);
	KUNIT_EXPECT_EQ(test, kbr_dir_sync(env->dir, "missing"), -ENOENT);
	for (i = 0; i < ARRAY_SIZE(files); i++) {
		KUNIT_EXPECT_EQ(test, errs[i], 0);
		snprintf(name, sizeof(name), "f%d", i);
		memset(buf, 0, sizeof(buf));
		KUNIT_EXPECT_EQ(test, kbr_file_invalidate(files[i], 0), 0);
		KUNIT_EXPECT_EQ(test, kbr_file_size(files[i]), 3);
		KUNIT_EXPECT_EQ(test, kbr_file_read(files[i], buf, sizeof(buf), 0), 3);
		KUNIT_EXPECT_EQ(test, memcmp(buf, name, 3), 0);
		kbr_file_close(files[i]);
	}
}

/* Unsynced data beyond the position is dropped, data below it is not. */
static void file_invalidate_part(struct kunit *test)
{
	struct kbr_file *file = file_make(test, "f");
	struct file_env *env = test->priv;
	char *back = kunit_kzalloc(test, 8192, GFP_KERNEL);
	const char *fstype;
	int i, bad = 0;
	char buf[100];

	KUNIT_ASSERT_NOT_NULL(test, back);
	kbr_dir_device(env->dir, &fstype);
	if (!strcmp(fstype, "tmpfs")) {
		kbr_file_close(file);
		kunit_skip(test, "in memory the cache is the file");
	}
	memset(buf, 'a', sizeof(buf));
	KUNIT_EXPECT_EQ(test, kbr_file_write(file, buf, 100, 0), 0);
	KUNIT_EXPECT_EQ(test, kbr_file_write(file, buf, 100, 8000), 0);
	KUNIT_EXPECT_EQ(test, kbr_file_sync(file), 0);
	memset(buf, 'b', sizeof(buf));
	KUNIT_EXPECT_EQ(test, kbr_file_write(file, buf, 100, 0), 0);
	KUNIT_EXPECT_EQ(test, kbr_file_write(file, buf, 100, 8000), 0);
	KUNIT_EXPECT_EQ(test, kbr_file_invalidate(file, 4096), 0);
	KUNIT_EXPECT_EQ(test, kbr_file_size(file), 8100);
	KUNIT_EXPECT_EQ(test, kbr_file_read(file, back, 8192, 0), 8100);
	for (i = 0; i < 100; i++)
		bad += back[i] != 'b' || back[8000 + i] != 'a';
	KUNIT_EXPECT_EQ(test, bad, 0);
	/* The file goes on as usual. */
	KUNIT_EXPECT_EQ(test, kbr_file_write(file, buf, 100, 8100), 0);
	KUNIT_EXPECT_EQ(test, kbr_file_sync(file), 0);
	KUNIT_EXPECT_EQ(test, kbr_file_size(file), 8200);
	kbr_file_close(file);
}

/* A file whose write-back fails; the page cache notes that for whoever syncs next. */
static void file_fail_next_sync(struct kunit *test, struct kbr_file *file, const char *path)
{
	const struct file_impl *impl = test->param_value;
	struct file_env *env = test->priv;

	if (impl->vfs)
		mapping_set_error(kbr_vfs_file(file)->filp->f_mapping, -EIO);
	else
		KUNIT_ASSERT_TRUE(test, kbr_ram_fail(env->dir, KBR_RAM_SYNC, 0, 1, -EIO, path));
}

/* The error of a file is that file's alone, and is told once. */
static void file_sync_error(struct kunit *test)
{
	const struct file_impl *impl = test->param_value;
	struct file_env *env = test->priv;
	int errs[4], i, round, rounds = 1;
	struct kbr_file *files[4];
	const char *fstype;
	char name[4];

	kbr_dir_device(env->dir, &fstype);
	if (!strcmp(fstype, "tmpfs"))
		kunit_skip(test, "nothing is written back from memory");
	for (i = 0; i < 4; i++) {
		snprintf(name, sizeof(name), "f%d", i);
		files[i] = file_make(test, name);
		KUNIT_EXPECT_EQ(test, kbr_file_write(files[i], name, 2, 0), 0);
	}
	/* Both ways: all together, as on ext4, and each file by itself. */
	if (impl->vfs)
		rounds = 2;
	for (round = 0; round < rounds; round++) {
		file_fail_next_sync(test, files[2], "f2");
		KUNIT_EXPECT_EQ(test, kbr_file_sync_many(env->dir, files, errs, 4), -EIO);
		for (i = 0; i < 4; i++)
			KUNIT_EXPECT_EQ(test, errs[i], i == 2 ? -EIO : 0);
		KUNIT_EXPECT_EQ(test, kbr_file_sync_many(env->dir, files, errs, 4), 0);
		if (impl->vfs)
			kbr_vfs_dir(env->dir)->group = KBR_VFS_GROUP_NONE;
	}
	if (!impl->vfs)
		kbr_ram_heal(env->dir);
	file_fail_next_sync(test, files[1], "f1");
	KUNIT_EXPECT_EQ(test, kbr_file_sync(files[1]), -EIO);
	KUNIT_EXPECT_EQ(test, kbr_file_sync(files[1]), 0);
	for (i = 0; i < 4; i++)
		kbr_file_close(files[i]);
}

struct file_seen {
	struct kbr_dir *dir;
	int files;
	int dirs;
	int stop_at;
};

static int file_seen_one(void *arg, const struct kbr_dirent *ent)
{
	struct file_seen *seen = arg;
	char path[32];

	if (ent->is_dir)
		seen->dirs++;
	else
		seen->files++;
	if (seen->stop_at && seen->dirs + seen->files == seen->stop_at)
		return 7;
	if (!seen->dir || ent->is_dir)
		return 0;
	/* A callback may change what it is shown. */
	snprintf(path, sizeof(path), "d/%s", ent->name);
	return kbr_dir_unlink(seen->dir, path);
}

static void file_list(struct kunit *test)
{
	struct file_env *env = test->priv;
	struct file_seen seen = {};
	char path[32];
	int i;

	KUNIT_ASSERT_EQ(test, kbr_dir_mkdir(env->dir, "d"), 0);
	KUNIT_ASSERT_EQ(test, kbr_dir_mkdir(env->dir, "d/sub"), 0);
	for (i = 0; i < 500; i++) {
		snprintf(path, sizeof(path), "d/%020d.log", i);
		kbr_file_close(file_make(test, path));
	}
	KUNIT_EXPECT_EQ(test, kbr_dir_list(env->dir, "d", file_seen_one, &seen), 0);
	KUNIT_EXPECT_EQ(test, seen.files, 500);
	KUNIT_EXPECT_EQ(test, seen.dirs, 1);
	seen = (struct file_seen){ .stop_at = 3 };
	KUNIT_EXPECT_EQ(test, kbr_dir_list(env->dir, "d", file_seen_one, &seen), 7);
	KUNIT_EXPECT_EQ(test, seen.files + seen.dirs, 3);
	seen = (struct file_seen){ .dir = env->dir };
	KUNIT_EXPECT_EQ(test, kbr_dir_list(env->dir, "d", file_seen_one, &seen), 0);
	KUNIT_EXPECT_EQ(test, seen.files, 500);
	seen = (struct file_seen){};
	KUNIT_EXPECT_EQ(test, kbr_dir_list(env->dir, "", file_seen_one, &seen), 0);
	KUNIT_EXPECT_EQ(test, seen.dirs, 1);
	KUNIT_EXPECT_EQ(test, seen.files, 0);
	KUNIT_EXPECT_EQ(test, kbr_dir_list(env->dir, "x", file_seen_one, &seen), -ENOENT);
	KUNIT_EXPECT_EQ(test, kbr_dir_rmdir(env->dir, "d/sub"), 0);
	KUNIT_EXPECT_EQ(test, kbr_dir_rmdir(env->dir, "d"), 0);
}

/* A rename replaces; open files go on, also when their name is gone. */
static void file_rename(struct kunit *test)
{
	struct file_env *env = test->priv;
	struct kbr_file *a, *b, *c;
	char buf[4] = "";

	KUNIT_ASSERT_EQ(test, kbr_dir_mkdir(env->dir, "d"), 0);
	a = file_make(test, "d/a");
	b = file_make(test, "d/b");
	KUNIT_EXPECT_EQ(test, kbr_file_write(a, "aaa", 3, 0), 0);
	KUNIT_EXPECT_EQ(test, kbr_file_write(b, "b", 1, 0), 0);
	KUNIT_EXPECT_EQ(test, kbr_dir_rename(env->dir, "d/a", "d/b"), 0);
	KUNIT_EXPECT_EQ(test, kbr_dir_rename(env->dir, "d/a", "d/b"), -ENOENT);
	KUNIT_EXPECT_EQ(test, kbr_dir_rename(env->dir, "d", "d2"), 0);
	KUNIT_EXPECT_EQ(test, kbr_file_open(env->dir, "d/b", 0, &c), -ENOENT);
	KUNIT_ASSERT_EQ(test, kbr_file_open(env->dir, "d2/b", 0, &c), 0);
	KUNIT_EXPECT_EQ(test, kbr_file_size(c), 3);
	KUNIT_EXPECT_EQ(test, kbr_file_write(a, "x", 1, 1), 0);
	KUNIT_EXPECT_EQ(test, kbr_file_read(c, buf, 3, 0), 3);
	KUNIT_EXPECT_STREQ(test, buf, "axa");
	KUNIT_EXPECT_EQ(test, kbr_file_size(b), 1);
	KUNIT_EXPECT_EQ(test, kbr_file_write(b, "yy", 2, 0), 0);
	KUNIT_EXPECT_EQ(test, kbr_file_sync(b), 0);
	KUNIT_EXPECT_EQ(test, kbr_file_sync(a), 0);
	KUNIT_EXPECT_EQ(test, kbr_dir_sync(env->dir, "d2"), 0);
	kbr_file_close(a);
	kbr_file_close(b);
	kbr_file_close(c);
	KUNIT_EXPECT_EQ(test, kbr_dir_unlink(env->dir, "d2/b"), 0);
	KUNIT_EXPECT_EQ(test, kbr_dir_rmdir(env->dir, "d2"), 0);
}

static void file_space(struct kunit *test)
{
	struct file_env *env = test->priv;
	struct kbr_file *file;
	u64 total, avail, less;
	char *buf;

	buf = kunit_kzalloc(test, 1 << 20, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, buf);
	KUNIT_EXPECT_EQ(test, kbr_dir_stat_space(env->dir, &total, &avail), 0);
	KUNIT_EXPECT_GT(test, total, 0);
	KUNIT_EXPECT_LE(test, avail, total);
	file = file_make(test, "f");
	KUNIT_EXPECT_EQ(test, kbr_file_write(file, buf, 1 << 20, 0), 0);
	KUNIT_EXPECT_EQ(test, kbr_file_sync(file), 0);
	KUNIT_EXPECT_EQ(test, kbr_dir_stat_space(env->dir, &total, &less), 0);
	KUNIT_EXPECT_LE(test, less + (1 << 19), avail);
	kbr_file_close(file);
}

static struct kunit_case file_tests[] = {
	KUNIT_CASE_PARAM(file_open_flags, file_impl_gen_params),
	KUNIT_CASE_PARAM(file_confined, file_impl_gen_params),
	KUNIT_CASE_PARAM(file_read_write, file_impl_gen_params),
	KUNIT_CASE_PARAM(file_sync_invalidate, file_impl_gen_params),
	KUNIT_CASE_PARAM(file_invalidate_part, file_impl_gen_params),
	KUNIT_CASE_PARAM(file_sync_error, file_impl_gen_params),
	KUNIT_CASE_PARAM(file_list, file_impl_gen_params),
	KUNIT_CASE_PARAM(file_rename, file_impl_gen_params),
	KUNIT_CASE_PARAM(file_space, file_impl_gen_params),
	{}
};

static struct kunit_suite file_suite = {
	.name = "kbroker_file",
	.init = file_env_init,
	.exit = file_env_exit,
	.test_cases = file_tests,
};

kunit_test_suite(file_suite);
