/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Who has a topic open, and where each reader stands: what "partition
 * describe" shows as readers and writers with pid and lag.
 */
#ifndef _KBR_BROKER_HANDLE_H
#define _KBR_BROKER_HANDLE_H

#include <linux/list.h>
#include <linux/sched.h>
#include <linux/types.h>
#include "broker/topic.h"

struct kbr_share_member;
struct kbr_share_part;

/**
 * struct kbr_handle - embedded in a front end's per-open struct
 * @node: in kbr_topic.handles (handles_lock)
 * @topic: holds a reference
 * @partition: index, -1 for "all"
 * @pid: thread group id of the opener, in the initial pid namespace
 * @comm: its name
 * @mode: FMODE_READ, FMODE_WRITE
 * @format: enum kbroker_format (READ_ONCE)
 * @read_any: it has read (readers only)
 * @lost: records that retention took from it
 * @positions: next offset wanted, one a partition (one only for a partition
 *	node); written by the open under its own lock, read with READ_ONCE
 *	under handles_lock; replaced under handles_lock when the topic grows
 * @positions_count: entries
 * @member: member of a group: it, which sleeps in a wait queue of its own; else
 *	NULL; set under handles_lock
 * @parts: member of a group: the partitions of @positions, in order, some of which
 *	it may have lost; else NULL; replaced with them
 */
struct kbr_handle {
	struct list_head node;
	struct kbr_topic *topic;
	s32 partition;
	pid_t pid;
	char comm[TASK_COMM_LEN];
	fmode_t mode;
	u32 format;
	bool read_any;
	u64 lost;
	s64 *positions;
	unsigned int positions_count;
	struct kbr_share_member *member;
	struct kbr_share_part **parts;
};

/** kbr_handle_add() - register; takes a reference on @topic and counts on its broker */
void kbr_handle_add(struct kbr_handle *handle, struct kbr_topic *topic, s32 partition, fmode_t mode);
void kbr_handle_del(struct kbr_handle *handle);

/** kbr_handle_set_member() - it is a member of a group from now on, which lives until kbr_handle_del() */
void kbr_handle_set_member(struct kbr_handle *handle, struct kbr_share_member *member);
/** kbr_handles_wake() - wake members of groups, who do not sleep in a wait queue of @topic */
void kbr_handles_wake(struct kbr_topic *topic);

/** struct kbr_handle_info - a copy for netlink */
struct kbr_handle_info {
	s32 partition;
	pid_t pid;
	char comm[TASK_COMM_LEN];
	fmode_t mode;
	u32 format;
	u64 lost;
	s64 position;		/* of the partition asked for; -1 for writers */
};

/** kbr_handle_nth() - the @n-th open device that concerns @partition (-1: any); false past the end */
bool kbr_handle_nth(struct kbr_topic *topic, s32 partition, unsigned int n,
		    struct kbr_handle_info *info);

#endif /* _KBR_BROKER_HANDLE_H */
