// SPDX-License-Identifier: GPL-2.0-only
/*
 * Operations: their table, their states, their end. What an operation does is
 * in topic_ops.c, broker.c and broker_start.c.
 */
#include <linux/slab.h>
#include <linux/wait.h>

#include "base/kunit.h"
#include "broker/event.h"
#include "broker/op.h"

/* Operations that have not ended, in one namespace */
#define KBR_OPS_PENDING_MAX	4096

static void kbr_op_release(struct kref *ref)
{
	struct kbr_op *op = container_of(ref, struct kbr_op, ref);

	kbr_net_put(op->knet);
	kfree(op);
}

void kbr_op_put(struct kbr_op *op)
{
	kref_put(&op->ref, kbr_op_release);
}
KBR_EXPORT_IF_KUNIT(kbr_op_put);

bool kbr_op_ended(const struct kbr_op *op)
{
	/* Pairs with the release in kbr_op_end(): error and why are set before. */
	enum kbr_op_state state = smp_load_acquire(&op->state);

	return state == KBR_OP_DONE || state == KBR_OP_FAILED;
}
KBR_EXPORT_IF_KUNIT(kbr_op_ended);

bool kbr_op_full(const struct kbr_net *knet)
{
	return READ_ONCE(knet->ops_count) >= KBR_OPS_PENDING_MAX + KBR_OPS_MAX;
}
KBR_EXPORT_IF_KUNIT(kbr_op_full);

struct kbr_op *kbr_op_create(struct kbr_net *knet, enum kbr_op_kind kind, const char *object)
{
	struct kbr_op *op;
	u32 id;

	op = kzalloc(sizeof(*op), GFP_KERNEL);
	if (!op)
		return NULL;
	kref_init(&op->ref);
	kref_get(&op->ref);		/* the table's */
	kbr_net_get(knet);
	init_waitqueue_head(&op->wait);
	op->knet = knet;
	op->kind = kind;
	op->state = KBR_OP_PENDING;
	strscpy(op->object, object, sizeof(op->object));

	xa_lock(&knet->ops);
	/*
	 * Taken before the insertion, which may drop the lock to allocate. After
	 * 2^32 operations a clash is an error like having no memory.
	 */
	id = ++knet->op_last;
	if (!id)
		id = ++knet->op_last;
	op->id = id;
	if (__xa_insert(&knet->ops, id, op, GFP_KERNEL)) {
		xa_unlock(&knet->ops);
		kbr_net_put(knet);
		kfree(op);
		return NULL;
	}
	knet->ops_count++;
	xa_unlock(&knet->ops);
	return op;
}

static void kbr_op_raise(struct kbr_op *op)
{
	struct kbr_event event = { .kind = KBR_EVENT_OP, .op = op };

	kbr_event_raise(op->knet, &event);
}

void kbr_op_start(struct kbr_op *op)
{
	WRITE_ONCE(op->state, KBR_OP_RUNNING);
}

/**
 * kbr_op_progress() - say how far it is
 * @op: running operation
 * @done: so many
 * @total: of so many
 *
 * Seen by whoever asks; an event tells of each new hundredth at most, so that
 * ten thousand partitions don't make ten thousand messages.
 */
void kbr_op_progress(struct kbr_op *op, u32 done, u32 total)
{
	u32 step = max(1u, total / 100);
	bool tell = total != READ_ONCE(op->total) || done / step != READ_ONCE(op->done) / step;

	WRITE_ONCE(op->total, total);
	WRITE_ONCE(op->done, done);
	if (tell)
		kbr_op_raise(op);
}

/*
 * One more has ended: forget the oldest of those beyond KBR_OPS_MAX. Not one
 * that has just ended, however many wait: whoever started it wants to know how.
 */
static void kbr_op_prune(struct kbr_net *knet)
{
	struct kbr_op *op, *victim;
	unsigned long id;

	xa_lock(&knet->ops);
	knet->ops_ended++;
	xa_unlock(&knet->ops);
	do {
		victim = NULL;
		xa_lock(&knet->ops);
		if (knet->ops_ended > KBR_OPS_MAX) {
			xa_for_each(&knet->ops, id, op) {
				if (!kbr_op_ended(op))
					continue;
				victim = op;
				__xa_erase(&knet->ops, id);
				knet->ops_count--;
				knet->ops_ended--;
				break;
			}
		}
		xa_unlock(&knet->ops);
		if (victim)
			kbr_op_put(victim);
	} while (victim);
}

void kbr_op_end(struct kbr_op *op, int error)
{
	op->error = error;
	/* Pairs with the acquire in kbr_op_ended(). */
	smp_store_release(&op->state, error ? KBR_OP_FAILED : KBR_OP_DONE);
	kbr_op_raise(op);
	wake_up_all(&op->wait);
	kbr_op_prune(op->knet);
	kbr_op_put(op);
}

int kbr_op_wait(struct kbr_op *op, unsigned int timeout_ms)
{
	long left = wait_event_interruptible_timeout(op->wait, kbr_op_ended(op),
						     msecs_to_jiffies(timeout_ms));

	if (left < 0)
		return -EINTR;
	return left ? op->error : -ETIMEDOUT;
}
KBR_EXPORT_IF_KUNIT(kbr_op_wait);

struct kbr_op *kbr_op_lookup(struct kbr_net *knet, u32 id)
{
	struct kbr_op *op;

	xa_lock(&knet->ops);
	op = xa_load(&knet->ops, id);
	if (op)
		kref_get(&op->ref);
	xa_unlock(&knet->ops);
	return op;
}
KBR_EXPORT_IF_KUNIT(kbr_op_lookup);

struct kbr_op *kbr_op_next(struct kbr_net *knet, u32 after)
{
	unsigned long id = after;
	struct kbr_op *op;

	xa_lock(&knet->ops);
	op = xa_find_after(&knet->ops, &id, ULONG_MAX, XA_PRESENT);
	if (op)
		kref_get(&op->ref);
	xa_unlock(&knet->ops);
	return op;
}
KBR_EXPORT_IF_KUNIT(kbr_op_next);

void kbr_op_net_init(struct kbr_net *knet)
{
	xa_init(&knet->ops);
}

/* Those that still run keep their own reference; nobody can ask for them. */
void kbr_op_net_exit(struct kbr_net *knet)
{
	struct kbr_op *op;
	unsigned long id;

	xa_for_each(&knet->ops, id, op) {
		xa_erase(&knet->ops, id);
		kbr_op_put(op);
	}
	xa_destroy(&knet->ops);
}
