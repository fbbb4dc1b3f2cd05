// SPDX-License-Identifier: GPL-2.0-only
/*
 * The open requests of a member to its cluster's controller; see request.h.
 */
#include <linux/slab.h>

#include "base/clock.h"
#include "base/kunit.h"
#include "broker/cluster_internal.h"
#include "broker/event.h"
#include "broker/group.h"
#include "broker/op.h"
#include "broker/partition.h"

static bool kbr_request_is_isr(const struct kbr_cluster_request *request)
{
	return request->kind == KBR_REQUEST_ISR;
}

/* ---- life ---- */

static void kbr_cluster_request_release(struct kref *ref)
{
	struct kbr_cluster_request *request = container_of(ref, struct kbr_cluster_request, ref);

	if (kbr_request_is_isr(request)) {
		kbr_topic_put(request->part->topic);
	} else {
		kbr_config_set_free(&request->topic.set);
		kbr_config_set_free(&request->topic.del);
		kvfree(request->topic.assignment);
	}
	kbr_broker_put(request->broker);
	kfree(request);
}

void kbr_cluster_request_put(struct kbr_cluster_request *request)
{
	if (request)
		kref_put(&request->ref, kbr_cluster_request_release);
}
KBR_EXPORT_IF_KUNIT(kbr_cluster_request_put);

struct kbr_cluster_request *kbr_cluster_request_alloc(struct kbr_broker *broker,
						      enum kbr_cluster_request_kind kind)
{
	struct kbr_cluster_request *request = kzalloc(sizeof(*request), GFP_KERNEL);

	if (!request)
		return NULL;
	kref_init(&request->ref);
	kbr_broker_get(broker);
	request->broker = broker;
	request->kind = kind;
	request->deadline_ms = S64_MAX;
	INIT_LIST_HEAD(&request->node);
	return request;
}

const char *kbr_cluster_request_topic(const struct kbr_cluster_request *request)
{
	if (request->kind == KBR_REQUEST_LEAVE)
		return NULL;
	return kbr_request_is_isr(request) ? request->part->topic->name : request->topic.name;
}

static void kbr_cluster_request_raise(struct kbr_cluster_request *request, enum kbr_event_kind kind)
{
	struct kbr_event event = {
		.kind = kind,
		.broker = request->broker,
		.request = request,
	};

	kbr_event_raise(request->broker->knet, &event);
}

/* ---- the table ---- */

static int kbr_requests_add(struct kbr_requests *requests, struct kbr_cluster_request *request,
			    struct kbr_refusal *why)
{
	bool bounded = !kbr_request_is_isr(request);
	int err;

	lockdep_assert_held(&requests->lock);
	if (requests->closed)
		return kbr_refuse(why, -ENODEV, 0, "broker %s is stopping", request->broker->name);
	if (bounded && requests->bounded >= KBR_CLUSTER_REQUESTS_MAX)
		return kbr_refuse(why, -EAGAIN, 0,
				  "%u requests wait for the cluster's controller already",
				  requests->bounded);
	err = xa_insert(&requests->open, requests->last_id + 1, request, GFP_KERNEL);
	if (err)
		return err;
	request->id = ++requests->last_id;
	request->opened_ms = kbr_clock_mono_ms();
	kref_get(&request->ref);	/* the table's */
	requests->count++;
	requests->bounded += bounded;
	return 0;
}

/* Whoever gets @request back ends it, and holds the table's reference. */
static struct kbr_cluster_request *kbr_requests_take(struct kbr_requests *requests,
						     unsigned long id)
{
	struct kbr_cluster_request *request;

	lockdep_assert_held(&requests->lock);
	request = xa_erase(&requests->open, id);
	if (!request)
		return NULL;
	list_del_init(&request->node);
	if (kbr_request_is_isr(request))
		hash_del(&request->by_part);
	requests->count--;
	requests->bounded -= !kbr_request_is_isr(request);
	return request;
}

unsigned int kbr_requests_count(struct kbr_requests *requests)
{
	return READ_ONCE(requests->count);
}

/* ---- their end ---- */

/* @request was taken out of the table, with its reference. */
static void kbr_cluster_request_end(struct kbr_cluster_request *request, int err,
				    const char *message)
{
	kbr_cluster_request_raise(request, KBR_EVENT_REQUEST_DEL);
	if (request->kind == KBR_REQUEST_LEAVE) {
		kbr_broker_left(request->broker);
	} else if (request->op) {
		if (err && message)
			kbr_refuse(&request->op->why, err, 0, "%s", message);
		kbr_op_end(request->op, err);
		request->op = NULL;
		if (err && request->kind == KBR_REQUEST_TOPIC_NEW)
			kbr_groups_topic_told(request->broker, request->topic.name, err);
	}
	kbr_cluster_request_put(request);
}

int kbr_cluster_request_answer(struct kbr_broker *broker, u64 id, int error, const char *message,
			       struct kbr_refusal *why)
{
	struct kbr_cluster *cluster = kbr_cluster_of(broker);
	struct kbr_cluster_request *request = NULL;

	if (!cluster)
		return kbr_refuse(why, -EINVAL, 0,
				  "broker %s belongs to no cluster: it asks for nothing",
				  broker->name);
	mutex_lock(&cluster->requests.lock);
	if (id <= ULONG_MAX)
		request = kbr_requests_take(&cluster->requests, id);
	mutex_unlock(&cluster->requests.lock);
	if (!request)
		return kbr_refuse(why, -ENOENT, KBROKER_A_REQUEST_ID,
				  "request %llu is not open: it was answered, or its time was over",
				  (unsigned long long)id);
	kbr_cluster_request_end(request, error, message);
	return 0;
}
KBR_EXPORT_IF_KUNIT(kbr_cluster_request_answer);

/* The first of @requests->timed whose time is over, taken; else when the next one's is. */
static struct kbr_cluster_request *kbr_requests_take_late(struct kbr_requests *requests,
							  s64 *next_ms)
{
	struct kbr_cluster_request *request;
	s64 now_ms = kbr_clock_mono_ms();

	*next_ms = S64_MAX;
	list_for_each_entry(request, &requests->timed, node) {
		if (request->deadline_ms <= now_ms)
			return kbr_requests_take(requests, request->id);
		*next_ms = min(*next_ms, request->deadline_ms - now_ms);
	}
	return NULL;
}

static void kbr_requests_deadline(struct work_struct *work)
{
	struct kbr_requests *requests = container_of(work, struct kbr_requests, deadline.work);
	struct kbr_cluster_request *request;
	s64 next_ms;

	for (;;) {
		mutex_lock(&requests->lock);
		request = kbr_requests_take_late(requests, &next_ms);
		if (!request && next_ms < S64_MAX)
			mod_delayed_work(system_wq, &requests->deadline,
					 msecs_to_jiffies(next_ms));
		mutex_unlock(&requests->lock);
		if (!request)
			break;
		kbr_cluster_request_end(request, -ETIMEDOUT,
					"the cluster's controller did not answer in time");
	}
}

/* ---- topics, leaving ---- */

int kbr_cluster_request_open(struct kbr_cluster_request *request, s64 timeout_ms,
			     struct kbr_refusal *why)
{
	struct kbr_requests *requests = &kbr_cluster_of(request->broker)->requests;
	int err;

	mutex_lock(&requests->lock);
	err = kbr_requests_add(requests, request, why);
	if (!err) {
		request->deadline_ms = request->opened_ms + timeout_ms;
		list_add_tail(&request->node, &requests->timed);
		/* looks at all of them, and waits for the next */
		mod_delayed_work(system_wq, &requests->deadline, 0);
	}
	mutex_unlock(&requests->lock);
	if (!err)
		kbr_cluster_request_raise(request, KBR_EVENT_REQUEST_NEW);
	return err;
}

void kbr_cluster_leave_now(struct kbr_broker *broker)
{
	struct kbr_requests *requests = &kbr_cluster_of(broker)->requests;
	struct kbr_cluster_request *request, *found = NULL;

	mutex_lock(&requests->lock);
	list_for_each_entry(request, &requests->timed, node) {
		if (request->kind == KBR_REQUEST_LEAVE) {
			found = kbr_requests_take(requests, request->id);
			break;
		}
	}
	mutex_unlock(&requests->lock);
	if (found)
		kbr_cluster_request_end(found, 0, NULL);
}

/* ---- in-sync sets ---- */

static struct kbr_cluster_request *kbr_requests_find_isr(struct kbr_requests *requests,
							 const struct kbr_partition *part)
{
	struct kbr_cluster_request *request;

	lockdep_assert_held(&requests->lock);
	hash_for_each_possible(requests->isr, request, by_part, (unsigned long)part)
		if (request->part == part)
			return request;
	return NULL;
}

static bool kbr_isr_wish_same(const struct kbr_isr_wish *a, const struct kbr_isr_wish *b)
{
	return a->leader_epoch == b->leader_epoch && a->partition_epoch == b->partition_epoch &&
	       a->lost == b->lost && a->count == b->count && !memcmp(a->id, b->id, a->count * sizeof(a->id[0])) &&
	       !memcmp(a->epoch, b->epoch, a->count * sizeof(a->epoch[0]));
}

/* @request in the place of the one there is for its partition; that one, with the table's reference. */
static int kbr_requests_put_isr(struct kbr_requests *requests, struct kbr_cluster_request *request,
				struct kbr_cluster_request **old)
{
	int err;

	*old = kbr_requests_find_isr(requests, request->part);
	if (*old && kbr_isr_wish_same(&(*old)->isr, &request->isr)) {
		*old = NULL;
		return -EALREADY;
	}
	/*
	 * Made before the last change, it comes late: the controller would refuse it. Or
	 * before its log turned out to be lost: then it has nothing to say about others.
	 */
	if (*old && (request->isr.partition_epoch < (*old)->isr.partition_epoch ||
		     (request->isr.partition_epoch == (*old)->isr.partition_epoch &&
		      (*old)->isr.lost && !request->isr.lost))) {
		*old = NULL;
		return -ESTALE;
	}
	err = kbr_requests_add(requests, request, NULL);
	if (err) {
		*old = NULL;
		return err;
	}
	if (*old)
		kbr_requests_take(requests, (*old)->id);
	hash_add(requests->isr, &request->by_part, (unsigned long)request->part);
	return 0;
}

int kbr_cluster_isr_request(struct kbr_partition *part, const struct kbr_isr_wish *wish)
{
	struct kbr_broker *broker = part->topic->broker;
	struct kbr_cluster *cluster = kbr_cluster_of(broker);
	struct kbr_cluster_request *request, *old;
	int err;

	if (!cluster || wish->count > KBROKER_REPLICAS_MAX)
		return -EINVAL;
	request = kbr_cluster_request_alloc(broker, KBR_REQUEST_ISR);
	if (!request)
		return -ENOMEM;
	kbr_topic_get(part->topic);
	request->part = part;
	request->isr = *wish;
	mutex_lock(&cluster->requests.lock);
	/* A deletion says that it is gone, and then drops what is open. */
	old = NULL;
	err = -ENODEV;
	if (!kbr_topic_gone(part->topic))
		err = kbr_requests_put_isr(&cluster->requests, request, &old);
	mutex_unlock(&cluster->requests.lock);
	/* A newer one in its place says enough of the old one. */
	kbr_cluster_request_put(old);
	if (!err)
		kbr_cluster_request_raise(request, KBR_EVENT_REQUEST_NEW);
	kbr_cluster_request_put(request);
	return err == -EALREADY ? 0 : err;
}
KBR_EXPORT_IF_KUNIT(kbr_cluster_isr_request);

void kbr_cluster_isr_drop(struct kbr_partition *part)
{
	struct kbr_cluster *cluster = kbr_cluster_of(part->topic->broker);
	struct kbr_cluster_request *request;

	if (!cluster)
		return;
	mutex_lock(&cluster->requests.lock);
	request = kbr_requests_find_isr(&cluster->requests, part);
	if (request)
		kbr_requests_take(&cluster->requests, request->id);
	mutex_unlock(&cluster->requests.lock);
	if (request)
		kbr_cluster_request_end(request, 0, NULL);
}
KBR_EXPORT_IF_KUNIT(kbr_cluster_isr_drop);

void kbr_cluster_topic_drop(struct kbr_topic *topic)
{
	struct kbr_partition *part;
	unsigned int i;

	if (!kbr_cluster_is_member(topic->broker))
		return;
	for (i = 0; (part = kbr_topic_partition(topic, i)); i++)
		kbr_cluster_isr_drop(part);
}

/* ---- looking at them ---- */

struct kbr_cluster_request *kbr_cluster_request_lookup(struct kbr_broker *broker, u64 id)
{
	struct kbr_cluster_request *request;

	request = id ? kbr_cluster_request_next(broker, id - 1) : NULL;
	if (!request || request->id == id)
		return request;
	kbr_cluster_request_put(request);
	return NULL;
}
KBR_EXPORT_IF_KUNIT(kbr_cluster_request_lookup);

struct kbr_cluster_request *kbr_cluster_request_next(struct kbr_broker *broker, u64 after)
{
	struct kbr_cluster *cluster = kbr_cluster_of(broker);
	struct kbr_cluster_request *request;
	unsigned long id = after;

	if (!cluster || after >= ULONG_MAX)
		return NULL;
	mutex_lock(&cluster->requests.lock);
	request = xa_find_after(&cluster->requests.open, &id, ULONG_MAX, XA_PRESENT);
	if (request)
		kref_get(&request->ref);
	mutex_unlock(&cluster->requests.lock);
	return request;
}
KBR_EXPORT_IF_KUNIT(kbr_cluster_request_next);

/* ---- with the cluster ---- */

void kbr_requests_init(struct kbr_requests *requests)
{
	mutex_init(&requests->lock);
	xa_init(&requests->open);
	INIT_LIST_HEAD(&requests->timed);
	hash_init(requests->isr);
	INIT_DELAYED_WORK(&requests->deadline, kbr_requests_deadline);
}

void kbr_requests_close(struct kbr_requests *requests)
{
	struct kbr_cluster_request *request;
	unsigned long id = 0;

	do {
		mutex_lock(&requests->lock);
		requests->closed = true;
		request = xa_find(&requests->open, &id, ULONG_MAX, XA_PRESENT);
		if (request)
			kbr_requests_take(requests, id);
		mutex_unlock(&requests->lock);
		if (request)
			kbr_cluster_request_end(request, -ENODEV, "the broker stops");
	} while (request);
	cancel_delayed_work_sync(&requests->deadline);
}
