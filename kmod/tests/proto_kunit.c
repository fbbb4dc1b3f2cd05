// SPDX-License-Identifier: GPL-2.0-only
/*
 * wire.c and proto.c as the kernel compiles them: a few of each kind, under
 * KASAN; the rest runs in user space (tests/unit).
 */
#include <kunit/test.h>
#include <linux/errno.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "codec/proto.h"
#include "tests/proto_vectors.h"
#include "tests/vector_bytes.h"

/* The first @len bytes in memory of their own, so that KASAN sees what is beyond */
static int proto_check(struct kunit *test, const struct kbr_proto_vector *v, const u8 *bytes,
		       size_t len)
{
	const struct kbr_api *api = kbr_api_find(v->key);
	u8 *exact = kunit_kmalloc(test, max_t(size_t, len, 1), GFP_KERNEL);
	struct kbr_wire_reader r;
	int ret;

	KUNIT_ASSERT_NOT_NULL(test, exact);
	memcpy(exact, bytes, len);
	kbr_wire_reader_init(&r, exact, len, v->version >= api->flexible);
	ret = kbr_message_check(&r, v->response ? api->response : api->request, v->version);
	kunit_kfree(test, exact);
	return ret;
}

static void proto_test_vector(struct kunit *test)
{
	const struct kbr_proto_vector *v = test->param_value;
	u8 bytes[512];
	size_t len = kbr_vector_bytes(v->body, bytes, sizeof(bytes));

	KUNIT_ASSERT_LE(test, len, sizeof(bytes));
	KUNIT_EXPECT_EQ(test, proto_check(test, v, bytes, len), 0);
	if (len)
		KUNIT_EXPECT_EQ(test, proto_check(test, v, bytes, len - 1), -EPROTO);
	KUNIT_EXPECT_EQ(test, proto_check(test, v, bytes, len / 2), len ? -EPROTO : 0);
}

static void proto_vector_desc(const struct kbr_proto_vector *v, char *desc)
{
	snprintf(desc, KUNIT_PARAM_DESC_SIZE, "%s %d %s", kbr_api_find(v->key)->name, v->version,
		 v->response ? "response" : "request");
}

KUNIT_ARRAY_PARAM(proto_vector, kbr_proto_vectors, proto_vector_desc);

/* kcat's first request, and the answer to a version that is not served */
static void proto_test_heads(struct kunit *test)
{
	struct kbr_request_header header;
	struct kbr_wire_reader r;
	struct kbr_wire_writer w;
	struct kbr_str name;
	u8 bytes[64];
	size_t len;

	len = kbr_vector_bytes("0012 0003 00000001 0007 72646b61666b61 00 0b 6c696272646b61666b61 06 322e302e32 00",
			       bytes, sizeof(bytes));
	kbr_wire_reader_init(&r, bytes, len, false);
	KUNIT_ASSERT_EQ(test, kbr_request_decode_header(&r, &header), 0);
	KUNIT_EXPECT_EQ(test, header.key, 18);
	KUNIT_EXPECT_EQ(test, header.version, 3);
	KUNIT_EXPECT_EQ(test, header.correlation_id, 1);
	KUNIT_EXPECT_TRUE(test, kbr_str_equal(&header.client_id, "rdkafka"));
	KUNIT_ASSERT_EQ(test, kbr_message_check(&r, header.api->request, header.version), 0);
	name = kbr_get_string(&r);
	KUNIT_EXPECT_TRUE(test, kbr_str_equal(&name, "librdkafka"));

	bytes[3] = 4;
	kbr_wire_reader_init(&r, bytes, len, false);
	KUNIT_ASSERT_EQ(test, kbr_request_decode_header(&r, &header), -EPROTONOSUPPORT);
	kbr_wire_writer_init(&w, 64, false);
	kbr_response_begin(&w, &header);
	kbr_put_s16(&w, 35);
	kbr_put_count(&w, 0);
	kbr_response_end(&w, 0);
	len = kbr_vector_bytes("0000000a 00000001 0023 00000000", bytes, sizeof(bytes));
	KUNIT_EXPECT_EQ(test, w.err, 0);
	KUNIT_ASSERT_EQ(test, w.len, len);
	KUNIT_EXPECT_EQ(test, memcmp(w.buf, bytes, len), 0);
	kbr_wire_writer_free(&w);
}

/* A writer grows past a page, up to its limit and no further */
static void proto_test_writer(struct kunit *test)
{
	struct kbr_wire_writer w;
	s32 i;

	kbr_wire_writer_init(&w, 3 * PAGE_SIZE, false);
	for (i = 0; !w.err; i++)
		kbr_put_s32(&w, i);
	KUNIT_EXPECT_EQ(test, w.err, -EMSGSIZE);
	KUNIT_EXPECT_EQ(test, w.len, 3 * PAGE_SIZE);
	KUNIT_EXPECT_LE(test, w.size, 3 * PAGE_SIZE);
	KUNIT_EXPECT_EQ(test, w.buf[w.len - 1], (u8)(3 * PAGE_SIZE / 4 - 1));
	kbr_wire_writer_free(&w);
	KUNIT_EXPECT_NULL(test, w.buf);
}

static struct kunit_case proto_cases[] = {
	KUNIT_CASE_PARAM(proto_test_vector, proto_vector_gen_params),
	KUNIT_CASE(proto_test_heads),
	KUNIT_CASE(proto_test_writer),
	{}
};

static struct kunit_suite proto_suite = {
	.name = "kbroker_proto",
	.test_cases = proto_cases,
};

kunit_test_suite(proto_suite);
