// SPDX-License-Identifier: GPL-2.0-only
/*
 * Records of consumer groups: the partition that keeps a group, round trips,
 * older versions, and damage of every kind.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "codec/group_record.h"
#include "tap.h"
#include "unit.h"

#define COUNT(a)	(sizeof(a) / sizeof((a)[0]))

static struct kbr_str str(const char *text)
{
	return (struct kbr_str) { .at = text, .len = text ? (s32)strlen(text) : -1 };
}

static void expect_str(struct kbr_str got, const char *want)
{
	if (!want)
		expect_eq(got.len, -1);
	else
		expect_bytes(got.at, (size_t)got.len, want, strlen(want));
}

/* As Java computes them */
static void test_partition(void)
{
	static const struct {
		const char *name;
		u32 partition;
	} vectors[] = {
		{ "grp1", 48 }, { "my-group", 12 }, { "console-consumer-1", 24 }, { "test", 48 },
		{ "polygenelubricants", 0 }, { "", 0 },
		/* one UTF-16 unit of two bytes, and a pair of them */
		{ "\xc3\xa9", 233 % 50 },
		{ "\xf0\x9f\x98\x80", (31 * 0xd83d + 0xde00) % 50 },
	};
	size_t i;

	for (i = 0; i < COUNT(vectors); i++) {
		struct kbr_str name = str(vectors[i].name);

		tap_context("%s", vectors[i].name);
		expect_eq(kbr_group_partition(&name, 50), vectors[i].partition);
		expect_eq(kbr_group_partition(&name, 1), 0);
	}
}

static void test_keys(void)
{
	static const u8 offset_key[] = {
		0, 1, 0, 1, 'g', 0, 2, 't', 'o', 0, 0, 0, 7,
	};
	static const u8 group_key[] = { 0, 2, 0, 1, 'g' };
	static const u8 other_key[] = { 0, 3, 0xff };
	struct kbr_group_key key = {
		.kind = KBR_GROUP_RECORD_OFFSET, .group = str("g"), .topic = str("to"), .partition = 7,
	};
	struct kbr_wire_writer w;
	size_t len;
	u8 *exact;

	kbr_wire_writer_init(&w, 100, false);
	kbr_group_key_encode(&w, &key);
	expect_bytes(w.buf, w.len, offset_key, sizeof(offset_key));
	w.len = 0;
	key.kind = KBR_GROUP_RECORD_GROUP;
	kbr_group_key_encode(&w, &key);
	expect_bytes(w.buf, w.len, group_key, sizeof(group_key));
	kbr_wire_writer_free(&w);

	expect_eq(kbr_group_key_decode(&key, offset_key, sizeof(offset_key)), 0);
	expect_eq(key.kind, KBR_GROUP_RECORD_OFFSET);
	expect_str(key.group, "g");
	expect_str(key.topic, "to");
	expect_eq(key.partition, 7);
	expect_eq(kbr_group_key_decode(&key, group_key, sizeof(group_key)), 0);
	expect_eq(key.kind, KBR_GROUP_RECORD_GROUP);
	expect_eq(kbr_group_key_decode(&key, other_key, sizeof(other_key)), 0);
	expect_eq(key.kind, KBR_GROUP_RECORD_UNKNOWN);
	for (len = 0; len < sizeof(offset_key); len++) {
		tap_context("%zu bytes", len);
		exact = unit_exact(offset_key, len);
		expect_eq(kbr_group_key_decode(&key, exact, len), -EBADMSG);
		free(exact);
	}
}

static void test_offsets(void)
{
	static const u8 v0[] = {
		0, 0, 0, 0, 0, 0, 0, 0, 0, 42, 0, 1, 'm', 0, 0, 0, 0, 0, 0, 0, 9,
	};
	static const u8 v4[] = { 0, 4, 0 };
	struct kbr_offset_value value = {
		.offset = 42, .leader_epoch = 3, .metadata = str("m"), .commit_ms = 9, .expire_ms = -1,
	};
	struct kbr_offset_value got;
	struct kbr_wire_writer w;
	size_t len;
	u8 *exact;
	int expires;

	for (expires = 0; expires < 2; expires++) {
		value.expire_ms = expires ? 77 : -1;
		kbr_wire_writer_init(&w, 100, false);
		kbr_offset_value_encode(&w, &value);
		expect_eq(w.buf[1], expires ? 1 : 3);
		expect_eq(kbr_offset_value_decode(&got, w.buf, w.len), 0);
		expect_eq(got.offset, 42);
		expect_eq(got.leader_epoch, expires ? -1 : 3);
		expect_str(got.metadata, "m");
		expect_eq(got.commit_ms, 9);
		expect_eq(got.expire_ms, value.expire_ms);
		for (len = 0; len < w.len; len++) {
			tap_context("%zu bytes", len);
			exact = unit_exact(w.buf, len);
			expect_eq(kbr_offset_value_decode(&got, exact, len), -EBADMSG);
			free(exact);
		}
		kbr_wire_writer_free(&w);
	}
	tap_context("version 0");
	expect_eq(kbr_offset_value_decode(&got, v0, sizeof(v0)), 0);
	expect_eq(got.offset, 42);
	expect_eq(got.commit_ms, 9);
	expect_eq(kbr_offset_value_decode(&got, v4, sizeof(v4)), -EOPNOTSUPP);
}

static int decode_group(struct kbr_group_value *value, struct kbr_group_value_member *member,
			const u8 *buf, size_t len)
{
	struct kbr_wire_reader r;
	int err = kbr_group_value_decode(value, &r, buf, len);
	s32 i;

	for (i = 0; !err && i < value->members; i++)
		err = kbr_group_value_member_decode(&member[i & 1], value, &r);
	return err;
}

static void test_groups(void)
{
	const struct kbr_group_value value = {
		.protocol_type = str("consumer"), .generation = 5, .protocol = str("range"),
		.leader = str("one"), .state_ms = 11, .members = 2,
	};
	const struct kbr_group_value_member members[2] = {
		{ .id = str("one"), .instance_id = str(NULL), .client_id = str("c"),
		  .client_host = str("/::1"), .rebalance_timeout_ms = 1, .session_timeout_ms = 2,
		  .subscription = str("sub"), .assignment = str("") },
		{ .id = str("two"), .instance_id = str("i"), .client_id = str(""),
		  .client_host = str("/127.0.0.1"), .rebalance_timeout_ms = 3,
		  .session_timeout_ms = 4, .subscription = str(""), .assignment = str("ass") },
	};
	struct kbr_group_value_member got_members[2];
	struct kbr_group_value got;
	struct kbr_wire_writer w;
	size_t len, round;
	u8 *exact;

	kbr_wire_writer_init(&w, 1000, false);
	kbr_group_value_encode(&w, &value);
	kbr_group_value_member_encode(&w, &members[0]);
	kbr_group_value_member_encode(&w, &members[1]);
	expect_eq(w.err, 0);
	expect_eq(decode_group(&got, got_members, w.buf, w.len), 0);
	expect_eq(got.version, 3);
	expect_str(got.protocol_type, "consumer");
	expect_eq(got.generation, 5);
	expect_str(got.protocol, "range");
	expect_str(got.leader, "one");
	expect_eq(got.state_ms, 11);
	expect_str(got_members[0].id, "one");
	expect_str(got_members[0].instance_id, NULL);
	expect_str(got_members[0].subscription, "sub");
	expect_str(got_members[1].instance_id, "i");
	expect_eq(got_members[1].session_timeout_ms, 4);
	expect_str(got_members[1].assignment, "ass");
	for (len = 0; len < w.len; len++) {
		tap_context("%zu bytes", len);
		exact = unit_exact(w.buf, len);
		expect_eq(decode_group(&got, got_members, exact, len), -EBADMSG);
		free(exact);
	}
	/* whatever the bytes, nothing beyond them is read */
	for (round = 0; round < 20000; round++) {
		exact = unit_exact(w.buf, w.len);
		for (len = 0; len < 1 + tap_random_below(4); len++)
			exact[tap_random_below(w.len)] = (u8)tap_random();
		decode_group(&got, got_members, exact, w.len);
		free(exact);
	}
	kbr_wire_writer_free(&w);
}

const struct tap_case group_record_cases[] = {
	{ "group records: the partition of a group", test_partition },
	{ "group records: keys", test_keys },
	{ "group records: offsets of every version", test_offsets },
	{ "group records: groups and their members", test_groups },
	{ NULL, NULL }
};
