// SPDX-License-Identifier: GPL-2.0-only
/* A log on the RAM disk for tests; see log_fixture.h. */
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/uio.h>

#include "codec/record.h"
#include "tests/log_fixture.h"

const u8 fix_topic_id[16] = {
	0x7a, 0x1b, 0x2c, 0x3d, 0x4e, 0x5f, 0x60, 0x71, 0x82, 0x93, 0xa4, 0xb5, 0xc6, 0xd7, 0xe8, 0xf9,
};

struct fix *fix_alloc(u64 seed)
{
	struct fix *fix = kzalloc(sizeof(*fix), GFP_KERNEL);

	if (!fix)
		return NULL;
	fix->buf = kvmalloc(FIX_BUF_SIZE, GFP_KERNEL);
	fix->out = kvmalloc(FIX_BUF_SIZE, GFP_KERNEL);
	fix->dir = kbr_ram_create(seed);
	if (!fix->buf || !fix->out || !fix->dir || kbr_log_env_init(&fix->env, fix->dir, 8)) {
		kbr_dir_put(fix->dir);
		kvfree(fix->buf);
		kvfree(fix->out);
		kfree(fix);
		return NULL;
	}
	fix->config = kbr_log_config_default;
	fix->config.segment_bytes = 16384;
	fix->config.index_interval_bytes = 1024;
	return fix;
}

void fix_free(struct fix *fix)
{
	if (fix->opened)
		kbr_log_abandon(&fix->log);
	kbr_log_env_exit(&fix->env);
	kbr_dir_put(fix->dir);
	kvfree(fix->buf);
	kvfree(fix->out);
	kfree(fix);
}

int fix_create(struct fix *fix)
{
	int err = kbr_log_create(&fix->log, &fix->env, FIX_NAME, fix_topic_id, &fix->config, 0);

	fix->opened = !err;
	return err ?: kbr_log_set_epoch(&fix->log, 0);
}

int fix_open(struct fix *fix, bool clean, s64 recovery_point, s64 start)
{
	int err = kbr_log_open(&fix->log, &fix->env, FIX_NAME, fix_topic_id, &fix->config, clean,
			       recovery_point, start, &fix->report);

	fix->opened = !err;
	return err;
}

int fix_close(struct fix *fix)
{
	fix->opened = false;
	return kbr_log_close(&fix->log);
}

int fix_crash(struct fix *fix, u64 seed)
{
	struct kbr_dir *dir = kbr_ram_crash(fix->dir, seed);

	if (!dir)
		return -ENOMEM;
	if (fix->opened)
		kbr_log_abandon(&fix->log);
	fix->opened = false;
	kbr_log_env_exit(&fix->env);
	kbr_dir_put(fix->dir);
	fix->dir = dir;
	return kbr_log_env_init(&fix->env, dir, 8);
}

void fix_reset(struct fix *fix)
{
	fix->len = 0;
	fix->batches = 0;
}

bool fix_add(struct fix *fix, const struct fix_batch *b)
{
	struct kbr_batch_verdict *v = &fix->verdicts[fix->batches];
	u8 *start = fix->buf + fix->len, *value = NULL;
	struct kbr_batch_builder bld;
	struct kbr_record rec = { };
	unsigned int i;
	bool ok = true;
	size_t size;

	if (fix->batches == FIX_BATCHES_MAX)
		return false;
	value = kvmalloc(b->value_len + 1, GFP_KERNEL);
	if (!value)
		return false;
	memset(value, b->fill, b->value_len);
	kbr_batch_builder_init(&bld, start, FIX_BUF_SIZE - fix->len);
	rec.value = value;
	rec.value_len = b->value_len;
	for (i = 0; i < b->records && ok; i++) {
		rec.timestamp = b->timestamp + i;
		ok = !kbr_batch_builder_add(&bld, &rec);
	}
	kvfree(value);
	if (!ok)
		return false;
	size = kbr_batch_builder_finish(&bld);
	memset(v, 0, sizeof(*v));
	if (kbr_batch_decode(&v->batch, start, size))
		return false;
	v->batch.producer_id = b->producer_id;
	if (b->producer_id >= 0) {
		v->batch.producer_epoch = b->producer_epoch;
		v->batch.base_sequence = b->sequence;
		kbr_batch_encode_header(&v->batch, start);
		kbr_batch_seal(start, size);
		if (kbr_batch_decode(&v->batch, start, size))
			return false;
	}
	v->record = -1;
	v->max_timestamp = v->batch.max_timestamp;
	v->max_timestamp_delta = b->records - 1;
	fix->batches++;
	fix->len += size;
	return true;
}

int fix_append(struct fix *fix, struct kbr_append *append)
{
	*append = (struct kbr_append) {
		.buf = fix->buf,
		.len = fix->len,
		.verdicts = fix->verdicts,
		.batches = fix->batches,
		.now_ms = 1000000,
	};
	return kbr_log_append(&fix->log, append, false);
}

s64 fix_append_one(struct fix *fix, unsigned int records, unsigned int value_len, s64 timestamp)
{
	struct fix_batch b = {
		.records = records,
		.value_len = value_len,
		.timestamp = timestamp,
		.producer_id = -1,
		.fill = 'x',
	};
	struct kbr_append append;
	int err;

	fix_reset(fix);
	if (!fix_add(fix, &b))
		return -E2BIG;
	err = fix_append(fix, &append);
	return err ?: append.base_offset;
}

ssize_t fix_read(struct fix *fix, struct kbr_log_pos *pos, s64 limit, size_t max)
{
	struct kvec vec = { .iov_base = fix->out, .iov_len = min_t(size_t, max, FIX_BUF_SIZE) };
	struct iov_iter to;
	size_t room;

	iov_iter_kvec(&to, ITER_DEST, &vec, 1, vec.iov_len);
	return kbr_log_read(&fix->log, pos, limit, &to, &room);
}

s64 fix_walk(struct fix *fix, size_t max)
{
	struct kbr_log_pos pos = { .offset = kbr_log_start(&fix->log) };
	s64 want = -1, records = 0;
	struct kbr_batch batch;
	ssize_t len;
	size_t at;

	while ((len = fix_read(fix, &pos, S64_MAX, max)) > 0) {
		for (at = 0; at < len; at += batch.size) {
			if (kbr_batch_decode(&batch, fix->out + at, len - at) ||
			    batch.size > len - at || kbr_batch_check_crc(fix->out + at, batch.size))
				return -EBADMSG;
			if (want >= 0 && batch.base_offset != want)
				return -EILSEQ;
			want = kbr_batch_last_offset(&batch) + 1;
			records += batch.records_count;
		}
		if (pos.offset != want)
			return -EILSEQ;
	}
	if (!len && pos.offset != kbr_log_end(&fix->log))
		return -ENODATA;
	return len ?: records;
}

int fix_find_time(struct fix *fix, s64 timestamp, s64 limit, s64 *offset, s64 *found)
{
	struct kbr_log_time_search s = {
		.timestamp = timestamp, .limit = limit, .offset = -1, .found = -1,
	};
	int ret;

	do {
		ret = kbr_log_search_time(&fix->log, &s);
	} while (ret > 0);
	*offset = s.offset;
	*found = s.found;
	return ret;
}

int fix_max_timestamp(struct fix *fix, s64 *max)
{
	s64 at = 0;
	int ret;

	*max = -1;
	do {
		ret = kbr_log_search_max_timestamp(&fix->log, &at, max);
	} while (ret > 0);
	return ret;
}

bool fix_exists(struct fix *fix, const char *name)
{
	struct kbr_file *file;
	char path[300];

	snprintf(path, sizeof(path), FIX_NAME "/%s", name);
	if (kbr_file_open(fix->dir, path, KBR_FILE_RDONLY, &file))
		return false;
	kbr_file_close(file);
	return true;
}

static const char *fix_check_segment(struct fix *fix, struct kbr_segment *seg)
{
	struct kbr_files *files = kbr_files_get(&fix->log, seg);
	struct kbr_index_entry last = { };
	struct kbr_time_entry tlast;
	struct kbr_file *index, *time;
	struct kbr_index_disk d;
	struct kbr_batch batch;
	const char *bad = NULL;
	u32 size = kbr_segment_size(seg), count, tcount, i;

	if (IS_ERR(files))
		return "a segment does not open";
	index = kbr_files_index(&fix->log, seg, files);
	time = kbr_files_time(&fix->log, seg, files);
	if (IS_ERR(index) || IS_ERR(time)) {
		bad = "an index does not open";
		goto put;
	}
	count = kbr_segment_index_count(seg, index);
	tcount = kbr_segment_time_count(seg, time);
	if (kbr_index_check(index, S32_MAX, size, &last) < count)
		bad = "an offset index does not rise, or goes beyond its log";
	if (kbr_time_index_check(time, S32_MAX, &tlast) < tcount)
		bad = "a time index does not rise";
	for (i = 0; i < count && !bad; i++) {
		if (kbr_file_read(index, &d, sizeof(d), i * sizeof(d)) != sizeof(d))
			bad = "an offset index is too short";
		else if (kbr_segment_header(files->log, be32_to_cpu(d.pos), size, &batch))
			bad = "an offset index entry points into a batch";
		else if (kbr_batch_last_offset(&batch) != seg->base + be32_to_cpu(d.offset))
			bad = "an offset index entry has the wrong offset";
	}
put:
	kbr_files_put(files);
	return bad;
}

const char *fix_check_indexes(struct fix *fix)
{
	const struct kbr_segment_list *list;
	const char *bad = NULL;
	unsigned int i;

	mutex_lock(&fix->log.lock);
	list = kbr_log_list_locked(&fix->log);
	for (i = 0; i < list->count && !bad; i++) {
		if (i && list->seg[i]->base <= list->seg[i - 1]->base)
			bad = "segments do not rise";
		else
			bad = fix_check_segment(fix, list->seg[i]);
	}
	mutex_unlock(&fix->log.lock);
	return bad;
}
