// SPDX-License-Identifier: GPL-2.0-only
/*
 * Netlink: what a member of a cluster is to each partition, as its controller
 * says, and what a leader knows of its followers.
 */
#include <linux/mm.h>

#include "base/clock.h"
#include "broker/replica_ops.h"
#include "netlink/nl.h"

static_assert(sizeof(__be32) * KBROKER_REPLICAS_MAX == 64);

/* ---- get ---- */

static int kbr_nl_replica_put_ids(struct sk_buff *skb, int type, const struct kbr_id_set *set)
{
	__be32 ids[KBROKER_REPLICAS_MAX];
	unsigned int i;

	for (i = 0; i < set->count; i++)
		ids[i] = cpu_to_be32(set->id[i]);
	return nla_put(skb, type, set->count * sizeof(ids[0]), ids);
}

static int kbr_nl_replica_fill_follower(struct sk_buff *skb, const struct kbr_replica_state *state,
					const struct kbr_replica_progress *progress)
{
	s64 age = max(kbr_clock_mono_ms() - progress->caught_up_ms, 0LL);
	struct nlattr *nest = nla_nest_start(skb, KBROKER_A_REPLICA_FOLLOWER);

	if (!nest || kbr_nl_put_u32(skb, KBROKER_A_FOLLOWER_ID, progress->id) ||
	    nla_put_u8(skb, KBROKER_A_FOLLOWER_IN_SYNC, kbr_id_set_has(&state->isr, progress->id)) ||
	    kbr_nl_put_u64(skb, KBROKER_A_FOLLOWER_LOG_END, progress->end) ||
	    kbr_nl_put_u64(skb, KBROKER_A_FOLLOWER_SYNCED_END, progress->synced) ||
	    kbr_nl_put_u64(skb, KBROKER_A_FOLLOWER_CAUGHT_UP_MS, age))
		return -EMSGSIZE;
	nla_nest_end(skb, nest);
	return 0;
}

static int kbr_nl_replica_fill_state(struct sk_buff *skb, struct kbr_partition *part,
				     const struct kbr_replica_state *state)
{
	struct kbr_replica_progress progress[KBROKER_REPLICAS_MAX];
	unsigned int i, count;

	if (kbr_nl_put_u32(skb, KBROKER_A_REPLICA_LEADER, state->leader) ||
	    kbr_nl_put_u32(skb, KBROKER_A_REPLICA_LEADER_EPOCH, state->leader_epoch) ||
	    kbr_nl_put_u32(skb, KBROKER_A_REPLICA_PARTITION_EPOCH, state->partition_epoch) ||
	    kbr_nl_replica_put_ids(skb, KBROKER_A_REPLICA_REPLICAS, &state->replicas) ||
	    kbr_nl_replica_put_ids(skb, KBROKER_A_REPLICA_ISR, &state->isr) ||
	    kbr_nl_replica_put_ids(skb, KBROKER_A_REPLICA_ELR, &state->elr))
		return -EMSGSIZE;
	count = kbr_replica_get_progress(part, progress);
	for (i = 0; i < count; i++)
		if (kbr_nl_replica_fill_follower(skb, state, &progress[i]))
			return -EMSGSIZE;
	return 0;
}

/* Attributes of a partition of a member. */
static int kbr_nl_replica_fill(struct sk_buff *skb, void *obj)
{
	enum kbroker_replica_role role = KBROKER_REPLICA_ROLE_NONE;
	struct kbr_partition *part = obj;
	struct kbr_topic *topic = part->topic;
	struct kbr_replica_state state;
	bool told = kbr_replica_get(part, &state, &role);

	if (nla_put_string(skb, KBROKER_A_REPLICA_BROKER, topic->broker->name) ||
	    nla_put_string(skb, KBROKER_A_REPLICA_TOPIC, topic->name) ||
	    nla_put(skb, KBROKER_A_REPLICA_TOPIC_ID, sizeof(topic->id), topic->id) ||
	    kbr_nl_put_u32(skb, KBROKER_A_REPLICA_PARTITION, part->index) ||
	    nla_put_u8(skb, KBROKER_A_REPLICA_ROLE, role))
		return -EMSGSIZE;
	return told ? kbr_nl_replica_fill_state(skb, part, &state) : 0;
}

/** kbroker_nl_replica_get_doit() - show what the broker is to one partition */
int kbroker_nl_replica_get_doit(struct sk_buff *skb, struct genl_info *info)
{
	struct kbr_partition *part;
	struct kbr_broker *broker;
	struct kbr_topic *topic;
	int err;

	err = kbr_nl_begin(info, 0, KBROKER_A_REPLICA_BROKER, NULL, &broker);
	if (err)
		return err;
	topic = kbr_nl_topic_lookup(info, broker, KBROKER_A_REPLICA_TOPIC);
	if (IS_ERR(topic)) {
		err = PTR_ERR(topic);
		goto put_broker;
	}
	err = kbr_nl_require(info, KBROKER_A_REPLICA_PARTITION,
			     "the request needs the number of a partition");
	if (err)
		goto put_topic;
	part = kbr_topic_partition(topic,
				   be32_to_cpu(nla_get_be32(info->attrs[KBROKER_A_REPLICA_PARTITION])));
	if (!part)
		err = kbr_nl_refuse(info->extack, info->attrs[KBROKER_A_REPLICA_PARTITION], -ENOENT,
				    "topic %s has no such partition", topic->name);
	else
		err = kbr_nl_reply(info, KBROKER_CMD_REPLICA_GET, kbr_nl_replica_fill, part);
put_topic:
	kbr_topic_put(topic);
put_broker:
	kbr_broker_put(broker);
	return err;
}

/** kbroker_nl_replica_dump_start() - begin a dump of what a member is to its partitions */
int kbroker_nl_replica_dump_start(struct netlink_callback *cb)
{
	return kbr_nl_dump_start(cb, KBROKER_A_REPLICA_BROKER, KBROKER_A_REPLICA_TOPIC,
				 KBROKER_A_REPLICA_PARTITION);
}

/** kbroker_nl_replica_get_dumpit() - all partitions, topic by topic; none of a standalone broker */
int kbroker_nl_replica_get_dumpit(struct sk_buff *skb, struct netlink_callback *cb)
{
	struct kbr_nl_dump *dump = kbr_nl_dump_of(cb);
	struct kbr_partition *part;
	struct kbr_topic *topic;
	int err;

	err = kbr_nl_dump_begin(cb, dump);
	if (dump->broker && !kbr_cluster_is_member(dump->broker))
		return skb->len ?: err;
	while (!err && (topic = kbr_nl_dump_topic(dump))) {
		while (!err && (part = kbr_topic_partition(topic, dump->partition))) {
			err = kbr_nl_dump_put(skb, cb, KBROKER_CMD_REPLICA_GET,
					      kbr_nl_replica_fill, part);
			if (err)
				break;
			dump->partition++;
			if (dump->one_partition >= 0)
				break;
		}
		if (!err)
			kbr_nl_dump_topic_done(dump);
		kbr_topic_put(topic);
		cond_resched();
	}
	return skb->len ?: err;
}

/* ---- set ---- */

static int kbr_nl_replica_get_ids(const struct nlattr *attr, struct kbr_id_set *set,
				  struct netlink_ext_ack *extack)
{
	__be32 ids[KBROKER_REPLICAS_MAX];
	int i, len;

	set->count = 0;
	if (!attr)
		return 0;
	len = nla_len(attr);
	if (len % sizeof(ids[0]) || len > (int)sizeof(ids))
		return kbr_nl_refuse(extack, attr, -EINVAL,
				     "a set of brokers is at most %d big-endian 32-bit numbers",
				     KBROKER_REPLICAS_MAX);
	memcpy(ids, nla_data(attr), len);
	set->count = len / sizeof(ids[0]);
	for (i = 0; i < set->count; i++)
		set->id[i] = be32_to_cpu(ids[i]);
	return 0;
}

static s32 kbr_nl_replica_get_s32(const struct nlattr *attr)
{
	return (s32)be32_to_cpu(nla_get_be32(attr));
}

static int kbr_nl_replica_get_item(const struct nlattr *nest, struct kbr_replica_item *item,
				   struct netlink_ext_ack *extack)
{
	static const int needed[] = {
		KBROKER_A_REPLICA_ITEM_TOPIC, KBROKER_A_REPLICA_ITEM_TOPIC_ID, KBROKER_A_REPLICA_ITEM_PARTITION,
		KBROKER_A_REPLICA_ITEM_LEADER, KBROKER_A_REPLICA_ITEM_LEADER_EPOCH,
		KBROKER_A_REPLICA_ITEM_PARTITION_EPOCH, KBROKER_A_REPLICA_ITEM_REPLICAS,
	};
	struct nlattr *tb[KBROKER_A_REPLICA_ITEM_MAX + 1];
	unsigned int i;
	int err;

	err = nla_parse_nested(tb, KBROKER_A_REPLICA_ITEM_MAX, nest, kbroker_replica_item_nl_policy, extack);
	if (err)
		return err;
	for (i = 0; i < ARRAY_SIZE(needed); i++)
		if (!tb[needed[i]]) {
			NL_SET_ERR_ATTR_MISS(extack, nest, needed[i]);
			return kbr_nl_refuse(extack, nest, -EINVAL,
					     "a replica needs topic, topic-id, partition, leader, leader-epoch, partition-epoch and replicas");
		}
	err = kbr_nl_check_text(tb[KBROKER_A_REPLICA_ITEM_TOPIC], extack) ?:
	      kbr_nl_replica_get_ids(tb[KBROKER_A_REPLICA_ITEM_REPLICAS], &item->state.replicas, extack) ?:
	      kbr_nl_replica_get_ids(tb[KBROKER_A_REPLICA_ITEM_ISR], &item->state.isr, extack) ?:
	      kbr_nl_replica_get_ids(tb[KBROKER_A_REPLICA_ITEM_ELR], &item->state.elr, extack);
	if (err)
		return err;
	nla_strscpy(item->topic, tb[KBROKER_A_REPLICA_ITEM_TOPIC], sizeof(item->topic));
	nla_memcpy(item->id, tb[KBROKER_A_REPLICA_ITEM_TOPIC_ID], sizeof(item->id));
	item->partition = be32_to_cpu(nla_get_be32(tb[KBROKER_A_REPLICA_ITEM_PARTITION]));
	item->state.leader = kbr_nl_replica_get_s32(tb[KBROKER_A_REPLICA_ITEM_LEADER]);
	item->state.leader_epoch = kbr_nl_replica_get_s32(tb[KBROKER_A_REPLICA_ITEM_LEADER_EPOCH]);
	item->state.partition_epoch = kbr_nl_replica_get_s32(tb[KBROKER_A_REPLICA_ITEM_PARTITION_EPOCH]);
	return 0;
}

/* The partitions of a request; @items for kvfree(), also after an error. */
static int kbr_nl_replica_get_items(struct genl_info *info, struct kbr_replica_item **items,
				    unsigned int *count)
{
	const struct nlattr *nest;
	unsigned int n = 0, at = 0;
	int err, rem;

	nlmsg_for_each_attr(nest, info->nlhdr, GENL_HDRLEN, rem)
		n += nla_type(nest) == KBROKER_A_REPLICA_LIST_REPLICA;
	if (!n || n > KBROKER_REPLICA_SET_MAX)
		return kbr_nl_refuse(info->extack, NULL, n ? -E2BIG : -EINVAL,
				     "the request tells of 1 to %d partitions",
				     KBROKER_REPLICA_SET_MAX);
	*items = kvcalloc(n, sizeof(**items), GFP_KERNEL_ACCOUNT);
	if (!*items)
		return -ENOMEM;
	nlmsg_for_each_attr(nest, info->nlhdr, GENL_HDRLEN, rem) {
		if (nla_type(nest) != KBROKER_A_REPLICA_LIST_REPLICA)
			continue;
		err = kbr_nl_replica_get_item(nest, &(*items)[at++], info->extack);
		if (err)
			return err;
	}
	*count = n;
	return 0;
}

/** kbroker_nl_replica_set_doit() - the controller says what the broker is to partitions */
int kbroker_nl_replica_set_doit(struct sk_buff *skb, struct genl_info *info)
{
	struct kbr_replica_item *items = NULL;
	struct kbr_refusal why = {};
	struct kbr_broker *broker;
	struct sk_buff *msg;
	unsigned int count;
	void *hdr;
	u32 op_id;
	int err;

	err = kbr_nl_begin(info, BIT_ULL(KBROKER_A_REPLICA_LIST_REPLICA),
			   KBROKER_A_REPLICA_LIST_BROKER, NULL, &broker);
	if (err)
		return err;
	err = kbr_nl_replica_get_items(info, &items, &count);
	if (err)
		goto put;
	msg = kbr_nl_answer_new(info, KBROKER_CMD_REPLICA_SET, &hdr);
	err = msg ? kbr_replica_set(broker, items, count, &op_id, &why) : -ENOMEM;
	if (err) {
		nlmsg_free(msg);
		kbr_nl_refused(info, err, &why, NULL, 0);
		goto put;
	}
	items = NULL;
	if (nla_put_string(msg, KBROKER_A_REPLICA_LIST_BROKER, broker->name) ||
	    kbr_nl_put_u32(msg, KBROKER_A_REPLICA_LIST_OP_ID, op_id)) {
		nlmsg_free(msg);
		err = -EMSGSIZE;
		goto put;
	}
	genlmsg_end(msg, hdr);
	err = genlmsg_reply(msg, info);
put:
	kvfree(items);
	kbr_broker_put(broker);
	return err;
}
