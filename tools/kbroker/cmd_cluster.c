// SPDX-License-Identifier: GPL-2.0-only
/*
 * "kbroker cluster": the table of its commands, and how the broker stands to its
 * cluster, as the kernel knows it. "set" does by hand what the cluster's daemon does: for tests and
 * disasters.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "daemon.h"
#include "objects.h"

static const struct kb_opt set_opts[] = {
	{ "cluster-id", 0, "UUID", "the cluster to join, for good" },
	{ "secret-file", 0, "FILE", "what its brokers prove to each other" },
	{ "broker-epoch", 0, "N", "epoch of the broker's registration; never falls" },
	{ "fenced", 0, "yes|no", "the controller has taken the broker's session" },
	{ "controller", 0, "ID", "node.id of the controller, -1: not known" },
	{ "metadata-offset", 0, "N", "how far the broker has been told of the metadata" },
	{ "rack", 0, "NAME", "where the broker stands" },
	KB_OPT_NO_WAIT,
	{ 0 }
};

/* ---- show ---- */

static void show_text(const struct kb_nl_msg *msg)
{
	const char *rack = kb_attr_text(msg->attrs[KBROKER_A_CLUSTER_RACK]);
	char uuid[24];

	kb_field("broker", "%s", kb_attr_text(msg->attrs[KBROKER_A_CLUSTER_BROKER]));
	kb_field("id", "%" PRIu32, kb_attr_u32(msg->attrs[KBROKER_A_CLUSTER_ID]));
	kb_field("state", "%s", kb_attr_word(kb_cluster_attrs, msg, KBROKER_A_CLUSTER_STATE));
	kb_field("directory id", "%s", kb_uuid_text(msg->attrs[KBROKER_A_CLUSTER_DIRECTORY_ID], uuid));
	kb_field("incarnation", "%s", kb_uuid_text(msg->attrs[KBROKER_A_CLUSTER_INCARNATION], uuid));
	kb_field("stopped cleanly before", "%s",
		 kb_attr_u8(msg->attrs[KBROKER_A_CLUSTER_CLEAN]) ? "yes" : "no");
	if (!msg->attrs[KBROKER_A_CLUSTER_CLUSTER_ID])
		return;
	kb_field("cluster id", "%s", kb_uuid_text(msg->attrs[KBROKER_A_CLUSTER_CLUSTER_ID], uuid));
	kb_field("broker epoch", "%" PRId64, kb_attr_s64(msg->attrs[KBROKER_A_CLUSTER_BROKER_EPOCH]));
	kb_field("previous epoch", "%" PRId64,
		 kb_attr_s64(msg->attrs[KBROKER_A_CLUSTER_PREVIOUS_EPOCH]));
	kb_field("controller", "%" PRId32, kb_attr_s32(msg->attrs[KBROKER_A_CLUSTER_CONTROLLER]));
	kb_field("metadata offset", "%" PRIu64,
		 kb_attr_u64(msg->attrs[KBROKER_A_CLUSTER_METADATA_OFFSET]));
	if (rack[0])
		kb_field("rack", "%s", rack);
	kb_field("open requests", "%" PRIu32, kb_attr_u32(msg->attrs[KBROKER_A_CLUSTER_REQUESTS]));
	kb_field("forwarded batches", "%" PRIu64 ", sent again %" PRIu64 ", failed %" PRIu64,
		 kb_attr_u64(msg->attrs[KBROKER_A_CLUSTER_FORWARDED]),
		 kb_attr_u64(msg->attrs[KBROKER_A_CLUSTER_FORWARD_RETRIES]),
		 kb_attr_u64(msg->attrs[KBROKER_A_CLUSTER_FORWARD_FAILED]));
}

static int take_cluster(const struct kb_nl_msg *msg, void *arg)
{
	struct kb_json js;

	(void)arg;
	if (!kb.json) {
		show_text(msg);
		return 0;
	}
	kb_json_init(&js, stdout, true);
	kb_json_object(&js, NULL);
	kb_attrs_json(&js, kb_cluster_attrs, msg);
	kb_json_object_end(&js);
	kb_json_finish(&js);
	return 0;
}

static int cmd_show(int argc, char **argv)
{
	struct nl_msg *msg;
	struct kb_nl nl;
	int ret;

	(void)argc;
	(void)argv;
	if (kb_nl_open(&nl))
		return KB_REFUSED;
	msg = kb_nl_request(&nl, KBROKER_CMD_CLUSTER_GET, 0);
	if (kb.broker)
		kb_put_text(msg, KBROKER_A_CLUSTER_BROKER, kb.broker);
	ret = kb_nl_call(&nl, msg, take_cluster, NULL);
	ret = ret ? kb_nl_refused(&nl, ret, NULL, "nothing is known of a cluster") : kb_out_check();
	kb_nl_close(&nl);
	return ret;
}

/* ---- set ---- */

struct change {
	unsigned char cluster[16];
	unsigned char secret[KBROKER_SECRET_MAX + 1];
	ssize_t secret_len;
	int64_t epoch;
	int64_t controller;
	int64_t offset;
};

static int read_secret(const char *path, struct change *c)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	c->secret_len = fd < 0 ? -1 : read(fd, c->secret, sizeof(c->secret));
	if (c->secret_len < 0)
		kb_fail(errno, NULL, "--secret-file: cannot read %s: %s", path, strerror(errno));
	if (fd >= 0)
		close(fd);
	if (c->secret_len < 0)
		return KB_REFUSED;
	if (c->secret_len < KBROKER_SECRET_MIN || c->secret_len > KBROKER_SECRET_MAX)
		return kb_fail(EINVAL, NULL, "--secret-file: %s must hold %d to %d bytes", path,
			       KBROKER_SECRET_MIN, KBROKER_SECRET_MAX);
	return KB_OK;
}

static int read_change(struct change *c)
{
	const char *cluster = kb_opt_get("cluster-id"), *secret = kb_opt_get("secret-file");
	const char *rack = kb_opt_get("rack");
	int ret = KB_OK;

	if (cluster && kb_uuid_parse(cluster, c->cluster))
		return kb_usage("--cluster-id: '%s' is no UUID of 22 characters", cluster);
	if (rack && (!rack[0] || strlen(rack) > KBROKER_RACK_MAX))
		return kb_usage("--rack: a name has 1 to %d bytes", KBROKER_RACK_MAX);
	ret = kb_opt_s64("broker-epoch", 0, INT64_MAX, &c->epoch);
	if (ret == KB_OK)
		ret = kb_opt_s64("controller", -1, INT32_MAX, &c->controller);
	if (ret == KB_OK)
		ret = kb_opt_s64("metadata-offset", 0, INT64_MAX, &c->offset);
	if (ret == KB_OK && secret)
		ret = read_secret(secret, c);
	return ret;
}

static void put_change(struct nl_msg *msg, const struct change *c)
{
	const char *fenced = kb_opt_get("fenced");

	if (kb.broker)
		kb_put_text(msg, KBROKER_A_CLUSTER_BROKER, kb.broker);
	if (kb_opt_has("cluster-id"))
		nla_put(msg, KBROKER_A_CLUSTER_CLUSTER_ID, sizeof(c->cluster), c->cluster);
	if (c->secret_len)
		nla_put(msg, KBROKER_A_CLUSTER_SECRET, (int)c->secret_len, c->secret);
	if (kb_opt_has("broker-epoch"))
		kb_put_u64(msg, KBROKER_A_CLUSTER_BROKER_EPOCH, (uint64_t)c->epoch);
	if (fenced)
		nla_put_u8(msg, KBROKER_A_CLUSTER_FENCED, !strcmp(fenced, "yes"));
	if (kb_opt_has("controller"))
		kb_put_u32(msg, KBROKER_A_CLUSTER_CONTROLLER, (uint32_t)c->controller);
	if (kb_opt_has("metadata-offset"))
		kb_put_u64(msg, KBROKER_A_CLUSTER_METADATA_OFFSET, (uint64_t)c->offset);
	if (kb_opt_has("rack"))
		kb_put_text(msg, KBROKER_A_CLUSTER_RACK, kb_opt_get("rack"));
}

static int take_op(const struct kb_nl_msg *msg, void *arg)
{
	uint32_t *op = arg;

	if (msg->attrs[KBROKER_A_CLUSTER_OP_ID])
		*op = kb_attr_u32(msg->attrs[KBROKER_A_CLUSTER_OP_ID]);
	return 0;
}

static int cmd_set(int argc, char **argv)
{
	struct change change = { 0 };
	uint32_t op = 0;
	struct nl_msg *msg;
	struct kb_nl nl;
	int ret;

	(void)argc;
	(void)argv;
	ret = read_change(&change);
	if (ret != KB_OK)
		return ret;
	if (kb_nl_open(&nl))
		return KB_REFUSED;
	msg = kb_nl_request(&nl, KBROKER_CMD_CLUSTER_SET, 0);
	put_change(msg, &change);
	explicit_bzero(&change, sizeof(change));
	ret = kb_nl_call(&nl, msg, take_op, &op);
	if (ret)
		ret = kb_nl_refused(&nl, ret, NULL, "the broker was not told");
	else if (op)
		ret = kb_op_finish(&nl, op, "the broker did not join the cluster");
	kb_nl_close(&nl);
	return ret;
}

const struct kb_cmd kb_cmds_cluster[] = {
	{ "init", NULL, "begin a cluster with this node", kb_cluster_init_opts, kb_cluster_init },
	{ "join", "HOST", "come to the cluster of another node", kb_cluster_join_opts, kb_cluster_join },
	{ "status", NULL, "show brokers and daemons of the cluster", kb_cluster_daemon_opts, kb_cluster_status },
	{ "token", NULL, "print the command that other nodes join with", kb_cluster_daemon_opts, kb_cluster_token },
	{ "start", NULL, "start this node's daemon, as after a boot", kb_cluster_daemon_opts, kb_cluster_start },
	{ "stop", NULL, "stop this node's daemon", kb_cluster_daemon_opts, kb_cluster_stop },
	{ "leave", NULL, "take a node out of the cluster", kb_cluster_leave_opts, kb_cluster_leave },
	{ "reassign", "TOPIC/PARTITION...", "give partitions to other brokers",
	  kb_cluster_reassign_opts, kb_cluster_reassign },
	{ "elect", "[TOPIC/PARTITION...]", "give leaderships back to the preferred replicas", kb_cluster_elect_opts,
	  kb_cluster_elect },
	{ "show", NULL, "show how the broker stands to its cluster", NULL, cmd_show },
	{ "set", NULL, "tell the broker what the cluster's daemon tells it otherwise", set_opts, cmd_set },
	{ 0 }
};
