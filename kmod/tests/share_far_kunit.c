// SPDX-License-Identifier: GPL-2.0-only
/*
 * Shares of a cluster: the coordinator with nodes that are played by the test, and
 * the mirror of a node whose coordinator is the test, or the broker itself. What
 * real brokers make of it is the selftests'.
 */
#include <kunit/test.h>
#include <linux/prandom.h>
#include <linux/slab.h>

#include "broker/replica.h"
#include "broker/share_far.h"
#include "codec/kafka_error.h"
#include "group_test.h"

#define KBR_SF_PARTS	8
#define KBR_SF_EPOCH	5
#define KBR_SF_NODES	3
#define KBR_SF_SEEDS	40
#define KBR_SF_STEPS	300

/**
 * struct kbr_sf_node - a node as the test plays it
 * @id: node.id
 * @sequence: of its last STATE
 * @members: how many
 * @grant: of each partition, 0 none
 * @counted: of each
 * @wanted: the coordinator wants it back
 * @let_go: it has let go of it
 * @heard: sequence of the last GRANT
 * @asked: it was an ASK
 * @synced: of the last GRANT
 */
struct kbr_sf_node {
	s32 id;
	u64 sequence;
	u32 members;
	u64 grant[KBR_SF_PARTS];
	s64 counted[KBR_SF_PARTS];
	bool wanted[KBR_SF_PARTS];
	bool let_go[KBR_SF_PARTS];
	u64 heard;
	bool asked;
	u64 synced;
};

/**
 * struct kbr_sf_test - the fixture
 * @gt: a broker, group "g", topic "t"
 * @topic: "t"
 * @nodes: 11, 12, 13
 * @w: the last message
 */
struct kbr_sf_test {
	struct kbr_group_test *gt;
	struct kbr_topic *topic;
	struct kbr_sf_node nodes[KBR_SF_NODES];
	struct kbr_wire_writer w;
};

static void kbr_sf_begin(struct kunit *test, struct kbr_sf_test *st)
{
	unsigned int i;

	memset(st, 0, sizeof(*st));
	st->gt = kbr_gt_begin(test, "0");
	st->topic = kbr_topic_lookup(st->gt->broker, "t");
	KUNIT_ASSERT_NOT_NULL(test, st->topic);
	kbr_wire_writer_init(&st->w, 1 << 20, false);
	for (i = 0; i < KBR_SF_NODES; i++)
		st->nodes[i].id = 11 + i;
	st->gt->broker->groups->logs[st->gt->group->partition].epoch = KBR_SF_EPOCH;
}

static void kbr_sf_finish(struct kbr_sf_test *st)
{
	kbr_wire_writer_free(&st->w);
	kbr_topic_put(st->topic);
	kbr_gt_end(st->gt);
}

static struct kbr_share *kbr_sf_share(struct kbr_sf_test *st)
{
	return list_first_entry_or_null(&st->gt->group->shares, struct kbr_share, node);
}

static void kbr_sf_put_head(struct kbr_sf_test *st, u8 kind, u64 sequence, u64 synced, u32 members,
			    s32 epoch)
{
	struct kbr_share_message message = {
		.kind = kind,
		.group = kbr_gt_str("g"),
		.topic = kbr_gt_str("t"),
		.epoch = epoch,
		.sequence = sequence,
		.synced = synced,
		.members = members,
	};

	memcpy(message.topic_id, st->topic->id, sizeof(message.topic_id));
	st->w.len = 0;
	st->w.err = 0;
	kbr_share_put_head(&st->w, &message);
}

/* @node says what it has; Kafka's error */
static s16 kbr_sf_say(struct kbr_sf_test *st, struct kbr_sf_node *node, bool sync)
{
	struct kbr_share_reader reader = { .pid = 1, .comm = "cat" };
	struct kbr_wire_reader r;
	u32 i, count = 0;
	size_t at;

	node->sequence++;
	kbr_sf_put_head(st, KBR_SHARE_STATE, node->sequence, sync ? node->sequence : 0,
			node->members, 0);
	kbr_put_count(&st->w, node->members);
	for (i = 0; i < node->members; i++)
		kbr_share_put_reader(&st->w, &reader);
	at = kbr_put_open_count(&st->w);
	for (i = 0; i < KBR_SF_PARTS; i++) {
		struct kbr_share_item item = {
			.partition = i,
			.grant = node->grant[i],
			.flags = node->let_go[i] ? KBR_SHARE_LET_GO : 0,
			.offset = node->counted[i],
			.reader = node->members ? 0 : -1,
		};

		if (!node->grant[i])
			continue;
		kbr_share_put_item(&st->w, &item);
		count++;
	}
	kbr_wire_writer_patch_count(&st->w, at, count);
	kbr_wire_reader_init(&r, st->w.buf, st->w.len, false);
	if (kbr_share_check(&r))
		return KBR_KAFKA_INVALID_REQUEST;
	return kbr_share_receive(st->gt->broker, node->id, 1, &r);
}

/* Take what the coordinator says to @node, which answers @code; false: nothing */
static bool kbr_sf_hear(struct kbr_sf_test *st, struct kbr_sf_node *node, s16 code)
{
	bool named[KBR_SF_PARTS] = { };
	struct kbr_share_message message;
	struct kbr_share_letter *letter;
	struct kbr_share_item item;
	struct kbr_wire_reader r;
	s32 count;
	u32 i;

	st->w.len = 0;
	letter = kbr_share_next(st->gt->broker, node->id, &st->w);
	if (!letter)
		return false;
	kbr_wire_reader_init(&r, st->w.buf, st->w.len, false);
	if (kbr_share_check(&r))
		return false;
	kbr_share_get_head(&r, &message);
	node->heard = message.sequence;
	node->synced = message.synced;
	node->asked = message.kind == KBR_SHARE_ASK;
	kbr_get_count(&r);
	for (count = kbr_get_count(&r); count > 0; count--) {
		kbr_share_get_item(&r, &item);
		i = item.partition;
		named[i] = true;
		node->wanted[i] = item.flags & KBR_SHARE_WANTED;
		if (node->grant[i] == item.grant)
			continue;
		node->grant[i] = item.grant;
		node->counted[i] = item.offset;
		node->let_go[i] = false;
	}
	for (i = 0; i < KBR_SF_PARTS && !node->asked; i++) {
		if (named[i])
			continue;
		node->grant[i] = 0;
		node->let_go[i] = false;
	}
	kbr_share_answered(st->gt->broker, letter, code);
	return true;
}

/* What @node has and has not let go of */
static u32 kbr_sf_has(const struct kbr_sf_node *node)
{
	u32 i, count = 0;

	for (i = 0; i < KBR_SF_PARTS; i++)
		count += node->grant[i] && !node->let_go[i];
	return count;
}

/* It lets go of what is wanted, or of all if it has no members. */
static void kbr_sf_let_go(struct kbr_sf_node *node)
{
	u32 i;

	for (i = 0; i < KBR_SF_PARTS; i++)
		if (node->grant[i] && (node->wanted[i] || !node->members))
			node->let_go[i] = true;
}

/* All say and hear until there is nothing more. */
static bool kbr_sf_settle(struct kbr_sf_test *st)
{
	unsigned int n, rounds = 0;
	bool more;

	do {
		more = false;
		for (n = 0; n < KBR_SF_NODES; n++) {
			if (!kbr_sf_hear(st, &st->nodes[n], 0))
				continue;
			more = true;
			kbr_sf_let_go(&st->nodes[n]);
			kbr_sf_say(st, &st->nodes[n], false);
		}
	} while (more && rounds++ < 50);
	return !more;
}

/* The share without its clock: the peers that it would look at are none. */
static void kbr_sf_stop_watch(struct kbr_sf_test *st)
{
	struct kbr_share *share = kbr_sf_share(st);

	if (share && cancel_delayed_work_sync(&share->lead->watch))
		kbr_share_put(share);
}

/* @node as the coordinator has it */
static struct kbr_share_node *kbr_sf_node_at(struct kbr_sf_test *st, const struct kbr_sf_node *node)
{
	struct kbr_share_member *member;

	list_for_each_entry(member, &kbr_sf_share(st)->members, node) {
		struct kbr_share_node *at = container_of(member, struct kbr_share_node, member);

		if (at->id == node->id)
			return at;
	}
	return NULL;
}

static bool kbr_sf_one_owner(struct kbr_sf_test *st)
{
	unsigned int i, n, owners;

	for (i = 0; i < KBR_SF_PARTS; i++) {
		owners = 0;
		for (n = 0; n < KBR_SF_NODES; n++)
			owners += st->nodes[n].grant[i] && !st->nodes[n].let_go[i];
		if (owners > 1)
			return false;
	}
	return true;
}

/* Nodes have partitions by their members; one is granted again once it was let go of. */
static void kbr_sf_test_lead(struct kunit *test)
{
	struct kbr_sf_node *a, *b, *c;
	struct kbr_sf_test st;
	u32 i;

	kbr_sf_begin(test, &st);
	a = &st.nodes[0];
	b = &st.nodes[1];
	c = &st.nodes[2];
	a->members = 1;
	KUNIT_EXPECT_EQ(test, kbr_sf_say(&st, a, false), 0);
	kbr_sf_stop_watch(&st);
	KUNIT_ASSERT_TRUE(test, kbr_sf_hear(&st, a, 0));
	KUNIT_EXPECT_EQ(test, kbr_sf_has(a), KBR_SF_PARTS);
	KUNIT_EXPECT_EQ(test, st.gt->group->devices, 1U);
	a->counted[0] = 7;

	/* three members there: three of four parts are wanted back, and not granted before */
	b->members = 3;
	KUNIT_EXPECT_EQ(test, kbr_sf_say(&st, b, false), 0);
	KUNIT_ASSERT_TRUE(test, kbr_sf_hear(&st, b, 0));
	KUNIT_EXPECT_EQ(test, kbr_sf_has(b), 0U);
	KUNIT_ASSERT_TRUE(test, kbr_sf_hear(&st, a, 0));
	for (i = 0; i < KBR_SF_PARTS; i++)
		a->let_go[i] = a->wanted[i];
	KUNIT_EXPECT_EQ(test, kbr_sf_has(a), 2U);
	KUNIT_EXPECT_EQ(test, kbr_sf_say(&st, a, false), 0);
	KUNIT_ASSERT_TRUE(test, kbr_sf_settle(&st));
	KUNIT_EXPECT_EQ(test, kbr_sf_has(b), 6U);
	KUNIT_EXPECT_EQ(test, st.gt->group->devices, 4U);

	/* an old word counts for nothing, nor does a position that goes back */
	c->members = 1;
	c->grant[0] = a->grant[0] ?: b->grant[0];
	c->counted[0] = 100;
	KUNIT_EXPECT_EQ(test, kbr_sf_say(&st, c, false), 0);
	KUNIT_EXPECT_EQ(test, kbr_sf_share(&st)->parts[0]->counted, 7);
	KUNIT_ASSERT_TRUE(test, kbr_sf_settle(&st));
	KUNIT_EXPECT_TRUE(test, kbr_sf_one_owner(&st));
	for (i = 0; i < KBR_SF_NODES; i++)
		st.nodes[i].counted[0] = 3;
	for (i = 0; i < KBR_SF_NODES; i++)
		kbr_sf_say(&st, &st.nodes[i], false);
	KUNIT_EXPECT_EQ(test, kbr_sf_share(&st)->parts[0]->counted, 7);

	/* it leaves, and what it had goes to the others */
	b->members = 0;
	kbr_sf_let_go(b);
	KUNIT_EXPECT_EQ(test, kbr_sf_say(&st, b, false), 0);
	KUNIT_ASSERT_TRUE(test, kbr_sf_settle(&st));
	KUNIT_EXPECT_EQ(test, kbr_sf_has(a), 4U);
	KUNIT_EXPECT_EQ(test, kbr_sf_has(c), 4U);
	kbr_shares_end(st.gt->group);
	KUNIT_EXPECT_EQ(test, st.gt->group->devices, 0U);
	kbr_sf_finish(&st);
}

/* What was said with a wish for it is told to be on disk, once it is. */
static void kbr_sf_test_sync(struct kunit *test)
{
	struct kbr_sf_test st;
	struct kbr_sf_node *a;
	u32 i;

	kbr_sf_begin(test, &st);
	a = &st.nodes[0];
	a->members = 1;
	KUNIT_EXPECT_EQ(test, kbr_sf_say(&st, a, false), 0);
	kbr_sf_stop_watch(&st);
	KUNIT_ASSERT_TRUE(test, kbr_sf_settle(&st));
	for (i = 0; i < KBR_SF_PARTS; i++)
		a->counted[i] = 10 + i;
	KUNIT_EXPECT_EQ(test, kbr_sf_say(&st, a, true), 0);
	KUNIT_ASSERT_TRUE(test, kbr_gt_until(kbr_sf_hear(&st, a, 0)));
	KUNIT_EXPECT_EQ(test, a->synced, a->sequence);
	KUNIT_EXPECT_EQ(test, kbr_gt_committed(st.gt, 3), 13);
	/* there was nothing new: it is, already */
	KUNIT_EXPECT_EQ(test, kbr_sf_say(&st, a, true), 0);
	KUNIT_ASSERT_TRUE(test, kbr_gt_until(kbr_sf_hear(&st, a, 0) && a->synced == a->sequence));
	kbr_shares_end(st.gt->group);
	kbr_sf_finish(&st);
}

/* A coordinator that is new believes what nodes have, the newest word first, and nobody twice. */
static void kbr_sf_test_claims(struct kunit *test)
{
	struct kbr_sf_node *a, *b, *c;
	struct kbr_sf_test st;
	u32 i;

	kbr_sf_begin(test, &st);
	a = &st.nodes[0];
	b = &st.nodes[1];
	c = &st.nodes[2];
	/* nothing was granted yet, and not all have said what they have */
	c->members = 1;
	KUNIT_EXPECT_EQ(test, kbr_sf_say(&st, c, false), 0);
	kbr_sf_stop_watch(&st);
	KUNIT_ASSERT_TRUE(test, kbr_sf_hear(&st, c, 0));
	mutex_lock(&kbr_sf_share(&st)->lock);
	for (i = 0; i < KBR_SF_PARTS; i++) {
		kbr_share_part_release(kbr_sf_share(&st)->parts[i]);
		kbr_sf_share(&st)->parts[i]->moves = 0;
	}
	kbr_sf_share(&st)->lead->gathering = true;
	mutex_unlock(&kbr_sf_share(&st)->lock);
	memset(c->grant, 0, sizeof(c->grant));
	a->members = 1;
	b->members = 1;
	for (i = 0; i < 4; i++) {
		a->grant[i] = ((u64)(KBR_SF_EPOCH - 1) << 32) + 1 + i;
		a->counted[i] = 20;
		b->grant[i + 3] = ((u64)(KBR_SF_EPOCH - 1) << 32) + 10 + i;
		b->counted[i + 3] = 30;
	}
	/* c is waited for, as one that was asked and has not answered */
	kbr_sf_node_at(&st, c)->asked = true;
	kbr_sf_share(&st)->lead->gather_end = jiffies + 1000 * HZ;
	KUNIT_EXPECT_EQ(test, kbr_sf_say(&st, a, false), 0);
	KUNIT_ASSERT_TRUE(test, kbr_sf_hear(&st, a, 0));
	KUNIT_EXPECT_EQ(test, kbr_sf_has(a), 4U);
	KUNIT_EXPECT_EQ(test, kbr_sf_share(&st)->parts[3]->counted, 20);
	KUNIT_EXPECT_EQ(test, kbr_sf_say(&st, b, false), 0);
	KUNIT_ASSERT_TRUE(test, kbr_sf_hear(&st, b, 0));
	KUNIT_EXPECT_EQ(test, kbr_sf_has(b), 4U);
	KUNIT_EXPECT_EQ(test, kbr_sf_share(&st)->parts[3]->counted, 30);
	/* partition 3 is b's by the newer word */
	KUNIT_ASSERT_TRUE(test, kbr_sf_hear(&st, a, 0));
	KUNIT_EXPECT_EQ(test, kbr_sf_has(a), 3U);
	KUNIT_EXPECT_TRUE(test, kbr_sf_one_owner(&st));
	/* the last one answers: what is left is shared out, and a claim comes too late */
	KUNIT_EXPECT_EQ(test, kbr_sf_say(&st, c, false), 0);
	KUNIT_ASSERT_TRUE(test, kbr_sf_settle(&st));
	c->grant[7] = ((u64)(KBR_SF_EPOCH - 1) << 32) + 99;
	c->counted[7] = 1000;
	KUNIT_EXPECT_EQ(test, kbr_sf_say(&st, c, false), 0);
	KUNIT_EXPECT_EQ(test, kbr_sf_share(&st)->parts[7]->counted, -1);
	KUNIT_ASSERT_TRUE(test, kbr_sf_settle(&st));
	KUNIT_EXPECT_TRUE(test, kbr_sf_one_owner(&st));
	KUNIT_EXPECT_EQ(test, kbr_sf_has(a) + kbr_sf_has(b) + kbr_sf_has(c), KBR_SF_PARTS);
	kbr_shares_end(st.gt->group);
	kbr_sf_finish(&st);
}

/* A node whose connection ends and does not come back, and one that is older than it was. */
static void kbr_sf_test_lost(struct kunit *test)
{
	struct kbr_sf_node *a, *b;
	struct kbr_sf_test st;

	kbr_sf_begin(test, &st);
	a = &st.nodes[0];
	b = &st.nodes[1];
	a->members = 1;
	b->members = 1;
	KUNIT_EXPECT_EQ(test, kbr_sf_say(&st, a, false), 0);
	kbr_sf_stop_watch(&st);
	KUNIT_EXPECT_EQ(test, kbr_sf_say(&st, b, false), 0);
	KUNIT_ASSERT_TRUE(test, kbr_sf_settle(&st));
	KUNIT_EXPECT_EQ(test, kbr_sf_has(a), 4U);
	/* it answers, and is as it was, but for what was said before */
	kbr_share_lost(st.gt->broker, b->id, NULL);
	kbr_sf_stop_watch(&st);
	KUNIT_EXPECT_TRUE(test, kbr_sf_hear(&st, b, 0));
	KUNIT_EXPECT_EQ(test, kbr_sf_has(b), 4U);
	b->sequence -= 2;
	b->members = 5;
	KUNIT_EXPECT_EQ(test, kbr_sf_say(&st, b, false), 0);
	KUNIT_EXPECT_EQ(test, st.gt->group->devices, 2U);
	/* it does not know of any members */
	kbr_share_lost(st.gt->broker, b->id, NULL);
	kbr_sf_stop_watch(&st);
	KUNIT_EXPECT_TRUE(test, kbr_sf_hear(&st, b, KBR_KAFKA_UNKNOWN_MEMBER_ID));
	memset(b->grant, 0, sizeof(b->grant));
	KUNIT_ASSERT_TRUE(test, kbr_sf_settle(&st));
	KUNIT_EXPECT_EQ(test, kbr_sf_has(a), KBR_SF_PARTS);
	/* nothing is heard of it in time */
	kbr_share_lost(st.gt->broker, a->id, NULL);
	KUNIT_EXPECT_TRUE(test, kbr_gt_until(!READ_ONCE(st.gt->group->devices)));
	kbr_shares_end(st.gt->group);
	kbr_sf_finish(&st);
}

/* Clients in the group keep devices of other nodes out, and the other way round. */
static void kbr_sf_test_kinds(struct kunit *test)
{
	struct kbr_gt_member member;
	struct kbr_sf_test st;

	kbr_sf_begin(test, &st);
	member = (struct kbr_gt_member) { .gt = st.gt };
	kbr_gt_stable(test, &member);
	st.nodes[0].members = 1;
	KUNIT_EXPECT_EQ(test, kbr_sf_say(&st, &st.nodes[0], false),
			KBR_KAFKA_INCONSISTENT_GROUP_PROTOCOL);
	kbr_sf_finish(&st);
}

/* One step of the model: somebody reads, joins, leaves, says or hears. */
static void kbr_sf_step(struct kbr_sf_test *st, struct rnd_state *rnd)
{
	struct kbr_sf_node *node = &st->nodes[prandom_u32_state(rnd) % KBR_SF_NODES];
	u32 i = prandom_u32_state(rnd) % KBR_SF_PARTS;

	switch (prandom_u32_state(rnd) % 8) {
	case 0:
		node->members = prandom_u32_state(rnd) % 4;
		break;
	case 1:
	case 2:
		if (node->grant[i] && !node->let_go[i])
			node->counted[i]++;
		break;
	case 3:
		kbr_sf_let_go(node);
		break;
	case 4:
	case 5:
		kbr_sf_say(st, node, prandom_u32_state(rnd) & 1);
		break;
	default:
		kbr_sf_hear(st, node, 0);
		break;
	}
}

static bool kbr_sf_model(struct kunit *test, struct kbr_sf_test *st, u64 seed)
{
	s64 before[KBR_SF_PARTS], at[KBR_SF_PARTS];
	struct rnd_state rnd;
	bool good = true;
	u32 step, i;

	prandom_seed_state(&rnd, seed);
	for (i = 0; i < KBR_SF_PARTS; i++)
		before[i] = -1;
	for (step = 0; step < KBR_SF_STEPS && good; step++) {
		kbr_sf_step(st, &rnd);
		kbr_sf_stop_watch(st);
		good = kbr_sf_one_owner(st);
		for (i = 0; i < KBR_SF_PARTS && kbr_sf_share(st); i++) {
			at[i] = READ_ONCE(kbr_sf_share(st)->parts[i]->counted);
			good &= at[i] >= before[i];
			before[i] = at[i];
		}
	}
	for (i = 0; i < KBR_SF_NODES; i++) {
		st->nodes[i].members = 1;
		kbr_sf_let_go(&st->nodes[i]);
		kbr_sf_say(st, &st->nodes[i], false);
		kbr_sf_stop_watch(st);
	}
	good &= kbr_sf_settle(st) && kbr_sf_one_owner(st);
	good &= kbr_sf_has(&st->nodes[0]) + kbr_sf_has(&st->nodes[1]) +
		kbr_sf_has(&st->nodes[2]) == KBR_SF_PARTS;
	if (!good)
		kunit_err(test, "seed %llu, step %u\n", seed, step);
	return good;
}

/* No partition has two owners, no position goes back, and in the end all have their part. */
static void kbr_sf_test_model(struct kunit *test)
{
	struct kbr_sf_test st;
	u64 seed;

	for (seed = 1; seed <= KBR_SF_SEEDS; seed++) {
		kbr_sf_begin(test, &st);
		KUNIT_EXPECT_TRUE(test, kbr_sf_model(test, &st, seed));
		kbr_shares_end(st.gt->group);
		kbr_sf_finish(&st);
	}
}

/* ---- the mirror ---- */

/**
 * struct kbr_sf_mirror - a broker that is node 1, whose groups are led by whom the test says
 * @st: the fixture
 * @part: the partition of __consumer_offsets
 * @state: what is told of it
 * @member: a device
 */
struct kbr_sf_mirror {
	struct kbr_sf_test st;
	struct kbr_partition *part;
	struct kbr_replica_state state;
	struct kbr_share_member member;
};

static void kbr_sf_elect(struct kbr_sf_mirror *mt, s32 leader)
{
	struct kbr_refusal why;

	mt->state.leader = leader;
	mt->state.leader_epoch++;
	mt->state.partition_epoch++;
	KUNIT_ASSERT_EQ(mt->st.gt->tb->test, kbr_replica_apply(mt->part, &mt->state, &why), 0);
	flush_delayed_work(&mt->st.gt->broker->groups->move);
}

static void kbr_sf_join(struct kunit *test, struct kbr_sf_mirror *mt)
{
	const struct kbr_str name = kbr_gt_str("g");

	memset(mt, 0, sizeof(*mt));
	kbr_sf_begin(test, &mt->st);
	mt->part = kbr_gt_log(mt->st.gt);
	kbr_group_put(mt->st.gt->group);
	mt->st.gt->group = NULL;
	KUNIT_ASSERT_EQ(test, kbr_replica_alloc(mt->part), 0);
	kbr_partition_quiesce(mt->part, KBR_PARTITION_FOLLOWER);
	mt->state = (struct kbr_replica_state) {
		.leader_epoch = KBR_SF_EPOCH,
		.replicas = { 2, { 1, 2 } },
		.isr = { 2, { 1, 2 } },
	};
	kbr_sf_elect(mt, 1);
	kbr_share_member_init(&mt->member);
	KUNIT_ASSERT_EQ(test, kbr_share_mirror_join(&mt->member, mt->st.topic, &name), 0);
}

static bool kbr_sf_mirror_has(struct kbr_sf_mirror *mt, unsigned int count)
{
	return kbr_share_list(&mt->member, NULL, 0) == count;
}

/* What the mirror says to node 2, as a node that the test could play */
static bool kbr_sf_overhear(struct kbr_sf_mirror *mt, struct kbr_sf_node *said, s16 code)
{
	struct kbr_share_message message;
	struct kbr_share_letter *letter;
	struct kbr_share_reader reader;
	struct kbr_share_item item;
	struct kbr_wire_reader r;
	s32 count;

	mt->st.w.len = 0;
	letter = kbr_share_next(mt->st.gt->broker, 2, &mt->st.w);
	if (!letter)
		return false;
	memset(said, 0, sizeof(*said));
	kbr_wire_reader_init(&r, mt->st.w.buf, mt->st.w.len, false);
	KUNIT_EXPECT_EQ(mt->st.gt->tb->test, kbr_share_check(&r), 0);
	kbr_share_get_head(&r, &message);
	said->sequence = message.sequence;
	said->members = message.members;
	for (count = kbr_get_count(&r); count > 0; count--)
		kbr_share_get_reader(&r, &reader);
	for (count = kbr_get_count(&r); count > 0; count--) {
		kbr_share_get_item(&r, &item);
		said->grant[item.partition] = item.grant;
		said->counted[item.partition] = item.offset;
		said->let_go[item.partition] = item.flags & KBR_SHARE_LET_GO;
	}
	kbr_share_answered(mt->st.gt->broker, letter, code);
	return true;
}

/* Node 2 says what @node has. */
static s16 kbr_sf_grant(struct kbr_sf_mirror *mt, u8 kind, u64 sequence,
			const struct kbr_sf_node *node)
{
	struct kbr_wire_reader r;
	u32 i, count = 0;
	size_t at;

	kbr_sf_put_head(&mt->st, kind, sequence, 0, 0, mt->state.leader_epoch);
	kbr_put_count(&mt->st.w, 0);
	at = kbr_put_open_count(&mt->st.w);
	for (i = 0; node && i < KBR_SF_PARTS; i++) {
		struct kbr_share_item item = {
			.partition = i,
			.grant = node->grant[i],
			.flags = node->wanted[i] ? KBR_SHARE_WANTED : 0,
			.offset = node->counted[i],
			.reader = -1,
		};

		if (!item.grant)
			continue;
		kbr_share_put_item(&mt->st.w, &item);
		count++;
	}
	kbr_wire_writer_patch_count(&mt->st.w, at, count);
	kbr_wire_reader_init(&r, mt->st.w.buf, mt->st.w.len, false);
	KUNIT_EXPECT_EQ(mt->st.gt->tb->test, kbr_share_check(&r), 0);
	return kbr_share_receive(mt->st.gt->broker, 2, 1, &r);
}

/* A member of the coordinator's own node; then the coordinator moves, and it keeps what it has. */
static void kbr_sf_test_mirror(struct kunit *test)
{
	struct kbr_sf_mirror *mt = kunit_kzalloc(test, sizeof(*mt), GFP_KERNEL);
	struct kbr_sf_node said, had;
	struct kbr_share_part *sp;

	KUNIT_ASSERT_NOT_NULL(test, mt);
	kbr_sf_join(test, mt);
	KUNIT_ASSERT_TRUE(test, kbr_gt_until(kbr_sf_mirror_has(mt, KBR_SF_PARTS)));
	sp = mt->member.share->parts[2];
	kbr_share_enter(&mt->member, KBR_SHARE_READ);
	kbr_share_give(&mt->member, sp, 4);
	kbr_share_exit(&mt->member, NULL);

	kbr_sf_elect(mt, 2);
	KUNIT_ASSERT_TRUE(test, kbr_gt_until(kbr_sf_overhear(mt, &said,
							     KBR_KAFKA_NOT_COORDINATOR)));
	KUNIT_EXPECT_TRUE(test, kbr_sf_mirror_has(mt, KBR_SF_PARTS));
	KUNIT_EXPECT_EQ(test, kbr_sf_has(&said), KBR_SF_PARTS);
	KUNIT_EXPECT_EQ(test, said.members, 1U);
	/* it is told again, and then asked */
	KUNIT_ASSERT_TRUE(test, kbr_gt_until(kbr_sf_overhear(mt, &said, 0)));
	KUNIT_EXPECT_EQ(test, kbr_sf_grant(mt, KBR_SHARE_ASK, 1, NULL), 0);
	KUNIT_ASSERT_TRUE(test, kbr_gt_until(kbr_sf_overhear(mt, &said, 0)));
	KUNIT_EXPECT_EQ(test, kbr_sf_has(&said), KBR_SF_PARTS);

	/* one is wanted: it is let go of when it was read and counted, others at once */
	had = said;
	had.wanted[2] = true;
	had.wanted[3] = true;
	KUNIT_EXPECT_EQ(test, kbr_sf_grant(mt, KBR_SHARE_GRANT, 3, &had), 0);
	KUNIT_ASSERT_TRUE(test, kbr_gt_until(kbr_sf_overhear(mt, &said, 0)));
	KUNIT_EXPECT_TRUE(test, said.let_go[3]);
	KUNIT_EXPECT_FALSE(test, said.let_go[2]);
	kbr_share_enter(&mt->member, KBR_SHARE_READ);
	kbr_share_exit(&mt->member, NULL);
	KUNIT_ASSERT_TRUE(test, kbr_gt_until(kbr_sf_overhear(mt, &said, 0) && said.let_go[2]));
	KUNIT_EXPECT_EQ(test, said.counted[2], 4);
	KUNIT_EXPECT_TRUE(test, kbr_sf_mirror_has(mt, KBR_SF_PARTS - 2));

	/* what is older is not believed; what is not named is gone */
	memset(had.wanted, 0, sizeof(had.wanted));
	KUNIT_EXPECT_EQ(test, kbr_sf_grant(mt, KBR_SHARE_GRANT, 2, &had), 0);
	KUNIT_EXPECT_TRUE(test, kbr_sf_mirror_has(mt, KBR_SF_PARTS - 2));
	had.grant[2] = 0;
	had.grant[3] = (u64)mt->state.leader_epoch << 32 | 1;
	had.counted[3] = 9;
	had.grant[5] = 0;
	KUNIT_EXPECT_EQ(test, kbr_sf_grant(mt, KBR_SHARE_GRANT, 4, &had), 0);
	KUNIT_EXPECT_TRUE(test, kbr_sf_mirror_has(mt, KBR_SF_PARTS - 2));
	KUNIT_EXPECT_EQ(test, mt->member.share->parts[3]->next, 9);
	KUNIT_EXPECT_FALSE(test, kbr_share_owns(&mt->member, mt->member.share->parts[5]));

	/* it leaves, and lets go of all */
	kbr_share_mirror_leave(&mt->member);
	KUNIT_ASSERT_TRUE(test, kbr_gt_until(kbr_sf_overhear(mt, &said, 0) && !said.members));
	KUNIT_EXPECT_EQ(test, kbr_sf_has(&said), 0U);
	KUNIT_EXPECT_TRUE(test, kbr_gt_until(kbr_sf_grant(mt, KBR_SHARE_GRANT, 5, NULL) ==
					     KBR_KAFKA_UNKNOWN_MEMBER_ID));
	kbr_sf_finish(&mt->st);
}

/* A commit is on disk when it returns; a member that is back claims what it has. */
static void kbr_sf_test_commit(struct kunit *test)
{
	struct kbr_sf_mirror *mt = kunit_kzalloc(test, sizeof(*mt), GFP_KERNEL);
	const struct kbr_str name = kbr_gt_str("g");
	s16 code;

	KUNIT_ASSERT_NOT_NULL(test, mt);
	kbr_sf_join(test, mt);
	mt->state.isr = (struct kbr_id_set) { 1, { 1 } };
	kbr_sf_elect(mt, 1);
	KUNIT_ASSERT_TRUE(test, kbr_gt_until(kbr_sf_mirror_has(mt, KBR_SF_PARTS)));
	kbr_share_enter(&mt->member, KBR_SHARE_READ);
	kbr_share_give(&mt->member, mt->member.share->parts[6], 12);
	kbr_share_exit(&mt->member, NULL);
	kbr_share_enter(&mt->member, KBR_SHARE_READ);
	kbr_share_exit(&mt->member, NULL);
	KUNIT_EXPECT_EQ(test, kbr_share_commit(mt->member.share), 0);
	mt->st.gt->group = kbr_group_find(mt->st.gt->broker, &name, false, &code);
	KUNIT_ASSERT_NOT_NULL(test, mt->st.gt->group);
	KUNIT_EXPECT_EQ(test, kbr_gt_committed(mt->st.gt, 6), 12);
	kbr_group_put(mt->st.gt->group);
	mt->st.gt->group = NULL;
	/* the next leadership has it from the log, and the member its partitions */
	kbr_sf_elect(mt, 1);
	KUNIT_EXPECT_EQ(test, kbr_share_commit(mt->member.share), 0);
	KUNIT_EXPECT_TRUE(test, kbr_sf_mirror_has(mt, KBR_SF_PARTS));
	KUNIT_EXPECT_EQ(test, mt->member.share->parts[6]->counted, 12);
	kbr_share_mirror_leave(&mt->member);
	/* the broker stops: who comes now is not kept waiting */
	kbr_share_mirrors_stop(mt->st.gt->broker);
	kbr_share_member_init(&mt->member);
	KUNIT_EXPECT_EQ(test, kbr_share_mirror_join(&mt->member, mt->st.topic, &name), -ENODEV);
	kbr_sf_finish(&mt->st);
}

/* Whatever is changed in a message, it is refused or means something; nothing is read behind it. */
static void kbr_sf_test_hostile(struct kunit *test)
{
	struct kbr_sf_test st;
	struct kbr_wire_reader r;
	struct rnd_state rnd;
	size_t len, cut;
	unsigned int i;
	u8 *copy;

	kbr_sf_begin(test, &st);
	st.nodes[0].members = 3;
	for (i = 0; i < KBR_SF_PARTS; i++)
		st.nodes[0].grant[i] = i + 1;
	KUNIT_EXPECT_EQ(test, kbr_sf_say(&st, &st.nodes[0], true), 0);
	kbr_sf_stop_watch(&st);
	len = st.w.len;
	for (cut = 0; cut < len; cut++) {
		/* its end is the end of its memory */
		copy = kmemdup(st.w.buf, cut ?: 1, GFP_KERNEL);
		KUNIT_ASSERT_NOT_NULL(test, copy);
		kbr_wire_reader_init(&r, copy, cut, false);
		KUNIT_EXPECT_EQ(test, kbr_share_check(&r), -EPROTO);
		kfree(copy);
	}
	prandom_seed_state(&rnd, 1);
	for (i = 0; i < 20000; i++) {
		copy = kmemdup(st.w.buf, len, GFP_KERNEL);
		KUNIT_ASSERT_NOT_NULL(test, copy);
		copy[prandom_u32_state(&rnd) % len] = prandom_u32_state(&rnd);
		copy[prandom_u32_state(&rnd) % len] ^= BIT(prandom_u32_state(&rnd) % 8);
		kbr_wire_reader_init(&r, copy, len, false);
		if (!kbr_share_check(&r))
			kbr_share_receive(st.gt->broker, 11 + i % 5, 1 + i % 3, &r);
		kbr_sf_stop_watch(&st);
		kfree(copy);
	}
	kbr_shares_end(st.gt->group);
	kbr_sf_finish(&st);
}

static struct kunit_case kbr_sf_cases[] = {
	KUNIT_CASE(kbr_sf_test_lead),
	KUNIT_CASE(kbr_sf_test_sync),
	KUNIT_CASE(kbr_sf_test_claims),
	KUNIT_CASE(kbr_sf_test_lost),
	KUNIT_CASE(kbr_sf_test_kinds),
	KUNIT_CASE(kbr_sf_test_model),
	KUNIT_CASE(kbr_sf_test_mirror),
	KUNIT_CASE(kbr_sf_test_commit),
	KUNIT_CASE(kbr_sf_test_hostile),
	{}
};

static struct kunit_suite kbr_sf_suite = {
	.name = "kbroker_share_far",
	.exit = kbr_gt_exit,
	.test_cases = kbr_sf_cases,
};

kunit_test_suite(kbr_sf_suite);
