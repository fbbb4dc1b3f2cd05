// SPDX-License-Identifier: GPL-2.0-only
/*
 * A leader's answer to a follower's Fetch: what passes its check is read without
 * a fault and to no further than its end, records lie inside it, and what is
 * trimmed off them is whole batches below the offset.
 *
 * The first eight bytes of the input are that offset.
 */
#include <limits.h>
#include <string.h>

#include "codec/batch.h"
#include "codec/fetched.h"
#include "fuzz.h"

static void fuzz_records(const struct kbr_fetched_part *part, const uint8_t *data, size_t size, s64 end)
{
	struct kbr_str left = part->records;
	const char *at = left.at;
	struct kbr_batch batch;

	FUZZ_HOLDS(left.len >= -1);
	if (left.len < 0)
		return;
	FUZZ_HOLDS((const uint8_t *)left.at >= data && (const uint8_t *)left.at + left.len <= data + size);
	kbr_fetched_trim(&left, end);
	FUZZ_HOLDS(left.len >= 0 && left.at + left.len == at + part->records.len);
	for (; at < left.at; at += batch.size) {
		FUZZ_HOLDS(!kbr_batch_decode(&batch, at, left.at - at));
		FUZZ_HOLDS(batch.size <= (size_t)(left.at - at) && kbr_batch_last_offset(&batch) < end);
	}
	FUZZ_HOLDS(at == left.at);
	if (!kbr_batch_decode(&batch, left.at, left.len) && batch.size <= (size_t)left.len)
		FUZZ_HOLDS(kbr_batch_last_offset(&batch) >= end);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct kbr_fetched_head head;
	struct kbr_fetched_part part;
	struct kbr_wire_reader r;
	s32 topics, parts;
	s64 end;

	if (size < sizeof(end))
		return 0;
	memcpy(&end, data, sizeof(end));
	data += sizeof(end);
	size -= sizeof(end);
	if (kbr_fetched_open(&r, data, size, &head))
		return 0;
	for (topics = kbr_get_count(&r); topics > 0; topics--) {
		kbr_get_string(&r);
		for (parts = kbr_get_count(&r); parts > 0; parts--) {
			kbr_fetched_get_part(&r, &part);
			FUZZ_HOLDS(!r.bad);
			fuzz_records(&part, data, size, end);
		}
		kbr_get_tags(&r);
	}
	kbr_get_tags(&r);
	FUZZ_HOLDS(!r.bad && kbr_wire_reader_left(&r) <= size);
	return 0;
}
