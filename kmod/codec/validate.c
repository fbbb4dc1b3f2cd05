// SPDX-License-Identifier: GPL-2.0-only OR LGPL-2.1-or-later
/*
 * What a client's batch must obey before it is appended: header, checksum, and
 * every record. This file only judges; it changes nothing (see batch.c for the
 * corrections that an append makes).
 */
#include <linux/errno.h>
#include <linux/limits.h>
#include <linux/overflow.h>
#include <linux/types.h>

#include "base/kunit.h"
#include "base/limits.h"
#include "codec/batch.h"
#include "codec/batch_header.h"
#include "codec/compress.h"
#include "codec/record_parse.h"

static const char * const kbr_batch_fault_texts[KBR_FAULT_COUNT_MAX] = {
	[KBR_FAULT_NONE] = "nothing is wrong",
	[KBR_FAULT_CUT] = "the batch is shorter than its length field says",
	[KBR_FAULT_LENGTH] = "the batch's length field is impossible",
	[KBR_FAULT_MAGIC] = "this is not a record batch of format 2",
	[KBR_FAULT_CRC] = "the batch's checksum is wrong",
	[KBR_FAULT_TOO_LARGE] = "the batch is larger than max.message.bytes",
	[KBR_FAULT_SEGMENT] = "the batch is larger than segment.bytes",
	[KBR_FAULT_ATTRIBUTES] = "the batch has attributes that a producer may not set",
	[KBR_FAULT_CODEC] = "the batch's compression codec is unknown",
	[KBR_FAULT_UNPACK] = "the compressed records are damaged",
	[KBR_FAULT_BOMB] = "the compressed records expand beyond all bounds",
	[KBR_FAULT_BASE_OFFSET] = "the base offset of a new batch must be 0",
	[KBR_FAULT_COUNT] = "the record count does not agree with the last offset delta",
	[KBR_FAULT_RECORD] = "a record is cut or has impossible lengths",
	[KBR_FAULT_OFFSET_DELTA] = "the offset deltas of the records are not 0, 1, 2, ...",
	[KBR_FAULT_TRAILING] = "bytes follow the last record",
	[KBR_FAULT_NULL_KEY] = "a compacted topic needs a key in every record",
	[KBR_FAULT_TIMESTAMP] = "a timestamp is outside what the topic allows",
	[KBR_FAULT_PRODUCER] = "the producer id does not agree with epoch and sequence",
	[KBR_FAULT_TRANSACTION] = "the batch is part of a transaction, and there are none here",
};

/** kbr_batch_fault_text() - the sentence for @fault */
const char *kbr_batch_fault_text(enum kbr_batch_fault fault)
{
	if ((unsigned int)fault >= KBR_FAULT_COUNT_MAX)
		return "unknown fault";
	return kbr_batch_fault_texts[fault];
}
KBR_EXPORT_IF_KUNIT(kbr_batch_fault_text);

static int kbr_batch_fault_errno(enum kbr_batch_fault fault)
{
	switch (fault) {
	case KBR_FAULT_NONE:
		return 0;
	case KBR_FAULT_CUT:
	case KBR_FAULT_LENGTH:
	case KBR_FAULT_MAGIC:
	case KBR_FAULT_CRC:
	case KBR_FAULT_UNPACK:
	case KBR_FAULT_RECORD:
	case KBR_FAULT_TRAILING:
		return -EBADMSG;
	case KBR_FAULT_TOO_LARGE:
		return -EMSGSIZE;
	case KBR_FAULT_SEGMENT:
	case KBR_FAULT_BOMB:
		return -EFBIG;
	case KBR_FAULT_CODEC:
		return -EOPNOTSUPP;
	case KBR_FAULT_TIMESTAMP:
		return -ETIME;
	default:
		return -EINVAL;
	}
}

static enum kbr_batch_fault kbr_batch_check_rules(const struct kbr_batch *b,
						  const struct kbr_batch_rules *rules)
{
	u16 forbidden = (u16)~KBR_BATCH_ATTR_KNOWN;

	if (!rules->internal)
		forbidden |= KBR_BATCH_CONTROL | KBR_BATCH_DELETE_HORIZON;
	if (b->attributes & forbidden)
		return KBR_FAULT_ATTRIBUTES;
	/* without an end marker a reader of committed records would wait for ever */
	if ((b->attributes & KBR_BATCH_TRANSACTIONAL) && !rules->internal)
		return KBR_FAULT_TRANSACTION;
	if (kbr_batch_codec(b) > KBR_CODEC_ZSTD)
		return KBR_FAULT_CODEC;
	if (!rules->append_time && (b->attributes & KBR_BATCH_APPEND_TIME))
		return KBR_FAULT_TIMESTAMP;
	if (b->base_offset)
		return KBR_FAULT_BASE_OFFSET;
	if (!b->records_count || (s64)b->records_count != (s64)b->last_offset_delta + 1)
		return KBR_FAULT_COUNT;
	/*
	 * Without a producer id the epoch and the sequence mean nothing, and
	 * clients do send 0 there. A transaction's marker has no sequence.
	 */
	if (b->producer_id < -1)
		return KBR_FAULT_PRODUCER;
	if (b->producer_id >= 0 &&
	    (b->producer_epoch < 0 ||
	     (b->base_sequence < 0 && !(b->attributes & KBR_BATCH_CONTROL))))
		return KBR_FAULT_PRODUCER;
	return KBR_FAULT_NONE;
}

static enum kbr_batch_fault kbr_batch_check_header(const void *buf, size_t len,
						   const struct kbr_batch_rules *rules,
						   struct kbr_batch *batch)
{
	enum kbr_batch_fault fault;

	if (len < KBR_BATCH_HEADER_LEN)
		return KBR_FAULT_CUT;
	fault = kbr_batch_read_header(batch, buf);
	if (fault == KBR_FAULT_MAGIC || fault == KBR_FAULT_LENGTH)
		return fault;
	if (batch->size > rules->batch_bytes_max)
		return KBR_FAULT_TOO_LARGE;
	if (batch->size > rules->segment_bytes_max)
		return KBR_FAULT_SEGMENT;
	if (batch->size > len)
		return KBR_FAULT_CUT;
	/* what the checksum covers can only be called wrong if it arrived whole */
	if (kbr_batch_check_crc(buf, batch->size))
		return KBR_FAULT_CRC;
	if (fault)
		return fault;
	return kbr_batch_check_rules(batch, rules);
}

/* The range of timestamps that the rules allow, without overflow */
static void kbr_batch_time_range(const struct kbr_batch_rules *rules, s64 *lo, s64 *hi)
{
	*lo = 0;
	*hi = S64_MAX;
	if (rules->append_time || rules->internal)
		return;
	if (check_sub_overflow(rules->now_ms, rules->before_max_ms, lo) || *lo < 0)
		*lo = 0;
	if (check_add_overflow(rules->now_ms, rules->after_max_ms, hi))
		*hi = S64_MAX;
}

static enum kbr_batch_fault kbr_batch_walk(const u8 *p, size_t len,
					   const struct kbr_batch_rules *rules,
					   struct kbr_batch_verdict *verdict)
{
	const s64 base = verdict->batch.base_timestamp;
	const s32 count = verdict->batch.records_count;
	const bool key_required = rules->key_required;
	s64 lo, hi, ts, ts_delta, max_ts = S64_MIN;
	const u8 *end = p + len;
	struct kbr_record rec;
	s32 i, max_delta = 0;

	kbr_batch_time_range(rules, &lo, &hi);
	for (i = 0; i < count; i++) {
		verdict->record = i;
		p = kbr_record_parse(p, end, &rec, &ts_delta);
		if (unlikely(!p || rec.headers_count > KBR_RECORD_HEADERS_MAX))
			return KBR_FAULT_RECORD;
		if (unlikely(rec.offset_delta != i))
			return KBR_FAULT_OFFSET_DELTA;
		if (unlikely(key_required && !rec.key))
			return KBR_FAULT_NULL_KEY;
		if (unlikely(check_add_overflow(base, ts_delta, &ts)))
			return KBR_FAULT_RECORD;
		/* -1 is "no timestamp" and always allowed */
		if (unlikely(ts < lo || ts > hi) && ts != -1)
			return KBR_FAULT_TIMESTAMP;
		if (ts > max_ts) {
			max_ts = ts;
			max_delta = i;
		}
	}
	verdict->record = -1;
	verdict->max_timestamp = max_ts;
	verdict->max_timestamp_delta = max_delta;
	return p == end ? KBR_FAULT_NONE : KBR_FAULT_TRAILING;
}

int kbr_batch_validate(const void *buf, size_t len, const struct kbr_batch_rules *rules,
		       struct kbr_batch_verdict *verdict)
{
	struct kbr_unpacked unpacked;
	int err;

	verdict->record = -1;
	verdict->max_timestamp = -1;
	verdict->max_timestamp_delta = 0;
	verdict->fault = kbr_batch_check_header(buf, len, rules, &verdict->batch);
	if (verdict->fault)
		return kbr_batch_fault_errno(verdict->fault);

	err = kbr_unpack(&verdict->batch, buf, KBR_UNPACKED_BYTES_MAX, &unpacked);
	if (err) {
		if (err == -EBADMSG)
			verdict->fault = KBR_FAULT_UNPACK;
		else if (err == -EFBIG)
			verdict->fault = KBR_FAULT_BOMB;
		return err;
	}
	verdict->fault = kbr_batch_walk(unpacked.data, unpacked.len, rules, verdict);
	kbr_unpacked_release(&unpacked);
	return kbr_batch_fault_errno(verdict->fault);
}
KBR_EXPORT_IF_KUNIT(kbr_batch_validate);
