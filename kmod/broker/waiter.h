/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A parked request: who waits for partitions or operations without a thread.
 *
 * A waiter belongs to one connection or other object that has a work item; it
 * hangs on the wait queues of what it waits for, and queues that work when one
 * of them has news. The work looks again and arms the waiter anew or drops it.
 *
 * No wake-up is lost. Who makes news changes the partition, passes a full
 * barrier (wq_has_sleeper(), or the wake function's own), sets @news and queues
 * the work; who waits joins the queue, passes a full barrier, and looks at the
 * partition: one of them sees the other (as in "Readers take none of them",
 * Documentation/locking.rst).
 */
#ifndef _KBR_BROKER_WAITER_H
#define _KBR_BROKER_WAITER_H

#include <linux/atomic.h>
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
 * @offset: news are the high watermark above it, a failed sync, or the
 *	partition's end
 * @failures: syncs that had failed before
 * @size: bytes of the log that are accounted for (under @head's lock); 0: not
 *	known, any progress is news
 * @start: log start when @size was read: bytes that retention took do not hide
 *	bytes that came
 * @end: a follower's: a log end above it is news, too; -1: it is nobody's follower
 * @state: enum kbr_partition_state as it was: another one is news
 */
struct kbr_waiter_entry {
	wait_queue_entry_t wait;
	wait_queue_head_t *head;
	struct kbr_waiter *waiter;
	struct kbr_partition *part;
	s64 offset;
	u32 failures;
	u64 size;
	s64 start;
	s64 end;
	u8 state;
};

/**
 * struct kbr_waiter - see the head of this file
 * @wq: where @work is queued
 * @work: queued at news (any context, also under a wait queue's lock)
 * @news: something happened, see kbr_waiter_take_news()
 * @missing: bytes that must be appended, to all logs together, before progress
 *	of those whose size is known is news
 * @count: entries
 * @entries: an array of the owner
 */
struct kbr_waiter {
	struct workqueue_struct *wq;
	struct work_struct *work;
	bool news;
	atomic64_t missing;
	unsigned int count;
	struct kbr_waiter_entry *entries;
};

/**
 * struct kbr_waiter_mark - how much a log holds, see kbr_waiter_mark()
 * @size: bytes, all of them committed; 0 if some are not
 * @start: log start
 */
struct kbr_waiter_mark {
	u64 size;
	s64 start;
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
/** kbr_waiter_mark() - note how much @part holds, before looking how much of it there is to read */
void kbr_waiter_mark(struct kbr_waiter_mark *mark, const struct kbr_partition *part);
/**
 * kbr_waiter_add_bytes() - as kbr_waiter_add_partition(), for somebody who also waits for bytes
 * @mark: taken before the caller looked how much there is
 *
 * kbr_waiter_need_bytes() comes first.
 */
void kbr_waiter_add_bytes(struct kbr_waiter *waiter, struct kbr_partition *part, s64 offset,
			  const struct kbr_waiter_mark *mark);
/** kbr_waiter_need_bytes() - so many bytes more make it worth looking */
static inline void kbr_waiter_need_bytes(struct kbr_waiter *waiter, s64 bytes)
{
	atomic64_set(&waiter->missing, bytes);
}

/**
 * kbr_waiter_add_replica() - a follower's Fetch waits
 * @end: for records from here on, committed or not
 * @hw: or for a high watermark above this one
 */
void kbr_waiter_add_replica(struct kbr_waiter *waiter, struct kbr_partition *part, s64 end, s64 hw);

/** kbr_waiter_add_head() - wait for any wake-up of @head, which lives until kbr_waiter_drop() */
void kbr_waiter_add_head(struct kbr_waiter *waiter, wait_queue_head_t *head);
/**
 * kbr_waiter_take_news() - has something happened since the last time?
 *
 * Once for each piece of news; what made it news is visible afterwards.
 */
bool kbr_waiter_take_news(struct kbr_waiter *waiter);
/** kbr_waiter_drop() - leave all queues; after it no more news comes (work may still be queued) */
void kbr_waiter_drop(struct kbr_waiter *waiter);

#endif /* _KBR_BROKER_WAITER_H */
