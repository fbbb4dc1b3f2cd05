// SPDX-License-Identifier: GPL-2.0-only
/*
 * The controller: requests become entries of the Raft log, applied entries
 * become answers, and silence becomes a fence. See controller.h.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controller.h"
#include "state.h"

/* Requests that wait for their entries */
#define CALLS_MAX	4096
/* Partitions whose leadership one entry gives back */
#define BALANCE_MAX	1000
#define TICK_MS		50
/* Who was silent towards another daemon has so long to be heard by this one */
#define LAST_WORD_MS	150

/**
 * struct session - what the Raft leader knows of a broker
 * @id: node.id
 * @heard_ms: when its last heartbeat came
 * @gone: its daemon said that the broker is there no more
 * @returned_ms: since when it has its session
 * @asked: an entry that fences or unfences it is under way
 */
struct session {
	s32 id;
	u64 heard_ms;
	u64 returned_ms;
	bool gone;
	bool asked;
};

/**
 * struct call - a request whose entry was proposed
 * @token: of the entry
 * @call: to answer it
 */
struct call {
	u64 token;
	u64 call;
};

/**
 * struct kbd_controller - see controller.h
 * @ops: the daemon's
 * @arg: their argument
 * @options: times
 * @state: what was applied
 * @leads: this daemon leads the Raft group
 * @sessions: how many sessions
 * @session: of the brokers that were heard of since it leads
 * @calls: how many wait
 * @call: they, in the order of their tokens
 * @token: of the last entry proposed
 * @ticked_ms: when time was told last
 * @balanced_ms: when leaderships were looked at last
 */
struct kbd_controller {
	const struct kbd_controller_ops *ops;
	void *arg;
	struct kbd_controller_options options;
	struct kbd_state *state;
	bool leads;
	unsigned int sessions;
	struct session session[KBD_BROKERS_MAX];
	unsigned int calls;
	struct call call[CALLS_MAX];
	u64 token;
	u64 ticked_ms;
	u64 balanced_ms;
};

static const struct kbd_controller_options defaults = {
	.session_ms = KBD_SESSION_MS,
	.balance_ms = KBD_BALANCE_MS,
	.balance_delay_ms = KBD_BALANCE_DELAY_MS,
};

struct kbd_controller *kbd_controller_new(const struct kbd_controller_ops *ops, void *arg,
					  const struct kbd_controller_options *options)
{
	struct kbd_controller *ctl = calloc(1, sizeof(*ctl));

	if (!ctl)
		abort();
	ctl->ops = ops;
	ctl->arg = arg;
	ctl->options = options ? *options : defaults;
	ctl->state = kbd_state_new();
	return ctl;
}

void kbd_controller_free(struct kbd_controller *ctl)
{
	if (!ctl)
		return;
	kbd_state_free(ctl->state);
	free(ctl);
}

const struct kbd_state *kbd_controller_state(const struct kbd_controller *ctl)
{
	return ctl->state;
}

__attribute__((format(printf, 2, 3)))
static void say(struct kbd_controller *ctl, const char *fmt, ...)
{
	char text[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	ctl->ops->log(ctl->arg, text);
}

/* ---- answers ---- */

static void answer(struct kbd_controller *ctl, u64 call, int err, s64 epoch, const char *text)
{
	struct kbd_buf buf = { 0 };

	kbd_begin(&buf, KBD_ANSWER);
	kbd_put_u32(&buf, KBD_A_ERROR, err);
	if (err)
		kbd_put_text(&buf, KBD_A_MESSAGE, text);
	if (epoch >= 0)
		kbd_put_u64(&buf, KBD_A_EPOCH, epoch);
	kbd_put_u64(&buf, KBD_A_INDEX, ctl->state->index);
	ctl->ops->reply(ctl->arg, call, buf.data, buf.len);
	kbd_buf_free(&buf);
}

static void answer_status(struct kbd_controller *ctl, u64 call)
{
	struct kbd_buf buf = { 0 };

	kbd_begin(&buf, KBD_ANSWER);
	kbd_put_u32(&buf, KBD_A_ERROR, 0);
	kbd_put_u64(&buf, KBD_A_INDEX, ctl->state->index);
	kbd_state_save_brokers(ctl->state, &buf);
	kbd_state_save_moves(ctl->state, &buf);
	ctl->ops->reply(ctl->arg, call, buf.data, buf.len);
	kbd_buf_free(&buf);
}

/* The entry @token was applied: answer who asked for it. */
static void answer_applied(struct kbd_controller *ctl, u64 token, const struct kbd_result *result)
{
	unsigned int i;

	for (i = 0; i < ctl->calls; i++) {
		u64 call = ctl->call[i].call;

		if (ctl->call[i].token != token)
			continue;
		ctl->calls--;
		memmove(&ctl->call[i], &ctl->call[i + 1],
			(ctl->calls - i) * sizeof(ctl->call[0]));
		answer(ctl, call, result->err, result->epoch, result->text);
		return;
	}
}

/* ---- sessions ---- */

static struct session *session_find(struct kbd_controller *ctl, s32 id)
{
	unsigned int i;

	for (i = 0; i < ctl->sessions; i++)
		if (ctl->session[i].id == id)
			return &ctl->session[i];
	return NULL;
}

/* Of a registered broker; those of removed brokers make room. */
static struct session *session_get(struct kbd_controller *ctl, s32 id, u64 now_ms)
{
	struct session *session = session_find(ctl, id);
	unsigned int i;

	if (session)
		return session;
	for (i = 0; i < ctl->sessions; i++)
		if (!kbd_member_find(ctl->state, ctl->session[i].id))
			break;
	if (i == ctl->sessions)
		ctl->sessions++;
	session = &ctl->session[i];
	memset(session, 0, sizeof(*session));
	session->id = id;
	session->heard_ms = now_ms;
	session->returned_ms = now_ms;
	return session;
}

/* Whatever was said of sessions came to pass, or nothing did: look anew. */
static void sessions_applied(struct kbd_controller *ctl, const struct kbd_message *msg, u64 now_ms)
{
	struct kbd_attr attr, peer[KBROKER_A_PEER_MAX + 1];
	struct session *session;
	size_t pos = 0;

	while (kbd_each(msg->body, msg->len, &pos, &attr)) {
		if (attr.type != KBD_A_PEER)
			continue;
		kbd_open(&attr, peer, KBROKER_A_PEER_MAX + 1);
		session = session_find(ctl, kbd_u32(&peer[KBROKER_A_PEER_ID]));
		if (!session)
			continue;
		session->asked = false;
		if (!kbd_u8(&peer[KBROKER_A_PEER_FENCED]))
			session->returned_ms = now_ms;
	}
}

static void put_session(struct kbd_buf *buf, const struct kbd_broker *broker, bool fenced)
{
	size_t nest = kbd_nest(buf, KBD_A_PEER);

	kbd_put_u32(buf, KBROKER_A_PEER_ID, broker->id);
	kbd_put_u64(buf, KBROKER_A_PEER_EPOCH, broker->epoch);
	kbd_put_u8(buf, KBROKER_A_PEER_FENCED, fenced);
	kbd_nest_end(buf, nest);
}

/* Nobody waits for the entry in @buf. */
static bool propose(struct kbd_controller *ctl, const struct kbd_buf *buf)
{
	return !ctl->ops->propose(ctl->arg, buf->data, buf->len, ++ctl->token);
}

static void unfence(struct kbd_controller *ctl, const struct kbd_broker *broker,
		    struct session *session)
{
	struct kbd_buf buf = { 0 };

	if (session->asked)
		return;
	kbd_begin(&buf, KBD_SESSIONS);
	put_session(&buf, broker, false);
	session->asked = propose(ctl, &buf);
	if (session->asked)
		say(ctl, "broker %d has a session, epoch %lld", broker->id, broker->epoch);
	kbd_buf_free(&buf);
}

/* All that fell silent, in one entry: none of them is elected meanwhile. */
static void fence_silent(struct kbd_controller *ctl, u64 now_ms)
{
	const struct kbd_brokers *brokers = &ctl->state->brokers;
	struct session *silent[KBD_BROKERS_MAX];
	struct kbd_buf buf = { 0 };
	unsigned int count = 0, i;

	kbd_begin(&buf, KBD_SESSIONS);
	for (i = 0; i < brokers->count; i++) {
		struct session *session = session_get(ctl, brokers->broker[i].id, now_ms);

		if (brokers->broker[i].fenced || session->asked ||
		    (!session->gone && now_ms - session->heard_ms < ctl->options.session_ms))
			continue;
		put_session(&buf, &brokers->broker[i], true);
		silent[count++] = session;
	}
	if (count && propose(ctl, &buf)) {
		for (i = 0; i < count; i++) {
			silent[i]->asked = true;
			if (silent[i]->gone)
				say(ctl, "broker %d is gone: it is fenced", silent[i]->id);
			else
				say(ctl, "broker %d was not heard of for %llu ms: it is fenced",
				    silent[i]->id, now_ms - silent[i]->heard_ms);
		}
	}
	kbd_buf_free(&buf);
}

static void heartbeat(struct kbd_controller *ctl, u64 call, const struct kbd_message *msg,
		      u64 now_ms)
{
	struct kbd_attr peer[KBROKER_A_PEER_MAX + 1];
	const struct kbd_broker *broker;
	struct session *session;
	s32 id;

	kbd_open(&msg->attr[KBD_A_PEER], peer, KBROKER_A_PEER_MAX + 1);
	id = kbd_u32(&peer[KBROKER_A_PEER_ID]);
	broker = kbd_broker_find(&ctl->state->brokers, id);
	if (!broker || broker->epoch != (s64)kbd_u64(&peer[KBROKER_A_PEER_EPOCH])) {
		answer(ctl, call, ESTALE, -1, "the broker must register");
		return;
	}
	session = session_get(ctl, id, now_ms);
	session->heard_ms = now_ms;
	session->gone = kbd_u8(&peer[KBROKER_A_PEER_FENCED]);
	if (session->gone) {
		fence_silent(ctl, now_ms);
		answer(ctl, call, 0, broker->epoch, NULL);
		return;
	}
	/* Who has not seen its own registration yet can't know what it may lead. */
	if (broker->fenced &&
	    kbd_u64(&msg->attr[KBD_A_INDEX]) >= kbd_member_find(ctl->state, id)->registered)
		unfence(ctl, broker, session);
	answer(ctl, call, 0, broker->epoch, NULL);
}

/* ---- preferred leaders ---- */

/* May broker @id lead again, or did it return just now? */
static bool settled(struct kbd_controller *ctl, s32 id, u64 now_ms)
{
	return now_ms - session_get(ctl, id, now_ms)->returned_ms >=
	       ctl->options.balance_delay_ms;
}

static void balance(struct kbd_controller *ctl, u64 now_ms)
{
	unsigned int count = 0, i;
	struct kbd_buf buf = { 0 };
	u32 number;

	kbd_begin(&buf, KBD_ELECT);
	for (i = 0; i < ctl->state->topics; i++) {
		const struct kbd_topic *topic = ctl->state->by_name[i];

		for (number = 0; number < topic->partitions && count < BALANCE_MAX; number++) {
			s32 id = kbd_partition_preferred(&topic->partition[number],
							 &ctl->state->brokers);
			size_t nest;

			if (id == KBD_NO_BROKER || !settled(ctl, id, now_ms))
				continue;
			nest = kbd_nest(&buf, KBD_A_REPLICA);
			kbd_put(&buf, KBROKER_A_REPLICA_TOPIC_ID, topic->id, KBD_UUID_SIZE);
			kbd_put_u32(&buf, KBROKER_A_REPLICA_PARTITION, number);
			kbd_nest_end(&buf, nest);
			count++;
		}
	}
	if (count && propose(ctl, &buf))
		say(ctl, "%u partitions go back to their preferred leaders", count);
	kbd_buf_free(&buf);
}

/* ---- what the daemon calls ---- */

int kbd_controller_apply(struct kbd_controller *ctl, u64 index, const void *entry, size_t len,
			 u64 token, u64 now_ms)
{
	struct kbd_result result;
	struct kbd_message msg;
	char why[KBD_WHY_SIZE];

	if (kbd_decode(&msg, entry, len, why)) {
		say(ctl, "entry %llu of the log can't be applied: %s", index, why);
		return -EPROTO;
	}
	kbd_apply(ctl->state, index, &msg, &result);
	if (ctl->leads && msg.kind == KBD_SESSIONS)
		sessions_applied(ctl, &msg, now_ms);
	if (token)
		answer_applied(ctl, token, &result);
	ctl->ops->applied(ctl->arg, index, &ctl->state->touched);
	return 0;
}

void kbd_controller_snapshot(const struct kbd_controller *ctl, void **data, size_t *len)
{
	struct kbd_buf buf = { 0 };

	kbd_state_save(ctl->state, &buf);
	*data = buf.data;
	*len = buf.len;
}

int kbd_controller_restore(struct kbd_controller *ctl, const void *data, size_t len)
{
	char why[KBD_WHY_SIZE];
	struct kbd_state *state = kbd_state_load(data, len, why);

	if (!state) {
		say(ctl, "a snapshot can't be used: %s", why);
		return -EPROTO;
	}
	kbd_state_free(ctl->state);
	ctl->state = state;
	ctl->ops->applied(ctl->arg, state->index, NULL);
	return 0;
}

void kbd_controller_lead(struct kbd_controller *ctl, bool leads, u64 now_ms)
{
	unsigned int i;

	ctl->leads = leads;
	ctl->sessions = 0;
	ctl->ticked_ms = now_ms;
	ctl->balanced_ms = now_ms;
	if (leads) {
		for (i = 0; i < ctl->state->brokers.count; i++)
			session_get(ctl, ctl->state->brokers.broker[i].id, now_ms);
		return;
	}
	for (i = 0; i < ctl->calls; i++)
		answer(ctl, ctl->call[i].call, EAGAIN, -1,
		       "the controller changed; the request may have been carried out");
	ctl->calls = 0;
}

void kbd_controller_silent(struct kbd_controller *ctl, s32 id, u64 silent_ms, u64 now_ms)
{
	struct session *session = session_find(ctl, id);
	u64 most = ctl->options.session_ms > LAST_WORD_MS ? ctl->options.session_ms - LAST_WORD_MS : 0;

	if (ctl->leads && session)
		session->heard_ms = now_ms - (silent_ms < most ? silent_ms : most);
}

unsigned int kbd_controller_tick(struct kbd_controller *ctl, u64 now_ms)
{
	u64 gap = now_ms - ctl->ticked_ms;
	unsigned int i;

	ctl->ticked_ms = now_ms;
	if (!ctl->leads)
		return TICK_MS;
	/* It did not run itself: what it did not hear tells nothing. */
	if (gap > ctl->options.session_ms / 2)
		for (i = 0; i < ctl->sessions; i++)
			ctl->session[i].heard_ms += gap;
	for (i = 0; i < ctl->sessions; i++)
		if (ctl->session[i].heard_ms > now_ms)
			ctl->session[i].heard_ms = now_ms;
	fence_silent(ctl, now_ms);
	if (ctl->options.balance_ms && now_ms - ctl->balanced_ms >= ctl->options.balance_ms) {
		ctl->balanced_ms = now_ms;
		balance(ctl, now_ms);
	}
	return TICK_MS;
}

/* A request that becomes an entry of the log. A new topic is given its UUID here. */
static void command(struct kbd_controller *ctl, u64 call, const struct kbd_message *msg,
		    const void *data, size_t len)
{
	u8 uuid[KBD_UUID_SIZE];
	struct kbd_buf buf = { 0 };
	int err;

	if (ctl->calls == CALLS_MAX) {
		answer(ctl, call, EAGAIN, -1, "too many requests wait");
		return;
	}
	kbd_copy(&buf, data, len);
	if (msg->kind == KBD_REQUEST && !msg->attr[KBROKER_A_REQUEST_TOPIC_ID].data &&
	    kbd_u8(&msg->attr[KBROKER_A_REQUEST_KIND]) == KBROKER_REQUEST_KIND_TOPIC_NEW) {
		ctl->ops->random(ctl->arg, uuid, sizeof(uuid));
		/* version 4 of RFC 4122, as Kafka's */
		uuid[6] = (uuid[6] & 0x0f) | 0x40;
		uuid[8] = (uuid[8] & 0x3f) | 0x80;
		kbd_put(&buf, KBROKER_A_REQUEST_TOPIC_ID, uuid, sizeof(uuid));
	}
	ctl->call[ctl->calls].token = ++ctl->token;
	ctl->call[ctl->calls++].call = call;
	err = ctl->ops->propose(ctl->arg, buf.data, buf.len, ctl->token);
	if (err) {
		ctl->calls--;
		answer(ctl, call, EAGAIN, -1, "the controller can't take the request now");
	}
	kbd_buf_free(&buf);
}

void kbd_controller_rpc(struct kbd_controller *ctl, u64 call, const void *data, size_t len,
			u64 now_ms)
{
	struct kbd_message msg;
	char why[KBD_WHY_SIZE];

	if (kbd_decode(&msg, data, len, why)) {
		answer(ctl, call, EPROTO, -1, why);
		return;
	}
	if (!ctl->leads) {
		answer(ctl, call, ENOTCONN, -1, "this daemon is not the controller");
		return;
	}
	switch (msg.kind) {
	case KBD_HEARTBEAT:
		heartbeat(ctl, call, &msg, now_ms);
		return;
	case KBD_STATUS:
		answer_status(ctl, call);
		return;
	case KBD_INIT:
	case KBD_REGISTER:
	case KBD_REQUEST:
	case KBD_ELECT:
	case KBD_REASSIGN:
	case KBD_REMOVE:
		command(ctl, call, &msg, data, len);
		return;
	default:
		answer(ctl, call, EINVAL, -1, "this can't be asked of a controller");
	}
}
