// SPDX-License-Identifier: GPL-2.0-only OR LGPL-2.1-or-later
/*
 * gzip (RFC 1952): header and trailer around one raw deflate stream.
 * Kafka's clients write exactly one member; anything after it is damage.
 */
#include <linux/errno.h>
#include <linux/string.h>
#include <linux/types.h>

#include "codec/unpack.h"

#define KBR_GZIP_HEADER_LEN	10
#define KBR_GZIP_TRAILER_LEN	8
#define KBR_GZIP_CM_DEFLATE	8

#define KBR_GZIP_FHCRC		0x02
#define KBR_GZIP_FEXTRA		0x04
#define KBR_GZIP_FNAME		0x08
#define KBR_GZIP_FCOMMENT	0x10
#define KBR_GZIP_RESERVED	0xe0

/* deflate never expands by more than this: 258 bytes from two bits */
#define KBR_GZIP_RATIO_MAX	1032

/* the first byte after a zero-ended string */
static const u8 *kbr_gzip_skip_string(const u8 *p, const u8 *end)
{
	p = memchr(p, 0, end - p);
	return p ? p + 1 : NULL;
}

/* the deflate stream: its first byte, NULL if the header is damaged */
static const u8 *kbr_gzip_body(const u8 *src, const u8 *end)
{
	const u8 *p = src + KBR_GZIP_HEADER_LEN;
	u8 flags;

	if (end - src < KBR_GZIP_HEADER_LEN || src[0] != 0x1f || src[1] != 0x8b ||
	    src[2] != KBR_GZIP_CM_DEFLATE)
		return NULL;
	flags = src[3];
	if (flags & KBR_GZIP_RESERVED)
		return NULL;
	if (flags & KBR_GZIP_FEXTRA) {
		size_t extra;

		if (end - p < 2)
			return NULL;
		extra = p[0] | p[1] << 8;
		p += 2;
		if (extra > end - p)
			return NULL;
		p += extra;
	}
	if (flags & KBR_GZIP_FNAME)
		p = kbr_gzip_skip_string(p, end);
	if (p && flags & KBR_GZIP_FCOMMENT)
		p = kbr_gzip_skip_string(p, end);
	if (p && flags & KBR_GZIP_FHCRC) {
		u32 crc;

		if (end - p < 2)
			return NULL;
		crc = kbr_lib_crc32(src, p - src);
		if (p[0] != (crc & 0xff) || p[1] != ((crc >> 8) & 0xff))
			return NULL;
		p += 2;
	}
	return p;
}

static ssize_t kbr_gzip_size(const u8 *src, size_t len, size_t max)
{
	u32 size;

	if (len < KBR_GZIP_HEADER_LEN + KBR_GZIP_TRAILER_LEN)
		return -EBADMSG;
	/* the trailer's word, which kbr_gzip_expand() holds it to */
	size = kbr_get_le32(src + len - 4);
	if (size / KBR_GZIP_RATIO_MAX > len)
		return -EBADMSG;
	return size > max ? -EFBIG : (ssize_t)size;
}

static ssize_t kbr_gzip_expand(const u8 *src, size_t len, u8 *dst, size_t dst_size)
{
	const u8 *trailer = src + len - KBR_GZIP_TRAILER_LEN;
	const u8 *body = kbr_gzip_body(src, trailer);
	int err;

	if (!body)
		return -EBADMSG;
	err = kbr_lib_inflate(body, trailer - body, dst, dst_size);
	if (err)
		return err;
	if (kbr_get_le32(trailer) != kbr_lib_crc32(dst, dst_size))
		return -EBADMSG;
	return dst_size;
}

const struct kbr_unpacker kbr_gzip_unpacker = {
	.size = kbr_gzip_size,
	.expand = kbr_gzip_expand,
};
