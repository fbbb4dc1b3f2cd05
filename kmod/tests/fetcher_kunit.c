// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a follower makes of its leader's answers: the true ones, those that are
 * cut off or changed, and those that lie. This broker is node 1 and follows
 * node 2, whose words the test writes; there is no socket.
 */
#include <kunit/test.h>
#include <linux/prandom.h>
#include <linux/slab.h>

#include "base/clock.h"
#include "broker/replica.h"
#include "broker_test.h"
#include "codec/proto.h"
#include "codec/record.h"
#include "fetcher/fetcher.h"

#define KBR_LNK_SESSION		7
#define KBR_LNK_BUF		4096

/**
 * struct kbr_lnk_test - the fixture
 * @test: the running test
 * @tb: the broker
 * @topic: "t", two partitions, both followers of node 2
 * @part: partition 0, which the link fetches
 * @other: partition 1, which it does not
 * @state: as the controller told it last
 * @fetcher: as far as a link looks at it
 * @link: to node 2
 * @lp: @part in it
 * @buf: records that the leader has
 * @len: bytes of them
 */
struct kbr_lnk_test {
	struct kunit *test;
	struct kbr_test_broker *tb;
	struct kbr_topic *topic;
	struct kbr_partition *part;
	struct kbr_partition *other;
	struct kbr_replica_state state;
	struct kbr_fetcher fetcher;
	struct kbr_link *link;
	struct kbr_link_part *lp;
	u8 *buf;
	size_t len;
};

/**
 * struct kbr_lnk_answer - what the leader says
 * @skew: added to the correlation id that is due
 * @code: error of the whole
 * @session: its id
 * @topic: name
 * @index: partition
 * @error: of the partition
 * @hw: high watermark
 * @start: log start
 * @diverges: with @diverging
 * @diverging: where
 * @records: what comes, NULL null
 * @len: bytes of it
 */
struct kbr_lnk_answer {
	s32 skew;
	s16 code;
	s32 session;
	const char *topic;
	s32 index;
	s16 error;
	s64 hw;
	s64 start;
	bool diverges;
	struct kbr_replica_diverging diverging;
	const void *records;
	size_t len;
};

static void kbr_lnk_elect(struct kbr_lnk_test *lt, s32 leader)
{
	struct kbr_refusal why;

	lt->state.leader = leader;
	lt->state.leader_epoch++;
	lt->state.partition_epoch++;
	KUNIT_ASSERT_EQ(lt->test, kbr_replica_apply(lt->part, &lt->state, &why), 0);
	KUNIT_ASSERT_EQ(lt->test, kbr_replica_apply(lt->other, &lt->state, &why), 0);
}

static struct kbr_partition *kbr_lnk_partition(struct kbr_lnk_test *lt, unsigned int index)
{
	struct kbr_partition *part = kbr_topic_partition(lt->topic, index);

	KUNIT_ASSERT_EQ(lt->test, kbr_replica_alloc(part), 0);
	kbr_partition_quiesce(part, KBR_PARTITION_FOLLOWER);
	return part;
}

static struct kbr_lnk_test *kbr_lnk_begin(struct kunit *test)
{
	struct kbr_lnk_test *lt = kunit_kzalloc(test, sizeof(*lt), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, lt);
	lt->test = test;
	lt->buf = kunit_kzalloc(test, KBR_LNK_BUF, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, lt->buf);
	lt->tb = kbr_test_init(test);
	KUNIT_ASSERT_EQ(test, kbr_test_start(lt->tb), 0);
	KUNIT_ASSERT_EQ(test, kbr_test_create(lt->tb, "t", 2, NULL, NULL), 0);
	lt->topic = kbr_test_topic(lt->tb, "t");
	KUNIT_ASSERT_NOT_NULL(test, lt->topic);
	lt->part = kbr_lnk_partition(lt, 0);
	lt->other = kbr_lnk_partition(lt, 1);
	lt->state = (struct kbr_replica_state) {
		.leader_epoch = 4,
		.replicas = { 2, { 1, 2 } },
		.isr = { 2, { 1, 2 } },
	};
	kbr_lnk_elect(lt, 2);
	lt->fetcher.broker = lt->topic->broker;
	lt->link = kbr_link_create(&lt->fetcher, &kbr_fetch_ops, 2);
	KUNIT_ASSERT_NOT_NULL(test, lt->link);
	lt->link->state = KBR_LINK_READY;
	lt->lp = kzalloc(sizeof(*lt->lp), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, lt->lp);
	lt->lp->part = lt->part;
	hash_add(lt->link->table, &lt->lp->by_part, (unsigned long)lt->part);
	list_add(&lt->lp->node, &lt->link->parts);
	lt->link->count = 1;
	return lt;
}

static void kbr_lnk_end(struct kbr_lnk_test *lt)
{
	kbr_link_free(lt->link);
	kbr_topic_put(lt->topic);
	kbr_test_exit(lt->tb);
}

/* The leader has a batch of @count records at @offset more; where it begins in the buffer. */
static size_t kbr_lnk_batch(struct kbr_lnk_test *lt, s64 offset, unsigned int count, s32 epoch)
{
	struct kbr_record rec = { .timestamp = 1, .value = "value", .value_len = 5 };
	struct kbr_batch_builder bld;
	size_t at = lt->len;

	kbr_batch_builder_init(&bld, lt->buf + at, KBR_LNK_BUF - at);
	while (count--)
		KUNIT_ASSERT_EQ(lt->test, kbr_batch_builder_add(&bld, &rec), 0);
	lt->len += kbr_batch_builder_finish(&bld);
	kbr_batch_stamp(lt->buf + at, offset, epoch);
	return at;
}

/* A Fetch goes out. */
static void kbr_lnk_ask(struct kbr_lnk_test *lt)
{
	/* the time of a refusal is over */
	lt->lp->retry_at = jiffies - 1;
	KUNIT_ASSERT_TRUE(lt->test, kbr_link_put_fetch(lt->link, true));
	lt->link->out.len = 0;
}

static const struct kbr_lnk_answer kbr_lnk_plain = {
	.session = KBR_LNK_SESSION, .topic = "t", .hw = 0, .start = 0,
};

/* The frame behind its size */
static void kbr_lnk_write(struct kbr_lnk_test *lt, const struct kbr_lnk_answer *answer,
			  struct kbr_wire_writer *w)
{
	kbr_wire_writer_init(w, 1 << 20, true);
	kbr_put_s32(w, lt->link->correlation - (s32)lt->link->in_flight + 1 + answer->skew);
	kbr_put_tags(w);
	kbr_put_s32(w, 0);
	kbr_put_s16(w, answer->code);
	kbr_put_s32(w, answer->session);
	kbr_put_count(w, 1);
	kbr_put_string(w, answer->topic);
	kbr_put_count(w, 1);
	kbr_put_s32(w, answer->index);
	kbr_put_s16(w, answer->error);
	kbr_put_s64(w, answer->hw);
	kbr_put_s64(w, answer->hw);
	kbr_put_s64(w, answer->start);
	kbr_put_count(w, -1);
	kbr_put_s32(w, -1);
	kbr_put_bytes(w, answer->records, answer->len);
	kbr_put_uvarint(w, answer->diverges);
	if (answer->diverges) {
		kbr_put_tag(w, KBR_TAG_FETCH_DIVERGING_EPOCH, sizeof(s32) + sizeof(s64) + 1);
		kbr_put_s32(w, answer->diverging.epoch);
		kbr_put_s64(w, answer->diverging.end);
		kbr_put_tags(w);
	}
	kbr_put_tags(w);
	kbr_put_tags(w);
	KUNIT_ASSERT_EQ(lt->test, w->err, 0);
}

/* Give it @len bytes, in a buffer of just that size. */
static int kbr_lnk_give(struct kbr_lnk_test *lt, const void *bytes, size_t len)
{
	void *frame = kmemdup(bytes, len, GFP_KERNEL);
	int err;

	KUNIT_ASSERT_NOT_NULL(lt->test, frame);
	err = kbr_link_take_fetch(lt->link, frame, len);
	kfree(frame);
	return err;
}

static int kbr_lnk_take(struct kbr_lnk_test *lt, const struct kbr_lnk_answer *answer)
{
	struct kbr_wire_writer w;
	int err;

	kbr_lnk_write(lt, answer, &w);
	err = kbr_lnk_give(lt, w.buf, w.len);
	kbr_wire_writer_free(&w);
	return err;
}

/* Ask, and be answered with the records from @at on. */
static int kbr_lnk_round(struct kbr_lnk_test *lt, size_t at, s64 hw)
{
	struct kbr_lnk_answer answer = kbr_lnk_plain;

	answer.hw = hw;
	answer.records = lt->buf + at;
	answer.len = lt->len - at;
	kbr_lnk_ask(lt);
	return kbr_lnk_take(lt, &answer);
}

/* The partition was refused: it rests for a while, and the session begins anew. */
static void kbr_lnk_expect_refused(struct kbr_lnk_test *lt, const char *what, s64 end)
{
	struct kunit *test = lt->test;

	KUNIT_EXPECT_EQ_MSG(test, kbr_log_end(&lt->part->log), end, "%s", what);
	KUNIT_EXPECT_TRUE_MSG(test, lt->lp->waits, "%s", what);
	KUNIT_EXPECT_FALSE_MSG(test, lt->lp->in_session, "%s", what);
	KUNIT_EXPECT_EQ_MSG(test, lt->link->session_epoch, 0, "%s", what);
	/* while it waits there is nothing to fetch */
	lt->lp->retry_at = jiffies + HZ;
	KUNIT_EXPECT_FALSE_MSG(test, kbr_link_put_fetch(lt->link, true), "%s", what);
	KUNIT_EXPECT_EQ_MSG(test, lt->link->in_flight, 0U, "%s", what);
}

/* ---- true ones ---- */

static void kbr_lnk_test_good(struct kunit *test)
{
	struct kbr_lnk_test *lt = kbr_lnk_begin(test);
	size_t second;

	kbr_lnk_batch(lt, 0, 3, 4);
	second = kbr_lnk_batch(lt, 3, 2, 5);
	KUNIT_EXPECT_EQ(test, kbr_lnk_round(lt, 0, 4), 0);
	KUNIT_EXPECT_EQ(test, kbr_log_end(&lt->part->log), 5);
	KUNIT_EXPECT_EQ(test, kbr_partition_hw(lt->part), 4);
	KUNIT_EXPECT_EQ(test, lt->link->session, KBR_LNK_SESSION);
	KUNIT_EXPECT_EQ(test, lt->link->session_epoch, 1);
	/* what comes twice is there once */
	KUNIT_EXPECT_EQ(test, kbr_lnk_round(lt, second, 5), 0);
	KUNIT_EXPECT_EQ(test, kbr_log_end(&lt->part->log), 5);
	KUNIT_EXPECT_EQ(test, kbr_partition_hw(lt->part), 5);
	KUNIT_EXPECT_FALSE(test, lt->lp->waits);
	KUNIT_EXPECT_EQ(test, lt->link->session_epoch, 2);
	kbr_lnk_end(lt);
}

/* The leader's log begins in the middle of a batch: so does this one. */
static void kbr_lnk_test_begins_inside(struct kunit *test)
{
	struct kbr_lnk_test *lt = kbr_lnk_begin(test);
	struct kbr_lnk_answer answer = kbr_lnk_plain;
	char value[16];

	kbr_lnk_batch(lt, 98, 8, 5);
	kbr_lnk_batch(lt, 106, 1, 5);
	kbr_lnk_ask(lt);
	answer.error = 1;
	answer.start = 100;
	answer.hw = 107;
	KUNIT_EXPECT_EQ(test, kbr_lnk_take(lt, &answer), 0);
	KUNIT_EXPECT_EQ(test, kbr_log_end(&lt->part->log), 100);
	kbr_lnk_ask(lt);
	answer.error = 0;
	answer.records = lt->buf;
	answer.len = lt->len;
	KUNIT_EXPECT_EQ(test, kbr_lnk_take(lt, &answer), 0);
	KUNIT_EXPECT_FALSE(test, lt->lp->waits);
	KUNIT_EXPECT_EQ(test, kbr_log_start(&lt->part->log), 100);
	KUNIT_EXPECT_EQ(test, kbr_log_end(&lt->part->log), 107);
	KUNIT_EXPECT_EQ(test, kbr_partition_hw(lt->part), 107);
	KUNIT_EXPECT_EQ(test, kbr_test_read(lt->part, 100, value, sizeof(value)), 100);
	kbr_lnk_end(lt);
}

/* ---- frames ---- */

/* Cut off anywhere it is no answer, and has no effect. */
static void kbr_lnk_test_cut(struct kunit *test)
{
	struct kbr_lnk_test *lt = kbr_lnk_begin(test);
	struct kbr_lnk_answer answer = kbr_lnk_plain;
	struct kbr_wire_writer w;
	size_t len;

	kbr_lnk_batch(lt, 0, 3, 5);
	answer.records = lt->buf;
	answer.len = lt->len;
	answer.hw = 3;
	answer.diverges = true;
	kbr_lnk_ask(lt);
	kbr_lnk_write(lt, &answer, &w);
	for (len = 4; len < w.len; len++) {
		KUNIT_EXPECT_EQ_MSG(test, kbr_lnk_give(lt, w.buf, len), -EPROTO, "%zu bytes", len);
		KUNIT_EXPECT_EQ(test, lt->link->in_flight, 1U);
		KUNIT_EXPECT_EQ(test, lt->link->session, 0);
		KUNIT_EXPECT_EQ(test, kbr_partition_hw(lt->part), 0);
	}
	kbr_wire_writer_free(&w);
	KUNIT_EXPECT_EQ(test, kbr_log_end(&lt->part->log), 0);
	answer.diverges = false;
	KUNIT_EXPECT_EQ(test, kbr_lnk_take(lt, &answer), 0);
	KUNIT_EXPECT_EQ(test, kbr_log_end(&lt->part->log), 3);
	kbr_lnk_end(lt);
}

/* Answers to nobody's question, and sessions that nobody has */
static void kbr_lnk_test_sessions(struct kunit *test)
{
	struct kbr_lnk_test *lt = kbr_lnk_begin(test);
	struct kbr_lnk_answer answer = kbr_lnk_plain;

	kbr_lnk_batch(lt, 0, 1, 5);
	answer.records = lt->buf;
	answer.len = lt->len;
	KUNIT_EXPECT_EQ(test, kbr_lnk_take(lt, &answer), -EPROTO);
	kbr_lnk_ask(lt);
	answer.skew = -1;
	KUNIT_EXPECT_EQ(test, kbr_lnk_take(lt, &answer), -EPROTO);
	answer.skew = 1;
	KUNIT_EXPECT_EQ(test, kbr_lnk_take(lt, &answer), -EPROTO);
	KUNIT_EXPECT_EQ(test, kbr_log_end(&lt->part->log), 0);
	/* none is made: the next Fetch is a full one, too */
	answer.skew = 0;
	answer.session = -3;
	KUNIT_EXPECT_EQ(test, kbr_lnk_take(lt, &answer), 0);
	KUNIT_EXPECT_EQ(test, kbr_log_end(&lt->part->log), 1);
	KUNIT_EXPECT_EQ(test, lt->link->session, 0);
	KUNIT_EXPECT_EQ(test, lt->link->session_epoch, 0);
	/* the answer comes again */
	KUNIT_EXPECT_EQ(test, kbr_lnk_take(lt, &answer), -EPROTO);
	/* another session than that which was asked: what is true in it counts, and a new one begins */
	answer.session = KBR_LNK_SESSION;
	kbr_lnk_ask(lt);
	KUNIT_EXPECT_EQ(test, kbr_lnk_take(lt, &answer), 0);
	KUNIT_EXPECT_EQ(test, lt->link->session_epoch, 1);
	answer.session++;
	kbr_lnk_ask(lt);
	KUNIT_EXPECT_EQ(test, kbr_lnk_take(lt, &answer), 0);
	KUNIT_EXPECT_EQ(test, lt->link->session, 0);
	KUNIT_EXPECT_EQ(test, lt->link->session_epoch, 0);
	/* the leader knows it no more */
	answer.session = KBR_LNK_SESSION;
	kbr_lnk_ask(lt);
	KUNIT_EXPECT_EQ(test, kbr_lnk_take(lt, &answer), 0);
	KUNIT_EXPECT_EQ(test, lt->link->session_epoch, 1);
	answer.code = 70;
	kbr_lnk_ask(lt);
	KUNIT_EXPECT_EQ(test, kbr_lnk_take(lt, &answer), 0);
	KUNIT_EXPECT_EQ(test, lt->link->session_epoch, 0);
	/* any other error of the whole ends the connection */
	answer.code = 31;
	kbr_lnk_ask(lt);
	KUNIT_EXPECT_EQ(test, kbr_lnk_take(lt, &answer), -EPERM);
	answer.code = 12345;
	kbr_lnk_ask(lt);
	KUNIT_EXPECT_LT(test, kbr_lnk_take(lt, &answer), 0);
	kbr_lnk_end(lt);
}

/* Partitions that were not asked for are none of its business. */
static void kbr_lnk_test_others(struct kunit *test)
{
	static const struct {
		const char *topic;
		s32 index;
	} cases[] = {
		{ "t", 1 }, { "t", 2 }, { "t", -1 }, { "t", S32_MAX }, { "u", 0 }, { "", 0 },
		{ "__cluster_metadata", 0 }, { "../t", 0 },
	};
	struct kbr_lnk_test *lt = kbr_lnk_begin(test);
	struct kbr_lnk_answer answer = kbr_lnk_plain;
	char longer[KBR_TOPIC_NAME_MAX + 2];
	unsigned int i;

	kbr_lnk_batch(lt, 0, 1, 5);
	memset(longer, 't', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	answer.hw = 1;
	answer.records = lt->buf;
	answer.len = lt->len;
	for (i = 0; i <= ARRAY_SIZE(cases); i++) {
		answer.topic = longer;
		answer.index = 0;
		if (i < ARRAY_SIZE(cases)) {
			answer.topic = cases[i].topic;
			answer.index = cases[i].index;
		}
		kbr_lnk_ask(lt);
		KUNIT_EXPECT_EQ_MSG(test, kbr_lnk_take(lt, &answer), 0, "case %u", i);
		KUNIT_EXPECT_EQ(test, kbr_log_end(&lt->part->log), 0);
		KUNIT_EXPECT_EQ(test, kbr_log_end(&lt->other->log), 0);
		KUNIT_EXPECT_EQ(test, kbr_partition_hw(lt->other), 0);
		KUNIT_EXPECT_FALSE(test, lt->lp->waits);
	}
	KUNIT_EXPECT_EQ(test, kbr_lnk_round(lt, 0, 1), 0);
	KUNIT_EXPECT_EQ(test, kbr_log_end(&lt->part->log), 1);
	/* nor is one that the leader does not know of yet */
	lt->lp->in_session = false;
	lt->len = 0;
	kbr_lnk_batch(lt, 1, 1, 5);
	lt->link->in_flight = 1;
	answer.topic = "t";
	answer.index = 0;
	answer.len = lt->len;
	KUNIT_EXPECT_EQ(test, kbr_lnk_take(lt, &answer), 0);
	KUNIT_EXPECT_EQ(test, kbr_log_end(&lt->part->log), 1);
	kbr_lnk_end(lt);
}

/* ---- records ---- */

/* What a bad leader may do to its second batch, at offset 3 */
static void kbr_lnk_spoil(struct kbr_lnk_test *lt, unsigned int how, size_t at)
{
	struct kbr_batch batch;
	u8 *buf = lt->buf + at;

	KUNIT_ASSERT_EQ(lt->test, kbr_batch_decode(&batch, buf, lt->len - at), 0);
	switch (how) {
	case 0:		/* a bit of the records */
		buf[batch.size - 1] ^= 1;
		break;
	case 1:		/* a bit of the header */
		buf[KBR_BATCH_CRC_START + 3] ^= 1;
		break;
	case 2:		/* the checksum */
		buf[KBR_BATCH_CRC_START - 1] ^= 0x80;
		break;
	case 3:		/* an epoch that this leader can't have had */
		kbr_batch_stamp(buf, 3, 6);
		break;
	case 4:		/* none */
		kbr_batch_stamp(buf, 3, -1);
		break;
	case 5:		/* it begins in what is there already, and goes on behind it */
		kbr_batch_stamp(buf, 2, 5);
		break;
	case 6:
		kbr_batch_stamp(buf, -1, 5);
		break;
	case 7:		/* its end is no offset any more */
		kbr_batch_stamp(buf, S64_MAX, 5);
		break;
	case 8:		/* another format */
		buf[16] = 1;
		break;
	case 9:		/* smaller than its header */
		buf[8] = 0;
		buf[9] = 0;
		buf[10] = 0;
		buf[11] = 4;
		break;
	case 10:
		buf[8] = 0x80;
		break;
	case 11:	/* records that are not there, with a checksum that says so */
		buf[57] = 0x7f;
		kbr_batch_seal(buf, batch.size);
		break;
	}
}

#define KBR_LNK_SPOILT	12

/* Nothing of a batch that is not valid is written; the partition rests, and goes on. */
static void kbr_lnk_test_spoilt(struct kunit *test)
{
	unsigned int how;
	char what[32];
	size_t at;

	for (how = 0; how < KBR_LNK_SPOILT; how++) {
		struct kbr_lnk_test *lt = kbr_lnk_begin(test);

		snprintf(what, sizeof(what), "spoilt %u", how);
		kbr_lnk_batch(lt, 0, 3, 5);
		KUNIT_EXPECT_EQ(test, kbr_lnk_round(lt, 0, 0), 0);
		KUNIT_EXPECT_EQ(test, kbr_log_end(&lt->part->log), 3);
		at = kbr_lnk_batch(lt, 3, 2, 5);
		kbr_lnk_spoil(lt, how, at);
		KUNIT_EXPECT_EQ(test, kbr_lnk_round(lt, at, 5), 0);
		kbr_lnk_expect_refused(lt, what, 3);
		KUNIT_EXPECT_EQ(test, kbr_partition_hw(lt->part), 0);
		/* the leader thinks better of it */
		lt->len = at;
		kbr_lnk_batch(lt, 3, 2, 5);
		KUNIT_EXPECT_EQ(test, kbr_lnk_round(lt, at, 5), 0);
		KUNIT_EXPECT_EQ_MSG(test, kbr_log_end(&lt->part->log), 5, "%s", what);
		KUNIT_EXPECT_EQ_MSG(test, kbr_partition_hw(lt->part), 5, "%s", what);
		KUNIT_EXPECT_EQ_MSG(test, lt->link->session_epoch, 1, "%s", what);
		kbr_lnk_end(lt);
	}
}

/* Records below and above what was asked for, and batches whose end is missing */
static void kbr_lnk_test_misplaced(struct kunit *test)
{
	struct kbr_lnk_test *lt = kbr_lnk_begin(test);
	size_t first, second;

	kbr_lnk_batch(lt, 0, 3, 5);
	KUNIT_EXPECT_EQ(test, kbr_lnk_round(lt, 0, 0), 0);
	/* all of it below: nothing happens */
	KUNIT_EXPECT_EQ(test, kbr_lnk_round(lt, 0, 0), 0);
	KUNIT_EXPECT_EQ(test, kbr_log_end(&lt->part->log), 3);
	KUNIT_EXPECT_FALSE(test, lt->lp->waits);
	/* the second goes back behind the first: neither is taken */
	first = kbr_lnk_batch(lt, 3, 2, 5);
	second = kbr_lnk_batch(lt, 4, 2, 5);
	KUNIT_EXPECT_EQ(test, kbr_lnk_round(lt, first, 0), 0);
	kbr_lnk_expect_refused(lt, "overlap", 3);
	/* the end of the second is missing: the first is taken */
	kbr_batch_stamp(lt->buf + second, 5, 5);
	lt->len--;
	KUNIT_EXPECT_EQ(test, kbr_lnk_round(lt, first, 0), 0);
	KUNIT_EXPECT_EQ(test, kbr_log_end(&lt->part->log), 5);
	/* so is that of the only one: not again at once */
	KUNIT_EXPECT_EQ(test, kbr_lnk_round(lt, second, 0), 0);
	kbr_lnk_expect_refused(lt, "no end", 5);
	/* above: offsets that the leader has no records of any more, as after a compaction */
	lt->len = second;
	kbr_lnk_batch(lt, 9, 1, 5);
	KUNIT_EXPECT_EQ(test, kbr_lnk_round(lt, second, 0), 0);
	KUNIT_EXPECT_EQ(test, kbr_log_end(&lt->part->log), 10);
	kbr_lnk_end(lt);
}

/* ---- what it says of itself ---- */

static void kbr_lnk_test_watermarks(struct kunit *test)
{
	struct kbr_lnk_test *lt = kbr_lnk_begin(test);
	struct kbr_lnk_answer answer = kbr_lnk_plain;

	kbr_lnk_batch(lt, 0, 5, 5);
	KUNIT_EXPECT_EQ(test, kbr_lnk_round(lt, 0, S64_MAX), 0);
	KUNIT_EXPECT_EQ(test, kbr_partition_hw(lt->part), 5);
	/* back, and negative: as it was */
	answer.hw = 2;
	kbr_lnk_ask(lt);
	KUNIT_EXPECT_EQ(test, kbr_lnk_take(lt, &answer), 0);
	KUNIT_EXPECT_EQ(test, kbr_partition_hw(lt->part), 5);
	answer.hw = S64_MIN;
	answer.start = S64_MIN;
	kbr_lnk_ask(lt);
	KUNIT_EXPECT_EQ(test, kbr_lnk_take(lt, &answer), 0);
	KUNIT_EXPECT_EQ(test, kbr_partition_hw(lt->part), 5);
	KUNIT_EXPECT_EQ(test, kbr_log_start(&lt->part->log), 0);
	/* it has dropped what we have: no more than is committed goes */
	answer.start = S64_MAX;
	kbr_lnk_ask(lt);
	KUNIT_EXPECT_EQ(test, kbr_lnk_take(lt, &answer), 0);
	KUNIT_EXPECT_EQ(test, kbr_log_start(&lt->part->log), 5);
	KUNIT_EXPECT_EQ(test, kbr_log_end(&lt->part->log), 5);
	/* out of range, it says, but what it has is what we have: that is no reason to drop it */
	answer.error = 1;
	answer.start = 3;
	kbr_lnk_ask(lt);
	KUNIT_EXPECT_EQ(test, kbr_lnk_take(lt, &answer), 0);
	kbr_lnk_expect_refused(lt, "out of range", 5);
	kbr_lnk_end(lt);
}

/* Where the logs differ: true ones cut once, lies at most what is there, and none of them for ever. */
static void kbr_lnk_test_diverging(struct kunit *test)
{
	struct kbr_lnk_test *lt = kbr_lnk_begin(test);
	struct kbr_lnk_answer answer = kbr_lnk_plain;

	kbr_lnk_batch(lt, 0, 2, 3);
	kbr_lnk_batch(lt, 2, 2, 4);
	kbr_lnk_batch(lt, 4, 2, 5);
	KUNIT_EXPECT_EQ(test, kbr_lnk_round(lt, 0, 2), 0);
	KUNIT_EXPECT_EQ(test, kbr_log_end(&lt->part->log), 6);
	answer.diverges = true;
	/* there is nothing to cut: not again at once */
	answer.diverging = (struct kbr_replica_diverging) { .epoch = 9, .end = 99 };
	kbr_lnk_ask(lt);
	KUNIT_EXPECT_EQ(test, kbr_lnk_take(lt, &answer), 0);
	kbr_lnk_expect_refused(lt, "nothing to cut", 6);
	/* two are under way: the first one counts */
	answer.diverging = (struct kbr_replica_diverging) { .epoch = 4, .end = 4 };
	kbr_lnk_ask(lt);
	KUNIT_EXPECT_EQ(test, kbr_lnk_take(lt, &answer), 0);
	lt->link->in_flight = 1;
	KUNIT_EXPECT_EQ(test, kbr_lnk_take(lt, &answer), 0);
	KUNIT_EXPECT_EQ(test, kbr_log_end(&lt->part->log), 4);
	KUNIT_EXPECT_FALSE(test, lt->lp->waits);
	/* nor are records that were fetched from before the cut taken after it */
	answer.diverges = false;
	answer.records = lt->buf;
	answer.len = lt->len;
	lt->link->in_flight = 1;
	KUNIT_EXPECT_EQ(test, kbr_lnk_take(lt, &answer), 0);
	KUNIT_EXPECT_EQ(test, kbr_log_end(&lt->part->log), 4);
	/* an epoch that nobody has, and an end that is none: all goes, and no more than that */
	answer.diverges = true;
	answer.diverging = (struct kbr_replica_diverging) { .epoch = S32_MIN, .end = S64_MIN };
	kbr_lnk_ask(lt);
	KUNIT_EXPECT_EQ(test, kbr_lnk_take(lt, &answer), 0);
	KUNIT_EXPECT_EQ(test, kbr_log_end(&lt->part->log), 0);
	kbr_lnk_ask(lt);
	KUNIT_EXPECT_EQ(test, kbr_lnk_take(lt, &answer), 0);
	kbr_lnk_expect_refused(lt, "nothing is left", 0);
	KUNIT_EXPECT_EQ(test, kbr_lnk_round(lt, 0, 6), 0);
	KUNIT_EXPECT_EQ(test, kbr_log_end(&lt->part->log), 6);
	KUNIT_EXPECT_EQ(test, kbr_partition_hw(lt->part), 6);
	kbr_lnk_end(lt);
}

/* An answer in an epoch that has passed, and errors of all kinds */
static void kbr_lnk_test_stale(struct kunit *test)
{
	static const s16 errors[] = { -1, 1, 2, 3, 6, 56, 74, 75, S16_MAX, S16_MIN };
	struct kbr_lnk_test *lt = kbr_lnk_begin(test);
	struct kbr_lnk_answer answer = kbr_lnk_plain;
	unsigned int i;

	kbr_lnk_batch(lt, 0, 2, 5);
	answer.records = lt->buf;
	answer.len = lt->len;
	answer.hw = 2;
	for (i = 0; i < ARRAY_SIZE(errors); i++) {
		answer.error = errors[i];
		kbr_lnk_ask(lt);
		KUNIT_EXPECT_EQ_MSG(test, kbr_lnk_take(lt, &answer), 0, "error %d", errors[i]);
		kbr_lnk_expect_refused(lt, "error", 0);
	}
	answer.error = 0;
	kbr_lnk_ask(lt);
	kbr_lnk_elect(lt, 2);
	KUNIT_EXPECT_EQ(test, kbr_lnk_take(lt, &answer), 0);
	KUNIT_EXPECT_EQ(test, kbr_log_end(&lt->part->log), 0);
	KUNIT_EXPECT_FALSE(test, lt->lp->waits);
	/* another broker leads: this one has nothing to say any more */
	kbr_lnk_ask(lt);
	kbr_lnk_elect(lt, 1);
	KUNIT_EXPECT_EQ(test, kbr_lnk_take(lt, &answer), 0);
	KUNIT_EXPECT_EQ(test, kbr_log_end(&lt->part->log), 0);
	kbr_lnk_end(lt);
}

/* The partition is forgotten in the Fetch that goes out: read as the leader reads it. */
static bool kbr_lnk_forgets(struct kbr_lnk_test *lt)
{
	const struct kbr_api *api = kbr_api_find(KBR_API_FETCH);
	struct kbr_request_header header;
	struct kbr_wire_reader r;
	s32 forgotten;

	KUNIT_ASSERT_TRUE(lt->test, kbr_link_put_fetch(lt->link, true));
	kbr_wire_reader_init(&r, lt->link->out.buf, lt->link->out.len, false);
	kbr_get_s32(&r);
	KUNIT_ASSERT_EQ(lt->test, kbr_request_decode_header(&r, &header), 0);
	KUNIT_ASSERT_EQ(lt->test, kbr_message_check(&r, api->request, header.version), 0);
	kbr_get_s32(&r);
	kbr_get_s32(&r);
	kbr_get_s32(&r);
	kbr_get_s32(&r);
	kbr_get_s8(&r);
	KUNIT_EXPECT_EQ(lt->test, kbr_get_s32(&r), KBR_LNK_SESSION);
	kbr_get_s32(&r);
	KUNIT_EXPECT_EQ(lt->test, kbr_get_count(&r), 0);	/* topics */
	forgotten = kbr_get_count(&r);
	if (forgotten) {
		struct kbr_str name = kbr_get_string(&r);

		KUNIT_EXPECT_TRUE(lt->test, kbr_str_equal(&name, "t"));
		KUNIT_EXPECT_EQ(lt->test, kbr_get_count(&r), 1);
		KUNIT_EXPECT_EQ(lt->test, kbr_get_s32(&r), 0);
	}
	KUNIT_EXPECT_FALSE(lt->test, r.bad);
	lt->link->out.len = 0;
	return forgotten;
}

/* follower.replication.throttled.rate: one that catches up is left out for as long as it must be. */
static void kbr_lnk_test_throttled(struct kunit *test)
{
	struct kbr_lnk_test *lt = kbr_lnk_begin(test);
	struct kbr_lnk_answer answer = kbr_lnk_plain;
	static s64 now = 5000000;

	kbr_clock_set_fake(&now);
	WRITE_ONCE(lt->topic->broker->config.follower_throttle_rate, 50);
	kbr_lnk_batch(lt, 0, 3, 5);
	/* in sync: no matter how much */
	KUNIT_EXPECT_EQ(test, kbr_lnk_round(lt, 0, 3), 0);
	KUNIT_EXPECT_EQ(test, kbr_log_end(&lt->part->log), 3);
	kbr_lnk_ask(lt);
	KUNIT_EXPECT_TRUE(test, lt->lp->in_session);
	KUNIT_EXPECT_EQ(test, kbr_lnk_take(lt, &answer), 0);
	lt->state.isr = (struct kbr_id_set) { 1, { 2 } };
	kbr_lnk_elect(lt, 2);
	lt->len = 0;
	kbr_lnk_batch(lt, 3, 3, 5);
	KUNIT_EXPECT_EQ(test, kbr_lnk_round(lt, 0, 6), 0);
	KUNIT_EXPECT_EQ(test, kbr_log_end(&lt->part->log), 6);
	KUNIT_EXPECT_TRUE(test, kbr_lnk_forgets(lt));
	KUNIT_EXPECT_TRUE(test, lt->lp->waits);
	KUNIT_EXPECT_FALSE(test, lt->lp->in_session);
	/* what comes all the same is not its */
	answer.records = lt->buf;
	answer.len = lt->len;
	KUNIT_EXPECT_EQ(test, kbr_lnk_take(lt, &answer), 0);
	/* said once */
	KUNIT_EXPECT_FALSE(test, kbr_lnk_forgets(lt));
	answer.len = 0;
	answer.records = NULL;
	KUNIT_EXPECT_EQ(test, kbr_lnk_take(lt, &answer), 0);
	/* after its time it is asked for again */
	now += div_s64(lt->len * MSEC_PER_SEC, 50);
	kbr_lnk_ask(lt);
	KUNIT_EXPECT_TRUE(test, lt->lp->in_session);
	KUNIT_EXPECT_FALSE(test, lt->lp->waits);
	KUNIT_EXPECT_EQ(test, lt->lp->offset, 6);
	kbr_clock_set_fake(NULL);
	kbr_lnk_end(lt);
}

/* What the log has from @offset on: whole batches, one after the other, with the right checksums. */
static void kbr_lnk_check_records(struct kbr_lnk_test *lt, s64 offset)
{
	s64 end = kbr_log_end(&lt->part->log);
	struct kbr_partition_bounds bounds;
	struct kbr_log_pos pos = {};
	struct kbr_log_slice slice;
	struct kbr_batch batch;
	size_t at;

	for (pos.offset = max(offset, kbr_log_start(&lt->part->log)); pos.offset < end;
	     pos = slice.next_pos) {
		KUNIT_ASSERT_EQ(lt->test, kbr_partition_map_replica(lt->part, &pos, KBR_LNK_BUF, &slice,
								    &bounds), 1);
		KUNIT_ASSERT_LE(lt->test, slice.len, (size_t)KBR_LNK_BUF);
		KUNIT_ASSERT_EQ(lt->test, kbr_file_read(slice.file, lt->buf, slice.len, slice.pos),
				slice.len);
		kbr_log_unmap(&slice);
		for (at = 0; at < slice.len; at += batch.size) {
			KUNIT_ASSERT_EQ(lt->test, kbr_batch_decode(&batch, lt->buf + at, slice.len - at),
					0);
			KUNIT_EXPECT_EQ(lt->test, kbr_batch_check_crc(lt->buf + at, batch.size), 0);
			KUNIT_EXPECT_LE(lt->test, batch.leader_epoch, lt->state.leader_epoch);
		}
	}
}

/*
 * Any frame that is nearly right, from a seed: the log only ever gets batches
 * whose checksums are right, and ends where the last of them ends.
 */
static void kbr_lnk_test_mutations(struct kunit *test)
{
	struct kbr_lnk_test *lt = kbr_lnk_begin(test);
	struct kbr_lnk_answer answer = kbr_lnk_plain;
	unsigned int i, n, taken = 0;
	struct kbr_wire_writer w;
	struct rnd_state rnd;
	s64 end;

	prandom_seed_state(&rnd, 4);
	for (i = 0; i < 3000; i++) {
		end = kbr_log_end(&lt->part->log);
		lt->len = 0;
		kbr_lnk_batch(lt, end, 1, 5);
		kbr_lnk_batch(lt, end + 1, 2, 5);
		answer.records = lt->buf;
		answer.len = lt->len;
		answer.hw = end;
		answer.diverges = !(i % 8);
		answer.diverging.end = answer.hw;
		lt->link->in_flight = 0;
		lt->link->session_epoch = 0;
		lt->link->opening = false;
		kbr_lnk_ask(lt);
		kbr_lnk_write(lt, &answer, &w);
		for (n = prandom_u32_state(&rnd) % 3; n; n--)
			w.buf[4 + prandom_u32_state(&rnd) % (w.len - 4)] =
				(u8)(prandom_u32_state(&rnd) % 4 ? prandom_u32_state(&rnd) : 0xff);
		KUNIT_EXPECT_LE(test, kbr_lnk_give(lt, w.buf, w.len), 0);
		kbr_wire_writer_free(&w);
		taken += kbr_log_end(&lt->part->log) > end;
		kbr_lnk_check_records(lt, end);
		KUNIT_EXPECT_LE(test, kbr_log_start(&lt->part->log), kbr_partition_hw(lt->part));
		KUNIT_EXPECT_LE(test, kbr_partition_hw(lt->part), kbr_log_end(&lt->part->log));
		if (kbr_log_end(&lt->part->log) < S64_MAX / 2)
			continue;
		/* far up there is no room for more: begin again */
		KUNIT_ASSERT_EQ(test, kbr_replica_restart(lt->part, lt->state.leader_epoch, 0), 0);
	}
	KUNIT_EXPECT_GT(test, taken, 100U);
	kbr_lnk_end(lt);
}

static struct kunit_case kbr_lnk_cases[] = {
	KUNIT_CASE(kbr_lnk_test_good),
	KUNIT_CASE(kbr_lnk_test_begins_inside),
	KUNIT_CASE(kbr_lnk_test_cut),
	KUNIT_CASE(kbr_lnk_test_sessions),
	KUNIT_CASE(kbr_lnk_test_others),
	KUNIT_CASE(kbr_lnk_test_spoilt),
	KUNIT_CASE(kbr_lnk_test_misplaced),
	KUNIT_CASE(kbr_lnk_test_watermarks),
	KUNIT_CASE(kbr_lnk_test_diverging),
	KUNIT_CASE(kbr_lnk_test_stale),
	KUNIT_CASE(kbr_lnk_test_throttled),
	KUNIT_CASE(kbr_lnk_test_mutations),
	{}
};

/* Whatever a test has left behind, the clock is the real one again. */
static void kbr_lnk_exit(struct kunit *test)
{
	kbr_clock_set_fake(NULL);
	kbr_test_cleanup(test);
}

static struct kunit_suite kbr_lnk_suite = {
	.name = "kbroker_fetcher",
	.exit = kbr_lnk_exit,
	.test_cases = kbr_lnk_cases,
};
kunit_test_suite(kbr_lnk_suite);
