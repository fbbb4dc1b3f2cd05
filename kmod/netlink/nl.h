/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the files of this directory share.
 *
 * Handlers run in parallel and hold no lock of their own. None waits for a
 * disk, recovery or a worker: changes hand over to an operation and answer
 * with its id. Only views of groups may wait, for another broker (nl_group.c).
 */
#ifndef _KBR_NETLINK_NL_H
#define _KBR_NETLINK_NL_H

#include <net/genetlink.h>

#include "base/limits.h"
#include "base/refusal.h"
#include "broker/broker.h"
#include "broker/cluster.h"
#include "broker/event.h"
#include "broker/group.h"
#include "broker/listener.h"
#include "broker/net.h"
#include "broker/op.h"
#include "broker/partition.h"
#include "broker/request.h"
#include "broker/topic.h"
#include "kbr_unaligned.h"
#include "netlink/netlink-gen.h"

extern struct genl_family kbr_nl_family;

struct kbr_nl_view;

/**
 * struct kbr_nl_dump - where a dump goes on; freed by kbroker_nl_dump_done()
 * @knet: namespace of the caller; lives as long as the caller's socket
 * @broker: the broker, with a reference, or NULL: there is nothing to dump
 * @one_topic: only the topic of this name
 * @one_partition: only the partition of this number, -1: all
 * @topic: name of the topic that comes next (its partitions from @partition
 *	on), or after which to go on if @partition is -1
 * @partition: number of the partition that comes next
 * @nth: what comes next inside it: config, open device
 * @id: operation or listener after which to go on; a peer: that comes next
 * @connection: connection or request after which to go on
 * @view: of groups, see nl_group.c, or NULL
 * @done: nothing is left
 * @error: the dump is refused; told when the core asks for its first part
 * @why: why, a constant, or a text of @view
 * @bad: attribute that it is about, or NULL
 */
struct kbr_nl_dump {
	struct kbr_net *knet;
	struct kbr_broker *broker;
	bool one_topic;
	s32 one_partition;
	char topic[KBR_TOPIC_NAME_MAX + 1];
	s32 partition;
	unsigned int nth;
	u32 id;
	u64 connection;
	struct kbr_nl_view *view;
	bool done;
	int error;
	const char *why;
	const struct nlattr *bad;
};

/** Puts the attributes of @obj; 0 or -EMSGSIZE */
typedef int (*kbr_nl_fill)(struct sk_buff *skb, void *obj);

/* netlink.c */
__printf(4, 5)
int kbr_nl_refuse(struct netlink_ext_ack *extack, const struct nlattr *attr, int err,
		  const char *fmt, ...);
int kbr_nl_refused(struct genl_info *info, int err, const struct kbr_refusal *why,
		   const struct nlattr *attr, int config_type);
int kbr_nl_check_unique(const struct nlmsghdr *nlh, u64 multi, struct netlink_ext_ack *extack);
int kbr_nl_check_text(const struct nlattr *attr, struct netlink_ext_ack *extack);
int kbr_nl_check_broker(struct kbr_net *knet, const struct nlattr *name,
			struct netlink_ext_ack *extack, struct kbr_broker **broker);
int kbr_nl_begin(struct genl_info *info, u64 multi, int broker_type, struct kbr_net **knet,
		 struct kbr_broker **broker);
int kbr_nl_require(struct genl_info *info, int type, const char *what);
int kbr_nl_get_owner(struct genl_info *info, int uid_type, int gid_type, int mode_type,
		     struct kbr_owner *owner);
int kbr_nl_get_configs(struct genl_info *info, int type, struct kbr_config_set *set,
		       struct kbr_config_set *del);
int kbr_nl_reply(struct genl_info *info, u8 cmd, kbr_nl_fill fill, void *obj);
struct sk_buff *kbr_nl_answer_new(struct genl_info *info, u8 cmd, void **hdr);
int kbr_nl_dump_start(struct netlink_callback *cb, int broker_type, int topic_type,
		      int partition_type);
int kbr_nl_dump_begin(struct netlink_callback *cb, const struct kbr_nl_dump *dump);
int kbr_nl_dump_put(struct sk_buff *skb, struct netlink_callback *cb, u8 cmd, kbr_nl_fill fill,
		    void *obj);
struct kbr_topic *kbr_nl_dump_topic(struct kbr_nl_dump *dump);
void kbr_nl_dump_topic_done(struct kbr_nl_dump *dump);

static inline struct kbr_nl_dump *kbr_nl_dump_of(struct netlink_callback *cb)
{
	return *(struct kbr_nl_dump **)cb->ctx;
}

/* nl_topic.c */
struct kbr_topic *kbr_nl_topic_lookup(struct genl_info *info, struct kbr_broker *broker, int type);

/* nl_config.c */
int kbr_nl_config_set_fill(struct sk_buff *skb, int type, const struct kbr_config_set *set);

/* nl_broker.c, nl_topic.c, nl_partition.c, nl_op.c: attributes of an object */
int kbr_nl_broker_fill(struct sk_buff *skb, void *obj);
int kbr_nl_topic_fill(struct sk_buff *skb, void *obj);
int kbr_nl_partition_fill(struct sk_buff *skb, void *obj);
int kbr_nl_partition_fill_state(struct sk_buff *skb, struct kbr_partition *part);
int kbr_nl_op_fill(struct sk_buff *skb, void *obj);

/**
 * struct kbr_nl_listener - a listener for kbr_nl_listener_fill()
 * @broker: its broker
 * @info: its state
 */
struct kbr_nl_listener {
	struct kbr_broker *broker;
	struct kbr_listener_info info;
};

/* nl_listener.c */
int kbr_nl_listener_fill(struct sk_buff *skb, void *obj);
int kbr_nl_get_listeners(struct genl_info *info, struct kbr_listener_params **params,
			 unsigned int *count);
int kbr_nl_put_address(struct sk_buff *skb, int type, int port_type,
		       const struct sockaddr_storage *address);
int kbr_nl_get_address(const struct nlattr *text, const struct nlattr *port,
		       struct sockaddr_storage *address, struct netlink_ext_ack *extack);
int kbr_nl_get_host(const struct nlattr *attr, char host[KBR_HOST_MAX + 1],
		    struct netlink_ext_ack *extack);

/**
 * struct kbr_nl_peer - a broker of a cluster for kbr_nl_peer_fill()
 * @broker: who knows of it
 * @peer: what it knows
 */
struct kbr_nl_peer {
	struct kbr_broker *broker;
	struct kbr_peer peer;
};

/* nl_cluster.c, nl_request.c */
int kbr_nl_cluster_fill(struct sk_buff *skb, void *obj);
int kbr_nl_peer_fill(struct sk_buff *skb, void *obj);
int kbr_nl_request_fill_hint(struct sk_buff *skb, const struct kbr_cluster_request *request);

/**
 * struct kbr_nl_group - a consumer group for kbr_nl_group_fill()
 * @broker: its broker
 * @group: it
 */
struct kbr_nl_group {
	struct kbr_broker *broker;
	struct kbr_group *group;
};

/* nl_group.c */
int kbr_nl_group_fill(struct sk_buff *skb, void *obj);
int kbr_nl_group_begin(struct genl_info *info, u64 multi, int name_type,
		       struct kbr_broker **broker);
void kbr_nl_view_free(struct kbr_nl_view *view);

/* nl_event.c */
void kbr_nl_event(const struct kbr_event *event);

/* Integers of this family are big-endian; 64-bit ones are not aligned. */
static inline int kbr_nl_put_u16(struct sk_buff *skb, int type, u16 val)
{
	return nla_put_be16(skb, type, cpu_to_be16(val));
}

static inline int kbr_nl_put_u32(struct sk_buff *skb, int type, u32 val)
{
	return nla_put_be32(skb, type, cpu_to_be32(val));
}

static inline int kbr_nl_put_u64(struct sk_buff *skb, int type, u64 val)
{
	__be64 raw = cpu_to_be64(val);

	return nla_put(skb, type, sizeof(raw), &raw);
}

static inline u64 kbr_nl_get_u64(const struct nlattr *attr)
{
	return get_unaligned_be64(nla_data(attr));
}

#endif /* _KBR_NETLINK_NL_H */
