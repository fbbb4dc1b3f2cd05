/* SPDX-License-Identifier: GPL-2.0-only OR LGPL-2.1-or-later */
/*
 * How two brokers of a cluster prove to each other that they know its secret:
 * the bytes inside two rounds of SaslAuthenticate, mechanism KBROKER-CLUSTER.
 *
 *	1. client	hello: u8 version, cluster id 16, node id be32, broker
 *			epoch be64, nonce 32
 *	   server	answer: node id be32, broker epoch be64, nonce 32, mac 32
 *	2. client	mac 32
 *	   server	nothing: the connection is a peer's from now on
 *
 * A mac is HMAC-SHA256 with the secret as its key over a label, which says whose
 * it is, and all that both have said before: kbr_proof_transcript(). So neither
 * side's words can be sent back to it, or be used in another connection.
 *
 * Pure: who makes the macs and the nonces is the caller's business; macs are
 * compared with kbr_proof_mac_equal().
 */
#ifndef _KBR_CODEC_PROOF_H
#define _KBR_CODEC_PROOF_H

#include <linux/types.h>

#define KBR_PROOF_MECHANISM	"KBROKER-CLUSTER"
#define KBR_PROOF_VERSION	1
#define KBR_PROOF_CLUSTER_SIZE	16
#define KBR_PROOF_NONCE_SIZE	32
#define KBR_PROOF_MAC_SIZE	32

/* What one side says of itself: node id, broker epoch, nonce */
#define KBR_PROOF_SIDE_SIZE	(4 + 8 + KBR_PROOF_NONCE_SIZE)
#define KBR_PROOF_HELLO_SIZE	(1 + KBR_PROOF_CLUSTER_SIZE + KBR_PROOF_SIDE_SIZE)
#define KBR_PROOF_ANSWER_SIZE	(KBR_PROOF_SIDE_SIZE + KBR_PROOF_MAC_SIZE)
/* The label, without a terminator, the hello, and the answer without its mac */
#define KBR_PROOF_LABEL_SIZE	14
#define KBR_PROOF_TRANSCRIPT_SIZE \
	(KBR_PROOF_LABEL_SIZE + KBR_PROOF_HELLO_SIZE + KBR_PROOF_SIDE_SIZE)

/**
 * struct kbr_proof_side - what one side says of itself
 * @id: node.id
 * @epoch: broker epoch, -1 none
 * @nonce: random, for this connection alone
 */
struct kbr_proof_side {
	s32 id;
	s64 epoch;
	u8 nonce[KBR_PROOF_NONCE_SIZE];
};

/**
 * struct kbr_proof - what both have said
 * @cluster: UUID of the cluster
 * @client: who connected
 * @server: who was connected to
 */
struct kbr_proof {
	u8 cluster[KBR_PROOF_CLUSTER_SIZE];
	struct kbr_proof_side client;
	struct kbr_proof_side server;
};

/** kbr_proof_put_hello() - the client's first words */
void kbr_proof_put_hello(const struct kbr_proof *proof, u8 hello[KBR_PROOF_HELLO_SIZE]);
/** kbr_proof_get_hello() - sets @proof's cluster and client; -EPROTO: it is none, or of another version */
int kbr_proof_get_hello(struct kbr_proof *proof, const void *bytes, size_t len);
/** kbr_proof_put_answer() - the server's words */
void kbr_proof_put_answer(const struct kbr_proof *proof, const u8 mac[KBR_PROOF_MAC_SIZE],
			  u8 answer[KBR_PROOF_ANSWER_SIZE]);
/** kbr_proof_get_answer() - sets @proof's server, and @mac to what it claims; -EPROTO */
int kbr_proof_get_answer(struct kbr_proof *proof, const void *bytes, size_t len,
			 u8 mac[KBR_PROOF_MAC_SIZE]);
/** kbr_proof_transcript() - what the server's mac is made of, or the client's */
void kbr_proof_transcript(const struct kbr_proof *proof, bool server,
			  u8 transcript[KBR_PROOF_TRANSCRIPT_SIZE]);
/** kbr_proof_mac_equal() - in a time that tells nothing of where they differ */
bool kbr_proof_mac_equal(const u8 a[KBR_PROOF_MAC_SIZE], const u8 b[KBR_PROOF_MAC_SIZE]);

#endif /* _KBR_CODEC_PROOF_H */
