// SPDX-License-Identifier: GPL-2.0-only
/*
 * Completion: the shell's script hands the words typed so far to "completion
 * words", which answers from the command table and, for topics and
 * partitions, from the device directory, for groups from the kernel. So it
 * can't disagree with the table.
 */
#include <dirent.h>
#include <string.h>

#include "completion_script.h"
#include "kbroker.h"
#include "nl.h"

static bool starts(const char *word, const char *prefix)
{
	return !strncmp(word, prefix, strlen(prefix));
}

static void offer(const char *word, const char *prefix)
{
	if (starts(word, prefix))
		puts(word);
}

static void offer_choices(const char *list, const char *prefix)
{
	char word[64];

	while (*list) {
		size_t n = strcspn(list, "|");

		snprintf(word, sizeof(word), "%.*s", (int)n, list);
		offer(word, prefix);
		list += n + (list[n] == '|');
	}
}

static void offer_opts(const struct kb_opt *opts, const char *prefix)
{
	char word[64];

	for (; opts && opts->name; opts++) {
		snprintf(word, sizeof(word), "--%s", opts->name);
		offer(word, prefix);
	}
}

static void offer_dir(const char *path, const char *prefix)
{
	struct dirent *ent;
	DIR *dir = opendir(path);

	if (!dir)
		return;
	while ((ent = readdir(dir)))
		if (ent->d_name[0] != '.' && strcmp(ent->d_name, "all"))
			offer(ent->d_name, prefix);
	closedir(dir);
}

static int offer_group(const struct kb_nl_msg *msg, void *arg)
{
	offer(kb_attr_text(msg->attrs[KBROKER_A_GROUP_NAME]), arg);
	return 0;
}

static void offer_groups(const char *prefix)
{
	struct kb_nl nl;

	if (kb_nl_try_open(&nl))
		return;
	kb_nl_call(&nl, kb_nl_request(&nl, KBROKER_CMD_GROUP_GET, NLM_F_DUMP), offer_group,
		   (void *)(uintptr_t)prefix);
	kb_nl_close(&nl);
}

/* @kind: an argument as the table calls it; @topic: what was typed for TOPIC */
static void offer_argument(const char *kind, const char *topic, const char *broker,
			   const char *prefix)
{
	char path[512];

	if (starts(kind, "TOPIC")) {
		snprintf(path, sizeof(path), "/dev/%s", broker);
		offer_dir(path, prefix);
	} else if (starts(kind, "PARTITION") && topic) {
		snprintf(path, sizeof(path), "/dev/%s/%s", broker, topic);
		offer_dir(path, prefix);
	} else if (starts(kind, "CONSUMER-GROUP")) {
		offer_groups(prefix);
	} else if (starts(kind, "FILE") || starts(kind, "DIR")) {
		puts(starts(kind, "DIR") ? ":dir" : ":file");
	} else if (starts(kind, "OBJECT")) {
		const struct kb_object *obj;

		for (obj = kb_objects; obj->name; obj++)
			offer(obj->name, prefix);
	} else if (strchr(kind, '|') || (kind[0] >= 'a' && kind[0] <= 'z')) {
		offer_choices(kind, prefix);
	}
}

static const struct kb_opt *find_opt(const struct kb_opt *opts, const char *word)
{
	for (; opts && opts->name; opts++)
		if ((starts(word, "--") && !strcmp(word + 2, opts->name)) ||
		    (opts->letter && word[1] == opts->letter && !word[2]))
			return opts;
	return NULL;
}

static void offer_positional(const struct kb_cmd *cmd, int index, const char *topic,
			     const char *broker, const char *prefix)
{
	const char *args = cmd->args ? cmd->args : "";
	char kind[64];

	while (*args) {
		size_t n = strcspn(args, " ");
		bool repeats = memmem(args, n, "...", 3);

		if (!index || repeats) {
			if (*args == '[') {
				args++;
				n--;
			}
			n = strcspn(args, " ].");
			snprintf(kind, sizeof(kind), "%.*s", (int)n, args);
			/* as a word it is a consumer group, as an option's value a group of users */
			if (!strcmp(kind, "GROUP"))
				offer_groups(prefix);
			else
				offer_argument(kind, topic, broker, prefix);
			return;
		}
		index--;
		args += n + strspn(args + n, " ");
	}
}

static int cmd_words(int argc, char **argv)
{
	const char *broker = KB_BROKER_DEFAULT, *topic = NULL, *cur = argc ? argv[argc - 1] : "";
	const struct kb_object *obj = NULL;
	const struct kb_cmd *cmd = NULL;
	const struct kb_opt *opt = NULL;
	int i, words = 0;

	for (i = 0; i < argc - 1; i++) {
		const char *word = argv[i];

		if (opt) {
			if (!strcmp(opt->name, "broker"))
				broker = word;
			opt = NULL;
		} else if (word[0] == '-' && word[1]) {
			opt = cmd ? find_opt(cmd->opts, word) : NULL;
			if (!opt)
				opt = find_opt(kb_global_opts, word);
			if (opt && !opt->arg)
				opt = NULL;
		} else if (!obj) {
			obj = kb_object_find(word);
			if (!obj)
				return KB_OK;
			cmd = kb_cmd_find(obj, NULL);
		} else if (!cmd) {
			cmd = kb_cmd_find(obj, word);
			if (!cmd)
				return KB_OK;
		} else {
			if (!words)
				topic = word;
			words++;
		}
	}
	if (opt) {
		offer_argument(opt->arg, topic, broker, cur);
	} else if (cur[0] == '-') {
		if (cmd)
			offer_opts(cmd->opts, cur);
		offer_opts(kb_global_opts, cur);
	} else if (!obj) {
		for (obj = kb_objects; obj->name; obj++)
			offer(obj->name, cur);
	} else if (!cmd) {
		for (cmd = obj->cmds; cmd->run; cmd++)
			offer(cmd->name, cur);
	} else {
		offer_positional(cmd, words, topic, broker, cur);
	}
	return kb_out_check();
}

static int cmd_bash(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	fputs(kb_completion_script, stdout);
	return kb_out_check();
}

const struct kb_cmd kb_cmds_completion[] = {
	{ "bash", NULL, "print the completion script for bash", NULL, cmd_bash },
	{ "words", "[WORD...]", "what may follow the words after --; the script asks this", NULL,
	  cmd_words },
	{ 0 }
};
