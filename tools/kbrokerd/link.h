/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Connections between daemons, over TCP: each side proves that it knows the
 * cluster's secret before anything else is heard of it.
 *
 * The words are those of codec/proof.h, in these pieces:
 *
 *	client	hello
 *	server	answer
 *	client	mac, u8 purpose, u8 length, its own address, that long
 *	server	one byte of zero
 *
 * The key is HMAC-SHA256 of the secret over "kbrokerd": what is proved to a
 * daemon can't be used with a broker's listener, nor the reverse. Without TLS
 * an attacker on the path between daemons is not stopped.
 *
 * All on the thread of one libuv loop.
 */
#ifndef _KBROKERD_LINK_H
#define _KBROKERD_LINK_H

#include <linux/types.h>
#include <sys/socket.h>
#include <uv.h>

#include "encode.h"

/* Who connects or is connected to has so long to prove itself */
#define KBD_LINK_MS	3000
/* A connection ends when for so long nothing that was sent on it was acknowledged */
#define KBD_SILENCE_MS	3000

/** enum kbd_purpose - what a connection is for */
enum kbd_purpose {
	KBD_FOR_REQUESTS = 1,	/* frames of rpc.h */
	KBD_FOR_RAFT,		/* the Raft library's own messages */
};

/**
 * struct kbd_identity - who this daemon is
 * @cluster: UUID of the cluster
 * @key: made by kbd_link_key()
 * @id: node.id, -1 none yet
 * @address: where daemons reach this one, "" none
 */
struct kbd_identity {
	u8 cluster[16];
	u8 key[32];
	s32 id;
	char address[KBD_DAEMON_ADDRESS_MAX + 1];
};

/**
 * struct kbd_proved - who is on the other side
 * @id: node.id that it proved
 * @purpose: of the connection
 * @address: where it says it is reached, for one that was accepted
 */
struct kbd_proved {
	s32 id;
	enum kbd_purpose purpose;
	char address[KBD_DAEMON_ADDRESS_MAX + 1];
};

struct kbd_link;

/**
 * typedef kbd_link_done - a connection was proved, or was not
 * @tcp: malloc()ed, the callee's from now on; NULL if @status is not 0
 * @peer: valid during the call
 * @status: 0, or a negative errno: -EACCES another cluster or secret
 */
typedef void (*kbd_link_done)(void *arg, uv_tcp_t *tcp, const struct kbd_proved *peer, int status);

/** kbd_link_key() - make the key of a cluster's secret; 0 or -EIO */
int kbd_link_key(const void *secret, size_t len, u8 key[32]);

/** kbd_address() - "ADDRESS:PORT" or "[ADDRESS]:PORT"; 0 or -EINVAL */
int kbd_address(const char *text, struct sockaddr_storage *address);

/**
 * kbd_link_connect() - to the daemon at @address
 * @done: is called once, not before this returns
 *
 * Return: NULL: @address is none.
 */
struct kbd_link *kbd_link_connect(uv_loop_t *loop, const struct kbd_identity *self,
				  const char *address, enum kbd_purpose purpose,
				  kbd_link_done done, void *arg);

/**
 * kbd_link_accept() - the next connection of a listening socket
 *
 * Return: NULL: it is gone already, or there is no memory.
 */
struct kbd_link *kbd_link_accept(uv_stream_t *listener, const struct kbd_identity *self,
				 kbd_link_done done, void *arg);

/** kbd_link_cancel() - @done is called now, with -ECANCELED */
void kbd_link_cancel(struct kbd_link *link);

#endif /* _KBROKERD_LINK_H */
