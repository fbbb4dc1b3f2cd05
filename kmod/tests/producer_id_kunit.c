// SPDX-License-Identifier: GPL-2.0-only
/*
 * Producer ids: each is given once, over starts, stops, crashes and blocks, and
 * the metadata log can be rewritten without forgetting them.
 */
#include <kunit/test.h>
#include <linux/bitmap.h>
#include <linux/slab.h>

#include "broker/metadata.h"
#include "broker_test.h"

#define KBR_ID_TEST_MAX	8000

struct kbr_id_test {
	struct kbr_test_broker *tb;
	unsigned long *seen;
};

static void kbr_id_test_begin(struct kunit *test, struct kbr_id_test *it)
{
	it->tb = kbr_test_init(test);
	it->seen = kunit_kcalloc(test, BITS_TO_LONGS(KBR_ID_TEST_MAX), sizeof(long), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, it->seen);
	KUNIT_ASSERT_EQ(test, kbr_test_start(it->tb), 0);
}

/* As a client does: wait where there is none, or the error. */
static int kbr_id_test_take(struct kbr_broker *broker, s64 *id)
{
	long left;
	int err = 0;

	left = wait_event_timeout(broker->producer_ids.wait,
				  (err = kbr_producer_id_take(broker, id)) != -EAGAIN,
				  msecs_to_jiffies(KBR_TEST_PATIENCE_MS));
	return left ? err : -ETIMEDOUT;
}

static void kbr_id_test_take_many(struct kbr_id_test *it, unsigned int count)
{
	struct kunit *test = it->tb->test;
	struct kbr_broker *broker = kbr_test_get(it->tb);
	s64 id = -1;

	while (count--) {
		KUNIT_ASSERT_EQ(test, kbr_id_test_take(broker, &id), 0);
		KUNIT_ASSERT_GE(test, id, 0);
		KUNIT_ASSERT_LT(test, id, KBR_ID_TEST_MAX);
		KUNIT_ASSERT_FALSE_MSG(test, test_bit(id, it->seen), "%lld was given twice", id);
		set_bit(id, it->seen);
	}
	kbr_broker_put(broker);
}

static void kbr_id_test_unique(struct kunit *test)
{
	struct kbr_broker_change change = { .owner = { .set_mode = true, .mode = 0600 } };
	struct kbr_broker *broker;
	struct kbr_id_test it;
	u32 op = 0;
	int err;

	kbr_id_test_begin(test, &it);
	kbr_id_test_take_many(&it, 2500);
	kbr_test_stop(it.tb);
	KUNIT_ASSERT_EQ(test, kbr_test_start(it.tb), 0);
	kbr_id_test_take_many(&it, 10);

	/* whatever else is written about the broker keeps them */
	err = kbr_broker_alter(it.tb->knet, &change, &op, &it.tb->why);
	KUNIT_ASSERT_EQ(test, kbr_test_wait_op(it.tb, err, op), 0);
	kbr_test_crash(it.tb, 1);
	KUNIT_ASSERT_EQ(test, kbr_test_start(it.tb), 0);
	broker = kbr_test_get(it.tb);
	KUNIT_EXPECT_EQ(test, broker->mode, 0660);
	kbr_broker_put(broker);
	kbr_id_test_take_many(&it, 10);

	/* and the next start, which has other settings, does not forget them either */
	kbr_test_crash(it.tb, 2);
	KUNIT_ASSERT_EQ(test, kbr_config_set_put(&it.tb->configs, "num.partitions", "2"), 0);
	KUNIT_ASSERT_EQ(test, kbr_test_start(it.tb), 0);
	kbr_id_test_take_many(&it, 10);
	kbr_test_exit(it.tb);
}

/* History is forgotten, ids are not. */
static void kbr_id_test_compact(struct kunit *test)
{
	struct kbr_id_test it;
	struct kbr_broker *broker;
	char name[16];
	unsigned int i;

	kbr_id_test_begin(test, &it);
	kbr_id_test_take_many(&it, 10);
	broker = kbr_test_get(it.tb);
	for (i = 0; i < 2000 && !kbr_log_start(kbr_metadata_log(broker)); i++) {
		snprintf(name, sizeof(name), "t%u", i);
		KUNIT_ASSERT_EQ(test, kbr_test_create(it.tb, name, 1, NULL, NULL), 0);
		KUNIT_ASSERT_EQ(test, kbr_test_delete(it.tb, name), 0);
	}
	KUNIT_EXPECT_GT(test, kbr_log_start(kbr_metadata_log(broker)), 0);
	kbr_broker_put(broker);
	kbr_test_crash(it.tb, 3);
	KUNIT_ASSERT_EQ(test, kbr_test_start(it.tb), 0);
	kbr_id_test_take_many(&it, 10);
	kbr_test_exit(it.tb);
}

/* A disk that fails is told to one who waits, and tried again for the next. */
static void kbr_id_test_error(struct kunit *test)
{
	struct kbr_broker *broker;
	struct kbr_id_test it;
	s64 id = -1;

	kbr_id_test_begin(test, &it);
	broker = kbr_test_get(it.tb);
	kbr_ram_fail(it.tb->dir, KBR_RAM_WRITE, 0, 1, -ENOSPC, "__cluster_metadata-0/");
	KUNIT_EXPECT_EQ(test, kbr_id_test_take(broker, &id), -ENOSPC);
	KUNIT_EXPECT_EQ(test, kbr_id_test_take(broker, &id), 0);
	kbr_test_stop(it.tb);
	while (!kbr_producer_id_take(broker, &id))
		;
	KUNIT_EXPECT_EQ(test, kbr_producer_id_take(broker, &id), -ENODEV);
	kbr_broker_put(broker);
	kbr_test_exit(it.tb);
}

static struct kunit_case kbr_id_test_cases[] = {
	KUNIT_CASE(kbr_id_test_unique),
	KUNIT_CASE(kbr_id_test_compact),
	KUNIT_CASE(kbr_id_test_error),
	{}
};

static struct kunit_suite kbr_id_test_suite = {
	.name = "kbroker_producer_id",
	.exit = kbr_test_cleanup,
	.test_cases = kbr_id_test_cases,
};

kunit_test_suite(kbr_id_test_suite);
