/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the kernel tells about brokers, topics, partitions, operations and open
 * devices, as JSON and as lines. One table an object says which attributes
 * there are and how each is written; every command uses the same.
 */
#ifndef KBROKER_TOOL_OBJECTS_H
#define KBROKER_TOOL_OBJECTS_H

#include "json.h"
#include "kbroker.h"
#include "nl.h"

enum kb_attr_kind {
	KB_ATTR_TEXT,
	KB_ATTR_U8,
	KB_ATTR_WORD,		/* u8, an index into @words */
	KB_ATTR_BITS,		/* u8 or u64, bits named by @words */
	KB_ATTR_MODE,		/* u16, octal */
	KB_ATTR_U16,
	KB_ATTR_U32,
	KB_ATTR_U64,
	KB_ATTR_S32,
	KB_ATTR_S64,
	KB_ATTR_ERRNO,		/* u32 */
	KB_ATTR_UUID,
	KB_ATTR_FLAG,
	KB_ATTR_IDS,		/* s32 values back to back */
	KB_ATTR_EPOCHS,		/* s64 values back to back */
	KB_ATTR_S32_LIST,	/* repeats */
	KB_ATTR_CONFIGS,	/* repeats */
	KB_ATTR_APIS,		/* repeats */
};

/**
 * struct kb_attr_def - one attribute
 * @type: KBROKER_A_*
 * @kind: how it is encoded
 * @name: its name in JSON
 * @words: see @kind
 * @words_count: how many
 */
struct kb_attr_def {
	int type;
	enum kb_attr_kind kind;
	const char *name;
	const char *const *words;
	size_t words_count;
};

extern const struct kb_attr_def kb_broker_attrs[];
extern const struct kb_attr_def kb_topic_attrs[];
extern const struct kb_attr_def kb_partition_attrs[];
extern const struct kb_attr_def kb_op_attrs[];
extern const struct kb_attr_def kb_handle_attrs[];
extern const struct kb_attr_def kb_listener_attrs[];
extern const struct kb_attr_def kb_connection_attrs[];
extern const struct kb_attr_def kb_group_attrs[];
extern const struct kb_attr_def kb_cluster_attrs[];
extern const struct kb_attr_def kb_peer_attrs[];
extern const struct kb_attr_def kb_request_attrs[];
extern const struct kb_attr_def kb_replica_attrs[];

const struct kb_attr_def *kb_attr_def_find(const struct kb_attr_def *defs, int type);
const char *kb_attr_word(const struct kb_attr_def *defs, const struct kb_nl_msg *msg, int type);
void kb_attrs_json(struct kb_json *js, const struct kb_attr_def *defs, const struct kb_nl_msg *msg);
void kb_attrs_line(FILE *out, const struct kb_attr_def *defs, const struct kb_nl_msg *msg);
const char *kb_broker_state_name(uint8_t state);
const char *kb_api_name(uint16_t key);
const char *kb_uuid_text(const struct nlattr *attr, char buf[24]);
int kb_uuid_parse(const char *text, unsigned char id[16]);
const char *kb_user_name(uint32_t uid, char buf[32]);
const char *kb_group_name(uint32_t gid, char buf[32]);

/**
 * struct kb_list - objects of a dump: rows of a table, or objects of an array
 * @heads: columns of the table; NULL: it is never one
 * @columns: how many
 * @row: puts the cells of one object
 * @json: writes the members of one object; NULL: what @attrs says
 * @attrs: attributes of the objects
 * @hide_empty: without objects there is no table
 * @of_broker: there are none without a broker: that is refused then
 * @order: attribute, a text, by which they are sorted; 0: the kernel's order
 */
struct kb_list {
	const char *const *heads;
	size_t columns;
	void (*row)(struct kb_table *tab, const struct kb_nl_msg *msg);
	void (*json)(struct kb_json *js, const struct kb_nl_msg *msg);
	const struct kb_attr_def *attrs;
	bool hide_empty;
	bool of_broker;
	int order;
};

/* list.c */
int kb_list_print(struct kb_nl *nl, struct nl_msg *msg, const struct kb_list *list);
int kb_list_table(struct kb_nl *nl, struct nl_msg *msg, const struct kb_list *list);
int kb_list_member(struct kb_nl *nl, struct nl_msg *msg, const struct kb_list *list,
		   struct kb_json *js, const char *key);

/* args.c: options that several commands take */
#define KB_OPT_CONFIG { "config", 0, "NAME=VALUE", "set a config, by Kafka's name; may be given often" }
#define KB_OPT_DELETE_CONFIG { "delete-config", 0, "NAME", "set a config back to its default" }
#define KB_OPT_OWNER { "owner", 0, "USER", "owner: the user's name or number" }
#define KB_OPT_GROUP { "group", 0, "GROUP", "group: its name or number" }
#define KB_OPT_MODE { "mode", 0, "MODE", "octal: read bits may consume, write bits may produce" }
#define KB_OPT_NO_WAIT { "no-wait", 0, NULL, "print the operation's id, do not wait for its end" }

int kb_put_access(struct nl_msg *msg, int uid_type, int gid_type, int mode_type);
int kb_put_configs(struct nl_msg *msg, int type);
int kb_check_access(void);
int kb_check_configs(void);

/* ops.c */
int kb_op_take_id(const struct kb_nl_msg *msg, void *arg);
int kb_op_finish(struct kb_nl *nl, uint32_t id, const char *what);
int kb_op_wait(struct kb_nl *nl, uint32_t id, const char *what);

/* configs.c: the effective configs of the broker (@topic NULL) or of a topic */
int kb_configs_print(struct kb_nl *nl, const char *topic);
int kb_configs_json(struct kb_nl *nl, struct kb_json *js, const char *topic);
char *kb_config_value(struct kb_nl *nl, const char *topic, const char *name);

#endif /* KBROKER_TOOL_OBJECTS_H */
