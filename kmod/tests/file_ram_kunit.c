// SPDX-License-Identifier: GPL-2.0-only
/*
 * The RAM disk keeps its own promises: what was synced survives every crash,
 * what was not is lost in all the ways that it should be, and a seed gives the
 * same disk each time. Crash tests of the layers above prove nothing without.
 */
#include <kunit/test.h>
#include <linux/slab.h>

#include "storage/file.h"
#include "tests/file_ram.h"

#define RAM_SEEDS	300

static int ram_env_init(struct kunit *test)
{
	test->priv = kbr_ram_create(1);
	return test->priv ? 0 : -ENOMEM;
}

static void ram_env_exit(struct kunit *test)
{
	kbr_dir_put(test->priv);
}

static struct kbr_file *ram_open(struct kunit *test, const char *path)
{
	struct kbr_file *file = NULL;

	KUNIT_ASSERT_EQ(test, kbr_file_open(test->priv, path, KBR_FILE_CREATE, &file), 0);
	return file;
}

/* Size of @path after a crash, its content at @buf; -ENOENT if it is gone. */
static ssize_t ram_after(struct kunit *test, u64 seed, const char *path, void *buf, size_t len)
{
	struct kbr_dir *dir = kbr_ram_crash(test->priv, seed);
	struct kbr_file *file;
	ssize_t ret;

	KUNIT_ASSERT_NOT_NULL(test, dir);
	ret = kbr_file_open(dir, path, KBR_FILE_RDONLY, &file);
	if (!ret) {
		ret = kbr_file_read(file, buf, len, 0);
		kbr_file_close(file);
	}
	kbr_dir_put(dir);
	return ret;
}

static void ram_nothing_and_all(struct kunit *test)
{
	struct kbr_dir *dir = test->priv;
	struct kbr_file *file;
	char buf[16] = "";

	KUNIT_EXPECT_EQ(test, kbr_dir_mkdir(dir, "d"), 0);
	file = ram_open(test, "d/f");
	KUNIT_EXPECT_EQ(test, kbr_file_write(file, "one", 3, 0), 0);
	KUNIT_EXPECT_EQ(test, ram_after(test, 0, "d/f", buf, 16), -ENOENT);
	KUNIT_EXPECT_EQ(test, ram_after(test, U64_MAX, "d/f", buf, 16), 3);
	KUNIT_EXPECT_STREQ(test, buf, "one");
	/* Syncing the file makes it findable, with its directory. */
	KUNIT_EXPECT_EQ(test, kbr_file_sync(file), 0);
	KUNIT_EXPECT_EQ(test, ram_after(test, 0, "d/f", buf, 16), 3);
	KUNIT_EXPECT_EQ(test, kbr_file_write(file, "two", 3, 3), 0);
	KUNIT_EXPECT_EQ(test, kbr_dir_rename(dir, "d/f", "d/g"), 0);
	KUNIT_EXPECT_EQ(test, ram_after(test, 0, "d/g", buf, 16), -ENOENT);
	KUNIT_EXPECT_EQ(test, ram_after(test, 0, "d/f", buf, 16), 3);
	KUNIT_EXPECT_EQ(test, kbr_dir_sync(dir, "d"), 0);
	KUNIT_EXPECT_EQ(test, ram_after(test, 0, "d/f", buf, 16), -ENOENT);
	KUNIT_EXPECT_EQ(test, ram_after(test, 0, "d/g", buf, 16), 3);
	KUNIT_EXPECT_EQ(test, ram_after(test, U64_MAX, "d/g", buf, 16), 6);
	KUNIT_EXPECT_STREQ(test, buf, "onetwo");
	KUNIT_EXPECT_EQ(test, kbr_file_truncate(file, 1), 0);
	KUNIT_EXPECT_EQ(test, kbr_dir_unlink(dir, "d/g"), 0);
	KUNIT_EXPECT_EQ(test, ram_after(test, 0, "d/g", buf, 16), 3);
	KUNIT_EXPECT_EQ(test, ram_after(test, U64_MAX, "d/g", buf, 16), -ENOENT);
	kbr_file_close(file);
	KUNIT_EXPECT_EQ(test, ram_after(test, 0, "d/g", buf, 16), 3);
}

/*
 * Appends of one sector's size and of odd sizes after a synced part: that part
 * is always there; behind it each sector is old, new or zero, in every mixture.
 */
static void ram_torn(struct kunit *test)
{
	const size_t synced = 2000, step = 700, steps = 6;
	size_t size = synced + step * steps, i, at;
	struct kbr_file *file = ram_open(test, "f");
	bool torn = false, none = false, all = false, hole = false, shorter = false;
	u8 *want, *got, *again;
	ssize_t len;
	u64 seed;

	want = kunit_kzalloc(test, size, GFP_KERNEL);
	got = kunit_kzalloc(test, size, GFP_KERNEL);
	again = kunit_kzalloc(test, size, GFP_KERNEL);
	KUNIT_ASSERT_TRUE(test, want && got && again);
	for (i = 0; i < size; i++)
		want[i] = 1 + i % 255;
	KUNIT_EXPECT_EQ(test, kbr_file_write(file, want, synced, 0), 0);
	KUNIT_EXPECT_EQ(test, kbr_file_sync(file), 0);
	for (at = synced; at < size; at += step)
		KUNIT_EXPECT_EQ(test, kbr_file_write(file, want + at, step, at), 0);

	for (seed = 1; seed <= RAM_SEEDS; seed++) {
		size_t good = synced, zeros = 0, bad = 0;

		memset(got, 0xff, size);
		len = ram_after(test, seed, "f", got, size);
		KUNIT_ASSERT_GE(test, len, (ssize_t)synced);
		KUNIT_ASSERT_EQ(test, memcmp(got, want, synced), 0);
		for (at = synced; at < len; at++) {
			/* A byte beyond the synced end is written or zero, by whole sectors. */
			if (got[at] == want[at])
				good++;
			else if (!got[at])
				zeros++;
			else
				bad++;
		}
		KUNIT_ASSERT_EQ_MSG(test, bad, 0, "seed %llu", seed);
		none |= len == synced;
		all |= good == size;
		torn |= len > synced && (len - synced) % step;
		shorter |= len < size && !zeros;
		hole |= zeros && len && got[len - 1] == want[len - 1];
		KUNIT_ASSERT_EQ(test, ram_after(test, seed, "f", again, size), len);
		KUNIT_ASSERT_EQ(test, memcmp(again, got, len), 0);
	}
	KUNIT_EXPECT_TRUE(test, none);
	KUNIT_EXPECT_TRUE(test, all);
	KUNIT_EXPECT_TRUE(test, torn);
	KUNIT_EXPECT_TRUE(test, shorter);
	KUNIT_EXPECT_TRUE(test, hole);
	kbr_file_close(file);
}

/* An overwritten sector holds one of its versions, whole; not always the last. */
static void ram_overwrite(struct kunit *test)
{
	struct kbr_file *file = ram_open(test, "f");
	unsigned int seen[4] = {}, i, s;
	const size_t len = 512 * 4;
	u8 *buf, *got;
	u64 seed;

	buf = kunit_kzalloc(test, len, GFP_KERNEL);
	got = kunit_kzalloc(test, len, GFP_KERNEL);
	KUNIT_ASSERT_TRUE(test, buf && got);

	for (i = 0; i < 4; i++) {
		memset(buf, 'a' + i, len);
		KUNIT_EXPECT_EQ(test, kbr_file_write(file, buf, len, 0), 0);
		if (!i)
			KUNIT_EXPECT_EQ(test, kbr_file_sync(file), 0);
	}
	for (seed = 1; seed <= RAM_SEEDS; seed++) {
		KUNIT_ASSERT_EQ(test, ram_after(test, seed, "f", got, len),
				(ssize_t)len);
		for (s = 0; s < 4; s++) {
			u8 first = got[s * 512];

			KUNIT_ASSERT_TRUE(test, first >= 'a' && first <= 'd');
			KUNIT_ASSERT_NULL(test, memchr_inv(got + s * 512, first, 512));
			seen[first - 'a']++;
		}
	}
	for (i = 0; i < 4; i++)
		KUNIT_EXPECT_GT(test, seen[i], 10);
	kbr_file_close(file);
}

/* A file that shrank and grew again never shows new bytes in its old shape. */
static void ram_truncated(struct kunit *test)
{
	struct kbr_file *file = ram_open(test, "f");
	bool old = false, shrunk = false, grown = false;
	u8 *buf, *got;
	ssize_t len;
	u64 seed;

	buf = kunit_kzalloc(test, 3000, GFP_KERNEL);
	got = kunit_kzalloc(test, 3000, GFP_KERNEL);
	KUNIT_ASSERT_TRUE(test, buf && got);
	memset(buf, 'a', 3000);
	KUNIT_EXPECT_EQ(test, kbr_file_write(file, buf, 3000, 0), 0);
	KUNIT_EXPECT_EQ(test, kbr_file_sync(file), 0);
	KUNIT_EXPECT_EQ(test, kbr_file_truncate(file, 1000), 0);
	memset(buf, 'b', 3000);
	KUNIT_EXPECT_EQ(test, kbr_file_write(file, buf, 1000, 1000), 0);
	for (seed = 1; seed <= RAM_SEEDS; seed++) {
		len = ram_after(test, seed, "f", got, 3000);
		KUNIT_ASSERT_GE(test, len, 1000);
		KUNIT_ASSERT_NULL(test, memchr_inv(got, 'a', 1000));
		if (len == 3000)
			KUNIT_ASSERT_NULL(test, memchr_inv(got, 'a', 3000));
		else
			KUNIT_ASSERT_NULL(test, memchr(got + 1000, 'a', len - 1000));
		old |= len == 3000;
		shrunk |= len == 1000;
		grown |= len == 2000;
	}
	KUNIT_EXPECT_TRUE(test, old && shrunk && grown);
	kbr_file_close(file);
}

/* The entries of a directory are lost from the latest back, never in between. */
static void ram_names(struct kunit *test)
{
	struct kbr_dir *dir = test->priv;
	unsigned int count[9] = {}, i, n;
	char name[8], buf[8];
	u64 seed;

	for (i = 0; i < 8; i++) {
		snprintf(name, sizeof(name), "f%u", i);
		kbr_file_close(ram_open(test, name));
	}
	for (seed = 1; seed <= RAM_SEEDS; seed++) {
		for (n = 0, i = 0; i < 8; i++) {
			snprintf(name, sizeof(name), "f%u", i);
			if (!ram_after(test, seed, name, buf, sizeof(buf))) {
				KUNIT_ASSERT_EQ(test, n, i);
				n++;
			}
		}
		count[n]++;
	}
	for (i = 0; i <= 8; i++)
		KUNIT_EXPECT_GT(test, count[i], 0);
	/* Syncing one file takes along what came before it. */
	KUNIT_EXPECT_EQ(test, kbr_dir_mkdir(dir, "d"), 0);
	KUNIT_EXPECT_EQ(test, ram_after(test, 0, "f7", buf, sizeof(buf)), -ENOENT);
	KUNIT_EXPECT_EQ(test, kbr_dir_sync(dir, "d"), 0);
	KUNIT_EXPECT_EQ(test, ram_after(test, 0, "f7", buf, sizeof(buf)), 0);
}

/* A failed sync: reads show the data, the disk does not get it any more. */
static void ram_failed_sync(struct kunit *test)
{
	struct kbr_dir *dir = test->priv;
	struct kbr_file *file = ram_open(test, "f");
	u8 *buf = kunit_kzalloc(test, 8192, GFP_KERNEL);
	u8 *got = kunit_kzalloc(test, 8192, GFP_KERNEL);

	KUNIT_ASSERT_TRUE(test, buf && got);
	memset(buf, 'a', 4096);
	KUNIT_EXPECT_EQ(test, kbr_file_write(file, buf, 4096, 0), 0);
	KUNIT_EXPECT_EQ(test, kbr_file_sync(file), 0);
	memset(buf, 'b', 8192);
	KUNIT_EXPECT_EQ(test, kbr_file_write(file, buf, 8192, 0), 0);
	KUNIT_ASSERT_TRUE(test, kbr_ram_fail(dir, KBR_RAM_SYNC, 0, 1, -EIO, NULL));
	KUNIT_EXPECT_EQ(test, kbr_file_sync(file), -EIO);
	KUNIT_EXPECT_EQ(test, kbr_file_read(file, got, 8192, 0), 8192);
	KUNIT_EXPECT_EQ(test, memcmp(got, buf, 8192), 0);
	/* The next sync succeeds, which is the trap. */
	KUNIT_EXPECT_EQ(test, kbr_file_sync(file), 0);
	KUNIT_EXPECT_EQ(test, ram_after(test, U64_MAX, "f", got, 8192), 8192);
	KUNIT_EXPECT_NOT_NULL(test, memchr(got, 'a', 4096));
	KUNIT_EXPECT_NULL(test, memchr(got + 4096, 'b', 4096));
	KUNIT_EXPECT_EQ(test, kbr_file_read(file, got, 8192, 0), 8192);
	KUNIT_EXPECT_EQ(test, memcmp(got, buf, 8192), 0);
	KUNIT_EXPECT_EQ(test, kbr_file_invalidate(file, 0), 0);
	KUNIT_EXPECT_EQ(test, kbr_file_read(file, buf, 8192, 0), 8192);
	KUNIT_EXPECT_EQ(test, ram_after(test, U64_MAX, "f", got, 8192), 8192);
	KUNIT_EXPECT_EQ(test, memcmp(got, buf, 8192), 0);
	/* What is written again is kept. */
	memset(buf, 'c', 8192);
	KUNIT_EXPECT_EQ(test, kbr_file_write(file, buf, 8192, 0), 0);
	KUNIT_EXPECT_EQ(test, kbr_file_sync(file), 0);
	KUNIT_EXPECT_EQ(test, ram_after(test, 0, "f", got, 8192), 8192);
	KUNIT_EXPECT_EQ(test, memcmp(got, buf, 8192), 0);
	kbr_file_close(file);
}

static void ram_faults(struct kunit *test)
{
	struct kbr_dir *dir = test->priv;
	struct kbr_file *file, *other;
	struct kbr_ram_stats stats;
	u64 total, avail;
	char buf[100] = "";

	file = ram_open(test, "f");
	other = ram_open(test, "g");
	KUNIT_ASSERT_TRUE(test, kbr_ram_fail(dir, KBR_RAM_WRITE, 2, 1, -EIO, "f"));
	KUNIT_EXPECT_EQ(test, kbr_file_write(file, buf, 10, 0), 0);
	KUNIT_EXPECT_EQ(test, kbr_file_write(other, buf, 10, 0), 0);
	KUNIT_EXPECT_EQ(test, kbr_file_write(file, buf, 10, 10), 0);
	KUNIT_EXPECT_EQ(test, kbr_file_write(other, buf, 10, 10), 0);
	KUNIT_EXPECT_EQ(test, kbr_file_write(file, buf, 10, 20), -EIO);
	KUNIT_EXPECT_LT(test, kbr_file_size(file), 30);
	KUNIT_EXPECT_EQ(test, kbr_file_write(file, buf, 10, 20), 0);
	KUNIT_ASSERT_TRUE(test, kbr_ram_fail(dir, KBR_RAM_ANY, 0, 0, -EIO, NULL));
	KUNIT_EXPECT_EQ(test, kbr_file_read(file, buf, 10, 0), -EIO);
	KUNIT_EXPECT_EQ(test, kbr_dir_mkdir(dir, "d"), -EIO);
	KUNIT_EXPECT_EQ(test, kbr_file_truncate(file, 0), -EIO);
	kbr_ram_heal(dir);
	KUNIT_EXPECT_EQ(test, kbr_dir_mkdir(dir, "d"), 0);
	KUNIT_EXPECT_EQ(test, kbr_file_size(file), 30);

	/* A full disk takes what fits, and room comes back when a file is really gone. */
	kbr_ram_set_space(dir, 100);
	KUNIT_EXPECT_EQ(test, kbr_file_write(file, buf, 100, 0), -ENOSPC);
	KUNIT_EXPECT_EQ(test, kbr_file_size(file), 80);
	KUNIT_EXPECT_EQ(test, kbr_file_truncate(file, 90), -ENOSPC);
	KUNIT_EXPECT_EQ(test, kbr_file_write(file, buf, 80, 0), 0);
	KUNIT_EXPECT_EQ(test, kbr_dir_unlink(dir, "g"), 0);
	KUNIT_EXPECT_EQ(test, kbr_file_write(file, buf, 1, 80), -ENOSPC);
	KUNIT_EXPECT_EQ(test, kbr_dir_sync(dir, ""), 0);
	KUNIT_EXPECT_EQ(test, kbr_file_write(file, buf, 1, 80), -ENOSPC);
	kbr_file_close(other);
	KUNIT_EXPECT_EQ(test, kbr_file_write(file, buf, 1, 80), 0);
	KUNIT_EXPECT_EQ(test, kbr_dir_stat_space(dir, &total, &avail), 0);
	KUNIT_EXPECT_EQ(test, total, 100);
	KUNIT_EXPECT_EQ(test, avail, 19);
	kbr_ram_get_stats(dir, &stats);
	KUNIT_EXPECT_EQ(test, stats.files, 1);
	KUNIT_EXPECT_EQ(test, kbr_ram_damage(dir, "f", 81, 1), -ERANGE);
	KUNIT_EXPECT_EQ(test, kbr_ram_damage(dir, "f", 80, 1), 0);
	KUNIT_EXPECT_EQ(test, kbr_file_read(file, buf, 1, 80), 1);
	KUNIT_EXPECT_EQ(test, buf[0], 1);
	kbr_file_close(file);
}

static struct kunit_case ram_tests[] = {
	KUNIT_CASE(ram_nothing_and_all),
	KUNIT_CASE(ram_torn),
	KUNIT_CASE(ram_overwrite),
	KUNIT_CASE(ram_truncated),
	KUNIT_CASE(ram_names),
	KUNIT_CASE(ram_failed_sync),
	KUNIT_CASE(ram_faults),
	{}
};

static struct kunit_suite ram_suite = {
	.name = "kbroker_file_ram",
	.init = ram_env_init,
	.exit = ram_env_exit,
	.test_cases = ram_tests,
};

kunit_test_suite(ram_suite);
