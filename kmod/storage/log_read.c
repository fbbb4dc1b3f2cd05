// SPDX-License-Identifier: GPL-2.0-only
/*
 * Reading a log: finding whole batches for a reader, by offset or by time, and
 * scrubbing. Takes no lock that an append holds.
 *
 * Two things are looked for: where the batch with the wanted offset begins,
 * and the last border between batches that is neither beyond the limit nor too
 * many bytes away. Both are mostly known without reading: from the reader's
 * hint, the ends of the last appends, the synced end, the end of a sealed
 * segment. The offset index comes next, walking headers last.
 */
#include <linux/err.h>
#include <linux/kernel.h>
#include <linux/module.h>
#include <linux/sched.h>
#include <linux/slab.h>

#include "base/kunit.h"
#include "base/limits.h"
#include "codec/compress.h"
#include "codec/record.h"
#include "storage/log_internal.h"

/* Headers read for one slice when nothing else tells where batches end */
#define KBR_LOG_WALK_MAX	128
/* Lookups tried again when retention removes the segment in between */
#define KBR_LOG_MAP_TRIES	8
/* Bytes read at once by a search by time and by the scrub */
#define KBR_LOG_SCAN_CHUNK	(64U << 10)
/* Bytes that one step of a lookup by time reads */
#define KBR_LOG_SEARCH_BYTES	(1U << 20)

struct kbr_segment *kbr_log_segment_get(struct kbr_log *log, s64 offset, s64 *next)
{
	const struct kbr_segment_list *list;
	struct kbr_segment *seg = NULL;
	unsigned int lo, hi;

	rcu_read_lock();
	list = rcu_dereference(log->segments);
	if (!list)
		goto unlock;
	lo = 0;
	hi = list->count;
	/* the tail is asked for most */
	if (list->seg[hi - 1]->base <= offset)
		lo = hi;
	while (lo < hi) {
		unsigned int mid = lo + (hi - lo) / 2;

		if (list->seg[mid]->base <= offset)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (!lo)
		goto unlock;
	seg = list->seg[lo - 1];
	*next = lo < list->count ? list->seg[lo]->base : S64_MAX;
	if (!kref_get_unless_zero(&seg->ref))
		seg = NULL;
unlock:
	rcu_read_unlock();
	return seg;
}
KBR_EXPORT_IF_KUNIT(kbr_log_segment_get);

/* one lookup under way */
struct kbr_log_reading {
	struct kbr_log *log;
	struct kbr_segment *seg;
	struct kbr_files *files;
	s64 next_base;		/* of the segment after it, S64_MAX none */
	u32 size;		/* of the segment */
	u32 from;		/* position of the first batch */
	u32 to;			/* border behind the last batch */
	s64 next;		/* offset at @to */
};

/* a remembered border exactly at @offset: its position, or -1 */
static s64 kbr_read_border_at(struct kbr_log_reading *r, s64 offset)
{
	const struct kbr_log *log = r->log;
	unsigned int seq, i;
	s64 pos;

	do {
		pos = -1;
		seq = read_seqbegin(&log->tail);
		if (log->tail_base == r->seg->base)
			for (i = 0; i < min_t(u32, log->borders_at, KBR_LOG_BORDERS); i++)
				if (log->borders[i].offset == offset)
					pos = log->borders[i].pos;
		if (log->synced_base == r->seg->base && log->synced == offset)
			pos = log->synced_pos;
	} while (read_seqretry(&log->tail, seq));
	return pos;
}

/* r->from: the batch that holds @pos->offset, or the first after it. 1, 0 not in this segment, error. */
static int kbr_read_find_start(struct kbr_log_reading *r, const struct kbr_log_pos *pos)
{
	struct kbr_batch batch;
	s64 border;

	r->from = 0;
	if (pos->offset <= r->seg->base)
		return r->size > 0;
	if (pos->hint && pos->base == r->seg->base && pos->batch <= pos->offset &&
	    pos->generation == READ_ONCE(r->log->generation) && pos->file_pos < r->size) {
		r->from = pos->file_pos;
		if (pos->batch == pos->offset)
			return 1;
		/* inside a batch: this one mostly, or it was a jump */
		if (!kbr_segment_header(r->files->log, r->from, r->size, &batch) &&
		    batch.base_offset <= pos->offset &&
		    kbr_batch_last_offset(&batch) >= pos->offset)
			return 1;
		r->from = 0;
	}
	border = kbr_read_border_at(r, pos->offset);
	if (border > 0 && border < r->size) {
		r->from = border;
		return 1;
	}
	return kbr_segment_locate(r->log, r->seg, r->files, pos->offset, r->size, &r->from, &batch);
}

/* The newest remembered border that fits: nothing between it and what does not fit is skipped. */
static bool kbr_read_end_by_border(struct kbr_log_reading *r, s64 limit, u32 target)
{
	const struct kbr_log *log = r->log;
	unsigned int seq, i, n;
	bool found;

	do {
		found = false;
		seq = read_seqbegin(&log->tail);
		n = log->tail_base == r->seg->base ? min_t(u32, log->borders_at, KBR_LOG_BORDERS) : 0;
		for (i = 1; i <= n && !found; i++) {
			const struct kbr_log_border *b =
				&log->borders[(log->borders_at - i) % KBR_LOG_BORDERS];

			if (b->offset > limit || b->pos > target || b->pos <= r->from)
				continue;
			r->to = b->pos;
			r->next = b->offset;
			found = true;
		}
		if (!found && log->synced_base == r->seg->base && log->synced == limit &&
		    log->synced_pos <= target && log->synced_pos > r->from) {
			r->to = log->synced_pos;
			r->next = limit;
			found = true;
		}
	} while (read_seqretry(&log->tail, seq));
	/* a reader that ended up with an older size than the border's goes the long way */
	return found && r->to <= r->size;
}

/* The last indexed batch that fits. 1 found, 0 not, or an error. */
static int kbr_read_end_by_index(struct kbr_log_reading *r, s64 limit, u32 target)
{
	struct kbr_file *index = kbr_files_index(r->log, r->seg, r->files);
	struct kbr_index_entry e;
	struct kbr_batch batch;
	u32 count;
	int err;

	if (IS_ERR(index))
		return 0;
	count = kbr_segment_index_count(r->seg, index);
	err = kbr_index_floor(index, count, min_t(u64, limit - 1 - r->seg->base, U32_MAX), target,
			      div_u64((u64)count * target, r->size), &e);
	/* a damaged index only costs time */
	if (err <= 0 || e.pos <= r->from ||
	    kbr_segment_header(r->files->log, e.pos, r->size, &batch) ||
	    kbr_batch_last_offset(&batch) != r->seg->base + e.offset)
		return 0;
	r->to = e.pos;
	r->next = batch.base_offset;
	if (batch.size <= target - e.pos) {
		r->to += batch.size;
		r->next = kbr_batch_last_offset(&batch) + 1;
	}
	return 1;
}

/* Header by header, at least one batch. 1 found, 0 nothing below @limit, or an error. */
static int kbr_read_end_by_walk(struct kbr_log_reading *r, s64 limit, u32 target)
{
	struct kbr_batch batch;
	unsigned int i;
	int err;

	r->to = r->from;
	for (i = 0; i < KBR_LOG_WALK_MAX && r->to < r->size; i++) {
		/* not even a header would fit: save the look at it */
		if (r->to > r->from &&
		    (r->to >= target || target - r->to < KBR_BATCH_HEADER_LEN || r->next >= limit))
			break;
		err = kbr_segment_header(r->files->log, r->to, r->size, &batch);
		if (err)
			return r->to > r->from ? 1 : err;
		if (kbr_batch_last_offset(&batch) >= limit)
			break;
		if (r->to > r->from && batch.size > target - r->to)
			break;
		r->to += batch.size;
		r->next = kbr_batch_last_offset(&batch) + 1;
	}
	return r->to > r->from;
}

/*
 * Is asking the index cheaper than reading headers? There is an entry a batch
 * or one every index.interval.bytes, whichever is rarer; the index costs two
 * small reads, a header one.
 */
static bool kbr_read_index_pays(const struct kbr_log_reading *r, u32 target)
{
	u32 interval = READ_ONCE(r->log->config->index_interval_bytes);
	u32 count = READ_ONCE(r->seg->index_count);

	if (target - r->from <= interval)
		return false;
	return count == KBR_COUNT_UNKNOWN || (u64)(target - r->from) * count > (u64)r->size * 2;
}

static int kbr_read_find_end(struct kbr_log_reading *r, s64 limit, size_t max)
{
	u32 target = r->from + min_t(size_t, max, r->size - r->from);
	int err;

	if (r->next_base <= limit && target == r->size) {
		r->to = r->size;
		r->next = r->next_base;
		return 1;
	}
	if (r->next_base == S64_MAX && kbr_read_end_by_border(r, limit, target))
		return 1;
	if (kbr_read_index_pays(r, target)) {
		err = kbr_read_end_by_index(r, limit, target);
		if (err)
			return err;
	}
	return kbr_read_end_by_walk(r, limit, target);
}

static void kbr_read_fill_slice(const struct kbr_log_reading *r, u32 generation,
				struct kbr_log_slice *slice)
{
	slice->file = r->files->log;
	slice->files = r->files;
	slice->seg = r->seg;
	slice->pos = r->from;
	slice->len = r->to - r->from;
	slice->next = r->next;
	slice->next_pos = (struct kbr_log_pos) {
		.offset = r->next,
		.base = r->seg->base,
		.batch = r->next,
		.file_pos = r->to,
		.generation = generation,
		.hint = true,
	};
}

/* one try: as kbr_log_map(), and -EAGAIN when a segment was removed in between */
static int kbr_log_try_map(struct kbr_log *log, const struct kbr_log_pos *pos, s64 limit, size_t max,
			   struct kbr_log_slice *slice)
{
	/* before the end, so that a truncation in between makes the hint stale */
	u32 generation = READ_ONCE(log->generation);
	struct kbr_log_reading r = { .log = log };
	s64 end = kbr_log_end(log), at = pos->offset;
	int err;

	if (at < kbr_log_start(log) || at > end)
		return -ERANGE;
	limit = min(limit, end);
	do {
		if (at >= limit)
			return 0;
		r.seg = kbr_log_segment_get(log, at, &r.next_base);
		if (!r.seg)
			return -EAGAIN;
		r.files = kbr_files_get(log, r.seg);
		if (IS_ERR(r.files)) {
			err = PTR_ERR(r.files);
			if (err == -ENOENT && READ_ONCE(r.seg->removed))
				err = -EAGAIN;
			kbr_segment_put(r.seg);
			return err;
		}
		r.size = kbr_segment_size(r.seg);
		err = kbr_read_find_start(&r, pos);
		if (err == 1)
			err = kbr_read_find_end(&r, limit, max);
		else if (!err && r.next_base != S64_MAX)
			err = 2;	/* a gap at its end: go on with the next one */
		if (err == 1) {
			kbr_read_fill_slice(&r, generation, slice);
			return 1;
		}
		kbr_files_put(r.files);
		kbr_segment_put(r.seg);
		at = r.next_base;
	} while (err == 2);
	return err;
}

int kbr_log_map(struct kbr_log *log, struct kbr_log_pos *pos, s64 limit, size_t max,
		struct kbr_log_slice *slice)
{
	unsigned int tries = KBR_LOG_MAP_TRIES;
	int err;

	do {
		err = kbr_log_try_map(log, pos, limit, max, slice);
	} while (err == -EAGAIN && --tries);
	if (err == -EAGAIN)
		return -EIO;
	if (err == 1) {
		/* the reader may come again for the same place, for instance with more room */
		pos->base = slice->seg->base;
		pos->batch = pos->offset;
		pos->file_pos = slice->pos;
		pos->generation = slice->next_pos.generation;
		pos->hint = true;
	}
	return err;
}
KBR_EXPORT_IF_KUNIT(kbr_log_map);

void kbr_log_unmap(struct kbr_log_slice *slice)
{
	kbr_files_put(slice->files);
	kbr_segment_put(slice->seg);
}
KBR_EXPORT_IF_KUNIT(kbr_log_unmap);

/* Fewer bytes were taken than were mapped: keep the whole batches, give the rest back. */
static size_t kbr_log_trim(struct kbr_log_slice *slice, size_t got, struct iov_iter *to)
{
	u32 pos = slice->pos, end = slice->pos + got;
	struct kbr_batch batch;

	while (pos < end && !kbr_segment_header(slice->file, pos, end, &batch)) {
		pos += batch.size;
		slice->next = kbr_batch_last_offset(&batch) + 1;
	}
	iov_iter_revert(to, end - pos);
	slice->next_pos.offset = slice->next;
	slice->next_pos.batch = slice->next;
	slice->next_pos.file_pos = pos;
	return pos - slice->pos;
}

static ssize_t kbr_log_copy(struct kbr_log_slice *slice, struct iov_iter *to)
{
	size_t rest = iov_iter_count(to) - slice->len, got = 0;
	ssize_t ret = 0;

	iov_iter_truncate(to, slice->len);
	while (got < slice->len) {
		ret = kbr_file_read_iter(slice->file, to, slice->pos + got);
		if (ret <= 0)
			break;
		got += ret;
	}
	iov_iter_reexpand(to, iov_iter_count(to) + rest);
	if (got < slice->len)
		got = kbr_log_trim(slice, got, to);
	if (got)
		return got;
	/* nothing, and no reason: the file is shorter than it was */
	return ret < 0 ? ret : ret ? -EFAULT : -EBADMSG;
}

ssize_t kbr_log_read(struct kbr_log *log, struct kbr_log_pos *pos, s64 limit,
		     struct iov_iter *to, size_t *room)
{
	size_t max = iov_iter_count(to);
	struct kbr_log_slice slice;
	ssize_t ret;

	ret = kbr_log_map(log, pos, limit, max, &slice);
	if (ret <= 0)
		return ret;
	if (slice.len > max) {
		if (room)
			*room = slice.len;
		ret = -EMSGSIZE;
	} else {
		ret = kbr_log_copy(&slice, to);
		if (ret > 0)
			*pos = slice.next_pos;
	}
	kbr_log_unmap(&slice);
	return ret;
}
KBR_EXPORT_IF_KUNIT(kbr_log_read);

/* The first record of one batch that is late enough. 1 found, 0 not, or an error. */
static int kbr_log_search_batch(struct kbr_log_time_search *s, const struct kbr_batch *batch,
				const void *body)
{
	struct kbr_unpacked records;
	struct kbr_record_iter it;
	struct kbr_record rec;
	int err;

	err = kbr_unpack(batch, body, KBR_UNPACKED_BYTES_MAX, &records);
	if (err)
		return err;
	kbr_record_iter_init(&it, batch, records.data, records.len);
	while ((err = kbr_record_next(&it, &rec)) == 1) {
		if (rec.timestamp < s->timestamp || rec.offset < s->at)
			continue;
		if (rec.offset < s->limit) {
			s->offset = rec.offset;
			s->found = rec.timestamp;
		}
		break;
	}
	kbr_unpacked_release(&records);
	return err;
}

/*
 * Search a piece of one segment that ends at @next. 1: decided (found, or the
 * limit reached); 0: @s->at says where to go on; or an error.
 */
static int kbr_log_search_segment(struct kbr_log *log, struct kbr_segment *seg, s64 next,
				  struct kbr_log_time_search *s)
{
	struct kbr_files *files = kbr_files_get(log, seg);
	struct kbr_time_entry e = { .offset = 0 };
	u32 size = kbr_segment_size(seg), pos = 0;
	struct kbr_batch batch;
	struct kbr_file *time;
	struct kbr_scan scan;
	const void *body;
	int err;

	if (IS_ERR(files))
		return PTR_ERR(files);
	time = kbr_files_time(log, seg, files);
	if (!IS_ERR(time))
		kbr_time_index_floor(time, kbr_segment_time_count(seg, time), s->timestamp, &e);
	err = kbr_segment_locate(log, seg, files, max(seg->base + e.offset, s->at), size, &pos,
				 &batch);
	if (err == 1)
		err = kbr_scan_start(&scan, files->log, pos, size, KBR_LOG_SCAN_CHUNK);
	else if (!err)
		s->at = next;
	if (err || s->at == next)
		goto put;
	while ((err = kbr_scan_header(&scan, &batch)) == 1) {
		if (batch.base_offset >= s->limit)
			break;
		if (batch.max_timestamp >= s->timestamp) {
			err = kbr_scan_body(&scan, &batch, &body);
			if (!err)
				err = kbr_log_search_batch(s, &batch, body);
			if (err)
				break;
		}
		kbr_scan_next(&scan, &batch);
		if (scan.bytes >= KBR_LOG_SEARCH_BYTES) {
			next = kbr_batch_last_offset(&batch) + 1;
			err = 0;
			break;
		}
	}
	kbr_scan_stop(&scan);
	if (!err)
		s->at = next;
put:
	kbr_files_put(files);
	return err;
}

int kbr_log_search_time(struct kbr_log *log, struct kbr_log_time_search *s)
{
	s64 limit = min(s->limit, kbr_log_end(log)), next;
	struct kbr_segment *seg;
	int err;

	s->at = max(s->at, kbr_log_start(log));
	seg = s->at < limit ? kbr_log_segment_get(log, s->at, &next) : NULL;
	if (!seg)
		return 0;
	err = kbr_segment_load_times(log, seg);
	if (!err && READ_ONCE(seg->max_timestamp) >= s->timestamp)
		err = kbr_log_search_segment(log, seg, next, s);
	else if (!err)
		s->at = next;
	/* retention was faster: what it removed is not searched */
	if (err == -ENOENT && READ_ONCE(seg->removed)) {
		s->at = next;
		err = 0;
	}
	kbr_segment_put(seg);
	return err ? min(err, 0) : 1;
}
KBR_EXPORT_IF_KUNIT(kbr_log_search_time);

int kbr_log_search_max_timestamp(struct kbr_log *log, s64 *at, s64 *max)
{
	struct kbr_segment *seg;
	s64 next;
	int err;

	*at = max(*at, kbr_log_start(log));
	seg = *at < kbr_log_end(log) ? kbr_log_segment_get(log, *at, &next) : NULL;
	if (!seg)
		return 0;
	err = kbr_segment_load_times(log, seg);
	*max = max(*max, READ_ONCE(seg->max_timestamp));
	if (err == -ENOENT && READ_ONCE(seg->removed))
		err = 0;
	kbr_segment_put(seg);
	*at = next;
	return err ?: 1;
}
KBR_EXPORT_IF_KUNIT(kbr_log_search_max_timestamp);

/* Check one piece of a segment from pos->file_pos on; file_pos is moved, to the end at damage. */
static int kbr_log_scrub_piece(struct kbr_files *files, struct kbr_log_pos *pos, u32 size,
			       size_t budget, struct kbr_log_damage *damage)
{
	struct kbr_batch batch = { }, after;
	struct kbr_scan scan;
	const void *body;
	size_t done = 0;
	int err;

	err = kbr_scan_start(&scan, files->log, pos->file_pos, size, KBR_LOG_SCAN_CHUNK);
	if (err)
		return err;
	do {
		err = kbr_scan_header(&scan, &batch);
		if (err == 1)
			err = batch.base_offset < pos->offset ? -EBADMSG :
			      kbr_scan_body(&scan, &batch, &body);
		else if (!err)
			break;
		if (!err)
			err = kbr_batch_check_crc(body, batch.size);
		if (err)
			break;
		pos->offset = kbr_batch_last_offset(&batch) + 1;
		kbr_scan_next(&scan, &batch);
		done += batch.size;
	} while (done < budget);
	kbr_scan_stop(&scan);
	pos->file_pos = scan.pos;
	if (err == -EBADMSG || err == -EIO) {
		damage->offset = pos->offset;
		/* the next batch vouches for itself and for where this one ends, or the next segment does */
		if (scan.pos + batch.size < size &&
		    !kbr_segment_header(files->log, scan.pos + batch.size, size, &after) &&
		    after.base_offset > pos->offset && after.base_offset < damage->end)
			damage->end = after.base_offset;
		pos->file_pos = size;
		err = 0;
	}
	return err;
}

int kbr_log_scrub(struct kbr_log *log, struct kbr_log_pos *pos, size_t budget,
		  struct kbr_log_damage *damage)
{
	struct kbr_segment *seg;
	struct kbr_files *files;
	s64 next, start;
	int err;

	damage->offset = -1;
	start = kbr_log_start(log);
	if (!pos->hint || pos->offset < start || pos->generation != READ_ONCE(log->generation)) {
		pos->offset = max(pos->offset, start);
		pos->hint = false;
	}
	seg = kbr_log_segment_get(log, pos->hint ? pos->base : pos->offset, &next);
	if (!seg)
		return 0;
	if (next == S64_MAX) {
		/* the active segment was checked when it was written */
		kbr_segment_put(seg);
		pos->offset = S64_MAX;
		return 0;
	}
	if (!pos->hint || pos->base != seg->base) {
		pos->base = seg->base;
		pos->offset = seg->base;
		pos->file_pos = 0;
		pos->generation = READ_ONCE(log->generation);
		pos->hint = true;
	}
	files = kbr_files_get(log, seg);
	err = PTR_ERR_OR_ZERO(files);
	if (!err) {
		u32 size = kbr_segment_size(seg);

		damage->end = next;
		err = kbr_log_scrub_piece(files, pos, size, budget, damage);
		kbr_files_put(files);
		if (!err && pos->file_pos >= size) {
			/* Nothing leaves gaps between segments: one is missing, or was cut. */
			if (damage->offset < 0 && pos->offset < next)
				damage->offset = pos->offset;
			pos->offset = next;
			pos->hint = false;
		}
	}
	if (err == -ENOENT && READ_ONCE(seg->removed))
		err = 0;
	kbr_segment_put(seg);
	return err;
}
KBR_EXPORT_IF_KUNIT(kbr_log_scrub);
