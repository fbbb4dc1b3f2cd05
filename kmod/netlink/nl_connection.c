// SPDX-License-Identifier: GPL-2.0-only
/*
 * Netlink: connections: who is there, what they speak and hold, and closing
 * them. Tells what clients do, so it is the administrator's.
 */
#include <linux/ctype.h>

#include "netlink/nl.h"

/**
 * struct kbr_nl_connection - a connection
 * @broker: its broker
 * @info: its state
 */
struct kbr_nl_connection {
	struct kbr_broker *broker;
	struct kbr_connection_info info;
};

/* What a client says of itself goes to terminals and logs. */
static int kbr_nl_connection_put_text(struct sk_buff *skb, int type, char *text)
{
	char *at;

	if (!*text)
		return 0;
	for (at = text; *at; at++)
		if (!isascii(*at) || !isprint(*at))
			*at = '?';
	return nla_put_string(skb, type, text);
}

static int kbr_nl_connection_put_address(struct sk_buff *skb, int type,
					 const struct sockaddr_storage *address)
{
	char text[64];

	snprintf(text, sizeof(text), "%pISpc", address);
	return nla_put_string(skb, type, text);
}

static int kbr_nl_connection_put_apis(struct sk_buff *skb, const struct kbr_connection_info *info)
{
	struct nlattr *nest;
	unsigned int key;

	for (key = 0; key < ARRAY_SIZE(info->versions); key++) {
		if (info->versions[key] < 0)
			continue;
		nest = nla_nest_start(skb, KBROKER_A_CONNECTION_API);
		if (!nest || kbr_nl_put_u16(skb, KBROKER_A_API_KEY, key) ||
		    kbr_nl_put_u16(skb, KBROKER_A_API_VERSION, info->versions[key]))
			return -EMSGSIZE;
		nla_nest_end(skb, nest);
	}
	return 0;
}

static int kbr_nl_connection_fill(struct sk_buff *skb, void *obj)
{
	struct kbr_nl_connection *conn = obj;
	struct kbr_connection_info *info = &conn->info;

	if (nla_put_string(skb, KBROKER_A_CONNECTION_BROKER, conn->broker->name) ||
	    kbr_nl_put_u64(skb, KBROKER_A_CONNECTION_ID, info->id) ||
	    kbr_nl_put_u32(skb, KBROKER_A_CONNECTION_LISTENER, info->listener) ||
	    kbr_nl_connection_put_address(skb, KBROKER_A_CONNECTION_PEER, &info->peer) ||
	    kbr_nl_connection_put_address(skb, KBROKER_A_CONNECTION_LOCAL, &info->local) ||
	    kbr_nl_connection_put_text(skb, KBROKER_A_CONNECTION_CLIENT_ID, info->client_id) ||
	    kbr_nl_connection_put_text(skb, KBROKER_A_CONNECTION_SOFTWARE, info->software_name) ||
	    kbr_nl_connection_put_text(skb, KBROKER_A_CONNECTION_SOFTWARE_VERSION,
				       info->software_version) ||
	    kbr_nl_connection_put_apis(skb, info) ||
	    kbr_nl_put_u64(skb, KBROKER_A_CONNECTION_RECEIVED_BYTES, info->received_bytes) ||
	    kbr_nl_put_u64(skb, KBROKER_A_CONNECTION_SENT_BYTES, info->sent_bytes) ||
	    kbr_nl_put_u64(skb, KBROKER_A_CONNECTION_REQUESTS, info->requests) ||
	    kbr_nl_put_u32(skb, KBROKER_A_CONNECTION_IN_FLIGHT, info->in_flight) ||
	    kbr_nl_put_u64(skb, KBROKER_A_CONNECTION_BUFFERED_BYTES, info->buffered_bytes) ||
	    kbr_nl_put_u64(skb, KBROKER_A_CONNECTION_AGE_MS, info->age_ms) ||
	    kbr_nl_put_u64(skb, KBROKER_A_CONNECTION_IDLE_MS, info->idle_ms))
		return -EMSGSIZE;
	return 0;
}

/* Broker and id of a request for one connection. */
static int kbr_nl_connection_begin(struct genl_info *info, struct kbr_nl_connection *conn)
{
	const struct nlattr *id = info->attrs[KBROKER_A_CONNECTION_ID];
	int err;

	err = kbr_nl_begin(info, 0, KBROKER_A_CONNECTION_BROKER, NULL, &conn->broker);
	if (err)
		return err;
	err = kbr_nl_require(info, KBROKER_A_CONNECTION_ID, "the request needs the id of a connection");
	if (err)
		goto put;
	conn->info.id = get_unaligned_be64(nla_data(id));
	/* Ids begin with 1. */
	if (conn->info.id)
		return 0;
	NL_SET_ERR_MSG_ATTR(info->extack, id, "no connection has the id 0");
	err = -EINVAL;
put:
	kbr_broker_put(conn->broker);
	return err;
}

/** kbroker_nl_connection_get_doit() - show one connection */
int kbroker_nl_connection_get_doit(struct sk_buff *skb, struct genl_info *info)
{
	struct kbr_nl_connection conn;
	int err;
	u64 id;

	err = kbr_nl_connection_begin(info, &conn);
	if (err)
		return err;
	id = conn.info.id;
	if (kbr_server()->connection_next(conn.broker, id - 1, &conn.info) && conn.info.id == id) {
		err = kbr_nl_reply(info, KBROKER_CMD_CONNECTION_GET, kbr_nl_connection_fill, &conn);
	} else {
		NL_SET_ERR_MSG_ATTR(info->extack, info->attrs[KBROKER_A_CONNECTION_ID],
				    "there is no such connection");
		err = -ENOENT;
	}
	kbr_broker_put(conn.broker);
	return err;
}

static int kbr_nl_connection_fill_id(struct sk_buff *skb, void *obj)
{
	struct kbr_nl_connection *conn = obj;

	return nla_put_string(skb, KBROKER_A_CONNECTION_BROKER, conn->broker->name) ?:
	       kbr_nl_put_u64(skb, KBROKER_A_CONNECTION_ID, conn->info.id);
}

/** kbroker_nl_connection_del_doit() - close a connection */
int kbroker_nl_connection_del_doit(struct sk_buff *skb, struct genl_info *info)
{
	struct kbr_nl_connection conn;
	struct kbr_refusal why = {};
	int err;

	err = kbr_nl_connection_begin(info, &conn);
	if (err)
		return err;
	err = kbr_server()->connection_close(conn.broker, conn.info.id, &why);
	if (err)
		kbr_nl_refused(info, err, &why, info->attrs[KBROKER_A_CONNECTION_ID], 0);
	else
		err = kbr_nl_reply(info, KBROKER_CMD_CONNECTION_DEL, kbr_nl_connection_fill_id, &conn);
	kbr_broker_put(conn.broker);
	return err;
}

/** kbroker_nl_connection_dump_start() - begin a dump of connections */
int kbroker_nl_connection_dump_start(struct netlink_callback *cb)
{
	return kbr_nl_dump_start(cb, KBROKER_A_CONNECTION_BROKER, 0, 0);
}

/** kbroker_nl_connection_get_dumpit() - connections in the order of their ids */
int kbroker_nl_connection_get_dumpit(struct sk_buff *skb, struct netlink_callback *cb)
{
	struct kbr_nl_dump *dump = kbr_nl_dump_of(cb);
	struct kbr_nl_connection conn = { .broker = dump->broker };
	int err;

	err = kbr_nl_dump_begin(cb, dump);
	while (!err && dump->broker &&
	       kbr_server()->connection_next(dump->broker, dump->connection, &conn.info)) {
		u64 id = conn.info.id;

		err = kbr_nl_dump_put(skb, cb, KBROKER_CMD_CONNECTION_GET, kbr_nl_connection_fill,
				      &conn);
		if (!err)
			dump->connection = id;
		cond_resched();
	}
	return skb->len ?: err;
}
