/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The log that the daemons of a cluster replicate. raft.c is the only file
 * that knows which Raft library does it.
 *
 * All calls and all operations are on the thread of one libuv loop. No
 * operation may call kbd_raft_stop(). The process ignores SIGPIPE.
 */
#ifndef _KBROKERD_RAFT_H
#define _KBROKERD_RAFT_H

#include <stdbool.h>
#include <stddef.h>

#include <linux/types.h>

struct kbd_raft;
struct raft_uv_transport;
struct uv_loop_s;

/* Bytes of one entry, and entries that wait to be applied */
#define KBD_RAFT_ENTRY_MAX	(1U << 20)
#define KBD_RAFT_WAITING_MAX	1024

#define KBD_RAFT_ELECTION_MS	250
#define KBD_RAFT_HEARTBEAT_MS	50

/**
 * struct kbd_raft_ops - what the log needs of its daemon
 * @apply: a committed entry; @index rises; @token as it was proposed with, 0 if
 *	not by this daemon. Other than 0 ends the applying of entries: the
 *	daemon must end.
 * @snapshot: the state as it is, malloc()ed
 * @restore: the state becomes that of a snapshot; 0, or a negative errno
 * @lead: this daemon came to lead, and has applied all that was committed
 *	before; or it does no longer, and what it proposed may never be applied
 * @silent: with @lead, if this daemon came to lead since another one fell silent:
 *	nothing was heard of @id for @silent_ms at least
 */
struct kbd_raft_ops {
	int (*apply)(void *arg, u64 index, const void *entry, size_t len, u64 token);
	void (*snapshot)(void *arg, void **data, size_t *len);
	int (*restore)(void *arg, const void *data, size_t len);
	void (*lead)(void *arg, bool leads);
	void (*silent)(void *arg, s32 id, u64 silent_ms);
};

/**
 * struct kbd_raft_options - who this daemon is
 * @dir: where the log is; must exist
 * @id: of this node, 0 or more
 * @address: where the others reach it, "ADDRESS:PORT"
 * @election_ms: without a leader for so long, up to twice that, it stands for
 *	election; 0: KBD_RAFT_ELECTION_MS
 * @snapshot_entries: takes a snapshot after so many entries; 0: the library's
 *	default
 * @bootstrap: begin a cluster with this daemon as its only voter; a log that
 *	exists is kept
 */
struct kbd_raft_options {
	const char *dir;
	s32 id;
	const char *address;
	unsigned int election_ms;
	unsigned int snapshot_entries;
	bool bootstrap;
};

/**
 * kbd_raft_start() - read the log and take part in elections
 * @transport: connections to and from others; stays the caller's until the end
 * @ops: stays the caller's
 * @error: what failed, in words
 *
 * Return: 0, or a negative errno.
 */
int kbd_raft_start(struct uv_loop_s *loop, struct raft_uv_transport *transport,
		   const struct kbd_raft_options *options, const struct kbd_raft_ops *ops, void *arg,
		   struct kbd_raft **result, char *error, size_t error_size);

/** kbd_raft_stop() - end it; @done is called from the loop when nothing of it is left */
void kbd_raft_stop(struct kbd_raft *log, void (*done)(void *arg));

/**
 * kbd_raft_propose() - append an entry
 * @token: to be told by @ops->apply; not 0
 *
 * Return: 0; -EREMOTE: this daemon does not lead; -EBUSY: too many wait;
 * -EMSGSIZE; -ENOMEM; -EIO.
 */
int kbd_raft_propose(struct kbd_raft *log, const void *entry, size_t len, u64 token);

/** enum kbd_raft_role - what a member does */
enum kbd_raft_role {
	KBD_RAFT_STANDBY,
	KBD_RAFT_VOTER,
	KBD_RAFT_SPARE,
};

/**
 * kbd_raft_add() - a new member, a spare at first
 * @done: status is 0, or a negative errno as of kbd_raft_propose()
 *
 * One change of the members at a time: -EBUSY. -EEXIST: the id or the address
 * is a member's.
 */
int kbd_raft_add(struct kbd_raft *log, s32 id, const char *address,
		 void (*done)(void *arg, int status), void *arg);

/** kbd_raft_assign() - give a member a role; a voter is caught up first; -EALREADY, -ENOENT */
int kbd_raft_assign(struct kbd_raft *log, s32 id, enum kbd_raft_role role,
		    void (*done)(void *arg, int status), void *arg);

/** kbd_raft_remove() - a member is one no more; -ENOENT */
int kbd_raft_remove(struct kbd_raft *log, s32 id, void (*done)(void *arg, int status), void *arg);

/**
 * struct kbd_raft_member - a daemon of the cluster
 * @id: node.id
 * @address: where the others reach it; valid until the loop goes on
 * @role: what it does
 */
struct kbd_raft_member {
	s32 id;
	const char *address;
	enum kbd_raft_role role;
};

/** kbd_raft_member() - the member at place @at, from 0; false: there are no more */
bool kbd_raft_member(struct kbd_raft *log, unsigned int at, struct kbd_raft_member *member);

/** kbd_raft_leader() - the leader's id, -1 unknown; its address is valid until the loop goes on */
s32 kbd_raft_leader(struct kbd_raft *log, const char **address);

#endif /* _KBROKERD_RAFT_H */
