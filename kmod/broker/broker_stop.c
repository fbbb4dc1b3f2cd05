// SPDX-License-Identifier: GPL-2.0-only
/*
 * How a broker ends: asked to, with its namespace, or because its start did
 * not succeed. Runs on its ordered queue, after every operation before it.
 */
#define pr_fmt(fmt) "kbroker: " fmt

#include <linux/module.h>
#include <linux/printk.h>
#include <linux/srcu.h>

#include "broker/broker.h"
#include "broker/cluster.h"
#include "broker/event.h"
#include "broker/group.h"
#include "broker/listener.h"
#include "broker/metadata.h"
#include "broker/op.h"
#include "broker/partition.h"
#include "broker/replica.h"
#include "broker/share_far.h"
#include "broker/topic.h"

/* Partitions between two reports of progress */
#define KBR_STOP_PROGRESS_STEP	64

/* Close @topic's logs; nobody is in them. Returns the first error. */
static int kbr_stop_close_topic(struct kbr_topic *topic, bool clean, struct kbr_op *op, u32 *done)
{
	struct kbr_broker *broker = topic->broker;
	struct kbr_partition *part;
	unsigned int i;
	int err, first = 0;

	for (i = 0; (part = kbr_topic_partition(topic, i)); i++) {
		kbr_forward_retire(part);
		kbr_partition_retire(part);
		/* A partition that was stopped, or never opened, may hold what is not durable. */
		if (!kbr_partition_serves(part) && READ_ONCE(part->state) != KBR_PARTITION_REMOTE)
			first = first ?: -EIO;
		if (!part->opened)
			continue;
		WRITE_ONCE(part->opened, false);
		err = 0;
		if (clean)
			err = kbr_log_close(&part->log);
		else
			kbr_log_abandon(&part->log);
		if (err)
			pr_err("%s: %s-%u: could not be closed cleanly (%d): its next start recovers it\n",
			       broker->name, topic->name, i, err);
		first = first ?: err;
		if (op && !(++*done % KBR_STOP_PROGRESS_STEP))
			kbr_op_progress(op, *done, broker->partitions_count);
	}
	return first;
}

/* Take all topics out of the table; those that are open live on without a log. */
static void kbr_stop_drop_topics(struct kbr_broker *broker)
{
	struct kbr_topic *topic;
	struct rb_node *node;

	for (;;) {
		topic = NULL;
		down_write(&broker->topics_sem);
		node = rb_first(&broker->topics);
		if (node) {
			topic = rb_entry(node, struct kbr_topic, node);
			rb_erase(node, &broker->topics);
			broker->topics_count--;
			broker->partitions_count -= kbr_topic_partitions(topic);
		}
		up_write(&broker->topics_sem);
		if (!topic)
			break;
		kbr_topic_free_minors(topic);
		kbr_topic_put(topic);
	}
}

/*
 * Nobody finds anything to begin; @dead is set. Everybody who sleeps is woken
 * and sees it, everybody inside a log is waited for, then the logs are closed.
 * The marker comes last: it says that all else is on the disk.
 */
void kbr_broker_take_down(struct kbr_broker *broker, bool clean, struct kbr_op *op)
{
	struct kbr_topic *topic;
	u32 done = 0;
	int err = 0;

	WRITE_ONCE(broker->dead, true);
	kbr_broker_wake(broker);
	synchronize_srcu(&broker->io);
	cancel_delayed_work_sync(&broker->upkeep);
	if (clean)
		kbr_broker_dir_ease_stop(broker);

	for (topic = kbr_topic_next(broker, NULL); topic;
	     topic = kbr_topic_walk_next(broker, topic))
		err = kbr_stop_close_topic(topic, clean, op, &done) ?: err;
	if (clean && broker->metadata)
		err = kbr_broker_write_checkpoints(broker) ?: err;
	err = kbr_metadata_close(broker, !clean) ?: err;
	if (broker->env_ready) {
		kbr_syncer_destroy(broker->env.syncer);
		kbr_log_env_exit(&broker->env);
		broker->env_ready = false;
	}
	if (clean && !err)
		err = kbr_broker_dir_put_marker(broker, max(kbr_cluster_epoch(broker),
							    broker->previous_epoch));
	if (clean && err)
		pr_warn("%s: did not stop cleanly (%d): its next start recovers\n", broker->name,
			err);
	kbr_stop_drop_topics(broker);
	if (broker->lock_file)
		kbr_file_close(broker->lock_file);
	broker->lock_file = NULL;
}

void kbr_broker_stop_work(struct work_struct *work)
{
	struct kbr_broker *broker = container_of(work, struct kbr_broker, stop);
	struct kbr_op *op = broker->stop_op;
	bool clean = !broker->crash;

	if (op)
		kbr_op_start(op);
	/* A start that failed has cleaned up behind itself. */
	if (READ_ONCE(broker->state) == KBR_BROKER_STOPPING && broker->dir) {
		kbr_broker_raise(broker);
		/* Who waits for the controller is answered first: the server waits for them. */
		kbr_cluster_stop(broker);
		kbr_calls_stop(broker);
		kbr_share_mirrors_stop(broker);
		if (kbr_follow())
			kbr_follow()->stop(broker);
		kbr_forward_stop(broker);
		/* While logs still work: what was counted is written, what was accepted is answered. */
		kbr_shares_stop(broker);
		kbr_share_posts_stop(broker);
		kbr_share_mirrors_free(broker);
		kbr_groups_stop(broker);
		kbr_server()->stop(broker, clean && !broker->net_gone);
		kbr_broker_take_down(broker, clean, op);
		kbr_broker_set_state(broker, KBR_BROKER_STOPPED);
		pr_info("%s: %s\n", broker->name, clean ? "stopped" : "stopped as if it had died");
		kbr_broker_unpublish(broker);
		kbr_dir_put(broker->dir);
		broker->dir = NULL;
		module_put(THIS_MODULE);
	}
	if (op)
		kbr_op_end(op, 0);
	kbr_broker_put(broker);
}
