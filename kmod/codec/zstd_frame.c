// SPDX-License-Identifier: GPL-2.0-only OR LGPL-2.1-or-later
/*
 * Zstandard: how much the frames of a batch can expand to, read from their
 * headers and those of their blocks. The library does all the rest.
 *
 * Source: RFC 8878. Dictionaries have no place in a batch.
 */
#include <linux/errno.h>
#include <linux/minmax.h>
#include <linux/sizes.h>
#include <linux/types.h>

#include "codec/unpack.h"

#define KBR_ZSTD_MAGIC		0xfd2fb528u
#define KBR_ZSTD_SKIP_MAGIC	0x184d2a50u
#define KBR_ZSTD_SKIP_MASK	0xfffffff0u
#define KBR_ZSTD_BLOCK_MAX	SZ_128K

#define KBR_ZSTD_FHD_RESERVED	0x08
#define KBR_ZSTD_FHD_SINGLE	0x20
#define KBR_ZSTD_FHD_CHECKSUM	0x04
#define KBR_ZSTD_FHD_DICT	0x03

enum kbr_zstd_block_type {
	KBR_ZSTD_BLOCK_RAW = 0,
	KBR_ZSTD_BLOCK_RLE = 1,
	KBR_ZSTD_BLOCK_COMPRESSED = 2,
};

/**
 * struct kbr_zstd_header - what a frame's header says
 * @block_max: most bytes that one block may give
 * @checksum: four bytes of checksum follow the blocks
 * @known: @content_size is given
 * @content_size: bytes that the frame gives
 */
struct kbr_zstd_header {
	u32 block_max;
	bool checksum;
	bool known;
	u64 content_size;
};

/* Reads the header after the magic; the byte after it, NULL if it is damaged */
static const u8 *kbr_zstd_header(const u8 *p, const u8 *end, struct kbr_zstd_header *h)
{
	unsigned int fcs_bytes, i;
	u64 window = 0;
	u8 fhd;

	if (p == end)
		return NULL;
	fhd = *p++;
	if (fhd & (KBR_ZSTD_FHD_RESERVED | KBR_ZSTD_FHD_DICT))
		return NULL;
	h->checksum = fhd & KBR_ZSTD_FHD_CHECKSUM;
	if (!(fhd & KBR_ZSTD_FHD_SINGLE)) {
		if (p == end)
			return NULL;
		window = 1ull << (10 + (*p >> 3));
		window += (window >> 3) * (*p & 7);
		p++;
	}

	fcs_bytes = fhd >> 6 ? 1u << (fhd >> 6) : !!(fhd & KBR_ZSTD_FHD_SINGLE);
	if (fcs_bytes > end - p)
		return NULL;
	h->known = fcs_bytes;
	h->content_size = 0;
	for (i = 0; i < fcs_bytes; i++)
		h->content_size |= (u64)*p++ << (8 * i);
	if (fcs_bytes == 2)
		h->content_size += 256;
	if (fhd & KBR_ZSTD_FHD_SINGLE)
		window = h->content_size;
	h->block_max = min_t(u64, window, KBR_ZSTD_BLOCK_MAX);
	return p;
}

/* Adds to *@total what the blocks at @p can give; the byte after the last one */
static const u8 *kbr_zstd_blocks(const u8 *p, const u8 *end, u32 block_max, u64 *total)
{
	bool last;

	do {
		u32 head, size;

		if (end - p < 3)
			return NULL;
		head = p[0] | (u32)p[1] << 8 | (u32)p[2] << 16;
		p += 3;
		last = head & 1;
		size = head >> 3;
		if (size > block_max)
			return NULL;
		switch (head >> 1 & 3) {
		case KBR_ZSTD_BLOCK_RAW:
			*total += size;
			break;
		case KBR_ZSTD_BLOCK_RLE:
			*total += size;
			size = 1;
			break;
		case KBR_ZSTD_BLOCK_COMPRESSED:
			*total += block_max;
			break;
		default:
			return NULL;
		}
		if (size > end - p)
			return NULL;
		p += size;
	} while (!last);
	return p;
}

static ssize_t kbr_zstd_size(const u8 *src, size_t len, size_t max)
{
	const u8 *p = src, *end = src + len;
	/* least and most that the frames can give */
	u64 least = 0, most = 0;

	while (p != end) {
		struct kbr_zstd_header h;
		u64 blocks = 0;
		u32 magic;

		if (end - p < 4)
			return -EBADMSG;
		magic = kbr_get_le32(p);
		p += 4;
		if ((magic & KBR_ZSTD_SKIP_MASK) == KBR_ZSTD_SKIP_MAGIC) {
			u32 skip;

			if (end - p < 4)
				return -EBADMSG;
			skip = kbr_get_le32(p);
			p += 4;
			if (skip > end - p)
				return -EBADMSG;
			p += skip;
			continue;
		}
		if (magic != KBR_ZSTD_MAGIC)
			return -EBADMSG;
		p = kbr_zstd_header(p, end, &h);
		if (!p)
			return -EBADMSG;
		p = kbr_zstd_blocks(p, end, h.block_max, &blocks);
		if (!p || (h.checksum && end - p < 4))
			return -EBADMSG;
		if (h.checksum)
			p += 4;
		if (h.known) {
			if (h.content_size > blocks)
				return -EBADMSG;
			blocks = h.content_size;
			least += blocks;
			if (least > max)
				return -EFBIG;
		}
		most += blocks;
	}
	/* if all of it does not fit after all, expanding it will show */
	return min_t(u64, most, max);
}

static ssize_t kbr_zstd_expand(const u8 *src, size_t len, u8 *dst, size_t dst_size)
{
	return kbr_lib_zstd(src, len, dst, dst_size);
}

const struct kbr_unpacker kbr_zstd_unpacker = {
	.size = kbr_zstd_size,
	.expand = kbr_zstd_expand,
};
