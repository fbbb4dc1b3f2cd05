// SPDX-License-Identifier: GPL-2.0-only
/*
 * The character devices: numbers, open and close, and what the VFS asks of an
 * open. Waiting is done here and in splice.c, nowhere else in this directory.
 *
 * The contract is Documentation/ABI/testing/dev-kbroker; comments cite its
 * sentences. Formats are lines.c, record.c and batch.c.
 */
#include <linux/cdev.h>
#include <linux/module.h>
#include <linux/poll.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/splice.h>

#include "base/kunit.h"
#include "broker/access.h"
#include "broker/broker.h"
#include "broker/node.h"
#include "broker/replica.h"
#include "chardev/chardev.h"
#include "chardev/open.h"
#include "kbr_compat.h"

#define KBR_CHARDEV_MINORS	(MINORMASK + 1)

static struct cdev kbr_chardev;

static void kbr_open_free(struct kbr_open *open)
{
	kbr_open_destroy_reader(open);
	kbr_open_destroy_writer(open);
	kfree(open);
}

/* N7, N8: the node's own mode was the VFS's business, the topic's is ours. */
static int kbr_open_check_access(const struct kbr_topic *topic, const struct file *file)
{
	unsigned int what = 0;

	if (file->f_mode & FMODE_READ)
		what |= KBR_MAY_CONSUME;
	if (file->f_mode & FMODE_WRITE)
		what |= KBR_MAY_PRODUCE;
	return kbr_access_check(topic, file->f_cred, what);
}

static int kbr_open_join(struct kbr_open *open, struct kbr_node *node)
{
	const struct kbr_str name = { .at = node->group->name, .len = node->group->len };
	int err = kbr_member_join(open, node->group, &name);

	if (!err)
		node->group = NULL;	/* taken over */
	return err;
}

static int kbr_chardev_open(struct inode *inode, struct file *file)
{
	struct kbr_open *open;
	struct kbr_node node;
	int err;

	err = kbr_node_lookup(iminor(inode), &node);
	if (err)
		return err;
	err = -ENXIO;
	if (kbr_topic_gone(node.topic))
		goto out_put;
	err = -EROFS;
	if (node.group && (file->f_mode & FMODE_WRITE))
		goto out_put;	/* G1 */
	err = kbr_open_check_access(node.topic, file);
	if (err)
		goto out_put;

	err = -ENOMEM;
	open = kzalloc(sizeof(*open), GFP_KERNEL_ACCOUNT);
	if (!open)
		goto out_put;
	if (node.partition >= 0)
		open->part = kbr_topic_partition(node.topic, node.partition);
	kbr_open_init_writer(open);
	if (kbr_open_init_reader(open)) {
		kbr_open_free(open);
		goto out_put;
	}
	kbr_handle_add(&open->handle, node.topic, node.partition,
		       file->f_mode & (FMODE_READ | FMODE_WRITE));
	if (node.group) {
		err = kbr_open_join(open, &node);
		if (err) {
			kbr_handle_del(&open->handle);
			kbr_open_free(open);
			goto out_put;
		}
	}
	file->private_data = open;
	/* P5: the position is ours; lseek() moves it, the VFS's is not used. */
	file->f_mode &= ~(FMODE_PREAD | FMODE_PWRITE);
	file->f_mode |= FMODE_STREAM | FMODE_NOWAIT;
	err = 0;
out_put:
	if (node.group)
		kbr_node_put_group(node.group);
	kbr_topic_put(node.topic);	/* the handle has its own */
	return err;
}

/*
 * L6: each close() by a process that a signal killed ends here, also when
 * others still have the open. Takes no lock, since another process may sleep
 * with it: the next one to use the writer looks.
 */
static int kbr_chardev_flush(struct file *file, fl_owner_t id)
{
	struct kbr_open *open = file->private_data;

	if ((current->flags & PF_EXITING) && (current->exit_code & 0x7f))
		WRITE_ONCE(open->writer.killed_tgid, task_tgid_nr(current));
	return 0;
}

static int kbr_chardev_release(struct inode *inode, struct file *file)
{
	struct kbr_open *open = file->private_data;
	struct kbr_write write = { .final = true };

	if (file->f_mode & FMODE_WRITE) {
		/* L5: nobody is there to hear of a failure. */
		mutex_lock(&open->writer.lock);
		kbr_lines_finish(open, &write);
		mutex_unlock(&open->writer.lock);
		kbr_write_end(&write);
	}
	kbr_reader_forget_far(open);
	kbr_handle_del(&open->handle);
	if (kbr_open_group(open))
		kbr_member_leave(open);
	kbr_open_free(open);
	return 0;
}

/* Lock one side of an open as the caller can wait for it. */
static int kbr_open_lock(struct mutex *lock, bool nowait)
{
	if (mutex_trylock(lock))
		return 0;
	if (nowait)
		return -EAGAIN;
	return mutex_lock_interruptible(lock) ? -ERESTARTSYS : 0;
}

static ssize_t kbr_open_read(struct kbr_open *open, struct iov_iter *to)
{
	if (unlikely(open->reader.overtaken)) {
		open->reader.overtaken = false;
		return -EPIPE;
	}
	switch (open->handle.format) {
	case KBROKER_FORMAT_RECORD:
		return kbr_record_read(open, to);
	case KBROKER_FORMAT_BATCH:
		return kbr_batch_read(open, to);
	default:
		return kbr_lines_read(open, to);
	}
}

/**
 * kbr_open_try_read() - read without waiting for records
 * @open: the open
 * @to: where to
 * @nowait: nor for other readers of the open
 * @again: the same read() has tried before
 *
 * Return: bytes; 0 end of file; -EAGAIN nothing to read now; -ERESTARTSYS;
 * -ESTALE a member of a group lost what it had; the formats' errors.
 */
ssize_t kbr_open_try_read(struct kbr_open *open, struct iov_iter *to, bool nowait, bool again)
{
	struct kbr_topic *topic = kbr_open_topic(open);
	ssize_t ret;

	if (kbr_topic_gone(topic))
		return 0;	/* P12 */
	ret = kbr_open_lock(&open->reader.lock, nowait);
	if (ret)
		return ret;
	if (kbr_open_group(open)) {
		ret = kbr_member_enter(open, again ? KBR_SHARE_AGAIN : KBR_SHARE_READ);
		if (!ret) {
			ret = kbr_open_read(open, to);
			kbr_member_exit(open);
		}
	} else {
		ret = kbr_open_read(open, to);
	}
	mutex_unlock(&open->reader.lock);
	if (likely(ret > 0))
		return ret;
	if (ret == -ENODATA || (ret == -ENODEV && kbr_topic_gone(topic)))
		return 0;
	if (ret == -EINTR)
		return -ERESTARTSYS;
	return ret ?: -EAGAIN;
}
KBR_EXPORT_IF_KUNIT(kbr_open_try_read);

static ssize_t kbr_chardev_read_iter(struct kiocb *iocb, struct iov_iter *to)
{
	struct kbr_open *open = iocb->ki_filp->private_data;
	bool nowait = iocb->ki_flags & IOCB_NOWAIT;
	bool nonblock = nowait || (iocb->ki_filp->f_flags & O_NONBLOCK);
	bool again = false;
	ssize_t ret;

	if (!iov_iter_count(to))
		return 0;
	for (;; again = true) {
		ret = kbr_open_try_read(open, to, nowait, again);
		if (ret != -EAGAIN || nonblock)
			return ret;
		/* What was ready may be no record (F4): then it comes round again. */
		if (signal_pending(current))
			return -ERESTARTSYS;
		cond_resched();
		if (wait_event_interruptible(*kbr_open_wait_queue(open), kbr_reader_ready(open)))
			return -ERESTARTSYS;
	}
}

static ssize_t kbr_open_write(struct kbr_open *open, struct iov_iter *from,
			      struct kbr_write *write)
{
	ssize_t ret;

	if (unlikely(open->writer.unsettled)) {
		ret = kbr_writer_check(open);	/* W5 */
		if (ret)
			return ret;
	}
	switch (open->handle.format) {
	case KBROKER_FORMAT_RECORD:
		ret = kbr_record_write(open, from, write);
		break;
	case KBROKER_FORMAT_BATCH:
		ret = kbr_batch_write(open, from, write);
		break;
	default:
		ret = kbr_lines_write(open, from, write);
	}
	kbr_writer_trim(&open->writer);
	return ret;
}

/*
 * W14: io_uring and aio go on, and hear when the acks are met. Writes that are
 * to be on stable storage whatever the topic says wait in a thread of theirs.
 */
static ssize_t kbr_open_write_async(struct kbr_open *open, struct kiocb *iocb,
				    struct iov_iter *from, bool nowait)
{
	struct kbr_write write = { .nowait = nowait };
	struct kbr_async *async;
	ssize_t ret;

	async = kbr_async_alloc(open, iocb);
	if (!async)
		return -ENOMEM;
	ret = kbr_open_lock(&open->writer.lock, nowait);
	if (ret)
		goto out_free;
	ret = kbr_open_write(open, from, &write);
	mutex_unlock(&open->writer.lock);
	if (ret > 0 && write.part && !write.detached &&
	    (write.forwarded || READ_ONCE(open->writer.acks) == KBR_ACKS_ALL))
		return kbr_async_start(async, &write, ret);
	kbr_write_end(&write);
out_free:
	kbr_async_free(async);
	return ret;
}

static ssize_t kbr_chardev_write_iter(struct kiocb *iocb, struct iov_iter *from)
{
	struct kbr_open *open = iocb->ki_filp->private_data;
	bool nonblock = iocb->ki_filp->f_flags & O_NONBLOCK;
	bool nowait = iocb->ki_flags & IOCB_NOWAIT;
	struct kbr_write write = { };
	ssize_t ret;
	int err;

	if (kbr_topic_gone(kbr_open_topic(open)))
		return -ENODEV;
	if (!iov_iter_count(from))
		return 0;
	if (!is_sync_kiocb(iocb) && !nonblock) {
		if (!(iocb->ki_flags & IOCB_DSYNC))
			return kbr_open_write_async(open, iocb, from, nowait);
		if (nowait)
			return -EAGAIN;
	}
	write.nowait = nonblock || nowait;
	write.detached = write.nowait;
	ret = kbr_open_lock(&open->writer.lock, nowait);
	if (ret)
		return ret;
	ret = kbr_open_write(open, from, &write);
	mutex_unlock(&open->writer.lock);
	if (ret <= 0)
		return ret;
	err = kbr_writer_settle(open, &write, iocb->ki_flags & IOCB_DSYNC);
	kbr_write_end(&write);
	if (err) {
		kbr_writer_drop_pending(open, &write);
		return err;
	}
	return ret;
}

static int kbr_chardev_fsync(struct file *file, loff_t start, loff_t end, int datasync)
{
	struct kbr_open *open = file->private_data;
	struct kbr_writer *writer = &open->writer;
	struct kbr_write write = { };
	int err, lost;

	if (kbr_open_group(open))
		return kbr_member_commit(open);
	if (!(file->f_mode & FMODE_WRITE))
		return 0;
	if (kbr_topic_gone(kbr_open_topic(open)))
		return -ENODEV;
	if (mutex_lock_interruptible(&writer->lock))
		return -ERESTARTSYS;
	lost = kbr_writer_check(open);
	err = kbr_lines_finish(open, &write);	/* L4 */
	mutex_unlock(&writer->lock);
	kbr_write_end(&write);
	if (!err)
		err = kbr_writer_sync(open);
	/* What is told once must not be lost in a call that is restarted. */
	return lost ?: err;
}

static __poll_t kbr_chardev_poll(struct file *file, poll_table *wait)
{
	struct kbr_open *open = file->private_data;
	struct kbr_broker *broker = kbr_open_topic(open)->broker;
	__poll_t mask = 0;

	if (file->f_mode & FMODE_READ) {
		poll_wait(file, kbr_open_wait_queue(open), wait);
		kbr_member_look(open);
		kbr_reader_look(open);
		if (kbr_reader_ready(open))
			mask |= EPOLLIN | EPOLLRDNORM;
	}
	if (file->f_mode & FMODE_WRITE) {
		poll_wait(file, &broker->unsynced_wait, wait);
		if (kbr_broker_has_room(broker) && kbr_forward_has_room(broker))
			mask |= EPOLLOUT | EPOLLWRNORM;
	}
	if (kbr_topic_gone(kbr_open_topic(open))) {
		mask |= EPOLLHUP;
		if (file->f_mode & FMODE_WRITE)
			mask |= EPOLLERR;
	}
	return mask;
}

/* P3, P4: where a seek on a partition leads, or -EINVAL. */
static loff_t kbr_open_seek_target(struct kbr_partition *part, loff_t offset, int whence)
{
	struct kbr_remote_bounds bounds;
	int err;

	if (whence == SEEK_END ? offset : offset < 0)
		return -EINVAL;
	err = kbr_reader_get_bounds(part, &bounds);
	if (err)
		return err;
	if (whence == SEEK_END)
		return bounds.hw;
	return clamp_t(loff_t, offset, bounds.start, bounds.hw);
}

/* A4 */
static loff_t kbr_open_seek_all(struct kbr_open *open, int whence)
{
	struct kbr_remote_bounds bounds;
	struct kbr_partition *part;
	unsigned int i;
	int err;

	err = kbr_reader_grow(open);
	if (err)
		return err;
	for (i = 0; i < kbr_reader_cursors(open)->count; i++) {
		part = kbr_open_partition(open, i);
		if (whence == SEEK_SET && kbr_replica_is_elsewhere(part)) {
			kbr_reader_seek(open, i, -1);
			continue;
		}
		err = kbr_reader_get_bounds(part, &bounds);
		if (err)
			return err;
		kbr_reader_seek(open, i, whence == SEEK_END ? bounds.hw :
							      kbr_log_start(&part->log));
	}
	return 0;
}

static loff_t kbr_chardev_llseek(struct file *file, loff_t offset, int whence)
{
	struct kbr_open *open = file->private_data;
	loff_t ret;

	/* P5; Python's mode "a" seeks, and takes this for "no need to". */
	if (whence == SEEK_CUR || !(file->f_mode & FMODE_READ) || kbr_open_group(open))
		return -ESPIPE;
	if (whence != SEEK_SET && whence != SEEK_END)
		return -EINVAL;
	if (!open->part && offset)
		return -EINVAL;
	if (open->part) {
		ret = kbr_open_seek_target(open->part, offset, whence);
		if (ret < 0)
			return ret;
	}
	if (mutex_lock_interruptible(&open->reader.lock))
		return -ERESTARTSYS;
	if (open->part)
		kbr_reader_seek(open, 0, ret);
	else if (kbr_open_group(open))
		ret = -ESPIPE;	/* it joined meanwhile */
	else
		ret = kbr_open_seek_all(open, whence);
	mutex_unlock(&open->reader.lock);
	return ret;
}

static const struct file_operations kbr_chardev_fops = {
	.owner		= THIS_MODULE,
	.open		= kbr_chardev_open,
	.flush		= kbr_chardev_flush,
	.release	= kbr_chardev_release,
	.read_iter	= kbr_chardev_read_iter,
	.write_iter	= kbr_chardev_write_iter,
	.fsync		= kbr_chardev_fsync,
	.poll		= kbr_chardev_poll,
	.llseek		= kbr_chardev_llseek,
	.unlocked_ioctl	= kbr_open_ioctl,
	.compat_ioctl	= compat_ptr_ioctl,
	.splice_read	= kbr_open_splice_read,
	.splice_write	= iter_file_splice_write,
};

int kbr_chardev_init(void)
{
	dev_t devt;
	int err;

	err = kbr_async_init();
	if (err)
		return err;
	err = alloc_chrdev_region(&devt, 0, KBR_CHARDEV_MINORS, "kbroker");
	if (err)
		goto out_async;
	kbr_node_devt = devt;
	cdev_init(&kbr_chardev, &kbr_chardev_fops);
	kbr_chardev.owner = THIS_MODULE;
	err = cdev_add(&kbr_chardev, devt, KBR_CHARDEV_MINORS);
	if (err)
		goto out_region;
	return 0;

out_region:
	unregister_chrdev_region(devt, KBR_CHARDEV_MINORS);
out_async:
	kbr_async_exit();
	return err;
}

void kbr_chardev_exit(void)
{
	cdev_del(&kbr_chardev);
	unregister_chrdev_region(kbr_node_devt, KBR_CHARDEV_MINORS);
	kbr_async_exit();
}
