// SPDX-License-Identifier: GPL-2.0-only OR LGPL-2.1-or-later
/* Keys and values of __consumer_offsets; see group_record.h. */
#include <linux/errno.h>
#include <linux/types.h>

#include "base/kunit.h"
#include "codec/group_record.h"

/* Versions of keys */
#define KBR_KEY_OFFSET		1	/* 0 looks the same */
#define KBR_KEY_GROUP_METADATA	2

/* Newest versions of values; the next ones are flexible */
#define KBR_OFFSET_VALUE	3
#define KBR_OFFSET_VALUE_EXPIRY	1
#define KBR_GROUP_VALUE		3

int kbr_group_key_decode(struct kbr_group_key *key, const void *buf, size_t len)
{
	struct kbr_wire_reader r;
	s16 version;

	kbr_wire_reader_init(&r, buf, len, false);
	*key = (struct kbr_group_key) { .topic.len = -1, .partition = -1 };
	version = kbr_get_s16(&r);
	if (r.bad || version < 0)
		return -EBADMSG;
	if (version > KBR_KEY_GROUP_METADATA)
		return 0;
	key->group = kbr_get_string(&r);
	if (version <= KBR_KEY_OFFSET) {
		key->kind = KBR_GROUP_RECORD_OFFSET;
		key->topic = kbr_get_string(&r);
		key->partition = kbr_get_s32(&r);
	} else {
		key->kind = KBR_GROUP_RECORD_GROUP;
	}
	if (r.bad || kbr_wire_reader_left(&r) ||
	    (key->kind == KBR_GROUP_RECORD_OFFSET && key->partition < 0))
		return -EBADMSG;
	return 0;
}
KBR_EXPORT_IF_KUNIT(kbr_group_key_decode);

void kbr_group_key_encode(struct kbr_wire_writer *w, const struct kbr_group_key *key)
{
	bool offset = key->kind == KBR_GROUP_RECORD_OFFSET;

	kbr_put_s16(w, offset ? KBR_KEY_OFFSET : KBR_KEY_GROUP_METADATA);
	kbr_put_str(w, &key->group);
	if (offset) {
		kbr_put_str(w, &key->topic);
		kbr_put_s32(w, key->partition);
	}
}
KBR_EXPORT_IF_KUNIT(kbr_group_key_encode);

int kbr_offset_value_decode(struct kbr_offset_value *value, const void *buf, size_t len)
{
	struct kbr_wire_reader r;
	s16 version;

	kbr_wire_reader_init(&r, buf, len, false);
	version = kbr_get_s16(&r);
	if (r.bad || version < 0)
		return -EBADMSG;
	if (version > KBR_OFFSET_VALUE)
		return -EOPNOTSUPP;
	value->offset = kbr_get_s64(&r);
	value->leader_epoch = version >= 3 ? kbr_get_s32(&r) : -1;
	value->metadata = kbr_get_string(&r);
	value->commit_ms = kbr_get_s64(&r);
	value->expire_ms = version == KBR_OFFSET_VALUE_EXPIRY ? kbr_get_s64(&r) : -1;
	return r.bad || kbr_wire_reader_left(&r) || value->offset < 0 ? -EBADMSG : 0;
}
KBR_EXPORT_IF_KUNIT(kbr_offset_value_decode);

void kbr_offset_value_encode(struct kbr_wire_writer *w, const struct kbr_offset_value *value)
{
	bool expires = value->expire_ms >= 0;

	/* The one version that can tell when it ends has no leader epoch, as Kafka writes it. */
	kbr_put_s16(w, expires ? KBR_OFFSET_VALUE_EXPIRY : KBR_OFFSET_VALUE);
	kbr_put_s64(w, value->offset);
	if (!expires)
		kbr_put_s32(w, value->leader_epoch);
	kbr_put_str(w, &value->metadata);
	kbr_put_s64(w, value->commit_ms);
	if (expires)
		kbr_put_s64(w, value->expire_ms);
}
KBR_EXPORT_IF_KUNIT(kbr_offset_value_encode);

int kbr_group_value_decode(struct kbr_group_value *value, struct kbr_wire_reader *r,
			   const void *buf, size_t len)
{
	kbr_wire_reader_init(r, buf, len, false);
	value->version = kbr_get_s16(r);
	if (r->bad || value->version < 0)
		return -EBADMSG;
	if (value->version > KBR_GROUP_VALUE)
		return -EOPNOTSUPP;
	value->protocol_type = kbr_get_string(r);
	value->generation = kbr_get_s32(r);
	value->protocol = kbr_get_nullable_string(r);
	value->leader = kbr_get_nullable_string(r);
	value->state_ms = value->version >= 2 ? kbr_get_s64(r) : -1;
	value->members = kbr_get_count(r);
	return r->bad ? -EBADMSG : 0;
}
KBR_EXPORT_IF_KUNIT(kbr_group_value_decode);

int kbr_group_value_member_decode(struct kbr_group_value_member *member,
				  const struct kbr_group_value *value, struct kbr_wire_reader *r)
{
	member->id = kbr_get_string(r);
	if (value->version >= 3)
		member->instance_id = kbr_get_nullable_string(r);
	else
		member->instance_id = (struct kbr_str) { .len = -1 };
	member->client_id = kbr_get_string(r);
	member->client_host = kbr_get_string(r);
	member->rebalance_timeout_ms = value->version >= 1 ? kbr_get_s32(r) : -1;
	member->session_timeout_ms = kbr_get_s32(r);
	if (value->version < 1)
		member->rebalance_timeout_ms = member->session_timeout_ms;
	member->subscription = kbr_get_bytes(r);
	member->assignment = kbr_get_bytes(r);
	return r->bad ? -EBADMSG : 0;
}
KBR_EXPORT_IF_KUNIT(kbr_group_value_member_decode);

void kbr_group_value_encode(struct kbr_wire_writer *w, const struct kbr_group_value *value)
{
	kbr_put_s16(w, KBR_GROUP_VALUE);
	kbr_put_str(w, &value->protocol_type);
	kbr_put_s32(w, value->generation);
	kbr_put_str(w, &value->protocol);
	kbr_put_str(w, &value->leader);
	kbr_put_s64(w, value->state_ms);
	kbr_put_count(w, value->members);
}
KBR_EXPORT_IF_KUNIT(kbr_group_value_encode);

static void kbr_group_put_blob(struct kbr_wire_writer *w, const struct kbr_str *bytes)
{
	kbr_put_bytes(w, bytes->len > 0 ? bytes->at : "", bytes->len > 0 ? bytes->len : 0);
}

void kbr_group_value_member_encode(struct kbr_wire_writer *w,
				   const struct kbr_group_value_member *member)
{
	kbr_put_str(w, &member->id);
	kbr_put_str(w, &member->instance_id);
	kbr_put_str(w, &member->client_id);
	kbr_put_str(w, &member->client_host);
	kbr_put_s32(w, member->rebalance_timeout_ms);
	kbr_put_s32(w, member->session_timeout_ms);
	kbr_group_put_blob(w, &member->subscription);
	kbr_group_put_blob(w, &member->assignment);
}
KBR_EXPORT_IF_KUNIT(kbr_group_value_member_encode);

/* The next character of @name at *@at, replaced where it is no UTF-8. */
static u32 kbr_utf8_next(const struct kbr_str *name, s32 *at)
{
	const u8 *s = (const u8 *)name->at + *at;
	s32 left = name->len - *at, len, i;
	u32 c = s[0];

	if (c < 0x80) {
		*at += 1;
		return c;
	}
	len = c >= 0xf0 && c < 0xf5 ? 4 : c >= 0xe0 && c < 0xf0 ? 3 : c >= 0xc2 && c < 0xe0 ? 2 : 0;
	if (!len || len > left)
		goto bad;
	c &= 0x7f >> len;
	for (i = 1; i < len; i++) {
		if ((s[i] & 0xc0) != 0x80)
			goto bad;
		c = c << 6 | (s[i] & 0x3f);
	}
	*at += len;
	return c;
bad:
	*at += 1;
	return 0xfffd;
}

u32 kbr_group_partition(const struct kbr_str *name, u32 count)
{
	u32 hash = 0, c;
	s32 at = 0;

	/* h = 31 * h + each UTF-16 unit, in 32 bits */
	while (at < name->len) {
		c = kbr_utf8_next(name, &at);
		if (c >= 0x10000) {
			hash = 31 * hash + (0xd800 + ((c - 0x10000) >> 10));
			c = 0xdc00 + ((c - 0x10000) & 0x3ff);
		}
		hash = 31 * hash + c;
	}
	/* Java's abs(), with that of the least integer taken as 0 */
	if (hash & 0x80000000u)
		hash = hash == 0x80000000u ? 0 : -hash;
	return hash % count;
}
KBR_EXPORT_IF_KUNIT(kbr_group_partition);
