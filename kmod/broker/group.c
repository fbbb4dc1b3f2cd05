// SPDX-License-Identifier: GPL-2.0-only
/*
 * The groups of a broker: their table, their lifetimes, their timers. See
 * group.h for what a group is.
 */
#include <linux/slab.h>
#include <linux/string.h>

#include "base/clock.h"
#include "base/kunit.h"
#include "broker/cluster.h"
#include "broker/group_internal.h"

/* segment.bytes of __consumer_offsets, as in Kafka: small, since only whole segments are removed */
#define KBR_OFFSETS_SEGMENT	"104857600"

/* ---- texts ---- */

bool kbr_group_str_dup(struct kbr_str *to, const struct kbr_str *from)
{
	char *at = NULL;

	if (from->len >= 0) {
		at = kmemdup_nul(from->at, from->len, GFP_KERNEL_ACCOUNT);
		if (!at)
			return false;
	}
	*to = (struct kbr_str) { .at = at, .len = from->len };
	return true;
}

/* Null is before all others. */
int kbr_group_str_cmp(const struct kbr_str *a, const struct kbr_str *b)
{
	int diff = 0;

	if (a->len > 0 && b->len > 0)
		diff = memcmp(a->at, b->at, min(a->len, b->len));
	return diff ?: a->len - b->len;
}

const char *kbr_group_state_name(enum kbr_group_state state)
{
	static const char * const names[] = {
		[KBR_GROUP_EMPTY] = "Empty",
		[KBR_GROUP_PREPARING_REBALANCE] = "PreparingRebalance",
		[KBR_GROUP_COMPLETING_REBALANCE] = "CompletingRebalance",
		[KBR_GROUP_STABLE] = "Stable",
		[KBR_GROUP_DEAD] = "Dead",
	};

	return names[state];
}

/* ---- a group ---- */

static void kbr_groups_release(struct kref *ref)
{
	struct kbr_groups *groups = container_of(ref, struct kbr_groups, ref);

	WARN_ON_ONCE(atomic64_read(&groups->bytes));
	kfree(groups);
}

static void kbr_group_release(struct kref *ref)
{
	struct kbr_group *group = container_of(ref, struct kbr_group, ref);
	struct kbr_groups *groups = group->groups;

	mutex_lock(&group->lock);
	kbr_group_drop_members_locked(group, KBR_KAFKA_COORDINATOR_NOT_AVAILABLE);
	kbr_group_forget_offsets_locked(group);
	mutex_unlock(&group->lock);
	kbr_group_charge(group, -(ssize_t)group->bytes);
	kfree(group->protocol_type.at);
	kfree(group->protocol.at);
	kfree(group->name.at);
	mutex_destroy(&group->lock);
	kfree(group);
	kref_put(&groups->ref, kbr_groups_release);
}

void kbr_group_get(struct kbr_group *group)
{
	kref_get(&group->ref);
}
KBR_EXPORT_IF_KUNIT(kbr_group_get);

void kbr_group_put(struct kbr_group *group)
{
	if (group)
		kref_put(&group->ref, kbr_group_release);
}
KBR_EXPORT_IF_KUNIT(kbr_group_put);

struct kbr_str kbr_group_name(const struct kbr_group *group)
{
	return group->name;
}
KBR_EXPORT_IF_KUNIT(kbr_group_name);

void kbr_group_lock(struct kbr_group *group)
{
	mutex_lock(&group->lock);
}
KBR_EXPORT_IF_KUNIT(kbr_group_lock);

void kbr_group_unlock(struct kbr_group *group)
{
	mutex_unlock(&group->lock);
}
KBR_EXPORT_IF_KUNIT(kbr_group_unlock);

void kbr_group_wake_locked(struct kbr_group *group)
{
	/* Full barrier in wq_has_sleeper(); pairs with the one after joining the queue. */
	if (wq_has_sleeper(&group->wait))
		wake_up_all(&group->wait);
}

void kbr_group_set_state_locked(struct kbr_group *group, enum kbr_group_state state)
{
	group->state = state;
	group->state_ms = kbr_clock_now_ms();
	kbr_group_wake_locked(group);
	kbr_group_changed_locked(group);
}

bool kbr_group_charge(struct kbr_group *group, ssize_t bytes)
{
	struct kbr_groups *groups = group->groups;
	s64 max;

	if (bytes > 0) {
		max = READ_ONCE(groups->broker->config.group_memory_max);
		if (atomic64_add_return(bytes, &groups->bytes) > max) {
			atomic64_sub(bytes, &groups->bytes);
			return false;
		}
	} else {
		atomic64_add(bytes, &groups->bytes);
	}
	group->bytes += bytes;
	return true;
}

/* ---- timers ---- */

void kbr_group_arm_locked(struct kbr_group *group, s64 now)
{
	struct kbr_groups *groups = group->groups;
	s64 next = kbr_group_tick_locked(group, now);

	/* One that is due earlier finds out by itself. */
	if (next == KBR_GROUP_NEVER || group->timer_at <= next || kbr_groups_stopped(groups))
		return;
	group->timer_at = next;
	mod_delayed_work(groups->broker->work_wq, &group->timer,
			 msecs_to_jiffies(clamp_t(s64, next - now, 0, INT_MAX)) + 1);
}

static void kbr_group_timer_work(struct work_struct *work)
{
	struct kbr_group *group = container_of(to_delayed_work(work), struct kbr_group, timer);
	s64 now = kbr_clock_mono_ms();

	mutex_lock(&group->lock);
	group->timer_at = KBR_GROUP_NEVER;
	kbr_group_settle_locked(group);
	kbr_group_arm_locked(group, now);
	mutex_unlock(&group->lock);
}

/* ---- the table ---- */

static struct kbr_group *kbr_group_alloc(struct kbr_groups *groups, const struct kbr_str *name)
{
	struct kbr_group *group = kzalloc(sizeof(*group), GFP_KERNEL_ACCOUNT);

	if (!group)
		return NULL;
	if (!kbr_group_str_dup(&group->name, name)) {
		kfree(group);
		return NULL;
	}
	kref_init(&group->ref);
	kref_get(&groups->ref);
	group->groups = groups;
	mutex_init(&group->lock);
	init_waitqueue_head(&group->wait);
	group->protocol_type.len = -1;
	group->protocol.len = -1;
	INIT_LIST_HEAD(&group->members);
	INIT_LIST_HEAD(&group->promised);
	INIT_LIST_HEAD(&group->pending);
	INIT_LIST_HEAD(&group->shares);
	INIT_LIST_HEAD(&group->news);
	/* What was loaded is no news. */
	group->told = READ_ONCE(groups->state) != KBR_GROUPS_READY;
	INIT_DELAYED_WORK(&group->timer, kbr_group_timer_work);
	group->timer_at = KBR_GROUP_NEVER;
	group->offsets = RB_ROOT;
	group->record = -1;
	group->state_ms = kbr_clock_now_ms();
	if (groups->partitions)
		group->partition = kbr_group_partition(name, groups->partitions);
	if (!kbr_group_charge(group, sizeof(*group) + name->len + 1)) {
		kbr_group_put(group);
		return NULL;
	}
	return group;
}

static struct kbr_group *kbr_groups_search(struct kbr_groups *groups, const struct kbr_str *name)
{
	struct rb_node *node = groups->tree.rb_node;

	while (node) {
		struct kbr_group *group = rb_entry(node, struct kbr_group, node);
		int diff = kbr_group_str_cmp(name, &group->name);

		if (!diff)
			return group;
		node = diff < 0 ? node->rb_left : node->rb_right;
	}
	return NULL;
}

/* Insert @new, or find that somebody else has. Returns the one in the table. */
static struct kbr_group *kbr_groups_insert(struct kbr_groups *groups, struct kbr_group *new)
{
	struct rb_node **link = &groups->tree.rb_node, *parent = NULL;

	while (*link) {
		struct kbr_group *group = rb_entry(*link, struct kbr_group, node);
		int diff = kbr_group_str_cmp(&new->name, &group->name);

		if (!diff)
			return group;
		parent = *link;
		link = diff < 0 ? &parent->rb_left : &parent->rb_right;
	}
	rb_link_node(&new->node, parent, link);
	rb_insert_color(&new->node, &groups->tree);
	groups->count++;
	return new;
}

/* Nothing says that there is such a group: it waits to be removed, or to be filled. */
static bool kbr_group_vacant(struct kbr_group *group)
{
	bool vacant;

	mutex_lock(&group->lock);
	kbr_group_settle_locked(group);
	vacant = group->kind == KBR_GROUP_NONE && !group->members_count &&
		 !group->promised_count && !group->offsets_count && group->record < 0 &&
		 list_empty(&group->pending);
	mutex_unlock(&group->lock);
	return vacant;
}

struct kbr_group *kbr_group_get_in(struct kbr_groups *groups, const struct kbr_str *name,
				   bool create, s16 *code)
{
	struct kbr_group *group, *new;

	*code = 0;
	down_read(&groups->lock);
	group = kbr_groups_search(groups, name);
	if (group)
		kbr_group_get(group);
	up_read(&groups->lock);
	if (group || !create) {
		if (group && !create && kbr_group_vacant(group)) {
			kbr_group_put(group);
			group = NULL;
		}
		if (!group)
			*code = KBR_KAFKA_GROUP_ID_NOT_FOUND;
		return group;
	}
	new = kbr_group_alloc(groups, name);
	if (!new) {
		*code = KBR_KAFKA_GROUP_MAX_SIZE_REACHED;
		return NULL;
	}
	down_write(&groups->lock);
	/* A group of a partition that is led no more would not be forgotten with the others. */
	if (kbr_groups_stopped(groups) ||
	    kbr_groups_log_of(groups, name)->where == KBR_GROUP_LOG_AWAY) {
		*code = KBR_KAFKA_COORDINATOR_NOT_AVAILABLE;
		group = NULL;
	} else {
		group = kbr_groups_insert(groups, new);
		kbr_group_get(group);
	}
	up_write(&groups->lock);
	if (group == new && !new->told) {
		mutex_lock(&new->lock);
		kbr_group_changed_locked(new);
		mutex_unlock(&new->lock);
	}
	/* the table's reference, or the one that is not needed */
	if (group != new)
		kbr_group_put(new);
	return group;
}

struct kbr_group *kbr_group_find(struct kbr_broker *broker, const struct kbr_str *name,
				 bool create, s16 *code)
{
	struct kbr_groups *groups = broker->groups;

	*code = KBR_KAFKA_COORDINATOR_NOT_AVAILABLE;
	if (!groups)
		return NULL;
	if (name->len < 0 || name->len > KBR_GROUP_NAME_MAX) {
		*code = KBR_KAFKA_INVALID_GROUP_ID;
		return NULL;
	}
	switch (READ_ONCE(groups->state)) {
	case KBR_GROUPS_READY:
		*code = 0;
		if (unlikely(kbr_cluster_is_member(broker)))
			*code = kbr_groups_check_here(groups, name);
		if (*code)
			return NULL;
		break;
	case KBR_GROUPS_MAKING:
	case KBR_GROUPS_LOADING:
		*code = KBR_KAFKA_COORDINATOR_LOAD_IN_PROGRESS;
		return NULL;
	case KBR_GROUPS_ABSENT:
		if (!create)
			*code = KBR_KAFKA_GROUP_ID_NOT_FOUND;
		return NULL;
	default:
		return NULL;
	}
	return kbr_group_get_in(groups, name, create, code);
}
KBR_EXPORT_IF_KUNIT(kbr_group_find);

struct kbr_group *kbr_group_next(struct kbr_broker *broker, const struct kbr_str *after)
{
	struct kbr_groups *groups = broker->groups;
	struct kbr_group *found = NULL, *group;
	struct kbr_str from = *after;
	struct rb_node *node;

	if (!groups || READ_ONCE(groups->state) != KBR_GROUPS_READY)
		return NULL;
	for (;;) {
		struct kbr_group *last = found;

		found = NULL;
		down_read(&groups->lock);
		node = groups->tree.rb_node;
		while (node) {
			group = rb_entry(node, struct kbr_group, node);
			if (kbr_group_str_cmp(&from, &group->name) < 0) {
				found = group;
				node = node->rb_left;
			} else {
				node = node->rb_right;
			}
		}
		if (found)
			kbr_group_get(found);
		up_read(&groups->lock);
		/* @from was its name */
		kbr_group_put(last);
		if (!found || !kbr_group_vacant(found))
			return found;
		from = found->name;
	}
}
KBR_EXPORT_IF_KUNIT(kbr_group_next);

/* Take vacant groups that nobody holds out of the table. */
static void kbr_groups_reap(struct kbr_groups *groups)
{
	struct rb_node *node, *next;
	struct kbr_group *group;
	LIST_HEAD(gone);

	down_write(&groups->lock);
	for (node = rb_first(&groups->tree); node; node = next) {
		next = rb_next(node);
		group = rb_entry(node, struct kbr_group, node);
		/* The lock keeps everybody from finding it. */
		if (kref_read(&group->ref) != 1 || !kbr_group_vacant(group))
			continue;
		rb_erase(node, &groups->tree);
		groups->count--;
		mutex_lock(&group->lock);
		group->state = KBR_GROUP_DEAD;
		kbr_group_changed_locked(group);
		mutex_unlock(&group->lock);
		/* nothing else is on this list of a group without any */
		list_add(&group->pending, &gone);
	}
	up_write(&groups->lock);
	while ((group = list_first_entry_or_null(&gone, struct kbr_group, pending))) {
		list_del_init(&group->pending);
		cancel_delayed_work_sync(&group->timer);
		kbr_group_put(group);
	}
}

/* ---- looking at a group ---- */

static struct kbr_str kbr_group_text_or_empty(const struct kbr_str *text)
{
	return text->len < 0 ? (struct kbr_str) { .at = "", .len = 0 } : *text;
}

void kbr_group_info_locked(struct kbr_group *group, struct kbr_group_info *info)
{
	kbr_group_settle_locked(group);
	*info = (struct kbr_group_info) {
		.kind = group->kind,
		.state = group->state,
		.generation = group->generation,
		.members = group->kind == KBR_GROUP_DEVICE ? group->devices : group->members_count,
		.offsets = group->offsets_count,
		.protocol_type = kbr_group_text_or_empty(&group->protocol_type),
		.protocol = kbr_group_text_or_empty(&group->protocol),
		.leader = group->leader ? group->leader->id : (struct kbr_str) { .at = "" },
		.state_ms = group->state_ms,
		.bytes = group->bytes,
	};
}
KBR_EXPORT_IF_KUNIT(kbr_group_info_locked);

void kbr_group_member_tell_locked(const struct kbr_group *group,
				  const struct kbr_group_member *member,
				  struct kbr_group_member_info *info)
{
	unsigned int i;

	*info = (struct kbr_group_member_info) {
		.id = member->id,
		.instance_id = member->instance_id,
		.client_id = kbr_group_text_or_empty(&member->client_id),
		.client_host = kbr_group_text_or_empty(&member->client_host),
		.metadata = { .at = "" },
		.assignment = kbr_group_text_or_empty(&member->assignment),
		.session_timeout_ms = member->session_timeout_ms,
		.rebalance_timeout_ms = member->rebalance_timeout_ms,
	};
	for (i = 0; i < member->protocols_count; i++)
		if (kbr_group_str_same(&member->protocols[i].name, &group->protocol))
			info->metadata = member->protocols[i].metadata;
}

bool kbr_group_member_locked(struct kbr_group *group, unsigned int n,
			     struct kbr_group_member_info *info)
{
	const struct kbr_group_member *member;

	list_for_each_entry(member, &group->members, node) {
		if (n--)
			continue;
		kbr_group_member_tell_locked(group, member, info);
		return true;
	}
	return false;
}
KBR_EXPORT_IF_KUNIT(kbr_group_member_locked);

int kbr_group_set_kind_locked(struct kbr_group *group, enum kbr_group_kind kind)
{
	/* The broker stops, or stopped: it gets no members any more. */
	if (group->state == KBR_GROUP_DEAD)
		return kind == KBR_GROUP_NONE ? 0 : -ENODEV;
	if (kind == group->kind)
		return 0;
	if (kind == KBR_GROUP_DEVICE && (group->members_count || group->promised_count))
		return -EBUSY;
	group->kind = kind;
	group->generation++;
	kbr_group_set_state_locked(group, kind == KBR_GROUP_DEVICE ? KBR_GROUP_STABLE :
								     KBR_GROUP_EMPTY);
	return 0;
}
KBR_EXPORT_IF_KUNIT(kbr_group_set_kind_locked);

/* ---- waiting ---- */

void kbr_group_wait_add(struct kbr_group_wait *wait, struct kbr_waiter *waiter)
{
	struct kbr_group_pending *pending;
	struct kbr_group *group = wait->group;
	struct kbr_partition *part = NULL;
	s64 last = -1;

	kbr_waiter_add_head(waiter, &group->wait);
	if (wait->part) {
		kbr_waiter_add_partition(waiter, wait->part, wait->last);
		return;
	}
	/* It is answered when the group's record is on disk. */
	mutex_lock(&group->lock);
	pending = kbr_group_pending_locked(group, (wait->member && wait->member->storing) ?
					   wait->member->storing : group->storing);
	if (pending)
		last = pending->last;
	if (last >= 0) {
		part = kbr_group_log_part(group);
		if (!wait->topic) {
			wait->topic = part->topic;
			kbr_topic_get(wait->topic);
		}
	}
	mutex_unlock(&group->lock);
	if (part)
		kbr_waiter_add_partition(waiter, part, last);
}
KBR_EXPORT_IF_KUNIT(kbr_group_wait_add);

void kbr_group_wait_drop(struct kbr_group_wait *wait)
{
	struct kbr_group *group = wait->group;
	s64 now = kbr_clock_mono_ms();

	if (!group)
		return;
	if (wait->member) {
		mutex_lock(&group->lock);
		kbr_group_abandon_locked(group, wait->member, wait->seq, now);
		mutex_unlock(&group->lock);
		kbr_group_member_put(wait->member);
	}
	kbr_topic_put(wait->topic);
	kbr_group_put(group);
	memset(wait, 0, sizeof(*wait));
}
KBR_EXPORT_IF_KUNIT(kbr_group_wait_drop);

/* ---- the broker's groups ---- */

void kbr_groups_set_state(struct kbr_groups *groups, enum kbr_groups_state state, int err)
{
	down_write(&groups->lock);
	if (!kbr_groups_stopped(groups)) {
		/* release: what was loaded is there for who sees READY */
		smp_store_release(&groups->state, state);
		groups->err = err;
	}
	up_write(&groups->lock);
	wake_up_all(&groups->wait);
}

wait_queue_head_t *kbr_groups_wait_head(struct kbr_broker *broker)
{
	return &broker->groups->wait;
}
KBR_EXPORT_IF_KUNIT(kbr_groups_wait_head);

static int kbr_groups_make(struct kbr_groups *groups)
{
	struct kbr_broker *broker = groups->broker;
	struct kbr_topic_params params = {
		.name = KBR_OFFSETS_TOPIC,
		.partitions = READ_ONCE(broker->config.offsets_partitions),
		.replication_factor = clamp(kbr_cluster_peers(broker), 1u, 3u),
		.internal = true,
	};
	struct kbr_refusal why;
	u32 op_id;
	int err;

	/*
	 * Nothing of it is too old: what is dead goes when it is written anew. What
	 * a client is told to be committed is on disk, whatever its topics say.
	 */
	err = kbr_config_set_put(&params.configs, "retention.ms", "-1");
	if (!err)
		err = kbr_config_set_put(&params.configs, "retention.bytes", "-1");
	if (!err)
		err = kbr_config_set_put(&params.configs, "segment.bytes", KBR_OFFSETS_SEGMENT);
	if (!err)
		err = kbr_config_set_put(&params.configs, "flush.policy", "sync");
	if (!err)
		err = kbr_topic_create(broker, &params, &op_id, &why);
	kbr_config_set_free(&params.configs);
	if (err && err != -EEXIST) {
		kbr_groups_set_state(groups, KBR_GROUPS_ABSENT, 0);
		return err;
	}
	/* Behind its creation, on the same ordered queue; a member is told when the topic is there. */
	if (!kbr_cluster_is_member(broker))
		queue_work(broker->ops_wq, &groups->load);
	return -EAGAIN;
}

void kbr_groups_topic_told(struct kbr_broker *broker, const char *name, int err)
{
	struct kbr_groups *groups = broker->groups;
	bool load;

	if (strcmp(name, KBR_OFFSETS_TOPIC))
		return;
	down_write(&groups->lock);
	load = !err && (groups->state == KBR_GROUPS_ABSENT || groups->state == KBR_GROUPS_MAKING);
	if (load)
		groups->state = KBR_GROUPS_LOADING;
	up_write(&groups->lock);
	if (load)
		queue_work(broker->work_wq, &groups->load);
	else if (err && READ_ONCE(groups->state) == KBR_GROUPS_MAKING)
		kbr_groups_set_state(groups, KBR_GROUPS_ABSENT, err);
}

int kbr_groups_ready(struct kbr_broker *broker, bool create)
{
	struct kbr_groups *groups = broker->groups;
	bool make = false;
	int err;

	if (!groups)
		return -ENODEV;
	/* pairs with the release in kbr_groups_set_state() */
	if (likely(smp_load_acquire(&groups->state) == KBR_GROUPS_READY))
		return 0;
	down_write(&groups->lock);
	err = -EAGAIN;
	if (groups->state == KBR_GROUPS_READY) {
		err = 0;
	} else if (kbr_groups_stopped(groups)) {
		err = -ENODEV;
	} else if (groups->state == KBR_GROUPS_ABSENT) {
		err = groups->err ?: -ENOENT;
		groups->err = 0;
		make = create && err == -ENOENT;
		if (make)
			groups->state = KBR_GROUPS_MAKING;
	}
	up_write(&groups->lock);
	return make ? kbr_groups_make(groups) : err;
}
KBR_EXPORT_IF_KUNIT(kbr_groups_ready);

int kbr_groups_start(struct kbr_broker *broker)
{
	struct kbr_groups *groups = kzalloc(sizeof(*groups), GFP_KERNEL);
	struct kbr_topic *topic;

	if (!groups)
		return -ENOMEM;
	kref_init(&groups->ref);
	groups->broker = broker;
	init_rwsem(&groups->lock);
	groups->tree = RB_ROOT;
	init_waitqueue_head(&groups->wait);
	INIT_WORK(&groups->load, kbr_groups_load_work);
	INIT_DELAYED_WORK(&groups->move, kbr_groups_move_work);
	spin_lock_init(&groups->news_lock);
	INIT_LIST_HEAD(&groups->news);
	INIT_WORK(&groups->tell, kbr_groups_tell_work);
	groups->checked_ms = kbr_clock_now_ms();
	broker->groups = groups;
	topic = kbr_topic_lookup(broker, KBR_OFFSETS_TOPIC);
	if (topic) {
		kbr_topic_put(topic);
		groups->state = KBR_GROUPS_LOADING;
		queue_work(broker->work_wq, &groups->load);
	}
	return 0;
}

void kbr_group_end(struct kbr_group *group, s16 code)
{
	mutex_lock(&group->lock);
	group->state = KBR_GROUP_DEAD;
	kbr_group_drop_members_locked(group, code);
	kbr_group_changed_locked(group);
	kbr_group_wake_locked(group);
	mutex_unlock(&group->lock);
	cancel_delayed_work_sync(&group->timer);
	kbr_group_put(group);
}

void kbr_groups_stop(struct kbr_broker *broker)
{
	struct kbr_groups *groups = broker->groups;
	struct kbr_group *group;
	struct rb_node *node;

	if (!groups || kbr_groups_stopped(groups))
		return;
	kbr_groups_set_state(groups, KBR_GROUPS_STOPPED, 0);
	cancel_work_sync(&groups->load);
	cancel_delayed_work_sync(&groups->move);
	kbr_groups_stop_telling(groups);
	for (;;) {
		down_write(&groups->lock);
		node = rb_first(&groups->tree);
		group = node ? rb_entry(node, struct kbr_group, node) : NULL;
		if (group) {
			rb_erase(node, &groups->tree);
			groups->count--;
		}
		up_write(&groups->lock);
		if (!group)
			break;
		kbr_group_end(group, KBR_KAFKA_COORDINATOR_NOT_AVAILABLE);
	}
	/* The topic holds the broker; no group that is not dead needs it. */
	kbr_topic_put(groups->topic);
	groups->topic = NULL;
}

void kbr_groups_free(struct kbr_broker *broker)
{
	struct kbr_groups *groups = broker->groups;

	if (!groups)
		return;
	broker->groups = NULL;
	kvfree(groups->logs);
	groups->logs = NULL;
	kref_put(&groups->ref, kbr_groups_release);
}

/* Every group in turn, with its lock. */
static void kbr_groups_expire(struct kbr_groups *groups, s64 now_ms)
{
	struct kbr_broker *broker = groups->broker;
	struct kbr_group *group, *next;
	struct kbr_str none = { .len = -1 };

	for (group = kbr_group_next(broker, &none); group; group = next) {
		/* Of one that is being loaded a newer commit may come. */
		if (kbr_groups_log_is_here(groups, group->partition)) {
			mutex_lock(&group->lock);
			kbr_group_settle_locked(group);
			kbr_group_expire_locked(group, now_ms);
			mutex_unlock(&group->lock);
		}
		next = READ_ONCE(broker->dead) ? NULL : kbr_group_next(broker, &group->name);
		kbr_group_put(group);
		cond_resched();
	}
}

void kbr_groups_upkeep(struct kbr_broker *broker, s64 now_ms)
{
	struct kbr_groups *groups = broker->groups;
	s64 pause = READ_ONCE(broker->config.offsets_check_ms);

	if (!groups || READ_ONCE(groups->state) != KBR_GROUPS_READY)
		return;
	if (now_ms < groups->checked_ms || now_ms - groups->checked_ms >= pause) {
		kbr_groups_expire(groups, now_ms);
		groups->checked_ms = now_ms;
	}
	kbr_groups_reap(groups);
	kbr_groups_rewrite(groups);
}
KBR_EXPORT_IF_KUNIT(kbr_groups_upkeep);
