// SPDX-License-Identifier: GPL-2.0-only
/*
 * Writes that wait for another broker, node 2 or 3, of which the test says what
 * it answers: what is sent when, with which sequences, and what the writers are
 * told. This broker is node 1.
 */
#include <kunit/test.h>
#include <linux/delay.h>
#include <linux/slab.h>

#include "broker/forward.h"
#include "broker/replica.h"
#include "broker_test.h"
#include "codec/record.h"

struct kbr_fwd_test {
	struct kunit *test;
	struct kbr_test_broker *tb;
	struct kbr_broker *broker;
	struct kbr_topic *topic;
	struct kbr_partition *part;
	struct kbr_replica_state state;
	struct kbr_forward_route route;
	struct kbr_forwarded *account;
	u8 buf[512];
};

static void kbr_fwd_lead(struct kbr_fwd_test *ft, s32 leader)
{
	struct kbr_refusal why;

	ft->state.leader = leader;
	ft->state.leader_epoch++;
	ft->state.partition_epoch++;
	KUNIT_ASSERT_EQ(ft->test, kbr_replica_apply(ft->part, &ft->state, &why), 0);
}

static struct kbr_fwd_test *kbr_fwd_begin(struct kunit *test, const char *config, const char *value)
{
	struct kbr_fwd_test *ft = kunit_kzalloc(test, sizeof(*ft), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, ft);
	ft->test = test;
	ft->tb = kbr_test_init(test);
	KUNIT_ASSERT_EQ(test, kbr_test_start(ft->tb), 0);
	KUNIT_ASSERT_EQ(test, kbr_test_create(ft->tb, "t", 1, config, value), 0);
	ft->broker = kbr_test_get(ft->tb);
	ft->topic = kbr_test_topic(ft->tb, "t");
	KUNIT_ASSERT_NOT_NULL(test, ft->topic);
	ft->part = kbr_topic_partition(ft->topic, 0);
	KUNIT_ASSERT_EQ(test, kbr_replica_alloc(ft->part), 0);
	kbr_partition_quiesce(ft->part, KBR_PARTITION_FOLLOWER);
	ft->state = (struct kbr_replica_state) {
		.leader_epoch = 0,
		.partition_epoch = 0,
		.replicas = { 3, { 1, 2, 3 } },
		.isr = { 3, { 1, 2, 3 } },
	};
	kbr_forward_route_init(&ft->route, 2);
	ft->account = kbr_forwarded_create(NULL, false);
	KUNIT_ASSERT_NOT_NULL(test, ft->account);
	kbr_fwd_lead(ft, 2);
	return ft;
}

static void kbr_fwd_end(struct kbr_fwd_test *ft)
{
	kbr_forward_lost(ft->broker, &ft->route);
	kbr_forwarded_put(ft->account);
	kbr_topic_put(ft->topic);
	kbr_broker_put(ft->broker);
	kbr_test_exit(ft->tb);
}

/* Write a batch of @count records; an error as a pointer. */
static struct kbr_forwarded *kbr_fwd_write(struct kbr_fwd_test *ft, unsigned int count,
					   bool detached)
{
	struct kbr_record rec = { .timestamp = 1, .value = "value", .value_len = 5 };
	struct kbr_forwarded *forwarded = NULL;
	struct kbr_batch_builder bld;
	struct kbr_produce p;
	int err;

	kbr_batch_builder_init(&bld, ft->buf, sizeof(ft->buf));
	while (count--)
		KUNIT_ASSERT_EQ(ft->test, kbr_batch_builder_add(&bld, &rec), 0);
	p = (struct kbr_produce) {
		.buf = ft->buf,
		.len = kbr_batch_builder_finish(&bld),
		.acks = KBR_ACKS_ALL,
		.nowait = true,
	};
	err = kbr_forward_submit(ft->part, &p, detached, ft->account, &forwarded);
	return err ? ERR_PTR(err) : forwarded;
}

/* What is sent next must be sequence @sequence of producer epoch @epoch; -1: nothing is sent. */
static void kbr_fwd_sends(struct kbr_fwd_test *ft, s16 epoch, s32 sequence)
{
	struct kbr_forward_sent *sent = kbr_forward_next(ft->broker, &ft->route);
	unsigned int left = KBR_TEST_PATIENCE_MS / 5;
	struct kunit *test = ft->test;
	struct kbr_batch batch;

	if (sequence < 0) {
		KUNIT_EXPECT_NULL(test, sent);
		return;
	}
	/* after a failure it takes a moment */
	while (!sent && left--) {
		msleep(5);
		sent = kbr_forward_next(ft->broker, &ft->route);
	}
	KUNIT_ASSERT_NOT_NULL(test, sent);
	KUNIT_ASSERT_EQ(test, kbr_batch_decode(&batch, sent->buf, sent->size), 0);
	KUNIT_EXPECT_EQ(test, kbr_batch_check_crc(sent->buf, sent->size), 0);
	KUNIT_EXPECT_GE(test, batch.producer_id, 0);
	KUNIT_EXPECT_EQ(test, batch.producer_epoch, epoch);
	KUNIT_EXPECT_EQ(test, batch.base_sequence, sequence);
	KUNIT_EXPECT_EQ(test, batch.base_offset, 0);
	KUNIT_EXPECT_EQ(test, batch.attributes, 0);
}

static void kbr_fwd_answer(struct kbr_fwd_test *ft, int err)
{
	kbr_forward_answer(ft->broker, &ft->route, err, err ? -1 : 100, -1);
}

/* It ended so; the reference is dropped. */
static void kbr_fwd_ended(struct kbr_fwd_test *ft, struct kbr_forwarded *forwarded, int fate)
{
	unsigned int left = KBR_TEST_PATIENCE_MS / 5;

	while (!kbr_forwarded_fate(forwarded) && left--)
		msleep(5);
	KUNIT_EXPECT_EQ(ft->test, kbr_forwarded_fate(forwarded), fate);
	kbr_forwarded_put(forwarded);
}

/* One at a time until the leader knows the producer, then five. */
static void kbr_forward_test_pipeline(struct kunit *test)
{
	struct kbr_fwd_test *ft = kbr_fwd_begin(test, NULL, NULL);
	struct kbr_forwarded *write[7];
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(write); i++)
		write[i] = kbr_fwd_write(ft, 2, false);
	KUNIT_EXPECT_TRUE(test, kbr_forward_due(ft->part));
	KUNIT_EXPECT_TRUE(test, kbr_forward_waits(ft->broker, 2));
	KUNIT_EXPECT_FALSE(test, kbr_forward_waits(ft->broker, 3));
	kbr_fwd_sends(ft, 0, 0);
	kbr_fwd_sends(ft, 0, -1);
	KUNIT_EXPECT_EQ(test, kbr_forwarded_fate(write[0]), 0);
	kbr_fwd_answer(ft, 0);
	KUNIT_EXPECT_EQ(test, write[0]->base_offset, 100);
	kbr_fwd_ended(ft, write[0], 1);
	for (i = 1; i < 6; i++)
		kbr_fwd_sends(ft, 0, 2 * i);
	kbr_fwd_sends(ft, 0, -1);
	/* a repeat that the leader has forgotten the place of is there, too */
	kbr_fwd_answer(ft, -EALREADY);
	kbr_fwd_ended(ft, write[1], 1);
	kbr_fwd_sends(ft, 0, 12);
	for (i = 2; i < 7; i++) {
		KUNIT_EXPECT_EQ(test, kbr_forwarded_fate(ft->account), 0);
		kbr_fwd_answer(ft, 0);
		kbr_fwd_ended(ft, write[i], 1);
	}
	KUNIT_EXPECT_EQ(test, kbr_forwarded_fate(ft->account), 1);
	KUNIT_EXPECT_FALSE(test, kbr_forward_waits(ft->broker, 2));
	KUNIT_EXPECT_EQ(test, ft->broker->forwards.bytes, 0);
	kbr_fwd_end(ft);
}

/* Whatever is lost on the way, or refused by one that leads no more, goes again as it was. */
static void kbr_forward_test_again(struct kunit *test)
{
	struct kbr_fwd_test *ft = kbr_fwd_begin(test, NULL, NULL);
	struct kbr_forwarded *write[3];
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(write); i++)
		write[i] = kbr_fwd_write(ft, 1, false);
	kbr_fwd_sends(ft, 0, 0);
	kbr_fwd_answer(ft, 0);
	kbr_fwd_ended(ft, write[0], 1);
	kbr_fwd_sends(ft, 0, 1);
	kbr_fwd_sends(ft, 0, 2);
	kbr_forward_lost(ft->broker, &ft->route);
	KUNIT_EXPECT_EQ(test, ft->route.requests, 0);
	kbr_fwd_sends(ft, 0, 1);
	/* it is not known whether it got there: one by one from here */
	kbr_fwd_sends(ft, 0, -1);
	kbr_fwd_answer(ft, -EREMOTE);
	kbr_fwd_sends(ft, 0, 1);
	/* another leader: what the old one still says is no news */
	kbr_fwd_lead(ft, 3);
	kbr_fwd_sends(ft, 0, -1);
	kbr_fwd_answer(ft, 0);
	KUNIT_EXPECT_EQ(test, kbr_forwarded_fate(write[1]), 0);
	ft->route.leader = 3;
	for (i = 1; i < 3; i++) {
		kbr_fwd_sends(ft, 0, i);
		kbr_fwd_answer(ft, 0);
		kbr_fwd_ended(ft, write[i], 1);
	}
	kbr_fwd_end(ft);
}

/* A gap in the sequences is closed by a new epoch, unless a batch may be in some log. */
static void kbr_forward_test_sequences(struct kunit *test)
{
	struct kbr_fwd_test *ft = kbr_fwd_begin(test, NULL, NULL);
	struct kbr_forwarded *write[4];
	unsigned int i;

	write[0] = kbr_fwd_write(ft, 1, false);
	kbr_fwd_sends(ft, 0, 0);
	kbr_fwd_answer(ft, 0);
	kbr_fwd_ended(ft, write[0], 1);
	for (i = 0; i < 3; i++)
		write[i] = kbr_fwd_write(ft, 1, false);
	for (i = 0; i < 3; i++)
		kbr_fwd_sends(ft, 0, i + 1);
	/* the first is refused for good; those behind it miss it */
	kbr_fwd_answer(ft, -EMSGSIZE);
	kbr_fwd_ended(ft, write[0], -EMSGSIZE);
	kbr_fwd_answer(ft, -EILSEQ);
	kbr_fwd_sends(ft, 0, -1);
	kbr_fwd_answer(ft, -EILSEQ);
	kbr_fwd_sends(ft, 1, 0);
	kbr_fwd_answer(ft, 0);
	kbr_fwd_ended(ft, write[1], 1);
	kbr_fwd_sends(ft, 1, 1);
	/* lost, and then not expected: nobody knows */
	kbr_forward_lost(ft->broker, &ft->route);
	write[3] = kbr_fwd_write(ft, 1, false);
	kbr_fwd_sends(ft, 1, 1);
	kbr_fwd_answer(ft, -EILSEQ);
	kbr_fwd_ended(ft, write[2], -ETIMEDOUT);
	kbr_fwd_sends(ft, 1, 2);
	kbr_fwd_answer(ft, -EILSEQ);
	kbr_fwd_sends(ft, 2, 0);
	kbr_fwd_answer(ft, 0);
	kbr_fwd_ended(ft, write[3], 1);
	/* one that is refused alone leaves no gap */
	write[0] = kbr_fwd_write(ft, 1, false);
	kbr_fwd_sends(ft, 2, 1);
	kbr_fwd_answer(ft, -ENOLINK);
	kbr_fwd_ended(ft, write[0], -ENOLINK);
	write[0] = kbr_fwd_write(ft, 1, false);
	kbr_fwd_sends(ft, 2, 1);
	/* one that may be there already waits until there are enough replicas */
	kbr_fwd_answer(ft, -EIO);
	kbr_fwd_sends(ft, 2, 1);
	kbr_fwd_answer(ft, -ENOLINK);
	kbr_fwd_sends(ft, 2, 1);
	kbr_fwd_answer(ft, 0);
	kbr_fwd_ended(ft, write[0], 1);
	kbr_fwd_end(ft);
}

/* What waits when this broker comes to lead is appended here, once. */
static void kbr_forward_test_takeover(struct kunit *test)
{
	struct kbr_fwd_test *ft = kbr_fwd_begin(test, "message.timestamp.type", "LogAppendTime");
	struct kbr_forwarded *write[3];
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(write); i++)
		write[i] = kbr_fwd_write(ft, 1, false);
	kbr_fwd_sends(ft, 0, 0);
	ft->state.isr = (struct kbr_id_set) { 2, { 1, 2 } };
	kbr_fwd_lead(ft, 1);
	/* appended, but node 2 does not have it */
	KUNIT_EXPECT_EQ(test, kbr_partition_sync(ft->part, 1, ft->part->sync_failures), 0);
	KUNIT_EXPECT_EQ(test, kbr_forwarded_fate(write[0]), 0);
	KUNIT_EXPECT_TRUE(test, kbr_forward_due(ft->part));
	/* it loses the leadership: the next leader gets it as it was written */
	kbr_fwd_lead(ft, 2);
	kbr_fwd_answer(ft, -EREMOTE);
	kbr_fwd_sends(ft, 0, 0);
	kbr_forward_lost(ft->broker, &ft->route);
	/* and leads again: the first is there already */
	ft->state.isr = (struct kbr_id_set) { 1, { 1 } };
	kbr_fwd_lead(ft, 1);
	for (i = 0; i < ARRAY_SIZE(write); i++) {
		kbr_forwarded_get(write[i]);
		kbr_fwd_ended(ft, write[i], 1);
		KUNIT_EXPECT_EQ(test, write[i]->base_offset, i);
		kbr_forwarded_put(write[i]);
	}
	KUNIT_EXPECT_EQ(test, kbr_log_end(&ft->part->log), 3);
	KUNIT_EXPECT_FALSE(test, kbr_forward_due(ft->part));
	kbr_fwd_end(ft);
}

/* In the end a writer is told: nowhere, or perhaps. */
static void kbr_forward_test_deadline(struct kunit *test)
{
	struct kbr_fwd_test *ft = kbr_fwd_begin(test, "delivery.timeout.ms", "200");
	struct kbr_forwarded *write[2];

	write[0] = kbr_fwd_write(ft, 1, false);
	write[1] = kbr_fwd_write(ft, 1, true);
	kbr_fwd_sends(ft, 0, 0);
	kbr_fwd_ended(ft, write[0], -ETIMEDOUT);
	kbr_fwd_ended(ft, write[1], -EREMOTE);
	/* the open hears of what nobody waited for, once */
	KUNIT_EXPECT_EQ(test, kbr_forwarded_take_error(ft->broker, ft->account), -EREMOTE);
	KUNIT_EXPECT_EQ(test, kbr_forwarded_take_error(ft->broker, ft->account), 0);
	/* the answer comes too late */
	kbr_fwd_answer(ft, 0);
	KUNIT_EXPECT_EQ(test, ft->broker->forwards.bytes, 0);
	kbr_fwd_end(ft);
}

/* The end of the topic, and of the broker, ends what waits. */
static void kbr_forward_test_ends(struct kunit *test)
{
	struct kbr_fwd_test *ft = kbr_fwd_begin(test, NULL, NULL);
	struct kbr_forwarded *write[2];

	write[0] = kbr_fwd_write(ft, 1, false);
	write[1] = kbr_fwd_write(ft, 1, false);
	kbr_fwd_sends(ft, 0, 0);
	/* no room for more */
	ft->broker->forwards.bytes += KBR_FORWARD_BYTES_MAX;
	KUNIT_EXPECT_EQ(test, PTR_ERR(kbr_fwd_write(ft, 1, true)), -EAGAIN);
	ft->broker->forwards.bytes -= KBR_FORWARD_BYTES_MAX;
	KUNIT_ASSERT_EQ(test, kbr_test_delete(ft->tb, "t"), 0);
	kbr_fwd_ended(ft, write[0], -ENODEV);
	kbr_fwd_ended(ft, write[1], -ENODEV);
	KUNIT_EXPECT_EQ(test, PTR_ERR(kbr_fwd_write(ft, 1, true)), -ENODEV);
	kbr_fwd_end(ft);

	ft = kbr_fwd_begin(test, NULL, NULL);
	write[0] = kbr_fwd_write(ft, 1, false);
	write[1] = kbr_fwd_write(ft, 1, false);
	kbr_fwd_sends(ft, 0, 0);
	/* as when the broker stops: the routes end first */
	kbr_forward_lost(ft->broker, &ft->route);
	kbr_test_stop(ft->tb);
	kbr_fwd_ended(ft, write[0], -ENODEV);
	kbr_fwd_ended(ft, write[1], -ENODEV);
	kbr_fwd_end(ft);
}

static struct kunit_case kbr_forward_cases[] = {
	KUNIT_CASE(kbr_forward_test_pipeline),
	KUNIT_CASE(kbr_forward_test_again),
	KUNIT_CASE(kbr_forward_test_sequences),
	KUNIT_CASE(kbr_forward_test_takeover),
	KUNIT_CASE(kbr_forward_test_deadline),
	KUNIT_CASE(kbr_forward_test_ends),
	{}
};

static struct kunit_suite kbr_forward_suite = {
	.name = "kbroker_forward",
	.exit = kbr_test_cleanup,
	.test_cases = kbr_forward_cases,
};
kunit_test_suite(kbr_forward_suite);
