// SPDX-License-Identifier: GPL-2.0-only
/*
 * The LRU of open segment files; see file_cache.h.
 *
 * Lookups run under RCU and take a count that the cache can only take away
 * when it is the last (refcount_dec_if_one()). Use does not move an entry in
 * the list, it only stamps the time: who looks for a victim gives stamped ones
 * a second chance. Files are opened and closed outside the lock.
 */
#include <linux/jiffies.h>
#include <linux/kernel.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/spinlock.h>

#include "base/kunit.h"
#include "storage/file_cache.h"
#include "storage/segment.h"

/* Entries looked at for one victim before the cap is let slip */
#define KBR_FILE_CACHE_SCAN	32

/**
 * struct kbr_file_cache - see the head of this file
 * @lock: innermost of storage's locks
 * @lru: newest first (@lock)
 * @count: entries (@lock)
 * @max: cap (READ_ONCE, WRITE_ONCE)
 */
struct kbr_file_cache {
	spinlock_t lock;
	struct list_head lru;
	unsigned int count;
	unsigned int max;
};

struct kbr_file_cache *kbr_file_cache_create(unsigned int max)
{
	struct kbr_file_cache *cache = kzalloc(sizeof(*cache), GFP_KERNEL);

	if (!cache)
		return NULL;
	spin_lock_init(&cache->lock);
	INIT_LIST_HEAD(&cache->lru);
	kbr_file_cache_set_max(cache, max);
	return cache;
}

void kbr_file_cache_set_max(struct kbr_file_cache *cache, unsigned int max)
{
	WRITE_ONCE(cache->max, max(max, 1U));
}

void kbr_file_cache_destroy(struct kbr_file_cache *cache)
{
	if (!cache)
		return;
	WARN_ON_ONCE(cache->count);
	kfree(cache);
}

unsigned int kbr_file_cache_count(struct kbr_file_cache *cache)
{
	unsigned int count;

	spin_lock(&cache->lock);
	count = cache->count;
	spin_unlock(&cache->lock);
	return count;
}
KBR_EXPORT_IF_KUNIT(kbr_file_cache_count);

static void kbr_files_free(struct kbr_files *files)
{
	if (files->index)
		kbr_file_close(files->index);
	if (files->time)
		kbr_file_close(files->time);
	kbr_file_close(files->log);
	kfree_rcu(files, rcu);
}

void kbr_files_put(struct kbr_files *files)
{
	if (refcount_dec_and_test(&files->ref))
		kbr_files_free(files);
}
KBR_EXPORT_IF_KUNIT(kbr_files_put);

/* Take @files out if nobody uses it; the caller frees it after unlocking. */
static bool kbr_file_cache_take_locked(struct kbr_file_cache *cache, struct kbr_files *files,
				       struct list_head *victims)
{
	lockdep_assert_held(&cache->lock);
	if (!refcount_dec_if_one(&files->ref))
		return false;
	RCU_INIT_POINTER(files->seg->files, NULL);
	list_move(&files->lru, victims);
	cache->count--;
	return true;
}

static void kbr_file_cache_free(struct list_head *victims)
{
	struct kbr_files *files, *next;

	list_for_each_entry_safe(files, next, victims, lru)
		kbr_files_free(files);
}

/* Make room for one more; the cap gives way when everything is in use. */
static void kbr_file_cache_shrink_locked(struct kbr_file_cache *cache, struct list_head *victims)
{
	unsigned int scan = KBR_FILE_CACHE_SCAN;
	struct kbr_files *files;

	lockdep_assert_held(&cache->lock);
	/* the list may be shorter than the count while a trim sorts it */
	while (cache->count >= READ_ONCE(cache->max) && !list_empty(&cache->lru) && scan--) {
		files = list_last_entry(&cache->lru, struct kbr_files, lru);
		/* used within this tick's neighbourhood: a second chance */
		if (time_before(jiffies, READ_ONCE(files->used) + HZ / 10) && scan > 8) {
			list_move(&files->lru, &cache->lru);
			continue;
		}
		if (!kbr_file_cache_take_locked(cache, files, victims))
			list_move(&files->lru, &cache->lru);
	}
}

void kbr_file_cache_trim(struct kbr_file_cache *cache, unsigned int idle_ms)
{
	unsigned long idle = msecs_to_jiffies(idle_ms);
	struct kbr_files *files, *next;
	unsigned int batch;
	LIST_HEAD(victims);
	LIST_HEAD(kept);

	do {
		batch = 0;
		spin_lock(&cache->lock);
		list_for_each_entry_safe_reverse(files, next, &cache->lru, lru) {
			if (++batch > KBR_FILE_CACHE_SCAN)
				break;
			if (idle && time_before(jiffies, READ_ONCE(files->used) + idle))
				list_move(&files->lru, &kept);
			else if (!kbr_file_cache_take_locked(cache, files, &victims))
				list_move(&files->lru, &kept);
		}
		spin_unlock(&cache->lock);
		cond_resched();
	} while (batch > KBR_FILE_CACHE_SCAN);
	spin_lock(&cache->lock);
	list_splice(&kept, &cache->lru);
	spin_unlock(&cache->lock);
	kbr_file_cache_free(&victims);
}

static struct kbr_files *kbr_files_lookup(struct kbr_segment *seg)
{
	struct kbr_files *files;

	rcu_read_lock();
	files = rcu_dereference(seg->files);
	if (files && !refcount_inc_not_zero(&files->ref))
		files = NULL;
	rcu_read_unlock();
	if (files) {
		unsigned long now = jiffies;

		/* do not dirty the line for nothing */
		if (READ_ONCE(files->used) != now)
			WRITE_ONCE(files->used, now);
	}
	return files;
}

/*
 * Put new @files into the cache, unless somebody else was faster (then theirs
 * are returned) or the segment was removed (then they stay private).
 */
static struct kbr_files *kbr_files_insert(struct kbr_file_cache *cache, struct kbr_segment *seg,
					  struct kbr_files *files)
{
	struct kbr_files *other;
	LIST_HEAD(victims);

	spin_lock(&cache->lock);
	other = rcu_dereference_protected(seg->files, lockdep_is_held(&cache->lock));
	if (other) {
		/* in the cache, so it holds a reference at least */
		refcount_inc(&other->ref);
	} else if (!seg->removed) {
		kbr_file_cache_shrink_locked(cache, &victims);
		refcount_set(&files->ref, 2);
		files->seg = seg;
		list_add(&files->lru, &cache->lru);
		cache->count++;
		rcu_assign_pointer(seg->files, files);
	}
	spin_unlock(&cache->lock);
	kbr_file_cache_free(&victims);
	if (!other)
		return files;
	kbr_files_free(files);
	return other;
}

static struct kbr_file *kbr_files_open(struct kbr_log *log, struct kbr_segment *seg,
				       const char *suffix, unsigned int flags)
{
	struct kbr_file *file;
	char *path;
	int err;

	path = kbr_segment_path(log, seg->base, suffix);
	if (!path)
		return ERR_PTR(-ENOMEM);
	err = kbr_file_open(log->env->dir, path, flags, &file);
	kfree(path);
	return err ? ERR_PTR(err) : file;
}

static struct kbr_files *kbr_files_alloc(struct kbr_log *log, struct kbr_segment *seg,
					 unsigned int flags)
{
	struct kbr_files *files = kzalloc(sizeof(*files), GFP_KERNEL);
	struct kbr_file *file;

	if (!files)
		return ERR_PTR(-ENOMEM);
	file = kbr_files_open(log, seg, KBR_SUFFIX_LOG, flags);
	if (IS_ERR(file)) {
		kfree(files);
		return ERR_CAST(file);
	}
	refcount_set(&files->ref, 1);
	INIT_LIST_HEAD(&files->lru);
	files->log = file;
	files->used = jiffies;
	return files;
}

struct kbr_files *kbr_files_get(struct kbr_log *log, struct kbr_segment *seg)
{
	struct kbr_files *files = kbr_files_lookup(seg);

	if (files)
		return files;
	files = kbr_files_alloc(log, seg, 0);
	if (IS_ERR(files))
		return files;
	return kbr_files_insert(log->env->files, seg, files);
}
KBR_EXPORT_IF_KUNIT(kbr_files_get);

int kbr_files_create(struct kbr_log *log, struct kbr_segment *seg)
{
	struct kbr_files *files;

	/* leftovers of a segment that was cut away have no place here */
	files = kbr_files_alloc(log, seg, KBR_FILE_CREATE | KBR_FILE_TRUNC);
	if (IS_ERR(files))
		return PTR_ERR(files);
	files->index = kbr_files_open(log, seg, KBR_SUFFIX_INDEX, KBR_FILE_CREATE | KBR_FILE_TRUNC);
	if (IS_ERR(files->index)) {
		int err = PTR_ERR(files->index);

		files->index = NULL;
		kbr_files_put(files);
		return err;
	}
	files->time = kbr_files_open(log, seg, KBR_SUFFIX_TIME, KBR_FILE_CREATE | KBR_FILE_TRUNC);
	if (IS_ERR(files->time)) {
		int err = PTR_ERR(files->time);

		files->time = NULL;
		kbr_files_put(files);
		return err;
	}
	kbr_files_put(kbr_files_insert(log->env->files, seg, files));
	return 0;
}

static struct kbr_file *kbr_files_more(struct kbr_log *log, struct kbr_segment *seg,
				       struct kbr_file **slot, const char *suffix)
{
	struct kbr_file *file = READ_ONCE(*slot), *old;

	if (file)
		return file;
	file = kbr_files_open(log, seg, suffix, KBR_FILE_CREATE);
	if (IS_ERR(file))
		return file;
	/* orders the file's contents before the pointer; readers follow the pointer */
	old = cmpxchg(slot, NULL, file);
	if (!old)
		return file;
	kbr_file_close(file);
	return old;
}

struct kbr_file *kbr_files_index(struct kbr_log *log, struct kbr_segment *seg,
				 struct kbr_files *files)
{
	return kbr_files_more(log, seg, &files->index, KBR_SUFFIX_INDEX);
}
KBR_EXPORT_IF_KUNIT(kbr_files_index);

struct kbr_file *kbr_files_time(struct kbr_log *log, struct kbr_segment *seg,
				struct kbr_files *files)
{
	return kbr_files_more(log, seg, &files->time, KBR_SUFFIX_TIME);
}
KBR_EXPORT_IF_KUNIT(kbr_files_time);

void kbr_files_detach(struct kbr_log *log, struct kbr_segment *seg)
{
	struct kbr_file_cache *cache = log->env->files;
	struct kbr_files *files;

	spin_lock(&cache->lock);
	WRITE_ONCE(seg->removed, true);
	files = rcu_dereference_protected(seg->files, lockdep_is_held(&cache->lock));
	if (files) {
		RCU_INIT_POINTER(seg->files, NULL);
		list_del_init(&files->lru);
		cache->count--;
	}
	spin_unlock(&cache->lock);
	if (files)
		kbr_files_put(files);
}
