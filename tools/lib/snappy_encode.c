// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * A snappy encoder: bare blocks, which all of Kafka's clients read. (The
 * library of that name is C++, which this one does not want to depend on.)
 *
 * Source: snappy's format description. Input is taken in fragments of 64 KiB,
 * so that every copy reaches back less than 64 KiB.
 */
#include <stdlib.h>
#include <string.h>

#include "pack.h"

#define KBL_SNAPPY_FRAGMENT	65536u
#define KBL_SNAPPY_HASH_BITS	14
/* bytes at a fragment's end that are not searched: a match is found by reading 4 */
#define KBL_SNAPPY_MARGIN	15

struct kbl_snappy_table {
	u16 pos[1u << KBL_SNAPPY_HASH_BITS];
};

struct kbl_snappy_table *kbl_snappy_table_new(void)
{
	return malloc(sizeof(struct kbl_snappy_table));
}

size_t kbl_snappy_bound(size_t len)
{
	return 32 + len + len / 6;
}

static u32 kbl_load32(const u8 *p)
{
	u32 word;

	memcpy(&word, p, sizeof(word));
	return word;
}

static u32 kbl_snappy_hash(u32 word)
{
	return word * 0x1e35a7bdu >> (32 - KBL_SNAPPY_HASH_BITS);
}

static u8 *kbl_snappy_literal(u8 *dst, const u8 *src, size_t len)
{
	size_t n = len - 1;

	if (!len)
		return dst;
	if (n < 60) {
		*dst++ = (u8)(n << 2);
	} else if (n < 256) {
		*dst++ = 60 << 2;
		*dst++ = (u8)n;
	} else {
		/* a fragment has no more than 2^16 */
		*dst++ = 61 << 2;
		*dst++ = (u8)n;
		*dst++ = (u8)(n >> 8);
	}
	memcpy(dst, src, len);
	return dst + len;
}

static u8 *kbl_snappy_copy_64(u8 *dst, size_t offset, size_t len)
{
	if (len >= 4 && len < 12 && offset < 2048) {
		*dst++ = (u8)(1 | (len - 4) << 2 | (offset >> 8) << 5);
		*dst++ = (u8)offset;
	} else {
		*dst++ = (u8)(2 | (len - 1) << 2);
		*dst++ = (u8)offset;
		*dst++ = (u8)(offset >> 8);
	}
	return dst;
}

static u8 *kbl_snappy_copy(u8 *dst, size_t offset, size_t len)
{
	while (len > 64) {
		/* leave at least 4, which may then take two bytes only */
		size_t n = len - 64 < 4 ? 60 : 64;

		dst = kbl_snappy_copy_64(dst, offset, n);
		len -= n;
	}
	return kbl_snappy_copy_64(dst, offset, len);
}

static size_t kbl_snappy_match(const u8 *a, const u8 *b, const u8 *end)
{
	const u8 *start = b;

	while (b < end && *a == *b) {
		a++;
		b++;
	}
	return b - start;
}

static u8 *kbl_snappy_fragment(struct kbl_snappy_table *table, const u8 *src, size_t len, u8 *dst)
{
	const u8 *p = src, *end = src + len, *pending = src;

	memset(table, 0, sizeof(*table));
	while (len > KBL_SNAPPY_MARGIN && p < end - KBL_SNAPPY_MARGIN) {
		u32 word = kbl_load32(p), hash = kbl_snappy_hash(word);
		const u8 *seen = src + table->pos[hash];
		size_t match;

		table->pos[hash] = (u16)(p - src);
		if (seen >= p || kbl_load32(seen) != word) {
			/* the longer nothing was found, the fewer places are tried */
			p += 1 + ((p - pending) >> 5);
			continue;
		}
		match = 4 + kbl_snappy_match(seen + 4, p + 4, end);
		dst = kbl_snappy_literal(dst, pending, p - pending);
		dst = kbl_snappy_copy(dst, p - seen, match);
		p += match;
		pending = p;
	}
	return kbl_snappy_literal(dst, pending, end - pending);
}

size_t kbl_snappy_encode(struct kbl_snappy_table *table, const u8 *src, size_t len, u8 *dst)
{
	u8 *start = dst;
	size_t left = len;

	while (left >= 0x80) {
		*dst++ = (u8)left | 0x80;
		left >>= 7;
	}
	*dst++ = (u8)left;
	while (len) {
		size_t n = len < KBL_SNAPPY_FRAGMENT ? len : KBL_SNAPPY_FRAGMENT;

		dst = kbl_snappy_fragment(table, src, n, dst);
		src += n;
		len -= n;
	}
	return dst - start;
}
