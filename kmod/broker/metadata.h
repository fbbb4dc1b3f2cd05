/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Standalone metadata: the log __cluster_metadata-0, whose record values are
 * a version and the netlink attributes of a topic (one encoding, one
 * validator). Replayed at start; an attribute or version that this module
 * does not know is refused by name.
 */
#ifndef _KBR_BROKER_METADATA_H
#define _KBR_BROKER_METADATA_H

#include "broker/broker.h"

struct kbr_topic;

/**
 * kbr_metadata_open() - open or create the log, recover, replay
 * @topic: called once for each topic that exists at the end of the log
 */
struct kbr_metadata_topic {
	const char *name;
	u8 id[16];
	u32 partitions;
	u16 replication_factor;
	u32 uid, gid;			/* in the initial user namespace */
	umode_t mode;
	struct kbr_config_set configs;	/* the callback takes it over */
};

int kbr_metadata_open(struct kbr_broker *broker, bool clean, s64 recovery_point,
		      int (*topic)(struct kbr_broker *broker, struct kbr_metadata_topic *found),
		      struct kbr_refusal *why);
/** kbr_metadata_put_topic() - append @topic's present state and sync; the commit point of create and alter */
int kbr_metadata_put_topic(struct kbr_broker *broker, struct kbr_topic *topic);
/** kbr_metadata_del_topic() - append the deletion and sync */
int kbr_metadata_del_topic(struct kbr_broker *broker, struct kbr_topic *topic);
/** kbr_metadata_put_broker() - append the broker's owner, mode and configs, and sync */
int kbr_metadata_put_broker(struct kbr_broker *broker);
/** kbr_metadata_close() - clean stop */
int kbr_metadata_close(struct kbr_broker *broker);
struct kbr_log *kbr_metadata_log(struct kbr_broker *broker);

#endif /* _KBR_BROKER_METADATA_H */
