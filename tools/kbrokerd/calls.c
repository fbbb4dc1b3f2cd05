// SPDX-License-Identifier: GPL-2.0-only
/*
 * Requests: of the kbroker command, of other daemons, of this daemon's own
 * session. Each is carried out here if this daemon is the controller, and
 * passed on to the one that is, if not.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon.h"

/* Connections that were accepted, and requests of all of them; the session bounds its own */
#define CONNS_MAX	512
#define CALLS_MAX	4096
/* What is asked waits so long for a controller, and for its answer */
#define WAIT_MS		5000
#define ANSWER_MS	60000
/* Heartbeats, and what the session asks that has found no controller */
#define SESSION_MS	1000

/**
 * struct kbd_call - a request without an answer
 * @next: a later one
 * @id: here, and towards the controller
 * @conn: who asked, NULL: the session, or nobody any more
 * @session: the session did
 * @token: its name for it
 * @passed: it was passed on to this daemon
 * @sent: it is with the controller
 * @above: it was sent there on this connection, NULL: it is carried out here
 * @since_ms: when it came
 * @kind: of the message
 * @len: bytes of @data
 * @data: the message until it is carried out; once @answered, the answer
 * @answered: the session is to be told; without @data, that no answer will come
 */
struct kbd_call {
	struct kbd_call *next;
	u64 id;
	struct kbd_frames *conn;
	bool session;
	u64 token;
	bool passed;
	bool sent;
	struct kbd_frames *above;
	bool answered;
	u64 since_ms;
	u8 kind;
	size_t len;
	u8 *data;
};

static const struct kbd_frames_ops above_ops;

void kbd_calls_init(struct kbd_daemon *daemon)
{
	daemon->last_call = &daemon->calls;
	daemon->above_id = -1;
}

/* ---- calls ---- */

static void keep(struct kbd_call *call, const void *data, size_t len)
{
	free(call->data);
	call->data = malloc(len);
	if (!call->data)
		abort();
	memcpy(call->data, data, len);
	call->len = len;
}

static struct kbd_call *call_new(struct kbd_daemon *daemon, u64 token, const void *data, size_t len)
{
	struct kbd_call *call = calloc(1, sizeof(*call));

	if (!call)
		abort();
	call->id = ++daemon->next_call;
	call->token = token;
	call->since_ms = uv_now(&daemon->loop);
	call->kind = ((const u8 *)data)[1];
	keep(call, data, len);
	*daemon->last_call = call;
	daemon->last_call = &call->next;
	return call;
}

static void call_free(struct kbd_daemon *daemon, struct kbd_call *call)
{
	struct kbd_call **at;

	for (at = &daemon->calls; *at != call; at = &(*at)->next)
		;
	*at = call->next;
	if (!*at)
		daemon->last_call = at;
	if (!call->session)
		daemon->n_calls--;
	free(call->data);
	free(call);
}

static struct kbd_call *call_find(struct kbd_daemon *daemon, u64 id)
{
	struct kbd_call *call = daemon->calls;

	while (call && call->id != id)
		call = call->next;
	return call;
}

void kbd_calls_reply(struct kbd_daemon *daemon, u64 id, const void *data, size_t len)
{
	struct kbd_call *call = call_find(daemon, id);
	struct kbd_buf buf = { 0 };

	if (!call || call->answered)
		return;
	if (call->session) {
		/* It may be the session that called: it is told later. */
		keep(call, data, len);
		call->answered = true;
		daemon->news = true;
		return;
	}
	kbd_copy(&buf, data, len);
	if (daemon->leads && call->kind == KBD_STATUS)
		kbd_members_put(daemon, &buf);
	if (call->conn)
		kbd_frames_send(call->conn, call->token, KBD_FRAME_ANSWER, buf.data, buf.len);
	kbd_buf_free(&buf);
	call_free(daemon, call);
}

void kbd_calls_refuse(struct kbd_daemon *daemon, u64 id, int err, const char *text)
{
	struct kbd_buf buf = { 0 };

	kbd_begin(&buf, KBD_ANSWER);
	kbd_put_u32(&buf, KBD_A_ERROR, err);
	if (err)
		kbd_put_text(&buf, KBD_A_MESSAGE, text);
	kbd_calls_reply(daemon, id, buf.data, buf.len);
	kbd_buf_free(&buf);
}

/* The session learns it later, as it does an answer. */
static void lose(struct kbd_daemon *daemon, struct kbd_call *call)
{
	free(call->data);
	call->data = NULL;
	call->answered = true;
	daemon->news = true;
}

/* ---- to the controller ---- */

static void carry_out(struct kbd_daemon *daemon, struct kbd_call *call)
{
	struct kbd_message msg;
	char why[KBD_WHY_SIZE];
	u8 *data = call->data;

	/* It may be answered, and gone, before this returns. */
	call->data = NULL;
	call->sent = true;
	if (kbd_decode(&msg, data, call->len, why))
		kbd_calls_refuse(daemon, call->id, EPROTO, why);
	else if (msg.kind == KBD_JOIN)
		kbd_members_join(daemon, call->id, &msg);
	else if (msg.kind == KBD_LEAVE)
		kbd_members_leave(daemon, call->id, &msg);
	else
		kbd_controller_rpc(daemon->ctl, call->id, data, call->len, uv_now(&daemon->loop));
	free(data);
}

static void above_linked(void *arg, uv_tcp_t *tcp, const struct kbd_proved *peer, int status)
{
	struct kbd_daemon *daemon = arg;

	daemon->above_link = NULL;
	if (status)
		return;
	if (peer->id != daemon->above_id) {
		uv_close((uv_handle_t *)tcp, (uv_close_cb)free);
		return;
	}
	daemon->above = kbd_frames_new((uv_stream_t *)tcp, &above_ops, daemon);
	kbd_calls_tick(daemon);
}

/* A connection to who leads now; false: there is none yet */
static bool reach(struct kbd_daemon *daemon)
{
	const char *address = NULL;
	s32 leader = daemon->raft ? kbd_raft_leader(daemon->raft, &address) : -1;

	if (leader == daemon->conf.self.id || leader < 0 || !address)
		return false;
	if (leader != daemon->above_id) {
		if (daemon->above)
			kbd_frames_close(daemon->above);
		daemon->above = NULL;
		if (daemon->above_link)
			kbd_link_cancel(daemon->above_link);
		daemon->above_id = leader;
	}
	if (daemon->above)
		return true;
	if (!daemon->above_link)
		daemon->above_link = kbd_link_connect(&daemon->loop, &daemon->conf.self, address,
						      KBD_FOR_REQUESTS, above_linked, daemon);
	return false;
}

static void route(struct kbd_daemon *daemon, struct kbd_call *call)
{
	if (daemon->leads) {
		carry_out(daemon, call);
	} else if (call->passed) {
		kbd_calls_refuse(daemon, call->id, ENOTCONN, "this daemon is not the controller");
	} else if (reach(daemon)) {
		call->sent = true;
		call->above = daemon->above;
		kbd_frames_send(daemon->above, call->id, KBD_FRAME_PASSED, call->data, call->len);
	}
}

static void above_frame(void *arg, struct kbd_frames *conn, u64 token, u8 flags, const void *data,
			size_t len)
{
	struct kbd_daemon *daemon = arg;
	struct kbd_message msg;
	char why[KBD_WHY_SIZE];

	if (!(flags & KBD_FRAME_ANSWER) || kbd_decode(&msg, data, len, why)) {
		kbd_frames_close(conn);
		return;
	}
	/* It leads no more, or not yet: nothing was decided. */
	if (kbd_u32(&msg.attr[KBD_A_ERROR]) == ENOTCONN) {
		struct kbd_call *call = call_find(daemon, token);

		if (call && call->above == conn && !call->session) {
			call->sent = false;
			call->above = NULL;
			return;
		}
	}
	kbd_calls_reply(daemon, token, data, len);
}

static void above_closed(void *arg, struct kbd_frames *conn, int status)
{
	struct kbd_daemon *daemon = arg;
	struct kbd_call *call, *next;

	(void)status;
	if (daemon->above == conn)
		daemon->above = NULL;
	for (call = daemon->calls; call; call = next) {
		next = call->next;
		if (call->above != conn || call->answered)
			continue;
		call->above = NULL;
		if (call->session)
			lose(daemon, call);
		else if (call->kind == KBD_STATUS || call->kind == KBD_JOIN)
			call->sent = false;
		else
			kbd_calls_refuse(daemon, call->id, EAGAIN,
					 "the connection to the controller broke; the request may have been carried out");
	}
}

static const struct kbd_frames_ops above_ops = {
	.frame = above_frame,
	.closed = above_closed,
};

/* ---- who asks ---- */

static void request(void *arg, struct kbd_frames *conn, u64 token, u8 flags, const void *data,
		    size_t len)
{
	struct kbd_daemon *daemon = arg;
	struct kbd_call *call;

	if (flags & KBD_FRAME_ANSWER) {
		kbd_frames_close(conn);
		return;
	}
	call = call_new(daemon, token, data, len);
	daemon->n_calls++;
	call->conn = conn;
	/* A heartbeat is answered at once, or not at all. */
	if (daemon->n_calls > CALLS_MAX && call->kind != KBD_HEARTBEAT) {
		kbd_calls_refuse(daemon, call->id, EAGAIN,
				 "too many requests wait for the controller; ask again later");
		return;
	}
	call->passed = flags & KBD_FRAME_PASSED;
	route(daemon, call);
}

static void asker_gone(void *arg, struct kbd_frames *conn, int status)
{
	struct kbd_daemon *daemon = arg;
	struct kbd_call *call, *next;

	(void)status;
	daemon->conns--;
	for (call = daemon->calls; call; call = next) {
		next = call->next;
		if (call->conn != conn)
			continue;
		call->conn = NULL;
		if (!call->sent)
			call_free(daemon, call);
	}
}

static const struct kbd_frames_ops asker_ops = {
	.frame = request,
	.closed = asker_gone,
};

void kbd_calls_accept(struct kbd_daemon *daemon, uv_stream_t *stream)
{
	if (daemon->conns >= CONNS_MAX) {
		uv_close((uv_handle_t *)stream, (uv_close_cb)free);
		return;
	}
	if (kbd_frames_new(stream, &asker_ops, daemon))
		daemon->conns++;
}

void kbd_calls_ask(struct kbd_daemon *daemon, u64 token, const void *data, size_t len)
{
	struct kbd_call *call = call_new(daemon, token, data, len);

	call->session = true;
	route(daemon, call);
}

void kbd_calls_forget(struct kbd_daemon *daemon, u64 token)
{
	struct kbd_call *call = daemon->calls;

	while (call && !(call->session && call->token == token))
		call = call->next;
	if (call)
		call_free(daemon, call);
}

/* ---- time ---- */

void kbd_calls_work(struct kbd_daemon *daemon)
{
	struct kbd_call *call, *next;

	/* What the session asks meanwhile comes behind, and is looked at the next time. */
	for (call = daemon->calls; call; call = next) {
		if (call->answered && call->data)
			kbd_session_answer(daemon->session, call->token, call->data, call->len);
		else if (call->answered)
			kbd_session_lost(daemon->session, call->token);
		next = call->next;
		if (call->answered)
			call_free(daemon, call);
	}
}

static void give_up(struct kbd_daemon *daemon, struct kbd_call *call)
{
	if (call->session)
		lose(daemon, call);
	else if (call->sent)
		kbd_calls_refuse(daemon, call->id, ETIMEDOUT,
				 "the controller does not answer; the request may be carried out later");
	else
		kbd_calls_refuse(daemon, call->id, ENOTCONN,
				 "there is no controller: no majority of the cluster's daemons can be reached");
}

/*
 * What is with the controller may be carried out: it is not asked for twice. A
 * session forgets what its kernel waits for no more; how long that is, it decides.
 */
static u64 limit_ms(const struct kbd_call *call)
{
	if (call->kind == KBD_HEARTBEAT || !call->sent)
		return call->session ? SESSION_MS : WAIT_MS;
	return call->session || call->passed ? U64_MAX : ANSWER_MS;
}

void kbd_calls_tick(struct kbd_daemon *daemon)
{
	u64 now = uv_now(&daemon->loop);
	struct kbd_call *call, *next;

	for (call = daemon->calls; call; call = next) {
		next = call->next;
		if (call->answered)
			continue;
		if (now - call->since_ms >= limit_ms(call))
			give_up(daemon, call);
		else if (!call->sent && !call->passed)
			route(daemon, call);
	}
}
