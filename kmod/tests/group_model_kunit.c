// SPDX-License-Identifier: GPL-2.0-only
/*
 * A random model of the classic group protocol: clients that join, sync, beat,
 * commit, leave and crash in any order, time that passes, and a broker that stops
 * or loses power under them. No partition has two owners in one generation, no
 * generation comes after a newer one, no committed offset goes back, and once
 * nobody disturbs them all are members and everything is shared out.
 *
 * A failure prints its seed; group_seed=N runs that one alone.
 */
#include <kunit/test.h>
#include <linux/module.h>
#include <linux/prandom.h>

#include "group_test.h"

#define KBR_GM_CLIENTS	6
#define KBR_GM_PARTS	8
#define KBR_GM_STEPS	600
#define KBR_GM_SEEDS	6
/* Clients from here on are static members */
#define KBR_GM_STATIC	4

static unsigned long group_seed;
module_param(group_seed, ulong, 0444);
MODULE_PARM_DESC(group_seed, "run this seed of the model of consumer groups only");

/** enum kbr_gm_state - what a client waits for, or does next */
enum kbr_gm_state { KBR_GM_OUT, KBR_GM_JOINING, KBR_GM_JOINED, KBR_GM_SYNCING, KBR_GM_STABLE };

/**
 * struct kbr_gm_client - a client
 * @m: as the fixture knows it
 * @state: where it is
 * @life: changes when it begins anew under another id
 * @mask: partitions that it was assigned
 * @stored: the broker answered it in a stable group: a crash does not forget its id
 */
struct kbr_gm_client {
	struct kbr_gt_member m;
	enum kbr_gm_state state;
	u32 life;
	u8 mask;
	bool stored;
};

/**
 * struct kbr_gm - a run
 * @test: the running test
 * @gt: fixture
 * @rnd: what happens
 * @seed: of @rnd
 * @clients: they
 * @instances: names of those that are static
 * @claim: generation in which each partition had an owner last
 * @owner: that one
 * @tried: highest offset that a client wanted to commit
 * @acked: highest that it was told to be committed
 * @failed: something was wrong
 */
struct kbr_gm {
	struct kunit *test;
	struct kbr_group_test *gt;
	struct rnd_state rnd;
	u64 seed;
	struct kbr_gm_client clients[KBR_GM_CLIENTS];
	char instances[KBR_GM_CLIENTS][4];
	s32 claim[KBR_GM_PARTS];
	u32 owner[KBR_GM_PARTS];
	s64 tried[KBR_GM_PARTS];
	s64 acked[KBR_GM_PARTS];
	bool failed;
};

/* True once in @n */
static bool kbr_gm_once_in(struct kbr_gm *gm, u32 n)
{
	return prandom_u32_state(&gm->rnd) % n == 0;
}

#define kbr_gm_expect(gm, cond, fmt, ...) do {					\
	struct kbr_gm *_gm = (gm);						\
										\
	if (!(cond)) {								\
		_gm->failed = true;						\
		KUNIT_FAIL(_gm->test, "group_seed=%llu: " fmt, _gm->seed, ##__VA_ARGS__); \
	}									\
} while (0)

/* It forgets who it was; a static member comes back as itself all the same. */
static void kbr_gm_forget(struct kbr_gm *gm, struct kbr_gm_client *c)
{
	kbr_group_wait_drop(&c->m.wait);
	c->m.id[0] = '\0';
	c->state = KBR_GM_OUT;
	c->mask = 0;
	c->stored = false;
	if (!c->m.instance)
		c->life++;
}

/* What a client does about an error of the group's. */
static void kbr_gm_refused(struct kbr_gm *gm, struct kbr_gm_client *c, s16 code)
{
	c->state = KBR_GM_OUT;
	c->mask = 0;
	switch (code) {
	case KBR_KAFKA_FENCED_INSTANCE_ID:
		kbr_gm_expect(gm, c->m.instance && !c->stored, "%s is fenced", c->m.instance ?: "it");
		fallthrough;
	case KBR_KAFKA_UNKNOWN_MEMBER_ID:
		kbr_gm_forget(gm, c);
		break;
	case KBR_KAFKA_REBALANCE_IN_PROGRESS:
	case KBR_KAFKA_ILLEGAL_GENERATION:
	case KBR_KAFKA_MEMBER_ID_REQUIRED:
		break;
	default:
		kbr_gm_expect(gm, false, "error %d", code);
	}
}

static void kbr_gm_joined(struct kbr_gm *gm, struct kbr_gm_client *c, bool told)
{
	c->mask = 0;
	c->state = told ? KBR_GM_JOINED : KBR_GM_JOINING;
	if (told && c->m.code)
		kbr_gm_refused(gm, c, c->m.code);
	else if (told && kbr_gt_state(gm->gt) == KBR_GROUP_STABLE)
		c->stored = true;
}

/* The partitions of an assignment are its, and nobody else's in this generation. */
static void kbr_gm_synced(struct kbr_gm *gm, struct kbr_gm_client *c, bool told)
{
	u32 who = (c - gm->clients) + c->life * KBR_GM_CLIENTS;
	unsigned int p;

	c->state = told ? KBR_GM_STABLE : KBR_GM_SYNCING;
	if (!told)
		return;
	if (c->m.code) {
		kbr_gm_refused(gm, c, c->m.code);
		return;
	}
	c->stored = true;
	if (kstrtou8(c->m.assignment, 16, &c->mask))
		c->mask = 0;
	for (p = 0; p < KBR_GM_PARTS; p++) {
		if (!(c->mask & BIT(p)))
			continue;
		kbr_gm_expect(gm, gm->claim[p] <= c->m.generation,
			      "generation %d after %d", c->m.generation, gm->claim[p]);
		kbr_gm_expect(gm, gm->claim[p] != c->m.generation || gm->owner[p] == who,
			      "partition %u has two owners in generation %d", p, c->m.generation);
		gm->claim[p] = c->m.generation;
		gm->owner[p] = who;
	}
}

/* The leader deals all partitions out to the members, in turn. */
static void kbr_gm_sync(struct kbr_gm *gm, struct kbr_gm_client *c)
{
	struct kbr_group_assignment shares[KBR_GM_CLIENTS + 1];
	char ids[KBR_GM_CLIENTS + 1][KBR_GT_ID_MAX], masks[KBR_GM_CLIENTS + 1][4];
	struct kbr_group_member_info info;
	unsigned int n = 0, i, p, mask;

	kbr_group_lock(gm->gt->group);
	while (c->m.lead && n < ARRAY_SIZE(shares) &&
	       kbr_group_member_locked(gm->gt->group, n, &info)) {
		snprintf(ids[n], sizeof(ids[n]), "%.*s", info.id.len, info.id.at);
		n++;
	}
	kbr_group_unlock(gm->gt->group);
	for (i = 0; i < n; i++) {
		for (p = 0, mask = 0; p < KBR_GM_PARTS; p++)
			mask |= p % n == i ? BIT(p) : 0;
		snprintf(masks[i], sizeof(masks[i]), "%02x", mask);
		shares[i].member_id = kbr_gt_str(ids[i]);
		shares[i].assignment = kbr_gt_str(masks[i]);
	}
	kbr_gm_synced(gm, c, kbr_gt_sync(&c->m, shares, n));
}

static void kbr_gm_commit(struct kbr_gm *gm, struct kbr_gm_client *c)
{
	unsigned int p = prandom_u32_state(&gm->rnd) % KBR_GM_PARTS;
	struct kbr_group_info info;
	s16 code;

	if (!(c->mask & BIT(p)))
		return;
	gm->tried[p]++;
	code = kbr_gt_commit(gm->gt, &c->m, "t", p, gm->tried[p]);
	if (code) {
		kbr_gm_refused(gm, c, code);
		return;
	}
	gm->acked[p] = gm->tried[p];
	kbr_group_lock(gm->gt->group);
	kbr_group_info_locked(gm->gt->group, &info);
	kbr_group_unlock(gm->gt->group);
	kbr_gm_expect(gm, info.generation == c->m.generation,
		      "a commit of generation %d in %d", c->m.generation, info.generation);
}

static void kbr_gm_beat(struct kbr_gm *gm, struct kbr_gm_client *c)
{
	s16 code = kbr_gt_beat(&c->m);

	if (code)
		kbr_gm_refused(gm, c, code);
}

/* What a client does that is well */
static void kbr_gm_go_on(struct kbr_gm *gm, struct kbr_gm_client *c)
{
	switch (c->state) {
	case KBR_GM_OUT:
		kbr_gm_joined(gm, c, kbr_gt_join(&c->m, !c->m.instance));
		break;
	case KBR_GM_JOINING:
		kbr_gm_joined(gm, c, kbr_gt_joined(&c->m));
		break;
	case KBR_GM_JOINED:
		kbr_gm_sync(gm, c);
		break;
	case KBR_GM_SYNCING:
		kbr_gm_synced(gm, c, kbr_gt_sync_again(&c->m));
		break;
	case KBR_GM_STABLE:
		kbr_gm_beat(gm, c);
		break;
	}
}

/* What was committed is there, and nothing that nobody wanted to be. */
static void kbr_gm_check_offsets(struct kbr_gm *gm)
{
	unsigned int p;
	s64 offset;

	for (p = 0; p < KBR_GM_PARTS; p++) {
		offset = kbr_gt_committed(gm->gt, p);
		kbr_gm_expect(gm, offset >= gm->acked[p] && offset <= gm->tried[p],
			      "partition %u is at %lld, committed was %lld, tried %lld", p, offset,
			      gm->acked[p], gm->tried[p]);
		/* one that was not acked may be there for good */
		gm->acked[p] = max(gm->acked[p], offset);
	}
}

static void kbr_gm_restart(struct kbr_gm *gm)
{
	struct kbr_gm_client *c;

	/* requests that wait end with their connections */
	for (c = gm->clients; c < gm->clients + KBR_GM_CLIENTS; c++) {
		kbr_group_wait_drop(&c->m.wait);
		if (c->state == KBR_GM_JOINING || c->state == KBR_GM_SYNCING)
			c->state = KBR_GM_OUT;
	}
	kbr_gt_restart(gm->gt, kbr_gm_once_in(gm, 2));
	kbr_gm_check_offsets(gm);
}

static void kbr_gm_step(struct kbr_gm *gm)
{
	struct kbr_gm_client *c = &gm->clients[prandom_u32_state(&gm->rnd) % KBR_GM_CLIENTS];

	kbr_gt_pass(gm->gt, prandom_u32_state(&gm->rnd) % 500);
	if (kbr_gm_once_in(gm, 100))
		kbr_gt_pass(gm->gt, KBR_GT_SESSION_MS + 1);
	if (kbr_gm_once_in(gm, 100)) {
		kbr_gm_restart(gm);
	} else if (kbr_gm_once_in(gm, 40)) {
		kbr_gm_forget(gm, c);	/* SIGKILL */
	} else if (c->state == KBR_GM_STABLE && kbr_gm_once_in(gm, 30)) {
		kbr_gt_leave(&c->m);
		kbr_gm_forget(gm, c);
	} else if (c->state == KBR_GM_STABLE && kbr_gm_once_in(gm, 30)) {
		c->state = KBR_GM_OUT;	/* its subscription changes: it joins again */
	} else if (c->state == KBR_GM_STABLE && kbr_gm_once_in(gm, 2)) {
		kbr_gm_commit(gm, c);
	} else {
		kbr_gm_go_on(gm, c);
	}
}

/* Are all members of one generation, and is every partition somebody's? */
static bool kbr_gm_settled(struct kbr_gm *gm)
{
	unsigned int i, dealt = 0, sum = 0;

	for (i = 0; i < KBR_GM_CLIENTS; i++) {
		if (gm->clients[i].state != KBR_GM_STABLE ||
		    gm->clients[i].m.generation != gm->clients[0].m.generation)
			return false;
		dealt |= gm->clients[i].mask;
		sum += hweight8(gm->clients[i].mask);
	}
	return dealt == GENMASK(KBR_GM_PARTS - 1, 0) && sum == KBR_GM_PARTS;
}

/* Nobody disturbs them any more. */
static void kbr_gm_settle(struct kbr_gm *gm)
{
	unsigned int round, i;

	for (round = 0; round < 500 && !kbr_gm_settled(gm) && !gm->failed; round++) {
		for (i = 0; i < KBR_GM_CLIENTS; i++)
			kbr_gm_go_on(gm, &gm->clients[i]);
		/* what the disk does is not by this clock */
		usleep_range(100, 200);
		kbr_gt_pass(gm->gt, 500);
	}
	kbr_gm_expect(gm, kbr_gm_settled(gm), "the group does not come to rest, its state is %d",
		      (int)kbr_gt_state(gm->gt));
	kbr_gm_check_offsets(gm);
}

static bool kbr_gm_run(struct kunit *test, u64 seed)
{
	struct kbr_gm *gm = kunit_kzalloc(test, sizeof(*gm), GFP_KERNEL);
	unsigned int i;
	bool failed;

	KUNIT_ASSERT_NOT_NULL(test, gm);
	gm->test = test;
	gm->seed = seed;
	gm->gt = kbr_gt_begin(test, "500");
	prandom_seed_state(&gm->rnd, seed);
	for (i = 0; i < KBR_GM_CLIENTS; i++) {
		gm->clients[i].m.gt = gm->gt;
		snprintf(gm->instances[i], sizeof(gm->instances[i]), "s%u", i);
		if (i >= KBR_GM_STATIC)
			gm->clients[i].m.instance = gm->instances[i];
	}
	for (i = 0; i < KBR_GM_PARTS; i++) {
		gm->tried[i] = -1;
		gm->acked[i] = -1;
	}
	for (i = 0; i < KBR_GM_STEPS && !gm->failed; i++)
		kbr_gm_step(gm);
	if (!gm->failed)
		kbr_gm_settle(gm);
	failed = gm->failed;
	for (i = 0; i < KBR_GM_CLIENTS; i++)
		kbr_group_wait_drop(&gm->clients[i].m.wait);
	kbr_gt_end(gm->gt);
	kunit_kfree(test, gm);
	return !failed;
}

static void kbr_gm_test(struct kunit *test)
{
	u64 first = group_seed ?: get_random_u32(), seed;

	kunit_info(test, "seeds from %llu on\n", first);
	for (seed = first; seed < first + (group_seed ? 1 : KBR_GM_SEEDS); seed++)
		if (!kbr_gm_run(test, seed))
			return;
}

static struct kunit_case kbr_gm_cases[] = {
	KUNIT_CASE(kbr_gm_test),
	{}
};

static struct kunit_suite kbr_gm_suite = {
	.name = "kbroker_group_model",
	.exit = kbr_gt_exit,
	.test_cases = kbr_gm_cases,
};

kunit_test_suite(kbr_gm_suite);
