// SPDX-License-Identifier: GPL-2.0-only
/* A cluster's state for who is no member yet; see ask.h. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ask.h"
#include "frames.h"
#include "state.h"

/**
 * struct ask - a question
 * @address: of whom
 * @done: it was answered
 * @exit_code: see kbd_ask_status()
 */
struct ask {
	const char *address;
	bool done;
	int exit_code;
};

static void print_broker(const struct kbd_attr *nest)
{
	struct kbd_attr attrs[KBD_A_END], peer[KBROKER_A_PEER_MAX + 1];

	kbd_open(nest, attrs, KBD_A_END);
	kbd_open(&attrs[KBD_A_PEER], peer, KBROKER_A_PEER_MAX + 1);
	printf("broker %d %s %u %s\n", (s32)kbd_u32(&peer[KBROKER_A_PEER_ID]),
	       kbd_text(&peer[KBROKER_A_PEER_ADDRESS]), kbd_u16(&peer[KBROKER_A_PEER_PORT]),
	       kbd_u8(&peer[KBROKER_A_PEER_FENCED]) ? "fenced" : "alive");
}

static void print_daemon(const struct kbd_attr *nest)
{
	struct kbd_attr attrs[KBD_DAEMON_END];

	kbd_open(nest, attrs, KBD_DAEMON_END);
	printf("daemon %d %s %s%s\n", (s32)kbd_u32(&attrs[KBD_DAEMON_ID]),
	       kbd_text(&attrs[KBD_DAEMON_ADDRESS]),
	       kbd_u8(&attrs[KBD_DAEMON_VOTER]) ? "voter" : "spare",
	       kbd_u8(&attrs[KBD_DAEMON_LEADER]) ? " controller" : "");
}

static void answered(void *arg, struct kbd_frames *conn, u64 token, u8 flags, const void *data,
		     size_t len)
{
	struct ask *ask = arg;
	struct kbd_message msg;
	struct kbd_attr attr;
	char why[KBD_WHY_SIZE];
	size_t pos = 0;

	(void)token;
	(void)flags;
	kbd_frames_close(conn);
	ask->done = true;
	if (kbd_decode(&msg, data, len, why)) {
		fprintf(stderr, "%s: %s\n", ask->address, why);
		return;
	}
	if (kbd_u32(&msg.attr[KBD_A_ERROR])) {
		fprintf(stderr, "%s: %s\n", ask->address, kbd_text(&msg.attr[KBD_A_MESSAGE]));
		return;
	}
	while (kbd_each(msg.body, msg.len, &pos, &attr)) {
		if (attr.type == KBD_A_BROKER)
			print_broker(&attr);
		else if (attr.type == KBD_A_DAEMON)
			print_daemon(&attr);
	}
	ask->exit_code = 0;
}

static void closed(void *arg, struct kbd_frames *conn, int status)
{
	struct ask *ask = arg;

	(void)conn;
	if (!ask->done)
		fprintf(stderr, "%s: the connection broke: %s\n", ask->address,
			status ? uv_strerror(status) : "the other side closed it");
}

static const struct kbd_frames_ops ask_ops = {
	.frame = answered,
	.closed = closed,
};

static void linked(void *arg, uv_tcp_t *tcp, const struct kbd_proved *peer, int status)
{
	struct ask *ask = arg;
	struct kbd_buf buf = { 0 };
	struct kbd_frames *conn;

	(void)peer;
	if (status) {
		fprintf(stderr, "%s: %s\n", ask->address,
			status == -EACCES ? "the daemon there has another cluster id or another secret" :
					    uv_strerror(status));
		return;
	}
	conn = kbd_frames_new((uv_stream_t *)tcp, &ask_ops, ask);
	if (!conn)
		return;
	kbd_begin(&buf, KBD_STATUS);
	kbd_frames_send(conn, 1, 0, buf.data, buf.len);
	kbd_buf_free(&buf);
}

int kbd_ask_status(const struct kbd_identity *self, const char *address)
{
	struct ask ask = { .address = address, .exit_code = 1 };
	uv_loop_t loop;

	uv_loop_init(&loop);
	if (!kbd_link_connect(&loop, self, address, KBD_FOR_REQUESTS, linked, &ask)) {
		fprintf(stderr, "%s is no ADDRESS:PORT\n", address);
		return 1;
	}
	uv_run(&loop, UV_RUN_DEFAULT);
	uv_loop_close(&loop);
	return ask.exit_code;
}
