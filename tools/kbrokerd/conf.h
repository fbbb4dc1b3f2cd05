/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a daemon is told by the files of its directory:
 *
 *	daemon.conf	lines key=value; "#" begins a comment
 *	secret		64 hexadecimal digits: 32 bytes; nobody else may read it
 *
 * "kbroker cluster init" and "kbroker cluster join" write them.
 */
#ifndef _KBROKERD_CONF_H
#define _KBROKERD_CONF_H

#include "link.h"
#include "session.h"

#define KBD_SECRET_SIZE	32
#define KBD_PORT	9094

/**
 * struct kbd_conf - daemon.conf and secret
 * @dir: the directory
 * @self: cluster.id, node.id and advertised; its key is made of the secret
 * @secret: what the kernel's brokers prove to one another
 * @broker: name of the broker, "" for a witness, which has none
 * @listen: where daemons are listened for, "ADDRESS:PORT"
 * @join: a daemon of the cluster to come to, "" none
 * @bootstrap: the cluster begins here
 * @endpoint: broker.address, broker.port, broker.host, broker.host.port, rack
 * @session_ms: session.timeout.ms, 0 the default
 * @election_ms: election.timeout.ms, likewise
 */
struct kbd_conf {
	char dir[200];
	struct kbd_identity self;
	u8 secret[KBD_SECRET_SIZE];
	char broker[KBROKER_BROKER_NAME_MAX + 1];
	char listen[KBD_DAEMON_ADDRESS_MAX + 1];
	char join[KBD_DAEMON_ADDRESS_MAX + 1];
	bool bootstrap;
	struct kbd_endpoint endpoint;
	unsigned int session_ms;
	unsigned int election_ms;
};

#define KBD_WHY_CONF	512

/** kbd_conf_read() - 0, or a negative errno and a sentence in @why, KBD_WHY_CONF bytes */
int kbd_conf_read(struct kbd_conf *conf, const char *dir, char *why);

/** kbd_secret_read() - likewise, of a secret's file */
int kbd_secret_read(const char *path, u8 secret[KBD_SECRET_SIZE], char *why);

#endif /* _KBROKERD_CONF_H */
