/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What daemons send to one another, keep in the Raft log and in snapshots:
 *
 *	u8 version, u8 kind (enum kbd_kind), two bytes of zero, attributes
 *
 * Attributes are netlink's, as the kernel's family has them: a header of
 * length and type, little-endian on every machine, integers big-endian, padded
 * to four bytes. On the top level the types below KBD_A_FIRST are those of the
 * attribute set "request", so that what a kernel asks is passed on as it is;
 * nests hold the attribute sets cluster, peer, topic and replica. An attribute
 * or a version that is not known is refused by name, never skipped.
 */
#ifndef _KBROKERD_ENCODE_H
#define _KBROKERD_ENCODE_H

#include <linux/kbroker_netlink.h>
#include <linux/types.h>

#include "decide.h"

#define KBD_VERSION	1
#define KBD_HEADER_SIZE	4
#define KBD_WHY_SIZE	192

/** enum kbd_kind - what a message is; up to KBD_REMOVE they are entries of the log, too */
enum kbd_kind {
	KBD_INIT = 1,		/* the cluster begins; KBD_A_CLUSTER: cluster-id */
	KBD_REGISTER,		/* a broker started; KBD_A_BROKER */
	KBD_SESSIONS,		/* fence, unfence; KBD_A_PEER each: id, epoch, fenced */
	KBD_REQUEST,		/* what a kernel asks; KBD_A_PEER: id and epoch of the broker */
	KBD_ELECT,		/* KBD_A_UNCLEAN; KBD_A_REPLICA each: topic-id, partition, leader */
	KBD_REASSIGN,		/* KBD_A_REPLICA each: topic, partition, replicas */
	KBD_REMOVE,		/* a broker comes no more; KBD_A_PEER: id */
	KBD_HEARTBEAT,		/* KBD_A_PEER: id, epoch, fenced: it is gone; KBD_A_INDEX: how far it applied */
	KBD_STATUS,		/* KBD_A_BROKER, KBD_A_DAEMON, and KBD_A_PARTITION that is reassigned */
	KBD_ANSWER,		/* KBD_A_ERROR, KBD_A_MESSAGE, KBD_A_EPOCH, KBD_A_INDEX */
	KBD_SNAPSHOT,
	KBD_JOIN,		/* a daemon comes; KBD_A_CLUSTER: cluster-id, KBD_A_DAEMON */
	KBD_LEAVE,		/* a daemon goes for good; KBD_A_DAEMON: id */
	KBD_KINDS
};

/** enum kbd_attr_type - attributes of the top level beside those of a request */
enum kbd_attr_type {
	KBD_A_FIRST = 64,
	KBD_A_CLUSTER = KBD_A_FIRST,	/* nest cluster */
	KBD_A_PEER,			/* nest peer */
	KBD_A_TOPIC,			/* nest topic */
	KBD_A_REPLICA,			/* nest replica */
	KBD_A_BROKER,			/* nest of KBD_A_CLUSTER, KBD_A_PEER, KBD_A_STOPPING, KBD_A_INDEX */
	KBD_A_PARTITION,		/* nest of KBD_A_REPLICA, KBD_A_TARGET, KBD_A_FROM */
	KBD_A_TARGET,			/* ids, big-endian 32-bit */
	KBD_A_FROM,			/* the same */
	KBD_A_STOPPING,			/* u8 */
	KBD_A_UNCLEAN,			/* u8 */
	KBD_A_EPOCH,			/* u64 */
	KBD_A_INDEX,			/* u64: of the Raft log */
	KBD_A_ERROR,			/* u32: errno, 0 done */
	KBD_A_MESSAGE,			/* a sentence */
	KBD_A_DAEMON,			/* nest of enum kbd_daemon_attr */
	KBD_A_END
};

/** enum kbd_daemon_attr - attributes of a daemon: a member of the Raft group */
enum kbd_daemon_attr {
	KBD_DAEMON_ID = 1,		/* u32: node.id */
	KBD_DAEMON_ADDRESS,		/* where daemons reach it, "ADDRESS:PORT" */
	KBD_DAEMON_VOTER,		/* u8: it votes */
	KBD_DAEMON_LEADER,		/* u8: it is the controller */
	KBD_DAEMON_END
};

/* "[" IPv6 address "]:" port */
#define KBD_DAEMON_ADDRESS_MAX	(KBROKER_ADDRESS_MAX + 8)

/**
 * struct kbd_buf - what is being written
 * @data: malloc()ed
 * @len: bytes of it
 * @room: bytes allocated
 * @full: a nest became longer than an attribute can be
 */
struct kbd_buf {
	u8 *data;
	size_t len;
	size_t room;
	bool full;
};

/** kbd_copy() - begin with a whole message, to add attributes to it */
void kbd_copy(struct kbd_buf *buf, const void *data, size_t len);
void kbd_begin(struct kbd_buf *buf, enum kbd_kind kind);
void kbd_put(struct kbd_buf *buf, u16 type, const void *data, size_t len);
/** kbd_put_raw() - attributes that were written elsewhere */
void kbd_put_raw(struct kbd_buf *buf, const void *attrs, size_t len);
void kbd_put_u8(struct kbd_buf *buf, u16 type, u8 value);
void kbd_put_u16(struct kbd_buf *buf, u16 type, u16 value);
void kbd_put_u32(struct kbd_buf *buf, u16 type, u32 value);
void kbd_put_u64(struct kbd_buf *buf, u16 type, u64 value);
void kbd_put_text(struct kbd_buf *buf, u16 type, const char *text);
void kbd_put_set(struct kbd_buf *buf, u16 type, const struct kbd_set *set);
/** kbd_nest() - begin one; the result is for kbd_nest_end() */
size_t kbd_nest(struct kbd_buf *buf, u16 type);
void kbd_nest_end(struct kbd_buf *buf, size_t nest);
void kbd_buf_free(struct kbd_buf *buf);

/**
 * struct kbd_attr - an attribute that was read
 * @data: NULL: it is not there
 * @len: bytes
 * @type: without flags
 */
struct kbd_attr {
	const u8 *data;
	u16 len;
	u16 type;
};

/**
 * struct kbd_message - a message that was checked
 * @kind: what it is
 * @attr: by type; of one that repeats, the last
 * @body: all attributes, for kbd_each()
 * @len: bytes of @body
 */
struct kbd_message {
	enum kbd_kind kind;
	struct kbd_attr attr[KBD_A_END];
	const u8 *body;
	size_t len;
};

/**
 * kbd_decode() - check all of a message, nests included, and find its attributes
 * @why: out, KBD_WHY_SIZE bytes: what is wrong
 *
 * Return: 0, or -EPROTO.
 */
int kbd_decode(struct kbd_message *msg, const void *data, size_t len, char *why);

/**
 * kbd_open() - the attributes of a nest of a message that was checked
 * @attrs: out, @count of them by type
 */
void kbd_open(const struct kbd_attr *nest, struct kbd_attr *attrs, unsigned int count);

/** kbd_each() - the next attribute of a body or nest that was checked; false: none */
bool kbd_each(const u8 *body, size_t len, size_t *pos, struct kbd_attr *attr);

u8 kbd_u8(const struct kbd_attr *attr);
u16 kbd_u16(const struct kbd_attr *attr);
u32 kbd_u32(const struct kbd_attr *attr);
u64 kbd_u64(const struct kbd_attr *attr);
/** kbd_text() - ends with a NUL, which was checked; "" if it is not there */
const char *kbd_text(const struct kbd_attr *attr);
/** kbd_ids() - a list of ids as a set; false: too many, negative, or one twice */
bool kbd_ids(const struct kbd_attr *attr, struct kbd_set *set);

u32 kbd_get_be32(const u8 *at);
u64 kbd_get_be64(const u8 *at);

#endif /* _KBROKERD_ENCODE_H */
