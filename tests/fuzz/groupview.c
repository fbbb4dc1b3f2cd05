// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a broker tells of its groups: a page that passes its check is read without
 * a fault to exactly its end, inside its bounds; and so is a place in a view.
 */
#include <string.h>

#include "codec/group_wire.h"
#include "fuzz.h"

static void fuzz_text(const struct kbr_str *text, s32 max, const uint8_t *data, size_t size)
{
	FUZZ_HOLDS(text->len >= 0 && text->len <= max);
	FUZZ_HOLDS(!text->len || ((const uint8_t *)text->at >= data &&
				  (const uint8_t *)text->at + text->len <= data + size));
}

static void fuzz_group(struct kbr_wire_reader *r, const uint8_t *data, size_t size)
{
	struct kbr_group_told told;

	kbr_group_get_told(r, &told);
	fuzz_text(&told.name, KBR_GROUP_NAME_MAX, data, size);
	fuzz_text(&told.protocol, KBR_GROUP_TEXT_MAX, data, size);
	fuzz_text(&told.leader, KBR_GROUP_TEXT_MAX, data, size);
}

static void fuzz_member(struct kbr_wire_reader *r, const uint8_t *data, size_t size)
{
	struct kbr_group_member_told told;
	u32 i;

	kbr_group_get_member(r, &told);
	fuzz_text(&told.group, KBR_GROUP_NAME_MAX, data, size);
	if (!told.device) {
		fuzz_text(&told.id, KBR_GROUP_TEXT_MAX, data, size);
		fuzz_text(&told.assignment, KBR_GROUP_PART_MAX, data, size);
		return;
	}
	fuzz_text(&told.comm, KBR_GROUP_COMM_MAX, data, size);
	fuzz_text(&told.topic, KBR_TOPIC_NAME_MAX, data, size);
	FUZZ_HOLDS(told.count <= KBR_GROUP_LIST_MAX);
	for (i = 0; i < told.count; i++)
		FUZZ_HOLDS((u32)kbr_get_s32(&told.list) < KBR_TOPIC_PARTITIONS_MAX);
	FUZZ_HOLDS(!told.list.bad);
}

static void fuzz_offset(struct kbr_wire_reader *r, const uint8_t *data, size_t size)
{
	struct kbr_group_offset_told told;

	kbr_group_get_offset(r, &told);
	fuzz_text(&told.topic, KBR_TOPIC_NAME_MAX, data, size);
	FUZZ_HOLDS(told.partition >= 0 && told.partition < KBR_TOPIC_PARTITIONS_MAX);
	FUZZ_HOLDS(told.offset >= -1 && told.lag >= 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static void (*const entries[])(struct kbr_wire_reader *r, const uint8_t *data, size_t size) = {
		[KBR_GROUP_VIEW_GROUPS] = fuzz_group,
		[KBR_GROUP_VIEW_MEMBERS] = fuzz_member,
		[KBR_GROUP_VIEW_OFFSETS] = fuzz_offset,
	};
	struct kbr_group_place next;
	struct kbr_wire_reader r;
	s32 count;
	u8 kind;

	kbr_wire_reader_init(&r, data, size, false);
	if (!kbr_group_place_check(&r)) {
		kbr_group_get_place(&r, &next);
		FUZZ_HOLDS(!r.bad && !kbr_wire_reader_left(&r) && next.kind < KBR_GROUP_VIEW_KINDS);
	}
	for (kind = 0; kind < KBR_GROUP_VIEW_KINDS; kind++) {
		kbr_wire_reader_init(&r, data, size, false);
		if (kbr_group_page_check(&r, kind))
			continue;
		kbr_get_bool(&r);
		kbr_group_get_place(&r, &next);
		FUZZ_HOLDS(next.kind == kind);
		for (count = kbr_get_count(&r); count > 0; count--)
			entries[kind](&r, data, size);
		FUZZ_HOLDS(!r.bad && !kbr_wire_reader_left(&r));
	}
	return 0;
}
