// SPDX-License-Identifier: GPL-2.0-only
/*
 * One segment: when index entries are made, finding batches with and without
 * an index to believe, walking damaged files, cutting.
 */
#include <kunit/test.h>

#include "tests/log_fixture.h"

/* one open segment of 14 batches of 10 records, about 1130 bytes each */
struct seg_env {
	struct fix *fix;
	struct kbr_segment *seg;
	struct kbr_files *files;
	u32 size;
};

static int seg_init(struct kunit *test)
{
	struct seg_env *env = kunit_kzalloc(test, sizeof(*env), GFP_KERNEL);
	struct fix *fix = fix_alloc(1);
	s64 next;
	int i, err;

	if (!env || !fix)
		return -ENOMEM;
	test->priv = env;
	env->fix = fix;
	err = fix_create(fix);
	for (i = 0; i < 14 && !err; i++)
		err = min_t(s64, fix_append_one(fix, 10, 100, 1000 + 10 * i), 0);
	if (err)
		return err;
	/* writes the gathered index entries */
	kbr_log_checkpoint(&fix->log);
	env->seg = kbr_log_segment_get(&fix->log, 0, &next);
	env->files = kbr_files_get(&fix->log, env->seg);
	env->size = kbr_segment_size(env->seg);
	return PTR_ERR_OR_ZERO(env->files);
}

static void seg_exit(struct kunit *test)
{
	struct seg_env *env = test->priv;

	if (!env)
		return;
	if (!IS_ERR_OR_NULL(env->files))
		kbr_files_put(env->files);
	if (env->seg)
		kbr_segment_put(env->seg);
	fix_free(env->fix);
}

/* Entries come once more than index.interval.bytes lie behind the last one: here every batch but the first. */
static void seg_index_entries(struct kunit *test)
{
	struct seg_env *env = test->priv;
	struct kbr_file *index = kbr_files_index(&env->fix->log, env->seg, env->files);
	struct kbr_file *time = kbr_files_time(&env->fix->log, env->seg, env->files);
	struct kbr_index_disk d;
	struct kbr_time_entry t;

	KUNIT_EXPECT_EQ(test, kbr_segment_index_count(env->seg, index), 13U);
	KUNIT_EXPECT_EQ(test, kbr_segment_time_count(env->seg, time), 13U);
	/* the last offset of the second batch, and where it begins */
	KUNIT_ASSERT_EQ(test, kbr_file_read(index, &d, sizeof(d), 0), (ssize_t)sizeof(d));
	KUNIT_EXPECT_EQ(test, be32_to_cpu(d.offset), 19U);
	KUNIT_EXPECT_EQ(test, be32_to_cpu(d.pos), env->size / 14);
	KUNIT_ASSERT_EQ(test, kbr_time_index_read(time, 0, &t), 0);
	KUNIT_EXPECT_EQ(test, t.timestamp, 1019LL);
	KUNIT_EXPECT_EQ(test, t.offset, 19U);
}

static void seg_locate(struct kunit *test)
{
	struct seg_env *env = test->priv;
	struct kbr_batch batch;
	s64 offset;
	u32 pos;

	for (offset = 0; offset < 140; offset++) {
		pos = 0;
		KUNIT_ASSERT_EQ(test, kbr_segment_locate(&env->fix->log, env->seg, env->files,
							 offset, env->size, &pos, &batch), 1);
		KUNIT_ASSERT_EQ(test, batch.base_offset, offset - offset % 10);
	}
	pos = 0;
	KUNIT_EXPECT_EQ(test, kbr_segment_locate(&env->fix->log, env->seg, env->files, 140,
						 env->size, &pos, &batch), 0);
	KUNIT_EXPECT_EQ(test, pos, env->size);
}

/* An index that points into batches, or says other offsets, is not followed. */
static void seg_locate_despite_index(struct kunit *test)
{
	struct seg_env *env = test->priv;
	struct kbr_file *index = kbr_files_index(&env->fix->log, env->seg, env->files);
	struct kbr_batch batch;
	s64 offset;
	u32 i, pos;

	for (i = 0; i < 13; i++) {
		struct kbr_index_disk d = {
			.offset = cpu_to_be32(3 * i),
			.pos = cpu_to_be32(100 + 900 * i),
		};

		KUNIT_ASSERT_EQ(test, kbr_file_write(index, &d, sizeof(d), i * sizeof(d)), 0);
	}
	for (offset = 0; offset < 140; offset += 3) {
		pos = 0;
		KUNIT_ASSERT_EQ(test, kbr_segment_locate(&env->fix->log, env->seg, env->files,
							 offset, env->size, &pos, &batch), 1);
		KUNIT_ASSERT_EQ(test, batch.base_offset, offset - offset % 10);
	}
}

static void seg_scan(struct kunit *test)
{
	static const size_t sizes[] = { 61, 100, 1131, 4096, 1 << 18 };
	struct seg_env *env = test->priv;
	struct kbr_batch batch;
	struct kbr_scan scan;
	const void *body;
	unsigned int i, n;

	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		KUNIT_ASSERT_EQ(test, kbr_scan_start(&scan, env->files->log, 0, env->size,
						     sizes[i]), 0);
		for (n = 0; kbr_scan_header(&scan, &batch) == 1; n++) {
			KUNIT_ASSERT_EQ(test, batch.base_offset, 10LL * n);
			KUNIT_ASSERT_EQ(test, kbr_scan_body(&scan, &batch, &body), 0);
			KUNIT_ASSERT_EQ(test, kbr_batch_check_crc(body, batch.size), 0);
			kbr_scan_next(&scan, &batch);
		}
		KUNIT_EXPECT_EQ(test, n, 14U);
		KUNIT_EXPECT_EQ(test, kbr_scan_header(&scan, &batch), 0);
		kbr_scan_stop(&scan);
		/* the last batch is cut: whether in its header or behind it */
		KUNIT_ASSERT_EQ(test, kbr_scan_start(&scan, env->files->log,
						     env->size / 14 * 13, env->size - 1,
						     sizes[i]), 0);
		KUNIT_EXPECT_EQ(test, kbr_scan_header(&scan, &batch), -EBADMSG);
		kbr_scan_stop(&scan);
		KUNIT_ASSERT_EQ(test, kbr_scan_start(&scan, env->files->log,
						     env->size / 14 * 13,
						     env->size / 14 * 13 + 60, sizes[i]), 0);
		KUNIT_EXPECT_EQ(test, kbr_scan_header(&scan, &batch), -EBADMSG);
		kbr_scan_stop(&scan);
	}
}

/* The file is shorter than was thought. */
static void seg_scan_short(struct kunit *test)
{
	struct seg_env *env = test->priv;
	struct kbr_batch batch;
	struct kbr_scan scan;
	const void *body;

	KUNIT_ASSERT_EQ(test, kbr_scan_start(&scan, env->files->log, 0, 2 * env->size, 100), 0);
	scan.pos = env->size / 14 * 13;
	KUNIT_ASSERT_EQ(test, kbr_scan_header(&scan, &batch), 1);
	KUNIT_ASSERT_EQ(test, kbr_scan_body(&scan, &batch, &body), 0);
	kbr_scan_next(&scan, &batch);
	/* not called torn: what is there was not read */
	KUNIT_EXPECT_EQ(test, kbr_scan_header(&scan, &batch), -EIO);
	kbr_scan_stop(&scan);
	KUNIT_EXPECT_EQ(test, kbr_segment_header(env->files->log, env->size, 2 * env->size, &batch),
			-EBADMSG);
	KUNIT_EXPECT_EQ(test, kbr_segment_header(env->files->log, 0, 100, &batch), -EBADMSG);
}

static struct kunit_case seg_cases[] = {
	KUNIT_CASE(seg_index_entries),
	KUNIT_CASE(seg_locate),
	KUNIT_CASE(seg_locate_despite_index),
	KUNIT_CASE(seg_scan),
	KUNIT_CASE(seg_scan_short),
	{}
};

static struct kunit_suite seg_suite = {
	.name = "kbroker_segment",
	.init = seg_init,
	.exit = seg_exit,
	.test_cases = seg_cases,
};

kunit_test_suite(seg_suite);
