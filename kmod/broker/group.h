/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Consumer groups: who is a member, which generation it is, and the offsets
 * that were committed.
 *
 * A group is found by its name in the broker's table. It has one kind of member
 * at a time: clients that speak Kafka's classic protocol, or open devices
 * (share.h); its offsets are common to both. Groups and offsets are kept in the
 * topic __consumer_offsets, in the partition that the group's name hashes to, in
 * Kafka's record formats; all that lives is in memory, too.
 *
 * Calls that may have to wait take a struct kbr_group_wait: they return false,
 * the caller parks on kbr_group_wait_add(), and asks again when there is news.
 * Answers are told with the group's lock held, by a call of the caller's.
 *
 * Lifetime: kref; the table holds one reference until the group is dead (empty,
 * and without offsets), each wait, member of a device, and dump one. A broker's
 * groups end with kbr_groups_stop(), after the broker was marked dead: then
 * everything that waits is answered.
 *
 * Locks: kbr_groups.lock (rwsem, the table) is outer to kbr_group.lock (mutex, all
 * of one group), which is outer to the I/O section and the append lock. Neither is
 * held while waiting for a disk.
 */
#ifndef _KBR_BROKER_GROUP_H
#define _KBR_BROKER_GROUP_H

#include <linux/types.h>

#include "broker/broker.h"
#include "broker/waiter.h"
#include "codec/proto.h"

/* Where groups and offsets are kept */
#define KBR_OFFSETS_TOPIC	"__consumer_offsets"

struct kbr_group;
struct kbr_group_member;
struct kbr_partition;

/** enum kbr_group_kind - what kind of members a group has */
enum kbr_group_kind { KBR_GROUP_NONE, KBR_GROUP_CLASSIC, KBR_GROUP_DEVICE };

/** enum kbr_group_state - states of Kafka's classic protocol; a group of devices is EMPTY or STABLE */
enum kbr_group_state {
	KBR_GROUP_EMPTY,
	KBR_GROUP_PREPARING_REBALANCE,
	KBR_GROUP_COMPLETING_REBALANCE,
	KBR_GROUP_STABLE,
	KBR_GROUP_DEAD,
};

/** kbr_group_state_name() - as DescribeGroups says it ("PreparingRebalance") */
const char *kbr_group_state_name(enum kbr_group_state state);

/* The broker's groups (group.c, group_log.c) */

/** kbr_groups_start() - the broker's logs are open: load what __consumer_offsets holds, in its own work */
int kbr_groups_start(struct kbr_broker *broker);
/** kbr_groups_stop() - the broker is dead: answer who waits, end all timers and works, forget all groups */
void kbr_groups_stop(struct kbr_broker *broker);
/** kbr_groups_free() - nobody uses the broker any more */
void kbr_groups_free(struct kbr_broker *broker);
/** kbr_groups_topic_deleted() - a topic is gone: so are the offsets of its partitions */
void kbr_groups_topic_deleted(struct kbr_broker *broker);
/**
 * kbr_groups_topic_told() - a member: what has become of topic @name
 * @err: 0 the controller has made it; else why it has not
 *
 * Of interest is the one that keeps the groups: they are loaded, or it is asked
 * for again when it is next needed.
 */
void kbr_groups_topic_told(struct kbr_broker *broker, const char *name, int err);
/** kbr_groups_upkeep() - expire offsets, write __consumer_offsets anew where dead bytes exceed live ones */
void kbr_groups_upkeep(struct kbr_broker *broker, s64 now_ms);

/**
 * kbr_groups_ready() - can groups be used?
 * @create: make __consumer_offsets if it is not there
 *
 * Return: 0; -EAGAIN it is being made or loaded: wait on kbr_groups_wait_head()
 * and ask again; -ENOENT it is not there, and @create is not set; -ENODEV the
 * broker stops; else why it could not be made.
 */
int kbr_groups_ready(struct kbr_broker *broker, bool create);
wait_queue_head_t *kbr_groups_wait_head(struct kbr_broker *broker);
/** kbr_groups_moved() - a member leads @part, or leads it no more: if it is of __consumer_offsets, so do its groups */
void kbr_groups_moved(struct kbr_partition *part);
/**
 * kbr_groups_coordinator() - who coordinates group @name?
 * @id: out: node.id
 *
 * Return: 0; what kbr_groups_ready() does; -EAGAIN: nobody leads its partition.
 */
int kbr_groups_coordinator(struct kbr_broker *broker, const struct kbr_str *name, s32 *id);
/** kbr_groups_leadership() - a member: who coordinates group @name, and in which epoch; 0 or -EAGAIN nobody now */
int kbr_groups_leadership(struct kbr_broker *broker, const struct kbr_str *name, s32 *id,
			  s32 *epoch);

/**
 * kbr_group_find() - the group of that name
 * @create: make it if it is not there
 * @code: out: 0, or Kafka's error: COORDINATOR_LOAD_IN_PROGRESS,
 *	COORDINATOR_NOT_AVAILABLE, INVALID_GROUP_ID (empty, too long),
 *	GROUP_ID_NOT_FOUND, GROUP_MAX_SIZE_REACHED (the broker's memory for groups)
 *
 * Return: a reference, NULL if @code is set.
 */
struct kbr_group *kbr_group_find(struct kbr_broker *broker, const struct kbr_str *name,
				 bool create, s16 *code);
/** kbr_group_next() - first group with a name after @after (null: of all); a reference or NULL */
struct kbr_group *kbr_group_next(struct kbr_broker *broker, const struct kbr_str *after);
void kbr_group_get(struct kbr_group *group);
void kbr_group_put(struct kbr_group *group);
/** kbr_group_name() - lives as long as the group */
struct kbr_str kbr_group_name(const struct kbr_group *group);

void kbr_group_lock(struct kbr_group *group);
void kbr_group_unlock(struct kbr_group *group);

/**
 * struct kbr_group_info - what a group is, with its lock held
 * @kind: its kind of members
 * @state: its state
 * @generation: its generation, of devices: how often their share changed
 * @members: how many
 * @offsets: how many are committed
 * @protocol_type: "consumer", "" none
 * @protocol: chosen protocol
 * @leader: member id of the leader
 * @state_ms: when @state was reached (wall clock)
 * @bytes: memory it holds, beside @offsets and their names and metadata
 */
struct kbr_group_info {
	enum kbr_group_kind kind;
	enum kbr_group_state state;
	s32 generation;
	u32 members;
	u32 offsets;
	struct kbr_str protocol_type;
	struct kbr_str protocol;
	struct kbr_str leader;
	s64 state_ms;
	size_t bytes;
};

void kbr_group_info_locked(struct kbr_group *group, struct kbr_group_info *info);

/** struct kbr_group_member_info - one member of the classic protocol, with the group's lock held */
struct kbr_group_member_info {
	struct kbr_str id;
	struct kbr_str instance_id;	/* null: a dynamic member */
	struct kbr_str client_id;
	struct kbr_str client_host;
	struct kbr_str metadata;	/* for the chosen protocol */
	struct kbr_str assignment;
	s32 session_timeout_ms;
	s32 rebalance_timeout_ms;
};

/** kbr_group_member_locked() - the @n-th member; false past the end */
bool kbr_group_member_locked(struct kbr_group *group, unsigned int n,
			     struct kbr_group_member_info *info);

/* Waiting */

#define KBR_GROUP_WAIT_ENTRIES	2

/**
 * struct kbr_group_wait - a request that waits for its group; zeroed before its first use
 * @group: a reference, NULL: nothing is waited for
 * @member: whose request, a reference (join, sync)
 * @seq: which of its requests
 * @topic: __consumer_offsets, a reference if something there is waited for
 * @part: its partition that was appended to, NULL none
 * @last: offset of its last record there
 * @failures: kbr_produce.failures of that append
 * @err: why nothing was appended, 0 if it was
 */
struct kbr_group_wait {
	struct kbr_group *group;
	struct kbr_group_member *member;
	u32 seq;
	struct kbr_topic *topic;
	struct kbr_partition *part;
	s64 last;
	u32 failures;
	int err;
};

/** kbr_group_wait_add() - put up to KBR_GROUP_WAIT_ENTRIES entries on @waiter; ask again after it */
void kbr_group_wait_add(struct kbr_group_wait *wait, struct kbr_waiter *waiter);
/** kbr_group_wait_drop() - give it up: a member that asked here counts as gone away; any state, also zeroed */
void kbr_group_wait_drop(struct kbr_group_wait *wait);

/* The classic protocol (group_classic.c). @now_ms: kbr_clock_mono_ms() */

/** struct kbr_group_id - who asks, as most requests say it */
struct kbr_group_id {
	s32 generation;			/* -1: none */
	struct kbr_str member_id;
	struct kbr_str instance_id;	/* null: none */
};

struct kbr_group_protocol {
	struct kbr_str name;
	struct kbr_str metadata;
};

/**
 * struct kbr_group_join - a JoinGroup
 * @id: generation does not count; an empty member id: a new member
 * @client_id: of the request's header
 * @client_host: "/192.0.2.1"
 * @protocol_type: "consumer", "connect"
 * @session_timeout_ms: session.timeout.ms
 * @rebalance_timeout_ms: max.poll.interval.ms
 * @id_first: version 4 and later: MEMBER_ID_REQUIRED first
 * @protocols: in order of preference
 * @protocols_count: entries
 */
struct kbr_group_join {
	struct kbr_group_id id;
	struct kbr_str client_id;
	struct kbr_str client_host;
	struct kbr_str protocol_type;
	s32 session_timeout_ms;
	s32 rebalance_timeout_ms;
	bool id_first;
	const struct kbr_group_protocol *protocols;
	unsigned int protocols_count;
};

/**
 * struct kbr_group_answer - answer to a JoinGroup or SyncGroup, valid during the call that tells it
 * @code: Kafka's error
 * @generation: join; -1 on error
 * @protocol: join: chosen protocol
 * @leader: join
 * @member_id: join: the caller's, also with MEMBER_ID_REQUIRED
 * @lead: join: it leads: tell it all members, kbr_group_member_locked(@group)
 * @assignment: sync
 * @group: locked
 */
struct kbr_group_answer {
	s16 code;
	s32 generation;
	struct kbr_str protocol;
	struct kbr_str leader;
	struct kbr_str member_id;
	bool lead;
	struct kbr_str assignment;
	struct kbr_group *group;
};

/** Told with the group's lock held: copy what is wanted, do not call into the group's unlocked functions */
typedef void (*kbr_group_tell)(void *ctx, const struct kbr_group_answer *answer);

/** kbr_group_join() - true: @tell was called; false: wait, then kbr_group_join_again() */
bool kbr_group_join(struct kbr_group *group, const struct kbr_group_join *join, s64 now_ms,
		    struct kbr_group_wait *wait, kbr_group_tell tell, void *ctx);
bool kbr_group_join_again(struct kbr_group_wait *wait, s64 now_ms, kbr_group_tell tell, void *ctx);

struct kbr_group_assignment {
	struct kbr_str member_id;
	struct kbr_str assignment;
};

/** kbr_group_sync() - true: @tell was called; false: wait, then kbr_group_sync_again() */
bool kbr_group_sync(struct kbr_group *group, const struct kbr_group_id *id,
		    const struct kbr_group_assignment *assignments, unsigned int count,
		    s64 now_ms, struct kbr_group_wait *wait, kbr_group_tell tell, void *ctx);
bool kbr_group_sync_again(struct kbr_group_wait *wait, s64 now_ms, kbr_group_tell tell, void *ctx);
/** kbr_group_heartbeat() - Kafka's error */
s16 kbr_group_heartbeat(struct kbr_group *group, const struct kbr_group_id *id, s64 now_ms);
/** kbr_group_leave() - Kafka's error; an empty member id with an instance id: an admin removes a static member */
s16 kbr_group_leave(struct kbr_group *group, const struct kbr_group_id *id, s64 now_ms);

/* Offsets (group_offsets.c) */

/**
 * struct kbr_group_offset - one committed offset, in and out
 * @topic: its topic
 * @partition: its partition
 * @offset: next record to be read
 * @leader_epoch: of the record before it, -1 unknown
 * @metadata: the client's, at most offset.metadata.max.bytes
 * @commit_ms: when (wall clock; in: ignored)
 * @expire_ms: when it ends, -1: offsets.retention.minutes after the group is empty
 * @code: out: Kafka's error of this one; in: not 0: the caller refused it already
 */
struct kbr_group_offset {
	struct kbr_str topic;
	s32 partition;
	s64 offset;
	s32 leader_epoch;
	struct kbr_str metadata;
	s64 commit_ms;
	s64 expire_ms;
	s16 code;
};

/**
 * kbr_group_commit() - commit @offsets for a member, or without one if the group has no members
 * @id: member id "" and generation -1: no member
 * @offsets: kept by the caller until it is answered
 *
 * Topics must exist (UNKNOWN_TOPIC_OR_PARTITION). What becomes visible to
 * kbr_group_offset_locked() is on disk.
 *
 * Return: true: each code is set; false: wait, then kbr_group_commit_again().
 */
bool kbr_group_commit(struct kbr_group *group, const struct kbr_group_id *id,
		      struct kbr_group_offset *offsets, unsigned int count, s64 now_ms,
		      struct kbr_group_wait *wait);
bool kbr_group_commit_again(struct kbr_group_wait *wait, struct kbr_group_offset *offsets,
			    unsigned int count);
/** kbr_group_commit_device() - the same for a group of devices, by share.c; nothing else may while it has members */
bool kbr_group_commit_device(struct kbr_group *group, struct kbr_group_offset *offsets,
			     unsigned int count, s64 now_ms, struct kbr_group_wait *wait);
/** kbr_group_delete_offsets() - as kbr_group_commit(); GROUP_SUBSCRIBED_TO_TOPIC 86, NON_EMPTY_GROUP 68 */
bool kbr_group_delete_offsets(struct kbr_group *group, struct kbr_group_offset *offsets,
			      unsigned int count, s64 now_ms, struct kbr_group_wait *wait);
/** kbr_group_delete() - the group with all its offsets; @code is set when it returns true: NON_EMPTY_GROUP */
bool kbr_group_delete(struct kbr_group *group, s64 now_ms, struct kbr_group_wait *wait, s16 *code);
bool kbr_group_delete_again(struct kbr_group_wait *wait, s16 *code);

/** kbr_group_offset_locked() - what is committed; false: nothing. Texts are valid while the lock is held. */
bool kbr_group_offset_locked(struct kbr_group *group, const struct kbr_str *topic, s32 partition,
			     struct kbr_group_offset *found);
/** kbr_group_offset_next_locked() - the first one behind (@topic, @partition), in that order; null: of all */
bool kbr_group_offset_next_locked(struct kbr_group *group, const struct kbr_str *topic,
				  s32 partition, struct kbr_group_offset *found);

/* For share.c */
/**
 * kbr_group_set_kind_locked() - claim it for devices, or give it back (NONE)
 *
 * Return: 0; -EBUSY it has members of the other kind; -ENODEV it is dead.
 */
int kbr_group_set_kind_locked(struct kbr_group *group, enum kbr_group_kind kind);

#endif /* _KBR_BROKER_GROUP_H */
