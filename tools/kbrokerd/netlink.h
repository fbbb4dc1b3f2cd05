/* SPDX-License-Identifier: GPL-2.0-only */
/* Requests to the kernel's netlink family "kbroker", and its events. */
#ifndef _KBROKERD_NETLINK_H
#define _KBROKERD_NETLINK_H

#include "encode.h"

struct nl_sock;

/* Bytes of a sentence of the kernel, the NUL included */
#define KBD_NL_WHY	256
#define KBD_NL_ATTRS	64

/**
 * struct kbd_nl - a connection to the family
 * @sock: libnl's, NULL: closed
 * @family: its number
 */
struct kbd_nl {
	struct nl_sock *sock;
	int family;
};

/**
 * struct kbd_nl_msg - an answer or an event
 * @cmd: KBROKER_CMD_*
 * @attr: by type; of one that repeats, the last
 * @body: all attributes, for kbd_each()
 * @len: bytes of @body
 */
struct kbd_nl_msg {
	u8 cmd;
	struct kbd_attr attr[KBD_NL_ATTRS];
	const u8 *body;
	size_t len;
};

typedef void (*kbd_nl_take)(const struct kbd_nl_msg *msg, void *arg);

/** kbd_nl_open() - 0, or a negative errno; -ENOENT: the module is not there */
int kbd_nl_open(struct kbd_nl *nl);
void kbd_nl_close(struct kbd_nl *nl);
int kbd_nl_fd(const struct kbd_nl *nl);
/** kbd_nl_subscribe() - hear a group's events; the connection is for kbd_nl_receive() from now on */
int kbd_nl_subscribe(struct kbd_nl *nl, const char *group);
/** kbd_nl_receive() - take the events that are there; -ENOBUFS: some were lost */
int kbd_nl_receive(struct kbd_nl *nl, kbd_nl_take take, void *arg);

/**
 * kbd_nl_call() - send a request and take its answers
 * @dump: of all objects; one that was disturbed by a change is asked for again
 * @attrs: of the request, as encode.h writes them
 * @why: out, KBD_NL_WHY bytes: the kernel's sentence, where it refused
 *
 * The answers are taken once it is clear that there are no others. A connection that
 * breaks in the middle is closed.
 * Return: 0, or a negative errno.
 */
int kbd_nl_call(struct kbd_nl *nl, u8 cmd, bool dump, const void *attrs, size_t len,
		kbd_nl_take take, void *arg, char *why);

#endif /* _KBROKERD_NETLINK_H */
