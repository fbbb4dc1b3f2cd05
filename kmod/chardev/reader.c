// SPDX-License-Identifier: GPL-2.0-only
/*
 * The reading side of an open: positions, retention that overtakes them, and
 * for lines and records the batch that is being read: loaded whole, its CRC
 * verified, unpacked if need be, then walked.
 *
 * Does not wait, and knows no format's bytes: chardev.c and splice.c wait,
 * lines.c, record.c and batch.c hand out.
 */
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/uio.h>

#include "base/kunit.h"
#include "broker/broker.h"
#include "broker/replica.h"
#include "chardev/open.h"

/* A reader at the end gets a record or two at a time; one behind gets more. */
#define KBR_READER_BUF_MIN	PAGE_SIZE
#define KBR_READER_BUF_BULK	(64u << 10)

static struct kbr_cursors *kbr_cursors_alloc(unsigned int count, bool shared)
{
	struct kbr_cursors *cursors;
	size_t beside = sizeof(s64);
	unsigned int i;

	if (shared)
		beside += sizeof(cursors->parts[0]) + sizeof(cursors->moves[0]);
	/* All arrays in one piece; count is at most KBR_TOPIC_PARTITIONS_MAX. */
	cursors = kvzalloc(struct_size(cursors, pos, count) + count * beside, GFP_KERNEL_ACCOUNT);
	if (!cursors)
		return NULL;
	cursors->count = count;
	cursors->positions = (s64 *)&cursors->pos[count];
	for (i = 0; i < count; i++)
		cursors->positions[i] = -1;
	if (shared) {
		cursors->parts = (void *)&cursors->positions[count];
		cursors->moves = (void *)&cursors->parts[count];
	}
	return cursors;
}

/* Go on with other cursors. Reader lock held. */
static void kbr_reader_publish(struct kbr_open *open, struct kbr_cursors *cursors)
{
	struct kbr_cursors *old = kbr_reader_cursors(open);
	struct kbr_topic *topic = kbr_open_topic(open);

	spin_lock(&topic->handles_lock);
	open->handle.positions = cursors->positions;
	open->handle.parts = cursors->parts;
	open->handle.positions_count = cursors->count;
	spin_unlock(&topic->handles_lock);
	rcu_assign_pointer(open->reader.cursors, cursors);
	if (old)
		kvfree_rcu(old, rcu);	/* kbr_reader_ready() may look at them */
}

static void kbr_reader_free_buf(struct kbr_reader *reader)
{
	if (reader->page)
		__free_page(reader->page);
	else
		kvfree(reader->buf);
	reader->page = NULL;
	reader->buf = NULL;
	reader->size = 0;
}

/**
 * kbr_open_init_reader() - prepare the reading side of a new open
 * @open: not shown to anybody yet; its handle's topic is not set
 *
 * For "all" the cursors come with the first use.
 * Return: 0 or -ENOMEM.
 */
int kbr_open_init_reader(struct kbr_open *open)
{
	struct kbr_cursors *cursors;

	mutex_init(&open->reader.lock);
	xa_init(&open->reader.wants);
	if (!open->part)
		return 0;
	cursors = kbr_cursors_alloc(1, false);
	if (!cursors)
		return -ENOMEM;
	RCU_INIT_POINTER(open->reader.cursors, cursors);
	open->handle.positions = cursors->positions;
	open->handle.positions_count = 1;
	return 0;
}
KBR_EXPORT_IF_KUNIT(kbr_open_init_reader);

/** kbr_open_destroy_reader() - free what the reading side has; nobody uses the open any more */
void kbr_open_destroy_reader(struct kbr_open *open)
{
	struct kbr_reader *reader = &open->reader;

	if (reader->walking)
		kbr_unpacked_release(&reader->unpacked);
	kbr_reader_free_buf(reader);
	kvfree(rcu_dereference_protected(reader->cursors, 1));
	xa_destroy(&reader->wants);
	mutex_destroy(&reader->lock);
}
KBR_EXPORT_IF_KUNIT(kbr_open_destroy_reader);

/**
 * kbr_reader_grow() - have a cursor for each partition there is now
 * @open: the open
 *
 * Context: reader lock held. Return: 0 or -ENOMEM (the old cursors stay).
 */
int kbr_reader_grow(struct kbr_open *open)
{
	struct kbr_cursors *old = kbr_reader_cursors(open);
	struct kbr_topic *topic = kbr_open_topic(open);
	struct kbr_cursors *cursors;
	unsigned int count;

	/* A member of a group reads what kbr_reader_adopt() found. */
	if (open->part || kbr_open_group(open))
		return 0;
	count = kbr_topic_partitions(topic);
	if (old && old->count >= count)
		return 0;
	cursors = kbr_cursors_alloc(count, false);
	if (!cursors)
		return -ENOMEM;
	if (old) {
		memcpy(cursors->pos, old->pos, old->count * sizeof(old->pos[0]));
		memcpy(cursors->positions, old->positions,
		       old->count * sizeof(old->positions[0]));
	}
	kbr_reader_publish(open, cursors);
	return 0;
}

/* The entry of @cursors that has been @old's entry @index all the time, or -1. */
static int kbr_cursors_find(const struct kbr_cursors *cursors, const struct kbr_cursors *old,
			    unsigned int index)
{
	unsigned int low = 0, high = cursors->count, wanted = old->parts[index]->part->index;

	while (low < high) {
		unsigned int mid = (low + high) / 2;

		if (cursors->parts[mid]->part->index < wanted)
			low = mid + 1;
		else
			high = mid;
	}
	if (low < cursors->count && cursors->parts[low] == old->parts[index] &&
	    cursors->moves[low] == old->moves[index])
		return low;
	return -1;
}

/* Take along where it stands in what it keeps, and what is loaded of that. */
static void kbr_reader_keep(struct kbr_open *open, struct kbr_cursors *cursors)
{
	struct kbr_cursors *old = kbr_reader_cursors(open);
	struct kbr_reader *reader = &open->reader;
	bool loaded = reader->walking || reader->pos < reader->len;
	int current_index = -1, to;
	unsigned int i;

	for (i = 0; i < old->count; i++) {
		to = kbr_cursors_find(cursors, old, i);
		if (to < 0)
			continue;
		cursors->pos[to] = old->pos[i];
		cursors->positions[to] = old->positions[i];
		if (i == reader->current_index)
			current_index = to;
	}
	if (loaded && !reader->orphan && current_index < 0) {
		/* A line that was begun is finished all the same: else two would be one. */
		if (reader->done)
			reader->orphan = true;
		else
			kbr_reader_drop(open);
	}
	reader->current_index = max(current_index, 0);
}

/**
 * kbr_reader_adopt() - have a cursor for each partition that this member of a group has
 * @open: the open
 *
 * Those that are new begin where the group stands. Context: reader lock held,
 * inside a read of the member. Return: 0 or -ENOMEM (the old cursors stay).
 */
int kbr_reader_adopt(struct kbr_open *open)
{
	struct kbr_share_member *member = &kbr_open_group(open)->member;
	unsigned int count = kbr_share_list(member, NULL, 0), found, i;
	struct kbr_remote_want *want;
	struct kbr_cursors *cursors;
	unsigned long number;

	for (;;) {
		cursors = kbr_cursors_alloc(count, true);
		if (!cursors)
			return -ENOMEM;
		found = kbr_share_list(member, cursors->parts, count);
		if (found == count)
			break;
		kvfree(cursors);
		count = found;	/* more came, none goes */
	}
	for (i = 0; i < count; i++) {
		struct kbr_share_part *sp = cursors->parts[i];

		cursors->moves[i] = sp->moves;
		cursors->positions[i] = sp->next;
		cursors->pos[i].offset = max(sp->next, 0LL);
	}
	if (kbr_reader_cursors(open))
		kbr_reader_keep(open, cursors);
	kbr_reader_publish(open, cursors);
	/* Some may be others' now; what it still has it asks for again. */
	xa_for_each(&open->reader.wants, number, want)
		kbr_remote_cancel(want);
	return 0;
}

static void kbr_reader_set_position(struct kbr_open *open, unsigned int index, s64 offset)
{
	WRITE_ONCE(kbr_reader_cursors(open)->positions[index], offset);
}

/** kbr_reader_position() - offset of the next record of partition @index; reader lock held */
s64 kbr_reader_position(struct kbr_open *open, unsigned int index)
{
	s64 position = kbr_reader_cursors(open)->positions[index];

	if (position < 0)
		position = kbr_log_start(&kbr_reader_partition(open, index)->log);
	return position;
}

/** kbr_reader_given() - everything of partition @index up to @offset was handed out; reader lock held */
void kbr_reader_given(struct kbr_open *open, unsigned int index, s64 offset)
{
	struct kbr_cursors *cursors = kbr_reader_cursors(open);

	kbr_reader_set_position(open, index, offset);
	if (cursors->parts)
		kbr_share_give(&kbr_open_group(open)->member, cursors->parts[index], offset);
}

static void kbr_reader_end_batch(struct kbr_reader *reader)
{
	if (reader->walking)
		kbr_unpacked_release(&reader->unpacked);
	reader->walking = false;
	reader->have = false;
	reader->done = 0;
}

/**
 * kbr_reader_drop() - forget what was loaded; the next load begins at the position
 * @open: the open
 *
 * A record read in part is then read again. Context: reader lock held.
 */
void kbr_reader_drop(struct kbr_open *open)
{
	struct kbr_cursors *cursors = kbr_reader_cursors(open);
	struct kbr_reader *reader = &open->reader;
	bool loaded = reader->walking || reader->pos < reader->len;

	kbr_reader_end_batch(reader);
	reader->len = 0;
	reader->pos = 0;
	if (loaded && cursors && !reader->orphan)
		cursors->pos[reader->current_index] = (struct kbr_log_pos) {
			.offset = kbr_reader_position(open, reader->current_index),
		};
	reader->orphan = false;
	if (reader->size > KBR_OPEN_KEEP_BYTES)
		kbr_reader_free_buf(reader);
}

/**
 * kbr_reader_seek() - go to @offset of partition @index
 * @open: the open
 * @index: entry of the cursors
 * @offset: between the log start and the high watermark; -1: the log start, wherever
 *	that is when it is read
 *
 * Context: reader lock held.
 */
void kbr_reader_seek(struct kbr_open *open, unsigned int index, s64 offset)
{
	struct kbr_reader *reader = &open->reader;

	reader->overtaken = false;
	if (reader->current_index == index && !reader->orphan)
		kbr_reader_drop(open);
	kbr_reader_set_position(open, index, offset);
	kbr_reader_cursors(open)->pos[index] = (struct kbr_log_pos) {
		.offset = max(offset, 0LL),
	};
}
KBR_EXPORT_IF_KUNIT(kbr_reader_seek);

/**
 * kbr_reader_check_start() - begin, or go on, at the log start if need be
 * @open: the open
 * @index: entry of the cursors
 *
 * What retention took is counted. Context: reader lock held.
 * Return: 0; -EPIPE the reader was overtaken and its format says so (once: it
 * now stands at the log start).
 */
int kbr_reader_check_start(struct kbr_open *open, unsigned int index)
{
	s64 position = kbr_reader_cursors(open)->positions[index];
	struct kbr_partition *part = kbr_reader_partition(open, index);
	s64 start = kbr_log_start(&part->log);

	if (likely(position >= start) || kbr_replica_is_elsewhere(part))
		return 0;
	kbr_reader_seek(open, index, start);
	if (position < 0)
		return 0;
	WRITE_ONCE(open->handle.lost, open->handle.lost + (start - position));
	if (!open->handle.read_any || open->handle.format == KBROKER_FORMAT_LINES)
		return 0;
	return -EPIPE;
}

static int kbr_reader_reserve(struct kbr_reader *reader, size_t size)
{
	void *buf;

	if (reader->size >= size)
		return 0;
	if (size > KBR_BATCH_BYTES_MAX)
		return -EBADMSG;
	/* Nothing in the old one is needed: loads come when all was read. */
	kbr_reader_free_buf(reader);
	if (size == PAGE_SIZE) {
		reader->page = alloc_page(GFP_KERNEL_ACCOUNT);
		if (!reader->page)
			return -ENOMEM;
		buf = page_address(reader->page);
	} else {
		buf = kvmalloc(size, GFP_KERNEL_ACCOUNT);
		if (!buf)
			return -ENOMEM;
	}
	reader->buf = buf;
	reader->size = size;
	return 0;
}

/**
 * kbr_reader_copy() - hand out what was loaded
 * @reader: the reading side
 * @from: part of a record, or other memory of the kernel's
 * @len: bytes
 * @to: where to
 *
 * Copying from a page needs no look at what kind of memory it is.
 * Context: reader lock held. Return: bytes copied.
 */
size_t kbr_reader_copy(const struct kbr_reader *reader, const void *from, size_t len,
		       struct iov_iter *to)
{
	if (likely(reader->page && PTR_ALIGN_DOWN((u8 *)from, PAGE_SIZE) == reader->buf))
		return copy_page_to_iter(reader->page, offset_in_page(from), len, to);
	return copy_to_iter(from, len, to);
}

/**
 * kbr_reader_is_far() - is a partition to be read at its leader?
 * @part: the partition
 * @offset: where from
 *
 * Where no replica is, or one that has yet to come to where a reader was before, or
 * is lost.
 * Context: any.
 */
bool kbr_reader_is_far(const struct kbr_partition *part, s64 offset)
{
	const struct kbr_replicas *reps = part->replicas;

	if (likely(!reps))
		return false;
	return kbr_replica_is_elsewhere(part) ||
	       (READ_ONCE(reps->role) == KBROKER_REPLICA_ROLE_FOLLOWER &&
		(offset > kbr_partition_hw(part) || kbr_partition_is_lost(part)));
}

/* What it wants of @part at its leader; NULL on -ENOMEM. */
static struct kbr_remote_want *kbr_reader_want(struct kbr_open *open, struct kbr_partition *part)
{
	struct kbr_remote_want *want = xa_load(&open->reader.wants, part->index);

	if (want)
		return want;
	want = kzalloc(sizeof(*want), GFP_KERNEL_ACCOUNT);
	if (!want)
		return NULL;
	kbr_remote_want_init(want, part);
	if (!xa_err(xa_store(&open->reader.wants, part->index, want, GFP_KERNEL_ACCOUNT)))
		return want;
	kfree(want);
	return NULL;
}

/**
 * kbr_reader_look_far() - what has come from the leader of a partition that is far
 * @open: the open
 * @index: entry of the cursors
 * @chunk: out: for 1: a reference; has what comes next
 *
 * Asks for it otherwise. Context: reader lock held.
 * Return: 1; 0 nothing yet; -EPIPE as kbr_reader_check_start(); else
 * kbr_remote_read()'s.
 */
int kbr_reader_look_far(struct kbr_open *open, unsigned int index, struct kbr_remote_chunk **chunk)
{
	struct kbr_log_pos *pos = &kbr_reader_cursors(open)->pos[index];
	s64 position = kbr_reader_cursors(open)->positions[index];
	struct kbr_remote_bounds bounds;
	struct kbr_remote_want *want;
	int ret;

	want = kbr_reader_want(open, kbr_reader_partition(open, index));
	if (!want)
		return -ENOMEM;
	ret = kbr_remote_read(want, pos->offset, chunk, &bounds);
	if (ret == 1 && position < 0)
		kbr_reader_set_position(open, index, pos->offset);
	if (ret != -ERANGE)
		return ret;
	/* Retention moved on; or the log was cut: it goes on at the end. */
	kbr_reader_seek(open, index, pos->offset < bounds.start ? bounds.start : bounds.hw);
	ret = 0;
	if (position >= 0 && position < bounds.start) {
		WRITE_ONCE(open->handle.lost, open->handle.lost + (bounds.start - position));
		if (open->handle.read_any && open->handle.format != KBROKER_FORMAT_LINES)
			ret = -EPIPE;
	}
	return ret ?: kbr_remote_read(want, pos->offset, chunk, &bounds);
}

/**
 * kbr_reader_took_far() - all of @chunk was copied; gives the reference back
 * @open: the open
 * @index: entry of the cursors
 * @chunk: the one that kbr_reader_look_far() told
 *
 * What follows is fetched while that is read. Context: reader lock held.
 */
void kbr_reader_took_far(struct kbr_open *open, unsigned int index, struct kbr_remote_chunk *chunk)
{
	s64 end = chunk->end;

	kbr_reader_cursors(open)->pos[index] = (struct kbr_log_pos) { .offset = end };
	kbr_remote_put_chunk(chunk);
	kbr_remote_ahead(kbr_reader_want(open, kbr_reader_partition(open, index)), end);
}

/** kbr_reader_look() - for poll(): ask for what is far, unless somebody reads */
void kbr_reader_look(struct kbr_open *open)
{
	struct kbr_remote_chunk *chunk;
	struct kbr_cursors *cursors;
	unsigned int i;
	int ret;

	/* All of a topic's have it, or none. */
	if (likely(!kbr_open_partition(open, 0)->replicas) ||
	    !mutex_trylock(&open->reader.lock))
		return;
	kbr_reader_grow(open);
	cursors = kbr_reader_cursors(open);
	for (i = 0; cursors && i < cursors->count; i++) {
		if (!kbr_reader_is_far(kbr_reader_partition(open, i), cursors->pos[i].offset))
			continue;
		ret = kbr_reader_look_far(open, i, &chunk);
		if (ret == 1)
			kbr_remote_put_chunk(chunk);
		else if (ret == -EPIPE)
			open->reader.overtaken = true;	/* P9: it is read() that says so */
	}
	mutex_unlock(&open->reader.lock);
}

/** kbr_reader_forget_far() - the last close, while its handle still holds the topic */
void kbr_reader_forget_far(struct kbr_open *open)
{
	struct kbr_remote_want *want;
	unsigned long number;

	xa_for_each(&open->reader.wants, number, want) {
		kbr_remote_cancel(want);
		kfree(want);
	}
}

/**
 * kbr_reader_get_bounds() - where a partition begins and ends for readers
 * @part: the partition
 * @bounds: out
 *
 * Context: process; waits for the leader where no replica is.
 * Return: 0; as kbr_remote_get_bounds(), but -ERESTARTSYS.
 */
int kbr_reader_get_bounds(struct kbr_partition *part, struct kbr_remote_bounds *bounds)
{
	int err;

	if (unlikely(kbr_replica_is_elsewhere(part))) {
		err = kbr_remote_get_bounds(part, bounds);
		return err == -EINTR ? -ERESTARTSYS : err;
	}
	bounds->hw = kbr_partition_hw(part);
	bounds->start = min(kbr_log_start(&part->log), bounds->hw);
	return 0;
}

/* As kbr_reader_load_from(), from the leader. */
static int kbr_reader_load_far(struct kbr_open *open, unsigned int index)
{
	struct kbr_reader *reader = &open->reader;
	struct kbr_remote_chunk *chunk;
	int ret = kbr_reader_look_far(open, index, &chunk);

	if (ret <= 0)
		return ret;
	ret = kbr_reader_reserve(reader, max_t(size_t, chunk->len, KBR_READER_BUF_MIN));
	if (ret) {
		kbr_remote_put_chunk(chunk);
		return ret;
	}
	memcpy(reader->buf, chunk->data, chunk->len);
	reader->len = chunk->len;
	reader->pos = 0;
	reader->current_index = index;
	reader->part = kbr_reader_partition(open, index);
	kbr_reader_took_far(open, index, chunk);
	return 1;
}

/* Batches of one partition from its position on. 1, 0 nothing there, or -errno. */
static int kbr_reader_load_from(struct kbr_open *open, unsigned int index)
{
	struct kbr_partition *part = kbr_reader_partition(open, index);
	struct kbr_log_pos *pos = &kbr_reader_cursors(open)->pos[index];
	struct kbr_reader *reader = &open->reader;
	size_t want = reader->size ?: KBR_READER_BUF_MIN;
	struct iov_iter to;
	struct kvec vec;
	ssize_t ret;
	int err;

	if (unlikely(kbr_reader_is_far(part, pos->offset)))
		return kbr_reader_load_far(open, index);
	for (;;) {
		err = kbr_reader_check_start(open, index);
		if (err)
			return err;
		if (pos->offset >= kbr_partition_hw(part))
			return 0;
		err = kbr_reader_reserve(reader, want);
		if (err)
			return err;
		vec.iov_base = reader->buf;
		vec.iov_len = reader->size;
		iov_iter_kvec(&to, ITER_DEST, &vec, 1, reader->size);
		ret = kbr_partition_read(part, pos, &to, &want);
		if (ret == -EMSGSIZE && want > reader->size)
			continue;
		/* Retention moved on in between, or the log was cut: look again. */
		if (ret == -ERANGE && pos->offset < kbr_log_start(&part->log)) {
			want = reader->size;
			continue;
		}
		if (ret == -ERANGE) {
			kbr_reader_seek(open, index, kbr_partition_hw(part));
			return 0;
		}
		break;
	}
	if (!ret && pos->offset < kbr_reader_position(open, index))
		kbr_reader_seek(open, index, pos->offset);	/* the log was cut */
	if (ret <= 0)
		return ret;
	reader->len = ret;
	reader->pos = 0;
	reader->current_index = index;
	reader->part = part;
	return 1;
}

/* The partitions in turn, one load each. */
static int kbr_reader_load(struct kbr_open *open)
{
	struct kbr_reader *reader = &open->reader;
	unsigned int tried, count, index;
	int ret;

	/* It was read through; did the last load fill it well? */
	if (reader->len > reader->size / 2 && reader->size < KBR_READER_BUF_BULK)
		kbr_reader_reserve(reader, KBR_READER_BUF_BULK);
	reader->len = 0;
	reader->pos = 0;
	ret = kbr_reader_grow(open);
	if (ret)
		return ret;
	count = kbr_reader_cursors(open)->count;
	for (tried = 0; tried < count; tried++) {
		index = reader->turn < count ? reader->turn : 0;
		reader->turn = index + 1;
		ret = kbr_reader_load_from(open, index);
		if (ret)
			return ret;
	}
	return 0;
}

/* Start on the next loaded batch. */
static int kbr_reader_open_batch(struct kbr_reader *reader)
{
	const u8 *start = reader->buf + reader->pos;
	size_t left = reader->len - reader->pos;
	struct kbr_batch batch;
	int err;

	if (kbr_batch_decode(&batch, start, left) || batch.size > left ||
	    kbr_batch_check_crc(start, batch.size))
		return -EBADMSG;
	reader->batch_last = kbr_batch_last_offset(&batch);
	if (batch.attributes & KBR_BATCH_CONTROL) {
		reader->unpacked = (struct kbr_unpacked) { };
		batch.records_count = 0;
	} else {
		err = kbr_unpack(&batch, start, KBR_UNPACKED_BYTES_MAX, &reader->unpacked);
		if (err)
			return err;
	}
	kbr_record_iter_init(&reader->it, &batch, reader->unpacked.data, reader->unpacked.len);
	reader->pos += batch.size;
	reader->walking = true;
	return 0;
}

/* The walk's next record at or after the position. 1, 0 the batch ended, or -EBADMSG. */
static int kbr_reader_step(struct kbr_open *open)
{
	struct kbr_reader *reader = &open->reader;
	s64 position = kbr_reader_position(open, reader->current_index);
	int ret;

	do {
		ret = kbr_record_next(&reader->it, &reader->rec);
	} while (ret == 1 && reader->rec.offset < position);
	if (ret)
		return ret;
	/* Control batches and compaction leave offsets without a record. */
	if (reader->batch_last >= position)
		kbr_reader_set_position(open, reader->current_index, reader->batch_last + 1);
	return 0;
}

/**
 * kbr_reader_next() - have reader.rec be the next record
 * @open: the open
 *
 * Context: reader lock held; may read from disk.
 * Return: 1 it is; 0 nothing to read now; -EPIPE overtaken; -EBADMSG, -EFBIG,
 * -EOPNOTSUPP the batch at the position cannot be read; -ENODATA gone; -EIO;
 * -ENOMEM; -EINTR.
 */
int kbr_reader_next(struct kbr_open *open)
{
	struct kbr_reader *reader = &open->reader;
	int ret;

	if (reader->done)
		return 1;	/* finish that line, come what may */
	/* What is loaded may have been overtaken since; a load looks by itself. */
	if (reader->have || reader->walking || reader->pos < reader->len) {
		ret = kbr_reader_check_start(open, reader->current_index);
		if (ret)
			return ret;
	}
	for (;;) {
		if (reader->have)
			return 1;
		if (reader->walking) {
			ret = kbr_reader_step(open);
			if (ret < 0)
				break;
			if (ret)
				reader->have = true;
			else
				kbr_reader_end_batch(reader);
		} else if (reader->pos < reader->len) {
			ret = kbr_reader_open_batch(reader);
			if (ret)
				break;
		} else {
			ret = kbr_reader_load(open);
			if (ret <= 0)
				return ret;
		}
	}
	kbr_reader_drop(open);
	return ret;
}

/** kbr_reader_consume() - reader.rec was handed out; reader lock held */
void kbr_reader_consume(struct kbr_open *open)
{
	struct kbr_reader *reader = &open->reader;

	open->handle.read_any = true;
	if (reader->orphan) {
		kbr_reader_drop(open);
		return;
	}
	kbr_reader_given(open, reader->current_index, reader->rec.offset + 1);
	reader->have = false;
	reader->done = 0;
}

/* Is there a record of @part at @position, or may there be? */
static bool kbr_reader_part_ready(struct kbr_open *open, const struct kbr_partition *part,
				  s64 position)
{
	const struct kbr_remote_want *want;

	if (likely(!kbr_reader_is_far(part, max(position, 0LL))))
		return kbr_partition_hw(part) >
		       (position < 0 ? kbr_log_start(&part->log) : position);
	want = xa_load(&open->reader.wants, part->index);
	return !want || READ_ONCE(want->step) != KBR_REMOTE_WAITING ||
	       max(position, 0LL) < READ_ONCE(want->offset);
}

/* The same for a member of a group. */
static bool kbr_reader_member_ready(struct kbr_open *open, const struct kbr_share_member *member)
{
	struct kbr_cursors *cursors;
	struct kbr_share_part *sp;
	unsigned int index;
	bool ready;

	rcu_read_lock();
	cursors = rcu_dereference(open->reader.cursors);
	ready = !cursors || kbr_share_ready(member);
	for (index = 0; !ready && index < cursors->count; index++) {
		sp = cursors->parts[index];
		ready = kbr_reader_part_ready(open, sp->part, READ_ONCE(cursors->positions[index])) &&
			kbr_share_owns(member, sp);
	}
	rcu_read_unlock();
	return ready;
}

/**
 * kbr_reader_ready() - would a read return something, be it the end of file?
 * @open: the open
 *
 * Context: any; takes no lock. A batch without records for its format makes it
 * say yes once.
 */
bool kbr_reader_ready(struct kbr_open *open)
{
	struct kbr_open_group *group = kbr_open_group(open);
	unsigned int index, count, known = 0;
	struct kbr_cursors *cursors;
	struct kbr_partition *part;
	bool ready = false;
	s64 position;

	if (kbr_topic_gone(kbr_open_topic(open)))
		return true;
	if (group)
		return kbr_reader_member_ready(open, &group->member);
	rcu_read_lock();
	cursors = rcu_dereference(open->reader.cursors);
	if (cursors)
		known = cursors->count;
	count = open->part ? 1 : kbr_topic_partitions(kbr_open_topic(open));
	for (index = 0; index < count && !ready; index++) {
		part = kbr_open_partition(open, index);
		if (!part)
			break;
		position = index < known ? READ_ONCE(cursors->positions[index]) : -1;
		ready = kbr_reader_part_ready(open, part, position);
	}
	rcu_read_unlock();
	return ready;
}
