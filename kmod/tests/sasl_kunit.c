// SPDX-License-Identifier: GPL-2.0-only
/*
 * SaslHandshake and SaslAuthenticate: who proves to be a broker of the cluster,
 * who does not, and in which order.
 */
#include <kunit/test.h>
#include <linux/string.h>

#include "broker/cluster.h"
#include "codec/kafka_error.h"
#include "codec/proof.h"
#include "server_test.h"

static const u8 kbr_sasl_test_cluster[16] = { 1, 2, 3, 4, 5, 6, 7, 8 };

/* The broker becomes a member, with a secret. */
static void kbr_sasl_test_join(struct kbr_test_server *ts)
{
	struct kbr_cluster_change change = { .has_id = true, .secret_len = 16, .epoch = 5 };
	u32 op = 0;
	int err;

	memcpy(change.id, kbr_sasl_test_cluster, sizeof(change.id));
	memset(change.secret, 's', change.secret_len);
	err = kbr_cluster_set(ts->server.broker, &change, &op, NULL);
	KUNIT_ASSERT_EQ(ts->test, kbr_test_wait_op(ts->tb, err, op), 0);
}

static s16 kbr_sasl_test_handshake(struct kbr_test_server *ts, s16 version, const char *mechanism)
{
	struct kbr_test_request *tr = kbr_test_request(ts, KBR_API_SASL_HANDSHAKE, version);
	bool member = kbr_cluster_is_member(ts->server.broker);
	struct kbr_str name;
	s16 code;

	kbr_put_string(&tr->body, mechanism);
	kbr_test_ask(tr);
	code = kbr_get_s16(&tr->reply);
	KUNIT_EXPECT_EQ(ts->test, kbr_get_count(&tr->reply), member);
	if (member) {
		name = kbr_get_string(&tr->reply);
		KUNIT_EXPECT_TRUE(ts->test, kbr_str_equal(&name, "KBROKER-CLUSTER"));
	}
	KUNIT_EXPECT_EQ(ts->test, kbr_wire_reader_left(&tr->reply), 0UL);
	KUNIT_EXPECT_NULL(ts->test, tr->req.refused);
	kbr_test_release(tr);
	return code;
}

/* @answer and @len: what was said; its error, after which the connection must end */
static s16 kbr_sasl_test_say(struct kbr_test_server *ts, s16 version, const void *bytes, size_t len,
			     u8 *answer, size_t *answer_len)
{
	struct kbr_test_request *tr = kbr_test_request(ts, KBR_API_SASL_AUTHENTICATE, version);
	struct kbr_str text;
	s16 code;

	kbr_put_bytes(&tr->body, bytes, len);
	kbr_put_tags(&tr->body);
	kbr_test_ask(tr);
	code = kbr_get_s16(&tr->reply);
	text = kbr_get_nullable_string(&tr->reply);
	KUNIT_EXPECT_EQ(ts->test, text.len > 0, code != 0);
	text = kbr_get_bytes(&tr->reply);
	KUNIT_ASSERT_LE(ts->test, text.len, KBR_PROOF_ANSWER_SIZE);
	memcpy(answer, text.at, text.len);
	*answer_len = text.len;
	if (version >= 1)
		kbr_get_s64(&tr->reply);
	kbr_get_tags(&tr->reply);
	KUNIT_EXPECT_EQ(ts->test, kbr_wire_reader_left(&tr->reply), 0UL);
	KUNIT_EXPECT_FALSE(ts->test, tr->reply.bad);
	KUNIT_EXPECT_EQ(ts->test, !tr->req.refused, !code);
	kbr_test_release(tr);
	return code;
}

static void kbr_sasl_test_mac(struct kbr_test_server *ts, const struct kbr_proof *proof,
			      bool server, u8 mac[KBR_PROOF_MAC_SIZE])
{
	u8 transcript[KBR_PROOF_TRANSCRIPT_SIZE];
	struct kvec part = { .iov_base = transcript, .iov_len = sizeof(transcript) };

	kbr_proof_transcript(proof, server, transcript);
	KUNIT_ASSERT_EQ(ts->test, kbr_cluster_prove(ts->server.broker, &part, 1, mac), 0);
}

static void kbr_sasl_test_hello(struct kbr_proof *proof, u8 hello[KBR_PROOF_HELLO_SIZE])
{
	memset(proof, 0, sizeof(*proof));
	memcpy(proof->cluster, kbr_sasl_test_cluster, sizeof(proof->cluster));
	proof->client.id = 7;
	proof->client.epoch = 3;
	memset(proof->client.nonce, 'n', sizeof(proof->client.nonce));
	kbr_proof_put_hello(proof, hello);
}

/* A new connection, as far as the handlers see it */
static void kbr_sasl_test_connect(struct kbr_test_server *ts)
{
	kfree(ts->conn.proof);
	ts->conn.proof = NULL;
	ts->conn.proof_state = KBR_CONN_PROVES_NOTHING;
	ts->conn.peer_id = -1;
}

static void kbr_sasl_test_good(struct kunit *test)
{
	struct kbr_test_server *ts = kbr_test_server_begin(test);
	u8 hello[KBR_PROOF_HELLO_SIZE], answer[KBR_PROOF_ANSWER_SIZE];
	u8 mac[KBR_PROOF_MAC_SIZE], claimed[KBR_PROOF_MAC_SIZE];
	struct kbr_proof proof;
	s16 version;
	size_t len;

	kbr_sasl_test_join(ts);
	for (version = 0; version <= 2; version++) {
		kbr_sasl_test_connect(ts);
		KUNIT_EXPECT_EQ(test, kbr_sasl_test_handshake(ts, version > 0, KBR_PROOF_MECHANISM),
				0);
		kbr_sasl_test_hello(&proof, hello);
		KUNIT_ASSERT_EQ(test, kbr_sasl_test_say(ts, version, hello, sizeof(hello), answer,
							&len), 0);
		KUNIT_ASSERT_EQ(test, kbr_proof_get_answer(&proof, answer, len, claimed), 0);
		KUNIT_EXPECT_EQ(test, proof.server.id, ts->server.broker->id);
		KUNIT_EXPECT_EQ(test, proof.server.epoch, 5);
		kbr_sasl_test_mac(ts, &proof, true, mac);
		KUNIT_EXPECT_TRUE(test, kbr_proof_mac_equal(mac, claimed));
		KUNIT_EXPECT_EQ(test, ts->conn.peer_id, -1);
		kbr_sasl_test_mac(ts, &proof, false, mac);
		KUNIT_EXPECT_EQ(test, kbr_sasl_test_say(ts, version, mac, sizeof(mac), answer,
							&len), 0);
		KUNIT_EXPECT_EQ(test, len, 0UL);
		KUNIT_EXPECT_EQ(test, ts->conn.peer_id, 7);
		KUNIT_EXPECT_EQ(test, ts->conn.peer_epoch, 3);
		/* once is enough */
		KUNIT_EXPECT_EQ(test, kbr_sasl_test_handshake(ts, 1, "KBROKER-CLUSTER"),
				KBR_KAFKA_ILLEGAL_SASL_STATE);
	}
	kbr_test_server_end(ts);
}

static void kbr_sasl_test_refused(struct kunit *test)
{
	struct kbr_test_server *ts = kbr_test_server_begin(test);
	u8 hello[KBR_PROOF_HELLO_SIZE], answer[KBR_PROOF_ANSWER_SIZE];
	u8 mac[KBR_PROOF_MAC_SIZE];
	struct kbr_proof proof;
	unsigned int i;
	size_t len;

	/* nobody is a peer of a standalone broker */
	KUNIT_EXPECT_EQ(test, kbr_sasl_test_handshake(ts, 1, "KBROKER-CLUSTER"),
			KBR_KAFKA_UNSUPPORTED_SASL_MECHANISM);
	kbr_sasl_test_join(ts);
	KUNIT_EXPECT_EQ(test, kbr_sasl_test_handshake(ts, 1, "PLAIN"),
			KBR_KAFKA_UNSUPPORTED_SASL_MECHANISM);
	/* the order of things */
	KUNIT_EXPECT_EQ(test, kbr_sasl_test_say(ts, 1, "x", 1, answer, &len),
			KBR_KAFKA_ILLEGAL_SASL_STATE);
	for (i = 0; i < 5; i++) {
		kbr_sasl_test_connect(ts);
		KUNIT_EXPECT_EQ(test, kbr_sasl_test_handshake(ts, 1, "KBROKER-CLUSTER"), 0);
		kbr_sasl_test_hello(&proof, hello);
		if (i == 0)
			hello[0]++;	/* another version */
		else if (i == 1)
			hello[1]++;	/* another cluster */
		else if (i == 2)
			proof.client.id = ts->server.broker->id;
		else if (i == 3)
			proof.client.id = -1;
		if (i == 2 || i == 3)
			kbr_proof_put_hello(&proof, hello);
		len = i == 4 ? sizeof(hello) - 1 : sizeof(hello);
		KUNIT_EXPECT_EQ_MSG(test, kbr_sasl_test_say(ts, 1, hello, len, answer, &len),
				    KBR_KAFKA_SASL_AUTHENTICATION_FAILED, "case %u", i);
		KUNIT_EXPECT_EQ(test, len, 0UL);
	}
	/* macs that are wrong, cut, or our own words sent back */
	for (i = 0; i < 3; i++) {
		kbr_sasl_test_connect(ts);
		KUNIT_EXPECT_EQ(test, kbr_sasl_test_handshake(ts, 1, "KBROKER-CLUSTER"), 0);
		kbr_sasl_test_hello(&proof, hello);
		KUNIT_ASSERT_EQ(test, kbr_sasl_test_say(ts, 1, hello, sizeof(hello), answer,
							&len), 0);
		KUNIT_ASSERT_EQ(test, kbr_proof_get_answer(&proof, answer, len, mac), 0);
		if (i < 2)
			kbr_sasl_test_mac(ts, &proof, false, mac);
		if (i == 0)
			mac[31] ^= 1;
		KUNIT_EXPECT_EQ_MSG(test, kbr_sasl_test_say(ts, 1, mac, sizeof(mac) - (i == 1),
							    answer, &len),
				    KBR_KAFKA_SASL_AUTHENTICATION_FAILED, "case %u", i);
		KUNIT_EXPECT_EQ(test, ts->conn.peer_id, -1);
	}
	kbr_sasl_test_connect(ts);
	kbr_test_server_end(ts);
}

static struct kunit_case kbr_sasl_test_cases[] = {
	KUNIT_CASE(kbr_sasl_test_good),
	KUNIT_CASE(kbr_sasl_test_refused),
	{}
};

static struct kunit_suite kbr_sasl_test_suite = {
	.name = "kbroker_sasl",
	.exit = kbr_test_cleanup,
	.test_cases = kbr_sasl_test_cases,
};

kunit_test_suite(kbr_sasl_test_suite);
