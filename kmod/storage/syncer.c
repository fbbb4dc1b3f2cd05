// SPDX-License-Identifier: GPL-2.0-only
/*
 * Group commit; see syncer.h. Decides when to sync and for whom; how files are
 * made durable is kbr_file_sync_many()'s, what to do with the result is the
 * targets' business.
 *
 * DOC: the window
 *
 * Writers that are served together come back together, a moment later and not
 * all at once. A leader that started with the first of them would leave the
 * others for the next round, and from then on half of the writers would wait
 * while the other half is served: twice the flushes. So the leader waits until
 * as many have joined as were there at the end of the previous round, served
 * or waiting. It waits for at most as long as a sync takes, which is what those
 * who come too late would wait anyway, and never longer than
 * KBR_SYNC_WINDOW_NS; not at all for a single writer, nor if nobody has come
 * for longer than a sync takes, and more and more rarely when less than half
 * of those come who were waited for.
 *
 * Writers whose way back is longer than a sync, say through a network, would
 * still be served by halves. A longer window serves them all, and they lose
 * nothing by it; but of writers that come one by one and don't wait for each
 * other it would only collect more. Which ones they are shows when the window
 * is long: if hardly anybody comes while the sync runs, those who come are
 * those who were served. So the leader is patient for KBR_SYNC_TRIAL rounds
 * now and then, and stays so for as long as that holds. See
 * kbr_sync_habit_note().
 */
#include <linux/hrtimer.h>
#include <linux/ktime.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

#include "base/kunit.h"
#include "storage/syncer.h"

/* The longest wait for others to join, and that of a patient leader */
#define KBR_SYNC_WINDOW_NS	(2 * NSEC_PER_MSEC)
#define KBR_SYNC_PATIENT_NS	(8 * NSEC_PER_MSEC)
/* A patient leader waits for so many times as long as a sync takes */
#define KBR_SYNC_PATIENCE	4
/* Rounds after which is decided anew whether to be patient */
#define KBR_SYNC_TRIAL		16
/* Patience is tried again after at most so many times KBR_SYNC_TRIAL rounds */
#define KBR_SYNC_TRIAL_PAUSE_MAX	64
/* Fewer writers a round are not worth patience */
#define KBR_SYNC_TRIAL_WRITERS	4
/* At most one writer in so many may come while the others are served */
#define KBR_SYNC_TRIAL_LATE	8
/* What nobody waits for is synced so much later */
#define KBR_SYNC_LAZY_MS	10
/* After so many windows in vain at most 2^n - 1 rounds go without one */
#define KBR_SYNC_MISSES_MAX	6
/* Files of one flush */
#define KBR_SYNC_FILES_MIN	64
#define KBR_SYNC_FILES_MAX	4096

/**
 * struct kbr_sync_batch - files of one flush; the worker's own
 * @files: the files
 * @errs: results
 * @owners: whose they are
 * @n: how many
 * @cap: room in the three, which are one allocation
 */
struct kbr_sync_batch {
	struct kbr_file **files;
	struct kbr_sync_target **owners;
	int *errs;
	unsigned int n;
	unsigned int cap;
};

/**
 * struct kbr_syncer - see the head of this file
 * @dir: whose files are synced
 * @wq: one worker of its own, which is there under memory pressure too
 * @work: the leader; delayed if nobody waits
 * @lock: guards what follows up to @stats; taken with interrupts off
 * @queue: targets of the next round
 * @joined: writers that wait for the next round
 * @hurry: somebody waits for a target of @queue
 * @running: the leader is awake and will look at @queue again
 * @expected: writers that the leader waits for before it starts
 * @stats: counters
 * @window: where the leader waits for writers
 * @ended: where others wait for the end of a round
 * @batch: files of the flush under way
 * @sync_ns: moving average of the time that a sync takes
 * @last_end: when the last round ended
 * @misses: windows in vain in a row
 * @skip: rounds that go without a window
 * @habit: how long to wait
 */
struct kbr_syncer {
	struct kbr_dir *dir;
	struct workqueue_struct *wq;
	struct delayed_work work;
	spinlock_t lock;
	struct list_head queue;
	unsigned int joined;
	bool hurry;
	bool running;
	unsigned int expected;
	struct kbr_syncer_stats stats;
	wait_queue_head_t window;
	wait_queue_head_t ended;
	struct kbr_sync_batch batch;
	u64 sync_ns;
	ktime_t last_end;
	unsigned int misses;
	unsigned int skip;
	struct kbr_sync_habit habit;
};

static int kbr_sync_batch_grow(struct kbr_sync_batch *batch)
{
	unsigned int cap = batch->cap ? batch->cap * 2 : KBR_SYNC_FILES_MIN;
	struct kbr_sync_batch new = { .n = batch->n, .cap = cap };

	if (cap > KBR_SYNC_FILES_MAX)
		return -E2BIG;
	new.files = kvmalloc_array(cap, sizeof(*new.files) + sizeof(*new.owners) +
				   sizeof(*new.errs), GFP_KERNEL | __GFP_NOWARN);
	if (!new.files)
		return -ENOMEM;
	new.owners = (struct kbr_sync_target **)(new.files + cap);
	new.errs = (int *)(new.owners + cap);
	if (batch->n) {
		memcpy(new.files, batch->files, batch->n * sizeof(*new.files));
		memcpy(new.owners, batch->owners, batch->n * sizeof(*new.owners));
	}
	kvfree(batch->files);
	*batch = new;
	return 0;
}

/**
 * kbr_sync_habit_note() - a round is over: how long to wait before the next ones?
 * @habit: what was noted before; zeroed at first
 * @served: writers that the round served
 * @late: writers that came while they were
 *
 * Sets @habit->patient.
 */
void kbr_sync_habit_note(struct kbr_sync_habit *habit, unsigned int served, unsigned int late)
{
	bool many, together;

	habit->served += served;
	habit->late += late;
	if (++habit->rounds < KBR_SYNC_TRIAL)
		return;
	many = habit->served >= KBR_SYNC_TRIAL_WRITERS * KBR_SYNC_TRIAL;
	together = habit->late <= habit->served / KBR_SYNC_TRIAL_LATE;
	if (!habit->patient) {
		if (many && ++habit->paused >= habit->pause)
			habit->patient = true;
	} else if (many && together) {
		habit->pause = 0;
	} else {
		habit->patient = false;
		habit->pause = clamp(habit->pause * 2, 1U, (unsigned int)KBR_SYNC_TRIAL_PAUSE_MAX);
		habit->paused = 0;
	}
	habit->rounds = 0;
	habit->served = 0;
	habit->late = 0;
}
KBR_EXPORT_IF_KUNIT(kbr_sync_habit_note);

/* Wait for the writers of the previous round, if that is likely to help. */
static void kbr_syncer_wait_window(struct kbr_syncer *syncer)
{
	u64 ns = syncer->habit.patient ?
		 min_t(u64, KBR_SYNC_PATIENT_NS, KBR_SYNC_PATIENCE * syncer->sync_ns) :
		 min_t(u64, KBR_SYNC_WINDOW_NS, syncer->sync_ns);
	unsigned int before = READ_ONCE(syncer->joined), came;

	if (!ns || before >= syncer->expected)
		return;
	/* Whoever comes after such a pause is not one of those who were served. */
	if (ktime_to_ns(ktime_sub(ktime_get(), syncer->last_end)) > syncer->sync_ns)
		return;
	if (syncer->skip && !syncer->habit.patient) {
		syncer->skip--;
		return;
	}
	wait_event_hrtimeout(syncer->window, READ_ONCE(syncer->joined) >= syncer->expected,
			     ns_to_ktime(ns));
	came = READ_ONCE(syncer->joined) - before;
	if (came >= (syncer->expected - before + 1) / 2) {
		syncer->misses = 0;
	} else {
		syncer->misses = min(syncer->misses + 1, (unsigned int)KBR_SYNC_MISSES_MAX);
		syncer->skip = BIT(syncer->misses) - 1;
	}
}

/* Take all that is queued; returns how many writers wait for it. */
static unsigned int kbr_syncer_begin(struct kbr_syncer *syncer, struct list_head *round)
{
	struct kbr_sync_target *target;
	unsigned int waiters = 0;

	spin_lock_irq(&syncer->lock);
	list_for_each_entry(target, &syncer->queue, node) {
		waiters += target->waiters;
		target->waiters = 0;
		target->queued = false;
		target->busy = true;
		target->begun++;
	}
	list_splice_init(&syncer->queue, round);
	syncer->joined = 0;
	syncer->hurry = false;
	spin_unlock_irq(&syncer->lock);
	return waiters;
}

/* Sync what was collected, and charge the errors to those whose files they are. */
static void kbr_syncer_sync(struct kbr_syncer *syncer)
{
	struct kbr_sync_batch *batch = &syncer->batch;
	ktime_t start = ktime_get();
	unsigned int i;
	u64 ns;
	int err;

	if (!batch->n)
		return;
	err = kbr_file_sync_many(syncer->dir, batch->files, batch->errs, batch->n);
	ns = ktime_to_ns(ktime_sub(ktime_get(), start));
	syncer->sync_ns = syncer->sync_ns ? (syncer->sync_ns * 7 + ns) / 8 : ns;
	for (i = 0; err && i < batch->n; i++)
		if (batch->errs[i] && !batch->owners[i]->err)
			batch->owners[i]->err = batch->errs[i];

	spin_lock_irq(&syncer->lock);
	syncer->stats.rounds++;
	syncer->stats.files += batch->n;
	syncer->stats.usecs += div_u64(ns, NSEC_PER_USEC);
	spin_unlock_irq(&syncer->lock);
	batch->n = 0;
}

/* Tell the targets of a flush. Once one is not busy it may be gone. */
static void kbr_syncer_end(struct kbr_syncer *syncer, struct list_head *done)
{
	struct kbr_sync_target *target, *tmp;

	list_for_each_entry_safe(target, tmp, done, node) {
		list_del_init(&target->node);
		target->ops->done(target, target->err);
		spin_lock_irq(&syncer->lock);
		if (target->err)
			syncer->stats.errors++;
		target->busy = false;
		target->ended++;
		if (target->queued)
			list_add_tail(&target->node, &syncer->queue);
		spin_unlock_irq(&syncer->lock);
	}
	wake_up_all(&syncer->ended);
}

/* Collect the files of one target; more than there is room for are synced on the way. */
static void kbr_syncer_collect(struct kbr_syncer *syncer, struct kbr_sync_target *target)
{
	struct kbr_sync_batch *batch = &syncer->batch;
	unsigned int room, i;
	int n;

	target->err = 0;
	do {
		if (batch->n == batch->cap && kbr_sync_batch_grow(batch))
			kbr_syncer_sync(syncer);
		room = batch->cap - batch->n;
		n = target->ops->collect(target, batch->files + batch->n, room);
		if (n < 0) {
			target->err = target->err ?: n;
			return;
		}
		for (i = 0; i < n; i++)
			batch->owners[batch->n++] = target;
	} while (n == room);
}

static void kbr_syncer_round(struct kbr_syncer *syncer)
{
	struct kbr_sync_target *target, *tmp;
	unsigned int served, late;
	LIST_HEAD(round);
	LIST_HEAD(done);

	kbr_syncer_wait_window(syncer);
	served = kbr_syncer_begin(syncer, &round);
	list_for_each_entry_safe(target, tmp, &round, node) {
		/* A full batch is a flush of its own, unless there is memory for more. */
		if (syncer->batch.n == syncer->batch.cap && kbr_sync_batch_grow(&syncer->batch)) {
			kbr_syncer_sync(syncer);
			kbr_syncer_end(syncer, &done);
		}
		kbr_syncer_collect(syncer, target);
		list_move_tail(&target->node, &done);
	}
	kbr_syncer_sync(syncer);

	syncer->last_end = ktime_get();
	spin_lock_irq(&syncer->lock);
	syncer->stats.waiters += served;
	late = syncer->joined;
	syncer->expected = served + late;
	spin_unlock_irq(&syncer->lock);
	kbr_sync_habit_note(&syncer->habit, served, late);
	kbr_syncer_end(syncer, &done);
}

static void kbr_syncer_work(struct work_struct *work)
{
	struct kbr_syncer *syncer = container_of(work, struct kbr_syncer, work.work);

	spin_lock_irq(&syncer->lock);
	syncer->running = true;
	do {
		spin_unlock_irq(&syncer->lock);
		kbr_syncer_round(syncer);
		cond_resched();
		spin_lock_irq(&syncer->lock);
	} while (syncer->hurry);
	syncer->running = false;
	if (!list_empty(&syncer->queue))
		queue_delayed_work(syncer->wq, &syncer->work, msecs_to_jiffies(KBR_SYNC_LAZY_MS));
	spin_unlock_irq(&syncer->lock);
}

/* Have the leader start now; the lock is held. */
static void kbr_syncer_kick_locked(struct kbr_syncer *syncer)
{
	lockdep_assert_held(&syncer->lock);
	if (!syncer->hurry) {
		syncer->hurry = true;
		if (!syncer->running)
			mod_delayed_work(syncer->wq, &syncer->work, 0);
	}
	/* Some more than expected never come: then the window ends by itself. */
	if (syncer->running && syncer->joined >= syncer->expected)
		wake_up(&syncer->window);
}

/**
 * kbr_syncer_create() - make the syncer of a broker
 * @dir: broker directory; must live longer
 * @name: of the broker, shown in the worker's name
 *
 * Return: the syncer, or NULL without memory.
 */
struct kbr_syncer *kbr_syncer_create(struct kbr_dir *dir, const char *name)
{
	struct kbr_syncer *syncer = kzalloc(sizeof(*syncer), GFP_KERNEL);

	if (!syncer)
		return NULL;
	syncer->dir = dir;
	spin_lock_init(&syncer->lock);
	INIT_LIST_HEAD(&syncer->queue);
	init_waitqueue_head(&syncer->window);
	init_waitqueue_head(&syncer->ended);
	INIT_DELAYED_WORK(&syncer->work, kbr_syncer_work);
	if (kbr_sync_batch_grow(&syncer->batch))
		goto err_free;
	syncer->wq = alloc_workqueue("kbr_sync/%s", WQ_UNBOUND | WQ_MEM_RECLAIM | WQ_HIGHPRI, 1,
				     name);
	if (!syncer->wq)
		goto err_batch;
	return syncer;

err_batch:
	kvfree(syncer->batch.files);
err_free:
	kfree(syncer);
	return NULL;
}
KBR_EXPORT_IF_KUNIT(kbr_syncer_create);

/**
 * kbr_syncer_destroy() - stop and free
 * @syncer: may be NULL; all targets have been removed
 *
 * Context: process; waits for a round under way.
 */
void kbr_syncer_destroy(struct kbr_syncer *syncer)
{
	if (!syncer)
		return;
	cancel_delayed_work_sync(&syncer->work);
	WARN_ON(!list_empty(&syncer->queue));
	destroy_workqueue(syncer->wq);
	kvfree(syncer->batch.files);
	kfree(syncer);
}
KBR_EXPORT_IF_KUNIT(kbr_syncer_destroy);

/**
 * kbr_sync_target_init() - prepare a target
 * @target: zeroed or not
 * @ops: how to reach it
 */
void kbr_sync_target_init(struct kbr_sync_target *target, const struct kbr_sync_ops *ops)
{
	memset(target, 0, sizeof(*target));
	INIT_LIST_HEAD(&target->node);
	target->ops = ops;
}
KBR_EXPORT_IF_KUNIT(kbr_sync_target_init);

/**
 * kbr_syncer_request() - have a target synced soon
 * @syncer: of its broker
 * @target: what has something to sync; not being removed
 * @waiters: how many more writers will wait for it; 0: nobody, no hurry
 *
 * What the target had before this call is collected by a round that begins
 * after it.
 *
 * Context: any that may take a spinlock.
 */
void kbr_syncer_request(struct kbr_syncer *syncer, struct kbr_sync_target *target,
			unsigned int waiters)
{
	unsigned long flags;

	spin_lock_irqsave(&syncer->lock, flags);
	target->waiters += waiters;
	syncer->joined += waiters;
	if (!target->queued) {
		target->queued = true;
		/* A busy one is in the round's list; it comes back when that is over. */
		if (!target->busy)
			list_add_tail(&target->node, &syncer->queue);
	}
	if (waiters)
		kbr_syncer_kick_locked(syncer);
	else if (!syncer->running)
		queue_delayed_work(syncer->wq, &syncer->work, msecs_to_jiffies(KBR_SYNC_LAZY_MS));
	spin_unlock_irqrestore(&syncer->lock, flags);
}
KBR_EXPORT_IF_KUNIT(kbr_syncer_request);

static bool kbr_syncer_target_ended(struct kbr_syncer *syncer, struct kbr_sync_target *target,
				    u32 want)
{
	bool ended;

	spin_lock_irq(&syncer->lock);
	ended = (s32)(target->ended - want) >= 0 || (!target->queued && !target->busy);
	spin_unlock_irq(&syncer->lock);
	return ended;
}

/**
 * kbr_syncer_flush() - wait until all that was requested for a target is done
 * @syncer: of its broker
 * @target: target
 *
 * A queued target is synced at once. Requests made meanwhile are not waited for.
 *
 * Context: process, not the target's own callbacks; waits for the disk.
 */
void kbr_syncer_flush(struct kbr_syncer *syncer, struct kbr_sync_target *target)
{
	u32 want;

	spin_lock_irq(&syncer->lock);
	want = target->begun + target->queued;
	if (target->queued)
		kbr_syncer_kick_locked(syncer);
	spin_unlock_irq(&syncer->lock);
	wait_event(syncer->ended, kbr_syncer_target_ended(syncer, target, want));
}
KBR_EXPORT_IF_KUNIT(kbr_syncer_flush);

/**
 * kbr_syncer_remove() - forget a target
 * @syncer: of its broker
 * @target: nobody requests it any more; may be freed when this returns
 *
 * What is only queued is not synced. A round that includes it is waited for.
 *
 * Context: process, not the target's own callbacks; may wait for the disk.
 */
void kbr_syncer_remove(struct kbr_syncer *syncer, struct kbr_sync_target *target)
{
	spin_lock_irq(&syncer->lock);
	if (target->queued && !target->busy)
		list_del_init(&target->node);
	target->queued = false;
	syncer->joined -= target->waiters;
	target->waiters = 0;
	spin_unlock_irq(&syncer->lock);
	wait_event(syncer->ended, kbr_syncer_target_ended(syncer, target, target->begun));
	/* Others who flushed it see that it is no longer queued. */
	wake_up_all(&syncer->ended);
}
KBR_EXPORT_IF_KUNIT(kbr_syncer_remove);

/**
 * kbr_syncer_get_stats() - read the counters
 * @syncer: syncer
 * @stats: result
 */
void kbr_syncer_get_stats(struct kbr_syncer *syncer, struct kbr_syncer_stats *stats)
{
	spin_lock_irq(&syncer->lock);
	*stats = syncer->stats;
	spin_unlock_irq(&syncer->lock);
}
KBR_EXPORT_IF_KUNIT(kbr_syncer_get_stats);
