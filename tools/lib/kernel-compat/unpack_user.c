// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The user-space half of the seam in kmod/codec/unpack.h: zlib, liblz4 and
 * libzstd, and xxHash32, which liblz4 has but does not offer.
 */
#include <errno.h>
#include <limits.h>
#include <linux/types.h>
#include <lz4.h>
#include <zlib.h>
#include <zstd.h>
#include <zstd_errors.h>

#include "codec/unpack.h"

int kbr_lib_inflate(const u8 *src, size_t src_len, u8 *dst, size_t dst_len)
{
	z_stream stream = {
		.next_in = (Bytef *)src,
		.avail_in = src_len,
		.next_out = dst,
		.avail_out = dst_len,
	};
	int ret;

	ret = inflateInit2(&stream, -MAX_WBITS);
	if (ret != Z_OK)
		return -ENOMEM;
	ret = inflate(&stream, Z_FINISH);
	inflateEnd(&stream);
	if (ret == Z_MEM_ERROR)
		return -ENOMEM;
	return ret == Z_STREAM_END && !stream.avail_in && !stream.avail_out ? 0 : -EBADMSG;
}

ssize_t kbr_lib_zstd(const u8 *src, size_t src_len, u8 *dst, size_t dst_size)
{
	size_t ret = ZSTD_decompress(dst, dst_size, src, src_len);

	if (!ZSTD_isError(ret))
		return ret;
	switch (ZSTD_getErrorCode(ret)) {
	case ZSTD_error_dstSize_tooSmall:
		return -EFBIG;
	case ZSTD_error_memory_allocation:
		return -ENOMEM;
	default:
		return -EBADMSG;
	}
}

ssize_t kbr_lib_lz4(const u8 *src, size_t src_len, u8 *dst, size_t dst_size, size_t history)
{
	int ret;

	ret = LZ4_decompress_safe_usingDict((const char *)src, (char *)dst, src_len, dst_size,
					    (const char *)dst - history, history);
	return ret < 0 ? -EBADMSG : ret;
}

u32 kbr_lib_crc32(const u8 *data, size_t len)
{
	return crc32_z(0, data, len);
}

#define KBR_XXH_PRIME1	0x9e3779b1u
#define KBR_XXH_PRIME2	0x85ebca77u
#define KBR_XXH_PRIME3	0xc2b2ae3du
#define KBR_XXH_PRIME4	0x27d4eb2fu
#define KBR_XXH_PRIME5	0x165667b1u

static u32 kbr_rol32(u32 x, unsigned int bits)
{
	return x << bits | x >> (32 - bits);
}

u32 kbr_lib_xxh32(const u8 *data, size_t len)
{
	const u8 *end = data + len;
	u32 hash = KBR_XXH_PRIME5;
	unsigned int i;

	if (len >= 16) {
		u32 lane[4] = { KBR_XXH_PRIME1 + KBR_XXH_PRIME2, KBR_XXH_PRIME2, 0,
				0 - KBR_XXH_PRIME1 };

		for (; end - data >= 16; data += 16)
			for (i = 0; i < 4; i++) {
				lane[i] += kbr_get_le32(data + 4 * i) * KBR_XXH_PRIME2;
				lane[i] = kbr_rol32(lane[i], 13) * KBR_XXH_PRIME1;
			}
		hash = kbr_rol32(lane[0], 1) + kbr_rol32(lane[1], 7) +
		       kbr_rol32(lane[2], 12) + kbr_rol32(lane[3], 18);
	}
	hash += (u32)len;
	for (; end - data >= 4; data += 4)
		hash = kbr_rol32(hash + kbr_get_le32(data) * KBR_XXH_PRIME3, 17) * KBR_XXH_PRIME4;
	for (; data < end; data++)
		hash = kbr_rol32(hash + *data * KBR_XXH_PRIME5, 11) * KBR_XXH_PRIME1;
	hash ^= hash >> 15;
	hash *= KBR_XXH_PRIME2;
	hash ^= hash >> 13;
	hash *= KBR_XXH_PRIME3;
	return hash ^ hash >> 16;
}
