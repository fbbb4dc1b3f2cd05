/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Device writes at a broker that does not lead their partition: they wait here
 * until the leader has committed them.
 *
 * A write becomes batches in the stream of its partition. Who has a connection
 * to the leader, the fetcher, takes them out in order (kbr_forward_next()) and
 * says what became of them (kbr_forward_answer(), kbr_forward_lost()); if this
 * broker comes to lead the partition they are appended here.
 *
 * Each once, while this broker lives: batches carry the broker's producer id and
 * sequences of their stream, which stay with them however often they are sent.
 * So a leader that has a batch already says so instead of appending it again.
 * Sequences are given when a batch is first sent, and begin anew in a larger
 * producer epoch when the leader does not expect the one at the head of the
 * stream: that one is not in its log then, nor is any behind it. If it may have
 * been appended elsewhere its writer is told so instead.
 *
 * A leader that does not know the producer takes any sequence. So batches are
 * sent one by one until the first was acknowledged, and again after each failure.
 *
 * What ends a batch: success, a refusal that sending it again does not change,
 * delivery.timeout.ms, the end of the topic or the broker.
 */
#ifndef _KBR_BROKER_FORWARD_H
#define _KBR_BROKER_FORWARD_H

#include <linux/ktime.h>
#include <linux/list.h>
#include <linux/refcount.h>
#include <linux/spinlock.h>
#include <linux/types.h>
#include <linux/workqueue.h>

struct kbr_broker;
struct kbr_forward_batch;
struct kbr_forward_stream;
struct kbr_partition;
struct kbr_produce;
struct kbr_replicas;
struct kbr_topic;

/**
 * struct kbr_forward_counters - what a broker has forwarded since its start
 * @batches: acknowledged by a leader
 * @retries: sent again, or about to be
 * @failed: given up
 */
struct kbr_forward_counters {
	u64 batches;
	u64 retries;
	u64 failed;
};

/**
 * struct kbr_forwards - what one broker forwards
 * @lock: all streams, batches and routes; outer to wait queues alone
 * @streams: those that have batches
 * @bytes: of all batches
 * @producer_id: ours, -1: not taken yet
 * @stopped: the broker ends: nothing is taken any more
 * @expiry: when @work looks next (ktime_get()), KTIME_MAX never
 * @work: gives up what is over its time
 * @counters: for netlink
 */
struct kbr_forwards {
	spinlock_t lock;
	struct list_head streams;
	size_t bytes;
	s64 producer_id;
	bool stopped;
	ktime_t expiry;
	struct delayed_work work;
	struct kbr_forward_counters counters;
};

/**
 * struct kbr_forwarded - what becomes of one write, or of all of an open to a partition
 * @ref: its batches and whoever asks
 * @taken: batches
 * @ended: those of them that have ended, oldest first (release/acquire)
 * @err: of the first that failed
 * @base_offset: of its first record, -1 not known
 * @log_append_time: that the leader set, or -1
 * @records: of the write
 * @account: of the open, told of everything too; NULL
 * @detached: nobody waits for this write: @account keeps its error
 *
 * All under kbr_forwards.lock, but for who looks at @ended first.
 */
struct kbr_forwarded {
	refcount_t ref;
	u32 taken;
	u32 ended;
	int err;
	s64 base_offset;
	s64 log_append_time;
	u32 records;
	struct kbr_forwarded *account;
	bool detached;
};

/**
 * struct kbr_forward_sent - a batch on its way
 * @node: in kbr_forward_route.sent
 * @batch: a reference. It may have ended, or gone another way, meanwhile
 * @topic: its topic; lives as long as @batch
 * @index: its partition
 * @buf: the batch
 * @size: bytes of @buf
 * @timeout_ms: how long the leader may take to commit it
 * @base_offset: appended here: of its first record
 * @last_offset: appended here: of its last record
 * @log_append_time: appended here: as kbr_produce has it
 * @failures: appended here: likewise
 */
struct kbr_forward_sent {
	struct list_head node;
	struct kbr_forward_batch *batch;
	struct kbr_topic *topic;
	u32 index;
	void *buf;
	u32 size;
	s32 timeout_ms;
	s64 base_offset;
	s64 last_offset;
	s64 log_append_time;
	u32 failures;
};

/**
 * struct kbr_forward_route - one way to a leader
 * @leader: node.id
 * @sent: what is on its way, oldest first
 * @requests: entries of @sent
 * @bytes: of them
 */
struct kbr_forward_route {
	s32 leader;
	struct list_head sent;
	unsigned int requests;
	size_t bytes;
};

void kbr_forward_init(struct kbr_broker *broker);
/** kbr_forward_stop() - the broker ends: all that waits fails (-ENODEV); the routes are empty */
void kbr_forward_stop(struct kbr_broker *broker);
/** kbr_forward_retire() - its topic or broker ends: all that waits fails (-ENODEV), nothing runs after it */
void kbr_forward_retire(struct kbr_partition *part);
/** kbr_forward_free() - with the partition */
void kbr_forward_free(struct kbr_replicas *reps);

/**
 * kbr_forward_due() - must a write to @part, which is a member's, be forwarded?
 *
 * Another broker leads it, or what was to be forwarded comes first.
 */
bool kbr_forward_due(const struct kbr_partition *part);
/** kbr_forward_has_room() - would kbr_forward_submit() wait? If so kbr_broker.unsynced_wait tells when it does not */
bool kbr_forward_has_room(const struct kbr_broker *broker);

/**
 * kbr_forward_submit() - hand over what @p holds
 * @p: buf, len, trusted, nowait, final as for kbr_partition_produce(); copied
 * @detached: nobody waits for it
 * @account: of the open
 * @forwarded: out: a reference
 *
 * Waits, unless @p says otherwise, until there is a leader and room;
 * interruptible. Nothing was taken if it fails.
 *
 * Return: 0; -EINTR; -EAGAIN; -EREMOTE no leader within delivery.timeout.ms;
 * -ENODEV gone; -EROFS; -ENOMEM; -EBADMSG and others as kbr_batch_validate().
 */
int kbr_forward_submit(struct kbr_partition *part, struct kbr_produce *p, bool detached,
		       struct kbr_forwarded *account, struct kbr_forwarded **forwarded);

/** kbr_forwarded_create() - one that nothing was written for, with a reference; NULL: -ENOMEM */
struct kbr_forwarded *kbr_forwarded_create(struct kbr_forwarded *account, bool detached);
void kbr_forwarded_get(struct kbr_forwarded *forwarded);
/** kbr_forwarded_put() - @forwarded may be NULL */
void kbr_forwarded_put(struct kbr_forwarded *forwarded);
/**
 * kbr_forwarded_fate() - 1 all committed; 0 not yet; or the first error
 *
 * -ETIMEDOUT: they may still be committed; -EREMOTE: no leader took them, they
 * are nowhere; -ENODEV; what the leader says. Any context.
 */
int kbr_forwarded_fate(const struct kbr_forwarded *forwarded);
/**
 * kbr_forwarded_wait() - wait until all that there are now have ended; only a fatal signal ends it early
 *
 * Return: 0; -EINTR; as kbr_forwarded_fate().
 */
int kbr_forwarded_wait(struct kbr_partition *part, const struct kbr_forwarded *forwarded);
/** kbr_forwarded_take_error() - the first error since the last time */
int kbr_forwarded_take_error(struct kbr_broker *broker, struct kbr_forwarded *forwarded);

/** kbr_forward_moved() - @part may have another leader; process context */
void kbr_forward_moved(struct kbr_partition *part);

/** kbr_forward_get_counters() - a copy */
void kbr_forward_get_counters(struct kbr_broker *broker, struct kbr_forward_counters *counters);

/* ---- for the fetcher: one caller at a time for each route ---- */

void kbr_forward_route_init(struct kbr_forward_route *route, s32 leader);
/** kbr_forward_waits() - is there something for @leader, now or later? */
bool kbr_forward_waits(struct kbr_broker *broker, s32 leader);
/**
 * kbr_forward_next() - the next batch for @route, which has it from then on
 *
 * Return: it, or NULL. It stays as it is until the route gives it back.
 */
struct kbr_forward_sent *kbr_forward_next(struct kbr_broker *broker,
					  struct kbr_forward_route *route);
/** kbr_forward_next_retry() - jiffies until something that waits may be sent, or -1 */
long kbr_forward_next_retry(struct kbr_broker *broker, s32 leader);
/** kbr_forward_answer() - what the leader says of the oldest of @route, as errno */
void kbr_forward_answer(struct kbr_broker *broker, struct kbr_forward_route *route, int err,
			s64 base_offset, s64 log_append_time);
/** kbr_forward_lost() - no answer comes any more: all of @route goes back to its streams */
void kbr_forward_lost(struct kbr_broker *broker, struct kbr_forward_route *route);

#endif /* _KBR_BROKER_FORWARD_H */
