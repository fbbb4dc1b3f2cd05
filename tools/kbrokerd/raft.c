// SPDX-License-Identifier: GPL-2.0-only
/*
 * The replicated log, by libraft and its libuv backend.
 *
 * libraft wants ids above 0 and entries of a multiple of eight bytes: ids are
 * one more than the node's, and an entry is its length and then its bytes,
 * filled up with zeros.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <raft/uv.h>

#include "raft.h"

struct waiting {
	struct raft_apply request;
	struct kbd_raft *log;
	struct waiting *next;
	u64 token;
};

struct change {
	struct raft_change request;
	void (*done)(void *arg, int status);
	void *arg;
};

struct kbd_raft {
	struct raft raft;
	struct raft_io io;
	struct raft_fsm fsm;
	uv_prepare_t watch;
	struct raft_barrier barrier;
	const struct kbd_raft_ops *ops;
	void *arg;
	/* proposed and not applied, by rising index */
	struct waiting *waiting, **last;
	unsigned int n_waiting;
	bool barrier_waits;
	bool elected;
	bool leads;
	/* who was followed last, and when it was given up after so much silence */
	raft_id followed;
	u64 lost_ms;
	unsigned int election_ms;
	void (*stopped)(void *arg);
};

static int raft_errno(int error)
{
	switch (error) {
	case 0:
		return 0;
	case RAFT_NOMEM:
		return -ENOMEM;
	case RAFT_NOTLEADER:
	case RAFT_LEADERSHIPLOST:
	case RAFT_SHUTDOWN:
	case RAFT_CANCELED:
		return -EREMOTE;
	case RAFT_BUSY:
	case RAFT_CANTCHANGE:
		return -EBUSY;
	case RAFT_DUPLICATEID:
	case RAFT_DUPLICATEADDRESS:
		return -EEXIST;
	case RAFT_BADID:
	case RAFT_NOTFOUND:
		return -ENOENT;
	case RAFT_BADROLE:
		return -EALREADY;
	case RAFT_NOSPACE:
		return -ENOSPC;
	case RAFT_CORRUPT:
	case RAFT_MALFORMED:
		return -EPROTO;
	case RAFT_NAMETOOLONG:
		return -ENAMETOOLONG;
	default:
		return -EIO;
	}
}

static int fsm_apply(struct raft_fsm *fsm, const struct raft_buffer *buf, void **result)
{
	struct kbd_raft *log = fsm->data;
	u64 index = raft_last_applied(&log->raft) + 1, len;

	*result = NULL;
	if (buf->len < sizeof(len))
		return RAFT_MALFORMED;
	memcpy(&len, buf->base, sizeof(len));
	if (len > buf->len - sizeof(len))
		return RAFT_MALFORMED;
	if (log->ops->apply(log->arg, index, (const char *)buf->base + sizeof(len), len,
			    log->waiting && log->waiting->request.index == index ?
			    log->waiting->token : 0))
		return RAFT_MALFORMED;
	return 0;
}

static int fsm_snapshot(struct raft_fsm *fsm, struct raft_buffer *bufs[], unsigned int *n_bufs)
{
	struct kbd_raft *log = fsm->data;

	*bufs = raft_malloc(sizeof(**bufs));
	if (!*bufs)
		return RAFT_NOMEM;
	log->ops->snapshot(log->arg, &(*bufs)->base, &(*bufs)->len);
	*n_bufs = 1;
	return 0;
}

static int fsm_restore(struct raft_fsm *fsm, struct raft_buffer *buf)
{
	struct kbd_raft *log = fsm->data;

	if (log->ops->restore(log->arg, buf->base, buf->len))
		return RAFT_MALFORMED;
	raft_free(buf->base);
	return 0;
}

static void barrier_passed(struct raft_barrier *request, int status)
{
	struct kbd_raft *log = request->data;

	log->barrier_waits = false;
	if (status || !log->elected)
		return;
	log->leads = true;
	log->ops->lead(log->arg, true);
	if (log->followed && log->followed != log->raft.id)
		log->ops->silent(log->arg, (s32)(log->followed - 1),
				 uv_now(log->watch.loop) - log->lost_ms + log->election_ms);
}

/* A follower gives up its leader when it has heard nothing for the election timeout. */
static void watch_leader(struct kbd_raft *log)
{
	const char *address;
	raft_id id = 0;

	raft_leader(&log->raft, &id, &address);
	if (id) {
		log->followed = id;
		log->lost_ms = 0;
	} else if (!log->lost_ms) {
		log->lost_ms = uv_now(log->watch.loop);
	}
}

/* Before each wait of the loop: libraft does not tell who came to lead */
static void watch_leadership(uv_prepare_t *watch)
{
	struct kbd_raft *log = watch->data;
	bool elected = raft_state(&log->raft) == RAFT_LEADER;

	if (!elected)
		watch_leader(log);
	if (log->elected && !elected) {
		log->elected = false;
		if (log->leads) {
			log->leads = false;
			log->ops->lead(log->arg, false);
		}
	}
	if (!elected || log->leads || log->barrier_waits)
		return;
	log->elected = true;
	log->barrier.data = log;
	log->barrier_waits = !raft_barrier(&log->raft, &log->barrier, barrier_passed);
}

static void io_closed(struct raft *raft)
{
	struct kbd_raft *log = raft->data;
	void (*stopped)(void *arg) = log->stopped;
	void *arg = log->arg;

	raft_uv_close(&log->io);
	free(log);
	stopped(arg);
}

static void watch_closed(uv_handle_t *watch)
{
	struct kbd_raft *log = watch->data;

	raft_close(&log->raft, io_closed);
}

void kbd_raft_stop(struct kbd_raft *log, void (*done)(void *arg))
{
	log->stopped = done;
	uv_close((uv_handle_t *)&log->watch, watch_closed);
}

static int begin_cluster(struct kbd_raft *log, const struct kbd_raft_options *options)
{
	struct raft_configuration configuration;
	int rv;

	raft_configuration_init(&configuration);
	rv = raft_configuration_add(&configuration, (raft_id)options->id + 1, options->address,
				    RAFT_VOTER);
	if (!rv)
		rv = raft_bootstrap(&log->raft, &configuration);
	raft_configuration_close(&configuration);
	return rv == RAFT_CANTBOOTSTRAP ? 0 : rv;
}

static void nothing(void *arg)
{
	(void)arg;
}

int kbd_raft_start(struct uv_loop_s *loop, struct raft_uv_transport *transport,
		   const struct kbd_raft_options *options, const struct kbd_raft_ops *ops, void *arg,
		   struct kbd_raft **result, char *error, size_t error_size)
{
	unsigned int election_ms = options->election_ms ?: KBD_RAFT_ELECTION_MS;
	struct kbd_raft *log;
	int rv;

	if (options->id < 0)
		return -EINVAL;
	log = calloc(1, sizeof(*log));
	if (!log)
		return -ENOMEM;
	log->ops = ops;
	log->arg = arg;
	log->last = &log->waiting;
	log->fsm.version = 1;
	log->fsm.data = log;
	log->fsm.apply = fsm_apply;
	log->fsm.snapshot = fsm_snapshot;
	log->fsm.restore = fsm_restore;
	rv = raft_uv_init(&log->io, loop, options->dir, transport);
	if (rv) {
		snprintf(error, error_size, "%s: %s", options->dir, log->io.errmsg);
		free(log);
		return raft_errno(rv);
	}
	raft_uv_set_connect_retry_delay(&log->io, election_ms / 2);
	rv = raft_init(&log->raft, &log->io, &log->fsm, (raft_id)options->id + 1, options->address);
	if (rv) {
		snprintf(error, error_size, "%s", raft_errmsg(&log->raft));
		raft_uv_close(&log->io);
		free(log);
		return raft_errno(rv);
	}
	log->raft.data = log;
	log->election_ms = election_ms;
	raft_set_election_timeout(&log->raft, election_ms);
	raft_set_heartbeat_timeout(&log->raft, election_ms / (KBD_RAFT_ELECTION_MS / KBD_RAFT_HEARTBEAT_MS));
	/* one that was cut off does not depose the leader when it returns */
	raft_set_pre_vote(&log->raft, true);
	if (options->snapshot_entries) {
		raft_set_snapshot_threshold(&log->raft, options->snapshot_entries);
		raft_set_snapshot_trailing(&log->raft, options->snapshot_entries / 2);
	}
	uv_prepare_init(loop, &log->watch);
	log->watch.data = log;
	rv = options->bootstrap ? begin_cluster(log, options) : 0;
	if (!rv)
		rv = raft_start(&log->raft);
	if (rv) {
		snprintf(error, error_size, "%s: %s", options->dir, raft_errmsg(&log->raft));
		kbd_raft_stop(log, nothing);
		return raft_errno(rv);
	}
	uv_prepare_start(&log->watch, watch_leadership);
	*result = log;
	return 0;
}

/* Those that wait are applied, or lost with the leadership, in order */
static void applied(struct raft_apply *request, int status, void *result)
{
	struct waiting *waiting = request->data, **at;
	struct kbd_raft *log = waiting->log;

	(void)status;
	(void)result;
	for (at = &log->waiting; *at != waiting; at = &(*at)->next)
		;
	*at = waiting->next;
	if (!*at)
		log->last = at;
	log->n_waiting--;
	free(waiting);
}

int kbd_raft_propose(struct kbd_raft *log, const void *entry, size_t len, u64 token)
{
	struct waiting *waiting;
	struct raft_buffer buf;
	u64 length = len;
	int rv;

	if (len > KBD_RAFT_ENTRY_MAX)
		return -EMSGSIZE;
	if (!log->leads)
		return -EREMOTE;
	if (log->n_waiting == KBD_RAFT_WAITING_MAX)
		return -EBUSY;
	waiting = calloc(1, sizeof(*waiting));
	buf.len = (sizeof(length) + len + 7) & ~(size_t)7;
	buf.base = raft_calloc(1, buf.len);
	if (!waiting || !buf.base) {
		free(waiting);
		raft_free(buf.base);
		return -ENOMEM;
	}
	memcpy(buf.base, &length, sizeof(length));
	memcpy((char *)buf.base + sizeof(length), entry, len);
	waiting->request.data = waiting;
	waiting->log = log;
	waiting->token = token;
	*log->last = waiting;
	log->last = &waiting->next;
	log->n_waiting++;
	rv = raft_apply(&log->raft, &waiting->request, &buf, 1, applied);
	if (rv) {
		applied(&waiting->request, rv, NULL);
		raft_free(buf.base);
	}
	return raft_errno(rv);
}

static void changed(struct raft_change *request, int status)
{
	struct change *change = request->data;

	change->done(change->arg, raft_errno(status));
	free(change);
}

static struct change *change_new(void (*done)(void *arg, int status), void *arg)
{
	struct change *change = calloc(1, sizeof(*change));

	if (!change)
		return NULL;
	change->request.data = change;
	change->done = done;
	change->arg = arg;
	return change;
}

/* Frees what the library did not take */
static int change_asked(struct change *change, int rv)
{
	if (rv)
		free(change);
	return raft_errno(rv);
}

int kbd_raft_add(struct kbd_raft *log, s32 id, const char *address,
		 void (*done)(void *arg, int status), void *arg)
{
	struct change *change = change_new(done, arg);

	if (!change)
		return -ENOMEM;
	return change_asked(change, raft_add(&log->raft, &change->request, (raft_id)id + 1, address,
					     changed));
}

int kbd_raft_assign(struct kbd_raft *log, s32 id, enum kbd_raft_role role,
		    void (*done)(void *arg, int status), void *arg)
{
	static const int roles[] = {
		[KBD_RAFT_STANDBY] = RAFT_STANDBY,
		[KBD_RAFT_VOTER] = RAFT_VOTER,
		[KBD_RAFT_SPARE] = RAFT_SPARE,
	};
	struct change *change = change_new(done, arg);

	if (!change)
		return -ENOMEM;
	return change_asked(change, raft_assign(&log->raft, &change->request, (raft_id)id + 1,
						roles[role], changed));
}

int kbd_raft_remove(struct kbd_raft *log, s32 id, void (*done)(void *arg, int status), void *arg)
{
	struct change *change = change_new(done, arg);

	if (!change)
		return -ENOMEM;
	return change_asked(change, raft_remove(&log->raft, &change->request, (raft_id)id + 1,
						changed));
}

bool kbd_raft_member(struct kbd_raft *log, unsigned int at, struct kbd_raft_member *member)
{
	const struct raft_configuration *members = &log->raft.configuration;

	if (at >= members->n)
		return false;
	member->id = (s32)(members->servers[at].id - 1);
	member->address = members->servers[at].address;
	member->role = members->servers[at].role == RAFT_VOTER ? KBD_RAFT_VOTER :
		       members->servers[at].role == RAFT_STANDBY ? KBD_RAFT_STANDBY : KBD_RAFT_SPARE;
	return true;
}

s32 kbd_raft_leader(struct kbd_raft *log, const char **address)
{
	raft_id id = 0;

	raft_leader(&log->raft, &id, address);
	return id ? (s32)(id - 1) : -1;
}
