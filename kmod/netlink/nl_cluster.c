// SPDX-License-Identifier: GPL-2.0-only
/*
 * Netlink: how a broker stands to its cluster, and the brokers it knows there.
 * The cluster's secret comes in here and never goes out.
 */
#include "netlink/nl.h"

static_assert((int)KBR_CLUSTER_STANDALONE == (int)KBROKER_CLUSTER_STATE_STANDALONE);
static_assert((int)KBR_CLUSTER_WAITING == (int)KBROKER_CLUSTER_STATE_WAITING);
static_assert((int)KBR_CLUSTER_ACTIVE == (int)KBROKER_CLUSTER_STATE_ACTIVE);
static_assert((int)KBR_CLUSTER_FENCED == (int)KBROKER_CLUSTER_STATE_FENCED);

/* ---- cluster ---- */

/* What a member knows beside what it is. */
static int kbr_nl_cluster_fill_member(struct sk_buff *skb, const struct kbr_cluster_info *info)
{
	if (nla_put(skb, KBROKER_A_CLUSTER_CLUSTER_ID, sizeof(info->id), info->id) ||
	    kbr_nl_put_u64(skb, KBROKER_A_CLUSTER_BROKER_EPOCH, info->epoch) ||
	    nla_put_u8(skb, KBROKER_A_CLUSTER_FENCED, info->fenced) ||
	    kbr_nl_put_u32(skb, KBROKER_A_CLUSTER_CONTROLLER, info->controller) ||
	    kbr_nl_put_u64(skb, KBROKER_A_CLUSTER_METADATA_OFFSET, info->metadata_offset) ||
	    (info->rack[0] && nla_put_string(skb, KBROKER_A_CLUSTER_RACK, info->rack)) ||
	    kbr_nl_put_u32(skb, KBROKER_A_CLUSTER_REQUESTS, info->requests))
		return -EMSGSIZE;
	return 0;
}

/* What it forwarded to leaders on other brokers. */
static int kbr_nl_cluster_fill_forwards(struct sk_buff *skb, struct kbr_broker *broker)
{
	struct kbr_forward_counters counters;

	kbr_forward_get_counters(broker, &counters);
	if (kbr_nl_put_u64(skb, KBROKER_A_CLUSTER_FORWARDED, counters.batches) ||
	    kbr_nl_put_u64(skb, KBROKER_A_CLUSTER_FORWARD_RETRIES, counters.retries) ||
	    kbr_nl_put_u64(skb, KBROKER_A_CLUSTER_FORWARD_FAILED, counters.failed))
		return -EMSGSIZE;
	return 0;
}

/** kbr_nl_cluster_fill() - attributes of a struct kbr_broker's part in a cluster */
int kbr_nl_cluster_fill(struct sk_buff *skb, void *obj)
{
	struct kbr_broker *broker = obj;
	struct kbr_cluster_info info;

	kbr_cluster_describe(broker, &info);
	if (nla_put_string(skb, KBROKER_A_CLUSTER_BROKER, broker->name) ||
	    kbr_nl_put_u32(skb, KBROKER_A_CLUSTER_ID, max(READ_ONCE(broker->id), 0)) ||
	    nla_put_u8(skb, KBROKER_A_CLUSTER_STATE, info.state) ||
	    nla_put(skb, KBROKER_A_CLUSTER_DIRECTORY_ID, sizeof(broker->directory_id),
		    broker->directory_id) ||
	    nla_put_u8(skb, KBROKER_A_CLUSTER_CLEAN, READ_ONCE(broker->clean)) ||
	    kbr_nl_put_u64(skb, KBROKER_A_CLUSTER_PREVIOUS_EPOCH, info.previous_epoch) ||
	    nla_put(skb, KBROKER_A_CLUSTER_INCARNATION, sizeof(info.incarnation),
		    info.incarnation))
		return -EMSGSIZE;
	if (info.state == KBR_CLUSTER_STANDALONE)
		return 0;
	return kbr_nl_cluster_fill_member(skb, &info) ?: kbr_nl_cluster_fill_forwards(skb, broker);
}

/** kbroker_nl_cluster_get_doit() - show how the broker stands to its cluster */
int kbroker_nl_cluster_get_doit(struct sk_buff *skb, struct genl_info *info)
{
	struct kbr_broker *broker;
	int err;

	err = kbr_nl_begin(info, 0, KBROKER_A_CLUSTER_BROKER, NULL, &broker);
	if (err)
		return err;
	err = kbr_nl_reply(info, KBROKER_CMD_CLUSTER_GET, kbr_nl_cluster_fill, broker);
	kbr_broker_put(broker);
	return err;
}

/** kbroker_nl_cluster_dump_start() - begin a dump of how brokers stand to their clusters */
int kbroker_nl_cluster_dump_start(struct netlink_callback *cb)
{
	return kbr_nl_dump_start(cb, KBROKER_A_CLUSTER_BROKER, 0, 0);
}

/** kbroker_nl_cluster_get_dumpit() - the broker, if there is one */
int kbroker_nl_cluster_get_dumpit(struct sk_buff *skb, struct netlink_callback *cb)
{
	struct kbr_nl_dump *dump = kbr_nl_dump_of(cb);
	int err;

	err = kbr_nl_dump_begin(cb, dump);
	if (err || dump->done || !dump->broker)
		return err;
	err = kbr_nl_dump_put(skb, cb, KBROKER_CMD_CLUSTER_GET, kbr_nl_cluster_fill, dump->broker);
	if (err)
		return err;
	dump->done = true;
	return skb->len;
}

static int kbr_nl_check_rack(const struct nlattr *rack, struct netlink_ext_ack *extack)
{
	if (rack && !*(const char *)nla_data(rack))
		return kbr_nl_refuse(extack, rack, -EINVAL, "the name of a rack is not empty");
	return kbr_nl_check_text(rack, extack);
}

static int kbr_nl_cluster_get_change(struct genl_info *info, struct kbr_cluster_change *change)
{
	struct nlattr **attrs = info->attrs;
	const struct nlattr *epoch = attrs[KBROKER_A_CLUSTER_BROKER_EPOCH];
	const struct nlattr *secret = attrs[KBROKER_A_CLUSTER_SECRET];
	int err = kbr_nl_check_rack(attrs[KBROKER_A_CLUSTER_RACK], info->extack);

	if (err)
		return err;
	change->epoch = -1;
	if (epoch) {
		change->epoch = kbr_nl_get_u64(epoch);
		if (change->epoch < 0)
			return kbr_nl_refuse(info->extack, epoch, -EINVAL,
					     "a broker epoch is not negative");
	}
	change->has_id = attrs[KBROKER_A_CLUSTER_CLUSTER_ID];
	if (change->has_id)
		nla_memcpy(change->id, attrs[KBROKER_A_CLUSTER_CLUSTER_ID], sizeof(change->id));
	if (secret)
		change->secret_len = nla_memcpy(change->secret, secret, sizeof(change->secret));
	change->has_fenced = attrs[KBROKER_A_CLUSTER_FENCED];
	if (change->has_fenced)
		change->fenced = nla_get_u8(attrs[KBROKER_A_CLUSTER_FENCED]);
	change->has_incarnation = attrs[KBROKER_A_CLUSTER_INCARNATION];
	if (change->has_incarnation)
		nla_memcpy(change->incarnation, attrs[KBROKER_A_CLUSTER_INCARNATION],
			   sizeof(change->incarnation));
	change->has_controller = attrs[KBROKER_A_CLUSTER_CONTROLLER];
	if (change->has_controller)
		change->controller =
			(s32)be32_to_cpu(nla_get_be32(attrs[KBROKER_A_CLUSTER_CONTROLLER]));
	change->has_metadata_offset = attrs[KBROKER_A_CLUSTER_METADATA_OFFSET];
	if (change->has_metadata_offset)
		change->metadata_offset = kbr_nl_get_u64(attrs[KBROKER_A_CLUSTER_METADATA_OFFSET]);
	if (attrs[KBROKER_A_CLUSTER_RACK])
		change->rack = nla_data(attrs[KBROKER_A_CLUSTER_RACK]);
	if (!change->has_id && !secret && !epoch && !change->has_fenced &&
	    !change->has_controller && !change->has_metadata_offset && !change->rack)
		return kbr_nl_refuse(info->extack, NULL, -EINVAL,
				     "the request changes nothing: give cluster-id, secret, broker-epoch, fenced, controller, metadata-offset or rack");
	return 0;
}

/* Answer to a change: what came of it, or which operation goes on. */
static int kbr_nl_cluster_answer(struct sk_buff *msg, struct genl_info *info, void *hdr,
				 struct kbr_broker *broker, u32 op_id)
{
	struct kbr_cluster_info now;

	kbr_cluster_describe(broker, &now);
	if (nla_put_string(msg, KBROKER_A_CLUSTER_BROKER, broker->name) ||
	    nla_put_u8(msg, KBROKER_A_CLUSTER_STATE, now.state) ||
	    (op_id && kbr_nl_put_u32(msg, KBROKER_A_CLUSTER_OP_ID, op_id))) {
		nlmsg_free(msg);
		return -EMSGSIZE;
	}
	genlmsg_end(msg, hdr);
	return genlmsg_reply(msg, info);
}

/** kbroker_nl_cluster_set_doit() - tell the broker of its cluster */
int kbroker_nl_cluster_set_doit(struct sk_buff *skb, struct genl_info *info)
{
	struct kbr_cluster_change change = {};
	struct kbr_refusal why = {};
	struct kbr_broker *broker;
	struct sk_buff *msg;
	u32 op_id = 0;
	void *hdr;
	int err;

	err = kbr_nl_begin(info, 0, KBROKER_A_CLUSTER_BROKER, NULL, &broker);
	if (err)
		return err;
	err = kbr_nl_cluster_get_change(info, &change);
	if (err)
		goto put;
	msg = kbr_nl_answer_new(info, KBROKER_CMD_CLUSTER_SET, &hdr);
	err = msg ? kbr_cluster_set(broker, &change, &op_id, &why) : -ENOMEM;
	if (err) {
		nlmsg_free(msg);
		kbr_nl_refused(info, err, &why, NULL, 0);
	} else {
		err = kbr_nl_cluster_answer(msg, info, hdr, broker, op_id);
	}
put:
	memzero_explicit(&change, sizeof(change));
	kbr_broker_put(broker);
	return err;
}

/* ---- peers ---- */

/** kbr_nl_peer_fill() - attributes of a struct kbr_nl_peer */
int kbr_nl_peer_fill(struct sk_buff *skb, void *obj)
{
	struct kbr_nl_peer *known = obj;
	const struct kbr_peer *peer = &known->peer;

	if (nla_put_string(skb, KBROKER_A_PEER_BROKER, known->broker->name) ||
	    kbr_nl_put_u32(skb, KBROKER_A_PEER_ID, peer->id) ||
	    kbr_nl_put_u64(skb, KBROKER_A_PEER_EPOCH, peer->epoch) ||
	    nla_put_u8(skb, KBROKER_A_PEER_FENCED, peer->fenced) ||
	    kbr_nl_put_address(skb, KBROKER_A_PEER_ADDRESS, KBROKER_A_PEER_PORT, &peer->address) ||
	    (peer->advertised_host[0] &&
	     nla_put_string(skb, KBROKER_A_PEER_ADVERTISED_HOST, peer->advertised_host)) ||
	    (peer->advertised_port &&
	     kbr_nl_put_u16(skb, KBROKER_A_PEER_ADVERTISED_PORT, peer->advertised_port)) ||
	    (peer->rack[0] && nla_put_string(skb, KBROKER_A_PEER_RACK, peer->rack)))
		return -EMSGSIZE;
	return 0;
}

/* The same with what the connection to it counts. */
static int kbr_nl_peer_fill_stats(struct sk_buff *skb, void *obj)
{
	struct kbr_nl_peer *known = obj;
	struct kbr_peer_stats stats;

	kbr_cluster_peer_stats(known->broker, known->peer.id, &stats);
	if (kbr_nl_peer_fill(skb, known) ||
	    nla_put_u8(skb, KBROKER_A_PEER_CONNECTED, stats.connected) ||
	    kbr_nl_put_u64(skb, KBROKER_A_PEER_FETCHES, stats.fetches) ||
	    kbr_nl_put_u64(skb, KBROKER_A_PEER_BYTES, stats.bytes) ||
	    kbr_nl_put_u32(skb, KBROKER_A_PEER_ERROR, stats.error) ||
	    kbr_nl_put_u32(skb, KBROKER_A_PEER_FOLLOWED, stats.followed))
		return -EMSGSIZE;
	return 0;
}

static int kbr_nl_peer_fill_id(struct sk_buff *skb, void *obj)
{
	struct kbr_nl_peer *known = obj;

	return nla_put_string(skb, KBROKER_A_PEER_BROKER, known->broker->name) ?:
	       kbr_nl_put_u32(skb, KBROKER_A_PEER_ID, known->peer.id);
}

/* The broker, and the id that a request names. */
static int kbr_nl_peer_begin(struct genl_info *info, struct kbr_nl_peer *known)
{
	int err;

	memset(known, 0, sizeof(*known));
	err = kbr_nl_begin(info, 0, KBROKER_A_PEER_BROKER, NULL, &known->broker);
	if (err)
		return err;
	err = kbr_nl_require(info, KBROKER_A_PEER_ID, "the request needs the id of a broker");
	if (err)
		kbr_broker_put(known->broker);
	else
		known->peer.id = be32_to_cpu(nla_get_be32(info->attrs[KBROKER_A_PEER_ID]));
	return err;
}

static int kbr_nl_peer_get_params(struct genl_info *info, struct kbr_peer *peer)
{
	struct nlattr **attrs = info->attrs;
	int err;

	err = kbr_nl_require(info, KBROKER_A_PEER_EPOCH, "a broker of a cluster needs an epoch") ?:
	      kbr_nl_require(info, KBROKER_A_PEER_ADDRESS,
			     "a broker of a cluster needs an address") ?:
	      kbr_nl_require(info, KBROKER_A_PEER_PORT, "a broker of a cluster needs a port") ?:
	      kbr_nl_check_rack(attrs[KBROKER_A_PEER_RACK], info->extack) ?:
	      kbr_nl_get_host(attrs[KBROKER_A_PEER_ADVERTISED_HOST], peer->advertised_host,
			      info->extack);
	if (err)
		return err;
	peer->epoch = kbr_nl_get_u64(attrs[KBROKER_A_PEER_EPOCH]);
	if (peer->epoch < 0)
		return kbr_nl_refuse(info->extack, attrs[KBROKER_A_PEER_EPOCH], -EINVAL,
				     "a broker epoch is not negative");
	if (attrs[KBROKER_A_PEER_FENCED])
		peer->fenced = nla_get_u8(attrs[KBROKER_A_PEER_FENCED]);
	if (attrs[KBROKER_A_PEER_ADVERTISED_PORT])
		peer->advertised_port =
			be16_to_cpu(nla_get_be16(attrs[KBROKER_A_PEER_ADVERTISED_PORT]));
	if (attrs[KBROKER_A_PEER_RACK])
		nla_strscpy(peer->rack, attrs[KBROKER_A_PEER_RACK], sizeof(peer->rack));
	return kbr_nl_get_address(attrs[KBROKER_A_PEER_ADDRESS], attrs[KBROKER_A_PEER_PORT],
				  &peer->address, info->extack);
}

/** kbroker_nl_peer_new_doit() - tell of a broker of the cluster */
int kbroker_nl_peer_new_doit(struct sk_buff *skb, struct genl_info *info)
{
	struct kbr_refusal why = {};
	struct kbr_nl_peer known;
	int err;

	err = kbr_nl_peer_begin(info, &known);
	if (err)
		return err;
	err = kbr_nl_peer_get_params(info, &known.peer);
	if (err)
		goto put;
	err = kbr_cluster_peer_set(known.broker, &known.peer, &why);
	if (err)
		kbr_nl_refused(info, err, &why, NULL, 0);
	else
		err = kbr_nl_reply(info, KBROKER_CMD_PEER_NEW, kbr_nl_peer_fill_id, &known);
put:
	kbr_broker_put(known.broker);
	return err;
}

/** kbroker_nl_peer_get_doit() - show one broker of the cluster */
int kbroker_nl_peer_get_doit(struct sk_buff *skb, struct genl_info *info)
{
	struct kbr_nl_peer known;
	int err;

	err = kbr_nl_peer_begin(info, &known);
	if (err)
		return err;
	err = kbr_cluster_peer(known.broker, known.peer.id, &known.peer);
	if (err)
		NL_SET_ERR_MSG_ATTR(info->extack, info->attrs[KBROKER_A_PEER_ID],
				    "the broker knows of no such node");
	else
		err = kbr_nl_reply(info, KBROKER_CMD_PEER_GET, kbr_nl_peer_fill_stats, &known);
	kbr_broker_put(known.broker);
	return err;
}

/** kbroker_nl_peer_del_doit() - let the broker forget one */
int kbroker_nl_peer_del_doit(struct sk_buff *skb, struct genl_info *info)
{
	struct kbr_refusal why = {};
	struct kbr_nl_peer known;
	int err;

	err = kbr_nl_peer_begin(info, &known);
	if (err)
		return err;
	err = kbr_cluster_peer_del(known.broker, known.peer.id, &why);
	if (err)
		kbr_nl_refused(info, err, &why, NULL, 0);
	else
		err = kbr_nl_reply(info, KBROKER_CMD_PEER_DEL, kbr_nl_peer_fill_id, &known);
	kbr_broker_put(known.broker);
	return err;
}

/** kbroker_nl_peer_dump_start() - begin a dump of the cluster's brokers */
int kbroker_nl_peer_dump_start(struct netlink_callback *cb)
{
	return kbr_nl_dump_start(cb, KBROKER_A_PEER_BROKER, 0, 0);
}

/** kbroker_nl_peer_get_dumpit() - the cluster's brokers in the order of their ids */
int kbroker_nl_peer_get_dumpit(struct sk_buff *skb, struct netlink_callback *cb)
{
	struct kbr_nl_dump *dump = kbr_nl_dump_of(cb);
	struct kbr_nl_peer known = { .broker = dump->broker };
	int err;

	err = kbr_nl_dump_begin(cb, dump);
	while (!err && dump->broker &&
	       !kbr_cluster_next_peer(dump->broker, (s32)dump->id - 1, &known.peer)) {
		err = kbr_nl_dump_put(skb, cb, KBROKER_CMD_PEER_GET, kbr_nl_peer_fill_stats,
				      &known);
		if (!err)
			dump->id = known.peer.id + 1;
	}
	return skb->len ?: err;
}
