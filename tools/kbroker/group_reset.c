// SPDX-License-Identifier: GPL-2.0-only
/*
 * "kbroker group reset-offsets": where a group goes on, or where a new one
 * begins. Offsets are looked up here and handed to the kernel, which commits
 * them for the group unless it has members.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "device.h"
#include "groups.h"
#include "kbroker.h"
#include "objects.h"

const struct kb_opt kb_group_reset_opts[] = {
	{ "topic", 't', "TOPIC[:0,2,5-7]", "this topic, or these partitions of it; may be given often" },
	{ "all-topics", 0, NULL, "all that the group has offsets for" },
	{ "to-earliest", 0, NULL, "to the oldest record" },
	{ "to-latest", 0, NULL, "to the end" },
	{ "to-offset", 0, "N", "to this offset" },
	{ "to-datetime", 0, "TIME", "to the first record of that time or later (ms, -2h, 2026-01-31T12:00Z)" },
	{ "shift-by", 0, "N", "by so many records; a negative N goes back" },
	{ "to-current", 0, NULL, "to where it is, so that what retention removed is left behind" },
	{ "dry-run", 'n', NULL, "show what would be set, and set nothing" },
	{ "execute", 0, NULL, "set them, which is the default; Kafka's tool asks for this word" },
	KB_OPT_NO_WAIT,
	{ 0 }
};

/* the last one has no option here */
enum target { TO_EARLIEST, TO_LATEST, TO_OFFSET, TO_TIME, SHIFT_BY, TO_CURRENT, TARGETS, BACK_FROM_END };

/* by enum target */
static const char *const target_opts[TARGETS] = {
	"to-earliest", "to-latest", "to-offset", "to-datetime", "shift-by", "to-current",
};

/**
 * struct place - one partition to be set
 * @topic: its topic, of struct reset
 * @partition: its number
 * @start: log start
 * @end: high watermark
 * @before: committed offset, -1 none
 * @offset: what it will be
 */
struct place {
	const char *topic;
	int32_t partition;
	int64_t start;
	int64_t end;
	int64_t before;
	int64_t offset;
};

/**
 * struct reset - the state of the command
 * @group: name of the group
 * @target: which option
 * @value: its number or time
 * @topics: topics, as named or found
 * @topics_count: how many
 * @places: partitions
 * @count: how many
 * @now: the group as it is, empty if it is not there
 */
struct reset {
	const char *group;
	enum target target;
	int64_t value;
	struct kb_group_topic *topics;
	size_t topics_count;
	struct place *places;
	size_t count;
	struct kb_groups now;
};

static int read_options(struct reset *r)
{
	const char *text;
	int target, ret;
	size_t i;

	r->target = TARGETS;
	for (target = 0; target < TARGETS; target++) {
		if (!kb_opt_has(target_opts[target]))
			continue;
		if (r->target != TARGETS)
			return kb_usage("--%s and --%s exclude each other", target_opts[r->target],
					target_opts[target]);
		r->target = target;
	}
	if (r->target == TARGETS)
		return kb_usage("where to? --to-earliest, --to-latest, --to-offset, --shift-by or the like is missing");
	if (kb_opt_has("dry-run") && kb_opt_has("execute"))
		return kb_usage("--dry-run and --execute exclude each other");
	ret = kb_opt_s64("to-offset", 0, INT64_MAX, &r->value);
	if (ret == KB_OK)
		ret = kb_opt_s64("shift-by", -INT64_MAX, INT64_MAX, &r->value);
	if (ret == KB_OK && kb_opt_get("to-datetime"))
		ret = kb_parse_time("--to-datetime", kb_opt_get("to-datetime"), &r->value);
	if (ret != KB_OK)
		return ret;
	if (!kb_opt_get("topic") == !kb_opt_has("all-topics"))
		return kb_usage(kb_opt_get("topic") ? "--topic and --all-topics exclude each other" :
						      "which topics? give --topic, or --all-topics");
	for (i = 0; (text = kb_opt_nth("topic", i)) && ret == KB_OK; i++) {
		r->topics = kb_realloc(r->topics, (i + 1) * sizeof(*r->topics));
		r->topics_count++;
		ret = kb_group_topic_parse("topic", text, &r->topics[i]);
	}
	return ret;
}

/* the topics that the group has offsets for; offsets are sorted */
static int find_topics(struct reset *r)
{
	const struct kb_group *group = r->now.count ? &r->now.list[0] : NULL;
	size_t i;

	for (i = 0; group && i < group->count; i++) {
		/* of a deleted topic nothing can be set */
		if (group->offsets[i].end < 0)
			continue;
		if (r->topics_count && !strcmp(r->topics[r->topics_count - 1].name, group->offsets[i].topic))
			continue;
		r->topics = kb_realloc(r->topics, (r->topics_count + 1) * sizeof(*r->topics));
		r->topics[r->topics_count++] =
			(struct kb_group_topic){ .name = kb_strdup(group->offsets[i].topic) };
	}
	if (r->topics_count)
		return KB_OK;
	return kb_fail(ENOENT, "name a topic with --topic", "group %s has no offsets yet", r->group);
}

static int64_t committed(const struct reset *r, const char *topic, int32_t partition)
{
	const struct kb_group *group = r->now.count ? &r->now.list[0] : NULL;
	size_t i;

	for (i = 0; group && i < group->count; i++)
		if (group->offsets[i].partition == partition && !strcmp(group->offsets[i].topic, topic))
			return group->offsets[i].committed;
	return -1;
}

/**
 * struct finding - the partitions of a topic being taken
 * @r: where to
 * @topic: the topic
 */
struct finding {
	struct reset *r;
	const char *topic;
};

static int take_place(const struct kb_nl_msg *msg, void *arg)
{
	struct finding *finding = arg;
	struct reset *r = finding->r;
	struct place *place;

	r->places = kb_realloc(r->places, (r->count + 1) * sizeof(*r->places));
	place = &r->places[r->count++];
	*place = (struct place){
		.topic = finding->topic,
		.partition = kb_attr_s32(msg->attrs[KBROKER_A_PARTITION_INDEX]),
		.start = kb_attr_s64(msg->attrs[KBROKER_A_PARTITION_LOG_START]),
		.end = kb_attr_s64(msg->attrs[KBROKER_A_PARTITION_HIGH_WATERMARK]),
	};
	place->before = committed(r, place->topic, place->partition);
	return 0;
}

static int find_places(struct kb_nl *nl, struct reset *r, const struct kb_group_topic *topic)
{
	struct nl_msg *msg = kb_nl_request(nl, KBROKER_CMD_PARTITION_GET, NLM_F_DUMP);
	struct finding finding = { r, topic->name };
	size_t from = r->count, to = from, i;
	uint8_t *wanted;
	int ret;

	if (kb.broker)
		kb_put_text(msg, KBROKER_A_PARTITION_BROKER, kb.broker);
	kb_put_text(msg, KBROKER_A_PARTITION_TOPIC, topic->name);
	ret = kb_nl_call(nl, msg, take_place, &finding);
	if (ret)
		return kb_nl_refused(nl, ret, "'kbroker topic list' shows the topics there are",
				     "no offsets of topic %s were set", topic->name);
	wanted = kb_alloc(r->count - from + 1);
	ret = kb_parse_partitions("topic", topic->list, (uint32_t)(r->count - from), wanted);
	for (i = from; i < r->count && ret == KB_OK; i++)
		if (wanted[r->places[i].partition])
			r->places[to++] = r->places[i];
	r->count = to;
	free(wanted);
	return ret;
}

/* as Kafka's tool: what lies outside of the log goes to its nearer end, and that is said */
static void clamp(const struct reset *r, struct place *place)
{
	if (place->offset < place->start) {
		if (r->target == TO_OFFSET || r->target == SHIFT_BY)
			kb_warn("%s partition %" PRId32 ": offset %" PRId64 " is gone; it goes to the oldest, %" PRId64,
				place->topic, place->partition, place->offset, place->start);
		place->offset = place->start;
	} else if (place->offset > place->end) {
		kb_warn("%s partition %" PRId32 ": offset %" PRId64 " is behind the end; it goes to the end, %" PRId64,
			place->topic, place->partition, place->offset, place->end);
		place->offset = place->end;
	}
}

static int64_t shifted(int64_t offset, int64_t by)
{
	int64_t sum;

	if (!__builtin_add_overflow(offset, by, &sum))
		return sum;
	return by > 0 ? INT64_MAX : INT64_MIN;
}

static int choose(const struct reset *r, const struct kb_topic_dev *dev, struct place *place)
{
	int ret = KB_OK;

	switch (r->target) {
	case TO_EARLIEST:
		place->offset = place->start;
		break;
	case TO_OFFSET:
		place->offset = r->value;
		break;
	case TO_TIME:
		ret = kb_offset_of_time(dev, place->partition, r->value, &place->offset);
		/* records that came since the end was asked for */
		if (ret == KB_OK && place->offset > place->end)
			place->end = place->offset;
		break;
	case SHIFT_BY:
		if (place->before < 0)
			return kb_fail(ENOENT, "--to-earliest, --to-latest or --to-offset sets where it begins",
				       "%s partition %" PRId32 " can't be shifted: group %s has no offset for it",
				       place->topic, place->partition, r->group);
		place->offset = shifted(place->before, r->value);
		break;
	case TO_CURRENT:
		place->offset = place->before < 0 ? place->end : place->before;
		break;
	case BACK_FROM_END:
		place->offset = shifted(place->end, -r->value);
		break;
	default:
		place->offset = place->end;
	}
	if (ret == KB_OK)
		clamp(r, place);
	return ret;
}

static int choose_all(struct reset *r)
{
	struct kb_topic_dev dev = { 0 };
	int ret = KB_OK;
	size_t i;

	for (i = 0; i < r->count && ret == KB_OK; i++) {
		if (r->target == TO_TIME && (!i || strcmp(r->places[i].topic, r->places[i - 1].topic))) {
			kb_topic_dev_release(&dev);
			ret = kb_topic_dev_find(r->places[i].topic, &dev);
		}
		if (ret == KB_OK)
			ret = choose(r, &dev, &r->places[i]);
	}
	kb_topic_dev_release(&dev);
	return ret;
}

static int apply(struct kb_nl *nl, const struct reset *r)
{
	char *what = kb_asprintf("the offsets of group %s were not set", r->group);
	struct nl_msg *msg = NULL;
	int ret = KB_OK;
	size_t i;

	for (i = 0; i < r->count && ret == KB_OK; i++) {
		if (!msg)
			msg = kb_group_request(nl, KBROKER_CMD_GROUP_OFFSET_SET, 0, r->group);
		kb_group_put_offset(msg, r->places[i].topic, r->places[i].partition, &r->places[i].offset);
		if (i + 1 < r->count && (i + 1) % KB_GROUP_OFFSETS_STEP)
			continue;
		ret = kb_group_change(nl, msg, what);
		msg = NULL;
	}
	free(what);
	return ret;
}

static void print_places(const struct reset *r)
{
	static const char *const heads[] = { "GROUP", "TOPIC", ">PARTITION", ">OLD-OFFSET", ">NEW-OFFSET" };
	struct kb_table *tab = kb_table_new(heads, ARRAY_SIZE(heads));
	size_t i;

	for (i = 0; i < r->count; i++) {
		kb_table_cell(tab, "%s", r->group);
		kb_table_cell(tab, "%s", r->places[i].topic);
		kb_table_cell(tab, "%" PRId32, r->places[i].partition);
		if (r->places[i].before < 0)
			kb_table_cell(tab, "-");
		else
			kb_table_cell(tab, "%" PRId64, r->places[i].before);
		kb_table_cell(tab, "%" PRId64, r->places[i].offset);
	}
	kb_table_print(tab);
}

static void json_places(const struct reset *r)
{
	struct kb_json js;
	size_t i;

	kb_json_init(&js, stdout, true);
	kb_json_array(&js, NULL);
	for (i = 0; i < r->count; i++) {
		kb_json_object(&js, NULL);
		kb_json_string(&js, "group", r->group);
		kb_json_string(&js, "topic", r->places[i].topic);
		kb_json_s64(&js, "partition", r->places[i].partition);
		if (r->places[i].before < 0)
			kb_json_null(&js, "old_offset");
		else
			kb_json_s64(&js, "old_offset", r->places[i].before);
		kb_json_s64(&js, "new_offset", r->places[i].offset);
		kb_json_object_end(&js);
	}
	kb_json_array_end(&js);
	kb_json_finish(&js);
}

static int reset(struct kb_nl *nl, struct reset *r)
{
	bool dry = kb_opt_has("dry-run");
	size_t i;
	int ret;

	ret = kb_groups_load(nl, r->group, true, &r->now);
	/* a group that is not there yet: this is how its start is set */
	if (ret && ret != -ENOENT)
		return kb_nl_refused(nl, ret, NULL, "the offsets of group %s were not set", r->group);
	if (dry && r->now.count && r->now.list[0].members_count)
		kb_warn("group %s has members: its offsets can be set once all have left", r->group);
	ret = r->topics_count ? KB_OK : find_topics(r);
	for (i = 0; i < r->topics_count && ret == KB_OK; i++)
		ret = find_places(nl, r, &r->topics[i]);
	if (ret == KB_OK)
		ret = choose_all(r);
	if (ret == KB_OK && !dry)
		ret = apply(nl, r);
	/* with --no-wait operations were printed instead */
	if (ret != KB_OK || (!dry && kb_opt_has("no-wait")))
		return ret;
	if (kb.json)
		json_places(r);
	else
		print_places(r);
	return kb_out_check();
}

static void release(struct reset *r)
{
	size_t i;

	for (i = 0; i < r->topics_count; i++)
		free(r->topics[i].name);
	free(r->topics);
	free(r->places);
}

/** kb_group_reset() - "group reset-offsets GROUP" */
int kb_group_reset(int argc, char **argv)
{
	struct reset r = { .group = argv[0] };
	struct kb_nl nl;
	int ret;

	(void)argc;
	ret = read_options(&r);
	if (ret == KB_OK && kb_nl_open(&nl)) {
		ret = KB_REFUSED;
	} else if (ret == KB_OK) {
		ret = reset(&nl, &r);
		kb_nl_close(&nl);
	}
	kb_groups_free(&r.now);
	release(&r);
	return ret;
}

/* "beginning", "end", "N", "-N", "@TIME": what "consume --offset" takes */
static int read_start(struct reset *r, const char *start)
{
	int ret = KB_OK;

	if (!strcmp(start, "beginning")) {
		r->target = TO_EARLIEST;
	} else if (!strcmp(start, "end")) {
		r->target = TO_LATEST;
	} else if (start[0] == '@') {
		r->target = TO_TIME;
		ret = kb_parse_time("--offset @", start + 1, &r->value);
	} else {
		ret = kb_arg_s64("--offset", start, -INT64_MAX, INT64_MAX, &r->value);
		r->target = start[0] == '-' ? BACK_FROM_END : TO_OFFSET;
		if (r->value < 0)
			r->value = -r->value;
	}
	return ret;
}

/**
 * kb_group_set_start() - where a group begins with the partitions that it has no offset for
 * @nl: connection
 * @now: the group as it is; empty: it is not there
 * @group: its name
 * @topic: the topic
 * @start: as "consume --offset"
 *
 * Return: KB_OK, KB_USAGE or KB_REFUSED (told).
 */
int kb_group_set_start(struct kb_nl *nl, const struct kb_groups *now, const char *group,
		       const char *topic, const char *start)
{
	struct reset r = { .group = group, .now = *now };
	size_t to = 0, i;
	int ret;

	ret = read_start(&r, start);
	if (ret == KB_OK) {
		r.topics = kb_alloc(sizeof(*r.topics));
		r.topics[r.topics_count++] = (struct kb_group_topic){ .name = kb_strdup(topic) };
		ret = find_places(nl, &r, &r.topics[0]);
	}
	for (i = 0; i < r.count; i++)
		if (r.places[i].before < 0)
			r.places[to++] = r.places[i];
	r.count = to;
	if (ret == KB_OK)
		ret = choose_all(&r);
	if (ret == KB_OK)
		ret = apply(nl, &r);
	release(&r);
	return ret;
}
