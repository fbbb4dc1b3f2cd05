// SPDX-License-Identifier: GPL-2.0-only
/*
 * Errors: what was refused, why, and what to do. With --json they are objects
 * on standard error, one a line.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "json.h"
#include "kbroker.h"

static void command_name(char *buf, size_t size)
{
	if (kb.object && kb.cmd && kb.cmd->name)
		snprintf(buf, size, "%s %s", kb.object->name, kb.cmd->name);
	else if (kb.object)
		snprintf(buf, size, "%s", kb.object->name);
	else
		buf[0] = '\0';
}

static void report(const char *kind, int err, const char *hint, const char *fmt, va_list ap)
{
	struct kb_json js;
	char cmd[64];
	char *text;

	if (vasprintf(&text, fmt, ap) < 0)
		abort();
	command_name(cmd, sizeof(cmd));
	/* what was printed before belongs before the error */
	fflush(stdout);
	if (kb.json) {
		kb_json_init(&js, stderr, false);
		kb_json_object(&js, NULL);
		kb_json_string(&js, kind, text);
		if (cmd[0])
			kb_json_string(&js, "command", cmd);
		if (err)
			kb_json_string(&js, "errno", kb_errno_name(err));
		if (hint)
			kb_json_string(&js, "hint", hint);
		kb_json_object_end(&js);
		kb_json_finish(&js);
	} else {
		fprintf(stderr, "%skbroker%s%s:%s ", kb.err_color ? KB_RED : "",
			cmd[0] ? " " : "", cmd, kb.err_color ? KB_RESET : "");
		if (!strcmp(kind, "warning"))
			fputs("warning: ", stderr);
		fprintf(stderr, "%s\n", text);
		if (hint)
			fprintf(stderr, "  %s\n", hint);
	}
	free(text);
}

/**
 * kb_usage() - the command line is wrong
 * @fmt: what is wrong with it
 *
 * Return: KB_USAGE, for the caller to return.
 */
int kb_usage(const char *fmt, ...)
{
	char cmd[64], hint[128];
	va_list ap;

	command_name(cmd, sizeof(cmd));
	snprintf(hint, sizeof(hint), "try 'kbroker%s%s --help'", cmd[0] ? " " : "", cmd);
	va_start(ap, fmt);
	report("error", EINVAL, hint, fmt, ap);
	va_end(ap);
	return KB_USAGE;
}

/**
 * kb_fail() - it was refused or did not work
 * @err: errno, or 0 where none fits
 * @hint: what to do about it, or NULL
 * @fmt: what was refused and why
 *
 * Return: KB_REFUSED, for the caller to return.
 */
int kb_fail(int err, const char *hint, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	report("error", err < 0 ? -err : err, hint, fmt, ap);
	va_end(ap);
	return KB_REFUSED;
}

/**
 * kb_warn() - it goes on, but somebody should know
 * @fmt: what
 */
void kb_warn(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	report("warning", 0, NULL, fmt, ap);
	va_end(ap);
}

/**
 * kb_note() - a remark for the person at a terminal, nobody else
 * @fmt: what
 */
void kb_note(const char *fmt, ...)
{
	va_list ap;

	if (kb.quiet || kb.json || !kb.err_tty)
		return;
	fflush(stdout);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	putc('\n', stderr);
}

/**
 * kb_errno_name() - the symbol of an errno ("ENOENT")
 * @err: positive
 */
const char *kb_errno_name(int err)
{
	const char *name = strerrorname_np(err);

	return name ? name : "unknown";
}

static void *no_memory(void)
{
	fputs("kbroker: out of memory\n", stderr);
	exit(KB_REFUSED);
}

/**
 * kb_alloc() - zeroed memory, or the end of the program
 * @size: bytes
 */
void *kb_alloc(size_t size)
{
	void *p = calloc(1, size ? size : 1);

	return p ? p : no_memory();
}

void *kb_realloc(void *p, size_t size)
{
	p = realloc(p, size ? size : 1);
	return p ? p : no_memory();
}

char *kb_strdup(const char *s)
{
	char *p = strdup(s);

	return p ? p : no_memory();
}

char *kb_asprintf(const char *fmt, ...)
{
	va_list ap;
	char *p;

	va_start(ap, fmt);
	if (vasprintf(&p, fmt, ap) < 0)
		p = no_memory();
	va_end(ap);
	return p;
}
