// SPDX-License-Identifier: GPL-2.0-only
/*
 * Looks at groups from outside: DescribeGroups 0-4, ListGroups 0-2, DeleteGroups
 * 0-1.
 */
#include <linux/sched.h>

#include "base/clock.h"
#include "server/group_ask.h"

/* ---- DescribeGroups ---- */

static void kbr_describe_put_member(struct kbr_request *req,
				    const struct kbr_group_member_info *member, bool stable)
{
	static const struct kbr_str nothing;
	struct kbr_wire_writer *w = &req->reply;

	kbr_put_str(w, &member->id);
	if (req->header.version >= 4)
		kbr_put_str(w, &member->instance_id);
	kbr_put_str(w, &member->client_id);
	kbr_put_str(w, &member->client_host);
	kbr_group_ask_put_bytes(w, stable ? &member->metadata : &nothing);
	kbr_group_ask_put_bytes(w, stable ? &member->assignment : &nothing);
}

/* Behind the group's name. Between two generations nothing of the last one is told, as in Kafka. */
static void kbr_describe_put_group(struct kbr_request *req, struct kbr_group *group)
{
	struct kbr_group_member_info member;
	struct kbr_wire_writer *w = &req->reply;
	struct kbr_group_info info;
	unsigned int n;
	bool stable;

	kbr_group_lock(group);
	kbr_group_info_locked(group, &info);
	stable = info.state == KBR_GROUP_STABLE;
	kbr_put_string(w, kbr_group_state_name(info.state));
	kbr_put_str(w, &info.protocol_type);
	if (stable)
		kbr_put_str(w, &info.protocol);
	else
		kbr_put_string(w, "");
	if (info.kind == KBR_GROUP_DEVICE)
		info.members = 0;
	kbr_put_count(w, info.members);
	for (n = 0; n < info.members && kbr_group_member_locked(group, n, &member); n++)
		kbr_describe_put_member(req, &member, stable);
	kbr_group_unlock(group);
}

static void kbr_describe_put_nothing(struct kbr_request *req, const char *state)
{
	struct kbr_wire_writer *w = &req->reply;

	kbr_put_string(w, state);
	kbr_put_string(w, "");
	kbr_put_string(w, "");
	kbr_put_count(w, 0);
}

static s32 kbr_describe_operations(const struct kbr_request *req)
{
	s32 operations = KBR_OPERATION_READ | KBR_OPERATION_DESCRIBE;

	if (kbr_request_may_admin(req))
		operations |= KBR_OPERATION_DELETE;
	return operations;
}

/* Are the operations wanted? They are asked for behind the names. */
static bool kbr_describe_asks(const struct kbr_request *req)
{
	struct kbr_wire_reader r = req->body;

	if (req->header.version < 3)
		return false;
	kbr_field_skip(&r, &req->header.api->request[0], req->header.version);
	return kbr_get_bool(&r);
}

static bool kbr_describe_begin(struct kbr_request *req, struct kbr_group_ask *ask)
{
	s32 operations = KBR_OPERATIONS_NOT_ASKED;
	struct kbr_wire_writer *w = &req->reply;
	struct kbr_group *group;
	struct kbr_str name;
	s32 count;
	s16 code;

	if (kbr_describe_asks(req))
		operations = kbr_describe_operations(req);
	count = kbr_get_count(&req->body);
	kbr_group_ask_throttle(req, 1);
	kbr_put_count(w, count);
	for (; count > 0 && !w->err; count--) {
		name = kbr_get_string(&req->body);
		group = kbr_group_ask_find(req, &name, false, KBR_KAFKA_NONE, &code);
		kbr_put_s16(w, code);
		kbr_put_str(w, &name);
		if (group) {
			kbr_describe_put_group(req, group);
			kbr_group_put(group);
		} else {
			/* that there is none is no error before version 6 */
			kbr_describe_put_nothing(req, code ? "" :
						 kbr_group_state_name(KBR_GROUP_DEAD));
		}
		if (req->header.version >= 3)
			kbr_put_s32(w, code ? KBR_OPERATIONS_NOT_ASKED : operations);
		cond_resched();
	}
	return true;
}

static const struct kbr_group_ask_calls kbr_describe_calls = {
	.begin = kbr_describe_begin,
};

static enum kbr_request_state kbr_describe_start(struct kbr_request *req)
{
	return kbr_group_ask_start(req, &kbr_describe_calls, false);
}

const struct kbr_handler kbr_handle_describe_groups = {
	.start = kbr_describe_start,
	.resume = kbr_group_ask_resume,
	.drop = kbr_group_ask_drop,
};

/* ---- ListGroups ---- */

/* True if it was listed */
static bool kbr_list_put_group(struct kbr_request *req, struct kbr_group *group)
{
	struct kbr_str name = kbr_group_name(group);
	struct kbr_wire_writer *w = &req->reply;
	struct kbr_group_info info;

	kbr_group_lock(group);
	kbr_group_info_locked(group, &info);
	if (info.state != KBR_GROUP_DEAD) {
		kbr_put_str(w, &name);
		kbr_put_str(w, &info.protocol_type);
	}
	kbr_group_unlock(group);
	return info.state != KBR_GROUP_DEAD;
}

static bool kbr_list_begin(struct kbr_request *req, struct kbr_group_ask *ask)
{
	struct kbr_broker *broker = kbr_request_broker(req);
	bool loaded = kbr_groups_ready(broker, false) != -EAGAIN;
	struct kbr_group *group, *last = NULL;
	struct kbr_wire_writer *w = &req->reply;
	struct kbr_str name = { .len = -1 };
	size_t count_at;
	s32 count = 0;

	kbr_group_ask_throttle(req, 1);
	kbr_put_s16(w, loaded ? KBR_KAFKA_NONE : KBR_KAFKA_COORDINATOR_LOAD_IN_PROGRESS);
	count_at = w->len;
	kbr_put_count(w, 0);
	while (!w->err) {
		group = kbr_group_next(broker, &name);
		if (last)
			kbr_group_put(last);
		last = group;
		if (!group)
			break;
		/* lives as long as the group */
		name = kbr_group_name(group);
		count += kbr_list_put_group(req, group);
		cond_resched();
	}
	if (last)
		kbr_group_put(last);
	kbr_wire_writer_patch_s32(w, count_at, count);
	return true;
}

static const struct kbr_group_ask_calls kbr_list_calls = {
	.begin = kbr_list_begin,
};

static enum kbr_request_state kbr_list_start(struct kbr_request *req)
{
	return kbr_group_ask_start(req, &kbr_list_calls, false);
}

const struct kbr_handler kbr_handle_list_groups = {
	.start = kbr_list_start,
	.resume = kbr_group_ask_resume,
	.drop = kbr_group_ask_drop,
};

/* ---- DeleteGroups ---- */

static void kbr_delete_put(struct kbr_request *req, struct kbr_group_ask *ask, s16 code)
{
	kbr_put_str(&req->reply, &ask->name);
	kbr_put_s16(&req->reply, code);
}

/* The next group. False: it waits for the disk. */
static bool kbr_delete_next(struct kbr_request *req, struct kbr_group_ask *ask)
{
	s16 code = KBR_KAFKA_GROUP_AUTHORIZATION;
	struct kbr_group *group = NULL;
	bool done = true;

	ask->left--;
	ask->name = kbr_get_string(&req->body);
	if (kbr_request_may_admin(req))
		group = kbr_group_ask_find(req, &ask->name, false, KBR_KAFKA_GROUP_ID_NOT_FOUND,
					   &code);
	if (group) {
		done = kbr_group_delete(group, kbr_clock_now_ms(), &ask->wait, &code);
		kbr_group_put(group);
	}
	if (done)
		kbr_delete_put(req, ask, code);
	return done;
}

static bool kbr_delete_go_on(struct kbr_request *req, struct kbr_group_ask *ask)
{
	while (ask->left > 0 && !req->reply.err) {
		if (!kbr_delete_next(req, ask))
			return false;
		cond_resched();
	}
	return true;
}

static bool kbr_delete_begin(struct kbr_request *req, struct kbr_group_ask *ask)
{
	kbr_group_ask_throttle(req, 0);
	ask->left = kbr_get_count(&req->body);
	kbr_put_count(&req->reply, ask->left);
	return kbr_delete_go_on(req, ask);
}

static bool kbr_delete_again(struct kbr_request *req, struct kbr_group_ask *ask)
{
	s16 code = KBR_KAFKA_NONE;

	if (!kbr_group_delete_again(&ask->wait, &code))
		return false;
	/* the next one may wait for another group */
	kbr_waiter_drop(&req->waiter);
	kbr_group_wait_drop(&ask->wait);
	kbr_delete_put(req, ask, code);
	return kbr_delete_go_on(req, ask);
}

/* The one that waits, and those that were not begun */
static void kbr_delete_expire(struct kbr_request *req, struct kbr_group_ask *ask)
{
	kbr_delete_put(req, ask, KBR_KAFKA_COORDINATOR_NOT_AVAILABLE);
	for (; ask->left > 0; ask->left--) {
		ask->name = kbr_get_string(&req->body);
		kbr_delete_put(req, ask, KBR_KAFKA_COORDINATOR_NOT_AVAILABLE);
	}
}

static const struct kbr_group_ask_calls kbr_delete_calls = {
	.begin = kbr_delete_begin,
	.again = kbr_delete_again,
	.expire = kbr_delete_expire,
	.wait_ms = KBR_GROUP_ASK_DISK_MS,
};

static enum kbr_request_state kbr_delete_start(struct kbr_request *req)
{
	return kbr_group_ask_start(req, &kbr_delete_calls, false);
}

const struct kbr_handler kbr_handle_delete_groups = {
	.start = kbr_delete_start,
	.resume = kbr_group_ask_resume,
	.drop = kbr_group_ask_drop,
};
