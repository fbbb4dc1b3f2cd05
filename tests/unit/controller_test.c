// SPDX-License-Identifier: GPL-2.0-only
/*
 * Controllers of three daemons over one log and one clock, both of the test.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "controller.h"
#include "state.h"
#include "tap.h"

#define DAEMONS		3
#define ENTRIES_MAX	256
#define CALLS		4200

struct entry {
	struct kbd_buf bytes;
	u64 token;
	int by;
};

/* The Raft group, and what was answered to whom */
static struct group {
	struct kbd_controller *ctl[DAEMONS];
	unsigned int entries;
	unsigned int applied[DAEMONS];
	struct entry entry[ENTRIES_MAX];
	int leader;
	bool refuse;
	u64 now;
	u64 call;
	unsigned int answers[CALLS];
	int err;
	s64 epoch;
	unsigned int brokers;
} group;

static int fake_propose(void *arg, const void *bytes, size_t len, u64 token)
{
	struct entry *entry = &group.entry[group.entries];
	int by = (struct kbd_controller **)arg - group.ctl;

	if (group.refuse || by != group.leader || group.entries == ENTRIES_MAX)
		return -EAGAIN;
	kbd_copy(&entry->bytes, bytes, len);
	entry->token = token;
	entry->by = by;
	group.entries++;
	return 0;
}

static void fake_reply(void *arg, u64 call, const void *bytes, size_t len)
{
	struct kbd_message msg;
	char why[KBD_WHY_SIZE];
	struct kbd_attr attr;
	size_t pos = 0;

	(void)arg;
	expect_eq(kbd_decode(&msg, bytes, len, why), 0);
	expect_eq(msg.kind, KBD_ANSWER);
	group.answers[call]++;
	group.err = kbd_u32(&msg.attr[KBD_A_ERROR]);
	group.epoch = kbd_u64(&msg.attr[KBD_A_EPOCH]);
	group.brokers = 0;
	while (kbd_each(msg.body, msg.len, &pos, &attr))
		group.brokers += attr.type == KBD_A_BROKER;
	expect(!group.err == !msg.attr[KBD_A_MESSAGE].data);
}

static void fake_applied(void *arg, u64 index, const struct kbd_touched *touched)
{
	(void)arg;
	(void)index;
	(void)touched;
}

static void fake_random(void *arg, void *buf, size_t len)
{
	u8 *at = buf;

	(void)arg;
	while (len--)
		*at++ = tap_random();
}

static void fake_log(void *arg, const char *text)
{
	(void)arg;
	expect(*text);
}

static const struct kbd_controller_ops fake_ops = {
	.propose = fake_propose,
	.reply = fake_reply,
	.applied = fake_applied,
	.random = fake_random,
	.log = fake_log,
};

static void commit(void)
{
	int i;

	for (i = 0; i < DAEMONS; i++)
		while (group.applied[i] < group.entries) {
			struct entry *entry = &group.entry[group.applied[i]++];

			expect_eq(kbd_controller_apply(group.ctl[i], group.applied[i],
						       entry->bytes.data, entry->bytes.len,
						       entry->by == i ? entry->token : 0,
						       group.now), 0);
		}
}

/* A request to the leader; its answer, if it came, is in group. */
static u64 ask(const struct kbd_buf *buf)
{
	u64 call = ++group.call;

	kbd_controller_rpc(group.ctl[group.leader], call, buf->data, buf->len, group.now);
	return call;
}

static void ask_done(struct kbd_buf *buf)
{
	u64 call = ask(buf);

	commit();
	expect_eq(group.answers[call], 1);
	kbd_buf_free(buf);
}

static void lead(int leader)
{
	int i;

	group.leader = leader;
	for (i = 0; i < DAEMONS; i++)
		kbd_controller_lead(group.ctl[i], i == leader, group.now);
}

static const u8 cluster_id[KBD_UUID_SIZE] = { 0xc1 };

static void begin(void)
{
	static const struct kbd_controller_options options = {
		.session_ms = 500, .balance_ms = 10000, .balance_delay_ms = 2000,
	};
	struct kbd_buf buf = { 0 };
	size_t nest;
	int i;

	memset(&group, 0, sizeof(group));
	group.now = 1000000;
	for (i = 0; i < DAEMONS; i++)
		group.ctl[i] = kbd_controller_new(&fake_ops, &group.ctl[i], &options);
	lead(0);
	kbd_begin(&buf, KBD_INIT);
	nest = kbd_nest(&buf, KBD_A_CLUSTER);
	kbd_put(&buf, KBROKER_A_CLUSTER_CLUSTER_ID, cluster_id, sizeof(cluster_id));
	kbd_nest_end(&buf, nest);
	ask_done(&buf);
	expect_eq(group.err, 0);
}

static void end(void)
{
	struct kbd_buf buf[DAEMONS] = { 0 };
	unsigned int i;

	commit();
	for (i = 0; i < DAEMONS; i++) {
		void *data;
		size_t len;

		/* daemons agree, and so does one that starts from a snapshot */
		kbd_state_save(kbd_controller_state(group.ctl[i]), &buf[i]);
		expect_bytes(buf[i].data, buf[i].len, buf[0].data, buf[0].len);
		kbd_controller_snapshot(group.ctl[i], &data, &len);
		expect_eq(kbd_controller_restore(group.ctl[i], data, len), 0);
		free(data);
		kbd_controller_snapshot(group.ctl[i], &data, &len);
		expect_bytes(data, len, buf[0].data, buf[0].len);
		expect_eq(kbd_controller_restore(group.ctl[i], data, len - 1), -EPROTO);
		free(data);
	}
	for (i = 0; i < DAEMONS; i++) {
		kbd_buf_free(&buf[i]);
		kbd_controller_free(group.ctl[i]);
	}
	for (i = 0; i < group.entries; i++)
		kbd_buf_free(&group.entry[i].bytes);
}

static s64 ask_register(s32 id)
{
	u8 uuid[KBD_UUID_SIZE] = { id };
	struct kbd_buf buf = { 0 };
	size_t nest, inner;

	kbd_begin(&buf, KBD_REGISTER);
	nest = kbd_nest(&buf, KBD_A_BROKER);
	inner = kbd_nest(&buf, KBD_A_CLUSTER);
	kbd_put(&buf, KBROKER_A_CLUSTER_CLUSTER_ID, cluster_id, sizeof(cluster_id));
	kbd_put(&buf, KBROKER_A_CLUSTER_DIRECTORY_ID, uuid, sizeof(uuid));
	kbd_put(&buf, KBROKER_A_CLUSTER_INCARNATION, uuid, sizeof(uuid));
	kbd_nest_end(&buf, inner);
	inner = kbd_nest(&buf, KBD_A_PEER);
	kbd_put_u32(&buf, KBROKER_A_PEER_ID, id);
	kbd_nest_end(&buf, inner);
	kbd_nest_end(&buf, nest);
	ask_done(&buf);
	expect_eq(group.err, 0);
	return group.epoch;
}

static void beat_as(s32 id, s64 epoch, u64 index)
{
	struct kbd_buf buf = { 0 };
	size_t nest;

	kbd_begin(&buf, KBD_HEARTBEAT);
	nest = kbd_nest(&buf, KBD_A_PEER);
	kbd_put_u32(&buf, KBROKER_A_PEER_ID, id);
	kbd_put_u64(&buf, KBROKER_A_PEER_EPOCH, epoch);
	kbd_nest_end(&buf, nest);
	kbd_put_u64(&buf, KBD_A_INDEX, index);
	ask_done(&buf);
}

static struct kbd_broker *broker(s32 id)
{
	const struct kbd_state *state = kbd_controller_state(group.ctl[group.leader]);

	return kbd_broker_find((struct kbd_brokers *)&state->brokers, id);
}

static void beat(s32 id)
{
	beat_as(id, broker(id)->epoch, group.entries);
}

/* @ms pass, in which the brokers of @alive send heartbeats */
static void pass(unsigned int ms, const s32 *alive)
{
	const s32 *id;

	for (; ms >= 50; ms -= 50) {
		group.now += 50;
		for (id = alive; id && *id; id++)
			beat(*id);
		kbd_controller_tick(group.ctl[group.leader], group.now);
		commit();
	}
}

static const s32 all[] = { 1, 2, 3, 0 };

static const struct kbd_partition *three(void)
{
	struct kbd_buf buf = { 0 };
	s32 id;

	begin();
	for (id = 1; id <= 3; id++) {
		ask_register(id);
		beat(id);
	}
	kbd_begin(&buf, KBD_REQUEST);
	kbd_put_u8(&buf, KBROKER_A_REQUEST_KIND, KBROKER_REQUEST_KIND_TOPIC_NEW);
	kbd_put_text(&buf, KBROKER_A_REQUEST_TOPIC, "logs");
	ask_done(&buf);
	expect_eq(group.err, 0);
	return &kbd_topic_find(kbd_controller_state(group.ctl[0]), "logs")->partition[0];
}

static void test_session(void)
{
	s64 epoch;

	begin();
	epoch = ask_register(1);
	/* it has not seen its own registration yet */
	beat_as(1, epoch, 0);
	expect(broker(1)->fenced);
	beat_as(1, epoch + 1, group.entries);
	expect_eq(group.err, ESTALE);
	expect(broker(1)->fenced);
	beat(1);
	expect(!broker(1)->fenced);
	pass(2000, (const s32[]){ 1, 0 });
	expect(!broker(1)->fenced);
	pass(450, NULL);
	expect(!broker(1)->fenced);
	pass(50, NULL);
	expect(broker(1)->fenced);
	/* the same life goes on with the same epoch */
	beat(1);
	expect(!broker(1)->fenced);
	expect_eq(broker(1)->epoch, epoch);
	end();
}

static void test_failover(void)
{
	const struct kbd_partition *part = three();
	s32 first = part->leader, alive[4] = { 0 }, id;
	int count = 0;

	for (id = 1; id <= 3; id++)
		if (id != first)
			alive[count++] = id;
	pass(1000, all);
	pass(500, alive);
	expect(part->leader != first && part->leader != KBD_NO_BROKER);
	expect_eq(part->isr.count, 2);
	/* it comes back, and leads again, though not at once */
	pass(50, all);
	expect(!broker(first)->fenced);
	pass(1500, all);
	expect(part->leader != first);
	end();
}

static void test_balance(void)
{
	const struct kbd_partition *part = three();
	struct kbd_buf buf = { 0 };
	s32 first = part->leader;
	u8 epochs[24];
	size_t nest;
	int i;

	pass(500, all);
	/* its leadership moves by a fence; then it is in sync again */
	kbd_begin(&buf, KBD_SESSIONS);
	nest = kbd_nest(&buf, KBD_A_PEER);
	kbd_put_u32(&buf, KBROKER_A_PEER_ID, first);
	kbd_put_u64(&buf, KBROKER_A_PEER_EPOCH, broker(first)->epoch);
	kbd_put_u8(&buf, KBROKER_A_PEER_FENCED, 1);
	kbd_nest_end(&buf, nest);
	/* a client can't fence anybody */
	ask_done(&buf);
	expect_eq(group.err, EINVAL);
	expect_eq(part->leader, first);
	for (i = 0; i < 11; i++) {
		s32 others[3] = { 1 + first % 3, 1 + (first + 1) % 3, 0 };

		pass(50, others);
	}
	expect(part->leader != first);
	beat(first);
	kbd_begin(&buf, KBD_REQUEST);
	kbd_put_u8(&buf, KBROKER_A_REQUEST_KIND, KBROKER_REQUEST_KIND_ISR);
	nest = kbd_nest(&buf, KBD_A_PEER);
	kbd_put_u32(&buf, KBROKER_A_PEER_ID, part->leader);
	kbd_put_u64(&buf, KBROKER_A_PEER_EPOCH, broker(part->leader)->epoch);
	kbd_nest_end(&buf, nest);
	kbd_put_text(&buf, KBROKER_A_REQUEST_TOPIC, "logs");
	kbd_put_u32(&buf, KBROKER_A_REQUEST_PARTITION, 0);
	kbd_put_u32(&buf, KBROKER_A_REQUEST_LEADER_EPOCH, part->leader_epoch);
	kbd_put_u32(&buf, KBROKER_A_REQUEST_PARTITION_EPOCH, part->partition_epoch);
	kbd_put_set(&buf, KBROKER_A_REQUEST_ISR, &part->replicas);
	for (i = 0; i < 3; i++) {
		u64 epoch = broker(part->replicas.id[i])->epoch;
		unsigned int byte;

		for (byte = 0; byte < 8; byte++)
			epochs[8 * i + byte] = epoch >> (56 - 8 * byte);
	}
	kbd_put(&buf, KBROKER_A_REQUEST_ISR_EPOCHS, epochs, sizeof(epochs));
	ask_done(&buf);
	expect_eq(group.err, 0);
	expect(part->leader != first);
	pass(11000, all);
	expect_eq(part->leader, first);
	end();
}

static void test_new_leader(void)
{
	three();
	pass(450, NULL);
	/* whoever leads now has heard of nobody, and waits a whole session */
	lead(1);
	pass(450, NULL);
	expect(!broker(1)->fenced);
	pass(50, NULL);
	expect(broker(1)->fenced && broker(2)->fenced && broker(3)->fenced);
	end();
	/* but for the one whose daemon fell silent before */
	three();
	pass(100, all);
	lead(1);
	kbd_controller_silent(group.ctl[1], 1, 400, group.now);
	pass(100, NULL);
	expect(!broker(1)->fenced);
	pass(50, NULL);
	expect(broker(1)->fenced && !broker(2)->fenced && !broker(3)->fenced);
	end();
	/* it may be heard yet */
	three();
	pass(100, all);
	lead(1);
	kbd_controller_silent(group.ctl[1], 1, 100000, group.now);
	pass(100, all);
	pass(400, NULL);
	expect(!broker(1)->fenced);
	end();
}

static void test_stall(void)
{
	three();
	pass(100, all);
	/* the controller itself stood still */
	group.now += 5000;
	kbd_controller_tick(group.ctl[0], group.now);
	commit();
	expect(!broker(1)->fenced && !broker(2)->fenced && !broker(3)->fenced);
	pass(500, NULL);
	expect(broker(1)->fenced);
	end();
}

static void test_calls(void)
{
	struct kbd_buf buf = { 0 };
	u64 first, last;

	three();
	kbd_begin(&buf, KBD_ELECT);
	/* a daemon that does not lead */
	kbd_controller_rpc(group.ctl[2], ++group.call, buf.data, buf.len, group.now);
	expect_eq(group.err, ENOTCONN);
	/* the log takes none */
	group.refuse = true;
	first = ask(&buf);
	expect_eq(group.answers[first], 1);
	expect_eq(group.err, EAGAIN);
	group.refuse = false;
	/* leadership ends before they are applied */
	first = ask(&buf);
	last = ask(&buf);
	expect_eq(group.answers[first] + group.answers[last], 0);
	lead(1);
	expect_eq(group.answers[first] + group.answers[last], 2);
	expect_eq(group.err, EAGAIN);
	commit();
	expect_eq(group.answers[first] + group.answers[last], 2);
	kbd_begin(&buf, KBD_STATUS);
	ask_done(&buf);
	expect_eq(group.brokers, 3);
	kbd_begin(&buf, KBD_ANSWER);
	ask_done(&buf);
	expect_eq(group.err, EINVAL);
	kbd_begin(&buf, KBD_STATUS);
	buf.data[0] = 9;
	ask_done(&buf);
	expect_eq(group.err, EPROTO);
	end();
}

const struct tap_case controller_cases[] = {
	{ "controller: a session begins, ends, and goes on", test_session },
	{ "controller: who falls silent leads no longer", test_failover },
	{ "controller: leadership goes back, in time", test_balance },
	{ "controller: a new one gives everybody a whole session", test_new_leader },
	{ "controller: one that stood still fences nobody for it", test_stall },
	{ "controller: each request is answered once", test_calls },
	{ NULL, NULL }
};
