// SPDX-License-Identifier: GPL-2.0-only
/*
 * What requests to consumer groups share; see group_ask.h.
 *
 * They hold back what the same client asks later until they are answered, as
 * Kafka does: a member's heartbeat behind its own JoinGroup would be answered
 * for a generation that it does not know yet.
 */
#include <linux/slab.h>

#include "server/group_ask.h"

/* How long groups may take to be ready, until the client is told to ask again, ms */
#define KBR_GROUP_READY_MS	5000

static void kbr_group_ask_park(struct kbr_request *req, struct kbr_group_ask *ask)
{
	kbr_request_park(req, ask->entries,
			 max_t(s64, ktime_ms_delta(ask->deadline, ktime_get()), 0) + 1);
}

/* Are groups made and loaded, or is there something to say about it? Else it is parked. */
static bool kbr_group_ask_ready(struct kbr_request *req, struct kbr_group_ask *ask)
{
	struct kbr_broker *broker = kbr_request_broker(req);

	if (kbr_groups_ready(broker, ask->create) != -EAGAIN)
		return true;
	kbr_waiter_drop(&req->waiter);
	kbr_group_ask_park(req, ask);
	kbr_waiter_add_head(&req->waiter, kbr_groups_wait_head(broker));
	/* once more: it may have come before it was waited for */
	return kbr_groups_ready(broker, ask->create) != -EAGAIN;
}

/* It waits for its group. False: answered meanwhile. */
static bool kbr_group_ask_wait(struct kbr_request *req, struct kbr_group_ask *ask)
{
	struct kbr_group_wait before;

	do {
		before = ask->wait;
		kbr_waiter_drop(&req->waiter);
		kbr_group_ask_park(req, ask);
		kbr_group_wait_add(&ask->wait, &req->waiter);
		if (ask->calls->again(req, ask))
			return false;
		/* what it waits for may have changed with the look */
	} while (before.group != ask->wait.group || before.part != ask->wait.part ||
		 before.last != ask->wait.last);
	return true;
}

static enum kbr_request_state kbr_group_ask_run(struct kbr_request *req, bool expired)
{
	struct kbr_group_ask *ask = req->priv;

	if (!ask->begun) {
		if (!kbr_group_ask_ready(req, ask) && !expired)
			return KBR_REQUEST_PARKED;
		ask->begun = true;
		ask->deadline = ktime_add_ms(ktime_get(), ask->calls->wait_ms);
		if (ask->calls->begin(req, ask))
			return KBR_REQUEST_DONE;
	} else if (ask->calls->again(req, ask)) {
		return KBR_REQUEST_DONE;
	}
	if (expired) {
		ask->calls->expire(req, ask);
		return KBR_REQUEST_DONE;
	}
	return kbr_group_ask_wait(req, ask) ? KBR_REQUEST_PARKED : KBR_REQUEST_DONE;
}

enum kbr_request_state kbr_group_ask_start(struct kbr_request *req,
					   const struct kbr_group_ask_calls *calls, bool create)
{
	struct kbr_group_ask *ask = kzalloc(sizeof(*ask), GFP_KERNEL);

	if (!ask)
		return KBR_REQUEST_CLOSE;
	ask->calls = calls;
	ask->create = create;
	ask->deadline = ktime_add_ms(req->received, KBR_GROUP_READY_MS);
	req->priv = ask;
	req->pinned += sizeof(*ask);
	return kbr_group_ask_run(req, false);
}

enum kbr_request_state kbr_group_ask_resume(struct kbr_request *req, bool expired)
{
	return kbr_group_ask_run(req, expired);
}

/* A client that is gone while its JoinGroup waits is no member any more. */
void kbr_group_ask_drop(struct kbr_request *req)
{
	struct kbr_group_ask *ask = req->priv;

	if (!ask)
		return;
	kbr_waiter_drop(&req->waiter);
	kbr_group_wait_drop(&ask->wait);
	kvfree(ask->offsets);
	kfree(ask);
	req->priv = NULL;
}

/* Kafka keeps offsets of a group without a name, which nobody can join. */
static bool kbr_group_ask_needs_name(const struct kbr_request *req)
{
	switch (req->header.key) {
	case KBR_API_JOIN_GROUP:
	case KBR_API_SYNC_GROUP:
	case KBR_API_HEARTBEAT:
	case KBR_API_LEAVE_GROUP:
		return true;
	default:
		return false;
	}
}

struct kbr_group *kbr_group_ask_find(struct kbr_request *req, const struct kbr_str *name,
				     bool create, s16 missing, s16 *code)
{
	struct kbr_group *group;

	if (!name->len && kbr_group_ask_needs_name(req)) {
		*code = KBR_KAFKA_INVALID_GROUP_ID;
		return NULL;
	}
	group = kbr_group_find(kbr_request_broker(req), name, create, code);
	if (!group && *code == KBR_KAFKA_GROUP_ID_NOT_FOUND)
		*code = missing;
	return group;
}
