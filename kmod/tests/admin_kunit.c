// SPDX-License-Identifier: GPL-2.0-only
/*
 * Requests that change topics and configs: what each is answered, in which
 * code and with a sentence, that an item which is refused spoils no other, and
 * that nothing was changed by it. And that there are no transactions.
 */
#include <kunit/test.h>
#include <linux/cred.h>

#include "server/admin.h"
#include "server_test.h"

#define KBR_ADMIN_TEST_TOPIC	2
#define KBR_ADMIN_TEST_BROKER	4
#define KBR_ADMIN_TEST_ENDED	60000

static struct kbr_test_server *kbr_admin_test_begin(struct kunit *test)
{
	struct kbr_test_server *ts = kbr_test_server_begin(test);

	KUNIT_ASSERT_EQ(test, kbr_test_create(ts->tb, "t", 2, "retention.ms", "1000"), 0);
	return ts;
}

/* As a user who is neither root nor the broker's owner */
static void kbr_admin_test_stranger(struct kbr_test_server *ts)
{
	struct cred *cred = prepare_creds();

	KUNIT_ASSERT_NOT_NULL(ts->test, cred);
	cred->fsuid = KUIDT_INIT(4711);
	cred->fsgid = KGIDT_INIT(4711);
	cap_clear(cred->cap_effective);
	ts->conn.cred = cred;
}

static void kbr_admin_test_root(struct kbr_test_server *ts)
{
	put_cred(ts->conn.cred);
	ts->conn.cred = current_cred();
}

static s32 kbr_admin_test_partitions(struct kbr_test_server *ts, const char *name)
{
	struct kbr_topic *topic = kbr_test_topic(ts->tb, name);
	s32 count = topic ? kbr_topic_partitions(topic) : -1;

	kbr_topic_put(topic);
	return count;
}

/* Behind the throttle time: the number of items that were answered */
static s32 kbr_admin_test_items(struct kbr_test_request *tr)
{
	kbr_test_ask(tr);
	KUNIT_EXPECT_EQ(tr->ts->test, kbr_get_s32(&tr->reply), 0);
	return kbr_get_count(&tr->reply);
}

/* "name, code, message" of an item: who is refused is told why, who is not is told nothing */
static void kbr_admin_test_item(struct kbr_test_request *tr, const char *name, s16 code)
{
	struct kunit *test = tr->ts->test;
	struct kbr_str got = kbr_get_string(&tr->reply), message;

	KUNIT_EXPECT_TRUE_MSG(test, kbr_str_equal(&got, name), "not %s", name);
	KUNIT_EXPECT_EQ_MSG(test, kbr_get_s16(&tr->reply), code, "%s", name);
	if (tr->req.header.key == KBR_API_DELETE_TOPICS)
		return;
	message = kbr_get_nullable_string(&tr->reply);
	KUNIT_EXPECT_EQ_MSG(test, message.len > 0, !!code, "%s", name);
}

static void kbr_admin_test_end(struct kbr_test_request *tr)
{
	KUNIT_EXPECT_FALSE(tr->ts->test, tr->reply.bad);
	KUNIT_EXPECT_EQ(tr->ts->test, kbr_wire_reader_left(&tr->reply), 0UL);
	kbr_test_release(tr);
}

/* ---- topics ---- */

static const struct kbr_admin_test_topic {
	const char *name;
	s32 partitions;
	s16 replication;
	/* replicas of partition 0, for one assignment; 0: none */
	s32 replicas;
	const char *config;
	const char *value;
	s16 code;
} kbr_admin_test_creates[] = {
	{ "good", 3, 1, 0, NULL, NULL, 0 },
	{ "defaults", -1, -1, 0, "retention.ms", "5000", 0 },
	{ "assigned", -1, -1, 1, NULL, NULL, 0 },
	{ "t", 1, 1, 0, NULL, NULL, 36 },
	{ "good", 1, 1, 0, NULL, NULL, 36 },
	{ "a/b", 1, 1, 0, NULL, NULL, 17 },
	{ "", 1, 1, 0, NULL, NULL, 17 },
	{ "..", 1, 1, 0, NULL, NULL, 17 },
	{ "__mine", 1, 1, 0, NULL, NULL, 17 },
	{ "none", 0, 1, 0, NULL, NULL, 37 },
	{ "many", 2000000, 1, 0, NULL, NULL, 37 },
	{ "two", 1, 2, 0, NULL, NULL, 38 },
	{ "two", -1, -1, 2, NULL, NULL, 39 },
	{ "both", 1, -1, 1, NULL, NULL, 42 },
	{ "odd", 1, 1, 0, "no.such.config", "1", 40 },
	{ "odd", 1, 1, 0, "retention.ms", "soon", 40 },
	{ "odd", 1, 1, 0, "retention.ms", NULL, 40 },
	{ "last", 1, 1, 0, NULL, NULL, 0 },
};

static struct kbr_test_request *kbr_admin_test_create(struct kbr_test_server *ts, bool validate)
{
	struct kbr_test_request *tr = kbr_test_request(ts, KBR_API_CREATE_TOPICS, 4);
	struct kbr_wire_writer *w = &tr->body;
	unsigned int i;
	s32 j;

	kbr_put_count(w, ARRAY_SIZE(kbr_admin_test_creates));
	for (i = 0; i < ARRAY_SIZE(kbr_admin_test_creates); i++) {
		const struct kbr_admin_test_topic *topic = &kbr_admin_test_creates[i];

		kbr_put_string(w, topic->name);
		kbr_put_s32(w, topic->partitions);
		kbr_put_s16(w, topic->replication);
		kbr_put_count(w, topic->replicas ? 1 : 0);
		if (topic->replicas) {
			kbr_put_s32(w, 0);
			kbr_put_count(w, topic->replicas);
			for (j = 0; j < topic->replicas; j++)
				kbr_put_s32(w, ts->server.broker->id + j);
		}
		kbr_put_count(w, topic->config ? 1 : 0);
		if (topic->config) {
			kbr_put_string(w, topic->config);
			kbr_put_string(w, topic->value);
		}
	}
	kbr_put_s32(w, KBR_ADMIN_TEST_ENDED);
	kbr_put_bool(w, validate);
	return tr;
}

static void kbr_admin_test_create_topics(struct kunit *test)
{
	struct kbr_test_server *ts = kbr_admin_test_begin(test);
	struct kbr_test_request *tr;
	bool validate = true;
	unsigned int i;

	for (;; validate = false) {
		tr = kbr_admin_test_create(ts, validate);
		KUNIT_EXPECT_EQ(test, kbr_admin_test_items(tr),
				(s32)ARRAY_SIZE(kbr_admin_test_creates));
		for (i = 0; i < ARRAY_SIZE(kbr_admin_test_creates); i++) {
			const struct kbr_admin_test_topic *topic = &kbr_admin_test_creates[i];
			/* the first of two of a name is not there if it was only validated */
			bool twice = i == 4 && validate;

			kbr_admin_test_item(tr, topic->name, twice ? 0 : topic->code);
		}
		kbr_admin_test_end(tr);
		KUNIT_EXPECT_EQ(test, kbr_admin_test_partitions(ts, "good"), validate ? -1 : 3);
		KUNIT_EXPECT_EQ(test, kbr_admin_test_partitions(ts, "defaults"), validate ? -1 : 1);
		KUNIT_EXPECT_EQ(test, kbr_admin_test_partitions(ts, "assigned"), validate ? -1 : 1);
		KUNIT_EXPECT_EQ(test, kbr_admin_test_partitions(ts, "odd"), -1);
		KUNIT_EXPECT_EQ(test, kbr_admin_test_partitions(ts, "last"), validate ? -1 : 1);
		if (!validate)
			break;
	}
	kbr_test_server_end(ts);
}

static void kbr_admin_test_delete_topics(struct kunit *test)
{
	static const char * const names[] = { "t", "t", "absent", "a/b", "" };
	struct kbr_test_server *ts = kbr_admin_test_begin(test);
	struct kbr_test_request *tr;
	bool stranger = true;
	unsigned int i;

	for (;; stranger = false) {
		if (stranger)
			kbr_admin_test_stranger(ts);
		tr = kbr_test_request(ts, KBR_API_DELETE_TOPICS, 3);
		kbr_put_count(&tr->body, ARRAY_SIZE(names));
		for (i = 0; i < ARRAY_SIZE(names); i++)
			kbr_put_string(&tr->body, names[i]);
		kbr_put_s32(&tr->body, KBR_ADMIN_TEST_ENDED);
		KUNIT_EXPECT_EQ(test, kbr_admin_test_items(tr), (s32)ARRAY_SIZE(names));
		kbr_admin_test_item(tr, names[0], stranger ? 29 : 0);
		kbr_admin_test_item(tr, names[1], stranger ? 29 : 3);
		for (i = 2; i < ARRAY_SIZE(names); i++)
			kbr_admin_test_item(tr, names[i], 3);
		kbr_admin_test_end(tr);
		KUNIT_EXPECT_EQ(test, kbr_admin_test_partitions(ts, "t"), stranger ? 2 : -1);
		if (!stranger)
			break;
		kbr_admin_test_root(ts);
	}
	kbr_test_server_end(ts);
}

static void kbr_admin_test_create_partitions(struct kunit *test)
{
	static const struct {
		const char *name;
		s32 count;
		/* assignments: -1 null */
		s32 assigned;
		s16 code;
	} cases[] = {
		{ "t", 2, -1, 37 }, { "t", 1, -1, 37 }, { "t", 0, -1, 37 }, { "t", -5, -1, 37 },
		{ "t", 2000000, -1, 37 }, { "absent", 5, -1, 3 }, { "t", 4, 1, 39 },
		{ "t", 4, 2, 0 }, { "t", 5, -1, 0 },
	};
	struct kbr_test_server *ts = kbr_admin_test_begin(test);
	struct kbr_test_request *tr;
	unsigned int i;
	s32 j;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		tr = kbr_test_request(ts, KBR_API_CREATE_PARTITIONS, 1);
		kbr_put_count(&tr->body, 1);
		kbr_put_string(&tr->body, cases[i].name);
		kbr_put_s32(&tr->body, cases[i].count);
		kbr_put_count(&tr->body, cases[i].assigned);
		for (j = 0; j < cases[i].assigned; j++) {
			kbr_put_count(&tr->body, 1);
			kbr_put_s32(&tr->body, ts->server.broker->id);
		}
		kbr_put_s32(&tr->body, KBR_ADMIN_TEST_ENDED);
		kbr_put_bool(&tr->body, false);
		KUNIT_EXPECT_EQ(test, kbr_admin_test_items(tr), 1);
		kbr_admin_test_item(tr, cases[i].name, cases[i].code);
		kbr_admin_test_end(tr);
	}
	KUNIT_EXPECT_EQ(test, kbr_admin_test_partitions(ts, "t"), 5);
	kbr_test_server_end(ts);
}

static void kbr_admin_test_delete_records(struct kunit *test)
{
	static const struct {
		const char *name;
		s32 index;
		s64 offset;
		s64 low;
		s16 code;
	} cases[] = {
		{ "t", 0, 2, 2, 0 }, { "t", 0, 1, 2, 0 }, { "t", 0, -1, 5, 0 }, { "t", 0, 6, -1, 1 },
		{ "t", 0, -2, -1, 1 }, { "t", 1, 0, 0, 0 }, { "t", 2, 0, -1, 3 }, { "t", -1, 0, -1, 3 },
		{ "absent", 0, 0, -1, 3 },
	};
	struct kbr_test_server *ts = kbr_admin_test_begin(test);
	struct kbr_topic *topic = kbr_test_topic(ts->tb, "t");
	struct kbr_test_request *tr;
	unsigned int i;

	for (i = 0; i < 5; i++)
		KUNIT_ASSERT_EQ(test, kbr_test_produce(kbr_topic_partition(topic, 0), "v",
						       KBR_ACKS_ALL), (s64)i);
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		tr = kbr_test_request(ts, KBR_API_DELETE_RECORDS, 1);
		kbr_put_count(&tr->body, 1);
		kbr_put_string(&tr->body, cases[i].name);
		kbr_put_count(&tr->body, 1);
		kbr_put_s32(&tr->body, cases[i].index);
		kbr_put_s64(&tr->body, cases[i].offset);
		/* clients that give it no time want to know how it ended, too */
		kbr_put_s32(&tr->body, i ? KBR_ADMIN_TEST_ENDED : 0);
		KUNIT_EXPECT_EQ(test, kbr_admin_test_items(tr), 1);
		KUNIT_EXPECT_EQ(test, kbr_test_read_topic(tr, cases[i].name), 1);
		KUNIT_EXPECT_EQ(test, kbr_get_s32(&tr->reply), cases[i].index);
		KUNIT_EXPECT_EQ_MSG(test, kbr_get_s64(&tr->reply), cases[i].low, "case %u", i);
		KUNIT_EXPECT_EQ_MSG(test, kbr_get_s16(&tr->reply), cases[i].code, "case %u", i);
		kbr_admin_test_end(tr);
	}
	kbr_topic_put(topic);
	kbr_test_server_end(ts);
}

/* ---- configs ---- */

/* The value of @key of a resource, and where it comes from, or the code of the whole */
static s16 kbr_admin_test_describe(struct kbr_test_server *ts, s8 type, const char *name,
				   const char *key, char *value, size_t size, s8 *source)
{
	struct kbr_test_request *tr = kbr_test_request(ts, KBR_API_DESCRIBE_CONFIGS, 2);
	struct kunit *test = ts->test;
	struct kbr_str text;
	s16 code;

	value[0] = '\0';
	*source = 0;
	kbr_put_count(&tr->body, 1);
	kbr_put_s8(&tr->body, type);
	kbr_put_string(&tr->body, name);
	kbr_put_count(&tr->body, 1);
	kbr_put_string(&tr->body, key);
	kbr_put_bool(&tr->body, false);
	KUNIT_EXPECT_EQ(test, kbr_admin_test_items(tr), 1);
	code = kbr_get_s16(&tr->reply);
	text = kbr_get_nullable_string(&tr->reply);
	KUNIT_EXPECT_EQ(test, text.len > 0, !!code);
	KUNIT_EXPECT_EQ(test, kbr_get_s8(&tr->reply), type);
	text = kbr_get_string(&tr->reply);
	KUNIT_EXPECT_TRUE(test, kbr_str_equal(&text, name));
	if (kbr_get_count(&tr->reply)) {
		text = kbr_get_string(&tr->reply);
		KUNIT_EXPECT_TRUE(test, kbr_str_equal(&text, key));
		text = kbr_get_nullable_string(&tr->reply);
		KUNIT_EXPECT_EQ(test, kbr_str_copy(&text, value, size), 0);
		KUNIT_EXPECT_FALSE(test, kbr_get_bool(&tr->reply));
		*source = kbr_get_s8(&tr->reply);
		KUNIT_EXPECT_FALSE(test, kbr_get_bool(&tr->reply));
		KUNIT_EXPECT_EQ(test, kbr_get_count(&tr->reply), 0);
	}
	kbr_admin_test_end(tr);
	return code;
}

static void kbr_admin_test_expect(struct kbr_test_server *ts, s8 type, const char *name,
				  const char *key, const char *want, s8 from)
{
	char value[64];
	s8 source;

	KUNIT_EXPECT_EQ(ts->test, kbr_admin_test_describe(ts, type, name, key, value,
							  sizeof(value), &source), 0);
	KUNIT_EXPECT_STREQ_MSG(ts->test, value, want, "%s", key);
	KUNIT_EXPECT_EQ_MSG(ts->test, source, from, "%s", key);
}

/* One change of one resource; @op as IncrementalAlterConfigs has it, below 0: AlterConfigs */
static s16 kbr_admin_test_alter(struct kbr_test_server *ts, s8 type, const char *name, s8 op,
				const char *key, const char *value, bool validate)
{
	struct kbr_test_request *tr;
	struct kbr_str text;
	s16 code;

	tr = kbr_test_request(ts, op < 0 ? KBR_API_ALTER_CONFIGS :
					   KBR_API_INCREMENTAL_ALTER_CONFIGS, 0);
	kbr_put_count(&tr->body, 1);
	kbr_put_s8(&tr->body, type);
	kbr_put_string(&tr->body, name);
	kbr_put_count(&tr->body, key ? 1 : 0);
	if (key) {
		kbr_put_string(&tr->body, key);
		if (op >= 0)
			kbr_put_s8(&tr->body, op);
		kbr_put_string(&tr->body, value);
	}
	kbr_put_bool(&tr->body, validate);
	KUNIT_EXPECT_EQ(ts->test, kbr_admin_test_items(tr), 1);
	code = kbr_get_s16(&tr->reply);
	text = kbr_get_nullable_string(&tr->reply);
	KUNIT_EXPECT_EQ_MSG(ts->test, text.len > 0, !!code, "code %d", code);
	KUNIT_EXPECT_EQ(ts->test, kbr_get_s8(&tr->reply), type);
	text = kbr_get_string(&tr->reply);
	KUNIT_EXPECT_TRUE(ts->test, kbr_str_equal(&text, name));
	kbr_admin_test_end(tr);
	return code;
}

static void kbr_admin_test_configs(struct kunit *test)
{
	struct kbr_test_server *ts = kbr_admin_test_begin(test);
	const s8 topic = KBR_ADMIN_TEST_TOPIC, broker = KBR_ADMIN_TEST_BROKER;
	char id[12];

	snprintf(id, sizeof(id), "%d", ts->server.broker->id);
	kbr_admin_test_expect(ts, topic, "t", "retention.ms", "1000", 1);
	kbr_admin_test_expect(ts, topic, "t", "flush.policy", "sync", 5);
	kbr_admin_test_expect(ts, topic, "t", "no.such.config", "", 0);
	/* one is set, the other stays */
	KUNIT_EXPECT_EQ(test, kbr_admin_test_alter(ts, topic, "t", 0, "segment.bytes", "1048576",
						   false), 0);
	kbr_admin_test_expect(ts, topic, "t", "segment.bytes", "1048576", 1);
	kbr_admin_test_expect(ts, topic, "t", "retention.ms", "1000", 1);
	/* all are replaced */
	KUNIT_EXPECT_EQ(test, kbr_admin_test_alter(ts, topic, "t", -1, "retention.ms", "2000",
						   false), 0);
	kbr_admin_test_expect(ts, topic, "t", "retention.ms", "2000", 1);
	kbr_admin_test_expect(ts, topic, "t", "segment.bytes", "1073741824", 5);
	/* nothing is changed where it is only validated */
	KUNIT_EXPECT_EQ(test, kbr_admin_test_alter(ts, topic, "t", -1, NULL, NULL, true), 0);
	kbr_admin_test_expect(ts, topic, "t", "retention.ms", "2000", 1);
	KUNIT_EXPECT_EQ(test, kbr_admin_test_alter(ts, topic, "t", 1, "retention.ms", NULL, false),
			0);
	kbr_admin_test_expect(ts, topic, "t", "retention.ms", "604800000", 5);
	/* a default of the broker's is the topic's */
	KUNIT_EXPECT_EQ(test, kbr_admin_test_alter(ts, broker, id, 0, "log.retention.ms", "3000",
						   false), 0);
	kbr_admin_test_expect(ts, broker, id, "log.retention.ms", "3000", 2);
	kbr_admin_test_expect(ts, topic, "t", "retention.ms", "3000", 2);
	KUNIT_EXPECT_EQ(test, kbr_admin_test_alter(ts, broker, "", -1, NULL, NULL, false), 0);
	kbr_admin_test_expect(ts, topic, "t", "retention.ms", "604800000", 5);
	/* the only list there is: a word more, a word less */
	KUNIT_EXPECT_EQ(test, kbr_admin_test_alter(ts, topic, "t", 2, "cleanup.policy", "delete",
						   false), 0);
	kbr_admin_test_expect(ts, topic, "t", "cleanup.policy", "delete", 1);
	kbr_test_server_end(ts);
}

static void kbr_admin_test_config_errors(struct kunit *test)
{
	static const struct {
		s8 type;
		const char *name;
		s8 op;
		const char *key;
		const char *value;
		s16 code;
	} cases[] = {
		{ KBR_ADMIN_TEST_TOPIC, "t", 0, "no.such.config", "1", 40 },
		{ KBR_ADMIN_TEST_TOPIC, "t", 0, "retention.ms", "soon", 40 },
		{ KBR_ADMIN_TEST_TOPIC, "t", 0, "retention.ms", NULL, 40 },
		{ KBR_ADMIN_TEST_TOPIC, "t", 0, "cleanup.policy", "compact", 40 },
		{ KBR_ADMIN_TEST_TOPIC, "t", 2, "cleanup.policy", "compact", 40 },
		{ KBR_ADMIN_TEST_TOPIC, "t", 3, "cleanup.policy", "delete", 40 },
		{ KBR_ADMIN_TEST_TOPIC, "t", 2, "retention.ms", "1", 40 },
		{ KBR_ADMIN_TEST_TOPIC, "t", 4, "retention.ms", "1", 42 },
		{ KBR_ADMIN_TEST_TOPIC, "t", -1, "retention.ms", "soon", 40 },
		{ KBR_ADMIN_TEST_TOPIC, "absent", 0, "retention.ms", "1", 3 },
		{ KBR_ADMIN_TEST_BROKER, "4711", 0, "log.retention.ms", "1", 42 },
		{ KBR_ADMIN_TEST_BROKER, "", 0, "retention.ms", "1", 40 },
		{ 3, "t", 0, "retention.ms", "1", 42 },
	};
	struct kbr_test_server *ts = kbr_admin_test_begin(test);
	char value[64];
	unsigned int i;
	s8 source;

	for (i = 0; i < ARRAY_SIZE(cases); i++)
		KUNIT_EXPECT_EQ_MSG(test, kbr_admin_test_alter(ts, cases[i].type, cases[i].name,
							       cases[i].op, cases[i].key,
							       cases[i].value, false),
				    cases[i].code, "case %u", i);
	kbr_admin_test_expect(ts, KBR_ADMIN_TEST_TOPIC, "t", "retention.ms", "1000", 1);
	KUNIT_EXPECT_EQ(test, kbr_admin_test_describe(ts, KBR_ADMIN_TEST_TOPIC, "absent", "x", value,
						      sizeof(value), &source), 3);
	KUNIT_EXPECT_EQ(test, kbr_admin_test_describe(ts, KBR_ADMIN_TEST_TOPIC, "a/b", "x", value,
						      sizeof(value), &source), 17);
	KUNIT_EXPECT_EQ(test, kbr_admin_test_describe(ts, 3, "t", "x", value, sizeof(value),
						      &source), 42);
	kbr_test_server_end(ts);
}

/* A user who is nobody here may change nothing, and not even look. */
static void kbr_admin_test_strangers(struct kunit *test)
{
	struct kbr_test_server *ts = kbr_admin_test_begin(test);
	struct kbr_test_request *tr;
	char value[64];
	unsigned int i;
	s8 source;

	kbr_admin_test_stranger(ts);
	tr = kbr_admin_test_create(ts, false);
	KUNIT_EXPECT_EQ(test, kbr_admin_test_items(tr), (s32)ARRAY_SIZE(kbr_admin_test_creates));
	for (i = 0; i < ARRAY_SIZE(kbr_admin_test_creates); i++)
		kbr_admin_test_item(tr, kbr_admin_test_creates[i].name,
				    kbr_admin_test_creates[i].code == 17 &&
				    kbr_admin_test_creates[i].name[0] != '_' ? 17 : 29);
	kbr_admin_test_end(tr);
	KUNIT_EXPECT_EQ(test, kbr_admin_test_partitions(ts, "good"), -1);
	KUNIT_EXPECT_EQ(test, kbr_admin_test_alter(ts, KBR_ADMIN_TEST_TOPIC, "t", 0, "retention.ms",
						   "5", false), 29);
	KUNIT_EXPECT_EQ(test, kbr_admin_test_alter(ts, KBR_ADMIN_TEST_BROKER, "", 0,
						   "log.retention.ms", "5", false), 31);
	KUNIT_EXPECT_EQ(test, kbr_admin_test_describe(ts, KBR_ADMIN_TEST_TOPIC, "t", "retention.ms",
						      value, sizeof(value), &source), 29);
	KUNIT_EXPECT_EQ(test, kbr_admin_test_describe(ts, KBR_ADMIN_TEST_BROKER, "", "num.partitions",
						      value, sizeof(value), &source), 31);
	kbr_admin_test_root(ts);
	kbr_admin_test_expect(ts, KBR_ADMIN_TEST_TOPIC, "t", "retention.ms", "1000", 1);
	kbr_test_server_end(ts);
}

/* ---- transactions ---- */

/* Who asks for the coordinator of transactions is told for good that there is none. */
static void kbr_admin_test_transactions(struct kunit *test)
{
	struct kbr_test_server *ts = kbr_admin_test_begin(test);
	struct kbr_test_request *tr = kbr_test_request(ts, KBR_API_FIND_COORDINATOR, 2);
	struct kbr_str message;

	kbr_put_string(&tr->body, "mine");
	kbr_put_s8(&tr->body, 1);
	kbr_test_ask(tr);
	KUNIT_EXPECT_EQ(test, kbr_get_s32(&tr->reply), 0);
	KUNIT_EXPECT_EQ(test, kbr_get_s16(&tr->reply), 53);
	message = kbr_get_nullable_string(&tr->reply);
	KUNIT_EXPECT_GT(test, message.len, 0);
	KUNIT_EXPECT_EQ(test, kbr_get_s32(&tr->reply), -1);
	message = kbr_get_string(&tr->reply);
	KUNIT_EXPECT_EQ(test, message.len, 0);
	KUNIT_EXPECT_EQ(test, kbr_get_s32(&tr->reply), -1);
	kbr_admin_test_end(tr);
	kbr_test_server_end(ts);
}

static struct kunit_case kbr_admin_test_cases[] = {
	KUNIT_CASE(kbr_admin_test_create_topics),
	KUNIT_CASE(kbr_admin_test_delete_topics),
	KUNIT_CASE(kbr_admin_test_create_partitions),
	KUNIT_CASE(kbr_admin_test_delete_records),
	KUNIT_CASE(kbr_admin_test_configs),
	KUNIT_CASE(kbr_admin_test_config_errors),
	KUNIT_CASE(kbr_admin_test_strangers),
	KUNIT_CASE(kbr_admin_test_transactions),
	{}
};

static struct kunit_suite kbr_admin_test_suite = {
	.name = "kbroker_admin",
	.exit = kbr_test_cleanup,
	.test_cases = kbr_admin_test_cases,
};

kunit_test_suite(kbr_admin_test_suite);
