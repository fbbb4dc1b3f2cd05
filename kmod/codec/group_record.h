/* SPDX-License-Identifier: GPL-2.0-only OR LGPL-2.1-or-later */
/*
 * What __consumer_offsets holds: keys and values in Kafka's formats.
 *
 * A key begins with a version that also tells what the record is: 0 and 1 a
 * committed offset, 2 a group; others belong to protocols that are not spoken
 * here. A null value is a tombstone.
 */
#ifndef _KBR_CODEC_GROUP_RECORD_H
#define _KBR_CODEC_GROUP_RECORD_H

#include <linux/types.h>
#include "codec/wire.h"

enum kbr_group_record_kind {
	KBR_GROUP_RECORD_UNKNOWN,	/* a key version of another protocol */
	KBR_GROUP_RECORD_OFFSET,
	KBR_GROUP_RECORD_GROUP,
};

/**
 * struct kbr_group_key - a key
 * @kind: what its record is
 * @group: name of the group
 * @topic: offset: its topic
 * @partition: offset: its partition
 */
struct kbr_group_key {
	enum kbr_group_record_kind kind;
	struct kbr_str group;
	struct kbr_str topic;
	s32 partition;
};

/**
 * struct kbr_offset_value - value of a committed offset; versions 0 to 3 are read, 3 or, with an expiry, 1 is written
 * @offset: next record to be read
 * @leader_epoch: of the record before it, -1 unknown
 * @metadata: the client's
 * @commit_ms: when
 * @expire_ms: when it ends, -1 as the broker's configs say
 */
struct kbr_offset_value {
	s64 offset;
	s32 leader_epoch;
	struct kbr_str metadata;
	s64 commit_ms;
	s64 expire_ms;
};

/**
 * struct kbr_group_value - value of a group, without its members; versions 0 to 3 are read, 3 is written
 * @version: as read: the members' layout
 * @protocol_type: "consumer", "" none
 * @generation: of the members
 * @protocol: chosen one; null none
 * @leader: null none
 * @state_ms: when it reached its state, -1 not known
 * @members: how many follow
 */
struct kbr_group_value {
	s16 version;
	struct kbr_str protocol_type;
	s32 generation;
	struct kbr_str protocol;
	struct kbr_str leader;
	s64 state_ms;
	s32 members;
};

/** struct kbr_group_value_member - one member, as it is in the value of its group */
struct kbr_group_value_member {
	struct kbr_str id;
	struct kbr_str instance_id;	/* null: a dynamic member */
	struct kbr_str client_id;
	struct kbr_str client_host;
	s32 rebalance_timeout_ms;
	s32 session_timeout_ms;
	struct kbr_str subscription;
	struct kbr_str assignment;
};

/** kbr_group_key_decode() - 0 (also for kinds that are not known), or -EBADMSG */
int kbr_group_key_decode(struct kbr_group_key *key, const void *buf, size_t len);
/** kbr_group_key_encode() - append @key, of a known kind; @w's error tells whether it fitted */
void kbr_group_key_encode(struct kbr_wire_writer *w, const struct kbr_group_key *key);

/** kbr_offset_value_decode() - 0; -EBADMSG; -EOPNOTSUPP a newer version */
int kbr_offset_value_decode(struct kbr_offset_value *value, const void *buf, size_t len);
void kbr_offset_value_encode(struct kbr_wire_writer *w, const struct kbr_offset_value *value);

/**
 * kbr_group_value_decode() - what comes before the members
 * @r: then stands at the first of them, for kbr_group_value_member_decode()
 *
 * Return: as kbr_offset_value_decode().
 */
int kbr_group_value_decode(struct kbr_group_value *value, struct kbr_wire_reader *r,
			   const void *buf, size_t len);
/** kbr_group_value_member_decode() - 0 or -EBADMSG; at most @value->members times */
int kbr_group_value_member_decode(struct kbr_group_value_member *member,
				  const struct kbr_group_value *value, struct kbr_wire_reader *r);
/** kbr_group_value_encode() - then kbr_group_value_member_encode() @value->members times */
void kbr_group_value_encode(struct kbr_wire_writer *w, const struct kbr_group_value *value);
void kbr_group_value_member_encode(struct kbr_wire_writer *w,
				   const struct kbr_group_value_member *member);

/** kbr_group_partition() - which of @count partitions keeps the group @name (UTF-8): by Java's String.hashCode() */
u32 kbr_group_partition(const struct kbr_str *name, u32 count);

#endif /* _KBR_CODEC_GROUP_RECORD_H */
