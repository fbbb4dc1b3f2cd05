// SPDX-License-Identifier: GPL-2.0-only
/*
 * What shrinks a log: retention, delete-records, truncation, deletion.
 *
 * From the front, segments leave the list at once, under the append lock;
 * their files are renamed and unlinked later, without it, one after the other
 * and each rename made durable before the next: after a crash the segments
 * that are left have no hole. From the back, files go newest first for the
 * same reason.
 */
#include <linux/err.h>
#include <linux/kernel.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/random.h>
#include <linux/slab.h>

#include "base/clock.h"
#include "base/kunit.h"
#include "base/limits.h"
#include "storage/log_internal.h"

/* the snapshot is last: it tells of what came before the segment */
static const char * const kbr_log_suffixes[] = {
	KBR_SUFFIX_LOG, KBR_SUFFIX_INDEX, KBR_SUFFIX_TIME, KBR_SUFFIX_TXN, KBR_SUFFIX_SNAPSHOT,
};

/* what a directory of a deleted log is called: "<log>.<32 hex digits>-delete" */
#define KBR_LOG_DELETE_SUFFIX	"-delete"
#define KBR_LOG_DELETE_EXTRA	(1 + 32 + sizeof(KBR_LOG_DELETE_SUFFIX) - 1)
#define KBR_LOG_DIR_NAME_MAX	255

int kbr_log_drop_locked(struct kbr_log *log, unsigned int from, unsigned int to, s64 now_ms)
{
	struct kbr_segment_list *old = kbr_log_list_locked(log), *list;
	unsigned int i;

	lockdep_assert_held(&log->lock);
	list = kbr_log_list_alloc(old->count - (to - from));
	if (!list)
		return -ENOMEM;
	memcpy(list->seg, old->seg, from * sizeof(*list->seg));
	memcpy(&list->seg[from], &old->seg[to], (old->count - to) * sizeof(*list->seg));
	for (i = from; i < to; i++) {
		struct kbr_segment *seg = old->seg[i];

		kbr_log_forget_unsynced_locked(log, seg);
		kbr_files_detach(log, seg);
		seg->created_ms = now_ms;
		list_add_tail(&seg->doomed, &log->doomed);
		WRITE_ONCE(log->size, log->size - seg->size);
	}
	kbr_log_set_list_locked(log, list);
	return 0;
}

static int kbr_log_unlink_files(struct kbr_log *log, s64 base, const char *suffix,
				unsigned int count)
{
	unsigned int i;
	int err = 0;

	for (i = 0; i < count; i++) {
		char *path = kasprintf(GFP_KERNEL, "%s/%020lld%s%s", log->name, base,
				       kbr_log_suffixes[i], suffix);
		int e = path ? kbr_dir_unlink(log->env->dir, path) : -ENOMEM;

		kfree(path);
		if (e && e != -ENOENT)
			err = err ?: e;
	}
	return err;
}

int kbr_log_unlink_segment(struct kbr_log *log, s64 base, const char *suffix)
{
	return kbr_log_unlink_files(log, base, suffix, ARRAY_SIZE(kbr_log_suffixes));
}

int kbr_log_unlink_empty(struct kbr_log *log, s64 base)
{
	return kbr_log_unlink_files(log, base, "", ARRAY_SIZE(kbr_log_suffixes) - 1);
}

/* all files of a removed segment get ".deleted" behind their names; durable on return */
static int kbr_log_rename_segment(struct kbr_log *log, s64 base)
{
	unsigned int i;
	int err = 0;

	for (i = 0; i < ARRAY_SIZE(kbr_log_suffixes) && !err; i++) {
		char *from = kbr_segment_path(log, base, kbr_log_suffixes[i]);
		char *to = from ? kasprintf(GFP_KERNEL, "%s" KBR_SUFFIX_DELETED, from) : NULL;

		err = to ? kbr_dir_rename(log->env->dir, from, to) : -ENOMEM;
		if (err == -ENOENT)
			err = 0;
		kfree(from);
		kfree(to);
	}
	return err ?: kbr_dir_sync(log->env->dir, log->name);
}

/* the next removed segment: one to rename if there is any, else one whose time is over */
static struct kbr_segment *kbr_log_next_doomed(struct kbr_log *log, s64 now_ms)
{
	s64 delay = READ_ONCE(log->config->file_delete_delay_ms);
	struct kbr_segment *seg, *found = NULL;

	mutex_lock(&log->lock);
	list_for_each_entry(seg, &log->doomed, doomed) {
		if (!seg->renamed) {
			found = seg;
			break;
		}
		if (!found && now_ms - seg->created_ms >= delay)
			found = seg;
	}
	mutex_unlock(&log->lock);
	return found;
}

static int kbr_log_reap(struct kbr_log *log, s64 now_ms)
{
	struct kbr_segment *seg;
	int err = 0;

	/* only we take segments off this list, so that @seg stays */
	while (!err && (seg = kbr_log_next_doomed(log, now_ms))) {
		if (!seg->renamed) {
			err = kbr_log_rename_segment(log, seg->base);
			if (err)
				break;
			mutex_lock(&log->lock);
			seg->renamed = true;
			mutex_unlock(&log->lock);
			continue;
		}
		err = kbr_log_unlink_segment(log, seg->base, KBR_SUFFIX_DELETED);
		if (err)
			break;
		mutex_lock(&log->lock);
		list_del_init(&seg->doomed);
		mutex_unlock(&log->lock);
		kbr_segment_put(seg);
	}
	return err;
}

int kbr_log_unlink_doomed(struct kbr_log *log)
{
	if (list_empty(&log->doomed))
		return 0;
	/* later than any deletion could be due */
	return kbr_log_reap(log, S64_MAX);
}

static s64 kbr_log_largest_timestamp(struct kbr_log *log, struct kbr_segment *seg)
{
	struct kbr_files *files;
	s64 timestamp;

	if (!kbr_segment_load_times(log, seg) && seg->max_timestamp >= 0)
		return seg->max_timestamp;
	/* no record has one: the file's own time, as Kafka does */
	files = kbr_files_get(log, seg);
	if (IS_ERR(files))
		return S64_MAX;
	timestamp = kbr_file_mtime_ms(files->log);
	kbr_files_put(files);
	return timestamp;
}

/* how many segments from the front are due */
static unsigned int kbr_log_count_due_locked(struct kbr_log *log, s64 hw, s64 now_ms)
{
	const struct kbr_segment_list *list = kbr_log_list_locked(log);
	s64 retention_bytes = READ_ONCE(log->config->retention_bytes);
	s64 retention_ms = READ_ONCE(log->config->retention_ms);
	u64 total = log->size;
	unsigned int i;

	for (i = 0; i < list->count; i++) {
		struct kbr_segment *seg = list->seg[i];
		bool active = i == list->count - 1, due;
		s64 next = active ? log->end : list->seg[i + 1]->base;

		if (next > hw || (active && !seg->size))
			break;
		due = next <= log->start;
		if (!due && READ_ONCE(log->config->retain)) {
			if (retention_bytes >= 0 && total >= (u64)retention_bytes)
				due = total - retention_bytes >= seg->size;
			if (!due && retention_ms >= 0) {
				s64 largest = kbr_log_largest_timestamp(log, seg);

				due = largest < now_ms && now_ms - largest > retention_ms;
			}
		}
		if (!due)
			break;
		total -= seg->size;
	}
	return i;
}

/* How many segments are due; a new one is begun if all are, or if the active one is old. */
static int kbr_log_plan_locked(struct kbr_log *log, s64 hw, s64 now_ms, s64 *first)
{
	s64 segment_ms = READ_ONCE(log->config->segment_ms);
	struct kbr_segment *seg = kbr_log_active_locked(log);
	unsigned int due;
	int err;

	if (log->producers) {
		kbr_producer_expire(log->producers, now_ms, log->env->producer_expiration_ms);
		if (!kbr_producer_table_count(log->producers)) {
			kbr_producer_table_destroy(log->producers);
			log->producers = NULL;
		}
	}
	/* an idle segment must be closed to expire; a failure is tried again next time */
	if (kbr_log_age_ms_locked(log, now_ms, now_ms) >
	    segment_ms - min_t(s64, seg->jitter_ms, segment_ms))
		kbr_log_roll_locked(log);
	due = kbr_log_count_due_locked(log, min(hw, log->end), now_ms);
	if (due == kbr_log_list_locked(log)->count) {
		err = kbr_log_roll_locked(log);
		if (err)
			return err;
	}
	*first = kbr_log_list_locked(log)->seg[due]->base;
	return due;
}

/* The log starts at @start now. */
static void kbr_log_raise_start_locked(struct kbr_log *log, s64 start)
{
	struct kbr_epoch_cache *epochs;

	kbr_log_publish_start(log, start);
	epochs = rcu_dereference_protected(log->epochs, lockdep_is_held(&log->lock));
	/* without memory the history is longer than it need be */
	kbr_log_set_epochs_locked(log, kbr_epoch_cut_start(epochs, start));
}

/* Take the segments below @first out of the log. */
static int kbr_log_drop_below_locked(struct kbr_log *log, s64 first, s64 now_ms)
{
	struct kbr_segment_list *list = kbr_log_list_locked(log);
	unsigned int due = 0;
	int err;

	/* a truncation may have been faster */
	while (due + 1 < list->count && list->seg[due + 1]->base <= first)
		due++;
	if (!due)
		return 0;
	first = list->seg[due]->base;
	kbr_log_raise_start_locked(log, max(log->start, first));
	err = kbr_log_drop_locked(log, 0, due, now_ms);
	if (err)
		return err;
	kbr_log_skip_synced_locked(log, first);
	return due;
}

static int kbr_log_remove_due(struct kbr_log *log, s64 hw, s64 now_ms)
{
	s64 first;
	int ret;

	mutex_lock(&log->lock);
	ret = log->stopped ? 0 : kbr_log_plan_locked(log, hw, now_ms, &first);
	mutex_unlock(&log->lock);
	if (ret <= 0)
		return ret;
	ret = kbr_log_secure_producers(log, first);
	if (ret)
		return ret == -EAGAIN ? 0 : ret;
	mutex_lock(&log->lock);
	ret = kbr_log_drop_below_locked(log, first, now_ms);
	mutex_unlock(&log->lock);
	return ret;
}

int kbr_log_retain(struct kbr_log *log, s64 hw, s64 now_ms)
{
	int removed, err;

	mutex_lock(&log->lock);
	if (log->retaining) {
		mutex_unlock(&log->lock);
		return 0;
	}
	log->retaining = true;
	mutex_unlock(&log->lock);
	removed = kbr_log_remove_due(log, hw, now_ms);
	err = kbr_log_reap(log, now_ms);
	mutex_lock(&log->lock);
	log->retaining = false;
	mutex_unlock(&log->lock);
	return removed < 0 ? removed : err ?: removed;
}
KBR_EXPORT_IF_KUNIT(kbr_log_retain);

int kbr_log_set_start(struct kbr_log *log, s64 offset)
{
	int err = 0;

	mutex_lock(&log->lock);
	/* the synced end stays: what lies below the start is still part of a file */
	if (offset > log->end)
		err = -ERANGE;
	else if (offset > log->start)
		kbr_log_raise_start_locked(log, offset);
	mutex_unlock(&log->lock);
	return err;
}
KBR_EXPORT_IF_KUNIT(kbr_log_set_start);

/*
 * Take all segments from number @from on out of the log, files too, newest
 * first. @list: where the others go; NULL: there are none, or it stays.
 */
static int kbr_log_remove_tail_locked(struct kbr_log *log, unsigned int from,
				      struct kbr_segment_list *list)
{
	struct kbr_segment_list *old = kbr_log_list_locked(log);
	unsigned int i;
	int err = 0;

	if (from == old->count)
		return 0;
	for (i = old->count; i-- > from;) {
		struct kbr_segment *seg = old->seg[i];

		kbr_log_forget_unsynced_locked(log, seg);
		kbr_files_detach(log, seg);
		WRITE_ONCE(log->size, log->size - seg->size);
		if (!err)
			err = kbr_log_unlink_segment(log, seg->base, "");
	}
	/* a file that would not go is removed by the repair that follows */
	if (list) {
		for (i = from; i < old->count; i++)
			kbr_segment_put(old->seg[i]);
		memcpy(list->seg, old->seg, from * sizeof(*list->seg));
		kbr_log_set_list_locked(log, list);
	}
	return err ?: kbr_dir_sync(log->env->dir, log->name);
}

int kbr_log_restart_locked(struct kbr_log *log, s64 offset)
{
	struct kbr_segment_list *old, *list;
	struct kbr_segment *seg;
	unsigned int i;
	int err;

	seg = kbr_segment_alloc(offset);
	list = kbr_log_list_alloc(1);
	if (!seg || !list) {
		err = -ENOMEM;
		goto free;
	}
	list->seg[0] = seg;
	if (log->index_tail) {
		log->index_tail->offsets = 0;
		log->index_tail->times = 0;
	}
	/* its files are made below, since an old segment may have had the same name */
	err = kbr_log_remove_tail_locked(log, 0, NULL);
	if (!err)
		err = kbr_files_create(log, seg);
	old = kbr_log_list_locked(log);
	for (i = 0; i < old->count; i++)
		kbr_segment_put(old->seg[i]);
	kbr_log_set_list_locked(log, list);
	if (err)
		WRITE_ONCE(log->stopped, -EIO);
	kbr_log_clamp_synced_locked(log, seg, offset, 0);
	kbr_log_skip_synced_locked(log, offset);
	kbr_log_publish_start(log, offset);
	kbr_log_set_end_locked(log, offset);
	return err;
free:
	kvfree(list);
	if (seg)
		kbr_segment_put(seg);
	return err;
}

/* Where to cut for @offset: segment @keep - 1 at @pos; @offset falls to the start of its batch. */
static int kbr_log_find_cut_locked(struct kbr_log *log, unsigned int *keep, s64 *offset, u32 *pos)
{
	const struct kbr_segment_list *list = kbr_log_list_locked(log);
	struct kbr_segment *seg;
	struct kbr_files *files;
	struct kbr_batch batch;
	int err;

	for (*keep = list->count; *keep && list->seg[*keep - 1]->base >= *offset; --*keep)
		;
	*pos = 0;
	if (!*keep)
		return 0;
	seg = list->seg[*keep - 1];
	files = kbr_files_get(log, seg);
	if (IS_ERR(files))
		return PTR_ERR(files);
	err = kbr_segment_locate(log, seg, files, *offset, seg->size, pos, &batch);
	kbr_files_put(files);
	if (err == 1)
		*offset = min(*offset, batch.base_offset);
	return min(err, 0);
}

int kbr_log_cut_locked(struct kbr_log *log, unsigned int keep, s64 offset, u32 pos)
{
	struct kbr_segment_list *list = NULL;
	struct kbr_epoch_cache *epochs;
	struct kbr_segment *seg;
	int err;

	lockdep_assert_held(&log->lock);
	if (keep && keep < kbr_log_list_locked(log)->count) {
		/* before anything is changed */
		list = kbr_log_list_alloc(keep);
		if (!list)
			return -ENOMEM;
	}
	WRITE_ONCE(log->generation, log->generation + 1);
	if (!keep) {
		err = kbr_log_restart_locked(log, offset);
	} else {
		seg = kbr_log_list_locked(log)->seg[keep - 1];
		/* readers first: nobody may look behind the cut from here on */
		WRITE_ONCE(log->size, log->size - (seg->size - pos));
		kbr_log_clamp_synced_locked(log, seg, offset, pos);
		write_seqlock(&log->tail);
		smp_store_release(&log->end, offset);	/* (B) */
		write_sequnlock(&log->tail);
		err = kbr_log_remove_tail_locked(log, keep, list);
		if (!err)
			err = kbr_segment_cut(log, seg, offset, pos);
		kbr_log_set_end_locked(log, offset);
		if (offset < log->start)
			kbr_log_publish_start(log, offset);
		/* half cut: what is left on disk does not belong to the log */
		if (err)
			WRITE_ONCE(log->stopped, -EIO);
	}
	epochs = rcu_dereference_protected(log->epochs, lockdep_is_held(&log->lock));
	kbr_log_set_epochs_locked(log, kbr_epoch_cut_end(epochs, offset));
	return err ?: kbr_log_load_producers_locked(log, false);
}

int kbr_log_truncate(struct kbr_log *log, s64 offset)
{
	unsigned int keep;
	u32 pos;
	int err;

	mutex_lock(&log->lock);
	err = log->stopped;
	if (!err && offset < log->end) {
		err = kbr_log_find_cut_locked(log, &keep, &offset, &pos);
		if (!err)
			err = kbr_log_cut_locked(log, keep, offset, pos);
	}
	mutex_unlock(&log->lock);
	return err;
}
KBR_EXPORT_IF_KUNIT(kbr_log_truncate);

int kbr_log_restart(struct kbr_log *log, s64 offset)
{
	int err;

	mutex_lock(&log->lock);
	err = log->stopped;
	/* First: after a crash in between they would be taken for what the new log is told of. */
	if (!err)
		err = kbr_log_drop_snapshots_locked(log);
	if (!err)
		err = kbr_log_cut_locked(log, 0, offset, 0);
	/* What comes may have older epochs than what was there; a cut that failed may have kept that. */
	if (log->start == log->end)
		kbr_log_set_epochs_locked(log, NULL);
	mutex_unlock(&log->lock);
	return err;
}
KBR_EXPORT_IF_KUNIT(kbr_log_restart);

/* names in a directory that match, gathered before anything is removed */
struct kbr_log_names {
	struct list_head names;
	const char *suffix;
	bool dirs;
};

struct kbr_log_name {
	struct list_head node;
	char name[];
};

static int kbr_log_gather(void *arg, const struct kbr_dirent *ent)
{
	size_t len = strlen(ent->name), tail;
	struct kbr_log_names *all = arg;
	struct kbr_log_name *one;

	tail = strlen(all->suffix);
	if (ent->is_dir != all->dirs || len < tail ||
	    strcmp(ent->name + len - tail, all->suffix))
		return 0;
	one = kmalloc(struct_size(one, name, len + 1), GFP_KERNEL);
	if (!one)
		return -ENOMEM;
	strscpy(one->name, ent->name, len + 1);
	list_add_tail(&one->node, &all->names);
	return 0;
}

static void kbr_log_names_free(struct kbr_log_names *all)
{
	struct kbr_log_name *one, *next;

	list_for_each_entry_safe(one, next, &all->names, node)
		kfree(one);
}

/* a directory with all files in it */
static int kbr_log_remove_dir(struct kbr_dir *dir, const char *name)
{
	struct kbr_log_names all = { .names = LIST_HEAD_INIT(all.names), .suffix = "" };
	struct kbr_log_name *one;
	int err, e;

	err = kbr_dir_list(dir, name, kbr_log_gather, &all);
	list_for_each_entry(one, &all.names, node) {
		char *path = kasprintf(GFP_KERNEL, "%s/%s", name, one->name);

		e = path ? kbr_dir_unlink(dir, path) : -ENOMEM;
		kfree(path);
		err = err ?: e;
	}
	kbr_log_names_free(&all);
	return err ?: kbr_dir_rmdir(dir, name);
}

/* Rename directory @name to one that a start removes, if this does not come to it. */
static int kbr_log_doom(struct kbr_dir *dir, const char *name, char **doomed)
{
	char hex[33];
	u8 id[16];

	get_random_bytes(id, sizeof(id));
	bin2hex(hex, id, sizeof(id));
	hex[32] = '\0';
	/* long names are cut: only the end of it matters */
	*doomed = kasprintf(GFP_KERNEL, "%.*s.%s" KBR_LOG_DELETE_SUFFIX,
			    (int)(KBR_LOG_DIR_NAME_MAX - KBR_LOG_DELETE_EXTRA), name, hex);
	return *doomed ? kbr_dir_rename(dir, name, *doomed) : -ENOMEM;
}

static int kbr_log_remove(struct kbr_log *log, bool sync)
{
	struct kbr_dir *dir = log->env->dir;
	char *doomed;
	int err;

	if (log->env->syncer)
		kbr_syncer_remove(log->env->syncer, &log->sync);
	err = kbr_log_doom(dir, log->name, &doomed);
	if (!err && sync)
		err = kbr_dir_sync(dir, "");
	kbr_log_free(log);
	if (!err)
		err = kbr_log_remove_dir(dir, doomed);
	kfree(doomed);
	return err;
}

int kbr_log_discard_unopened(struct kbr_dir *dir, const char *name)
{
	char *doomed;
	int err;

	err = kbr_log_doom(dir, name, &doomed);
	if (!err)
		err = kbr_log_remove_dir(dir, doomed);
	kfree(doomed);
	return err == -ENOENT ? 0 : err;
}

int kbr_log_delete(struct kbr_log *log)
{
	return kbr_log_remove(log, true);
}
KBR_EXPORT_IF_KUNIT(kbr_log_delete);

int kbr_log_discard(struct kbr_log *log)
{
	return kbr_log_remove(log, false);
}

int kbr_log_delete_leftovers(struct kbr_dir *dir)
{
	struct kbr_log_names all = {
		.names = LIST_HEAD_INIT(all.names),
		.suffix = KBR_LOG_DELETE_SUFFIX,
		.dirs = true,
	};
	struct kbr_log_name *one;
	int err, e;

	err = kbr_dir_list(dir, "", kbr_log_gather, &all);
	list_for_each_entry(one, &all.names, node) {
		e = kbr_log_remove_dir(dir, one->name);
		err = err ?: e;
	}
	kbr_log_names_free(&all);
	return err;
}
KBR_EXPORT_IF_KUNIT(kbr_log_delete_leftovers);
