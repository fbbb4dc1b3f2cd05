// SPDX-License-Identifier: GPL-2.0-only
/*
 * Varints and the checksum.
 */
#include <linux/crc32c.h>
#include <linux/limits.h>
#include <string.h>

#include "codec/crc32c.h"
#include "codec/varint.h"
#include "tap.h"
#include "tests/codec_vectors.h"

#define COUNT(a)	(sizeof(a) / sizeof((a)[0]))

static void test_varints(void)
{
	u8 want[16], got[16];
	size_t i, len;

	for (i = 0; i < COUNT(kbr_varint_vectors); i++) {
		const struct kbr_varint_vector *v = &kbr_varint_vectors[i];
		s32 val = 0;

		tap_context("%lld", v->val);
		len = kbr_vector_bytes(v->bytes, want, sizeof(want));
		expect_bytes(got, kbr_varint_encode(got, (s32)v->val) - got, want, len);
		expect_eq(kbr_varint_size((s32)v->val), len);
		expect(kbr_varint_decode(want, want + len, &val) == want + len);
		expect_eq(val, v->val);
	}
}

static void test_varlongs(void)
{
	u8 want[16], got[16];
	size_t i, len;

	for (i = 0; i < COUNT(kbr_varint_vectors) + COUNT(kbr_varlong_vectors); i++) {
		const struct kbr_varint_vector *v = i < COUNT(kbr_varint_vectors) ?
			&kbr_varint_vectors[i] : &kbr_varlong_vectors[i - COUNT(kbr_varint_vectors)];
		s64 val = 0;

		tap_context("%lld", v->val);
		len = kbr_vector_bytes(v->bytes, want, sizeof(want));
		expect_bytes(got, kbr_varlong_encode(got, v->val) - got, want, len);
		expect_eq(kbr_varlong_size(v->val), len);
		expect(kbr_varlong_decode(want, want + len, &val) == want + len);
		expect_eq(val, v->val);
	}
}

static void test_varints_refused(void)
{
	u8 bytes[16];
	size_t i, len;
	s32 val = 42;
	s64 val64 = 42;

	for (i = 0; i < COUNT(kbr_varint_bad); i++) {
		tap_context("%s", kbr_varint_bad[i]);
		len = kbr_vector_bytes(kbr_varint_bad[i], bytes, sizeof(bytes));
		expect(!kbr_varint_decode(bytes, bytes + len, &val));
		expect_eq(val, 42);
	}
	for (i = 0; i < COUNT(kbr_varlong_bad); i++) {
		tap_context("%s", kbr_varlong_bad[i]);
		len = kbr_vector_bytes(kbr_varlong_bad[i], bytes, sizeof(bytes));
		expect(!kbr_varlong_decode(bytes, bytes + len, &val64));
		expect_eq(val64, 42);
	}
}

static void test_varints_cut(void)
{
	u8 bytes[16];
	size_t i, len, cut;
	s32 val;

	for (i = 0; i < COUNT(kbr_varint_vectors); i++) {
		len = kbr_vector_bytes(kbr_varint_vectors[i].bytes, bytes, sizeof(bytes));
		for (cut = 0; cut < len; cut++) {
			tap_context("%s at %zu", kbr_varint_vectors[i].bytes, cut);
			expect(!kbr_varint_decode(bytes, bytes + cut, &val));
		}
	}
}

static void test_varints_round(void)
{
	u8 bytes[16];
	int i;

	for (i = 0; i < 200000; i++) {
		s64 val64 = (s64)(tap_random() >> tap_random_below(64)), got64 = 0;
		s32 val = (s32)val64, got = 0;
		u8 *end;

		if (tap_random() & 1)
			val64 = -val64;
		end = kbr_varlong_encode(bytes, val64);
		expect(end - bytes <= KBR_VARLONG_MAX && end - bytes == kbr_varlong_size(val64));
		expect(kbr_varlong_decode(bytes, end, &got64) == end && got64 == val64);
		end = kbr_varint_encode(bytes, val);
		expect(end - bytes <= KBR_VARINT_MAX && end - bytes == kbr_varint_size(val));
		expect(kbr_varint_decode(bytes, end, &got) == end && got == val);
	}
}

static void test_crc32c(void)
{
	static const char digits[] = "123456789";
	u8 bytes[300];
	size_t i, len, start;

	expect_eq(kbr_crc32c(0, digits, 9), 0xe3069283);
	expect_eq(kbr_crc32c(0, digits, 0), 0);
	expect_eq(kbr_crc32c(kbr_crc32c(0, digits, 4), digits + 4, 5), 0xe3069283);
	expect_eq((u32)~kbr_user_crc32c_table(~0u, digits, 9), 0xe3069283);

	/* both ways agree whatever the length and the alignment */
	for (i = 0; i < sizeof(bytes); i++)
		bytes[i] = (u8)tap_random();
	for (start = 0; start < 9; start++) {
		for (len = 0; len < 280; len++) {
			tap_context("%zu+%zu", start, len);
			expect_eq(kbr_user_crc32c(7, bytes + start, len),
				  kbr_user_crc32c_table(7, bytes + start, len));
		}
	}
}

const struct tap_case varint_cases[] = {
	{ "varint: every length, both ways", test_varints },
	{ "varint: longs, both ways", test_varlongs },
	{ "varint: cut, too long or overflowing ones are refused", test_varints_refused },
	{ "varint: cut at every byte", test_varints_cut },
	{ "varint: random values survive", test_varints_round },
	{ "crc32c: check value, pieces, both implementations", test_crc32c },
	{ NULL, NULL }
};
