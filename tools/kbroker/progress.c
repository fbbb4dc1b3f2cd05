// SPDX-License-Identifier: GPL-2.0-only
/*
 * Clocks, and a progress line on standard error. The line is drawn only on a
 * terminal, only after half a second, and at most ten times a second.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "kbroker.h"

int64_t kb_now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

int64_t kb_mono_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

int64_t kb_mono_ms(void)
{
	return kb_mono_ns() / 1000000;
}

void kb_progress_start(struct kb_progress *pr, const char *what)
{
	pr->what = what;
	pr->started_ms = kb_mono_ms();
	pr->shown_ms = pr->started_ms + 400;
	pr->on = kb.err_tty && !kb.quiet && !kb.json;
	pr->drawn = false;
}

/**
 * kb_progress_update() - show how far it is
 * @pr: progress
 * @done: units done
 * @total: units to do; 0 where nobody knows
 * @fmt: text behind the bar
 */
void kb_progress_update(struct kb_progress *pr, uint64_t done, uint64_t total, const char *fmt, ...)
{
	struct winsize ws = { .ws_col = 80 };
	int64_t now;
	va_list ap;
	char text[96];
	int width;

	if (!pr->on)
		return;
	now = kb_mono_ms();
	if (now - pr->shown_ms < 100)
		return;
	pr->shown_ms = now;
	pr->drawn = true;
	if (ioctl(STDERR_FILENO, TIOCGWINSZ, &ws) || ws.ws_col < 20)
		ws.ws_col = 80;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	width = ws.ws_col - 1;
	if (total) {
		int bar = width > 70 ? 24 : 10;
		int full = (int)((double)done / (double)total * bar);

		if (full > bar)
			full = bar;
		fprintf(stderr, "\r\033[K%s [%.*s%*s] %3d%% %.*s", pr->what, full,
			"########################", bar - full, "",
			(int)((double)done / (double)total * 100), width > 40 ? width - 40 : 8, text);
	} else {
		fprintf(stderr, "\r\033[K%s %.*s", pr->what, width > 24 ? width - 24 : 8, text);
	}
	fflush(stderr);
}

void kb_progress_end(struct kb_progress *pr)
{
	if (pr->drawn)
		fputs("\r\033[K", stderr);
	pr->drawn = false;
	pr->on = false;
}
