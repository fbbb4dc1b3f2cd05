/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A cluster's controller: the state that the daemons replicate, and what the
 * one that leads them decides by the clock.
 *
 * Every daemon has one struct kbd_controller. Committed entries of the Raft
 * log are applied on all of them, in order, and change its state in the same
 * way. The Raft leader's keeps the sessions of the brokers besides, and
 * answers requests: it proposes entries, and replies when they were applied.
 *
 * It does no I/O and reads no clock: time is an argument, in milliseconds of
 * any clock that never goes back, and the rest is struct kbd_controller_ops.
 * Where there is no memory it ends the process: another daemon takes over.
 *
 * No lock: all calls come from one thread. An operation may be called from
 * within each function that takes the controller; none may call back into it.
 */
#ifndef _KBROKERD_CONTROLLER_H
#define _KBROKERD_CONTROLLER_H

#include <stddef.h>

#include <linux/types.h>

struct kbd_controller;
struct kbd_state;
struct kbd_touched;

/**
 * struct kbd_controller_ops - what a controller needs of its daemon
 * @propose: append an entry to the Raft log. 0, or a negative errno where this
 *	daemon does not lead, or no more entries can wait. The entry is applied
 *	later (kbd_controller_apply(), with @token), or the leadership ends
 *	first (kbd_controller_lead()). The bytes are copied.
 * @reply: answer request @call. Each request is answered exactly once. The
 *	bytes are copied.
 * @applied: an entry or a snapshot was applied; see kbd_controller_state().
 *	@touched: what it changed; NULL: everything (a snapshot)
 * @random: fill @buf with random bytes (ids of topics)
 * @log: a line for the daemon's log; no end of line
 */
struct kbd_controller_ops {
	int (*propose)(void *arg, const void *entry, size_t len, u64 token);
	void (*reply)(void *arg, u64 call, const void *answer, size_t len);
	void (*applied)(void *arg, u64 index, const struct kbd_touched *touched);
	void (*random)(void *arg, void *buf, size_t len);
	void (*log)(void *arg, const char *text);
};

/**
 * struct kbd_controller_options - times, in milliseconds
 * @session_ms: without a heartbeat for so long, a broker is fenced
 * @balance_ms: leader.imbalance.check.interval.seconds: how often leaderships
 *	go back to the preferred replicas; 0 never
 * @balance_delay_ms: a broker leads so long after its return at the earliest
 */
struct kbd_controller_options {
	u64 session_ms;
	u64 balance_ms;
	u64 balance_delay_ms;
};

#define KBD_SESSION_MS		500
#define KBD_HEARTBEAT_MS	100
#define KBD_BALANCE_MS		300000
#define KBD_BALANCE_DELAY_MS	30000

/**
 * kbd_controller_new() - an empty state
 * @ops: stays the caller's
 * @options: copied; NULL: the defaults above
 */
struct kbd_controller *kbd_controller_new(const struct kbd_controller_ops *ops, void *arg,
					  const struct kbd_controller_options *options);
void kbd_controller_free(struct kbd_controller *ctl);

/**
 * kbd_controller_apply() - a committed entry, on every daemon
 * @index: of the entry in the Raft log; rises
 * @token: as it was proposed with, 0 if it was not by this daemon
 * @now_ms: for the sessions; the state does not depend on it
 *
 * Return: 0; -EPROTO: it is of a newer version, or damaged. The daemon
 * cannot follow its cluster then and must end; @ops->log was told why.
 */
int kbd_controller_apply(struct kbd_controller *ctl, u64 index, const void *entry, size_t len,
			 u64 token, u64 now_ms);

/** kbd_controller_snapshot() - the state as it is, malloc()ed */
void kbd_controller_snapshot(const struct kbd_controller *ctl, void **data, size_t *len);

/** kbd_controller_restore() - the state becomes that of a snapshot; 0 or -EPROTO */
int kbd_controller_restore(struct kbd_controller *ctl, const void *data, size_t len);

/**
 * kbd_controller_lead() - this daemon came to lead the Raft group, or does no longer
 *
 * A new leader gives every broker a whole session. One that ceases to lead
 * answers what is open with EAGAIN; it may have been done.
 */
void kbd_controller_lead(struct kbd_controller *ctl, bool leads, u64 now_ms);

/**
 * kbd_controller_silent() - after kbd_controller_lead(): nothing was heard of a daemon
 * @id: its broker's node.id
 *
 * The silence for which this daemon took over the lead is its broker's, too: its
 * session does not begin anew.
 */
void kbd_controller_silent(struct kbd_controller *ctl, s32 id, u64 silent_ms, u64 now_ms);

/**
 * kbd_controller_tick() - time has passed; to be called on each daemon
 *
 * Return: milliseconds after which it wants to be called again.
 */
unsigned int kbd_controller_tick(struct kbd_controller *ctl, u64 now_ms);

/**
 * kbd_controller_rpc() - a request of a daemon or of the command line
 * @call: to answer it with @ops->reply, at once or later
 * @data: see encode.h
 *
 * To be called on the Raft leader; elsewhere the answer is ENOTCONN.
 */
void kbd_controller_rpc(struct kbd_controller *ctl, u64 call, const void *data, size_t len,
			u64 now_ms);

/** kbd_controller_state() - what was applied; valid until the next call of the above */
const struct kbd_state *kbd_controller_state(const struct kbd_controller *ctl);

#endif /* _KBROKERD_CONTROLLER_H */
