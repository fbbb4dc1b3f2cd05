/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A share: one topic as the devices of one consumer group read it. Which
 * partition belongs to which member, and up to where each was consumed.
 *
 * Every open of /dev/kbroker/<topic>/@<group> is a member. Partitions are shared
 * out evenly, and as few as possible move when members come and go. What a read
 * returned is "given" until the member reads again or commits: then it is
 * "counted". A partition of which something is given, or whose owner is inside a
 * read, moves once that is over; any other moves at once, without its owner's
 * doing. A member that leaves gives up all it has; what it was given and did not
 * count goes to its successors.
 *
 * Locks, outer to inner: kbr_share.commit_lock (mutex: commits go to the group in
 * order), kbr_share.lock (mutex: members, who is to have what), kbr_group.lock,
 * kbr_share_member.lock (spinlock), kbr_partition.wait. A read that nothing
 * changed for takes its own member's spinlock twice and nothing else. Front ends'
 * locks are outer to all of them.
 *
 * In a cluster there are two kinds of shares. Members are in a mirror, at the node
 * whose devices they are: it has the partitions that the group's coordinator has
 * granted to the node. The coordinator has the other one, which leads: its members
 * are the nodes, each with the weight of the members there, and its partitions go
 * from one node to another when the node says that it has let go. See share_far.h.
 */
#ifndef _KBR_BROKER_SHARE_H
#define _KBR_BROKER_SHARE_H

#include <linux/kref.h>
#include <linux/list.h>
#include <linux/llist.h>
#include <linux/mutex.h>
#include <linux/sched.h>
#include <linux/spinlock.h>
#include <linux/types.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

#include "broker/topic.h"
#include "codec/wire.h"

struct kbr_group;
struct kbr_share;
struct kbr_share_lead;
struct kbr_share_member;
struct kbr_share_mirror;

/**
 * struct kbr_share_part - one partition of a share
 * @share: its share
 * @part: the partition; its topic is held by the share
 * @wait: in @part's wait queue, to pass news on to @owner
 * @owner: who reads it, NULL nobody; changed under kbr_share.lock, the old
 *	owner's lock and @part's wait queue's lock
 * @target: who it is meant for, NULL nobody; it moves there when it can
 *	(kbr_share.lock)
 * @moves: how often it got an owner (kbr_share.lock; stable inside its owner's read)
 * @given: in the owner's @given while something is given and not counted
 * @next: offset of the next record to be given (the owner, inside a read)
 * @counted: offset up to which it was consumed, -1 not begun (owner's lock;
 *	READ_ONCE)
 * @written: what was handed to the group's log last (commit_lock)
 * @dirty: in kbr_share.dirty
 * @flags: KBR_SHARE_PART_*
 * @grant: cluster: the coordinator's word by which the node has it, 0 it has not
 *	(kbr_share.lock, as what follows)
 * @wanted: cluster: the coordinator wants it back
 * @let_go: at a node: it has let go of it
 * @seen: at the coordinator: the last message of its node that named it
 * @reader: at the coordinator: which member at the node has it, -1 none
 */
struct kbr_share_part {
	struct kbr_share *share;
	struct kbr_partition *part;
	wait_queue_entry_t wait;
	struct kbr_share_member *owner;
	struct kbr_share_member *target;
	u32 moves;
	struct list_head given;
	s64 next;
	s64 counted;
	s64 written;
	struct llist_node dirty;
	unsigned long flags;
	u64 grant;
	bool wanted;
	bool let_go;
	u64 seen;
	s32 reader;
};

#define KBR_SHARE_PART_DIRTY	0	/* it is in kbr_share.dirty */

/**
 * struct kbr_share_member - one open device of a group
 * @share: its share; a reference
 * @node: in kbr_share.members
 * @wait: where it sleeps until there are records, or its share changes
 * @lock: guards @given, @begun, @busy, @wanted, @changed and @stale
 * @given: parts of which something is given and not counted
 * @begun: the part that a record was read of in part, or NULL
 * @busy: it is inside a read: none of its partitions moves, and @given is the
 *	reader's alone
 * @wanted: some partition of it is to move as soon as it can
 * @changed: partitions came or went since it looked
 * @stale: it sat on records for too long and lost its partitions, and has not
 *	been told
 * @away: it lost its partitions so, and has not come back (kbr_share.lock)
 * @notify: to be woken (kbr_share.lock)
 * @proxy: it is a node, at the coordinator
 * @weight: how many members it stands for (kbr_share.lock)
 * @has: partitions that are meant for it (kbr_share.lock)
 * @quota: how many it should have (kbr_share.lock)
 * @owned: partitions that it has (kbr_share.lock)
 * @index: cluster: its place among the members that the coordinator was told
 *	(kbr_share.lock)
 * @generation: how often these changed (READ_ONCE)
 * @poll_ms: how long it may sit on what is given, 0 for ever (READ_ONCE)
 * @read_at: jiffies when it last read
 * @poll_work: looks whether that was too long ago
 * @pid: thread group id of the opener, in the initial pid namespace
 * @comm: its name
 */
struct kbr_share_member {
	struct kbr_share *share;
	struct list_head node;
	wait_queue_head_t wait;
	spinlock_t lock;
	struct list_head given;
	struct kbr_share_part *begun;
	bool busy;
	bool wanted;
	bool changed;
	bool stale;
	bool away;
	bool notify;
	bool proxy;
	unsigned int weight;
	unsigned int has;
	unsigned int quota;
	unsigned int owned;
	unsigned int index;
	u64 generation;
	u32 poll_ms;
	unsigned long read_at;
	struct delayed_work poll_work;
	pid_t pid;
	char comm[TASK_COMM_LEN];
};

/**
 * struct kbr_share - a topic shared out among the members of a group
 * @ref: kref: each member, each commit under way
 * @topic: a reference
 * @lock: guards the members, and who has and is to have which part
 * @members: struct kbr_share_member
 * @members_count: how many
 * @parts: one a partition, each allocated for itself: they are linked and pointed at
 * @count: entries of @parts (READ_ONCE)
 * @dirty: parts whose counted position was not handed to the group's log
 * @group: its group, a reference; NULL: positions are not kept
 * @node: in the group's list of shares (group's lock)
 * @commit_lock: commits go to the group in the order of what they say
 * @commits: those that are not known to be on disk, oldest first (@commit_lock)
 * @commit: writes what was counted, and looks after @commits; holds a reference
 *	while it is queued
 * @commit_soon: called when there is one (any context), NULL nobody cares
 * @settled: called when partitions may have moved (@lock held), NULL nobody cares
 * @mirror: of a node of a cluster, or NULL
 * @lead: of a coordinator of a cluster, or NULL
 * @grants: at a coordinator: the last of &struct kbr_share_part.grant (@lock)
 * @ended: see KBR_SHARE_ENDED (READ_ONCE; set under @lock)
 */
struct kbr_share {
	struct kref ref;
	struct kbr_topic *topic;
	struct mutex lock;
	struct list_head members;
	unsigned int members_count;
	struct kbr_share_part **parts;
	unsigned int count;
	struct llist_head dirty;
	struct kbr_group *group;
	struct list_head node;
	struct mutex commit_lock;
	struct list_head commits;
	struct delayed_work commit;
	void (*commit_soon)(struct kbr_share *share);
	void (*settled)(struct kbr_share *share);
	struct kbr_share_mirror *mirror;
	struct kbr_share_lead *lead;
	u64 grants;
	bool ended;
};

/**
 * enum kbr_share_entry - what a read that begins is
 * @KBR_SHARE_READ: a new one: what was given before counts
 * @KBR_SHARE_AGAIN: one that has waited: it counted when it began
 * @KBR_SHARE_LOOK: none, only a look at what the next one would return
 */
enum kbr_share_entry { KBR_SHARE_READ, KBR_SHARE_AGAIN, KBR_SHARE_LOOK };

/* What kbr_share_enter() tells */
#define KBR_SHARE_CHANGED	0x1	/* partitions came or went: see kbr_share_list() */
#define KBR_SHARE_STALE		0x2	/* it had lost them all, and is back now */
#define KBR_SHARE_ENDED		0x4	/* the broker stops: nothing counts any more */

/** kbr_share_alloc() - a share without members; NULL no memory */
struct kbr_share *kbr_share_alloc(struct kbr_topic *topic);
/** kbr_share_free() - no member is left, no work is under way */
void kbr_share_free(struct kbr_share *share);

/** kbr_share_member_init() - before anything else */
void kbr_share_member_init(struct kbr_share_member *member);
/** kbr_share_add() - @member takes part from now on */
void kbr_share_add(struct kbr_share *share, struct kbr_share_member *member);
/** kbr_share_remove() - it leaves; what it did not count goes to the others. May sleep; waits for its work. */
void kbr_share_remove(struct kbr_share_member *member);

/**
 * kbr_share_enter() - a read begins: no partition of @member moves until kbr_share_exit()
 * @member: the member; its reader is locked
 * @how: what begins; reads bring back one that is away
 *
 * Return: KBR_SHARE_*. If partitions came or went the caller's list is out of
 * date, and it must not read from any that kbr_share_list() does not tell.
 */
unsigned int kbr_share_enter(struct kbr_share_member *member, enum kbr_share_entry how);
/**
 * kbr_share_exit() - the read has ended
 * @member: the member
 * @begun: a part of which a record was returned in part, NULL none
 */
void kbr_share_exit(struct kbr_share_member *member, struct kbr_share_part *begun);
/** kbr_share_give() - inside a read: @sp was given up to @offset (exclusive) */
void kbr_share_give(struct kbr_share_member *member, struct kbr_share_part *sp, s64 offset);
/** kbr_share_changed_again() - the caller could not use what KBR_SHARE_CHANGED told it */
void kbr_share_changed_again(struct kbr_share_member *member);

/**
 * kbr_share_list() - the partitions that @member has, in order
 * @list: room for @room of them; NULL none
 *
 * Inside a read none goes, but some may come. Return: how many there are.
 */
unsigned int kbr_share_list(struct kbr_share_member *member, struct kbr_share_part **list,
			    unsigned int room);

/**
 * struct kbr_share_info - what a member has
 * @count: partitions
 * @members: members of the share
 * @generation: how often its partitions changed
 */
struct kbr_share_info {
	u32 count;
	u32 members;
	u64 generation;
};

/** kbr_share_describe() - tell, and write the numbers of at most @room of its partitions to @list */
void kbr_share_describe(struct kbr_share_member *member, u32 *list, unsigned int room,
			struct kbr_share_info *info);

/** kbr_share_ready() - should a sleeping reader look again, whatever its partitions hold? Any context */
bool kbr_share_ready(const struct kbr_share_member *member);
/** kbr_share_owns() - does @member have @sp? Any context; true for sure inside a read only */
static inline bool kbr_share_owns(const struct kbr_share_member *member,
				  const struct kbr_share_part *sp)
{
	return READ_ONCE(sp->owner) == member;
}

/** kbr_share_part_dirty() - its position is to be written; any context in which the share lives */
void kbr_share_part_dirty(struct kbr_share_part *sp);
/** kbr_share_counted() - up to where partition @index was consumed; its log start if not begun */
s64 kbr_share_counted(struct kbr_share *share, unsigned int index);
/** kbr_share_set_poll() - @member may sit on what is given for @ms, 0: for ever */
void kbr_share_set_poll(struct kbr_share_member *member, u32 ms);

/* share_group.c: the share of a group, whose offsets are kept */

/**
 * kbr_share_join() - make @member a member of the group @name on @topic
 * @member: initialized
 * @topic: a reference is taken
 * @name: the group's
 *
 * Waits until the groups' offsets are loaded. Return: 0; -EBUSY Kafka's clients
 * are in the group; -ERESTARTSYS; -ENODEV; -ENOMEM; -ENOSPC; -EIO.
 */
int kbr_share_join(struct kbr_share_member *member, struct kbr_topic *topic,
		   const struct kbr_str *name);
/** kbr_share_leave() - its partitions go to the others at once; what was counted is written. May sleep. */
void kbr_share_leave(struct kbr_share_member *member);
/**
 * kbr_share_commit() - write what was counted, and wait until it is on disk
 *
 * Return: 0; -ENODEV; -ENOSPC, -EIO; -ETIMEDOUT; -EINTR a fatal signal; -ENOMEM.
 */
int kbr_share_commit(struct kbr_share *share);
/** struct kbr_share_member_info - a member, as others see it */
struct kbr_share_member_info {
	s32 node;		/* node.id of the broker whose device it is; -1 this one, standalone */
	pid_t pid;
	char comm[TASK_COMM_LEN];
	char topic[KBR_TOPIC_NAME_MAX + 1];
	u32 count;		/* partitions that it has */
};

/**
 * kbr_share_nth_member() - the @nth device in the group, whatever its topic; false past the end
 * @list: gets the numbers of at most @room of its partitions
 *
 * Context: process, the group unlocked.
 */
bool kbr_share_nth_member(struct kbr_group *group, unsigned int nth,
			  struct kbr_share_member_info *info, u32 *list, unsigned int room);
/** struct kbr_share_place - a partition that devices of a group read */
struct kbr_share_place {
	char topic[KBR_TOPIC_NAME_MAX + 1];
	u32 partition;
	s64 counted;		/* up to where it was consumed; -1 not begun */
};

/** kbr_share_group_next() - the first one behind (@topic, @partition), by topic, then partition; group unlocked */
bool kbr_share_group_next(struct kbr_group *group, const char *topic, s32 partition,
			  struct kbr_share_place *place);
/** kbr_shares_end() - @group is dead: its readers get end of file */
void kbr_shares_end(struct kbr_group *group);
/**
 * kbr_shares_stop() - the broker stops, and its logs still work: readers get end of file
 *
 * What was counted is handed to the log, which is closed after it; nothing counts
 * any more.
 */
void kbr_shares_stop(struct kbr_broker *broker);

#endif /* _KBR_BROKER_SHARE_H */
