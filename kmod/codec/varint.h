/* SPDX-License-Identifier: GPL-2.0-only OR LGPL-2.1-or-later */
/*
 * Variable-length integers of Kafka's record format (zig-zag, base 128).
 *
 * Source: Kafka protocol guide, "Record" (message format v2). Decoders are
 * bounds-checked and refuse encodings longer than 5 (int) or 10 (long) bytes
 * and values that overflow.
 */
#ifndef _KBR_CODEC_VARINT_H
#define _KBR_CODEC_VARINT_H

#include <linux/compiler.h>
#include <linux/types.h>

#define KBR_VARINT_MAX	5
#define KBR_VARLONG_MAX	10

/* The ways through 3 and more bytes; call kbr_varint_decode() instead */
const u8 *kbr_varint_decode_long(const u8 *p, const u8 *end, s32 *val);
const u8 *kbr_varlong_decode_long(const u8 *p, const u8 *end, s64 *val);

static inline s32 kbr_varint_unzigzag(u32 raw)
{
	return (s32)((raw >> 1) ^ (0 - (raw & 1)));
}

static inline s64 kbr_varlong_unzigzag(u64 raw)
{
	return (s64)((raw >> 1) ^ (0 - (raw & 1)));
}

/**
 * kbr_varint_decode() - read one zig-zag varint
 * @p: first byte
 * @end: first byte that may not be read
 * @val: result, written on success only
 *
 * One and two bytes are read in line: nearly all of a record's lengths are.
 *
 * Return: the byte after the varint; NULL if it is cut, too long or overflows.
 */
static inline const u8 *kbr_varint_decode(const u8 *p, const u8 *end, s32 *val)
{
	if (likely(p < end && p[0] < 0x80)) {
		*val = kbr_varint_unzigzag(p[0]);
		return p + 1;
	}
	if (likely(end - p >= 2 && p[1] < 0x80)) {
		*val = kbr_varint_unzigzag((p[0] & 0x7f) | (u32)p[1] << 7);
		return p + 2;
	}
	return kbr_varint_decode_long(p, end, val);
}

/** kbr_varlong_decode() - the same for a 64-bit zig-zag varlong */
static inline const u8 *kbr_varlong_decode(const u8 *p, const u8 *end, s64 *val)
{
	if (likely(p < end && p[0] < 0x80)) {
		*val = kbr_varlong_unzigzag(p[0]);
		return p + 1;
	}
	if (likely(end - p >= 2 && p[1] < 0x80)) {
		*val = kbr_varlong_unzigzag((p[0] & 0x7f) | (u64)p[1] << 7);
		return p + 2;
	}
	return kbr_varlong_decode_long(p, end, val);
}

/** kbr_varint_encode() - write @val at @p (room for KBR_VARINT_MAX bytes); returns the byte after it */
u8 *kbr_varint_encode(u8 *p, s32 val);
/** kbr_varlong_encode() - write @val at @p (room for KBR_VARLONG_MAX bytes); returns the byte after it */
u8 *kbr_varlong_encode(u8 *p, s64 val);
/** kbr_varint_size() - bytes kbr_varint_encode() will take */
unsigned int kbr_varint_size(s32 val);
/** kbr_varlong_size() - bytes kbr_varlong_encode() will take */
unsigned int kbr_varlong_size(s64 val);

#endif /* _KBR_CODEC_VARINT_H */
