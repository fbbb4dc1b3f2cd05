/* SPDX-License-Identifier: GPL-2.0-only OR LGPL-2.1-or-later */
/*
 * CRC-32C (Castagnoli), the checksum of batches.
 */
#ifndef _KBR_CODEC_CRC32C_H
#define _KBR_CODEC_CRC32C_H

#include <linux/types.h>

/**
 * kbr_crc32c() - add @len bytes at @data to a checksum
 * @crc: checksum of what came before; 0 at the start
 * @data: bytes
 * @len: number of bytes
 *
 * The usual form, inverted before and after: "123456789" gives 0xe3069283.
 *
 * Return: the checksum of everything so far.
 */
u32 kbr_crc32c(u32 crc, const void *data, size_t len);

#endif /* _KBR_CODEC_CRC32C_H */
