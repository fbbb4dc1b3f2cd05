// SPDX-License-Identifier: GPL-2.0-only
/*
 * Calls to other brokers; see call.h. Knows no connections.
 */
#include <linux/jiffies.h>
#include <linux/mm.h>
#include <linux/slab.h>

#include "base/kunit.h"
#include "broker/broker.h"
#include "broker/call.h"
#include "broker/replica.h"

void kbr_calls_init(struct kbr_broker *broker)
{
	struct kbr_calls *calls = &broker->calls;

	spin_lock_init(&calls->lock);
	INIT_LIST_HEAD(&calls->queue);
	init_waitqueue_head(&calls->wait);
}

void kbr_calls_stop(struct kbr_broker *broker)
{
	struct kbr_calls *calls = &broker->calls;

	spin_lock(&calls->lock);
	WRITE_ONCE(calls->stopped, true);
	spin_unlock(&calls->lock);
	wake_up_all(&calls->wait);
}
KBR_EXPORT_IF_KUNIT(kbr_calls_stop);

/* ---- life ---- */

struct kbr_call *kbr_call_new(s32 peer, s16 key, s16 version)
{
	struct kbr_call *call = kzalloc(sizeof(*call), GFP_KERNEL);

	if (!call)
		return NULL;
	kref_init(&call->ref);
	INIT_LIST_HEAD(&call->node);
	call->peer = peer;
	call->key = key;
	call->version = version;
	kbr_wire_writer_init(&call->body, KBR_CALL_BYTES_MAX, false);
	return call;
}
KBR_EXPORT_IF_KUNIT(kbr_call_new);

static void kbr_call_release(struct kref *ref)
{
	struct kbr_call *call = container_of(ref, struct kbr_call, ref);

	kbr_wire_writer_free(&call->body);
	kvfree(call->answer);
	kfree(call);
}

void kbr_call_put(struct kbr_call *call)
{
	if (call)
		kref_put(&call->ref, kbr_call_release);
}
KBR_EXPORT_IF_KUNIT(kbr_call_put);

/* ---- waiting ---- */

static int kbr_call_queue(struct kbr_calls *calls, struct kbr_call *call)
{
	int err = 0;

	spin_lock(&calls->lock);
	if (calls->stopped) {
		err = -ENODEV;
	} else if (calls->count >= KBR_CALLS_MAX) {
		err = -EAGAIN;
	} else {
		calls->count++;
		kref_get(&call->ref);	/* the queue's */
		list_add_tail(&call->node, &calls->queue);
	}
	spin_unlock(&calls->lock);
	return err;
}

/* Nobody waits for @call any more. True: it was not sent, and never will be. */
static bool kbr_call_leave(struct kbr_calls *calls, struct kbr_call *call)
{
	bool queued;

	spin_lock(&calls->lock);
	calls->count--;
	queued = !list_empty(&call->node);
	list_del_init(&call->node);
	spin_unlock(&calls->lock);
	if (queued)
		kbr_call_put(call);
	return queued;
}

/* Until @call is beyond @step. 0, -ETIMEDOUT, -EINTR. */
static int kbr_call_await(struct kbr_calls *calls, const struct kbr_call *call, u8 step,
			  unsigned int ms)
{
	long left;

	left = wait_event_killable_timeout(calls->wait, READ_ONCE(call->step) > step ||
					   READ_ONCE(calls->stopped), msecs_to_jiffies(ms));
	if (left < 0)
		return -EINTR;
	return left ? 0 : -ETIMEDOUT;
}

int kbr_call_wait(struct kbr_broker *broker, struct kbr_call *call, unsigned int connect_ms,
		  unsigned int ms)
{
	struct kbr_calls *calls = &broker->calls;
	int err;

	err = call->body.err ?: kbr_call_queue(calls, call);
	if (err)
		return err;
	if (kbr_follow())
		kbr_follow()->call(broker, call->peer);
	err = kbr_call_await(calls, call, KBR_CALL_QUEUED, connect_ms) ?:
	      kbr_call_await(calls, call, KBR_CALL_SENT, ms);
	/* acquire: what kbr_call_end() wrote before */
	if (smp_load_acquire(&call->step) == KBR_CALL_DONE)
		err = call->err;
	else if (READ_ONCE(calls->stopped))
		err = -ENODEV;
	if (kbr_call_leave(calls, call) && err == -ETIMEDOUT)
		err = -EHOSTUNREACH;
	return err;
}
KBR_EXPORT_IF_KUNIT(kbr_call_wait);

/* ---- for the fetcher ---- */

/* The oldest to @peer that was not sent, or NULL. */
static struct kbr_call *kbr_calls_find_locked(struct kbr_calls *calls, s32 peer)
{
	struct kbr_call *call;

	lockdep_assert_held(&calls->lock);
	list_for_each_entry(call, &calls->queue, node)
		if (call->peer == peer)
			return call;
	return NULL;
}

bool kbr_calls_wait_for(struct kbr_broker *broker, s32 peer)
{
	struct kbr_calls *calls = &broker->calls;
	bool any;

	spin_lock(&calls->lock);
	any = kbr_calls_find_locked(calls, peer);
	spin_unlock(&calls->lock);
	return any;
}
KBR_EXPORT_IF_KUNIT(kbr_calls_wait_for);

struct kbr_call *kbr_call_next(struct kbr_broker *broker, s32 peer)
{
	struct kbr_calls *calls = &broker->calls;
	struct kbr_call *call;

	spin_lock(&calls->lock);
	call = kbr_calls_find_locked(calls, peer);
	if (call) {
		list_del_init(&call->node);
		WRITE_ONCE(call->step, KBR_CALL_SENT);
	}
	spin_unlock(&calls->lock);
	if (call)
		wake_up_all(&calls->wait);
	return call;
}
KBR_EXPORT_IF_KUNIT(kbr_call_next);

void kbr_call_end(struct kbr_broker *broker, struct kbr_call *call, int err, const void *answer,
		  size_t len)
{
	if (!err && len > KBR_CALL_BYTES_MAX)
		err = -EPROTO;
	if (!err) {
		call->answer = kvmalloc(max_t(size_t, len, 1), GFP_KERNEL);
		if (!call->answer)
			err = -ENOMEM;
		else
			memcpy(call->answer, answer, len);
		call->len = len;
	}
	call->err = err;
	/* release: the answer, for who waits */
	smp_store_release(&call->step, KBR_CALL_DONE);
	wake_up_all(&broker->calls.wait);
	kbr_call_put(call);
}
KBR_EXPORT_IF_KUNIT(kbr_call_end);
