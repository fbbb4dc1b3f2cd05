// SPDX-License-Identifier: GPL-2.0-only
/*
 * Netlink: partitions: show them, and delete records.
 */
#include "broker/handle.h"
#include "broker/replica.h"
#include "netlink/nl.h"

static_assert((int)KBR_PARTITION_OFFLINE == (int)KBROKER_PARTITION_STATE_OFFLINE);
static_assert((int)KBR_PARTITION_LEADER == (int)KBROKER_PARTITION_STATE_LEADER);
static_assert((int)KBR_PARTITION_REPAIRING == (int)KBROKER_PARTITION_STATE_REPAIRING);
static_assert((int)KBR_PARTITION_FAILED == (int)KBROKER_PARTITION_STATE_FAILED);
static_assert((int)KBR_PARTITION_DELETED == (int)KBROKER_PARTITION_STATE_DELETED);

/* Who leads, and who has it: what a cluster has told, else the broker by itself. */
static void kbr_nl_partition_replicas(struct kbr_partition *part,
				      const struct kbr_partition_info *info,
				      struct kbr_replica_state *state)
{
	s32 id = READ_ONCE(part->topic->broker->id);
	enum kbroker_replica_role role;

	if (kbr_replica_get(part, state, &role))
		return;
	memset(state, 0, sizeof(*state));
	state->replicas.count = 1;
	state->replicas.id[0] = id;
	state->leader = -1;
	state->leader_epoch = info->leader_epoch;
	if (info->state == KBR_PARTITION_LEADER) {
		state->leader = id;
		state->isr = state->replicas;
	}
}

/* Who it is, how it is, and its offsets. */
static int kbr_nl_partition_fill_head(struct sk_buff *skb, struct kbr_partition *part,
				      const struct kbr_partition_info *info,
				      const struct kbr_replica_state *state)
{
	struct kbr_topic *topic = part->topic;

	if (nla_put_string(skb, KBROKER_A_PARTITION_BROKER, topic->broker->name) ||
	    nla_put_string(skb, KBROKER_A_PARTITION_TOPIC, topic->name) ||
	    kbr_nl_put_u32(skb, KBROKER_A_PARTITION_INDEX, part->index) ||
	    nla_put_u8(skb, KBROKER_A_PARTITION_STATE, info->state) ||
	    kbr_nl_put_u32(skb, KBROKER_A_PARTITION_LEADER, state->leader) ||
	    kbr_nl_put_u32(skb, KBROKER_A_PARTITION_LEADER_EPOCH, state->leader_epoch) ||
	    kbr_nl_put_u64(skb, KBROKER_A_PARTITION_LOG_START, info->log_start) ||
	    kbr_nl_put_u64(skb, KBROKER_A_PARTITION_HIGH_WATERMARK, info->hw) ||
	    kbr_nl_put_u64(skb, KBROKER_A_PARTITION_LOG_END, info->log_end) ||
	    kbr_nl_put_u64(skb, KBROKER_A_PARTITION_SYNCED_END, info->synced))
		return -EMSGSIZE;
	if (info->error && info->state != KBR_PARTITION_LEADER &&
	    kbr_nl_put_u32(skb, KBROKER_A_PARTITION_ERROR, abs(info->error)))
		return -EMSGSIZE;
	if (info->damaged >= 0 &&
	    kbr_nl_put_u64(skb, KBROKER_A_PARTITION_DAMAGED_OFFSET, info->damaged))
		return -EMSGSIZE;
	return 0;
}

/**
 * kbr_nl_partition_fill_state() - what an event says of a partition
 * @skb: message
 * @part: partition
 *
 * Return: 0; -EMSGSIZE.
 */
int kbr_nl_partition_fill_state(struct sk_buff *skb, struct kbr_partition *part)
{
	struct kbr_partition_info info;
	struct kbr_replica_state state;

	kbr_partition_describe(part, &info);
	kbr_nl_partition_replicas(part, &info, &state);
	return kbr_nl_partition_fill_head(skb, part, &info, &state);
}

static int kbr_nl_partition_put_ids(struct sk_buff *skb, int type, const struct kbr_id_set *set)
{
	unsigned int i;

	for (i = 0; i < set->count; i++)
		if (kbr_nl_put_u32(skb, type, set->id[i]))
			return -EMSGSIZE;
	return 0;
}

static void kbr_nl_partition_count(struct kbr_partition *part, unsigned int *readers,
				   unsigned int *writers)
{
	struct kbr_topic *topic = part->topic;
	struct kbr_handle *handle;

	*readers = 0;
	*writers = 0;
	spin_lock(&topic->handles_lock);
	list_for_each_entry(handle, &topic->handles, node) {
		if (handle->partition >= 0 && handle->partition != (s32)part->index)
			continue;
		*readers += !!(handle->mode & FMODE_READ);
		*writers += !!(handle->mode & FMODE_WRITE);
	}
	spin_unlock(&topic->handles_lock);
}

/** kbr_nl_partition_fill() - attributes of a struct kbr_partition */
int kbr_nl_partition_fill(struct sk_buff *skb, void *obj)
{
	struct kbr_partition *part = obj;
	struct kbr_partition_info info;
	struct kbr_replica_state state;
	unsigned int readers, writers;

	kbr_partition_describe(part, &info);
	kbr_nl_partition_replicas(part, &info, &state);
	kbr_nl_partition_count(part, &readers, &writers);
	if (kbr_nl_partition_fill_head(skb, part, &info, &state) ||
	    kbr_nl_partition_put_ids(skb, KBROKER_A_PARTITION_REPLICA, &state.replicas) ||
	    kbr_nl_partition_put_ids(skb, KBROKER_A_PARTITION_ISR, &state.isr) ||
	    kbr_nl_put_u32(skb, KBROKER_A_PARTITION_SEGMENTS, info.stats.segments) ||
	    kbr_nl_put_u64(skb, KBROKER_A_PARTITION_BYTES, info.stats.bytes) ||
	    kbr_nl_put_u64(skb, KBROKER_A_PARTITION_UNSYNCED_BYTES, info.stats.unsynced_bytes) ||
	    kbr_nl_put_u32(skb, KBROKER_A_PARTITION_READERS, readers) ||
	    kbr_nl_put_u32(skb, KBROKER_A_PARTITION_WRITERS, writers) ||
	    kbr_nl_put_u32(skb, KBROKER_A_PARTITION_MINOR, part->minor))
		return -EMSGSIZE;
	return 0;
}

/* The partition that a request names, of @topic. */
static struct kbr_partition *kbr_nl_partition_find(struct genl_info *info, struct kbr_topic *topic)
{
	struct kbr_partition *part;
	struct nlattr *attr;
	int err;

	err = kbr_nl_require(info, KBROKER_A_PARTITION_INDEX,
			     "the request needs the number of a partition (index)");
	if (err)
		return ERR_PTR(err);
	attr = info->attrs[KBROKER_A_PARTITION_INDEX];
	part = kbr_topic_partition(topic, be32_to_cpu(nla_get_be32(attr)));
	if (!part) {
		NL_SET_ERR_MSG_ATTR(info->extack, attr, "the topic has fewer partitions");
		return ERR_PTR(-ENOENT);
	}
	return part;
}

/** kbroker_nl_partition_get_doit() - show one partition */
int kbroker_nl_partition_get_doit(struct sk_buff *skb, struct genl_info *info)
{
	struct kbr_partition *part;
	struct kbr_broker *broker;
	struct kbr_topic *topic;
	int err;

	err = kbr_nl_begin(info, 0, KBROKER_A_PARTITION_BROKER, NULL, &broker);
	if (err)
		return err;
	topic = kbr_nl_topic_lookup(info, broker, KBROKER_A_PARTITION_TOPIC);
	if (IS_ERR(topic)) {
		err = PTR_ERR(topic);
		goto put_broker;
	}
	part = kbr_nl_partition_find(info, topic);
	if (IS_ERR(part))
		err = PTR_ERR(part);
	else
		err = kbr_nl_reply(info, KBROKER_CMD_PARTITION_GET, kbr_nl_partition_fill, part);
	kbr_topic_put(topic);
put_broker:
	kbr_broker_put(broker);
	return err;
}

/* Answer to delete-records. */
static int kbr_nl_partition_answer(struct sk_buff *skb, struct genl_info *info, void *hdr,
				   struct kbr_partition *part, u32 op_id)
{
	if (nla_put_string(skb, KBROKER_A_PARTITION_TOPIC, part->topic->name) ||
	    kbr_nl_put_u32(skb, KBROKER_A_PARTITION_INDEX, part->index) ||
	    kbr_nl_put_u32(skb, KBROKER_A_PARTITION_OP_ID, op_id)) {
		nlmsg_free(skb);
		return -EMSGSIZE;
	}
	genlmsg_end(skb, hdr);
	return genlmsg_reply(skb, info);
}

static int kbr_nl_delete_records(struct genl_info *info, struct kbr_broker *broker,
				 struct kbr_topic *topic)
{
	struct kbr_refusal why = {};
	struct kbr_partition *part;
	struct nlattr *attr;
	struct sk_buff *msg;
	s64 offset;
	void *hdr;
	u32 op_id;
	int err;

	part = kbr_nl_partition_find(info, topic);
	if (IS_ERR(part))
		return PTR_ERR(part);
	err = kbr_nl_require(info, KBROKER_A_PARTITION_LOG_START,
			     "the request needs the new log start (log-start)");
	if (err)
		return err;
	attr = info->attrs[KBROKER_A_PARTITION_LOG_START];
	offset = be64_to_cpu(nla_get_be64(attr));
	if (offset < -1)
		return kbr_nl_refuse(info->extack, attr, -EINVAL,
				     "an offset is 0 or more, or -1 for the high watermark");
	msg = kbr_nl_answer_new(info, KBROKER_CMD_PARTITION_SET, &hdr);
	if (!msg)
		return -ENOMEM;
	err = kbr_topic_delete_records(broker, topic->name, part->index, offset, &op_id, &why);
	if (err) {
		nlmsg_free(msg);
		return kbr_nl_refused(info, err, &why, attr, 0);
	}
	return kbr_nl_partition_answer(msg, info, hdr, part, op_id);
}

/** kbroker_nl_partition_set_doit() - delete records below an offset */
int kbroker_nl_partition_set_doit(struct sk_buff *skb, struct genl_info *info)
{
	struct kbr_broker *broker;
	struct kbr_topic *topic;
	int err;

	err = kbr_nl_begin(info, 0, KBROKER_A_PARTITION_BROKER, NULL, &broker);
	if (err)
		return err;
	topic = kbr_nl_topic_lookup(info, broker, KBROKER_A_PARTITION_TOPIC);
	if (IS_ERR(topic)) {
		err = PTR_ERR(topic);
	} else {
		err = kbr_nl_delete_records(info, broker, topic);
		kbr_topic_put(topic);
	}
	kbr_broker_put(broker);
	return err;
}

/** kbroker_nl_partition_dump_start() - begin a dump of partitions */
int kbroker_nl_partition_dump_start(struct netlink_callback *cb)
{
	return kbr_nl_dump_start(cb, KBROKER_A_PARTITION_BROKER, KBROKER_A_PARTITION_TOPIC,
				 KBROKER_A_PARTITION_INDEX);
}

/** kbroker_nl_partition_get_dumpit() - partitions, topic by topic; goes on in the middle of one */
int kbroker_nl_partition_get_dumpit(struct sk_buff *skb, struct netlink_callback *cb)
{
	struct kbr_nl_dump *dump = kbr_nl_dump_of(cb);
	struct kbr_partition *part;
	struct kbr_topic *topic;
	int err;

	err = kbr_nl_dump_begin(cb, dump);
	while (!err && (topic = kbr_nl_dump_topic(dump))) {
		while (!err && (part = kbr_topic_partition(topic, dump->partition))) {
			err = kbr_nl_dump_put(skb, cb, KBROKER_CMD_PARTITION_GET,
					      kbr_nl_partition_fill, part);
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
