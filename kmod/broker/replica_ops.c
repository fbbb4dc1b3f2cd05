// SPDX-License-Identifier: GPL-2.0-only
/* The operation behind "replica set"; see replica_ops.h. */
#include <linux/mm.h>
#include <linux/slab.h>

#include "base/kunit.h"
#include "broker/cluster.h"
#include "broker/op.h"
#include "broker/replica_ops.h"

/* Partitions between two reports of progress */
#define KBR_REPLICA_PROGRESS_STEP	64

/**
 * struct kbr_replica_task - "replica set"
 * @task: the task
 * @count: entries of @items
 * @items: for kvfree()
 */
struct kbr_replica_task {
	struct kbr_task task;
	unsigned int count;
	struct kbr_replica_item *items;
};

static void kbr_replica_task_free(struct kbr_task *task)
{
	struct kbr_replica_task *todo = container_of(task, struct kbr_replica_task, task);

	kvfree(todo->items);
	kfree(todo);
}

typedef int (*kbr_replica_step)(struct kbr_partition *part, const struct kbr_replica_state *state,
				struct kbr_refusal *why);

static int kbr_replica_set_one(struct kbr_broker *broker, const struct kbr_replica_item *item,
			       kbr_replica_step step, struct kbr_refusal *why)
{
	struct kbr_topic *topic = kbr_topic_lookup(broker, item->topic);
	struct kbr_partition *part;
	int err;

	if (!topic || memcmp(topic->id, item->id, sizeof(topic->id))) {
		kbr_topic_put(topic);
		return kbr_refuse(why, -ENOENT, 0, "there is no topic %s of that id", item->topic);
	}
	part = kbr_topic_partition(topic, item->partition);
	if (!part)
		err = kbr_refuse(why, -ENOENT, 0, "topic %s has no partition %u", item->topic,
				 item->partition);
	else
		err = step(part, &item->state, why);
	kbr_topic_put(topic);
	return err;
}

/* Undo what kbr_replica_prepare() did. */
static int kbr_replica_unmake(struct kbr_partition *part, const struct kbr_replica_state *state,
			      struct kbr_refusal *why)
{
	kbr_partition_remove(part);
	return 0;
}

/* Make all logs that are new, and sync once for them, not once for each. */
static int kbr_replica_make_logs(struct kbr_task *task, struct kbr_replica_task *todo)
{
	struct kbr_broker *broker = task->broker;
	struct kbr_refusal why = {};
	bool some = false;
	unsigned int i;
	int err;

	for (i = 0; i < todo->count && !READ_ONCE(broker->dead); i++) {
		struct kbr_replica_item *item = &todo->items[i];

		item->made = kbr_replica_set_one(broker, item, kbr_replica_prepare, &why) > 0;
		some |= item->made;
		cond_resched();
	}
	err = some ? kbr_dir_sync(broker->dir, "") : 0;
	if (!err)
		return 0;
	for (i = 0; i < todo->count; i++)
		if (todo->items[i].made)
			kbr_replica_set_one(broker, &todo->items[i], kbr_replica_unmake, &why);
	return kbr_refuse(&task->op->why, err, 0, "the broker's directory can't be synced");
}

static int kbr_replica_set_run(struct kbr_task *task)
{
	struct kbr_replica_task *todo = container_of(task, struct kbr_replica_task, task);
	struct kbr_refusal why = {};
	unsigned int i;
	int err, first;

	/* Without, those that are not new can still be told. */
	first = kbr_replica_make_logs(task, todo);
	for (i = 0; i < todo->count; i++) {
		err = READ_ONCE(task->broker->dead) ? -ENODEV :
		      kbr_replica_set_one(task->broker, &todo->items[i], kbr_replica_apply, &why);
		if (err && !first) {
			first = err;
			task->op->why = why;
		}
		if (!((i + 1) % KBR_REPLICA_PROGRESS_STEP))
			kbr_op_progress(task->op, i + 1, todo->count);
		cond_resched();
	}
	return first;
}

int kbr_replica_set(struct kbr_broker *broker, struct kbr_replica_item *items, unsigned int count,
		    u32 *op_id, struct kbr_refusal *why)
{
	struct kbr_replica_task *todo;
	int err;

	if (!kbr_cluster_is_member(broker))
		return kbr_refuse(why, -EINVAL, 0,
				  "the broker is in no cluster: it leads all its partitions");
	todo = kzalloc(sizeof(*todo), GFP_KERNEL);
	if (!todo)
		return -ENOMEM;
	todo->task.run = kbr_replica_set_run;
	todo->task.free = kbr_replica_task_free;
	todo->items = items;
	todo->count = count;
	err = kbr_broker_queue(broker, &todo->task, KBR_OP_REPLICA_SET, broker->name, op_id, why);
	if (err)
		kfree(todo);
	return err;
}
KBR_EXPORT_IF_KUNIT(kbr_replica_set);
