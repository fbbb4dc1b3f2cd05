// SPDX-License-Identifier: GPL-2.0-only
/*
 * Netlink: what a member asks of its cluster's controller, and the answers.
 */
#include <linux/user_namespace.h>

#include "base/clock.h"
#include "netlink/nl.h"

static_assert((int)KBR_REQUEST_ISR == (int)KBROKER_REQUEST_KIND_ISR);
static_assert((int)KBR_REQUEST_TOPIC_NEW == (int)KBROKER_REQUEST_KIND_TOPIC_NEW);
static_assert((int)KBR_REQUEST_TOPIC_SET == (int)KBROKER_REQUEST_KIND_TOPIC_SET);
static_assert((int)KBR_REQUEST_TOPIC_DEL == (int)KBROKER_REQUEST_KIND_TOPIC_DEL);
static_assert((int)KBR_REQUEST_LEAVE == (int)KBROKER_REQUEST_KIND_LEAVE);

/* Room in a dump for the largest request: its assignment and its configs */
#define KBR_NL_REQUEST_ROOM	(KBROKER_ASSIGNMENT_MAX + (16u << 10))

/* ---- show ---- */

/** kbr_nl_request_fill_hint() - what a request is about, without what is wanted */
int kbr_nl_request_fill_hint(struct sk_buff *skb, const struct kbr_cluster_request *request)
{
	const char *topic = kbr_cluster_request_topic(request);

	if (nla_put_string(skb, KBROKER_A_REQUEST_BROKER, request->broker->name) ||
	    kbr_nl_put_u64(skb, KBROKER_A_REQUEST_ID, request->id) ||
	    nla_put_u8(skb, KBROKER_A_REQUEST_KIND, request->kind) ||
	    (topic && nla_put_string(skb, KBROKER_A_REQUEST_TOPIC, topic)) ||
	    (request->kind == KBR_REQUEST_ISR &&
	     kbr_nl_put_u32(skb, KBROKER_A_REQUEST_PARTITION, request->part->index)))
		return -EMSGSIZE;
	return 0;
}

static int kbr_nl_request_fill_isr(struct sk_buff *skb, const struct kbr_cluster_request *request)
{
	const struct kbr_isr_wish *isr = &request->isr;
	const struct kbr_topic *topic = request->part->topic;
	__be32 ids[KBROKER_REPLICAS_MAX];
	__be64 epochs[KBROKER_REPLICAS_MAX];
	unsigned int i;

	for (i = 0; i < isr->count; i++) {
		ids[i] = cpu_to_be32(isr->id[i]);
		epochs[i] = cpu_to_be64(isr->epoch[i]);
	}
	if (nla_put(skb, KBROKER_A_REQUEST_TOPIC_ID, sizeof(topic->id), topic->id) ||
	    kbr_nl_put_u32(skb, KBROKER_A_REQUEST_LEADER_EPOCH, isr->leader_epoch) ||
	    kbr_nl_put_u32(skb, KBROKER_A_REQUEST_PARTITION_EPOCH, isr->partition_epoch) ||
	    (isr->lost && nla_put_u8(skb, KBROKER_A_REQUEST_LOST, 1)) ||
	    nla_put(skb, KBROKER_A_REQUEST_ISR, isr->count * sizeof(ids[0]), ids) ||
	    nla_put(skb, KBROKER_A_REQUEST_ISR_EPOCHS, isr->count * sizeof(epochs[0]), epochs))
		return -EMSGSIZE;
	return 0;
}

static int kbr_nl_request_fill_owner(struct sk_buff *skb, const struct kbr_owner *owner)
{
	if ((owner->set_uid && kbr_nl_put_u32(skb, KBROKER_A_REQUEST_UID,
					      from_kuid(&init_user_ns, owner->uid))) ||
	    (owner->set_gid && kbr_nl_put_u32(skb, KBROKER_A_REQUEST_GID,
					      from_kgid(&init_user_ns, owner->gid))) ||
	    (owner->set_mode && kbr_nl_put_u16(skb, KBROKER_A_REQUEST_MODE, owner->mode)))
		return -EMSGSIZE;
	return 0;
}

/* Names of configs to reset: entries without a value. */
static int kbr_nl_request_fill_resets(struct sk_buff *skb, const struct kbr_config_set *del)
{
	struct nlattr *nest;
	unsigned int i;

	for (i = 0; i < del->count; i++) {
		nest = nla_nest_start(skb, KBROKER_A_REQUEST_CONFIG);
		if (!nest || nla_put_string(skb, KBROKER_A_CONFIG_NAME, del->entries[i].name))
			return -EMSGSIZE;
		nla_nest_end(skb, nest);
	}
	return 0;
}

static int kbr_nl_request_fill_topic(struct sk_buff *skb, const struct kbr_topic_wish *wish)
{
	if ((wish->has_id &&
	     nla_put(skb, KBROKER_A_REQUEST_TOPIC_ID, sizeof(wish->id), wish->id)) ||
	    kbr_nl_put_u32(skb, KBROKER_A_REQUEST_PARTITIONS, wish->partitions) ||
	    kbr_nl_put_u16(skb, KBROKER_A_REQUEST_REPLICATION_FACTOR, wish->replication_factor) ||
	    (wish->assignment_len && nla_put(skb, KBROKER_A_REQUEST_ASSIGNMENT,
					     wish->assignment_len, wish->assignment)) ||
	    kbr_nl_request_fill_owner(skb, &wish->owner) ||
	    kbr_nl_config_set_fill(skb, KBROKER_A_REQUEST_CONFIG, &wish->set) ||
	    kbr_nl_request_fill_resets(skb, &wish->del))
		return -EMSGSIZE;
	return 0;
}

static int kbr_nl_request_fill(struct sk_buff *skb, void *obj)
{
	const struct kbr_cluster_request *request = obj;
	s64 age_ms = max_t(s64, kbr_clock_mono_ms() - request->opened_ms, 0);
	int err;

	err = kbr_nl_request_fill_hint(skb, request) ?:
	      kbr_nl_put_u64(skb, KBROKER_A_REQUEST_AGE_MS, age_ms);
	if (err)
		return err;
	switch (request->kind) {
	case KBR_REQUEST_ISR:
		return kbr_nl_request_fill_isr(skb, request);
	case KBR_REQUEST_TOPIC_NEW:
	case KBR_REQUEST_TOPIC_SET:
	case KBR_REQUEST_TOPIC_DEL:
		return kbr_nl_request_fill_topic(skb, &request->topic);
	case KBR_REQUEST_LEAVE:
		break;
	}
	return 0;
}

/* The broker, and the id that a request of netlink names. */
static int kbr_nl_request_begin(struct genl_info *info, struct kbr_broker **broker, u64 *id)
{
	int err = kbr_nl_begin(info, 0, KBROKER_A_REQUEST_BROKER, NULL, broker);

	if (err)
		return err;
	err = kbr_nl_require(info, KBROKER_A_REQUEST_ID, "the id of the open request is needed");
	if (err)
		kbr_broker_put(*broker);
	else
		*id = kbr_nl_get_u64(info->attrs[KBROKER_A_REQUEST_ID]);
	return err;
}

/** kbroker_nl_request_get_doit() - show one open request */
int kbroker_nl_request_get_doit(struct sk_buff *skb, struct genl_info *info)
{
	struct kbr_cluster_request *request;
	struct kbr_broker *broker;
	u64 id;
	int err;

	err = kbr_nl_request_begin(info, &broker, &id);
	if (err)
		return err;
	request = kbr_cluster_request_lookup(broker, id);
	if (request) {
		err = kbr_nl_reply(info, KBROKER_CMD_REQUEST_GET, kbr_nl_request_fill, request);
		kbr_cluster_request_put(request);
	} else {
		NL_SET_ERR_MSG_ATTR(info->extack, info->attrs[KBROKER_A_REQUEST_ID],
				    "there is no such open request");
		err = -ENOENT;
	}
	kbr_broker_put(broker);
	return err;
}

/** kbroker_nl_request_dump_start() - begin a dump of open requests */
int kbroker_nl_request_dump_start(struct netlink_callback *cb)
{
	int err = kbr_nl_dump_start(cb, KBROKER_A_REQUEST_BROKER, 0, 0);

	cb->min_dump_alloc = KBR_NL_REQUEST_ROOM;
	return err;
}

/** kbroker_nl_request_get_dumpit() - open requests in the order of their ids */
int kbroker_nl_request_get_dumpit(struct sk_buff *skb, struct netlink_callback *cb)
{
	struct kbr_nl_dump *dump = kbr_nl_dump_of(cb);
	struct kbr_cluster_request *request;
	int err;

	err = kbr_nl_dump_begin(cb, dump);
	while (!err && dump->broker) {
		request = kbr_cluster_request_next(dump->broker, dump->connection);
		if (!request)
			break;
		err = kbr_nl_dump_put(skb, cb, KBROKER_CMD_REQUEST_GET, kbr_nl_request_fill,
				      request);
		if (!err)
			dump->connection = request->id;
		kbr_cluster_request_put(request);
	}
	return skb->len ?: err;
}

/* ---- answer ---- */

/* What an answer names, to be told back */
struct kbr_nl_answered {
	struct kbr_broker *broker;
	u64 id;
};

static int kbr_nl_request_fill_answered(struct sk_buff *skb, void *obj)
{
	struct kbr_nl_answered *answered = obj;

	return nla_put_string(skb, KBROKER_A_REQUEST_BROKER, answered->broker->name) ?:
	       kbr_nl_put_u64(skb, KBROKER_A_REQUEST_ID, answered->id);
}

/** kbroker_nl_request_set_doit() - answer an open request */
int kbroker_nl_request_set_doit(struct sk_buff *skb, struct genl_info *info)
{
	const struct nlattr *message = info->attrs[KBROKER_A_REQUEST_MESSAGE];
	const struct nlattr *error = info->attrs[KBROKER_A_REQUEST_ERROR];
	struct kbr_nl_answered answered;
	struct kbr_refusal why = {};
	u32 code = 0;
	int err;

	err = kbr_nl_request_begin(info, &answered.broker, &answered.id);
	if (err)
		return err;
	err = kbr_nl_check_text(message, info->extack);
	if (!err && message && !*(const char *)nla_data(message))
		err = kbr_nl_refuse(info->extack, message, -EINVAL, "a message is not empty");
	if (err)
		goto put;
	if (error)
		code = be32_to_cpu(nla_get_be32(error));
	if (code > MAX_ERRNO) {
		err = kbr_nl_refuse(info->extack, error, -EINVAL, "%u is no errno (0: done)", code);
		goto put;
	}
	err = kbr_cluster_request_answer(answered.broker, answered.id, -(int)code,
					 message ? nla_data(message) : NULL, &why);
	if (err)
		kbr_nl_refused(info, err, &why, NULL, 0);
	else
		err = kbr_nl_reply(info, KBROKER_CMD_REQUEST_SET, kbr_nl_request_fill_answered,
				   &answered);
put:
	kbr_broker_put(answered.broker);
	return err;
}
