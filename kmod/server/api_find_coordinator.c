// SPDX-License-Identifier: GPL-2.0-only
/*
 * FindCoordinator, versions 0 to 4: who leads the partition of __consumer_offsets
 * that the group's name hashes to; a standalone broker leads them all. Whoever
 * asks for one is about to use it: __consumer_offsets is made now.
 */
#include "broker/cluster.h"
#include "server/group_ask.h"

/* key_type */
#define KBR_KEY_GROUP		0
#define KBR_KEY_TRANSACTION	1

/* Where to find it; -1 and "" is Kafka's nobody. */
struct kbr_coordinator {
	s32 id;
	s32 port;
	struct kbr_address address;
	const char *message;
};

static s16 kbr_find_coordinator_group(struct kbr_request *req, const struct kbr_str *name,
				      struct kbr_coordinator *found)
{
	struct kbr_broker *broker = kbr_request_broker(req);
	struct kbr_peer peer;
	s32 id;

	if (kbr_groups_coordinator(broker, name, &id)) {
		found->message = "the topic __consumer_offsets is not there yet, or has no leader";
		return KBR_KAFKA_COORDINATOR_NOT_AVAILABLE;
	}
	if (id == READ_ONCE(broker->id)) {
		kbr_request_address(req, &found->address);
	} else if (!kbr_cluster_peer(broker, id, &peer)) {
		kbr_peer_address(&peer, &found->address);
	} else {
		found->message = "the coordinator's broker is not known here";
		return KBR_KAFKA_COORDINATOR_NOT_AVAILABLE;
	}
	found->id = id;
	found->port = found->address.port;
	return KBR_KAFKA_NONE;
}

static s16 kbr_find_coordinator(struct kbr_request *req, s8 type, const struct kbr_str *key,
				struct kbr_coordinator *found)
{
	*found = (struct kbr_coordinator) { .id = -1, .port = -1 };
	switch (type) {
	case KBR_KEY_GROUP:
		return kbr_find_coordinator_group(req, key, found);
	case KBR_KEY_TRANSACTION:
		/* clients would ask for a coordinator again and again; this they take as the end */
		found->message = "transactions are not supported";
		return KBR_KAFKA_TRANSACTIONAL_ID;
	default:
		found->message = "there are coordinators of groups and of transactions only";
		return KBR_KAFKA_INVALID_REQUEST;
	}
}

static void kbr_find_coordinator_put_node(struct kbr_wire_writer *w,
					  const struct kbr_coordinator *found)
{
	kbr_put_s32(w, found->id);
	kbr_put_string(w, found->address.host);
	kbr_put_s32(w, found->port);
}

static void kbr_find_coordinators(struct kbr_request *req, s8 type)
{
	s32 count = kbr_get_count(&req->body);
	struct kbr_wire_writer *w = &req->reply;
	struct kbr_coordinator found;
	struct kbr_str key;
	s16 code;

	kbr_put_s32(w, 0);	/* throttle */
	kbr_put_count(w, count);
	for (; count > 0 && !w->err; count--) {
		key = kbr_get_string(&req->body);
		code = kbr_find_coordinator(req, type, &key, &found);
		kbr_put_str(w, &key);
		kbr_find_coordinator_put_node(w, &found);
		kbr_put_s16(w, code);
		kbr_put_string(w, found.message);
		kbr_put_tags(w);
	}
	kbr_put_tags(w);
}

/* The type of what is looked for, with the reader behind it; behind the key, too, before version 4 */
static s8 kbr_find_coordinator_type(const struct kbr_request *req, struct kbr_wire_reader *r,
				    struct kbr_str *key)
{
	*key = (struct kbr_str) { .at = "" };
	if (req->header.version < 4)
		*key = kbr_get_string(r);
	return req->header.version >= 1 ? kbr_get_s8(r) : KBR_KEY_GROUP;
}

static bool kbr_find_coordinator_begin(struct kbr_request *req, struct kbr_group_ask *ask)
{
	struct kbr_wire_writer *w = &req->reply;
	s16 version = req->header.version;
	struct kbr_coordinator found;
	struct kbr_str key;
	s16 code;
	s8 type;

	type = kbr_find_coordinator_type(req, &req->body, &key);
	if (version >= 4) {
		kbr_find_coordinators(req, type);
		return true;
	}
	code = kbr_find_coordinator(req, type, &key, &found);
	kbr_group_ask_throttle(req, 1);
	kbr_put_s16(w, code);
	if (version >= 1)
		kbr_put_string(w, found.message);
	kbr_find_coordinator_put_node(w, &found);
	kbr_put_tags(w);
	return true;
}

static const struct kbr_group_ask_calls kbr_find_coordinator_calls = {
	.begin = kbr_find_coordinator_begin,
};

static enum kbr_request_state kbr_find_coordinator_start(struct kbr_request *req)
{
	struct kbr_wire_reader r = req->body;
	struct kbr_str key;

	if (kbr_find_coordinator_type(req, &r, &key) == KBR_KEY_GROUP)
		return kbr_group_ask_start(req, &kbr_find_coordinator_calls, true);
	kbr_find_coordinator_begin(req, NULL);
	return KBR_REQUEST_DONE;
}

const struct kbr_handler kbr_handle_find_coordinator = {
	.start = kbr_find_coordinator_start,
	.resume = kbr_group_ask_resume,
	.drop = kbr_group_ask_drop,
};
