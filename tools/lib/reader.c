// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Walking the records of batches in memory: checksum, decompression, records.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <kbroker/batch.h>

#include "base/limits.h"
#include "codec/batch.h"
#include "codec/compress.h"
#include "codec/record.h"
#include "codec/record_parse.h"

/**
 * struct kbroker_reader - a walk over batches
 * @it: the walk over the current batch's records
 * @pos: the next batch
 * @end: end of the batches
 * @offset: offset after what was passed
 * @from: records below it are passed over
 * @unpacked: the records of the current batch
 * @err: what the walk ended with; 0 while it goes on
 */
struct kbroker_reader {
	struct kbr_record_iter it;
	const u8 *pos;
	const u8 *end;
	s64 offset;
	s64 from;
	struct kbr_unpacked unpacked;
	int err;
};

int kbroker_reader_new(struct kbroker_reader **reader)
{
	*reader = calloc(1, sizeof(**reader));
	return *reader ? 0 : -ENOMEM;
}

void kbroker_reader_free(struct kbroker_reader *reader)
{
	if (!reader)
		return;
	kbr_unpacked_release(&reader->unpacked);
	free(reader);
}

void kbroker_reader_set(struct kbroker_reader *reader, const void *data, size_t len, int64_t offset)
{
	kbr_unpacked_release(&reader->unpacked);
	memset(reader, 0, sizeof(*reader));
	reader->pos = data;
	reader->end = reader->pos + len;
	reader->from = offset;
	reader->offset = offset;
}

int64_t kbroker_reader_position(const struct kbroker_reader *reader)
{
	return reader->offset;
}

/* Begin the next batch that has records to show: 1, 0 at the end, or an error */
static int kbl_reader_next_batch(struct kbroker_reader *reader)
{
	struct kbr_batch batch;
	int err;

	for (;;) {
		size_t left = reader->end - reader->pos;

		kbr_unpacked_release(&reader->unpacked);
		if (!left)
			return 0;
		if (kbr_batch_decode(&batch, reader->pos, left) || batch.size > left ||
		    kbr_batch_check_crc(reader->pos, batch.size))
			return -EBADMSG;
		if (kbr_batch_last_offset(&batch) >= reader->from && batch.records_count &&
		    !(batch.attributes & KBR_BATCH_CONTROL))
			break;
		reader->pos += batch.size;
		if (kbr_batch_last_offset(&batch) >= reader->offset)
			reader->offset = kbr_batch_last_offset(&batch) + 1;
	}
	err = kbr_unpack(&batch, reader->pos, KBR_UNPACKED_BYTES_MAX, &reader->unpacked);
	if (err)
		return err;
	kbr_record_iter_init(&reader->it, &batch, reader->unpacked.data, reader->unpacked.len);
	reader->pos += batch.size;
	return 1;
}

static int kbl_reader_end_batch(struct kbroker_reader *reader)
{
	s64 last = kbr_batch_last_offset(&reader->it.batch);

	/* compaction may have taken the last records of a batch, not their offsets */
	if (reader->unpacked.data && last >= reader->offset)
		reader->offset = last + 1;
	return kbl_reader_next_batch(reader);
}

int kbroker_reader_next(struct kbroker_reader *reader, struct kbroker_message *message)
{
	struct kbr_record rec;
	int ret;

	if (unlikely(reader->err))
		return reader->err;
	for (;;) {
		ret = likely(reader->unpacked.data) ? kbr_record_step(&reader->it, &rec) : 0;
		if (unlikely(ret <= 0)) {
			if (!ret)
				ret = kbl_reader_end_batch(reader);
			if (ret > 0)
				continue;
			reader->err = ret;
			return ret;
		}
		if (likely(rec.offset >= reader->from))
			break;
	}
	reader->offset = rec.offset + 1;
	message->key = rec.key;
	message->key_len = rec.key_len;
	message->value = rec.value;
	message->value_len = rec.value_len;
	message->headers = rec.headers;
	message->headers_len = rec.headers_len;
	message->headers_count = rec.headers_count;
	message->offset = rec.offset;
	message->timestamp = rec.timestamp;
	message->leader_epoch = reader->it.batch.leader_epoch;
	return 1;
}
