// SPDX-License-Identifier: GPL-2.0-only
/*
 * How far a reader is behind: exact at the borders of segments and at the
 * ends, between them within the segment, and never more than the log.
 */
#include <kunit/test.h>

#include "base/clock.h"
#include "tests/log_fixture.h"

#define LAG_BATCHES	60
#define LAG_RECORDS	(LAG_BATCHES * 10)

static int lag_test_init(struct kunit *test)
{
	struct fix *fix = fix_alloc(1);

	test->priv = fix;
	return fix ? fix_create(fix) : -ENOMEM;
}

static void lag_test_exit(struct kunit *test)
{
	if (test->priv)
		fix_free(test->priv);
	kbr_clock_set_fake(NULL);
}

/* Several segments; the record at offset n is of time 100000 + n. */
static void lag_fill(struct kunit *test)
{
	unsigned int i;

	for (i = 0; i < LAG_BATCHES; i++)
		KUNIT_ASSERT_EQ(test, fix_append_one(test->priv, 10, 100, 100000 + 10 * i), 10LL * i);
}

static void lag_empty(struct kunit *test)
{
	struct fix *fix = test->priv;
	struct kbr_log_lag lag = { 5, 5 };

	kbr_log_get_lag(&fix->log, 0, &lag);
	KUNIT_EXPECT_EQ(test, lag.bytes, 0ULL);
	KUNIT_EXPECT_EQ(test, lag.timestamp, -1LL);
}

static void lag_ends(struct kunit *test)
{
	struct fix *fix = test->priv;
	struct kbr_log_stats stats;
	struct kbr_log_lag lag;

	lag_fill(test);
	kbr_log_get_stats(&fix->log, &stats);
	KUNIT_ASSERT_GT(test, stats.segments, 2U);
	kbr_log_get_lag(&fix->log, 0, &lag);
	KUNIT_EXPECT_EQ(test, lag.bytes, stats.bytes);
	kbr_log_get_lag(&fix->log, -1, &lag);
	KUNIT_EXPECT_EQ(test, lag.bytes, stats.bytes);
	kbr_log_get_lag(&fix->log, LAG_RECORDS, &lag);
	KUNIT_EXPECT_EQ(test, lag.bytes, 0ULL);
	KUNIT_EXPECT_EQ(test, lag.timestamp, -1LL);
	kbr_log_get_lag(&fix->log, S64_MAX, &lag);
	KUNIT_EXPECT_EQ(test, lag.bytes, 0ULL);
}

/* All batches are of one size here, so that the estimate is off by less than one. */
static void lag_between(struct kunit *test)
{
	struct fix *fix = test->priv;
	struct kbr_log_stats stats;
	struct kbr_log_lag lag;
	u64 before, batch;
	s64 offset;

	lag_fill(test);
	kbr_log_get_stats(&fix->log, &stats);
	batch = stats.bytes / LAG_BATCHES;
	before = stats.bytes;
	for (offset = 0; offset < LAG_RECORDS; offset++) {
		u64 exact = stats.bytes * (LAG_RECORDS - offset) / LAG_RECORDS;

		kbr_log_get_lag(&fix->log, offset, &lag);
		KUNIT_EXPECT_LE(test, lag.bytes, before);
		KUNIT_EXPECT_LE(test, lag.bytes, exact + batch);
		KUNIT_EXPECT_GE(test, lag.bytes + batch, exact);
		KUNIT_EXPECT_GE(test, lag.timestamp, 100000 + offset - 20);
		KUNIT_EXPECT_LE(test, lag.timestamp, 100000 + offset + 20);
		before = lag.bytes;
	}
}

/* What delete-records took does not count. */
static void lag_after_delete(struct kunit *test)
{
	struct fix *fix = test->priv;
	struct kbr_log_lag first, lag;

	lag_fill(test);
	KUNIT_ASSERT_EQ(test, kbr_log_set_start(&fix->log, 300), 0);
	kbr_log_get_lag(&fix->log, 300, &first);
	kbr_log_get_lag(&fix->log, 10, &lag);
	KUNIT_EXPECT_EQ(test, lag.bytes, first.bytes);
	KUNIT_EXPECT_EQ(test, lag.timestamp, first.timestamp);
}

/* After a clean start nothing was read: the time may be unknown, the bytes are not. */
static void lag_reopened(struct kunit *test)
{
	struct fix *fix = test->priv;
	struct kbr_log_stats stats;
	struct kbr_log_lag lag;

	lag_fill(test);
	KUNIT_ASSERT_EQ(test, fix_close(fix), 0);
	KUNIT_ASSERT_EQ(test, fix_open(fix, true, LAG_RECORDS, 0), 0);
	kbr_log_get_stats(&fix->log, &stats);
	kbr_log_get_lag(&fix->log, 0, &lag);
	KUNIT_EXPECT_EQ(test, lag.bytes, stats.bytes);
	KUNIT_EXPECT_TRUE(test, lag.timestamp == -1 ||
			  (lag.timestamp >= 100000 && lag.timestamp < 100000 + LAG_RECORDS));
}

static struct kunit_case lag_cases[] = {
	KUNIT_CASE(lag_empty),
	KUNIT_CASE(lag_ends),
	KUNIT_CASE(lag_between),
	KUNIT_CASE(lag_after_delete),
	KUNIT_CASE(lag_reopened),
	{ }
};

static struct kunit_suite lag_suite = {
	.name = "kbroker_lag",
	.init = lag_test_init,
	.exit = lag_test_exit,
	.test_cases = lag_cases,
};

kunit_test_suite(lag_suite);
