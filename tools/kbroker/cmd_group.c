// SPDX-License-Identifier: GPL-2.0-only
/* "kbroker group": consumer groups: show, reset, delete. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "device.h"
#include "groups.h"
#include "kbroker.h"
#include "objects.h"

static const struct kb_opt describe_opts[] = {
	{ "all-groups", 0, NULL, "all groups" },
	{ "offsets", 0, NULL, "how far each partition is, and who has it (the default)" },
	{ "members", 0, NULL, "the members" },
	{ "state", 0, NULL, "state, strategy and sums alone" },
	{ "verbose", 'v', NULL, "with --members: their partitions" },
	{ 0 }
};

static const struct kb_opt delete_opts[] = {
	{ "offsets", 0, "TOPIC[:0,2,5-7]", "only the committed offsets of this topic; may be given often" },
	{ "if-exists", 0, NULL, "it is no error if a group is not there" },
	KB_OPT_NO_WAIT,
	{ 0 }
};

/* ---- list ---- */

static void group_row(struct kb_table *tab, const struct kb_nl_msg *msg)
{
	const struct nlattr *at = msg->attrs[KBROKER_A_GROUP_COORDINATOR];
	char size[16];

	kb_table_cell(tab, "%s", kb_attr_text(msg->attrs[KBROKER_A_GROUP_NAME]));
	kb_table_cell(tab, "%s", kb_attr_word(kb_group_attrs, msg, KBROKER_A_GROUP_STATE));
	kb_table_cell(tab, "%s", kb_attr_word(kb_group_attrs, msg, KBROKER_A_GROUP_KIND));
	kb_table_cell(tab, "%" PRIu32, kb_attr_u32(msg->attrs[KBROKER_A_GROUP_MEMBERS]));
	kb_table_cell(tab, "%" PRIu32, kb_attr_u32(msg->attrs[KBROKER_A_GROUP_OFFSETS]));
	kb_table_cell(tab, "%s", kb_human_bytes(kb_attr_u64(msg->attrs[KBROKER_A_GROUP_BYTES]), size));
	if (at)
		kb_table_cell(tab, "%" PRId32, kb_attr_s32(at));
	else
		kb_table_cell(tab, "-");
}

static int cmd_list(int argc, char **argv)
{
	static const char *const heads[] = { "GROUP", "STATE", "TYPE", ">MEMBERS", ">OFFSETS", ">MEMORY",
		">COORDINATOR" };
	static const struct kb_list list = { heads, ARRAY_SIZE(heads), group_row, NULL, kb_group_attrs,
		.of_broker = true, .order = KBROKER_A_GROUP_NAME };
	struct kb_nl nl;
	int ret;

	(void)argc;
	(void)argv;
	if (kb_nl_open(&nl))
		return KB_REFUSED;
	ret = kb_list_print(&nl, kb_group_request(&nl, KBROKER_CMD_GROUP_GET, NLM_F_DUMP, NULL), &list);
	if (ret)
		ret = kb_nl_refused(&nl, ret, NULL, "no groups");
	kb_nl_close(&nl);
	return ret == KB_OK ? kb_out_check() : ret;
}

/* ---- describe ---- */

static void number_cell(struct kb_table *tab, int64_t number)
{
	if (number < 0)
		kb_table_cell(tab, "-");
	else
		kb_table_cell(tab, "%" PRId64, number);
}

/* what Kafka calls the current offset: the committed one; of devices what they have consumed */
static int64_t current_offset(const struct kb_group *group, const struct kb_group_offset *at)
{
	return at->committed < 0 || !strcmp(group->kind, "device") ? at->position : at->committed;
}

static const char *or_dash(const char *text)
{
	return text && *text ? text : "-";
}

static void member_cells(struct kb_table *tab, const struct kb_group_member *member)
{
	kb_table_cell(tab, "%s", member ? or_dash(member->id) : "-");
	if (member && member->node >= 0)
		kb_table_cell(tab, "broker %" PRId32, member->node);
	else
		kb_table_cell(tab, "%s", member && !member->pid ? or_dash(member->host) : member ? "local" : "-");
	kb_table_cell(tab, "%s", member ? or_dash(member->client) : "-");
	if (member && member->pid)
		kb_table_cell(tab, "%" PRIu32, member->pid);
	else
		kb_table_cell(tab, "-");
}

static void print_offsets(const struct kb_group *group)
{
	static const char *const heads[] = { "TOPIC", ">PARTITION", ">CURRENT-OFFSET", ">LOG-END-OFFSET",
		">LAG", ">LAG-BYTES", ">LAG-TIME", "CONSUMER-ID", "HOST", "CLIENT-ID", ">PID" };
	struct kb_table *tab = kb_table_new(heads, ARRAY_SIZE(heads));
	char span[24];
	size_t i;

	for (i = 0; i < group->count; i++) {
		const struct kb_group_offset *at = &group->offsets[i];

		kb_table_cell(tab, "%s", at->topic);
		kb_table_cell(tab, "%" PRId32, at->partition);
		number_cell(tab, current_offset(group, at));
		number_cell(tab, at->end);
		number_cell(tab, at->lag);
		number_cell(tab, at->lag_bytes);
		if (kb.out_tty)
			kb_table_cell(tab, "%s", kb_human_span(at->lag_ms, span));
		else
			number_cell(tab, at->lag_ms);
		member_cells(tab, at->owner < 0 ? NULL : &group->members[at->owner]);
	}
	kb_table_print(tab);
}

/* "orders(0,1) prices(2)" */
static char *parts_text(const struct kb_group_member *member)
{
	char *text = kb_strdup(""), *more;
	size_t i;

	for (i = 0; i < member->count; i++) {
		const struct kb_group_part *part = &member->parts[i];
		bool same = i && !strcmp(part->topic, part[-1].topic);

		if (same)
			more = kb_asprintf("%s,%" PRId32, text, part->partition);
		else
			more = kb_asprintf("%s%s%s(%" PRId32, text, i ? ") " : "", part->topic, part->partition);
		free(text);
		text = more;
	}
	more = kb_asprintf("%s%s", text, member->count ? ")" : "-");
	free(text);
	return more;
}

static void print_members(const struct kb_group *group)
{
	static const char *const heads[] = { "CONSUMER-ID", "HOST", "CLIENT-ID", ">PID", "GROUP-INSTANCE-ID",
		">#PARTITIONS", "ASSIGNMENT" };
	bool verbose = kb_opt_has("verbose");
	struct kb_table *tab = kb_table_new(heads, ARRAY_SIZE(heads) - !verbose);
	char *parts;
	size_t i;

	for (i = 0; i < group->shown; i++) {
		const struct kb_group_member *member = &group->members[i];

		member_cells(tab, member);
		kb_table_cell(tab, "%s", or_dash(member->instance));
		kb_table_cell(tab, "%zu", member->count);
		if (!verbose)
			continue;
		parts = parts_text(member);
		kb_table_cell(tab, "%s", parts);
		free(parts);
	}
	kb_table_print(tab);
}

static void print_group(const struct kb_group *group, bool hidden)
{
	struct kb_group_lag lag;
	char text[40];

	kb_section("group %s", group->name);
	kb_field("state", "%s", group->state);
	kb_field("type", "%s", group->kind);
	if (group->coordinator >= 0)
		kb_field("coordinator", "broker %" PRId32, group->coordinator);
	kb_field("members", "%" PRIu32, group->members_count);
	if (*group->protocol)
		kb_field("strategy", "%s", group->protocol);
	kb_field("generation", "%" PRId32, group->generation);
	kb_field("since", "%s", kb_human_time(group->state_ms, text));
	kb_group_sum(group, &lag);
	kb_field("lag", "%" PRId64 " records", lag.records);
	kb_field("lag bytes", "%s", kb_human_bytes((uint64_t)lag.bytes, text));
	kb_field("lag time", "%s", kb_human_span(lag.ms, text));
	if (kb_opt_has("members") && group->shown)
		print_members(group);
	if (group->count && (kb_opt_has("offsets") || (!kb_opt_has("members") && !kb_opt_has("state"))))
		print_offsets(group);
	if (hidden && group->members_count && !kb_opt_has("state"))
		kb_note("only root is told who the members are");
}

static void number_json(struct kb_json *js, const char *key, int64_t number)
{
	if (number < 0)
		kb_json_null(js, key);
	else
		kb_json_s64(js, key, number);
}

static void json_offsets(struct kb_json *js, const struct kb_group *group)
{
	size_t i;

	kb_json_array(js, "offsets");
	for (i = 0; i < group->count; i++) {
		const struct kb_group_offset *at = &group->offsets[i];
		const struct kb_group_member *owner = at->owner < 0 ? NULL : &group->members[at->owner];

		kb_json_object(js, NULL);
		kb_json_string(js, "topic", at->topic);
		kb_json_s64(js, "partition", at->partition);
		number_json(js, "current_offset", current_offset(group, at));
		number_json(js, "committed_offset", at->committed);
		number_json(js, "commit_ms", at->commit_ms);
		number_json(js, "log_start_offset", at->start);
		number_json(js, "log_end_offset", at->end);
		number_json(js, "lag_records", at->lag);
		number_json(js, "lag_bytes", at->lag_bytes);
		number_json(js, "lag_ms", at->lag_ms);
		kb_json_string(js, "member", owner ? owner->id : NULL);
		kb_json_string(js, "host", owner ? owner->host : NULL);
		kb_json_string(js, "client_id", owner ? owner->client : NULL);
		number_json(js, "pid", owner && owner->pid ? (int64_t)owner->pid : -1);
		number_json(js, "node", owner ? owner->node : -1);
		kb_json_object_end(js);
	}
	kb_json_array_end(js);
}

static void json_members(struct kb_json *js, const struct kb_group *group)
{
	size_t i, p;

	kb_json_array(js, "members");
	for (i = 0; i < group->shown; i++) {
		const struct kb_group_member *member = &group->members[i];

		kb_json_object(js, NULL);
		kb_json_string(js, "member", member->id);
		kb_json_string(js, "instance_id", member->instance);
		kb_json_string(js, "host", member->host);
		kb_json_string(js, "client_id", member->client);
		number_json(js, "pid", member->pid ? (int64_t)member->pid : -1);
		number_json(js, "node", member->node);
		kb_json_array(js, "partitions");
		for (p = 0; p < member->count; p++) {
			kb_json_object(js, NULL);
			kb_json_string(js, "topic", member->parts[p].topic);
			kb_json_s64(js, "partition", member->parts[p].partition);
			kb_json_object_end(js);
		}
		kb_json_array_end(js);
		kb_json_object_end(js);
	}
	kb_json_array_end(js);
}

static void json_group(struct kb_json *js, const struct kb_group *group, bool hidden)
{
	struct kb_group_lag lag;

	kb_group_sum(group, &lag);
	kb_json_object(js, NULL);
	kb_json_string(js, "group", group->name);
	kb_json_string(js, "state", group->state);
	kb_json_string(js, "type", group->kind);
	number_json(js, "coordinator", group->coordinator);
	kb_json_u64(js, "members_count", group->members_count);
	kb_json_string(js, "strategy", *group->protocol ? group->protocol : NULL);
	kb_json_s64(js, "generation", group->generation);
	kb_json_s64(js, "state_ms", group->state_ms);
	kb_json_s64(js, "lag_records", lag.records);
	kb_json_s64(js, "lag_bytes", lag.bytes);
	kb_json_s64(js, "lag_ms", lag.ms);
	json_offsets(js, group);
	if (!hidden)
		json_members(js, group);
	kb_json_object_end(js);
}

/* one group, or with @name NULL all */
static int describe(struct kb_nl *nl, const char *name, struct kb_json *js)
{
	struct kb_groups groups;
	size_t i;
	int ret;

	ret = kb_groups_load(nl, name, true, &groups);
	for (i = 0; i < groups.count && !ret; i++) {
		if (kb.json)
			json_group(js, &groups.list[i], groups.hidden);
		else
			print_group(&groups.list[i], groups.hidden);
	}
	if (ret && name)
		ret = kb_nl_refused(nl, ret, kb_group_hint(ret), "group %s can't be shown", name);
	else if (ret)
		ret = kb_nl_refused(nl, ret, NULL, "no groups");
	kb_groups_free(&groups);
	return ret;
}

static int cmd_describe(int argc, char **argv)
{
	bool all = kb_opt_has("all-groups");
	struct kb_json js;
	struct kb_nl nl;
	int ret = KB_OK, i;

	if (!argc == !all)
		return kb_usage(all ? "groups and --all-groups exclude each other" :
				      "something is missing: GROUP, or --all-groups");
	if (kb_nl_open(&nl))
		return KB_REFUSED;
	kb_json_init(&js, stdout, true);
	if (kb.json)
		kb_json_array(&js, NULL);
	if (all)
		ret = describe(&nl, NULL, &js);
	for (i = 0; i < argc; i++) {
		int one = describe(&nl, argv[i], &js);

		if (one != KB_OK)
			ret = one;
	}
	if (kb.json) {
		kb_json_array_end(&js);
		kb_json_finish(&js);
	}
	kb_nl_close(&nl);
	return ret == KB_OK ? kb_out_check() : ret;
}

/* ---- delete ---- */

/* is @at one of those that --offsets names? */
static bool is_named(const struct kb_group_offset *at, const struct kb_group_topic *topics, size_t count,
		     const uint8_t *const *wanted)
{
	size_t i;

	for (i = 0; i < count; i++)
		if (!strcmp(at->topic, topics[i].name) && at->committed >= 0 &&
		    (!topics[i].list || wanted[i][at->partition]))
			return true;
	return false;
}

static int forget_offsets(struct kb_nl *nl, const struct kb_group *group,
			  const struct kb_group_topic *topics, size_t count, const uint8_t *const *wanted)
{
	char *what = kb_asprintf("no offsets of group %s were deleted", group->name);
	struct nl_msg *msg = NULL;
	size_t i, n = 0, total = 0;
	int ret = KB_OK;

	for (i = 0; i < group->count && ret == KB_OK; i++) {
		const struct kb_group_offset *at = &group->offsets[i];

		if (!is_named(at, topics, count, wanted))
			continue;
		if (!msg)
			msg = kb_group_request(nl, KBROKER_CMD_GROUP_OFFSET_DEL, 0, group->name);
		kb_group_put_offset(msg, at->topic, at->partition, NULL);
		total++;
		if (++n < KB_GROUP_OFFSETS_STEP)
			continue;
		ret = kb_group_change(nl, msg, what);
		msg = NULL;
		n = 0;
	}
	if (msg)
		ret = kb_group_change(nl, msg, what);
	if (!total && !kb_opt_has("if-exists"))
		ret = kb_fail(ENOENT, "'kbroker group describe' shows those it has",
			      "%s: it has none of what --offsets names", what);
	free(what);
	return ret;
}

static int delete_offsets(struct kb_nl *nl, const char *name)
{
	struct kb_group_topic *topics = NULL;
	struct kb_groups groups = { 0 };
	uint8_t **wanted = NULL;
	const char *text;
	size_t count = 0, i;
	int ret = KB_OK;

	for (; (text = kb_opt_nth("offsets", count)) && ret == KB_OK; count++) {
		topics = kb_realloc(topics, (count + 1) * sizeof(*topics));
		wanted = kb_realloc(wanted, (count + 1) * sizeof(*wanted));
		wanted[count] = kb_alloc(KBROKER_TOPIC_PARTITIONS_MAX);
		ret = kb_group_topic_parse("offsets", text, &topics[count]);
		if (ret == KB_OK)
			ret = kb_parse_partitions("offsets", topics[count].list,
						  KBROKER_TOPIC_PARTITIONS_MAX, wanted[count]);
	}
	if (ret == KB_OK) {
		ret = kb_groups_load(nl, name, true, &groups);
		if (ret == -ENOENT && kb_opt_has("if-exists"))
			ret = KB_OK;
		else if (ret)
			ret = kb_nl_refused(nl, ret, kb_group_hint(ret), "no offsets of group %s were deleted",
					    name);
		else
			ret = forget_offsets(nl, &groups.list[0], topics, count,
					     (const uint8_t *const *)wanted);
	}
	kb_groups_free(&groups);
	for (i = 0; i < count; i++) {
		free(topics[i].name);
		free(wanted[i]);
	}
	free(topics);
	free(wanted);
	return ret;
}

static int delete_group(struct kb_nl *nl, const char *name)
{
	char *what = kb_asprintf("group %s was not deleted", name);
	uint32_t op = 0;
	int ret;

	ret = kb_nl_call(nl, kb_group_request(nl, KBROKER_CMD_GROUP_DEL, 0, name), kb_op_take_id, &op);
	if (ret == -ENOENT && kb_opt_has("if-exists"))
		ret = KB_OK;
	else if (ret)
		ret = kb_nl_refused(nl, ret, kb_group_hint(ret), "%s", what);
	else
		ret = kb_op_finish(nl, op, what);
	free(what);
	return ret;
}

static int cmd_delete(int argc, char **argv)
{
	struct kb_nl nl;
	int ret = KB_OK, i;

	if (kb_nl_open(&nl))
		return KB_REFUSED;
	for (i = 0; i < argc && ret != KB_USAGE && !kb_interrupted(); i++) {
		int one = kb_opt_has("offsets") ? delete_offsets(&nl, argv[i]) : delete_group(&nl, argv[i]);

		if (one != KB_OK)
			ret = one;
	}
	kb_nl_close(&nl);
	return ret == KB_OK ? kb_out_check() : ret;
}

const struct kb_cmd kb_cmds_group[] = {
	{ "list", NULL, "show all groups", NULL, cmd_list },
	{ "describe", "[GROUP...]", "show groups: how far they are, how far behind, and who has what",
	  describe_opts, cmd_describe },
	{ "reset-offsets", "GROUP", "set where a group without members goes on, or begins",
	  kb_group_reset_opts, kb_group_reset },
	{ "delete", "GROUP...", "delete groups without members, or some of their offsets", delete_opts,
	  cmd_delete },
	{ "top", "[GROUP]", "watch lag and speed of all groups, or of the partitions of one",
	  kb_group_top_opts, kb_group_top },
	{ 0 }
};
