// SPDX-License-Identifier: GPL-2.0-only
/*
 * Records of __consumer_offsets: the first byte says which part the others are.
 * What decodes means the same once it was encoded again.
 */
#include <errno.h>
#include <string.h>

#include "codec/group_record.h"
#include "fuzz.h"

static int same(const struct kbr_str *a, const struct kbr_str *b)
{
	return a->len == b->len && (a->len <= 0 || !memcmp(a->at, b->at, a->len));
}

static void fuzz_key(const uint8_t *data, size_t size)
{
	struct kbr_group_key key, again;
	struct kbr_wire_writer w;

	if (kbr_group_key_decode(&key, data, size) || key.kind == KBR_GROUP_RECORD_UNKNOWN)
		return;
	FUZZ_HOLDS(kbr_group_partition(&key.group, 50) < 50);
	FUZZ_HOLDS(kbr_group_partition(&key.group, 1) == 0);
	kbr_wire_writer_init(&w, SIZE_MAX, false);
	kbr_group_key_encode(&w, &key);
	FUZZ_HOLDS(!w.err && !kbr_group_key_decode(&again, w.buf, w.len));
	FUZZ_HOLDS(again.kind == key.kind && again.partition == key.partition);
	FUZZ_HOLDS(same(&again.group, &key.group) && same(&again.topic, &key.topic));
	kbr_wire_writer_free(&w);
}

static void fuzz_offset(const uint8_t *data, size_t size)
{
	struct kbr_offset_value value, again;
	struct kbr_wire_writer w;

	if (kbr_offset_value_decode(&value, data, size))
		return;
	FUZZ_HOLDS(value.offset >= 0);
	kbr_wire_writer_init(&w, SIZE_MAX, false);
	kbr_offset_value_encode(&w, &value);
	FUZZ_HOLDS(!w.err && !kbr_offset_value_decode(&again, w.buf, w.len));
	FUZZ_HOLDS(again.offset == value.offset && again.commit_ms == value.commit_ms);
	FUZZ_HOLDS(same(&again.metadata, &value.metadata));
	/* one that ends has no epoch */
	if (value.expire_ms >= 0)
		FUZZ_HOLDS(again.expire_ms == value.expire_ms);
	else
		FUZZ_HOLDS(again.leader_epoch == value.leader_epoch && again.expire_ms == -1);
	kbr_wire_writer_free(&w);
}

static void fuzz_member(const struct kbr_group_value *value, struct kbr_wire_reader *r,
			const struct kbr_group_value *value2, struct kbr_wire_reader *r2)
{
	struct kbr_group_value_member a, b;

	FUZZ_HOLDS(!kbr_group_value_member_decode(&a, value, r));
	FUZZ_HOLDS(!kbr_group_value_member_decode(&b, value2, r2));
	FUZZ_HOLDS(same(&a.id, &b.id) && same(&a.instance_id, &b.instance_id));
	FUZZ_HOLDS(same(&a.client_id, &b.client_id) && same(&a.client_host, &b.client_host));
	FUZZ_HOLDS(same(&a.subscription, &b.subscription) && same(&a.assignment, &b.assignment));
	FUZZ_HOLDS(a.session_timeout_ms == b.session_timeout_ms &&
		   a.rebalance_timeout_ms == b.rebalance_timeout_ms);
}

static void fuzz_group(const uint8_t *data, size_t size)
{
	struct kbr_group_value value, again;
	struct kbr_group_value_member member;
	struct kbr_wire_reader r, r2;
	struct kbr_wire_writer w;
	int32_t i;

	if (kbr_group_value_decode(&value, &r, data, size))
		return;
	kbr_wire_writer_init(&w, SIZE_MAX, false);
	kbr_group_value_encode(&w, &value);
	for (i = 0; i < value.members; i++) {
		if (kbr_group_value_member_decode(&member, &value, &r))
			goto out;
		kbr_group_value_member_encode(&w, &member);
	}
	FUZZ_HOLDS(!w.err && !kbr_group_value_decode(&again, &r2, w.buf, w.len));
	FUZZ_HOLDS(again.generation == value.generation && again.members == value.members);
	FUZZ_HOLDS(same(&again.protocol_type, &value.protocol_type));
	FUZZ_HOLDS(same(&again.protocol, &value.protocol) && same(&again.leader, &value.leader));
	FUZZ_HOLDS(again.state_ms == value.state_ms);
	FUZZ_HOLDS(!kbr_group_value_decode(&value, &r, data, size));
	for (i = 0; i < value.members; i++)
		fuzz_member(&value, &r, &again, &r2);
	FUZZ_HOLDS(!kbr_wire_reader_left(&r2));
out:
	kbr_wire_writer_free(&w);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!size)
		return 0;
	switch (data[0] % 3) {
	case 0:
		fuzz_key(data + 1, size - 1);
		break;
	case 1:
		fuzz_offset(data + 1, size - 1);
		break;
	default:
		fuzz_group(data + 1, size - 1);
	}
	return 0;
}
