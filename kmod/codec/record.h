/* SPDX-License-Identifier: GPL-2.0-only OR LGPL-2.1-or-later */
/*
 * Records inside a batch: walk them, and build batches from them.
 */
#ifndef _KBR_CODEC_RECORD_H
#define _KBR_CODEC_RECORD_H

#include <linux/types.h>
#include "codec/batch.h"

/**
 * struct kbr_record - one record; pointers go into the buffer that was walked
 * @offset: absolute offset
 * @timestamp: ms (append time where the batch says so)
 * @key: key bytes, NULL for a null key
 * @value: value bytes, NULL for a null value (tombstone)
 * @headers: encoded headers, @headers_len bytes (walk with kbr_header_next())
 * @key_len: bytes, 0 for null
 * @value_len: bytes, 0 for null
 * @headers_len: bytes of @headers
 * @headers_count: number of headers
 * @offset_delta: offset minus the batch's base offset
 */
struct kbr_record {
	s64 offset;
	s64 timestamp;
	const u8 *key;
	const u8 *value;
	const u8 *headers;
	u32 key_len;
	u32 value_len;
	u32 headers_len;
	u32 headers_count;
	s32 offset_delta;
};

/**
 * struct kbr_record_iter - walks the uncompressed records of one batch
 * @batch: header
 * @pos: next byte
 * @end: end of the records
 * @left: records not yet returned
 * @last_delta: offset delta of the record last returned, -1 before the first
 */
struct kbr_record_iter {
	struct kbr_batch batch;
	const u8 *pos;
	const u8 *end;
	s32 left;
	s32 last_delta;
};

/**
 * kbr_record_iter_init() - start a walk
 * @it: iterator
 * @batch: the decoded header (copied)
 * @records: the records, uncompressed; must stay until the walk ends
 * @len: bytes at @records
 */
void kbr_record_iter_init(struct kbr_record_iter *it, const struct kbr_batch *batch,
			  const void *records, size_t len);

/**
 * kbr_record_next() - the next record
 *
 * Every length is checked against the record and the buffer. Compacted
 * batches (gaps in the offset deltas) are accepted if the deltas rise and stay
 * within the batch's. Bytes left over after the last record are damage too.
 * After -EBADMSG the walk stays where it is.
 *
 * Return: 1 with @rec filled; 0 at the end; -EBADMSG.
 */
int kbr_record_next(struct kbr_record_iter *it, struct kbr_record *rec);

/**
 * struct kbr_header - one record header
 * @key: UTF-8 name, never NULL
 * @value: value, NULL for null
 * @key_len: bytes
 * @value_len: bytes
 */
struct kbr_header {
	const u8 *key;
	const u8 *value;
	u32 key_len;
	u32 value_len;
};

/** kbr_header_next() - decode the header at *@pos and advance; 1, 0 at @end, or -EBADMSG */
int kbr_header_next(const u8 **pos, const u8 *end, struct kbr_header *header);

/**
 * struct kbr_batch_builder - builds one uncompressed batch in a caller's buffer
 * @buf: start of the batch
 * @size: bytes of @buf
 * @len: bytes used, header included
 * @count: records added
 * @base_timestamp: timestamp of the first record
 * @max_timestamp: largest timestamp
 */
struct kbr_batch_builder {
	u8 *buf;
	size_t size;
	size_t len;
	s32 count;
	s64 base_timestamp;
	s64 max_timestamp;
};

/** kbr_batch_builder_init() - start a batch in @buf of @size bytes (>= KBR_BATCH_HEADER_LEN) */
void kbr_batch_builder_init(struct kbr_batch_builder *bld, void *buf, size_t size);

/** kbr_record_size() - bytes that @rec takes in a batch as record number @delta with timestamp delta @ts_delta */
size_t kbr_record_size(const struct kbr_record *rec, s32 delta, s64 ts_delta);

/**
 * kbr_batch_builder_add() - append one record (its offset fields are ignored)
 *
 * Return: 0; -ENOSPC if it does not fit (nothing changed: finish this batch
 * and start another); -EINVAL for lengths beyond the format's.
 */
int kbr_batch_builder_add(struct kbr_batch_builder *bld, const struct kbr_record *rec);

/** kbr_batch_builder_finish() - write the header and the CRC; returns the batch's size. @bld must hold a record. */
size_t kbr_batch_builder_finish(struct kbr_batch_builder *bld);
/** kbr_batch_builder_close() - kbr_batch_builder_finish(), with the header in @batch, too (its crc is not set) */
size_t kbr_batch_builder_close(struct kbr_batch_builder *bld, struct kbr_batch *batch);

#endif /* _KBR_CODEC_RECORD_H */
