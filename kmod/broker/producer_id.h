/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Ids for idempotent producers, each given once in the life of the directory.
 *
 * They are reserved in blocks, in the metadata log, before any of a block is
 * given: a crash wastes the rest of a block and repeats none.
 *
 * In a cluster each is given once by all its brokers: a member's are made of its
 * broker epoch, which the controller gives to no other start of any broker.
 */
#ifndef _KBR_BROKER_PRODUCER_ID_H
#define _KBR_BROKER_PRODUCER_ID_H

#include <linux/spinlock.h>
#include <linux/types.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

struct kbr_broker;

/**
 * struct kbr_producer_ids - what a broker has reserved
 * @lock: guards @next, @end and @err
 * @next: the next to be given
 * @end: behind the last that is durably reserved (operations write it, with @lock)
 * @err: why the last reservation failed, until somebody was told
 * @epoch: a member's: broker epoch of those that it gives (@lock)
 * @given: a member's: how many of @epoch it has given (@lock)
 * @wait: who found none; woken when a reservation has ended, or an epoch was given
 * @work: reserves the next block, on the broker's ordered queue
 */
struct kbr_producer_ids {
	spinlock_t lock;
	s64 next;
	s64 end;
	int err;
	s64 epoch;
	u32 given;
	wait_queue_head_t wait;
	struct work_struct work;
};

void kbr_producer_ids_init(struct kbr_broker *broker);

/**
 * kbr_producer_id_take() - an id that nobody had
 *
 * Reserves ahead, so that it rarely has to be waited for.
 *
 * Context: process; waits for nothing.
 * Return: 0; -EAGAIN none is left, more are being reserved, or a member has no
 * broker epoch yet: wait on kbr_producer_ids.wait; -ENODEV the broker stops; else
 * why no more could be reserved.
 */
int kbr_producer_id_take(struct kbr_broker *broker, s64 *id);

#endif /* _KBR_BROKER_PRODUCER_ID_H */
