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

/**
 * struct kbr_metadata_topic - what is kept about a topic
 * @name: its name; owned by whoever made the struct
 * @id: UUID
 * @partitions: number of partitions
 * @replication_factor: as created
 * @uid: owner, in the initial user namespace
 * @gid: group, in the initial user namespace
 * @mode: 0..0777
 * @configs: set explicitly; a callback of kbr_metadata_open() may take them over
 */
struct kbr_metadata_topic {
	const char *name;
	u8 id[16];
	u32 partitions;
	u16 replication_factor;
	u32 uid;
	u32 gid;
	umode_t mode;
	struct kbr_config_set configs;
};

/**
 * struct kbr_metadata_broker - what is kept about the broker
 * @uid: owner, in the initial user namespace
 * @gid: group
 * @mode: default mode of topics
 * @producer_ids: ids below were reserved for idempotent producers
 * @configs: set explicitly
 */
struct kbr_metadata_broker {
	u32 uid;
	u32 gid;
	umode_t mode;
	s64 producer_ids;
	struct kbr_config_set configs;
};

/**
 * struct kbr_metadata_visitor - who hears what the log says
 * @broker: the broker's own record, if there is one
 * @topic: each topic that exists at the end of the log
 * @deleted: each topic whose deletion the log still shows
 *
 * All may take over the configs (and zero them). An error ends the replay.
 */
struct kbr_metadata_visitor {
	int (*broker)(struct kbr_broker *broker, struct kbr_metadata_broker *found,
		      struct kbr_refusal *why);
	int (*topic)(struct kbr_broker *broker, struct kbr_metadata_topic *found,
		     struct kbr_refusal *why);
	int (*deleted)(struct kbr_broker *broker, const char *name, const u8 id[16]);
};

/** kbr_metadata_open() - open or create the log, recover, replay */
int kbr_metadata_open(struct kbr_broker *broker, bool clean, s64 recovery_point, s64 start,
		      const struct kbr_metadata_visitor *visitor, struct kbr_refusal *why);
/**
 * kbr_metadata_of_topic() - the present state of @topic, whose configs stay its own
 *
 * Context: operations only, since nobody may alter it meanwhile.
 */
void kbr_metadata_of_topic(struct kbr_topic *topic, struct kbr_metadata_topic *found);
/** kbr_metadata_put_topic() - append @topic's new state and sync: the commit point of create and alter */
int kbr_metadata_put_topic(struct kbr_broker *broker, const struct kbr_metadata_topic *topic);
/** kbr_metadata_del_topic() - append the deletion and sync */
int kbr_metadata_del_topic(struct kbr_broker *broker, const char *name, const u8 id[16]);
/** kbr_metadata_put_broker() - append the broker's owner, mode and configs, and sync */
int kbr_metadata_put_broker(struct kbr_broker *broker, const struct kbr_metadata_broker *found);
/** kbr_metadata_compact() - if most of the log is history: append the present state anew and forget the rest */
void kbr_metadata_compact(struct kbr_broker *broker);
/** kbr_metadata_close() - clean stop; @abandon: without touching the disk */
int kbr_metadata_close(struct kbr_broker *broker, bool abandon);
/** kbr_metadata_log() - its log, or NULL */
struct kbr_log *kbr_metadata_log(struct kbr_broker *broker);

#define KBR_METADATA_TOPIC	"__cluster_metadata"

#endif /* _KBR_BROKER_METADATA_H */
