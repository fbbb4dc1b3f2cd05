// SPDX-License-Identifier: GPL-2.0-only
/*
 * Netlink: consumer groups changed: offsets set and deleted, groups deleted.
 */
#include <linux/slab.h>
#include <linux/string.h>

#include "broker/group_ops.h"
#include "netlink/nl.h"

static_assert(KBR_GROUP_NAME_MAX == KBROKER_GROUP_NAME_MAX);

/* Is there such a partition? */
static int kbr_nl_group_check_partition(struct kbr_broker *broker, const char *name,
					s32 partition, const struct nlattr *nest,
					struct netlink_ext_ack *extack)
{
	struct kbr_topic *topic = kbr_topic_lookup(broker, name);
	unsigned int count;

	if (!topic)
		return kbr_nl_refuse(extack, nest, -ENOENT, "there is no topic %.80s", name);
	count = kbr_topic_partitions(topic);
	kbr_topic_put(topic);
	if (partition >= (s32)count)
		return kbr_nl_refuse(extack, nest, -ENOENT,
				     "topic %.80s has %u partitions, and none has the number %d",
				     name, count, partition);
	return 0;
}

/* One nest of a request; @broker NULL: an offset to delete, which may be that of a deleted topic. */
static int kbr_nl_group_get_offset(struct kbr_broker *broker, const struct nlattr *nest,
				   struct kbr_group_offset *to, struct netlink_ext_ack *extack)
{
	struct nlattr *tb[ARRAY_SIZE(kbroker_group_offset_params_nl_policy)], *inner;
	const struct nlattr *topic, *partition, *offset;
	u64 seen = 0;
	int err, rem;

	err = nla_parse_nested(tb, ARRAY_SIZE(tb) - 1, nest, kbroker_group_offset_params_nl_policy,
			       extack);
	if (err)
		return err;
	nla_for_each_nested(inner, nest, rem) {
		if (seen & BIT_ULL(nla_type(inner)))
			return kbr_nl_refuse(extack, inner, -EINVAL,
					     "an offset has one topic and one partition, not several");
		seen |= BIT_ULL(nla_type(inner));
	}
	topic = tb[KBROKER_A_GROUP_OFFSET_TOPIC];
	partition = tb[KBROKER_A_GROUP_OFFSET_PARTITION];
	offset = tb[KBROKER_A_GROUP_OFFSET_OFFSET];
	if (!topic) {
		NL_SET_ERR_ATTR_MISS(extack, nest, KBROKER_A_GROUP_OFFSET_TOPIC);
		return kbr_nl_refuse(extack, nest, -EINVAL, "an offset needs its topic");
	}
	err = kbr_nl_check_text(topic, extack);
	if (err)
		return err;
	if (!partition) {
		NL_SET_ERR_ATTR_MISS(extack, nest, KBROKER_A_GROUP_OFFSET_PARTITION);
		return kbr_nl_refuse(extack, nest, -EINVAL, "an offset needs its partition");
	}
	if (broker && !offset) {
		NL_SET_ERR_ATTR_MISS(extack, nest, KBROKER_A_GROUP_OFFSET_OFFSET);
		return kbr_nl_refuse(extack, nest, -EINVAL, "the offset to set is missing");
	}
	if (!broker && offset)
		return kbr_nl_refuse(extack, offset, -EINVAL,
				     "offsets are deleted by topic and partition alone");
	*to = (struct kbr_group_offset) {
		.topic = { .at = nla_data(topic), .len = strlen(nla_data(topic)) },
		.partition = be32_to_cpu(nla_get_be32(partition)),
		.offset = offset ? (s64)get_unaligned_be64(nla_data(offset)) : 0,
		.leader_epoch = -1,
		.metadata.at = "",
		.expire_ms = -1,
	};
	if (to->offset < 0)
		return kbr_nl_refuse(extack, offset, -EINVAL, "an offset is not negative");
	if (!broker)
		return 0;
	return kbr_nl_group_check_partition(broker, nla_data(topic), to->partition, nest, extack);
}

/* The offsets of a request into an array for kvfree(); after an error, too. */
static int kbr_nl_group_get_offsets(struct genl_info *info, struct kbr_broker *broker,
				    struct kbr_group_offset **offsets, unsigned int *count)
{
	const struct nlattr *attr;
	int err, rem;

	*offsets = NULL;
	*count = 0;
	err = kbr_nl_require(info, KBROKER_A_GROUP_OFFSET_ENTRY,
			     "the request needs at least one partition (entry)");
	if (err)
		return err;
	*offsets = kvmalloc_array(KBROKER_GROUP_OFFSETS_MAX, sizeof(**offsets), GFP_KERNEL);
	if (!*offsets)
		return -ENOMEM;
	nla_for_each_attr(attr, nlmsg_attrdata(info->nlhdr, GENL_HDRLEN),
			  nlmsg_attrlen(info->nlhdr, GENL_HDRLEN), rem) {
		if (nla_type(attr) != KBROKER_A_GROUP_OFFSET_ENTRY)
			continue;
		if (*count == KBROKER_GROUP_OFFSETS_MAX)
			return kbr_nl_refuse(info->extack, attr, -E2BIG,
					     "one request has at most %u offsets",
					     KBROKER_GROUP_OFFSETS_MAX);
		err = kbr_nl_group_get_offset(broker, attr, &(*offsets)[*count], info->extack);
		if (err)
			return err;
		++*count;
	}
	return 0;
}

typedef int (*kbr_nl_group_change)(struct kbr_broker *broker, const char *name,
				   const struct kbr_group_offset *offsets, unsigned int count,
				   u32 *op_id, struct kbr_refusal *why);

/**
 * struct kbr_nl_group_request - a change
 * @cmd: its command
 * @name: attribute with the group's name
 * @op_id: attribute of the answer
 * @change: begins it
 */
struct kbr_nl_group_request {
	u8 cmd;
	int name;
	int op_id;
	kbr_nl_group_change change;
};

/* Begin the change, and answer with its operation. */
static int kbr_nl_group_begin_change(struct genl_info *info, struct kbr_broker *broker,
				     const struct kbr_nl_group_request *request,
				     const struct kbr_group_offset *offsets, unsigned int count)
{
	const struct nlattr *name = info->attrs[request->name];
	struct kbr_refusal why = {};
	struct sk_buff *msg;
	void *hdr;
	u32 op_id;
	int err;

	msg = kbr_nl_answer_new(info, request->cmd, &hdr);
	if (!msg)
		return -ENOMEM;
	err = request->change(broker, nla_data(name), offsets, count, &op_id, &why);
	if (err) {
		nlmsg_free(msg);
		return kbr_nl_refused(info, err, &why, name, 0);
	}
	if (nla_put_string(msg, request->name, nla_data(name)) ||
	    kbr_nl_put_u32(msg, request->op_id, op_id)) {
		nlmsg_free(msg);
		return -EMSGSIZE;
	}
	genlmsg_end(msg, hdr);
	return genlmsg_reply(msg, info);
}

static int kbr_nl_group_remove(struct kbr_broker *broker, const char *name,
			       const struct kbr_group_offset *offsets, unsigned int count,
			       u32 *op_id, struct kbr_refusal *why)
{
	return kbr_group_remove(broker, name, op_id, why);
}

/** kbroker_nl_group_del_doit() - delete a group */
int kbroker_nl_group_del_doit(struct sk_buff *skb, struct genl_info *info)
{
	static const struct kbr_nl_group_request request = {
		KBROKER_CMD_GROUP_DEL, KBROKER_A_GROUP_NAME, KBROKER_A_GROUP_OP_ID,
		kbr_nl_group_remove,
	};
	struct kbr_broker *broker;
	int err;

	err = kbr_nl_group_begin(info, 0, KBROKER_A_GROUP_NAME, &broker);
	if (err)
		return err;
	err = kbr_nl_group_begin_change(info, broker, &request, NULL, 0);
	kbr_broker_put(broker);
	return err;
}

/* Set offsets, or delete them. */
static int kbr_nl_group_change_offsets(struct genl_info *info,
				       const struct kbr_nl_group_request *request, bool set)
{
	struct kbr_group_offset *offsets;
	struct kbr_broker *broker;
	unsigned int count;
	int err;

	err = kbr_nl_group_begin(info, BIT_ULL(KBROKER_A_GROUP_OFFSET_ENTRY), request->name,
				 &broker);
	if (err)
		return err;
	err = kbr_nl_group_get_offsets(info, set ? broker : NULL, &offsets, &count);
	if (!err)
		err = kbr_nl_group_begin_change(info, broker, request, offsets, count);
	kvfree(offsets);
	kbr_broker_put(broker);
	return err;
}

/** kbroker_nl_group_offset_set_doit() - commit offsets for a group without members */
int kbroker_nl_group_offset_set_doit(struct sk_buff *skb, struct genl_info *info)
{
	static const struct kbr_nl_group_request request = {
		KBROKER_CMD_GROUP_OFFSET_SET, KBROKER_A_GROUP_OFFSET_GROUP,
		KBROKER_A_GROUP_OFFSET_OP_ID, kbr_group_reset,
	};

	return kbr_nl_group_change_offsets(info, &request, true);
}

/** kbroker_nl_group_offset_del_doit() - delete committed offsets of a group */
int kbroker_nl_group_offset_del_doit(struct sk_buff *skb, struct genl_info *info)
{
	static const struct kbr_nl_group_request request = {
		KBROKER_CMD_GROUP_OFFSET_DEL, KBROKER_A_GROUP_OFFSET_GROUP,
		KBROKER_A_GROUP_OFFSET_OP_ID, kbr_group_forget,
	};

	return kbr_nl_group_change_offsets(info, &request, false);
}
