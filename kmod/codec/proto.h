/* SPDX-License-Identifier: GPL-2.0-only OR LGPL-2.1-or-later */
/*
 * Kafka's requests: which APIs and versions are served, their headers, and a
 * schema of each message.
 *
 * A request body is checked against its schema as a whole before a handler
 * sees it, so that a frame with a lie anywhere in it changes nothing; handlers
 * then read the fields in order (wire.h) and need no error paths of their own.
 */
#ifndef _KBR_CODEC_PROTO_H
#define _KBR_CODEC_PROTO_H

#include <linux/types.h>

#include "codec/wire.h"

/* API keys (Kafka protocol guide) */
enum kbr_api_key {
	KBR_API_PRODUCE = 0,
	KBR_API_FETCH = 1,
	KBR_API_LIST_OFFSETS = 2,
	KBR_API_METADATA = 3,
	KBR_API_OFFSET_COMMIT = 8,
	KBR_API_OFFSET_FETCH = 9,
	KBR_API_FIND_COORDINATOR = 10,
	KBR_API_JOIN_GROUP = 11,
	KBR_API_HEARTBEAT = 12,
	KBR_API_LEAVE_GROUP = 13,
	KBR_API_SYNC_GROUP = 14,
	KBR_API_DESCRIBE_GROUPS = 15,
	KBR_API_LIST_GROUPS = 16,
	KBR_API_SASL_HANDSHAKE = 17,
	KBR_API_API_VERSIONS = 18,
	KBR_API_CREATE_TOPICS = 19,
	KBR_API_DELETE_TOPICS = 20,
	KBR_API_DELETE_RECORDS = 21,
	KBR_API_INIT_PRODUCER_ID = 22,
	KBR_API_OFFSET_FOR_LEADER_EPOCH = 23,
	KBR_API_DESCRIBE_CONFIGS = 32,
	KBR_API_ALTER_CONFIGS = 33,
	KBR_API_SASL_AUTHENTICATE = 36,
	KBR_API_CREATE_PARTITIONS = 37,
	KBR_API_DELETE_GROUPS = 42,
	KBR_API_INCREMENTAL_ALTER_CONFIGS = 44,
	KBR_API_OFFSET_DELETE = 47,
	/* Between brokers of ours, and not told to anybody else: from here on */
	KBR_API_PRIVATE = 10000,
	KBR_API_SHARE = 10001,
	KBR_API_GROUP_VIEW = 10002,
};

/* Tagged fields of a partition: in the answer to a Fetch */
#define KBR_TAG_FETCH_DIVERGING_EPOCH	0
#define KBR_TAG_FETCH_CURRENT_LEADER	1
/* Between brokers of ours: up to where the follower's disk has it; all others skip it */
#define KBR_TAG_FETCH_SYNCED		10000

enum kbr_field_type {
	KBR_FIELD_END,		/* last entry of a struct */
	KBR_FIELD_BOOL,
	KBR_FIELD_S8,
	KBR_FIELD_S16,
	KBR_FIELD_S32,
	KBR_FIELD_S64,
	KBR_FIELD_UUID,
	KBR_FIELD_STRING,
	KBR_FIELD_BYTES,	/* records, too */
	KBR_FIELD_ARRAY,	/* of a primitive @type_of, or of the struct @fields */
};

/**
 * struct kbr_field - one field of a message
 * @name: as Kafka calls it, for tools and tests
 * @type: enum kbr_field_type
 * @type_of: type of an array's elements; KBR_FIELD_END: the struct @fields
 * @nullable: null is allowed in every version from @null_min on
 * @min: first version that has the field
 * @max: last version that has it
 * @null_min: see @nullable
 * @fields: an array element's fields
 */
struct kbr_field {
	const char *name;
	u8 type;
	u8 type_of;
	bool nullable;
	s8 min;
	s8 max;
	s8 null_min;
	const struct kbr_field *fields;
};

/**
 * struct kbr_api - one API
 * @key: enum kbr_api_key
 * @min: first version that ApiVersions tells (clients look for fixed versions
 *	in the range before they use a feature)
 * @max: last version
 * @serve_min: first version that is really served; older ones close the
 *	connection
 * @flexible: first flexible version
 * @name: as Kafka writes it
 * @request: fields of the request body
 * @response: fields of the response body
 */
struct kbr_api {
	s16 key;
	s16 min;
	s16 max;
	s16 serve_min;
	s16 flexible;
	const char *name;
	const struct kbr_field *request;
	const struct kbr_field *response;
};

/* All APIs that are served, sorted by key */
extern const struct kbr_api kbr_apis[];
extern const unsigned int kbr_apis_count;

/** kbr_api_find() - the API with @key, or NULL */
const struct kbr_api *kbr_api_find(s16 key);

/**
 * struct kbr_request_header - the head of a request
 * @api: which API; NULL if it is none that is served
 * @key: as sent
 * @version: as sent
 * @correlation_id: to be echoed
 * @client_id: what the client calls itself, nullable
 */
struct kbr_request_header {
	const struct kbr_api *api;
	s16 key;
	s16 version;
	s32 correlation_id;
	struct kbr_str client_id;
};

/**
 * kbr_request_decode_header() - read the head of a request; @r is left at the body
 *
 * Sets @r->flexible for the body.
 * Return: 0; -EPROTO malformed; -EOPNOTSUPP unknown key; -EPROTONOSUPPORT a
 * version that is not served (all but the client id is then set: ApiVersions
 * answers even so).
 */
int kbr_request_decode_header(struct kbr_wire_reader *r, struct kbr_request_header *header);

/**
 * kbr_message_check() - is what lies at @r a message with @fields in @version?
 *
 * Takes a copy of the reader; bytes after the message are allowed, as Kafka
 * does. Nesting is bounded by the schema, work by the bytes.
 * Return: 0, or -EPROTO.
 */
int kbr_message_check(const struct kbr_wire_reader *r, const struct kbr_field *fields, s16 version);

/** kbr_field_skip() - go on behind @field of a message that was checked */
void kbr_field_skip(struct kbr_wire_reader *r, const struct kbr_field *field, s16 version);

/**
 * kbr_response_begin() - start a response: room for the frame's size, then its header
 *
 * Sets @w->flexible for the body; @header->version may be one that is not
 * served, the body is then that of version 0.
 */
void kbr_response_begin(struct kbr_wire_writer *w, const struct kbr_request_header *header);

/**
 * kbr_response_end() - the frame's size: what @w holds and @elsewhere bytes that are sent
 * between its parts
 */
void kbr_response_end(struct kbr_wire_writer *w, size_t elsewhere);

#endif /* _KBR_CODEC_PROTO_H */
