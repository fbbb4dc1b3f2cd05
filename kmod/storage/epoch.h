/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Leader epochs of one log: where each begins, and Kafka's text file of them.
 *
 * A history is immutable; a change makes a new one, so that readers need no
 * lock (RCU). Who may change it and when it is written is the log's business.
 */
#ifndef _KBR_STORAGE_EPOCH_H
#define _KBR_STORAGE_EPOCH_H

#include <linux/rcupdate.h>
#include <linux/types.h>

/* Epochs remembered; the oldest are forgotten beyond */
#define KBR_EPOCHS_MAX	10000

/**
 * struct kbr_epoch_entry - one epoch
 * @start: offset of its first record
 * @epoch: its number
 */
struct kbr_epoch_entry {
	s64 start;
	s32 epoch;
};

/**
 * struct kbr_epoch_cache - the history; NULL stands for an empty one
 * @rcu: for kfree_rcu()
 * @count: entries, at least 1
 * @entry: epochs and starts both rise
 */
struct kbr_epoch_cache {
	struct rcu_head rcu;
	unsigned int count;
	struct kbr_epoch_entry entry[];
};

/**
 * kbr_epoch_assign() - the history in which @epoch begins at @start
 *
 * Entries that begin at @start or later are replaced, since they hold no record.
 *
 * Return: a new history; @old itself if nothing changes (the epoch is known or
 * older than the last); ERR_PTR(-ENOMEM).
 */
struct kbr_epoch_cache *kbr_epoch_assign(struct kbr_epoch_cache *old, s32 epoch, s64 start);
/**
 * kbr_epoch_cut_end() - the history of a log that ends at @end
 *
 * Returns as kbr_epoch_assign(), NULL when empty.
 */
struct kbr_epoch_cache *kbr_epoch_cut_end(struct kbr_epoch_cache *old, s64 end);
/**
 * kbr_epoch_cut_start() - the history of a log that begins at @start
 *
 * The epoch in force there stays.
 */
struct kbr_epoch_cache *kbr_epoch_cut_start(struct kbr_epoch_cache *old, s64 start);

/** kbr_epoch_last() - latest epoch, -1 if empty */
static inline s32 kbr_epoch_last(const struct kbr_epoch_cache *cache)
{
	return cache ? cache->entry[cache->count - 1].epoch : -1;
}

/**
 * kbr_epoch_end() - Kafka's endOffsetFor()
 * @log_end: end of the latest epoch
 * @found: out: largest known epoch that is not above @epoch (or @epoch itself
 *	below the first known), -1 unknown
 * @end: out: where it ends, -1 unknown
 */
void kbr_epoch_end(const struct kbr_epoch_cache *cache, s32 epoch, s64 log_end,
		   s32 *found, s64 *end);

/** kbr_epoch_at() - epoch of the record at @offset (or that would be appended there); -1 unknown */
s32 kbr_epoch_at(const struct kbr_epoch_cache *cache, s64 offset);

/** kbr_epoch_encode() - leader-epoch-checkpoint: text to be kvfree()d in *@buf; 0 or -ENOMEM */
int kbr_epoch_encode(const struct kbr_epoch_cache *cache, char **buf, size_t *len);
/** kbr_epoch_decode() - parse one; 0, -EBADMSG damaged, -EPROTONOSUPPORT newer version, -ENOMEM */
int kbr_epoch_decode(const char *buf, size_t len, struct kbr_epoch_cache **cache);

#endif /* _KBR_STORAGE_EPOCH_H */
