// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a client's batch must obey: every fault, each length field that lies,
 * every cut.
 */
#include <errno.h>
#include <linux/limits.h>
#include <linux/types.h>
#include <stdlib.h>
#include <string.h>
#include <asm/byteorder.h>

#include "base/limits.h"
#include "codec/batch.h"
#include "codec/record.h"
#include "codec/varint.h"
#include "tap.h"
#include "tests/codec_vectors.h"
#include "unit.h"

#define COUNT(a)	(sizeof(a) / sizeof((a)[0]))

/* Two records with key, value, one header; the second 5 ms later */
static const char two_records[] =
	"1c 00 00 00 02 6b 04 7631 02 02 68 04 6162"	/* length 14 */
	"1c 00 0a 02 02 6c 04 7632 02 02 68 04 6162";

/**
 * struct fault_case - one thing that is wrong
 * @name: what it is
 * @records: the records of the batch, hexadecimal
 * @count: count in the header
 * @attributes: attributes in the header
 * @change: further damage; may change *len; NULL for none
 * @unsealed: leave the checksum as it was before @change
 * @tune: change the rules; NULL for none
 * @fault: what must be found
 * @err: what must be returned
 * @record: index of the offending record
 */
struct fault_case {
	const char *name;
	const char *records;
	s32 count;
	u16 attributes;
	void (*change)(struct kbr_batch_wire *wire, size_t *len);
	bool unsealed;
	void (*tune)(struct kbr_batch_rules *rules);
	enum kbr_batch_fault fault;
	int err;
	s32 record;
};

#define CHANGE(name, statement) \
	static void change_##name(struct kbr_batch_wire *wire, size_t *len) \
	{ (void)wire; (void)len; statement; }
#define TUNE(name, statement) \
	static void tune_##name(struct kbr_batch_rules *rules) { statement; }

CHANGE(short_header, *len = KBR_BATCH_HEADER_LEN - 1)
CHANGE(cut, *len -= 1)
CHANGE(length_48, wire->length = cpu_to_be32(48))
CHANGE(length_0, wire->length = 0)
CHANGE(length_negative, wire->length = cpu_to_be32(0x80000000u))
CHANGE(length_huge, wire->length = cpu_to_be32(KBR_BATCH_BYTES_MAX - 11))
CHANGE(magic_1, wire->magic = 1)
CHANGE(crc, wire->crc ^= cpu_to_be32(1))
CHANGE(last_byte, ((u8 *)wire)[*len - 1] ^= 1)
CHANGE(base_offset, wire->base_offset = cpu_to_be64(1))
CHANGE(base_offset_negative, wire->base_offset = cpu_to_be64(-1))
CHANGE(count_0, wire->records_count = 0)
CHANGE(count_negative, wire->records_count = cpu_to_be32(-1))
CHANGE(count_3, wire->records_count = cpu_to_be32(3))
CHANGE(count_1, wire->records_count = cpu_to_be32(1))
CHANGE(delta_negative, wire->last_offset_delta = cpu_to_be32(-1))
CHANGE(pid_no_seq, wire->producer_id = cpu_to_be64(7); wire->producer_epoch = 0)
CHANGE(pid_no_epoch, wire->producer_id = cpu_to_be64(7); wire->base_sequence = 0)
CHANGE(pid_minus_2, wire->producer_id = cpu_to_be64(-2))
CHANGE(no_pid_but_seq, wire->producer_epoch = 0; wire->base_sequence = 0)
CHANGE(pid_ok, wire->producer_id = cpu_to_be64(7); wire->producer_epoch = 0; wire->base_sequence = 0)
CHANGE(time_far, wire->base_timestamp = cpu_to_be64(1800003600001ull))
CHANGE(time_edge, wire->base_timestamp = cpu_to_be64(1800003599995ull))
CHANGE(time_second_far, wire->base_timestamp = cpu_to_be64(1800003599996ull))
CHANGE(time_minus_2, wire->base_timestamp = cpu_to_be64(-2))
CHANGE(time_none, wire->base_timestamp = cpu_to_be64(-1))
CHANGE(time_overflow, wire->base_timestamp = cpu_to_be64(S64_MAX))

TUNE(small_batches, rules->batch_bytes_max = 90)
TUNE(exact_batches, rules->batch_bytes_max = 61 + 30; rules->segment_bytes_max = 61 + 30)
TUNE(small_segments, rules->segment_bytes_max = 90)
TUNE(keys, rules->key_required = true)
TUNE(before, rules->before_max_ms = 1000)
TUNE(append_time, rules->append_time = true; rules->before_max_ms = 1000)
TUNE(control, rules->internal = true; rules->before_max_ms = 1000)
TUNE(extreme, rules->before_max_ms = S64_MAX; rules->after_max_ms = S64_MAX; rules->now_ms = 5)
TUNE(extreme_before, rules->before_max_ms = S64_MIN; rules->now_ms = S64_MAX)

#define BAD_RECORD(text, what, at) \
	{ text, what, 2, 0, NULL, false, NULL, KBR_FAULT_RECORD, -EBADMSG, at }

#define SECOND "1c 00 0a 02 02 6c 04 7632 02 02 68 04 6162"

static const struct fault_case fault_cases[] = {
	{ "nothing", two_records, 2, 0, NULL, false, NULL, KBR_FAULT_NONE, 0, -1 },
	{ "header cut", two_records, 2, 0, change_short_header, true, NULL, KBR_FAULT_CUT,
	  -EBADMSG, -1 },
	{ "last byte missing", two_records, 2, 0, change_cut, true, NULL, KBR_FAULT_CUT, -EBADMSG, -1 },
	{ "length 48", two_records, 2, 0, change_length_48, true, NULL, KBR_FAULT_LENGTH, -EBADMSG, -1 },
	{ "length 0", two_records, 2, 0, change_length_0, true, NULL, KBR_FAULT_LENGTH, -EBADMSG, -1 },
	{ "length negative", two_records, 2, 0, change_length_negative, true, NULL, KBR_FAULT_LENGTH,
	  -EBADMSG, -1 },
	{ "length beyond all", two_records, 2, 0, change_length_huge, true, NULL, KBR_FAULT_LENGTH,
	  -EBADMSG, -1 },
	{ "magic 1", two_records, 2, 0, change_magic_1, true, NULL, KBR_FAULT_MAGIC, -EBADMSG, -1 },
	{ "stored checksum", two_records, 2, 0, change_crc, true, NULL, KBR_FAULT_CRC, -EBADMSG, -1 },
	{ "a changed byte", two_records, 2, 0, change_last_byte, true, NULL, KBR_FAULT_CRC, -EBADMSG, -1 },
	/* under a wrong checksum the count can't be trusted, so it is not what is named */
	{ "count changed on the way", two_records, 2, 0, change_count_3, true, NULL, KBR_FAULT_CRC,
	  -EBADMSG, -1 },
	{ "over max.message.bytes", two_records, 2, 0, NULL, false, tune_small_batches,
	  KBR_FAULT_TOO_LARGE, -EMSGSIZE, -1 },
	{ "exactly max.message.bytes", two_records, 2, 0, NULL, false, tune_exact_batches,
	  KBR_FAULT_NONE, 0, -1 },
	{ "over segment.bytes", two_records, 2, 0, NULL, false, tune_small_segments, KBR_FAULT_SEGMENT,
	  -EFBIG, -1 },
	{ "unknown attribute", two_records, 2, 0x0080, NULL, false, NULL, KBR_FAULT_ATTRIBUTES,
	  -EINVAL, -1 },
	{ "top attribute", two_records, 2, 0x8000, NULL, false, NULL, KBR_FAULT_ATTRIBUTES, -EINVAL, -1 },
	{ "control bit", two_records, 2, 0x0020, NULL, false, NULL, KBR_FAULT_ATTRIBUTES, -EINVAL, -1 },
	{ "transactional bit", two_records, 2, 0x0010, NULL, false, NULL, KBR_FAULT_TRANSACTION, -EINVAL,
	  -1 },
	{ "delete horizon", two_records, 2, 0x0040, NULL, false, NULL, KBR_FAULT_ATTRIBUTES, -EINVAL, -1 },
	{ "control bit by the broker", two_records, 2, 0x0030, NULL, false, tune_control,
	  KBR_FAULT_NONE, 0, -1 },
	{ "codec 5", two_records, 2, 5, NULL, false, NULL, KBR_FAULT_CODEC, -EOPNOTSUPP, -1 },
	{ "codec 7", two_records, 2, 7, NULL, false, NULL, KBR_FAULT_CODEC, -EOPNOTSUPP, -1 },
	{ "not gzip", two_records, 2, 1, NULL, false, NULL, KBR_FAULT_UNPACK, -EBADMSG, -1 },
	{ "not snappy", two_records, 2, 2, NULL, false, NULL, KBR_FAULT_UNPACK, -EBADMSG, -1 },
	{ "not lz4", two_records, 2, 3, NULL, false, NULL, KBR_FAULT_UNPACK, -EBADMSG, -1 },
	{ "not zstd", two_records, 2, 4, NULL, false, NULL, KBR_FAULT_UNPACK, -EBADMSG, -1 },
	/* 32 MiB + 1 of zeros: three bytes of preamble are enough to be refused */
	{ "a bomb", "28b52ffd a0 01000002;"
	  "020010 00 020010 00 020010 00 020010 00", 1, 4, NULL, false, NULL, KBR_FAULT_UNPACK,
	  -EBADMSG, -1 },
	{ "base offset 1", two_records, 2, 0, change_base_offset, false, NULL, KBR_FAULT_BASE_OFFSET,
	  -EINVAL, -1 },
	{ "base offset -1", two_records, 2, 0, change_base_offset_negative, false, NULL,
	  KBR_FAULT_BASE_OFFSET, -EINVAL, -1 },
	{ "count 0", two_records, 2, 0, change_count_0, false, NULL, KBR_FAULT_COUNT, -EINVAL, -1 },
	{ "count -1", two_records, 2, 0, change_count_negative, false, NULL, KBR_FAULT_COUNT, -EINVAL, -1 },
	{ "count over the last delta", two_records, 2, 0, change_count_3, false, NULL, KBR_FAULT_COUNT,
	  -EINVAL, -1 },
	{ "count under the last delta", two_records, 2, 0, change_count_1, false, NULL,
	  KBR_FAULT_COUNT, -EINVAL, -1 },
	{ "last delta -1", two_records, 2, 0, change_delta_negative, false, NULL,
	  KBR_FAULT_BASE_OFFSET, -EINVAL, -1 },
	{ "more records promised", two_records, 3, 0, NULL, false, NULL, KBR_FAULT_RECORD, -EBADMSG, 2 },
	{ "fewer records promised", two_records, 1, 0, NULL, false, NULL, KBR_FAULT_TRAILING, -EBADMSG, -1 },
	{ "a byte after the last record", "1c 00 00 00 02 6b 04 7631 02 02 68 04 6162 00", 1, 0, NULL,
	  false, NULL, KBR_FAULT_TRAILING, -EBADMSG, -1 },
	BAD_RECORD("record length 0", "00" SECOND, 0),
	BAD_RECORD("record length -1", "01" SECOND, 0),
	BAD_RECORD("record length overflows", "ffffffff1f" SECOND, 0),
	BAD_RECORD("record longer than the batch", "1c 00 00 00 02 6b 04 7631 02 02 68 04 6162;"
		   "3c 00 0a 02 02 6c 04 7632 02 02 68 04 6162", 1),
	BAD_RECORD("record longer than its fields", "1e 00 00 00 02 6b 04 7631 02 02 68 04 6162 00"
		   SECOND, 0),
	BAD_RECORD("record shorter than its fields", "1a 00 00 00 02 6b 04 7631 02 02 68 04 6162"
		   SECOND, 0),
	BAD_RECORD("key longer than the record", "1c 00 00 00 32 6b 04 7631 02 02 68 04 6162" SECOND, 0),
	BAD_RECORD("key length -2", "1c 00 00 00 03 6b 04 7631 02 02 68 04 6162" SECOND, 0),
	BAD_RECORD("value longer than the record", "1c 00 00 00 02 6b 34 7631 02 02 68 04 6162" SECOND, 0),
	BAD_RECORD("value length -2", "1c 00 00 00 02 6b 03 7631 02 02 68 04 6162" SECOND, 0),
	BAD_RECORD("header count -1", "1c 00 00 00 02 6b 04 7631 01 02 68 04 6162" SECOND, 0),
	BAD_RECORD("header count too large", "1c 00 00 00 02 6b 04 7631 04 02 68 04 6162" SECOND, 0),
	BAD_RECORD("header count too small", "1c 00 00 00 02 6b 04 7631 00 02 68 04 6162" SECOND, 0),
	BAD_RECORD("header key too long", "1c 00 00 00 02 6b 04 7631 02 12 68 04 6162" SECOND, 0),
	BAD_RECORD("header key null", "1c 00 00 00 02 6b 04 7631 02 01 68 04 6162" SECOND, 0),
	BAD_RECORD("header value too long", "1c 00 00 00 02 6b 04 7631 02 02 68 06 6162" SECOND, 0),
	BAD_RECORD("header value -2", "1c 00 00 00 02 6b 04 7631 02 02 68 03 6162" SECOND, 0),
	{ "first offset delta 1", "1c 00 00 02 02 6b 04 7631 02 02 68 04 6162" SECOND, 2, 0, NULL, false,
	  NULL, KBR_FAULT_OFFSET_DELTA, -EINVAL, 0 },
	{ "second offset delta 0", "1c 00 00 00 02 6b 04 7631 02 02 68 04 6162;"
	  "1c 00 0a 00 02 6c 04 7632 02 02 68 04 6162", 2, 0, NULL, false, NULL,
	  KBR_FAULT_OFFSET_DELTA, -EINVAL, 1 },
	{ "null key where it is allowed", "0e 00 00 00 01 02 74 00", 1, 0, NULL, false, NULL,
	  KBR_FAULT_NONE, 0, -1 },
	{ "null key where it is not", "0e 00 00 00 01 02 74 00", 1, 0, NULL, false, tune_keys,
	  KBR_FAULT_NULL_KEY, -EINVAL, 0 },
	{ "empty key", "0e 00 00 00 00 02 74 00", 1, 0, NULL, false, tune_keys, KBR_FAULT_NONE, 0, -1 },
	{ "log append time from a client", two_records, 2, 8, NULL, false, NULL, KBR_FAULT_TIMESTAMP,
	  -ETIME, -1 },
	{ "log append time where the topic stamps", two_records, 2, 8, NULL, false, tune_append_time,
	  KBR_FAULT_NONE, 0, -1 },
	{ "timestamp ahead of the clock", two_records, 2, 0, change_time_far, false, NULL,
	  KBR_FAULT_TIMESTAMP, -ETIME, 0 },
	{ "second timestamp ahead", two_records, 2, 0, change_time_second_far, false, NULL,
	  KBR_FAULT_TIMESTAMP, -ETIME, 1 },
	{ "timestamps as far ahead as allowed", two_records, 2, 0, change_time_edge, false, NULL,
	  KBR_FAULT_NONE, 0, -1 },
	{ "timestamp behind the clock", two_records, 2, 0, NULL, false, tune_before,
	  KBR_FAULT_TIMESTAMP, -ETIME, 0 },
	{ "timestamps of the broker's own batch", two_records, 2, 0, NULL, false, tune_control,
	  KBR_FAULT_NONE, 0, -1 },
	{ "timestamp -2", two_records, 2, 0, change_time_minus_2, false, NULL, KBR_FAULT_TIMESTAMP,
	  -ETIME, 0 },
	{ "no timestamp", "0e 00 00 00 01 02 74 00", 1, 0, change_time_none, false, tune_before,
	  KBR_FAULT_NONE, 0, -1 },
	{ "timestamp overflows", two_records, 2, 0, change_time_overflow, false, tune_extreme,
	  KBR_FAULT_RECORD, -EBADMSG, 1 },
	{ "limits that overflow the clock", two_records, 2, 0, NULL, false, tune_extreme,
	  KBR_FAULT_NONE, 0, -1 },
	{ "a limit below everything", two_records, 2, 0, NULL, false, tune_extreme_before,
	  KBR_FAULT_NONE, 0, -1 },
	{ "producer id without a sequence", two_records, 2, 0, change_pid_no_seq, false, NULL,
	  KBR_FAULT_PRODUCER, -EINVAL, -1 },
	{ "producer id without an epoch", two_records, 2, 0, change_pid_no_epoch, false, NULL,
	  KBR_FAULT_PRODUCER, -EINVAL, -1 },
	{ "producer id -2", two_records, 2, 0, change_pid_minus_2, false, NULL, KBR_FAULT_PRODUCER,
	  -EINVAL, -1 },
	{ "a sequence of no producer", two_records, 2, 0, change_no_pid_but_seq, false, NULL,
	  KBR_FAULT_NONE, 0, -1 },
	{ "a producer", two_records, 2, 0, change_pid_ok, false, NULL, KBR_FAULT_NONE, 0, -1 },
};

static void run_fault_case(const struct fault_case *c, bool *reached)
{
	struct kbr_batch_rules rules = unit_rules;
	struct kbr_batch_verdict verdict;
	u8 records[256], *buf, *exact;
	size_t len, size;

	tap_context("%s", c->name);
	len = kbr_vector_bytes(c->records, records, sizeof(records));
	buf = unit_batch(c->attributes, c->count, records, len, &size);
	if (c->change)
		c->change((struct kbr_batch_wire *)buf, &size);
	if (c->change && !c->unsealed)
		kbr_batch_seal(buf, size);
	if (c->tune)
		c->tune(&rules);
	exact = unit_exact(buf, size);
	expect_eq(kbr_batch_validate(exact, size, &rules, &verdict), c->err);
	expect_eq(verdict.fault, c->fault);
	expect_eq(verdict.record, c->record);
	reached[verdict.fault] = true;
	free(exact);
	free(buf);
}

/* A batch of each codec that says it is larger than anything may become */
static void run_bombs(bool *reached)
{
	size_t len = KBR_UNPACKED_BYTES_MAX + 1, packed_len, size;
	struct kbr_batch_rules rules = unit_rules;
	struct kbr_batch_verdict verdict;
	u8 *zeros = calloc(1, len), *packed, *buf;
	int form;

	rules.batch_bytes_max = KBR_BATCH_BYTES_MAX;
	for (form = 0; form < UNIT_FORMS; form++) {
		tap_context("%s", unit_form_name(form));
		packed = unit_pack(form, zeros, len, &packed_len);
		buf = unit_batch(unit_form_codec(form), 1, packed, packed_len, &size);
		expect_eq(kbr_batch_validate(buf, size, &rules, &verdict), -EFBIG);
		expect_eq(verdict.fault, KBR_FAULT_BOMB);
		reached[verdict.fault] = true;
		free(buf);
		free(packed);
	}
	free(zeros);
}

static void test_faults(void)
{
	bool reached[KBR_FAULT_COUNT_MAX] = { false };
	size_t i;

	for (i = 0; i < COUNT(fault_cases); i++)
		run_fault_case(&fault_cases[i], reached);
	run_bombs(reached);
	for (i = 0; i < KBR_FAULT_COUNT_MAX; i++) {
		tap_context("%s", kbr_batch_fault_text(i));
		expect(reached[i]);
		expect(strlen(kbr_batch_fault_text(i)) > 10);
	}
	expect(!strcmp(kbr_batch_fault_text(KBR_FAULT_COUNT_MAX), "unknown fault"));
}

/* A batch cut anywhere is cut, and never read beyond */
static void test_cut(void)
{
	struct kbr_batch_verdict verdict;
	struct kbr_batch b;
	u8 buf[256], *exact;
	size_t i, len, cut;

	for (i = 0; i < COUNT(kbr_vectors); i++) {
		len = kbr_vector_bytes(kbr_vectors[i].batch, buf, sizeof(buf));
		for (cut = 0; cut < len; cut++) {
			tap_context("%s at %zu", kbr_vectors[i].name, cut);
			exact = unit_exact(buf, cut);
			expect_eq(kbr_batch_validate(exact, cut, &unit_rules, &verdict), -EBADMSG);
			expect_eq(verdict.fault, KBR_FAULT_CUT);
			expect_eq(kbr_batch_decode(&b, exact, cut),
				  cut < KBR_BATCH_HEADER_LEN ? -ENODATA : 0);
			free(exact);
		}
	}
}

/* The records cut at each byte, under a header that agrees */
static void test_records_cut(void)
{
	struct kbr_batch_verdict verdict;
	struct kbr_record_iter it;
	struct kbr_record rec;
	u8 records[256], *buf;
	size_t len, cut, size;

	len = kbr_vector_bytes(two_records, records, sizeof(records));
	for (cut = 0; cut < len; cut++) {
		tap_context("at %zu", cut);
		buf = unit_batch(0, 2, records, cut, &size);
		expect_eq(kbr_batch_validate(buf, size, &unit_rules, &verdict), -EBADMSG);
		expect_eq(verdict.fault, KBR_FAULT_RECORD);
		expect_eq(verdict.record, cut < len / 2 ? 0 : 1);

		expect_eq(kbr_batch_decode(&verdict.batch, buf, size), 0);
		kbr_record_iter_init(&it, &verdict.batch, buf + KBR_BATCH_HEADER_LEN, cut);
		if (cut >= len / 2)
			expect_eq(kbr_record_next(&it, &rec), 1);
		expect_eq(kbr_record_next(&it, &rec), -EBADMSG);
		expect_eq(kbr_record_next(&it, &rec), -EBADMSG);
		free(buf);
	}
}

/* Every byte of the records set to every value: judged, never read beyond */
static void test_records_any_byte(void)
{
	struct kbr_batch_verdict verdict;
	struct kbr_record_iter it;
	struct kbr_record rec;
	u8 records[256], *buf;
	size_t len, at, size;
	int val, ret, walked;

	len = kbr_vector_bytes(two_records, records, sizeof(records));
	for (at = 0; at < len; at++) {
		for (val = 0; val < 256; val++) {
			u8 was = records[at];

			records[at] = val;
			buf = unit_batch(0, 2, records, len, &size);
			ret = kbr_batch_validate(buf, size, &unit_rules, &verdict);
			expect(ret == 0 || ret == -EBADMSG || ret == -EINVAL || ret == -ETIME);
			expect_eq(!ret, verdict.fault == KBR_FAULT_NONE);

			/* what passes validation can be walked, and to its end */
			kbr_record_iter_init(&it, &verdict.batch, buf + KBR_BATCH_HEADER_LEN, len);
			for (walked = 0; kbr_record_next(&it, &rec) == 1; walked++)
				;
			if (!ret) {
				tap_context("byte %zu is %02x", at, val);
				expect_eq(walked, 2);
				expect_eq(kbr_record_next(&it, &rec), 0);
			}
			free(buf);
			records[at] = was;
		}
	}
}

/* A maxTimestamp that its records contradict is found, and the right one told */
static void test_max_timestamp(void)
{
	struct kbr_batch_verdict verdict;
	u8 records[256], *buf;
	size_t len, size;

	len = kbr_vector_bytes(two_records, records, sizeof(records));
	buf = unit_batch(0, 2, records, len, &size);
	expect_eq(kbr_batch_validate(buf, size, &unit_rules, &verdict), 0);
	expect_eq(verdict.batch.max_timestamp, 1700000000000);
	expect_eq(verdict.max_timestamp, 1700000000005);
	expect_eq(verdict.max_timestamp_delta, 1);
	kbr_batch_set_max_timestamp(buf, size, verdict.max_timestamp);
	expect_eq(kbr_batch_validate(buf, size, &unit_rules, &verdict), 0);
	expect_eq(verdict.batch.max_timestamp, 1700000000005);
	free(buf);

	/* of equals the first is told */
	len = kbr_vector_bytes("0e 00 00 00 01 02 74 00 0e 00 00 02 01 02 74 00", records,
			       sizeof(records));
	buf = unit_batch(0, 2, records, len, &size);
	expect_eq(kbr_batch_validate(buf, size, &unit_rules, &verdict), 0);
	expect_eq(verdict.max_timestamp, 1700000000000);
	expect_eq(verdict.max_timestamp_delta, 0);
	free(buf);
}

/* Headers that can't be a batch, and those that only look odd */
static void test_decode_bounds(void)
{
	struct kbr_batch b, in = {
		.size = KBR_BATCH_HEADER_LEN, .base_offset = S64_MAX - 5, .last_offset_delta = 4,
		.records_count = 0, .leader_epoch = -1,
	};
	u8 buf[KBR_BATCH_HEADER_LEN];

	/* emptied by compaction, at the very end of all offsets */
	kbr_batch_encode_header(&in, buf);
	expect_eq(kbr_batch_decode(&b, buf, sizeof(buf)), 0);
	expect_eq(kbr_batch_last_offset(&b), S64_MAX - 1);
	in.last_offset_delta = 5;
	kbr_batch_encode_header(&in, buf);
	expect_eq(kbr_batch_decode(&b, buf, sizeof(buf)), -EBADMSG);
	in.last_offset_delta = 6;
	kbr_batch_encode_header(&in, buf);
	expect_eq(kbr_batch_decode(&b, buf, sizeof(buf)), -EBADMSG);
	in.last_offset_delta = 2;
	in.records_count = 4;
	kbr_batch_encode_header(&in, buf);
	expect_eq(kbr_batch_decode(&b, buf, sizeof(buf)), -EBADMSG);
	in.records_count = 3;
	in.base_offset = -1;
	kbr_batch_encode_header(&in, buf);
	expect_eq(kbr_batch_decode(&b, buf, sizeof(buf)), -EBADMSG);
	in.base_offset = 0;
	in.size = KBR_BATCH_BYTES_MAX;
	kbr_batch_encode_header(&in, buf);
	expect_eq(kbr_batch_decode(&b, buf, sizeof(buf)), 0);
	in.size++;
	kbr_batch_encode_header(&in, buf);
	expect_eq(kbr_batch_decode(&b, buf, sizeof(buf)), -EBADMSG);
}

/* Compaction leaves gaps; readers accept them as long as deltas rise */
static void test_compacted(void)
{
	struct kbr_record_iter it;
	struct kbr_record rec;
	struct kbr_batch b = { .base_offset = 100, .last_offset_delta = 9, .records_count = 2 };
	u8 records[64];
	size_t len;

	len = kbr_vector_bytes("0e 00 00 04 01 02 74 00 0e 00 00 10 01 02 74 00", records,
			       sizeof(records));
	kbr_record_iter_init(&it, &b, records, len);
	expect_eq(kbr_record_next(&it, &rec), 1);
	expect_eq(rec.offset, 102);
	expect_eq(kbr_record_next(&it, &rec), 1);
	expect_eq(rec.offset, 108);
	expect_eq(kbr_record_next(&it, &rec), 0);

	b.last_offset_delta = 7;
	kbr_record_iter_init(&it, &b, records, len);
	expect_eq(kbr_record_next(&it, &rec), 1);
	expect_eq(kbr_record_next(&it, &rec), -EBADMSG);

	/* falling and negative deltas, bytes left over */
	b.last_offset_delta = 9;
	len = kbr_vector_bytes("0e 00 00 04 01 02 74 00 0e 00 00 04 01 02 74 00", records,
			       sizeof(records));
	kbr_record_iter_init(&it, &b, records, len);
	expect_eq(kbr_record_next(&it, &rec), 1);
	expect_eq(kbr_record_next(&it, &rec), -EBADMSG);
	len = kbr_vector_bytes("0e 00 00 01 01 02 74 00", records, sizeof(records));
	kbr_record_iter_init(&it, &b, records, len);
	expect_eq(kbr_record_next(&it, &rec), -EBADMSG);
	b.records_count = 1;
	len = kbr_vector_bytes("0e 00 00 00 01 02 74 00 00", records, sizeof(records));
	kbr_record_iter_init(&it, &b, records, len);
	expect_eq(kbr_record_next(&it, &rec), 1);
	expect_eq(kbr_record_next(&it, &rec), -EBADMSG);
	b.records_count = 0;
	kbr_record_iter_init(&it, &b, records, 0);
	expect_eq(kbr_record_next(&it, &rec), 0);
}

static void test_headers_max(void)
{
	size_t count = KBR_RECORD_HEADERS_MAX, len, size;
	struct kbr_batch_verdict verdict;
	u8 *records = malloc(count * 2 + 64), *buf, *p;
	int extra;

	for (extra = 0; extra < 2; extra++) {
		tap_context("%zu headers", count + extra);
		p = kbr_varint_encode(records, 1 + 1 + 1 + 1 + 1 +
				      kbr_varint_size(count + extra) + 2 * (count + extra));
		memcpy(p, "\0\0\0\1\1", 5);
		p = kbr_varint_encode(p + 5, count + extra);
		memset(p, 0, 2 * (count + extra));
		len = p + 2 * (count + extra) - records;
		buf = unit_batch(0, 1, records, len, &size);
		expect_eq(kbr_batch_validate(buf, size, &unit_rules, &verdict), extra ? -EBADMSG : 0);
		expect_eq(verdict.fault, extra ? KBR_FAULT_RECORD : KBR_FAULT_NONE);
		free(buf);
	}
	free(records);
}

const struct tap_case validate_cases[] = {
	{ "validate: every fault is found and named", test_faults },
	{ "validate: a batch cut at every byte", test_cut },
	{ "validate: records cut at every byte", test_records_cut },
	{ "validate: every value of every byte of the records", test_records_any_byte },
	{ "validate: a wrong maxTimestamp is corrected", test_max_timestamp },
	{ "validate: number of headers", test_headers_max },
	{ "decode: limits of a header", test_decode_bounds },
	{ "records: compacted batches, leftovers", test_compacted },
	{ NULL, NULL }
};
