// SPDX-License-Identifier: GPL-2.0-only
/*
 * Produce and fetch through the one door: what readers see and when, what
 * writers are told, and what a failed sync, a full disk and damage do.
 */
#include <kunit/test.h>
#include <linux/delay.h>
#include <linux/slab.h>
#include <linux/uio.h>

#include "broker_test.h"
#include "codec/record.h"

struct kbr_part_test {
	struct kbr_test_broker *tb;
	struct kbr_topic *topic;
	struct kbr_partition *part;
};

static void kbr_part_test_begin(struct kunit *test, struct kbr_part_test *pt, const char *config,
				const char *value)
{
	pt->tb = kbr_test_init(test);
	KUNIT_ASSERT_EQ(test, kbr_test_start(pt->tb), 0);
	KUNIT_ASSERT_EQ(test, kbr_test_create(pt->tb, "t", 1, config, value), 0);
	pt->topic = kbr_test_topic(pt->tb, "t");
	KUNIT_ASSERT_NOT_NULL(test, pt->topic);
	pt->part = kbr_topic_partition(pt->topic, 0);
}

static void kbr_part_test_end(struct kbr_part_test *pt)
{
	kbr_topic_put(pt->topic);
	kbr_test_exit(pt->tb);
}

static void kbr_partition_test_round(struct kunit *test)
{
	struct kbr_partition_info info;
	struct kbr_part_test pt;
	char value[16], want[16];
	s64 offset, found;
	unsigned int i;

	kbr_part_test_begin(test, &pt, NULL, NULL);
	KUNIT_EXPECT_EQ(test, kbr_test_read(pt.part, 0, value, sizeof(value)), -ENODATA);
	for (i = 0; i < 50; i++) {
		snprintf(want, sizeof(want), "v%u", i);
		KUNIT_EXPECT_EQ(test, kbr_test_produce(pt.part, want, KBR_ACKS_ALL), i);
		KUNIT_EXPECT_EQ(test, kbr_test_read(pt.part, i, value, sizeof(value)), i);
		KUNIT_EXPECT_STREQ(test, value, want);
	}
	kbr_partition_describe(pt.part, &info);
	KUNIT_EXPECT_EQ(test, info.state, KBR_PARTITION_LEADER);
	KUNIT_EXPECT_EQ(test, info.hw, 50);
	KUNIT_EXPECT_EQ(test, info.log_end, 50);
	KUNIT_EXPECT_EQ(test, info.synced, 50);
	KUNIT_EXPECT_EQ(test, kbr_partition_find_time(pt.part, 1, &offset, &found), 0);
	KUNIT_EXPECT_EQ(test, offset, 0);
	KUNIT_EXPECT_EQ(test, found, 1700000000000);
	kbr_part_test_end(&pt);
}

/* Bytes that are no good batch are refused, and nothing of the write is there. */
static void kbr_partition_test_bad_batch(struct kunit *test)
{
	struct kbr_record rec = { .timestamp = 1, .value = "value", .value_len = 5 };
	struct kbr_batch_builder bld;
	struct kbr_part_test pt;
	struct kbr_produce p;
	size_t len, i;
	u8 *good, *bad;

	kbr_part_test_begin(test, &pt, NULL, NULL);
	good = kunit_kzalloc(test, 512, GFP_KERNEL);
	bad = kunit_kzalloc(test, 512, GFP_KERNEL);
	kbr_batch_builder_init(&bld, good, 512);
	KUNIT_ASSERT_EQ(test, kbr_batch_builder_add(&bld, &rec), 0);
	len = kbr_batch_builder_finish(&bld);
	for (i = 0; i < len; i++) {
		/* a good one, then a bad one: neither is appended */
		memcpy(bad, good, len);
		memcpy(bad + len, good, len);
		/* offset and leader epoch are the broker's to set */
		if (i < 8 || (i >= 12 && i < 16))
			continue;
		bad[len + i] ^= 0x10;
		p = (struct kbr_produce) { .buf = bad, .len = 2 * len, .acks = KBR_ACKS_ALL };
		KUNIT_EXPECT_LT_MSG(test, kbr_partition_produce(pt.part, &p), 0, "byte %zu", i);
		KUNIT_EXPECT_NE_MSG(test, p.fault, KBR_FAULT_NONE, "byte %zu", i);
	}
	for (i = 0; i < len; i++) {
		p = (struct kbr_produce) { .buf = good, .len = i, .acks = KBR_ACKS_ALL };
		KUNIT_EXPECT_LT(test, kbr_partition_produce(pt.part, &p), 0);
	}
	KUNIT_EXPECT_EQ(test, kbr_log_end(&pt.part->log), 0);
	memcpy(bad, good, len);
	memcpy(bad + len, good, len);
	p = (struct kbr_produce) { .buf = bad, .len = 2 * len, .acks = KBR_ACKS_ALL };
	KUNIT_EXPECT_EQ(test, kbr_partition_produce(pt.part, &p), 0);
	KUNIT_EXPECT_EQ(test, p.base_offset, 0);
	KUNIT_EXPECT_EQ(test, p.last_offset, 1);
	KUNIT_EXPECT_EQ(test, p.records, 2);
	kbr_part_test_end(&pt);
}

/* Readers see what is durable, not what is appended; with flush.policy=async at once. */
static void kbr_partition_test_watermark(struct kunit *test)
{
	struct kbr_part_test pt;
	char value[16];

	kbr_part_test_begin(test, &pt, NULL, NULL);
	kbr_ram_set_sync_delay(pt.tb->dir, 200000);
	KUNIT_EXPECT_EQ(test, kbr_test_produce(pt.part, "x", KBR_ACKS_LEADER), 0);
	KUNIT_EXPECT_EQ(test, kbr_partition_hw(pt.part), 0);
	KUNIT_EXPECT_EQ(test, kbr_test_read(pt.part, 0, value, sizeof(value)), -ENODATA);
	KUNIT_EXPECT_EQ(test, kbr_partition_sync(pt.part, 1, 0), 0);
	KUNIT_EXPECT_EQ(test, kbr_partition_hw(pt.part), 1);
	KUNIT_EXPECT_EQ(test, kbr_test_read(pt.part, 0, value, sizeof(value)), 0);
	kbr_part_test_end(&pt);

	kbr_part_test_begin(test, &pt, "flush.policy", "async");
	kbr_ram_set_sync_delay(pt.tb->dir, 200000);
	KUNIT_EXPECT_EQ(test, kbr_test_produce(pt.part, "x", KBR_ACKS_ALL), 0);
	KUNIT_EXPECT_EQ(test, kbr_partition_hw(pt.part), 1);
	KUNIT_EXPECT_EQ(test, kbr_log_synced(&pt.part->log), 0);
	KUNIT_EXPECT_EQ(test, kbr_partition_sync(pt.part, 1, 0), 0);
	KUNIT_EXPECT_EQ(test, kbr_log_synced(&pt.part->log), 1);
	kbr_part_test_end(&pt);
}

/* flush.policy altered to async lets waiters and readers go on at once. */
static void kbr_partition_test_alter_policy(struct kunit *test)
{
	struct kbr_topic_change change = { .partitions = -1 };
	struct kbr_part_test pt;

	kbr_part_test_begin(test, &pt, NULL, NULL);
	KUNIT_ASSERT_EQ(test, kbr_config_set_put(&change.set, "flush.policy", "async"), 0);
	KUNIT_EXPECT_EQ(test, kbr_test_alter(pt.tb, "t", &change), 0);
	kbr_ram_set_sync_delay(pt.tb->dir, 200000);
	KUNIT_EXPECT_EQ(test, kbr_test_produce(pt.part, "x", KBR_ACKS_ALL), 0);
	KUNIT_EXPECT_EQ(test, kbr_log_synced(&pt.part->log), 0);
	kbr_config_set_free(&change.set);
	kbr_part_test_end(&pt);
}

/* flush.messages bounds what an async topic has unsynced; without it nothing hurries. */
static void kbr_partition_test_flush_messages(struct kunit *test)
{
	struct kbr_part_test pt;
	unsigned int i, ms;

	kbr_part_test_begin(test, &pt, "flush.policy", "async");
	KUNIT_EXPECT_EQ(test, kbr_test_produce(pt.part, "x", KBR_ACKS_ALL), 0);
	msleep(200);
	KUNIT_EXPECT_EQ(test, kbr_log_synced(&pt.part->log), 0);
	WRITE_ONCE(pt.topic->config.flush_messages, 10);
	for (i = 1; i < 12; i++)
		KUNIT_EXPECT_EQ(test, kbr_test_produce(pt.part, "x", KBR_ACKS_ALL), i);
	for (ms = 0; ms < KBR_TEST_PATIENCE_MS && !kbr_log_synced(&pt.part->log); ms += 20)
		msleep(20);
	KUNIT_EXPECT_GE(test, kbr_log_synced(&pt.part->log), 10);
	kbr_part_test_end(&pt);
}

static void kbr_partition_test_min_isr(struct kunit *test)
{
	struct kbr_part_test pt;

	kbr_part_test_begin(test, &pt, "min.insync.replicas", "2");
	KUNIT_EXPECT_EQ(test, kbr_test_produce(pt.part, "x", KBR_ACKS_ALL), -ENOLINK);
	KUNIT_EXPECT_EQ(test, kbr_log_end(&pt.part->log), 0);
	KUNIT_EXPECT_EQ(test, kbr_test_produce(pt.part, "x", KBR_ACKS_LEADER), 0);
	kbr_part_test_end(&pt);
}

/* A failed sync: the writer is told, what was acknowledged stays, writing goes on. */
static void kbr_partition_test_eio(struct kunit *test)
{
	struct kbr_partition_info info;
	struct kbr_part_test pt;
	char value[16];
	u32 failures;
	s64 offset;

	kbr_part_test_begin(test, &pt, NULL, NULL);
	KUNIT_EXPECT_EQ(test, kbr_test_produce(pt.part, "safe", KBR_ACKS_ALL), 0);
	failures = pt.part->sync_failures;
	kbr_ram_fail(pt.tb->dir, KBR_RAM_SYNC, 0, 1, -EIO, "t-0/");
	KUNIT_EXPECT_EQ(test, kbr_test_produce(pt.part, "lost", KBR_ACKS_ALL), -EIO);
	KUNIT_EXPECT_TRUE(test, kbr_partition_lost(pt.part, 1, failures));
	KUNIT_EXPECT_FALSE(test, kbr_partition_lost(pt.part, 0, failures));
	KUNIT_ASSERT_TRUE(test, kbr_test_wait_state(pt.part, KBR_PARTITION_LEADER));
	KUNIT_EXPECT_EQ(test, kbr_partition_sync(pt.part, 2, failures), -EIO);
	offset = kbr_test_produce(pt.part, "next", KBR_ACKS_ALL);
	KUNIT_EXPECT_GE(test, offset, 1);
	KUNIT_EXPECT_EQ(test, kbr_test_read(pt.part, 0, value, sizeof(value)), 0);
	KUNIT_EXPECT_STREQ(test, value, "safe");
	KUNIT_EXPECT_EQ(test, kbr_test_read(pt.part, offset, value, sizeof(value)), offset);
	KUNIT_EXPECT_STREQ(test, value, "next");
	kbr_partition_describe(pt.part, &info);
	KUNIT_EXPECT_EQ(test, info.error, 0);
	KUNIT_EXPECT_EQ(test, info.leader_epoch, 1);
	kbr_topic_put(pt.topic);
	/* and the disk agrees */
	kbr_test_crash(pt.tb, 0);
	KUNIT_ASSERT_EQ(test, kbr_test_start(pt.tb), 0);
	pt.topic = kbr_test_topic(pt.tb, "t");
	pt.part = kbr_topic_partition(pt.topic, 0);
	KUNIT_EXPECT_EQ(test, kbr_test_read(pt.part, offset, value, sizeof(value)), offset);
	KUNIT_EXPECT_STREQ(test, value, "next");
	KUNIT_EXPECT_EQ(test, kbr_partition_hw(pt.part), offset + 1);
	kbr_part_test_end(&pt);
}

/* A disk that fails for a while: the repair is tried until it answers. */
static void kbr_partition_test_eio_long(struct kunit *test)
{
	struct kbr_part_test pt;

	kbr_part_test_begin(test, &pt, NULL, NULL);
	kbr_ram_fail(pt.tb->dir, KBR_RAM_SYNC | KBR_RAM_READ | KBR_RAM_OPEN | KBR_RAM_TRUNCATE, 0,
		     0, -EIO, "t-0/");
	KUNIT_EXPECT_EQ(test, kbr_test_produce(pt.part, "x", KBR_ACKS_ALL), -EIO);
	KUNIT_EXPECT_EQ(test, kbr_test_produce(pt.part, "x", KBR_ACKS_ALL), -EIO);
	KUNIT_EXPECT_TRUE(test, kbr_test_wait_state(pt.part, KBR_PARTITION_REPAIRING));
	kbr_ram_heal(pt.tb->dir);
	KUNIT_ASSERT_TRUE(test, kbr_test_wait_state(pt.part, KBR_PARTITION_LEADER));
	KUNIT_EXPECT_GE(test, kbr_test_produce(pt.part, "y", KBR_ACKS_ALL), 0);
	kbr_part_test_end(&pt);
}

/* An async topic had shown records that the disk then lost: said, counted, gone on. */
static void kbr_partition_test_async_loss(struct kunit *test)
{
	struct kbr_part_test pt;
	struct kbr_broker *broker;
	char value[16];

	kbr_part_test_begin(test, &pt, "flush.policy", "async");
	KUNIT_EXPECT_EQ(test, kbr_test_produce(pt.part, "kept", KBR_ACKS_ALL), 0);
	KUNIT_EXPECT_EQ(test, kbr_partition_sync(pt.part, 1, 0), 0);
	kbr_ram_fail(pt.tb->dir, KBR_RAM_SYNC, 0, 1, -EIO, "t-0/");
	KUNIT_EXPECT_EQ(test, kbr_test_produce(pt.part, "gone", KBR_ACKS_ALL), 1);
	KUNIT_EXPECT_EQ(test, kbr_partition_sync(pt.part, 2, 0), -EIO);
	KUNIT_ASSERT_TRUE(test, kbr_test_wait_state(pt.part, KBR_PARTITION_LEADER));
	broker = kbr_test_get(pt.tb);
	KUNIT_EXPECT_EQ(test, atomic64_read(&broker->lost_records), 1);
	kbr_broker_put(broker);
	KUNIT_EXPECT_EQ(test, kbr_partition_hw(pt.part), 1);
	/* a reader that stood beyond goes on at the end */
	KUNIT_EXPECT_EQ(test, kbr_test_read(pt.part, 2, value, sizeof(value)), -ENODATA);
	KUNIT_EXPECT_EQ(test, kbr_test_produce(pt.part, "new", KBR_ACKS_ALL), 1);
	KUNIT_EXPECT_EQ(test, kbr_test_read(pt.part, 1, value, sizeof(value)), 1);
	KUNIT_EXPECT_STREQ(test, value, "new");
	kbr_part_test_end(&pt);
}

/* While the repair lasts nobody is told of records that its cut has removed. */
static void kbr_partition_test_async_cut(struct kunit *test)
{
	struct kbr_part_test pt;
	char value[16];
	int i;

	kbr_part_test_begin(test, &pt, "flush.policy", "async");
	KUNIT_EXPECT_EQ(test, kbr_test_produce(pt.part, "kept", KBR_ACKS_ALL), 0);
	KUNIT_EXPECT_EQ(test, kbr_partition_sync(pt.part, 1, 0), 0);
	kbr_ram_fail(pt.tb->dir, KBR_RAM_SYNC, 0, 1, -EIO, "t-0/");
	/* the log is cut by then, and the repair has to be tried again */
	kbr_ram_fail(pt.tb->dir, KBR_RAM_SYNC_DIR, 0, 0, -EIO, "t-0");
	KUNIT_EXPECT_EQ(test, kbr_test_produce(pt.part, "gone", KBR_ACKS_ALL), 1);
	KUNIT_EXPECT_EQ(test, kbr_partition_hw(pt.part), 2);
	KUNIT_EXPECT_EQ(test, kbr_partition_sync(pt.part, 2, 0), -EIO);
	for (i = 0; i < 2000 && kbr_log_end(&pt.part->log) > 1; i++)
		msleep(5);
	KUNIT_EXPECT_EQ(test, kbr_log_end(&pt.part->log), 1);
	KUNIT_EXPECT_EQ(test, READ_ONCE(pt.part->state), KBR_PARTITION_REPAIRING);
	KUNIT_EXPECT_EQ(test, kbr_partition_hw(pt.part), 1);
	KUNIT_EXPECT_EQ(test, kbr_test_read(pt.part, 1, value, sizeof(value)), -ENODATA);
	kbr_ram_heal(pt.tb->dir);
	KUNIT_ASSERT_TRUE(test, kbr_test_wait_state(pt.part, KBR_PARTITION_LEADER));
	KUNIT_EXPECT_EQ(test, kbr_test_produce(pt.part, "new", KBR_ACKS_ALL), 1);
	kbr_part_test_end(&pt);
}

struct kbr_part_test_waiter {
	wait_queue_entry_t wait;
	struct completion woken;
	atomic_t count;
};

static int kbr_part_test_woken(wait_queue_entry_t *wait, unsigned int mode, int sync, void *key)
{
	struct kbr_part_test_waiter *waiter = container_of(wait, struct kbr_part_test_waiter,
							   wait);

	atomic_inc(&waiter->count);
	complete(&waiter->woken);
	return 0;
}

/*
 * Too much waits for the disk: a writer that can't wait is told so, and
 * nothing is appended. One that polls is woken when there is room, and by
 * nothing else.
 */
static void kbr_partition_test_throttle(struct kunit *test)
{
	struct kbr_batch_builder bld;
	struct kbr_record rec = { .timestamp = 1 };
	struct kbr_produce p = { .acks = KBR_ACKS_LEADER, .nowait = true };
	struct kbr_test_broker *tb = kbr_test_init(test);
	struct kbr_part_test_waiter waiter;
	struct kbr_partition *part;
	struct kbr_broker *broker;
	struct kbr_topic *topic;
	size_t size = 60000;
	unsigned int i;
	int err = 0;
	s64 end = 0;

	KUNIT_ASSERT_EQ(test, kbr_config_set_put(&tb->configs, "log.unsynced.bytes.max", "100000"),
			0);
	KUNIT_ASSERT_EQ(test, kbr_test_start(tb), 0);
	KUNIT_ASSERT_EQ(test, kbr_test_create(tb, "t", 1, NULL, NULL), 0);
	topic = kbr_test_topic(tb, "t");
	part = kbr_topic_partition(topic, 0);
	broker = topic->broker;
	init_completion(&waiter.woken);
	atomic_set(&waiter.count, 0);
	init_waitqueue_func_entry(&waiter.wait, kbr_part_test_woken);
	add_wait_queue(&broker->unsynced_wait, &waiter.wait);
	KUNIT_EXPECT_EQ(test, kbr_test_produce(part, "x", KBR_ACKS_ALL), 0);
	KUNIT_EXPECT_EQ(test, atomic_read(&waiter.count), 0);
	kbr_ram_set_sync_delay(tb->dir, 300000);
	p.buf = kunit_kzalloc(test, size, GFP_KERNEL);
	rec.value = kunit_kzalloc(test, size, GFP_KERNEL);
	rec.value_len = size - 200;
	for (i = 0; i < 20 && !err; i++) {
		kbr_batch_builder_init(&bld, p.buf, size);
		KUNIT_ASSERT_EQ(test, kbr_batch_builder_add(&bld, &rec), 0);
		p.len = kbr_batch_builder_finish(&bld);
		end = kbr_log_end(&part->log);
		err = kbr_partition_produce(part, &p);
	}
	KUNIT_EXPECT_EQ(test, err, -EAGAIN);
	KUNIT_EXPECT_EQ(test, kbr_log_end(&part->log), end);
	KUNIT_EXPECT_GT(test, wait_for_completion_timeout(&waiter.woken, 30 * HZ), 0UL);
	/* one that can wait gets its turn */
	p.nowait = false;
	KUNIT_EXPECT_EQ(test, kbr_partition_produce(part, &p), 0);
	remove_wait_queue(&broker->unsynced_wait, &waiter.wait);
	kbr_topic_put(topic);
	kbr_test_exit(tb);
}

static void kbr_partition_test_delete_records(struct kunit *test)
{
	struct kbr_part_test pt;
	char value[16];
	unsigned int i;

	kbr_part_test_begin(test, &pt, NULL, NULL);
	for (i = 0; i < 10; i++)
		KUNIT_EXPECT_EQ(test, kbr_test_produce(pt.part, "x", KBR_ACKS_ALL), i);
	KUNIT_EXPECT_EQ(test, kbr_test_delete_records(pt.tb, "t", 0, 11), -ERANGE);
	KUNIT_EXPECT_TRUE(test, strstr(pt.tb->why.text, "which is 10"));
	KUNIT_EXPECT_EQ(test, kbr_test_delete_records(pt.tb, "t", 0, -2), -EINVAL);
	KUNIT_EXPECT_EQ(test, kbr_test_delete_records(pt.tb, "t", 0, 4), 0);
	KUNIT_EXPECT_EQ(test, kbr_test_read(pt.part, 3, value, sizeof(value)), -ERANGE);
	KUNIT_EXPECT_EQ(test, kbr_test_read(pt.part, 4, value, sizeof(value)), 4);
	kbr_topic_put(pt.topic);
	/* done means done */
	kbr_test_crash(pt.tb, 0);
	KUNIT_ASSERT_EQ(test, kbr_test_start(pt.tb), 0);
	pt.topic = kbr_test_topic(pt.tb, "t");
	pt.part = kbr_topic_partition(pt.topic, 0);
	KUNIT_EXPECT_EQ(test, kbr_log_start(&pt.part->log), 4);
	KUNIT_EXPECT_EQ(test, kbr_test_delete_records(pt.tb, "t", 0, -1), 0);
	KUNIT_EXPECT_EQ(test, kbr_log_start(&pt.part->log), 10);
	kbr_part_test_end(&pt);
}

/* What was deleted before it was synced is not damage when a crash takes it. */
static void kbr_partition_test_delete_unsynced(struct kunit *test)
{
	struct kbr_part_test pt;
	unsigned int i;

	kbr_part_test_begin(test, &pt, "flush.policy", "async");
	for (i = 0; i < 5; i++)
		KUNIT_EXPECT_EQ(test, kbr_test_produce(pt.part, "x", KBR_ACKS_ALL), i);
	KUNIT_EXPECT_EQ(test, kbr_test_delete_records(pt.tb, "t", 0, -1), 0);
	KUNIT_EXPECT_EQ(test, kbr_log_start(&pt.part->log), 5);
	kbr_topic_put(pt.topic);
	kbr_test_crash(pt.tb, 0);
	KUNIT_ASSERT_EQ(test, kbr_test_start(pt.tb), 0);
	pt.topic = kbr_test_topic(pt.tb, "t");
	pt.part = kbr_topic_partition(pt.topic, 0);
	KUNIT_EXPECT_EQ(test, pt.part->state, KBR_PARTITION_LEADER);
	KUNIT_EXPECT_EQ(test, kbr_log_start(&pt.part->log), 5);
	KUNIT_EXPECT_EQ(test, kbr_test_produce(pt.part, "x", KBR_ACKS_ALL), 5);
	kbr_part_test_end(&pt);
}

/* A topic made anew is not measured by what was noted of the one deleted before. */
static void kbr_partition_test_made_anew(struct kunit *test)
{
	struct kbr_part_test pt;
	char value[16];
	unsigned int i;

	kbr_part_test_begin(test, &pt, NULL, NULL);
	for (i = 0; i < 3; i++)
		KUNIT_EXPECT_EQ(test, kbr_test_produce(pt.part, "old", KBR_ACKS_ALL), i);
	KUNIT_EXPECT_EQ(test, kbr_test_delete_records(pt.tb, "t", 0, 2), 0);
	kbr_topic_put(pt.topic);
	KUNIT_ASSERT_EQ(test, kbr_test_delete(pt.tb, "t"), 0);
	KUNIT_ASSERT_EQ(test, kbr_test_create(pt.tb, "t", 1, NULL, NULL), 0);
	pt.topic = kbr_test_topic(pt.tb, "t");
	KUNIT_EXPECT_EQ(test, kbr_test_produce(kbr_topic_partition(pt.topic, 0), "new",
					       KBR_ACKS_ALL), 0);
	kbr_topic_put(pt.topic);
	kbr_test_crash(pt.tb, 0);
	KUNIT_ASSERT_EQ(test, kbr_test_start(pt.tb), 0);
	pt.topic = kbr_test_topic(pt.tb, "t");
	pt.part = kbr_topic_partition(pt.topic, 0);
	KUNIT_EXPECT_EQ(test, pt.part->state, KBR_PARTITION_LEADER);
	KUNIT_EXPECT_EQ(test, kbr_test_read(pt.part, 0, value, sizeof(value)), 0);
	KUNIT_EXPECT_STREQ(test, value, "new");
	kbr_part_test_end(&pt);
}

/* The scrub finds damage in a sealed segment; deleting the records up to behind it heals. */
static void kbr_partition_test_scrub(struct kunit *test)
{
	struct kbr_test_broker *tb = kbr_test_init(test);
	struct kbr_part_test pt = { .tb = tb };
	char value[1000];
	unsigned int i;
	s64 damaged;

	KUNIT_ASSERT_EQ(test, kbr_config_set_put(&tb->configs, "log.scrub.bytes.per.second",
						 "1000000000"), 0);
	KUNIT_ASSERT_EQ(test, kbr_config_set_put(&tb->configs, "log.retention.check.interval.ms",
						 "20"), 0);
	/* the records are old */
	KUNIT_ASSERT_EQ(test, kbr_config_set_put(&tb->configs, "log.retention.ms", "-1"), 0);
	KUNIT_ASSERT_EQ(test, kbr_test_start(tb), 0);
	KUNIT_ASSERT_EQ(test, kbr_test_create(tb, "t", 1, "segment.bytes", "16384"), 0);
	pt.topic = kbr_test_topic(tb, "t");
	pt.part = kbr_topic_partition(pt.topic, 0);
	memset(value, 'v', sizeof(value));
	value[sizeof(value) - 1] = '\0';
	for (i = 0; i < 40; i++)
		KUNIT_EXPECT_EQ(test, kbr_test_produce(pt.part, value, KBR_ACKS_ALL), i);
	KUNIT_ASSERT_EQ(test, kbr_ram_damage(tb->dir, "t-0/00000000000000000000.log", 5000, 1), 0);
	KUNIT_ASSERT_TRUE(test, kbr_test_wait_state(pt.part, KBR_PARTITION_FAILED));
	/* the next start does not take it for a torn tail */
	kbr_topic_put(pt.topic);
	kbr_test_stop(tb);
	KUNIT_ASSERT_EQ(test, kbr_test_start(tb), 0);
	pt.topic = kbr_test_topic(tb, "t");
	pt.part = kbr_topic_partition(pt.topic, 0);
	KUNIT_EXPECT_EQ(test, kbr_log_end(&pt.part->log), 40);
	KUNIT_ASSERT_TRUE(test, kbr_test_wait_state(pt.part, KBR_PARTITION_FAILED));
	damaged = pt.part->damaged;
	KUNIT_EXPECT_EQ(test, damaged, 4);
	KUNIT_EXPECT_EQ(test, kbr_test_read(pt.part, 3, value, sizeof(value)), 3);
	KUNIT_EXPECT_EQ(test, kbr_test_read(pt.part, 4, value, sizeof(value)), -EBADMSG);
	KUNIT_EXPECT_EQ(test, kbr_test_produce(pt.part, "x", KBR_ACKS_ALL), -EIO);
	KUNIT_EXPECT_EQ(test, kbr_test_delete_records(pt.tb, "t", 0, 5), 0);
	KUNIT_EXPECT_EQ(test, kbr_test_read(pt.part, 5, value, sizeof(value)), 5);
	KUNIT_EXPECT_EQ(test, kbr_test_produce(pt.part, "x", KBR_ACKS_ALL), 40);
	kbr_part_test_end(&pt);
}

/* Who must not wait for acks asks for them; syncs left out are made up for. */
static void kbr_partition_test_parked_acks(struct kunit *test)
{
	struct kbr_produce p = { .acks = KBR_ACKS_ALL, .defer_sync = true };
	struct kbr_record rec = { .timestamp = 1, .value = "value", .value_len = 5 };
	struct kbr_batch_builder bld;
	struct kbr_part_test pt;
	u32 failures;

	kbr_part_test_begin(test, &pt, NULL, NULL);
	p.buf = kunit_kzalloc(test, 512, GFP_KERNEL);
	kbr_batch_builder_init(&bld, p.buf, 512);
	KUNIT_ASSERT_EQ(test, kbr_batch_builder_add(&bld, &rec), 0);
	p.len = kbr_batch_builder_finish(&bld);
	KUNIT_EXPECT_EQ(test, kbr_partition_produce(pt.part, &p), 0);
	/* nobody asked for a sync: the next is upkeep's, which is in no hurry */
	KUNIT_EXPECT_EQ(test, pt.part->log.sync.waiters, 0U);
	kbr_partition_request_sync(pt.part, &p);
	KUNIT_EXPECT_EQ(test, kbr_partition_wait_acks(pt.part, 0, p.failures, KBR_TEST_PATIENCE_MS),
			0);
	KUNIT_EXPECT_EQ(test, kbr_partition_acked(pt.part, 0, p.failures), 1);

	failures = pt.part->sync_failures;
	kbr_ram_fail(pt.tb->dir, KBR_RAM_SYNC, 0, 1, -EIO, "t-0/");
	KUNIT_EXPECT_EQ(test, kbr_test_produce(pt.part, "lost", KBR_ACKS_ALL), -EIO);
	KUNIT_EXPECT_EQ(test, kbr_partition_acked(pt.part, 1, failures), -EIO);
	KUNIT_EXPECT_EQ(test, kbr_partition_acked(pt.part, 0, failures), 1);
	KUNIT_ASSERT_TRUE(test, kbr_test_wait_state(pt.part, KBR_PARTITION_LEADER));
	KUNIT_EXPECT_EQ(test, kbr_test_delete(pt.tb, "t"), 0);
	KUNIT_EXPECT_EQ(test, kbr_partition_acked(pt.part, 9, failures + 1), -ENODEV);
	kbr_part_test_end(&pt);
}

/* What was mapped can be sent after the topic has gone, which does not wait for it. */
static void kbr_partition_test_map(struct kunit *test)
{
	struct kbr_partition_bounds bounds = {};
	struct kbr_log_pos pos = {};
	struct kbr_log_slice slice;
	struct kbr_part_test pt;
	u8 *copy;

	kbr_part_test_begin(test, &pt, NULL, NULL);
	KUNIT_EXPECT_EQ(test, kbr_partition_map(pt.part, &pos, 1, &slice, &bounds), 0);
	KUNIT_EXPECT_EQ(test, bounds.hw, 0);
	KUNIT_EXPECT_EQ(test, kbr_test_produce(pt.part, "one", KBR_ACKS_ALL), 0);
	KUNIT_EXPECT_EQ(test, kbr_test_produce(pt.part, "two", KBR_ACKS_ALL), 1);
	pos.offset = 3;
	KUNIT_EXPECT_EQ(test, kbr_partition_map(pt.part, &pos, 1, &slice, &bounds), -ERANGE);
	KUNIT_EXPECT_EQ(test, bounds.hw, 2);
	KUNIT_EXPECT_EQ(test, kbr_partition_delete_records(pt.part, 1), 0);
	pos.offset = 0;
	KUNIT_EXPECT_EQ(test, kbr_partition_map(pt.part, &pos, 1, &slice, &bounds), -ERANGE);
	KUNIT_EXPECT_EQ(test, bounds.start, 1);
	pos.offset = 1;
	KUNIT_ASSERT_EQ(test, kbr_partition_map(pt.part, &pos, 1, &slice, &bounds), 1);
	KUNIT_EXPECT_EQ(test, slice.next, 2);

	KUNIT_EXPECT_EQ(test, kbr_test_delete(pt.tb, "t"), 0);
	copy = kunit_kzalloc(test, slice.len, GFP_KERNEL);
	KUNIT_EXPECT_EQ(test, kbr_file_read(slice.file, copy, slice.len, slice.pos), slice.len);
	KUNIT_EXPECT_EQ(test, kbr_batch_check_crc(copy, slice.len), 0);
	kbr_log_unmap(&slice);
	KUNIT_EXPECT_EQ(test, kbr_partition_map(pt.part, &pos, 1, &slice, &bounds), -ENODATA);
	kbr_part_test_end(&pt);
}

static void kbr_partition_test_epoch(struct kunit *test)
{
	struct kbr_part_test pt;
	s32 found;
	s64 end;

	kbr_part_test_begin(test, &pt, NULL, NULL);
	KUNIT_EXPECT_EQ(test, kbr_test_produce(pt.part, "one", KBR_ACKS_ALL), 0);
	KUNIT_ASSERT_EQ(test, kbr_log_set_epoch(&pt.part->log, 3), 0);
	KUNIT_EXPECT_EQ(test, kbr_test_produce(pt.part, "two", KBR_ACKS_ALL), 1);
	KUNIT_EXPECT_EQ(test, kbr_partition_check_epoch(pt.part, -1), 0);
	KUNIT_EXPECT_EQ(test, kbr_partition_check_epoch(pt.part, 3), 0);
	KUNIT_EXPECT_EQ(test, kbr_partition_check_epoch(pt.part, 2), -ESTALE);
	KUNIT_EXPECT_EQ(test, kbr_partition_check_epoch(pt.part, 4), -ESRCH);
	KUNIT_EXPECT_EQ(test, kbr_partition_epoch_end(pt.part, 0, &found, &end), 0);
	KUNIT_EXPECT_EQ(test, found, 0);
	KUNIT_EXPECT_EQ(test, end, 1);
	KUNIT_EXPECT_EQ(test, kbr_test_delete(pt.tb, "t"), 0);
	KUNIT_EXPECT_EQ(test, kbr_partition_check_epoch(pt.part, 3), -ENODATA);
	KUNIT_EXPECT_EQ(test, kbr_partition_epoch_end(pt.part, 0, &found, &end), -ENODATA);
	kbr_part_test_end(&pt);
}

static struct kunit_case kbr_partition_test_cases[] = {
	KUNIT_CASE(kbr_partition_test_round),
	KUNIT_CASE(kbr_partition_test_bad_batch),
	KUNIT_CASE(kbr_partition_test_watermark),
	KUNIT_CASE(kbr_partition_test_alter_policy),
	KUNIT_CASE(kbr_partition_test_flush_messages),
	KUNIT_CASE(kbr_partition_test_min_isr),
	KUNIT_CASE(kbr_partition_test_eio),
	KUNIT_CASE(kbr_partition_test_eio_long),
	KUNIT_CASE(kbr_partition_test_async_loss),
	KUNIT_CASE(kbr_partition_test_async_cut),
	KUNIT_CASE(kbr_partition_test_throttle),
	KUNIT_CASE(kbr_partition_test_delete_records),
	KUNIT_CASE(kbr_partition_test_delete_unsynced),
	KUNIT_CASE(kbr_partition_test_made_anew),
	KUNIT_CASE(kbr_partition_test_scrub),
	KUNIT_CASE(kbr_partition_test_parked_acks),
	KUNIT_CASE(kbr_partition_test_map),
	KUNIT_CASE(kbr_partition_test_epoch),
	{}
};

static struct kunit_suite kbr_partition_suite = {
	.name = "kbroker_partition",
	.exit = kbr_test_cleanup,
	.test_cases = kbr_partition_test_cases,
};

kunit_test_suite(kbr_partition_suite);
