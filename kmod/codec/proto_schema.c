// SPDX-License-Identifier: GPL-2.0-only OR LGPL-2.1-or-later
/*
 * The messages of every API that is served, version by version: fields in the
 * order of the wire. Source: Kafka's protocol guide and message definitions.
 *
 * Only versions inside an API's range are described. Tagged fields are not: a
 * reader that knows some asks for them (kbr_get_tag()), all others skip them.
 */
#include <linux/kernel.h>
#include <linux/types.h>

#include "base/kunit.h"
#include "codec/proto.h"

#define KBR_NEWEST	127

/* A field that versions @first to @last have */
#define FIELD_IN(_name, _type, _first, _last) \
	{ .name = _name, .type = KBR_FIELD_##_type, .min = _first, .max = _last }
#define FIELD(_name, _type)		FIELD_IN(_name, _type, 0, KBR_NEWEST)
#define FIELD_SINCE(_name, _type, _first) FIELD_IN(_name, _type, _first, KBR_NEWEST)
/* The same for fields that may be null */
#define NULLABLE_SINCE(_name, _type, _first) \
	{ .name = _name, .type = KBR_FIELD_##_type, .nullable = true, .min = _first, \
	  .max = KBR_NEWEST }
#define NULLABLE(_name, _type)		NULLABLE_SINCE(_name, _type, 0)

/* Arrays of one primitive type */
#define LIST_IN(_name, _of, _first, _last) \
	{ .name = _name, .type = KBR_FIELD_ARRAY, .type_of = KBR_FIELD_##_of, \
	  .min = _first, .max = _last }
#define LIST_SINCE(_name, _of, _first)	LIST_IN(_name, _of, _first, KBR_NEWEST)
#define LIST(_name, _of)		LIST_SINCE(_name, _of, 0)
#define NULLABLE_LIST(_name, _of) \
	{ .name = _name, .type = KBR_FIELD_ARRAY, .type_of = KBR_FIELD_##_of, \
	  .nullable = true, .max = KBR_NEWEST }

/* Arrays of structs; null from version @null on */
#define ARRAY_IN(_name, _fields, _first, _last) \
	{ .name = _name, .type = KBR_FIELD_ARRAY, .fields = _fields, \
	  .min = _first, .max = _last }
#define ARRAY_SINCE(_name, _fields, _first) ARRAY_IN(_name, _fields, _first, KBR_NEWEST)
#define ARRAY(_name, _fields)		ARRAY_SINCE(_name, _fields, 0)
#define NULLABLE_ARRAY(_name, _fields, _null) \
	{ .name = _name, .type = KBR_FIELD_ARRAY, .fields = _fields, .nullable = true, \
	  .null_min = _null, .max = KBR_NEWEST }

#define END	{ .type = KBR_FIELD_END }

/* Produce 3-8 */

static const struct kbr_field produce_request_partition[] = {
	FIELD("index", S32),
	NULLABLE("records", BYTES),
	END
};

static const struct kbr_field produce_request_topic[] = {
	FIELD("name", STRING),
	ARRAY("partitions", produce_request_partition),
	END
};

static const struct kbr_field produce_request[] = {
	NULLABLE("transactional_id", STRING),
	FIELD("acks", S16),
	FIELD("timeout_ms", S32),
	ARRAY("topics", produce_request_topic),
	END
};

static const struct kbr_field produce_response_record_error[] = {
	FIELD("batch_index", S32),
	NULLABLE("message", STRING),
	END
};

static const struct kbr_field produce_response_partition[] = {
	FIELD("index", S32),
	FIELD("error", S16),
	FIELD("base_offset", S64),
	FIELD("log_append_time_ms", S64),
	FIELD_SINCE("log_start_offset", S64, 5),
	ARRAY_SINCE("record_errors", produce_response_record_error, 8),
	NULLABLE_SINCE("error_message", STRING, 8),
	END
};

static const struct kbr_field produce_response_topic[] = {
	FIELD("name", STRING),
	ARRAY("partitions", produce_response_partition),
	END
};

static const struct kbr_field produce_response[] = {
	ARRAY("topics", produce_response_topic),
	FIELD("throttle_time_ms", S32),
	END
};

/* Fetch 4-12 */

static const struct kbr_field fetch_request_partition[] = {
	FIELD("partition", S32),
	FIELD_SINCE("current_leader_epoch", S32, 9),
	FIELD("fetch_offset", S64),
	FIELD_SINCE("last_fetched_epoch", S32, 12),
	FIELD_SINCE("log_start_offset", S64, 5),
	FIELD("partition_max_bytes", S32),
	END
};

static const struct kbr_field fetch_request_topic[] = {
	FIELD("name", STRING),
	ARRAY("partitions", fetch_request_partition),
	END
};

static const struct kbr_field fetch_request_forgotten[] = {
	FIELD("name", STRING),
	LIST("partitions", S32),
	END
};

static const struct kbr_field fetch_request[] = {
	FIELD("replica_id", S32),
	FIELD("max_wait_ms", S32),
	FIELD("min_bytes", S32),
	FIELD("max_bytes", S32),
	FIELD("isolation_level", S8),
	FIELD_SINCE("session_id", S32, 7),
	FIELD_SINCE("session_epoch", S32, 7),
	ARRAY("topics", fetch_request_topic),
	ARRAY_SINCE("forgotten", fetch_request_forgotten, 7),
	FIELD_SINCE("rack_id", STRING, 11),
	END
};

static const struct kbr_field fetch_response_aborted[] = {
	FIELD("producer_id", S64),
	FIELD("first_offset", S64),
	END
};

static const struct kbr_field fetch_response_partition[] = {
	FIELD("partition", S32),
	FIELD("error", S16),
	FIELD("high_watermark", S64),
	FIELD("last_stable_offset", S64),
	FIELD_SINCE("log_start_offset", S64, 5),
	NULLABLE_ARRAY("aborted", fetch_response_aborted, 0),
	FIELD_SINCE("preferred_read_replica", S32, 11),
	NULLABLE("records", BYTES),
	END
};

static const struct kbr_field fetch_response_topic[] = {
	FIELD("name", STRING),
	ARRAY("partitions", fetch_response_partition),
	END
};

static const struct kbr_field fetch_response[] = {
	FIELD("throttle_time_ms", S32),
	FIELD_SINCE("error", S16, 7),
	FIELD_SINCE("session_id", S32, 7),
	ARRAY("topics", fetch_response_topic),
	END
};

/* ListOffsets 1-7 */

static const struct kbr_field list_offsets_request_partition[] = {
	FIELD("partition", S32),
	FIELD_SINCE("current_leader_epoch", S32, 4),
	FIELD("timestamp", S64),
	END
};

static const struct kbr_field list_offsets_request_topic[] = {
	FIELD("name", STRING),
	ARRAY("partitions", list_offsets_request_partition),
	END
};

static const struct kbr_field list_offsets_request[] = {
	FIELD("replica_id", S32),
	FIELD_SINCE("isolation_level", S8, 2),
	ARRAY("topics", list_offsets_request_topic),
	END
};

static const struct kbr_field list_offsets_response_partition[] = {
	FIELD("partition", S32),
	FIELD("error", S16),
	FIELD("timestamp", S64),
	FIELD("offset", S64),
	FIELD_SINCE("leader_epoch", S32, 4),
	END
};

static const struct kbr_field list_offsets_response_topic[] = {
	FIELD("name", STRING),
	ARRAY("partitions", list_offsets_response_partition),
	END
};

static const struct kbr_field list_offsets_response[] = {
	FIELD_SINCE("throttle_time_ms", S32, 2),
	ARRAY("topics", list_offsets_response_topic),
	END
};

/* Metadata 0-8 */

static const struct kbr_field metadata_request_topic[] = {
	FIELD("name", STRING),
	END
};

static const struct kbr_field metadata_request[] = {
	NULLABLE_ARRAY("topics", metadata_request_topic, 1),
	FIELD_SINCE("allow_auto_topic_creation", BOOL, 4),
	FIELD_SINCE("include_cluster_authorized_operations", BOOL, 8),
	FIELD_SINCE("include_topic_authorized_operations", BOOL, 8),
	END
};

static const struct kbr_field metadata_response_broker[] = {
	FIELD("node_id", S32),
	FIELD("host", STRING),
	FIELD("port", S32),
	NULLABLE_SINCE("rack", STRING, 1),
	END
};

static const struct kbr_field metadata_response_partition[] = {
	FIELD("error", S16),
	FIELD("partition", S32),
	FIELD("leader", S32),
	FIELD_SINCE("leader_epoch", S32, 7),
	LIST("replicas", S32),
	LIST("isr", S32),
	LIST_SINCE("offline_replicas", S32, 5),
	END
};

static const struct kbr_field metadata_response_topic[] = {
	FIELD("error", S16),
	FIELD("name", STRING),
	FIELD_SINCE("is_internal", BOOL, 1),
	ARRAY("partitions", metadata_response_partition),
	FIELD_SINCE("authorized_operations", S32, 8),
	END
};

static const struct kbr_field metadata_response[] = {
	FIELD_SINCE("throttle_time_ms", S32, 3),
	ARRAY("brokers", metadata_response_broker),
	NULLABLE_SINCE("cluster_id", STRING, 2),
	FIELD_SINCE("controller_id", S32, 1),
	ARRAY("topics", metadata_response_topic),
	FIELD_SINCE("cluster_authorized_operations", S32, 8),
	END
};

/* OffsetCommit 2-7 */

static const struct kbr_field offset_commit_request_partition[] = {
	FIELD("partition", S32),
	FIELD("offset", S64),
	FIELD_SINCE("leader_epoch", S32, 6),
	NULLABLE("metadata", STRING),
	END
};

static const struct kbr_field offset_commit_request_topic[] = {
	FIELD("name", STRING),
	ARRAY("partitions", offset_commit_request_partition),
	END
};

static const struct kbr_field offset_commit_request[] = {
	FIELD("group", STRING),
	FIELD("generation", S32),
	FIELD("member_id", STRING),
	NULLABLE_SINCE("group_instance_id", STRING, 7),
	FIELD_IN("retention_ms", S64, 2, 4),
	ARRAY("topics", offset_commit_request_topic),
	END
};

static const struct kbr_field offset_commit_response_partition[] = {
	FIELD("partition", S32),
	FIELD("error", S16),
	END
};

static const struct kbr_field offset_commit_response_topic[] = {
	FIELD("name", STRING),
	ARRAY("partitions", offset_commit_response_partition),
	END
};

static const struct kbr_field offset_commit_response[] = {
	FIELD_SINCE("throttle_time_ms", S32, 3),
	ARRAY("topics", offset_commit_response_topic),
	END
};

/* OffsetFetch 1-7 */

static const struct kbr_field offset_fetch_request_topic[] = {
	FIELD("name", STRING),
	LIST("partitions", S32),
	END
};

static const struct kbr_field offset_fetch_request[] = {
	FIELD("group", STRING),
	NULLABLE_ARRAY("topics", offset_fetch_request_topic, 2),
	FIELD_SINCE("require_stable", BOOL, 7),
	END
};

static const struct kbr_field offset_fetch_response_partition[] = {
	FIELD("partition", S32),
	FIELD("offset", S64),
	FIELD_SINCE("leader_epoch", S32, 5),
	NULLABLE("metadata", STRING),
	FIELD("error", S16),
	END
};

static const struct kbr_field offset_fetch_response_topic[] = {
	FIELD("name", STRING),
	ARRAY("partitions", offset_fetch_response_partition),
	END
};

static const struct kbr_field offset_fetch_response[] = {
	FIELD_SINCE("throttle_time_ms", S32, 3),
	ARRAY("topics", offset_fetch_response_topic),
	FIELD_SINCE("error", S16, 2),
	END
};

/* FindCoordinator 0-4 */

static const struct kbr_field find_coordinator_request[] = {
	FIELD_IN("key", STRING, 0, 3),
	FIELD_SINCE("key_type", S8, 1),
	LIST_SINCE("keys", STRING, 4),
	END
};

static const struct kbr_field find_coordinator_response_coordinator[] = {
	FIELD("key", STRING),
	FIELD("node_id", S32),
	FIELD("host", STRING),
	FIELD("port", S32),
	FIELD("error", S16),
	NULLABLE("error_message", STRING),
	END
};

static const struct kbr_field find_coordinator_response[] = {
	FIELD_SINCE("throttle_time_ms", S32, 1),
	FIELD_IN("error", S16, 0, 3),
	{ .name = "error_message", .type = KBR_FIELD_STRING, .nullable = true, .min = 1,
	  .max = 3 },
	FIELD_IN("node_id", S32, 0, 3),
	FIELD_IN("host", STRING, 0, 3),
	FIELD_IN("port", S32, 0, 3),
	ARRAY_SINCE("coordinators", find_coordinator_response_coordinator, 4),
	END
};

/* JoinGroup 0-5 */

static const struct kbr_field join_group_request_protocol[] = {
	FIELD("name", STRING),
	FIELD("metadata", BYTES),
	END
};

static const struct kbr_field join_group_request[] = {
	FIELD("group", STRING),
	FIELD("session_timeout_ms", S32),
	FIELD_SINCE("rebalance_timeout_ms", S32, 1),
	FIELD("member_id", STRING),
	NULLABLE_SINCE("group_instance_id", STRING, 5),
	FIELD("protocol_type", STRING),
	ARRAY("protocols", join_group_request_protocol),
	END
};

static const struct kbr_field join_group_response_member[] = {
	FIELD("member_id", STRING),
	NULLABLE_SINCE("group_instance_id", STRING, 5),
	FIELD("metadata", BYTES),
	END
};

static const struct kbr_field join_group_response[] = {
	FIELD_SINCE("throttle_time_ms", S32, 2),
	FIELD("error", S16),
	FIELD("generation", S32),
	FIELD("protocol_name", STRING),
	FIELD("leader", STRING),
	FIELD("member_id", STRING),
	ARRAY("members", join_group_response_member),
	END
};

/* Heartbeat 0-3 */

static const struct kbr_field heartbeat_request[] = {
	FIELD("group", STRING),
	FIELD("generation", S32),
	FIELD("member_id", STRING),
	NULLABLE_SINCE("group_instance_id", STRING, 3),
	END
};

static const struct kbr_field heartbeat_response[] = {
	FIELD_SINCE("throttle_time_ms", S32, 1),
	FIELD("error", S16),
	END
};

/* LeaveGroup 0-3 */

static const struct kbr_field leave_group_request_member[] = {
	FIELD("member_id", STRING),
	NULLABLE("group_instance_id", STRING),
	END
};

static const struct kbr_field leave_group_request[] = {
	FIELD("group", STRING),
	FIELD_IN("member_id", STRING, 0, 2),
	ARRAY_SINCE("members", leave_group_request_member, 3),
	END
};

static const struct kbr_field leave_group_response_member[] = {
	FIELD("member_id", STRING),
	NULLABLE("group_instance_id", STRING),
	FIELD("error", S16),
	END
};

static const struct kbr_field leave_group_response[] = {
	FIELD_SINCE("throttle_time_ms", S32, 1),
	FIELD("error", S16),
	ARRAY_SINCE("members", leave_group_response_member, 3),
	END
};

/* SyncGroup 0-3 */

static const struct kbr_field sync_group_request_assignment[] = {
	FIELD("member_id", STRING),
	FIELD("assignment", BYTES),
	END
};

static const struct kbr_field sync_group_request[] = {
	FIELD("group", STRING),
	FIELD("generation", S32),
	FIELD("member_id", STRING),
	NULLABLE_SINCE("group_instance_id", STRING, 3),
	ARRAY("assignments", sync_group_request_assignment),
	END
};

static const struct kbr_field sync_group_response[] = {
	FIELD_SINCE("throttle_time_ms", S32, 1),
	FIELD("error", S16),
	FIELD("assignment", BYTES),
	END
};

/* DescribeGroups 0-4 */

static const struct kbr_field describe_groups_request[] = {
	LIST("groups", STRING),
	FIELD_SINCE("include_authorized_operations", BOOL, 3),
	END
};

static const struct kbr_field describe_groups_response_member[] = {
	FIELD("member_id", STRING),
	NULLABLE_SINCE("group_instance_id", STRING, 4),
	FIELD("client_id", STRING),
	FIELD("client_host", STRING),
	FIELD("metadata", BYTES),
	FIELD("assignment", BYTES),
	END
};

static const struct kbr_field describe_groups_response_group[] = {
	FIELD("error", S16),
	FIELD("group", STRING),
	FIELD("state", STRING),
	FIELD("protocol_type", STRING),
	FIELD("protocol", STRING),
	ARRAY("members", describe_groups_response_member),
	FIELD_SINCE("authorized_operations", S32, 3),
	END
};

static const struct kbr_field describe_groups_response[] = {
	FIELD_SINCE("throttle_time_ms", S32, 1),
	ARRAY("groups", describe_groups_response_group),
	END
};

/* ListGroups 0-2 */

static const struct kbr_field list_groups_request[] = {
	END
};

static const struct kbr_field list_groups_response_group[] = {
	FIELD("group", STRING),
	FIELD("protocol_type", STRING),
	END
};

static const struct kbr_field list_groups_response[] = {
	FIELD_SINCE("throttle_time_ms", S32, 1),
	FIELD("error", S16),
	ARRAY("groups", list_groups_response_group),
	END
};

/* SaslHandshake 0-1 */

static const struct kbr_field sasl_handshake_request[] = {
	FIELD("mechanism", STRING),
	END
};

static const struct kbr_field sasl_handshake_response[] = {
	FIELD("error", S16),
	LIST("mechanisms", STRING),
	END
};

/* SaslAuthenticate 0-2 */

static const struct kbr_field sasl_authenticate_request[] = {
	FIELD("auth_bytes", BYTES),
	END
};

static const struct kbr_field sasl_authenticate_response[] = {
	FIELD("error", S16),
	NULLABLE("error_message", STRING),
	FIELD("auth_bytes", BYTES),
	FIELD_SINCE("session_lifetime_ms", S64, 1),
	END
};

/* ApiVersions 0-3 */

static const struct kbr_field api_versions_request[] = {
	FIELD_SINCE("client_software_name", STRING, 3),
	FIELD_SINCE("client_software_version", STRING, 3),
	END
};

static const struct kbr_field api_versions_response_api[] = {
	FIELD("key", S16),
	FIELD("min", S16),
	FIELD("max", S16),
	END
};

static const struct kbr_field api_versions_response[] = {
	FIELD("error", S16),
	ARRAY("apis", api_versions_response_api),
	FIELD_SINCE("throttle_time_ms", S32, 1),
	END
};

/* CreateTopics 2-4 */

static const struct kbr_field create_topics_request_assignment[] = {
	FIELD("partition", S32),
	LIST("broker_ids", S32),
	END
};

static const struct kbr_field create_topics_request_config[] = {
	FIELD("name", STRING),
	NULLABLE("value", STRING),
	END
};

static const struct kbr_field create_topics_request_topic[] = {
	FIELD("name", STRING),
	FIELD("num_partitions", S32),
	FIELD("replication_factor", S16),
	ARRAY("assignments", create_topics_request_assignment),
	ARRAY("configs", create_topics_request_config),
	END
};

static const struct kbr_field create_topics_request[] = {
	ARRAY("topics", create_topics_request_topic),
	FIELD("timeout_ms", S32),
	FIELD("validate_only", BOOL),
	END
};

static const struct kbr_field create_topics_response_topic[] = {
	FIELD("name", STRING),
	FIELD("error", S16),
	NULLABLE("error_message", STRING),
	END
};

static const struct kbr_field create_topics_response[] = {
	FIELD("throttle_time_ms", S32),
	ARRAY("topics", create_topics_response_topic),
	END
};

/* DeleteTopics 1-3 */

static const struct kbr_field delete_topics_request[] = {
	LIST("names", STRING),
	FIELD("timeout_ms", S32),
	END
};

static const struct kbr_field delete_topics_response_topic[] = {
	FIELD("name", STRING),
	FIELD("error", S16),
	END
};

static const struct kbr_field delete_topics_response[] = {
	FIELD("throttle_time_ms", S32),
	ARRAY("topics", delete_topics_response_topic),
	END
};

/* DeleteRecords 0-1 */

static const struct kbr_field delete_records_request_partition[] = {
	FIELD("partition", S32),
	FIELD("offset", S64),
	END
};

static const struct kbr_field delete_records_request_topic[] = {
	FIELD("name", STRING),
	ARRAY("partitions", delete_records_request_partition),
	END
};

static const struct kbr_field delete_records_request[] = {
	ARRAY("topics", delete_records_request_topic),
	FIELD("timeout_ms", S32),
	END
};

static const struct kbr_field delete_records_response_partition[] = {
	FIELD("partition", S32),
	FIELD("low_watermark", S64),
	FIELD("error", S16),
	END
};

static const struct kbr_field delete_records_response_topic[] = {
	FIELD("name", STRING),
	ARRAY("partitions", delete_records_response_partition),
	END
};

static const struct kbr_field delete_records_response[] = {
	FIELD("throttle_time_ms", S32),
	ARRAY("topics", delete_records_response_topic),
	END
};

/* InitProducerId 0-4 */

static const struct kbr_field init_producer_id_request[] = {
	NULLABLE("transactional_id", STRING),
	FIELD("transaction_timeout_ms", S32),
	FIELD_SINCE("producer_id", S64, 3),
	FIELD_SINCE("producer_epoch", S16, 3),
	END
};

static const struct kbr_field init_producer_id_response[] = {
	FIELD("throttle_time_ms", S32),
	FIELD("error", S16),
	FIELD("producer_id", S64),
	FIELD("producer_epoch", S16),
	END
};

/* OffsetForLeaderEpoch 2-3 */

static const struct kbr_field offset_for_leader_epoch_request_partition[] = {
	FIELD("partition", S32),
	FIELD("current_leader_epoch", S32),
	FIELD("leader_epoch", S32),
	END
};

static const struct kbr_field offset_for_leader_epoch_request_topic[] = {
	FIELD("name", STRING),
	ARRAY("partitions", offset_for_leader_epoch_request_partition),
	END
};

static const struct kbr_field offset_for_leader_epoch_request[] = {
	FIELD_SINCE("replica_id", S32, 3),
	ARRAY("topics", offset_for_leader_epoch_request_topic),
	END
};

static const struct kbr_field offset_for_leader_epoch_response_partition[] = {
	FIELD("error", S16),
	FIELD("partition", S32),
	FIELD("leader_epoch", S32),
	FIELD("end_offset", S64),
	END
};

static const struct kbr_field offset_for_leader_epoch_response_topic[] = {
	FIELD("name", STRING),
	ARRAY("partitions", offset_for_leader_epoch_response_partition),
	END
};

static const struct kbr_field offset_for_leader_epoch_response[] = {
	FIELD("throttle_time_ms", S32),
	ARRAY("topics", offset_for_leader_epoch_response_topic),
	END
};

/* DescribeConfigs 1-2 */

static const struct kbr_field describe_configs_request_resource[] = {
	FIELD("type", S8),
	FIELD("name", STRING),
	NULLABLE_LIST("keys", STRING),
	END
};

static const struct kbr_field describe_configs_request[] = {
	ARRAY("resources", describe_configs_request_resource),
	FIELD("include_synonyms", BOOL),
	END
};

static const struct kbr_field describe_configs_response_synonym[] = {
	FIELD("name", STRING),
	NULLABLE("value", STRING),
	FIELD("source", S8),
	END
};

static const struct kbr_field describe_configs_response_config[] = {
	FIELD("name", STRING),
	NULLABLE("value", STRING),
	FIELD("read_only", BOOL),
	FIELD("source", S8),
	FIELD("sensitive", BOOL),
	ARRAY("synonyms", describe_configs_response_synonym),
	END
};

static const struct kbr_field describe_configs_response_result[] = {
	FIELD("error", S16),
	NULLABLE("error_message", STRING),
	FIELD("type", S8),
	FIELD("name", STRING),
	ARRAY("configs", describe_configs_response_config),
	END
};

static const struct kbr_field describe_configs_response[] = {
	FIELD("throttle_time_ms", S32),
	ARRAY("results", describe_configs_response_result),
	END
};

/* AlterConfigs 0-1 */

static const struct kbr_field alter_configs_request_config[] = {
	FIELD("name", STRING),
	NULLABLE("value", STRING),
	END
};

static const struct kbr_field alter_configs_request_resource[] = {
	FIELD("type", S8),
	FIELD("name", STRING),
	ARRAY("configs", alter_configs_request_config),
	END
};

static const struct kbr_field alter_configs_request[] = {
	ARRAY("resources", alter_configs_request_resource),
	FIELD("validate_only", BOOL),
	END
};

static const struct kbr_field alter_configs_response_result[] = {
	FIELD("error", S16),
	NULLABLE("error_message", STRING),
	FIELD("type", S8),
	FIELD("name", STRING),
	END
};

static const struct kbr_field alter_configs_response[] = {
	FIELD("throttle_time_ms", S32),
	ARRAY("results", alter_configs_response_result),
	END
};

/* CreatePartitions 0-1 */

static const struct kbr_field create_partitions_request_assignment[] = {
	LIST("broker_ids", S32),
	END
};

static const struct kbr_field create_partitions_request_topic[] = {
	FIELD("name", STRING),
	FIELD("count", S32),
	NULLABLE_ARRAY("assignments", create_partitions_request_assignment, 0),
	END
};

static const struct kbr_field create_partitions_request[] = {
	ARRAY("topics", create_partitions_request_topic),
	FIELD("timeout_ms", S32),
	FIELD("validate_only", BOOL),
	END
};

static const struct kbr_field create_partitions_response_result[] = {
	FIELD("name", STRING),
	FIELD("error", S16),
	NULLABLE("error_message", STRING),
	END
};

static const struct kbr_field create_partitions_response[] = {
	FIELD("throttle_time_ms", S32),
	ARRAY("results", create_partitions_response_result),
	END
};

/* DeleteGroups 0-1 */

static const struct kbr_field delete_groups_request[] = {
	LIST("groups", STRING),
	END
};

static const struct kbr_field delete_groups_response_result[] = {
	FIELD("group", STRING),
	FIELD("error", S16),
	END
};

static const struct kbr_field delete_groups_response[] = {
	FIELD("throttle_time_ms", S32),
	ARRAY("results", delete_groups_response_result),
	END
};

/* IncrementalAlterConfigs 0; its response is that of AlterConfigs */

static const struct kbr_field incremental_alter_configs_request_config[] = {
	FIELD("name", STRING),
	FIELD("operation", S8),
	NULLABLE("value", STRING),
	END
};

static const struct kbr_field incremental_alter_configs_request_resource[] = {
	FIELD("type", S8),
	FIELD("name", STRING),
	ARRAY("configs", incremental_alter_configs_request_config),
	END
};

static const struct kbr_field incremental_alter_configs_request[] = {
	ARRAY("resources", incremental_alter_configs_request_resource),
	FIELD("validate_only", BOOL),
	END
};

/* OffsetDelete 0 */

static const struct kbr_field offset_delete_request_partition[] = {
	FIELD("partition", S32),
	END
};

static const struct kbr_field offset_delete_request_topic[] = {
	FIELD("name", STRING),
	ARRAY("partitions", offset_delete_request_partition),
	END
};

static const struct kbr_field offset_delete_request[] = {
	FIELD("group", STRING),
	ARRAY("topics", offset_delete_request_topic),
	END
};

static const struct kbr_field offset_delete_response_partition[] = {
	FIELD("partition", S32),
	FIELD("error", S16),
	END
};

static const struct kbr_field offset_delete_response_topic[] = {
	FIELD("name", STRING),
	ARRAY("partitions", offset_delete_response_partition),
	END
};

static const struct kbr_field offset_delete_response[] = {
	FIELD("error", S16),
	FIELD("throttle_time_ms", S32),
	ARRAY("topics", offset_delete_response_topic),
	END
};

/* Share 0: brokers of ours about device members (share_wire.h) */

static const struct kbr_field share_request_member[] = {
	FIELD("pid", S32),
	FIELD("comm", STRING),
	END
};

static const struct kbr_field share_request_partition[] = {
	FIELD("partition", S32),
	FIELD("grant", S64),
	FIELD("flags", S8),
	FIELD("offset", S64),
	FIELD("reader", S32),
	END
};

static const struct kbr_field share_request[] = {
	FIELD("kind", S8),
	FIELD("group", STRING),
	FIELD("topic", STRING),
	FIELD("topic_id", UUID),
	FIELD("epoch", S32),
	FIELD("sequence", S64),
	FIELD("synced", S64),
	FIELD("members", S32),
	ARRAY("readers", share_request_member),
	ARRAY("partitions", share_request_partition),
	END
};

static const struct kbr_field share_response[] = {
	FIELD("error", S16),
	END
};

/* GroupView 0: what a broker of ours knows of groups (group_wire.h) */

static const struct kbr_field group_view_request[] = {
	FIELD("kind", S8),
	FIELD("one", BOOL),
	FIELD("inside", BOOL),
	NULLABLE("group", STRING),
	FIELD("topic", STRING),
	FIELD("partition", S32),
	FIELD("nth", S32),
	FIELD("part", S32),
	END
};

static const struct kbr_field group_view_response[] = {
	FIELD("error", S16),
	FIELD("page", BYTES),
	END
};

#define API(_key, _name, _min, _serve_min, _max, _flexible, _request, _response) \
	{ .key = KBR_API_##_key, .name = _name, .min = _min, .serve_min = _serve_min, \
	  .max = _max, .flexible = _flexible, .request = _request, .response = _response }
#define NEVER	(KBR_NEWEST + 1)

/*
 * librdkafka before 2.11 compresses nothing unless Produce 0 is told, and
 * needs FindCoordinator 0 and InitProducerId 0 in the same way: Produce tells
 * versions that nobody sends any more.
 */
const struct kbr_api kbr_apis[] = {
	API(PRODUCE, "Produce", 0, 3, 8, NEVER, produce_request, produce_response),
	API(FETCH, "Fetch", 4, 4, 12, 12, fetch_request, fetch_response),
	API(LIST_OFFSETS, "ListOffsets", 1, 1, 7, 6, list_offsets_request, list_offsets_response),
	API(METADATA, "Metadata", 0, 0, 8, NEVER, metadata_request, metadata_response),
	API(OFFSET_COMMIT, "OffsetCommit", 2, 2, 7, NEVER, offset_commit_request,
	    offset_commit_response),
	API(OFFSET_FETCH, "OffsetFetch", 1, 1, 7, 6, offset_fetch_request,
	    offset_fetch_response),
	API(FIND_COORDINATOR, "FindCoordinator", 0, 0, 4, 3, find_coordinator_request,
	    find_coordinator_response),
	API(JOIN_GROUP, "JoinGroup", 0, 0, 5, NEVER, join_group_request, join_group_response),
	API(HEARTBEAT, "Heartbeat", 0, 0, 3, NEVER, heartbeat_request, heartbeat_response),
	API(LEAVE_GROUP, "LeaveGroup", 0, 0, 3, NEVER, leave_group_request, leave_group_response),
	API(SYNC_GROUP, "SyncGroup", 0, 0, 3, NEVER, sync_group_request, sync_group_response),
	API(DESCRIBE_GROUPS, "DescribeGroups", 0, 0, 4, NEVER, describe_groups_request,
	    describe_groups_response),
	API(LIST_GROUPS, "ListGroups", 0, 0, 2, NEVER, list_groups_request, list_groups_response),
	API(SASL_HANDSHAKE, "SaslHandshake", 0, 0, 1, NEVER, sasl_handshake_request,
	    sasl_handshake_response),
	API(API_VERSIONS, "ApiVersions", 0, 0, 3, 3, api_versions_request, api_versions_response),
	API(CREATE_TOPICS, "CreateTopics", 2, 2, 4, NEVER, create_topics_request,
	    create_topics_response),
	API(DELETE_TOPICS, "DeleteTopics", 1, 1, 3, NEVER, delete_topics_request,
	    delete_topics_response),
	API(DELETE_RECORDS, "DeleteRecords", 0, 0, 1, NEVER, delete_records_request,
	    delete_records_response),
	API(INIT_PRODUCER_ID, "InitProducerId", 0, 0, 4, 2, init_producer_id_request,
	    init_producer_id_response),
	API(OFFSET_FOR_LEADER_EPOCH, "OffsetForLeaderEpoch", 2, 2, 3, NEVER,
	    offset_for_leader_epoch_request, offset_for_leader_epoch_response),
	API(DESCRIBE_CONFIGS, "DescribeConfigs", 1, 1, 2, NEVER, describe_configs_request,
	    describe_configs_response),
	API(ALTER_CONFIGS, "AlterConfigs", 0, 0, 1, NEVER, alter_configs_request,
	    alter_configs_response),
	API(SASL_AUTHENTICATE, "SaslAuthenticate", 0, 0, 2, 2, sasl_authenticate_request,
	    sasl_authenticate_response),
	API(CREATE_PARTITIONS, "CreatePartitions", 0, 0, 1, NEVER, create_partitions_request,
	    create_partitions_response),
	API(DELETE_GROUPS, "DeleteGroups", 0, 0, 1, NEVER, delete_groups_request,
	    delete_groups_response),
	API(INCREMENTAL_ALTER_CONFIGS, "IncrementalAlterConfigs", 0, 0, 0, NEVER,
	    incremental_alter_configs_request, alter_configs_response),
	API(OFFSET_DELETE, "OffsetDelete", 0, 0, 0, NEVER, offset_delete_request,
	    offset_delete_response),
	API(SHARE, "Share", 0, 0, 0, NEVER, share_request, share_response),
	API(GROUP_VIEW, "GroupView", 0, 0, 0, NEVER, group_view_request, group_view_response),
};
KBR_EXPORT_IF_KUNIT(kbr_apis);

const unsigned int kbr_apis_count = ARRAY_SIZE(kbr_apis);
KBR_EXPORT_IF_KUNIT(kbr_apis_count);
