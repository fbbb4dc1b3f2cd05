// SPDX-License-Identifier: GPL-2.0-only OR LGPL-2.1-or-later
/*
 * LZ4 frames: the framing around blocks that the LZ4 library decompresses.
 *
 * Source: "LZ4 Frame Format Description" 1.6. One frame per batch; skippable
 * frames, the legacy frame and dictionaries have no place in a batch.
 *
 * A frame need not tell its size, and a block may be anything up to 4 MiB, so
 * the first pass counts what the sequences of each block give: the allocation
 * is then exact.
 */
#include <linux/errno.h>
#include <linux/minmax.h>
#include <linux/sizes.h>
#include <linux/string.h>
#include <linux/types.h>

#include "codec/unpack.h"

#define KBR_LZ4_MAGIC		0x184d2204
#define KBR_LZ4_VERSION		0x40
#define KBR_LZ4_VERSION_MASK	0xc0
#define KBR_LZ4_INDEPENDENT	0x20
#define KBR_LZ4_BLOCK_CHECKSUM	0x10
#define KBR_LZ4_CONTENT_SIZE	0x08
#define KBR_LZ4_CONTENT_CHECKSUM 0x04
#define KBR_LZ4_FLG_FORBIDDEN	0x03	/* reserved, dictionary */
#define KBR_LZ4_BD_RESERVED	0x8f
#define KBR_LZ4_UNCOMPRESSED	0x80000000u
#define KBR_LZ4_HISTORY		SZ_64K
#define KBR_LZ4_MATCH_MIN	4

/**
 * struct kbr_lz4_frame - a walk over the blocks of one frame
 * @pos: next byte
 * @end: end of the frame
 * @flags: FLG byte of the descriptor
 * @block_max: most bytes that one block may give
 * @content_size: as announced; -1 if not
 * @block: bytes of the current block
 * @block_len: number of bytes at @block
 * @compressed: whether @block is compressed
 */
struct kbr_lz4_frame {
	const u8 *pos;
	const u8 *end;
	u8 flags;
	u32 block_max;
	s64 content_size;
	const u8 *block;
	u32 block_len;
	bool compressed;
};

static int kbr_lz4_frame_init(struct kbr_lz4_frame *f, const u8 *src, size_t len)
{
	const u8 *descriptor = src + 4, *p = src + 6;
	u8 bd;

	/* magic, FLG, BD, header checksum */
	if (len < 7 || kbr_get_le32(src) != KBR_LZ4_MAGIC)
		return -EBADMSG;
	f->flags = descriptor[0];
	bd = descriptor[1];
	if ((f->flags & KBR_LZ4_VERSION_MASK) != KBR_LZ4_VERSION ||
	    f->flags & KBR_LZ4_FLG_FORBIDDEN || bd & KBR_LZ4_BD_RESERVED || bd >> 4 < 4)
		return -EBADMSG;
	f->block_max = 1u << (2 * (bd >> 4) + 8);
	f->end = src + len;
	f->content_size = -1;
	if (f->flags & KBR_LZ4_CONTENT_SIZE) {
		if (f->end - p < 8)
			return -EBADMSG;
		f->content_size = (s64)(kbr_get_le32(p) | (u64)kbr_get_le32(p + 4) << 32);
		if (f->content_size < 0)
			return -EBADMSG;
		p += 8;
	}
	if (p == f->end || *p != ((kbr_lib_xxh32(descriptor, p - descriptor) >> 8) & 0xff))
		return -EBADMSG;
	f->pos = p + 1;
	return 0;
}

/* Step to the next block: 1, 0 at the end mark, -EBADMSG */
static int kbr_lz4_frame_next(struct kbr_lz4_frame *f)
{
	u32 word;

	if (f->end - f->pos < 4)
		return -EBADMSG;
	word = kbr_get_le32(f->pos);
	f->pos += 4;
	if (!word)
		return 0;
	f->compressed = !(word & KBR_LZ4_UNCOMPRESSED);
	f->block_len = word & ~KBR_LZ4_UNCOMPRESSED;
	if (f->block_len > f->block_max || f->block_len > f->end - f->pos)
		return -EBADMSG;
	f->block = f->pos;
	f->pos += f->block_len;
	if (f->flags & KBR_LZ4_BLOCK_CHECKSUM) {
		/* compared when the block is expanded */
		if (f->end - f->pos < 4)
			return -EBADMSG;
		f->pos += 4;
	}
	return 1;
}

/* A length of 15 and more goes on in bytes, of which the last is below 255 */
static const u8 *kbr_lz4_extend(const u8 *p, const u8 *end, size_t *len)
{
	u8 byte;

	do {
		if (p == end)
			return NULL;
		byte = *p++;
		*len += byte;
	} while (byte == 255);
	return p;
}

/* Bytes that one compressed block gives, or -EBADMSG */
static ssize_t kbr_lz4_block_size(const u8 *p, size_t src_len, size_t block_max)
{
	const u8 *end = p + src_len;
	size_t total = 0;

	while (p < end) {
		u8 token = *p++;
		size_t len = token >> 4;

		if (len == 15)
			p = kbr_lz4_extend(p, end, &len);
		if (!p || len > end - p)
			return -EBADMSG;
		p += len;
		total += len;
		/* the last sequence is literals alone */
		if (p == end)
			return total <= block_max ? (ssize_t)total : -EBADMSG;

		/* the library takes offset 0, which means nothing */
		if (end - p < 2 || !(p[0] | p[1]))
			return -EBADMSG;
		p += 2;
		len = token & 15;
		if (len == 15)
			p = kbr_lz4_extend(p, end, &len);
		if (!p)
			return -EBADMSG;
		total += len + KBR_LZ4_MATCH_MIN;
		if (total > block_max)
			return -EBADMSG;
	}
	return -EBADMSG;
}

static ssize_t kbr_lz4_size(const u8 *src, size_t len, size_t max)
{
	struct kbr_lz4_frame f;
	size_t total = 0;
	int ret;

	ret = kbr_lz4_frame_init(&f, src, len);
	if (ret)
		return ret;
	while ((ret = kbr_lz4_frame_next(&f)) > 0) {
		ssize_t size = f.block_len;

		if (f.compressed)
			size = kbr_lz4_block_size(f.block, f.block_len, f.block_max);
		if (size < 0)
			return size;
		if (size > max - total)
			return -EFBIG;
		total += size;
	}
	if (ret < 0)
		return ret;
	if (f.content_size >= 0 && f.content_size != total)
		return -EBADMSG;
	return total;
}

static ssize_t kbr_lz4_expand(const u8 *src, size_t len, u8 *dst, size_t dst_size)
{
	struct kbr_lz4_frame f;
	size_t total = 0;
	int ret;

	ret = kbr_lz4_frame_init(&f, src, len);
	if (ret)
		return ret;
	while ((ret = kbr_lz4_frame_next(&f)) > 0) {
		size_t history = 0;
		ssize_t size;

		if (f.flags & KBR_LZ4_BLOCK_CHECKSUM &&
		    kbr_get_le32(f.pos - 4) != kbr_lib_xxh32(f.block, f.block_len))
			return -EBADMSG;
		if (!f.compressed) {
			if (f.block_len > dst_size - total)
				return -EFBIG;
			memcpy(dst + total, f.block, f.block_len);
			total += f.block_len;
			continue;
		}
		if (!(f.flags & KBR_LZ4_INDEPENDENT))
			history = min_t(size_t, total, KBR_LZ4_HISTORY);
		size = kbr_lib_lz4(f.block, f.block_len, dst + total, dst_size - total, history);
		if (size < 0)
			return size;
		total += size;
	}
	if (ret < 0)
		return ret;
	if (f.flags & KBR_LZ4_CONTENT_CHECKSUM) {
		if (f.end - f.pos < 4 || kbr_get_le32(f.pos) != kbr_lib_xxh32(dst, total))
			return -EBADMSG;
		f.pos += 4;
	}
	return f.pos == f.end && total == dst_size ? (ssize_t)total : -EBADMSG;
}

const struct kbr_unpacker kbr_lz4_unpacker = {
	.size = kbr_lz4_size,
	.expand = kbr_lz4_expand,
};
