// SPDX-License-Identifier: GPL-2.0-only
/* The fixture of the handlers' suites; see server_test.h. Tests nothing itself. */
#include <linux/slab.h>

#include "server_test.h"

static void kbr_test_conn_work(struct work_struct *work)
{
	struct kbr_conn *conn = container_of(work, struct kbr_conn, work);

	complete(&container_of(conn, struct kbr_test_server, conn)->ran);
}

static void kbr_test_server_start(struct kbr_test_server *ts)
{
	KUNIT_ASSERT_EQ(ts->test, kbr_test_start(ts->tb), 0);
	ts->server.broker = kbr_test_get(ts->tb);
}

struct kbr_test_server *kbr_test_server_begin(struct kunit *test)
{
	struct kbr_test_server *ts = kunit_kzalloc(test, sizeof(*ts), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, ts);
	ts->test = test;
	ts->tb = kbr_test_init(test);
	init_completion(&ts->ran);
	INIT_WORK(&ts->conn.work, kbr_test_conn_work);
	ts->conn.server = &ts->server;
	ts->conn.cred = current_cred();
	ts->conn.peer_id = -1;
	ts->server.wq = system_unbound_wq;
	kbr_test_server_start(ts);
	return ts;
}

static void kbr_test_server_stop(struct kbr_test_server *ts)
{
	flush_work(&ts->conn.work);
	kbr_test_stop(ts->tb);
	kbr_broker_put(ts->server.broker);
	ts->server.broker = NULL;
}

void kbr_test_server_restart(struct kbr_test_server *ts)
{
	kbr_test_server_stop(ts);
	kbr_test_server_start(ts);
}

void kbr_test_server_end(struct kbr_test_server *ts)
{
	kbr_test_server_stop(ts);
	kbr_test_exit(ts->tb);
}

struct kbr_test_request *kbr_test_request(struct kbr_test_server *ts, s16 key, s16 version)
{
	struct kbr_test_request *tr = kunit_kzalloc(ts->test, sizeof(*tr), GFP_KERNEL);
	const struct kbr_api *api = kbr_api_find(key);

	KUNIT_ASSERT_NOT_NULL(ts->test, tr);
	KUNIT_ASSERT_NOT_NULL(ts->test, api);
	KUNIT_ASSERT_GE(ts->test, version, api->serve_min);
	KUNIT_ASSERT_LE(ts->test, version, api->max);
	tr->ts = ts;
	tr->req.conn = &ts->conn;
	tr->req.handler = kbr_handler_find(key);
	KUNIT_ASSERT_NOT_NULL(ts->test, tr->req.handler);
	tr->req.header = (struct kbr_request_header) {
		.api = api,
		.key = key,
		.version = version,
		.correlation_id = 7,
		.client_id = { .len = -1 },
	};
	kbr_wire_writer_init(&tr->body, 1 << 20, version >= api->flexible);
	kbr_wire_writer_init(&tr->req.reply, 1 << 20, false);
	return tr;
}

enum kbr_request_state kbr_test_send(struct kbr_test_request *tr)
{
	struct kbr_request *req = &tr->req;
	const struct kbr_api *api = req->header.api;

	KUNIT_ASSERT_EQ(tr->ts->test, tr->body.err, 0);
	/* taken over, as a frame is by its request */
	req->frame = tr->body.buf;
	req->frame_len = tr->body.len;
	req->received = ktime_get();
	kbr_wire_reader_init(&req->body, req->frame, req->frame_len, tr->body.flexible);
	KUNIT_ASSERT_EQ(tr->ts->test,
			kbr_message_check(&req->body, api->request, req->header.version), 0);
	kbr_response_begin(&req->reply, &req->header);
	reinit_completion(&tr->ts->ran);
	req->state = req->handler->start(req);
	return req->state;
}

enum kbr_request_state kbr_test_finish(struct kbr_test_request *tr)
{
	struct kbr_request *req = &tr->req;
	struct kunit *test = tr->ts->test;
	unsigned long end = jiffies + msecs_to_jiffies(KBR_TEST_LONG_MS + 1000);
	size_t head;

	/* others may wait at the same connection, and take the completion */
	while (req->state == KBR_REQUEST_PARKED) {
		s64 left = ktime_ms_delta(req->deadline, ktime_get());
		bool expired;

		KUNIT_ASSERT_TRUE(test, time_before(jiffies, end));
		if (left > 0)
			wait_for_completion_timeout(&tr->ts->ran,
						    msecs_to_jiffies(min(left, 20LL)) + 1);
		expired = ktime_after(ktime_get(), req->deadline);
		if (kbr_waiter_take_news(&req->waiter) || expired)
			req->state = req->handler->resume(req, expired);
		KUNIT_ASSERT_FALSE(test, expired && req->state == KBR_REQUEST_PARKED);
	}
	if (req->state != KBR_REQUEST_DONE)
		return req->state;
	kbr_response_end(&req->reply, req->slices_bytes);
	KUNIT_ASSERT_EQ(test, req->reply.err, 0);
	/* the size, the correlation id, and tags where the header has them */
	head = 8 + (req->header.version >= req->header.api->flexible);
	KUNIT_ASSERT_GE(test, req->reply.len, head);
	kbr_wire_reader_init(&tr->reply, req->reply.buf + head, req->reply.len - head,
			     req->header.version >= req->header.api->flexible);
	return req->state;
}

void kbr_test_ask(struct kbr_test_request *tr)
{
	kbr_test_send(tr);
	KUNIT_ASSERT_EQ(tr->ts->test, kbr_test_finish(tr), KBR_REQUEST_DONE);
}

void *kbr_test_slice(struct kbr_test_request *tr, unsigned int index)
{
	const struct kbr_log_slice *slice;
	void *buf;

	KUNIT_ASSERT_LT(tr->ts->test, index, tr->req.slices_count);
	slice = &tr->req.slices[index].slice;
	buf = kvmalloc(slice->len, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(tr->ts->test, buf);
	KUNIT_EXPECT_EQ(tr->ts->test, kbr_file_read(slice->file, buf, slice->len, slice->pos),
			slice->len);
	return buf;
}

void kbr_test_release(struct kbr_test_request *tr)
{
	struct kbr_request *req = &tr->req;

	kbr_waiter_drop(&req->waiter);
	if (req->handler->drop)
		req->handler->drop(req);
	kbr_request_drop_slices(req);
	kvfree(req->frame);
	req->frame = NULL;
	kbr_wire_writer_free(&req->reply);
}

/* ---- produce ---- */

void kbr_test_batch(struct kbr_test_batch *batch, const char *value, unsigned int count)
{
	struct kbr_record rec = {
		.timestamp = 1700000000000,
		.value = value,
		.value_len = strlen(value),
	};
	struct kbr_batch_builder bld;

	kbr_batch_builder_init(&bld, batch->buf, sizeof(batch->buf));
	while (count--)
		WARN_ON(kbr_batch_builder_add(&bld, &rec));
	batch->len = kbr_batch_builder_finish(&bld);
}

void kbr_test_batch_from(struct kbr_test_batch *batch, s64 id, s16 epoch, s32 sequence)
{
	struct kbr_batch_wire *wire = (struct kbr_batch_wire *)batch->buf;

	wire->producer_id = cpu_to_be64(id);
	wire->producer_epoch = cpu_to_be16(epoch);
	wire->base_sequence = cpu_to_be32(sequence);
	kbr_batch_seal(batch->buf, batch->len);
}

struct kbr_test_request *kbr_test_produce_begin(struct kbr_test_server *ts, s16 version, s16 acks,
						s32 timeout_ms, s32 topics)
{
	struct kbr_test_request *tr = kbr_test_request(ts, KBR_API_PRODUCE, version);

	kbr_put_string(&tr->body, NULL);
	kbr_put_s16(&tr->body, acks);
	kbr_put_s32(&tr->body, timeout_ms);
	kbr_put_count(&tr->body, topics);
	return tr;
}

void kbr_test_produce_topic(struct kbr_test_request *tr, const char *name, s32 partitions)
{
	kbr_put_string(&tr->body, name);
	kbr_put_count(&tr->body, partitions);
}

void kbr_test_produce_partition(struct kbr_test_request *tr, s32 index,
				const struct kbr_test_batch *batch)
{
	kbr_put_s32(&tr->body, index);
	if (batch)
		kbr_put_bytes(&tr->body, batch->buf, batch->len);
	else
		kbr_put_bytes_length(&tr->body, -1);
}

s32 kbr_test_read_topic(struct kbr_test_request *tr, const char *name)
{
	struct kbr_str got = kbr_get_string(&tr->reply);

	KUNIT_EXPECT_TRUE_MSG(tr->ts->test, kbr_str_equal(&got, name), "not %s", name);
	return kbr_get_count(&tr->reply);
}

void kbr_test_produce_read(struct kbr_test_request *tr, struct kbr_test_produced *got)
{
	struct kbr_wire_reader *r = &tr->reply;
	s16 version = tr->req.header.version;
	struct kbr_str text;

	memset(got, 0, sizeof(*got));
	got->record = -1;
	got->index = kbr_get_s32(r);
	got->error = kbr_get_s16(r);
	got->base_offset = kbr_get_s64(r);
	got->append_time = kbr_get_s64(r);
	if (version >= 5)
		got->start = kbr_get_s64(r);
	if (version >= 8) {
		if (kbr_get_count(r)) {
			got->record = kbr_get_s32(r);
			kbr_get_nullable_string(r);
		}
		text = kbr_get_nullable_string(r);
		if (text.len >= 0)
			kbr_str_copy(&text, got->message, sizeof(got->message));
	}
	KUNIT_EXPECT_FALSE(tr->ts->test, r->bad);
}

void kbr_test_produce_one(struct kbr_test_server *ts, s16 version, s16 acks,
			  const struct kbr_test_batch *batch, struct kbr_test_produced *got)
{
	struct kbr_test_request *tr = kbr_test_produce_begin(ts, version, acks, KBR_TEST_LONG_MS, 1);

	kbr_test_produce_topic(tr, "t", 1);
	kbr_test_produce_partition(tr, 0, batch);
	kbr_test_ask(tr);
	KUNIT_EXPECT_EQ(ts->test, kbr_get_count(&tr->reply), 1);
	KUNIT_EXPECT_EQ(ts->test, kbr_test_read_topic(tr, "t"), 1);
	kbr_test_produce_read(tr, got);
	KUNIT_EXPECT_EQ(ts->test, kbr_get_s32(&tr->reply), 0);
	KUNIT_EXPECT_EQ(ts->test, kbr_wire_reader_left(&tr->reply), 0UL);
	kbr_test_release(tr);
}
