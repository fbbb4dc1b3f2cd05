/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What several test files share: rules, batches made by hand, compression.
 */
#ifndef _KBR_UNIT_UNIT_H
#define _KBR_UNIT_UNIT_H

#include "codec/batch.h"

/* rules that ordinary batches obey; the clock stands at 1800000000000 */
extern const struct kbr_batch_rules unit_rules;

/* the forms of compression that unit_pack() can make */
enum unit_form {
	UNIT_GZIP,
	UNIT_GZIP_HEADER,	/* with extra field, name, comment and header CRC */
	UNIT_GZIP_STORED,
	UNIT_SNAPPY,
	UNIT_SNAPPY_XERIAL,
	UNIT_LZ4,
	UNIT_LZ4_LINKED,	/* dependent blocks, all checksums, content size */
	UNIT_LZ4_BIG,		/* blocks of 4 MiB, high compression */
	UNIT_ZSTD,
	UNIT_ZSTD_STREAM,	/* no content size, checksum, flushed in between */
	UNIT_ZSTD_FRAMES,	/* two frames and a skippable one */
	UNIT_FORMS
};

const char *unit_form_name(enum unit_form form);
enum kbr_codec unit_form_codec(enum unit_form form);

/* Compresses @len bytes into malloc()ed memory */
u8 *unit_pack(enum unit_form form, const u8 *plain, size_t len, size_t *packed_len);

/*
 * A sealed batch whose records are the @len bytes at @records; malloc()ed
 * exactly, so that the address sanitizer sees each byte read beyond it.
 */
u8 *unit_batch(u16 attributes, s32 count, const u8 *records, size_t len, size_t *size);

/* An exact copy in memory of its own, for the same reason */
u8 *unit_exact(const void *bytes, size_t len);

#endif /* _KBR_UNIT_UNIT_H */
