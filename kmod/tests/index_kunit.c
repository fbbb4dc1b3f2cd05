// SPDX-License-Identifier: GPL-2.0-only
/* Sparse indexes: lookups agree with a plain search, and nothing damaged is believed. */
#include <kunit/test.h>
#include <linux/prandom.h>

#include "storage/index.h"
#include "tests/file_ram.h"

struct index_env {
	struct kbr_dir *dir;
	struct kbr_file *file;
	struct rnd_state rnd;
};

static int index_init(struct kunit *test)
{
	struct index_env *env = kunit_kzalloc(test, sizeof(*env), GFP_KERNEL);

	if (!env)
		return -ENOMEM;
	test->priv = env;
	prandom_seed_state(&env->rnd, 42);
	env->dir = kbr_ram_create(1);
	return env->dir ? kbr_file_open(env->dir, "i", KBR_FILE_CREATE, &env->file) : -ENOMEM;
}

static void index_exit(struct kunit *test)
{
	struct index_env *env = test->priv;

	kbr_file_close(env->file);
	kbr_dir_put(env->dir);
}

static void index_put(struct kunit *test, u32 slot, u32 offset, u32 pos)
{
	struct index_env *env = test->priv;
	struct kbr_index_disk d = { .offset = cpu_to_be32(offset), .pos = cpu_to_be32(pos) };

	KUNIT_ASSERT_EQ(test, kbr_file_write(env->file, &d, sizeof(d), slot * sizeof(d)), 0);
}

static void time_put(struct kunit *test, u32 slot, s64 timestamp, u32 offset)
{
	struct index_env *env = test->priv;
	struct kbr_time_disk d = {
		.timestamp = cpu_to_be64(timestamp),
		.offset = cpu_to_be32(offset),
	};

	KUNIT_ASSERT_EQ(test, kbr_file_write(env->file, &d, sizeof(d), slot * sizeof(d)), 0);
}

static const u32 index_counts[] = { 0, 1, 2, 63, 64, 65, 127, 128, 129, 700 };

/* entry i is (10 i + 5, 100 i + 100): the answer is known without a search */
static void index_floor_agrees(struct kunit *test)
{
	struct index_env *env = test->priv;
	struct kbr_index_entry e;
	unsigned int c, i;

	for (i = 0; i < 700; i++)
		index_put(test, i, 10 * i + 5, 100 * i + 100);
	for (c = 0; c < ARRAY_SIZE(index_counts); c++) {
		u32 count = index_counts[c];

		for (i = 0; i < 300; i++) {
			u32 offset = prandom_u32_state(&env->rnd) % (10 * count + 30);
			u32 pos = prandom_u32_state(&env->rnd) % (100 * count + 300);
			u32 guess = prandom_u32_state(&env->rnd) % (count + 50);
			s64 by_offset = offset < 5 ? -1 : (s64)(offset - 5) / 10;
			s64 by_pos = pos < 100 ? -1 : (s64)pos / 100 - 1;
			s64 want = min3(by_offset, by_pos, (s64)count - 1);
			int ret = kbr_index_floor(env->file, count, offset, pos, guess, &e);

			KUNIT_ASSERT_EQ_MSG(test, ret, want >= 0, "count %u offset %u pos %u guess %u",
					    count, offset, pos, guess);
			if (ret)
				KUNIT_ASSERT_EQ_MSG(test, e.pos, 100 * want + 100,
						    "count %u offset %u pos %u guess %u", count,
						    offset, pos, guess);
		}
	}
	/* a file that is shorter than was thought */
	KUNIT_EXPECT_EQ(test, kbr_index_floor(env->file, 800, U32_MAX, U32_MAX, 800, &e), -EBADMSG);
}

static void index_check_stops(struct kunit *test)
{
	struct index_env *env = test->priv;
	struct kbr_index_entry last;
	unsigned int i;

	for (i = 0; i < 100; i++)
		index_put(test, i, 10 * i + 5, 100 * i + 100);
	KUNIT_EXPECT_EQ(test, kbr_index_check(env->file, S32_MAX, U32_MAX, &last), 100LL);
	KUNIT_EXPECT_EQ(test, last.pos, 10000U);
	KUNIT_EXPECT_EQ(test, kbr_index_check(env->file, 505, U32_MAX, &last), 50LL);
	KUNIT_EXPECT_EQ(test, kbr_index_check(env->file, S32_MAX, 500, &last), 4LL);
	/* zeroes behind it, as another program leaves them */
	index_put(test, 100, 0, 0);
	index_put(test, 101, 0, 0);
	KUNIT_EXPECT_EQ(test, kbr_index_check(env->file, S32_MAX, U32_MAX, &last), 100LL);
	/* part of an entry */
	KUNIT_EXPECT_EQ(test, kbr_file_truncate(env->file, 100 * 8 + 3), 0);
	KUNIT_EXPECT_EQ(test, kbr_index_check(env->file, S32_MAX, U32_MAX, &last), 100LL);
	index_put(test, 60, 595, 6100);
	KUNIT_EXPECT_EQ(test, kbr_index_check(env->file, S32_MAX, U32_MAX, &last), 60LL);
	index_put(test, 40, 395, 5000);
	KUNIT_EXPECT_EQ(test, kbr_index_check(env->file, S32_MAX, U32_MAX, &last), 40LL);
	index_put(test, 0, 0, 0);
	KUNIT_EXPECT_EQ(test, kbr_index_check(env->file, S32_MAX, U32_MAX, &last), 0LL);
	KUNIT_EXPECT_EQ(test, last.pos, 0U);
}

static void time_index(struct kunit *test)
{
	struct index_env *env = test->priv;
	struct kbr_time_entry e, last;
	unsigned int i;
	s64 t;

	for (i = 0; i < 77; i++)
		time_put(test, i, 1000 + 10 * i, 7 * i);
	for (t = 990; t < 1800; t++) {
		s64 want = min_t(s64, (t - 1000) / 10, 76);
		int ret = kbr_time_index_floor(env->file, 77, t, &e);

		KUNIT_ASSERT_EQ(test, ret, t >= 1000);
		if (ret)
			KUNIT_ASSERT_EQ(test, e.timestamp, 1000 + 10 * want);
	}
	KUNIT_EXPECT_EQ(test, kbr_time_index_check(env->file, S32_MAX, &last), 77LL);
	KUNIT_EXPECT_EQ(test, last.timestamp, 1760LL);
	KUNIT_EXPECT_EQ(test, kbr_time_index_check(env->file, 70, &last), 10LL);
	time_put(test, 50, 1490, 351);
	KUNIT_EXPECT_EQ(test, kbr_time_index_check(env->file, S32_MAX, &last), 50LL);
	time_put(test, 0, 0, 0);
	time_put(test, 1, 0, 0);
	KUNIT_EXPECT_EQ(test, kbr_time_index_check(env->file, S32_MAX, &last), 0LL);
	KUNIT_EXPECT_EQ(test, last.timestamp, -1LL);
	KUNIT_EXPECT_EQ(test, kbr_time_index_read(env->file, 77, &e), -EBADMSG);
}

static void index_io_error(struct kunit *test)
{
	struct index_env *env = test->priv;
	struct kbr_index_entry e;
	struct kbr_time_entry t;

	index_put(test, 0, 5, 100);
	kbr_ram_fail(env->dir, KBR_RAM_READ, 0, 0, -EIO, NULL);
	KUNIT_EXPECT_EQ(test, kbr_index_floor(env->file, 1, 9, 999, 0, &e), -EIO);
	KUNIT_EXPECT_EQ(test, kbr_index_check(env->file, 9, 999, &e), (s64)-EIO);
	KUNIT_EXPECT_EQ(test, kbr_time_index_floor(env->file, 1, 9, &t), -EIO);
	KUNIT_EXPECT_EQ(test, kbr_time_index_check(env->file, 9, &t), (s64)-EIO);
}

static struct kunit_case index_cases[] = {
	KUNIT_CASE(index_floor_agrees),
	KUNIT_CASE(index_check_stops),
	KUNIT_CASE(time_index),
	KUNIT_CASE(index_io_error),
	{}
};

static struct kunit_suite index_suite = {
	.name = "kbroker_index",
	.init = index_init,
	.exit = index_exit,
	.test_cases = index_cases,
};

kunit_test_suite(index_suite);
