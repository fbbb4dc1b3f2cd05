/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Incremental fetch sessions (KIP-227): the partitions that a consumer reads
 * are remembered, so that a Fetch names only what changes.
 *
 * A bounded cache for each broker. A session is in use by one request at a
 * time; what is in it belongs to that request until kbr_fetch_session_end().
 */
#ifndef _KBR_SERVER_FETCH_SESSION_H
#define _KBR_SERVER_FETCH_SESSION_H

#include <linux/kref.h>
#include <linux/list.h>
#include <linux/rbtree.h>
#include <linux/types.h>

#include "broker/partition.h"
#include "broker/waiter.h"

/* A session that was not used for so long may be taken for a new one */
#define KBR_SESSION_IDLE_MS	120000

/**
 * struct kbr_fetch_part - one partition of a Fetch
 * @node: in the list of a struct kbr_fetch_parts
 * @by_name: in the tree of a struct kbr_fetch_parts, by topic and index
 * @topic: a reference, NULL while there is none of that name
 * @part: the partition, NULL while there is none
 * @index: its number
 * @leader_epoch: that the client believes in, -1 none
 * @max_bytes: of it in one answer
 * @offset: to be read next
 * @last_epoch: leader epoch of the batch before it, -1 not known
 * @synced: a follower's: what it has on its disk, -1 it does not say
 * @log_start: a follower's: where its log starts, -1 it does not say
 * @nearest: a consumer's: node.id of whom it should ask instead, -1 nobody
 * @noted: a follower's: what kbr_replica_fetched() said of this request
 * @throttled: a follower's: it catches up, and may have nothing now
 * @diverges: that batch is not in the log: nothing is read
 * @diverging_epoch: @diverges: the largest epoch up to that which the log has
 * @diverging_end: @diverges: where that ends
 * @pos: where that was found
 * @mark: taken before it was looked at
 * @watch: news are the high watermark above this offset
 * @now: what is told in the present answer; -1 at an error
 * @told: what the client was told in the last
 * @served: records of it are in the present answer
 * @name: the topic's name
 */
struct kbr_fetch_part {
	struct list_head node;
	struct rb_node by_name;
	struct kbr_topic *topic;
	struct kbr_partition *part;
	s32 index;
	s32 leader_epoch;
	s32 max_bytes;
	s64 offset;
	s32 last_epoch;
	s64 synced;
	s64 log_start;
	s32 nearest;
	int noted;
	bool throttled;
	bool diverges;
	s32 diverging_epoch;
	s64 diverging_end;
	struct kbr_log_pos pos;
	struct kbr_waiter_mark mark;
	s64 watch;
	struct kbr_partition_bounds now;
	struct kbr_partition_bounds told;
	bool served;
	char name[];
};

/**
 * struct kbr_fetch_parts - partitions of a Fetch, or of a session
 * @list: in the order in which they are served
 * @tree: the same by name
 * @count: of them
 */
struct kbr_fetch_parts {
	struct list_head list;
	struct rb_root tree;
	unsigned int count;
};

void kbr_fetch_parts_init(struct kbr_fetch_parts *parts);
/** kbr_fetch_parts_free() - all of them */
void kbr_fetch_parts_free(struct kbr_fetch_parts *parts);
/** kbr_fetch_parts_find() - the one of that name and number, or NULL */
struct kbr_fetch_part *kbr_fetch_parts_find(const struct kbr_fetch_parts *parts, const char *name,
					    s32 index);
/** kbr_fetch_parts_add() - @fp, which is not among them, is taken over and served last */
void kbr_fetch_parts_add(struct kbr_fetch_parts *parts, struct kbr_fetch_part *fp);

/**
 * struct kbr_fetch_session - one session
 * @ref: the cache's, and the request's that uses it
 * @node: in its cache, least recently used first (its lock)
 * @by_id: in its cache's table (its lock)
 * @cache: its broker's; NULL once it is not in it any more (its lock)
 * @id: positive
 * @epoch: that the next request must have (cache's lock)
 * @busy: a request uses it (cache's lock)
 * @used: jiffies of the last request (cache's lock)
 * @created: jiffies
 * @parts: what is fetched
 */
struct kbr_fetch_session {
	struct kref ref;
	struct list_head node;
	struct hlist_node by_id;
	struct kbr_fetch_cache *cache;
	s32 id;
	s32 epoch;
	bool busy;
	unsigned long used;
	unsigned long created;
	struct kbr_fetch_parts parts;
};

/**
 * kbr_fetch_session_begin() - use session @id for a request that says @epoch
 *
 * Return: the session, in use; ERR_PTR: -EBADF there is none of that id;
 * -EBADFD that is not its epoch, or another request uses it.
 */
struct kbr_fetch_session *kbr_fetch_session_begin(struct kbr_broker *broker, s32 id, s32 epoch);
/**
 * kbr_fetch_session_create() - a session of @parts, in use
 *
 * Takes the partitions over. @replica: for a follower there is always a slot.
 *
 * Return: the session; NULL: there is no room and nothing that may be evicted,
 * or no memory (@parts stay the caller's).
 */
struct kbr_fetch_session *kbr_fetch_session_create(struct kbr_broker *broker,
						   struct kbr_fetch_parts *parts, bool replica);
/** kbr_fetch_session_end() - the request is through with it */
void kbr_fetch_session_end(struct kbr_fetch_session *session);
/** kbr_fetch_session_close() - forget session @id, if there is one */
void kbr_fetch_session_close(struct kbr_broker *broker, s32 id);

/** kbr_fetch_session_add() - @fp, which is not in it, is taken over; -ENOSPC: too many of all sessions */
int kbr_fetch_session_add(struct kbr_fetch_session *session, struct kbr_fetch_part *fp);
/** kbr_fetch_session_del() - take @fp out and free it */
void kbr_fetch_session_del(struct kbr_fetch_session *session, struct kbr_fetch_part *fp);

/** kbr_fetch_sessions_forget() - the broker stops: no request of it runs or will run */
void kbr_fetch_sessions_forget(struct kbr_broker *broker);

#endif /* _KBR_SERVER_FETCH_SESSION_H */
