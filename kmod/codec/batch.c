// SPDX-License-Identifier: GPL-2.0-only OR LGPL-2.1-or-later
/*
 * The batch header: read, write, stamp and checksum. What a client's batch must
 * obey is in validate.c.
 */
#include <linux/errno.h>
#include <linux/limits.h>
#include <linux/overflow.h>
#include <linux/string.h>
#include <linux/types.h>
#include <asm/byteorder.h>

#include "base/kunit.h"
#include "base/limits.h"
#include "codec/batch.h"
#include "codec/batch_header.h"
#include "codec/crc32c.h"

enum kbr_batch_fault kbr_batch_read_header(struct kbr_batch *batch, const void *buf)
{
	const struct kbr_batch_wire *wire = buf;
	u32 length = be32_to_cpu(wire->length);
	s64 last;

	/* magic first: older formats have other fields after it */
	if (wire->magic != KBR_BATCH_MAGIC)
		return KBR_FAULT_MAGIC;
	if (length < KBR_BATCH_LENGTH_MIN || length > KBR_BATCH_BYTES_MAX - KBR_BATCH_PREFIX_LEN)
		return KBR_FAULT_LENGTH;

	batch->base_offset = (s64)be64_to_cpu(wire->base_offset);
	batch->size = length + KBR_BATCH_PREFIX_LEN;
	batch->leader_epoch = (s32)be32_to_cpu(wire->leader_epoch);
	batch->crc = be32_to_cpu(wire->crc);
	batch->attributes = be16_to_cpu(wire->attributes);
	batch->last_offset_delta = (s32)be32_to_cpu(wire->last_offset_delta);
	batch->base_timestamp = (s64)be64_to_cpu(wire->base_timestamp);
	batch->max_timestamp = (s64)be64_to_cpu(wire->max_timestamp);
	batch->producer_id = (s64)be64_to_cpu(wire->producer_id);
	batch->producer_epoch = (s16)be16_to_cpu(wire->producer_epoch);
	batch->base_sequence = (s32)be32_to_cpu(wire->base_sequence);
	batch->records_count = (s32)be32_to_cpu(wire->records_count);

	/* the offset after the last one must exist too: it is the next append's */
	if (batch->base_offset < 0 || batch->last_offset_delta < 0 ||
	    check_add_overflow(batch->base_offset, (s64)batch->last_offset_delta, &last) ||
	    last == S64_MAX)
		return KBR_FAULT_BASE_OFFSET;
	/* compaction removes records and never adds any */
	if (batch->records_count < 0 ||
	    (s64)batch->records_count > (s64)batch->last_offset_delta + 1)
		return KBR_FAULT_COUNT;
	return KBR_FAULT_NONE;
}

int kbr_batch_decode(struct kbr_batch *batch, const void *buf, size_t len)
{
	if (len < KBR_BATCH_HEADER_LEN)
		return -ENODATA;
	return kbr_batch_read_header(batch, buf) == KBR_FAULT_NONE ? 0 : -EBADMSG;
}
KBR_EXPORT_IF_KUNIT(kbr_batch_decode);

void kbr_batch_encode_header(const struct kbr_batch *batch, void *buf)
{
	struct kbr_batch_wire *wire = buf;

	wire->base_offset = cpu_to_be64((u64)batch->base_offset);
	wire->length = cpu_to_be32(batch->size - KBR_BATCH_PREFIX_LEN);
	wire->leader_epoch = cpu_to_be32((u32)batch->leader_epoch);
	wire->magic = KBR_BATCH_MAGIC;
	wire->crc = cpu_to_be32(batch->crc);
	wire->attributes = cpu_to_be16(batch->attributes);
	wire->last_offset_delta = cpu_to_be32((u32)batch->last_offset_delta);
	wire->base_timestamp = cpu_to_be64((u64)batch->base_timestamp);
	wire->max_timestamp = cpu_to_be64((u64)batch->max_timestamp);
	wire->producer_id = cpu_to_be64((u64)batch->producer_id);
	wire->producer_epoch = cpu_to_be16((u16)batch->producer_epoch);
	wire->base_sequence = cpu_to_be32((u32)batch->base_sequence);
	wire->records_count = cpu_to_be32((u32)batch->records_count);
}
KBR_EXPORT_IF_KUNIT(kbr_batch_encode_header);

u32 kbr_batch_crc(const void *buf, size_t size)
{
	return kbr_crc32c(0, buf + KBR_BATCH_CRC_START, size - KBR_BATCH_CRC_START);
}
KBR_EXPORT_IF_KUNIT(kbr_batch_crc);

void kbr_batch_seal(void *buf, size_t size)
{
	struct kbr_batch_wire *wire = buf;

	wire->crc = cpu_to_be32(kbr_batch_crc(buf, size));
}
KBR_EXPORT_IF_KUNIT(kbr_batch_seal);

int kbr_batch_check_crc(const void *buf, size_t size)
{
	const struct kbr_batch_wire *wire = buf;

	if (size < KBR_BATCH_HEADER_LEN || be32_to_cpu(wire->crc) != kbr_batch_crc(buf, size))
		return -EBADMSG;
	return 0;
}
KBR_EXPORT_IF_KUNIT(kbr_batch_check_crc);

void kbr_batch_stamp(void *buf, s64 base_offset, s32 leader_epoch)
{
	struct kbr_batch_wire *wire = buf;

	wire->base_offset = cpu_to_be64((u64)base_offset);
	wire->leader_epoch = cpu_to_be32((u32)leader_epoch);
}
KBR_EXPORT_IF_KUNIT(kbr_batch_stamp);

void kbr_batch_set_append_time(void *buf, size_t size, s64 now_ms)
{
	struct kbr_batch_wire *wire = buf;

	wire->attributes |= cpu_to_be16(KBR_BATCH_APPEND_TIME);
	kbr_batch_set_max_timestamp(buf, size, now_ms);
}
KBR_EXPORT_IF_KUNIT(kbr_batch_set_append_time);

void kbr_batch_set_max_timestamp(void *buf, size_t size, s64 max_timestamp)
{
	struct kbr_batch_wire *wire = buf;

	wire->max_timestamp = cpu_to_be64((u64)max_timestamp);
	kbr_batch_seal(buf, size);
}
KBR_EXPORT_IF_KUNIT(kbr_batch_set_max_timestamp);
