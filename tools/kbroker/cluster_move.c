// SPDX-License-Identifier: GPL-2.0-only
/* "kbroker cluster reassign" and "elect": which brokers have a partition, and who leads it. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon.h"
#include "objects.h"

const struct kb_opt kb_cluster_reassign_opts[] = {
	{ "replicas", 'r', "LIST", "the brokers that are to have it, the preferred leader first (needed)" },
	KB_OPT_DAEMON_DIR,
	{ 0 }
};

const struct kb_opt kb_cluster_elect_opts[] = {
	{ "unclean", 0, NULL, "elect a replica that may lack records, if no other is left: they are lost then" },
	KB_OPT_DAEMON_DIR,
	{ 0 }
};

/* TOPIC/PARTITION */
static int read_partition(const char *text, char topic[KBROKER_TOPIC_NAME_MAX + 1], int64_t *number)
{
	const char *slash = strchr(text, '/');

	if (!slash || slash == text || (size_t)(slash - text) > KBROKER_TOPIC_NAME_MAX)
		return kb_usage("'%s' is no TOPIC/PARTITION", text);
	memcpy(topic, text, (size_t)(slash - text));
	topic[slash - text] = '\0';
	return kb_arg_s64("partition", slash + 1, 0, KBROKER_PARTITION_MAX, number);
}

static int put_partition(struct kbd_buf *buf, const char *text, const struct kbd_set *replicas)
{
	char topic[KBROKER_TOPIC_NAME_MAX + 1];
	int64_t number;
	size_t nest;
	int ret = read_partition(text, topic, &number);

	if (ret != KB_OK)
		return ret;
	nest = kbd_nest(buf, KBD_A_REPLICA);
	kbd_put_text(buf, KBROKER_A_REPLICA_TOPIC, topic);
	kbd_put_u32(buf, KBROKER_A_REPLICA_PARTITION, (uint32_t)number);
	if (replicas)
		kbd_put_set(buf, KBROKER_A_REPLICA_REPLICAS, replicas);
	kbd_nest_end(buf, nest);
	return KB_OK;
}

static int read_replicas(struct kbd_set *set)
{
	const char *text = kb_opt_get("replicas");
	char *copy, *save, *word;
	int64_t id;
	int ret = KB_OK;

	set->count = 0;
	if (!text)
		return kb_usage("--replicas is missing: which brokers are to have the partition?");
	copy = kb_strdup(text);
	for (word = strtok_r(copy, ",", &save); word && ret == KB_OK; word = strtok_r(NULL, ",", &save)) {
		ret = kb_arg_s64("--replicas", word, 0, KBROKER_ID_MAX, &id);
		if (ret == KB_OK && !kbd_set_add(set, (s32)id))
			ret = kb_usage("--replicas: each broker once, and %d at most", KBD_REPLICAS_MAX);
	}
	free(copy);
	if (ret == KB_OK && !set->count)
		ret = kb_usage("--replicas is empty");
	return ret;
}

static int ask(struct kbd_buf *buf, const char *what)
{
	struct kb_answer answer;
	int ret = kb_daemon_ask(buf, &answer, what);

	if (ret == KB_OK)
		kb_answer_free(&answer);
	return ret;
}

int kb_cluster_reassign(int argc, char **argv)
{
	struct kbd_buf buf = { 0 };
	struct kbd_set replicas;
	int ret = read_replicas(&replicas), i;

	/* One by one: those before one that is refused go on. */
	for (i = 0; ret == KB_OK && i < argc; i++) {
		kbd_begin(&buf, KBD_REASSIGN);
		ret = put_partition(&buf, argv[i], &replicas);
		if (ret == KB_OK)
			ret = ask(&buf, argv[i]);
		kbd_buf_free(&buf);
	}
	return ret;
}

int kb_cluster_elect(int argc, char **argv)
{
	struct kbd_buf buf = { 0 };
	int ret = KB_OK, i;

	kbd_begin(&buf, KBD_ELECT);
	if (kb_opt_has("unclean"))
		kbd_put_u8(&buf, KBD_A_UNCLEAN, 1);
	for (i = 0; ret == KB_OK && i < argc; i++)
		ret = put_partition(&buf, argv[i], NULL);
	if (ret == KB_OK)
		ret = ask(&buf, "no leader was elected");
	kbd_buf_free(&buf);
	return ret;
}
