/* SPDX-License-Identifier: GPL-2.0-only OR LGPL-2.1-or-later */
/*
 * What brokers of a cluster say to each other about the device members of a
 * group: a private request, API key 10001, which only a connection that has
 * proved to be a peer's may send (proof.h). Kafka's types, big-endian:
 *
 *	i8 kind, string group, string topic, uuid topic id, i32 epoch,
 *	i64 sequence, i64 synced, i32 members,
 *	[i32 pid, string comm], [i32 partition, i64 grant, i8 flags, i64 offset,
 *	i32 reader]
 *
 * and answered by an i16, one of Kafka's errors.
 *
 * STATE, a node to the coordinator: how many members it has, who they are (the
 * first KBR_SHARE_READERS_MAX), and each partition that it was granted: up to
 * where it was consumed, by which of these members it is read, and whether the
 * node has let go of it. @synced: it wants to be told when all this is on disk.
 * GRANT, the coordinator to a node: each partition that the node has, where it
 * began, and whether it is wanted back. @synced: sequence of the last STATE that
 * is on disk. @epoch: of the coordinator's leadership of the group's partition
 * of __consumer_offsets. ASK, likewise: it does not know yet what the node has;
 * nothing follows from what is not in it.
 *
 * Each says all there is: one that is lost is made good by the next. @sequence
 * rises with each message of a broker (with @epoch before it), so that an old
 * one that comes late is known as such.
 */
#ifndef _KBR_CODEC_SHARE_WIRE_H
#define _KBR_CODEC_SHARE_WIRE_H

#include "base/limits.h"
#include "codec/wire.h"

#define KBR_SHARE_WIRE_VERSION	0
/* So many members of a node are told by name */
#define KBR_SHARE_READERS_MAX	1024
/* Bytes of a member's name */
#define KBR_SHARE_COMM_MAX	15
/* More members than a node can have */
#define KBR_SHARE_MEMBERS_MAX	(1 << 24)

enum kbr_share_kind { KBR_SHARE_STATE, KBR_SHARE_GRANT, KBR_SHARE_ASK, KBR_SHARE_KINDS };

/* Flags of a partition */
#define KBR_SHARE_WANTED	0x1	/* GRANT: the coordinator wants it back */
#define KBR_SHARE_LET_GO	0x2	/* STATE: the node has let go of it */

/** struct kbr_share_reader - a member */
struct kbr_share_reader {
	s32 pid;
	char comm[KBR_SHARE_COMM_MAX + 1];
};

/**
 * struct kbr_share_item - a partition
 * @partition: its number
 * @grant: by which word of a coordinator the node has it: the epoch in the upper half
 * @flags: KBR_SHARE_*
 * @offset: up to where it was consumed, -1 not begun
 * @reader: which of the message's members reads it, -1 none of them
 */
struct kbr_share_item {
	u32 partition;
	u64 grant;
	u8 flags;
	s64 offset;
	s32 reader;
};

/**
 * struct kbr_share_message - the head of a message
 * @kind: enum kbr_share_kind
 * @group: in: inside the reader's buffer
 * @topic: likewise
 * @topic_id: its UUID
 * @epoch: GRANT and ASK
 * @sequence: above 0
 * @synced: see above, 0: nothing is wanted, or told
 * @members: STATE
 */
struct kbr_share_message {
	u8 kind;
	struct kbr_str group;
	struct kbr_str topic;
	u8 topic_id[16];
	s32 epoch;
	u64 sequence;
	u64 synced;
	u32 members;
};

/* Writing: head, then the count and each of the readers, then those of the items */
void kbr_share_put_head(struct kbr_wire_writer *w, const struct kbr_share_message *message);
void kbr_share_put_reader(struct kbr_wire_writer *w, const struct kbr_share_reader *reader);
void kbr_share_put_item(struct kbr_wire_writer *w, const struct kbr_share_item *item);

/**
 * kbr_share_check() - is what lies at @r such a message, all of it?
 *
 * Takes a copy of the reader. Beside its form: kinds, ranges, numbers of readers
 * and partitions, each partition once and in order. Return: 0 or -EPROTO.
 */
int kbr_share_check(const struct kbr_wire_reader *r);
/* Reading one that was checked, in the same order; counts with kbr_get_count() */
void kbr_share_get_head(struct kbr_wire_reader *r, struct kbr_share_message *message);
void kbr_share_get_reader(struct kbr_wire_reader *r, struct kbr_share_reader *reader);
void kbr_share_get_item(struct kbr_wire_reader *r, struct kbr_share_item *item);

#endif /* _KBR_CODEC_SHARE_WIRE_H */
