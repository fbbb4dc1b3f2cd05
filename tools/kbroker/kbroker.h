/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the files of the kbroker command share: the command table, options,
 * errors and output.
 *
 * Every command is a row of a table (struct kb_cmd); help, completion and the
 * check of the manual pages are made from the same rows.
 */
#ifndef KBROKER_TOOL_H
#define KBROKER_TOOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define KB_VERSION "0.1.0"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define kb_printf(fmt_arg, first_arg) __attribute__((format(printf, fmt_arg, first_arg)))

/* Exit statuses: the contract with scripts */
enum kb_exit {
	KB_OK = 0,
	KB_REFUSED = 1,
	KB_USAGE = 2,
};

/* The broker's name, and so its directory under /dev, unless told otherwise */
#define KB_BROKER_DEFAULT "kbroker"

/**
 * struct kb_opt - one option of a command
 * @name: long name without dashes
 * @letter: one-letter form, or 0
 * @arg: what its argument is called, or NULL for a flag; "a|b|c" lists the
 *	words that are accepted (checked by the parser, offered by completion)
 * @help: one line
 * @free_form: @arg with '|' is only a hint for people, anything is accepted
 */
struct kb_opt {
	const char *name;
	char letter;
	const char *arg;
	const char *help;
	bool free_form;
};

/**
 * struct kb_cmd - one command
 * @name: second word, or NULL where the object alone is the command
 * @args: positional arguments as shown in help; "[X]" is optional, "X..."
 *	repeats
 * @summary: one line
 * @opts: its options, ended by an entry without name; may be NULL
 * @run: does it; returns enum kb_exit
 */
struct kb_cmd {
	const char *name;
	const char *args;
	const char *summary;
	const struct kb_opt *opts;
	int (*run)(int argc, char **argv);
};

/**
 * struct kb_object - a first word
 * @name: the word
 * @summary: one line
 * @cmds: its commands, ended by an entry without @run
 * @no_page: described in kbroker(8) itself
 */
struct kb_object {
	const char *name;
	const char *summary;
	const struct kb_cmd *cmds;
	bool no_page;
};

/**
 * struct kb_state - what was asked for on this command line
 * @object: row of the object table, NULL before it is known
 * @cmd: row of the command table
 * @json: --json
 * @quiet: --quiet
 * @netns: --netns, or NULL
 * @broker: --broker, or NULL
 * @out_tty: standard output is a terminal
 * @err_tty: standard error is a terminal
 * @color: colour on standard output
 * @err_color: colour on standard error
 */
struct kb_state {
	const struct kb_object *object;
	const struct kb_cmd *cmd;
	bool json;
	bool quiet;
	const char *netns;
	const char *broker;
	bool out_tty;
	bool err_tty;
	bool color;
	bool err_color;
};

extern struct kb_state kb;

/* table.c */
extern const struct kb_object kb_objects[];
extern const struct kb_opt kb_global_opts[];
const struct kb_object *kb_object_find(const char *name);
const struct kb_cmd *kb_cmd_find(const struct kb_object *obj, const char *name);
void kb_args_count(const char *args, int *min, int *max);
const char *kb_guess(const char *word, const char *const *words, size_t n);

/* opts.c */
int kb_opts_parse(int argc, char **argv, const struct kb_opt *opts, bool stop_at_word,
		  char ***rest, int *rest_count);
bool kb_opt_known(const char *name);
bool kb_opt_has(const char *name);
const char *kb_opt_get(const char *name);
const char *kb_opt_nth(const char *name, size_t n);
int kb_opt_s64(const char *name, int64_t min, int64_t max, int64_t *val);
int kb_opt_size(const char *name, int64_t min, int64_t max, int64_t *val);
int kb_arg_s64(const char *what, const char *text, int64_t min, int64_t max, int64_t *val);
int kb_parse_time(const char *what, const char *text, int64_t *ms);
void kb_opts_release(void);

/* error.c */
int kb_usage(const char *fmt, ...) kb_printf(1, 2);
int kb_fail(int err, const char *hint, const char *fmt, ...) kb_printf(3, 4);
void kb_warn(const char *fmt, ...) kb_printf(1, 2);
void kb_note(const char *fmt, ...) kb_printf(1, 2);
const char *kb_errno_name(int err);
void *kb_alloc(size_t size);
void *kb_realloc(void *p, size_t size);
char *kb_strdup(const char *s);
char *kb_asprintf(const char *fmt, ...) kb_printf(1, 2);

/* output.c */
#define KB_BOLD		"\033[1m"
#define KB_DIM		"\033[2m"
#define KB_RED		"\033[31m"
#define KB_GREEN	"\033[32m"
#define KB_YELLOW	"\033[33m"
#define KB_RESET	"\033[0m"

struct kb_table;
struct kb_table *kb_table_new(const char *const *heads, size_t columns);
void kb_table_cell(struct kb_table *tab, const char *fmt, ...) kb_printf(2, 3);
int kb_table_print(struct kb_table *tab);
void kb_table_free(struct kb_table *tab);
void kb_field(const char *name, const char *fmt, ...) kb_printf(2, 3);
void kb_section(const char *fmt, ...) kb_printf(1, 2);
char *kb_disarm(char *text);
const char *kb_color(const char *code);
const char *kb_human_bytes(uint64_t bytes, char buf[16]);
const char *kb_human_time(int64_t ms, char buf[40]);
const char *kb_human_span(int64_t ms, char buf[24]);
int kb_out_close(void);
int kb_out_check(void);

/* progress.c */
struct kb_progress {
	const char *what;
	int64_t started_ms;
	int64_t shown_ms;
	bool on;
	bool drawn;
};

void kb_progress_start(struct kb_progress *pr, const char *what);
void kb_progress_update(struct kb_progress *pr, uint64_t done, uint64_t total, const char *fmt, ...)
	kb_printf(4, 5);
void kb_progress_end(struct kb_progress *pr);
int64_t kb_now_ms(void);
int64_t kb_mono_ms(void);
int64_t kb_mono_ns(void);

/* signals.c: the first SIGINT or SIGTERM asks to finish, the second kills */
struct pollfd;
void kb_signals_catch(void);
int kb_wait_input(int fd, int timeout_ms);
int kb_poll(struct pollfd *fds, unsigned int n, int timeout_ms);
bool kb_interrupted(void);
int kb_signal_number(void);

/* commands */
extern const struct kb_cmd kb_cmds_broker[];
extern const struct kb_cmd kb_cmds_listener[];
extern const struct kb_cmd kb_cmds_connection[];
extern const struct kb_cmd kb_cmds_topic[];
extern const struct kb_cmd kb_cmds_partition[];
extern const struct kb_cmd kb_cmds_group[];
extern const struct kb_cmd kb_cmds_cluster[];
extern const struct kb_cmd kb_cmds_peer[];
extern const struct kb_cmd kb_cmds_replica[];
extern const struct kb_cmd kb_cmds_request[];
extern const struct kb_cmd kb_cmds_op[];
extern const struct kb_cmd kb_cmds_module[];
extern const struct kb_cmd kb_cmds_produce[];
extern const struct kb_cmd kb_cmds_consume[];
extern const struct kb_cmd kb_cmds_monitor[];
extern const struct kb_cmd kb_cmds_log[];
extern const struct kb_cmd kb_cmds_bench[];
extern const struct kb_cmd kb_cmds_version[];
extern const struct kb_cmd kb_cmds_completion[];
extern const struct kb_cmd kb_cmds_help[];

#endif /* KBROKER_TOOL_H */
