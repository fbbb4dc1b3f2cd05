/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What an administrator does to a consumer group: operations beside those of
 * topics, since they wait for the disk.
 */
#ifndef _KBR_BROKER_GROUP_OPS_H
#define _KBR_BROKER_GROUP_OPS_H

#include "broker/group.h"

/**
 * kbr_group_reset() - commit offsets for a group without members, made if it is not there
 * @broker: its broker
 * @name: name of the group, 1 to KBR_GROUP_NAME_MAX bytes
 * @offsets: topic, partition and offset count; copied
 * @count: how many
 * @op_id: out: operation to watch
 * @why: gets the sentence
 *
 * Return: 0; -EBUSY it has members; -ENODEV the broker does not run; -ENOMEM.
 */
int kbr_group_reset(struct kbr_broker *broker, const char *name,
		    const struct kbr_group_offset *offsets, unsigned int count, u32 *op_id,
		    struct kbr_refusal *why);
/** kbr_group_forget() - delete committed offsets; as kbr_group_reset(), but the group is there: -ENOENT */
int kbr_group_forget(struct kbr_broker *broker, const char *name,
		     const struct kbr_group_offset *offsets, unsigned int count, u32 *op_id,
		     struct kbr_refusal *why);
/** kbr_group_remove() - delete a group without members; as kbr_group_forget() */
int kbr_group_remove(struct kbr_broker *broker, const char *name, u32 *op_id,
		     struct kbr_refusal *why);

/** kbr_group_refuse() - the errno of Kafka's @code, and the sentence for it; 0 if it is none */
int kbr_group_refuse(struct kbr_broker *broker, struct kbr_refusal *why, s16 code,
		     const char *name);

#endif /* _KBR_BROKER_GROUP_OPS_H */
