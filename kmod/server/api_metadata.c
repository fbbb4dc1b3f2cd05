// SPDX-License-Identifier: GPL-2.0-only
/*
 * Metadata: the brokers, and the topics that a client asks for or may see.
 * Topics that are not there may be created first: the request is parked until
 * they are, and answered with LEADER_NOT_AVAILABLE where that takes too long.
 */
#include <linux/cred.h>
#include <linux/in.h>
#include <linux/in6.h>
#include <linux/limits.h>
#include <linux/slab.h>

#include "base/uuid.h"
#include "broker/access.h"
#include "broker/cluster.h"
#include "broker/op.h"
#include "broker/partition.h"
#include "broker/replica.h"
#include "server/admin.h"

/* How long a client waits for topics that it made, before it is told to ask again, ms */
#define KBR_AUTO_CREATE_MS	5000

/**
 * struct kbr_metadata_ask - what a client asks for
 * @all: every topic that it may see
 * @count: names that follow
 * @names: at the first of them
 * @create: topics that are not there are to be created
 * @topic_operations: what it may do with each topic
 * @cluster_operations: what it may do with the broker
 */
struct kbr_metadata_ask {
	bool all;
	s32 count;
	struct kbr_wire_reader names;
	bool create;
	bool topic_operations;
	bool cluster_operations;
};

static void kbr_metadata_read(struct kbr_request *req, struct kbr_metadata_ask *ask)
{
	s16 version = req->header.version;
	struct kbr_wire_reader r = req->body;
	s32 i;

	memset(ask, 0, sizeof(*ask));
	ask->count = kbr_get_nullable_count(&r);
	/* "all" is null, and was no names in version 0 */
	ask->all = ask->count < 0 || (!version && !ask->count);
	ask->names = r;
	for (i = 0; i < ask->count; i++)
		kbr_get_string(&r);
	ask->create = version >= 4 ? kbr_get_bool(&r) : true;
	if (version >= 8) {
		ask->cluster_operations = kbr_get_bool(&r);
		ask->topic_operations = kbr_get_bool(&r);
	}
	ask->create = ask->create &&
		      READ_ONCE(kbr_request_broker(req)->config.auto_create_topics);
}

static bool kbr_metadata_may(const struct kbr_topic *topic, const struct cred *cred,
			     unsigned int what)
{
	return !kbr_access_check(topic, cred, what);
}

static s32 kbr_metadata_topic_operations(const struct kbr_request *req,
					 const struct kbr_topic *topic)
{
	const struct cred *cred = kbr_request_cred(req);
	s32 may = KBR_OPERATION_DESCRIBE | KBR_OPERATION_DESCRIBE_CONFIGS;

	if (kbr_metadata_may(topic, cred, KBR_MAY_CONSUME))
		may |= KBR_OPERATION_READ;
	if (kbr_metadata_may(topic, cred, KBR_MAY_PRODUCE))
		may |= KBR_OPERATION_WRITE;
	if (kbr_admin_may(req, topic))
		may |= KBR_OPERATION_DELETE | KBR_OPERATION_ALTER | KBR_OPERATION_ALTER_CONFIGS;
	return may;
}

static s32 kbr_metadata_cluster_operations(const struct kbr_request *req)
{
	s32 may = KBR_OPERATION_DESCRIBE | KBR_OPERATION_IDEMPOTENT_WRITE;

	if (kbr_request_may_admin(req))
		may |= KBR_OPERATION_CREATE | KBR_OPERATION_ALTER |
		       KBR_OPERATION_DESCRIBE_CONFIGS | KBR_OPERATION_ALTER_CONFIGS;
	return may;
}

static void kbr_metadata_put_id(struct kbr_wire_writer *w, s32 id)
{
	kbr_put_count(w, 1);
	kbr_put_s32(w, id);
}

static void kbr_metadata_put_ids(struct kbr_wire_writer *w, const struct kbr_id_set *set)
{
	unsigned int i;

	kbr_put_count(w, set->count);
	for (i = 0; i < set->count; i++)
		kbr_put_s32(w, set->id[i]);
}

/* Is broker @id one that does not answer now? */
static bool kbr_metadata_is_offline(struct kbr_broker *broker, s32 id)
{
	struct kbr_peer peer;

	return id != READ_ONCE(broker->id) && (kbr_cluster_peer(broker, id, &peer) || peer.fenced);
}

/* As the controller has told, whoever leads. */
static void kbr_metadata_put_replicated(struct kbr_request *req, struct kbr_partition *part,
					const struct kbr_replica_state *told)
{
	struct kbr_broker *broker = kbr_request_broker(req);
	struct kbr_wire_writer *w = &req->reply;
	struct kbr_id_set offline = { 0 };
	s16 version = req->header.version;
	unsigned int i;

	kbr_put_s16(w, told->leader >= 0 ? KBR_KAFKA_NONE : KBR_KAFKA_LEADER_NOT_AVAILABLE);
	kbr_put_s32(w, (s32)part->index);
	kbr_put_s32(w, told->leader);
	if (version >= 7)
		kbr_put_s32(w, told->leader_epoch);
	kbr_metadata_put_ids(w, &told->replicas);
	kbr_metadata_put_ids(w, &told->isr);
	if (version < 5)
		return;
	for (i = 0; i < told->replicas.count; i++)
		if (kbr_metadata_is_offline(broker, told->replicas.id[i]))
			offline.id[offline.count++] = told->replicas.id[i];
	kbr_metadata_put_ids(w, &offline);
}

static void kbr_metadata_put_own(struct kbr_request *req, struct kbr_partition *part)
{
	s32 id = kbr_request_broker(req)->id;
	struct kbr_wire_writer *w = &req->reply;
	s16 version = req->header.version;
	u8 state = READ_ONCE(part->state);
	bool leads = state == KBR_PARTITION_LEADER || state == KBR_PARTITION_REPAIRING;

	kbr_put_s16(w, leads ? KBR_KAFKA_NONE : KBR_KAFKA_LEADER_NOT_AVAILABLE);
	kbr_put_s32(w, (s32)part->index);
	kbr_put_s32(w, leads ? id : -1);
	if (version >= 7)
		kbr_put_s32(w, kbr_partition_leader_epoch(part));
	kbr_metadata_put_id(w, id);
	/* the in-sync set never becomes empty: the last member stays in it */
	kbr_metadata_put_id(w, id);
	if (version >= 5) {
		if (leads)
			kbr_put_count(w, 0);
		else
			kbr_metadata_put_id(w, id);
	}
}

static void kbr_metadata_put_partition(struct kbr_request *req, struct kbr_partition *part)
{
	enum kbroker_replica_role role;
	struct kbr_replica_state told;

	if (kbr_replica_get(part, &told, &role))
		kbr_metadata_put_replicated(req, part, &told);
	else
		kbr_metadata_put_own(req, part);
}

static void kbr_metadata_put_broker(struct kbr_request *req, s32 id, const char *host, u16 port,
				    const char *rack)
{
	struct kbr_wire_writer *w = &req->reply;

	kbr_put_s32(w, id);
	kbr_put_string(w, host);
	kbr_put_s32(w, port);
	if (req->header.version >= 1)
		kbr_put_string(w, rack && rack[0] ? rack : NULL);
}

void kbr_peer_address(const struct kbr_peer *peer, struct kbr_address *address)
{
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&peer->address;
	const struct sockaddr_in *in = (const struct sockaddr_in *)&peer->address;

	if (peer->address.ss_family == AF_INET6) {
		snprintf(address->host, sizeof(address->host), "%pI6c", &in6->sin6_addr);
		address->port = ntohs(in6->sin6_port);
	} else {
		snprintf(address->host, sizeof(address->host), "%pI4", &in->sin_addr);
		address->port = ntohs(in->sin_port);
	}
	if (peer->advertised_host[0])
		strscpy(address->host, peer->advertised_host, sizeof(address->host));
	if (peer->advertised_port)
		address->port = peer->advertised_port;
}

static void kbr_metadata_put_peer(struct kbr_request *req, const struct kbr_peer *peer)
{
	struct kbr_address address;

	kbr_peer_address(peer, &address);
	kbr_metadata_put_broker(req, peer->id, address.host, address.port, peer->rack);
}

/* This broker as the client has reached it, and the others of the cluster that answer. */
static void kbr_metadata_put_brokers(struct kbr_request *req, const struct kbr_cluster_info *info)
{
	struct kbr_broker *broker = kbr_request_broker(req);
	size_t at = kbr_put_open_count(&req->reply);
	struct kbr_address address;
	struct kbr_peer peer;
	s32 count = 1, id = -1;

	kbr_request_address(req, &address);
	kbr_metadata_put_broker(req, broker->id, address.host, address.port, info->rack);
	while (!kbr_cluster_next_peer(broker, id, &peer)) {
		id = peer.id;
		if (id == broker->id || peer.fenced)
			continue;
		kbr_metadata_put_peer(req, &peer);
		count++;
	}
	kbr_wire_writer_patch_count(&req->reply, at, count);
}

static void kbr_metadata_put_topic(struct kbr_request *req, struct kbr_topic *topic,
				   bool operations)
{
	unsigned int count = kbr_topic_partitions(topic);
	struct kbr_wire_writer *w = &req->reply;
	s16 version = req->header.version;
	unsigned int i;

	kbr_put_s16(w, KBR_KAFKA_NONE);
	kbr_put_string(w, topic->name);
	if (version >= 1)
		kbr_put_bool(w, topic->internal);
	kbr_put_count(w, (s32)count);
	for (i = 0; i < count && !w->err; i++)
		kbr_metadata_put_partition(req, kbr_topic_partition(topic, i));
	if (version >= 8)
		kbr_put_s32(w, operations ? kbr_metadata_topic_operations(req, topic) :
					    KBR_OPERATIONS_NOT_ASKED);
}

/* A topic that is not there, or is not for this client. */
static void kbr_metadata_put_refused(struct kbr_request *req, const struct kbr_str *name, s16 code)
{
	struct kbr_wire_writer *w = &req->reply;
	s16 version = req->header.version;

	kbr_put_s16(w, code);
	kbr_put_str(w, name);
	if (version >= 1)
		kbr_put_bool(w, name->len >= 2 && !memcmp(name->at, "__", 2));
	kbr_put_count(w, 0);
	if (version >= 8)
		kbr_put_s32(w, KBR_OPERATIONS_NOT_ASKED);
}

/* Is @name one that this request may make? 0 or Kafka's code. */
static s16 kbr_metadata_may_create(struct kbr_request *req, const char *name, bool create)
{
	if (!create || !strncmp(name, "__", 2))
		return KBR_KAFKA_UNKNOWN_TOPIC;
	return kbr_request_may_admin(req) ? 0 : KBR_KAFKA_TOPIC_AUTHORIZATION;
}

static void kbr_metadata_put_named(struct kbr_request *req, const struct kbr_metadata_ask *ask)
{
	struct kbr_broker *broker = kbr_request_broker(req);
	char text[KBR_TOPIC_NAME_MAX + 1];
	struct kbr_wire_reader r = ask->names;
	struct kbr_topic *topic;
	struct kbr_str name;
	s16 code;
	s32 i;

	kbr_put_count(&req->reply, ask->count);
	for (i = 0; i < ask->count && !kbr_request_is_futile(req); i++) {
		name = kbr_get_string(&r);
		if (kbr_str_copy(&name, text, sizeof(text)) || kbr_topic_name_check(text, NULL)) {
			kbr_metadata_put_refused(req, &name, KBR_KAFKA_INVALID_TOPIC);
			continue;
		}
		topic = kbr_topic_lookup(broker, text);
		if (topic && kbr_admin_may_see(req, topic)) {
			kbr_metadata_put_topic(req, topic, ask->topic_operations);
		} else if (topic) {
			kbr_metadata_put_refused(req, &name, KBR_KAFKA_TOPIC_AUTHORIZATION);
		} else {
			code = kbr_metadata_may_create(req, text, ask->create);
			/* being made, or not to be made now: ask again */
			kbr_metadata_put_refused(req, &name,
						 code ?: KBR_KAFKA_LEADER_NOT_AVAILABLE);
		}
		kbr_topic_put(topic);
	}
}

static void kbr_metadata_put_all(struct kbr_request *req, const struct kbr_metadata_ask *ask)
{
	struct kbr_broker *broker = kbr_request_broker(req);
	struct kbr_wire_writer *w = &req->reply;
	size_t at = w->len;
	struct kbr_topic *topic;
	s32 count = 0;

	kbr_put_s32(w, 0);
	for (topic = kbr_topic_next(broker, NULL); topic;
	     topic = kbr_topic_walk_next(broker, topic)) {
		if (kbr_request_is_futile(req))
			break;
		if (!kbr_admin_may_see(req, topic))
			continue;
		kbr_metadata_put_topic(req, topic, ask->topic_operations);
		count++;
	}
	kbr_topic_put(topic);
	kbr_wire_writer_patch_s32(w, at, count);
}

static void kbr_metadata_answer(struct kbr_request *req)
{
	struct kbr_broker *broker = kbr_request_broker(req);
	char cluster[KBR_UUID_TEXT_LEN + 1];
	struct kbr_wire_writer *w = &req->reply;
	s16 version = req->header.version;
	struct kbr_cluster_info info;
	struct kbr_metadata_ask ask;

	kbr_metadata_read(req, &ask);
	if (version >= 3)
		kbr_put_s32(w, 0);	/* throttle */
	kbr_cluster_describe(broker, &info);
	kbr_metadata_put_brokers(req, &info);
	if (version >= 2) {
		kbr_uuid_print(info.state == KBR_CLUSTER_STANDALONE ? broker->directory_id : info.id,
			       cluster);
		kbr_put_string(w, cluster);
	}
	/* whom to send changes of topics: any broker hands them on */
	if (version >= 1)
		kbr_put_s32(w, broker->id);
	if (ask.all)
		kbr_metadata_put_all(req, &ask);
	else
		kbr_metadata_put_named(req, &ask);
	if (version >= 8)
		kbr_put_s32(w, ask.cluster_operations ? kbr_metadata_cluster_operations(req) :
							KBR_OPERATIONS_NOT_ASKED);
}

/* ---- topics that are not there ---- */

static s16 kbr_metadata_create(struct kbr_request *req, struct kbr_admin *admin, u32 *op_id,
			       struct kbr_refusal *why)
{
	struct kbr_broker *broker = kbr_request_broker(req);
	const struct cred *cred = kbr_request_cred(req);
	struct kbr_topic_params params = {
		.name = admin->topic,
		.partitions = -1,
		.replication_factor = -1,
		.owner.set_uid = true,
		.owner.set_gid = true,
		.owner.uid = cred->fsuid,
		.owner.gid = cred->fsgid,
	};
	struct kbr_topic *topic;
	s16 code;

	code = kbr_admin_get_topic(req, admin, why);
	if (!code)
		code = kbr_metadata_may_create(req, admin->topic, true);
	if (code)
		return code;
	topic = kbr_topic_lookup(broker, admin->topic);
	kbr_topic_put(topic);
	return topic ? 0 : kbr_admin_code(kbr_topic_create(broker, &params, op_id, why));
}

/* The answer looks itself at what there is in the end. */
static void kbr_metadata_created(struct kbr_request *req, struct kbr_admin *admin, s16 code,
				 const char *message)
{
}

static const struct kbr_admin_calls kbr_metadata_calls = {
	.begin = kbr_metadata_create,
	.answer = kbr_metadata_created,
};

static enum kbr_request_state kbr_metadata_end(struct kbr_request *req,
					       enum kbr_request_state state)
{
	struct kbr_admin *admin = req->priv;

	if (state == KBR_REQUEST_DONE) {
		/* back to where the body begins */
		req->body = admin->body;
		kbr_metadata_answer(req);
	}
	return state;
}

static enum kbr_request_state kbr_metadata_start(struct kbr_request *req)
{
	struct kbr_metadata_ask ask;
	struct kbr_admin *admin;

	kbr_metadata_read(req, &ask);
	if (ask.all || !ask.count || !ask.create || !kbr_request_may_admin(req)) {
		kbr_metadata_answer(req);
		return KBR_REQUEST_DONE;
	}
	admin = kbr_admin_alloc(req, &kbr_metadata_calls);
	if (!admin)
		return KBR_REQUEST_CLOSE;
	admin->body = req->body;
	admin->left = kbr_get_nullable_count(&req->body);
	return kbr_metadata_end(req, kbr_admin_run(req, KBR_AUTO_CREATE_MS));
}

static enum kbr_request_state kbr_metadata_resume(struct kbr_request *req, bool expired)
{
	return kbr_metadata_end(req, kbr_admin_resume(req, expired));
}

const struct kbr_handler kbr_handle_metadata = {
	.start = kbr_metadata_start,
	.resume = kbr_metadata_resume,
	.drop = kbr_admin_drop,
};
