// SPDX-License-Identifier: GPL-2.0-only
/*
 * Netlink: topics: create, alter, show, delete.
 */
#include <linux/list.h>
#include <linux/string.h>
#include <linux/user_namespace.h>

#include "netlink/nl.h"

static_assert((int)KBR_TOPIC_CREATING == (int)KBROKER_TOPIC_STATE_CREATING);
static_assert((int)KBR_TOPIC_ACTIVE == (int)KBROKER_TOPIC_STATE_ACTIVE);
static_assert((int)KBR_TOPIC_DELETING == (int)KBROKER_TOPIC_STATE_DELETING);
static_assert((int)KBR_TOPIC_DELETED == (int)KBROKER_TOPIC_STATE_DELETED);
static_assert(KBR_TOPIC_NAME_MAX == KBROKER_TOPIC_NAME_MAX);
static_assert(KBR_TOPIC_PARTITIONS_MAX == KBROKER_TOPIC_PARTITIONS_MAX);
static_assert(KBR_TOPIC_PARTITIONS_MAX - 1 == KBROKER_PARTITION_MAX);

static unsigned int kbr_nl_topic_handles(struct kbr_topic *topic)
{
	struct list_head *node;
	unsigned int count = 0;

	spin_lock(&topic->handles_lock);
	list_for_each(node, &topic->handles)
		count++;
	spin_unlock(&topic->handles_lock);
	return count;
}

/** kbr_nl_topic_fill() - attributes of a struct kbr_topic; sleeps for its broker's topics_sem */
int kbr_nl_topic_fill(struct sk_buff *skb, void *obj)
{
	struct kbr_topic *topic = obj;
	int err;

	if (nla_put_string(skb, KBROKER_A_TOPIC_BROKER, topic->broker->name) ||
	    nla_put_string(skb, KBROKER_A_TOPIC_NAME, topic->name) ||
	    nla_put(skb, KBROKER_A_TOPIC_ID, sizeof(topic->id), topic->id) ||
	    kbr_nl_put_u32(skb, KBROKER_A_TOPIC_PARTITIONS, kbr_topic_partitions(topic)) ||
	    kbr_nl_put_u16(skb, KBROKER_A_TOPIC_REPLICATION_FACTOR, topic->replication_factor) ||
	    kbr_nl_put_u32(skb, KBROKER_A_TOPIC_UID, from_kuid(&init_user_ns, READ_ONCE(topic->uid))) ||
	    kbr_nl_put_u32(skb, KBROKER_A_TOPIC_GID, from_kgid(&init_user_ns, READ_ONCE(topic->gid))) ||
	    kbr_nl_put_u16(skb, KBROKER_A_TOPIC_MODE, READ_ONCE(topic->mode)) ||
	    (topic->internal && nla_put_flag(skb, KBROKER_A_TOPIC_INTERNAL)) ||
	    nla_put_u8(skb, KBROKER_A_TOPIC_STATE, READ_ONCE(topic->state)) ||
	    kbr_nl_put_u32(skb, KBROKER_A_TOPIC_HANDLES, kbr_nl_topic_handles(topic)))
		return -EMSGSIZE;

	down_read(&topic->broker->topics_sem);
	err = kbr_nl_config_set_fill(skb, KBROKER_A_TOPIC_CONFIG, &topic->config_set);
	up_read(&topic->broker->topics_sem);
	return err;
}

/**
 * kbr_nl_topic_lookup() - the topic that a request names
 * @info: request
 * @broker: its broker
 * @type: attribute of the name
 *
 * Return: it with a reference; -EINVAL or -ENOENT with a sentence.
 */
struct kbr_topic *kbr_nl_topic_lookup(struct genl_info *info, struct kbr_broker *broker, int type)
{
	struct kbr_topic *topic;
	int err;

	err = kbr_nl_require(info, type, "the request needs the name of a topic");
	if (!err)
		err = kbr_nl_check_text(info->attrs[type], info->extack);
	if (err)
		return ERR_PTR(err);
	topic = kbr_topic_lookup(broker, nla_data(info->attrs[type]));
	if (!topic) {
		NL_SET_ERR_MSG_ATTR(info->extack, info->attrs[type], "there is no such topic");
		return ERR_PTR(-ENOENT);
	}
	return topic;
}

/* Answer to a change of a topic. */
static int kbr_nl_topic_answer(struct sk_buff *skb, struct genl_info *info, void *hdr, u32 op_id)
{
	if (nla_put_string(skb, KBROKER_A_TOPIC_NAME, nla_data(info->attrs[KBROKER_A_TOPIC_NAME])) ||
	    kbr_nl_put_u32(skb, KBROKER_A_TOPIC_OP_ID, op_id)) {
		nlmsg_free(skb);
		return -EMSGSIZE;
	}
	genlmsg_end(skb, hdr);
	return genlmsg_reply(skb, info);
}

/* Which attribute an errno is about, if the broker layer does not say. */
static const struct nlattr *kbr_nl_topic_blame(struct genl_info *info, int err)
{
	switch (err) {
	case -EEXIST:
	case -ENOENT:
	case -EROFS:
		return info->attrs[KBROKER_A_TOPIC_NAME];
	case -E2BIG:
		return info->attrs[KBROKER_A_TOPIC_PARTITIONS];
	default:
		return NULL;
	}
}

/* What creating and altering have in common; @partitions stays without its attribute. */
static int kbr_nl_topic_get(struct genl_info *info, struct kbr_owner *owner, s32 *partitions,
			    struct kbr_config_set *set, struct kbr_config_set *del)
{
	const struct nlattr *attr = info->attrs[KBROKER_A_TOPIC_PARTITIONS];
	int err;

	err = kbr_nl_get_owner(info, KBROKER_A_TOPIC_UID, KBROKER_A_TOPIC_GID, KBROKER_A_TOPIC_MODE,
			       owner);
	if (err)
		return err;
	if (attr)
		*partitions = be32_to_cpu(nla_get_be32(attr));
	return kbr_nl_get_configs(info, KBROKER_A_TOPIC_CONFIG, set, del);
}

static const u8 *kbr_nl_topic_id(struct genl_info *info)
{
	const struct nlattr *id = info->attrs[KBROKER_A_TOPIC_ID];

	return id ? nla_data(id) : NULL;
}

static int kbr_nl_topic_new_params(struct genl_info *info, struct kbr_topic_params *params)
{
	const struct nlattr *factor = info->attrs[KBROKER_A_TOPIC_REPLICATION_FACTOR];
	struct kbr_refusal why = {};
	const struct nlattr *name;
	int err;

	err = kbr_nl_require(info, KBROKER_A_TOPIC_NAME, "a topic needs a name");
	if (err)
		return err;
	name = info->attrs[KBROKER_A_TOPIC_NAME];
	err = kbr_nl_check_text(name, info->extack);
	if (err)
		return err;
	params->name = nla_data(name);
	err = kbr_topic_name_check(params->name, &why);
	if (err)
		return kbr_nl_refused(info, err, &why, name, 0);
	params->id = kbr_nl_topic_id(info);
	if (factor)
		params->replication_factor = be16_to_cpu(nla_get_be16(factor));
	return kbr_nl_topic_get(info, &params->owner, &params->partitions, &params->configs, NULL);
}

/** kbroker_nl_topic_new_doit() - create a topic */
int kbroker_nl_topic_new_doit(struct sk_buff *skb, struct genl_info *info)
{
	struct kbr_topic_params params = { .partitions = -1, .replication_factor = -1 };
	struct kbr_refusal why = {};
	struct kbr_broker *broker;
	struct sk_buff *msg = NULL;
	void *hdr;
	u32 op_id;
	int err;

	err = kbr_nl_begin(info, BIT_ULL(KBROKER_A_TOPIC_CONFIG), KBROKER_A_TOPIC_BROKER, NULL, &broker);
	if (err)
		return err;
	err = kbr_nl_topic_new_params(info, &params);
	if (err)
		goto free;
	msg = kbr_nl_answer_new(info, KBROKER_CMD_TOPIC_NEW, &hdr);
	err = msg ? kbr_topic_create(broker, &params, &op_id, &why) : -ENOMEM;
	if (err) {
		kbr_nl_refused(info, err, &why, kbr_nl_topic_blame(info, err), KBROKER_A_TOPIC_CONFIG);
		goto free;
	}
	err = kbr_nl_topic_answer(msg, info, hdr, op_id);
	msg = NULL;
free:
	kbr_config_set_free(&params.configs);
	nlmsg_free(msg);
	kbr_broker_put(broker);
	return err;
}

static int kbr_nl_topic_set_change(struct genl_info *info, struct kbr_topic_change *change)
{
	int err = kbr_nl_topic_get(info, &change->owner, &change->partitions, &change->set,
				   &change->del);

	if (err)
		return err;
	if (!kbr_owner_given(&change->owner) && change->partitions < 0 && !change->set.count &&
	    !change->del.count)
		return kbr_nl_refuse(info->extack, NULL, -EINVAL,
				     "the request changes nothing: give uid, gid, mode, partitions or config");
	return 0;
}

/** kbroker_nl_topic_set_doit() - alter owner, mode, configs; add partitions */
int kbroker_nl_topic_set_doit(struct sk_buff *skb, struct genl_info *info)
{
	struct kbr_topic_change change = { .partitions = -1 };
	struct kbr_refusal why = {};
	struct kbr_broker *broker;
	struct kbr_topic *topic;
	struct sk_buff *msg = NULL;
	void *hdr;
	u32 op_id;
	int err;

	err = kbr_nl_begin(info, BIT_ULL(KBROKER_A_TOPIC_CONFIG), KBROKER_A_TOPIC_BROKER, NULL, &broker);
	if (err)
		return err;
	topic = kbr_nl_topic_lookup(info, broker, KBROKER_A_TOPIC_NAME);
	if (IS_ERR(topic)) {
		err = PTR_ERR(topic);
		goto put_broker;
	}
	change.id = kbr_nl_topic_id(info);
	err = kbr_nl_topic_set_change(info, &change);
	if (err)
		goto free;
	msg = kbr_nl_answer_new(info, KBROKER_CMD_TOPIC_SET, &hdr);
	err = msg ? kbr_topic_alter(broker, topic->name, &change, &op_id, &why) : -ENOMEM;
	if (err) {
		kbr_nl_refused(info, err, &why, kbr_nl_topic_blame(info, err), KBROKER_A_TOPIC_CONFIG);
		goto free;
	}
	err = kbr_nl_topic_answer(msg, info, hdr, op_id);
	msg = NULL;
free:
	kbr_config_set_free(&change.set);
	kbr_config_set_free(&change.del);
	nlmsg_free(msg);
	kbr_topic_put(topic);
put_broker:
	kbr_broker_put(broker);
	return err;
}

/** kbroker_nl_topic_del_doit() - delete a topic */
int kbroker_nl_topic_del_doit(struct sk_buff *skb, struct genl_info *info)
{
	struct kbr_refusal why = {};
	struct kbr_broker *broker;
	struct kbr_topic *topic;
	struct sk_buff *msg;
	void *hdr;
	u32 op_id;
	int err;

	err = kbr_nl_begin(info, 0, KBROKER_A_TOPIC_BROKER, NULL, &broker);
	if (err)
		return err;
	topic = kbr_nl_topic_lookup(info, broker, KBROKER_A_TOPIC_NAME);
	if (IS_ERR(topic)) {
		err = PTR_ERR(topic);
		goto put_broker;
	}
	msg = kbr_nl_answer_new(info, KBROKER_CMD_TOPIC_DEL, &hdr);
	err = msg ? kbr_topic_delete(broker, topic->name, kbr_nl_topic_id(info), &op_id, &why) :
		    -ENOMEM;
	if (err) {
		nlmsg_free(msg);
		kbr_nl_refused(info, err, &why, kbr_nl_topic_blame(info, err), 0);
	} else {
		err = kbr_nl_topic_answer(msg, info, hdr, op_id);
	}
	kbr_topic_put(topic);
put_broker:
	kbr_broker_put(broker);
	return err;
}

/** kbroker_nl_topic_get_doit() - show one topic */
int kbroker_nl_topic_get_doit(struct sk_buff *skb, struct genl_info *info)
{
	struct kbr_broker *broker;
	struct kbr_topic *topic;
	int err;

	err = kbr_nl_begin(info, 0, KBROKER_A_TOPIC_BROKER, NULL, &broker);
	if (err)
		return err;
	topic = kbr_nl_topic_lookup(info, broker, KBROKER_A_TOPIC_NAME);
	if (IS_ERR(topic)) {
		err = PTR_ERR(topic);
	} else {
		err = kbr_nl_reply(info, KBROKER_CMD_TOPIC_GET, kbr_nl_topic_fill, topic);
		kbr_topic_put(topic);
	}
	kbr_broker_put(broker);
	return err;
}

/** kbroker_nl_topic_dump_start() - begin a dump of topics */
int kbroker_nl_topic_dump_start(struct netlink_callback *cb)
{
	return kbr_nl_dump_start(cb, KBROKER_A_TOPIC_BROKER, KBROKER_A_TOPIC_NAME, 0);
}

/** kbroker_nl_topic_get_dumpit() - topics in the order of their names */
int kbroker_nl_topic_get_dumpit(struct sk_buff *skb, struct netlink_callback *cb)
{
	struct kbr_nl_dump *dump = kbr_nl_dump_of(cb);
	struct kbr_topic *topic;
	int err;

	err = kbr_nl_dump_begin(cb, dump);
	while (!err && (topic = kbr_nl_dump_topic(dump))) {
		err = kbr_nl_dump_put(skb, cb, KBROKER_CMD_TOPIC_GET, kbr_nl_topic_fill, topic);
		if (!err)
			kbr_nl_dump_topic_done(dump);
		kbr_topic_put(topic);
	}
	return skb->len ?: err;
}
