// SPDX-License-Identifier: GPL-2.0-only
/*
 * The commands that change the replicated state. No clock, no chance, no I/O:
 * whatever they need is in the command. Who decides is decide.c.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "state.h"

/**
 * struct apply - a command that is being carried out
 * @state: what it changes
 * @msg: the command
 * @result: what became of it
 */
struct apply {
	struct kbd_state *state;
	const struct kbd_message *msg;
	struct kbd_result *result;
};

__attribute__((format(printf, 3, 4)))
static void refuse(struct apply *apply, int err, const char *fmt, ...)
{
	va_list ap;

	apply->result->err = err;
	va_start(ap, fmt);
	vsnprintf(apply->result->text, sizeof(apply->result->text), fmt, ap);
	va_end(ap);
}

static void refuse_decision(struct apply *apply, enum kbd_refusal refusal)
{
	static const struct {
		int err;
		const char *text;
	} why[] = {
		[KBD_NOT_LEADER] = { EREMOTE, "the broker does not lead the partition" },
		[KBD_FENCED_EPOCH] = { ESTALE, "the leader's or the broker's epoch has passed" },
		[KBD_STALE] = { EAGAIN, "the partition has changed since" },
		[KBD_INELIGIBLE] = { EHOSTUNREACH,
			"a broker is not registered, has no session, stops, or was restarted" },
		[KBD_INVALID] = { EINVAL, "these can't be the replicas, or in sync" },
		[KBD_TOO_FEW] = { ENOLINK, "there are fewer brokers with a session than replicas" },
	};

	if (refusal != KBD_OK && refusal != KBD_NOTHING)
		refuse(apply, why[refusal].err, "%s", why[refusal].text);
}

/* ---- partitions ---- */

/* Partition @number has changed; its replicas were @before. */
static void touched(struct apply *apply, struct kbd_topic *topic, u32 number,
		    const struct kbd_set *before)
{
	kbd_refs_add(&apply->state->touched.refs, topic, number);
	if (!kbd_set_equal(before, &topic->partition[number].replicas))
		kbd_state_index(apply->state, topic, number, before);
}

static void update(struct apply *apply, struct kbd_topic *topic, u32 number)
{
	struct kbd_partition *part = &topic->partition[number];
	struct kbd_set before = part->replicas;

	if (kbd_partition_update(part, &apply->state->brokers))
		touched(apply, topic, number, &before);
}

/**
 * enum trust - what a broker's disk holds of what it had
 * @TRUST: all
 * @TRUST_SYNCED: what was synced: it stopped uncleanly
 * @TRUST_NOT: nothing: it is another one
 */
enum trust {
	TRUST,
	TRUST_SYNCED,
	TRUST_NOT,
};

/*
 * Broker @id has changed. A reassignment that ends takes a partition off the
 * broker's list, so walk a copy.
 */
static void update_broker(struct apply *apply, s32 id, enum trust trust)
{
	const struct kbd_refs *refs = &kbd_member_find(apply->state, id)->replicas;
	struct kbd_ref *list;
	unsigned int count = refs->count, i;

	if (!count)
		return;
	list = malloc(count * sizeof(*list));
	if (!list)
		abort();
	memcpy(list, refs->ref, count * sizeof(*list));
	for (i = 0; i < count; i++) {
		struct kbd_partition *part = &list[i].topic->partition[list[i].partition];
		struct kbd_set before = part->replicas;
		bool changed = false;

		if (trust != TRUST)
			changed = kbd_partition_forget(part, id, trust == TRUST_NOT);
		changed |= kbd_partition_update(part, &apply->state->brokers);
		if (changed)
			touched(apply, list[i].topic, list[i].partition, &before);
	}
	free(list);
}

/* ---- brokers ---- */

static void apply_init(struct apply *apply)
{
	struct kbd_attr attr[KBROKER_A_CLUSTER_MAX + 1];
	static const u8 none[KBD_UUID_SIZE];

	kbd_open(&apply->msg->attr[KBD_A_CLUSTER], attr, KBROKER_A_CLUSTER_MAX + 1);
	if (!attr[KBROKER_A_CLUSTER_CLUSTER_ID].data)
		return refuse(apply, EINVAL, "a cluster needs an id");
	if (memcmp(apply->state->cluster_id, none, KBD_UUID_SIZE))
		return refuse(apply, EEXIST, "the cluster has an id already");
	memcpy(apply->state->cluster_id, attr[KBROKER_A_CLUSTER_CLUSTER_ID].data, KBD_UUID_SIZE);
	apply->state->touched.brokers = true;
}

/**
 * struct registration - what a broker says of itself
 * @id: node.id
 * @directory: directory.id
 * @incarnation: of this start
 * @cluster: cluster.id
 * @clean: it stopped cleanly, as broker @previous
 * @previous: broker epoch of its life before
 * @peer: endpoints and rack
 */
struct registration {
	s32 id;
	const u8 *directory;
	const u8 *incarnation;
	const u8 *cluster;
	bool clean;
	s64 previous;
	struct kbd_attr peer[KBROKER_A_PEER_MAX + 1];
};

static bool registration_read(struct apply *apply, struct registration *reg)
{
	struct kbd_attr cluster[KBROKER_A_CLUSTER_MAX + 1], attr[KBD_A_END];

	kbd_open(&apply->msg->attr[KBD_A_BROKER], attr, KBD_A_END);
	kbd_open(&attr[KBD_A_CLUSTER], cluster, KBROKER_A_CLUSTER_MAX + 1);
	kbd_open(&attr[KBD_A_PEER], reg->peer, KBROKER_A_PEER_MAX + 1);
	reg->id = kbd_u32(&reg->peer[KBROKER_A_PEER_ID]);
	reg->directory = cluster[KBROKER_A_CLUSTER_DIRECTORY_ID].data;
	reg->incarnation = cluster[KBROKER_A_CLUSTER_INCARNATION].data;
	reg->cluster = cluster[KBROKER_A_CLUSTER_CLUSTER_ID].data;
	reg->clean = kbd_u8(&cluster[KBROKER_A_CLUSTER_CLEAN]);
	reg->previous = kbd_u64(&cluster[KBROKER_A_CLUSTER_PREVIOUS_EPOCH]);
	return reg->peer[KBROKER_A_PEER_ID].data && reg->id >= 0 && reg->directory &&
	       reg->incarnation && reg->cluster;
}

/* Endpoints and rack may be others than before. */
static void registration_endpoints(struct apply *apply, const struct registration *reg,
				   struct kbd_broker *broker, struct kbd_member *member)
{
	struct kbd_member old = *member;
	struct kbd_broker was = *broker;

	snprintf(member->address, sizeof(member->address), "%s",
		 kbd_text(&reg->peer[KBROKER_A_PEER_ADDRESS]));
	member->port = kbd_u16(&reg->peer[KBROKER_A_PEER_PORT]);
	snprintf(member->host, sizeof(member->host), "%s",
		 kbd_text(&reg->peer[KBROKER_A_PEER_ADVERTISED_HOST]));
	member->host_port = kbd_u16(&reg->peer[KBROKER_A_PEER_ADVERTISED_PORT]);
	snprintf(broker->rack, sizeof(broker->rack), "%s",
		 kbd_text(&reg->peer[KBROKER_A_PEER_RACK]));
	if (strcmp(old.address, member->address) || old.port != member->port ||
	    strcmp(old.host, member->host) || old.host_port != member->host_port ||
	    strcmp(was.rack, broker->rack))
		apply->state->touched.brokers = true;
}

static void apply_register(struct apply *apply)
{
	struct kbd_state *state = apply->state;
	struct kbd_broker *broker;
	struct kbd_member *member;
	struct registration reg;
	enum trust trust = TRUST;

	if (!registration_read(apply, &reg))
		return refuse(apply, EINVAL, "a registration lacks an id");
	if (memcmp(reg.cluster, state->cluster_id, KBD_UUID_SIZE))
		return refuse(apply, EXDEV, "broker %d belongs to another cluster", reg.id);
	broker = kbd_broker_find(&state->brokers, reg.id);
	member = kbd_member_find(state, reg.id);
	if (broker && !memcmp(member->incarnation, reg.incarnation, KBD_UUID_SIZE) &&
	    !memcmp(broker->directory_id, reg.directory, KBD_UUID_SIZE)) {
		/* Only its daemon was restarted. */
		registration_endpoints(apply, &reg, broker, member);
		apply->result->epoch = broker->epoch;
		return;
	}
	if (broker && !broker->fenced &&
	    memcmp(broker->directory_id, reg.directory, KBD_UUID_SIZE))
		return refuse(apply, EEXIST,
			      "broker %d is there already, with another directory", reg.id);
	if (!broker) {
		if (state->brokers.count == KBD_BROKERS_MAX)
			return refuse(apply, ENOSPC, "a cluster has %d brokers at most",
				      KBD_BROKERS_MAX);
		member = kbd_state_add_broker(state, reg.id);
		broker = kbd_broker_find(&state->brokers, reg.id);
	} else if (memcmp(broker->directory_id, reg.directory, KBD_UUID_SIZE)) {
		trust = TRUST_NOT;
	} else if (!reg.clean || reg.previous != broker->epoch) {
		trust = TRUST_SYNCED;
	}
	memcpy(broker->directory_id, reg.directory, KBD_UUID_SIZE);
	memcpy(member->incarnation, reg.incarnation, KBD_UUID_SIZE);
	broker->epoch = state->next_epoch++;
	/* Its first heartbeat that says it applied this one gives it a session. */
	broker->fenced = true;
	broker->stopping = false;
	member->registered = state->index;
	registration_endpoints(apply, &reg, broker, member);
	state->touched.brokers = true;
	apply->result->epoch = broker->epoch;
	update_broker(apply, reg.id, trust);
}

static void apply_sessions(struct apply *apply)
{
	struct kbd_attr attr, peer[KBROKER_A_PEER_MAX + 1];
	s32 changed[KBD_BROKERS_MAX];
	unsigned int count = 0, i;
	struct kbd_broker *broker;
	size_t pos = 0;

	while (kbd_each(apply->msg->body, apply->msg->len, &pos, &attr)) {
		if (attr.type != KBD_A_PEER)
			continue;
		kbd_open(&attr, peer, KBROKER_A_PEER_MAX + 1);
		broker = kbd_broker_find(&apply->state->brokers,
					 kbd_u32(&peer[KBROKER_A_PEER_ID]));
		if (!broker || broker->epoch != (s64)kbd_u64(&peer[KBROKER_A_PEER_EPOCH]) ||
		    broker->fenced == !!kbd_u8(&peer[KBROKER_A_PEER_FENCED]) ||
		    count == KBD_BROKERS_MAX)
			continue;
		broker->fenced = !broker->fenced;
		changed[count++] = broker->id;
	}
	/* All of them first: nobody is elected who is fenced by the same command. */
	for (i = 0; i < count; i++)
		update_broker(apply, changed[i], TRUST);
	apply->state->touched.brokers = count;
}

static void apply_remove(struct apply *apply)
{
	struct kbd_attr peer[KBROKER_A_PEER_MAX + 1];
	struct kbd_broker *broker;
	s32 id;

	kbd_open(&apply->msg->attr[KBD_A_PEER], peer, KBROKER_A_PEER_MAX + 1);
	id = kbd_u32(&peer[KBROKER_A_PEER_ID]);
	broker = kbd_broker_find(&apply->state->brokers, id);
	if (!peer[KBROKER_A_PEER_ID].data || !broker)
		return refuse(apply, ENOENT, "there is no broker %d", id);
	if (!broker->fenced)
		return refuse(apply, EBUSY, "broker %d has a session: stop it first", id);
	if (kbd_member_find(apply->state, id)->replicas.count)
		return refuse(apply, EBUSY, "broker %d has replicas of %u partitions: reassign them first",
			      id, kbd_member_find(apply->state, id)->replicas.count);
	kbd_state_del_broker(apply->state, id);
	apply->state->touched.brokers = true;
}

/* ---- topics ---- */

static bool name_is_legal(const char *name)
{
	static const char legal[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";

	return *name && !name[strspn(name, legal)] && strcmp(name, ".") && strcmp(name, "..");
}

/* The topic of a request that must be there; NULL: refused */
static struct kbd_topic *request_topic(struct apply *apply)
{
	const struct kbd_attr *attr = apply->msg->attr;
	const char *name = kbd_text(&attr[KBROKER_A_REQUEST_TOPIC]);
	const struct kbd_attr *id = &attr[KBROKER_A_REQUEST_TOPIC_ID];
	struct kbd_topic *topic = *name ? kbd_topic_find(apply->state, name) :
			id->data ? kbd_topic_by_id(apply->state, id->data) : NULL;

	if (!topic || (id->data && memcmp(topic->id, id->data, KBD_UUID_SIZE))) {
		refuse(apply, ENOENT, "there is no topic '%.100s'", name);
		return NULL;
	}
	return topic;
}

static bool config_is_legal(struct apply *apply, const char *name, const char *value)
{
	char *end;

	if (!*name) {
		refuse(apply, EINVAL, "a config has no name");
		return false;
	}
	if (!strcmp(name, "min.insync.replicas") &&
	    (!strtoul(value, &end, 10) || *end || *value == '-')) {
		refuse(apply, EINVAL, "min.insync.replicas must be a number from 1");
		return false;
	}
	return true;
}

/* Check the configs of a request and count them; -1 refused */
static int configs_check(struct apply *apply)
{
	struct kbd_attr attr, config[KBROKER_A_CONFIG_MAX + 1];
	size_t pos = 0;
	int count = 0;

	while (kbd_each(apply->msg->body, apply->msg->len, &pos, &attr)) {
		if (attr.type != KBROKER_A_REQUEST_CONFIG)
			continue;
		kbd_open(&attr, config, KBROKER_A_CONFIG_MAX + 1);
		if (!config_is_legal(apply, kbd_text(&config[KBROKER_A_CONFIG_NAME]),
				     config[KBROKER_A_CONFIG_VALUE].data ?
				     kbd_text(&config[KBROKER_A_CONFIG_VALUE]) : "1"))
			return -1;
		count++;
	}
	return count;
}

static void configs_set(struct apply *apply, struct kbd_topic *topic)
{
	struct kbd_attr attr, config[KBROKER_A_CONFIG_MAX + 1];
	size_t pos = 0;

	while (kbd_each(apply->msg->body, apply->msg->len, &pos, &attr)) {
		if (attr.type != KBROKER_A_REQUEST_CONFIG)
			continue;
		kbd_open(&attr, config, KBROKER_A_CONFIG_MAX + 1);
		kbd_topic_set_config(topic, kbd_text(&config[KBROKER_A_CONFIG_NAME]),
				     config[KBROKER_A_CONFIG_VALUE].data ?
				     kbd_text(&config[KBROKER_A_CONFIG_VALUE]) : NULL);
	}
}

static void owner_set(struct apply *apply, struct kbd_topic *topic)
{
	const struct kbd_attr *attr = apply->msg->attr;

	if (attr[KBROKER_A_REQUEST_UID].data)
		topic->uid = kbd_u32(&attr[KBROKER_A_REQUEST_UID]);
	if (attr[KBROKER_A_REQUEST_GID].data)
		topic->gid = kbd_u32(&attr[KBROKER_A_REQUEST_GID]);
	if (attr[KBROKER_A_REQUEST_MODE].data)
		topic->mode = kbd_u16(&attr[KBROKER_A_REQUEST_MODE]);
}

/* The next entry of an assignment: a count and so many ids */
static bool assignment_next(const struct kbd_attr *attr, size_t *pos, struct kbd_set *replicas)
{
	u32 count, i;

	replicas->count = 0;
	if (attr->len - *pos < 4)
		return false;
	count = kbd_get_be32(attr->data + *pos);
	*pos += 4;
	if (count > KBD_REPLICAS_MAX || attr->len - *pos < 4 * count)
		return false;
	for (i = 0; i < count; i++, *pos += 4)
		if (!kbd_set_add(replicas, kbd_get_be32(attr->data + *pos)))
			return false;
	return count;
}

/* Any number, the same on every node, so that topics don't all begin at one broker */
static unsigned int place_start(const u8 *id)
{
	return kbd_get_be32(id) % 65536;
}

/*
 * Partitions @first and up of what is to be a topic, into @part; without
 * effect on the state. False: refused.
 */
static bool partitions_make(struct apply *apply, struct kbd_partition *part, u32 first,
			    u32 count, unsigned int factor, const u8 *id)
{
	const struct kbd_attr *assignment = &apply->msg->attr[KBROKER_A_REQUEST_ASSIGNMENT];
	const struct kbd_brokers *brokers = &apply->state->brokers;
	enum kbd_refusal refusal;
	struct kbd_set replicas;
	size_t pos = 0;
	u32 i, j;

	for (i = 0; i < count; i++) {
		if (!assignment->data) {
			refusal = kbd_place(brokers, place_start(id), first + i, factor, &replicas);
		} else {
			refusal = assignment_next(assignment, &pos, &replicas) ? KBD_OK : KBD_INVALID;
			for (j = 0; j < replicas.count; j++)
				if (!kbd_member_find(apply->state, replicas.id[j]))
					refusal = KBD_INELIGIBLE;
		}
		if (refusal == KBD_OK)
			refusal = kbd_partition_init(&part[i], brokers, &replicas, 1);
		if (refusal != KBD_OK) {
			refuse_decision(apply, refusal);
			return false;
		}
	}
	if (assignment->data && pos != assignment->len) {
		refuse(apply, EINVAL, "the assignment is not one of %u partitions", count);
		return false;
	}
	return true;
}

static void partitions_add(struct apply *apply, struct kbd_topic *topic,
			   const struct kbd_partition *part, u32 count)
{
	const struct kbd_set none = { 0 };
	u32 first = topic->partitions, i;

	kbd_topic_grow(apply->state, topic, first + count);
	memcpy(&topic->partition[first], part, count * sizeof(*part));
	kbd_topic_derive(topic, first);
	for (i = 0; i < count; i++)
		touched(apply, topic, first + i, &none);
	apply->state->touched.topics = true;
}

static unsigned int default_factor(const struct kbd_brokers *brokers)
{
	unsigned int usable = 0, i;

	for (i = 0; i < brokers->count; i++)
		usable += kbd_broker_may_lead(brokers, brokers->broker[i].id);
	return usable < 3 ? usable : 3;
}

/* Partitions of an assignment, 0: none is given */
static u32 assignment_count(const struct kbd_attr *assignment, unsigned int *factor)
{
	struct kbd_set replicas;
	size_t pos = 0;
	u32 count = 0;

	if (!assignment->data)
		return 0;
	while (pos < assignment->len && assignment_next(assignment, &pos, &replicas)) {
		*factor = replicas.count;
		count++;
	}
	return count;
}

static bool room_for(struct apply *apply, u32 count, u32 already)
{
	if (count > KBROKER_TOPIC_PARTITIONS_MAX - already) {
		refuse(apply, EINVAL, "a topic has %d partitions at most",
		       KBROKER_TOPIC_PARTITIONS_MAX);
		return false;
	}
	if (count > KBD_PARTITIONS_MAX - apply->state->partitions) {
		refuse(apply, ENOSPC, "a cluster has %d partitions at most", KBD_PARTITIONS_MAX);
		return false;
	}
	return true;
}

static void apply_topic_new(struct apply *apply)
{
	const struct kbd_attr *attr = apply->msg->attr;
	const char *name = kbd_text(&attr[KBROKER_A_REQUEST_TOPIC]);
	const u8 *id = attr[KBROKER_A_REQUEST_TOPIC_ID].data;
	unsigned int factor = kbd_u16(&attr[KBROKER_A_REQUEST_REPLICATION_FACTOR]);
	u32 count = kbd_u32(&attr[KBROKER_A_REQUEST_PARTITIONS]);
	u32 assigned = assignment_count(&attr[KBROKER_A_REQUEST_ASSIGNMENT], &factor);
	int configs = configs_check(apply);
	struct kbd_partition *part;
	struct kbd_topic *topic;
	char majority[12];

	if (configs < 0)
		return;
	if (!name_is_legal(name))
		return refuse(apply, EROFS, "'%.100s' can't be a topic's name", name);
	if (!id)
		return refuse(apply, EINVAL, "a topic needs a UUID");
	if (kbd_topic_find(apply->state, name) || kbd_topic_by_id(apply->state, id))
		return refuse(apply, EEXIST, "there is a topic '%.100s' already", name);
	/* one is left for min.insync.replicas */
	if (configs >= KBD_CONFIGS_MAX)
		return refuse(apply, EINVAL, "a topic has %d configs at most", KBD_CONFIGS_MAX);
	if (assigned)
		count = assigned;
	if (!count)
		count = 1;
	if (!factor)
		factor = default_factor(&apply->state->brokers);
	if (!room_for(apply, count, 0))
		return;
	part = calloc(count, sizeof(*part));
	if (!part)
		abort();
	if (partitions_make(apply, part, 0, count, factor, id)) {
		topic = kbd_state_add_topic(apply->state, name, id);
		topic->factor = factor;
		owner_set(apply, topic);
		configs_set(apply, topic);
		/* Kept with the topic, so that kernels and clients see what is kept */
		if (factor >= 3 && !kbd_topic_config(topic, "min.insync.replicas")) {
			snprintf(majority, sizeof(majority), "%u", factor / 2 + 1);
			kbd_topic_set_config(topic, "min.insync.replicas", majority);
		}
		partitions_add(apply, topic, part, count);
	}
	free(part);
}

static void apply_topic_set(struct apply *apply)
{
	const struct kbd_attr *attr = apply->msg->attr;
	u32 count = kbd_u32(&attr[KBROKER_A_REQUEST_PARTITIONS]), i, had;
	struct kbd_topic *topic = request_topic(apply);
	int configs = configs_check(apply);
	struct kbd_partition *part = NULL;

	if (!topic || configs < 0)
		return;
	had = topic->partitions;
	if (configs > (int)(KBD_CONFIGS_MAX - topic->configs) && configs)
		return refuse(apply, EINVAL, "a topic has %d configs at most", KBD_CONFIGS_MAX);
	if (count && count < had)
		return refuse(apply, EINVAL, "topic '%.100s' has %u partitions, and can't lose any",
			      topic->name, had);
	if (count > had) {
		if (!room_for(apply, count - had, had))
			return;
		part = calloc(count - had, sizeof(*part));
		if (!part)
			abort();
		if (!partitions_make(apply, part, had, count - had, topic->factor, topic->id)) {
			free(part);
			return;
		}
	}
	owner_set(apply, topic);
	configs_set(apply, topic);
	kbd_topic_derive(topic, 0);
	for (i = 0; configs && i < had; i++)
		update(apply, topic, i);
	if (part)
		partitions_add(apply, topic, part, count - had);
	free(part);
	apply->state->touched.topics = true;
}

static void apply_topic_del(struct apply *apply)
{
	struct kbd_topic *topic = request_topic(apply);

	if (!topic)
		return;
	kbd_state_del_topic(apply->state, topic);
	apply->state->touched.topics = true;
}

/* ---- what kernels ask ---- */

static bool isr_change_read(struct apply *apply, struct kbd_isr_change *change)
{
	const struct kbd_attr *attr = apply->msg->attr;
	const struct kbd_attr *epochs = &attr[KBROKER_A_REQUEST_ISR_EPOCHS];
	unsigned int i;

	change->leader_epoch = kbd_u32(&attr[KBROKER_A_REQUEST_LEADER_EPOCH]);
	change->partition_epoch = kbd_u32(&attr[KBROKER_A_REQUEST_PARTITION_EPOCH]);
	if (!kbd_ids(&attr[KBROKER_A_REQUEST_ISR], &change->isr) ||
	    (epochs->data && epochs->len != 8 * change->isr.count)) {
		refuse_decision(apply, KBD_INVALID);
		return false;
	}
	for (i = 0; i < change->isr.count; i++)
		change->epochs[i] = epochs->data ? (s64)kbd_get_be64(epochs->data + 8 * i) : -1;
	return true;
}

static enum kbd_refusal lose(struct apply *apply, struct kbd_partition *part,
			     const struct kbd_isr_change *change)
{
	const struct kbd_loss loss = {
		.id = change->leader,
		.broker_epoch = change->broker_epoch,
		.partition_epoch = change->partition_epoch,
	};

	return kbd_partition_lose(part, &apply->state->brokers, &loss);
}

static void apply_isr(struct apply *apply, struct kbd_isr_change *change)
{
	u32 number = kbd_u32(&apply->msg->attr[KBROKER_A_REQUEST_PARTITION]);
	struct kbd_topic *topic = request_topic(apply);
	enum kbd_refusal refusal;
	struct kbd_set before;

	if (!topic)
		return;
	if (number >= topic->partitions)
		return refuse(apply, ENOENT, "topic '%.100s' has no partition %u", topic->name,
			      number);
	if (!isr_change_read(apply, change))
		return;
	before = topic->partition[number].replicas;
	if (kbd_u8(&apply->msg->attr[KBROKER_A_REQUEST_LOST])) {
		refusal = lose(apply, &topic->partition[number], change);
		if (refusal == KBD_INELIGIBLE)
			return refuse(apply, ENOLINK, "nobody else has what was committed");
	} else {
		refusal = kbd_partition_change_isr(&topic->partition[number],
						   &apply->state->brokers, change);
	}
	/* the partition epoch says that it was refused */
	if (refusal == KBD_OK || refusal == KBD_INELIGIBLE)
		touched(apply, topic, number, &before);
	refuse_decision(apply, refusal);
}

static void apply_leave(struct apply *apply, struct kbd_broker *broker)
{
	broker->stopping = true;
	apply->state->touched.brokers = true;
	update_broker(apply, broker->id, TRUST);
}

static void apply_request(struct apply *apply)
{
	const struct kbd_attr *attr = apply->msg->attr;
	struct kbd_attr peer[KBROKER_A_PEER_MAX + 1] = { 0 };
	u8 kind = kbd_u8(&attr[KBROKER_A_REQUEST_KIND]);
	struct kbd_isr_change change = { 0 };
	struct kbd_broker *broker;

	if (attr[KBD_A_PEER].data)
		kbd_open(&attr[KBD_A_PEER], peer, KBROKER_A_PEER_MAX + 1);
	change.leader = kbd_u32(&peer[KBROKER_A_PEER_ID]);
	change.broker_epoch = kbd_u64(&peer[KBROKER_A_PEER_EPOCH]);
	broker = attr[KBD_A_PEER].data ?
		 kbd_broker_find(&apply->state->brokers, change.leader) : NULL;
	if (attr[KBD_A_PEER].data && (!broker || broker->epoch != change.broker_epoch))
		return refuse(apply, ESTALE, "broker %d is registered anew", change.leader);
	switch (kind) {
	case KBROKER_REQUEST_KIND_TOPIC_NEW:
		return apply_topic_new(apply);
	case KBROKER_REQUEST_KIND_TOPIC_SET:
		return apply_topic_set(apply);
	case KBROKER_REQUEST_KIND_TOPIC_DEL:
		return apply_topic_del(apply);
	}
	/* The others are a broker's alone. */
	if (!broker)
		return refuse(apply, EINVAL, "a broker only may ask this");
	if (kind == KBROKER_REQUEST_KIND_ISR)
		return apply_isr(apply, &change);
	if (kind == KBROKER_REQUEST_KIND_LEAVE)
		return apply_leave(apply, broker);
	refuse(apply, EINVAL, "a request of kind %u is not known", kind);
}

/* ---- leaders and replicas ---- */

/* The partition that a nest names; NULL: there is none */
static struct kbd_topic *replica_partition(struct apply *apply, const struct kbd_attr *replica,
					   u32 *number)
{
	const char *name = kbd_text(&replica[KBROKER_A_REPLICA_TOPIC]);
	const u8 *id = replica[KBROKER_A_REPLICA_TOPIC_ID].data;
	struct kbd_topic *topic = id ? kbd_topic_by_id(apply->state, id) :
				  kbd_topic_find(apply->state, name);

	*number = kbd_u32(&replica[KBROKER_A_REPLICA_PARTITION]);
	return topic && *number < topic->partitions ? topic : NULL;
}

static void elect(struct apply *apply, struct kbd_topic *topic, u32 number, bool unclean)
{
	struct kbd_partition *part = &topic->partition[number];
	struct kbd_brokers *brokers = &apply->state->brokers;
	struct kbd_set before = part->replicas;
	bool allowed = part->unclean;
	s32 preferred;

	if (unclean) {
		part->unclean = true;
		update(apply, topic, number);
		part->unclean = allowed;
		return;
	}
	preferred = kbd_partition_preferred(part, brokers);
	if (preferred != KBD_NO_BROKER &&
	    kbd_partition_move_leader(part, brokers, part->leader, preferred) == KBD_OK)
		touched(apply, topic, number, &before);
}

static void apply_elect(struct apply *apply)
{
	bool unclean = kbd_u8(&apply->msg->attr[KBD_A_UNCLEAN]);
	struct kbd_attr attr, replica[KBROKER_A_REPLICA_MAX + 1];
	struct kbd_topic *topic;
	unsigned int i;
	size_t pos = 0;
	u32 number;

	while (kbd_each(apply->msg->body, apply->msg->len, &pos, &attr)) {
		if (attr.type != KBD_A_REPLICA)
			continue;
		kbd_open(&attr, replica, KBROKER_A_REPLICA_MAX + 1);
		topic = replica_partition(apply, replica, &number);
		if (topic)
			elect(apply, topic, number, unclean);
	}
	if (apply->msg->attr[KBD_A_REPLICA].data)
		return;
	/* None is named: all of them, though never uncleanly by accident. */
	if (unclean)
		return refuse(apply, EINVAL, "an unclean election names its partitions");
	for (i = 0; i < apply->state->topics; i++)
		for (number = 0; number < apply->state->by_name[i]->partitions; number++)
			elect(apply, apply->state->by_name[i], number, false);
}

static void apply_reassign(struct apply *apply)
{
	struct kbd_attr replica[KBROKER_A_REPLICA_MAX + 1];
	enum kbd_refusal refusal;
	struct kbd_topic *topic = NULL;
	struct kbd_set target, before;
	u32 number = 0;

	if (apply->msg->attr[KBD_A_REPLICA].data) {
		kbd_open(&apply->msg->attr[KBD_A_REPLICA], replica, KBROKER_A_REPLICA_MAX + 1);
		topic = replica_partition(apply, replica, &number);
	}
	if (!topic)
		return refuse(apply, ENOENT, "there is no such partition");
	if (!kbd_ids(&replica[KBROKER_A_REPLICA_REPLICAS], &target))
		return refuse_decision(apply, KBD_INVALID);
	before = topic->partition[number].replicas;
	refusal = kbd_partition_reassign(&topic->partition[number], &apply->state->brokers,
					 &target);
	if (refusal == KBD_OK)
		touched(apply, topic, number, &before);
	refuse_decision(apply, refusal);
}

void kbd_apply(struct kbd_state *state, u64 index, const struct kbd_message *msg,
	       struct kbd_result *result)
{
	struct apply apply = { .state = state, .msg = msg, .result = result };

	memset(result, 0, sizeof(*result));
	result->epoch = -1;
	state->index = index;
	state->touched.brokers = false;
	state->touched.topics = false;
	state->touched.refs.count = 0;
	switch (msg->kind) {
	case KBD_INIT:
		return apply_init(&apply);
	case KBD_REGISTER:
		return apply_register(&apply);
	case KBD_SESSIONS:
		return apply_sessions(&apply);
	case KBD_REQUEST:
		return apply_request(&apply);
	case KBD_ELECT:
		return apply_elect(&apply);
	case KBD_REASSIGN:
		return apply_reassign(&apply);
	case KBD_REMOVE:
		return apply_remove(&apply);
	default:
		refuse(&apply, EINVAL, "a message of kind %u is no command", msg->kind);
	}
}
