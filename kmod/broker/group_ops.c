// SPDX-License-Identifier: GPL-2.0-only
/*
 * Operations on consumer groups: set their offsets, delete offsets, delete
 * groups. Each checks in the caller's context what needs no disk, then waits on
 * a worker for the groups to be loaded and for the disk; or for the broker of the
 * cluster that coordinates the group.
 */
#include <linux/completion.h>
#include <linux/delay.h>
#include <linux/jiffies.h>
#include <linux/slab.h>

#include "base/clock.h"
#include "base/kunit.h"
#include "broker/group_far.h"
#include "broker/group_ops.h"
#include "broker/op.h"
#include "codec/kafka_error.h"
#include "codec/proto.h"

/**
 * struct kbr_group_task - one operation on a group
 * @task: the operation
 * @name: the group
 * @offsets: set, forget: which; their topics are in @topics
 * @count: how many
 * @topics: names, one behind the other
 */
struct kbr_group_task {
	struct kbr_task task;
	char name[KBR_GROUP_NAME_MAX + 1];
	struct kbr_group_offset *offsets;
	unsigned int count;
	char *topics;
};

static struct kbr_group_task *kbr_group_task_of(struct kbr_task *task)
{
	return container_of(task, struct kbr_group_task, task);
}

static void kbr_group_task_free(struct kbr_task *task)
{
	struct kbr_group_task *todo = kbr_group_task_of(task);

	kvfree(todo->offsets);
	kvfree(todo->topics);
	kfree(todo);
}

/* Copy @offsets, whose topics belong to the caller. */
static int kbr_group_task_copy(struct kbr_group_task *todo, const struct kbr_group_offset *offsets,
			       unsigned int count)
{
	size_t bytes = 0;
	unsigned int i;
	char *at;

	for (i = 0; i < count; i++)
		bytes += offsets[i].topic.len;
	todo->offsets = kvmalloc_array(count, sizeof(*offsets), GFP_KERNEL);
	todo->topics = kvmalloc(bytes, GFP_KERNEL);
	if (!todo->offsets || !todo->topics)
		return -ENOMEM;
	memcpy(todo->offsets, offsets, count * sizeof(*offsets));
	todo->count = count;
	for (i = 0, at = todo->topics; i < count; at += offsets[i++].topic.len) {
		memcpy(at, offsets[i].topic.at, offsets[i].topic.len);
		todo->offsets[i].topic.at = at;
	}
	return 0;
}

int kbr_group_refuse(struct kbr_broker *broker, struct kbr_refusal *why, s16 code,
		     const char *name)
{
	const struct kbr_str text = { .at = name, .len = strlen(name) };
	s32 id;

	switch (code) {
	case KBR_KAFKA_NONE:
		return 0;
	case KBR_KAFKA_COORDINATOR_LOAD_IN_PROGRESS:
		return kbr_refuse(why, -EAGAIN, 0, "the groups are still being loaded; try again");
	case KBR_KAFKA_NOT_COORDINATOR:
		if (kbr_groups_coordinator(broker, &text, &id))
			return kbr_refuse(why, -EAGAIN, 0, "no broker coordinates group %.80s now",
					  name);
		return kbr_refuse(why, -EREMOTE, 0, "broker %d coordinates group %.80s", id, name);
	case KBR_KAFKA_COORDINATOR_NOT_AVAILABLE:
		return kbr_refuse(why, -ENODEV, 0, "the broker cannot keep groups now");
	case KBR_KAFKA_INVALID_GROUP_ID:
		return kbr_refuse(why, -EINVAL, 0, "the name of a group has 1 to %d bytes",
				  KBR_GROUP_NAME_MAX);
	case KBR_KAFKA_GROUP_ID_NOT_FOUND:
		return kbr_refuse(why, -ENOENT, 0, "there is no group %.80s", name);
	case KBR_KAFKA_UNKNOWN_TOPIC:
		return kbr_refuse(why, -ENOENT, 0, "there is no such topic or partition");
	case KBR_KAFKA_UNKNOWN_MEMBER_ID:
	case KBR_KAFKA_ILLEGAL_GENERATION:
	case KBR_KAFKA_REBALANCE_IN_PROGRESS:
	case KBR_KAFKA_NON_EMPTY_GROUP:
		return kbr_refuse(why, -EBUSY, 0,
				  "group %.80s has members: it can be changed once all have left", name);
	case KBR_KAFKA_GROUP_SUBSCRIBED_TO_TOPIC:
		return kbr_refuse(why, -EBUSY, 0, "members of group %.80s consume the topic", name);
	case KBR_KAFKA_GROUP_MAX_SIZE_REACHED:
	case KBR_KAFKA_INVALID_COMMIT_OFFSET_SIZE:
		return kbr_refuse(why, -ENOSPC, 0,
				  "the broker's groups hold as much memory as group.memory.max.bytes allows");
	default:
		return kbr_refuse(why, -EIO, 0, "%s could not be written (Kafka's error %d)",
				  KBR_OFFSETS_TOPIC, code);
	}
}

/* ---- waiting ---- */

/**
 * struct kbr_group_sleep - a worker that waits as a request does
 * @waiter: what it waits for
 * @entries: room of @waiter
 * @work: queued at news
 * @news: then completed
 */
struct kbr_group_sleep {
	struct kbr_waiter waiter;
	struct kbr_waiter_entry entries[KBR_GROUP_WAIT_ENTRIES];
	struct work_struct work;
	struct completion news;
};

static void kbr_group_sleep_work(struct work_struct *work)
{
	complete(&container_of(work, struct kbr_group_sleep, work)->news);
}

static void kbr_group_sleep_begin(struct kbr_group_sleep *sleep)
{
	INIT_WORK_ONSTACK(&sleep->work, kbr_group_sleep_work);
	init_completion(&sleep->news);
	/* Not on the broker's queue: who waits fills it, where there are many. */
	kbr_waiter_init(&sleep->waiter, system_wq, &sleep->work, sleep->entries);
}

/* Until there is news, which loading may take long for; it was looked at again after the waiter was added. */
static void kbr_group_sleep_wait(struct kbr_group_sleep *sleep)
{
	/* A worker that never wakes up would be taken for one that hangs. */
	while (!wait_for_completion_timeout(&sleep->news, 30 * HZ))
		;
}

static void kbr_group_sleep_end(struct kbr_group_sleep *sleep)
{
	kbr_waiter_drop(&sleep->waiter);
	cancel_work_sync(&sleep->work);
	reinit_completion(&sleep->news);
}

/* Wait until groups can be used. */
static int kbr_group_await_ready(struct kbr_broker *broker, bool create)
{
	struct kbr_group_sleep sleep;
	int err;

	kbr_group_sleep_begin(&sleep);
	while ((err = kbr_groups_ready(broker, create)) == -EAGAIN) {
		kbr_waiter_add_head(&sleep.waiter, kbr_groups_wait_head(broker));
		err = kbr_groups_ready(broker, create);
		if (err == -EAGAIN)
			kbr_group_sleep_wait(&sleep);
		kbr_group_sleep_end(&sleep);
	}
	destroy_work_on_stack(&sleep.work);
	return err;
}

/* Wait until @wait's request is answered: @again says so. */
static void kbr_group_await(struct kbr_group_wait *wait,
			    bool (*again)(struct kbr_group_wait *wait, void *ctx), void *ctx)
{
	struct kbr_group_sleep sleep;
	bool answered;

	kbr_group_sleep_begin(&sleep);
	do {
		kbr_group_wait_add(wait, &sleep.waiter);
		answered = again(wait, ctx);
		if (!answered)
			kbr_group_sleep_wait(&sleep);
		kbr_group_sleep_end(&sleep);
	} while (!answered);
	destroy_work_on_stack(&sleep.work);
	kbr_group_wait_drop(wait);
}

static bool kbr_group_offsets_again(struct kbr_group_wait *wait, void *ctx)
{
	struct kbr_group_task *todo = ctx;

	return kbr_group_commit_again(wait, todo->offsets, todo->count);
}

static bool kbr_group_remove_again(struct kbr_group_wait *wait, void *ctx)
{
	return kbr_group_delete_again(wait, ctx);
}

/* ---- the operations ---- */

/* Has @group members? Then it is refused. */
static int kbr_group_check_empty(struct kbr_broker *broker, struct kbr_group *group,
				 const char *name, struct kbr_refusal *why)
{
	struct kbr_group_info info;

	kbr_group_lock(group);
	kbr_group_info_locked(group, &info);
	kbr_group_unlock(group);
	return info.members ? kbr_group_refuse(broker, why, KBR_KAFKA_NON_EMPTY_GROUP, name) : 0;
}

/* The group of @todo, once groups can be used. */
static struct kbr_group *kbr_group_task_find(struct kbr_group_task *todo, bool create)
{
	const struct kbr_str name = { .at = todo->name, .len = strlen(todo->name) };
	struct kbr_refusal *why = &todo->task.op->why;
	struct kbr_group *group;
	s16 code;
	int err;

	err = kbr_group_await_ready(todo->task.broker, create);
	if (err == -ENOENT)
		err = kbr_group_refuse(todo->task.broker, why, KBR_KAFKA_GROUP_ID_NOT_FOUND, todo->name);
	else if (err)
		err = kbr_refuse(why, err, 0, "%s cannot be used", KBR_OFFSETS_TOPIC);
	if (err)
		return ERR_PTR(err);
	group = kbr_group_find(todo->task.broker, &name, create, &code);
	return group ?: ERR_PTR(kbr_group_refuse(todo->task.broker, why, code, todo->name));
}

/* What became of all of @todo's offsets: the first that was refused. */
static int kbr_group_task_result(struct kbr_group_task *todo)
{
	unsigned int i;

	for (i = 0; i < todo->count; i++)
		if (todo->offsets[i].code)
			return kbr_group_refuse(todo->task.broker, &todo->task.op->why,
						todo->offsets[i].code, todo->name);
	return 0;
}

static int kbr_group_reset_here(struct kbr_task *task)
{
	const struct kbr_group_id nobody = { .generation = -1, .member_id.at = "",
					     .instance_id.len = -1 };
	struct kbr_group_task *todo = kbr_group_task_of(task);
	struct kbr_group_wait wait = {};
	struct kbr_group *group;
	int err;

	group = kbr_group_task_find(todo, true);
	if (IS_ERR(group))
		return PTR_ERR(group);
	err = kbr_group_check_empty(task->broker, group, todo->name, &task->op->why);
	if (!err) {
		if (!kbr_group_commit(group, &nobody, todo->offsets, todo->count,
				      kbr_clock_now_ms(), &wait))
			kbr_group_await(&wait, kbr_group_offsets_again, todo);
		err = kbr_group_task_result(todo);
	}
	kbr_group_put(group);
	return err;
}

static int kbr_group_forget_here(struct kbr_task *task)
{
	struct kbr_group_task *todo = kbr_group_task_of(task);
	struct kbr_group_wait wait = {};
	struct kbr_group *group;

	group = kbr_group_task_find(todo, false);
	if (IS_ERR(group))
		return PTR_ERR(group);
	if (!kbr_group_delete_offsets(group, todo->offsets, todo->count, kbr_clock_now_ms(), &wait))
		kbr_group_await(&wait, kbr_group_offsets_again, todo);
	kbr_group_put(group);
	return kbr_group_task_result(todo);
}

static int kbr_group_remove_here(struct kbr_task *task)
{
	struct kbr_group_task *todo = kbr_group_task_of(task);
	struct kbr_group_wait wait = {};
	struct kbr_group *group;
	s16 code;

	group = kbr_group_task_find(todo, false);
	if (IS_ERR(group))
		return PTR_ERR(group);
	if (!kbr_group_delete(group, kbr_clock_now_ms(), &wait, &code))
		kbr_group_await(&wait, kbr_group_remove_again, &code);
	kbr_group_put(group);
	return kbr_group_refuse(task->broker, &task->op->why, code, todo->name);
}

/* What came of asking another broker, in words; @err: of kbr_group_change_there() */
static int kbr_group_there_refuse(struct kbr_group_task *todo, int err)
{
	struct kbr_refusal *why = &todo->task.op->why;

	switch (err) {
	case -EAGAIN:
	case -EHOSTUNREACH:
		return kbr_refuse(why, -EHOSTUNREACH, 0,
				  "the broker that coordinates group %.80s can't be reached",
				  todo->name);
	case -ETIMEDOUT:
	case -ECONNRESET:
		return kbr_refuse(why, -ETIMEDOUT, 0,
				  "the broker that coordinates group %.80s did not answer: it may have been done or not",
				  todo->name);
	default:
		return err;
	}
}

/* Coordinators come and go: at most so often it is tried here, and elsewhere */
#define KBR_GROUP_TURNS		5
/* One that comes loads its groups first: how long that may take, and is looked after, ms */
#define KBR_GROUP_LOADING_MS	30000
#define KBR_GROUP_LOADING_STEP_MS	50

/* Do it @here, or at the broker that coordinates the group. */
static int kbr_group_task_run(struct kbr_task *task, int (*here)(struct kbr_task *task), s16 key)
{
	struct kbr_group_task *todo = kbr_group_task_of(task);
	const struct kbr_str name = { .at = todo->name, .len = strlen(todo->name) };
	unsigned long end = jiffies + msecs_to_jiffies(KBR_GROUP_LOADING_MS);
	unsigned int turns = KBR_GROUP_TURNS;
	bool sent = false;
	s16 code;
	int err;

	do {
		while ((err = here(task)) == -EAGAIN && time_before(jiffies, end))
			msleep(KBR_GROUP_LOADING_STEP_MS);
		/* That it is gone may be the work of one that could not say so. */
		if (sent && err == -ENOENT && key == KBR_API_DELETE_GROUPS)
			err = 0;
		if (err != -EREMOTE)
			return err;
		err = kbr_group_change_there(task->broker, key, &name, todo->offsets, todo->count,
					     &code, &sent);
	} while (err == -EREMOTE && --turns);
	if (err)
		return kbr_group_there_refuse(todo, err);
	return kbr_group_refuse(task->broker, &task->op->why, code, todo->name);
}

static int kbr_group_reset_run(struct kbr_task *task)
{
	return kbr_group_task_run(task, kbr_group_reset_here, KBR_API_OFFSET_COMMIT);
}

static int kbr_group_forget_run(struct kbr_task *task)
{
	return kbr_group_task_run(task, kbr_group_forget_here, KBR_API_OFFSET_DELETE);
}

static int kbr_group_remove_run(struct kbr_task *task)
{
	return kbr_group_task_run(task, kbr_group_remove_here, KBR_API_DELETE_GROUPS);
}

/* ---- what is refused at once ---- */

/* @create: it need not be there; @busy: it may have members */
static int kbr_group_check(struct kbr_broker *broker, const char *name, bool create, bool busy,
			   struct kbr_refusal *why)
{
	const struct kbr_str text = { .at = name, .len = strlen(name) };
	struct kbr_group *group;
	int err;
	s16 code;

	err = kbr_groups_ready(broker, false);
	if (err == -EAGAIN || (err == -ENOENT && create))
		return 0;
	if (err == -ENOENT)
		return kbr_group_refuse(broker, why, KBR_KAFKA_GROUP_ID_NOT_FOUND, name);
	if (err)
		return kbr_refuse(why, err, 0, "broker %s is %s", broker->name,
				  kbr_broker_state_name(READ_ONCE(broker->state)));
	group = kbr_group_find(broker, &text, false, &code);
	if (!group && create && code == KBR_KAFKA_GROUP_ID_NOT_FOUND)
		return 0;
	/* Another broker knows, and is asked. */
	if (!group && code == KBR_KAFKA_NOT_COORDINATOR)
		return 0;
	if (!group)
		return kbr_group_refuse(broker, why, code, name);
	err = busy ? 0 : kbr_group_check_empty(broker, group, name, why);
	kbr_group_put(group);
	return err;
}

static int kbr_group_queue(struct kbr_broker *broker, const char *name,
			   int (*run)(struct kbr_task *task), int kind,
			   const struct kbr_group_offset *offsets, unsigned int count, u32 *op_id,
			   struct kbr_refusal *why)
{
	struct kbr_group_task *todo = kzalloc(sizeof(*todo), GFP_KERNEL);
	int err;

	if (!todo)
		return -ENOMEM;
	strscpy(todo->name, name, sizeof(todo->name));
	todo->task.run = run;
	todo->task.free = kbr_group_task_free;
	/* Beside topics' operations: the topic of the offsets may have to be made by one. */
	todo->task.wq = broker->work_wq;
	err = count ? kbr_group_task_copy(todo, offsets, count) : 0;
	if (!err)
		err = kbr_broker_queue(broker, &todo->task, kind, name, op_id, why);
	if (err)
		kbr_group_task_free(&todo->task);
	return err;
}

int kbr_group_reset(struct kbr_broker *broker, const char *name,
		    const struct kbr_group_offset *offsets, unsigned int count, u32 *op_id,
		    struct kbr_refusal *why)
{
	int err = kbr_group_check(broker, name, true, false, why);

	return err ?: kbr_group_queue(broker, name, kbr_group_reset_run, KBR_OP_GROUP_RESET,
				      offsets, count, op_id, why);
}
KBR_EXPORT_IF_KUNIT(kbr_group_reset);

int kbr_group_forget(struct kbr_broker *broker, const char *name,
		     const struct kbr_group_offset *offsets, unsigned int count, u32 *op_id,
		     struct kbr_refusal *why)
{
	int err = kbr_group_check(broker, name, false, true, why);

	return err ?: kbr_group_queue(broker, name, kbr_group_forget_run, KBR_OP_GROUP_FORGET,
				      offsets, count, op_id, why);
}
KBR_EXPORT_IF_KUNIT(kbr_group_forget);

int kbr_group_remove(struct kbr_broker *broker, const char *name, u32 *op_id,
		     struct kbr_refusal *why)
{
	int err = kbr_group_check(broker, name, false, false, why);

	return err ?: kbr_group_queue(broker, name, kbr_group_remove_run, KBR_OP_GROUP_DELETE, NULL,
				      0, op_id, why);
}
KBR_EXPORT_IF_KUNIT(kbr_group_remove);
