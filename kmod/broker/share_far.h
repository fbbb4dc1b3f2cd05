/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Shares of a cluster: members on several nodes share one group.
 *
 * The coordinator's share leads (share_lead.c): it grants partitions to nodes. A
 * node's share is a mirror of what it was granted (share_mirror.c), and shares it
 * out among its members as a standalone broker does with all there is. The
 * coordinator's own node is no exception.
 *
 * Each side tells the other all there is to say whenever that has changed
 * (codec/share_wire.h); what was lost is made good by the next message, and an
 * older one is known by its number. A partition has one owner: the coordinator
 * grants it anew only when the node has let go of it, or has left. Each grant has
 * a number, and what a node says of a partition counts only with the number that
 * holds: one that was thought dead can't commit for what others have by now.
 *
 * A new coordinator asks every node what it has, and grants nothing else before
 * all have answered, or KBR_SHARE_GATHER_MS are over: members go on reading what
 * they have. A node leaves when it says so; when it begins a new life; or when its
 * connection or its session has ended, and it does not answer within
 * KBR_SHARE_GRACE_MS. What it had goes to others, from where it was last counted.
 *
 * Messages are letters (share_post.c): queued for a broker, written when the
 * fetcher has a connection there, by what is true then.
 *
 * Locks: kbr_share_posts.mirrors_lock (mutex) is outer to kbr_share.commit_lock;
 * kbr_share_posts.lock (spinlock) is innermost.
 */
#ifndef _KBR_BROKER_SHARE_FAR_H
#define _KBR_BROKER_SHARE_FAR_H

#include <linux/kref.h>
#include <linux/types.h>
#include <linux/workqueue.h>

#include "base/limits.h"
#include "broker/share.h"
#include "broker/share_post.h"
#include "broker/waiter.h"
#include "codec/share_wire.h"

/* How long a new coordinator waits for what nodes have, ms */
#define KBR_SHARE_GATHER_MS	5000
/* How long a node whose connection, or session, has ended may take to answer on another, ms */
#define KBR_SHARE_GRACE_MS	500

/**
 * struct kbr_share_node - a node at the coordinator
 * @member: as the share sees it
 * @ref: kref: its share, each letter in the post
 * @share: its share, a reference
 * @id: node.id
 * @letter: GRANT
 * @all: in kbr_share_posts.nodes (its lock); empty: it has left
 * @epoch: its broker epoch
 * @asked: nothing was heard of it yet
 * @heard: sequence of the last STATE
 * @told_heard: @heard when the letter that is under way was written
 * @lost: its connection or session has ended, and it has not answered since
 *	(kbr_share_posts.lock)
 * @lost_at: jiffies when it did
 * @sync: STATE that is to be told to be on disk, 0 none
 * @sync_commit: number of the commit that has it
 * @sync_next: the one after it
 * @sync_next_commit: likewise
 * @stored: STATE that is on disk
 * @readers: its members
 * @readers_count: entries of @readers
 *
 * What has no lock named is under kbr_share.lock.
 */
struct kbr_share_node {
	struct kbr_share_member member;
	struct kref ref;
	struct kbr_share *share;
	s32 id;
	struct kbr_share_letter letter;
	struct list_head all;
	s64 epoch;
	bool asked;
	u64 heard;
	u64 told_heard;
	bool lost;
	unsigned long lost_at;
	u64 sync;
	u64 sync_commit;
	u64 sync_next;
	u64 sync_next_commit;
	u64 stored;
	struct kbr_share_reader *readers;
	unsigned int readers_count;
};

/**
 * struct kbr_share_lead - of a share that leads
 * @share: its share
 * @epoch: of the coordinator's leadership
 * @gathering: not all nodes have said what they have (kbr_share.lock)
 * @gather_end: jiffies when that is over
 * @watch: looks after nodes that are lost, and @gather_end; holds a reference on
 *	the share while it is queued
 * @acked: what was committed is on disk
 * @end: frees the share, since @acked may be what gave it back
 * @waiter: for @acked (kbr_share.commit_lock)
 * @entries: its places
 * @appended: commits (kbr_share.commit_lock)
 * @failed: one of them did (kbr_share.commit_lock)
 */
struct kbr_share_lead {
	struct kbr_share *share;
	s32 epoch;
	bool gathering;
	unsigned long gather_end;
	struct delayed_work watch;
	struct work_struct acked;
	struct work_struct end;
	struct kbr_waiter waiter;
	struct kbr_waiter_entry entries[2];
	u64 appended;
	bool failed;
};

/**
 * struct kbr_share_mirror - of a share at a node
 * @share: its share; the list of mirrors and each letter in the post hold a reference
 * @node: in kbr_share_posts.mirrors
 * @group: name of the group
 * @letter: STATE
 * @work: finds the coordinator, and tells it again what it would not hear
 * @retry_ms: how soon (@work alone)
 * @leader: node.id of the coordinator, -1 not known
 * @leader_epoch: of its leadership
 * @heard_epoch: of the last GRANT
 * @heard: sequence of it
 * @said: sequence of the last STATE
 * @sync: STATE that somebody waits for to be on disk, 0 none
 * @stored: STATE that is on disk
 * @gone: the last STATE said that there are no members, and nothing is held
 * @weight: members that were told
 * @welcome: the coordinator knows it
 * @err: why it does not want it
 * @wait: for @welcome, @err, @stored
 *
 * What has no other word is under kbr_share.lock.
 */
struct kbr_share_mirror {
	struct kbr_share *share;
	struct list_head node;
	char group[KBR_GROUP_NAME_MAX + 1];
	struct kbr_share_letter letter;
	struct delayed_work work;
	unsigned int retry_ms;
	s32 leader;
	s32 leader_epoch;
	s32 heard_epoch;
	u64 heard;
	u64 said;
	u64 sync;
	u64 stored;
	bool gone;
	unsigned int weight;
	bool welcome;
	int err;
	wait_queue_head_t wait;
};

/* share.c, for the others */
int kbr_share_grow(struct kbr_share *share);
void kbr_share_balance(struct kbr_share *share);
/** kbr_share_part_release() - the node that has @sp has let go of it, or has left */
void kbr_share_part_release(struct kbr_share_part *sp);
/** kbr_share_part_claim() - a node has @sp by @grant of a coordinator before this one */
void kbr_share_part_claim(struct kbr_share_part *sp, struct kbr_share_member *member, u64 grant);

/* share_group.c, for the others */
int kbr_share_errno(s16 code);
struct kbr_share *kbr_share_create(struct kbr_group *group, struct kbr_topic *topic);
/** kbr_share_load() - what the group has committed is where a share that nobody reads stands */
void kbr_share_load(struct kbr_share *share);
void kbr_share_put(struct kbr_share *share);
/** kbr_share_linger() - have what was counted written, and looked after, in @ms */
void kbr_share_linger(struct kbr_share *share, unsigned int ms);

/* share_lead.c */
s16 kbr_share_lead_receive(struct kbr_broker *broker, s32 from, s64 epoch,
			   const struct kbr_share_message *message, struct kbr_wire_reader *r);
/** kbr_share_lead_waits() - are nodes being asked what they have? */
bool kbr_share_lead_waits(const struct kbr_share *share);
/** kbr_share_node_has_replica() - does the node that @member stands for have a replica of @part? */
bool kbr_share_node_has_replica(const struct kbr_share_member *member, struct kbr_partition *part);
/** kbr_share_node_readers() - how many members of the node are known by name; kbr_share.lock held */
unsigned int kbr_share_node_readers(const struct kbr_share_member *member);
/** kbr_share_node_describe() - tell the @nth of them; kbr_share.lock held */
void kbr_share_node_describe(const struct kbr_share_member *member, unsigned int nth,
			     struct kbr_share_member_info *info);
/** kbr_share_lead_stored() - tell nodes what is on disk; @first: number of the first commit that is not, 0 all are */
void kbr_share_lead_stored(struct kbr_share *share, u64 first);
/** kbr_share_lead_end() - the group is forgotten here: nobody is told anything any more */
void kbr_share_lead_end(struct kbr_share *share);
/** kbr_share_lead_free() - with its share */
void kbr_share_lead_free(struct kbr_share *share);

/* share_mirror.c */
s16 kbr_share_mirror_receive(struct kbr_broker *broker, s32 from,
			     const struct kbr_share_message *message, struct kbr_wire_reader *r);
int kbr_share_mirror_join(struct kbr_share_member *member, struct kbr_topic *topic,
			  const struct kbr_str *name);
void kbr_share_mirror_leave(struct kbr_share_member *member);
int kbr_share_mirror_commit(struct kbr_share *share);
/** kbr_share_mirror_free() - nobody has it any more */
void kbr_share_mirror_free(struct kbr_share *share);
/** kbr_share_mirrors_moved() - some group may have another coordinator */
void kbr_share_mirrors_moved(struct kbr_broker *broker);
/** kbr_share_mirrors_stop() - the broker stops: readers get end of file, and the coordinators all they had */
void kbr_share_mirrors_stop(struct kbr_broker *broker);
/** kbr_share_mirrors_free() - no letter is under way any more: forget those that have no members */
void kbr_share_mirrors_free(struct kbr_broker *broker);

#endif /* _KBR_BROKER_SHARE_FAR_H */
