// SPDX-License-Identifier: GPL-2.0-only
/*
 * Produce: what is answered for what, per partition; acks, timeouts, repeats;
 * and that a request that waits for room keeps its place.
 */
#include <kunit/test.h>
#include <linux/delay.h>
#include <linux/slab.h>

#include "server_test.h"

static struct kbr_test_server *kbr_prod_test_begin(struct kunit *test, const char *config,
						   const char *value)
{
	struct kbr_test_server *ts = kbr_test_server_begin(test);

	KUNIT_ASSERT_EQ(test, kbr_test_create(ts->tb, "t", 2, config, value), 0);
	return ts;
}

static void kbr_prod_test_good(struct kunit *test)
{
	struct kbr_test_server *ts = kbr_prod_test_begin(test, NULL, NULL);
	struct kbr_topic *topic = kbr_test_topic(ts->tb, "t");
	struct kbr_partition *part = kbr_topic_partition(topic, 0);
	struct kbr_test_produced got;
	struct kbr_test_batch batch;
	char value[16];
	s16 version;

	for (version = 3; version <= 8; version++) {
		kbr_test_batch(&batch, "v", 3);
		kbr_test_produce_one(ts, version, version & 1 ? KBR_ACKS_ALL : KBR_ACKS_LEADER,
				     &batch, &got);
		KUNIT_EXPECT_EQ(test, got.error, 0);
		KUNIT_EXPECT_EQ(test, got.base_offset, 3 * (version - 3));
		KUNIT_EXPECT_EQ(test, got.append_time, -1);
		KUNIT_EXPECT_EQ(test, got.start, 0);
		if (version & 1)
			KUNIT_EXPECT_EQ(test, kbr_partition_hw(part), got.base_offset + 3);
	}
	KUNIT_EXPECT_EQ(test, kbr_test_read(part, 0, value, sizeof(value)), 0);
	KUNIT_EXPECT_STREQ(test, value, "v");
	kbr_topic_put(topic);
	kbr_test_server_end(ts);
}

static void kbr_prod_test_append_time(struct kunit *test)
{
	struct kbr_test_server *ts = kbr_prod_test_begin(test, "message.timestamp.type",
							 "LogAppendTime");
	struct kbr_test_produced got;
	struct kbr_test_batch batch;

	kbr_test_batch(&batch, "v", 1);
	kbr_test_produce_one(ts, 8, KBR_ACKS_ALL, &batch, &got);
	KUNIT_EXPECT_EQ(test, got.error, 0);
	KUNIT_EXPECT_GT(test, got.append_time, 1700000000000);
	kbr_test_server_end(ts);
}

enum kbr_prod_test_damage {
	KBR_PROD_GOOD, KBR_PROD_CRC, KBR_PROD_CUT, KBR_PROD_SHORT, KBR_PROD_MAGIC, KBR_PROD_TWO,
	KBR_PROD_NULL, KBR_PROD_EMPTY, KBR_PROD_CONTROL, KBR_PROD_TXN, KBR_PROD_TXN_CRC,
	KBR_PROD_ZSTD, KBR_PROD_RECORD, KBR_PROD_CODEC, KBR_PROD_BASE, KBR_PROD_TIME,
};

/**
 * struct kbr_prod_test_case - what becomes of one batch
 * @name: of the case
 * @damage: what is wrong with it
 * @topic: where it goes
 * @index: partition
 * @version: of Produce
 * @error: Kafka's code
 */
struct kbr_prod_test_case {
	const char *name;
	enum kbr_prod_test_damage damage;
	const char *topic;
	s32 index;
	s16 version;
	s16 error;
};

static const struct kbr_prod_test_case kbr_prod_test_table[] = {
	{ "good", KBR_PROD_GOOD, "t", 1, 8, 0 },
	{ "no such topic", KBR_PROD_GOOD, "nowhere", 0, 8, 3 },
	{ "no topic's name", KBR_PROD_GOOD, "a b/c", 0, 8, 3 },
	{ "no such partition", KBR_PROD_GOOD, "t", 2, 8, 3 },
	{ "negative partition", KBR_PROD_GOOD, "t", -1, 8, 3 },
	{ "internal", KBR_PROD_GOOD, "__t", 0, 8, 17 },
	{ "internal, not there", KBR_PROD_GOOD, "__nowhere", 0, 8, 17 },
	{ "checksum", KBR_PROD_CRC, "t", 0, 8, 2 },
	{ "cut", KBR_PROD_CUT, "t", 0, 8, 2 },
	{ "shorter than a header", KBR_PROD_SHORT, "t", 0, 8, 2 },
	{ "magic", KBR_PROD_MAGIC, "t", 0, 8, 87 },
	{ "two batches", KBR_PROD_TWO, "t", 0, 8, 87 },
	{ "null", KBR_PROD_NULL, "t", 0, 8, 87 },
	{ "no bytes", KBR_PROD_EMPTY, "t", 0, 8, 87 },
	{ "control batch", KBR_PROD_CONTROL, "t", 0, 8, 87 },
	{ "transactional", KBR_PROD_TXN, "t", 0, 8, 48 },
	{ "transactional by damage", KBR_PROD_TXN_CRC, "t", 0, 8, 2 },
	{ "zstd too early", KBR_PROD_ZSTD, "t", 0, 6, 76 },
	{ "not zstd", KBR_PROD_ZSTD, "t", 0, 7, 87 },
	{ "damaged record", KBR_PROD_RECORD, "t", 0, 8, 87 },
	{ "unknown codec", KBR_PROD_CODEC, "t", 0, 8, 76 },
	{ "base offset", KBR_PROD_BASE, "t", 0, 8, 87 },
	{ "too far ahead", KBR_PROD_TIME, "t", 0, 8, 32 },
	{ "too large", KBR_PROD_GOOD, "small", 0, 8, 10 },
};

static void kbr_prod_test_spoil(struct kbr_test_batch *batch, enum kbr_prod_test_damage damage)
{
	struct kbr_batch_wire *wire = (struct kbr_batch_wire *)batch->buf;
	bool seal = true;

	kbr_test_batch(batch, "value", 1);
	switch (damage) {
	case KBR_PROD_CRC:
		batch->buf[batch->len - 2] ^= 1;
		seal = false;
		break;
	case KBR_PROD_CUT:
		batch->len--;
		return;
	case KBR_PROD_SHORT:
		batch->len = 16;
		return;
	case KBR_PROD_MAGIC:
		wire->magic = 1;
		break;
	case KBR_PROD_TWO:
		memcpy(batch->buf + batch->len, batch->buf, batch->len);
		batch->len *= 2;
		return;
	case KBR_PROD_EMPTY:
		batch->len = 0;
		return;
	case KBR_PROD_CONTROL:
		wire->attributes = cpu_to_be16(KBR_BATCH_CONTROL);
		break;
	case KBR_PROD_TXN_CRC:
		seal = false;
		fallthrough;
	case KBR_PROD_TXN:
		wire->attributes = cpu_to_be16(KBR_BATCH_TRANSACTIONAL);
		break;
	case KBR_PROD_ZSTD:
		wire->attributes = cpu_to_be16(KBR_CODEC_ZSTD);
		break;
	case KBR_PROD_CODEC:
		wire->attributes = cpu_to_be16(7);
		break;
	case KBR_PROD_RECORD:
		batch->buf[KBR_BATCH_HEADER_LEN] ^= 0x20;
		break;
	case KBR_PROD_BASE:
		wire->base_offset = cpu_to_be64(1);
		break;
	case KBR_PROD_TIME:
		wire->base_timestamp = cpu_to_be64(1LL << 50);
		wire->max_timestamp = cpu_to_be64(1LL << 50);
		break;
	default:
		break;
	}
	if (seal)
		kbr_batch_seal(batch->buf, batch->len);
}

/* All of them in one request a version: each partition has its own answer. */
static void kbr_prod_test_errors(struct kunit *test)
{
	struct kbr_test_server *ts = kbr_prod_test_begin(test, NULL, NULL);
	const unsigned int count = ARRAY_SIZE(kbr_prod_test_table);
	struct kbr_test_produced got;
	struct kbr_test_request *tr;
	struct kbr_test_batch batch;
	unsigned int i, n;
	s16 version;

	KUNIT_ASSERT_EQ(test, kbr_test_create(ts->tb, "small", 1, "max.message.bytes", "70"), 0);
	KUNIT_ASSERT_EQ(test, kbr_test_create(ts->tb, "__t", 1, NULL, NULL), 0);
	for (version = 6; version <= 8; version++) {
		for (i = 0, n = 0; i < count; i++)
			n += kbr_prod_test_table[i].version == version;
		tr = kbr_test_produce_begin(ts, version, KBR_ACKS_ALL, KBR_TEST_LONG_MS, n);
		for (i = 0; i < count; i++) {
			const struct kbr_prod_test_case *c = &kbr_prod_test_table[i];

			if (c->version != version)
				continue;
			kbr_prod_test_spoil(&batch, c->damage);
			kbr_test_produce_topic(tr, c->topic, 1);
			kbr_test_produce_partition(tr, c->index,
						   c->damage == KBR_PROD_NULL ? NULL : &batch);
		}
		kbr_test_ask(tr);
		KUNIT_EXPECT_EQ(test, kbr_get_count(&tr->reply), n);
		for (i = 0; i < count; i++) {
			const struct kbr_prod_test_case *c = &kbr_prod_test_table[i];

			if (c->version != version)
				continue;
			KUNIT_EXPECT_EQ(test, kbr_test_read_topic(tr, c->topic), 1);
			kbr_test_produce_read(tr, &got);
			KUNIT_EXPECT_EQ_MSG(test, got.error, c->error, "%s", c->name);
			KUNIT_EXPECT_EQ(test, got.index, c->index);
			KUNIT_EXPECT_EQ_MSG(test, got.base_offset, c->error ? -1 : 0, "%s", c->name);
			if (c->damage != KBR_PROD_GOOD && version == 8)
				KUNIT_EXPECT_NE_MSG(test, got.message[0], '\0', "%s", c->name);
			if (c->damage == KBR_PROD_TIME)
				KUNIT_EXPECT_EQ(test, got.record, 0);
		}
		kbr_test_release(tr);
	}
	kbr_test_server_end(ts);
}

/* Acks that there are not, and transactional ids, refuse the whole request. */
static void kbr_prod_test_refused(struct kunit *test)
{
	struct kbr_test_server *ts = kbr_prod_test_begin(test, NULL, NULL);
	struct kbr_topic *topic = kbr_test_topic(ts->tb, "t");
	struct kbr_test_produced got;
	struct kbr_test_request *tr;
	struct kbr_test_batch batch;

	kbr_test_batch(&batch, "v", 1);
	kbr_test_produce_one(ts, 7, 2, &batch, &got);
	KUNIT_EXPECT_EQ(test, got.error, 21);

	tr = kbr_test_request(ts, KBR_API_PRODUCE, 7);
	kbr_put_string(&tr->body, "mine");
	kbr_put_s16(&tr->body, KBR_ACKS_ALL);
	kbr_put_s32(&tr->body, KBR_TEST_LONG_MS);
	kbr_put_count(&tr->body, 1);
	kbr_test_produce_topic(tr, "t", 1);
	kbr_test_produce_partition(tr, 0, &batch);
	kbr_test_ask(tr);
	kbr_get_count(&tr->reply);
	kbr_test_read_topic(tr, "t");
	kbr_test_produce_read(tr, &got);
	KUNIT_EXPECT_EQ(test, got.error, 53);
	kbr_test_release(tr);
	KUNIT_EXPECT_EQ(test, kbr_log_end(&kbr_topic_partition(topic, 0)->log), 0);
	kbr_topic_put(topic);
	kbr_test_server_end(ts);
}

/* Who wants no answer gets none; an error closes the connection. */
static void kbr_prod_test_no_acks(struct kunit *test)
{
	struct kbr_test_server *ts = kbr_prod_test_begin(test, NULL, NULL);
	struct kbr_topic *topic = kbr_test_topic(ts->tb, "t");
	struct kbr_test_request *tr;
	struct kbr_test_batch batch;

	kbr_test_batch(&batch, "v", 1);
	tr = kbr_test_produce_begin(ts, 7, KBR_ACKS_NONE, KBR_TEST_LONG_MS, 1);
	kbr_test_produce_topic(tr, "t", 1);
	kbr_test_produce_partition(tr, 0, &batch);
	KUNIT_EXPECT_EQ(test, kbr_test_send(tr), KBR_REQUEST_NO_REPLY);
	kbr_test_release(tr);
	KUNIT_EXPECT_EQ(test, kbr_log_end(&kbr_topic_partition(topic, 0)->log), 1);

	tr = kbr_test_produce_begin(ts, 7, KBR_ACKS_NONE, KBR_TEST_LONG_MS, 1);
	kbr_test_produce_topic(tr, "t", 2);
	kbr_test_produce_partition(tr, 7, &batch);
	kbr_test_produce_partition(tr, 0, &batch);
	KUNIT_EXPECT_EQ(test, kbr_test_send(tr), KBR_REQUEST_CLOSE);
	kbr_test_release(tr);
	KUNIT_EXPECT_EQ(test, kbr_log_end(&kbr_topic_partition(topic, 0)->log), 2);
	kbr_topic_put(topic);
	kbr_test_server_end(ts);
}

/* Repeats are answered as the first time; gaps and old epochs are not taken. */
static void kbr_prod_test_idempotent(struct kunit *test)
{
	struct kbr_test_server *ts = kbr_prod_test_begin(test, NULL, NULL);
	static const struct {
		s16 epoch;
		s32 sequence;
		s16 error;
		s64 offset;
	} steps[] = {
		{ 1, 0, 0, 0 }, { 1, 2, 0, 2 }, { 1, 0, 0, 0 }, { 1, 2, 0, 2 }, { 1, 6, 45, -1 },
		{ 1, 4, 0, 4 }, { 0, 6, 47, -1 }, { 2, 1, 45, -1 }, { 2, 0, 0, 6 }, { 2, 0, 0, 6 },
	};
	struct kbr_test_produced got;
	struct kbr_test_batch batch;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(steps); i++) {
		kbr_test_batch(&batch, "v", 2);
		kbr_test_batch_from(&batch, 4711, steps[i].epoch, steps[i].sequence);
		kbr_test_produce_one(ts, 8, KBR_ACKS_ALL, &batch, &got);
		KUNIT_EXPECT_EQ_MSG(test, got.error, steps[i].error, "step %u", i);
		KUNIT_EXPECT_EQ_MSG(test, got.base_offset, steps[i].offset, "step %u", i);
	}
	kbr_test_server_end(ts);
}

static struct kbr_test_request *kbr_prod_test_send_one(struct kbr_test_server *ts, s32 timeout_ms)
{
	struct kbr_test_request *tr;
	struct kbr_test_batch batch;

	kbr_test_batch(&batch, "v", 1);
	tr = kbr_test_produce_begin(ts, 8, KBR_ACKS_ALL, timeout_ms, 1);
	kbr_test_produce_topic(tr, "t", 1);
	kbr_test_produce_partition(tr, 0, &batch);
	kbr_test_send(tr);
	return tr;
}

static s16 kbr_prod_test_result(struct kbr_test_request *tr, struct kbr_test_produced *got)
{
	KUNIT_ASSERT_EQ(tr->ts->test, kbr_test_finish(tr), KBR_REQUEST_DONE);
	kbr_get_count(&tr->reply);
	kbr_test_read_topic(tr, "t");
	kbr_test_produce_read(tr, got);
	kbr_test_release(tr);
	return got->error;
}

/* The client's time is over before the disk has it: it may still commit. */
static void kbr_prod_test_timeout(struct kunit *test)
{
	struct kbr_test_server *ts = kbr_prod_test_begin(test, NULL, NULL);
	struct kbr_topic *topic = kbr_test_topic(ts->tb, "t");
	struct kbr_partition *part = kbr_topic_partition(topic, 0);
	struct kbr_test_produced got;
	struct kbr_test_request *tr;

	kbr_ram_set_sync_delay(ts->tb->dir, 1000000);
	tr = kbr_prod_test_send_one(ts, 20);
	KUNIT_EXPECT_EQ(test, tr->req.state, KBR_REQUEST_PARKED);
	KUNIT_EXPECT_TRUE(test, tr->req.settled);
	KUNIT_EXPECT_NULL(test, tr->req.frame);
	KUNIT_EXPECT_EQ(test, kbr_prod_test_result(tr, &got), 7);
	KUNIT_EXPECT_EQ(test, got.base_offset, -1);
	kbr_ram_set_sync_delay(ts->tb->dir, 0);
	KUNIT_EXPECT_EQ(test, kbr_partition_wait_acks(part, 0, 0, KBR_TEST_LONG_MS), 0);
	kbr_topic_put(topic);
	kbr_test_server_end(ts);
}

/* What fails after the append is corrected in the answer. */
static void kbr_prod_test_late_errors(struct kunit *test)
{
	struct kbr_test_server *ts = kbr_prod_test_begin(test, NULL, NULL);
	struct kbr_topic *topic = kbr_test_topic(ts->tb, "t");
	struct kbr_test_produced got;
	struct kbr_test_request *tr;

	kbr_ram_fail(ts->tb->dir, KBR_RAM_SYNC, 0, 1, -EIO, "t-0/");
	tr = kbr_prod_test_send_one(ts, KBR_TEST_LONG_MS);
	KUNIT_EXPECT_EQ(test, kbr_prod_test_result(tr, &got), 56);
	KUNIT_EXPECT_EQ(test, got.base_offset, -1);
	KUNIT_EXPECT_EQ(test, got.start, -1);
	KUNIT_EXPECT_NOT_NULL(test, strstr(got.message, "could not be written"));
	KUNIT_ASSERT_TRUE(test, kbr_test_wait_state(kbr_topic_partition(topic, 0),
						    KBR_PARTITION_LEADER));

	kbr_ram_set_sync_delay(ts->tb->dir, 300000);
	tr = kbr_prod_test_send_one(ts, KBR_TEST_LONG_MS);
	KUNIT_EXPECT_EQ(test, kbr_test_delete(ts->tb, "t"), 0);
	kbr_prod_test_result(tr, &got);
	/* the deletion waits for the sync round: either came first */
	KUNIT_EXPECT_TRUE_MSG(test, got.error == 3 || got.error == 0, "error %d", got.error);
	kbr_topic_put(topic);
	kbr_test_server_end(ts);
}

/* Failures between successes, more of them than get a sentence: the answer stays in one piece. */
static void kbr_prod_test_late_many(struct kunit *test)
{
	struct kbr_test_server *ts = kbr_test_server_begin(test);
	struct kbr_test_produced got;
	struct kbr_test_request *tr;
	struct kbr_test_batch batch;
	unsigned int texts = 0;
	s32 i;

	KUNIT_ASSERT_EQ(test, kbr_test_create(ts->tb, "t", 60, NULL, NULL), 0);
	kbr_test_batch(&batch, "v", 1);
	kbr_ram_fail(ts->tb->dir, KBR_RAM_SYNC, 0, 0, -EIO, "0/");
	tr = kbr_test_produce_begin(ts, 8, KBR_ACKS_ALL, KBR_TEST_LONG_MS, 1);
	kbr_test_produce_topic(tr, "t", 60);
	/* some that are refused at once, with sentences of their own, among them */
	for (i = 0; i < 60; i++)
		kbr_test_produce_partition(tr, i, i % 7 == 3 ? NULL : &batch);
	kbr_test_ask(tr);
	KUNIT_EXPECT_EQ(test, kbr_get_count(&tr->reply), 1);
	KUNIT_EXPECT_EQ(test, kbr_test_read_topic(tr, "t"), 60);
	for (i = 0; i < 60; i++) {
		kbr_test_produce_read(tr, &got);
		KUNIT_EXPECT_EQ(test, got.index, i);
		if (i % 7 == 3)
			KUNIT_EXPECT_EQ(test, got.error, 87);
		else if (got.error)
			KUNIT_EXPECT_EQ(test, got.error, 56);
		else
			KUNIT_EXPECT_EQ(test, got.base_offset, 0);
		texts += got.error == 56 && got.message[0];
	}
	KUNIT_EXPECT_EQ(test, kbr_get_s32(&tr->reply), 0);
	KUNIT_EXPECT_EQ(test, kbr_wire_reader_left(&tr->reply), 0UL);
	KUNIT_EXPECT_GE(test, texts, 1U);
	KUNIT_EXPECT_LE(test, texts, 16U);
	kbr_test_release(tr);
	kbr_ram_heal(ts->tb->dir);
	kbr_test_server_end(ts);
}

/* A request that is dropped while it waits leaves nothing behind. */
static void kbr_prod_test_drop(struct kunit *test)
{
	struct kbr_test_server *ts = kbr_prod_test_begin(test, NULL, NULL);
	struct kbr_topic *topic = kbr_test_topic(ts->tb, "t");
	struct kbr_partition *part = kbr_topic_partition(topic, 0);
	struct kbr_test_request *tr;

	kbr_ram_set_sync_delay(ts->tb->dir, 100000);
	tr = kbr_prod_test_send_one(ts, KBR_TEST_LONG_MS);
	KUNIT_EXPECT_EQ(test, tr->req.state, KBR_REQUEST_PARKED);
	KUNIT_EXPECT_FALSE(test, list_empty(&part->wait.head));
	kbr_test_release(tr);
	KUNIT_EXPECT_TRUE(test, list_empty(&part->wait.head));
	kbr_topic_put(topic);
	kbr_test_server_end(ts);
}

/* Too much waits for the disk: the request waits with it, not appended, and is taken then. */
static void kbr_prod_test_room(struct kunit *test)
{
	struct kbr_test_server *ts = kbr_test_server_begin(test);
	struct kbr_test_request *first, *second;
	struct kbr_topic *topic;
	struct kbr_partition *part;
	struct kbr_test_produced got;
	unsigned int i;

	KUNIT_ASSERT_EQ(test, kbr_config_set_put(&ts->tb->configs, "log.unsynced.bytes.max",
						 "65536"), 0);
	kbr_test_server_restart(ts);
	KUNIT_ASSERT_EQ(test, kbr_test_create(ts->tb, "t", 1, NULL, NULL), 0);
	topic = kbr_test_topic(ts->tb, "t");
	part = kbr_topic_partition(topic, 0);
	kbr_ram_set_sync_delay(ts->tb->dir, 500000);
	for (i = 0; kbr_broker_unsynced_bytes(ts->server.broker) <= 65536 && i < 5000; i++)
		KUNIT_ASSERT_GE(test, kbr_test_produce(part, "fill", KBR_ACKS_LEADER), 0);
	first = kbr_prod_test_send_one(ts, 10);
	KUNIT_EXPECT_EQ(test, first->req.state, KBR_REQUEST_PARKED);
	KUNIT_EXPECT_FALSE(test, first->req.settled);
	second = kbr_prod_test_send_one(ts, KBR_TEST_LONG_MS);
	KUNIT_EXPECT_FALSE(test, second->req.settled);
	KUNIT_EXPECT_EQ(test, kbr_log_end(&part->log), i);

	KUNIT_EXPECT_EQ(test, kbr_prod_test_result(first, &got), 7);
	KUNIT_EXPECT_EQ(test, kbr_prod_test_result(second, &got), 0);
	KUNIT_EXPECT_EQ(test, got.base_offset, i);
	kbr_topic_put(topic);
	kbr_test_server_end(ts);
}

/* One request to several partitions: each has its answer, and a sync serves them all. */
static void kbr_prod_test_many(struct kunit *test)
{
	struct kbr_test_server *ts = kbr_test_server_begin(test);
	struct kbr_syncer_stats before, after;
	struct kbr_test_produced got;
	struct kbr_test_request *tr;
	struct kbr_test_batch batch;
	s32 i;

	KUNIT_ASSERT_EQ(test, kbr_test_create(ts->tb, "t", 50, NULL, NULL), 0);
	kbr_ram_set_sync_delay(ts->tb->dir, 10000);
	kbr_syncer_get_stats(ts->server.broker->env.syncer, &before);
	kbr_test_batch(&batch, "v", 1);
	tr = kbr_test_produce_begin(ts, 8, KBR_ACKS_ALL, KBR_TEST_LONG_MS, 1);
	kbr_test_produce_topic(tr, "t", 50);
	for (i = 0; i < 50; i++)
		kbr_test_produce_partition(tr, i, &batch);
	kbr_test_ask(tr);
	kbr_get_count(&tr->reply);
	KUNIT_EXPECT_EQ(test, kbr_test_read_topic(tr, "t"), 50);
	for (i = 0; i < 50; i++) {
		kbr_test_produce_read(tr, &got);
		KUNIT_EXPECT_EQ(test, got.index, i);
		KUNIT_EXPECT_EQ(test, got.error, 0);
	}
	kbr_test_release(tr);
	kbr_syncer_get_stats(ts->server.broker->env.syncer, &after);
	KUNIT_EXPECT_EQ(test, after.waiters - before.waiters, 50ULL);
	/* the first may go alone, and upkeep may come in between */
	KUNIT_EXPECT_LE(test, after.rounds - before.rounds, 5ULL);
	kbr_test_server_end(ts);
}

static struct kunit_case kbr_prod_test_cases[] = {
	KUNIT_CASE(kbr_prod_test_good),
	KUNIT_CASE(kbr_prod_test_append_time),
	KUNIT_CASE(kbr_prod_test_errors),
	KUNIT_CASE(kbr_prod_test_refused),
	KUNIT_CASE(kbr_prod_test_no_acks),
	KUNIT_CASE(kbr_prod_test_idempotent),
	KUNIT_CASE(kbr_prod_test_timeout),
	KUNIT_CASE(kbr_prod_test_late_errors),
	KUNIT_CASE(kbr_prod_test_late_many),
	KUNIT_CASE(kbr_prod_test_drop),
	KUNIT_CASE(kbr_prod_test_room),
	KUNIT_CASE(kbr_prod_test_many),
	{}
};

static struct kunit_suite kbr_prod_test_suite = {
	.name = "kbroker_produce",
	.exit = kbr_test_cleanup,
	.test_cases = kbr_prod_test_cases,
};

kunit_test_suite(kbr_prod_test_suite);
