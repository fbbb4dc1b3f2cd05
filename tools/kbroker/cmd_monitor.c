// SPDX-License-Identifier: GPL-2.0-only
/*
 * "kbroker monitor": the full state, a marker, then a line for each change.
 * Events are subscribed to before the state is read, so that none is missed;
 * when the socket overruns, state and marker are printed anew.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "kbroker.h"
#include "objects.h"

static const struct kb_opt monitor_opts[] = {
	{ "count", 'c', "N", "stop after N changes" },
	{ "no-state", 0, NULL, "print changes only" },
	{ "timeout-ms", 0, "MS", "stop when nothing changed for so long" },
	{ 0 }
};

/* the objects in the order in which the state is printed */
static const struct {
	const char *name;
	uint8_t get;
	uint8_t ntf;
	const struct kb_attr_def *attrs;
} objects[] = {
	{ "broker", KBROKER_CMD_BROKER_GET, KBROKER_CMD_BROKER_NTF, kb_broker_attrs },
	{ "listener", KBROKER_CMD_LISTENER_GET, KBROKER_CMD_LISTENER_NTF, kb_listener_attrs },
	{ "topic", KBROKER_CMD_TOPIC_GET, KBROKER_CMD_TOPIC_NTF, kb_topic_attrs },
	{ "partition", KBROKER_CMD_PARTITION_GET, KBROKER_CMD_PARTITION_NTF, kb_partition_attrs },
	{ "group", KBROKER_CMD_GROUP_GET, KBROKER_CMD_GROUP_NTF, kb_group_attrs },
	{ "cluster", KBROKER_CMD_CLUSTER_GET, KBROKER_CMD_CLUSTER_NTF, kb_cluster_attrs },
	{ "peer", KBROKER_CMD_PEER_GET, KBROKER_CMD_PEER_NTF, kb_peer_attrs },
	{ "request", KBROKER_CMD_REQUEST_GET, KBROKER_CMD_REQUEST_NTF, kb_request_attrs },
	{ "op", KBROKER_CMD_OP_GET, KBROKER_CMD_OP_NTF, kb_op_attrs },
};

static void print(const char *kind, const char *name, const struct kb_attr_def *attrs,
		  const struct kb_nl_msg *msg)
{
	struct kb_json js;

	if (kb.json) {
		kb_json_init(&js, stdout, false);
		kb_json_object(&js, NULL);
		kb_json_string(&js, kind, name);
		kb_attrs_json(&js, attrs, msg);
		kb_json_object_end(&js);
		kb_json_finish(&js);
		return;
	}
	printf("%s %s", kind, name);
	kb_attrs_line(stdout, attrs, msg);
	putchar('\n');
}

static int print_state(const struct kb_nl_msg *msg, void *arg)
{
	size_t i;

	(void)arg;
	for (i = 0; i < ARRAY_SIZE(objects); i++)
		if (objects[i].ntf == msg->cmd || objects[i].get == msg->cmd)
			print("state", objects[i].name, objects[i].attrs, msg);
	return 0;
}

static int print_change(const struct kb_nl_msg *msg, void *arg)
{
	int64_t *left = arg;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(objects) && *left > 0; i++) {
		if (objects[i].ntf != msg->cmd)
			continue;
		print("event", objects[i].name, objects[i].attrs, msg);
		(*left)--;
	}
	return 0;
}

static int full_state(struct kb_nl *nl)
{
	size_t i;
	int ret;

	for (i = 0; i < ARRAY_SIZE(objects) && !kb_opt_has("no-state"); i++) {
		ret = kb_nl_call(nl, kb_nl_request(nl, objects[i].get, NLM_F_DUMP), print_state, NULL);
		/* no broker: there is nothing to show, and its start will be an event */
		if (ret && ret != -ENODEV && ret != -ENOENT && ret != -EAGAIN)
			return kb_nl_refused(nl, ret, NULL, "cannot read the state");
	}
	puts(kb.json ? "{\"marker\":true}" : "-- changes --");
	return kb_out_check();
}

static int follow(struct kb_nl *nl, struct kb_nl *events, int64_t left, int timeout_ms)
{
	int ret = KB_OK, n;

	while (left > 0 && ret == KB_OK) {
		n = kb_wait_input(kb_nl_fd(events), timeout_ms);
		if (n <= 0)
			break;
		n = kb_nl_receive(events, print_change, &left);
		if (n == -ENOBUFS) {
			kb_warn("changes came faster than they were read: here is the state again");
			ret = full_state(nl);
		} else if (n) {
			ret = kb_fail(-n, NULL, "cannot read events: %s", strerror(-n));
		} else {
			ret = kb_out_check();
		}
	}
	return ret;
}

static int cmd_monitor(int argc, char **argv)
{
	int64_t left = INT64_MAX, timeout_ms = -1;
	struct kb_nl nl, events;
	int ret;

	(void)argc;
	(void)argv;
	ret = kb_opt_s64("count", 0, INT64_MAX, &left);
	if (ret == KB_OK)
		ret = kb_opt_s64("timeout-ms", 0, INT32_MAX, &timeout_ms);
	if (ret != KB_OK)
		return ret;
	if (kb_nl_open(&nl))
		return KB_REFUSED;
	ret = kb_nl_open(&events);
	if (ret == KB_OK) {
		ret = kb_nl_subscribe(&events, KBROKER_MCGRP_EVENTS);
		kb_signals_catch();
		if (ret == KB_OK)
			ret = full_state(&nl);
		if (ret == KB_OK)
			ret = follow(&nl, &events, left, (int)timeout_ms);
		kb_nl_close(&events);
	}
	kb_nl_close(&nl);
	return ret;
}

const struct kb_cmd kb_cmds_monitor[] = {
	{ NULL, NULL, "print the whole state, a marker, then every change", monitor_opts, cmd_monitor },
	{ 0 }
};
