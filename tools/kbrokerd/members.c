// SPDX-License-Identifier: GPL-2.0-only
/*
 * Who belongs to the Raft group. A daemon that comes is a spare at first, and is
 * made a voter by the controller once it has caught up. One that lost its
 * directory comes again under its id and address: the member that it was is
 * removed first, since the votes and the entries that it had promised to
 * remember are gone with its disk.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon.h"

/* After a member could not be made a voter */
#define AGAIN_MS	5000

/**
 * struct kbd_change - a change of the members that is under way
 * @daemon: whose
 * @call: who asked, 0: nobody
 * @id: the member
 * @address: to be added under, "": it is not to be added
 */
struct kbd_change {
	struct kbd_daemon *daemon;
	u64 call;
	s32 id;
	char address[KBD_DAEMON_ADDRESS_MAX + 1];
};

static void finish(struct kbd_change *change, int status, const char *text)
{
	struct kbd_daemon *daemon = change->daemon;

	if (change->call)
		kbd_calls_refuse(daemon, change->call, -status, text);
	daemon->change = NULL;
	free(change);
}

static const char *words(int status)
{
	switch (status) {
	case 0:
		return "";
	case -EREMOTE:
		return "the controller changed meanwhile; ask again";
	case -EBUSY:
		return "the cluster's daemons are being changed; ask again";
	case -EEXIST:
		return "another daemon has this id or this address";
	case -ENOENT:
		return "no daemon has this id";
	default:
		return strerror(-status);
	}
}

static void added(void *arg, int status)
{
	struct kbd_change *change = arg;

	if (!status)
		kbd_log("daemon %d at %s came", change->id, change->address);
	finish(change, status, words(status));
}

static void add(struct kbd_change *change)
{
	int err = kbd_raft_add(change->daemon->raft, change->id, change->address, added, change);

	if (err)
		finish(change, err, words(err));
}

static void removed(void *arg, int status)
{
	struct kbd_change *change = arg;

	if (!status)
		kbd_log("daemon %d went", change->id);
	if (status || !*change->address)
		finish(change, status, words(status));
	else
		add(change);
}

static void remove_member(struct kbd_change *change)
{
	int err = kbd_raft_remove(change->daemon->raft, change->id, removed, change);

	if (err)
		finish(change, err, words(err));
}

static bool find(struct kbd_daemon *daemon, s32 id, struct kbd_raft_member *member)
{
	unsigned int at;

	for (at = 0; kbd_raft_member(daemon->raft, at, member); at++)
		if (member->id == id)
			return true;
	return false;
}

static struct kbd_change *change_new(struct kbd_daemon *daemon, u64 call, s32 id)
{
	struct kbd_change *change = calloc(1, sizeof(*change));

	if (!change)
		abort();
	change->daemon = daemon;
	change->call = call;
	change->id = id;
	daemon->change = change;
	return change;
}

void kbd_members_join(struct kbd_daemon *daemon, u64 call, const struct kbd_message *msg)
{
	struct kbd_attr cluster[KBROKER_A_CLUSTER_MAX + 1], attrs[KBD_DAEMON_END];
	const struct kbd_attr *id = &cluster[KBROKER_A_CLUSTER_CLUSTER_ID];
	struct kbd_raft_member member;
	struct kbd_change *change;
	struct sockaddr_storage at;
	const char *address;
	u32 number;

	kbd_open(&msg->attr[KBD_A_CLUSTER], cluster, KBROKER_A_CLUSTER_MAX + 1);
	kbd_open(&msg->attr[KBD_A_DAEMON], attrs, KBD_DAEMON_END);
	address = kbd_text(&attrs[KBD_DAEMON_ADDRESS]);
	number = kbd_u32(&attrs[KBD_DAEMON_ID]);
	if (!id->data || !attrs[KBD_DAEMON_ID].data || number > KBROKER_ID_MAX ||
	    kbd_address(address, &at)) {
		kbd_calls_refuse(daemon, call, EINVAL, "cluster id, id and address are needed to join");
		return;
	}
	if (memcmp(id->data, daemon->conf.self.cluster, id->len)) {
		kbd_calls_refuse(daemon, call, EINVAL, "this is another cluster");
		return;
	}
	if (daemon->change) {
		kbd_calls_refuse(daemon, call, EBUSY, words(-EBUSY));
		return;
	}
	if (find(daemon, number, &member) && strcmp(member.address, address)) {
		kbd_calls_refuse(daemon, call, EEXIST, words(-EEXIST));
		return;
	}
	if ((s32)number == daemon->conf.self.id) {
		kbd_calls_refuse(daemon, call, EEXIST, words(-EEXIST));
		return;
	}
	change = change_new(daemon, call, number);
	strcpy(change->address, address);
	if (find(daemon, number, &member))
		remove_member(change);
	else
		add(change);
}

void kbd_members_leave(struct kbd_daemon *daemon, u64 call, const struct kbd_message *msg)
{
	struct kbd_attr attrs[KBD_DAEMON_END];
	struct kbd_raft_member member;
	u32 id;

	kbd_open(&msg->attr[KBD_A_DAEMON], attrs, KBD_DAEMON_END);
	id = kbd_u32(&attrs[KBD_DAEMON_ID]);
	if (!attrs[KBD_DAEMON_ID].data || !find(daemon, id, &member)) {
		kbd_calls_refuse(daemon, call, ENOENT, words(-ENOENT));
		return;
	}
	if (kbd_raft_member(daemon->raft, 0, &member) && !kbd_raft_member(daemon->raft, 1, &member)) {
		kbd_calls_refuse(daemon, call, EBUSY, "the last daemon of a cluster can't leave it");
		return;
	}
	if (daemon->change) {
		kbd_calls_refuse(daemon, call, EBUSY, words(-EBUSY));
		return;
	}
	remove_member(change_new(daemon, call, id));
}

void kbd_members_put(struct kbd_daemon *daemon, struct kbd_buf *buf)
{
	struct kbd_raft_member member;
	unsigned int at;

	for (at = 0; kbd_raft_member(daemon->raft, at, &member); at++) {
		size_t nest = kbd_nest(buf, KBD_A_DAEMON);

		kbd_put_u32(buf, KBD_DAEMON_ID, member.id);
		kbd_put_text(buf, KBD_DAEMON_ADDRESS, member.address);
		kbd_put_u8(buf, KBD_DAEMON_VOTER, member.role == KBD_RAFT_VOTER);
		kbd_put_u8(buf, KBD_DAEMON_LEADER, member.id == daemon->conf.self.id);
		kbd_nest_end(buf, nest);
	}
}

/* ---- promotion ---- */

static void promoted(void *arg, int status)
{
	struct kbd_change *change = arg;

	change->daemon->promoted_ms = uv_now(&change->daemon->loop) + (status ? AGAIN_MS : 0);
	if (!status)
		kbd_log("daemon %d votes", change->id);
	else if (status != -EREMOTE)
		kbd_log("daemon %d can't be made a voter yet: %s", change->id, words(status));
	finish(change, status, NULL);
}

void kbd_members_tick(struct kbd_daemon *daemon)
{
	struct kbd_raft_member member;
	struct kbd_change *change;
	unsigned int at;
	int err;

	if (!daemon->leads || daemon->change || uv_now(&daemon->loop) < daemon->promoted_ms)
		return;
	for (at = 0; kbd_raft_member(daemon->raft, at, &member); at++) {
		if (member.role == KBD_RAFT_VOTER)
			continue;
		change = change_new(daemon, 0, member.id);
		err = kbd_raft_assign(daemon->raft, member.id, KBD_RAFT_VOTER, promoted, change);
		if (err)
			promoted(change, err);
		return;
	}
}
