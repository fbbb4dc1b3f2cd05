// SPDX-License-Identifier: GPL-2.0-only
/*
 * The words of the proof between brokers: where each byte lies, what is no
 * such message, and that each word is in what the macs are made of.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "codec/proof.h"
#include "tap.h"
#include "unit.h"

static struct kbr_proof proof_example(void)
{
	struct kbr_proof proof = {
		.client = { .id = 0x01020304, .epoch = 0x1112131415161718 },
		.server = { .id = 2, .epoch = -1 },
	};

	memset(proof.cluster, 0xcc, sizeof(proof.cluster));
	memset(proof.client.nonce, 0xa1, sizeof(proof.client.nonce));
	memset(proof.server.nonce, 0xb2, sizeof(proof.server.nonce));
	return proof;
}

static void proof_layout(void)
{
	static const u8 client[] = { 1, 2, 3, 4, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x18 };
	static const u8 server[] = { 0, 0, 0, 2, 255, 255, 255, 255, 255, 255, 255, 255 };
	u8 hello[KBR_PROOF_HELLO_SIZE], answer[KBR_PROOF_ANSWER_SIZE];
	u8 transcript[KBR_PROOF_TRANSCRIPT_SIZE], mac[KBR_PROOF_MAC_SIZE];
	struct kbr_proof proof = proof_example();

	memset(mac, 0x77, sizeof(mac));
	kbr_proof_put_hello(&proof, hello);
	expect_eq(sizeof(hello), 61);
	expect_eq(hello[0], 1);
	expect_bytes(hello + 1, 16, proof.cluster, 16);
	expect_bytes(hello + 17, sizeof(client), client, sizeof(client));
	expect_bytes(hello + 29, 32, proof.client.nonce, 32);

	kbr_proof_put_answer(&proof, mac, answer);
	expect_eq(sizeof(answer), 76);
	expect_bytes(answer, sizeof(server), server, sizeof(server));
	expect_bytes(answer + 12, 32, proof.server.nonce, 32);
	expect_bytes(answer + 44, 32, mac, 32);

	kbr_proof_transcript(&proof, true, transcript);
	expect_bytes(transcript, 14, "kbroker server", 14);
	expect_bytes(transcript + 14, sizeof(hello), hello, sizeof(hello));
	expect_bytes(transcript + 75, sizeof(transcript) - 75, answer, 44);
	kbr_proof_transcript(&proof, false, transcript);
	expect_bytes(transcript, 14, "kbroker client", 14);
}

static void proof_both_ways(void)
{
	u8 hello[KBR_PROOF_HELLO_SIZE], answer[KBR_PROOF_ANSWER_SIZE];
	u8 mac[KBR_PROOF_MAC_SIZE], claimed[KBR_PROOF_MAC_SIZE];
	struct kbr_proof proof = proof_example(), got = { 0 };

	memset(mac, 0x77, sizeof(mac));
	kbr_proof_put_hello(&proof, hello);
	kbr_proof_put_answer(&proof, mac, answer);
	expect_eq(kbr_proof_get_hello(&got, hello, sizeof(hello)), 0);
	expect_eq(kbr_proof_get_answer(&got, answer, sizeof(answer), claimed), 0);
	expect_eq(got.client.id, proof.client.id);
	expect_eq(got.client.epoch, proof.client.epoch);
	expect_eq(got.server.id, 2);
	expect_eq(got.server.epoch, -1);
	expect_bytes(got.cluster, 16, proof.cluster, 16);
	expect_bytes(got.client.nonce, 32, proof.client.nonce, 32);
	expect_bytes(got.server.nonce, 32, proof.server.nonce, 32);
	expect(kbr_proof_mac_equal(mac, claimed));
}

static void proof_other_lengths(void)
{
	u8 bytes[KBR_PROOF_ANSWER_SIZE + 1] = { KBR_PROOF_VERSION };
	u8 mac[KBR_PROOF_MAC_SIZE];
	struct kbr_proof proof;
	size_t len;
	u8 *exact;

	for (len = 0; len <= sizeof(bytes); len++) {
		exact = unit_exact(bytes, len);
		expect_eq(kbr_proof_get_hello(&proof, exact, len),
			  len == KBR_PROOF_HELLO_SIZE ? 0 : -EPROTO);
		expect_eq(kbr_proof_get_answer(&proof, exact, len, mac),
			  len == KBR_PROOF_ANSWER_SIZE ? 0 : -EPROTO);
		free(exact);
	}
	bytes[0] = KBR_PROOF_VERSION + 1;
	expect_eq(kbr_proof_get_hello(&proof, bytes, KBR_PROOF_HELLO_SIZE), -EPROTO);
}

/* A change of any byte that was said changes what the macs are made of. */
static void proof_covers_all(void)
{
	u8 hello[KBR_PROOF_HELLO_SIZE], answer[KBR_PROOF_ANSWER_SIZE];
	u8 first[KBR_PROOF_TRANSCRIPT_SIZE], other[KBR_PROOF_TRANSCRIPT_SIZE];
	u8 mac[KBR_PROOF_MAC_SIZE] = { 0 };
	struct kbr_proof proof = proof_example();
	size_t i;

	kbr_proof_transcript(&proof, true, first);
	for (i = 1; i < sizeof(hello); i++) {
		proof = proof_example();
		kbr_proof_put_hello(&proof, hello);
		hello[i] ^= 1;
		expect_eq(kbr_proof_get_hello(&proof, hello, sizeof(hello)), 0);
		kbr_proof_transcript(&proof, true, other);
		expect(memcmp(first, other, sizeof(first)));
	}
	for (i = 0; i < KBR_PROOF_SIDE_SIZE; i++) {
		proof = proof_example();
		kbr_proof_put_answer(&proof, mac, answer);
		answer[i] ^= 0x80;
		expect_eq(kbr_proof_get_answer(&proof, answer, sizeof(answer), mac), 0);
		kbr_proof_transcript(&proof, true, other);
		expect(memcmp(first, other, sizeof(first)));
	}
}

static void proof_macs_differ(void)
{
	u8 a[KBR_PROOF_MAC_SIZE] = { 0 }, b[KBR_PROOF_MAC_SIZE] = { 0 };
	size_t i;

	expect(kbr_proof_mac_equal(a, b));
	for (i = 0; i < sizeof(a); i++) {
		a[i] = 0x80;
		expect(!kbr_proof_mac_equal(a, b));
		a[i] = 0;
	}
}

const struct tap_case proof_cases[] = {
	{ "proof: where each byte lies", proof_layout },
	{ "proof: both ways", proof_both_ways },
	{ "proof: other lengths and versions are refused", proof_other_lengths },
	{ "proof: each byte that was said is proved", proof_covers_all },
	{ "proof: macs differ by any byte", proof_macs_differ },
	{ NULL, NULL }
};
