/* SPDX-License-Identifier: GPL-2.0-only OR LGPL-2.1-or-later */
/*
 * Batches as other clients wrote them, byte for byte: kafkajs, librdkafka 2.0
 * and Java producers (the commit marker alone is made by rule).
 *
 * Shared by the KUnit suite, the user-space tests and the fuzzers' corpus.
 * Bytes are written in hexadecimal, spaces and semicolons are ignored.
 */
#ifndef _KBR_TESTS_CODEC_VECTORS_H
#define _KBR_TESTS_CODEC_VECTORS_H

#include <linux/types.h>

#include "tests/vector_bytes.h"

/**
 * struct kbr_vector_record - what one record must decode to
 * @key: text; NULL for a null key
 * @value: text; NULL for a null value
 * @timestamp_delta: ms after the batch's base timestamp
 * @headers: number of headers
 */
struct kbr_vector_record {
	const char *key;
	const char *value;
	s64 timestamp_delta;
	u32 headers;
};

/**
 * struct kbr_vector - one batch and what it must decode to
 * @name: who wrote it
 * @batch: its bytes
 * @plain: its records when they are compressed in @batch, else NULL
 * @crc: CRC-32C
 * @size: bytes
 * @attributes: attributes
 * @producer_id: producer id
 * @base_sequence: sequence of the first record
 * @control: a control batch, which no client may send
 * @count: number of records
 * @records: the records
 */
struct kbr_vector {
	const char *name;
	const char *batch;
	const char *plain;
	u32 crc;
	u32 size;
	u16 attributes;
	s64 producer_id;
	s32 base_sequence;
	bool control;
	s32 count;
	struct kbr_vector_record records[2];
};

static const struct kbr_vector kbr_vectors[] = {
	{
		.name = "kafkajs, headers",
		.batch = "0000000000000000 0000005c 00000000 02 4940e789 0000 00000001;"
			 "0000018bcfe56800 0000018bcfe5692c ffffffffffffffff 0000 00000000 00000002;"
			 "34 00 00 00 08 6b657931 0c 76616c756531 04 04 6831 04 7631 04 6832 00;"
			 "1e 00 d804 02 04 6b32 0c 7365636f6e64 00",
		.crc = 0x4940e789, .size = 104, .producer_id = -1, .base_sequence = 0, .count = 2,
		.records = { { "key1", "value1", 0, 2 }, { "k2", "second", 300, 0 } },
	}, {
		.name = "kafkajs, null key and tombstone",
		.batch = "0000000000000000 00000049 00000000 02 21de47f3 0000 00000001;"
			 "0000018bcfe56800 0000018bcfe56801 ffffffffffffffff 0000 00000000 00000002;"
			 "18 00 00 00 01 0c 6e6f2d6b6579 00;"
			 "14 00 02 02 08 64656164 01 00",
		.crc = 0x21de47f3, .size = 85, .producer_id = -1, .base_sequence = 0, .count = 2,
		.records = { { NULL, "no-key", 0, 0 }, { "dead", NULL, 1, 0 } },
	}, {
		.name = "librdkafka, plain",
		.batch = "0000000000000000 00000045 00000000 02 872c7ddf 0000 00000000;"
			 "000001a2039f0487 000001a2039f0487 ffffffffffffffff ffff ffffffff 00000001;"
			 "26 00 00 00 01 1a 706c61696e2d72646b61666b61 00",
		.crc = 0x872c7ddf, .size = 81, .producer_id = -1, .base_sequence = -1, .count = 1,
		.records = { { NULL, "plain-rdkafka", 0, 0 } },
	}, {
		.name = "librdkafka, null header",
		.batch = "0000000000000000 00000068 00000000 02 3fa42b32 0000 00000001;"
			 "000001a2039f04d9 000001a2039f04d9 ffffffffffffffff ffff ffffffff 00000002;"
			 "32 00 00 00 02 61 02 31 04 0a 7472616365 06 616263 0a 656d707479 01;"
			 "38 00 00 02 02 62 08 4e554c4c 04 0a 7472616365 06 616263 0a 656d707479 01",
		.crc = 0x3fa42b32, .size = 116, .producer_id = -1, .base_sequence = -1, .count = 2,
		.records = { { "a", "1", 0, 2 }, { "b", "NULL", 0, 2 } },
	}, {
		.name = "kafkajs, gzip",
		.batch = "0000000000000000 00000053 00000000 02 ed5f9012 0001 00000000;"
			 "0000018bcfe56800 0000018bcfe56800 ffffffffffffffff 0000 00000000 00000001;"
			 "1f8b080000000000000333616060604a574bafca2c50402518004496bd6a1b000000",
		.plain = "34 00 00 00 02 67 26 677a697020677a697020677a697020677a6970 00",
		.crc = 0xed5f9012, .size = 95, .attributes = 1, .producer_id = -1, .base_sequence = 0,
		.count = 1, .records = { { "g", "gzip gzip gzip gzip", 0, 0 } },
	}, {
		.name = "librdkafka, lz4",
		.batch = "0000000000000000 00000057 00000000 02 07e57370 0003 00000000;"
			 "000001a2039f0496 000001a2039f0496 ffffffffffffffff ffff ffffffff 00000001;"
			 "04224d18 60 40 82 17000000 df66000000015a7265706561742007000f50206c7a3400;"
			 "00000000",
		.plain = "66 00 00 00 01 5a 726570656174 20726570656174 20726570656174;"
			 "20726570656174 20726570656174 20726570656174 206c7a34 00",
		.crc = 0x07e57370, .size = 99, .attributes = 3, .producer_id = -1,
		.base_sequence = -1, .count = 1,
		.records = { { NULL, "repeat repeat repeat repeat repeat repeat lz4", 0, 0 } },
	}, {
		.name = "librdkafka, snappy, bare",
		.batch = "0000000000000000 0000004b 00000000 02 d89eaf4b 0002 00000000;"
			 "000001a2039f04a7 000001a2039f04a7 ffffffffffffffff ffff ffffffff 00000001;"
			 "37306c0000000160726570656174208a070018736e6170707900",
		.plain = "6c 00 00 00 01 60 726570656174 20726570656174 20726570656174;"
			 "20726570656174 20726570656174 20726570656174 20736e61707079 00",
		.crc = 0xd89eaf4b, .size = 87, .attributes = 2, .producer_id = -1,
		.base_sequence = -1, .count = 1,
		.records = { { NULL, "repeat repeat repeat repeat repeat repeat snappy", 0, 0 } },
	}, {
		.name = "Java, snappy, xerial stream",
		.batch = "0000000000000000 0000005b ffffffff 02 068a588f 0002 00000000;"
			 "0000018bcfe56800 0000018bcfe56800 00000000000003ea 0000 00000000 00000001;"
			 "82534e4150505900 00000001 00000001 00000016;"
			 "233844000000086b657931306a617661204a05000000",
		.plain = "44 00 00 00 08 6b657931 30 6a617661206a617661206a617661206a617661206a617661;"
			 "00",
		.crc = 0x068a588f, .size = 103, .attributes = 2, .producer_id = 1002,
		.base_sequence = 0, .count = 1,
		.records = { { "key1", "java java java java java", 0, 0 } },
	}, {
		.name = "librdkafka, zstd",
		.batch = "0000000000000000 00000052 00000000 02 d92fe5b9 0004 00000000;"
			 "000001a2039f04b6 000001a2039f04b6 ffffffffffffffff ffff ffffffff 00000001;"
			 "28b52ffd0058c500009068000000015c726570656174207a73746400010044962f",
		.plain = "68 00 00 00 01 5c 726570656174 20726570656174 20726570656174;"
			 "20726570656174 20726570656174 20726570656174 207a737464 00",
		.crc = 0xd92fe5b9, .size = 94, .attributes = 4, .producer_id = -1,
		.base_sequence = -1, .count = 1,
		.records = { { NULL, "repeat repeat repeat repeat repeat repeat zstd", 0, 0 } },
	}, {
		.name = "kafkajs, idempotent, first",
		.batch = "0000000000000000 0000003f 00000000 02 ff3d3d72 0000 00000000;"
			 "0000018bcfe56800 0000018bcfe56800 00000000000003e9 0000 00000000 00000001;"
			 "1a 00 00 00 02 69 0c 6964656d2d30 00",
		.crc = 0xff3d3d72, .size = 75, .producer_id = 1001, .base_sequence = 0, .count = 1,
		.records = { { "i", "idem-0", 0, 0 } },
	}, {
		.name = "kafkajs, idempotent, second",
		.batch = "0000000000000000 0000003f 00000000 02 55a4e9e2 0000 00000000;"
			 "0000018bcfe56800 0000018bcfe56800 00000000000003e9 0000 00000001 00000001;"
			 "1a 00 00 00 02 69 0c 6964656d2d31 00",
		.crc = 0x55a4e9e2, .size = 75, .producer_id = 1001, .base_sequence = 1, .count = 1,
		.records = { { "i", "idem-1", 0, 0 } },
	}, {
		.name = "kafkajs, transactional",
		.batch = "0000000000000000 00000039 00000000 02 8d4b3133 0010 00000000;"
			 "0000018bcfe56800 0000018bcfe56800 00000000000003eb 0000 00000000 00000001;"
			 "0e 00 00 00 01 02 74 00",
		.crc = 0x8d4b3133, .size = 69, .attributes = 0x10, .producer_id = 1003,
		.base_sequence = 0, .count = 1,
		.records = { { NULL, "t", 0, 0 } },
	}, {
		.name = "commit marker",
		.batch = "0000000000000001 00000042 00000000 02 13428a1e 0030 00000000;"
			 "0000018bcfe569f4 0000018bcfe569f4 00000000000003eb 0000 ffffffff 00000001;"
			 "20 00 00 00 08 00000001 0c 000000000000 00",
		.crc = 0x13428a1e, .size = 78, .attributes = 0x30, .producer_id = 1003,
		.base_sequence = -1, .control = true, .count = 1,
	},
};

/* The first vector, stored at offset 1000 in epoch 5, then stamped with LogAppendTime */
#define KBR_VECTOR_STAMPED_PREFIX	"00000000000003e8 0000005c 00000005 02 4940e789"
#define KBR_VECTOR_APPEND_TIME		1700000005000LL
#define KBR_VECTOR_APPEND_TIME_HEADER	"cde7db96 0008 00000001 0000018bcfe56800 0000018bcfe57b88"

/* Varints: a value and its bytes */
struct kbr_varint_vector {
	s64 val;
	const char *bytes;
};

static const struct kbr_varint_vector kbr_varint_vectors[] = {
	{ 0, "00" }, { -1, "01" }, { 1, "02" }, { -2, "03" }, { 63, "7e" }, { -64, "7f" },
	{ 64, "8001" }, { -65, "8101" }, { 300, "d804" }, { -300, "d704" },
	{ 8191, "fe7f" }, { -8192, "ff7f" }, { 8192, "808001" }, { 1048575, "feff7f" },
	{ 1048576, "80808001" }, { 134217727, "feffff7f" }, { 134217728, "8080808001" },
	{ 2147483647, "feffffff0f" }, { -2147483648LL, "ffffffff0f" },
};

static const struct kbr_varint_vector kbr_varlong_vectors[] = {
	{ 2147483648LL, "8080808010" }, { -2147483649LL, "8180808010" },
	{ 1700000000000LL, "80a0abfef962" },
	{ 9223372036854775807LL, "feffffffffffffffff01" },
	{ -9223372036854775807LL - 1, "ffffffffffffffffff01" },
};

/* What no varint decoder may take: cut, too long, overflowing */
static const char * const kbr_varint_bad[] = {
	"", "80", "8080", "808080", "80808080", "8080808010", "ffffffff1f", "ffffffffff",
	"8080808080", "808080808000", "ffffffffff01",
};

static const char * const kbr_varlong_bad[] = {
	"", "80", "808080808080808080", "80808080808080808002", "ffffffffffffffffff7f",
	"8080808080808080808000", "ffffffffffffffffffff01",
};

#endif /* _KBR_TESTS_CODEC_VECTORS_H */
