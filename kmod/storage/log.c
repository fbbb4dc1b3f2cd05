// SPDX-License-Identifier: GPL-2.0-only
/*
 * The log of one partition: life and append.
 *
 * Not here: reading (log_read.c), making durable (log_sync.c), removing and
 * cutting (log_retention.c), opening after a stop or a crash (recovery.c).
 *
 * Barriers: an append writes the file, then publishes the segment's size (D)
 * and the log's end (B), each with release. Who has read an end with acquire
 * finds a segment list that holds every offset below it (the list is published
 * before, in the same order) and sizes that cover it. (A) and (C) publish the
 * start and the synced end.
 */
#include <linux/err.h>
#include <linux/kernel.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/random.h>
#include <linux/sched.h>
#include <linux/slab.h>

#include "base/clock.h"
#include "base/kunit.h"
#include "base/limits.h"
#include "base/uuid.h"
#include "storage/checkpoint.h"
#include "storage/log_internal.h"

const struct kbr_log_config kbr_log_config_default = {
	.segment_bytes = 1U << 30,
	.index_bytes_max = 10U << 20,
	.index_interval_bytes = 4096,
	.segment_ms = 7LL * 24 * 3600 * 1000,
	.segment_jitter_ms = 0,
	.retention_ms = 7LL * 24 * 3600 * 1000,
	.retention_bytes = -1,
	.file_delete_delay_ms = 60000,
	.batch_bytes_max = 1048588,
	.timestamp_before_max_ms = S64_MAX,
	.timestamp_after_max_ms = 3600000,
	.retain = true,
};
KBR_EXPORT_IF_KUNIT(kbr_log_config_default);

int kbr_log_env_init(struct kbr_log_env *env, struct kbr_dir *dir, unsigned int files_max)
{
	memset(env, 0, sizeof(*env));
	env->dir = dir;
	env->producer_expiration_ms = 24LL * 3600 * 1000;
	env->files = kbr_file_cache_create(files_max);
	return env->files ? 0 : -ENOMEM;
}
KBR_EXPORT_IF_KUNIT(kbr_log_env_init);

void kbr_log_env_exit(struct kbr_log_env *env)
{
	kbr_file_cache_destroy(env->files);
	env->files = NULL;
}
KBR_EXPORT_IF_KUNIT(kbr_log_env_exit);

void kbr_log_env_set_files_max(struct kbr_log_env *env, unsigned int files_max)
{
	kbr_file_cache_set_max(env->files, files_max);
}

void kbr_log_env_trim(struct kbr_log_env *env, unsigned int idle_ms)
{
	kbr_file_cache_trim(env->files, idle_ms);
}
KBR_EXPORT_IF_KUNIT(kbr_log_env_trim);

char *kbr_log_path(const struct kbr_log *log, const char *file)
{
	return kasprintf(GFP_KERNEL, "%s/%s", log->name, file);
}

int kbr_log_init(struct kbr_log *log, struct kbr_log_env *env, const char *name,
		 const struct kbr_log_config *config)
{
	memset(log, 0, sizeof(*log));
	mutex_init(&log->lock);
	seqlock_init(&log->tail);
	log->env = env;
	log->config = config;
	log->round = -1;
	log->noted = -1;
	log->snapshot = -1;
	log->snapshot_wanted = -1;
	log->snapshot_durable = -1;
	log->half_made = -1;
	log->synced_base = S64_MIN;
	log->checkpoint_max = S64_MAX;
	INIT_LIST_HEAD(&log->dirty);
	INIT_LIST_HEAD(&log->doomed);
	log->epoch = -1;
	kbr_sync_target_init(&log->sync, &kbr_log_sync_ops);
	log->name = kstrdup(name, GFP_KERNEL_ACCOUNT);
	return log->name ? 0 : -ENOMEM;
}

struct kbr_segment_list *kbr_log_list_alloc(unsigned int count)
{
	struct kbr_segment_list *list;

	list = kvmalloc(struct_size(list, seg, count), GFP_KERNEL_ACCOUNT);
	if (list)
		list->count = count;
	return list;
}

void kbr_log_set_list_locked(struct kbr_log *log, struct kbr_segment_list *list)
{
	struct kbr_segment_list *old = kbr_log_list_locked(log);

	rcu_assign_pointer(log->segments, list);
	if (old)
		kvfree_rcu(old, rcu);
}

int kbr_log_set_epochs_locked(struct kbr_log *log, struct kbr_epoch_cache *cache)
{
	struct kbr_epoch_cache *old = rcu_dereference_protected(log->epochs,
								lockdep_is_held(&log->lock));

	if (IS_ERR(cache))
		return PTR_ERR(cache);
	if (cache == old)
		return 0;
	rcu_assign_pointer(log->epochs, cache);
	if (old)
		kvfree_rcu(old, rcu);
	log->epochs_dirty = true;
	log->meta_dirty = true;
	return 0;
}

int kbr_log_note_epoch_locked(struct kbr_log *log, s32 epoch, s64 start)
{
	struct kbr_epoch_cache *old = rcu_dereference_protected(log->epochs,
								lockdep_is_held(&log->lock));

	/* what nearly every append finds */
	if (likely(epoch <= kbr_epoch_last(old)))
		return 0;
	return kbr_log_set_epochs_locked(log, kbr_epoch_assign(old, epoch, start));
}

void kbr_log_free(struct kbr_log *log)
{
	struct kbr_segment *seg, *next;
	struct kbr_segment_list *list;
	unsigned int i;

	mutex_lock(&log->lock);
	list = kbr_log_list_locked(log);
	for (i = 0; list && i < list->count; i++) {
		kbr_log_forget_unsynced_locked(log, list->seg[i]);
		kbr_files_detach(log, list->seg[i]);
		kbr_segment_put(list->seg[i]);
	}
	kbr_log_set_list_locked(log, NULL);
	list_for_each_entry_safe(seg, next, &log->doomed, doomed) {
		list_del_init(&seg->doomed);
		kbr_segment_put(seg);
	}
	kbr_log_set_epochs_locked(log, NULL);
	kbr_producer_table_destroy(log->producers);
	log->producers = NULL;
	kfree(log->index_tail);
	log->index_tail = NULL;
	kfree(log->name);
	log->name = NULL;
	WRITE_ONCE(log->size, 0);
	mutex_unlock(&log->lock);
}

void kbr_log_publish_start(struct kbr_log *log, s64 start)
{
	lockdep_assert_held(&log->lock);
	smp_store_release(&log->start, start);	/* (A): the list without older segments may follow */
}

void kbr_log_set_end_locked(struct kbr_log *log, s64 end)
{
	struct kbr_segment *seg = kbr_log_active_locked(log);

	lockdep_assert_held(&log->lock);
	write_seqlock(&log->tail);
	log->tail_base = seg->base;
	memset(log->borders, 0, sizeof(log->borders));
	log->borders[0].offset = end;
	log->borders[0].pos = seg->size;
	log->borders_at = 1;
	smp_store_release(&log->end, end);	/* (B) */
	write_sequnlock(&log->tail);
}

static int kbr_log_metadata_text(const u8 topic_id[16], char text[64])
{
	char id[KBR_UUID_TEXT_LEN + 1];

	kbr_uuid_print(topic_id, id);
	return scnprintf(text, 64, "version: 0\ntopic_id: %s\n", id);
}

static int kbr_log_put_metadata(struct kbr_log *log, const u8 topic_id[16], bool sync)
{
	struct kbr_file *file;
	char text[64], *path;
	int err, len;

	len = kbr_log_metadata_text(topic_id, text);
	path = kbr_log_path(log, KBR_LOG_METADATA_FILE);
	if (!path)
		return -ENOMEM;
	err = kbr_file_open(log->env->dir, path, KBR_FILE_CREATE | KBR_FILE_TRUNC, &file);
	kfree(path);
	if (err)
		return err;
	err = kbr_file_write(file, text, len, 0);
	if (!err && sync)
		err = kbr_file_sync(file);
	kbr_file_close(file);
	return err;
}

int kbr_log_write_metadata(struct kbr_log *log, const u8 topic_id[16])
{
	return kbr_log_put_metadata(log, topic_id, true);
}

int kbr_log_check_metadata(struct kbr_log *log, const u8 topic_id[16])
{
	char text[64], *path, *buf;
	size_t len;
	int err;

	path = kbr_log_path(log, KBR_LOG_METADATA_FILE);
	if (!path)
		return -ENOMEM;
	err = kbr_checkpoint_read(log->env->dir, path, 4096, &buf, &len);
	kfree(path);
	if (!err) {
		kbr_log_metadata_text(topic_id, text);
		/* a beginning of it, or zeroes, is what a crash after the creation leaves */
		len = strlen(buf);
		if (strncmp(buf, text, len))
			err = -EBADMSG;
		else if (len < strlen(text))
			err = -ENOENT;
		kvfree(buf);
	}
	return err == -ENOENT ? kbr_log_write_metadata(log, topic_id) : err;
}

int kbr_log_make(struct kbr_log *log, struct kbr_log_env *env, const char *name,
		 const u8 topic_id[16], const struct kbr_log_config *config, s64 start)
{
	int err;

	err = kbr_log_init(log, env, name, config);
	if (err)
		return err;
	log->start = start;
	log->end = start;
	log->synced = start;
	log->checkpoint = start;
	err = kbr_dir_mkdir(env->dir, name);
	if (err)
		goto free;
	mutex_lock(&log->lock);
	err = kbr_log_roll_locked(log);
	mutex_unlock(&log->lock);
	if (!err)
		err = kbr_log_put_metadata(log, topic_id, false);
	if (!err)
		return 0;
	kbr_log_delete(log);
	return err;
free:
	kbr_log_free(log);
	return err;
}
KBR_EXPORT_IF_KUNIT(kbr_log_make);

int kbr_log_create(struct kbr_log *log, struct kbr_log_env *env, const char *name,
		   const u8 topic_id[16], const struct kbr_log_config *config, s64 start)
{
	int err;

	err = kbr_log_make(log, env, name, topic_id, config, start);
	if (err)
		return err;
	err = kbr_log_write_metadata(log, topic_id);
	if (!err)
		err = kbr_dir_sync(env->dir, name);
	if (!err)
		err = kbr_dir_sync(env->dir, "");
	if (err)
		kbr_log_delete(log);
	return err;
}
KBR_EXPORT_IF_KUNIT(kbr_log_create);

int kbr_log_set_epoch(struct kbr_log *log, s32 epoch)
{
	int err = 0;

	mutex_lock(&log->lock);
	if (epoch < log->epoch)
		err = -ESTALE;
	else
		err = kbr_log_note_epoch_locked(log, epoch, log->end);
	if (!err)
		log->epoch = epoch;
	mutex_unlock(&log->lock);
	return err;
}
KBR_EXPORT_IF_KUNIT(kbr_log_set_epoch);

void kbr_log_stop_leading(struct kbr_log *log)
{
	struct kbr_epoch_cache *epochs;

	mutex_lock(&log->lock);
	log->epoch = -1;
	epochs = rcu_dereference_protected(log->epochs, lockdep_is_held(&log->lock));
	/* without memory they are replaced by what begins at the same offset */
	kbr_log_set_epochs_locked(log, kbr_epoch_cut_end(epochs, log->end));
	mutex_unlock(&log->lock);
}
KBR_EXPORT_IF_KUNIT(kbr_log_stop_leading);

s32 kbr_log_last_epoch(struct kbr_log *log)
{
	s32 epoch;

	rcu_read_lock();
	epoch = kbr_epoch_last(rcu_dereference(log->epochs));
	rcu_read_unlock();
	return epoch;
}
KBR_EXPORT_IF_KUNIT(kbr_log_last_epoch);

void kbr_log_epoch_end(struct kbr_log *log, s32 epoch, s32 *found, s64 *end)
{
	rcu_read_lock();
	kbr_epoch_end(rcu_dereference(log->epochs), epoch, kbr_log_end(log), found, end);
	rcu_read_unlock();
}
KBR_EXPORT_IF_KUNIT(kbr_log_epoch_end);

s32 kbr_log_epoch_at(struct kbr_log *log, s64 offset)
{
	s32 epoch;

	rcu_read_lock();
	epoch = kbr_epoch_at(rcu_dereference(log->epochs), offset);
	rcu_read_unlock();
	return epoch;
}
KBR_EXPORT_IF_KUNIT(kbr_log_epoch_at);

static noinline int kbr_log_load_first_timestamp(struct kbr_log *log, struct kbr_segment *seg)
{
	struct kbr_files *files = kbr_files_get(log, seg);
	struct kbr_batch first;
	int err;

	if (IS_ERR(files))
		return PTR_ERR(files);
	err = kbr_segment_header(files->log, 0, seg->size, &first);
	kbr_files_put(files);
	seg->first_timestamp = err ? -1 : first.max_timestamp;
	return 0;
}

s64 kbr_log_age_ms_locked(struct kbr_log *log, s64 timestamp, s64 now_ms)
{
	struct kbr_segment *seg = kbr_log_active_locked(log);

	if (!seg->size)
		return -1;
	if (unlikely(seg->first_timestamp == KBR_TIME_UNKNOWN) &&
	    kbr_log_load_first_timestamp(log, seg))
		return -1;
	if (seg->first_timestamp < 0)
		return max_t(s64, now_ms - seg->created_ms, 0);
	return timestamp < seg->first_timestamp ? 0 : timestamp - seg->first_timestamp;
}

int kbr_log_roll_locked(struct kbr_log *log)
{
	struct kbr_segment_list *old = kbr_log_list_locked(log), *list;
	s64 jitter = min_t(s64, READ_ONCE(log->config->segment_jitter_ms),
			   READ_ONCE(log->config->segment_ms));
	unsigned int count = old ? old->count : 0;
	struct kbr_segment *seg;
	int err;

	lockdep_assert_held(&log->lock);
	if (count && !old->seg[count - 1]->size)
		return 0;
	seg = kbr_segment_alloc(log->end);
	list = kbr_log_list_alloc(count + 1);
	if (!seg || !list) {
		err = -ENOMEM;
		goto free;
	}
	if (jitter > 0)
		seg->jitter_ms = get_random_u32() % min_t(s64, jitter, U32_MAX);
	err = kbr_files_create(log, seg);
	if (err) {
		if (kbr_log_unlink_empty(log, seg->base))
			log->half_made = seg->base;
		goto free;
	}
	if (count) {
		memcpy(list->seg, old->seg, count * sizeof(*list->seg));
		kbr_segment_seal_index(log, old->seg[count - 1]);
		old->seg[count - 1]->meta_dirty = true;
		/* without it recovery reads from an older one on */
		if (!kbr_log_write_snapshot_locked(log))
			seg->snapshot_dirty = true;
		log->meta_dirty = true;
	}
	list->seg[count] = seg;
	kbr_log_set_list_locked(log, list);
	kbr_log_set_end_locked(log, log->end);
	return 0;
free:
	kvfree(list);
	if (seg)
		kbr_segment_put(seg);
	return err;
}

/* one append under way: what the steps tell each other */
struct kbr_log_appending {
	struct kbr_append *append;
	unsigned int first;		/* batches before it are repeats */
	bool producers;			/* sequences are to be checked */
	u8 *buf;			/* of batch @first */
	size_t len;
	s64 end;			/* log end afterwards */
	s64 max_timestamp;
};

/*
 * What the checksum covers is set before the lock is taken: it costs most. From
 * here on the verdicts' headers are what will be in the log.
 */
static int kbr_append_seal(struct kbr_log *log, struct kbr_log_appending *a)
{
	struct kbr_append *append = a->append;
	bool append_time = READ_ONCE(log->config->append_time) && !append->as_follower;
	size_t at = 0;
	unsigned int i;

	if (!append->batches || append->len > KBR_BATCH_BYTES_MAX)
		return -EFBIG;
	for (i = 0; i < append->batches; i++) {
		struct kbr_batch_verdict *v = &append->verdicts[i];
		struct kbr_batch *batch = &v->batch;
		void *buf = append->buf + at;

		if (WARN_ON_ONCE(batch->size > append->len - at))
			return -EINVAL;
		at += batch->size;
		if (append->as_follower)
			continue;
		if (append_time) {
			kbr_batch_set_append_time(buf, batch->size, append->now_ms);
			batch->attributes |= KBR_BATCH_APPEND_TIME;
			batch->max_timestamp = append->now_ms;
		} else if (batch->max_timestamp != v->max_timestamp) {
			kbr_batch_set_max_timestamp(buf, batch->size, v->max_timestamp);
			batch->max_timestamp = v->max_timestamp;
		}
		/* a follower's were the leader's to check */
		a->producers |= batch->producer_id >= 0;
	}
	append->log_append_time = append_time ? append->now_ms : -1;
	return WARN_ON_ONCE(at != append->len) ? -EINVAL : 0;
}

/* Sequences of idempotent producers: 0, or 1 if all of it is a repeat. */
static noinline int kbr_append_check_producers(struct kbr_log *log, struct kbr_log_appending *a)
{
	struct kbr_append *append = a->append;
	struct kbr_producer_hit hit;
	bool begun = false;
	unsigned int i;
	int err;

	for (i = 0; i < append->batches; i++) {
		const struct kbr_batch *batch = &append->verdicts[i].batch;

		if (batch->producer_id < 0)
			continue;
		if (!log->producers)
			log->producers = kbr_producer_table_create();
		if (!log->producers)
			return -ENOMEM;
		if (!begun)
			kbr_producer_begin(log->producers);
		begun = true;
		err = kbr_producer_check(log->producers, batch, &hit);
		if (err == 1 && i == a->first) {
			if (!i) {
				append->base_offset = hit.base_offset;
				if (append->log_append_time >= 0)
					append->log_append_time = hit.timestamp;
			}
			append->last_offset = hit.last_offset;
			a->first++;
			a->buf += batch->size;
			a->len -= batch->size;
		} else if (err) {
			kbr_producer_abort(log->producers);
			/* a repeat behind a new batch: out of order whatever it repeats */
			return err == 1 ? -EILSEQ : err;
		}
	}
	append->duplicate = a->first == append->batches;
	return append->duplicate;
}

/* Offsets and epoch: from the log (leader), or in the batches and checked (follower). */
static int kbr_append_stamp(struct kbr_log *log, struct kbr_log_appending *a)
{
	struct kbr_append *append = a->append;
	u8 *buf = a->buf;
	unsigned int i;

	if (unlikely(log->epoch < 0) && !append->as_follower)
		return -EREMOTE;
	a->end = log->end;
	a->max_timestamp = -1;
	for (i = a->first; i < append->batches; i++) {
		struct kbr_batch *batch = &append->verdicts[i].batch;

		if (append->as_follower) {
			if (batch->base_offset < a->end)
				return -ERANGE;
		} else {
			batch->base_offset = a->end;
			batch->leader_epoch = log->epoch;
			kbr_batch_stamp(buf, a->end, log->epoch);
		}
		if (batch->base_offset > S64_MAX - 1 - batch->last_offset_delta)
			return -EFBIG;
		a->end = kbr_batch_last_offset(batch) + 1;
		a->max_timestamp = max(a->max_timestamp, batch->max_timestamp);
		buf += batch->size;
	}
	if (!a->first)
		append->base_offset = append->verdicts[0].batch.base_offset;
	append->last_offset = a->end - 1;
	return 0;
}

/*
 * The file of a segment that could not be made may have stayed behind. It must
 * go before another segment holds its offsets: Kafka would look for them in it.
 */
static int kbr_append_clear_way(struct kbr_log *log)
{
	int err = 0;

	if (likely(log->half_made < 0))
		return 0;
	/* or it was made after all */
	if (kbr_log_active_locked(log)->base != log->half_made)
		err = kbr_log_unlink_empty(log, log->half_made);
	if (!err)
		log->half_made = -1;
	return err;
}

/* Kafka's conditions for a new segment; then one is made. */
static int kbr_append_make_room(struct kbr_log *log, struct kbr_log_appending *a)
{
	const struct kbr_log_config *config = log->config;
	struct kbr_segment *seg = kbr_log_active_locked(log);
	s64 age = kbr_log_age_ms_locked(log, a->max_timestamp, a->append->now_ms);
	s64 segment_ms = READ_ONCE(config->segment_ms);
	u32 bytes_max = min_t(u32, READ_ONCE(config->segment_bytes), KBR_SEGMENT_BYTES_MAX);
	int err;

	if (seg->size &&
	    (seg->size + a->len > bytes_max ||
	     age > segment_ms - min_t(s64, seg->jitter_ms, segment_ms) ||
	     kbr_segment_index_full(log, seg) ||
	     a->end - 1 - seg->base > S32_MAX)) {
		err = kbr_log_roll_locked(log);
		if (err)
			return err;
		seg = kbr_log_active_locked(log);
	}
	return a->end - 1 - seg->base > S32_MAX ? -EFBIG : 0;
}

/* The batches are in the file: indexes, producers, epochs. Nothing here fails the append. */
static void kbr_append_note(struct kbr_log *log, struct kbr_segment *seg,
			    struct kbr_log_appending *a)
{
	const struct kbr_append *append = a->append;
	u32 pos = seg->size;
	unsigned int i;

	for (i = a->first; i < append->batches; i++) {
		const struct kbr_batch *batch = &append->verdicts[i].batch;

		kbr_segment_note_batch(log, seg, batch, pos);
		/* without memory an epoch or a producer is forgotten until the next start */
		kbr_log_note_epoch_locked(log, batch->leader_epoch, batch->base_offset);
		if (batch->producer_id >= 0) {
			if (!log->producers)
				log->producers = kbr_producer_table_create();
			if (log->producers)
				kbr_producer_update(log->producers, batch);
		}
		pos += batch->size;
	}
}

/* @seg needs a sync: keep its files open until then. True: the reference to @files was taken over. */
static bool kbr_log_pin(struct kbr_log *log, struct kbr_segment *seg, struct kbr_files *files)
{
	lockdep_assert_held(&log->tail.lock);
	if (seg->pin)
		return false;
	kref_get(&seg->ref);
	seg->pin = files;
	list_add_tail(&seg->dirty, &log->dirty);
	return true;
}

/* Readers and the syncer see it from here on. Consumes the reference to @files. */
static void kbr_log_publish_end(struct kbr_log *log, struct kbr_segment *seg,
				struct kbr_files *files, s64 end, u32 len)
{
	struct kbr_log_border *border;
	bool pinned;

	lockdep_assert_held(&log->lock);
	log->snapshot_behind += len;
	atomic64_add(len, &log->env->unsynced_bytes);
	write_seqlock(&log->tail);
	smp_store_release(&seg->size, seg->size + len);	/* (D) */
	border = &log->borders[log->borders_at++ % KBR_LOG_BORDERS];
	border->offset = end;
	border->pos = seg->size;
	smp_store_release(&log->end, end);		/* (B) */
	smp_store_release(&log->size, log->size + len);	/* (E), after the end */
	log->unsynced_bytes += len;
	pinned = kbr_log_pin(log, seg, files);
	write_sequnlock(&log->tail);
	if (!pinned)
		kbr_files_put(files);
}

/*
 * A write failed: no part of it may stay, or the next open would find it. Nor
 * may a crash bring it back once the segment is believed to end here: nothing
 * after it counts as synced before the cut does. Consumes the reference to
 * @files.
 */
static void kbr_append_cut_back(struct kbr_log *log, struct kbr_segment *seg,
				struct kbr_files *files)
{
	bool pinned;

	if (kbr_file_truncate(files->log, seg->size))
		WRITE_ONCE(log->stopped, -EIO);
	write_seqlock(&log->tail);
	seg->cut_back = true;
	pinned = kbr_log_pin(log, seg, files);
	write_sequnlock(&log->tail);
	if (!pinned)
		kbr_files_put(files);
	kbr_log_request_sync(log, 0);
}

static int kbr_append_write(struct kbr_log *log, struct kbr_log_appending *a)
{
	struct kbr_segment *seg = kbr_log_active_locked(log);
	struct kbr_files *files = kbr_files_get(log, seg);
	int err;

	if (IS_ERR(files))
		return PTR_ERR(files);
	err = kbr_file_write(files->log, a->buf, a->len, seg->size);
	if (err) {
		kbr_append_cut_back(log, seg, files);
		return err;
	}
	kbr_append_note(log, seg, a);
	kbr_log_publish_end(log, seg, files, a->end, a->len);
	return 0;
}

int kbr_log_append(struct kbr_log *log, struct kbr_append *append, bool interruptible)
{
	struct kbr_log_appending a = {
		.append = append,
		.buf = append->buf,
		.len = append->len,
	};
	int err;

	append->duplicate = false;
	err = kbr_append_seal(log, &a);
	if (err)
		return err;
	if (interruptible) {
		if (mutex_lock_interruptible(&log->lock))
			return -EINTR;
	} else {
		mutex_lock(&log->lock);
	}
	err = READ_ONCE(log->stopped);
	if (!err && a.producers)
		err = kbr_append_check_producers(log, &a);
	if (err) {
		/* 1: all of it is a repeat, which is success */
		mutex_unlock(&log->lock);
		return min(err, 0);
	}
	err = kbr_append_stamp(log, &a);
	if (!err)
		err = kbr_append_clear_way(log);
	if (!err)
		err = kbr_append_make_room(log, &a);
	if (!err)
		err = kbr_append_write(log, &a);
	if (err && log->producers)
		kbr_producer_abort(log->producers);
	mutex_unlock(&log->lock);
	return err;
}
KBR_EXPORT_IF_KUNIT(kbr_log_append);

int kbr_log_close(struct kbr_log *log)
{
	struct kbr_segment *seg;
	bool taken = false;
	int err, e;

	if (log->env->syncer)
		kbr_syncer_remove(log->env->syncer, &log->sync);
	err = log->stopped;
	if (!err)
		err = kbr_log_sync_now(log);
	if (!err) {
		mutex_lock(&log->lock);
		seg = kbr_log_active_locked(log);
		kbr_segment_seal_index(log, seg);
		/* a log that was not written since its last snapshot needs none */
		if (log->snapshot != log->end &&
		    (log->start != log->end || kbr_producer_table_count(log->producers))) {
			err = kbr_log_write_snapshot_locked(log);
			seg->snapshot_dirty = false;
			taken = !err;
		}
		mutex_unlock(&log->lock);
		if (taken)
			err = kbr_log_sync_snapshot(log, log->end);
	}
	if (!err) {
		kbr_log_checkpoint(log);
		if (log->checkpoint != log->end)
			err = -EIO;
	}
	e = kbr_log_unlink_doomed(log);
	kbr_log_free(log);
	return err ?: e;
}
KBR_EXPORT_IF_KUNIT(kbr_log_close);

void kbr_log_abandon(struct kbr_log *log)
{
	if (log->env->syncer)
		kbr_syncer_remove(log->env->syncer, &log->sync);
	kbr_log_free(log);
}
KBR_EXPORT_IF_KUNIT(kbr_log_abandon);

void kbr_log_get_stats(struct kbr_log *log, struct kbr_log_stats *stats)
{
	const struct kbr_segment_list *list;
	const struct kbr_segment *seg;

	memset(stats, 0, sizeof(*stats));
	stats->max_timestamp = -1;
	rcu_read_lock();
	list = rcu_dereference(log->segments);
	if (list) {
		stats->segments = list->count;
		seg = list->seg[list->count - 1];
		/* the active segment may be new: what counts is the last record's neighbourhood */
		if (!kbr_segment_size(seg) && list->count > 1)
			seg = list->seg[list->count - 2];
		stats->max_timestamp = max_t(s64, READ_ONCE(seg->max_timestamp), -1);
	}
	rcu_read_unlock();
	stats->bytes = READ_ONCE(log->size);
	stats->unsynced_bytes = READ_ONCE(log->unsynced_bytes);
}
KBR_EXPORT_IF_KUNIT(kbr_log_get_stats);
