/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Calls: a request to another broker of the cluster, and its answer, for whoever
 * can wait for it: what one broker is asked and another one knows, or does.
 *
 * A call is queued for its peer. Who has a connection there, the fetcher, takes
 * one after the other, and says what came of it; who waits gives up when its time
 * is over, and then what is under way goes on without it.
 */
#ifndef _KBR_BROKER_CALL_H
#define _KBR_BROKER_CALL_H

#include <linux/kref.h>
#include <linux/list.h>
#include <linux/spinlock.h>
#include <linux/types.h>
#include <linux/wait.h>

#include "codec/wire.h"

struct kbr_broker;

/* Calls of a broker that wait at the same time; one more is refused */
#define KBR_CALLS_MAX		64
/* Bytes of a request behind its header, and of an answer behind its own */
#define KBR_CALL_BYTES_MAX	(1u << 20)

/**
 * struct kbr_calls - of one broker
 * @lock: everything here and in its calls; innermost
 * @queue: those that were not sent, oldest first
 * @count: those that somebody waits for
 * @stopped: the broker ends
 * @wait: woken when one has an end, or the broker
 */
struct kbr_calls {
	spinlock_t lock;
	struct list_head queue;
	unsigned int count;
	bool stopped;
	wait_queue_head_t wait;
};

enum kbr_call_step {
	KBR_CALL_QUEUED,
	KBR_CALL_SENT,
	KBR_CALL_DONE,		/* answered, or its connection is gone */
};

/**
 * struct kbr_call - one call
 *
 * @ref: who waits, and the queue or the connection
 * @node: in kbr_calls.queue
 * @peer: node.id
 * @key: API key
 * @version: of the API
 * @body: the request behind its header, read-only once it is queued
 * @step: enum kbr_call_step (kbr_calls.lock; READ_ONCE elsewhere)
 * @err: DONE: 0 or -ECONNRESET, -EPROTO, -ENOMEM
 * @answer: DONE: the answer behind its header, from kvmalloc()
 * @len: its bytes
 */
struct kbr_call {
	struct kref ref;
	struct list_head node;
	s32 peer;
	s16 key;
	s16 version;
	struct kbr_wire_writer body;
	u8 step;
	int err;
	u8 *answer;
	size_t len;
};

void kbr_calls_init(struct kbr_broker *broker);
/** kbr_calls_stop() - who waits is answered -ENODEV, now and later */
void kbr_calls_stop(struct kbr_broker *broker);

/** kbr_call_new() - a call whose body is to be written; NULL on -ENOMEM */
struct kbr_call *kbr_call_new(s32 peer, s16 key, s16 version);
/** kbr_call_put() - give it back; NULL is fine */
void kbr_call_put(struct kbr_call *call);
/**
 * kbr_call_wait() - have @call made, and wait for its answer
 * @call: new, with its body; it is made once
 * @connect_ms: how long it may take until it is sent
 * @ms: how long until it is answered
 *
 * Context: process; killable.
 * Return: 0: @call->answer is there, unchecked; nothing was sent: -EHOSTUNREACH
 * within @connect_ms, -EAGAIN too many are under way, -EMSGSIZE, -ENOMEM the body
 * is bad; it may have been done: -ETIMEDOUT within @ms, -ECONNRESET, -EPROTO and
 * -ENOMEM without an answer; or either: -EINTR, -ENODEV the broker stops.
 */
int kbr_call_wait(struct kbr_broker *broker, struct kbr_call *call, unsigned int connect_ms,
		  unsigned int ms);

/* For the fetcher: one caller at a time for each peer */

/** kbr_calls_wait_for() - is any call to @peer to be sent? */
bool kbr_calls_wait_for(struct kbr_broker *broker, s32 peer);
/** kbr_call_next() - the next call to @peer, with a reference, under way from now on; or NULL */
struct kbr_call *kbr_call_next(struct kbr_broker *broker, s32 peer);
/**
 * kbr_call_end() - what became of a call
 * @call: from kbr_call_next(); its reference is given back
 * @err: 0, or why there is no answer
 * @answer: copied
 * @len: its bytes, at most KBR_CALL_BYTES_MAX
 */
void kbr_call_end(struct kbr_broker *broker, struct kbr_call *call, int err, const void *answer,
		  size_t len);

#endif /* _KBR_BROKER_CALL_H */
