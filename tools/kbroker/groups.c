// SPDX-License-Identifier: GPL-2.0-only
/*
 * Consumer groups out of the kernel's answers; see groups.h.
 *
 * What the leader of a group of clients assigned to each is Kafka's
 * ConsumerProtocolAssignment, which the kernel passes on as it is: it is taken
 * apart here, with the bounds that belong to what a stranger wrote.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "codec/wire.h"
#include "device.h"
#include "groups.h"
#include "kbroker.h"
#include "objects.h"

const char *kb_group_hint(int err)
{
	switch (-err) {
	case ENOENT:
		return "'kbroker group list' shows the groups there are";
	case EBUSY:
		return "'kbroker group describe --members' shows who they are";
	default:
		return NULL;
	}
}

static char *text_of(const struct nlattr *attr)
{
	return attr ? kb_strdup(kb_attr_text(attr)) : NULL;
}

static int64_t number_of(const struct nlattr *attr)
{
	return attr ? kb_attr_s64(attr) : -1;
}

/**
 * kb_group_request() - begin a request about groups
 * @nl: connection
 * @cmd: KBROKER_CMD_GROUP_*
 * @flags: NLM_F_DUMP, or 0
 * @name: of the group, NULL all
 */
struct nl_msg *kb_group_request(struct kb_nl *nl, uint8_t cmd, int flags, const char *name)
{
	struct nl_msg *msg = kb_nl_request(nl, cmd, flags);
	int broker_type = KBROKER_A_GROUP_BROKER, name_type = KBROKER_A_GROUP_NAME;

	if (cmd == KBROKER_CMD_GROUP_MEMBER_GET) {
		broker_type = KBROKER_A_GROUP_MEMBER_BROKER;
		name_type = KBROKER_A_GROUP_MEMBER_GROUP;
	} else if (cmd != KBROKER_CMD_GROUP_GET && cmd != KBROKER_CMD_GROUP_DEL) {
		broker_type = KBROKER_A_GROUP_OFFSET_BROKER;
		name_type = KBROKER_A_GROUP_OFFSET_GROUP;
	}
	if (kb.broker)
		kb_put_text(msg, broker_type, kb.broker);
	if (name)
		kb_put_text(msg, name_type, name);
	return msg;
}

/* ---- taking answers ---- */

static int take_group(const struct kb_nl_msg *msg, void *arg)
{
	const struct nlattr *at = msg->attrs[KBROKER_A_GROUP_COORDINATOR];
	struct kb_groups *groups = arg;
	struct kb_group *group;

	groups->list = kb_realloc(groups->list, (groups->count + 1) * sizeof(*groups->list));
	group = &groups->list[groups->count++];
	*group = (struct kb_group){
		.name = kb_strdup(kb_attr_text(msg->attrs[KBROKER_A_GROUP_NAME])),
		.kind = kb_attr_word(kb_group_attrs, msg, KBROKER_A_GROUP_KIND),
		.state = kb_attr_word(kb_group_attrs, msg, KBROKER_A_GROUP_STATE),
		.protocol = kb_strdup(kb_attr_text(msg->attrs[KBROKER_A_GROUP_PROTOCOL])),
		.generation = kb_attr_s32(msg->attrs[KBROKER_A_GROUP_GENERATION]),
		.coordinator = at ? kb_attr_s32(at) : -1,
		.members_count = kb_attr_u32(msg->attrs[KBROKER_A_GROUP_MEMBERS]),
		.offsets_told = kb_attr_u32(msg->attrs[KBROKER_A_GROUP_OFFSETS]),
		.state_ms = kb_attr_s64(msg->attrs[KBROKER_A_GROUP_STATE_MS]),
		.bytes = kb_attr_u64(msg->attrs[KBROKER_A_GROUP_BYTES]),
	};
	return 0;
}

static int compare_names(const void *a, const void *b)
{
	const struct kb_group *left = a, *right = b;

	return strcmp(left->name, right->name);
}

static struct kb_group *find_group(struct kb_groups *groups, const char *name)
{
	struct kb_group key = { .name = (char *)(uintptr_t)name };

	if (!groups->count)
		return NULL;
	return bsearch(&key, groups->list, groups->count, sizeof(key), compare_names);
}

/**
 * struct taking - a dump of members or offsets being taken
 * @groups: where they belong
 * @last: the group of the last one: most are of the same
 */
struct taking {
	struct kb_groups *groups;
	struct kb_group *last;
};

static struct kb_group *group_of(struct taking *taking, const struct nlattr *name)
{
	const char *text = kb_attr_text(name);

	if (!taking->last || strcmp(taking->last->name, text))
		taking->last = find_group(taking->groups, text);
	return taking->last;
}

static void add_part(struct kb_group_member *member, char *topic, int32_t partition)
{
	member->parts = kb_realloc(member->parts, (member->count + 1) * sizeof(*member->parts));
	member->parts[member->count++] = (struct kb_group_part){ topic, partition };
}

static int take_member(const struct kb_nl_msg *msg, void *arg)
{
	const struct nlattr *part = msg->attrs[KBROKER_A_GROUP_MEMBER_ASSIGNMENT];
	const struct nlattr *pid = msg->attrs[KBROKER_A_GROUP_MEMBER_PID];
	const struct nlattr *node = msg->attrs[KBROKER_A_GROUP_MEMBER_NODE];
	const char *id = kb_attr_text(msg->attrs[KBROKER_A_GROUP_MEMBER_ID]);
	const char *topic = kb_attr_text(msg->attrs[KBROKER_A_GROUP_MEMBER_TOPIC]);
	struct kb_group *group = group_of(arg, msg->attrs[KBROKER_A_GROUP_MEMBER_GROUP]);
	struct kb_group_member *member = NULL;
	struct nlattr *attr;
	int rem;

	if (!group)
		return 0;
	/* a long assignment comes in parts; two opens of one process are two members */
	if (group->shown && !strcmp(group->members[group->shown - 1].id, id))
		member = &group->members[group->shown - 1];
	if (!member) {
		group->members = kb_realloc(group->members, (group->shown + 1) * sizeof(*group->members));
		member = &group->members[group->shown++];
		*member = (struct kb_group_member){
			.id = kb_strdup(id),
			.instance = text_of(msg->attrs[KBROKER_A_GROUP_MEMBER_INSTANCE_ID]),
			.client = text_of(msg->attrs[pid ? KBROKER_A_GROUP_MEMBER_COMM :
							   KBROKER_A_GROUP_MEMBER_CLIENT_ID]),
			.host = text_of(msg->attrs[KBROKER_A_GROUP_MEMBER_HOST]),
			.pid = kb_attr_u32(pid),
			.node = node ? kb_attr_s32(node) : -1,
		};
	}
	if (part) {
		size_t len = (size_t)nla_len(part);

		member->assignment = kb_realloc(member->assignment, member->assignment_len + len);
		memcpy(member->assignment + member->assignment_len, nla_data((struct nlattr *)part), len);
		member->assignment_len += len;
	}
	nla_for_each_attr(attr, msg->head, msg->len, rem)
		if (nla_type(attr) == KBROKER_A_GROUP_MEMBER_PARTITION)
			add_part(member, kb_strdup(topic), kb_attr_s32(attr));
	return 0;
}

static int take_offset(const struct kb_nl_msg *msg, void *arg)
{
	struct kb_group *group = group_of(arg, msg->attrs[KBROKER_A_GROUP_OFFSET_GROUP]);
	struct kb_group_offset *offset;

	if (!group)
		return 0;
	group->offsets = kb_realloc(group->offsets, (group->count + 1) * sizeof(*group->offsets));
	offset = &group->offsets[group->count++];
	*offset = (struct kb_group_offset){
		.topic = kb_strdup(kb_attr_text(msg->attrs[KBROKER_A_GROUP_OFFSET_TOPIC])),
		.partition = kb_attr_s32(msg->attrs[KBROKER_A_GROUP_OFFSET_PARTITION]),
		.committed = number_of(msg->attrs[KBROKER_A_GROUP_OFFSET_OFFSET]),
		.commit_ms = number_of(msg->attrs[KBROKER_A_GROUP_OFFSET_COMMIT_MS]),
		.position = number_of(msg->attrs[KBROKER_A_GROUP_OFFSET_POSITION]),
		.start = number_of(msg->attrs[KBROKER_A_GROUP_OFFSET_LOG_START]),
		.end = number_of(msg->attrs[KBROKER_A_GROUP_OFFSET_HIGH_WATERMARK]),
		.lag = number_of(msg->attrs[KBROKER_A_GROUP_OFFSET_LAG_RECORDS]),
		.lag_bytes = number_of(msg->attrs[KBROKER_A_GROUP_OFFSET_LAG_BYTES]),
		.lag_ms = number_of(msg->attrs[KBROKER_A_GROUP_OFFSET_LAG_MS]),
		.owner = -1,
	};
	return 0;
}

/* ---- who has what ---- */

/* ConsumerProtocolAssignment: version, topics with their partitions, user data */
static void parse_assignment(struct kb_group_member *member)
{
	struct kbr_wire_reader r;
	int32_t topics, partitions;

	if (!member->assignment_len)
		return;
	kbr_wire_reader_init(&r, member->assignment, member->assignment_len, false);
	kbr_get_s16(&r);
	for (topics = kbr_get_count(&r); topics > 0 && !r.bad; topics--) {
		struct kbr_str name = kbr_get_string(&r);

		for (partitions = kbr_get_count(&r); partitions > 0 && !r.bad; partitions--) {
			int32_t partition = kbr_get_s32(&r);

			if (!r.bad)
				add_part(member, kb_asprintf("%.*s", (int)name.len, name.at), partition);
		}
	}
}

static int compare_places(const char *a_topic, int32_t a, const char *b_topic, int32_t b)
{
	int diff = strcmp(a_topic, b_topic);

	return diff ? diff : (a > b) - (a < b);
}

static int compare_offsets(const void *a, const void *b)
{
	const struct kb_group_offset *left = a, *right = b;

	return compare_places(left->topic, left->partition, right->topic, right->partition);
}

/* partitions that a member has, and of which nothing is committed yet, are shown too */
static void own_parts(struct kb_group *group)
{
	size_t known = group->count, m, p;

	qsort(group->offsets, known, sizeof(*group->offsets), compare_offsets);
	for (m = 0; m < group->shown; m++) {
		for (p = 0; p < group->members[m].count; p++) {
			const struct kb_group_part *part = &group->members[m].parts[p];
			struct kb_group_offset key = { .topic = part->topic, .partition = part->partition };
			struct kb_group_offset *at = NULL;

			if (known)
				at = bsearch(&key, group->offsets, known, sizeof(key), compare_offsets);
			if (at) {
				at->owner = (long)m;
				continue;
			}
			group->offsets = kb_realloc(group->offsets,
						    (group->count + 1) * sizeof(*group->offsets));
			group->offsets[group->count++] = (struct kb_group_offset){
				.topic = kb_strdup(part->topic), .partition = part->partition,
				.committed = -1, .commit_ms = -1, .position = -1, .start = -1, .end = -1,
				.lag = -1, .lag_bytes = -1, .lag_ms = -1, .owner = (long)m,
			};
		}
	}
	qsort(group->offsets, group->count, sizeof(*group->offsets), compare_offsets);
}

/* ---- all of it ---- */

/**
 * kb_groups_load() - ask the kernel for groups
 * @nl: connection
 * @name: the one group, NULL all
 * @whole: with members and offsets
 * @groups: result; release it with kb_groups_free(), after an error, too
 *
 * Return: 0 or the kernel's negative errno.
 */
int kb_groups_load(struct kb_nl *nl, const char *name, bool whole, struct kb_groups *groups)
{
	struct taking taking = { .groups = groups };
	size_t i, m;
	int ret;

	*groups = (struct kb_groups){ 0 };
	ret = kb_nl_call(nl, kb_group_request(nl, KBROKER_CMD_GROUP_GET, name ? 0 : NLM_F_DUMP, name),
			 take_group, groups);
	if (ret)
		return ret;
	/* those of a cluster come broker by broker */
	if (groups->count)
		qsort(groups->list, groups->count, sizeof(*groups->list), compare_names);
	if (!whole)
		return ret;
	ret = kb_nl_call(nl, kb_group_request(nl, KBROKER_CMD_GROUP_OFFSET_GET, NLM_F_DUMP, name),
			 take_offset, &taking);
	if (ret)
		return ret;
	taking.last = NULL;
	ret = kb_nl_call(nl, kb_group_request(nl, KBROKER_CMD_GROUP_MEMBER_GET, NLM_F_DUMP, name),
			 take_member, &taking);
	/* who they are is root's to know; the rest was told */
	groups->hidden = ret == -EPERM;
	if (groups->hidden)
		ret = 0;
	for (i = 0; i < groups->count; i++) {
		struct kb_group *group = &groups->list[i];

		for (m = 0; m < group->shown; m++)
			parse_assignment(&group->members[m]);
		own_parts(group);
	}
	return ret;
}

static void free_member(struct kb_group_member *member)
{
	size_t i;

	for (i = 0; i < member->count; i++)
		free(member->parts[i].topic);
	free(member->parts);
	free(member->assignment);
	free(member->id);
	free(member->instance);
	free(member->client);
	free(member->host);
}

void kb_groups_free(struct kb_groups *groups)
{
	size_t i, n;

	for (i = 0; i < groups->count; i++) {
		struct kb_group *group = &groups->list[i];

		for (n = 0; n < group->shown; n++)
			free_member(&group->members[n]);
		for (n = 0; n < group->count; n++)
			free(group->offsets[n].topic);
		free(group->members);
		free(group->offsets);
		free(group->protocol);
		free(group->name);
	}
	free(groups->list);
	*groups = (struct kb_groups){ 0 };
}

/* what is not known of a partition does not count */
void kb_group_sum(const struct kb_group *group, struct kb_group_lag *lag)
{
	size_t i;

	*lag = (struct kb_group_lag){ 0 };
	for (i = 0; i < group->count; i++) {
		const struct kb_group_offset *at = &group->offsets[i];

		if (at->position > 0)
			lag->consumed += at->position;
		if (at->lag > 0)
			lag->records += at->lag;
		if (at->lag_bytes > 0)
			lag->bytes += at->lag_bytes;
		if (at->lag_ms > lag->ms)
			lag->ms = at->lag_ms;
	}
}

/* ---- changes ---- */

/* an offset into a request; @offset NULL: to be deleted. Negative where it does not fit. */
int kb_group_put_offset(struct nl_msg *msg, const char *topic, int32_t partition, const int64_t *offset)
{
	struct nlattr *nest = nla_nest_start(msg, KBROKER_A_GROUP_OFFSET_ENTRY | NLA_F_NESTED);

	if (!nest)
		return -ENOMEM;
	kb_put_text(msg, KBROKER_A_GROUP_OFFSET_TOPIC, topic);
	kb_put_u32(msg, KBROKER_A_GROUP_OFFSET_PARTITION, (uint32_t)partition);
	if (offset)
		kb_put_u64(msg, KBROKER_A_GROUP_OFFSET_OFFSET, (uint64_t)*offset);
	return nla_nest_end(msg, nest);
}

/**
 * kb_group_change() - send a change, and do with its operation what the options say
 * @nl: connection
 * @msg: request; freed
 * @what: what was not done, should it fail
 *
 * Return: KB_OK or KB_REFUSED (told).
 */
int kb_group_change(struct kb_nl *nl, struct nl_msg *msg, const char *what)
{
	uint32_t op = 0;
	int ret = kb_nl_call(nl, msg, kb_op_take_id, &op);

	return ret ? kb_nl_refused(nl, ret, kb_group_hint(ret), "%s", what) : kb_op_finish(nl, op, what);
}

/**
 * kb_group_topic_parse() - "TOPIC[:PARTITION,...]"
 * @option: name of the option, for messages
 * @text: its value
 * @topic: result; free its name
 *
 * Return: KB_OK or KB_USAGE (told).
 */
int kb_group_topic_parse(const char *option, const char *text, struct kb_group_topic *topic)
{
	const char *colon = strchr(text, ':'), *problem;

	topic->name = colon ? kb_asprintf("%.*s", (int)(colon - text), text) : kb_strdup(text);
	topic->list = colon ? colon + 1 : NULL;
	problem = kb_topic_name_problem(topic->name);
	return problem ? kb_usage("--%s: '%s' can't be a topic: %s", option, topic->name, problem) : KB_OK;
}
