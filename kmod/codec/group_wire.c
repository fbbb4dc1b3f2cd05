// SPDX-License-Identifier: GPL-2.0-only OR LGPL-2.1-or-later
/*
 * What brokers tell each other of groups; see group_wire.h.
 */
#include <linux/errno.h>

#include "base/kunit.h"
#include "codec/group_wire.h"

/* ---- writing ---- */

void kbr_group_put_place(struct kbr_wire_writer *w, const struct kbr_group_place *place)
{
	kbr_put_s8(w, place->kind);
	kbr_put_bool(w, place->one);
	kbr_put_bool(w, place->inside);
	kbr_put_str(w, &place->group);
	kbr_put_str(w, &place->topic);
	kbr_put_s32(w, place->partition);
	kbr_put_s32(w, place->nth);
	kbr_put_s32(w, place->part);
}
KBR_EXPORT_IF_KUNIT(kbr_group_put_place);

/* Never null, and not longer than a text may be. */
static void kbr_group_put_text(struct kbr_wire_writer *w, const struct kbr_str *text)
{
	struct kbr_str cut = { .at = text->at, .len = text->len };

	if (cut.len < 0)
		cut.len = 0;
	if (cut.len > KBR_GROUP_TEXT_MAX)
		cut.len = KBR_GROUP_TEXT_MAX;
	if (!cut.len)
		cut.at = "";
	kbr_put_str(w, &cut);
}

void kbr_group_put_told(struct kbr_wire_writer *w, const struct kbr_group_told *told)
{
	kbr_put_str(w, &told->name);
	kbr_put_s8(w, told->kind);
	kbr_put_s8(w, told->state);
	kbr_put_s32(w, told->generation);
	kbr_put_s32(w, told->members);
	kbr_put_s32(w, told->offsets);
	kbr_group_put_text(w, &told->protocol_type);
	kbr_group_put_text(w, &told->protocol);
	kbr_group_put_text(w, &told->leader);
	kbr_put_s64(w, told->state_ms);
	kbr_put_s64(w, told->bytes);
}
KBR_EXPORT_IF_KUNIT(kbr_group_put_told);

static void kbr_group_put_client(struct kbr_wire_writer *w,
				 const struct kbr_group_member_told *told)
{
	kbr_group_put_text(w, &told->id);
	if (told->instance_id.len < 0)
		kbr_put_string(w, NULL);
	else
		kbr_group_put_text(w, &told->instance_id);
	kbr_group_put_text(w, &told->client_id);
	kbr_group_put_text(w, &told->client_host);
	kbr_put_s32(w, told->session_timeout_ms);
	kbr_put_s32(w, told->rebalance_timeout_ms);
	kbr_put_bytes(w, told->assignment.len > 0 ? told->assignment.at : "",
		      told->assignment.len > 0 ? told->assignment.len : 0);
}

static void kbr_group_put_device(struct kbr_wire_writer *w,
				 const struct kbr_group_member_told *told)
{
	u32 i;

	kbr_put_s32(w, told->node);
	kbr_put_s32(w, told->pid);
	kbr_put_str(w, &told->comm);
	kbr_put_str(w, &told->topic);
	kbr_put_count(w, told->count);
	for (i = 0; i < told->count; i++)
		kbr_put_s32(w, told->partitions[i]);
}

void kbr_group_put_member(struct kbr_wire_writer *w, const struct kbr_group_member_told *told)
{
	kbr_put_str(w, &told->group);
	kbr_put_s32(w, told->nth);
	kbr_put_bool(w, told->device);
	if (told->device)
		kbr_group_put_device(w, told);
	else
		kbr_group_put_client(w, told);
}
KBR_EXPORT_IF_KUNIT(kbr_group_put_member);

void kbr_group_put_offset(struct kbr_wire_writer *w, const struct kbr_group_offset_told *told)
{
	kbr_put_str(w, &told->group);
	kbr_put_str(w, &told->topic);
	kbr_put_s32(w, told->partition);
	kbr_put_s64(w, told->offset);
	kbr_put_s64(w, told->commit_ms);
	kbr_put_s64(w, told->expire_ms);
	kbr_put_s64(w, told->position);
	kbr_put_bool(w, told->placed);
	if (!told->placed)
		return;
	kbr_put_s64(w, told->start);
	kbr_put_s64(w, told->end);
	kbr_put_s64(w, told->from);
	kbr_put_s64(w, told->lag);
	kbr_put_s64(w, told->lag_bytes);
	kbr_put_s64(w, told->lag_ms);
}
KBR_EXPORT_IF_KUNIT(kbr_group_put_offset);

/* ---- reading ---- */

void kbr_group_get_place(struct kbr_wire_reader *r, struct kbr_group_place *place)
{
	place->kind = kbr_get_s8(r);
	place->one = kbr_get_bool(r);
	place->inside = kbr_get_bool(r);
	place->group = kbr_get_nullable_string(r);
	place->topic = kbr_get_string(r);
	place->partition = kbr_get_s32(r);
	place->nth = kbr_get_s32(r);
	place->part = kbr_get_s32(r);
}
KBR_EXPORT_IF_KUNIT(kbr_group_get_place);

void kbr_group_get_told(struct kbr_wire_reader *r, struct kbr_group_told *told)
{
	told->name = kbr_get_string(r);
	told->kind = kbr_get_s8(r);
	told->state = kbr_get_s8(r);
	told->generation = kbr_get_s32(r);
	told->members = kbr_get_s32(r);
	told->offsets = kbr_get_s32(r);
	told->protocol_type = kbr_get_string(r);
	told->protocol = kbr_get_string(r);
	told->leader = kbr_get_string(r);
	told->state_ms = kbr_get_s64(r);
	told->bytes = kbr_get_s64(r);
}
KBR_EXPORT_IF_KUNIT(kbr_group_get_told);

static void kbr_group_get_client(struct kbr_wire_reader *r, struct kbr_group_member_told *told)
{
	told->id = kbr_get_string(r);
	told->instance_id = kbr_get_nullable_string(r);
	told->client_id = kbr_get_string(r);
	told->client_host = kbr_get_string(r);
	told->session_timeout_ms = kbr_get_s32(r);
	told->rebalance_timeout_ms = kbr_get_s32(r);
	told->assignment = kbr_get_bytes(r);
}

static void kbr_group_get_device(struct kbr_wire_reader *r, struct kbr_group_member_told *told)
{
	s32 count, i;

	told->node = kbr_get_s32(r);
	told->pid = kbr_get_s32(r);
	told->comm = kbr_get_string(r);
	told->topic = kbr_get_string(r);
	count = kbr_get_count(r);
	told->count = count;
	told->list = *r;
	for (i = 0; i < count && !r->bad; i++)
		kbr_get_s32(r);
}

void kbr_group_get_member(struct kbr_wire_reader *r, struct kbr_group_member_told *told)
{
	*told = (struct kbr_group_member_told){ .node = -1 };
	told->group = kbr_get_string(r);
	told->nth = kbr_get_s32(r);
	told->device = kbr_get_bool(r);
	if (told->device)
		kbr_group_get_device(r, told);
	else
		kbr_group_get_client(r, told);
}
KBR_EXPORT_IF_KUNIT(kbr_group_get_member);

void kbr_group_get_offset(struct kbr_wire_reader *r, struct kbr_group_offset_told *told)
{
	*told = (struct kbr_group_offset_told){ .lag_ms = -1 };
	told->group = kbr_get_string(r);
	told->topic = kbr_get_string(r);
	told->partition = kbr_get_s32(r);
	told->offset = kbr_get_s64(r);
	told->commit_ms = kbr_get_s64(r);
	told->expire_ms = kbr_get_s64(r);
	told->position = kbr_get_s64(r);
	told->placed = kbr_get_bool(r);
	if (!told->placed)
		return;
	told->start = kbr_get_s64(r);
	told->end = kbr_get_s64(r);
	told->from = kbr_get_s64(r);
	told->lag = kbr_get_s64(r);
	told->lag_bytes = kbr_get_s64(r);
	told->lag_ms = kbr_get_s64(r);
}
KBR_EXPORT_IF_KUNIT(kbr_group_get_offset);

/* ---- checking ---- */

/* Offsets are kept for a group without a name, too. */
static bool kbr_group_name_fits(const struct kbr_str *name)
{
	return name->len <= KBR_GROUP_NAME_MAX;
}

static bool kbr_group_topic_fits(const struct kbr_str *name)
{
	return name->len > 0 && name->len <= KBR_TOPIC_NAME_MAX;
}

static bool kbr_group_text_fits(const struct kbr_str *text)
{
	return text->len <= KBR_GROUP_TEXT_MAX;
}

static bool kbr_group_partition_fits(s32 partition)
{
	return partition >= 0 && partition < KBR_TOPIC_PARTITIONS_MAX;
}

static bool kbr_group_place_valid(const struct kbr_group_place *place)
{
	return place->kind < KBR_GROUP_VIEW_KINDS && place->group.len <= KBR_GROUP_NAME_MAX &&
	       (place->group.len >= 0 || (!place->one && !place->inside)) &&
	       place->topic.len <= KBR_TOPIC_NAME_MAX && place->partition >= -1 &&
	       place->partition < KBR_TOPIC_PARTITIONS_MAX && (s32)place->nth >= 0 &&
	       (s32)place->part >= 0;
}

int kbr_group_place_check(const struct kbr_wire_reader *reader)
{
	struct kbr_wire_reader copy = *reader;
	struct kbr_group_place place;

	kbr_group_get_place(&copy, &place);
	return copy.bad || kbr_wire_reader_left(&copy) || !kbr_group_place_valid(&place) ?
	       -EPROTO : 0;
}
KBR_EXPORT_IF_KUNIT(kbr_group_place_check);

static bool kbr_group_told_valid(struct kbr_wire_reader *r)
{
	struct kbr_group_told told;

	kbr_group_get_told(r, &told);
	return !r->bad && kbr_group_name_fits(&told.name) && (s32)told.members >= 0 &&
	       (s32)told.offsets >= 0 && kbr_group_text_fits(&told.protocol_type) &&
	       kbr_group_text_fits(&told.protocol) && kbr_group_text_fits(&told.leader) &&
	       (s64)told.bytes >= 0;
}

static bool kbr_group_list_valid(const struct kbr_group_member_told *told)
{
	struct kbr_wire_reader list = told->list;
	u32 i;

	for (i = 0; i < told->count; i++)
		if (!kbr_group_partition_fits(kbr_get_s32(&list)))
			return false;
	return !list.bad;
}

static bool kbr_group_member_valid(struct kbr_wire_reader *r)
{
	struct kbr_group_member_told told;

	kbr_group_get_member(r, &told);
	if (r->bad || !kbr_group_name_fits(&told.group) || (s32)told.nth < 0)
		return false;
	if (told.device)
		return told.node >= -1 && told.comm.len <= KBR_GROUP_COMM_MAX &&
		       kbr_group_topic_fits(&told.topic) && told.count <= KBR_GROUP_LIST_MAX &&
		       kbr_group_list_valid(&told);
	return kbr_group_text_fits(&told.id) && kbr_group_text_fits(&told.instance_id) &&
	       kbr_group_text_fits(&told.client_id) && kbr_group_text_fits(&told.client_host) &&
	       told.assignment.len <= KBR_GROUP_PART_MAX;
}

static bool kbr_group_offset_valid(struct kbr_wire_reader *r)
{
	struct kbr_group_offset_told told;

	kbr_group_get_offset(r, &told);
	return !r->bad && kbr_group_name_fits(&told.group) && kbr_group_topic_fits(&told.topic) &&
	       kbr_group_partition_fits(told.partition) && told.offset >= -1 &&
	       told.expire_ms >= -1 && told.position >= -1 && told.start >= 0 && told.end >= 0 &&
	       told.from >= 0 && told.lag >= 0 && told.lag_bytes >= 0 && told.lag_ms >= -1;
}

int kbr_group_page_check(const struct kbr_wire_reader *reader, u8 kind)
{
	static bool (*const valid[])(struct kbr_wire_reader *r) = {
		[KBR_GROUP_VIEW_GROUPS] = kbr_group_told_valid,
		[KBR_GROUP_VIEW_MEMBERS] = kbr_group_member_valid,
		[KBR_GROUP_VIEW_OFFSETS] = kbr_group_offset_valid,
	};
	struct kbr_wire_reader copy = *reader, *r = &copy;
	struct kbr_group_place next;
	s32 count;

	kbr_get_bool(r);
	kbr_group_get_place(r, &next);
	if (r->bad || next.kind != kind || !kbr_group_place_valid(&next))
		return -EPROTO;
	for (count = kbr_get_count(r); count > 0; count--)
		if (!valid[kind](r))
			return -EPROTO;
	return r->bad || kbr_wire_reader_left(r) ? -EPROTO : 0;
}
KBR_EXPORT_IF_KUNIT(kbr_group_page_check);
