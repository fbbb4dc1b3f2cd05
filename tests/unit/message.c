// SPDX-License-Identifier: GPL-2.0-only
/*
 * Messages made and read by their schemas, with the codec's own calls.
 */
#include "message.h"

static bool message_has(const struct kbr_field *field, s16 version)
{
	return version >= field->min && version <= field->max;
}

static bool message_may_be_null(const struct kbr_field *field, s16 version)
{
	return field->nullable && version >= field->null_min;
}

static void message_write_value(struct kbr_wire_writer *w, u8 type, bool nullable,
				uint64_t (*random)(uint64_t below))
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyz";
	static const u8 id[16] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16 };
	struct kbr_str str;
	/* now and then such that a compact length takes two bytes */
	size_t len = random(20) ? random(6) : 120 + random(20);
	char text[160];
	size_t i;

	switch (type) {
	case KBR_FIELD_BOOL:
		kbr_put_bool(w, random(2));
		break;
	case KBR_FIELD_S8:
		kbr_put_s8(w, (s8)random(256));
		break;
	case KBR_FIELD_S16:
		kbr_put_s16(w, (s16)random(1 << 16));
		break;
	case KBR_FIELD_S32:
		kbr_put_s32(w, (s32)random(1ull << 32));
		break;
	case KBR_FIELD_S64:
		kbr_put_s64(w, (s64)(random(1ull << 32) << 32 | random(1ull << 32)));
		break;
	case KBR_FIELD_UUID:
		kbr_put_uuid(w, id);
		break;
	case KBR_FIELD_STRING:
	case KBR_FIELD_BYTES:
		for (i = 0; i < len; i++)
			text[i] = letters[random(sizeof(letters) - 1)];
		str.at = text;
		str.len = nullable && !random(4) ? -1 : (s32)len;
		if (type == KBR_FIELD_STRING)
			kbr_put_str(w, &str);
		else
			kbr_put_bytes(w, str.len < 0 ? NULL : text, len);
		break;
	}
}

void message_write(struct kbr_wire_writer *w, const struct kbr_field *fields, s16 version,
		   uint64_t (*random)(uint64_t below))
{
	const struct kbr_field *field;

	for (field = fields; field->type != KBR_FIELD_END; field++) {
		bool nullable = message_may_be_null(field, version);
		s32 count;

		if (!message_has(field, version))
			continue;
		if (field->type != KBR_FIELD_ARRAY) {
			message_write_value(w, field->type, nullable, random);
			continue;
		}
		count = nullable && !random(4) ? -1 : (s32)random(4);
		kbr_put_count(w, count);
		for (; count > 0; count--) {
			if (field->type_of == KBR_FIELD_END)
				message_write(w, field->fields, version, random);
			else
				message_write_value(w, field->type_of, false, random);
		}
	}
	kbr_put_tags(w);
}

static void message_copy_value(struct kbr_wire_writer *w, struct kbr_wire_reader *r, u8 type,
			       bool nullable)
{
	struct kbr_str str;
	u8 id[16];

	switch (type) {
	case KBR_FIELD_BOOL:
		kbr_put_bool(w, kbr_get_bool(r));
		break;
	case KBR_FIELD_S8:
		kbr_put_s8(w, kbr_get_s8(r));
		break;
	case KBR_FIELD_S16:
		kbr_put_s16(w, kbr_get_s16(r));
		break;
	case KBR_FIELD_S32:
		kbr_put_s32(w, kbr_get_s32(r));
		break;
	case KBR_FIELD_S64:
		kbr_put_s64(w, kbr_get_s64(r));
		break;
	case KBR_FIELD_UUID:
		kbr_get_uuid(r, id);
		kbr_put_uuid(w, id);
		break;
	case KBR_FIELD_STRING:
		str = nullable ? kbr_get_nullable_string(r) : kbr_get_string(r);
		kbr_put_str(w, &str);
		break;
	case KBR_FIELD_BYTES:
		str = nullable ? kbr_get_nullable_bytes(r) : kbr_get_bytes(r);
		kbr_put_bytes(w, str.len < 0 ? NULL : str.at, str.len < 0 ? 0 : str.len);
		break;
	}
}

bool message_copy(struct kbr_wire_writer *w, struct kbr_wire_reader *r, const struct kbr_field *fields,
		  s16 version)
{
	const struct kbr_field *field;

	for (field = fields; field->type != KBR_FIELD_END; field++) {
		bool nullable = message_may_be_null(field, version);
		s32 count;

		if (!message_has(field, version))
			continue;
		if (field->type != KBR_FIELD_ARRAY) {
			message_copy_value(w, r, field->type, nullable);
			continue;
		}
		count = nullable ? kbr_get_nullable_count(r) : kbr_get_count(r);
		kbr_put_count(w, count);
		for (; count > 0 && !r->bad; count--) {
			if (field->type_of == KBR_FIELD_END)
				message_copy(w, r, field->fields, version);
			else
				message_copy_value(w, r, field->type_of, false);
		}
	}
	kbr_get_tags(r);
	kbr_put_tags(w);
	return !r->bad;
}
