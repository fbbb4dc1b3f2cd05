// SPDX-License-Identifier: GPL-2.0-only
/*
 * Brokers: which directories they take, clean stops and lost power, what they
 * find and tidy up, open devices over a stop, the end of a namespace, and a
 * start whose every call fails once.
 */
#include <kunit/test.h>
#include <linux/delay.h>
#include <linux/mm.h>

#include "base/clock.h"
#include "broker/net.h"
#include "broker_test.h"
#include "storage/checkpoint.h"
#include "storage/file_cache.h"

static bool kbr_test_exists(struct kbr_test_broker *tb, const char *path)
{
	struct kbr_file *file;

	if (kbr_file_open(tb->dir, path, KBR_FILE_RDONLY, &file))
		return false;
	kbr_file_close(file);
	return true;
}

static void kbr_test_put_file(struct kbr_test_broker *tb, const char *path, const char *text)
{
	KUNIT_ASSERT_EQ(tb->test, kbr_checkpoint_replace(tb->dir, path, text, strlen(text)), 0);
}

static void kbr_broker_test_clean(struct kunit *test)
{
	struct kbr_test_broker *tb = kbr_test_init(test);
	struct kbr_broker *broker;
	struct kbr_topic *topic;
	u8 id[16];

	KUNIT_ASSERT_EQ(test, kbr_test_start(tb), 0);
	KUNIT_EXPECT_TRUE(test, kbr_test_exists(tb, "meta.properties"));
	KUNIT_EXPECT_TRUE(test, kbr_test_exists(tb, ".lock"));
	KUNIT_EXPECT_TRUE(test, kbr_test_exists(tb, ".reserve"));
	KUNIT_ASSERT_EQ(test, kbr_test_create(tb, "t", 1, NULL, NULL), 0);
	topic = kbr_test_topic(tb, "t");
	KUNIT_EXPECT_EQ(test, kbr_test_produce(kbr_topic_partition(topic, 0), "x", KBR_ACKS_ALL), 0);
	kbr_topic_put(topic);
	broker = kbr_test_get(tb);
	memcpy(id, broker->directory_id, sizeof(id));
	kbr_broker_put(broker);
	KUNIT_EXPECT_FALSE(test, kbr_test_exists(tb, ".kafka_cleanshutdown"));
	kbr_test_stop(tb);
	KUNIT_EXPECT_TRUE(test, kbr_test_exists(tb, ".kafka_cleanshutdown"));
	KUNIT_EXPECT_TRUE(test, kbr_test_exists(tb, "recovery-point-offset-checkpoint"));
	KUNIT_EXPECT_TRUE(test, kbr_test_exists(tb, "replication-offset-checkpoint"));
	KUNIT_EXPECT_TRUE(test, kbr_test_exists(tb, "log-start-offset-checkpoint"));

	KUNIT_ASSERT_EQ(test, kbr_test_start(tb), 0);
	KUNIT_EXPECT_TRUE_MSG(test, strstr(tb->why.text, "stopped cleanly"), "it says: %s",
			      tb->why.text);
	KUNIT_EXPECT_FALSE(test, kbr_test_exists(tb, ".kafka_cleanshutdown"));
	broker = kbr_test_get(tb);
	KUNIT_EXPECT_MEMEQ(test, id, broker->directory_id, sizeof(id));
	KUNIT_EXPECT_EQ(test, broker->id, 1);
	kbr_broker_put(broker);
	topic = kbr_test_topic(tb, "t");
	KUNIT_ASSERT_NOT_NULL(test, topic);
	KUNIT_EXPECT_EQ(test, kbr_topic_partition(topic, 0)->log.epoch, 0);
	KUNIT_EXPECT_EQ(test, kbr_partition_hw(kbr_topic_partition(topic, 0)), 1);
	kbr_topic_put(topic);
	/* power lost, with all of it durable: a new epoch */
	kbr_test_crash(tb, 0);
	KUNIT_ASSERT_EQ(test, kbr_test_start(tb), 0);
	KUNIT_EXPECT_TRUE_MSG(test, strstr(tb->why.text, "nothing to recover"), "it says: %s",
			      tb->why.text);
	topic = kbr_test_topic(tb, "t");
	KUNIT_EXPECT_EQ(test, kbr_topic_partition(topic, 0)->log.epoch, 1);
	KUNIT_EXPECT_EQ(test, kbr_partition_hw(kbr_topic_partition(topic, 0)), 1);
	kbr_topic_put(topic);
	kbr_test_exit(tb);
}

static const struct kbr_dir_case {
	const char *file;
	const char *text;
	int err;
	const char *says;
} kbr_dir_cases[] = {
	{ "letter.txt", "dear", -EINVAL, "letter.txt" },
	{ "meta.properties", "version=2\nnode.id=1\n", -EPROTONOSUPPORT, "version 2" },
	{ "meta.properties", "version=1\nnode.id=1\ncluster.id=abc\n", -EBADMSG, "is no UUID: \"abc\"" },
	{ "meta.properties", "version=1\nnode.id=1\ndirectory.id=short\n", -EBADMSG, "UUID" },
	{ "meta.properties", "hello\n", -EBADMSG, "no sense" },
	{ "meta.properties", "", -EBADMSG, "no sense" },
	{ "meta.properties", "# Kafka\nversion=1\nnode.id=7\n", 0, NULL },
	{ "meta.properties", "version=0\nbroker.id=7\n", 0, NULL },
};

static void kbr_broker_test_directories(struct kunit *test)
{
	struct kbr_test_broker *tb;
	struct kbr_broker *broker;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(kbr_dir_cases); i++) {
		const struct kbr_dir_case *c = &kbr_dir_cases[i];

		tb = kbr_test_init(test);
		kbr_test_put_file(tb, c->file, c->text);
		KUNIT_EXPECT_EQ_MSG(test, kbr_test_start(tb), c->err, "%s: %s", c->text,
				    tb->why.text);
		if (c->says) {
			KUNIT_EXPECT_TRUE_MSG(test, strstr(tb->why.text, c->says), "it says: %s",
					      tb->why.text);
			KUNIT_EXPECT_FALSE(test, kbr_test_exists(tb, "__cluster_metadata-0"));
		} else {
			broker = kbr_test_get(tb);
			KUNIT_EXPECT_EQ(test, broker->id, 7);
			kbr_broker_put(broker);
		}
		kbr_test_exit(tb);
	}
}

/* Another program, or machine, has the directory: nothing in it is changed. */
static void kbr_broker_test_locked(struct kunit *test)
{
	struct kbr_test_broker *tb = kbr_test_init(test);

	kbr_ram_fail(tb->dir, KBR_RAM_LOCK, 0, 1, -EBUSY, ".lock");
	KUNIT_EXPECT_EQ(test, kbr_test_start(tb), -EBUSY);
	KUNIT_EXPECT_TRUE_MSG(test, strstr(tb->why.text, "another program"), "it says: %s",
			      tb->why.text);
	KUNIT_EXPECT_FALSE(test, kbr_test_exists(tb, "meta.properties"));
	KUNIT_EXPECT_EQ(test, kbr_test_start(tb), 0);
	kbr_test_exit(tb);
}

static void kbr_broker_test_one_each(struct kunit *test)
{
	struct kbr_test_broker *one = kbr_test_init(test), *two = kbr_test_init(test);
	struct kbr_broker_params params = {
		.name = "kbrokerother", .dir = "/test", .id = -1,
		.uid = GLOBAL_ROOT_UID, .gid = GLOBAL_ROOT_GID,
	};
	struct kbr_broker *broker;
	u32 id;

	KUNIT_ASSERT_EQ(test, kbr_test_start(one), 0);
	KUNIT_EXPECT_EQ(test, kbr_test_start(one), -EEXIST);
	KUNIT_EXPECT_TRUE(test, strstr(one->why.text, "one only"));
	KUNIT_EXPECT_EQ(test, kbr_test_start(two), -EEXIST);
	KUNIT_EXPECT_TRUE(test, strstr(two->why.text, "runs in this kernel already"));
	KUNIT_EXPECT_EQ(test, kbr_broker_start_dir(two->knet, &params, one->dir, &id, &two->why),
			-EBUSY);
	KUNIT_EXPECT_TRUE(test, strstr(two->why.text, "in use by broker kbrokertest"));
	two->name = "kbrokerother";
	KUNIT_EXPECT_EQ(test, kbr_test_start(two), 0);
	broker = kbr_broker_lookup("kbrokerother");
	KUNIT_EXPECT_NOT_NULL(test, broker);
	kbr_broker_put(broker);
	kbr_test_stop(one);
	broker = kbr_broker_lookup("kbrokertest");
	KUNIT_EXPECT_NULL(test, broker);
	KUNIT_EXPECT_EQ(test, kbr_broker_stop(one->knet, KBR_STOP_LEAVE, &id, &one->why), -ENOENT);
	kbr_test_exit(one);
	kbr_test_exit(two);
}

/* Power is lost while much is written: what was acknowledged is there, in order, and nothing else. */
static void kbr_broker_test_crashes(struct kunit *test)
{
	struct kbr_test_broker *tb = kbr_test_init(test);
	s64 acked[3] = { -1, -1, -1 }, end[3] = {}, offset;
	struct kbr_topic *topic;
	char value[32], want[32];
	unsigned int i, p;
	u64 seed;

	KUNIT_ASSERT_EQ(test, kbr_test_start(tb), 0);
	KUNIT_ASSERT_EQ(test, kbr_test_create(tb, "t", 3, "segment.bytes", "16384"), 0);
	for (seed = 1; seed <= 30; seed++) {
		topic = kbr_test_topic(tb, "t");
		KUNIT_ASSERT_NOT_NULL(test, topic);
		for (i = 0; i < 90; i++) {
			struct kbr_partition *part = kbr_topic_partition(topic, i % 3);
			bool wait = (seed * 7 + i) % 5;

			snprintf(want, sizeof(want), "p%u-%lld", i % 3, kbr_log_end(&part->log));
			offset = kbr_test_produce(part, want, wait ? KBR_ACKS_ALL : KBR_ACKS_LEADER);
			KUNIT_ASSERT_GE(test, offset, 0);
			if (wait)
				acked[i % 3] = offset;
			end[i % 3] = offset + 1;
		}
		kbr_topic_put(topic);
		kbr_test_crash(tb, seed == 30 ? U64_MAX : seed - 1);
		KUNIT_ASSERT_EQ(test, kbr_test_start(tb), 0);
		topic = kbr_test_topic(tb, "t");
		KUNIT_ASSERT_NOT_NULL(test, topic);
		for (p = 0; p < 3; p++) {
			struct kbr_partition *part = kbr_topic_partition(topic, p);
			s64 hw = kbr_partition_hw(part), at;

			KUNIT_EXPECT_GT_MSG(test, hw, acked[p], "seed %llu partition %u", seed, p);
			KUNIT_EXPECT_LE_MSG(test, hw, end[p], "seed %llu partition %u", seed, p);
			for (at = 0; at < hw; at++) {
				snprintf(want, sizeof(want), "p%u-%lld", p, at);
				KUNIT_ASSERT_EQ_MSG(test, kbr_test_read(part, at, value, sizeof(value)),
						    at, "seed %llu partition %u", seed, p);
				KUNIT_ASSERT_STREQ(test, value, want);
			}
		}
		kbr_topic_put(topic);
	}
	kbr_test_exit(tb);
}

/* Directories of nobody: with records set aside, without removed, of a deleted topic removed. */
static void kbr_broker_test_strays(struct kunit *test)
{
	struct kbr_test_broker *tb = kbr_test_init(test);

	KUNIT_ASSERT_EQ(test, kbr_test_start(tb), 0);
	KUNIT_ASSERT_EQ(test, kbr_test_create(tb, "t", 1, NULL, NULL), 0);
	kbr_test_stop(tb);
	KUNIT_ASSERT_EQ(test, kbr_dir_mkdir(tb->dir, "mine-0"), 0);
	kbr_test_put_file(tb, "mine-0/00000000000000000000.log", "something");
	KUNIT_ASSERT_EQ(test, kbr_dir_mkdir(tb->dir, "unborn-3"), 0);
	kbr_test_put_file(tb, "unborn-3/00000000000000000000.log", "");
	KUNIT_ASSERT_EQ(test, kbr_dir_mkdir(tb->dir, "unborn-4"), 0);
	KUNIT_ASSERT_EQ(test, kbr_dir_mkdir(tb->dir, "t-1"), 0);
	kbr_test_put_file(tb, "t-1/00000000000000000000.log", "beyond its partitions");
	/* one that can't be removed is in nobody's way */
	KUNIT_ASSERT_EQ(test, kbr_dir_mkdir(tb->dir, "old-delete"), 0);
	KUNIT_ASSERT_EQ(test, kbr_dir_mkdir(tb->dir, "old-delete/more"), 0);
	KUNIT_ASSERT_EQ(test, kbr_test_start(tb), 0);
	KUNIT_EXPECT_TRUE(test, kbr_test_exists(tb, "mine-0-stray/00000000000000000000.log"));
	KUNIT_EXPECT_TRUE(test, kbr_test_exists(tb, "t-1-stray/00000000000000000000.log"));
	KUNIT_EXPECT_EQ(test, kbr_dir_mkdir(tb->dir, "unborn-3"), 0);
	KUNIT_EXPECT_EQ(test, kbr_dir_mkdir(tb->dir, "unborn-4"), 0);
	kbr_test_exit(tb);
}

/* The removal of a deleted topic's files fails: the next start finishes it. */
static void kbr_broker_test_finish_delete(struct kunit *test)
{
	struct kbr_test_broker *tb = kbr_test_init(test);
	struct kbr_topic *topic;

	KUNIT_ASSERT_EQ(test, kbr_test_start(tb), 0);
	KUNIT_ASSERT_EQ(test, kbr_test_create(tb, "t", 2, NULL, NULL), 0);
	topic = kbr_test_topic(tb, "t");
	KUNIT_EXPECT_EQ(test, kbr_test_produce(kbr_topic_partition(topic, 1), "x", KBR_ACKS_ALL), 0);
	kbr_topic_put(topic);
	kbr_ram_fail(tb->dir, KBR_RAM_RENAME, 0, 0, -EIO, "t-");
	kbr_test_delete(tb, "t");
	kbr_ram_heal(tb->dir);
	KUNIT_EXPECT_TRUE(test, kbr_test_exists(tb, "t-1/00000000000000000000.log"));
	kbr_test_crash(tb, U64_MAX);
	KUNIT_ASSERT_EQ(test, kbr_test_start(tb), 0);
	KUNIT_EXPECT_NULL(test, kbr_test_topic(tb, "t"));
	KUNIT_EXPECT_FALSE(test, kbr_test_exists(tb, "t-1/00000000000000000000.log"));
	KUNIT_EXPECT_FALSE(test, kbr_test_exists(tb, "t-1-stray/00000000000000000000.log"));
	KUNIT_EXPECT_EQ(test, kbr_test_create(tb, "t", 2, NULL, NULL), 0);
	kbr_test_exit(tb);
}

/* One partition can't be opened: it says so, the others run. */
static void kbr_broker_test_one_fails(struct kunit *test)
{
	struct kbr_test_broker *tb = kbr_test_init(test);
	struct kbr_broker *broker;
	struct kbr_topic *topic;
	unsigned int i;
	u32 id = 0;
	int err;

	KUNIT_ASSERT_EQ(test, kbr_test_start(tb), 0);
	KUNIT_ASSERT_EQ(test, kbr_test_create(tb, "t", 3, NULL, NULL), 0);
	topic = kbr_test_topic(tb, "t");
	for (i = 0; i < 3; i++)
		KUNIT_EXPECT_EQ(test, kbr_test_produce(kbr_topic_partition(topic, i), "x",
						       KBR_ACKS_ALL), 0);
	kbr_topic_put(topic);
	broker = kbr_test_get(tb);
	err = kbr_topic_delete_records(broker, "t", 1, 1, &id, &tb->why);
	kbr_broker_put(broker);
	KUNIT_EXPECT_EQ(test, kbr_test_wait_op(tb, err, id), 0);
	kbr_test_stop(tb);
	kbr_ram_fail(tb->dir, KBR_RAM_ANY & ~KBR_RAM_RENAME, 0, 0, -EIO, "t-1");
	KUNIT_ASSERT_EQ(test, kbr_test_start(tb), 0);
	topic = kbr_test_topic(tb, "t");
	KUNIT_ASSERT_NOT_NULL(test, topic);
	KUNIT_EXPECT_EQ(test, kbr_topic_partition(topic, 1)->state, KBR_PARTITION_FAILED);
	KUNIT_EXPECT_EQ(test, kbr_topic_partition(topic, 1)->error, -EIO);
	KUNIT_EXPECT_EQ(test, kbr_test_produce(kbr_topic_partition(topic, 1), "y", KBR_ACKS_ALL),
			-EIO);
	KUNIT_EXPECT_EQ(test, kbr_test_produce(kbr_topic_partition(topic, 2), "y", KBR_ACKS_ALL), 1);
	kbr_topic_put(topic);
	kbr_ram_heal(tb->dir);
	kbr_test_stop(tb);
	KUNIT_EXPECT_FALSE(test, kbr_test_exists(tb, ".kafka_cleanshutdown"));
	KUNIT_ASSERT_EQ(test, kbr_test_start(tb), 0);
	topic = kbr_test_topic(tb, "t");
	/* what was deleted stays deleted */
	KUNIT_EXPECT_EQ(test, kbr_log_start(&kbr_topic_partition(topic, 1)->log), 1);
	KUNIT_EXPECT_EQ(test, kbr_test_produce(kbr_topic_partition(topic, 1), "y", KBR_ACKS_ALL), 1);
	kbr_topic_put(topic);
	kbr_test_exit(tb);
}

/* log.segment.files.max is obeyed once it is altered, and by the next start. */
static void kbr_broker_test_files_max(struct kunit *test)
{
	struct kbr_test_broker *tb = kbr_test_init(test);
	struct kbr_broker_change change = {};
	struct kbr_broker *broker;
	struct kbr_topic *topic;
	char value[1000];
	unsigned int i;
	u32 id = 0;
	int err;

	memset(value, 'v', sizeof(value));
	value[sizeof(value) - 1] = '\0';
	KUNIT_ASSERT_EQ(test, kbr_test_start(tb), 0);
	KUNIT_ASSERT_EQ(test, kbr_test_create(tb, "t", 1, "segment.bytes", "16384"), 0);
	topic = kbr_test_topic(tb, "t");
	for (i = 0; i < 400; i++)
		KUNIT_ASSERT_EQ(test, kbr_test_produce(kbr_topic_partition(topic, 0), value,
						       KBR_ACKS_ALL), i);
	broker = kbr_test_get(tb);
	KUNIT_EXPECT_GT(test, kbr_file_cache_count(broker->env.files), 16U);
	KUNIT_ASSERT_EQ(test, kbr_config_set_put(&change.set, "log.segment.files.max", "16"), 0);
	err = kbr_broker_alter(tb->knet, &change, &id, &tb->why);
	KUNIT_EXPECT_EQ(test, kbr_test_wait_op(tb, err, id), 0);
	kbr_config_set_free(&change.set);
	for (i = 0; i < 20; i++)
		KUNIT_ASSERT_GE(test, kbr_test_produce(kbr_topic_partition(topic, 0), value,
						       KBR_ACKS_ALL), 0LL);
	KUNIT_EXPECT_LE(test, kbr_file_cache_count(broker->env.files), 16U);
	kbr_broker_put(broker);
	kbr_topic_put(topic);
	kbr_test_stop(tb);
	KUNIT_ASSERT_EQ(test, kbr_test_start(tb), 0);
	broker = kbr_test_get(tb);
	KUNIT_EXPECT_LE(test, kbr_file_cache_count(broker->env.files), 16U);
	kbr_broker_put(broker);
	kbr_test_exit(tb);
}

/* Upkeep goes on when the clock is set back. */
static void kbr_broker_test_clock_back(struct kunit *test)
{
	struct kbr_test_broker *tb = kbr_test_init(test);
	s64 now_ms = 1700000000000;
	struct kbr_topic *topic;
	bool found = false;
	unsigned int ms;
	size_t len;
	char *text;

	kbr_clock_set_fake(&now_ms);
	KUNIT_ASSERT_EQ(test, kbr_config_set_put(&tb->configs, "log.retention.check.interval.ms",
						 "20"), 0);
	KUNIT_ASSERT_EQ(test, kbr_test_start(tb), 0);
	KUNIT_ASSERT_EQ(test, kbr_test_create(tb, "t", 1, NULL, NULL), 0);
	topic = kbr_test_topic(tb, "t");
	KUNIT_EXPECT_EQ(test, kbr_test_produce(kbr_topic_partition(topic, 0), "x", KBR_ACKS_ALL), 0);
	kbr_topic_put(topic);
	WRITE_ONCE(now_ms, now_ms - 1000000);
	for (ms = 0; ms < KBR_TEST_PATIENCE_MS && !found; ms += 20) {
		if (!kbr_checkpoint_read(tb->dir, "recovery-point-offset-checkpoint", 1000, &text,
					 &len)) {
			found = strstr(text, "t 0 1\n");
			kvfree(text);
		}
		msleep(20);
	}
	KUNIT_EXPECT_TRUE(test, found);
	kbr_clock_set_fake(NULL);
	kbr_test_exit(tb);
}

/* A stop does not wait for open devices, which find out. */
static void kbr_broker_test_stop_open(struct kunit *test)
{
	struct kbr_test_broker *tb = kbr_test_init(test);
	struct kbr_partition_info info;
	struct kbr_partition *part;
	struct kbr_topic *topic;
	char value[16];

	KUNIT_ASSERT_EQ(test, kbr_test_start(tb), 0);
	KUNIT_ASSERT_EQ(test, kbr_test_create(tb, "t", 1, NULL, NULL), 0);
	topic = kbr_test_topic(tb, "t");
	part = kbr_topic_partition(topic, 0);
	KUNIT_EXPECT_EQ(test, kbr_test_produce(part, "x", KBR_ACKS_ALL), 0);
	kbr_test_stop(tb);
	KUNIT_EXPECT_TRUE(test, kbr_topic_gone(topic));
	KUNIT_EXPECT_EQ(test, kbr_test_produce(part, "y", KBR_ACKS_ALL), -ENODEV);
	KUNIT_EXPECT_EQ(test, kbr_test_read(part, 0, value, sizeof(value)), -ENODATA);
	KUNIT_EXPECT_EQ(test, kbr_partition_wait_acks(part, 5, 0, 1000), -ENODEV);
	kbr_partition_describe(part, &info);
	/* and another may start meanwhile */
	KUNIT_EXPECT_EQ(test, kbr_test_start(tb), 0);
	KUNIT_EXPECT_EQ(test, kbr_test_produce(part, "y", KBR_ACKS_ALL), -ENODEV);
	kbr_topic_put(topic);
	kbr_test_exit(tb);
}

/* The namespace ends: at once for users, and the worker closes the logs cleanly. */
static void kbr_broker_test_net_exit(struct kunit *test)
{
	struct kbr_test_broker *tb = kbr_test_init(test);
	struct kbr_broker *broker;
	struct kbr_topic *topic;
	unsigned int ms;

	KUNIT_ASSERT_EQ(test, kbr_test_start(tb), 0);
	KUNIT_ASSERT_EQ(test, kbr_test_create(tb, "t", 1, NULL, NULL), 0);
	topic = kbr_test_topic(tb, "t");
	KUNIT_EXPECT_EQ(test, kbr_test_produce(kbr_topic_partition(topic, 0), "x", KBR_ACKS_ALL), 0);
	kbr_ram_set_sync_delay(tb->dir, 100000);
	kbr_net_destroy(tb->knet);
	KUNIT_EXPECT_TRUE(test, kbr_topic_gone(topic));
	KUNIT_EXPECT_EQ(test, kbr_test_produce(kbr_topic_partition(topic, 0), "y", KBR_ACKS_ALL),
			-ENODEV);
	kbr_topic_put(topic);
	for (ms = 0; ms < KBR_TEST_PATIENCE_MS; ms += 20) {
		broker = kbr_broker_next("");
		kbr_broker_put(broker);
		if (!broker)
			break;
		msleep(20);
	}
	KUNIT_EXPECT_NULL(test, broker);
	KUNIT_EXPECT_TRUE(test, kbr_test_exists(tb, ".kafka_cleanshutdown"));
	kbr_ram_set_sync_delay(tb->dir, 0);
	tb->knet = kbr_net_create(NULL);
	KUNIT_ASSERT_NOT_NULL(test, tb->knet);
	KUNIT_EXPECT_EQ(test, kbr_test_start(tb), 0);
	kbr_test_exit(tb);
}

/* A start whose n-th call fails says so, leaves nothing behind, and the next one succeeds. */
static void kbr_broker_test_start_fails(struct kunit *test)
{
	struct kbr_test_broker *tb = kbr_test_init(test);
	struct kbr_partition *part;
	struct kbr_topic *topic;
	unsigned int n, failed = 0, clean;
	char value[16];
	int err;

	KUNIT_ASSERT_EQ(test, kbr_test_start(tb), 0);
	KUNIT_ASSERT_EQ(test, kbr_test_create(tb, "t", 1, NULL, NULL), 0);
	topic = kbr_test_topic(tb, "t");
	KUNIT_EXPECT_EQ(test, kbr_test_produce(kbr_topic_partition(topic, 0), "x", KBR_ACKS_ALL), 0);
	kbr_topic_put(topic);
	for (clean = 0; clean < 2; clean++) {
		for (n = 0; n < 120; n++) {
			if (clean)
				kbr_test_stop(tb);
			else
				kbr_test_crash(tb, U64_MAX);
			kbr_ram_fail(tb->dir, KBR_RAM_ANY, n, 1, -EIO, NULL);
			err = kbr_test_start(tb);
			kbr_ram_heal(tb->dir);
			if (err) {
				failed++;
				KUNIT_ASSERT_EQ_MSG(test, kbr_test_start(tb), 0, "after call %u: %s",
						    n, tb->why.text);
			}
			topic = kbr_test_topic(tb, "t");
			KUNIT_ASSERT_NOT_NULL(test, topic);
			part = kbr_topic_partition(topic, 0);
			if (part->state == KBR_PARTITION_LEADER)
				KUNIT_EXPECT_EQ_MSG(test, kbr_test_read(part, 0, value, sizeof(value)),
						    0, "call %u", n);
			kbr_topic_put(topic);
		}
	}
	KUNIT_EXPECT_GT(test, failed, 10);
	kbr_test_exit(tb);
}

static struct kunit_case kbr_broker_test_cases[] = {
	KUNIT_CASE(kbr_broker_test_clean),
	KUNIT_CASE(kbr_broker_test_directories),
	KUNIT_CASE(kbr_broker_test_locked),
	KUNIT_CASE(kbr_broker_test_one_each),
	KUNIT_CASE(kbr_broker_test_crashes),
	KUNIT_CASE(kbr_broker_test_strays),
	KUNIT_CASE(kbr_broker_test_finish_delete),
	KUNIT_CASE(kbr_broker_test_one_fails),
	KUNIT_CASE(kbr_broker_test_files_max),
	KUNIT_CASE(kbr_broker_test_clock_back),
	KUNIT_CASE(kbr_broker_test_stop_open),
	KUNIT_CASE(kbr_broker_test_net_exit),
	KUNIT_CASE(kbr_broker_test_start_fails),
	{}
};

static struct kunit_suite kbr_broker_suite = {
	.name = "kbroker_broker",
	.exit = kbr_test_cleanup,
	.test_cases = kbr_broker_test_cases,
};

kunit_test_suite(kbr_broker_suite);
