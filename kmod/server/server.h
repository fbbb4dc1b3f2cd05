/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The network side of a broker as its files see it: the server, its listeners
 * and its connections.
 *
 * Lifetime: a server is made with the broker's first listener and ends with
 * kbr_server_ops.stop, which waits until no connection is left. A listener is
 * held by its server and by its connections. A connection is torn down by its
 * own work alone; whoever wants it to end says so and queues that work.
 */
#ifndef _KBR_SERVER_SERVER_H
#define _KBR_SERVER_SERVER_H

#include <linux/kref.h>
#include <linux/mutex.h>
#include <linux/net.h>
#include <linux/spinlock.h>
#include <linux/timer.h>
#include <linux/workqueue.h>
#include <linux/xarray.h>

#include "broker/broker.h"
#include "broker/listener.h"
#include "codec/proof.h"
#include "server/init.h"
#include "server/request.h"

/*
 * When memory is short, connections that hold some and do not move for so long
 * are closed, and requests that wait for so long are answered, ms
 */
#define KBR_STALL_MS	10000

/**
 * struct kbr_server - the network side of one broker
 * @ref: the broker's table holds one until the stop, each look from netlink one
 * @broker: a reference
 * @wq: works of listeners and connections
 * @lock: listeners, and what says that the server ends; over making and
 *	closing sockets; outer to the sockets' locks and to @conns' lock
 * @listeners: by rising id (@lock)
 * @listeners_count: how many (@lock)
 * @listener_last: last id given (@lock)
 * @draining: nothing new is accepted or received (READ_ONCE; written under @lock)
 * @dead: all sockets are closed, nothing is answered any more (likewise)
 * @conns: connections by id; with its spinlock held a connection that is in it
 *	stays there and may be kicked
 * @conn_last: last id given (@conns' lock)
 * @conns_count: connections that exist
 * @gone: told when @conns_count reaches 0
 * @sweep: closes what is idle
 * @sweep_at: jiffies of its next run (READ_ONCE)
 * @bytes: what frames and replies hold
 * @starved: connections that @bytes keeps from receiving
 */
struct kbr_server {
	struct kref ref;
	struct kbr_broker *broker;
	struct workqueue_struct *wq;
	struct mutex lock;
	struct list_head listeners;
	unsigned int listeners_count;
	u32 listener_last;
	bool draining;
	bool dead;
	struct xarray conns;
	unsigned long conn_last;
	atomic_t conns_count;
	wait_queue_head_t gone;
	struct delayed_work sweep;
	unsigned long sweep_at;
	atomic64_t bytes;
	atomic_t starved;
};

/**
 * struct kbr_listener - one listening socket
 * @ref: the server's list holds one, each connection one
 * @node: in kbr_server.listeners
 * @server: its server
 * @id: rising, never 0
 * @params: with the port that it got
 * @sock: the socket; NULL: closed (@server->lock)
 * @data_ready: the socket's own callback
 * @accept: takes connections
 * @cred_lock: guards @cred
 * @cred: whom clients act as, or NULL: not made yet
 * @connections: open connections
 * @accepted: see struct kbr_listener_info
 * @refused: likewise
 * @malformed: likewise
 */
struct kbr_listener {
	struct kref ref;
	struct list_head node;
	struct kbr_server *server;
	u32 id;
	struct kbr_listener_params params;
	struct socket *sock;
	void (*data_ready)(struct sock *sk);
	struct delayed_work accept;
	spinlock_t cred_lock;
	const struct cred *cred;
	atomic_t connections;
	atomic64_t accepted;
	atomic64_t refused;
	atomic64_t malformed;
};

enum kbr_conn_state {
	KBR_CONN_OPEN,		/* receives and answers */
	KBR_CONN_ANSWERING,	/* receives nothing any more, answers what it has */
	KBR_CONN_LINGERING,	/* has said goodbye, waits until the client has it all */
};

/* kbr_conn.flags */
#define KBR_CONN_CLOSE		0	/* somebody wants it closed at once */
#define KBR_CONN_STARVED	1	/* counted in kbr_server.starved */

/* How far a connection has come in proving that it is a broker's of our cluster */
enum kbr_conn_proof {
	KBR_CONN_PROVES_NOTHING,
	KBR_CONN_CHOSE_PROOF,	/* SaslHandshake named our mechanism */
	KBR_CONN_SAID_HELLO,	/* its mac is awaited */
	KBR_CONN_PROVED,
};

/**
 * struct kbr_conn - one connection
 *
 * All without another word belongs to @work, which runs once at a time.
 *
 * @ref: the table holds one, until its work tears it down; whoever closes the
 *	socket from elsewhere one
 * @id: rising, never 0
 * @server: its server
 * @listener: its listener, a reference
 * @work: does everything
 * @timer: queues @work at the next deadline
 * @sock_lock: over each call of the socket; nothing is taken inside but the socket's locks
 * @sock: the socket; NULL: closed (@sock_lock)
 * @data_ready: the socket's own callback
 * @state_change: likewise
 * @write_space: likewise
 * @flags: KBR_CONN_* bits
 * @state: enum kbr_conn_state (READ_ONCE elsewhere)
 * @requests: taken and not yet answered, oldest first
 * @in_flight: how many (READ_ONCE elsewhere)
 * @head: size of the next frame, as far as it came
 * @head_len: bytes of @head
 * @frame: what came of the frame under way, or NULL
 * @frame_len: its length
 * @frame_room: bytes allocated
 * @frame_got: bytes that came
 * @bytes: what frames and replies hold (READ_ONCE elsewhere)
 * @sent: bytes of the oldest request's reply buffer that were sent
 * @slice: its slice that comes next
 * @slice_sent: bytes of that slice that were sent
 * @blocked: a reply waits for the client to read (READ_ONCE elsewhere)
 * @cred: whom the client acts as, or NULL
 * @proof_state: enum kbr_conn_proof
 * @proof: what both have said, from the hello on until it is proved
 * @peer_id: node.id of the broker that it is, -1 an ordinary client (READ_ONCE elsewhere)
 * @peer_epoch: that broker's epoch
 * @active: jiffies of the last byte in either direction (READ_ONCE elsewhere)
 * @linger_until: jiffies when it is given up
 * @created: jiffies of its start
 * @received_bytes: READ_ONCE elsewhere
 * @sent_bytes: likewise
 * @taken: requests; likewise
 * @peer: the client's address
 * @local: the address it connected to
 * @info_lock: what follows
 * @versions: see struct kbr_connection_info
 * @client_id: likewise
 * @software_name: likewise
 * @software_version: likewise
 */
struct kbr_conn {
	struct kref ref;
	unsigned long id;
	struct kbr_server *server;
	struct kbr_listener *listener;
	struct work_struct work;
	struct timer_list timer;
	struct mutex sock_lock;
	struct socket *sock;
	void (*data_ready)(struct sock *sk);
	void (*state_change)(struct sock *sk);
	void (*write_space)(struct sock *sk);
	unsigned long flags;
	enum kbr_conn_state state;
	struct list_head requests;
	unsigned int in_flight;
	__be32 head;
	unsigned int head_len;
	u8 *frame;
	size_t frame_len;
	size_t frame_room;
	size_t frame_got;
	size_t bytes;
	size_t sent;
	unsigned int slice;
	size_t slice_sent;
	bool blocked;
	const struct cred *cred;
	enum kbr_conn_proof proof_state;
	struct kbr_proof *proof;
	s32 peer_id;
	s64 peer_epoch;
	unsigned long active;
	unsigned long linger_until;
	unsigned long created;
	u64 received_bytes;
	u64 sent_bytes;
	u64 taken;
	struct sockaddr_storage peer;
	struct sockaddr_storage local;
	spinlock_t info_lock;
	s8 versions[64];
	char client_id[KBR_CLIENT_NAME_MAX + 1];
	char software_name[KBR_CLIENT_NAME_MAX + 1];
	char software_version[KBR_CLIENT_NAME_MAX + 1];
};

/* server.c */
/** kbr_server_starve() - one more connection waits for memory */
void kbr_server_starve(struct kbr_server *server);
/** kbr_server_feed() - there is memory again: connections that waited for it go on */
void kbr_server_feed(struct kbr_server *server);
/** kbr_server_bytes_max() - queued.max.request.bytes */
static inline u64 kbr_server_bytes_max(const struct kbr_server *server)
{
	return READ_ONCE(server->broker->config.request_bytes_queued_max);
}

/* listener.c */
/**
 * kbr_listener_create() - listen at an address; nothing is accepted before kbr_listener_open()
 *
 * Context: @server->lock. Return: it, or an error pointer and @why.
 */
struct kbr_listener *kbr_listener_create(struct kbr_server *server,
					 const struct kbr_listener_params *params,
					 struct kbr_refusal *why);
/** kbr_listener_open() - accept what waits, once the broker runs */
void kbr_listener_open(struct kbr_listener *listener);
/** kbr_listener_close() - close its socket; no connection comes any more. Context: @server->lock */
void kbr_listener_close(struct kbr_listener *listener);
void kbr_listener_put(struct kbr_listener *listener);
void kbr_listener_get_info(const struct kbr_listener *listener, struct kbr_listener_info *info);
/** kbr_listener_cred() - whom its clients act as now, with a reference; NULL without memory */
const struct cred *kbr_listener_cred(struct kbr_listener *listener);
/** kbr_listener_matches() - is @cred (may be NULL) still what its clients act as? */
bool kbr_listener_matches(const struct kbr_listener *listener, const struct cred *cred);

/* conn.c */
/** kbr_conn_create() - serve @sock, which is taken over */
void kbr_conn_create(struct kbr_listener *listener, struct socket *sock);
/** kbr_conn_kick() - let its work look; with kbr_server.conns' lock, or from its socket and waiters */
void kbr_conn_kick(struct kbr_conn *conn);
/** kbr_conn_reset() - close its socket at once, whatever it does; with a reference */
void kbr_conn_reset(struct kbr_conn *conn);
void kbr_conn_put(struct kbr_conn *conn);
/** kbr_conn_is_still() - has nothing moved for @ms? With kbr_server.conns' lock */
bool kbr_conn_is_still(const struct kbr_conn *conn, s64 ms);
/** kbr_conn_waits_for_us() - does its client wait for the broker? With kbr_server.conns' lock */
bool kbr_conn_waits_for_us(const struct kbr_conn *conn);
/** kbr_conn_get_info() - with kbr_server.conns' lock */
void kbr_conn_get_info(struct kbr_conn *conn, struct kbr_connection_info *info);
/** kbr_conn_charge() - the memory that frames and replies hold has changed */
void kbr_conn_charge(struct kbr_conn *conn, s64 bytes);

/* send.c */
/**
 * kbr_conn_send_reply() - go on sending the reply of the oldest request
 * @more: another reply follows at once
 *
 * Return: 0 all of it was sent; -EAGAIN the socket is full; else the socket's error.
 */
int kbr_conn_send_reply(struct kbr_conn *conn, struct kbr_request *req, bool more);

#endif /* _KBR_SERVER_SERVER_H */
