// SPDX-License-Identifier: GPL-2.0-only OR LGPL-2.1-or-later
/*
 * The answer to a Fetch, as a follower reads it; see fetched.h.
 */
#include <linux/errno.h>
#include <linux/string.h>
#include <linux/types.h>

#include "base/kunit.h"
#include "codec/batch.h"
#include "codec/fetched.h"
#include "codec/proto.h"

int kbr_fetched_open(struct kbr_wire_reader *r, const void *buf, size_t len,
		     struct kbr_fetched_head *head)
{
	kbr_wire_reader_init(r, buf, len, true);
	head->correlation = kbr_get_s32(r);
	kbr_get_tags(r);
	if (r->bad || kbr_message_check(r, kbr_api_find(KBR_API_FETCH)->response, KBR_FETCHED_VERSION))
		return -EPROTO;
	kbr_get_s32(r);		/* throttle_time_ms */
	head->code = kbr_get_s16(r);
	head->session = kbr_get_s32(r);
	return 0;
}
KBR_EXPORT_IF_KUNIT(kbr_fetched_open);

static void kbr_fetched_get_tags(struct kbr_wire_reader *r, struct kbr_fetched_part *part)
{
	struct kbr_wire_reader field;
	u32 count;

	for (count = kbr_get_tag_count(r); count > 0 && !r->bad; count--) {
		if (kbr_get_tag(r, &field) != KBR_TAG_FETCH_DIVERGING_EPOCH)
			continue;
		part->diverging_epoch = kbr_get_s32(&field);
		part->diverging_end = kbr_get_s64(&field);
		part->diverges = !field.bad;
	}
}

void kbr_fetched_get_part(struct kbr_wire_reader *r, struct kbr_fetched_part *part)
{
	s32 aborted;

	memset(part, 0, sizeof(*part));
	part->index = kbr_get_s32(r);
	part->code = kbr_get_s16(r);
	part->hw = kbr_get_s64(r);
	kbr_get_s64(r);		/* last stable offset */
	part->start = kbr_get_s64(r);
	for (aborted = kbr_get_nullable_count(r); aborted > 0 && !r->bad; aborted--) {
		kbr_get_s64(r);
		kbr_get_s64(r);
		kbr_get_tags(r);
	}
	kbr_get_s32(r);		/* preferred read replica */
	part->records = kbr_get_nullable_bytes(r);
	kbr_fetched_get_tags(r, part);
}
KBR_EXPORT_IF_KUNIT(kbr_fetched_get_part);

void kbr_fetched_trim(struct kbr_str *records, s64 end)
{
	struct kbr_batch batch;

	while (records->len > 0 && !kbr_batch_decode(&batch, records->at, records->len) &&
	       batch.size <= (size_t)records->len && kbr_batch_last_offset(&batch) < end) {
		records->at += batch.size;
		records->len -= (s32)batch.size;
	}
}
KBR_EXPORT_IF_KUNIT(kbr_fetched_trim);
