/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * News from the broker layer to whoever listens above it (netlink).
 */
#ifndef _KBR_BROKER_EVENT_H
#define _KBR_BROKER_EVENT_H

#include <linux/types.h>
#include "broker/net.h"

struct kbr_broker;
struct kbr_cluster_request;
struct kbr_group;
struct kbr_listener_info;
struct kbr_peer;
struct kbr_topic;
struct kbr_partition;
struct kbr_op;

enum kbr_event_kind {
	KBR_EVENT_BROKER,	/* its state changed */
	KBR_EVENT_BROKER_SET,
	KBR_EVENT_TOPIC_NEW,
	KBR_EVENT_TOPIC_SET,
	KBR_EVENT_TOPIC_DEL,
	KBR_EVENT_PARTITION,	/* role, error, recovery, log start by delete-records */
	KBR_EVENT_OP,
	KBR_EVENT_LISTENER_NEW,
	KBR_EVENT_LISTENER_DEL,
	KBR_EVENT_GROUP_NEW,
	KBR_EVENT_GROUP,	/* its state or its members changed */
	KBR_EVENT_GROUP_DEL,
	KBR_EVENT_CLUSTER,	/* how its @broker stands to its cluster */
	KBR_EVENT_PEER_NEW,
	KBR_EVENT_PEER_SET,
	KBR_EVENT_PEER_DEL,
	KBR_EVENT_REQUEST_NEW,
	KBR_EVENT_REQUEST_DEL,	/* it is not open any more */
};

/**
 * struct kbr_event - one change; pointers are valid during the call only
 * @kind: what changed; the matching pointer is set (a listener, a group, a peer, a request: its @broker, too)
 * @seq: sequence number in the namespace, without gaps
 */
struct kbr_event {
	enum kbr_event_kind kind;
	u64 seq;
	struct kbr_net *knet;
	struct kbr_broker *broker;
	struct kbr_topic *topic;
	struct kbr_partition *part;
	struct kbr_op *op;
	const struct kbr_listener_info *listener;
	struct kbr_group *group;
	const struct kbr_peer *peer;
	struct kbr_cluster_request *request;
};

/** Listener: called in process context, may sleep, holds no lock of ours that is inner to the admin mutex */
typedef void (*kbr_event_listener)(const struct kbr_event *event);

/** kbr_event_set_listener() - the one listener; NULL takes it away and waits until no call runs */
void kbr_event_set_listener(kbr_event_listener listener);
void kbr_event_raise(struct kbr_net *knet, struct kbr_event *event);

#endif /* _KBR_BROKER_EVENT_H */
