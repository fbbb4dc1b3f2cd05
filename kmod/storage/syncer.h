/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Group commit: one slow disk sync serves every writer that waits, across
 * the partitions of one broker.
 *
 * A log with bytes that somebody waits for registers here. One worker per
 * broker takes all registered logs, waits an adaptive moment for the writers
 * of the previous round to join (only if more than one did), notes each log's
 * end, writes all back, syncs once (kbr_file_sync_many()) and tells each log
 * up to where it is durable.
 */
#ifndef _KBR_STORAGE_SYNCER_H
#define _KBR_STORAGE_SYNCER_H

#include <linux/list.h>
#include <linux/types.h>
#include "storage/file.h"

struct kbr_syncer;

/**
 * struct kbr_sync_target - embedded in what can be synced (a log)
 *
 * Belongs to the syncer from kbr_sync_target_init() to kbr_syncer_remove().
 *
 * @node: on the syncer's queue or in its round (syncer's lock)
 * @waiters: writers that joined since the last round (syncer's lock)
 * @begun: rounds that included it (syncer's lock)
 * @ended: of them, those that are over (syncer's lock)
 * @err: result of the round under way; the worker's own
 * @queued: to be in the next round (syncer's lock)
 * @busy: a round that includes it is running (syncer's lock)
 * @ops: how to reach it
 */
struct kbr_sync_target {
	struct list_head node;
	unsigned int waiters;
	u32 begun;
	u32 ended;
	int err;
	bool queued;
	bool busy;
	const struct kbr_sync_ops *ops;
};

/**
 * struct kbr_sync_ops - what the syncer asks of a target, from its worker
 * @collect: note the present end and give the files that must be durable for
 *	it: up to @max, with a reference each; returns how many (0: nothing to
 *	do), or a negative errno (of this call: files given by earlier calls of
 *	the round are still synced). Called again in the same round until it
 *	returns fewer than @max. Takes no lock that is held over I/O for long.
 * @done: the noted end is durable (@err 0) or the sync failed; drops the
 *	references of the files given by @collect. Once a round. May request
 *	another round of the target, but neither flush nor remove it.
 */
struct kbr_sync_ops {
	int (*collect)(struct kbr_sync_target *target, struct kbr_file **files, unsigned int max);
	void (*done)(struct kbr_sync_target *target, int err);
};

/**
 * struct kbr_syncer_stats - for "broker describe" and the benchmarks
 * @rounds: rounds that had files to sync
 * @files: files synced
 * @waiters: writers served
 * @errors: targets whose sync failed
 * @usecs: time spent in syncing
 */
struct kbr_syncer_stats {
	u64 rounds;
	u64 files;
	u64 waiters;
	u64 errors;
	u64 usecs;
};

/**
 * struct kbr_sync_habit - what the leader knows of the writers it serves
 * @patient: they all come back together: wait longer for them
 * @rounds: noted since it was decided last
 * @served: writers that those served
 * @late: writers that came meanwhile
 * @pause: how long patience is not tried for after it was in vain
 * @paused: how much of @pause is over
 */
struct kbr_sync_habit {
	bool patient;
	unsigned int rounds;
	unsigned int served;
	unsigned int late;
	unsigned int pause;
	unsigned int paused;
};

void kbr_sync_habit_note(struct kbr_sync_habit *habit, unsigned int served, unsigned int late);

/** kbr_syncer_create() - one per broker; NULL on -ENOMEM */
struct kbr_syncer *kbr_syncer_create(struct kbr_dir *dir, const char *name);
/** kbr_syncer_destroy() - finishes the round under way; no target may be registered afterwards */
void kbr_syncer_destroy(struct kbr_syncer *syncer);

void kbr_sync_target_init(struct kbr_sync_target *target, const struct kbr_sync_ops *ops);
/**
 * kbr_syncer_request() - have @target synced soon
 * @waiters: how many more writers will wait for it; 0: nobody, no hurry
 *
 * Context: any that may take a spinlock.
 */
void kbr_syncer_request(struct kbr_syncer *syncer, struct kbr_sync_target *target, unsigned int waiters);
/** kbr_syncer_flush() - sync @target now if it is queued and wait until no round touches it */
void kbr_syncer_flush(struct kbr_syncer *syncer, struct kbr_sync_target *target);
/** kbr_syncer_remove() - forget @target; waits for a round that touches it */
void kbr_syncer_remove(struct kbr_syncer *syncer, struct kbr_sync_target *target);
void kbr_syncer_get_stats(struct kbr_syncer *syncer, struct kbr_syncer_stats *stats);

#endif /* _KBR_STORAGE_SYNCER_H */
