// SPDX-License-Identifier: GPL-2.0-only OR LGPL-2.1-or-later
/*
 * Walking the records of a batch and the headers of a record.
 * The rules for clients' batches are in validate.c, building is in builder.c.
 */
#include <linux/errno.h>
#include <linux/types.h>

#include "base/kunit.h"
#include "codec/record.h"
#include "codec/record_parse.h"
#include "codec/varint.h"

void kbr_record_iter_init(struct kbr_record_iter *it, const struct kbr_batch *batch,
			  const void *records, size_t len)
{
	it->batch = *batch;
	it->pos = records;
	it->end = it->pos + len;
	it->left = batch->records_count;
	it->last_delta = -1;
}
KBR_EXPORT_IF_KUNIT(kbr_record_iter_init);

int kbr_record_next(struct kbr_record_iter *it, struct kbr_record *rec)
{
	return kbr_record_step(it, rec);
}
KBR_EXPORT_IF_KUNIT(kbr_record_next);

int kbr_header_next(const u8 **pos, const u8 *end, struct kbr_header *header)
{
	const u8 *p = *pos;
	s32 key_len, value_len;

	if (p == end)
		return 0;
	p = kbr_varint_decode(p, end, &key_len);
	if (!p || key_len < 0 || key_len > end - p)
		return -EBADMSG;
	header->key = p;
	header->key_len = key_len;
	p += key_len;

	p = kbr_varint_decode(p, end, &value_len);
	if (!p || value_len < -1 || value_len > end - p)
		return -EBADMSG;
	if (value_len < 0) {
		header->value = NULL;
		header->value_len = 0;
	} else {
		header->value = p;
		header->value_len = value_len;
		p += value_len;
	}
	*pos = p;
	return 1;
}
KBR_EXPORT_IF_KUNIT(kbr_header_next);

bool kbr_record_headers_ok(const u8 *p, const u8 *end, u32 count)
{
	struct kbr_header header;

	for (; count; count--)
		if (kbr_header_next(&p, end, &header) != 1)
			return false;
	return p == end;
}
