/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * One request of a connection, from its frame to its reply.
 *
 * Handlers run in the work of the request's connection, one at a time for each
 * connection, in process context, holding no lock. They never wait: what is not
 * there yet parks the request (KBR_REQUEST_PARKED), and @resume is called when
 * its waiter has news or its deadline has passed. Replies leave in the order
 * of the requests.
 */
#ifndef _KBR_SERVER_REQUEST_H
#define _KBR_SERVER_REQUEST_H

#include <linux/ktime.h>
#include <linux/list.h>
#include <linux/types.h>

#include "broker/waiter.h"
#include "codec/proto.h"
#include "storage/log.h"

struct kbr_conn;
struct kbr_request;

/**
 * struct kbr_reply_slice - batches that are sent from the page cache
 * @at: they go before this byte of the reply's buffer
 * @topic: a reference, so that the log stays
 * @slice: mapped until they are sent
 */
struct kbr_reply_slice {
	size_t at;
	struct kbr_topic *topic;
	struct kbr_log_slice slice;
};

enum kbr_request_state {
	KBR_REQUEST_DONE,	/* the reply is complete */
	KBR_REQUEST_NO_REPLY,	/* done, and the client expects no answer (acks=0) */
	KBR_REQUEST_PARKED,	/* wait for @waiter or @deadline, then @resume */
	KBR_REQUEST_CLOSE,	/* send what is before it, then close the connection */
};

/**
 * struct kbr_handler - one API's code
 * @start: first call, with @req->body at the first field of a checked body
 * @resume: later calls, after PARKED; @expired: the deadline has passed, it
 *	must not park again
 * @drop: free @req->priv and put references, whatever state it is in; called
 *	once, also after DONE; may be NULL
 * @lasting: what it does lasts: it is done though the client has gone meanwhile
 */
struct kbr_handler {
	enum kbr_request_state (*start)(struct kbr_request *req);
	enum kbr_request_state (*resume)(struct kbr_request *req, bool expired);
	void (*drop)(struct kbr_request *req);
	bool lasting;
};

/**
 * struct kbr_request - one request
 * @node: in kbr_conn.requests, oldest first
 * @conn: its connection
 * @header: decoded
 * @handler: its API's
 * @state: what the handler said last
 * @frame: the bytes after the size, contiguous kernel memory that the handler
 *	may change (batches are stamped in place); freed with the request, or
 *	earlier by kbr_request_drop_frame()
 * @frame_len: its length
 * @body: where the handler reads
 * @reply: what is sent: kbr_response_begin() was called on it
 * @settled: while parked: what the request changes has happened, in order, and
 *	only its answer waits: the next request may begin (a Produce that was
 *	appended). A request that is parked without it holds back all later ones
 * @ordered: with @settled: later ones begin only when it is answered, since they
 *	may ask for what it changes (an OffsetCommit)
 * @charged: what its connection's account says that it holds (conn.c)
 * @pinned: bytes of memory beside @frame and @reply that it holds (@priv, what
 *	hangs on it), for the accounts of its connection; kept by the handler
 * @slices: batches between the parts of @reply, by rising @at
 * @slices_count: entries of @slices in use
 * @slices_room: entries of @slices
 * @slices_bytes: their bytes
 * @waiter: what a parked request waits for; its entries are the handler's
 * @deadline: when a parked request must end (ktime_get())
 * @received: when its last byte came (ktime_get())
 * @refused: why the connection ends with this answer, NULL: it does not
 * @priv: the handler's
 */
struct kbr_request {
	struct list_head node;
	struct kbr_conn *conn;
	struct kbr_request_header header;
	const struct kbr_handler *handler;
	enum kbr_request_state state;
	void *frame;
	size_t frame_len;
	struct kbr_wire_reader body;
	struct kbr_wire_writer reply;
	bool settled;
	bool ordered;
	size_t charged;
	size_t pinned;
	struct kbr_reply_slice *slices;
	unsigned int slices_count;
	unsigned int slices_room;
	size_t slices_bytes;
	struct kbr_waiter waiter;
	ktime_t deadline;
	ktime_t received;
	const char *refused;
	void *priv;
};

/* What handlers may ask of their connection (conn.c). */
/** kbr_request_broker() - the broker; lives as long as the connection */
struct kbr_broker *kbr_request_broker(const struct kbr_request *req);
/** kbr_request_cred() - whom the listener's clients act as, for kbr_access_check() */
const struct cred *kbr_request_cred(const struct kbr_request *req);
/** kbr_request_may_admin() - may this client change topics, groups and configs? (root, the broker's owner, a peer) */
bool kbr_request_may_admin(const struct kbr_request *req);
/** struct kbr_address - where clients reach a broker */
struct kbr_address {
	char host[256];
	u16 port;
};

/**
 * kbr_request_is_futile() - does nobody want the answer any more?
 *
 * For loops over what a client lists: it gives way to others, too. Once it is
 * true no answer is sent, whatever the handler says.
 */
bool kbr_request_is_futile(const struct kbr_request *req);
/** kbr_request_address() - advertised address of the listener, or the one this client connected to */
void kbr_request_address(const struct kbr_request *req, struct kbr_address *address);
/** kbr_request_client_host() - the client's address as groups tell it: "/192.0.2.1" */
void kbr_request_client_host(const struct kbr_request *req, char *text, size_t size);
/** kbr_request_set_software() - ApiVersions v3+: the client's name and version, for "connection list" */
void kbr_request_set_software(struct kbr_request *req, const struct kbr_str *name,
			      const struct kbr_str *version);
/**
 * kbr_request_peer() - the broker of our cluster that this connection has proved to be
 * @epoch: out: its broker epoch
 *
 * Return: node.id, -1: it is an ordinary client's.
 */
s32 kbr_request_peer(const struct kbr_request *req, s64 *epoch);
/** kbr_request_close_after() - once this is answered the connection ends; it is counted and logged as @what */
void kbr_request_close_after(struct kbr_request *req, const char *what);
/** kbr_request_drop_frame() - free the frame early: nothing in it is needed while parked */
void kbr_request_drop_frame(struct kbr_request *req);
/**
 * kbr_request_park() - initialise @req->waiter with @entries and set the deadline
 * @timeout_ms: from now; at most KBR_REQUEST_TIMEOUT_MS_MAX
 */
void kbr_request_park(struct kbr_request *req, struct kbr_waiter_entry *entries, s64 timeout_ms);

/* request.c */
/**
 * kbr_request_topic() - the topic of that name, if the client may do @what with it
 * @what: KBR_MAY_CONSUME, KBR_MAY_PRODUCE
 * @err: 0; -ENOENT there is none; -EACCES; -EROFS produce to an internal one
 *
 * Return: a reference, NULL if @err is set.
 */
struct kbr_topic *kbr_request_topic(struct kbr_request *req, const struct kbr_str *name,
				    unsigned int what, int *err);
/**
 * kbr_request_add_slice() - batches that go where @req->reply ends now
 * @topic: theirs; a reference is taken
 * @slice: taken over, also on error
 *
 * Return: 0 or -ENOMEM.
 */
int kbr_request_add_slice(struct kbr_request *req, struct kbr_topic *topic,
			  struct kbr_log_slice *slice);
/** kbr_request_drop_slices() - give all of them back: they were sent, or never will be */
void kbr_request_drop_slices(struct kbr_request *req);

/* Handlers: api_<name>.c */
extern const struct kbr_handler kbr_handle_produce;
extern const struct kbr_handler kbr_handle_fetch;
extern const struct kbr_handler kbr_handle_list_offsets;
extern const struct kbr_handler kbr_handle_metadata;
extern const struct kbr_handler kbr_handle_find_coordinator;
extern const struct kbr_handler kbr_handle_join_group;
extern const struct kbr_handler kbr_handle_sync_group;
extern const struct kbr_handler kbr_handle_heartbeat;
extern const struct kbr_handler kbr_handle_leave_group;
extern const struct kbr_handler kbr_handle_describe_groups;
extern const struct kbr_handler kbr_handle_list_groups;
extern const struct kbr_handler kbr_handle_delete_groups;
extern const struct kbr_handler kbr_handle_offset_commit;
extern const struct kbr_handler kbr_handle_offset_fetch;
extern const struct kbr_handler kbr_handle_offset_delete;
extern const struct kbr_handler kbr_handle_sasl_handshake;
extern const struct kbr_handler kbr_handle_sasl_authenticate;
extern const struct kbr_handler kbr_handle_api_versions;
extern const struct kbr_handler kbr_handle_create_topics;
extern const struct kbr_handler kbr_handle_delete_topics;
extern const struct kbr_handler kbr_handle_delete_records;
extern const struct kbr_handler kbr_handle_init_producer_id;
extern const struct kbr_handler kbr_handle_offset_for_leader_epoch;
extern const struct kbr_handler kbr_handle_describe_configs;
extern const struct kbr_handler kbr_handle_alter_configs;
extern const struct kbr_handler kbr_handle_create_partitions;
extern const struct kbr_handler kbr_handle_incremental_alter_configs;
extern const struct kbr_handler kbr_handle_share;
extern const struct kbr_handler kbr_handle_group_view;

/** kbr_handler_find() - handler of an API key (server.c) */
const struct kbr_handler *kbr_handler_find(s16 key);

#endif /* _KBR_SERVER_REQUEST_H */
