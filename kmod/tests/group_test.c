// SPDX-License-Identifier: GPL-2.0-only
/* The fixture of the group coordinator's suites; see group_test.h. Tests nothing itself. */
#include <linux/slab.h>

#include "base/clock.h"
#include "group_test.h"

/* The test that runs */
static struct kbr_group_test *kbr_gt_current;

struct kbr_str kbr_gt_str(const char *text)
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

void kbr_gt_open(struct kbr_group_test *gt)
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

void kbr_gt_close(struct kbr_group_test *gt)
{
	kbr_group_put(gt->group);
	gt->group = NULL;
	kbr_broker_put(gt->broker);
	gt->broker = NULL;
}

struct kbr_group_test *kbr_gt_begin(struct kunit *test, const char *delay)
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

void kbr_gt_end(struct kbr_group_test *gt)
{
	if (gt->broker)
		kbr_gt_close(gt);
	kbr_gt_current = NULL;
	kbr_test_exit(gt->tb);
	kbr_clock_set_fake(NULL);
}

void kbr_gt_restart(struct kbr_group_test *gt, bool crash)
{
	kbr_gt_close(gt);
	if (crash)
		kbr_test_crash(gt->tb, 7);
	else
		kbr_test_stop(gt->tb);
	KUNIT_ASSERT_EQ(gt->tb->test, kbr_test_start(gt->tb), 0);
	kbr_gt_open(gt);
}

void kbr_gt_pass(struct kbr_group_test *gt, s64 ms)
{
	WRITE_ONCE(gt->now, gt->now + ms);
	kbr_group_lock(gt->group);
	kbr_group_tick_locked(gt->group, gt->now);
	kbr_group_unlock(gt->group);
}

enum kbr_group_state kbr_gt_state(struct kbr_group_test *gt)
{
	struct kbr_group_info info;

	kbr_group_lock(gt->group);
	kbr_group_info_locked(gt->group, &info);
	kbr_group_unlock(gt->group);
	return info.state;
}

bool kbr_gt_join(struct kbr_gt_member *m, bool id_first)
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

bool kbr_gt_joined(struct kbr_gt_member *m)
{
	return kbr_gt_done(m, kbr_group_join_again(&m->wait, m->gt->now, kbr_gt_tell, m));
}

bool kbr_gt_rejoin(struct kbr_gt_member *m)
{
	return kbr_gt_join(m, false) || kbr_gt_joined(m);
}

struct kbr_group_id kbr_gt_id(struct kbr_gt_member *m)
{
	return (struct kbr_group_id) {
		.generation = m->generation,
		.member_id = kbr_gt_str(m->id),
		.instance_id = kbr_gt_str(m->instance),
	};
}

bool kbr_gt_sync(struct kbr_gt_member *m, const struct kbr_group_assignment *shares,
		 unsigned int count)
{
	struct kbr_group_id id = kbr_gt_id(m);

	return kbr_gt_done(m, kbr_group_sync(m->gt->group, &id, shares, count, m->gt->now,
					     &m->wait, kbr_gt_tell, m));
}

bool kbr_gt_sync_again(struct kbr_gt_member *m)
{
	return kbr_gt_done(m, kbr_group_sync_again(&m->wait, m->gt->now, kbr_gt_tell, m));
}

bool kbr_gt_synced(struct kbr_gt_member *m)
{
	return kbr_gt_until(kbr_gt_sync_again(m));
}

s16 kbr_gt_beat(struct kbr_gt_member *m)
{
	struct kbr_group_id id = kbr_gt_id(m);

	return kbr_group_heartbeat(m->gt->group, &id, m->gt->now);
}

s16 kbr_gt_leave(struct kbr_gt_member *m)
{
	struct kbr_group_id id = kbr_gt_id(m);

	return kbr_group_leave(m->gt->group, &id, m->gt->now);
}

s16 kbr_gt_commit(struct kbr_group_test *gt, struct kbr_gt_member *m, const char *topic,
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

s64 kbr_gt_committed(struct kbr_group_test *gt, s32 partition)
{
	struct kbr_str topic = kbr_gt_str("t");
	struct kbr_group_offset found;
	bool there;

	kbr_group_lock(gt->group);
	there = kbr_group_offset_locked(gt->group, &topic, partition, &found);
	kbr_group_unlock(gt->group);
	return there ? found.offset : -1;
}

void kbr_gt_stable(struct kunit *test, struct kbr_gt_member *m)
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

s16 kbr_gt_delete(struct kbr_group_test *gt)
{
	struct kbr_group_wait wait = {};
	s16 code = 0;

	if (!kbr_group_delete(gt->group, gt->now, &wait, &code) &&
	    !kbr_gt_until(kbr_group_delete_again(&wait, &code)))
		code = KBR_KAFKA_TIMED_OUT;
	kbr_group_wait_drop(&wait);
	return code;
}

struct kbr_partition *kbr_gt_log(struct kbr_group_test *gt)
{
	return kbr_topic_partition(gt->broker->groups->topic, gt->group->partition);
}

void kbr_gt_exit(struct kunit *test)
{
	if (kbr_gt_current && kbr_gt_current->broker)
		kbr_gt_close(kbr_gt_current);
	kbr_gt_current = NULL;
	kbr_test_cleanup(test);
	kbr_clock_set_fake(NULL);
}
