// SPDX-License-Identifier: GPL-2.0-only
/*
 * The netlink family: registration, and what its handlers share: refusals in
 * words, strict checks that the core does not make, answers, dumps that go on.
 * What a command does is in nl_<object>.c, and behind that in the broker layer.
 */
#include <linux/nsproxy.h>
#include <linux/slab.h>
#include <linux/user_namespace.h>
#include <net/sock.h>

#include "base/kunit.h"
#include "kbr_genetlink.h"
#include "netlink/family.h"
#include "netlink/nl.h"

/* Answers that do not fit this are not sent, bytes */
#define KBR_NL_ANSWER_MAX	(64u << 10)
/* Room for the largest answer of a dump: a broker or a topic with its configs */
#define KBR_NL_DUMP_ROOM	(16u << 10)

/*
 * The sentence of a refusal outlives its handler: the core copies it into the
 * answer afterwards, on the same task, with nobody to free it. So
 * sentences made by a handler stay in a ring. One would be overwritten if as
 * many others were refused in the meantime; sentences of requests that need no
 * privilege are constants, so that only the administrator could, at the price
 * of reading the wrong sentence. The last byte of an entry is always NUL.
 */
#define KBR_NL_SENTENCES	64

static char kbr_nl_sentences[KBR_NL_SENTENCES][sizeof_field(struct kbr_refusal, text)];
static atomic_t kbr_nl_sentence_last;

/**
 * kbr_nl_refuse() - say why a request is refused
 * @extack: of the request
 * @attr: attribute that broke the rule, or NULL
 * @err: errno
 * @fmt: the sentence
 *
 * For requests that need CAP_NET_ADMIN; see above. Return: @err.
 */
int kbr_nl_refuse(struct netlink_ext_ack *extack, const struct nlattr *attr, int err,
		  const char *fmt, ...)
{
	unsigned int n = (unsigned int)atomic_inc_return(&kbr_nl_sentence_last);
	char *text = kbr_nl_sentences[n % KBR_NL_SENTENCES];
	va_list args;

	if (!extack)
		return err;
	va_start(args, fmt);
	vscnprintf(text, sizeof(kbr_nl_sentences[0]), fmt, args);
	va_end(args);
	extack->_msg = text;
	NL_SET_BAD_ATTR(extack, attr);
	return err;
}
KBR_EXPORT_IF_KUNIT(kbr_nl_refuse);

/* The config of @info that @text speaks of, or NULL. */
static const struct nlattr *kbr_nl_find_config(struct genl_info *info, int type, const char *text)
{
	const struct nlattr *attr, *inner;
	int rem, inner_rem;

	nla_for_each_attr(attr, nlmsg_attrdata(info->nlhdr, GENL_HDRLEN),
			  nlmsg_attrlen(info->nlhdr, GENL_HDRLEN), rem) {
		if (nla_type(attr) != type)
			continue;
		nla_for_each_nested(inner, attr, inner_rem)
			if (nla_type(inner) == KBROKER_A_CONFIG_NAME && strstr(text, nla_data(inner)))
				return attr;
	}
	return NULL;
}

static const char *kbr_nl_errno_text(int err)
{
	switch (err) {
	case -ENOMEM:	return "there is not enough memory";
	case -ENODEV:	return "the broker does not run";
	case -ENOENT:	return "there is no such object";
	case -EEXIST:	return "it exists already";
	case -EBUSY:	return "it is in use";
	case -EALREADY:	return "it is under way already";
	case -E2BIG:	return "that is more than is allowed";
	case -EACCES:	return "access is denied";
	case -EROFS:	return "the file system is read-only";
	case -ENOSPC:	return "there is no space left";
	default:	return "the request was refused";
	}
}

/**
 * kbr_nl_refused() - pass on why the broker layer refused a change
 * @info: request
 * @err: its errno
 * @why: its sentence, perhaps empty
 * @attr: attribute that it was about unless @why knows better, may be NULL
 * @config_type: attribute of a config in this request, or 0
 *
 * Return: @err.
 */
int kbr_nl_refused(struct genl_info *info, int err, const struct kbr_refusal *why,
		   const struct nlattr *attr, int config_type)
{
	const struct nlattr *config = NULL;

	if (why->attr && info->attrs[why->attr])
		attr = info->attrs[why->attr];
	if (!why->text[0])
		return kbr_nl_refuse(info->extack, attr, err, "%s", kbr_nl_errno_text(err));
	if (config_type)
		config = kbr_nl_find_config(info, config_type, why->text);
	return kbr_nl_refuse(info->extack, config ?: attr, err, "%s", why->text);
}
KBR_EXPORT_IF_KUNIT(kbr_nl_refused);

/**
 * kbr_nl_check_unique() - refuse attributes that are given twice
 * @nlh: request, whose attributes the core has checked
 * @multi: those that may be given any number of times, a bit each
 * @extack: gets the sentence
 *
 * The core takes the last of several. Return: 0; -EINVAL.
 */
int kbr_nl_check_unique(const struct nlmsghdr *nlh, u64 multi, struct netlink_ext_ack *extack)
{
	const struct nlattr *attr;
	u64 seen = 0;
	int rem;

	BUILD_BUG_ON(KBROKER_A_PARTITION_MAX > 63 || KBROKER_A_BROKER_MAX > 63);
	nla_for_each_attr(attr, nlmsg_attrdata(nlh, GENL_HDRLEN), nlmsg_attrlen(nlh, GENL_HDRLEN), rem) {
		int type = nla_type(attr);

		if (type > 63 || (multi & BIT_ULL(type)))
			continue;
		if (seen & BIT_ULL(type)) {
			NL_SET_ERR_MSG_ATTR(extack, attr, "this attribute must not be given twice");
			return -EINVAL;
		}
		seen |= BIT_ULL(type);
	}
	return 0;
}
KBR_EXPORT_IF_KUNIT(kbr_nl_check_unique);

/**
 * kbr_nl_check_text() - refuse a string with bytes behind its NUL
 * @attr: string that the core has checked, or NULL
 * @extack: gets the sentence
 *
 * Return: 0; -EINVAL.
 */
int kbr_nl_check_text(const struct nlattr *attr, struct netlink_ext_ack *extack)
{
	if (!attr || strlen(nla_data(attr)) + 1 == nla_len(attr))
		return 0;
	NL_SET_ERR_MSG_ATTR(extack, attr, "a NUL byte must be the last byte of a string");
	return -EINVAL;
}
KBR_EXPORT_IF_KUNIT(kbr_nl_check_text);

/**
 * kbr_nl_check_broker() - the broker of the caller's network namespace
 * @knet: that namespace
 * @name: name the caller gave, or NULL
 * @extack: gets the sentence
 * @broker: out: with a reference
 *
 * Return: 0; -ENODEV there is none; -ENOENT it has another name.
 */
int kbr_nl_check_broker(struct kbr_net *knet, const struct nlattr *name,
			struct netlink_ext_ack *extack, struct kbr_broker **broker)
{
	*broker = kbr_broker_get_in(knet);
	if (!*broker) {
		NL_SET_ERR_MSG(extack, "no broker runs in this network namespace");
		return -ENODEV;
	}
	if (name && nla_strcmp(name, (*broker)->name)) {
		NL_SET_ERR_MSG_ATTR(extack, name, "the broker of this network namespace has another name");
		kbr_broker_put(*broker);
		*broker = NULL;
		return -ENOENT;
	}
	return 0;
}

/**
 * kbr_nl_begin() - what every request for one object begins with
 * @info: request
 * @multi: attributes that may be given several times, a bit each
 * @broker_type: attribute that names the broker
 * @knet: out: namespace of the caller, may be NULL
 * @broker: out: its broker with a reference; NULL: do not look
 *
 * Return: 0; -EINVAL, -ENODEV, -ENOENT with a sentence.
 */
int kbr_nl_begin(struct genl_info *info, u64 multi, int broker_type, struct kbr_net **knet,
		 struct kbr_broker **broker)
{
	struct kbr_net *found = kbr_net_of(genl_info_net(info));
	int err;

	err = kbr_nl_check_unique(info->nlhdr, multi, info->extack);
	if (err)
		return err;
	if (knet)
		*knet = found;
	if (!broker)
		return 0;
	return kbr_nl_check_broker(found, info->attrs[broker_type], info->extack, broker);
}

/**
 * kbr_nl_require() - refuse a request without an attribute
 * @info: request
 * @type: attribute
 * @what: the sentence; a constant
 *
 * Return: 0; -EINVAL.
 */
int kbr_nl_require(struct genl_info *info, int type, const char *what)
{
	if (!GENL_REQ_ATTR_CHECK(info, type))
		return 0;
	info->extack->_msg = what;
	return -EINVAL;
}

/**
 * kbr_nl_get_owner() - owner, group and mode out of a request
 * @info: request
 * @uid_type: attribute of the owner; ids are those of the initial user namespace
 * @gid_type: attribute of the group
 * @mode_type: attribute of the mode
 * @owner: out
 *
 * Return: 0; -EINVAL.
 */
int kbr_nl_get_owner(struct genl_info *info, int uid_type, int gid_type, int mode_type,
		     struct kbr_owner *owner)
{
	memset(owner, 0, sizeof(*owner));
	if (info->attrs[uid_type]) {
		owner->uid = make_kuid(&init_user_ns, be32_to_cpu(nla_get_be32(info->attrs[uid_type])));
		if (!uid_valid(owner->uid))
			return kbr_nl_refuse(info->extack, info->attrs[uid_type], -EINVAL,
					     "4294967295 is no user id");
		owner->set_uid = true;
	}
	if (info->attrs[gid_type]) {
		owner->gid = make_kgid(&init_user_ns, be32_to_cpu(nla_get_be32(info->attrs[gid_type])));
		if (!gid_valid(owner->gid))
			return kbr_nl_refuse(info->extack, info->attrs[gid_type], -EINVAL,
					     "4294967295 is no group id");
		owner->set_gid = true;
	}
	if (info->attrs[mode_type]) {
		owner->mode = be16_to_cpu(nla_get_be16(info->attrs[mode_type]));
		owner->set_mode = true;
	}
	return 0;
}

/* One config of a request into @set or, without a value, into @del. */
static int kbr_nl_get_config(struct netlink_ext_ack *extack, const struct nlattr *attr,
			     struct kbr_config_set *set, struct kbr_config_set *del)
{
	struct nlattr *tb[ARRAY_SIZE(kbroker_config_nl_policy)], *inner;
	const char *name;
	u64 seen = 0;
	int err, rem;

	err = nla_parse_nested(tb, ARRAY_SIZE(tb) - 1, attr, kbroker_config_nl_policy, extack);
	if (!err)
		err = kbr_nl_check_text(tb[KBROKER_A_CONFIG_NAME], extack);
	if (!err)
		err = kbr_nl_check_text(tb[KBROKER_A_CONFIG_VALUE], extack);
	if (err)
		return err;
	nla_for_each_nested(inner, attr, rem) {
		if (seen & BIT_ULL(nla_type(inner)))
			return kbr_nl_refuse(extack, inner, -EINVAL,
					     "a config has one name and one value, not several");
		seen |= BIT_ULL(nla_type(inner));
	}
	if (!tb[KBROKER_A_CONFIG_NAME]) {
		NL_SET_ERR_ATTR_MISS(extack, attr, KBROKER_A_CONFIG_NAME);
		return kbr_nl_refuse(extack, attr, -EINVAL, "a config needs a name");
	}
	name = nla_data(tb[KBROKER_A_CONFIG_NAME]);
	if (!*name)
		return kbr_nl_refuse(extack, tb[KBROKER_A_CONFIG_NAME], -EINVAL,
				     "the name of a config must not be empty");
	if (kbr_config_set_get(set, name) || (del && kbr_config_set_get(del, name)))
		return kbr_nl_refuse(extack, attr, -EINVAL, "config %s is given twice", name);
	if (tb[KBROKER_A_CONFIG_VALUE])
		err = kbr_config_set_put(set, name, nla_data(tb[KBROKER_A_CONFIG_VALUE]));
	else if (del)
		err = kbr_config_set_put(del, name, "");
	else
		return kbr_nl_refuse(extack, attr, -EINVAL, "config %s needs a value", name);
	if (err == -E2BIG)
		return kbr_nl_refuse(extack, attr, err, "these are more configs than there are");
	if (err)
		return kbr_nl_refuse(extack, attr, err, "config %s: %s", name, kbr_nl_errno_text(err));
	return 0;
}

/**
 * kbr_nl_get_configs() - the configs out of a request
 * @info: request
 * @type: their attribute
 * @set: in: empty; out: those with a value
 * @del: in: empty; out: names of those without one; NULL: all need one
 *
 * The caller frees both, after an error too. Return: 0; -EINVAL, -E2BIG, -ENOMEM.
 */
int kbr_nl_get_configs(struct genl_info *info, int type, struct kbr_config_set *set,
		       struct kbr_config_set *del)
{
	const struct nlattr *attr;
	int err, rem;

	nla_for_each_attr(attr, nlmsg_attrdata(info->nlhdr, GENL_HDRLEN),
			  nlmsg_attrlen(info->nlhdr, GENL_HDRLEN), rem) {
		if (nla_type(attr) != type)
			continue;
		err = kbr_nl_get_config(info->extack, attr, set, del);
		if (err)
			return err;
	}
	return 0;
}
KBR_EXPORT_IF_KUNIT(kbr_nl_get_configs);

/**
 * kbr_nl_reply() - answer with an object
 * @info: request
 * @cmd: command of the answer
 * @fill: puts its attributes
 * @obj: for @fill
 *
 * Return: 0 or -errno; -EMSGSIZE with a sentence.
 */
int kbr_nl_reply(struct genl_info *info, u8 cmd, kbr_nl_fill fill, void *obj)
{
	size_t size;

	for (size = NLMSG_GOODSIZE; size <= KBR_NL_ANSWER_MAX; size *= 4) {
		struct sk_buff *skb = nlmsg_new(size, GFP_KERNEL);
		void *hdr;

		if (!skb)
			return -ENOMEM;
		hdr = genlmsg_put_reply(skb, info, &kbr_nl_family, 0, cmd);
		if (hdr && !fill(skb, obj)) {
			genlmsg_end(skb, hdr);
			return genlmsg_reply(skb, info);
		}
		nlmsg_free(skb);
	}
	NL_SET_ERR_MSG(info->extack, "the answer does not fit into a message");
	return -EMSGSIZE;
}

/**
 * kbr_nl_answer_new() - begin the answer to a change
 * @info: request
 * @cmd: command of the answer
 * @hdr: out: for genlmsg_end()
 *
 * Made before the change, so that what was begun is also told.
 * Return: room for a name and an operation id, or NULL without memory.
 */
struct sk_buff *kbr_nl_answer_new(struct genl_info *info, u8 cmd, void **hdr)
{
	struct sk_buff *skb = nlmsg_new(NLMSG_GOODSIZE, GFP_KERNEL);

	if (!skb)
		return NULL;
	*hdr = genlmsg_put_reply(skb, info, &kbr_nl_family, 0, cmd);
	return skb;
}

/* What a dump is about, out of its request. */
static int kbr_nl_dump_parse(struct netlink_callback *cb, struct kbr_nl_dump *dump, int broker_type,
			     int topic_type, int partition_type, struct netlink_ext_ack *extack)
{
	struct nlattr **attrs = kbr_compat_dump_attrs(cb);
	struct kbr_topic *topic;
	bool particular;
	int err;

	err = kbr_nl_check_unique(cb->nlh, 0, extack);
	if (err || !broker_type)
		return err;
	particular = attrs[broker_type] || (topic_type && attrs[topic_type]) ||
		     (partition_type && attrs[partition_type]);
	err = kbr_nl_check_broker(dump->knet, attrs[broker_type], extack, &dump->broker);
	if (err)
		return err == -ENODEV && !particular ? 0 : err;
	if (!topic_type || !attrs[topic_type]) {
		if (!partition_type || !attrs[partition_type])
			return 0;
		NL_SET_ERR_MSG_ATTR(extack, attrs[partition_type],
				    "a partition can't be chosen without its topic");
		return -EINVAL;
	}

	err = kbr_nl_check_text(attrs[topic_type], extack);
	if (err)
		return err;
	if (partition_type && attrs[partition_type])
		dump->one_partition = be32_to_cpu(nla_get_be32(attrs[partition_type]));
	dump->one_topic = true;
	dump->partition = max(dump->one_partition, 0);
	nla_strscpy(dump->topic, attrs[topic_type], sizeof(dump->topic));
	topic = kbr_topic_lookup(dump->broker, dump->topic);
	if (!topic) {
		NL_SET_ERR_MSG_ATTR(extack, attrs[topic_type], "there is no such topic");
		return -ENOENT;
	}
	if (dump->one_partition >= (s32)kbr_topic_partitions(topic)) {
		NL_SET_ERR_MSG_ATTR(extack, attrs[partition_type], "the topic has fewer partitions");
		err = -ENOENT;
	}
	kbr_topic_put(topic);
	return err;
}

/**
 * kbr_nl_dump_start() - begin a dump
 * @cb: dump
 * @broker_type: attribute that names the broker, 0: the dump needs none
 * @topic_type: attribute that names the one topic to show, or 0
 * @partition_type: attribute of the number of the one partition to show, or 0
 *
 * Without a broker the dump is empty, unless the caller asked for something
 * in particular. Older kernels have no place for a sentence yet when a dump
 * starts, so that a refusal is kept for kbr_nl_dump_begin().
 *
 * Return: 0; -ENOMEM.
 */
int kbr_nl_dump_start(struct netlink_callback *cb, int broker_type, int topic_type,
		      int partition_type)
{
	struct netlink_ext_ack *extack;
	struct kbr_nl_dump *dump;

	dump = kzalloc(sizeof(*dump), GFP_KERNEL);
	extack = kzalloc(sizeof(*extack), GFP_KERNEL);
	if (!dump || !extack) {
		kfree(extack);
		kfree(dump);
		return -ENOMEM;
	}
	dump->knet = kbr_net_of(sock_net(cb->skb->sk));
	dump->one_partition = -1;
	dump->partition = -1;
	dump->error = kbr_nl_dump_parse(cb, dump, broker_type, topic_type, partition_type, extack);
	dump->why = extack->_msg;
	dump->bad = extack->bad_attr;
	kfree(extack);
	cb->min_dump_alloc = KBR_NL_DUMP_ROOM;
	*(struct kbr_nl_dump **)cb->ctx = dump;
	return 0;
}

/** kbroker_nl_dump_done() - the end of every dump, finished or not */
int kbroker_nl_dump_done(struct netlink_callback *cb)
{
	struct kbr_nl_dump *dump = kbr_nl_dump_of(cb);

	if (dump->broker)
		kbr_broker_put(dump->broker);
	kbr_nl_view_free(dump->view);
	kfree(dump);
	return 0;
}

/**
 * kbr_nl_dump_begin() - begin a part of a dump
 * @cb: dump
 * @dump: its state
 *
 * Notes what the part shows the state of: one that shows a later state than
 * the part before is marked as interrupted, and the caller asks again.
 * Return: 0; the errno that the dump is refused with.
 */
int kbr_nl_dump_begin(struct netlink_callback *cb, const struct kbr_nl_dump *dump)
{
	/* 0 would stand for unknown */
	cb->seq = (unsigned int)atomic_read(&dump->knet->generation) << 1 | 1;
	if (dump->error && cb->extack) {
		cb->extack->_msg = dump->why;
		NL_SET_BAD_ATTR(cb->extack, dump->bad);
	}
	return dump->error;
}

/**
 * kbr_nl_dump_put() - one object of a dump
 * @skb: part under construction
 * @cb: dump
 * @cmd: command of the message
 * @fill: puts the object's attributes
 * @obj: for @fill
 *
 * Return: 0; -EMSGSIZE it belongs into the next part.
 */
int kbr_nl_dump_put(struct sk_buff *skb, struct netlink_callback *cb, u8 cmd, kbr_nl_fill fill,
		    void *obj)
{
	void *hdr = genlmsg_put(skb, NETLINK_CB(cb->skb).portid, cb->nlh->nlmsg_seq, &kbr_nl_family,
				NLM_F_MULTI, cmd);

	if (!hdr)
		return -EMSGSIZE;
	genl_dump_check_consistent(cb, hdr);
	if (fill(skb, obj)) {
		genlmsg_cancel(skb, hdr);
		return -EMSGSIZE;
	}
	genlmsg_end(skb, hdr);
	return 0;
}

/**
 * kbr_nl_dump_topic() - the topic where a dump goes on
 * @dump: dump; @dump->partition is then not negative
 *
 * Return: it with a reference; NULL at the end of the dump.
 */
struct kbr_topic *kbr_nl_dump_topic(struct kbr_nl_dump *dump)
{
	struct kbr_topic *topic;

	if (dump->done || !dump->broker)
		return NULL;
	if (dump->partition >= 0) {
		topic = kbr_topic_lookup(dump->broker, dump->topic);
		if (topic || dump->one_topic)
			goto out;
		/* Deleted in the middle of it. */
		dump->partition = -1;
		dump->nth = 0;
	}
	topic = kbr_topic_next(dump->broker, dump->topic);
	if (topic) {
		strscpy(dump->topic, topic->name, sizeof(dump->topic));
		dump->partition = 0;
	}
out:
	dump->done = !topic;
	return topic;
}

/** kbr_nl_dump_topic_done() - all of the present topic was dumped */
void kbr_nl_dump_topic_done(struct kbr_nl_dump *dump)
{
	dump->partition = -1;
	dump->nth = 0;
	dump->done = dump->one_topic;
}

static const struct genl_multicast_group kbr_nl_groups[] = {
	[KBROKER_NLGRP_EVENTS] = { .name = KBROKER_MCGRP_EVENTS },
};

struct genl_family kbr_nl_family __ro_after_init = {
	.name = KBROKER_FAMILY_NAME,
	.version = KBROKER_FAMILY_VERSION,
	.netnsok = true,
	.parallel_ops = true,
	.module = THIS_MODULE,
	.ops = kbroker_nl_ops,
	.n_ops = ARRAY_SIZE(kbroker_nl_ops),
	.mcgrps = kbr_nl_groups,
	.n_mcgrps = ARRAY_SIZE(kbr_nl_groups),
};
KBR_EXPORT_IF_KUNIT(kbr_nl_family);

int __init kbr_netlink_init(void)
{
	int err = genl_register_family(&kbr_nl_family);

	if (err)
		return err;
	kbr_event_set_listener(kbr_nl_event);
	return 0;
}

void kbr_netlink_exit(void)
{
	kbr_event_set_listener(NULL);
	genl_unregister_family(&kbr_nl_family);
}
