/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the suites of the server's handlers share: a connection without a
 * socket, over a broker on a RAM disk, whose requests are made, run, waited for
 * and read here.
 */
#ifndef _KBR_TESTS_SERVER_TEST_H
#define _KBR_TESTS_SERVER_TEST_H

#include <kunit/test.h>
#include <linux/completion.h>

#include "broker_test.h"
#include "codec/record.h"
#include "server/server.h"

/* A timeout that is never reached */
#define KBR_TEST_LONG_MS	KBR_TEST_PATIENCE_MS

/**
 * struct kbr_test_server - the fixture
 * @test: the running test
 * @tb: the broker
 * @server: as far as handlers look at it
 * @conn: likewise
 * @ran: the connection's work was queued and ran
 */
struct kbr_test_server {
	struct kunit *test;
	struct kbr_test_broker *tb;
	struct kbr_server server;
	struct kbr_conn conn;
	struct completion ran;
};

/**
 * struct kbr_test_request - one request
 * @req: the request
 * @ts: its connection
 * @body: what is asked, to be written before kbr_test_send()
 * @reply: what was answered, behind its header; @req must have ended
 */
struct kbr_test_request {
	struct kbr_request req;
	struct kbr_test_server *ts;
	struct kbr_wire_writer body;
	struct kbr_wire_reader reply;
};

/** kbr_test_server_begin() - a broker that runs, and a connection */
struct kbr_test_server *kbr_test_server_begin(struct kunit *test);
/** kbr_test_server_restart() - stop it and start it anew, with the configs of its fixture */
void kbr_test_server_restart(struct kbr_test_server *ts);
void kbr_test_server_end(struct kbr_test_server *ts);

/** kbr_test_request() - a request whose body is empty yet */
struct kbr_test_request *kbr_test_request(struct kbr_test_server *ts, s16 key, s16 version);
/** kbr_test_send() - check the body against its schema and start it; what the handler said */
enum kbr_request_state kbr_test_send(struct kbr_test_request *tr);
/** kbr_test_finish() - wait until it is not parked any more, as a connection does; what the handler said */
enum kbr_request_state kbr_test_finish(struct kbr_test_request *tr);
/** kbr_test_ask() - both, for one that is answered */
void kbr_test_ask(struct kbr_test_request *tr);
/** kbr_test_slice() - the bytes of the reply's @index-th slice, to be kvfree()d */
void *kbr_test_slice(struct kbr_test_request *tr, unsigned int index);
/** kbr_test_release() - free it, whatever state it is in */
void kbr_test_release(struct kbr_test_request *tr);

/** struct kbr_test_batch - one batch for a Produce */
struct kbr_test_batch {
	u8 buf[512];
	size_t len;
};

/** kbr_test_batch() - of @count records with the value @value */
void kbr_test_batch(struct kbr_test_batch *batch, const char *value, unsigned int count);
/** kbr_test_batch_from() - make it a producer's */
void kbr_test_batch_from(struct kbr_test_batch *batch, s64 id, s16 epoch, s32 sequence);

/** struct kbr_test_produced - the answer to one partition of a Produce */
struct kbr_test_produced {
	s32 index;
	s16 error;
	s64 base_offset;
	s64 append_time;
	s64 start;
	s32 record;
	char message[128];
};

/** kbr_test_produce_begin() - head of a Produce, to be followed by topics and partitions */
struct kbr_test_request *kbr_test_produce_begin(struct kbr_test_server *ts, s16 version, s16 acks,
						s32 timeout_ms, s32 topics);
void kbr_test_produce_topic(struct kbr_test_request *tr, const char *name, s32 partitions);
void kbr_test_produce_partition(struct kbr_test_request *tr, s32 index,
				const struct kbr_test_batch *batch);
/** kbr_test_produce_read() - the next partition of the answer; topics are read by the test */
void kbr_test_produce_read(struct kbr_test_request *tr, struct kbr_test_produced *got);
/** kbr_test_produce_one() - one batch to "t", partition 0; waits for the answer */
void kbr_test_produce_one(struct kbr_test_server *ts, s16 version, s16 acks,
			  const struct kbr_test_batch *batch, struct kbr_test_produced *got);
/** kbr_test_read_topic() - expect topic @name next in the answer; number of its partitions */
s32 kbr_test_read_topic(struct kbr_test_request *tr, const char *name);

#endif /* _KBR_TESTS_SERVER_TEST_H */
