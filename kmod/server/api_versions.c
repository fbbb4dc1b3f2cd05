// SPDX-License-Identifier: GPL-2.0-only
/*
 * ApiVersions: what is served. A version of it that is not is answered by the
 * connection, see conn.c.
 */
#include <linux/ctype.h>

#include "server/admin.h"

/* Kafka's rule for a client's software: nothing that a terminal would obey */
static bool kbr_software_valid(const struct kbr_str *text)
{
	s32 i;

	if (text->len < 1 || !isalnum(text->at[0]) || !isalnum(text->at[text->len - 1]))
		return false;
	for (i = 0; i < text->len; i++)
		if (!isalnum(text->at[i]) && text->at[i] != '-' && text->at[i] != '.')
			return false;
	return true;
}

static s16 kbr_api_versions_take_software(struct kbr_request *req)
{
	struct kbr_str name = kbr_get_string(&req->body);
	struct kbr_str version = kbr_get_string(&req->body);

	if (!kbr_software_valid(&name) || !kbr_software_valid(&version))
		return KBR_KAFKA_INVALID_REQUEST;
	kbr_request_set_software(req, &name, &version);
	return 0;
}

static bool kbr_api_is_served(const struct kbr_api *api)
{
	return api->key < KBR_API_PRIVATE && kbr_handler_find(api->key);
}

static enum kbr_request_state kbr_api_versions_start(struct kbr_request *req)
{
	struct kbr_wire_writer *w = &req->reply;
	s16 version = req->header.version;
	s32 count = 0;
	unsigned int i;
	s16 code = 0;

	if (version >= 3)
		code = kbr_api_versions_take_software(req);
	kbr_put_s16(w, code);
	for (i = 0; !code && i < kbr_apis_count; i++)
		count += kbr_api_is_served(&kbr_apis[i]);
	kbr_put_count(w, count);
	for (i = 0; count && i < kbr_apis_count; i++) {
		if (!kbr_api_is_served(&kbr_apis[i]))
			continue;
		kbr_put_s16(w, kbr_apis[i].key);
		kbr_put_s16(w, kbr_apis[i].min);
		kbr_put_s16(w, kbr_apis[i].max);
		kbr_put_tags(w);
	}
	if (version >= 1)
		kbr_put_s32(w, 0);	/* throttle */
	kbr_put_tags(w);
	return KBR_REQUEST_DONE;
}

const struct kbr_handler kbr_handle_api_versions = { .start = kbr_api_versions_start };
