// SPDX-License-Identifier: GPL-2.0-only
/*
 * Decompression: every form that clients write, damaged anywhere, cut anywhere,
 * and too large.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "codec/compress.h"
#include "codec/unpack.h"
#include "tap.h"
#include "tests/codec_packed.h"
#include "tests/codec_vectors.h"
#include "unit.h"

#define COUNT(a)	(sizeof(a) / sizeof((a)[0]))

/* Text that compresses, with some noise in it */
static u8 *some_plain(size_t len)
{
	static const char * const words[] = {
		"order", "payment", "shipped", "2023-11-14T22:13:20Z", "{\"id\":", "}", " ", "\n",
	};
	u8 *plain = malloc(len + 1);
	size_t at = 0;

	while (at < len) {
		const char *word = words[tap_random_below(8)];
		size_t n = strlen(word);

		if (tap_random_below(20) == 0) {
			plain[at++] = tap_random();
			continue;
		}
		if (n > len - at)
			n = len - at;
		memcpy(plain + at, word, n);
		at += n;
	}
	return plain;
}

static int unpack(enum kbr_codec codec, const u8 *packed, size_t len, size_t max,
		  struct kbr_unpacked *u)
{
	struct kbr_batch b;
	size_t size;
	u8 *buf = unit_batch(codec, 1, packed, len, &size);
	int ret;

	kbr_batch_decode(&b, buf, size);
	ret = kbr_unpack(&b, buf, max, u);
	free(buf);
	return ret;
}

static void test_forms(void)
{
	static const size_t sizes[] = { 0, 1, 15, 16, 100, 4096, 65535, 65536, 65537, 300000, 5000000 };
	struct kbr_unpacked u;
	size_t i, packed_len;
	u8 *plain, *packed;
	int form;

	for (form = 0; form < UNIT_FORMS; form++) {
		for (i = 0; i < COUNT(sizes); i++) {
			tap_context("%s, %zu bytes", unit_form_name(form), sizes[i]);
			plain = some_plain(sizes[i]);
			packed = unit_pack(form, plain, sizes[i], &packed_len);
			if (expect_eq(unpack(unit_form_codec(form), packed, packed_len,
					     KBR_UNPACKED_BYTES_MAX, &u), 0)) {
				expect_bytes(u.data, u.len, plain, sizes[i]);
				kbr_unpacked_release(&u);
			}
			/* room for exactly that is enough, one byte less is not */
			if (expect_eq(unpack(unit_form_codec(form), packed, packed_len, sizes[i],
					     &u), 0))
				kbr_unpacked_release(&u);
			if (sizes[i])
				expect_eq(unpack(unit_form_codec(form), packed, packed_len,
						 sizes[i] - 1, &u), -EFBIG);
			free(packed);
			free(plain);
		}
	}
}

/* Damage: an error, or what a format without a checksum makes of it; no more */
static void test_damaged(void)
{
	struct kbr_unpacked u;
	size_t packed_len, bit;
	u8 *plain = some_plain(700), *packed;
	int form, ret;

	for (form = 0; form < UNIT_FORMS; form++) {
		packed = unit_pack(form, plain, 700, &packed_len);
		for (bit = 0; bit < packed_len * 8; bit++) {
			packed[bit / 8] ^= 1 << bit % 8;
			tap_context("%s, bit %zu", unit_form_name(form), bit);
			ret = unpack(unit_form_codec(form), packed, packed_len, 100000, &u);
			expect(ret == 0 || ret == -EBADMSG || ret == -EFBIG);
			if (!ret) {
				expect(u.len <= 100000);
				kbr_unpacked_release(&u);
			}
			packed[bit / 8] ^= 1 << bit % 8;
		}
		free(packed);
	}
	free(plain);
}

/* The forms with a checksum over the contents let no damage of them through */
static void test_checksums(void)
{
	static const enum unit_form checked[] = { UNIT_GZIP, UNIT_GZIP_STORED, UNIT_LZ4_LINKED,
						  UNIT_ZSTD_STREAM };
	struct kbr_unpacked u;
	size_t packed_len, bit, i;
	u8 *plain = some_plain(700), *packed;

	for (i = 0; i < COUNT(checked); i++) {
		packed = unit_pack(checked[i], plain, 700, &packed_len);
		/* past the longest header: gzip's time and system mean nothing */
		for (bit = 15 * 8; bit < packed_len * 8; bit++) {
			packed[bit / 8] ^= 1 << bit % 8;
			tap_context("%s, bit %zu", unit_form_name(checked[i]), bit);
			if (!unpack(unit_form_codec(checked[i]), packed, packed_len, 100000, &u)) {
				/* a checksum can't tell what makes no difference */
				expect_bytes(u.data, u.len, plain, 700);
				kbr_unpacked_release(&u);
			}
			packed[bit / 8] ^= 1 << bit % 8;
		}
		free(packed);
	}
	free(plain);
}

static void test_cut(void)
{
	struct kbr_unpacked u;
	size_t packed_len, cut;
	u8 *plain = some_plain(70000), *packed;
	int form;

	for (form = 0; form < UNIT_FORMS; form++) {
		packed = unit_pack(form, plain, form == UNIT_SNAPPY_XERIAL ? 70000 : 700, &packed_len);
		for (cut = 1; cut < packed_len; cut += packed_len > 2000 ? 37 : 1) {
			int ret;

			tap_context("%s at %zu", unit_form_name(form), cut);
			ret = unpack(unit_form_codec(form), packed, cut, 100000, &u);
			/* a cut may leave whole frames; a wrong length may look huge */
			if (!ret) {
				expect(form == UNIT_ZSTD_FRAMES || form == UNIT_SNAPPY_XERIAL);
				expect(u.len < 70000);
				kbr_unpacked_release(&u);
			} else {
				expect(ret == -EBADMSG || (ret == -EFBIG &&
							   unit_form_codec(form) == KBR_CODEC_GZIP));
			}
		}
		free(packed);
	}
	free(plain);
}

static void test_trailing(void)
{
	struct kbr_unpacked u;
	size_t packed_len;
	u8 *plain = some_plain(700), *packed, *longer;
	int form, ret;

	for (form = 0; form < UNIT_FORMS; form++) {
		packed = unit_pack(form, plain, 700, &packed_len);
		longer = malloc(packed_len + 1);
		memcpy(longer, packed, packed_len);
		longer[packed_len] = 0;
		tap_context("%s", unit_form_name(form));
		ret = unpack(unit_form_codec(form), longer, packed_len + 1, 100000, &u);
		/* gzip's last word is then another one */
		expect(ret == -EBADMSG || (ret == -EFBIG && unit_form_codec(form) == KBR_CODEC_GZIP));
		free(longer);
		free(packed);
	}
	free(plain);
}

struct bad_form {
	const char *name;
	enum kbr_codec codec;
	const char *bytes;
	int err;
};

/* The frames of vectors, with one thing wrong in each; sizes that lie */
static const struct bad_form bad_forms[] = {
	{ "gzip: nothing", KBR_CODEC_GZIP, "", -EBADMSG },
	{ "gzip: method", KBR_CODEC_GZIP,
	  "1f8b070000000000000333616060604a574bafca2c50402518004496bd6a1b000000", -EBADMSG },
	{ "gzip: reserved flag", KBR_CODEC_GZIP,
	  "1f8b082000000000000333616060604a574bafca2c50402518004496bd6a1b000000", -EBADMSG },
	{ "gzip: checksum", KBR_CODEC_GZIP,
	  "1f8b080000000000000333616060604a574bafca2c50402518004596bd6a1b000000", -EBADMSG },
	{ "gzip: size too small", KBR_CODEC_GZIP,
	  "1f8b080000000000000333616060604a574bafca2c50402518004496bd6a1a000000", -EBADMSG },
	{ "gzip: size too large", KBR_CODEC_GZIP,
	  "1f8b080000000000000333616060604a574bafca2c50402518004496bd6a1c000000", -EBADMSG },
	{ "gzip: size impossible", KBR_CODEC_GZIP,
	  "1f8b080000000000000333616060604a574bafca2c50402518004496bd6affffffff", -EBADMSG },
	{ "gzip: extra field beyond the end", KBR_CODEC_GZIP,
	  "1f8b08040000000000030001 33616060604a574bafca2c50402518004496bd6a1b000000", -EBADMSG },
	{ "gzip: name without end", KBR_CODEC_GZIP,
	  "1f8b08080000000000033361606060 4a574bafca2c50402518 4496bd6a1b000000", -EBADMSG },
	{ "gzip: two members", KBR_CODEC_GZIP,
	  "1f8b080000000000000333616060604a574bafca2c50402518004496bd6a1b000000;"
	  "1f8b080000000000000333616060604a574bafca2c50402518004496bd6a1b000000", -EBADMSG },
	{ "snappy: nothing", KBR_CODEC_SNAPPY, "", -EBADMSG },
	{ "snappy: length too small", KBR_CODEC_SNAPPY,
	  "36306c0000000160726570656174208a070018736e6170707900", -EBADMSG },
	{ "snappy: length too large", KBR_CODEC_SNAPPY,
	  "38306c0000000160726570656174208a070018736e6170707900", -EBADMSG },
	{ "snappy: length impossible", KBR_CODEC_SNAPPY, "ffffffff0f 00 61", -EBADMSG },
	{ "snappy: length of 6 bytes", KBR_CODEC_SNAPPY, "ffffffffff00 00 61", -EBADMSG },
	{ "snappy: length over 32 bits", KBR_CODEC_SNAPPY, "ffffffff1f 00 61", -EBADMSG },
	{ "snappy: copy from before the start", KBR_CODEC_SNAPPY, "05 00 61 01 02", -EBADMSG },
	{ "snappy: copy from offset 0", KBR_CODEC_SNAPPY, "05 00 61 01 00", -EBADMSG },
	{ "snappy: copy over the end", KBR_CODEC_SNAPPY, "04 00 61 01 01", -EBADMSG },
	{ "snappy: copy 1 cut", KBR_CODEC_SNAPPY, "05 00 61 01", -EBADMSG },
	{ "snappy: copy 2 cut", KBR_CODEC_SNAPPY, "05 00 61 0e 01", -EBADMSG },
	{ "snappy: copy 4 cut", KBR_CODEC_SNAPPY, "05 00 61 0f 010000", -EBADMSG },
	{ "snappy: literal over the end", KBR_CODEC_SNAPPY, "02 08 616263", -EBADMSG },
	{ "snappy: literal cut", KBR_CODEC_SNAPPY, "08 1c 616263", -EBADMSG },
	{ "snappy: long literal's length cut", KBR_CODEC_SNAPPY, "08 fc 0100", -EBADMSG },
	{ "snappy: literal of 4 GiB", KBR_CODEC_SNAPPY, "08 fc ffffffff 61", -EBADMSG },
	{ "xerial: header cut", KBR_CODEC_SNAPPY, "82534e4150505900 00000001 000000", -EBADMSG },
	{ "xerial: for later readers only", KBR_CODEC_SNAPPY,
	  "82534e4150505900 00000002 00000002 00000003 01 00 61", -EBADMSG },
	{ "xerial: block length cut", KBR_CODEC_SNAPPY, "82534e4150505900 00000001 00000001 000000",
	  -EBADMSG },
	{ "xerial: block cut", KBR_CODEC_SNAPPY, "82534e4150505900 00000001 00000001 00000004 01 00 61",
	  -EBADMSG },
	{ "xerial: block length negative", KBR_CODEC_SNAPPY,
	  "82534e4150505900 00000001 00000001 80000003 01 00 61", -EBADMSG },
	{ "xerial: empty block", KBR_CODEC_SNAPPY, "82534e4150505900 00000001 00000001 00000000",
	  -EBADMSG },
	{ "lz4: nothing", KBR_CODEC_LZ4, "", -EBADMSG },
	{ "lz4: magic", KBR_CODEC_LZ4, "05224d18 60 40 82 00000000", -EBADMSG },
	{ "lz4: version", KBR_CODEC_LZ4, "04224d18 a0 40 82 00000000", -EBADMSG },
	{ "lz4: dictionary", KBR_CODEC_LZ4, "04224d18 61 40 82 00000000", -EBADMSG },
	{ "lz4: block size 3", KBR_CODEC_LZ4, "04224d18 60 30 82 00000000", -EBADMSG },
	{ "lz4: header checksum", KBR_CODEC_LZ4, "04224d18 60 40 83 00000000", -EBADMSG },
	{ "lz4: end mark missing", KBR_CODEC_LZ4,
	  "04224d18 60 40 82 17000000 df66000000015a7265706561742007000f50206c7a3400", -EBADMSG },
	{ "lz4: block cut", KBR_CODEC_LZ4, "04224d18 60 40 82 17000000 df66000000015a", -EBADMSG },
	{ "lz4: block over its maximum", KBR_CODEC_LZ4, "04224d18 60 40 82 01000180 00000000", -EBADMSG },
	{ "lz4: match before the start", KBR_CODEC_LZ4,
	  "04224d18 60 40 82 08000000 10 61 0900 30 616263 00000000", -EBADMSG },
	{ "lz4: match at offset 0", KBR_CODEC_LZ4,
	  "04224d18 60 40 82 0d000000 10 61 0000 80 6162636465666768 00000000", -EBADMSG },
	{ "lz4: length without end", KBR_CODEC_LZ4,
	  "04224d18 60 40 82 05000000 f0 ffffffff 00000000", -EBADMSG },
	{ "lz4: literals beyond the block", KBR_CODEC_LZ4,
	  "04224d18 60 40 82 05000000 f0 10 616263 00000000", -EBADMSG },
	{ "lz4: ends with a match", KBR_CODEC_LZ4, "04224d18 60 40 82 04000000 10 61 0100 00000000",
	  -EBADMSG },
	{ "zstd: magic", KBR_CODEC_ZSTD, "29b52ffd 00 58 010000", -EBADMSG },
	{ "zstd: reserved bit", KBR_CODEC_ZSTD, "28b52ffd 08 58 010000", -EBADMSG },
	{ "zstd: dictionary", KBR_CODEC_ZSTD, "28b52ffd 01 58 07 010000", -EBADMSG },
	{ "zstd: header cut", KBR_CODEC_ZSTD, "28b52ffd", -EBADMSG },
	{ "zstd: window cut", KBR_CODEC_ZSTD, "28b52ffd 00", -EBADMSG },
	{ "zstd: size cut", KBR_CODEC_ZSTD, "28b52ffd a0 000000", -EBADMSG },
	{ "zstd: block header cut", KBR_CODEC_ZSTD, "28b52ffd 00 58 0100", -EBADMSG },
	{ "zstd: block type 3", KBR_CODEC_ZSTD, "28b52ffd 00 58 070000", -EBADMSG },
	{ "zstd: block over its maximum", KBR_CODEC_ZSTD, "28b52ffd 20 04 2b0000 61", -EBADMSG },
	{ "zstd: block cut", KBR_CODEC_ZSTD, "28b52ffd 00 58 290000 61", -EBADMSG },
	{ "zstd: size beyond its blocks", KBR_CODEC_ZSTD, "28b52ffd 20 04 1b0000 61", -EBADMSG },
	{ "zstd: size below its blocks", KBR_CODEC_ZSTD, "28b52ffd 20 04 230000 61 1b0000 61", -EBADMSG },
	{ "zstd: checksum cut", KBR_CODEC_ZSTD, "28b52ffd 24 04 230000 61 0000", -EBADMSG },
	{ "zstd: checksum", KBR_CODEC_ZSTD, "28b52ffd 24 04 230000 61 00000000", -EBADMSG },
	{ "zstd: skippable frame cut", KBR_CODEC_ZSTD, "502a4d18 05000000 61", -EBADMSG },
	{ "codec 6", 6, "00", -EOPNOTSUPP },
};

static void test_bad_forms(void)
{
	struct kbr_unpacked u;
	u8 bytes[128];
	size_t i, len;

	for (i = 0; i < COUNT(bad_forms); i++) {
		tap_context("%s", bad_forms[i].name);
		len = kbr_vector_bytes(bad_forms[i].bytes, bytes, sizeof(bytes));
		if (!expect_eq(unpack(bad_forms[i].codec, bytes, len, 65536, &u), bad_forms[i].err))
			kbr_unpacked_release(&u);
	}
}

/*
 * Bombs: a little that becomes more than is allowed, for each form; and the
 * ones whose announced sizes lie about it.
 */
static void test_bombs(void)
{
	size_t len = 8 << 20, packed_len, i;
	u8 *zeros = calloc(1, len), *packed;
	u8 tiny[2000] = { 0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x58 };
	struct kbr_unpacked u;
	int form;

	for (form = 0; form < UNIT_FORMS; form++) {
		tap_context("%s", unit_form_name(form));
		packed = unit_pack(form, zeros, len, &packed_len);
		expect_eq(unpack(unit_form_codec(form), packed, packed_len, len - 1, &u), -EFBIG);
		expect_eq(unpack(unit_form_codec(form), packed, packed_len, 1000, &u), -EFBIG);
		if (expect_eq(unpack(unit_form_codec(form), packed, packed_len, len, &u), 0)) {
			expect_bytes(u.data, u.len, zeros, len);
			kbr_unpacked_release(&u);
		}
		free(packed);
	}
	free(zeros);

	/* zstd: 400 blocks of 128 KiB each from 4 bytes, of unknown size */
	tap_context("zstd, run-length blocks");
	for (i = 0; i < 400; i++)
		memcpy(tiny + 6 + 4 * i, i == 399 ? "\x03\x00\x10\x61" : "\x02\x00\x10\x61", 4);
	expect_eq(unpack(KBR_CODEC_ZSTD, tiny, 6 + 4 * 400, KBR_UNPACKED_BYTES_MAX, &u), -EFBIG);

	/* gzip: the trailer says less than there is */
	tap_context("gzip, lying trailer");
	zeros = calloc(1, 100000);
	packed = unit_pack(UNIT_GZIP, zeros, 100000, &packed_len);
	memset(packed + packed_len - 4, 0, 4);
	expect_eq(unpack(KBR_CODEC_GZIP, packed, packed_len, 1000, &u), -EBADMSG);
	free(packed);
	free(zeros);
}

/* Snappy's decoder alone: longer literals, all copies, overlapping ones */
static void test_snappy(void)
{
	u8 bytes[64], out[64];
	size_t len;

	len = kbr_vector_bytes("0a 08 616263 0503 0e0600", bytes, sizeof(bytes));
	/* "abc", 5 of offset 3, 4 of offset 6: abc abcab cabc */
	bytes[0] = 12;
	expect_eq(kbr_snappy_length(bytes, len), 12);
	expect_eq(kbr_snappy_decode(bytes, len, out, sizeof(out)), 12);
	expect_bytes(out, 12, "abcabcabcabc", 12);
	expect_eq(kbr_snappy_decode(bytes, len, out, 11), -EFBIG);

	len = kbr_vector_bytes("0b 00 61 1101 0b01000000", bytes, sizeof(bytes));
	/* "a", 8 of offset 1, 3 of offset 1 in four bytes */
	bytes[0] = 12;
	expect_eq(kbr_snappy_decode(bytes, len, out, sizeof(out)), 12);
	expect_bytes(out, 12, "aaaaaaaaaaaa", 12);

	len = kbr_vector_bytes("03 f0 02 616263", bytes, sizeof(bytes));
	expect_eq(kbr_snappy_decode(bytes, len, out, sizeof(out)), 3);
	expect_bytes(out, 3, "abc", 3);
	len = kbr_vector_bytes("00", bytes, sizeof(bytes));
	expect_eq(kbr_snappy_decode(bytes, len, out, 0), 0);
}

static void test_xxh32(void)
{
	/* from xxHash's own description: no bytes, then one bit each of the tail's ways */
	expect_eq(kbr_lib_xxh32((const u8 *)"", 0), 0x02cc5d05);
	expect_eq(kbr_lib_xxh32((const u8 *)"a", 1), 0x550d7456);
	expect_eq(kbr_lib_xxh32((const u8 *)"abc", 3), 0x32d153ff);
	expect_eq(kbr_lib_xxh32((const u8 *)"abcdefghijklmnopqrstuvwxyz", 26), 0x63a14d5f);
}

/* The data made for the kernel's tests is what they take it for */
static void test_packed(void)
{
	struct kbr_unpacked u;
	size_t i, at;

	expect_eq(COUNT(kbr_packed), UNIT_FORMS);
	for (i = 0; i < COUNT(kbr_packed); i++) {
		const struct kbr_packed *packed = &kbr_packed[i];

		tap_context("%s", packed->name);
		if (!expect_eq(unpack(packed->codec, packed->bytes, packed->len,
				      packed->plain_len, &u), 0))
			continue;
		expect_eq(u.len, packed->plain_len);
		for (at = 0; at < u.len; at++)
			if (!expect_eq(u.data[at], kbr_packed_plain(at)))
				break;
		kbr_unpacked_release(&u);
	}
}

const struct tap_case unpack_cases[] = {
	{ "unpack: every form at every size, bounded", test_forms },
	{ "unpack: each bit of each form damaged", test_damaged },
	{ "unpack: checksums of the contents are compared", test_checksums },
	{ "unpack: cut anywhere", test_cut },
	{ "unpack: bytes after the end", test_trailing },
	{ "unpack: frames with one thing wrong", test_bad_forms },
	{ "unpack: bombs", test_bombs },
	{ "unpack: the kernel's test data", test_packed },
	{ "snappy: all elements", test_snappy },
	{ "xxh32: known values", test_xxh32 },
	{ NULL, NULL }
};
