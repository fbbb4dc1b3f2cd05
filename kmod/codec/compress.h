/* SPDX-License-Identifier: GPL-2.0-only OR LGPL-2.1-or-later */
/*
 * Decompression of batches: gzip (RFC 1952), snappy (bare and xerial-framed),
 * LZ4 frames and Zstandard. The broker never compresses.
 */
#ifndef _KBR_CODEC_COMPRESS_H
#define _KBR_CODEC_COMPRESS_H

#include <linux/types.h>
#include "codec/batch.h"

/**
 * struct kbr_unpacked - the uncompressed records of one batch
 * @data: the bytes; into the batch itself if it was not compressed
 * @len: bytes
 * @owned: the buffer to free, or NULL
 */
struct kbr_unpacked {
	const u8 *data;
	size_t len;
	void *owned;
};

/**
 * kbr_unpack() - the uncompressed records of the whole batch at @buf
 * @batch: its decoded header
 * @buf: the whole batch, batch->size bytes
 * @max: most bytes it may expand to (<= KBR_UNPACKED_BYTES_MAX)
 * @out: result; release with kbr_unpacked_release()
 *
 * Context: may sleep; memory is charged to the caller (GFP_KERNEL_ACCOUNT).
 * Return: 0; -EBADMSG damaged; -EFBIG beyond @max; -EOPNOTSUPP unknown codec;
 * -ENOMEM.
 */
int kbr_unpack(const struct kbr_batch *batch, const void *buf, size_t max, struct kbr_unpacked *out);
void kbr_unpacked_release(struct kbr_unpacked *out);

/**
 * kbr_snappy_decode() - one bare snappy block
 * Return: bytes written to @dst; -EBADMSG; -EFBIG if more than @dst_size.
 */
ssize_t kbr_snappy_decode(const u8 *src, size_t src_len, u8 *dst, size_t dst_size);
/** kbr_snappy_length() - uncompressed length that the block at @src announces, or -EBADMSG */
ssize_t kbr_snappy_length(const u8 *src, size_t src_len);

#endif /* _KBR_CODEC_COMPRESS_H */
