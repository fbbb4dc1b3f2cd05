// SPDX-License-Identifier: GPL-2.0-only
/*
 * A connection: a state machine driven by one work item.
 *
 * The callbacks of its socket, its timer and the waiters of its parked requests
 * only queue the work; the work receives, starts requests in order, lets parked
 * ones go on, and sends replies in order. It never sleeps for the client. Each
 * run has a budget, so that busy connections take turns.
 *
 * OPEN -> ANSWERING (the client has finished, the broker stops, or a request
 * wants the connection closed) -> LINGERING (goodbye is said) -> torn down, by
 * the work alone. Whoever wants that sooner sets KBR_CONN_CLOSE, or closes the
 * socket (kbr_conn_reset()), and queues the work.
 *
 * A frame's buffer grows with what has arrived: a length alone makes nobody
 * allocate. All memory of frames and replies is counted for the connection and
 * for the broker, and over either limit the socket is not read.
 */
#define pr_fmt(fmt) "kbroker: " fmt

#include <linux/cred.h>
#include <linux/mm.h>
#include <linux/printk.h>
#include <linux/ratelimit.h>
#include <linux/slab.h>
#include <linux/tcp.h>
#include <net/ipv6.h>
#include <net/sock.h>
#include <net/tcp_states.h>

#include "server/server.h"

#define CREATE_TRACE_POINTS
#include "server/trace.h"

/* Turns of receiving and sending in one run of the work, and bytes received in one turn */
#define KBR_CONN_TURNS		32
#define KBR_CONN_TURN_BYTES	(1u << 20)
/* First allocation for a frame, and by how much it grows once that is full */
#define KBR_FRAME_FIRST		4096
#define KBR_FRAME_GROWTH	16
/* Every request begins with API key, version and correlation id, bytes */
#define KBR_FRAME_MIN		8
/* How long a client may take to get the last of what was sent, ms */
#define KBR_CONN_LINGER_MS	3000

/* ---- wake-ups ---- */

void kbr_conn_kick(struct kbr_conn *conn)
{
	queue_work(conn->server->wq, &conn->work);
}

static void kbr_conn_timer(struct timer_list *timer)
{
	struct kbr_conn *conn = container_of(timer, struct kbr_conn, timer);

	kbr_conn_kick(conn);
}

/* Softirq. */
static void kbr_conn_socket_news(struct sock *sk)
{
	struct kbr_conn *conn;

	read_lock_bh(&sk->sk_callback_lock);
	conn = sk->sk_user_data;
	if (conn)
		kbr_conn_kick(conn);
	read_unlock_bh(&sk->sk_callback_lock);
}

static void kbr_conn_write_space(struct sock *sk)
{
	struct kbr_conn *conn;

	read_lock_bh(&sk->sk_callback_lock);
	conn = sk->sk_user_data;
	/* Worth it once a good part of the buffer is free. */
	if (conn && sk_stream_is_writeable(sk)) {
		clear_bit(SOCK_NOSPACE, &sk->sk_socket->flags);
		kbr_conn_kick(conn);
	}
	read_unlock_bh(&sk->sk_callback_lock);
}

static void kbr_conn_take_callbacks(struct kbr_conn *conn)
{
	struct sock *sk = conn->sock->sk;

	write_lock_bh(&sk->sk_callback_lock);
	/* It inherited this one from the listening socket. */
	conn->data_ready = conn->listener->data_ready;
	conn->state_change = sk->sk_state_change;
	conn->write_space = sk->sk_write_space;
	sk->sk_user_data = conn;
	sk->sk_data_ready = kbr_conn_socket_news;
	sk->sk_state_change = kbr_conn_socket_news;
	sk->sk_write_space = kbr_conn_write_space;
	write_unlock_bh(&sk->sk_callback_lock);
}

/* After it the socket queues nothing any more. */
static void kbr_conn_give_callbacks(struct kbr_conn *conn)
{
	struct sock *sk = conn->sock->sk;

	write_lock_bh(&sk->sk_callback_lock);
	sk->sk_user_data = NULL;
	sk->sk_data_ready = conn->data_ready;
	sk->sk_state_change = conn->state_change;
	sk->sk_write_space = conn->write_space;
	write_unlock_bh(&sk->sk_callback_lock);
}

/* ---- memory ---- */

static bool kbr_conn_is_short(const struct kbr_conn *conn)
{
	return atomic64_read(&conn->server->bytes) >= kbr_server_bytes_max(conn->server);
}

void kbr_conn_charge(struct kbr_conn *conn, s64 bytes)
{
	struct kbr_server *server = conn->server;
	s64 sum;

	if (!bytes)
		return;
	WRITE_ONCE(conn->bytes, conn->bytes + bytes);
	/* A full barrier, which pairs with that in kbr_conn_starves(). */
	sum = atomic64_add_return(bytes, &server->bytes);
	if (bytes < 0 && atomic_read(&server->starved) && sum < kbr_server_bytes_max(server))
		kbr_server_feed(server);
}

static void kbr_conn_charge_request(struct kbr_conn *conn, struct kbr_request *req)
{
	size_t now = sizeof(*req) + (req->frame ? req->frame_len : 0) + req->reply.size +
		     req->pinned + req->slices_room * sizeof(*req->slices);

	kbr_conn_charge(conn, (s64)now - (s64)req->charged);
	req->charged = now;
}

/* Does the broker's memory keep it from beginning another frame? Then it is told when that has passed. */
static bool kbr_conn_starves(struct kbr_conn *conn)
{
	bool is_short = kbr_conn_is_short(conn);

	if (is_short && !test_and_set_bit(KBR_CONN_STARVED, &conn->flags)) {
		kbr_server_starve(conn->server);
		smp_mb__after_atomic();	/* pairs with that in kbr_conn_charge() */
		is_short = kbr_conn_is_short(conn);
	}
	if (!is_short && test_and_clear_bit(KBR_CONN_STARVED, &conn->flags))
		atomic_dec(&conn->server->starved);
	return is_short;
}

/* ---- requests ---- */

static void kbr_conn_drop_frame(struct kbr_conn *conn)
{
	kbr_conn_charge(conn, -(s64)conn->frame_room);
	kvfree(conn->frame);
	conn->frame = NULL;
	conn->frame_room = 0;
	conn->frame_got = 0;
	conn->head_len = 0;
}

/* What its handler holds; its reply stays. */
static void kbr_conn_end_request(struct kbr_request *req)
{
	kbr_waiter_drop(&req->waiter);
	if (req->handler && req->handler->drop)
		req->handler->drop(req);
	req->handler = NULL;
	req->pinned = 0;
	kbr_request_drop_frame(req);
}

static void kbr_conn_free_request(struct kbr_conn *conn, struct kbr_request *req)
{
	kbr_conn_end_request(req);
	kbr_request_drop_slices(req);
	kbr_wire_writer_free(&req->reply);
	kbr_conn_charge(conn, -(s64)req->charged);
	list_del(&req->node);
	WRITE_ONCE(conn->in_flight, conn->in_flight - 1);
	kfree(req);
}

static void kbr_conn_drop_requests(struct kbr_conn *conn)
{
	struct kbr_request *req, *next;

	list_for_each_entry_safe(req, next, &conn->requests, node)
		kbr_conn_free_request(conn, req);
	kbr_conn_drop_frame(conn);
	WRITE_ONCE(conn->blocked, false);
}

static void kbr_conn_stop_receiving(struct kbr_conn *conn)
{
	if (conn->state != KBR_CONN_OPEN)
		return;
	WRITE_ONCE(conn->state, KBR_CONN_ANSWERING);
	kbr_conn_drop_frame(conn);
	if (test_and_clear_bit(KBR_CONN_STARVED, &conn->flags))
		atomic_dec(&conn->server->starved);
}

/* Not a request, or none that is served: nothing more is taken from this client. */
static void kbr_conn_refuse(struct kbr_conn *conn, const char *what, s32 number)
{
	atomic64_inc(&conn->listener->malformed);
	pr_info_ratelimited("%s: connection %lu from %pISpc is closed: %s %d\n",
			    conn->server->broker->name, conn->id, &conn->peer, what, number);
	kbr_conn_stop_receiving(conn);
}

/* The handler of @req has spoken. */
static void kbr_conn_settle_request(struct kbr_conn *conn, struct kbr_request *req,
				    enum kbr_request_state state)
{
	if (state == KBR_REQUEST_DONE) {
		kbr_response_end(&req->reply, req->slices_bytes);
		if (kbr_request_is_futile(req))
			state = KBR_REQUEST_CLOSE;
	}
	req->state = state;
	trace_kbroker_request_handle(req, req->reply.len + req->slices_bytes);
	if (state != KBR_REQUEST_PARKED)
		kbr_conn_end_request(req);
	if (state == KBR_REQUEST_CLOSE)
		kbr_conn_stop_receiving(conn);
	else if (req->refused)
		kbr_conn_refuse(conn, req->refused, req->header.key);
	kbr_conn_charge_request(conn, req);
}

/* Kafka's answer to a version of ApiVersions that is too new, in that of version 0. */
static void kbr_conn_answer_versions(struct kbr_conn *conn, struct kbr_request *req)
{
	const struct kbr_api *api = kbr_api_find(KBR_API_API_VERSIONS);

	req->header.api = api;
	req->header.version = 0;
	kbr_response_begin(&req->reply, &req->header);
	kbr_put_s16(&req->reply, 35);	/* UNSUPPORTED_VERSION */
	kbr_put_count(&req->reply, 1);
	kbr_put_s16(&req->reply, KBR_API_API_VERSIONS);
	kbr_put_s16(&req->reply, api->min);
	kbr_put_s16(&req->reply, api->max);
	kbr_conn_settle_request(conn, req, KBR_REQUEST_DONE);
}

static void kbr_conn_note_request(struct kbr_conn *conn, const struct kbr_request_header *header)
{
	const struct kbr_str *id = &header->client_id;
	size_t len = clamp(id->len, 0, KBR_CLIENT_NAME_MAX);

	WRITE_ONCE(conn->taken, conn->taken + 1);
	if (header->key >= 0 && header->key < ARRAY_SIZE(conn->versions))
		WRITE_ONCE(conn->versions[header->key], header->version);
	if (strlen(conn->client_id) == len && !memcmp(conn->client_id, id->at, len))
		return;
	spin_lock(&conn->info_lock);
	memcpy(conn->client_id, id->at, len);
	conn->client_id[len] = '\0';
	spin_unlock(&conn->info_lock);
}

/* Whom this client acts as may have changed with the broker's owner. */
static bool kbr_conn_take_cred(struct kbr_conn *conn)
{
	if (kbr_listener_matches(conn->listener, conn->cred))
		return true;
	put_cred(conn->cred);
	conn->cred = kbr_listener_cred(conn->listener);
	return conn->cred;
}

/* Begin what @req asks for. */
static void kbr_conn_start_request(struct kbr_conn *conn, struct kbr_request *req)
{
	struct kbr_request_header *header = &req->header;
	int err;

	kbr_wire_reader_init(&req->body, req->frame, req->frame_len, false);
	err = kbr_request_decode_header(&req->body, header);
	trace_kbroker_request_receive(req, req->frame_len);
	if (err == -EPROTONOSUPPORT && header->key == KBR_API_API_VERSIONS) {
		kbr_conn_answer_versions(conn, req);
		return;
	}
	if (!err) {
		req->handler = kbr_handler_find(header->key);
		if (!req->handler)
			err = -EOPNOTSUPP;
		else if (header->key != KBR_API_PRODUCE && req->frame_len > KBR_REQUEST_BYTES_MAX)
			err = -EPROTO;
		else
			err = kbr_message_check(&req->body, header->api->request, header->version);
	}
	if (!err && !kbr_conn_take_cred(conn))
		err = -ENOMEM;
	if (err) {
		req->handler = NULL;
		if (err == -EOPNOTSUPP)
			kbr_conn_refuse(conn, "there is no API", header->key);
		else if (err == -EPROTONOSUPPORT)
			kbr_conn_refuse(conn, "its API is not served in version", header->version);
		else if (err == -EPROTO)
			kbr_conn_refuse(conn, "a malformed request of bytes", req->frame_len);
		kbr_conn_settle_request(conn, req, KBR_REQUEST_CLOSE);
		return;
	}
	kbr_conn_note_request(conn, header);
	kbr_response_begin(&req->reply, header);
	kbr_conn_settle_request(conn, req, req->handler->start(req));
}

/* The frame is whole: it becomes a request. */
static int kbr_conn_take_frame(struct kbr_conn *conn)
{
	struct kbr_request *req = kzalloc(sizeof(*req), GFP_KERNEL);

	if (!req)
		return -ENOMEM;
	req->conn = conn;
	req->frame = conn->frame;
	req->frame_len = conn->frame_len;
	req->received = ktime_get();
	kbr_wire_writer_init(&req->reply, KBR_REPLY_BYTES_MAX, false);
	conn->frame = NULL;
	kbr_conn_drop_frame(conn);
	list_add_tail(&req->node, &conn->requests);
	WRITE_ONCE(conn->in_flight, conn->in_flight + 1);
	kbr_conn_charge_request(conn, req);
	kbr_conn_start_request(conn, req);
	return 0;
}

/* Has the client closed its half, or gone? Seen also while nothing is read from it. */
static bool kbr_conn_peer_finished(struct kbr_conn *conn)
{
	bool finished = true;

	mutex_lock(&conn->sock_lock);
	if (conn->sock)
		finished = READ_ONCE(conn->sock->sk->sk_shutdown) & RCV_SHUTDOWN;
	mutex_unlock(&conn->sock_lock);
	return finished;
}

/*
 * A follower has more to say (of a sync, of another partition): the Fetch that
 * waits for records is answered, so that it is heard.
 */
static bool kbr_conn_peer_speaks(struct kbr_conn *conn)
{
	bool speaks = false;

	if (conn->peer_id < 0)
		return false;
	mutex_lock(&conn->sock_lock);
	if (conn->sock)
		speaks = !skb_queue_empty_lockless(&conn->sock->sk->sk_receive_queue);
	mutex_unlock(&conn->sock_lock);
	return speaks;
}

/*
 * Is the wait of @req over before its time? Nobody waits for what may yet come
 * with a connection that ends, nor, for long, with memory that others need.
 */
static bool kbr_conn_cuts_short(struct kbr_conn *conn, const struct kbr_request *req, ktime_t now)
{
	if (req->settled)
		return false;
	if (conn->state != KBR_CONN_OPEN)
		return true;
	/* What it was given is kept, if that may be. */
	if (req->handler->lasting)
		return false;
	return kbr_conn_peer_finished(conn) || kbr_conn_peer_speaks(conn) ||
	       (kbr_conn_is_short(conn) && ktime_ms_delta(now, req->received) >= KBR_STALL_MS);
}

/* Parked requests that have news, or whose time is over. True: there were some. */
static bool kbr_conn_resume(struct kbr_conn *conn)
{
	enum kbr_request_state state;
	struct kbr_request *req;
	bool expired, any = false;
	ktime_t now = ktime_get();

	list_for_each_entry(req, &conn->requests, node) {
		if (req->state != KBR_REQUEST_PARKED)
			continue;
		expired = ktime_after(now, req->deadline) || kbr_conn_cuts_short(conn, req, now);
		if (!kbr_waiter_take_news(&req->waiter) && !expired)
			continue;
		state = req->handler->resume(req, expired);
		if (WARN_ON_ONCE(expired && state == KBR_REQUEST_PARKED))
			state = KBR_REQUEST_CLOSE;
		kbr_conn_settle_request(conn, req, state);
		any = true;
	}
	return any;
}

/* ---- receiving ---- */

static int kbr_conn_recv(struct kbr_conn *conn, void *buf, size_t len)
{
	struct msghdr msg = { .msg_flags = MSG_DONTWAIT };
	struct kvec vec = { .iov_base = buf, .iov_len = len };
	int ret = -ENOTCONN;

	mutex_lock(&conn->sock_lock);
	if (conn->sock)
		ret = kernel_recvmsg(conn->sock, &msg, &vec, 1, len, MSG_DONTWAIT);
	mutex_unlock(&conn->sock_lock);
	if (ret > 0) {
		WRITE_ONCE(conn->received_bytes, conn->received_bytes + ret);
		WRITE_ONCE(conn->active, jiffies);
	}
	return ret;
}

/* May another frame begin? */
static bool kbr_conn_may_receive(struct kbr_conn *conn)
{
	struct kbr_request *last;

	if (conn->state != KBR_CONN_OPEN || conn->in_flight >= KBR_CONN_REQUESTS_MAX ||
	    conn->bytes >= KBR_CONN_BYTES_MAX)
		return false;
	if (!list_empty(&conn->requests)) {
		last = list_last_entry(&conn->requests, struct kbr_request, node);
		if (last->state == KBR_REQUEST_PARKED && (!last->settled || last->ordered))
			return false;
	}
	return !kbr_conn_starves(conn);
}

/* Room for more of the frame. */
static int kbr_conn_grow_frame(struct kbr_conn *conn)
{
	size_t room = conn->frame_room ? conn->frame_room * KBR_FRAME_GROWTH : KBR_FRAME_FIRST;
	u8 *frame = NULL;
	int err = -ENOMEM;

	/* A last step would copy more than it adds: take it with this one. */
	if (room >= conn->frame_len / 2)
		room = conn->frame_len;
	/* Counted before it is there: many may want to grow at once. */
	kbr_conn_charge(conn, room);
	/* What has begun may go on, up to as much again; then somebody has to give way. */
	if (conn->frame_room &&
	    atomic64_read(&conn->server->bytes) - room >= 2 * kbr_server_bytes_max(conn->server))
		err = -ENOBUFS;
	else
		frame = kvmalloc(room, GFP_KERNEL);
	if (!frame) {
		kbr_conn_charge(conn, -(s64)room);
		return err;
	}
	memcpy(frame, conn->frame, conn->frame_got);
	kvfree(conn->frame);
	kbr_conn_charge(conn, -(s64)conn->frame_room);
	conn->frame = frame;
	conn->frame_room = room;
	return 0;
}

/* The size of the next frame. 1 it is there; 0 not yet, or the client has finished; -errno. */
static int kbr_conn_receive_head(struct kbr_conn *conn)
{
	s32 len;
	int ret;

	if (!conn->head_len && !kbr_conn_may_receive(conn))
		return 0;
	while (conn->head_len < sizeof(conn->head)) {
		ret = kbr_conn_recv(conn, (u8 *)&conn->head + conn->head_len,
				    sizeof(conn->head) - conn->head_len);
		if (!ret)
			kbr_conn_stop_receiving(conn);
		if (ret <= 0)
			return ret == -EAGAIN ? 0 : ret;
		conn->head_len += ret;
	}
	len = be32_to_cpu(conn->head);
	if (len < KBR_FRAME_MIN || len > READ_ONCE(conn->server->broker->config.request_bytes_max)) {
		kbr_conn_refuse(conn, "it announces a request of bytes", len);
		return 0;
	}
	conn->frame_len = len;
	conn->frame_got = 0;
	return 1;
}

/*
 * At most one frame. 1: something came, try again; 0: nothing more for now;
 * -errno: the socket is useless.
 */
static int kbr_conn_receive(struct kbr_conn *conn)
{
	unsigned int turn = 0;
	int ret;

	if (conn->state != KBR_CONN_OPEN)
		return 0;
	if (conn->head_len < sizeof(conn->head)) {
		ret = kbr_conn_receive_head(conn);
		if (ret <= 0)
			return ret;
	}
	while (conn->frame_got < conn->frame_len) {
		if (conn->frame_got == conn->frame_room) {
			ret = kbr_conn_grow_frame(conn);
			if (ret)
				return ret;
		}
		ret = kbr_conn_recv(conn, conn->frame + conn->frame_got,
				    conn->frame_room - conn->frame_got);
		if (!ret)
			kbr_conn_refuse(conn, "it ended within a request of bytes", conn->frame_len);
		if (ret <= 0)
			return ret == -EAGAIN ? 0 : ret;
		conn->frame_got += ret;
		turn += ret;
		if (turn >= KBR_CONN_TURN_BYTES)
			return 1;
	}
	return kbr_conn_take_frame(conn) ?: 1;
}

/* ---- sending ---- */

/*
 * Replies in the order of their requests. 1: some are through, and what they
 * held is free; 0: none was ready; -EAGAIN: the socket is full; -errno: close it.
 */
static int kbr_conn_send(struct kbr_conn *conn)
{
	struct kbr_request *req, *next;
	bool more, any = false;
	int err;

	list_for_each_entry_safe(req, next, &conn->requests, node) {
		if (req->state == KBR_REQUEST_PARKED)
			break;
		if (req->state == KBR_REQUEST_CLOSE)
			return -ECONNABORTED;
		if (req->state == KBR_REQUEST_DONE) {
			more = !list_is_last(&req->node, &conn->requests) &&
			       next->state == KBR_REQUEST_DONE;
			err = kbr_conn_send_reply(conn, req, more);
			WRITE_ONCE(conn->blocked, err == -EAGAIN);
			if (err)
				return err == -EAGAIN && any ? 1 : err;
			trace_kbroker_request_reply(req, req->reply.len + req->slices_bytes);
			conn->sent = 0;
			conn->slice = 0;
			conn->slice_sent = 0;
		}
		kbr_conn_free_request(conn, req);
		any = true;
	}
	return any;
}

/* ---- the work ---- */

static void kbr_conn_set_timer(struct kbr_conn *conn)
{
	struct kbr_request *req;
	ktime_t first = KTIME_MAX;
	s64 left;

	if (conn->state == KBR_CONN_LINGERING) {
		mod_timer(&conn->timer, conn->linger_until);
		return;
	}
	list_for_each_entry(req, &conn->requests, node)
		if (req->state == KBR_REQUEST_PARKED && ktime_before(req->deadline, first))
			first = req->deadline;
	if (first == KTIME_MAX)
		return;
	left = max_t(s64, ktime_ms_delta(first, ktime_get()), 0);
	mod_timer(&conn->timer, jiffies + msecs_to_jiffies(left) + 1);
}

/* Goodbye: the client gets what was sent, then the end. */
static void kbr_conn_linger(struct kbr_conn *conn)
{
	kbr_conn_stop_receiving(conn);
	kbr_conn_drop_requests(conn);
	WRITE_ONCE(conn->state, KBR_CONN_LINGERING);
	conn->linger_until = jiffies + msecs_to_jiffies(KBR_CONN_LINGER_MS);
	mutex_lock(&conn->sock_lock);
	if (conn->sock)
		kernel_sock_shutdown(conn->sock, SHUT_WR);
	mutex_unlock(&conn->sock_lock);
}

/*
 * Is nothing left that would have to be sent again? A kernel socket does that
 * no more once it was released, so that it is kept till then.
 */
static bool kbr_conn_has_lingered(struct kbr_conn *conn)
{
	bool done = true;

	mutex_lock(&conn->sock_lock);
	if (conn->sock)
		switch (READ_ONCE(conn->sock->sk->sk_state)) {
		case TCP_CLOSE:
		case TCP_FIN_WAIT2:
		case TCP_TIME_WAIT:
			break;
		default:
			done = time_after_eq(jiffies, conn->linger_until);
			if (done)
				sock_no_linger(conn->sock->sk);
		}
	mutex_unlock(&conn->sock_lock);
	return done;
}

/* Close the socket, if it still is open. */
static void kbr_conn_release_socket(struct kbr_conn *conn, bool reset)
{
	mutex_lock(&conn->sock_lock);
	if (conn->sock) {
		kbr_conn_give_callbacks(conn);
		if (reset)
			sock_no_linger(conn->sock->sk);
		sock_release(conn->sock);
		conn->sock = NULL;
	}
	mutex_unlock(&conn->sock_lock);
}

void kbr_conn_reset(struct kbr_conn *conn)
{
	kbr_conn_release_socket(conn, true);
}

static void kbr_conn_release(struct kref *ref)
{
	struct kbr_conn *conn = container_of(ref, struct kbr_conn, ref);

	mutex_destroy(&conn->sock_lock);
	kfree(conn);
}

void kbr_conn_put(struct kbr_conn *conn)
{
	kref_put(&conn->ref, kbr_conn_release);
}

/*
 * Close the socket, while the end of the namespace finds us and waits for that
 * -> unpublish: nobody kicks it from the table any more -> drop requests with
 * their waiters, stop the timer: nothing queues the work -> take it off the
 * queue, where one of them may have put it while it ran -> put. What may still
 * run after it: kbr_conn_reset() with a reference, which finds no socket.
 */
static void kbr_conn_tear_down(struct kbr_conn *conn, bool reset)
{
	struct kbr_server *server = conn->server;

	kbr_conn_release_socket(conn, reset);
	xa_erase(&server->conns, conn->id);
	kbr_conn_stop_receiving(conn);
	kbr_conn_drop_requests(conn);
	timer_shutdown_sync(&conn->timer);
	cancel_work(&conn->work);
	put_cred(conn->cred);
	kfree_sensitive(conn->proof);
	atomic_dec(&conn->listener->connections);
	kbr_listener_put(conn->listener);
	kbr_conn_put(conn);
	/* The stop destroys the workqueue before it lets go of the server: it waits for us. */
	if (atomic_dec_and_test(&server->conns_count))
		wake_up_all(&server->gone);
}

/* Receive, go on, and send until nothing moves. 0, or -errno: close it. */
static int kbr_conn_run(struct kbr_conn *conn)
{
	unsigned int turns = KBR_CONN_TURNS;
	int got, sent;
	bool moved;

	while (turns--) {
		moved = kbr_conn_resume(conn);
		got = kbr_conn_receive(conn);
		if (got < 0)
			return got;
		sent = kbr_conn_send(conn);
		if (sent < 0 && sent != -EAGAIN)
			return sent;
		/* What was sent makes room to receive what has been waiting in the socket. */
		if (!moved && !got && sent <= 0)
			return 0;
		cond_resched();
	}
	kbr_conn_kick(conn);
	return 0;
}

static void kbr_conn_work(struct work_struct *work)
{
	struct kbr_conn *conn = container_of(work, struct kbr_conn, work);

	if (READ_ONCE(conn->server->dead)) {
		/* Released with something to say it would stay for ever, without timers. */
		kbr_conn_tear_down(conn, true);
		return;
	}
	if (READ_ONCE(conn->server->draining))
		kbr_conn_stop_receiving(conn);
	if (conn->state != KBR_CONN_LINGERING &&
	    (test_bit(KBR_CONN_CLOSE, &conn->flags) || kbr_conn_run(conn) ||
	     (conn->state == KBR_CONN_ANSWERING && list_empty(&conn->requests))))
		kbr_conn_linger(conn);
	if (conn->state == KBR_CONN_LINGERING && kbr_conn_has_lingered(conn)) {
		kbr_conn_tear_down(conn, false);
		return;
	}
	kbr_conn_set_timer(conn);
}

/* ---- life ---- */

static struct kbr_conn *kbr_conn_alloc(struct kbr_listener *listener, struct socket *sock)
{
	struct kbr_conn *conn = kzalloc(sizeof(*conn), GFP_KERNEL);

	if (!conn)
		return NULL;
	kref_init(&conn->ref);
	INIT_WORK(&conn->work, kbr_conn_work);
	timer_setup(&conn->timer, kbr_conn_timer, 0);
	mutex_init(&conn->sock_lock);
	spin_lock_init(&conn->info_lock);
	INIT_LIST_HEAD(&conn->requests);
	memset(conn->versions, -1, sizeof(conn->versions));
	conn->server = listener->server;
	conn->listener = listener;
	conn->sock = sock;
	conn->peer_id = -1;
	conn->created = jiffies;
	conn->active = jiffies;
	if (kernel_getpeername(sock, (struct sockaddr *)&conn->peer) < 0 ||
	    kernel_getsockname(sock, (struct sockaddr *)&conn->local) < 0) {
		kfree(conn);
		return NULL;
	}
	return conn;
}

void kbr_conn_create(struct kbr_listener *listener, struct socket *sock)
{
	struct kbr_server *server = listener->server;
	struct kbr_conn *conn = kbr_conn_alloc(listener, sock);

	/* Without memory, or the client has gone already. */
	if (!conn)
		goto release;
	tcp_sock_set_nodelay(sock->sk);
	/* A client that vanished without a word is noticed some day. */
	sock_set_keepalive(sock->sk);
	xa_lock(&server->conns);
	conn->id = ++server->conn_last;
	xa_unlock(&server->conns);
	if (xa_reserve(&server->conns, conn->id, GFP_KERNEL))
		goto free;
	kref_get(&listener->ref);
	atomic_inc(&listener->connections);
	atomic_inc(&server->conns_count);
	atomic64_inc(&listener->accepted);
	/* From the first callback on it may run, but not tear itself down before it is in the table. */
	xa_lock(&server->conns);
	kbr_conn_take_callbacks(conn);
	__xa_store(&server->conns, conn->id, conn, GFP_NOWAIT);
	/* Bytes may have come before the callbacks were taken. */
	kbr_conn_kick(conn);
	xa_unlock(&server->conns);
	return;

free:
	kbr_conn_put(conn);
release:
	sock_no_linger(sock->sk);
	sock_release(sock);
}

/* ---- looks from outside ---- */

bool kbr_conn_is_still(const struct kbr_conn *conn, s64 ms)
{
	u64 still = jiffies_to_msecs(jiffies - READ_ONCE(conn->active));

	return still >= ms;
}

bool kbr_conn_waits_for_us(const struct kbr_conn *conn)
{
	/* a request is parked */
	return READ_ONCE(conn->in_flight) && !READ_ONCE(conn->blocked);
}

void kbr_conn_get_info(struct kbr_conn *conn, struct kbr_connection_info *info)
{
	memset(info, 0, sizeof(*info));
	info->id = conn->id;
	info->listener = conn->listener->id;
	info->peer = conn->peer;
	info->local = conn->local;
	spin_lock(&conn->info_lock);
	memcpy(info->client_id, conn->client_id, sizeof(info->client_id));
	memcpy(info->software_name, conn->software_name, sizeof(info->software_name));
	memcpy(info->software_version, conn->software_version, sizeof(info->software_version));
	memcpy(info->versions, conn->versions, sizeof(info->versions));
	spin_unlock(&conn->info_lock);
	info->received_bytes = READ_ONCE(conn->received_bytes);
	info->sent_bytes = READ_ONCE(conn->sent_bytes);
	info->requests = READ_ONCE(conn->taken);
	info->in_flight = READ_ONCE(conn->in_flight);
	info->buffered_bytes = READ_ONCE(conn->bytes);
	info->age_ms = jiffies_to_msecs(jiffies - conn->created);
	info->idle_ms = jiffies_to_msecs(jiffies - READ_ONCE(conn->active));
}

/* ---- what handlers ask ---- */

bool kbr_request_is_futile(const struct kbr_request *req)
{
	struct kbr_conn *conn = req->conn;

	cond_resched();
	return req->reply.err || test_bit(KBR_CONN_CLOSE, &conn->flags) ||
	       READ_ONCE(conn->server->dead);
}

struct kbr_broker *kbr_request_broker(const struct kbr_request *req)
{
	return req->conn->server->broker;
}

const struct cred *kbr_request_cred(const struct kbr_request *req)
{
	return req->conn->cred;
}

bool kbr_request_may_admin(const struct kbr_request *req)
{
	kuid_t uid = req->conn->cred->fsuid;

	/* A broker of the cluster has checked who asked it. */
	if (req->conn->peer_id >= 0)
		return true;
	return uid_eq(uid, GLOBAL_ROOT_UID) || uid_eq(uid, READ_ONCE(kbr_request_broker(req)->uid));
}

s32 kbr_request_peer(const struct kbr_request *req, s64 *epoch)
{
	*epoch = req->conn->peer_epoch;
	return req->conn->peer_id;
}

void kbr_request_close_after(struct kbr_request *req, const char *what)
{
	req->refused = what;
}

void kbr_request_address(const struct kbr_request *req, struct kbr_address *address)
{
	const struct kbr_listener_params *params = &req->conn->listener->params;
	const struct sockaddr_storage *local = &req->conn->local;

	if (local->ss_family == AF_INET) {
		const struct sockaddr_in *in = (const struct sockaddr_in *)local;

		snprintf(address->host, sizeof(address->host), "%pI4", &in->sin_addr);
		address->port = ntohs(in->sin_port);
	} else {
		const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)local;

		snprintf(address->host, sizeof(address->host), "%pI6c", &in6->sin6_addr);
		address->port = ntohs(in6->sin6_port);
	}
	if (params->advertised_host[0])
		strscpy(address->host, params->advertised_host, sizeof(address->host));
	if (params->advertised_port)
		address->port = params->advertised_port;
}

void kbr_request_client_host(const struct kbr_request *req, char *text, size_t size)
{
	const struct sockaddr_storage *peer = &req->conn->peer;
	const struct in6_addr *in6 = &((const struct sockaddr_in6 *)peer)->sin6_addr;

	if (peer->ss_family == AF_INET6 && ipv6_addr_v4mapped(in6))
		snprintf(text, size, "/%pI4", &in6->s6_addr32[3]);
	else if (peer->ss_family == AF_INET6)
		snprintf(text, size, "/%pI6c", in6);
	else
		snprintf(text, size, "/%pI4", &((const struct sockaddr_in *)peer)->sin_addr);
}

void kbr_request_set_software(struct kbr_request *req, const struct kbr_str *name,
			      const struct kbr_str *version)
{
	struct kbr_conn *conn = req->conn;

	spin_lock(&conn->info_lock);
	kbr_str_copy(name, conn->software_name, sizeof(conn->software_name));
	kbr_str_copy(version, conn->software_version, sizeof(conn->software_version));
	spin_unlock(&conn->info_lock);
}

void kbr_request_drop_frame(struct kbr_request *req)
{
	kvfree(req->frame);
	req->frame = NULL;
}

void kbr_request_park(struct kbr_request *req, struct kbr_waiter_entry *entries, s64 timeout_ms)
{
	struct kbr_conn *conn = req->conn;

	kbr_waiter_init(&req->waiter, conn->server->wq, &conn->work, entries);
	req->deadline = ktime_add_ms(ktime_get(),
				     clamp_t(s64, timeout_ms, 0, KBR_REQUEST_TIMEOUT_MS_MAX));
}
