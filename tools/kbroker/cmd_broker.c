// SPDX-License-Identifier: GPL-2.0-only
/* "kbroker broker": start, stop, show and change the broker of this network namespace. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon.h"
#include "device.h"
#include "kbroker.h"
#include "listener.h"
#include "mounts.h"
#include "objects.h"
#include "pins.h"

static const struct kb_opt start_opts[] = {
	{ "dir", 'd', "DIR", "directory of its logs (needed)" },
	{ "name", 'n', "NAME", "its name, unique in this kernel (default: kbroker)" },
	{ "id", 0, "N", "Kafka's node.id (default: what the directory says, or 1)" },
	{ "mount", 0, "DIR", "where to mount its devices (default: /dev/NAME)" },
	{ "no-mount", 0, NULL, "do not mount its devices" },
	{ "listener", 0, "HOST:PORT", "listen there for Kafka's clients; may be given often" },
	KB_OPT_ADVERTISED,
	KB_OPT_LISTENER_USER,
	KB_OPT_OWNER,
	KB_OPT_GROUP,
	KB_OPT_MODE,
	KB_OPT_CONFIG,
	KB_OPT_NO_WAIT,
	{ 0 }
};

static const struct kb_opt list_opts[] = {
	{ "all", 'a', NULL, "the brokers of all network namespaces" },
	{ 0 }
};

static const struct kb_opt stop_opts[] = {
	{ "all", 'a', NULL, "stop the brokers of all network namespaces" },
	{ "now", 0, NULL, "do not wait until a cluster has moved its leaderships away" },
	{ "crash", 0, NULL, "stop as if it had died: nothing more is synced" },
	KB_OPT_NO_WAIT,
	{ 0 }
};

static const struct kb_opt describe_opts[] = {
	{ "configs", 0, NULL, "all configs, not only those set" },
	{ 0 }
};

static const struct kb_opt alter_opts[] = {
	KB_OPT_OWNER,
	KB_OPT_GROUP,
	KB_OPT_MODE,
	KB_OPT_CONFIG,
	KB_OPT_DELETE_CONFIG,
	KB_OPT_NO_WAIT,
	{ 0 }
};

/* the directory as the kernel will open it; NULL after an error was told */
static char *start_dir(void)
{
	const char *dir = kb_opt_get("dir");
	char real[PATH_MAX];
	struct stat st;
	char *hint;
	int err;

	if (!dir) {
		kb_usage("--dir is missing: where are its logs, or where shall they be?");
		return NULL;
	}
	err = realpath(dir, real) && !stat(real, &st) ? 0 : errno;
	if (!err && S_ISDIR(st.st_mode))
		return kb_strdup(real);
	if (err == ENOENT) {
		hint = kb_asprintf("'mkdir -p %s' makes it", dir);
		kb_fail(err, hint, "the broker was not started: %s is not there", dir);
		free(hint);
	} else {
		err = err ? err : ENOTDIR;
		kb_fail(err, NULL, "the broker was not started: %s: %s", dir, strerror(err));
	}
	return NULL;
}

static const char *start_name(void)
{
	return kb_opt_get("name") ? kb_opt_get("name") : kb_broker_name();
}

static int check_name(const char *name)
{
	static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";

	if (!name[0] || strlen(name) > KBROKER_BROKER_NAME_MAX || name[strspn(name, allowed)] ||
	    name[0] == '.')
		return kb_usage("'%s' can't be a broker's name: 1 to %d letters, digits, '.', '_' and '-'",
				name, KBROKER_BROKER_NAME_MAX);
	return KB_OK;
}

static const char *start_hint(int err)
{
	switch (-err) {
	case EEXIST:
		return "'kbroker broker list --all' shows the brokers there are, one in a network namespace";
	case EBUSY:
		return "'kbroker broker list --all' shows the brokers there are";
	case EROFS:
		return "its file system is mounted read-only";
	default:
		return NULL;
	}
}

static int find_listeners(struct kb_listeners *listeners)
{
	const char *text;
	size_t i;
	int ret = kb_listeners_check();

	listeners->count = 0;
	for (i = 0; ret == KB_OK && (text = kb_opt_nth("listener", i)); i++)
		ret = kb_listeners_add(listeners, text, i);
	if (ret == KB_OK && !listeners->count &&
	    (kb_opt_has("advertised-listener") || kb_opt_has("listener-user")))
		ret = kb_usage("--advertised-listener and --listener-user go with --listener");
	return ret;
}

/*
 * A node of a cluster whose directory knows nothing of it has lost its disk, or
 * not mounted it: its broker would be one of its own, at the same address.
 */
static int check_cluster(const char *name, const char *dir)
{
	char *daemon = kb_daemon_dir_of(name), broker[KBROKER_BROKER_NAME_MAX + 1], cluster[64];
	int ret = KB_OK;

	kb_read_key(daemon, "daemon.conf", "broker", broker, sizeof(broker));
	kb_read_key(dir, "meta.properties", "cluster.id", cluster, sizeof(cluster));
	if (!strcmp(broker, name) && !cluster[0])
		ret = kb_fail(ENOTEMPTY,
			      "if its disk was lost, remove the daemon's directory and 'kbroker cluster join' again",
			      "broker %s was not started: this node is in a cluster, says %s, and %s is not", name,
			      daemon, dir);
	free(daemon);
	return ret;
}

static int request_start(struct kb_nl *nl, const char *dir, const char *name, int64_t id,
			 const struct kb_listeners *listeners, uint32_t *op)
{
	struct nl_msg *msg = kb_nl_request(nl, KBROKER_CMD_BROKER_NEW, 0);
	struct nlattr *nest;
	size_t i;
	int ret;

	kb_put_text(msg, KBROKER_A_BROKER_NAME, name);
	kb_put_text(msg, KBROKER_A_BROKER_DIR, dir);
	if (id >= 0)
		kb_put_u32(msg, KBROKER_A_BROKER_ID, (uint32_t)id);
	kb_put_access(msg, KBROKER_A_BROKER_UID, KBROKER_A_BROKER_GID, KBROKER_A_BROKER_MODE);
	kb_put_configs(msg, KBROKER_A_BROKER_CONFIG);
	for (i = 0; i < listeners->count; i++) {
		nest = nla_nest_start(msg, KBROKER_A_BROKER_LISTENER);
		if (!nest)
			abort();
		kb_listener_put(msg, listeners, i);
		nla_nest_end(msg, nest);
	}
	ret = kb_nl_call(nl, msg, kb_op_take_id, op);
	if (ret)
		return kb_nl_refused(nl, ret, start_hint(ret), "broker %s was not started", name);
	return KB_OK;
}

static int mount_devices(const char *name)
{
	const char *at = kb_opt_get("mount");
	char *path;
	int ret;

	if (kb_opt_has("no-mount") || kb_opt_has("no-wait"))
		return KB_OK;
	path = at ? kb_strdup(at) : kb_asprintf("/dev/%s", name);
	ret = kb_mount(name, path);
	if (ret == KB_OK)
		kb_note("broker %s is running; its devices are in %s", name, path);
	free(path);
	return ret;
}

static int cmd_start(int argc, char **argv)
{
	const char *name = start_name();
	struct kb_listeners listeners;
	int64_t id = -1;
	uint32_t op = 0;
	struct kb_nl nl;
	char *dir, *what;
	int ret;

	(void)argc;
	(void)argv;
	ret = check_name(name);
	if (ret == KB_OK)
		ret = kb_opt_s64("id", 0, KBROKER_ID_MAX, &id);
	if (ret == KB_OK)
		ret = kb_check_access();
	if (ret == KB_OK)
		ret = kb_check_configs();
	if (ret == KB_OK)
		ret = find_listeners(&listeners);
	if (ret != KB_OK)
		return ret;
	dir = start_dir();
	if (!dir)
		return kb_opt_has("dir") ? KB_REFUSED : KB_USAGE;
	ret = check_cluster(name, dir);
	if (ret == KB_OK)
		ret = kb_modprobe();
	if (ret == KB_OK)
		ret = kb_nl_open(&nl);
	if (ret != KB_OK) {
		free(dir);
		return ret;
	}
	ret = request_start(&nl, dir, name, id, &listeners, &op);
	if (ret == KB_OK) {
		what = kb_asprintf("broker %s was not started", name);
		ret = kb_op_finish(&nl, op, what);
		free(what);
	}
	if (ret == KB_OK)
		ret = mount_devices(name);
	if (ret == KB_OK && !kb_opt_has("no-wait"))
		kb_listeners_warn(&nl, &listeners);
	kb_nl_close(&nl);
	free(dir);
	return ret;
}

static int take_name(const struct kb_nl_msg *msg, void *arg)
{
	char *name = arg;

	snprintf(name, KBROKER_BROKER_NAME_MAX + 1, "%s", kb_attr_text(msg->attrs[KBROKER_A_BROKER_NAME]));
	return 0;
}

/* name of the broker of this namespace; "" if there is none */
static int running_name(struct kb_nl *nl, char name[KBROKER_BROKER_NAME_MAX + 1])
{
	name[0] = '\0';
	return kb_nl_call(nl, kb_nl_request(nl, KBROKER_CMD_BROKER_GET, NLM_F_DUMP), take_name, name);
}

/* stop the broker of the namespace that this process is in */
static int stop_one(void)
{
	char name[KBROKER_BROKER_NAME_MAX + 1];
	uint32_t op = 0;
	struct nl_msg *msg;
	struct kb_nl nl;
	int ret;

	if (kb_nl_open(&nl))
		return KB_REFUSED;
	running_name(&nl, name);
	if (kb.broker)
		snprintf(name, sizeof(name), "%s", kb.broker);
	msg = kb_nl_request(&nl, KBROKER_CMD_BROKER_DEL, 0);
	if (kb.broker)
		kb_put_text(msg, KBROKER_A_BROKER_NAME, kb.broker);
	if (kb_opt_has("now"))
		nla_put_flag(msg, KBROKER_A_BROKER_NOW);
	if (kb_opt_has("crash"))
		nla_put_flag(msg, KBROKER_A_BROKER_CRASH);
	ret = kb_nl_call(&nl, msg, kb_op_take_id, &op);
	if (ret)
		ret = kb_nl_refused(&nl, ret, ret == -EALREADY && !kb_opt_has("now") ? "--now stops it at once" :
				    ret == -ENOENT || ret == -ENODEV ?
				    "'kbroker broker list --all' shows the brokers of all network namespaces" : NULL,
				    "the broker was not stopped");
	else
		ret = kb_op_finish(&nl, op, "the broker was not stopped cleanly");
	if (ret == KB_OK && !kb_opt_has("no-wait") && name[0]) {
		ret = kb_unmount_all(name);
		kb_note("broker %s is stopped", name);
	}
	kb_nl_close(&nl);
	return ret;
}

static int stop_all(void)
{
	struct kb_pins pins;
	int ret = KB_OK, fd;
	struct kb_nl nl;
	size_t i;

	/* nothing is loaded: nothing runs */
	if (kb_nl_try_open(&nl))
		return KB_OK;
	ret = kb_pins_get(&nl, &pins);
	if (ret)
		ret = kb_nl_refused(&nl, ret, NULL, "the brokers can't be found");
	kb_nl_close(&nl);
	for (i = 0; i < pins.count; i++) {
		const struct kb_pin *p = &pins.list[i];

		/* one whose namespace has ended stops by itself */
		if (!p->netns_path)
			continue;
		fd = open(p->netns_path, O_RDONLY | O_CLOEXEC);
		if (fd < 0 || setns(fd, CLONE_NEWNET))
			ret = kb_fail(errno, NULL, "broker %s: cannot enter its network namespace: %s", p->name,
				      strerror(errno));
		else if (stop_one())
			ret = KB_REFUSED;
		if (fd >= 0)
			close(fd);
	}
	kb_pins_release(&pins);
	return ret;
}

static int cmd_stop(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	if (kb_opt_has("all") && kb.broker)
		return kb_usage("--all and --broker exclude each other");
	return kb_opt_has("all") ? stop_all() : stop_one();
}

static void broker_row(struct kb_table *tab, const struct kb_nl_msg *msg)
{
	const char *dir = kb_attr_text(msg->attrs[KBROKER_A_BROKER_DIR]);
	char *mount = kb_mount_of(dir);
	char device[64];

	kb_table_cell(tab, "%s", kb_attr_text(msg->attrs[KBROKER_A_BROKER_NAME]));
	kb_table_cell(tab, "%s", kb_attr_word(kb_broker_attrs, msg, KBROKER_A_BROKER_STATE));
	kb_table_cell(tab, "%" PRIu32, kb_attr_u32(msg->attrs[KBROKER_A_BROKER_ID]));
	kb_table_cell(tab, "%s", dir);
	kb_table_cell(tab, "%s", mount ? mount : "-");
	kb_table_cell(tab, "%s", kb_device_name(kb_attr_text(msg->attrs[KBROKER_A_BROKER_DEVICE]), device));
	kb_table_cell(tab, "%" PRIu32, kb_attr_u32(msg->attrs[KBROKER_A_BROKER_TOPICS]));
	kb_table_cell(tab, "%" PRIu32, kb_attr_u32(msg->attrs[KBROKER_A_BROKER_PARTITIONS]));
	kb_table_cell(tab, "%" PRIu32, kb_attr_u32(msg->attrs[KBROKER_A_BROKER_HANDLES]));
	free(mount);
}

static void broker_json(struct kb_json *js, const struct kb_nl_msg *msg)
{
	char *mount = kb_mount_of(kb_attr_text(msg->attrs[KBROKER_A_BROKER_DIR]));

	kb_attrs_json(js, kb_broker_attrs, msg);
	kb_json_string(js, "pinned_mount", mount);
	free(mount);
}

static int print_pins(const struct kb_pins *pins)
{
	static const char *const heads[] = { "BROKER", "STATE", "NETNS", "DIRECTORY", "PINS-DEVICE", ">OPEN" };
	struct kb_table *tab = kb_table_new(heads, ARRAY_SIZE(heads));
	size_t i;

	for (i = 0; i < pins->count; i++) {
		const struct kb_pin *p = &pins->list[i];

		kb_table_cell(tab, "%s", p->name);
		kb_table_cell(tab, "%s", p->state);
		kb_table_cell(tab, "%s", p->netns_name ? p->netns_name : p->netns ? "?" : "(ended)");
		kb_table_cell(tab, "%s", p->dir);
		kb_table_cell(tab, "%s", p->device[0] ? p->device : "-");
		kb_table_cell(tab, "%" PRIu32, p->handles);
	}
	return kb_table_print(tab);
}

static int print_pins_json(const struct kb_pins *pins)
{
	struct kb_json js;
	size_t i;

	kb_json_init(&js, stdout, true);
	kb_json_array(&js, NULL);
	for (i = 0; i < pins->count; i++) {
		const struct kb_pin *p = &pins->list[i];

		kb_json_object(&js, NULL);
		kb_json_string(&js, "broker", p->name);
		kb_json_string(&js, "state", p->state);
		kb_json_u64(&js, "netns_inode", p->netns);
		kb_json_string(&js, "netns", p->netns_name);
		kb_json_string(&js, "dir", p->dir);
		kb_json_string(&js, "device", p->device);
		kb_json_u64(&js, "handles", p->handles);
		kb_json_object_end(&js);
	}
	kb_json_array_end(&js);
	kb_json_finish(&js);
	return kb_out_check();
}

static int list_all(void)
{
	struct kb_pins pins;
	struct kb_nl nl;
	int ret;

	if (kb_nl_open(&nl))
		return KB_REFUSED;
	ret = kb_pins_get(&nl, &pins);
	if (ret)
		ret = kb_nl_refused(&nl, ret, NULL, "no brokers");
	else
		ret = kb.json ? print_pins_json(&pins) : print_pins(&pins);
	kb_pins_release(&pins);
	kb_nl_close(&nl);
	return ret;
}

static int cmd_list(int argc, char **argv)
{
	static const char *const heads[] = { "BROKER", "STATE", ">ID", "DIRECTORY", "PINS-MOUNT", "DEVICE",
		">TOPICS", ">PARTITIONS", ">OPEN" };
	static const struct kb_list brokers = { heads, ARRAY_SIZE(heads), broker_row, broker_json };
	struct kb_nl nl;
	int ret;

	(void)argc;
	(void)argv;
	if (kb_opt_has("all"))
		return list_all();
	if (kb_nl_open(&nl))
		return KB_REFUSED;
	ret = kb_list_print(&nl, kb_nl_request(&nl, KBROKER_CMD_BROKER_GET, NLM_F_DUMP), &brokers);
	ret = ret ? kb_nl_refused(&nl, ret, NULL, "no brokers") : kb_out_check();
	kb_nl_close(&nl);
	return ret;
}

static int print_configs_set(const struct kb_nl_msg *msg, int type)
{
	struct nlattr *conf[KBROKER_A_CONFIG_MAX + 1], *attr;
	int rem, n = 0;

	nla_for_each_attr(attr, msg->head, msg->len, rem) {
		if (nla_type(attr) != type)
			continue;
		kb_attrs_parse(conf, KBROKER_A_CONFIG_MAX, attr);
		kb_field("config", "%s=%s", kb_attr_text(conf[KBROKER_A_CONFIG_NAME]),
			 kb_attr_text(conf[KBROKER_A_CONFIG_VALUE]));
		n++;
	}
	return n;
}

static void print_syncs(const struct kb_nl_msg *msg)
{
	uint64_t rounds = kb_attr_u64(msg->attrs[KBROKER_A_BROKER_SYNC_ROUNDS]);
	uint64_t errors = kb_attr_u64(msg->attrs[KBROKER_A_BROKER_SYNC_ERRORS]);
	char failed[40] = "";

	if (errors)
		snprintf(failed, sizeof(failed), ", %" PRIu64 " failed", errors);
	kb_field("syncs", "%" PRIu64 " for %" PRIu64 " writers, %" PRIu64 " us each%s", rounds,
		 kb_attr_u64(msg->attrs[KBROKER_A_BROKER_SYNC_WRITERS]),
		 rounds ? kb_attr_u64(msg->attrs[KBROKER_A_BROKER_SYNC_USECS]) / rounds : 0, failed);
}

static int broker_text(const struct kb_nl_msg *msg, void *arg)
{
	const char *dir = kb_attr_text(msg->attrs[KBROKER_A_BROKER_DIR]);
	char user[32], group[32], buf[40], size[16], device[64];
	char *mount = kb_mount_of(dir), *root = kb_device_root();

	(void)arg;
	kb_section("broker %s", kb_attr_text(msg->attrs[KBROKER_A_BROKER_NAME]));
	kb_field("state", "%s", kb_attr_word(kb_broker_attrs, msg, KBROKER_A_BROKER_STATE));
	kb_field("id", "%" PRIu32, kb_attr_u32(msg->attrs[KBROKER_A_BROKER_ID]));
	kb_field("directory", "%s", dir);
	kb_field("directory-id", "%s", kb_uuid_text(msg->attrs[KBROKER_A_BROKER_DIRECTORY_ID], buf));
	if (msg->attrs[KBROKER_A_BROKER_CLUSTER_ID])
		kb_field("cluster-id", "%s", kb_attr_text(msg->attrs[KBROKER_A_BROKER_CLUSTER_ID]));
	kb_field("file system", "%s on %s, mounted on %s",
		 kb_attr_text(msg->attrs[KBROKER_A_BROKER_FS_TYPE]),
		 kb_device_name(kb_attr_text(msg->attrs[KBROKER_A_BROKER_DEVICE]), device),
		 mount ? mount : "?");
	kb_field("devices", "%s%s", root,
		 kb_mounted(kb_attr_text(msg->attrs[KBROKER_A_BROKER_NAME]), NULL) ? "" : " (not mounted here)");
	kb_field("access", "%s:%s %04o", kb_user_name(kb_attr_u32(msg->attrs[KBROKER_A_BROKER_UID]), user),
		 kb_group_name(kb_attr_u32(msg->attrs[KBROKER_A_BROKER_GID]), group),
		 kb_attr_u16(msg->attrs[KBROKER_A_BROKER_MODE]));
	kb_field("topics", "%" PRIu32, kb_attr_u32(msg->attrs[KBROKER_A_BROKER_TOPICS]));
	kb_field("partitions", "%" PRIu32, kb_attr_u32(msg->attrs[KBROKER_A_BROKER_PARTITIONS]));
	kb_field("open devices", "%" PRIu32, kb_attr_u32(msg->attrs[KBROKER_A_BROKER_HANDLES]));
	kb_field("unsynced", "%s", kb_human_bytes(kb_attr_u64(msg->attrs[KBROKER_A_BROKER_UNSYNCED_BYTES]), size));
	print_syncs(msg);
	kb_field("started", "%s", kb_human_time(kb_attr_s64(msg->attrs[KBROKER_A_BROKER_STARTED_MS]), buf));
	if (!kb_opt_has("configs") && !print_configs_set(msg, KBROKER_A_BROKER_CONFIG))
		kb_field("configs set", "none");
	free(mount);
	free(root);
	return 0;
}

/* opens the document: where the kernel refuses, there is none */
static int describe_json(const struct kb_nl_msg *msg, void *arg)
{
	kb_json_object(arg, NULL);
	broker_json(arg, msg);
	return 0;
}

static int cmd_describe(int argc, char **argv)
{
	struct nl_msg *msg;
	struct kb_json js;
	struct kb_nl nl;
	int ret;

	(void)argc;
	(void)argv;
	if (kb_nl_open(&nl))
		return KB_REFUSED;
	msg = kb_nl_request(&nl, KBROKER_CMD_BROKER_GET, 0);
	if (kb.broker)
		kb_put_text(msg, KBROKER_A_BROKER_NAME, kb.broker);
	kb_json_init(&js, stdout, true);
	ret = kb_nl_call(&nl, msg, kb.json ? describe_json : broker_text, &js);
	if (ret) {
		ret = kb_nl_refused(&nl, ret, NULL, "no broker");
		goto out;
	}
	if (kb_opt_has("configs"))
		ret = kb.json ? kb_configs_json(&nl, &js, NULL) : kb_configs_print(&nl, NULL);
	if (kb.json) {
		kb_json_object_end(&js);
		kb_json_finish(&js);
	}
out:
	kb_nl_close(&nl);
	return ret == KB_OK ? kb_out_check() : ret;
}

static int cmd_alter(int argc, char **argv)
{
	uint32_t op = 0;
	struct nl_msg *msg;
	struct kb_nl nl;
	int ret;

	(void)argc;
	(void)argv;
	ret = kb_check_access();
	if (ret == KB_OK)
		ret = kb_check_configs();
	if (ret != KB_OK)
		return ret;
	if (!kb_opt_has("owner") && !kb_opt_has("group") && !kb_opt_has("mode") && !kb_opt_has("config") &&
	    !kb_opt_has("delete-config"))
		return kb_usage("nothing to change: it takes --owner, --group, --mode, --config, --delete-config");
	if (kb_nl_open(&nl))
		return KB_REFUSED;
	msg = kb_nl_request(&nl, KBROKER_CMD_BROKER_SET, 0);
	if (kb.broker)
		kb_put_text(msg, KBROKER_A_BROKER_NAME, kb.broker);
	kb_put_access(msg, KBROKER_A_BROKER_UID, KBROKER_A_BROKER_GID, KBROKER_A_BROKER_MODE);
	kb_put_configs(msg, KBROKER_A_BROKER_CONFIG);
	ret = kb_nl_call(&nl, msg, kb_op_take_id, &op);
	if (ret)
		ret = kb_nl_refused(&nl, ret, NULL, "the broker was not changed");
	else
		ret = kb_op_finish(&nl, op, "the broker was not changed");
	kb_nl_close(&nl);
	return ret;
}

const struct kb_cmd kb_cmds_broker[] = {
	{ "start", NULL, "start a broker, loading the module and mounting its devices", start_opts, cmd_start },
	{ "stop", NULL, "stop the broker cleanly", stop_opts, cmd_stop },
	{ "list", NULL, "show the broker of this network namespace and the mount it pins", list_opts, cmd_list },
	{ "describe", NULL, "show everything about the broker", describe_opts, cmd_describe },
	{ "alter", NULL, "change owner, group, mode and configs", alter_opts, cmd_alter },
	{ 0 }
};
