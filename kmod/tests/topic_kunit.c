// SPDX-License-Identifier: GPL-2.0-only
/*
 * Topics: names, refusals, create, alter and delete, whole or not at all,
 * through crashes, full disks and failing ones.
 */
#include <kunit/test.h>

#include "broker/access.h"
#include "broker/handle.h"
#include "broker/op.h"
#include "broker_test.h"

static const struct kbr_name_case {
	const char *name;
	bool good;
} kbr_name_cases[] = {
	{ "orders", true }, { "a", true }, { "A.b_c-9", true }, { "__mine", true }, { "...", true },
	{ "", false }, { ".", false }, { "..", false }, { "a b", false }, { "a/b", false },
	{ "a\n", false }, { "\xc3\xa4", false }, { "a@g", false }, { "__cluster_metadata", false },
	{ "*", false }, { "a:b", false },
};

static void kbr_topic_test_names(struct kunit *test)
{
	char *name = kunit_kzalloc(test, KBR_TOPIC_NAME_MAX + 2, GFP_KERNEL);
	struct kbr_refusal why;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(kbr_name_cases); i++) {
		why.text[0] = '\0';
		KUNIT_EXPECT_EQ_MSG(test, kbr_topic_name_check(kbr_name_cases[i].name, &why),
				    kbr_name_cases[i].good ? 0 : -EINVAL, "\"%s\"",
				    kbr_name_cases[i].name);
		KUNIT_EXPECT_EQ(test, !why.text[0], kbr_name_cases[i].good);
	}
	KUNIT_ASSERT_NOT_NULL(test, name);
	memset(name, 'n', KBR_TOPIC_NAME_MAX);
	KUNIT_EXPECT_EQ(test, kbr_topic_name_check(name, NULL), 0);
	name[KBR_TOPIC_NAME_MAX] = 'n';
	KUNIT_EXPECT_EQ(test, kbr_topic_name_check(name, NULL), -EINVAL);
}

/* As many operations wait as may: no more are taken, but for a stop. */
static void kbr_topic_test_busy(struct kunit *test)
{
	struct kbr_test_broker *tb = kbr_test_init(test);
	unsigned int count;

	KUNIT_ASSERT_EQ(test, kbr_test_start(tb), 0);
	for (count = 0; !kbr_op_full(tb->knet); count++)
		tb->knet->ops_count++;
	KUNIT_EXPECT_EQ(test, kbr_test_create(tb, "t", 1, NULL, NULL), -EBUSY);
	KUNIT_EXPECT_TRUE(test, strstr(tb->why.text, "too many operations wait"));
	kbr_test_stop(tb);
	KUNIT_EXPECT_PTR_EQ(test, tb->knet->broker, NULL);
	tb->knet->ops_count -= count;
	KUNIT_EXPECT_EQ(test, kbr_test_start(tb), 0);
	KUNIT_EXPECT_EQ(test, kbr_test_create(tb, "t", 1, NULL, NULL), 0);
	kbr_test_exit(tb);
}

static void kbr_topic_test_refusals(struct kunit *test)
{
	struct kbr_test_broker *tb = kbr_test_init(test);
	struct kbr_topic_params params = {
		.name = "t", .partitions = 1, .replication_factor = 3,
	};
	struct kbr_broker *broker;
	u32 id = 0;
	int err;

	KUNIT_ASSERT_EQ(test, kbr_test_start(tb), 0);
	KUNIT_EXPECT_EQ(test, kbr_test_create(tb, "t", 0, NULL, NULL), -EINVAL);
	KUNIT_EXPECT_TRUE(test, strstr(tb->why.text, "at least one partition"));
	KUNIT_EXPECT_EQ(test, kbr_test_create(tb, "t", -5, NULL, NULL), -EINVAL);
	KUNIT_EXPECT_EQ(test, kbr_test_create(tb, "t", 1000000, NULL, NULL), -E2BIG);
	KUNIT_EXPECT_TRUE(test, strstr(tb->why.text, "at most 10000 partitions, not 1000000"));
	KUNIT_EXPECT_EQ(test, kbr_test_create(tb, "t", 1, "no.such", "1"), -EINVAL);
	KUNIT_EXPECT_TRUE(test, strstr(tb->why.text, "no.such"));
	KUNIT_EXPECT_EQ(test, kbr_test_create(tb, "a b", 1, NULL, NULL), -EINVAL);
	broker = kbr_test_get(tb);
	KUNIT_EXPECT_EQ(test, kbr_topic_create(broker, &params, &id, &tb->why), -EINVAL);
	KUNIT_EXPECT_TRUE(test, strstr(tb->why.text, "standalone"));
	params.replication_factor = 1;
	params.name = "__mine";
	KUNIT_EXPECT_EQ(test, kbr_topic_create(broker, &params, &id, &tb->why), -EINVAL);
	KUNIT_EXPECT_TRUE(test, strstr(tb->why.text, "the broker's own"));
	params.internal = true;
	err = kbr_topic_create(broker, &params, &id, &tb->why);
	KUNIT_EXPECT_EQ(test, kbr_test_wait_op(tb, err, id), 0);
	kbr_broker_put(broker);
	KUNIT_EXPECT_EQ(test, kbr_test_create(tb, "t", 1, NULL, NULL), 0);
	KUNIT_EXPECT_EQ(test, kbr_test_create(tb, "t", 1, NULL, NULL), -EEXIST);
	KUNIT_EXPECT_EQ(test, kbr_test_delete(tb, "u"), -ENOENT);
	kbr_test_exit(tb);
}

static void kbr_topic_test_alter(struct kunit *test)
{
	struct kbr_test_broker *tb = kbr_test_init(test);
	struct kbr_topic_change change = {
		.owner = { .set_uid = true, .uid = KUIDT_INIT(7), .set_mode = true, .mode = 0644 },
		.partitions = 5,
	};
	struct kbr_topic *topic;
	unsigned int round;

	KUNIT_ASSERT_EQ(test, kbr_test_start(tb), 0);
	KUNIT_ASSERT_EQ(test, kbr_test_create(tb, "t", 2, "segment.bytes", "20000"), 0);
	KUNIT_ASSERT_EQ(test, kbr_config_set_put(&change.set, "retention.ms", "9"), 0);
	KUNIT_ASSERT_EQ(test, kbr_config_set_put(&change.del, "segment.bytes", ""), 0);
	KUNIT_EXPECT_EQ(test, kbr_test_alter(tb, "t", &change), 0);
	for (round = 0; round < 2; round++) {
		topic = kbr_test_topic(tb, "t");
		KUNIT_ASSERT_NOT_NULL(test, topic);
		KUNIT_EXPECT_EQ(test, kbr_topic_partitions(topic), 5);
		KUNIT_EXPECT_EQ(test, topic->mode, 0644);
		KUNIT_EXPECT_TRUE(test, uid_eq(topic->uid, KUIDT_INIT(7)));
		KUNIT_EXPECT_EQ(test, topic->config.log.retention_ms, 9);
		KUNIT_EXPECT_EQ(test, topic->config.log.segment_bytes, 1 << 30);
		KUNIT_EXPECT_EQ(test, kbr_test_produce(kbr_topic_partition(topic, 4), "x",
						       KBR_ACKS_ALL), round);
		kbr_topic_put(topic);
		/* the same after a loss of power */
		kbr_test_crash(tb, 0);
		KUNIT_ASSERT_EQ(test, kbr_test_start(tb), 0);
	}
	change.partitions = 4;
	KUNIT_EXPECT_EQ(test, kbr_test_alter(tb, "t", &change), -EINVAL);
	KUNIT_EXPECT_TRUE(test, strstr(tb->why.text, "only grow"));
	kbr_config_set_free(&change.set);
	kbr_config_set_free(&change.del);
	kbr_test_exit(tb);
}

/* Deleted under an open device: the end for readers, -ENODEV for writers, the name free again. */
static void kbr_topic_test_delete_open(struct kunit *test)
{
	struct kbr_test_broker *tb = kbr_test_init(test);
	struct kbr_handle handle = {};
	struct kbr_handle_info info;
	struct kbr_partition *part;
	struct kbr_topic *topic;
	char value[16];
	s64 position = 3;

	KUNIT_ASSERT_EQ(test, kbr_test_start(tb), 0);
	KUNIT_ASSERT_EQ(test, kbr_test_create(tb, "t", 1, NULL, NULL), 0);
	topic = kbr_test_topic(tb, "t");
	KUNIT_ASSERT_NOT_NULL(test, topic);
	part = kbr_topic_partition(topic, 0);
	KUNIT_EXPECT_EQ(test, kbr_test_produce(part, "x", KBR_ACKS_ALL), 0);
	handle.positions = &position;
	handle.positions_count = 1;
	kbr_handle_add(&handle, topic, 0, FMODE_READ);
	KUNIT_EXPECT_TRUE(test, kbr_handle_nth(topic, 0, 0, &info));
	KUNIT_EXPECT_EQ(test, info.position, 3);
	KUNIT_EXPECT_FALSE(test, kbr_handle_nth(topic, 0, 1, &info));
	KUNIT_EXPECT_EQ(test, kbr_test_delete(tb, "t"), 0);
	KUNIT_EXPECT_TRUE(test, kbr_topic_gone(topic));
	KUNIT_EXPECT_EQ(test, kbr_test_produce(part, "y", KBR_ACKS_ALL), -ENODEV);
	KUNIT_EXPECT_EQ(test, kbr_test_read(part, 0, value, sizeof(value)), -ENODATA);
	KUNIT_EXPECT_EQ(test, kbr_test_create(tb, "t", 1, NULL, NULL), 0);
	KUNIT_EXPECT_EQ(test, kbr_test_produce(part, "y", KBR_ACKS_ALL), -ENODEV);
	kbr_handle_del(&handle);
	kbr_topic_put(topic);
	topic = kbr_test_topic(tb, "t");
	KUNIT_EXPECT_EQ(test, kbr_test_produce(kbr_topic_partition(topic, 0), "z", KBR_ACKS_ALL), 0);
	kbr_topic_put(topic);
	kbr_test_exit(tb);
}

/* A creation whose n-th call fails, whatever it is: there or not, before and after a crash. */
static void kbr_topic_test_create_fails(struct kunit *test)
{
	struct kbr_test_broker *tb = kbr_test_init(test);
	struct kbr_topic *topic;
	unsigned int n, failed = 0;
	int err = -EIO;
	bool there;

	for (n = 0; n < 200 && err; n++) {
		KUNIT_ASSERT_EQ(test, kbr_test_start(tb), 0);
		kbr_ram_fail(tb->dir, KBR_RAM_CHANGES, n, 1, n % 2 ? -EIO : -ENOSPC, NULL);
		err = kbr_test_create(tb, "t", 3, NULL, NULL);
		kbr_ram_heal(tb->dir);
		if (err)
			failed++;
		topic = kbr_test_topic(tb, "t");
		KUNIT_EXPECT_EQ_MSG(test, !topic, err != 0, "call %u, error %d", n, err);
		kbr_topic_put(topic);
		kbr_test_crash(tb, n + 1);
		KUNIT_ASSERT_EQ_MSG(test, kbr_test_start(tb), 0, "after call %u: %s", n,
				    tb->why.text);
		topic = kbr_test_topic(tb, "t");
		there = topic;
		KUNIT_EXPECT_TRUE_MSG(test, there || err, "call %u: it is lost", n);
		if (there)
			KUNIT_EXPECT_EQ(test, kbr_topic_partitions(topic), 3);
		kbr_topic_put(topic);
		if (!there)
			KUNIT_EXPECT_EQ(test, kbr_test_create(tb, "t", 3, NULL, NULL), 0);
		KUNIT_EXPECT_EQ(test, kbr_test_delete(tb, "t"), 0);
		kbr_test_stop(tb);
	}
	KUNIT_EXPECT_EQ(test, err, 0);
	KUNIT_EXPECT_GT(test, failed, 3);
	kbr_test_exit(tb);
}

/* The disk is full: no topic can be made, but one can be deleted, which makes room. */
static void kbr_topic_test_no_space(struct kunit *test)
{
	struct kbr_test_broker *tb = kbr_test_init(test);
	struct kbr_partition *part;
	struct kbr_topic *topic;
	s64 offset, last = -1;
	char value[1500];

	kbr_ram_set_space(tb->dir, 8 << 20);
	KUNIT_ASSERT_EQ(test, kbr_test_start(tb), 0);
	KUNIT_ASSERT_EQ(test, kbr_test_create(tb, "t", 1, NULL, NULL), 0);
	topic = kbr_test_topic(tb, "t");
	part = kbr_topic_partition(topic, 0);
	memset(value, 'v', sizeof(value) - 1);
	value[sizeof(value) - 1] = '\0';
	while ((offset = kbr_test_produce(part, value, KBR_ACKS_ALL)) >= 0)
		last = offset;
	KUNIT_EXPECT_EQ(test, offset, -ENOSPC);
	KUNIT_EXPECT_GT(test, last, 100);
	KUNIT_EXPECT_EQ(test, kbr_test_read(part, last, value, sizeof(value)), last);
	KUNIT_EXPECT_EQ(test, kbr_test_delete(tb, "t"), 0);
	kbr_topic_put(topic);
	KUNIT_EXPECT_EQ(test, kbr_test_create(tb, "u", 1, NULL, NULL), 0);
	KUNIT_EXPECT_STREQ(test, tb->why.text, "");
	topic = kbr_test_topic(tb, "u");
	KUNIT_ASSERT_NOT_NULL(test, topic);
	KUNIT_EXPECT_EQ(test, kbr_test_produce(kbr_topic_partition(topic, 0), "x", KBR_ACKS_ALL), 0);
	kbr_topic_put(topic);
	kbr_test_exit(tb);
}

/* Nothing else has room on the disk either: the stop is clean all the same, and the next one. */
static void kbr_topic_test_stop_full(struct kunit *test)
{
	struct kbr_test_broker *tb = kbr_test_init(test);
	struct kbr_topic *topic;
	struct kbr_broker *broker;
	struct kbr_file *junk;
	u64 total, avail;
	void *zeroes;
	loff_t pos;
	int i;

	zeroes = kunit_kzalloc(test, 4096, GFP_KERNEL);
	kbr_ram_set_space(tb->dir, 8 << 20);
	KUNIT_ASSERT_EQ(test, kbr_test_start(tb), 0);
	KUNIT_ASSERT_EQ(test, kbr_test_create(tb, "t", 1, NULL, NULL), 0);
	topic = kbr_test_topic(tb, "t");
	for (i = 0; i < 10; i++)
		KUNIT_EXPECT_EQ(test, kbr_test_produce(kbr_topic_partition(topic, 0), "x", KBR_ACKS_ALL), i);
	kbr_topic_put(topic);
	KUNIT_ASSERT_EQ(test, kbr_file_open(tb->dir, "junk", KBR_FILE_CREATE, &junk), 0);
	for (pos = 0; !kbr_file_write(junk, zeroes, 4096, pos); pos += 4096)
		;
	kbr_file_close(junk);
	KUNIT_ASSERT_EQ(test, kbr_dir_stat_space(tb->dir, &total, &avail), 0);
	KUNIT_EXPECT_EQ(test, avail, 0);
	kbr_test_stop(tb);
	KUNIT_ASSERT_EQ(test, kbr_test_start(tb), 0);
	broker = kbr_test_get(tb);
	KUNIT_EXPECT_TRUE(test, broker->clean);
	/* some of the reserve is left for what this run removes */
	KUNIT_EXPECT_TRUE(test, broker->reserve);
	kbr_broker_put(broker);
	KUNIT_EXPECT_EQ(test, kbr_test_delete(tb, "t"), 0);
	kbr_test_stop(tb);
	KUNIT_ASSERT_EQ(test, kbr_test_start(tb), 0);
	broker = kbr_test_get(tb);
	KUNIT_EXPECT_TRUE(test, broker->clean);
	kbr_broker_put(broker);
	kbr_test_exit(tb);
}

static void kbr_topic_test_access(struct kunit *test)
{
	struct kbr_topic topic = {
		.uid = KUIDT_INIT(10), .gid = KGIDT_INIT(20), .mode = 0640,
	};
	struct group_info *groups = groups_alloc(2);
	struct cred cred = {
		.fsuid = KUIDT_INIT(10), .fsgid = KGIDT_INIT(99), .user_ns = &init_user_ns,
	};

	KUNIT_ASSERT_NOT_NULL(test, groups);
	groups->gid[0] = KGIDT_INIT(5);
	groups->gid[1] = KGIDT_INIT(20);
	cred.group_info = groups;
	KUNIT_EXPECT_EQ(test, kbr_access_check(&topic, &cred, KBR_MAY_CONSUME | KBR_MAY_PRODUCE), 0);
	cred.fsuid = KUIDT_INIT(11);
	KUNIT_EXPECT_EQ(test, kbr_access_check(&topic, &cred, KBR_MAY_CONSUME), 0);
	KUNIT_EXPECT_EQ(test, kbr_access_check(&topic, &cred, KBR_MAY_PRODUCE), -EACCES);
	topic.gid = KGIDT_INIT(21);
	KUNIT_EXPECT_EQ(test, kbr_access_check(&topic, &cred, KBR_MAY_CONSUME), -EACCES);
	cap_raise(cred.cap_effective, CAP_DAC_OVERRIDE);
	KUNIT_EXPECT_EQ(test, kbr_access_check(&topic, &cred, KBR_MAY_PRODUCE), 0);
	topic.internal = true;
	KUNIT_EXPECT_EQ(test, kbr_access_check(&topic, &cred, KBR_MAY_CONSUME), 0);
	KUNIT_EXPECT_EQ(test, kbr_access_check(&topic, &cred, KBR_MAY_PRODUCE), -EROFS);
	cap_lower(cred.cap_effective, CAP_DAC_OVERRIDE);
	topic.mode = 0777;
	KUNIT_EXPECT_EQ(test, kbr_access_check(&topic, &cred, KBR_MAY_CONSUME), -EACCES);
	groups_free(groups);
}

static struct kunit_case kbr_topic_test_cases[] = {
	KUNIT_CASE(kbr_topic_test_names),
	KUNIT_CASE(kbr_topic_test_refusals),
	KUNIT_CASE(kbr_topic_test_busy),
	KUNIT_CASE(kbr_topic_test_alter),
	KUNIT_CASE(kbr_topic_test_delete_open),
	KUNIT_CASE(kbr_topic_test_create_fails),
	KUNIT_CASE(kbr_topic_test_no_space),
	KUNIT_CASE(kbr_topic_test_stop_full),
	KUNIT_CASE(kbr_topic_test_access),
	{}
};

static struct kunit_suite kbr_topic_suite = {
	.name = "kbroker_topic",
	.exit = kbr_test_cleanup,
	.test_cases = kbr_topic_test_cases,
};

kunit_test_suite(kbr_topic_suite);
