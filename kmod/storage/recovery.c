// SPDX-License-Identifier: GPL-2.0-only
/*
 * Opening a log: what is in its directory, which of it can be believed, where
 * the log ends.
 *
 * After a clean stop sizes and last index entries are believed and the batches
 * behind the last entry are walked. After a crash everything from the recovery
 * point on is read and checked; the first batch that is torn, wrong or out of
 * order ends the log, and what follows is removed, since nothing behind it was
 * ever acknowledged. A bad batch below the recovery point is another matter:
 * the disk lost what it had promised to keep, so nothing is removed and the
 * log stops there.
 *
 * Nothing on disk is trusted: names, sizes, index entries and snapshots are
 * checked before use, and loops go on only while positions rise.
 */
#include <linux/err.h>
#include <linux/kernel.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/sched.h>
#include <linux/slab.h>

#include "base/kunit.h"
#include "base/limits.h"
#include "storage/checkpoint.h"
#include "storage/found.h"
#include "storage/log_internal.h"

/* Bytes read at once: whole batches, and headers only */
#define KBR_RECOVERY_CHUNK	(256U << 10)
#define KBR_RECOVERY_HEADERS	(16U << 10)
#define KBR_EPOCH_FILE_MAX	(1U << 20)
#define KBR_SNAPSHOT_FILE_MAX	(16 + KBR_PRODUCERS_MAX * 46UL)

/* a log being opened */
struct kbr_recovery {
	struct kbr_log *log;
	struct kbr_log_report *report;
	struct kbr_found_all found;
	s64 recovery_point;
	s64 offset;		/* end of what was found good so far */
	bool epochs_lost;	/* the history has to be made from the batches */
};

/* the segment's size, and that nothing else is known of it yet */
static int kbr_recovery_add_segment(struct kbr_log *log, struct kbr_segment *seg)
{
	struct kbr_files *files = kbr_files_get(log, seg);
	loff_t size;

	if (IS_ERR(files))
		return PTR_ERR(files);
	size = kbr_file_size(files->log);
	kbr_files_put(files);
	if (size < 0 || size > KBR_SEGMENT_BYTES_MAX)
		return -EFBIG;
	seg->size = size;
	seg->synced = size;
	seg->index_count = KBR_COUNT_UNKNOWN;
	seg->time_count = KBR_COUNT_UNKNOWN;
	seg->max_timestamp = KBR_TIME_UNKNOWN;
	return 0;
}

/*
 * A segment gets its successor when it holds a batch, so that an empty one in
 * front of another is what a failed roll left, or one that lost all it was
 * given. It must not limit what the segment before it may hold: that one may
 * have gone on. Nor is one at the end the log's when the recovery point lies
 * behind it. Their files go when the log is known to be whole.
 */
static void kbr_recovery_skip_empty(struct kbr_recovery *rec)
{
	struct kbr_segment_list *list = kbr_log_list_locked(rec->log);
	unsigned int kept = 0, i;

	for (i = 0; i < list->count; i++) {
		struct kbr_segment *seg = list->seg[i];
		bool last = i == list->count - 1;

		if (seg->size || (last && (!kept || seg->base >= rec->recovery_point))) {
			list->seg[kept++] = seg;
		} else {
			kbr_files_detach(rec->log, seg);
			kbr_segment_put(seg);
		}
	}
	list->count = kept;
}

/* What was skipped goes, or is skipped again at the next start. */
static void kbr_recovery_unlink_skipped(struct kbr_recovery *rec)
{
	const struct kbr_segment_list *list = kbr_log_list_locked(rec->log);
	unsigned int at = 0;
	size_t i;

	for (i = 0; i < rec->found.count; i++) {
		const struct kbr_found *f = &rec->found.file[i];

		if (f->kind != KBR_FOUND_LOG)
			continue;
		/* both rise */
		while (at < list->count && list->seg[at]->base < f->base)
			at++;
		if (at == list->count || list->seg[at]->base != f->base)
			kbr_log_unlink_empty(rec->log, f->base);
	}
}

/* Build the list of segments from the files found. */
static int kbr_recovery_segments(struct kbr_recovery *rec, s64 start)
{
	struct kbr_log *log = rec->log;
	struct kbr_segment_list *list;
	unsigned int count = 0;
	size_t i;
	int err;

	for (i = 0; i < rec->found.count; i++)
		count += rec->found.file[i].kind == KBR_FOUND_LOG;
	if (!count) {
		log->end = start;
		return kbr_log_roll_locked(log);
	}
	list = kbr_log_list_alloc(count);
	if (!list)
		return -ENOMEM;
	list->count = 0;
	kbr_log_set_list_locked(log, list);
	for (i = 0; i < rec->found.count; i++) {
		struct kbr_segment *seg;

		if (rec->found.file[i].kind != KBR_FOUND_LOG)
			continue;
		seg = kbr_segment_alloc(rec->found.file[i].base);
		if (!seg)
			return -ENOMEM;
		/* freed with the log from here on */
		list->seg[list->count++] = seg;
		err = kbr_recovery_add_segment(log, seg);
		if (err)
			return err;
	}
	kbr_recovery_skip_empty(rec);
	return 0;
}

/*
 * Take segments from number @from on out of the list. @remove: their files go
 * as well, newest first. Only while opening: no reader knows them.
 */
static int kbr_recovery_drop(struct kbr_recovery *rec, unsigned int from, bool remove)
{
	struct kbr_segment_list *list = kbr_log_list_locked(rec->log);
	int err = 0;

	while (list->count > from && !err) {
		struct kbr_segment *seg = list->seg[list->count - 1];

		if (remove) {
			rec->report->removed_segments++;
			rec->report->cut_bytes += seg->size;
			err = kbr_log_unlink_segment(rec->log, seg->base, "");
		}
		list->count--;
		kbr_files_detach(rec->log, seg);
		kbr_segment_put(seg);
	}
	return err;
}

/* the index of @seg is written anew from the headers up to @end; a bad header ends it */
static int kbr_recovery_rebuild_index(struct kbr_recovery *rec, struct kbr_segment *seg)
{
	struct kbr_files *files = kbr_files_get(rec->log, seg);
	struct kbr_batch batch;
	struct kbr_scan scan;
	u32 pos;
	int err;

	if (IS_ERR(files))
		return PTR_ERR(files);
	err = kbr_segment_cut_index(rec->log, seg, files, seg->base, 0, &pos);
	if (!err)
		err = kbr_scan_start(&scan, files->log, 0, seg->size, KBR_RECOVERY_HEADERS);
	if (!err) {
		while ((err = kbr_scan_header(&scan, &batch)) == 1) {
			kbr_segment_note_batch(rec->log, seg, &batch, scan.pos);
			kbr_scan_next(&scan, &batch);
		}
		rec->report->scanned_bytes += scan.bytes;
		kbr_scan_stop(&scan);
	}
	kbr_segment_seal_index(rec->log, seg);
	if (seg->size)
		rec->report->rebuilt_indexes++;
	kbr_files_put(files);
	return err == -EBADMSG ? 0 : err;
}

/* indexes that are missing below what is read anyway */
static int kbr_recovery_missing_indexes(struct kbr_recovery *rec, unsigned int to)
{
	struct kbr_segment_list *list = kbr_log_list_locked(rec->log);
	unsigned int i;
	int err;

	for (i = 0; i < to; i++) {
		s64 base = list->seg[i]->base;

		if (kbr_found_has(&rec->found, base, KBR_FOUND_INDEX) &&
		    kbr_found_has(&rec->found, base, KBR_FOUND_TIME))
			continue;
		err = kbr_recovery_rebuild_index(rec, list->seg[i]);
		if (err)
			return err;
	}
	return 0;
}

/*
 * The active segment after a clean stop: the last index entries, and the
 * batches behind them. 1: everything agrees; 0: it does not; or an error.
 */
static int kbr_recovery_clean_tail(struct kbr_recovery *rec, struct kbr_segment *seg)
{
	struct kbr_files *files = kbr_files_get(rec->log, seg);
	struct kbr_index_entry e = { .pos = 0 };
	struct kbr_time_entry t = { .timestamp = -1 };
	struct kbr_file *index, *time;
	struct kbr_batch batch;
	struct kbr_scan scan;
	int err;

	if (IS_ERR(files))
		return PTR_ERR(files);
	index = kbr_files_index(rec->log, seg, files);
	time = kbr_files_time(rec->log, seg, files);
	err = PTR_ERR_OR_ZERO(index) ?: PTR_ERR_OR_ZERO(time);
	if (err)
		goto put;
	seg->index_count = KBR_COUNT_UNKNOWN;
	seg->time_count = KBR_COUNT_UNKNOWN;
	if (kbr_segment_index_count(seg, index))
		err = kbr_index_floor(index, seg->index_count, U32_MAX, U32_MAX, seg->index_count,
				      &e);
	if (err >= 0 && kbr_segment_time_count(seg, time))
		err = kbr_time_index_read(time, seg->time_count - 1, &t);
	if (err == -EBADMSG || (err >= 0 && e.pos && e.pos >= seg->size)) {
		err = 0;
		goto put;
	}
	if (err < 0)
		goto put;
	seg->indexed_pos = e.pos;
	seg->time_last = t.timestamp;
	seg->max_timestamp = t.timestamp;
	seg->max_timestamp_offset = seg->base + t.offset;
	rec->offset = seg->base;
	err = kbr_scan_start(&scan, files->log, e.pos, seg->size, KBR_RECOVERY_HEADERS);
	if (err)
		goto put;
	while ((err = kbr_scan_header(&scan, &batch)) == 1) {
		if (batch.base_offset < rec->offset ||
		    (e.pos && scan.pos == e.pos &&
		     kbr_batch_last_offset(&batch) != seg->base + e.offset)) {
			err = -EBADMSG;
			break;
		}
		kbr_segment_note_batch(rec->log, seg, &batch, scan.pos);
		rec->offset = kbr_batch_last_offset(&batch) + 1;
		kbr_scan_next(&scan, &batch);
	}
	kbr_scan_stop(&scan);
	if (!err)
		err = 1;
	else if (err == -EBADMSG)
		err = 0;
put:
	kbr_files_put(files);
	return err;
}

/* Walk headers from @pos up to the recovery point. 1 got there; 0 a header is wrong; or an error. */
static int kbr_recovery_walk_known(struct kbr_recovery *rec, struct kbr_segment *seg,
				   struct kbr_file *file, u32 *pos)
{
	struct kbr_batch batch;
	struct kbr_scan scan;
	int err;

	rec->offset = seg->base;
	err = kbr_scan_start(&scan, file, *pos, seg->size, KBR_RECOVERY_HEADERS);
	if (err)
		return err;
	while (rec->offset < rec->recovery_point) {
		err = kbr_scan_header(&scan, &batch);
		if (err <= 0)
			break;
		if (batch.base_offset < rec->offset) {
			err = -EBADMSG;
			break;
		}
		/* the recovery point lies in a gap: what is here is not known */
		if (batch.base_offset >= rec->recovery_point)
			break;
		kbr_segment_note_batch(rec->log, seg, &batch, scan.pos);
		rec->offset = kbr_batch_last_offset(&batch) + 1;
		kbr_scan_next(&scan, &batch);
	}
	*pos = scan.pos;
	kbr_scan_stop(&scan);
	if (err < 0 && err != -EBADMSG)
		return err;
	return err != -EBADMSG && (rec->offset >= rec->recovery_point || *pos < seg->size);
}

/* Find the position of the recovery point in @seg, believing its index as far as it agrees. */
static int kbr_recovery_find_point(struct kbr_recovery *rec, struct kbr_segment *seg,
				   struct kbr_files *files, u32 *pos)
{
	struct kbr_batch batch;
	int err;

	err = kbr_segment_cut_index(rec->log, seg, files, rec->recovery_point, seg->size, pos);
	if (err)
		return err;
	if (*pos) {
		err = kbr_segment_header(files->log, *pos, seg->size, &batch);
		if (!err && batch.base_offset > seg->base)
			err = kbr_recovery_walk_known(rec, seg, files->log, pos);
		else if (err == -EBADMSG)
			err = 0;
		if (err)
			return min(err, 0);
		/* the index led astray, or the log is damaged: only the whole way tells */
		rec->report->rebuilt_indexes++;
		err = kbr_segment_cut_index(rec->log, seg, files, seg->base, 0, pos);
		if (err)
			return err;
	}
	return min(kbr_recovery_walk_known(rec, seg, files->log, pos), 0);
}

/* Check all batches from @pos on; rec->offset and @pos end where the first bad one begins. */
static int kbr_recovery_check(struct kbr_recovery *rec, struct kbr_segment *seg,
			      struct kbr_file *file, s64 offset_end, u32 *pos)
{
	struct kbr_batch batch;
	struct kbr_scan scan;
	const void *body;
	int err;

	err = kbr_scan_start(&scan, file, *pos, seg->size, KBR_RECOVERY_CHUNK);
	if (err)
		return err;
	while ((err = kbr_scan_header(&scan, &batch)) == 1) {
		if (batch.base_offset < rec->offset ||
		    kbr_batch_last_offset(&batch) >= offset_end ||
		    kbr_batch_last_offset(&batch) - seg->base > S32_MAX)
			break;
		err = kbr_scan_body(&scan, &batch, &body);
		if (err || kbr_batch_check_crc(body, batch.size))
			break;
		kbr_segment_note_batch(rec->log, seg, &batch, scan.pos);
		err = kbr_log_note_epoch_locked(rec->log, batch.leader_epoch, batch.base_offset);
		if (err)
			break;
		rec->offset = kbr_batch_last_offset(&batch) + 1;
		kbr_scan_next(&scan, &batch);
	}
	*pos = scan.pos;
	rec->report->scanned_bytes += scan.bytes;
	kbr_scan_stop(&scan);
	return err == -EBADMSG ? 0 : min(err, 0);
}

/* Below the recovery point something is wrong at rec->offset: stop there, remove nothing. */
static int kbr_recovery_damaged(struct kbr_recovery *rec, unsigned int at, u32 pos)
{
	struct kbr_segment *seg = kbr_log_list_locked(rec->log)->seg[at];

	rec->report->damaged_offset = rec->offset;
	WRITE_ONCE(rec->log->stopped, -EBADMSG);
	seg->size = pos;
	seg->synced = pos;
	return kbr_recovery_drop(rec, at + 1, false);
}

/* The log ends in segment number @at, at @pos: what follows was never acknowledged. */
static int kbr_recovery_cut(struct kbr_recovery *rec, unsigned int at, u32 pos)
{
	struct kbr_segment_list *list = kbr_log_list_locked(rec->log);
	struct kbr_segment *seg = list->seg[at];
	struct kbr_files *files;
	int err;

	if (pos == seg->size && at == list->count - 1)
		return 0;
	rec->report->cut_offset = rec->offset;
	err = kbr_recovery_drop(rec, at + 1, true);
	if (!err)
		err = kbr_dir_sync(rec->log->env->dir, rec->log->name);
	if (err || pos == seg->size)
		return err;
	files = kbr_files_get(rec->log, seg);
	if (IS_ERR(files))
		return PTR_ERR(files);
	/* the walk made index entries for good batches only */
	err = kbr_file_truncate(files->log, pos);
	kbr_files_put(files);
	rec->report->cut_bytes += seg->size - pos;
	seg->size = pos;
	seg->synced = pos;
	return err;
}

/* What was cut, the indexes made anew, and names: durable before anybody builds on them. */
static int kbr_recovery_sync(struct kbr_recovery *rec, unsigned int from)
{
	struct kbr_segment_list *list = kbr_log_list_locked(rec->log);
	int err = 0;

	for (; from < list->count && !err; from++) {
		struct kbr_files *files = kbr_files_get(rec->log, list->seg[from]);
		struct kbr_file *file[3];
		int errs[3];

		if (IS_ERR(files))
			return PTR_ERR(files);
		file[0] = files->log;
		file[1] = kbr_files_index(rec->log, list->seg[from], files);
		file[2] = kbr_files_time(rec->log, list->seg[from], files);
		err = PTR_ERR_OR_ZERO(file[1]) ?: PTR_ERR_OR_ZERO(file[2]);
		if (!err)
			err = kbr_file_sync_many(rec->log->env->dir, file, errs, 3);
		kbr_files_put(files);
	}
	return err ?: kbr_dir_sync(rec->log->env->dir, rec->log->name);
}

/*
 * A sync that failed earlier in this boot has left in the page cache what is
 * not on the disk, and marked it clean: no later sync would tell. Only the disk
 * does, once it has been given what is dirty still.
 */
static int kbr_recovery_disbelieve_cache(struct kbr_file *file, u32 pos)
{
	return kbr_file_sync(file) ?: kbr_file_invalidate(file, pos);
}

/* One segment after a crash. 1: it is good to its end; 0: the log ends in it; or an error. */
static int kbr_recovery_check_segment(struct kbr_recovery *rec, unsigned int at)
{
	struct kbr_segment_list *list = kbr_log_list_locked(rec->log);
	struct kbr_segment *next = at + 1 < list->count ? list->seg[at + 1] : NULL;
	s64 offset_end = next && next->size ? next->base : S64_MAX;
	struct kbr_segment *seg = list->seg[at];
	struct kbr_files *files = kbr_files_get(rec->log, seg);
	bool damaged = false;
	u32 pos = 0;
	int err;

	if (IS_ERR(files))
		return PTR_ERR(files);
	rec->offset = seg->base;
	if (rec->recovery_point > seg->base) {
		err = kbr_recovery_find_point(rec, seg, files, &pos);
		damaged = !err && rec->offset < rec->recovery_point && pos < seg->size;
		/* a compacted log may have no record at the recovery point */
		if (damaged && rec->log->config->compact)
			damaged = false;
	} else {
		err = kbr_segment_cut_index(rec->log, seg, files, seg->base, 0, &pos);
		if (seg->size)
			rec->report->rebuilt_indexes++;
	}
	if (!err && !damaged && pos < seg->size)
		err = kbr_recovery_disbelieve_cache(files->log, pos);
	if (!err && !damaged)
		err = kbr_recovery_check(rec, seg, files->log, offset_end, &pos);
	kbr_files_put(files);
	if (err)
		return err;
	/* an empty one, which this one went past: a failed roll left it */
	if (next && !next->size && rec->offset > next->base) {
		next = NULL;
		err = kbr_recovery_drop(rec, at + 1, false);
		if (err)
			return err;
	}
	if (rec->offset < rec->recovery_point &&
	    (damaged || pos < seg->size || !next || !rec->log->config->compact))
		return kbr_recovery_damaged(rec, at, pos);
	/* a hole before the next segment: what was between was never acknowledged, so is what follows */
	if (pos < seg->size || !next ||
	    (rec->offset != next->base && !rec->log->config->compact))
		return kbr_recovery_cut(rec, at, pos);
	/* its entries are written before the next segment's begin */
	kbr_segment_seal_index(rec->log, seg);
	return 1;
}

static int kbr_recovery_unclean(struct kbr_recovery *rec)
{
	struct kbr_segment_list *list = kbr_log_list_locked(rec->log);
	unsigned int first = list->count - 1, at;
	int err;

	/*
	 * A segment that ends at the recovery point may have been closed after
	 * that was noted: the last entries of its indexes are not vouched for.
	 */
	while (first && list->seg[first]->base >= rec->recovery_point)
		first--;
	err = kbr_recovery_missing_indexes(rec, first);
	if (err)
		return err;
	for (at = first; at < list->count; at++) {
		err = kbr_recovery_check_segment(rec, at);
		if (err <= 0)
			break;
	}
	if (err < 0)
		return err;
	/* nothing above the recovery point: nothing to make durable */
	if (rec->log->stopped || (!rec->report->scanned_bytes && rec->report->cut_offset < 0))
		return 0;
	return kbr_recovery_sync(rec, first);
}

static int kbr_recovery_clean(struct kbr_recovery *rec)
{
	struct kbr_segment_list *list = kbr_log_list_locked(rec->log);
	int err;

	err = kbr_recovery_missing_indexes(rec, list->count - 1);
	if (!err)
		err = kbr_recovery_clean_tail(rec, list->seg[list->count - 1]);
	if (err < 0)
		return err;
	if (err && rec->offset >= rec->recovery_point) {
		rec->report->clean = !rec->report->rebuilt_indexes;
		return 0;
	}
	/* a clean stop does not leave this: check what the checkpoint does not vouch for */
	return kbr_recovery_unclean(rec);
}

/* leader-epoch-checkpoint up to the recovery point; the check adds what is behind it */
static int kbr_recovery_load_epochs(struct kbr_recovery *rec, bool clean)
{
	char *path = kbr_log_path(rec->log, KBR_LOG_EPOCH_FILE), *buf;
	struct kbr_epoch_cache *cache, *cut;
	size_t len;
	int err;

	if (!path)
		return -ENOMEM;
	err = kbr_checkpoint_read(rec->log->env->dir, path, KBR_EPOCH_FILE_MAX, &buf, &len);
	kfree(path);
	if (!err) {
		err = kbr_epoch_decode(buf, len, &cache);
		kvfree(buf);
	}
	if (err == -ENOENT || err == -EBADMSG || err == -EFBIG) {
		rec->epochs_lost = true;
		return 0;
	}
	if (err || !cache)
		return err;
	cut = clean ? cache : kbr_epoch_cut_end(cache, rec->recovery_point);
	if (cut != cache)
		kvfree(cache);
	err = kbr_log_set_epochs_locked(rec->log, cut);
	/* as it is on disk */
	if (cut == cache)
		rec->log->epochs_dirty = false;
	return err;
}

/* Call @note for every batch header from @from to the end of the log. */
static int kbr_recovery_replay(struct kbr_log *log, s64 from,
			       int (*note)(struct kbr_log *log, const struct kbr_batch *batch))
{
	struct kbr_segment_list *list = kbr_log_list_locked(log);
	unsigned int i;
	int err = 0;

	for (i = 0; i < list->count && !err; i++) {
		struct kbr_segment *seg = list->seg[i];
		struct kbr_files *files;
		struct kbr_batch batch;
		struct kbr_scan scan;
		u32 pos = 0;

		if (i + 1 < list->count && list->seg[i + 1]->base <= from)
			continue;
		if (!seg->size || log->end <= from)
			continue;
		files = kbr_files_get(log, seg);
		if (IS_ERR(files))
			return PTR_ERR(files);
		err = kbr_segment_locate(log, seg, files, from, seg->size, &pos, &batch);
		if (err == 1)
			err = kbr_scan_start(&scan, files->log, pos, seg->size,
					     KBR_RECOVERY_HEADERS);
		if (!err && pos < seg->size) {
			while (!err && (err = kbr_scan_header(&scan, &batch)) == 1) {
				err = note(log, &batch);
				kbr_scan_next(&scan, &batch);
			}
			kbr_scan_stop(&scan);
		}
		kbr_files_put(files);
		/* damage below the recovery point is found by readers and by the scrub */
		if (err == -EBADMSG)
			err = 0;
	}
	return err;
}

static int kbr_recovery_note_epoch(struct kbr_log *log, const struct kbr_batch *batch)
{
	return kbr_log_note_epoch_locked(log, batch->leader_epoch, batch->base_offset);
}

static int kbr_recovery_note_producer(struct kbr_log *log, const struct kbr_batch *batch)
{
	if (batch->producer_id < 0)
		return 0;
	if (!log->producers)
		log->producers = kbr_producer_table_create();
	return log->producers ? kbr_producer_update(log->producers, batch) : -ENOMEM;
}

/* As kbr_recovery_disbelieve_cache(), but what is lost of a snapshot its CRC tells. */
static int kbr_recovery_disbelieve_snapshot(struct kbr_log *log, const char *path)
{
	struct kbr_file *file;
	int err;

	err = kbr_file_open(log->env->dir, path, 0, &file);
	if (err)
		return err;
	kbr_file_sync(file);
	err = kbr_file_invalidate(file, 0);
	kbr_file_close(file);
	return err;
}

static int kbr_recovery_read_snapshot(struct kbr_log *log, const struct kbr_found *f, bool clean)
{
	struct kbr_producer_table *table;
	char *path, *buf;
	size_t len;
	int err = 0;

	path = kbr_found_path(log, f, KBR_FOUND_LIVE);
	if (!path)
		return -ENOMEM;
	if (!clean)
		err = kbr_recovery_disbelieve_snapshot(log, path);
	if (!err)
		err = kbr_checkpoint_read(log->env->dir, path, KBR_SNAPSHOT_FILE_MAX, &buf, &len);
	kfree(path);
	if (err)
		return err;
	table = kbr_producer_table_create();
	err = table ? kbr_producer_decode(table, buf, len) : -ENOMEM;
	kvfree(buf);
	if (!err && kbr_producer_table_count(table)) {
		log->producers = table;
		return 0;
	}
	kbr_producer_table_destroy(table);
	return err;
}

int kbr_log_load_producers_locked(struct kbr_log *log, bool clean)
{
	struct kbr_found_all all = { .file = NULL };
	/* below the log's start, too: who wrote there last may still repeat it */
	s64 from = kbr_log_list_locked(log)->seg[0]->base;
	bool cut = false;
	size_t i;
	int err;

	lockdep_assert_held(&log->lock);
	kbr_producer_table_destroy(log->producers);
	log->producers = NULL;
	log->snapshot = -1;
	log->snapshot_wanted = -1;
	log->snapshot_durable = -1;
	err = kbr_found_list(log, &all);
	for (i = all.count; i-- > 0 && !err;) {
		struct kbr_found *f = &all.file[i];

		if (f->kind != KBR_FOUND_SNAPSHOT || f->state != KBR_FOUND_LIVE)
			continue;
		/* of offsets that are gone, or of an earlier stop */
		if (f->base > log->end ||
		    (log->snapshot >= 0 && !kbr_found_has(&all, f->base, KBR_FOUND_LOG))) {
			cut |= f->base > log->end;
			err = kbr_found_unlink(log, f);
			continue;
		}
		if (log->snapshot >= 0)
			continue;
		err = kbr_recovery_read_snapshot(log, f, clean);
		if (!err) {
			log->snapshot = f->base;
			from = max(from, f->base);
		} else if (err == -EBADMSG || err == -EFBIG) {
			err = kbr_found_unlink(log, f);
		}
	}
	kvfree(all.file);
	/* One that a loss of power brings back would be believed of what comes at its offsets. */
	if (!err && cut)
		err = kbr_dir_sync(log->env->dir, log->name);
	return err ?: kbr_recovery_replay(log, from, kbr_recovery_note_producer);
}

int kbr_log_drop_snapshots_locked(struct kbr_log *log)
{
	struct kbr_found_all all = { .file = NULL };
	size_t i;
	int err;

	lockdep_assert_held(&log->lock);
	log->snapshot = -1;
	log->snapshot_wanted = -1;
	log->snapshot_durable = -1;
	err = kbr_found_list(log, &all);
	for (i = 0; i < all.count && !err; i++)
		if (all.file[i].kind == KBR_FOUND_SNAPSHOT)
			err = kbr_found_unlink(log, &all.file[i]);
	kvfree(all.file);
	return err ?: kbr_dir_sync(log->env->dir, log->name);
}

/* The parts are known: start, end, sizes, epochs. */
static int kbr_recovery_finish(struct kbr_recovery *rec, bool clean, s64 start_checkpoint)
{
	struct kbr_log *log = rec->log;
	struct kbr_segment_list *list = kbr_log_list_locked(log);
	struct kbr_epoch_cache *epochs;
	unsigned int i;
	int err;

	log->start = max(start_checkpoint, list->seg[0]->base);
	log->end = rec->offset;
	log->synced = log->end;
	/* damage stays known: the next start must not take the end for what was promised */
	if (log->stopped)
		log->checkpoint = rec->recovery_point;
	else
		log->checkpoint = clean ? log->end : min(rec->recovery_point, log->end);
	for (i = 0; i < list->count; i++)
		log->size += list->seg[i]->size;
	if (log->start > log->end && !log->stopped) {
		/* delete-records went further than what is left */
		err = kbr_log_restart_locked(log, log->start);
		if (err)
			return err;
	}
	log->start = min(log->start, log->end);
	kbr_log_set_end_locked(log, log->end);
	if (rec->epochs_lost && log->end > log->start) {
		err = kbr_recovery_replay(log, log->start, kbr_recovery_note_epoch);
		if (err)
			return err;
	}
	epochs = rcu_dereference_protected(log->epochs, lockdep_is_held(&log->lock));
	err = kbr_log_set_epochs_locked(log, kbr_epoch_cut_end(epochs, log->end));
	epochs = rcu_dereference_protected(log->epochs, lockdep_is_held(&log->lock));
	if (!err)
		err = kbr_log_set_epochs_locked(log, kbr_epoch_cut_start(epochs, log->start));
	log->epoch = kbr_log_last_epoch(log);
	return err ?: kbr_log_load_producers_locked(log, clean);
}

static int kbr_log_recover(struct kbr_recovery *rec, bool clean, s64 start_checkpoint)
{
	struct kbr_log *log = rec->log;
	int err;

	err = kbr_found_list(log, &rec->found);
	if (!err)
		err = kbr_found_tidy(log, &rec->found);
	if (!err)
		err = kbr_recovery_segments(rec, start_checkpoint);
	if (!err)
		err = kbr_recovery_load_epochs(rec, clean);
	if (!err)
		err = clean ? kbr_recovery_clean(rec) : kbr_recovery_unclean(rec);
	if (!err)
		err = kbr_recovery_finish(rec, clean, start_checkpoint);
	if (!err && !log->stopped)
		kbr_recovery_unlink_skipped(rec);
	kvfree(rec->found.file);
	return err;
}

/* Nothing was learned from the disk: what was known before must be noted again. */
static void kbr_log_keep_checkpoints(struct kbr_log *log, s64 recovery_point, s64 start)
{
	WRITE_ONCE(log->checkpoint, recovery_point);
	WRITE_ONCE(log->start, start);
	WRITE_ONCE(log->synced, start);
	WRITE_ONCE(log->end, start);
}

int kbr_log_open(struct kbr_log *log, struct kbr_log_env *env, const char *name,
		 const u8 topic_id[16], const struct kbr_log_config *config, bool clean,
		 s64 recovery_point, s64 start_checkpoint, struct kbr_log_report *report)
{
	struct kbr_recovery rec = {
		.log = log,
		.report = report,
		.recovery_point = max_t(s64, recovery_point, 0),
	};
	int err;

	memset(report, 0, sizeof(*report));
	report->cut_offset = -1;
	report->damaged_offset = -1;
	err = kbr_log_init(log, env, name, config);
	if (err)
		return err;
	err = kbr_log_check_metadata(log, topic_id);
	if (!err) {
		mutex_lock(&log->lock);
		err = kbr_log_recover(&rec, clean, max_t(s64, start_checkpoint, 0));
		mutex_unlock(&log->lock);
	}
	if (err) {
		kbr_log_free(log);
		kbr_log_keep_checkpoints(log, rec.recovery_point, max_t(s64, start_checkpoint, 0));
	}
	return err;
}
KBR_EXPORT_IF_KUNIT(kbr_log_open);
