// SPDX-License-Identifier: GPL-2.0-only
/* "kbroker partition": show partitions and who reads them, delete old records. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "device.h"
#include "kbroker.h"
#include "objects.h"
#include "partitions.h"

static const struct kb_opt delete_opts[] = {
	{ "offset", 'o', "N|end", "the new log start; end: the high watermark", true },
	{ "before-time", 0, "TIME", "the new log start: the first record of that time or later" },
	KB_OPT_NO_WAIT,
	{ 0 }
};

static const char *const partition_heads[] = { "TOPIC", ">PARTITION", "STATE", ">LEADER", ">EPOCH", ">START",
	">HIGH-WATERMARK", ">END", ">SYNCED", ">SEGMENTS", ">BYTES", ">READERS", ">WRITERS", "REPLICAS", "ISR" };

/* "1,2,3": an attribute that repeats; "-": it is not there */
static char *ids_text(const struct kb_nl_msg *msg, int type)
{
	char *text = NULL, *longer;
	struct nlattr *attr;
	int rem;

	nla_for_each_attr(attr, msg->head, msg->len, rem) {
		if (nla_type(attr) != type)
			continue;
		longer = kb_asprintf("%s%s%" PRId32, text ? text : "", text ? "," : "", kb_attr_s32(attr));
		free(text);
		text = longer;
	}
	return text ? text : kb_strdup("-");
}

static void partition_row(struct kb_table *tab, const struct kb_nl_msg *msg)
{
	char size[16];
	uint64_t bytes = kb_attr_u64(msg->attrs[KBROKER_A_PARTITION_BYTES]);
	char *replicas = ids_text(msg, KBROKER_A_PARTITION_REPLICA);
	char *isr = ids_text(msg, KBROKER_A_PARTITION_ISR);

	kb_table_cell(tab, "%s", kb_attr_text(msg->attrs[KBROKER_A_PARTITION_TOPIC]));
	kb_table_cell(tab, "%" PRIu32, kb_attr_u32(msg->attrs[KBROKER_A_PARTITION_INDEX]));
	kb_table_cell(tab, "%s", kb_attr_word(kb_partition_attrs, msg, KBROKER_A_PARTITION_STATE));
	kb_table_cell(tab, "%" PRId32, kb_attr_s32(msg->attrs[KBROKER_A_PARTITION_LEADER]));
	kb_table_cell(tab, "%" PRId32, kb_attr_s32(msg->attrs[KBROKER_A_PARTITION_LEADER_EPOCH]));
	kb_table_cell(tab, "%" PRId64, kb_attr_s64(msg->attrs[KBROKER_A_PARTITION_LOG_START]));
	kb_table_cell(tab, "%" PRId64, kb_attr_s64(msg->attrs[KBROKER_A_PARTITION_HIGH_WATERMARK]));
	kb_table_cell(tab, "%" PRId64, kb_attr_s64(msg->attrs[KBROKER_A_PARTITION_LOG_END]));
	kb_table_cell(tab, "%" PRId64, kb_attr_s64(msg->attrs[KBROKER_A_PARTITION_SYNCED_END]));
	kb_table_cell(tab, "%" PRIu32, kb_attr_u32(msg->attrs[KBROKER_A_PARTITION_SEGMENTS]));
	if (kb.out_tty)
		kb_table_cell(tab, "%s", kb_human_bytes(bytes, size));
	else
		kb_table_cell(tab, "%" PRIu64, bytes);
	kb_table_cell(tab, "%" PRIu32, kb_attr_u32(msg->attrs[KBROKER_A_PARTITION_READERS]));
	kb_table_cell(tab, "%" PRIu32, kb_attr_u32(msg->attrs[KBROKER_A_PARTITION_WRITERS]));
	kb_table_cell(tab, "%s", replicas);
	kb_table_cell(tab, "%s", isr);
	free(replicas);
	free(isr);
}

static const struct kb_list partitions = {
	partition_heads, ARRAY_SIZE(partition_heads), partition_row, NULL, kb_partition_attrs,
	.of_broker = true
};

/* partitions of @topic (NULL: of all), or the one @index (-1: all) */
static struct nl_msg *get_request(struct kb_nl *nl, const char *topic, int64_t index)
{
	struct nl_msg *msg = kb_nl_request(nl, KBROKER_CMD_PARTITION_GET, index < 0 ? NLM_F_DUMP : 0);

	if (kb.broker)
		kb_put_text(msg, KBROKER_A_PARTITION_BROKER, kb.broker);
	if (topic)
		kb_put_text(msg, KBROKER_A_PARTITION_TOPIC, topic);
	if (index >= 0)
		kb_put_u32(msg, KBROKER_A_PARTITION_INDEX, (uint32_t)index);
	return msg;
}

static int not_shown(struct kb_nl *nl, int ret, const char *topic)
{
	if (!topic)
		return kb_nl_refused(nl, ret, NULL, "no partitions");
	return kb_nl_refused(nl, ret, ret == -ENOENT ? "'kbroker partition list' shows those there are" : NULL,
			     "no partitions of topic %s", topic);
}

int kb_partitions_print(struct kb_nl *nl, const char *topic)
{
	int ret = kb_list_table(nl, get_request(nl, topic, -1), &partitions);

	return ret ? not_shown(nl, ret, topic) : KB_OK;
}

int kb_partitions_json(struct kb_nl *nl, struct kb_json *js, const char *topic)
{
	int ret = kb_list_member(nl, get_request(nl, topic, -1), &partitions, js, "partitions_list");

	return ret ? not_shown(nl, ret, topic) : KB_OK;
}

static int check_topic(const char *topic)
{
	const char *problem = topic ? kb_topic_name_problem(topic) : NULL;

	return problem ? kb_usage("'%s' can't be a topic: %s", topic, problem) : KB_OK;
}

static int cmd_list(int argc, char **argv)
{
	const char *topic = argc ? argv[0] : NULL;
	struct kb_nl nl;
	int ret;

	ret = check_topic(topic);
	if (ret != KB_OK)
		return ret;
	if (kb_nl_open(&nl))
		return KB_REFUSED;
	ret = kb_list_print(&nl, get_request(&nl, topic, -1), &partitions);
	if (ret)
		ret = not_shown(&nl, ret, topic);
	kb_nl_close(&nl);
	return ret == KB_OK ? kb_out_check() : ret;
}

static int partition_text(const struct kb_nl_msg *msg, void *arg)
{
	const struct nlattr *error = msg->attrs[KBROKER_A_PARTITION_ERROR];
	const struct nlattr *damage = msg->attrs[KBROKER_A_PARTITION_DAMAGED_OFFSET];
	char *replicas = ids_text(msg, KBROKER_A_PARTITION_REPLICA);
	char *isr = ids_text(msg, KBROKER_A_PARTITION_ISR);
	char size[16];

	(void)arg;
	kb_section("%s partition %" PRIu32, kb_attr_text(msg->attrs[KBROKER_A_PARTITION_TOPIC]),
		   kb_attr_u32(msg->attrs[KBROKER_A_PARTITION_INDEX]));
	kb_field("state", "%s%s%s", kb_attr_word(kb_partition_attrs, msg, KBROKER_A_PARTITION_STATE),
		 error ? ", " : "", error ? strerror((int)kb_attr_u32(error)) : "");
	if (damage)
		kb_field("damaged", "from offset %" PRId64 " on: 'kbroker log check' says more",
			 kb_attr_s64(damage));
	kb_field("leader", "%" PRId32 ", epoch %" PRId32, kb_attr_s32(msg->attrs[KBROKER_A_PARTITION_LEADER]),
		 kb_attr_s32(msg->attrs[KBROKER_A_PARTITION_LEADER_EPOCH]));
	kb_field("replicas", "%s, in sync: %s", replicas, isr);
	kb_field("log start", "%" PRId64, kb_attr_s64(msg->attrs[KBROKER_A_PARTITION_LOG_START]));
	kb_field("high watermark", "%" PRId64, kb_attr_s64(msg->attrs[KBROKER_A_PARTITION_HIGH_WATERMARK]));
	kb_field("log end", "%" PRId64, kb_attr_s64(msg->attrs[KBROKER_A_PARTITION_LOG_END]));
	kb_field("synced end", "%" PRId64, kb_attr_s64(msg->attrs[KBROKER_A_PARTITION_SYNCED_END]));
	kb_field("segments", "%" PRIu32 ", %s", kb_attr_u32(msg->attrs[KBROKER_A_PARTITION_SEGMENTS]),
		 kb_human_bytes(kb_attr_u64(msg->attrs[KBROKER_A_PARTITION_BYTES]), size));
	kb_field("unsynced", "%s",
		 kb_human_bytes(kb_attr_u64(msg->attrs[KBROKER_A_PARTITION_UNSYNCED_BYTES]), size));
	kb_field("readers", "%" PRIu32, kb_attr_u32(msg->attrs[KBROKER_A_PARTITION_READERS]));
	kb_field("writers", "%" PRIu32, kb_attr_u32(msg->attrs[KBROKER_A_PARTITION_WRITERS]));
	free(replicas);
	free(isr);
	return 0;
}

static void u64_cell(struct kb_table *tab, const struct nlattr *attr)
{
	if (attr)
		kb_table_cell(tab, "%" PRIu64, kb_attr_u64(attr));
	else
		kb_table_cell(tab, "-");
}

static void handle_row(struct kb_table *tab, const struct kb_nl_msg *msg)
{
	uint8_t dir = kb_attr_u8(msg->attrs[KBROKER_A_HANDLE_DIRECTION]);
	const struct nlattr *lag_ms = msg->attrs[KBROKER_A_HANDLE_LAG_MS];
	char span[24];

	kb_table_cell(tab, "%" PRIu32, kb_attr_u32(msg->attrs[KBROKER_A_HANDLE_PARTITION]));
	kb_table_cell(tab, "%" PRIu32, kb_attr_u32(msg->attrs[KBROKER_A_HANDLE_PID]));
	kb_table_cell(tab, "%s", kb_attr_text(msg->attrs[KBROKER_A_HANDLE_COMM]));
	kb_table_cell(tab, "%s%s%s", dir & KBROKER_DIRECTION_READ ? "read" : "", dir == 3 ? "+" : "",
		      dir & KBROKER_DIRECTION_WRITE ? "write" : "");
	kb_table_cell(tab, "%s%s", kb_attr_word(kb_handle_attrs, msg, KBROKER_A_HANDLE_FORMAT),
		      msg->attrs[KBROKER_A_HANDLE_ALL] ? " (all)" : "");
	if (dir & KBROKER_DIRECTION_READ)
		kb_table_cell(tab, "%" PRId64, kb_attr_s64(msg->attrs[KBROKER_A_HANDLE_POSITION]));
	else
		kb_table_cell(tab, "-");
	u64_cell(tab, msg->attrs[KBROKER_A_HANDLE_LAG_RECORDS]);
	u64_cell(tab, msg->attrs[KBROKER_A_HANDLE_LAG_BYTES]);
	if (!kb.out_tty)
		u64_cell(tab, lag_ms);
	else
		kb_table_cell(tab, "%s", lag_ms ? kb_human_span(kb_attr_s64(lag_ms), span) : "-");
	u64_cell(tab, msg->attrs[KBROKER_A_HANDLE_LOST]);
}

/* @js: inside the object that describes the partitions, with --json */
static int show_handles(struct kb_nl *nl, const char *topic, int64_t index, struct kb_json *js)
{
	static const char *const heads[] = { ">PARTITION", ">PID", "COMMAND", "OPENED-FOR", "FORMAT",
		">POSITION", ">LAG-RECORDS", ">LAG-BYTES", ">LAG-TIME", ">LOST" };
	static const struct kb_list handles = {
		heads, ARRAY_SIZE(heads), handle_row, NULL, kb_handle_attrs, .hide_empty = true
	};
	struct nl_msg *msg = kb_nl_request(nl, KBROKER_CMD_HANDLE_GET, NLM_F_DUMP);
	int ret;

	kb_put_text(msg, KBROKER_A_HANDLE_TOPIC, topic);
	if (index >= 0)
		kb_put_u32(msg, KBROKER_A_HANDLE_PARTITION, (uint32_t)index);
	ret = kb.json ? kb_list_member(nl, msg, &handles, js, "open") :
			kb_list_table(nl, msg, &handles);
	/* who has what open is root's to know; the rest was shown */
	if (ret == -EPERM) {
		kb_note("only root is told who has it open");
		return KB_OK;
	}
	return ret ? kb_nl_refused(nl, ret, NULL, "who has it open can't be shown") : KB_OK;
}

/**
 * struct described - the document of "partition describe"
 * @js: it
 * @begun: a partition was written: where the kernel refuses, there is no document
 */
struct described {
	struct kb_json js;
	bool begun;
};

static int describe_json(const struct kb_nl_msg *msg, void *arg)
{
	struct described *doc = arg;

	if (!doc->begun) {
		kb_json_object(&doc->js, NULL);
		kb_json_array(&doc->js, "partitions");
	}
	doc->begun = true;
	kb_json_object(&doc->js, NULL);
	kb_attrs_json(&doc->js, kb_partition_attrs, msg);
	kb_json_object_end(&doc->js);
	return 0;
}

static int parse_index(int argc, char **argv, int64_t *index)
{
	*index = -1;
	return argc > 1 ? kb_arg_s64("PARTITION", argv[1], 0, KBROKER_PARTITION_MAX, index) : KB_OK;
}

static int cmd_describe(int argc, char **argv)
{
	struct described doc = { 0 };
	struct kb_nl nl;
	int64_t index;
	int ret;

	ret = check_topic(argv[0]);
	if (ret == KB_OK)
		ret = parse_index(argc, argv, &index);
	if (ret != KB_OK)
		return ret;
	if (kb_nl_open(&nl))
		return KB_REFUSED;
	kb_json_init(&doc.js, stdout, true);
	ret = kb_nl_call(&nl, get_request(&nl, argv[0], index), kb.json ? describe_json : partition_text, &doc);
	if (ret) {
		ret = not_shown(&nl, ret, argv[0]);
		goto out;
	}
	if (kb.json)
		kb_json_array_end(&doc.js);
	ret = show_handles(&nl, argv[0], index, &doc.js);
	if (kb.json) {
		kb_json_object_end(&doc.js);
		kb_json_finish(&doc.js);
	}
out:
	kb_nl_close(&nl);
	return ret == KB_OK ? kb_out_check() : ret;
}

struct indexes {
	uint32_t *list;
	size_t count;
};

static int take_index(const struct kb_nl_msg *msg, void *arg)
{
	struct indexes *ix = arg;

	ix->list = kb_realloc(ix->list, (ix->count + 1) * sizeof(*ix->list));
	ix->list[ix->count++] = kb_attr_u32(msg->attrs[KBROKER_A_PARTITION_INDEX]);
	return 0;
}

static int delete_records(struct kb_nl *nl, const char *topic, uint32_t index, int64_t offset)
{
	struct nl_msg *msg = kb_nl_request(nl, KBROKER_CMD_PARTITION_SET, 0);
	uint32_t op = 0;
	char *what;
	int ret;

	what = kb_asprintf("no records of %s partition %" PRIu32 " were deleted", topic, index);
	if (kb.broker)
		kb_put_text(msg, KBROKER_A_PARTITION_BROKER, kb.broker);
	kb_put_text(msg, KBROKER_A_PARTITION_TOPIC, topic);
	kb_put_u32(msg, KBROKER_A_PARTITION_INDEX, index);
	kb_put_u64(msg, KBROKER_A_PARTITION_LOG_START, (uint64_t)offset);
	ret = kb_nl_call(nl, msg, kb_op_take_id, &op);
	if (ret)
		ret = kb_nl_refused(nl, ret, ret == -ERANGE ? "'kbroker partition list' shows where it ends" : NULL,
				    "%s", what);
	else
		ret = kb_op_finish(nl, op, what);
	free(what);
	return ret;
}

static int delete_from(struct kb_nl *nl, const char *topic, const struct indexes *ix, int64_t offset,
		       const int64_t *time)
{
	struct kb_topic_dev dev = { 0 };
	int ret = KB_OK, one;
	size_t i;

	if (time)
		ret = kb_topic_dev_find(topic, &dev);
	for (i = 0; i < ix->count && ret != KB_USAGE && !(time && !dev.dir); i++) {
		one = time ? kb_offset_of_time(&dev, (int32_t)ix->list[i], *time, &offset) : KB_OK;
		if (one == KB_OK)
			one = delete_records(nl, topic, ix->list[i], offset);
		if (one != KB_OK)
			ret = one;
	}
	kb_topic_dev_release(&dev);
	return ret;
}

static int cmd_delete_records(int argc, char **argv)
{
	const char *offset_text = kb_opt_get("offset"), *time_text = kb_opt_get("before-time");
	struct indexes ix = { 0 };
	int64_t index, offset = -1, time;
	struct kb_nl nl;
	int ret;

	ret = check_topic(argv[0]);
	if (ret == KB_OK)
		ret = parse_index(argc, argv, &index);
	if (ret == KB_OK && !offset_text == !time_text)
		ret = kb_usage("it takes one of --offset and --before-time");
	if (ret == KB_OK && offset_text && strcmp(offset_text, "end"))
		ret = kb_opt_s64("offset", 0, INT64_MAX, &offset);
	if (ret == KB_OK && time_text)
		ret = kb_parse_time("--before-time", time_text, &time);
	if (ret != KB_OK)
		return ret;
	if (kb_nl_open(&nl))
		return KB_REFUSED;
	ret = kb_nl_call(&nl, get_request(&nl, argv[0], index), take_index, &ix);
	if (ret)
		ret = not_shown(&nl, ret, argv[0]);
	else
		ret = delete_from(&nl, argv[0], &ix, offset, time_text ? &time : NULL);
	free(ix.list);
	kb_nl_close(&nl);
	return ret == KB_OK ? kb_out_check() : ret;
}

const struct kb_cmd kb_cmds_partition[] = {
	{ "list", "[TOPIC]", "show partitions", NULL, cmd_list },
	{ "describe", "TOPIC [PARTITION]", "show partitions, and who reads and writes them", NULL,
	  cmd_describe },
	{ "delete-records", "TOPIC [PARTITION]", "delete the records below an offset or a time", delete_opts,
	  cmd_delete_records },
	{ 0 }
};
