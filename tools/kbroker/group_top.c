// SPDX-License-Identifier: GPL-2.0-only
/*
 * "kbroker group top": lag and speed, looked at again and again. A terminal
 * shows them in place until q or Ctrl-C; a pipe gets a table each time, and
 * --json one object a line.
 */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "groups.h"
#include "kbroker.h"
#include "objects.h"

const struct kb_opt kb_group_top_opts[] = {
	{ "interval", 'i', "MS", "look so often (default: 1000)" },
	{ "count", 'c', "N", "stop after N times" },
	{ 0 }
};

#define INTERVAL_MS	1000
#define CLEAR		"\033[H\033[J"

/**
 * struct row - a group, or a partition of the one that is watched
 * @name: of the group, or of the topic
 * @partition: its number, -1 a group
 * @state: of the group
 * @members: of the group; of a partition who has it
 * @owner: member that has the partition, NULL nobody
 * @parts: partitions
 * @lag: sums
 * @rate: records consumed in a second, -1 not known yet
 */
struct row {
	char *name;
	int32_t partition;
	const char *state;
	uint32_t members;
	char *owner;
	size_t parts;
	struct kb_group_lag lag;
	double rate;
};

/**
 * struct view - what was seen at one time
 * @rows: the one that is most behind first
 * @count: how many
 * @at_ms: when
 */
struct view {
	struct row *rows;
	size_t count;
	int64_t at_ms;
};

static void view_free(struct view *view)
{
	size_t i;

	for (i = 0; i < view->count; i++) {
		free(view->rows[i].name);
		free(view->rows[i].owner);
	}
	free(view->rows);
	*view = (struct view){ 0 };
}

static void add_row(struct view *view, const struct row *row)
{
	view->rows = kb_realloc(view->rows, (view->count + 1) * sizeof(*view->rows));
	view->rows[view->count++] = *row;
}

static void add_groups(struct view *view, const struct kb_groups *groups)
{
	size_t i;

	for (i = 0; i < groups->count; i++) {
		const struct kb_group *group = &groups->list[i];
		struct row row = {
			.name = kb_strdup(group->name), .partition = -1, .state = group->state,
			.members = group->members_count, .parts = group->count, .rate = -1,
		};

		kb_group_sum(group, &row.lag);
		add_row(view, &row);
	}
}

static void add_partitions(struct view *view, const struct kb_group *group)
{
	size_t i;

	for (i = 0; i < group->count; i++) {
		struct kb_group_offset *at = &group->offsets[i];
		struct kb_group one = { .offsets = at, .count = 1 };
		struct row row = {
			.name = kb_strdup(at->topic), .partition = at->partition, .state = group->state,
			.members = at->owner >= 0, .parts = 1, .rate = -1,
		};

		if (at->owner >= 0)
			row.owner = kb_strdup(group->members[at->owner].id);
		kb_group_sum(&one, &row.lag);
		add_row(view, &row);
	}
}

static int by_lag(const void *a, const void *b)
{
	const struct row *left = a, *right = b;
	int diff;

	if (left->lag.records != right->lag.records)
		return left->lag.records < right->lag.records ? 1 : -1;
	diff = strcmp(left->name, right->name);
	return diff ? diff : (left->partition > right->partition) - (left->partition < right->partition);
}

static int by_name(const void *a, const void *b)
{
	const struct row *left = a, *right = b;
	int diff = strcmp(left->name, right->name);

	return diff ? diff : (left->partition > right->partition) - (left->partition < right->partition);
}

/* @before is sorted by name */
static void add_rates(struct view *view, const struct view *before)
{
	double seconds = (double)(view->at_ms - before->at_ms) / 1000;
	size_t i;

	for (i = 0; i < view->count && before->count && seconds > 0; i++) {
		struct row *row = &view->rows[i];
		const struct row *old = bsearch(row, before->rows, before->count, sizeof(*row), by_name);

		if (!old)
			continue;
		row->rate = (double)(row->lag.consumed - old->lag.consumed) / seconds;
		/* it was set back */
		if (row->rate < 0)
			row->rate = 0;
	}
}

/* ---- showing ---- */

static void print_rows(const struct view *view, size_t rows_max, bool partitions)
{
	static const char *const group_heads[] = { "GROUP", "STATE", ">MEMBERS", ">PARTITIONS", ">LAG",
		">LAG-BYTES", ">LAG-TIME", ">RECORDS/S" };
	static const char *const part_heads[] = { "TOPIC", ">PARTITION", "CONSUMER-ID", ">LAG", ">LAG-BYTES",
		">LAG-TIME", ">RECORDS/S" };
	struct kb_table *tab = partitions ? kb_table_new(part_heads, ARRAY_SIZE(part_heads)) :
					    kb_table_new(group_heads, ARRAY_SIZE(group_heads));
	char text[24];
	size_t i;

	for (i = 0; i < view->count && i < rows_max; i++) {
		const struct row *row = &view->rows[i];

		kb_table_cell(tab, "%s", row->name);
		if (partitions) {
			kb_table_cell(tab, "%" PRId32, row->partition);
			kb_table_cell(tab, "%s", row->owner ? row->owner : "-");
		} else {
			kb_table_cell(tab, "%s", row->state);
			kb_table_cell(tab, "%" PRIu32, row->members);
			kb_table_cell(tab, "%zu", row->parts);
		}
		kb_table_cell(tab, "%" PRId64, row->lag.records);
		if (kb.out_tty) {
			kb_table_cell(tab, "%s", kb_human_bytes((uint64_t)row->lag.bytes, text));
			kb_table_cell(tab, "%s", kb_human_span(row->lag.ms, text));
		} else {
			kb_table_cell(tab, "%" PRId64, row->lag.bytes);
			kb_table_cell(tab, "%" PRId64, row->lag.ms);
		}
		if (row->rate < 0)
			kb_table_cell(tab, "-");
		else
			kb_table_cell(tab, "%.1f", row->rate);
	}
	kb_table_print(tab);
}

static void json_rows(const struct view *view, const char *group)
{
	struct kb_json js;
	size_t i;

	kb_json_init(&js, stdout, false);
	kb_json_object(&js, NULL);
	kb_json_s64(&js, "time_ms", kb_now_ms());
	if (group)
		kb_json_string(&js, "group", group);
	kb_json_array(&js, group ? "partitions" : "groups");
	for (i = 0; i < view->count; i++) {
		const struct row *row = &view->rows[i];

		kb_json_object(&js, NULL);
		kb_json_string(&js, group ? "topic" : "group", row->name);
		if (group) {
			kb_json_s64(&js, "partition", row->partition);
			kb_json_string(&js, "member", row->owner);
		} else {
			kb_json_string(&js, "state", row->state);
			kb_json_u64(&js, "members", row->members);
			kb_json_u64(&js, "partitions", row->parts);
		}
		kb_json_s64(&js, "lag_records", row->lag.records);
		kb_json_s64(&js, "lag_bytes", row->lag.bytes);
		kb_json_s64(&js, "lag_ms", row->lag.ms);
		if (row->rate < 0)
			kb_json_null(&js, "records_per_second");
		else
			kb_json_double(&js, "records_per_second", row->rate);
		kb_json_object_end(&js);
	}
	kb_json_array_end(&js);
	kb_json_object_end(&js);
	kb_json_finish(&js);
}

static int show(const struct view *view, const char *group)
{
	struct winsize ws = { .ws_row = 24 };
	size_t rows_max = SIZE_MAX;
	char text[40];

	if (kb.json) {
		json_rows(view, group);
		return kb_out_check();
	}
	if (kb.out_tty) {
		if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &ws) || ws.ws_row < 6)
			ws.ws_row = 24;
		rows_max = (size_t)ws.ws_row - 4;
		fputs(CLEAR, stdout);
		if (group)
			kb_section("group %s, %s, most behind first; q ends", group,
				   kb_human_time(kb_now_ms(), text));
		else
			kb_section("%zu groups, %s, most behind first; q ends", view->count,
				   kb_human_time(kb_now_ms(), text));
	}
	print_rows(view, rows_max, group);
	if (!kb.out_tty)
		putchar('\n');
	return kb_out_check();
}

/* ---- watching ---- */

static int look(struct kb_nl *nl, const char *name, struct view *view)
{
	struct kb_groups groups;
	int ret;

	ret = kb_groups_load(nl, name, true, &groups);
	if (ret)
		ret = kb_nl_refused(nl, ret, kb_group_hint(ret), name ? "group %s can't be watched" :
				    "groups can't be watched", name);
	else if (name)
		add_partitions(view, &groups.list[0]);
	else
		add_groups(view, &groups);
	view->at_ms = kb_mono_ms();
	kb_groups_free(&groups);
	return ret;
}

/* until it is time again; false: a key or a signal ends it */
static bool wait_tick(int64_t until, bool keys)
{
	int64_t wait;
	char key;

	while ((wait = until - kb_mono_ms()) > 0) {
		struct pollfd fds[2] = { { .fd = STDOUT_FILENO }, { .fd = STDIN_FILENO, .events = POLLIN } };
		int n = kb_poll(fds, keys ? 2 : 1, wait < INT32_MAX ? (int)wait : INT32_MAX);

		if (n < 0 || (n > 0 && fds[0].revents & (POLLERR | POLLHUP)))
			return false;
		if (n <= 0 || !fds[1].revents)
			continue;
		if (read(STDIN_FILENO, &key, 1) != 1 || key == 'q' || key == 'Q')
			return false;
	}
	return !kb_interrupted();
}

static int watch(struct kb_nl *nl, const char *name, int64_t interval, int64_t count, bool keys)
{
	struct view before = { 0 }, view = { 0 };
	int64_t next = kb_mono_ms();
	int ret;

	for (;;) {
		ret = look(nl, name, &view);
		if (ret != KB_OK)
			break;
		add_rates(&view, &before);
		view_free(&before);
		qsort(view.rows, view.count, sizeof(*view.rows), by_lag);
		ret = show(&view, name);
		if (ret != KB_OK || --count <= 0)
			break;
		qsort(view.rows, view.count, sizeof(*view.rows), by_name);
		before = view;
		view = (struct view){ 0 };
		next += interval;
		/* slower than it should: not all at once then */
		if (next < kb_mono_ms())
			next = kb_mono_ms();
		if (!wait_tick(next, keys))
			break;
	}
	view_free(&before);
	view_free(&view);
	return ret;
}

/** kb_group_top() - "group top [GROUP]" */
int kb_group_top(int argc, char **argv)
{
	int64_t interval = INTERVAL_MS, count = INT64_MAX;
	struct termios old, raw;
	struct kb_nl nl;
	bool keys;
	int ret;

	ret = kb_opt_s64("interval", 1, INT32_MAX, &interval);
	if (ret == KB_OK)
		ret = kb_opt_s64("count", 1, INT64_MAX, &count);
	if (ret != KB_OK)
		return ret;
	if (kb_nl_open(&nl))
		return KB_REFUSED;
	kb_signals_catch();
	/* single keys, not shown, and only if somebody looks */
	keys = kb.out_tty && !kb.json && !tcgetattr(STDIN_FILENO, &old);
	if (keys) {
		raw = old;
		raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
		keys = !tcsetattr(STDIN_FILENO, TCSANOW, &raw);
	}
	ret = watch(&nl, argc ? argv[0] : NULL, interval, count, keys);
	if (keys)
		tcsetattr(STDIN_FILENO, TCSANOW, &old);
	kb_nl_close(&nl);
	return ret;
}
