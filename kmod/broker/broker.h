/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A broker: a directory, its topics, its workers. Start and stop are
 * operations; a running broker pins its file system and the module.
 *
 * Lifetime: created under the admin mutex of its namespace; kref; the table
 * (kbr_net.broker, the list of names) holds one reference, each topic and the
 * running state one. Stop: unpublish names -> mark dead (readers get end of
 * file, writers -ENODEV) -> wait for I/O sections (@io) and workers -> close
 * logs, write the clean-shutdown marker -> put. Namespace exit does the first
 * two and hands the rest to the broker's own worker.
 */
#ifndef _KBR_BROKER_BROKER_H
#define _KBR_BROKER_BROKER_H

#include <linux/kref.h>
#include <linux/rbtree.h>
#include <linux/rwsem.h>
#include <linux/srcu.h>
#include <linux/types.h>
#include <linux/uidgid.h>
#include <linux/workqueue.h>

#include "base/limits.h"
#include "base/refusal.h"
#include "broker/call.h"
#include "broker/config.h"
#include "broker/net.h"
#include "broker/owner.h"
#include "broker/forward.h"
#include "broker/remote.h"
#include "broker/share_post.h"
#include "broker/producer_id.h"
#include "broker/throttle.h"
#include "storage/log.h"

struct kbr_cluster;
struct kbr_cluster_request;
struct kbr_fetcher;
struct kbr_groups;
struct kbr_listener_params;
struct kbr_metadata;
struct kbr_server;
struct kbr_start;
struct kbr_topic;
struct kbr_op;

enum kbr_broker_state {
	KBR_BROKER_STARTING,
	KBR_BROKER_RUNNING,
	KBR_BROKER_STOPPING,
	KBR_BROKER_STOPPED,
	KBR_BROKER_FAILED,
};

/**
 * struct kbr_broker - one broker
 * @ref: kref: the namespace's table, the running state, each topic, each work
 *	item under way hold one
 * @node: on the module's list of names (its mutex is in broker.c)
 * @knet: its namespace; a reference
 * @net_gone: the namespace ended
 * @name: "kbroker", also the directory below /dev and the mount's source
 * @dir_path: directory as given by whoever started it
 * @dir: that directory; NULL once it stopped (operations only)
 * @device: of its file system
 * @fstype: type of its file system
 * @inherit_uid: the start did not name an owner: what was kept applies
 * @inherit_gid: likewise for the group
 * @inherit_mode: likewise for the mode
 * @start: what its start works with; NULL otherwise
 * @lock_file: its ".lock", locked while it runs
 * @id: node.id
 * @directory_id: directory.id of meta.properties
 * @uid: owner of /dev/<name> and default owner of topics (READ_ONCE)
 * @gid: group, likewise
 * @mode: default mode of topics' nodes (e.g. 0660), likewise
 * @state: enum kbr_broker_state (READ_ONCE; changed under the admin mutex)
 * @dead: no new I/O (READ_ONCE; set before synchronize_srcu(&io))
 * @give_up: the start under way is to be given up (READ_ONCE)
 * @clean: it stopped cleanly last time (set by its start)
 * @io: read side held by every partition I/O section; never while waiting
 * @config: effective configs; altered field by field while in use
 * @config_set: those set explicitly (@topics_sem)
 * @env: what the logs share
 * @env_ready: @env and its syncer exist
 * @topics: by name, sorted (@topics_sem)
 * @topics_sem: see locking.rst; never held over a disk
 * @topics_count: topics
 * @partitions_count: partitions of all topics
 * @metadata: the log of topics and configs
 * @ops_wq: ordered: start, topic operations, stop run one after the other
 * @work_wq: upkeep, recovery, scrub, repair
 * @stop: the work that ends it
 * @stop_op: the operation of @stop, or NULL; with @state RUNNING it waits for
 *	its request to leave (admin mutex)
 * @crash: it stops as if it had died (admin mutex, then @stop)
 * @release: frees it, on the module's own workqueue
 * @upkeep: periodic: retention, checkpoints, file cache, scrub
 * @checkpoint_lock: held over writing the checkpoint files; inner to nothing
 *	but the operations' order
 * @checkpoints_due: an offset that checkpoints hold has moved
 * @checkpoints_stale: they may name topics that were deleted; see
 *	kbr_broker_refresh_checkpoints() (READ_ONCE, WRITE_ONCE)
 * @checkpointed_ms: when they were last written (upkeep)
 * @retained_ms: when retention last ran (upkeep)
 * @scrub_ms: when the scrub last ran (upkeep)
 * @scrub_topic: topic that the scrub is in
 * @scrub_index: partition that the scrub is in
 * @reserve: the reserve file is there
 * @repairing: partitions that wait for their disk to answer again (upkeep)
 * @unsynced_wait: writers that wait for @env.unsynced_bytes or @forwards.bytes to
 *	fall, or for a leader
 * @throttled: there may be some (READ_ONCE; see kbr_broker_has_room())
 * @producer_ids: ids for idempotent producers of the network
 * @share_posts: what is said to other brokers about shares (share_far.h)
 * @forwards: device writes that wait for leaders on other brokers
 * @remotes: what readers want from leaders on other brokers (remote.h)
 * @calls: what other brokers are asked (call.h)
 * @lost_records: records that failed syncs took after they were acknowledged
 * @handles: open devices
 * @handles_changes: counts opens and closes, for dumps of open devices
 * @started_ms: wall clock of the start
 * @listeners: given to its start, until they are added
 * @listeners_count: how many
 * @server: its listeners and connections; NULL: it never had one (server.c)
 * @fetcher: its links to leaders; NULL: it has followed nothing yet (fetcher.c)
 * @groups: its consumer groups; NULL until its start is that far
 * @incarnation: UUID of this start
 * @previous_epoch: broker epoch when it last stopped cleanly, -1 none or not known
 * @cluster: its part in a cluster; NULL: it is standalone (see cluster.h)
 */
struct kbr_broker {
	struct kref ref;
	struct list_head node;
	struct kbr_net *knet;
	bool net_gone;
	char name[KBR_BROKER_NAME_MAX + 1];
	char *dir_path;
	struct kbr_dir *dir;
	dev_t device;
	char fstype[32];
	bool inherit_uid;
	bool inherit_gid;
	bool inherit_mode;
	struct kbr_start *start;
	struct kbr_file *lock_file;
	s32 id;
	u8 directory_id[16];
	kuid_t uid;
	kgid_t gid;
	umode_t mode;
	enum kbr_broker_state state;
	bool dead;
	bool give_up;
	bool clean;
	struct srcu_struct io;
	struct kbr_broker_config config;
	struct kbr_config_set config_set;
	struct kbr_log_env env;
	bool env_ready;
	struct rb_root topics;
	struct rw_semaphore topics_sem;
	unsigned int topics_count;
	unsigned int partitions_count;
	struct kbr_metadata *metadata;
	struct workqueue_struct *ops_wq;
	struct workqueue_struct *work_wq;
	struct work_struct stop;
	struct kbr_op *stop_op;
	bool crash;
	struct work_struct release;
	struct delayed_work upkeep;
	struct mutex checkpoint_lock;
	atomic_t checkpoints_due;
	bool checkpoints_stale;
	s64 checkpointed_ms;
	s64 retained_ms;
	s64 scrub_ms;
	char scrub_topic[KBR_TOPIC_NAME_MAX + 1];
	u32 scrub_index;
	bool reserve;
	bool repairing;
	wait_queue_head_t unsynced_wait;
	bool throttled;
	struct kbr_throttle leader_throttle;
	struct kbr_throttle follower_throttle;
	struct kbr_producer_ids producer_ids;
	struct kbr_forwards forwards;
	struct kbr_remotes remotes;
	struct kbr_share_posts share_posts;
	struct kbr_calls calls;
	atomic64_t lost_records;
	atomic_t handles;
	atomic_t handles_changes;
	s64 started_ms;
	struct kbr_listener_params *listeners;
	unsigned int listeners_count;
	struct kbr_server *server;
	struct kbr_fetcher __rcu *fetcher;
	struct kbr_groups *groups;
	u8 incarnation[16];
	s64 previous_epoch;
	struct kbr_cluster *cluster;
};

/**
 * struct kbr_broker_params - what "broker start" gives
 * @name: "kbroker" or another
 * @dir: absolute path
 * @id: node.id, -1: what meta.properties says, or 1
 * @uid: owner
 * @gid: group
 * @mode: default mode of topics
 * @default_uid: nobody named an owner: what the broker kept from before goes
 *	before @uid
 * @default_gid: likewise for @gid
 * @default_mode: likewise for @mode
 * @configs: taken over (zeroed) on success
 * @listeners: where it listens; copied
 * @listeners_count: how many
 */
struct kbr_broker_params {
	const char *name;
	const char *dir;
	s32 id;
	kuid_t uid;
	kgid_t gid;
	umode_t mode;
	bool default_uid;
	bool default_gid;
	bool default_mode;
	struct kbr_config_set configs;
	const struct kbr_listener_params *listeners;
	unsigned int listeners_count;
};

/**
 * kbr_broker_start() - start a broker in @knet; the rest happens in an operation
 * @op_id: out: operation to watch
 * Return: 0; -EEXIST one runs here or the name is taken; -EBUSY the directory
 * is in use; -ENOENT, -ENOTDIR, -EACCES, -EROFS the directory; -EINVAL.
 */
int kbr_broker_start(struct kbr_net *knet, struct kbr_broker_params *params, u32 *op_id,
		     struct kbr_refusal *why);
/** kbr_broker_start_dir() - the same with a directory at hand, taken over on success (tests: a RAM disk) */
int kbr_broker_start_dir(struct kbr_net *knet, struct kbr_broker_params *params,
			 struct kbr_dir *dir, u32 *op_id, struct kbr_refusal *why);
/** enum kbr_stop - how a broker stops */
enum kbr_stop {
	KBR_STOP_LEAVE,	/* a member: once the controller has moved its leaderships away */
	KBR_STOP_NOW,
	KBR_STOP_CRASH,	/* as if it had died: nothing more is synced, nobody is asked */
};

/**
 * kbr_broker_stop() - stop it; open devices do not prevent it
 *
 * Return: 0; -ENOENT none runs; -EALREADY it is stopping.
 */
int kbr_broker_stop(struct kbr_net *knet, enum kbr_stop how, u32 *op_id,
		    struct kbr_refusal *why);
/** struct kbr_broker_change - what "broker alter" gives; unset: nothing changes */
struct kbr_broker_change {
	struct kbr_owner owner;
	struct kbr_config_set set;	/* names to set */
	struct kbr_config_set del;	/* names to reset */
};

/** kbr_broker_alter() - owner, group, mode, configs of a running broker */
int kbr_broker_alter(struct kbr_net *knet, const struct kbr_broker_change *change, u32 *op_id,
		     struct kbr_refusal *why);

/** kbr_broker_check_configs() - would kbr_broker_alter() begin with these configs? */
int kbr_broker_check_configs(struct kbr_broker *broker, const struct kbr_broker_change *change,
			     struct kbr_refusal *why);

/** kbr_broker_get_in() - the broker of @knet with a reference, or NULL */
struct kbr_broker *kbr_broker_get_in(struct kbr_net *knet);
/** kbr_broker_lookup() - a running broker by name, any namespace (the file system's view); a reference or NULL */
struct kbr_broker *kbr_broker_lookup(const char *name);
/** kbr_broker_next() - the first by name after @after ("": of all), any namespace and state; a reference or NULL */
struct kbr_broker *kbr_broker_next(const char *after);
void kbr_broker_get(struct kbr_broker *broker);
void kbr_broker_put(struct kbr_broker *broker);
/** kbr_broker_unsynced_bytes() - appended and not yet known to be durable, all logs; never negative */
static inline u64 kbr_broker_unsynced_bytes(const struct kbr_broker *broker)
{
	return max_t(s64, atomic64_read(&broker->env.unsynced_bytes), 0);
}

/**
 * kbr_broker_has_room() - may more be appended, or is too much unsynced?
 *
 * If it may not, kbr_broker_room_made() wakes @broker->unsynced_wait when it
 * may: ask again once you are on it.
 */
static inline bool kbr_broker_has_room(struct kbr_broker *broker)
{
	if (likely(kbr_broker_unsynced_bytes(broker) <=
		   READ_ONCE(broker->config.unsynced_bytes_max)))
		return true;
	WRITE_ONCE(broker->throttled, true);
	smp_mb();	/* pairs with the one in kbr_broker_room_made() */
	return kbr_broker_unsynced_bytes(broker) <= READ_ONCE(broker->config.unsynced_bytes_max);
}

/** kbr_broker_room_made() - unsynced bytes fell, or their limit rose: wake who waits for it */
void kbr_broker_room_made(struct kbr_broker *broker);

const char *kbr_broker_state_name(enum kbr_broker_state state);
/** kbr_broker_net_exit() - the namespace ends: mark dead, hand over to the broker's worker, wait for nothing */
void kbr_broker_net_exit(struct kbr_net *knet);
/** kbr_broker_init()/exit() - reboot notifier and global list; exit waits until no broker exists */
int kbr_broker_init(void);
void kbr_broker_exit(void);

/* The rest is between the files of this layer. */

/**
 * struct kbr_task - a piece of work on a queue of the broker
 * @work: its work item
 * @wq: where it is queued; NULL: the ordered queue
 * @broker: a reference
 * @op: its operation; @run must not end it
 * @run: does it; its return is the operation's end; frees what it holds
 */
struct kbr_task {
	struct work_struct work;
	struct workqueue_struct *wq;
	struct kbr_broker *broker;
	struct kbr_op *op;
	int (*run)(struct kbr_task *task);
	void (*free)(struct kbr_task *task);
};

/**
 * kbr_broker_queue() - queue @task, whose @run and @free are set, as an operation
 *
 * Context: takes the admin mutex. Return: 0; -ENODEV not running, -ENOMEM: then
 * @task is still the caller's.
 */
int kbr_broker_queue(struct kbr_broker *broker, struct kbr_task *task, int kind,
		     const char *object, u32 *op_id, struct kbr_refusal *why);
/**
 * kbr_broker_begin_request() - open @request, whose answer ends an operation
 *
 * Context: takes the admin mutex. Return: 0; -ENODEV not running, -EAGAIN,
 * -ENOMEM. @request stays the caller's.
 */
int kbr_broker_begin_request(struct kbr_broker *broker, struct kbr_cluster_request *request,
			     int kind, const char *object, u32 *op_id, struct kbr_refusal *why);
/** kbr_broker_left() - its request to leave has ended: stop now */
void kbr_broker_left(struct kbr_broker *broker);
void kbr_broker_raise(struct kbr_broker *broker);
void kbr_broker_set_state(struct kbr_broker *broker, enum kbr_broker_state state);
/** kbr_broker_wake() - wake everybody who sleeps on anything of it */
void kbr_broker_wake(struct kbr_broker *broker);
/** kbr_broker_unpublish() - take it off its namespace and the list of names, and drop those references */
void kbr_broker_unpublish(struct kbr_broker *broker);

/* broker_start.c */
/** kbr_broker_configure_env() - put those of its configs into effect that storage obeys for all logs */
void kbr_broker_configure_env(struct kbr_broker *broker);
/** kbr_broker_check_alone() - does @config ask a standalone broker for what takes others? -EINVAL */
int kbr_broker_check_alone(struct kbr_broker *broker, const struct kbr_broker_config *config,
			   struct kbr_refusal *why);
/** kbr_broker_bring_up() - everything between the directory and RUNNING; on error all is taken back */
int kbr_broker_bring_up(struct kbr_broker *broker, struct kbr_op *op, struct kbr_refusal *why);
/* broker_stop.c */
void kbr_broker_stop_work(struct work_struct *work);
/** kbr_broker_take_down() - close all logs; @clean: checkpoints and the marker too */
void kbr_broker_take_down(struct kbr_broker *broker, bool clean, struct kbr_op *op);

/* broker_dir.c: what is in the directory beside the logs */
int kbr_broker_dir_check(struct kbr_broker *broker, s32 wanted_id, bool *fresh,
			 struct kbr_refusal *why);
/** kbr_broker_dir_lock() - keep other programs out as Kafka's brokers do; released with broker->lock_file */
int kbr_broker_dir_lock(struct kbr_broker *broker, struct kbr_refusal *why);
/** kbr_broker_dir_claim() - give the directory an id and meta.properties; it is locked */
int kbr_broker_dir_claim(struct kbr_broker *broker, struct kbr_refusal *why);
/** kbr_broker_dir_join() - the directory belongs to cluster @id from now on, durably */
int kbr_broker_dir_join(struct kbr_broker *broker, const u8 id[16], struct kbr_refusal *why);
/** kbr_broker_dir_take_marker() - was it stopped cleanly, at which epoch? The marker is durably gone afterwards. */
int kbr_broker_dir_take_marker(struct kbr_broker *broker, bool *clean);
/** kbr_broker_dir_put_marker() - it stops cleanly, and had broker epoch @epoch last, -1 none */
int kbr_broker_dir_put_marker(struct kbr_broker *broker, s64 epoch);
/** kbr_broker_dir_reserve() - make the reserve file if it is not there and there is room */
void kbr_broker_dir_reserve(struct kbr_broker *broker);
/**
 * kbr_broker_dir_ease_stop() - a part of the reserve for what a clean stop writes, if the disk is full
 *
 * The rest stays for the next start.
 */
void kbr_broker_dir_ease_stop(struct kbr_broker *broker);
/** kbr_broker_dir_spend_reserve() - the disk is full: give the reserve to whoever asks; true if there was one */
bool kbr_broker_dir_spend_reserve(struct kbr_broker *broker);

/* broker_offsets.c */
/** A partition's offset as checkpointed; 0 if there is none */
struct kbr_offset_table;
int kbr_offset_table_read(struct kbr_dir *dir, const char *path, struct kbr_offset_table **table);
/* @table NULL: it was not read */
s64 kbr_offset_table_find(const struct kbr_offset_table *table, const char *topic, u32 partition);
void kbr_offset_table_free(struct kbr_offset_table *table);
/** kbr_broker_write_checkpoints() - all three files */
int kbr_broker_write_checkpoints(struct kbr_broker *broker);
/**
 * kbr_broker_refresh_checkpoints() - before a log is made: nothing is noted of an older one of its name
 *
 * Else the next start would measure the new log by the offsets of the old one.
 */
int kbr_broker_refresh_checkpoints(struct kbr_broker *broker);

/* upkeep.c, scrub.c */
/* Longest pause between two runs of upkeep, which has synced what nobody waits for */
#define KBR_UPKEEP_MS_MAX	5000
void kbr_upkeep_work(struct work_struct *work);
void kbr_upkeep_start(struct kbr_broker *broker);
void kbr_scrub_run(struct kbr_broker *broker, s64 now_ms);
/** kbr_topic_walk_next() - @topic's successor; drops @topic, whose references the walk holds one at a time */
struct kbr_topic *kbr_topic_walk_next(struct kbr_broker *broker, struct kbr_topic *topic);

#define KBR_RECOVERY_CHECKPOINT	"recovery-point-offset-checkpoint"
#define KBR_START_CHECKPOINT	"log-start-offset-checkpoint"
#define KBR_HW_CHECKPOINT	"replication-offset-checkpoint"

#endif /* _KBR_BROKER_BROKER_H */
