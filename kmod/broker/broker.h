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
#include "broker/config.h"
#include "broker/net.h"
#include "storage/log.h"

struct kbr_metadata;
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
 * @ref: kref
 * @node: on the module's list of names (kbr_broker_names lock, in broker.c)
 * @knet: its namespace; NULL once the namespace is gone
 * @net_gone: the namespace ended
 * @name: "kbroker", also the directory below /dev and the mount's source
 * @dir_path: directory as given by whoever started it
 * @id: node.id
 * @directory_id: directory.id of meta.properties
 * @uid: owner of /dev/<name> and default owner of topics
 * @gid: group, likewise
 * @mode: default mode of topics' nodes (e.g. 0660)
 * @state: enum kbr_broker_state (@state_lock)
 * @dead: no new I/O (READ_ONCE; set before synchronize_srcu(&io))
 * @io: read side held by every partition I/O section; never while waiting
 * @config: effective configs (@topics_sem)
 * @config_set: those set explicitly (@topics_sem)
 * @env: what the logs share
 * @topics: by name, sorted (@topics_sem)
 * @topics_sem: see locking.rst; never held over a disk
 * @topics_count: topics
 * @partitions_count: partitions of all topics
 * @metadata: the log of topics and configs
 * @ops_wq: ordered: operations run one after the other
 * @work_wq: upkeep, recovery, scrub, repair
 * @upkeep: periodic: retention, checkpoints, file cache
 * @unsynced: bytes appended and not yet synced, all logs
 * @unsynced_wait: writers that wait for @unsynced to fall
 * @handles: open devices
 * @started_ms: wall clock of the start
 */
struct kbr_broker {
	struct kref ref;
	struct list_head node;
	struct kbr_net *knet;
	bool net_gone;
	char name[KBR_BROKER_NAME_MAX + 1];
	char *dir_path;
	s32 id;
	u8 directory_id[16];
	kuid_t uid;
	kgid_t gid;
	umode_t mode;
	enum kbr_broker_state state;
	bool dead;
	struct srcu_struct io;
	struct kbr_broker_config config;
	struct kbr_config_set config_set;
	struct kbr_log_env env;
	struct rb_root topics;
	struct rw_semaphore topics_sem;
	unsigned int topics_count;
	unsigned int partitions_count;
	struct kbr_metadata *metadata;
	struct workqueue_struct *ops_wq;
	struct workqueue_struct *work_wq;
	struct delayed_work upkeep;
	atomic64_t unsynced;
	wait_queue_head_t unsynced_wait;
	atomic_t handles;
	s64 started_ms;
};

/**
 * struct kbr_broker_params - what "broker start" gives
 * @configs: taken over (zeroed) on success
 */
struct kbr_broker_params {
	const char *name;
	const char *dir;
	s32 id;
	kuid_t uid;
	kgid_t gid;
	umode_t mode;
	struct kbr_config_set configs;
};

/**
 * kbr_broker_start() - start a broker in @knet; the rest happens in an operation
 * @op_id: out: operation to watch
 * Return: 0; -EEXIST one runs here or the name is taken; -EBUSY the directory
 * is in use; -ENOENT, -ENOTDIR, -EACCES, -EROFS the directory; -EINVAL.
 */
int kbr_broker_start(struct kbr_net *knet, struct kbr_broker_params *params, u32 *op_id,
		     struct kbr_refusal *why);
/** kbr_broker_stop() - stop it; -ENOENT none runs; -EALREADY it is stopping. Open devices do not prevent it. */
int kbr_broker_stop(struct kbr_net *knet, u32 *op_id, struct kbr_refusal *why);
/** kbr_broker_alter() - owner, group, mode, configs of a running broker */
struct kbr_broker_change {
	bool set_uid, set_gid, set_mode;
	kuid_t uid;
	kgid_t gid;
	umode_t mode;
	struct kbr_config_set set;	/* names to set */
	struct kbr_config_set del;	/* names to reset */
};

int kbr_broker_alter(struct kbr_net *knet, const struct kbr_broker_change *change, u32 *op_id,
		     struct kbr_refusal *why);

/** kbr_broker_get_in() - the broker of @knet with a reference, or NULL */
struct kbr_broker *kbr_broker_get_in(struct kbr_net *knet);
/** kbr_broker_lookup() - a running broker by name, any namespace (the file system's view); a reference or NULL */
struct kbr_broker *kbr_broker_lookup(const char *name);
void kbr_broker_put(struct kbr_broker *broker);
const char *kbr_broker_state_name(enum kbr_broker_state state);
/** kbr_broker_net_exit() - the namespace ends: mark dead, hand over to the broker's worker, wait for nothing */
void kbr_broker_net_exit(struct kbr_net *knet);
/** kbr_broker_init()/exit() - reboot notifier and global list; exit waits until no broker exists */
int kbr_broker_init(void);
void kbr_broker_exit(void);

#endif /* _KBR_BROKER_BROKER_H */
