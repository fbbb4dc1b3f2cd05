/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Deterministic simulation of a cluster: brokers as they are, over RAM disks
 * that lose what was not synced, with the daemon's own decisions
 * (tools/kbrokerd/decide.c), and a network, a clock and a metadata log that
 * are the simulation's. All that happens is drawn from one seed.
 *
 * Real: all of a broker but its sockets: logs, recovery, checkpoints, roles,
 * high watermarks, what it asks of the controller.
 * Simulated: Fetches and their answers (the calls are those of
 * server/api_fetch.c and fetcher/fetch.c), the daemons (what a session tells
 * its kernel), an ideal log of decisions, the clients, the time.
 *
 * One thread does all of it. A broker's syncer is taken away from it once it
 * runs: the simulation syncs instead, when its dice say so, and lets other
 * things happen while a sync is under way. What a broker does on a workqueue
 * is waited for.
 */
#ifndef _KBR_TESTS_SIM_H
#define _KBR_TESTS_SIM_H

#include <linux/prandom.h>

#include "broker/cluster.h"
#include "broker/replica.h"
#include "broker/request.h"
#include "broker_test.h"
#include "../../tools/kbrokerd/decide.h"

#define SIM_NODES	3
#define SIM_RECORDS_MAX	1024
#define SIM_EPOCHS_MAX	512
#define SIM_PENDING_MAX	32
#define SIM_MSGS_MAX	48
#define SIM_BUF		(64 << 10)
/* Records that are produced, at most; of a batch; and bytes of one that is tried again */
#define SIM_VALUES_MAX	4096
#define SIM_BATCH_RECORDS	3
#define SIM_BATCH_MAX	1024

/* Bugs that are planted, to see that they are found */
enum sim_bug {
	SIM_BUG_NONE,
	SIM_BUG_UNSYNCED,	/* a follower says that it has synced all that it has */
	SIM_BUG_TRUNCATE,	/* a follower cuts its log at its high watermark, not by epochs */
	SIM_BUG_STALE_EPOCH,	/* what a broker was in an older life is believed of its present one */
	SIM_BUG_STALE_REFUSED,	/* none, but the same story as for that */
	SIM_BUG_ISR_ALONE,	/* a leader changes the in-sync set without the controller */
	SIM_BUG_NOT_FORGOTTEN,	/* async: who lost power is in sync as before */
};

enum sim_msg_kind {
	SIM_FETCH,	/* follower to leader */
	SIM_ANSWER,	/* and back */
	SIM_STATE,	/* the controller tells a broker what is */
	SIM_WISH,	/* a leader asks for another in-sync set */
};

/**
 * struct sim_msg - under way
 * @node: in sim.msgs
 * @kind: what it is
 * @from: node (index) that it comes from; STATE, WISH: that it is about
 * @to: node that it goes to; likewise
 * @life: broker epoch of the follower (FETCH, ANSWER), or of @to
 * @late: it does not come before this event
 * @conn: FETCH, ANSWER: connection of the follower
 * @fetch: FETCH, and what ANSWER answers
 * @error: ANSWER: errno
 * @diverges: ANSWER: @diverging is set
 * @diverging: ANSWER
 * @bounds: ANSWER
 * @buf: ANSWER: records
 * @len: bytes of @buf
 * @part: STATE
 * @peers: STATE
 * @wish: WISH
 */
struct sim_msg {
	struct list_head node;
	enum sim_msg_kind kind;
	unsigned int from;
	unsigned int to;
	s64 life;
	unsigned int late;
	u32 conn;
	struct kbr_replica_fetch fetch;
	int error;
	bool diverges;
	struct kbr_replica_diverging diverging;
	struct kbr_partition_bounds bounds;
	u8 *buf;
	size_t len;
	struct kbd_partition part;
	struct kbr_peer peers[SIM_NODES];
	struct kbr_isr_wish wish;
};

/**
 * struct sim_node - a broker with its daemon
 * @tb: the broker and its disk
 * @real_sync_many: of the disk
 * @up: it runs
 * @linked: its daemon reaches the controller
 * @lost: it may lack what it had, and the controller does not know yet: its disk was
 *	replaced by an empty one or is damaged, or it lost power with records that are
 *	not synced (async)
 * @refuses: its disk takes no writes, until a sync
 * @syncing: a sync of its log is under way
 * @image: it lost power during that: what the disk is then
 * @broker: reference while it runs
 * @syncer: its own, which rests
 * @topic: reference while it runs
 * @part: its partition
 * @life: broker epoch of this start, -1 not registered yet
 * @joined: life in which it was told its epoch, -1 none
 * @hw: high watermark that was seen in this life
 * @read: so far its records were looked at in this life
 * @conn: connection as a follower
 * @in_flight: a Fetch is under way
 * @told: high watermark in the last answer
 */
struct sim_node {
	struct kbr_test_broker *tb;
	int (*real_sync_many)(struct kbr_dir *dir, struct kbr_file **files, int *errs,
			      unsigned int n);
	bool up;
	bool linked;
	bool lost;
	bool refuses;
	bool syncing;
	struct kbr_dir *image;
	struct kbr_broker *broker;
	struct kbr_syncer *syncer;
	struct kbr_topic *topic;
	struct kbr_partition *part;
	s64 life;
	s64 joined;
	s64 hw;
	s64 read;
	u32 conn;
	bool in_flight;
	s64 told;
};

/* A batch whose producer waits */
struct sim_pending {
	unsigned int at;	/* node */
	s64 life;
	s64 base;
	s64 last;
	u32 failures;
	u32 hash;
};

/**
 * struct sim_persistent - an idempotent producer, which tries again until it is acknowledged
 * @batch: what it has to say, @len bytes, as its client made it
 * @len: 0: nothing
 * @first: value of its first record
 * @count: records
 * @sequence: of the first
 * @leader_epoch: that some node took it in, -1 none
 * @waits: some node took it
 * @sent: which, and where
 */
struct sim_persistent {
	u8 batch[SIM_BATCH_MAX];
	size_t len;
	u32 first;
	unsigned int count;
	s32 sequence;
	s32 leader_epoch;
	bool waits;
	struct sim_pending sent;
};

/**
 * struct sim_record - what is known of an offset
 * @hash: of the batch that a reader saw there, or a producer was promised; 0: of none
 * @acked: it was acknowledged
 */
struct sim_record {
	u32 hash;
	bool acked;
};

/**
 * struct sim - one run
 * @test: the running test
 * @rnd: everything is drawn from here
 * @seed: the seed
 * @bug: planted
 * @verbose: print all that happens
 * @node: the brokers
 * @min_isr: min.insync.replicas
 * @async: flush.policy=async
 * @trouble: so many events of a hundred are faults
 * @loss: one message of so many is lost
 * @lateness: one message of so many is late
 * @disk_loss: one disk of so many is lost with its broker's power
 * @calm: nothing goes wrong any more
 * @stalled: the controller decides nothing
 * @cut: @cut[a][b]: what a sends does not reach b
 * @now: simulated time, ms
 * @brokers: what the controller knows
 * @part: what the controller decided
 * @next_epoch: broker epoch of the next registration
 * @msgs: under way
 * @count: of them
 * @record: by offset
 * @values: how many records were produced
 * @leader: by leader epoch: who led, -1 nobody
 * @pending: batches whose producers wait
 * @waiting: of them
 * @persistent: a producer that tries again
 * @promised: by value: offset that it was acknowledged at, and one more; 0 it was not
 * @hash: of all that happened
 * @step: how many events there were
 * @acks: records that were acknowledged
 * @buf: to read into
 * @what: what went wrong, NULL nothing
 * @detail: numbers to go with it
 */
struct sim {
	struct kunit *test;
	struct rnd_state rnd;
	u64 seed;
	enum sim_bug bug;
	bool verbose;
	struct sim_node node[SIM_NODES];
	unsigned int min_isr;
	bool async;
	unsigned int trouble;
	unsigned int loss;
	unsigned int lateness;
	unsigned int disk_loss;
	bool calm;
	bool stalled;
	bool cut[SIM_NODES][SIM_NODES];
	s64 now;
	struct kbd_brokers brokers;
	struct kbd_partition part;
	s64 next_epoch;
	struct list_head msgs;
	unsigned int count;
	struct sim_record record[SIM_RECORDS_MAX];
	u32 values;
	s32 leader[SIM_EPOCHS_MAX];
	struct sim_pending pending[SIM_PENDING_MAX];
	unsigned int waiting;
	struct sim_persistent persistent;
	s64 promised[SIM_VALUES_MAX];
	u32 hash;
	unsigned int step;
	unsigned int acks;
	u8 *buf;
	const char *what;
	s64 detail[3];
};

u32 sim_below(struct sim *s, u32 n);
/** sim_expect() - note the first thing that is wrong */
bool sim_expect(struct sim *s, bool ok, const char *what, s64 a, s64 b, s64 c);
/** sim_trace() - it happened */
void sim_trace(struct sim *s, const char *what, s64 a, s64 b, s64 c);
/** sim_meanwhile() - node @i waits for its disk: other things happen */
void sim_meanwhile(struct sim *s, unsigned int i);

/* ---- sim_node.c: brokers and disks ---- */

/** sim_node_init() - a broker with an empty disk that does not run */
void sim_node_init(struct sim *s, unsigned int i);
void sim_node_free(struct sim *s, unsigned int i);
void sim_node_start(struct sim *s, unsigned int i);
/** sim_node_crash() - its power is cut; during a sync, too */
void sim_node_crash(struct sim *s, unsigned int i);
/** sim_node_stop() - cleanly */
void sim_node_stop(struct sim *s, unsigned int i);
/** sim_node_replace_disk() - of one that does not run, by an empty one */
void sim_node_replace_disk(struct sim *s, unsigned int i);
/** sim_node_sync() - what was appended is synced; @fail: it fails, and the log is repaired */
void sim_node_sync(struct sim *s, unsigned int i, bool fail);
/** sim_node_damage() - its log turns out to be damaged: it is to be given up, and copied anew */
void sim_node_damage(struct sim *s, unsigned int i);
/** sim_node_refuse() - the disk takes no write for a while; sim_node_heal() - it does again */
void sim_node_refuse(struct sim *s, unsigned int i);
void sim_node_heal(struct sim_node *node);
/** sim_node_upkeep() - the broker's periodic work, once */
void sim_node_upkeep(struct sim *s, unsigned int i);

static inline bool sim_node_opened(const struct sim_node *node)
{
	return node->up && READ_ONCE(node->part->opened);
}

/* ---- sim_controller.c: the daemons ---- */

/** sim_decide() - what follows from a change of brokers */
void sim_decide(struct sim *s);
/** sim_register() - the daemon of @i registers its start */
void sim_register(struct sim *s, unsigned int i);
/** sim_heartbeat() - the daemon of @i says that its broker lives, and knows of it */
void sim_heartbeat(struct sim *s, unsigned int i);
/** sim_expire() - the session of @i ends */
void sim_expire(struct sim *s, unsigned int i);
/** sim_stopping() - @i is about to stop: leadership moves away */
void sim_stopping(struct sim *s, unsigned int i);
/** sim_tell() - the daemon tells its kernel what the controller said */
void sim_tell(struct sim *s, const struct sim_msg *msg);
/** sim_take_wish() - a leader wants another in-sync set */
void sim_take_wish(struct sim *s, const struct sim_msg *msg);
/** sim_may_lose() - would the cluster still have all that was committed without what @i has? */
bool sim_may_lose(const struct sim *s, unsigned int i);

/* ---- sim_net.c: what is under way ---- */

void sim_net_fetch(struct sim *s, unsigned int i);
/** sim_net_hang_up() - a follower waits no longer for its answer, and begins another connection */
void sim_net_hang_up(struct sim *s, unsigned int i);
/** sim_net_ask() - the daemon of @i looks what its kernel asks for */
void sim_net_ask(struct sim *s, unsigned int i);
/** sim_net_push() - the controller tells node @i what is */
void sim_net_push(struct sim *s, unsigned int i);
void sim_net_push_all(struct sim *s);
/** sim_net_deliver() - one message, if any can come; @chaos: any of them, and it may be lost or come again */
bool sim_net_deliver(struct sim *s, bool chaos);
void sim_net_drop_all(struct sim *s);

#endif /* _KBR_TESTS_SIM_H */
