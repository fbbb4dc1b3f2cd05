// SPDX-License-Identifier: GPL-2.0-only
/*
 * The caches of fetch sessions; see fetch_session.h. One mutex for all of
 * them: it is held over a look into a hash table; what ends is freed without it.
 *
 * Who wants a new session when the slots are used up gets the one that was not
 * used for longest, if that is longer than KBR_SESSION_IDLE_MS; or else the
 * smallest of those older than that, if it is smaller than the new one: large
 * sessions save more. Otherwise none, and the client goes on without.
 */
#include <linux/hashtable.h>
#include <linux/jiffies.h>
#include <linux/mutex.h>
#include <linux/random.h>
#include <linux/slab.h>

#include "base/kunit.h"
#include "server/fetch_session.h"

/**
 * struct kbr_fetch_cache - the sessions of one broker (the mutex guards all of it)
 * @node: in the list of caches
 * @broker: whose; no reference: kbr_fetch_sessions_forget() comes before it ends
 * @sessions: least recently used first
 * @ids: the same by id
 * @count: of them
 * @parts: partitions in all of them
 */
struct kbr_fetch_cache {
	struct list_head node;
	struct kbr_broker *broker;
	struct list_head sessions;
	DECLARE_HASHTABLE(ids, 8);
	unsigned int count;
	unsigned int parts;
};

static DEFINE_MUTEX(kbr_fetch_lock);
static LIST_HEAD(kbr_fetch_caches);

static void kbr_fetch_part_free(struct kbr_fetch_part *fp)
{
	kbr_topic_put(fp->topic);
	kfree(fp);
}

/* ---- partitions ---- */

void kbr_fetch_parts_init(struct kbr_fetch_parts *parts)
{
	INIT_LIST_HEAD(&parts->list);
	parts->tree = RB_ROOT;
	parts->count = 0;
}

void kbr_fetch_parts_free(struct kbr_fetch_parts *parts)
{
	struct kbr_fetch_part *fp, *next;

	list_for_each_entry_safe(fp, next, &parts->list, node) {
		kbr_fetch_part_free(fp);
		cond_resched();
	}
	kbr_fetch_parts_init(parts);
}

static int kbr_fetch_part_order(const struct kbr_fetch_part *fp, const char *name, s32 index)
{
	int order = strcmp(name, fp->name);

	if (order)
		return order;
	return index < fp->index ? -1 : index > fp->index;
}

struct kbr_fetch_part *kbr_fetch_parts_find(const struct kbr_fetch_parts *parts, const char *name,
					    s32 index)
{
	struct rb_node *node = parts->tree.rb_node;

	while (node) {
		struct kbr_fetch_part *fp = rb_entry(node, struct kbr_fetch_part, by_name);
		int order = kbr_fetch_part_order(fp, name, index);

		if (!order)
			return fp;
		node = order < 0 ? node->rb_left : node->rb_right;
	}
	return NULL;
}

void kbr_fetch_parts_add(struct kbr_fetch_parts *parts, struct kbr_fetch_part *fp)
{
	struct rb_node **link = &parts->tree.rb_node, *parent = NULL;
	int order;

	while (*link) {
		parent = *link;
		order = kbr_fetch_part_order(rb_entry(parent, struct kbr_fetch_part, by_name),
					     fp->name, fp->index);
		link = order < 0 ? &parent->rb_left : &parent->rb_right;
	}
	rb_link_node(&fp->by_name, parent, link);
	rb_insert_color(&fp->by_name, &parts->tree);
	list_add_tail(&fp->node, &parts->list);
	parts->count++;
}

/* All of @from, which has none then, to @to, which has none yet. */
static void kbr_fetch_parts_move(struct kbr_fetch_parts *to, struct kbr_fetch_parts *from)
{
	list_replace(&from->list, &to->list);
	to->tree = from->tree;
	to->count = from->count;
	kbr_fetch_parts_init(from);
}

/* ---- sessions ---- */

static struct kbr_fetch_cache *kbr_fetch_cache_find_locked(struct kbr_broker *broker)
{
	struct kbr_fetch_cache *cache;

	lockdep_assert_held(&kbr_fetch_lock);
	list_for_each_entry(cache, &kbr_fetch_caches, node)
		if (cache->broker == broker)
			return cache;
	return NULL;
}

static struct kbr_fetch_cache *kbr_fetch_cache_make_locked(struct kbr_broker *broker)
{
	struct kbr_fetch_cache *cache = kbr_fetch_cache_find_locked(broker);

	if (cache)
		return cache;
	cache = kzalloc(sizeof(*cache), GFP_KERNEL);
	if (!cache)
		return NULL;
	cache->broker = broker;
	INIT_LIST_HEAD(&cache->sessions);
	hash_init(cache->ids);
	list_add(&cache->node, &kbr_fetch_caches);
	return cache;
}

static struct kbr_fetch_session *kbr_fetch_session_lookup_locked(struct kbr_broker *broker, s32 id)
{
	struct kbr_fetch_cache *cache = kbr_fetch_cache_find_locked(broker);
	struct kbr_fetch_session *session;

	if (!cache)
		return NULL;
	hash_for_each_possible(cache->ids, session, by_id, id)
		if (session->id == id)
			return session;
	return NULL;
}

static void kbr_fetch_session_free(struct kref *ref)
{
	struct kbr_fetch_session *session = container_of(ref, struct kbr_fetch_session, ref);

	kbr_fetch_parts_free(&session->parts);
	kfree(session);
}

static void kbr_fetch_session_put(struct kbr_fetch_session *session)
{
	kref_put(&session->ref, kbr_fetch_session_free);
}

/* Nobody finds it any more; a request that uses it goes on. It goes to @gone. */
static void kbr_fetch_session_unhash_locked(struct kbr_fetch_session *session,
					    struct list_head *gone)
{
	struct kbr_fetch_cache *cache = session->cache;

	lockdep_assert_held(&kbr_fetch_lock);
	list_move_tail(&session->node, gone);
	hash_del(&session->by_id);
	cache->count--;
	cache->parts -= session->parts.count;
	session->cache = NULL;
}

/* The cache's references. Without the lock: a large session takes long to free, and all brokers share it. */
static void kbr_fetch_sessions_put(struct list_head *gone)
{
	struct kbr_fetch_session *session, *next;

	list_for_each_entry_safe(session, next, gone, node)
		kbr_fetch_session_put(session);
}

struct kbr_fetch_session *kbr_fetch_session_begin(struct kbr_broker *broker, s32 id, s32 epoch)
{
	struct kbr_fetch_session *session;

	mutex_lock(&kbr_fetch_lock);
	session = kbr_fetch_session_lookup_locked(broker, id);
	if (!session) {
		session = ERR_PTR(-EBADF);
	} else if (session->epoch != epoch || session->busy) {
		session = ERR_PTR(-EBADFD);
	} else {
		session->epoch = epoch == S32_MAX ? 1 : epoch + 1;
		session->busy = true;
		session->used = jiffies;
		list_move_tail(&session->node, &session->cache->sessions);
		kref_get(&session->ref);
	}
	mutex_unlock(&kbr_fetch_lock);
	return session;
}
KBR_EXPORT_IF_KUNIT(kbr_fetch_session_begin);

void kbr_fetch_session_end(struct kbr_fetch_session *session)
{
	mutex_lock(&kbr_fetch_lock);
	session->busy = false;
	mutex_unlock(&kbr_fetch_lock);
	kbr_fetch_session_put(session);
}
KBR_EXPORT_IF_KUNIT(kbr_fetch_session_end);

void kbr_fetch_session_close(struct kbr_broker *broker, s32 id)
{
	struct kbr_fetch_session *session;
	LIST_HEAD(gone);

	mutex_lock(&kbr_fetch_lock);
	session = kbr_fetch_session_lookup_locked(broker, id);
	if (session)
		kbr_fetch_session_unhash_locked(session, &gone);
	mutex_unlock(&kbr_fetch_lock);
	kbr_fetch_sessions_put(&gone);
}
KBR_EXPORT_IF_KUNIT(kbr_fetch_session_close);

/* Make room for a session of @count partitions, by the rules at the head of this file. */
static bool kbr_fetch_cache_evict_locked(struct kbr_fetch_cache *cache, unsigned int count,
					 struct list_head *gone)
{
	unsigned long idle = msecs_to_jiffies(KBR_SESSION_IDLE_MS);
	struct kbr_fetch_session *session, *victim;

	lockdep_assert_held(&kbr_fetch_lock);
	victim = list_first_entry_or_null(&cache->sessions, struct kbr_fetch_session, node);
	if (!victim)
		return false;
	if (!time_after(jiffies, victim->used + idle)) {
		victim = NULL;
		list_for_each_entry(session, &cache->sessions, node)
			if (time_after(jiffies, session->created + idle) &&
			    session->parts.count < (victim ? victim->parts.count : count))
				victim = session;
	}
	if (victim)
		kbr_fetch_session_unhash_locked(victim, gone);
	return victim;
}

static bool kbr_fetch_cache_room_locked(struct kbr_fetch_cache *cache, unsigned int count,
					struct list_head *gone)
{
	unsigned int slots = READ_ONCE(cache->broker->config.fetch_sessions_max);

	if (!slots || count > KBR_SESSION_PARTITIONS_MAX)
		return false;
	while (cache->count >= slots || cache->parts > KBR_SESSION_PARTITIONS_MAX - count)
		if (!kbr_fetch_cache_evict_locked(cache, count, gone))
			return false;
	return true;
}

static s32 kbr_fetch_session_new_id_locked(struct kbr_broker *broker)
{
	s32 id;

	do {
		id = get_random_u32() & S32_MAX;
	} while (!id || kbr_fetch_session_lookup_locked(broker, id));
	return id;
}

struct kbr_fetch_session *kbr_fetch_session_create(struct kbr_broker *broker,
						   struct kbr_fetch_parts *parts, bool replica)
{
	struct kbr_fetch_session *session = kzalloc(sizeof(*session), GFP_KERNEL);
	struct kbr_fetch_cache *cache;
	LIST_HEAD(gone);

	if (!session)
		return NULL;
	kref_init(&session->ref);
	mutex_lock(&kbr_fetch_lock);
	cache = kbr_fetch_cache_make_locked(broker);
	if (!cache || !kbr_fetch_cache_room_locked(cache, parts->count, &gone)) {
		mutex_unlock(&kbr_fetch_lock);
		kbr_fetch_sessions_put(&gone);
		kfree(session);
		return NULL;
	}
	kbr_fetch_parts_move(&session->parts, parts);
	session->id = kbr_fetch_session_new_id_locked(broker);
	session->epoch = 1;
	session->busy = true;
	session->used = jiffies;
	session->created = jiffies;
	session->cache = cache;
	list_add_tail(&session->node, &cache->sessions);
	hash_add(cache->ids, &session->by_id, session->id);
	cache->count++;
	cache->parts += session->parts.count;
	kref_get(&session->ref);
	mutex_unlock(&kbr_fetch_lock);
	kbr_fetch_sessions_put(&gone);
	return session;
}
KBR_EXPORT_IF_KUNIT(kbr_fetch_session_create);

int kbr_fetch_session_add(struct kbr_fetch_session *session, struct kbr_fetch_part *fp)
{
	int err = -ENOSPC;

	mutex_lock(&kbr_fetch_lock);
	if (session->cache && session->cache->parts < KBR_SESSION_PARTITIONS_MAX) {
		kbr_fetch_parts_add(&session->parts, fp);
		session->cache->parts++;
		err = 0;
	}
	mutex_unlock(&kbr_fetch_lock);
	return err;
}

void kbr_fetch_session_del(struct kbr_fetch_session *session, struct kbr_fetch_part *fp)
{
	mutex_lock(&kbr_fetch_lock);
	rb_erase(&fp->by_name, &session->parts.tree);
	list_del(&fp->node);
	session->parts.count--;
	if (session->cache)
		session->cache->parts--;
	mutex_unlock(&kbr_fetch_lock);
	kbr_fetch_part_free(fp);
}

void kbr_fetch_sessions_forget(struct kbr_broker *broker)
{
	struct kbr_fetch_session *session, *next;
	struct kbr_fetch_cache *cache;
	LIST_HEAD(gone);

	mutex_lock(&kbr_fetch_lock);
	cache = kbr_fetch_cache_find_locked(broker);
	if (cache) {
		list_for_each_entry_safe(session, next, &cache->sessions, node)
			kbr_fetch_session_unhash_locked(session, &gone);
		list_del(&cache->node);
		kfree(cache);
	}
	mutex_unlock(&kbr_fetch_lock);
	kbr_fetch_sessions_put(&gone);
}
KBR_EXPORT_IF_KUNIT(kbr_fetch_sessions_forget);
