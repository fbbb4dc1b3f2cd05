// SPDX-License-Identifier: GPL-2.0-only
/*
 * Text for people: tables, named fields, sizes and times.
 *
 * A terminal gets aligned columns with a bold head; a pipe gets the same
 * cells with tabs between them, so that cut(1) and awk(1) can take them apart.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <wchar.h>

#include "kbroker.h"

/**
 * struct kb_table - rows to come
 * @columns: cells of a row
 * @heads: names of the columns; one that begins with '>' is aligned right
 * @cells: all cells so far, row by row
 * @count: cells so far
 * @room: cells allocated
 */
struct kb_table {
	size_t columns;
	const char *const *heads;
	char **cells;
	size_t count;
	size_t room;
};

struct kb_table *kb_table_new(const char *const *heads, size_t columns)
{
	struct kb_table *tab = kb_alloc(sizeof(*tab));

	tab->columns = columns;
	tab->heads = heads;
	return tab;
}

/**
 * kb_disarm() - make a text harmless to look at
 * @text: what anybody may choose, such as a process's name
 *
 * It must not control the terminal of who looks: control characters, those of
 * UTF-8's second block too, become question marks.
 */
char *kb_disarm(char *text)
{
	unsigned char *p = (unsigned char *)text;

	for (; *p; p++) {
		if (*p < 0x20 || *p == 0x7f) {
			*p = '?';
		} else if (*p == 0xc2 && p[1] >= 0x80 && p[1] < 0xa0) {
			p[0] = '?';
			p[1] = '?';
		}
	}
	return text;
}

void kb_table_cell(struct kb_table *tab, const char *fmt, ...)
{
	va_list ap;

	if (tab->count == tab->room) {
		tab->room = tab->room ? tab->room * 2 : 64;
		tab->cells = kb_realloc(tab->cells, tab->room * sizeof(*tab->cells));
	}
	va_start(ap, fmt);
	if (vasprintf(&tab->cells[tab->count], fmt, ap) < 0)
		abort();
	va_end(ap);
	/* cells are one line */
	kb_disarm(tab->cells[tab->count++]);
}

static size_t text_width(const char *s)
{
	size_t n = mbstowcs(NULL, s, 0);

	return n == (size_t)-1 ? strlen(s) : n;
}

static void print_cell(const char *text, size_t width, bool right, bool last)
{
	size_t have = text_width(text);
	size_t pad = width > have ? width - have : 0;

	if (right)
		printf("%*s%s", (int)pad, "", text);
	else if (last)
		fputs(text, stdout);
	else
		printf("%s%*s", text, (int)pad, "");
	if (!last)
		fputs("  ", stdout);
}

/**
 * kb_table_print() - print and free a table
 * @tab: table
 *
 * Return: KB_OK, or KB_REFUSED if standard output takes no more.
 */
int kb_table_print(struct kb_table *tab)
{
	size_t *widths = kb_alloc(tab->columns * sizeof(*widths));
	size_t i, col;

	for (col = 0; col < tab->columns; col++) {
		const char *head = tab->heads[col];

		widths[col] = text_width(head[0] == '>' ? head + 1 : head);
	}
	for (i = 0; i < tab->count; i++) {
		size_t n = text_width(tab->cells[i]);

		if (n > widths[i % tab->columns])
			widths[i % tab->columns] = n;
	}
	fputs(kb_color(KB_BOLD), stdout);
	for (col = 0; col < tab->columns; col++) {
		const char *head = tab->heads[col];
		bool right = head[0] == '>';

		if (kb.out_tty)
			print_cell(head + right, widths[col], right, col == tab->columns - 1);
		else
			printf("%s%s", col ? "\t" : "", head + right);
	}
	printf("%s\n", kb_color(KB_RESET));
	for (i = 0; i < tab->count; i++) {
		col = i % tab->columns;
		if (kb.out_tty)
			print_cell(tab->cells[i], widths[col], tab->heads[col][0] == '>',
				   col == tab->columns - 1);
		else
			printf("%s%s", col ? "\t" : "", tab->cells[i]);
		if (col == tab->columns - 1)
			putchar('\n');
	}
	free(widths);
	kb_table_free(tab);
	return kb_out_check();
}

void kb_table_free(struct kb_table *tab)
{
	size_t i;

	for (i = 0; i < tab->count; i++)
		free(tab->cells[i]);
	free(tab->cells);
	free(tab);
}

/**
 * kb_field() - one "name: value" line of a description
 * @name: name
 * @fmt: value
 */
void kb_field(const char *name, const char *fmt, ...)
{
	char *text;
	va_list ap;

	if (kb.out_tty)
		printf("  %s%-16s%s ", kb_color(KB_DIM), name, kb_color(KB_RESET));
	else
		printf("%s\t", name);
	va_start(ap, fmt);
	if (vasprintf(&text, fmt, ap) < 0)
		abort();
	va_end(ap);
	puts(kb_disarm(text));
	free(text);
}

/**
 * kb_section() - head of what follows
 * @fmt: its name
 */
void kb_section(const char *fmt, ...)
{
	char *text;
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&text, fmt, ap) < 0)
		abort();
	va_end(ap);
	printf("%s%s%s\n", kb_color(KB_BOLD), kb_disarm(text), kb_color(KB_RESET));
	free(text);
}

/**
 * kb_color() - @code where standard output takes colour, else nothing
 * @code: KB_BOLD and the like
 */
const char *kb_color(const char *code)
{
	return kb.color ? code : "";
}

const char *kb_human_bytes(uint64_t bytes, char buf[16])
{
	static const char units[] = "BKMGTPE";
	double val = (double)bytes;
	unsigned int unit = 0;

	while (val >= 1024 && unit < sizeof(units) - 2) {
		val /= 1024;
		unit++;
	}
	if (!unit)
		snprintf(buf, 16, "%" PRIu64 " B", bytes);
	else
		snprintf(buf, 16, "%.1f %ciB", val, units[unit]);
	return buf;
}

/**
 * kb_human_time() - a timestamp in UTC, to the millisecond
 * @ms: since the epoch; negative is "-"
 * @buf: room for it
 */
const char *kb_human_time(int64_t ms, char buf[40])
{
	time_t sec = ms / 1000;
	struct tm tm;
	size_t n;

	if (ms < 0 || !gmtime_r(&sec, &tm)) {
		strcpy(buf, "-");
		return buf;
	}
	n = strftime(buf, 32, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(buf + n, 40 - n, ".%03dZ", (int)(ms % 1000));
	return buf;
}

const char *kb_human_span(int64_t ms, char buf[24])
{
	if (ms < 0)
		strcpy(buf, "-");
	else if (ms < 1000)
		snprintf(buf, 24, "%" PRId64 " ms", ms);
	else if (ms < 120 * 1000)
		snprintf(buf, 24, "%.1f s", (double)ms / 1000);
	else if (ms < 120 * 60 * 1000LL)
		snprintf(buf, 24, "%" PRId64 " min", ms / 60000);
	else if (ms < 48 * 3600 * 1000LL)
		snprintf(buf, 24, "%.1f h", (double)ms / 3600e3);
	else
		snprintf(buf, 24, "%.1f days", (double)ms / 86400e3);
	return buf;
}

static int output_failed(void)
{
	static bool told;
	int err = errno;

	/* whoever read the pipe had enough: nothing to say about that */
	if (!told && err != EPIPE)
		kb_fail(err, NULL, "cannot write the output: %s", strerror(err));
	told = true;
	return KB_REFUSED;
}

/**
 * kb_out_check() - flush standard output
 *
 * Return: KB_OK, or KB_REFUSED once something could not be written.
 */
int kb_out_check(void)
{
	if (fflush(stdout) || ferror(stdout))
		return output_failed();
	return KB_OK;
}

/**
 * kb_out_close() - close standard output: the last moment to learn of a full disk
 *
 * Return: KB_OK or KB_REFUSED.
 */
int kb_out_close(void)
{
	int ret = kb_out_check();

	if (fclose(stdout) && ret == KB_OK && errno != EBADF)
		ret = output_failed();
	return ret;
}
