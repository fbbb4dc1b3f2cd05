// SPDX-License-Identifier: GPL-2.0-only
/*
 * Listening sockets: made in the broker's network namespace, without holding
 * it; and whom their clients act as. What becomes of a connection is in
 * conn.c.
 */
#include <linux/cred.h>
#include <linux/in6.h>
#include <linux/init_task.h>
#include <linux/inet.h>
#include <linux/slab.h>
#include <net/ipv6.h>
#include <net/sock.h>
#include <net/tcp_states.h>

#include "server/server.h"

/* Connections that wait to be accepted; the kernel's own limit applies too */
#define KBR_LISTENER_BACKLOG	1024
/* Connections accepted before others have their turn */
#define KBR_ACCEPT_BUDGET	64
/* When no memory was left to accept one, it is tried again so soon, ms */
#define KBR_ACCEPT_RETRY_MS	100

/* ---- whom clients act as ---- */

static kuid_t kbr_listener_uid(const struct kbr_listener *listener)
{
	if (uid_valid(listener->params.uid))
		return listener->params.uid;
	return READ_ONCE(listener->server->broker->uid);
}

static kgid_t kbr_listener_gid(const struct kbr_listener *listener)
{
	if (gid_valid(listener->params.gid))
		return listener->params.gid;
	return READ_ONCE(listener->server->broker->gid);
}

bool kbr_listener_matches(const struct kbr_listener *listener, const struct cred *cred)
{
	return cred && uid_eq(cred->fsuid, kbr_listener_uid(listener)) &&
	       gid_eq(cred->fsgid, kbr_listener_gid(listener));
}

/* A user of the initial user namespace without any other group; root alone has capabilities. */
static const struct cred *kbr_listener_make_cred(const struct kbr_listener *listener)
{
	struct cred *cred = prepare_kernel_cred(&init_task);

	if (!cred)
		return NULL;
	cred->uid = kbr_listener_uid(listener);
	cred->euid = cred->uid;
	cred->suid = cred->uid;
	cred->fsuid = cred->uid;
	cred->gid = kbr_listener_gid(listener);
	cred->egid = cred->gid;
	cred->sgid = cred->gid;
	cred->fsgid = cred->gid;
	if (!uid_eq(cred->uid, GLOBAL_ROOT_UID)) {
		cap_clear(cred->cap_inheritable);
		cap_clear(cred->cap_permitted);
		cap_clear(cred->cap_effective);
		cap_clear(cred->cap_ambient);
	}
	return cred;
}

const struct cred *kbr_listener_cred(struct kbr_listener *listener)
{
	const struct cred *cred, *old = NULL;

	spin_lock(&listener->cred_lock);
	cred = listener->cred;
	if (kbr_listener_matches(listener, cred))
		get_cred(cred);
	else
		cred = NULL;
	spin_unlock(&listener->cred_lock);
	if (cred)
		return cred;
	/* The first connection, or the broker's owner has changed. */
	cred = kbr_listener_make_cred(listener);
	if (!cred)
		return NULL;
	spin_lock(&listener->cred_lock);
	old = listener->cred;
	listener->cred = get_cred(cred);
	spin_unlock(&listener->cred_lock);
	put_cred(old);
	return cred;
}

/* ---- accept ---- */

static bool kbr_listener_same_host(const struct sockaddr_storage *a,
				   const struct sockaddr_storage *b)
{
	if (a->ss_family != b->ss_family)
		return false;
	if (a->ss_family == AF_INET)
		return ((const struct sockaddr_in *)a)->sin_addr.s_addr ==
		       ((const struct sockaddr_in *)b)->sin_addr.s_addr;
	return ipv6_addr_equal(&((const struct sockaddr_in6 *)a)->sin6_addr,
			       &((const struct sockaddr_in6 *)b)->sin6_addr);
}

/* Connections of the host at @sock's other end. */
static unsigned int kbr_listener_count_host(struct kbr_server *server, struct socket *sock)
{
	struct sockaddr_storage peer;
	unsigned int count = 0;
	struct kbr_conn *conn;
	unsigned long id;

	if (kernel_getpeername(sock, (struct sockaddr *)&peer) < 0)
		return 0;
	xa_lock(&server->conns);
	xa_for_each(&server->conns, id, conn)
		count += kbr_listener_same_host(&peer, &conn->peer);
	xa_unlock(&server->conns);
	return count;
}

static bool kbr_listener_is_full(struct kbr_listener *listener, struct socket *sock)
{
	struct kbr_server *server = listener->server;
	const struct kbr_broker_config *config = &server->broker->config;
	u32 per_host = READ_ONCE(config->connections_per_ip_max);

	if (atomic_read(&server->conns_count) >= READ_ONCE(config->connections_max))
		return true;
	/* Counting costs a walk: only for those who asked for it. */
	return per_host < INT_MAX && kbr_listener_count_host(server, sock) >= per_host;
}

static void kbr_listener_accept(struct work_struct *work)
{
	struct kbr_listener *listener =
		container_of(to_delayed_work(work), struct kbr_listener, accept);
	unsigned int budget = KBR_ACCEPT_BUDGET;
	struct socket *sock;

	/* kbr_server_ops.open comes when it runs. */
	if (READ_ONCE(listener->server->broker->state) == KBR_BROKER_STARTING)
		return;
	for (;;) {
		if (!budget--) {
			queue_delayed_work(listener->server->wq, &listener->accept, 0);
			break;
		}
		/* An error of one connection is no reason to forget the others. */
		switch (kernel_accept(listener->sock, &sock, O_NONBLOCK)) {
		case 0:
			break;
		case -ECONNABORTED:
		case -EPROTO:
			continue;
		case -ENOMEM:
		case -ENOBUFS:
		case -ENFILE:
			/* It waits there, and nobody tells of it again. */
			queue_delayed_work(listener->server->wq, &listener->accept,
					   msecs_to_jiffies(KBR_ACCEPT_RETRY_MS));
			return;
		default:
			return;
		}
		if (kbr_listener_is_full(listener, sock)) {
			atomic64_inc(&listener->refused);
			sock_no_linger(sock->sk);
			sock_release(sock);
			continue;
		}
		kbr_conn_create(listener, sock);
	}
}

/* Softirq. A connection that is not yet accepted has inherited this callback. */
static void kbr_listener_data_ready(struct sock *sk)
{
	struct kbr_listener *listener;

	read_lock_bh(&sk->sk_callback_lock);
	if (sk->sk_state == TCP_LISTEN) {
		listener = sk->sk_user_data;
		if (listener)
			queue_delayed_work(listener->server->wq, &listener->accept, 0);
	}
	read_unlock_bh(&sk->sk_callback_lock);
}

/* ---- life ---- */

static void kbr_listener_release(struct kref *ref)
{
	struct kbr_listener *listener = container_of(ref, struct kbr_listener, ref);

	put_cred(listener->cred);
	kfree(listener);
}

void kbr_listener_put(struct kbr_listener *listener)
{
	kref_put(&listener->ref, kbr_listener_release);
}

static size_t kbr_listener_address_len(const struct sockaddr_storage *address)
{
	return address->ss_family == AF_INET ? sizeof(struct sockaddr_in) :
					       sizeof(struct sockaddr_in6);
}

static int kbr_listener_refuse(const struct kbr_listener_params *params, int err,
			       struct kbr_refusal *why)
{
	const char *reason = "can't be listened at";

	switch (err) {
	case -EADDRINUSE:
		reason = "is in use";
		break;
	case -EADDRNOTAVAIL:
		reason = "is no address of this network namespace";
		break;
	case -EAFNOSUPPORT:
		reason = "is of a kind that this kernel does not have";
		break;
	}
	return kbr_refuse(why, err, 0, "%pISpc %s", &params->address, reason);
}

/* Takes the socket's callback; the port that was got goes to @listener->params. */
static int kbr_listener_listen(struct kbr_listener *listener, struct net *net)
{
	struct sockaddr *address = (struct sockaddr *)&listener->params.address;
	int err, family = address->sa_family;
	struct socket *sock;

	err = sock_create_kern(net, family, SOCK_STREAM, IPPROTO_TCP, &sock);
	if (err)
		return err;
	sock_set_reuseaddr(sock->sk);
	/* An address of each kind is a listener of its own. */
	if (family == AF_INET6)
		ip6_sock_set_v6only(sock->sk);
	err = kernel_bind(sock, address, kbr_listener_address_len(&listener->params.address));
	if (err)
		goto release;
	write_lock_bh(&sock->sk->sk_callback_lock);
	listener->data_ready = sock->sk->sk_data_ready;
	sock->sk->sk_user_data = listener;
	sock->sk->sk_data_ready = kbr_listener_data_ready;
	write_unlock_bh(&sock->sk->sk_callback_lock);
	listener->sock = sock;
	err = kernel_listen(sock, KBR_LISTENER_BACKLOG);
	if (!err) {
		err = kernel_getsockname(sock, address);
		err = min(err, 0);
	}
	if (err)
		kbr_listener_close(listener);
	return err;

release:
	sock_release(sock);
	return err;
}

struct kbr_listener *kbr_listener_create(struct kbr_server *server,
					 const struct kbr_listener_params *params,
					 struct kbr_refusal *why)
{
	struct net *net = server->broker->knet->net;
	struct kbr_listener *listener;
	int err;

	lockdep_assert_held(&server->lock);
	/* Set until kbr_server_ops.abort has taken the lock and said that we are dead. */
	if (!net)
		return ERR_PTR(-ENODEV);
	listener = kzalloc(sizeof(*listener), GFP_KERNEL);
	if (!listener)
		return ERR_PTR(-ENOMEM);
	kref_init(&listener->ref);
	INIT_LIST_HEAD(&listener->node);
	INIT_DELAYED_WORK(&listener->accept, kbr_listener_accept);
	spin_lock_init(&listener->cred_lock);
	listener->server = server;
	listener->params = *params;
	err = kbr_listener_listen(listener, net);
	if (err) {
		kbr_listener_put(listener);
		return ERR_PTR(kbr_listener_refuse(params, err, why));
	}
	listener->id = ++server->listener_last;
	return listener;
}

void kbr_listener_open(struct kbr_listener *listener)
{
	queue_delayed_work(listener->server->wq, &listener->accept, 0);
}

void kbr_listener_close(struct kbr_listener *listener)
{
	struct socket *sock = listener->sock;

	if (!sock)
		return;
	write_lock_bh(&sock->sk->sk_callback_lock);
	sock->sk->sk_user_data = NULL;
	sock->sk->sk_data_ready = listener->data_ready;
	write_unlock_bh(&sock->sk->sk_callback_lock);
	/* It may have queued itself; after this nothing does. */
	cancel_delayed_work_sync(&listener->accept);
	sock_release(sock);
	listener->sock = NULL;
}

void kbr_listener_get_info(const struct kbr_listener *listener, struct kbr_listener_info *info)
{
	*info = (struct kbr_listener_info) {
		.params = listener->params,
		.id = listener->id,
		.connections = atomic_read(&listener->connections),
		.accepted = atomic64_read(&listener->accepted),
		.refused = atomic64_read(&listener->refused),
		.malformed = atomic64_read(&listener->malformed),
	};
}
