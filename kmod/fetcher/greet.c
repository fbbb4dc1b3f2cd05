// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a link says first: both sides prove that they know the cluster's secret
 * (codec/proof.h), before anything that comes is taken for a leader's word.
 */
#include <linux/random.h>
#include <linux/string.h>

#include "codec/proto.h"
#include "fetcher/fetcher.h"

#define KBR_SASL_HANDSHAKE_VERSION	1
#define KBR_SASL_AUTHENTICATE_VERSION	1

size_t kbr_link_begin_request(struct kbr_link *link, s16 key, s16 version)
{
	struct kbr_wire_writer *w = &link->out;
	size_t at = w->len;

	w->flexible = false;
	kbr_put_s32(w, 0);
	kbr_put_s16(w, key);
	kbr_put_s16(w, version);
	kbr_put_s32(w, ++link->correlation);
	kbr_put_string(w, "kbroker");
	w->flexible = version >= kbr_api_find(key)->flexible;
	kbr_put_tags(w);
	return at;
}

void kbr_link_end_request(struct kbr_link *link, size_t at)
{
	struct kbr_wire_writer *w = &link->out;

	kbr_wire_writer_patch_s32(w, at, (s32)(w->len - at - sizeof(__be32)));
	link->in_flight++;
}

static int kbr_link_say(struct kbr_link *link, const void *bytes, size_t len)
{
	size_t at = kbr_link_begin_request(link, KBR_API_SASL_AUTHENTICATE,
					   KBR_SASL_AUTHENTICATE_VERSION);

	kbr_put_bytes(&link->out, bytes, len);
	kbr_link_end_request(link, at);
	return link->out.err;
}

static int kbr_link_mac(struct kbr_link *link, bool server, u8 mac[KBR_PROOF_MAC_SIZE])
{
	u8 transcript[KBR_PROOF_TRANSCRIPT_SIZE];
	struct kvec part = { .iov_base = transcript, .iov_len = sizeof(transcript) };

	kbr_proof_transcript(&link->proof, server, transcript);
	return kbr_cluster_prove(link->fetcher->broker, &part, 1, mac);
}

int kbr_link_greet(struct kbr_link *link)
{
	struct kbr_broker *broker = link->fetcher->broker;
	size_t at;

	if (!kbr_cluster_id(broker, link->proof.cluster))
		return -EINVAL;
	link->proof.client.id = broker->id;
	link->proof.client.epoch = link->epoch;
	get_random_bytes(link->proof.client.nonce, sizeof(link->proof.client.nonce));
	at = kbr_link_begin_request(link, KBR_API_SASL_HANDSHAKE, KBR_SASL_HANDSHAKE_VERSION);
	kbr_put_string(&link->out, KBR_PROOF_MECHANISM);
	kbr_link_end_request(link, at);
	link->state = KBR_LINK_HANDSHAKE;
	return link->out.err;
}

/* The leader has chosen our mechanism. */
static int kbr_link_say_hello(struct kbr_link *link, struct kbr_wire_reader *r)
{
	u8 hello[KBR_PROOF_HELLO_SIZE];

	if (kbr_get_s16(r) || r->bad)
		return -EPROTO;
	kbr_proof_put_hello(&link->proof, hello);
	link->state = KBR_LINK_HELLO;
	return kbr_link_say(link, hello, sizeof(hello));
}

/* It says who it is, and has proved it: now we do. */
static int kbr_link_prove(struct kbr_link *link, const struct kbr_str *bytes)
{
	u8 mac[KBR_PROOF_MAC_SIZE], claimed[KBR_PROOF_MAC_SIZE];
	int err;

	if (kbr_proof_get_answer(&link->proof, bytes->at, bytes->len, claimed))
		return -EPROTO;
	err = kbr_link_mac(link, true, mac);
	if (err)
		return err;
	if (link->proof.server.id != link->peer || !kbr_proof_mac_equal(mac, claimed))
		return -EKEYREJECTED;
	err = kbr_link_mac(link, false, mac);
	if (err)
		return err;
	link->state = KBR_LINK_PROVING;
	return kbr_link_say(link, mac, sizeof(mac));
}

int kbr_link_take_greeting(struct kbr_link *link, const void *buf, size_t len)
{
	struct kbr_wire_reader r;
	struct kbr_str bytes;
	s16 code;

	kbr_wire_reader_init(&r, buf, len, false);
	if (kbr_get_s32(&r) != link->correlation || r.bad)
		return -EPROTO;
	if (link->state == KBR_LINK_HANDSHAKE)
		return kbr_link_say_hello(link, &r);
	code = kbr_get_s16(&r);
	kbr_get_nullable_string(&r);
	bytes = kbr_get_bytes(&r);
	if (code)
		return -EKEYREJECTED;
	if (r.bad)
		return -EPROTO;
	if (link->state == KBR_LINK_HELLO)
		return kbr_link_prove(link, &bytes);
	link->state = KBR_LINK_READY;
	return 0;
}
