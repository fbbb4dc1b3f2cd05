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

static u8 *kbr_record_put_bytes(u8 *p, const u8 *bytes, u32 len)
{
	p = kbr_varint_encode(p, kbr_record_len_field(bytes, len));
	if (len) {
		memcpy(p, bytes, len);
		p += len;
	}
	return p;
}

int kbr_batch_builder_add(struct kbr_batch_builder *bld, const struct kbr_record *rec)
{
	s64 ts_delta = 0;
	size_t body;
	u8 *p;

	if (rec->key_len > KBR_BATCH_BYTES_MAX || rec->value_len > KBR_BATCH_BYTES_MAX ||
	    rec->headers_len > KBR_BATCH_BYTES_MAX ||
	    rec->headers_count > KBR_RECORD_HEADERS_MAX ||
	    (!rec->key && rec->key_len) || (!rec->value && rec->value_len))
		return -EINVAL;
	if (bld->count && check_sub_overflow(rec->timestamp, bld->base_timestamp, &ts_delta))
		return -EINVAL;

	body = kbr_record_body_size(rec, bld->count, ts_delta);
	if (body > KBR_BATCH_BYTES_MAX)
		return -EINVAL;
	if (kbr_varint_size((s32)body) + body > bld->size - bld->len || bld->count == S32_MAX)
		return -ENOSPC;

	p = kbr_varint_encode(bld->buf + bld->len, (s32)body);
	*p++ = 0;
	p = kbr_varlong_encode(p, ts_delta);
	p = kbr_varint_encode(p, bld->count);
	p = kbr_record_put_bytes(p, rec->key, rec->key_len);
	p = kbr_record_put_bytes(p, rec->value, rec->value_len);
	p = kbr_varint_encode(p, (s32)rec->headers_count);
	if (rec->headers_len) {
		memcpy(p, rec->headers, rec->headers_len);
		p += rec->headers_len;
	}

	if (!bld->count) {
		bld->base_timestamp = rec->timestamp;
		bld->max_timestamp = rec->timestamp;
	} else if (rec->timestamp > bld->max_timestamp) {
		bld->max_timestamp = rec->timestamp;
	}
	bld->count++;
	bld->len = p - bld->buf;
	return 0;
}
KBR_EXPORT_IF_KUNIT(kbr_batch_builder_add);

size_t kbr_batch_builder_finish(struct kbr_batch_builder *bld)
{
	const struct kbr_batch batch = {
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

	kbr_batch_encode_header(&batch, bld->buf);
	kbr_batch_seal(bld->buf, bld->len);
	return bld->len;
}
KBR_EXPORT_IF_KUNIT(kbr_batch_builder_finish);
