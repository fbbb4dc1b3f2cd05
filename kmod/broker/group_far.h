/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Changes of groups that another broker of the cluster coordinates; for
 * group_ops.c.
 */
#ifndef _KBR_BROKER_GROUP_FAR_H
#define _KBR_BROKER_GROUP_FAR_H

#include "broker/group.h"

/**
 * kbr_group_change_there() - have the coordinator of group @name change it
 * @key: KBR_API_OFFSET_COMMIT, as nobody's member; KBR_API_OFFSET_DELETE;
 *	KBR_API_DELETE_GROUPS
 * @name: the group
 * @offsets: which; not for DELETE_GROUPS
 * @count: how many
 * @code: out: with 0: the first of Kafka's errors that it said, 0 none
 * @sent: false at first; true: one that lost its connection may have done it
 *
 * One that can't be reached, or coordinates it no more, is asked again, or the
 * next one is, for 30 s. Context: process; killable.
 *
 * Return: 0; -EREMOTE: this broker coordinates it; what kbr_call_wait() and
 * kbr_groups_coordinator() return.
 */
int kbr_group_change_there(struct kbr_broker *broker, s16 key, const struct kbr_str *name,
			   const struct kbr_group_offset *offsets, unsigned int count, s16 *code,
			   bool *sent);

#endif /* _KBR_BROKER_GROUP_FAR_H */
