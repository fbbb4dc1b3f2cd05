// SPDX-License-Identifier: GPL-2.0-only
/*
 * DescribeConfigs, AlterConfigs and IncrementalAlterConfigs, of topics and of
 * this broker.
 */
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "server/admin.h"

/* Kinds of resources */
#define KBR_RESOURCE_TOPIC	2
#define KBR_RESOURCE_BROKER	4

/* Where a value comes from */
#define KBR_SOURCE_TOPIC	1
#define KBR_SOURCE_BROKER	2
#define KBR_SOURCE_DEFAULT	5

/* What IncrementalAlterConfigs does to a config */
enum { KBR_ALTER_SET, KBR_ALTER_DELETE, KBR_ALTER_APPEND, KBR_ALTER_SUBTRACT };

/* How long an answer is waited for: these requests bring no time of their own, ms */
#define KBR_ALTER_TIMEOUT_MS	30000

/* Is @name this broker's, or all brokers'? */
static bool kbr_configs_is_ours(const struct kbr_request *req, const struct kbr_str *name)
{
	char id[12];

	snprintf(id, sizeof(id), "%d", kbr_request_broker(req)->id);
	return !name->len || kbr_str_equal(name, id);
}

/* May this client see (or change) what the broker does? 0 or Kafka's code and @why */
static s16 kbr_configs_check_broker(const struct kbr_request *req, const struct kbr_str *name,
				    struct kbr_refusal *why)
{
	if (!kbr_configs_is_ours(req, name)) {
		kbr_refuse(why, -EINVAL, 0, "the only broker here is %d",
			   kbr_request_broker(req)->id);
		return KBR_KAFKA_INVALID_REQUEST;
	}
	if (kbr_request_may_admin(req))
		return 0;
	kbr_refuse(why, -EPERM, 0, "the configs of a broker are its owner's business");
	return KBR_KAFKA_CLUSTER_AUTHORIZATION;
}

static s16 kbr_configs_bad_type(s8 type, struct kbr_refusal *why)
{
	kbr_refuse(why, -EINVAL, 0, "topics (2) and brokers (4) have configs, type %d has none",
		   type);
	return KBR_KAFKA_INVALID_REQUEST;
}

/* ---- DescribeConfigs ---- */

/**
 * struct kbr_configs_view - one config with where it comes from
 * @builtin: what is in effect where nothing was set
 * @nothing: an empty set
 * @value: in effect
 * @broker_value: likewise for the broker-wide default of a topic's config
 * @builtin_value: built in
 */
struct kbr_configs_view {
	struct kbr_broker_config builtin;
	struct kbr_config_set nothing;
	char value[KBR_CONFIG_VALUE_MAX + 1];
	char broker_value[KBR_CONFIG_VALUE_MAX + 1];
	char builtin_value[KBR_CONFIG_VALUE_MAX + 1];
};

/* Was this config asked for? @keys stands at @count names; no count: all were. */
static bool kbr_configs_wanted(struct kbr_wire_reader keys, s32 count, const char *name)
{
	struct kbr_str key;

	if (count < 0)
		return true;
	for (; count > 0; count--) {
		key = kbr_get_string(&keys);
		if (kbr_str_equal(&key, name))
			return true;
	}
	return false;
}

static void kbr_configs_put_synonym(struct kbr_wire_writer *w, const char *name, const char *value,
				    s8 source)
{
	kbr_put_string(w, name);
	kbr_put_string(w, value);
	kbr_put_s8(w, source);
}

/*
 * One config: @name and @value of a topic (NULL: of the broker), then
 * @broker_name of the broker, each NULL where it was not set.
 */
static void kbr_configs_put(struct kbr_wire_writer *w, const struct kbr_configs_view *view,
			    const char *name, bool of_topic, bool set_here,
			    const char *broker_name, bool set_at_broker, bool synonyms)
{
	s8 source = KBR_SOURCE_DEFAULT;

	if (set_at_broker)
		source = KBR_SOURCE_BROKER;
	if (of_topic && set_here)
		source = KBR_SOURCE_TOPIC;
	kbr_put_string(w, name);
	kbr_put_string(w, view->value);
	kbr_put_bool(w, false);		/* read only */
	kbr_put_s8(w, source);
	kbr_put_bool(w, false);		/* sensitive */
	if (!synonyms) {
		kbr_put_count(w, 0);
		return;
	}
	kbr_put_count(w, 1 + (of_topic && set_here) + set_at_broker);
	if (of_topic && set_here)
		kbr_configs_put_synonym(w, name, view->value, KBR_SOURCE_TOPIC);
	if (set_at_broker)
		kbr_configs_put_synonym(w, broker_name, view->broker_value, KBR_SOURCE_BROKER);
	kbr_configs_put_synonym(w, broker_name, view->builtin_value, KBR_SOURCE_DEFAULT);
}

static s32 kbr_configs_put_topic(struct kbr_request *req, struct kbr_configs_view *view,
				 struct kbr_topic *topic, struct kbr_wire_reader keys, s32 count,
				 bool synonyms)
{
	struct kbr_broker *broker = kbr_request_broker(req);
	const char *name, *broker_name;
	bool here, at_broker, ignored;
	unsigned int i;
	s32 found = 0;

	down_read(&broker->topics_sem);
	for (i = 0; ; i++) {
		name = kbr_topic_config_describe(&topic->config, &topic->config_set, i,
						 view->value, &here);
		if (!name)
			break;
		if (!kbr_configs_wanted(keys, count, name))
			continue;
		broker_name = kbr_topic_config_default(&broker->config, &broker->config_set, i,
						       view->broker_value, &at_broker);
		kbr_topic_config_default(&view->builtin, &view->nothing, i, view->builtin_value,
					 &ignored);
		kbr_configs_put(&req->reply, view, name, true, !here, broker_name, !at_broker,
				synonyms);
		found++;
	}
	up_read(&broker->topics_sem);
	return found;
}

static s32 kbr_configs_put_broker(struct kbr_request *req, struct kbr_configs_view *view,
				  struct kbr_wire_reader keys, s32 count, bool synonyms)
{
	struct kbr_broker *broker = kbr_request_broker(req);
	bool is_default, ignored;
	const char *name;
	unsigned int i;
	s32 found = 0;

	down_read(&broker->topics_sem);
	for (i = 0; ; i++) {
		name = kbr_broker_config_describe(&broker->config, &broker->config_set, i,
						  view->value, &is_default);
		if (!name)
			break;
		if (!kbr_configs_wanted(keys, count, name))
			continue;
		strscpy(view->broker_value, view->value, sizeof(view->broker_value));
		kbr_broker_config_describe(&view->builtin, &view->nothing, i,
					   view->builtin_value, &ignored);
		kbr_configs_put(&req->reply, view, name, false, false, name, !is_default,
				synonyms);
		found++;
	}
	up_read(&broker->topics_sem);
	return found;
}

static s16 kbr_describe_find(struct kbr_request *req, s8 type, const struct kbr_str *name,
			     struct kbr_topic **topic, struct kbr_refusal *why)
{
	char text[KBR_TOPIC_NAME_MAX + 1];

	if (type == KBR_RESOURCE_BROKER)
		return kbr_configs_check_broker(req, name, why);
	if (type != KBR_RESOURCE_TOPIC)
		return kbr_configs_bad_type(type, why);
	if (kbr_str_copy(name, text, sizeof(text)) || kbr_topic_name_check(text, why))
		return KBR_KAFKA_INVALID_TOPIC;
	*topic = kbr_topic_lookup(kbr_request_broker(req), text);
	if (!*topic) {
		kbr_refuse(why, -ENOENT, 0, "there is no topic %.80s", text);
		return KBR_KAFKA_UNKNOWN_TOPIC;
	}
	if (kbr_admin_may_see(req, *topic))
		return 0;
	kbr_topic_put(*topic);
	*topic = NULL;
	kbr_refuse(why, -EACCES, 0, "topic %.80s is not for this listener's user", text);
	return KBR_KAFKA_TOPIC_AUTHORIZATION;
}

static void kbr_describe_resource(struct kbr_request *req, struct kbr_configs_view *view,
				  bool synonyms)
{
	s8 type = kbr_get_s8(&req->body);
	struct kbr_str name = kbr_get_string(&req->body);
	s32 i, count = kbr_get_nullable_count(&req->body);
	struct kbr_wire_reader keys = req->body;
	struct kbr_wire_writer *w = &req->reply;
	struct kbr_topic *topic = NULL;
	struct kbr_refusal why = {};
	size_t at;
	s16 code;
	s32 found;

	for (i = 0; i < count; i++)
		kbr_get_string(&req->body);
	if (count > KBR_CONFIG_NAMES_MAX) {
		/* each of them is compared with each that there is */
		kbr_refuse(&why, -E2BIG, 0, "there are not so many configs");
		code = KBR_KAFKA_INVALID_REQUEST;
	} else {
		code = kbr_describe_find(req, type, &name, &topic, &why);
	}
	kbr_put_s16(w, code);
	kbr_put_string(w, why.text[0] ? why.text : NULL);
	kbr_put_s8(w, type);
	kbr_put_str(w, &name);
	at = w->len;
	kbr_put_s32(w, 0);
	if (code)
		return;
	found = topic ? kbr_configs_put_topic(req, view, topic, keys, count, synonyms) :
			kbr_configs_put_broker(req, view, keys, count, synonyms);
	kbr_wire_writer_patch_s32(w, at, found);
	kbr_topic_put(topic);
}

static enum kbr_request_state kbr_describe_configs_start(struct kbr_request *req)
{
	struct kbr_configs_view *view = kzalloc(sizeof(*view), GFP_KERNEL);
	struct kbr_wire_reader r = req->body;
	bool synonyms;
	s32 count;

	if (!view)
		return KBR_REQUEST_CLOSE;
	kbr_broker_config_default(&view->builtin);
	kbr_field_skip(&r, &req->header.api->request[0], req->header.version);
	synonyms = kbr_get_bool(&r);
	count = kbr_get_count(&req->body);
	kbr_put_s32(&req->reply, 0);	/* throttle */
	kbr_put_count(&req->reply, count);
	for (; count > 0 && !kbr_request_is_futile(req); count--)
		kbr_describe_resource(req, view, synonyms);
	kfree(view);
	return KBR_REQUEST_DONE;
}

const struct kbr_handler kbr_handle_describe_configs = { .start = kbr_describe_configs_start };

/* ---- AlterConfigs, IncrementalAlterConfigs ---- */

/* What @name is now on the resource at hand, into @admin->value; false: there is no such config */
static bool kbr_configs_now(struct kbr_request *req, struct kbr_admin *admin,
			    struct kbr_topic *topic, const char *name)
{
	struct kbr_broker *broker = kbr_request_broker(req);
	bool is_default;
	const char *found;
	unsigned int i = 0;

	down_read(&broker->topics_sem);
	do {
		found = topic ? kbr_topic_config_describe(&topic->config, &topic->config_set, i,
							  admin->value, &is_default) :
				kbr_broker_config_describe(&broker->config, &broker->config_set, i,
							   admin->value, &is_default);
		i++;
	} while (found && strcmp(found, name));
	up_read(&broker->topics_sem);
	return found;
}

/* Is @word one of those in @list, which commas part? */
static char *kbr_configs_list_find(char *list, const char *word, size_t len)
{
	char *at = list;

	while (*at) {
		size_t n = strcspn(at, ",");

		if (n == len && !memcmp(at, word, len))
			return at;
		at += n + (at[n] == ',');
	}
	return NULL;
}

/* Append or subtract @value: @admin->value is the list then. */
static s16 kbr_configs_change_list(struct kbr_request *req, struct kbr_admin *admin,
				   struct kbr_topic *topic, const struct kbr_str *value,
				   bool append, struct kbr_refusal *why)
{
	const char *key = admin->key;
	size_t len, n;
	char *at;

	/* the only list that there is */
	if (strcmp(key, topic ? "cleanup.policy" : "log.cleanup.policy")) {
		kbr_refuse(why, -EINVAL, 0, "config %s is no list: it can be set or deleted", key);
		return KBR_KAFKA_INVALID_CONFIG;
	}
	if (value->len < 1 || !kbr_configs_now(req, admin, topic, key)) {
		kbr_refuse(why, -EINVAL, 0, "config %s needs a word to append or subtract", key);
		return KBR_KAFKA_INVALID_CONFIG;
	}
	at = kbr_configs_list_find(admin->value, value->at, value->len);
	len = strlen(admin->value);
	if (append && !at) {
		if (len + 1 + value->len > KBR_CONFIG_VALUE_MAX)
			return KBR_KAFKA_INVALID_CONFIG;
		admin->value[len] = ',';
		memcpy(admin->value + len + 1, value->at, value->len);
		admin->value[len + 1 + value->len] = '\0';
	} else if (!append && at) {
		/* with the comma behind it, or before it if it is the last */
		n = value->len;
		if (at[n] == ',') {
			n++;
		} else if (at > admin->value) {
			at--;
			n++;
		}
		memmove(at, at + n, strlen(at + n) + 1);
	}
	return 0;
}

static s16 kbr_configs_get_change(struct kbr_request *req, struct kbr_admin *admin,
				  struct kbr_topic *topic, struct kbr_config_set *set,
				  struct kbr_config_set *del, struct kbr_refusal *why)
{
	bool incremental = req->header.key == KBR_API_INCREMENTAL_ALTER_CONFIGS;
	struct kbr_str name = kbr_get_string(&req->body);
	s8 action = incremental ? kbr_get_s8(&req->body) : KBR_ALTER_SET;
	struct kbr_str value = kbr_get_nullable_string(&req->body);
	static const struct kbr_str unset = { .at = "unset", .len = 5 };
	struct kbr_str list;
	s16 code;

	if (action < KBR_ALTER_SET || action > KBR_ALTER_SUBTRACT) {
		kbr_refuse(why, -EINVAL, 0, "there is no operation %d on a config", action);
		return KBR_KAFKA_INVALID_REQUEST;
	}
	if (action == KBR_ALTER_DELETE)
		return kbr_admin_put_config(admin, del, &name, &unset, why);
	if (action == KBR_ALTER_SET)
		return kbr_admin_put_config(admin, set, &name, &value, why);
	if (kbr_str_copy(&name, admin->key, sizeof(admin->key)))
		return KBR_KAFKA_INVALID_CONFIG;
	code = kbr_configs_change_list(req, admin, topic, &value, action == KBR_ALTER_APPEND, why);
	if (code)
		return code;
	/* kbr_admin_put_config() copies a value to where it is */
	list.len = strlen(admin->value);
	list.at = admin->value;
	if (!list.len || kbr_config_set_put(set, admin->key, list.at)) {
		kbr_refuse(why, -EINVAL, 0, "config %s needs a value", admin->key);
		return KBR_KAFKA_INVALID_CONFIG;
	}
	return 0;
}

/* AlterConfigs replaces the whole set: what was set and is not named is reset. */
static int kbr_configs_reset_others(struct kbr_broker *broker, const struct kbr_config_set *now,
				    const struct kbr_config_set *set, struct kbr_config_set *del)
{
	unsigned int i;
	int err = 0;

	down_read(&broker->topics_sem);
	for (i = 0; !err && i < now->count; i++)
		if (!kbr_config_set_get(set, now->entries[i].name))
			err = kbr_config_set_put(del, now->entries[i].name, "unset");
	up_read(&broker->topics_sem);
	return err;
}

static int kbr_configs_alter_topic(struct kbr_request *req, struct kbr_admin *admin,
				   struct kbr_topic *topic, struct kbr_config_set *set,
				   struct kbr_config_set *del, u32 *op_id, struct kbr_refusal *why)
{
	struct kbr_topic_change change = { .partitions = -1, .set = *set, .del = *del };
	struct kbr_broker *broker = kbr_request_broker(req);

	if (admin->validate_only)
		return kbr_topic_check_alter(broker, topic->name, &change, why);
	return kbr_topic_alter(broker, topic->name, &change, op_id, why);
}

static int kbr_configs_alter_broker(struct kbr_request *req, struct kbr_admin *admin,
				    struct kbr_config_set *set, struct kbr_config_set *del,
				    u32 *op_id, struct kbr_refusal *why)
{
	struct kbr_broker_change change = { .set = *set, .del = *del };
	struct kbr_broker *broker = kbr_request_broker(req);

	if (admin->validate_only)
		return kbr_broker_check_configs(broker, &change, why);
	return kbr_broker_alter(broker->knet, &change, op_id, why);
}

static s16 kbr_alter_find(struct kbr_request *req, struct kbr_admin *admin,
			  struct kbr_topic **topic, struct kbr_refusal *why)
{
	s16 code = 0;

	if (admin->type == KBR_RESOURCE_BROKER)
		return kbr_configs_check_broker(req, &admin->name, why);
	if (admin->type != KBR_RESOURCE_TOPIC)
		return kbr_configs_bad_type(admin->type, why);
	*topic = kbr_admin_find(req, admin, &code, why);
	return code;
}

static s16 kbr_alter_configs_begin(struct kbr_request *req, struct kbr_admin *admin, u32 *op_id,
				   struct kbr_refusal *why)
{
	struct kbr_broker *broker = kbr_request_broker(req);
	struct kbr_config_set set = {}, del = {};
	struct kbr_topic *topic = NULL;
	s16 code, change;
	s32 count;
	int err = 0;

	admin->type = kbr_get_s8(&req->body);
	kbr_admin_get_topic(req, admin, NULL);
	code = kbr_alter_find(req, admin, &topic, why);
	for (count = kbr_get_count(&req->body); count > 0; count--) {
		change = kbr_configs_get_change(req, admin, topic, &set, &del,
						code ? NULL : why);
		if (!code)
			code = change;
		cond_resched();
	}
	if (!code && req->header.key == KBR_API_ALTER_CONFIGS)
		err = kbr_configs_reset_others(broker,
					       topic ? &topic->config_set : &broker->config_set,
					       &set, &del);
	if (!code && !err)
		err = topic ? kbr_configs_alter_topic(req, admin, topic, &set, &del, op_id, why) :
			      kbr_configs_alter_broker(req, admin, &set, &del, op_id, why);
	if (!code)
		code = kbr_admin_code(err);
	kbr_config_set_free(&set);
	kbr_config_set_free(&del);
	kbr_topic_put(topic);
	return code;
}

static void kbr_alter_configs_answer(struct kbr_request *req, struct kbr_admin *admin, s16 code,
				     const char *message)
{
	kbr_put_s16(&req->reply, code);
	kbr_put_string(&req->reply, message);
	kbr_put_s8(&req->reply, admin->type);
	kbr_put_str(&req->reply, &admin->name);
}

static const struct kbr_admin_calls kbr_alter_configs_calls = {
	.begin = kbr_alter_configs_begin,
	.answer = kbr_alter_configs_answer,
};

static enum kbr_request_state kbr_alter_configs_start(struct kbr_request *req)
{
	struct kbr_admin *admin = kbr_admin_alloc(req, &kbr_alter_configs_calls);
	struct kbr_wire_reader r = req->body;

	if (!admin)
		return KBR_REQUEST_CLOSE;
	kbr_field_skip(&r, &req->header.api->request[0], req->header.version);
	admin->validate_only = kbr_get_bool(&r);
	kbr_put_s32(&req->reply, 0);	/* throttle */
	admin->left = kbr_get_count(&req->body);
	kbr_put_count(&req->reply, admin->left);
	return kbr_admin_run(req, KBR_ALTER_TIMEOUT_MS);
}

const struct kbr_handler kbr_handle_alter_configs = {
	.start = kbr_alter_configs_start,
	.resume = kbr_admin_resume,
	.drop = kbr_admin_drop,
};

const struct kbr_handler kbr_handle_incremental_alter_configs = {
	.start = kbr_alter_configs_start,
	.resume = kbr_admin_resume,
	.drop = kbr_admin_drop,
};
