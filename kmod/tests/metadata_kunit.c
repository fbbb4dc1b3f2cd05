// SPDX-License-Identifier: GPL-2.0-only
/*
 * The metadata log: values survive encoding, what is cut or unknown is refused
 * and said, history is forgotten, and a restart finds what was there.
 */
#include <kunit/test.h>
#include <linux/kbroker_netlink.h>
#include <linux/slab.h>

#include "broker/metadata.h"
#include "broker/metadata_record.h"
#include "broker_test.h"

static u8 *kbr_metadata_test_encode(struct kunit *test, size_t *len)
{
	struct kbr_metadata_topic topic = {
		.name = "orders",
		.id = { 1, 2, 3, [15] = 16 },
		.partitions = 12,
		.replication_factor = 1,
		.uid = 1000,
		.gid = 100,
		.mode = 0640,
	};
	struct kbr_metadata_buf out = {};

	out.buf = kunit_kzalloc(test, KBR_METADATA_VALUE_MAX, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, out.buf);
	KUNIT_ASSERT_EQ(test, kbr_config_set_put(&topic.configs, "retention.ms", "5000"), 0);
	KUNIT_ASSERT_EQ(test, kbr_config_set_put(&topic.configs, "flush.policy", "async"), 0);
	kbr_metadata_encode_topic(&out, &topic);
	KUNIT_EXPECT_FALSE(test, out.full);
	KUNIT_EXPECT_EQ(test, out.len, kbr_metadata_topic_size(&topic));
	kbr_config_set_free(&topic.configs);
	*len = out.len;
	return out.buf;
}

static void kbr_metadata_test_round(struct kunit *test)
{
	struct kbr_metadata_value value;
	size_t len;
	u8 *buf = kbr_metadata_test_encode(test, &len);

	KUNIT_ASSERT_EQ(test, kbr_metadata_decode(&value, buf, len, NULL), 0);
	KUNIT_EXPECT_EQ(test, value.type, KBR_METADATA_TOPIC_PUT);
	KUNIT_EXPECT_STREQ(test, value.topic.name, "orders");
	KUNIT_EXPECT_EQ(test, value.topic.id[15], 16);
	KUNIT_EXPECT_EQ(test, value.topic.partitions, 12);
	KUNIT_EXPECT_EQ(test, value.topic.replication_factor, 1);
	KUNIT_EXPECT_EQ(test, value.topic.uid, 1000);
	KUNIT_EXPECT_EQ(test, value.topic.gid, 100);
	KUNIT_EXPECT_EQ(test, value.topic.mode, 0640);
	KUNIT_EXPECT_STREQ(test, kbr_config_set_get(&value.topic.configs, "retention.ms"), "5000");
	KUNIT_EXPECT_EQ(test, value.topic.configs.count, 2);
	kbr_config_set_free(&value.topic.configs);
}

/* Cut anywhere, or with any byte changed: an error or another value, never a fault. */
static void kbr_metadata_test_garbage(struct kunit *test)
{
	struct kbr_metadata_value value;
	size_t len, i;
	u8 *buf = kbr_metadata_test_encode(test, &len), *cut;
	unsigned int bit;

	for (i = 0; i < len; i++) {
		cut = kmemdup(buf, max_t(size_t, i, 1), GFP_KERNEL);
		KUNIT_ASSERT_NOT_NULL(test, cut);
		if (!kbr_metadata_decode(&value, cut, i, NULL))
			kbr_config_set_free(&value.topic.configs);
		kfree(cut);
		for (bit = 0; bit < 8; bit++) {
			buf[i] ^= 1 << bit;
			if (!kbr_metadata_decode(&value, buf, len, NULL)) {
				kbr_config_set_free(&value.topic.configs);
				kbr_config_set_free(&value.broker.configs);
			}
			buf[i] ^= 1 << bit;
		}
	}
}

static void kbr_metadata_test_unknown(struct kunit *test)
{
	struct kbr_metadata_value value;
	struct kbr_refusal why = {};
	size_t len;
	u8 *buf = kbr_metadata_test_encode(test, &len);

	buf[1] = 9;
	KUNIT_EXPECT_EQ(test, kbr_metadata_decode(&value, buf, len, &why), -EPROTONOSUPPORT);
	KUNIT_EXPECT_TRUE_MSG(test, strstr(why.text, "version 9"), "it says: %s", why.text);
	buf[1] = 1;
	buf[3] = 77;
	KUNIT_EXPECT_EQ(test, kbr_metadata_decode(&value, buf, len, &why), -EPROTONOSUPPORT);
	KUNIT_EXPECT_TRUE_MSG(test, strstr(why.text, "type 77"), "it says: %s", why.text);
	buf[3] = KBR_METADATA_TOPIC_PUT;
	/* an attribute of 4 bytes behind the others */
	buf[len] = 4;
	buf[len + 1] = 0;
	buf[len + 2] = 200;
	buf[len + 3] = 0;
	KUNIT_EXPECT_EQ(test, kbr_metadata_decode(&value, buf, len + 4, &why), -EPROTONOSUPPORT);
	KUNIT_EXPECT_TRUE_MSG(test, strstr(why.text, "attribute 200 of a topic"), "it says: %s",
			      why.text);
}

/* Records obey the rules that netlink requests do. */
static void kbr_metadata_test_rules(struct kunit *test)
{
	struct kbr_metadata_topic topic = {
		.name = "orders", .partitions = 1, .replication_factor = 1, .mode = 0640,
	};
	struct kbr_metadata_buf out = {};
	struct kbr_metadata_value value;
	struct kbr_refusal why = {};

	out.buf = kunit_kzalloc(test, KBR_METADATA_VALUE_MAX, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, out.buf);
	topic.mode = 01777;
	kbr_metadata_encode_topic(&out, &topic);
	KUNIT_EXPECT_EQ(test, kbr_metadata_decode(&value, out.buf, out.len, &why), -EBADMSG);
	KUNIT_EXPECT_TRUE_MSG(test, strstr(why.text, "a topic that breaks a rule"), "it says: %s",
			      why.text);
	topic.mode = 0640;
	topic.partitions = KBR_TOPIC_PARTITIONS_MAX + 1;
	out.len = 0;
	kbr_metadata_encode_topic(&out, &topic);
	KUNIT_EXPECT_EQ(test, kbr_metadata_decode(&value, out.buf, out.len, &why), -EBADMSG);
	topic.partitions = 1;
	topic.replication_factor = 17;
	out.len = 0;
	kbr_metadata_encode_topic(&out, &topic);
	KUNIT_EXPECT_EQ(test, kbr_metadata_decode(&value, out.buf, out.len, &why), -EBADMSG);
	KUNIT_EXPECT_TRUE_MSG(test, strstr(why.text, "17 replicas"), "it says: %s", why.text);
	/* a deletion has no more than a name and an id: too little for a topic */
	out.len = 0;
	kbr_metadata_encode_deletion(&out, "orders", topic.id);
	KUNIT_EXPECT_EQ(test, kbr_metadata_decode(&value, out.buf, out.len, &why), 0);
	out.buf[3] = KBR_METADATA_TOPIC_PUT;
	KUNIT_EXPECT_EQ(test, kbr_metadata_decode(&value, out.buf, out.len, &why), -EBADMSG);
	KUNIT_EXPECT_TRUE_MSG(test, strstr(why.text, "without attribute"), "it says: %s", why.text);
}

/* Altered over and over, the log stays small, and a restart finds the last state. */
static void kbr_metadata_test_forget(struct kunit *test)
{
	struct kbr_test_broker *tb = kbr_test_init(test);
	struct kbr_topic_change change = { .partitions = -1 };
	struct kbr_topic *topic;
	struct kbr_broker *broker;
	char value[16];
	unsigned int i;
	s64 start;

	KUNIT_ASSERT_EQ(test, kbr_test_start(tb), 0);
	KUNIT_ASSERT_EQ(test, kbr_test_create(tb, "kept", 2, NULL, NULL), 0);
	KUNIT_ASSERT_EQ(test, kbr_test_create(tb, "altered", 1, NULL, NULL), 0);
	for (i = 0; i < 1500; i++) {
		snprintf(value, sizeof(value), "%u", 100000 + i);
		KUNIT_ASSERT_EQ(test, kbr_config_set_put(&change.set, "retention.ms", value), 0);
		KUNIT_ASSERT_EQ(test, kbr_test_alter(tb, "altered", &change), 0);
	}
	broker = kbr_test_get(tb);
	start = kbr_log_start(kbr_metadata_log(broker));
	KUNIT_EXPECT_GT(test, start, 500);
	kbr_broker_put(broker);
	kbr_test_crash(tb, 0);
	KUNIT_ASSERT_EQ(test, kbr_test_start(tb), 0);
	topic = kbr_test_topic(tb, "kept");
	KUNIT_EXPECT_NOT_NULL(test, topic);
	kbr_topic_put(topic);
	topic = kbr_test_topic(tb, "altered");
	KUNIT_ASSERT_NOT_NULL(test, topic);
	KUNIT_EXPECT_EQ(test, topic->config.log.retention_ms, 101499);
	kbr_topic_put(topic);
	kbr_config_set_free(&change.set);
	kbr_test_exit(tb);
}

static struct kunit_case kbr_metadata_test_cases[] = {
	KUNIT_CASE(kbr_metadata_test_round),
	KUNIT_CASE(kbr_metadata_test_garbage),
	KUNIT_CASE(kbr_metadata_test_unknown),
	KUNIT_CASE(kbr_metadata_test_rules),
	KUNIT_CASE(kbr_metadata_test_forget),
	{}
};

static struct kunit_suite kbr_metadata_suite = {
	.name = "kbroker_metadata",
	.exit = kbr_test_cleanup,
	.test_cases = kbr_metadata_test_cases,
};

kunit_test_suite(kbr_metadata_suite);
