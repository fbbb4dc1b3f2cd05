// SPDX-License-Identifier: GPL-2.0-only
/*
 * The bounds for replicas that catch up: how much may go when, and who is
 * bound. This broker is node 1 and leads; node 2 catches up, node 3 is in sync.
 * The clock is the test's.
 */
#include <kunit/test.h>

#include "base/clock.h"
#include "broker/replica.h"
#include "broker/throttle.h"
#include "server/fetch_session.h"
#include "server_test.h"

/* The rate holds whatever is taken at once, and a second's worth is saved at most. */
static void kbr_throttle_test_rate(struct kunit *test)
{
	struct kbr_throttle throttle;
	s64 now, gone = 0;

	kbr_throttle_init(&throttle);
	KUNIT_EXPECT_EQ(test, kbr_throttle_wait_ms(&throttle, 1000, 0), 0);
	kbr_throttle_take(&throttle, 1000, 1500);
	KUNIT_EXPECT_EQ(test, kbr_throttle_wait_ms(&throttle, 1000, 0), 501);
	KUNIT_EXPECT_EQ(test, kbr_throttle_wait_ms(&throttle, 1000, 400), 101);
	/* a clock that goes back gives nothing */
	KUNIT_EXPECT_EQ(test, kbr_throttle_wait_ms(&throttle, 1000, 300), 101);
	KUNIT_EXPECT_EQ(test, kbr_throttle_wait_ms(&throttle, 1000, 501), 0);
	KUNIT_EXPECT_EQ(test, kbr_throttle_wait_ms(&throttle, 1000, 3600000), 0);
	kbr_throttle_take(&throttle, 1000, 1000);
	KUNIT_EXPECT_EQ(test, kbr_throttle_wait_ms(&throttle, 1000, 3600000), 1);
	/* looked at each millisecond: no part of a byte is lost */
	kbr_throttle_init(&throttle);
	for (now = 0; now < 10000; now++) {
		if (kbr_throttle_wait_ms(&throttle, 1500, now))
			continue;
		kbr_throttle_take(&throttle, 1500, 100);
		gone += 100;
	}
	KUNIT_EXPECT_GE(test, gone, 1500 + 14900);
	KUNIT_EXPECT_LE(test, gone, 1500 + 15100);
	/* the slowest, and none */
	kbr_throttle_init(&throttle);
	KUNIT_EXPECT_EQ(test, kbr_throttle_wait_ms(&throttle, 1, 0), 0);
	kbr_throttle_take(&throttle, 1, 3);
	KUNIT_EXPECT_EQ(test, kbr_throttle_wait_ms(&throttle, 1, 999), 1002);
	KUNIT_EXPECT_EQ(test, kbr_throttle_wait_ms(&throttle, 1, 2001), 0);
	kbr_throttle_take(&throttle, 1, S64_MAX);
	kbr_throttle_take(&throttle, 1, S64_MAX);
	KUNIT_EXPECT_GT(test, kbr_throttle_wait_ms(&throttle, 1, 4000), 1LL << 40);
	KUNIT_EXPECT_EQ(test, kbr_throttle_wait_ms(&throttle, KBR_THROTTLE_NONE, 4000), 0);
	/* another rate counts from now on */
	KUNIT_EXPECT_LE(test, kbr_throttle_wait_ms(&throttle, 1LL << 40, 4000), 1001);
}

/**
 * struct kbr_thr_test - the fixture
 * @ts: broker and connection
 * @topic: "t", one partition
 * @part: its partition
 * @now: the clock, ms
 */
struct kbr_thr_test {
	struct kbr_test_server *ts;
	struct kbr_topic *topic;
	struct kbr_partition *part;
	s64 now;
};

#define KBR_THR_RATE	1000

static void kbr_thr_begin(struct kunit *test, struct kbr_thr_test *tt)
{
	struct kbr_replica_state state = {
		.leader = 1,
		.replicas = { 3, { 1, 2, 3 } },
		.isr = { 2, { 1, 3 } },
	};
	struct kbr_refusal why;
	unsigned int i;

	memset(tt, 0, sizeof(*tt));
	tt->ts = kbr_test_server_begin(test);
	KUNIT_ASSERT_EQ(test, kbr_test_create(tt->ts->tb, "t", 1, "flush.policy", "async"), 0);
	tt->topic = kbr_test_topic(tt->ts->tb, "t");
	KUNIT_ASSERT_NOT_NULL(test, tt->topic);
	tt->part = kbr_topic_partition(tt->topic, 0);
	KUNIT_ASSERT_EQ(test, kbr_replica_alloc(tt->part), 0);
	kbr_partition_quiesce(tt->part, KBR_PARTITION_FOLLOWER);
	KUNIT_ASSERT_EQ(test, kbr_replica_apply(tt->part, &state, &why), 0);
	for (i = 0; i < 30; i++)
		KUNIT_ASSERT_GE(test, kbr_test_produce(tt->part, "value", KBR_ACKS_LEADER), 0);
	tt->now = 1000000;
	kbr_clock_set_fake(&tt->now);
	WRITE_ONCE(tt->ts->server.broker->config.leader_throttle_rate, KBR_THR_RATE);
}

static void kbr_thr_end(struct kbr_thr_test *tt)
{
	kbr_clock_set_fake(NULL);
	kbr_fetch_sessions_forget(tt->ts->server.broker);
	kbr_topic_put(tt->topic);
	kbr_test_server_end(tt->ts);
}

/* Bytes that follower @id, which has nothing yet, gets at once; @wait_ms: how long it would wait for some */
static s32 kbr_thr_fetch(struct kbr_thr_test *tt, s32 id, s32 wait_ms)
{
	struct kbr_test_request *tr;
	struct kbr_wire_reader *r;
	struct kbr_wire_writer *w;
	s32 len = 0;

	tt->ts->conn.peer_id = id;
	tt->ts->conn.peer_epoch = 10 + id;
	tr = kbr_test_request(tt->ts, KBR_API_FETCH, 12);
	w = &tr->body;
	kbr_put_s32(w, id);
	kbr_put_s32(w, wait_ms);
	kbr_put_s32(w, 1);
	kbr_put_s32(w, 1 << 20);
	kbr_put_s8(w, 0);
	kbr_put_s32(w, 0);
	kbr_put_s32(w, -1);
	kbr_put_count(w, 1);
	kbr_put_string(w, "t");
	kbr_put_count(w, 1);
	kbr_put_s32(w, 0);
	kbr_put_s32(w, 0);
	kbr_put_s64(w, 0);
	kbr_put_s32(w, -1);
	kbr_put_s64(w, 0);
	kbr_put_s32(w, 1 << 20);
	kbr_put_tags(w);
	kbr_put_tags(w);
	kbr_put_count(w, 0);
	kbr_put_string(w, "");
	kbr_put_tags(w);
	kbr_test_send(tr);
	KUNIT_ASSERT_EQ(tt->ts->test, kbr_test_finish(tr), KBR_REQUEST_DONE);
	r = &tr->reply;
	kbr_get_s32(r);
	KUNIT_EXPECT_EQ(tt->ts->test, kbr_get_s16(r), 0);
	kbr_get_s32(r);
	if (kbr_get_count(r)) {
		KUNIT_EXPECT_EQ(tt->ts->test, kbr_test_read_topic(tr, "t"), 1);
		kbr_get_s32(r);
		KUNIT_EXPECT_EQ(tt->ts->test, kbr_get_s16(r), 0);
		len = (s32)tr->req.slices_bytes;
	}
	kbr_test_release(tr);
	return len;
}

/* A leader gives one that catches up no more than the rate, and those in sync all that there is. */
static void kbr_throttle_test_leader(struct kunit *test)
{
	struct kbr_broker_config *config;
	struct kbr_throttled *list;
	struct kbr_thr_test tt;
	s32 all;

	kbr_thr_begin(test, &tt);
	config = &tt.ts->server.broker->config;
	all = (s32)kbr_log_size(&tt.part->log);
	KUNIT_ASSERT_GT(test, all, KBR_THR_RATE + 100);
	KUNIT_EXPECT_EQ(test, kbr_thr_fetch(&tt, 2, 0), all);
	KUNIT_EXPECT_EQ(test, kbr_thr_fetch(&tt, 2, 0), 0);
	/* in sync: at once, and not counted */
	KUNIT_EXPECT_EQ(test, kbr_thr_fetch(&tt, 3, 0), all);
	tt.now += all - KBR_THR_RATE;
	KUNIT_EXPECT_EQ(test, kbr_thr_fetch(&tt, 2, 0), 0);
	tt.now += 1;
	KUNIT_EXPECT_EQ(test, kbr_thr_fetch(&tt, 2, 0), all);
	/* a topic that is left out, and no bound */
	KUNIT_EXPECT_EQ(test, kbr_thr_fetch(&tt, 2, 0), 0);
	list = &tt.topic->config.leader_throttled;
	WRITE_ONCE(list->pair[0], KBR_THROTTLED_NOBODY);
	KUNIT_EXPECT_EQ(test, kbr_thr_fetch(&tt, 2, 0), all);
	/* lists that have the follower, another partition, and then the leader */
	WRITE_ONCE(list->pair[0], kbr_throttled_pair(0, 2));
	WRITE_ONCE(list->pair[1], kbr_throttled_pair(1, 1));
	KUNIT_EXPECT_EQ(test, kbr_thr_fetch(&tt, 2, 0), all);
	WRITE_ONCE(list->pair[2], kbr_throttled_pair(0, 1));
	KUNIT_EXPECT_EQ(test, kbr_thr_fetch(&tt, 2, 0), 0);
	memset(list, 0, sizeof(*list));
	KUNIT_EXPECT_EQ(test, kbr_thr_fetch(&tt, 2, 0), 0);
	WRITE_ONCE(config->leader_throttle_rate, KBR_THROTTLE_NONE);
	KUNIT_EXPECT_EQ(test, kbr_thr_fetch(&tt, 2, 0), all);
	kbr_thr_end(&tt);
}

/* Who waits meanwhile is not woken by what comes, and is answered when there may be something. */
static void kbr_throttle_test_waits(struct kunit *test)
{
	struct kbr_thr_test tt;
	s64 ms;

	kbr_thr_begin(test, &tt);
	KUNIT_EXPECT_GT(test, kbr_thr_fetch(&tt, 2, 0), 0);
	ms = kbr_replica_throttle_ms(tt.part, 2, true);
	KUNIT_EXPECT_GT(test, ms, 0);
	KUNIT_EXPECT_EQ(test, kbr_replica_throttle_ms(tt.part, 3, true), 0);
	KUNIT_EXPECT_EQ(test, kbr_replica_throttle_ms(tt.part, 2, false), 0);
	tt.now += ms - 1;
	/* one more millisecond of the real clock is little against the time that it offers to wait */
	KUNIT_EXPECT_EQ(test, kbr_thr_fetch(&tt, 2, KBR_TEST_LONG_MS), 0);
	tt.now += 1;
	KUNIT_EXPECT_GT(test, kbr_thr_fetch(&tt, 2, KBR_TEST_LONG_MS), 0);
	kbr_thr_end(&tt);
}

static struct kunit_case kbr_throttle_cases[] = {
	KUNIT_CASE(kbr_throttle_test_rate),
	KUNIT_CASE(kbr_throttle_test_leader),
	KUNIT_CASE(kbr_throttle_test_waits),
	{}
};

/* Whatever a test has left behind, the clock is the real one again. */
static void kbr_throttle_exit(struct kunit *test)
{
	kbr_clock_set_fake(NULL);
	kbr_test_cleanup(test);
}

static struct kunit_suite kbr_throttle_suite = {
	.name = "kbroker_throttle",
	.exit = kbr_throttle_exit,
	.test_cases = kbr_throttle_cases,
};
kunit_test_suite(kbr_throttle_suite);
