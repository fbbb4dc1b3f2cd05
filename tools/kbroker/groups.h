/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Consumer groups as the kernel tells of them: what "group describe" and "group
 * top" show, put together out of groups, members and offsets.
 */
#ifndef KBROKER_TOOL_GROUPS_H
#define KBROKER_TOOL_GROUPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kbroker.h"
#include "nl.h"

/* How many offsets are set or deleted by one request: names of any length fit in its message */
#define KB_GROUP_OFFSETS_STEP	200

/**
 * struct kb_group_part - a partition that a member has
 * @topic: its topic
 * @partition: its number
 */
struct kb_group_part {
	char *topic;
	int32_t partition;
};

/**
 * struct kb_group_member - a client, or an open device
 * @id: its id
 * @instance: group.instance.id, NULL none
 * @client: what the client calls itself, or the process's name
 * @host: address of the client, NULL a device
 * @pid: process of a device, 0 a client
 * @node: node.id of the broker of a cluster whose device it is, -1 none
 * @assignment: a client's, as it came
 * @assignment_len: its bytes
 * @parts: its partitions
 * @count: how many
 */
struct kb_group_member {
	char *id;
	char *instance;
	char *client;
	char *host;
	uint32_t pid;
	int32_t node;
	uint8_t *assignment;
	size_t assignment_len;
	struct kb_group_part *parts;
	size_t count;
};

/**
 * struct kb_group_offset - how far a group is in one partition
 * @topic: its topic
 * @partition: its number
 * @committed: committed offset, -1 none
 * @commit_ms: when it was
 * @position: how far its members are, -1 not known
 * @start: log start, -1 the partition is gone
 * @end: high watermark
 * @lag: records, -1 not known
 * @lag_bytes: bytes, -1 not known
 * @lag_ms: age of the next record, -1 not known
 * @owner: index of the member that has it, -1 nobody
 */
struct kb_group_offset {
	char *topic;
	int32_t partition;
	int64_t committed;
	int64_t commit_ms;
	int64_t position;
	int64_t start;
	int64_t end;
	int64_t lag;
	int64_t lag_bytes;
	int64_t lag_ms;
	long owner;
};

/**
 * struct kb_group - one group
 * @name: its name
 * @kind: word for what members it has
 * @state: word for what it does
 * @protocol: how clients share out, "" none
 * @generation: how often that changed
 * @coordinator: node.id of the broker of a cluster that coordinates it, -1 standalone
 * @members_count: members
 * @offsets_told: partitions with a committed offset
 * @state_ms: when it reached @state
 * @bytes: memory
 * @members: filled if asked for
 * @shown: entries of @members
 * @offsets: filled if asked for
 * @count: entries of @offsets
 */
struct kb_group {
	char *name;
	const char *kind;
	const char *state;
	char *protocol;
	int32_t generation;
	int32_t coordinator;
	uint32_t members_count;
	uint32_t offsets_told;
	int64_t state_ms;
	uint64_t bytes;
	struct kb_group_member *members;
	size_t shown;
	struct kb_group_offset *offsets;
	size_t count;
};

/**
 * struct kb_groups - groups in the order of their names
 * @list: they
 * @count: how many
 * @hidden: members are not told to this user
 */
struct kb_groups {
	struct kb_group *list;
	size_t count;
	bool hidden;
};

/**
 * struct kb_group_lag - how far a group is behind in all its partitions
 * @consumed: sum of the positions
 * @records: sum
 * @bytes: sum
 * @ms: the oldest record
 */
struct kb_group_lag {
	int64_t consumed;
	int64_t records;
	int64_t bytes;
	int64_t ms;
};

struct nl_msg *kb_group_request(struct kb_nl *nl, uint8_t cmd, int flags, const char *name);
int kb_groups_load(struct kb_nl *nl, const char *name, bool whole, struct kb_groups *groups);
void kb_groups_free(struct kb_groups *groups);
void kb_group_sum(const struct kb_group *group, struct kb_group_lag *lag);
const char *kb_group_hint(int err);
int kb_group_put_offset(struct nl_msg *msg, const char *topic, int32_t partition, const int64_t *offset);
int kb_group_change(struct kb_nl *nl, struct nl_msg *msg, const char *what);

/* group_reset.c, group_top.c */
extern const struct kb_opt kb_group_reset_opts[];
extern const struct kb_opt kb_group_top_opts[];
int kb_group_reset(int argc, char **argv);
int kb_group_top(int argc, char **argv);
int kb_group_set_start(struct kb_nl *nl, const struct kb_groups *now, const char *group,
		       const char *topic, const char *start);

/**
 * struct kb_group_topic - "TOPIC" or "TOPIC:0,2,5-7" of a command line
 * @name: topic
 * @list: the partitions, NULL all
 */
struct kb_group_topic {
	char *name;
	const char *list;
};

int kb_group_topic_parse(const char *option, const char *text, struct kb_group_topic *topic);

#endif /* KBROKER_TOOL_GROUPS_H */
