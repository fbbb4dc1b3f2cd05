/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libkbroker: which partition a record goes to.
 */
#ifndef _KBROKER_PARTITIONER_H
#define _KBROKER_PARTITIONER_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * enum kbroker_partitioner - how a partition is chosen
 * @KBROKER_PARTITIONER_MURMUR2: the default: by the key as Java, kafkajs and
 *	franz-go do; without a key as STICKY
 * @KBROKER_PARTITIONER_CRC32: by the key as librdkafka does by default; without
 *	a key as STICKY
 * @KBROKER_PARTITIONER_STICKY: whatever the key, one partition until its batch
 *	is full or sent, then another one
 * @KBROKER_PARTITIONER_ROUND_ROBIN: whatever the key, each record to the next one
 */
enum kbroker_partitioner {
	KBROKER_PARTITIONER_MURMUR2 = 0,
	KBROKER_PARTITIONER_CRC32 = 1,
	KBROKER_PARTITIONER_STICKY = 2,
	KBROKER_PARTITIONER_ROUND_ROBIN = 3,
};

/** kbroker_partitioner_find() - partitioner named "murmur2", "crc32", "sticky" or "round-robin"; -EINVAL */
int kbroker_partitioner_find(const char *name);
/** kbroker_partitioner_name() - name of @partitioner; NULL if there is none */
const char *kbroker_partitioner_name(int partitioner);

/** kbroker_murmur2() - Kafka's murmur2 hash of a key */
uint32_t kbroker_murmur2(const void *key, size_t len);
/** kbroker_crc32() - CRC-32 (zlib's) of a key */
uint32_t kbroker_crc32(const void *key, size_t len);

/**
 * kbroker_partition_of() - partition of a key
 * @partitioner: KBROKER_PARTITIONER_MURMUR2 or KBROKER_PARTITIONER_CRC32
 * @key: the key
 * @len: bytes of @key
 * @partitions: partitions of the topic, at least 1
 */
uint32_t kbroker_partition_of(int partitioner, const void *key, size_t len, uint32_t partitions);

#ifdef __cplusplus
}
#endif

#endif /* _KBROKER_PARTITIONER_H */
