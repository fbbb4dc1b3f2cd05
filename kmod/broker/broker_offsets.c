// SPDX-License-Identifier: GPL-2.0-only
/*
 * The three offset checkpoints of a broker: read at its start into a table,
 * written from its partitions. Their text is storage/checkpoint.c's.
 */
#include <linux/bsearch.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/sort.h>
#include <linux/srcu.h>

#include "base/kunit.h"
#include "broker/broker.h"
#include "broker/metadata.h"
#include "broker/partition.h"
#include "broker/topic.h"
#include "storage/checkpoint.h"

/* One offset read; entries of one topic share no memory: this lives for a start only */
struct kbr_offset_row {
	char *topic;
	u32 partition;
	s64 offset;
};

struct kbr_offset_table {
	unsigned int count;
	unsigned int size;
	struct kbr_offset_row *rows;
};

static int kbr_offset_row_order(const void *a, const void *b)
{
	const struct kbr_offset_row *left = a, *right = b;
	int order = strcmp(left->topic, right->topic);

	return order ?: (int)(left->partition > right->partition) -
			(int)(left->partition < right->partition);
}

static int kbr_offset_table_add(void *arg, const struct kbr_offset_entry *ent)
{
	struct kbr_offset_table *table = arg;
	struct kbr_offset_row *row;

	if (table->count == table->size) {
		unsigned int size = max(64u, table->size * 2);
		struct kbr_offset_row *rows = kvmalloc_array(size, sizeof(*rows), GFP_KERNEL);

		if (!rows)
			return -ENOMEM;
		if (table->count)
			memcpy(rows, table->rows, table->count * sizeof(*rows));
		kvfree(table->rows);
		table->rows = rows;
		table->size = size;
	}
	row = &table->rows[table->count];
	row->topic = kstrdup(ent->topic, GFP_KERNEL);
	if (!row->topic)
		return -ENOMEM;
	row->partition = ent->partition;
	row->offset = ent->offset;
	table->count++;
	return 0;
}

void kbr_offset_table_free(struct kbr_offset_table *table)
{
	unsigned int i;

	if (!table)
		return;
	for (i = 0; i < table->count; i++)
		kfree(table->rows[i].topic);
	kvfree(table->rows);
	kfree(table);
}

/**
 * kbr_offset_table_read() - read a checkpoint
 * @dir: broker directory
 * @path: checkpoint
 * @out: result; kbr_offset_table_free() it
 *
 * A file that is missing or damaged gives an empty table: less is known then,
 * and recovery reads more. Return: 0; -ENOMEM; -EPROTONOSUPPORT a newer
 * version.
 */
int kbr_offset_table_read(struct kbr_dir *dir, const char *path, struct kbr_offset_table **out)
{
	struct kbr_offset_table *table = kzalloc(sizeof(*table), GFP_KERNEL);
	unsigned int i;
	int err;

	if (!table)
		return -ENOMEM;
	err = kbr_checkpoint_read_offsets(dir, path, kbr_offset_table_add, table);
	if (err == -ENOMEM || err == -EPROTONOSUPPORT) {
		kbr_offset_table_free(table);
		return err;
	}
	if (err) {
		for (i = 0; i < table->count; i++)
			kfree(table->rows[i].topic);
		table->count = 0;
	}
	if (table->count)
		sort(table->rows, table->count, sizeof(*table->rows), kbr_offset_row_order, NULL);
	*out = table;
	return 0;
}

s64 kbr_offset_table_find(const struct kbr_offset_table *table, const char *topic, u32 partition)
{
	struct kbr_offset_row key = { .topic = (char *)topic, .partition = partition };
	const struct kbr_offset_row *row;

	if (!table || !table->count)
		return 0;
	row = bsearch(&key, table->rows, table->count, sizeof(key), kbr_offset_row_order);
	return row ? max(row->offset, 0LL) : 0;
}

/* ---- write ---- */

/* A walk over all partitions, the metadata log first */
struct kbr_offset_walk {
	struct kbr_broker *broker;
	struct kbr_topic *topic;
	unsigned int index;
	bool begun;
	s64 (*offset)(struct kbr_partition *part);
	s64 (*of_log)(struct kbr_log *log);
};

static int kbr_offset_walk_next(void *arg, struct kbr_offset_entry *ent)
{
	struct kbr_offset_walk *walk = arg;
	struct kbr_partition *part;

	if (!walk->begun) {
		walk->begun = true;
		walk->topic = kbr_topic_next(walk->broker, NULL);
		if (kbr_metadata_log(walk->broker)) {
			ent->topic = KBR_METADATA_TOPIC;
			ent->partition = 0;
			ent->offset = walk->of_log(kbr_metadata_log(walk->broker));
			return 1;
		}
	}
	while (walk->topic) {
		part = kbr_topic_partition(walk->topic, walk->index);
		if (!part || READ_ONCE(walk->topic->state) >= KBR_TOPIC_DELETING) {
			walk->topic = kbr_topic_walk_next(walk->broker, walk->topic);
			walk->index = 0;
			continue;
		}
		walk->index++;
		ent->offset = walk->offset(part);
		if (ent->offset < 0)
			continue;
		ent->topic = walk->topic->name;
		ent->partition = part->index;
		return 1;
	}
	return 0;
}

static int kbr_offsets_write(struct kbr_broker *broker, const char *path,
			     s64 (*offset)(struct kbr_partition *part),
			     s64 (*of_log)(struct kbr_log *log))
{
	struct kbr_offset_walk walk = {
		.broker = broker,
		.offset = offset,
		.of_log = of_log,
	};
	int err = kbr_checkpoint_write_offsets(broker->dir, path, kbr_offset_walk_next, &walk);

	kbr_topic_put(walk.topic);
	return err;
}

/*
 * Has @part no log that anything could be said of? What the one before has
 * promised does not hold for one that is copied anew.
 */
static bool kbr_offset_is_void(const struct kbr_partition *part)
{
	switch (READ_ONCE(part->state)) {
	case KBR_PARTITION_OFFLINE:
	case KBR_PARTITION_REMOTE:
		return true;
	default:
		return false;
	}
}

static s64 kbr_offset_recovery(struct kbr_partition *part)
{
	struct kbr_broker *broker = part->topic->broker;
	s64 offset = -1;
	int idx;

	/*
	 * kbr_log_checkpoint() uses the log; a closed one, and one that could not
	 * be opened, only remembers. A recovery point that is forgotten lets the
	 * next start take damage for a torn tail.
	 */
	idx = srcu_read_lock(&broker->io);
	if (READ_ONCE(part->opened) && !kbr_topic_gone(part->topic))
		offset = kbr_log_checkpoint(&part->log);
	else if (!kbr_offset_is_void(part))
		offset = kbr_log_recovery_point(&part->log);
	srcu_read_unlock(&broker->io, idx);
	return offset;
}

static s64 kbr_offset_start(struct kbr_partition *part)
{
	s64 start = kbr_log_start_checkpoint(&part->log);

	/* As Kafka does: only where delete-records or retention moved it. */
	return start > 0 && !kbr_offset_is_void(part) ? start : -1;
}

static s64 kbr_offset_hw(struct kbr_partition *part)
{
	return kbr_offset_is_void(part) ? -1 : kbr_partition_hw(part);
}

static s64 kbr_offset_log_recovery(struct kbr_log *log)
{
	return kbr_log_checkpoint(log);
}

static s64 kbr_offset_log_start(struct kbr_log *log)
{
	return kbr_log_start(log);
}

static s64 kbr_offset_log_synced(struct kbr_log *log)
{
	return kbr_log_synced(log);
}

int kbr_broker_write_checkpoints(struct kbr_broker *broker)
{
	int err;

	mutex_lock(&broker->checkpoint_lock);
	atomic_set(&broker->checkpoints_due, 0);
	/* a topic deleted from here on may be among what is written: it sets it again */
	WRITE_ONCE(broker->checkpoints_stale, false);
	/* First: what is below a log's start need not be durable, so it must not be vouched for. */
	err = kbr_offsets_write(broker, KBR_START_CHECKPOINT, kbr_offset_start,
				kbr_offset_log_start);
	if (!err)
		err = kbr_offsets_write(broker, KBR_RECOVERY_CHECKPOINT, kbr_offset_recovery,
					kbr_offset_log_recovery);
	if (!err)
		err = kbr_offsets_write(broker, KBR_HW_CHECKPOINT, kbr_offset_hw,
					kbr_offset_log_synced);
	if (err) {
		atomic_set(&broker->checkpoints_due, 1);
		WRITE_ONCE(broker->checkpoints_stale, true);
	}
	mutex_unlock(&broker->checkpoint_lock);
	return err;
}
KBR_EXPORT_IF_KUNIT(kbr_broker_write_checkpoints);

int kbr_broker_refresh_checkpoints(struct kbr_broker *broker)
{
	return READ_ONCE(broker->checkpoints_stale) ? kbr_broker_write_checkpoints(broker) : 0;
}
