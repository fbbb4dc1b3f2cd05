// SPDX-License-Identifier: GPL-2.0-only
/*
 * A partition's life: made, opened after a start, stopped by damage, repaired
 * after a failed sync, retired. What happens in between is in partition.c.
 */
#define pr_fmt(fmt) "kbroker: " fmt

#include <linux/printk.h>
#include <linux/ratelimit.h>
#include <linux/slab.h>
#include <linux/srcu.h>

#include "base/kunit.h"
#include "broker/cluster.h"
#include "broker/event.h"
#include "broker/partition.h"
#include "broker/replica.h"
#include "broker/request.h"

static struct kmem_cache *kbr_partition_cache;

static void kbr_partition_repair_work(struct work_struct *work);

int kbr_partition_init(void)
{
	/* A cache of its own: tens of thousands, and kmalloc rounds up far. */
	kbr_partition_cache = KMEM_CACHE(kbr_partition, SLAB_ACCOUNT);
	return kbr_partition_cache ? 0 : -ENOMEM;
}

void kbr_partition_exit(void)
{
	kmem_cache_destroy(kbr_partition_cache);
}

struct kbr_partition *kbr_partition_alloc(struct kbr_topic *topic, u32 index)
{
	struct kbr_partition *part = kmem_cache_zalloc(kbr_partition_cache, GFP_KERNEL);

	if (!part)
		return NULL;
	part->topic = topic;
	part->index = index;
	part->state = KBR_PARTITION_OFFLINE;
	part->damaged = -1;
	init_waitqueue_head(&part->wait);
	INIT_WORK(&part->repair, kbr_partition_repair_work);
	if (kbr_cluster_is_member(topic->broker)) {
		part->state = KBR_PARTITION_REMOTE;
		if (kbr_replica_alloc(part)) {
			kmem_cache_free(kbr_partition_cache, part);
			return NULL;
		}
	}
	return part;
}

void kbr_partition_free(struct kbr_partition *part)
{
	WARN_ON_ONCE(part->opened);
	kbr_replica_free(part);
	kmem_cache_free(kbr_partition_cache, part);
}

void kbr_partition_name(const struct kbr_partition *part, char *name)
{
	snprintf(name, KBR_PARTITION_NAME_SIZE, "%s-%u", part->topic->name, part->index);
}

const char *kbr_partition_state_name(enum kbr_partition_state state)
{
	static const char * const names[] = {
		[KBR_PARTITION_OFFLINE] = "offline",
		[KBR_PARTITION_LEADER] = "leader",
		[KBR_PARTITION_REPAIRING] = "repairing",
		[KBR_PARTITION_FAILED] = "failed",
		[KBR_PARTITION_DELETED] = "deleted",
		[KBR_PARTITION_FOLLOWER] = "follower",
		[KBR_PARTITION_REMOTE] = "remote",
	};

	return state < ARRAY_SIZE(names) ? names[state] : "unknown";
}

void kbr_partition_raise(struct kbr_partition *part)
{
	struct kbr_broker *broker = part->topic->broker;
	struct kbr_event event = {
		.kind = KBR_EVENT_PARTITION,
		.broker = broker,
		.topic = part->topic,
		.part = part,
	};

	kbr_event_raise(broker->knet, &event);
}

int kbr_partition_create(struct kbr_partition *part)
{
	struct kbr_topic *topic = part->topic;
	char name[KBR_PARTITION_NAME_SIZE];
	int err;

	kbr_partition_name(part, name);
	err = kbr_log_make(&part->log, &topic->broker->env, name, topic->id, &topic->config.log, 0);
	if (err)
		return err;
	if (part->log.epoch < 0) {
		err = kbr_log_set_epoch(&part->log, 0);
		if (err) {
			kbr_log_delete(&part->log);
			return err;
		}
	}
	WRITE_ONCE(part->opened, true);
	WRITE_ONCE(part->state, KBR_PARTITION_LEADER);
	return 0;
}

/* What recovery did, in one line; nothing after a clean stop. */
static void kbr_partition_report(const char *name, const struct kbr_partition *part,
				 const struct kbr_log_report *report)
{
	const char *broker = part->topic->broker->name;

	if (report->damaged_offset >= 0)
		pr_err("%s: %s: damaged at offset %lld, below what was synced: stopped there\n",
		       broker, name, report->damaged_offset);
	else if (report->cut_bytes || report->removed_segments)
		pr_info("%s: %s: recovered: read %llu bytes, cut a torn tail of %llu bytes at offset %lld, log end is %lld\n",
			broker, name, report->scanned_bytes, report->cut_bytes, report->cut_offset,
			kbr_log_end(&part->log));
	else if (report->scanned_bytes)
		pr_info("%s: %s: recovered: read %llu bytes, nothing was torn, log end is %lld\n",
			broker, name, report->scanned_bytes, kbr_log_end(&part->log));
}

/* What recovery found may be in the page cache only: readers see it once it is durable. */
static int kbr_partition_settle(struct kbr_partition *part, s64 hw)
{
	struct kbr_log *log = &part->log;

	if (kbr_log_synced(log) < kbr_log_end(log)) {
		kbr_log_request_sync(log, 1);
		kbr_syncer_flush(log->env->syncer, &log->sync);
		if (kbr_log_synced(log) < kbr_log_end(log))
			return -EIO;
	}
	/* A member's may be cut yet, above what was committed. */
	hw = part->replicas ? clamp(hw, kbr_log_start(log), kbr_log_end(log)) : kbr_log_end(log);
	smp_store_release(&part->hw, hw);	/* pairs with kbr_partition_hw() */
	return 0;
}

int kbr_partition_open(struct kbr_partition *part, bool clean, s64 recovery_point, s64 start,
		       s64 hw, struct kbr_log_report *report)
{
	struct kbr_topic *topic = part->topic;
	struct kbr_log_env *env = &topic->broker->env;
	char name[KBR_PARTITION_NAME_SIZE];
	int err;

	kbr_partition_name(part, name);
	memset(report, 0, sizeof(*report));
	report->damaged_offset = -1;
	err = kbr_log_open(&part->log, env, name, topic->id, &topic->config.log, clean,
			   recovery_point, start, report);
	if (err == -ENOENT && part->replicas) {
		if (recovery_point <= 0 && hw <= 0) {
			/* no replica is here, until one is asked for */
			part->replicas->absent = true;
			return 0;
		}
		err = -ENODATA;		/* it was here: others may count on what it had */
	}
	if (err == -ENOENT && recovery_point <= 0) {
		pr_info("%s: %s: was not there yet, made\n", topic->broker->name, name);
		err = kbr_log_create(&part->log, env, name, topic->id, &topic->config.log, 0);
	}
	if (err)
		goto failed;
	WRITE_ONCE(part->opened, true);
	kbr_partition_report(name, part, report);
	if (report->damaged_offset >= 0) {
		part->hw = kbr_log_end(&part->log);
		kbr_partition_fail(part, -EBADMSG, report->damaged_offset);
		return 0;
	}
	/* What was appended and lost must not share an epoch with what comes. */
	if (part->replicas)
		kbr_log_stop_leading(&part->log);
	else if (!clean || part->log.epoch < 0)
		err = kbr_log_set_epoch(&part->log, max(kbr_log_last_epoch(&part->log) + 1, 0));
	if (!err)
		err = kbr_partition_settle(part, hw);
	if (err)
		goto failed;
	WRITE_ONCE(part->state, part->replicas ? KBR_PARTITION_FOLLOWER : KBR_PARTITION_LEADER);
	return 0;

failed:
	pr_err("%s: %s: can't be opened (%d): it is offline, the others run\n",
	       topic->broker->name, name, err);
	kbr_partition_fail(part, err, -1);
	return err;
}

void kbr_partition_fail(struct kbr_partition *part, int err, s64 damaged)
{
	WRITE_ONCE(part->error, err);
	WRITE_ONCE(part->damaged, damaged);
	WRITE_ONCE(part->state, KBR_PARTITION_FAILED);
	kbr_partition_wake(part);
	wake_up_all(&part->topic->wait);
}
KBR_EXPORT_IF_KUNIT(kbr_partition_fail);

/*
 * The log was read back from the disk: what is there is durable. What an
 * async topic had shown beyond it is gone, and that is said; a follower
 * fetches it again.
 */
static void kbr_partition_repaired(struct kbr_partition *part)
{
	struct kbr_broker *broker = part->topic->broker;
	s64 end = kbr_log_end(&part->log), hw = READ_ONCE(part->hw);
	bool led = kbr_replica_leads(part);

	if (hw > end && led) {
		atomic64_add(hw - end, &broker->lost_records);
		pr_err_ratelimited("%s: %s-%u: the disk lost acknowledged records %lld to %lld (flush.policy=async); goes on at %lld\n",
				   broker->name, part->topic->name, part->index, end, hw - 1, end);
	} else {
		pr_info_ratelimited("%s: %s-%u: read back from the disk, goes on at offset %lld\n",
				    broker->name, part->topic->name, part->index, end);
	}
	if (hw > end || !part->replicas)
		smp_store_release(&part->hw, end);	/* pairs with kbr_partition_hw() */
	WRITE_ONCE(part->error, 0);
	WRITE_ONCE(part->state, part->replicas ? KBR_PARTITION_FOLLOWER : KBR_PARTITION_LEADER);
	/* Followers may have what the disk has not: it leads again in another epoch, or not at all. */
	if (part->replicas)
		kbr_replica_resign(part);
}

static void kbr_partition_repair_work(struct work_struct *work)
{
	struct kbr_partition *part = container_of(work, struct kbr_partition, repair);
	struct kbr_broker *broker = part->topic->broker;
	s64 lost = -1;
	int idx, err;

	idx = srcu_read_lock(&broker->io);
	if (kbr_topic_gone(part->topic) || READ_ONCE(part->state) != KBR_PARTITION_REPAIRING)
		goto out;
	pr_err_ratelimited("%s: %s-%u: a sync failed (%d): stopped, reads back what the disk has\n",
			   broker->name, part->topic->name, part->index, READ_ONCE(part->error));
	err = kbr_log_repair(&part->log, &lost);
	if (!err && part->replicas)
		kbr_log_stop_leading(&part->log);
	else if (!err)
		err = kbr_log_set_epoch(&part->log, part->log.epoch + 1);
	if (!err) {
		kbr_partition_repaired(part);
	} else if (err == -EBADMSG) {
		pr_err("%s: %s-%u: the disk lost what was synced: stopped at offset %lld\n",
		       broker->name, part->topic->name, part->index, kbr_log_end(&part->log));
		kbr_partition_fail(part, err, kbr_log_end(&part->log));
		kbr_replica_give_up(part);
	} else {
		/* The disk does not answer yet: upkeep tries again. */
		pr_err_ratelimited("%s: %s-%u: can't be read back (%d), tries again\n",
				   broker->name, part->topic->name, part->index, err);
		goto out;
	}
	kbr_partition_wake(part);
	wake_up_all(&part->topic->wait);
	kbr_broker_room_made(broker);
	kbr_partition_raise(part);
out:
	srcu_read_unlock(&broker->io, idx);
}

void kbr_partition_quiesce(struct kbr_partition *part, enum kbr_partition_state state)
{
	kbr_partition_set_role(part, state);
	/* After it nobody is in an append that the old role allowed. */
	if (READ_ONCE(part->opened))
		kbr_log_stop_leading(&part->log);
	kbr_partition_wake(part);
}
KBR_EXPORT_IF_KUNIT(kbr_partition_quiesce);

void kbr_partition_set_role(struct kbr_partition *part, enum kbr_partition_state state)
{
	u8 now = READ_ONCE(part->state);

	if (now != KBR_PARTITION_FAILED && now != KBR_PARTITION_REPAIRING)
		WRITE_ONCE(part->state, state);
}

int kbr_partition_join(struct kbr_partition *part)
{
	struct kbr_topic *topic = part->topic;
	char name[KBR_PARTITION_NAME_SIZE];
	int err;

	kbr_partition_name(part, name);
	err = kbr_log_make(&part->log, &topic->broker->env, name, topic->id, &topic->config.log, 0);
	if (err)
		return err;
	kbr_log_stop_leading(&part->log);
	WRITE_ONCE(part->error, 0);
	WRITE_ONCE(part->damaged, -1);
	/* Who still waits for a record of the log that was here before is not to wait for this one's. */
	kbr_partition_cutting(part, 0);
	WRITE_ONCE(part->state, KBR_PARTITION_FOLLOWER);
	WRITE_ONCE(part->opened, true);
	return 0;
}

void kbr_partition_remove(struct kbr_partition *part)
{
	struct kbr_broker *broker = part->topic->broker;
	int err;

	if (!READ_ONCE(part->opened))
		return;
	WRITE_ONCE(part->opened, false);
	WRITE_ONCE(part->state, KBR_PARTITION_REMOTE);
	kbr_partition_wake(part);
	/* Readers, syncs and repairs that saw it open are over then. */
	synchronize_srcu(&broker->io);
	kbr_partition_retire(part);
	err = kbr_log_discard(&part->log);
	if (err)
		pr_warn_ratelimited("%s: %s-%u: its files could not be removed (%d); the next start tries again\n",
				    broker->name, part->topic->name, part->index, err);
	WRITE_ONCE(part->state, KBR_PARTITION_REMOTE);
	atomic_set(&broker->checkpoints_due, 1);
	WRITE_ONCE(broker->checkpoints_stale, true);
}

int kbr_partition_clear(struct kbr_partition *part)
{
	struct kbr_broker *broker = part->topic->broker;
	char name[KBR_PARTITION_NAME_SIZE];
	int err;

	if (READ_ONCE(part->opened)) {
		kbr_partition_remove(part);
		return 0;
	}
	if (READ_ONCE(part->state) != KBR_PARTITION_FAILED)
		return 0;
	kbr_partition_name(part, name);
	err = kbr_log_discard_unopened(broker->dir, name);
	if (err)
		return err;
	WRITE_ONCE(part->state, KBR_PARTITION_REMOTE);
	atomic_set(&broker->checkpoints_due, 1);
	WRITE_ONCE(broker->checkpoints_stale, true);
	return 0;
}

bool kbr_partition_is_lost(const struct kbr_partition *part)
{
	if (likely(READ_ONCE(part->state) != KBR_PARTITION_FAILED))
		return false;
	switch (READ_ONCE(part->error)) {
	case -EBADMSG:
	case -ENODATA:
	case -EIO:
	case -EUCLEAN:
		return true;
	default:
		return false;
	}
}
KBR_EXPORT_IF_KUNIT(kbr_partition_is_lost);

void kbr_partition_retire(struct kbr_partition *part)
{
	kbr_replica_unfollow(part);
	cancel_work_sync(&part->repair);
}

int kbr_partition_delete_records(struct kbr_partition *part, s64 offset)
{
	struct kbr_broker *broker = part->topic->broker;
	s64 hw, damaged;
	int idx, err;

	idx = srcu_read_lock(&broker->io);
	err = -ENODEV;
	if (kbr_topic_gone(part->topic))
		goto out;
	err = -EIO;
	if (!READ_ONCE(part->opened))
		goto out;
	hw = kbr_partition_hw(part);
	if (offset < 0)
		offset = hw;
	err = -ERANGE;
	if (offset > hw)
		goto out;
	err = kbr_log_set_start(&part->log, offset);
	if (err)
		goto out;
	damaged = READ_ONCE(part->damaged);
	if (damaged >= 0 && offset >= part->damaged_end && !READ_ONCE(part->log.stopped)) {
		/* The damage is no longer part of the log. */
		WRITE_ONCE(part->damaged, -1);
		WRITE_ONCE(part->error, 0);
		WRITE_ONCE(part->state, kbr_replica_leads(part) ? KBR_PARTITION_LEADER :
								  KBR_PARTITION_FOLLOWER);
		kbr_replica_found(part);
	}
	atomic_set(&broker->checkpoints_due, 1);
out:
	srcu_read_unlock(&broker->io, idx);
	return err;
}
KBR_EXPORT_IF_KUNIT(kbr_partition_delete_records);
