// SPDX-License-Identifier: GPL-2.0-only OR LGPL-2.1-or-later
/*
 * The bytes of the proof between brokers; see proof.h.
 */
#include <linux/errno.h>
#include <linux/string.h>
#include <linux/types.h>

#include "base/kunit.h"
#include "codec/proof.h"

static u8 *kbr_proof_put_be(u8 *at, u64 value, unsigned int bytes)
{
	while (bytes--)
		*at++ = (u8)(value >> (8 * bytes));
	return at;
}

static u64 kbr_proof_get_be(const u8 *at, unsigned int bytes)
{
	u64 value = 0;

	while (bytes--)
		value = value << 8 | *at++;
	return value;
}

static u8 *kbr_proof_put_side(const struct kbr_proof_side *side, u8 *at)
{
	at = kbr_proof_put_be(at, (u32)side->id, 4);
	at = kbr_proof_put_be(at, (u64)side->epoch, 8);
	memcpy(at, side->nonce, sizeof(side->nonce));
	return at + sizeof(side->nonce);
}

static const u8 *kbr_proof_get_side(struct kbr_proof_side *side, const u8 *at)
{
	side->id = (s32)kbr_proof_get_be(at, 4);
	side->epoch = (s64)kbr_proof_get_be(at + 4, 8);
	memcpy(side->nonce, at + 12, sizeof(side->nonce));
	return at + KBR_PROOF_SIDE_SIZE;
}

void kbr_proof_put_hello(const struct kbr_proof *proof, u8 hello[KBR_PROOF_HELLO_SIZE])
{
	hello[0] = KBR_PROOF_VERSION;
	memcpy(hello + 1, proof->cluster, sizeof(proof->cluster));
	kbr_proof_put_side(&proof->client, hello + 1 + sizeof(proof->cluster));
}
KBR_EXPORT_IF_KUNIT(kbr_proof_put_hello);

int kbr_proof_get_hello(struct kbr_proof *proof, const void *bytes, size_t len)
{
	const u8 *at = bytes;

	if (len != KBR_PROOF_HELLO_SIZE || at[0] != KBR_PROOF_VERSION)
		return -EPROTO;
	memcpy(proof->cluster, at + 1, sizeof(proof->cluster));
	kbr_proof_get_side(&proof->client, at + 1 + sizeof(proof->cluster));
	return 0;
}
KBR_EXPORT_IF_KUNIT(kbr_proof_get_hello);

void kbr_proof_put_answer(const struct kbr_proof *proof, const u8 mac[KBR_PROOF_MAC_SIZE],
			  u8 answer[KBR_PROOF_ANSWER_SIZE])
{
	memcpy(kbr_proof_put_side(&proof->server, answer), mac, KBR_PROOF_MAC_SIZE);
}
KBR_EXPORT_IF_KUNIT(kbr_proof_put_answer);

int kbr_proof_get_answer(struct kbr_proof *proof, const void *bytes, size_t len,
			 u8 mac[KBR_PROOF_MAC_SIZE])
{
	if (len != KBR_PROOF_ANSWER_SIZE)
		return -EPROTO;
	memcpy(mac, kbr_proof_get_side(&proof->server, bytes), KBR_PROOF_MAC_SIZE);
	return 0;
}
KBR_EXPORT_IF_KUNIT(kbr_proof_get_answer);

void kbr_proof_transcript(const struct kbr_proof *proof, bool server,
			  u8 transcript[KBR_PROOF_TRANSCRIPT_SIZE])
{
	memcpy(transcript, server ? "kbroker server" : "kbroker client", KBR_PROOF_LABEL_SIZE);
	transcript += KBR_PROOF_LABEL_SIZE;
	kbr_proof_put_hello(proof, transcript);
	kbr_proof_put_side(&proof->server, transcript + KBR_PROOF_HELLO_SIZE);
}
KBR_EXPORT_IF_KUNIT(kbr_proof_transcript);

bool kbr_proof_mac_equal(const u8 a[KBR_PROOF_MAC_SIZE], const u8 b[KBR_PROOF_MAC_SIZE])
{
	u8 differ = 0;
	unsigned int i;

	for (i = 0; i < KBR_PROOF_MAC_SIZE; i++)
		differ |= a[i] ^ b[i];
	return !differ;
}
KBR_EXPORT_IF_KUNIT(kbr_proof_mac_equal);
