// SPDX-License-Identifier: GPL-2.0-only
/*
 * Opening a log: what a clean stop leaves is believed, what a crash leaves is
 * checked, damage below the recovery point is told from a torn tail, and no
 * directory, whatever is in it, makes the module crash or loop.
 */
#include <kunit/test.h>
#include <linux/prandom.h>
#include <linux/slab.h>

#include "tests/log_fixture.h"

#define SEG(n)	"0000000000000000" n
#define PATH(f)	FIX_NAME "/" f

/* 60 batches of 10 records in segments 0, 140, 280, 420, 560; synced to 600 */
static int rec_init(struct kunit *test)
{
	struct fix *fix = fix_alloc(1);
	int i, err;

	test->priv = fix;
	if (!fix)
		return -ENOMEM;
	err = fix_create(fix);
	for (i = 0; i < 60 && !err; i++)
		err = min_t(s64, fix_append_one(fix, 10, 100, 1000 + 10 * i), 0);
	return err ?: kbr_log_sync_now(&fix->log);
}

static void rec_exit(struct kunit *test)
{
	if (test->priv)
		fix_free(test->priv);
}

static void rec_write(struct kunit *test, const char *path, const void *buf, size_t len, loff_t pos)
{
	struct fix *fix = test->priv;
	struct kbr_file *file;

	KUNIT_ASSERT_EQ(test, kbr_file_open(fix->dir, path, KBR_FILE_CREATE, &file), 0);
	KUNIT_ASSERT_EQ(test, kbr_file_write(file, buf, len, pos), 0);
	kbr_file_close(file);
}

static loff_t rec_size(struct kunit *test, const char *path)
{
	struct fix *fix = test->priv;
	struct kbr_file *file;
	loff_t size;

	if (kbr_file_open(fix->dir, path, KBR_FILE_RDONLY, &file))
		return -1;
	size = kbr_file_size(file);
	kbr_file_close(file);
	return size;
}

static void rec_truncate(struct kunit *test, const char *path, loff_t size)
{
	struct fix *fix = test->priv;
	struct kbr_file *file;

	KUNIT_ASSERT_EQ(test, kbr_file_open(fix->dir, path, 0, &file), 0);
	KUNIT_ASSERT_EQ(test, kbr_file_truncate(file, size), 0);
	kbr_file_close(file);
}

/* everything that was written survives; what happens to the files now is the test's doing */
static void rec_crash(struct kunit *test)
{
	KUNIT_ASSERT_EQ(test, fix_crash(test->priv, U64_MAX), 0);
}

static void rec_clean(struct kunit *test)
{
	struct fix *fix = test->priv;
	struct kbr_ram_stats before, after;

	KUNIT_ASSERT_EQ(test, fix_close(fix), 0);
	KUNIT_EXPECT_TRUE(test, fix_exists(fix, SEG("0600") ".snapshot"));
	kbr_ram_get_stats(fix->dir, &before);
	KUNIT_ASSERT_EQ(test, fix_open(fix, true, 600, 0), 0);
	kbr_ram_get_stats(fix->dir, &after);
	KUNIT_EXPECT_TRUE(test, fix->report.clean);
	KUNIT_EXPECT_EQ(test, fix->report.scanned_bytes, 0ULL);
	KUNIT_EXPECT_EQ(test, after.writes, before.writes);
	KUNIT_EXPECT_EQ(test, after.flushes, before.flushes);
	KUNIT_EXPECT_EQ(test, kbr_log_end(&fix->log), 600LL);
	KUNIT_EXPECT_EQ(test, fix_walk(fix, FIX_BUF_SIZE), 600LL);
	KUNIT_EXPECT_STREQ(test, fix_check_indexes(fix) ?: "", "");
	/* and closing it again without a change writes nothing */
	kbr_ram_get_stats(fix->dir, &before);
	KUNIT_ASSERT_EQ(test, fix_close(fix), 0);
	kbr_ram_get_stats(fix->dir, &after);
	KUNIT_EXPECT_EQ(test, after.writes, before.writes);
}

static void rec_reads_from_the_point_on(struct kunit *test)
{
	struct fix *fix = test->priv;
	u64 whole = fix->log.size;

	rec_crash(test);
	KUNIT_ASSERT_EQ(test, fix_open(fix, false, 570, 0), 0);
	KUNIT_EXPECT_FALSE(test, fix->report.clean);
	KUNIT_EXPECT_EQ(test, fix->report.cut_bytes, 0ULL);
	KUNIT_EXPECT_EQ(test, fix->report.damaged_offset, -1LL);
	/* three batches, not four, and not the other segments */
	KUNIT_EXPECT_LT(test, fix->report.scanned_bytes, 4 * 1140ULL);
	KUNIT_EXPECT_GT(test, fix->report.scanned_bytes, 3 * 1100ULL);
	KUNIT_EXPECT_EQ(test, fix->log.size, whole);
	KUNIT_EXPECT_EQ(test, fix_walk(fix, FIX_BUF_SIZE), 600LL);
	rec_crash(test);
	KUNIT_ASSERT_EQ(test, fix_open(fix, false, 0, 0), 0);
	KUNIT_EXPECT_GE(test, fix->report.scanned_bytes, whole);
	KUNIT_EXPECT_EQ(test, fix_walk(fix, FIX_BUF_SIZE), 600LL);
}

static void rec_torn_tail(struct kunit *test)
{
	struct fix *fix = test->priv;
	loff_t size = rec_size(test, PATH(SEG("0560") ".log"));

	rec_crash(test);
	rec_truncate(test, PATH(SEG("0560") ".log"), size - 1);
	KUNIT_ASSERT_EQ(test, fix_open(fix, false, 580, 0), 0);
	KUNIT_EXPECT_EQ(test, kbr_log_end(&fix->log), 590LL);
	KUNIT_EXPECT_EQ(test, fix->report.cut_offset, 590LL);
	KUNIT_EXPECT_GT(test, fix->report.cut_bytes, 1000ULL);
	KUNIT_EXPECT_EQ(test, fix_walk(fix, FIX_BUF_SIZE), 590LL);
	KUNIT_EXPECT_EQ(test, fix_append_one(fix, 1, 1, 1), 590LL);
	/* junk behind the last batch, too */
	KUNIT_ASSERT_EQ(test, fix_close(fix), 0);
	rec_write(test, PATH(SEG("0560") ".log"), "junk", 4,
		  rec_size(test, PATH(SEG("0560") ".log")));
	KUNIT_ASSERT_EQ(test, fix_open(fix, false, 591, 0), 0);
	KUNIT_EXPECT_EQ(test, kbr_log_end(&fix->log), 591LL);
	KUNIT_EXPECT_EQ(test, fix->report.cut_bytes, 4ULL);
}

static void rec_removes_what_follows_a_tear(struct kunit *test)
{
	struct fix *fix = test->priv;

	rec_crash(test);
	KUNIT_ASSERT_EQ(test, kbr_ram_damage(fix->dir, PATH(SEG("0280") ".log"), 3000, 1), 0);
	KUNIT_ASSERT_EQ(test, fix_open(fix, false, 285, 0), 0);
	KUNIT_EXPECT_EQ(test, kbr_log_end(&fix->log), 300LL);
	KUNIT_EXPECT_EQ(test, fix->report.removed_segments, 2U);
	KUNIT_EXPECT_EQ(test, fix->report.cut_offset, 300LL);
	KUNIT_EXPECT_FALSE(test, fix_exists(fix, SEG("0420") ".log"));
	KUNIT_EXPECT_FALSE(test, fix_exists(fix, SEG("0560") ".index"));
	KUNIT_EXPECT_FALSE(test, fix_exists(fix, SEG("0560") ".snapshot"));
	KUNIT_EXPECT_EQ(test, fix_walk(fix, FIX_BUF_SIZE), 300LL);
	KUNIT_EXPECT_STREQ(test, fix_check_indexes(fix) ?: "", "");
}

/* The disk lost what it had promised to keep: say so, remove nothing, append nothing. */
static void rec_damage_below_the_point(struct kunit *test)
{
	struct fix *fix = test->priv;
	loff_t size;

	rec_crash(test);
	size = rec_size(test, PATH(SEG("0560") ".log")) - 1500;
	rec_truncate(test, PATH(SEG("0560") ".log"), size);
	KUNIT_ASSERT_EQ(test, fix_open(fix, false, 600, 0), 0);
	KUNIT_EXPECT_EQ(test, fix->report.damaged_offset, 580LL);
	KUNIT_EXPECT_EQ(test, kbr_log_end(&fix->log), 580LL);
	KUNIT_EXPECT_EQ(test, fix_append_one(fix, 1, 1, 1), (s64)-EBADMSG);
	KUNIT_EXPECT_EQ(test, fix_walk(fix, FIX_BUF_SIZE), 580LL);
	KUNIT_EXPECT_EQ(test, rec_size(test, PATH(SEG("0560") ".log")), size);
	/* nor is it forgotten at the next start, clean or not */
	KUNIT_EXPECT_EQ(test, kbr_log_checkpoint(&fix->log), 600LL);
	KUNIT_EXPECT_EQ(test, fix_close(fix), -EBADMSG);
	KUNIT_ASSERT_EQ(test, fix_open(fix, true, 600, 0), 0);
	KUNIT_EXPECT_EQ(test, fix->report.damaged_offset, 580LL);
	KUNIT_EXPECT_EQ(test, fix_close(fix), -EBADMSG);
	/* a lost segment */
	KUNIT_ASSERT_EQ(test, kbr_dir_unlink(fix->dir, PATH(SEG("0560") ".log")), 0);
	KUNIT_ASSERT_EQ(test, fix_open(fix, false, 600, 0), 0);
	KUNIT_EXPECT_EQ(test, fix->report.damaged_offset, 560LL);
	KUNIT_EXPECT_EQ(test, fix_walk(fix, FIX_BUF_SIZE), 560LL);
	KUNIT_EXPECT_EQ(test, fix_close(fix), -EBADMSG);
	KUNIT_ASSERT_EQ(test, fix_open(fix, true, 600, 0), 0);
	KUNIT_EXPECT_EQ(test, fix->report.damaged_offset, 560LL);
}

/* The stop was not as clean as the marker says. */
static void rec_marker_lies(struct kunit *test)
{
	struct fix *fix = test->priv;

	KUNIT_ASSERT_EQ(test, fix_close(fix), 0);
	rec_write(test, PATH(SEG("0560") ".log"), "1234567", 7,
		  rec_size(test, PATH(SEG("0560") ".log")));
	KUNIT_ASSERT_EQ(test, fix_open(fix, true, 600, 0), 0);
	KUNIT_EXPECT_FALSE(test, fix->report.clean);
	KUNIT_EXPECT_EQ(test, kbr_log_end(&fix->log), 600LL);
	KUNIT_EXPECT_EQ(test, fix->report.cut_bytes, 7ULL);
}

static void rec_rebuilds_indexes(struct kunit *test)
{
	struct fix *fix = test->priv;
	static const u8 junk[64] = { 0xff, 0xff, 0xff, 0xff, 1, 2, 3, 4, 5 };

	KUNIT_ASSERT_EQ(test, fix_close(fix), 0);
	KUNIT_ASSERT_EQ(test, kbr_dir_unlink(fix->dir, PATH(SEG("0140") ".index")), 0);
	KUNIT_ASSERT_EQ(test, kbr_dir_unlink(fix->dir, PATH(SEG("0280") ".timeindex")), 0);
	KUNIT_ASSERT_EQ(test, fix_open(fix, true, 600, 0), 0);
	KUNIT_EXPECT_EQ(test, fix->report.rebuilt_indexes, 2U);
	KUNIT_EXPECT_STREQ(test, fix_check_indexes(fix) ?: "", "");
	KUNIT_EXPECT_EQ(test, fix_walk(fix, FIX_BUF_SIZE), 600LL);
	KUNIT_ASSERT_EQ(test, fix_close(fix), 0);
	KUNIT_EXPECT_GT(test, rec_size(test, PATH(SEG("0140") ".index")), (loff_t)0);

	/* junk in the index of the segment that is checked, and in one that is not */
	rec_write(test, PATH(SEG("0560") ".index"), junk, sizeof(junk), 0);
	rec_write(test, PATH(SEG("0560") ".timeindex"), junk, sizeof(junk), 0);
	rec_write(test, PATH(SEG("0280") ".index"), junk, sizeof(junk), 0);
	KUNIT_ASSERT_EQ(test, fix_open(fix, false, 595, 0), 0);
	KUNIT_EXPECT_EQ(test, kbr_log_end(&fix->log), 600LL);
	/* lookups find out about the other */
	KUNIT_EXPECT_EQ(test, fix_walk(fix, FIX_BUF_SIZE), 600LL);
	KUNIT_EXPECT_EQ(test, fix_walk(fix, 2000), 600LL);
}

static void rec_leftovers(struct kunit *test)
{
	struct fix *fix = test->priv;

	KUNIT_ASSERT_EQ(test, fix_close(fix), 0);
	rec_write(test, PATH(SEG("0000") ".log.deleted"), "x", 1, 0);
	rec_write(test, PATH(SEG("0000") ".index.deleted"), "x", 1, 0);
	rec_write(test, PATH(SEG("0140") ".log.cleaned"), "x", 1, 0);
	rec_write(test, PATH(SEG("9000") ".index"), "x", 1, 0);
	rec_write(test, PATH(SEG("9000") ".timeindex"), "x", 1, 0);
	rec_write(test, PATH(SEG("9000") ".snapshot"), "x", 1, 0);
	/* names that only look like segments */
	rec_write(test, PATH("00000000000000000.log"), "x", 1, 0);
	rec_write(test, PATH("99999999999999999999.log"), "x", 1, 0);
	rec_write(test, PATH("0000000000000000000x.log"), "x", 1, 0);
	rec_write(test, PATH(SEG("0140") ".logs"), "x", 1, 0);
	KUNIT_ASSERT_EQ(test, fix_open(fix, true, 600, 0), 0);
	KUNIT_EXPECT_EQ(test, fix_walk(fix, FIX_BUF_SIZE), 600LL);
	KUNIT_EXPECT_FALSE(test, fix_exists(fix, SEG("0000") ".log.deleted"));
	KUNIT_EXPECT_FALSE(test, fix_exists(fix, SEG("0000") ".index.deleted"));
	KUNIT_EXPECT_FALSE(test, fix_exists(fix, SEG("0140") ".log.cleaned"));
	KUNIT_EXPECT_FALSE(test, fix_exists(fix, SEG("9000") ".index"));
	KUNIT_EXPECT_FALSE(test, fix_exists(fix, SEG("9000") ".snapshot"));
	KUNIT_EXPECT_TRUE(test, fix_exists(fix, "0000000000000000000x.log"));
}

/* A cleaner's result takes the place of the segments it was made from. */
static void rec_swap(struct kunit *test)
{
	struct fix *fix = test->priv;
	struct kbr_log_pos pos = { };
	ssize_t len;

	/* segments 0 and 140 become one: the batches of both */
	len = fix_read(fix, &pos, 140, FIX_BUF_SIZE);
	KUNIT_ASSERT_GT(test, len, (ssize_t)0);
	rec_write(test, PATH(SEG("0000") ".log.swap"), fix->out, len, 0);
	KUNIT_ASSERT_EQ(test, pos.offset, 140LL);
	KUNIT_ASSERT_GT(test, fix_read(fix, &pos, 280, FIX_BUF_SIZE), (ssize_t)0);
	rec_write(test, PATH(SEG("0000") ".log.swap"), fix->out,
		  rec_size(test, PATH(SEG("0140") ".log")), len);
	KUNIT_ASSERT_EQ(test, fix_close(fix), 0);
	KUNIT_ASSERT_EQ(test, fix_open(fix, true, 600, 0), 0);
	KUNIT_EXPECT_FALSE(test, fix_exists(fix, SEG("0140") ".log"));
	KUNIT_EXPECT_FALSE(test, fix_exists(fix, SEG("0000") ".log.swap"));
	KUNIT_EXPECT_TRUE(test, fix_exists(fix, SEG("0280") ".log"));
	KUNIT_EXPECT_EQ(test, fix_walk(fix, FIX_BUF_SIZE), 600LL);
	KUNIT_EXPECT_STREQ(test, fix_check_indexes(fix) ?: "", "");
}

static void rec_start_checkpoint(struct kunit *test)
{
	struct fix *fix = test->priv;

	KUNIT_ASSERT_EQ(test, fix_close(fix), 0);
	KUNIT_ASSERT_EQ(test, fix_open(fix, true, 600, 150), 0);
	KUNIT_EXPECT_EQ(test, kbr_log_start(&fix->log), 150LL);
	KUNIT_ASSERT_EQ(test, fix_close(fix), 0);
	/* beyond the end: all that is there was to be deleted */
	KUNIT_ASSERT_EQ(test, fix_open(fix, true, 600, 1000), 0);
	KUNIT_EXPECT_EQ(test, kbr_log_start(&fix->log), 1000LL);
	KUNIT_EXPECT_EQ(test, kbr_log_end(&fix->log), 1000LL);
	KUNIT_EXPECT_EQ(test, fix_append_one(fix, 1, 1, 1), 1000LL);
	KUNIT_EXPECT_FALSE(test, fix_exists(fix, SEG("0000") ".log"));
}

static void rec_epochs(struct kunit *test)
{
	struct fix *fix = test->priv;
	s32 epoch;
	s64 end;

	KUNIT_EXPECT_EQ(test, kbr_log_set_epoch(&fix->log, 3), 0);
	KUNIT_EXPECT_EQ(test, fix_append_one(fix, 1, 1, 1), 600LL);
	KUNIT_EXPECT_EQ(test, kbr_log_sync_now(&fix->log), 0);
	/* not written yet: the batches tell */
	rec_crash(test);
	KUNIT_ASSERT_EQ(test, fix_open(fix, false, 600, 0), 0);
	KUNIT_EXPECT_EQ(test, fix->log.epoch, 3);
	kbr_log_epoch_end(&fix->log, 0, &epoch, &end);
	KUNIT_EXPECT_EQ(test, end, 600LL);
	KUNIT_ASSERT_EQ(test, fix_close(fix), 0);
	KUNIT_EXPECT_TRUE(test, fix_exists(fix, "leader-epoch-checkpoint"));
	/* damaged: the batches tell again */
	rec_write(test, PATH("leader-epoch-checkpoint"), "9", 1, 0);
	KUNIT_ASSERT_EQ(test, fix_open(fix, true, 601, 0), -EPROTONOSUPPORT);
	rec_write(test, PATH("leader-epoch-checkpoint"), "x", 1, 0);
	KUNIT_ASSERT_EQ(test, fix_open(fix, true, 601, 0), 0);
	KUNIT_EXPECT_EQ(test, fix->log.epoch, 3);
	kbr_log_epoch_end(&fix->log, 0, &epoch, &end);
	KUNIT_EXPECT_EQ(test, end, 600LL);
}

static void rec_other_topic(struct kunit *test)
{
	static const u8 other[16] = { 9 };
	struct fix *fix = test->priv;

	KUNIT_ASSERT_EQ(test, fix_close(fix), 0);
	KUNIT_EXPECT_EQ(test, kbr_log_open(&fix->log, &fix->env, FIX_NAME, other, &fix->config,
					   true, 600, 0, &fix->report), -EBADMSG);
	KUNIT_EXPECT_EQ(test, kbr_log_open(&fix->log, &fix->env, "none-0", other, &fix->config,
					   true, 600, 0, &fix->report), -ENOENT);
}

/* the next sequence of producer 5 is accepted, the last one is a repeat */
static void rec_expect_producer(struct kunit *test, s32 next)
{
	struct fix_batch b = { .records = 1, .timestamp = 1, .producer_id = 5 };
	struct kbr_append append;

	b.sequence = next - 1;
	fix_reset(test->priv);
	KUNIT_ASSERT_TRUE(test, fix_add(test->priv, &b));
	KUNIT_EXPECT_EQ(test, fix_append(test->priv, &append), 0);
	KUNIT_EXPECT_TRUE(test, append.duplicate);
	b.sequence = next + 1;
	fix_reset(test->priv);
	KUNIT_ASSERT_TRUE(test, fix_add(test->priv, &b));
	KUNIT_EXPECT_EQ(test, fix_append(test->priv, &append), -EILSEQ);
}

/* What a crash leaves of partition.metadata while nothing was synced is made anew. */
static void rec_unfinished_metadata(struct kunit *test)
{
	static const char * const left[] = { "", "version: 0\ntopic_id: " };
	struct fix *fix = test->priv;
	loff_t whole = rec_size(test, PATH("partition.metadata"));
	unsigned int i;

	KUNIT_ASSERT_EQ(test, fix_close(fix), 0);
	for (i = 0; i < ARRAY_SIZE(left); i++) {
		kbr_dir_unlink(fix->dir, PATH("partition.metadata"));
		rec_write(test, PATH("partition.metadata"), left[i], strlen(left[i]), 0);
		KUNIT_EXPECT_EQ(test, fix_open(fix, false, 0, 0), 0);
		KUNIT_EXPECT_EQ(test, rec_size(test, PATH("partition.metadata")), whole);
		KUNIT_EXPECT_EQ(test, fix_close(fix), 0);
	}
}

static void rec_producers(struct kunit *test)
{
	struct fix *fix = test->priv;
	struct fix_batch b = { .records = 1, .timestamp = 1, .producer_id = 5, .value_len = 3000 };
	struct kbr_append append;
	int i;

	for (i = 0; i < 8; i++) {
		b.sequence = i;
		fix_reset(fix);
		KUNIT_ASSERT_TRUE(test, fix_add(fix, &b));
		KUNIT_ASSERT_EQ(test, fix_append(fix, &append), 0);
	}
	KUNIT_EXPECT_EQ(test, kbr_log_sync_now(&fix->log), 0);
	/* from a snapshot in the middle and the batches behind it */
	rec_crash(test);
	KUNIT_ASSERT_EQ(test, fix_open(fix, false, 600, 0), 0);
	rec_expect_producer(test, 8);
	/* from the one that closing takes */
	KUNIT_ASSERT_EQ(test, fix_close(fix), 0);
	KUNIT_ASSERT_EQ(test, fix_open(fix, true, 608, 0), 0);
	rec_expect_producer(test, 8);
	/* that one is damaged: an older one, and the batches */
	KUNIT_ASSERT_EQ(test, fix_close(fix), 0);
	KUNIT_ASSERT_EQ(test, kbr_ram_damage(fix->dir, PATH(SEG("0608") ".snapshot"), 20, 1), 0);
	KUNIT_ASSERT_EQ(test, fix_open(fix, true, 608, 0), 0);
	KUNIT_EXPECT_FALSE(test, fix_exists(fix, SEG("0608") ".snapshot"));
	rec_expect_producer(test, 8);
}

/* A snapshot whose sync failed stays in memory alone: no segment is removed for its sake. */
static void rec_lost_snapshot(struct kunit *test)
{
	struct fix *fix = test->priv;
	struct fix_batch b = { .records = 1, .timestamp = 1, .producer_id = 5 };
	struct kbr_append append;
	s64 end;
	int i;

	fix_reset(fix);
	KUNIT_ASSERT_TRUE(test, fix_add(fix, &b));
	KUNIT_ASSERT_EQ(test, fix_append(fix, &append), 0);
	for (i = 0; i < 60; i++)
		KUNIT_ASSERT_GE(test, fix_append_one(fix, 10, 100, 2000 + i), 0LL);
	end = kbr_log_end(&fix->log);
	KUNIT_ASSERT_EQ(test, kbr_log_sync_now(&fix->log), 0);
	KUNIT_ASSERT_EQ(test, kbr_log_set_start(&fix->log, end), 0);
	kbr_ram_fail(fix->dir, KBR_RAM_SYNC, 0, 1, -EIO, ".snapshot");
	KUNIT_EXPECT_EQ(test, kbr_log_retain(&fix->log, end, 9999), -EIO);
	KUNIT_EXPECT_GT(test, kbr_log_retain(&fix->log, end, 9999), 0);
	/* their files go now */
	KUNIT_EXPECT_EQ(test, kbr_log_retain(&fix->log, end, 9999 + 60000), 0);
	KUNIT_ASSERT_EQ(test, fix_crash(fix, 0), 0);
	KUNIT_ASSERT_EQ(test, fix_open(fix, false, 0, end), 0);
	rec_expect_producer(test, 1);
}

/* Nor does a start within the same boot believe it. */
static void rec_cached_snapshot(struct kunit *test)
{
	struct fix *fix = test->priv;
	struct fix_batch b = { .records = 1, .timestamp = 1, .producer_id = 5 };
	struct kbr_append append;

	fix_reset(fix);
	KUNIT_ASSERT_TRUE(test, fix_add(fix, &b));
	KUNIT_ASSERT_EQ(test, fix_append(fix, &append), 0);
	KUNIT_ASSERT_EQ(test, kbr_log_sync_now(&fix->log), 0);
	kbr_ram_fail(fix->dir, KBR_RAM_SYNC, 0, 1, -EIO, "0601.snapshot");
	KUNIT_EXPECT_EQ(test, fix_close(fix), -EIO);
	KUNIT_EXPECT_TRUE(test, fix_exists(fix, SEG("0601") ".snapshot"));
	KUNIT_ASSERT_EQ(test, fix_open(fix, false, 600, 0), 0);
	KUNIT_EXPECT_FALSE(test, fix_exists(fix, SEG("0601") ".snapshot"));
	rec_expect_producer(test, 1);
}

/* One record of producer 5, its first, at the end; and a snapshot that tells of it. */
static void rec_snapshot_of_one(struct kunit *test)
{
	struct fix *fix = test->priv;
	struct fix_batch b = { .records = 1, .timestamp = 1, .producer_id = 5 };
	struct kbr_append append;

	fix_reset(fix);
	KUNIT_ASSERT_TRUE(test, fix_add(fix, &b));
	KUNIT_ASSERT_EQ(test, fix_append(fix, &append), 0);
	KUNIT_ASSERT_EQ(test, append.base_offset, 600LL);
	KUNIT_ASSERT_EQ(test, fix_close(fix), 0);
	KUNIT_ASSERT_TRUE(test, fix_exists(fix, SEG("0601") ".snapshot"));
	KUNIT_ASSERT_EQ(test, fix_open(fix, true, 601, 0), 0);
}

/* The same record again: where the log says that it is, and whether it was there. */
static void rec_repeat(struct kunit *test, bool known, s64 offset)
{
	struct fix_batch b = { .records = 1, .timestamp = 1, .producer_id = 5 };
	struct kbr_append append;

	fix_reset(test->priv);
	KUNIT_ASSERT_TRUE(test, fix_add(test->priv, &b));
	KUNIT_ASSERT_EQ(test, fix_append(test->priv, &append), 0);
	KUNIT_EXPECT_EQ(test, append.duplicate, known);
	KUNIT_EXPECT_EQ(test, append.base_offset, offset);
}

/* A follower's log is cut, and goes on otherwise: no loss of power brings back what was told of the cut. */
static void rec_cut_snapshot(struct kunit *test)
{
	struct fix *fix = test->priv;

	rec_snapshot_of_one(test);
	KUNIT_ASSERT_EQ(test, kbr_log_truncate(&fix->log, 600), 0);
	KUNIT_ASSERT_EQ(test, fix_append_one(fix, 1, 10, 7), 600LL);
	rec_repeat(test, false, 601);
	KUNIT_ASSERT_EQ(test, kbr_log_sync_now(&fix->log), 0);
	KUNIT_ASSERT_EQ(test, fix_crash(fix, 0), 0);
	KUNIT_ASSERT_EQ(test, fix_open(fix, false, 600, 0), 0);
	KUNIT_ASSERT_EQ(test, kbr_log_end(&fix->log), 602LL);
	rec_repeat(test, true, 601);
}

/* Nor does a cut that failed, and was finished by the repair, leave it in memory. */
static void rec_cut_producers(struct kunit *test)
{
	struct fix *fix = test->priv;
	s64 lost;

	rec_snapshot_of_one(test);
	kbr_ram_fail(fix->dir, KBR_RAM_TRUNCATE, 0, 1, -EIO, ".log");
	KUNIT_ASSERT_EQ(test, kbr_log_truncate(&fix->log, 600), -EIO);
	KUNIT_ASSERT_EQ(test, kbr_log_repair(&fix->log, &lost), 0);
	KUNIT_ASSERT_EQ(test, fix_append_one(fix, 1, 10, 7), 600LL);
	rec_repeat(test, false, 601);
}

/* A log that begins anew knows no producers: what it was told of them was another log's. */
static void rec_restart_snapshot(struct kunit *test)
{
	struct fix *fix = test->priv;

	rec_snapshot_of_one(test);
	KUNIT_ASSERT_EQ(test, kbr_log_restart(&fix->log, 605), 0);
	KUNIT_EXPECT_FALSE(test, fix_exists(fix, SEG("0601") ".snapshot"));
	KUNIT_ASSERT_EQ(test, fix_crash(fix, 0), 0);
	KUNIT_ASSERT_EQ(test, fix_open(fix, false, 600, 605), 0);
	rec_repeat(test, false, 605);
}

/* there is no memory for a new segment: its empty @log stays behind, its @index was not made */
static void rec_fail_roll(struct kunit *test, const char *log, const char *index)
{
	struct fix *fix = test->priv;

	KUNIT_ASSERT_TRUE(test, kbr_ram_fail(fix->dir, KBR_RAM_OPEN, 0, 1, -ENOMEM, index));
	KUNIT_ASSERT_TRUE(test, kbr_ram_fail(fix->dir, KBR_RAM_UNLINK, 0, 0, -ENOMEM, NULL));
	KUNIT_EXPECT_EQ(test, fix_append_one(fix, 10, 1200, 2000), (s64)-ENOMEM);
	KUNIT_EXPECT_EQ(test, rec_size(test, log), (loff_t)0);
}

/* What a failed roll left hides nothing of what the segment before it is given then. */
static void rec_half_made_segment(struct kunit *test)
{
	struct fix *fix = test->priv;

	rec_fail_roll(test, PATH(SEG("0600") ".log"), SEG("0600") ".index");
	/* it has to go before anything is appended in its place */
	KUNIT_EXPECT_EQ(test, fix_append_one(fix, 10, 10, 2000), (s64)-ENOMEM);
	kbr_ram_heal(fix->dir);
	KUNIT_EXPECT_EQ(test, fix_append_one(fix, 10, 10, 2000), 600LL);
	KUNIT_EXPECT_FALSE(test, fix_exists(fix, SEG("0600") ".log"));
	/* or is made after all */
	rec_fail_roll(test, PATH(SEG("0610") ".log"), SEG("0610") ".index");
	kbr_ram_heal(fix->dir);
	KUNIT_EXPECT_EQ(test, fix_append_one(fix, 10, 1200, 2000), 610LL);
	KUNIT_EXPECT_EQ(test, fix_append_one(fix, 10, 10, 2000), 620LL);
	KUNIT_EXPECT_EQ(test, fix_walk(fix, FIX_BUF_SIZE), 630LL);
}

/* That it is gone may be lost with the power: each open tells it from a segment. */
static void rec_empty_segments(struct kunit *test)
{
	static const struct {
		s64 point;
		bool clean;
	} opens[] = { { 0 }, { 550 }, { 600 }, { 610 }, { 630 }, { 650 }, { 660 }, { 660, true } };
	struct fix *fix = test->priv;
	unsigned int i, late;

	/* two in the middle, and on every second round one at the end */
	KUNIT_ASSERT_EQ(test, fix_append_one(fix, 30, 10, 2000), 600LL);
	fix->config.segment_bytes = 4096;
	KUNIT_ASSERT_EQ(test, fix_append_one(fix, 20, 10, 2000), 630LL);
	KUNIT_ASSERT_EQ(test, fix_append_one(fix, 10, 10, 2000), 650LL);
	KUNIT_ASSERT_EQ(test, fix_close(fix), 0);
	for (i = 0; i < ARRAY_SIZE(opens); i++) {
		for (late = 0; late < 2; late++) {
			rec_write(test, PATH(SEG("0590") ".log"), "", 0, 0);
			rec_write(test, PATH(SEG("0610") ".log"), "", 0, 0);
			rec_write(test, PATH(SEG("0610") ".index"), "", 0, 0);
			if (late)
				rec_write(test, PATH(SEG("0650") ".log"), "", 0, 0);
			KUNIT_ASSERT_EQ(test, fix_open(fix, opens[i].clean, opens[i].point, 0), 0);
			KUNIT_EXPECT_EQ(test, kbr_log_end(&fix->log), 660LL);
			KUNIT_EXPECT_EQ(test, fix->report.cut_offset, -1LL);
			KUNIT_EXPECT_EQ(test, fix->report.damaged_offset, -1LL);
			KUNIT_EXPECT_EQ(test, fix->report.removed_segments, 0U);
			KUNIT_EXPECT_EQ(test, fix_walk(fix, FIX_BUF_SIZE), 660LL);
			KUNIT_EXPECT_FALSE(test, fix_exists(fix, SEG("0590") ".log"));
			KUNIT_EXPECT_FALSE(test, fix_exists(fix, SEG("0610") ".index"));
			KUNIT_EXPECT_FALSE(test, fix_exists(fix, SEG("0650") ".log"));
			KUNIT_ASSERT_EQ(test, fix_close(fix), 0);
		}
	}
}

/* Any byte of the directory may be wrong: the log opens or is refused, and reads end. */
static void rec_bit_rot(struct kunit *test)
{
	static const char * const files[] = {
		PATH(SEG("0560") ".log"), PATH(SEG("0420") ".log"), PATH(SEG("0560") ".index"),
		PATH(SEG("0560") ".timeindex"), PATH(SEG("0560") ".snapshot"),
		PATH(SEG("0420") ".index"), PATH("leader-epoch-checkpoint"),
		PATH("partition.metadata"),
	};
	struct fix *fix = test->priv;
	struct rnd_state rnd;
	unsigned int i;

	KUNIT_ASSERT_EQ(test, fix_close(fix), 0);
	prandom_seed_state(&rnd, 7);
	for (i = 0; i < 400; i++) {
		const char *path = files[prandom_u32_state(&rnd) % ARRAY_SIZE(files)];
		loff_t size = rec_size(test, path);
		s64 point = prandom_u32_state(&rnd) % 620, offset, found;
		struct kbr_log_pos pos = { };
		loff_t at;
		u8 mask;

		if (size <= 0)
			continue;
		at = prandom_u32_state(&rnd) % size;
		mask = 1U << prandom_u32_state(&rnd) % 8;
		kbr_ram_damage(fix->dir, path, at, mask);
		if (!fix_open(fix, i & 1, point, 0)) {
			fix_walk(fix, 4000);
			fix_find_time(fix, 1000 + point, S64_MAX, &offset, &found);
			pos.offset = point;
			fix_read(fix, &pos, S64_MAX, 4000);
			KUNIT_EXPECT_LE(test, kbr_log_start(&fix->log), kbr_log_end(&fix->log));
			kbr_log_abandon(&fix->log);
			fix->opened = false;
		}
		/* undone where it is still there: damage adds up only in what was rewritten */
		if (rec_size(test, path) > at)
			kbr_ram_damage(fix->dir, path, at, mask);
	}
}

static struct kunit_case rec_cases[] = {
	KUNIT_CASE(rec_clean),
	KUNIT_CASE(rec_reads_from_the_point_on),
	KUNIT_CASE(rec_torn_tail),
	KUNIT_CASE(rec_removes_what_follows_a_tear),
	KUNIT_CASE(rec_damage_below_the_point),
	KUNIT_CASE(rec_marker_lies),
	KUNIT_CASE(rec_rebuilds_indexes),
	KUNIT_CASE(rec_leftovers),
	KUNIT_CASE(rec_swap),
	KUNIT_CASE(rec_start_checkpoint),
	KUNIT_CASE(rec_epochs),
	KUNIT_CASE(rec_other_topic),
	KUNIT_CASE(rec_unfinished_metadata),
	KUNIT_CASE(rec_producers),
	KUNIT_CASE(rec_lost_snapshot),
	KUNIT_CASE(rec_cached_snapshot),
	KUNIT_CASE(rec_cut_snapshot),
	KUNIT_CASE(rec_cut_producers),
	KUNIT_CASE(rec_restart_snapshot),
	KUNIT_CASE(rec_half_made_segment),
	KUNIT_CASE(rec_empty_segments),
	KUNIT_CASE(rec_bit_rot),
	{}
};

static struct kunit_suite rec_suite = {
	.name = "kbroker_recovery",
	.init = rec_init,
	.exit = rec_exit,
	.test_cases = rec_cases,
};

kunit_test_suite(rec_suite);
