/* SPDX-License-Identifier: GPL-2.0-only OR LGPL-2.1-or-later */
/*
 * Every bound of the module in one place.
 *
 * A number that a user, a file or a peer can choose is checked against one of
 * these before anything is allocated for it. What belongs to one algorithm
 * alone (a window, a retry count) stays beside that algorithm.
 */
#ifndef _KBR_BASE_LIMITS_H
#define _KBR_BASE_LIMITS_H

/* Names (Kafka: 1..249 characters of [A-Za-z0-9._-], not "." or "..") */
#define KBR_TOPIC_NAME_MAX	249
#define KBR_BROKER_NAME_MAX	31
#define KBR_GROUP_NAME_MAX	249
#define KBR_CONFIG_NAME_MAX	63
#define KBR_CONFIG_VALUE_MAX	1023

/* Partitions: of one topic, and of one broker */
#define KBR_TOPIC_PARTITIONS_MAX	10000
#define KBR_BROKER_PARTITIONS_MAX	200000
#define KBR_BROKER_TOPICS_MAX		100000

/* Nodes of consumer groups that are open or looked at, in this kernel */
#define KBR_GROUP_NODES_MAX	65536

/* Batches: hard limit whatever max.message.bytes says, bytes */
#define KBR_BATCH_BYTES_MAX	(100u << 20)
/* A compressed batch may expand to at most this many bytes */
#define KBR_UNPACKED_BYTES_MAX	(32u << 20)
/* Whole batches taken by one write() in batch format, bytes */
#define KBR_WRITE_BYTES_MAX	(4u << 20)
/* And at most so many of them: what their validation finds is kept until the append */
#define KBR_WRITE_BATCHES_MAX	4096
/* Headers of one record */
#define KBR_RECORD_HEADERS_MAX	10000

/* Segments: Kafka's int32 positions */
#define KBR_SEGMENT_BYTES_MIN	(1u << 14)
#define KBR_SEGMENT_BYTES_MAX	0x7fffffffu

/* Bytes appended but not yet synced that one broker lets its writers pile up */
#define KBR_BROKER_UNSYNCED_BYTES_MAX	(256u << 20)
/* Device writes that wait for leaders on other brokers, bytes */
#define KBR_FORWARD_BYTES_MAX	(64u << 20)
/* Backing files held open by one broker beside those with unsynced bytes */
#define KBR_BROKER_FILES_MAX	1024
/* Idempotent producers remembered by one partition */
#define KBR_PRODUCERS_MAX	100000
/* Partitions in one Fetch, and in all fetch sessions of one broker */
#define KBR_FETCH_PARTITIONS_MAX	50000
#define KBR_SESSION_PARTITIONS_MAX	200000
/* Assignments in one SyncGroup, and offsets in one OffsetCommit or OffsetDelete */
#define KBR_GROUP_ASSIGNMENTS_MAX	65536
#define KBR_GROUP_OFFSETS_MAX		65536
/* Ended operations remembered by one broker, for "op get" */
#define KBR_OPS_MAX		256

/* What max.connections may be set to */
#define KBR_CONNECTIONS_MAX	(1 << 20)
/* Listeners of one broker */
#define KBR_LISTENERS_MAX	64
/* Requests of one connection that are taken and not yet answered */
#define KBR_CONN_REQUESTS_MAX	64
/* Bytes that one connection's frames and replies hold before no more is read from it */
#define KBR_CONN_BYTES_MAX	(8u << 20)
/* A request that brings no records, bytes: what is done for each of them is bounded so */
#define KBR_REQUEST_BYTES_MAX	(8u << 20)
/* Names of configs in one DescribeConfigs of a resource: many more than there are */
#define KBR_CONFIG_NAMES_MAX	1000
/* A reply beside the batches that are sent from the page cache, bytes */
#define KBR_REPLY_BYTES_MAX	(64u << 20)
/* Longest wait that a request may ask for, ms */
#define KBR_REQUEST_TIMEOUT_MS_MAX	(15 * 60 * 1000)
/* How long a stop lets accepted requests be answered, ms */
#define KBR_SERVER_DRAIN_MS	5000

#endif /* _KBR_BASE_LIMITS_H */
