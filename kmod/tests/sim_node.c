// SPDX-License-Identifier: GPL-2.0-only
/* The brokers of a simulated cluster and their disks; see sim.h. */
#include <linux/workqueue.h>

#include "sim.h"
#include "storage/log_internal.h"

#define SIM_TOPIC	"t"

static const u8 sim_cluster_id[16] = "a simulated one";
static const u8 sim_topic_id[16] = "simulated topic";

/* Cases run one after the other: the one that runs, for disks to find their node. */
static struct sim *sim_current;

/* ---- disks ---- */

static int sim_sync_many(struct kbr_dir *dir, struct kbr_file **files, int *errs, unsigned int n)
{
	struct sim *s = sim_current;
	unsigned int i = 0;
	bool first;
	int err;

	while (!s->node[i].tb || s->node[i].tb->dir != dir)
		i++;
	if (!s->node[i].syncing)
		return s->node[i].real_sync_many(dir, files, errs, n);
	/* What is written meanwhile may or may not be part of it. */
	first = sim_below(s, 2);
	if (first)
		sim_meanwhile(s, i);
	err = s->node[i].real_sync_many(dir, files, errs, n);
	if (!first)
		sim_meanwhile(s, i);
	return err;
}

static void sim_node_hook(struct sim_node *node)
{
	if (node->tb->ops.sync_many == sim_sync_many)
		return;
	node->real_sync_many = node->tb->ops.sync_many;
	node->tb->ops.sync_many = sim_sync_many;
}

/* ---- life ---- */

void sim_node_init(struct sim *s, unsigned int i)
{
	static const char * const names[] = { "sim1", "sim2", "sim3" };
	struct sim_node *node = &s->node[i];
	int err;

	sim_current = s;
	node->tb = kbr_test_init(s->test);
	node->tb->name = names[i];
	node->tb->id = i + 1;
	node->life = -1;
	node->joined = -1;
	node->linked = true;
	err = kbr_config_set_put(&node->tb->configs, "replica.lag.time.max.ms", "1000");
	sim_expect(s, !err, "replica.lag.time.max.ms", i, err, 0);
}

static int sim_node_join(struct sim *s, struct sim_node *node)
{
	struct kbr_cluster_change join = { .has_id = true, .epoch = -1 };
	u32 op = 0;
	int err;

	memcpy(join.id, sim_cluster_id, sizeof(join.id));
	err = kbr_cluster_set(node->broker, &join, &op, &node->tb->why);
	return err || !op ? err : kbr_test_wait_op(node->tb, 0, op);
}

static int sim_node_create_topic(struct sim *s, struct sim_node *node)
{
	struct kbr_topic_params params = {
		.name = SIM_TOPIC,
		.partitions = 1,
		.replication_factor = SIM_NODES,
		.id = sim_topic_id,
	};
	char text[8];
	u32 op = 0;
	int err;

	snprintf(text, sizeof(text), "%u", s->min_isr);
	err = kbr_config_set_put(&params.configs, "min.insync.replicas", text);
	if (!err && s->async)
		err = kbr_config_set_put(&params.configs, "flush.policy", "async");
	if (!err)
		err = kbr_topic_create(node->broker, &params, &op, &node->tb->why);
	kbr_config_set_free(&params.configs);
	return kbr_test_wait_op(node->tb, err, op);
}

/* From here on nothing happens by itself. */
static void sim_node_still(struct sim_node *node)
{
	cancel_delayed_work_sync(&node->broker->upkeep);
	node->syncer = node->broker->env.syncer;
	if (READ_ONCE(node->part->opened))
		kbr_syncer_flush(node->syncer, &node->part->log.sync);
	node->broker->env.syncer = NULL;
}

void sim_node_start(struct sim *s, unsigned int i)
{
	struct sim_node *node = &s->node[i];
	struct kbr_cluster_info info;
	int err;

	sim_node_hook(node);
	err = kbr_test_start(node->tb);
	if (!sim_expect(s, !err, "a broker does not start", i, err, 0))
		return;
	node->broker = kbr_test_get(node->tb);
	kbr_cluster_describe(node->broker, &info);
	if (info.state == KBR_CLUSTER_STANDALONE)
		err = sim_node_join(s, node);
	node->topic = kbr_test_topic(node->tb, SIM_TOPIC);
	if (!err && !node->topic) {
		err = sim_node_create_topic(s, node);
		node->topic = kbr_test_topic(node->tb, SIM_TOPIC);
	}
	if (!node->topic) {
		kbr_broker_put(node->broker);
		sim_expect(s, false, "a broker does not come back", i, err, 0);
		return;
	}
	node->part = kbr_topic_partition(node->topic, 0);
	sim_node_still(node);
	node->up = true;
	node->life = -1;
	node->joined = -1;
	node->hw = 0;
	node->read = 0;
	node->told = -1;
	node->conn++;
	node->in_flight = false;
	sim_trace(s, "start", i, READ_ONCE(node->part->opened) ? kbr_log_end(&node->part->log) : -1,
		  READ_ONCE(node->part->opened) ? kbr_partition_hw(node->part) : -1);
	sim_expect(s, READ_ONCE(node->part->state) != KBR_PARTITION_FAILED,
		   "a partition fails after a start", i, node->part->error, node->part->damaged);
}

/* Nothing of ours holds it any more, and it can stop. */
static void sim_node_leave(struct sim_node *node)
{
	node->broker->env.syncer = node->syncer;
	kbr_topic_put(node->topic);
	kbr_broker_put(node->broker);
	node->topic = NULL;
	node->part = NULL;
	node->broker = NULL;
	node->up = false;
}

static void sim_node_bury(struct sim_node *node)
{
	sim_node_heal(node);
	sim_node_leave(node);
	kbr_test_stop(node->tb);
	kbr_test_set_disk(node->tb, node->image);
	node->image = NULL;
}

void sim_node_crash(struct sim *s, unsigned int i)
{
	struct sim_node *node = &s->node[i];
	u64 seed = sim_below(s, 3) ? 1 + sim_below(s, U32_MAX) : 0;

	sim_trace(s, "crash", i, kbr_log_synced(&node->part->log), kbr_log_end(&node->part->log));
	node->lost |= s->async;
	node->image = kbr_ram_crash(node->tb->dir, seed);
	KUNIT_ASSERT_NOT_NULL(s->test, node->image);
	node->up = false;
	/* It is in the middle of a sync: sim_node_sync() goes on. */
	if (!node->syncing)
		sim_node_bury(node);
}

void sim_node_stop(struct sim *s, unsigned int i)
{
	sim_trace(s, "stop", i, 0, 0);
	sim_node_heal(&s->node[i]);
	sim_node_leave(&s->node[i]);
	kbr_test_stop(s->node[i].tb);
}

void sim_node_replace_disk(struct sim *s, unsigned int i)
{
	sim_trace(s, "lose disk", i, 0, 0);
	kbr_test_set_disk(s->node[i].tb, kbr_ram_create(1));
	s->node[i].lost = true;
}

void sim_node_free(struct sim *s, unsigned int i)
{
	struct sim_node *node = &s->node[i];

	if (node->broker)
		sim_node_leave(node);
	kbr_test_exit(node->tb);
	kunit_kfree(s->test, node->tb);
	node->tb = NULL;
}

void sim_node_damage(struct sim *s, unsigned int i)
{
	struct sim_node *node = &s->node[i];

	sim_trace(s, "damage", i, kbr_log_end(&node->part->log), 0);
	kbr_partition_fail(node->part, -EBADMSG, kbr_log_start(&node->part->log));
	node->lost = true;
}

void sim_node_refuse(struct sim *s, unsigned int i)
{
	int err = sim_below(s, 2) ? -ENOSPC : -EIO;

	sim_trace(s, "refuse", i, err, 0);
	kbr_ram_fail(s->node[i].tb->dir, KBR_RAM_WRITE, 0, 1 + sim_below(s, 4), err, SIM_TOPIC "-0/");
	s->node[i].refuses = true;
}

void sim_node_heal(struct sim_node *node)
{
	kbr_ram_heal(node->tb->dir);
	node->refuses = false;
}

/* ---- its works ---- */

void sim_node_sync(struct sim *s, unsigned int i, bool fail)
{
	struct sim_node *node = &s->node[i];
	enum kbroker_replica_role role;
	struct kbr_replica_state state;
	struct kbr_log *log;
	bool followed;
	int err;

	if (!sim_node_opened(node))
		return;
	log = &node->part->log;
	followed = kbr_replica_get(node->part, &state, &role) &&
		   role == KBROKER_REPLICA_ROLE_FOLLOWER;
	if (fail)
		kbr_ram_fail(node->tb->dir, KBR_RAM_SYNC, 0, 1, -EIO, SIM_TOPIC "-0/");
	node->syncing = true;
	/* as the syncer's kbr_log_collect() */
	err = READ_ONCE(log->stopped) ?: kbr_log_sync_now(log);
	node->syncing = false;
	sim_node_heal(node);
	if (node->image) {
		sim_node_bury(node);
		return;
	}
	sim_trace(s, "sync", i, err, kbr_log_synced(log));
	node->broker->env.synced(log, err);
	flush_work(&node->part->repair);
	/* a follower shows what is committed before its own disk has it, and fetches it again */
	if (err && followed) {
		node->hw = min(node->hw, kbr_partition_hw(node->part));
		node->read = min(node->read, node->hw);
	}
}

void sim_node_upkeep(struct sim *s, unsigned int i)
{
	struct sim_node *node = &s->node[i];

	sim_trace(s, "upkeep", i, 0, 0);
	mod_delayed_work(node->broker->work_wq, &node->broker->upkeep, 0);
	flush_delayed_work(&node->broker->upkeep);
	cancel_delayed_work_sync(&node->broker->upkeep);
	flush_work(&node->part->repair);
}
