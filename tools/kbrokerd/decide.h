/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a cluster's controller decides: who leads, who is in sync, who may come
 * to lead. Pure: no I/O, no clock, no allocation; the same state and the same
 * call give the same result on every node, so that the daemons can apply one
 * log and agree. It is compiled into kbrokerd and into the simulation alike.
 *
 * The rules are Kafka's: clean election from the in-sync set in assignment
 * order, eligible leader replicas (KIP-966), broker epochs in changes of the
 * in-sync set (KIP-903), compare-and-set by partition epoch.
 *
 * What the state promises of each partition (kbd_partition_check()):
 *
 *	- the leader, the ISR and the ELR are replicas, each named once; the
 *	  ISR and the ELR have none in common; the leader is in the ISR
 *	- the leader is registered and not fenced; it is shutting down only as
 *	  long as nobody else could lead
 *	- the ELR is empty while the ISR has min_isr members or more
 *	- the leader epoch rises with each change of the leader, the partition
 *	  epoch with each change at all
 */
#ifndef _KBROKERD_DECIDE_H
#define _KBROKERD_DECIDE_H

#include <linux/types.h>

/* Replicas of a partition, those that come and go by a reassignment included */
#define KBD_REPLICAS_MAX	16
/* Brokers of a cluster */
#define KBD_BROKERS_MAX		256
#define KBD_RACK_MAX		63

#define KBD_NO_BROKER		(-1)

/**
 * struct kbd_broker - a registered broker
 * @id: node.id
 * @epoch: of this registration; rises with each one in the cluster
 * @directory_id: of its disk
 * @rack: where it stands, "" unknown
 * @fenced: has no session: leads nothing, is in no ISR
 * @stopping: is shutting down: gets no leadership
 */
struct kbd_broker {
	s32 id;
	s64 epoch;
	u8 directory_id[16];
	char rack[KBD_RACK_MAX + 1];
	bool fenced;
	bool stopping;
};

/**
 * struct kbd_brokers - all of them, by rising id
 * @count: how many
 * @broker: the brokers
 */
struct kbd_brokers {
	unsigned int count;
	struct kbd_broker broker[KBD_BROKERS_MAX];
};

/**
 * struct kbd_set - ids of brokers, in an order that means something, each once
 * @count: how many
 * @id: the ids
 */
struct kbd_set {
	u8 count;
	s32 id[KBD_REPLICAS_MAX];
};

/**
 * struct kbd_partition - what the cluster knows of a partition
 * @replicas: in order of preference
 * @target: what a reassignment leads to, empty if there is none
 * @from: the replicas before it, empty if there is none
 * @isr: in-sync replicas
 * @elr: replicas that hold all that was committed, though not in sync
 * @leader: KBD_NO_BROKER: none
 * @leader_epoch: rises with each change of @leader
 * @partition_epoch: rises with each change
 * @min_isr: min.insync.replicas of its topic, at most the number of replicas
 * @async: flush.policy=async: who stopped uncleanly may have lost what it acknowledged
 * @unclean: unclean.leader.election.enable
 */
struct kbd_partition {
	struct kbd_set replicas;
	struct kbd_set target;
	struct kbd_set from;
	struct kbd_set isr;
	struct kbd_set elr;
	s32 leader;
	s32 leader_epoch;
	s32 partition_epoch;
	u8 min_isr;
	bool async;
	bool unclean;
};

/** enum kbd_refusal - why a change is refused; the requests' answers are Kafka's errors */
enum kbd_refusal {
	KBD_OK,
	KBD_NOT_LEADER,		/* who asks does not lead */
	KBD_FENCED_EPOCH,	/* the leader epoch or the broker epoch is older */
	KBD_STALE,		/* the partition epoch is not the current one */
	KBD_INELIGIBLE,		/* a member is unknown, fenced, stopping, or another registration */
	KBD_INVALID,		/* no set of replicas, or with one twice */
	KBD_TOO_FEW,		/* fewer brokers than replicas are asked for */
	KBD_NOTHING,		/* it is so already */
};

bool kbd_set_has(const struct kbd_set *set, s32 id);
/** kbd_set_add() - behind the others; false: it is full, or has it */
bool kbd_set_add(struct kbd_set *set, s32 id);
/** kbd_set_del() - false: it did not have it */
bool kbd_set_del(struct kbd_set *set, s32 id);
bool kbd_set_equal(const struct kbd_set *a, const struct kbd_set *b);

/** kbd_broker_find() - NULL: not registered */
struct kbd_broker *kbd_broker_find(struct kbd_brokers *brokers, s32 id);
/** kbd_broker_may_lead() - registered, neither fenced nor stopping */
bool kbd_broker_may_lead(const struct kbd_brokers *brokers, s32 id);

/**
 * kbd_partition_init() - a new partition of those replicas
 * @replicas: in order of preference; all that may lead are in sync
 *
 * Return: KBD_OK; KBD_INVALID; KBD_INELIGIBLE none of them may lead.
 */
enum kbd_refusal kbd_partition_init(struct kbd_partition *part, const struct kbd_brokers *brokers,
				    const struct kbd_set *replicas, u8 min_isr);

/**
 * kbd_partition_update() - what follows from the state of the brokers
 *
 * To be called for each partition after each change of brokers, of its own
 * configs, and after kbd_partition_forget(): takes fenced brokers out of the
 * ISR, elects a leader where there is none or it may lead no longer, ends a
 * reassignment whose target is in sync.
 *
 * Return: true if anything changed.
 */
bool kbd_partition_update(struct kbd_partition *part, const struct kbd_brokers *brokers);

/**
 * kbd_partition_forget() - broker @id may lack what it had: it is in no ISR and no ELR
 * @gone: its directory is another one. Else it stopped uncleanly: that matters
 *	to async partitions alone, and not where it was the last that had anything
 *
 * kbd_partition_update() follows. Return: true if anything changed.
 */
bool kbd_partition_forget(struct kbd_partition *part, s32 id, bool gone);

/**
 * struct kbd_isr_change - a leader wants another ISR
 * @leader: who asks
 * @broker_epoch: its own
 * @leader_epoch: of its leadership
 * @partition_epoch: that the change is made from
 * @isr: all members wanted; without the leader: it resigns, and the set is what it leaves
 * @epochs: broker epoch of each; -1: not known, of who is in the set already
 */
struct kbd_isr_change {
	s32 leader;
	s64 broker_epoch;
	s32 leader_epoch;
	s32 partition_epoch;
	struct kbd_set isr;
	s64 epochs[KBD_REPLICAS_MAX];
};

/**
 * kbd_partition_change_isr() - make it so, or say why not
 *
 * Where a member is ineligible the partition epoch rises all the same: until the
 * leader hears of a newer one it counts the larger set, since a change that it asked
 * for may still be carried out.
 */
enum kbd_refusal kbd_partition_change_isr(struct kbd_partition *part,
					  const struct kbd_brokers *brokers,
					  const struct kbd_isr_change *change);

/**
 * struct kbd_loss - the replica of a broker that has a session lacks what it had
 * @id: the broker
 * @broker_epoch: its own
 * @partition_epoch: that it knows of
 */
struct kbd_loss {
	s32 id;
	s64 broker_epoch;
	s32 partition_epoch;
};

/**
 * kbd_partition_lose() - it is in no set any more, or why not
 *
 * A new leader epoch begins, even if the leader stays: whatever anybody knows of that
 * replica is of the epochs before. The replica may begin anew in it, not sooner.
 *
 * Return: KBD_OK; KBD_INELIGIBLE nobody else has what was committed and could lead;
 * KBD_INVALID no replica is there; KBD_FENCED_EPOCH; KBD_STALE.
 */
enum kbd_refusal kbd_partition_lose(struct kbd_partition *part, const struct kbd_brokers *brokers,
				    const struct kbd_loss *loss);

/**
 * kbd_partition_move_leader() - elect somebody else than @from, who is still in sync
 *
 * For controlled shutdown (@from is stopping) and for the preferred leader.
 * @to: whom, or KBD_NO_BROKER: the first that can
 *
 * Return: KBD_OK; KBD_NOTHING; KBD_INELIGIBLE nobody else can.
 */
enum kbd_refusal kbd_partition_move_leader(struct kbd_partition *part,
					   const struct kbd_brokers *brokers, s32 from, s32 to);

/** kbd_partition_preferred() - who should lead, if it could now; KBD_NO_BROKER: it leads, or it can't */
s32 kbd_partition_preferred(const struct kbd_partition *part, const struct kbd_brokers *brokers);

/**
 * kbd_partition_reassign() - lead the replicas over to @target
 *
 * They become replicas at once; the old ones leave when all of @target are in
 * sync. Another target during a reassignment replaces the first one; the
 * replicas from before, as target, cancel it.
 */
enum kbd_refusal kbd_partition_reassign(struct kbd_partition *part,
					const struct kbd_brokers *brokers,
					const struct kbd_set *target);

/**
 * kbd_place() - choose the replicas of partition @index of a new topic
 * @start: any number; the same for all partitions of a topic
 * @replicas: out
 *
 * Leaders go round the brokers; the others of a partition are in racks that it
 * has not yet, as long as there are any. Fenced and stopping brokers are passed over.
 *
 * Return: KBD_OK; KBD_TOO_FEW.
 */
enum kbd_refusal kbd_place(const struct kbd_brokers *brokers, unsigned int start,
			   unsigned int index, unsigned int replication_factor,
			   struct kbd_set *replicas);

/** kbd_partition_check() - what the head of this file promises; NULL, or what is wrong */
const char *kbd_partition_check(const struct kbd_partition *part,
				const struct kbd_brokers *brokers);

#endif /* _KBROKERD_DECIDE_H */
