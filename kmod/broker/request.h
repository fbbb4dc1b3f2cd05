/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a member asks of its cluster's controller: state, not an event. A
 * request is open until it is answered, until its time is over or until what
 * it was about is gone; the event that tells of it is a hint, and a controller
 * that starts, or has missed one, dumps those that are open.
 *
 * (The requests of Kafka's clients are the server's, struct kbr_request.)
 *
 * Lifetime: kref; the table of open ones holds one reference. It ends once,
 * by whoever takes it out of the table.
 */
#ifndef _KBR_BROKER_REQUEST_H
#define _KBR_BROKER_REQUEST_H

#include <linux/kref.h>
#include <linux/list.h>
#include <linux/types.h>
#include <linux/kbroker_netlink.h>

#include "broker/cluster.h"
#include "broker/topic.h"

struct kbr_op;
struct kbr_partition;

enum kbr_cluster_request_kind {
	KBR_REQUEST_ISR,
	KBR_REQUEST_TOPIC_NEW,
	KBR_REQUEST_TOPIC_SET,
	KBR_REQUEST_TOPIC_DEL,
	KBR_REQUEST_LEAVE,
};

/*
 * Open requests of one broker beside those for in-sync sets, of which each
 * partition has one. Fewer than operations that may wait: what the controller
 * decides upon them must be carried out.
 */
#define KBR_CLUSTER_REQUESTS_MAX	2048

/**
 * struct kbr_isr_wish - another in-sync set for a partition
 * @leader_epoch: of the leadership that asks
 * @partition_epoch: what it is to be changed from
 * @lost: of any replica: it lacks what it had, and is to be in no set; no set is wanted
 * @count: entries of @id and @epoch; 0: the last member resigns
 * @id: the set, as node.ids; without the broker itself: it resigns
 * @epoch: broker epochs of its members, as they have proved them, -1 not known
 */
struct kbr_isr_wish {
	s32 leader_epoch;
	s32 partition_epoch;
	bool lost;
	u8 count;
	s32 id[KBROKER_REPLICAS_MAX];
	s64 epoch[KBROKER_REPLICAS_MAX];
};

/**
 * struct kbr_topic_wish - a topic, or a change of one
 * @name: its name
 * @has_id: @id is known
 * @id: UUID
 * @partitions: wanted, 0: as configured, or unchanged
 * @replication_factor: wanted, 0: as configured
 * @assignment: replicas of the partitions that are new, one after the other: a
 *	count and so many node.ids, big-endian; NULL: as the controller chooses
 * @assignment_len: bytes
 * @owner: wanted owner, group and mode
 * @set: configs to set
 * @del: configs to reset
 */
struct kbr_topic_wish {
	char name[KBR_TOPIC_NAME_MAX + 1];
	bool has_id;
	u8 id[16];
	u32 partitions;
	u16 replication_factor;
	__be32 *assignment;
	size_t assignment_len;
	struct kbr_owner owner;
	struct kbr_config_set set;
	struct kbr_config_set del;
};

/**
 * struct kbr_cluster_request - an open request
 * @ref: kref
 * @broker: its broker; a reference
 * @id: unique while the broker runs, rising, never 0
 * @kind: what is asked
 * @opened_ms: monotonic time
 * @deadline_ms: likewise; S64_MAX none
 * @node: in the table's list of those with a deadline
 * @op: operation that its end ends, a reference; NULL none
 * @by_part: ISR: in the table's hash
 * @part: ISR: the partition, with a reference on its topic
 * @isr: ISR
 * @topic: all about topics
 */
struct kbr_cluster_request {
	struct kref ref;
	struct kbr_broker *broker;
	u64 id;
	enum kbr_cluster_request_kind kind;
	s64 opened_ms;
	s64 deadline_ms;
	struct list_head node;
	struct kbr_op *op;
	union {
		struct {
			struct hlist_node by_part;
			struct kbr_partition *part;
			struct kbr_isr_wish isr;
		};
		struct kbr_topic_wish topic;
	};
};

/**
 * kbr_cluster_isr_request() - ask for another in-sync set of @part
 *
 * Takes the place of an open request for it. Context: process, may sleep, no
 * spinlock of the partition held.
 * Return: 0; -EINVAL standalone, or too many; -ENODEV it stops; -ESTALE the open one is of a
 * later partition epoch; -ENOMEM.
 */
int kbr_cluster_isr_request(struct kbr_partition *part, const struct kbr_isr_wish *wish);
/** kbr_cluster_isr_drop() - @part was told a newer state, or leads no more: nothing is asked. Context as above */
void kbr_cluster_isr_drop(struct kbr_partition *part);

/**
 * kbr_cluster_request_answer() - the controller's answer
 * @error: 0 done, or a negative errno
 * @message: why it was refused, or NULL
 * Return: 0; -ENOENT it is not open any more; -EINVAL standalone.
 */
int kbr_cluster_request_answer(struct kbr_broker *broker, u64 id, int error, const char *message,
			       struct kbr_refusal *why);
/** kbr_cluster_request_lookup() - open request @id, a reference, or NULL */
struct kbr_cluster_request *kbr_cluster_request_lookup(struct kbr_broker *broker, u64 id);
/** kbr_cluster_request_next() - the open one with the smallest id above @after, a reference, or NULL */
struct kbr_cluster_request *kbr_cluster_request_next(struct kbr_broker *broker, u64 after);
void kbr_cluster_request_put(struct kbr_cluster_request *request);
/** kbr_cluster_request_alloc() - one that is about a topic, or about leaving, to be filled; NULL without memory */
struct kbr_cluster_request *kbr_cluster_request_alloc(struct kbr_broker *broker,
						      enum kbr_cluster_request_kind kind);
/** kbr_cluster_topic_drop() - @topic is being deleted: nothing is asked for its partitions any more */
void kbr_cluster_topic_drop(struct kbr_topic *topic);
/**
 * kbr_cluster_request_open() - ask, for at most @timeout_ms
 *
 * Return: 0; -ENODEV the broker stops; -EAGAIN too many are open; -ENOMEM.
 */
int kbr_cluster_request_open(struct kbr_cluster_request *request, s64 timeout_ms,
			     struct kbr_refusal *why);
/** kbr_cluster_leave_now() - no longer wait for the controller to move leaderships away */
void kbr_cluster_leave_now(struct kbr_broker *broker);
/** kbr_cluster_request_topic() - name of the topic that it is about, NULL: of none */
const char *kbr_cluster_request_topic(const struct kbr_cluster_request *request);

#endif /* _KBR_BROKER_REQUEST_H */
