// SPDX-License-Identifier: GPL-2.0-only
/*
 * A broker in a cluster: how it becomes a member and stays one, what it is
 * told, and what it asks of the controller, who is the test.
 */
#include <kunit/test.h>
#include <linux/mm.h>

#include "broker/cluster.h"
#include "broker/op.h"
#include "broker/replica_ops.h"
#include "broker/request.h"
#include "codec/record.h"
#include "broker_test.h"

static const u8 kbr_test_cluster_id[16] = "a cluster's id!";
static const u8 kbr_test_topic_id[16] = "a topic's own id";

/* ---- short ways ---- */

static int kbr_test_set(struct kbr_test_broker *tb, const struct kbr_cluster_change *change)
{
	struct kbr_broker *broker = kbr_test_get(tb);
	u32 id = 0;
	int err;

	tb->why.text[0] = '\0';
	err = kbr_cluster_set(broker, change, &id, &tb->why);
	kbr_broker_put(broker);
	return err || !id ? err : kbr_test_wait_op(tb, 0, id);
}

static int kbr_test_join(struct kbr_test_broker *tb, const u8 id[16], s64 epoch)
{
	struct kbr_cluster_change change = { .has_id = true, .epoch = epoch };

	memcpy(change.id, id, sizeof(change.id));
	return kbr_test_set(tb, &change);
}

static int kbr_test_epoch(struct kbr_test_broker *tb, s64 epoch)
{
	struct kbr_cluster_change change = { .epoch = epoch };

	return kbr_test_set(tb, &change);
}

static void kbr_test_describe(struct kbr_test_broker *tb, struct kbr_cluster_info *info)
{
	struct kbr_broker *broker = kbr_test_get(tb);

	kbr_cluster_describe(broker, info);
	kbr_broker_put(broker);
}

/* A running member with broker epoch 5; a broker that starts with @config, NULL none */
static struct kbr_test_broker *kbr_test_member(struct kunit *test, const char *config,
					       const char *value)
{
	struct kbr_test_broker *tb = kbr_test_init(test);

	if (config)
		KUNIT_ASSERT_EQ(test, kbr_config_set_put(&tb->configs, config, value), 0);
	KUNIT_ASSERT_EQ(test, kbr_test_start(tb), 0);
	KUNIT_ASSERT_EQ(test, kbr_test_join(tb, kbr_test_cluster_id, 5), 0);
	return tb;
}

/* The one open request, with a reference */
static struct kbr_cluster_request *kbr_test_request(struct kbr_test_broker *tb)
{
	struct kbr_broker *broker = kbr_test_get(tb);
	struct kbr_cluster_request *request = kbr_cluster_request_next(broker, 0);

	kbr_broker_put(broker);
	KUNIT_ASSERT_NOT_NULL(tb->test, request);
	return request;
}

static unsigned int kbr_test_requests(struct kbr_test_broker *tb)
{
	struct kbr_cluster_info info;

	kbr_test_describe(tb, &info);
	return info.requests;
}

static int kbr_test_answer(struct kbr_test_broker *tb, u64 id, int err, const char *message)
{
	struct kbr_broker *broker = kbr_test_get(tb);
	int ret = kbr_cluster_request_answer(broker, id, err, message, &tb->why);

	kbr_broker_put(broker);
	return ret;
}

/* Begin to create topic "t"; @id NULL: ask for it. The operation's id */
static u32 kbr_test_begin(struct kbr_test_broker *tb, const u8 *id, s32 factor)
{
	struct kbr_topic_params params = {
		.name = "t", .partitions = 2, .replication_factor = factor, .id = id,
	};
	struct kbr_broker *broker = kbr_test_get(tb);
	u32 op = 0;
	int err = kbr_topic_create(broker, &params, &op, &tb->why);

	kbr_broker_put(broker);
	KUNIT_ASSERT_EQ(tb->test, err, 0);
	return op;
}

static bool kbr_test_op_ended(struct kbr_test_broker *tb, u32 id)
{
	struct kbr_op *op = kbr_op_lookup(tb->knet, id);
	bool ended;

	KUNIT_ASSERT_NOT_NULL(tb->test, op);
	ended = kbr_op_ended(op);
	kbr_op_put(op);
	return ended;
}

/* The controller has decided on topic "t". */
static void kbr_test_decide(struct kbr_test_broker *tb)
{
	u32 op = kbr_test_begin(tb, kbr_test_topic_id, 3);

	KUNIT_ASSERT_EQ(tb->test, kbr_test_wait_op(tb, 0, op), 0);
}

/* ---- membership ---- */

static void kbr_cluster_test_join(struct kunit *test)
{
	struct kbr_test_broker *tb = kbr_test_init(test);
	static const u8 other[16] = "another cluster";
	static const u8 none[16];
	struct kbr_cluster_info info;

	KUNIT_ASSERT_EQ(test, kbr_config_set_put(&tb->configs, "default.replication.factor", "3"), 0);
	KUNIT_EXPECT_EQ(test, kbr_test_start(tb), -EINVAL);
	KUNIT_EXPECT_TRUE(test, strstr(tb->why.text, "default.replication.factor must be 1"));
	kbr_config_set_free(&tb->configs);
	KUNIT_ASSERT_EQ(test, kbr_test_start(tb), 0);
	kbr_test_describe(tb, &info);
	KUNIT_EXPECT_EQ(test, (int)info.state, (int)KBR_CLUSTER_STANDALONE);
	KUNIT_EXPECT_EQ(test, kbr_test_epoch(tb, 1), -EINVAL);
	KUNIT_EXPECT_TRUE(test, strstr(tb->why.text, "belongs to no cluster"));
	KUNIT_EXPECT_EQ(test, kbr_test_join(tb, none, -1), -EINVAL);
	KUNIT_ASSERT_EQ(test, kbr_test_create(tb, "t", 1, NULL, NULL), 0);
	KUNIT_EXPECT_EQ(test, kbr_test_join(tb, kbr_test_cluster_id, -1), -ENOTEMPTY);
	KUNIT_EXPECT_TRUE(test, strstr(tb->why.text, "1 topics of its own"));
	KUNIT_ASSERT_EQ(test, kbr_test_delete(tb, "t"), 0);

	KUNIT_ASSERT_EQ(test, kbr_test_join(tb, kbr_test_cluster_id, -1), 0);
	kbr_test_describe(tb, &info);
	KUNIT_EXPECT_EQ(test, (int)info.state, (int)KBR_CLUSTER_WAITING);
	KUNIT_EXPECT_MEMEQ(test, info.id, kbr_test_cluster_id, 16);
	KUNIT_EXPECT_EQ(test, kbr_test_join(tb, other, -1), -EINVAL);
	KUNIT_EXPECT_TRUE(test, strstr(tb->why.text, "never changes its cluster"));
	/* it is not forgotten, not even without a clean stop */
	kbr_test_crash(tb, 1);
	KUNIT_ASSERT_EQ(test, kbr_test_start(tb), 0);
	kbr_test_describe(tb, &info);
	KUNIT_EXPECT_EQ(test, (int)info.state, (int)KBR_CLUSTER_WAITING);
	KUNIT_EXPECT_MEMEQ(test, info.id, kbr_test_cluster_id, 16);
	kbr_test_exit(tb);
}

static void kbr_cluster_test_epoch(struct kunit *test)
{
	struct kbr_test_broker *tb = kbr_test_member(test, NULL, NULL);
	struct kbr_cluster_change change = { .epoch = -1, .has_fenced = true, .fenced = true };
	struct kbr_cluster_info info, again;

	kbr_test_describe(tb, &info);
	KUNIT_EXPECT_EQ(test, (int)info.state, (int)KBR_CLUSTER_ACTIVE);
	KUNIT_EXPECT_EQ(test, info.epoch, 5);
	KUNIT_EXPECT_EQ(test, info.previous_epoch, -1);
	KUNIT_EXPECT_EQ(test, kbr_test_epoch(tb, 4), -ESTALE);
	KUNIT_EXPECT_EQ(test, kbr_test_epoch(tb, 5), 0);
	KUNIT_EXPECT_EQ(test, kbr_test_set(tb, &change), 0);
	kbr_test_describe(tb, &info);
	KUNIT_EXPECT_EQ(test, (int)info.state, (int)KBR_CLUSTER_FENCED);

	/* A clean stop keeps the epoch, which is then none to start with. */
	kbr_test_stop(tb);
	KUNIT_ASSERT_EQ(test, kbr_test_start(tb), 0);
	kbr_test_describe(tb, &again);
	KUNIT_EXPECT_EQ(test, (int)again.state, (int)KBR_CLUSTER_WAITING);
	KUNIT_EXPECT_EQ(test, again.epoch, -1);
	KUNIT_EXPECT_EQ(test, again.previous_epoch, 5);
	KUNIT_EXPECT_NE(test, memcmp(again.incarnation, info.incarnation, 16), 0);
	KUNIT_EXPECT_EQ(test, kbr_test_epoch(tb, 5), -ESTALE);
	/* What was decided for the life before is not for this one, though it is not older. */
	change = (struct kbr_cluster_change) { .epoch = 6, .has_incarnation = true };
	memcpy(change.incarnation, info.incarnation, 16);
	KUNIT_EXPECT_EQ(test, kbr_test_set(tb, &change), -ESTALE);
	memcpy(change.incarnation, again.incarnation, 16);
	change.epoch = -1;
	change.has_fenced = true;
	KUNIT_EXPECT_EQ(test, kbr_test_set(tb, &change), 0);
	KUNIT_EXPECT_EQ(test, kbr_test_epoch(tb, 6), 0);
	/* A stop without a crash, but without an epoch either, keeps the older one. */
	kbr_test_stop(tb);
	KUNIT_ASSERT_EQ(test, kbr_test_start(tb), 0);
	kbr_test_stop(tb);
	KUNIT_ASSERT_EQ(test, kbr_test_start(tb), 0);
	kbr_test_describe(tb, &again);
	KUNIT_EXPECT_EQ(test, again.previous_epoch, 6);
	/* After a crash none is known. */
	kbr_test_crash(tb, 2);
	KUNIT_ASSERT_EQ(test, kbr_test_start(tb), 0);
	kbr_test_describe(tb, &again);
	KUNIT_EXPECT_EQ(test, again.previous_epoch, -1);
	kbr_test_exit(tb);
}

static void kbr_cluster_test_peers(struct kunit *test)
{
	struct kbr_test_broker *tb = kbr_test_member(test, NULL, NULL);
	struct kbr_peer peer = { .id = 3, .epoch = 9, .rack = "r1" }, copy;
	struct kbr_broker *broker = kbr_test_get(tb);
	s32 id;

	peer.address.ss_family = AF_INET;
	KUNIT_EXPECT_EQ(test, kbr_cluster_peer(broker, 3, &copy), -ENOENT);
	KUNIT_EXPECT_EQ(test, kbr_cluster_peer_set(broker, &peer, &tb->why), 0);
	KUNIT_EXPECT_EQ(test, kbr_cluster_peer(broker, 3, &copy), 0);
	KUNIT_EXPECT_EQ(test, copy.epoch, 9);
	KUNIT_EXPECT_STREQ(test, copy.rack, "r1");
	peer.epoch = 8;
	KUNIT_EXPECT_EQ(test, kbr_cluster_peer_set(broker, &peer, &tb->why), -ESTALE);
	peer.epoch = 10;
	peer.fenced = true;
	KUNIT_EXPECT_EQ(test, kbr_cluster_peer_set(broker, &peer, &tb->why), 0);
	KUNIT_EXPECT_EQ(test, kbr_cluster_peer(broker, 3, &copy), 0);
	KUNIT_EXPECT_TRUE(test, copy.fenced);

	for (id = 4; id < 3 + KBROKER_BROKERS_MAX; id++) {
		peer.id = id;
		KUNIT_ASSERT_EQ(test, kbr_cluster_peer_set(broker, &peer, &tb->why), 0);
	}
	peer.id = id;
	KUNIT_EXPECT_EQ(test, kbr_cluster_peer_set(broker, &peer, &tb->why), -E2BIG);
	for (id = -1; !kbr_cluster_next_peer(broker, id, &copy); id = copy.id)
		KUNIT_EXPECT_EQ(test, copy.id, max(id + 1, 3));
	KUNIT_EXPECT_EQ(test, id, 2 + KBROKER_BROKERS_MAX);
	KUNIT_EXPECT_EQ(test, kbr_cluster_peer_del(broker, 3, &tb->why), 0);
	KUNIT_EXPECT_EQ(test, kbr_cluster_peer_del(broker, 3, &tb->why), -ENOENT);
	kbr_broker_put(broker);
	kbr_test_exit(tb);
}

/* RFC 4231, test case 1, the message in two parts */
static void kbr_cluster_test_proof(struct kunit *test)
{
	static const u8 good[KBR_CLUSTER_MAC_SIZE] = {
		0xb0, 0x34, 0x4c, 0x61, 0xd8, 0xdb, 0x38, 0x53, 0x5c, 0xa8, 0xaf, 0xce, 0xaf, 0x0b,
		0xf1, 0x2b, 0x88, 0x1d, 0xc2, 0x00, 0xc9, 0x83, 0x3d, 0xa7, 0x26, 0xe9, 0x37, 0x6c,
		0x2e, 0x32, 0xcf, 0xf7,
	};
	struct kbr_test_broker *tb = kbr_test_member(test, NULL, NULL);
	struct kbr_cluster_change change = { .epoch = -1, .secret_len = 20 };
	struct kvec parts[] = { { "Hi ", 3 }, { "There", 5 } };
	struct kbr_broker *broker = kbr_test_get(tb);
	u8 mac[KBR_CLUSTER_MAC_SIZE];

	KUNIT_EXPECT_EQ(test, kbr_cluster_prove(broker, parts, 2, mac), -ENOKEY);
	memset(change.secret, 0x0b, change.secret_len);
	KUNIT_ASSERT_EQ(test, kbr_test_set(tb, &change), 0);
	KUNIT_EXPECT_EQ(test, kbr_cluster_prove(broker, parts, 2, mac), 0);
	KUNIT_EXPECT_MEMEQ(test, mac, good, sizeof(mac));
	change.secret_len = KBROKER_SECRET_MIN - 1;
	KUNIT_EXPECT_EQ(test, kbr_test_set(tb, &change), -EINVAL);
	kbr_broker_put(broker);
	kbr_test_exit(tb);
}

/* ---- requests ---- */

static void kbr_request_test_create(struct kunit *test)
{
	struct kbr_test_broker *tb = kbr_test_member(test, NULL, NULL);
	struct kbr_cluster_request *request;
	struct kbr_topic *topic;
	u32 op;

	op = kbr_test_begin(tb, NULL, -1);
	request = kbr_test_request(tb);
	KUNIT_EXPECT_EQ(test, (int)request->kind, (int)KBR_REQUEST_TOPIC_NEW);
	KUNIT_EXPECT_STREQ(test, request->topic.name, "t");
	KUNIT_EXPECT_EQ(test, request->topic.partitions, 2U);
	/* as the controller is configured */
	KUNIT_EXPECT_EQ(test, (int)request->topic.replication_factor, 0);
	KUNIT_EXPECT_FALSE(test, kbr_test_op_ended(tb, op));
	KUNIT_EXPECT_NULL(test, kbr_test_topic(tb, "t"));

	/* The controller tells of it, and then answers. */
	kbr_test_decide(tb);
	KUNIT_EXPECT_FALSE(test, kbr_test_op_ended(tb, op));
	KUNIT_EXPECT_EQ(test, kbr_test_answer(tb, request->id, 0, NULL), 0);
	KUNIT_EXPECT_EQ(test, kbr_test_wait_op(tb, 0, op), 0);
	KUNIT_EXPECT_EQ(test, kbr_test_answer(tb, request->id, 0, NULL), -ENOENT);
	kbr_cluster_request_put(request);
	topic = kbr_test_topic(tb, "t");
	KUNIT_ASSERT_NOT_NULL(test, topic);
	KUNIT_EXPECT_MEMEQ(test, topic->id, kbr_test_topic_id, 16);
	KUNIT_EXPECT_EQ(test, (int)topic->replication_factor, 3);
	/* nobody has said yet that a replica is here */
	KUNIT_EXPECT_FALSE(test, kbr_topic_partition(topic, 0)->opened);
	kbr_topic_put(topic);

	/* It is known again after a start, with its id. */
	kbr_test_stop(tb);
	KUNIT_ASSERT_EQ(test, kbr_test_start(tb), 0);
	topic = kbr_test_topic(tb, "t");
	KUNIT_ASSERT_NOT_NULL(test, topic);
	KUNIT_EXPECT_MEMEQ(test, topic->id, kbr_test_topic_id, 16);
	kbr_topic_put(topic);
	kbr_test_exit(tb);
}

static void kbr_request_test_refused(struct kunit *test)
{
	struct kbr_test_broker *tb = kbr_test_member(test, NULL, NULL);
	struct kbr_cluster_request *request;
	u32 op;

	/* A member may keep such a default, a broker that stands alone may not. */
	kbr_test_stop(tb);
	KUNIT_ASSERT_EQ(test, kbr_config_set_put(&tb->configs, "default.replication.factor", "3"), 0);
	KUNIT_ASSERT_EQ(test, kbr_test_start(tb), 0);
	op = kbr_test_begin(tb, NULL, -1);
	request = kbr_test_request(tb);
	KUNIT_EXPECT_EQ(test, (int)request->topic.replication_factor, 3);
	KUNIT_EXPECT_EQ(test, kbr_test_answer(tb, request->id, -EEXIST, "it is there"), 0);
	KUNIT_EXPECT_EQ(test, kbr_test_wait_op(tb, 0, op), -EEXIST);
	KUNIT_EXPECT_STREQ(test, tb->why.text, "it is there");
	KUNIT_EXPECT_EQ(test, kbr_test_requests(tb), 0U);
	kbr_cluster_request_put(request);
	kbr_test_exit(tb);
}

static void kbr_request_test_deadline(struct kunit *test)
{
	struct kbr_test_broker *tb = kbr_test_member(test, "request.timeout.ms", "20");
	u32 op = kbr_test_begin(tb, NULL, 1);

	KUNIT_EXPECT_EQ(test, kbr_test_wait_op(tb, 0, op), -ETIMEDOUT);
	KUNIT_EXPECT_TRUE(test, strstr(tb->why.text, "did not answer in time"));
	KUNIT_EXPECT_EQ(test, kbr_test_requests(tb), 0U);
	kbr_test_exit(tb);
}

static void kbr_request_test_change(struct kunit *test)
{
	struct kbr_test_broker *tb = kbr_test_member(test, NULL, NULL);
	struct kbr_topic_change change = { .partitions = 3 };
	struct kbr_broker *broker = kbr_test_get(tb);
	static const u8 other[16] = "another topic's";
	struct kbr_cluster_request *request;
	struct kbr_topic *topic;
	u32 op = 0;
	int err;

	kbr_test_decide(tb);
	KUNIT_ASSERT_EQ(test, kbr_config_set_put(&change.set, "retention.ms", "1000"), 0);
	KUNIT_ASSERT_EQ(test, kbr_topic_alter(broker, "t", &change, &op, &tb->why), 0);
	request = kbr_test_request(tb);
	KUNIT_EXPECT_EQ(test, (int)request->kind, (int)KBR_REQUEST_TOPIC_SET);
	KUNIT_EXPECT_MEMEQ(test, request->topic.id, kbr_test_topic_id, 16);
	KUNIT_EXPECT_EQ(test, request->topic.partitions, 3U);
	KUNIT_EXPECT_STREQ(test, kbr_config_set_get(&request->topic.set, "retention.ms"), "1000");
	change.id = other;
	KUNIT_EXPECT_EQ(test, kbr_test_alter(tb, "t", &change), -ENOENT);
	change.id = kbr_test_topic_id;
	KUNIT_EXPECT_EQ(test, kbr_test_alter(tb, "t", &change), 0);
	KUNIT_EXPECT_EQ(test, kbr_test_answer(tb, request->id, 0, NULL), 0);
	KUNIT_EXPECT_EQ(test, kbr_test_wait_op(tb, 0, op), 0);
	kbr_cluster_request_put(request);
	topic = kbr_test_topic(tb, "t");
	KUNIT_EXPECT_EQ(test, kbr_topic_partitions(topic), 3U);
	KUNIT_EXPECT_FALSE(test, kbr_topic_partition(topic, 2)->opened);
	kbr_topic_put(topic);

	KUNIT_ASSERT_EQ(test, kbr_topic_delete(broker, "t", NULL, &op, &tb->why), 0);
	request = kbr_test_request(tb);
	KUNIT_EXPECT_EQ(test, (int)request->kind, (int)KBR_REQUEST_TOPIC_DEL);
	KUNIT_EXPECT_EQ(test, kbr_topic_delete(broker, "t", other, &op, &tb->why), -ENOENT);
	err = kbr_topic_delete(broker, "t", kbr_test_topic_id, &op, &tb->why);
	KUNIT_EXPECT_EQ(test, kbr_test_wait_op(tb, err, op), 0);
	KUNIT_EXPECT_NULL(test, kbr_test_topic(tb, "t"));
	KUNIT_EXPECT_EQ(test, kbr_test_answer(tb, request->id, 0, NULL), 0);
	kbr_cluster_request_put(request);
	kbr_config_set_free(&change.set);
	kbr_broker_put(broker);
	kbr_test_exit(tb);
}

static void kbr_request_test_isr(struct kunit *test)
{
	struct kbr_test_broker *tb = kbr_test_member(test, NULL, NULL);
	struct kbr_isr_wish wish = { .leader_epoch = 1, .partition_epoch = 2, .count = 2,
				     .id = { 1, 2 }, .epoch = { 5, 6 } };
	struct kbr_cluster_request *request;
	struct kbr_broker *broker;
	struct kbr_topic *topic;
	u64 first;
	u32 op = 0;
	int err;

	kbr_test_decide(tb);
	topic = kbr_test_topic(tb, "t");
	KUNIT_ASSERT_NOT_NULL(test, topic);
	KUNIT_EXPECT_EQ(test, kbr_cluster_isr_request(kbr_topic_partition(topic, 0), &wish), 0);
	request = kbr_test_request(tb);
	first = request->id;
	KUNIT_EXPECT_EQ(test, (int)request->kind, (int)KBR_REQUEST_ISR);
	kbr_cluster_request_put(request);
	/* the same again is nothing new, another takes its place */
	KUNIT_EXPECT_EQ(test, kbr_cluster_isr_request(kbr_topic_partition(topic, 0), &wish), 0);
	request = kbr_test_request(tb);
	KUNIT_EXPECT_EQ(test, request->id, first);
	kbr_cluster_request_put(request);
	wish.count = 1;
	KUNIT_EXPECT_EQ(test, kbr_cluster_isr_request(kbr_topic_partition(topic, 0), &wish), 0);
	/* but not one of before the last change */
	wish.partition_epoch--;
	err = kbr_cluster_isr_request(kbr_topic_partition(topic, 0), &wish);
	KUNIT_EXPECT_EQ(test, err, -ESTALE);
	wish.partition_epoch++;
	/* nor one of before its log turned out to be lost */
	wish.lost = true;
	KUNIT_EXPECT_EQ(test, kbr_cluster_isr_request(kbr_topic_partition(topic, 0), &wish), 0);
	wish.lost = false;
	err = kbr_cluster_isr_request(kbr_topic_partition(topic, 0), &wish);
	KUNIT_EXPECT_EQ(test, err, -ESTALE);
	KUNIT_EXPECT_EQ(test, kbr_cluster_isr_request(kbr_topic_partition(topic, 1), &wish), 0);
	KUNIT_EXPECT_EQ(test, kbr_test_requests(tb), 2U);
	KUNIT_EXPECT_EQ(test, kbr_test_answer(tb, first, 0, NULL), -ENOENT);
	kbr_cluster_isr_drop(kbr_topic_partition(topic, 0));
	KUNIT_EXPECT_EQ(test, kbr_test_requests(tb), 1U);
	wish.count = KBROKER_REPLICAS_MAX + 1;
	KUNIT_EXPECT_EQ(test, kbr_cluster_isr_request(kbr_topic_partition(topic, 0), &wish), -EINVAL);
	/* with the topic goes what was asked for it */
	broker = kbr_test_get(tb);
	err = kbr_topic_delete(broker, "t", kbr_test_topic_id, &op, &tb->why);
	KUNIT_EXPECT_EQ(test, kbr_test_wait_op(tb, err, op), 0);
	KUNIT_EXPECT_EQ(test, kbr_test_requests(tb), 0U);
	wish.count = 1;
	KUNIT_EXPECT_EQ(test, kbr_cluster_isr_request(kbr_topic_partition(topic, 1), &wish), -ENODEV);
	kbr_broker_put(broker);
	kbr_topic_put(topic);
	kbr_test_exit(tb);
}

/*
 * A leader that came back with an old high watermark: who joins the in-sync set has
 * on its disk all that the leader began with, since that may have been committed.
 */
static void kbr_request_test_join(struct kunit *test)
{
	struct kbr_test_broker *tb = kbr_test_member(test, "min.insync.replicas", "2");
	struct kbr_replica_fetch fetch = { .id = 2, .broker_epoch = 12, .offset = 1,
					   .last_epoch = 1, .leader_epoch = 2, .hw = -1 };
	struct kbr_replica_state state = { .leader = 1, .leader_epoch = 1, .partition_epoch = 1,
					   .replicas = { 2, { 1, 2 } }, .isr = { 1, { 1 } } };
	struct kbr_record rec = { .timestamp = 1, .value = "value", .value_len = 5 };
	struct kbr_produce p = { .acks = KBR_ACKS_LEADER, .nowait = true };
	struct kbr_peer peer = { .id = 2, .epoch = 12, .address.ss_family = AF_INET };
	struct kbr_broker *broker = kbr_test_get(tb);
	struct kbr_replica_diverging diverging;
	struct kbr_cluster_request *request;
	struct kbr_batch_builder bld;
	struct kbr_partition *part;
	struct kbr_topic *topic;

	kbr_test_decide(tb);
	topic = kbr_test_topic(tb, "t");
	KUNIT_ASSERT_NOT_NULL(test, topic);
	part = kbr_topic_partition(topic, 0);
	KUNIT_ASSERT_EQ(test, kbr_cluster_peer_set(broker, &peer, &tb->why), 0);
	KUNIT_ASSERT_EQ(test, kbr_replica_apply(part, &state, &tb->why), 0);
	p.buf = kunit_kzalloc(test, 256, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, p.buf);
	kbr_batch_builder_init(&bld, p.buf, 256);
	KUNIT_ASSERT_EQ(test, kbr_batch_builder_add(&bld, &rec), 0);
	p.len = kbr_batch_builder_finish(&bld);
	KUNIT_ASSERT_EQ(test, kbr_partition_produce(part, &p), 0);
	state.leader_epoch++;
	state.partition_epoch++;
	KUNIT_ASSERT_EQ(test, kbr_replica_apply(part, &state, &tb->why), 0);
	KUNIT_EXPECT_EQ(test, kbr_partition_hw(part), 0);

	KUNIT_EXPECT_EQ(test, kbr_replica_fetched(part, &fetch, 1000, &diverging), 0);
	KUNIT_EXPECT_EQ(test, kbr_test_requests(tb), 0U);
	fetch.synced = 1;
	KUNIT_EXPECT_EQ(test, kbr_replica_fetched(part, &fetch, 1000, &diverging), 0);
	request = kbr_test_request(tb);
	KUNIT_EXPECT_EQ(test, (int)request->kind, (int)KBR_REQUEST_ISR);
	KUNIT_EXPECT_EQ(test, request->isr.count, 2U);
	kbr_cluster_request_put(request);

	/* Whose own log is lost asks for nothing else, and can't say who lags behind it. */
	kbr_partition_fail(part, -EBADMSG, 0);
	state.partition_epoch++;
	state.isr = state.replicas;
	KUNIT_ASSERT_EQ(test, kbr_replica_apply(part, &state, &tb->why), 0);
	KUNIT_EXPECT_EQ(test, kbr_replica_fetched(part, &fetch, 2000, &diverging), -EIO);
	kbr_replica_check_followers(part, 1000000);
	KUNIT_EXPECT_EQ(test, kbr_test_requests(tb), 1U);
	request = kbr_test_request(tb);
	KUNIT_EXPECT_TRUE(test, request->isr.lost);
	kbr_cluster_request_put(request);
	kbr_topic_put(topic);
	kbr_broker_put(broker);
	kbr_test_exit(tb);
}

/* More than there may be are refused; a stop ends all that are open. */
static void kbr_request_test_bounded(struct kunit *test)
{
	struct kbr_test_broker *tb = kbr_test_member(test, "request.timeout.ms", "3600000");
	struct kbr_topic_params params = { .name = "t", .partitions = 1, .replication_factor = 1 };
	struct kbr_broker *broker = kbr_test_get(tb);
	u32 op = 0, first = 0;
	unsigned int i;
	int err = 0;

	for (i = 0; i < KBR_CLUSTER_REQUESTS_MAX && !err; i++) {
		err = kbr_topic_create(broker, &params, &op, &tb->why);
		if (!i)
			first = op;
	}
	KUNIT_ASSERT_EQ(test, err, 0);
	KUNIT_EXPECT_EQ(test, kbr_topic_create(broker, &params, &op, &tb->why), -EAGAIN);
	KUNIT_EXPECT_EQ(test, kbr_test_requests(tb), (unsigned int)KBR_CLUSTER_REQUESTS_MAX);
	KUNIT_EXPECT_FALSE(test, kbr_test_op_ended(tb, first));
	kbr_broker_put(broker);
	kbr_test_stop(tb);
	/* of those that have ended, the last are remembered */
	KUNIT_EXPECT_EQ(test, kbr_test_wait_op(tb, 0, op - 1), -ENODEV);
	kbr_test_exit(tb);
}

/* ---- leaving ---- */

static void kbr_leave_test_asked(struct kunit *test)
{
	struct kbr_test_broker *tb = kbr_test_member(test, "controlled.shutdown.timeout.ms",
						     "3600000");
	struct kbr_cluster_request *request;
	struct kbr_broker *broker = kbr_test_get(tb);
	u32 op = 0, again = 0;

	KUNIT_ASSERT_EQ(test, kbr_broker_stop(tb->knet, KBR_STOP_LEAVE, &op, &tb->why), 0);
	request = kbr_test_request(tb);
	KUNIT_EXPECT_EQ(test, (int)request->kind, (int)KBR_REQUEST_LEAVE);
	KUNIT_EXPECT_EQ(test, (int)READ_ONCE(broker->state), (int)KBR_BROKER_RUNNING);
	KUNIT_EXPECT_EQ(test, kbr_broker_stop(tb->knet, KBR_STOP_LEAVE, &again, &tb->why), -EALREADY);
	KUNIT_EXPECT_FALSE(test, kbr_test_op_ended(tb, op));
	KUNIT_EXPECT_EQ(test, kbr_test_answer(tb, request->id, 0, NULL), 0);
	KUNIT_EXPECT_EQ(test, kbr_test_wait_op(tb, 0, op), 0);
	kbr_cluster_request_put(request);
	kbr_broker_put(broker);
	KUNIT_EXPECT_NULL(test, kbr_broker_get_in(tb->knet));
	kbr_test_exit(tb);
}

static void kbr_leave_test_now(struct kunit *test)
{
	struct kbr_test_broker *tb = kbr_test_member(test, "controlled.shutdown.timeout.ms",
						     "3600000");
	u32 op = 0, again = 0;

	KUNIT_ASSERT_EQ(test, kbr_broker_stop(tb->knet, KBR_STOP_LEAVE, &op, &tb->why), 0);
	KUNIT_EXPECT_EQ(test, kbr_broker_stop(tb->knet, KBR_STOP_NOW, &again, &tb->why), 0);
	KUNIT_EXPECT_EQ(test, again, op);
	KUNIT_EXPECT_EQ(test, kbr_test_wait_op(tb, 0, op), 0);
	KUNIT_EXPECT_NULL(test, kbr_broker_get_in(tb->knet));
	kbr_test_exit(tb);
}

static void kbr_leave_test_late(struct kunit *test)
{
	struct kbr_test_broker *tb = kbr_test_member(test, "controlled.shutdown.timeout.ms", "20");
	u32 op = 0;

	KUNIT_ASSERT_EQ(test, kbr_broker_stop(tb->knet, KBR_STOP_LEAVE, &op, &tb->why), 0);
	KUNIT_EXPECT_EQ(test, kbr_test_wait_op(tb, 0, op), 0);
	kbr_test_exit(tb);
}

/* The namespace ends with a stop that waits and a topic that was asked for. */
static void kbr_leave_test_net_exit(struct kunit *test)
{
	struct kbr_test_broker *tb = kbr_test_member(test, "controlled.shutdown.timeout.ms",
						     "3600000");
	struct kbr_op *stop, *create;
	u32 op = 0;

	create = kbr_op_lookup(tb->knet, kbr_test_begin(tb, NULL, 1));
	KUNIT_ASSERT_NOT_NULL(test, create);
	KUNIT_ASSERT_EQ(test, kbr_broker_stop(tb->knet, KBR_STOP_LEAVE, &op, &tb->why), 0);
	stop = kbr_op_lookup(tb->knet, op);
	KUNIT_ASSERT_NOT_NULL(test, stop);
	kbr_net_destroy(tb->knet);
	KUNIT_EXPECT_EQ(test, kbr_op_wait(create, KBR_TEST_PATIENCE_MS), -ENODEV);
	KUNIT_EXPECT_EQ(test, kbr_op_wait(stop, KBR_TEST_PATIENCE_MS), 0);
	kbr_op_put(create);
	kbr_op_put(stop);
	tb->knet = kbr_net_create(NULL);
	KUNIT_ASSERT_NOT_NULL(test, tb->knet);
	kbr_test_exit(tb);
}

/* Producer ids are made of the broker epoch, which no other start of any broker has. */
static void kbr_cluster_test_producer_ids(struct kunit *test)
{
	struct kbr_test_broker *tb = kbr_test_init(test);
	struct kbr_broker *broker;
	s64 id[4];

	KUNIT_ASSERT_EQ(test, kbr_test_start(tb), 0);
	KUNIT_ASSERT_EQ(test, kbr_test_join(tb, kbr_test_cluster_id, -1), 0);
	broker = kbr_test_get(tb);
	KUNIT_EXPECT_EQ(test, kbr_producer_id_take(broker, &id[0]), -EAGAIN);
	KUNIT_ASSERT_EQ(test, kbr_test_epoch(tb, 5), 0);
	KUNIT_EXPECT_EQ(test, kbr_producer_id_take(broker, &id[0]), 0);
	KUNIT_EXPECT_EQ(test, kbr_producer_id_take(broker, &id[1]), 0);
	KUNIT_ASSERT_EQ(test, kbr_test_epoch(tb, 6), 0);
	KUNIT_EXPECT_EQ(test, kbr_producer_id_take(broker, &id[2]), 0);
	KUNIT_ASSERT_EQ(test, kbr_test_epoch(tb, 1LL << 35), 0);
	KUNIT_EXPECT_EQ(test, kbr_producer_id_take(broker, &id[3]), -EOVERFLOW);
	KUNIT_EXPECT_EQ(test, id[0], 5LL << 28);
	KUNIT_EXPECT_EQ(test, id[1], id[0] + 1);
	KUNIT_EXPECT_EQ(test, id[2], 6LL << 28);
	kbr_broker_put(broker);
	kbr_test_exit(tb);
}

/* ---- what it is told of partitions ---- */

/* Both partitions of "t" follow broker 2; the error of the operation */
static int kbr_test_follow(struct kbr_test_broker *tb)
{
	struct kbr_replica_item *items = kvcalloc(2, sizeof(*items), GFP_KERNEL);
	struct kbr_broker *broker = kbr_test_get(tb);
	unsigned int i;
	u32 op = 0;
	int err;

	KUNIT_ASSERT_NOT_NULL(tb->test, items);
	for (i = 0; i < 2; i++) {
		strscpy(items[i].topic, "t", sizeof(items[i].topic));
		memcpy(items[i].id, kbr_test_topic_id, sizeof(items[i].id));
		items[i].partition = i;
		items[i].state = (struct kbr_replica_state) {
			.leader = 2,
			.leader_epoch = 1,
			.partition_epoch = 1,
			.replicas = { 2, { 1, 2 } },
			.isr = { 1, { 2 } },
		};
	}
	err = kbr_replica_set(broker, items, 2, &op, &tb->why);
	kbr_broker_put(broker);
	return kbr_test_wait_op(tb, err, op);
}

/* How many partitions of "t" have a log */
static unsigned int kbr_test_logs(struct kbr_test_broker *tb)
{
	struct kbr_topic *topic = kbr_test_topic(tb, "t");
	unsigned int i, count = 0;
	struct kbr_file *file;
	char path[64];

	for (i = 0; i < 2; i++) {
		scnprintf(path, sizeof(path), "t-%u/00000000000000000000.log", i);
		if (!kbr_file_open(tb->dir, path, KBR_FILE_RDONLY, &file)) {
			kbr_file_close(file);
			KUNIT_EXPECT_TRUE(tb->test, READ_ONCE(kbr_topic_partition(topic, i)->opened));
			count++;
		} else {
			KUNIT_EXPECT_FALSE(tb->test, READ_ONCE(kbr_topic_partition(topic, i)->opened));
		}
	}
	kbr_topic_put(topic);
	return count;
}

/* Logs whose names are not on the disk for sure are none: they are made anew the next time. */
static void kbr_replica_set_test_unsynced(struct kunit *test)
{
	struct kbr_test_broker *tb = kbr_test_member(test, NULL, NULL);

	kbr_test_decide(tb);
	KUNIT_EXPECT_EQ(test, kbr_test_logs(tb), 0);
	KUNIT_ASSERT_TRUE(test, kbr_ram_fail(tb->dir, KBR_RAM_SYNC_DIR, 0, 0, -EIO, NULL));
	KUNIT_EXPECT_EQ(test, kbr_test_follow(tb), -EIO);
	KUNIT_EXPECT_EQ(test, kbr_test_logs(tb), 0);
	kbr_ram_heal(tb->dir);
	KUNIT_EXPECT_EQ(test, kbr_test_follow(tb), 0);
	KUNIT_EXPECT_EQ(test, kbr_test_logs(tb), 2);
	kbr_test_crash(tb, 1);
	KUNIT_ASSERT_EQ(test, kbr_test_start(tb), 0);
	KUNIT_EXPECT_EQ(test, kbr_test_logs(tb), 2);
	kbr_test_exit(tb);
}

static struct kunit_case kbr_cluster_cases[] = {
	KUNIT_CASE(kbr_cluster_test_join),
	KUNIT_CASE(kbr_cluster_test_producer_ids),
	KUNIT_CASE(kbr_cluster_test_epoch),
	KUNIT_CASE(kbr_cluster_test_peers),
	KUNIT_CASE(kbr_cluster_test_proof),
	KUNIT_CASE(kbr_request_test_create),
	KUNIT_CASE(kbr_request_test_refused),
	KUNIT_CASE(kbr_request_test_deadline),
	KUNIT_CASE(kbr_request_test_change),
	KUNIT_CASE(kbr_request_test_isr),
	KUNIT_CASE(kbr_request_test_join),
	KUNIT_CASE(kbr_request_test_bounded),
	KUNIT_CASE(kbr_replica_set_test_unsynced),
	KUNIT_CASE(kbr_leave_test_asked),
	KUNIT_CASE(kbr_leave_test_now),
	KUNIT_CASE(kbr_leave_test_late),
	KUNIT_CASE(kbr_leave_test_net_exit),
	{}
};

static struct kunit_suite kbr_cluster_suite = {
	.name = "kbroker_cluster",
	.test_cases = kbr_cluster_cases,
	.exit = kbr_test_cleanup,
};

kunit_test_suite(kbr_cluster_suite);
