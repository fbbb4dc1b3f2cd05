/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a broker's start works with; private to broker_start.c and
 * broker_stray.c.
 */
#ifndef _KBR_BROKER_START_H
#define _KBR_BROKER_START_H

#include <linux/atomic.h>
#include <linux/list.h>

#include "broker/broker.h"
#include "broker/metadata.h"

/* A topic that the metadata log says was deleted */
struct kbr_deleted {
	struct list_head node;
	u8 id[16];
	char name[];
};

/**
 * struct kbr_start - the state of one start
 * @op: its operation
 * @clean: the broker stopped cleanly before
 * @recovery: recovery points as checkpointed
 * @starts: log starts as checkpointed
 * @hws: high watermarks as checkpointed, for members
 * @has_kept: @kept was in the metadata log, and no config of this start differs
 * @kept: the broker's owner and mode as kept (no configs)
 * @deleted: topics that were deleted
 * @parts: all partitions
 * @count: entries of @parts
 * @next: next of @parts to open
 * @done: how many were opened
 * @failed: how many could not be, or are damaged
 * @scanned_bytes: read by recovery
 * @cut_bytes: cut off as torn
 */
struct kbr_start {
	struct kbr_op *op;
	bool clean;
	struct kbr_offset_table *recovery;
	struct kbr_offset_table *starts;
	struct kbr_offset_table *hws;
	bool has_kept;
	struct kbr_metadata_broker kept;
	struct list_head deleted;
	struct kbr_partition **parts;
	unsigned int count;
	atomic_t next;
	atomic_t done;
	atomic_t failed;
	atomic64_t scanned_bytes;
	atomic64_t cut_bytes;
};

/** kbr_start_delete_leftovers() - remove directories of deleted logs; what can't be removed stays */
void kbr_start_delete_leftovers(struct kbr_broker *broker);
/** kbr_start_tidy() - deal with partition directories that no topic has */
int kbr_start_tidy(struct kbr_broker *broker);

#endif /* _KBR_BROKER_START_H */
