// SPDX-License-Identifier: GPL-2.0-only
/*
 * Fetch: what is in an answer and when it comes; limits, errors, sessions.
 * ListOffsets, OffsetForLeaderEpoch and InitProducerId beside it.
 */
#include <kunit/test.h>
#include <linux/delay.h>
#include <linux/slab.h>

#include "server/fetch_session.h"
#include "server_test.h"

/**
 * struct kbr_fetch_test - the fixture
 * @ts: broker and connection
 * @topic: "t", three partitions, flush.policy=async: what is produced can be read at once
 * @part: its partitions
 */
struct kbr_fetch_test {
	struct kbr_test_server *ts;
	struct kbr_topic *topic;
	struct kbr_partition *part[3];
};

/**
 * struct kbr_fetch_want - what is asked for
 * @version: of Fetch
 * @wait_ms: max_wait_ms
 * @min: min_bytes
 * @max: max_bytes
 * @committed: isolation level
 * @session: its id
 * @epoch: of the session; -1 none is wanted
 */
struct kbr_fetch_want {
	s16 version;
	s32 wait_ms;
	s32 min;
	s32 max;
	bool committed;
	s32 session;
	s32 epoch;
};

static const struct kbr_fetch_want kbr_fetch_plain = {
	.version = 11, .wait_ms = KBR_TEST_LONG_MS, .min = 1, .max = 1 << 20, .epoch = -1,
};

/* One partition of an answer */
struct kbr_fetch_got {
	s32 index;
	s16 error;
	s64 hw;
	s64 stable;
	s64 start;
	s32 aborted;
	s32 len;
	s32 diverging_epoch;
	s64 diverging_end;
};

static void kbr_fetch_test_begin(struct kunit *test, struct kbr_fetch_test *ft)
{
	unsigned int i;

	ft->ts = kbr_test_server_begin(test);
	KUNIT_ASSERT_EQ(test, kbr_test_create(ft->ts->tb, "t", 3, "flush.policy", "async"), 0);
	ft->topic = kbr_test_topic(ft->ts->tb, "t");
	KUNIT_ASSERT_NOT_NULL(test, ft->topic);
	for (i = 0; i < 3; i++)
		ft->part[i] = kbr_topic_partition(ft->topic, i);
}

static void kbr_fetch_test_end(struct kbr_fetch_test *ft)
{
	kbr_fetch_sessions_forget(ft->ts->server.broker);
	kbr_topic_put(ft->topic);
	kbr_test_server_end(ft->ts);
}

static void kbr_fetch_test_fill(struct kbr_fetch_test *ft, unsigned int index, unsigned int count)
{
	while (count--)
		KUNIT_ASSERT_GE(ft->ts->test,
				kbr_test_produce(ft->part[index], "value", KBR_ACKS_LEADER), 0);
}

static struct kbr_test_request *kbr_fetch_test_head(struct kbr_fetch_test *ft,
						    const struct kbr_fetch_want *want, s32 topics)
{
	struct kbr_test_request *tr = kbr_test_request(ft->ts, KBR_API_FETCH, want->version);
	struct kbr_wire_writer *w = &tr->body;

	kbr_put_s32(w, -1);
	kbr_put_s32(w, want->wait_ms);
	kbr_put_s32(w, want->min);
	kbr_put_s32(w, want->max);
	kbr_put_s8(w, want->committed);
	if (want->version >= 7) {
		kbr_put_s32(w, want->session);
		kbr_put_s32(w, want->epoch);
	}
	kbr_put_count(w, topics);
	return tr;
}

/* @last: epoch of the batch that was fetched last */
static void kbr_fetch_test_part_after(struct kbr_test_request *tr, s32 index, s64 offset, s32 max,
				      s32 epoch, s32 last)
{
	struct kbr_wire_writer *w = &tr->body;
	s16 version = tr->req.header.version;

	kbr_put_s32(w, index);
	if (version >= 9)
		kbr_put_s32(w, epoch);
	kbr_put_s64(w, offset);
	if (version >= 12)
		kbr_put_s32(w, last);
	if (version >= 5)
		kbr_put_s64(w, -1);
	kbr_put_s32(w, max);
	kbr_put_tags(w);
}

static void kbr_fetch_test_part(struct kbr_test_request *tr, s32 index, s64 offset, s32 max,
				s32 epoch)
{
	kbr_fetch_test_part_after(tr, index, offset, max, epoch, -1);
}

/* The end of the body: what is forgotten (@forget: partition of "t", -1 nothing), and the rack */
static void kbr_fetch_test_tail(struct kbr_test_request *tr, s32 forget)
{
	struct kbr_wire_writer *w = &tr->body;

	if (tr->req.header.version >= 7) {
		kbr_put_count(w, forget >= 0);
		if (forget >= 0) {
			kbr_put_string(w, "t");
			kbr_put_count(w, 1);
			kbr_put_s32(w, forget);
		}
	}
	if (tr->req.header.version >= 11)
		kbr_put_string(w, "");
	kbr_put_tags(w);
}

/* One topic, "t", with @count partitions from the first on, at @offset */
static struct kbr_test_request *kbr_fetch_test_ask(struct kbr_fetch_test *ft,
						   const struct kbr_fetch_want *want,
						   unsigned int count, s64 offset, s32 max)
{
	struct kbr_test_request *tr = kbr_fetch_test_head(ft, want, count ? 1 : 0);
	unsigned int i;

	if (count) {
		kbr_put_string(&tr->body, "t");
		kbr_put_count(&tr->body, count);
	}
	for (i = 0; i < count; i++)
		kbr_fetch_test_part(tr, i, offset, max, -1);
	if (count)
		kbr_put_tags(&tr->body);
	kbr_fetch_test_tail(tr, -1);
	kbr_test_send(tr);
	return tr;
}

/* Finish it and read the head of the answer: its session in @session, its number of topics. */
static s32 kbr_fetch_test_topics(struct kbr_test_request *tr, s16 *error, s32 *session)
{
	struct kbr_wire_reader *r = &tr->reply;

	*error = 0;
	*session = 0;
	KUNIT_ASSERT_EQ(tr->ts->test, kbr_test_finish(tr), KBR_REQUEST_DONE);
	KUNIT_EXPECT_EQ(tr->ts->test, kbr_get_s32(r), 0);
	if (tr->req.header.version >= 7) {
		*error = kbr_get_s16(r);
		*session = kbr_get_s32(r);
	}
	return kbr_get_count(r);
}

/* The tags of a partition: where the reader diverges, if it does */
static void kbr_fetch_test_read_tags(struct kbr_wire_reader *r, struct kbr_fetch_got *got)
{
	struct kbr_wire_reader field;
	u32 count;

	got->diverging_epoch = -1;
	got->diverging_end = -1;
	for (count = kbr_get_tag_count(r); count; count--) {
		if (kbr_get_tag(r, &field) != KBR_TAG_FETCH_DIVERGING_EPOCH)
			continue;
		got->diverging_epoch = kbr_get_s32(&field);
		got->diverging_end = kbr_get_s64(&field);
		kbr_get_tags(&field);
	}
}

/* Records are not in the buffer: only their length is. */
static void kbr_fetch_test_read(struct kbr_test_request *tr, struct kbr_fetch_got *got)
{
	struct kbr_wire_reader *r = &tr->reply;
	s16 version = tr->req.header.version;

	got->index = kbr_get_s32(r);
	got->error = kbr_get_s16(r);
	got->hw = kbr_get_s64(r);
	got->stable = kbr_get_s64(r);
	got->start = version >= 5 ? kbr_get_s64(r) : 0;
	got->aborted = kbr_get_nullable_count(r);
	if (version >= 11)
		KUNIT_EXPECT_EQ(tr->ts->test, kbr_get_s32(r), -1);
	got->len = version >= 12 ? (s32)kbr_get_uvarint(r) - 1 : kbr_get_s32(r);
	kbr_fetch_test_read_tags(r, got);
	KUNIT_EXPECT_FALSE(tr->ts->test, r->bad);
}

/* Nothing but the tags of a topic and of the whole is left */
static void kbr_fetch_test_done(struct kbr_test_request *tr)
{
	kbr_get_tags(&tr->reply);
	kbr_get_tags(&tr->reply);
	KUNIT_EXPECT_EQ(tr->ts->test, kbr_wire_reader_left(&tr->reply), 0UL);
	kbr_test_release(tr);
}

/* Every version: the batches, whole and in order, beside what is told of the partition. */
static void kbr_fetch_test_good(struct kunit *test)
{
	struct kbr_fetch_want want = kbr_fetch_plain;
	struct kbr_test_request *tr;
	struct kbr_fetch_test ft;
	struct kbr_fetch_got got;
	struct kbr_batch batch;
	s32 session;
	s16 error;
	void *buf;

	kbr_fetch_test_begin(test, &ft);
	kbr_fetch_test_fill(&ft, 0, 5);
	for (want.version = 4; want.version <= 12; want.version++) {
		want.committed = want.version & 1;
		tr = kbr_fetch_test_ask(&ft, &want, 2, 0, 1 << 20);
		KUNIT_EXPECT_EQ(test, tr->req.state, KBR_REQUEST_DONE);
		KUNIT_EXPECT_EQ(test, kbr_fetch_test_topics(tr, &error, &session), 1);
		KUNIT_EXPECT_EQ(test, session, 0);
		KUNIT_EXPECT_EQ(test, kbr_test_read_topic(tr, "t"), 2);
		kbr_fetch_test_read(tr, &got);
		KUNIT_EXPECT_EQ(test, got.error, 0);
		KUNIT_EXPECT_EQ(test, got.hw, 5);
		KUNIT_EXPECT_EQ(test, got.stable, 5);
		KUNIT_EXPECT_EQ(test, got.start, 0);
		KUNIT_EXPECT_EQ(test, got.aborted, want.committed ? 0 : -1);
		KUNIT_EXPECT_EQ(test, got.len, (s32)kbr_log_size(&ft.part[0]->log));
		KUNIT_ASSERT_EQ(test, tr->req.slices_count, 1U);
		KUNIT_EXPECT_EQ(test, tr->req.slices_bytes, (size_t)got.len);
		buf = kbr_test_slice(tr, 0);
		KUNIT_EXPECT_EQ(test, kbr_batch_decode(&batch, buf, got.len), 0);
		KUNIT_EXPECT_EQ(test, kbr_batch_check_crc(buf, batch.size), 0);
		KUNIT_EXPECT_EQ(test, batch.base_offset, 0);
		kvfree(buf);
		kbr_fetch_test_read(tr, &got);
		KUNIT_EXPECT_EQ(test, got.index, 1);
		KUNIT_EXPECT_EQ(test, got.error, 0);
		KUNIT_EXPECT_EQ(test, got.len, 0);
		kbr_fetch_test_done(tr);
	}
	kbr_fetch_test_end(&ft);
}

/* Version 12: who read what another leader wrote is told at once how far this log goes with it. */
static void kbr_fetch_test_diverges(struct kunit *test)
{
	static const struct {
		s64 offset;
		s32 last;
		s16 error;
		s32 epoch;
		s64 end;
		bool records;
	} cases[] = {
		{ 2, -1, 0, -1, -1, true },
		{ 2, 0, 0, -1, -1, true },
		{ 3, 0, 0, -1, -1, true },
		{ 4, 0, 0, 0, 3, false },	/* epoch 0 ends at 3 here */
		{ 4, 2, 0, 0, 3, false },	/* of epochs up to 2 there is only 0 */
		{ 5, 4, 0, -1, -1, false },	/* the end */
		{ 4, 4, 0, -1, -1, true },
		{ 4, 9, 1, -1, -1, false },	/* nobody has had that */
	};
	struct kbr_fetch_want want = kbr_fetch_plain;
	struct kbr_test_request *tr;
	struct kbr_fetch_test ft;
	struct kbr_fetch_got got;
	unsigned int i;
	s32 session;
	s16 error;

	want.version = 12;
	kbr_fetch_test_begin(test, &ft);
	kbr_fetch_test_fill(&ft, 0, 3);
	KUNIT_ASSERT_EQ(test, kbr_log_set_epoch(&ft.part[0]->log, 4), 0);
	kbr_fetch_test_fill(&ft, 0, 2);
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		want.wait_ms = KBR_TEST_LONG_MS;
		if (cases[i].offset == 5)
			want.wait_ms = 1;
		tr = kbr_fetch_test_head(&ft, &want, 1);
		kbr_put_string(&tr->body, "t");
		kbr_put_count(&tr->body, 1);
		kbr_fetch_test_part_after(tr, 0, cases[i].offset, 1 << 20, -1, cases[i].last);
		kbr_put_tags(&tr->body);
		kbr_fetch_test_tail(tr, -1);
		kbr_test_send(tr);
		KUNIT_ASSERT_EQ(test, kbr_fetch_test_topics(tr, &error, &session), 1);
		KUNIT_ASSERT_EQ(test, kbr_test_read_topic(tr, "t"), 1);
		kbr_fetch_test_read(tr, &got);
		KUNIT_EXPECT_EQ_MSG(test, got.error, cases[i].error, "case %u", i);
		KUNIT_EXPECT_EQ_MSG(test, got.diverging_epoch, cases[i].epoch, "case %u", i);
		KUNIT_EXPECT_EQ_MSG(test, got.diverging_end, cases[i].end, "case %u", i);
		KUNIT_EXPECT_EQ_MSG(test, got.len > 0, cases[i].records, "case %u", i);
		kbr_fetch_test_done(tr);
	}
	kbr_fetch_test_end(&ft);
}

/* Nothing there: until something comes, to any of them, or the time is over. */
static void kbr_fetch_test_waits(struct kunit *test)
{
	struct kbr_fetch_want want = kbr_fetch_plain;
	struct kbr_test_request *tr;
	struct kbr_fetch_test ft;
	struct kbr_fetch_got got;
	s32 session;
	s16 error;

	kbr_fetch_test_begin(test, &ft);
	tr = kbr_fetch_test_ask(&ft, &want, 3, 0, 1 << 20);
	KUNIT_EXPECT_EQ(test, tr->req.state, KBR_REQUEST_PARKED);
	KUNIT_EXPECT_FALSE(test, tr->req.settled);
	kbr_fetch_test_fill(&ft, 1, 1);
	KUNIT_EXPECT_EQ(test, kbr_fetch_test_topics(tr, &error, &session), 1);
	KUNIT_EXPECT_EQ(test, kbr_test_read_topic(tr, "t"), 3);
	kbr_fetch_test_read(tr, &got);
	KUNIT_EXPECT_EQ(test, got.len, 0);
	kbr_fetch_test_read(tr, &got);
	KUNIT_EXPECT_GT(test, got.len, 0);
	kbr_test_release(tr);

	want.wait_ms = 20;
	tr = kbr_fetch_test_ask(&ft, &want, 1, 0, 1 << 20);
	KUNIT_EXPECT_EQ(test, tr->req.state, KBR_REQUEST_PARKED);
	KUNIT_EXPECT_EQ(test, kbr_fetch_test_topics(tr, &error, &session), 1);
	kbr_test_read_topic(tr, "t");
	kbr_fetch_test_read(tr, &got);
	KUNIT_EXPECT_EQ(test, got.error, 0);
	KUNIT_EXPECT_EQ(test, got.len, 0);
	kbr_fetch_test_done(tr);

	want.wait_ms = 0;
	tr = kbr_fetch_test_ask(&ft, &want, 1, 0, 1 << 20);
	KUNIT_EXPECT_EQ(test, tr->req.state, KBR_REQUEST_DONE);
	kbr_test_release(tr);
	want.wait_ms = KBR_TEST_LONG_MS;
	tr = kbr_fetch_test_ask(&ft, &want, 0, 0, 1 << 20);
	KUNIT_EXPECT_EQ(test, tr->req.state, KBR_REQUEST_DONE);
	kbr_test_release(tr);
	KUNIT_EXPECT_TRUE(test, list_empty(&ft.part[0]->wait.head));
	kbr_fetch_test_end(&ft);
}

/* min_bytes: the request sleeps through what is too little, and is not woken for each. */
static void kbr_fetch_test_min_bytes(struct kunit *test)
{
	struct kbr_fetch_want want = kbr_fetch_plain;
	struct kbr_test_request *tr;
	struct kbr_fetch_test ft;
	unsigned int i, one;
	s32 session;
	s16 error;

	kbr_fetch_test_begin(test, &ft);
	kbr_fetch_test_fill(&ft, 0, 1);
	kbr_fetch_test_fill(&ft, 1, 1);
	one = kbr_log_size(&ft.part[0]->log);
	want.min = 10 * one;
	tr = kbr_fetch_test_ask(&ft, &want, 2, 0, 1 << 20);
	KUNIT_EXPECT_EQ(test, tr->req.state, KBR_REQUEST_PARKED);
	KUNIT_EXPECT_EQ(test, tr->req.slices_count, 0U);
	for (i = 0; i < 7; i++) {
		kbr_fetch_test_fill(&ft, i & 1, 1);
		flush_work(&ft.ts->conn.work);
		KUNIT_EXPECT_FALSE(test, kbr_waiter_take_news(&tr->req.waiter));
	}
	kbr_fetch_test_fill(&ft, 0, 1);
	KUNIT_EXPECT_EQ(test, kbr_fetch_test_topics(tr, &error, &session), 1);
	KUNIT_EXPECT_EQ(test, tr->req.slices_bytes, (size_t)10 * one);
	kbr_test_release(tr);

	/* more than the limits let through is enough, too */
	want.min = 1 << 20;
	tr = kbr_fetch_test_ask(&ft, &want, 1, 0, 1 << 20);
	KUNIT_EXPECT_EQ(test, tr->req.state, KBR_REQUEST_PARKED);
	kbr_test_release(tr);
	want.max = 2 * one;
	tr = kbr_fetch_test_ask(&ft, &want, 2, 0, 1 << 20);
	KUNIT_EXPECT_EQ(test, tr->req.state, KBR_REQUEST_DONE);
	kbr_test_release(tr);
	kbr_fetch_test_end(&ft);
}

/* The first batch comes whole, whatever the limits; nothing else goes beyond them. */
static void kbr_fetch_test_limits(struct kunit *test)
{
	struct kbr_fetch_want want = kbr_fetch_plain;
	struct kbr_test_request *tr;
	struct kbr_fetch_test ft;
	struct kbr_fetch_got got;
	s32 session, one;
	s16 error;

	kbr_fetch_test_begin(test, &ft);
	kbr_fetch_test_fill(&ft, 0, 4);
	kbr_fetch_test_fill(&ft, 1, 4);
	one = kbr_log_size(&ft.part[0]->log) / 4;

	tr = kbr_fetch_test_ask(&ft, &want, 2, 0, 1);
	kbr_fetch_test_topics(tr, &error, &session);
	kbr_test_read_topic(tr, "t");
	kbr_fetch_test_read(tr, &got);
	KUNIT_EXPECT_EQ(test, got.len, one);
	kbr_fetch_test_read(tr, &got);
	KUNIT_EXPECT_EQ(test, got.len, 0);
	KUNIT_EXPECT_EQ(test, got.hw, 4);
	kbr_fetch_test_done(tr);

	tr = kbr_fetch_test_ask(&ft, &want, 2, 1, 2 * one + 5);
	kbr_fetch_test_topics(tr, &error, &session);
	kbr_test_read_topic(tr, "t");
	kbr_fetch_test_read(tr, &got);
	KUNIT_EXPECT_EQ(test, got.len, 2 * one);
	kbr_fetch_test_read(tr, &got);
	KUNIT_EXPECT_EQ(test, got.len, 2 * one);
	kbr_fetch_test_done(tr);

	want.max = 3 * one;
	tr = kbr_fetch_test_ask(&ft, &want, 2, 0, 2 * one);
	kbr_fetch_test_topics(tr, &error, &session);
	kbr_test_read_topic(tr, "t");
	kbr_fetch_test_read(tr, &got);
	KUNIT_EXPECT_EQ(test, got.len, 2 * one);
	kbr_fetch_test_read(tr, &got);
	KUNIT_EXPECT_EQ(test, got.len, one);
	kbr_fetch_test_done(tr);
	kbr_fetch_test_end(&ft);
}

struct kbr_fetch_error_case {
	const char *topic;
	s32 index;
	s64 offset;
	s32 epoch;
	s16 error;
};

static void kbr_fetch_test_error_cases(struct kbr_fetch_test *ft, const struct kbr_fetch_want *want,
				       const struct kbr_fetch_error_case *cases, unsigned int count)
{
	struct kunit *test = ft->ts->test;
	struct kbr_test_request *tr;
	struct kbr_fetch_got got;
	const char *last = "";
	unsigned int i;
	s32 session;
	s16 error;

	tr = kbr_fetch_test_head(ft, want, count);
	for (i = 0; i < count; i++) {
		kbr_put_string(&tr->body, cases[i].topic);
		kbr_put_count(&tr->body, 1);
		kbr_fetch_test_part(tr, cases[i].index, cases[i].offset, 1 << 20, cases[i].epoch);
	}
	kbr_fetch_test_tail(tr, -1);
	KUNIT_EXPECT_EQ(test, kbr_test_send(tr), KBR_REQUEST_DONE);
	/* partitions of one topic that follow each other are one entry of the answer */
	KUNIT_EXPECT_EQ(test, kbr_fetch_test_topics(tr, &error, &session), 3);
	for (i = 0; i < count; i++) {
		bool records = !cases[i].index && !cases[i].error;

		if (strcmp(last, cases[i].topic))
			kbr_test_read_topic(tr, cases[i].topic);
		last = cases[i].topic;
		kbr_fetch_test_read(tr, &got);
		KUNIT_EXPECT_EQ_MSG(test, got.error, cases[i].error, "case %u", i);
		KUNIT_EXPECT_EQ_MSG(test, got.hw < 0, !!cases[i].error, "case %u", i);
		KUNIT_EXPECT_EQ_MSG(test, got.len > 0, records, "case %u", i);
	}
	kbr_fetch_test_done(tr);
}

/* Errors come at once, beside good partitions. */
static void kbr_fetch_test_errors(struct kunit *test)
{
	static const struct kbr_fetch_error_case some[] = {
		{ "t", 0, 1, 0, 0 }, { "t", 3, 0, -1, 3 }, { "t", -1, 0, -1, 3 },
		{ "nowhere", 0, 0, -1, 3 }, { "t", 1, 0, 1, 75 }, { "t", 2, 0, 1, 74 },
	};
	static const struct kbr_fetch_error_case more[] = {
		{ "t", 0, 3, -1, 1 }, { "nowhere", 0, 0, -1, 3 }, { "t", 1, -1, -1, 1 },
		{ "t", 2, 0, 2, 0 },
	};
	struct kbr_fetch_want want = kbr_fetch_plain;
	struct kbr_test_request *tr;
	struct kbr_fetch_test ft;
	struct kbr_fetch_got got;
	s32 session;
	s16 error;

	kbr_fetch_test_begin(test, &ft);
	kbr_fetch_test_fill(&ft, 0, 2);
	KUNIT_ASSERT_EQ(test, kbr_log_set_epoch(&ft.part[2]->log, 2), 0);
	want.min = 1 << 20;
	kbr_fetch_test_error_cases(&ft, &want, some, ARRAY_SIZE(some));
	kbr_fetch_test_error_cases(&ft, &want, more, ARRAY_SIZE(more));

	/* a topic that goes while it is waited for */
	want.min = 1;
	tr = kbr_fetch_test_ask(&ft, &want, 1, 2, 1 << 20);
	KUNIT_EXPECT_EQ(test, tr->req.state, KBR_REQUEST_PARKED);
	KUNIT_EXPECT_EQ(test, kbr_test_delete(ft.ts->tb, "t"), 0);
	KUNIT_EXPECT_EQ(test, kbr_fetch_test_topics(tr, &error, &session), 1);
	kbr_test_read_topic(tr, "t");
	kbr_fetch_test_read(tr, &got);
	KUNIT_EXPECT_EQ(test, got.error, 3);
	kbr_fetch_test_done(tr);
	kbr_fetch_test_end(&ft);
}

/* A session: a full answer first, then only what is new; then its rules. */
static void kbr_fetch_test_session(struct kunit *test)
{
	struct kbr_fetch_want want = kbr_fetch_plain;
	struct kbr_test_request *tr, *other;
	struct kbr_fetch_test ft;
	struct kbr_fetch_got got;
	s32 session, id;
	s16 error;

	kbr_fetch_test_begin(test, &ft);
	want.epoch = 0;
	want.wait_ms = 0;
	tr = kbr_fetch_test_ask(&ft, &want, 3, 0, 1 << 20);
	KUNIT_EXPECT_EQ(test, kbr_fetch_test_topics(tr, &error, &id), 1);
	KUNIT_EXPECT_GT(test, id, 0);
	KUNIT_EXPECT_EQ(test, kbr_test_read_topic(tr, "t"), 3);
	kbr_test_release(tr);

	/* nothing named, nothing new: nothing in the answer */
	want.session = id;
	want.epoch = 1;
	tr = kbr_fetch_test_ask(&ft, &want, 0, 0, 0);
	KUNIT_EXPECT_EQ(test, kbr_fetch_test_topics(tr, &error, &session), 0);
	KUNIT_EXPECT_EQ(test, error, 0);
	KUNIT_EXPECT_EQ(test, session, id);
	kbr_fetch_test_done(tr);

	/* records of one */
	want.epoch = 2;
	want.wait_ms = KBR_TEST_LONG_MS;
	tr = kbr_fetch_test_ask(&ft, &want, 0, 0, 0);
	KUNIT_EXPECT_EQ(test, tr->req.state, KBR_REQUEST_PARKED);
	/* one request at a time */
	want.epoch = 3;
	other = kbr_fetch_test_ask(&ft, &want, 0, 0, 0);
	KUNIT_EXPECT_EQ(test, kbr_fetch_test_topics(other, &error, &session), 0);
	KUNIT_EXPECT_EQ(test, error, 71);
	kbr_fetch_test_done(other);
	kbr_fetch_test_fill(&ft, 1, 2);
	KUNIT_EXPECT_EQ(test, kbr_fetch_test_topics(tr, &error, &session), 1);
	KUNIT_EXPECT_EQ(test, kbr_test_read_topic(tr, "t"), 1);
	kbr_fetch_test_read(tr, &got);
	KUNIT_EXPECT_EQ(test, got.index, 1);
	KUNIT_EXPECT_GT(test, got.len, 0);
	kbr_fetch_test_done(tr);

	/* a new position of it, another one forgotten; an epoch that is not next */
	want.wait_ms = 0;
	tr = kbr_fetch_test_head(&ft, &want, 1);
	kbr_put_string(&tr->body, "t");
	kbr_put_count(&tr->body, 1);
	kbr_fetch_test_part(tr, 1, 2, 1 << 20, -1);
	kbr_fetch_test_tail(tr, 0);
	kbr_test_send(tr);
	KUNIT_EXPECT_EQ(test, kbr_fetch_test_topics(tr, &error, &session), 0);
	KUNIT_EXPECT_EQ(test, error, 0);
	kbr_fetch_test_done(tr);
	kbr_fetch_test_fill(&ft, 0, 1);
	want.epoch = 4;
	tr = kbr_fetch_test_ask(&ft, &want, 0, 0, 0);
	KUNIT_EXPECT_EQ(test, kbr_fetch_test_topics(tr, &error, &session), 0);
	KUNIT_EXPECT_EQ(test, error, 0);
	kbr_fetch_test_done(tr);
	tr = kbr_fetch_test_ask(&ft, &want, 0, 0, 0);
	KUNIT_EXPECT_EQ(test, kbr_fetch_test_topics(tr, &error, &session), 0);
	KUNIT_EXPECT_EQ(test, error, 71);
	KUNIT_EXPECT_EQ(test, session, 0);
	kbr_fetch_test_done(tr);

	/* closed by a full request without one */
	want.epoch = -1;
	tr = kbr_fetch_test_ask(&ft, &want, 1, 0, 1 << 20);
	KUNIT_EXPECT_EQ(test, kbr_fetch_test_topics(tr, &error, &session), 1);
	KUNIT_EXPECT_EQ(test, session, 0);
	kbr_test_release(tr);
	want.epoch = 5;
	tr = kbr_fetch_test_ask(&ft, &want, 0, 0, 0);
	KUNIT_EXPECT_EQ(test, kbr_fetch_test_topics(tr, &error, &session), 0);
	KUNIT_EXPECT_EQ(test, error, 70);
	kbr_fetch_test_done(tr);
	kbr_fetch_test_end(&ft);
}

/* Who got records goes to the end of the queue. */
static void kbr_fetch_test_fair(struct kunit *test)
{
	struct kbr_fetch_want want = kbr_fetch_plain;
	struct kbr_test_request *tr;
	struct kbr_fetch_test ft;
	struct kbr_fetch_got got;
	bool seen[3] = {};
	unsigned int i;
	s32 session;
	s16 error;

	kbr_fetch_test_begin(test, &ft);
	for (i = 0; i < 3; i++)
		kbr_fetch_test_fill(&ft, i, 3);
	want.epoch = 0;
	/* room for a single batch */
	want.max = 1;
	tr = kbr_fetch_test_ask(&ft, &want, 3, 0, 1);
	kbr_fetch_test_topics(tr, &error, &want.session);
	kbr_test_release(tr);
	seen[0] = true;
	for (i = 1; i < 3; i++) {
		want.epoch = i;
		tr = kbr_fetch_test_ask(&ft, &want, 0, 0, 0);
		KUNIT_EXPECT_EQ(test, kbr_fetch_test_topics(tr, &error, &session), 1);
		kbr_test_read_topic(tr, "t");
		kbr_fetch_test_read(tr, &got);
		KUNIT_EXPECT_GT(test, got.len, 0);
		KUNIT_EXPECT_FALSE(test, seen[got.index]);
		seen[got.index] = true;
		kbr_fetch_test_done(tr);
	}
	kbr_fetch_test_end(&ft);
}

/* A partition that is named twice is fetched once, from where it was named last. */
static void kbr_fetch_test_twice(struct kunit *test)
{
	struct kbr_fetch_want want = kbr_fetch_plain;
	char name[KBR_TOPIC_NAME_MAX + 2];
	struct kbr_test_request *tr;
	struct kbr_fetch_test ft;
	struct kbr_fetch_got got;
	s32 session;
	s16 error;

	kbr_fetch_test_begin(test, &ft);
	kbr_fetch_test_fill(&ft, 0, 2);
	want.version = 4;
	want.wait_ms = 0;
	tr = kbr_fetch_test_head(&ft, &want, 1);
	kbr_put_string(&tr->body, "t");
	kbr_put_count(&tr->body, 3);
	kbr_fetch_test_part(tr, 0, 0, 1 << 20, -1);
	kbr_fetch_test_part(tr, 1, 0, 1 << 20, -1);
	kbr_fetch_test_part(tr, 0, 2, 1 << 20, -1);
	kbr_test_send(tr);
	KUNIT_EXPECT_NULL(test, tr->req.frame);
	KUNIT_EXPECT_EQ(test, kbr_fetch_test_topics(tr, &error, &session), 1);
	KUNIT_EXPECT_EQ(test, kbr_test_read_topic(tr, "t"), 2);
	kbr_fetch_test_read(tr, &got);
	KUNIT_EXPECT_EQ(test, got.index, 0);
	KUNIT_EXPECT_EQ(test, got.len, 0);
	kbr_fetch_test_read(tr, &got);
	KUNIT_EXPECT_EQ(test, got.index, 1);
	kbr_fetch_test_done(tr);

	/* what is too long for a topic's name is not kept for each partition */
	memset(name, 'n', KBR_TOPIC_NAME_MAX + 1);
	name[KBR_TOPIC_NAME_MAX + 1] = '\0';
	tr = kbr_fetch_test_head(&ft, &want, 1);
	kbr_put_string(&tr->body, name);
	kbr_put_count(&tr->body, 1);
	kbr_fetch_test_part(tr, 0, 0, 1 << 20, -1);
	KUNIT_EXPECT_EQ(test, kbr_test_send(tr), KBR_REQUEST_CLOSE);
	kbr_test_release(tr);
	kbr_fetch_test_end(&ft);
}

static s32 kbr_fetch_test_new_session(struct kbr_fetch_test *ft, unsigned int count)
{
	struct kbr_fetch_want want = kbr_fetch_plain;
	struct kbr_test_request *tr;
	s32 session;
	s16 error;

	want.epoch = 0;
	want.wait_ms = 0;
	tr = kbr_fetch_test_ask(ft, &want, count, 0, 1 << 20);
	kbr_fetch_test_topics(tr, &error, &session);
	kbr_test_release(tr);
	return session;
}

/* The cache is bounded: who comes late goes without, or takes the place of an old one. */
static void kbr_fetch_test_cache(struct kunit *test)
{
	struct kbr_fetch_session *session;
	struct kbr_broker *broker;
	struct kbr_fetch_test ft;
	s32 first, second;

	kbr_fetch_test_begin(test, &ft);
	broker = ft.ts->server.broker;
	WRITE_ONCE(broker->config.fetch_sessions_max, 2);
	first = kbr_fetch_test_new_session(&ft, 2);
	second = kbr_fetch_test_new_session(&ft, 1);
	KUNIT_EXPECT_GT(test, first, 0);
	KUNIT_EXPECT_GT(test, second, 0);
	KUNIT_EXPECT_EQ(test, kbr_fetch_test_new_session(&ft, 3), 0);

	/* the second is old and small, though in use: a larger one takes its place */
	session = kbr_fetch_session_begin(broker, first, 1);
	KUNIT_ASSERT_FALSE(test, IS_ERR(session));
	kbr_fetch_session_end(session);
	session = kbr_fetch_session_begin(broker, second, 1);
	KUNIT_ASSERT_FALSE(test, IS_ERR(session));
	session->created -= msecs_to_jiffies(2 * KBR_SESSION_IDLE_MS);
	kbr_fetch_session_end(session);
	KUNIT_EXPECT_EQ(test, kbr_fetch_test_new_session(&ft, 1), 0);
	KUNIT_EXPECT_GT(test, kbr_fetch_test_new_session(&ft, 2), 0);
	KUNIT_EXPECT_EQ(test, PTR_ERR(kbr_fetch_session_begin(broker, second, 2)), -EBADF);

	/* the first was not used for long: any takes its place */
	session = kbr_fetch_session_begin(broker, first, 2);
	KUNIT_ASSERT_FALSE(test, IS_ERR(session));
	session->used -= msecs_to_jiffies(2 * KBR_SESSION_IDLE_MS);
	list_move(&session->node, session->node.next);
	kbr_fetch_session_end(session);
	KUNIT_EXPECT_GT(test, kbr_fetch_test_new_session(&ft, 1), 0);
	KUNIT_EXPECT_EQ(test, PTR_ERR(kbr_fetch_session_begin(broker, first, 3)), -EBADF);
	WRITE_ONCE(broker->config.fetch_sessions_max, 0);
	KUNIT_EXPECT_EQ(test, kbr_fetch_test_new_session(&ft, 3), 0);
	kbr_fetch_test_end(&ft);
}

/* ---- the small ones ---- */

static void kbr_fetch_test_list(struct kbr_fetch_test *ft, s16 version, s32 index, s64 timestamp,
				s32 epoch, s16 error, s64 found, s64 offset)
{
	struct kbr_test_request *tr = kbr_test_request(ft->ts, KBR_API_LIST_OFFSETS, version);
	struct kbr_wire_writer *w = &tr->body;
	struct kbr_wire_reader *r = &tr->reply;
	struct kunit *test = ft->ts->test;

	kbr_put_s32(w, -1);
	if (version >= 2)
		kbr_put_s8(w, 0);
	kbr_put_count(w, 1);
	kbr_put_string(w, "t");
	kbr_put_count(w, 1);
	kbr_put_s32(w, index);
	if (version >= 4)
		kbr_put_s32(w, epoch);
	kbr_put_s64(w, timestamp);
	kbr_put_tags(w);
	kbr_put_tags(w);
	kbr_put_tags(w);
	kbr_test_ask(tr);
	if (version >= 2)
		kbr_get_s32(r);
	KUNIT_EXPECT_EQ(test, kbr_get_count(r), 1);
	KUNIT_EXPECT_EQ(test, kbr_test_read_topic(tr, "t"), 1);
	KUNIT_EXPECT_EQ(test, kbr_get_s32(r), index);
	KUNIT_EXPECT_EQ_MSG(test, kbr_get_s16(r), error, "time %lld, version %d", timestamp, version);
	KUNIT_EXPECT_EQ_MSG(test, kbr_get_s64(r), found, "time %lld, version %d", timestamp, version);
	KUNIT_EXPECT_EQ_MSG(test, kbr_get_s64(r), offset, "time %lld, version %d", timestamp,
			    version);
	if (version >= 4)
		KUNIT_EXPECT_EQ(test, kbr_get_s32(r), offset < 0 ? -1 : 0);
	kbr_get_tags(r);
	kbr_get_tags(r);
	kbr_get_tags(r);
	kbr_fetch_test_done(tr);
}

static void kbr_fetch_test_list_offsets(struct kunit *test)
{
	const s64 stamp = 1700000000000;
	struct kbr_fetch_test ft;
	s16 version;

	kbr_fetch_test_begin(test, &ft);
	kbr_fetch_test_fill(&ft, 0, 7);
	KUNIT_EXPECT_EQ(test, kbr_partition_delete_records(ft.part[0], 2), 0);
	for (version = 1; version <= 7; version++) {
		kbr_fetch_test_list(&ft, version, 0, -1, -1, 0, -1, 7);
		kbr_fetch_test_list(&ft, version, 0, -2, -1, 0, -1, 2);
		kbr_fetch_test_list(&ft, version, 0, stamp, -1, 0, stamp, 2);
		kbr_fetch_test_list(&ft, version, 0, stamp + 1, -1, 0, -1, -1);
		kbr_fetch_test_list(&ft, version, 1, stamp, -1, 0, -1, -1);
		kbr_fetch_test_list(&ft, version, 5, -1, -1, 3, -1, -1);
		kbr_fetch_test_list(&ft, version, 0, -9, -1, 35, -1, -1);
	}
	kbr_fetch_test_list(&ft, 6, 0, -3, -1, 35, -1, -1);
	kbr_fetch_test_list(&ft, 7, 0, -3, -1, 0, stamp, 2);
	kbr_fetch_test_list(&ft, 7, 1, -3, -1, 0, -1, -1);
	kbr_fetch_test_list(&ft, 5, 0, -1, 4, 75, -1, -1);
	kbr_fetch_test_end(&ft);
}

static void kbr_fetch_test_leader_epoch(struct kunit *test)
{
	struct kbr_fetch_test ft;
	s16 version;

	kbr_fetch_test_begin(test, &ft);
	kbr_fetch_test_fill(&ft, 0, 3);
	KUNIT_ASSERT_EQ(test, kbr_log_set_epoch(&ft.part[0]->log, 4), 0);
	kbr_fetch_test_fill(&ft, 0, 1);
	for (version = 2; version <= 3; version++) {
		struct kbr_test_request *tr = kbr_test_request(ft.ts,
							       KBR_API_OFFSET_FOR_LEADER_EPOCH,
							       version);
		struct kbr_wire_writer *w = &tr->body;
		struct kbr_wire_reader *r = &tr->reply;

		if (version >= 3)
			kbr_put_s32(w, -1);
		kbr_put_count(w, 1);
		kbr_put_string(w, "t");
		kbr_put_count(w, 2);
		kbr_put_s32(w, 0);
		kbr_put_s32(w, 4);
		kbr_put_s32(w, 2);
		kbr_put_s32(w, 0);
		kbr_put_s32(w, 3);
		kbr_put_s32(w, 2);
		kbr_test_ask(tr);
		kbr_get_s32(r);
		KUNIT_EXPECT_EQ(test, kbr_get_count(r), 1);
		KUNIT_EXPECT_EQ(test, kbr_test_read_topic(tr, "t"), 2);
		KUNIT_EXPECT_EQ(test, kbr_get_s16(r), 0);
		KUNIT_EXPECT_EQ(test, kbr_get_s32(r), 0);
		KUNIT_EXPECT_EQ(test, kbr_get_s32(r), 0);
		KUNIT_EXPECT_EQ(test, kbr_get_s64(r), 3);
		KUNIT_EXPECT_EQ(test, kbr_get_s16(r), 74);
		KUNIT_EXPECT_EQ(test, kbr_get_s32(r), 0);
		KUNIT_EXPECT_EQ(test, kbr_get_s32(r), -1);
		KUNIT_EXPECT_EQ(test, kbr_get_s64(r), -1);
		kbr_fetch_test_done(tr);
	}
	kbr_fetch_test_end(&ft);
}

/* An id each; the first waits for the disk. Transactional ones are refused. */
static void kbr_fetch_test_init_producer_id(struct kunit *test)
{
	struct kbr_test_request *tr;
	struct kbr_fetch_test ft;
	struct kbr_wire_reader *r;
	unsigned int i;
	s16 version;

	kbr_fetch_test_begin(test, &ft);
	for (i = 0; i < 6; i++) {
		version = i % 5;
		tr = kbr_test_request(ft.ts, KBR_API_INIT_PRODUCER_ID, version);
		r = &tr->reply;
		kbr_put_string(&tr->body, i == 5 ? "mine" : NULL);
		kbr_put_s32(&tr->body, 60000);
		if (version >= 3) {
			kbr_put_s64(&tr->body, -1);
			kbr_put_s16(&tr->body, -1);
		}
		kbr_put_tags(&tr->body);
		if (!i)
			kbr_ram_set_sync_delay(ft.ts->tb->dir, 50000);
		kbr_test_send(tr);
		KUNIT_EXPECT_EQ(test, tr->req.state, i ? KBR_REQUEST_DONE : KBR_REQUEST_PARKED);
		KUNIT_ASSERT_EQ(test, kbr_test_finish(tr), KBR_REQUEST_DONE);
		kbr_get_s32(r);
		KUNIT_EXPECT_EQ(test, kbr_get_s16(r), i == 5 ? 53 : 0);
		KUNIT_EXPECT_EQ(test, kbr_get_s64(r), i == 5 ? -1LL : i);
		KUNIT_EXPECT_EQ(test, kbr_get_s16(r), i == 5 ? -1 : 0);
		kbr_get_tags(r);
		kbr_fetch_test_done(tr);
	}
	kbr_fetch_test_end(&ft);
}

static struct kunit_case kbr_fetch_test_cases[] = {
	KUNIT_CASE(kbr_fetch_test_good),
	KUNIT_CASE(kbr_fetch_test_diverges),
	KUNIT_CASE(kbr_fetch_test_waits),
	KUNIT_CASE(kbr_fetch_test_min_bytes),
	KUNIT_CASE(kbr_fetch_test_limits),
	KUNIT_CASE(kbr_fetch_test_errors),
	KUNIT_CASE(kbr_fetch_test_session),
	KUNIT_CASE(kbr_fetch_test_fair),
	KUNIT_CASE(kbr_fetch_test_twice),
	KUNIT_CASE(kbr_fetch_test_cache),
	KUNIT_CASE(kbr_fetch_test_list_offsets),
	KUNIT_CASE(kbr_fetch_test_leader_epoch),
	KUNIT_CASE(kbr_fetch_test_init_producer_id),
	{}
};

static struct kunit_suite kbr_fetch_test_suite = {
	.name = "kbroker_fetch",
	.exit = kbr_test_cleanup,
	.test_cases = kbr_fetch_test_cases,
};

kunit_test_suite(kbr_fetch_test_suite);
