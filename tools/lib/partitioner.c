// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Hashes of keys, and what becomes of them: the choices of other clients, so
 * that a key's records stay together whoever produces them.
 */
#include <errno.h>
#include <string.h>
#include <zlib.h>

#include <kbroker/partitioner.h>

static const char * const kbl_partitioner_names[] = {
	[KBROKER_PARTITIONER_MURMUR2] = "murmur2",
	[KBROKER_PARTITIONER_CRC32] = "crc32",
	[KBROKER_PARTITIONER_STICKY] = "sticky",
	[KBROKER_PARTITIONER_ROUND_ROBIN] = "round-robin",
};

#define KBL_PARTITIONERS	(sizeof(kbl_partitioner_names) / sizeof(kbl_partitioner_names[0]))

int kbroker_partitioner_find(const char *name)
{
	size_t i;

	for (i = 0; i < KBL_PARTITIONERS; i++)
		if (!strcmp(name, kbl_partitioner_names[i]))
			return (int)i;
	return -EINVAL;
}

const char *kbroker_partitioner_name(int partitioner)
{
	if (partitioner < 0 || (size_t)partitioner >= KBL_PARTITIONERS)
		return NULL;
	return kbl_partitioner_names[partitioner];
}

/* 32-bit MurmurHash2 with the seed of Kafka's Java client */
uint32_t kbroker_murmur2(const void *key, size_t len)
{
	const uint32_t m = 0x5bd1e995;
	const unsigned char *p = key;
	uint32_t hash = 0x9747b28cu ^ (uint32_t)len;

	for (; len >= 4; len -= 4, p += 4) {
		uint32_t k = p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;

		k *= m;
		k ^= k >> 24;
		k *= m;
		hash = hash * m ^ k;
	}
	if (len) {
		if (len == 3)
			hash ^= (uint32_t)p[2] << 16;
		if (len >= 2)
			hash ^= (uint32_t)p[1] << 8;
		hash = (hash ^ p[0]) * m;
	}
	hash = (hash ^ hash >> 13) * m;
	return hash ^ hash >> 15;
}

uint32_t kbroker_crc32(const void *key, size_t len)
{
	return (uint32_t)crc32_z(0, key, len);
}

uint32_t kbroker_partition_of(int partitioner, const void *key, size_t len, uint32_t partitions)
{
	if (partitioner == KBROKER_PARTITIONER_CRC32)
		return kbroker_crc32(key, len) % partitions;
	/* Java masks the sign away */
	return (kbroker_murmur2(key, len) & 0x7fffffff) % partitions;
}
