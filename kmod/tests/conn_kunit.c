// SPDX-License-Identifier: GPL-2.0-only
/*
 * Connections over the loopback device: replies in the order of their requests,
 * whatever each waits for; a limit that stops reading instead of failing; and
 * every way to end, from either side, with requests in any state. What holds of
 * each request alone is in the suites of the handlers, clients that do not read
 * are in tests/selftests/listener_pressure.py.
 */
#include <kunit/test.h>
#include <linux/delay.h>
#include <linux/in.h>
#include <linux/slab.h>
#include <net/net_namespace.h>
#include <net/sock.h>

#include "broker/listener.h"
#include "broker/net.h"
#include "server_test.h"

/* Clients of one test */
#define KBR_CONN_TEST_CLIENTS	4
/* A fetch that nothing but news or an end answers */
#define KBR_CONN_TEST_FOREVER	(10 * 60 * 1000)
#define KBR_CONN_TEST_ANY	S32_MAX

/**
 * struct kbr_conn_test - the fixture
 * @test: the running test
 * @tb: a broker in the initial namespace
 * @broker: it, with a reference
 * @part: partition 0 of topic "t"
 * @topic: that topic, with a reference
 * @listener: id of its listener
 * @address: where that listens
 * @client: sockets connected to it
 */
struct kbr_conn_test {
	struct kunit *test;
	struct kbr_test_broker *tb;
	struct kbr_broker *broker;
	struct kbr_topic *topic;
	struct kbr_partition *part;
	u32 listener;
	struct sockaddr_in address;
	struct socket *client[KBR_CONN_TEST_CLIENTS];
};

/* ---- the fixture ---- */

static void kbr_conn_test_connect(struct kbr_conn_test *ct, unsigned int n)
{
	struct socket *sock;
	int err;

	err = sock_create_kern(&init_net, AF_INET, SOCK_STREAM, IPPROTO_TCP, &sock);
	KUNIT_ASSERT_EQ(ct->test, err, 0);
	ct->client[n] = sock;
	sock->sk->sk_rcvtimeo = msecs_to_jiffies(KBR_TEST_PATIENCE_MS);
	sock->sk->sk_sndtimeo = msecs_to_jiffies(KBR_TEST_PATIENCE_MS);
	err = kernel_connect(sock, (struct sockaddr *)&ct->address, sizeof(ct->address), 0);
	KUNIT_ASSERT_EQ(ct->test, err, 0);
}

static void kbr_conn_test_close(struct kbr_conn_test *ct, unsigned int n, bool reset)
{
	if (!ct->client[n])
		return;
	if (reset)
		sock_no_linger(ct->client[n]->sk);
	sock_release(ct->client[n]);
	ct->client[n] = NULL;
}

static struct kbr_conn_test *kbr_conn_test_begin(struct kunit *test, const char *config,
						 const char *value)
{
	struct kbr_listener_params params = { .uid = INVALID_UID, .gid = INVALID_GID };
	struct sockaddr_in *in = (struct sockaddr_in *)&params.address;
	struct kbr_conn_test *ct = test->priv;
	struct kbr_listener_info info;

	ct->test = test;
	ct->tb = kbr_test_init(test);
	ct->tb->knet->net = &init_net;
	if (config)
		KUNIT_ASSERT_EQ(test, kbr_config_set_put(&ct->tb->configs, config, value), 0);
	KUNIT_ASSERT_EQ(test, kbr_test_start(ct->tb), 0);
	ct->broker = kbr_test_get(ct->tb);
	KUNIT_ASSERT_EQ(test, kbr_test_create(ct->tb, "t", 1, NULL, NULL), 0);
	ct->topic = kbr_test_topic(ct->tb, "t");
	KUNIT_ASSERT_NOT_NULL(test, ct->topic);
	ct->part = kbr_topic_partition(ct->topic, 0);
	in->sin_family = AF_INET;
	in->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	KUNIT_ASSERT_EQ(test, kbr_server()->listener_add(ct->broker, &params, &ct->listener,
							 &ct->tb->why), 0);
	KUNIT_ASSERT_TRUE(test, kbr_server()->listener_next(ct->broker, 0, &info));
	ct->address = *(struct sockaddr_in *)&info.params.address;
	kbr_conn_test_connect(ct, 0);
	return ct;
}

static int kbr_conn_test_init(struct kunit *test)
{
	test->priv = kunit_kzalloc(test, sizeof(struct kbr_conn_test), GFP_KERNEL);
	if (!test->priv)
		return -ENOMEM;
	return 0;
}

static void kbr_conn_test_exit(struct kunit *test)
{
	struct kbr_conn_test *ct = test->priv;
	unsigned int n;

	for (n = 0; n < KBR_CONN_TEST_CLIENTS; n++)
		kbr_conn_test_close(ct, n, true);
	kbr_topic_put(ct->topic);
	kbr_broker_put(ct->broker);
	kbr_test_cleanup(test);
}

/* ---- requests ---- */

static void kbr_conn_test_send_bytes(struct kbr_conn_test *ct, unsigned int n, const void *buf,
				     size_t len)
{
	struct kvec vec = { .iov_base = (void *)buf, .iov_len = len };
	struct msghdr msg = { .msg_flags = MSG_NOSIGNAL };

	KUNIT_ASSERT_EQ(ct->test, kernel_sendmsg(ct->client[n], &msg, &vec, 1, len), (int)len);
}

static void kbr_conn_test_begin_frame(struct kbr_wire_writer *w, s16 key, s16 version, s32 number)
{
	kbr_wire_writer_init(w, 1 << 20, false);
	kbr_put_s32(w, 0);
	kbr_put_s16(w, key);
	kbr_put_s16(w, version);
	kbr_put_s32(w, number);
	kbr_put_string(w, "kunit");
}

static void kbr_conn_test_send(struct kbr_conn_test *ct, unsigned int n, struct kbr_wire_writer *w)
{
	kbr_wire_writer_patch_s32(w, 0, w->len - sizeof(__be32));
	KUNIT_EXPECT_EQ(ct->test, w->err, 0);
	kbr_conn_test_send_bytes(ct, n, w->buf, w->len);
	kbr_wire_writer_free(w);
}

/* What is answered at once */
static void kbr_conn_test_send_versions(struct kbr_conn_test *ct, unsigned int n, s32 number)
{
	struct kbr_wire_writer w;

	kbr_conn_test_begin_frame(&w, KBR_API_API_VERSIONS, 0, number);
	kbr_conn_test_send(ct, n, &w);
}

static void kbr_conn_test_send_fetch(struct kbr_conn_test *ct, unsigned int n, s32 number,
				     s64 offset, s32 wait_ms)
{
	struct kbr_wire_writer w;

	kbr_conn_test_begin_frame(&w, KBR_API_FETCH, 4, number);
	kbr_put_s32(&w, -1);
	kbr_put_s32(&w, wait_ms);
	kbr_put_s32(&w, 1);
	kbr_put_s32(&w, 1 << 20);
	kbr_put_s8(&w, 0);
	kbr_put_count(&w, 1);
	kbr_put_string(&w, "t");
	kbr_put_count(&w, 1);
	kbr_put_s32(&w, 0);
	kbr_put_s64(&w, offset);
	kbr_put_s32(&w, 1 << 20);
	kbr_conn_test_send(ct, n, &w);
}

static void kbr_conn_test_send_produce(struct kbr_conn_test *ct, unsigned int n, s32 number)
{
	struct kbr_test_batch batch;
	struct kbr_wire_writer w;

	kbr_test_batch(&batch, "x", 1);
	kbr_conn_test_begin_frame(&w, KBR_API_PRODUCE, 3, number);
	kbr_put_string(&w, NULL);
	kbr_put_s16(&w, KBR_ACKS_ALL);
	kbr_put_s32(&w, KBR_TEST_PATIENCE_MS);
	kbr_put_count(&w, 1);
	kbr_put_string(&w, "t");
	kbr_put_count(&w, 1);
	kbr_put_s32(&w, 0);
	kbr_put_bytes(&w, batch.buf, batch.len);
	kbr_conn_test_send(ct, n, &w);
}

/* ---- replies ---- */

/* @len bytes into @buf; fewer: the broker has closed it; or an error */
static int kbr_conn_test_recv(struct kbr_conn_test *ct, unsigned int n, void *buf, size_t len,
			      int flags)
{
	struct kvec vec = { .iov_base = buf, .iov_len = len };
	struct msghdr msg = {};

	return kernel_recvmsg(ct->client[n], &msg, &vec, 1, len, flags);
}

/* The next reply must be that to @number; its body is returned up to @room bytes */
static void kbr_conn_test_expect(struct kbr_conn_test *ct, unsigned int n, s32 number, void *body,
				 size_t room)
{
	size_t len, part;
	__be32 head[2];
	u8 rest[64];

	KUNIT_ASSERT_EQ(ct->test, kbr_conn_test_recv(ct, n, head, sizeof(head), MSG_WAITALL),
			(int)sizeof(head));
	KUNIT_EXPECT_EQ(ct->test, (s32)be32_to_cpu(head[1]), number);
	len = be32_to_cpu(head[0]) - sizeof(head[1]);
	KUNIT_ASSERT_LE(ct->test, room, len);
	if (room)
		KUNIT_ASSERT_EQ(ct->test, kbr_conn_test_recv(ct, n, body, room, MSG_WAITALL),
				(int)room);
	for (len -= room; len; len -= part) {
		part = min(len, sizeof(rest));
		KUNIT_ASSERT_EQ(ct->test, kbr_conn_test_recv(ct, n, rest, part, MSG_WAITALL),
				(int)part);
	}
}

/* The broker says nothing more and closes it: an end, or a reset if it had not read everything. */
static void kbr_conn_test_expect_end(struct kbr_conn_test *ct, unsigned int n)
{
	u8 byte;
	int ret = kbr_conn_test_recv(ct, n, &byte, 1, 0);

	KUNIT_EXPECT_TRUE_MSG(ct->test, !ret || ret == -ECONNRESET, "got %d", ret);
}

static void kbr_conn_test_expect_silence(struct kbr_conn_test *ct, unsigned int n)
{
	u8 byte;

	KUNIT_EXPECT_EQ(ct->test, kbr_conn_test_recv(ct, n, &byte, 1, MSG_DONTWAIT), -EAGAIN);
}

/*
 * Wait until the @n-th connection from below has begun @taken requests and has
 * not answered @in_flight (either may be KBR_CONN_TEST_ANY); what it is like then.
 */
static struct kbr_connection_info kbr_conn_test_wait(struct kbr_conn_test *ct, unsigned int n,
						     u64 taken, u32 in_flight)
{
	unsigned long end = jiffies + msecs_to_jiffies(KBR_TEST_PATIENCE_MS);
	struct kbr_connection_info info;
	unsigned int at;
	bool there;

	for (;;) {
		info.id = 0;
		at = 0;
		do
			there = kbr_server()->connection_next(ct->broker, info.id, &info);
		while (there && at++ < n);
		if (there && (taken == KBR_CONN_TEST_ANY || info.requests == taken) &&
		    (in_flight == KBR_CONN_TEST_ANY || info.in_flight == in_flight))
			return info;
		KUNIT_ASSERT_TRUE_MSG(ct->test, time_before(jiffies, end),
				      "%llu requests, %u in flight", info.requests, info.in_flight);
		usleep_range(500, 1000);
	}
}

/* Until no connection is left */
static void kbr_conn_test_wait_none(struct kbr_conn_test *ct)
{
	unsigned long end = jiffies + msecs_to_jiffies(KBR_TEST_PATIENCE_MS);
	struct kbr_connection_info info;

	while (kbr_server()->connection_next(ct->broker, 0, &info)) {
		KUNIT_ASSERT_TRUE_MSG(ct->test, time_before(jiffies, end),
				      "connection %llu is still there", info.id);
		usleep_range(500, 1000);
	}
}

/* ---- cases ---- */

/* Produces wait for the disk together, and what follows them waits for them. */
static void kbr_conn_test_order(struct kunit *test)
{
	struct kbr_conn_test *ct = kbr_conn_test_begin(test, NULL, NULL);
	u8 body[64];
	s32 i;

	kbr_ram_set_sync_delay(ct->tb->dir, 20000);
	for (i = 0; i < 20; i += 2) {
		kbr_conn_test_send_produce(ct, 0, i);
		kbr_conn_test_send_versions(ct, 0, i + 1);
	}
	for (i = 0; i < 20; i += 2) {
		/* topics, "t", partitions, index, error, base offset */
		kbr_conn_test_expect(ct, 0, i, body, 25);
		KUNIT_EXPECT_EQ(test, body[15] << 8 | body[16], 0);
		KUNIT_EXPECT_EQ(test, (s32)body[24], i / 2);
		kbr_conn_test_expect(ct, 0, i + 1, NULL, 0);
	}
	kbr_conn_test_expect_silence(ct, 0);
}

/* A fetch that waits holds back what is behind it, until it has news. */
static void kbr_conn_test_parked(struct kunit *test)
{
	struct kbr_conn_test *ct = kbr_conn_test_begin(test, NULL, NULL);
	s32 i;

	kbr_conn_test_send_fetch(ct, 0, 1, 0, KBR_CONN_TEST_FOREVER);
	kbr_conn_test_send_versions(ct, 0, 2);
	kbr_conn_test_wait(ct, 0, 1, 1);
	/* another client does not wait for it */
	kbr_conn_test_connect(ct, 1);
	kbr_conn_test_send_versions(ct, 1, 3);
	kbr_conn_test_expect(ct, 1, 3, NULL, 0);
	kbr_conn_test_expect_silence(ct, 0);
	kbr_conn_test_wait(ct, 0, 1, 1);
	KUNIT_EXPECT_EQ(test, kbr_test_produce(ct->part, "x", KBR_ACKS_ALL), 0LL);
	kbr_conn_test_expect(ct, 0, 1, NULL, 0);
	kbr_conn_test_expect(ct, 0, 2, NULL, 0);
	/* or until its time is over */
	for (i = 0; i < 4; i++)
		kbr_conn_test_send_fetch(ct, 0, 10 + i, 1, 20);
	for (i = 0; i < 4; i++)
		kbr_conn_test_expect(ct, 0, 10 + i, NULL, 0);
	KUNIT_EXPECT_EQ(test, kbr_conn_test_wait(ct, 0, 6, 0).buffered_bytes, 0ULL);
}

/* While one client's frame takes all the memory that there is, others wait for it, no longer. */
static void kbr_conn_test_starved(struct kunit *test)
{
	struct kbr_conn_test *ct = kbr_conn_test_begin(test, "queued.max.request.bytes",
						       "1048576");
	const size_t len = 200000;
	u8 *frame = kunit_kzalloc(test, len, GFP_KERNEL);
	__be32 head = cpu_to_be32(2 << 20);

	KUNIT_ASSERT_NOT_NULL(test, frame);
	kbr_conn_test_connect(ct, 1);
	kbr_conn_test_send_bytes(ct, 0, &head, sizeof(head));
	/* a small part of it: room is made in steps */
	kbr_conn_test_send_bytes(ct, 0, frame, len);
	while (kbr_conn_test_wait(ct, 0, 0, 0).buffered_bytes < 1 << 20)
		usleep_range(500, 1000);
	kbr_conn_test_send_versions(ct, 1, 1);
	kbr_conn_test_wait(ct, 1, 0, 0);
	kbr_conn_test_expect_silence(ct, 1);
	/* it ends, as no request there is; and then there is memory */
	kbr_conn_test_close(ct, 0, true);
	kbr_conn_test_expect(ct, 1, 1, NULL, 0);
}

/* A client that has nothing more to say gets its answers first. */
static void kbr_conn_test_half_closed(struct kunit *test)
{
	struct kbr_conn_test *ct = kbr_conn_test_begin(test, NULL, NULL);

	kbr_ram_set_sync_delay(ct->tb->dir, 20000);
	kbr_conn_test_send_produce(ct, 0, 1);
	kbr_conn_test_send_versions(ct, 0, 2);
	KUNIT_ASSERT_EQ(test, kernel_sock_shutdown(ct->client[0], SHUT_WR), 0);
	kbr_conn_test_expect(ct, 0, 1, NULL, 0);
	kbr_conn_test_expect(ct, 0, 2, NULL, 0);
	kbr_conn_test_expect_end(ct, 0);
	/* nor does it wait for what may yet come */
	kbr_conn_test_connect(ct, 1);
	kbr_conn_test_send_fetch(ct, 1, 3, 1, KBR_CONN_TEST_FOREVER);
	KUNIT_ASSERT_EQ(test, kernel_sock_shutdown(ct->client[1], SHUT_WR), 0);
	kbr_conn_test_expect(ct, 1, 3, NULL, 0);
	kbr_conn_test_expect_end(ct, 1);
	kbr_conn_test_wait_none(ct);
}

/* A client that goes leaves nothing behind, whatever it waited for; what it appended stays. */
static void kbr_conn_test_gone(struct kunit *test)
{
	struct kbr_conn_test *ct = kbr_conn_test_begin(test, NULL, NULL);
	unsigned int n;
	s32 i;

	for (n = 1; n < KBR_CONN_TEST_CLIENTS; n++)
		kbr_conn_test_connect(ct, n);
	kbr_ram_set_sync_delay(ct->tb->dir, 100000);
	kbr_conn_test_send_fetch(ct, 0, 1, 100, KBR_CONN_TEST_FOREVER);
	for (i = 0; i < 3; i++)
		kbr_conn_test_send_produce(ct, 1, i);
	kbr_conn_test_send_bytes(ct, 2, "\0\0\1\0half", 8);
	kbr_conn_test_send_fetch(ct, 3, 1, 50, KBR_CONN_TEST_FOREVER);
	kbr_conn_test_wait(ct, 1, 3, KBR_CONN_TEST_ANY);
	kbr_conn_test_wait(ct, 3, 1, KBR_CONN_TEST_ANY);
	for (n = 0; n < KBR_CONN_TEST_CLIENTS; n++)
		kbr_conn_test_close(ct, n, n & 1);
	kbr_conn_test_wait_none(ct);
	KUNIT_EXPECT_EQ(test, kbr_test_produce(ct->part, "x", KBR_ACKS_ALL), 3LL);
}

/* Clients of every kind, for the ends below */
static void kbr_conn_test_crowd(struct kbr_conn_test *ct)
{
	unsigned int n;

	for (n = 1; n < KBR_CONN_TEST_CLIENTS; n++)
		kbr_conn_test_connect(ct, n);
	kbr_conn_test_send_fetch(ct, 0, 1, 0, KBR_CONN_TEST_FOREVER);
	kbr_conn_test_send_bytes(ct, 1, "\0\0\1\0half", 8);
	kbr_conn_test_send_versions(ct, 2, 1);
	kbr_conn_test_expect(ct, 2, 1, NULL, 0);
	kbr_conn_test_wait(ct, 0, 1, 1);
	kbr_conn_test_wait(ct, 3, 0, 0);
}

/* With a listener go its connections, at once, and no others. */
static void kbr_conn_test_listener_del(struct kunit *test)
{
	struct kbr_conn_test *ct = kbr_conn_test_begin(test, NULL, NULL);
	struct kbr_listener_params params = { .uid = INVALID_UID, .gid = INVALID_GID };
	struct sockaddr_in *in = (struct sockaddr_in *)&params.address;
	struct kbr_listener_info info;
	unsigned int n;
	u32 other;

	kbr_conn_test_crowd(ct);
	kbr_conn_test_close(ct, 3, false);
	*in = ct->address;
	KUNIT_EXPECT_EQ(test, kbr_server()->listener_add(ct->broker, &params, &other,
							 &ct->tb->why), -EADDRINUSE);
	in->sin_port = 0;
	KUNIT_ASSERT_EQ(test, kbr_server()->listener_add(ct->broker, &params, &other,
							 &ct->tb->why), 0);
	KUNIT_ASSERT_TRUE(test, kbr_server()->listener_next(ct->broker, ct->listener, &info));
	ct->address = *(struct sockaddr_in *)&info.params.address;
	kbr_conn_test_connect(ct, 3);
	KUNIT_EXPECT_EQ(test, kbr_server()->listener_del(ct->broker, ct->listener, &ct->tb->why), 0);
	for (n = 0; n < 3; n++)
		kbr_conn_test_expect_end(ct, n);
	kbr_conn_test_send_versions(ct, 3, 2);
	kbr_conn_test_expect(ct, 3, 2, NULL, 0);
	KUNIT_EXPECT_EQ(test, kbr_server()->listener_del(ct->broker, ct->listener, &ct->tb->why),
			-ENOENT);
}

/* A stop answers what was asked, and ends them all. */
static void kbr_conn_test_stop(struct kunit *test)
{
	struct kbr_conn_test *ct = kbr_conn_test_begin(test, NULL, NULL);
	unsigned int n;

	kbr_conn_test_crowd(ct);
	kbr_ram_set_sync_delay(ct->tb->dir, 20000);
	kbr_conn_test_send_produce(ct, 3, 5);
	kbr_conn_test_wait(ct, 3, 1, KBR_CONN_TEST_ANY);
	kbr_test_stop(ct->tb);
	kbr_conn_test_expect(ct, 0, 1, NULL, 0);
	kbr_conn_test_expect(ct, 3, 5, NULL, 0);
	for (n = 0; n < KBR_CONN_TEST_CLIENTS; n++)
		kbr_conn_test_expect_end(ct, n);
}

/* When the namespace ends nobody is answered, and the stop that follows finds them gone. */
static void kbr_conn_test_abort(struct kunit *test)
{
	struct kbr_conn_test *ct = kbr_conn_test_begin(test, NULL, NULL);
	struct kbr_listener_params params = { .uid = INVALID_UID, .gid = INVALID_GID };
	unsigned int n;
	u32 id;

	kbr_conn_test_crowd(ct);
	kbr_server()->abort(ct->broker);
	for (n = 0; n < KBR_CONN_TEST_CLIENTS; n++)
		kbr_conn_test_expect_end(ct, n);
	kbr_conn_test_wait_none(ct);
	memcpy(&params.address, &ct->address, sizeof(ct->address));
	KUNIT_EXPECT_EQ(test, kbr_server()->listener_add(ct->broker, &params, &id, &ct->tb->why),
			-ENODEV);
	kbr_test_stop(ct->tb);
}

static struct kunit_case kbr_conn_test_cases[] = {
	KUNIT_CASE(kbr_conn_test_order),
	KUNIT_CASE(kbr_conn_test_parked),
	KUNIT_CASE(kbr_conn_test_starved),
	KUNIT_CASE(kbr_conn_test_half_closed),
	KUNIT_CASE(kbr_conn_test_gone),
	KUNIT_CASE(kbr_conn_test_listener_del),
	KUNIT_CASE(kbr_conn_test_stop),
	KUNIT_CASE(kbr_conn_test_abort),
	{}
};

static struct kunit_suite kbr_conn_test_suite = {
	.name = "kbroker_conn",
	.init = kbr_conn_test_init,
	.exit = kbr_conn_test_exit,
	.test_cases = kbr_conn_test_cases,
};

kunit_test_suite(kbr_conn_test_suite);
