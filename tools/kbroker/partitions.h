/* SPDX-License-Identifier: GPL-2.0-only */
/* Partitions as "topic describe" and the partition commands show them. */
#ifndef KBROKER_TOOL_PARTITIONS_H
#define KBROKER_TOOL_PARTITIONS_H

#include "json.h"
#include "nl.h"

/* @topic: NULL for those of all topics */
int kb_partitions_print(struct kb_nl *nl, const char *topic);
/* member "partitions_list" of the object that is open in @js */
int kb_partitions_json(struct kb_nl *nl, struct kb_json *js, const char *topic);

#endif /* KBROKER_TOOL_PARTITIONS_H */
