// SPDX-License-Identifier: GPL-2.0-only
/*
 * Calls to another broker, whose connection is the test: what who waits is told,
 * whenever the other side answers, does not, or is never there.
 */
#include <kunit/test.h>
#include <linux/delay.h>
#include <linux/slab.h>

#include "broker/call.h"
#include "broker_test.h"
#include "codec/proto.h"

#define KBR_CT_PEER	2
#define KBR_CT_LONG_MS	KBR_TEST_PATIENCE_MS

/**
 * struct kbr_ct_caller - somebody who waits for an answer
 * @work: it
 * @broker: the broker
 * @call: its call
 * @connect_ms: see kbr_call_wait()
 * @ms: likewise
 * @err: what it was told
 * @done: it was
 */
struct kbr_ct_caller {
	struct work_struct work;
	struct kbr_broker *broker;
	struct kbr_call *call;
	unsigned int connect_ms;
	unsigned int ms;
	int err;
	bool done;
};

static void kbr_ct_work(struct work_struct *work)
{
	struct kbr_ct_caller *caller = container_of(work, struct kbr_ct_caller, work);

	caller->err = kbr_call_wait(caller->broker, caller->call, caller->connect_ms, caller->ms);
	WRITE_ONCE(caller->done, true);
}

static void kbr_ct_begin(struct kunit *test, struct kbr_ct_caller *caller, unsigned int connect_ms,
			 unsigned int ms)
{
	caller->broker = test->priv;
	caller->call = kbr_call_new(KBR_CT_PEER, KBR_API_GROUP_VIEW, 0);
	KUNIT_ASSERT_NOT_NULL(test, caller->call);
	kbr_put_string(&caller->call->body, "what?");
	caller->connect_ms = connect_ms;
	caller->ms = ms;
	caller->done = false;
	INIT_WORK(&caller->work, kbr_ct_work);
	queue_work(system_unbound_wq, &caller->work);
}

/* The call once it comes, with a reference */
static struct kbr_call *kbr_ct_take(struct kunit *test)
{
	struct kbr_call *call = NULL;
	unsigned int left;

	for (left = KBR_TEST_PATIENCE_MS; left && !call; left--) {
		call = kbr_call_next(test->priv, KBR_CT_PEER);
		if (!call)
			usleep_range(500, 1000);
	}
	KUNIT_ASSERT_NOT_NULL(test, call);
	return call;
}

static int kbr_ct_end(struct kbr_ct_caller *caller)
{
	flush_work(&caller->work);
	return caller->err;
}

static void kbr_ct_answered(struct kunit *test)
{
	struct kbr_ct_caller caller;
	struct kbr_call *call;

	kbr_ct_begin(test, &caller, KBR_CT_LONG_MS, KBR_CT_LONG_MS);
	call = kbr_ct_take(test);
	KUNIT_EXPECT_EQ(test, call->key, KBR_API_GROUP_VIEW);
	KUNIT_EXPECT_EQ(test, call->body.len, 7);
	KUNIT_EXPECT_FALSE(test, kbr_calls_wait_for(test->priv, KBR_CT_PEER));
	KUNIT_EXPECT_FALSE(test, READ_ONCE(caller.done));
	kbr_call_end(test->priv, call, 0, "that", 4);
	KUNIT_ASSERT_EQ(test, kbr_ct_end(&caller), 0);
	KUNIT_EXPECT_EQ(test, caller.call->len, 4);
	KUNIT_EXPECT_MEMEQ(test, caller.call->answer, "that", 4);
	kbr_call_put(caller.call);

	/* an answer of nothing is one, and one that is too long is none */
	kbr_ct_begin(test, &caller, KBR_CT_LONG_MS, KBR_CT_LONG_MS);
	kbr_call_end(test->priv, kbr_ct_take(test), 0, "", 0);
	KUNIT_EXPECT_EQ(test, kbr_ct_end(&caller), 0);
	KUNIT_EXPECT_EQ(test, caller.call->len, 0);
	kbr_call_put(caller.call);
	kbr_ct_begin(test, &caller, KBR_CT_LONG_MS, KBR_CT_LONG_MS);
	kbr_call_end(test->priv, kbr_ct_take(test), 0, "", KBR_CALL_BYTES_MAX + 1);
	KUNIT_EXPECT_EQ(test, kbr_ct_end(&caller), -EPROTO);
	kbr_call_put(caller.call);
}

static void kbr_ct_lost(struct kunit *test)
{
	struct kbr_ct_caller caller;
	struct kbr_call *call;

	/* nobody takes it: then nobody will */
	kbr_ct_begin(test, &caller, 10, KBR_CT_LONG_MS);
	KUNIT_EXPECT_EQ(test, kbr_ct_end(&caller), -EHOSTUNREACH);
	KUNIT_EXPECT_NULL(test, kbr_call_next(test->priv, KBR_CT_PEER));
	kbr_call_put(caller.call);

	kbr_ct_begin(test, &caller, KBR_CT_LONG_MS, KBR_CT_LONG_MS);
	kbr_call_end(test->priv, kbr_ct_take(test), -ECONNRESET, NULL, 0);
	KUNIT_EXPECT_EQ(test, kbr_ct_end(&caller), -ECONNRESET);
	kbr_call_put(caller.call);

	/* who has given up is gone when the answer comes */
	kbr_ct_begin(test, &caller, KBR_CT_LONG_MS, 10);
	call = kbr_ct_take(test);
	KUNIT_EXPECT_EQ(test, kbr_ct_end(&caller), -ETIMEDOUT);
	kbr_call_put(caller.call);
	kbr_call_end(test->priv, call, 0, "that", 4);
}

static void kbr_ct_order(struct kunit *test)
{
	struct kbr_ct_caller callers[2];
	struct kbr_call *call;

	kbr_ct_begin(test, &callers[0], KBR_CT_LONG_MS, KBR_CT_LONG_MS);
	while (!kbr_calls_wait_for(test->priv, KBR_CT_PEER))
		usleep_range(500, 1000);
	kbr_ct_begin(test, &callers[1], KBR_CT_LONG_MS, KBR_CT_LONG_MS);
	KUNIT_EXPECT_FALSE(test, kbr_calls_wait_for(test->priv, KBR_CT_PEER + 1));
	KUNIT_EXPECT_NULL(test, kbr_call_next(test->priv, KBR_CT_PEER + 1));
	call = kbr_ct_take(test);
	KUNIT_EXPECT_PTR_EQ(test, call, callers[0].call);
	kbr_call_end(test->priv, call, 0, "a", 1);
	KUNIT_EXPECT_EQ(test, kbr_ct_end(&callers[0]), 0);
	call = kbr_ct_take(test);
	KUNIT_EXPECT_PTR_EQ(test, call, callers[1].call);
	kbr_call_end(test->priv, call, 0, "b", 1);
	KUNIT_EXPECT_EQ(test, kbr_ct_end(&callers[1]), 0);
	kbr_call_put(callers[0].call);
	kbr_call_put(callers[1].call);
}

/* One more than may wait is refused; when the broker stops all are answered, and later ones, too. */
static void kbr_ct_bounds(struct kunit *test)
{
	struct kbr_ct_caller *callers, late;
	struct kbr_broker *broker = test->priv;
	unsigned int i;

	callers = kunit_kcalloc(test, KBR_CALLS_MAX, sizeof(*callers), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, callers);
	for (i = 0; i < KBR_CALLS_MAX; i++)
		kbr_ct_begin(test, &callers[i], KBR_CT_LONG_MS, KBR_CT_LONG_MS);
	for (i = KBR_TEST_PATIENCE_MS; i && READ_ONCE(broker->calls.count) < KBR_CALLS_MAX; i--)
		usleep_range(500, 1000);
	KUNIT_ASSERT_EQ(test, READ_ONCE(broker->calls.count), KBR_CALLS_MAX);
	kbr_ct_begin(test, &late, KBR_CT_LONG_MS, KBR_CT_LONG_MS);
	KUNIT_EXPECT_EQ(test, kbr_ct_end(&late), -EAGAIN);
	kbr_call_put(late.call);
	kbr_calls_stop(broker);
	for (i = 0; i < KBR_CALLS_MAX; i++) {
		KUNIT_EXPECT_EQ(test, kbr_ct_end(&callers[i]), -ENODEV);
		kbr_call_put(callers[i].call);
	}
	KUNIT_EXPECT_EQ(test, READ_ONCE(broker->calls.count), 0);
	KUNIT_EXPECT_NULL(test, kbr_call_next(broker, KBR_CT_PEER));
	kbr_ct_begin(test, &late, KBR_CT_LONG_MS, KBR_CT_LONG_MS);
	KUNIT_EXPECT_EQ(test, kbr_ct_end(&late), -ENODEV);
	kbr_call_put(late.call);
}

static int kbr_ct_init(struct kunit *test)
{
	struct kbr_test_broker *tb = kbr_test_init(test);

	KUNIT_ASSERT_EQ(test, kbr_test_start(tb), 0);
	test->priv = kbr_test_get(tb);
	return 0;
}

static void kbr_ct_exit(struct kunit *test)
{
	if (test->priv)
		kbr_broker_put(test->priv);
	kbr_test_cleanup(test);
}

static struct kunit_case kbr_ct_cases[] = {
	KUNIT_CASE(kbr_ct_answered),
	KUNIT_CASE(kbr_ct_lost),
	KUNIT_CASE(kbr_ct_order),
	KUNIT_CASE(kbr_ct_bounds),
	{}
};

static struct kunit_suite kbr_ct_suite = {
	.name = "kbroker_call",
	.init = kbr_ct_init,
	.exit = kbr_ct_exit,
	.test_cases = kbr_ct_cases,
};
kunit_test_suite(kbr_ct_suite);
