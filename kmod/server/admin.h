/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Requests that change topics and configs: a list of items, each an operation
 * of the broker, one after the other, each with its own answer.
 */
#ifndef _KBR_SERVER_ADMIN_H
#define _KBR_SERVER_ADMIN_H

#include "broker/broker.h"
#include "broker/topic.h"
#include "codec/kafka_error.h"
#include "server/request.h"

struct kbr_admin;

/* Kafka's operations, as bits of authorized_operations */
#define KBR_OPERATION_READ		BIT(3)
#define KBR_OPERATION_WRITE		BIT(4)
#define KBR_OPERATION_CREATE		BIT(5)
#define KBR_OPERATION_DELETE		BIT(6)
#define KBR_OPERATION_ALTER		BIT(7)
#define KBR_OPERATION_DESCRIBE		BIT(8)
#define KBR_OPERATION_DESCRIBE_CONFIGS	BIT(10)
#define KBR_OPERATION_ALTER_CONFIGS	BIT(11)
#define KBR_OPERATION_IDEMPOTENT_WRITE	BIT(12)
#define KBR_OPERATIONS_NOT_ASKED	S32_MIN

/**
 * struct kbr_admin_calls - what differs between APIs
 * @next: is there another item? NULL: @left counts them
 * @begin: read the next item, all of it, and begin it: Kafka's code and @why;
 *	0 and *@op_id: that operation says how it ends; 0 and no id: done
 * @answer: append the item's answer to the reply
 */
struct kbr_admin_calls {
	bool (*next)(struct kbr_request *req, struct kbr_admin *admin);
	s16 (*begin)(struct kbr_request *req, struct kbr_admin *admin, u32 *op_id,
		     struct kbr_refusal *why);
	void (*answer)(struct kbr_request *req, struct kbr_admin *admin, s16 code,
		       const char *message);
};

/**
 * struct kbr_admin - where such a request is; its private part
 * @calls: see there
 * @op: operation of the current item, a reference; NULL: none runs
 * @entry: its wait queue
 * @body: the request's body from its first field on, where that is read twice
 * @left: items that were not begun
 * @inner_left: of the current topic's partitions, likewise
 * @validate_only: nothing is changed
 * @nowait: the time is over: what is begun is not waited for
 * @name: current item: topic or resource
 * @topic: terminated, where it may be a topic's name
 * @type: current item: type of a resource
 * @partition: current item: partition
 * @key: room for the name of a config
 * @value: room for its value
 */
struct kbr_admin {
	const struct kbr_admin_calls *calls;
	struct kbr_op *op;
	struct kbr_waiter_entry entry;
	struct kbr_wire_reader body;
	s32 left;
	s32 inner_left;
	bool validate_only;
	bool nowait;
	struct kbr_str name;
	char topic[KBR_TOPIC_NAME_MAX + 1];
	s8 type;
	s32 partition;
	char key[KBR_CONFIG_NAME_MAX + 1];
	char value[KBR_CONFIG_VALUE_MAX + 1];
};

/**
 * kbr_admin_alloc() - begin such a request: @req->priv
 *
 * Return: NULL without memory.
 */
struct kbr_admin *kbr_admin_alloc(struct kbr_request *req, const struct kbr_admin_calls *calls);
/** kbr_admin_run() - go on with its items, from start() */
enum kbr_request_state kbr_admin_run(struct kbr_request *req, s32 timeout_ms);
/** kbr_admin_resume() - a handler's resume() */
enum kbr_request_state kbr_admin_resume(struct kbr_request *req, bool expired);
/** kbr_admin_drop() - a handler's drop() */
void kbr_admin_drop(struct kbr_request *req);

struct kbr_peer;

/** kbr_peer_address() - where clients are told to reach another broker of the cluster */
void kbr_peer_address(const struct kbr_peer *peer, struct kbr_address *address);
/** kbr_admin_code() - Kafka's code of an operation's or its refusal's errno */
s16 kbr_admin_code(int err);
/** kbr_admin_get_topic() - the current item's name into @admin->name and @admin->topic; 0, or 17 and @why */
s16 kbr_admin_get_topic(struct kbr_request *req, struct kbr_admin *admin, struct kbr_refusal *why);
/** kbr_admin_may() - may this client change @topic? its owner, the broker's and root may */
bool kbr_admin_may(const struct kbr_request *req, const struct kbr_topic *topic);
/** kbr_admin_may_see() - may this client know of @topic? who may read, write or change it */
bool kbr_admin_may_see(const struct kbr_request *req, const struct kbr_topic *topic);
/**
 * kbr_admin_find() - the topic @admin->topic, if this client may change it
 *
 * Return: a reference, or NULL and *@code and @why.
 */
struct kbr_topic *kbr_admin_find(struct kbr_request *req, struct kbr_admin *admin, s16 *code,
				 struct kbr_refusal *why);
/** kbr_admin_put_config() - one config of a request into @set; 0, or 40 or -1 and @why */
s16 kbr_admin_put_config(struct kbr_admin *admin, struct kbr_config_set *set,
			 const struct kbr_str *name, const struct kbr_str *value,
			 struct kbr_refusal *why);

#endif /* _KBR_SERVER_ADMIN_H */
