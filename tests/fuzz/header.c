// SPDX-License-Identifier: GPL-2.0-only
/*
 * Batch headers: what decodes encodes to the same bytes.
 */
#include <errno.h>
#include <linux/limits.h>
#include <string.h>

#include "base/limits.h"
#include "codec/batch.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	u8 again[KBR_BATCH_HEADER_LEN];
	struct kbr_batch batch;
	int ret;

	ret = kbr_batch_decode(&batch, data, size);
	FUZZ_HOLDS((ret == -ENODATA) == (size < KBR_BATCH_HEADER_LEN));
	if (ret)
		return 0;
	FUZZ_HOLDS(batch.size >= KBR_BATCH_HEADER_LEN && batch.size <= KBR_BATCH_BYTES_MAX);
	FUZZ_HOLDS(kbr_batch_last_offset(&batch) >= batch.base_offset);
	FUZZ_HOLDS(kbr_batch_last_offset(&batch) < S64_MAX);
	kbr_batch_encode_header(&batch, again);
	FUZZ_HOLDS(!memcmp(again, data, sizeof(again)));
	return 0;
}
