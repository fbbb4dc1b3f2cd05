// SPDX-License-Identifier: GPL-2.0-only
/*
 * Kafka's primitive types: both ways, cut at every byte, lengths that lie.
 */
#include <errno.h>
#include <linux/limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "codec/wire.h"
#include "tap.h"
#include "tests/vector_bytes.h"
#include "unit.h"

#define COUNT(a)	(sizeof(a) / sizeof((a)[0]))

/* One of each, as strings are in versions that are flexible or not */
static const char * const wire_plain =
	"01 fe fffd 0000012c ffffffffffffff80 0003 616263 ffff 00000002 0102 ffffffff 00000001";
static const char * const wire_flexible =
	"01 fe fffd 0000012c ffffffffffffff80 04 616263 00 03 0102 00 02";

static void wire_put_all(struct kbr_wire_writer *w)
{
	struct kbr_str null = { .at = NULL, .len = -1 };

	kbr_put_bool(w, true);
	kbr_put_s8(w, -2);
	kbr_put_s16(w, -3);
	kbr_put_s32(w, 300);
	kbr_put_s64(w, -128);
	kbr_put_string(w, "abc");
	kbr_put_str(w, &null);
	kbr_put_bytes(w, "\1\2", 2);
	kbr_put_bytes(w, NULL, 0);
	kbr_put_count(w, 1);
}

static void wire_get_all(struct kbr_wire_reader *r)
{
	struct kbr_str str;

	expect_eq(kbr_get_bool(r), true);
	expect_eq(kbr_get_s8(r), -2);
	expect_eq(kbr_get_s16(r), -3);
	expect_eq(kbr_get_s32(r), 300);
	expect_eq(kbr_get_s64(r), -128);
	str = kbr_get_string(r);
	expect(kbr_str_equal(&str, "abc"));
	expect(!kbr_str_equal(&str, "ab"));
	expect(!kbr_str_equal(&str, "abcd"));
	str = kbr_get_nullable_string(r);
	expect_eq(str.len, -1);
	str = kbr_get_bytes(r);
	expect_bytes(str.at, str.len, "\1\2", 2);
	str = kbr_get_nullable_bytes(r);
	expect_eq(str.len, -1);
}

static void test_wire_types(void)
{
	struct kbr_wire_reader r;
	struct kbr_wire_writer w;
	u8 want[64];
	size_t len;
	int flexible;

	for (flexible = 0; flexible < 2; flexible++) {
		tap_context("flexible %d", flexible);
		len = kbr_vector_bytes(flexible ? wire_flexible : wire_plain, want, sizeof(want));
		kbr_wire_writer_init(&w, SIZE_MAX, flexible);
		wire_put_all(&w);
		expect_eq(w.err, 0);
		expect_bytes(w.buf, w.len, want, len);
		kbr_wire_writer_free(&w);

		/* the byte of the array's one element */
		want[len] = 7;
		kbr_wire_reader_init(&r, want, len + 1, flexible);
		wire_get_all(&r);
		expect_eq(kbr_get_count(&r), 1);
		expect_eq(kbr_wire_reader_left(&r), 1);
		expect(!r.bad);
	}
}

static void test_wire_insert(void)
{
	struct kbr_wire_writer w;
	int i;

	kbr_wire_writer_init(&w, 1000, false);
	kbr_put_string(&w, "ad");
	kbr_wire_writer_insert(&w, 3, "bc", 2);
	kbr_wire_writer_patch_s16(&w, 0, 4);
	kbr_wire_writer_insert(&w, 6, "e", 1);
	expect_eq(w.err, 0);
	expect_bytes(w.buf, w.len, (const u8 *)"\0\4abcde", 7);
	/* also where it has to grow for it */
	for (i = 0; i < 900; i++)
		kbr_wire_writer_insert(&w, 2, "x", 1);
	expect_eq(w.err, 0);
	expect_eq(w.len, 907);
	expect_bytes(w.buf + 901, 6, (const u8 *)"xabcde", 6);
	kbr_wire_writer_insert(&w, 908, "x", 1);
	expect_eq(w.err, -EMSGSIZE);
	kbr_wire_writer_free(&w);
	kbr_wire_writer_init(&w, 4, false);
	kbr_put_s32(&w, 1);
	kbr_wire_writer_insert(&w, 0, "x", 1);
	expect_eq(w.err, -EMSGSIZE);
	expect_eq(w.len, 4);
	kbr_wire_writer_free(&w);
}

/* Numbers that are known only later, and fields by tag: known ones are read, others skipped. */
static void test_wire_tags(void)
{
	static const s32 counts[] = { 0, 1, 2, 126, 127, 128, 300, 20000 };
	struct kbr_wire_reader r, field;
	struct kbr_wire_writer w;
	size_t i, pos;
	int flexible;
	u8 *bytes;
	s32 n;

	for (flexible = 0; flexible < 2; flexible++) {
		for (i = 0; i < COUNT(counts); i++) {
			tap_context("flexible %d count %d", flexible, counts[i]);
			kbr_wire_writer_init(&w, SIZE_MAX, flexible);
			kbr_put_s8(&w, 1);
			pos = kbr_put_open_count(&w);
			for (n = 0; n < counts[i]; n++)
				kbr_put_s8(&w, 7);
			kbr_wire_writer_patch_count(&w, pos, counts[i]);
			expect_eq(w.err, 0);
			kbr_wire_reader_init(&r, w.buf, w.len, flexible);
			kbr_get_s8(&r);
			expect_eq(kbr_get_count(&r), counts[i]);
			expect_eq(kbr_wire_reader_left(&r), counts[i]);
			kbr_wire_writer_free(&w);
		}
	}
	tap_context("tags");
	kbr_wire_writer_init(&w, SIZE_MAX, true);
	kbr_put_uvarint(&w, 3);
	kbr_put_tag(&w, 1, 2);
	kbr_put_s16(&w, 5);
	kbr_put_tag(&w, 9, 0);
	kbr_put_tag(&w, 10000, 8);
	kbr_put_s64(&w, 77);
	kbr_put_s8(&w, 6);
	bytes = unit_exact(w.buf, w.len);
	kbr_wire_reader_init(&r, bytes, w.len, true);
	expect_eq(kbr_get_tag_count(&r), 3);
	expect_eq(kbr_get_tag(&r, &field), 1);
	/* more than is in it is a fault of the field alone */
	kbr_get_s32(&field);
	expect(field.bad);
	expect_eq(kbr_get_tag(&r, &field), 9);
	expect_eq(kbr_wire_reader_left(&field), 0);
	expect_eq(kbr_get_tag(&r, &field), 10000);
	expect_eq(kbr_get_s64(&field), 77);
	expect(!field.bad);
	expect_eq(kbr_get_s8(&r), 6);
	expect(!r.bad);
	/* a length that lies */
	kbr_wire_reader_init(&r, "\1\1\5abcd", 7, true);
	expect_eq(kbr_get_tag_count(&r), 1);
	kbr_get_tag(&r, &field);
	expect(r.bad);
	expect_eq(kbr_wire_reader_left(&field), 0);
	expect_eq(kbr_get_s8(&field), 0);
	free(bytes);
	kbr_wire_writer_free(&w);
}

static void test_wire_cut(void)
{
	struct kbr_wire_reader r;
	u8 want[64], *bytes;
	size_t len, cut;
	int flexible;

	for (flexible = 0; flexible < 2; flexible++) {
		len = kbr_vector_bytes(flexible ? wire_flexible : wire_plain, want, sizeof(want));
		for (cut = 0; cut < len; cut++) {
			tap_context("flexible %d at %zu", flexible, cut);
			bytes = unit_exact(want, cut);
			kbr_wire_reader_init(&r, bytes, cut, flexible);
			kbr_get_bool(&r);
			kbr_get_s8(&r);
			kbr_get_s16(&r);
			kbr_get_s32(&r);
			kbr_get_s64(&r);
			kbr_get_string(&r);
			kbr_get_nullable_string(&r);
			kbr_get_bytes(&r);
			kbr_get_nullable_bytes(&r);
			kbr_get_count(&r);
			expect(r.bad);
			expect_eq(kbr_wire_reader_left(&r), 0);
			/* sticky, and everything reads as nothing */
			expect_eq(kbr_get_s8(&r), 0);
			expect_eq(kbr_get_s64(&r), 0);
			expect_eq(kbr_get_string(&r).len, 0);
			expect_eq(kbr_get_nullable_string(&r).len, -1);
			expect_eq(kbr_get_nullable_count(&r), 0);
			free(bytes);
		}
	}
}

enum wire_type { STRING, NULLABLE_STRING, BYTES, NULLABLE_BYTES, ARRAY, NULLABLE_ARRAY, TAGS };

struct wire_lie {
	const char *bytes;
	enum wire_type type;
	bool flexible;
	bool ok;
};

static const struct wire_lie wire_lies[] = {
	{ "0000", STRING, false, true },
	{ "ffff", STRING, false, false },
	{ "ffff", NULLABLE_STRING, false, true },
	{ "fffe", NULLABLE_STRING, false, false },
	{ "8000", NULLABLE_STRING, false, false },
	{ "7fff 61", STRING, false, false },
	{ "0001", STRING, false, false },
	{ "00", STRING, true, false },
	{ "00", NULLABLE_STRING, true, true },
	{ "01", STRING, true, true },
	{ "02", STRING, true, false },
	{ "ffffffff0f", STRING, true, false },
	{ "ffffffff07", STRING, true, false },
	{ "8080808008", NULLABLE_STRING, true, false },
	{ "ffffffff10", NULLABLE_STRING, true, false },
	{ "808080808000", NULLABLE_STRING, true, false },
	{ "00000000", BYTES, false, true },
	{ "ffffffff", BYTES, false, false },
	{ "ffffffff", NULLABLE_BYTES, false, true },
	{ "fffffffe", NULLABLE_BYTES, false, false },
	{ "80000000", NULLABLE_BYTES, false, false },
	{ "7fffffff 61", BYTES, false, false },
	{ "00000000", ARRAY, false, true },
	{ "ffffffff", ARRAY, false, false },
	{ "ffffffff", NULLABLE_ARRAY, false, true },
	{ "fffffffe", NULLABLE_ARRAY, false, false },
	{ "80000000", NULLABLE_ARRAY, false, false },
	{ "7fffffff 61", ARRAY, false, false },
	{ "00000002 61", ARRAY, false, false },
	{ "00000002 6161", ARRAY, false, true },
	{ "00", ARRAY, true, false },
	{ "00", NULLABLE_ARRAY, true, true },
	{ "01", ARRAY, true, true },
	{ "03 61", ARRAY, true, false },
	{ "ffffffff0f 61", ARRAY, true, false },
	{ "00", TAGS, true, true },
	{ "01 00 00", TAGS, true, true },
	{ "02 00 01 61 07 02 6161", TAGS, true, true },
	{ "01", TAGS, true, false },
	{ "01 00", TAGS, true, false },
	{ "01 00 01", TAGS, true, false },
	{ "01 00 ffffffff0f 61", TAGS, true, false },
	{ "ffffffff0f 00 00", TAGS, true, false },
	{ "", TAGS, false, true },
};

static void test_wire_lies(void)
{
	struct kbr_wire_reader r;
	u8 want[64], *bytes;
	size_t i, len;

	for (i = 0; i < COUNT(wire_lies); i++) {
		const struct wire_lie *lie = &wire_lies[i];

		tap_context("%s as %d", lie->bytes, lie->type);
		len = kbr_vector_bytes(lie->bytes, want, sizeof(want));
		bytes = unit_exact(want, len);
		kbr_wire_reader_init(&r, bytes, len, lie->flexible);
		switch (lie->type) {
		case STRING:
			kbr_get_string(&r);
			break;
		case NULLABLE_STRING:
			kbr_get_nullable_string(&r);
			break;
		case BYTES:
			kbr_get_bytes(&r);
			break;
		case NULLABLE_BYTES:
			kbr_get_nullable_bytes(&r);
			break;
		case ARRAY:
			kbr_get_count(&r);
			break;
		case NULLABLE_ARRAY:
			kbr_get_nullable_count(&r);
			break;
		case TAGS:
			kbr_get_tags(&r);
			break;
		}
		expect_eq(!r.bad, lie->ok);
		free(bytes);
	}
}

static void test_wire_copy(void)
{
	static const char text[] = "orders\0x";
	struct kbr_str str = { .at = text, .len = 6 };
	char to[7];

	expect_eq(kbr_str_copy(&str, to, sizeof(to)), 0);
	expect(!strcmp(to, "orders"));
	expect_eq(kbr_str_copy(&str, to, 6), -EMSGSIZE);
	str.len = 0;
	expect_eq(kbr_str_copy(&str, to, 1), 0);
	expect(!to[0]);
	str.len = -1;
	expect_eq(kbr_str_copy(&str, to, sizeof(to)), -EINVAL);
	str.at = text + 4;
	str.len = 4;
	expect_eq(kbr_str_copy(&str, to, sizeof(to)), -EINVAL);
}

/* A writer never exceeds its limit, grows as it likes below it, and stays bad */
static void test_wire_writer(void)
{
	static char longest[0x8001];
	struct kbr_wire_writer w;
	size_t max, i;
	u8 want[8];

	for (max = 0; max < 3000; max += 1 + max / 7) {
		tap_context("%zu", max);
		kbr_wire_writer_init(&w, max, false);
		for (i = 0; !w.err; i++)
			kbr_put_s32(&w, (s32)i);
		expect_eq(w.err, -EMSGSIZE);
		expect_eq(w.len, max / 4 * 4);
		expect(w.size <= max);
		kbr_put_s8(&w, 1);
		expect_eq(w.len, max / 4 * 4);
		for (i = 0; i < w.len; i += 4)
			expect_eq(w.buf[i] << 24 | w.buf[i + 1] << 16 | w.buf[i + 2] << 8 |
				  w.buf[i + 3], i / 4);
		kbr_wire_writer_free(&w);
	}

	/* what an int16 can't count */
	memset(longest, 'x', sizeof(longest) - 1);
	kbr_wire_writer_init(&w, SIZE_MAX, false);
	kbr_put_string(&w, longest);
	expect_eq(w.err, -EMSGSIZE);
	kbr_wire_writer_free(&w);
	kbr_wire_writer_init(&w, SIZE_MAX, true);
	kbr_put_string(&w, longest);
	expect_eq(w.err, 0);
	expect_eq(w.len, 3 + sizeof(longest) - 1);
	kbr_wire_writer_free(&w);

	kbr_wire_writer_init(&w, SIZE_MAX, false);
	kbr_put_s64(&w, 0);
	kbr_wire_writer_patch_s16(&w, 0, 0x0102);
	kbr_wire_writer_patch_s32(&w, 2, 0x03040506);
	kbr_wire_writer_patch_s16(&w, 6, 0x0708);
	kbr_vector_bytes("0102030405060708", want, sizeof(want));
	expect_bytes(w.buf, w.len, want, sizeof(want));
	kbr_wire_writer_patch_s64(&w, 0, -1);
	memset(want, 0xff, sizeof(want));
	expect_bytes(w.buf, w.len, want, sizeof(want));
	expect_eq(w.err, 0);
	kbr_wire_writer_patch_s32(&w, 5, 1);
	expect_eq(w.err, -EMSGSIZE);
	kbr_wire_writer_free(&w);
}

const struct tap_case wire_cases[] = {
	{ "wire: every type, both ways", test_wire_types },
	{ "wire: bytes put in between", test_wire_insert },
	{ "wire: open counts and tagged fields", test_wire_tags },
	{ "wire: cut at every byte", test_wire_cut },
	{ "wire: lengths that lie", test_wire_lies },
	{ "wire: strings are copied whole or not at all", test_wire_copy },
	{ "wire: a writer grows to its limit", test_wire_writer },
	{ NULL, NULL }
};
