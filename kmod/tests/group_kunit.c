// SPDX-License-Identifier: GPL-2.0-only
/*
 * The coordinator of consumer groups by a fake clock: the classic protocol with
 * its timers, and committed offsets through restarts.
 */
#include <kunit/test.h>

#include "base/clock.h"
#include "group_test.h"

/* Empty, first join, delay, all rejoined, the leader's sync, leave: each state after the other. */
static void kbr_group_states_test(struct kunit *test)
{
	struct kbr_group_test *gt = kbr_gt_begin(test, "3000");
	struct kbr_gt_member a = { .gt = gt };

	KUNIT_EXPECT_EQ(test, (int)kbr_gt_state(gt), (int)KBR_GROUP_EMPTY);
	KUNIT_ASSERT_TRUE(test, kbr_gt_join(&a, true));
	KUNIT_EXPECT_EQ(test, a.code, KBR_KAFKA_MEMBER_ID_REQUIRED);
	KUNIT_EXPECT_EQ(test, (int)kbr_gt_state(gt), (int)KBR_GROUP_EMPTY);
	KUNIT_ASSERT_FALSE(test, kbr_gt_join(&a, true));
	KUNIT_EXPECT_EQ(test, (int)kbr_gt_state(gt), (int)KBR_GROUP_PREPARING_REBALANCE);
	kbr_gt_pass(gt, KBR_GT_DELAY_MS - 1);
	KUNIT_EXPECT_FALSE(test, kbr_gt_joined(&a));
	kbr_gt_pass(gt, 1);
	KUNIT_ASSERT_TRUE(test, kbr_gt_joined(&a));
	KUNIT_EXPECT_EQ(test, a.code, 0);
	KUNIT_EXPECT_EQ(test, a.generation, 1);
	KUNIT_EXPECT_EQ(test, a.members, 1U);
	KUNIT_EXPECT_STREQ(test, a.protocol, "r");
	KUNIT_EXPECT_EQ(test, (int)kbr_gt_state(gt), (int)KBR_GROUP_COMPLETING_REBALANCE);
	KUNIT_EXPECT_EQ(test, kbr_gt_commit(gt, &a, "t", 0, 1), KBR_KAFKA_REBALANCE_IN_PROGRESS);
	KUNIT_ASSERT_TRUE(test, kbr_gt_sync(&a, NULL, 0) || kbr_gt_synced(&a));
	KUNIT_EXPECT_EQ(test, (int)kbr_gt_state(gt), (int)KBR_GROUP_STABLE);
	KUNIT_EXPECT_EQ(test, kbr_gt_beat(&a), 0);
	a.generation = 7;
	KUNIT_EXPECT_EQ(test, kbr_gt_beat(&a), KBR_KAFKA_ILLEGAL_GENERATION);
	KUNIT_EXPECT_EQ(test, kbr_gt_leave(&a), 0);
	KUNIT_EXPECT_EQ(test, kbr_gt_leave(&a), KBR_KAFKA_UNKNOWN_MEMBER_ID);
	KUNIT_EXPECT_EQ(test, (int)kbr_gt_state(gt), (int)KBR_GROUP_EMPTY);
	kbr_gt_end(gt);
}

/* A join makes everybody join again; who does not is removed at the rebalance timeout. */
static void kbr_group_rebalance_test(struct kunit *test)
{
	struct kbr_group_test *gt = kbr_gt_begin(test, "3000");
	struct kbr_gt_member a = { .gt = gt, .speaks = "rs" }, b = { .gt = gt, .speaks = "s" };
	struct kbr_gt_member c = { .gt = gt, .speaks = "x" };

	kbr_gt_stable(test, &a);
	KUNIT_ASSERT_TRUE(test, kbr_gt_join(&c, false));
	KUNIT_EXPECT_EQ(test, c.code, KBR_KAFKA_INCONSISTENT_GROUP_PROTOCOL);
	KUNIT_ASSERT_FALSE(test, kbr_gt_join(&b, false));
	KUNIT_EXPECT_EQ(test, kbr_gt_beat(&a), KBR_KAFKA_REBALANCE_IN_PROGRESS);
	KUNIT_EXPECT_EQ(test, kbr_gt_commit(gt, &a, "t", 0, 5), 0);
	KUNIT_ASSERT_TRUE(test, kbr_gt_rejoin(&a));
	KUNIT_ASSERT_TRUE(test, kbr_gt_joined(&b));
	KUNIT_EXPECT_EQ(test, a.generation, 2);
	KUNIT_EXPECT_EQ(test, b.generation, 2);
	KUNIT_EXPECT_TRUE(test, a.lead);
	KUNIT_EXPECT_FALSE(test, b.lead);
	KUNIT_EXPECT_EQ(test, a.members, 2U);
	KUNIT_EXPECT_STREQ(test, b.protocol, "s");
	/* the leader is gone before it syncs: its session ends, and b alone is left */
	KUNIT_ASSERT_FALSE(test, kbr_gt_sync(&b, NULL, 0));
	kbr_gt_pass(gt, KBR_GT_SESSION_MS);
	KUNIT_ASSERT_TRUE(test, kbr_gt_synced(&b));
	KUNIT_EXPECT_EQ(test, b.code, KBR_KAFKA_REBALANCE_IN_PROGRESS);
	KUNIT_EXPECT_EQ(test, kbr_gt_beat(&a), KBR_KAFKA_UNKNOWN_MEMBER_ID);
	KUNIT_ASSERT_TRUE(test, kbr_gt_rejoin(&b));
	KUNIT_EXPECT_TRUE(test, b.lead);
	KUNIT_EXPECT_EQ(test, b.generation, 3);
	/* a new one comes; b's client is stuck, though it beats: it is removed in the end */
	memset(a.id, 0, sizeof(a.id));
	KUNIT_ASSERT_FALSE(test, kbr_gt_join(&a, false));
	for (unsigned int i = 0; i < KBR_GT_REBALANCE_MS / 5000; i++) {
		KUNIT_EXPECT_EQ(test, kbr_gt_beat(&b), KBR_KAFKA_REBALANCE_IN_PROGRESS);
		KUNIT_EXPECT_FALSE(test, kbr_gt_joined(&a));
		kbr_gt_pass(gt, 5000);
	}
	KUNIT_ASSERT_TRUE(test, kbr_gt_joined(&a));
	KUNIT_EXPECT_EQ(test, a.code, 0);
	KUNIT_EXPECT_EQ(test, kbr_gt_beat(&b), KBR_KAFKA_UNKNOWN_MEMBER_ID);
	/* a does not sync: it is removed, too, though it beats */
	for (unsigned int i = 0; i < KBR_GT_REBALANCE_MS / 5000; i++) {
		KUNIT_EXPECT_EQ(test, kbr_gt_beat(&a), 0);
		kbr_gt_pass(gt, 5000);
	}
	KUNIT_EXPECT_EQ(test, kbr_gt_beat(&a), KBR_KAFKA_UNKNOWN_MEMBER_ID);
	KUNIT_EXPECT_EQ(test, (int)kbr_gt_state(gt), (int)KBR_GROUP_EMPTY);
	kbr_gt_end(gt);
}

/* The first join phase is extended when somebody new comes; an id that is not used ends. */
static void kbr_group_delay_test(struct kunit *test)
{
	struct kbr_group_test *gt = kbr_gt_begin(test, "3000");
	struct kbr_gt_member a = { .gt = gt }, b = { .gt = gt }, c = { .gt = gt };

	KUNIT_ASSERT_FALSE(test, kbr_gt_join(&a, false));
	kbr_gt_pass(gt, 2000);
	KUNIT_ASSERT_FALSE(test, kbr_gt_join(&b, false));
	kbr_gt_pass(gt, 1000);
	KUNIT_EXPECT_FALSE(test, kbr_gt_joined(&a));
	kbr_gt_pass(gt, KBR_GT_DELAY_MS);
	KUNIT_ASSERT_TRUE(test, kbr_gt_joined(&a));
	KUNIT_ASSERT_TRUE(test, kbr_gt_joined(&b));
	KUNIT_EXPECT_EQ(test, a.members, 2U);
	/* an id that was given away holds the next join phase up until it ends */
	KUNIT_ASSERT_TRUE(test, kbr_gt_join(&c, true));
	KUNIT_EXPECT_EQ(test, c.code, KBR_KAFKA_MEMBER_ID_REQUIRED);
	KUNIT_EXPECT_EQ(test, kbr_gt_leave(&b), 0);
	KUNIT_ASSERT_FALSE(test, kbr_gt_join(&a, false));
	KUNIT_EXPECT_FALSE(test, kbr_gt_joined(&a));
	kbr_gt_pass(gt, KBR_GT_SESSION_MS);
	KUNIT_ASSERT_TRUE(test, kbr_gt_joined(&a));
	KUNIT_EXPECT_EQ(test, a.members, 1U);
	KUNIT_ASSERT_TRUE(test, kbr_gt_join(&c, false));
	KUNIT_EXPECT_EQ(test, c.code, KBR_KAFKA_UNKNOWN_MEMBER_ID);
	/* a client that goes away while it waits was never there */
	memset(c.id, 0, sizeof(c.id));
	KUNIT_ASSERT_FALSE(test, kbr_gt_join(&c, false));
	kbr_group_wait_drop(&c.wait);
	KUNIT_ASSERT_TRUE(test, kbr_gt_rejoin(&a));
	KUNIT_EXPECT_EQ(test, a.members, 1U);
	kbr_gt_end(gt);
}

/* A static member comes back under a new id without a rebalance, and fences the old one. */
static void kbr_group_static_test(struct kunit *test)
{
	struct kbr_group_test *gt = kbr_gt_begin(test, "3000");
	struct kbr_gt_member a = { .gt = gt, .instance = "i" }, b = { .gt = gt, .instance = "i" };
	char old[KBR_GT_ID_MAX];

	kbr_gt_stable(test, &a);
	strscpy(old, a.id, sizeof(old));
	/* its new id has to be on disk first */
	KUNIT_ASSERT_TRUE(test, kbr_gt_join(&b, true) || kbr_gt_until(kbr_gt_joined(&b)));
	KUNIT_EXPECT_EQ(test, b.code, 0);
	KUNIT_EXPECT_EQ(test, b.generation, a.generation);
	KUNIT_EXPECT_STREQ(test, b.leader, old);
	KUNIT_EXPECT_FALSE(test, b.lead);
	KUNIT_EXPECT_EQ(test, (int)kbr_gt_state(gt), (int)KBR_GROUP_STABLE);
	KUNIT_ASSERT_TRUE(test, kbr_gt_sync(&b, NULL, 0));
	KUNIT_EXPECT_STREQ(test, b.assignment, "all");
	KUNIT_EXPECT_EQ(test, kbr_gt_beat(&a), KBR_KAFKA_FENCED_INSTANCE_ID);
	KUNIT_EXPECT_EQ(test, kbr_gt_commit(gt, &a, "t", 0, 1), KBR_KAFKA_FENCED_INSTANCE_ID);
	KUNIT_EXPECT_EQ(test, kbr_gt_beat(&b), 0);
	/* it is still the one after a crash */
	kbr_gt_restart(gt, true);
	KUNIT_EXPECT_EQ(test, kbr_gt_beat(&a), KBR_KAFKA_FENCED_INSTANCE_ID);
	KUNIT_EXPECT_EQ(test, kbr_gt_beat(&b), 0);
	/* an admin removes it by its instance */
	b.id[0] = '\0';
	KUNIT_EXPECT_EQ(test, kbr_gt_leave(&b), 0);
	KUNIT_EXPECT_EQ(test, (int)kbr_gt_state(gt), (int)KBR_GROUP_EMPTY);
	kbr_gt_end(gt);
}

/* What the former self of a static member waits for is answered, and says why. */
static void kbr_group_fenced_test(struct kunit *test)
{
	struct kbr_group_test *gt = kbr_gt_begin(test, "3000");
	struct kbr_gt_member lead = { .gt = gt }, a = { .gt = gt, .instance = "i" };
	struct kbr_gt_member b = { .gt = gt, .instance = "i" }, c = { .gt = gt, .instance = "i" };

	KUNIT_ASSERT_FALSE(test, kbr_gt_join(&lead, false));
	KUNIT_ASSERT_FALSE(test, kbr_gt_join(&a, false));
	KUNIT_ASSERT_FALSE(test, kbr_gt_join(&b, false));
	KUNIT_ASSERT_TRUE(test, kbr_gt_joined(&a));
	KUNIT_EXPECT_EQ(test, a.code, KBR_KAFKA_FENCED_INSTANCE_ID);
	KUNIT_EXPECT_STREQ(test, a.id, "");
	kbr_gt_pass(gt, 2 * KBR_GT_DELAY_MS);
	KUNIT_ASSERT_TRUE(test, kbr_gt_joined(&lead));
	KUNIT_ASSERT_TRUE(test, kbr_gt_joined(&b));
	KUNIT_EXPECT_EQ(test, lead.members, 2U);
	KUNIT_EXPECT_TRUE(test, lead.lead);
	/* the leader has not assigned yet */
	KUNIT_ASSERT_FALSE(test, kbr_gt_sync(&b, NULL, 0));
	KUNIT_ASSERT_FALSE(test, kbr_gt_join(&c, false));
	KUNIT_ASSERT_TRUE(test, kbr_gt_synced(&b));
	KUNIT_EXPECT_EQ(test, b.code, KBR_KAFKA_FENCED_INSTANCE_ID);
	KUNIT_ASSERT_TRUE(test, kbr_gt_rejoin(&lead));
	KUNIT_ASSERT_TRUE(test, kbr_gt_joined(&c));
	KUNIT_EXPECT_EQ(test, c.code, 0);
	KUNIT_EXPECT_EQ(test, c.generation, 2);
	kbr_gt_end(gt);
}

/* What was committed is there after a restart and after a crash; so is the generation. */
static void kbr_group_restart_test(struct kunit *test)
{
	struct kbr_group_test *gt = kbr_gt_begin(test, "0");
	struct kbr_gt_member a = { .gt = gt };
	unsigned int i;

	KUNIT_EXPECT_EQ(test, kbr_gt_commit(gt, NULL, "t", 0, 10), 0);
	KUNIT_EXPECT_EQ(test, kbr_gt_commit(gt, NULL, "nope", 0, 10), KBR_KAFKA_UNKNOWN_TOPIC);
	KUNIT_EXPECT_EQ(test, kbr_gt_commit(gt, NULL, "t", 8, 10), KBR_KAFKA_UNKNOWN_TOPIC);
	kbr_gt_stable(test, &a);
	KUNIT_EXPECT_EQ(test, kbr_gt_commit(gt, NULL, "t", 0, 11), KBR_KAFKA_UNKNOWN_MEMBER_ID);
	for (i = 0; i < 4; i++) {
		KUNIT_EXPECT_EQ(test, kbr_gt_commit(gt, &a, "t", i, 20 + i), 0);
		kbr_gt_restart(gt, i & 1);
		KUNIT_EXPECT_EQ(test, kbr_gt_committed(gt, i), 20 + (s64)i);
		KUNIT_EXPECT_EQ(test, kbr_gt_committed(gt, 7), -1LL);
		KUNIT_EXPECT_EQ(test, (int)kbr_gt_state(gt), (int)KBR_GROUP_STABLE);
		KUNIT_EXPECT_EQ(test, kbr_gt_beat(&a), 0);
	}
	/* sessions run again since the load */
	kbr_gt_pass(gt, KBR_GT_SESSION_MS);
	KUNIT_EXPECT_EQ(test, (int)kbr_gt_state(gt), (int)KBR_GROUP_EMPTY);
	KUNIT_EXPECT_EQ(test, kbr_gt_commit(gt, NULL, "t", 0, 3), 0);
	kbr_gt_restart(gt, true);
	KUNIT_EXPECT_EQ(test, kbr_gt_committed(gt, 0), 3LL);
	KUNIT_EXPECT_EQ(test, (int)kbr_gt_state(gt), (int)KBR_GROUP_EMPTY);
	kbr_gt_end(gt);
}

/* Offsets end: with their topic, with their group, and after the retention. */
static void kbr_group_expiry_test(struct kunit *test)
{
	struct kbr_group_test *gt = kbr_gt_begin(test, "0");
	struct kbr_str name = kbr_gt_str("g");
	s16 code;

	KUNIT_EXPECT_EQ(test, kbr_gt_commit(gt, NULL, "t", 0, 10), 0);
	kbr_gt_pass(gt, 10080 * 60 * 1000LL - 1);
	kbr_groups_upkeep(gt->broker, gt->now);
	kbr_gt_restart(gt, false);
	KUNIT_EXPECT_EQ(test, kbr_gt_committed(gt, 0), 10LL);
	kbr_gt_pass(gt, 600001);
	kbr_groups_upkeep(gt->broker, gt->now);
	kbr_gt_restart(gt, false);
	KUNIT_EXPECT_EQ(test, kbr_gt_committed(gt, 0), -1LL);
	KUNIT_EXPECT_EQ(test, kbr_gt_commit(gt, NULL, "t", 1, 10), 0);
	KUNIT_EXPECT_EQ(test, kbr_test_delete(gt->tb, "t"), 0);
	kbr_gt_restart(gt, false);
	KUNIT_EXPECT_EQ(test, kbr_gt_committed(gt, 1), -1LL);
	KUNIT_EXPECT_EQ(test, kbr_test_create(gt->tb, "t", 8, NULL, NULL), 0);
	KUNIT_EXPECT_EQ(test, kbr_gt_commit(gt, NULL, "t", 2, 10), 0);
	KUNIT_EXPECT_EQ(test, kbr_gt_delete(gt), 0);
	KUNIT_EXPECT_NULL(test, kbr_group_find(gt->broker, &name, false, &code));
	KUNIT_EXPECT_EQ(test, code, KBR_KAFKA_GROUP_ID_NOT_FOUND);
	kbr_gt_restart(gt, true);
	KUNIT_EXPECT_EQ(test, kbr_gt_committed(gt, 2), -1LL);
	kbr_gt_end(gt);
}

static struct kunit_case kbr_group_cases[] = {
	KUNIT_CASE(kbr_group_states_test),
	KUNIT_CASE(kbr_group_rebalance_test),
	KUNIT_CASE(kbr_group_delay_test),
	KUNIT_CASE(kbr_group_static_test),
	KUNIT_CASE(kbr_group_fenced_test),
	KUNIT_CASE(kbr_group_restart_test),
	KUNIT_CASE(kbr_group_expiry_test),
	{}
};

static struct kunit_suite kbr_group_suite = {
	.name = "kbroker_group",
	.exit = kbr_gt_exit,
	.test_cases = kbr_group_cases,
};

kunit_test_suite(kbr_group_suite);
