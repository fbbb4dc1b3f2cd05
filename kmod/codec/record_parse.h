/* SPDX-License-Identifier: GPL-2.0-only OR LGPL-2.1-or-later */
/*
 * One record, parsed in line: shared by the walk of kbr_batch_validate(), by
 * kbr_record_next() and by libkbroker's reader, each of which lets the compiler
 * drop what it doesn't use. Not for other files: use record.h.
 */
#ifndef _KBR_CODEC_RECORD_PARSE_H
#define _KBR_CODEC_RECORD_PARSE_H

#include <linux/compiler.h>
#include <linux/errno.h>
#include <linux/overflow.h>
#include <linux/types.h>

#include "codec/record.h"
#include "codec/varint.h"

/* true if @count well-formed headers fill the bytes from @p to @end exactly */
bool kbr_record_headers_ok(const u8 *p, const u8 *end, u32 count);

/* A length, or -1 (1 in zig-zag form) for null: the bytes that are then at *@p */
static __always_inline bool kbr_record_parse_bytes(const u8 **p, const u8 *end,
						   const u8 **bytes, u32 *bytes_len)
{
	u32 raw, len;

	if (unlikely(!kbr_varint_read(p, end, &raw)))
		return false;
	if (raw & 1) {
		*bytes = NULL;
		*bytes_len = 0;
		return likely(raw == 1);
	}
	len = raw >> 1;
	if (unlikely(len > end - *p))
		return false;
	*bytes = *p;
	*bytes_len = len;
	*p += len;
	return true;
}

/**
 * kbr_record_parse() - parse the record at @p
 * @p: first byte of the record
 * @end: first byte that may not be read
 * @rec: result; offset and timestamp are not set
 * @ts_delta: its timestamp delta
 *
 * Lengths are compared in zig-zag form, where what is negative is odd.
 *
 * Return: the byte after the record; NULL if anything in it is wrong (@rec is
 * then undefined).
 */
static __always_inline const u8 *kbr_record_parse(const u8 *p, const u8 *end,
						  struct kbr_record *rec, s64 *ts_delta)
{
	u32 len, delta, count;
	u64 ts;

	if (unlikely(!kbr_varint_read(&p, end, &len)))
		return NULL;
	if (unlikely(len & 1 || len >> 1 > end - p || !len))
		return NULL;
	end = p + (len >> 1);
	p++;	/* attributes: none is defined, and Kafka ignores them */
	if (unlikely(!kbr_varlong_read(&p, end, 64, &ts)))
		return NULL;
	*ts_delta = kbr_varlong_unzigzag(ts);
	if (unlikely(!kbr_varint_read(&p, end, &delta)))
		return NULL;
	rec->offset_delta = kbr_varint_unzigzag(delta);
	if (unlikely(!kbr_record_parse_bytes(&p, end, &rec->key, &rec->key_len)))
		return NULL;
	if (unlikely(!kbr_record_parse_bytes(&p, end, &rec->value, &rec->value_len)))
		return NULL;

	/* without headers one byte is left, and it is 0 */
	if (likely(end - p == 1 && !*p)) {
		rec->headers = end;
		rec->headers_len = 0;
		rec->headers_count = 0;
		return end;
	}
	if (unlikely(!kbr_varint_read(&p, end, &count) || count & 1))
		return NULL;
	rec->headers = p;
	rec->headers_len = end - p;
	rec->headers_count = count >> 1;
	return kbr_record_headers_ok(p, end, count >> 1) ? end : NULL;
}

/* kbr_record_next(), in line */
static __always_inline int kbr_record_step(struct kbr_record_iter *it, struct kbr_record *rec)
{
	const u8 *next;
	s64 ts_delta;

	if (unlikely(it->left <= 0))
		return it->pos == it->end ? 0 : -EBADMSG;

	next = kbr_record_parse(it->pos, it->end, rec, &ts_delta);
	if (unlikely(!next))
		return -EBADMSG;
	if (unlikely(rec->offset_delta <= it->last_delta ||
		     rec->offset_delta > it->batch.last_offset_delta))
		return -EBADMSG;
	/* cannot overflow: the header's last offset was checked */
	rec->offset = it->batch.base_offset + rec->offset_delta;
	if (unlikely(it->batch.attributes & KBR_BATCH_APPEND_TIME))
		rec->timestamp = it->batch.max_timestamp;
	else if (unlikely(check_add_overflow(it->batch.base_timestamp, ts_delta, &rec->timestamp)))
		return -EBADMSG;

	it->last_delta = rec->offset_delta;
	it->pos = next;
	it->left--;
	return 1;
}

#endif /* _KBR_CODEC_RECORD_PARSE_H */
