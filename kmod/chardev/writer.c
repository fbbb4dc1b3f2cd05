// SPDX-License-Identifier: GPL-2.0-only
/*
 * The writing side of an open: its buffers, the append, what it still owes
 * (acks, failures of writes that did not wait), fsync.
 *
 * Knows no format's bytes: lines.c, record.c and batch.c make the batches.
 */
#include <linux/log2.h>
#include <linux/mm.h>
#include <linux/slab.h>

#include "base/kunit.h"
#include "broker/broker.h"
#include "chardev/open.h"

/** kbr_open_init_writer() - prepare the writing side of a new open */
void kbr_open_init_writer(struct kbr_open *open)
{
	struct kbr_writer *writer = &open->writer;

	mutex_init(&writer->lock);
	writer->acks = KBR_ACKS_ALL;
	writer->target = -1;
	writer->last.partition = -1;
	writer->last.base_offset = -1;
	writer->last.log_append_time = -1;
}
KBR_EXPORT_IF_KUNIT(kbr_open_init_writer);

/** kbr_open_destroy_writer() - free what the writing side has; nobody uses the open any more */
void kbr_open_destroy_writer(struct kbr_open *open)
{
	struct kbr_writer *writer = &open->writer;
	unsigned int i;

	for (i = 0; i < writer->written_count; i++)
		kbr_forwarded_put(writer->written[i].forwarded);
	kbr_forwarded_put(writer->last_forwarded);
	kvfree(writer->buf);
	kvfree(writer->stage);
	kvfree(writer->written);
	if (writer->page)
		__free_page(writer->page);
	mutex_destroy(&writer->lock);
}
KBR_EXPORT_IF_KUNIT(kbr_open_destroy_writer);

static int kbr_writer_grow(u8 **buf, size_t *size, size_t want, size_t keep)
{
	u8 *new;

	if (*size >= want)
		return 0;
	/* kmalloc would round it up anyway; grown in steps, large ones pay off. */
	want = want <= PAGE_SIZE ? roundup_pow_of_two(max_t(size_t, want, 256)) :
				   PAGE_ALIGN(want);
	new = kvmalloc(want, GFP_KERNEL_ACCOUNT);
	if (!new)
		return -ENOMEM;
	if (keep)
		memcpy(new, *buf, keep);
	kvfree(*buf);
	*buf = new;
	*size = want;
	return 0;
}

/**
 * kbr_writer_reserve() - have @size bytes in writer.buf
 * @writer: the writing side
 * @size: at most a batch or a batch-format write, which the caller bounds
 * @keep: bytes of it that are needed still
 *
 * Context: writer lock held. Return: 0 or -ENOMEM (the buffer stays).
 */
int kbr_writer_reserve(struct kbr_writer *writer, size_t size, size_t keep)
{
	return kbr_writer_grow(&writer->buf, &writer->size, size, keep);
}

/** kbr_writer_reserve_stage() - the same for writer.stage */
int kbr_writer_reserve_stage(struct kbr_writer *writer, size_t size, size_t keep)
{
	return kbr_writer_grow(&writer->stage, &writer->stage_size, size, keep);
}

/**
 * kbr_writer_reserve_page() - have writer.page
 * @writer: the writing side
 *
 * Copying from the user to a page needs no look at what kind of memory it is.
 * Context: writer lock held. Return: its address, or NULL without memory.
 */
void *kbr_writer_reserve_page(struct kbr_writer *writer)
{
	if (unlikely(!writer->page)) {
		writer->page = alloc_page(GFP_KERNEL_ACCOUNT);
		if (!writer->page)
			return NULL;
	}
	return page_address(writer->page);
}

/** kbr_writer_trim() - give back what only a huge write needed; writer lock held */
void kbr_writer_trim(struct kbr_writer *writer)
{
	if (writer->size > KBR_OPEN_KEEP_BYTES) {
		kvfree(writer->buf);
		writer->buf = NULL;
		writer->size = 0;
	}
	if (writer->stage_size > KBR_OPEN_KEEP_BYTES && !writer->pending) {
		kvfree(writer->stage);
		writer->stage = NULL;
		writer->stage_size = 0;
	}
}

/** kbr_writer_batch_max() - most bytes of one batch; any context */
size_t kbr_writer_batch_max(const struct kbr_open *open)
{
	const struct kbr_log_config *config = &kbr_open_topic(open)->config.log;

	return min3(READ_ONCE(config->batch_bytes_max), READ_ONCE(config->segment_bytes),
		    KBR_BATCH_BYTES_MAX);
}

/** kbr_writer_pick() - partition that the next batch goes to, or NULL; writer lock held */
struct kbr_partition *kbr_writer_pick(struct kbr_open *open)
{
	struct kbr_writer *writer = &open->writer;

	if (open->part)
		return open->part;
	if (writer->target >= 0)
		return kbr_topic_partition(kbr_open_topic(open), writer->target);
	return kbr_topic_pick(kbr_open_topic(open));
}

/* Room to note what is written to @part; done before the append, which is final. */
static struct kbr_written *kbr_writer_note(struct kbr_open *open, struct kbr_partition *part)
{
	struct kbr_writer *writer = &open->writer;
	unsigned int index = open->part ? 0 : part->index;
	struct kbr_written *written;
	unsigned int count;

	if (likely(index < writer->written_count))
		return &writer->written[index];
	count = open->part ? 1 : max(index + 1, kbr_topic_partitions(kbr_open_topic(open)));
	written = kvcalloc(count, sizeof(*written), GFP_KERNEL_ACCOUNT);
	if (!written)
		return NULL;
	if (writer->written_count)
		memcpy(written, writer->written, writer->written_count * sizeof(*written));
	kvfree(writer->written);
	writer->written = written;
	writer->written_count = count;
	return &written[index];
}

/*
 * Another broker leads @part, or did when what waits for it was written: hand it
 * over. Arguments and return as for kbr_writer_append().
 */
static int kbr_writer_forward(struct kbr_open *open, struct kbr_partition *part,
			      struct kbr_produce *produce, struct kbr_write *write,
			      struct kbr_written *written)
{
	bool detached = write->detached || write->final || produce->acks == KBR_ACKS_NONE;
	struct kbr_writer *writer = &open->writer;
	int err;

	if (!written->forwarded)
		written->forwarded = kbr_forwarded_create(NULL, false);
	if (!written->forwarded)
		return -ENOMEM;
	err = kbr_forward_submit(part, produce, detached, written->forwarded, &write->forwarded);
	if (err)
		return err == -EINTR ? -ERESTARTSYS : err;
	write->part = part;
	writer->unsettled |= detached;
	write->detached = detached;
	kbr_forwarded_get(write->forwarded);
	kbr_forwarded_put(writer->last_forwarded);
	writer->last_forwarded = write->forwarded;
	writer->last = (struct kbroker_result) {
		.partition = part->index,
		.records = write->forwarded->records,
		.base_offset = -1,
		.log_append_time = -1,
	};
	return 0;
}

/**
 * kbr_writer_append() - append what @produce holds to @part
 * @open: the open
 * @part: where to
 * @produce: buf, len and, for our own batches, trusted and verdict are set
 * @write: how; on success, where it went
 *
 * Context: writer lock held. Waits for no acks.
 * Return: 0; -ERESTARTSYS a signal came first; else kbr_partition_produce()'s
 * errors; nothing was appended then.
 */
int kbr_writer_append(struct kbr_open *open, struct kbr_partition *part,
		      struct kbr_produce *produce, struct kbr_write *write)
{
	struct kbr_writer *writer = &open->writer;
	struct kbr_written *written;
	int err;

	written = kbr_writer_note(open, part);
	if (!written)
		return -ENOMEM;
	produce->acks = writer->acks;
	produce->nowait = write->nowait;
	produce->final = write->final;
	if (unlikely(part->replicas) && kbr_forward_due(part))
		return kbr_writer_forward(open, part, produce, write, written);
	err = kbr_partition_produce(part, produce);
	/* It has just lost the leadership. */
	if (unlikely(err == -EREMOTE))
		return kbr_writer_forward(open, part, produce, write, written);
	if (err)
		return err == -EINTR ? -ERESTARTSYS : err;
	write->part = part;
	write->last = produce->last_offset;
	write->failures = produce->failures;
	written->end = produce->last_offset + 1;
	if (!written->unsettled)
		written->failures = produce->failures;
	if (write->detached || writer->acks != KBR_ACKS_ALL) {
		written->unsettled = true;
		writer->unsettled = true;
	}
	if (unlikely(writer->last_forwarded)) {
		kbr_forwarded_put(writer->last_forwarded);
		writer->last_forwarded = NULL;
	}
	writer->last = (struct kbroker_result) {
		.partition = part->index,
		.records = produce->records,
		.base_offset = produce->base_offset,
		.log_append_time = produce->log_append_time,
	};
	return 0;
}

/**
 * kbr_writer_append_built() - finish the batch in @bld and append it where it is its turn
 * @open: the open
 * @write: how; where it went
 * @bld: records with null keys and the time of now, made by lines.c
 *
 * Context and return: as kbr_writer_append().
 */
int kbr_writer_append_built(struct kbr_open *open, struct kbr_batch_builder *bld,
			    struct kbr_write *write)
{
	struct kbr_partition *part = kbr_writer_pick(open);
	struct kbr_produce produce = {
		.buf = bld->buf,
		.trusted = true,
		.now_ms = bld->max_timestamp,
		.verdict.record = -1,
		.verdict.max_timestamp = bld->max_timestamp,
	};

	if (!part)
		return -ENODEV;
	produce.len = kbr_batch_builder_close(bld, &produce.verdict.batch);
	return kbr_writer_append(open, part, &produce, write);
}

/**
 * kbr_writer_drop_pending() - forget the unfinished line at the end of a failed write (W9)
 * @open: the open
 * @write: the write; its caller believes that nothing was taken
 *
 * Context: may sleep; no lock held. Who is killed while waiting for the lock
 * loses the line in flush().
 */
void kbr_writer_drop_pending(struct kbr_open *open, const struct kbr_write *write)
{
	struct kbr_writer *writer = &open->writer;

	if (!write->left_pending || mutex_lock_killable(&writer->lock))
		return;
	if (writer->pending_seq == write->pending_seq) {
		writer->pending = 0;
		writer->pending_seq++;
	}
	mutex_unlock(&writer->lock);
}
KBR_EXPORT_IF_KUNIT(kbr_writer_drop_pending);

/*
 * Did records that a write did not wait for get lost? Told once: the entry
 * then has nothing to wait for any more.
 */
static int kbr_written_check(struct kbr_written *written, struct kbr_partition *part)
{
	int err = 0;

	if (unlikely(written->forwarded))
		err = kbr_forwarded_take_error(part->topic->broker, written->forwarded);
	if (!written->unsettled)
		return err;
	if (kbr_partition_lost(part, written->end - 1, written->failures)) {
		written->end = 0;
		err = -EIO;
	} else if (kbr_partition_hw(part) < written->end) {
		return err;
	}
	written->unsettled = false;
	return err;
}

/* May something that a write did not wait for still be lost? */
static bool kbr_written_is_open(const struct kbr_written *written)
{
	return written->unsettled ||
	       (written->forwarded && !kbr_forwarded_fate(written->forwarded));
}

/**
 * kbr_writer_check() - report the loss of earlier writes that did not wait
 * @open: the open
 *
 * Context: writer lock held. Return: 0 or, once, -EIO or as kbr_forwarded_fate().
 */
int kbr_writer_check(struct kbr_open *open)
{
	struct kbr_writer *writer = &open->writer;
	bool unsettled = false;
	unsigned int i;
	int err = 0;

	if (likely(!writer->unsettled))
		return 0;
	for (i = 0; i < writer->written_count; i++) {
		err = kbr_written_check(&writer->written[i], kbr_open_partition(open, i)) ?: err;
		unsettled |= kbr_written_is_open(&writer->written[i]);
	}
	writer->unsettled = unsettled;
	return err;
}
KBR_EXPORT_IF_KUNIT(kbr_writer_check);

/**
 * kbr_writer_settle() - wait for what a write asked for
 * @open: the open
 * @write: how; where it went
 * @dsync: it is to be on stable storage
 *
 * Context: no lock held; only a fatal signal ends the wait.
 * Return: 0; -ETIMEDOUT, -EIO, -ENODEV, -EINTR (fatal); as kbr_forwarded_fate().
 */
int kbr_writer_settle(struct kbr_open *open, struct kbr_write *write, bool dsync)
{
	const struct kbr_topic_config *config = &kbr_open_topic(open)->config;
	bool all = READ_ONCE(open->writer.acks) == KBR_ACKS_ALL;
	int err = 0;

	if (!write->part || write->detached)
		return 0;
	/* What its leader acknowledged is as durable as the topic wants it. */
	if (unlikely(write->forwarded))
		return kbr_forwarded_wait(write->part, write->forwarded);
	/* flush.policy=async: it is committed already */
	if (all && kbr_partition_hw(write->part) > write->last &&
	    !kbr_partition_lost(write->part, write->last, write->failures))
		all = false;
	if (all)
		err = kbr_partition_wait_acks(write->part, write->last, write->failures,
					      READ_ONCE(config->delivery_timeout_ms));
	if (!err && dsync)
		err = kbr_partition_sync(write->part, write->last + 1, write->failures);
	return err;
}
KBR_EXPORT_IF_KUNIT(kbr_writer_settle);

/* One partition of fsync. The lock is not held over the wait. */
static int kbr_writer_sync_one(struct kbr_open *open, unsigned int index)
{
	struct kbr_partition *part = kbr_open_partition(open, index);
	struct kbr_writer *writer = &open->writer;
	struct kbr_forwarded *forwarded;
	struct kbr_written *written;
	u32 failures;
	s64 end;
	int err;

	if (mutex_lock_interruptible(&writer->lock))
		return -ERESTARTSYS;
	written = &writer->written[index];
	end = written->end;
	failures = written->failures;
	forwarded = written->forwarded;
	err = kbr_written_check(written, part);
	mutex_unlock(&writer->lock);
	/* It stays as long as the open. */
	if (forwarded) {
		if (kbr_forwarded_wait(part, forwarded) == -EINTR)
			return -EINTR;
		err = err ?: kbr_forwarded_take_error(part->topic->broker, forwarded);
	}
	if (err || !end)
		return err;
	err = kbr_partition_sync(part, end, failures);
	/* In a cluster what is on this disk is committed once the others have it, too. */
	if (!err && unlikely(part->replicas))
		err = kbr_partition_wait_acks(part, end - 1, failures,
					      READ_ONCE(part->topic->config.delivery_timeout_ms));
	if (err == -EIO && !mutex_lock_killable(&writer->lock)) {
		/* Told once: there is nothing left to wait for. */
		written = &writer->written[index];
		if (written->end == end) {
			written->end = 0;
			written->unsettled = false;
		}
		mutex_unlock(&writer->lock);
	}
	return err;
}

/**
 * kbr_writer_sync() - wait until everything written through the open is committed, and on stable storage
 * @open: the open
 *
 * Context: no lock held. Return: 0, or the first error of any partition. The
 * loss of records is told once, so a signal leaves the later ones alone.
 */
int kbr_writer_sync(struct kbr_open *open)
{
	unsigned int i, count = READ_ONCE(open->writer.written_count);
	int err = 0, ret;

	for (i = 0; i < count; i++) {
		ret = kbr_writer_sync_one(open, i);
		err = err ?: ret;
		if (ret == -ERESTARTSYS || ret == -EINTR)
			break;
	}
	return err;
}
KBR_EXPORT_IF_KUNIT(kbr_writer_sync);

/** kbr_writer_end() - one past the last record written to @index, or -1; writer lock held */
s64 kbr_writer_end(struct kbr_open *open, unsigned int index)
{
	const struct kbr_writer *writer = &open->writer;

	if (index >= writer->written_count || !writer->written[index].end)
		return -1;
	return writer->written[index].end;
}
KBR_EXPORT_IF_KUNIT(kbr_writer_end);
