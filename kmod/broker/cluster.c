// SPDX-License-Identifier: GPL-2.0-only
/*
 * A broker's part in its cluster: identity, what it was told, its peers; see
 * cluster.h. What it asks is in request.c.
 */
#define pr_fmt(fmt) "kbroker: " fmt

#include <crypto/hash.h>
#include <linux/printk.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "base/kunit.h"
#include "base/uuid.h"
#include "broker/cluster_internal.h"
#include "broker/event.h"
#include "broker/op.h"
#include "broker/replica.h"
#include "broker/share_far.h"

/* A peer as it is kept */
struct kbr_peer_entry {
	struct kbr_peer peer;
	struct kbr_peer_stats stats;
};

/* ---- life ---- */

int kbr_cluster_create(struct kbr_broker *broker, const u8 id[16])
{
	struct kbr_cluster *cluster = kzalloc(sizeof(*cluster), GFP_KERNEL);

	if (!cluster)
		return -ENOMEM;
	cluster->broker = broker;
	memcpy(cluster->id, id, sizeof(cluster->id));
	spin_lock_init(&cluster->lock);
	atomic64_set(&cluster->epoch, -1);
	cluster->controller = -1;
	xa_init(&cluster->peers);
	mutex_init(&cluster->peers_lock);
	kbr_requests_init(&cluster->requests);
	/* pairs with the acquire in kbr_cluster_of() and kbr_cluster_is_member() */
	smp_store_release(&broker->cluster, cluster);
	return 0;
}

void kbr_cluster_stop(struct kbr_broker *broker)
{
	struct kbr_cluster *cluster = kbr_cluster_of(broker);

	if (cluster)
		kbr_requests_close(&cluster->requests);
}

void kbr_cluster_free(struct kbr_broker *broker)
{
	struct kbr_cluster *cluster = broker->cluster;
	struct kbr_peer_entry *entry;
	unsigned long id;

	if (!cluster)
		return;
	xa_for_each(&cluster->peers, id, entry)
		kfree(entry);
	xa_destroy(&cluster->peers);
	WARN_ON_ONCE(!xa_empty(&cluster->requests.open));
	kfree_sensitive(cluster);
}

/* ---- what it was told ---- */

s64 kbr_cluster_epoch(const struct kbr_broker *broker)
{
	struct kbr_cluster *cluster = kbr_cluster_of(broker);

	return cluster ? atomic64_read(&cluster->epoch) : -1;
}
KBR_EXPORT_IF_KUNIT(kbr_cluster_epoch);

bool kbr_cluster_is_waiting(const struct kbr_broker *broker)
{
	struct kbr_cluster *cluster = kbr_cluster_of(broker);

	return cluster && atomic64_read(&cluster->epoch) < 0;
}

bool kbr_cluster_id(const struct kbr_broker *broker, u8 id[16])
{
	struct kbr_cluster *cluster = kbr_cluster_of(broker);

	if (!cluster)
		return false;
	memcpy(id, cluster->id, sizeof(cluster->id));
	return true;
}

static enum kbr_cluster_state kbr_cluster_state_locked(const struct kbr_cluster *cluster)
{
	lockdep_assert_held(&cluster->lock);
	if (atomic64_read(&cluster->epoch) < 0)
		return KBR_CLUSTER_WAITING;
	return cluster->fenced ? KBR_CLUSTER_FENCED : KBR_CLUSTER_ACTIVE;
}

/* What it was told of itself, or else of the peer that it is. */
static void kbr_cluster_rack_locked(struct kbr_cluster *cluster, char rack[KBROKER_RACK_MAX + 1])
{
	const struct kbr_peer_entry *self = xa_load(&cluster->peers, READ_ONCE(cluster->broker->id));

	lockdep_assert_held(&cluster->lock);
	strscpy(rack, self && !cluster->rack[0] ? self->peer.rack : cluster->rack,
		KBROKER_RACK_MAX + 1);
}

void kbr_cluster_rack(struct kbr_broker *broker, char rack[KBROKER_RACK_MAX + 1])
{
	struct kbr_cluster *cluster = kbr_cluster_of(broker);

	rack[0] = '\0';
	if (!cluster)
		return;
	spin_lock(&cluster->lock);
	kbr_cluster_rack_locked(cluster, rack);
	spin_unlock(&cluster->lock);
}

void kbr_cluster_describe(struct kbr_broker *broker, struct kbr_cluster_info *info)
{
	struct kbr_cluster *cluster = kbr_cluster_of(broker);

	memset(info, 0, sizeof(*info));
	info->epoch = -1;
	info->controller = -1;
	info->previous_epoch = broker->previous_epoch;
	memcpy(info->incarnation, broker->incarnation, sizeof(info->incarnation));
	if (!cluster)
		return;
	memcpy(info->id, cluster->id, sizeof(info->id));
	spin_lock(&cluster->lock);
	info->state = kbr_cluster_state_locked(cluster);
	info->epoch = atomic64_read(&cluster->epoch);
	info->fenced = cluster->fenced;
	info->controller = cluster->controller;
	info->metadata_offset = cluster->metadata_offset;
	kbr_cluster_rack_locked(cluster, info->rack);
	spin_unlock(&cluster->lock);
	info->requests = kbr_requests_count(&cluster->requests);
}
KBR_EXPORT_IF_KUNIT(kbr_cluster_describe);

const char *kbr_cluster_state_name(enum kbr_cluster_state state)
{
	static const char * const names[] = {
		[KBR_CLUSTER_STANDALONE] = "standalone",
		[KBR_CLUSTER_WAITING] = "waiting",
		[KBR_CLUSTER_ACTIVE] = "active",
		[KBR_CLUSTER_FENCED] = "fenced",
	};

	return state < ARRAY_SIZE(names) ? names[state] : "unknown";
}

/* ---- telling it ---- */

static int kbr_cluster_check_epoch(struct kbr_broker *broker, s64 epoch, struct kbr_refusal *why)
{
	s64 known = max(kbr_cluster_epoch(broker), broker->previous_epoch);

	if (epoch == -1)
		return 0;
	if (epoch < 0)
		return kbr_refuse(why, -EINVAL, KBROKER_A_CLUSTER_BROKER_EPOCH,
				  "a broker epoch is not negative");
	if (epoch < known || (epoch == known && kbr_cluster_epoch(broker) < 0))
		return kbr_refuse(why, -ESTALE, KBROKER_A_CLUSTER_BROKER_EPOCH,
				  "broker epoch %lld is not above %lld, which the broker has had already",
				  (long long)epoch, (long long)known);
	return 0;
}

/* Would whoever watches see a difference? How far the metadata goes is no news. */
static bool kbr_cluster_is_news(const struct kbr_cluster *cluster,
				const struct kbr_cluster_change *change)
{
	return (change->epoch >= 0 && change->epoch != atomic64_read(&cluster->epoch)) ||
	       (change->has_fenced && change->fenced != cluster->fenced) ||
	       (change->has_controller && change->controller != cluster->controller) ||
	       (change->rack && strcmp(change->rack, cluster->rack));
}

static int kbr_cluster_apply(struct kbr_cluster *cluster, const struct kbr_cluster_change *change,
			     struct kbr_refusal *why)
{
	struct kbr_broker *broker = cluster->broker;
	struct kbr_event event = { .kind = KBR_EVENT_CLUSTER, .broker = broker };
	bool news = false;
	int err;

	spin_lock(&cluster->lock);
	err = kbr_cluster_check_epoch(broker, change->epoch, why);
	if (err)
		goto unlock;
	news = kbr_cluster_is_news(cluster, change);
	if (change->secret_len) {
		memset(cluster->secret, 0, sizeof(cluster->secret));
		memcpy(cluster->secret, change->secret, change->secret_len);
		cluster->secret_len = change->secret_len;
	}
	if (change->has_fenced)
		cluster->fenced = change->fenced;
	if (change->has_controller)
		cluster->controller = change->controller;
	if (change->has_metadata_offset)
		cluster->metadata_offset = change->metadata_offset;
	if (change->rack)
		strscpy(cluster->rack, change->rack, sizeof(cluster->rack));
	/* Last: with it the broker may lead. */
	if (change->epoch >= 0)
		atomic64_set_release(&cluster->epoch, change->epoch);
unlock:
	spin_unlock(&cluster->lock);
	/* Producer ids are made of it. */
	wake_up_all(&broker->producer_ids.wait);
	/* With another secret or epoch it proves itself anew. */
	if ((news || change->secret_len) && kbr_follow())
		kbr_follow()->peer_changed(broker, READ_ONCE(broker->id));
	if (news)
		kbr_event_raise(broker->knet, &event);
	return err;
}

/* ---- joining ---- */

/* A broker becomes a member: an operation, since it is written to the disk. */
struct kbr_join_task {
	struct kbr_task task;
	struct kbr_cluster_change change;
	char rack[KBROKER_RACK_MAX + 1];
};

static void kbr_join_task_free(struct kbr_task *task)
{
	kfree_sensitive(container_of(task, struct kbr_join_task, task));
}

static int kbr_cluster_check_empty(struct kbr_broker *broker, struct kbr_refusal *why)
{
	unsigned int count = READ_ONCE(broker->topics_count);

	if (!count)
		return 0;
	return kbr_refuse(why, -ENOTEMPTY, KBROKER_A_CLUSTER_CLUSTER_ID,
			  "broker %s has %u topics of its own: only one without topics can join a cluster",
			  broker->name, count);
}

static int kbr_cluster_check_id(struct kbr_broker *broker, const struct kbr_cluster_change *change,
				struct kbr_refusal *why)
{
	char text[KBR_UUID_TEXT_LEN + 1];
	u8 id[16];

	if (!change->has_id || !kbr_cluster_id(broker, id) || !memcmp(id, change->id, sizeof(id)))
		return 0;
	kbr_uuid_print(id, text);
	return kbr_refuse(why, -EINVAL, KBROKER_A_CLUSTER_CLUSTER_ID,
			  "broker %s belongs to cluster %s, and a directory never changes its cluster",
			  broker->name, text);
}

static int kbr_cluster_join_run(struct kbr_task *task)
{
	struct kbr_cluster_change *change = &container_of(task, struct kbr_join_task, task)->change;
	struct kbr_broker *broker = task->broker;
	struct kbr_event event = { .kind = KBR_EVENT_CLUSTER, .broker = broker };
	struct kbr_refusal *why = &task->op->why;
	int err;

	/* Operations run one by one: whether it has topics, or joined before, is settled. */
	err = kbr_cluster_check_id(broker, change, why);
	if (!err && !kbr_cluster_is_member(broker)) {
		err = kbr_cluster_check_empty(broker, why) ?:
		      kbr_broker_dir_join(broker, change->id, why) ?:
		      kbr_cluster_create(broker, change->id);
		if (!err)
			kbr_event_raise(broker->knet, &event);
	}
	return err ?: kbr_cluster_apply(broker->cluster, change, why);
}

static int kbr_cluster_join(struct kbr_broker *broker, const struct kbr_cluster_change *change,
			    u32 *op_id, struct kbr_refusal *why)
{
	struct kbr_join_task *todo;
	int err;

	if (!change->has_id)
		return kbr_refuse(why, -EINVAL, KBROKER_A_CLUSTER_CLUSTER_ID,
				  "broker %s belongs to no cluster: give the id of the one that it is to join",
				  broker->name);
	err = kbr_cluster_check_empty(broker, why);
	if (err)
		return err;
	todo = kzalloc(sizeof(*todo), GFP_KERNEL);
	if (!todo)
		return -ENOMEM;
	todo->task.run = kbr_cluster_join_run;
	todo->task.free = kbr_join_task_free;
	todo->change = *change;
	if (change->rack) {
		strscpy(todo->rack, change->rack, sizeof(todo->rack));
		todo->change.rack = todo->rack;
	}
	err = kbr_broker_queue(broker, &todo->task, KBR_OP_CLUSTER_JOIN, broker->name, op_id, why);
	if (err)
		kbr_join_task_free(&todo->task);
	return err;
}

static int kbr_cluster_check_change(const struct kbr_cluster_change *change,
				    struct kbr_refusal *why)
{
	if (change->has_id && !memchr_inv(change->id, 0, sizeof(change->id)))
		return kbr_refuse(why, -EINVAL, KBROKER_A_CLUSTER_CLUSTER_ID,
				  "the id of a cluster must not be zero");
	if (change->secret_len && (change->secret_len < KBROKER_SECRET_MIN ||
				   change->secret_len > KBROKER_SECRET_MAX))
		return kbr_refuse(why, -EINVAL, KBROKER_A_CLUSTER_SECRET,
				  "a secret has %d to %d bytes", KBROKER_SECRET_MIN,
				  KBROKER_SECRET_MAX);
	if (change->has_controller && change->controller < -1)
		return kbr_refuse(why, -EINVAL, KBROKER_A_CLUSTER_CONTROLLER,
				  "a node id is not negative (-1: no controller is known)");
	return 0;
}

int kbr_cluster_set(struct kbr_broker *broker, const struct kbr_cluster_change *change,
		    u32 *op_id, struct kbr_refusal *why)
{
	enum kbr_broker_state state = READ_ONCE(broker->state);
	struct kbr_cluster *cluster;
	int err;

	*op_id = 0;
	if (state != KBR_BROKER_RUNNING)
		return kbr_refuse(why, -ENODEV, 0, "broker %s is %s", broker->name,
				  kbr_broker_state_name(state));
	/* A restart is faster than a daemon looks: the epoch of the life before is not this one's. */
	if (change->has_incarnation &&
	    memcmp(change->incarnation, broker->incarnation, sizeof(change->incarnation)))
		return kbr_refuse(why, -ESTALE, KBROKER_A_CLUSTER_INCARNATION,
				  "broker %s was started anew since", broker->name);
	err = kbr_cluster_check_change(change, why) ?: kbr_cluster_check_id(broker, change, why) ?:
	      kbr_cluster_check_epoch(broker, change->epoch, why);
	if (err)
		return err;
	cluster = kbr_cluster_of(broker);
	if (!cluster)
		return kbr_cluster_join(broker, change, op_id, why);
	return kbr_cluster_apply(cluster, change, why);
}
KBR_EXPORT_IF_KUNIT(kbr_cluster_set);

/* ---- peers ---- */

static void kbr_cluster_raise_peer(struct kbr_broker *broker, enum kbr_event_kind kind,
				   const struct kbr_peer *peer)
{
	struct kbr_event event = { .kind = kind, .broker = broker, .peer = peer };

	kbr_event_raise(broker->knet, &event);
}

int kbr_cluster_peer(struct kbr_broker *broker, s32 id, struct kbr_peer *copy)
{
	struct kbr_cluster *cluster = kbr_cluster_of(broker);
	struct kbr_peer_entry *entry = NULL;

	if (!cluster || id < 0)
		return -ENOENT;
	spin_lock(&cluster->lock);
	entry = xa_load(&cluster->peers, id);
	if (entry)
		*copy = entry->peer;
	spin_unlock(&cluster->lock);
	return entry ? 0 : -ENOENT;
}
KBR_EXPORT_IF_KUNIT(kbr_cluster_peer);

int kbr_cluster_next_peer(struct kbr_broker *broker, s32 after, struct kbr_peer *copy)
{
	struct kbr_cluster *cluster = kbr_cluster_of(broker);
	struct kbr_peer_entry *entry;
	unsigned long id = after + 1;

	if (!cluster || after < -1 || after == S32_MAX)
		return -ENOENT;
	spin_lock(&cluster->lock);
	entry = xa_find(&cluster->peers, &id, ULONG_MAX, XA_PRESENT);
	if (entry)
		*copy = entry->peer;
	spin_unlock(&cluster->lock);
	return entry ? 0 : -ENOENT;
}
KBR_EXPORT_IF_KUNIT(kbr_cluster_next_peer);

unsigned int kbr_cluster_peers(struct kbr_broker *broker)
{
	struct kbr_cluster *cluster = kbr_cluster_of(broker);

	return cluster ? READ_ONCE(cluster->peers_count) : 0;
}

static int kbr_cluster_peer_check(struct kbr_broker *broker, const struct kbr_peer *peer,
				  struct kbr_refusal *why)
{
	if (!kbr_cluster_is_member(broker))
		return kbr_refuse(why, -EINVAL, 0,
				  "broker %s belongs to no cluster: it has no peers", broker->name);
	if (peer->id < 0)
		return kbr_refuse(why, -EINVAL, KBROKER_A_PEER_ID, "a node id is not negative");
	return 0;
}

/* Under @peers_lock: a new entry, or the news into the one there is. */
static int kbr_cluster_peer_put(struct kbr_cluster *cluster, const struct kbr_peer *peer,
				struct kbr_refusal *why)
{
	struct kbr_peer_entry *entry = xa_load(&cluster->peers, peer->id);
	int err;

	lockdep_assert_held(&cluster->peers_lock);
	if (entry && peer->epoch < entry->peer.epoch)
		return kbr_refuse(why, -ESTALE, KBROKER_A_PEER_EPOCH,
				  "broker epoch %lld is older than %lld, which node %d has had already",
				  (long long)peer->epoch, (long long)entry->peer.epoch, peer->id);
	if (entry) {
		spin_lock(&cluster->lock);
		entry->peer = *peer;
		spin_unlock(&cluster->lock);
		return 0;
	}
	if (cluster->peers_count >= KBROKER_BROKERS_MAX)
		return kbr_refuse(why, -E2BIG, KBROKER_A_PEER_ID,
				  "a cluster has at most %d brokers", KBROKER_BROKERS_MAX);
	entry = kzalloc(sizeof(*entry), GFP_KERNEL);
	if (!entry)
		return -ENOMEM;
	entry->peer = *peer;
	err = xa_insert(&cluster->peers, peer->id, entry, GFP_KERNEL);
	if (err) {
		kfree(entry);
		return err;
	}
	WRITE_ONCE(cluster->peers_count, cluster->peers_count + 1);
	return 0;
}

static bool kbr_peer_same(const struct kbr_peer *a, const struct kbr_peer *b)
{
	return a->epoch == b->epoch && a->fenced == b->fenced &&
	       !memcmp(&a->address, &b->address, sizeof(a->address)) &&
	       !strcmp(a->advertised_host, b->advertised_host) &&
	       a->advertised_port == b->advertised_port && !strcmp(a->rack, b->rack);
}

int kbr_cluster_peer_set(struct kbr_broker *broker, const struct kbr_peer *peer,
			 struct kbr_refusal *why)
{
	struct kbr_cluster *cluster = kbr_cluster_of(broker);
	struct kbr_peer before;
	bool known;
	int err;

	err = kbr_cluster_peer_check(broker, peer, why);
	if (err)
		return err;
	mutex_lock(&cluster->peers_lock);
	known = kbr_cluster_peer(broker, peer->id, &before) == 0;
	err = kbr_cluster_peer_put(cluster, peer, why);
	mutex_unlock(&cluster->peers_lock);
	if (err || (known && kbr_peer_same(&before, peer)))
		return err;
	if (kbr_follow())
		kbr_follow()->peer_changed(broker, peer->id);
	kbr_shares_peer_changed(broker, peer->id);
	kbr_cluster_raise_peer(broker, known ? KBR_EVENT_PEER_SET : KBR_EVENT_PEER_NEW, peer);
	return 0;
}
KBR_EXPORT_IF_KUNIT(kbr_cluster_peer_set);

int kbr_cluster_peer_del(struct kbr_broker *broker, s32 id, struct kbr_refusal *why)
{
	struct kbr_cluster *cluster = kbr_cluster_of(broker);
	struct kbr_peer_entry *entry = NULL;

	if (cluster && id >= 0) {
		mutex_lock(&cluster->peers_lock);
		spin_lock(&cluster->lock);
		entry = xa_erase(&cluster->peers, id);
		spin_unlock(&cluster->lock);
		if (entry)
			WRITE_ONCE(cluster->peers_count, cluster->peers_count - 1);
		mutex_unlock(&cluster->peers_lock);
	}
	if (!entry)
		return kbr_refuse(why, -ENOENT, KBROKER_A_PEER_ID,
				  "broker %s knows of no node %d", broker->name, id);
	if (kbr_follow())
		kbr_follow()->peer_changed(broker, id);
	kbr_shares_peer_changed(broker, id);
	kbr_cluster_raise_peer(broker, KBR_EVENT_PEER_DEL, &entry->peer);
	kfree(entry);
	return 0;
}
KBR_EXPORT_IF_KUNIT(kbr_cluster_peer_del);

void kbr_cluster_peer_report(struct kbr_broker *broker, s32 id, const struct kbr_peer_stats *stats)
{
	struct kbr_cluster *cluster = kbr_cluster_of(broker);
	struct kbr_peer_entry *entry;

	if (!cluster || id < 0)
		return;
	spin_lock(&cluster->lock);
	entry = xa_load(&cluster->peers, id);
	if (entry)
		entry->stats = *stats;
	spin_unlock(&cluster->lock);
}

void kbr_cluster_peer_stats(struct kbr_broker *broker, s32 id, struct kbr_peer_stats *stats)
{
	struct kbr_cluster *cluster = kbr_cluster_of(broker);
	struct kbr_peer_entry *entry;

	memset(stats, 0, sizeof(*stats));
	if (!cluster || id < 0)
		return;
	spin_lock(&cluster->lock);
	entry = xa_load(&cluster->peers, id);
	if (entry)
		*stats = entry->stats;
	spin_unlock(&cluster->lock);
}

/* ---- proof ---- */

static int kbr_cluster_digest(const u8 *secret, size_t secret_len, const struct kvec *parts,
			      unsigned int count, u8 mac[KBR_CLUSTER_MAC_SIZE])
{
	struct crypto_shash *hmac = crypto_alloc_shash("hmac(sha256)", 0, 0);
	struct shash_desc *desc = NULL;
	unsigned int i;
	int err;

	if (IS_ERR(hmac))
		return PTR_ERR(hmac);
	err = crypto_shash_setkey(hmac, secret, secret_len);
	if (err)
		goto free;
	err = -ENOMEM;
	desc = kzalloc(sizeof(*desc) + crypto_shash_descsize(hmac), GFP_KERNEL);
	if (!desc)
		goto free;
	desc->tfm = hmac;
	err = crypto_shash_init(desc);
	for (i = 0; i < count && !err; i++)
		err = crypto_shash_update(desc, parts[i].iov_base, parts[i].iov_len);
	if (!err)
		err = crypto_shash_final(desc, mac);
free:
	kfree_sensitive(desc);
	crypto_free_shash(hmac);
	return err;
}

int kbr_cluster_prove(struct kbr_broker *broker, const struct kvec *parts, unsigned int count,
		      u8 mac[KBR_CLUSTER_MAC_SIZE])
{
	struct kbr_cluster *cluster = kbr_cluster_of(broker);
	u8 secret[KBROKER_SECRET_MAX];
	size_t len;
	int err;

	if (!cluster)
		return -EINVAL;
	spin_lock(&cluster->lock);
	len = cluster->secret_len;
	memcpy(secret, cluster->secret, len);
	spin_unlock(&cluster->lock);
	err = len ? kbr_cluster_digest(secret, len, parts, count, mac) : -ENOKEY;
	memzero_explicit(secret, sizeof(secret));
	return err;
}
KBR_EXPORT_IF_KUNIT(kbr_cluster_prove);
