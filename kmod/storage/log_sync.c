// SPDX-License-Identifier: GPL-2.0-only
/*
 * Making a log durable: the syncer's rounds over its data, checkpoints over
 * its indexes, snapshots and epochs, and repair after a failed sync.
 *
 * A round notes the end and how far each segment with unsynced bytes is
 * filled, has the files synced, and moves the synced end. Segments with
 * unsynced bytes are on log->dirty with their open files pinned: a file closed
 * before its sync could have lost an error.
 */
#include <linux/err.h>
#include <linux/kernel.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/sched.h>
#include <linux/slab.h>

#include "base/clock.h"
#include "base/kunit.h"
#include "storage/checkpoint.h"
#include "storage/found.h"
#include "storage/log_internal.h"

/* Files synced with one call when no syncer does it */
#define KBR_LOG_SYNC_FILES	16
/* Bytes appended after which a checkpoint takes a producer snapshot */
#define KBR_LOG_SNAPSHOT_BYTES	(16U << 20)
/* Bytes read at once to check what the disk has kept */
#define KBR_LOG_REPAIR_CHUNK	(256U << 10)

static struct kbr_log *kbr_log_of_target(struct kbr_sync_target *target)
{
	return container_of(target, struct kbr_log, sync);
}

void kbr_log_request_sync(struct kbr_log *log, unsigned int waiters)
{
	if (log->env->syncer)
		kbr_syncer_request(log->env->syncer, &log->sync, waiters);
}
KBR_EXPORT_IF_KUNIT(kbr_log_request_sync);

static void kbr_log_begin_round(struct kbr_log *log)
{
	struct kbr_segment *seg;

	lockdep_assert_held(&log->tail.lock);
	log->round = 0;
	log->noted = log->end;
	log->noted_base = log->tail_base;
	log->noted_pos = log->borders[(log->borders_at - 1) % KBR_LOG_BORDERS].pos;
	list_for_each_entry(seg, &log->dirty, dirty) {
		seg->collecting = true;
		seg->collected = seg->size;
		seg->cut_collected = seg->cut_back;
		seg->cut_back = false;
	}
}

static int kbr_log_collect_files(struct kbr_log *log, struct kbr_file **files, unsigned int max)
{
	struct kbr_segment *seg;
	int n = 0, skip;

	write_seqlock(&log->tail);
	if (log->round < 0)
		kbr_log_begin_round(log);
	skip = log->round;
	list_for_each_entry(seg, &log->dirty, dirty) {
		if (n == max)
			break;
		/* pinned while it is on the list, and kept there until the round ends */
		if (seg->collecting && skip-- <= 0)
			files[n++] = seg->pin->log;
	}
	log->round += n;
	if (!log->round)
		log->round = -1;	/* nothing to do: there is no round to end */
	write_sequnlock(&log->tail);
	return n;
}

static int kbr_log_collect(struct kbr_sync_target *target, struct kbr_file **files,
			   unsigned int max)
{
	struct kbr_log *log = kbr_log_of_target(target);

	/* also while a repair syncs: its round is none of the syncer's */
	return READ_ONCE(log->stopped) ?: kbr_log_collect_files(log, files, max);
}

/* one segment whose bytes are all durable now, or that has left the log; NULL when there is none */
static struct kbr_segment *kbr_log_take_clean(struct kbr_log *log, struct kbr_files **pin)
{
	struct kbr_segment *seg;

	lockdep_assert_held(&log->tail.lock);
	list_for_each_entry(seg, &log->dirty, dirty) {
		if (seg->collecting || (!READ_ONCE(seg->removed) &&
					(seg->cut_back || seg->synced < seg->size)))
			continue;
		list_del_init(&seg->dirty);
		*pin = seg->pin;
		seg->pin = NULL;
		return seg;
	}
	return NULL;
}

static void kbr_log_release_clean(struct kbr_log *log)
{
	struct kbr_segment *seg;
	struct kbr_files *pin;

	do {
		write_seqlock(&log->tail);
		seg = kbr_log_take_clean(log, &pin);
		write_sequnlock(&log->tail);
		if (seg) {
			kbr_files_put(pin);
			kbr_segment_put(seg);
		}
	} while (seg);
}

static void kbr_log_publish_synced(struct kbr_log *log, s64 synced, s64 base, u32 pos)
{
	lockdep_assert_held(&log->tail.lock);
	if (synced <= log->synced)
		return;
	log->synced_base = base;
	log->synced_pos = pos;
	smp_store_release(&log->synced, synced);	/* (C) */
}

static void kbr_log_end_round(struct kbr_log *log, int err)
{
	struct kbr_segment *seg;
	u64 bytes = 0;

	write_seqlock(&log->tail);
	list_for_each_entry(seg, &log->dirty, dirty) {
		if (!seg->collecting)
			continue;
		seg->collecting = false;
		if (err)
			seg->cut_back |= seg->cut_collected;
		if (err || seg->collected <= seg->synced || READ_ONCE(seg->removed))
			continue;
		bytes += seg->collected - seg->synced;
		seg->synced = seg->collected;
	}
	if (err && !log->stopped)
		WRITE_ONCE(log->stopped, -EIO);
	if (!err && log->round >= 0)
		kbr_log_publish_synced(log, log->noted, log->noted_base, log->noted_pos);
	log->round = -1;
	log->noted = -1;
	log->unsynced_bytes -= bytes;
	write_sequnlock(&log->tail);
	atomic64_sub(bytes, &log->env->unsynced_bytes);
	kbr_log_release_clean(log);
}

static void kbr_log_sync_done(struct kbr_sync_target *target, int err)
{
	struct kbr_log *log = kbr_log_of_target(target);

	kbr_log_end_round(log, err);
	if (log->env->synced)
		log->env->synced(log, err);
}

const struct kbr_sync_ops kbr_log_sync_ops = {
	.collect = kbr_log_collect,
	.done = kbr_log_sync_done,
};

int kbr_log_sync_now(struct kbr_log *log)
{
	struct kbr_file *files[KBR_LOG_SYNC_FILES];
	int errs[KBR_LOG_SYNC_FILES];
	int n, err = 0, ret;

	do {
		n = kbr_log_collect_files(log, files, ARRAY_SIZE(files));
		ret = n ? kbr_file_sync_many(log->env->dir, files, errs, n) : 0;
		err = err ?: ret;
	} while (n == ARRAY_SIZE(files));
	kbr_log_end_round(log, err);
	return err;
}
KBR_EXPORT_IF_KUNIT(kbr_log_sync_now);

void kbr_log_forget_unsynced_locked(struct kbr_log *log, struct kbr_segment *seg)
{
	u64 bytes;

	lockdep_assert_held(&log->lock);
	write_seqlock(&log->tail);
	bytes = seg->size - seg->synced;
	seg->synced = seg->size;
	seg->cut_back = false;
	seg->cut_collected = false;
	log->unsynced_bytes -= bytes;
	write_sequnlock(&log->tail);
	atomic64_sub(bytes, &log->env->unsynced_bytes);
	/* a running round lets go of it when it ends */
	kbr_log_release_clean(log);
}

void kbr_log_clamp_synced_locked(struct kbr_log *log, struct kbr_segment *seg, s64 offset, u32 pos)
{
	s64 bytes;

	lockdep_assert_held(&log->lock);
	write_seqlock(&log->tail);
	bytes = (s64)seg->size - seg->synced;
	smp_store_release(&seg->size, pos);		/* (D) */
	seg->synced = min(seg->synced, pos);
	bytes -= (s64)seg->size - seg->synced;
	/* what a running round covers behind the cut may be other bytes by its end */
	if (seg->collecting)
		seg->collected = min(seg->collected, pos);
	if (log->noted > offset) {
		log->noted = offset;
		log->noted_base = seg->base;
		log->noted_pos = pos;
	}
	if (log->synced > offset) {
		log->synced_base = seg->base;
		log->synced_pos = pos;
		smp_store_release(&log->synced, offset);	/* (C) */
	}
	log->unsynced_bytes -= bytes;
	write_sequnlock(&log->tail);
	atomic64_sub(bytes, &log->env->unsynced_bytes);
	if (log->checkpoint > offset)
		WRITE_ONCE(log->checkpoint, offset);
}

void kbr_log_skip_synced_locked(struct kbr_log *log, s64 base)
{
	lockdep_assert_held(&log->lock);
	write_seqlock(&log->tail);
	kbr_log_publish_synced(log, base, S64_MIN, 0);
	write_sequnlock(&log->tail);
}

static bool kbr_log_segment_begins(struct kbr_log *log, s64 offset)
{
	struct kbr_segment *seg;
	bool begins;
	s64 next;

	seg = kbr_log_segment_get(log, offset, &next);
	begins = seg && seg->base == offset;
	if (seg)
		kbr_segment_put(seg);
	return begins;
}

int kbr_log_write_snapshot_locked(struct kbr_log *log)
{
	struct kbr_file *file;
	size_t len;
	void *buf;
	char *path;
	int err;

	lockdep_assert_held(&log->lock);
	/* written again it could be torn, and removed segments may rest on it */
	if (log->snapshot == log->end)
		return 0;
	err = kbr_producer_encode(log->producers, &buf, &len);
	if (err)
		return err;
	path = kbr_segment_path(log, log->end, KBR_SUFFIX_SNAPSHOT);
	err = path ? kbr_file_open(log->env->dir, path, KBR_FILE_CREATE | KBR_FILE_TRUNC, &file)
		   : -ENOMEM;
	kfree(path);
	if (!err) {
		err = kbr_file_write(file, buf, len, 0);
		kbr_file_close(file);
	}
	if (!err) {
		if (log->snapshot >= 0 && !kbr_log_segment_begins(log, log->snapshot))
			log->snapshots_stale = true;
		log->snapshot = log->end;
		log->snapshot_behind = 0;
	}
	kvfree(buf);
	return err;
}

static int kbr_log_sync_snapshot_file(struct kbr_log *log, s64 offset)
{
	struct kbr_file *file;
	char *path;
	int err;

	path = kbr_segment_path(log, offset, KBR_SUFFIX_SNAPSHOT);
	if (!path)
		return -ENOMEM;
	err = kbr_file_open(log->env->dir, path, 0, &file);
	kfree(path);
	if (err)
		return err;
	err = kbr_file_sync(file);
	kbr_file_close(file);
	return err ?: kbr_dir_sync(log->env->dir, log->name);
}

int kbr_log_sync_snapshot(struct kbr_log *log, s64 offset)
{
	u32 generation;
	bool durable;
	int err;

	mutex_lock(&log->lock);
	generation = log->generation;
	durable = offset == log->snapshot_durable;
	mutex_unlock(&log->lock);
	if (durable)
		return 0;
	err = kbr_log_sync_snapshot_file(log, offset);
	mutex_lock(&log->lock);
	if (generation != log->generation) {
		/* the log was cut: another one may have that name by now */
	} else if (!err) {
		log->snapshot_durable = max(log->snapshot_durable, offset);
	} else {
		/* What it failed to write no later sync writes: another one must be taken. */
		if (log->snapshot == offset) {
			log->snapshot = -1;
			log->snapshots_stale = true;
		}
		if (log->snapshot_wanted == offset)
			log->snapshot_wanted = -1;
	}
	mutex_unlock(&log->lock);
	return err;
}

int kbr_log_secure_producers(struct kbr_log *log, s64 first)
{
	s64 wanted = -1;
	int err = 0;

	mutex_lock(&log->lock);
	if (kbr_producer_table_count(log->producers)) {
		/* one that this run has written or read: others may be torn */
		if (log->snapshot < first)
			err = kbr_log_write_snapshot_locked(log);
		if (!err && log->snapshot_wanted < first)
			log->snapshot_wanted = log->snapshot;
		wanted = log->snapshot_wanted;
	}
	mutex_unlock(&log->lock);
	if (err || wanted < 0)
		return err;
	/* a crash makes one useless that is ahead of the log's end then */
	if (wanted > kbr_log_synced(log)) {
		kbr_log_request_sync(log, 0);
		return -EAGAIN;
	}
	return kbr_log_sync_snapshot(log, wanted);
}

int kbr_log_write_epochs(struct kbr_log *log)
{
	char *buf, *path;
	size_t len;
	int err;

	mutex_lock(&log->lock);
	err = kbr_epoch_encode(rcu_dereference_protected(log->epochs,
							 lockdep_is_held(&log->lock)), &buf, &len);
	if (!err)
		log->epochs_dirty = false;
	mutex_unlock(&log->lock);
	if (err)
		return err;
	path = kbr_log_path(log, KBR_LOG_EPOCH_FILE);
	err = path ? kbr_checkpoint_replace(log->env->dir, path, buf, len) : -ENOMEM;
	kfree(path);
	kvfree(buf);
	if (err) {
		mutex_lock(&log->lock);
		log->epochs_dirty = true;
		log->meta_dirty = true;
		mutex_unlock(&log->lock);
	}
	return err;
}

static bool kbr_log_mark_meta(struct kbr_segment *seg, bool *meta, bool *snapshot)
{
	*meta = seg->meta_dirty;
	*snapshot = seg->snapshot_dirty;
	seg->meta_dirty = false;
	seg->snapshot_dirty = false;
	return *meta || *snapshot;
}

/* a segment whose indexes or snapshot are newer than on disk, marked clean; NULL when there is none */
static struct kbr_segment *kbr_log_take_meta(struct kbr_log *log, bool *meta, bool *snapshot)
{
	const struct kbr_segment_list *list;
	struct kbr_segment *seg;
	unsigned int i;

	mutex_lock(&log->lock);
	/* a removed one that still has its name would be part of the log after a crash */
	list_for_each_entry(seg, &log->doomed, doomed)
		if (!seg->renamed && kbr_log_mark_meta(seg, meta, snapshot))
			goto found;
	list = kbr_log_list_locked(log);
	for (i = 0; i < list->count; i++) {
		seg = list->seg[i];
		if (kbr_log_mark_meta(seg, meta, snapshot))
			goto found;
	}
	seg = NULL;
found:
	if (seg)
		kref_get(&seg->ref);
	mutex_unlock(&log->lock);
	return seg;
}

static int kbr_log_sync_meta(struct kbr_log *log, struct kbr_segment *seg, bool meta, bool snapshot)
{
	struct kbr_files *files = NULL;
	struct kbr_file *file[2];
	int errs[2], err = 0;

	if (meta) {
		mutex_lock(&log->lock);
		err = kbr_segment_mend_index(log, seg);
		mutex_unlock(&log->lock);
		if (err)
			return err;
		files = kbr_files_get(log, seg);
		if (IS_ERR(files))
			return PTR_ERR(files);
		file[0] = kbr_files_index(log, seg, files);
		file[1] = kbr_files_time(log, seg, files);
		err = PTR_ERR_OR_ZERO(file[0]) ?: PTR_ERR_OR_ZERO(file[1]);
		if (!err) {
			err = kbr_file_sync_many(log->env->dir, file, errs, 2);
			/* what it failed to write is marked clean, and no later sync writes it */
			if (err)
				WRITE_ONCE(seg->index_lost, true);
		}
		kbr_files_put(files);
	}
	if (!err && snapshot) {
		err = kbr_log_sync_snapshot(log, seg->base);
		if (err == -ENOENT)
			err = 0;
	}
	return err;
}

/*
 * Recovery reads batch headers from the newest snapshot on, so one is taken
 * now and then between the rolls, too. Without it there is more to read, that
 * is all.
 */
static void kbr_log_renew_snapshot(struct kbr_log *log)
{
	s64 new;
	int err;

	mutex_lock(&log->lock);
	err = log->snapshot_behind < KBR_LOG_SNAPSHOT_BYTES ? -EAGAIN :
	      kbr_log_write_snapshot_locked(log);
	new = log->snapshot;
	mutex_unlock(&log->lock);
	if (!err)
		kbr_log_sync_snapshot(log, new);
}

/* Nobody needs a snapshot older than the newest, unless a segment begins there. */
static int kbr_log_unlink_snapshots(struct kbr_log *log, s64 newest)
{
	struct kbr_found_all all = { .file = NULL };
	s64 segment = -1;
	size_t i;
	int err;

	err = kbr_found_list(log, &all);
	/* sorted: a segment's log comes before its snapshot */
	for (i = 0; i < all.count && !err; i++) {
		const struct kbr_found *f = &all.file[i];

		if (f->state != KBR_FOUND_LIVE || f->base >= newest)
			continue;
		if (f->kind == KBR_FOUND_LOG)
			segment = f->base;
		else if (f->kind == KBR_FOUND_SNAPSHOT && f->base != segment)
			err = kbr_found_unlink(log, f);
	}
	kvfree(all.file);
	return err;
}

static void kbr_log_drop_stale_snapshots(struct kbr_log *log)
{
	u32 generation;
	bool stale;
	s64 newest;

	mutex_lock(&log->lock);
	generation = log->generation;
	newest = log->snapshot;
	stale = log->snapshots_stale;
	log->snapshots_stale = false;
	mutex_unlock(&log->lock);
	if (!stale)
		return;
	/* one ahead of the synced end may be useless after a crash: the older are kept for that */
	if (newest <= kbr_log_synced(log) && !kbr_log_sync_snapshot(log, newest) &&
	    generation == READ_ONCE(log->generation) && !kbr_log_unlink_snapshots(log, newest))
		return;
	mutex_lock(&log->lock);
	log->snapshots_stale = true;
	mutex_unlock(&log->lock);
}

/* How far the recovery point may go: a start after a crash makes the indexes behind it anew. */
static s64 kbr_log_vouch_locked(struct kbr_log *log, s64 target)
{
	const struct kbr_segment_list *list = kbr_log_list_locked(log);
	unsigned int i;

	for (i = 0; i < list->count; i++)
		if (READ_ONCE(list->seg[i]->index_lost))
			return clamp(list->seg[i]->base, log->checkpoint, target);
	return target;
}

s64 kbr_log_checkpoint(struct kbr_log *log)
{
	u32 generation = READ_ONCE(log->generation);
	s64 target = kbr_log_synced(log);
	struct kbr_segment *seg;
	bool meta, snapshot;
	int err = 0;

	/* a damaged log ends before what it had promised: that promise is kept in mind */
	if (READ_ONCE(log->stopped) == -EBADMSG)
		return kbr_log_recovery_point(log);
	/* in this order: the one before is synced by now, the next need not be */
	kbr_log_drop_stale_snapshots(log);
	kbr_log_renew_snapshot(log);
	mutex_lock(&log->lock);
	kbr_segment_flush_index(log, kbr_log_active_locked(log));
	kfree(log->index_tail);
	log->index_tail = NULL;
	if (!log->meta_dirty)
		goto done;
	log->meta_dirty = false;
	mutex_unlock(&log->lock);
	while (!err) {
		seg = kbr_log_take_meta(log, &meta, &snapshot);
		if (!seg)
			break;
		err = kbr_log_sync_meta(log, seg, meta, snapshot);
		/* removed meanwhile: nothing of it is needed any more */
		if (err && READ_ONCE(seg->removed))
			err = 0;
		if (err) {
			mutex_lock(&log->lock);
			seg->meta_dirty |= meta;
			seg->snapshot_dirty |= snapshot;
			log->meta_dirty = true;
			mutex_unlock(&log->lock);
		}
		kbr_segment_put(seg);
	}
	/* a log that never had a record has no epoch worth a file */
	if (!err && READ_ONCE(log->epochs_dirty) && kbr_log_end(log))
		err = kbr_log_write_epochs(log);
	mutex_lock(&log->lock);
done:
	/* the log was cut: what is below the target now has other indexes than those synced */
	if (generation != log->generation)
		err = -EAGAIN;
	if (err)
		log->meta_dirty = true;
	else
		WRITE_ONCE(log->checkpoint,
			   min(kbr_log_vouch_locked(log, target), log->checkpoint_max));
	target = min(log->checkpoint, log->checkpoint_max);
	mutex_unlock(&log->lock);
	return target;
}
KBR_EXPORT_IF_KUNIT(kbr_log_checkpoint);

void kbr_log_limit_checkpoint(struct kbr_log *log, s64 offset)
{
	mutex_lock(&log->lock);
	log->checkpoint_max = offset;
	mutex_unlock(&log->lock);
}

/*
 * How much of @seg the disk has: offset and position of the first batch that
 * is not good. Above the synced position only.
 */
static int kbr_log_read_back(struct kbr_log *log, struct kbr_segment *seg, s64 *offset, u32 *pos)
{
	struct kbr_files *files = kbr_files_get(log, seg);
	struct kbr_batch batch;
	struct kbr_scan scan;
	const void *body;
	int err;

	if (IS_ERR(files))
		return PTR_ERR(files);
	*pos = seg->synced;
	err = kbr_file_invalidate(files->log, seg->synced);
	if (!err)
		err = kbr_scan_start(&scan, files->log, seg->synced, seg->size,
				     KBR_LOG_REPAIR_CHUNK);
	if (err)
		goto put;
	for (;;) {
		err = kbr_scan_header(&scan, &batch);
		if (err <= 0 || batch.base_offset < *offset)
			break;
		err = kbr_scan_body(&scan, &batch, &body);
		if (err || kbr_batch_check_crc(body, batch.size))
			break;
		*offset = kbr_batch_last_offset(&batch) + 1;
		kbr_scan_next(&scan, &batch);
		*pos = scan.pos;
	}
	kbr_scan_stop(&scan);
	/* unreadable is as lost as wrong */
	if (err == -EBADMSG || err == -EIO || err > 0)
		err = 0;
put:
	kbr_files_put(files);
	return err;
}

/* A cut that failed left files or bytes behind the log's end: the next open would take them for a part of it. */
static int kbr_log_finish_cut_locked(struct kbr_log *log)
{
	struct kbr_segment *seg = kbr_log_active_locked(log);
	struct kbr_found_all all = { .file = NULL };
	int err;
	size_t i;

	/* its indexes, too, may have been left behind */
	err = kbr_segment_cut(log, seg, log->end, seg->size);
	if (!err)
		err = kbr_found_list(log, &all);
	/* newest first, so that no crash leaves a hole */
	for (i = all.count; i-- > 0 && !err && all.file[i].base > seg->base;)
		if (all.file[i].kind != KBR_FOUND_SNAPSHOT)
			err = kbr_found_unlink(log, &all.file[i]);
	kvfree(all.file);
	return err;
}

static int kbr_log_repair_locked(struct kbr_log *log, s64 *lost)
{
	struct kbr_segment_list *list = kbr_log_list_locked(log);
	s64 end = log->end, offset = log->synced;
	unsigned int i;
	u32 pos;
	int err;

	for (i = 0; i < list->count; i++) {
		struct kbr_segment *seg = list->seg[i];

		if (seg->synced == seg->size && i < list->count - 1)
			continue;
		offset = max(offset, seg->base);
		err = kbr_log_read_back(log, seg, &offset, &pos);
		if (err)
			return err;
		if (pos < seg->size || i == list->count - 1)
			break;
	}
	if (offset < end) {
		*lost = offset;
		err = kbr_log_cut_locked(log, i + 1, offset, pos);
		if (err)
			return err;
	}
	err = kbr_log_finish_cut_locked(log);
	/* the cut that failed did not come to what it knew of producers */
	if (!err && offset >= end)
		err = kbr_log_load_producers_locked(log, false);
	if (!err)
		err = kbr_log_sync_now(log);
	if (!err)
		err = kbr_log_roll_locked(log);
	if (!err)
		err = kbr_dir_sync(log->env->dir, log->name);
	WRITE_ONCE(log->stopped, err ? -EIO : 0);
	return err;
}

int kbr_log_repair(struct kbr_log *log, s64 *lost)
{
	int err;

	*lost = -1;
	if (log->env->syncer)
		kbr_syncer_remove(log->env->syncer, &log->sync);
	mutex_lock(&log->lock);
	/* damage that recovery found is not repaired by reading it again */
	err = log->stopped && log->stopped != -EIO ? log->stopped : kbr_log_repair_locked(log, lost);
	mutex_unlock(&log->lock);
	return err;
}
KBR_EXPORT_IF_KUNIT(kbr_log_repair);
