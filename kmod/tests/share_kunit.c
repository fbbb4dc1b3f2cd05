// SPDX-License-Identifier: GPL-2.0-only
/*
 * Sharing partitions out among the members of a group: evenly, with as few moves
 * as that needs, at once where nobody reads, and never to two at a time. The
 * randomised model counts how often each record is given: at least once, and
 * exactly once unless a member died, or sat, on what it had not counted.
 *
 * A failure of the model prints its seed; share_seed=N runs that one alone.
 */
#include <kunit/test.h>
#include <linux/delay.h>
#include <linux/module.h>
#include <linux/prandom.h>
#include <linux/slab.h>

#include "broker/share.h"
#include "broker_test.h"

static unsigned long share_seed;
module_param(share_seed, ulong, 0444);
MODULE_PARM_DESC(share_seed, "run this seed of the model of shared partitions only");

#define KBR_SHARE_TEST_PARTS	64
#define KBR_SHARE_TEST_MEMBERS	20

/**
 * struct kbr_share_test - the fixture
 * @test: the running test
 * @tb: a broker
 * @topic: topic "t"
 * @share: it, shared out
 * @members: who may take part
 * @list: room for the partitions of one member
 */
struct kbr_share_test {
	struct kunit *test;
	struct kbr_test_broker *tb;
	struct kbr_topic *topic;
	struct kbr_share *share;
	struct kbr_share_member members[KBR_SHARE_TEST_MEMBERS];
	struct kbr_share_part *list[KBR_SHARE_TEST_PARTS];
};

static struct kbr_share_test *kbr_share_test_begin(struct kunit *test, s32 partitions)
{
	struct kbr_share_test *st = kunit_kzalloc(test, sizeof(*st), GFP_KERNEL);
	unsigned int i;

	KUNIT_ASSERT_NOT_NULL(test, st);
	st->test = test;
	st->tb = kbr_test_init(test);
	KUNIT_ASSERT_EQ(test, kbr_test_start(st->tb), 0);
	KUNIT_ASSERT_EQ(test, kbr_test_create(st->tb, "t", partitions, NULL, NULL), 0);
	st->topic = kbr_test_topic(st->tb, "t");
	KUNIT_ASSERT_NOT_NULL(test, st->topic);
	st->share = kbr_share_alloc(st->topic);
	KUNIT_ASSERT_NOT_NULL(test, st->share);
	for (i = 0; i < KBR_SHARE_TEST_MEMBERS; i++)
		kbr_share_member_init(&st->members[i]);
	return st;
}

static void kbr_share_test_end(struct kbr_share_test *st)
{
	kbr_share_free(st->share);
	kbr_topic_put(st->topic);
	kbr_test_exit(st->tb);
}

static struct kbr_share_member *kbr_share_test_join(struct kbr_share_test *st, unsigned int n)
{
	kbr_share_member_init(&st->members[n]);
	kbr_share_add(st->share, &st->members[n]);
	return &st->members[n];
}

static unsigned int kbr_share_test_count(struct kbr_share_test *st, struct kbr_share_member *member)
{
	return kbr_share_list(member, NULL, 0);
}

/* A read that finds nothing, and counts what was given before. */
static void kbr_share_test_idle(struct kbr_share_member *member)
{
	kbr_share_enter(member, KBR_SHARE_READ);
	kbr_share_exit(member, NULL);
}

/* A read that is given one record of its @nth partition. */
static struct kbr_share_part *kbr_share_test_read(struct kbr_share_test *st,
						  struct kbr_share_member *member, unsigned int nth)
{
	struct kbr_share_part *sp = NULL;

	kbr_share_enter(member, KBR_SHARE_READ);
	if (kbr_share_list(member, st->list, KBR_SHARE_TEST_PARTS) > nth) {
		sp = st->list[nth];
		kbr_share_give(member, sp, max(sp->next, 0LL) + 1);
	}
	kbr_share_exit(member, NULL);
	return sp;
}

/* Each join and each leave moves as little as it can, and leaves all even. */
static void kbr_share_test_even(struct kunit *test)
{
	struct kbr_share_test *st = kbr_share_test_begin(test, KBR_SHARE_TEST_PARTS);
	struct kbr_share_member *before[KBR_SHARE_TEST_PARTS];
	struct rnd_state rnd;
	u32 present = 0;
	unsigned int round, i, n, moved, lost, least, most, had;

	prandom_seed_state(&rnd, 5);
	for (round = 0; round < 300; round++) {
		for (i = 0; i < KBR_SHARE_TEST_PARTS; i++)
			before[i] = st->share->parts[i]->owner;
		n = prandom_u32_state(&rnd) % KBR_SHARE_TEST_MEMBERS;
		lost = present & BIT(n) ? kbr_share_test_count(st, &st->members[n]) : 0;
		had = hweight32(present);
		if (present & BIT(n))
			kbr_share_remove(&st->members[n]);
		else
			kbr_share_test_join(st, n);
		present ^= BIT(n);
		moved = 0;
		least = KBR_SHARE_TEST_PARTS;
		most = 0;
		for (i = 0; i < KBR_SHARE_TEST_PARTS; i++)
			moved += st->share->parts[i]->owner != before[i];
		for (i = 0; i < KBR_SHARE_TEST_MEMBERS; i++) {
			if (!(present & BIT(i)))
				continue;
			least = min(least, st->members[i].owned);
			most = max(most, st->members[i].owned);
			KUNIT_EXPECT_EQ(test, st->members[i].owned,
					kbr_share_test_count(st, &st->members[i]));
		}
		if (present)
			KUNIT_EXPECT_LE(test, most - least, 1);
		/* the newcomer's part; the leaver's */
		if (present & BIT(n))
			lost = st->members[n].owned;
		KUNIT_EXPECT_EQ_MSG(test, moved, lost, "round %u, %u members before", round, had);
	}
	for (i = 0; i < KBR_SHARE_TEST_MEMBERS; i++)
		if (present & BIT(i))
			kbr_share_remove(&st->members[i]);
	kbr_share_test_end(st);
}

/* G6: what is given and not counted stays; the rest moves without the owner's doing. */
static void kbr_share_test_given(struct kunit *test)
{
	struct kbr_share_test *st = kbr_share_test_begin(test, 2);
	struct kbr_share_member *a = kbr_share_test_join(st, 0), *b;
	struct kbr_share_part *sp;

	sp = kbr_share_test_read(st, a, 0);
	b = kbr_share_test_join(st, 1);
	/* the one that is not in use */
	KUNIT_EXPECT_EQ(test, kbr_share_test_count(st, a), 1);
	KUNIT_EXPECT_EQ(test, kbr_share_test_count(st, b), 1);
	KUNIT_EXPECT_PTR_EQ(test, sp->owner, a);
	KUNIT_EXPECT_TRUE(test, kbr_share_ready(a));
	KUNIT_EXPECT_EQ(test, kbr_share_enter(b, KBR_SHARE_READ), KBR_SHARE_CHANGED);
	kbr_share_exit(b, NULL);
	KUNIT_EXPECT_FALSE(test, kbr_share_ready(b));

	/* both in use: it waits for the next read, of which a look is none */
	kbr_share_remove(b);
	KUNIT_EXPECT_EQ(test, kbr_share_test_count(st, a), 2);
	kbr_share_test_idle(a);
	kbr_share_enter(a, KBR_SHARE_READ);
	kbr_share_give(a, st->share->parts[0], 5);
	kbr_share_give(a, st->share->parts[1], 6);
	kbr_share_exit(a, NULL);
	b = kbr_share_test_join(st, 1);
	KUNIT_EXPECT_EQ(test, kbr_share_test_count(st, b), 0);
	kbr_share_enter(a, KBR_SHARE_LOOK);
	kbr_share_exit(a, NULL);
	kbr_share_enter(a, KBR_SHARE_AGAIN);
	kbr_share_exit(a, NULL);
	KUNIT_EXPECT_EQ(test, kbr_share_test_count(st, b), 0);
	kbr_share_test_idle(a);
	KUNIT_EXPECT_EQ(test, kbr_share_test_count(st, b), 1);
	KUNIT_EXPECT_EQ(test, kbr_share_counted(st->share, 0), 5);
	KUNIT_EXPECT_EQ(test, kbr_share_counted(st->share, 1), 6);

	/* G5: what it did not count is the successor's */
	sp = kbr_share_test_read(st, a, 0);
	KUNIT_ASSERT_NOT_NULL(test, sp);
	KUNIT_EXPECT_EQ(test, sp->next, sp->counted + 1);
	kbr_share_remove(a);
	KUNIT_EXPECT_EQ(test, kbr_share_test_count(st, b), 2);
	KUNIT_EXPECT_EQ(test, sp->next, sp->counted);
	kbr_share_remove(b);
	kbr_share_test_end(st);
}

/* While its owner is inside a read nothing moves; afterwards it does so by itself. */
static void kbr_share_test_busy(struct kunit *test)
{
	struct kbr_share_test *st = kbr_share_test_begin(test, 4);
	struct kbr_share_member *a = kbr_share_test_join(st, 0), *b;

	kbr_share_enter(a, KBR_SHARE_READ);
	b = kbr_share_test_join(st, 1);
	KUNIT_EXPECT_EQ(test, kbr_share_test_count(st, a), 4);
	KUNIT_EXPECT_EQ(test, kbr_share_test_count(st, b), 0);
	KUNIT_EXPECT_FALSE(test, kbr_share_ready(b));
	kbr_share_exit(a, NULL);
	KUNIT_EXPECT_EQ(test, kbr_share_test_count(st, b), 2);
	KUNIT_EXPECT_TRUE(test, kbr_share_ready(b));
	/* who was about to get something leaves: it stays where it is */
	kbr_share_remove(b);
	kbr_share_test_idle(a);
	kbr_share_enter(a, KBR_SHARE_READ);
	b = kbr_share_test_join(st, 1);
	kbr_share_remove(b);
	kbr_share_exit(a, NULL);
	KUNIT_EXPECT_EQ(test, kbr_share_test_count(st, a), 4);
	KUNIT_EXPECT_FALSE(test, kbr_share_ready(a));

	/* G7: a line that was read in part is finished first */
	kbr_share_enter(a, KBR_SHARE_READ);
	kbr_share_exit(a, st->share->parts[3]);
	b = kbr_share_test_join(st, 1);
	KUNIT_EXPECT_EQ(test, kbr_share_test_count(st, b), 2);
	KUNIT_EXPECT_PTR_EQ(test, st->share->parts[3]->owner, a);
	kbr_share_remove(a);
	KUNIT_EXPECT_EQ(test, kbr_share_test_count(st, b), 4);
	kbr_share_remove(b);
	kbr_share_test_end(st);
}

/* G13: who sits on what it was given loses all it has, and hears of it once. */
static void kbr_share_test_poll(struct kunit *test)
{
	struct kbr_share_test *st = kbr_share_test_begin(test, 4);
	struct kbr_share_member *a = kbr_share_test_join(st, 0);
	struct kbr_share_member *b = kbr_share_test_join(st, 1);
	struct kbr_share_part *sp;
	unsigned int ms;

	kbr_share_set_poll(a, 1);
	kbr_share_test_idle(a);
	kbr_share_test_idle(b);
	msleep(20);
	/* it has nothing to sit on */
	KUNIT_EXPECT_FALSE(test, kbr_share_ready(a));
	sp = kbr_share_test_read(st, a, 0);
	for (ms = 0; ms < KBR_TEST_PATIENCE_MS && !kbr_share_ready(a); ms++)
		msleep(1);
	KUNIT_EXPECT_TRUE(test, kbr_share_ready(a));
	KUNIT_EXPECT_EQ(test, kbr_share_test_count(st, a), 0);
	KUNIT_EXPECT_EQ(test, kbr_share_test_count(st, b), 4);
	KUNIT_EXPECT_EQ(test, sp->counted, -1);
	KUNIT_EXPECT_EQ(test, sp->next, -1);
	kbr_share_enter(a, KBR_SHARE_LOOK);
	kbr_share_exit(a, NULL);
	KUNIT_EXPECT_EQ(test, kbr_share_test_count(st, a), 0);
	KUNIT_EXPECT_EQ(test, kbr_share_enter(a, KBR_SHARE_READ),
			KBR_SHARE_STALE | KBR_SHARE_CHANGED);
	kbr_share_exit(a, NULL);
	KUNIT_EXPECT_EQ(test, kbr_share_test_count(st, a), 2);
	KUNIT_EXPECT_EQ(test, kbr_share_enter(a, KBR_SHARE_READ), 0);
	kbr_share_exit(a, NULL);
	kbr_share_remove(a);
	kbr_share_remove(b);
	kbr_share_test_end(st);
}

/* G16: partitions that are added are shared out, too. */
static void kbr_share_test_growth(struct kunit *test)
{
	struct kbr_share_test *st = kbr_share_test_begin(test, 1);
	struct kbr_topic_change change = { .partitions = 5 };
	struct kbr_share_member *a = kbr_share_test_join(st, 0);
	struct kbr_share_member *b = kbr_share_test_join(st, 1);

	kbr_share_test_idle(a);
	kbr_share_test_idle(b);
	KUNIT_EXPECT_FALSE(test, kbr_share_ready(b));
	KUNIT_ASSERT_EQ(test, kbr_test_alter(st->tb, "t", &change), 0);
	KUNIT_EXPECT_TRUE(test, kbr_share_ready(b));
	KUNIT_EXPECT_EQ(test, kbr_share_enter(b, KBR_SHARE_AGAIN), KBR_SHARE_CHANGED);
	kbr_share_exit(b, NULL);
	KUNIT_EXPECT_EQ(test, a->owned + b->owned, 5);
	KUNIT_EXPECT_GE(test, min(a->owned, b->owned), 2);
	kbr_share_remove(a);
	kbr_share_remove(b);
	kbr_share_test_end(st);
}

/**
 * struct kbr_share_sleeper - in a member's wait queue
 * @wait: there
 * @woken: how often
 */
struct kbr_share_sleeper {
	wait_queue_entry_t wait;
	unsigned int woken;
};

static int kbr_share_sleeper_wake(wait_queue_entry_t *wait, unsigned int mode, int sync, void *key)
{
	container_of(wait, struct kbr_share_sleeper, wait)->woken++;
	return 0;
}

/* Only the owner's sleepers hear of a partition's records, and of its coming and going. */
static void kbr_share_test_wake(struct kunit *test)
{
	struct kbr_share_test *st = kbr_share_test_begin(test, 4);
	struct kbr_share_sleeper sleepers[3] = { };
	struct kbr_share_member *owner;
	unsigned int i;

	kbr_share_test_join(st, 0);
	kbr_share_test_join(st, 1);
	for (i = 0; i < 2; i++) {
		init_waitqueue_func_entry(&sleepers[i].wait, kbr_share_sleeper_wake);
		add_wait_queue(&st->members[i].wait, &sleepers[i].wait);
	}
	owner = st->share->parts[0]->owner;
	KUNIT_EXPECT_EQ(test, kbr_test_produce(st->share->parts[0]->part, "x", KBR_ACKS_ALL), 0);
	KUNIT_EXPECT_EQ(test, sleepers[0].woken > 0, owner == &st->members[0]);
	KUNIT_EXPECT_EQ(test, sleepers[1].woken > 0, owner == &st->members[1]);
	sleepers[0].woken = 0;
	sleepers[1].woken = 0;
	kbr_share_test_join(st, 2);
	/* one of four moved */
	KUNIT_EXPECT_EQ(test, sleepers[0].woken + sleepers[1].woken, 1);
	for (i = 0; i < 2; i++)
		remove_wait_queue(&st->members[i].wait, &sleepers[i].wait);
	for (i = 0; i < 3; i++)
		kbr_share_remove(&st->members[i]);
	kbr_share_test_end(st);
}

#define KBR_SHARE_MODEL_STEPS	4000
#define KBR_SHARE_MODEL_RECORDS	100

/**
 * struct kbr_share_model - what readers do, step by step
 * @st: the fixture
 * @rnd: decides
 * @present: members
 * @inside: those inside a read
 * @mine: what each believes to have
 * @mine_count: how many
 * @given: how often each record was given
 * @excused: how often it may be given beside the one time
 */
struct kbr_share_model {
	struct kbr_share_test *st;
	struct rnd_state rnd;
	u32 present;
	u32 inside;
	struct kbr_share_part *mine[KBR_SHARE_TEST_MEMBERS][KBR_SHARE_TEST_PARTS];
	unsigned int mine_count[KBR_SHARE_TEST_MEMBERS];
	u8 given[KBR_SHARE_TEST_PARTS][KBR_SHARE_MODEL_RECORDS];
	u8 excused[KBR_SHARE_TEST_PARTS][KBR_SHARE_MODEL_RECORDS];
};

static u32 kbr_share_model_pick(struct kbr_share_model *m, u32 below)
{
	return prandom_u32_state(&m->rnd) % below;
}

static bool kbr_share_model_enter(struct kbr_share_model *m, unsigned int n)
{
	unsigned int other, i, j;

	if (kbr_share_enter(&m->st->members[n], KBR_SHARE_READ) & KBR_SHARE_CHANGED)
		m->mine_count[n] = kbr_share_list(&m->st->members[n], m->mine[n],
						  KBR_SHARE_TEST_PARTS);
	/* nobody else who is inside believes that it has one of them */
	for (other = 0; other < KBR_SHARE_TEST_MEMBERS; other++) {
		if (!(m->inside & BIT(other)))
			continue;
		for (i = 0; i < m->mine_count[n]; i++)
			for (j = 0; j < m->mine_count[other]; j++)
				if (m->mine[n][i] == m->mine[other][j])
					return false;
	}
	m->inside |= BIT(n);
	return true;
}

static void kbr_share_model_exit(struct kbr_share_model *m, unsigned int n, u32 most)
{
	struct kbr_share_member *member = &m->st->members[n];
	u32 left = most;
	unsigned int i;

	for (i = 0; i < m->mine_count[n] && left; i++) {
		struct kbr_share_part *sp = m->mine[n][i];
		s64 from = max(sp->next, 0LL), to;

		to = min_t(s64, from + left, KBR_SHARE_MODEL_RECORDS);
		left -= to - from;
		while (from < to)
			m->given[sp->part->index][from++]++;
		if (to > max(sp->next, 0LL))
			kbr_share_give(member, sp, to);
	}
	kbr_share_exit(member, NULL);
	m->inside &= ~BIT(n);
}

static void kbr_share_model_leave(struct kbr_share_model *m, unsigned int n)
{
	struct kbr_share_member *member = &m->st->members[n];
	struct kbr_share_part *sp;
	s64 offset;

	list_for_each_entry(sp, &member->given, given)
		for (offset = max(sp->counted, 0LL); offset < sp->next; offset++)
			m->excused[sp->part->index][offset]++;
	kbr_share_remove(member);
	m->present &= ~BIT(n);
	m->mine_count[n] = 0;
}

static bool kbr_share_model_step(struct kbr_share_model *m, unsigned int leaves)
{
	unsigned int n = kbr_share_model_pick(m, KBR_SHARE_TEST_MEMBERS);
	bool good = true;

	if (!(m->present & BIT(n))) {
		if (!kbr_share_model_pick(m, 8)) {
			kbr_share_test_join(m->st, n);
			m->present |= BIT(n);
		}
	} else if (m->inside & BIT(n)) {
		kbr_share_model_exit(m, n, kbr_share_model_pick(m, 6));
	} else if (leaves && !kbr_share_model_pick(m, leaves)) {
		kbr_share_model_leave(m, n);
	} else {
		good = kbr_share_model_enter(m, n);
	}
	return good;
}

/* All end their reads, and read on until nothing is left. */
static void kbr_share_model_drain(struct kbr_share_model *m)
{
	unsigned int n, round;

	if (!m->present) {
		kbr_share_test_join(m->st, 0);
		m->present = BIT(0);
	}
	for (n = 0; n < KBR_SHARE_TEST_MEMBERS; n++)
		if (m->inside & BIT(n))
			kbr_share_model_exit(m, n, 0);
	for (round = 0; round < 3; round++) {
		for (n = 0; n < KBR_SHARE_TEST_MEMBERS; n++) {
			if (!(m->present & BIT(n)))
				continue;
			kbr_share_model_enter(m, n);
			kbr_share_model_exit(m, n, U32_MAX);
		}
	}
}

static bool kbr_share_model_run(struct kunit *test, struct kbr_share_model *m, u64 seed, bool deaths)
{
	unsigned int n, i, least = KBR_SHARE_TEST_PARTS, most = 0;
	bool good = true;

	memset(m->given, 0, sizeof(m->given));
	memset(m->excused, 0, sizeof(m->excused));
	prandom_seed_state(&m->rnd, seed);
	for (n = 0; n < KBR_SHARE_MODEL_STEPS && good; n++)
		good = kbr_share_model_step(m, deaths ? 20 : 0);
	KUNIT_EXPECT_TRUE_MSG(test, good, "seed %llu: two owners at once", seed);
	kbr_share_model_drain(m);
	for (n = 0; n < KBR_SHARE_TEST_MEMBERS; n++) {
		if (!(m->present & BIT(n)))
			continue;
		least = min(least, m->st->members[n].owned);
		most = max(most, m->st->members[n].owned);
	}
	KUNIT_EXPECT_LE_MSG(test, most - least, 1, "seed %llu: uneven", seed);
	for (i = 0; i < KBR_SHARE_TEST_PARTS; i++) {
		for (n = 0; n < KBR_SHARE_MODEL_RECORDS; n++) {
			if (m->given[i][n] >= 1 && m->given[i][n] <= 1 + m->excused[i][n])
				continue;
			KUNIT_FAIL(test, "seed %llu: record %u of partition %u given %u times, %u excused",
				   seed, n, i, m->given[i][n], m->excused[i][n]);
			return false;
		}
	}
	for (n = 0; n < KBR_SHARE_TEST_MEMBERS; n++)
		if (m->present & BIT(n))
			kbr_share_model_leave(m, n);
	for (i = 0; i < KBR_SHARE_TEST_PARTS; i++)
		m->st->share->parts[i]->counted = -1;
	return good;
}

static void kbr_share_test_model(struct kunit *test)
{
	struct kbr_share_test *st = kbr_share_test_begin(test, KBR_SHARE_TEST_PARTS);
	struct kbr_share_model *m = kunit_kzalloc(test, sizeof(*m), GFP_KERNEL);
	u64 first = share_seed ?: get_random_u32(), seed;

	KUNIT_ASSERT_NOT_NULL(test, m);
	m->st = st;
	kunit_info(test, "seeds from %llu on\n", first);
	for (seed = first; seed < first + (share_seed ? 1 : 20); seed++)
		if (!kbr_share_model_run(test, m, seed, seed & 1))
			return;
	kbr_share_test_end(st);
}

static struct kunit_case kbr_share_cases[] = {
	KUNIT_CASE(kbr_share_test_even),
	KUNIT_CASE(kbr_share_test_given),
	KUNIT_CASE(kbr_share_test_busy),
	KUNIT_CASE(kbr_share_test_poll),
	KUNIT_CASE(kbr_share_test_growth),
	KUNIT_CASE(kbr_share_test_wake),
	KUNIT_CASE(kbr_share_test_model),
	{}
};

static struct kunit_suite kbr_share_suite = {
	.name = "kbroker_share",
	.exit = kbr_test_cleanup,
	.test_cases = kbr_share_cases,
};

kunit_test_suite(kbr_share_suite);
