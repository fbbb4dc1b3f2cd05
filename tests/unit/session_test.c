// SPDX-License-Identifier: GPL-2.0-only
/*
 * A daemon's session between a controller and a kernel, which is a fake that
 * minds the order in which it is told things.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "session.h"
#include "tap.h"

#define QUEUE	64

struct queued {
	struct kbd_buf bytes;
	u64 token;
};

static struct daemon {
	struct kbd_controller *ctl;
	struct kbd_session *session;
	struct queued asked[QUEUE];
	struct queued entry[QUEUE];
	struct queued reply[QUEUE];
	unsigned int asks;
	unsigned int entries;
	unsigned int replies;
	u64 index;
	u64 now;
	bool mute;
	bool stalls;
	bool swallows;
	unsigned int swallowed;
	u64 last;
	u64 lost;
	u64 heard;
	u64 forgotten;
	/* the kernel */
	bool there;
	bool busy;
	enum kbd_tell refuse;
	bool refuses;
	bool busy_next;
	bool unknown;
	struct kbd_kernel kernel;
	bool peer;
	s64 epoch;
	bool fenced;
	bool topic;
	s32 leader;
	unsigned int told;
	unsigned int topics;
	unsigned int answers;
	struct kbd_buf request;
	u64 request_id;
	int answer;
} node;

static void push(struct queued *queue, unsigned int *count, const void *data, size_t len, u64 token)
{
	if (!expect(*count < QUEUE))
		return;
	memset(&queue[*count], 0, sizeof(*queue));
	kbd_copy(&queue[*count].bytes, data, len);
	queue[(*count)++].token = token;
}

static int fake_propose(void *arg, const void *entry, size_t len, u64 token)
{
	(void)arg;
	push(node.entry, &node.entries, entry, len, token);
	return 0;
}

static void fake_reply(void *arg, u64 call, const void *data, size_t len)
{
	(void)arg;
	push(node.reply, &node.replies, data, len, call);
}

static void fake_applied(void *arg, u64 index, const struct kbd_touched *touched)
{
	(void)arg;
	(void)index;
	kbd_session_applied(node.session, touched);
}

static void fake_random(void *arg, void *buf, size_t len)
{
	(void)arg;
	memset(buf, 0x77, len);
}

static void fake_log(void *arg, const char *text)
{
	(void)arg;
	expect(*text);
}

static const struct kbd_controller_ops controller_ops = {
	fake_propose, fake_reply, fake_applied, fake_random, fake_log,
};

static int kernel_look(void *arg, struct kbd_kernel *kernel)
{
	(void)arg;
	*kernel = node.kernel;
	return node.there ? 0 : -ENODEV;
}

static int kernel_known(void *arg, struct kbd_state *state)
{
	(void)arg;
	expect_eq(state->topics, 0);
	return node.unknown ? -EAGAIN : 0;
}

static int kernel_requests(void *arg, struct kbd_session *session)
{
	(void)arg;
	if (node.request_id)
		kbd_session_request(session, node.request_id, &node.request);
	kbd_session_listed(session);
	return 0;
}

static bool kernel_busy(void *arg)
{
	(void)arg;
	return node.busy || node.busy_next;
}

static int kernel_tell(void *arg, enum kbd_tell what, const struct kbd_buf *buf)
{
	struct kbd_attr attr, replica[KBROKER_A_REPLICA_ITEM_MAX + 1];
	size_t pos = KBD_HEADER_SIZE;

	(void)arg;
	expect(!node.busy);
	node.told++;
	/* as a kernel that answers later: what is behind it is dropped with it */
	if (node.refuses && (what == node.refuse || node.busy_next)) {
		node.busy_next = true;
		return 0;
	}
	while (kbd_each(buf->data, buf->len, &pos, &attr)) {
		if (what == KBD_TELL_PEER && attr.type == KBROKER_A_PEER_ID)
			node.peer = true;
		if (what == KBD_TELL_CLUSTER && attr.type == KBROKER_A_CLUSTER_BROKER_EPOCH)
			node.epoch = kbd_u64(&attr);
		if (what == KBD_TELL_CLUSTER && attr.type == KBROKER_A_CLUSTER_INCARNATION)
			expect(!memcmp(attr.data, node.kernel.incarnation, KBD_UUID_SIZE));
		if (what == KBD_TELL_CLUSTER && attr.type == KBROKER_A_CLUSTER_FENCED)
			node.fenced = kbd_u8(&attr);
		if (what == KBD_TELL_ANSWER && attr.type == KBROKER_A_REQUEST_ERROR)
			node.answer = kbd_u32(&attr);
		if (what != KBD_TELL_REPLICAS)
			continue;
		kbd_open(&attr, replica, KBROKER_A_REPLICA_ITEM_MAX + 1);
		node.leader = kbd_u32(&replica[KBROKER_A_REPLICA_ITEM_LEADER]);
		expect(node.topic);
	}
	switch (what) {
	case KBD_TELL_CLUSTER:
		/* peers before any epoch */
		expect(node.peer);
		break;
	case KBD_TELL_TOPIC_NEW:
		expect(!node.topic);
		node.topic = true;
		break;
	case KBD_TELL_TOPIC_GONE:
		expect(node.topic);
		node.topic = false;
		break;
	case KBD_TELL_REPLICAS:
		/* an epoch before any leadership */
		expect(node.epoch >= 0 && (node.leader != node.kernel.id || !node.fenced));
		break;
	case KBD_TELL_ANSWER:
		/* what was asked is there before its answer */
		expect_eq(node.topic, node.topics);
		node.request_id = 0;
		node.answers++;
		break;
	default:
		break;
	}
	return 0;
}

static void daemon_ask(void *arg, u64 token, const void *data, size_t len)
{
	(void)arg;
	node.last = token;
	if (node.swallows)
		node.swallowed++;
	else if (node.mute)
		node.lost = token;
	else
		push(node.asked, &node.asks, data, len, token);
}

static void daemon_forget(void *arg, u64 token)
{
	(void)arg;
	expect(token && token <= node.last);
	node.forgotten = token;
}

static const struct kbd_session_ops session_ops = {
	kernel_look, kernel_known, kernel_requests, kernel_busy, kernel_tell, daemon_ask,
	daemon_forget, fake_log,
};

/* @ms pass in steps of 50; whatever is under way arrives in each. */
static void pass(unsigned int ms)
{
	unsigned int i;
	u64 token;

	for (; ms >= 50; ms -= 50) {
		node.now += 50;
		kbd_session_tick(node.session, node.now);
		for (i = 0; i < node.asks; i++) {
			kbd_controller_rpc(node.ctl, node.asked[i].token, node.asked[i].bytes.data,
					   node.asked[i].bytes.len, node.now);
			kbd_buf_free(&node.asked[i].bytes);
		}
		node.asks = 0;
		for (token = node.heard + 1; token <= node.lost; token++)
			kbd_session_lost(node.session, token);
		node.heard = node.last;
		kbd_controller_tick(node.ctl, node.now);
		for (i = 0; i < node.entries && !node.stalls; i++) {
			expect_eq(kbd_controller_apply(node.ctl, ++node.index,
						       node.entry[i].bytes.data,
						       node.entry[i].bytes.len,
						       node.entry[i].token, node.now), 0);
			kbd_buf_free(&node.entry[i].bytes);
		}
		if (!node.stalls)
			node.entries = 0;
		for (i = 0; i < node.replies; i++) {
			kbd_session_answer(node.session, node.reply[i].token,
					   node.reply[i].bytes.data, node.reply[i].bytes.len);
			kbd_buf_free(&node.reply[i].bytes);
		}
		node.replies = 0;
	}
}

static const struct kbd_broker *broker(void)
{
	return &kbd_controller_state(node.ctl)->brokers.broker[0];
}

static void begin(void)
{
	static const struct kbd_endpoint endpoint = { .address = "10.0.0.1", .port = 9092 };
	struct kbd_buf buf = { 0 };
	size_t nest;

	memset(&node, 0, sizeof(node));
	node.now = 1000000;
	node.epoch = -1;
	node.leader = -2;
	node.kernel.id = 7;
	node.kernel.previous = -1;
	node.kernel.cluster_id[0] = 0xc1;
	node.kernel.incarnation[0] = 1;
	node.ctl = kbd_controller_new(&controller_ops, NULL, NULL);
	node.session = kbd_session_new(&session_ops, NULL, node.ctl, &endpoint);
	kbd_controller_lead(node.ctl, true, node.now);
	kbd_begin(&buf, KBD_INIT);
	nest = kbd_nest(&buf, KBD_A_CLUSTER);
	kbd_put(&buf, KBROKER_A_CLUSTER_CLUSTER_ID, node.kernel.cluster_id, KBD_UUID_SIZE);
	kbd_nest_end(&buf, nest);
	push(node.asked, &node.asks, buf.data, buf.len, 0);
	kbd_buf_free(&buf);
	/* no broker yet: nothing is told or registered */
	pass(500);
	expect_eq(node.told, 0);
	expect_eq(kbd_controller_state(node.ctl)->brokers.count, 0);
	node.there = true;
	pass(500);
	expect_eq(node.epoch, broker()->epoch);
	expect(!broker()->fenced && !node.fenced);
}

static void end(void)
{
	kbd_session_free(node.session);
	kbd_controller_free(node.ctl);
	kbd_buf_free(&node.request);
}

static void request(u8 kind, unsigned int topics)
{
	kbd_begin(&node.request, KBD_REQUEST);
	kbd_put_u8(&node.request, KBROKER_A_REQUEST_KIND, kind);
	kbd_put_text(&node.request, KBROKER_A_REQUEST_TOPIC, "logs");
	node.request_id++;
	node.answer = -1;
	node.topics = topics;
	kbd_session_event(node.session);
}

static void test_topics(void)
{
	unsigned int told;

	begin();
	request(KBROKER_REQUEST_KIND_TOPIC_NEW, 1);
	pass(500);
	expect_eq(node.answer, 0);
	expect_eq(node.leader, 7);
	/* nothing changes: nothing is told */
	told = node.told;
	pass(1000);
	expect_eq(node.told, told);
	request(KBROKER_REQUEST_KIND_TOPIC_NEW, 1);
	pass(500);
	expect_eq(node.answer, EEXIST);
	request(KBROKER_REQUEST_KIND_TOPIC_DEL, 0);
	/* the controller is not reached, until it is */
	node.mute = true;
	pass(200);
	node.mute = false;
	expect_eq(node.answer, -1);
	pass(2000);
	expect_eq(node.answer, 0);
	end();
}

/* What takes its time is not asked for a second time: that would be refused. */
static void test_slow(void)
{
	begin();
	request(KBROKER_REQUEST_KIND_TOPIC_NEW, 1);
	node.stalls = true;
	/* longer than the kernel is taken at its word that it still waits */
	pass(130000);
	expect_eq(node.answer, -1);
	expect_eq(node.forgotten, 0);
	node.stalls = false;
	pass(500);
	expect_eq(node.answer, 0);
	expect_eq(node.answers, 1);
	end();
}

/* The kernel tells nobody when it waits no more, but does not name the request again. */
static void test_forgotten(void)
{
	begin();
	request(KBROKER_REQUEST_KIND_TOPIC_NEW, 1);
	node.stalls = true;
	pass(50);
	expect_eq(node.forgotten, 0);
	node.request_id = 0;
	pass(70000);
	expect(node.forgotten);
	node.stalls = false;
	pass(500);
	expect(node.topic);
	expect_eq(node.answers, 0);
	end();
}

/* A broker whose registration is never answered asks again. */
static void test_register_again(void)
{
	begin();
	node.swallows = true;
	node.swallowed = 0;
	node.kernel.incarnation[0] = 2;
	pass(4000);
	expect_eq(node.swallowed, 1);
	expect_eq(node.forgotten, 0);
	pass(1500);
	expect_eq(node.swallowed, 2);
	expect(node.forgotten);
	node.swallows = false;
	pass(6000);
	expect_eq(node.epoch, broker()->epoch);
	expect(!broker()->fenced);
	end();
}

static void test_refused(void)
{
	unsigned int told;

	begin();
	node.refuses = true;
	node.refuse = KBD_TELL_TOPIC_NEW;
	request(KBROKER_REQUEST_KIND_TOPIC_NEW, 1);
	pass(100);
	expect(node.busy_next && !node.topic);
	/* the kernel takes its time: nothing else is told meanwhile */
	node.busy = true;
	told = node.told;
	pass(1000);
	expect_eq(node.told, told);
	expect(!broker()->fenced);
	node.busy = false;
	node.busy_next = false;
	node.refuses = false;
	/* it refused; what it knows is being looked up */
	node.unknown = true;
	kbd_session_refused(node.session);
	pass(1000);
	expect_eq(node.told, told);
	node.unknown = false;
	pass(2000);
	expect(node.topic);
	expect_eq(node.leader, 7);
	expect(!broker()->fenced);
	end();
}

/* What the kernel refuses takes the answers behind it with it. */
static void test_answer_lost(void)
{
	begin();
	node.refuses = true;
	node.refuse = KBD_TELL_REPLICAS;
	request(KBROKER_REQUEST_KIND_TOPIC_NEW, 1);
	pass(200);
	expect(node.busy_next && node.topic);
	expect_eq(node.answer, -1);
	node.busy_next = false;
	node.refuses = false;
	/* as a fake it knows nothing when asked */
	node.topic = false;
	kbd_session_refused(node.session);
	pass(1000);
	expect_eq(node.answer, 0);
	expect_eq(node.answers, 1);
	end();
}

/* More requests than are passed on at once end without an answer; later ones are passed on. */
static void test_ended(void)
{
	unsigned int i;

	begin();
	kbd_begin(&node.request, KBD_REQUEST);
	kbd_put_u8(&node.request, KBROKER_A_REQUEST_KIND, KBROKER_REQUEST_KIND_TOPIC_NEW);
	kbd_put_text(&node.request, KBROKER_A_REQUEST_TOPIC, "logs");
	node.mute = true;
	for (i = 0; i < 2000; i++)
		kbd_session_request(node.session, 100000 + i, &node.request);
	kbd_buf_free(&node.request);
	pass(2000);
	node.mute = false;
	pass(500);
	request(KBROKER_REQUEST_KIND_TOPIC_NEW, 1);
	pass(500);
	expect_eq(node.answer, 0);
	end();
}

/* A controller that leads no more does not know what came of an in-sync set: it is asked for again. */
static void test_isr_again(void)
{
	static const struct { int err; unsigned int told; } all[] = {
		{ EAGAIN, 0 }, { EHOSTUNREACH, 1 },
	};
	struct kbd_buf buf = { 0 };
	unsigned int i;

	for (i = 0; i < 2; i++) {
		begin();
		kbd_begin(&node.request, KBD_REQUEST);
		kbd_put_u8(&node.request, KBROKER_A_REQUEST_KIND, KBROKER_REQUEST_KIND_ISR);
		kbd_put_text(&node.request, KBROKER_A_REQUEST_TOPIC, "logs");
		node.request_id = 5;
		node.mute = true;
		kbd_session_tick(node.session, node.now);
		kbd_session_request(node.session, 5, &node.request);
		kbd_begin(&buf, KBD_ANSWER);
		kbd_put_u32(&buf, KBD_A_ERROR, all[i].err);
		kbd_put_text(&buf, KBD_A_MESSAGE, "so it is");
		kbd_session_answer(node.session, node.last, buf.data, buf.len);
		kbd_buf_free(&buf);
		pass(500);
		expect_eq(node.answers, all[i].told);
		end();
	}
}

static void test_restart(void)
{
	s64 epoch;

	begin();
	request(KBROKER_REQUEST_KIND_TOPIC_NEW, 1);
	pass(500);
	epoch = node.epoch;
	node.there = false;
	pass(600);
	expect(broker()->fenced);
	/* another life: another epoch, and all is told again */
	node.there = true;
	node.kernel.incarnation[0] = 2;
	node.topic = false;
	node.peer = false;
	node.epoch = -1;
	node.leader = -2;
	pass(1000);
	expect(node.epoch > epoch);
	expect(!broker()->fenced);
	expect_eq(node.leader, 7);
	end();
}

const struct tap_case session_cases[] = {
	{ "session: what a kernel asks is decided, told and answered", test_topics },
	{ "session: what takes long is not asked for twice", test_slow },
	{ "session: what the kernel waits for no more is forgotten", test_forgotten },
	{ "session: a registration without an answer is sent again", test_register_again },
	{ "session: what was refused is told anew", test_refused },
	{ "session: an answer behind what was refused is told again", test_answer_lost },
	{ "session: requests that end without an answer make room", test_ended },
	{ "session: an in-sync set that may have been decided is asked for again", test_isr_again },
	{ "session: a broker that starts again is another", test_restart },
	{ NULL, NULL }
};
