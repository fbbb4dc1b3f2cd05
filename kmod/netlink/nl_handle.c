// SPDX-License-Identifier: GPL-2.0-only
/*
 * Netlink: open devices: who reads and writes a partition, and how far behind
 * each reader is. Names processes, so it is the administrator's.
 */
#include "broker/handle.h"
#include "netlink/nl.h"

/**
 * struct kbr_nl_handle - an open device, as it concerns one partition
 * @part: the partition
 * @info: the device
 */
struct kbr_nl_handle {
	struct kbr_partition *part;
	struct kbr_handle_info info;
};

/* How far behind a reader is; nothing while the log is not open. */
static int kbr_nl_handle_fill_lag(struct sk_buff *skb, struct kbr_nl_handle *handle)
{
	struct kbr_partition_lag lag;

	if (kbr_partition_get_lag(handle->part, handle->info.position, &lag))
		return 0;
	if (kbr_nl_put_u64(skb, KBROKER_A_HANDLE_POSITION, lag.position) ||
	    kbr_nl_put_u64(skb, KBROKER_A_HANDLE_LAG_RECORDS, lag.records) ||
	    kbr_nl_put_u64(skb, KBROKER_A_HANDLE_LAG_BYTES, lag.bytes))
		return -EMSGSIZE;
	return lag.ms < 0 ? 0 : kbr_nl_put_u64(skb, KBROKER_A_HANDLE_LAG_MS, lag.ms);
}

static int kbr_nl_handle_fill(struct sk_buff *skb, void *obj)
{
	struct kbr_nl_handle *handle = obj;
	struct kbr_handle_info *info = &handle->info;
	struct kbr_topic *topic = handle->part->topic;
	u8 direction = 0;

	if (info->mode & FMODE_READ)
		direction |= KBROKER_DIRECTION_READ;
	if (info->mode & FMODE_WRITE)
		direction |= KBROKER_DIRECTION_WRITE;
	if (nla_put_string(skb, KBROKER_A_HANDLE_BROKER, topic->broker->name) ||
	    nla_put_string(skb, KBROKER_A_HANDLE_TOPIC, topic->name) ||
	    kbr_nl_put_u32(skb, KBROKER_A_HANDLE_PARTITION, handle->part->index) ||
	    (info->partition < 0 && nla_put_flag(skb, KBROKER_A_HANDLE_ALL)) ||
	    kbr_nl_put_u32(skb, KBROKER_A_HANDLE_PID, info->pid) ||
	    nla_put_string(skb, KBROKER_A_HANDLE_COMM, info->comm) ||
	    nla_put_u8(skb, KBROKER_A_HANDLE_DIRECTION, direction) ||
	    nla_put_u8(skb, KBROKER_A_HANDLE_FORMAT, info->format))
		return -EMSGSIZE;
	if (!(info->mode & FMODE_READ))
		return 0;
	if (kbr_nl_put_u64(skb, KBROKER_A_HANDLE_LOST, info->lost) ||
	    kbr_nl_handle_fill_lag(skb, handle))
		return -EMSGSIZE;
	return 0;
}

/** kbroker_nl_handle_dump_start() - begin a dump of open devices */
int kbroker_nl_handle_dump_start(struct netlink_callback *cb)
{
	return kbr_nl_dump_start(cb, KBROKER_A_HANDLE_BROKER, KBROKER_A_HANDLE_TOPIC,
				 KBROKER_A_HANDLE_PARTITION);
}

/* The devices that concern one partition, from @dump->nth on. */
static int kbr_nl_handle_dump_partition(struct sk_buff *skb, struct netlink_callback *cb,
					struct kbr_nl_dump *dump, struct kbr_partition *part)
{
	struct kbr_nl_handle handle = { .part = part };
	int err;

	while (kbr_handle_nth(part->topic, part->index, dump->nth, &handle.info)) {
		err = kbr_nl_dump_put(skb, cb, KBROKER_CMD_HANDLE_GET, kbr_nl_handle_fill, &handle);
		if (err)
			return err;
		dump->nth++;
		cond_resched();
	}
	dump->nth = 0;
	return 0;
}

/** kbroker_nl_handle_get_dumpit() - open devices, partition by partition */
int kbroker_nl_handle_get_dumpit(struct sk_buff *skb, struct netlink_callback *cb)
{
	struct kbr_nl_dump *dump = kbr_nl_dump_of(cb);
	struct kbr_partition *part;
	struct kbr_topic *topic;
	int err;

	err = kbr_nl_dump_begin(cb, dump);
	/* Opens and closes interrupt this dump, and no other. */
	if (dump->broker)
		cb->seq += (unsigned int)atomic_read(&dump->broker->handles_changes) << 1;
	while (!err && (topic = kbr_nl_dump_topic(dump))) {
		/* Most topics are open nowhere: do not look at ten thousand partitions for it. */
		if (list_empty_careful(&topic->handles)) {
			kbr_nl_dump_topic_done(dump);
			kbr_topic_put(topic);
			continue;
		}
		while (!err && (part = kbr_topic_partition(topic, dump->partition))) {
			err = kbr_nl_handle_dump_partition(skb, cb, dump, part);
			if (err)
				break;
			dump->partition++;
			if (dump->one_partition >= 0)
				break;
			cond_resched();
		}
		if (!err)
			kbr_nl_dump_topic_done(dump);
		kbr_topic_put(topic);
	}
	return skb->len ?: err;
}
