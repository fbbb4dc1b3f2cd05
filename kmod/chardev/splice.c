// SPDX-License-Identifier: GPL-2.0-only
/*
 * splice() from a device to a pipe: W15 and W16 of the ABI.
 *
 * The kernel's own ways to read into a pipe would wait for records with the
 * pipe locked, also for a caller who must not wait.
 */
#include <linux/bvec.h>
#include <linux/pipe_fs_i.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/splice.h>

#include "chardev/open.h"

static bool kbr_splice_pipe_full(const struct pipe_inode_info *pipe)
{
	return pipe_full(READ_ONCE(pipe->head), READ_ONCE(pipe->tail),
			 READ_ONCE(pipe->max_usage));
}

/*
 * W16: wait for records with the pipe unlocked, then for space again, since
 * others may have filled the pipe meanwhile.
 */
static int kbr_splice_wait(struct kbr_open *open, struct pipe_inode_info *pipe)
{
	int err;

	pipe_unlock(pipe);
	err = wait_event_interruptible(*kbr_open_wait_queue(open), kbr_reader_ready(open));
	pipe_lock(pipe);
	while (!err && pipe->readers && kbr_splice_pipe_full(pipe)) {
		pipe_unlock(pipe);
		err = wait_event_interruptible(pipe->wr_wait,
					       !READ_ONCE(pipe->readers) ||
					       !kbr_splice_pipe_full(pipe));
		pipe_lock(pipe);
	}
	if (err)
		return -ERESTARTSYS;
	if (!pipe->readers) {
		send_sig(SIGPIPE, current, 0);
		return -EPIPE;
	}
	return 0;
}

static unsigned int kbr_splice_alloc(struct bio_vec *pages, unsigned int count)
{
	unsigned int i;

	for (i = 0; i < count; i++) {
		pages[i].bv_page = alloc_page(GFP_KERNEL_ACCOUNT);
		if (!pages[i].bv_page)
			break;
		pages[i].bv_len = PAGE_SIZE;
	}
	return i;
}

/* The first @bytes of @pages into the pipe, which has room; the other pages are freed. */
static void kbr_splice_hand_over(struct pipe_inode_info *pipe, struct bio_vec *pages,
				 unsigned int count, size_t bytes)
{
	unsigned int i;

	for (i = 0; i < count; i++) {
		size_t len = min_t(size_t, bytes, PAGE_SIZE);

		if (!len) {
			__free_page(pages[i].bv_page);
			continue;
		}
		pipe->bufs[pipe->head & (pipe->ring_size - 1)] = (struct pipe_buffer) {
			.page = pages[i].bv_page,
			.len = len,
			.ops = &nosteal_pipe_buf_ops,
		};
		pipe->head++;
		bytes -= len;
	}
}

/* One try, as kbr_open_try_read(). The pipe is locked. */
static ssize_t kbr_splice_try(struct kbr_open *open, struct pipe_inode_info *pipe, size_t len,
			      bool nowait, bool again)
{
	unsigned int used = pipe_occupancy(pipe->head, pipe->tail), count;
	struct bio_vec *pages;
	struct iov_iter to;
	ssize_t ret;

	if (used >= pipe->max_usage)
		return -EAGAIN;
	count = min_t(size_t, pipe->max_usage - used, DIV_ROUND_UP(len, PAGE_SIZE));
	pages = kvcalloc(count, sizeof(*pages), GFP_KERNEL_ACCOUNT);
	if (!pages)
		return -ENOMEM;
	count = kbr_splice_alloc(pages, count);
	ret = -ENOMEM;
	if (!count)
		goto out;
	len = min_t(size_t, len, (size_t)count * PAGE_SIZE);
	iov_iter_bvec(&to, ITER_DEST, pages, count, len);
	ret = kbr_open_try_read(open, &to, nowait, again);
	kbr_splice_hand_over(pipe, pages, count, ret > 0 ? ret : 0);
out:
	kvfree(pages);
	return ret;
}

/**
 * kbr_open_splice_read() - splice() from a device
 * @file: the open file
 * @ppos: not used: the position is the open's
 * @pipe: locked
 * @len: bytes at most
 * @flags: SPLICE_F_*
 *
 * Return: bytes; 0 end of file; -EINVAL it is sendfile(); -EAGAIN; -EPIPE
 * nobody reads the pipe; -ENOMEM; as read().
 */
ssize_t kbr_open_splice_read(struct file *file, loff_t *ppos, struct pipe_inode_info *pipe,
			     size_t len, unsigned int flags)
{
	bool nonblock = (flags & SPLICE_F_NONBLOCK) || (file->f_flags & O_NONBLOCK);
	struct kbr_open *open = file->private_data;
	bool again = false;
	ssize_t ret;
	int err;

	/* W15: the kernel's own pipe is sendfile()'s. */
	if (pipe == current->splice_pipe)
		return -EINVAL;
	if (!len)
		return 0;
	for (;; again = true) {
		/* A member of a group counts when it reads, be there something or not. */
		if (kbr_reader_ready(open) || (!again && kbr_open_group(open))) {
			ret = kbr_splice_try(open, pipe, len, nonblock, again);
			if (ret != -EAGAIN)
				return ret;
		}
		if (nonblock)
			return -EAGAIN;
		if (signal_pending(current))
			return -ERESTARTSYS;
		cond_resched();
		err = kbr_splice_wait(open, pipe);
		if (err)
			return err;
	}
}
