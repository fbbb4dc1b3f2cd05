// SPDX-License-Identifier: GPL-2.0-only
/*
 * Waiting without a thread: a parked request hears of what it waits for, and
 * of ends and errors, once each and never too late; and it hears nothing else.
 */
#include <kunit/test.h>
#include <linux/completion.h>
#include <linux/delay.h>
#include <linux/kthread.h>

#include "broker/waiter.h"
#include "broker_test.h"

#define KBR_WAITER_TEST_ENTRIES	3

struct kbr_waiter_test {
	struct kbr_test_broker *tb;
	struct kbr_topic *topic;
	struct kbr_partition *part[KBR_WAITER_TEST_ENTRIES];
	struct kbr_waiter waiter;
	struct kbr_waiter_entry entries[KBR_WAITER_TEST_ENTRIES];
	struct work_struct work;
	struct completion ran;
};

static void kbr_waiter_test_work(struct work_struct *work)
{
	complete(&container_of(work, struct kbr_waiter_test, work)->ran);
}

static struct kbr_waiter_test *kbr_waiter_test_begin(struct kunit *test, const char *policy)
{
	struct kbr_waiter_test *wt = kunit_kzalloc(test, sizeof(*wt), GFP_KERNEL);
	unsigned int i;

	KUNIT_ASSERT_NOT_NULL(test, wt);
	wt->tb = kbr_test_init(test);
	KUNIT_ASSERT_EQ(test, kbr_test_start(wt->tb), 0);
	KUNIT_ASSERT_EQ(test, kbr_test_create(wt->tb, "t", KBR_WAITER_TEST_ENTRIES,
					      "flush.policy", policy), 0);
	wt->topic = kbr_test_topic(wt->tb, "t");
	KUNIT_ASSERT_NOT_NULL(test, wt->topic);
	for (i = 0; i < KBR_WAITER_TEST_ENTRIES; i++)
		wt->part[i] = kbr_topic_partition(wt->topic, i);
	INIT_WORK(&wt->work, kbr_waiter_test_work);
	init_completion(&wt->ran);
	kbr_waiter_init(&wt->waiter, system_wq, &wt->work, wt->entries);
	return wt;
}

static void kbr_waiter_test_end(struct kbr_waiter_test *wt)
{
	kbr_waiter_drop(&wt->waiter);
	cancel_work_sync(&wt->work);
	kbr_topic_put(wt->topic);
	kbr_test_exit(wt->tb);
}

/* Did the work run, with news? */
static bool kbr_waiter_test_heard(struct kbr_waiter_test *wt)
{
	return wait_for_completion_timeout(&wt->ran, msecs_to_jiffies(KBR_TEST_PATIENCE_MS)) &&
	       kbr_waiter_take_news(&wt->waiter);
}

/* Whatever was going to be queued has run by now: it is queued before produce returns. */
static bool kbr_waiter_test_quiet(struct kbr_waiter_test *wt)
{
	flush_work(&wt->work);
	return !try_wait_for_completion(&wt->ran) && !kbr_waiter_take_news(&wt->waiter);
}

/* The high watermark has to pass the offset; which partition moves does matter. */
static void kbr_waiter_test_offset(struct kunit *test)
{
	struct kbr_waiter_test *wt = kbr_waiter_test_begin(test, "async");

	kbr_waiter_add_partition(&wt->waiter, wt->part[0], 1);
	kbr_waiter_add_partition(&wt->waiter, wt->part[1], 0);
	KUNIT_EXPECT_FALSE(test, kbr_waiter_take_news(&wt->waiter));
	KUNIT_EXPECT_EQ(test, kbr_test_produce(wt->part[2], "other", KBR_ACKS_LEADER), 0);
	KUNIT_EXPECT_EQ(test, kbr_test_produce(wt->part[0], "below", KBR_ACKS_LEADER), 0);
	KUNIT_EXPECT_TRUE(test, kbr_waiter_test_quiet(wt));
	KUNIT_EXPECT_EQ(test, kbr_test_produce(wt->part[0], "that", KBR_ACKS_LEADER), 1);
	KUNIT_EXPECT_TRUE(test, kbr_waiter_test_heard(wt));
	KUNIT_EXPECT_FALSE(test, kbr_waiter_take_news(&wt->waiter));
	KUNIT_EXPECT_EQ(test, kbr_test_produce(wt->part[1], "or that", KBR_ACKS_LEADER), 0);
	KUNIT_EXPECT_TRUE(test, kbr_waiter_test_heard(wt));

	/* and nothing once it has left */
	kbr_waiter_drop(&wt->waiter);
	KUNIT_EXPECT_EQ(test, wt->waiter.count, 0U);
	KUNIT_EXPECT_EQ(test, kbr_test_produce(wt->part[1], "late", KBR_ACKS_LEADER), 1);
	KUNIT_EXPECT_TRUE(test, kbr_waiter_test_quiet(wt));
	kbr_waiter_test_end(wt);
}

/* What is appended only wakes when it is durable. */
static void kbr_waiter_test_commit(struct kunit *test)
{
	struct kbr_waiter_test *wt = kbr_waiter_test_begin(test, "sync");

	kbr_waiter_add_partition(&wt->waiter, wt->part[0], 0);
	KUNIT_EXPECT_EQ(test, kbr_test_produce(wt->part[0], "x", KBR_ACKS_ALL), 0);
	KUNIT_EXPECT_TRUE(test, kbr_waiter_test_heard(wt));
	KUNIT_EXPECT_EQ(test, kbr_partition_hw(wt->part[0]), 1);
	kbr_waiter_test_end(wt);
}

/* A failed sync and the deletion of the topic are news whatever the offset. */
static void kbr_waiter_test_ends(struct kunit *test)
{
	struct kbr_waiter_test *wt = kbr_waiter_test_begin(test, "sync");

	kbr_waiter_add_partition(&wt->waiter, wt->part[0], 100);
	kbr_ram_fail(wt->tb->dir, KBR_RAM_SYNC, 0, 1, -EIO, "t-0/");
	KUNIT_EXPECT_LT(test, kbr_test_produce(wt->part[0], "x", KBR_ACKS_ALL), 0);
	KUNIT_EXPECT_TRUE(test, kbr_waiter_test_heard(wt));
	KUNIT_EXPECT_TRUE(test, kbr_test_wait_state(wt->part[0], KBR_PARTITION_LEADER));
	flush_work(&wt->work);
	reinit_completion(&wt->ran);
	kbr_waiter_take_news(&wt->waiter);

	KUNIT_EXPECT_EQ(test, kbr_test_delete(wt->tb, "t"), 0);
	KUNIT_EXPECT_TRUE(test, kbr_waiter_test_heard(wt));
	KUNIT_EXPECT_EQ(test, kbr_partition_acked(wt->part[0], 100, 1), -ENODEV);
	kbr_waiter_test_end(wt);
}

/* Bytes are counted over all partitions, and only those that were not there before. */
static void kbr_waiter_test_bytes(struct kunit *test)
{
	struct kbr_waiter_test *wt = kbr_waiter_test_begin(test, "async");
	struct kbr_waiter_mark mark;
	s64 one, have = 0;
	unsigned int i;

	for (i = 0; i < KBR_WAITER_TEST_ENTRIES; i++)
		KUNIT_EXPECT_EQ(test, kbr_test_produce(wt->part[i], "x", KBR_ACKS_LEADER), 0);
	one = kbr_log_size(&wt->part[0]->log);
	kbr_waiter_need_bytes(&wt->waiter, 10 * one);
	for (i = 0; i < KBR_WAITER_TEST_ENTRIES; i++) {
		kbr_waiter_mark(&mark, wt->part[i]);
		KUNIT_EXPECT_EQ(test, mark.size, one);
		kbr_waiter_add_bytes(&wt->waiter, wt->part[i], 0, &mark);
	}
	for (i = 0; i < 9; i++) {
		KUNIT_EXPECT_GT(test, kbr_test_produce(wt->part[i % 3], "x", KBR_ACKS_LEADER), 0);
		have += one;
		KUNIT_EXPECT_TRUE_MSG(test, kbr_waiter_test_quiet(wt), "after %lld bytes", have);
	}
	KUNIT_EXPECT_GT(test, kbr_test_produce(wt->part[1], "x", KBR_ACKS_LEADER), 0);
	KUNIT_EXPECT_TRUE(test, kbr_waiter_test_heard(wt));
	kbr_waiter_drop(&wt->waiter);

	/* where bytes may be hidden, by retention or by what is not committed, any progress counts */
	kbr_waiter_need_bytes(&wt->waiter, 1000 * one);
	kbr_waiter_mark(&mark, wt->part[0]);
	kbr_waiter_add_bytes(&wt->waiter, wt->part[0], 0, &mark);
	KUNIT_EXPECT_EQ(test, kbr_partition_delete_records(wt->part[0], 1), 0);
	KUNIT_EXPECT_GT(test, kbr_test_produce(wt->part[0], "x", KBR_ACKS_LEADER), 0);
	KUNIT_EXPECT_TRUE(test, kbr_waiter_test_heard(wt));
	kbr_waiter_test_end(wt);
}

static void kbr_waiter_test_uncommitted(struct kunit *test)
{
	struct kbr_waiter_test *wt = kbr_waiter_test_begin(test, "sync");
	struct kbr_waiter_mark mark;

	kbr_ram_set_sync_delay(wt->tb->dir, 100000);
	KUNIT_EXPECT_EQ(test, kbr_test_produce(wt->part[0], "x", KBR_ACKS_LEADER), 0);
	kbr_waiter_mark(&mark, wt->part[0]);
	KUNIT_EXPECT_EQ(test, mark.size, 0ULL);
	kbr_waiter_need_bytes(&wt->waiter, 1 << 20);
	kbr_waiter_add_bytes(&wt->waiter, wt->part[0], 0, &mark);
	KUNIT_EXPECT_EQ(test, kbr_partition_sync(wt->part[0], 1, 0), 0);
	KUNIT_EXPECT_TRUE(test, kbr_waiter_test_heard(wt));
	kbr_waiter_test_end(wt);
}

/* A plain wait queue: any wake-up. */
static void kbr_waiter_test_head(struct kunit *test)
{
	struct kbr_waiter_test *wt = kbr_waiter_test_begin(test, "sync");
	wait_queue_head_t head;

	init_waitqueue_head(&head);
	kbr_waiter_add_head(&wt->waiter, &head);
	wake_up_all(&head);
	KUNIT_EXPECT_TRUE(test, kbr_waiter_test_heard(wt));
	kbr_waiter_drop(&wt->waiter);
	KUNIT_EXPECT_TRUE(test, list_empty(&head.head));
	kbr_waiter_test_end(wt);
}

#define KBR_WAITER_TEST_ROUNDS	2000

static int kbr_waiter_test_producer(void *arg)
{
	struct kbr_waiter_test *wt = arg;
	unsigned int i;
	s64 at = 0;

	for (i = 0; i < KBR_WAITER_TEST_ROUNDS && at >= 0; i++)
		at = kbr_test_produce(wt->part[0], "x", KBR_ACKS_LEADER);
	while (!kthread_should_stop())
		msleep(1);
	return at < 0 ? at : 0;
}

/*
 * Against a producer: who arms, looks, and sleeps if there is nothing is always
 * woken. A lost wake-up is seen as a timeout.
 */
static void kbr_waiter_test_race(struct kunit *test)
{
	struct kbr_waiter_test *wt = kbr_waiter_test_begin(test, "async");
	struct task_struct *producer;
	s64 at = 0, hw;
	bool heard;

	producer = kthread_run(kbr_waiter_test_producer, wt, "kbr-waiter-test");
	KUNIT_ASSERT_FALSE(test, IS_ERR(producer));
	while (at < KBR_WAITER_TEST_ROUNDS) {
		kbr_waiter_add_partition(&wt->waiter, wt->part[0], at);
		hw = kbr_partition_hw(wt->part[0]);
		heard = true;
		while (hw <= at && heard) {
			heard = wait_for_completion_timeout(&wt->ran,
							    msecs_to_jiffies(KBR_TEST_PATIENCE_MS));
			kbr_waiter_take_news(&wt->waiter);
			hw = kbr_partition_hw(wt->part[0]);
		}
		kbr_waiter_drop(&wt->waiter);
		KUNIT_EXPECT_TRUE_MSG(test, heard, "no wake-up at %lld", at);
		if (!heard)
			break;
		at = hw;
	}
	KUNIT_EXPECT_EQ(test, kthread_stop(producer), 0);
	kbr_waiter_test_end(wt);
}

static struct kunit_case kbr_waiter_cases[] = {
	KUNIT_CASE(kbr_waiter_test_offset),
	KUNIT_CASE(kbr_waiter_test_commit),
	KUNIT_CASE(kbr_waiter_test_ends),
	KUNIT_CASE(kbr_waiter_test_bytes),
	KUNIT_CASE(kbr_waiter_test_uncommitted),
	KUNIT_CASE(kbr_waiter_test_head),
	KUNIT_CASE(kbr_waiter_test_race),
	{}
};

static struct kunit_suite kbr_waiter_suite = {
	.name = "kbroker_waiter",
	.exit = kbr_test_cleanup,
	.test_cases = kbr_waiter_cases,
};

kunit_test_suite(kbr_waiter_suite);
