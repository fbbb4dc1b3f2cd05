/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Operations: what a netlink request starts and does not wait for.
 *
 * A request that needs a disk, recovery or a worker gets an operation id at
 * once; its end is an event and a state that stays readable (the last
 * KBR_OPS_MAX of them).
 */
#ifndef _KBR_BROKER_OP_H
#define _KBR_BROKER_OP_H

#include <linux/kref.h>
#include <linux/types.h>
#include <linux/wait.h>
#include <linux/workqueue.h>
#include "base/limits.h"
#include "base/refusal.h"
#include "broker/net.h"

enum kbr_op_state { KBR_OP_PENDING, KBR_OP_RUNNING, KBR_OP_DONE, KBR_OP_FAILED };

enum kbr_op_kind {
	KBR_OP_BROKER_START,
	KBR_OP_BROKER_STOP,
	KBR_OP_BROKER_ALTER,
	KBR_OP_TOPIC_CREATE,
	KBR_OP_TOPIC_DELETE,
	KBR_OP_TOPIC_ALTER,
	KBR_OP_DELETE_RECORDS,
	KBR_OP_GROUP_RESET,
	KBR_OP_GROUP_DELETE,
	KBR_OP_GROUP_FORGET,
	KBR_OP_CLUSTER_JOIN,
	KBR_OP_REPLICA_SET,
};

/**
 * struct kbr_op - one operation
 * @ref: kref
 * @knet: namespace whose table it is in; a reference
 * @id: its id, unique in the namespace, never 0
 * @kind: what it does
 * @state: see enum kbr_op_state
 * @error: 0 or a negative errno once it has ended
 * @done: progress, in units of @total (0: unknown)
 * @total: see @done
 * @wait: woken at its end
 * @object: name of the broker, topic or group
 * @why: what was refused, once it has failed; or what is going on
 */
struct kbr_op {
	struct kref ref;
	struct kbr_net *knet;
	u32 id;
	enum kbr_op_kind kind;
	enum kbr_op_state state;
	int error;
	u32 done;
	u32 total;
	wait_queue_head_t wait;
	char object[KBR_TOPIC_NAME_MAX + 1];
	struct kbr_refusal why;
};

/** kbr_op_full() - do as many wait as may? A start or a stop may begin nevertheless: there is one of them */
bool kbr_op_full(const struct kbr_net *knet);
/** kbr_op_create() - a pending operation of @knet, a reference; NULL without memory */
struct kbr_op *kbr_op_create(struct kbr_net *knet, enum kbr_op_kind kind, const char *object);
void kbr_op_start(struct kbr_op *op);
void kbr_op_progress(struct kbr_op *op, u32 done, u32 total);
/** kbr_op_end() - record the end, raise the event, wake waiters and drop the caller's reference */
void kbr_op_end(struct kbr_op *op, int error);
/** kbr_op_ended() - has it ended? @error and @why say how, then */
bool kbr_op_ended(const struct kbr_op *op);
/** kbr_op_wait() - wait for its end: its error; -ETIMEDOUT, -EINTR */
int kbr_op_wait(struct kbr_op *op, unsigned int timeout_ms);
struct kbr_op *kbr_op_lookup(struct kbr_net *knet, u32 id);
/** kbr_op_next() - operation with the smallest id > @after, or NULL; a reference */
struct kbr_op *kbr_op_next(struct kbr_net *knet, u32 after);
void kbr_op_put(struct kbr_op *op);
void kbr_op_net_init(struct kbr_net *knet);
void kbr_op_net_exit(struct kbr_net *knet);

#endif /* _KBR_BROKER_OP_H */
