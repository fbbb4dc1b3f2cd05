/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What log.c, log_read.c, log_retention.c, log_sync.c and recovery.c share.
 * "_locked": the caller holds log->lock (opening a log holds it, too).
 */
#ifndef _KBR_STORAGE_LOG_INTERNAL_H
#define _KBR_STORAGE_LOG_INTERNAL_H

#include "storage/epoch.h"
#include "storage/log.h"
#include "storage/producer.h"
#include "storage/segment.h"

#define KBR_LOG_EPOCH_FILE	"leader-epoch-checkpoint"
#define KBR_LOG_METADATA_FILE	"partition.metadata"

/** kbr_log_list_locked() - the published segments; NULL while opening */
static inline struct kbr_segment_list *kbr_log_list_locked(const struct kbr_log *log)
{
	return rcu_dereference_protected(log->segments, lockdep_is_held(&log->lock));
}

/** kbr_log_active_locked() - the segment that is appended to */
static inline struct kbr_segment *kbr_log_active_locked(const struct kbr_log *log)
{
	const struct kbr_segment_list *list = kbr_log_list_locked(log);

	return list->seg[list->count - 1];
}

/* log.c */
/** kbr_log_path() - "<log>/<file>", to be kfree()d; NULL on -ENOMEM */
char *kbr_log_path(const struct kbr_log *log, const char *file);
/** kbr_log_init() - an empty structure without segments; only kbr_log_free() is left to do after an error */
int kbr_log_init(struct kbr_log *log, struct kbr_log_env *env, const char *name,
		 const struct kbr_log_config *config);
/** kbr_log_free() - release everything in memory; no reader may be left */
void kbr_log_free(struct kbr_log *log);
/** kbr_log_list_alloc() - a list with room for @count; NULL on -ENOMEM */
struct kbr_segment_list *kbr_log_list_alloc(unsigned int count);
/** kbr_log_set_list_locked() - publish @list, free the old one (not its segments' references) */
void kbr_log_set_list_locked(struct kbr_log *log, struct kbr_segment_list *list);
/** kbr_log_publish_start() - raise the log start */
void kbr_log_publish_start(struct kbr_log *log, s64 start);
/** kbr_log_set_end_locked() - the end moved backwards, or is known at last; borders start anew */
void kbr_log_set_end_locked(struct kbr_log *log, s64 end);
/**
 * kbr_log_roll_locked() - a new, empty segment that begins at the end of the log becomes the
 * active one
 */
int kbr_log_roll_locked(struct kbr_log *log);
/**
 * kbr_log_age_ms_locked() - how old the active segment is for segment.ms when a record of
 * @timestamp comes; -1 empty
 */
s64 kbr_log_age_ms_locked(struct kbr_log *log, s64 timestamp, s64 now_ms);
/** kbr_log_note_epoch_locked() - @epoch begins at @start unless it is known */
int kbr_log_note_epoch_locked(struct kbr_log *log, s32 epoch, s64 start);
/** kbr_log_set_epochs_locked() - publish a history made from the present one */
int kbr_log_set_epochs_locked(struct kbr_log *log, struct kbr_epoch_cache *cache);
/** kbr_log_write_metadata() - partition.metadata, not synced */
int kbr_log_write_metadata(struct kbr_log *log, const u8 topic_id[16]);
/** kbr_log_check_metadata() - it names @topic_id: 0; -EBADMSG another one; written if missing */
int kbr_log_check_metadata(struct kbr_log *log, const u8 topic_id[16]);

/* log_sync.c */
extern const struct kbr_sync_ops kbr_log_sync_ops;
/**
 * kbr_log_sync_now() - make everything durable
 *
 * No round of the syncer may run; env->synced is not called.
 */
int kbr_log_sync_now(struct kbr_log *log);
/**
 * kbr_log_forget_unsynced_locked() - @seg leaves the log
 *
 * What is unsynced in it needs no sync any more.
 */
void kbr_log_forget_unsynced_locked(struct kbr_log *log, struct kbr_segment *seg);
/**
 * kbr_log_clamp_synced_locked() - the log was cut at @offset, in @seg at @pos
 *
 * Nothing beyond is synced.
 */
void kbr_log_clamp_synced_locked(struct kbr_log *log, struct kbr_segment *seg, s64 offset, u32 pos);
/** kbr_log_write_snapshot_locked() - producer snapshot at the end of the log, if there is none; not synced */
int kbr_log_write_snapshot_locked(struct kbr_log *log);
/**
 * kbr_log_sync_snapshot() - make the snapshot named for @offset durable
 *
 * Not under log->lock. After an error it is not believed any more.
 * Return: 0; -ENOENT there is none; an error.
 */
int kbr_log_sync_snapshot(struct kbr_log *log, s64 offset);
/**
 * kbr_log_secure_producers() - before the segments below @first are removed
 *
 * What they tell of producers must be in a durable snapshot that a crash
 * leaves usable. Not under log->lock.
 * Return: 0; -EAGAIN not before more is synced; an error.
 */
int kbr_log_secure_producers(struct kbr_log *log, s64 first);
/**
 * kbr_log_write_epochs() - leader-epoch-checkpoint, durably
 *
 * Not under log->lock when appends go on.
 */
int kbr_log_write_epochs(struct kbr_log *log);

/** kbr_log_skip_synced_locked() - no segment holds anything below @base any more: nothing needs a sync there */
void kbr_log_skip_synced_locked(struct kbr_log *log, s64 base);

/* log_read.c */
/**
 * kbr_log_segment_get() - the segment in which @offset would be
 * @next: out: base offset of the one after it, S64_MAX if it is the last
 * Return: a reference, or NULL if all begin above @offset.
 */
struct kbr_segment *kbr_log_segment_get(struct kbr_log *log, s64 offset, s64 *next);

/* log_retention.c */
/** kbr_log_drop_locked() - take segments @from..@to - 1 out of the list; they go to @log->doomed */
int kbr_log_drop_locked(struct kbr_log *log, unsigned int from, unsigned int to, s64 now_ms);
/**
 * kbr_log_unlink_segment() - remove a segment's files, with @suffix appended to their names
 *
 * A missing one is no error.
 */
int kbr_log_unlink_segment(struct kbr_log *log, s64 base, const char *suffix);
/**
 * kbr_log_unlink_empty() - remove the files of a segment that never held a byte
 *
 * Not the producer snapshot named for its base, which is the log's.
 */
int kbr_log_unlink_empty(struct kbr_log *log, s64 base);
/** kbr_log_unlink_doomed() - unlink the files of all removed segments now */
int kbr_log_unlink_doomed(struct kbr_log *log);
/**
 * kbr_log_cut_locked() - cut the log's tail off
 * @keep: segments that stay, 0: all go and the log is empty
 * @offset: its end afterwards
 * @pos: where in the last of the segments that stay
 *
 * The files of later segments are gone when it returns. After an error the
 * log is stopped if the disk may hold more than the log.
 */
int kbr_log_cut_locked(struct kbr_log *log, unsigned int keep, s64 offset, u32 pos);

/** kbr_log_restart_locked() - everything goes: the log is empty and begins at @offset */
int kbr_log_restart_locked(struct kbr_log *log, s64 offset);

/* recovery.c */
/**
 * kbr_log_load_producers_locked() - newest usable snapshot and the batches after it
 * @clean: what the page cache holds is on the disk, too
 */
int kbr_log_load_producers_locked(struct kbr_log *log, bool clean);
/** kbr_log_drop_snapshots_locked() - none is left, after a loss of power neither */
int kbr_log_drop_snapshots_locked(struct kbr_log *log);

#endif /* _KBR_STORAGE_LOG_INTERNAL_H */
