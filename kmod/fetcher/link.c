// SPDX-License-Identifier: GPL-2.0-only
/*
 * A connection to one leader: a state machine driven by one work item, as the
 * server's connections are. The socket's callbacks, and whoever has news, only
 * queue the work; it connects, proves, asks and takes answers, and never sleeps
 * for the leader. What it asks is the business of its kbr_link_ops.
 *
 * IDLE -> CONNECTING -> HANDSHAKE -> HELLO -> PROVING -> READY; whatever goes
 * wrong closes the socket, and after a while, which grows with each failure in a
 * row, it begins anew.
 */
#define pr_fmt(fmt) "kbroker: " fmt

#include <linux/inet.h>
#include <linux/mm.h>
#include <linux/printk.h>
#include <linux/random.h>
#include <linux/ratelimit.h>
#include <linux/slab.h>
#include <linux/tcp.h>
#include <net/sock.h>
#include <net/tcp_states.h>

#include "base/kunit.h"
#include "broker/net.h"
#include "fetcher/fetcher.h"

/* How long a leader may take to accept a connection and to prove what it is, ms */
#define KBR_LINK_GREET_MS	3000
/* A connection is given up when no answer came so long after it was due, ms */
#define KBR_LINK_STALL_MS	10000
/* Or when for so long nothing that was sent was acknowledged: the path is cut, ms */
#define KBR_LINK_SILENCE_MS	3000
/* Requests: a Fetch of all partitions, a Produce of the largest batch; bytes */
#define KBR_LINK_OUT_MAX	(KBR_BATCH_BYTES_MAX + (1u << 20))
/* What an answer holds beside records, bytes */
#define KBR_LINK_ANSWER_MAX	(16u << 20)
/* First allocation for a frame, and by how much it grows once that is full */
#define KBR_LINK_FRAME_FIRST	4096
#define KBR_LINK_FRAME_GROWTH	16
/* Steps of one run of the work */
#define KBR_LINK_TURNS		64

/* ---- wake-ups ---- */

void kbr_link_kick(struct kbr_link *link)
{
	mod_delayed_work(link->fetcher->wq, &link->work, 0);
}

/* Softirq. */
static void kbr_link_socket_news(struct sock *sk)
{
	struct kbr_link *link;

	read_lock_bh(&sk->sk_callback_lock);
	link = sk->sk_user_data;
	if (link)
		kbr_link_kick(link);
	read_unlock_bh(&sk->sk_callback_lock);
}

static void kbr_link_write_space(struct sock *sk)
{
	struct kbr_link *link;

	read_lock_bh(&sk->sk_callback_lock);
	link = sk->sk_user_data;
	if (link && sk_stream_is_writeable(sk)) {
		clear_bit(SOCK_NOSPACE, &sk->sk_socket->flags);
		kbr_link_kick(link);
	}
	read_unlock_bh(&sk->sk_callback_lock);
}

static void kbr_link_take_callbacks(struct kbr_link *link)
{
	struct sock *sk = link->sock->sk;

	write_lock_bh(&sk->sk_callback_lock);
	link->data_ready = sk->sk_data_ready;
	link->state_change = sk->sk_state_change;
	link->write_space = sk->sk_write_space;
	sk->sk_user_data = link;
	sk->sk_data_ready = kbr_link_socket_news;
	sk->sk_state_change = kbr_link_socket_news;
	sk->sk_write_space = kbr_link_write_space;
	write_unlock_bh(&sk->sk_callback_lock);
}

static void kbr_link_release_socket(struct kbr_link *link, bool closed)
{
	struct sock *sk;

	mutex_lock(&link->sock_lock);
	link->closed = link->closed || closed;
	if (link->sock) {
		sk = link->sock->sk;
		write_lock_bh(&sk->sk_callback_lock);
		sk->sk_user_data = NULL;
		sk->sk_data_ready = link->data_ready;
		sk->sk_state_change = link->state_change;
		sk->sk_write_space = link->write_space;
		write_unlock_bh(&sk->sk_callback_lock);
		/* Nothing that it has to say is worth waiting for. */
		sock_no_linger(sk);
		sock_release(link->sock);
		link->sock = NULL;
	}
	mutex_unlock(&link->sock_lock);
}

void kbr_link_abort(struct kbr_link *link)
{
	kbr_link_release_socket(link, true);
}

/* ---- closing ---- */

static void kbr_link_drop_frame(struct kbr_link *link)
{
	kvfree(link->frame);
	link->frame = NULL;
	link->frame_room = 0;
	link->frame_got = 0;
	link->head_len = 0;
}

static void kbr_link_report(struct kbr_link *link)
{
	if (link->ops->report)
		link->ops->report(link);
}

/* Close the connection; @err says why, 0: it is not needed any more. */
static void kbr_link_close(struct kbr_link *link, int err)
{
	u32 most = READ_ONCE(link->fetcher->broker->config.replica_fetch_backoff_ms);
	u32 ms;

	kbr_link_release_socket(link, false);
	kbr_link_drop_frame(link);
	link->out.len = 0;
	link->out.err = 0;
	link->sent = 0;
	link->in_flight = 0;
	link->state = KBR_LINK_IDLE;
	link->ops->closed(link);
	link->stats.error = -err;
	if (err) {
		if (!link->failures)
			pr_info_ratelimited("%s: connection to broker %d ends: error %d\n",
					    link->fetcher->broker->name, link->peer, err);
		ms = min_t(u32, KBR_LINK_RETRY_MS << min(link->failures, 16u), most);
		/* Not all followers of a leader at the same moment. */
		ms += get_random_u32() % (ms / 4 + 1);
		link->failures++;
		link->retry_at = ktime_add_ms(ktime_get(), ms);
	}
	kbr_link_report(link);
}

/* ---- connecting ---- */

/* The namespace is there as long as @closed is not set: its end waits for @sock_lock. */
static int kbr_link_make_socket(struct kbr_link *link, const struct kbr_peer *peer)
{
	struct net *net = READ_ONCE(link->fetcher->broker->knet->net);
	size_t len = peer->address.ss_family == AF_INET6 ? sizeof(struct sockaddr_in6) :
							   sizeof(struct sockaddr_in);
	struct sockaddr_storage address = peer->address;
	struct socket *sock;
	int err;

	lockdep_assert_held(&link->sock_lock);
	if (link->closed || !net)
		return -ESHUTDOWN;
	err = sock_create_kern(net, address.ss_family, SOCK_STREAM, IPPROTO_TCP, &sock);
	if (err)
		return err;
	tcp_sock_set_nodelay(sock->sk);
	/* Else what was sent into a cut is only sent again after twice its time. */
	tcp_sock_set_user_timeout(sock->sk, KBR_LINK_SILENCE_MS);
	sock_set_keepalive(sock->sk);
	tcp_sock_set_keepidle(sock->sk, 1);
	tcp_sock_set_keepintvl(sock->sk, 1);
	link->sock = sock;
	kbr_link_take_callbacks(link);
	err = kernel_connect(sock, (struct sockaddr *)&address, len, O_NONBLOCK);
	return err == -EINPROGRESS ? 0 : err;
}

static int kbr_link_connect(struct kbr_link *link)
{
	struct kbr_broker *broker = link->fetcher->broker;
	struct kbr_peer peer;
	int err;

	link->epoch = kbr_cluster_epoch(broker);
	if (link->epoch < 0)
		return -EAGAIN;
	err = kbr_cluster_peer(broker, link->peer, &peer);
	if (err)
		return err;
	mutex_lock(&link->sock_lock);
	err = kbr_link_make_socket(link, &peer);
	mutex_unlock(&link->sock_lock);
	if (err)
		return err;
	link->state = KBR_LINK_CONNECTING;
	link->moved = ktime_get();
	return 0;
}

/* 1: it is connected; 0: not yet; -errno. */
static int kbr_link_connected(struct kbr_link *link)
{
	int ret = -ENOTCONN;

	mutex_lock(&link->sock_lock);
	if (link->sock) {
		ret = sock_error(link->sock->sk);
		if (!ret)
			switch (READ_ONCE(link->sock->sk->sk_state)) {
			case TCP_ESTABLISHED:
				ret = 1;
				break;
			case TCP_SYN_SENT:
				break;
			default:
				ret = -ECONNREFUSED;
			}
	}
	mutex_unlock(&link->sock_lock);
	return ret;
}

/* ---- sending ---- */

/* 1: something went; 0: nothing is left, or the socket is full; -errno. */
static int kbr_link_send(struct kbr_link *link)
{
	struct msghdr msg = { .msg_flags = MSG_DONTWAIT | MSG_NOSIGNAL };
	struct kvec vec;
	int ret = -ENOTCONN;

	if (link->out.err)
		return link->out.err;
	if (link->sent == link->out.len)
		return 0;
	vec.iov_base = link->out.buf + link->sent;
	vec.iov_len = link->out.len - link->sent;
	mutex_lock(&link->sock_lock);
	if (link->sock)
		ret = kernel_sendmsg(link->sock, &msg, &vec, 1, vec.iov_len);
	mutex_unlock(&link->sock_lock);
	if (ret < 0)
		return ret == -EAGAIN ? 0 : ret;
	link->sent += ret;
	if (link->sent == link->out.len) {
		link->out.len = 0;
		link->sent = 0;
	}
	return 1;
}

/* ---- receiving ---- */

static int kbr_link_recv(struct kbr_link *link, void *buf, size_t len)
{
	struct msghdr msg = { .msg_flags = MSG_DONTWAIT };
	struct kvec vec = { .iov_base = buf, .iov_len = len };
	int ret = -ENOTCONN;

	mutex_lock(&link->sock_lock);
	if (link->sock)
		ret = kernel_recvmsg(link->sock, &msg, &vec, 1, len, MSG_DONTWAIT);
	mutex_unlock(&link->sock_lock);
	/* The leader closes only with an error, or when it stops. */
	return ret ?: -ECONNRESET;
}

static u64 kbr_link_frame_max(const struct kbr_link *link)
{
	if (link->state != KBR_LINK_READY)
		return KBR_LINK_GREETING_MAX;
	/* The first batch comes whole, however large it is. */
	return (u64)READ_ONCE(link->fetcher->broker->config.replica_fetch_response_max) +
	       KBR_BATCH_BYTES_MAX + KBR_LINK_ANSWER_MAX;
}

static int kbr_link_grow_frame(struct kbr_link *link)
{
	size_t room = link->frame_room ? link->frame_room * KBR_LINK_FRAME_GROWTH :
					 KBR_LINK_FRAME_FIRST;
	u8 *frame;

	if (room >= link->frame_len / 2)
		room = link->frame_len;
	frame = kvmalloc(room, GFP_KERNEL);
	if (!frame)
		return -ENOMEM;
	memcpy(frame, link->frame, link->frame_got);
	kvfree(link->frame);
	link->frame = frame;
	link->frame_room = room;
	return 0;
}

/* 1: the frame is whole; 0: not yet; -errno. */
static int kbr_link_receive(struct kbr_link *link)
{
	s32 len;
	int ret;

	while (link->head_len < sizeof(link->head)) {
		ret = kbr_link_recv(link, (u8 *)&link->head + link->head_len,
				    sizeof(link->head) - link->head_len);
		if (ret < 0)
			return ret == -EAGAIN ? 0 : ret;
		link->head_len += ret;
		link->moved = ktime_get();
		len = (s32)be32_to_cpu(link->head);
		if (link->head_len == sizeof(link->head) &&
		    (len < (s32)sizeof(__be32) || len > kbr_link_frame_max(link)))
			return -EPROTO;
		link->frame_len = len;
	}
	while (link->frame_got < link->frame_len) {
		if (link->frame_got == link->frame_room) {
			ret = kbr_link_grow_frame(link);
			if (ret)
				return ret;
		}
		ret = kbr_link_recv(link, link->frame + link->frame_got,
				    link->frame_room - link->frame_got);
		if (ret < 0)
			return ret == -EAGAIN ? 0 : ret;
		link->frame_got += ret;
		link->moved = ktime_get();
	}
	return 1;
}

static int kbr_link_take_frame(struct kbr_link *link)
{
	int err;

	if (link->state == KBR_LINK_READY) {
		err = link->ops->take(link, link->frame, link->frame_len);
		/* Who proves itself and then talks nonsense is no better than who does not answer. */
		if (!err)
			link->failures = 0;
	} else {
		link->in_flight--;
		err = kbr_link_take_greeting(link, link->frame, link->frame_len);
		if (!err && link->state == KBR_LINK_READY) {
			link->stats.error = 0;
			pr_info_ratelimited("%s: %s broker %d\n", link->fetcher->broker->name,
					    link->ops->what, link->peer);
			kbr_link_report(link);
		}
	}
	kbr_link_drop_frame(link);
	return err;
}

/* ---- the work ---- */

/* The next request, if one is due. */
static void kbr_link_ask(struct kbr_link *link)
{
	bool first = !link->in_flight;

	if (link->state != KBR_LINK_READY || link->out.len || READ_ONCE(link->fetcher->dead))
		return;
	/* The leader's time runs from here if it rested before. */
	if (link->ops->put(link) && first)
		link->moved = ktime_get();
}

/* One step. 1: try the next; 0: nothing moves; -errno: close. */
static int kbr_link_step(struct kbr_link *link)
{
	int ret;

	if (link->state == KBR_LINK_IDLE) {
		if (ktime_before(ktime_get(), link->retry_at))
			return 0;
		return kbr_link_connect(link) ?: 1;
	}
	if (link->state == KBR_LINK_CONNECTING) {
		ret = kbr_link_connected(link);
		if (ret <= 0)
			return ret;
		return kbr_link_greet(link) ?: 1;
	}
	ret = kbr_link_receive(link);
	if (ret > 0)
		return kbr_link_take_frame(link) ?: 1;
	if (ret < 0)
		return ret;
	kbr_link_ask(link);
	return kbr_link_send(link);
}

/* When the connection is given up if nothing has come till then, ms from now. */
static s64 kbr_link_patience(const struct kbr_link *link)
{
	s64 ms = KBR_LINK_GREET_MS;

	if (link->state == KBR_LINK_READY)
		ms = KBR_LINK_STALL_MS +
		     READ_ONCE(link->fetcher->broker->config.replica_fetch_wait_ms);
	return ms - ktime_ms_delta(ktime_get(), link->moved);
}

static void kbr_link_sleep(struct kbr_link *link)
{
	s64 ms;
	long retry;

	if (link->state == KBR_LINK_READY)
		kbr_link_report(link);
	if (link->state == KBR_LINK_IDLE) {
		ms = max_t(s64, ktime_ms_delta(link->retry_at, ktime_get()), 0);
	} else if (link->state == KBR_LINK_READY && !link->in_flight) {
		/* There is nothing to ask now. */
		ms = KBR_LINK_STALL_MS;
	} else {
		ms = max_t(s64, kbr_link_patience(link), 0);
	}
	retry = link->ops->next_retry(link);
	if (retry >= 0)
		ms = min_t(s64, ms, jiffies_to_msecs(retry));
	queue_delayed_work(link->fetcher->wq, &link->work, msecs_to_jiffies(ms) + 1);
}

static void kbr_link_work(struct work_struct *work)
{
	struct kbr_link *link = container_of(to_delayed_work(work), struct kbr_link, work);
	unsigned int turns = KBR_LINK_TURNS;
	int ret = 0;

	if (READ_ONCE(link->fetcher->dead) || !link->ops->wanted(link)) {
		if (link->state != KBR_LINK_IDLE)
			kbr_link_close(link, 0);
		return;
	}
	if (test_and_clear_bit(KBR_LINK_ANEW, &link->flags)) {
		link->retry_at = 0;
		if (link->state != KBR_LINK_IDLE)
			kbr_link_close(link, 0);
	}
	if (link->state != KBR_LINK_IDLE &&
	    (kbr_cluster_epoch(link->fetcher->broker) != link->epoch))
		kbr_link_close(link, 0);
	if (link->state != KBR_LINK_IDLE && (link->state != KBR_LINK_READY || link->in_flight) &&
	    kbr_link_patience(link) <= 0)
		ret = -ETIMEDOUT;
	while (!ret && turns--) {
		ret = kbr_link_step(link);
		if (ret <= 0)
			break;
		ret = 0;
		cond_resched();
	}
	if (ret < 0)
		kbr_link_close(link, ret);
	if (turns + 1)
		kbr_link_sleep(link);
	else
		kbr_link_kick(link);
}

/* ---- life ---- */

struct kbr_link *kbr_link_create(struct kbr_fetcher *fetcher, const struct kbr_link_ops *ops,
				 s32 peer)
{
	struct kbr_link *link = kzalloc(sizeof(*link), GFP_KERNEL);

	if (!link)
		return NULL;
	link->fetcher = fetcher;
	link->ops = ops;
	link->peer = peer;
	kbr_forward_route_init(&link->route, peer);
	INIT_DELAYED_WORK(&link->work, kbr_link_work);
	mutex_init(&link->lock);
	mutex_init(&link->sock_lock);
	hash_init(link->table);
	INIT_LIST_HEAD(&link->parts);
	INIT_LIST_HEAD(&link->asked);
	kbr_wire_writer_init(&link->out, KBR_LINK_OUT_MAX, false);
	return link;
}
KBR_EXPORT_IF_KUNIT(kbr_link_create);

/*
 * Close the socket: it queues the work no more -> wait for the work, which
 * queues itself no more since the fetcher is dead -> free what it held.
 */
void kbr_link_free(struct kbr_link *link)
{
	struct kbr_link_part *lp, *next;

	kbr_link_abort(link);
	cancel_delayed_work_sync(&link->work);
	link->ops->closed(link);
	kbr_link_drop_frame(link);
	kbr_wire_writer_free(&link->out);
	list_for_each_entry_safe(lp, next, &link->parts, node)
		kfree(lp);
	mutex_destroy(&link->sock_lock);
	mutex_destroy(&link->lock);
	kfree(link);
}
KBR_EXPORT_IF_KUNIT(kbr_link_free);

struct kbr_link_part *kbr_link_find_locked(struct kbr_link *link, const struct kbr_partition *part)
{
	struct kbr_link_part *lp;

	lockdep_assert_held(&link->lock);
	hash_for_each_possible(link->table, lp, by_part, (unsigned long)part)
		if (lp->part == part)
			return lp;
	return NULL;
}
