/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A daemon's session: between its kernel's broker and the cluster's controller.
 *
 * It registers each start of the broker, sends heartbeats as long as the
 * broker is there, tells the kernel what was decided, and passes on what the
 * kernel asks. The kernel is told in an order that keeps the promises: peers
 * before partitions that follow them, the broker's epoch before any
 * leadership, and nothing before this daemon applied the registration itself.
 *
 * No I/O and no clock of its own: see struct kbd_session_ops. One thread.
 */
#ifndef _KBROKERD_SESSION_H
#define _KBROKERD_SESSION_H

#include "controller.h"
#include "state.h"

struct kbd_session;

/**
 * struct kbd_kernel - what the broker says of itself (cluster-get)
 * @id: node.id
 * @cluster_id: UUID of its cluster
 * @directory_id: directory.id
 * @incarnation: made anew by each start
 * @clean: it stopped cleanly before
 * @previous: as broker of this epoch
 */
struct kbd_kernel {
	s32 id;
	u8 cluster_id[KBD_UUID_SIZE];
	u8 directory_id[KBD_UUID_SIZE];
	u8 incarnation[KBD_UUID_SIZE];
	bool clean;
	s64 previous;
};

/** enum kbd_tell - what the kernel is told, with attributes of one set */
enum kbd_tell {
	KBD_TELL_PEER,		/* peer-new */
	KBD_TELL_PEER_GONE,	/* peer-del */
	KBD_TELL_CLUSTER,	/* cluster-set */
	KBD_TELL_TOPIC_NEW,	/* topic-new */
	KBD_TELL_TOPIC,		/* topic-set */
	KBD_TELL_TOPIC_GONE,	/* topic-del */
	KBD_TELL_REPLICAS,	/* replica-set */
	KBD_TELL_ANSWER,	/* request-set */
};

/**
 * struct kbd_session_ops - what a session needs
 * @look: what the broker is. 0; -ENODEV: there is none, or it is no member; -EAGAIN
 * @known: the topics and peers that the kernel knows, into an empty state (topic-get,
 *	peer-get). 0; -EAGAIN: they are being looked up
 * @requests: kbd_session_request() is to follow for each open request (request-get),
 *	and then kbd_session_listed()
 * @busy: not all that was told is carried out yet
 * @tell: @attrs is a message (encode.h) whose body goes to the kernel, behind what was
 *	told before. 0 when it is to be carried out, or a negative errno;
 *	kbd_session_refused() follows if it was not, nor any answer behind it
 * @ask: send a message to the controller; kbd_session_answer() or kbd_session_lost()
 *	with @token follows, however long it takes
 * @forget: unless it does not matter any more
 * @log: a line for the daemon's log
 */
struct kbd_session_ops {
	int (*look)(void *arg, struct kbd_kernel *kernel);
	int (*known)(void *arg, struct kbd_state *state);
	int (*requests)(void *arg, struct kbd_session *session);
	bool (*busy)(void *arg);
	int (*tell)(void *arg, enum kbd_tell what, const struct kbd_buf *attrs);
	void (*ask)(void *arg, u64 token, const void *data, size_t len);
	void (*forget)(void *arg, u64 token);
	void (*log)(void *arg, const char *text);
};

/**
 * struct kbd_endpoint - where the broker is reached, and stands
 * @address: by brokers
 * @port: likewise
 * @host: by clients, "": the address
 * @host_port: likewise, 0: the port
 * @rack: where it stands, "" unknown
 */
struct kbd_endpoint {
	char address[KBROKER_ADDRESS_MAX + 1];
	u16 port;
	char host[KBROKER_HOST_MAX + 1];
	u16 host_port;
	char rack[KBD_RACK_MAX + 1];
};

/** kbd_session_new() - @ops and @ctl stay the caller's, @endpoint is copied */
struct kbd_session *kbd_session_new(const struct kbd_session_ops *ops, void *arg,
				    const struct kbd_controller *ctl,
				    const struct kbd_endpoint *endpoint);
void kbd_session_free(struct kbd_session *session);
/** kbd_session_applied() - from the controller's operation of this name; tells nothing yet */
void kbd_session_applied(struct kbd_session *session, const struct kbd_touched *touched);
/** kbd_session_event() - requests were opened in the kernel, or events were lost */
void kbd_session_event(struct kbd_session *session);
/** kbd_session_refused() - the kernel refused something that it was told: look what it knows, and tell it anew */
void kbd_session_refused(struct kbd_session *session);
/** kbd_session_request() - an open request of the kernel: a message with its attributes but id and age */
void kbd_session_request(struct kbd_session *session, u64 id, const struct kbd_buf *attrs);
/** kbd_session_listed() - these were all: what was passed on and is not among them has ended */
void kbd_session_listed(struct kbd_session *session);
/** kbd_session_answer() - the controller's answer to what was asked with @token */
void kbd_session_answer(struct kbd_session *session, u64 token, const void *data, size_t len);
/** kbd_session_lost() - what was asked with @token gets no answer: nobody was reached, or the connection broke */
void kbd_session_lost(struct kbd_session *session, u64 token);
/** kbd_session_tick() - to be called KBD_HEARTBEAT_MS after the last time, and whenever there is news */
void kbd_session_tick(struct kbd_session *session, u64 now_ms);

#endif /* _KBROKERD_SESSION_H */
