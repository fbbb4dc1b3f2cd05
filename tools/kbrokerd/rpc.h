/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Requests between daemons, and of the kbroker command to a daemon.
 *
 * A request and its answer are messages (encode.h), each in a frame:
 *
 *	be32 bytes that follow, be64 token, u8 flags, message
 *
 * The answer has the token of the request. Requests on one connection are
 * answered in any order.
 *
 * The kbroker command reaches its daemon at the Unix socket "socket" in the
 * daemon's directory, which root alone may open. Daemons reach one another over
 * TCP, where first each proves that it knows the cluster's secret (link.h).
 *
 * A daemon that is not the controller passes a request on to the one that is,
 * once.
 */
#ifndef _KBROKERD_RPC_H
#define _KBROKERD_RPC_H

#include <linux/types.h>

/* Bytes of a frame before its message, and of a whole frame at most */
#define KBD_FRAME_HEADER	13
#define KBD_FRAME_MAX		(4U << 20)

/* Flags of a frame */
#define KBD_FRAME_ANSWER	1	/* not a request */
#define KBD_FRAME_PASSED	2	/* was passed on already */

/* Name of the socket in the daemon's directory, and where that is */
#define KBD_SOCKET		"socket"
#define KBD_DIR			"/var/lib/kbrokerd"

#endif /* _KBROKERD_RPC_H */
