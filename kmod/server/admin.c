// SPDX-License-Identifier: GPL-2.0-only
/*
 * Requests that change topics and configs; see admin.h. One item after the
 * other: the broker runs its operations in that order anyway, and a request
 * pins but one of them, however many items it has.
 */
#include <linux/cred.h>
#include <linux/slab.h>

#include "base/error.h"
#include "broker/access.h"
#include "broker/op.h"
#include "server/admin.h"

s16 kbr_admin_code(int err)
{
	switch (err) {
	case -EINVAL:
	case -EOPNOTSUPP:
		return KBR_KAFKA_INVALID_CONFIG;
	case -E2BIG:
		return KBR_KAFKA_INVALID_PARTITIONS;
	/* the broker stops: whoever controls the cluster then may know more */
	case -ENODEV:
	case -ECANCELED:
		return KBR_KAFKA_NOT_CONTROLLER;
	/* nothing was begun, and one may try again */
	case -EBUSY:
		return KBR_KAFKA_TIMED_OUT;
	default:
		return kbr_error_to_kafka(err);
	}
}

struct kbr_admin *kbr_admin_alloc(struct kbr_request *req, const struct kbr_admin_calls *calls)
{
	struct kbr_admin *admin = kzalloc(sizeof(*admin), GFP_KERNEL);

	if (!admin)
		return NULL;
	admin->calls = calls;
	req->priv = admin;
	req->pinned += sizeof(*admin);
	return admin;
}

void kbr_admin_drop(struct kbr_request *req)
{
	struct kbr_admin *admin = req->priv;

	if (!admin)
		return;
	if (admin->op)
		kbr_op_put(admin->op);
	kfree(admin);
	req->priv = NULL;
}

static bool kbr_admin_next(struct kbr_request *req, struct kbr_admin *admin)
{
	if (admin->calls->next)
		return admin->calls->next(req, admin);
	if (admin->left <= 0)
		return false;
	admin->left--;
	return true;
}

/* The answer to the item whose operation was begun; false: it is still waited for. */
static bool kbr_admin_settle(struct kbr_request *req, struct kbr_admin *admin)
{
	struct kbr_op *op = admin->op;

	if (kbr_op_ended(op))
		admin->calls->answer(req, admin, op->error ? kbr_admin_code(op->error) : 0,
				     op->error && op->why.text[0] ? op->why.text : NULL);
	else if (admin->nowait)
		admin->calls->answer(req, admin, KBR_KAFKA_TIMED_OUT,
				     "it was begun and goes on, but did not end in time");
	else
		return false;
	kbr_waiter_drop(&req->waiter);
	admin->op = NULL;
	kbr_op_put(op);
	return true;
}

/* Begin the next item: true if an operation came of it. */
static bool kbr_admin_begin(struct kbr_request *req, struct kbr_admin *admin)
{
	struct kbr_broker *broker = kbr_request_broker(req);
	struct kbr_refusal why = {};
	u32 op_id = 0;
	s16 code;

	code = admin->calls->begin(req, admin, &op_id, &why);
	if (!code && op_id) {
		admin->op = kbr_op_lookup(broker->knet, op_id);
		if (admin->op) {
			kbr_waiter_add_head(&req->waiter, &admin->op->wait);
			return true;
		}
		/* the namespace ends */
		code = KBR_KAFKA_NOT_CONTROLLER;
	}
	admin->calls->answer(req, admin, code, why.text[0] ? why.text : NULL);
	return false;
}

static enum kbr_request_state kbr_admin_go_on(struct kbr_request *req)
{
	struct kbr_admin *admin = req->priv;

	for (;;) {
		if (admin->op && !kbr_admin_settle(req, admin))
			return KBR_REQUEST_PARKED;
		if (kbr_request_is_futile(req) || !kbr_admin_next(req, admin))
			return KBR_REQUEST_DONE;
		kbr_admin_begin(req, admin);
	}
}

enum kbr_request_state kbr_admin_run(struct kbr_request *req, s32 timeout_ms)
{
	struct kbr_admin *admin = req->priv;

	/* Such a client wants the changes begun, not their ends. */
	admin->nowait = timeout_ms <= 0;
	kbr_request_park(req, &admin->entry, timeout_ms);
	return kbr_admin_go_on(req);
}

enum kbr_request_state kbr_admin_resume(struct kbr_request *req, bool expired)
{
	struct kbr_admin *admin = req->priv;

	if (expired)
		admin->nowait = true;
	return kbr_admin_go_on(req);
}

s16 kbr_admin_get_topic(struct kbr_request *req, struct kbr_admin *admin, struct kbr_refusal *why)
{
	admin->name = kbr_get_string(&req->body);
	admin->topic[0] = '\0';
	if (kbr_str_copy(&admin->name, admin->topic, sizeof(admin->topic))) {
		kbr_refuse(why, -EINVAL, 0, "this is no topic's name");
		return KBR_KAFKA_INVALID_TOPIC;
	}
	return kbr_topic_name_check(admin->topic, why) ? KBR_KAFKA_INVALID_TOPIC : 0;
}

bool kbr_admin_may(const struct kbr_request *req, const struct kbr_topic *topic)
{
	return kbr_request_may_admin(req) ||
	       uid_eq(kbr_request_cred(req)->fsuid, READ_ONCE(topic->uid));
}

bool kbr_admin_may_see(const struct kbr_request *req, const struct kbr_topic *topic)
{
	const struct cred *cred = kbr_request_cred(req);

	return !kbr_access_check(topic, cred, KBR_MAY_CONSUME) ||
	       !kbr_access_check(topic, cred, KBR_MAY_PRODUCE) || kbr_admin_may(req, topic);
}

struct kbr_topic *kbr_admin_find(struct kbr_request *req, struct kbr_admin *admin, s16 *code,
				 struct kbr_refusal *why)
{
	struct kbr_topic *topic = kbr_topic_lookup(kbr_request_broker(req), admin->topic);

	if (!topic) {
		kbr_refuse(why, -ENOENT, 0, "there is no topic %.80s", admin->topic);
		*code = KBR_KAFKA_UNKNOWN_TOPIC;
		return NULL;
	}
	if (kbr_admin_may(req, topic))
		return topic;
	kbr_topic_put(topic);
	kbr_refuse(why, -EACCES, 0, "only its owner and the broker's may change topic %.80s",
		   admin->topic);
	*code = KBR_KAFKA_TOPIC_AUTHORIZATION;
	return NULL;
}

s16 kbr_admin_put_config(struct kbr_admin *admin, struct kbr_config_set *set,
			 const struct kbr_str *name, const struct kbr_str *value,
			 struct kbr_refusal *why)
{
	int err = -EINVAL;

	if (kbr_str_copy(name, admin->key, sizeof(admin->key)))
		kbr_refuse(why, err, 0, "this is no config's name");
	else if (kbr_str_copy(value, admin->value, sizeof(admin->value)))
		kbr_refuse(why, err, 0, "config %s must have a value of at most %d characters",
			   admin->key, KBR_CONFIG_VALUE_MAX);
	else
		err = kbr_config_set_put(set, admin->key, admin->value);
	if (err == -E2BIG)
		kbr_refuse(why, err, 0, "there are not so many configs");
	if (err == -ENOMEM)
		return KBR_KAFKA_UNKNOWN;
	return err ? KBR_KAFKA_INVALID_CONFIG : 0;
}
