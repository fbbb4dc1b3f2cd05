// SPDX-License-Identifier: GPL-2.0-only
/*
 * The controller's decisions: single rules, and a model of a partition's whole
 * life in which no committed record may be missing from a leader's log.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "decide.h"
#include "tap.h"

static struct kbd_brokers brokers;

static void have_brokers(unsigned int count)
{
	unsigned int i;

	memset(&brokers, 0, sizeof(brokers));
	brokers.count = count;
	for (i = 0; i < count; i++)
		brokers.broker[i] = (struct kbd_broker) { .id = i + 1, .epoch = i + 1 };
}

static struct kbd_broker *broker(s32 id)
{
	return kbd_broker_find(&brokers, id);
}

static struct kbd_set set_of(unsigned int count, ...)
{
	struct kbd_set set = { 0 };
	unsigned int i;
	va_list args;

	va_start(args, count);
	for (i = 0; i < count; i++)
		kbd_set_add(&set, va_arg(args, int));
	va_end(args);
	return set;
}

#define SET(...) set_of(sizeof((int []){ __VA_ARGS__ }) / sizeof(int), __VA_ARGS__)

static void expect_set(const struct kbd_set *got, struct kbd_set want)
{
	int i;

	if (!expect_eq(got->count, want.count))
		return;
	for (i = 0; i < want.count; i++)
		expect(kbd_set_has(got, want.id[i]));
}

static void expect_holds(const struct kbd_partition *part)
{
	const char *wrong = kbd_partition_check(part, &brokers);

	if (wrong)
		tap_fail(__FILE__, __LINE__, "%s", wrong);
}

static struct kbd_partition three(u8 min_isr)
{
	struct kbd_set replicas = SET(1, 2, 3);
	struct kbd_partition part;

	have_brokers(4);
	expect_eq(kbd_partition_init(&part, &brokers, &replicas, min_isr), KBD_OK);
	expect_eq(part.leader, 1);
	expect_set(&part.isr, SET(1, 2, 3));
	return part;
}

static void fence(struct kbd_partition *part, s32 id, bool fenced)
{
	broker(id)->fenced = fenced;
	kbd_partition_update(part, &brokers);
	expect_holds(part);
}

static void test_election(void)
{
	struct kbd_partition part = three(2);

	fence(&part, 1, true);
	expect_eq(part.leader, 2);
	expect_eq(part.leader_epoch, 1);
	expect_set(&part.isr, SET(2, 3));
	expect_eq(part.elr.count, 0);
	/* who comes back is no leader, and must catch up first */
	fence(&part, 1, false);
	expect_eq(part.leader, 2);
	expect_set(&part.isr, SET(2, 3));
	expect_eq(kbd_partition_preferred(&part, &brokers), KBD_NO_BROKER);
	expect(!kbd_partition_update(&part, &brokers));
}

static void test_eligible(void)
{
	struct kbd_partition part = three(2);

	fence(&part, 2, true);
	fence(&part, 3, true);
	/* too few: what leaves now has all that was committed */
	expect_set(&part.isr, SET(1));
	expect_set(&part.elr, SET(3));
	fence(&part, 1, true);
	expect_eq(part.leader, KBD_NO_BROKER);
	expect_eq(part.isr.count, 0);
	expect_set(&part.elr, SET(1, 3));
	/* 2 left when there were enough: it may lack records */
	fence(&part, 2, false);
	expect_eq(part.leader, KBD_NO_BROKER);
	fence(&part, 3, false);
	expect_eq(part.leader, 3);
	expect_set(&part.isr, SET(3));
	expect_set(&part.elr, SET(1));
}

static void test_unclean(void)
{
	struct kbd_partition part = three(1);

	part.unclean = true;
	fence(&part, 2, true);
	fence(&part, 3, true);
	fence(&part, 1, true);
	expect_set(&part.elr, SET(1));
	fence(&part, 2, false);
	expect_eq(part.leader, 2);
	expect_eq(part.elr.count, 0);
}

static void test_forget(void)
{
	struct kbd_partition part = three(2);

	/* an unclean stop matters where acknowledged records may be in memory only */
	expect(!kbd_partition_forget(&part, 1, false));
	part.async = true;
	expect(kbd_partition_forget(&part, 1, false));
	kbd_partition_update(&part, &brokers);
	expect_eq(part.leader, 2);
	expect_set(&part.isr, SET(2, 3));
	expect_holds(&part);

	/* the last one keeps what it has, unless its disk is another one */
	part = three(1);
	part.async = true;
	fence(&part, 2, true);
	fence(&part, 3, true);
	expect(!kbd_partition_forget(&part, 1, false));
	expect(kbd_partition_forget(&part, 1, true));
	kbd_partition_update(&part, &brokers);
	expect_eq(part.leader, KBD_NO_BROKER);
	expect_holds(&part);
}

static enum kbd_refusal lose(struct kbd_partition *part, s32 id)
{
	struct kbd_loss loss = { .id = id, .broker_epoch = broker(id) ? broker(id)->epoch : 0,
		.partition_epoch = part->partition_epoch };

	return kbd_partition_lose(part, &brokers, &loss);
}

static void test_lose(void)
{
	struct kbd_partition part = three(2);
	struct kbd_loss loss = { .id = 3, .broker_epoch = 2 };

	expect_eq(kbd_partition_lose(&part, &brokers, &loss), KBD_FENCED_EPOCH);
	loss = (struct kbd_loss) { .id = 3, .broker_epoch = 3, .partition_epoch = 7 };
	expect_eq(kbd_partition_lose(&part, &brokers, &loss), KBD_STALE);
	expect_eq(lose(&part, 4), KBD_INVALID);
	/* a follower: what the leader knows of it ends with the leader epoch */
	expect_eq(lose(&part, 3), KBD_OK);
	expect_eq(part.leader, 1);
	expect_eq(part.leader_epoch, 1);
	expect_eq(part.partition_epoch, 2);
	expect_set(&part.isr, SET(1, 2));
	expect_eq(part.elr.count, 0);
	expect_holds(&part);
	/* again, in no set: it may have been told nothing of the first time */
	expect_eq(lose(&part, 3), KBD_OK);
	expect_eq(part.leader_epoch, 2);
	/* the leader */
	expect_eq(lose(&part, 1), KBD_OK);
	expect_eq(part.leader, 2);
	expect(part.leader_epoch > 2);
	expect_set(&part.isr, SET(2));
	expect_eq(part.elr.count, 0);
	expect_holds(&part);
	/* the last one that has anything */
	expect_eq(lose(&part, 2), KBD_INELIGIBLE);
	expect_eq(part.leader, 2);
	/* another one has it, but nobody to copy it from is there */
	part = three(2);
	fence(&part, 2, true);
	fence(&part, 3, true);
	expect_set(&part.elr, SET(3));
	expect_eq(lose(&part, 1), KBD_INELIGIBLE);
	fence(&part, 3, false);
	expect_eq(lose(&part, 1), KBD_OK);
	expect_eq(part.leader, 3);
	expect_set(&part.isr, SET(3));
	expect_holds(&part);
}

static void test_change_isr(void)
{
	struct kbd_partition part = three(2);
	struct kbd_isr_change change = {
		.leader = 1, .broker_epoch = 1, .isr = SET(1, 2), .epochs = { 1, 2 },
	};

	change.leader = 2;
	expect_eq(kbd_partition_change_isr(&part, &brokers, &change), KBD_NOT_LEADER);
	change.leader = 1;
	change.broker_epoch = 0;
	expect_eq(kbd_partition_change_isr(&part, &brokers, &change), KBD_FENCED_EPOCH);
	change.broker_epoch = 1;
	change.leader_epoch = -1;
	expect_eq(kbd_partition_change_isr(&part, &brokers, &change), KBD_FENCED_EPOCH);
	change.leader_epoch = 0;
	change.partition_epoch = 7;
	expect_eq(kbd_partition_change_isr(&part, &brokers, &change), KBD_STALE);
	change.partition_epoch = 0;
	change.isr = SET(1, 4);
	expect_eq(kbd_partition_change_isr(&part, &brokers, &change), KBD_INVALID);
	change.isr = SET(1, 2, 3);
	expect_eq(kbd_partition_change_isr(&part, &brokers, &change), KBD_INELIGIBLE);
	/* the same change, sent twice, comes too late */
	expect_eq(kbd_partition_change_isr(&part, &brokers, &change), KBD_STALE);
	change.partition_epoch = 1;
	change.epochs[2] = 3;
	expect_eq(kbd_partition_change_isr(&part, &brokers, &change), KBD_NOTHING);
	change.isr = SET(1, 2);
	expect_eq(kbd_partition_change_isr(&part, &brokers, &change), KBD_OK);
	expect_set(&part.isr, SET(1, 2));
	expect_eq(part.leader_epoch, 0);
	expect_eq(part.partition_epoch, 2);
	expect_holds(&part);

	/* 3 was registered anew since the leader heard of it */
	broker(3)->epoch = 9;
	change = (struct kbd_isr_change) { .leader = 1, .broker_epoch = 1, .partition_epoch = 2,
		.isr = SET(1, 2, 3), .epochs = { 1, 2, 3 } };
	expect_eq(kbd_partition_change_isr(&part, &brokers, &change), KBD_INELIGIBLE);
	/* nor does one join whose life the leader does not know */
	change.partition_epoch = 3;
	change.epochs[2] = -1;
	expect_eq(kbd_partition_change_isr(&part, &brokers, &change), KBD_INELIGIBLE);
	change.partition_epoch = 4;
	change.epochs[1] = -1;
	change.epochs[2] = 9;
	expect_eq(kbd_partition_change_isr(&part, &brokers, &change), KBD_OK);
	expect_set(&part.isr, SET(1, 2, 3));
}

static void test_resign(void)
{
	struct kbd_partition part = three(2);
	struct kbd_isr_change change = { .leader = 1, .broker_epoch = 1, .isr = SET(2, 3),
		.epochs = { -1, -1 } };

	expect_eq(kbd_partition_change_isr(&part, &brokers, &change), KBD_OK);
	expect_eq(part.leader, 2);
	expect_eq(part.leader_epoch, 1);
	expect_set(&part.isr, SET(2, 3));
	expect_holds(&part);
	/* too few are left: it has what was committed */
	change = (struct kbd_isr_change) { .leader = 2, .broker_epoch = 2, .leader_epoch = 1,
		.partition_epoch = part.partition_epoch, .isr = SET(3), .epochs = { -1 } };
	expect_eq(kbd_partition_change_isr(&part, &brokers, &change), KBD_OK);
	expect_eq(part.leader, 3);
	expect_set(&part.elr, SET(2));
	expect_holds(&part);
	/* the last one: nobody else has it all, so that it is asked again */
	part.elr.count = 0;
	change = (struct kbd_isr_change) { .leader = 3, .broker_epoch = 3, .leader_epoch = 2,
		.partition_epoch = part.partition_epoch };
	expect_eq(kbd_partition_change_isr(&part, &brokers, &change), KBD_OK);
	expect_eq(part.leader, 3);
	expect(part.leader_epoch > 2);
	expect_holds(&part);
	/* who does not wait for disks lost what the others have */
	part = three(3);
	part.async = true;
	change = (struct kbd_isr_change) { .leader = 1, .broker_epoch = 1, .isr = SET(2, 3),
		.epochs = { 2, 3 } };
	expect_eq(kbd_partition_change_isr(&part, &brokers, &change), KBD_OK);
	expect_eq(part.leader, 2);
	expect(!kbd_set_has(&part.elr, 1));
	/* it leaves nobody in who was not */
	change = (struct kbd_isr_change) { .leader = 2, .broker_epoch = 2, .leader_epoch = 1,
		.partition_epoch = part.partition_epoch, .isr = SET(1) };
	expect_eq(kbd_partition_change_isr(&part, &brokers, &change), KBD_INVALID);
}

static void test_shutdown(void)
{
	struct kbd_partition part = three(2);

	broker(1)->stopping = true;
	expect(kbd_partition_update(&part, &brokers));
	expect_eq(part.leader, 2);
	expect_set(&part.isr, SET(2, 3));
	expect_holds(&part);

	/* nobody else is in sync: it leads to its end */
	part = three(1);
	fence(&part, 2, true);
	fence(&part, 3, true);
	broker(1)->stopping = true;
	kbd_partition_update(&part, &brokers);
	expect_eq(part.leader, 1);
	expect_holds(&part);
}

static void test_preferred(void)
{
	struct kbd_partition part = three(2);

	expect_eq(kbd_partition_move_leader(&part, &brokers, 1, 3), KBD_OK);
	expect_eq(part.leader, 3);
	expect_eq(part.leader_epoch, 1);
	expect_eq(kbd_partition_preferred(&part, &brokers), 1);
	expect_eq(kbd_partition_move_leader(&part, &brokers, 1, 3), KBD_NOTHING);
	expect_eq(kbd_partition_move_leader(&part, &brokers, 3, 4), KBD_INELIGIBLE);
	expect_eq(kbd_partition_move_leader(&part, &brokers, 3, 1), KBD_OK);
	expect_eq(part.leader, 1);
}

static void test_reassign(void)
{
	struct kbd_set target = SET(4, 2);
	struct kbd_partition part = three(2);
	struct kbd_isr_change change;

	expect_eq(kbd_partition_reassign(&part, &brokers, &target), KBD_OK);
	expect_set(&part.replicas, SET(4, 2, 1, 3));
	expect_eq(part.leader, 1);
	expect_holds(&part);
	change = (struct kbd_isr_change) { .leader = 1, .broker_epoch = 1,
		.partition_epoch = part.partition_epoch,
		.isr = SET(1, 2, 3, 4), .epochs = { 1, 2, 3, 4 } };
	expect_eq(kbd_partition_change_isr(&part, &brokers, &change), KBD_OK);
	expect_set(&part.replicas, SET(4, 2));
	expect_set(&part.isr, SET(4, 2));
	expect_eq(part.leader, 4);
	expect_eq(part.target.count, 0);
	expect_holds(&part);

	/* and one that is taken back */
	part = three(2);
	kbd_partition_reassign(&part, &brokers, &target);
	target = SET(1, 2, 3);
	expect_eq(kbd_partition_reassign(&part, &brokers, &target), KBD_OK);
	expect_set(&part.replicas, SET(1, 2, 3));
	expect_eq(part.target.count, 0);
	expect_eq(part.leader, 1);
	target = SET(1, 9);
	expect_eq(kbd_partition_reassign(&part, &brokers, &target), KBD_INELIGIBLE);
	target.count = 0;
	expect_eq(kbd_partition_reassign(&part, &brokers, &target), KBD_INVALID);
}

static void test_place(void)
{
	unsigned int leads[7] = { 0 }, i, j;
	struct kbd_set replicas;

	have_brokers(6);
	for (i = 0; i < 6; i++)
		snprintf(brokers.broker[i].rack, sizeof(brokers.broker[i].rack), "r%u", i / 2);
	for (i = 0; i < 60; i++) {
		bool rack[3] = { false };

		expect_eq(kbd_place(&brokers, 5, i, 3, &replicas), KBD_OK);
		expect_eq(replicas.count, 3);
		leads[replicas.id[0]]++;
		for (j = 0; j < 3; j++)
			rack[(replicas.id[j] - 1) / 2] = true;
		expect(rack[0] && rack[1] && rack[2]);
	}
	for (i = 1; i <= 6; i++)
		expect_eq(leads[i], 10);
	broker(2)->fenced = true;
	expect_eq(kbd_place(&brokers, 0, 0, 6, &replicas), KBD_TOO_FEW);
	expect_eq(kbd_place(&brokers, 0, 0, 5, &replicas), KBD_OK);
	expect(!kbd_set_has(&replicas, 2));
	expect_eq(kbd_place(&brokers, 0, 0, 0, &replicas), KBD_TOO_FEW);
}

/* ---- a partition's life ---- */

#define LOG_MAX		400
#define NODES		4

/* A replica's log: which record is at each offset, and when its broker was registered */
static struct {
	int record[LOG_MAX];
	int end;
} logs[NODES + 1];

static int committed[LOG_MAX], committed_end, next_record;
/* Where the leader's log ended when it began to lead */
static int epoch_start;

/* How much of the leader's log a replica has: what a leader learns from its fetches */
static int has(const struct kbd_partition *part, s32 id)
{
	int at = 0;

	while (at < logs[id].end && at < logs[part->leader].end &&
	       logs[id].record[at] == logs[part->leader].record[at])
		at++;
	return at;
}

/* The leader commits what all of the ISR have, if these are enough. */
static void commit(const struct kbd_partition *part)
{
	int end = LOG_MAX, i;

	if (part->leader == KBD_NO_BROKER || part->isr.count < part->min_isr)
		return;
	for (i = 0; i < part->isr.count; i++)
		if (has(part, part->isr.id[i]) < end)
			end = has(part, part->isr.id[i]);
	for (; committed_end < end; committed_end++)
		committed[committed_end] = logs[part->leader].record[committed_end];
}

static bool leader_has_all(const struct kbd_partition *part)
{
	const int *record = logs[part->leader].record;

	return logs[part->leader].end >= committed_end &&
	       !memcmp(record, committed, committed_end * sizeof(*committed));
}

/* A replica fetches: what differs from the leader's log is cut, as by leader epochs. */
static void fetch(const struct kbd_partition *part, s32 id)
{
	int at = has(part, id), more = 1 + tap_random_below(3);

	while (more-- && at < logs[part->leader].end) {
		logs[id].record[at] = logs[part->leader].record[at];
		at++;
	}
	logs[id].end = at;
}

/* The leader drops a member, or takes in one that has what is committed and what it began with. */
static void ask_isr(struct kbd_partition *part, s32 id)
{
	struct kbd_isr_change change = {
		.leader = part->leader,
		.broker_epoch = broker(part->leader)->epoch,
		.leader_epoch = part->leader_epoch,
		.partition_epoch = part->partition_epoch,
		.isr = part->isr,
	};
	int i;

	if (!kbd_set_del(&change.isr, id)) {
		if (has(part, id) < committed_end || has(part, id) < epoch_start)
			return;
		kbd_set_add(&change.isr, id);
	}
	for (i = 0; i < change.isr.count; i++)
		change.epochs[i] = broker(change.isr.id[i])->epoch;
	kbd_partition_change_isr(part, &brokers, &change);
}

static void live(struct kbd_partition *part, unsigned int steps)
{
	s64 epoch = 100;

	epoch_start = 0;
	while (steps--) {
		s32 id = 1 + tap_random_below(NODES), leader = part->leader;
		s32 leader_epoch = part->leader_epoch;
		bool alive = !broker(id)->fenced;
		struct kbd_set target;

		switch (tap_random_below(13)) {
		case 0 ... 2:
			if (leader != KBD_NO_BROKER && logs[leader].end < LOG_MAX)
				logs[leader].record[logs[leader].end++] = ++next_record;
			break;
		case 3 ... 6:
			if (alive && leader != KBD_NO_BROKER && id != leader &&
			    kbd_set_has(&part->replicas, id))
				fetch(part, id);
			break;
		case 7:
			if (alive && leader != KBD_NO_BROKER && id != leader)
				ask_isr(part, id);
			break;
		case 8:
			broker(id)->fenced = true;
			break;
		case 9:
			broker(id)->fenced = false;
			broker(id)->stopping = false;
			broker(id)->epoch = ++epoch;
			break;
		case 10:
			broker(id)->stopping = true;
			break;
		case 11:
			if (tap_random_below(4)) {
				kbd_partition_move_leader(part, &brokers, leader, KBD_NO_BROKER);
				break;
			}
			target = SET(id, 1 + (id + tap_random_below(2)) % NODES);
			kbd_partition_reassign(part, &brokers, &target);
			break;
		case 12:
			/* it begins anew once it is told, not sooner */
			if (alive && lose(part, id) == KBD_OK)
				logs[id].end = 0;
			break;
		}
		kbd_partition_update(part, &brokers);
		expect_holds(part);
		if (part->leader != KBD_NO_BROKER && part->leader_epoch != leader_epoch)
			epoch_start = logs[part->leader].end;
		if (part->leader != KBD_NO_BROKER && !leader_has_all(part)) {
			tap_fail(__FILE__, __LINE__, "%d leads in epoch %d without all of %d records",
				 part->leader, part->leader_epoch, committed_end);
			return;
		}
		commit(part);
	}
}

static void test_life(void)
{
	unsigned int life;

	for (life = 0; life < 2000; life++) {
		struct kbd_partition part = three(1 + life % 3);

		tap_context("life %u", life);
		memset(logs, 0, sizeof(logs));
		committed_end = 0;
		live(&part, 300);
	}
}

const struct tap_case decide_cases[] = {
	{ "decide: clean election in assignment order", test_election },
	{ "decide: eligible leader replicas", test_eligible },
	{ "decide: unclean election only where it is allowed", test_unclean },
	{ "decide: whose disk is gone is not trusted", test_forget },
	{ "decide: a replica is lost", test_lose },
	{ "decide: changes of the in-sync set", test_change_isr },
	{ "decide: a leader resigns", test_resign },
	{ "decide: a shutdown moves leadership first", test_shutdown },
	{ "decide: the preferred leader", test_preferred },
	{ "decide: reassignment, done and taken back", test_reassign },
	{ "decide: placement over racks", test_place },
	{ "decide: no leader ever lacks a committed record", test_life },
	{ NULL, NULL }
};
