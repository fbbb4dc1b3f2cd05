/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a member of a cluster is to a partition: nothing, a follower or its
 * leader; who the other replicas are, and how far they have come. It obeys: who
 * leads and who is in sync is what the controller told (kbr_replica_apply()).
 *
 * A standalone partition has none of it: kbr_partition.replicas is NULL.
 *
 * The high watermark (Kafka's, over synced ends): a leader raises it to the
 * smallest counted end of the in-sync set, those it has asked to have in it
 * included, and not while that set is smaller than min.insync.replicas. What
 * counts of a replica is what it has on its disk; with flush.policy=async what
 * it has. A follower's is its leader's, as far as its own log goes. It never
 * moves back while the log is open.
 *
 * A log is cut by leader epochs alone (KIP-101, KIP-279, KIP-320).
 *
 * tests/model/replication.pml checks the rules; A1 to A7 there are kept here.
 */
#ifndef _KBR_BROKER_REPLICA_H
#define _KBR_BROKER_REPLICA_H

#include <linux/spinlock.h>
#include <linux/types.h>
#include <linux/kbroker_netlink.h>

#include "broker/partition.h"

struct kbr_cluster;

/**
 * struct kbr_id_set - node.ids, each once
 * @count: entries of @id
 * @id: the ids, in an order that means something
 */
struct kbr_id_set {
	u8 count;
	s32 id[KBROKER_REPLICAS_MAX];
};

bool kbr_id_set_has(const struct kbr_id_set *set, s32 id);

/**
 * struct kbr_replica_state - what the controller says of a partition
 * @leader: node.id, -1 none
 * @leader_epoch: rises with each change of @leader
 * @partition_epoch: rises with each change of anything here
 * @replicas: the preferred leader first
 * @isr: in-sync replicas
 * @elr: eligible leader replicas
 */
struct kbr_replica_state {
	s32 leader;
	s32 leader_epoch;
	s32 partition_epoch;
	struct kbr_id_set replicas;
	struct kbr_id_set isr;
	struct kbr_id_set elr;
};

/**
 * struct kbr_replica_progress - what a leader knows of a follower
 * @id: node.id, -1: the entry is free
 * @broker_epoch: that it proved with its last Fetch, -1: has not fetched
 * @end: its log end, -1 not known
 * @synced: what it has on its disk, -1 not known
 * @start: its log start, -1 not known
 * @hw: the high watermark that it knows, -1 not known
 * @caught_up_ms: when it last had all that the leader had (monotonic)
 * @fetched_ms: when it last fetched
 * @fetched_end: the leader's end at that time
 */
struct kbr_replica_progress {
	s32 id;
	s64 broker_epoch;
	s64 end;
	s64 synced;
	s64 start;
	s64 hw;
	s64 caught_up_ms;
	s64 fetched_ms;
	s64 fetched_end;
};

/**
 * struct kbr_replicas - hangs on a partition of a member
 * @lock: everything here; inner to all but the wait queues' locks; any context
 *	but interrupts
 * @role: enum kbroker_replica_role (also READ_ONCE)
 * @followed: the fetcher has it (operations alone)
 * @state: as told; @state.leader_epoch is -1 before anything was told
 * @wanted: in-sync set that was asked for; empty: none
 * @epoch_start: leader: the log's end when its leadership began
 * @absent: there was no log when the broker started (operations alone)
 * @resigned: leader epoch in which it led, and will not again; -1 none
 * @lost: leader epoch in which it first asked to be in no set, as its log is lost; -1 none
 * @lost_asked: partition epoch in which it last asked for that
 * @lost_ms: when that was
 * @progress: leader: of its followers
 * @forward: device writes for another leader; NULL: there were none (forward.c)
 * @remote: what device readers want of its leader; NULL: nothing was (remote.c)
 */
struct kbr_replicas {
	spinlock_t lock;
	u8 role;
	bool followed;
	bool absent;
	struct kbr_replica_state state;
	struct kbr_id_set wanted;
	s64 epoch_start;
	s32 resigned;
	s32 lost;
	s32 lost_asked;
	s64 lost_ms;
	struct kbr_replica_progress progress[KBROKER_REPLICAS_MAX];
	struct kbr_forward_stream *forward;
	struct kbr_remote *remote;
};

/** kbr_replica_alloc() - @part belongs to a cluster: no replica is here until something is told; 0, -ENOMEM */
int kbr_replica_alloc(struct kbr_partition *part);
void kbr_replica_free(struct kbr_partition *part);
/**
 * kbr_replica_give_up() - @part's log may be lost: then ask the controller to be in no set
 *
 * Nothing where it is not lost, was told nothing yet, or asked a moment ago.
 * Context: process, may sleep.
 */
void kbr_replica_give_up(struct kbr_partition *part);
/** kbr_replica_found() - @part's log is lost no longer; nothing if standalone. Context: process, may sleep */
void kbr_replica_found(struct kbr_partition *part);
/** kbr_replica_leads() - is @part's leader here? Of a standalone broker all are. Any context */
static inline bool kbr_replica_leads(const struct kbr_partition *part)
{
	return !part->replicas || READ_ONCE(part->replicas->role) == KBROKER_REPLICA_ROLE_LEADER;
}

/** kbr_replica_unfollow() - the fetcher does not touch it from here on; operations */
void kbr_replica_unfollow(struct kbr_partition *part);

/**
 * kbr_replica_prepare() - before kbr_replica_apply(), for many: make the log of a new replica
 *
 * Return: 1: it was made, and the broker's directory is to be synced before it is
 * applied; 0: it is there, or is not to be; or what kbr_replica_apply() will say.
 */
int kbr_replica_prepare(struct kbr_partition *part, const struct kbr_replica_state *state,
			struct kbr_refusal *why);

/**
 * kbr_replica_apply() - be what the controller says
 *
 * Makes the log of a replica that is new here, and removes that of one that is
 * here no more. A partition epoch that was told before changes nothing.
 *
 * Context: operations of the broker only.
 * Return: 0; -ESTALE what is known is newer; -EINVAL sets that contradict each
 * other; -ENODEV gone; errors of the log: then it is FAILED and says so.
 */
int kbr_replica_apply(struct kbr_partition *part, const struct kbr_replica_state *state,
		      struct kbr_refusal *why);

/** kbr_replica_epoch_start() - of a leader: its log's end when its leadership began; after kbr_replica_get() */
s64 kbr_replica_epoch_start(struct kbr_partition *part);
/** kbr_replica_get() - what was told, and the role; false: standalone, or nothing was told yet */
bool kbr_replica_get(struct kbr_partition *part, struct kbr_replica_state *state,
		     enum kbroker_replica_role *role);
/** kbr_replica_get_progress() - a leader's knowledge of its followers: entries of @out (KBROKER_REPLICAS_MAX) in use */
unsigned int kbr_replica_get_progress(struct kbr_partition *part, struct kbr_replica_progress *out);

/** kbr_replica_is_elsewhere() - was it told that no replica of @part is here? Any context */
static inline bool kbr_replica_is_elsewhere(const struct kbr_partition *part)
{
	const struct kbr_replicas *reps = part->replicas;

	return unlikely(reps) && READ_ONCE(reps->role) == KBROKER_REPLICA_ROLE_NONE &&
	       READ_ONCE(reps->state.partition_epoch) >= 0;
}

/* ---- a leader's side ---- */

/**
 * kbr_replica_hw() - where the high watermark may be raised to; -1: nowhere now
 *
 * Context: any but interrupts; @part->replicas is there.
 */
s64 kbr_replica_hw(struct kbr_partition *part);

/**
 * kbr_replica_hw_known() - does a leader know as much as the one before it did (KIP-207)?
 *
 * Not before its high watermark has reached the start of its leadership: till
 * then more may be committed than it knows. Context: any but interrupts.
 */
bool kbr_replica_hw_known(struct kbr_partition *part);

/**
 * kbr_replica_resign() - after a repair: it may lack what followers have of its leadership
 *
 * It leads no more, and asks for another leadership. Context: process, may sleep.
 */
void kbr_replica_resign(struct kbr_partition *part);

/** kbr_replica_find() - what is known of follower @id, NULL nothing; @reps->lock held */
struct kbr_replica_progress *kbr_replica_find(struct kbr_replicas *reps, s32 id);

/** kbr_replica_check_isr() - may acks=all be promised? 0; -ENOLINK the in-sync set is too small; -EREMOTE */
int kbr_replica_check_isr(struct kbr_partition *part);

/**
 * struct kbr_replica_fetch - what a follower's Fetch says
 * @id: its node.id, as proved
 * @broker_epoch: as proved
 * @leader_epoch: that it follows in
 * @last_epoch: leader epoch of its last record, -1 none
 * @offset: its log end
 * @synced: what it has on its disk, -1 it does not say
 * @start: its log start, -1 it does not say
 * @hw: the high watermark that it was told, -1 none
 */
struct kbr_replica_fetch {
	s32 id;
	s64 broker_epoch;
	s32 leader_epoch;
	s32 last_epoch;
	s64 offset;
	s64 synced;
	s64 start;
	s64 hw;
};

/**
 * struct kbr_replica_diverging - where a follower's log is another one
 * @epoch: the largest epoch of the leader's log up to the follower's last
 * @end: where it ends in the leader's log
 * @start: the leader's log start, -1 not said
 */
struct kbr_replica_diverging {
	s32 epoch;
	s64 end;
	s64 start;
};

/**
 * kbr_replica_fetched() - a follower fetches: note how far it has come
 * @now_ms: monotonic
 * @diverging: out, for 1
 *
 * May raise the high watermark and wake who waits for it.
 *
 * Context: process.
 * Return: 0; 1 its log diverges from this one: nothing was noted; -EREMOTE not
 * the leader; -ESTALE, -ESRCH another leader epoch; -EPERM not a replica, or an
 * older life of that broker; -ENODATA gone; -EIO the log is not open.
 */
int kbr_replica_fetched(struct kbr_partition *part, const struct kbr_replica_fetch *fetch,
			s64 now_ms, struct kbr_replica_diverging *diverging);

/**
 * kbr_replica_nearest() - who should serve a consumer of @rack that reads at @offset (KIP-392)
 *
 * An in-sync follower of that rack with a session, which has @offset and knows
 * it to be committed; the one with the furthest log of several.
 *
 * Context: process.
 * Return: its node.id; -1: this broker, since it does not lead, is of that rack
 * itself, or there is none.
 */
s32 kbr_replica_nearest(struct kbr_partition *part, const char *rack, s64 offset);

/**
 * kbr_replica_throttle_ms() - how long the copying of @part by replica @id must wait
 * @leading: this broker leads @part and is asked; otherwise it is @id itself, which follows
 *
 * The bounds, leader.replication.throttled.rate and follower.replication.throttled.rate,
 * are for replicas that are not in sync. Context: any but interrupts.
 *
 * Return: ms; 0: not at all.
 */
s64 kbr_replica_throttle_ms(struct kbr_partition *part, s32 id, bool leading);
/** kbr_replica_throttle_take() - so many bytes of records were copied; arguments and context as above */
void kbr_replica_throttle_take(struct kbr_partition *part, s32 id, bool leading, s64 bytes);

/** kbr_replica_check_followers() - ask for another in-sync set where one lags or has caught up; process, may sleep */
void kbr_replica_check_followers(struct kbr_partition *part, s64 now_ms);

/* ---- a follower's side: for the fetcher alone, one caller at a time ---- */

/**
 * struct kbr_replica_position - where a follower goes on
 * @leader: whom it follows, -1 nobody
 * @leader_epoch: in which epoch
 * @last_epoch: of its last record, -1 none
 * @start: log start
 * @end: log end: what it fetches next
 * @synced: what it has on its disk
 */
struct kbr_replica_position {
	s32 leader;
	s32 leader_epoch;
	s32 last_epoch;
	s64 start;
	s64 end;
	s64 synced;
};

/** kbr_replica_get_position() - 0; -EREMOTE it is no follower now; -EIO its log is stopped; -ENODATA gone */
int kbr_replica_get_position(struct kbr_partition *part, struct kbr_replica_position *position);

/**
 * kbr_replica_append() - append what a leader sent
 * @buf: batches back to back, at most KBR_BATCH_BYTES_MAX; the last may be cut off. In
 *	kernel memory; not changed
 * @leader_epoch: of the position that they were fetched from
 * @hw: the leader's high watermark
 * @start: the leader's log start
 *
 * Checks each batch as a client's is checked, but keeps its offsets and epoch.
 * Has it synced. @len 0: only the high watermark and the start are news.
 *
 * Context: process.
 * Return: 0; -ESTALE the role or the epoch is another one now; -EBADMSG damage,
 * or not what was asked for; -ENOSPC, -EIO, -ENOMEM; -ENODATA gone.
 */
int kbr_replica_append(struct kbr_partition *part, void *buf, size_t len, s32 leader_epoch,
		       s64 hw, s64 start);

/**
 * kbr_replica_truncate() - the leader says that the log diverges
 *
 * Cuts where the own largest epoch up to @diverging->epoch ends, or at
 * @diverging->end if that is below. What the leader has deleted is not kept: a log
 * that would end there begins anew at @diverging->start. Return: as
 * kbr_replica_append().
 */
int kbr_replica_truncate(struct kbr_partition *part, s32 leader_epoch,
			 const struct kbr_replica_diverging *diverging);

/**
 * kbr_replica_restart() - the leader has nothing any more of what comes next: begin anew at its start
 *
 * Drops the whole log. Return: as kbr_replica_append().
 */
int kbr_replica_restart(struct kbr_partition *part, s32 leader_epoch, s64 start);

/**
 * struct kbr_follow_ops - what the fetcher provides
 * @follow: fetch @part from its leader from now on; it may be one that was
 *	followed elsewhere
 * @unfollow: after it returns the fetcher does not touch @part
 * @synced: more of @part is on the disk, or a sync failed; any context
 * @forward: something is to be forwarded to @leader (forward.h)
 * @share: something is to be said to @peer about shares (share_far.h)
 * @remote: readers want something from @leader (remote.h)
 * @call: somebody waits for an answer of @peer (call.h)
 * @peer_changed: the address or epoch of peer @id is another one, or it is gone
 * @abort: the namespace ends: close all sockets at once; waits for no disk
 * @stop: the broker ends: nothing is touched after it returns
 *
 * Context: @follow, @unfollow, @stop: operations of the broker; @forward,
 * @share, @remote, @call: process.
 */
struct kbr_follow_ops {
	void (*follow)(struct kbr_partition *part, s32 leader);
	void (*unfollow)(struct kbr_partition *part);
	void (*synced)(struct kbr_partition *part);
	void (*forward)(struct kbr_broker *broker, s32 leader);
	void (*share)(struct kbr_broker *broker, s32 peer);
	void (*remote)(struct kbr_broker *broker, s32 leader);
	void (*call)(struct kbr_broker *broker, s32 peer);
	void (*peer_changed)(struct kbr_broker *broker, s32 id);
	void (*abort)(struct kbr_broker *broker);
	void (*stop)(struct kbr_broker *broker);
};

/** kbr_follow_register() - at module init and exit (NULL) */
void kbr_follow_register(const struct kbr_follow_ops *ops);
const struct kbr_follow_ops *kbr_follow(void);

#endif /* _KBR_BROKER_REPLICA_H */
