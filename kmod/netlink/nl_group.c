// SPDX-License-Identifier: GPL-2.0-only
/*
 * Netlink: consumer groups: show them, their members and how far they are; set
 * and delete their offsets; delete them. Members are the administrator's to see.
 */
#include <linux/slab.h>
#include <linux/string.h>

#include "base/kunit.h"
#include "broker/group_ops.h"
#include "broker/share.h"
#include "codec/kafka_error.h"
#include "kbr_genetlink.h"
#include "kbr_unaligned.h"
#include "netlink/nl.h"

static_assert((int)KBR_GROUP_NONE == (int)KBROKER_GROUP_KIND_NONE);
static_assert((int)KBR_GROUP_CLASSIC == (int)KBROKER_GROUP_KIND_CLASSIC);
static_assert((int)KBR_GROUP_DEVICE == (int)KBROKER_GROUP_KIND_DEVICE);
static_assert((int)KBR_GROUP_EMPTY == (int)KBROKER_GROUP_STATE_EMPTY);
static_assert((int)KBR_GROUP_PREPARING_REBALANCE == (int)KBROKER_GROUP_STATE_PREPARING_REBALANCE);
static_assert((int)KBR_GROUP_COMPLETING_REBALANCE == (int)KBROKER_GROUP_STATE_COMPLETING_REBALANCE);
static_assert((int)KBR_GROUP_STABLE == (int)KBROKER_GROUP_STATE_STABLE);
static_assert((int)KBR_GROUP_DEAD == (int)KBROKER_GROUP_STATE_DEAD);
static_assert(KBR_GROUP_NAME_MAX == KBROKER_GROUP_NAME_MAX);

/* Of what clients say of themselves, no more is shown, bytes */
#define KBR_NL_GROUP_TEXT_MAX	255
/* Of an assignment, no more in one message: bytes of a client's, partitions of a device's */
#define KBR_NL_GROUP_PART_MAX	8192
#define KBR_NL_GROUP_LIST_MAX	1024

/* A text of a client, up to its first NUL; nothing where there is none. */
static int kbr_nl_group_put_text(struct sk_buff *skb, int type, const struct kbr_str *text)
{
	size_t len;
	struct nlattr *attr;
	char *to;

	if (text->len <= 0)
		return 0;
	len = strnlen(text->at, min(text->len, KBR_NL_GROUP_TEXT_MAX));
	attr = nla_reserve(skb, type, len + 1);
	if (!attr)
		return -EMSGSIZE;
	to = nla_data(attr);
	memcpy(to, text->at, len);
	to[len] = '\0';
	return 0;
}

/* Which broker, and which group. */
static int kbr_nl_group_put_names(struct sk_buff *skb, int broker_type, int name_type,
				  const struct kbr_broker *broker, const struct kbr_group *group)
{
	struct kbr_str name = kbr_group_name(group);

	return nla_put_string(skb, broker_type, broker->name) ?:
	       kbr_nl_group_put_text(skb, name_type, &name);
}

/* ---- groups ---- */

/** kbr_nl_group_fill() - attributes of a struct kbr_nl_group; takes the group's lock */
int kbr_nl_group_fill(struct sk_buff *skb, void *obj)
{
	struct kbr_nl_group *show = obj;
	struct kbr_group_info info;
	int err;

	if (kbr_nl_group_put_names(skb, KBROKER_A_GROUP_BROKER, KBROKER_A_GROUP_NAME, show->broker,
				   show->group))
		return -EMSGSIZE;
	kbr_group_lock(show->group);
	kbr_group_info_locked(show->group, &info);
	err = nla_put_u8(skb, KBROKER_A_GROUP_KIND, info.kind) ?:
	      nla_put_u8(skb, KBROKER_A_GROUP_STATE, info.state) ?:
	      kbr_nl_put_u32(skb, KBROKER_A_GROUP_GENERATION, info.generation) ?:
	      kbr_nl_put_u32(skb, KBROKER_A_GROUP_MEMBERS, info.members) ?:
	      kbr_nl_put_u32(skb, KBROKER_A_GROUP_OFFSETS, info.offsets) ?:
	      kbr_nl_group_put_text(skb, KBROKER_A_GROUP_PROTOCOL_TYPE, &info.protocol_type) ?:
	      kbr_nl_group_put_text(skb, KBROKER_A_GROUP_PROTOCOL, &info.protocol) ?:
	      kbr_nl_group_put_text(skb, KBROKER_A_GROUP_LEADER, &info.leader) ?:
	      kbr_nl_put_u64(skb, KBROKER_A_GROUP_STATE_MS, info.state_ms) ?:
	      kbr_nl_put_u64(skb, KBROKER_A_GROUP_BYTES, info.bytes);
	kbr_group_unlock(show->group);
	return err ? -EMSGSIZE : 0;
}
KBR_EXPORT_IF_KUNIT(kbr_nl_group_fill);

/*
 * The refusals of what needs no privilege are constants, see netlink.c. Groups
 * are not there while they are being loaded, and neither are they none.
 */
static int kbr_nl_group_check_ready(struct kbr_broker *broker, struct netlink_ext_ack *extack)
{
	int err = kbr_groups_ready(broker, false);

	if (err == -EAGAIN)
		NL_SET_ERR_MSG(extack, "the groups are still being loaded; ask again");
	else if (err && err != -ENOENT)
		NL_SET_ERR_MSG(extack, "the broker cannot tell of groups now");
	return err;
}

/* The group @name, with a reference. */
static struct kbr_group *kbr_nl_group_lookup(struct kbr_broker *broker, const struct nlattr *name,
					     struct netlink_ext_ack *extack)
{
	struct kbr_str text = { .at = nla_data(name), .len = strlen(nla_data(name)) };
	struct kbr_group *group;
	s16 code;
	int err;

	err = kbr_nl_group_check_ready(broker, extack);
	if (err && err != -ENOENT)
		return ERR_PTR(err);
	group = err ? NULL : kbr_group_find(broker, &text, false, &code);
	if (group)
		return group;
	if (!err && code == KBR_KAFKA_NOT_COORDINATOR) {
		NL_SET_ERR_MSG_ATTR(extack, name, "another broker coordinates the group");
		return ERR_PTR(-EREMOTE);
	}
	if (!err && code == KBR_KAFKA_COORDINATOR_LOAD_IN_PROGRESS) {
		NL_SET_ERR_MSG_ATTR(extack, name, "the group is still being loaded; ask again");
		return ERR_PTR(-EAGAIN);
	}
	NL_SET_ERR_MSG_ATTR(extack, name, "there is no such group");
	return ERR_PTR(-ENOENT);
}

/* Broker and name of a request for one group; its broker is attribute 1 of each set. */
static int kbr_nl_group_begin(struct genl_info *info, u64 multi, int name_type,
			      struct kbr_broker **broker)
{
	const struct nlattr *name = info->attrs[name_type];
	int err;

	BUILD_BUG_ON((int)KBROKER_A_GROUP_BROKER != (int)KBROKER_A_GROUP_OFFSET_BROKER);
	err = kbr_nl_begin(info, multi, KBROKER_A_GROUP_BROKER, NULL, broker);
	if (err)
		return err;
	err = kbr_nl_require(info, name_type, "the request needs the name of a group");
	if (!err)
		err = kbr_nl_check_text(name, info->extack);
	if (!err && !*(const char *)nla_data(name)) {
		NL_SET_ERR_MSG_ATTR(info->extack, name, "the name of a group must not be empty");
		err = -EINVAL;
	}
	if (err)
		kbr_broker_put(*broker);
	return err;
}

/** kbroker_nl_group_get_doit() - show one group */
int kbroker_nl_group_get_doit(struct sk_buff *skb, struct genl_info *info)
{
	struct kbr_nl_group show;
	int err;

	err = kbr_nl_group_begin(info, 0, KBROKER_A_GROUP_NAME, &show.broker);
	if (err)
		return err;
	show.group = kbr_nl_group_lookup(show.broker, info->attrs[KBROKER_A_GROUP_NAME],
					 info->extack);
	if (IS_ERR(show.group)) {
		err = PTR_ERR(show.group);
	} else {
		err = kbr_nl_reply(info, KBROKER_CMD_GROUP_GET, kbr_nl_group_fill, &show);
		kbr_group_put(show.group);
	}
	kbr_broker_put(show.broker);
	return err;
}

/* ---- dumps ---- */

/* What a dump of groups, of their members or of their offsets begins with. */
static int kbr_nl_group_dump_begin(struct netlink_callback *cb, int broker_type, int name_type)
{
	struct nlattr *name = kbr_compat_dump_attrs(cb)[name_type];
	struct netlink_ext_ack *extack;
	struct kbr_nl_dump *dump;
	struct kbr_group *group;
	int err;

	err = kbr_nl_dump_start(cb, broker_type, 0, 0);
	if (err)
		return err;
	dump = kbr_nl_dump_of(cb);
	if (dump->error || (!dump->broker && !name))
		return 0;
	extack = kzalloc(sizeof(*extack), GFP_KERNEL);
	if (!extack) {
		kbroker_nl_dump_done(cb);
		return -ENOMEM;
	}
	if (!dump->broker) {
		NL_SET_ERR_MSG(extack, "no broker runs in this network namespace");
		err = -ENODEV;
	} else if (!name) {
		err = kbr_nl_group_check_ready(dump->broker, extack);
		dump->done = err == -ENOENT;
		if (dump->done)
			err = 0;
	} else {
		err = kbr_nl_check_text(name, extack);
		group = err ? NULL : kbr_nl_group_lookup(dump->broker, name, extack);
		if (!IS_ERR_OR_NULL(group)) {
			dump->group_len = nla_strscpy(dump->group, name, sizeof(dump->group));
			dump->one_group = true;
			dump->in_group = true;
			kbr_group_put(group);
		} else if (group) {
			err = PTR_ERR(group);
		}
	}
	dump->error = err;
	dump->why = extack->_msg;
	dump->bad = extack->bad_attr;
	kfree(extack);
	return 0;
}

/* All of the present group was dumped. */
static void kbr_nl_dump_group_done(struct kbr_nl_dump *dump)
{
	dump->in_group = false;
	dump->nth = 0;
	dump->part = 0;
	dump->topic[0] = '\0';
	dump->partition = -1;
	dump->done = dump->one_group;
}

/* The group where @dump goes on, with a reference; NULL at its end. */
static struct kbr_group *kbr_nl_dump_group(struct kbr_nl_dump *dump)
{
	struct kbr_str at = { .at = dump->group, .len = dump->group_len };
	struct kbr_group *group = NULL;
	struct kbr_str name;
	s16 code;

	if (dump->done || !dump->broker)
		return NULL;
	if (dump->in_group) {
		group = kbr_group_find(dump->broker, &at, false, &code);
		if (!group && dump->one_group)
			dump->done = true;
		if (group || dump->done)
			return group;
		/* Deleted in the middle of it. */
		kbr_nl_dump_group_done(dump);
	}
	while ((group = kbr_group_next(dump->broker, &at))) {
		name = kbr_group_name(group);
		dump->group_len = min_t(s32, name.len, sizeof(dump->group));
		memcpy(dump->group, name.at, dump->group_len);
		at.len = dump->group_len;
		kbr_group_put(group);
		/* In the table it may be, and yet not be there: it was deleted, or not made. */
		group = kbr_group_find(dump->broker, &at, false, &code);
		if (group)
			break;
	}
	dump->done = !group;
	dump->in_group = group;
	return group;
}

/** kbroker_nl_group_dump_start() - begin a dump of groups */
int kbroker_nl_group_dump_start(struct netlink_callback *cb)
{
	return kbr_nl_group_dump_begin(cb, KBROKER_A_GROUP_BROKER, KBROKER_A_GROUP_NAME);
}

/** kbroker_nl_group_get_dumpit() - groups in the order of their names */
int kbroker_nl_group_get_dumpit(struct sk_buff *skb, struct netlink_callback *cb)
{
	struct kbr_nl_dump *dump = kbr_nl_dump_of(cb);
	struct kbr_nl_group show = { .broker = dump->broker };
	int err;

	err = kbr_nl_dump_begin(cb, dump);
	while (!err && (show.group = kbr_nl_dump_group(dump))) {
		err = kbr_nl_dump_put(skb, cb, KBROKER_CMD_GROUP_GET, kbr_nl_group_fill, &show);
		if (!err)
			kbr_nl_dump_group_done(dump);
		kbr_group_put(show.group);
		cond_resched();
	}
	return skb->len ?: err;
}

/* ---- members ---- */

/**
 * struct kbr_nl_group_member - one member
 * @broker: its broker
 * @group: its group, whose lock is held
 * @info: the member
 * @part: how much of its assignment was shown
 * @shown: out: how much more is shown now
 */
struct kbr_nl_group_member {
	struct kbr_broker *broker;
	struct kbr_group *group;
	struct kbr_group_member_info info;
	u32 part;
	u32 shown;
};

static int kbr_nl_group_member_fill(struct sk_buff *skb, void *obj)
{
	struct kbr_nl_group_member *member = obj;
	const struct kbr_group_member_info *info = &member->info;
	const struct kbr_str *assignment = &info->assignment;

	if (kbr_nl_group_put_names(skb, KBROKER_A_GROUP_MEMBER_BROKER, KBROKER_A_GROUP_MEMBER_GROUP,
				   member->broker, member->group) ||
	    kbr_nl_group_put_text(skb, KBROKER_A_GROUP_MEMBER_ID, &info->id) ||
	    kbr_nl_group_put_text(skb, KBROKER_A_GROUP_MEMBER_INSTANCE_ID, &info->instance_id) ||
	    kbr_nl_group_put_text(skb, KBROKER_A_GROUP_MEMBER_CLIENT_ID, &info->client_id) ||
	    kbr_nl_group_put_text(skb, KBROKER_A_GROUP_MEMBER_HOST, &info->client_host) ||
	    kbr_nl_put_u32(skb, KBROKER_A_GROUP_MEMBER_SESSION_TIMEOUT_MS,
			   info->session_timeout_ms) ||
	    kbr_nl_put_u32(skb, KBROKER_A_GROUP_MEMBER_REBALANCE_TIMEOUT_MS,
			   info->rebalance_timeout_ms))
		return -EMSGSIZE;
	member->shown = 0;
	if (assignment->len <= (s32)member->part)
		return 0;
	member->shown = min_t(u32, assignment->len - member->part, KBR_NL_GROUP_PART_MAX);
	return nla_put(skb, KBROKER_A_GROUP_MEMBER_ASSIGNMENT, member->shown,
		       assignment->at + member->part);
}

/** kbroker_nl_group_member_dump_start() - begin a dump of members */
int kbroker_nl_group_member_dump_start(struct netlink_callback *cb)
{
	return kbr_nl_group_dump_begin(cb, KBROKER_A_GROUP_MEMBER_BROKER,
				       KBROKER_A_GROUP_MEMBER_GROUP);
}

/* The clients of @group, from @dump->nth on; a long assignment goes on in the next message. */
static int kbr_nl_group_dump_clients(struct sk_buff *skb, struct netlink_callback *cb,
				     struct kbr_nl_dump *dump, struct kbr_group *group)
{
	struct kbr_nl_group_member member = { .broker = dump->broker, .group = group };
	int err = 0;

	kbr_group_lock(group);
	while (!err && kbr_group_member_locked(group, dump->nth, &member.info)) {
		member.part = dump->part;
		err = kbr_nl_dump_put(skb, cb, KBROKER_CMD_GROUP_MEMBER_GET,
				      kbr_nl_group_member_fill, &member);
		if (err)
			break;
		dump->part += member.shown;
		if ((s32)dump->part < member.info.assignment.len)
			continue;
		dump->part = 0;
		dump->nth++;
	}
	kbr_group_unlock(group);
	return err;
}

/**
 * struct kbr_nl_group_device - one open device
 * @broker: its broker
 * @group: its group
 * @nth: its place among the group's devices
 * @info: the device
 * @list: numbers of its partitions from the one on that comes next
 * @shown: how many of them are shown now
 */
struct kbr_nl_group_device {
	struct kbr_broker *broker;
	struct kbr_group *group;
	unsigned int nth;
	struct kbr_share_member_info info;
	const u32 *list;
	u32 shown;
};

static int kbr_nl_group_device_fill(struct sk_buff *skb, void *obj)
{
	struct kbr_nl_group_device *device = obj;
	const struct kbr_share_member_info *info = &device->info;
	char id[TASK_COMM_LEN + 32];
	u32 i;

	snprintf(id, sizeof(id), "%s-%d-%u", info->comm, info->pid, device->nth);
	if (kbr_nl_group_put_names(skb, KBROKER_A_GROUP_MEMBER_BROKER, KBROKER_A_GROUP_MEMBER_GROUP,
				   device->broker, device->group) ||
	    nla_put_string(skb, KBROKER_A_GROUP_MEMBER_ID, id) ||
	    kbr_nl_put_u32(skb, KBROKER_A_GROUP_MEMBER_PID, info->pid) ||
	    nla_put_string(skb, KBROKER_A_GROUP_MEMBER_COMM, info->comm) ||
	    (info->node >= 0 && kbr_nl_put_u32(skb, KBROKER_A_GROUP_MEMBER_NODE, info->node)) ||
	    nla_put_string(skb, KBROKER_A_GROUP_MEMBER_TOPIC, info->topic))
		return -EMSGSIZE;
	for (i = 0; i < device->shown; i++)
		if (kbr_nl_put_u32(skb, KBROKER_A_GROUP_MEMBER_PARTITION, device->list[i]))
			return -EMSGSIZE;
	return 0;
}

/* The devices of @group, likewise. */
static int kbr_nl_group_dump_devices(struct sk_buff *skb, struct netlink_callback *cb,
				     struct kbr_nl_dump *dump, struct kbr_group *group)
{
	struct kbr_nl_group_device *device = kzalloc(sizeof(*device), GFP_KERNEL);
	u32 *list = kvmalloc_array(KBR_TOPIC_PARTITIONS_MAX, sizeof(*list), GFP_KERNEL);
	int err = device && list ? 0 : -ENOMEM;

	while (!err && kbr_share_nth_member(group, dump->nth, &device->info, list,
					    KBR_TOPIC_PARTITIONS_MAX)) {
		u32 count = min_t(u32, device->info.count, KBR_TOPIC_PARTITIONS_MAX);
		u32 from = min(dump->part, count);

		device->broker = dump->broker;
		device->group = group;
		device->nth = dump->nth;
		device->list = list + from;
		device->shown = min_t(u32, count - from, KBR_NL_GROUP_LIST_MAX);
		err = kbr_nl_dump_put(skb, cb, KBROKER_CMD_GROUP_MEMBER_GET,
				      kbr_nl_group_device_fill, device);
		if (err)
			break;
		dump->part = from + device->shown;
		if (dump->part < count)
			continue;
		dump->part = 0;
		dump->nth++;
		cond_resched();
	}
	kvfree(list);
	kfree(device);
	return err;
}

static bool kbr_nl_group_has_devices(struct kbr_group *group)
{
	struct kbr_group_info info;

	kbr_group_lock(group);
	kbr_group_info_locked(group, &info);
	kbr_group_unlock(group);
	return info.kind == KBR_GROUP_DEVICE;
}

/** kbroker_nl_group_member_get_dumpit() - members, group by group */
int kbroker_nl_group_member_get_dumpit(struct sk_buff *skb, struct netlink_callback *cb)
{
	struct kbr_nl_dump *dump = kbr_nl_dump_of(cb);
	struct kbr_group *group;
	int err;

	err = kbr_nl_dump_begin(cb, dump);
	while (!err && (group = kbr_nl_dump_group(dump))) {
		if (kbr_nl_group_has_devices(group))
			err = kbr_nl_group_dump_devices(skb, cb, dump, group);
		else
			err = kbr_nl_group_dump_clients(skb, cb, dump, group);
		if (!err)
			kbr_nl_dump_group_done(dump);
		kbr_group_put(group);
		cond_resched();
	}
	return skb->len ?: err;
}

/* ---- offsets ---- */

/**
 * struct kbr_nl_group_offset - how far a group is in one partition
 * @broker: its broker
 * @group: the group
 * @topic: name of the topic
 * @partition: the partition
 * @offset: what is committed, -1 nothing
 * @commit_ms: when that was
 * @expire_ms: when it ends, -1 not known
 * @position: what its members have consumed, -1: what is committed
 * @read: scratch: what its devices read
 */
struct kbr_nl_group_offset {
	struct kbr_broker *broker;
	struct kbr_group *group;
	char topic[KBR_TOPIC_NAME_MAX + 1];
	s32 partition;
	s64 offset;
	s64 commit_ms;
	s64 expire_ms;
	s64 position;
	struct kbr_share_place read;
};

/* Where the partition is, and how far the group is behind; nothing where it is gone. */
static int kbr_nl_group_offset_fill_lag(struct sk_buff *skb, const struct kbr_nl_group_offset *at)
{
	struct kbr_topic *topic = kbr_topic_lookup(at->broker, at->topic);
	struct kbr_partition_lag lag;
	struct kbr_partition *part;
	s64 position = at->position;
	int err = 0;

	if (!topic)
		return 0;
	part = kbr_topic_partition(topic, at->partition);
	if (position < 0)
		position = at->offset;
	if (!part || kbr_partition_get_lag(part, position, &lag))
		goto out;
	err = kbr_nl_put_u64(skb, KBROKER_A_GROUP_OFFSET_POSITION, lag.position) ?:
	      kbr_nl_put_u64(skb, KBROKER_A_GROUP_OFFSET_LOG_START, lag.start) ?:
	      kbr_nl_put_u64(skb, KBROKER_A_GROUP_OFFSET_HIGH_WATERMARK, lag.hw) ?:
	      kbr_nl_put_u64(skb, KBROKER_A_GROUP_OFFSET_LAG_RECORDS, lag.records) ?:
	      kbr_nl_put_u64(skb, KBROKER_A_GROUP_OFFSET_LAG_BYTES, lag.bytes);
	if (!err && lag.ms >= 0)
		err = kbr_nl_put_u64(skb, KBROKER_A_GROUP_OFFSET_LAG_MS, lag.ms);
out:
	kbr_topic_put(topic);
	return err;
}

static int kbr_nl_group_offset_fill(struct sk_buff *skb, void *obj)
{
	struct kbr_nl_group_offset *at = obj;

	if (kbr_nl_group_put_names(skb, KBROKER_A_GROUP_OFFSET_BROKER, KBROKER_A_GROUP_OFFSET_GROUP,
				   at->broker, at->group) ||
	    nla_put_string(skb, KBROKER_A_GROUP_OFFSET_TOPIC, at->topic) ||
	    kbr_nl_put_u32(skb, KBROKER_A_GROUP_OFFSET_PARTITION, at->partition))
		return -EMSGSIZE;
	if (at->offset >= 0 &&
	    (kbr_nl_put_u64(skb, KBROKER_A_GROUP_OFFSET_OFFSET, at->offset) ||
	     kbr_nl_put_u64(skb, KBROKER_A_GROUP_OFFSET_COMMIT_MS, at->commit_ms)))
		return -EMSGSIZE;
	if (at->offset >= 0 && at->expire_ms >= 0 &&
	    kbr_nl_put_u64(skb, KBROKER_A_GROUP_OFFSET_EXPIRE_MS, at->expire_ms))
		return -EMSGSIZE;
	return kbr_nl_group_offset_fill_lag(skb, at);
}

/* The next committed offset of the group behind @dump's place. */
static bool kbr_nl_group_offset_committed(struct kbr_nl_dump *dump, struct kbr_nl_group_offset *at)
{
	struct kbr_str topic = { .at = dump->topic, .len = dump->topic[0] ? strlen(dump->topic) : -1 };
	struct kbr_group_offset found;
	bool any;

	kbr_group_lock(at->group);
	any = kbr_group_offset_next_locked(at->group, &topic, dump->partition, &found);
	if (any) {
		any = !kbr_str_copy(&found.topic, at->topic, sizeof(at->topic));
		at->partition = found.partition;
		at->offset = found.offset;
		at->commit_ms = found.commit_ms;
		at->expire_ms = found.expire_ms;
	}
	kbr_group_unlock(at->group);
	return any;
}

/*
 * The next partition of the group behind @dump's place that something is known
 * of: an offset is committed, or a device reads it.
 */
static bool kbr_nl_group_offset_next(struct kbr_nl_dump *dump, struct kbr_nl_group_offset *at)
{
	bool committed = kbr_nl_group_offset_committed(dump, at);
	int order;

	at->position = -1;
	if (!kbr_share_group_next(at->group, dump->topic, dump->partition, &at->read))
		return committed;
	order = committed ? strcmp(at->read.topic, at->topic) ?:
			    (s32)at->read.partition - at->partition : -1;
	if (order > 0)
		return true;
	if (order < 0) {
		strscpy(at->topic, at->read.topic, sizeof(at->topic));
		at->partition = at->read.partition;
		at->offset = -1;
	}
	at->position = at->read.counted;
	return true;
}

/** kbroker_nl_group_offset_dump_start() - begin a dump of offsets */
int kbroker_nl_group_offset_dump_start(struct netlink_callback *cb)
{
	return kbr_nl_group_dump_begin(cb, KBROKER_A_GROUP_OFFSET_BROKER,
				       KBROKER_A_GROUP_OFFSET_GROUP);
}

/** kbroker_nl_group_offset_get_dumpit() - offsets, group by group, by topic and partition */
int kbroker_nl_group_offset_get_dumpit(struct sk_buff *skb, struct netlink_callback *cb)
{
	struct kbr_nl_dump *dump = kbr_nl_dump_of(cb);
	struct kbr_nl_group_offset *at;
	int err;

	err = kbr_nl_dump_begin(cb, dump);
	if (err)
		return err;
	at = kzalloc(sizeof(*at), GFP_KERNEL);
	if (!at)
		return -ENOMEM;
	at->broker = dump->broker;
	while (!err && (at->group = kbr_nl_dump_group(dump))) {
		while (!err && kbr_nl_group_offset_next(dump, at)) {
			err = kbr_nl_dump_put(skb, cb, KBROKER_CMD_GROUP_OFFSET_GET,
					      kbr_nl_group_offset_fill, at);
			if (err)
				break;
			strscpy(dump->topic, at->topic, sizeof(dump->topic));
			dump->partition = at->partition;
			cond_resched();
		}
		if (!err)
			kbr_nl_dump_group_done(dump);
		kbr_group_put(at->group);
	}
	kfree(at);
	return skb->len ?: err;
}

/* ---- changes ---- */

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
