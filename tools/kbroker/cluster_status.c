// SPDX-License-Identifier: GPL-2.0-only
/* "kbroker cluster status": brokers and daemons as the controller knows them. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "daemon.h"
#include "device.h"
#include "json.h"
#include "objects.h"
#include "replica.h"

/**
 * struct count - what the kernel's replicas come to
 * @known: the kernel was asked
 * @partitions: of all topics
 * @leaderless: without a leader
 * @behind: with fewer replicas in sync than they have
 * @replicas: of each broker, by its place in @id
 * @leads: likewise
 * @id: brokers
 * @brokers: how many
 */
struct count {
	bool known;
	unsigned int partitions;
	unsigned int leaderless;
	unsigned int behind;
	unsigned int replicas[KBD_BROKERS_MAX];
	unsigned int leads[KBD_BROKERS_MAX];
	uint32_t id[KBD_BROKERS_MAX];
	unsigned int brokers;
};

static uint32_t id_at(const struct nlattr *attr, int at)
{
	const unsigned char *p = (const unsigned char *)nla_data((struct nlattr *)attr) + 4 * at;

	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static int take_replica(const struct kb_nl_msg *msg, void *arg)
{
	const struct nlattr *replicas = msg->attrs[KBROKER_A_REPLICA_REPLICAS];
	const struct nlattr *isr = msg->attrs[KBROKER_A_REPLICA_ISR];
	int32_t leader = kb_attr_s32(msg->attrs[KBROKER_A_REPLICA_LEADER]);
	struct count *count = arg;
	unsigned int broker;
	int i;

	if (!replicas)
		return 0;
	count->partitions++;
	count->leaderless += leader < 0;
	count->behind += isr && nla_len((struct nlattr *)isr) < nla_len((struct nlattr *)replicas);
	for (broker = 0; broker < count->brokers; broker++) {
		count->leads[broker] += leader >= 0 && (uint32_t)leader == count->id[broker];
		for (i = 0; i < nla_len((struct nlattr *)replicas) / 4; i++)
			count->replicas[broker] += id_at(replicas, i) == count->id[broker];
	}
	return 0;
}

static void count_replicas(struct count *count)
{
	struct nl_msg *msg;
	struct kb_nl nl;

	if (kb_nl_try_open(&nl))
		return;
	msg = kb_nl_request(&nl, KBROKER_CMD_REPLICA_GET, NLM_F_DUMP);
	kb_put_text(msg, KBROKER_A_REPLICA_BROKER, kb_broker_name());
	count->known = !kb_nl_call(&nl, msg, take_replica, count);
	kb_nl_close(&nl);
}

/**
 * struct member - a broker as the controller told
 * @peer: attributes of the set peer
 * @stopping: it is about to stop
 */
struct member {
	struct kbd_attr peer[KBROKER_A_PEER_MAX + 1];
	bool stopping;
};

static void open_member(const struct kbd_attr *nest, struct member *member)
{
	struct kbd_attr attrs[KBD_A_END];

	kbd_open(nest, attrs, KBD_A_END);
	kbd_open(&attrs[KBD_A_PEER], member->peer, KBROKER_A_PEER_MAX + 1);
	member->stopping = kbd_u8(&attrs[KBD_A_STOPPING]);
}

static const char *state_of(const struct member *member)
{
	return kbd_u8(&member->peer[KBROKER_A_PEER_FENCED]) ? "fenced" : member->stopping ? "stopping" : "alive";
}

static const char *role_of(const struct kbd_attr *daemon)
{
	if (kbd_u8(&daemon[KBD_DAEMON_LEADER]))
		return "controller";
	return kbd_u8(&daemon[KBD_DAEMON_VOTER]) ? "voter" : "spare";
}

/**
 * struct move - a partition that is reassigned
 * @replica: attributes of the set replica
 * @target: the brokers that are to have it
 */
struct move {
	struct kbd_attr replica[KBROKER_A_REPLICA_MAX + 1];
	struct kbd_attr target;
};

static void open_move(const struct kbd_attr *nest, struct move *move)
{
	struct kbd_attr attrs[KBD_A_END];

	kbd_open(nest, attrs, KBD_A_END);
	kbd_open(&attrs[KBD_A_REPLICA], move->replica, KBROKER_A_REPLICA_MAX + 1);
	move->target = attrs[KBD_A_TARGET];
}

/* ---- text ---- */

static void print_brokers(const struct kbd_message *msg, const struct count *count)
{
	static const char *const heads[] = { "BROKER", "ADDRESS", "RACK", "EPOCH", "STATE", "LEADS", "REPLICAS" };
	struct kb_table *tab = kb_table_new(heads, ARRAY_SIZE(heads));
	struct member member;
	struct kbd_attr attr;
	unsigned int at = 0;
	size_t pos = 0;

	while (at < count->brokers && kbd_each(msg->body, msg->len, &pos, &attr)) {
		const char *address;

		if (attr.type != KBD_A_BROKER)
			continue;
		open_member(&attr, &member);
		address = kbd_text(&member.peer[KBROKER_A_PEER_ADDRESS]);
		kb_table_cell(tab, "%" PRIu32, kbd_u32(&member.peer[KBROKER_A_PEER_ID]));
		kb_table_cell(tab, strchr(address, ':') ? "[%s]:%u" : "%s:%u", address,
			      kbd_u16(&member.peer[KBROKER_A_PEER_PORT]));
		kb_table_cell(tab, "%s", *kbd_text(&member.peer[KBROKER_A_PEER_RACK]) ?
			      kbd_text(&member.peer[KBROKER_A_PEER_RACK]) : "-");
		kb_table_cell(tab, "%" PRIu64, (uint64_t)kbd_u64(&member.peer[KBROKER_A_PEER_EPOCH]));
		kb_table_cell(tab, "%s", state_of(&member));
		kb_table_cell(tab, count->known ? "%u" : "-", count->leads[at]);
		kb_table_cell(tab, count->known ? "%u" : "-", count->replicas[at]);
		at++;
	}
	kb_table_print(tab);
}

static void print_daemons(const struct kbd_message *msg)
{
	static const char *const heads[] = { "DAEMON", "ADDRESS", "ROLE" };
	struct kb_table *tab = kb_table_new(heads, ARRAY_SIZE(heads));
	struct kbd_attr attr, daemon[KBD_DAEMON_END];
	size_t pos = 0;

	while (kbd_each(msg->body, msg->len, &pos, &attr)) {
		if (attr.type != KBD_A_DAEMON)
			continue;
		kbd_open(&attr, daemon, KBD_DAEMON_END);
		kb_table_cell(tab, "%" PRIu32, kbd_u32(&daemon[KBD_DAEMON_ID]));
		kb_table_cell(tab, "%s", kbd_text(&daemon[KBD_DAEMON_ADDRESS]));
		kb_table_cell(tab, "%s", role_of(daemon));
	}
	kb_table_print(tab);
}

static const char *ids_text(const struct kbd_attr *attr, char buf[KB_IDS_TEXT])
{
	struct kb_ids ids = { 0 };

	for (; ids.count < ARRAY_SIZE(ids.id) && 4 * ids.count + 4 <= attr->len; ids.count++)
		ids.id[ids.count] = (int32_t)kbd_get_be32(attr->data + 4 * ids.count);
	return kb_ids_text(&ids, buf);
}

static void print_moves(const struct kbd_message *msg)
{
	static const char *const heads[] = { "REASSIGNED", "PARTITION", "TO", "REPLICAS", "ISR" };
	struct kb_table *tab = NULL;
	char ids[KB_IDS_TEXT];
	struct kbd_attr attr;
	struct move move;
	size_t pos = 0;

	while (kbd_each(msg->body, msg->len, &pos, &attr)) {
		if (attr.type != KBD_A_PARTITION)
			continue;
		if (!tab)
			tab = kb_table_new(heads, ARRAY_SIZE(heads));
		open_move(&attr, &move);
		kb_table_cell(tab, "%s", kbd_text(&move.replica[KBROKER_A_REPLICA_TOPIC]));
		kb_table_cell(tab, "%" PRIu32, kbd_u32(&move.replica[KBROKER_A_REPLICA_PARTITION]));
		kb_table_cell(tab, "%s", ids_text(&move.target, ids));
		kb_table_cell(tab, "%s", ids_text(&move.replica[KBROKER_A_REPLICA_REPLICAS], ids));
		kb_table_cell(tab, "%s", ids_text(&move.replica[KBROKER_A_REPLICA_ISR], ids));
	}
	if (tab) {
		printf("\n");
		kb_table_print(tab);
	}
}

/* ---- JSON ---- */

static void json_brokers(struct kb_json *js, const struct kbd_message *msg, const struct count *count)
{
	struct member member;
	struct kbd_attr attr;
	unsigned int at = 0;
	size_t pos = 0;

	kb_json_array(js, "brokers");
	while (at < count->brokers && kbd_each(msg->body, msg->len, &pos, &attr)) {
		if (attr.type != KBD_A_BROKER)
			continue;
		open_member(&attr, &member);
		kb_json_object(js, NULL);
		kb_json_u64(js, "id", kbd_u32(&member.peer[KBROKER_A_PEER_ID]));
		kb_json_string(js, "address", kbd_text(&member.peer[KBROKER_A_PEER_ADDRESS]));
		kb_json_u64(js, "port", kbd_u16(&member.peer[KBROKER_A_PEER_PORT]));
		kb_json_string(js, "rack", kbd_text(&member.peer[KBROKER_A_PEER_RACK]));
		kb_json_u64(js, "epoch", kbd_u64(&member.peer[KBROKER_A_PEER_EPOCH]));
		kb_json_string(js, "state", state_of(&member));
		if (count->known) {
			kb_json_u64(js, "leads", count->leads[at]);
			kb_json_u64(js, "replicas", count->replicas[at]);
		}
		kb_json_object_end(js);
		at++;
	}
	kb_json_array_end(js);
}

static void json_daemons(struct kb_json *js, const struct kbd_message *msg)
{
	struct kbd_attr attr, daemon[KBD_DAEMON_END];
	size_t pos = 0;

	kb_json_array(js, "daemons");
	while (kbd_each(msg->body, msg->len, &pos, &attr)) {
		if (attr.type != KBD_A_DAEMON)
			continue;
		kbd_open(&attr, daemon, KBD_DAEMON_END);
		kb_json_object(js, NULL);
		kb_json_u64(js, "id", kbd_u32(&daemon[KBD_DAEMON_ID]));
		kb_json_string(js, "address", kbd_text(&daemon[KBD_DAEMON_ADDRESS]));
		kb_json_string(js, "role", role_of(daemon));
		kb_json_object_end(js);
	}
	kb_json_array_end(js);
}

static void json_ids(struct kb_json *js, const char *key, const struct kbd_attr *attr)
{
	size_t i;

	kb_json_array(js, key);
	for (i = 0; i + 4 <= attr->len; i += 4)
		kb_json_s64(js, NULL, (int32_t)kbd_get_be32(attr->data + i));
	kb_json_array_end(js);
}

static void json_moves(struct kb_json *js, const struct kbd_message *msg)
{
	struct kbd_attr attr;
	struct move move;
	size_t pos = 0;

	kb_json_array(js, "reassigned");
	while (kbd_each(msg->body, msg->len, &pos, &attr)) {
		if (attr.type != KBD_A_PARTITION)
			continue;
		open_move(&attr, &move);
		kb_json_object(js, NULL);
		kb_json_string(js, "topic", kbd_text(&move.replica[KBROKER_A_REPLICA_TOPIC]));
		kb_json_u64(js, "partition", kbd_u32(&move.replica[KBROKER_A_REPLICA_PARTITION]));
		json_ids(js, "to", &move.target);
		json_ids(js, "replicas", &move.replica[KBROKER_A_REPLICA_REPLICAS]);
		json_ids(js, "isr", &move.replica[KBROKER_A_REPLICA_ISR]);
		kb_json_object_end(js);
	}
	kb_json_array_end(js);
}

static void show_json(const struct kbd_message *msg, const struct count *count)
{
	struct kb_json js;

	kb_json_init(&js, stdout, true);
	kb_json_object(&js, NULL);
	json_brokers(&js, msg, count);
	json_daemons(&js, msg);
	json_moves(&js, msg);
	if (count->known) {
		kb_json_object(&js, "partitions");
		kb_json_u64(&js, "count", count->partitions);
		kb_json_u64(&js, "leaderless", count->leaderless);
		kb_json_u64(&js, "under_replicated", count->behind);
		kb_json_object_end(&js);
	}
	kb_json_object_end(&js);
	kb_json_finish(&js);
}

int kb_cluster_status(int argc, char **argv)
{
	struct count *count = kb_alloc(sizeof(*count));
	struct kbd_buf buf = { 0 };
	struct kb_answer answer;
	struct member member;
	struct kbd_attr attr;
	size_t pos = 0;
	int ret;

	(void)argc;
	(void)argv;
	memset(count, 0, sizeof(*count));
	kbd_begin(&buf, KBD_STATUS);
	ret = kb_daemon_ask(&buf, &answer, "the cluster can't be shown");
	if (ret != KB_OK) {
		free(count);
		return ret;
	}
	while (kbd_each(answer.msg.body, answer.msg.len, &pos, &attr)) {
		if (attr.type != KBD_A_BROKER || count->brokers == KBD_BROKERS_MAX)
			continue;
		open_member(&attr, &member);
		count->id[count->brokers++] = kbd_u32(&member.peer[KBROKER_A_PEER_ID]);
	}
	count_replicas(count);
	if (kb.json) {
		show_json(&answer.msg, count);
	} else {
		print_brokers(&answer.msg, count);
		printf("\n");
		print_daemons(&answer.msg);
		if (count->known)
			printf("\n%u partitions, %u without a leader, %u under-replicated\n", count->partitions,
			       count->leaderless, count->behind);
		print_moves(&answer.msg);
	}
	kb_answer_free(&answer);
	free(count);
	return kb_out_check();
}
