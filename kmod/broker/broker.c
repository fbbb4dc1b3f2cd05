// SPDX-License-Identifier: GPL-2.0-only
/*
 * Brokers as objects: names, references, requests to start, stop and alter.
 * What a start does is in broker_start.c, what a stop does in broker_stop.c.
 */
#define pr_fmt(fmt) "kbroker: " fmt

#include <linux/module.h>
#include <linux/printk.h>
#include <linux/reboot.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/uuid.h>

#include "base/clock.h"
#include "base/kunit.h"
#include "broker/broker.h"
#include "broker/cluster.h"
#include "broker/event.h"
#include "broker/group.h"
#include "broker/listener.h"
#include "broker/metadata.h"
#include "broker/op.h"
#include "broker/partition.h"
#include "broker/replica.h"
#include "broker/request.h"
#include "broker/topic.h"

/* How long a reboot waits for all brokers to stop */
#define KBR_REBOOT_WAIT		(60 * HZ)

/* Guards the list of names; inner to every admin mutex, held briefly. */
static DEFINE_MUTEX(kbr_brokers_lock);
static LIST_HEAD(kbr_brokers);

/* Brokers that exist, published or not; exit and reboot wait for it to fall. */
static atomic_t kbr_brokers_count = ATOMIC_INIT(0);
static DECLARE_WAIT_QUEUE_HEAD(kbr_brokers_wait);
/* Frees brokers, whose own queues can't destroy themselves. */
static struct workqueue_struct *kbr_release_wq;

/* ---- life ---- */

static void kbr_broker_release_work(struct work_struct *work)
{
	struct kbr_broker *broker = container_of(work, struct kbr_broker, release);

	/* A writer that was throttled while all ended may have asked for it. */
	cancel_delayed_work_sync(&broker->upkeep);
	/* The worker that dropped the last reference may still be returning. */
	if (broker->ops_wq)
		destroy_workqueue(broker->ops_wq);
	if (broker->work_wq)
		destroy_workqueue(broker->work_wq);
	cleanup_srcu_struct(&broker->io);
	kbr_config_set_free(&broker->config_set);
	kbr_net_put(broker->knet);
	kbr_groups_free(broker);
	kbr_cluster_free(broker);
	kvfree(broker->listeners);
	kfree(broker->dir_path);
	kfree(broker);
	atomic_dec(&kbr_brokers_count);
	wake_up_all(&kbr_brokers_wait);
}

static void kbr_broker_last_put(struct kref *ref)
{
	struct kbr_broker *broker = container_of(ref, struct kbr_broker, ref);

	queue_work(kbr_release_wq, &broker->release);
}

void kbr_broker_get(struct kbr_broker *broker)
{
	kref_get(&broker->ref);
}

/* Any context: the freeing is a worker's. */
void kbr_broker_put(struct kbr_broker *broker)
{
	if (broker)
		kref_put(&broker->ref, kbr_broker_last_put);
}
KBR_EXPORT_IF_KUNIT(kbr_broker_put);

static struct kbr_broker *kbr_broker_alloc(struct kbr_net *knet,
					   const struct kbr_broker_params *params)
{
	struct kbr_broker *broker = kzalloc(sizeof(*broker), GFP_KERNEL);

	if (!broker)
		return NULL;
	if (init_srcu_struct(&broker->io)) {
		kfree(broker);
		return NULL;
	}
	atomic_inc(&kbr_brokers_count);
	kref_init(&broker->ref);
	INIT_LIST_HEAD(&broker->node);
	kbr_net_get(knet);
	broker->knet = knet;
	strscpy(broker->name, params->name, sizeof(broker->name));
	broker->id = params->id;
	broker->uid = params->uid;
	broker->gid = params->gid;
	broker->mode = params->mode;
	broker->inherit_uid = params->default_uid;
	broker->inherit_gid = params->default_gid;
	broker->inherit_mode = params->default_mode;
	broker->state = KBR_BROKER_STARTING;
	broker->topics = RB_ROOT;
	init_rwsem(&broker->topics_sem);
	mutex_init(&broker->checkpoint_lock);
	init_waitqueue_head(&broker->unsynced_wait);
	kbr_throttle_init(&broker->leader_throttle);
	kbr_throttle_init(&broker->follower_throttle);
	generate_random_uuid(broker->incarnation);
	broker->previous_epoch = -1;
	kbr_producer_ids_init(broker);
	kbr_forward_init(broker);
	kbr_remote_init(broker);
	kbr_share_posts_init(broker);
	kbr_calls_init(broker);
	INIT_WORK(&broker->stop, kbr_broker_stop_work);
	INIT_WORK(&broker->release, kbr_broker_release_work);
	INIT_DELAYED_WORK(&broker->upkeep, kbr_upkeep_work);
	broker->started_ms = kbr_clock_now_ms();
	broker->dir_path = kstrdup(params->dir, GFP_KERNEL);
	/* Recovery, retention and metadata must get on while memory is short. */
	/* It waits for the server's, which has no rescuer either. */
	broker->ops_wq = alloc_ordered_workqueue("kbr-ops/%s", 0, params->name);
	broker->work_wq = alloc_workqueue("kbr-work/%s", WQ_UNBOUND | WQ_MEM_RECLAIM, 0,
					  params->name);
	if (!broker->dir_path || !broker->ops_wq || !broker->work_wq) {
		kbr_broker_put(broker);
		return NULL;
	}
	return broker;
}

const char *kbr_broker_state_name(enum kbr_broker_state state)
{
	static const char * const names[] = {
		[KBR_BROKER_STARTING] = "starting",
		[KBR_BROKER_RUNNING] = "running",
		[KBR_BROKER_STOPPING] = "stopping",
		[KBR_BROKER_STOPPED] = "stopped",
		[KBR_BROKER_FAILED] = "failed",
	};

	return state < ARRAY_SIZE(names) ? names[state] : "unknown";
}

void kbr_broker_raise(struct kbr_broker *broker)
{
	struct kbr_event event = { .kind = KBR_EVENT_BROKER, .broker = broker };

	kbr_event_raise(broker->knet, &event);
}

void kbr_broker_set_state(struct kbr_broker *broker, enum kbr_broker_state state)
{
	WRITE_ONCE(broker->state, state);
	kbr_broker_raise(broker);
}

/* ---- names ---- */

struct kbr_broker *kbr_broker_get_in(struct kbr_net *knet)
{
	struct kbr_broker *broker;

	mutex_lock(&knet->admin);
	broker = knet->broker;
	if (broker)
		kbr_broker_get(broker);
	mutex_unlock(&knet->admin);
	return broker;
}
KBR_EXPORT_IF_KUNIT(kbr_broker_get_in);

struct kbr_broker *kbr_broker_lookup(const char *name)
{
	struct kbr_broker *broker, *found = NULL;

	mutex_lock(&kbr_brokers_lock);
	list_for_each_entry(broker, &kbr_brokers, node) {
		if (strcmp(broker->name, name))
			continue;
		if (READ_ONCE(broker->state) == KBR_BROKER_RUNNING && !READ_ONCE(broker->dead)) {
			found = broker;
			kbr_broker_get(found);
		}
		break;
	}
	mutex_unlock(&kbr_brokers_lock);
	return found;
}
KBR_EXPORT_IF_KUNIT(kbr_broker_lookup);

struct kbr_broker *kbr_broker_next(const char *after)
{
	struct kbr_broker *broker, *best = NULL;

	mutex_lock(&kbr_brokers_lock);
	list_for_each_entry(broker, &kbr_brokers, node)
		if (strcmp(broker->name, after) > 0 &&
		    (!best || strcmp(broker->name, best->name) < 0))
			best = broker;
	if (best)
		kbr_broker_get(best);
	mutex_unlock(&kbr_brokers_lock);
	return best;
}
KBR_EXPORT_IF_KUNIT(kbr_broker_next);

/* Name and directory must be free in the whole kernel; the list takes a reference. */
static int kbr_broker_publish(struct kbr_broker *broker, struct kbr_refusal *why)
{
	struct kbr_broker *other;
	int err = 0;

	mutex_lock(&kbr_brokers_lock);
	list_for_each_entry(other, &kbr_brokers, node) {
		if (!strcmp(other->name, broker->name)) {
			err = kbr_refuse(why, -EEXIST, 0,
					 "a broker named %s runs in this kernel already",
					 broker->name);
			break;
		}
		if (kbr_dir_same(other->dir, broker->dir)) {
			err = kbr_refuse(why, -EBUSY, 0, "%.80s is in use by broker %s",
					 broker->dir_path, other->name);
			break;
		}
	}
	if (!err) {
		kbr_broker_get(broker);
		list_add_tail(&broker->node, &kbr_brokers);
	}
	mutex_unlock(&kbr_brokers_lock);
	return err;
}

void kbr_broker_unpublish(struct kbr_broker *broker)
{
	struct kbr_net *knet = broker->knet;
	bool was_ours;

	mutex_lock(&knet->admin);
	was_ours = knet->broker == broker;
	if (was_ours)
		knet->broker = NULL;
	mutex_unlock(&knet->admin);
	mutex_lock(&kbr_brokers_lock);
	list_del_init(&broker->node);
	mutex_unlock(&kbr_brokers_lock);
	atomic_inc(&knet->generation);
	wake_up_all(&kbr_brokers_wait);
	if (was_ours)
		kbr_broker_put(broker);
	kbr_broker_put(broker);
}

void kbr_broker_wake(struct kbr_broker *broker)
{
	struct kbr_topic *topic;

	for (topic = kbr_topic_next(broker, NULL); topic;
	     topic = kbr_topic_walk_next(broker, topic))
		kbr_topic_wake(topic);
	wake_up_all(&broker->unsynced_wait);
}

void kbr_broker_room_made(struct kbr_broker *broker)
{
	smp_mb();	/* pairs with the one in kbr_broker_has_room() */
	if (likely(!READ_ONCE(broker->throttled)) || !kbr_broker_has_room(broker))
		return;
	WRITE_ONCE(broker->throttled, false);
	wake_up_all(&broker->unsynced_wait);
}

/* ---- start ---- */

static void kbr_start_task_free(struct kbr_task *task)
{
	kfree(task);
}

static int kbr_broker_start_run(struct kbr_task *task)
{
	struct kbr_broker *broker = task->broker;
	int err;

	err = kbr_broker_bring_up(broker, task->op, &task->op->why);
	if (!err) {
		mutex_lock(&broker->knet->admin);
		/* A stop, or the end of the namespace, may have come meanwhile. */
		if (READ_ONCE(broker->state) == KBR_BROKER_STARTING)
			WRITE_ONCE(broker->state, KBR_BROKER_RUNNING);
		mutex_unlock(&broker->knet->admin);
		kbr_upkeep_start(broker);
		kbr_server()->open(broker);
		kbr_broker_raise(broker);
		return 0;
	}
	pr_err("%s: could not be started in %s (%d)%s%s\n", broker->name, broker->dir_path, err,
	       task->op->why.text[0] ? ": " : "", task->op->why.text);
	WRITE_ONCE(broker->dead, true);
	kbr_broker_set_state(broker, KBR_BROKER_FAILED);
	/* Before the operation ends: its end means that one may try again. */
	kbr_broker_unpublish(broker);
	kbr_dir_put(broker->dir);
	broker->dir = NULL;
	module_put(THIS_MODULE);
	return err;
}

static void kbr_task_work(struct work_struct *work)
{
	struct kbr_task *task = container_of(work, struct kbr_task, work);
	struct kbr_broker *broker = task->broker;
	struct kbr_op *op = task->op;
	int err;

	kbr_op_start(op);
	err = task->run(task);
	task->free(task);
	kbr_op_end(op, err);
	kbr_broker_put(broker);
}

static int kbr_broker_queue_locked(struct kbr_broker *broker, struct kbr_task *task, int kind,
				   const char *object, u32 *op_id)
{
	lockdep_assert_held(&broker->knet->admin);
	task->op = kbr_op_create(broker->knet, kind, object);
	if (!task->op)
		return -ENOMEM;
	kbr_broker_get(broker);
	task->broker = broker;
	*op_id = task->op->id;
	/*
	 * Those of the ordered queue wait for works of the other one: to lockdep, which
	 * tells works apart by where they are initialized, they are two kinds.
	 */
	if (task->wq)
		INIT_WORK(&task->work, kbr_task_work);
	else
		INIT_WORK(&task->work, kbr_task_work);
	queue_work(task->wq ?: broker->ops_wq, &task->work);
	return 0;
}

int kbr_broker_queue(struct kbr_broker *broker, struct kbr_task *task, int kind,
		     const char *object, u32 *op_id, struct kbr_refusal *why)
{
	struct kbr_net *knet = broker->knet;
	enum kbr_broker_state state;
	int err;

	mutex_lock(&knet->admin);
	state = READ_ONCE(broker->state);
	if (state != KBR_BROKER_RUNNING)
		err = kbr_refuse(why, -ENODEV, 0, "broker %s is %s", broker->name,
				 kbr_broker_state_name(state));
	else if (kbr_op_full(knet))
		err = kbr_refuse(why, -EBUSY, 0,
				 "too many operations wait for broker %s: try again", broker->name);
	else
		err = kbr_broker_queue_locked(broker, task, kind, object, op_id);
	mutex_unlock(&knet->admin);
	return err;
}

int kbr_broker_begin_request(struct kbr_broker *broker, struct kbr_cluster_request *request,
			     int kind, const char *object, u32 *op_id, struct kbr_refusal *why)
{
	struct kbr_net *knet = broker->knet;
	enum kbr_broker_state state;
	struct kbr_op *op;
	int err;

	mutex_lock(&knet->admin);
	state = READ_ONCE(broker->state);
	if (state != KBR_BROKER_RUNNING) {
		err = kbr_refuse(why, -ENODEV, 0, "broker %s is %s", broker->name,
				 kbr_broker_state_name(state));
		goto unlock;
	}
	op = kbr_op_create(knet, kind, object);
	err = -ENOMEM;
	if (!op)
		goto unlock;
	*op_id = op->id;
	kbr_op_start(op);
	request->op = op;
	err = kbr_cluster_request_open(request, READ_ONCE(broker->config.request_timeout_ms), why);
	if (err) {
		request->op = NULL;
		kbr_op_end(op, err);
	}
unlock:
	mutex_unlock(&knet->admin);
	return err;
}

static int kbr_broker_check_params(const struct kbr_broker_params *params, struct kbr_refusal *why)
{
	size_t i, len = strlen(params->name);

	if (!len || len > KBR_BROKER_NAME_MAX)
		return kbr_refuse(why, -EINVAL, 0, "a broker name has 1 to %d characters",
				  KBR_BROKER_NAME_MAX);
	if (!strcmp(params->name, ".") || !strcmp(params->name, ".."))
		return kbr_refuse(why, -EINVAL, 0, "a broker must not be named \"%s\"",
				  params->name);
	for (i = 0; i < len; i++)
		if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-",
			    params->name[i]))
			return kbr_refuse(why, -EINVAL, 0,
					  "a broker name holds letters, digits, \".\", \"_\" and \"-\" only; character %zu is another",
					  i + 1);
	if (params->dir[0] != '/')
		return kbr_refuse(why, -EINVAL, 0, "the directory must be an absolute path");
	if (params->mode & ~0777)
		return kbr_refuse(why, -EINVAL, 0, "a mode has no bits beyond 0777, not 0%ho",
				  params->mode);
	if (!uid_valid(params->uid) || !gid_valid(params->gid))
		return kbr_refuse(why, -EINVAL, 0, "owner or group is no valid id");
	if (params->id < -1)
		return kbr_refuse(why, -EINVAL, 0, "a node id is not negative");
	return 0;
}

/* Under the admin mutex: publish and queue, or leave no trace. Takes @dir over on success. */
static int kbr_broker_start_locked(struct kbr_net *knet, struct kbr_broker_params *params,
				   struct kbr_dir *dir, u32 *op_id, struct kbr_refusal *why)
{
	struct kbr_broker *broker;
	struct kbr_task *task;
	const char *fstype;
	int err;

	lockdep_assert_held(&knet->admin);
	if (knet->dead)
		return -ENODEV;
	if (knet->broker)
		return kbr_refuse(why, -EEXIST, 0,
				  "broker %s is %s in this network namespace, which can have one only",
				  knet->broker->name, kbr_broker_state_name(knet->broker->state));
	task = kzalloc(sizeof(*task), GFP_KERNEL);
	if (!task)
		return -ENOMEM;
	task->run = kbr_broker_start_run;
	task->free = kbr_start_task_free;
	err = -ENOMEM;
	broker = kbr_broker_alloc(knet, params);
	if (!broker)
		goto free;
	err = kbr_broker_config_apply(&broker->config, &params->configs, why);
	if (err)
		goto put;
	err = kbr_config_set_copy(&broker->config_set, &params->configs);
	if (err)
		goto put;
	err = kbr_broker_keep_listeners(broker, params->listeners, params->listeners_count, why);
	if (err)
		goto put;
	err = -ENODEV;
	if (!try_module_get(THIS_MODULE))
		goto put;
	broker->dir = dir;
	broker->device = kbr_dir_device(dir, &fstype);
	strscpy(broker->fstype, fstype, sizeof(broker->fstype));
	err = kbr_broker_publish(broker, why);
	if (err)
		goto unpin;
	knet->broker = broker;		/* with the first reference */
	err = kbr_broker_queue_locked(broker, task, KBR_OP_BROKER_START, broker->name, op_id);
	if (err)
		goto unpublish;
	kbr_config_set_free(&params->configs);
	return 0;

unpublish:
	knet->broker = NULL;
	mutex_lock(&kbr_brokers_lock);
	list_del_init(&broker->node);
	mutex_unlock(&kbr_brokers_lock);
	kbr_broker_put(broker);
unpin:
	module_put(THIS_MODULE);
put:
	kbr_broker_put(broker);
free:
	kfree(task);
	return err;
}

int kbr_broker_start_dir(struct kbr_net *knet, struct kbr_broker_params *params,
			 struct kbr_dir *dir, u32 *op_id, struct kbr_refusal *why)
{
	int err = kbr_broker_check_params(params, why);

	if (err)
		return err;
	mutex_lock(&knet->admin);
	err = kbr_broker_start_locked(knet, params, dir, op_id, why);
	mutex_unlock(&knet->admin);
	return err;
}
KBR_EXPORT_IF_KUNIT(kbr_broker_start_dir);

int kbr_broker_start(struct kbr_net *knet, struct kbr_broker_params *params, u32 *op_id,
		     struct kbr_refusal *why)
{
	struct kbr_dir *dir;
	int err;

	err = kbr_broker_check_params(params, why);
	if (err)
		return err;
	/* In the caller's context: its root, its credentials. */
	err = kbr_dir_open_vfs(params->dir, &dir);
	if (err)
		return kbr_refuse(why, err, 0, "%.100s %s", params->dir,
				  err == -ENOENT ? "does not exist" :
				  err == -ENOTDIR ? "is not a directory" :
				  err == -EACCES ? "can't be written by whoever asks" :
				  err == -EROFS ? "is on a read-only file system" :
						  "can't be used");
	err = kbr_broker_start_dir(knet, params, dir, op_id, why);
	if (err)
		kbr_dir_put(dir);
	return err;
}

/* ---- stop ---- */

/* Under the admin mutex: from now on nothing new begins; the queue does the rest. */
static void kbr_broker_begin_stop(struct kbr_broker *broker, struct kbr_op *op)
{
	lockdep_assert_held(&broker->knet->admin);
	WRITE_ONCE(broker->state, KBR_BROKER_STOPPING);
	WRITE_ONCE(broker->give_up, true);
	/* One that left its cluster has the operation already. */
	if (op)
		broker->stop_op = op;
	kbr_broker_get(broker);
	queue_work(broker->ops_wq, &broker->stop);
}

/* Ask the controller to move its leaderships away first; false: there is nobody or nothing to ask. */
static bool kbr_broker_begin_leave(struct kbr_broker *broker, struct kbr_op *op)
{
	s64 timeout_ms = READ_ONCE(broker->config.controlled_shutdown_ms);
	struct kbr_cluster_request *request;
	struct kbr_cluster_info info;
	int err;

	lockdep_assert_held(&broker->knet->admin);
	kbr_cluster_describe(broker, &info);
	if (READ_ONCE(broker->state) != KBR_BROKER_RUNNING || !timeout_ms ||
	    info.state != KBR_CLUSTER_ACTIVE)
		return false;
	request = kbr_cluster_request_alloc(broker, KBR_REQUEST_LEAVE);
	if (!request)
		return false;
	/* The answer may come at once, and then waits for the admin mutex. */
	err = kbr_cluster_request_open(request, timeout_ms, NULL);
	kbr_cluster_request_put(request);
	if (err)
		return false;
	kbr_op_start(op);
	broker->stop_op = op;
	return true;
}

void kbr_broker_left(struct kbr_broker *broker)
{
	struct kbr_net *knet = broker->knet;

	mutex_lock(&knet->admin);
	/* The namespace, or the machine, may have ended meanwhile. */
	if (READ_ONCE(broker->state) == KBR_BROKER_RUNNING)
		kbr_broker_begin_stop(broker, NULL);
	mutex_unlock(&knet->admin);
}

static int kbr_broker_stop_locked(struct kbr_broker *broker, enum kbr_stop how, u32 *op_id,
				  struct kbr_refusal *why)
{
	struct kbr_op *op;

	lockdep_assert_held(&broker->knet->admin);
	if (READ_ONCE(broker->state) > KBR_BROKER_RUNNING)
		return kbr_refuse(why, -EALREADY, 0, "broker %s is %s", broker->name,
				  kbr_broker_state_name(broker->state));
	if (broker->stop_op) {
		*op_id = broker->stop_op->id;
		if (how != KBR_STOP_LEAVE)
			return 0;
		return kbr_refuse(why, -EALREADY, 0,
				  "broker %s waits until its leaderships have been moved away; it can be stopped now",
				  broker->name);
	}
	op = kbr_op_create(broker->knet, KBR_OP_BROKER_STOP, broker->name);
	if (!op)
		return -ENOMEM;
	*op_id = op->id;
	if (how != KBR_STOP_LEAVE || !kbr_broker_begin_leave(broker, op))
		kbr_broker_begin_stop(broker, op);
	return 0;
}

int kbr_broker_stop(struct kbr_net *knet, enum kbr_stop how, u32 *op_id,
		    struct kbr_refusal *why)
{
	struct kbr_broker *broker;
	int err;

	mutex_lock(&knet->admin);
	broker = knet->broker;
	if (broker) {
		kbr_broker_get(broker);
		if (how == KBR_STOP_CRASH && READ_ONCE(broker->state) <= KBR_BROKER_RUNNING)
			broker->crash = true;
		err = kbr_broker_stop_locked(broker, how, op_id, why);
	} else {
		err = kbr_refuse(why, -ENOENT, 0, "no broker runs in this network namespace");
	}
	mutex_unlock(&knet->admin);
	if (!err && how != KBR_STOP_LEAVE && kbr_cluster_is_member(broker))
		kbr_cluster_leave_now(broker);
	kbr_broker_put(broker);
	return err;
}
KBR_EXPORT_IF_KUNIT(kbr_broker_stop);

void kbr_broker_net_exit(struct kbr_net *knet)
{
	struct kbr_broker *broker;

	mutex_lock(&knet->admin);
	knet->dead = true;
	broker = knet->broker;
	knet->broker = NULL;
	if (broker) {
		broker->net_gone = true;
		/* Readers end and writers fail at once; closing logs can wait. */
		WRITE_ONCE(broker->dead, true);
		if (READ_ONCE(broker->state) <= KBR_BROKER_RUNNING)
			kbr_broker_begin_stop(broker, NULL);
	}
	mutex_unlock(&knet->admin);
	if (!broker)
		return;
	/* Sockets don't outlive their namespace. */
	kbr_server()->abort(broker);
	if (kbr_follow())
		kbr_follow()->abort(broker);
	kbr_broker_wake(broker);
	kbr_broker_put(broker);
}

/* ---- alter ---- */

struct kbr_alter_task {
	struct kbr_task task;
	struct kbr_broker_change change;
};

static void kbr_alter_task_free(struct kbr_task *task)
{
	struct kbr_alter_task *todo = container_of(task, struct kbr_alter_task, task);

	kbr_config_set_free(&todo->change.set);
	kbr_config_set_free(&todo->change.del);
	kfree(todo);
}

int kbr_broker_check_alone(struct kbr_broker *broker, const struct kbr_broker_config *config,
			   struct kbr_refusal *why)
{
	if (config->default_replication_factor == 1 || kbr_cluster_is_member(broker))
		return 0;
	return kbr_refuse(why, -EINVAL, 0,
			  "default.replication.factor must be 1: a standalone broker has no one to replicate to");
}

/* What the broker's configs are once @change is applied: explicit ones and effective ones. */
static int kbr_broker_merge_configs(struct kbr_broker *broker,
				    const struct kbr_broker_change *change,
				    struct kbr_config_set *merged,
				    struct kbr_broker_config *config, struct kbr_refusal *why)
{
	int err;

	down_read(&broker->topics_sem);
	err = kbr_config_set_merge(merged, &broker->config_set, &change->set, &change->del,
				   kbr_broker_config_known, why);
	up_read(&broker->topics_sem);
	if (!err)
		err = kbr_broker_config_apply(config, merged, why) ?:
		      kbr_broker_check_alone(broker, config, why);
	if (err)
		kbr_config_set_free(merged);
	return err;
}

/* Would any topic's own configs break a rule with these defaults? Else, with @publish, they are in effect. */
static int kbr_broker_reconfigure_topics(struct kbr_broker *broker,
					 const struct kbr_broker_config *config, bool publish,
					 struct kbr_refusal *why)
{
	struct kbr_topic_config effective;
	struct kbr_topic *topic;
	int err = 0;

	for (topic = kbr_topic_next(broker, NULL); topic;
	     topic = kbr_topic_walk_next(broker, topic)) {
		err = kbr_topic_config_apply(&effective, config, &topic->config_set, why);
		if (err)
			break;
		if (publish)
			kbr_topic_config_publish(&topic->config, &effective);
	}
	kbr_topic_put(topic);
	return err;
}

static int kbr_broker_alter_run(struct kbr_task *task)
{
	struct kbr_broker_change *change = &container_of(task, struct kbr_alter_task, task)->change;
	const struct kbr_owner *owner = &change->owner;
	struct kbr_broker *broker = task->broker;
	struct kbr_event event = { .kind = KBR_EVENT_BROKER_SET, .broker = broker };
	struct kbr_metadata_broker found;
	struct kbr_broker_config config;
	struct kbr_config_set merged;
	int err;

	err = kbr_broker_merge_configs(broker, change, &merged, &config, &task->op->why);
	if (err)
		return err;
	err = kbr_broker_reconfigure_topics(broker, &config, false, &task->op->why);
	if (err)
		goto out;
	found = (struct kbr_metadata_broker) {
		.uid = from_kuid(&init_user_ns, owner->set_uid ? owner->uid : broker->uid),
		.gid = from_kgid(&init_user_ns, owner->set_gid ? owner->gid : broker->gid),
		.mode = owner->set_mode ? owner->mode : broker->mode,
		.producer_ids = broker->producer_ids.end,
		.configs = merged,
	};
	err = kbr_metadata_put_broker(broker, &found);
	if (err)
		goto out;
	down_write(&broker->topics_sem);
	WRITE_ONCE(broker->uid, make_kuid(&init_user_ns, found.uid));
	WRITE_ONCE(broker->gid, make_kgid(&init_user_ns, found.gid));
	WRITE_ONCE(broker->mode, found.mode);
	swap(broker->config_set, merged);
	kbr_broker_config_publish(&broker->config, &config);
	up_write(&broker->topics_sem);
	kbr_broker_configure_env(broker);
	kbr_broker_reconfigure_topics(broker, &config, true, NULL);
	mod_delayed_work(broker->work_wq, &broker->upkeep, 0);
	kbr_event_raise(broker->knet, &event);
	kbr_metadata_compact(broker);
out:
	kbr_config_set_free(&merged);
	return err;
}

int kbr_broker_check_configs(struct kbr_broker *broker, const struct kbr_broker_change *change,
			     struct kbr_refusal *why)
{
	struct kbr_broker_config config;
	struct kbr_config_set merged;
	int err;

	err = kbr_broker_merge_configs(broker, change, &merged, &config, why);
	if (err)
		return err;
	kbr_config_set_free(&merged);
	return 0;
}

int kbr_broker_alter(struct kbr_net *knet, const struct kbr_broker_change *change, u32 *op_id,
		     struct kbr_refusal *why)
{
	struct kbr_broker *broker = kbr_broker_get_in(knet);
	struct kbr_alter_task *todo = NULL;
	struct kbr_broker_config config;
	struct kbr_config_set merged;
	int err;

	if (!broker)
		return kbr_refuse(why, -ENOENT, 0, "no broker runs in this network namespace");
	err = kbr_owner_check(&change->owner, why);
	if (err)
		goto out;
	err = kbr_broker_merge_configs(broker, change, &merged, &config, why);
	if (err)
		goto out;
	kbr_config_set_free(&merged);
	err = -ENOMEM;
	todo = kzalloc(sizeof(*todo), GFP_KERNEL);
	if (!todo)
		goto out;
	todo->task.run = kbr_broker_alter_run;
	todo->task.free = kbr_alter_task_free;
	todo->change = *change;
	memset(&todo->change.set, 0, sizeof(todo->change.set));
	memset(&todo->change.del, 0, sizeof(todo->change.del));
	err = kbr_config_set_copy(&todo->change.set, &change->set);
	if (!err)
		err = kbr_config_set_copy(&todo->change.del, &change->del);
	if (!err)
		err = kbr_broker_queue(broker, &todo->task, KBR_OP_BROKER_ALTER, broker->name,
				       op_id, why);
	if (err)
		kbr_alter_task_free(&todo->task);
out:
	kbr_broker_put(broker);
	return err;
}
KBR_EXPORT_IF_KUNIT(kbr_broker_alter);

/* ---- module ---- */

/* Stop all brokers, as if each had been asked to; the machine goes down when they have, or soon after. */
static int kbr_broker_reboot(struct notifier_block *nb, unsigned long action, void *data)
{
	struct kbr_broker *broker;
	char name[KBR_BROKER_NAME_MAX + 1] = "";

	while ((broker = kbr_broker_next(name))) {
		strscpy(name, broker->name, sizeof(name));
		mutex_lock(&broker->knet->admin);
		if (READ_ONCE(broker->state) <= KBR_BROKER_RUNNING)
			kbr_broker_begin_stop(broker, NULL);
		mutex_unlock(&broker->knet->admin);
		kbr_broker_put(broker);
	}
	if (!wait_event_timeout(kbr_brokers_wait, list_empty_careful(&kbr_brokers),
				KBR_REBOOT_WAIT))
		pr_warn("a broker did not stop in time; its next start recovers\n");
	return NOTIFY_DONE;
}

static struct notifier_block kbr_reboot_notifier = {
	.notifier_call = kbr_broker_reboot,
};

int kbr_broker_init(void)
{
	int err;

	err = kbr_partition_init();
	if (err)
		return err;
	/* Not for reclaim: nobody waits for memory here, and it waits for SRCU's work. */
	kbr_release_wq = alloc_workqueue("kbr-release", WQ_UNBOUND, 0);
	if (!kbr_release_wq) {
		err = -ENOMEM;
		goto exit_partition;
	}
	err = register_reboot_notifier(&kbr_reboot_notifier);
	if (err)
		goto destroy_wq;
	return 0;

destroy_wq:
	destroy_workqueue(kbr_release_wq);
exit_partition:
	kbr_partition_exit();
	return err;
}

void kbr_broker_exit(void)
{
	unregister_reboot_notifier(&kbr_reboot_notifier);
	wait_event(kbr_brokers_wait, !atomic_read(&kbr_brokers_count));
	/* Waits for the last release to return, too. */
	destroy_workqueue(kbr_release_wq);
	kbr_partition_exit();
}
