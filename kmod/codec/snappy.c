// SPDX-License-Identifier: GPL-2.0-only OR LGPL-2.1-or-later
/*
 * Snappy: bare blocks (librdkafka) and the stream of framed blocks that Java's
 * xerial library writes. One codec id stands for both; the stream begins with
 * a magic that no bare block of a batch can begin with.
 */
#include <linux/errno.h>
#include <linux/string.h>
#include <linux/types.h>

#include "base/kunit.h"
#include "codec/compress.h"
#include "codec/unpack.h"

#define KBR_XERIAL_HEADER_LEN	16
#define KBR_XERIAL_VERSION	1

/* a copy element is at least 3 bytes and gives at most 64 */
#define KBR_SNAPPY_RATIO_MAX	22

static const u8 kbr_xerial_magic[8] = { 0x82, 'S', 'N', 'A', 'P', 'P', 'Y', 0 };

/* the length before a block: an unsigned base-128 number of up to 32 bits */
static const u8 *kbr_snappy_preamble(const u8 *p, const u8 *end, u32 *length)
{
	unsigned int shift;
	u32 len = 0;

	for (shift = 0; shift < 35 && p < end; shift += 7) {
		u8 byte = *p++;

		if (shift == 28 && byte > 0x0f)
			return NULL;
		len |= (u32)(byte & 0x7f) << shift;
		if (byte < 0x80) {
			*length = len;
			return p;
		}
	}
	return NULL;
}

ssize_t kbr_snappy_length(const u8 *src, size_t src_len)
{
	u32 length;

	if (!kbr_snappy_preamble(src, src + src_len, &length))
		return -EBADMSG;
	if (length / KBR_SNAPPY_RATIO_MAX > src_len)
		return -EBADMSG;
	return length;
}
KBR_EXPORT_IF_KUNIT(kbr_snappy_length);

/* A copy whose source may overlap its target: the bytes written repeat */
static void kbr_snappy_copy(u8 *dst, size_t offset, size_t len)
{
	const u8 *from = dst - offset;

	if (offset >= len) {
		memcpy(dst, from, len);
	} else if (offset == 1) {
		memset(dst, *from, len);
	} else {
		while (len--)
			*dst++ = *from++;
	}
}

ssize_t kbr_snappy_decode(const u8 *src, size_t src_len, u8 *dst, size_t dst_size)
{
	const u8 *end = src + src_len;
	u8 *out = dst, *out_end;
	u32 length;

	src = kbr_snappy_preamble(src, end, &length);
	if (!src)
		return -EBADMSG;
	if (length > dst_size)
		return -EFBIG;
	out_end = dst + length;

	while (src < end) {
		u8 tag = *src++;
		size_t len, offset;

		if ((tag & 3) == 0) {
			len = tag >> 2;
			if (len >= 60) {
				unsigned int bytes = len - 59, i;

				if (end - src < bytes)
					return -EBADMSG;
				for (len = 0, i = 0; i < bytes; i++)
					len |= (size_t)src[i] << (8 * i);
				src += bytes;
			}
			len++;
			if (len > end - src || len > out_end - out)
				return -EBADMSG;
			memcpy(out, src, len);
			src += len;
			out += len;
			continue;
		}

		if ((tag & 3) == 1) {
			if (end - src < 1)
				return -EBADMSG;
			len = 4 + (tag >> 2 & 7);
			offset = (size_t)(tag >> 5) << 8 | src[0];
			src += 1;
		} else if ((tag & 3) == 2) {
			if (end - src < 2)
				return -EBADMSG;
			len = 1 + (tag >> 2);
			offset = src[0] | (size_t)src[1] << 8;
			src += 2;
		} else {
			if (end - src < 4)
				return -EBADMSG;
			len = 1 + (tag >> 2);
			offset = kbr_get_le32(src);
			src += 4;
		}
		if (!offset || offset > out - dst || len > out_end - out)
			return -EBADMSG;
		kbr_snappy_copy(out, offset, len);
		out += len;
	}
	return out == out_end ? (ssize_t)length : -EBADMSG;
}
KBR_EXPORT_IF_KUNIT(kbr_snappy_decode);

static bool kbr_snappy_is_xerial(const u8 *src, size_t len)
{
	return len >= sizeof(kbr_xerial_magic) &&
	       !memcmp(src, kbr_xerial_magic, sizeof(kbr_xerial_magic));
}

/* Step to the next block of a stream: 1, 0 at the end, -EBADMSG */
static int kbr_xerial_next(const u8 **pos, const u8 *end, const u8 **block, u32 *len)
{
	const u8 *p = *pos;

	if (p == end)
		return 0;
	if (end - p < 4)
		return -EBADMSG;
	*len = kbr_get_be32(p);
	p += 4;
	if (*len > end - p)
		return -EBADMSG;
	*block = p;
	*pos = p + *len;
	return 1;
}

static ssize_t kbr_xerial_size(const u8 *src, size_t len, size_t max)
{
	const u8 *end = src + len, *block;
	size_t total = 0;
	u32 block_len;
	int ret;

	/* version written, then the oldest version that can read it */
	if (len < KBR_XERIAL_HEADER_LEN || kbr_get_be32(src + 12) > KBR_XERIAL_VERSION)
		return -EBADMSG;
	src += KBR_XERIAL_HEADER_LEN;
	while ((ret = kbr_xerial_next(&src, end, &block, &block_len)) > 0) {
		ssize_t size = kbr_snappy_length(block, block_len);

		if (size < 0)
			return size;
		if (size > max - total)
			return -EFBIG;
		total += size;
	}
	return ret < 0 ? ret : (ssize_t)total;
}

static ssize_t kbr_xerial_expand(const u8 *src, size_t len, u8 *dst, size_t dst_size)
{
	const u8 *end = src + len, *block;
	size_t total = 0;
	u32 block_len;
	int ret;

	src += KBR_XERIAL_HEADER_LEN;
	while ((ret = kbr_xerial_next(&src, end, &block, &block_len)) > 0) {
		ssize_t size = kbr_snappy_decode(block, block_len, dst + total, dst_size - total);

		if (size < 0)
			return size;
		total += size;
	}
	return ret < 0 ? ret : (ssize_t)total;
}

static ssize_t kbr_snappy_size(const u8 *src, size_t len, size_t max)
{
	ssize_t size;

	if (kbr_snappy_is_xerial(src, len))
		return kbr_xerial_size(src, len, max);
	size = kbr_snappy_length(src, len);
	if (size < 0)
		return size;
	return size > max ? -EFBIG : size;
}

static ssize_t kbr_snappy_expand(const u8 *src, size_t len, u8 *dst, size_t dst_size)
{
	if (kbr_snappy_is_xerial(src, len))
		return kbr_xerial_expand(src, len, dst, dst_size);
	return kbr_snappy_decode(src, len, dst, dst_size);
}

const struct kbr_unpacker kbr_snappy_unpacker = {
	.size = kbr_snappy_size,
	.expand = kbr_snappy_expand,
};
