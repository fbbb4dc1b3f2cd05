/* SPDX-License-Identifier: GPL-2.0-only */
/* What the controller says of many partitions at once, as an operation. */
#ifndef _KBR_BROKER_REPLICA_OPS_H
#define _KBR_BROKER_REPLICA_OPS_H

#include "broker/replica.h"

/**
 * struct kbr_replica_item - one partition
 * @topic: name of its topic
 * @id: UUID of its topic
 * @partition: its number
 * @state: what is said of it
 * @made: its log was made by this operation
 */
struct kbr_replica_item {
	char topic[KBR_TOPIC_NAME_MAX + 1];
	u8 id[16];
	u32 partition;
	struct kbr_replica_state state;
	bool made;
};

/**
 * kbr_replica_set() - be what the controller says, partition by partition
 * @items: an array for kvfree(), taken over on success
 * @count: 1..KBROKER_REPLICA_SET_MAX
 * @op_id: out: operation that does it; one that can't be done does not keep
 *	the others from it, and its error is that of the operation
 *
 * Return: 0; -EINVAL not a member of a cluster; -ENODEV not running; -ENOMEM.
 */
int kbr_replica_set(struct kbr_broker *broker, struct kbr_replica_item *items, unsigned int count,
		    u32 *op_id, struct kbr_refusal *why);

#endif /* _KBR_BROKER_REPLICA_OPS_H */
