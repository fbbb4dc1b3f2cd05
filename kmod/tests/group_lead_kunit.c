// SPDX-License-Identifier: GPL-2.0-only
/*
 * Coordinators of a cluster: groups come and go with the leadership of their
 * partition of __consumer_offsets. This broker is node 1; node 2 is what the
 * test says of it.
 */
#include <kunit/test.h>

#include "broker/replica.h"
#include "codec/kafka_error.h"
#include "group_test.h"

struct kbr_gle_test {
	struct kbr_group_test *gt;
	struct kbr_partition *part;
	struct kbr_replica_state state;
};

/* Node @leader leads in the next epoch. */
static void kbr_gle_elect(struct kbr_gle_test *lt, s32 leader)
{
	struct kbr_refusal why;

	lt->state.leader = leader;
	lt->state.leader_epoch++;
	lt->state.partition_epoch++;
	KUNIT_ASSERT_EQ(lt->gt->tb->test, kbr_replica_apply(lt->part, &lt->state, &why), 0);
	flush_delayed_work(&lt->gt->broker->groups->move);
}

/* A commit, and @member, if there is to be one */
static void kbr_gle_begin(struct kunit *test, struct kbr_gle_test *lt, struct kbr_gt_member *member)
{
	memset(lt, 0, sizeof(*lt));
	lt->gt = kbr_gt_begin(test, "0");
	lt->part = kbr_gt_log(lt->gt);
	KUNIT_ASSERT_EQ(test, kbr_gt_commit(lt->gt, NULL, "t", 0, 5), 0);
	if (member) {
		*member = (struct kbr_gt_member) { .gt = lt->gt };
		kbr_gt_stable(test, member);
	}
	KUNIT_ASSERT_EQ(test, kbr_replica_alloc(lt->part), 0);
	kbr_partition_quiesce(lt->part, KBR_PARTITION_FOLLOWER);
	lt->state = (struct kbr_replica_state) {
		.replicas = { 2, { 1, 2 } },
		.isr = { 2, { 1, 2 } },
	};
}

static s16 kbr_gle_where(struct kbr_gle_test *lt)
{
	const struct kbr_str name = kbr_gt_str("g");

	return kbr_groups_check_here(lt->gt->broker->groups, &name);
}

static bool kbr_gle_becomes(struct kbr_gle_test *lt, s16 code)
{
	return kbr_gt_until(kbr_gle_where(lt) == code);
}

/* Take group "g" anew; Kafka's error */
static s16 kbr_gle_find(struct kbr_gle_test *lt, bool create)
{
	const struct kbr_str name = kbr_gt_str("g");
	s16 code;

	kbr_group_put(lt->gt->group);
	lt->gt->group = kbr_group_find(lt->gt->broker, &name, create, &code);
	return code;
}

/* Node 2 has all that this one has. */
static void kbr_gle_follow(struct kbr_gle_test *lt)
{
	s64 end = kbr_log_end(&lt->part->log);
	struct kbr_replica_diverging diverging;
	struct kbr_replica_fetch fetch = {
		.id = 2,
		.broker_epoch = 12,
		.leader_epoch = lt->state.leader_epoch,
		.last_epoch = kbr_log_epoch_at(&lt->part->log, end - 1),
		.offset = end,
		.synced = end,
	};

	KUNIT_EXPECT_EQ(lt->gt->tb->test, kbr_replica_fetched(lt->part, &fetch, 1000, &diverging), 0);
}

/* Where a leadership ends the groups are gone, and where one begins they are loaded. */
static void kbr_gle_test_moves(struct kunit *test)
{
	struct kbr_gt_member member;
	struct kbr_gle_test lt;

	kbr_gle_begin(test, &lt, &member);
	kbr_gle_elect(&lt, 1);
	KUNIT_ASSERT_TRUE(test, kbr_gle_becomes(&lt, 0));
	/* the group of before is not the one that was loaded */
	KUNIT_EXPECT_EQ(test, kbr_gt_beat(&member), KBR_KAFKA_COORDINATOR_NOT_AVAILABLE);
	KUNIT_ASSERT_EQ(test, kbr_gle_find(&lt, false), 0);
	KUNIT_EXPECT_EQ(test, kbr_gt_committed(lt.gt, 0), 5);
	KUNIT_EXPECT_EQ(test, kbr_gt_beat(&member), 0);

	kbr_gle_elect(&lt, 2);
	KUNIT_ASSERT_TRUE(test, kbr_gle_becomes(&lt, KBR_KAFKA_NOT_COORDINATOR));
	KUNIT_EXPECT_TRUE(test, kbr_gt_until(kbr_gt_beat(&member) ==
					     KBR_KAFKA_COORDINATOR_NOT_AVAILABLE));
	KUNIT_EXPECT_EQ(test, kbr_gle_find(&lt, true), KBR_KAFKA_COORDINATOR_NOT_AVAILABLE);
	KUNIT_EXPECT_NULL(test, lt.gt->group);
	KUNIT_EXPECT_EQ(test, lt.gt->broker->groups->count, 0U);

	kbr_gle_elect(&lt, 1);
	KUNIT_ASSERT_TRUE(test, kbr_gle_becomes(&lt, 0));
	KUNIT_ASSERT_EQ(test, kbr_gle_find(&lt, false), 0);
	KUNIT_EXPECT_EQ(test, kbr_gt_beat(&member), 0);
	kbr_gt_end(lt.gt);
}

/* What the leader before may have committed is waited for. */
static void kbr_gle_test_waits(struct kunit *test)
{
	struct kbr_group_offset offset = {
		.topic = kbr_gt_str("t"), .offset = 6, .leader_epoch = -1, .expire_ms = -1,
		.metadata.len = -1,
	};
	struct kbr_group_id id = { .generation = -1, .member_id.at = "", .instance_id.len = -1 };
	struct kbr_group_wait wait;
	struct kbr_gle_test lt;

	kbr_gle_begin(test, &lt, NULL);
	kbr_gle_elect(&lt, 1);
	KUNIT_ASSERT_TRUE(test, kbr_gle_becomes(&lt, 0));
	KUNIT_ASSERT_EQ(test, kbr_gle_find(&lt, false), 0);
	/* node 2 has not got it */
	KUNIT_EXPECT_FALSE(test, kbr_group_commit(lt.gt->group, &id, &offset, 1, lt.gt->now, &wait));
	KUNIT_EXPECT_FALSE(test, kbr_group_commit_again(&wait, &offset, 1));
	kbr_gle_elect(&lt, 2);
	KUNIT_EXPECT_TRUE(test, kbr_gt_until(kbr_group_commit_again(&wait, &offset, 1)));
	KUNIT_EXPECT_NE(test, offset.code, 0);
	kbr_group_wait_drop(&wait);

	kbr_gle_elect(&lt, 1);
	KUNIT_EXPECT_EQ(test, kbr_gle_where(&lt), KBR_KAFKA_COORDINATOR_LOAD_IN_PROGRESS);
	kbr_gle_follow(&lt);
	KUNIT_EXPECT_EQ(test, kbr_partition_sync(lt.part, kbr_log_end(&lt.part->log),
						 lt.part->sync_failures), 0);
	KUNIT_ASSERT_TRUE(test, kbr_gle_becomes(&lt, 0));
	KUNIT_ASSERT_EQ(test, kbr_gle_find(&lt, false), 0);
	KUNIT_EXPECT_EQ(test, kbr_gt_committed(lt.gt, 0), 6);
	kbr_gt_end(lt.gt);
}

static struct kunit_case kbr_gle_cases[] = {
	KUNIT_CASE(kbr_gle_test_moves),
	KUNIT_CASE(kbr_gle_test_waits),
	{}
};

static struct kunit_suite kbr_gle_suite = {
	.name = "kbroker_group_lead",
	.exit = kbr_gt_exit,
	.test_cases = kbr_gle_cases,
};

kunit_test_suite(kbr_gle_suite);
