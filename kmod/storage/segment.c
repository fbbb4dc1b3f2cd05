// SPDX-License-Identifier: GPL-2.0-only
/*
 * One segment: its index entries, finding a batch in it, walking it.
 * Appending, rolling and removing segments is the log's (log.c,
 * log_retention.c), judging what a crash left recovery.c's.
 */
#include <linux/kernel.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/sched.h>
#include <linux/slab.h>

#include "base/clock.h"
#include "base/kunit.h"
#include "base/limits.h"
#include "storage/log_internal.h"

struct kbr_segment *kbr_segment_alloc(s64 base)
{
	struct kbr_segment *seg = kzalloc(sizeof(*seg), GFP_KERNEL_ACCOUNT);

	if (!seg)
		return NULL;
	kref_init(&seg->ref);
	INIT_LIST_HEAD(&seg->dirty);
	INIT_LIST_HEAD(&seg->doomed);
	seg->base = base;
	seg->time_last = -1;
	seg->first_timestamp = KBR_TIME_UNKNOWN;
	seg->max_timestamp = -1;
	seg->max_timestamp_offset = base;
	seg->created_ms = kbr_clock_now_ms();
	return seg;
}

static void kbr_segment_release(struct kref *ref)
{
	struct kbr_segment *seg = container_of(ref, struct kbr_segment, ref);

	kfree_rcu(seg, rcu);
}

void kbr_segment_put(struct kbr_segment *seg)
{
	kref_put(&seg->ref, kbr_segment_release);
}
KBR_EXPORT_IF_KUNIT(kbr_segment_put);

char *kbr_segment_path(const struct kbr_log *log, s64 base, const char *suffix)
{
	return kasprintf(GFP_KERNEL, "%s/%020lld%s", log->name, base, suffix);
}

static struct kbr_index_tail *kbr_segment_index_tail(struct kbr_log *log, struct kbr_segment *seg)
{
	struct kbr_index_tail *tail = log->index_tail;

	if (!tail) {
		tail = kzalloc(sizeof(*tail), GFP_KERNEL_ACCOUNT);
		log->index_tail = tail;
	} else if (tail->offsets == KBR_INDEX_TAIL || tail->times == KBR_INDEX_TAIL) {
		kbr_segment_flush_index(log, seg);
	}
	return tail;
}

static void kbr_segment_note_time(struct kbr_segment *seg, struct kbr_index_tail *tail)
{
	struct kbr_time_disk *d = &tail->time[tail->times];

	if (seg->max_timestamp <= seg->time_last)
		return;
	d->timestamp = cpu_to_be64(seg->max_timestamp);
	d->offset = cpu_to_be32(seg->max_timestamp_offset - seg->base);
	tail->times++;
	seg->time_last = seg->max_timestamp;
}

void kbr_segment_note_batch(struct kbr_log *log, struct kbr_segment *seg,
			    const struct kbr_batch *batch, u32 pos)
{
	struct kbr_index_tail *tail;
	struct kbr_index_disk *d;

	lockdep_assert_held(&log->lock);
	if (!pos)
		seg->first_timestamp = batch->max_timestamp;
	if (batch->max_timestamp > seg->max_timestamp) {
		WRITE_ONCE(seg->max_timestamp, batch->max_timestamp);
		WRITE_ONCE(seg->max_timestamp_offset, kbr_batch_last_offset(batch));
	}
	if (pos - seg->indexed_pos <= READ_ONCE(log->config->index_interval_bytes))
		return;
	tail = kbr_segment_index_tail(log, seg);
	if (!tail)
		return;		/* the index is sparser here, as after a failed flush */
	d = &tail->offset[tail->offsets++];
	d->offset = cpu_to_be32(kbr_batch_last_offset(batch) - seg->base);
	d->pos = cpu_to_be32(pos);
	seg->indexed_pos = pos;
	kbr_segment_note_time(seg, tail);
}

static int kbr_segment_write_times(struct kbr_log *log, struct kbr_segment *seg,
				   struct kbr_files *files, const struct kbr_time_disk *times,
				   unsigned int count)
{
	struct kbr_file *file = kbr_files_time(log, seg, files);
	int err = PTR_ERR_OR_ZERO(file);

	if (!err)
		err = kbr_file_write(file, times, count * sizeof(*times),
				     (loff_t)seg->time_count * sizeof(*times));
	if (err)
		return err;
	seg->time_last = be64_to_cpu(times[count - 1].timestamp);
	/* pairs with the acquire in kbr_segment_time_count() */
	smp_store_release(&seg->time_count, seg->time_count + count);
	return 0;
}

static int kbr_segment_write_index(struct kbr_log *log, struct kbr_segment *seg,
				   struct kbr_index_tail *tail)
{
	struct kbr_files *files = kbr_files_get(log, seg);
	struct kbr_file *file;
	int err = 0;

	if (IS_ERR(files))
		return PTR_ERR(files);
	if (tail->offsets) {
		file = kbr_files_index(log, seg, files);
		err = PTR_ERR_OR_ZERO(file);
		if (!err)
			err = kbr_file_write(file, tail->offset,
					     tail->offsets * sizeof(*tail->offset),
					     (loff_t)seg->index_count * sizeof(*tail->offset));
		if (!err)
			/* pairs with the acquire in kbr_segment_index_count() */
			smp_store_release(&seg->index_count, seg->index_count + tail->offsets);
	}
	if (tail->times && !err)
		err = kbr_segment_write_times(log, seg, files, tail->time, tail->times);
	kbr_files_put(files);
	return err;
}

/* A write failed: the files end with the last good entry again, now or at the next try. */
static int kbr_segment_trim_index(struct kbr_log *log, struct kbr_segment *seg)
{
	struct kbr_files *files = kbr_files_get(log, seg);
	struct kbr_time_entry last = { .timestamp = -1 };
	struct kbr_file *index, *time;
	int err;

	seg->index_due = true;
	if (IS_ERR(files))
		return PTR_ERR(files);
	index = kbr_files_index(log, seg, files);
	time = kbr_files_time(log, seg, files);
	err = PTR_ERR_OR_ZERO(index) ?: PTR_ERR_OR_ZERO(time);
	if (!err)
		err = kbr_file_truncate(index, (loff_t)seg->index_count *
						sizeof(struct kbr_index_disk));
	if (!err)
		err = kbr_file_truncate(time, (loff_t)seg->time_count *
					      sizeof(struct kbr_time_disk));
	if (!err && seg->time_count)
		err = kbr_time_index_read(time, seg->time_count - 1, &last);
	if (!err) {
		/* the largest timestamp may be among what is dropped: it is due again */
		seg->time_last = last.timestamp;
		seg->index_due = false;
	}
	kbr_files_put(files);
	return err;
}

void kbr_segment_flush_index(struct kbr_log *log, struct kbr_segment *seg)
{
	struct kbr_index_tail *tail = log->index_tail;
	int err = 0;

	lockdep_assert_held(&log->lock);
	if (!tail || (!tail->offsets && !tail->times))
		return;
	if (seg->index_due)
		err = kbr_segment_trim_index(log, seg);
	if (!err && kbr_segment_write_index(log, seg, tail))
		kbr_segment_trim_index(log, seg);
	seg->meta_dirty = true;
	log->meta_dirty = true;
	tail->offsets = 0;
	tail->times = 0;
}

static bool kbr_segment_time_due(const struct kbr_segment *seg)
{
	return seg->max_timestamp != KBR_TIME_UNKNOWN && seg->max_timestamp > seg->time_last;
}

void kbr_segment_seal_index(struct kbr_log *log, struct kbr_segment *seg)
{
	struct kbr_index_tail *tail;

	lockdep_assert_held(&log->lock);
	if (kbr_segment_time_due(seg)) {
		tail = kbr_segment_index_tail(log, seg);
		if (tail)
			kbr_segment_note_time(seg, tail);
	}
	kbr_segment_flush_index(log, seg);
	if (kbr_segment_time_due(seg)) {
		seg->index_due = true;
		seg->meta_dirty = true;
		log->meta_dirty = true;
	}
}

int kbr_segment_mend_index(struct kbr_log *log, struct kbr_segment *seg)
{
	struct kbr_time_disk closing;
	struct kbr_files *files;
	int err;

	lockdep_assert_held(&log->lock);
	if (!seg->index_due)
		return 0;
	/* what is gathered for it comes before the closing entry */
	if (seg == kbr_log_active_locked(log))
		kbr_segment_flush_index(log, seg);
	err = kbr_segment_trim_index(log, seg);
	if (err || !kbr_segment_time_due(seg))
		return err;
	files = kbr_files_get(log, seg);
	if (IS_ERR(files)) {
		err = PTR_ERR(files);
	} else {
		closing.timestamp = cpu_to_be64(seg->max_timestamp);
		closing.offset = cpu_to_be32(seg->max_timestamp_offset - seg->base);
		err = kbr_segment_write_times(log, seg, files, &closing, 1);
		kbr_files_put(files);
	}
	seg->index_due = err;
	return err;
}

bool kbr_segment_index_full(const struct kbr_log *log, const struct kbr_segment *seg)
{
	u32 max = READ_ONCE(log->config->index_bytes_max);
	u32 offsets = seg->index_count, times = seg->time_count;

	lockdep_assert_held(&log->lock);
	if (log->index_tail) {
		offsets += log->index_tail->offsets;
		times += log->index_tail->times;
	}
	/* one time entry is kept free for closing the segment */
	return offsets >= max / sizeof(struct kbr_index_disk) ||
	       times + 1 >= max / sizeof(struct kbr_time_disk);
}

u32 kbr_segment_index_count(struct kbr_segment *seg, struct kbr_file *index)
{
	/* pairs with the release in kbr_segment_write_index() */
	u32 count = smp_load_acquire(&seg->index_count);

	if (count == KBR_COUNT_UNKNOWN) {
		count = min_t(loff_t, kbr_file_size(index), KBR_SEGMENT_BYTES_MAX) /
			sizeof(struct kbr_index_disk);
		/* a sealed segment: everybody who looks stores the same */
		WRITE_ONCE(seg->index_count, count);
	}
	return count;
}
KBR_EXPORT_IF_KUNIT(kbr_segment_index_count);

u32 kbr_segment_time_count(struct kbr_segment *seg, struct kbr_file *time)
{
	/* pairs with the release in kbr_segment_write_index() */
	u32 count = smp_load_acquire(&seg->time_count);

	if (count == KBR_COUNT_UNKNOWN) {
		count = min_t(loff_t, kbr_file_size(time), KBR_SEGMENT_BYTES_MAX) /
			sizeof(struct kbr_time_disk);
		WRITE_ONCE(seg->time_count, count);
	}
	return count;
}
KBR_EXPORT_IF_KUNIT(kbr_segment_time_count);

int kbr_segment_load_times(struct kbr_log *log, struct kbr_segment *seg)
{
	struct kbr_time_entry e = { .timestamp = -1 };
	struct kbr_files *files;
	struct kbr_file *file;
	u32 count;
	int err;

	if (READ_ONCE(seg->max_timestamp) != KBR_TIME_UNKNOWN)
		return 0;
	files = kbr_files_get(log, seg);
	if (IS_ERR(files))
		return PTR_ERR(files);
	file = kbr_files_time(log, seg, files);
	err = PTR_ERR_OR_ZERO(file);
	if (!err) {
		count = kbr_segment_time_count(seg, file);
		if (count)
			err = kbr_time_index_read(file, count - 1, &e);
	}
	kbr_files_put(files);
	if (err)
		return err;
	WRITE_ONCE(seg->max_timestamp_offset, seg->base + e.offset);
	WRITE_ONCE(seg->time_last, e.timestamp);
	WRITE_ONCE(seg->max_timestamp, e.timestamp);
	return 0;
}

int kbr_segment_header(struct kbr_file *file, u32 pos, u32 end, struct kbr_batch *batch)
{
	u8 hdr[KBR_BATCH_HEADER_LEN];
	ssize_t got = kbr_file_read(file, hdr, sizeof(hdr), pos);
	int err;

	if (got < 0)
		return got;
	err = kbr_batch_decode(batch, hdr, got);
	if (err || batch->size > end - pos)
		return -EBADMSG;
	return 0;
}
KBR_EXPORT_IF_KUNIT(kbr_segment_header);

/* where the index says to begin the walk to @offset; 0 if it is not to be believed */
static int kbr_segment_floor(struct kbr_log *log, struct kbr_segment *seg, struct kbr_files *files,
			     s64 offset, u32 end, u32 *pos)
{
	u32 rel = min_t(u64, offset - seg->base, U32_MAX), count;
	struct kbr_file *index = kbr_files_index(log, seg, files);
	struct kbr_index_entry e;
	struct kbr_batch batch;
	int err;

	*pos = 0;
	if (IS_ERR(index))
		return PTR_ERR(index) == -ENOMEM ? -ENOMEM : 0;
	count = kbr_segment_index_count(seg, index);
	err = kbr_index_floor(index, count, rel, end, count, &e);
	if (err <= 0)
		return err == -EBADMSG ? 0 : err;
	if (e.pos >= end || kbr_segment_header(files->log, e.pos, end, &batch))
		return 0;
	if (kbr_batch_last_offset(&batch) == seg->base + e.offset)
		*pos = e.pos;
	return 0;
}

int kbr_segment_locate(struct kbr_log *log, struct kbr_segment *seg, struct kbr_files *files,
		       s64 offset, u32 end, u32 *pos, struct kbr_batch *batch)
{
	int err = 0;

	if (!*pos && offset > seg->base)
		err = kbr_segment_floor(log, seg, files, offset, end, pos);
	if (err)
		return err;
	while (*pos < end) {
		err = kbr_segment_header(files->log, *pos, end, batch);
		if (err)
			return err;
		if (kbr_batch_last_offset(batch) >= offset)
			return 1;
		*pos += batch->size;
		cond_resched();
	}
	return 0;
}
KBR_EXPORT_IF_KUNIT(kbr_segment_locate);

int kbr_segment_cut_index(struct kbr_log *log, struct kbr_segment *seg, struct kbr_files *files,
			  s64 offset, u32 pos, u32 *rewalk)
{
	u64 offset_end = offset - seg->base;
	struct kbr_file *index, *time;
	struct kbr_index_entry last;
	struct kbr_time_entry tlast;
	s64 count, tcount;
	int err;

	lockdep_assert_held(&log->lock);
	if (log->index_tail) {
		log->index_tail->offsets = 0;
		log->index_tail->times = 0;
	}
	index = kbr_files_index(log, seg, files);
	if (IS_ERR(index))
		return PTR_ERR(index);
	time = kbr_files_time(log, seg, files);
	if (IS_ERR(time))
		return PTR_ERR(time);
	count = kbr_index_check(index, offset_end, pos, &last);
	if (count < 0)
		return count;
	tcount = kbr_time_index_check(time, offset_end, &tlast);
	if (tcount < 0)
		return tcount;
	/*
	 * Time entries beyond the last offset entry (the closing one, or entries
	 * whose partner was lost) are made again by the walk.
	 */
	while (tcount && tlast.offset > last.offset) {
		tcount--;
		tlast.timestamp = -1;
		tlast.offset = 0;
		if (tcount) {
			err = kbr_time_index_read(time, tcount - 1, &tlast);
			if (err)
				return err;
		}
	}
	err = kbr_file_truncate(index, count * sizeof(struct kbr_index_disk));
	if (!err)
		err = kbr_file_truncate(time, tcount * sizeof(struct kbr_time_disk));
	if (err)
		return err;
	/* pairs with the acquires in kbr_segment_index_count() and _time_count() */
	smp_store_release(&seg->index_count, (u32)count);
	/* likewise */
	smp_store_release(&seg->time_count, (u32)tcount);
	seg->index_due = false;
	seg->indexed_pos = last.pos;
	seg->time_last = tlast.timestamp;
	WRITE_ONCE(seg->max_timestamp_offset, seg->base + tlast.offset);
	WRITE_ONCE(seg->max_timestamp, tlast.timestamp);
	seg->meta_dirty = true;
	log->meta_dirty = true;
	*rewalk = last.pos;
	return 0;
}

int kbr_segment_cut(struct kbr_log *log, struct kbr_segment *seg, s64 offset, u32 pos)
{
	struct kbr_files *files = kbr_files_get(log, seg);
	struct kbr_batch batch;
	u32 at;
	int err;

	lockdep_assert_held(&log->lock);
	if (IS_ERR(files))
		return PTR_ERR(files);
	/* the log first: an index that points behind its end is found out, a log never */
	err = kbr_file_truncate(files->log, pos);
	/* a sealed segment is believed to be as long as its file: a crash must not undo this */
	if (!err)
		err = kbr_file_sync(files->log);
	if (!err)
		err = kbr_segment_cut_index(log, seg, files, offset, pos, &at);
	while (!err && at < pos) {
		err = kbr_segment_header(files->log, at, pos, &batch);
		if (!err) {
			kbr_segment_note_batch(log, seg, &batch, at);
			at += batch.size;
		}
	}
	kbr_files_put(files);
	return err;
}

int kbr_scan_start(struct kbr_scan *scan, struct kbr_file *file, u32 pos, u32 end, size_t size)
{
	scan->file = file;
	scan->pos = pos;
	scan->end = end;
	scan->size = size;
	scan->at = pos;
	scan->len = 0;
	scan->bytes = 0;
	scan->buf = kvmalloc(size, GFP_KERNEL_ACCOUNT);
	return scan->buf ? 0 : -ENOMEM;
}
KBR_EXPORT_IF_KUNIT(kbr_scan_start);

/*
 * Have @want bytes at @scan->pos in the buffer. A file that gives fewer, though
 * it is longer, was not read: nobody may call torn what is in it.
 */
static int kbr_scan_fill(struct kbr_scan *scan, size_t want)
{
	size_t room = min_t(size_t, scan->size, scan->end - scan->pos);
	ssize_t got;

	if (scan->pos >= scan->at && scan->pos + want <= scan->at + scan->len)
		return 0;
	if (want > scan->size) {
		void *buf = kvmalloc(want, GFP_KERNEL_ACCOUNT);

		if (!buf)
			return -ENOMEM;
		kvfree(scan->buf);
		scan->buf = buf;
		scan->size = want;
		room = want;
	}
	got = kbr_file_read(scan->file, scan->buf, room, scan->pos);
	scan->at = scan->pos;
	scan->len = max_t(ssize_t, got, 0);
	if (got < 0)
		return got;
	scan->bytes += got;
	cond_resched();
	return got < (ssize_t)want ? -EIO : 0;
}

int kbr_scan_header(struct kbr_scan *scan, struct kbr_batch *batch)
{
	size_t have;
	int err;

	if (scan->pos >= scan->end)
		return 0;
	if (scan->end - scan->pos < KBR_BATCH_HEADER_LEN)
		return -EBADMSG;
	err = kbr_scan_fill(scan, KBR_BATCH_HEADER_LEN);
	if (err)
		return err;
	have = scan->at + scan->len - scan->pos;
	if (kbr_batch_decode(batch, scan->buf + (scan->pos - scan->at), have) ||
	    batch->size > scan->end - scan->pos)
		return -EBADMSG;
	return 1;
}
KBR_EXPORT_IF_KUNIT(kbr_scan_header);

int kbr_scan_body(struct kbr_scan *scan, const struct kbr_batch *batch, const void **body)
{
	int err = kbr_scan_fill(scan, batch->size);

	if (err)
		return err;
	*body = scan->buf + (scan->pos - scan->at);
	return 0;
}
KBR_EXPORT_IF_KUNIT(kbr_scan_body);

void kbr_scan_stop(struct kbr_scan *scan)
{
	kvfree(scan->buf);
	scan->buf = NULL;
}
KBR_EXPORT_IF_KUNIT(kbr_scan_stop);
