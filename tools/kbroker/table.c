// SPDX-License-Identifier: GPL-2.0-only
/*
 * The table of objects, the options every command takes, and searches in
 * both. The commands of an object are beside their code (cmd_<object>.c).
 */
#include <stdlib.h>
#include <string.h>

#include "kbroker.h"

const struct kb_object kb_objects[] = {
	{ "broker", "start, stop and show brokers", kb_cmds_broker },
	{ "listener", "where the broker listens for Kafka's clients", kb_cmds_listener },
	{ "connection", "show and close connections of Kafka's clients", kb_cmds_connection },
	{ "topic", "create, delete, show and change topics", kb_cmds_topic },
	{ "partition", "show partitions and their readers, delete old records", kb_cmds_partition },
	{ "group", "show consumer groups and their lag, reset and delete their offsets", kb_cmds_group },
	{ "cluster", "how the broker stands to its cluster", kb_cmds_cluster },
	{ "peer", "the brokers of the cluster, as this one knows them", kb_cmds_peer },
	{ "replica", "who leads partitions of the cluster, and who is in sync", kb_cmds_replica },
	{ "request", "what the broker asks of its cluster's controller", kb_cmds_request },
	{ "op", "operations that the kernel is working on", kb_cmds_op },
	{ "module", "the kernel module: loaded, features, who pins it", kb_cmds_module },
	{ "produce", "write records to a topic", kb_cmds_produce },
	{ "consume", "read records from a topic", kb_cmds_consume },
	{ "monitor", "print the whole state, then every change", kb_cmds_monitor },
	{ "log", "check and show log directories, without the module", kb_cmds_log },
	{ "bench", "measure produce and consume", kb_cmds_bench },
	{ "completion", "completion for the shell", kb_cmds_completion, true },
	{ "version", "version of the command and of the loaded module", kb_cmds_version, true },
	{ "help", "help on an object or a command", kb_cmds_help, true },
	{ 0 }
};

const struct kb_opt kb_global_opts[] = {
	{ "json", 'J', NULL, "print JSON, errors too" },
	{ "netns", 0, "NAME", "act in this network namespace (ip netns), whose broker is meant" },
	{ "broker", 0, "NAME", "the broker's name (default: kbroker); its devices are in /dev/NAME" },
	{ "color", 0, "auto|always|never", "colour (default: auto, on a terminal)" },
	{ "quiet", 'q', NULL, "no progress, no remarks" },
	{ "help", 'h', NULL, "show help" },
	{ 0 }
};

const struct kb_object *kb_object_find(const char *name)
{
	const struct kb_object *obj;

	for (obj = kb_objects; obj->name; obj++)
		if (!strcmp(obj->name, name))
			return obj;
	return NULL;
}

/**
 * kb_cmd_find() - a command of an object
 * @obj: object
 * @name: second word, NULL for an object that is a command by itself
 */
const struct kb_cmd *kb_cmd_find(const struct kb_object *obj, const char *name)
{
	const struct kb_cmd *cmd;

	for (cmd = obj->cmds; cmd->run; cmd++)
		if (name ? cmd->name && !strcmp(cmd->name, name) : !cmd->name)
			return cmd;
	return NULL;
}

/**
 * kb_args_count() - how many words a command takes
 * @args: as in struct kb_cmd, may be NULL
 * @min: result
 * @max: result, -1 for any number
 */
void kb_args_count(const char *args, int *min, int *max)
{
	*min = 0;
	*max = 0;
	while (args && *args) {
		size_t n = strcspn(args, " ");

		if (*args != '[')
			(*min)++;
		if (memmem(args, n, "...", 3))
			*max = -1;
		else if (*max >= 0)
			(*max)++;
		args += n + strspn(args + n, " ");
	}
}

static size_t distance(const char *a, const char *b)
{
	size_t la = strlen(a), lb = strlen(b), i, j;
	size_t row[64];

	if (lb >= ARRAY_SIZE(row))
		return lb;
	for (j = 0; j <= lb; j++)
		row[j] = j;
	for (i = 1; i <= la; i++) {
		size_t diag = row[0];

		row[0] = i;
		for (j = 1; j <= lb; j++) {
			size_t best = diag + (a[i - 1] != b[j - 1]);

			diag = row[j];
			if (row[j] + 1 < best)
				best = row[j] + 1;
			if (row[j - 1] + 1 < best)
				best = row[j - 1] + 1;
			row[j] = best;
		}
	}
	return row[lb];
}

/**
 * kb_guess() - the word that was probably meant
 * @word: what was typed
 * @words: what exists
 * @n: how many
 *
 * Return: one of @words, or NULL if none is near.
 */
const char *kb_guess(const char *word, const char *const *words, size_t n)
{
	size_t best = strlen(word) / 3 + 1, i;
	const char *found = NULL;

	for (i = 0; i < n; i++) {
		size_t d = distance(word, words[i]);

		if (d <= best && (d < best || !found)) {
			best = d;
			found = words[i];
		}
	}
	return found;
}
