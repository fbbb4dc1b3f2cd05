// SPDX-License-Identifier: GPL-2.0-only
/*
 * FindCoordinator, versions 0 to 4: this broker coordinates all groups. Whoever
 * asks for one is about to use it: __consumer_offsets is made now.
 */
#include "server/group_ask.h"

/* key_type */
#define KBR_KEY_GROUP		0
#define KBR_KEY_TRANSACTION	1

static s16 kbr_find_coordinator_code(struct kbr_request *req, s8 type, const char **message)
{
	*message = NULL;
	switch (type) {
	case KBR_KEY_GROUP:
		if (!kbr_groups_ready(kbr_request_broker(req), false))
			return KBR_KAFKA_NONE;
		*message = "the topic __consumer_offsets is not there yet";
		return KBR_KAFKA_COORDINATOR_NOT_AVAILABLE;
	case KBR_KEY_TRANSACTION:
		/* clients would ask for a coordinator again and again; this they take as the end */
		*message = "transactions are not supported";
		return KBR_KAFKA_TRANSACTIONAL_ID;
	default:
		*message = "there are coordinators of groups and of transactions only";
		return KBR_KAFKA_INVALID_REQUEST;
	}
}

static void kbr_find_coordinator_put_node(struct kbr_request *req, s16 code)
{
	struct kbr_wire_writer *w = &req->reply;
	struct kbr_address address;

	if (code) {
		kbr_put_s32(w, -1);
		kbr_put_string(w, "");
		kbr_put_s32(w, -1);
		return;
	}
	kbr_request_address(req, &address);
	kbr_put_s32(w, kbr_request_broker(req)->id);
	kbr_put_string(w, address.host);
	kbr_put_s32(w, address.port);
}

/* From version 4 on: many keys, each with its own answer */
static void kbr_find_coordinators(struct kbr_request *req, s8 type)
{
	s32 count = kbr_get_count(&req->body);
	struct kbr_wire_writer *w = &req->reply;
	struct kbr_str key;
	const char *message;
	s16 code;

	code = kbr_find_coordinator_code(req, type, &message);
	kbr_put_s32(w, 0);	/* throttle */
	kbr_put_count(w, count);
	for (; count > 0 && !w->err; count--) {
		key = kbr_get_string(&req->body);
		kbr_put_str(w, &key);
		kbr_find_coordinator_put_node(req, code);
		kbr_put_s16(w, code);
		kbr_put_string(w, message);
		kbr_put_tags(w);
	}
	kbr_put_tags(w);
}

/* The type of what is looked for, with the reader behind it; behind the key, too, before version 4 */
static s8 kbr_find_coordinator_type(const struct kbr_request *req, struct kbr_wire_reader *r)
{
	if (req->header.version < 4)
		kbr_get_string(r);
	return req->header.version >= 1 ? kbr_get_s8(r) : KBR_KEY_GROUP;
}

static bool kbr_find_coordinator_begin(struct kbr_request *req, struct kbr_group_ask *ask)
{
	s8 type = kbr_find_coordinator_type(req, &req->body);
	s16 version = req->header.version;
	struct kbr_wire_writer *w = &req->reply;
	const char *message;
	s16 code;

	if (version >= 4) {
		kbr_find_coordinators(req, type);
		return true;
	}
	code = kbr_find_coordinator_code(req, type, &message);
	kbr_group_ask_throttle(req, 1);
	kbr_put_s16(w, code);
	if (version >= 1)
		kbr_put_string(w, message);
	kbr_find_coordinator_put_node(req, code);
	kbr_put_tags(w);
	return true;
}

static const struct kbr_group_ask_calls kbr_find_coordinator_calls = {
	.begin = kbr_find_coordinator_begin,
};

static enum kbr_request_state kbr_find_coordinator_start(struct kbr_request *req)
{
	struct kbr_wire_reader r = req->body;

	if (kbr_find_coordinator_type(req, &r) == KBR_KEY_GROUP)
		return kbr_group_ask_start(req, &kbr_find_coordinator_calls, true);
	kbr_find_coordinator_begin(req, NULL);
	return KBR_REQUEST_DONE;
}

const struct kbr_handler kbr_handle_find_coordinator = {
	.start = kbr_find_coordinator_start,
	.resume = kbr_group_ask_resume,
	.drop = kbr_group_ask_drop,
};
