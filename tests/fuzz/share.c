// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a broker says about device members: a message that passes its check is
 * read without a fault to exactly its end, and keeps the promises that its
 * readers rely on.
 */
#include <string.h>

#include "codec/share_wire.h"
#include "fuzz.h"

static void fuzz_name(const struct kbr_str *name, const uint8_t *data, size_t size, s32 max)
{
	FUZZ_HOLDS(name->len > 0 && name->len <= max);
	FUZZ_HOLDS((const uint8_t *)name->at >= data && (const uint8_t *)name->at + name->len <= data + size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct kbr_share_message message;
	struct kbr_share_reader reader;
	struct kbr_share_item item;
	s32 readers, items, i;
	struct kbr_wire_reader r;
	s64 before = -1;

	kbr_wire_reader_init(&r, data, size, false);
	if (kbr_share_check(&r))
		return 0;
	FUZZ_HOLDS(!r.bad && kbr_wire_reader_left(&r) == size);
	kbr_share_get_head(&r, &message);
	FUZZ_HOLDS(message.kind < KBR_SHARE_KINDS && message.epoch >= 0);
	FUZZ_HOLDS(message.members <= KBR_SHARE_MEMBERS_MAX);
	fuzz_name(&message.group, data, size, KBR_GROUP_NAME_MAX);
	fuzz_name(&message.topic, data, size, KBR_TOPIC_NAME_MAX);
	readers = kbr_get_count(&r);
	FUZZ_HOLDS(readers >= 0 && readers <= KBR_SHARE_READERS_MAX && readers <= (s64)message.members);
	for (i = 0; i < readers; i++) {
		kbr_share_get_reader(&r, &reader);
		FUZZ_HOLDS(memchr(reader.comm, 0, sizeof(reader.comm)));
	}
	items = kbr_get_count(&r);
	for (i = 0; i < items; i++) {
		kbr_share_get_item(&r, &item);
		FUZZ_HOLDS((s64)item.partition > before && item.partition < KBR_TOPIC_PARTITIONS_MAX);
		FUZZ_HOLDS(item.grant && item.offset >= -1 && item.reader >= -1 && item.reader < readers);
		before = item.partition;
	}
	FUZZ_HOLDS(!r.bad && !kbr_wire_reader_left(&r));
	return 0;
}
