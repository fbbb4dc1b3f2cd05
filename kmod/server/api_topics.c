// SPDX-License-Identifier: GPL-2.0-only
/*
 * CreateTopics, DeleteTopics, CreatePartitions, DeleteRecords: lists of
 * operations on topics, see admin.h.
 */
#include <linux/bitmap.h>
#include <linux/cred.h>

#include "broker/cluster.h"
#include "broker/partition.h"
#include "server/admin.h"

/* DeleteRecords waits at least so long for its end, ms */
#define KBR_DELETE_RECORDS_MS_MIN	10000

/* The fields that follow the first, an array: a timeout, and perhaps whether only to validate */
static s32 kbr_topics_timeout(struct kbr_request *req, bool *validate_only)
{
	const struct kbr_api *api = req->header.api;
	struct kbr_wire_reader r = req->body;
	s32 timeout_ms;

	kbr_field_skip(&r, &api->request[0], req->header.version);
	timeout_ms = kbr_get_s32(&r);
	if (validate_only)
		*validate_only = kbr_get_bool(&r);
	return timeout_ms;
}

/* Begin the reply and the work: the answers follow one another in it. */
static enum kbr_request_state kbr_topics_run(struct kbr_request *req, struct kbr_admin *admin,
					     s32 timeout_ms)
{
	kbr_put_s32(&req->reply, 0);	/* throttle */
	admin->left = kbr_get_count(&req->body);
	kbr_put_count(&req->reply, admin->left);
	return kbr_admin_run(req, timeout_ms);
}

static void kbr_topics_answer(struct kbr_request *req, struct kbr_admin *admin, s16 code,
			      const char *message)
{
	kbr_put_str(&req->reply, &admin->name);
	kbr_put_s16(&req->reply, code);
	kbr_put_string(&req->reply, message);
}

/**
 * struct kbr_assignments - replicas of partitions as a client wants them
 * @words: as in struct kbr_topic_wish, in the order in which they came; NULL:
 *	without memory, or none
 * @used: of them
 * @bad: they can't be had
 */
struct kbr_assignments {
	__be32 *words;
	u32 used;
	bool bad;
};

#define KBR_ASSIGNMENT_WORDS	(KBROKER_ASSIGNMENT_MAX / sizeof(__be32))

/*
 * One partition's replicas, read in any case: standalone this broker alone
 * leads what is here, in a cluster the controller judges them.
 */
static void kbr_topics_get_replicas(struct kbr_request *req, struct kbr_assignments *to)
{
	struct kbr_broker *broker = kbr_request_broker(req);
	bool member = kbr_cluster_is_member(broker);
	s32 id, count = kbr_get_count(&req->body);

	to->bad |= count < 1 || count > (member ? KBROKER_REPLICAS_MAX : 1) ||
		   to->used + count >= KBR_ASSIGNMENT_WORDS;
	if (!to->bad && member && !to->words) {
		to->words = kvmalloc(KBROKER_ASSIGNMENT_MAX, GFP_KERNEL);
		to->bad = !to->words;
	}
	if (!to->bad && member)
		to->words[to->used++] = cpu_to_be32(count);
	for (; count > 0; count--) {
		id = kbr_get_s32(&req->body);
		to->bad |= member ? id < 0 : id != broker->id;
		if (!to->bad && member)
			to->words[to->used++] = cpu_to_be32(id);
	}
}

/* ---- CreateTopics ---- */

/* In the order of partitions what came in another: @at says where each one's begins. */
static void kbr_create_topics_sort(struct kbr_assignments *to, const u32 *at, s32 count)
{
	__be32 *sorted = kvmalloc(KBROKER_ASSIGNMENT_MAX, GFP_KERNEL);
	u32 size, used = 0;
	s32 i;

	to->bad |= !sorted;
	for (i = 0; i < count && sorted; i++) {
		size = 1 + be32_to_cpu(to->words[at[i]]);
		memcpy(sorted + used, to->words + at[i], size * sizeof(*sorted));
		used += size;
	}
	kvfree(to->words);
	to->words = sorted;
}

/* An assignment for each partition from 0 on, in any order: how many; 0 none. */
static s32 kbr_create_topics_assignments(struct kbr_request *req, struct kbr_assignments *to)
{
	s32 i, count = kbr_get_count(&req->body), partition;
	unsigned long *seen = NULL;
	u32 begin, *at = NULL;

	if (count > 0 && count <= KBR_TOPIC_PARTITIONS_MAX) {
		seen = bitmap_zalloc(count, GFP_KERNEL);
		at = kvcalloc(count, sizeof(*at), GFP_KERNEL);
	}
	for (i = 0; i < count; i++) {
		partition = kbr_get_s32(&req->body);
		begin = to->used;
		kbr_topics_get_replicas(req, to);
		to->bad |= !seen || !at || partition < 0 || partition >= count ||
			   test_and_set_bit(partition, seen);
		if (!to->bad)
			at[partition] = begin;
	}
	if (!to->bad && to->words)
		kbr_create_topics_sort(to, at, count);
	kvfree(at);
	bitmap_free(seen);
	return count;
}

static s16 kbr_create_topics_configs(struct kbr_request *req, struct kbr_admin *admin,
				     struct kbr_config_set *set, struct kbr_refusal *why)
{
	s32 count = kbr_get_count(&req->body);
	struct kbr_str name, value;
	s16 code = 0;

	for (; count > 0; count--) {
		name = kbr_get_string(&req->body);
		value = kbr_get_nullable_string(&req->body);
		if (!code)
			code = kbr_admin_put_config(admin, set, &name, &value, why);
	}
	return code;
}

static s16 kbr_create_topics_check(struct kbr_request *req, const struct kbr_topic_params *params,
				   struct kbr_refusal *why)
{
	if (!kbr_request_may_admin(req)) {
		kbr_refuse(why, -EACCES, 0, "only the broker's owner may create topics");
		return KBR_KAFKA_TOPIC_AUTHORIZATION;
	}
	if (!strncmp(params->name, "__", 2)) {
		kbr_refuse(why, -EROFS, 0, "topics that begin with \"__\" are the broker's own");
		return KBR_KAFKA_INVALID_TOPIC;
	}
	if (params->partitions != -1 && params->partitions < 1) {
		kbr_refuse(why, -EINVAL, 0, "a topic needs at least one partition");
		return KBR_KAFKA_INVALID_PARTITIONS;
	}
	if (!kbr_cluster_is_member(kbr_request_broker(req)) &&
	    params->replication_factor != -1 && params->replication_factor != 1) {
		kbr_refuse(why, -EINVAL, 0,
			   "the replication factor must be 1, not %d: there is one broker",
			   params->replication_factor);
		return KBR_KAFKA_INVALID_REPLICATION_FACTOR;
	}
	if (params->replication_factor != -1 && (params->replication_factor < 1 ||
						 params->replication_factor > KBROKER_REPLICAS_MAX)) {
		kbr_refuse(why, -EINVAL, 0, "the replication factor must be 1 to %d, not %d",
			   KBROKER_REPLICAS_MAX, params->replication_factor);
		return KBR_KAFKA_INVALID_REPLICATION_FACTOR;
	}
	return 0;
}

static s16 kbr_create_topics_assigned(struct kbr_topic_params *params, s32 assigned,
				      const struct kbr_assignments *to, struct kbr_refusal *why)
{
	if (!assigned)
		return 0;
	if (params->partitions != -1 || params->replication_factor != -1) {
		kbr_refuse(why, -EINVAL, 0, "assignments say how many partitions and replicas");
		return KBR_KAFKA_INVALID_REQUEST;
	}
	if (to->bad) {
		kbr_refuse(why, -EINVAL, 0,
			   "each partition from 0 on must be assigned once, to brokers of the cluster; alone, to this broker");
		return KBR_KAFKA_INVALID_REPLICA_ASSIGNMENT;
	}
	params->partitions = assigned;
	params->assignment = to->words;
	params->assignment_len = to->used * sizeof(*to->words);
	return 0;
}

static s16 kbr_create_topics_begin(struct kbr_request *req, struct kbr_admin *admin, u32 *op_id,
				   struct kbr_refusal *why)
{
	struct kbr_broker *broker = kbr_request_broker(req);
	const struct cred *cred = kbr_request_cred(req);
	struct kbr_topic_params params = {
		.name = admin->topic,
		.owner.set_uid = true,
		.owner.set_gid = true,
		.owner.uid = cred->fsuid,
		.owner.gid = cred->fsgid,
	};
	struct kbr_assignments to = {};
	s16 code, bad_config;
	s32 assigned;
	int err;

	code = kbr_admin_get_topic(req, admin, why);
	params.partitions = kbr_get_s32(&req->body);
	params.replication_factor = kbr_get_s16(&req->body);
	assigned = kbr_create_topics_assignments(req, &to);
	bad_config = kbr_create_topics_configs(req, admin, &params.configs, code ? NULL : why);
	/* -1, the broker's default, is taken from older clients than version 4, too, as Kafka does */
	if (!code)
		code = kbr_create_topics_check(req, &params, why);
	if (!code)
		code = kbr_create_topics_assigned(&params, assigned, &to, why);
	if (!code)
		code = bad_config;
	if (!code) {
		err = admin->validate_only ? kbr_topic_check_create(broker, &params, why) :
					     kbr_topic_create(broker, &params, op_id, why);
		code = kbr_admin_code(err);
	}
	kbr_config_set_free(&params.configs);
	kvfree(to.words);
	return code;
}

static const struct kbr_admin_calls kbr_create_topics_calls = {
	.begin = kbr_create_topics_begin,
	.answer = kbr_topics_answer,
};

static enum kbr_request_state kbr_create_topics_start(struct kbr_request *req)
{
	struct kbr_admin *admin = kbr_admin_alloc(req, &kbr_create_topics_calls);

	if (!admin)
		return KBR_REQUEST_CLOSE;
	return kbr_topics_run(req, admin, kbr_topics_timeout(req, &admin->validate_only));
}

const struct kbr_handler kbr_handle_create_topics = {
	.start = kbr_create_topics_start,
	.resume = kbr_admin_resume,
	.drop = kbr_admin_drop,
};

/* ---- DeleteTopics ---- */

static s16 kbr_delete_topics_begin(struct kbr_request *req, struct kbr_admin *admin, u32 *op_id,
				   struct kbr_refusal *why)
{
	struct kbr_topic *topic;
	s16 code;

	code = kbr_admin_get_topic(req, admin, why);
	if (code)
		return KBR_KAFKA_UNKNOWN_TOPIC;
	topic = kbr_admin_find(req, admin, &code, why);
	if (!topic)
		return code;
	kbr_topic_put(topic);
	return kbr_admin_code(kbr_topic_delete(kbr_request_broker(req), admin->topic, NULL, op_id,
					       why));
}

static void kbr_delete_topics_answer(struct kbr_request *req, struct kbr_admin *admin, s16 code,
				     const char *message)
{
	kbr_put_str(&req->reply, &admin->name);
	kbr_put_s16(&req->reply, code);
}

static const struct kbr_admin_calls kbr_delete_topics_calls = {
	.begin = kbr_delete_topics_begin,
	.answer = kbr_delete_topics_answer,
};

static enum kbr_request_state kbr_delete_topics_start(struct kbr_request *req)
{
	struct kbr_admin *admin = kbr_admin_alloc(req, &kbr_delete_topics_calls);

	if (!admin)
		return KBR_REQUEST_CLOSE;
	return kbr_topics_run(req, admin, kbr_topics_timeout(req, NULL));
}

const struct kbr_handler kbr_handle_delete_topics = {
	.start = kbr_delete_topics_start,
	.resume = kbr_admin_resume,
	.drop = kbr_admin_drop,
};

/* ---- CreatePartitions ---- */

static s16 kbr_create_partitions_check(struct kbr_topic *topic, s32 count, s32 assigned,
				       struct kbr_refusal *why)
{
	s32 before = (s32)kbr_topic_partitions(topic);

	if (count <= before) {
		kbr_refuse(why, -EINVAL, 0,
			   "topic %.80s has %d partitions; their number can only grow",
			   topic->name, before);
		return KBR_KAFKA_INVALID_PARTITIONS;
	}
	if (assigned && assigned != count - before) {
		kbr_refuse(why, -EINVAL, 0,
			   "each of the %d new partitions must be assigned, to brokers of the cluster; alone, to this broker",
			   count - before);
		return KBR_KAFKA_INVALID_REPLICA_ASSIGNMENT;
	}
	return 0;
}

static s16 kbr_create_partitions_begin(struct kbr_request *req, struct kbr_admin *admin,
				       u32 *op_id, struct kbr_refusal *why)
{
	struct kbr_broker *broker = kbr_request_broker(req);
	struct kbr_topic_change change = {};
	struct kbr_topic *topic;
	struct kbr_assignments to = {};
	s32 i, count, assigned = 0;
	s16 code;
	int err;

	code = kbr_admin_get_topic(req, admin, why);
	change.partitions = kbr_get_s32(&req->body);
	count = kbr_get_nullable_count(&req->body);
	for (i = 0; i < count; i++) {
		kbr_topics_get_replicas(req, &to);
		assigned++;
	}
	if (code) {
		code = KBR_KAFKA_UNKNOWN_TOPIC;
		goto free;
	}
	topic = kbr_admin_find(req, admin, &code, why);
	if (!topic)
		goto free;
	change.assignment = to.words;
	change.assignment_len = to.used * sizeof(*to.words);
	code = kbr_create_partitions_check(topic, change.partitions, to.bad ? -1 : assigned, why);
	if (!code) {
		err = admin->validate_only ?
			kbr_topic_check_alter(broker, topic->name, &change, why) :
			kbr_topic_alter(broker, topic->name, &change, op_id, why);
		/* what another request made of them meanwhile */
		code = err == -EINVAL ? KBR_KAFKA_INVALID_PARTITIONS : kbr_admin_code(err);
	}
	kbr_topic_put(topic);
free:
	kvfree(to.words);
	return code;
}

static const struct kbr_admin_calls kbr_create_partitions_calls = {
	.begin = kbr_create_partitions_begin,
	.answer = kbr_topics_answer,
};

static enum kbr_request_state kbr_create_partitions_start(struct kbr_request *req)
{
	struct kbr_admin *admin = kbr_admin_alloc(req, &kbr_create_partitions_calls);

	if (!admin)
		return KBR_REQUEST_CLOSE;
	return kbr_topics_run(req, admin, kbr_topics_timeout(req, &admin->validate_only));
}

const struct kbr_handler kbr_handle_create_partitions = {
	.start = kbr_create_partitions_start,
	.resume = kbr_admin_resume,
	.drop = kbr_admin_drop,
};

/* ---- DeleteRecords ---- */

/* The next partition; on the way to it, the heads of topics into the reply */
static bool kbr_delete_records_next(struct kbr_request *req, struct kbr_admin *admin)
{
	while (!admin->inner_left) {
		if (!admin->left || req->reply.err)
			return false;
		admin->left--;
		/* a name that can't be one is found to be none below */
		kbr_admin_get_topic(req, admin, NULL);
		kbr_put_str(&req->reply, &admin->name);
		admin->inner_left = kbr_get_count(&req->body);
		kbr_put_count(&req->reply, admin->inner_left);
	}
	admin->inner_left--;
	return true;
}

static s16 kbr_delete_records_begin(struct kbr_request *req, struct kbr_admin *admin, u32 *op_id,
				    struct kbr_refusal *why)
{
	struct kbr_partition *part;
	struct kbr_topic *topic;
	s64 offset;
	s16 code = 0;
	int err;

	admin->partition = kbr_get_s32(&req->body);
	offset = kbr_get_s64(&req->body);
	topic = kbr_admin_find(req, admin, &code, why);
	if (!topic)
		return code;
	part = admin->partition < 0 ? NULL : kbr_topic_partition(topic, admin->partition);
	if (!part)
		err = -ENOENT;
	else if (offset < -1 || offset > kbr_partition_hw(part))
		err = -ERANGE;
	else
		err = kbr_topic_delete_records(kbr_request_broker(req), topic->name,
					       admin->partition, offset, op_id, why);
	kbr_topic_put(topic);
	return kbr_admin_code(err);
}

/* Where the log begins now; -1 if there is none */
static s64 kbr_delete_records_start(struct kbr_request *req, struct kbr_admin *admin)
{
	struct kbr_topic *topic = kbr_topic_lookup(kbr_request_broker(req), admin->topic);
	struct kbr_partition *part;
	s64 start = -1;

	part = topic ? kbr_topic_partition(topic, admin->partition) : NULL;
	if (part)
		start = kbr_log_start(&part->log);
	kbr_topic_put(topic);
	return start;
}

static void kbr_delete_records_answer(struct kbr_request *req, struct kbr_admin *admin, s16 code,
				      const char *message)
{
	kbr_put_s32(&req->reply, admin->partition);
	kbr_put_s64(&req->reply, code ? -1 : kbr_delete_records_start(req, admin));
	kbr_put_s16(&req->reply, code);
}

static const struct kbr_admin_calls kbr_delete_records_calls = {
	.next = kbr_delete_records_next,
	.begin = kbr_delete_records_begin,
	.answer = kbr_delete_records_answer,
};

static enum kbr_request_state kbr_delete_records_start_request(struct kbr_request *req)
{
	struct kbr_admin *admin = kbr_admin_alloc(req, &kbr_delete_records_calls);

	if (!admin)
		return KBR_REQUEST_CLOSE;
	/* Kafka deletes its own records before it looks at the time: none of it is no time-out. */
	return kbr_topics_run(req, admin,
			      max(kbr_topics_timeout(req, NULL), KBR_DELETE_RECORDS_MS_MIN));
}

const struct kbr_handler kbr_handle_delete_records = {
	.start = kbr_delete_records_start_request,
	.resume = kbr_admin_resume,
	.drop = kbr_admin_drop,
};
