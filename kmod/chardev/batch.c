// SPDX-License-Identifier: GPL-2.0-only
/*
 * Batches: Kafka's v2 record batches as they are, one or many a call. Reads
 * go from the page cache straight to the user's memory; writes are copied
 * once, and validated by the partition.
 */
#include "base/limits.h"
#include "chardev/open.h"

/*
 * What one partition has for the reader. 1 with the partition standing at its
 * position, 0 nothing, -EPIPE overtaken.
 */
static int kbr_batch_look(struct kbr_open *open, unsigned int index)
{
	int err = kbr_reader_check_start(open, index);
	struct kbr_partition *part;

	if (err)
		return err;
	part = kbr_reader_partition(open, index);
	return kbr_reader_cursors(open)->pos[index].offset < kbr_partition_hw(part);
}

/* Whole batches of @chunk from @offset on, as many as fit, to @to; @next: out: behind them. */
static ssize_t kbr_batch_copy(const struct kbr_remote_chunk *chunk, s64 offset,
			      struct iov_iter *to, size_t *room, s64 *next)
{
	size_t at = 0, from = 0, fit = iov_iter_count(to);
	struct kbr_batch batch;

	*next = offset;
	/* They were walked once, when they came. */
	while (at < chunk->len && !kbr_batch_decode(&batch, chunk->data + at, chunk->len - at)) {
		if (*next == offset)
			from = at;
		if (kbr_batch_last_offset(&batch) >= offset) {
			if (at + batch.size - from > fit)
				break;
			*next = kbr_batch_last_offset(&batch) + 1;
		}
		at += batch.size;
	}
	if (*next == offset) {
		*room = batch.size;
		return -EMSGSIZE;
	}
	if (copy_to_iter(chunk->data + from, at - from, to) != at - from)
		return -EFAULT;
	return at - from;
}

/* As kbr_batch_read_from(), of a partition that is read at its leader. */
static ssize_t kbr_batch_read_far(struct kbr_open *open, unsigned int index,
				  struct iov_iter *to, size_t *room)
{
	struct kbr_log_pos *pos = &kbr_reader_cursors(open)->pos[index];
	struct kbr_remote_chunk *chunk;
	ssize_t ret;
	s64 next;

	ret = kbr_reader_look_far(open, index, &chunk);
	if (ret <= 0)
		return ret;
	ret = kbr_batch_copy(chunk, pos->offset, to, room, &next);
	if (ret < 0) {
		kbr_remote_put_chunk(chunk);
		return ret;
	}
	open->handle.read_any = true;
	kbr_reader_given(open, index, next);
	if (next == chunk->end) {
		kbr_reader_took_far(open, index, chunk);
	} else {
		*pos = (struct kbr_log_pos) { .offset = next };
		kbr_remote_put_chunk(chunk);
	}
	return ret;
}

/*
 * Batches of one partition to @to. Return: bytes; 0 nothing; -EMSGSIZE with
 * @room; else -errno.
 */
static ssize_t kbr_batch_read_from(struct kbr_open *open, unsigned int index,
				   struct iov_iter *to, size_t *room)
{
	struct kbr_partition *part = kbr_reader_partition(open, index);
	struct kbr_cursors *cursors = kbr_reader_cursors(open);
	struct kbr_log_pos *pos = &cursors->pos[index];
	ssize_t ret;

	if (unlikely(kbr_reader_is_far(part, pos->offset)))
		return kbr_batch_read_far(open, index, to, room);
	for (;;) {
		ret = kbr_batch_look(open, index);
		if (ret <= 0)
			return ret;
		ret = kbr_partition_read(part, pos, to, room);
		if (ret != -ERANGE)
			break;
		if (pos->offset >= kbr_log_start(&part->log)) {
			/* The log was cut below the position. */
			kbr_reader_seek(open, index, kbr_partition_hw(part));
			return 0;
		}
	}
	if (ret > 0) {
		open->handle.read_any = true;
		kbr_reader_given(open, index, pos->offset);
	}
	/* It also moves, backwards, where a failed sync cut the log. */
	if (!ret)
		WRITE_ONCE(cursors->positions[index], pos->offset);
	return ret;
}

/* The partitions in turn until one has something to say. */
static ssize_t kbr_batch_serve(struct kbr_open *open, struct iov_iter *to, size_t *room,
			       unsigned int *index)
{
	struct kbr_reader *reader = &open->reader;
	unsigned int tried, count;
	ssize_t ret;

	ret = kbr_reader_grow(open);
	if (ret)
		return ret;
	count = kbr_reader_cursors(open)->count;
	for (tried = 0; tried < count; tried++) {
		*index = reader->turn < count ? reader->turn : 0;
		ret = kbr_batch_read_from(open, *index, to, room);
		/* A buffer too small changes nothing, not even whose turn it is. */
		if (ret == -EMSGSIZE)
			return ret;
		reader->turn = *index + 1;
		if (ret)
			return ret;
	}
	return 0;
}

/**
 * kbr_batch_read() - whole batches from the position on, as many as fit
 * @open: the open
 * @to: where the user reads to
 *
 * Context: reader lock held. Return: bytes; 0 nothing to read now; -EMSGSIZE
 * the next batch does not fit; -EPIPE overtaken; else kbr_partition_read()'s.
 */
ssize_t kbr_batch_read(struct kbr_open *open, struct iov_iter *to)
{
	unsigned int index;
	size_t room;

	return kbr_batch_serve(open, to, &room, &index);
}

/**
 * kbr_batch_next() - what the next read would return, for KBROKER_IOC_NEXT
 * @open: the open
 * @next: out: the answer
 *
 * Context: reader lock held. Return: 0 with @next (partition -1: nothing);
 * -errno as kbr_batch_read().
 */
int kbr_batch_next(struct kbr_open *open, struct kbroker_next *next)
{
	struct iov_iter none;
	unsigned int index;
	size_t room = 0;
	ssize_t ret;

	iov_iter_kvec(&none, ITER_DEST, NULL, 0, 0);
	ret = kbr_batch_serve(open, &none, &room, &index);
	if (ret != -EMSGSIZE)
		return ret;
	next->partition = kbr_reader_partition(open, index)->index;
	next->offset = kbr_reader_position(open, index);
	next->size = room;
	return 0;
}

/*
 * Bytes of whole batches, as many as one write takes, among the first @len
 * bytes of it; of the first batch alone if that is longer. 0: the first header
 * is not one. @most: there are as many as one write takes.
 */
static size_t kbr_batch_whole(const u8 *buf, size_t len, bool *most)
{
	unsigned int count = 0;
	struct kbr_batch batch;
	size_t pos = 0;

	while (count < KBR_WRITE_BATCHES_MAX && !kbr_batch_decode(&batch, buf + pos, len - pos)) {
		if (batch.size > len - pos)
			return pos ?: batch.size;
		pos += batch.size;
		count++;
	}
	*most = count == KBR_WRITE_BATCHES_MAX;
	return pos;
}

/**
 * kbr_batch_write() - append whole batches
 * @open: the open
 * @from: what the user writes
 * @write: how; where it went
 *
 * Context: writer lock held. Return: bytes taken (whole batches); -EBADMSG one
 * fails validation; -EMSGSIZE one is over max.message.bytes; -EFAULT;
 * -ENOMEM; kbr_writer_append()'s errors.
 */
ssize_t kbr_batch_write(struct kbr_open *open, struct iov_iter *from, struct kbr_write *write)
{
	struct kbr_writer *writer = &open->writer;
	size_t count = iov_iter_count(from);
	size_t len = min_t(size_t, count, KBR_WRITE_BYTES_MAX);
	struct kbr_produce produce = { };
	struct kbr_partition *part;
	bool most = false;
	size_t whole = 0;
	int err;

	err = kbr_writer_reserve(writer, len, 0);
	if (err)
		return err;
	if (!copy_from_iter_full(writer->buf, len, from))
		return -EFAULT;
	/* Not all of it may be taken: what follows the last batch that is goes back. */
	if (len < count || len > KBR_WRITE_BATCHES_MAX * KBR_BATCH_HEADER_LEN)
		whole = kbr_batch_whole(writer->buf, len, &most);
	if (len < count && !whole)
		return -EBADMSG;
	if (len < count && whole > len) {
		/* One batch longer than a piece. */
		if (whole > kbr_writer_batch_max(open))
			return -EMSGSIZE;
		if (whole > count)
			return -EBADMSG;
		err = kbr_writer_reserve(writer, whole, len);
		if (err)
			return err;
		if (!copy_from_iter_full(writer->buf + len, whole - len, from))
			return -EFAULT;
		len = whole;
	} else if (len < count || most) {
		iov_iter_revert(from, len - whole);
		len = whole;
	}
	part = kbr_writer_pick(open);
	if (!part)
		return -ENODEV;
	produce.buf = writer->buf;
	produce.len = len;
	err = kbr_writer_append(open, part, &produce, write);
	/* B2: whatever rule a batch breaks, the user hears one word. */
	if (err == -EINVAL || err == -EFBIG || err == -ETIME || err == -EOPNOTSUPP)
		err = -EBADMSG;
	return err ?: len;
}
