// SPDX-License-Identifier: GPL-2.0-only
/*
 * Netlink: the broker layer's events as multicast messages, numbered without
 * gaps in each network namespace. A message that can't be made or delivered
 * shows as ENOBUFS on the listeners' sockets, and as a gap in the numbers.
 */
#include "base/kunit.h"
#include "netlink/nl.h"

/**
 * struct kbr_nl_event_form - what an event looks like
 * @cmd: command
 * @seq: attribute of its number
 * @reason: attribute of its reason
 */
struct kbr_nl_event_form {
	u8 cmd;
	int seq;
	int reason;
};

static const struct kbr_nl_event_form kbr_nl_event_broker = {
	KBROKER_CMD_BROKER_NTF, KBROKER_A_BROKER_EVENT_SEQ, KBROKER_A_BROKER_EVENT_REASON,
};

static const struct kbr_nl_event_form kbr_nl_event_topic = {
	KBROKER_CMD_TOPIC_NTF, KBROKER_A_TOPIC_EVENT_SEQ, KBROKER_A_TOPIC_EVENT_REASON,
};

static const struct kbr_nl_event_form kbr_nl_event_partition = {
	KBROKER_CMD_PARTITION_NTF, KBROKER_A_PARTITION_EVENT_SEQ, KBROKER_A_PARTITION_EVENT_REASON,
};

static const struct kbr_nl_event_form kbr_nl_event_op = {
	KBROKER_CMD_OP_NTF, KBROKER_A_OP_EVENT_SEQ, KBROKER_A_OP_EVENT_REASON,
};

static const struct kbr_nl_event_form kbr_nl_event_listener = {
	KBROKER_CMD_LISTENER_NTF, KBROKER_A_LISTENER_EVENT_SEQ, KBROKER_A_LISTENER_EVENT_REASON,
};

static const struct kbr_nl_event_form kbr_nl_event_group = {
	KBROKER_CMD_GROUP_NTF, KBROKER_A_GROUP_EVENT_SEQ, KBROKER_A_GROUP_EVENT_REASON,
};

static const struct kbr_nl_event_form kbr_nl_event_cluster = {
	KBROKER_CMD_CLUSTER_NTF, KBROKER_A_CLUSTER_EVENT_SEQ, KBROKER_A_CLUSTER_EVENT_REASON,
};

static const struct kbr_nl_event_form kbr_nl_event_peer = {
	KBROKER_CMD_PEER_NTF, KBROKER_A_PEER_EVENT_SEQ, KBROKER_A_PEER_EVENT_REASON,
};

static const struct kbr_nl_event_form kbr_nl_event_request = {
	KBROKER_CMD_REQUEST_NTF, KBROKER_A_REQUEST_EVENT_SEQ, KBROKER_A_REQUEST_EVENT_REASON,
};

static const struct kbr_nl_event_form *kbr_nl_event_form(const struct kbr_event *event, u8 *reason)
{
	switch (event->kind) {
	case KBR_EVENT_BROKER:
		*reason = KBROKER_REASON_STATE;
		return &kbr_nl_event_broker;
	case KBR_EVENT_BROKER_SET:
		*reason = KBROKER_REASON_CHANGED;
		return &kbr_nl_event_broker;
	case KBR_EVENT_TOPIC_NEW:
		*reason = KBROKER_REASON_CREATED;
		return &kbr_nl_event_topic;
	case KBR_EVENT_TOPIC_SET:
		*reason = KBROKER_REASON_CHANGED;
		return &kbr_nl_event_topic;
	case KBR_EVENT_TOPIC_DEL:
		*reason = KBROKER_REASON_DELETED;
		return &kbr_nl_event_topic;
	case KBR_EVENT_PARTITION:
		*reason = KBROKER_REASON_STATE;
		return &kbr_nl_event_partition;
	case KBR_EVENT_OP:
		*reason = KBROKER_REASON_STATE;
		if (READ_ONCE(event->op->state) == KBR_OP_PENDING)
			*reason = KBROKER_REASON_CREATED;
		return &kbr_nl_event_op;
	case KBR_EVENT_LISTENER_NEW:
		*reason = KBROKER_REASON_CREATED;
		return &kbr_nl_event_listener;
	case KBR_EVENT_LISTENER_DEL:
		*reason = KBROKER_REASON_DELETED;
		return &kbr_nl_event_listener;
	case KBR_EVENT_GROUP_NEW:
		*reason = KBROKER_REASON_CREATED;
		return &kbr_nl_event_group;
	case KBR_EVENT_GROUP:
		*reason = KBROKER_REASON_STATE;
		return &kbr_nl_event_group;
	case KBR_EVENT_GROUP_DEL:
		*reason = KBROKER_REASON_DELETED;
		return &kbr_nl_event_group;
	case KBR_EVENT_CLUSTER:
		*reason = KBROKER_REASON_STATE;
		return &kbr_nl_event_cluster;
	case KBR_EVENT_PEER_NEW:
		*reason = KBROKER_REASON_CREATED;
		return &kbr_nl_event_peer;
	case KBR_EVENT_PEER_SET:
		*reason = KBROKER_REASON_CHANGED;
		return &kbr_nl_event_peer;
	case KBR_EVENT_PEER_DEL:
		*reason = KBROKER_REASON_DELETED;
		return &kbr_nl_event_peer;
	case KBR_EVENT_REQUEST_NEW:
		*reason = KBROKER_REASON_CREATED;
		return &kbr_nl_event_request;
	case KBR_EVENT_REQUEST_DEL:
		*reason = KBROKER_REASON_DELETED;
		return &kbr_nl_event_request;
	}
	return NULL;
}

static int kbr_nl_event_fill_listener(struct sk_buff *skb, const struct kbr_event *event)
{
	struct kbr_nl_listener listener = { .broker = event->broker, .info = *event->listener };

	return kbr_nl_listener_fill(skb, &listener);
}

static int kbr_nl_event_fill_group(struct sk_buff *skb, const struct kbr_event *event)
{
	struct kbr_nl_group group = { .broker = event->broker, .group = event->group };

	return kbr_nl_group_fill(skb, &group);
}

static int kbr_nl_event_fill_peer(struct sk_buff *skb, const struct kbr_event *event)
{
	struct kbr_nl_peer peer = { .broker = event->broker, .peer = *event->peer };

	return kbr_nl_peer_fill(skb, &peer);
}

static int kbr_nl_event_fill(struct sk_buff *skb, const struct kbr_event *event)
{
	switch (event->kind) {
	case KBR_EVENT_BROKER:
	case KBR_EVENT_BROKER_SET:
		return kbr_nl_broker_fill(skb, event->broker);
	case KBR_EVENT_TOPIC_NEW:
	case KBR_EVENT_TOPIC_SET:
	case KBR_EVENT_TOPIC_DEL:
		return kbr_nl_topic_fill(skb, event->topic);
	case KBR_EVENT_PARTITION:
		return kbr_nl_partition_fill_state(skb, event->part);
	case KBR_EVENT_OP:
		return kbr_nl_op_fill(skb, event->op);
	case KBR_EVENT_LISTENER_NEW:
	case KBR_EVENT_LISTENER_DEL:
		return kbr_nl_event_fill_listener(skb, event);
	case KBR_EVENT_GROUP_NEW:
	case KBR_EVENT_GROUP:
	case KBR_EVENT_GROUP_DEL:
		return kbr_nl_event_fill_group(skb, event);
	case KBR_EVENT_CLUSTER:
		return kbr_nl_cluster_fill(skb, event->broker);
	case KBR_EVENT_PEER_NEW:
	case KBR_EVENT_PEER_SET:
	case KBR_EVENT_PEER_DEL:
		return kbr_nl_event_fill_peer(skb, event);
	case KBR_EVENT_REQUEST_NEW:
	case KBR_EVENT_REQUEST_DEL:
		return kbr_nl_request_fill_hint(skb, event->request);
	}
	return -EINVAL;
}

/**
 * kbr_nl_event() - the broker layer's event listener
 * @event: what changed
 *
 * Context: as kbr_event_listener; the network namespace stays during the call.
 */
void kbr_nl_event(const struct kbr_event *event)
{
	const struct kbr_nl_event_form *form;
	struct net *net = event->knet->net;
	size_t size;
	u8 reason;

	form = kbr_nl_event_form(event, &reason);
	if (!form || !genl_has_listeners(&kbr_nl_family, net, KBROKER_NLGRP_EVENTS))
		return;
	for (size = NLMSG_GOODSIZE; size <= 16 * NLMSG_GOODSIZE; size *= 4) {
		struct sk_buff *skb = nlmsg_new(size, GFP_KERNEL);
		void *hdr;

		if (!skb)
			break;
		hdr = genlmsg_put(skb, 0, 0, &kbr_nl_family, 0, form->cmd);
		if (hdr && !kbr_nl_put_u64(skb, form->seq, event->seq) &&
		    !nla_put_u8(skb, form->reason, reason) && !kbr_nl_event_fill(skb, event)) {
			genlmsg_end(skb, hdr);
			genlmsg_multicast_netns(&kbr_nl_family, net, skb, 0, KBROKER_NLGRP_EVENTS,
						GFP_KERNEL);
			return;
		}
		nlmsg_free(skb);
	}
	genl_set_err(&kbr_nl_family, net, 0, KBROKER_NLGRP_EVENTS, -ENOBUFS);
}
KBR_EXPORT_IF_KUNIT(kbr_nl_event);
