/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Inside libkbroker: the producer's own structures, between producer.c (what
 * callers hand over) and sender.c (the thread that writes it).
 *
 * One lock guards everything that is not said to belong to the thread. A batch
 * is in exactly one place: open (one for each partition, also on the list of
 * open ones, oldest first), ready (full, or to be sent now), with the thread,
 * or free.
 */
#ifndef _KB_LIB_PRODUCER_H
#define _KB_LIB_PRODUCER_H

#include <pthread.h>
#include <stdbool.h>
#include <linux/types.h>

#include <kbroker/producer.h>

#include "lock.h"

/**
 * struct kbl_pbatch - a batch of a producer
 * @next: next in its list
 * @prev: previous in the list of open ones
 * @batch: the records
 * @opaques: what the caller gave with each record; NULL without a callback
 * @opaques_max: room at @opaques
 * @number: counts batches from 0, for flush
 * @deadline: when it must be sent, monotonic ms
 * @opened: when it was begun, by the wall clock in ms
 * @size: most bytes it may get; batches of another size than usual are not kept
 * @partition: where it goes
 * @offset: thread: offset of its first record; -1 unknown
 * @sent: thread: bytes written
 * @error: thread: 0, or why it is not known to be committed
 */
struct kbl_pbatch {
	struct kbl_pbatch *next;
	struct kbl_pbatch *prev;
	struct kbroker_batch *batch;
	void **opaques;
	size_t opaques_max;
	u64 number;
	s64 deadline;
	s64 opened;
	size_t size;
	u32 partition;
	s64 offset;
	size_t sent;
	int error;
};

/** struct kbl_queue - batches, first in first out */
struct kbl_queue {
	struct kbl_pbatch *head;
	struct kbl_pbatch *tail;
};

/**
 * struct kbl_ppartition - a partition of a producer
 * @open: the batch that records are added to
 * @fd: thread: its device; -1 until it is needed
 * @unconfirmed: thread: written in this round, not known to be committed
 * @end: thread: offset after the last of these
 * @touched: thread: next one with something unconfirmed
 */
struct kbl_ppartition {
	struct kbl_pbatch *open;
	int fd;
	bool unconfirmed;
	s64 end;
	struct kbl_ppartition *touched;
};

/**
 * struct kbroker_producer - see <kbroker/producer.h>
 * @config: settings
 * @topic: name
 * @mount: where the devices are, or NULL
 * @partitions: the topic's partitions
 * @partitions_count: their number
 * @batch_bytes: bytes of an ordinary batch
 * @batch_bytes_max: max.message.bytes
 * @thread: the sender
 * @lock: guards what follows
 * @work: the thread has something to do
 * @done: batches were delivered: there may be room, a flush may be over
 * @open: head of the list of open batches, the oldest first
 * @open_tail: its end
 * @ready: batches to be sent
 * @free: batches to be used again
 * @free_count: how many
 * @created: batches begun so far
 * @sending: lowest number of a batch with the thread, U64_MAX if it has none
 * @waiting_bytes: bytes of all batches that were not delivered
 * @blocked: callers that wait for room
 * @sticky: partition of records without a key
 * @turn: next partition of round-robin
 * @random: state of the choice of sticky partitions
 * @error: first error that nobody was told
 * @closing: no more records come
 * @stats: counters
 */
struct kbroker_producer {
	struct kbroker_producer_config config;
	char *topic;
	char *mount;
	struct kbl_ppartition *partitions;
	u32 partitions_count;
	size_t batch_bytes;
	size_t batch_bytes_max;
	pthread_t thread;

	struct kbl_lock lock;
	struct kbl_event work;
	struct kbl_event done;
	struct kbl_pbatch *open;
	struct kbl_pbatch *open_tail;
	struct kbl_queue ready;
	struct kbl_pbatch *free;
	unsigned int free_count;
	u64 created;
	u64 sending;
	size_t waiting_bytes;
	unsigned int blocked;
	u32 sticky;
	u32 turn;
	u64 random;
	int error;
	bool closing;
	struct kbroker_producer_stats stats;
};

/** kbl_queue_push() - append @b */
static inline void kbl_queue_push(struct kbl_queue *queue, struct kbl_pbatch *b)
{
	b->next = NULL;
	if (queue->tail)
		queue->tail->next = b;
	else
		queue->head = b;
	queue->tail = b;
}

/** kbl_producer_seal() - an open batch takes no more records; call with the lock */
void kbl_producer_seal(struct kbroker_producer *p, struct kbl_pbatch *b);
/** kbl_producer_recycle() - a batch is done with; call with the lock */
void kbl_producer_recycle(struct kbroker_producer *p, struct kbl_pbatch *b);
/** kbl_pbatch_free() - NULL is allowed */
void kbl_pbatch_free(struct kbl_pbatch *b);
/** kbl_sender_run() - the thread; ends when closing and nothing is left */
void *kbl_sender_run(void *producer);

#endif /* _KB_LIB_PRODUCER_H */
