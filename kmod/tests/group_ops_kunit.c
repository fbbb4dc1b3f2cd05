// SPDX-License-Identifier: GPL-2.0-only
/*
 * What an administrator does to consumer groups: offsets set and deleted, groups
 * deleted, refusals; and who is told of it.
 */
#include <linux/delay.h>

#include "broker/event.h"
#include "broker/group_internal.h"
#include "broker/group_ops.h"
#include "broker/op.h"
#include "broker_test.h"
#include "netlink/nl.h"

/* More than WQ_DFL_ACTIVE */
#define GROUP_OPS_MANY	300

static atomic_t group_ops_new, group_ops_changed, group_ops_del;

static void group_ops_listen(const struct kbr_event *event)
{
	switch (event->kind) {
	case KBR_EVENT_GROUP_NEW:
		atomic_inc(&group_ops_new);
		break;
	case KBR_EVENT_GROUP:
		atomic_inc(&group_ops_changed);
		break;
	case KBR_EVENT_GROUP_DEL:
		atomic_inc(&group_ops_del);
		break;
	default:
		break;
	}
}

static int group_ops_init(struct kunit *test)
{
	struct kbr_test_broker *tb = kbr_test_init(test);

	test->priv = tb;
	/* else nobody is told of anything */
	tb->knet->net = &init_net;
	atomic_set(&group_ops_new, 0);
	atomic_set(&group_ops_changed, 0);
	atomic_set(&group_ops_del, 0);
	kbr_event_set_listener(group_ops_listen);
	KUNIT_ASSERT_EQ(test, kbr_test_start(tb), 0);
	KUNIT_ASSERT_EQ(test, kbr_test_create(tb, "t", 3, NULL, NULL), 0);
	return 0;
}

static void group_ops_exit(struct kunit *test)
{
	kbr_event_set_listener(kbr_nl_event);
	kbr_test_cleanup(test);
}

/* Partitions 0 and 2 of t, at 5 and 7. */
static void group_ops_fill(struct kbr_group_offset offsets[2])
{
	int i;

	for (i = 0; i < 2; i++)
		offsets[i] = (struct kbr_group_offset) {
			.topic = { .at = "t", .len = 1 },
			.partition = 2 * i,
			.offset = 5 + 2 * i,
			.leader_epoch = -1,
			.metadata.at = "",
			.expire_ms = -1,
		};
}

static int group_ops_reset(struct kbr_test_broker *tb, const char *name)
{
	struct kbr_broker *broker = kbr_test_get(tb);
	struct kbr_group_offset offsets[2];
	u32 id = 0;
	int err;

	group_ops_fill(offsets);
	err = kbr_group_reset(broker, name, offsets, 2, &id, &tb->why);
	kbr_broker_put(broker);
	return kbr_test_wait_op(tb, err, id);
}

static int group_ops_forget(struct kbr_test_broker *tb, const char *name)
{
	struct kbr_broker *broker = kbr_test_get(tb);
	struct kbr_group_offset offsets[2];
	u32 id = 0;
	int err;

	group_ops_fill(offsets);
	err = kbr_group_forget(broker, name, offsets, 1, &id, &tb->why);
	kbr_broker_put(broker);
	return kbr_test_wait_op(tb, err, id);
}

static int group_ops_remove(struct kbr_test_broker *tb, const char *name)
{
	struct kbr_broker *broker = kbr_test_get(tb);
	u32 id = 0;
	int err;

	err = kbr_group_remove(broker, name, &id, &tb->why);
	kbr_broker_put(broker);
	return kbr_test_wait_op(tb, err, id);
}

/* The group, once groups are loaded; NULL there is none. */
static struct kbr_group *group_ops_find(struct kbr_test_broker *tb, const char *name)
{
	struct kbr_str text = { .at = name, .len = strlen(name) };
	struct kbr_broker *broker = kbr_test_get(tb);
	struct kbr_group *group;
	unsigned int left;
	s16 code;

	for (left = KBR_TEST_PATIENCE_MS / 10;
	     kbr_groups_ready(broker, false) == -EAGAIN && left; left--)
		msleep(10);
	group = kbr_group_find(broker, &text, false, &code);
	kbr_broker_put(broker);
	return group;
}

/* How many offsets netlink shows of the group, -1 none is there. */
static int group_ops_shown(struct kunit *test, const char *name)
{
	struct kbr_test_broker *tb = test->priv;
	struct nlattr *tb_attrs[KBROKER_A_GROUP_MAX + 1];
	struct kbr_nl_group show = {};
	struct sk_buff *skb;
	int count;

	show.group = group_ops_find(tb, name);
	if (!show.group)
		return -1;
	show.broker = kbr_test_get(tb);
	skb = nlmsg_new(NLMSG_GOODSIZE, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, skb);
	KUNIT_EXPECT_EQ(test, kbr_nl_group_fill(skb, &show), 0);
	KUNIT_EXPECT_EQ(test, nla_parse(tb_attrs, KBROKER_A_GROUP_MAX, (void *)skb->data, skb->len,
					NULL, NULL), 0);
	count = be32_to_cpu(nla_get_be32(tb_attrs[KBROKER_A_GROUP_OFFSETS]));
	KUNIT_EXPECT_EQ(test, nla_strcmp(tb_attrs[KBROKER_A_GROUP_NAME], name), 0);
	nlmsg_free(skb);
	kbr_broker_put(show.broker);
	kbr_group_put(show.group);
	return count;
}

static s64 group_ops_offset(struct kbr_test_broker *tb, const char *name, s32 partition)
{
	const struct kbr_str topic = { .at = "t", .len = 1 };
	struct kbr_group *group = group_ops_find(tb, name);
	struct kbr_group_offset found;
	s64 offset = -1;

	if (!group)
		return -2;
	kbr_group_lock(group);
	if (kbr_group_offset_locked(group, &topic, partition, &found))
		offset = found.offset;
	kbr_group_unlock(group);
	kbr_group_put(group);
	return offset;
}

static bool group_ops_wait(atomic_t *count, int wanted)
{
	unsigned int left;

	for (left = KBR_TEST_PATIENCE_MS / 10; atomic_read(count) < wanted && left; left--)
		msleep(10);
	return atomic_read(count) >= wanted;
}

static void group_ops_life(struct kunit *test)
{
	struct kbr_test_broker *tb = test->priv;

	KUNIT_EXPECT_EQ(test, group_ops_shown(test, "g"), -1);
	KUNIT_EXPECT_EQ(test, group_ops_forget(tb, "g"), -ENOENT);
	KUNIT_EXPECT_EQ(test, group_ops_remove(tb, "g"), -ENOENT);
	KUNIT_EXPECT_STREQ(test, tb->why.text, "there is no group g");

	KUNIT_ASSERT_EQ(test, group_ops_reset(tb, "g"), 0);
	KUNIT_EXPECT_EQ(test, group_ops_shown(test, "g"), 2);
	KUNIT_EXPECT_EQ(test, group_ops_offset(tb, "g", 0), 5);
	KUNIT_EXPECT_EQ(test, group_ops_offset(tb, "g", 1), -1);
	KUNIT_EXPECT_EQ(test, group_ops_offset(tb, "g", 2), 7);
	KUNIT_EXPECT_TRUE(test, group_ops_wait(&group_ops_new, 1));

	KUNIT_EXPECT_EQ(test, group_ops_forget(tb, "g"), 0);
	KUNIT_EXPECT_EQ(test, group_ops_offset(tb, "g", 0), -1);
	KUNIT_EXPECT_EQ(test, group_ops_shown(test, "g"), 1);

	kbr_test_stop(tb);
	KUNIT_ASSERT_EQ(test, kbr_test_start(tb), 0);
	KUNIT_EXPECT_EQ(test, group_ops_offset(tb, "g", 0), -1);
	KUNIT_EXPECT_EQ(test, group_ops_offset(tb, "g", 2), 7);

	KUNIT_EXPECT_EQ(test, group_ops_remove(tb, "g"), 0);
	KUNIT_EXPECT_EQ(test, group_ops_shown(test, "g"), -1);
	KUNIT_EXPECT_EQ(test, group_ops_remove(tb, "g"), -ENOENT);
	KUNIT_EXPECT_TRUE(test, group_ops_wait(&group_ops_del, 1));
	KUNIT_EXPECT_EQ(test, atomic_read(&group_ops_new), 1);
	KUNIT_EXPECT_EQ(test, atomic_read(&group_ops_del), 1);
}

/* A group with members is left alone. */
static void group_ops_members(struct kunit *test)
{
	struct kbr_test_broker *tb = test->priv;
	struct kbr_group *group;

	KUNIT_ASSERT_EQ(test, group_ops_reset(tb, "g"), 0);
	group = group_ops_find(tb, "g");
	KUNIT_ASSERT_NOT_NULL(test, group);
	kbr_group_lock(group);
	KUNIT_EXPECT_EQ(test, kbr_group_set_kind_locked(group, KBR_GROUP_DEVICE), 0);
	group->devices = 1;
	kbr_group_unlock(group);
	KUNIT_EXPECT_TRUE(test, group_ops_wait(&group_ops_changed, 1));
	KUNIT_EXPECT_EQ(test, group_ops_reset(tb, "g"), -EBUSY);
	KUNIT_EXPECT_EQ(test, group_ops_remove(tb, "g"), -EBUSY);
	KUNIT_EXPECT_EQ(test, group_ops_offset(tb, "g", 2), 7);
	kbr_group_lock(group);
	group->devices = 0;
	kbr_group_set_kind_locked(group, KBR_GROUP_NONE);
	kbr_group_unlock(group);
	kbr_group_put(group);
	KUNIT_EXPECT_EQ(test, group_ops_remove(tb, "g"), 0);
}

/* More of them than a queue has workers, and all have to wait: still they end. */
static void group_ops_many(struct kunit *test)
{
	struct kbr_test_broker *tb = test->priv;
	struct kbr_broker *broker = kbr_test_get(tb);
	struct kbr_group_offset offsets[2];
	struct kbr_op **ops;
	char name[8];
	u32 id;
	int i;

	ops = kunit_kcalloc(test, GROUP_OPS_MANY, sizeof(*ops), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, ops);
	KUNIT_ASSERT_EQ(test, group_ops_reset(tb, "g"), 0);
	kbr_ram_set_sync_delay(tb->dir, 100000);
	group_ops_fill(offsets);
	for (i = 0; i < GROUP_OPS_MANY; i++) {
		snprintf(name, sizeof(name), "g%d", i);
		KUNIT_ASSERT_EQ(test, kbr_group_reset(broker, name, offsets, 2, &id, &tb->why), 0);
		ops[i] = kbr_op_lookup(tb->knet, id);
		KUNIT_ASSERT_NOT_NULL(test, ops[i]);
	}
	for (i = 0; i < GROUP_OPS_MANY; i++) {
		KUNIT_EXPECT_EQ(test, kbr_op_wait(ops[i], KBR_TEST_PATIENCE_MS), 0);
		kbr_op_put(ops[i]);
	}
	kbr_ram_set_sync_delay(tb->dir, 0);
	kbr_broker_put(broker);
}

/* Where a position is, at the start, in the middle and at the end. */
static void group_ops_lag(struct kunit *test)
{
	struct kbr_test_broker *tb = test->priv;
	struct kbr_topic *topic = kbr_test_topic(tb, "t");
	struct kbr_partition *part = kbr_topic_partition(topic, 0);
	struct kbr_partition_lag lag;
	int i;

	for (i = 0; i < 10; i++)
		KUNIT_ASSERT_EQ(test, kbr_test_produce(part, "value", KBR_ACKS_ALL), i);
	KUNIT_ASSERT_EQ(test, kbr_partition_get_lag(part, -1, &lag), 0);
	KUNIT_EXPECT_EQ(test, lag.position, 0);
	KUNIT_EXPECT_EQ(test, lag.records, 10);
	KUNIT_EXPECT_GT(test, lag.bytes, 0ULL);
	KUNIT_ASSERT_EQ(test, kbr_partition_get_lag(part, 7, &lag), 0);
	KUNIT_EXPECT_EQ(test, lag.records, 3);
	KUNIT_EXPECT_EQ(test, lag.hw, 10);
	KUNIT_ASSERT_EQ(test, kbr_partition_get_lag(part, 10, &lag), 0);
	KUNIT_EXPECT_EQ(test, lag.records, 0);
	KUNIT_EXPECT_EQ(test, lag.bytes, 0ULL);
	KUNIT_EXPECT_EQ(test, lag.ms, 0);
	kbr_test_stop(tb);
	KUNIT_EXPECT_EQ(test, kbr_partition_get_lag(part, 0, &lag), -ENODATA);
	kbr_topic_put(topic);
}

static struct kunit_case group_ops_cases[] = {
	KUNIT_CASE(group_ops_life),
	KUNIT_CASE(group_ops_members),
	KUNIT_CASE(group_ops_many),
	KUNIT_CASE(group_ops_lag),
	{}
};

static struct kunit_suite group_ops_suite = {
	.name = "kbroker_group_ops",
	.init = group_ops_init,
	.exit = group_ops_exit,
	.test_cases = group_ops_cases,
};

kunit_test_suite(group_ops_suite);
