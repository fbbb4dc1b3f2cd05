/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Listeners and connections as the broker and netlink see them.
 *
 * What a listener does is the server's business (kmod/server/), a front end
 * beside netlink; neither includes the other. This file holds what both know:
 * the settings of a listener, the snapshot of a connection, and the calls that
 * the server provides when the module loads.
 *
 * Listeners belong to the running broker: they are given to each start or
 * added later, and are not kept in the directory.
 */
#ifndef _KBR_BROKER_LISTENER_H
#define _KBR_BROKER_LISTENER_H

#include <linux/socket.h>
#include <linux/types.h>
#include <linux/uidgid.h>

#include "base/limits.h"
#include "base/refusal.h"

struct kbr_broker;

/* Characters of an advertised host name */
#define KBR_HOST_MAX	255

/**
 * struct kbr_listener_params - one listener
 * @address: where it listens: AF_INET or AF_INET6, port 0: the kernel chooses
 * @advertised_host: what Metadata tells; "" the address that the client used
 * @advertised_port: likewise; 0 the port that the client used
 * @uid: whom its clients act as; invalid: the broker's owner at the time
 * @gid: likewise; invalid: the broker's group
 */
struct kbr_listener_params {
	struct sockaddr_storage address;
	char advertised_host[KBR_HOST_MAX + 1];
	u16 advertised_port;
	kuid_t uid;
	kgid_t gid;
};

/**
 * struct kbr_listener_info - a copy of a listener's state
 * @params: with the port it got
 * @connections: open connections
 * @accepted: connections since it was added
 * @refused: connections that limits closed at once
 * @malformed: connections closed for what is no request, or none that is served
 */
struct kbr_listener_info {
	struct kbr_listener_params params;
	u32 id;
	u32 connections;
	u64 accepted;
	u64 refused;
	u64 malformed;
};

/* Characters of a client id, software name and version that are kept */
#define KBR_CLIENT_NAME_MAX	63

/**
 * struct kbr_connection_info - a copy of a connection's state
 * @id: unique while the broker runs, rising, never 0
 * @listener: id of its listener
 * @peer: the client's address
 * @local: the address that it connected to
 * @client_id: of its last request
 * @software_name: of ApiVersions v3+, or ""
 * @software_version: likewise
 * @versions: last version used of each API key below 64, -1 none
 * @received_bytes: from the client
 * @sent_bytes: to the client
 * @requests: requests taken
 * @in_flight: requests not yet answered
 * @buffered_bytes: memory that its frames and replies hold
 * @age_ms: since it was accepted
 * @idle_ms: since the last byte in either direction
 */
struct kbr_connection_info {
	u64 id;
	u32 listener;
	struct sockaddr_storage peer;
	struct sockaddr_storage local;
	char client_id[KBR_CLIENT_NAME_MAX + 1];
	char software_name[KBR_CLIENT_NAME_MAX + 1];
	char software_version[KBR_CLIENT_NAME_MAX + 1];
	s8 versions[64];
	u64 received_bytes;
	u64 sent_bytes;
	u64 requests;
	u32 in_flight;
	u64 buffered_bytes;
	s64 age_ms;
	s64 idle_ms;
};

/**
 * struct kbr_server_ops - what the server provides
 * @listener_add: listen; takes a reference on @broker until the listener ends.
 *	0 and *@id, or -EADDRINUSE, -EADDRNOTAVAIL, -EACCES, ... and @why
 * @listener_del: close it and its connections; -ENOENT
 * @open: the broker runs: begin to accept what waits at its listeners
 * @abort: the namespace ends: close all sockets at once; waits for no handler
 * @stop: the broker stops (@answer: accepted requests are answered first, for
 *	at most KBR_SERVER_DRAIN_MS): when it returns no handler of it runs or
 *	will run; may sleep
 * @listener_next: the listener with the smallest id above @after; false: none
 * @connection_next: likewise
 * @connection_close: close one; -ENOENT
 */
struct kbr_server_ops {
	int (*listener_add)(struct kbr_broker *broker, const struct kbr_listener_params *params,
			    u32 *id, struct kbr_refusal *why);
	int (*listener_del)(struct kbr_broker *broker, u32 id, struct kbr_refusal *why);
	void (*open)(struct kbr_broker *broker);
	void (*abort)(struct kbr_broker *broker);
	void (*stop)(struct kbr_broker *broker, bool answer);
	bool (*listener_next)(struct kbr_broker *broker, u32 after, struct kbr_listener_info *info);
	bool (*connection_next)(struct kbr_broker *broker, u64 after,
				struct kbr_connection_info *info);
	int (*connection_close)(struct kbr_broker *broker, u64 id, struct kbr_refusal *why);
};

/** kbr_server_register() - at module load, before any broker can start; NULL at unload */
void kbr_server_register(const struct kbr_server_ops *ops);
/** kbr_server() - what was registered; never NULL once the module has loaded */
const struct kbr_server_ops *kbr_server(void);

/* Between the files of this layer: the listeners that a start was given. */
/** kbr_broker_keep_listeners() - copy them for the start's operation; -E2BIG, -ENOMEM */
int kbr_broker_keep_listeners(struct kbr_broker *broker, const struct kbr_listener_params *params,
			      unsigned int count, struct kbr_refusal *why);
/** kbr_broker_add_listeners() - last step of a start; nothing is accepted before kbr_server_ops.open */
int kbr_broker_add_listeners(struct kbr_broker *broker, struct kbr_refusal *why);

#endif /* _KBR_BROKER_LISTENER_H */
