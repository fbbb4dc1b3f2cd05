/* SPDX-License-Identifier: GPL-2.0-only */
/* Between forward.c and forward_local.c. */
#ifndef _KBR_BROKER_FORWARD_INTERNAL_H
#define _KBR_BROKER_FORWARD_INTERNAL_H

#include "broker/forward.h"
#include "broker/waiter.h"

/**
 * struct kbr_forward_batch - one record batch that waits for its leader
 * @node: in kbr_forward_stream.queue; then in the list of those to be freed
 * @ref: the queue, each &struct kbr_forward_sent
 * @stream: its stream, which lives as long as the topic
 * @forwarded: whose it is; a reference
 * @buf: the batch
 * @size: bytes of @buf
 * @records: sequences that it takes
 * @own: it brought a producer id: its sequences are its writer's business
 * @sequenced: it has a sequence
 * @sequence: of its first record
 * @uncertain: it was sent, and may be in the log of some broker
 * @sent: it is on its way
 * @deadline: when it is given up
 */
struct kbr_forward_batch {
	struct list_head node;
	unsigned int ref;
	struct kbr_forward_stream *stream;
	struct kbr_forwarded *forwarded;
	void *buf;
	u32 size;
	u32 records;
	bool own;
	bool sequenced;
	s32 sequence;
	bool uncertain;
	struct kbr_forward_sent *sent;
	ktime_t deadline;
};

/**
 * struct kbr_forward_stream - what waits for the leader of one partition, in order
 * @node: in kbr_forwards.streams while @queue has batches
 * @part: its partition
 * @leader: node.id, -1 none
 * @queue: oldest first
 * @queued: entries of @queue (READ_ONCE elsewhere)
 * @in_flight: those of them that are on their way
 * @producer_id: of the sequences, -1 none yet
 * @epoch: producer epoch
 * @next: next sequence
 * @proven: the leader knows the producer: several may be on their way
 * @acked: when a batch was last acknowledged (ktime_get())
 * @again: something failed: all that is on its way comes back first, then it begins at the head
 * @renumber: and then in a new producer epoch
 * @waits: not before @retry_at
 * @retry_at: jiffies
 * @retired: the topic or the broker ends
 * @local: appends here while this broker leads
 * @route: of @local, at most one at a time
 * @waiter: of @local: for the acks of what it appended
 * @entry: the one of @waiter
 */
struct kbr_forward_stream {
	struct list_head node;
	struct kbr_partition *part;
	s32 leader;
	struct list_head queue;
	unsigned int queued;
	unsigned int in_flight;
	s64 producer_id;
	s16 epoch;
	s32 next;
	bool proven;
	ktime_t acked;
	bool again;
	bool renumber;
	bool waits;
	unsigned long retry_at;
	bool retired;
	struct delayed_work local;
	struct kbr_forward_route route;
	struct kbr_waiter waiter;
	struct kbr_waiter_entry entry;
};

/** kbr_forward_take() - the next batch of @stream for @route, or NULL */
struct kbr_forward_sent *kbr_forward_take(struct kbr_broker *broker,
					  struct kbr_forward_stream *stream,
					  struct kbr_forward_route *route);
void kbr_forward_local_work(struct work_struct *work);

#endif /* _KBR_BROKER_FORWARD_INTERNAL_H */
