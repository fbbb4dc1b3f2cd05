/* SPDX-License-Identifier: GPL-2.0-only OR LGPL-2.1-or-later */
/*
 * What brokers of a cluster tell each other of the groups that they coordinate:
 * a private request, API key 10002, which only a connection that has proved to
 * be a peer's may send (proof.h). Kafka's types, big-endian:
 *
 *	i8 kind, bool one, bool inside, nullable string group, string topic,
 *	i32 partition, i32 nth, i32 part
 *
 * is a place in a view of groups, and answered by
 *
 *	i16 one of Kafka's errors, bytes page
 *
 * where a page is the part of the view from there on:
 *
 *	bool more, the place where it goes on, [entry]
 *
 * and an entry is a group, a member or an offset, whatever the place's kind says;
 * see the structures below, whose fields are in their order. Who asks gives back
 * the place of the page before: nobody remembers who looked at what.
 *
 * A broker that shows its own groups makes and reads the same pages.
 */
#ifndef _KBR_CODEC_GROUP_WIRE_H
#define _KBR_CODEC_GROUP_WIRE_H

#include "base/limits.h"
#include "codec/wire.h"

#define KBR_GROUP_WIRE_VERSION	0
/* A page ends with the entry that reaches it, bytes */
#define KBR_GROUP_PAGE_BYTES	(32u << 10)
/* More than such an entry, and the head, can have */
#define KBR_GROUP_PAGE_MAX	(KBR_GROUP_PAGE_BYTES + (32u << 10))
/* Of what clients say of themselves, no more is told, bytes */
#define KBR_GROUP_TEXT_MAX	255
/* Of an assignment, no more in one entry: bytes of a client's, partitions of a device's */
#define KBR_GROUP_PART_MAX	8192
#define KBR_GROUP_LIST_MAX	1024
/* Bytes of a process's name */
#define KBR_GROUP_COMM_MAX	15

enum kbr_group_view_kind {
	KBR_GROUP_VIEW_GROUPS,
	KBR_GROUP_VIEW_MEMBERS,
	KBR_GROUP_VIEW_OFFSETS,
	KBR_GROUP_VIEW_KINDS
};

/**
 * struct kbr_group_place - where a view of groups goes on
 * @kind: enum kbr_group_view_kind
 * @one: of one group alone, @group
 * @inside: in @group, else behind it
 * @group: its name, null before the first one
 * @topic: offsets: behind this topic's @partition, "" before the first one
 * @partition: -1 before its first one
 * @nth: members: number of the one that comes next
 * @part: how much of its assignment was told
 */
struct kbr_group_place {
	u8 kind;
	bool one;
	bool inside;
	struct kbr_str group;
	struct kbr_str topic;
	s32 partition;
	u32 nth;
	u32 part;
};

/**
 * struct kbr_group_told - a group
 * @name: its name
 * @kind: enum kbr_group_kind (broker/group.h)
 * @state: enum kbr_group_state
 * @generation: see struct kbr_group_info, as the rest
 * @members: how many
 * @offsets: how many
 * @protocol_type: at most KBR_GROUP_TEXT_MAX bytes, as the two below
 * @protocol: of the generation
 * @leader: member id
 * @state_ms: since when it is in @state
 * @bytes: of memory
 */
struct kbr_group_told {
	struct kbr_str name;
	u8 kind;
	u8 state;
	s32 generation;
	u32 members;
	u32 offsets;
	struct kbr_str protocol_type;
	struct kbr_str protocol;
	struct kbr_str leader;
	s64 state_ms;
	u64 bytes;
};

/**
 * struct kbr_group_member_told - a member, or a part of one with a long assignment
 * @group: its group
 * @nth: its number there
 * @device: it is an open device, else a client
 * @id: client: member id, at most KBR_GROUP_TEXT_MAX bytes, as the three below
 * @instance_id: null: a dynamic member
 * @client_id: what it calls itself
 * @client_host: its address
 * @session_timeout_ms: its
 * @rebalance_timeout_ms: its
 * @assignment: a part of it, at most KBR_GROUP_PART_MAX bytes
 * @node: device: node.id of its broker, -1 none
 * @pid: its process
 * @comm: name of that, at most KBR_GROUP_COMM_MAX bytes
 * @topic: what it reads
 * @count: entries of @partitions, at most KBR_GROUP_LIST_MAX
 * @partitions: writing: a part of those it has
 * @list: reading: the same, an s32 each
 *
 * The fields of a client, or those of a device, are on the wire behind @device.
 */
struct kbr_group_member_told {
	struct kbr_str group;
	u32 nth;
	bool device;
	struct kbr_str id;
	struct kbr_str instance_id;
	struct kbr_str client_id;
	struct kbr_str client_host;
	s32 session_timeout_ms;
	s32 rebalance_timeout_ms;
	struct kbr_str assignment;
	s32 node;
	s32 pid;
	struct kbr_str comm;
	struct kbr_str topic;
	u32 count;
	const u32 *partitions;
	struct kbr_wire_reader list;
};

/**
 * struct kbr_group_offset_told - how far a group is in one partition
 * @group: the group
 * @topic: of the partition
 * @partition: its number
 * @offset: what is committed, -1 nothing
 * @commit_ms: when that was
 * @expire_ms: when it ends, -1 not known
 * @position: how far its devices are, -1 there are none, or they have not begun
 * @placed: the broker has the log, and the rest is told
 * @start: log start
 * @end: high watermark
 * @from: where the group goes on
 * @lag: records from there on
 * @lag_bytes: bytes
 * @lag_ms: age of the first of them, -1 not known
 */
struct kbr_group_offset_told {
	struct kbr_str group;
	struct kbr_str topic;
	s32 partition;
	s64 offset;
	s64 commit_ms;
	s64 expire_ms;
	s64 position;
	bool placed;
	s64 start;
	s64 end;
	s64 from;
	s64 lag;
	s64 lag_bytes;
	s64 lag_ms;
};

void kbr_group_put_place(struct kbr_wire_writer *w, const struct kbr_group_place *place);
void kbr_group_put_told(struct kbr_wire_writer *w, const struct kbr_group_told *told);
void kbr_group_put_member(struct kbr_wire_writer *w, const struct kbr_group_member_told *told);
void kbr_group_put_offset(struct kbr_wire_writer *w, const struct kbr_group_offset_told *told);

/**
 * kbr_group_place_check() - is what lies at @r such a place, and nothing else?
 *
 * Takes a copy of the reader. Return: 0 or -EPROTO.
 */
int kbr_group_place_check(const struct kbr_wire_reader *r);
/** kbr_group_page_check() - is it a page of a view of @kind, all of it? Likewise */
int kbr_group_page_check(const struct kbr_wire_reader *r, u8 kind);
/* Reading what was checked, in the same order; texts are inside the reader's buffer */
void kbr_group_get_place(struct kbr_wire_reader *r, struct kbr_group_place *place);
void kbr_group_get_told(struct kbr_wire_reader *r, struct kbr_group_told *told);
void kbr_group_get_member(struct kbr_wire_reader *r, struct kbr_group_member_told *told);
void kbr_group_get_offset(struct kbr_wire_reader *r, struct kbr_group_offset_told *told);

#endif /* _KBR_CODEC_GROUP_WIRE_H */
