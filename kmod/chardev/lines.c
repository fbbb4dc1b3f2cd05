// SPDX-License-Identifier: GPL-2.0-only
/*
 * Lines: values with a newline after each, as a stream of bytes.
 *
 * A write of one short line, the commonest, is copied once from the user,
 * straight to where its value will be in the batch; everything else passes
 * through the stage, where the unfinished line of the last write waits.
 */
#include <linux/pid.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "base/clock.h"
#include "base/kunit.h"
#include "chardev/open.h"
#include "codec/varint.h"

/* A write up to this may go straight into the batch, bytes */
#define KBR_LINES_DIRECT_MAX	2048u
/* Longer writes come in pieces of this, so that the cache still has them */
#define KBR_LINES_PIECE		(64u << 10)
/* length, attributes, time delta, offset delta, key length, value length, headers */
#define KBR_LINES_RECORD_MAX	(KBR_VARINT_MAX + 3 + KBR_VARINT_MAX + KBR_VARINT_MAX + 1)

/**
 * kbr_lines_read() - values from the position on, as much as there is and fits
 * @open: the open
 * @to: where the user reads to
 *
 * Context: reader lock held. Return: bytes; 0 nothing to read now; -EFAULT and
 * kbr_reader_next()'s errors if no byte came before.
 */
ssize_t kbr_lines_read(struct kbr_open *open, struct iov_iter *to)
{
	struct kbr_reader *reader = &open->reader;
	size_t total, want, copied;
	ssize_t bytes = 0;
	u8 *line;
	int ret = 0;

	while (iov_iter_count(to)) {
		ret = kbr_reader_next(open);
		if (ret <= 0)
			break;
		total = (size_t)reader->rec.value_len + 1;
		line = (u8 *)reader->rec.value;
		if (line)
			/* There the headers' count was: the buffer is ours. */
			line[total - 1] = '\n';
		else
			line = (u8 *)"\n";
		want = min(total - reader->done, iov_iter_count(to));
		copied = kbr_reader_copy(reader, line + reader->done, want, to);
		bytes += copied;
		reader->done += copied;
		if (copied < want) {
			ret = -EFAULT;
			break;
		}
		if (reader->done < total)
			break;
		kbr_reader_consume(open);
		/* The commonest end, without looking for another batch. */
		if (open->part && kbr_partition_hw(open->part) <= reader->rec.offset + 1 &&
		    !kbr_reader_is_far(open->part, reader->rec.offset + 1))
			break;
	}
	return bytes ?: ret;
}

#define KBR_LINES_ONES	0x0101010101010101ull

/* Has its highest bit set in a byte that is a newline; in others, if they are not ASCII. */
static __always_inline u64 kbr_lines_guess(const u8 *p)
{
	u64 word;

	memcpy(&word, p, sizeof(word));
	return (word ^ KBR_LINES_ONES * '\n') - KBR_LINES_ONES;
}

/* Not 0 if one of the 8 bytes at @p is a newline. */
static __always_inline u64 kbr_lines_word(const u8 *p)
{
	u64 word;

	memcpy(&word, p, sizeof(word));
	word ^= KBR_LINES_ONES * '\n';
	return (word - KBR_LINES_ONES) & ~word & (KBR_LINES_ONES << 7);
}

/* The first newline of @len bytes, a word at a time; NULL if there is none. */
static const u8 *kbr_lines_find(const u8 *p, size_t len)
{
	const u8 *end = p + len;

	/* Most of most lines is ASCII: four words a turn. Then word by word, and the bytes last. */
	for (; end - p >= 32; p += 32)
		if ((kbr_lines_guess(p) | kbr_lines_guess(p + 8) | kbr_lines_guess(p + 16) |
		     kbr_lines_guess(p + 24)) & (KBR_LINES_ONES << 7))
			break;
	for (; end - p >= 8; p += 8)
		if (kbr_lines_word(p))
			break;
	for (; p < end; p++)
		if (*p == '\n')
			return p;
	return NULL;
}

/**
 * kbr_lines_forget_killed() - drop the unfinished line of a writer that a signal killed
 * @writer: the writing side
 *
 * Context: writer lock held.
 */
void kbr_lines_forget_killed(struct kbr_writer *writer)
{
	pid_t killed = READ_ONCE(writer->killed_tgid);

	if (likely(!killed))
		return;
	if (writer->pending && writer->pending_tgid == killed) {
		writer->pending = 0;
		writer->pending_seq++;
	}
	cmpxchg(&writer->killed_tgid, killed, 0);
}

static bool kbr_lines_fits(size_t value_len, size_t batch_max)
{
	const struct kbr_record rec = {
		.value = (const u8 *)"",
		.value_len = value_len,
	};

	if (value_len > batch_max)
		return false;
	return KBR_BATCH_HEADER_LEN + kbr_record_size(&rec, 0, 0) <= batch_max;
}

static int kbr_lines_add(struct kbr_writer *writer, struct kbr_batch_builder *bld,
			 const u8 *line, size_t len, s64 now, size_t batch_max)
{
	const struct kbr_record rec = {
		.timestamp = now,
		.value = line,
		.value_len = len,
	};
	size_t need = bld->len + len + KBR_LINES_RECORD_MAX;
	int err;

	for (;;) {
		bld->size = min(writer->size, batch_max);
		err = kbr_batch_builder_add(bld, &rec);
		if (err != -ENOSPC || bld->size == batch_max)
			return err;
		/* It grows to what is needed, at least by half, never beyond the topic's limit. */
		err = kbr_writer_reserve(writer, min(max(need, bld->size + bld->size / 2),
						     batch_max), bld->len);
		if (err)
			return err;
		bld->buf = writer->buf;
	}
}

/*
 * One line that is the whole write. Return: as kbr_lines_write(); 0 it is not
 * one line: its bytes are in the stage then, and the iterator has moved on.
 */
static ssize_t kbr_lines_write_direct(struct kbr_open *open, struct iov_iter *from,
				      struct kbr_write *write, size_t batch_max)
{
	struct kbr_writer *writer = &open->writer;
	size_t count = iov_iter_count(from);
	struct kbr_batch_builder bld;
	s32 len = (s32)count - 1;
	size_t start;
	s32 body;
	u8 *buf, *p;
	int err;

	BUILD_BUG_ON(KBR_BATCH_HEADER_LEN + KBR_LINES_RECORD_MAX + KBR_LINES_DIRECT_MAX > PAGE_SIZE);
	body = 5 + kbr_varint_size(len) + len;
	start = KBR_BATCH_HEADER_LEN + kbr_varint_size(body) + 4 + kbr_varint_size(len);
	buf = kbr_writer_reserve_page(writer);
	if (!buf)
		return -ENOMEM;
	if (copy_page_from_iter(writer->page, start, count, from) != count)
		return -EFAULT;
	if (buf[start + len] != '\n' || kbr_lines_find(buf + start, len)) {
		err = kbr_writer_reserve_stage(writer, count, 0);
		if (err)
			return err;
		memcpy(writer->stage, buf + start, count);
		return 0;
	}
	if (start + count > batch_max)
		return -EMSGSIZE;

	p = kbr_varint_encode(buf + KBR_BATCH_HEADER_LEN, body);
	*p++ = 0;		/* attributes */
	*p++ = 0;		/* time delta */
	*p++ = 0;		/* offset delta */
	*p++ = 1;		/* key length -1 */
	p = kbr_varint_encode(p, len);
	p[len] = 0;		/* no headers, where the newline was */

	bld = (struct kbr_batch_builder) {
		.buf = buf,
		.size = PAGE_SIZE,
		.len = start + count,
		.count = 1,
		.base_timestamp = kbr_clock_now_ms(),
	};
	bld.max_timestamp = bld.base_timestamp;
	err = kbr_writer_append_built(open, &bld, write);
	return err ?: count;
}

/**
 * struct kbr_lines_parse - lines of one write on their way into a batch
 * @bld: the batch
 * @now: their time
 * @batch_max: bytes of a batch
 * @first: where the first value is in the batch
 * @had: bytes of the unfinished line that the write began with
 * @have: bytes in the stage
 * @pos: first byte in the stage that is in no line yet
 * @scan: from here on the stage was not searched
 * @full: the next line does not fit
 */
struct kbr_lines_parse {
	struct kbr_batch_builder bld;
	s64 now;
	size_t batch_max;
	size_t first;
	size_t had;
	size_t have;
	size_t pos;
	size_t scan;
	bool full;
};

/* Move the complete lines of the stage into the batch. */
static int kbr_lines_parse_stage(struct kbr_writer *writer, struct kbr_lines_parse *parse)
{
	const u8 *stage = writer->stage;
	const u8 *end;
	size_t len;
	int err;

	while ((end = kbr_lines_find(stage + parse->scan, parse->have - parse->scan))) {
		len = end - (stage + parse->pos);
		err = kbr_lines_add(writer, &parse->bld, stage + parse->pos, len, parse->now,
				    parse->batch_max);
		if (err == -ENOSPC || err == -EINVAL) {
			parse->full = true;
			return 0;
		}
		if (err)
			return err;
		if (parse->bld.count == 1)
			parse->first = parse->bld.len - 1 - len;
		parse->pos = end + 1 - stage;
		parse->scan = parse->pos;
	}
	parse->scan = parse->have;
	return 0;
}

/* Copy and parse piece by piece until the write or the batch is at its end. */
static int kbr_lines_parse_iter(struct kbr_writer *writer, struct kbr_lines_parse *parse,
				struct iov_iter *from)
{
	size_t piece;
	int err;

	for (;;) {
		err = kbr_lines_parse_stage(writer, parse);
		if (err || parse->full || !iov_iter_count(from))
			return err;
		if (parse->pos) {
			memmove(writer->stage, writer->stage + parse->pos,
				parse->have - parse->pos);
			parse->have -= parse->pos;
			parse->scan = parse->have;
			parse->pos = 0;
		}
		if (!kbr_lines_fits(parse->have, parse->batch_max)) {
			parse->full = true;
			return 0;
		}
		piece = min_t(size_t, iov_iter_count(from), KBR_LINES_PIECE);
		err = kbr_writer_reserve_stage(writer, parse->have + piece, parse->have);
		if (err)
			return err;
		if (!copy_from_iter_full(writer->stage + parse->have, piece, from))
			return -EFAULT;
		parse->have += piece;
	}
}

/* The write failed: the stage holds the unfinished line as before it. */
static void kbr_lines_restore(struct kbr_writer *writer, const struct kbr_lines_parse *parse)
{
	/* Its bytes are the beginning of the first value, if one was made. */
	if (parse->had && parse->bld.count)
		memcpy(writer->stage, writer->buf + parse->first, parse->had);
}

static void kbr_lines_set_pending(struct kbr_writer *writer, size_t len)
{
	writer->pending = len;
	writer->pending_seq++;
	writer->pending_tgid = task_tgid_nr(current);
}

/*
 * The write, or what of it is in the stage already (@have bytes), through the
 * stage. Return: as kbr_lines_write().
 */
static ssize_t kbr_lines_write_staged(struct kbr_open *open, struct iov_iter *from,
				      size_t have, struct kbr_write *write, size_t batch_max)
{
	struct kbr_writer *writer = &open->writer;
	size_t total = have + iov_iter_count(from);
	struct kbr_lines_parse parse = {
		.now = kbr_clock_now_ms(),
		.batch_max = batch_max,
		.had = writer->pending,
		.have = writer->pending + have,
		.scan = writer->pending,
	};
	size_t rest;
	int err;

	/* A guess: a few bytes for each line of a hundred. It grows. */
	rest = min_t(size_t, writer->pending + total, KBR_LINES_PIECE);
	err = kbr_writer_reserve(writer, min(KBR_BATCH_HEADER_LEN + rest + rest / 8 +
					     KBR_LINES_RECORD_MAX, batch_max), 0);
	if (err)
		return err;
	kbr_batch_builder_init(&parse.bld, writer->buf, writer->size);
	err = kbr_lines_parse_iter(writer, &parse, from);
	if (err)
		goto out_restore;

	rest = parse.have - parse.pos;
	if (!parse.full && !kbr_lines_fits(rest, batch_max))
		parse.full = true;
	if (!parse.bld.count) {
		if (parse.full) {
			writer->pending = 0;
			writer->pending_seq++;
			return -EMSGSIZE;
		}
		kbr_lines_set_pending(writer, rest);
		return total;
	}
	err = kbr_writer_append_built(open, &parse.bld, write);
	if (err)
		goto out_restore;
	if (parse.full) {
		/* The caller comes again with what did not fit. */
		total -= rest + iov_iter_count(from);
		iov_iter_revert(from, rest);
		rest = 0;
	}
	if (rest && parse.pos)
		memmove(writer->stage, writer->stage + parse.pos, rest);
	kbr_lines_set_pending(writer, rest);
	write->left_pending = rest;
	write->pending_seq = writer->pending_seq;
	return total;

out_restore:
	kbr_lines_restore(writer, &parse);
	return err;
}

/**
 * kbr_lines_write() - make the complete lines of @from a batch and append it
 * @open: the open
 * @from: what the user writes
 * @write: how; where it went
 *
 * All or nothing, except that an overlong line is dropped with what was kept
 * of it. Context: writer lock held.
 *
 * Return: bytes taken; -EMSGSIZE the first line does not fit; -EINVAL the
 * topic needs keys; -EFAULT; -ENOMEM; kbr_writer_append()'s errors.
 */
ssize_t kbr_lines_write(struct kbr_open *open, struct iov_iter *from, struct kbr_write *write)
{
	size_t batch_max = kbr_writer_batch_max(open);
	struct kbr_writer *writer = &open->writer;
	size_t count = iov_iter_count(from);
	ssize_t ret;

	if (READ_ONCE(kbr_open_topic(open)->config.log.compact))
		return -EINVAL;
	kbr_lines_forget_killed(writer);
	if (writer->pending || count > KBR_LINES_DIRECT_MAX)
		return kbr_lines_write_staged(open, from, 0, write, batch_max);
	ret = kbr_lines_write_direct(open, from, write, batch_max);
	if (!ret)
		ret = kbr_lines_write_staged(open, from, count, write, batch_max);
	return ret;
}
KBR_EXPORT_IF_KUNIT(kbr_lines_write);

/**
 * kbr_lines_finish() - make the unfinished line a record (fsync, last close)
 * @open: the open
 * @write: how; where it went
 *
 * Context: writer lock held. Return: 0; kbr_writer_append()'s errors (the
 * line then stays).
 */
int kbr_lines_finish(struct kbr_open *open, struct kbr_write *write)
{
	struct kbr_writer *writer = &open->writer;
	struct kbr_batch_builder bld;
	size_t size;
	int err;

	kbr_lines_forget_killed(writer);
	if (!writer->pending)
		return 0;
	/* It fitted when it was taken; it goes even if the limit is lower by now. */
	size = KBR_BATCH_HEADER_LEN + writer->pending + KBR_LINES_RECORD_MAX;
	err = kbr_writer_reserve(writer, size, 0);
	if (err)
		return err;
	kbr_batch_builder_init(&bld, writer->buf, writer->size);
	err = kbr_lines_add(writer, &bld, writer->stage, writer->pending, kbr_clock_now_ms(),
			    size);
	if (!err)
		err = kbr_writer_append_built(open, &bld, write);
	if (!err) {
		writer->pending = 0;
		writer->pending_seq++;
	}
	return err;
}
KBR_EXPORT_IF_KUNIT(kbr_lines_finish);
