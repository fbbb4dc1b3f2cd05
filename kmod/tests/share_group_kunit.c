// SPDX-License-Identifier: GPL-2.0-only
/*
 * Groups of devices and their offsets, over a disk that can fail: what was counted
 * is exact while the broker runs, written when a member leaves and when the broker
 * stops, and never overrides what others committed since. How partitions are
 * shared out is share_kunit.c's, what the system calls say the selftests'.
 */
#include <kunit/test.h>
#include <linux/delay.h>
#include <linux/slab.h>

#include "broker/group.h"
#include "broker/share.h"
#include "broker_test.h"
#include "codec/kafka_error.h"

/**
 * struct kbr_sg_test - the fixture
 * @test: the running test
 * @tb: a broker
 * @topic: topic "t", with two partitions
 * @members: who may take part
 */
struct kbr_sg_test {
	struct kunit *test;
	struct kbr_test_broker *tb;
	struct kbr_topic *topic;
	struct kbr_share_member members[3];
};

static const struct kbr_str kbr_sg_name = { .at = "devices", .len = 7 };

static struct kbr_sg_test *kbr_sg_begin(struct kunit *test)
{
	struct kbr_sg_test *st = kunit_kzalloc(test, sizeof(*st), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, st);
	st->test = test;
	st->tb = kbr_test_init(test);
	KUNIT_ASSERT_EQ(test, kbr_test_start(st->tb), 0);
	KUNIT_ASSERT_EQ(test, kbr_test_create(st->tb, "t", 2, NULL, NULL), 0);
	st->topic = kbr_test_topic(st->tb, "t");
	KUNIT_ASSERT_NOT_NULL(test, st->topic);
	return st;
}

static void kbr_sg_end(struct kbr_sg_test *st)
{
	kbr_topic_put(st->topic);
	kbr_test_exit(st->tb);
}

static struct kbr_share_member *kbr_sg_join(struct kbr_sg_test *st, unsigned int n)
{
	kbr_share_member_init(&st->members[n]);
	KUNIT_ASSERT_EQ(st->test, kbr_share_join(&st->members[n], st->topic, &kbr_sg_name), 0);
	return &st->members[n];
}

static struct kbr_group *kbr_sg_group(struct kbr_sg_test *st)
{
	struct kbr_group *group;
	s16 code;

	group = kbr_group_find(st->topic->broker, &kbr_sg_name, true, &code);
	KUNIT_ASSERT_NOT_NULL(st->test, group);
	return group;
}

/* What is committed for partition @index, -1 nothing. */
static s64 kbr_sg_committed(struct kbr_sg_test *st, s32 index)
{
	struct kbr_str topic = { .at = "t", .len = 1 };
	struct kbr_group *group = kbr_sg_group(st);
	struct kbr_group_offset found;
	s64 offset = -1;

	kbr_group_lock(group);
	if (kbr_group_offset_locked(group, &topic, index, &found))
		offset = found.offset;
	kbr_group_unlock(group);
	kbr_group_put(group);
	return offset;
}

/* Count @offset of partition @index, which @member has. */
static void kbr_sg_count(struct kbr_share_member *member, unsigned int index, s64 offset)
{
	kbr_share_enter(member, KBR_SHARE_READ);
	kbr_share_give(member, member->share->parts[index], offset);
	kbr_share_exit(member, NULL);
	kbr_share_enter(member, KBR_SHARE_READ);
	kbr_share_exit(member, NULL);
}

static void kbr_sg_restart(struct kbr_sg_test *st)
{
	kbr_topic_put(st->topic);
	kbr_test_stop(st->tb);
	KUNIT_ASSERT_EQ(st->test, kbr_test_start(st->tb), 0);
	st->topic = kbr_test_topic(st->tb, "t");
	KUNIT_ASSERT_NOT_NULL(st->test, st->topic);
}

/* G11: exact for who comes next, on disk once somebody asks, and there after a restart. */
static void kbr_sg_test_kept(struct kunit *test)
{
	struct kbr_sg_test *st = kbr_sg_begin(test);
	struct kbr_share_member *a = kbr_sg_join(st, 0);
	unsigned int round;

	kbr_sg_count(a, 0, 5);
	KUNIT_EXPECT_EQ(test, kbr_sg_committed(st, 0), -1);
	KUNIT_EXPECT_EQ(test, kbr_share_commit(a->share), 0);
	KUNIT_EXPECT_EQ(test, kbr_sg_committed(st, 0), 5);
	/* nothing is left to write */
	KUNIT_EXPECT_EQ(test, kbr_share_commit(a->share), 0);
	for (round = 6; round < 30; round++) {
		kbr_sg_count(a, 1, round);
		kbr_share_leave(a);
		a = kbr_sg_join(st, 0);
		KUNIT_EXPECT_EQ(test, kbr_share_counted(a->share, 1), round);
	}
	kbr_share_leave(a);
	kbr_sg_restart(st);
	a = kbr_sg_join(st, 0);
	KUNIT_EXPECT_EQ(test, kbr_share_counted(a->share, 0), 5);
	KUNIT_EXPECT_EQ(test, kbr_share_counted(a->share, 1), 29);
	kbr_share_leave(a);
	kbr_sg_end(st);
}

/* G17: a broker that stops writes what was counted; members stay until they close. */
static void kbr_sg_test_stop(struct kunit *test)
{
	struct kbr_sg_test *st = kbr_sg_begin(test);
	struct kbr_share_member *a = kbr_sg_join(st, 0), *b = kbr_sg_join(st, 1), *c;

	kbr_sg_count(a, 0, 3);
	kbr_share_enter(b, KBR_SHARE_READ);
	kbr_share_give(b, b->share->parts[1], 4);
	kbr_share_exit(b, NULL);
	kbr_sg_restart(st);
	KUNIT_EXPECT_TRUE(test, kbr_share_ready(a));
	KUNIT_EXPECT_EQ(test, kbr_share_enter(b, KBR_SHARE_READ), KBR_SHARE_ENDED);
	kbr_share_exit(b, NULL);
	KUNIT_EXPECT_EQ(test, kbr_share_commit(b->share), -ENODEV);
	/* they are none of the new broker's */
	c = kbr_sg_join(st, 2);
	KUNIT_EXPECT_EQ(test, c->owned, 2);
	KUNIT_EXPECT_EQ(test, kbr_share_counted(c->share, 0), 3);
	KUNIT_EXPECT_EQ(test, kbr_share_counted(c->share, 1), 0);
	kbr_share_leave(a);
	kbr_share_leave(b);
	kbr_share_leave(c);
	kbr_sg_end(st);
}

/* A disk that fails: who asks is told, and it is written once the disk is well. */
static void kbr_sg_test_failure(struct kunit *test)
{
	struct kbr_sg_test *st = kbr_sg_begin(test);
	struct kbr_share_member *a = kbr_sg_join(st, 0);
	unsigned int ms;
	int err;

	kbr_sg_count(a, 0, 7);
	KUNIT_ASSERT_TRUE(test, kbr_ram_fail(st->tb->dir, KBR_RAM_SYNC, 0, 1, -EIO,
					     "__consumer_offsets-"));
	KUNIT_EXPECT_EQ(test, kbr_share_commit(a->share), -EIO);
	KUNIT_EXPECT_EQ(test, kbr_sg_committed(st, 0), -1);
	for (ms = 0; ms < KBR_TEST_PATIENCE_MS; ms += 10) {
		err = kbr_share_commit(a->share);
		if (!err)
			break;
		msleep(10);
	}
	KUNIT_EXPECT_EQ(test, err, 0);
	KUNIT_EXPECT_EQ(test, kbr_sg_committed(st, 0), 7);
	kbr_sg_count(a, 0, 8);
	KUNIT_ASSERT_TRUE(test, kbr_ram_fail(st->tb->dir, KBR_RAM_WRITE, 0, 1, -ENOSPC,
					     "__consumer_offsets-"));
	KUNIT_EXPECT_EQ(test, kbr_share_commit(a->share), -ENOSPC);
	KUNIT_EXPECT_EQ(test, kbr_share_commit(a->share), 0);
	KUNIT_EXPECT_EQ(test, kbr_sg_committed(st, 0), 8);
	kbr_share_leave(a);
	kbr_sg_end(st);
}

/* What others commit when no device is left counts for the next one. */
static void kbr_sg_test_reset(struct kunit *test)
{
	struct kbr_group_id nobody = { .generation = -1, .member_id = { .at = "" },
				       .instance_id = { .len = -1 } };
	struct kbr_group_offset offset = { .topic = { .at = "t", .len = 1 }, .partition = 1,
					   .offset = 40, .leader_epoch = -1,
					   .metadata = { .at = "" }, .expire_ms = -1 };
	struct kbr_sg_test *st = kbr_sg_begin(test);
	struct kbr_share_member *a = kbr_sg_join(st, 0);
	struct kbr_group_wait wait = { };
	struct kbr_group *group = kbr_sg_group(st);
	unsigned int ms = 0;
	bool done;

	kbr_sg_count(a, 1, 50);
	done = kbr_group_commit(group, &nobody, &offset, 1, 0, &wait);
	KUNIT_EXPECT_TRUE(test, done);
	KUNIT_EXPECT_EQ(test, offset.code, KBR_KAFKA_UNKNOWN_MEMBER_ID);
	kbr_share_leave(a);
	offset.code = 0;
	done = kbr_group_commit(group, &nobody, &offset, 1, 0, &wait);
	while (!done && ms++ < KBR_TEST_PATIENCE_MS) {
		msleep(1);
		done = kbr_group_commit_again(&wait, &offset, 1);
	}
	KUNIT_EXPECT_TRUE(test, done);
	KUNIT_EXPECT_EQ(test, offset.code, 0);
	kbr_group_wait_drop(&wait);
	a = kbr_sg_join(st, 0);
	KUNIT_EXPECT_EQ(test, kbr_share_counted(a->share, 1), 40);
	kbr_share_leave(a);
	kbr_group_put(group);
	kbr_sg_end(st);
}

static void kbr_sg_tell(void *ctx, const struct kbr_group_answer *answer)
{
	*(s16 *)ctx = answer->code;
}

/* G12: one kind of members; G17: nobody deletes the group under them. */
static void kbr_sg_test_kinds(struct kunit *test)
{
	const struct kbr_group_protocol range = { .name = { .at = "range", .len = 5 },
						  .metadata = { .at = "" } };
	struct kbr_group_join join = {
		.id = { .generation = -1, .member_id = { .at = "" }, .instance_id = { .len = -1 } },
		.client_id = { .at = "c", .len = 1 },
		.client_host = { .at = "/::1", .len = 4 },
		.protocol_type = { .at = "consumer", .len = 8 },
		.session_timeout_ms = 10000,
		.rebalance_timeout_ms = 10000,
		.protocols = &range,
		.protocols_count = 1,
	};
	struct kbr_sg_test *st = kbr_sg_begin(test);
	struct kbr_share_member *a = kbr_sg_join(st, 0);
	struct kbr_group *group = kbr_sg_group(st);
	struct kbr_group_wait wait = { };
	struct kbr_group_info info;
	s16 code = -1;

	kbr_group_lock(group);
	kbr_group_info_locked(group, &info);
	kbr_group_unlock(group);
	KUNIT_EXPECT_EQ(test, info.kind, KBR_GROUP_DEVICE);
	KUNIT_EXPECT_EQ(test, info.members, 1);
	KUNIT_EXPECT_TRUE(test, kbr_group_join(group, &join, 0, &wait, kbr_sg_tell, &code));
	KUNIT_EXPECT_EQ(test, code, KBR_KAFKA_INCONSISTENT_GROUP_PROTOCOL);
	KUNIT_EXPECT_TRUE(test, kbr_group_delete(group, 0, &wait, &code));
	KUNIT_EXPECT_EQ(test, code, KBR_KAFKA_NON_EMPTY_GROUP);
	kbr_group_wait_drop(&wait);
	kbr_share_leave(a);
	KUNIT_EXPECT_FALSE(test, kbr_group_join(group, &join, 0, &wait, kbr_sg_tell, &code));
	kbr_share_member_init(&st->members[1]);
	KUNIT_EXPECT_EQ(test, kbr_share_join(&st->members[1], st->topic, &kbr_sg_name), -EBUSY);
	kbr_group_wait_drop(&wait);
	a = kbr_sg_join(st, 0);
	kbr_share_leave(a);
	kbr_group_put(group);
	kbr_sg_end(st);
}

/* What is counted after the topic's end is nobody's: a new one of its name begins anew. */
static void kbr_sg_test_deleted(struct kunit *test)
{
	struct kbr_sg_test *st = kbr_sg_begin(test);
	struct kbr_share_member *a = kbr_sg_join(st, 0), *b;
	struct kbr_topic *old = st->topic;

	kbr_sg_count(a, 0, 9);
	KUNIT_EXPECT_EQ(test, kbr_test_delete(st->tb, "t"), 0);
	KUNIT_EXPECT_EQ(test, kbr_share_commit(a->share), -ENODEV);
	KUNIT_ASSERT_EQ(test, kbr_test_create(st->tb, "t", 2, NULL, NULL), 0);
	st->topic = kbr_test_topic(st->tb, "t");
	KUNIT_ASSERT_NOT_NULL(test, st->topic);
	b = kbr_sg_join(st, 1);
	KUNIT_EXPECT_EQ(test, b->owned, 2);
	KUNIT_EXPECT_EQ(test, kbr_share_counted(b->share, 0), 0);
	kbr_share_leave(a);
	KUNIT_EXPECT_EQ(test, kbr_sg_committed(st, 0), -1);
	kbr_share_leave(b);
	kbr_topic_put(old);
	kbr_sg_end(st);
}

static struct kunit_case kbr_sg_cases[] = {
	KUNIT_CASE(kbr_sg_test_kept),
	KUNIT_CASE(kbr_sg_test_stop),
	KUNIT_CASE(kbr_sg_test_failure),
	KUNIT_CASE(kbr_sg_test_reset),
	KUNIT_CASE(kbr_sg_test_kinds),
	KUNIT_CASE(kbr_sg_test_deleted),
	{}
};

static struct kunit_suite kbr_sg_suite = {
	.name = "kbroker_share_group",
	.exit = kbr_test_cleanup,
	.test_cases = kbr_sg_cases,
};

kunit_test_suite(kbr_sg_suite);
