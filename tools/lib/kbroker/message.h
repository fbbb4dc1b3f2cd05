/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libkbroker: one record as programs see it, and its headers.
 */
#ifndef _KBROKER_MESSAGE_H
#define _KBROKER_MESSAGE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/** KBROKER_PARTITION_ANY - produce: the partitioner chooses */
#define KBROKER_PARTITION_ANY	(-1)
/**
 * KBROKER_TIME_NOW - produce: the library stamps the record
 *
 * A producer stamps the first record of a batch exactly and the others as of the
 * clock's last tick, never earlier than the first.
 */
#define KBROKER_TIME_NOW	INT64_MIN

/**
 * struct kbroker_message - one record
 * @key: its key; NULL for a null key
 * @key_len: bytes of @key
 * @value: its value; NULL for a null value (a tombstone on compacted topics)
 * @value_len: bytes of @value
 * @headers: its headers, encoded (kbroker_header_encode(), kbroker_header_next());
 *	what was consumed can be produced again as it is
 * @headers_len: bytes of @headers
 * @headers_count: number of headers
 * @partition: its partition, or KBROKER_PARTITION_ANY
 * @offset: consume: its offset; ignored by produce
 * @timestamp: ms since the epoch, -1 none; produce: or KBROKER_TIME_NOW
 * @leader_epoch: consume: leader epoch of its batch; ignored by produce
 *
 * What the pointers point to belongs to whoever filled the structure.
 */
struct kbroker_message {
	const void *key;
	size_t key_len;
	const void *value;
	size_t value_len;
	const void *headers;
	size_t headers_len;
	uint32_t headers_count;
	int32_t partition;
	int64_t offset;
	int64_t timestamp;
	int32_t leader_epoch;
};

/** KBROKER_MESSAGE_INIT - a message with neither key nor value, any partition, stamped when produced */
#define KBROKER_MESSAGE_INIT \
	{ .partition = KBROKER_PARTITION_ANY, .offset = -1, .timestamp = KBROKER_TIME_NOW, .leader_epoch = -1 }

/**
 * struct kbroker_message_header - one header, decoded
 * @key: its name: UTF-8, not ended by a zero
 * @key_len: bytes of @key
 * @value: its value; NULL for null
 * @value_len: bytes of @value
 */
struct kbroker_message_header {
	const char *key;
	size_t key_len;
	const void *value;
	size_t value_len;
};

/**
 * kbroker_header_next() - decode the next header of a message
 * @message: the message
 * @pos: where to go on; 0 at first
 * @header: result, pointing into the message
 *
 * Return: 1; 0 after the last one; -EBADMSG.
 */
int kbroker_header_next(const struct kbroker_message *message, size_t *pos,
			struct kbroker_message_header *header);

/**
 * kbroker_header_encode() - append a header to a buffer for message->headers
 * @buf: where to write; NULL only counts
 * @size: room at @buf
 * @header: the header
 *
 * Return: bytes written (or needed, if @buf is NULL); -ENOSPC; -EINVAL for a
 * NULL key or lengths beyond 100 MiB.
 */
ssize_t kbroker_header_encode(void *buf, size_t size, const struct kbroker_message_header *header);

#ifdef __cplusplus
}
#endif

#endif /* _KBROKER_MESSAGE_H */
