// SPDX-License-Identifier: GPL-2.0-only
/*
 * What brokers tell each other of groups: what is written is read, cut anywhere
 * it is refused, and so is what nobody writes.
 */
#include <errno.h>
#include <string.h>

#include "codec/group_wire.h"
#include "tap.h"
#include "unit.h"

static struct kbr_str str(const char *text)
{
	return (struct kbr_str){ .at = text, .len = text ? (s32)strlen(text) : -1 };
}

static struct kbr_group_place place_of(u8 kind)
{
	return (struct kbr_group_place){
		.kind = kind, .inside = true, .group = str("orders"), .topic = str("t"), .partition = 7,
		.nth = 3, .part = 4,
	};
}

/* A page with an entry or two of its kind */
static void put_page(struct kbr_wire_writer *w, u8 kind)
{
	static const u32 partitions[] = { 0, 9999 };
	struct kbr_group_place next = place_of(kind);
	struct kbr_group_told told = {
		.name = str("orders"), .kind = 1, .state = 3, .generation = -1, .members = 2, .offsets = 5,
		.protocol_type = str("consumer"), .protocol = { .len = -1 }, .state_ms = 77, .bytes = 99,
	};
	struct kbr_group_member_told client = {
		.group = str("orders"), .nth = 1, .id = str("id"), .instance_id = { .len = -1 },
		.client_id = str("me"), .client_host = str("/192.0.2.1"), .session_timeout_ms = 6000,
		.rebalance_timeout_ms = 7000, .assignment = { "\0\1", 2 },
	};
	struct kbr_group_member_told device = {
		.group = str("orders"), .nth = 2, .device = true, .node = -1, .pid = 42, .comm = str("cat"),
		.topic = str("t"), .count = 2, .partitions = partitions,
	};
	struct kbr_group_offset_told offset = {
		.group = str("orders"), .topic = str("t"), .partition = 1, .offset = -1, .expire_ms = -1,
		.position = 12,
	};

	kbr_wire_writer_init(w, 1 << 20, false);
	kbr_put_bool(w, true);
	kbr_group_put_place(w, &next);
	switch (kind) {
	case KBR_GROUP_VIEW_GROUPS:
		kbr_put_count(w, 1);
		kbr_group_put_told(w, &told);
		break;
	case KBR_GROUP_VIEW_MEMBERS:
		kbr_put_count(w, 2);
		kbr_group_put_member(w, &client);
		kbr_group_put_member(w, &device);
		break;
	default:
		kbr_put_count(w, 2);
		kbr_group_put_offset(w, &offset);
		offset.placed = true;
		offset.end = 20;
		offset.from = 12;
		offset.lag = 8;
		offset.lag_ms = -1;
		kbr_group_put_offset(w, &offset);
	}
}

static int check(const struct kbr_wire_writer *w, size_t len, u8 kind)
{
	struct kbr_wire_reader r;

	kbr_wire_reader_init(&r, w->buf, len, false);
	return kbr_group_page_check(&r, kind);
}

/* Reads behind the head of a page that was checked */
static void open_page(struct kbr_wire_reader *r, const struct kbr_wire_writer *w, s32 entries)
{
	struct kbr_group_place next;

	kbr_wire_reader_init(r, w->buf, w->len, false);
	expect_eq(kbr_get_bool(r), true);
	kbr_group_get_place(r, &next);
	expect(kbr_str_equal(&next.group, "orders"));
	expect(kbr_str_equal(&next.topic, "t"));
	expect(next.inside && !next.one);
	expect_eq(next.partition, 7);
	expect_eq(next.nth, 3);
	expect_eq(next.part, 4);
	expect_eq(kbr_get_count(r), entries);
}

static void test_groups(void)
{
	struct kbr_group_told told;
	struct kbr_wire_writer w;
	struct kbr_wire_reader r;

	put_page(&w, KBR_GROUP_VIEW_GROUPS);
	expect_eq(check(&w, w.len, KBR_GROUP_VIEW_GROUPS), 0);
	open_page(&r, &w, 1);
	kbr_group_get_told(&r, &told);
	expect(kbr_str_equal(&told.name, "orders"));
	expect_eq(told.kind, 1);
	expect_eq(told.state, 3);
	expect_eq(told.generation, -1);
	expect_eq(told.members, 2);
	expect_eq(told.offsets, 5);
	expect(kbr_str_equal(&told.protocol_type, "consumer"));
	expect_eq(told.protocol.len, 0);
	expect_eq(told.leader.len, 0);
	expect_eq(told.state_ms, 77);
	expect_eq(told.bytes, 99);
	expect(!r.bad && !kbr_wire_reader_left(&r));
	kbr_wire_writer_free(&w);
}

static void test_members(void)
{
	struct kbr_group_member_told told;
	struct kbr_wire_writer w;
	struct kbr_wire_reader r;

	put_page(&w, KBR_GROUP_VIEW_MEMBERS);
	expect_eq(check(&w, w.len, KBR_GROUP_VIEW_MEMBERS), 0);
	open_page(&r, &w, 2);
	kbr_group_get_member(&r, &told);
	expect(!told.device);
	expect_eq(told.nth, 1);
	expect(kbr_str_equal(&told.id, "id"));
	expect_eq(told.instance_id.len, -1);
	expect(kbr_str_equal(&told.client_id, "me"));
	expect(kbr_str_equal(&told.client_host, "/192.0.2.1"));
	expect_eq(told.session_timeout_ms, 6000);
	expect_eq(told.rebalance_timeout_ms, 7000);
	expect_bytes(told.assignment.at, (size_t)told.assignment.len, "\0\1", 2);
	kbr_group_get_member(&r, &told);
	expect(told.device);
	expect_eq(told.node, -1);
	expect_eq(told.pid, 42);
	expect(kbr_str_equal(&told.comm, "cat"));
	expect(kbr_str_equal(&told.topic, "t"));
	expect_eq(told.count, 2);
	expect_eq(kbr_get_s32(&told.list), 0);
	expect_eq(kbr_get_s32(&told.list), 9999);
	expect(!r.bad && !kbr_wire_reader_left(&r));
	kbr_wire_writer_free(&w);
}

static void test_offsets(void)
{
	struct kbr_group_offset_told told;
	struct kbr_wire_writer w;
	struct kbr_wire_reader r;

	put_page(&w, KBR_GROUP_VIEW_OFFSETS);
	expect_eq(check(&w, w.len, KBR_GROUP_VIEW_OFFSETS), 0);
	open_page(&r, &w, 2);
	kbr_group_get_offset(&r, &told);
	expect(!told.placed);
	expect_eq(told.offset, -1);
	expect_eq(told.position, 12);
	kbr_group_get_offset(&r, &told);
	expect(told.placed);
	expect_eq(told.end, 20);
	expect_eq(told.from, 12);
	expect_eq(told.lag, 8);
	expect_eq(told.lag_ms, -1);
	expect(!r.bad && !kbr_wire_reader_left(&r));
	kbr_wire_writer_free(&w);
}

/* Cut at every byte, with a byte more, and as one of another kind */
static void test_cut(void)
{
	struct kbr_wire_writer w;
	size_t len;
	u8 kind;

	for (kind = 0; kind < KBR_GROUP_VIEW_KINDS; kind++) {
		put_page(&w, kind);
		for (len = 0; len < w.len; len++)
			expect_eq(check(&w, len, kind), -EPROTO);
		expect_eq(check(&w, w.len, (kind + 1) % KBR_GROUP_VIEW_KINDS), -EPROTO);
		kbr_put_s8(&w, 0);
		expect_eq(check(&w, w.len, kind), -EPROTO);
		kbr_wire_writer_free(&w);
	}
}

static int check_place(const struct kbr_group_place *place, size_t cut)
{
	struct kbr_wire_writer w;
	struct kbr_wire_reader r;
	int err;

	kbr_wire_writer_init(&w, 1 << 20, false);
	kbr_group_put_place(&w, place);
	kbr_wire_reader_init(&r, w.buf, w.len - cut, false);
	err = kbr_group_place_check(&r);
	kbr_wire_writer_free(&w);
	return err;
}

static void test_places(void)
{
	char name[KBR_GROUP_NAME_MAX + 2];
	struct kbr_group_place place = place_of(KBR_GROUP_VIEW_OFFSETS);

	memset(name, 'x', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	expect_eq(check_place(&place, 0), 0);
	expect_eq(check_place(&place, 1), -EPROTO);
	place.kind = KBR_GROUP_VIEW_KINDS;
	expect_eq(check_place(&place, 0), -EPROTO);
	place = place_of(KBR_GROUP_VIEW_MEMBERS);
	place.group = str(NULL);
	expect_eq(check_place(&place, 0), -EPROTO);
	place.inside = false;
	expect_eq(check_place(&place, 0), 0);
	place.one = true;
	expect_eq(check_place(&place, 0), -EPROTO);
	place.group = str(name);
	expect_eq(check_place(&place, 0), -EPROTO);
	name[KBR_GROUP_NAME_MAX] = '\0';
	place.group = str(name);
	expect_eq(check_place(&place, 0), 0);
	place.partition = -2;
	expect_eq(check_place(&place, 0), -EPROTO);
	place.partition = KBR_TOPIC_PARTITIONS_MAX;
	expect_eq(check_place(&place, 0), -EPROTO);
	place.partition = -1;
	place.nth = 1u << 31;
	expect_eq(check_place(&place, 0), -EPROTO);
	place.nth = 0;
	place.part = 1u << 31;
	expect_eq(check_place(&place, 0), -EPROTO);
}

const struct tap_case group_wire_cases[] = {
	{ "group wire: pages of groups", test_groups },
	{ "group wire: pages of members", test_members },
	{ "group wire: pages of offsets", test_offsets },
	{ "group wire: pages that are cut, or of another kind", test_cut },
	{ "group wire: places in views of groups", test_places },
	{ NULL, NULL },
};
