/* SPDX-License-Identifier: GPL-2.0-only */
/* Listeners on the command line: "broker start --listener" and "listener add". */
#ifndef KBROKER_TOOL_LISTENER_H
#define KBROKER_TOOL_LISTENER_H

#include "nl.h"

#define KB_OPT_ADVERTISED { "advertised-listener", 0, "HOST:PORT", \
	"what clients are told to connect to (default: what each connected to); the nth is of the nth listener" }
#define KB_OPT_LISTENER_USER { "listener-user", 0, "USER", \
	"whom clients act as (default: the broker's owner)" }

#define KB_LISTENERS_MAX 64

/**
 * struct kb_endpoint - where to listen
 * @address: IPv4 or IPv6 address
 * @port: port
 */
struct kb_endpoint {
	char address[KBROKER_ADDRESS_MAX + 1];
	uint16_t port;
};

/**
 * struct kb_listeners - listeners asked for
 * @list: one entry for each address
 * @advertised: number of each one's --advertised-listener
 * @count: entries
 */
struct kb_listeners {
	struct kb_endpoint list[KB_LISTENERS_MAX];
	size_t advertised[KB_LISTENERS_MAX];
	size_t count;
};

int kb_listeners_add(struct kb_listeners *listeners, const char *text, size_t advertised);
int kb_listeners_check(void);
void kb_listener_put(struct nl_msg *msg, const struct kb_listeners *listeners, size_t n);
int kb_advertised_put(struct nl_msg *msg, size_t n, int host_type, int port_type);
void kb_listeners_warn(struct kb_nl *nl, const struct kb_listeners *listeners);

#endif /* KBROKER_TOOL_LISTENER_H */
