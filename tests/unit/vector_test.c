// SPDX-License-Identifier: GPL-2.0-only
/*
 * Batches that other clients wrote: decode, checksum, validate, unpack, walk,
 * stamp.
 */
#include <errno.h>
#include <linux/limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "codec/batch.h"
#include "codec/compress.h"
#include "codec/record.h"
#include "tap.h"
#include "tests/codec_vectors.h"
#include "unit.h"

#define COUNT(a)	(sizeof(a) / sizeof((a)[0]))

const struct kbr_batch_rules unit_rules = {
	.batch_bytes_max = 1048588,
	.segment_bytes_max = 1u << 30,
	.now_ms = 1800000000000,
	.before_max_ms = S64_MAX,
	.after_max_ms = 3600000,
};

static void test_decode(void)
{
	u8 buf[256];
	size_t i, len;

	for (i = 0; i < COUNT(kbr_vectors); i++) {
		const struct kbr_vector *v = &kbr_vectors[i];
		struct kbr_batch b;

		tap_context("%s", v->name);
		len = kbr_vector_bytes(v->batch, buf, sizeof(buf));
		expect_eq(len, v->size);
		expect_eq(kbr_batch_decode(&b, buf, len), 0);
		expect_eq(b.size, v->size);
		expect_eq(b.crc, v->crc);
		expect_eq(b.attributes, v->attributes);
		expect_eq(b.producer_id, v->producer_id);
		expect_eq(b.base_sequence, v->base_sequence);
		expect_eq(b.records_count, v->count);
		expect_eq(b.last_offset_delta, v->count - 1);
		expect_eq(kbr_batch_crc(buf, len), v->crc);
		expect_eq(kbr_batch_check_crc(buf, len), 0);
	}
}

static void test_header_round(void)
{
	u8 buf[256], again[256];
	size_t i, len;

	for (i = 0; i < COUNT(kbr_vectors); i++) {
		struct kbr_batch b;

		tap_context("%s", kbr_vectors[i].name);
		len = kbr_vector_bytes(kbr_vectors[i].batch, buf, sizeof(buf));
		memset(again, 0xa5, sizeof(again));
		expect_eq(kbr_batch_decode(&b, buf, len), 0);
		kbr_batch_encode_header(&b, again);
		expect_bytes(again, KBR_BATCH_HEADER_LEN, buf, KBR_BATCH_HEADER_LEN);
		expect_eq(again[KBR_BATCH_HEADER_LEN], 0xa5);
	}
}

static void check_text(const u8 *bytes, u32 len, const char *want)
{
	if (!want)
		expect(!bytes && !len);
	else if (expect(bytes))
		expect_bytes(bytes, len, want, strlen(want));
}

static void check_records(const struct kbr_vector *v, const struct kbr_batch *b,
			  const struct kbr_unpacked *u)
{
	struct kbr_record_iter it;
	struct kbr_record rec;
	s32 i;

	kbr_record_iter_init(&it, b, u->data, u->len);
	for (i = 0; i < v->count; i++) {
		if (!expect_eq(kbr_record_next(&it, &rec), 1))
			return;
		expect_eq(rec.offset, b->base_offset + i);
		expect_eq(rec.offset_delta, i);
		if (v->control)
			continue;
		expect_eq(rec.timestamp, b->base_timestamp + v->records[i].timestamp_delta);
		check_text(rec.key, rec.key_len, v->records[i].key);
		check_text(rec.value, rec.value_len, v->records[i].value);
		expect_eq(rec.headers_count, v->records[i].headers);
	}
	expect_eq(kbr_record_next(&it, &rec), 0);
	expect_eq(kbr_record_next(&it, &rec), 0);
}

static void test_records(void)
{
	u8 buf[256], plain[256];
	size_t i, len;

	for (i = 0; i < COUNT(kbr_vectors); i++) {
		const struct kbr_vector *v = &kbr_vectors[i];
		struct kbr_unpacked u;
		struct kbr_batch b;

		tap_context("%s", v->name);
		len = kbr_vector_bytes(v->batch, buf, sizeof(buf));
		expect_eq(kbr_batch_decode(&b, buf, len), 0);
		if (!expect_eq(kbr_unpack(&b, buf, KBR_UNPACKED_BYTES_MAX, &u), 0))
			continue;
		if (v->plain) {
			expect(u.owned);
			expect_bytes(u.data, u.len, plain,
				     kbr_vector_bytes(v->plain, plain, sizeof(plain)));
		} else {
			expect(!u.owned);
			expect(u.data == buf + KBR_BATCH_HEADER_LEN);
		}
		check_records(v, &b, &u);
		kbr_unpacked_release(&u);
		expect(!u.data && !u.owned && !u.len);
	}
}

static void test_validate(void)
{
	u8 buf[256];
	size_t i, len;

	for (i = 0; i < COUNT(kbr_vectors); i++) {
		const struct kbr_vector *v = &kbr_vectors[i];
		struct kbr_batch_rules rules = unit_rules;
		struct kbr_batch_verdict verdict;

		tap_context("%s", v->name);
		len = kbr_vector_bytes(v->batch, buf, sizeof(buf));
		rules.after_max_ms = S64_MAX;
		if (v->attributes & (KBR_BATCH_CONTROL | KBR_BATCH_TRANSACTIONAL)) {
			expect_eq(kbr_batch_validate(buf, len, &rules, &verdict), -EINVAL);
			expect_eq(verdict.fault,
				  v->control ? KBR_FAULT_ATTRIBUTES : KBR_FAULT_TRANSACTION);
			rules.internal = true;
			kbr_batch_stamp(buf, 0, 0);
		}
		/* what follows the batch does not matter */
		memset(buf + len, 0xff, sizeof(buf) - len);
		expect_eq(kbr_batch_validate(buf, sizeof(buf), &rules, &verdict), 0);
		expect_eq(verdict.fault, KBR_FAULT_NONE);
		expect_eq(verdict.record, -1);
		expect_eq(verdict.batch.size, v->size);
		expect_eq(verdict.max_timestamp, verdict.batch.max_timestamp);
		if (v->count == 2)
			expect_eq(verdict.max_timestamp_delta, v->records[1].timestamp_delta > 0);
	}
}

static void test_headers(void)
{
	static const struct { const char *key, *value; } want[2][2] = {
		{ { "h1", "v1" }, { "h2", "" } },
		{ { "trace", "abc" }, { "empty", NULL } },
	};
	static const int vectors[2] = { 0, 3 };
	u8 buf[256];
	int i, j;

	for (i = 0; i < 2; i++) {
		const struct kbr_vector *v = &kbr_vectors[vectors[i]];
		struct kbr_record_iter it;
		struct kbr_header header;
		struct kbr_record rec;
		struct kbr_batch b;
		const u8 *pos;
		size_t len;

		tap_context("%s", v->name);
		len = kbr_vector_bytes(v->batch, buf, sizeof(buf));
		expect_eq(kbr_batch_decode(&b, buf, len), 0);
		kbr_record_iter_init(&it, &b, buf + KBR_BATCH_HEADER_LEN,
				     len - KBR_BATCH_HEADER_LEN);
		expect_eq(kbr_record_next(&it, &rec), 1);
		pos = rec.headers;
		for (j = 0; j < 2; j++) {
			if (!expect_eq(kbr_header_next(&pos, rec.headers + rec.headers_len,
						       &header), 1))
				return;
			check_text(header.key, header.key_len, want[i][j].key);
			check_text(header.value, header.value_len, want[i][j].value);
		}
		expect_eq(kbr_header_next(&pos, rec.headers + rec.headers_len, &header), 0);
	}
}

static void test_stamp(void)
{
	u8 buf[256], want[64];
	struct kbr_record_iter it;
	struct kbr_record rec;
	struct kbr_batch b;
	size_t len, want_len;

	len = kbr_vector_bytes(kbr_vectors[0].batch, buf, sizeof(buf));
	kbr_batch_stamp(buf, 1000, 5);
	want_len = kbr_vector_bytes(KBR_VECTOR_STAMPED_PREFIX, want, sizeof(want));
	expect_bytes(buf, want_len, want, want_len);
	expect_eq(kbr_batch_check_crc(buf, len), 0);

	kbr_batch_set_append_time(buf, len, KBR_VECTOR_APPEND_TIME);
	want_len = kbr_vector_bytes(KBR_VECTOR_APPEND_TIME_HEADER, want, sizeof(want));
	expect_bytes(buf + 17, want_len, want, want_len);
	expect_eq(kbr_batch_check_crc(buf, len), 0);

	/* then every record has the time of the append */
	expect_eq(kbr_batch_decode(&b, buf, len), 0);
	kbr_record_iter_init(&it, &b, buf + KBR_BATCH_HEADER_LEN, len - KBR_BATCH_HEADER_LEN);
	while (kbr_record_next(&it, &rec) == 1)
		expect_eq(rec.timestamp, KBR_VECTOR_APPEND_TIME);
	expect_eq(it.left, 0);
	expect_eq(rec.offset, 1001);

	kbr_batch_set_max_timestamp(buf, len, 99);
	expect_eq(kbr_batch_check_crc(buf, len), 0);
	expect_eq(kbr_batch_decode(&b, buf, len), 0);
	expect_eq(b.max_timestamp, 99);
}

/* Every single bit that the checksum covers matters */
static void test_crc_bits(void)
{
	u8 buf[256];
	size_t len, bit;

	len = kbr_vector_bytes(kbr_vectors[0].batch, buf, sizeof(buf));
	for (bit = KBR_BATCH_CRC_START * 8; bit < len * 8; bit++) {
		buf[bit / 8] ^= 1 << bit % 8;
		tap_context("bit %zu", bit);
		expect_eq(kbr_batch_check_crc(buf, len), -EBADMSG);
		buf[bit / 8] ^= 1 << bit % 8;
	}
	expect_eq(kbr_batch_check_crc(buf, len), 0);
	expect_eq(kbr_batch_check_crc(buf, 60), -EBADMSG);
}

const struct tap_case vector_cases[] = {
	{ "vectors: headers decode", test_decode },
	{ "vectors: headers encode to the same bytes", test_header_round },
	{ "vectors: records of every codec", test_records },
	{ "vectors: client batches pass validation, those of transactions only from the broker",
	  test_validate },
	{ "vectors: record headers, null and empty values", test_headers },
	{ "vectors: stamped with offset, epoch and append time", test_stamp },
	{ "vectors: the checksum sees each bit", test_crc_bits },
	{ NULL, NULL }
};
