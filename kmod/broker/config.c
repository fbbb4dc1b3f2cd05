// SPDX-License-Identifier: GPL-2.0-only
/*
 * Configs by Kafka's names: the tables, and how text becomes a value. Sets of
 * text are in config_set.c; what a config does is up to whoever reads it.
 */
#include <linux/kernel.h>
#include <linux/stddef.h>
#include <linux/string.h>

#include "base/kunit.h"
#include "broker/config.h"
#include "broker/throttle.h"

#define KBR_HOUR_MS	(60LL * 60 * 1000)

enum kbr_config_type {
	KBR_CONFIG_S64,
	KBR_CONFIG_U64,
	KBR_CONFIG_U32,
	KBR_CONFIG_BOOL,
	KBR_CONFIG_WORD,	/* one of @words; stored as bool: is it the second? */
	KBR_CONFIG_THROTTLED,	/* *, none or PARTITION:BROKER,... */
};

/**
 * struct kbr_config_def - one config
 * @name: a topic's name, or a broker's in the broker table
 * @broker: name of the broker-wide default of a topic's config, NULL none
 * @type: how it is stored
 * @offset: where, in struct kbr_topic_config or kbr_broker_config; NO_FIELD: nowhere
 * @min: smallest value
 * @max: largest value
 * @initial: default
 * @words: the accepted words of KBR_CONFIG_WORD; a single one for configs whose
 *	only supported value is Kafka's default
 * @else_why: what to tell somebody who wants another word
 */
struct kbr_config_def {
	const char *name;
	const char *broker;
	enum kbr_config_type type;
	unsigned int offset;
	s64 min;
	s64 max;
	s64 initial;
	const char *words[2];
	const char *else_why;
};

/**
 * struct kbr_config_value - a value under way
 * @number: of all types but one
 * @throttled: of KBR_CONFIG_THROTTLED
 */
struct kbr_config_value {
	s64 number;
	struct kbr_throttled throttled;
};

#define KBR_NO_FIELD	(~0u)
#define TOPIC(field)	offsetof(struct kbr_topic_config, field)
#define BROKER(field)	offsetof(struct kbr_broker_config, field)

/* Sorted by name. */
static const struct kbr_config_def kbr_topic_configs[] = {
	{ "cleanup.policy", "log.cleanup.policy", KBR_CONFIG_WORD, KBR_NO_FIELD,
	  .words = { "delete" }, .else_why = "compaction is not supported yet" },
	{ "compression.type", "compression.type", KBR_CONFIG_WORD, KBR_NO_FIELD,
	  .words = { "producer" }, .else_why = "batches are stored as their producer compressed them" },
	{ "delivery.timeout.ms", "delivery.timeout.ms", KBR_CONFIG_S64, TOPIC(delivery_timeout_ms),
	  1, INT_MAX, 120000 },
	{ "file.delete.delay.ms", "log.segment.delete.delay.ms", KBR_CONFIG_S64,
	  TOPIC(log.file_delete_delay_ms), 0, S64_MAX, 60000 },
	{ "flush.messages", "log.flush.interval.messages", KBR_CONFIG_S64, TOPIC(flush_messages),
	  1, S64_MAX, S64_MAX },
	{ "flush.ms", "log.flush.interval.ms", KBR_CONFIG_S64, TOPIC(flush_ms), 0, S64_MAX, S64_MAX },
	{ "flush.policy", "log.flush.policy", KBR_CONFIG_WORD, TOPIC(flush_async),
	  .words = { "sync", "async" } },
	{ "follower.replication.throttled.replicas", "follower.replication.throttled.replicas",
	  KBR_CONFIG_THROTTLED, TOPIC(follower_throttled) },
	{ "index.interval.bytes", "log.index.interval.bytes", KBR_CONFIG_U32,
	  TOPIC(log.index_interval_bytes), 0, INT_MAX, 4096 },
	{ "leader.replication.throttled.replicas", "leader.replication.throttled.replicas",
	  KBR_CONFIG_THROTTLED, TOPIC(leader_throttled) },
	{ "max.message.bytes", "message.max.bytes", KBR_CONFIG_U32, TOPIC(log.batch_bytes_max),
	  0, KBR_BATCH_BYTES_MAX, 1048588 },
	{ "message.timestamp.after.max.ms", "log.message.timestamp.after.max.ms", KBR_CONFIG_S64,
	  TOPIC(log.timestamp_after_max_ms), 0, S64_MAX, KBR_HOUR_MS },
	{ "message.timestamp.before.max.ms", "log.message.timestamp.before.max.ms", KBR_CONFIG_S64,
	  TOPIC(log.timestamp_before_max_ms), 0, S64_MAX, S64_MAX },
	{ "message.timestamp.type", "log.message.timestamp.type", KBR_CONFIG_WORD,
	  TOPIC(log.append_time), .words = { "CreateTime", "LogAppendTime" } },
	{ "min.insync.replicas", "min.insync.replicas", KBR_CONFIG_U32, TOPIC(min_insync_replicas),
	  1, 32767, 1 },
	{ "preallocate", "log.preallocate", KBR_CONFIG_WORD, KBR_NO_FIELD,
	  .words = { "false" }, .else_why = "segments are never preallocated" },
	{ "retention.bytes", "log.retention.bytes", KBR_CONFIG_S64, TOPIC(log.retention_bytes),
	  -1, S64_MAX, -1 },
	{ "retention.ms", "log.retention.ms", KBR_CONFIG_S64, TOPIC(log.retention_ms),
	  -1, S64_MAX, 168 * KBR_HOUR_MS },
	{ "segment.bytes", "log.segment.bytes", KBR_CONFIG_U32, TOPIC(log.segment_bytes),
	  KBR_SEGMENT_BYTES_MIN, KBR_SEGMENT_BYTES_MAX, 1 << 30 },
	{ "segment.index.bytes", "log.index.size.max.bytes", KBR_CONFIG_U32,
	  TOPIC(log.index_bytes_max), 96, INT_MAX, 10 << 20 },
	{ "segment.jitter.ms", "log.roll.jitter.ms", KBR_CONFIG_S64, TOPIC(log.segment_jitter_ms),
	  0, S64_MAX, 0 },
	{ "segment.ms", "log.roll.ms", KBR_CONFIG_S64, TOPIC(log.segment_ms),
	  1, S64_MAX, 168 * KBR_HOUR_MS },
	{ "unclean.leader.election.enable", "unclean.leader.election.enable", KBR_CONFIG_WORD,
	  KBR_NO_FIELD, .words = { "false" },
	  .else_why = "a standalone broker has no election to lose records in" },
};

/* Sorted by name; the broker-wide defaults of topics come from the table above. */
static const struct kbr_config_def kbr_broker_configs[] = {
	{ "auto.commit.interval.ms", NULL, KBR_CONFIG_U32, BROKER(auto_commit_ms), 10, INT_MAX, 5000 },
	{ "auto.create.topics.enable", NULL, KBR_CONFIG_BOOL, BROKER(auto_create_topics), .initial = 1 },
	{ "connections.max.idle.ms", NULL, KBR_CONFIG_S64, BROKER(connections_idle_ms),
	  1, S64_MAX, 600000 },
	{ "controlled.shutdown.timeout.ms", NULL, KBR_CONFIG_U32, BROKER(controlled_shutdown_ms),
	  0, INT_MAX, 10000 },
	{ "default.replication.factor", NULL, KBR_CONFIG_U32, BROKER(default_replication_factor),
	  1, 32767, 1 },
	{ "fetch.max.bytes", NULL, KBR_CONFIG_U32, BROKER(fetch_bytes_max), 1024, INT_MAX, 57671680 },
	{ "follower.replication.throttled.rate", NULL, KBR_CONFIG_S64,
	  BROKER(follower_throttle_rate), 1, KBR_THROTTLE_NONE, KBR_THROTTLE_NONE },
	{ "group.initial.rebalance.delay.ms", NULL, KBR_CONFIG_U32, BROKER(group_delay_ms),
	  0, INT_MAX, 3000 },
	{ "group.max.session.timeout.ms", NULL, KBR_CONFIG_U32, BROKER(group_session_ms_max),
	  1, INT_MAX, 1800000 },
	{ "group.max.size", NULL, KBR_CONFIG_U32, BROKER(group_size_max), 1, INT_MAX, INT_MAX },
	{ "group.memory.max.bytes", NULL, KBR_CONFIG_U64, BROKER(group_memory_max),
	  1 << 16, 1LL << 40, 256 << 20 },
	{ "group.min.session.timeout.ms", NULL, KBR_CONFIG_U32, BROKER(group_session_ms_min),
	  1, INT_MAX, 6000 },
	{ "leader.replication.throttled.rate", NULL, KBR_CONFIG_S64,
	  BROKER(leader_throttle_rate), 1, KBR_THROTTLE_NONE, KBR_THROTTLE_NONE },
	{ "log.flush.offset.checkpoint.interval.ms", NULL, KBR_CONFIG_S64, BROKER(checkpoint_ms),
	  10, INT_MAX, 60000 },
	{ "log.retention.check.interval.ms", NULL, KBR_CONFIG_S64, BROKER(retention_check_ms),
	  1, INT_MAX, 300000 },
	{ "log.scrub.bytes.per.second", NULL, KBR_CONFIG_U64, BROKER(scrub_bytes_per_s),
	  0, 1LL << 40, 1 << 20 },
	{ "log.segment.files.max", NULL, KBR_CONFIG_U32, BROKER(files_max),
	  16, 1 << 20, KBR_BROKER_FILES_MAX },
	{ "log.unsynced.bytes.max", NULL, KBR_CONFIG_U64, BROKER(unsynced_bytes_max),
	  1 << 16, 1LL << 40, KBR_BROKER_UNSYNCED_BYTES_MAX },
	{ "max.connections", NULL, KBR_CONFIG_U32, BROKER(connections_max),
	  0, KBR_CONNECTIONS_MAX, 20000 },
	{ "max.connections.per.ip", NULL, KBR_CONFIG_U32, BROKER(connections_per_ip_max),
	  0, INT_MAX, INT_MAX },
	{ "max.incremental.fetch.session.cache.slots", NULL, KBR_CONFIG_U32,
	  BROKER(fetch_sessions_max), 0, INT_MAX, 1000 },
	{ "num.partitions", NULL, KBR_CONFIG_U32, BROKER(num_partitions),
	  1, KBR_TOPIC_PARTITIONS_MAX, 1 },
	{ "num.recovery.threads.per.data.dir", NULL, KBR_CONFIG_U32, BROKER(recovery_threads),
	  1, 64, 2 },
	{ "offset.metadata.max.bytes", NULL, KBR_CONFIG_U32, BROKER(offset_metadata_max),
	  0, S16_MAX, 4096 },
	{ "offsets.retention.check.interval.ms", NULL, KBR_CONFIG_S64, BROKER(offsets_check_ms),
	  1, INT_MAX, 600000 },
	{ "offsets.retention.minutes", NULL, KBR_CONFIG_U32, BROKER(offsets_retention_minutes),
	  1, INT_MAX, 10080 },
	{ "offsets.topic.num.partitions", NULL, KBR_CONFIG_U32, BROKER(offsets_partitions),
	  1, KBR_TOPIC_PARTITIONS_MAX, 50 },
	{ "producer.id.expiration.ms", NULL, KBR_CONFIG_S64, BROKER(producer_expiration_ms),
	  1, INT_MAX, 86400000 },
	{ "queued.max.request.bytes", NULL, KBR_CONFIG_U64, BROKER(request_bytes_queued_max),
	  1 << 20, 1LL << 40, 256 << 20 },
	{ "replica.fetch.backoff.ms", NULL, KBR_CONFIG_U32, BROKER(replica_fetch_backoff_ms),
	  1, INT_MAX, 1000 },
	{ "replica.fetch.max.bytes", NULL, KBR_CONFIG_U32, BROKER(replica_fetch_bytes_max),
	  0, INT_MAX, 1 << 20 },
	{ "replica.fetch.min.bytes", NULL, KBR_CONFIG_U32, BROKER(replica_fetch_bytes_min),
	  0, INT_MAX, 1 },
	{ "replica.fetch.response.max.bytes", NULL, KBR_CONFIG_U32,
	  BROKER(replica_fetch_response_max), 0, INT_MAX, 10 << 20 },
	{ "replica.fetch.wait.max.ms", NULL, KBR_CONFIG_U32, BROKER(replica_fetch_wait_ms),
	  1, 60000, 500 },
	{ "replica.lag.time.max.ms", NULL, KBR_CONFIG_S64, BROKER(replica_lag_time_max_ms),
	  1, INT_MAX, 30000 },
	{ "replica.selector.class", NULL, KBR_CONFIG_WORD, BROKER(replica_nearest),
	  .words = { "org.apache.kafka.common.replica.LeaderSelector",
		     "org.apache.kafka.common.replica.RackAwareReplicaSelector" } },
	{ "request.timeout.ms", NULL, KBR_CONFIG_U32, BROKER(request_timeout_ms), 1, INT_MAX, 30000 },
	{ "socket.request.max.bytes", NULL, KBR_CONFIG_U32, BROKER(request_bytes_max),
	  1, INT_MAX, 100 << 20 },
};

/* Kafka's coarser names; the finer one wins where both are set. */
static const struct kbr_config_unit {
	const char *name;
	const char *target;
	s64 factor;
} kbr_config_units[] = {
	{ "log.retention.hours", "log.retention.ms", KBR_HOUR_MS },
	{ "log.retention.minutes", "log.retention.ms", 60 * 1000 },
	{ "log.roll.hours", "log.roll.ms", KBR_HOUR_MS },
	{ "log.roll.jitter.hours", "log.roll.jitter.ms", KBR_HOUR_MS },
};

/* Kafka's names that would promise what this module does not do */
static const struct kbr_config_refused {
	const char *name;
	const char *why;
} kbr_configs_refused[] = {
	{ "delete.retention.ms", "it concerns compaction, which is not supported yet" },
	{ "max.compaction.lag.ms", "it concerns compaction, which is not supported yet" },
	{ "min.cleanable.dirty.ratio", "it concerns compaction, which is not supported yet" },
	{ "min.compaction.lag.ms", "it concerns compaction, which is not supported yet" },
	{ "log.dirs", "the directory is given when the broker is started" },
	{ "log.dir", "the directory is given when the broker is started" },
	{ "node.id", "the id is given when the broker is started" },
	{ "broker.id", "the id is given when the broker is started" },
	{ "listeners", "listeners are given when the broker is started, or added later" },
	{ "advertised.listeners", "it is given with each listener" },
};

static int kbr_config_unknown(const char *name, const char *of, struct kbr_refusal *why)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(kbr_configs_refused); i++)
		if (!strcmp(kbr_configs_refused[i].name, name))
			return kbr_refuse(why, -EINVAL, 0, "config %s can't be set: %s", name,
					  kbr_configs_refused[i].why);
	return kbr_refuse(why, -EINVAL, 0, "there is no config %s of a %s", name, of);
}

/* Digits with an optional minus, nothing else: kstrtoll() also takes "+1" and "1\n". */
static int kbr_config_parse_number(const char *text, s64 *value)
{
	const char *digits = text + (*text == '-');

	if (!*digits || digits[strspn(digits, "0123456789")])
		return -EINVAL;
	return kstrtoll(text, 10, value);
}

static int kbr_config_parse_word(const struct kbr_config_def *def, const char *name,
				 const char *text, s64 *value, struct kbr_refusal *why)
{
	if (!strcmp(text, def->words[0])) {
		*value = 0;
		return 0;
	}
	if (def->words[1]) {
		if (strcmp(text, def->words[1]))
			return kbr_refuse(why, -EINVAL, 0, "config %s must be %s or %s, not \"%.40s\"",
					  name, def->words[0], def->words[1], text);
		*value = 1;
		return 0;
	}
	return kbr_refuse(why, -EOPNOTSUPP, 0, "config %s must be %s: %s", name, def->words[0],
			  def->else_why);
}

/* A number of a list, up to @max, and what ends it, which is @end or the end of the text. */
static const char *kbr_config_get_number(const char *text, char end, s64 max, s64 *number)
{
	size_t digits = strspn(text, "0123456789");

	*number = 0;
	if (!digits || (text[digits] && text[digits] != end))
		return NULL;
	while (digits--) {
		*number = *number * 10 + (*text++ - '0');
		if (*number > max)
			return NULL;
	}
	return text;
}

static int kbr_config_parse_throttled(const char *name, const char *text,
				      struct kbr_throttled *list, struct kbr_refusal *why)
{
	const char *at = text;
	unsigned int count;
	s64 part, broker;

	memset(list, 0, sizeof(*list));
	if (!strcmp(text, "*"))
		return 0;
	if (!strcmp(text, "none")) {
		list->pair[0] = KBR_THROTTLED_NOBODY;
		return 0;
	}
	for (count = 0; count < KBR_THROTTLED_MAX; count++) {
		at = kbr_config_get_number(at, ':', KBR_TOPIC_PARTITIONS_MAX - 1, &part);
		if (at && *at == ':')
			at = kbr_config_get_number(at + 1, ',', S32_MAX, &broker);
		else
			at = NULL;
		if (!at)
			return kbr_refuse(why, -EINVAL, 0,
					  "config %s must be *, none or PARTITION:BROKER,..., not \"%.40s\"",
					  name, text);
		list->pair[count] = kbr_throttled_pair(part, broker);
		if (!*at++)
			return 0;
	}
	return kbr_refuse(why, -EINVAL, 0, "config %s must not have more than %d replicas", name,
			  KBR_THROTTLED_MAX);
}

bool kbr_throttled_has(const struct kbr_throttled *list, u32 partition, s32 broker)
{
	u64 pair, wanted = kbr_throttled_pair(partition, broker);
	unsigned int i;

	for (i = 0; i < KBR_THROTTLED_MAX; i++) {
		pair = READ_ONCE(list->pair[i]);
		if (pair == wanted)
			return true;
		if (!pair)
			return !i;
	}
	return false;
}
KBR_EXPORT_IF_KUNIT(kbr_throttled_has);

/* As it was written. */
static void kbr_config_print_throttled(const struct kbr_throttled *list, char *value, size_t size)
{
	unsigned int i;
	size_t len = 0;
	u64 pair;

	if (!list->pair[0] || list->pair[0] == KBR_THROTTLED_NOBODY) {
		strscpy(value, list->pair[0] ? "none" : "*", size);
		return;
	}
	for (i = 0; i < KBR_THROTTLED_MAX && list->pair[i]; i++) {
		pair = list->pair[i] - 1;
		len += scnprintf(value + len, size - len, "%s%u:%d", i ? "," : "",
				 (u32)(pair >> 32), (s32)pair);
	}
}

/* @factor: how many units of @def one unit of @name is */
static int kbr_config_parse(const struct kbr_config_def *def, const char *name, s64 factor,
			    const char *text, struct kbr_config_value *to, struct kbr_refusal *why)
{
	s64 *value = &to->number;

	switch (def->type) {
	case KBR_CONFIG_THROTTLED:
		return kbr_config_parse_throttled(name, text, &to->throttled, why);
	case KBR_CONFIG_WORD:
		return kbr_config_parse_word(def, name, text, value, why);
	case KBR_CONFIG_BOOL:
		*value = !strcmp(text, "true");
		if (*value || !strcmp(text, "false"))
			return 0;
		return kbr_refuse(why, -EINVAL, 0, "config %s must be true or false, not \"%.40s\"",
				  name, text);
	default:
		break;
	}
	if (kbr_config_parse_number(text, value))
		return kbr_refuse(why, -EINVAL, 0, "config %s must be a whole number, not \"%.40s\"",
				  name, text);
	if (*value != -1 && (*value > def->max / factor || *value < DIV_ROUND_UP(def->min, factor)))
		return kbr_refuse(why, -EINVAL, 0, "config %s must be between %lld and %lld, not %lld",
				  name, (long long)DIV_ROUND_UP(def->min, factor),
				  (long long)(def->max / factor), (long long)*value);
	if (*value == -1 && def->min > -1)
		return kbr_refuse(why, -EINVAL, 0, "config %s must be at least %lld", name,
				  (long long)DIV_ROUND_UP(def->min, factor));
	if (*value != -1)
		*value *= factor;
	return 0;
}

/*
 * Appends and readers look at these without a lock while they are altered:
 * each field is one word, and any mixture of old and new is valid.
 */
static void kbr_config_store(const struct kbr_config_def *def, void *config,
			     const struct kbr_config_value *from)
{
	void *field = config + def->offset;
	struct kbr_throttled *list = field;
	s64 value = from->number;
	unsigned int i;

	if (def->offset == KBR_NO_FIELD)
		return;
	switch (def->type) {
	case KBR_CONFIG_S64:
	case KBR_CONFIG_U64:
		WRITE_ONCE(*(s64 *)field, value);
		break;
	case KBR_CONFIG_U32:
		WRITE_ONCE(*(u32 *)field, value);
		break;
	case KBR_CONFIG_BOOL:
	case KBR_CONFIG_WORD:
		WRITE_ONCE(*(bool *)field, value);
		break;
	case KBR_CONFIG_THROTTLED:
		for (i = 0; i < KBR_THROTTLED_MAX; i++)
			WRITE_ONCE(list->pair[i], from->throttled.pair[i]);
		break;
	}
}

static void kbr_config_load(const struct kbr_config_def *def, const void *config,
			    struct kbr_config_value *to)
{
	const void *field = config + def->offset;
	const struct kbr_throttled *list = field;
	unsigned int i;

	to->number = 0;
	if (def->offset == KBR_NO_FIELD)
		return;
	switch (def->type) {
	case KBR_CONFIG_U32:
		to->number = READ_ONCE(*(const u32 *)field);
		break;
	case KBR_CONFIG_BOOL:
	case KBR_CONFIG_WORD:
		to->number = READ_ONCE(*(const bool *)field);
		break;
	case KBR_CONFIG_THROTTLED:
		for (i = 0; i < KBR_THROTTLED_MAX; i++)
			to->throttled.pair[i] = READ_ONCE(list->pair[i]);
		break;
	default:
		to->number = READ_ONCE(*(const s64 *)field);
	}
}

/* The broker's own names and those of the topics' defaults; NULL if unknown. */
static const struct kbr_config_def *kbr_broker_config_find(const char *name, bool *of_topics)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(kbr_broker_configs); i++) {
		if (strcmp(kbr_broker_configs[i].name, name))
			continue;
		*of_topics = false;
		return &kbr_broker_configs[i];
	}
	for (i = 0; i < ARRAY_SIZE(kbr_topic_configs); i++) {
		if (strcmp(kbr_topic_configs[i].broker, name))
			continue;
		*of_topics = true;
		return &kbr_topic_configs[i];
	}
	return NULL;
}

void kbr_broker_config_default(struct kbr_broker_config *config)
{
	struct kbr_config_value value = { };
	unsigned int i;

	memset(config, 0, sizeof(*config));
	config->topic.log.retain = true;
	for (i = 0; i < ARRAY_SIZE(kbr_topic_configs); i++) {
		value.number = kbr_topic_configs[i].initial;
		kbr_config_store(&kbr_topic_configs[i], &config->topic, &value);
	}
	for (i = 0; i < ARRAY_SIZE(kbr_broker_configs); i++) {
		value.number = kbr_broker_configs[i].initial;
		kbr_config_store(&kbr_broker_configs[i], config, &value);
	}
}
KBR_EXPORT_IF_KUNIT(kbr_broker_config_default);

static int kbr_topic_config_check(const struct kbr_topic_config *config, struct kbr_refusal *why)
{
	if (config->log.segment_jitter_ms > config->log.segment_ms)
		return kbr_refuse(why, -EINVAL, 0,
				  "segment.jitter.ms (%lld) must not exceed segment.ms (%lld)",
				  (long long)config->log.segment_jitter_ms,
				  (long long)config->log.segment_ms);
	return 0;
}

/* Coarse names first, so that a finer one that is set too overrides it. */
static int kbr_broker_config_apply_units(struct kbr_broker_config *config,
					 const struct kbr_config_set *set, struct kbr_refusal *why)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(kbr_config_units); i++) {
		const struct kbr_config_unit *unit = &kbr_config_units[i];
		const char *text = kbr_config_set_get(set, unit->name);
		const struct kbr_config_def *def;
		struct kbr_config_value value;
		bool of_topics;
		int err;

		if (!text)
			continue;
		def = kbr_broker_config_find(unit->target, &of_topics);
		err = kbr_config_parse(def, unit->name, unit->factor, text, &value, why);
		if (err)
			return err;
		kbr_config_store(def, &config->topic, &value);
	}
	return 0;
}

static bool kbr_config_is_unit(const char *name)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(kbr_config_units); i++)
		if (!strcmp(kbr_config_units[i].name, name))
			return true;
	return false;
}

int kbr_broker_config_apply(struct kbr_broker_config *config, const struct kbr_config_set *set,
			    struct kbr_refusal *why)
{
	unsigned int i;
	int err;

	kbr_broker_config_default(config);
	err = kbr_broker_config_apply_units(config, set, why);
	if (err)
		return err;
	for (i = 0; i < set->count; i++) {
		const struct kbr_config_entry *entry = &set->entries[i];
		const struct kbr_config_def *def;
		struct kbr_config_value value;
		bool of_topics;

		if (kbr_config_is_unit(entry->name))
			continue;
		def = kbr_broker_config_find(entry->name, &of_topics);
		if (!def)
			return kbr_config_unknown(entry->name, "broker", why);
		err = kbr_config_parse(def, entry->name, 1, entry->value, &value, why);
		if (err)
			return err;
		kbr_config_store(def, of_topics ? (void *)&config->topic : config, &value);
	}
	return kbr_topic_config_check(&config->topic, why);
}
KBR_EXPORT_IF_KUNIT(kbr_broker_config_apply);

static const struct kbr_config_def *kbr_topic_config_find(const char *name)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(kbr_topic_configs); i++)
		if (!strcmp(kbr_topic_configs[i].name, name))
			return &kbr_topic_configs[i];
	return NULL;
}

int kbr_topic_config_apply(struct kbr_topic_config *config, const struct kbr_broker_config *broker,
			   const struct kbr_config_set *set, struct kbr_refusal *why)
{
	unsigned int i;
	int err;

	*config = broker->topic;
	for (i = 0; i < set->count; i++) {
		const struct kbr_config_entry *entry = &set->entries[i];
		const struct kbr_config_def *def = kbr_topic_config_find(entry->name);
		struct kbr_config_value value;

		if (!def)
			return kbr_config_unknown(entry->name, "topic", why);
		err = kbr_config_parse(def, entry->name, 1, entry->value, &value, why);
		if (err)
			return err;
		kbr_config_store(def, config, &value);
	}
	return kbr_topic_config_check(config, why);
}
KBR_EXPORT_IF_KUNIT(kbr_topic_config_apply);

/* Field by field, see kbr_config_store(). */
void kbr_topic_config_publish(struct kbr_topic_config *to, const struct kbr_topic_config *from)
{
	struct kbr_config_value value;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(kbr_topic_configs); i++) {
		kbr_config_load(&kbr_topic_configs[i], from, &value);
		kbr_config_store(&kbr_topic_configs[i], to, &value);
	}
}
KBR_EXPORT_IF_KUNIT(kbr_topic_config_publish);

void kbr_broker_config_publish(struct kbr_broker_config *to, const struct kbr_broker_config *from)
{
	struct kbr_config_value value;
	unsigned int i;

	kbr_topic_config_publish(&to->topic, &from->topic);
	for (i = 0; i < ARRAY_SIZE(kbr_broker_configs); i++) {
		kbr_config_load(&kbr_broker_configs[i], from, &value);
		kbr_config_store(&kbr_broker_configs[i], to, &value);
	}
}

int kbr_topic_config_known(const char *name, struct kbr_refusal *why)
{
	return kbr_topic_config_find(name) ? 0 : kbr_config_unknown(name, "topic", why);
}

int kbr_broker_config_known(const char *name, struct kbr_refusal *why)
{
	bool of_topics;

	if (kbr_broker_config_find(name, &of_topics) || kbr_config_is_unit(name))
		return 0;
	return kbr_config_unknown(name, "broker", why);
}

static void kbr_config_print(const struct kbr_config_def *def, const void *config, char *value)
{
	struct kbr_config_value loaded;
	s64 number;

	kbr_config_load(def, config, &loaded);
	number = loaded.number;
	if (def->type == KBR_CONFIG_THROTTLED)
		kbr_config_print_throttled(&loaded.throttled, value, KBR_CONFIG_VALUE_MAX + 1);
	else if (def->type == KBR_CONFIG_WORD)
		strscpy(value, def->words[number ? 1 : 0], KBR_CONFIG_VALUE_MAX + 1);
	else if (def->type == KBR_CONFIG_BOOL)
		strscpy(value, number ? "true" : "false", KBR_CONFIG_VALUE_MAX + 1);
	else
		snprintf(value, KBR_CONFIG_VALUE_MAX + 1, "%lld", (long long)number);
}

const char *kbr_topic_config_describe(const struct kbr_topic_config *config,
				      const struct kbr_config_set *set, unsigned int index,
				      char *value, bool *is_default)
{
	const struct kbr_config_def *def;

	if (index >= ARRAY_SIZE(kbr_topic_configs))
		return NULL;
	def = &kbr_topic_configs[index];
	kbr_config_print(def, config, value);
	*is_default = !kbr_config_set_get(set, def->name);
	return def->name;
}
KBR_EXPORT_IF_KUNIT(kbr_topic_config_describe);

/* Set by itself, or by one of its coarser names */
static bool kbr_broker_config_is_set(const struct kbr_config_set *set, const char *name)
{
	unsigned int i;

	if (kbr_config_set_get(set, name))
		return true;
	for (i = 0; i < ARRAY_SIZE(kbr_config_units); i++)
		if (!strcmp(kbr_config_units[i].target, name) &&
		    kbr_config_set_get(set, kbr_config_units[i].name))
			return true;
	return false;
}

const char *kbr_topic_config_default(const struct kbr_broker_config *config,
				     const struct kbr_config_set *set, unsigned int index,
				     char *value, bool *is_default)
{
	return kbr_broker_config_describe(config, set, ARRAY_SIZE(kbr_broker_configs) + index,
					  value, is_default);
}

const char *kbr_broker_config_describe(const struct kbr_broker_config *config,
				       const struct kbr_config_set *set, unsigned int index,
				       char *value, bool *is_default)
{
	const struct kbr_config_def *def;
	const char *name;

	if (index < ARRAY_SIZE(kbr_broker_configs)) {
		def = &kbr_broker_configs[index];
		name = def->name;
		kbr_config_print(def, config, value);
	} else {
		index -= ARRAY_SIZE(kbr_broker_configs);
		if (index >= ARRAY_SIZE(kbr_topic_configs))
			return NULL;
		def = &kbr_topic_configs[index];
		name = def->broker;
		kbr_config_print(def, &config->topic, value);
	}
	*is_default = !kbr_broker_config_is_set(set, name);
	return name;
}
KBR_EXPORT_IF_KUNIT(kbr_broker_config_describe);
