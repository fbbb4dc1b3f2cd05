/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The daemon of this node's cluster: its directory, its program, and questions
 * to it.
 */
#ifndef KBROKER_TOOL_DAEMON_H
#define KBROKER_TOOL_DAEMON_H

#include "kbroker.h"
#include "kbrokerd/encode.h"

#define KB_OPT_DAEMON_DIR { "daemon-dir", 0, "DIR", "the daemon's directory (default: /var/lib/kbrokerd/BROKER)" }

/**
 * struct kb_answer - an answer of a daemon
 * @msg: what it says; points into @data
 * @data: malloc()ed
 */
struct kb_answer {
	struct kbd_message msg;
	unsigned char *data;
};

/* directory of this node's daemon; free() it */
char *kb_daemon_dir(void);
/* that of the daemon of @broker, unless it was told another one; free() it */
char *kb_daemon_dir_of(const char *broker);

/**
 * kb_daemon_ask() - ask the daemon of this node, which asks the controller
 * @request: is freed
 * @answer: free its data with kb_answer_free(); not set after an error
 * @what: what was not done, should it be refused
 *
 * Return: KB_OK or KB_REFUSED (told).
 */
int kb_daemon_ask(struct kbd_buf *request, struct kb_answer *answer, const char *what);
void kb_answer_free(struct kb_answer *answer);

/**
 * kb_daemon_run() - run kbrokerd
 * @argv: its arguments, [0] included
 * @out: its standard output; NULL: not wanted. free() it
 *
 * Return: its exit status, or -1 (told).
 */
int kb_daemon_run(char *const argv[], char **out);
/* what file @name in @dir says of @key, in lines KEY=VALUE; "" nothing */
void kb_read_key(const char *dir, const char *name, const char *key, char *value, size_t size);
/* pid of the daemon of @dir, 0: none runs */
int kb_daemon_pid(const char *dir);

/* cluster_setup.c, cluster_status.c, cluster_move.c: commands of "cluster" */
extern const struct kb_opt kb_cluster_init_opts[];
extern const struct kb_opt kb_cluster_join_opts[];
extern const struct kb_opt kb_cluster_daemon_opts[];
extern const struct kb_opt kb_cluster_leave_opts[];
extern const struct kb_opt kb_cluster_reassign_opts[];
extern const struct kb_opt kb_cluster_elect_opts[];
int kb_cluster_init(int argc, char **argv);
int kb_cluster_join(int argc, char **argv);
int kb_cluster_token(int argc, char **argv);
int kb_cluster_start(int argc, char **argv);
int kb_cluster_stop(int argc, char **argv);
int kb_cluster_leave(int argc, char **argv);
int kb_cluster_status(int argc, char **argv);
int kb_cluster_reassign(int argc, char **argv);
int kb_cluster_elect(int argc, char **argv);

#endif /* KBROKER_TOOL_DAEMON_H */
