// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * CRC-32C for user space: the processor's instruction where it has one, eight
 * tables elsewhere.
 */
#include <linux/crc32c.h>
#include <linux/types.h>
#include <string.h>

#if defined(__x86_64__)
#include <nmmintrin.h>
#endif

#define KBR_CRC32C_POLY	0x82f63b78u	/* reflected */

static u32 kbr_crc32c_tables[8][256];

static void kbr_crc32c_fill_tables(void)
{
	unsigned int i, j;

	for (i = 0; i < 256; i++) {
		u32 crc = i;

		for (j = 0; j < 8; j++)
			crc = crc & 1 ? crc >> 1 ^ KBR_CRC32C_POLY : crc >> 1;
		kbr_crc32c_tables[0][i] = crc;
	}
	for (i = 0; i < 256; i++)
		for (j = 1; j < 8; j++) {
			u32 crc = kbr_crc32c_tables[j - 1][i];

			kbr_crc32c_tables[j][i] = crc >> 8 ^ kbr_crc32c_tables[0][crc & 0xff];
		}
}

u32 kbr_user_crc32c_table(u32 crc, const void *data, size_t len)
{
	const u8 *p = data;

	for (; len >= 8; len -= 8, p += 8) {
		crc ^= p[0] | (u32)p[1] << 8 | (u32)p[2] << 16 | (u32)p[3] << 24;
		crc = kbr_crc32c_tables[7][crc & 0xff] ^
		      kbr_crc32c_tables[6][crc >> 8 & 0xff] ^
		      kbr_crc32c_tables[5][crc >> 16 & 0xff] ^
		      kbr_crc32c_tables[4][crc >> 24] ^
		      kbr_crc32c_tables[3][p[4]] ^ kbr_crc32c_tables[2][p[5]] ^
		      kbr_crc32c_tables[1][p[6]] ^ kbr_crc32c_tables[0][p[7]];
	}
	while (len--)
		crc = crc >> 8 ^ kbr_crc32c_tables[0][(crc ^ *p++) & 0xff];
	return crc;
}

#if defined(__x86_64__)
static bool kbr_crc32c_has_instruction;

static inline unsigned long long kbr_load64(const u8 *p)
{
	unsigned long long word;

	memcpy(&word, p, sizeof(word));
	return word;
}

__attribute__((target("sse4.2")))
static u32 kbr_user_crc32c_sse42(u32 crc, const u8 *p, size_t len)
{
	unsigned long long wide = crc;
	const u8 *end = p + (len & ~(size_t)63);

	while (p < end) {
		wide = _mm_crc32_u64(wide, kbr_load64(p));
		wide = _mm_crc32_u64(wide, kbr_load64(p + 8));
		wide = _mm_crc32_u64(wide, kbr_load64(p + 16));
		wide = _mm_crc32_u64(wide, kbr_load64(p + 24));
		wide = _mm_crc32_u64(wide, kbr_load64(p + 32));
		wide = _mm_crc32_u64(wide, kbr_load64(p + 40));
		wide = _mm_crc32_u64(wide, kbr_load64(p + 48));
		wide = _mm_crc32_u64(wide, kbr_load64(p + 56));
		p += 64;
	}
	for (len &= 63; len >= 8; len -= 8, p += 8)
		wide = _mm_crc32_u64(wide, kbr_load64(p));
	crc = (u32)wide;
	while (len--)
		crc = _mm_crc32_u8(crc, *p++);
	return crc;
}

u32 kbr_user_crc32c(u32 crc, const void *data, size_t len)
{
	if (likely(kbr_crc32c_has_instruction))
		return kbr_user_crc32c_sse42(crc, data, len);
	return kbr_user_crc32c_table(crc, data, len);
}
#else
u32 kbr_user_crc32c(u32 crc, const void *data, size_t len)
{
	return kbr_user_crc32c_table(crc, data, len);
}
#endif

__attribute__((constructor))
static void kbr_crc32c_init(void)
{
	kbr_crc32c_fill_tables();
#if defined(__x86_64__)
	__builtin_cpu_init();
	kbr_crc32c_has_instruction = __builtin_cpu_supports("sse4.2");
#endif
}
