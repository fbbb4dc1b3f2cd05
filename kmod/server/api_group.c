// SPDX-License-Identifier: GPL-2.0-only
/*
 * Consumer groups and transactions, of which there is no coordinator yet: a
 * client is told so in the way that it understands, and none is led to
 * believe that an offset was kept.
 */
#include "server/admin.h"

#define KBR_NO_GROUPS		"consumer groups are not supported yet"
#define KBR_NO_TRANSACTIONS	"transactions are not supported"

/* key_type of FindCoordinator */
#define KBR_KEY_GROUP		0
#define KBR_KEY_TRANSACTION	1

static s16 kbr_coordinator_refusal(s8 type, const char **message)
{
	switch (type) {
	case KBR_KEY_GROUP:
		*message = KBR_NO_GROUPS;
		return KBR_KAFKA_COORDINATOR_NOT_AVAILABLE;
	case KBR_KEY_TRANSACTION:
		/* clients would ask for a coordinator again and again; this they take as the end */
		*message = KBR_NO_TRANSACTIONS;
		return KBR_KAFKA_TRANSACTIONAL_ID;
	default:
		*message = "there are coordinators of groups and of transactions only";
		return KBR_KAFKA_INVALID_REQUEST;
	}
}

/* From version 4 on: many keys, each with its own answer */
static void kbr_find_coordinators(struct kbr_request *req)
{
	s8 type = kbr_get_s8(&req->body);
	s32 count = kbr_get_count(&req->body);
	struct kbr_wire_writer *w = &req->reply;
	struct kbr_str key;
	const char *message;
	s16 code;

	code = kbr_coordinator_refusal(type, &message);
	kbr_put_s32(w, 0);	/* throttle */
	kbr_put_count(w, count);
	for (; count > 0 && !w->err; count--) {
		key = kbr_get_string(&req->body);
		kbr_put_str(w, &key);
		kbr_put_s32(w, -1);
		kbr_put_string(w, "");
		kbr_put_s32(w, -1);
		kbr_put_s16(w, code);
		kbr_put_string(w, message);
		kbr_put_tags(w);
	}
	kbr_put_tags(w);
}

static enum kbr_request_state kbr_find_coordinator_start(struct kbr_request *req)
{
	s16 version = req->header.version;
	struct kbr_wire_writer *w = &req->reply;
	const char *message;
	s16 code;

	if (version >= 4) {
		kbr_find_coordinators(req);
		return KBR_REQUEST_DONE;
	}
	kbr_get_string(&req->body);
	code = kbr_coordinator_refusal(version >= 1 ? kbr_get_s8(&req->body) : KBR_KEY_GROUP,
				       &message);
	if (version >= 1)
		kbr_put_s32(w, 0);	/* throttle */
	kbr_put_s16(w, code);
	if (version >= 1)
		kbr_put_string(w, message);
	kbr_put_s32(w, -1);
	kbr_put_string(w, "");
	kbr_put_s32(w, -1);
	kbr_put_tags(w);
	return KBR_REQUEST_DONE;
}

const struct kbr_handler kbr_handle_find_coordinator = { .start = kbr_find_coordinator_start };

/* An answer for each partition that was asked about */
static void kbr_group_refuse_offsets(struct kbr_request *req, bool commit)
{
	s16 version = req->header.version;
	struct kbr_wire_reader *r = &req->body;
	struct kbr_wire_writer *w = &req->reply;
	struct kbr_str name;
	s32 topics, parts;

	kbr_get_string(r);
	if (commit) {
		kbr_get_s32(r);
		kbr_get_string(r);
		if (version >= 7)
			kbr_get_nullable_string(r);
		if (version <= 4)
			kbr_get_s64(r);
	}
	if (version >= 3)
		kbr_put_s32(w, 0);	/* throttle */
	topics = commit ? kbr_get_count(r) : max(kbr_get_nullable_count(r), 0);
	kbr_put_count(w, topics);
	for (; topics > 0 && !w->err; topics--) {
		name = kbr_get_string(r);
		kbr_put_str(w, &name);
		parts = kbr_get_count(r);
		kbr_put_count(w, parts);
		for (; parts > 0 && !w->err; parts--) {
			kbr_put_s32(w, kbr_get_s32(r));
			if (commit) {
				kbr_get_s64(r);
				if (version >= 6)
					kbr_get_s32(r);
				kbr_get_nullable_string(r);
			} else {
				kbr_put_s64(w, -1);
				if (version >= 5)
					kbr_put_s32(w, -1);
				kbr_put_string(w, "");
			}
			kbr_put_s16(w, KBR_KAFKA_COORDINATOR_NOT_AVAILABLE);
		}
	}
	if (!commit && version >= 2)
		kbr_put_s16(w, KBR_KAFKA_COORDINATOR_NOT_AVAILABLE);
}

static void kbr_group_refuse_join(struct kbr_request *req)
{
	struct kbr_wire_writer *w = &req->reply;
	struct kbr_str member;

	kbr_get_string(&req->body);
	kbr_get_s32(&req->body);
	if (req->header.version >= 1)
		kbr_get_s32(&req->body);
	member = kbr_get_string(&req->body);
	if (req->header.version >= 2)
		kbr_put_s32(w, 0);	/* throttle */
	kbr_put_s16(w, KBR_KAFKA_COORDINATOR_NOT_AVAILABLE);
	kbr_put_s32(w, -1);
	kbr_put_string(w, "");
	kbr_put_string(w, "");
	kbr_put_str(w, &member);
	kbr_put_count(w, 0);
}

static void kbr_group_refuse_describe(struct kbr_request *req)
{
	struct kbr_wire_writer *w = &req->reply;
	s32 count = kbr_get_count(&req->body);
	struct kbr_str group;

	if (req->header.version >= 1)
		kbr_put_s32(w, 0);	/* throttle */
	kbr_put_count(w, count);
	for (; count > 0 && !w->err; count--) {
		group = kbr_get_string(&req->body);
		kbr_put_s16(w, KBR_KAFKA_COORDINATOR_NOT_AVAILABLE);
		kbr_put_str(w, &group);
		kbr_put_string(w, "");
		kbr_put_string(w, "");
		kbr_put_string(w, "");
		kbr_put_count(w, 0);
		if (req->header.version >= 3)
			kbr_put_s32(w, S32_MIN);	/* operations: not asked */
	}
}

static enum kbr_request_state kbr_group_start(struct kbr_request *req)
{
	struct kbr_wire_writer *w = &req->reply;
	s16 version = req->header.version;

	switch (req->header.key) {
	case KBR_API_OFFSET_COMMIT:
	case KBR_API_OFFSET_FETCH:
		kbr_group_refuse_offsets(req, req->header.key == KBR_API_OFFSET_COMMIT);
		break;
	case KBR_API_JOIN_GROUP:
		kbr_group_refuse_join(req);
		break;
	case KBR_API_DESCRIBE_GROUPS:
		kbr_group_refuse_describe(req);
		break;
	case KBR_API_LIST_GROUPS:
		/* this broker coordinates none: that is no error */
		if (version >= 1)
			kbr_put_s32(w, 0);	/* throttle */
		kbr_put_s16(w, KBR_KAFKA_NONE);
		kbr_put_count(w, 0);
		break;
	case KBR_API_HEARTBEAT:
	case KBR_API_LEAVE_GROUP:
	case KBR_API_SYNC_GROUP:
		if (version >= 1)
			kbr_put_s32(w, 0);	/* throttle */
		kbr_put_s16(w, KBR_KAFKA_COORDINATOR_NOT_AVAILABLE);
		if (req->header.key == KBR_API_SYNC_GROUP)
			kbr_put_bytes(w, "", 0);
		else if (req->header.key == KBR_API_LEAVE_GROUP && version >= 3)
			kbr_put_count(w, 0);
		break;
	default:
		return KBR_REQUEST_CLOSE;
	}
	return KBR_REQUEST_DONE;
}

const struct kbr_handler kbr_handle_group = { .start = kbr_group_start };
