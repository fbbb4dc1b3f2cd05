/* SPDX-License-Identifier: GPL-2.0-only */
/* The Raft library's connections, over proved ones (link.h). */
#ifndef _KBROKERD_TRANSPORT_H
#define _KBROKERD_TRANSPORT_H

#include "link.h"

struct kbd_transport;
struct raft_uv_transport;

/** kbd_transport_new() - @self stays the caller's */
struct kbd_transport *kbd_transport_new(uv_loop_t *loop, const struct kbd_identity *self);
/** kbd_transport_free() - after the Raft library has closed it */
void kbd_transport_free(struct kbd_transport *transport);
/** kbd_transport_raft() - for kbd_raft_start() */
struct raft_uv_transport *kbd_transport_raft(struct kbd_transport *transport);
/** kbd_transport_accepted() - a connection for Raft was accepted; @tcp is the transport's */
void kbd_transport_accepted(struct kbd_transport *transport, uv_tcp_t *tcp,
			    const struct kbd_proved *peer);

#endif /* _KBROKERD_TRANSPORT_H */
