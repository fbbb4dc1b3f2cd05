/* SPDX-License-Identifier: GPL-2.0-only OR LGPL-2.1-or-later */
/*
 * One record, parsed in line: shared by the walk of kbr_batch_validate() and by
 * kbr_record_next(), each of which lets the compiler drop what it doesn't use.
 * Not for other files: use record.h.
 */
#ifndef _KBR_CODEC_RECORD_PARSE_H
#define _KBR_CODEC_RECORD_PARSE_H

#include <linux/compiler.h>
#include <linux/types.h>

#include "codec/record.h"
#include "codec/varint.h"

/* true if @count well-formed headers fill the bytes from @p to @end exactly */
bool kbr_record_headers_ok(const u8 *p, const u8 *end, u32 count);

/**
 * kbr_record_parse() - parse the record at @p
 * @p: first byte of the record
 * @end: first byte that may not be read
 * @rec: result; offset and timestamp are not set
 * @ts_delta: its timestamp delta
 *
 * Return: the byte after the record; NULL if anything in it is wrong (@rec is
 * then undefined).
 */
static __always_inline const u8 *kbr_record_parse(const u8 *p, const u8 *end,
						  struct kbr_record *rec, s64 *ts_delta)
{
	s32 len, key_len, value_len, count;

	p = kbr_varint_decode(p, end, &len);
	if (unlikely(!p || len <= 0 || len > end - p))
		return NULL;
	end = p + len;
	p++;	/* attributes: none is defined, and Kafka ignores them */
	p = kbr_varlong_decode(p, end, ts_delta);
	if (unlikely(!p))
		return NULL;
	p = kbr_varint_decode(p, end, &rec->offset_delta);
	if (unlikely(!p))
		return NULL;

	p = kbr_varint_decode(p, end, &key_len);
	if (unlikely(!p || key_len < -1 || key_len > end - p))
		return NULL;
	if (key_len < 0) {
		rec->key = NULL;
		rec->key_len = 0;
	} else {
		rec->key = p;
		rec->key_len = key_len;
		p += key_len;
	}

	p = kbr_varint_decode(p, end, &value_len);
	if (unlikely(!p || value_len < -1 || value_len > end - p))
		return NULL;
	if (value_len < 0) {
		rec->value = NULL;
		rec->value_len = 0;
	} else {
		rec->value = p;
		rec->value_len = value_len;
		p += value_len;
	}

	p = kbr_varint_decode(p, end, &count);
	if (unlikely(!p || count < 0))
		return NULL;
	rec->headers = p;
	rec->headers_len = end - p;
	rec->headers_count = count;
	if (likely(p == end && !count))
		return end;
	return kbr_record_headers_ok(p, end, count) ? end : NULL;
}

#endif /* _KBR_CODEC_RECORD_PARSE_H */
