// SPDX-License-Identifier: GPL-2.0-only OR LGPL-2.1-or-later
/*
 * From a batch to its uncompressed records, whatever its codec.
 * The formats are in gzip.c, snappy.c, lz4_frame.c and zstd_frame.c.
 */
#include <linux/errno.h>
#include <linux/minmax.h>
#include <linux/slab.h>
#include <linux/types.h>

#include "base/kunit.h"
#include "base/limits.h"
#include "codec/compress.h"
#include "codec/unpack.h"

static const struct kbr_unpacker *kbr_unpacker_find(enum kbr_codec codec)
{
	switch (codec) {
	case KBR_CODEC_GZIP:
		return &kbr_gzip_unpacker;
	case KBR_CODEC_SNAPPY:
		return &kbr_snappy_unpacker;
	case KBR_CODEC_LZ4:
		return &kbr_lz4_unpacker;
	case KBR_CODEC_ZSTD:
		return &kbr_zstd_unpacker;
	default:
		return NULL;
	}
}

int kbr_unpack(const struct kbr_batch *batch, const void *buf, size_t max, struct kbr_unpacked *out)
{
	const u8 *src = buf + KBR_BATCH_HEADER_LEN;
	size_t len = batch->size - KBR_BATCH_HEADER_LEN;
	enum kbr_codec codec = kbr_batch_codec(batch);
	const struct kbr_unpacker *unpacker;
	ssize_t size, written;
	u8 *dst;

	if (codec == KBR_CODEC_NONE) {
		out->data = src;
		out->len = len;
		out->owned = NULL;
		return 0;
	}
	unpacker = kbr_unpacker_find(codec);
	if (!unpacker)
		return -EOPNOTSUPP;
	max = min_t(size_t, max, KBR_UNPACKED_BYTES_MAX);
	size = unpacker->size(src, len, max);
	if (size < 0)
		return size;

	/* never nothing: zero bytes have no address that a library would take */
	dst = kvmalloc(max_t(size_t, size, 1), GFP_KERNEL_ACCOUNT);
	if (!dst)
		return -ENOMEM;
	written = unpacker->expand(src, len, dst, size);
	if (written < 0) {
		kvfree(dst);
		return written;
	}
	out->data = dst;
	out->len = written;
	out->owned = dst;
	return 0;
}
KBR_EXPORT_IF_KUNIT(kbr_unpack);

/** kbr_unpacked_release() - free what kbr_unpack() allocated; @out is then empty */
void kbr_unpacked_release(struct kbr_unpacked *out)
{
	kvfree(out->owned);
	out->data = NULL;
	out->len = 0;
	out->owned = NULL;
}
KBR_EXPORT_IF_KUNIT(kbr_unpacked_release);
