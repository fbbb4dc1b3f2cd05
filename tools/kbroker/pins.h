/* SPDX-License-Identifier: GPL-2.0-only */
/* The brokers of all network namespaces: they keep the module loaded. */
#ifndef KBROKER_TOOL_PINS_H
#define KBROKER_TOOL_PINS_H

#include <stdint.h>

#include "nl.h"

/**
 * struct kb_pin - a broker, whatever namespace it is in
 * @name: its name
 * @state: what it is doing
 * @netns: inode number of its namespace, 0 once that has ended
 * @netns_path: a file that setns(2) takes, NULL if none was found
 * @netns_name: its name (ip netns), or "-"
 * @dir: its directory
 * @device: device of the file system it pins
 * @handles: open devices
 */
struct kb_pin {
	char name[KBROKER_BROKER_NAME_MAX + 1];
	const char *state;
	uint32_t netns;
	char *netns_path;
	char *netns_name;
	char *dir;
	char *device;
	uint32_t handles;
};

/**
 * struct kb_pins - all of them
 * @list: brokers
 * @count: how many
 * @version: the module's version, as the kernel tells it
 */
struct kb_pins {
	struct kb_pin *list;
	size_t count;
	char version[64];
};

/* 0 or a negative errno; release in both cases */
int kb_pins_get(struct kb_nl *nl, struct kb_pins *pins);
void kb_pins_release(struct kb_pins *pins);

#endif /* KBROKER_TOOL_PINS_H */
