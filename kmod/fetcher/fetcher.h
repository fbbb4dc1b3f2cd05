/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The fetcher of a broker: its connections to others. A link to each broker
 * that leads something which this one follows, all partitions that are followed
 * there share its connection and its fetch session; and another one to each
 * that device writes are forwarded to, or read from, since answers come in order,
 * and a Fetch waits.
 *
 * Lifetime: a fetcher is made when its broker first follows a partition or
 * forwards a write, a link when there is something for that leader; both end with
 * kbr_fetcher_stop(). A partition is in at most one link, from follow() to
 * unfollow(), and what copies it holds the link's lock for as long as it touches it.
 */
#ifndef _KBR_FETCHER_FETCHER_H
#define _KBR_FETCHER_FETCHER_H

#include <linux/hashtable.h>
#include <linux/kref.h>
#include <linux/ktime.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/net.h>
#include <linux/rcupdate.h>
#include <linux/types.h>
#include <linux/workqueue.h>

#include "broker/broker.h"
#include "broker/cluster.h"
#include "broker/forward.h"
#include "broker/partition.h"
#include "broker/replica.h"
#include "broker/share_far.h"
#include "codec/proof.h"
#include "codec/wire.h"

/* Requests that are sent before the first is answered: one waits for records, one tells of a sync */
#define KBR_LINK_FETCHES_MAX	2
/* A frame before the leader has proved to be one, bytes */
#define KBR_LINK_GREETING_MAX	4096

/**
 * struct kbr_fetcher - the links of one broker
 * @ref: the broker holds one until the stop, each call of a hook one
 * @rcu: it is freed by
 * @broker: no reference: kbr_fetcher_stop() comes before it ends
 * @wq: works of the links
 * @lock: @links while one is added, @dead; outer to the links' locks
 * @links: one of each kind a leader; they stay until the stop (RCU)
 * @dead: nothing is followed any more (READ_ONCE; written under @lock)
 */
struct kbr_fetcher {
	struct kref ref;
	struct rcu_head rcu;
	struct kbr_broker *broker;
	struct workqueue_struct *wq;
	struct mutex lock;
	struct list_head links;
	bool dead;
};

/* How soon it is tried again after the first failure, ms; doubled up to replica.fetch.backoff.ms */
#define KBR_LINK_RETRY_MS	20

/**
 * struct kbr_link_part - one partition that is followed
 * @by_part: in kbr_link.table
 * @node: in kbr_link.parts
 * @part: no reference: unfollow() comes before it ends
 * @in_session: the leader knows it
 * @offset: fetch offset that was told last
 * @synced: synced end that was told last
 * @epoch: leader epoch that was told last
 * @retry_at: jiffies before which it is not fetched, since the leader refused it or it is throttled
 * @refusals: how often in a row it was refused
 * @waits: @retry_at counts
 * @forget: the leader is to take it out of its session
 */
struct kbr_link_part {
	struct hlist_node by_part;
	struct list_head node;
	struct kbr_partition *part;
	bool in_session;
	s64 offset;
	s64 synced;
	s32 epoch;
	unsigned long retry_at;
	unsigned int refusals;
	bool waits;
	bool forget;
};

struct kbr_call;
struct kbr_link;

/**
 * struct kbr_link_ops - what a link is for
 * @what: what it does, for the log: "<broker>: <what> broker <id>"
 * @wanted: is a connection needed, or worth keeping?
 * @put: append the next request to link->out, if one is due; true: there is one
 * @take: the frame of an answer; may change it. 0; -EPROTO it is not the answer to
 *	what was asked
 * @next_retry: jiffies until something that waits may be sent, or -1
 * @closed: the connection is gone, nothing is answered any more
 * @report: tell the peer's state (kbr_cluster_peer_report()); NULL: another link does
 *
 * Context: its work.
 */
struct kbr_link_ops {
	const char *what;
	bool (*wanted)(struct kbr_link *link);
	bool (*put)(struct kbr_link *link);
	int (*take)(struct kbr_link *link, void *buf, size_t len);
	long (*next_retry)(struct kbr_link *link);
	void (*closed)(struct kbr_link *link);
	void (*report)(struct kbr_link *link);
};

enum kbr_link_state {
	KBR_LINK_IDLE,		/* no connection */
	KBR_LINK_CONNECTING,
	KBR_LINK_HANDSHAKE,	/* SaslHandshake sent */
	KBR_LINK_HELLO,		/* hello sent */
	KBR_LINK_PROVING,	/* mac sent */
	KBR_LINK_READY,
};

/* kbr_link.flags */
#define KBR_LINK_NEWS	0	/* something may be worth telling the leader */
#define KBR_LINK_RESET	1	/* the leader's session knows a partition that is followed no more */
#define KBR_LINK_ANEW	2	/* the peer, or what is known of it, has changed: connect anew */

/**
 * struct kbr_link - the way to one leader
 *
 * All without another word belongs to @work, which runs once at a time.
 *
 * @node: in kbr_fetcher.links
 * @fetcher: its fetcher
 * @ops: what it is for
 * @peer: node.id of the leader
 * @work: does everything
 * @flags: KBR_LINK_* bits
 * @lock: @table and @parts, and held while a partition of them is touched
 * @table: followed partitions by their address
 * @parts: the same, partitions of a topic side by side
 * @count: of them (READ_ONCE elsewhere)
 * @sock_lock: over each call of the socket, and over @closed; nothing is taken
 *	inside but the socket's locks
 * @sock: the socket; NULL: none (@sock_lock)
 * @closed: no socket is made any more (@sock_lock)
 * @data_ready: the socket's own callback
 * @state_change: likewise
 * @write_space: likewise
 * @state: enum kbr_link_state
 * @proof: what both have said
 * @epoch: broker epoch of ours that was proved
 * @out: requests that are being sent
 * @sent: bytes of @out that were sent
 * @correlation: of the last request
 * @in_flight: requests that are not answered yet
 * @head: size of the next frame, as far as it came
 * @head_len: bytes of @head
 * @frame: what came of the frame under way, or NULL
 * @frame_len: its length
 * @frame_room: bytes allocated
 * @frame_got: bytes that came
 * @session: id of the fetch session, 0 none
 * @session_epoch: that the next Fetch has; 0: it lists all partitions
 * @opening: the Fetch in flight lists all partitions, its answer has the session
 * @moved: when something was last sent or came (ktime_get())
 * @retry_at: ktime_get() before which it is not connected again
 * @failures: connections in a row that came to nothing
 * @stats: what netlink is told
 * @route: forwards: what is on its way
 * @letter: shares: what was said last and is not answered, or NULL
 * @asked: reads: &struct kbr_remote_request that are not answered, oldest first
 * @call: calls: the one under way, with a reference, or NULL
 */
struct kbr_link {
	struct list_head node;
	struct kbr_fetcher *fetcher;
	const struct kbr_link_ops *ops;
	s32 peer;
	struct delayed_work work;
	unsigned long flags;
	struct mutex lock;
	DECLARE_HASHTABLE(table, 8);
	struct list_head parts;
	unsigned int count;
	struct mutex sock_lock;
	struct socket *sock;
	bool closed;
	void (*data_ready)(struct sock *sk);
	void (*state_change)(struct sock *sk);
	void (*write_space)(struct sock *sk);
	enum kbr_link_state state;
	struct kbr_proof proof;
	s64 epoch;
	struct kbr_wire_writer out;
	size_t sent;
	s32 correlation;
	unsigned int in_flight;
	__be32 head;
	unsigned int head_len;
	u8 *frame;
	size_t frame_len;
	size_t frame_room;
	size_t frame_got;
	s32 session;
	s32 session_epoch;
	bool opening;
	ktime_t moved;
	ktime_t retry_at;
	unsigned int failures;
	struct kbr_peer_stats stats;
	struct kbr_forward_route route;
	struct kbr_share_letter *letter;
	struct list_head asked;
	struct kbr_call *call;
};

/* link.c */
/** kbr_link_create() - a link to @peer without a connection; NULL on -ENOMEM */
struct kbr_link *kbr_link_create(struct kbr_fetcher *fetcher, const struct kbr_link_ops *ops,
				 s32 peer);
/** kbr_link_kick() - have its work look what there is to do; any context */
void kbr_link_kick(struct kbr_link *link);
/** kbr_link_abort() - close its socket now and for good; waits for nothing else */
void kbr_link_abort(struct kbr_link *link);
/** kbr_link_free() - end and free it; may sleep */
void kbr_link_free(struct kbr_link *link);
/** kbr_link_find_locked() - the entry of @part, or NULL; with link->lock */
struct kbr_link_part *kbr_link_find_locked(struct kbr_link *link, const struct kbr_partition *part);

/* fetch.c */
/**
 * kbr_link_put_fetch() - append the next Fetch to link->out
 * @always: though there is nothing to tell
 *
 * Return: true: there is one.
 */
bool kbr_link_put_fetch(struct kbr_link *link, bool always);
/**
 * kbr_link_take_fetch() - an answer: append what came, truncate what diverges
 * @buf: the frame behind its size; changed in place
 *
 * Return: 0; -EPROTO it is not the answer to what was asked.
 */
int kbr_link_take_fetch(struct kbr_link *link, void *buf, size_t len);
extern const struct kbr_link_ops kbr_fetch_ops;

/* forward.c */
extern const struct kbr_link_ops kbr_forward_ops;

/* remote.c */
extern const struct kbr_link_ops kbr_remote_ops;

/* share.c */
extern const struct kbr_link_ops kbr_share_ops;

/* call.c */
extern const struct kbr_link_ops kbr_call_ops;

/* greet.c */
/** kbr_link_greet() - append the first request of a connection to link->out; 0 or -errno */
int kbr_link_greet(struct kbr_link *link);
/** kbr_link_take_greeting() - the answer to what was said last: say the next; 0 or -errno */
int kbr_link_take_greeting(struct kbr_link *link, const void *buf, size_t len);
/** kbr_link_begin_request() - head of a request; its end is kbr_link_end_request() with what this returned */
size_t kbr_link_begin_request(struct kbr_link *link, s16 key, s16 version);
void kbr_link_end_request(struct kbr_link *link, size_t at);

#endif /* _KBR_FETCHER_FETCHER_H */
