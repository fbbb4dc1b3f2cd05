// SPDX-License-Identifier: GPL-2.0-only
/*
 * The coordinator of consumer groups over a RAM disk, by a fake clock: the
 * classic protocol with its timers, committed offsets through restarts, and a
 * random model of both.
 */
#include <kunit/test.h>
#include <linux/delay.h>
#include <linux/slab.h>

#include "base/clock.h"
#include "broker/group_internal.h"
#include "broker_test.h"

#define KBR_GT_SESSION_MS	10000
#define KBR_GT_REBALANCE_MS	60000
#define KBR_GT_DELAY_MS		3000
#define KBR_GT_ID_MAX		80

/* Poll until @cond holds; false: it did not within the patience */
#define kbr_gt_until(cond) ({						\
	unsigned int _tries = 0;					\
	bool _ok;							\
									\
	while (!(_ok = (cond)) && _tries++ < KBR_TEST_PATIENCE_MS)	\
		msleep(1);						\
	_ok;								\
})

struct kbr_group_test {
	struct kbr_test_broker *tb;
	struct kbr_broker *broker;
	struct kbr_group *group;
	s64 now;
};

/* The test that runs */
static struct kbr_group_test *kbr_gt_current;

/* One member as its client knows it */
struct kbr_gt_member {
	struct kbr_group_test *gt;
	struct kbr_group_wait wait;
	char id[KBR_GT_ID_MAX];
	char leader[KBR_GT_ID_MAX];
	char protocol[16];
	char assignment[16];
	const char *instance;
	const char *speaks;
	s32 generation;
	s16 code;
	bool lead;
	unsigned int members;
};

static struct kbr_str kbr_gt_str(const char *text)
{
	return (struct kbr_str){ .at = text, .len = text ? strlen(text) : -1 };
}

static void kbr_gt_copy(char *to, size_t size, const struct kbr_str *s)
{
	snprintf(to, size, "%.*s", max(s->len, 0), s->at ?: "");
}

static void kbr_gt_tell(void *ctx, const struct kbr_group_answer *answer)
{
	struct kbr_group_member_info info;
	struct kbr_gt_member *m = ctx;

	m->code = answer->code;
	m->generation = answer->generation;
	m->lead = answer->lead;
	m->members = 0;
	kbr_gt_copy(m->id, sizeof(m->id), &answer->member_id);
	kbr_gt_copy(m->leader, sizeof(m->leader), &answer->leader);
	kbr_gt_copy(m->protocol, sizeof(m->protocol), &answer->protocol);
	kbr_gt_copy(m->assignment, sizeof(m->assignment), &answer->assignment);
	while (answer->lead && kbr_group_member_locked(answer->group, m->members, &info))
		m->members++;
}

/* What was answered is waited for no more. */
static bool kbr_gt_done(struct kbr_gt_member *m, bool told)
{
	if (told)
		kbr_group_wait_drop(&m->wait);
	return told;
}

static void kbr_gt_open(struct kbr_group_test *gt)
{
	struct kunit *test = gt->tb->test;
	struct kbr_str name = kbr_gt_str("g");
	s16 code;
	int err;

	gt->broker = kbr_test_get(gt->tb);
	KUNIT_ASSERT_TRUE(test, kbr_gt_until((err = kbr_groups_ready(gt->broker, true)) != -EAGAIN));
	KUNIT_ASSERT_EQ(test, err, 0);
	gt->group = kbr_group_find(gt->broker, &name, true, &code);
	KUNIT_ASSERT_NOT_NULL(test, gt->group);
}

static void kbr_gt_close(struct kbr_group_test *gt)
{
	kbr_group_put(gt->group);
	gt->group = NULL;
	kbr_broker_put(gt->broker);
	gt->broker = NULL;
}

static struct kbr_group_test *kbr_gt_begin(struct kunit *test, const char *delay)
{
	struct kbr_group_test *gt = kunit_kzalloc(test, sizeof(*gt), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, gt);
	kbr_gt_current = gt;
	gt->now = 1700000000000LL;
	kbr_clock_set_fake(&gt->now);
	gt->tb = kbr_test_init(test);
	KUNIT_ASSERT_EQ(test, kbr_config_set_put(&gt->tb->configs,
						 "group.initial.rebalance.delay.ms", delay), 0);
	KUNIT_ASSERT_EQ(test, kbr_config_set_put(&gt->tb->configs,
						 "offsets.topic.num.partitions", "2"), 0);
	KUNIT_ASSERT_EQ(test, kbr_test_start(gt->tb), 0);
	KUNIT_ASSERT_EQ(test, kbr_test_create(gt->tb, "t", 8, NULL, NULL), 0);
	kbr_gt_open(gt);
	return gt;
}

static void kbr_gt_end(struct kbr_group_test *gt)
{
	if (gt->broker)
		kbr_gt_close(gt);
	kbr_gt_current = NULL;
	kbr_test_exit(gt->tb);
	kbr_clock_set_fake(NULL);
}

/* Stop or crash, and start again. */
static void kbr_gt_restart(struct kbr_group_test *gt, bool crash)
{
	kbr_gt_close(gt);
	if (crash)
		kbr_test_crash(gt->tb, 7);
	else
		kbr_test_stop(gt->tb);
	KUNIT_ASSERT_EQ(gt->tb->test, kbr_test_start(gt->tb), 0);
	kbr_gt_open(gt);
}

static void kbr_gt_pass(struct kbr_group_test *gt, s64 ms)
{
	WRITE_ONCE(gt->now, gt->now + ms);
	kbr_group_lock(gt->group);
	kbr_group_tick_locked(gt->group, gt->now);
	kbr_group_unlock(gt->group);
}

static enum kbr_group_state kbr_gt_state(struct kbr_group_test *gt)
{
	struct kbr_group_info info;

	kbr_group_lock(gt->group);
	kbr_group_info_locked(gt->group, &info);
	kbr_group_unlock(gt->group);
	return info.state;
}

static bool kbr_gt_join(struct kbr_gt_member *m, bool id_first)
{
	struct kbr_group_protocol protocols[4];
	unsigned int count;
	struct kbr_group_join join = {
		.id.generation = -1,
		.id.member_id = kbr_gt_str(m->id),
		.id.instance_id = kbr_gt_str(m->instance),
		.client_id = kbr_gt_str("c"),
		.client_host = kbr_gt_str("/192.0.2.1"),
		.protocol_type = kbr_gt_str("consumer"),
		.session_timeout_ms = KBR_GT_SESSION_MS,
		.rebalance_timeout_ms = KBR_GT_REBALANCE_MS,
		.id_first = id_first,
		.protocols = protocols,
	};
	const char *speaks = m->speaks ?: "r";

	/* each letter is a protocol */
	for (count = 0; speaks[count] && count < ARRAY_SIZE(protocols); count++) {
		protocols[count].name = (struct kbr_str){ .at = speaks + count, .len = 1 };
		protocols[count].metadata = kbr_gt_str("meta");
	}
	join.protocols_count = count;
	return kbr_gt_done(m, kbr_group_join(m->gt->group, &join, m->gt->now, &m->wait,
					     kbr_gt_tell, m));
}

static bool kbr_gt_joined(struct kbr_gt_member *m)
{
	return kbr_gt_done(m, kbr_group_join_again(&m->wait, m->gt->now, kbr_gt_tell, m));
}

/* A join that nobody else holds up: answered at once, or at the first look */
static bool kbr_gt_rejoin(struct kbr_gt_member *m)
{
	return kbr_gt_join(m, false) || kbr_gt_joined(m);
}

static struct kbr_group_id kbr_gt_id(struct kbr_gt_member *m)
{
	return (struct kbr_group_id) {
		.generation = m->generation,
		.member_id = kbr_gt_str(m->id),
		.instance_id = kbr_gt_str(m->instance),
	};
}

static bool kbr_gt_sync(struct kbr_gt_member *m, const struct kbr_group_assignment *shares,
			unsigned int count)
{
	struct kbr_group_id id = kbr_gt_id(m);

	return kbr_gt_done(m, kbr_group_sync(m->gt->group, &id, shares, count, m->gt->now,
					     &m->wait, kbr_gt_tell, m));
}

/* Wait for a sync's answer, which the disk has a part in. */
static bool kbr_gt_synced(struct kbr_gt_member *m)
{
	return kbr_gt_done(m, kbr_gt_until(kbr_group_sync_again(&m->wait, m->gt->now,
								kbr_gt_tell, m)));
}

static s16 kbr_gt_beat(struct kbr_gt_member *m)
{
	struct kbr_group_id id = kbr_gt_id(m);

	return kbr_group_heartbeat(m->gt->group, &id, m->gt->now);
}

static s16 kbr_gt_leave(struct kbr_gt_member *m)
{
	struct kbr_group_id id = kbr_gt_id(m);

	return kbr_group_leave(m->gt->group, &id, m->gt->now);
}

/* Commit @offset for partition @partition of "t" and wait; Kafka's error. */
static s16 kbr_gt_commit(struct kbr_group_test *gt, struct kbr_gt_member *m, const char *topic,
			 s32 partition, s64 offset)
{
	struct kbr_group_offset item = {
		.topic = kbr_gt_str(topic),
		.partition = partition,
		.offset = offset,
		.leader_epoch = -1,
		.metadata = kbr_gt_str("x"),
		.expire_ms = -1,
	};
	struct kbr_group_id id = { .generation = -1, .member_id.at = "", .instance_id.len = -1 };
	struct kbr_group_wait wait = {};

	if (m)
		id = kbr_gt_id(m);
	if (!kbr_group_commit(gt->group, &id, &item, 1, gt->now, &wait) &&
	    !kbr_gt_until(kbr_group_commit_again(&wait, &item, 1)))
		item.code = KBR_KAFKA_TIMED_OUT;
	kbr_group_wait_drop(&wait);
	return item.code;
}

static s64 kbr_gt_committed(struct kbr_group_test *gt, s32 partition)
{
	struct kbr_str topic = kbr_gt_str("t");
	struct kbr_group_offset found;
	bool there;

	kbr_group_lock(gt->group);
	there = kbr_group_offset_locked(gt->group, &topic, partition, &found);
	kbr_group_unlock(gt->group);
	return there ? found.offset : -1;
}

/* A group of one that is stable */
static void kbr_gt_stable(struct kunit *test, struct kbr_gt_member *m)
{
	struct kbr_group_assignment share = { .assignment = kbr_gt_str("all") };

	if (!kbr_gt_join(m, false)) {
		kbr_gt_pass(m->gt, KBR_GT_DELAY_MS);
		KUNIT_ASSERT_TRUE(test, kbr_gt_joined(m));
	}
	KUNIT_ASSERT_EQ(test, m->code, 0);
	KUNIT_EXPECT_TRUE(test, m->lead);
	share.member_id = kbr_gt_str(m->id);
	KUNIT_ASSERT_TRUE(test, kbr_gt_sync(m, &share, 1) || kbr_gt_synced(m));
	KUNIT_ASSERT_EQ(test, m->code, 0);
	KUNIT_EXPECT_STREQ(test, m->assignment, "all");
	KUNIT_EXPECT_EQ(test, (int)kbr_gt_state(m->gt), (int)KBR_GROUP_STABLE);
}

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
	KUNIT_ASSERT_TRUE(test, kbr_gt_join(&b, true));
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
	/* an admin removes it by its instance */
	b.id[0] = '\0';
	KUNIT_EXPECT_EQ(test, kbr_gt_leave(&b), 0);
	KUNIT_EXPECT_EQ(test, (int)kbr_gt_state(gt), (int)KBR_GROUP_EMPTY);
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
	struct kbr_group_wait wait = {};
	struct kbr_str name = kbr_gt_str("g");
	s16 code = 0;

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
	if (!kbr_group_delete(gt->group, gt->now, &wait, &code))
		KUNIT_EXPECT_TRUE(test, kbr_gt_until(kbr_group_delete_again(&wait, &code)));
	kbr_group_wait_drop(&wait);
	KUNIT_EXPECT_EQ(test, code, 0);
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
	KUNIT_CASE(kbr_group_restart_test),
	KUNIT_CASE(kbr_group_expiry_test),
	{}
};

/* What a failed assertion left is let go of, so that the module can be unloaded. */
static void kbr_group_test_exit(struct kunit *test)
{
	if (kbr_gt_current && kbr_gt_current->broker)
		kbr_gt_close(kbr_gt_current);
	kbr_gt_current = NULL;
	kbr_test_cleanup(test);
	kbr_clock_set_fake(NULL);
}

static struct kunit_suite kbr_group_suite = {
	.name = "kbroker_group",
	.exit = kbr_group_test_exit,
	.test_cases = kbr_group_cases,
};

kunit_test_suite(kbr_group_suite);
