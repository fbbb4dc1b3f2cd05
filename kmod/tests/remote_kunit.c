// SPDX-License-Identifier: GPL-2.0-only
/*
 * What readers want of a partition without a replica here, led by node 2 or 3, of
 * which the test says what it answers: what is asked when, and what the readers
 * get. This broker is node 1.
 */
#include <kunit/test.h>
#include <linux/delay.h>
#include <linux/mm.h>
#include <linux/slab.h>

#include "broker/remote.h"
#include "broker/replica.h"
#include "broker_test.h"
#include "codec/record.h"

struct kbr_rem_test {
	struct kunit *test;
	struct kbr_test_broker *tb;
	struct kbr_broker *broker;
	struct kbr_topic *topic;
	struct kbr_partition *part;
	struct kbr_replica_state state;
	struct kbr_remote_want want[3];
	u8 *buf;
	size_t size;
	size_t len;
	s64 end;
};

static void kbr_rem_lead(struct kbr_rem_test *rt, s32 leader)
{
	struct kbr_refusal why;

	rt->state.leader = leader;
	rt->state.leader_epoch++;
	rt->state.partition_epoch++;
	KUNIT_ASSERT_EQ(rt->test, kbr_replica_apply(rt->part, &rt->state, &why), 0);
}

static struct kbr_rem_test *kbr_rem_begin(struct kunit *test)
{
	struct kbr_rem_test *rt = kunit_kzalloc(test, sizeof(*rt), GFP_KERNEL);
	unsigned int i;

	KUNIT_ASSERT_NOT_NULL(test, rt);
	rt->test = test;
	rt->size = 1u << 20;
	rt->buf = kvmalloc(rt->size, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, rt->buf);
	rt->tb = kbr_test_init(test);
	KUNIT_ASSERT_EQ(test, kbr_test_start(rt->tb), 0);
	KUNIT_ASSERT_EQ(test, kbr_test_create(rt->tb, "t", 1, NULL, NULL), 0);
	rt->broker = kbr_test_get(rt->tb);
	rt->topic = kbr_test_topic(rt->tb, "t");
	KUNIT_ASSERT_NOT_NULL(test, rt->topic);
	rt->part = kbr_topic_partition(rt->topic, 0);
	KUNIT_ASSERT_EQ(test, kbr_replica_alloc(rt->part), 0);
	kbr_partition_quiesce(rt->part, KBR_PARTITION_FOLLOWER);
	rt->state = (struct kbr_replica_state) {
		.replicas = { 2, { 2, 3 } },
		.isr = { 2, { 2, 3 } },
	};
	kbr_rem_lead(rt, 2);
	KUNIT_ASSERT_TRUE(test, kbr_replica_is_elsewhere(rt->part));
	for (i = 0; i < ARRAY_SIZE(rt->want); i++)
		kbr_remote_want_init(&rt->want[i], rt->part);
	return rt;
}

static void kbr_rem_end(struct kbr_rem_test *rt)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(rt->want); i++)
		kbr_remote_cancel(&rt->want[i]);
	KUNIT_EXPECT_EQ(rt->test, rt->broker->remotes.bytes, 0);
	kbr_topic_put(rt->topic);
	kbr_broker_put(rt->broker);
	kbr_test_exit(rt->tb);
	kvfree(rt->buf);
}

/* A batch of @count records from @rt->end on, each with a value of @len bytes. */
static void kbr_rem_batch(struct kbr_rem_test *rt, unsigned int count, size_t len)
{
	struct kbr_record rec = { .timestamp = 1, .value_len = len };
	struct kbr_batch_builder bld;
	u8 *value = kvzalloc(len, GFP_KERNEL);
	size_t size;

	KUNIT_ASSERT_NOT_NULL(rt->test, value);
	rec.value = value;
	kbr_batch_builder_init(&bld, rt->buf + rt->len, rt->size - rt->len);
	rt->end += count;
	while (count--)
		KUNIT_ASSERT_EQ(rt->test, kbr_batch_builder_add(&bld, &rec), 0);
	size = kbr_batch_builder_finish(&bld);
	kbr_batch_stamp(rt->buf + rt->len, rt->end - bld.count, 0);
	rt->len += size;
	kvfree(value);
}

/* What reader @i gets from @offset on: the answer, and for 1 the end of the chunk. */
static int kbr_rem_read(struct kbr_rem_test *rt, unsigned int i, s64 offset, s64 *end)
{
	struct kbr_remote_bounds bounds = { -1, -1 };
	struct kbr_remote_chunk *chunk;
	int ret = kbr_remote_read(&rt->want[i], offset, &chunk, &bounds);

	*end = ret == -ERANGE ? bounds.start : -1;
	if (ret == 1) {
		*end = chunk->end;
		kbr_remote_put_chunk(chunk);
	}
	return ret;
}

static void kbr_rem_expect(struct kbr_rem_test *rt, unsigned int i, s64 offset, int ret, s64 end)
{
	s64 got;

	KUNIT_EXPECT_EQ(rt->test, kbr_rem_read(rt, i, offset, &got), ret);
	KUNIT_EXPECT_EQ(rt->test, got, end);
}

/* Node @leader is asked for @offset, S64_MIN: for nothing. */
static struct kbr_remote_request *kbr_rem_asks(struct kbr_rem_test *rt, s32 leader, s64 offset)
{
	struct kbr_remote_request *request = kbr_remote_next(rt->broker, leader);

	if (offset == S64_MIN) {
		KUNIT_EXPECT_NULL(rt->test, request);
		return NULL;
	}
	KUNIT_ASSERT_NOT_NULL(rt->test, request);
	KUNIT_ASSERT_EQ(rt->test, request->count, 1);
	KUNIT_EXPECT_EQ(rt->test, request->asks[0].offset, offset);
	KUNIT_EXPECT_EQ(rt->test, request->asks[0].leader_epoch, rt->state.leader_epoch);
	return request;
}

/* It answers with what was built, and high watermark @hw. */
static void kbr_rem_answer(struct kbr_rem_test *rt, struct kbr_remote_request *request, int err,
			   s64 start, s64 hw)
{
	const struct kbr_remote_bounds bounds = { .start = start, .hw = hw };

	kbr_remote_answer_records(request, &request->asks[0], err, &bounds, rt->buf, rt->len);
	kbr_remote_end(rt->broker, request);
	rt->len = 0;
}

static void kbr_remote_test_shared(struct kunit *test)
{
	struct kbr_rem_test *rt = kbr_rem_begin(test);
	struct kbr_remote_request *request;

	kbr_rem_asks(rt, 2, S64_MIN);
	kbr_rem_expect(rt, 0, 0, 0, -1);
	kbr_rem_expect(rt, 1, 0, 0, -1);
	kbr_rem_asks(rt, 3, S64_MIN);
	request = kbr_rem_asks(rt, 2, 0);
	/* both are asked for */
	kbr_rem_asks(rt, 2, S64_MIN);
	kbr_rem_batch(rt, 3, 10);
	kbr_rem_batch(rt, 2, 10);
	kbr_rem_answer(rt, request, 0, 0, 5);
	KUNIT_EXPECT_PTR_EQ(test, rt->want[0].chunk, rt->want[1].chunk);
	kbr_rem_expect(rt, 0, 0, 1, 5);
	/* as long as it is not done with it */
	kbr_rem_expect(rt, 0, 4, 1, 5);
	kbr_remote_ahead(&rt->want[0], 5);
	KUNIT_EXPECT_GT(test, rt->broker->remotes.bytes, 0);
	kbr_rem_expect(rt, 1, 0, 1, 5);
	kbr_remote_cancel(&rt->want[1]);
	KUNIT_EXPECT_EQ(test, rt->broker->remotes.bytes, 0);
	kbr_rem_end(rt);
}

static void kbr_remote_test_order(struct kunit *test)
{
	struct kbr_rem_test *rt = kbr_rem_begin(test);
	struct kbr_remote_request *first, *second;

	kbr_rem_expect(rt, 0, 10, 0, -1);
	first = kbr_rem_asks(rt, 2, 10);
	kbr_rem_answer(rt, first, 0, 0, 10);
	kbr_rem_expect(rt, 0, 10, 0, -1);
	/* it waits at the end; another one comes who needs not */
	first = kbr_rem_asks(rt, 2, 10);
	kbr_rem_expect(rt, 1, 0, 0, -1);
	second = kbr_rem_asks(rt, 2, 0);
	kbr_rem_asks(rt, 2, S64_MIN);
	/* the first is answered because of the second: it is asked again */
	kbr_rem_answer(rt, first, 0, 0, 10);
	first = kbr_rem_asks(rt, 2, 10);
	kbr_rem_batch(rt, 4, 10);
	kbr_rem_answer(rt, second, 0, 0, 10);
	kbr_rem_expect(rt, 1, 0, 1, 4);
	kbr_remote_cancel(&rt->want[1]);
	/* two at the end: the new request has both, nothing is left to ask when the old one ends */
	kbr_rem_expect(rt, 1, 11, 0, -1);
	second = kbr_rem_asks(rt, 2, 10);
	kbr_rem_answer(rt, first, 0, 0, 10);
	kbr_rem_asks(rt, 2, S64_MIN);
	rt->end = 10;
	kbr_rem_batch(rt, 2, 10);
	kbr_rem_answer(rt, second, 0, 0, 12);
	kbr_rem_expect(rt, 0, 10, 1, 12);
	kbr_rem_expect(rt, 1, 11, 1, 12);
	kbr_rem_end(rt);
}

static void kbr_remote_test_leaders(struct kunit *test)
{
	struct kbr_rem_test *rt = kbr_rem_begin(test);
	struct kbr_remote_request *old, *now;

	kbr_rem_expect(rt, 0, 7, 0, -1);
	old = kbr_rem_asks(rt, 2, 7);
	kbr_rem_lead(rt, 3);
	kbr_rem_asks(rt, 2, S64_MIN);
	now = kbr_rem_asks(rt, 3, 7);
	/* it does not lead any more: its word is nothing, but what was committed is */
	kbr_rem_answer(rt, old, -ERANGE, 9, 9);
	kbr_rem_expect(rt, 0, 7, 0, -1);
	kbr_rem_answer(rt, now, -EREMOTE, -1, -1);
	kbr_rem_expect(rt, 0, 7, 0, -1);
	kbr_rem_asks(rt, 3, S64_MIN);
	KUNIT_EXPECT_GE(test, kbr_remote_next_retry(rt->broker, 3), 0);
	/* another leader is asked at once, as is the same one in another epoch */
	kbr_rem_lead(rt, -1);
	KUNIT_EXPECT_FALSE(test, kbr_remote_waits(rt->broker, 3));
	kbr_rem_lead(rt, 3);
	now = kbr_rem_asks(rt, 3, 7);
	kbr_rem_answer(rt, now, -ERANGE, 9, 20);
	kbr_rem_expect(rt, 0, 7, -ERANGE, 9);
	/* said once */
	kbr_rem_expect(rt, 0, 7, 0, -1);
	now = kbr_rem_asks(rt, 3, 7);
	kbr_rem_answer(rt, now, -EBADMSG, -1, -1);
	kbr_rem_expect(rt, 0, 7, -EBADMSG, -1);
	kbr_rem_expect(rt, 0, 9, 0, -1);
	kbr_remote_end(rt->broker, kbr_rem_asks(rt, 3, 9));
	/* a connection that ended has answered nothing */
	kbr_remote_end(rt->broker, kbr_rem_asks(rt, 3, 9));
	kbr_rem_end(rt);
}

static void kbr_remote_test_nonsense(struct kunit *test)
{
	struct kbr_rem_test *rt = kbr_rem_begin(test);
	struct kbr_remote_request *request;

	kbr_rem_expect(rt, 0, 0, 0, -1);
	request = kbr_rem_asks(rt, 2, 0);
	/* two batches, of which one is not committed, and bytes that are none */
	kbr_rem_batch(rt, 2, 10);
	kbr_rem_batch(rt, 2, 10);
	memset(rt->buf + rt->len, 0xff, 100);
	rt->len += 100;
	kbr_rem_answer(rt, request, 0, 0, 3);
	kbr_rem_expect(rt, 0, 0, 1, 2);
	kbr_remote_ahead(&rt->want[0], 2);
	/* nothing but such bytes: it is asked again, but not at once */
	request = kbr_rem_asks(rt, 2, 2);
	memset(rt->buf, 0xff, 100);
	rt->len = 100;
	kbr_rem_answer(rt, request, 0, 0, 4);
	kbr_rem_expect(rt, 0, 2, 0, -1);
	kbr_rem_asks(rt, 2, S64_MIN);
	kbr_rem_lead(rt, 2);
	/* what was had already */
	request = kbr_rem_asks(rt, 2, 2);
	rt->end = 0;
	kbr_rem_batch(rt, 2, 10);
	kbr_rem_answer(rt, request, 0, 0, 4);
	kbr_rem_expect(rt, 0, 2, 0, -1);
	kbr_rem_asks(rt, 2, S64_MIN);
	kbr_rem_end(rt);
}

/* What nobody comes for makes room for what others want. */
static void kbr_remote_test_room(struct kunit *test)
{
	struct kbr_remote_want *wants = kunit_kcalloc(test, 100, sizeof(*wants), GFP_KERNEL);
	struct kbr_rem_test *rt = kbr_rem_begin(test);
	struct kbr_remote_request *request;
	struct kbr_remote_bounds bounds;
	struct kbr_remote_chunk *chunk;
	unsigned int i;

	KUNIT_ASSERT_NOT_NULL(test, wants);
	for (i = 0; i < 100; i++) {
		kbr_remote_want_init(&wants[i], rt->part);
		KUNIT_ASSERT_EQ(test, kbr_remote_read(&wants[i], i, &chunk, &bounds), 0);
		request = kbr_rem_asks(rt, 2, i);
		rt->end = i;
		kbr_rem_batch(rt, 1, 250 << 10);
		kbr_rem_answer(rt, request, 0, 0, 100);
		KUNIT_EXPECT_LE(test, rt->broker->remotes.bytes, 16u << 20);
		KUNIT_EXPECT_NOT_NULL(test, wants[i].chunk);
	}
	KUNIT_EXPECT_NULL(test, wants[0].chunk);
	KUNIT_EXPECT_NOT_NULL(test, wants[50].chunk);
	/* its reader looks, and asks again */
	KUNIT_EXPECT_EQ(test, wants[0].step, KBR_REMOTE_READY);
	kbr_rem_asks(rt, 2, S64_MIN);
	KUNIT_EXPECT_EQ(test, kbr_remote_read(&wants[0], 0, &chunk, &bounds), 0);
	kbr_remote_end(rt->broker, kbr_rem_asks(rt, 2, 0));
	for (i = 0; i < 100; i++)
		kbr_remote_cancel(&wants[i]);
	kbr_rem_end(rt);
}

static struct kunit_case kbr_remote_cases[] = {
	KUNIT_CASE(kbr_remote_test_shared),
	KUNIT_CASE(kbr_remote_test_order),
	KUNIT_CASE(kbr_remote_test_leaders),
	KUNIT_CASE(kbr_remote_test_nonsense),
	KUNIT_CASE(kbr_remote_test_room),
	{}
};

static struct kunit_suite kbr_remote_suite = {
	.name = "kbroker_remote",
	.exit = kbr_test_cleanup,
	.test_cases = kbr_remote_cases,
};
kunit_test_suite(kbr_remote_suite);
