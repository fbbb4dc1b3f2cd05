// SPDX-License-Identifier: GPL-2.0-only
/* The Raft library's connections; see transport.h. Its ids are one more than the node's. */
#include <errno.h>
#include <stdlib.h>

#include <raft/uv.h>

#include "transport.h"

/**
 * struct attempt - a connection that is being made
 * @transport: whose
 * @next: another one
 * @link: it
 * @request: the library's
 * @id: node.id of who must be there
 */
struct attempt {
	struct kbd_transport *transport;
	struct attempt *next;
	struct kbd_link *link;
	struct raft_uv_connect *request;
	s32 id;
};

/**
 * struct kbd_transport - see transport.h
 * @raft: what the library sees
 * @loop: of all
 * @self: who this daemon is
 * @accept: gets accepted connections; NULL: none are wanted
 * @attempts: connections that are being made
 * @closing: no more of them
 */
struct kbd_transport {
	struct raft_uv_transport raft;
	uv_loop_t *loop;
	const struct kbd_identity *self;
	raft_uv_accept_cb accept;
	struct attempt *attempts;
	bool closing;
};

static int transport_init(struct raft_uv_transport *raft, raft_id id, const char *address)
{
	(void)raft;
	(void)id;
	(void)address;
	return 0;
}

static int transport_listen(struct raft_uv_transport *raft, raft_uv_accept_cb accept)
{
	struct kbd_transport *transport = raft->impl;

	transport->accept = accept;
	return 0;
}

static void drop(uv_tcp_t *tcp)
{
	uv_close((uv_handle_t *)tcp, (uv_close_cb)free);
}

static void attempted(void *arg, uv_tcp_t *tcp, const struct kbd_proved *peer, int status)
{
	struct attempt *attempt = arg, **at;
	struct kbd_transport *transport = attempt->transport;
	struct raft_uv_connect *request = attempt->request;

	for (at = &transport->attempts; *at != attempt; at = &(*at)->next)
		;
	*at = attempt->next;
	/* Another daemon has the address now: it is not who votes. */
	if (!status && peer->id != attempt->id) {
		drop(tcp);
		tcp = NULL;
		status = -EACCES;
	}
	free(attempt);
	request->cb(request, (uv_stream_t *)tcp,
		    !status ? 0 : transport->closing ? RAFT_CANCELED : RAFT_NOCONNECTION);
}

static int transport_connect(struct raft_uv_transport *raft, struct raft_uv_connect *request,
			     raft_id id, const char *address, raft_uv_connect_cb cb)
{
	struct kbd_transport *transport = raft->impl;
	struct attempt *attempt = calloc(1, sizeof(*attempt));

	if (!attempt)
		return RAFT_NOMEM;
	request->cb = cb;
	attempt->transport = transport;
	attempt->request = request;
	attempt->id = (s32)(id - 1);
	attempt->link = kbd_link_connect(transport->loop, transport->self, address, KBD_FOR_RAFT,
					 attempted, attempt);
	if (!attempt->link) {
		free(attempt);
		return RAFT_NOCONNECTION;
	}
	attempt->next = transport->attempts;
	transport->attempts = attempt;
	return 0;
}

static void transport_close(struct raft_uv_transport *raft, raft_uv_transport_close_cb cb)
{
	struct kbd_transport *transport = raft->impl;

	transport->closing = true;
	transport->accept = NULL;
	while (transport->attempts)
		kbd_link_cancel(transport->attempts->link);
	cb(raft);
}

void kbd_transport_accepted(struct kbd_transport *transport, uv_tcp_t *tcp,
			    const struct kbd_proved *peer)
{
	if (transport->accept)
		transport->accept(&transport->raft, (raft_id)peer->id + 1, peer->address,
				  (uv_stream_t *)tcp);
	else
		drop(tcp);
}

struct raft_uv_transport *kbd_transport_raft(struct kbd_transport *transport)
{
	return &transport->raft;
}

struct kbd_transport *kbd_transport_new(uv_loop_t *loop, const struct kbd_identity *self)
{
	struct kbd_transport *transport = calloc(1, sizeof(*transport));

	if (!transport)
		abort();
	transport->raft.version = 1;
	transport->raft.impl = transport;
	transport->raft.init = transport_init;
	transport->raft.listen = transport_listen;
	transport->raft.connect = transport_connect;
	transport->raft.close = transport_close;
	transport->loop = loop;
	transport->self = self;
	return transport;
}

void kbd_transport_free(struct kbd_transport *transport)
{
	free(transport);
}
