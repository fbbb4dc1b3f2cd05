// SPDX-License-Identifier: GPL-2.0-only
/*
 * The user-space tests' main(): run every case and print TAP.
 * With arguments, only cases whose names contain one of them.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tap.h"

static const struct tap_case * const tap_tables[] = {
	varint_cases, vector_cases, validate_cases, unpack_cases, builder_cases,
	random_cases, partitioner_cases, proof_cases, decide_cases, state_cases,
	controller_cases, session_cases, library_cases, wire_cases, proto_cases, group_record_cases, group_wire_cases,
};

static unsigned int tap_failures;
static char tap_context_text[160];
static uint64_t tap_state;

void tap_context(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(tap_context_text, sizeof(tap_context_text), fmt, args);
	va_end(args);
}

void tap_fail(const char *file, int line, const char *fmt, ...)
{
	va_list args;

	/* the first few tell enough */
	if (tap_failures++ >= 10)
		return;
	printf("# %s:%d: ", file, line);
	if (tap_context_text[0])
		printf("%s: ", tap_context_text);
	va_start(args, fmt);
	vprintf(fmt, args);
	va_end(args);
	printf("\n");
}

bool tap_bytes(const char *file, int line, const char *what, const void *got, size_t got_len,
	       const void *want, size_t want_len)
{
	const unsigned char *a = got, *b = want;
	size_t i;

	if (got_len != want_len) {
		tap_fail(file, line, "%s has %zu bytes, not %zu", what, got_len, want_len);
		return false;
	}
	for (i = 0; i < got_len; i++) {
		if (a[i] != b[i]) {
			tap_fail(file, line, "%s differs at byte %zu: %02x, not %02x", what, i,
				 a[i], b[i]);
			return false;
		}
	}
	return true;
}

uint64_t tap_random(void)
{
	/* splitmix64 */
	uint64_t z = tap_state += 0x9e3779b97f4a7c15ull;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

uint64_t tap_random_below(uint64_t below)
{
	return tap_random() % below;
}

static bool tap_wanted(const char *name, int argc, char **argv)
{
	int i;

	for (i = 1; i < argc; i++)
		if (strstr(name, argv[i]))
			return true;
	return argc < 2;
}

int main(int argc, char **argv)
{
	const char *seed_text = getenv("KBROKER_SEED");
	uint64_t seed = seed_text ? strtoull(seed_text, NULL, 0) : (uint64_t)time(NULL);
	unsigned int count = 0, failed = 0;
	size_t i;

	setvbuf(stdout, NULL, _IOLBF, 0);
	printf("TAP version 13\n# KBROKER_SEED=%llu\n", (unsigned long long)seed);
	for (i = 0; i < sizeof(tap_tables) / sizeof(tap_tables[0]); i++) {
		const struct tap_case *c;

		for (c = tap_tables[i]; c->name; c++) {
			if (!tap_wanted(c->name, argc, argv))
				continue;
			/* each case has its own numbers, whichever run before it */
			tap_state = seed;
			tap_failures = 0;
			tap_context_text[0] = 0;
			c->run();
			failed += !!tap_failures;
			printf("%sok %u - %s\n", tap_failures ? "not " : "", ++count, c->name);
		}
	}
	printf("1..%u\n", count);
	return failed || !count;
}
