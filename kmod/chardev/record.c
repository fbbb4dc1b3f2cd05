// SPDX-License-Identifier: GPL-2.0-only
/*
 * Records: one struct kbroker_record, key, value and headers a call.
 *
 * Kafka's headers are packed with variable-length numbers, the device's have
 * fixed ones: this file converts between them.
 */
#include <linux/overflow.h>
#include <linux/string.h>

#include "base/clock.h"
#include "base/limits.h"
#include "chardev/open.h"
#include "codec/varint.h"

/**
 * kbr_record_user_size() - bytes that @rec takes in record format
 * @rec: a record
 * @size: out: bytes
 * @headers_len: out: bytes of its headers
 *
 * Return: 0; -EBADMSG its headers are damaged.
 */
int kbr_record_user_size(const struct kbr_record *rec, size_t *size, u32 *headers_len)
{
	const u8 *end = rec->headers + rec->headers_len;
	const u8 *pos = rec->headers;
	struct kbr_header header;
	size_t len = 0;
	u32 i;

	for (i = 0; i < rec->headers_count; i++) {
		if (kbr_header_next(&pos, end, &header) != 1)
			return -EBADMSG;
		len += sizeof(struct kbroker_header) + header.key_len + header.value_len;
	}
	*size = sizeof(struct kbroker_record) + rec->key_len + rec->value_len + len;
	if (*size > U32_MAX)
		return -EBADMSG;
	*headers_len = len;
	return 0;
}

static bool kbr_record_put(const void *bytes, size_t len, struct iov_iter *to)
{
	return copy_to_iter(bytes, len, to) == len;
}

static bool kbr_record_put_headers(const struct kbr_record *rec, struct iov_iter *to)
{
	const u8 *end = rec->headers + rec->headers_len;
	const u8 *pos = rec->headers;
	struct kbr_header header;
	u32 i;

	for (i = 0; i < rec->headers_count; i++) {
		struct kbroker_header user;

		if (kbr_header_next(&pos, end, &header) != 1)
			return false;
		user.key_len = header.key_len;
		user.value_len = header.value ? (s32)header.value_len : -1;
		if (!kbr_record_put(&user, sizeof(user), to) ||
		    !kbr_record_put(header.key, header.key_len, to) ||
		    !kbr_record_put(header.value, header.value_len, to))
			return false;
	}
	return true;
}

/**
 * kbr_record_read() - the next record
 * @open: the open
 * @to: where the user reads to
 *
 * Context: reader lock held. Return: its size; 0 nothing to read now;
 * -EMSGSIZE it does not fit; -EFAULT; kbr_reader_next()'s errors. After an
 * error it is still the next record.
 */
ssize_t kbr_record_read(struct kbr_open *open, struct iov_iter *to)
{
	struct kbr_reader *reader = &open->reader;
	const struct kbr_record *rec = &reader->rec;
	struct kbroker_record user;
	u32 headers_len;
	size_t size;
	int ret;

	ret = kbr_reader_next(open);
	if (ret <= 0)
		return ret;
	ret = kbr_record_user_size(rec, &size, &headers_len);
	if (ret)
		return ret;
	if (size > iov_iter_count(to))
		return -EMSGSIZE;
	user = (struct kbroker_record) {
		.size = size,
		.flags = (rec->key ? 0 : KBROKER_RECORD_NULL_KEY) |
			 (rec->value ? 0 : KBROKER_RECORD_NULL_VALUE),
		.partition = reader->part->index,
		.headers_count = rec->headers_count,
		.offset = rec->offset,
		.timestamp = rec->timestamp,
		.key_len = rec->key_len,
		.value_len = rec->value_len,
		.headers_len = headers_len,
		.leader_epoch = reader->it.batch.leader_epoch,
	};
	if (!kbr_record_put(&user, sizeof(user), to) ||
	    !kbr_record_put(rec->key, rec->key_len, to) ||
	    !kbr_record_put(rec->value, rec->value_len, to) ||
	    !kbr_record_put_headers(rec, to))
		return -EFAULT;
	kbr_reader_consume(open);
	return size;
}

/* R1 to R3 of the ABI, as far as the struct alone tells. */
static int kbr_record_check(const struct kbroker_record *user, size_t count)
{
	u64 sum = (u64)sizeof(*user) + user->key_len + user->value_len + user->headers_len;

	if (user->size != count || sum != count)
		return -EINVAL;
	if (user->flags & ~KBROKER_RECORD_FLAGS)
		return -EINVAL;
	if ((user->flags & KBROKER_RECORD_NULL_KEY) && user->key_len)
		return -EINVAL;
	if ((user->flags & KBROKER_RECORD_NULL_VALUE) && user->value_len)
		return -EINVAL;
	if (user->headers_count > KBR_RECORD_HEADERS_MAX)
		return -EINVAL;
	if (user->partition < -1 || user->offset || user->leader_epoch || user->timestamp < -1)
		return -EINVAL;
	return 0;
}

/*
 * Turn the device's headers at @buf into Kafka's, in place: below 2^27 bytes a
 * variable-length number takes four bytes at most, as many as a fixed one.
 * Return: bytes they have now, or -EINVAL.
 */
static ssize_t kbr_record_pack_headers(u8 *buf, size_t len, u32 count)
{
	const u8 *from = buf, *end = buf + len;
	struct kbroker_header user;
	u8 *to = buf;
	u32 i, value_len;

	BUILD_BUG_ON(KBR_BATCH_BYTES_MAX >= 1u << 27);
	for (i = 0; i < count; i++) {
		if (end - from < (ptrdiff_t)sizeof(user))
			return -EINVAL;
		memcpy(&user, from, sizeof(user));
		from += sizeof(user);
		if (user.value_len < -1)
			return -EINVAL;
		value_len = user.value_len < 0 ? 0 : user.value_len;
		if ((u64)user.key_len + value_len > (u64)(end - from))
			return -EINVAL;
		to = kbr_varint_encode(to, user.key_len);
		memmove(to, from, user.key_len);
		to += user.key_len;
		from += user.key_len;
		to = kbr_varint_encode(to, user.value_len);
		memmove(to, from, value_len);
		to += value_len;
		from += value_len;
	}
	return from == end ? to - buf : -EINVAL;
}

/* The partition that the record asks for. */
static struct kbr_partition *kbr_record_pick(struct kbr_open *open, s32 partition)
{
	if (partition < 0)
		return kbr_writer_pick(open);
	if (open->part)
		return (u32)partition == open->part->index ? open->part : NULL;
	return kbr_topic_partition(kbr_open_topic(open), partition);
}

/**
 * kbr_record_write() - append one record
 * @open: the open
 * @from: what the user writes
 * @write: how; where it went
 *
 * Context: writer lock held. Return: its size; -EINVAL, -EMSGSIZE, -ETIME as
 * the ABI says; -EFAULT; -ENOMEM; kbr_writer_append()'s errors.
 */
ssize_t kbr_record_write(struct kbr_open *open, struct iov_iter *from, struct kbr_write *write)
{
	size_t batch_max = kbr_writer_batch_max(open);
	struct kbr_writer *writer = &open->writer;
	size_t count = iov_iter_count(from);
	struct kbr_produce produce = { };
	struct kbr_batch_builder bld;
	struct kbr_partition *part;
	struct kbroker_record user;
	struct kbr_record rec;
	ssize_t headers_len;
	size_t size, rest;
	int err;

	if (count < sizeof(user))
		return -EINVAL;
	if (!copy_from_iter_full(&user, sizeof(user), from))
		return -EFAULT;
	err = kbr_record_check(&user, count);
	if (err)
		return err;
	part = kbr_record_pick(open, user.partition);
	if (!part)
		return -EINVAL;
	/* Packed it is smaller, but never by more than its fixed lengths. */
	rest = count - sizeof(user);
	if (rest - min(rest, (size_t)user.headers_count * sizeof(struct kbroker_header)) >
	    batch_max)
		return -EMSGSIZE;
	/* Never NULL: an empty key is not a null one. */
	err = kbr_writer_reserve_stage(writer, max_t(size_t, rest, 1), 0);
	if (err)
		return err;
	if (!copy_from_iter_full(writer->stage, rest, from))
		return -EFAULT;

	rec = (struct kbr_record) {
		.timestamp = user.timestamp < 0 ? kbr_clock_now_ms() : user.timestamp,
		.key = user.flags & KBROKER_RECORD_NULL_KEY ? NULL : writer->stage,
		.value = user.flags & KBROKER_RECORD_NULL_VALUE ?
			 NULL : writer->stage + user.key_len,
		.headers = writer->stage + user.key_len + user.value_len,
		.key_len = user.key_len,
		.value_len = user.value_len,
		.headers_count = user.headers_count,
	};
	headers_len = kbr_record_pack_headers((u8 *)rec.headers, user.headers_len,
					      user.headers_count);
	if (headers_len < 0)
		return headers_len;
	rec.headers_len = headers_len;
	size = KBR_BATCH_HEADER_LEN + kbr_record_size(&rec, 0, 0);
	if (size > batch_max)
		return -EMSGSIZE;
	err = kbr_writer_reserve(writer, size, 0);
	if (err)
		return err;
	kbr_batch_builder_init(&bld, writer->buf, size);
	err = kbr_batch_builder_add(&bld, &rec);
	if (err)
		return err;
	/* The topic's rules (keys, timestamps) are validation's business. */
	produce.buf = writer->buf;
	produce.len = kbr_batch_builder_finish(&bld);
	err = kbr_writer_append(open, part, &produce, write);
	return err ?: count;
}
