/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Topics: names to partitions, configs, owner and mode.
 */
#ifndef _KBR_BROKER_TOPIC_H
#define _KBR_BROKER_TOPIC_H

#include <linux/kref.h>
#include <linux/rbtree.h>
#include <linux/rcupdate.h>
#include <linux/types.h>
#include <linux/uidgid.h>
#include <linux/wait.h>

#include "broker/broker.h"
#include "broker/config.h"

struct kbr_partition;

enum kbr_topic_state { KBR_TOPIC_CREATING, KBR_TOPIC_ACTIVE, KBR_TOPIC_DELETING, KBR_TOPIC_DELETED };

/**
 * struct kbr_partition_array - partitions of a topic; replaced as a whole when it grows
 */
struct kbr_partition_array {
	struct rcu_head rcu;
	unsigned int count;
	struct kbr_partition *part[];
};

/**
 * struct kbr_topic - one topic
 * @ref: kref; the table, each partition's user and each open device hold one
 * @node: in kbr_broker.topics
 * @broker: holds a reference
 * @name: its name
 * @id: UUID
 * @uid: owner (broker's topics_sem for changes; READ_ONCE)
 * @gid: group
 * @mode: 0..0777: read = consume, write = produce
 * @internal: begins with "__"
 * @state: enum kbr_topic_state (READ_ONCE; changed under the broker's topics_sem)
 * @replication_factor: as created
 * @config: effective configs; altered field by field while in use, see
 *	kbr_topic_config_publish()
 * @config_set: those set explicitly
 * @partitions: RCU array
 * @wait: readers of "all"; woken when any partition's high watermark moves
 * @all_minor: minor of the "all" node
 * @handles: open devices of the topic (list, @handles_lock)
 * @next_partition: round-robin counter for writers of "all"
 * @has_all_minor: @all_minor was allocated
 */
struct kbr_topic {
	struct kref ref;
	struct rb_node node;
	struct kbr_broker *broker;
	char *name;
	u8 id[16];
	kuid_t uid;
	kgid_t gid;
	umode_t mode;
	bool internal;
	enum kbr_topic_state state;
	u16 replication_factor;
	struct kbr_topic_config config;
	struct kbr_config_set config_set;
	struct kbr_partition_array __rcu *partitions;
	wait_queue_head_t wait;
	u32 all_minor;
	struct list_head handles;
	spinlock_t handles_lock;
	atomic_t next_partition;
	bool has_all_minor;
};

/** struct kbr_topic_params - what "topic create" gives; unset: -1 / invalid ids */
struct kbr_topic_params {
	const char *name;
	s32 partitions;			/* -1: num.partitions */
	s32 replication_factor;		/* -1: default; must be 1 while standalone */
	bool internal;			/* the broker's own code asks: names with "__" are its */
	const u8 *id;			/* a member: what the controller has decided; NULL: it is asked */
	const __be32 *assignment;	/* see struct kbr_topic_wish; NULL none; a member only */
	size_t assignment_len;		/* bytes */
	struct kbr_owner owner;
	struct kbr_config_set configs;	/* taken over on success */
};

/** struct kbr_topic_change - what "topic alter" gives */
struct kbr_topic_change {
	struct kbr_owner owner;
	s32 partitions;			/* new total, -1: unchanged */
	const u8 *id;			/* it must be this topic; a member: the controller has decided so */
	const __be32 *assignment;	/* of the new partitions, as in kbr_topic_params */
	size_t assignment_len;
	struct kbr_config_set set;
	struct kbr_config_set del;
};

/** kbr_topic_name_check() - 0, or -EINVAL with the rule that @name breaks */
int kbr_topic_name_check(const char *name, struct kbr_refusal *why);
/** kbr_topic_name_internal() - is it the name of one of the broker's own topics? */
bool kbr_topic_name_internal(const char *name);

/**
 * kbr_topic_create() - check everything that can be checked at once, then an operation
 *
 * On a member of a cluster all that changes topics is asked of the controller,
 * whose answer ends the operation, unless it is what the controller has
 * decided, which is told by the topic's id.
 *
 * Return: 0 and *@op_id; -EEXIST; -EINVAL; -E2BIG too many partitions; -ENODEV broker not running.
 */
int kbr_topic_create(struct kbr_broker *broker, struct kbr_topic_params *params, u32 *op_id,
		     struct kbr_refusal *why);
/** kbr_topic_check_create() - would kbr_topic_create() begin? Its errors but those of the queue */
int kbr_topic_check_create(struct kbr_broker *broker, struct kbr_topic_params *params,
			   struct kbr_refusal *why);
/** kbr_topic_delete() - delete it; @id: it must be this topic, see kbr_topic_change; NULL: any */
int kbr_topic_delete(struct kbr_broker *broker, const char *name, const u8 *id, u32 *op_id,
		     struct kbr_refusal *why);
int kbr_topic_alter(struct kbr_broker *broker, const char *name,
		    const struct kbr_topic_change *change, u32 *op_id, struct kbr_refusal *why);
/** kbr_topic_check_alter() - would kbr_topic_alter() begin? */
int kbr_topic_check_alter(struct kbr_broker *broker, const char *name,
			  const struct kbr_topic_change *change, struct kbr_refusal *why);
/** kbr_topic_delete_records() - raise the log start of one partition; @offset -1: high watermark */
int kbr_topic_delete_records(struct kbr_broker *broker, const char *name, u32 partition,
			     s64 offset, u32 *op_id, struct kbr_refusal *why);

/** kbr_topic_lookup() - active topic by name; a reference or NULL */
struct kbr_topic *kbr_topic_lookup(struct kbr_broker *broker, const char *name);
/** kbr_topic_next() - first active topic with a name after @after ("" or NULL: the first); a reference or NULL */
struct kbr_topic *kbr_topic_next(struct kbr_broker *broker, const char *after);
bool kbr_topic_get_unless_zero(struct kbr_topic *topic);
void kbr_topic_get(struct kbr_topic *topic);
void kbr_topic_put(struct kbr_topic *topic);

/** kbr_topic_partitions() - number of partitions; any context */
unsigned int kbr_topic_partitions(struct kbr_topic *topic);
/** kbr_topic_partition() - partition @index, or NULL; valid while a reference on @topic is held */
struct kbr_partition *kbr_topic_partition(struct kbr_topic *topic, unsigned int index);
/** kbr_topic_pick() - next partition in turn, for writers of "all" */
struct kbr_partition *kbr_topic_pick(struct kbr_topic *topic);
/** kbr_topic_gone() - deleted, or its broker is dead: readers get end of file, writers -ENODEV */
bool kbr_topic_gone(const struct kbr_topic *topic);

struct kbr_metadata_topic;

/* The rest is between topic.c, topic_ops.c and the broker's start and stop. */

/** kbr_topic_alloc() - an unpublished topic with OFFLINE partitions; takes over @found->configs on success */
struct kbr_topic *kbr_topic_alloc(struct kbr_broker *broker, struct kbr_metadata_topic *found,
				  struct kbr_refusal *why);
/** kbr_topic_insert() - put it in the table, whose reference is the caller's; topics_sem held for writing; -EEXIST */
int kbr_topic_insert_locked(struct kbr_topic *topic);
/** kbr_topic_alloc_minors() - device numbers for "all" and the partitions from @from on */
int kbr_topic_alloc_minors(struct kbr_topic *topic, struct kbr_partition_array *array,
			   unsigned int from);
/** kbr_topic_free_minors() - give them back; the nodes can't be opened any more */
void kbr_topic_free_minors(struct kbr_topic *topic);
/** kbr_topic_wake() - wake everybody who sleeps on it or one of its partitions */
void kbr_topic_wake(struct kbr_topic *topic);
struct kbr_partition_array *kbr_topic_array(struct kbr_topic *topic);

#endif /* _KBR_BROKER_TOPIC_H */
