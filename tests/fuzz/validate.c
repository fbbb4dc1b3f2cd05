// SPDX-License-Identifier: GPL-2.0-only
/*
 * Client batches. Of half of the inputs the length and the checksum are put
 * right first: else nothing would ever get past them.
 */
#include <linux/limits.h>
#include <string.h>
#include <asm/byteorder.h>

#include "base/limits.h"
#include "codec/batch.h"
#include "codec/compress.h"
#include "codec/record.h"
#include "fuzz.h"

/* What validation let through can be unpacked and walked to its end */
static void check_walk(const u8 *buf, const struct kbr_batch_verdict *verdict)
{
	struct kbr_record_iter it;
	struct kbr_header header;
	struct kbr_record rec;
	struct kbr_unpacked u;
	s64 max_timestamp = S64_MIN;
	s32 count = 0;

	FUZZ_HOLDS(!kbr_unpack(&verdict->batch, buf, KBR_UNPACKED_BYTES_MAX, &u));
	kbr_record_iter_init(&it, &verdict->batch, u.data, u.len);
	while (kbr_record_next(&it, &rec) == 1) {
		const u8 *pos = rec.headers;
		u32 headers = 0;

		FUZZ_HOLDS(rec.offset_delta == count);
		while (kbr_header_next(&pos, rec.headers + rec.headers_len, &header) == 1)
			headers++;
		FUZZ_HOLDS(headers == rec.headers_count);
		if (rec.timestamp > max_timestamp)
			max_timestamp = rec.timestamp;
		count++;
	}
	FUZZ_HOLDS(count == verdict->batch.records_count);
	FUZZ_HOLDS(!kbr_record_next(&it, &rec));
	FUZZ_HOLDS(max_timestamp == verdict->max_timestamp);
	kbr_unpacked_release(&u);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct kbr_batch_rules rules = {
		.batch_bytes_max = 100000,
		.segment_bytes_max = 1u << 20,
		.now_ms = 1800000000000,
		.before_max_ms = S64_MAX,
		.after_max_ms = S64_MAX,
	};
	struct kbr_batch_verdict verdict;
	u8 *buf;
	int ret;

	if (size < 1)
		return 0;
	rules.append_time = data[0] & 1;
	rules.key_required = data[0] & 2;
	rules.internal = data[0] & 4;
	if (data[0] & 8)
		rules.after_max_ms = 1000;
	size--;
	buf = malloc(size ? size : 1);
	memcpy(buf, data + 1, size);
	if (data[0] & 0x80 && size >= KBR_BATCH_HEADER_LEN) {
		struct kbr_batch_wire *wire = (void *)buf;

		wire->length = cpu_to_be32(size - KBR_BATCH_PREFIX_LEN);
		wire->magic = KBR_BATCH_MAGIC;
		kbr_batch_seal(buf, size);
	}
	ret = kbr_batch_validate(buf, size, &rules, &verdict);
	FUZZ_HOLDS(!ret == !verdict.fault);
	if (!ret && !(verdict.batch.attributes & KBR_BATCH_APPEND_TIME))
		check_walk(buf, &verdict);
	free(buf);
	return 0;
}
