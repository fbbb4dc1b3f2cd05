/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The state that the daemons of a cluster replicate, and the commands that
 * change it. Deterministic: the same commands in the same order give the same
 * state, and the same snapshot to the byte, on every node.
 */
#ifndef _KBROKERD_STATE_H
#define _KBROKERD_STATE_H

#include <linux/kbroker_netlink.h>
#include <linux/types.h>

#include "decide.h"
#include "encode.h"

#define KBD_UUID_SIZE		16
/* Partitions of a cluster */
#define KBD_PARTITIONS_MAX	200000
/* Configs of a topic: what an attribute can hold */
#define KBD_CONFIGS_MAX		48
/* Owner or mode of a topic that has none of its own: the broker's apply */
#define KBD_UNSET		0xffffffffu

/**
 * struct kbd_config - a config of a topic
 * @name: Kafka's
 * @value: as text
 */
struct kbd_config {
	char name[KBROKER_CONFIG_NAME_MAX + 1];
	char value[KBROKER_CONFIG_VALUE_MAX + 1];
};

/**
 * struct kbd_topic - a topic
 * @id: its UUID
 * @name: its name
 * @factor: replicas that a new partition gets
 * @uid: owner, or KBD_UNSET
 * @gid: group, or KBD_UNSET
 * @mode: mode, or KBD_UNSET
 * @configs: how many configs
 * @config: by name
 * @partitions: how many
 * @partition: they
 */
struct kbd_topic {
	u8 id[KBD_UUID_SIZE];
	char name[KBROKER_TOPIC_NAME_MAX + 1];
	u16 factor;
	u32 uid;
	u32 gid;
	u32 mode;
	unsigned int configs;
	struct kbd_config *config;
	u32 partitions;
	struct kbd_partition *partition;
};

/**
 * struct kbd_ref - names a partition
 * @topic: of which; valid as long as the topic is
 * @partition: its number
 */
struct kbd_ref {
	struct kbd_topic *topic;
	u32 partition;
};

/**
 * struct kbd_refs - partitions
 * @count: how many
 * @room: how many fit
 * @ref: they, in no order
 */
struct kbd_refs {
	unsigned int count;
	unsigned int room;
	struct kbd_ref *ref;
};

/**
 * struct kbd_member - what a broker's registration says besides struct kbd_broker
 * @incarnation: made anew by each start of the broker
 * @address: at which brokers reach it
 * @port: likewise
 * @host: that clients are told, "": the address
 * @host_port: likewise, 0: the port
 * @registered: Raft index of the registration
 * @replicas: partitions that it is a replica of
 */
struct kbd_member {
	u8 incarnation[KBD_UUID_SIZE];
	char address[KBROKER_ADDRESS_MAX + 1];
	u16 port;
	char host[KBROKER_HOST_MAX + 1];
	u16 host_port;
	u64 registered;
	struct kbd_refs replicas;
};

/**
 * struct kbd_touched - what the last command changed
 * @brokers: brokers, their endpoints or sessions
 * @topics: a topic came, went or has other settings
 * @refs: partitions; those of a topic that went are not named
 */
struct kbd_touched {
	bool brokers;
	bool topics;
	struct kbd_refs refs;
};

/**
 * struct kbd_state - all of it
 * @cluster_id: UUID of the cluster, zeros before KBD_INIT
 * @index: Raft index of the last command
 * @next_epoch: of the next registration
 * @brokers: brokers, by rising id
 * @member: what belongs to each of them, at the same place
 * @topics: how many topics
 * @by_name: they, by name
 * @by_id: they, by UUID
 * @partitions: of all topics
 * @touched: see there
 */
struct kbd_state {
	u8 cluster_id[KBD_UUID_SIZE];
	u64 index;
	s64 next_epoch;
	struct kbd_brokers brokers;
	struct kbd_member *member[KBD_BROKERS_MAX];
	unsigned int topics;
	struct kbd_topic **by_name;
	struct kbd_topic **by_id;
	u32 partitions;
	struct kbd_touched touched;
};

/**
 * struct kbd_result - what became of a command
 * @err: errno, 0 done
 * @epoch: KBD_REGISTER: the broker's epoch
 * @text: why it was refused
 */
struct kbd_result {
	int err;
	s64 epoch;
	char text[KBD_WHY_SIZE];
};

struct kbd_state *kbd_state_new(void);
void kbd_state_free(struct kbd_state *state);

/** kbd_topic_find() - NULL: there is none of that name */
struct kbd_topic *kbd_topic_find(const struct kbd_state *state, const char *name);
/** kbd_topic_by_id() - NULL: there is none of that UUID */
struct kbd_topic *kbd_topic_by_id(const struct kbd_state *state, const u8 *id);
/** kbd_member_find() - NULL: not registered */
struct kbd_member *kbd_member_find(const struct kbd_state *state, s32 id);

/* For apply.c and the snapshot's reader; the callers have checked */
struct kbd_member *kbd_state_add_broker(struct kbd_state *state, s32 id);
void kbd_state_del_broker(struct kbd_state *state, s32 id);
struct kbd_topic *kbd_state_add_topic(struct kbd_state *state, const char *name, const u8 *id);
void kbd_state_del_topic(struct kbd_state *state, struct kbd_topic *topic);
/* @count partitions all in all; the new ones are zero */
void kbd_topic_grow(struct kbd_state *state, struct kbd_topic *topic, u32 count);
/* Its replicas were @before, and are others now */
void kbd_state_index(struct kbd_state *state, struct kbd_topic *topic, u32 partition,
		     const struct kbd_set *before);
/* @value NULL: away; false: too many */
bool kbd_topic_set_config(struct kbd_topic *topic, const char *name, const char *value);
const char *kbd_topic_config(const struct kbd_topic *topic, const char *name);
/* What of the configs matters to decisions, into the partitions from @first on */
void kbd_topic_derive(struct kbd_topic *topic, u32 first);
void kbd_refs_add(struct kbd_refs *refs, struct kbd_topic *topic, u32 partition);

/**
 * kbd_apply() - carry a command out
 * @index: of the Raft log
 * @msg: a checked message of kind KBD_INIT to KBD_REMOVE
 *
 * A command that is refused changes nothing. @state->touched tells what one
 * that was carried out did.
 */
void kbd_apply(struct kbd_state *state, u64 index, const struct kbd_message *msg,
	       struct kbd_result *result);

/** kbd_state_save_brokers() - a KBD_A_BROKER for each */
void kbd_state_save_brokers(const struct kbd_state *state, struct kbd_buf *buf);

/* An answer tells of no more reassignments when it is so long */
#define KBD_MOVES_BYTES		(1U << 20)

/** kbd_state_save_moves() - a KBD_A_PARTITION, with its topic's name, for each that is reassigned */
void kbd_state_save_moves(const struct kbd_state *state, struct kbd_buf *buf);

/** kbd_state_save() - a snapshot, into @buf */
void kbd_state_save(const struct kbd_state *state, struct kbd_buf *buf);

/**
 * kbd_state_load() - a new state out of a snapshot
 * @why: out, KBD_WHY_SIZE bytes, where the result is NULL
 */
struct kbd_state *kbd_state_load(const void *data, size_t len, char *why);

#endif /* _KBROKERD_STATE_H */
