// SPDX-License-Identifier: GPL-2.0-only
/*
 * The record walk over arbitrary bytes under an arbitrary header.
 */
#include <string.h>

#include "codec/batch.h"
#include "codec/record.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct kbr_record_iter it;
	struct kbr_header header;
	struct kbr_record rec;
	struct kbr_batch batch;
	s64 last = -1;
	u8 *records;
	size_t len;

	if (size < KBR_BATCH_HEADER_LEN || kbr_batch_decode(&batch, data, size))
		return 0;
	len = size - KBR_BATCH_HEADER_LEN;
	records = malloc(len ? len : 1);
	memcpy(records, data + KBR_BATCH_HEADER_LEN, len);
	kbr_record_iter_init(&it, &batch, records, len);
	while (kbr_record_next(&it, &rec) == 1) {
		const u8 *pos = rec.headers, *end = records + len;

		FUZZ_HOLDS(rec.offset > last && rec.offset <= kbr_batch_last_offset(&batch));
		FUZZ_HOLDS(!rec.key || (rec.key >= records && rec.key_len <= end - rec.key));
		FUZZ_HOLDS(!rec.value || (rec.value >= records && rec.value_len <= end - rec.value));
		last = rec.offset;
		while (kbr_header_next(&pos, rec.headers + rec.headers_len, &header) == 1)
			FUZZ_HOLDS(header.key_len <= len && header.value_len <= len);
		FUZZ_HOLDS(pos == rec.headers + rec.headers_len);
	}
	free(records);
	return 0;
}
