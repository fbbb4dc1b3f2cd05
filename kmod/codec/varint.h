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

/* What the out-of-line ways return: in registers, so that callers' stay there, too */
struct kbr_varint_raw {
	const u8 *next;		/* NULL if there is no varint */
	u64 raw;
};

/* The ways through 3 and more bytes, and those near the end of the buffer */
struct kbr_varint_raw kbr_varint_read_long(const u8 *p, const u8 *end, unsigned int bits);
u8 *kbr_varint_write_long(u8 *p, u64 raw);

static inline s32 kbr_varint_unzigzag(u32 raw)
{
	return (s32)((raw >> 1) ^ (0 - (raw & 1)));
}

static inline s64 kbr_varlong_unzigzag(u64 raw)
{
	return (s64)((raw >> 1) ^ (0 - (raw & 1)));
}

static inline u32 kbr_varint_zigzag(s32 val)
{
	return (u32)val << 1 ^ (u32)(val >> 31);
}

static inline u64 kbr_varlong_zigzag(s64 val)
{
	return (u64)val << 1 ^ (u64)(val >> 63);
}

/**
 * kbr_varlong_read() - read one varlong, still in zig-zag form
 * @pos: first byte; the byte after the varlong if it was read
 * @end: first byte that may not be read
 * @bits: most bits of the value: 32 for a varint, 64
 * @raw: result: even for 0, 1, 2, ..., odd for -1, -2, ...
 *
 * One and two bytes are read in line: nearly all of a record's lengths are.
 *
 * Return: false if it is cut, too long or overflows.
 */
static __always_inline bool kbr_varlong_read(const u8 **pos, const u8 *end, unsigned int bits,
					     u64 *raw)
{
	const u8 *p = *pos;
	struct kbr_varint_raw v;

	/* two bytes may be looked at */
	if (likely(p < end - 1)) {
		if (p[0] < 0x80) {
			*raw = p[0];
			*pos = p + 1;
			return true;
		}
		if (likely(p[1] < 0x80)) {
			*raw = p[0] - 0x80 + ((u32)p[1] << 7);
			*pos = p + 2;
			return true;
		}
	}
	v = kbr_varint_read_long(p, end, bits);
	if (!v.next)
		return false;
	*raw = v.raw;
	*pos = v.next;
	return true;
}

/** kbr_varint_read() - the same for a varint */
static __always_inline bool kbr_varint_read(const u8 **pos, const u8 *end, u32 *raw)
{
	u64 val;

	if (unlikely(!kbr_varlong_read(pos, end, 32, &val)))
		return false;
	*raw = (u32)val;
	return true;
}

/**
 * kbr_varint_decode() - read one zig-zag varint
 * @p: first byte
 * @end: first byte that may not be read
 * @val: result, written on success only
 *
 * Return: the byte after the varint; NULL if it is cut, too long or overflows.
 */
static inline const u8 *kbr_varint_decode(const u8 *p, const u8 *end, s32 *val)
{
	u32 raw;

	if (unlikely(!kbr_varint_read(&p, end, &raw)))
		return NULL;
	*val = kbr_varint_unzigzag(raw);
	return p;
}

/** kbr_varlong_decode() - the same for a 64-bit zig-zag varlong */
static inline const u8 *kbr_varlong_decode(const u8 *p, const u8 *end, s64 *val)
{
	u64 raw;

	if (unlikely(!kbr_varlong_read(&p, end, 64, &raw)))
		return NULL;
	*val = kbr_varlong_unzigzag(raw);
	return p;
}

/* Write what is in zig-zag form already; one and two bytes in line */
static __always_inline u8 *kbr_varint_write(u8 *p, u64 raw)
{
	if (raw < 0x80) {
		*p = (u8)raw;
		return p + 1;
	}
	if (unlikely(raw >= 0x4000))
		return kbr_varint_write_long(p, raw);
	p[0] = (u8)raw | 0x80;
	p[1] = (u8)(raw >> 7);
	return p + 2;
}

/** kbr_varint_encode() - write @val at @p (room for KBR_VARINT_MAX bytes); the byte after it */
static inline u8 *kbr_varint_encode(u8 *p, s32 val)
{
	return kbr_varint_write(p, kbr_varint_zigzag(val));
}

/** kbr_varlong_encode() - write @val at @p (room for KBR_VARLONG_MAX bytes); the byte after it */
static inline u8 *kbr_varlong_encode(u8 *p, s64 val)
{
	return kbr_varint_write(p, kbr_varlong_zigzag(val));
}

/** kbr_varlong_size() - bytes kbr_varlong_encode() will take */
unsigned int kbr_varlong_size(s64 val);

/** kbr_varint_size() - bytes kbr_varint_encode() will take */
static inline unsigned int kbr_varint_size(s32 val)
{
	u32 raw = kbr_varint_zigzag(val);

	if (likely(raw < 0x4000))
		return raw < 0x80 ? 1 : 2;
	return kbr_varlong_size(val);
}

#endif /* _KBR_CODEC_VARINT_H */
