/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A daemon: one thread, one libuv loop. daemon.c joins the parts, calls.c
 * brings requests to the controller and answers back, members.c changes who
 * belongs to the Raft group.
 */
#ifndef _KBROKERD_DAEMON_H
#define _KBROKERD_DAEMON_H

#include "conf.h"
#include "controller.h"
#include "encode.h"
#include "frames.h"
#include "link.h"
#include "raft.h"
#include "rpc.h"
#include "session.h"
#include "transport.h"

struct kbd_call;
struct kbd_kernel_io;

/**
 * struct kbd_daemon - all of it
 * @conf: of its files
 * @loop: everything's
 * @listener: for other daemons
 * @local: the Unix socket, for the command
 * @tick: every KBD_TICK_MS
 * @before_wait: works off @news
 * @wake: the kernel's thread has something
 * @signals: that end the daemon
 * @transport: Raft's connections
 * @raft: the replicated log; NULL: not a member yet
 * @ctl: the controller
 * @session: with the kernel; NULL for a witness
 * @kernel: netlink
 * @news: the session is to be looked at
 * @leads: this daemon is the controller
 * @stopping: it ends
 * @exit_code: of the process
 * @links: connections whose other side has not proved itself yet
 * @conns: connections of frames that were accepted
 * @calls: requests without an answer, oldest first
 * @last_call: where the next one goes
 * @n_calls: how many of them are not the session's
 * @next_call: id of the next one
 * @above: to the controller; NULL none
 * @above_link: @above is being made
 * @above_id: node.id of that controller
 * @change: the member that is being added or removed, NULL none
 * @promoted_ms: when a member was last made a voter, or that failed
 * @joining: the request to become a member is under way
 * @join_ms: when it was last sent
 */
struct kbd_daemon {
	struct kbd_conf conf;
	uv_loop_t loop;
	uv_tcp_t listener;
	uv_pipe_t local;
	uv_timer_t tick;
	uv_prepare_t before_wait;
	uv_async_t wake;
	uv_signal_t signals[2];
	struct kbd_transport *transport;
	struct kbd_raft *raft;
	struct kbd_controller *ctl;
	struct kbd_session *session;
	struct kbd_kernel_io *kernel;
	bool news;
	bool leads;
	bool stopping;
	int exit_code;
	unsigned int links;
	unsigned int conns;
	struct kbd_call *calls;
	struct kbd_call **last_call;
	unsigned int n_calls;
	u64 next_call;
	struct kbd_frames *above;
	struct kbd_link *above_link;
	s32 above_id;
	struct kbd_change *change;
	u64 promoted_ms;
	bool joining;
	u64 join_ms;
};

#define KBD_TICK_MS	50

/** kbd_log() - a line for the log */
void kbd_log(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/**
 * kbd_daemon_run() - be a daemon until a signal ends it
 * @ready: called once requests are listened for
 *
 * Return: exit code of the process.
 */
int kbd_daemon_run(const struct kbd_conf *conf, void (*ready)(void *arg), void *arg);

/* ---- calls.c ---- */

/** kbd_calls_init() - before the first one */
void kbd_calls_init(struct kbd_daemon *daemon);
/** kbd_calls_accept() - a connection of frames; @stream is its from now on */
void kbd_calls_accept(struct kbd_daemon *daemon, uv_stream_t *stream);
/** kbd_calls_ask() - of this daemon's own session; kbd_session_answer() or kbd_session_lost() follows */
void kbd_calls_ask(struct kbd_daemon *daemon, u64 token, const void *data, size_t len);
/** kbd_calls_forget() - neither is to follow any more */
void kbd_calls_forget(struct kbd_daemon *daemon, u64 token);
/** kbd_calls_reply() - the answer to call @id, which may be gone */
void kbd_calls_reply(struct kbd_daemon *daemon, u64 id, const void *data, size_t len);
/** kbd_calls_refuse() - likewise, with an errno and a sentence */
void kbd_calls_refuse(struct kbd_daemon *daemon, u64 id, int err, const char *text);
/** kbd_calls_tick() - send what waits for a controller, give up what waited too long */
void kbd_calls_tick(struct kbd_daemon *daemon);
/** kbd_calls_work() - hand answers to the session; from the loop, not from within it */
void kbd_calls_work(struct kbd_daemon *daemon);

/* ---- members.c ---- */

/** kbd_members_join() - KBD_JOIN, at the controller */
void kbd_members_join(struct kbd_daemon *daemon, u64 call, const struct kbd_message *msg);
/** kbd_members_leave() - KBD_LEAVE, at the controller */
void kbd_members_leave(struct kbd_daemon *daemon, u64 call, const struct kbd_message *msg);
/** kbd_members_put() - a KBD_A_DAEMON for each */
void kbd_members_put(struct kbd_daemon *daemon, struct kbd_buf *buf);
/** kbd_members_tick() - the controller makes voters of new members */
void kbd_members_tick(struct kbd_daemon *daemon);

#endif /* _KBROKERD_DAEMON_H */
