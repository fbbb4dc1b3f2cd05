// SPDX-License-Identifier: GPL-2.0-only
/*
 * Writes of io_uring and aio that wait for their acks without a thread: a
 * wait queue entry that completes the request, and a timer for
 * delivery.timeout.ms.
 *
 * Whoever sets KBR_ASYNC_DONE first ends the write. The work is queued from
 * the start; the struct is freed by whoever takes the work off its queue, or
 * else by the work itself. Until the request is completed it holds the file,
 * so the open, the topic and the partition are there.
 */
#include <linux/slab.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

#include "chardev/open.h"

#define KBR_ASYNC_DONE	0

/**
 * struct kbr_async - one write that was appended and not yet acknowledged
 * @wait: in the partition's wait queue
 * @work: deadline, and where errors are dealt with
 * @open: the open
 * @iocb: the request
 * @write: where the records went
 * @ret: what the request returns when all is well
 * @flags: KBR_ASYNC_DONE
 */
struct kbr_async {
	wait_queue_entry_t wait;
	struct delayed_work work;
	struct kbr_open *open;
	struct kiocb *iocb;
	struct kbr_write write;
	ssize_t ret;
	unsigned long flags;
};

static struct workqueue_struct *kbr_async_wq;

/** kbr_async_free() - of one that was not started, or has ended */
void kbr_async_free(struct kbr_async *async)
{
	kbr_write_end(&async->write);
	kfree(async);
}

/* 1 committed, 0 not yet, or what became of the records. Any context. */
static int kbr_async_fate(const struct kbr_async *async)
{
	const struct kbr_write *write = &async->write;

	if (write->forwarded)
		return kbr_forwarded_fate(write->forwarded);
	if (kbr_partition_lost(write->part, write->last, write->failures))
		return -EIO;
	if (kbr_partition_hw(write->part) > write->last)
		return 1;
	if (kbr_topic_gone(kbr_open_topic(async->open)))
		return -ENODEV;
	return READ_ONCE(write->part->state) == KBR_PARTITION_LEADER ? 0 : -EIO;
}

/* The write has ended, and the wait queue does not know it any more. */
static void kbr_async_release(struct kbr_async *async)
{
	if (cancel_delayed_work(&async->work))
		kbr_async_free(async);
}

/* Called with the wait queue's lock, from whatever moved the high watermark. */
static int kbr_async_wake(wait_queue_entry_t *wait, unsigned int mode, int sync, void *key)
{
	struct kbr_async *async = container_of(wait, struct kbr_async, wait);
	struct kiocb *iocb = async->iocb;
	ssize_t ret = async->ret;
	int fate;

	fate = kbr_async_fate(async);
	if (!fate)
		return 0;
	if (fate < 0) {
		/* An unfinished line has to go first, which may sleep. */
		mod_delayed_work(kbr_async_wq, &async->work, 0);
		return 0;
	}
	if (test_and_set_bit(KBR_ASYNC_DONE, &async->flags))
		return 0;
	list_del_init(&wait->entry);
	kbr_async_release(async);
	iocb->ki_complete(iocb, ret);
	return 0;
}

/* The deadline, or an error. */
static void kbr_async_work(struct work_struct *work)
{
	struct kbr_async *async = container_of(to_delayed_work(work), struct kbr_async, work);
	struct kiocb *iocb = async->iocb;
	ssize_t ret = async->ret;
	int fate;

	if (!test_and_set_bit(KBR_ASYNC_DONE, &async->flags)) {
		remove_wait_queue(&async->write.part->wait, &async->wait);
		fate = kbr_async_fate(async);
		if (fate <= 0) {
			ret = fate ?: -ETIMEDOUT;
			kbr_writer_drop_pending(async->open, &async->write);
		}
		iocb->ki_complete(iocb, ret);
	}
	/* A wake-up may have queued it once more while it ran. */
	cancel_delayed_work(&async->work);
	kbr_async_free(async);
}

/**
 * kbr_async_alloc() - what a write needs to wait without a thread; before its append
 * @open: the open
 * @iocb: the request
 *
 * Return: it, or NULL.
 */
struct kbr_async *kbr_async_alloc(struct kbr_open *open, struct kiocb *iocb)
{
	struct kbr_async *async = kzalloc(sizeof(*async), GFP_KERNEL_ACCOUNT);

	if (!async)
		return NULL;
	async->open = open;
	async->iocb = iocb;
	init_waitqueue_func_entry(&async->wait, kbr_async_wake);
	INIT_DELAYED_WORK(&async->work, kbr_async_work);
	return async;
}

/**
 * kbr_async_start() - complete the request when the acks are met
 * @async: taken over
 * @write: the write, appended or forwarded; taken over
 * @ret: what the request returns then
 *
 * Context: process, no lock held. Return: -EIOCBQUEUED; or, if its fate is
 * known already, what the request returns.
 */
ssize_t kbr_async_start(struct kbr_async *async, const struct kbr_write *write, ssize_t ret)
{
	/* What was forwarded ends by itself. */
	s64 timeout_ms = write->forwarded ? INT_MAX :
			 READ_ONCE(kbr_open_topic(async->open)->config.delivery_timeout_ms);
	struct wait_queue_head *queue = &write->part->wait;
	struct kbr_open *open = async->open;
	int fate;

	async->write = *write;
	async->ret = ret;
	/* With the lock no wake-up ends it before all is set up. */
	spin_lock_irq(&queue->lock);
	__add_wait_queue(queue, &async->wait);
	smp_mb();	/* pairs with wq_has_sleeper() where the high watermark moves */
	fate = kbr_async_fate(async);
	if (fate)
		__remove_wait_queue(queue, &async->wait);
	else
		queue_delayed_work(kbr_async_wq, &async->work,
				   msecs_to_jiffies(min_t(s64, timeout_ms, INT_MAX)));
	spin_unlock_irq(&queue->lock);
	if (!fate)
		return -EIOCBQUEUED;	/* by now it may be completed, and the file closed */
	kbr_async_free(async);
	if (fate > 0)
		return ret;
	kbr_writer_drop_pending(open, write);
	return fate;
}

/** kbr_async_init() - before the first open; 0 or -ENOMEM */
int kbr_async_init(void)
{
	kbr_async_wq = alloc_workqueue("kbroker-dev", WQ_MEM_RECLAIM | WQ_UNBOUND, 0);
	return kbr_async_wq ? 0 : -ENOMEM;
}

/** kbr_async_exit() - after the last release; waits for work that has just ended its write */
void kbr_async_exit(void)
{
	destroy_workqueue(kbr_async_wq);
}
