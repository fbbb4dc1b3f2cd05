/* SPDX-License-Identifier: GPL-2.0-only OR LGPL-2.1-or-later */
/*
 * Between batch.c and validate.c only: reading a header and learning which of
 * its fields is wrong.
 */
#ifndef _KBR_CODEC_BATCH_HEADER_H
#define _KBR_CODEC_BATCH_HEADER_H

#include "codec/batch.h"

/*
 * Reads the KBR_BATCH_HEADER_LEN bytes at @buf. What it refuses can't be a
 * batch at all, whoever wrote it; @batch is then undefined.
 */
enum kbr_batch_fault kbr_batch_read_header(struct kbr_batch *batch, const void *buf);

#endif /* _KBR_CODEC_BATCH_HEADER_H */
