// SPDX-License-Identifier: GPL-2.0-only
/*
 * Netlink: listeners, given to a broker's start or added to one that runs. What
 * a listener does is the server's business.
 */
#include <linux/in.h>
#include <linux/in6.h>
#include <linux/inet.h>

#include "netlink/nl.h"

static_assert(KBR_HOST_MAX == KBROKER_HOST_MAX);

/** kbr_nl_put_address() - an address as text and, beside it, its port */
int kbr_nl_put_address(struct sk_buff *skb, int type, int port_type,
		       const struct sockaddr_storage *address)
{
	char text[KBROKER_ADDRESS_MAX + 1];
	u16 port;

	if (address->ss_family == AF_INET) {
		const struct sockaddr_in *in = (const struct sockaddr_in *)address;

		snprintf(text, sizeof(text), "%pI4", &in->sin_addr);
		port = ntohs(in->sin_port);
	} else {
		const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)address;

		snprintf(text, sizeof(text), "%pI6c", &in6->sin6_addr);
		port = ntohs(in6->sin6_port);
	}
	return nla_put_string(skb, type, text) ?: kbr_nl_put_u16(skb, port_type, port);
}

/** kbr_nl_listener_fill() - attributes of a struct kbr_nl_listener */
int kbr_nl_listener_fill(struct sk_buff *skb, void *obj)
{
	struct kbr_nl_listener *listener = obj;
	const struct kbr_listener_info *info = &listener->info;
	const struct kbr_listener_params *params = &info->params;
	kuid_t uid = uid_valid(params->uid) ? params->uid : READ_ONCE(listener->broker->uid);
	kgid_t gid = gid_valid(params->gid) ? params->gid : READ_ONCE(listener->broker->gid);

	if (nla_put_string(skb, KBROKER_A_LISTENER_BROKER, listener->broker->name) ||
	    kbr_nl_put_u32(skb, KBROKER_A_LISTENER_ID, info->id) ||
	    kbr_nl_put_address(skb, KBROKER_A_LISTENER_ADDRESS, KBROKER_A_LISTENER_PORT,
			       &params->address) ||
	    (params->advertised_host[0] &&
	     nla_put_string(skb, KBROKER_A_LISTENER_ADVERTISED_HOST, params->advertised_host)) ||
	    (params->advertised_port &&
	     kbr_nl_put_u16(skb, KBROKER_A_LISTENER_ADVERTISED_PORT, params->advertised_port)) ||
	    kbr_nl_put_u32(skb, KBROKER_A_LISTENER_UID, from_kuid(&init_user_ns, uid)) ||
	    kbr_nl_put_u32(skb, KBROKER_A_LISTENER_GID, from_kgid(&init_user_ns, gid)) ||
	    kbr_nl_put_u32(skb, KBROKER_A_LISTENER_CONNECTIONS, info->connections) ||
	    kbr_nl_put_u64(skb, KBROKER_A_LISTENER_ACCEPTED, info->accepted) ||
	    kbr_nl_put_u64(skb, KBROKER_A_LISTENER_REFUSED, info->refused) ||
	    kbr_nl_put_u64(skb, KBROKER_A_LISTENER_MALFORMED, info->malformed))
		return -EMSGSIZE;
	return 0;
}

/**
 * kbr_nl_get_address() - an address and its port out of a request
 * @text: attribute of the address
 * @port: attribute of the port, NULL: 0
 * @address: out
 * @extack: of the request
 *
 * Return: 0; -EINVAL.
 */
int kbr_nl_get_address(const struct nlattr *text, const struct nlattr *port,
		       struct sockaddr_storage *address, struct netlink_ext_ack *extack)
{
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)address;
	struct sockaddr_in *in = (struct sockaddr_in *)address;
	__be16 number = port ? nla_get_be16(port) : 0;
	int err = kbr_nl_check_text(text, extack);

	if (err)
		return err;
	if (in4_pton(nla_data(text), -1, (u8 *)&in->sin_addr, -1, NULL)) {
		in->sin_family = AF_INET;
		in->sin_port = number;
	} else if (in6_pton(nla_data(text), -1, (u8 *)&in6->sin6_addr, -1, NULL)) {
		in6->sin6_family = AF_INET6;
		in6->sin6_port = number;
	} else {
		return kbr_nl_refuse(extack, text, -EINVAL, "%s is no IPv4 or IPv6 address",
				     (const char *)nla_data(text));
	}
	return 0;
}

/**
 * kbr_nl_get_host() - the name of a host that clients are told, out of a request
 * @attr: its attribute, or NULL
 * @host: out; unchanged without the attribute
 * @extack: of the request
 *
 * They are told it as it is: nothing in it may surprise them. Return: 0; -EINVAL.
 */
int kbr_nl_get_host(const struct nlattr *attr, char host[KBR_HOST_MAX + 1],
		    struct netlink_ext_ack *extack)
{
	const char *at;
	int err;

	if (!attr)
		return 0;
	err = kbr_nl_check_text(attr, extack);
	if (err)
		return err;
	nla_strscpy(host, attr, KBR_HOST_MAX + 1);
	if (!host[0])
		return kbr_nl_refuse(extack, attr, -EINVAL, "the name of a host is not empty");
	for (at = host; *at; at++)
		if (*at <= ' ' || *at >= 0x7f)
			return kbr_nl_refuse(extack, attr, -EINVAL,
					     "the name of a host has no blanks or special characters");
	return 0;
}

/* What a listener is made of, out of the attributes of a request (@nest NULL) or of @nest. */
static int kbr_nl_listener_get(struct nlattr **attrs, const struct nlattr *nest,
			       struct kbr_listener_params *params,
			       struct netlink_ext_ack *extack)
{
	const struct nlattr *uid = attrs[KBROKER_A_LISTENER_UID];
	const struct nlattr *gid = attrs[KBROKER_A_LISTENER_GID];
	int err;

	memset(params, 0, sizeof(*params));
	params->uid = INVALID_UID;
	params->gid = INVALID_GID;
	if (!attrs[KBROKER_A_LISTENER_ADDRESS]) {
		NL_SET_ERR_ATTR_MISS(extack, nest, KBROKER_A_LISTENER_ADDRESS);
		return kbr_nl_refuse(extack, nest, -EINVAL, "a listener needs an address");
	}
	err = kbr_nl_get_address(attrs[KBROKER_A_LISTENER_ADDRESS], attrs[KBROKER_A_LISTENER_PORT],
				 &params->address, extack);
	if (!err)
		err = kbr_nl_get_host(attrs[KBROKER_A_LISTENER_ADVERTISED_HOST],
				      params->advertised_host, extack);
	if (err)
		return err;
	if (attrs[KBROKER_A_LISTENER_ADVERTISED_PORT])
		params->advertised_port =
			be16_to_cpu(nla_get_be16(attrs[KBROKER_A_LISTENER_ADVERTISED_PORT]));
	if (uid) {
		params->uid = make_kuid(&init_user_ns, be32_to_cpu(nla_get_be32(uid)));
		if (!uid_valid(params->uid))
			return kbr_nl_refuse(extack, uid, -EINVAL, "4294967295 is no user id");
	}
	if (gid) {
		params->gid = make_kgid(&init_user_ns, be32_to_cpu(nla_get_be32(gid)));
		if (!gid_valid(params->gid))
			return kbr_nl_refuse(extack, gid, -EINVAL, "4294967295 is no group id");
	}
	return 0;
}

/**
 * kbr_nl_get_listeners() - the listeners of "start a broker"
 * @info: request
 * @params: out: an array for kvfree(), NULL if there are none; after an error, too
 * @count: out: its entries
 *
 * Return: 0; -EINVAL, -E2BIG, -ENOMEM.
 */
int kbr_nl_get_listeners(struct genl_info *info, struct kbr_listener_params **params,
			 unsigned int *count)
{
	struct nlattr *tb[ARRAY_SIZE(kbroker_listener_params_nl_policy)];
	const struct nlattr *attr;
	int err, rem;

	*params = NULL;
	*count = 0;
	if (!info->attrs[KBROKER_A_BROKER_LISTENER])
		return 0;
	*params = kvmalloc_array(KBR_LISTENERS_MAX, sizeof(**params), GFP_KERNEL);
	if (!*params)
		return -ENOMEM;
	nla_for_each_attr(attr, nlmsg_attrdata(info->nlhdr, GENL_HDRLEN),
			  nlmsg_attrlen(info->nlhdr, GENL_HDRLEN), rem) {
		if (nla_type(attr) != KBROKER_A_BROKER_LISTENER)
			continue;
		if (*count == KBR_LISTENERS_MAX)
			return kbr_nl_refuse(info->extack, attr, -E2BIG,
					     "a broker has at most %u listeners", KBR_LISTENERS_MAX);
		err = nla_parse_nested(tb, ARRAY_SIZE(tb) - 1, attr,
				       kbroker_listener_params_nl_policy, info->extack);
		if (!err)
			err = kbr_nl_listener_get(tb, attr, &(*params)[*count], info->extack);
		if (err)
			return err;
		++*count;
	}
	return 0;
}

/* The listener @id of @listener->broker into @listener->info; false: there is none. */
static bool kbr_nl_listener_find(struct kbr_nl_listener *listener, u32 id)
{
	return kbr_server()->listener_next(listener->broker, id - 1, &listener->info) &&
	       listener->info.id == id;
}

/** kbroker_nl_listener_new_doit() - listen at an address */
int kbroker_nl_listener_new_doit(struct sk_buff *skb, struct genl_info *info)
{
	struct kbr_listener_params params;
	struct kbr_nl_listener listener;
	struct kbr_refusal why = {};
	u32 id;
	int err;

	err = kbr_nl_begin(info, 0, KBROKER_A_LISTENER_BROKER, NULL, &listener.broker);
	if (err)
		return err;
	err = kbr_nl_listener_get(info->attrs, NULL, &params, info->extack);
	if (err)
		goto put;
	/* A start that fails takes its listeners back; this one would be lost with them. */
	if (READ_ONCE(listener.broker->state) != KBR_BROKER_RUNNING) {
		err = kbr_nl_refuse(info->extack, NULL, -ENODEV, "broker %s is %s",
				    listener.broker->name,
				    kbr_broker_state_name(READ_ONCE(listener.broker->state)));
		goto put;
	}
	err = kbr_server()->listener_add(listener.broker, &params, &id, &why);
	if (err)
		kbr_nl_refused(info, err, &why, info->attrs[KBROKER_A_LISTENER_ADDRESS], 0);
	else if (kbr_nl_listener_find(&listener, id))
		err = kbr_nl_reply(info, KBROKER_CMD_LISTENER_NEW, kbr_nl_listener_fill, &listener);
put:
	kbr_broker_put(listener.broker);
	return err;
}

/** kbroker_nl_listener_get_doit() - show one listener */
int kbroker_nl_listener_get_doit(struct sk_buff *skb, struct genl_info *info)
{
	struct kbr_nl_listener listener;
	int err;

	err = kbr_nl_begin(info, 0, KBROKER_A_LISTENER_BROKER, NULL, &listener.broker);
	if (err)
		return err;
	err = kbr_nl_require(info, KBROKER_A_LISTENER_ID, "the request needs the id of a listener");
	if (err)
		goto put;
	if (kbr_nl_listener_find(&listener,
				 be32_to_cpu(nla_get_be32(info->attrs[KBROKER_A_LISTENER_ID])))) {
		err = kbr_nl_reply(info, KBROKER_CMD_LISTENER_GET, kbr_nl_listener_fill, &listener);
	} else {
		NL_SET_ERR_MSG_ATTR(info->extack, info->attrs[KBROKER_A_LISTENER_ID],
				    "there is no such listener");
		err = -ENOENT;
	}
put:
	kbr_broker_put(listener.broker);
	return err;
}

static int kbr_nl_listener_fill_id(struct sk_buff *skb, void *obj)
{
	struct kbr_nl_listener *listener = obj;

	return nla_put_string(skb, KBROKER_A_LISTENER_BROKER, listener->broker->name) ?:
	       kbr_nl_put_u32(skb, KBROKER_A_LISTENER_ID, listener->info.id);
}

/** kbroker_nl_listener_del_doit() - close a listener and its connections */
int kbroker_nl_listener_del_doit(struct sk_buff *skb, struct genl_info *info)
{
	struct kbr_nl_listener listener;
	struct kbr_refusal why = {};
	int err;

	err = kbr_nl_begin(info, 0, KBROKER_A_LISTENER_BROKER, NULL, &listener.broker);
	if (err)
		return err;
	err = kbr_nl_require(info, KBROKER_A_LISTENER_ID, "the request needs the id of a listener");
	if (err)
		goto put;
	listener.info.id = be32_to_cpu(nla_get_be32(info->attrs[KBROKER_A_LISTENER_ID]));
	err = kbr_server()->listener_del(listener.broker, listener.info.id, &why);
	if (err)
		kbr_nl_refused(info, err, &why, info->attrs[KBROKER_A_LISTENER_ID], 0);
	else
		err = kbr_nl_reply(info, KBROKER_CMD_LISTENER_DEL, kbr_nl_listener_fill_id, &listener);
put:
	kbr_broker_put(listener.broker);
	return err;
}

/** kbroker_nl_listener_dump_start() - begin a dump of listeners */
int kbroker_nl_listener_dump_start(struct netlink_callback *cb)
{
	return kbr_nl_dump_start(cb, KBROKER_A_LISTENER_BROKER, 0, 0);
}

/** kbroker_nl_listener_get_dumpit() - listeners in the order of their ids */
int kbroker_nl_listener_get_dumpit(struct sk_buff *skb, struct netlink_callback *cb)
{
	struct kbr_nl_dump *dump = kbr_nl_dump_of(cb);
	struct kbr_nl_listener listener = { .broker = dump->broker };
	int err;

	err = kbr_nl_dump_begin(cb, dump);
	while (!err && dump->broker &&
	       kbr_server()->listener_next(dump->broker, dump->id, &listener.info)) {
		err = kbr_nl_dump_put(skb, cb, KBROKER_CMD_LISTENER_GET, kbr_nl_listener_fill,
				      &listener);
		if (!err)
			dump->id = listener.info.id;
	}
	return skb->len ?: err;
}
