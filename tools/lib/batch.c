// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Batches built in memory: the codec's builder, and compression around it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <kbroker/batch.h>

#include "base/limits.h"
#include "codec/batch.h"
#include "codec/record.h"
#include "lib.h"
#include "pack.h"

static const char * const kbl_codec_names[] = {
	[KBROKER_CODEC_NONE] = "none",
	[KBROKER_CODEC_GZIP] = "gzip",
	[KBROKER_CODEC_SNAPPY] = "snappy",
	[KBROKER_CODEC_LZ4] = "lz4",
	[KBROKER_CODEC_ZSTD] = "zstd",
};

#define KBL_CODECS	(sizeof(kbl_codec_names) / sizeof(kbl_codec_names[0]))

int kbroker_codec_find(const char *name)
{
	size_t i;

	for (i = 0; i < KBL_CODECS; i++)
		if (!strcmp(name, kbl_codec_names[i]))
			return (int)i;
	return -EINVAL;
}

const char *kbroker_codec_name(int codec)
{
	return codec < 0 || (size_t)codec >= KBL_CODECS ? NULL : kbl_codec_names[codec];
}

int kbroker_batch_new(struct kbroker_batch **batch, size_t size, int codec, int level)
{
	struct kbroker_batch *b;
	int err = 0;

	if (size <= KBR_BATCH_HEADER_LEN || size > KBR_BATCH_BYTES_MAX ||
	    !kbroker_codec_name(codec))
		return -EINVAL;
	b = calloc(1, sizeof(*b));
	if (!b)
		return -ENOMEM;
	b->size = size;
	b->codec = codec;
	b->buf = malloc(size);
	if (!b->buf)
		err = -ENOMEM;
	else if (codec != KBROKER_CODEC_NONE)
		err = kbl_packer_new(&b->packer, codec, level);
	if (err) {
		kbroker_batch_free(b);
		return err;
	}
	kbroker_batch_reset(b);
	*batch = b;
	return 0;
}

void kbroker_batch_free(struct kbroker_batch *batch)
{
	if (!batch)
		return;
	kbl_packer_free(batch->packer);
	free(batch->packed);
	free(batch->buf);
	free(batch);
}

void kbroker_batch_reset(struct kbroker_batch *batch)
{
	kbr_batch_builder_init(&batch->builder, batch->buf, batch->size);
}

int kbroker_batch_add(struct kbroker_batch *batch, const struct kbroker_message *message)
{
	struct kbr_record rec;
	int err;

	if (!kbl_message_to_record(message, &rec))
		return -EINVAL;
	rec.timestamp = message->timestamp == KBROKER_TIME_NOW ? kbl_now_ms() : message->timestamp;
	err = kbr_batch_builder_add(&batch->builder, &rec);
	return err == -ENOSPC && !batch->builder.count ? -EMSGSIZE : err;
}

uint32_t kbroker_batch_count(const struct kbroker_batch *batch)
{
	return (uint32_t)batch->builder.count;
}

size_t kbroker_batch_length(const struct kbroker_batch *batch)
{
	return batch->builder.len;
}

/* The compressed batch in batch->packed: its size; 0 if it would not be smaller; -ENOMEM */
static ssize_t kbl_batch_pack(struct kbroker_batch *batch)
{
	const struct kbr_batch_builder *bld = &batch->builder;
	size_t len = bld->len - KBR_BATCH_HEADER_LEN;
	struct kbr_batch header;
	ssize_t packed;

	if (!batch->packed) {
		batch->packed = malloc(KBR_BATCH_HEADER_LEN +
				       kbl_pack_bound(batch->packer, batch->size));
		if (!batch->packed)
			return -ENOMEM;
	}
	packed = kbl_pack(batch->packer, batch->buf + KBR_BATCH_HEADER_LEN, len,
			  batch->packed + KBR_BATCH_HEADER_LEN);
	if (packed < 0)
		return packed;
	if ((size_t)packed >= len)
		return 0;
	header = (struct kbr_batch){
		.size = KBR_BATCH_HEADER_LEN + packed,
		.leader_epoch = -1,
		.attributes = (u16)batch->codec,
		.last_offset_delta = bld->count - 1,
		.base_timestamp = bld->base_timestamp,
		.max_timestamp = bld->max_timestamp,
		.producer_id = -1,
		.producer_epoch = -1,
		.base_sequence = -1,
		.records_count = bld->count,
	};
	kbr_batch_encode_header(&header, batch->packed);
	kbr_batch_seal(batch->packed, header.size);
	return header.size;
}

int kbroker_batch_finish(struct kbroker_batch *batch, const void **data, size_t *len)
{
	ssize_t packed = 0;

	if (!batch->builder.count)
		return -EINVAL;
	if (batch->packer)
		packed = kbl_batch_pack(batch);
	if (packed < 0)
		return (int)packed;
	if (packed) {
		*data = batch->packed;
		*len = packed;
	} else {
		*len = kbr_batch_builder_finish(&batch->builder);
		*data = batch->buf;
	}
	return 0;
}
