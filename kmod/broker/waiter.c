// SPDX-License-Identifier: GPL-2.0-only
/*
 * Wait queue entries of parked requests; see waiter.h. What is waited for and
 * what follows from it is the owner's business.
 */
#include "base/kunit.h"
#include "broker/waiter.h"

/* Is it over with @entry's partition, or did a sync fail since it was waited for? */
static bool kbr_waiter_ended(const struct kbr_waiter_entry *entry)
{
	const struct kbr_partition *part = entry->part;

	return kbr_topic_gone(part->topic) ||
	       READ_ONCE(part->state) != entry->state ||
	       READ_ONCE(part->sync_failures) != entry->failures;
}

/*
 * Could progress of @entry's partition be what is waited for? With the wait
 * queue's lock. Counts what came since, for all entries of the waiter.
 */
static bool kbr_waiter_enough(struct kbr_waiter_entry *entry)
{
	const struct kbr_log *log = &entry->part->log;
	u64 size, before = entry->size;

	if (entry->end >= 0 && kbr_log_end(log) > entry->end)
		return true;
	if (kbr_partition_hw(entry->part) <= entry->offset)
		return false;
	if (!before)
		return true;
	size = kbr_log_size(log);
	if (kbr_log_start(log) != entry->start || size < before)
		return true;
	entry->size = size;
	return atomic64_sub_return(size - before, &entry->waiter->missing) <= 0;
}

/* Called with the wait queue's lock, from whatever made the news. */
static int kbr_waiter_wake(wait_queue_entry_t *wait, unsigned int mode, int sync, void *key)
{
	struct kbr_waiter_entry *entry = container_of(wait, struct kbr_waiter_entry, wait);
	struct kbr_waiter *waiter = entry->waiter;

	if (entry->part && !kbr_waiter_enough(entry) && !kbr_waiter_ended(entry))
		return 0;
	/* (A) what changed before @news; pairs with (B) in kbr_waiter_take_news() */
	smp_mb();
	WRITE_ONCE(waiter->news, true);
	/* Queueing is a full barrier too: the work that runs next sees @news. */
	queue_work(waiter->wq, waiter->work);
	return 0;
}

void kbr_waiter_init(struct kbr_waiter *waiter, struct workqueue_struct *wq,
		     struct work_struct *work, struct kbr_waiter_entry *entries)
{
	*waiter = (struct kbr_waiter) { .wq = wq, .work = work, .entries = entries };
}
KBR_EXPORT_IF_KUNIT(kbr_waiter_init);

static void kbr_waiter_join(struct kbr_waiter *waiter, struct kbr_waiter_entry *entry,
			    wait_queue_head_t *head)
{
	init_waitqueue_func_entry(&entry->wait, kbr_waiter_wake);
	entry->waiter = waiter;
	entry->head = head;
	waiter->count++;
	add_wait_queue(head, &entry->wait);
	/* Pairs with wq_has_sleeper() where the high watermark moves: the caller looks after it. */
	smp_mb();
}

void kbr_waiter_add_partition(struct kbr_waiter *waiter, struct kbr_partition *part, s64 offset)
{
	static const struct kbr_waiter_mark nothing;

	kbr_waiter_add_bytes(waiter, part, offset, &nothing);
}
KBR_EXPORT_IF_KUNIT(kbr_waiter_add_partition);

void kbr_waiter_mark(struct kbr_waiter_mark *mark, const struct kbr_partition *part)
{
	u64 size = kbr_log_size(&part->log);

	mark->start = kbr_log_start(&part->log);
	/*
	 * The size before the end, the end before the watermark: if these two
	 * are equal all of @size is committed, and whoever looks next finds it.
	 */
	mark->size = kbr_log_end(&part->log) == kbr_partition_hw(part) ? size : 0;
}
KBR_EXPORT_IF_KUNIT(kbr_waiter_mark);

void kbr_waiter_add_bytes(struct kbr_waiter *waiter, struct kbr_partition *part, s64 offset,
			  const struct kbr_waiter_mark *mark)
{
	struct kbr_waiter_entry *entry = &waiter->entries[waiter->count];

	entry->part = part;
	entry->offset = offset;
	entry->failures = READ_ONCE(part->sync_failures);
	entry->state = READ_ONCE(part->state);
	entry->size = mark->size;
	entry->start = mark->start;
	entry->end = -1;
	kbr_waiter_join(waiter, entry, &part->wait);
}
KBR_EXPORT_IF_KUNIT(kbr_waiter_add_bytes);

void kbr_waiter_add_replica(struct kbr_waiter *waiter, struct kbr_partition *part, s64 end, s64 hw)
{
	struct kbr_waiter_entry *entry = &waiter->entries[waiter->count];

	entry->part = part;
	entry->offset = hw;
	entry->failures = READ_ONCE(part->sync_failures);
	entry->state = READ_ONCE(part->state);
	entry->size = 0;
	entry->start = 0;
	entry->end = end;
	kbr_waiter_join(waiter, entry, &part->wait);
}
KBR_EXPORT_IF_KUNIT(kbr_waiter_add_replica);

void kbr_waiter_add_head(struct kbr_waiter *waiter, wait_queue_head_t *head)
{
	struct kbr_waiter_entry *entry = &waiter->entries[waiter->count];

	entry->part = NULL;
	kbr_waiter_join(waiter, entry, head);
}
KBR_EXPORT_IF_KUNIT(kbr_waiter_add_head);

bool kbr_waiter_take_news(struct kbr_waiter *waiter)
{
	if (!READ_ONCE(waiter->news))
		return false;
	WRITE_ONCE(waiter->news, false);
	/*
	 * (B) pairs with (A) in kbr_waiter_wake(): news that come in between are
	 * wiped away, but what they told of is then seen by the look that follows.
	 */
	smp_mb();
	return true;
}
KBR_EXPORT_IF_KUNIT(kbr_waiter_take_news);

void kbr_waiter_drop(struct kbr_waiter *waiter)
{
	struct kbr_waiter_entry *entry;

	/* A wake-up runs under the queue's lock, which this takes: it is over then, or never begins. */
	while (waiter->count) {
		entry = &waiter->entries[--waiter->count];
		remove_wait_queue(entry->head, &entry->wait);
		entry->head = NULL;
	}
}
KBR_EXPORT_IF_KUNIT(kbr_waiter_drop);
