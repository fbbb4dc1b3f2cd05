// SPDX-License-Identifier: GPL-2.0-only
/*
 * Kafka's messages: the bytes of other implementations, and every API and
 * version both ways, cut and damaged.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "codec/proto.h"
#include "message.h"
#include "tap.h"
#include "tests/proto_vectors.h"
#include "tests/vector_bytes.h"
#include "unit.h"

#define COUNT(a)	(sizeof(a) / sizeof((a)[0]))

/* What is told to clients, written out again: they choose their features by it */
static const struct {
	s16 key, min, max, serve_min, flexible;
} proto_ranges[] = {
	{ 0, 0, 8, 3, 9 },	{ 1, 4, 12, 4, 12 },	{ 2, 1, 7, 1, 6 },
	{ 3, 0, 8, 0, 9 },	{ 8, 2, 7, 2, 8 },	{ 9, 1, 7, 1, 6 },
	{ 10, 0, 4, 0, 3 },	{ 11, 0, 5, 0, 6 },	{ 12, 0, 3, 0, 4 },
	{ 13, 0, 3, 0, 4 },	{ 14, 0, 3, 0, 4 },	{ 15, 0, 4, 0, 5 },
	{ 16, 0, 2, 0, 3 },	{ 17, 0, 1, 0, 2 },	{ 18, 0, 3, 0, 3 },	{ 19, 2, 4, 2, 5 },
	{ 20, 1, 3, 1, 4 },	{ 21, 0, 1, 0, 2 },	{ 22, 0, 4, 0, 2 },
	{ 23, 2, 3, 2, 4 },	{ 32, 1, 2, 1, 4 },	{ 33, 0, 1, 0, 2 },
	{ 36, 0, 2, 0, 2 },	{ 37, 0, 1, 0, 2 },	{ 42, 0, 1, 0, 2 },	{ 44, 0, 0, 0, 1 },
	{ 47, 0, 0, 0, 1 },
	/* between brokers of ours */
	{ 10001, 0, 0, 0, 1 },	{ 10002, 0, 0, 0, 1 },
};

static void test_proto_ranges(void)
{
	size_t i;

	expect_eq(kbr_apis_count, COUNT(proto_ranges));
	for (i = 0; i < kbr_apis_count; i++) {
		const struct kbr_api *api = &kbr_apis[i];

		tap_context("%s", api->name);
		expect_eq(api->key, proto_ranges[i].key);
		expect_eq(api->min, proto_ranges[i].min);
		expect_eq(api->max, proto_ranges[i].max);
		expect_eq(api->serve_min, proto_ranges[i].serve_min);
		/* Kafka's own first flexible version, or none of ours is */
		expect(api->flexible == proto_ranges[i].flexible ||
		       (api->flexible > api->max && proto_ranges[i].flexible > api->max));
		expect(kbr_api_find(api->key) == api);
	}
	expect(!kbr_api_find(7));
	expect(!kbr_api_find(-1));
	expect(!kbr_api_find(68));
}

struct proto_head {
	const char *bytes;
	int ret;
	s16 key, version;
	s32 correlation_id;
	const char *client_id;	/* NULL: null */
	size_t body;		/* bytes that are left */
};

static const struct proto_head proto_heads[] = {
	/* kcat's first */
	{ "0012 0003 00000001 0007 72646b61666b61 00 0b 6c696272646b61666b61 06 322e302e32 00",
	  0, 18, 3, 1, "rdkafka", 18 },
	{ "0003 0001 00000002 ffff 00000000", 0, 3, 1, 2, NULL, 4 },
	{ "0010 0000 80000000 0000", 0, 16, 0, (s32)0x80000000, "", 0 },
	/* a tag in the head is skipped */
	{ "0012 0003 00000001 ffff 01 05 02 6161 01 01 00", 0, 18, 3, 1, NULL, 3 },
	/* nothing that is served: the rest is not looked at */
	{ "0007 0000 00000003", -EOPNOTSUPP, 7, 0, 3, NULL, 0 },
	{ "8000 0000 00000003", -EOPNOTSUPP, -32768, 0, 3, NULL, 0 },
	{ "0012 0004 00000004", -EPROTONOSUPPORT, 18, 4, 4, NULL, 0 },
	{ "0012 ffff 00000004", -EPROTONOSUPPORT, 18, -1, 4, NULL, 0 },
	/* told, but not served */
	{ "0000 0002 00000004 ffff", -EPROTONOSUPPORT, 0, 2, 4, NULL, 2 },
	{ "0000 0009 00000004 ffff", -EPROTONOSUPPORT, 0, 9, 4, NULL, 2 },
	{ "0003 0001 00000002 fffe 00", -EPROTO, 3, 1, 2, NULL, 0 },
	{ "0003 0001 00000002 0002 61", -EPROTO, 3, 1, 2, NULL, 0 },
	{ "0003 0001 00000002", -EPROTO, 3, 1, 2, NULL, 0 },
	{ "0012 0003 00000001 ffff", -EPROTO, 18, 3, 1, NULL, 0 },
	{ "0012 0003 00000001 ffff 01 05 02 61", -EPROTO, 18, 3, 1, NULL, 0 },
	{ "0003 0001 000000", -EPROTO, 3, 1, 0, NULL, 0 },
	{ "", -EPROTO, 0, 0, 0, NULL, 0 },
};

static void test_proto_heads(void)
{
	struct kbr_request_header header;
	struct kbr_wire_reader r;
	u8 buf[128], *bytes;
	size_t i, len;

	for (i = 0; i < COUNT(proto_heads); i++) {
		const struct proto_head *head = &proto_heads[i];

		tap_context("%s", head->bytes);
		len = kbr_vector_bytes(head->bytes, buf, sizeof(buf));
		bytes = unit_exact(buf, len);
		kbr_wire_reader_init(&r, bytes, len, false);
		expect_eq(kbr_request_decode_header(&r, &header), head->ret);
		expect_eq(header.key, head->key);
		expect_eq(header.version, head->version);
		expect_eq(header.correlation_id, head->correlation_id);
		if (head->ret != -EPROTO)
			expect_eq(kbr_wire_reader_left(&r), head->body);
		expect_eq(!!header.api, head->ret != -EOPNOTSUPP && kbr_api_find(head->key));
		if (head->client_id)
			expect(kbr_str_equal(&header.client_id, head->client_id));
		else if (!head->ret)
			expect_eq(header.client_id.len, -1);
		free(bytes);
	}
}

/* The two answers of the guide, byte for byte */
static void test_proto_responses(void)
{
	struct kbr_request_header header = { .key = 18, .version = 3, .correlation_id = 1 };
	struct kbr_wire_writer w;
	u8 want[64];
	size_t len;

	header.api = kbr_api_find(18);
	kbr_wire_writer_init(&w, SIZE_MAX, false);
	kbr_response_begin(&w, &header);
	kbr_put_s16(&w, 0);
	kbr_put_count(&w, 2);
	kbr_put_s16(&w, 0);
	kbr_put_s16(&w, 0);
	kbr_put_s16(&w, 8);
	kbr_put_tags(&w);
	kbr_put_s16(&w, 18);
	kbr_put_s16(&w, 0);
	kbr_put_s16(&w, 3);
	kbr_put_tags(&w);
	kbr_put_s32(&w, 0);
	kbr_put_tags(&w);
	kbr_response_end(&w, 0);
	len = kbr_vector_bytes("0000001a 00000001 0000 03 0000 0000 0008 00 0012 0000 0003 00 00000000 00",
			       want, sizeof(want));
	expect_bytes(w.buf, w.len, want, len);
	kbr_wire_writer_free(&w);

	/* a version that is not served: the body of version 0 */
	header.version = 5;
	kbr_wire_writer_init(&w, SIZE_MAX, false);
	kbr_response_begin(&w, &header);
	kbr_put_s16(&w, 35);
	kbr_put_count(&w, 1);
	kbr_put_s16(&w, 18);
	kbr_put_s16(&w, 0);
	kbr_put_s16(&w, 2);
	kbr_response_end(&w, 0);
	len = kbr_vector_bytes("00000010 00000001 0023 00000001 0012 0000 0002", want, sizeof(want));
	expect_bytes(w.buf, w.len, want, len);
	kbr_wire_writer_free(&w);

	/* the head of a flexible response has tags; what is sent from elsewhere counts */
	header.api = kbr_api_find(KBR_API_INIT_PRODUCER_ID);
	header.key = KBR_API_INIT_PRODUCER_ID;
	header.version = 2;
	kbr_wire_writer_init(&w, SIZE_MAX, false);
	kbr_response_begin(&w, &header);
	kbr_response_end(&w, 256);
	len = kbr_vector_bytes("00000105 00000001 00", want, sizeof(want));
	expect_bytes(w.buf, w.len, want, len);
	kbr_wire_writer_free(&w);
}

/* A copy of the first @len bytes, checked in memory of its own */
static int proto_check(const u8 *bytes, size_t len, const struct kbr_api *api, bool response,
		       s16 version)
{
	u8 *exact = unit_exact(bytes, len);
	struct kbr_wire_reader r;
	int ret;

	kbr_wire_reader_init(&r, exact, len, version >= api->flexible);
	ret = kbr_message_check(&r, response ? api->response : api->request, version);
	free(exact);
	return ret;
}

/* What passes is read to its last byte, and written again as it was */
static void proto_round(const u8 *bytes, size_t len, const struct kbr_api *api, bool response,
			s16 version)
{
	struct kbr_wire_reader r;
	struct kbr_wire_writer w;
	size_t cut;
	u8 *exact;

	expect_eq(proto_check(bytes, len, api, response, version), 0);
	for (cut = 0; cut < len; cut++)
		if (!expect_eq(proto_check(bytes, cut, api, response, version), -EPROTO))
			break;

	exact = unit_exact(bytes, len);
	kbr_wire_reader_init(&r, exact, len, version >= api->flexible);
	kbr_wire_writer_init(&w, SIZE_MAX, version >= api->flexible);
	expect(message_copy(&w, &r, response ? api->response : api->request, version));
	expect_eq(kbr_wire_reader_left(&r), 0);
	expect_bytes(w.buf, w.len, bytes, len);
	kbr_wire_writer_free(&w);
	free(exact);
}

static void test_proto_vectors(void)
{
	u8 buf[1024];
	size_t i, len;

	for (i = 0; i < COUNT(kbr_proto_vectors); i++) {
		const struct kbr_proto_vector *v = &kbr_proto_vectors[i];

		tap_context("%s %s %d", kbr_api_find(v->key)->name,
			    v->response ? "response" : "request", v->version);
		len = kbr_vector_bytes(v->body, buf, sizeof(buf));
		expect(len <= sizeof(buf));
		proto_round(buf, len, kbr_api_find(v->key), v->response, v->version);
	}
}

static void proto_each(void (*run)(const u8 *bytes, size_t len, const struct kbr_api *api,
				   bool response, s16 version), unsigned int times)
{
	struct kbr_wire_writer w;
	unsigned int i, n;
	int response;
	s16 version;

	for (i = 0; i < kbr_apis_count; i++) {
		const struct kbr_api *api = &kbr_apis[i];

		for (version = api->serve_min; version <= api->max; version++) {
			for (response = 0; response < 2; response++) {
				tap_context("%s %s %d", api->name,
					    response ? "response" : "request", version);
				for (n = 0; n < times; n++) {
					kbr_wire_writer_init(&w, SIZE_MAX, version >= api->flexible);
					message_write(&w, response ? api->response : api->request,
						      version, tap_random_below);
					expect_eq(w.err, 0);
					run(w.buf, w.len, api, response, version);
					kbr_wire_writer_free(&w);
				}
			}
		}
	}
}

static void test_proto_round(void)
{
	proto_each(proto_round, 8);
}

/* Whatever is found in a damaged message: what passes can be read, nothing else is */
static void proto_damage(const u8 *bytes, size_t len, const struct kbr_api *api, bool response,
			 s16 version)
{
	const struct kbr_field *fields = response ? api->response : api->request;
	u8 *exact = unit_exact(bytes, len);
	struct kbr_wire_reader r;
	struct kbr_wire_writer w;
	unsigned int i;

	for (i = 0; len && i < 64; i++) {
		size_t at = tap_random_below(len);

		exact[at] = tap_random() & 1 ? 0xff : (u8)tap_random();
		kbr_wire_reader_init(&r, exact, len, version >= api->flexible);
		kbr_wire_writer_init(&w, SIZE_MAX, version >= api->flexible);
		expect_eq(kbr_message_check(&r, fields, version),
			  message_copy(&w, &r, fields, version) ? 0 : -EPROTO);
		kbr_wire_writer_free(&w);
		if (!tap_random_below(4))
			memcpy(exact, bytes, len);
	}
	free(exact);
}

static void test_proto_damage(void)
{
	proto_each(proto_damage, 8);
}

const struct tap_case proto_cases[] = {
	{ "proto: the ranges that clients are told", test_proto_ranges },
	{ "proto: heads of requests", test_proto_heads },
	{ "proto: heads of responses", test_proto_responses },
	{ "proto: messages of kafka-python, whole and cut", test_proto_vectors },
	{ "proto: every API and version, whole and cut", test_proto_round },
	{ "proto: damaged messages are read within their bounds", test_proto_damage },
	{ NULL, NULL }
};
