/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the files of the group coordinator share; see group.h for what it is.
 *
 * group.c		the table of a broker, lifetimes, timers
 * group_classic.c	Kafka's classic protocol: members, generations
 * group_offsets.c	committed offsets
 * group_log.c		__consumer_offsets: made, loaded, appended to, written anew
 * group_lead.c		a member: the groups that its broker coordinates
 * group_event.c	telling who listens what became of groups
 */
#ifndef _KBR_BROKER_GROUP_INTERNAL_H
#define _KBR_BROKER_GROUP_INTERNAL_H

#include <linux/kref.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/rbtree.h>
#include <linux/rwsem.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

#include "broker/group.h"
#include "broker/partition.h"
#include "broker/topic.h"
#include "codec/group_record.h"
#include "codec/kafka_error.h"
#include "codec/record.h"

/* No deadline */
#define KBR_GROUP_NEVER		S64_MAX

/** enum kbr_groups_state - how far the coordinator is */
enum kbr_groups_state {
	KBR_GROUPS_ABSENT,	/* there is no __consumer_offsets */
	KBR_GROUPS_MAKING,
	KBR_GROUPS_LOADING,
	KBR_GROUPS_READY,
	KBR_GROUPS_STOPPED,
};

/**
 * struct kbr_group_log - one partition of __consumer_offsets
 * @live: bytes of live records
 * @partial: not all of it could be loaded: nothing of it may be removed
 * @where: enum kbr_group_log_where, of a member's; a standalone broker has all HERE
 * @epoch: of the leadership that it was loaded in, -1 none (kbr_groups.move alone)
 */
struct kbr_group_log {
	atomic64_t live;
	bool partial;
	u8 where;
	s32 epoch;
};

/** enum kbr_group_log_where - does this broker coordinate the groups of a partition? */
enum kbr_group_log_where {
	KBR_GROUP_LOG_AWAY,	/* another one does, or none */
	KBR_GROUP_LOG_LOADING,
	KBR_GROUP_LOG_HERE,
};

/**
 * struct kbr_groups - the groups of a broker
 * @ref: kref: the broker and each group hold one
 * @broker: its broker; valid until it is STOPPED
 * @lock: guards @tree, @count and changes of @state
 * @tree: groups by name
 * @count: of them
 * @state: enum kbr_groups_state (READ_ONCE)
 * @err: why the topic could not be made or loaded, until somebody was told (@lock)
 * @wait: woken when @state changes
 * @topic: __consumer_offsets, a reference, from LOADING on
 * @partitions: of @topic
 * @load: loads it, or finds it after it was made
 * @move: a member: loads and forgets partitions as their leaderships come and go
 * @again_ms: when @move looks again at what has not caught up
 * @logs: struct kbr_group_log of each partition of @topic
 * @bytes: memory that groups hold
 * @checked_ms: when offsets were last looked at for their expiry (upkeep)
 * @news_lock: guards @news and @silent
 * @news: groups that changed and were not told of, a reference each
 * @tell: tells of them
 * @silent: it is STOPPED: nobody is told any more
 */
struct kbr_groups {
	struct kref ref;
	struct kbr_broker *broker;
	struct rw_semaphore lock;
	struct rb_root tree;
	unsigned int count;
	enum kbr_groups_state state;
	int err;
	wait_queue_head_t wait;
	struct kbr_topic *topic;
	u32 partitions;
	struct work_struct load;
	struct delayed_work move;
	unsigned int again_ms;
	struct kbr_group_log *logs;
	atomic64_t bytes;
	s64 checked_ms;
	spinlock_t news_lock;
	struct list_head news;
	struct work_struct tell;
	bool silent;
};

/**
 * struct kbr_group - one group; what is not said otherwise is guarded by @lock
 * @ref: kref
 * @node: in kbr_groups.tree (its lock)
 * @groups: a reference
 * @lock: mutex
 * @wait: woken when requests that wait for the group should ask again
 * @name: its name, owned
 * @partition: of __consumer_offsets
 * @kind: enum kbr_group_kind
 * @state: enum kbr_group_state; DEAD: not in the table any more
 * @generation: rises with each rebalance
 * @protocol_type: owned, null none
 * @protocol: chosen one, owned, null none
 * @leader: member, no reference: it is in @members
 * @members: of the classic protocol, in order of joining
 * @members_count: of them
 * @promised: ids that were given to members that have not joined yet
 * @promised_count: of them
 * @state_ms: when it came to @state (wall clock)
 * @rebalance_end: when the join phase ends at the latest (monotonic)
 * @delay_end: while the first members are waited for: the latest @rebalance_end
 * @sync_end: when who has not synced is thrown out
 * @timer: its next deadline
 * @timer_at: when @timer runs, KBR_GROUP_NEVER it does not
 * @offsets: struct kbr_group_entry by topic and partition
 * @offsets_count: of them
 * @pending: appended and not known to be on disk, oldest first
 * @storing: number of the pending record that the members' SyncGroup waits for, 0 none
 * @seq: number of the last pending one
 * @record: offset of the newest group record, -1 none
 * @record_bytes: its size
 * @bytes: memory accounted to it in kbr_groups.bytes
 * @shares: struct kbr_share: topics that devices of the group read (share_group.c)
 * @devices: such devices
 * @news: in kbr_groups.news (its news_lock)
 * @told: somebody was told that there is such a group (kbr_groups.tell alone; or
 *	before it is found)
 */
struct kbr_group {
	struct kref ref;
	struct rb_node node;
	struct kbr_groups *groups;
	struct mutex lock;
	wait_queue_head_t wait;
	struct kbr_str name;
	u32 partition;
	enum kbr_group_kind kind;
	enum kbr_group_state state;
	s32 generation;
	struct kbr_str protocol_type;
	struct kbr_str protocol;
	struct kbr_group_member *leader;
	struct list_head members;
	unsigned int members_count;
	struct list_head promised;
	unsigned int promised_count;
	s64 state_ms;
	s64 rebalance_end;
	s64 delay_end;
	s64 sync_end;
	struct delayed_work timer;
	s64 timer_at;
	struct rb_root offsets;
	unsigned int offsets_count;
	struct list_head pending;
	u32 storing;
	u32 seq;
	s64 record;
	u32 record_bytes;
	size_t bytes;
	struct list_head shares;
	unsigned int devices;
	struct list_head news;
	bool told;
};

/**
 * struct kbr_group_member - a member of the classic protocol
 * @ref: kref: the group's list and each waiting request
 * @node: in kbr_group.members, or .promised
 * @id: owned, as all of the texts
 * @instance_id: null: a dynamic member
 * @client_id: of its client
 * @client_host: of its client
 * @session_timeout_ms: without a sign of life
 * @rebalance_timeout_ms: for it to rejoin
 * @deadline: when its session ends (monotonic)
 * @protocols: as it named them
 * @protocols_count: entries
 * @blob: their texts, one allocation
 * @assignment: owned
 * @bytes: memory accounted
 * @seq: number of its newest JoinGroup or SyncGroup that waits
 * @fenced: the last one of them that a former self of a static member asked
 * @former: static: its id before, while its new one is being stored; else null
 * @storing: number of the pending record with its new id, 0 none
 * @joining: it waits for the end of the join phase
 * @syncing: it waits for its assignment
 * @fresh: it never got an answer to a JoinGroup
 * @code: once it is out: what its requests are answered
 */
struct kbr_group_member {
	struct kref ref;
	struct list_head node;
	struct kbr_str id;
	struct kbr_str instance_id;
	struct kbr_str client_id;
	struct kbr_str client_host;
	s32 session_timeout_ms;
	s32 rebalance_timeout_ms;
	s64 deadline;
	struct kbr_group_protocol *protocols;
	unsigned int protocols_count;
	char *blob;
	struct kbr_str assignment;
	size_t bytes;
	u32 seq;
	u32 fenced;
	struct kbr_str former;
	u32 storing;
	bool joining;
	bool syncing;
	bool fresh;
	s16 code;
};

/** struct kbr_group_text - name of a topic, shared by a group's offsets, accounted once */
struct kbr_group_text {
	u32 refs;
	u32 len;
	char text[];
};

/**
 * struct kbr_group_entry - a committed offset, or one that is pending
 * @node: in kbr_group.offsets
 * @list: in kbr_group_pending.entries
 * @topic: its topic
 * @offset: -1: a tombstone, which is only ever pending
 * @commit_ms: when
 * @expire_ms: when it ends, -1: by the broker's configs
 * @record: offset of its record in __consumer_offsets
 * @record_bytes: size of that
 * @partition: its partition
 * @leader_epoch: -1 unknown
 * @metadata_len: bytes of @metadata
 * @marked: a pending commit replaces it (while its partition is written anew)
 * @metadata: the client's
 */
struct kbr_group_entry {
	struct rb_node node;
	struct list_head list;
	struct kbr_group_text *topic;
	s64 offset;
	s64 commit_ms;
	s64 expire_ms;
	s64 record;
	u32 record_bytes;
	s32 partition;
	s32 leader_epoch;
	u32 metadata_len;
	bool marked;
	char metadata[];
};

/**
 * struct kbr_group_pending - records of one append, not known to be on disk
 * @node: in kbr_group.pending
 * @seq: its number in the group
 * @last: offset of its last record
 * @failures: kbr_produce.failures of the append
 * @entries: offsets in it
 * @has_group: a group record is in it, too
 * @group_record: offset of that
 * @group_bytes: its size; 0: a tombstone
 */
struct kbr_group_pending {
	struct list_head node;
	u32 seq;
	s64 last;
	u32 failures;
	struct list_head entries;
	bool has_group;
	s64 group_record;
	u32 group_bytes;
};

/** enum kbr_group_put - whether an append has the group's record, too, and how */
enum kbr_group_put {
	KBR_GROUP_PUT_NONE,
	KBR_GROUP_PUT_FULL,	/* with all members */
	KBR_GROUP_PUT_BARE,	/* without: after a load they must rejoin */
	KBR_GROUP_PUT_DEAD,	/* a tombstone */
};

/* group.c */
/** kbr_group_str_dup() - an owned, terminated copy; null of null; false on -ENOMEM */
bool kbr_group_str_dup(struct kbr_str *to, const struct kbr_str *from);
int kbr_group_str_cmp(const struct kbr_str *a, const struct kbr_str *b);
static inline bool kbr_group_str_same(const struct kbr_str *a, const struct kbr_str *b)
{
	return !kbr_group_str_cmp(a, b);
}

/** kbr_group_charge() - account @bytes, negative ones are given back; false: over group.memory.max.bytes */
bool kbr_group_charge(struct kbr_group *group, ssize_t bytes);
/** kbr_group_get_in() - find or make @name, with @groups in any state (load) */
struct kbr_group *kbr_group_get_in(struct kbr_groups *groups, const struct kbr_str *name,
				   bool create, s16 *code);
/** kbr_group_arm_locked() - have the timer run at the group's next deadline */
void kbr_group_arm_locked(struct kbr_group *group, s64 now);
void kbr_group_set_state_locked(struct kbr_group *group, enum kbr_group_state state);
/** kbr_group_wake_locked() - who waits for the group should ask again */
void kbr_group_wake_locked(struct kbr_group *group);
/** kbr_group_member_tell_locked() - what is told of a member */
void kbr_group_member_tell_locked(const struct kbr_group *group,
				  const struct kbr_group_member *member,
				  struct kbr_group_member_info *info);
/** kbr_groups_set_state() - and tell who waits for it; STOPPED is the last one */
void kbr_groups_set_state(struct kbr_groups *groups, enum kbr_groups_state state, int err);
/** kbr_group_end() - it was taken out of the table: @code to who waits; drops the table's reference */
void kbr_group_end(struct kbr_group *group, s16 code);
/** kbr_groups_stopped() - the broker ends: everything is answered now */
static inline bool kbr_groups_stopped(const struct kbr_groups *groups)
{
	return READ_ONCE(groups->state) == KBR_GROUPS_STOPPED;
}

/* group_classic.c */
/** kbr_group_tick_locked() - end what is over at @now; returns the next deadline */
s64 kbr_group_tick_locked(struct kbr_group *group, s64 now);
/** kbr_group_check_commit_locked() - may @id commit? Kafka's error; a sign of life */
s16 kbr_group_check_commit_locked(struct kbr_group *group, const struct kbr_group_id *id, s64 now);
/** kbr_group_drop_members_locked() - all of them, answering @code to what they wait for */
void kbr_group_drop_members_locked(struct kbr_group *group, s16 code);
/** kbr_group_stored_locked() - the group record that SyncGroup waits for is on disk, or failed */
void kbr_group_stored_locked(struct kbr_group *group, bool ok, s64 now);
/** kbr_group_load_members_locked() - members as the group record @value has them */
int kbr_group_load_members_locked(struct kbr_group *group, const struct kbr_group_value *value,
				  struct kbr_wire_reader *r, s64 now);
/** kbr_group_subscribed_locked() - does any member name @topic in its subscription? */
bool kbr_group_subscribed_locked(struct kbr_group *group, const struct kbr_str *topic);
void kbr_group_member_put(struct kbr_group_member *member);
/** kbr_group_abandon_locked() - the connection of a JoinGroup or SyncGroup that waits has closed */
void kbr_group_abandon_locked(struct kbr_group *group, struct kbr_group_member *member, u32 seq,
			      s64 now);

/* group_offsets.c */
/** kbr_group_pending_locked() - the one with number @seq, NULL: it is settled, or there was none */
struct kbr_group_pending *kbr_group_pending_locked(struct kbr_group *group, u32 seq);
/** kbr_group_settle_locked() - apply what is on disk by now, drop what failed */
void kbr_group_settle_locked(struct kbr_group *group);
/** kbr_group_apply_locked() - @entry, taken over, holds unless a newer one does */
void kbr_group_apply_locked(struct kbr_group *group, struct kbr_group_entry *entry);
/** kbr_group_apply_record_locked() - the same for a group record */
void kbr_group_apply_record_locked(struct kbr_group *group, s64 record, u32 bytes);
/** kbr_group_entry_new() - accounted, if @always over the limit, too; ERR_PTR: -ENOMEM, -EDQUOT */
struct kbr_group_entry *kbr_group_entry_new(struct kbr_group *group,
					    const struct kbr_group_offset *offset, bool always);
/** kbr_group_expire_locked() - tombstones for offsets that are over at @now_ms; did it append any? */
bool kbr_group_expire_locked(struct kbr_group *group, s64 now_ms);
/** kbr_group_free_entries_locked() - entries of a list that were not appended */
void kbr_group_free_entries_locked(struct kbr_group *group, struct list_head *entries);
/** kbr_group_mark_locked() - the offset that @entry will replace needs (not) to be copied */
void kbr_group_mark_locked(struct kbr_group *group, const struct kbr_group_entry *entry,
			   bool marked);
/** kbr_group_copy_old_locked() - copies of unmarked offsets with records below @to; false on -ENOMEM */
bool kbr_group_copy_old_locked(struct kbr_group *group, s64 to, struct list_head *entries);
/** kbr_group_any_old_locked() - is any offset's record below @to? */
bool kbr_group_any_old_locked(struct kbr_group *group, s64 to);
/** kbr_group_forget_offsets_locked() - free them all (stop) */
void kbr_group_forget_offsets_locked(struct kbr_group *group);

/* group_log.c */
/**
 * kbr_group_append_locked() - append @entries, and the group's record, as one or several batches
 * @entries: taken over on success: they are pending then
 * @wait: out: what to wait for; may be NULL
 *
 * Return: 0, or why nothing, or not all, was appended: then those of @entries
 * that were not stay with the caller.
 */
int kbr_group_append_locked(struct kbr_group *group, struct list_head *entries,
			    enum kbr_group_put put, struct kbr_group_wait *wait);
/** kbr_group_log_part() - the group's partition of __consumer_offsets; valid while @groups->topic is */
struct kbr_partition *kbr_group_log_part(const struct kbr_group *group);
void kbr_groups_load_work(struct work_struct *work);
/** kbr_groups_load_one() - load partition @index; -ENOMEM: nothing was read */
int kbr_groups_load_one(struct kbr_groups *groups, u32 index);
/** kbr_groups_arm() - sessions of members that were loaded from partitions @first to @end begin anew */
void kbr_groups_arm(struct kbr_groups *groups, u32 first, u32 end);
/** kbr_groups_rewrite() - write partitions anew where dead bytes exceed live ones */
void kbr_groups_rewrite(struct kbr_groups *groups);

/* group_lead.c */
/** kbr_groups_log_of() - what is known of the partition of group @name; from LOADING on */
struct kbr_group_log *kbr_groups_log_of(struct kbr_groups *groups, const struct kbr_str *name);
/** kbr_groups_log_is_here() - does this broker coordinate the groups of partition @index? Acquire */
bool kbr_groups_log_is_here(struct kbr_groups *groups, u32 index);
/** kbr_groups_check_here() - a member: Kafka's error unless this broker coordinates group @name */
s16 kbr_groups_check_here(struct kbr_groups *groups, const struct kbr_str *name);
void kbr_groups_move_work(struct work_struct *work);
/** kbr_groups_move_now() - leaderships may have changed */
void kbr_groups_move_now(struct kbr_groups *groups);

/* group_event.c */
/** kbr_group_changed_locked() - its state or its members did: whoever listens is told, later */
void kbr_group_changed_locked(struct kbr_group *group);
void kbr_groups_tell_work(struct work_struct *work);
/** kbr_groups_stop_telling() - the groups are STOPPED: nobody is told any more */
void kbr_groups_stop_telling(struct kbr_groups *groups);

#endif /* _KBR_BROKER_GROUP_INTERNAL_H */
