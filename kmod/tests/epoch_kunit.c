// SPDX-License-Identifier: GPL-2.0-only
/* Leader epoch histories: assignment, cuts, Kafka's lookup rules, the text file. */
#include <kunit/test.h>
#include <linux/err.h>
#include <linux/mm.h>

#include "storage/epoch.h"

static struct kbr_epoch_cache *epoch_add(struct kunit *test, struct kbr_epoch_cache *old, s32 epoch,
					 s64 start)
{
	struct kbr_epoch_cache *cache = kbr_epoch_assign(old, epoch, start);

	KUNIT_ASSERT_FALSE(test, IS_ERR(cache));
	if (cache != old)
		kvfree(old);
	return cache;
}

/* epochs 1 from 0, 3 from 10, 4 from 25 */
static struct kbr_epoch_cache *epoch_three(struct kunit *test)
{
	struct kbr_epoch_cache *cache = NULL;

	cache = epoch_add(test, cache, 1, 0);
	cache = epoch_add(test, cache, 3, 10);
	return epoch_add(test, cache, 4, 25);
}

static void epoch_assign_known(struct kunit *test)
{
	struct kbr_epoch_cache *cache = epoch_three(test);

	KUNIT_EXPECT_PTR_EQ(test, kbr_epoch_assign(cache, 4, 30), cache);
	KUNIT_EXPECT_PTR_EQ(test, kbr_epoch_assign(cache, 2, 30), cache);
	KUNIT_EXPECT_PTR_EQ(test, kbr_epoch_assign(cache, -1, 30), cache);
	KUNIT_EXPECT_EQ(test, kbr_epoch_last(cache), 4);
	KUNIT_EXPECT_EQ(test, kbr_epoch_last(NULL), -1);
	kvfree(cache);
}

static void epoch_assign_replaces_empty(struct kunit *test)
{
	struct kbr_epoch_cache *cache = epoch_three(test);

	/* nothing was appended in epoch 4 */
	cache = epoch_add(test, cache, 6, 25);
	KUNIT_EXPECT_EQ(test, cache->count, 3U);
	KUNIT_EXPECT_EQ(test, cache->entry[2].epoch, 6);
	KUNIT_EXPECT_EQ(test, cache->entry[2].start, 25LL);
	kvfree(cache);
}

struct epoch_end_case {
	s32 epoch;
	s32 found;
	s64 end;
};

static const struct epoch_end_case epoch_end_cases[] = {
	{ 4, 4, 40 },	/* the latest ends with the log */
	{ 5, -1, -1 },	/* newer than any */
	{ 3, 3, 25 },
	{ 2, 1, 10 },	/* not known: the one before */
	{ 1, 1, 10 },
	{ 0, 0, 0 },	/* before the first known */
	{ -1, -1, -1 },
};

static void epoch_end_of(struct kunit *test)
{
	struct kbr_epoch_cache *cache = epoch_three(test);
	unsigned int i;
	s32 found;
	s64 end;

	for (i = 0; i < ARRAY_SIZE(epoch_end_cases); i++) {
		const struct epoch_end_case *c = &epoch_end_cases[i];

		kbr_epoch_end(cache, c->epoch, 40, &found, &end);
		KUNIT_EXPECT_EQ_MSG(test, found, c->found, "epoch %d", c->epoch);
		KUNIT_EXPECT_EQ_MSG(test, end, c->end, "epoch %d", c->epoch);
	}
	KUNIT_EXPECT_EQ(test, kbr_epoch_at(cache, 0), 1);
	KUNIT_EXPECT_EQ(test, kbr_epoch_at(cache, 9), 1);
	KUNIT_EXPECT_EQ(test, kbr_epoch_at(cache, 10), 3);
	KUNIT_EXPECT_EQ(test, kbr_epoch_at(cache, 1000), 4);
	KUNIT_EXPECT_EQ(test, kbr_epoch_at(cache, -1), -1);
	KUNIT_EXPECT_EQ(test, kbr_epoch_at(NULL, 0), -1);
	kbr_epoch_end(NULL, 0, 40, &found, &end);
	KUNIT_EXPECT_EQ(test, found, -1);
	KUNIT_EXPECT_EQ(test, end, -1LL);
	kvfree(cache);
}

static void epoch_cuts(struct kunit *test)
{
	struct kbr_epoch_cache *cache = epoch_three(test), *cut;

	KUNIT_EXPECT_PTR_EQ(test, kbr_epoch_cut_end(cache, 26), cache);
	cut = kbr_epoch_cut_end(cache, 25);
	KUNIT_ASSERT_FALSE(test, IS_ERR_OR_NULL(cut));
	KUNIT_EXPECT_EQ(test, cut->count, 2U);
	kvfree(cut);
	KUNIT_EXPECT_NULL(test, kbr_epoch_cut_end(cache, 0));

	KUNIT_EXPECT_PTR_EQ(test, kbr_epoch_cut_start(cache, 0), cache);
	cut = kbr_epoch_cut_start(cache, 12);
	KUNIT_ASSERT_FALSE(test, IS_ERR_OR_NULL(cut));
	KUNIT_EXPECT_EQ(test, cut->count, 2U);
	KUNIT_EXPECT_EQ(test, cut->entry[0].epoch, 3);
	KUNIT_EXPECT_EQ(test, cut->entry[0].start, 12LL);
	kvfree(cut);
	/* an empty log keeps its last epoch */
	cut = kbr_epoch_cut_start(cache, 100);
	KUNIT_ASSERT_FALSE(test, IS_ERR_OR_NULL(cut));
	KUNIT_EXPECT_EQ(test, cut->count, 1U);
	KUNIT_EXPECT_EQ(test, cut->entry[0].epoch, 4);
	kvfree(cut);
	kvfree(cache);
}

static void epoch_text(struct kunit *test)
{
	struct kbr_epoch_cache *cache = epoch_three(test), *back;
	unsigned int i;
	size_t len;
	char *buf;

	KUNIT_ASSERT_EQ(test, kbr_epoch_encode(cache, &buf, &len), 0);
	KUNIT_EXPECT_STREQ(test, buf, "0\n3\n1 0\n3 10\n4 25\n");
	KUNIT_ASSERT_EQ(test, kbr_epoch_decode(buf, len, &back), 0);
	KUNIT_ASSERT_NOT_NULL(test, back);
	KUNIT_ASSERT_EQ(test, back->count, cache->count);
	for (i = 0; i < back->count; i++) {
		KUNIT_EXPECT_EQ(test, back->entry[i].epoch, cache->entry[i].epoch);
		KUNIT_EXPECT_EQ(test, back->entry[i].start, cache->entry[i].start);
	}
	kvfree(back);
	kvfree(buf);
	kvfree(cache);
	KUNIT_ASSERT_EQ(test, kbr_epoch_encode(NULL, &buf, &len), 0);
	KUNIT_EXPECT_STREQ(test, buf, "0\n0\n");
	KUNIT_EXPECT_EQ(test, kbr_epoch_decode(buf, len, &back), 0);
	KUNIT_EXPECT_NULL(test, back);
	kvfree(buf);
}

struct epoch_bad_case {
	const char *text;
	int err;
};

static const struct epoch_bad_case epoch_bad_cases[] = {
	{ "", -EBADMSG },
	{ "1\n0\n", -EPROTONOSUPPORT },
	{ "0\n", -EBADMSG },
	{ "0\n1\n", -EBADMSG },
	{ "0\n2\n1 0\n", -EBADMSG },
	{ "0\n1\n1 0\n2 5\n", -EBADMSG },
	{ "0\n2\n1 0\n1 5\n", -EBADMSG },	/* epochs rise */
	{ "0\n2\n1 5\n2 5\n", -EBADMSG },	/* starts rise */
	{ "0\n1\n-1 0\n", -EBADMSG },
	{ "0\n1\n1 99999999999999999999\n", -EBADMSG },
	{ "0\n1\n9999999999 0\n", -EBADMSG },
	{ "0\n999999999\n1 0\n", -EBADMSG },
	{ "0\n1\n1 0", -EBADMSG },
	{ "0\n1\n1  0\n", -EBADMSG },
};

static void epoch_damaged_text(struct kunit *test)
{
	struct kbr_epoch_cache *cache;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(epoch_bad_cases); i++) {
		const struct epoch_bad_case *c = &epoch_bad_cases[i];

		KUNIT_EXPECT_EQ_MSG(test, kbr_epoch_decode(c->text, strlen(c->text), &cache),
				    c->err, "case %u", i);
		KUNIT_EXPECT_NULL(test, cache);
	}
}

static struct kunit_case epoch_cases[] = {
	KUNIT_CASE(epoch_assign_known),
	KUNIT_CASE(epoch_assign_replaces_empty),
	KUNIT_CASE(epoch_end_of),
	KUNIT_CASE(epoch_cuts),
	KUNIT_CASE(epoch_text),
	KUNIT_CASE(epoch_damaged_text),
	{}
};

static struct kunit_suite epoch_suite = {
	.name = "kbroker_epoch",
	.test_cases = epoch_cases,
};

kunit_test_suite(epoch_suite);
