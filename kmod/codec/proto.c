// SPDX-License-Identifier: GPL-2.0-only OR LGPL-2.1-or-later
/*
 * The heads of requests and responses, and the check of a message against its
 * schema. The schemas themselves are in proto_schema.c.
 */
#include <linux/errno.h>
#include <linux/types.h>

#include "base/kunit.h"
#include "codec/proto.h"

const struct kbr_api *kbr_api_find(s16 key)
{
	unsigned int i;

	for (i = 0; i < kbr_apis_count; i++)
		if (kbr_apis[i].key == key)
			return &kbr_apis[i];
	return NULL;
}
KBR_EXPORT_IF_KUNIT(kbr_api_find);

int kbr_request_decode_header(struct kbr_wire_reader *r, struct kbr_request_header *header)
{
	/* the client id keeps its int16 length in flexible versions, too */
	r->flexible = false;
	header->key = kbr_get_s16(r);
	header->version = kbr_get_s16(r);
	header->correlation_id = kbr_get_s32(r);
	header->api = kbr_api_find(header->key);
	header->client_id.at = NULL;
	header->client_id.len = -1;
	if (r->bad)
		return -EPROTO;
	if (!header->api)
		return -EOPNOTSUPP;
	if (header->version < header->api->serve_min || header->version > header->api->max)
		return -EPROTONOSUPPORT;

	header->client_id = kbr_get_nullable_string(r);
	r->flexible = header->version >= header->api->flexible;
	kbr_get_tags(r);
	return r->bad ? -EPROTO : 0;
}
KBR_EXPORT_IF_KUNIT(kbr_request_decode_header);

static void kbr_struct_check(struct kbr_wire_reader *r, const struct kbr_field *fields,
			     s16 version);

/* One value of a primitive type */
static void kbr_value_check(struct kbr_wire_reader *r, enum kbr_field_type type, bool nullable)
{
	u8 id[16];

	switch (type) {
	case KBR_FIELD_BOOL:
	case KBR_FIELD_S8:
		kbr_get_s8(r);
		break;
	case KBR_FIELD_S16:
		kbr_get_s16(r);
		break;
	case KBR_FIELD_S32:
		kbr_get_s32(r);
		break;
	case KBR_FIELD_S64:
		kbr_get_s64(r);
		break;
	case KBR_FIELD_UUID:
		kbr_get_uuid(r, id);
		break;
	case KBR_FIELD_STRING:
		if (nullable)
			kbr_get_nullable_string(r);
		else
			kbr_get_string(r);
		break;
	case KBR_FIELD_BYTES:
		if (nullable)
			kbr_get_nullable_bytes(r);
		else
			kbr_get_bytes(r);
		break;
	case KBR_FIELD_ARRAY:
	case KBR_FIELD_END:
		r->bad = true;
		break;
	}
}

static void kbr_array_check(struct kbr_wire_reader *r, const struct kbr_field *field, bool nullable,
			    s16 version)
{
	s32 count = nullable ? kbr_get_nullable_count(r) : kbr_get_count(r);

	for (; count > 0 && !r->bad; count--) {
		if (field->type_of == KBR_FIELD_END)
			kbr_struct_check(r, field->fields, version);
		else
			kbr_value_check(r, field->type_of, false);
	}
}

void kbr_field_skip(struct kbr_wire_reader *r, const struct kbr_field *field, s16 version)
{
	bool nullable = field->nullable && version >= field->null_min;

	if (version < field->min || version > field->max)
		return;
	if (field->type == KBR_FIELD_ARRAY)
		kbr_array_check(r, field, nullable, version);
	else
		kbr_value_check(r, field->type, nullable);
}
KBR_EXPORT_IF_KUNIT(kbr_field_skip);

/* Recursion ends with the schema: no message nests deeper than four */
static void kbr_struct_check(struct kbr_wire_reader *r, const struct kbr_field *fields, s16 version)
{
	const struct kbr_field *field;

	for (field = fields; field->type != KBR_FIELD_END && !r->bad; field++)
		kbr_field_skip(r, field, version);
	kbr_get_tags(r);
}

int kbr_message_check(const struct kbr_wire_reader *r, const struct kbr_field *fields, s16 version)
{
	struct kbr_wire_reader copy = *r;

	kbr_struct_check(&copy, fields, version);
	return copy.bad ? -EPROTO : 0;
}
KBR_EXPORT_IF_KUNIT(kbr_message_check);

void kbr_response_begin(struct kbr_wire_writer *w, const struct kbr_request_header *header)
{
	bool flexible = header->version >= header->api->flexible &&
			header->version <= header->api->max;

	kbr_put_s32(w, 0);
	kbr_put_s32(w, header->correlation_id);
	/* whoever asks for the versions does not know yet which header will come */
	w->flexible = flexible && header->key != KBR_API_API_VERSIONS;
	kbr_put_tags(w);
	w->flexible = flexible;
}
KBR_EXPORT_IF_KUNIT(kbr_response_begin);

void kbr_response_end(struct kbr_wire_writer *w, size_t elsewhere)
{
	if (w->len >= sizeof(__be32))
		kbr_wire_writer_patch_s32(w, 0, (s32)(w->len - sizeof(__be32) + elsewhere));
}
KBR_EXPORT_IF_KUNIT(kbr_response_end);
