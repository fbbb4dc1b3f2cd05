// SPDX-License-Identifier: GPL-2.0-only
/*
 * Building batches, and random batches of every codec there and back.
 */
#include <errno.h>
#include <linux/limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "codec/batch.h"
#include "codec/compress.h"
#include "codec/record.h"
#include "codec/varint.h"
#include "tap.h"
#include "tests/codec_vectors.h"
#include "unit.h"

#define COUNT(a)	(sizeof(a) / sizeof((a)[0]))

/* Built from what the vectors decode to, the records are the same bytes again */
static void test_vectors(void)
{
	u8 buf[256], out[256];
	size_t i, len;

	for (i = 0; i < COUNT(kbr_vectors); i++) {
		struct kbr_batch_builder bld;
		struct kbr_batch_verdict verdict;
		struct kbr_record_iter it;
		struct kbr_unpacked u;
		struct kbr_record rec;
		struct kbr_batch b;
		size_t want = KBR_BATCH_HEADER_LEN;

		tap_context("%s", kbr_vectors[i].name);
		len = kbr_vector_bytes(kbr_vectors[i].batch, buf, sizeof(buf));
		expect_eq(kbr_batch_decode(&b, buf, len), 0);
		expect_eq(kbr_unpack(&b, buf, 1000, &u), 0);
		kbr_batch_builder_init(&bld, out, sizeof(out));
		kbr_record_iter_init(&it, &b, u.data, u.len);
		while (kbr_record_next(&it, &rec) == 1) {
			want += kbr_record_size(&rec, bld.count,
						bld.count ? rec.timestamp - bld.base_timestamp : 0);
			expect_eq(kbr_batch_builder_add(&bld, &rec), 0);
			expect_eq(bld.len, want);
		}
		expect_eq(kbr_batch_builder_finish(&bld), want);
		expect_bytes(out + KBR_BATCH_HEADER_LEN, want - KBR_BATCH_HEADER_LEN, u.data, u.len);
		expect_eq(kbr_batch_validate(out, want, &(struct kbr_batch_rules){
			.batch_bytes_max = 1000, .segment_bytes_max = 1000, .now_ms = S64_MAX,
			.before_max_ms = S64_MAX, .after_max_ms = S64_MAX }, &verdict), 0);
		expect_eq(verdict.batch.max_timestamp, b.max_timestamp);
		expect_eq(verdict.batch.base_timestamp, b.base_timestamp);
		kbr_unpacked_release(&u);
	}
}

static void test_full(void)
{
	struct kbr_record rec = { .value = (const u8 *)"0123456789", .value_len = 10,
				  .timestamp = 1700000000000 };
	size_t one = kbr_record_size(&rec, 0, 0), size;
	struct kbr_batch_builder bld, before;
	struct kbr_batch_verdict verdict;
	u8 *buf;

	for (size = KBR_BATCH_HEADER_LEN; size <= KBR_BATCH_HEADER_LEN + 3 * one; size++) {
		size_t fit = (size - KBR_BATCH_HEADER_LEN) / one;

		tap_context("%zu bytes", size);
		buf = malloc(size);
		kbr_batch_builder_init(&bld, buf, size);
		while (!kbr_batch_builder_add(&bld, &rec))
			;
		before = bld;
		expect_eq(bld.count, fit);
		expect_eq(kbr_batch_builder_add(&bld, &rec), -ENOSPC);
		expect(!memcmp(&before, &bld, sizeof(bld)));
		if (fit) {
			expect_eq(kbr_batch_builder_finish(&bld), KBR_BATCH_HEADER_LEN + fit * one);
			expect_eq(kbr_batch_validate(buf, bld.len, &unit_rules, &verdict), 0);
		}
		free(buf);
	}
}

static void test_refused(void)
{
	struct kbr_record rec = { .timestamp = 5 };
	struct kbr_batch_builder bld;
	u8 buf[256];

	kbr_batch_builder_init(&bld, buf, sizeof(buf));
	rec.key_len = 1;
	expect_eq(kbr_batch_builder_add(&bld, &rec), -EINVAL);
	rec.key_len = 0;
	rec.value_len = 1;
	expect_eq(kbr_batch_builder_add(&bld, &rec), -EINVAL);
	rec.value = buf;
	rec.value_len = KBR_BATCH_BYTES_MAX + 1;
	expect_eq(kbr_batch_builder_add(&bld, &rec), -EINVAL);
	rec.value_len = KBR_BATCH_BYTES_MAX;
	expect_eq(kbr_batch_builder_add(&bld, &rec), -EINVAL);
	rec.value_len = 0;
	rec.headers_count = KBR_RECORD_HEADERS_MAX + 1;
	expect_eq(kbr_batch_builder_add(&bld, &rec), -EINVAL);
	rec.headers_count = 0;
	expect_eq(kbr_batch_builder_add(&bld, &rec), 0);
	rec.timestamp = S64_MIN;
	expect_eq(kbr_batch_builder_add(&bld, &rec), -EINVAL);
	expect_eq(bld.count, 1);
}

/* Times that go back and forth: the base is the first, the maximum the largest */
static void test_times(void)
{
	static const s64 times[] = { 1700000000000, 1699999999000, 1700000000777, 1700000000001 };
	struct kbr_batch_verdict verdict;
	struct kbr_batch_builder bld;
	struct kbr_record_iter it;
	struct kbr_record rec = { 0 };
	u8 buf[256];
	size_t i;

	kbr_batch_builder_init(&bld, buf, sizeof(buf));
	for (i = 0; i < COUNT(times); i++) {
		rec.timestamp = times[i];
		expect_eq(kbr_batch_builder_add(&bld, &rec), 0);
	}
	kbr_batch_builder_finish(&bld);
	expect_eq(kbr_batch_validate(buf, bld.len, &unit_rules, &verdict), 0);
	expect_eq(verdict.batch.base_timestamp, times[0]);
	expect_eq(verdict.batch.max_timestamp, times[2]);
	expect_eq(verdict.max_timestamp, times[2]);
	expect_eq(verdict.max_timestamp_delta, 2);
	kbr_record_iter_init(&it, &verdict.batch, buf + KBR_BATCH_HEADER_LEN,
			     bld.len - KBR_BATCH_HEADER_LEN);
	for (i = 0; i < COUNT(times); i++) {
		expect_eq(kbr_record_next(&it, &rec), 1);
		expect_eq(rec.timestamp, times[i]);
	}
}

const struct tap_case builder_cases[] = {
	{ "builder: the vectors' records come out as they went in", test_vectors },
	{ "builder: a full batch says so and stays whole", test_full },
	{ "builder: impossible records are refused", test_refused },
	{ "builder: times", test_times },
	{ NULL, NULL }
};

static u32 random_len(void)
{
	switch (tap_random_below(8)) {
	case 0:
		return 0;
	case 1:
		return tap_random_below(20000);
	case 2:
		return 60 + tap_random_below(8);
	default:
		return tap_random_below(200);
	}
}

/* A random record whose bytes lie in @pool */
static void random_record(struct kbr_record *rec, const u8 *pool, u8 *headers)
{
	u32 i;
	u8 *p = headers;

	memset(rec, 0, sizeof(*rec));
	if (tap_random_below(4)) {
		rec->key_len = tap_random_below(40);
		rec->key = pool + tap_random_below(1000);
	}
	if (tap_random_below(8)) {
		rec->value_len = random_len();
		rec->value = pool + tap_random_below(1000);
	}
	rec->timestamp = 1700000000000 + (s64)tap_random_below(100000) - 50000;
	rec->headers_count = tap_random_below(4) ? 0 : tap_random_below(5);
	for (i = 0; i < rec->headers_count; i++) {
		u32 len = tap_random_below(100);

		p = kbr_varint_encode(p, len);
		memcpy(p, pool, len);
		p += len;
		if (!tap_random_below(3)) {
			p = kbr_varint_encode(p, -1);
			continue;
		}
		len = tap_random_below(100);
		p = kbr_varint_encode(p, len);
		memcpy(p, pool + 7, len);
		p += len;
	}
	rec->headers = headers;
	rec->headers_len = p - headers;
}

static bool same_bytes(const u8 *a, u32 a_len, const u8 *b, u32 b_len)
{
	return !a == !b && a_len == b_len && (!a_len || !memcmp(a, b, a_len));
}

struct random_round {
	struct kbr_record want[64];
	u8 headers[64][2000];
	u8 pool[24000];
	u8 batch[400000];
};

static void random_round(struct random_round *r, int form)
{
	struct kbr_batch_rules rules = unit_rules;
	struct kbr_batch_verdict verdict;
	struct kbr_batch_builder bld;
	struct kbr_record_iter it;
	struct kbr_unpacked u;
	struct kbr_record rec;
	size_t packed_len, size, len;
	s32 i, count = 0;
	u8 *packed, *buf;

	len = KBR_BATCH_HEADER_LEN + tap_random_below(sizeof(r->batch) - KBR_BATCH_HEADER_LEN);
	kbr_batch_builder_init(&bld, r->batch, len);
	while (count < 64 && tap_random_below(40)) {
		random_record(&r->want[count], r->pool, r->headers[count]);
		if (kbr_batch_builder_add(&bld, &r->want[count]))
			break;
		count++;
	}
	if (!count)
		return;
	len = kbr_batch_builder_finish(&bld) - KBR_BATCH_HEADER_LEN;

	/* the same records, compressed, under a header that is otherwise the same */
	packed = unit_pack(form, r->batch + KBR_BATCH_HEADER_LEN, len, &packed_len);
	buf = unit_batch(0, count, packed, packed_len, &size);
	memcpy(buf + KBR_BATCH_CRC_START, r->batch + KBR_BATCH_CRC_START,
	       KBR_BATCH_HEADER_LEN - KBR_BATCH_CRC_START);
	buf[22] = unit_form_codec(form);
	kbr_batch_seal(buf, size);

	rules.batch_bytes_max = size;
	if (expect_eq(kbr_batch_validate(buf, size, &rules, &verdict), 0) &&
	    expect_eq(kbr_unpack(&verdict.batch, buf, len, &u), 0)) {
		expect_eq(verdict.max_timestamp, bld.max_timestamp);
		kbr_record_iter_init(&it, &verdict.batch, u.data, u.len);
		for (i = 0; i < count; i++) {
			const struct kbr_record *w = &r->want[i];

			expect_eq(kbr_record_next(&it, &rec), 1);
			expect(same_bytes(rec.key, rec.key_len, w->key, w->key_len));
			expect(same_bytes(rec.value, rec.value_len, w->value, w->value_len));
			expect(same_bytes(rec.headers, rec.headers_len, w->headers, w->headers_len));
			expect_eq(rec.headers_count, w->headers_count);
			expect_eq(rec.timestamp, w->timestamp);
			expect_eq(rec.offset, i);
		}
		expect_eq(kbr_record_next(&it, &rec), 0);
		kbr_unpacked_release(&u);
	}
	free(buf);
	free(packed);
}

static void test_random(void)
{
	struct random_round *r = malloc(sizeof(*r));
	size_t i;
	int form;

	for (i = 0; i < sizeof(r->pool); i++)
		r->pool[i] = tap_random_below(3) ? "record batch "[i % 13] : (u8)tap_random();
	for (i = 0; i < 60; i++) {
		for (form = 0; form < UNIT_FORMS; form++) {
			tap_context("round %zu, %s", i, unit_form_name(form));
			random_round(r, form);
		}
	}
	free(r);
}

const struct tap_case random_cases[] = {
	{ "random: batches of every codec survive", test_random },
	{ NULL, NULL }
};
