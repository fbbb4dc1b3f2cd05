// SPDX-License-Identifier: GPL-2.0-only
/*
 * The replicated state: brokers, topics, partitions, and its snapshots.
 *
 * Arrays in order are quick enough for what a cluster has of brokers and
 * topics; what grows with the partitions is reached through a broker's own
 * list, so that a change of a broker walks its partitions only.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "state.h"

/* Without memory a daemon ends, and its session passes. */
static void *grown(void *old, size_t count, size_t size)
{
	void *new = reallocarray(old, count, size);

	if (!new)
		abort();
	return new;
}

static void *zeroed(size_t size)
{
	void *new = calloc(1, size);

	if (!new)
		abort();
	return new;
}

struct kbd_state *kbd_state_new(void)
{
	return zeroed(sizeof(struct kbd_state));
}

static void topic_free(struct kbd_topic *topic)
{
	free(topic->config);
	free(topic->partition);
	free(topic);
}

static void member_free(struct kbd_member *member)
{
	free(member->replicas.ref);
	free(member);
}

void kbd_state_free(struct kbd_state *state)
{
	unsigned int i;

	if (!state)
		return;
	for (i = 0; i < state->topics; i++)
		topic_free(state->by_name[i]);
	for (i = 0; i < state->brokers.count; i++)
		member_free(state->member[i]);
	free(state->by_name);
	free(state->by_id);
	free(state->touched.refs.ref);
	free(state);
}

/* ---- lists of partitions ---- */

void kbd_refs_add(struct kbd_refs *refs, struct kbd_topic *topic, u32 partition)
{
	if (refs->count == refs->room) {
		refs->room = refs->room ? refs->room * 2 : 16;
		refs->ref = grown(refs->ref, refs->room, sizeof(*refs->ref));
	}
	refs->ref[refs->count].topic = topic;
	refs->ref[refs->count++].partition = partition;
}

static void refs_del(struct kbd_refs *refs, const struct kbd_topic *topic, u32 partition)
{
	unsigned int i;

	for (i = 0; i < refs->count; i++)
		if (refs->ref[i].topic == topic && refs->ref[i].partition == partition) {
			refs->ref[i] = refs->ref[--refs->count];
			return;
		}
}

static void refs_del_topic(struct kbd_refs *refs, const struct kbd_topic *topic)
{
	unsigned int i, kept = 0;

	for (i = 0; i < refs->count; i++)
		if (refs->ref[i].topic != topic)
			refs->ref[kept++] = refs->ref[i];
	refs->count = kept;
}

void kbd_state_index(struct kbd_state *state, struct kbd_topic *topic, u32 partition,
		     const struct kbd_set *before)
{
	const struct kbd_set *now = &topic->partition[partition].replicas;
	struct kbd_member *member;
	unsigned int i;

	for (i = 0; i < before->count; i++) {
		member = kbd_member_find(state, before->id[i]);
		if (member && !kbd_set_has(now, before->id[i]))
			refs_del(&member->replicas, topic, partition);
	}
	for (i = 0; i < now->count; i++) {
		member = kbd_member_find(state, now->id[i]);
		if (member && !kbd_set_has(before, now->id[i]))
			kbd_refs_add(&member->replicas, topic, partition);
	}
}

/* ---- brokers ---- */

struct kbd_member *kbd_member_find(const struct kbd_state *state, s32 id)
{
	unsigned int i;

	for (i = 0; i < state->brokers.count; i++)
		if (state->brokers.broker[i].id == id)
			return state->member[i];
	return NULL;
}

struct kbd_member *kbd_state_add_broker(struct kbd_state *state, s32 id)
{
	struct kbd_brokers *brokers = &state->brokers;
	unsigned int at = brokers->count++;

	for (; at && brokers->broker[at - 1].id > id; at--) {
		brokers->broker[at] = brokers->broker[at - 1];
		state->member[at] = state->member[at - 1];
	}
	memset(&brokers->broker[at], 0, sizeof(brokers->broker[at]));
	brokers->broker[at].id = id;
	state->member[at] = zeroed(sizeof(struct kbd_member));
	return state->member[at];
}

void kbd_state_del_broker(struct kbd_state *state, s32 id)
{
	struct kbd_brokers *brokers = &state->brokers;
	unsigned int at;

	for (at = 0; brokers->broker[at].id != id; at++)
		;
	member_free(state->member[at]);
	brokers->count--;
	for (; at < brokers->count; at++) {
		brokers->broker[at] = brokers->broker[at + 1];
		state->member[at] = state->member[at + 1];
	}
}

/* ---- topics ---- */

static int by_name(const struct kbd_topic *topic, const void *key)
{
	return strcmp(topic->name, key);
}

static int by_id(const struct kbd_topic *topic, const void *key)
{
	return memcmp(topic->id, key, sizeof(topic->id));
}

/* Where @key is in @list, or belongs. */
static unsigned int topic_place(const struct kbd_state *state, struct kbd_topic **list,
				int (*compare)(const struct kbd_topic *topic, const void *key),
				const void *key)
{
	unsigned int low = 0, high = state->topics;

	while (low < high) {
		unsigned int middle = low + (high - low) / 2;

		if (compare(list[middle], key) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

struct kbd_topic *kbd_topic_find(const struct kbd_state *state, const char *name)
{
	unsigned int at = topic_place(state, state->by_name, by_name, name);

	if (at == state->topics || by_name(state->by_name[at], name))
		return NULL;
	return state->by_name[at];
}

struct kbd_topic *kbd_topic_by_id(const struct kbd_state *state, const u8 *id)
{
	unsigned int at = topic_place(state, state->by_id, by_id, id);

	if (at == state->topics || by_id(state->by_id[at], id))
		return NULL;
	return state->by_id[at];
}

static void topic_insert(struct kbd_state *state, struct kbd_topic **list, unsigned int at,
			 struct kbd_topic *topic)
{
	memmove(&list[at + 1], &list[at], (state->topics - at) * sizeof(*list));
	list[at] = topic;
}

static void topic_remove(struct kbd_state *state, struct kbd_topic **list, unsigned int at)
{
	memmove(&list[at], &list[at + 1], (state->topics - at - 1) * sizeof(*list));
}

struct kbd_topic *kbd_state_add_topic(struct kbd_state *state, const char *name, const u8 *id)
{
	struct kbd_topic *topic = zeroed(sizeof(*topic));

	memcpy(topic->name, name, strlen(name) + 1);
	memcpy(topic->id, id, sizeof(topic->id));
	topic->uid = KBD_UNSET;
	topic->gid = KBD_UNSET;
	topic->mode = KBD_UNSET;
	state->by_name = grown(state->by_name, state->topics + 1, sizeof(*state->by_name));
	state->by_id = grown(state->by_id, state->topics + 1, sizeof(*state->by_id));
	topic_insert(state, state->by_name, topic_place(state, state->by_name, by_name, name),
		     topic);
	topic_insert(state, state->by_id, topic_place(state, state->by_id, by_id, id), topic);
	state->topics++;
	return topic;
}

void kbd_state_del_topic(struct kbd_state *state, struct kbd_topic *topic)
{
	unsigned int i;

	for (i = 0; i < state->brokers.count; i++)
		refs_del_topic(&state->member[i]->replicas, topic);
	topic_remove(state, state->by_name,
		     topic_place(state, state->by_name, by_name, topic->name));
	topic_remove(state, state->by_id, topic_place(state, state->by_id, by_id, topic->id));
	state->topics--;
	state->partitions -= topic->partitions;
	topic_free(topic);
}

void kbd_topic_grow(struct kbd_state *state, struct kbd_topic *topic, u32 count)
{
	u32 added = count - topic->partitions;

	topic->partition = grown(topic->partition, count, sizeof(*topic->partition));
	memset(&topic->partition[topic->partitions], 0, added * sizeof(*topic->partition));
	topic->partitions = count;
	state->partitions += added;
}

const char *kbd_topic_config(const struct kbd_topic *topic, const char *name)
{
	unsigned int i;

	for (i = 0; i < topic->configs; i++)
		if (!strcmp(topic->config[i].name, name))
			return topic->config[i].value;
	return NULL;
}

bool kbd_topic_set_config(struct kbd_topic *topic, const char *name, const char *value)
{
	struct kbd_config *config;
	unsigned int at = 0;
	bool there;

	while (at < topic->configs && strcmp(topic->config[at].name, name) < 0)
		at++;
	there = at < topic->configs && !strcmp(topic->config[at].name, name);
	if (!value) {
		if (there) {
			topic->configs--;
			memmove(&topic->config[at], &topic->config[at + 1],
				(topic->configs - at) * sizeof(*config));
		}
		return true;
	}
	if (!there) {
		if (topic->configs == KBD_CONFIGS_MAX)
			return false;
		topic->config = grown(topic->config, topic->configs + 1, sizeof(*config));
		memmove(&topic->config[at + 1], &topic->config[at],
			(topic->configs - at) * sizeof(*config));
		topic->configs++;
	}
	config = &topic->config[at];
	snprintf(config->name, sizeof(config->name), "%s", name);
	snprintf(config->value, sizeof(config->value), "%s", value);
	return true;
}

void kbd_topic_derive(struct kbd_topic *topic, u32 first)
{
	const char *min = kbd_topic_config(topic, "min.insync.replicas");
	const char *flush = kbd_topic_config(topic, "flush.policy");
	const char *unclean = kbd_topic_config(topic, "unclean.leader.election.enable");
	unsigned long number = min ? strtoul(min, NULL, 10) : 1;
	u32 i;

	for (i = first; i < topic->partitions; i++) {
		struct kbd_partition *part = &topic->partition[i];

		part->min_isr = number < KBD_REPLICAS_MAX ? number : KBD_REPLICAS_MAX;
		part->async = flush && !strcmp(flush, "async");
		part->unclean = unclean && !strcmp(unclean, "true");
	}
}

/* ---- snapshots ---- */

static void save_broker(const struct kbd_state *state, unsigned int at, struct kbd_buf *buf)
{
	const struct kbd_broker *broker = &state->brokers.broker[at];
	const struct kbd_member *member = state->member[at];
	size_t nest = kbd_nest(buf, KBD_A_BROKER);
	size_t inner = kbd_nest(buf, KBD_A_CLUSTER);

	kbd_put(buf, KBROKER_A_CLUSTER_DIRECTORY_ID, broker->directory_id, KBD_UUID_SIZE);
	kbd_put(buf, KBROKER_A_CLUSTER_INCARNATION, member->incarnation, KBD_UUID_SIZE);
	kbd_nest_end(buf, inner);
	inner = kbd_nest(buf, KBD_A_PEER);
	kbd_put_u32(buf, KBROKER_A_PEER_ID, broker->id);
	kbd_put_u64(buf, KBROKER_A_PEER_EPOCH, broker->epoch);
	kbd_put_u8(buf, KBROKER_A_PEER_FENCED, broker->fenced);
	kbd_put_text(buf, KBROKER_A_PEER_ADDRESS, member->address);
	kbd_put_u16(buf, KBROKER_A_PEER_PORT, member->port);
	kbd_put_text(buf, KBROKER_A_PEER_ADVERTISED_HOST, member->host);
	kbd_put_u16(buf, KBROKER_A_PEER_ADVERTISED_PORT, member->host_port);
	kbd_put_text(buf, KBROKER_A_PEER_RACK, broker->rack);
	kbd_nest_end(buf, inner);
	kbd_put_u8(buf, KBD_A_STOPPING, broker->stopping);
	kbd_put_u64(buf, KBD_A_INDEX, member->registered);
	kbd_nest_end(buf, nest);
}

/* @topic: its name, NULL where the partition stands behind its topic */
static void save_partition(const struct kbd_partition *part, const char *topic, u32 number,
			   struct kbd_buf *buf)
{
	size_t nest = kbd_nest(buf, KBD_A_PARTITION);
	size_t inner = kbd_nest(buf, KBD_A_REPLICA);

	if (topic)
		kbd_put_text(buf, KBROKER_A_REPLICA_TOPIC, topic);
	kbd_put_u32(buf, KBROKER_A_REPLICA_PARTITION, number);
	kbd_put_u32(buf, KBROKER_A_REPLICA_LEADER, part->leader);
	kbd_put_u32(buf, KBROKER_A_REPLICA_LEADER_EPOCH, part->leader_epoch);
	kbd_put_u32(buf, KBROKER_A_REPLICA_PARTITION_EPOCH, part->partition_epoch);
	kbd_put_set(buf, KBROKER_A_REPLICA_REPLICAS, &part->replicas);
	kbd_put_set(buf, KBROKER_A_REPLICA_ISR, &part->isr);
	kbd_put_set(buf, KBROKER_A_REPLICA_ELR, &part->elr);
	kbd_nest_end(buf, inner);
	if (part->target.count) {
		kbd_put_set(buf, KBD_A_TARGET, &part->target);
		kbd_put_set(buf, KBD_A_FROM, &part->from);
	}
	kbd_nest_end(buf, nest);
}

static void save_topic(const struct kbd_topic *topic, struct kbd_buf *buf)
{
	size_t nest = kbd_nest(buf, KBD_A_TOPIC), inner;
	unsigned int i;
	u32 number;

	kbd_put_text(buf, KBROKER_A_TOPIC_NAME, topic->name);
	kbd_put(buf, KBROKER_A_TOPIC_ID, topic->id, KBD_UUID_SIZE);
	kbd_put_u32(buf, KBROKER_A_TOPIC_PARTITIONS, topic->partitions);
	kbd_put_u16(buf, KBROKER_A_TOPIC_REPLICATION_FACTOR, topic->factor);
	if (topic->uid != KBD_UNSET)
		kbd_put_u32(buf, KBROKER_A_TOPIC_UID, topic->uid);
	if (topic->gid != KBD_UNSET)
		kbd_put_u32(buf, KBROKER_A_TOPIC_GID, topic->gid);
	if (topic->mode != KBD_UNSET)
		kbd_put_u16(buf, KBROKER_A_TOPIC_MODE, topic->mode);
	for (i = 0; i < topic->configs; i++) {
		inner = kbd_nest(buf, KBROKER_A_TOPIC_CONFIG);
		kbd_put_text(buf, KBROKER_A_CONFIG_NAME, topic->config[i].name);
		kbd_put_text(buf, KBROKER_A_CONFIG_VALUE, topic->config[i].value);
		kbd_nest_end(buf, inner);
	}
	kbd_nest_end(buf, nest);
	for (number = 0; number < topic->partitions; number++)
		save_partition(&topic->partition[number], NULL, number, buf);
}

void kbd_state_save_brokers(const struct kbd_state *state, struct kbd_buf *buf)
{
	unsigned int i;

	for (i = 0; i < state->brokers.count; i++)
		save_broker(state, i, buf);
}

void kbd_state_save_moves(const struct kbd_state *state, struct kbd_buf *buf)
{
	const struct kbd_topic *topic;
	unsigned int i;
	u32 number;

	for (i = 0; i < state->topics; i++) {
		topic = state->by_name[i];
		for (number = 0; number < topic->partitions && buf->len < KBD_MOVES_BYTES; number++)
			if (topic->partition[number].target.count)
				save_partition(&topic->partition[number], topic->name, number, buf);
	}
}

void kbd_state_save(const struct kbd_state *state, struct kbd_buf *buf)
{
	unsigned int i;
	size_t nest;

	kbd_begin(buf, KBD_SNAPSHOT);
	nest = kbd_nest(buf, KBD_A_CLUSTER);
	kbd_put(buf, KBROKER_A_CLUSTER_CLUSTER_ID, state->cluster_id, KBD_UUID_SIZE);
	kbd_nest_end(buf, nest);
	kbd_put_u64(buf, KBD_A_INDEX, state->index);
	kbd_put_u64(buf, KBD_A_EPOCH, state->next_epoch);
	kbd_state_save_brokers(state, buf);
	for (i = 0; i < state->topics; i++)
		save_topic(state->by_name[i], buf);
}

static bool load_broker(struct kbd_state *state, const struct kbd_attr *nest)
{
	struct kbd_attr attr[KBD_A_END], cluster[KBROKER_A_CLUSTER_MAX + 1];
	struct kbd_attr peer[KBROKER_A_PEER_MAX + 1];
	struct kbd_member *member;
	struct kbd_broker *broker;
	s32 id;

	kbd_open(nest, attr, KBD_A_END);
	if (!attr[KBD_A_CLUSTER].data || !attr[KBD_A_PEER].data ||
	    state->brokers.count == KBD_BROKERS_MAX)
		return false;
	kbd_open(&attr[KBD_A_CLUSTER], cluster, KBROKER_A_CLUSTER_MAX + 1);
	kbd_open(&attr[KBD_A_PEER], peer, KBROKER_A_PEER_MAX + 1);
	id = kbd_u32(&peer[KBROKER_A_PEER_ID]);
	if (id < 0 || kbd_member_find(state, id) ||
	    !cluster[KBROKER_A_CLUSTER_DIRECTORY_ID].data ||
	    !cluster[KBROKER_A_CLUSTER_INCARNATION].data)
		return false;
	member = kbd_state_add_broker(state, id);
	broker = kbd_broker_find(&state->brokers, id);
	memcpy(broker->directory_id, cluster[KBROKER_A_CLUSTER_DIRECTORY_ID].data, KBD_UUID_SIZE);
	memcpy(member->incarnation, cluster[KBROKER_A_CLUSTER_INCARNATION].data, KBD_UUID_SIZE);
	broker->epoch = kbd_u64(&peer[KBROKER_A_PEER_EPOCH]);
	broker->fenced = kbd_u8(&peer[KBROKER_A_PEER_FENCED]);
	broker->stopping = kbd_u8(&attr[KBD_A_STOPPING]);
	snprintf(broker->rack, sizeof(broker->rack), "%s", kbd_text(&peer[KBROKER_A_PEER_RACK]));
	snprintf(member->address, sizeof(member->address), "%s",
		 kbd_text(&peer[KBROKER_A_PEER_ADDRESS]));
	member->port = kbd_u16(&peer[KBROKER_A_PEER_PORT]);
	snprintf(member->host, sizeof(member->host), "%s",
		 kbd_text(&peer[KBROKER_A_PEER_ADVERTISED_HOST]));
	member->host_port = kbd_u16(&peer[KBROKER_A_PEER_ADVERTISED_PORT]);
	member->registered = kbd_u64(&attr[KBD_A_INDEX]);
	return true;
}

static bool load_config(struct kbd_topic *topic, const struct kbd_attr *nest)
{
	struct kbd_attr attr[KBROKER_A_CONFIG_MAX + 1];

	kbd_open(nest, attr, KBROKER_A_CONFIG_MAX + 1);
	return attr[KBROKER_A_CONFIG_VALUE].data &&
	       kbd_topic_set_config(topic, kbd_text(&attr[KBROKER_A_CONFIG_NAME]),
				    kbd_text(&attr[KBROKER_A_CONFIG_VALUE]));
}

static struct kbd_topic *load_topic(struct kbd_state *state, const struct kbd_attr *nest)
{
	struct kbd_attr attr[KBROKER_A_TOPIC_MAX + 1], next;
	struct kbd_topic *topic;
	size_t pos = 0;
	u32 count;

	kbd_open(nest, attr, KBROKER_A_TOPIC_MAX + 1);
	count = kbd_u32(&attr[KBROKER_A_TOPIC_PARTITIONS]);
	if (!attr[KBROKER_A_TOPIC_ID].data || !attr[KBROKER_A_TOPIC_NAME].data || !count ||
	    count > KBROKER_TOPIC_PARTITIONS_MAX || count > KBD_PARTITIONS_MAX - state->partitions ||
	    kbd_topic_find(state, kbd_text(&attr[KBROKER_A_TOPIC_NAME])) ||
	    kbd_topic_by_id(state, attr[KBROKER_A_TOPIC_ID].data))
		return NULL;
	topic = kbd_state_add_topic(state, kbd_text(&attr[KBROKER_A_TOPIC_NAME]),
				    attr[KBROKER_A_TOPIC_ID].data);
	topic->factor = kbd_u16(&attr[KBROKER_A_TOPIC_REPLICATION_FACTOR]);
	if (attr[KBROKER_A_TOPIC_UID].data)
		topic->uid = kbd_u32(&attr[KBROKER_A_TOPIC_UID]);
	if (attr[KBROKER_A_TOPIC_GID].data)
		topic->gid = kbd_u32(&attr[KBROKER_A_TOPIC_GID]);
	if (attr[KBROKER_A_TOPIC_MODE].data)
		topic->mode = kbd_u16(&attr[KBROKER_A_TOPIC_MODE]);
	while (kbd_each(nest->data, nest->len, &pos, &next))
		if (next.type == KBROKER_A_TOPIC_CONFIG && !load_config(topic, &next))
			return NULL;
	kbd_topic_grow(state, topic, count);
	kbd_topic_derive(topic, 0);
	return topic;
}

static bool load_partition(struct kbd_state *state, struct kbd_topic *topic, u32 number,
			   const struct kbd_attr *nest)
{
	struct kbd_attr attr[KBD_A_END], replica[KBROKER_A_REPLICA_MAX + 1];
	const struct kbd_set none = { 0 };
	struct kbd_partition *part;
	unsigned int i;

	kbd_open(nest, attr, KBD_A_END);
	if (!attr[KBD_A_REPLICA].data || !topic || number >= topic->partitions)
		return false;
	kbd_open(&attr[KBD_A_REPLICA], replica, KBROKER_A_REPLICA_MAX + 1);
	part = &topic->partition[number];
	if (kbd_u32(&replica[KBROKER_A_REPLICA_PARTITION]) != number ||
	    !kbd_ids(&replica[KBROKER_A_REPLICA_REPLICAS], &part->replicas) ||
	    !kbd_ids(&replica[KBROKER_A_REPLICA_ISR], &part->isr) ||
	    !kbd_ids(&replica[KBROKER_A_REPLICA_ELR], &part->elr) ||
	    !kbd_ids(&attr[KBD_A_TARGET], &part->target) ||
	    !kbd_ids(&attr[KBD_A_FROM], &part->from))
		return false;
	part->leader = kbd_u32(&replica[KBROKER_A_REPLICA_LEADER]);
	part->leader_epoch = kbd_u32(&replica[KBROKER_A_REPLICA_LEADER_EPOCH]);
	part->partition_epoch = kbd_u32(&replica[KBROKER_A_REPLICA_PARTITION_EPOCH]);
	for (i = 0; i < part->replicas.count; i++)
		if (!kbd_member_find(state, part->replicas.id[i]))
			return false;
	kbd_state_index(state, topic, number, &none);
	return !kbd_partition_check(part, &state->brokers);
}

static bool load_all(struct kbd_state *state, const struct kbd_message *msg)
{
	struct kbd_attr cluster[KBROKER_A_CLUSTER_MAX + 1], attr;
	struct kbd_topic *topic = NULL;
	size_t pos = 0;
	u32 number = 0;
	bool ok = true;

	if (msg->kind != KBD_SNAPSHOT || !msg->attr[KBD_A_CLUSTER].data)
		return false;
	kbd_open(&msg->attr[KBD_A_CLUSTER], cluster, KBROKER_A_CLUSTER_MAX + 1);
	if (!cluster[KBROKER_A_CLUSTER_CLUSTER_ID].data)
		return false;
	memcpy(state->cluster_id, cluster[KBROKER_A_CLUSTER_CLUSTER_ID].data, KBD_UUID_SIZE);
	state->index = kbd_u64(&msg->attr[KBD_A_INDEX]);
	state->next_epoch = kbd_u64(&msg->attr[KBD_A_EPOCH]);
	while (ok && kbd_each(msg->body, msg->len, &pos, &attr)) {
		switch (attr.type) {
		case KBD_A_BROKER:
			ok = load_broker(state, &attr);
			break;
		case KBD_A_TOPIC:
			/* the one before it must be whole */
			if (topic && number != topic->partitions)
				return false;
			topic = load_topic(state, &attr);
			number = 0;
			ok = topic;
			break;
		case KBD_A_PARTITION:
			ok = load_partition(state, topic, number++, &attr);
			break;
		}
	}
	return ok && (!topic || number == topic->partitions);
}

struct kbd_state *kbd_state_load(const void *data, size_t len, char *why)
{
	struct kbd_state *state;
	struct kbd_message msg;

	if (kbd_decode(&msg, data, len, why))
		return NULL;
	state = kbd_state_new();
	if (load_all(state, &msg))
		return state;
	snprintf(why, KBD_WHY_SIZE, "the snapshot contradicts itself");
	kbd_state_free(state);
	return NULL;
}
