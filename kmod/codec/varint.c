// SPDX-License-Identifier: GPL-2.0-only OR LGPL-2.1-or-later
/*
 * Variable-length integers of the record format: everything that is not worth
 * having in line (see varint.h).
 */
#include <linux/bitops.h>
#include <linux/limits.h>
#include <linux/types.h>

#include "base/kunit.h"
#include "codec/varint.h"

static const u8 *kbr_varint_decode_raw(const u8 *p, const u8 *end, unsigned int bits, u64 *val)
{
	unsigned int shift;
	u64 raw = 0;

	for (shift = 0; shift < bits && p < end; shift += 7) {
		u8 byte = *p++;

		/* the last group may hold only the bits that are left */
		if (bits - shift < 7 && byte >> (bits - shift))
			return NULL;
		raw |= (u64)(byte & 0x7f) << shift;
		if (byte < 0x80) {
			*val = raw;
			return p;
		}
	}
	return NULL;
}

/** kbr_varint_decode_long() - kbr_varint_decode() for any number of bytes */
const u8 *kbr_varint_decode_long(const u8 *p, const u8 *end, s32 *val)
{
	u64 raw;

	p = kbr_varint_decode_raw(p, end, 32, &raw);
	if (p)
		*val = kbr_varint_unzigzag((u32)raw);
	return p;
}
KBR_EXPORT_IF_KUNIT(kbr_varint_decode_long);

/** kbr_varlong_decode_long() - kbr_varlong_decode() for any number of bytes */
const u8 *kbr_varlong_decode_long(const u8 *p, const u8 *end, s64 *val)
{
	u64 raw;

	p = kbr_varint_decode_raw(p, end, 64, &raw);
	if (p)
		*val = kbr_varlong_unzigzag(raw);
	return p;
}
KBR_EXPORT_IF_KUNIT(kbr_varlong_decode_long);

static u32 kbr_varint_zigzag(s32 val)
{
	return (u32)val << 1 ^ (val < 0 ? U32_MAX : 0);
}

static u64 kbr_varlong_zigzag(s64 val)
{
	return (u64)val << 1 ^ (val < 0 ? U64_MAX : 0);
}

u8 *kbr_varint_encode(u8 *p, s32 val)
{
	u32 raw = kbr_varint_zigzag(val);

	while (raw >= 0x80) {
		*p++ = (u8)raw | 0x80;
		raw >>= 7;
	}
	*p++ = (u8)raw;
	return p;
}
KBR_EXPORT_IF_KUNIT(kbr_varint_encode);

u8 *kbr_varlong_encode(u8 *p, s64 val)
{
	u64 raw = kbr_varlong_zigzag(val);

	while (raw >= 0x80) {
		*p++ = (u8)raw | 0x80;
		raw >>= 7;
	}
	*p++ = (u8)raw;
	return p;
}
KBR_EXPORT_IF_KUNIT(kbr_varlong_encode);

unsigned int kbr_varint_size(s32 val)
{
	return (fls(kbr_varint_zigzag(val) | 1) + 6) / 7;
}
KBR_EXPORT_IF_KUNIT(kbr_varint_size);

unsigned int kbr_varlong_size(s64 val)
{
	return (fls64(kbr_varlong_zigzag(val) | 1) + 6) / 7;
}
KBR_EXPORT_IF_KUNIT(kbr_varlong_size);
