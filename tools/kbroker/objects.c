// SPDX-License-Identifier: GPL-2.0-only
/* Tables of the kernel's attributes, and writing them; see objects.h. */
#include <errno.h>
#include <grp.h>
#include <inttypes.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>

#include "codec/proto.h"
#include "kbroker.h"
#include "objects.h"

static const char *const broker_states[] = { "starting", "running", "stopping", "stopped", "failed" };

static const char *const topic_states[] = { "creating", "active", "deleting", "deleted" };

static const char *const partition_states[] = {
	"offline", "leader", "repairing", "failed", "deleted", "follower", "remote",
};

static const char *const op_kinds[] = {
	"broker-start", "broker-stop", "broker-alter", "topic-create", "topic-delete", "topic-alter",
	"delete-records", "group-reset", "group-delete", "group-forget", "cluster-join", "replica-set",
};

static const char *const op_states[] = { "pending", "running", "done", "failed" };

static const char *const group_kinds[] = { "none", "classic", "device" };

static const char *const group_states[] = {
	"empty", "preparing-rebalance", "completing-rebalance", "stable", "dead",
};

static const char *const cluster_states[] = { "standalone", "waiting", "active", "fenced" };

static const char *const request_kinds[] = { "isr", "topic-new", "topic-set", "topic-del", "leave" };

static const char *const replica_roles[] = { "none", "follower", "leader" };

static const char *const reasons[] = { "created", "changed", "deleted", "state" };

static const char *const directions[] = { "read", "write" };

static const char *const formats[] = { "lines", "record", "batch" };

static const char uuid_digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

#define WORDS(list) (list), ARRAY_SIZE(list)

const struct kb_attr_def kb_broker_attrs[] = {
	{ KBROKER_A_BROKER_EVENT_SEQ, KB_ATTR_U64, "seq" },
	{ KBROKER_A_BROKER_EVENT_REASON, KB_ATTR_WORD, "reason", WORDS(reasons) },
	{ KBROKER_A_BROKER_NAME, KB_ATTR_TEXT, "broker" },
	{ KBROKER_A_BROKER_STATE, KB_ATTR_WORD, "state", WORDS(broker_states) },
	{ KBROKER_A_BROKER_ID, KB_ATTR_U32, "id" },
	{ KBROKER_A_BROKER_DIR, KB_ATTR_TEXT, "dir" },
	{ KBROKER_A_BROKER_DIRECTORY_ID, KB_ATTR_UUID, "directory_id" },
	{ KBROKER_A_BROKER_CLUSTER_ID, KB_ATTR_TEXT, "cluster_id" },
	{ KBROKER_A_BROKER_DEVICE, KB_ATTR_TEXT, "device" },
	{ KBROKER_A_BROKER_FS_TYPE, KB_ATTR_TEXT, "fs_type" },
	{ KBROKER_A_BROKER_UID, KB_ATTR_U32, "uid" },
	{ KBROKER_A_BROKER_GID, KB_ATTR_U32, "gid" },
	{ KBROKER_A_BROKER_MODE, KB_ATTR_MODE, "mode" },
	{ KBROKER_A_BROKER_TOPICS, KB_ATTR_U32, "topics" },
	{ KBROKER_A_BROKER_PARTITIONS, KB_ATTR_U32, "partitions" },
	{ KBROKER_A_BROKER_HANDLES, KB_ATTR_U32, "handles" },
	{ KBROKER_A_BROKER_UNSYNCED_BYTES, KB_ATTR_U64, "unsynced_bytes" },
	{ KBROKER_A_BROKER_SYNC_ROUNDS, KB_ATTR_U64, "sync_rounds" },
	{ KBROKER_A_BROKER_SYNC_WRITERS, KB_ATTR_U64, "sync_writers" },
	{ KBROKER_A_BROKER_SYNC_USECS, KB_ATTR_U64, "sync_usecs" },
	{ KBROKER_A_BROKER_SYNC_ERRORS, KB_ATTR_U64, "sync_errors" },
	{ KBROKER_A_BROKER_STARTED_MS, KB_ATTR_U64, "started_ms" },
	{ KBROKER_A_BROKER_CONFIG, KB_ATTR_CONFIGS, "configs" },
	{ 0 }
};

const struct kb_attr_def kb_topic_attrs[] = {
	{ KBROKER_A_TOPIC_EVENT_SEQ, KB_ATTR_U64, "seq" },
	{ KBROKER_A_TOPIC_EVENT_REASON, KB_ATTR_WORD, "reason", WORDS(reasons) },
	{ KBROKER_A_TOPIC_BROKER, KB_ATTR_TEXT, "broker" },
	{ KBROKER_A_TOPIC_NAME, KB_ATTR_TEXT, "topic" },
	{ KBROKER_A_TOPIC_STATE, KB_ATTR_WORD, "state", WORDS(topic_states) },
	{ KBROKER_A_TOPIC_ID, KB_ATTR_UUID, "id" },
	{ KBROKER_A_TOPIC_PARTITIONS, KB_ATTR_U32, "partitions" },
	{ KBROKER_A_TOPIC_REPLICATION_FACTOR, KB_ATTR_U16, "replication_factor" },
	{ KBROKER_A_TOPIC_UID, KB_ATTR_U32, "uid" },
	{ KBROKER_A_TOPIC_GID, KB_ATTR_U32, "gid" },
	{ KBROKER_A_TOPIC_MODE, KB_ATTR_MODE, "mode" },
	{ KBROKER_A_TOPIC_INTERNAL, KB_ATTR_FLAG, "internal" },
	{ KBROKER_A_TOPIC_HANDLES, KB_ATTR_U32, "handles" },
	{ KBROKER_A_TOPIC_CONFIG, KB_ATTR_CONFIGS, "configs" },
	{ 0 }
};

const struct kb_attr_def kb_partition_attrs[] = {
	{ KBROKER_A_PARTITION_EVENT_SEQ, KB_ATTR_U64, "seq" },
	{ KBROKER_A_PARTITION_EVENT_REASON, KB_ATTR_WORD, "reason", WORDS(reasons) },
	{ KBROKER_A_PARTITION_BROKER, KB_ATTR_TEXT, "broker" },
	{ KBROKER_A_PARTITION_TOPIC, KB_ATTR_TEXT, "topic" },
	{ KBROKER_A_PARTITION_INDEX, KB_ATTR_U32, "partition" },
	{ KBROKER_A_PARTITION_STATE, KB_ATTR_WORD, "state", WORDS(partition_states) },
	{ KBROKER_A_PARTITION_ERROR, KB_ATTR_ERRNO, "error" },
	{ KBROKER_A_PARTITION_DAMAGED_OFFSET, KB_ATTR_S64, "damaged_offset" },
	{ KBROKER_A_PARTITION_LEADER, KB_ATTR_S32, "leader" },
	{ KBROKER_A_PARTITION_LEADER_EPOCH, KB_ATTR_S32, "leader_epoch" },
	{ KBROKER_A_PARTITION_REPLICA, KB_ATTR_S32_LIST, "replicas" },
	{ KBROKER_A_PARTITION_ISR, KB_ATTR_S32_LIST, "isr" },
	{ KBROKER_A_PARTITION_LOG_START, KB_ATTR_S64, "log_start" },
	{ KBROKER_A_PARTITION_HIGH_WATERMARK, KB_ATTR_S64, "high_watermark" },
	{ KBROKER_A_PARTITION_LOG_END, KB_ATTR_S64, "log_end" },
	{ KBROKER_A_PARTITION_SYNCED_END, KB_ATTR_S64, "synced_end" },
	{ KBROKER_A_PARTITION_SEGMENTS, KB_ATTR_U32, "segments" },
	{ KBROKER_A_PARTITION_BYTES, KB_ATTR_U64, "bytes" },
	{ KBROKER_A_PARTITION_UNSYNCED_BYTES, KB_ATTR_U64, "unsynced_bytes" },
	{ KBROKER_A_PARTITION_READERS, KB_ATTR_U32, "readers" },
	{ KBROKER_A_PARTITION_WRITERS, KB_ATTR_U32, "writers" },
	{ KBROKER_A_PARTITION_MINOR, KB_ATTR_U32, "minor" },
	{ 0 }
};

const struct kb_attr_def kb_op_attrs[] = {
	{ KBROKER_A_OP_EVENT_SEQ, KB_ATTR_U64, "seq" },
	{ KBROKER_A_OP_EVENT_REASON, KB_ATTR_WORD, "reason", WORDS(reasons) },
	{ KBROKER_A_OP_ID, KB_ATTR_U32, "op" },
	{ KBROKER_A_OP_KIND, KB_ATTR_WORD, "kind", WORDS(op_kinds) },
	{ KBROKER_A_OP_OBJECT, KB_ATTR_TEXT, "object" },
	{ KBROKER_A_OP_STATE, KB_ATTR_WORD, "state", WORDS(op_states) },
	{ KBROKER_A_OP_DONE, KB_ATTR_U32, "done" },
	{ KBROKER_A_OP_TOTAL, KB_ATTR_U32, "total" },
	{ KBROKER_A_OP_ERROR, KB_ATTR_ERRNO, "error" },
	{ KBROKER_A_OP_MESSAGE, KB_ATTR_TEXT, "message" },
	{ 0 }
};

const struct kb_attr_def kb_handle_attrs[] = {
	{ KBROKER_A_HANDLE_BROKER, KB_ATTR_TEXT, "broker" },
	{ KBROKER_A_HANDLE_TOPIC, KB_ATTR_TEXT, "topic" },
	{ KBROKER_A_HANDLE_PARTITION, KB_ATTR_U32, "partition" },
	{ KBROKER_A_HANDLE_ALL, KB_ATTR_FLAG, "all" },
	{ KBROKER_A_HANDLE_PID, KB_ATTR_U32, "pid" },
	{ KBROKER_A_HANDLE_COMM, KB_ATTR_TEXT, "command" },
	{ KBROKER_A_HANDLE_DIRECTION, KB_ATTR_BITS, "direction", WORDS(directions) },
	{ KBROKER_A_HANDLE_FORMAT, KB_ATTR_WORD, "format", WORDS(formats) },
	{ KBROKER_A_HANDLE_POSITION, KB_ATTR_S64, "position" },
	{ KBROKER_A_HANDLE_LAG_RECORDS, KB_ATTR_U64, "lag_records" },
	{ KBROKER_A_HANDLE_LAG_BYTES, KB_ATTR_U64, "lag_bytes" },
	{ KBROKER_A_HANDLE_LAG_MS, KB_ATTR_U64, "lag_ms" },
	{ KBROKER_A_HANDLE_LOST, KB_ATTR_U64, "lost" },
	{ 0 }
};

const struct kb_attr_def kb_listener_attrs[] = {
	{ KBROKER_A_LISTENER_EVENT_SEQ, KB_ATTR_U64, "seq" },
	{ KBROKER_A_LISTENER_EVENT_REASON, KB_ATTR_WORD, "reason", WORDS(reasons) },
	{ KBROKER_A_LISTENER_BROKER, KB_ATTR_TEXT, "broker" },
	{ KBROKER_A_LISTENER_ID, KB_ATTR_U32, "listener" },
	{ KBROKER_A_LISTENER_ADDRESS, KB_ATTR_TEXT, "address" },
	{ KBROKER_A_LISTENER_PORT, KB_ATTR_U16, "port" },
	{ KBROKER_A_LISTENER_ADVERTISED_HOST, KB_ATTR_TEXT, "advertised_host" },
	{ KBROKER_A_LISTENER_ADVERTISED_PORT, KB_ATTR_U16, "advertised_port" },
	{ KBROKER_A_LISTENER_UID, KB_ATTR_U32, "uid" },
	{ KBROKER_A_LISTENER_GID, KB_ATTR_U32, "gid" },
	{ KBROKER_A_LISTENER_CONNECTIONS, KB_ATTR_U32, "connections" },
	{ KBROKER_A_LISTENER_ACCEPTED, KB_ATTR_U64, "accepted" },
	{ KBROKER_A_LISTENER_REFUSED, KB_ATTR_U64, "refused" },
	{ KBROKER_A_LISTENER_MALFORMED, KB_ATTR_U64, "malformed" },
	{ 0 }
};

const struct kb_attr_def kb_connection_attrs[] = {
	{ KBROKER_A_CONNECTION_BROKER, KB_ATTR_TEXT, "broker" },
	{ KBROKER_A_CONNECTION_ID, KB_ATTR_U64, "connection" },
	{ KBROKER_A_CONNECTION_LISTENER, KB_ATTR_U32, "listener" },
	{ KBROKER_A_CONNECTION_PEER, KB_ATTR_TEXT, "peer" },
	{ KBROKER_A_CONNECTION_LOCAL, KB_ATTR_TEXT, "local" },
	{ KBROKER_A_CONNECTION_CLIENT_ID, KB_ATTR_TEXT, "client_id" },
	{ KBROKER_A_CONNECTION_SOFTWARE, KB_ATTR_TEXT, "software" },
	{ KBROKER_A_CONNECTION_SOFTWARE_VERSION, KB_ATTR_TEXT, "software_version" },
	{ KBROKER_A_CONNECTION_API, KB_ATTR_APIS, "versions" },
	{ KBROKER_A_CONNECTION_RECEIVED_BYTES, KB_ATTR_U64, "received_bytes" },
	{ KBROKER_A_CONNECTION_SENT_BYTES, KB_ATTR_U64, "sent_bytes" },
	{ KBROKER_A_CONNECTION_REQUESTS, KB_ATTR_U64, "requests" },
	{ KBROKER_A_CONNECTION_IN_FLIGHT, KB_ATTR_U32, "in_flight" },
	{ KBROKER_A_CONNECTION_BUFFERED_BYTES, KB_ATTR_U64, "buffered_bytes" },
	{ KBROKER_A_CONNECTION_AGE_MS, KB_ATTR_U64, "age_ms" },
	{ KBROKER_A_CONNECTION_IDLE_MS, KB_ATTR_U64, "idle_ms" },
	{ 0 }
};

const struct kb_attr_def kb_group_attrs[] = {
	{ KBROKER_A_GROUP_EVENT_SEQ, KB_ATTR_U64, "seq" },
	{ KBROKER_A_GROUP_EVENT_REASON, KB_ATTR_WORD, "reason", WORDS(reasons) },
	{ KBROKER_A_GROUP_BROKER, KB_ATTR_TEXT, "broker" },
	{ KBROKER_A_GROUP_NAME, KB_ATTR_TEXT, "group" },
	{ KBROKER_A_GROUP_STATE, KB_ATTR_WORD, "state", WORDS(group_states) },
	{ KBROKER_A_GROUP_KIND, KB_ATTR_WORD, "type", WORDS(group_kinds) },
	{ KBROKER_A_GROUP_GENERATION, KB_ATTR_S32, "generation" },
	{ KBROKER_A_GROUP_MEMBERS, KB_ATTR_U32, "members" },
	{ KBROKER_A_GROUP_OFFSETS, KB_ATTR_U32, "offsets" },
	{ KBROKER_A_GROUP_PROTOCOL_TYPE, KB_ATTR_TEXT, "protocol_type" },
	{ KBROKER_A_GROUP_PROTOCOL, KB_ATTR_TEXT, "strategy" },
	{ KBROKER_A_GROUP_LEADER, KB_ATTR_TEXT, "leader" },
	{ KBROKER_A_GROUP_STATE_MS, KB_ATTR_U64, "state_ms" },
	{ KBROKER_A_GROUP_BYTES, KB_ATTR_U64, "memory_bytes" },
	{ KBROKER_A_GROUP_COORDINATOR, KB_ATTR_S32, "coordinator" },
	{ 0 }
};

const struct kb_attr_def kb_cluster_attrs[] = {
	{ KBROKER_A_CLUSTER_EVENT_SEQ, KB_ATTR_U64, "seq" },
	{ KBROKER_A_CLUSTER_EVENT_REASON, KB_ATTR_WORD, "reason", WORDS(reasons) },
	{ KBROKER_A_CLUSTER_BROKER, KB_ATTR_TEXT, "broker" },
	{ KBROKER_A_CLUSTER_ID, KB_ATTR_U32, "id" },
	{ KBROKER_A_CLUSTER_STATE, KB_ATTR_WORD, "state", WORDS(cluster_states) },
	{ KBROKER_A_CLUSTER_CLUSTER_ID, KB_ATTR_UUID, "cluster_id" },
	{ KBROKER_A_CLUSTER_DIRECTORY_ID, KB_ATTR_UUID, "directory_id" },
	{ KBROKER_A_CLUSTER_BROKER_EPOCH, KB_ATTR_S64, "broker_epoch" },
	{ KBROKER_A_CLUSTER_FENCED, KB_ATTR_U8, "fenced" },
	{ KBROKER_A_CLUSTER_CLEAN, KB_ATTR_U8, "clean" },
	{ KBROKER_A_CLUSTER_PREVIOUS_EPOCH, KB_ATTR_S64, "previous_epoch" },
	{ KBROKER_A_CLUSTER_INCARNATION, KB_ATTR_UUID, "incarnation" },
	{ KBROKER_A_CLUSTER_CONTROLLER, KB_ATTR_S32, "controller" },
	{ KBROKER_A_CLUSTER_METADATA_OFFSET, KB_ATTR_U64, "metadata_offset" },
	{ KBROKER_A_CLUSTER_RACK, KB_ATTR_TEXT, "rack" },
	{ KBROKER_A_CLUSTER_REQUESTS, KB_ATTR_U32, "requests" },
	{ KBROKER_A_CLUSTER_FORWARDED, KB_ATTR_U64, "forwarded" },
	{ KBROKER_A_CLUSTER_FORWARD_RETRIES, KB_ATTR_U64, "forward_retries" },
	{ KBROKER_A_CLUSTER_FORWARD_FAILED, KB_ATTR_U64, "forward_failed" },
	{ 0 }
};

const struct kb_attr_def kb_peer_attrs[] = {
	{ KBROKER_A_PEER_EVENT_SEQ, KB_ATTR_U64, "seq" },
	{ KBROKER_A_PEER_EVENT_REASON, KB_ATTR_WORD, "reason", WORDS(reasons) },
	{ KBROKER_A_PEER_BROKER, KB_ATTR_TEXT, "broker" },
	{ KBROKER_A_PEER_ID, KB_ATTR_U32, "peer" },
	{ KBROKER_A_PEER_EPOCH, KB_ATTR_S64, "epoch" },
	{ KBROKER_A_PEER_FENCED, KB_ATTR_U8, "fenced" },
	{ KBROKER_A_PEER_ADDRESS, KB_ATTR_TEXT, "address" },
	{ KBROKER_A_PEER_PORT, KB_ATTR_U16, "port" },
	{ KBROKER_A_PEER_ADVERTISED_HOST, KB_ATTR_TEXT, "advertised_host" },
	{ KBROKER_A_PEER_ADVERTISED_PORT, KB_ATTR_U16, "advertised_port" },
	{ KBROKER_A_PEER_RACK, KB_ATTR_TEXT, "rack" },
	{ KBROKER_A_PEER_CONNECTED, KB_ATTR_U8, "connected" },
	{ KBROKER_A_PEER_FETCHES, KB_ATTR_U64, "fetches" },
	{ KBROKER_A_PEER_BYTES, KB_ATTR_U64, "bytes" },
	{ KBROKER_A_PEER_ERROR, KB_ATTR_U32, "error" },
	{ KBROKER_A_PEER_FOLLOWED, KB_ATTR_U32, "followed" },
	{ 0 }
};

const struct kb_attr_def kb_request_attrs[] = {
	{ KBROKER_A_REQUEST_EVENT_SEQ, KB_ATTR_U64, "seq" },
	{ KBROKER_A_REQUEST_EVENT_REASON, KB_ATTR_WORD, "reason", WORDS(reasons) },
	{ KBROKER_A_REQUEST_BROKER, KB_ATTR_TEXT, "broker" },
	{ KBROKER_A_REQUEST_ID, KB_ATTR_U64, "request" },
	{ KBROKER_A_REQUEST_KIND, KB_ATTR_WORD, "kind", WORDS(request_kinds) },
	{ KBROKER_A_REQUEST_TOPIC, KB_ATTR_TEXT, "topic" },
	{ KBROKER_A_REQUEST_TOPIC_ID, KB_ATTR_UUID, "topic_id" },
	{ KBROKER_A_REQUEST_PARTITION, KB_ATTR_U32, "partition" },
	{ KBROKER_A_REQUEST_LEADER_EPOCH, KB_ATTR_S32, "leader_epoch" },
	{ KBROKER_A_REQUEST_PARTITION_EPOCH, KB_ATTR_S32, "partition_epoch" },
	{ KBROKER_A_REQUEST_ISR, KB_ATTR_IDS, "isr" },
	{ KBROKER_A_REQUEST_ISR_EPOCHS, KB_ATTR_EPOCHS, "isr_epochs" },
	{ KBROKER_A_REQUEST_LOST, KB_ATTR_U8, "lost" },
	{ KBROKER_A_REQUEST_PARTITIONS, KB_ATTR_U32, "partitions" },
	{ KBROKER_A_REQUEST_REPLICATION_FACTOR, KB_ATTR_U16, "replication_factor" },
	{ KBROKER_A_REQUEST_ASSIGNMENT, KB_ATTR_IDS, "assignment" },
	{ KBROKER_A_REQUEST_UID, KB_ATTR_U32, "uid" },
	{ KBROKER_A_REQUEST_GID, KB_ATTR_U32, "gid" },
	{ KBROKER_A_REQUEST_MODE, KB_ATTR_MODE, "mode" },
	{ KBROKER_A_REQUEST_CONFIG, KB_ATTR_CONFIGS, "configs" },
	{ KBROKER_A_REQUEST_AGE_MS, KB_ATTR_U64, "age_ms" },
	{ 0 }
};

const struct kb_attr_def kb_replica_attrs[] = {
	{ KBROKER_A_REPLICA_EVENT_SEQ, KB_ATTR_U64, "seq" },
	{ KBROKER_A_REPLICA_EVENT_REASON, KB_ATTR_WORD, "reason", WORDS(reasons) },
	{ KBROKER_A_REPLICA_BROKER, KB_ATTR_TEXT, "broker" },
	{ KBROKER_A_REPLICA_TOPIC, KB_ATTR_TEXT, "topic" },
	{ KBROKER_A_REPLICA_TOPIC_ID, KB_ATTR_UUID, "topic_id" },
	{ KBROKER_A_REPLICA_PARTITION, KB_ATTR_U32, "partition" },
	{ KBROKER_A_REPLICA_ROLE, KB_ATTR_WORD, "role", WORDS(replica_roles) },
	{ KBROKER_A_REPLICA_LEADER, KB_ATTR_S32, "leader" },
	{ KBROKER_A_REPLICA_LEADER_EPOCH, KB_ATTR_S32, "leader_epoch" },
	{ KBROKER_A_REPLICA_PARTITION_EPOCH, KB_ATTR_S32, "partition_epoch" },
	{ KBROKER_A_REPLICA_REPLICAS, KB_ATTR_IDS, "replicas" },
	{ KBROKER_A_REPLICA_ISR, KB_ATTR_IDS, "isr" },
	{ KBROKER_A_REPLICA_ELR, KB_ATTR_IDS, "elr" },
	{ 0 }
};

const struct kb_attr_def *kb_attr_def_find(const struct kb_attr_def *defs, int type)
{
	for (; defs->name; defs++)
		if (defs->type == type)
			return defs;
	return NULL;
}

static const char *word_of(const struct kb_attr_def *def, const struct nlattr *attr)
{
	uint8_t val = kb_attr_u8(attr);

	return val < def->words_count ? def->words[val] : "unknown";
}

/**
 * kb_attr_word() - an enumerated attribute by name
 * @defs: table of the object
 * @msg: message
 * @type: attribute
 *
 * Return: the word, "-" if it isn't there.
 */
const char *kb_attr_word(const struct kb_attr_def *defs, const struct kb_nl_msg *msg, int type)
{
	const struct kb_attr_def *def = kb_attr_def_find(defs, type);

	return def && msg->attrs[type] ? word_of(def, msg->attrs[type]) : "-";
}

const char *kb_broker_state_name(uint8_t state)
{
	return state < ARRAY_SIZE(broker_states) ? broker_states[state] : "unknown";
}

/**
 * kb_uuid_parse() - a UUID as kb_uuid_text() writes it
 * @text: 22 characters
 * @id: out
 *
 * Return: 0, or -EINVAL.
 */
int kb_uuid_parse(const char *text, unsigned char id[16])
{
	unsigned int bits = 0, have = 0, n = 0;
	const char *at;

	if (strlen(text) != 22)
		return -EINVAL;
	for (; *text; text++) {
		at = strchr(uuid_digits, *text);
		if (!at)
			return -EINVAL;
		bits = bits << 6 | (unsigned int)(at - uuid_digits);
		have += 6;
		if (have >= 8 && n < 16) {
			have -= 8;
			id[n++] = (unsigned char)(bits >> have);
		}
	}
	/* what is left of the last character stands for nothing */
	return bits & ((1u << have) - 1) ? -EINVAL : 0;
}

/**
 * kb_uuid_text() - a UUID as Kafka writes it: 22 characters, base64url
 * @attr: 16 bytes
 * @buf: room for it
 */
const char *kb_uuid_text(const struct nlattr *attr, char buf[24])
{
	const char *digits = uuid_digits;
	const unsigned char *p;
	unsigned int bits = 0, have = 0, i, n = 0;

	if (!attr || nla_len(attr) < 16)
		return strcpy(buf, "-");
	p = nla_data((struct nlattr *)attr);
	for (i = 0; i < 16; i++) {
		bits = bits << 8 | p[i];
		have += 8;
		while (have >= 6) {
			have -= 6;
			buf[n++] = digits[bits >> have & 63];
		}
	}
	buf[n++] = digits[bits << (6 - have) & 63];
	buf[n] = '\0';
	return buf;
}

const char *kb_user_name(uint32_t uid, char buf[32])
{
	struct passwd *pw = getpwuid(uid);

	snprintf(buf, 32, "%u", uid);
	return pw ? pw->pw_name : buf;
}

const char *kb_group_name(uint32_t gid, char buf[32])
{
	struct group *gr = getgrgid(gid);

	snprintf(buf, 32, "%u", gid);
	return gr ? gr->gr_name : buf;
}

/** kb_api_name() - an API as Kafka calls it */
const char *kb_api_name(uint16_t key)
{
	const struct kbr_api *api = kbr_api_find((int16_t)key);

	return api ? api->name : "?";
}

static uint64_t bits_of(const struct nlattr *attr)
{
	return nla_len(attr) >= 8 ? kb_attr_u64(attr) : kb_attr_u8(attr);
}

static void json_bits(struct kb_json *js, const struct kb_attr_def *def, const struct nlattr *attr)
{
	uint64_t bits = bits_of(attr);
	size_t i;

	kb_json_array(js, def->name);
	for (i = 0; i < def->words_count; i++)
		if (bits >> i & 1)
			kb_json_string(js, NULL, def->words[i]);
	kb_json_array_end(js);
}

static bool is_repeated(const struct kb_attr_def *def)
{
	return def->kind == KB_ATTR_S32_LIST || def->kind == KB_ATTR_CONFIGS || def->kind == KB_ATTR_APIS;
}

static void json_repeated(struct kb_json *js, const struct kb_attr_def *def, const struct kb_nl_msg *msg)
{
	struct nlattr *conf[KBROKER_A_CONFIG_MAX + 1], *attr;
	struct nlattr *api[KBROKER_A_API_MAX + 1];
	int rem;

	if (def->kind == KB_ATTR_S32_LIST)
		kb_json_array(js, def->name);
	else
		kb_json_object(js, def->name);
	nla_for_each_attr(attr, msg->head, msg->len, rem) {
		if (nla_type(attr) != def->type)
			continue;
		if (def->kind == KB_ATTR_S32_LIST) {
			kb_json_s64(js, NULL, kb_attr_s32(attr));
			continue;
		}
		if (def->kind == KB_ATTR_APIS) {
			kb_attrs_parse(api, KBROKER_A_API_MAX, attr);
			kb_json_u64(js, kb_api_name(kb_attr_u16(api[KBROKER_A_API_KEY])),
				    kb_attr_u16(api[KBROKER_A_API_VERSION]));
			continue;
		}
		kb_attrs_parse(conf, KBROKER_A_CONFIG_MAX, attr);
		/* without a value: to be reset */
		kb_json_string(js, kb_attr_text(conf[KBROKER_A_CONFIG_NAME]),
			       conf[KBROKER_A_CONFIG_VALUE] ?
			       kb_attr_text(conf[KBROKER_A_CONFIG_VALUE]) : NULL);
	}
	if (def->kind == KB_ATTR_S32_LIST)
		kb_json_array_end(js);
	else
		kb_json_object_end(js);
}

static void json_numbers(struct kb_json *js, const struct kb_attr_def *def, const struct nlattr *attr)
{
	size_t size = def->kind == KB_ATTR_IDS ? 4 : 8, i, j;
	const unsigned char *at = nla_data((struct nlattr *)attr);
	uint64_t value;

	kb_json_array(js, def->name);
	for (i = 0; i + size <= (size_t)nla_len((struct nlattr *)attr); i += size) {
		value = 0;
		for (j = 0; j < size; j++)
			value = value << 8 | at[i + j];
		kb_json_s64(js, NULL, size == 4 ? (int32_t)value : (int64_t)value);
	}
	kb_json_array_end(js);
}

static void json_value(struct kb_json *js, const struct kb_attr_def *def, const struct nlattr *attr)
{
	char buf[24];

	switch (def->kind) {
	case KB_ATTR_TEXT:
		kb_json_string(js, def->name, kb_attr_text(attr));
		break;
	case KB_ATTR_U8:
		kb_json_u64(js, def->name, kb_attr_u8(attr));
		break;
	case KB_ATTR_WORD:
		kb_json_string(js, def->name, word_of(def, attr));
		break;
	case KB_ATTR_BITS:
		json_bits(js, def, attr);
		break;
	case KB_ATTR_MODE:
		snprintf(buf, sizeof(buf), "%04o", kb_attr_u16(attr));
		kb_json_string(js, def->name, buf);
		break;
	case KB_ATTR_U16:
		kb_json_u64(js, def->name, kb_attr_u16(attr));
		break;
	case KB_ATTR_U32:
		kb_json_u64(js, def->name, kb_attr_u32(attr));
		break;
	case KB_ATTR_U64:
		kb_json_u64(js, def->name, kb_attr_u64(attr));
		break;
	case KB_ATTR_S32:
		kb_json_s64(js, def->name, kb_attr_s32(attr));
		break;
	case KB_ATTR_S64:
		kb_json_s64(js, def->name, kb_attr_s64(attr));
		break;
	case KB_ATTR_ERRNO:
		kb_json_string(js, def->name, kb_errno_name((int)kb_attr_u32(attr)));
		break;
	case KB_ATTR_UUID:
		kb_json_string(js, def->name, kb_uuid_text(attr, buf));
		break;
	case KB_ATTR_FLAG:
		kb_json_bool(js, def->name, true);
		break;
	case KB_ATTR_IDS:
	case KB_ATTR_EPOCHS:
		json_numbers(js, def, attr);
		break;
	case KB_ATTR_S32_LIST:
	case KB_ATTR_CONFIGS:
	case KB_ATTR_APIS:
		break;
	}
}

/**
 * kb_attrs_json() - members of an object for all attributes that are there
 * @js: document, inside an object
 * @defs: table of the object
 * @msg: message
 */
void kb_attrs_json(struct kb_json *js, const struct kb_attr_def *defs, const struct kb_nl_msg *msg)
{
	for (; defs->name; defs++) {
		const struct nlattr *attr = msg->attrs[defs->type];

		if (defs->kind == KB_ATTR_FLAG && !attr)
			kb_json_bool(js, defs->name, false);
		else if (is_repeated(defs))
			json_repeated(js, defs, msg);
		else if (attr)
			json_value(js, defs, attr);
	}
}

/**
 * kb_attrs_line() - " name=value" for all attributes that are there
 * @out: where to
 * @defs: table of the object
 * @msg: message
 */
void kb_attrs_line(FILE *out, const struct kb_attr_def *defs, const struct kb_nl_msg *msg)
{
	struct kb_json js;
	char uuid[24];
	char *text;

	for (; defs->name; defs++) {
		const struct nlattr *attr = msg->attrs[defs->type];

		if (!attr || is_repeated(defs))
			continue;
		if (defs->kind == KB_ATTR_FLAG) {
			fprintf(out, " %s", defs->name);
			continue;
		}
		if (defs->kind == KB_ATTR_TEXT) {
			text = kb_disarm(kb_strdup(kb_attr_text(attr)));
			fprintf(out, strchr(text, ' ') ? " %s=\"%s\"" : " %s=%s", defs->name, text);
			free(text);
			continue;
		}
		if (defs->kind == KB_ATTR_WORD) {
			fprintf(out, " %s=%s", defs->name, word_of(defs, attr));
			continue;
		}
		if (defs->kind == KB_ATTR_ERRNO) {
			fprintf(out, " %s=%s", defs->name, kb_errno_name((int)kb_attr_u32(attr)));
			continue;
		}
		if (defs->kind == KB_ATTR_UUID) {
			fprintf(out, " %s=%s", defs->name, kb_uuid_text(attr, uuid));
			continue;
		}
		if (defs->kind == KB_ATTR_MODE) {
			fprintf(out, " %s=%04o", defs->name, kb_attr_u16(attr));
			continue;
		}
		/* numbers look the same as in JSON, without the key */
		fprintf(out, " %s=", defs->name);
		kb_json_init(&js, out, false);
		json_value(&js, &(struct kb_attr_def){ defs->type, defs->kind, NULL, defs->words,
			   defs->words_count }, attr);
	}
}
