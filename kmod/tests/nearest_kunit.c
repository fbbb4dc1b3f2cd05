// SPDX-License-Identifier: GPL-2.0-only
/*
 * Consumers and the replicas near them (KIP-392): whom a leader sends them to,
 * and what a new leader does not know yet. This broker is node 1; nodes 2 and 3
 * are what the test says of them.
 */
#include <kunit/test.h>
#include <linux/string.h>

#include "broker/cluster.h"
#include "broker/replica.h"
#include "server_test.h"

static const u8 kbr_near_topic_id[16] = "a topic's own id";

/**
 * struct kbr_near_test - the fixture
 * @ts: broker, a member that leads "t", and connection
 * @topic: "t", one partition, flush.policy=async
 * @part: its partition
 * @state: as the controller told it last
 * @why: of refusals
 */
struct kbr_near_test {
	struct kbr_test_server *ts;
	struct kbr_topic *topic;
	struct kbr_partition *part;
	struct kbr_replica_state state;
	struct kbr_refusal why;
};

static void kbr_near_peer(struct kbr_near_test *nt, s32 id, s64 epoch, const char *rack, bool fenced)
{
	struct kbr_peer peer = { .id = id, .epoch = epoch, .fenced = fenced };

	peer.address.ss_family = AF_INET;
	strscpy(peer.rack, rack, sizeof(peer.rack));
	KUNIT_ASSERT_EQ(nt->ts->test, kbr_cluster_peer_set(nt->ts->server.broker, &peer, &nt->why),
			0);
}

static void kbr_near_lead(struct kbr_near_test *nt, s32 leader)
{
	nt->state.leader = leader;
	nt->state.leader_epoch++;
	nt->state.partition_epoch++;
	KUNIT_ASSERT_EQ(nt->ts->test, kbr_replica_apply(nt->part, &nt->state, &nt->why), 0);
}

/* The member's topic, which it leads, and its peers: 2 in rack "b", 3 in "c" */
static void kbr_near_begin(struct kunit *test, struct kbr_near_test *nt)
{
	struct kbr_cluster_change change = { .has_id = true, .id = "cluster", .epoch = 11 };
	struct kbr_topic_params params = {
		.name = "t", .partitions = 1, .replication_factor = 3, .id = kbr_near_topic_id,
	};
	u32 op = 0;
	int err;

	memset(nt, 0, sizeof(*nt));
	nt->ts = kbr_test_server_begin(test);
	err = kbr_cluster_set(nt->ts->server.broker, &change, &op, &nt->why);
	KUNIT_ASSERT_EQ(test, kbr_test_wait_op(nt->ts->tb, err, op), 0);
	KUNIT_ASSERT_EQ(test, kbr_config_set_put(&params.configs, "flush.policy", "async"), 0);
	op = 0;
	err = kbr_topic_create(nt->ts->server.broker, &params, &op, &nt->why);
	KUNIT_ASSERT_EQ(test, kbr_test_wait_op(nt->ts->tb, err, op), 0);
	nt->topic = kbr_test_topic(nt->ts->tb, "t");
	KUNIT_ASSERT_NOT_NULL(test, nt->topic);
	nt->part = kbr_topic_partition(nt->topic, 0);
	nt->state = (struct kbr_replica_state) {
		.replicas = { 3, { 1, 2, 3 } },
		.isr = { 3, { 1, 2, 3 } },
	};
	kbr_near_peer(nt, 1, 11, "a", false);
	kbr_near_peer(nt, 2, 12, "b", false);
	kbr_near_peer(nt, 3, 13, "c", false);
	kbr_near_lead(nt, 1);
}

static void kbr_near_end(struct kbr_near_test *nt)
{
	kbr_topic_put(nt->topic);
	kbr_test_server_end(nt->ts);
}

/* Follower @id has all up to @end, begins at @start, and has been told @hw. */
static void kbr_near_fetched(struct kbr_near_test *nt, s32 id, s64 start, s64 end, s64 hw)
{
	struct kbr_replica_fetch fetch = {
		.id = id,
		.broker_epoch = 10 + id,
		.leader_epoch = nt->state.leader_epoch,
		.last_epoch = -1,
		.offset = end,
		.synced = end,
		.start = start,
		.hw = hw,
	};
	struct kbr_replica_diverging diverging;

	KUNIT_ASSERT_EQ(nt->ts->test, kbr_replica_fetched(nt->part, &fetch, 1, &diverging), 0);
}

static void kbr_near_fill(struct kbr_near_test *nt, unsigned int count)
{
	while (count--)
		KUNIT_ASSERT_GE(nt->ts->test, kbr_test_produce(nt->part, "value", KBR_ACKS_LEADER), 0);
}

/* Who is chosen, and who is not: each condition by itself. */
static void kbr_near_test_choice(struct kunit *test)
{
	struct kbr_near_test nt;

	kbr_near_begin(test, &nt);
	kbr_near_fill(&nt, 5);
	KUNIT_EXPECT_EQ(test, kbr_replica_nearest(nt.part, "b", 0), -1);	/* has not fetched */
	kbr_near_fetched(&nt, 2, 2, 5, 4);
	kbr_near_fetched(&nt, 3, 0, 5, 4);
	KUNIT_EXPECT_EQ(test, kbr_partition_hw(nt.part), 5);
	KUNIT_EXPECT_EQ(test, kbr_replica_nearest(nt.part, "b", 2), 2);
	KUNIT_EXPECT_EQ(test, kbr_replica_nearest(nt.part, "b", 4), 2);
	KUNIT_EXPECT_EQ(test, kbr_replica_nearest(nt.part, "c", 0), 3);
	KUNIT_EXPECT_EQ(test, kbr_replica_nearest(nt.part, "b", 1), -1);	/* it has dropped that */
	KUNIT_EXPECT_EQ(test, kbr_replica_nearest(nt.part, "b", 5), -1);	/* not known there */
	KUNIT_EXPECT_EQ(test, kbr_replica_nearest(nt.part, "a", 2), -1);	/* our own */
	KUNIT_EXPECT_EQ(test, kbr_replica_nearest(nt.part, "d", 2), -1);
	KUNIT_EXPECT_EQ(test, kbr_replica_nearest(nt.part, "", 2), -1);
	/* what it can't have, whatever it was told */
	kbr_near_fetched(&nt, 2, 2, 4, 9);
	KUNIT_EXPECT_EQ(test, kbr_replica_nearest(nt.part, "b", 5), -1);
	/* of two in one rack the one that is further */
	kbr_near_peer(&nt, 3, 13, "b", false);
	KUNIT_EXPECT_EQ(test, kbr_replica_nearest(nt.part, "b", 3), 3);
	kbr_near_fetched(&nt, 2, 2, 5, 5);
	kbr_near_fetched(&nt, 3, 2, 5, 4);
	KUNIT_EXPECT_EQ(test, kbr_replica_nearest(nt.part, "b", 5), 2);
	/* one without a session, or whose session is another one than that which fetched */
	kbr_near_peer(&nt, 2, 12, "b", true);
	KUNIT_EXPECT_EQ(test, kbr_replica_nearest(nt.part, "b", 5), -1);
	kbr_near_peer(&nt, 2, 20, "b", false);
	KUNIT_EXPECT_EQ(test, kbr_replica_nearest(nt.part, "b", 5), -1);
	/* not in sync */
	KUNIT_EXPECT_EQ(test, kbr_replica_nearest(nt.part, "b", 3), 3);
	nt.state.isr = (struct kbr_id_set) { 2, { 1, 2 } };
	nt.state.partition_epoch++;
	KUNIT_ASSERT_EQ(test, kbr_replica_apply(nt.part, &nt.state, &nt.why), 0);
	KUNIT_EXPECT_EQ(test, kbr_replica_nearest(nt.part, "b", 3), -1);
	/* who does not lead sends nobody anywhere */
	kbr_near_peer(&nt, 2, 20, "a", false);
	kbr_near_lead(&nt, 2);
	KUNIT_EXPECT_EQ(test, kbr_replica_nearest(nt.part, "b", 3), -1);
	kbr_near_end(&nt);
}

/* What a consumer of @rack that reads at @offset is answered */
struct kbr_near_got {
	s16 error;
	s64 hw;
	s32 nearest;
	s32 len;
};

static void kbr_near_fetch(struct kbr_near_test *nt, s16 version, s64 offset, const char *rack,
			   s32 wait_ms, struct kbr_near_got *got)
{
	struct kbr_test_request *tr = kbr_test_request(nt->ts, KBR_API_FETCH, version);
	struct kbr_wire_reader *r = &tr->reply;
	struct kbr_wire_writer *w = &tr->body;
	struct kunit *test = nt->ts->test;

	kbr_put_s32(w, -1);
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
	kbr_put_s32(w, -1);
	kbr_put_s64(w, offset);
	if (version >= 12)
		kbr_put_s32(w, -1);
	kbr_put_s64(w, -1);
	kbr_put_s32(w, 1 << 20);
	kbr_put_tags(w);
	kbr_put_tags(w);
	kbr_put_count(w, 1);		/* forgotten, though there is no session */
	kbr_put_string(w, "t");
	kbr_put_count(w, 1);
	kbr_put_s32(w, 0);
	kbr_put_tags(w);
	if (version >= 11)
		kbr_put_string(w, rack);
	kbr_put_tags(w);
	kbr_test_send(tr);
	KUNIT_ASSERT_EQ(test, kbr_test_finish(tr), KBR_REQUEST_DONE);
	kbr_get_s32(r);
	KUNIT_EXPECT_EQ(test, kbr_get_s16(r), 0);
	kbr_get_s32(r);
	KUNIT_EXPECT_EQ(test, kbr_get_count(r), 1);
	KUNIT_EXPECT_EQ(test, kbr_test_read_topic(tr, "t"), 1);
	KUNIT_EXPECT_EQ(test, kbr_get_s32(r), 0);
	got->error = kbr_get_s16(r);
	got->hw = kbr_get_s64(r);
	kbr_get_s64(r);
	kbr_get_s64(r);
	KUNIT_EXPECT_EQ(test, kbr_get_nullable_count(r), -1);
	got->nearest = version >= 11 ? kbr_get_s32(r) : -1;
	got->len = version >= 12 ? (s32)kbr_get_uvarint(r) - 1 : kbr_get_s32(r);
	KUNIT_EXPECT_FALSE(test, r->bad);
	kbr_test_release(tr);
}

/* Fetch: only with the config, a rack and a version that knows of it; then at once, and without records. */
static void kbr_near_test_fetch(struct kunit *test)
{
	char longer[KBROKER_RACK_MAX + 2];
	struct kbr_near_test nt;
	struct kbr_near_got got;
	struct kbr_broker *broker;

	kbr_near_begin(test, &nt);
	broker = nt.ts->server.broker;
	kbr_near_fill(&nt, 3);
	kbr_near_fetched(&nt, 2, 0, 3, 3);
	kbr_near_fetched(&nt, 3, 0, 3, 3);
	KUNIT_EXPECT_FALSE(test, broker->config.replica_nearest);
	kbr_near_fetch(&nt, 11, 1, "b", KBR_TEST_LONG_MS, &got);
	KUNIT_EXPECT_EQ(test, got.nearest, -1);
	KUNIT_EXPECT_GT(test, got.len, 0);
	WRITE_ONCE(broker->config.replica_nearest, true);
	kbr_near_fetch(&nt, 11, 1, "b", KBR_TEST_LONG_MS, &got);
	KUNIT_EXPECT_EQ(test, got.error, 0);
	KUNIT_EXPECT_EQ(test, got.nearest, 2);
	KUNIT_EXPECT_EQ(test, got.len, 0);
	KUNIT_EXPECT_EQ(test, got.hw, 3);
	/* at the end, too: it is to wait there */
	kbr_near_fetch(&nt, 12, 3, "c", KBR_TEST_LONG_MS, &got);
	KUNIT_EXPECT_EQ(test, got.nearest, 3);
	kbr_near_fetch(&nt, 12, 1, "", KBR_TEST_LONG_MS, &got);
	KUNIT_EXPECT_EQ(test, got.nearest, -1);
	KUNIT_EXPECT_GT(test, got.len, 0);
	memset(longer, 'b', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	kbr_near_fetch(&nt, 12, 1, longer, KBR_TEST_LONG_MS, &got);
	KUNIT_EXPECT_EQ(test, got.nearest, -1);
	KUNIT_EXPECT_GT(test, got.len, 0);
	kbr_near_fetch(&nt, 10, 1, NULL, KBR_TEST_LONG_MS, &got);
	KUNIT_EXPECT_GT(test, got.len, 0);
	/* an error is told of, and nobody else */
	kbr_near_fetch(&nt, 11, 9, "b", KBR_TEST_LONG_MS, &got);
	KUNIT_EXPECT_EQ(test, got.error, 1);
	KUNIT_EXPECT_EQ(test, got.nearest, -1);
	kbr_near_end(&nt);
}

/* A follower serves what it knows to be committed; what it has not is the leader's business. */
static void kbr_near_test_follower(struct kunit *test)
{
	struct kbr_near_test nt;
	struct kbr_near_got got;

	kbr_near_begin(test, &nt);
	kbr_near_fill(&nt, 3);
	kbr_near_fetched(&nt, 2, 0, 2, 0);
	kbr_near_fetched(&nt, 3, 0, 3, 0);
	KUNIT_EXPECT_EQ(test, kbr_partition_hw(nt.part), 2);
	kbr_near_lead(&nt, 2);
	kbr_near_fetch(&nt, 11, 0, "b", KBR_TEST_LONG_MS, &got);
	KUNIT_EXPECT_EQ(test, got.error, 0);
	KUNIT_EXPECT_EQ(test, got.hw, 2);
	KUNIT_EXPECT_GT(test, got.len, 0);
	/* the third may still be cut: wait for it */
	kbr_near_fetch(&nt, 11, 3, "b", 1, &got);
	KUNIT_EXPECT_EQ(test, got.error, 0);
	KUNIT_EXPECT_EQ(test, got.len, 0);
	/* beyond it: OFFSET_OUT_OF_RANGE, without a high watermark: clients ask the leader */
	kbr_near_fetch(&nt, 11, 4, "b", KBR_TEST_LONG_MS, &got);
	KUNIT_EXPECT_EQ(test, got.error, 1);
	KUNIT_EXPECT_EQ(test, got.hw, -1);
	kbr_near_fetch(&nt, 10, 0, NULL, KBR_TEST_LONG_MS, &got);
	KUNIT_EXPECT_EQ(test, got.error, 6);
	kbr_near_end(&nt);
}

static s16 kbr_near_latest(struct kbr_near_test *nt, s16 version, s64 timestamp, s64 *offset)
{
	struct kbr_test_request *tr = kbr_test_request(nt->ts, KBR_API_LIST_OFFSETS, version);
	struct kbr_wire_writer *w = &tr->body;
	struct kbr_wire_reader *r = &tr->reply;
	s16 error;

	kbr_put_s32(w, -1);
	kbr_put_s8(w, 0);
	kbr_put_count(w, 1);
	kbr_put_string(w, "t");
	kbr_put_count(w, 1);
	kbr_put_s32(w, 0);
	kbr_put_s32(w, -1);
	kbr_put_s64(w, timestamp);
	kbr_test_ask(tr);
	kbr_get_s32(r);
	KUNIT_EXPECT_EQ(nt->ts->test, kbr_get_count(r), 1);
	KUNIT_EXPECT_EQ(nt->ts->test, kbr_test_read_topic(tr, "t"), 1);
	kbr_get_s32(r);
	error = kbr_get_s16(r);
	kbr_get_s64(r);
	*offset = kbr_get_s64(r);
	kbr_test_release(tr);
	return error;
}

/* KIP-207: a new leader tells no end that may be below one which was told before. */
static void kbr_near_test_latest(struct kunit *test)
{
	struct kbr_near_test nt;
	s64 offset;

	kbr_near_begin(test, &nt);
	kbr_near_fill(&nt, 3);
	kbr_near_fetched(&nt, 2, 0, 3, 0);
	kbr_near_fetched(&nt, 3, 0, 2, 0);
	KUNIT_EXPECT_EQ(test, kbr_near_latest(&nt, 5, -1, &offset), 0);
	KUNIT_EXPECT_EQ(test, offset, 2);
	kbr_near_lead(&nt, 1);
	KUNIT_EXPECT_EQ(test, kbr_near_latest(&nt, 5, -1, &offset), 78);
	KUNIT_EXPECT_EQ(test, kbr_near_latest(&nt, 4, -1, &offset), 5);
	KUNIT_EXPECT_EQ(test, kbr_near_latest(&nt, 5, -2, &offset), 0);
	KUNIT_EXPECT_EQ(test, offset, 0);
	kbr_near_fetched(&nt, 2, 0, 3, 2);
	kbr_near_fetched(&nt, 3, 0, 3, 2);
	KUNIT_EXPECT_EQ(test, kbr_near_latest(&nt, 5, -1, &offset), 0);
	KUNIT_EXPECT_EQ(test, offset, 3);
	kbr_near_lead(&nt, 2);
	KUNIT_EXPECT_EQ(test, kbr_near_latest(&nt, 5, -1, &offset), 6);
	kbr_near_end(&nt);
}

static struct kunit_case kbr_near_cases[] = {
	KUNIT_CASE(kbr_near_test_choice),
	KUNIT_CASE(kbr_near_test_fetch),
	KUNIT_CASE(kbr_near_test_follower),
	KUNIT_CASE(kbr_near_test_latest),
	{}
};

static struct kunit_suite kbr_near_suite = {
	.name = "kbroker_nearest",
	.exit = kbr_test_cleanup,
	.test_cases = kbr_near_cases,
};
kunit_test_suite(kbr_near_suite);
