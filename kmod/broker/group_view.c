// SPDX-License-Identifier: GPL-2.0-only
/*
 * Pages of what this broker knows of groups; see group_view.h. Each begins at a
 * place that the page before has named: a group that is deleted in between is
 * stepped over, one that comes is seen or not.
 */
#include <linux/mm.h>
#include <linux/sched.h>
#include <linux/slab.h>

#include "base/kunit.h"
#include "broker/group_internal.h"
#include "broker/group_view.h"
#include "broker/share.h"

static_assert(KBR_GROUP_COMM_MAX == TASK_COMM_LEN - 1);

/* Groups that one page looks at, at most: most have nothing to be told in some views */
#define KBR_GROUP_VIEW_GROUPS_MAX	1000

/**
 * struct kbr_group_viewing - a page under construction
 * @broker: whose groups
 * @w: where it is written
 * @from: where the writer stood before it
 * @at: where it goes on; its texts are in @name and @topic
 * @name: name of the group
 * @topic: name of the topic
 * @count: entries
 * @groups: groups that were looked at
 * @done: nothing is left
 * @list: partitions of a device
 * @read: scratch: what a group's devices read
 */
struct kbr_group_viewing {
	struct kbr_broker *broker;
	struct kbr_wire_writer *w;
	size_t from;
	struct kbr_group_place at;
	char name[KBR_GROUP_NAME_MAX];
	char topic[KBR_TOPIC_NAME_MAX + 1];
	s32 count;
	unsigned int groups;
	bool done;
	u32 *list;
	struct kbr_share_place read;
};

static bool kbr_group_view_full(const struct kbr_group_viewing *v)
{
	return v->w->err || v->w->len - v->from >= KBR_GROUP_PAGE_BYTES ||
	       v->groups >= KBR_GROUP_VIEW_GROUPS_MAX;
}

static void kbr_group_view_set_name(struct kbr_group_viewing *v, const struct kbr_str *name)
{
	v->at.group.at = v->name;
	v->at.group.len = min_t(s32, name->len, sizeof(v->name));
	if (name->len > 0)
		memmove(v->name, name->at, v->at.group.len);
}

static void kbr_group_view_set_topic(struct kbr_group_viewing *v, const char *topic, s32 partition)
{
	strscpy(v->topic, topic, sizeof(v->topic));
	v->at.topic.at = v->topic;
	v->at.topic.len = strlen(v->topic);
	v->at.partition = partition;
}

/* All of the present group was told. */
static void kbr_group_view_leave(struct kbr_group_viewing *v)
{
	v->at.inside = false;
	v->at.nth = 0;
	v->at.part = 0;
	kbr_group_view_set_topic(v, "", -1);
	v->done = v->at.one;
	v->groups++;
}

/* The group where the view is, or goes on, with a reference; NULL at its end. */
static struct kbr_group *kbr_group_view_enter(struct kbr_group_viewing *v)
{
	struct kbr_group *group = NULL;
	struct kbr_str name;
	s16 code;

	if (v->done)
		return NULL;
	if (v->at.inside) {
		group = kbr_group_find(v->broker, &v->at.group, false, &code);
		if (group)
			return group;
		/* Deleted, or moved, in the middle of it. */
		kbr_group_view_leave(v);
		if (v->done)
			return NULL;
	}
	while ((group = kbr_group_next(v->broker, &v->at.group))) {
		name = kbr_group_name(group);
		kbr_group_view_set_name(v, &name);
		kbr_group_put(group);
		/* In the table it may be, and yet not be there: it was deleted, or not made. */
		group = kbr_group_find(v->broker, &v->at.group, false, &code);
		if (group)
			break;
	}
	v->done = !group;
	v->at.inside = group;
	return group;
}

/* ---- groups ---- */

void kbr_group_tell_locked(struct kbr_group *group, struct kbr_group_told *told)
{
	struct kbr_group_info info;

	kbr_group_info_locked(group, &info);
	*told = (struct kbr_group_told){
		.name = kbr_group_name(group),
		.kind = info.kind,
		.state = info.state,
		.generation = info.generation,
		.members = info.members,
		.offsets = info.offsets,
		.protocol_type = info.protocol_type,
		.protocol = info.protocol,
		.leader = info.leader,
		.state_ms = info.state_ms,
		.bytes = info.bytes,
	};
}

static bool kbr_group_view_group(struct kbr_group_viewing *v, struct kbr_group *group)
{
	struct kbr_group_told told;

	kbr_group_lock(group);
	kbr_group_tell_locked(group, &told);
	kbr_group_put_told(v->w, &told);
	kbr_group_unlock(group);
	v->count++;
	return true;
}

/* ---- members ---- */

/* The clients of @group; true: all were told. */
static bool kbr_group_view_clients(struct kbr_group_viewing *v, struct kbr_group *group)
{
	struct kbr_group_member_info info;
	struct kbr_group_member_told told;
	bool all = false;
	u32 part;

	kbr_group_lock(group);
	while (!kbr_group_view_full(v)) {
		all = !kbr_group_member_locked(group, v->at.nth, &info);
		if (all)
			break;
		/* it may have another, shorter one since the page before */
		part = min_t(u32, v->at.part, max(info.assignment.len, 0));
		told = (struct kbr_group_member_told){
			.group = v->at.group, .nth = v->at.nth,
			.id = info.id, .instance_id = info.instance_id,
			.client_id = info.client_id, .client_host = info.client_host,
			.session_timeout_ms = info.session_timeout_ms,
			.rebalance_timeout_ms = info.rebalance_timeout_ms,
			.assignment.at = info.assignment.at + part,
			.assignment.len = min_t(s32, info.assignment.len - part, KBR_GROUP_PART_MAX),
		};
		kbr_group_put_member(v->w, &told);
		v->count++;
		v->at.part = part + max(told.assignment.len, 0);
		if ((s32)v->at.part < info.assignment.len)
			continue;
		v->at.part = 0;
		v->at.nth++;
	}
	kbr_group_unlock(group);
	return all;
}

/* The devices of @group, likewise. */
static bool kbr_group_view_devices(struct kbr_group_viewing *v, struct kbr_group *group)
{
	struct kbr_group_member_told told;
	struct kbr_share_member_info info;
	u32 count, part;

	if (!v->list)
		v->list = kvmalloc_array(KBR_TOPIC_PARTITIONS_MAX, sizeof(*v->list), GFP_KERNEL);
	if (!v->list) {
		v->w->err = -ENOMEM;
		return false;
	}
	while (!kbr_group_view_full(v)) {
		if (!kbr_share_nth_member(group, v->at.nth, &info, v->list,
					  KBR_TOPIC_PARTITIONS_MAX))
			return true;
		count = min_t(u32, info.count, KBR_TOPIC_PARTITIONS_MAX);
		part = min(v->at.part, count);
		told = (struct kbr_group_member_told){
			.group = v->at.group, .nth = v->at.nth, .device = true,
			.node = info.node, .pid = info.pid,
			.comm = { info.comm, strnlen(info.comm, KBR_GROUP_COMM_MAX) },
			.topic = { info.topic, strlen(info.topic) },
			.count = min_t(u32, count - part, KBR_GROUP_LIST_MAX),
			.partitions = v->list + part,
		};
		kbr_group_put_member(v->w, &told);
		v->count++;
		v->at.part = part + told.count;
		if (v->at.part < count)
			continue;
		v->at.part = 0;
		v->at.nth++;
		cond_resched();
	}
	return false;
}

static bool kbr_group_view_members(struct kbr_group_viewing *v, struct kbr_group *group)
{
	struct kbr_group_info info;

	kbr_group_lock(group);
	kbr_group_info_locked(group, &info);
	kbr_group_unlock(group);
	return info.kind == KBR_GROUP_DEVICE ? kbr_group_view_devices(v, group) :
					       kbr_group_view_clients(v, group);
}

/* ---- offsets ---- */

void kbr_group_tell_place(struct kbr_broker *broker, const char *name,
			  struct kbr_group_offset_told *told)
{
	struct kbr_topic *topic = kbr_topic_lookup(broker, name);
	s64 position = told->position < 0 ? told->offset : told->position;
	struct kbr_partition_lag lag;
	struct kbr_partition *part;

	if (!topic)
		return;
	part = kbr_topic_partition(topic, told->partition);
	if (part && !kbr_partition_get_lag(part, position, &lag)) {
		told->placed = true;
		told->start = lag.start;
		told->end = lag.hw;
		told->from = lag.position;
		told->lag = lag.records;
		told->lag_bytes = lag.bytes;
		told->lag_ms = lag.ms;
	}
	kbr_topic_put(topic);
}

/* The next committed offset of @group behind the view's place, whose topic is copied to @topic. */
static bool kbr_group_view_committed(struct kbr_group_viewing *v, struct kbr_group *group,
				     struct kbr_group_offset_told *told,
				     char topic[KBR_TOPIC_NAME_MAX + 1])
{
	struct kbr_str after = { .at = v->topic, .len = v->topic[0] ? v->at.topic.len : -1 };
	struct kbr_group_offset found;
	bool any;

	kbr_group_lock(group);
	any = kbr_group_offset_next_locked(group, &after, v->at.partition, &found) &&
	      !kbr_str_copy(&found.topic, topic, KBR_TOPIC_NAME_MAX + 1);
	if (any) {
		told->partition = found.partition;
		told->offset = found.offset;
		told->commit_ms = found.commit_ms;
		told->expire_ms = max(found.expire_ms, -1LL);
	}
	kbr_group_unlock(group);
	return any;
}

/*
 * The next partition of @group behind the view's place that something is known
 * of: an offset is committed, or a device reads it.
 */
static bool kbr_group_view_next(struct kbr_group_viewing *v, struct kbr_group *group,
				struct kbr_group_offset_told *told)
{
	char topic[KBR_TOPIC_NAME_MAX + 1];
	bool committed;
	int order;

	*told = (struct kbr_group_offset_told){ .group = v->at.group, .position = -1 };
	committed = kbr_group_view_committed(v, group, told, topic);
	if (kbr_share_group_next(group, v->topic, v->at.partition, &v->read)) {
		order = committed ? strcmp(v->read.topic, topic) ?:
				    (s32)v->read.partition - told->partition : -1;
		if (order < 0) {
			strscpy(topic, v->read.topic, sizeof(topic));
			told->partition = v->read.partition;
			told->offset = -1;
			told->commit_ms = 0;
			told->expire_ms = -1;
		}
		if (order <= 0)
			told->position = max(v->read.counted, -1LL);
	} else if (!committed) {
		return false;
	}
	kbr_group_view_set_topic(v, topic, told->partition);
	told->topic = v->at.topic;
	return true;
}

static bool kbr_group_view_offsets(struct kbr_group_viewing *v, struct kbr_group *group)
{
	struct kbr_group_offset_told told;

	while (!kbr_group_view_full(v)) {
		if (!kbr_group_view_next(v, group, &told))
			return true;
		kbr_group_tell_place(v->broker, v->topic, &told);
		kbr_group_put_offset(v->w, &told);
		v->count++;
		cond_resched();
	}
	return false;
}

/* ---- pages ---- */

static void kbr_group_view_entries(struct kbr_group_viewing *v)
{
	static bool (*const views[])(struct kbr_group_viewing *v, struct kbr_group *group) = {
		[KBR_GROUP_VIEW_GROUPS] = kbr_group_view_group,
		[KBR_GROUP_VIEW_MEMBERS] = kbr_group_view_members,
		[KBR_GROUP_VIEW_OFFSETS] = kbr_group_view_offsets,
	};
	struct kbr_group *group;

	while (!kbr_group_view_full(v) && (group = kbr_group_view_enter(v))) {
		if (views[v->at.kind](v, group))
			kbr_group_view_leave(v);
		kbr_group_put(group);
		cond_resched();
	}
}

/* Is the group there, and here? Its first page says so; on later ones it may be gone. */
static s16 kbr_group_view_check(struct kbr_broker *broker, const struct kbr_group_place *from)
{
	struct kbr_group *group;
	int err;
	s16 code;

	err = kbr_groups_ready(broker, false);
	if (err == -EAGAIN)
		return KBR_KAFKA_COORDINATOR_LOAD_IN_PROGRESS;
	if (err == -ENOENT)
		return from->one ? KBR_KAFKA_GROUP_ID_NOT_FOUND : KBR_KAFKA_NONE;
	if (err)
		return KBR_KAFKA_COORDINATOR_NOT_AVAILABLE;
	if (!from->one)
		return KBR_KAFKA_NONE;
	group = kbr_group_find(broker, &from->group, false, &code);
	if (!group)
		return code;
	kbr_group_put(group);
	return KBR_KAFKA_NONE;
}

s16 kbr_group_view(struct kbr_broker *broker, const struct kbr_group_place *from,
		   struct kbr_wire_writer *w)
{
	struct kbr_group_viewing *v;
	struct kbr_wire_writer entries;
	s16 code;

	code = kbr_group_view_check(broker, from);
	if (code)
		return code;
	v = kzalloc(sizeof(*v), GFP_KERNEL);
	if (!v)
		return KBR_KAFKA_COORDINATOR_NOT_AVAILABLE;
	kbr_wire_writer_init(&entries, KBR_GROUP_PAGE_MAX, false);
	v->broker = broker;
	v->w = &entries;
	v->at = *from;
	v->at.inside |= from->one;
	if (from->group.len >= 0)
		kbr_group_view_set_name(v, &from->group);
	memcpy(v->topic, from->topic.at, min_t(s32, from->topic.len, KBR_TOPIC_NAME_MAX));
	v->at.topic.at = v->topic;
	v->done = kbr_groups_ready(broker, false);
	kbr_group_view_entries(v);
	/* Where it goes on is known only now, and is told first. */
	kbr_put_bool(w, !v->done);
	kbr_group_put_place(w, &v->at);
	kbr_put_count(w, v->count);
	kbr_put_raw(w, entries.buf, entries.len);
	if (entries.err)
		w->err = entries.err;
	kbr_wire_writer_free(&entries);
	kvfree(v->list);
	kfree(v);
	return KBR_KAFKA_NONE;
}
KBR_EXPORT_IF_KUNIT(kbr_group_view);
