// SPDX-License-Identifier: GPL-2.0-only
/*
 * What is done to topics: create, delete, alter, delete records. Each checks
 * in the caller's context what needs no disk, then runs on the broker's
 * ordered queue, so that no two of them meet.
 */
#define pr_fmt(fmt) "kbroker: " fmt

#include <linux/printk.h>
#include <linux/slab.h>
#include <linux/srcu.h>
#include <linux/uuid.h>
#include <linux/kbroker_netlink.h>

#include "base/kunit.h"
#include "broker/cluster.h"
#include "broker/event.h"
#include "broker/group.h"
#include "broker/metadata.h"
#include "broker/node.h"
#include "broker/op.h"
#include "broker/partition.h"
#include "broker/request.h"
#include "broker/topic.h"

/* Partitions between two reports of progress */
#define KBR_TOPIC_PROGRESS_STEP	64

/**
 * struct kbr_topic_task - one operation on a topic
 * @task: the operation
 * @name: topic
 * @found: create: what to create
 * @change: alter: what to change; its sets are owned
 * @partition: delete records: which partition
 * @offset: delete records: up to where
 * @decided: @id is the topic's, and on a member the controller has decided so
 * @id: UUID
 */
struct kbr_topic_task {
	struct kbr_task task;
	char name[KBR_TOPIC_NAME_MAX + 1];
	struct kbr_metadata_topic found;
	struct kbr_topic_change change;
	u32 partition;
	s64 offset;
	bool decided;
	u8 id[16];
};

static struct kbr_topic_task *kbr_topic_task_of(struct kbr_task *task)
{
	return container_of(task, struct kbr_topic_task, task);
}

static void kbr_topic_task_free(struct kbr_task *task)
{
	struct kbr_topic_task *todo = kbr_topic_task_of(task);

	kbr_config_set_free(&todo->found.configs);
	kbr_config_set_free(&todo->change.set);
	kbr_config_set_free(&todo->change.del);
	kfree(todo);
}

/* @id NULL: nothing is known of it, or it is new. */
static struct kbr_topic_task *kbr_topic_task_alloc(const char *name, const u8 *id,
						   int (*run)(struct kbr_task *task))
{
	struct kbr_topic_task *todo = kzalloc(sizeof(*todo), GFP_KERNEL);

	if (!todo)
		return NULL;
	strscpy(todo->name, name, sizeof(todo->name));
	todo->found.name = todo->name;
	todo->decided = id;
	if (id)
		memcpy(todo->id, id, sizeof(todo->id));
	todo->task.run = run;
	todo->task.free = kbr_topic_task_free;
	return todo;
}

/* In an operation: a broker that has joined a cluster since it was begun changes nothing by itself. */
static int kbr_topic_check_decided(const struct kbr_topic_task *todo, struct kbr_op *op)
{
	if (todo->decided || !kbr_cluster_is_member(todo->task.broker))
		return 0;
	return kbr_refuse(&op->why, -EAGAIN, 0,
			  "the broker has just joined a cluster: ask again");
}

/* The topic that an operation is about; @why says why it is not. */
static struct kbr_topic *kbr_topic_find(struct kbr_broker *broker, const char *name, const u8 *id,
					struct kbr_refusal *why)
{
	struct kbr_topic *topic = kbr_topic_lookup(broker, name);

	if (!topic) {
		kbr_refuse(why, -ENOENT, 0, "there is no topic %.80s", name);
		return NULL;
	}
	if (!id || !memcmp(topic->id, id, sizeof(topic->id)))
		return topic;
	kbr_topic_put(topic);
	kbr_refuse(why, -ENOENT, KBROKER_A_TOPIC_ID, "topic %.80s has another id: it is not the same topic",
		   name);
	return NULL;
}

static void kbr_topic_raise(struct kbr_topic *topic, enum kbr_event_kind kind)
{
	struct kbr_event event = {
		.kind = kind,
		.broker = topic->broker,
		.topic = topic,
	};

	kbr_event_raise(topic->broker->knet, &event);
}

/* ---- asking the controller ---- */

/*
 * @request was filled; it goes with its end. The operation is running until the
 * controller has answered.
 */
static int kbr_topic_ask(struct kbr_cluster_request *request, int kind, u32 *op_id,
			 struct kbr_refusal *why)
{
	int err = kbr_broker_begin_request(request->broker, request, kind, request->topic.name,
					   op_id, why);

	kbr_cluster_request_put(request);
	return err;
}

static int kbr_topic_wish_assign(struct kbr_topic_wish *wish, const __be32 *assignment, size_t len)
{
	if (!len)
		return 0;
	wish->assignment = kvmalloc(len, GFP_KERNEL);
	if (!wish->assignment)
		return -ENOMEM;
	memcpy(wish->assignment, assignment, len);
	wish->assignment_len = len;
	return 0;
}

/* What @found says of a topic that does not exist yet. */
static int kbr_topic_ask_create(struct kbr_broker *broker, const struct kbr_topic_params *params,
				const struct kbr_metadata_topic *found, u32 *op_id,
				struct kbr_refusal *why)
{
	struct kbr_cluster_request *request;
	struct kbr_topic_wish *wish;
	int err;

	request = kbr_cluster_request_alloc(broker, KBR_REQUEST_TOPIC_NEW);
	if (!request)
		return -ENOMEM;
	wish = &request->topic;
	strscpy(wish->name, params->name, sizeof(wish->name));
	wish->partitions = found->partitions;
	wish->replication_factor = found->replication_factor;
	wish->owner = (struct kbr_owner) {
		.set_uid = true,
		.set_gid = true,
		.set_mode = true,
		.uid = make_kuid(&init_user_ns, found->uid),
		.gid = make_kgid(&init_user_ns, found->gid),
		.mode = found->mode,
	};
	err = kbr_topic_wish_assign(wish, params->assignment, params->assignment_len) ?:
	      kbr_config_set_copy(&wish->set, &params->configs);
	if (err) {
		kbr_cluster_request_put(request);
		return err;
	}
	return kbr_topic_ask(request, KBR_OP_TOPIC_CREATE, op_id, why);
}

static int kbr_topic_ask_alter(struct kbr_topic *topic, const struct kbr_topic_change *change,
			       u32 *op_id, struct kbr_refusal *why)
{
	struct kbr_cluster_request *request;
	struct kbr_topic_wish *wish;
	int err;

	request = kbr_cluster_request_alloc(topic->broker, KBR_REQUEST_TOPIC_SET);
	if (!request)
		return -ENOMEM;
	wish = &request->topic;
	strscpy(wish->name, topic->name, sizeof(wish->name));
	wish->has_id = true;
	memcpy(wish->id, topic->id, sizeof(wish->id));
	wish->partitions = max(change->partitions, 0);
	wish->owner = change->owner;
	err = kbr_topic_wish_assign(wish, change->assignment, change->assignment_len) ?:
	      kbr_config_set_copy(&wish->set, &change->set) ?:
	      kbr_config_set_copy(&wish->del, &change->del);
	if (err) {
		kbr_cluster_request_put(request);
		return err;
	}
	return kbr_topic_ask(request, KBR_OP_TOPIC_ALTER, op_id, why);
}

static int kbr_topic_ask_delete(struct kbr_topic *topic, u32 *op_id, struct kbr_refusal *why)
{
	struct kbr_cluster_request *request;

	request = kbr_cluster_request_alloc(topic->broker, KBR_REQUEST_TOPIC_DEL);
	if (!request)
		return -ENOMEM;
	strscpy(request->topic.name, topic->name, sizeof(request->topic.name));
	request->topic.has_id = true;
	memcpy(request->topic.id, topic->id, sizeof(request->topic.id));
	return kbr_topic_ask(request, KBR_OP_TOPIC_DELETE, op_id, why);
}

/* ---- partitions ---- */

/* Make the logs of partitions from @from on; on error those made are removed again. */
static int kbr_topic_create_logs(struct kbr_topic *topic, struct kbr_partition_array *array,
				 unsigned int from, struct kbr_op *op)
{
	struct kbr_broker *broker = topic->broker;
	unsigned int i;
	int err = 0;

	for (i = from; i < array->count; i++) {
		err = kbr_partition_create(array->part[i]);
		if (err) {
			kbr_refuse(&op->why, err, 0, "partition %u of %s can't be created%s", i,
				   topic->name,
				   err == -EEXIST ? ": its directory is in the way" : "");
			break;
		}
		if (!((i - from + 1) % KBR_TOPIC_PROGRESS_STEP))
			kbr_op_progress(op, i - from + 1, array->count - from);
		if (READ_ONCE(broker->give_up)) {
			err = -ECANCELED;
			i++;
			break;
		}
	}
	/* One sync for all; the files themselves are synced with their first record. */
	if (!err)
		err = kbr_dir_sync(broker->dir, "");
	if (!err)
		return 0;
	while (i-- > from) {
		WRITE_ONCE(array->part[i]->opened, false);
		kbr_log_discard(&array->part[i]->log);
	}
	return err;
}

/* Remove all logs of a topic that nobody reads or writes any more. */
static void kbr_topic_remove_logs(struct kbr_topic *topic, struct kbr_partition_array *array,
				  unsigned int from)
{
	unsigned int i;
	int err;

	for (i = from; i < array->count; i++) {
		struct kbr_partition *part = array->part[i];

		kbr_forward_retire(part);
		kbr_partition_retire(part);
		if (!part->opened)
			continue;
		WRITE_ONCE(part->opened, false);
		err = kbr_log_discard(&part->log);
		if (err)
			pr_warn_ratelimited("%s: %s-%u: its files could not be removed (%d); the next start tries again\n",
					    topic->broker->name, topic->name, i, err);
		WRITE_ONCE(part->state, KBR_PARTITION_DELETED);
	}
}

/* ---- create ---- */

static int kbr_topic_publish(struct kbr_topic *topic)
{
	struct kbr_broker *broker = topic->broker;
	int err;

	down_write(&broker->topics_sem);
	err = kbr_topic_insert_locked(topic);
	if (!err)
		WRITE_ONCE(topic->state, KBR_TOPIC_ACTIVE);
	up_write(&broker->topics_sem);
	return err;
}

static int kbr_topic_check_room(struct kbr_broker *broker, unsigned int more, struct kbr_op *op)
{
	if (broker->partitions_count + more > KBR_BROKER_PARTITIONS_MAX)
		return kbr_refuse(&op->why, -E2BIG, 0,
				  "the broker would have more than %d partitions",
				  KBR_BROKER_PARTITIONS_MAX);
	return 0;
}

static int kbr_topic_create_run(struct kbr_task *task)
{
	struct kbr_topic_task *todo = kbr_topic_task_of(task);
	struct kbr_broker *broker = task->broker;
	bool member = kbr_cluster_is_member(broker);
	struct kbr_partition_array *array;
	struct kbr_config_set configs;
	struct kbr_topic *topic;
	int err;

	err = kbr_topic_check_decided(todo, task->op);
	if (err)
		return err;
	topic = kbr_topic_lookup(broker, todo->name);
	if (topic) {
		kbr_topic_put(topic);
		return kbr_refuse(&task->op->why, -EEXIST, 0, "topic %s exists", todo->name);
	}
	err = kbr_topic_check_room(broker, todo->found.partitions, task->op);
	if (err)
		return err;
	err = kbr_broker_refresh_checkpoints(broker);
	if (err)
		return kbr_refuse(&task->op->why, err, 0, "the offset checkpoints can't be written");
	/* The record is written from a copy: the topic takes the set over. */
	err = kbr_config_set_copy(&configs, &todo->found.configs);
	if (err)
		return err;
	if (todo->decided)
		memcpy(todo->found.id, todo->id, sizeof(todo->found.id));
	else
		generate_random_uuid(todo->found.id);
	topic = kbr_topic_alloc(broker, &todo->found, &task->op->why);
	todo->found.configs = configs;
	if (IS_ERR(topic))
		return PTR_ERR(topic);
	array = kbr_topic_array(topic);
	err = kbr_topic_alloc_minors(topic, array, 0);
	if (err)
		goto put;
	/* A member is told which of the partitions are here. */
	err = member ? 0 : kbr_topic_create_logs(topic, array, 0, task->op);
	if (err)
		goto put;
	err = kbr_metadata_put_topic(broker, &todo->found);
	if (err) {
		kbr_refuse(&task->op->why, err, 0, "topic %s could not be recorded in %s-0",
			   todo->name, KBR_METADATA_TOPIC);
		kbr_topic_remove_logs(topic, array, 0);
		goto put;
	}
	/* Committed. Operations run one by one: the name is still free. */
	err = kbr_topic_publish(topic);
	WARN_ON_ONCE(err);
	kbr_topic_raise(topic, KBR_EVENT_TOPIC_NEW);
	if (member)
		kbr_groups_topic_told(broker, topic->name, 0);
	kbr_metadata_compact(broker);
	return 0;

put:
	kbr_topic_free_minors(topic);
	kbr_topic_put(topic);
	return err;
}

static int kbr_topic_check_partitions(s64 partitions, struct kbr_refusal *why)
{
	if (partitions < 1)
		return kbr_refuse(why, -EINVAL, 0, "a topic needs at least one partition");
	if (partitions > KBR_TOPIC_PARTITIONS_MAX)
		return kbr_refuse(why, -E2BIG, 0,
				  "a topic can have at most %d partitions, not %lld",
				  KBR_TOPIC_PARTITIONS_MAX, (long long)partitions);
	return 0;
}

/* How many replicas; 0 on a member: as the controller is configured. */
static int kbr_topic_check_factor(struct kbr_broker *broker, const struct kbr_topic_params *params,
				  u16 *factor, struct kbr_refusal *why)
{
	s32 wanted = params->replication_factor;
	bool configured;

	*factor = 0;
	if (kbr_cluster_is_member(broker)) {
		down_read(&broker->topics_sem);
		configured = kbr_config_set_get(&broker->config_set, "default.replication.factor");
		up_read(&broker->topics_sem);
		if (wanted == -1 && configured)
			wanted = READ_ONCE(broker->config.default_replication_factor);
		if (wanted == -1 && !params->id)
			return 0;
		if (wanted < 1 || wanted > KBROKER_REPLICAS_MAX)
			return kbr_refuse(why, -EINVAL, KBROKER_A_TOPIC_REPLICATION_FACTOR,
					  "the replication factor must be 1 to %d, not %d",
					  KBROKER_REPLICAS_MAX, wanted);
		*factor = wanted;
		return 0;
	}
	if (wanted == -1)
		wanted = READ_ONCE(broker->config.default_replication_factor);
	if (wanted != 1)
		return kbr_refuse(why, -EINVAL, KBROKER_A_TOPIC_REPLICATION_FACTOR,
				  "the replication factor must be 1, not %d: a standalone broker has no one to replicate to",
				  wanted);
	*factor = 1;
	return 0;
}

static int kbr_topic_check_new_id(struct kbr_broker *broker, const u8 *id, struct kbr_refusal *why)
{
	if (!id)
		return 0;
	if (!kbr_cluster_is_member(broker))
		return kbr_refuse(why, -EINVAL, KBROKER_A_TOPIC_ID,
				  "only a member of a cluster is told the id of a new topic");
	if (!memchr_inv(id, 0, 16))
		return kbr_refuse(why, -EINVAL, KBROKER_A_TOPIC_ID,
				  "the id of a topic must not be zero");
	return 0;
}

static int kbr_topic_create_check(struct kbr_broker *broker, struct kbr_topic_params *params,
				  struct kbr_metadata_topic *found, struct kbr_refusal *why)
{
	const struct kbr_owner *owner = &params->owner;
	struct kbr_topic_config config;
	struct kbr_topic *other;
	int err;

	err = kbr_topic_name_check(params->name, why);
	if (err)
		return err;
	err = kbr_topic_check_new_id(broker, params->id, why);
	if (err)
		return err;
	if (!params->internal && !params->id && kbr_topic_name_internal(params->name))
		return kbr_refuse(why, -EINVAL, 0,
				  "topics beginning with \"__\" are the broker's own: nobody else creates them");
	other = kbr_topic_lookup(broker, params->name);
	if (other) {
		kbr_topic_put(other);
		return kbr_refuse(why, -EEXIST, 0, "topic %s exists", params->name);
	}
	found->partitions = params->partitions;
	if (params->partitions == -1)
		found->partitions = READ_ONCE(broker->config.num_partitions);
	err = kbr_topic_check_partitions(params->partitions == -1 ? (s64)found->partitions :
								    params->partitions, why);
	if (err)
		return err;
	err = kbr_topic_check_factor(broker, params, &found->replication_factor, why);
	if (err)
		return err;
	if (READ_ONCE(broker->topics_count) >= KBR_BROKER_TOPICS_MAX)
		return kbr_refuse(why, -E2BIG, 0, "the broker has %d topics, which is all it can have",
				  KBR_BROKER_TOPICS_MAX);
	err = kbr_owner_check(owner, why);
	if (err)
		return err;
	found->uid = from_kuid(&init_user_ns, owner->set_uid ? owner->uid : broker->uid);
	found->gid = from_kgid(&init_user_ns, owner->set_gid ? owner->gid : broker->gid);
	found->mode = owner->set_mode ? owner->mode : broker->mode;
	return kbr_topic_config_apply(&config, &broker->config, &params->configs, why);
}

int kbr_topic_check_create(struct kbr_broker *broker, struct kbr_topic_params *params,
			   struct kbr_refusal *why)
{
	struct kbr_metadata_topic found = {};

	return kbr_topic_create_check(broker, params, &found, why);
}

int kbr_topic_create(struct kbr_broker *broker, struct kbr_topic_params *params, u32 *op_id,
		     struct kbr_refusal *why)
{
	struct kbr_topic_task *todo;
	struct kbr_metadata_topic found = {};
	int err;

	err = kbr_topic_create_check(broker, params, &found, why);
	if (err)
		return err;
	if (kbr_cluster_is_member(broker) && !params->id) {
		err = kbr_topic_ask_create(broker, params, &found, op_id, why);
		if (!err)
			kbr_config_set_free(&params->configs);
		return err;
	}
	todo = kbr_topic_task_alloc(params->name, params->id, kbr_topic_create_run);
	if (!todo)
		return -ENOMEM;
	found.name = todo->name;
	todo->found = found;
	err = kbr_config_set_copy(&todo->found.configs, &params->configs);
	if (!err)
		err = kbr_broker_queue(broker, &todo->task, KBR_OP_TOPIC_CREATE, todo->name, op_id,
				       why);
	if (err) {
		kbr_topic_task_free(&todo->task);
		return err;
	}
	kbr_config_set_free(&params->configs);
	return 0;
}
KBR_EXPORT_IF_KUNIT(kbr_topic_create);

/* ---- delete ---- */

/*
 * Commit; unpublish: neither name nor number leads to it any more; mark dead
 * and wake: readers see the end, writers -ENODEV; wait for I/O sections, after
 * which only holders of references remain, who touch no log; then the files.
 */
static int kbr_topic_delete_run(struct kbr_task *task)
{
	struct kbr_topic_task *todo = kbr_topic_task_of(task);
	struct kbr_broker *broker = task->broker;
	struct kbr_topic *topic;
	int err;

	err = kbr_topic_check_decided(todo, task->op);
	if (err)
		return err;
	topic = kbr_topic_find(broker, todo->name, todo->decided ? todo->id : NULL, &task->op->why);
	if (!topic)
		return -ENOENT;
	err = kbr_metadata_del_topic(broker, topic->name, topic->id);
	if (err) {
		kbr_refuse(&task->op->why, err, 0, "its deletion could not be recorded in %s-0",
			   KBR_METADATA_TOPIC);
		goto out;
	}
	down_write(&broker->topics_sem);
	rb_erase(&topic->node, &broker->topics);
	broker->topics_count--;
	broker->partitions_count -= kbr_topic_partitions(topic);
	WRITE_ONCE(topic->state, KBR_TOPIC_DELETING);
	up_write(&broker->topics_sem);
	kbr_topic_free_minors(topic);
	kbr_topic_wake(topic);
	kbr_cluster_topic_drop(topic);
	wake_up_all(&broker->unsynced_wait);

	synchronize_srcu(&broker->io);
	kbr_topic_remove_logs(topic, kbr_topic_array(topic), 0);
	kbr_broker_room_made(broker);
	/* Only then is their space free on every file system; the next start would see to the rest. */
	kbr_dir_sync(broker->dir, "");
	WRITE_ONCE(topic->state, KBR_TOPIC_DELETED);
	WRITE_ONCE(broker->checkpoints_stale, true);
	atomic_set(&broker->checkpoints_due, 1);
	kbr_topic_raise(topic, KBR_EVENT_TOPIC_DEL);
	kbr_groups_topic_deleted(broker);
	kbr_topic_put(topic);		/* the table's */
	kbr_metadata_compact(broker);
out:
	kbr_topic_put(topic);
	return err;
}

/* Who takes the broker's own topics away, or their records, takes what they keep. */
static int kbr_topic_check_own(const char *name, struct kbr_refusal *why)
{
	if (kbr_topic_name_internal(name))
		return kbr_refuse(why, -EPERM, 0, "topic %.80s is the broker's own", name);
	return 0;
}

int kbr_topic_delete(struct kbr_broker *broker, const char *name, const u8 *id, u32 *op_id,
		     struct kbr_refusal *why)
{
	bool decided = id && kbr_cluster_is_member(broker);
	struct kbr_topic_task *todo;
	struct kbr_topic *topic;
	int err;

	topic = kbr_topic_find(broker, name, id, why);
	if (!topic)
		return -ENOENT;
	err = decided ? 0 : kbr_topic_check_own(name, why);
	if (!err && !decided && kbr_cluster_is_member(broker)) {
		err = kbr_topic_ask_delete(topic, op_id, why);
		kbr_topic_put(topic);
		return err;
	}
	kbr_topic_put(topic);
	if (err)
		return err;
	todo = kbr_topic_task_alloc(name, id, kbr_topic_delete_run);
	if (!todo)
		return -ENOMEM;
	err = kbr_broker_queue(broker, &todo->task, KBR_OP_TOPIC_DELETE, name, op_id, why);
	if (err)
		kbr_topic_task_free(&todo->task);
	return err;
}
KBR_EXPORT_IF_KUNIT(kbr_topic_delete);

/* ---- alter ---- */

/* What @topic's configs are once @change is applied: explicit ones and effective ones. */
static int kbr_topic_merge_configs(struct kbr_topic *topic, const struct kbr_topic_change *change,
				   struct kbr_config_set *merged, struct kbr_topic_config *config,
				   struct kbr_refusal *why)
{
	struct kbr_broker *broker = topic->broker;
	int err;

	down_read(&broker->topics_sem);
	err = kbr_config_set_merge(merged, &topic->config_set, &change->set, &change->del,
				   kbr_topic_config_known, why);
	up_read(&broker->topics_sem);
	if (!err)
		err = kbr_topic_config_apply(config, &broker->config, merged, why);
	if (err)
		kbr_config_set_free(merged);
	return err;
}

/* A larger array that shares the partitions there are; NULL on -ENOMEM. */
static struct kbr_partition_array *kbr_topic_grow(struct kbr_topic *topic, unsigned int count)
{
	struct kbr_partition_array *old = kbr_topic_array(topic);
	struct kbr_partition_array *array = kvzalloc(struct_size(array, part, count), GFP_KERNEL);
	unsigned int i;

	if (!array)
		return NULL;
	memcpy(array->part, old->part, old->count * sizeof(old->part[0]));
	array->count = old->count;
	for (i = old->count; i < count; i++) {
		array->part[i] = kbr_partition_alloc(topic, i);
		if (!array->part[i])
			break;
		array->count++;
	}
	if (i == count)
		return array;
	while (i-- > old->count)
		kbr_partition_free(array->part[i]);
	kvfree(array);
	return NULL;
}

/* Undo kbr_topic_grow(): the partitions from @from on were never published. */
static void kbr_topic_drop_grown(struct kbr_partition_array *array, unsigned int from)
{
	unsigned int i;

	for (i = from; i < array->count; i++) {
		if (array->part[i]->has_minor)
			kbr_node_free(array->part[i]->minor);
		kbr_partition_free(array->part[i]);
	}
	kvfree(array);
}

/* Everything committed: let it be seen, in one go. */
static void kbr_topic_publish_change(struct kbr_topic *topic, const struct kbr_topic_change *change,
				     struct kbr_config_set *merged,
				     const struct kbr_topic_config *config,
				     struct kbr_partition_array *grown)
{
	const struct kbr_owner *owner = &change->owner;
	struct kbr_partition_array *old = kbr_topic_array(topic);
	struct kbr_broker *broker = topic->broker;
	unsigned int i;

	down_write(&broker->topics_sem);
	if (owner->set_uid)
		WRITE_ONCE(topic->uid, owner->uid);
	if (owner->set_gid)
		WRITE_ONCE(topic->gid, owner->gid);
	if (owner->set_mode)
		WRITE_ONCE(topic->mode, owner->mode);
	swap(topic->config_set, *merged);
	kbr_topic_config_publish(&topic->config, config);
	if (grown) {
		broker->partitions_count += grown->count - old->count;
		rcu_assign_pointer(topic->partitions, grown);
	}
	up_write(&broker->topics_sem);
	if (grown)
		kvfree_rcu(old, rcu);
	/* flush.policy may have become async: what is there may be read at once. */
	for (i = 0; i < kbr_topic_array(topic)->count; i++)
		kbr_partition_advance(kbr_topic_array(topic)->part[i], 0);
	/* Readers of "all" look for new partitions. */
	kbr_topic_wake(topic);
}

static int kbr_topic_alter_one(struct kbr_topic *topic, const struct kbr_topic_change *change,
			       struct kbr_op *op)
{
	const struct kbr_owner *owner = &change->owner;
	struct kbr_broker *broker = topic->broker;
	unsigned int before = kbr_topic_partitions(topic);
	struct kbr_partition_array *grown = NULL;
	struct kbr_metadata_topic found;
	struct kbr_topic_config config;
	struct kbr_config_set merged;
	int err;

	if (change->partitions >= 0 && change->partitions < before)
		return kbr_refuse(&op->why, -EINVAL, 0,
				  "topic %s has %u partitions; their number can only grow",
				  topic->name, before);
	err = kbr_topic_merge_configs(topic, change, &merged, &config, &op->why);
	if (err)
		return err;
	if (change->partitions > (s64)before) {
		err = kbr_topic_check_room(broker, change->partitions - before, op);
		if (err)
			goto free_configs;
		grown = kbr_topic_grow(topic, change->partitions);
		err = -ENOMEM;
		if (!grown)
			goto free_configs;
		err = kbr_topic_alloc_minors(topic, grown, before);
		if (!err && !kbr_cluster_is_member(broker))
			err = kbr_topic_create_logs(topic, grown, before, op);
		if (err)
			goto drop;
	}
	kbr_metadata_of_topic(topic, &found);
	found.configs = merged;
	if (grown)
		found.partitions = grown->count;
	if (owner->set_uid)
		found.uid = from_kuid(&init_user_ns, owner->uid);
	if (owner->set_gid)
		found.gid = from_kgid(&init_user_ns, owner->gid);
	if (owner->set_mode)
		found.mode = owner->mode;
	err = kbr_metadata_put_topic(broker, &found);
	if (err)
		goto remove;
	kbr_topic_publish_change(topic, change, &merged, &config, grown);
	kbr_config_set_free(&merged);	/* the old ones */
	return 0;

remove:
	kbr_refuse(&op->why, err, 0, "the change could not be recorded in %s-0",
		   KBR_METADATA_TOPIC);
	if (grown)
		kbr_topic_remove_logs(topic, grown, before);
drop:
	if (grown)
		kbr_topic_drop_grown(grown, before);
free_configs:
	kbr_config_set_free(&merged);
	return err;
}

static int kbr_topic_alter_run(struct kbr_task *task)
{
	struct kbr_topic_task *todo = kbr_topic_task_of(task);
	struct kbr_topic *topic;
	int err;

	err = kbr_topic_check_decided(todo, task->op);
	if (err)
		return err;
	topic = kbr_topic_find(task->broker, todo->name, todo->decided ? todo->id : NULL,
			       &task->op->why);
	if (!topic)
		return -ENOENT;
	err = kbr_topic_alter_one(topic, &todo->change, task->op);
	if (!err) {
		kbr_topic_raise(topic, KBR_EVENT_TOPIC_SET);
		kbr_metadata_compact(task->broker);
	}
	kbr_topic_put(topic);
	return err;
}

static int kbr_topic_alter_check(struct kbr_topic *topic, const struct kbr_topic_change *change,
				 struct kbr_refusal *why)
{
	struct kbr_topic_config config;
	struct kbr_config_set merged;
	int err;

	if (change->partitions != -1) {
		err = kbr_topic_check_partitions(change->partitions, why);
		if (err)
			return err;
		if (change->partitions < kbr_topic_partitions(topic))
			return kbr_refuse(why, -EINVAL, KBROKER_A_TOPIC_PARTITIONS,
					  "topic %s has %u partitions; their number can only grow",
					  topic->name, kbr_topic_partitions(topic));
	}
	err = kbr_owner_check(&change->owner, why);
	if (!err)
		err = kbr_topic_merge_configs(topic, change, &merged, &config, why);
	if (!err)
		kbr_config_set_free(&merged);
	return err;
}

int kbr_topic_check_alter(struct kbr_broker *broker, const char *name,
			  const struct kbr_topic_change *change, struct kbr_refusal *why)
{
	struct kbr_topic *topic = kbr_topic_find(broker, name, change->id, why);
	int err = 0;

	if (!topic)
		return -ENOENT;
	if (!change->id || !kbr_cluster_is_member(broker))
		err = kbr_topic_check_own(name, why);
	if (!err)
		err = kbr_topic_alter_check(topic, change, why);
	kbr_topic_put(topic);
	return err;
}

static int kbr_topic_alter_asked(struct kbr_broker *broker, const char *name,
				 const struct kbr_topic_change *change, u32 *op_id,
				 struct kbr_refusal *why)
{
	struct kbr_topic *topic = kbr_topic_find(broker, name, NULL, why);
	int err;

	if (!topic)
		return -ENOENT;
	err = kbr_topic_ask_alter(topic, change, op_id, why);
	kbr_topic_put(topic);
	return err;
}

int kbr_topic_alter(struct kbr_broker *broker, const char *name,
		    const struct kbr_topic_change *change, u32 *op_id, struct kbr_refusal *why)
{
	struct kbr_topic_task *todo;
	int err;

	err = kbr_topic_check_alter(broker, name, change, why);
	if (err)
		return err;
	if (kbr_cluster_is_member(broker) && !change->id)
		return kbr_topic_alter_asked(broker, name, change, op_id, why);
	todo = kbr_topic_task_alloc(name, change->id, kbr_topic_alter_run);
	if (!todo)
		return -ENOMEM;
	todo->change = *change;
	todo->change.id = NULL;
	todo->change.assignment = NULL;
	memset(&todo->change.set, 0, sizeof(todo->change.set));
	memset(&todo->change.del, 0, sizeof(todo->change.del));
	err = kbr_config_set_copy(&todo->change.set, &change->set);
	if (!err)
		err = kbr_config_set_copy(&todo->change.del, &change->del);
	if (!err)
		err = kbr_broker_queue(broker, &todo->task, KBR_OP_TOPIC_ALTER, name, op_id, why);
	if (err)
		kbr_topic_task_free(&todo->task);
	return err;
}
KBR_EXPORT_IF_KUNIT(kbr_topic_alter);

/* ---- delete records ---- */

static int kbr_topic_check_start(const struct kbr_partition *part, s64 offset,
				 struct kbr_refusal *why)
{
	s64 hw = kbr_partition_hw(part);

	if (offset <= hw || !READ_ONCE(part->opened))
		return 0;
	return kbr_refuse(why, -ERANGE, 0,
			  "offset %lld is above the high watermark of %s-%u, which is %lld",
			  (long long)offset, part->topic->name, part->index, (long long)hw);
}

static int kbr_topic_delete_records_run(struct kbr_task *task)
{
	struct kbr_topic_task *todo = kbr_topic_task_of(task);
	struct kbr_partition *part;
	struct kbr_topic *topic;
	int err = -ENOENT;

	topic = kbr_topic_lookup(task->broker, todo->name);
	part = topic ? kbr_topic_partition(topic, todo->partition) : NULL;
	if (!part)
		goto out;
	err = kbr_topic_check_start(part, todo->offset, &task->op->why);
	if (!err)
		err = kbr_partition_delete_records(part, todo->offset);
	/* Done means that they stay deleted. */
	if (!err)
		err = kbr_broker_write_checkpoints(task->broker);
	if (!err)
		kbr_partition_raise(part);
out:
	kbr_topic_put(topic);
	return err;
}

int kbr_topic_delete_records(struct kbr_broker *broker, const char *name, u32 partition,
			     s64 offset, u32 *op_id, struct kbr_refusal *why)
{
	struct kbr_topic_task *todo;
	struct kbr_topic *topic;
	unsigned int count;
	int err;

	topic = kbr_topic_lookup(broker, name);
	if (!topic)
		return kbr_refuse(why, -ENOENT, 0, "there is no topic %.80s", name);
	count = kbr_topic_partitions(topic);
	err = kbr_topic_check_own(name, why);
	if (err)
		goto out;
	if (partition >= count)
		err = kbr_refuse(why, -ENOENT, 0, "topic %.80s has partitions 0 to %u, not %u",
				 name, count - 1, partition);
	else if (offset < -1)
		err = kbr_refuse(why, -EINVAL, 0,
				 "an offset is not negative (-1: the high watermark)");
	else
		err = kbr_topic_check_start(kbr_topic_partition(topic, partition), offset, why);
out:
	kbr_topic_put(topic);
	if (err)
		return err;
	todo = kbr_topic_task_alloc(name, NULL, kbr_topic_delete_records_run);
	if (!todo)
		return -ENOMEM;
	todo->partition = partition;
	todo->offset = offset;
	err = kbr_broker_queue(broker, &todo->task, KBR_OP_DELETE_RECORDS, name, op_id, why);
	if (err)
		kbr_topic_task_free(&todo->task);
	return err;
}
KBR_EXPORT_IF_KUNIT(kbr_topic_delete_records);
