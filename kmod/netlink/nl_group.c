// SPDX-License-Identifier: GPL-2.0-only
/*
 * Netlink: consumer groups: show them, their members and how far they are.
 * Members are the administrator's to see. In a cluster a broker shows the groups
 * that it coordinates, and asks the others for theirs: those requests wait for an
 * answer, as no other of this family does, up to KBR_GROUP_VIEW_MS for a page.
 */
#include <linux/slab.h>
#include <linux/string.h>

#include "base/kunit.h"
#include "broker/group_view.h"
#include "broker/share.h"
#include "kbr_genetlink.h"
#include "netlink/nl.h"

static_assert((int)KBR_GROUP_NONE == (int)KBROKER_GROUP_KIND_NONE);
static_assert((int)KBR_GROUP_CLASSIC == (int)KBROKER_GROUP_KIND_CLASSIC);
static_assert((int)KBR_GROUP_DEVICE == (int)KBROKER_GROUP_KIND_DEVICE);
static_assert((int)KBR_GROUP_EMPTY == (int)KBROKER_GROUP_STATE_EMPTY);
static_assert((int)KBR_GROUP_PREPARING_REBALANCE == (int)KBROKER_GROUP_STATE_PREPARING_REBALANCE);
static_assert((int)KBR_GROUP_COMPLETING_REBALANCE == (int)KBROKER_GROUP_STATE_COMPLETING_REBALANCE);
static_assert((int)KBR_GROUP_STABLE == (int)KBROKER_GROUP_STATE_STABLE);
static_assert((int)KBR_GROUP_DEAD == (int)KBROKER_GROUP_STATE_DEAD);

/**
 * struct kbr_nl_view - where a dump of groups is
 * @start: where each broker's groups begin
 * @name: text of @start
 * @page: what is being shown
 * @owner: node.id of the broker whose groups are, -1: this one's
 * @done: nothing is left
 * @why: why it ended with an error
 */
struct kbr_nl_view {
	struct kbr_group_place start;
	char name[KBR_GROUP_NAME_MAX + 1];
	struct kbr_group_page page;
	s32 owner;
	bool done;
	struct kbr_refusal why;
};

/**
 * struct kbr_nl_told - an entry of a page, to be shown
 * @broker: who shows it
 * @owner: node.id of the broker that coordinates the group, -1 standalone
 * @group: the entry, or
 * @member: likewise, or
 * @offset: likewise
 */
struct kbr_nl_told {
	struct kbr_broker *broker;
	s32 owner;
	struct kbr_group_told group;
	struct kbr_group_member_told member;
	struct kbr_group_offset_told offset;
};

/* A text of a client, up to its first NUL; nothing where there is none. */
static int kbr_nl_group_put_text(struct sk_buff *skb, int type, const struct kbr_str *text)
{
	size_t len;
	struct nlattr *attr;
	char *to;

	if (text->len <= 0)
		return 0;
	len = strnlen(text->at, min(text->len, KBR_GROUP_TEXT_MAX));
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
				  const struct kbr_broker *broker, const struct kbr_str *name)
{
	return nla_put_string(skb, broker_type, broker->name) ?:
	       kbr_nl_group_put_text(skb, name_type, name);
}

/* ---- attributes ---- */

static int kbr_nl_group_fill_told(struct sk_buff *skb, void *obj)
{
	const struct kbr_nl_told *show = obj;
	const struct kbr_group_told *told = &show->group;
	int err;

	err = kbr_nl_group_put_names(skb, KBROKER_A_GROUP_BROKER, KBROKER_A_GROUP_NAME,
				     show->broker, &told->name) ?:
	      nla_put_u8(skb, KBROKER_A_GROUP_KIND, told->kind) ?:
	      nla_put_u8(skb, KBROKER_A_GROUP_STATE, told->state) ?:
	      kbr_nl_put_u32(skb, KBROKER_A_GROUP_GENERATION, told->generation) ?:
	      kbr_nl_put_u32(skb, KBROKER_A_GROUP_MEMBERS, told->members) ?:
	      kbr_nl_put_u32(skb, KBROKER_A_GROUP_OFFSETS, told->offsets) ?:
	      kbr_nl_group_put_text(skb, KBROKER_A_GROUP_PROTOCOL_TYPE, &told->protocol_type) ?:
	      kbr_nl_group_put_text(skb, KBROKER_A_GROUP_PROTOCOL, &told->protocol) ?:
	      kbr_nl_group_put_text(skb, KBROKER_A_GROUP_LEADER, &told->leader) ?:
	      kbr_nl_put_u64(skb, KBROKER_A_GROUP_STATE_MS, told->state_ms) ?:
	      kbr_nl_put_u64(skb, KBROKER_A_GROUP_BYTES, told->bytes);
	if (!err && show->owner >= 0)
		err = kbr_nl_put_u32(skb, KBROKER_A_GROUP_COORDINATOR, show->owner);
	return err ? -EMSGSIZE : 0;
}

/** kbr_nl_group_fill() - attributes of a struct kbr_nl_group; takes the group's lock */
int kbr_nl_group_fill(struct sk_buff *skb, void *obj)
{
	struct kbr_nl_group *group = obj;
	struct kbr_nl_told show = {
		.broker = group->broker,
		.owner = kbr_cluster_is_member(group->broker) ? READ_ONCE(group->broker->id) : -1,
	};
	int err;

	kbr_group_lock(group->group);
	kbr_group_tell_locked(group->group, &show.group);
	err = kbr_nl_group_fill_told(skb, &show);
	kbr_group_unlock(group->group);
	return err;
}
KBR_EXPORT_IF_KUNIT(kbr_nl_group_fill);

static int kbr_nl_group_fill_client(struct sk_buff *skb, const struct kbr_group_member_told *told)
{
	return kbr_nl_group_put_text(skb, KBROKER_A_GROUP_MEMBER_ID, &told->id) ?:
	       kbr_nl_group_put_text(skb, KBROKER_A_GROUP_MEMBER_INSTANCE_ID, &told->instance_id) ?:
	       kbr_nl_group_put_text(skb, KBROKER_A_GROUP_MEMBER_CLIENT_ID, &told->client_id) ?:
	       kbr_nl_group_put_text(skb, KBROKER_A_GROUP_MEMBER_HOST, &told->client_host) ?:
	       kbr_nl_put_u32(skb, KBROKER_A_GROUP_MEMBER_SESSION_TIMEOUT_MS,
			      told->session_timeout_ms) ?:
	       kbr_nl_put_u32(skb, KBROKER_A_GROUP_MEMBER_REBALANCE_TIMEOUT_MS,
			      told->rebalance_timeout_ms) ?:
	       (told->assignment.len ? nla_put(skb, KBROKER_A_GROUP_MEMBER_ASSIGNMENT,
					       told->assignment.len, told->assignment.at) : 0);
}

static int kbr_nl_group_fill_device(struct sk_buff *skb, const struct kbr_group_member_told *told)
{
	char id[TASK_COMM_LEN + 32], comm[TASK_COMM_LEN], topic[KBR_TOPIC_NAME_MAX + 1];
	struct kbr_wire_reader list = told->list;
	u32 i;

	if (kbr_str_copy(&told->comm, comm, sizeof(comm)) ||
	    kbr_str_copy(&told->topic, topic, sizeof(topic)))
		return 0;	/* no name that a process, or a topic, can have */
	snprintf(id, sizeof(id), "%s-%d-%u", comm, told->pid, told->nth);
	if (nla_put_string(skb, KBROKER_A_GROUP_MEMBER_ID, id) ||
	    kbr_nl_put_u32(skb, KBROKER_A_GROUP_MEMBER_PID, told->pid) ||
	    nla_put_string(skb, KBROKER_A_GROUP_MEMBER_COMM, comm) ||
	    (told->node >= 0 && kbr_nl_put_u32(skb, KBROKER_A_GROUP_MEMBER_NODE, told->node)) ||
	    nla_put_string(skb, KBROKER_A_GROUP_MEMBER_TOPIC, topic))
		return -EMSGSIZE;
	for (i = 0; i < told->count; i++)
		if (kbr_nl_put_u32(skb, KBROKER_A_GROUP_MEMBER_PARTITION, kbr_get_s32(&list)))
			return -EMSGSIZE;
	return 0;
}

static int kbr_nl_group_fill_member(struct sk_buff *skb, void *obj)
{
	const struct kbr_nl_told *show = obj;
	const struct kbr_group_member_told *told = &show->member;

	if (kbr_nl_group_put_names(skb, KBROKER_A_GROUP_MEMBER_BROKER, KBROKER_A_GROUP_MEMBER_GROUP,
				   show->broker, &told->group))
		return -EMSGSIZE;
	return (told->device ? kbr_nl_group_fill_device(skb, told) :
			       kbr_nl_group_fill_client(skb, told)) ? -EMSGSIZE : 0;
}

/* What the coordinator could not tell, since it has no log of the partition, this broker may. */
static void kbr_nl_group_place(const struct kbr_nl_told *show, struct kbr_group_offset_told *told)
{
	char name[KBR_TOPIC_NAME_MAX + 1];

	if (!told->placed && !kbr_str_copy(&told->topic, name, sizeof(name)))
		kbr_group_tell_place(show->broker, name, told);
}

static int kbr_nl_group_fill_offset(struct sk_buff *skb, void *obj)
{
	struct kbr_nl_told *show = obj;
	struct kbr_group_offset_told *told = &show->offset;
	int err;

	kbr_nl_group_place(show, told);
	err = kbr_nl_group_put_names(skb, KBROKER_A_GROUP_OFFSET_BROKER, KBROKER_A_GROUP_OFFSET_GROUP,
				     show->broker, &told->group) ?:
	      kbr_nl_group_put_text(skb, KBROKER_A_GROUP_OFFSET_TOPIC, &told->topic) ?:
	      kbr_nl_put_u32(skb, KBROKER_A_GROUP_OFFSET_PARTITION, told->partition);
	if (!err && told->offset >= 0)
		err = kbr_nl_put_u64(skb, KBROKER_A_GROUP_OFFSET_OFFSET, told->offset) ?:
		      kbr_nl_put_u64(skb, KBROKER_A_GROUP_OFFSET_COMMIT_MS, told->commit_ms);
	if (!err && told->offset >= 0 && told->expire_ms >= 0)
		err = kbr_nl_put_u64(skb, KBROKER_A_GROUP_OFFSET_EXPIRE_MS, told->expire_ms);
	if (!err && told->placed)
		err = kbr_nl_put_u64(skb, KBROKER_A_GROUP_OFFSET_POSITION, told->from) ?:
		      kbr_nl_put_u64(skb, KBROKER_A_GROUP_OFFSET_LOG_START, told->start) ?:
		      kbr_nl_put_u64(skb, KBROKER_A_GROUP_OFFSET_HIGH_WATERMARK, told->end) ?:
		      kbr_nl_put_u64(skb, KBROKER_A_GROUP_OFFSET_LAG_RECORDS, told->lag) ?:
		      kbr_nl_put_u64(skb, KBROKER_A_GROUP_OFFSET_LAG_BYTES, told->lag_bytes);
	if (!err && told->placed && told->lag_ms >= 0)
		err = kbr_nl_put_u64(skb, KBROKER_A_GROUP_OFFSET_LAG_MS, told->lag_ms);
	return err ? -EMSGSIZE : 0;
}

/* ---- one group ---- */

/**
 * kbr_nl_group_begin() - broker and name of a request for one group
 * @info: request; its broker is attribute 1 of each set
 * @multi: attributes that may be there more than once
 * @name_type: attribute of the group's name
 * @broker: out: the broker, a reference
 *
 * Return: 0 or a refusal.
 */
int kbr_nl_group_begin(struct genl_info *info, u64 multi, int name_type,
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
	const struct nlattr *name = info->attrs[KBROKER_A_GROUP_NAME];
	struct kbr_group_place place = { .one = true, .topic.at = "", .partition = -1 };
	struct kbr_group_page page = {};
	struct kbr_refusal why = {};
	struct kbr_nl_told show;
	int err;

	err = kbr_nl_group_begin(info, 0, KBROKER_A_GROUP_NAME, &show.broker);
	if (err)
		return err;
	place.group = (struct kbr_str){ nla_data(name), strlen(nla_data(name)) };
	err = kbr_group_page_get(show.broker, -1, &place, &page, &why);
	if (!err && !page.left)
		err = kbr_refuse(&why, -ENOENT, 0, "there is no such group");
	if (!err) {
		kbr_group_get_told(&page.r, &show.group);
		show.owner = page.owner;
		err = kbr_nl_reply(info, KBROKER_CMD_GROUP_GET, kbr_nl_group_fill_told, &show);
	} else {
		err = kbr_nl_refused(info, err, &why, name, 0);
	}
	kbr_group_page_free(&page);
	kbr_broker_put(show.broker);
	return err;
}

/* ---- dumps ---- */

/** kbr_nl_view_free() - at the end of a dump; NULL is fine */
void kbr_nl_view_free(struct kbr_nl_view *view)
{
	if (view)
		kbr_group_page_free(&view->page);
	kfree(view);
}

/* What a dump of groups, of their members or of their offsets begins with. */
static int kbr_nl_view_start(struct netlink_callback *cb, int broker_type, int name_type, u8 kind)
{
	struct nlattr *name = kbr_compat_dump_attrs(cb)[name_type];
	struct netlink_ext_ack *extack;
	struct kbr_nl_view *view;
	struct kbr_nl_dump *dump;
	int err;

	err = kbr_nl_dump_start(cb, broker_type, 0, 0);
	if (err)
		return err;
	dump = kbr_nl_dump_of(cb);
	view = kzalloc(sizeof(*view), GFP_KERNEL);
	extack = kzalloc(sizeof(*extack), GFP_KERNEL);
	dump->view = view;
	if (!view || !extack) {
		kfree(extack);
		kbroker_nl_dump_done(cb);
		return -ENOMEM;
	}
	view->owner = -1;
	view->start = (struct kbr_group_place){
		.kind = kind, .group.len = -1, .topic.at = "", .partition = -1,
	};
	if (!dump->error && name) {
		if (!dump->broker) {
			NL_SET_ERR_MSG(extack, "no broker runs in this network namespace");
			dump->error = -ENODEV;
		} else {
			dump->error = kbr_nl_check_text(name, extack);
		}
		dump->why = extack->_msg;
		dump->bad = extack->bad_attr;
		view->start.one = true;
		view->start.group.at = view->name;
		view->start.group.len = nla_strscpy(view->name, name, sizeof(view->name));
	}
	view->done = !dump->broker;
	kfree(extack);
	return 0;
}

/* The next page, of this broker or of the next one; or nothing is left. 0 or -errno. */
static int kbr_nl_view_turn(struct kbr_nl_dump *dump, struct kbr_nl_view *view)
{
	struct kbr_group_place *from = &view->start;
	bool goes_on = view->page.buf && view->page.more;
	int err;

	if (goes_on) {
		from = &view->page.next;
	} else if (view->page.buf) {
		view->owner = view->start.one ? -1 :
			      kbr_group_next_coordinator(dump->broker, view->owner);
		view->done = view->owner < 0;
		if (view->done)
			return 0;
	}
	err = kbr_group_page_get(dump->broker, view->owner, from, &view->page, &view->why);
	/* It was deleted while it was shown. */
	if (err == -ENOENT && goes_on) {
		view->done = true;
		err = 0;
	}
	return err;
}

/* Is there an entry to be shown? 1, 0 or -errno, which is noted for the dump's end. */
static int kbr_nl_view_next(struct kbr_nl_dump *dump)
{
	struct kbr_nl_view *view = dump->view;
	int err = 0;

	while (!err && !view->done && !view->page.left) {
		err = kbr_nl_view_turn(dump, view);
		cond_resched();
	}
	if (!err)
		return !view->done;
	dump->error = err;
	dump->why = view->why.text[0] ? view->why.text : NULL;
	dump->bad = NULL;
	return err;
}

typedef void (*kbr_nl_view_get)(struct kbr_wire_reader *r, struct kbr_nl_told *show);

static int kbr_nl_view_dump(struct sk_buff *skb, struct netlink_callback *cb, u8 cmd,
			    kbr_nl_view_get get, kbr_nl_fill fill)
{
	struct kbr_nl_dump *dump = kbr_nl_dump_of(cb);
	struct kbr_nl_view *view = dump->view;
	struct kbr_nl_told show = { .broker = dump->broker };
	struct kbr_wire_reader r;
	int err;

	err = kbr_nl_dump_begin(cb, dump);
	while (!err && (err = kbr_nl_view_next(dump)) > 0) {
		r = view->page.r;
		get(&r, &show);
		show.owner = view->page.owner;
		err = kbr_nl_dump_put(skb, cb, cmd, fill, &show);
		if (err)
			break;
		view->page.r = r;
		view->page.left--;
	}
	if (dump->error)
		err = kbr_nl_dump_begin(cb, dump);
	return skb->len ?: err;
}

/** kbroker_nl_group_dump_start() - begin a dump of groups */
int kbroker_nl_group_dump_start(struct netlink_callback *cb)
{
	return kbr_nl_view_start(cb, KBROKER_A_GROUP_BROKER, KBROKER_A_GROUP_NAME,
				 KBR_GROUP_VIEW_GROUPS);
}

static void kbr_nl_view_get_group(struct kbr_wire_reader *r, struct kbr_nl_told *show)
{
	kbr_group_get_told(r, &show->group);
}

/** kbroker_nl_group_get_dumpit() - groups, broker by broker, in the order of their names */
int kbroker_nl_group_get_dumpit(struct sk_buff *skb, struct netlink_callback *cb)
{
	return kbr_nl_view_dump(skb, cb, KBROKER_CMD_GROUP_GET, kbr_nl_view_get_group,
				kbr_nl_group_fill_told);
}

/** kbroker_nl_group_member_dump_start() - begin a dump of members */
int kbroker_nl_group_member_dump_start(struct netlink_callback *cb)
{
	return kbr_nl_view_start(cb, KBROKER_A_GROUP_MEMBER_BROKER, KBROKER_A_GROUP_MEMBER_GROUP,
				 KBR_GROUP_VIEW_MEMBERS);
}

static void kbr_nl_view_get_member(struct kbr_wire_reader *r, struct kbr_nl_told *show)
{
	kbr_group_get_member(r, &show->member);
}

/** kbroker_nl_group_member_get_dumpit() - members, group by group */
int kbroker_nl_group_member_get_dumpit(struct sk_buff *skb, struct netlink_callback *cb)
{
	return kbr_nl_view_dump(skb, cb, KBROKER_CMD_GROUP_MEMBER_GET, kbr_nl_view_get_member,
				kbr_nl_group_fill_member);
}

/** kbroker_nl_group_offset_dump_start() - begin a dump of offsets */
int kbroker_nl_group_offset_dump_start(struct netlink_callback *cb)
{
	return kbr_nl_view_start(cb, KBROKER_A_GROUP_OFFSET_BROKER, KBROKER_A_GROUP_OFFSET_GROUP,
				 KBR_GROUP_VIEW_OFFSETS);
}

static void kbr_nl_view_get_offset(struct kbr_wire_reader *r, struct kbr_nl_told *show)
{
	kbr_group_get_offset(r, &show->offset);
}

/** kbroker_nl_group_offset_get_dumpit() - offsets, group by group, by topic and partition */
int kbroker_nl_group_offset_get_dumpit(struct sk_buff *skb, struct netlink_callback *cb)
{
	return kbr_nl_view_dump(skb, cb, KBROKER_CMD_GROUP_OFFSET_GET, kbr_nl_view_get_offset,
				kbr_nl_group_fill_offset);
}
