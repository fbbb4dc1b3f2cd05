// SPDX-License-Identifier: GPL-2.0-only
/* A daemon's session between its kernel and the controller; see session.h. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "session.h"

/* A registration that was refused or lost is sent again after so long, one without an answer later */
#define ASK_MS		500
#define ASK_AGAIN_MS	5000
/* A request whose answer was lost is passed on again after so long */
#define AGAIN_MS	200
/* One that waits for so long may have ended in the kernel, which then tells nobody */
#define ENDED_MS	60000
/* With many requests open the kernel is asked for them less often than it has news */
#define MANY_OPEN	64
#define MANY_OPEN_MS	100
/* What the kernel refused is told anew after so long */
#define REFUSED_MS	200
/* Requests of the kernel that are with the controller at once */
#define ASKED_MAX	1024
/* Changed partitions that are remembered one by one */
#define DIRTY_MAX	100000

/**
 * struct asked - a request of the kernel that was passed on
 * @id: of the request
 * @token: of the question
 * @asked_ms: when, or when the kernel was last asked whether it is still open
 * @listed: the kernel names it among the open ones
 * @isr: it is for another in-sync set
 * @again: the answer was lost, or was none: pass it on again
 * @answered: as below says
 * @told: the kernel is being told so
 * @index: the kernel must have been told the state up to here first
 * @err: errno, 0 done
 * @text: why not
 */
struct asked {
	u64 id;
	u64 token;
	u64 asked_ms;
	bool listed;
	bool isr;
	bool again;
	bool answered;
	bool told;
	u64 index;
	int err;
	char text[KBD_WHY_SIZE];
};

/**
 * struct kbd_session - see session.h
 * @ops: the daemon's
 * @arg: their argument
 * @ctl: has the state
 * @endpoint: of the broker
 * @there: the broker was there at the last look
 * @kernel: what it said then
 * @epoch: of its registration, -1 none
 * @registered: Raft index of what the kernel may be told first
 * @told: brokers, topics and partition epochs as the kernel knows them
 * @unsure: @told may be wrong, since the kernel refused something
 * @refused_ms: when
 * @told_index: the state it was told
 * @told_epoch: the kernel knows @epoch
 * @told_fenced: as it was told
 * @all: look at all partitions, not at @dirty only
 * @dirty: partitions of the controller's state that changed
 * @event: look for open requests
 * @looked_ms: when that was last done
 * @now_ms: of the last tick
 * @token: of the last question
 * @registering: token of the registration under way, 0 none
 * @beating: token of the last heartbeat
 * @asked_ms: when the last registration or heartbeat was sent
 * @count: requests that were passed on
 * @asked: they
 */
struct kbd_session {
	const struct kbd_session_ops *ops;
	void *arg;
	const struct kbd_controller *ctl;
	struct kbd_endpoint endpoint;
	bool there;
	struct kbd_kernel kernel;
	s64 epoch;
	u64 registered;
	struct kbd_state *told;
	bool unsure;
	u64 refused_ms;
	u64 told_index;
	bool told_epoch;
	int told_fenced;
	bool all;
	struct kbd_refs dirty;
	bool event;
	u64 looked_ms;
	u64 now_ms;
	u64 token;
	u64 registering;
	u64 beating;
	u64 asked_ms;
	unsigned int count;
	struct asked asked[ASKED_MAX];
};

struct kbd_session *kbd_session_new(const struct kbd_session_ops *ops, void *arg,
				    const struct kbd_controller *ctl,
				    const struct kbd_endpoint *endpoint)
{
	struct kbd_session *session = calloc(1, sizeof(*session));

	if (!session)
		abort();
	session->ops = ops;
	session->arg = arg;
	session->ctl = ctl;
	session->endpoint = *endpoint;
	session->epoch = -1;
	session->told = kbd_state_new();
	return session;
}

void kbd_session_free(struct kbd_session *session)
{
	if (!session)
		return;
	kbd_state_free(session->told);
	free(session->dirty.ref);
	free(session);
}

void kbd_session_applied(struct kbd_session *session, const struct kbd_touched *touched)
{
	unsigned int i;

	/* A topic that went may be named in what is kept here. */
	if (!touched || touched->topics || session->dirty.count > DIRTY_MAX)
		session->all = true;
	if (session->all) {
		session->dirty.count = 0;
		return;
	}
	for (i = 0; i < touched->refs.count; i++)
		kbd_refs_add(&session->dirty, touched->refs.ref[i].topic,
			     touched->refs.ref[i].partition);
}

void kbd_session_event(struct kbd_session *session)
{
	session->event = true;
}

/* ---- telling the kernel ---- */

/* What does the kernel know? All else is told. */
static int learn(struct kbd_session *session)
{
	struct kbd_state *known = kbd_state_new();
	unsigned int i;
	int err = session->ops->known(session->arg, known);
	u32 number;

	if (err) {
		kbd_state_free(known);
		return err;
	}
	for (i = 0; i < known->topics; i++)
		for (number = 0; number < known->by_name[i]->partitions; number++)
			known->by_name[i]->partition[number].partition_epoch = -1;
	kbd_state_free(session->told);
	session->told = known;
	session->told_index = 0;
	session->told_epoch = false;
	session->unsure = false;
	session->all = true;
	session->dirty.count = 0;
	return 0;
}

void kbd_session_refused(struct kbd_session *session)
{
	unsigned int i;

	session->unsure = true;
	session->told_index = 0;
	session->refused_ms = session->now_ms;
	/* Answers that were behind it are lost with it. */
	for (i = 0; i < session->count; i++)
		session->asked[i].told = false;
}

static int tell(struct kbd_session *session, enum kbd_tell what, struct kbd_buf *buf)
{
	int err = session->ops->tell(session->arg, what, buf);
	char text[96];

	kbd_buf_free(buf);
	if (err && what != KBD_TELL_ANSWER) {
		snprintf(text, sizeof(text), "the kernel refused what it was told (%d): %s", what,
			 strerror(-err));
		session->ops->log(session->arg, text);
	}
	return err;
}

static bool same_broker(const struct kbd_state *a, const struct kbd_state *b, s32 id)
{
	const struct kbd_broker *x = kbd_broker_find((struct kbd_brokers *)&a->brokers, id);
	const struct kbd_broker *y = kbd_broker_find((struct kbd_brokers *)&b->brokers, id);
	const struct kbd_member *m = kbd_member_find(a, id), *n = kbd_member_find(b, id);

	return x && y && x->epoch == y->epoch && x->fenced == y->fenced &&
	       !strcmp(x->rack, y->rack) && !strcmp(m->address, n->address) &&
	       m->port == n->port && !strcmp(m->host, n->host) && m->host_port == n->host_port;
}

static int tell_peer(struct kbd_session *session, const struct kbd_broker *broker,
		     const struct kbd_member *member)
{
	struct kbd_member *told = kbd_member_find(session->told, broker->id);
	struct kbd_buf buf = { 0 };
	struct kbd_refs none;
	int err;

	kbd_begin(&buf, KBD_ANSWER);
	kbd_put_u32(&buf, KBROKER_A_PEER_ID, broker->id);
	kbd_put_u64(&buf, KBROKER_A_PEER_EPOCH, broker->epoch);
	kbd_put_u8(&buf, KBROKER_A_PEER_FENCED, broker->fenced);
	kbd_put_text(&buf, KBROKER_A_PEER_ADDRESS, member->address);
	kbd_put_u16(&buf, KBROKER_A_PEER_PORT, member->port);
	if (*member->host)
		kbd_put_text(&buf, KBROKER_A_PEER_ADVERTISED_HOST, member->host);
	if (member->host_port)
		kbd_put_u16(&buf, KBROKER_A_PEER_ADVERTISED_PORT, member->host_port);
	if (*broker->rack)
		kbd_put_text(&buf, KBROKER_A_PEER_RACK, broker->rack);
	err = tell(session, KBD_TELL_PEER, &buf);
	if (err)
		return err;
	if (!told)
		told = kbd_state_add_broker(session->told, broker->id);
	none = told->replicas;
	*told = *member;
	told->replicas = none;
	*kbd_broker_find(&session->told->brokers, broker->id) = *broker;
	return 0;
}

static int tell_peers(struct kbd_session *session, const struct kbd_state *state)
{
	struct kbd_state *told = session->told;
	struct kbd_buf buf = { 0 };
	unsigned int i;
	int err = 0;

	for (i = 0; !err && i < state->brokers.count; i++)
		if (!same_broker(state, told, state->brokers.broker[i].id))
			err = tell_peer(session, &state->brokers.broker[i], state->member[i]);
	for (i = told->brokers.count; !err && i--;) {
		s32 id = told->brokers.broker[i].id;

		if (kbd_member_find(state, id))
			continue;
		kbd_begin(&buf, KBD_ANSWER);
		kbd_put_u32(&buf, KBROKER_A_PEER_ID, id);
		err = tell(session, KBD_TELL_PEER_GONE, &buf);
		if (!err)
			kbd_state_del_broker(told, id);
	}
	return err;
}

static int tell_cluster(struct kbd_session *session, const struct kbd_state *state)
{
	bool fenced = kbd_broker_find((struct kbd_brokers *)&state->brokers,
				      session->kernel.id)->fenced;
	struct kbd_buf buf = { 0 };
	int err;

	if (session->told_epoch && session->told_fenced == fenced)
		return 0;
	kbd_begin(&buf, KBD_ANSWER);
	kbd_put_u64(&buf, KBROKER_A_CLUSTER_BROKER_EPOCH, session->epoch);
	kbd_put_u8(&buf, KBROKER_A_CLUSTER_FENCED, fenced);
	/* It may have been started anew since it was looked at. */
	kbd_put(&buf, KBROKER_A_CLUSTER_INCARNATION, session->kernel.incarnation, KBD_UUID_SIZE);
	err = tell(session, KBD_TELL_CLUSTER, &buf);
	if (!err) {
		session->told_epoch = true;
		session->told_fenced = fenced;
	}
	return err;
}

static void put_config(struct kbd_buf *buf, const char *name, const char *value)
{
	size_t nest = kbd_nest(buf, KBROKER_A_TOPIC_CONFIG);

	kbd_put_text(buf, KBROKER_A_CONFIG_NAME, name);
	if (value)
		kbd_put_text(buf, KBROKER_A_CONFIG_VALUE, value);
	kbd_nest_end(buf, nest);
}

static bool same_topic(const struct kbd_topic *a, const struct kbd_topic *b)
{
	unsigned int i;

	if (a->partitions != b->partitions || a->uid != b->uid || a->gid != b->gid ||
	    a->mode != b->mode || a->configs != b->configs)
		return false;
	for (i = 0; i < a->configs; i++)
		if (strcmp(a->config[i].name, b->config[i].name) ||
		    strcmp(a->config[i].value, b->config[i].value))
			return false;
	return true;
}

static int tell_topic(struct kbd_session *session, const struct kbd_topic *topic,
		      struct kbd_topic *told)
{
	struct kbd_buf buf = { 0 };
	unsigned int i;
	int err;

	kbd_begin(&buf, KBD_ANSWER);
	kbd_put_text(&buf, KBROKER_A_TOPIC_NAME, topic->name);
	kbd_put(&buf, KBROKER_A_TOPIC_ID, topic->id, KBD_UUID_SIZE);
	kbd_put_u32(&buf, KBROKER_A_TOPIC_PARTITIONS, topic->partitions);
	if (topic->uid != KBD_UNSET)
		kbd_put_u32(&buf, KBROKER_A_TOPIC_UID, topic->uid);
	if (topic->gid != KBD_UNSET)
		kbd_put_u32(&buf, KBROKER_A_TOPIC_GID, topic->gid);
	if (topic->mode != KBD_UNSET)
		kbd_put_u16(&buf, KBROKER_A_TOPIC_MODE, topic->mode);
	for (i = 0; i < topic->configs; i++)
		put_config(&buf, topic->config[i].name, topic->config[i].value);
	for (i = 0; told && i < told->configs; i++)
		if (!kbd_topic_config(topic, told->config[i].name))
			put_config(&buf, told->config[i].name, NULL);
	if (!told)
		kbd_put_u16(&buf, KBROKER_A_TOPIC_REPLICATION_FACTOR, topic->factor);
	err = tell(session, told ? KBD_TELL_TOPIC : KBD_TELL_TOPIC_NEW, &buf);
	if (err)
		return err;
	if (!told)
		told = kbd_state_add_topic(session->told, topic->name, topic->id);
	told->uid = topic->uid;
	told->gid = topic->gid;
	told->mode = topic->mode;
	while (told->configs)
		kbd_topic_set_config(told, told->config[0].name, NULL);
	for (i = 0; i < topic->configs; i++)
		kbd_topic_set_config(told, topic->config[i].name, topic->config[i].value);
	i = told->partitions;
	if (topic->partitions > i)
		kbd_topic_grow(session->told, told, topic->partitions);
	for (; i < told->partitions; i++)
		told->partition[i].partition_epoch = -1;
	return 0;
}

static int tell_topics(struct kbd_session *session, const struct kbd_state *state)
{
	struct kbd_state *told = session->told;
	struct kbd_buf buf = { 0 };
	unsigned int i;
	int err = 0;

	/* First those that went: another may have the name by now. */
	for (i = told->topics; !err && i--;) {
		struct kbd_topic *topic = told->by_name[i];

		if (kbd_topic_by_id(state, topic->id))
			continue;
		kbd_begin(&buf, KBD_ANSWER);
		kbd_put_text(&buf, KBROKER_A_TOPIC_NAME, topic->name);
		kbd_put(&buf, KBROKER_A_TOPIC_ID, topic->id, KBD_UUID_SIZE);
		err = tell(session, KBD_TELL_TOPIC_GONE, &buf);
		if (!err)
			kbd_state_del_topic(told, topic);
	}
	for (i = 0; !err && i < state->topics; i++) {
		struct kbd_topic *known = kbd_topic_by_id(told, state->by_name[i]->id);

		if (!known || !same_topic(state->by_name[i], known))
			err = tell_topic(session, state->by_name[i], known);
	}
	return err;
}

/**
 * struct chunk - partitions that are told at once
 * @session: whose
 * @leads: this round is for those that the broker leads
 * @buf: message
 * @refs: of the state, in @buf
 */
struct chunk {
	struct kbd_session *session;
	bool leads;
	struct kbd_buf buf;
	struct kbd_refs refs;
};

static int chunk_send(struct chunk *chunk)
{
	struct kbd_session *session = chunk->session;
	unsigned int i;
	int err;

	if (!chunk->refs.count)
		return 0;
	err = tell(session, KBD_TELL_REPLICAS, &chunk->buf);
	for (i = 0; !err && i < chunk->refs.count; i++) {
		const struct kbd_ref *ref = &chunk->refs.ref[i];
		struct kbd_topic *told = kbd_topic_by_id(session->told, ref->topic->id);

		told->partition[ref->partition].partition_epoch =
			ref->topic->partition[ref->partition].partition_epoch;
	}
	chunk->refs.count = 0;
	return err;
}

static int chunk_add(struct chunk *chunk, struct kbd_topic *topic, u32 number)
{
	const struct kbd_topic *told = kbd_topic_by_id(chunk->session->told, topic->id);
	const struct kbd_partition *part = &topic->partition[number];
	bool leads = part->leader == chunk->session->kernel.id;
	size_t nest;

	if (leads != chunk->leads ||
	    told->partition[number].partition_epoch == part->partition_epoch)
		return 0;
	if (!chunk->refs.count)
		kbd_begin(&chunk->buf, KBD_ANSWER);
	nest = kbd_nest(&chunk->buf, KBROKER_A_REPLICA_LIST_REPLICA);
	kbd_put_text(&chunk->buf, KBROKER_A_REPLICA_ITEM_TOPIC, topic->name);
	kbd_put(&chunk->buf, KBROKER_A_REPLICA_ITEM_TOPIC_ID, topic->id, KBD_UUID_SIZE);
	kbd_put_u32(&chunk->buf, KBROKER_A_REPLICA_ITEM_PARTITION, number);
	kbd_put_u32(&chunk->buf, KBROKER_A_REPLICA_ITEM_LEADER, part->leader);
	kbd_put_u32(&chunk->buf, KBROKER_A_REPLICA_ITEM_LEADER_EPOCH, part->leader_epoch);
	kbd_put_u32(&chunk->buf, KBROKER_A_REPLICA_ITEM_PARTITION_EPOCH, part->partition_epoch);
	kbd_put_set(&chunk->buf, KBROKER_A_REPLICA_ITEM_REPLICAS, &part->replicas);
	kbd_put_set(&chunk->buf, KBROKER_A_REPLICA_ITEM_ISR, &part->isr);
	kbd_put_set(&chunk->buf, KBROKER_A_REPLICA_ITEM_ELR, &part->elr);
	kbd_nest_end(&chunk->buf, nest);
	kbd_refs_add(&chunk->refs, topic, number);
	return chunk->refs.count == KBROKER_REPLICA_SET_MAX ? chunk_send(chunk) : 0;
}

/* Who follows is told first: it frees what another broker is to lead. */
static int tell_replicas(struct kbd_session *session, const struct kbd_state *state)
{
	struct chunk chunk = { .session = session };
	int err = 0, round;
	unsigned int i;
	u32 number;

	for (round = 0; !err && round < 2; round++) {
		chunk.leads = round;
		for (i = 0; !err && !session->all && i < session->dirty.count; i++)
			err = chunk_add(&chunk, session->dirty.ref[i].topic,
					session->dirty.ref[i].partition);
		for (i = 0; !err && session->all && i < state->topics; i++)
			for (number = 0; !err && number < state->by_name[i]->partitions; number++)
				err = chunk_add(&chunk, state->by_name[i], number);
		if (!err)
			err = chunk_send(&chunk);
	}
	kbd_buf_free(&chunk.buf);
	free(chunk.refs.ref);
	return err;
}

static void tell_all(struct kbd_session *session)
{
	const struct kbd_state *state = kbd_controller_state(session->ctl);
	const struct kbd_broker *self = kbd_broker_find((struct kbd_brokers *)&state->brokers,
							session->kernel.id);

	if (session->epoch < 0 || state->index < session->registered || !self ||
	    self->epoch != session->epoch)
		return;
	if (session->told_epoch && session->told_index == state->index)
		return;
	if (session->ops->busy(session->arg))
		return;
	if (session->unsure &&
	    (session->now_ms - session->refused_ms < REFUSED_MS || learn(session)))
		return;
	if (tell_peers(session, state) || tell_cluster(session, state) ||
	    tell_topics(session, state) || tell_replicas(session, state))
		return;
	session->all = false;
	session->dirty.count = 0;
	session->told_index = state->index;
}

/* ---- asking the controller ---- */

static void put_self(struct kbd_session *session, struct kbd_buf *buf)
{
	size_t nest = kbd_nest(buf, KBD_A_PEER);

	kbd_put_u32(buf, KBROKER_A_PEER_ID, session->kernel.id);
	kbd_put_u64(buf, KBROKER_A_PEER_EPOCH, session->epoch);
	if (!session->there)
		kbd_put_u8(buf, KBROKER_A_PEER_FENCED, 1);
	kbd_nest_end(buf, nest);
}

static void ask(struct kbd_session *session, struct kbd_buf *buf)
{
	session->ops->ask(session->arg, ++session->token, buf->data, buf->len);
	kbd_buf_free(buf);
}

static void ask_register(struct kbd_session *session)
{
	const struct kbd_kernel *kernel = &session->kernel;
	const struct kbd_endpoint *at = &session->endpoint;
	struct kbd_buf buf = { 0 };
	size_t nest, inner;

	if (session->registering)
		session->ops->forget(session->arg, session->registering);
	kbd_begin(&buf, KBD_REGISTER);
	nest = kbd_nest(&buf, KBD_A_BROKER);
	inner = kbd_nest(&buf, KBD_A_CLUSTER);
	kbd_put(&buf, KBROKER_A_CLUSTER_CLUSTER_ID, kernel->cluster_id, KBD_UUID_SIZE);
	kbd_put(&buf, KBROKER_A_CLUSTER_DIRECTORY_ID, kernel->directory_id, KBD_UUID_SIZE);
	kbd_put(&buf, KBROKER_A_CLUSTER_INCARNATION, kernel->incarnation, KBD_UUID_SIZE);
	kbd_put_u8(&buf, KBROKER_A_CLUSTER_CLEAN, kernel->clean);
	kbd_put_u64(&buf, KBROKER_A_CLUSTER_PREVIOUS_EPOCH, kernel->previous);
	kbd_nest_end(&buf, inner);
	inner = kbd_nest(&buf, KBD_A_PEER);
	kbd_put_u32(&buf, KBROKER_A_PEER_ID, kernel->id);
	kbd_put_text(&buf, KBROKER_A_PEER_ADDRESS, at->address);
	kbd_put_u16(&buf, KBROKER_A_PEER_PORT, at->port);
	kbd_put_text(&buf, KBROKER_A_PEER_ADVERTISED_HOST, at->host);
	kbd_put_u16(&buf, KBROKER_A_PEER_ADVERTISED_PORT, at->host_port);
	kbd_put_text(&buf, KBROKER_A_PEER_RACK, at->rack);
	kbd_nest_end(&buf, inner);
	kbd_nest_end(&buf, nest);
	ask(session, &buf);
	session->registering = session->token;
	session->asked_ms = session->now_ms;
}

static void ask_heartbeat(struct kbd_session *session)
{
	struct kbd_buf buf = { 0 };

	kbd_begin(&buf, KBD_HEARTBEAT);
	put_self(session, &buf);
	kbd_put_u64(&buf, KBD_A_INDEX, kbd_controller_state(session->ctl)->index);
	ask(session, &buf);
	session->beating = session->token;
	session->asked_ms = session->now_ms;
}

static bool is_isr(const struct kbd_buf *attrs)
{
	struct kbd_attr attr;
	size_t pos = KBD_HEADER_SIZE;

	while (kbd_each(attrs->data, attrs->len, &pos, &attr))
		if (attr.type == KBROKER_A_REQUEST_KIND)
			return kbd_u8(&attr) == KBROKER_REQUEST_KIND_ISR;
	return false;
}

void kbd_session_request(struct kbd_session *session, u64 id, const struct kbd_buf *attrs)
{
	struct kbd_buf buf = { 0 };
	struct asked *asked;
	unsigned int i;

	for (i = 0; i < session->count; i++) {
		if (session->asked[i].id == id) {
			session->asked[i].listed = true;
			return;
		}
	}
	if (i == ASKED_MAX) {
		session->event = true;
		return;
	}
	asked = &session->asked[session->count++];
	kbd_copy(&buf, attrs->data, attrs->len);
	put_self(session, &buf);
	ask(session, &buf);
	memset(asked, 0, sizeof(*asked));
	asked->id = id;
	asked->token = session->token;
	asked->asked_ms = session->now_ms;
	asked->listed = true;
	asked->isr = is_isr(attrs);
}

void kbd_session_listed(struct kbd_session *session)
{
	unsigned int i = 0;

	while (i < session->count) {
		struct asked *asked = &session->asked[i];

		if (!asked->listed && !asked->answered) {
			session->ops->forget(session->arg, asked->token);
			*asked = session->asked[--session->count];
			continue;
		}
		asked->listed = false;
		i++;
	}
}

static void tell_answer(struct kbd_session *session, struct asked *asked)
{
	struct kbd_buf buf = { 0 };

	kbd_begin(&buf, KBD_ANSWER);
	kbd_put_u64(&buf, KBROKER_A_REQUEST_ID, asked->id);
	kbd_put_u32(&buf, KBROKER_A_REQUEST_ERROR, asked->err);
	if (asked->err)
		kbd_put_text(&buf, KBROKER_A_REQUEST_MESSAGE, asked->text);
	/* It may be open no more; then nobody waits. */
	asked->told = !tell(session, KBD_TELL_ANSWER, &buf);
}

/* Answers whose effect the kernel was told, and questions that got none. */
static void answer_requests(struct kbd_session *session)
{
	bool busy = session->ops->busy(session->arg);
	unsigned int i = 0;

	while (i < session->count) {
		struct asked *asked = &session->asked[i];
		u64 late_ms = asked->again ? AGAIN_MS : ENDED_MS;
		bool late = !asked->answered && session->now_ms - asked->asked_ms >= late_ms;

		/* If the kernel still wants it, it will say so. */
		session->event |= late;
		asked->asked_ms = late ? session->now_ms : asked->asked_ms;
		if ((late && asked->again) || (asked->told && !busy)) {
			*asked = session->asked[--session->count];
			continue;
		}
		if (asked->answered && !asked->told && session->told_index >= asked->index)
			tell_answer(session, asked);
		i++;
	}
}

static void answered_self(struct kbd_session *session, const struct kbd_message *msg, bool beat)
{
	int err = kbd_u32(&msg->attr[KBD_A_ERROR]);

	if (beat) {
		/* The controller knows another life of it, or none. */
		if (err == ESTALE) {
			session->epoch = -1;
			session->asked_ms = 0;
		}
	} else if (err) {
		session->ops->log(session->arg, kbd_text(&msg->attr[KBD_A_MESSAGE]));
		session->registering = 0;
	} else {
		session->epoch = kbd_u64(&msg->attr[KBD_A_EPOCH]);
		session->registered = kbd_u64(&msg->attr[KBD_A_INDEX]);
		session->registering = 0;
		session->asked_ms = 0;
		session->told_epoch = false;
		session->event = true;
	}
}

void kbd_session_answer(struct kbd_session *session, u64 token, const void *data, size_t len)
{
	struct kbd_message msg;
	char why[KBD_WHY_SIZE];
	unsigned int i;

	if (kbd_decode(&msg, data, len, why) || msg.kind != KBD_ANSWER)
		return;
	if (token == session->registering || token == session->beating) {
		answered_self(session, &msg, token == session->beating);
		return;
	}
	for (i = 0; i < session->count; i++) {
		struct asked *asked = &session->asked[i];

		if (asked->token != token || asked->answered)
			continue;
		asked->err = kbd_u32(&msg.attr[KBD_A_ERROR]);
		/*
		 * Nothing was decided: ask whoever is the controller by then. An
		 * in-sync set that may have been decided is, too, unless the kernel
		 * is told of another one first.
		 */
		if (asked->err == ENOTCONN || (asked->err == EAGAIN && asked->isr)) {
			asked->again = true;
			return;
		}
		asked->answered = true;
		asked->index = asked->err ? 0 : kbd_u64(&msg.attr[KBD_A_INDEX]);
		snprintf(asked->text, sizeof(asked->text), "%s", kbd_text(&msg.attr[KBD_A_MESSAGE]));
		return;
	}
}

void kbd_session_lost(struct kbd_session *session, u64 token)
{
	unsigned int i;

	if (token == session->registering)
		session->registering = 0;
	for (i = 0; i < session->count; i++)
		if (session->asked[i].token == token)
			session->asked[i].again = true;
}

/* ---- time ---- */

/* The kernel's broker was started, or this daemon: what does it know? */
static int begin(struct kbd_session *session, const struct kbd_kernel *kernel)
{
	int err = learn(session);

	if (err)
		return err;
	while (session->count)
		session->ops->forget(session->arg, session->asked[--session->count].token);
	if (session->registering)
		session->ops->forget(session->arg, session->registering);
	session->kernel = *kernel;
	session->epoch = -1;
	session->registering = 0;
	session->beating = 0;
	session->asked_ms = 0;
	session->there = true;
	return 0;
}

void kbd_session_tick(struct kbd_session *session, u64 now_ms)
{
	struct kbd_kernel kernel = { 0 };

	session->now_ms = now_ms;
	if (session->ops->look(session->arg, &kernel)) {
		/* No broker, no heartbeat: the last one says so, lest others wait for it. */
		if (session->there && session->epoch >= 0) {
			session->there = false;
			ask_heartbeat(session);
		}
		session->there = false;
		return;
	}
	if ((!session->there ||
	     memcmp(kernel.incarnation, session->kernel.incarnation, KBD_UUID_SIZE)) &&
	    begin(session, &kernel))
		return;
	if (session->epoch < 0) {
		if (now_ms - session->asked_ms >= (session->registering ? ASK_AGAIN_MS : ASK_MS))
			ask_register(session);
		return;
	}
	if (now_ms - session->asked_ms >= KBD_HEARTBEAT_MS)
		ask_heartbeat(session);
	tell_all(session);
	answer_requests(session);
	if (session->event && session->told_epoch &&
	    (session->count < MANY_OPEN || now_ms - session->looked_ms >= MANY_OPEN_MS)) {
		session->event = false;
		session->looked_ms = now_ms;
		if (session->ops->requests(session->arg, session))
			session->event = true;
	}
}
