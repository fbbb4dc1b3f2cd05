// SPDX-License-Identifier: GPL-2.0-only
/*
 * The state that daemons replicate: lives out of random commands, on two
 * machines of which one is snapshot and restored again and again.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "state.h"
#include "tap.h"

#define NODES	5
#define NAMES	6

static const u8 cluster_id[KBD_UUID_SIZE] = { 0xc1 };

struct world {
	struct kbd_state *state;
	struct kbd_state *other;
	u64 index;
	struct kbd_result result;
};

static u32 number(void)
{
	return tap_random_below(3);
}

/* Carry @buf out on both machines. */
static void run(struct world *world, const struct kbd_buf *buf)
{
	struct kbd_message msg;
	struct kbd_result result;
	char why[KBD_WHY_SIZE];

	world->index++;
	if (!expect_eq(kbd_decode(&msg, buf->data, buf->len, why), 0))
		return;
	kbd_apply(world->state, world->index, &msg, &world->result);
	kbd_apply(world->other, world->index, &msg, &result);
	expect_eq(result.err, world->result.err);
	expect_eq(result.epoch, world->result.epoch);
	expect(!strcmp(result.text, world->result.text));
	expect(!result.err == !*result.text);
}

static void put_peer(struct kbd_buf *buf, s32 id, s64 epoch, int fenced)
{
	size_t nest = kbd_nest(buf, KBD_A_PEER);

	kbd_put_u32(buf, KBROKER_A_PEER_ID, id);
	kbd_put_u64(buf, KBROKER_A_PEER_EPOCH, epoch);
	if (fenced >= 0)
		kbd_put_u8(buf, KBROKER_A_PEER_FENCED, fenced);
	kbd_nest_end(buf, nest);
}

static void begin(struct world *world)
{
	struct kbd_buf buf = { 0 };
	size_t nest;

	memset(world, 0, sizeof(*world));
	world->state = kbd_state_new();
	world->other = kbd_state_new();
	kbd_begin(&buf, KBD_INIT);
	nest = kbd_nest(&buf, KBD_A_CLUSTER);
	kbd_put(&buf, KBROKER_A_CLUSTER_CLUSTER_ID, cluster_id, sizeof(cluster_id));
	kbd_nest_end(&buf, nest);
	run(world, &buf);
	expect_eq(world->result.err, 0);
	kbd_buf_free(&buf);
}

static void end(struct world *world)
{
	kbd_state_free(world->state);
	kbd_state_free(world->other);
}

static void make_register(struct kbd_buf *buf, s32 id, u8 disk, u64 incarnation, s64 previous)
{
	u8 uuid[KBD_UUID_SIZE] = { id, disk };
	size_t nest, inner;

	kbd_begin(buf, KBD_REGISTER);
	nest = kbd_nest(buf, KBD_A_BROKER);
	inner = kbd_nest(buf, KBD_A_CLUSTER);
	kbd_put(buf, KBROKER_A_CLUSTER_CLUSTER_ID, cluster_id, sizeof(cluster_id));
	kbd_put(buf, KBROKER_A_CLUSTER_DIRECTORY_ID, uuid, sizeof(uuid));
	memcpy(uuid, &incarnation, sizeof(incarnation));
	kbd_put(buf, KBROKER_A_CLUSTER_INCARNATION, uuid, sizeof(uuid));
	kbd_put_u8(buf, KBROKER_A_CLUSTER_CLEAN, previous >= 0);
	kbd_put_u64(buf, KBROKER_A_CLUSTER_PREVIOUS_EPOCH, previous);
	kbd_nest_end(buf, inner);
	inner = kbd_nest(buf, KBD_A_PEER);
	kbd_put_u32(buf, KBROKER_A_PEER_ID, id);
	kbd_put_text(buf, KBROKER_A_PEER_ADDRESS, "10.0.0.1");
	kbd_put_u16(buf, KBROKER_A_PEER_PORT, 9092);
	kbd_put_text(buf, KBROKER_A_PEER_RACK, id % 2 ? "odd" : "even");
	kbd_nest_end(buf, inner);
	kbd_nest_end(buf, nest);
}

static void make_session(struct kbd_buf *buf, s32 id, s64 epoch, bool fenced)
{
	kbd_begin(buf, KBD_SESSIONS);
	put_peer(buf, id, epoch, fenced);
}

/* A broker that starts, and has a session. */
static s64 start(struct world *world, s32 id, u8 disk, s64 previous)
{
	struct kbd_buf buf = { 0 };
	s64 epoch;

	make_register(&buf, id, disk, tap_random(), previous);
	run(world, &buf);
	epoch = world->result.epoch;
	if (!world->result.err) {
		make_session(&buf, id, epoch, false);
		run(world, &buf);
	}
	kbd_buf_free(&buf);
	return epoch;
}

static void fence(struct world *world, s32 id)
{
	struct kbd_buf buf = { 0 };
	struct kbd_broker *broker = kbd_broker_find(&world->state->brokers, id);

	make_session(&buf, id, broker ? broker->epoch : 0, true);
	run(world, &buf);
	kbd_buf_free(&buf);
}

static void make_topic(struct kbd_buf *buf, u8 kind, const char *name, u32 partitions, u16 factor)
{
	u64 id[2] = { tap_random(), tap_random() };

	kbd_begin(buf, KBD_REQUEST);
	kbd_put_u8(buf, KBROKER_A_REQUEST_KIND, kind);
	kbd_put_text(buf, KBROKER_A_REQUEST_TOPIC, name);
	kbd_put_u32(buf, KBROKER_A_REQUEST_PARTITIONS, partitions);
	if (kind != KBROKER_REQUEST_KIND_TOPIC_NEW)
		return;
	kbd_put_u16(buf, KBROKER_A_REQUEST_REPLICATION_FACTOR, factor);
	kbd_put(buf, KBROKER_A_REQUEST_TOPIC_ID, id, sizeof(id));
}

static void put_config(struct kbd_buf *buf, const char *name, const char *value)
{
	size_t nest = kbd_nest(buf, KBROKER_A_REQUEST_CONFIG);

	kbd_put_text(buf, KBROKER_A_CONFIG_NAME, name);
	if (value)
		kbd_put_text(buf, KBROKER_A_CONFIG_VALUE, value);
	kbd_nest_end(buf, nest);
}

static struct kbd_partition *topic_three(struct world *world)
{
	struct kbd_buf buf = { 0 };
	s32 id;

	begin(world);
	for (id = 1; id <= 3; id++)
		start(world, id, 0, -1);
	make_topic(&buf, KBROKER_REQUEST_KIND_TOPIC_NEW, "logs", 1, 3);
	run(world, &buf);
	kbd_buf_free(&buf);
	expect_eq(world->result.err, 0);
	return &kbd_topic_find(world->state, "logs")->partition[0];
}

/* ---- what must hold ---- */

static void expect_same(const struct kbd_state *a, const struct kbd_state *b)
{
	struct kbd_buf one = { 0 }, two = { 0 };

	kbd_state_save(a, &one);
	kbd_state_save(b, &two);
	expect(!one.full);
	expect_bytes(one.data, one.len, two.data, two.len);
	kbd_buf_free(&one);
	kbd_buf_free(&two);
}

/* Has each broker the partitions on its list that name it, and no other? */
static void expect_lists(const struct kbd_state *state)
{
	unsigned int listed = 0, named = 0, i, j;
	const struct kbd_refs *refs;

	for (i = 0; i < state->brokers.count; i++) {
		refs = &state->member[i]->replicas;
		listed += refs->count;
		for (j = 0; j < refs->count; j++)
			expect(kbd_set_has(&refs->ref[j].topic->partition[refs->ref[j].partition].replicas,
					   state->brokers.broker[i].id));
	}
	for (i = 0; i < state->topics; i++)
		for (j = 0; j < state->by_name[i]->partitions; j++)
			named += state->by_name[i]->partition[j].replicas.count;
	expect_eq(listed, named);
}

static void expect_holds(const struct kbd_state *state)
{
	unsigned int i, j;
	const char *wrong;
	u32 partitions = 0;

	for (i = 0; i < state->topics; i++) {
		partitions += state->by_name[i]->partitions;
		for (j = 0; j < state->by_name[i]->partitions; j++) {
			wrong = kbd_partition_check(&state->by_name[i]->partition[j], &state->brokers);
			if (wrong)
				tap_fail(__FILE__, __LINE__, "%s-%u: %s", state->by_name[i]->name, j,
					 wrong);
		}
	}
	expect_eq(partitions, state->partitions);
	expect_lists(state);
}

static bool is_touched(const struct kbd_state *state, const u8 *id, u32 partition)
{
	const struct kbd_refs *refs = &state->touched.refs;
	unsigned int i;

	for (i = 0; i < refs->count; i++)
		if (!memcmp(refs->ref[i].topic->id, id, KBD_UUID_SIZE) &&
		    refs->ref[i].partition == partition)
			return true;
	return false;
}

/* What changed since @before is what was touched, and its epochs rose. */
static void expect_touched(const struct kbd_state *before, const struct kbd_state *now)
{
	const struct kbd_topic *old, *new;
	unsigned int i, j;

	for (i = 0; i < now->topics; i++) {
		new = now->by_name[i];
		old = kbd_topic_by_id(before, new->id);
		for (j = 0; j < new->partitions; j++) {
			const struct kbd_partition *is = &new->partition[j], *was;

			if (!old || j >= old->partitions) {
				expect(is_touched(now, new->id, j));
				continue;
			}
			was = &old->partition[j];
			expect_eq(is_touched(now, new->id, j),
				  is->partition_epoch != was->partition_epoch);
			expect(is->partition_epoch >= was->partition_epoch);
			expect(is->leader_epoch >= was->leader_epoch);
			if (is->leader != was->leader)
				expect(is->leader_epoch > was->leader_epoch);
			if (is->partition_epoch == was->partition_epoch)
				expect(kbd_set_equal(&is->isr, &was->isr) &&
				       kbd_set_equal(&is->elr, &was->elr) &&
				       kbd_set_equal(&is->replicas, &was->replicas));
		}
	}
}

static struct kbd_state *copied(const struct kbd_state *state)
{
	struct kbd_buf buf = { 0 };
	char why[KBD_WHY_SIZE];
	struct kbd_state *copy;

	kbd_state_save(state, &buf);
	copy = kbd_state_load(buf.data, buf.len, why);
	if (!copy) {
		tap_fail(__FILE__, __LINE__, "a snapshot is refused: %s", why);
		abort();
	}
	kbd_buf_free(&buf);
	return copy;
}

/* ---- lives ---- */

static const struct kbd_topic *any_topic(const struct kbd_state *state)
{
	return state->topics ? state->by_name[tap_random_below(state->topics)] : NULL;
}

static void random_topic(struct kbd_buf *buf)
{
	static const char *const values[] = { "1", "2", "3", "true", "false", "async", "sync", NULL };
	static const char *const names[] = { "min.insync.replicas", "flush.policy",
		"unclean.leader.election.enable", "retention.ms" };
	u8 kind = tap_random_below(4) ? tap_random_below(2) ? KBROKER_REQUEST_KIND_TOPIC_NEW :
		KBROKER_REQUEST_KIND_TOPIC_SET : KBROKER_REQUEST_KIND_TOPIC_DEL;
	char name[8];

	snprintf(name, sizeof(name), "t%u", (unsigned int)tap_random_below(NAMES));
	make_topic(buf, kind, name, tap_random_below(6), tap_random_below(5));
	if (kind != KBROKER_REQUEST_KIND_TOPIC_DEL && tap_random_below(2))
		put_config(buf, names[tap_random_below(4)], values[tap_random_below(8)]);
}

static void random_isr(struct world *world, struct kbd_buf *buf)
{
	const struct kbd_topic *topic = any_topic(world->state);
	const struct kbd_partition *part;
	const struct kbd_broker *leader;
	struct kbd_set isr = { 0 };
	u32 at;
	int i;

	kbd_begin(buf, KBD_REQUEST);
	kbd_put_u8(buf, KBROKER_A_REQUEST_KIND, KBROKER_REQUEST_KIND_ISR);
	if (!topic)
		return;
	at = tap_random_below(topic->partitions);
	part = &topic->partition[at];
	leader = kbd_broker_find(&world->state->brokers, part->leader);
	for (i = 0; i < part->replicas.count; i++)
		if (part->replicas.id[i] == part->leader || tap_random_below(4))
			kbd_set_add(&isr, part->replicas.id[i]);
	put_peer(buf, part->leader < 0 ? 1 : part->leader, leader ? leader->epoch : 0, -1);
	kbd_put_text(buf, KBROKER_A_REQUEST_TOPIC, topic->name);
	kbd_put_u32(buf, KBROKER_A_REQUEST_PARTITION, at);
	kbd_put_u32(buf, KBROKER_A_REQUEST_LEADER_EPOCH, part->leader_epoch);
	kbd_put_u32(buf, KBROKER_A_REQUEST_PARTITION_EPOCH,
		    part->partition_epoch - !tap_random_below(8));
	kbd_put_set(buf, KBROKER_A_REQUEST_ISR, &isr);
}

static void random_replicas(struct world *world, struct kbd_buf *buf, enum kbd_kind kind)
{
	const struct kbd_topic *topic = any_topic(world->state);
	struct kbd_set target = { 0 };
	size_t nest;
	int i;

	kbd_begin(buf, kind);
	if (kind == KBD_ELECT)
		kbd_put_u8(buf, KBD_A_UNCLEAN, !tap_random_below(3));
	if (!topic)
		return;
	nest = kbd_nest(buf, KBD_A_REPLICA);
	kbd_put_text(buf, KBROKER_A_REPLICA_TOPIC, topic->name);
	kbd_put_u32(buf, KBROKER_A_REPLICA_PARTITION, number());
	for (i = 0; i < 3; i++)
		kbd_set_add(&target, 1 + tap_random_below(NODES));
	kbd_put_set(buf, KBROKER_A_REPLICA_REPLICAS, &target);
	kbd_nest_end(buf, nest);
}

static void random_command(struct world *world, struct kbd_buf *buf)
{
	s32 id = 1 + tap_random_below(NODES);
	struct kbd_broker *broker = kbd_broker_find(&world->state->brokers, id);
	s64 epoch = broker ? broker->epoch : 0;

	switch (tap_random_below(16)) {
	case 0 ... 1:
		make_register(buf, id, !tap_random_below(4), tap_random(),
			      tap_random_below(2) ? epoch : -1);
		break;
	case 2 ... 4:
		make_session(buf, id, epoch, false);
		break;
	case 5:
		make_session(buf, id, epoch - !tap_random_below(4), true);
		break;
	case 6 ... 8:
		random_topic(buf);
		break;
	case 9 ... 11:
		random_isr(world, buf);
		break;
	case 12:
		random_replicas(world, buf, KBD_ELECT);
		break;
	case 13:
		random_replicas(world, buf, KBD_REASSIGN);
		break;
	case 14:
		kbd_begin(buf, KBD_REMOVE);
		put_peer(buf, id, epoch, -1);
		break;
	case 15:
		kbd_begin(buf, KBD_REQUEST);
		kbd_put_u8(buf, KBROKER_A_REQUEST_KIND, KBROKER_REQUEST_KIND_LEAVE);
		put_peer(buf, id, epoch, -1);
		break;
	}
}

static void test_life(void)
{
	unsigned int life, step, done = 0;
	struct kbd_state *before, *next;
	struct kbd_buf buf = { 0 };
	struct world world;

	for (life = 0; life < 1000; life++) {
		tap_context("life %u", life);
		begin(&world);
		for (step = 0; step < 60; step++) {
			before = copied(world.state);
			expect_same(before, world.state);
			random_command(&world, &buf);
			run(&world, &buf);
			done += !world.result.err;
			expect_holds(world.state);
			expect_touched(before, world.state);
			before->index = world.state->index;
			/* an in-sync set refused for a member moves the partition epoch */
			if (world.result.err && world.result.err != EHOSTUNREACH)
				expect_same(before, world.state);
			kbd_state_free(before);
			if (!tap_random_below(8)) {
				next = copied(world.other);
				kbd_state_free(world.other);
				world.other = next;
			}
		}
		expect_same(world.state, world.other);
		end(&world);
	}
	/* most of them do something, or nothing was tested */
	expect(done > life * step / 4);
	kbd_buf_free(&buf);
}

/* ---- single rules ---- */

static void test_register(void)
{
	struct kbd_buf buf = { 0 };
	struct world world;
	s64 epoch;

	begin(&world);
	make_register(&buf, 7, 0, 1, -1);
	run(&world, &buf);
	epoch = world.result.epoch;
	expect(kbd_broker_find(&world.state->brokers, 7)->fenced);
	make_session(&buf, 7, epoch, false);
	run(&world, &buf);
	/* its daemon was restarted: nothing changes */
	make_register(&buf, 7, 0, 1, -1);
	run(&world, &buf);
	expect_eq(world.result.epoch, epoch);
	expect(!kbd_broker_find(&world.state->brokers, 7)->fenced);
	expect(!world.state->touched.brokers);
	/* another machine that says it is broker 7 */
	make_register(&buf, 7, 1, 2, -1);
	run(&world, &buf);
	expect_eq(world.result.err, EEXIST);
	/* the broker was restarted */
	make_register(&buf, 7, 0, 3, epoch);
	run(&world, &buf);
	expect_eq(world.result.epoch, epoch + 1);
	expect(kbd_broker_find(&world.state->brokers, 7)->fenced);
	/* an old session's end is nothing to it */
	make_session(&buf, 7, epoch, false);
	run(&world, &buf);
	expect(kbd_broker_find(&world.state->brokers, 7)->fenced);
	kbd_buf_free(&buf);
	end(&world);
}

static void test_min_isr(void)
{
	struct kbd_buf buf = { 0 };
	struct world world;
	struct kbd_partition *part = topic_three(&world);

	expect_eq(part->min_isr, 2);
	expect(!strcmp(kbd_topic_config(kbd_topic_find(world.state, "logs"),
					"min.insync.replicas"), "2"));
	make_topic(&buf, KBROKER_REQUEST_KIND_TOPIC_NEW, "small", 1, 2);
	run(&world, &buf);
	expect_eq(kbd_topic_find(world.state, "small")->partition[0].min_isr, 1);
	make_topic(&buf, KBROKER_REQUEST_KIND_TOPIC_NEW, "none", 1, 3);
	put_config(&buf, "min.insync.replicas", "0");
	run(&world, &buf);
	expect_eq(world.result.err, EINVAL);
	make_topic(&buf, KBROKER_REQUEST_KIND_TOPIC_NEW, "many", 1, 4);
	run(&world, &buf);
	expect_eq(world.result.err, ENOLINK);
	make_topic(&buf, KBROKER_REQUEST_KIND_TOPIC_NEW, "a/b", 1, 1);
	run(&world, &buf);
	expect_eq(world.result.err, EROFS);
	kbd_buf_free(&buf);
	end(&world);
}

static void test_async(void)
{
	struct kbd_buf buf = { 0 };
	struct world world;
	struct kbd_partition *part = topic_three(&world);
	s32 last;

	make_topic(&buf, KBROKER_REQUEST_KIND_TOPIC_SET, "logs", 0, 0);
	put_config(&buf, "flush.policy", "async");
	run(&world, &buf);
	kbd_buf_free(&buf);
	expect(part->async);
	/* two of three are lost: both stay eligible, as long as they may be trusted */
	last = part->replicas.id[2];
	fence(&world, part->replicas.id[0]);
	fence(&world, part->replicas.id[1]);
	expect_eq(part->isr.count, 1);
	expect_eq(part->elr.count, 1);
	start(&world, part->replicas.id[1], 0, -1);
	expect_eq(part->elr.count, 0);
	expect_eq(part->leader, last);
	end(&world);
}

static void test_directory(void)
{
	struct world world;
	struct kbd_partition *part = topic_three(&world);
	s32 first = part->replicas.id[0];

	fence(&world, part->replicas.id[1]);
	fence(&world, part->replicas.id[2]);
	fence(&world, first);
	expect_eq(part->leader, KBD_NO_BROKER);
	expect(kbd_set_has(&part->elr, first));
	start(&world, first, 1, -1);
	expect(!kbd_set_has(&part->elr, first));
	expect_eq(part->leader, KBD_NO_BROKER);
	end(&world);
}

static void reassign(struct world *world, const struct kbd_set *target)
{
	struct kbd_buf buf = { 0 };
	size_t nest;

	kbd_begin(&buf, KBD_REASSIGN);
	nest = kbd_nest(&buf, KBD_A_REPLICA);
	kbd_put_text(&buf, KBROKER_A_REPLICA_TOPIC, "logs");
	kbd_put_u32(&buf, KBROKER_A_REPLICA_PARTITION, 0);
	kbd_put_set(&buf, KBROKER_A_REPLICA_REPLICAS, target);
	kbd_nest_end(&buf, nest);
	run(world, &buf);
	expect_eq(world->result.err, 0);
	kbd_buf_free(&buf);
}

/* What is told of reassignments: how many, and where the last one leads to */
static unsigned int moves(const struct kbd_state *state, struct kbd_set *target)
{
	struct kbd_attr attr, part[KBD_A_END], replica[KBROKER_A_REPLICA_MAX + 1];
	struct kbd_buf buf = { 0 };
	struct kbd_message msg;
	char why[KBD_WHY_SIZE];
	unsigned int count = 0;
	size_t pos = 0;

	kbd_begin(&buf, KBD_ANSWER);
	kbd_state_save_moves(state, &buf);
	expect_eq(kbd_decode(&msg, buf.data, buf.len, why), 0);
	while (kbd_each(msg.body, msg.len, &pos, &attr)) {
		expect_eq(attr.type, KBD_A_PARTITION);
		kbd_open(&attr, part, KBD_A_END);
		kbd_open(&part[KBD_A_REPLICA], replica, KBROKER_A_REPLICA_MAX + 1);
		expect(!strcmp(kbd_text(&replica[KBROKER_A_REPLICA_TOPIC]), "logs"));
		expect(kbd_ids(&part[KBD_A_TARGET], target));
		count++;
	}
	kbd_buf_free(&buf);
	return count;
}

static void test_moves(void)
{
	struct kbd_set target = { .count = 1, .id = { 4 } }, told;
	struct world world;
	struct kbd_partition *part = topic_three(&world);
	struct kbd_set before = part->replicas;

	start(&world, 4, 0, -1);
	expect_eq(moves(world.state, &told), 0);
	reassign(&world, &target);
	expect_eq(moves(world.state, &told), 1);
	expect(kbd_set_equal(&told, &target));
	reassign(&world, &before);
	expect_eq(moves(world.state, &told), 0);
	end(&world);
}

/* A message that was damaged is refused, or means something; it never harms. */
static void test_damage(void)
{
	struct kbd_state *copy, *loaded;
	struct kbd_result result;
	struct kbd_buf buf = { 0 };
	char why[KBD_WHY_SIZE];
	struct kbd_message msg;
	struct world world;
	unsigned int i, j;
	u8 *bytes;

	topic_three(&world);
	for (i = 0; i < 4000; i++) {
		size_t len;

		if (i % 8)
			random_command(&world, &buf);
		else
			kbd_state_save(world.state, &buf);
		for (j = tap_random_below(4); j; j--)
			buf.data[tap_random_below(buf.len)] ^= 1 << tap_random_below(8);
		len = tap_random_below(4) ? buf.len : tap_random_below(buf.len + 1);
		/* of its own size, so that the sanitizer sees what is read behind it */
		bytes = malloc(len + !len);
		memcpy(bytes, buf.data, len);
		*why = '\0';
		if (kbd_decode(&msg, bytes, len, why)) {
			expect(*why);
		} else if (msg.kind < KBD_HEARTBEAT) {
			copy = copied(world.state);
			kbd_apply(copy, world.index, &msg, &result);
			expect_holds(copy);
			kbd_state_free(copy);
		} else {
			loaded = kbd_state_load(bytes, len, why);
			if (loaded)
				expect_holds(loaded);
			kbd_state_free(loaded);
		}
		free(bytes);
	}
	kbd_buf_free(&buf);
	end(&world);
}

static void test_unknown(void)
{
	struct kbd_message msg;
	struct kbd_buf buf = { 0 };
	char why[KBD_WHY_SIZE];

	kbd_begin(&buf, KBD_REMOVE);
	kbd_put_u8(&buf, KBD_A_END, 1);
	expect_eq(kbd_decode(&msg, buf.data, buf.len, why), -EPROTO);
	expect(strstr(why, "attribute 79 is not known"));
	kbd_begin(&buf, KBD_REMOVE);
	buf.data[0] = KBD_VERSION + 1;
	expect_eq(kbd_decode(&msg, buf.data, buf.len, why), -EPROTO);
	expect(strstr(why, "version 2 is not known"));
	kbd_buf_free(&buf);
}

const struct tap_case state_cases[] = {
	{ "state: registrations", test_register },
	{ "state: a majority in sync where nothing is said", test_min_isr },
	{ "state: an unclean stop matters to topics that are not synced", test_async },
	{ "state: another directory holds nothing", test_directory },
	{ "state: reassignments are told of until they end", test_moves },
	{ "state: random commands on two machines", test_life },
	{ "state: damaged messages and snapshots", test_damage },
	{ "state: what is not known is refused by name", test_unknown },
	{ NULL, NULL }
};
