// SPDX-License-Identifier: GPL-2.0-only OR LGPL-2.1-or-later
/*
 * Kafka's primitive types on the wire; see wire.h. All reads go through
 * kbr_take() and all writes through kbr_room(): the only places that look at
 * the ends of a buffer.
 */
#include <linux/errno.h>
#include <linux/limits.h>
#include <linux/minmax.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/types.h>
#include <asm/byteorder.h>

#include "base/kunit.h"
#include "codec/varint.h"
#include "codec/wire.h"

/* First allocation of a writer: most replies fit */
#define KBR_WRITER_FIRST	512

/* a string's length is an int16 in versions that are not flexible */
#define KBR_STRING_MAX		0x7fff

void kbr_wire_reader_init(struct kbr_wire_reader *r, const void *buf, size_t len, bool flexible)
{
	r->at = buf;
	r->end = r->at + len;
	r->flexible = flexible;
	r->bad = false;
}
KBR_EXPORT_IF_KUNIT(kbr_wire_reader_init);

size_t kbr_wire_reader_left(const struct kbr_wire_reader *r)
{
	return r->bad ? 0 : r->end - r->at;
}
KBR_EXPORT_IF_KUNIT(kbr_wire_reader_left);

/* The next @len bytes, or NULL and the fault */
static const u8 *kbr_take(struct kbr_wire_reader *r, size_t len)
{
	const u8 *at = r->at;

	if (len > kbr_wire_reader_left(r)) {
		r->bad = true;
		return NULL;
	}
	if (r->bad)
		return NULL;
	r->at += len;
	return at;
}

bool kbr_get_bool(struct kbr_wire_reader *r)
{
	return kbr_get_s8(r) != 0;
}
KBR_EXPORT_IF_KUNIT(kbr_get_bool);

s8 kbr_get_s8(struct kbr_wire_reader *r)
{
	const u8 *at = kbr_take(r, 1);

	return at ? (s8)*at : 0;
}
KBR_EXPORT_IF_KUNIT(kbr_get_s8);

s16 kbr_get_s16(struct kbr_wire_reader *r)
{
	const u8 *at = kbr_take(r, sizeof(__be16));
	__be16 val = 0;

	if (at)
		memcpy(&val, at, sizeof(val));
	return (s16)be16_to_cpu(val);
}
KBR_EXPORT_IF_KUNIT(kbr_get_s16);

s32 kbr_get_s32(struct kbr_wire_reader *r)
{
	const u8 *at = kbr_take(r, sizeof(__be32));
	__be32 val = 0;

	if (at)
		memcpy(&val, at, sizeof(val));
	return (s32)be32_to_cpu(val);
}
KBR_EXPORT_IF_KUNIT(kbr_get_s32);

s64 kbr_get_s64(struct kbr_wire_reader *r)
{
	const u8 *at = kbr_take(r, sizeof(__be64));
	__be64 val = 0;

	if (at)
		memcpy(&val, at, sizeof(val));
	return (s64)be64_to_cpu(val);
}
KBR_EXPORT_IF_KUNIT(kbr_get_s64);

void kbr_get_uuid(struct kbr_wire_reader *r, u8 id[16])
{
	const u8 *at = kbr_take(r, 16);

	if (at)
		memcpy(id, at, 16);
	else
		memset(id, 0, 16);
}
KBR_EXPORT_IF_KUNIT(kbr_get_uuid);

u32 kbr_get_uvarint(struct kbr_wire_reader *r)
{
	u32 val;

	if (r->bad)
		return 0;
	if (!kbr_varint_read(&r->at, r->end, &val)) {
		r->bad = true;
		return 0;
	}
	return val;
}
KBR_EXPORT_IF_KUNIT(kbr_get_uvarint);

/* A compact length; -1 for null. What exceeds an s32 can't fit any frame */
static s32 kbr_get_compact_length(struct kbr_wire_reader *r)
{
	u32 val = kbr_get_uvarint(r);

	if (val > (u32)S32_MAX) {
		r->bad = true;
		return -1;
	}
	return (s32)val - 1;
}

/* @len bytes of a string or bytes; -1 is null, which may be a fault */
static struct kbr_str kbr_get_text(struct kbr_wire_reader *r, s32 len, bool nullable)
{
	static const struct kbr_str null = { .at = NULL, .len = -1 };
	struct kbr_str str = { .at = "", .len = 0 };
	const u8 *at;

	if (len < -1 || (len == -1 && !nullable))
		r->bad = true;
	if (!r->bad && len == -1)
		return null;
	at = r->bad ? NULL : kbr_take(r, len);
	if (!at)
		return nullable ? null : str;
	str.at = (const char *)at;
	str.len = len;
	return str;
}

struct kbr_str kbr_get_nullable_string(struct kbr_wire_reader *r)
{
	return kbr_get_text(r, r->flexible ? kbr_get_compact_length(r) : kbr_get_s16(r), true);
}
KBR_EXPORT_IF_KUNIT(kbr_get_nullable_string);

struct kbr_str kbr_get_string(struct kbr_wire_reader *r)
{
	return kbr_get_text(r, r->flexible ? kbr_get_compact_length(r) : kbr_get_s16(r), false);
}
KBR_EXPORT_IF_KUNIT(kbr_get_string);

struct kbr_str kbr_get_nullable_bytes(struct kbr_wire_reader *r)
{
	return kbr_get_text(r, r->flexible ? kbr_get_compact_length(r) : kbr_get_s32(r), true);
}
KBR_EXPORT_IF_KUNIT(kbr_get_nullable_bytes);

struct kbr_str kbr_get_bytes(struct kbr_wire_reader *r)
{
	return kbr_get_text(r, r->flexible ? kbr_get_compact_length(r) : kbr_get_s32(r), false);
}
KBR_EXPORT_IF_KUNIT(kbr_get_bytes);

s32 kbr_get_nullable_count(struct kbr_wire_reader *r)
{
	s32 count = r->flexible ? kbr_get_compact_length(r) : kbr_get_s32(r);

	if (count < -1 || (count > 0 && (size_t)count > kbr_wire_reader_left(r)))
		r->bad = true;
	return r->bad ? 0 : count;
}
KBR_EXPORT_IF_KUNIT(kbr_get_nullable_count);

s32 kbr_get_count(struct kbr_wire_reader *r)
{
	s32 count = kbr_get_nullable_count(r);

	if (count >= 0)
		return count;
	r->bad = true;
	return 0;
}
KBR_EXPORT_IF_KUNIT(kbr_get_count);

u32 kbr_get_tag_count(struct kbr_wire_reader *r)
{
	return r->flexible ? kbr_get_uvarint(r) : 0;
}
KBR_EXPORT_IF_KUNIT(kbr_get_tag_count);

u32 kbr_get_tag(struct kbr_wire_reader *r, struct kbr_wire_reader *field)
{
	u32 tag = kbr_get_uvarint(r);
	u32 len = kbr_get_uvarint(r);
	const u8 *at = kbr_take(r, len);

	kbr_wire_reader_init(field, at ?: r->end, at ? len : 0, true);
	return tag;
}
KBR_EXPORT_IF_KUNIT(kbr_get_tag);

void kbr_get_tags(struct kbr_wire_reader *r)
{
	struct kbr_wire_reader field;
	u32 count;

	/* each takes bytes, so that the loop ends with the buffer */
	for (count = kbr_get_tag_count(r); count > 0 && !r->bad; count--)
		kbr_get_tag(r, &field);
}
KBR_EXPORT_IF_KUNIT(kbr_get_tags);

bool kbr_str_equal(const struct kbr_str *s, const char *text)
{
	size_t len = strlen(text);

	return s->len >= 0 && (size_t)s->len == len && !memcmp(s->at, text, len);
}
KBR_EXPORT_IF_KUNIT(kbr_str_equal);

int kbr_str_copy(const struct kbr_str *s, char *to, size_t size)
{
	if (s->len < 0)
		return -EINVAL;
	if ((size_t)s->len >= size)
		return -EMSGSIZE;
	if (memchr(s->at, 0, s->len))
		return -EINVAL;
	memcpy(to, s->at, s->len);
	to[s->len] = '\0';
	return 0;
}
KBR_EXPORT_IF_KUNIT(kbr_str_copy);

void kbr_wire_writer_init(struct kbr_wire_writer *w, size_t max, bool flexible)
{
	memset(w, 0, sizeof(*w));
	w->max = max;
	w->flexible = flexible;
}
KBR_EXPORT_IF_KUNIT(kbr_wire_writer_init);

void kbr_wire_writer_free(struct kbr_wire_writer *w)
{
	kvfree(w->buf);
	w->buf = NULL;
	w->len = 0;
	w->size = 0;
}
KBR_EXPORT_IF_KUNIT(kbr_wire_writer_free);

/* Room for @len more bytes, which count as written; NULL and the fault */
static u8 *kbr_room(struct kbr_wire_writer *w, size_t len)
{
	size_t size;
	u8 *buf;

	if (w->err)
		return NULL;
	if (len > w->max - w->len) {
		w->err = -EMSGSIZE;
		return NULL;
	}
	if (len > w->size - w->len) {
		size = max_t(size_t, w->len + len, KBR_WRITER_FIRST);
		size = min_t(size_t, max_t(size_t, size, 2 * w->size), w->max);
		buf = kvmalloc(size, GFP_KERNEL_ACCOUNT);
		if (!buf) {
			w->err = -ENOMEM;
			return NULL;
		}
		if (w->len)
			memcpy(buf, w->buf, w->len);
		kvfree(w->buf);
		w->buf = buf;
		w->size = size;
	}
	buf = w->buf + w->len;
	w->len += len;
	return buf;
}

void kbr_put_raw(struct kbr_wire_writer *w, const void *bytes, size_t len)
{
	u8 *to = kbr_room(w, len);

	if (to && len)
		memcpy(to, bytes, len);
}
KBR_EXPORT_IF_KUNIT(kbr_put_raw);

void kbr_put_bool(struct kbr_wire_writer *w, bool v)
{
	kbr_put_s8(w, v);
}
KBR_EXPORT_IF_KUNIT(kbr_put_bool);

void kbr_put_s8(struct kbr_wire_writer *w, s8 v)
{
	kbr_put_raw(w, &v, sizeof(v));
}
KBR_EXPORT_IF_KUNIT(kbr_put_s8);

void kbr_put_s16(struct kbr_wire_writer *w, s16 v)
{
	__be16 val = cpu_to_be16((u16)v);

	kbr_put_raw(w, &val, sizeof(val));
}
KBR_EXPORT_IF_KUNIT(kbr_put_s16);

void kbr_put_s32(struct kbr_wire_writer *w, s32 v)
{
	__be32 val = cpu_to_be32((u32)v);

	kbr_put_raw(w, &val, sizeof(val));
}
KBR_EXPORT_IF_KUNIT(kbr_put_s32);

void kbr_put_s64(struct kbr_wire_writer *w, s64 v)
{
	__be64 val = cpu_to_be64((u64)v);

	kbr_put_raw(w, &val, sizeof(val));
}
KBR_EXPORT_IF_KUNIT(kbr_put_s64);

void kbr_put_uuid(struct kbr_wire_writer *w, const u8 id[16])
{
	kbr_put_raw(w, id, 16);
}
KBR_EXPORT_IF_KUNIT(kbr_put_uuid);

void kbr_put_uvarint(struct kbr_wire_writer *w, u32 v)
{
	u8 bytes[KBR_VARINT_MAX];

	kbr_put_raw(w, bytes, kbr_varint_write(bytes, v) - bytes);
}
KBR_EXPORT_IF_KUNIT(kbr_put_uvarint);

/* The length of a string; -1 null */
static void kbr_put_string_length(struct kbr_wire_writer *w, s32 len)
{
	if (w->flexible)
		kbr_put_uvarint(w, (u32)(len + 1));
	else if (len > KBR_STRING_MAX)
		w->err = w->err ?: -EMSGSIZE;
	else
		kbr_put_s16(w, (s16)len);
}

void kbr_put_string(struct kbr_wire_writer *w, const char *text)
{
	struct kbr_str str = { .at = text, .len = -1 };

	if (text) {
		size_t len = strlen(text);

		if (len >= S32_MAX) {
			w->err = w->err ?: -EMSGSIZE;
			return;
		}
		str.len = (s32)len;
	}
	kbr_put_str(w, &str);
}
KBR_EXPORT_IF_KUNIT(kbr_put_string);

void kbr_put_str(struct kbr_wire_writer *w, const struct kbr_str *s)
{
	kbr_put_string_length(w, s->len);
	if (s->len > 0)
		kbr_put_raw(w, s->at, s->len);
}
KBR_EXPORT_IF_KUNIT(kbr_put_str);

void kbr_put_bytes(struct kbr_wire_writer *w, const void *buf, size_t len)
{
	if (len >= S32_MAX) {
		w->err = w->err ?: -EMSGSIZE;
		return;
	}
	kbr_put_bytes_length(w, buf ? (s32)len : -1);
	if (buf)
		kbr_put_raw(w, buf, len);
}
KBR_EXPORT_IF_KUNIT(kbr_put_bytes);

void kbr_put_bytes_length(struct kbr_wire_writer *w, s32 len)
{
	if (w->flexible)
		kbr_put_uvarint(w, (u32)len + 1);
	else
		kbr_put_s32(w, len);
}
KBR_EXPORT_IF_KUNIT(kbr_put_bytes_length);

void kbr_put_count(struct kbr_wire_writer *w, s32 count)
{
	kbr_put_bytes_length(w, count);
}
KBR_EXPORT_IF_KUNIT(kbr_put_count);

void kbr_put_tags(struct kbr_wire_writer *w)
{
	if (w->flexible)
		kbr_put_uvarint(w, 0);
}
KBR_EXPORT_IF_KUNIT(kbr_put_tags);

void kbr_put_tag(struct kbr_wire_writer *w, u32 tag, u32 len)
{
	kbr_put_uvarint(w, tag);
	kbr_put_uvarint(w, len);
}
KBR_EXPORT_IF_KUNIT(kbr_put_tag);

size_t kbr_put_open_count(struct kbr_wire_writer *w)
{
	static const u8 zero[KBR_VARINT_MAX] = { 0x81, 0x80, 0x80, 0x80, 0 };
	size_t pos = w->len;

	/* in all the bytes that a varint may take: any number fits later */
	if (w->flexible)
		kbr_put_raw(w, zero, sizeof(zero));
	else
		kbr_put_s32(w, 0);
	return pos;
}
KBR_EXPORT_IF_KUNIT(kbr_put_open_count);

/* A patch that reaches beyond what was written is a fault of ours, not of a peer */
static void kbr_wire_writer_patch(struct kbr_wire_writer *w, size_t pos, const void *bytes,
				  size_t len)
{
	if (w->err)
		return;
	if (pos > w->len || len > w->len - pos) {
		w->err = -EMSGSIZE;
		return;
	}
	memcpy(w->buf + pos, bytes, len);
}

void kbr_wire_writer_insert(struct kbr_wire_writer *w, size_t pos, const void *bytes, size_t len)
{
	size_t behind = w->len - pos;

	if (pos > w->len)
		w->err = w->err ?: -EMSGSIZE;
	if (!kbr_room(w, len))
		return;
	memmove(w->buf + pos + len, w->buf + pos, behind);
	memcpy(w->buf + pos, bytes, len);
}
KBR_EXPORT_IF_KUNIT(kbr_wire_writer_insert);

void kbr_wire_writer_patch_s16(struct kbr_wire_writer *w, size_t pos, s16 v)
{
	__be16 val = cpu_to_be16((u16)v);

	kbr_wire_writer_patch(w, pos, &val, sizeof(val));
}
KBR_EXPORT_IF_KUNIT(kbr_wire_writer_patch_s16);

void kbr_wire_writer_patch_s32(struct kbr_wire_writer *w, size_t pos, s32 v)
{
	__be32 val = cpu_to_be32((u32)v);

	kbr_wire_writer_patch(w, pos, &val, sizeof(val));
}
KBR_EXPORT_IF_KUNIT(kbr_wire_writer_patch_s32);

void kbr_wire_writer_patch_s64(struct kbr_wire_writer *w, size_t pos, s64 v)
{
	__be64 val = cpu_to_be64((u64)v);

	kbr_wire_writer_patch(w, pos, &val, sizeof(val));
}
KBR_EXPORT_IF_KUNIT(kbr_wire_writer_patch_s64);

void kbr_wire_writer_patch_count(struct kbr_wire_writer *w, size_t pos, s32 count)
{
	u32 left = (u32)count + 1;
	u8 bytes[KBR_VARINT_MAX];
	unsigned int i;

	if (!w->flexible) {
		kbr_wire_writer_patch_s32(w, pos, count);
		return;
	}
	for (i = 0; i < sizeof(bytes); i++, left >>= 7)
		bytes[i] = (left & 0x7f) | (i + 1 < sizeof(bytes) ? 0x80 : 0);
	kbr_wire_writer_patch(w, pos, bytes, sizeof(bytes));
}
KBR_EXPORT_IF_KUNIT(kbr_wire_writer_patch_count);
