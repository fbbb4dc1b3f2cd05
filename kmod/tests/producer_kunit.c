// SPDX-License-Identifier: GPL-2.0-only
/*
 * Idempotent producers: repeats within five batches are recognised, gaps and
 * old epochs refused, sequences wrap, snapshots keep what they must.
 */
#include <kunit/test.h>
#include <linux/mm.h>

#include "storage/producer.h"

static s64 producer_offset;

/* check as an append of its own, and note it if it may be appended */
static int producer_try(struct kbr_producer_table *table, s64 id, s16 epoch, s32 sequence,
			s32 records, struct kbr_producer_hit *hit)
{
	struct kbr_batch batch = {
		.base_offset = producer_offset,
		.last_offset_delta = records - 1,
		.max_timestamp = 5000 + producer_offset,
		.producer_id = id,
		.producer_epoch = epoch,
		.base_sequence = sequence,
		.records_count = records,
	};
	int err;

	kbr_producer_begin(table);
	err = kbr_producer_check(table, &batch, hit);
	if (err < 0)
		kbr_producer_abort(table);
	if (!err) {
		err = kbr_producer_update(table, &batch);
		producer_offset += records;
	}
	return err;
}

static int producer_init(struct kunit *test)
{
	producer_offset = 0;
	test->priv = kbr_producer_table_create();
	return test->priv ? 0 : -ENOMEM;
}

static void producer_exit(struct kunit *test)
{
	kbr_producer_table_destroy(test->priv);
}

static void producer_sequences(struct kunit *test)
{
	struct kbr_producer_table *t = test->priv;
	struct kbr_producer_hit hit;

	/* whatever comes first is accepted: the beginning may have been removed */
	KUNIT_EXPECT_EQ(test, producer_try(t, 7, 0, 100, 10, &hit), 0);
	KUNIT_EXPECT_EQ(test, producer_try(t, 7, 0, 110, 1, &hit), 0);
	KUNIT_EXPECT_EQ(test, producer_try(t, 7, 0, 112, 1, &hit), -EILSEQ);
	KUNIT_EXPECT_EQ(test, producer_try(t, 7, 0, 105, 1, &hit), -EILSEQ);
	KUNIT_EXPECT_EQ(test, producer_try(t, 7, 0, 111, 1, &hit), 0);
	/* another producer has nothing to do with it */
	KUNIT_EXPECT_EQ(test, producer_try(t, 8, 0, 0, 1, &hit), 0);
	KUNIT_EXPECT_EQ(test, kbr_producer_table_count(t), 2U);
}

static void producer_wraps(struct kunit *test)
{
	struct kbr_producer_table *t = test->priv;
	struct kbr_producer_hit hit;

	KUNIT_EXPECT_EQ(test, producer_try(t, 7, 0, S32_MAX - 1, 2, &hit), 0);
	KUNIT_EXPECT_EQ(test, producer_try(t, 7, 0, 0, 1, &hit), 0);
	KUNIT_EXPECT_EQ(test, producer_try(t, 7, 0, 1, 1, &hit), 0);
	/* and within a batch */
	KUNIT_EXPECT_EQ(test, producer_try(t, 9, 0, S32_MAX, 3, &hit), 0);
	KUNIT_EXPECT_EQ(test, producer_try(t, 9, 0, 2, 1, &hit), 0);
	KUNIT_EXPECT_EQ(test, producer_try(t, 9, 0, S32_MAX, 3, &hit), 1);
}

static void producer_epochs(struct kunit *test)
{
	struct kbr_producer_table *t = test->priv;
	struct kbr_producer_hit hit;

	KUNIT_EXPECT_EQ(test, producer_try(t, 7, 3, 0, 1, &hit), 0);
	KUNIT_EXPECT_EQ(test, producer_try(t, 7, 2, 1, 1, &hit), -EKEYEXPIRED);
	KUNIT_EXPECT_EQ(test, producer_try(t, 7, 4, 1, 1, &hit), -EILSEQ);
	KUNIT_EXPECT_EQ(test, producer_try(t, 7, 4, 0, 1, &hit), 0);
	/* of the old epoch, which is over: no repeat */
	KUNIT_EXPECT_EQ(test, producer_try(t, 7, 3, 0, 1, &hit), -EKEYEXPIRED);
}

static void producer_window(struct kunit *test)
{
	struct kbr_producer_table *t = test->priv;
	struct kbr_producer_hit hit;
	int i;

	for (i = 0; i < KBR_PRODUCER_BATCHES + 1; i++)
		KUNIT_EXPECT_EQ(test, producer_try(t, 7, 0, 10 * i, 10, &hit), 0);
	for (i = 1; i < KBR_PRODUCER_BATCHES + 1; i++) {
		KUNIT_EXPECT_EQ(test, producer_try(t, 7, 0, 10 * i, 10, &hit), 1);
		KUNIT_EXPECT_EQ(test, hit.base_offset, 10LL * i);
		KUNIT_EXPECT_EQ(test, hit.last_offset, 10LL * i + 9);
		KUNIT_EXPECT_EQ(test, hit.timestamp, 5000LL + 10 * i);
	}
	/* the sixth last is forgotten, and half a batch is no repeat */
	KUNIT_EXPECT_EQ(test, producer_try(t, 7, 0, 0, 10, &hit), -EILSEQ);
	KUNIT_EXPECT_EQ(test, producer_try(t, 7, 0, 50, 5, &hit), -EILSEQ);
}

/* Batches of one append count on one another; when it fails nothing has happened. */
static void producer_several_in_one(struct kunit *test)
{
	struct kbr_producer_table *t = test->priv;
	struct kbr_batch b = { .producer_id = 7, .last_offset_delta = 4, .max_timestamp = 1 };
	struct kbr_producer_hit hit;

	kbr_producer_begin(t);
	KUNIT_EXPECT_EQ(test, kbr_producer_check(t, &b, &hit), 0);
	b.base_sequence = 5;
	KUNIT_EXPECT_EQ(test, kbr_producer_check(t, &b, &hit), 0);
	b.base_sequence = 11;
	KUNIT_EXPECT_EQ(test, kbr_producer_check(t, &b, &hit), -EILSEQ);
	kbr_producer_abort(t);
	KUNIT_EXPECT_EQ(test, kbr_producer_table_count(t), 0U);

	KUNIT_EXPECT_EQ(test, producer_try(t, 7, 0, 0, 5, &hit), 0);
	kbr_producer_begin(t);
	b.base_sequence = 5;
	KUNIT_EXPECT_EQ(test, kbr_producer_check(t, &b, &hit), 0);
	kbr_producer_abort(t);
	/* still the same next sequence */
	KUNIT_EXPECT_EQ(test, producer_try(t, 7, 0, 10, 5, &hit), -EILSEQ);
	KUNIT_EXPECT_EQ(test, producer_try(t, 7, 0, 5, 5, &hit), 0);
}

static void producer_many(struct kunit *test)
{
	struct kbr_producer_table *t = test->priv;
	struct kbr_producer_hit hit;
	s64 id;

	for (id = 0; id < 3000; id++)
		KUNIT_ASSERT_EQ(test, producer_try(t, id * 0x100000001LL, 0, 0, 1, &hit), 0);
	KUNIT_EXPECT_EQ(test, kbr_producer_table_count(t), 3000U);
	for (id = 0; id < 3000; id++)
		KUNIT_ASSERT_EQ(test, producer_try(t, id * 0x100000001LL, 0, 1, 1, &hit), 0);
	/* the last batch of the first has timestamp 5000 + 3000 */
	kbr_producer_expire(t, 8000 + 100, 100);
	KUNIT_EXPECT_EQ(test, kbr_producer_table_count(t), 2999U);
	kbr_producer_expire(t, S64_MAX, 100);
	KUNIT_EXPECT_EQ(test, kbr_producer_table_count(t), 0U);
}

static void producer_snapshot(struct kunit *test)
{
	struct kbr_producer_table *t = test->priv, *back;
	struct kbr_producer_hit hit;
	u8 *buf;
	void *out;
	size_t len;
	int i;

	for (i = 0; i < 4; i++) {
		KUNIT_EXPECT_EQ(test, producer_try(t, 7, 2, 10 * i, 10, &hit), 0);
		KUNIT_EXPECT_EQ(test, producer_try(t, 1LL << 40, 0, i, 1, &hit), 0);
	}
	KUNIT_ASSERT_EQ(test, kbr_producer_encode(t, &out, &len), 0);
	buf = out;
	KUNIT_EXPECT_EQ(test, len, (size_t)(10 + 2 * 46));
	KUNIT_EXPECT_EQ(test, buf[1], 1);	/* version */
	KUNIT_EXPECT_EQ(test, buf[9], 2);	/* count */
	/* producer 7: epoch 2, last sequence 39, offset delta 9 */
	KUNIT_EXPECT_EQ(test, buf[10 + 7], 7);
	KUNIT_EXPECT_EQ(test, buf[10 + 9], 2);
	KUNIT_EXPECT_EQ(test, buf[10 + 13], 39);
	KUNIT_EXPECT_EQ(test, buf[10 + 25], 9);

	back = kbr_producer_table_create();
	KUNIT_ASSERT_NOT_NULL(test, back);
	KUNIT_EXPECT_EQ(test, kbr_producer_decode(back, buf, len), 0);
	/* the last batch is known again, those before it are not */
	KUNIT_EXPECT_EQ(test, producer_try(back, 7, 2, 30, 10, &hit), 1);
	KUNIT_EXPECT_EQ(test, hit.base_offset, 33LL);
	KUNIT_EXPECT_EQ(test, producer_try(back, 7, 2, 20, 10, &hit), -EILSEQ);
	KUNIT_EXPECT_EQ(test, producer_try(back, 7, 2, 40, 10, &hit), 0);
	kbr_producer_table_destroy(back);

	/* any byte that is wrong makes all of it useless */
	for (i = 0; i < len; i++) {
		back = kbr_producer_table_create();
		KUNIT_ASSERT_NOT_NULL(test, back);
		buf[i] ^= 0x40;
		KUNIT_EXPECT_EQ_MSG(test, kbr_producer_decode(back, buf, len), -EBADMSG,
				    "byte %d", i);
		buf[i] ^= 0x40;
		kbr_producer_table_destroy(back);
	}
	back = kbr_producer_table_create();
	KUNIT_ASSERT_NOT_NULL(test, back);
	for (i = 0; i < len; i++)
		KUNIT_EXPECT_EQ(test, kbr_producer_decode(back, buf, i), -EBADMSG);
	kbr_producer_table_destroy(back);
	kvfree(buf);
}

static struct kunit_case producer_cases[] = {
	KUNIT_CASE(producer_sequences),
	KUNIT_CASE(producer_wraps),
	KUNIT_CASE(producer_epochs),
	KUNIT_CASE(producer_window),
	KUNIT_CASE(producer_several_in_one),
	KUNIT_CASE(producer_many),
	KUNIT_CASE(producer_snapshot),
	{}
};

static struct kunit_suite producer_suite = {
	.name = "kbroker_producer",
	.init = producer_init,
	.exit = producer_exit,
	.test_cases = producer_cases,
};

kunit_test_suite(producer_suite);
