// SPDX-License-Identifier: GPL-2.0-only
/*
 * Partitioners against what other clients compute.
 */
#include <errno.h>
#include <string.h>

#include <kbroker/kbroker.h>

#include "tap.h"

#define COUNT(a)	(sizeof(a) / sizeof((a)[0]))

/* As Java's and kafkajs' murmur2 give it, and the partition of 3 and of 12 */
static const struct {
	const char *key;
	uint32_t hash;
	uint32_t of_3;
	uint32_t of_12;
} murmur2_vectors[] = {
	{ "", 0x106e08d9, 0, 9 }, { "21", 0xc5f2f8ec, 0, 0 }, { "a", 0xa2d0b27c, 1, 4 },
	{ "foobar", 0xd0e47bbe, 0, 6 }, { "key1", 0x01b38bc4, 2, 8 },
	{ "hello world", 0x48d0c363, 1, 7 }, { "kafka", 0xd067cf64, 1, 4 },
	{ "user-12345", 0xf17c9f13, 1, 7 },
};

/* As librdkafka's default partitioner chooses */
static const struct {
	const char *key;
	uint32_t hash;
	uint32_t of_3;
	uint32_t of_12;
} crc32_vectors[] = {
	{ "a", 0xe8b7be43, 0, 3 }, { "key1", 0x2c5c6450, 1, 4 }, { "kafka", 0x5bbc7517, 2, 11 },
	{ "foobar", 0x9ef61f95, 2, 5 }, { "21", 0xfd7746b4, 1, 4 },
};

static void test_murmur2(void)
{
	size_t i;

	for (i = 0; i < COUNT(murmur2_vectors); i++) {
		const char *key = murmur2_vectors[i].key;

		tap_context("\"%s\"", key);
		expect_eq(kbroker_murmur2(key, strlen(key)), murmur2_vectors[i].hash);
		expect_eq(kbroker_partition_of(KBROKER_PARTITIONER_MURMUR2, key, strlen(key), 3),
			  murmur2_vectors[i].of_3);
		expect_eq(kbroker_partition_of(KBROKER_PARTITIONER_MURMUR2, key, strlen(key), 12),
			  murmur2_vectors[i].of_12);
	}
}

static void test_crc32(void)
{
	size_t i;

	for (i = 0; i < COUNT(crc32_vectors); i++) {
		const char *key = crc32_vectors[i].key;

		tap_context("\"%s\"", key);
		expect_eq(kbroker_crc32(key, strlen(key)), crc32_vectors[i].hash);
		expect_eq(kbroker_partition_of(KBROKER_PARTITIONER_CRC32, key, strlen(key), 3),
			  crc32_vectors[i].of_3);
		expect_eq(kbroker_partition_of(KBROKER_PARTITIONER_CRC32, key, strlen(key), 12),
			  crc32_vectors[i].of_12);
	}
}

static void test_names(void)
{
	static const char * const codecs[] = { "none", "gzip", "snappy", "lz4", "zstd" };
	int i;

	for (i = 0; kbroker_partitioner_name(i); i++)
		expect_eq(kbroker_partitioner_find(kbroker_partitioner_name(i)), i);
	expect_eq(i, 4);
	expect_eq(kbroker_partitioner_find("murmur2"), KBROKER_PARTITIONER_MURMUR2);
	expect_eq(kbroker_partitioner_find("random"), -EINVAL);
	expect(!kbroker_partitioner_name(-1));
	for (i = 0; i < 5; i++) {
		expect_eq(kbroker_codec_find(codecs[i]), i);
		expect(!strcmp(kbroker_codec_name(i), codecs[i]));
	}
	expect(!kbroker_codec_name(5));
	expect_eq(kbroker_codec_find("brotli"), -EINVAL);
}

const struct tap_case partitioner_cases[] = {
	{ "partitioner: murmur2 as Java and kafkajs", test_murmur2 },
	{ "partitioner: crc32 as librdkafka", test_crc32 },
	{ "partitioner: names, and those of codecs", test_names },
	{ NULL, NULL }
};
