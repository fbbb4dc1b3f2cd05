/* SPDX-License-Identifier: GPL-2.0-only */
/* Partitions and sets of brokers on the command line, and replicas as text. */
#ifndef KBROKER_TOOL_REPLICA_H
#define KBROKER_TOOL_REPLICA_H

#include "nl.h"

/**
 * struct kb_place - a topic, or one partition of it: "TOPIC" or "TOPIC/PARTITION"
 * @topic: its name
 * @partition: number; -1: all
 */
struct kb_place {
	char topic[KBROKER_TOPIC_NAME_MAX + 1];
	int64_t partition;
};

/**
 * struct kb_ids - brokers, in an order that means something
 * @count: how many
 * @id: their ids
 */
struct kb_ids {
	size_t count;
	int32_t id[KBROKER_REPLICAS_MAX];
};

/* "16 ids of ten digits", commas and the NUL */
#define KB_IDS_TEXT (KBROKER_REPLICAS_MAX * 11 + 1)

int kb_place_parse(const char *text, struct kb_place *place);
int kb_ids_parse(const char *what, const char *text, struct kb_ids *ids);
void kb_ids_read(const struct nlattr *attr, struct kb_ids *ids);
const char *kb_ids_text(const struct kb_ids *ids, char buf[KB_IDS_TEXT]);
const char *kb_ids_attr_text(const struct nlattr *attr, char buf[KB_IDS_TEXT]);

/* Partitions of @topic (NULL: of all topics), or the one @partition (-1: all) */
struct nl_msg *kb_replica_request(struct kb_nl *nl, const char *topic, int64_t partition);

#endif /* KBROKER_TOOL_REPLICA_H */
