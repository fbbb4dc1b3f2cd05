/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Device reads at a broker that has no replica of the partition: what their
 * readers want is fetched from the leader, as a consumer fetches.
 *
 * A reader has a want for each such partition: it says from which offset on it
 * would like records, is woken when some have come, and looks again. Who has a
 * connection to the leader, the fetcher, takes what is wanted of all partitions
 * there as requests (kbr_remote_next()) and says what became of them
 * (kbr_remote_answer_*(), kbr_remote_lost()). A request asks for one offset of a
 * partition; readers that stand at the same place, as those at the end do, share
 * it and what it brings.
 *
 * A want outlives leaders: whatever a broker that does not lead, or is not
 * there, has to say is no answer, and the next one is asked. What has come, and
 * was not fetched from here in time, is dropped when there is too much of it:
 * then it is asked for again.
 */
#ifndef _KBR_BROKER_REMOTE_H
#define _KBR_BROKER_REMOTE_H

#include <linux/list.h>
#include <linux/spinlock.h>
#include <linux/types.h>

struct kbr_broker;
struct kbr_partition;
struct kbr_replicas;
struct kbr_topic;

/* Partitions of one request */
#define KBR_REMOTE_PARTS_MAX	256
/* Records of one partition, and of one answer; the first batch comes whole */
#define KBR_REMOTE_PART_BYTES	(256u << 10)
#define KBR_REMOTE_ANSWER_BYTES	(2u << 20)
/* How long a leader may wait for records, ms */
#define KBR_REMOTE_WAIT_MS	500

/**
 * struct kbr_remotes - what the readers of one broker want from others
 * @lock: everything here, all wants and chunks; outer to kbr_replicas.lock and wait queues
 * @active: &struct kbr_remote that has wants which wait
 * @ready: wants whose records have come, oldest first
 * @bytes: of all chunks
 * @sequence: number of the last request
 */
struct kbr_remotes {
	spinlock_t lock;
	struct list_head active;
	struct list_head ready;
	size_t bytes;
	u32 sequence;
};

/**
 * struct kbr_remote_chunk - whole batches of one partition, one after the other
 * @node: once nobody has it: in the list of those to be freed
 * @broker: whose memory it is
 * @refs: wants that have it, and who reads it (kbr_remotes.lock)
 * @first: offset that it begins at, or below
 * @end: offset behind it
 * @len: bytes of @data
 * @data: the batches
 */
struct kbr_remote_chunk {
	struct list_head node;
	struct kbr_broker *broker;
	unsigned int refs;
	s64 first;
	s64 end;
	size_t len;
	u8 data[];
};

enum kbr_remote_kind {
	KBR_REMOTE_RECORDS,	/* from an offset on */
	KBR_REMOTE_BOUNDS,	/* log start and high watermark */
	KBR_REMOTE_TIME,	/* the first record of a time */
};

enum kbr_remote_step {
	KBR_REMOTE_IDLE,	/* nothing is wanted */
	KBR_REMOTE_WAITING,
	KBR_REMOTE_READY,	/* look: it has come, failed, or was dropped */
};

/**
 * struct kbr_remote_bounds - what a leader says of its log
 * @start: log start, -1 it does not say
 * @hw: high watermark, -1 likewise
 */
struct kbr_remote_bounds {
	s64 start;
	s64 hw;
};

/**
 * struct kbr_remote_want - what one reader wants of one partition
 * @node: in kbr_remote.wants or kbr_remotes.ready
 * @part: the partition; whoever has the want holds its topic
 * @kind: enum kbr_remote_kind
 * @step: enum kbr_remote_step (READ_ONCE elsewhere)
 * @asked_by: number of the request that asks for it, 0 none does
 * @offset: where; its reader has all below (READ_ONCE elsewhere). KBR_REMOTE_TIME:
 *	the timestamp, then out: what was found, -1 nothing
 * @found: KBR_REMOTE_TIME: out: timestamp of that record
 * @err: why it failed, 0 it did not
 * @bounds: out: with -ERANGE, and for KBR_REMOTE_BOUNDS
 * @chunk: a reference, NULL none
 *
 * All under kbr_remotes.lock.
 */
struct kbr_remote_want {
	struct list_head node;
	struct kbr_partition *part;
	u8 kind;
	u8 step;
	u32 asked_by;
	s64 offset;
	s64 found;
	int err;
	struct kbr_remote_bounds bounds;
	struct kbr_remote_chunk *chunk;
};

void kbr_remote_init(struct kbr_broker *broker);
/** kbr_remote_free() - with the partition */
void kbr_remote_free(struct kbr_replicas *reps);
/** kbr_remote_moved() - @part may have another leader, or no replica here any more; process context */
void kbr_remote_moved(struct kbr_partition *part);

/** kbr_remote_want_init() - @want is a reader's of @part; nothing is wanted yet */
void kbr_remote_want_init(struct kbr_remote_want *want, struct kbr_partition *part);
/**
 * kbr_remote_read() - records from @offset on
 * @chunk: out: for 1: they begin in it, a reference
 * @bounds: out: for -ERANGE
 *
 * Asks for them if they are not there: kbr_partition.wait is woken when that has an end.
 *
 * Context: process; one caller at a time for each want.
 * Return: 1; 0 not yet; -ERANGE the leader has no such offset; -EBADMSG it says
 * that its log is damaged there; -ENODATA gone; -ENOMEM.
 */
int kbr_remote_read(struct kbr_remote_want *want, s64 offset, struct kbr_remote_chunk **chunk,
		    struct kbr_remote_bounds *bounds);
/** kbr_remote_ahead() - have records from @offset on fetched; their reader has all below */
void kbr_remote_ahead(struct kbr_remote_want *want, s64 offset);
void kbr_remote_put_chunk(struct kbr_remote_chunk *chunk);
/** kbr_remote_cancel() - nothing is wanted any more, and @want may go */
void kbr_remote_cancel(struct kbr_remote_want *want);
/**
 * kbr_remote_get_bounds() - where the leader's log begins and ends, for readers
 *
 * Waits for the leader; interruptible. Return: 0; -EINTR; -ETIMEDOUT none has
 * answered within delivery.timeout.ms; -ENODEV gone; -ENOMEM.
 */
int kbr_remote_get_bounds(struct kbr_partition *part, struct kbr_remote_bounds *bounds);
/** kbr_remote_find_time() - as kbr_partition_find_time() at the leader; and as above */
int kbr_remote_find_time(struct kbr_partition *part, s64 timestamp, s64 *offset, s64 *found);

/* ---- for the fetcher: one caller at a time for each leader ---- */

/**
 * struct kbr_remote_ask - one partition of a request
 * @topic: its topic, a reference
 * @part: it
 * @leader_epoch: in which it is asked
 * @offset: where, S64_MAX for the bounds alone; or the timestamp
 */
struct kbr_remote_ask {
	struct kbr_topic *topic;
	struct kbr_partition *part;
	s32 leader_epoch;
	s64 offset;
};

/**
 * struct kbr_remote_request - what a leader is asked at once
 * @node: for the fetcher
 * @number: of it
 * @leader: node.id
 * @kind: KBR_REMOTE_RECORDS, bounds included, or KBR_REMOTE_TIME
 * @count: entries of @asks
 * @asks: the partitions, each once
 */
struct kbr_remote_request {
	struct list_head node;
	u32 number;
	s32 leader;
	u8 kind;
	unsigned int count;
	struct kbr_remote_ask asks[];
};

/** kbr_remote_waits() - is anything wanted from @leader, now or later? */
bool kbr_remote_waits(struct kbr_broker *broker, s32 leader);
/**
 * kbr_remote_next() - what is wanted from @leader and not asked yet
 *
 * What waits there for new records is asked for again with it: a leader answers
 * what it keeps when there is another request behind.
 *
 * Return: a request, which has to come to kbr_remote_end(); NULL none is due, or no memory.
 */
struct kbr_remote_request *kbr_remote_next(struct kbr_broker *broker, s32 leader);
/** kbr_remote_next_retry() - jiffies until something that waits may be asked for, or -1 */
long kbr_remote_next_retry(struct kbr_broker *broker, s32 leader);
/**
 * kbr_remote_answer_records() - what the leader says of one partition
 * @err: as errno
 * @records: what it sent, unchecked; the last batch may be cut off
 */
void kbr_remote_answer_records(const struct kbr_remote_request *request,
			       const struct kbr_remote_ask *ask, int err,
			       const struct kbr_remote_bounds *bounds, const u8 *records,
			       size_t len);
/** kbr_remote_answer_time() - likewise, of a time */
void kbr_remote_answer_time(const struct kbr_remote_request *request,
			    const struct kbr_remote_ask *ask, int err, s64 offset, s64 found);
/** kbr_remote_end() - @request is answered, or its connection is gone; frees it */
void kbr_remote_end(struct kbr_broker *broker, struct kbr_remote_request *request);

#endif /* _KBR_BROKER_REMOTE_H */
