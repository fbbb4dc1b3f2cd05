// SPDX-License-Identifier: GPL-2.0-only
/*
 * The codec inside the kernel: its decompressors and checksums under the seam
 * of codec/unpack.h, and that the compiler's kernel mode changes nothing. What
 * is the same code in user space is tried far more thoroughly by tests/unit.
 */
#include <kunit/test.h>
#include <linux/limits.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "base/limits.h"
#include "codec/batch.h"
#include "codec/compress.h"
#include "codec/crc32c.h"
#include "codec/record.h"
#include "codec/varint.h"
#include "tests/codec_packed.h"
#include "tests/codec_vectors.h"

static const struct kbr_batch_rules codec_rules = {
	.batch_bytes_max = 1048588,
	.segment_bytes_max = 1u << 30,
	.now_ms = 1800000000000,
	.before_max_ms = S64_MAX,
	.after_max_ms = S64_MAX,
};

static void vector_name(const struct kbr_vector *v, char *name)
{
	strscpy(name, v->name, KUNIT_PARAM_DESC_SIZE);
}

KUNIT_ARRAY_PARAM(vector, kbr_vectors, vector_name);

static void packed_name(const struct kbr_packed *packed, char *name)
{
	strscpy(name, packed->name, KUNIT_PARAM_DESC_SIZE);
}

KUNIT_ARRAY_PARAM(packed, kbr_packed, packed_name);

/* An allocation of exactly that size, so that KASAN sees each byte read beyond it */
static u8 *codec_bytes(struct kunit *test, const char *text, size_t *len)
{
	u8 *buf;

	*len = kbr_vector_bytes(text, NULL, 0);
	buf = kunit_kmalloc(test, *len, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, buf);
	kbr_vector_bytes(text, buf, *len);
	return buf;
}

/* A sealed batch of one record around compressed bytes */
static u8 *codec_batch(struct kunit *test, enum kbr_codec codec, const u8 *packed, size_t len,
		       struct kbr_batch *batch)
{
	const struct kbr_batch header = {
		.size = KBR_BATCH_HEADER_LEN + len,
		.attributes = codec,
		.records_count = 1,
		.base_timestamp = 1700000000000,
		.max_timestamp = 1700000000000,
		.producer_id = -1,
	};
	u8 *buf = kunit_kmalloc(test, header.size, GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, buf);
	kbr_batch_encode_header(&header, buf);
	memcpy(buf + KBR_BATCH_HEADER_LEN, packed, len);
	kbr_batch_seal(buf, header.size);
	KUNIT_ASSERT_EQ(test, kbr_batch_decode(batch, buf, header.size), 0);
	return buf;
}

static void codec_test_varints(struct kunit *test)
{
	u8 want[16], got[16];
	size_t i, len;
	s64 val64;
	s32 val;

	for (i = 0; i < ARRAY_SIZE(kbr_varint_vectors); i++) {
		const struct kbr_varint_vector *v = &kbr_varint_vectors[i];

		len = kbr_vector_bytes(v->bytes, want, sizeof(want));
		KUNIT_EXPECT_EQ(test, kbr_varint_encode(got, v->val) - got, len);
		KUNIT_EXPECT_EQ(test, memcmp(got, want, len), 0);
		KUNIT_EXPECT_EQ(test, kbr_varint_size(v->val), len);
		KUNIT_EXPECT_PTR_EQ(test, kbr_varint_decode(want, want + len, &val),
				    (const u8 *)want + len);
		KUNIT_EXPECT_EQ(test, val, v->val);
		KUNIT_EXPECT_NULL(test, kbr_varint_decode(want, want + len - 1, &val));
	}
	for (i = 0; i < ARRAY_SIZE(kbr_varlong_vectors); i++) {
		const struct kbr_varint_vector *v = &kbr_varlong_vectors[i];

		len = kbr_vector_bytes(v->bytes, want, sizeof(want));
		KUNIT_EXPECT_EQ(test, kbr_varlong_encode(got, v->val) - got, len);
		KUNIT_EXPECT_EQ(test, memcmp(got, want, len), 0);
		KUNIT_EXPECT_EQ(test, kbr_varlong_size(v->val), len);
		KUNIT_EXPECT_PTR_EQ(test, kbr_varlong_decode(want, want + len, &val64),
				    (const u8 *)want + len);
		KUNIT_EXPECT_EQ(test, val64, v->val);
	}
	for (i = 0; i < ARRAY_SIZE(kbr_varint_bad); i++) {
		len = kbr_vector_bytes(kbr_varint_bad[i], want, sizeof(want));
		KUNIT_EXPECT_NULL(test, kbr_varint_decode(want, want + len, &val));
	}
	for (i = 0; i < ARRAY_SIZE(kbr_varlong_bad); i++) {
		len = kbr_vector_bytes(kbr_varlong_bad[i], want, sizeof(want));
		KUNIT_EXPECT_NULL(test, kbr_varlong_decode(want, want + len, &val64));
	}
}

static void codec_test_crc32c(struct kunit *test)
{
	KUNIT_EXPECT_EQ(test, kbr_crc32c(0, "123456789", 9), 0xe3069283);
	KUNIT_EXPECT_EQ(test, kbr_crc32c(kbr_crc32c(0, "1234", 4), "56789", 5), 0xe3069283);
	KUNIT_EXPECT_EQ(test, kbr_crc32c(0, NULL, 0), 0);
}

/* The definition, bit by bit. */
static u32 codec_slow_crc32c(const u8 *p, size_t len)
{
	u32 crc = ~0u;
	int bit;

	for (; len; p++, len--) {
		crc ^= *p;
		for (bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78 : 0);
	}
	return ~crc;
}

/* How it is computed depends on the length. */
static void codec_test_crc32c_lengths(struct kunit *test)
{
	size_t len, max = 1100;
	u8 *buf = kunit_kmalloc(test, max + 8, GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, buf);
	for (len = 0; len < max + 8; len++)
		buf[len] = len * 151 ^ len >> 3;
	for (len = 0; len <= max; len++)
		KUNIT_ASSERT_EQ(test, kbr_crc32c(0, buf + len % 8, len),
				codec_slow_crc32c(buf + len % 8, len));
}

static void codec_check_text(struct kunit *test, const u8 *bytes, u32 len, const char *want)
{
	if (!want) {
		KUNIT_EXPECT_NULL(test, bytes);
		return;
	}
	KUNIT_ASSERT_NOT_NULL(test, bytes);
	KUNIT_ASSERT_EQ(test, (size_t)len, strlen(want));
	KUNIT_EXPECT_EQ(test, memcmp(bytes, want, len), 0);
}

static void codec_test_vector(struct kunit *test)
{
	const struct kbr_vector *v = test->param_value;
	struct kbr_batch_verdict verdict;
	struct kbr_batch_rules rules = codec_rules;
	struct kbr_record_iter it;
	struct kbr_unpacked u;
	struct kbr_record rec;
	struct kbr_batch b;
	size_t len;
	u8 *buf;
	s32 i;

	buf = codec_bytes(test, v->batch, &len);
	KUNIT_EXPECT_EQ(test, len, (size_t)v->size);
	KUNIT_ASSERT_EQ(test, kbr_batch_decode(&b, buf, len), 0);
	KUNIT_EXPECT_EQ(test, b.size, v->size);
	KUNIT_EXPECT_EQ(test, b.attributes, v->attributes);
	KUNIT_EXPECT_EQ(test, b.producer_id, v->producer_id);
	KUNIT_EXPECT_EQ(test, b.base_sequence, v->base_sequence);
	KUNIT_EXPECT_EQ(test, kbr_batch_crc(buf, len), v->crc);
	KUNIT_EXPECT_EQ(test, kbr_batch_check_crc(buf, len), 0);

	KUNIT_ASSERT_EQ(test, kbr_unpack(&b, buf, 1000, &u), 0);
	if (v->plain) {
		size_t plain_len;
		u8 *plain = codec_bytes(test, v->plain, &plain_len);

		KUNIT_EXPECT_EQ(test, u.len, plain_len);
		KUNIT_EXPECT_EQ(test, memcmp(u.data, plain, min(u.len, plain_len)), 0);
	}
	kbr_record_iter_init(&it, &b, u.data, u.len);
	for (i = 0; i < v->count; i++) {
		KUNIT_EXPECT_EQ(test, kbr_record_next(&it, &rec), 1);
		KUNIT_EXPECT_EQ(test, rec.offset, b.base_offset + i);
		if (v->control)
			continue;
		KUNIT_EXPECT_EQ(test, rec.timestamp,
				b.base_timestamp + v->records[i].timestamp_delta);
		KUNIT_EXPECT_EQ(test, rec.headers_count, v->records[i].headers);
		codec_check_text(test, rec.key, rec.key_len, v->records[i].key);
		codec_check_text(test, rec.value, rec.value_len, v->records[i].value);
	}
	KUNIT_EXPECT_EQ(test, kbr_record_next(&it, &rec), 0);
	kbr_unpacked_release(&u);

	rules.internal = v->attributes & (KBR_BATCH_CONTROL | KBR_BATCH_TRANSACTIONAL);
	kbr_batch_stamp(buf, 0, 0);
	KUNIT_EXPECT_EQ(test, kbr_batch_validate(buf, len, &rules, &verdict), 0);
	KUNIT_EXPECT_EQ(test, verdict.max_timestamp, b.max_timestamp);
	/* the last bit of what the checksum covers */
	buf[len - 1] ^= 1;
	KUNIT_EXPECT_EQ(test, kbr_batch_validate(buf, len, &rules, &verdict), -EBADMSG);
	KUNIT_EXPECT_EQ(test, verdict.fault, KBR_FAULT_CRC);
	KUNIT_EXPECT_EQ(test, kbr_batch_validate(buf, len - 1, &rules, &verdict), -EBADMSG);
	KUNIT_EXPECT_EQ(test, verdict.fault, KBR_FAULT_CUT);
}

static void codec_test_stamp(struct kunit *test)
{
	size_t len, want_len;
	u8 *buf, *want;

	buf = codec_bytes(test, kbr_vectors[0].batch, &len);
	kbr_batch_stamp(buf, 1000, 5);
	want = codec_bytes(test, KBR_VECTOR_STAMPED_PREFIX, &want_len);
	KUNIT_EXPECT_EQ(test, memcmp(buf, want, want_len), 0);
	kbr_batch_set_append_time(buf, len, KBR_VECTOR_APPEND_TIME);
	want = codec_bytes(test, KBR_VECTOR_APPEND_TIME_HEADER, &want_len);
	KUNIT_EXPECT_EQ(test, memcmp(buf + 17, want, want_len), 0);
	KUNIT_EXPECT_EQ(test, kbr_batch_check_crc(buf, len), 0);
}

/* What zlib, snappy, liblz4 and libzstd compressed, the kernel's decompressors read */
static void codec_test_packed(struct kunit *test)
{
	const struct kbr_packed *packed = test->param_value;
	struct kbr_unpacked u;
	struct kbr_batch b;
	u32 i, wrong = 0;
	u8 *buf;

	buf = codec_batch(test, packed->codec, packed->bytes, packed->len, &b);
	KUNIT_ASSERT_EQ(test, kbr_unpack(&b, buf, packed->plain_len, &u), 0);
	KUNIT_EXPECT_EQ(test, u.len, (size_t)packed->plain_len);
	for (i = 0; i < u.len; i++)
		wrong += u.data[i] != kbr_packed_plain(i);
	KUNIT_EXPECT_EQ(test, wrong, 0);
	kbr_unpacked_release(&u);

	KUNIT_EXPECT_EQ(test, kbr_unpack(&b, buf, packed->plain_len - 1, &u), -EFBIG);
}

/* Each byte damaged, and cut at each byte: refused or harmless, never read beyond */
static void codec_test_packed_damaged(struct kunit *test)
{
	const struct kbr_packed *packed = test->param_value;
	/* the larger ones would take seconds */
	u32 step = packed->len / 300 + 1, at, unnoticed = 0;
	struct kbr_unpacked u;
	struct kbr_batch b;
	u8 *buf, *bytes;
	int ret;

	buf = codec_batch(test, packed->codec, packed->bytes, packed->len, &b);
	bytes = buf + KBR_BATCH_HEADER_LEN;
	for (at = 0; at < packed->len; at += step) {
		bytes[at] ^= 1 << at % 8;
		ret = kbr_unpack(&b, buf, packed->plain_len, &u);
		bytes[at] ^= 1 << at % 8;
		if (!ret) {
			unnoticed++;
			kbr_unpacked_release(&u);
			continue;
		}
		if (ret != -EBADMSG && ret != -EFBIG)
			KUNIT_FAIL(test, "damage at byte %u: %d", at, ret);
	}
	/* formats without a checksum can't notice all of it, but structure is most of them */
	KUNIT_EXPECT_LT(test, unnoticed, packed->len / step);

	for (at = 1; at < packed->len; at += step) {
		u8 *cut = codec_batch(test, packed->codec, packed->bytes, at, &b);

		ret = kbr_unpack(&b, cut, packed->plain_len, &u);
		if (!ret)
			kbr_unpacked_release(&u);
		else if (ret != -EBADMSG && ret != -EFBIG)
			KUNIT_FAIL(test, "cut at byte %u: %d", at, ret);
		kunit_kfree(test, cut);
	}
}

/* Zstandard: run-length blocks of 128 KiB, in sum more than is ever allowed */
static void codec_test_bomb(struct kunit *test)
{
	static const u8 head[] = { 0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x58 };
	static const u8 more[] = { 0x02, 0x00, 0x10, 'a' }, last[] = { 0x03, 0x00, 0x10, 'a' };
	const u32 blocks = KBR_UNPACKED_BYTES_MAX / SZ_128K + 1;
	struct kbr_batch_verdict verdict;
	struct kbr_batch b;
	u8 *bytes, *buf;
	u32 i;

	bytes = kunit_kmalloc(test, sizeof(head) + 4 * blocks, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, bytes);
	memcpy(bytes, head, sizeof(head));
	for (i = 0; i < blocks; i++)
		memcpy(bytes + sizeof(head) + 4 * i, i < blocks - 1 ? more : last, 4);
	buf = codec_batch(test, KBR_CODEC_ZSTD, bytes, sizeof(head) + 4 * blocks, &b);
	KUNIT_EXPECT_EQ(test, kbr_batch_validate(buf, b.size, &codec_rules, &verdict), -EFBIG);
	KUNIT_EXPECT_EQ(test, verdict.fault, KBR_FAULT_BOMB);
}

static void codec_test_builder(struct kunit *test)
{
	struct kbr_record rec = { .key = "key", .key_len = 3, .timestamp = 1700000000000 };
	struct kbr_batch_builder bld;
	struct kbr_batch_verdict verdict;
	struct kbr_record_iter it;
	const size_t size = 4096;
	u8 *buf = kunit_kmalloc(test, size, GFP_KERNEL);
	int count = 0;

	KUNIT_ASSERT_NOT_NULL(test, buf);
	kbr_batch_builder_init(&bld, buf, size);
	rec.value = kbr_packed[0].bytes;
	for (rec.value_len = 0; !kbr_batch_builder_add(&bld, &rec); rec.value_len++) {
		rec.timestamp += 7;
		count++;
	}
	KUNIT_EXPECT_GT(test, count, 50);
	kbr_batch_builder_finish(&bld);
	KUNIT_ASSERT_EQ(test, kbr_batch_validate(buf, bld.len, &codec_rules, &verdict), 0);
	KUNIT_EXPECT_EQ(test, verdict.batch.records_count, count);
	KUNIT_EXPECT_EQ(test, verdict.max_timestamp_delta, count - 1);
	kbr_record_iter_init(&it, &verdict.batch, buf + KBR_BATCH_HEADER_LEN,
			     bld.len - KBR_BATCH_HEADER_LEN);
	for (count = 0; kbr_record_next(&it, &rec) == 1; count++) {
		KUNIT_EXPECT_EQ(test, rec.value_len, count);
		KUNIT_EXPECT_EQ(test, memcmp(rec.value, kbr_packed[0].bytes, count), 0);
	}
	KUNIT_EXPECT_EQ(test, count, verdict.batch.records_count);
}

static struct kunit_case codec_cases[] = {
	KUNIT_CASE(codec_test_varints),
	KUNIT_CASE(codec_test_crc32c),
	KUNIT_CASE(codec_test_crc32c_lengths),
	KUNIT_CASE_PARAM(codec_test_vector, vector_gen_params),
	KUNIT_CASE(codec_test_stamp),
	KUNIT_CASE_PARAM(codec_test_packed, packed_gen_params),
	KUNIT_CASE_PARAM(codec_test_packed_damaged, packed_gen_params),
	KUNIT_CASE(codec_test_bomb),
	KUNIT_CASE(codec_test_builder),
	{}
};

static struct kunit_suite codec_suite = {
	.name = "kbroker_codec",
	.test_cases = codec_cases,
};

kunit_test_suite(codec_suite);
