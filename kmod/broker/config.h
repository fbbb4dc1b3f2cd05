/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Configs by Kafka's names: one table for topics, one for brokers, with type,
 * range, default, and where the value lives.
 */
#ifndef _KBR_BROKER_CONFIG_H
#define _KBR_BROKER_CONFIG_H

#include <linux/types.h>
#include "base/limits.h"
#include "base/refusal.h"
#include "storage/log.h"

/* Pairs of one list of throttled replicas */
#define KBR_THROTTLED_MAX	16
/* The first entry of a list that has none: no replica is throttled */
#define KBR_THROTTLED_NOBODY	U64_MAX

/**
 * struct kbr_throttled - a list of throttled replicas
 * @pair: partition and broker, as kbr_throttled_pair() has them; 0 ends it. With none all are
 *	throttled
 *
 * Read without a lock while it is altered: any mixture of two lists is one.
 */
struct kbr_throttled {
	u64 pair[KBR_THROTTLED_MAX];
};

static inline u64 kbr_throttled_pair(u32 partition, s32 broker)
{
	return ((u64)partition << 32 | (u32)broker) + 1;
}

/** kbr_throttled_has() - is replica @broker of partition @partition throttled? */
bool kbr_throttled_has(const struct kbr_throttled *list, u32 partition, s32 broker);

/**
 * struct kbr_topic_config - every config of a topic, effective values
 * @log: what storage obeys
 * @flush_async: flush.policy=async: acknowledge before the disk has it
 * @min_insync_replicas: min.insync.replicas
 * @delivery_timeout_ms: delivery.timeout.ms: how long write() waits for its acks
 * @flush_messages: flush.messages
 * @flush_ms: flush.ms
 * @leader_throttled: leader.replication.throttled.replicas
 * @follower_throttled: follower.replication.throttled.replicas
 */
struct kbr_topic_config {
	struct kbr_log_config log;
	bool flush_async;
	u32 min_insync_replicas;
	s64 delivery_timeout_ms;
	s64 flush_messages;
	s64 flush_ms;
	struct kbr_throttled leader_throttled;
	struct kbr_throttled follower_throttled;
};

/**
 * struct kbr_broker_config - every config of a broker, effective values
 * @topic: defaults for topics (log.* names)
 * @num_partitions: num.partitions
 * @default_replication_factor: default.replication.factor
 * @retention_check_ms: log.retention.check.interval.ms
 * @checkpoint_ms: log.flush.offset.checkpoint.interval.ms
 * @producer_expiration_ms: producer.id.expiration.ms
 * @files_max: open segment files kept
 * @unsynced_bytes_max: bytes appended and not synced before writers wait
 * @replica_lag_time_max_ms: replica.lag.time.max.ms
 * @leader_throttle_rate: leader.replication.throttled.rate: bytes a second to all followers
 *	that are not in sync
 * @follower_throttle_rate: follower.replication.throttled.rate: likewise from all leaders
 * @replica_nearest: replica.selector.class: consumers are sent to a replica of their rack
 * @recovery_threads: num.recovery.threads.per.data.dir
 * @scrub_bytes_per_s: log.scrub.bytes.per.second; 0 off
 * @auto_create_topics: auto.create.topics.enable (for the listener)
 * @connections_max: max.connections
 * @connections_per_ip_max: max.connections.per.ip
 * @connections_idle_ms: connections.max.idle.ms
 * @request_bytes_max: socket.request.max.bytes
 * @request_bytes_queued_max: queued.max.request.bytes: memory of all frames and replies
 * @fetch_bytes_max: fetch.max.bytes: of one answer to a Fetch
 * @fetch_sessions_max: max.incremental.fetch.session.cache.slots
 * @replica_fetch_wait_ms: replica.fetch.wait.max.ms: how long a leader may wait for records
 * @replica_fetch_bytes_min: replica.fetch.min.bytes
 * @replica_fetch_bytes_max: replica.fetch.max.bytes: of one partition in one answer
 * @replica_fetch_response_max: replica.fetch.response.max.bytes: of one answer
 * @replica_fetch_backoff_ms: replica.fetch.backoff.ms: before a leader that refused is asked again
 * @group_memory_max: group.memory.max.bytes: what all groups may hold
 * @group_size_max: group.max.size: members of one group
 * @group_session_ms_min: group.min.session.timeout.ms
 * @group_session_ms_max: group.max.session.timeout.ms
 * @group_delay_ms: group.initial.rebalance.delay.ms
 * @offset_metadata_max: offset.metadata.max.bytes
 * @offsets_check_ms: offsets.retention.check.interval.ms
 * @offsets_retention_minutes: offsets.retention.minutes
 * @offsets_partitions: offsets.topic.num.partitions
 * @auto_commit_ms: auto.commit.interval.ms: how often devices of a group commit
 * @request_timeout_ms: request.timeout.ms: how long a cluster's controller may take
 * @controlled_shutdown_ms: controlled.shutdown.timeout.ms: likewise, to move
 *	leaderships away before a stop; 0: it is not asked
 */
struct kbr_broker_config {
	struct kbr_topic_config topic;
	u32 num_partitions;
	u32 default_replication_factor;
	s64 retention_check_ms;
	s64 checkpoint_ms;
	s64 producer_expiration_ms;
	u32 files_max;
	u64 unsynced_bytes_max;
	s64 replica_lag_time_max_ms;
	s64 leader_throttle_rate;
	s64 follower_throttle_rate;
	bool replica_nearest;
	u32 recovery_threads;
	u64 scrub_bytes_per_s;
	bool auto_create_topics;
	u32 connections_max;
	u32 connections_per_ip_max;
	s64 connections_idle_ms;
	u32 request_bytes_max;
	u64 request_bytes_queued_max;
	u32 fetch_bytes_max;
	u32 fetch_sessions_max;
	u32 replica_fetch_wait_ms;
	u32 replica_fetch_bytes_min;
	u32 replica_fetch_bytes_max;
	u32 replica_fetch_response_max;
	u32 replica_fetch_backoff_ms;
	u64 group_memory_max;
	u32 group_size_max;
	u32 group_session_ms_min;
	u32 group_session_ms_max;
	u32 group_delay_ms;
	u32 offset_metadata_max;
	s64 offsets_check_ms;
	u32 offsets_retention_minutes;
	u32 offsets_partitions;
	u32 auto_commit_ms;
	u32 request_timeout_ms;
	u32 controlled_shutdown_ms;
};

/**
 * struct kbr_config_set - the configs that somebody set explicitly, as text
 *
 * Sorted by name, unique; an owned, bounded list. An empty set is all zero.
 */
struct kbr_config_set {
	unsigned int count;
	struct kbr_config_entry *entries;
};

struct kbr_config_entry {
	char *name;
	char *value;
};

int kbr_config_set_put(struct kbr_config_set *set, const char *name, const char *value);
int kbr_config_set_del(struct kbr_config_set *set, const char *name);
const char *kbr_config_set_get(const struct kbr_config_set *set, const char *name);
int kbr_config_set_copy(struct kbr_config_set *to, const struct kbr_config_set *from);
/**
 * kbr_config_set_merge() - what a set is once it was altered
 * @to: overwritten; empty after an error
 * @from: as it is
 * @set: names to set
 * @del: names to reset; their values do not count
 * @known: refuses names of @del that no config has
 *
 * Return: 0; -E2BIG, -ENOMEM; as @known.
 */
int kbr_config_set_merge(struct kbr_config_set *to, const struct kbr_config_set *from,
			 const struct kbr_config_set *set, const struct kbr_config_set *del,
			 int (*known)(const char *name, struct kbr_refusal *why),
			 struct kbr_refusal *why);
void kbr_config_set_free(struct kbr_config_set *set);

void kbr_broker_config_default(struct kbr_broker_config *config);
/** kbr_broker_config_apply() - defaults, then @set; -EINVAL for unknown names and bad values, which @why names */
int kbr_broker_config_apply(struct kbr_broker_config *config, const struct kbr_config_set *set,
			    struct kbr_refusal *why);
/** kbr_topic_config_apply() - the broker's defaults, then @set, and the rules between values */
int kbr_topic_config_apply(struct kbr_topic_config *config, const struct kbr_broker_config *broker,
			   const struct kbr_config_set *set, struct kbr_refusal *why);

/** kbr_topic_config_publish() - put @from into effect at @to, which others read; field by field */
void kbr_topic_config_publish(struct kbr_topic_config *to, const struct kbr_topic_config *from);
void kbr_broker_config_publish(struct kbr_broker_config *to, const struct kbr_broker_config *from);
/** kbr_topic_config_known() - 0 if there is such a config, else -EINVAL and why */
int kbr_topic_config_known(const char *name, struct kbr_refusal *why);
int kbr_broker_config_known(const char *name, struct kbr_refusal *why);

/**
 * kbr_config_describe() - the @index-th config of a topic (@topic set) or of a broker
 * @value: buffer for the effective value as text (KBR_CONFIG_VALUE_MAX + 1)
 * @is_default: not set explicitly
 * Return: its name, or NULL past the end.
 */
const char *kbr_topic_config_describe(const struct kbr_topic_config *config,
				      const struct kbr_config_set *set, unsigned int index,
				      char *value, bool *is_default);
/**
 * kbr_topic_config_default() - the broker-wide default of the @index-th config of a topic
 *
 * As kbr_broker_config_describe().
 */
const char *kbr_topic_config_default(const struct kbr_broker_config *config,
				     const struct kbr_config_set *set, unsigned int index,
				     char *value, bool *is_default);
const char *kbr_broker_config_describe(const struct kbr_broker_config *config,
				       const struct kbr_config_set *set, unsigned int index,
				       char *value, bool *is_default);

#endif /* _KBR_BROKER_CONFIG_H */
