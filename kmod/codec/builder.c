// SPDX-License-Identifier: GPL-2.0-only OR LGPL-2.1-or-later
/*
 * Building an uncompressed batch, record by record, in a caller's buffer.
 */
#include <linux/errno.h>
#include <linux/limits.h>
#include <linux/overflow.h>
#include <linux/string.h>
#include <linux/types.h>

#include "base/kunit.h"
#include "base/limits.h"
#include "codec/batch.h"
#include "codec/record.h"
#include "codec/varint.h"

void kbr_batch_builder_init(struct kbr_batch_builder *bld, void *buf, size_t size)
{
	bld->buf = buf;
	bld->size = size;
	bld->len = KBR_BATCH_HEADER_LEN;
	bld->count = 0;
	bld->base_timestamp = -1;
	bld->max_timestamp = -1;
}
KBR_EXPORT_IF_KUNIT(kbr_batch_builder_init);

static s32 kbr_record_len_field(const void *bytes, u32 len)
{
	return bytes ? (s32)len : -1;
}

/* bytes of the record after its length field */
static size_t kbr_record_body_size(const struct kbr_record *rec, s32 delta, s64 ts_delta)
{
	return 1 + kbr_varlong_size(ts_delta) + kbr_varint_size(delta) +
	       kbr_varint_size(kbr_record_len_field(rec->key, rec->key_len)) + rec->key_len +
	       kbr_varint_size(kbr_record_len_field(rec->value, rec->value_len)) +
	       rec->value_len + kbr_varint_size(rec->headers_count) + rec->headers_len;
}

size_t kbr_record_size(const struct kbr_record *rec, s32 delta, s64 ts_delta)
{
	size_t body = kbr_record_body_size(rec, delta, ts_delta);

	return kbr_varint_size((s32)body) + body;
}
KBR_EXPORT_IF_KUNIT(kbr_record_size);

static __always_inline u8 *kbr_record_put_bytes(u8 *p, const u8 *bytes, u32 len)
{
	if (!bytes) {
		*p = 1;	/* -1 */
		return p + 1;
	}
	p = kbr_varint_write(p, (u64)len << 1);
	memcpy(p, bytes, len);
	return p + len;
}

/* Everything after the length field */
static __always_inline u8 *kbr_record_put_body(u8 *p, const struct kbr_record *rec, s32 delta,
					       s64 ts_delta)
{
	*p++ = 0;
	p = kbr_varlong_encode(p, ts_delta);
	p = kbr_varint_write(p, (u64)delta << 1);
	p = kbr_record_put_bytes(p, rec->key, rec->key_len);
	p = kbr_record_put_bytes(p, rec->value, rec->value_len);
	p = kbr_varint_write(p, (u64)rec->headers_count << 1);
	if (unlikely(rec->headers_len)) {
		memcpy(p, rec->headers, rec->headers_len);
		p += rec->headers_len;
	}
	return p;
}

static int kbr_record_check(const struct kbr_record *rec)
{
	if (rec->key_len > KBR_BATCH_BYTES_MAX || rec->value_len > KBR_BATCH_BYTES_MAX ||
	    rec->headers_len > KBR_BATCH_BYTES_MAX ||
	    rec->headers_count > KBR_RECORD_HEADERS_MAX ||
	    (!rec->key && rec->key_len) || (!rec->value && rec->value_len))
		return -EINVAL;
	return 0;
}

/* @rec is in the batch now, up to @end. */
static __always_inline void kbr_batch_builder_note(struct kbr_batch_builder *bld,
						   const struct kbr_record *rec, const u8 *end)
{
	if (!bld->count) {
		bld->base_timestamp = rec->timestamp;
		bld->max_timestamp = rec->timestamp;
	} else if (rec->timestamp > bld->max_timestamp) {
		bld->max_timestamp = rec->timestamp;
	}
	bld->count++;
	bld->len = end - bld->buf;
}

/* kbr_batch_builder_add() for any record: every size is computed before */
static noinline int kbr_batch_builder_add_exact(struct kbr_batch_builder *bld,
						const struct kbr_record *rec, s64 ts_delta)
{
	int err = kbr_record_check(rec);
	size_t body;
	u8 *p;

	if (err)
		return err;
	body = kbr_record_body_size(rec, bld->count, ts_delta);
	if (body > KBR_BATCH_BYTES_MAX)
		return -EINVAL;
	if (kbr_varint_size((s32)body) + body > bld->size - bld->len || bld->count == S32_MAX)
		return -ENOSPC;
	p = kbr_varint_encode(bld->buf + bld->len, (s32)body);
	p = kbr_record_put_body(p, rec, bld->count, ts_delta);
	kbr_batch_builder_note(bld, rec, p);
	return 0;
}

/* What the fields of a record without headers take beside key and value */
#define KBR_RECORD_FIELDS_MIN	(1 + 1 + 1 + 1 + 1 + 1)
#define KBR_RECORD_FIELDS_MAX	(1 + KBR_VARLONG_MAX + 4 * KBR_VARINT_MAX)
/* lengths of records that take two bytes, 64 .. 8191, with a margin for the fields */
#define KBR_RECORD_BYTES_MIN	(64 - KBR_RECORD_FIELDS_MIN)
#define KBR_RECORD_BYTES_MAX	(8191 - KBR_RECORD_FIELDS_MAX)

/*
 * The usual record: no headers, and whatever its fields take, its length takes
 * two bytes. These are left out, and filled in when the rest is written: so that
 * no field's size is computed before.
 */
static __always_inline bool kbr_record_is_usual(const struct kbr_record *rec, size_t room)
{
	u64 bytes = (u64)rec->key_len + rec->value_len;

	return bytes - KBR_RECORD_BYTES_MIN <= KBR_RECORD_BYTES_MAX - KBR_RECORD_BYTES_MIN &&
	       room >= 2 + KBR_RECORD_FIELDS_MAX + bytes && !rec->headers_count &&
	       !rec->headers_len && (rec->key || !rec->key_len) && (rec->value || !rec->value_len);
}

int kbr_batch_builder_add(struct kbr_batch_builder *bld, const struct kbr_record *rec)
{
	u8 *start = bld->buf + bld->len, *p;
	s64 ts_delta = 0;
	u32 raw;

	if (bld->count && check_sub_overflow(rec->timestamp, bld->base_timestamp, &ts_delta))
		return -EINVAL;
	if (unlikely(!kbr_record_is_usual(rec, bld->size - bld->len) || bld->count == S32_MAX))
		return kbr_batch_builder_add_exact(bld, rec, ts_delta);
	p = kbr_record_put_body(start + 2, rec, bld->count, ts_delta);
	raw = (u32)(p - start - 2) << 1;
	start[0] = (u8)raw | 0x80;
	start[1] = (u8)(raw >> 7);
	kbr_batch_builder_note(bld, rec, p);
	return 0;
}
KBR_EXPORT_IF_KUNIT(kbr_batch_builder_add);

size_t kbr_batch_builder_close(struct kbr_batch_builder *bld, struct kbr_batch *batch)
{
	*batch = (struct kbr_batch) {
		.size = bld->len,
		.leader_epoch = -1,
		.last_offset_delta = bld->count - 1,
		.base_timestamp = bld->base_timestamp,
		.max_timestamp = bld->max_timestamp,
		.producer_id = -1,
		.producer_epoch = -1,
		.base_sequence = -1,
		.records_count = bld->count,
	};

	kbr_batch_encode_header(batch, bld->buf);
	kbr_batch_seal(bld->buf, bld->len);
	return bld->len;
}

size_t kbr_batch_builder_finish(struct kbr_batch_builder *bld)
{
	struct kbr_batch batch;

	return kbr_batch_builder_close(bld, &batch);
}
KBR_EXPORT_IF_KUNIT(kbr_batch_builder_finish);
