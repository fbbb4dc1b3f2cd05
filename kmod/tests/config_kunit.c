// SPDX-License-Identifier: GPL-2.0-only
/* Configs: sets, strict values, ranges, Kafka's coarser names, what is refused and why. */
#include <kunit/test.h>

#include "broker/config.h"

static void kbr_config_test_set(struct kunit *test)
{
	struct kbr_config_set set = {}, copy;
	char name[KBR_CONFIG_NAME_MAX + 2];

	KUNIT_EXPECT_EQ(test, kbr_config_set_put(&set, "b", "2"), 0);
	KUNIT_EXPECT_EQ(test, kbr_config_set_put(&set, "a", "1"), 0);
	KUNIT_EXPECT_EQ(test, kbr_config_set_put(&set, "c", "3"), 0);
	KUNIT_EXPECT_EQ(test, kbr_config_set_put(&set, "b", "4"), 0);
	KUNIT_EXPECT_EQ(test, set.count, 3);
	KUNIT_EXPECT_STREQ(test, set.entries[0].name, "a");
	KUNIT_EXPECT_STREQ(test, set.entries[2].name, "c");
	KUNIT_EXPECT_STREQ(test, kbr_config_set_get(&set, "b"), "4");
	KUNIT_EXPECT_NULL(test, kbr_config_set_get(&set, "d"));
	KUNIT_EXPECT_EQ(test, kbr_config_set_copy(&copy, &set), 0);
	KUNIT_EXPECT_EQ(test, kbr_config_set_del(&set, "b"), 0);
	KUNIT_EXPECT_EQ(test, kbr_config_set_del(&set, "b"), -ENOENT);
	KUNIT_EXPECT_STREQ(test, kbr_config_set_get(&copy, "b"), "4");
	KUNIT_EXPECT_EQ(test, kbr_config_set_put(&set, "", "x"), -EINVAL);
	memset(name, 'n', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	KUNIT_EXPECT_EQ(test, kbr_config_set_put(&set, name, "x"), -EINVAL);
	kbr_config_set_free(&set);
	kbr_config_set_free(&copy);
	KUNIT_EXPECT_EQ(test, set.count, 0);
}

static void kbr_config_test_set_bounded(struct kunit *test)
{
	struct kbr_config_set set = {};
	char name[8];
	int i, err = 0;

	for (i = 0; i < 1000 && !err; i++) {
		snprintf(name, sizeof(name), "n%d", i);
		err = kbr_config_set_put(&set, name, "x");
	}
	KUNIT_EXPECT_EQ(test, err, -E2BIG);
	KUNIT_EXPECT_LE(test, set.count, 64);
	kbr_config_set_free(&set);
}

static const struct kbr_config_case {
	const char *name;
	const char *value;
	int err;
	const char *says;
} kbr_config_cases[] = {
	{ "retention.ms", "1000", 0, NULL },
	{ "retention.ms", "-1", 0, NULL },
	{ "retention.ms", "-2", -EINVAL, "between" },
	{ "retention.ms", "+5", -EINVAL, "whole number" },
	{ "retention.ms", " 5", -EINVAL, "whole number" },
	{ "retention.ms", "5\n", -EINVAL, "whole number" },
	{ "retention.ms", "5s", -EINVAL, "whole number" },
	{ "retention.ms", "", -EINVAL, "whole number" },
	{ "retention.ms", "-", -EINVAL, "whole number" },
	{ "retention.ms", "9223372036854775807", 0, NULL },
	{ "retention.ms", "9223372036854775808", -EINVAL, "whole number" },
	{ "segment.bytes", "16384", 0, NULL },
	{ "segment.bytes", "16383", -EINVAL, "between 16384 and 2147483647" },
	{ "segment.bytes", "2147483648", -EINVAL, "between" },
	{ "segment.bytes", "-1", -EINVAL, "at least 16384" },
	{ "max.message.bytes", "104857601", -EINVAL, "between" },
	{ "cleanup.policy", "delete", 0, NULL },
	{ "cleanup.policy", "compact", -EOPNOTSUPP, "compaction is not supported yet" },
	{ "cleanup.policy", "compact,delete", -EOPNOTSUPP, "compaction" },
	{ "flush.policy", "sync", 0, NULL },
	{ "flush.policy", "async", 0, NULL },
	{ "flush.policy", "Async", -EINVAL, "sync or async" },
	{ "message.timestamp.type", "LogAppendTime", 0, NULL },
	{ "message.timestamp.type", "logappendtime", -EINVAL, "CreateTime or LogAppendTime" },
	{ "compression.type", "producer", 0, NULL },
	{ "compression.type", "gzip", -EOPNOTSUPP, "producer" },
	{ "leader.replication.throttled.replicas", "*", 0, NULL },
	{ "leader.replication.throttled.replicas", "none", 0, NULL },
	{ "leader.replication.throttled.replicas", "0:1,1:2,99:2147483647", 0, NULL },
	{ "leader.replication.throttled.replicas",
	  "0:1,0:2,0:3,0:4,0:5,0:6,0:7,0:8,1:1,1:2,1:3,1:4,1:5,1:6,1:7,1:8", 0, NULL },
	{ "leader.replication.throttled.replicas",
	  "0:1,0:2,0:3,0:4,0:5,0:6,0:7,0:8,1:1,1:2,1:3,1:4,1:5,1:6,1:7,1:8,1:9",
	  -EINVAL, "more than 16 replicas" },
	{ "leader.replication.throttled.replicas", "", -EINVAL, "PARTITION:BROKER" },
	{ "leader.replication.throttled.replicas", "0", -EINVAL, "PARTITION:BROKER" },
	{ "leader.replication.throttled.replicas", "0:", -EINVAL, "PARTITION:BROKER" },
	{ "leader.replication.throttled.replicas", "0:1,", -EINVAL, "PARTITION:BROKER" },
	{ "leader.replication.throttled.replicas", "0:1;1:1", -EINVAL, "PARTITION:BROKER" },
	{ "leader.replication.throttled.replicas", "0:-1", -EINVAL, "PARTITION:BROKER" },
	{ "leader.replication.throttled.replicas", "*,0:1", -EINVAL, "PARTITION:BROKER" },
	{ "leader.replication.throttled.replicas", "0:2147483648", -EINVAL, "PARTITION:BROKER" },
	{ "leader.replication.throttled.replicas", "99999999999999999999:1", -EINVAL, "PARTITION:BROKER" },
	{ "delete.retention.ms", "1", -EINVAL, "compaction" },
	{ "retention.minutes", "1", -EINVAL, "there is no config" },
	{ "segment.jitter.ms", "604800001", -EINVAL, "must not exceed segment.ms" },
};

static void kbr_config_case_desc(const struct kbr_config_case *c, char *desc)
{
	snprintf(desc, KUNIT_PARAM_DESC_SIZE, "%s=%s", c->name, c->value);
	strreplace(desc, '\n', '~');
}

KUNIT_ARRAY_PARAM(kbr_config, kbr_config_cases, kbr_config_case_desc);

static void kbr_config_test_topic(struct kunit *test)
{
	const struct kbr_config_case *c = test->param_value;
	struct kbr_broker_config broker;
	struct kbr_topic_config config;
	struct kbr_config_set set = {};
	struct kbr_refusal why = {};

	kbr_broker_config_default(&broker);
	KUNIT_ASSERT_EQ(test, kbr_config_set_put(&set, c->name, c->value), 0);
	KUNIT_EXPECT_EQ(test, kbr_topic_config_apply(&config, &broker, &set, &why), c->err);
	if (c->says)
		KUNIT_EXPECT_TRUE_MSG(test, strstr(why.text, c->says), "it says: %s", why.text);
	kbr_config_set_free(&set);
}

/* A list is inherited, altered and told as it was written. */
static void kbr_config_test_throttled(struct kunit *test)
{
	char *value = kunit_kzalloc(test, KBR_CONFIG_VALUE_MAX + 1, GFP_KERNEL);
	struct kbr_broker_config *broker = kunit_kzalloc(test, sizeof(*broker), GFP_KERNEL);
	static const char * const texts[] = { "3:7,4:0", "none", "*" };
	struct kbr_topic_config *config, *now;
	struct kbr_config_set set = {};
	struct kbr_refusal why = {};
	unsigned int i, index;
	bool is_default;
	const char *name;

	config = kunit_kcalloc(test, 2, sizeof(*config), GFP_KERNEL);
	KUNIT_ASSERT_TRUE(test, value && broker && config);
	now = config + 1;
	for (i = 0; i < ARRAY_SIZE(texts); i++) {
		KUNIT_ASSERT_EQ(test, kbr_config_set_put(&set, "follower.replication.throttled.replicas",
							 texts[i]), 0);
		KUNIT_ASSERT_EQ(test, kbr_broker_config_apply(broker, &set, &why), 0);
		KUNIT_ASSERT_EQ(test, kbr_topic_config_apply(config, broker, &(struct kbr_config_set) { },
							     &why), 0);
		kbr_topic_config_publish(now, config);
		for (index = 0; (name = kbr_topic_config_describe(now, &set, index, value, &is_default)); index++)
			if (!strcmp(name, "follower.replication.throttled.replicas"))
				KUNIT_EXPECT_STREQ(test, value, texts[i]);
		KUNIT_EXPECT_EQ(test, kbr_throttled_has(&now->follower_throttled, 3, 7), i != 1);
		KUNIT_EXPECT_EQ(test, kbr_throttled_has(&now->follower_throttled, 4, 0), i != 1);
		KUNIT_EXPECT_EQ(test, kbr_throttled_has(&now->follower_throttled, 3, 0), i == 2);
		KUNIT_EXPECT_TRUE(test, kbr_throttled_has(&now->leader_throttled, 3, 0));
	}
	kbr_config_set_free(&set);
}

static void kbr_config_test_inherit(struct kunit *test)
{
	struct kbr_broker_config broker;
	struct kbr_topic_config config;
	struct kbr_config_set set = {}, own = {};
	char *value = kunit_kzalloc(test, KBR_CONFIG_VALUE_MAX + 1, GFP_KERNEL);
	bool is_default, found = false;
	const char *name;
	unsigned int i;

	KUNIT_ASSERT_NOT_NULL(test, value);
	KUNIT_ASSERT_EQ(test, kbr_config_set_put(&set, "log.retention.hours", "2"), 0);
	KUNIT_EXPECT_EQ(test, kbr_broker_config_apply(&broker, &set, NULL), 0);
	KUNIT_EXPECT_EQ(test, broker.topic.log.retention_ms, 7200000);
	KUNIT_ASSERT_EQ(test, kbr_config_set_put(&set, "log.retention.minutes", "5"), 0);
	KUNIT_EXPECT_EQ(test, kbr_broker_config_apply(&broker, &set, NULL), 0);
	KUNIT_EXPECT_EQ(test, broker.topic.log.retention_ms, 300000);
	KUNIT_ASSERT_EQ(test, kbr_config_set_put(&set, "log.retention.ms", "77"), 0);
	KUNIT_EXPECT_EQ(test, kbr_broker_config_apply(&broker, &set, NULL), 0);
	KUNIT_EXPECT_EQ(test, broker.topic.log.retention_ms, 77);
	KUNIT_EXPECT_EQ(test, kbr_topic_config_apply(&config, &broker, &own, NULL), 0);
	KUNIT_EXPECT_EQ(test, config.log.retention_ms, 77);
	KUNIT_ASSERT_EQ(test, kbr_config_set_put(&own, "retention.ms", "-1"), 0);
	KUNIT_EXPECT_EQ(test, kbr_topic_config_apply(&config, &broker, &own, NULL), 0);
	KUNIT_EXPECT_EQ(test, config.log.retention_ms, -1);
	for (i = 0; (name = kbr_topic_config_describe(&config, &own, i, value, &is_default)); i++) {
		if (strcmp(name, "retention.ms"))
			continue;
		found = true;
		KUNIT_EXPECT_STREQ(test, value, "-1");
		KUNIT_EXPECT_FALSE(test, is_default);
	}
	KUNIT_EXPECT_TRUE(test, found);
	kbr_config_set_free(&set);
	kbr_config_set_free(&own);
}

/* Every value that is shown is one that would be accepted. */
static void kbr_config_test_describe(struct kunit *test)
{
	struct kbr_broker_config *broker = kunit_kcalloc(test, 2, sizeof(*broker), GFP_KERNEL);
	struct kbr_topic_config config;
	struct kbr_config_set set = {};
	char *value = kunit_kzalloc(test, KBR_CONFIG_VALUE_MAX + 1, GFP_KERNEL);
	struct kbr_refusal why = {};
	const char *name;
	bool is_default;
	unsigned int i;

	KUNIT_ASSERT_TRUE(test, value && broker);
	kbr_broker_config_default(broker);
	for (i = 0; (name = kbr_broker_config_describe(broker, &set, i, value, &is_default)); i++) {
		KUNIT_EXPECT_TRUE(test, is_default);
		KUNIT_ASSERT_EQ(test, kbr_config_set_put(&set, name, value), 0);
		KUNIT_EXPECT_EQ_MSG(test, kbr_broker_config_apply(broker + 1, &set, &why), 0, "%s: %s",
				    name, why.text);
		kbr_config_set_free(&set);
	}
	KUNIT_EXPECT_GT(test, i, 20);
	KUNIT_EXPECT_EQ(test, kbr_topic_config_apply(&config, broker, &set, NULL), 0);
	for (i = 0; (name = kbr_topic_config_describe(&config, &set, i, value, &is_default)); i++) {
		KUNIT_ASSERT_EQ(test, kbr_config_set_put(&set, name, value), 0);
		KUNIT_EXPECT_EQ_MSG(test, kbr_topic_config_apply(&config, broker, &set, &why), 0,
				    "%s: %s", name, why.text);
		kbr_config_set_free(&set);
	}
}

static struct kunit_case kbr_config_test_cases[] = {
	KUNIT_CASE(kbr_config_test_set),
	KUNIT_CASE(kbr_config_test_set_bounded),
	KUNIT_CASE_PARAM(kbr_config_test_topic, kbr_config_gen_params),
	KUNIT_CASE(kbr_config_test_throttled),
	KUNIT_CASE(kbr_config_test_inherit),
	KUNIT_CASE(kbr_config_test_describe),
	{}
};

static struct kunit_suite kbr_config_suite = {
	.name = "kbroker_config",
	.test_cases = kbr_config_test_cases,
};

kunit_test_suite(kbr_config_suite);
