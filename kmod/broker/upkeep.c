// SPDX-License-Identifier: GPL-2.0-only
/*
 * The one periodic work of a broker: retention, checkpoints, flush.ms, closing
 * files nobody uses, the scrub, the reserve, repairs that must be tried again.
 */
#define pr_fmt(fmt) "kbroker: " fmt

#include <linux/printk.h>
#include <linux/srcu.h>

#include "base/clock.h"
#include "broker/broker.h"
#include "broker/event.h"
#include "broker/group.h"
#include "broker/metadata.h"
#include "broker/partition.h"
#include "broker/replica.h"
#include "broker/topic.h"

/* The pause while something is being repaired */
#define KBR_UPKEEP_MS_REPAIR	500
/* Segment files not used for so long are closed */
#define KBR_UPKEEP_FILE_IDLE_MS	60000

/* One partition's retention, inside an I/O section. */
static void kbr_upkeep_retain(struct kbr_partition *part, s64 now_ms)
{
	struct kbr_broker *broker = part->topic->broker;
	s64 hw = kbr_partition_hw(part);
	int removed;

	removed = kbr_log_retain(&part->log, hw, now_ms);
	if (removed == -ENOSPC && kbr_broker_dir_spend_reserve(broker))
		removed = kbr_log_retain(&part->log, hw, now_ms);
	if (removed > 0)
		atomic_set(&broker->checkpoints_due, 1);
	else if (removed < 0)
		pr_warn_ratelimited("%s: %s-%u: retention failed (%d), tries again\n",
				    broker->name, part->topic->name, part->index, removed);
}

/* Everything that one partition needs now. */
static void kbr_upkeep_partition(struct kbr_partition *part, s64 now_ms, bool retain)
{
	struct kbr_broker *broker = part->topic->broker;
	int idx = srcu_read_lock(&broker->io);

	if (kbr_topic_gone(part->topic))
		goto out;
	kbr_replica_give_up(part);
	if (!READ_ONCE(part->opened))
		goto out;
	if (READ_ONCE(part->state) == KBR_PARTITION_REPAIRING) {
		broker->repairing = true;
		queue_work(broker->work_wq, &part->repair);
		goto out;
	}
	if (!kbr_partition_serves(part))
		goto out;
	/* What no writer waits for (acks=1, flush.policy=async) is not left for long. */
	if (kbr_log_synced(&part->log) < kbr_log_end(&part->log))
		kbr_log_request_sync(&part->log, 0);
	if (retain)
		kbr_upkeep_retain(part, now_ms);
	if (part->replicas)
		kbr_replica_check_followers(part, kbr_clock_mono_ms());
out:
	srcu_read_unlock(&broker->io, idx);
}

static void kbr_upkeep_partitions(struct kbr_broker *broker, s64 now_ms, bool retain)
{
	struct kbr_partition *part;
	struct kbr_topic *topic;
	unsigned int i;

	broker->repairing = false;
	for (topic = kbr_topic_next(broker, NULL); topic;
	     topic = kbr_topic_walk_next(broker, topic)) {
		for (i = 0; (part = kbr_topic_partition(topic, i)); i++) {
			kbr_upkeep_partition(part, now_ms, retain);
			cond_resched();
		}
		if (READ_ONCE(broker->dead)) {
			kbr_topic_put(topic);
			break;
		}
	}
}

/* Is it @pause_ms since @last_ms? A clock that was set back must not make it wait longer. */
static bool kbr_upkeep_is_due(s64 now_ms, s64 last_ms, s64 pause_ms)
{
	return now_ms < last_ms || now_ms - last_ms >= pause_ms;
}

static void kbr_upkeep_checkpoints(struct kbr_broker *broker, s64 now_ms)
{
	int err;

	if (!atomic_read(&broker->checkpoints_due) ||
	    !kbr_upkeep_is_due(now_ms, broker->checkpointed_ms,
			       READ_ONCE(broker->config.checkpoint_ms)))
		return;
	err = kbr_broker_write_checkpoints(broker);
	if (err)
		pr_warn_ratelimited("%s: offset checkpoints can't be written (%d): a recovery would read more\n",
				    broker->name, err);
	broker->checkpointed_ms = now_ms;
}

static unsigned int kbr_upkeep_pause(struct kbr_broker *broker)
{
	s64 ms = KBR_UPKEEP_MS_MAX;

	if (broker->repairing)
		ms = KBR_UPKEEP_MS_REPAIR;
	ms = min(ms, READ_ONCE(broker->config.retention_check_ms));
	ms = min(ms, READ_ONCE(broker->config.checkpoint_ms));
	return ms;
}

void kbr_upkeep_start(struct kbr_broker *broker)
{
	s64 now_ms = kbr_clock_now_ms();

	broker->checkpointed_ms = now_ms;
	broker->retained_ms = now_ms;
	broker->scrub_ms = now_ms;
	queue_delayed_work(broker->work_wq, &broker->upkeep,
			   msecs_to_jiffies(kbr_upkeep_pause(broker)));
}

void kbr_upkeep_work(struct work_struct *work)
{
	struct kbr_broker *broker = container_of(to_delayed_work(work), struct kbr_broker, upkeep);
	s64 now_ms = kbr_clock_now_ms();
	bool retain;

	if (READ_ONCE(broker->dead) || READ_ONCE(broker->state) != KBR_BROKER_RUNNING)
		return;
	retain = kbr_upkeep_is_due(now_ms, broker->retained_ms,
				   READ_ONCE(broker->config.retention_check_ms));
	kbr_upkeep_partitions(broker, now_ms, retain);
	if (retain)
		broker->retained_ms = now_ms;
	/* Retention took unsynced bytes, or the limit was altered. */
	kbr_broker_room_made(broker);
	kbr_upkeep_checkpoints(broker, now_ms);
	kbr_log_env_trim(&broker->env, KBR_UPKEEP_FILE_IDLE_MS);
	kbr_groups_upkeep(broker, now_ms);
	kbr_scrub_run(broker, now_ms);
	kbr_broker_dir_reserve(broker);
	if (!READ_ONCE(broker->dead))
		queue_delayed_work(broker->work_wq, &broker->upkeep,
				   msecs_to_jiffies(kbr_upkeep_pause(broker)));
}
