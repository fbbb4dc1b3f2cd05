// SPDX-License-Identifier: GPL-2.0-only
/*
 * CRC-32C by the processor's instruction, in the place of codec/crc32c.c when
 * kbroker.ko is built for the benchmark (KBR_BENCH=1).
 *
 * A user-mode kernel has only the table, which costs five times as much and
 * would hide whatever else an append does. Machines have the instruction, and
 * their kernels use it. Both sides of the comparison call this one.
 */
#include <linux/types.h>
#include <linux/unaligned.h>

#include "base/kunit.h"
#include "codec/crc32c.h"

u32 kbr_crc32c(u32 crc, const void *data, size_t len)
{
	u64 sum = (u32)~crc;

	for (; len >= sizeof(u64); len -= sizeof(u64), data += sizeof(u64))
		asm("crc32q %1, %0" : "+r" (sum) : "rm" (get_unaligned((const u64 *)data)));
	for (; len; len--, data++)
		asm("crc32b %1, %k0" : "+r" (sum) : "qm" (*(const u8 *)data));
	return ~(u32)sum;
}
KBR_EXPORT_IF_KUNIT(kbr_crc32c);
