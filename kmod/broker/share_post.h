/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Letters about shares to other brokers of a cluster; what for is in share_far.h.
 */
#ifndef _KBR_BROKER_SHARE_POST_H
#define _KBR_BROKER_SHARE_POST_H

#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/spinlock.h>
#include <linux/types.h>
#include <linux/workqueue.h>

struct kbr_broker;
struct kbr_share_letter;
struct kbr_wire_reader;
struct kbr_wire_writer;

/**
 * struct kbr_share_letter_ops - whose letter it is
 * @write: append the message; false: there is nothing to be said any more
 * @answered: the other broker said @code
 * @get: a reference on its owner
 * @put: give it back
 */
struct kbr_share_letter_ops {
	bool (*write)(struct kbr_share_letter *letter, struct kbr_wire_writer *w);
	void (*answered)(struct kbr_share_letter *letter, s16 code);
	void (*get)(struct kbr_share_letter *letter);
	void (*put)(struct kbr_share_letter *letter);
};

/**
 * struct kbr_share_letter - what somebody has to say to another broker
 *
 * All under kbr_share_posts.lock.
 *
 * @node: in kbr_share_posts.letters, which holds a reference on its owner
 * @ops: its owner's
 * @to: node.id
 * @under_way: it was written, and is not answered yet
 * @again: there was more to say since
 */
struct kbr_share_letter {
	struct list_head node;
	const struct kbr_share_letter_ops *ops;
	s32 to;
	bool under_way;
	bool again;
};

/**
 * struct kbr_share_posts - what a broker of a cluster has to say about shares
 * @lock: the letters, @nodes and @sequence
 * @letters: to be written, oldest first
 * @nodes: &struct kbr_share_node, of all shares that this broker leads
 * @sequence: of the last message
 * @work: has letters fetched, and delivers those to this broker itself
 * @stopped: the broker ends
 * @mirrors_lock: guards @mirrors and @closed
 * @mirrors: &struct kbr_share_mirror
 * @closed: the broker stops: nobody joins any more
 */
struct kbr_share_posts {
	spinlock_t lock;
	struct list_head letters;
	struct list_head nodes;
	u64 sequence;
	struct work_struct work;
	bool stopped;
	struct mutex mirrors_lock;
	struct list_head mirrors;
	bool closed;
};

void kbr_share_posts_init(struct kbr_broker *broker);
/** kbr_share_posts_stop() - no letter is written any more */
void kbr_share_posts_stop(struct kbr_broker *broker);
/** kbr_share_post() - @letter is to be written to @to; any context in which its owner lives */
void kbr_share_post(struct kbr_broker *broker, struct kbr_share_letter *letter, s32 to);
/** kbr_share_sequence() - of the next message */
u64 kbr_share_sequence(struct kbr_broker *broker);
/** kbr_share_is_idle() - is nothing to be said by @letter, and nothing under way? */
bool kbr_share_is_idle(struct kbr_broker *broker, struct kbr_share_letter *letter);

/* For the fetcher: one caller at a time for each broker */

/** kbr_share_waits() - is there something to say to @to? */
bool kbr_share_waits(struct kbr_broker *broker, s32 to);
/** kbr_share_next() - write the next letter to @to behind what is in @w; NULL: none, and @w is as it was */
struct kbr_share_letter *kbr_share_next(struct kbr_broker *broker, s32 to,
					struct kbr_wire_writer *w);
/** kbr_share_answered() - what was said to it */
void kbr_share_answered(struct kbr_broker *broker, struct kbr_share_letter *letter, s16 code);
/** kbr_share_lost() - the connection to @peer has ended; @letter was not answered, NULL none was under way */
void kbr_share_lost(struct kbr_broker *broker, s32 peer, struct kbr_share_letter *letter);

/**
 * kbr_share_receive() - a message of a peer
 * @from: node.id, as proved
 * @epoch: its broker epoch
 * @r: the message, checked
 *
 * Context: process, may sleep; waits for no disk and no peer. Return: one of
 * Kafka's errors.
 */
s16 kbr_share_receive(struct kbr_broker *broker, s32 from, s64 epoch, struct kbr_wire_reader *r);

/** kbr_shares_peer_changed() - peer @id has another epoch, was fenced, or is gone */
void kbr_shares_peer_changed(struct kbr_broker *broker, s32 id);

#endif /* _KBR_BROKER_SHARE_POST_H */
