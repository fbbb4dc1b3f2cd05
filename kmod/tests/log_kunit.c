// SPDX-License-Identifier: GPL-2.0-only
/*
 * The log while it runs: append, read, roll, retention, delete-records,
 * truncation, lookup by time, full and failing disks.
 */
#include <kunit/test.h>
#include <linux/slab.h>
#include <linux/uio.h>

#include "base/clock.h"
#include "tests/log_fixture.h"

static int log_test_init(struct kunit *test)
{
	struct fix *fix = fix_alloc(1);

	test->priv = fix;
	return fix ? fix_create(fix) : -ENOMEM;
}

static void log_test_exit(struct kunit *test)
{
	if (test->priv)
		fix_free(test->priv);
	kbr_clock_set_fake(NULL);
}

/* @n batches of 10 records of 100 bytes, timestamps from @timestamp on, 10 a batch */
static void log_fill(struct kunit *test, unsigned int n, s64 timestamp)
{
	s64 end = kbr_log_end(&((struct fix *)test->priv)->log);
	unsigned int i;

	for (i = 0; i < n; i++)
		KUNIT_ASSERT_EQ(test, fix_append_one(test->priv, 10, 100, timestamp + 10 * i),
				end + 10 * i);
}

static unsigned int log_segments(struct kunit *test)
{
	struct fix *fix = test->priv;
	struct kbr_log_stats stats;

	kbr_log_get_stats(&fix->log, &stats);
	return stats.segments;
}

static void log_empty(struct kunit *test)
{
	struct fix *fix = test->priv;
	struct kbr_log_pos pos = { };
	s64 offset, found;

	KUNIT_EXPECT_EQ(test, kbr_log_end(&fix->log), 0LL);
	KUNIT_EXPECT_EQ(test, fix_read(fix, &pos, S64_MAX, 1000), (ssize_t)0);
	pos.offset = 1;
	KUNIT_EXPECT_EQ(test, fix_read(fix, &pos, S64_MAX, 1000), (ssize_t)-ERANGE);
	pos.offset = -1;
	KUNIT_EXPECT_EQ(test, fix_read(fix, &pos, S64_MAX, 1000), (ssize_t)-ERANGE);
	KUNIT_EXPECT_EQ(test, fix_find_time(fix, 0, S64_MAX, &offset, &found), 0);
	KUNIT_EXPECT_EQ(test, offset, -1LL);
	KUNIT_EXPECT_TRUE(test, fix_exists(fix, "00000000000000000000.log"));
	KUNIT_EXPECT_TRUE(test, fix_exists(fix, "00000000000000000000.index"));
	KUNIT_EXPECT_TRUE(test, fix_exists(fix, "00000000000000000000.timeindex"));
	KUNIT_EXPECT_EQ(test, fix_close(fix), 0);
	/* nothing was written, so there is nothing to remember */
	KUNIT_EXPECT_FALSE(test, fix_exists(fix, "00000000000000000000.snapshot"));
}

static void log_metadata_file(struct kunit *test)
{
	struct fix *fix = test->priv;
	char text[80] = "";
	struct kbr_file *file;

	KUNIT_ASSERT_EQ(test, kbr_file_open(fix->dir, FIX_NAME "/partition.metadata",
					    KBR_FILE_RDONLY, &file), 0);
	kbr_file_read(file, text, sizeof(text) - 1, 0);
	kbr_file_close(file);
	KUNIT_EXPECT_STREQ(test, text, "version: 0\ntopic_id: ehssPU5fYHGCk6S1xtfo-Q\n");
}

static void log_stamps(struct kunit *test)
{
	struct fix *fix = test->priv;
	struct kbr_log_pos pos = { };
	struct kbr_batch batch;

	log_fill(test, 1, 1000);
	KUNIT_EXPECT_EQ(test, kbr_log_set_epoch(&fix->log, 5), 0);
	KUNIT_EXPECT_EQ(test, kbr_log_set_epoch(&fix->log, 4), -ESTALE);
	log_fill(test, 1, 1000);
	KUNIT_ASSERT_GT(test, fix_read(fix, &pos, S64_MAX, FIX_BUF_SIZE), (ssize_t)0);
	KUNIT_ASSERT_EQ(test, kbr_batch_decode(&batch, fix->out, 4096), 0);
	KUNIT_EXPECT_EQ(test, batch.leader_epoch, 0);
	KUNIT_EXPECT_EQ(test, batch.base_offset, 0LL);
	KUNIT_ASSERT_EQ(test, kbr_batch_decode(&batch, fix->out + batch.size, 4096), 0);
	KUNIT_EXPECT_EQ(test, batch.leader_epoch, 5);
	KUNIT_EXPECT_EQ(test, batch.base_offset, 10LL);
	KUNIT_EXPECT_EQ(test, kbr_log_last_epoch(&fix->log), 5);
}

static void log_append_time(struct kunit *test)
{
	struct fix *fix = test->priv;
	struct kbr_log_pos pos = { };
	struct kbr_append append;
	struct kbr_batch batch;
	struct fix_batch b = { .records = 3, .timestamp = 5, .producer_id = -1 };

	fix->config.append_time = true;
	fix_reset(fix);
	KUNIT_ASSERT_TRUE(test, fix_add(fix, &b));
	KUNIT_ASSERT_EQ(test, fix_append(fix, &append), 0);
	KUNIT_EXPECT_EQ(test, append.log_append_time, 1000000LL);
	KUNIT_ASSERT_GT(test, fix_read(fix, &pos, S64_MAX, FIX_BUF_SIZE), (ssize_t)0);
	KUNIT_ASSERT_EQ(test, kbr_batch_decode(&batch, fix->out, 4096), 0);
	KUNIT_EXPECT_EQ(test, batch.max_timestamp, 1000000LL);
	KUNIT_EXPECT_TRUE(test, batch.attributes & KBR_BATCH_APPEND_TIME);
	KUNIT_EXPECT_EQ(test, kbr_batch_check_crc(fix->out, batch.size), 0);
}

static void log_rolls_by_size(struct kunit *test)
{
	struct fix *fix = test->priv;
	s64 records;

	log_fill(test, 100, 1000);
	/* 14 batches of about 1130 bytes fit 16 KiB */
	KUNIT_EXPECT_EQ(test, log_segments(test), 8U);
	records = fix_walk(fix, 1);
	KUNIT_EXPECT_EQ(test, records, (s64)-EMSGSIZE);
	KUNIT_EXPECT_EQ(test, fix_walk(fix, 1200), 1000LL);
	KUNIT_EXPECT_EQ(test, fix_walk(fix, 5000), 1000LL);
	KUNIT_EXPECT_EQ(test, fix_walk(fix, FIX_BUF_SIZE), 1000LL);
	KUNIT_EXPECT_STREQ(test, fix_check_indexes(fix) ?: "", "");
	KUNIT_EXPECT_TRUE(test, fix_exists(fix, "00000000000000000140.snapshot"));
}

static void log_rolls_by_time(struct kunit *test)
{
	struct fix *fix = test->priv;

	fix->config.segment_ms = 1000;
	log_fill(test, 1, 5000);
	/* by the batches' timestamps, whatever the clock says; not when exactly as old */
	KUNIT_EXPECT_EQ(test, fix_append_one(fix, 1, 10, 6009), 10LL);
	KUNIT_EXPECT_EQ(test, log_segments(test), 1U);
	KUNIT_EXPECT_EQ(test, fix_append_one(fix, 1, 10, 6010), 11LL);
	KUNIT_EXPECT_EQ(test, log_segments(test), 2U);
	/* older than the first of its segment: no age */
	KUNIT_EXPECT_EQ(test, fix_append_one(fix, 1, 10, 0), 12LL);
	KUNIT_EXPECT_EQ(test, log_segments(test), 2U);
}

static void log_rolls_when_index_is_full(struct kunit *test)
{
	struct fix *fix = test->priv;

	fix->config.segment_bytes = 1U << 30;
	fix->config.index_bytes_max = 96;	/* 12 offset entries, 8 time entries */
	log_fill(test, 20, 1000);
	KUNIT_EXPECT_EQ(test, log_segments(test), 3U);
	KUNIT_EXPECT_STREQ(test, fix_check_indexes(fix) ?: "", "");
}

static void log_reads_inside_batches(struct kunit *test)
{
	struct fix *fix = test->priv;
	struct kbr_log_pos pos = { };
	struct kbr_batch batch;
	s64 offset;

	log_fill(test, 60, 1000);
	for (offset = 599; offset >= 0; offset -= 7) {
		pos.offset = offset;
		KUNIT_ASSERT_GT(test, fix_read(fix, &pos, S64_MAX, 3000), (ssize_t)0);
		KUNIT_ASSERT_EQ(test, kbr_batch_decode(&batch, fix->out, 3000), 0);
		KUNIT_ASSERT_EQ(test, batch.base_offset, offset - offset % 10);
	}
}

static void log_reads_below_limit(struct kunit *test)
{
	struct fix *fix = test->priv;
	struct kbr_log_pos pos;
	s64 limit;

	log_fill(test, 40, 1000);
	for (limit = 0; limit <= 400; limit++) {
		pos = (struct kbr_log_pos) { .offset = 0 };
		while (fix_read(fix, &pos, limit, FIX_BUF_SIZE) > 0)
			KUNIT_ASSERT_LE(test, pos.offset, limit);
		/* a batch that straddles the limit is not shown */
		KUNIT_ASSERT_EQ(test, pos.offset, limit - limit % 10);
	}
}

/* A hint from before a truncation must not be used. */
static void log_truncates(struct kunit *test)
{
	struct fix *fix = test->priv;
	struct kbr_log_pos pos = { .offset = 300 };

	log_fill(test, 60, 1000);
	KUNIT_ASSERT_GT(test, fix_read(fix, &pos, S64_MAX, 1200), (ssize_t)0);
	KUNIT_EXPECT_EQ(test, kbr_log_truncate(&fix->log, 600), 0);
	KUNIT_EXPECT_EQ(test, kbr_log_end(&fix->log), 600LL);
	KUNIT_EXPECT_EQ(test, kbr_log_truncate(&fix->log, 305), 0);
	KUNIT_EXPECT_EQ(test, kbr_log_end(&fix->log), 300LL);
	KUNIT_EXPECT_EQ(test, fix_walk(fix, FIX_BUF_SIZE), 300LL);
	KUNIT_EXPECT_STREQ(test, fix_check_indexes(fix) ?: "", "");
	/* other batches in the same place */
	KUNIT_EXPECT_EQ(test, fix_append_one(fix, 30, 77, 1), 300LL);
	KUNIT_EXPECT_EQ(test, fix_append_one(fix, 30, 77, 1), 330LL);
	pos.offset = 310;
	KUNIT_ASSERT_GT(test, fix_read(fix, &pos, S64_MAX, 4000), (ssize_t)0);
	KUNIT_EXPECT_EQ(test, pos.offset, 330LL);
	KUNIT_EXPECT_EQ(test, kbr_log_truncate(&fix->log, 0), 0);
	KUNIT_EXPECT_EQ(test, kbr_log_end(&fix->log), 0LL);
	KUNIT_EXPECT_EQ(test, log_segments(test), 1U);
	log_fill(test, 3, 1000);
	KUNIT_EXPECT_EQ(test, fix_walk(fix, FIX_BUF_SIZE), 30LL);
}

static void log_delete_records(struct kunit *test)
{
	struct fix *fix = test->priv;
	struct kbr_log_pos pos = { .offset = 0 };

	fix->config.retention_ms = -1;
	log_fill(test, 60, 1000);
	KUNIT_EXPECT_EQ(test, kbr_log_set_start(&fix->log, 601), -ERANGE);
	KUNIT_EXPECT_EQ(test, kbr_log_set_start(&fix->log, 295), 0);
	KUNIT_EXPECT_EQ(test, kbr_log_start(&fix->log), 295LL);
	/* it never falls */
	KUNIT_EXPECT_EQ(test, kbr_log_set_start(&fix->log, 20), 0);
	KUNIT_EXPECT_EQ(test, kbr_log_start(&fix->log), 295LL);
	KUNIT_EXPECT_EQ(test, fix_read(fix, &pos, S64_MAX, 4000), (ssize_t)-ERANGE);
	/* [0, 140) and [140, 280) */
	KUNIT_EXPECT_EQ(test, kbr_log_retain(&fix->log, 600, 2000000), 2);
	KUNIT_EXPECT_FALSE(test, fix_exists(fix, "00000000000000000140.log"));
	KUNIT_EXPECT_TRUE(test, fix_exists(fix, "00000000000000000140.log.deleted"));
	KUNIT_EXPECT_TRUE(test, fix_exists(fix, "00000000000000000280.log"));
	KUNIT_EXPECT_EQ(test, kbr_log_retain(&fix->log, 600, 2000000 + 59999), 0);
	KUNIT_EXPECT_TRUE(test, fix_exists(fix, "00000000000000000140.log.deleted"));
	KUNIT_EXPECT_EQ(test, kbr_log_retain(&fix->log, 600, 2000000 + 60000), 0);
	KUNIT_EXPECT_FALSE(test, fix_exists(fix, "00000000000000000140.log.deleted"));
	pos.offset = 295;
	KUNIT_EXPECT_GT(test, fix_read(fix, &pos, S64_MAX, 4000), (ssize_t)0);
}

static void log_retains_by_time(struct kunit *test)
{
	struct fix *fix = test->priv;

	fix->config.retention_ms = 1000;
	log_fill(test, 60, 5000);
	/* the last timestamps of the segments: 5139, 5279, 5419, 5559, 5599 */
	KUNIT_EXPECT_EQ(test, kbr_log_retain(&fix->log, 600, 6139), 0);
	KUNIT_EXPECT_EQ(test, kbr_log_retain(&fix->log, 600, 6140), 1);
	KUNIT_EXPECT_EQ(test, kbr_log_start(&fix->log), 140LL);
	/* nothing that reaches past the high watermark */
	KUNIT_EXPECT_EQ(test, kbr_log_retain(&fix->log, 279, 9999), 0);
	KUNIT_EXPECT_EQ(test, kbr_log_retain(&fix->log, 280, 9999), 1);
	/* the active one as well: a new one takes its place */
	KUNIT_EXPECT_EQ(test, kbr_log_retain(&fix->log, 600, 9999), 3);
	KUNIT_EXPECT_EQ(test, kbr_log_start(&fix->log), 600LL);
	KUNIT_EXPECT_EQ(test, kbr_log_end(&fix->log), 600LL);
	KUNIT_EXPECT_EQ(test, log_segments(test), 1U);
	KUNIT_EXPECT_EQ(test, kbr_log_retain(&fix->log, 600, 9999), 0);
	log_fill(test, 1, 20000);
	KUNIT_EXPECT_EQ(test, fix_walk(fix, FIX_BUF_SIZE), 10LL);
}

static void log_retains_by_bytes(struct kunit *test)
{
	struct fix *fix = test->priv;
	u64 size;

	fix->config.retention_ms = -1;
	log_fill(test, 60, 5000);
	size = fix->log.size;
	fix->config.retention_bytes = size - 100;
	KUNIT_EXPECT_EQ(test, kbr_log_retain(&fix->log, 600, 9999), 0);
	/* as long as what is left is no less than asked for */
	fix->config.retention_bytes = 20000;
	KUNIT_EXPECT_EQ(test, kbr_log_retain(&fix->log, 600, 9999), 3);
	KUNIT_EXPECT_GE(test, fix->log.size, 20000ULL);
	fix->config.retain = false;
	fix->config.retention_bytes = 0;
	KUNIT_EXPECT_EQ(test, kbr_log_retain(&fix->log, 600, 9999), 0);
}

/* What a reader has mapped stays readable when retention removes it. */
static void log_map_outlives_removal(struct kunit *test)
{
	struct fix *fix = test->priv;
	struct kbr_log_pos pos = { .offset = 20 };
	struct kbr_log_slice slice;
	struct kbr_batch batch;

	log_fill(test, 60, 5000);
	KUNIT_ASSERT_EQ(test, kbr_log_map(&fix->log, &pos, S64_MAX, 3000, &slice), 1);
	fix->config.retention_ms = 0;
	fix->config.file_delete_delay_ms = 0;
	KUNIT_EXPECT_EQ(test, kbr_log_retain(&fix->log, 600, 999999), 5);
	kbr_log_env_trim(&fix->env, 0);
	KUNIT_EXPECT_FALSE(test, fix_exists(fix, "00000000000000000000.log.deleted"));
	KUNIT_EXPECT_EQ(test, kbr_file_read(slice.file, fix->out, slice.len, slice.pos),
			(ssize_t)slice.len);
	KUNIT_ASSERT_EQ(test, kbr_batch_decode(&batch, fix->out, slice.len), 0);
	KUNIT_EXPECT_EQ(test, batch.base_offset, 20LL);
	kbr_log_unmap(&slice);
}

static void log_finds_time(struct kunit *test)
{
	struct fix *fix = test->priv;
	s64 offset, found, t;

	KUNIT_EXPECT_EQ(test, fix_max_timestamp(fix, &found), 0);
	KUNIT_EXPECT_EQ(test, found, -1LL);
	/* record k has timestamp 1000 + k, over several segments */
	log_fill(test, 60, 1000);
	KUNIT_EXPECT_EQ(test, fix_max_timestamp(fix, &found), 0);
	KUNIT_EXPECT_EQ(test, found, 1599LL);
	for (t = 0; t < 1700; t += 13) {
		s64 want = t < 1000 ? 0 : t < 1600 ? t - 1000 : -1;

		KUNIT_ASSERT_EQ(test, fix_find_time(fix, t, S64_MAX, &offset, &found), 0);
		KUNIT_ASSERT_EQ_MSG(test, offset, want, "time %lld", t);
		KUNIT_ASSERT_EQ(test, found, want < 0 ? -1 : 1000 + want);
	}
	KUNIT_EXPECT_EQ(test, fix_find_time(fix, 1123, 123, &offset, &found), 0);
	KUNIT_EXPECT_EQ(test, offset, -1LL);
	KUNIT_EXPECT_EQ(test, fix_find_time(fix, 1123, 124, &offset, &found), 0);
	KUNIT_EXPECT_EQ(test, offset, 123LL);
	KUNIT_EXPECT_EQ(test, kbr_log_set_start(&fix->log, 222), 0);
	KUNIT_EXPECT_EQ(test, fix_find_time(fix, 1123, S64_MAX, &offset, &found), 0);
	KUNIT_EXPECT_EQ(test, offset, 222LL);
}

static void log_full_disk(struct kunit *test)
{
	struct fix *fix = test->priv;

	log_fill(test, 10, 1000);
	kbr_ram_fail(fix->dir, KBR_RAM_WRITE, 0, 0, -ENOSPC, NULL);
	KUNIT_EXPECT_EQ(test, fix_append_one(fix, 10, 100, 1), (s64)-ENOSPC);
	KUNIT_EXPECT_EQ(test, fix->log.stopped, 0);
	KUNIT_EXPECT_EQ(test, kbr_log_end(&fix->log), 100LL);
	KUNIT_EXPECT_EQ(test, fix_walk(fix, FIX_BUF_SIZE), 100LL);
	/* a new segment can't be made, either */
	kbr_ram_heal(fix->dir);
	kbr_ram_fail(fix->dir, KBR_RAM_OPEN, 0, 0, -ENOSPC, ".index");
	log_fill(test, 4, 1000);
	KUNIT_EXPECT_EQ(test, fix_append_one(fix, 10, 100, 1), (s64)-ENOSPC);
	KUNIT_EXPECT_EQ(test, fix_walk(fix, FIX_BUF_SIZE), 140LL);
	kbr_ram_heal(fix->dir);
	log_fill(test, 20, 1000);
	KUNIT_EXPECT_EQ(test, fix_walk(fix, FIX_BUF_SIZE), 340LL);
	KUNIT_EXPECT_STREQ(test, fix_check_indexes(fix) ?: "", "");
}

/* What can't be cut back must not be built upon. */
static void log_stops_when_it_cannot_cut(struct kunit *test)
{
	struct fix *fix = test->priv;

	log_fill(test, 2, 1000);
	kbr_ram_fail(fix->dir, KBR_RAM_WRITE | KBR_RAM_TRUNCATE, 0, 0, -EIO, NULL);
	KUNIT_EXPECT_EQ(test, fix_append_one(fix, 10, 100, 1), (s64)-EIO);
	kbr_ram_heal(fix->dir);
	KUNIT_EXPECT_EQ(test, fix->log.stopped, -EIO);
	KUNIT_EXPECT_EQ(test, fix_append_one(fix, 10, 100, 1), (s64)-EIO);
	KUNIT_EXPECT_EQ(test, fix_walk(fix, FIX_BUF_SIZE), 20LL);
}

static void log_repairs(struct kunit *test)
{
	struct fix *fix = test->priv;
	s64 lost;

	log_fill(test, 20, 1000);
	KUNIT_EXPECT_EQ(test, kbr_log_sync_now(&fix->log), 0);
	KUNIT_EXPECT_EQ(test, kbr_log_synced(&fix->log), 200LL);
	log_fill(test, 20, 1000);
	KUNIT_EXPECT_EQ(test, kbr_log_synced(&fix->log), 200LL);
	kbr_ram_fail(fix->dir, KBR_RAM_SYNC, 0, 0, -EIO, NULL);
	KUNIT_EXPECT_EQ(test, kbr_log_sync_now(&fix->log), -EIO);
	kbr_ram_heal(fix->dir);
	KUNIT_EXPECT_EQ(test, fix_append_one(fix, 1, 1, 1), (s64)-EIO);
	KUNIT_EXPECT_EQ(test, kbr_log_repair(&fix->log, &lost), 0);
	KUNIT_EXPECT_EQ(test, lost, 200LL);
	KUNIT_EXPECT_EQ(test, kbr_log_end(&fix->log), 200LL);
	KUNIT_EXPECT_EQ(test, fix_walk(fix, FIX_BUF_SIZE), 200LL);
	/* in a new segment */
	log_fill(test, 1, 1000);
	KUNIT_EXPECT_TRUE(test, fix_exists(fix, "00000000000000000200.log"));
	KUNIT_EXPECT_EQ(test, kbr_log_sync_now(&fix->log), 0);
	KUNIT_EXPECT_EQ(test, kbr_log_synced(&fix->log), 210LL);
	KUNIT_EXPECT_EQ(test, (u64)atomic64_read(&fix->env.unsynced_bytes), 0ULL);
}

/* What a failed truncation leaves on the disk is no part of the log after its repair. */
static void log_repairs_failed_cut(struct kunit *test)
{
	struct fix *fix = test->priv;
	s64 lost;

	log_fill(test, 60, 1000);
	KUNIT_EXPECT_EQ(test, kbr_log_sync_now(&fix->log), 0);
	kbr_ram_fail(fix->dir, KBR_RAM_UNLINK, 0, 0, -EIO, "00000000000000000420.log");
	KUNIT_EXPECT_EQ(test, kbr_log_truncate(&fix->log, 250), -EIO);
	kbr_ram_heal(fix->dir);
	KUNIT_EXPECT_TRUE(test, fix_exists(fix, "00000000000000000420.log"));
	KUNIT_EXPECT_EQ(test, kbr_log_repair(&fix->log, &lost), 0);
	KUNIT_EXPECT_FALSE(test, fix_exists(fix, "00000000000000000420.log"));
	KUNIT_EXPECT_EQ(test, fix_walk(fix, FIX_BUF_SIZE), 250LL);

	kbr_ram_fail(fix->dir, KBR_RAM_TRUNCATE, 0, 0, -EIO, ".log");
	KUNIT_EXPECT_EQ(test, kbr_log_truncate(&fix->log, 200), -EIO);
	kbr_ram_heal(fix->dir);
	KUNIT_EXPECT_EQ(test, kbr_log_repair(&fix->log, &lost), 0);
	log_fill(test, 10, 1000);
	KUNIT_EXPECT_EQ(test, fix_close(fix), 0);
	KUNIT_ASSERT_EQ(test, fix_open(fix, true, 300, 0), 0);
	KUNIT_EXPECT_EQ(test, fix_walk(fix, FIX_BUF_SIZE), 300LL);
}

static int log_count_snapshot(void *arg, const struct kbr_dirent *ent)
{
	unsigned int *count = arg;

	*count += !!strstr(ent->name, ".snapshot");
	return 0;
}

static unsigned int log_snapshots(struct kunit *test)
{
	struct fix *fix = test->priv;
	unsigned int count = 0;

	KUNIT_EXPECT_EQ(test, kbr_dir_list(fix->dir, FIX_NAME, log_count_snapshot, &count), 0);
	return count;
}

/* Snapshots between rolls do not pile up, though each is ahead of the synced end when taken. */
static void log_drops_snapshots(struct kunit *test)
{
	struct fix *fix = test->priv;
	unsigned int i, round;

	fix->config.segment_bytes = 128 << 20;
	for (round = 0; round < 3; round++) {
		for (i = 0; i < 90; i++)
			KUNIT_ASSERT_GE(test, fix_append_one(fix, 20, 10000, 1000), 0LL);
		kbr_log_checkpoint(&fix->log);
		KUNIT_EXPECT_LE(test, log_snapshots(test), 2U);
		KUNIT_EXPECT_EQ(test, kbr_log_sync_now(&fix->log), 0);
	}
	kbr_log_checkpoint(&fix->log);
	KUNIT_EXPECT_EQ(test, log_snapshots(test), 1U);
	/* the one at a segment's beginning stays as long as the segment */
	fix->config.segment_bytes = 16384;
	log_fill(test, 30, 1000);
	KUNIT_EXPECT_EQ(test, kbr_log_sync_now(&fix->log), 0);
	kbr_log_checkpoint(&fix->log);
	KUNIT_EXPECT_EQ(test, log_snapshots(test), log_segments(test) - 1);
}

/* A time index entry that could not be written is written when the segment is closed. */
static void log_rewrites_time(struct kunit *test)
{
	struct fix *fix = test->priv;
	s64 offset, found;

	log_fill(test, 1, 5000);
	log_fill(test, 3, 1000);
	kbr_ram_fail(fix->dir, KBR_RAM_WRITE, 0, 1, -ENOSPC, ".timeindex");
	kbr_log_checkpoint(&fix->log);
	kbr_ram_heal(fix->dir);
	log_fill(test, 20, 1000);
	KUNIT_ASSERT_GT(test, log_segments(test), 1U);
	KUNIT_EXPECT_EQ(test, fix_close(fix), 0);
	KUNIT_ASSERT_EQ(test, fix_open(fix, true, 240, 0), 0);
	KUNIT_EXPECT_EQ(test, fix_find_time(fix, 4000, S64_MAX, &offset, &found), 0);
	KUNIT_EXPECT_EQ(test, offset, 0LL);
	KUNIT_EXPECT_EQ(test, found, 5000LL);
}

static void log_repeats(struct kunit *test)
{
	struct fix *fix = test->priv;
	struct kbr_append append;
	struct fix_batch b = { .records = 5, .value_len = 9, .timestamp = 1, .producer_id = 77 };
	int i;

	for (i = 0; i < 2; i++) {
		b.sequence = 0;
		fix_reset(fix);
		KUNIT_ASSERT_TRUE(test, fix_add(fix, &b));
		b.sequence = 5;
		KUNIT_ASSERT_TRUE(test, fix_add(fix, &b));
		KUNIT_ASSERT_EQ(test, fix_append(fix, &append), 0);
		KUNIT_EXPECT_EQ(test, append.duplicate, i == 1);
		KUNIT_EXPECT_EQ(test, append.base_offset, 0LL);
		KUNIT_EXPECT_EQ(test, append.last_offset, 9LL);
	}
	/* a repeat and something new: only that is appended */
	fix_reset(fix);
	KUNIT_ASSERT_TRUE(test, fix_add(fix, &b));
	b.sequence = 10;
	KUNIT_ASSERT_TRUE(test, fix_add(fix, &b));
	KUNIT_ASSERT_EQ(test, fix_append(fix, &append), 0);
	KUNIT_EXPECT_FALSE(test, append.duplicate);
	KUNIT_EXPECT_EQ(test, append.base_offset, 5LL);
	KUNIT_EXPECT_EQ(test, append.last_offset, 14LL);
	KUNIT_EXPECT_EQ(test, kbr_log_end(&fix->log), 15LL);
	/* something new and a repeat: refused as a whole */
	b.sequence = 15;
	fix_reset(fix);
	KUNIT_ASSERT_TRUE(test, fix_add(fix, &b));
	b.sequence = 5;
	KUNIT_ASSERT_TRUE(test, fix_add(fix, &b));
	KUNIT_EXPECT_EQ(test, fix_append(fix, &append), -EILSEQ);
	KUNIT_EXPECT_EQ(test, kbr_log_end(&fix->log), 15LL);
	KUNIT_EXPECT_EQ(test, fix_walk(fix, FIX_BUF_SIZE), 15LL);
}

static void log_follows(struct kunit *test)
{
	struct fix *fix = test->priv;
	struct fix_batch b = { .records = 5, .timestamp = 1, .producer_id = -1 };
	struct kbr_append append = { .as_follower = true, .buf = fix->buf };
	s32 epoch;
	s64 end;

	fix_reset(fix);
	KUNIT_ASSERT_TRUE(test, fix_add(fix, &b));
	KUNIT_ASSERT_TRUE(test, fix_add(fix, &b));
	kbr_batch_stamp(fix->buf, 0, 3);
	kbr_batch_stamp(fix->buf + fix->verdicts[0].batch.size, 5, 4);
	KUNIT_ASSERT_EQ(test, kbr_batch_decode(&fix->verdicts[0].batch, fix->buf, fix->len), 0);
	KUNIT_ASSERT_EQ(test, kbr_batch_decode(&fix->verdicts[1].batch,
					       fix->buf + fix->verdicts[0].batch.size, 4096), 0);
	append.len = fix->len;
	append.verdicts = fix->verdicts;
	append.batches = 2;
	KUNIT_ASSERT_EQ(test, kbr_log_append(&fix->log, &append, false), 0);
	KUNIT_EXPECT_EQ(test, append.last_offset, 9LL);
	kbr_log_epoch_end(&fix->log, 3, &epoch, &end);
	KUNIT_EXPECT_EQ(test, epoch, 3);
	KUNIT_EXPECT_EQ(test, end, 5LL);
	/* again: below the end */
	KUNIT_EXPECT_EQ(test, kbr_log_append(&fix->log, &append, false), -ERANGE);
	KUNIT_EXPECT_EQ(test, kbr_log_truncate(&fix->log, 5), 0);
	KUNIT_EXPECT_EQ(test, kbr_log_last_epoch(&fix->log), 3);
}

static void log_keeps_no_file_open(struct kunit *test)
{
	struct fix *fix = test->priv;
	struct kbr_ram_stats stats;

	log_fill(test, 60, 1000);
	kbr_log_env_trim(&fix->env, 0);
	/* those with unsynced bytes stay */
	KUNIT_EXPECT_EQ(test, kbr_file_cache_count(fix->env.files), 5U);
	KUNIT_EXPECT_EQ(test, kbr_log_sync_now(&fix->log), 0);
	kbr_log_env_trim(&fix->env, 100000);
	KUNIT_EXPECT_EQ(test, kbr_file_cache_count(fix->env.files), 5U);
	kbr_log_env_trim(&fix->env, 0);
	kbr_ram_get_stats(fix->dir, &stats);
	KUNIT_EXPECT_EQ(test, stats.files, 0U);
	KUNIT_EXPECT_EQ(test, fix_walk(fix, FIX_BUF_SIZE), 600LL);
	KUNIT_EXPECT_LE(test, sizeof(struct kbr_log) + sizeof(struct kbr_segment), (size_t)900);
}

static void log_cap_on_files(struct kunit *test)
{
	struct fix *fix = test->priv;

	log_fill(test, 400, 1000);
	KUNIT_EXPECT_EQ(test, kbr_log_sync_now(&fix->log), 0);
	KUNIT_EXPECT_GT(test, log_segments(test), 20U);
	KUNIT_EXPECT_EQ(test, fix_walk(fix, FIX_BUF_SIZE), 4000LL);
	kbr_log_env_trim(&fix->env, 0);
	KUNIT_EXPECT_EQ(test, fix_walk(fix, FIX_BUF_SIZE), 4000LL);
	KUNIT_EXPECT_LE(test, kbr_file_cache_count(fix->env.files), 8U);
}

static void log_scrubs(struct kunit *test)
{
	struct fix *fix = test->priv;
	struct kbr_log_damage damage, bad = { };
	struct kbr_log_pos pos = { };
	unsigned int rounds = 0;

	log_fill(test, 60, 1000);
	KUNIT_EXPECT_EQ(test, kbr_ram_damage(fix->dir, FIX_NAME "/00000000000000000140.log", 3000,
					     0x10), 0);
	while (pos.offset != S64_MAX && ++rounds < 1000) {
		KUNIT_ASSERT_EQ(test, kbr_log_scrub(&fix->log, &pos, 4000, &damage), 0);
		if (damage.offset >= 0)
			bad = damage;
	}
	KUNIT_EXPECT_EQ(test, bad.offset, 160LL);
	KUNIT_EXPECT_EQ(test, bad.end, 170LL);
	KUNIT_EXPECT_GT(test, rounds, 10U);
	KUNIT_EXPECT_LT(test, rounds, 40U);
}

/* One that is missing between two others is damage, too. */
static void log_scrubs_gaps(struct kunit *test)
{
	struct fix *fix = test->priv;
	struct kbr_log_damage damage, bad = { .offset = -1 };
	struct kbr_log_pos pos = { };
	unsigned int rounds = 0;

	log_fill(test, 60, 1000);
	KUNIT_ASSERT_EQ(test, fix_close(fix), 0);
	KUNIT_ASSERT_EQ(test, kbr_dir_unlink(fix->dir, FIX_NAME "/00000000000000000140.log"), 0);
	KUNIT_ASSERT_EQ(test, fix_open(fix, true, 600, 0), 0);
	while (pos.offset != S64_MAX && ++rounds < 1000) {
		KUNIT_ASSERT_EQ(test, kbr_log_scrub(&fix->log, &pos, 1 << 20, &damage), 0);
		if (damage.offset >= 0)
			bad = damage;
	}
	KUNIT_EXPECT_EQ(test, bad.offset, 140LL);
	KUNIT_EXPECT_EQ(test, bad.end, 280LL);
}

static void log_deletes(struct kunit *test)
{
	struct fix *fix = test->priv;
	unsigned int i;

	log_fill(test, 60, 1000);
	fix->opened = false;
	/* the names go; a crash in the middle leaves what the next start removes */
	kbr_ram_fail(fix->dir, KBR_RAM_UNLINK, 3, 0, -EIO, NULL);
	KUNIT_EXPECT_EQ(test, kbr_log_delete(&fix->log), -EIO);
	kbr_ram_heal(fix->dir);
	KUNIT_EXPECT_FALSE(test, fix_exists(fix, "00000000000000000000.log"));
	for (i = 0; i < 2; i++)
		KUNIT_EXPECT_EQ(test, kbr_log_delete_leftovers(fix->dir), 0);
	KUNIT_EXPECT_EQ(test, fix_create(fix), 0);
}

static struct kunit_case log_cases[] = {
	KUNIT_CASE(log_empty),
	KUNIT_CASE(log_metadata_file),
	KUNIT_CASE(log_stamps),
	KUNIT_CASE(log_append_time),
	KUNIT_CASE(log_rolls_by_size),
	KUNIT_CASE(log_rolls_by_time),
	KUNIT_CASE(log_rolls_when_index_is_full),
	KUNIT_CASE(log_reads_inside_batches),
	KUNIT_CASE(log_reads_below_limit),
	KUNIT_CASE(log_truncates),
	KUNIT_CASE(log_delete_records),
	KUNIT_CASE(log_retains_by_time),
	KUNIT_CASE(log_retains_by_bytes),
	KUNIT_CASE(log_map_outlives_removal),
	KUNIT_CASE(log_finds_time),
	KUNIT_CASE(log_full_disk),
	KUNIT_CASE(log_stops_when_it_cannot_cut),
	KUNIT_CASE(log_repairs),
	KUNIT_CASE(log_repairs_failed_cut),
	KUNIT_CASE(log_drops_snapshots),
	KUNIT_CASE(log_rewrites_time),
	KUNIT_CASE(log_repeats),
	KUNIT_CASE(log_follows),
	KUNIT_CASE(log_keeps_no_file_open),
	KUNIT_CASE(log_cap_on_files),
	KUNIT_CASE(log_scrubs),
	KUNIT_CASE(log_scrubs_gaps),
	KUNIT_CASE(log_deletes),
	{}
};

static struct kunit_suite log_suite = {
	.name = "kbroker_log",
	.init = log_test_init,
	.exit = log_test_exit,
	.test_cases = log_cases,
};

kunit_test_suite(log_suite);
