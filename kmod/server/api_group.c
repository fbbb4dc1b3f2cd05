// SPDX-License-Identifier: GPL-2.0-only
/*
 * The life of a member of the classic group protocol: JoinGroup 0-5, SyncGroup
 * 0-3, Heartbeat 0-3, LeaveGroup 0-3. What they mean is group_classic.c's
 * business; here are their bytes, and who waits.
 */
#include <linux/slab.h>

#include "base/clock.h"
#include "server/group_ask.h"

/* First version of JoinGroup in which a new member is told its id first */
#define KBR_JOIN_ID_FIRST	4
/* Protocols of one JoinGroup: assignors; clients have up to four */
#define KBR_JOIN_PROTOCOLS_MAX	64

static struct kbr_group_id kbr_group_get_member(struct kbr_wire_reader *r, bool instance)
{
	struct kbr_group_id id = { .generation = -1, .instance_id.len = -1 };

	id.member_id = kbr_get_string(r);
	if (instance)
		id.instance_id = kbr_get_nullable_string(r);
	return id;
}

/* Generation, member and, from version @since on, instance: who asks, as most say it */
static struct kbr_group_id kbr_group_get_id(struct kbr_request *req, s16 since)
{
	s32 generation = kbr_get_s32(&req->body);
	struct kbr_group_id id;

	id = kbr_group_get_member(&req->body, req->header.version >= since);
	id.generation = generation;
	return id;
}

/* The group has taken what it needs of the request. */
static void kbr_group_drop_frame(struct kbr_request *req)
{
	kbr_request_drop_frame(req);
	req->header.client_id.len = -1;
}

/* ---- JoinGroup ---- */

static void kbr_join_put_members(struct kbr_request *req, struct kbr_group *group)
{
	struct kbr_group_member_info member;
	struct kbr_wire_writer *w = &req->reply;
	unsigned int n;

	for (n = 0; !w->err && kbr_group_member_locked(group, n, &member); n++) {
		kbr_put_str(w, &member.id);
		if (req->header.version >= 5)
			kbr_put_str(w, &member.instance_id);
		kbr_group_ask_put_bytes(w, &member.metadata);
	}
}

static void kbr_join_tell(void *ctx, const struct kbr_group_answer *answer)
{
	struct kbr_request *req = ctx;
	struct kbr_wire_writer *w = &req->reply;
	struct kbr_group_info info = {};

	if (answer->lead)
		kbr_group_info_locked(answer->group, &info);
	kbr_group_ask_throttle(req, 2);
	kbr_put_s16(w, answer->code);
	kbr_put_s32(w, answer->generation);
	kbr_put_str(w, &answer->protocol);
	kbr_put_str(w, &answer->leader);
	kbr_put_str(w, &answer->member_id);
	kbr_put_count(w, info.members);
	if (answer->lead)
		kbr_join_put_members(req, answer->group);
}

static void kbr_join_refuse(struct kbr_request *req, s16 code, const struct kbr_str *member_id)
{
	const struct kbr_group_answer answer = {
		.code = code,
		.generation = -1,
		.protocol.at = "",
		.leader.at = "",
		.member_id = *member_id,
	};

	kbr_join_tell(req, &answer);
}

/* All but the protocols; where the group's name is, too */
static void kbr_join_read(struct kbr_request *req, struct kbr_str *name,
			  struct kbr_group_join *join, char *host, size_t host_size)
{
	struct kbr_wire_reader *r = &req->body;
	s16 version = req->header.version;

	*name = kbr_get_string(r);
	join->session_timeout_ms = kbr_get_s32(r);
	join->rebalance_timeout_ms = version >= 1 ? kbr_get_s32(r) : join->session_timeout_ms;
	join->id = kbr_group_get_member(r, version >= 5);
	join->protocol_type = kbr_get_string(r);
	join->id_first = version >= KBR_JOIN_ID_FIRST;
	join->client_id = req->header.client_id;
	kbr_request_client_host(req, host, host_size);
	join->client_host = (struct kbr_str) { .at = host, .len = strlen(host) };
}

static bool kbr_join_begin(struct kbr_request *req, struct kbr_group_ask *ask)
{
	struct kbr_group_protocol *protocols;
	struct kbr_group_join join = {};
	struct kbr_group *group;
	struct kbr_str name;
	char host[64];
	bool answered;
	s32 i, count;
	s16 code;

	kbr_join_read(req, &name, &join, host, sizeof(host));
	count = kbr_get_count(&req->body);
	if (count > KBR_JOIN_PROTOCOLS_MAX) {
		kbr_join_refuse(req, KBR_KAFKA_INVALID_REQUEST, &join.id.member_id);
		return true;
	}
	protocols = kcalloc(max(count, 1), sizeof(*protocols), GFP_KERNEL);
	if (!protocols) {
		kbr_join_refuse(req, KBR_KAFKA_COORDINATOR_NOT_AVAILABLE, &join.id.member_id);
		return true;
	}
	for (i = 0; i < count; i++) {
		protocols[i].name = kbr_get_string(&req->body);
		protocols[i].metadata = kbr_get_bytes(&req->body);
	}
	join.protocols = protocols;
	join.protocols_count = count;
	/* only who begins a group may make it: a member of one that is gone is unknown */
	group = kbr_group_ask_find(req, &name, !join.id.member_id.len, KBR_KAFKA_UNKNOWN_MEMBER_ID,
				   &code);
	if (group) {
		answered = kbr_group_join(group, &join, kbr_clock_mono_ms(), &ask->wait,
					  kbr_join_tell, req);
		kbr_group_put(group);
	} else {
		kbr_join_refuse(req, code, &join.id.member_id);
		answered = true;
	}
	kfree(protocols);
	if (!answered)
		kbr_group_drop_frame(req);
	return answered;
}

static bool kbr_join_again(struct kbr_request *req, struct kbr_group_ask *ask)
{
	return kbr_group_join_again(&ask->wait, kbr_clock_mono_ms(), kbr_join_tell, req);
}

/* The broker stops, or the client waits no more: what it can do is to ask for its coordinator. */
static void kbr_join_expire(struct kbr_request *req, struct kbr_group_ask *ask)
{
	static const struct kbr_str nobody = { .at = "" };

	kbr_join_refuse(req, KBR_KAFKA_COORDINATOR_NOT_AVAILABLE, &nobody);
}

static const struct kbr_group_ask_calls kbr_join_calls = {
	.begin = kbr_join_begin,
	.again = kbr_join_again,
	.expire = kbr_join_expire,
	.wait_ms = KBR_REQUEST_TIMEOUT_MS_MAX,
};

static enum kbr_request_state kbr_join_start(struct kbr_request *req)
{
	return kbr_group_ask_start(req, &kbr_join_calls, true);
}

const struct kbr_handler kbr_handle_join_group = {
	.start = kbr_join_start,
	.resume = kbr_group_ask_resume,
	.drop = kbr_group_ask_drop,
};

/* ---- SyncGroup ---- */

static void kbr_sync_tell(void *ctx, const struct kbr_group_answer *answer)
{
	struct kbr_request *req = ctx;

	kbr_group_ask_throttle(req, 1);
	kbr_put_s16(&req->reply, answer->code);
	kbr_group_ask_put_bytes(&req->reply, &answer->assignment);
}

static void kbr_sync_refuse(struct kbr_request *req, s16 code)
{
	/* until groups are loaded the member rejoins, which waits for it */
	const struct kbr_group_answer answer = {
		.code = code == KBR_KAFKA_COORDINATOR_LOAD_IN_PROGRESS ?
			KBR_KAFKA_REBALANCE_IN_PROGRESS : code,
	};

	kbr_sync_tell(req, &answer);
}

static bool kbr_sync_begin(struct kbr_request *req, struct kbr_group_ask *ask)
{
	struct kbr_str name = kbr_get_string(&req->body);
	struct kbr_group_id id = kbr_group_get_id(req, 3);
	struct kbr_group_assignment *assignments;
	s32 i, count = kbr_get_count(&req->body);
	struct kbr_group *group = NULL;
	bool answered = true;
	s16 code;

	if (count > KBR_GROUP_ASSIGNMENTS_MAX) {
		kbr_sync_refuse(req, KBR_KAFKA_INVALID_REQUEST);
		return true;
	}
	assignments = kvcalloc(max(count, 1), sizeof(*assignments), GFP_KERNEL);
	if (!assignments) {
		kbr_sync_refuse(req, KBR_KAFKA_COORDINATOR_NOT_AVAILABLE);
		return true;
	}
	for (i = 0; i < count; i++) {
		assignments[i].member_id = kbr_get_string(&req->body);
		assignments[i].assignment = kbr_get_bytes(&req->body);
	}
	group = kbr_group_ask_find(req, &name, false, KBR_KAFKA_UNKNOWN_MEMBER_ID, &code);
	if (group) {
		answered = kbr_group_sync(group, &id, assignments, count, kbr_clock_mono_ms(),
					  &ask->wait, kbr_sync_tell, req);
		kbr_group_put(group);
	} else {
		kbr_sync_refuse(req, code);
	}
	kvfree(assignments);
	if (!answered)
		kbr_group_drop_frame(req);
	return answered;
}

static bool kbr_sync_again(struct kbr_request *req, struct kbr_group_ask *ask)
{
	return kbr_group_sync_again(&ask->wait, kbr_clock_mono_ms(), kbr_sync_tell, req);
}

static void kbr_sync_expire(struct kbr_request *req, struct kbr_group_ask *ask)
{
	kbr_sync_refuse(req, KBR_KAFKA_COORDINATOR_NOT_AVAILABLE);
}

static const struct kbr_group_ask_calls kbr_sync_calls = {
	.begin = kbr_sync_begin,
	.again = kbr_sync_again,
	.expire = kbr_sync_expire,
	.wait_ms = KBR_REQUEST_TIMEOUT_MS_MAX,
};

static enum kbr_request_state kbr_sync_start(struct kbr_request *req)
{
	return kbr_group_ask_start(req, &kbr_sync_calls, false);
}

const struct kbr_handler kbr_handle_sync_group = {
	.start = kbr_sync_start,
	.resume = kbr_group_ask_resume,
	.drop = kbr_group_ask_drop,
};

/* ---- Heartbeat ---- */

static bool kbr_heartbeat_begin(struct kbr_request *req, struct kbr_group_ask *ask)
{
	struct kbr_str name = kbr_get_string(&req->body);
	struct kbr_group_id id = kbr_group_get_id(req, 3);
	struct kbr_group *group;
	s16 code;

	group = kbr_group_ask_find(req, &name, false, KBR_KAFKA_UNKNOWN_MEMBER_ID, &code);
	if (group) {
		code = kbr_group_heartbeat(group, &id, kbr_clock_mono_ms());
		kbr_group_put(group);
	} else if (code == KBR_KAFKA_COORDINATOR_LOAD_IN_PROGRESS) {
		/* nobody's session ends before its group is loaded */
		code = KBR_KAFKA_NONE;
	}
	kbr_group_ask_throttle(req, 1);
	kbr_put_s16(&req->reply, code);
	return true;
}

static const struct kbr_group_ask_calls kbr_heartbeat_calls = {
	.begin = kbr_heartbeat_begin,
};

static enum kbr_request_state kbr_heartbeat_start(struct kbr_request *req)
{
	return kbr_group_ask_start(req, &kbr_heartbeat_calls, false);
}

const struct kbr_handler kbr_handle_heartbeat = {
	.start = kbr_heartbeat_start,
	.resume = kbr_group_ask_resume,
	.drop = kbr_group_ask_drop,
};

/* ---- LeaveGroup ---- */

static s16 kbr_leave_member(struct kbr_group *group, const struct kbr_group_id *id)
{
	return group ? kbr_group_leave(group, id, kbr_clock_mono_ms()) :
		       KBR_KAFKA_UNKNOWN_MEMBER_ID;
}

/* From version 3 on: several members, each with its own answer */
static void kbr_leave_members(struct kbr_request *req, struct kbr_group *group)
{
	s32 count = kbr_get_count(&req->body);
	struct kbr_wire_writer *w = &req->reply;
	struct kbr_group_id id;

	kbr_put_count(w, count);
	for (; count > 0 && !w->err; count--) {
		id = kbr_group_get_member(&req->body, true);
		kbr_put_str(w, &id.member_id);
		kbr_put_str(w, &id.instance_id);
		kbr_put_s16(w, kbr_leave_member(group, &id));
		cond_resched();
	}
}

static bool kbr_leave_begin(struct kbr_request *req, struct kbr_group_ask *ask)
{
	struct kbr_str name = kbr_get_string(&req->body);
	s16 version = req->header.version;
	struct kbr_group_id id;
	struct kbr_group *group;
	s16 code;

	/* where there is no group nobody is its member */
	group = kbr_group_ask_find(req, &name, false, KBR_KAFKA_NONE, &code);
	if (version < 3 && !code) {
		id = kbr_group_get_member(&req->body, false);
		code = kbr_leave_member(group, &id);
	}
	kbr_group_ask_throttle(req, 1);
	kbr_put_s16(&req->reply, code);
	if (version >= 3 && !code)
		kbr_leave_members(req, group);
	else if (version >= 3)
		kbr_put_count(&req->reply, 0);
	if (group)
		kbr_group_put(group);
	return true;
}

static const struct kbr_group_ask_calls kbr_leave_calls = {
	.begin = kbr_leave_begin,
};

static enum kbr_request_state kbr_leave_start(struct kbr_request *req)
{
	return kbr_group_ask_start(req, &kbr_leave_calls, false);
}

const struct kbr_handler kbr_handle_leave_group = {
	.start = kbr_leave_start,
	.resume = kbr_group_ask_resume,
	.drop = kbr_group_ask_drop,
};
