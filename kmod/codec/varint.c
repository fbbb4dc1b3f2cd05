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

/** kbr_varint_read_long() - kbr_varlong_read() for any number of bytes */
struct kbr_varint_raw kbr_varint_read_long(const u8 *p, const u8 *end, unsigned int bits)
{
	struct kbr_varint_raw v = { .next = NULL };
	unsigned int shift;

	for (shift = 0; shift < bits && p < end; shift += 7) {
		u8 byte = *p++;

		/* the last group may hold only the bits that are left */
		if (bits - shift < 7 && byte >> (bits - shift))
			break;
		v.raw |= (u64)(byte & 0x7f) << shift;
		if (byte < 0x80) {
			v.next = p;
			break;
		}
	}
	return v;
}
KBR_EXPORT_IF_KUNIT(kbr_varint_read_long);

/** kbr_varint_write_long() - kbr_varint_write() for any number of bytes */
u8 *kbr_varint_write_long(u8 *p, u64 raw)
{
	while (raw >= 0x80) {
		*p++ = (u8)raw | 0x80;
		raw >>= 7;
	}
	*p++ = (u8)raw;
	return p;
}
KBR_EXPORT_IF_KUNIT(kbr_varint_write_long);

unsigned int kbr_varlong_size(s64 val)
{
	return (fls64(kbr_varlong_zigzag(val) | 1) + 6) / 7;
}
KBR_EXPORT_IF_KUNIT(kbr_varlong_size);
