/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the user-space tests print their results with: TAP, one line a case.
 */
#ifndef _KBR_UNIT_TAP_H
#define _KBR_UNIT_TAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/**
 * struct tap_case - one case
 * @name: what it shows
 * @run: calls expect*() as often as it likes
 */
struct tap_case {
	const char *name;
	void (*run)(void);
};

/* One table of cases a file, ended by an entry without a name */
extern const struct tap_case varint_cases[];
extern const struct tap_case vector_cases[];
extern const struct tap_case validate_cases[];
extern const struct tap_case unpack_cases[];
extern const struct tap_case builder_cases[];
extern const struct tap_case random_cases[];
extern const struct tap_case partitioner_cases[];
extern const struct tap_case library_cases[];
extern const struct tap_case wire_cases[];
extern const struct tap_case proto_cases[];
extern const struct tap_case group_record_cases[];
extern const struct tap_case group_wire_cases[];
extern const struct tap_case proof_cases[];
extern const struct tap_case decide_cases[];
extern const struct tap_case state_cases[];
extern const struct tap_case controller_cases[];
extern const struct tap_case session_cases[];

/* Fails the case that runs, and says why */
__attribute__((format(printf, 3, 4)))
void tap_fail(const char *file, int line, const char *fmt, ...);

/* Words put before each failure of the case that runs, such as the vector's name */
__attribute__((format(printf, 1, 2)))
void tap_context(const char *fmt, ...);

#define expect(cond) ((cond) ? true : (tap_fail(__FILE__, __LINE__, "%s", #cond), false))

#define expect_eq(got, want) (__extension__ ({					\
	long long _got = (long long)(got), _want = (long long)(want);		\
	_got == _want ? true : (tap_fail(__FILE__, __LINE__, "%s is %lld, not %lld", \
					 #got, _got, _want), false); }))

/* Bytes @got are @want; says where they differ first */
#define expect_bytes(got, got_len, want, want_len) \
	tap_bytes(__FILE__, __LINE__, #got, got, got_len, want, want_len)
bool tap_bytes(const char *file, int line, const char *what, const void *got, size_t got_len,
	       const void *want, size_t want_len);

/* Random numbers from the printed seed ($KBROKER_SEED repeats one) */
uint64_t tap_random(void);
/* 0 .. below - 1 */
uint64_t tap_random_below(uint64_t below);

#endif /* _KBR_UNIT_TAP_H */
