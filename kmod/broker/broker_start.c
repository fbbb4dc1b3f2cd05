// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a start does, on the broker's ordered queue: take the directory, learn
 * the topics, open and recover their logs in parallel, tidy up. What is in the
 * directory is told apart in broker_dir.c and broker_stray.c.
 */
#define pr_fmt(fmt) "kbroker: " fmt

#include <linux/printk.h>
#include <linux/slab.h>

#include "broker/broker.h"
#include "broker/cluster.h"
#include "broker/group.h"
#include "broker/broker_start.h"
#include "broker/listener.h"
#include "broker/metadata.h"
#include "broker/op.h"
#include "broker/partition.h"
#include "broker/topic.h"

/* ---- what storage tells ---- */

static void kbr_start_synced(struct kbr_log *log, int err)
{
	struct kbr_broker *broker = container_of(log->env, struct kbr_broker, env);

	/* The metadata log has no waiters but the operation that looks itself. */
	if (log != kbr_metadata_log(broker))
		kbr_partition_advance(kbr_partition_of(log), err);
}

void kbr_broker_configure_env(struct kbr_broker *broker)
{
	WRITE_ONCE(broker->env.producer_expiration_ms, broker->config.producer_expiration_ms);
	kbr_log_env_set_files_max(&broker->env, broker->config.files_max);
}

static int kbr_start_env(struct kbr_broker *broker)
{
	struct kbr_syncer *syncer;
	int err;

	err = kbr_log_env_init(&broker->env, broker->dir, broker->config.files_max);
	if (err)
		return err;
	syncer = kbr_syncer_create(broker->dir, broker->name);
	if (!syncer) {
		kbr_log_env_exit(&broker->env);
		return -ENOMEM;
	}
	broker->env.syncer = syncer;
	kbr_broker_configure_env(broker);
	broker->env.synced = kbr_start_synced;
	smp_store_release(&broker->env_ready, true);	/* pairs with kbr_nl_broker_fill_syncs() */
	return 0;
}

/* ---- what the metadata log tells ---- */

/* Configs given at this start go before those that were kept. */
static int kbr_start_found_broker(struct kbr_broker *broker, struct kbr_metadata_broker *found,
				  struct kbr_refusal *why)
{
	struct kbr_config_set given = broker->config_set;
	unsigned int i;
	int err = 0;

	broker->start->kept = *found;
	memset(&broker->start->kept.configs, 0, sizeof(found->configs));
	if (broker->inherit_uid)
		broker->uid = make_kuid(&init_user_ns, found->uid);
	if (broker->inherit_gid)
		broker->gid = make_kgid(&init_user_ns, found->gid);
	if (broker->inherit_mode)
		broker->mode = found->mode;
	broker->producer_ids.next = found->producer_ids;
	broker->producer_ids.end = found->producer_ids;
	broker->start->has_kept = true;
	for (i = 0; i < given.count && !err; i++) {
		const char *kept = kbr_config_set_get(&found->configs, given.entries[i].name);

		if (!kept || strcmp(kept, given.entries[i].value))
			broker->start->has_kept = false;
		err = kbr_config_set_put(&found->configs, given.entries[i].name,
					 given.entries[i].value);
	}
	if (err)
		return err;
	broker->config_set = found->configs;
	memset(&found->configs, 0, sizeof(found->configs));
	kbr_config_set_free(&given);
	err = kbr_broker_config_apply(&broker->config, &broker->config_set, why) ?:
	      kbr_broker_check_alone(broker, &broker->config, why);
	if (!err)
		kbr_broker_configure_env(broker);
	return err;
}

static int kbr_start_found_topic(struct kbr_broker *broker, struct kbr_metadata_topic *found,
				 struct kbr_refusal *why)
{
	struct kbr_topic *topic;
	int err;

	if (found->replication_factor != 1 && !kbr_cluster_is_member(broker))
		return kbr_refuse(why, -EBADMSG, 0,
				  "%s-0 holds topic %s with %u replicas, and this broker is alone",
				  KBR_METADATA_TOPIC, found->name, found->replication_factor);
	topic = kbr_topic_alloc(broker, found, why);
	if (IS_ERR(topic))
		return PTR_ERR(topic);
	down_write(&broker->topics_sem);
	err = kbr_topic_insert_locked(topic);
	up_write(&broker->topics_sem);
	if (err)
		kbr_topic_put(topic);
	return err;
}

static int kbr_start_found_deletion(struct kbr_broker *broker, const char *name, const u8 id[16])
{
	size_t size = strlen(name) + 1;
	struct kbr_deleted *deleted = kmalloc(struct_size(deleted, name, size), GFP_KERNEL);

	if (!deleted)
		return -ENOMEM;
	memcpy(deleted->id, id, sizeof(deleted->id));
	memcpy(deleted->name, name, size);
	list_add_tail(&deleted->node, &broker->start->deleted);
	return 0;
}

static const struct kbr_metadata_visitor kbr_start_visitor = {
	.broker = kbr_start_found_broker,
	.topic = kbr_start_found_topic,
	.deleted = kbr_start_found_deletion,
};

/* ---- partitions, in parallel ---- */

struct kbr_start_worker {
	struct work_struct work;
	struct kbr_broker *broker;
};

static void kbr_start_open_one(struct kbr_start *start, struct kbr_partition *part)
{
	const char *topic = part->topic->name;
	struct kbr_log_report report;
	int err;

	err = kbr_partition_open(part, start->clean,
				 kbr_offset_table_find(start->recovery, topic, part->index),
				 kbr_offset_table_find(start->starts, topic, part->index),
				 kbr_offset_table_find(start->hws, topic, part->index), &report);
	if (err || report.damaged_offset >= 0) {
		atomic_inc(&start->failed);
		return;
	}
	atomic64_add(report.scanned_bytes, &start->scanned_bytes);
	atomic64_add(report.cut_bytes, &start->cut_bytes);
}

static void kbr_start_worker(struct work_struct *work)
{
	struct kbr_start_worker *worker = container_of(work, struct kbr_start_worker, work);
	struct kbr_broker *broker = worker->broker;
	struct kbr_start *start = broker->start;
	unsigned int at;

	while (!READ_ONCE(broker->give_up)) {
		at = atomic_inc_return(&start->next) - 1;
		if (at >= start->count)
			break;
		kbr_start_open_one(start, start->parts[at]);
		kbr_op_progress(start->op, atomic_inc_return(&start->done), start->count);
		cond_resched();
	}
}

static void kbr_start_collect(struct kbr_broker *broker)
{
	struct kbr_start *start = broker->start;
	struct kbr_partition *part;
	struct kbr_topic *topic;
	unsigned int i;

	for (topic = kbr_topic_next(broker, NULL); topic;
	     topic = kbr_topic_walk_next(broker, topic))
		for (i = 0; (part = kbr_topic_partition(topic, i)); i++)
			start->parts[start->count++] = part;
}

static int kbr_start_open_partitions(struct kbr_broker *broker)
{
	struct kbr_start *start = broker->start;
	struct kbr_start_worker *workers;
	unsigned int i, threads;

	if (!broker->partitions_count)
		return 0;
	start->parts = kvmalloc_array(broker->partitions_count, sizeof(*start->parts), GFP_KERNEL);
	if (!start->parts)
		return -ENOMEM;
	kbr_start_collect(broker);
	threads = min(broker->config.recovery_threads, start->count);
	workers = kcalloc(threads, sizeof(*workers), GFP_KERNEL);
	if (!workers)
		return -ENOMEM;
	kbr_op_progress(start->op, 0, start->count);
	for (i = 0; i < threads; i++) {
		workers[i].broker = broker;
		INIT_WORK(&workers[i].work, kbr_start_worker);
		queue_work(broker->work_wq, &workers[i].work);
	}
	for (i = 0; i < threads; i++)
		flush_work(&workers[i].work);
	kfree(workers);
	return READ_ONCE(broker->give_up) ? -ECANCELED : 0;
}

/* ---- in order ---- */

static int kbr_start_read_offsets(struct kbr_broker *broker, struct kbr_refusal *why)
{
	struct kbr_start *start = broker->start;
	int err;

	err = kbr_offset_table_read(broker->dir, KBR_RECOVERY_CHECKPOINT, &start->recovery);
	if (!err)
		err = kbr_offset_table_read(broker->dir, KBR_START_CHECKPOINT, &start->starts);
	if (!err && kbr_cluster_is_member(broker))
		err = kbr_offset_table_read(broker->dir, KBR_HW_CHECKPOINT, &start->hws);
	if (err == -EPROTONOSUPPORT)
		kbr_refuse(why, err, 0,
			   "an offset checkpoint of %.80s is of a newer version than this module knows",
			   broker->dir_path);
	return err;
}

/* Let the topics be found. */
static int kbr_start_publish_topics(struct kbr_broker *broker)
{
	struct kbr_topic *topic;
	int err = 0;

	for (topic = kbr_topic_next(broker, NULL); topic && !err;
	     topic = kbr_topic_walk_next(broker, topic)) {
		err = kbr_topic_alloc_minors(topic, kbr_topic_array(topic), 0);
		if (!err)
			WRITE_ONCE(topic->state, KBR_TOPIC_ACTIVE);
	}
	kbr_topic_put(topic);
	return err;
}

/* Keep the owner, mode and configs of this start for the next. */
static int kbr_start_keep_broker(struct kbr_broker *broker)
{
	struct kbr_start *start = broker->start;
	struct kbr_metadata_broker own = {
		.uid = from_kuid(&init_user_ns, broker->uid),
		.gid = from_kgid(&init_user_ns, broker->gid),
		.mode = broker->mode,
		.producer_ids = broker->producer_ids.end,
		.configs = broker->config_set,
	};

	if (start->has_kept && own.uid == start->kept.uid && own.gid == start->kept.gid &&
	    own.mode == start->kept.mode)
		return 0;
	return kbr_metadata_put_broker(broker, &own);
}

static int kbr_start_steps(struct kbr_broker *broker, struct kbr_refusal *why)
{
	struct kbr_start *start = broker->start;
	s64 recovery_point, log_start;
	bool fresh = false;
	int err;

	err = kbr_broker_dir_check(broker, broker->id, &fresh, why);
	if (!err)
		err = kbr_broker_check_alone(broker, &broker->config, why);
	if (!err)
		err = kbr_broker_dir_lock(broker, why);
	if (!err && fresh)
		err = kbr_broker_dir_claim(broker, why);
	if (!err)
		err = kbr_broker_dir_take_marker(broker, &start->clean);
	if (!err)
		err = kbr_start_env(broker);
	if (!err)
		err = kbr_start_read_offsets(broker, why);
	if (err)
		return err;
	broker->clean = start->clean;
	/* a clean stop wrote them last of all */
	broker->checkpoints_stale = !start->clean;
	kbr_start_delete_leftovers(broker);
	recovery_point = kbr_offset_table_find(start->recovery, KBR_METADATA_TOPIC, 0);
	log_start = kbr_offset_table_find(start->starts, KBR_METADATA_TOPIC, 0);
	err = kbr_metadata_open(broker, start->clean, recovery_point, log_start,
				&kbr_start_visitor, why);
	if (!err)
		err = kbr_start_open_partitions(broker);
	if (!err)
		err = kbr_start_tidy(broker);
	if (err)
		return err;
	/* After retention's and recovery's files: it yields to them. */
	kbr_broker_dir_reserve(broker);
	err = kbr_start_keep_broker(broker);
	/* A full disk must not keep what is there from being read. */
	if (err == -ENOSPC)
		err = 0;
	if (err)
		return kbr_refuse(why, err, 0, "%s-0 can't be written", KBR_METADATA_TOPIC);
	atomic_set(&broker->checkpoints_due, 1);
	err = kbr_start_publish_topics(broker);
	if (!err)
		err = kbr_groups_start(broker);
	if (!err)
		err = kbr_broker_add_listeners(broker, why);
	return err;
}

static void kbr_start_free(struct kbr_start *start)
{
	struct kbr_deleted *deleted, *next;

	list_for_each_entry_safe(deleted, next, &start->deleted, node)
		kfree(deleted);
	kbr_offset_table_free(start->recovery);
	kbr_offset_table_free(start->starts);
	kbr_offset_table_free(start->hws);
	kvfree(start->parts);
	kfree(start);
}

static void kbr_start_report(struct kbr_broker *broker)
{
	struct kbr_start *start = broker->start;
	u64 scanned = atomic64_read(&start->scanned_bytes);
	u64 cut = atomic64_read(&start->cut_bytes);
	unsigned int failed = atomic_read(&start->failed);

	if (start->clean)
		kbr_refuse(&start->op->why, 0, 0, "%u topics, %u partitions; stopped cleanly before",
			   broker->topics_count, broker->partitions_count);
	else if (!scanned && !cut)
		kbr_refuse(&start->op->why, 0, 0, "%u topics, %u partitions; nothing to recover",
			   broker->topics_count, broker->partitions_count);
	else
		kbr_refuse(&start->op->why, 0, 0,
			   "%u topics, %u partitions; recovered: read %llu bytes, cut %llu of torn tails",
			   broker->topics_count, broker->partitions_count, scanned, cut);
	pr_info("%s: runs in %s: %s\n", broker->name, broker->dir_path, start->op->why.text);
	if (failed)
		pr_err("%s: %u of %u partitions are failed\n", broker->name, failed,
		       broker->partitions_count);
}

int kbr_broker_bring_up(struct kbr_broker *broker, struct kbr_op *op, struct kbr_refusal *why)
{
	struct kbr_start *start = kzalloc(sizeof(*start), GFP_KERNEL);
	int err;

	if (!start)
		return -ENOMEM;
	INIT_LIST_HEAD(&start->deleted);
	start->op = op;
	broker->start = start;
	err = kbr_start_steps(broker, why);
	if (!err) {
		kbr_start_report(broker);
	} else {
		kbr_groups_stop(broker);
		kbr_server()->stop(broker, false);
		kbr_broker_take_down(broker, false, NULL);
		/* Nothing was appended: what was clean still is. */
		if (start->clean)
			kbr_broker_dir_put_marker(broker, broker->previous_epoch);
	}
	broker->start = NULL;
	kbr_start_free(start);
	return err;
}
