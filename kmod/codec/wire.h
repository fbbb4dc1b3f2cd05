/* SPDX-License-Identifier: GPL-2.0-only OR LGPL-2.1-or-later */
/*
 * Kafka's primitive types on the wire: a bounds-checked reader over one flat
 * buffer, and a writer into a growing one. Big-endian; compact strings, arrays
 * and tag sections where a message version is flexible (KIP-482).
 *
 * Both carry a sticky fault: after the first one every get returns zero and
 * every put does nothing, so that callers look once, at the end. Pure: no
 * locks, no I/O; the writer allocates.
 */
#ifndef _KBR_CODEC_WIRE_H
#define _KBR_CODEC_WIRE_H

#include <linux/types.h>

/**
 * struct kbr_str - a string or bytes inside a request; not terminated
 * @at: first byte, inside the reader's buffer
 * @len: bytes, -1 for null
 */
struct kbr_str {
	const char *at;
	s32 len;
};

/**
 * struct kbr_wire_reader - a place in a buffer that belongs to somebody else
 * @at: next byte
 * @end: first byte behind the buffer
 * @flexible: strings, bytes and arrays are compact
 * @bad: something did not fit; sticky
 */
struct kbr_wire_reader {
	const u8 *at;
	const u8 *end;
	bool flexible;
	bool bad;
};

void kbr_wire_reader_init(struct kbr_wire_reader *r, const void *buf, size_t len, bool flexible);
size_t kbr_wire_reader_left(const struct kbr_wire_reader *r);

bool kbr_get_bool(struct kbr_wire_reader *r);
s8 kbr_get_s8(struct kbr_wire_reader *r);
s16 kbr_get_s16(struct kbr_wire_reader *r);
s32 kbr_get_s32(struct kbr_wire_reader *r);
s64 kbr_get_s64(struct kbr_wire_reader *r);
/** kbr_get_uuid() - 16 bytes, copied */
void kbr_get_uuid(struct kbr_wire_reader *r, u8 id[16]);
/** kbr_get_uvarint() - unsigned varint of at most 5 bytes and 32 bits */
u32 kbr_get_uvarint(struct kbr_wire_reader *r);
/** kbr_get_nullable_string() - a string, length -1 for null */
struct kbr_str kbr_get_nullable_string(struct kbr_wire_reader *r);
/** kbr_get_string() - a string; null is a fault */
struct kbr_str kbr_get_string(struct kbr_wire_reader *r);
/** kbr_get_nullable_bytes() - bytes or records, length -1 for null */
struct kbr_str kbr_get_nullable_bytes(struct kbr_wire_reader *r);
struct kbr_str kbr_get_bytes(struct kbr_wire_reader *r);
/**
 * kbr_get_nullable_count() - number of elements of an array, -1 for null
 *
 * A count that could not fit in what is left, at one byte an element, is a
 * fault, so that a loop over it is bounded by the frame.
 */
s32 kbr_get_nullable_count(struct kbr_wire_reader *r);
s32 kbr_get_count(struct kbr_wire_reader *r);
/** kbr_get_tags() - skip a tag section; nothing where the version is not flexible */
void kbr_get_tags(struct kbr_wire_reader *r);
/** kbr_get_tag_count() - a tag section whose fields are read by kbr_get_tag(); 0 where there is none */
u32 kbr_get_tag_count(struct kbr_wire_reader *r);
/** kbr_get_tag() - the next field's tag; @field reads what is in it, whose length was checked */
u32 kbr_get_tag(struct kbr_wire_reader *r, struct kbr_wire_reader *field);

/** kbr_str_equal() - is @s the terminated string @text? */
bool kbr_str_equal(const struct kbr_str *s, const char *text);
/** kbr_str_copy() - @s, terminated, into @to of @size bytes; -EMSGSIZE too long, -EINVAL null or a NUL inside */
int kbr_str_copy(const struct kbr_str *s, char *to, size_t size);

/**
 * struct kbr_wire_writer - a growing buffer
 * @buf: kvmalloc()ed, NULL while empty
 * @len: bytes written
 * @size: bytes allocated
 * @max: bytes that it may grow to
 * @flexible: see struct kbr_wire_reader
 * @err: 0, -ENOMEM or -EMSGSIZE; sticky
 */
struct kbr_wire_writer {
	u8 *buf;
	size_t len;
	size_t size;
	size_t max;
	bool flexible;
	int err;
};

void kbr_wire_writer_init(struct kbr_wire_writer *w, size_t max, bool flexible);
void kbr_wire_writer_free(struct kbr_wire_writer *w);

/** kbr_put_raw() - bytes as they are */
void kbr_put_raw(struct kbr_wire_writer *w, const void *bytes, size_t len);
void kbr_put_bool(struct kbr_wire_writer *w, bool v);
void kbr_put_s8(struct kbr_wire_writer *w, s8 v);
void kbr_put_s16(struct kbr_wire_writer *w, s16 v);
void kbr_put_s32(struct kbr_wire_writer *w, s32 v);
void kbr_put_s64(struct kbr_wire_writer *w, s64 v);
void kbr_put_uuid(struct kbr_wire_writer *w, const u8 id[16]);
void kbr_put_uvarint(struct kbr_wire_writer *w, u32 v);
/** kbr_put_string() - a terminated string; NULL is null */
void kbr_put_string(struct kbr_wire_writer *w, const char *text);
/** kbr_put_str() - a string as it was read; null stays null */
void kbr_put_str(struct kbr_wire_writer *w, const struct kbr_str *s);
/** kbr_put_bytes() - @buf NULL is null */
void kbr_put_bytes(struct kbr_wire_writer *w, const void *buf, size_t len);
/** kbr_put_bytes_length() - only the length of bytes or records that follow from elsewhere; -1 null */
void kbr_put_bytes_length(struct kbr_wire_writer *w, s32 len);
/** kbr_put_count() - length of an array, -1 null; the elements follow */
void kbr_put_count(struct kbr_wire_writer *w, s32 count);
/** kbr_put_tags() - an empty tag section, where the version is flexible */
void kbr_put_tags(struct kbr_wire_writer *w);
/** kbr_put_tag() - head of a tagged field, in a section that kbr_put_uvarint() has begun with their number */
void kbr_put_tag(struct kbr_wire_writer *w, u32 tag, u32 len);
/** kbr_put_open_count() - length of an array that kbr_wire_writer_patch_count() gives later; its place */
size_t kbr_put_open_count(struct kbr_wire_writer *w);
/** kbr_wire_writer_patch_count() - the length of the array that was begun at @pos */
void kbr_wire_writer_patch_count(struct kbr_wire_writer *w, size_t pos, s32 count);
/** kbr_wire_writer_insert() - put @bytes before what was written at @pos, which moves */
void kbr_wire_writer_insert(struct kbr_wire_writer *w, size_t pos, const void *bytes, size_t len);
/** kbr_wire_writer_patch_s16() - overwrite what kbr_put_s16() wrote at @pos; likewise s32 and s64 */
void kbr_wire_writer_patch_s16(struct kbr_wire_writer *w, size_t pos, s16 v);
void kbr_wire_writer_patch_s32(struct kbr_wire_writer *w, size_t pos, s32 v);
void kbr_wire_writer_patch_s64(struct kbr_wire_writer *w, size_t pos, s64 v);

#endif /* _KBR_CODEC_WIRE_H */
