/* SPDX-License-Identifier: GPL-2.0-only OR LGPL-2.1-or-later */
/*
 * Inside the codec: what one compression format consists of, and the seam to
 * the decompressors that it uses.
 *
 * Each format has two functions. _size() reads the framing alone and tells how
 * much room the records need, so that one allocation serves, and a bomb is
 * refused before anything is allocated for it. _expand() then decompresses into
 * that room. Neither believes the other: _expand() never writes beyond what it
 * is given.
 *
 * The kbr_lib_*() functions are the seam: unpack_lib.c has them for the kernel,
 * tools/lib/kernel-compat/unpack_user.c for user space, each over the libraries of its side.
 */
#ifndef _KBR_CODEC_UNPACK_H
#define _KBR_CODEC_UNPACK_H

#include <linux/types.h>

/**
 * struct kbr_unpacker - one compression format
 * @size: room that the @len bytes at @src need when expanded, or more;
 *	-EBADMSG; -EFBIG if they certainly expand to more than @max. At most @max.
 * @expand: decompress into the @dst_size bytes at @dst; returns bytes written,
 *	-EBADMSG, -EFBIG if they don't fit, -ENOMEM
 */
struct kbr_unpacker {
	ssize_t (*size)(const u8 *src, size_t len, size_t max);
	ssize_t (*expand)(const u8 *src, size_t len, u8 *dst, size_t dst_size);
};

extern const struct kbr_unpacker kbr_gzip_unpacker;
extern const struct kbr_unpacker kbr_snappy_unpacker;
extern const struct kbr_unpacker kbr_lz4_unpacker;
extern const struct kbr_unpacker kbr_zstd_unpacker;

static inline u32 kbr_get_le32(const u8 *p)
{
	return p[0] | (u32)p[1] << 8 | (u32)p[2] << 16 | (u32)p[3] << 24;
}

static inline u32 kbr_get_be32(const u8 *p)
{
	return p[3] | (u32)p[2] << 8 | (u32)p[1] << 16 | (u32)p[0] << 24;
}

/**
 * kbr_lib_inflate() - one raw deflate stream
 *
 * Return: 0 if all @src_len bytes became exactly @dst_len bytes; -EBADMSG;
 * -ENOMEM.
 */
int kbr_lib_inflate(const u8 *src, size_t src_len, u8 *dst, size_t dst_len);

/**
 * kbr_lib_zstd() - Zstandard frames
 *
 * Return: bytes written; -EBADMSG; -EFBIG if @dst_size is too small; -ENOMEM.
 */
ssize_t kbr_lib_zstd(const u8 *src, size_t src_len, u8 *dst, size_t dst_size);

/**
 * kbr_lib_lz4() - one LZ4 block
 * @history: bytes just before @dst to which the block may refer back
 *
 * Return: bytes written; -EBADMSG.
 */
ssize_t kbr_lib_lz4(const u8 *src, size_t src_len, u8 *dst, size_t dst_size, size_t history);

/** kbr_lib_crc32() - CRC-32 as in gzip (zlib's crc32() of one piece) */
u32 kbr_lib_crc32(const u8 *data, size_t len);

/** kbr_lib_xxh32() - xxHash32 with seed 0 */
u32 kbr_lib_xxh32(const u8 *data, size_t len);

#endif /* _KBR_CODEC_UNPACK_H */
