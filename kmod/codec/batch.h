/* SPDX-License-Identifier: GPL-2.0-only OR LGPL-2.1-or-later */
/*
 * The record batch, Kafka's message format v2: the unit of append, checksum,
 * compression, replication, of everything on disk and on the wire.
 *
 * Pure functions over one contiguous buffer; see record.h for what is inside
 * and compress.h for compressed batches.
 */
#ifndef _KBR_CODEC_BATCH_H
#define _KBR_CODEC_BATCH_H

#include <linux/types.h>

#define KBR_BATCH_HEADER_LEN	61
/* base offset and length, which the length field does not count */
#define KBR_BATCH_PREFIX_LEN	12
#define KBR_BATCH_LENGTH_MIN	(KBR_BATCH_HEADER_LEN - KBR_BATCH_PREFIX_LEN)
/* the CRC covers everything from the attributes to the end */
#define KBR_BATCH_CRC_START	21
#define KBR_BATCH_MAGIC		2

#define KBR_BATCH_CODEC_MASK	0x0007
#define KBR_BATCH_APPEND_TIME	0x0008
#define KBR_BATCH_TRANSACTIONAL	0x0010
#define KBR_BATCH_CONTROL	0x0020
#define KBR_BATCH_DELETE_HORIZON 0x0040
#define KBR_BATCH_ATTR_KNOWN	0x007f

enum kbr_codec {
	KBR_CODEC_NONE = 0,
	KBR_CODEC_GZIP = 1,
	KBR_CODEC_SNAPPY = 2,
	KBR_CODEC_LZ4 = 3,
	KBR_CODEC_ZSTD = 4,
};

/** struct kbr_batch_wire - the header as it is on disk and on the wire */
struct kbr_batch_wire {
	__be64 base_offset;
	__be32 length;
	__be32 leader_epoch;
	u8 magic;
	__be32 crc;
	__be16 attributes;
	__be32 last_offset_delta;
	__be64 base_timestamp;
	__be64 max_timestamp;
	__be64 producer_id;
	__be16 producer_epoch;
	__be32 base_sequence;
	__be32 records_count;
} __packed;

/**
 * struct kbr_batch - a batch header in host order
 * @base_offset: offset of the first record
 * @size: total bytes, header and prefix included
 * @leader_epoch: epoch of the leader that appended it
 * @crc: CRC-32C as stored
 * @attributes: KBR_BATCH_* bits
 * @last_offset_delta: last offset minus @base_offset
 * @base_timestamp: ms; base of the records' timestamp deltas
 * @max_timestamp: ms; -1 none
 * @producer_id: -1 none; then @producer_epoch and @base_sequence mean nothing
 * @producer_epoch: epoch of the producer
 * @base_sequence: sequence of the first record
 * @records_count: number of records
 */
struct kbr_batch {
	s64 base_offset;
	u32 size;
	s32 leader_epoch;
	u32 crc;
	u16 attributes;
	s32 last_offset_delta;
	s64 base_timestamp;
	s64 max_timestamp;
	s64 producer_id;
	s16 producer_epoch;
	s32 base_sequence;
	s32 records_count;
};

static inline s64 kbr_batch_last_offset(const struct kbr_batch *b)
{
	return b->base_offset + b->last_offset_delta;
}

static inline enum kbr_codec kbr_batch_codec(const struct kbr_batch *b)
{
	return (enum kbr_codec)(b->attributes & KBR_BATCH_CODEC_MASK);
}

/**
 * kbr_batch_decode() - read and sanity-check one header
 * @batch: result
 * @buf: first byte of the batch
 * @len: bytes at @buf, which may be fewer or more than the batch
 *
 * Checks magic, length (49..KBR_BATCH_BYTES_MAX), that offset arithmetic does
 * not overflow and that counts are not negative. Checks neither CRC nor
 * records, and does not ask that the whole batch is in @buf: compare
 * @batch->size with @len.
 *
 * Return: 0; -ENODATA if fewer than KBR_BATCH_HEADER_LEN bytes are there;
 * -EBADMSG if this can't be a batch (@batch is then undefined).
 */
int kbr_batch_decode(struct kbr_batch *batch, const void *buf, size_t len);

/** kbr_batch_encode_header() - write @batch as a header at @buf (61 bytes); crc as given in @batch */
void kbr_batch_encode_header(const struct kbr_batch *batch, void *buf);

/** kbr_batch_crc() - CRC-32C that the batch of @size bytes at @buf should carry */
u32 kbr_batch_crc(const void *buf, size_t size);

/** kbr_batch_seal() - compute and store the CRC of the batch of @size bytes at @buf */
void kbr_batch_seal(void *buf, size_t size);

/** kbr_batch_check_crc() - 0 if the stored CRC of the whole batch at @buf is right, else -EBADMSG */
int kbr_batch_check_crc(const void *buf, size_t size);

/**
 * struct kbr_batch_rules - what a client batch must obey (see kbr_batch_validate())
 * @batch_bytes_max: max.message.bytes of the topic
 * @segment_bytes_max: segment.bytes of the topic
 * @append_time: message.timestamp.type=LogAppendTime (create-time rules off)
 * @key_required: a compacted topic: null keys are refused
 * @now_ms: the clock
 * @before_max_ms: message.timestamp.before.max.ms (S64_MAX: no limit)
 * @after_max_ms: message.timestamp.after.max.ms (S64_MAX: no limit)
 * @internal: the broker's own code appends (control and transactional
 *	batches, internal topics)
 */
struct kbr_batch_rules {
	u32 batch_bytes_max;
	u32 segment_bytes_max;
	bool append_time;
	bool key_required;
	bool internal;
	s64 now_ms;
	s64 before_max_ms;
	s64 after_max_ms;
};

/**
 * enum kbr_batch_fault - why a client batch was refused, for messages and counters
 *
 * kbr_batch_fault_text() gives the sentence. The errno that goes with it is
 * what kbr_batch_validate() returned.
 */
enum kbr_batch_fault {
	KBR_FAULT_NONE = 0,
	KBR_FAULT_CUT,			/* fewer bytes than the length says */
	KBR_FAULT_LENGTH,		/* length impossible */
	KBR_FAULT_MAGIC,
	KBR_FAULT_CRC,
	KBR_FAULT_TOO_LARGE,		/* > max.message.bytes */
	KBR_FAULT_SEGMENT,		/* > segment.bytes */
	KBR_FAULT_ATTRIBUTES,		/* unknown or forbidden bits */
	KBR_FAULT_CODEC,		/* unknown codec */
	KBR_FAULT_UNPACK,		/* compressed bytes damaged */
	KBR_FAULT_BOMB,			/* expands beyond KBR_UNPACKED_BYTES_MAX */
	KBR_FAULT_BASE_OFFSET,		/* not 0 in a client batch */
	KBR_FAULT_COUNT,		/* count <= 0 or != last offset delta + 1 */
	KBR_FAULT_RECORD,		/* a record is cut, too long, or has bad lengths */
	KBR_FAULT_OFFSET_DELTA,		/* record i does not have offset delta i */
	KBR_FAULT_TRAILING,		/* bytes after the last record */
	KBR_FAULT_NULL_KEY,		/* compacted topic */
	KBR_FAULT_TIMESTAMP,		/* out of the allowed range, or type bit set */
	KBR_FAULT_PRODUCER,		/* producer id without a sequence, or the reverse */
	KBR_FAULT_TRANSACTION,		/* part of a transaction, of which there are none */
	KBR_FAULT_COUNT_MAX
};

const char *kbr_batch_fault_text(enum kbr_batch_fault fault);

/**
 * struct kbr_batch_verdict - what kbr_batch_validate() found
 * @batch: the header; valid when the return is 0
 * @fault: why it was refused
 * @record: index of the offending record, -1 if it is none
 * @max_timestamp: largest timestamp of the records (CreateTime)
 * @max_timestamp_delta: offset delta of the first record that has @max_timestamp
 */
struct kbr_batch_verdict {
	struct kbr_batch batch;
	enum kbr_batch_fault fault;
	s32 record;
	s64 max_timestamp;
	s32 max_timestamp_delta;
};

/**
 * kbr_batch_validate() - check the client batch at the start of @buf, completely
 * @buf: kernel memory that nobody else can change
 * @len: bytes at @buf; the batch may be followed by others
 * @rules: the topic's rules
 * @verdict: result
 *
 * Every rule for producer batches: header, CRC, size, every record walked
 * (compressed ones are unpacked into a temporary buffer for it, bounded by
 * KBR_UNPACKED_BYTES_MAX). Where a CreateTime batch's maxTimestamp differs
 * from its records', verdict->max_timestamp holds the right one and the
 * caller must rewrite it (kbr_batch_set_max_timestamp()).
 *
 * Context: may sleep (allocates for compressed batches only).
 * Return: 0; -EBADMSG corrupt; -EINVAL breaks a rule (Kafka's INVALID_RECORD);
 * -EMSGSIZE; -EFBIG larger than a segment or a bomb; -ETIME timestamp;
 * -EOPNOTSUPP unknown codec; -ENOMEM.
 */
int kbr_batch_validate(const void *buf, size_t len, const struct kbr_batch_rules *rules,
		       struct kbr_batch_verdict *verdict);

/** kbr_batch_stamp() - set base offset and leader epoch in place; the CRC does not cover them */
void kbr_batch_stamp(void *buf, s64 base_offset, s32 leader_epoch);

/** kbr_batch_set_append_time() - set LogAppendTime and @now_ms in place and reseal; @size is the whole batch */
void kbr_batch_set_append_time(void *buf, size_t size, s64 now_ms);

/** kbr_batch_set_max_timestamp() - correct maxTimestamp in place and reseal */
void kbr_batch_set_max_timestamp(void *buf, size_t size, s64 max_timestamp);

#endif /* _KBR_CODEC_BATCH_H */
