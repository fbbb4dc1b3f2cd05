/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * 6.14: crc32c() uses the processor's instruction by itself. Before, it goes
 * through the crypto API, which costs more than the checksum of one record:
 * short data take here the instruction that they would meet at its end.
 */
#ifndef _KBR_COMPAT_CRC32C_H
#define _KBR_COMPAT_CRC32C_H

#include <linux/crc32c.h>
#include <linux/version.h>

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 14, 0) && defined(CONFIG_X86_64)

#include <asm/cpufeature.h>

/* From here on the kernel's is faster: it computes three parts at once, bytes */
#define KBR_CRC32C_LONG		512u

static __always_inline u64 kbr_crc32c_word(u64 crc, const u64 *word)
{
	asm("crc32q %1, %0" : "+r" (crc) : "m" (*word));
	return crc;
}

static inline u32 kbr_crc32c_update(u32 seed, const u8 *p, unsigned int len)
{
	u64 crc = seed;

	if (len >= KBR_CRC32C_LONG || !boot_cpu_has(X86_FEATURE_XMM4_2))
		return crc32c(seed, p, len);
	for (; len >= 32; p += 32, len -= 32) {
		crc = kbr_crc32c_word(crc, (const u64 *)p);
		crc = kbr_crc32c_word(crc, (const u64 *)(p + 8));
		crc = kbr_crc32c_word(crc, (const u64 *)(p + 16));
		crc = kbr_crc32c_word(crc, (const u64 *)(p + 24));
	}
	for (; len >= 8; p += 8, len -= 8)
		crc = kbr_crc32c_word(crc, (const u64 *)p);
	for (; len; p++, len--)
		asm("crc32b %1, %0" : "+r" (crc) : "m" (*p));
	return crc;
}

#else

#define kbr_crc32c_update(seed, p, len)	crc32c(seed, p, len)

#endif

#endif /* _KBR_COMPAT_CRC32C_H */
