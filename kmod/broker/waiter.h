/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A parked request: who waits for partitions or operations without a thread.
 *
 * A waiter belongs to one connection or other object that has a work item; it
 * hangs on the wait queues of what it waits for, and queues that work when one
 * of them has news. The work looks again and arms the waiter anew or drops it.
 */
#ifndef _KBR_BROKER_WAITER_H
#define _KBR_BROKER_WAITER_H

#include <linux/types.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

#include "broker/partition.h"

struct kbr_waiter;

/**
 * struct kbr_waiter_entry - a place on one wait queue
 * @wait: on @head
 * @head: NULL while it is on none
 * @waiter: whose
 * @part: partition whose @offset is waited for; NULL: any wake-up counts
 * @offset: news are the high watermark above it, or the partition's end
 */
struct kbr_waiter_entry {
	wait_queue_entry_t wait;
	wait_queue_head_t *head;
	struct kbr_waiter *waiter;
	struct kbr_partition *part;
	s64 offset;
};

/**
 * struct kbr_waiter - see the head of this file
 * @wq: where @work is queued
 * @work: queued at news (any context, also under a wait queue's lock)
 * @news: something happened since kbr_waiter_arm(); set before @work is queued
 * @count: entries
 * @entries: an array of the owner
 */
struct kbr_waiter {
	struct workqueue_struct *wq;
	struct work_struct *work;
	bool news;
	unsigned int count;
	struct kbr_waiter_entry *entries;
};

void kbr_waiter_init(struct kbr_waiter *waiter, struct workqueue_struct *wq,
		     struct work_struct *work, struct kbr_waiter_entry *entries);
/**
 * kbr_waiter_add_partition() - wait for the high watermark of @part to pass @offset
 *
 * The caller holds a reference on its topic until kbr_waiter_drop(). After it
 * the caller must look at the partition once more before it goes to sleep.
 */
void kbr_waiter_add_partition(struct kbr_waiter *waiter, struct kbr_partition *part, s64 offset);
/** kbr_waiter_add_head() - wait for any wake-up of @head, which lives until kbr_waiter_drop() */
void kbr_waiter_add_head(struct kbr_waiter *waiter, wait_queue_head_t *head);
/** kbr_waiter_drop() - leave all queues; after it no more news comes (work may still be queued) */
void kbr_waiter_drop(struct kbr_waiter *waiter);

#endif /* _KBR_BROKER_WAITER_H */
