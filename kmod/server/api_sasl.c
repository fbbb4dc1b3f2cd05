// SPDX-License-Identifier: GPL-2.0-only
/*
 * SaslHandshake and SaslAuthenticate: by them a broker of our cluster proves
 * that it is one (codec/proof.h has the words). Ordinary clients have nothing
 * to prove here: whom they act as is their listener's business.
 */
#include <linux/random.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "broker/cluster.h"
#include "codec/kafka_error.h"
#include "codec/proof.h"
#include "server/server.h"

static enum kbr_request_state kbr_sasl_handshake_start(struct kbr_request *req)
{
	struct kbr_str mechanism = kbr_get_string(&req->body);
	bool member = kbr_cluster_is_member(kbr_request_broker(req));
	struct kbr_wire_writer *w = &req->reply;
	struct kbr_conn *conn = req->conn;
	s16 code = KBR_KAFKA_NONE;

	if (!member || !kbr_str_equal(&mechanism, KBR_PROOF_MECHANISM))
		code = KBR_KAFKA_UNSUPPORTED_SASL_MECHANISM;
	else if (conn->proof_state != KBR_CONN_PROVES_NOTHING)
		code = KBR_KAFKA_ILLEGAL_SASL_STATE;
	else
		conn->proof_state = KBR_CONN_CHOSE_PROOF;
	kbr_put_s16(w, code);
	kbr_put_count(w, member);
	if (member)
		kbr_put_string(w, KBR_PROOF_MECHANISM);
	return KBR_REQUEST_DONE;
}

/* The mac of one side over what both have said. */
static int kbr_sasl_mac(struct kbr_request *req, const struct kbr_proof *proof, bool server,
			u8 mac[KBR_PROOF_MAC_SIZE])
{
	u8 transcript[KBR_PROOF_TRANSCRIPT_SIZE];
	struct kvec part = { .iov_base = transcript, .iov_len = sizeof(transcript) };

	kbr_proof_transcript(proof, server, transcript);
	return kbr_cluster_prove(kbr_request_broker(req), &part, 1, mac);
}

/* Who says hello must be of this cluster, another broker, and not older than known. */
static s16 kbr_sasl_check_hello(struct kbr_request *req, const struct kbr_proof *proof)
{
	struct kbr_broker *broker = kbr_request_broker(req);
	struct kbr_peer peer;
	u8 cluster[16];

	if (!kbr_cluster_id(broker, cluster) || memcmp(cluster, proof->cluster, sizeof(cluster)) ||
	    proof->client.id < 0 || proof->client.id == broker->id)
		return KBR_KAFKA_SASL_AUTHENTICATION_FAILED;
	if (!kbr_cluster_peer(broker, proof->client.id, &peer) && proof->client.epoch < peer.epoch)
		return KBR_KAFKA_STALE_BROKER_EPOCH;
	return KBR_KAFKA_NONE;
}

static s16 kbr_sasl_hello(struct kbr_request *req, const struct kbr_str *bytes,
			  u8 answer[KBR_PROOF_ANSWER_SIZE])
{
	struct kbr_broker *broker = kbr_request_broker(req);
	struct kbr_conn *conn = req->conn;
	u8 mac[KBR_PROOF_MAC_SIZE];
	struct kbr_proof *proof;
	s16 code;

	proof = kzalloc(sizeof(*proof), GFP_KERNEL_ACCOUNT);
	if (!proof)
		return KBR_KAFKA_UNKNOWN;
	conn->proof = proof;
	if (kbr_proof_get_hello(proof, bytes->at, bytes->len))
		return KBR_KAFKA_SASL_AUTHENTICATION_FAILED;
	code = kbr_sasl_check_hello(req, proof);
	if (code)
		return code;
	proof->server.id = broker->id;
	proof->server.epoch = kbr_cluster_epoch(broker);
	get_random_bytes(proof->server.nonce, sizeof(proof->server.nonce));
	if (kbr_sasl_mac(req, proof, true, mac))
		return KBR_KAFKA_SASL_AUTHENTICATION_FAILED;
	kbr_proof_put_answer(proof, mac, answer);
	conn->proof_state = KBR_CONN_SAID_HELLO;
	return KBR_KAFKA_NONE;
}

static s16 kbr_sasl_prove(struct kbr_request *req, const struct kbr_str *bytes)
{
	struct kbr_conn *conn = req->conn;
	u8 mac[KBR_PROOF_MAC_SIZE];

	if (bytes->len != sizeof(mac) || kbr_sasl_mac(req, conn->proof, false, mac) ||
	    !kbr_proof_mac_equal(mac, (const u8 *)bytes->at))
		return KBR_KAFKA_SASL_AUTHENTICATION_FAILED;
	conn->peer_epoch = conn->proof->client.epoch;
	WRITE_ONCE(conn->peer_id, conn->proof->client.id);
	conn->proof_state = KBR_CONN_PROVED;
	kfree_sensitive(conn->proof);
	conn->proof = NULL;
	return KBR_KAFKA_NONE;
}

static enum kbr_request_state kbr_sasl_authenticate_start(struct kbr_request *req)
{
	struct kbr_str bytes = kbr_get_bytes(&req->body);
	struct kbr_wire_writer *w = &req->reply;
	u8 answer[KBR_PROOF_ANSWER_SIZE];
	struct kbr_conn *conn = req->conn;
	size_t len = 0;
	s16 code;

	if (conn->proof_state == KBR_CONN_CHOSE_PROOF) {
		code = kbr_sasl_hello(req, &bytes, answer);
		len = code ? 0 : sizeof(answer);
	} else if (conn->proof_state == KBR_CONN_SAID_HELLO) {
		code = kbr_sasl_prove(req, &bytes);
	} else {
		code = KBR_KAFKA_ILLEGAL_SASL_STATE;
	}
	kbr_put_s16(w, code);
	kbr_put_string(w, code ? "this broker does not accept who says to be one" : NULL);
	kbr_put_bytes(w, answer, len);
	if (req->header.version >= 1)
		kbr_put_s64(w, 0);	/* session_lifetime_ms: as long as it likes */
	kbr_put_tags(w);
	if (code)
		kbr_request_close_after(req, "it did not prove to be a broker, API");
	return KBR_REQUEST_DONE;
}

const struct kbr_handler kbr_handle_sasl_handshake = {
	.start = kbr_sasl_handshake_start,
};

const struct kbr_handler kbr_handle_sasl_authenticate = {
	.start = kbr_sasl_authenticate_start,
};
