// SPDX-License-Identifier: GPL-2.0-only
/*
 * "kbroker module": is it loaded, and who keeps it from being unloaded:
 * mounts, open devices, running brokers. Found in /proc and /sys, so that it
 * works whatever state the module is in.
 */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "json.h"
#include "kbroker.h"
#include "mounts.h"
#include "pins.h"

/**
 * struct user - one that pins the module
 * @kind: "broker", "mount" or "device"
 * @pid: process, 0 where it is nobody's
 * @command: its name
 * @what: path
 * @broker: broker's name, may be empty
 */
struct user {
	const char *kind;
	int pid;
	char command[32];
	char *what;
	char *broker;
};

struct users {
	struct user *list;
	size_t count;
	unsigned int major;
	dev_t *seen;
	size_t seen_count;
	int pid;
};

static void add_user(struct users *us, const char *kind, int pid, const char *what, const char *broker)
{
	struct user *u;
	char path[64];
	FILE *file;

	us->list = kb_realloc(us->list, (us->count + 1) * sizeof(*us->list));
	u = &us->list[us->count++];
	memset(u, 0, sizeof(*u));
	u->kind = kind;
	u->pid = pid;
	u->what = kb_strdup(what);
	u->broker = kb_strdup(broker);
	snprintf(path, sizeof(path), "/proc/%d/comm", pid);
	file = pid ? fopen(path, "re") : NULL;
	if (file) {
		if (fgets(u->command, sizeof(u->command), file))
			u->command[strcspn(u->command, "\n")] = '\0';
		fclose(file);
	}
}

/* the first line of a file below /sys/module/kbroker; "" if it can't be read */
static const char *module_value(const char *name, char *buf, size_t size)
{
	char path[128];
	FILE *file;

	buf[0] = '\0';
	snprintf(path, sizeof(path), "/sys/module/kbroker/%s", name);
	file = fopen(path, "re");
	if (!file)
		return buf;
	if (!fgets(buf, (int)size, file))
		buf[0] = '\0';
	buf[strcspn(buf, "\n")] = '\0';
	fclose(file);
	return buf;
}

/* the module's character device number; 0 if it has none */
static unsigned int device_major(void)
{
	unsigned int major, found = 0;
	char line[128], name[64];
	FILE *file = fopen("/proc/devices", "re");

	if (!file)
		return 0;
	while (fgets(line, sizeof(line), file)) {
		if (!strncmp(line, "Block", 5))
			break;
		if (sscanf(line, "%u %63s", &major, name) == 2 && !strcmp(name, "kbroker"))
			found = major;
	}
	fclose(file);
	return found;
}

static int take_mount(const char *source, const char *target, dev_t dev, void *arg)
{
	struct users *us = arg;
	size_t i;

	/* the same file system is seen by every process of a mount namespace */
	for (i = 0; i < us->seen_count; i++)
		if (us->seen[i] == dev)
			return 0;
	us->seen = kb_realloc(us->seen, (us->seen_count + 1) * sizeof(*us->seen));
	us->seen[us->seen_count++] = dev;
	add_user(us, "mount", us->pid, target, source);
	return 0;
}

static void take_devices(struct users *us, int pid)
{
	char dir[64], link[320], target[512];
	struct dirent *ent;
	struct stat st;
	ssize_t n;
	DIR *d;

	snprintf(dir, sizeof(dir), "/proc/%d/fd", pid);
	d = opendir(dir);
	if (!d)
		return;
	while ((ent = readdir(d))) {
		snprintf(link, sizeof(link), "%s/%s", dir, ent->d_name);
		if (ent->d_name[0] == '.' || stat(link, &st) || !S_ISCHR(st.st_mode) ||
		    major(st.st_rdev) != us->major)
			continue;
		n = readlink(link, target, sizeof(target) - 1);
		target[n < 0 ? 0 : n] = '\0';
		add_user(us, "device", pid, target, "");
	}
	closedir(d);
}

/* the brokers that run, in whatever network namespace */
static void take_brokers(struct users *us)
{
	struct kb_pins pins;
	struct kb_nl nl;
	char *what;
	size_t i;

	if (kb_nl_try_open(&nl))
		return;
	if (!kb_pins_get(&nl, &pins)) {
		for (i = 0; i < pins.count; i++) {
			const struct kb_pin *p = &pins.list[i];

			what = kb_asprintf("%s%s%s%s%s", p->dir, p->device[0] ? " on " : "", p->device,
					   p->netns_name ? ", netns " : ", its netns has ended",
					   p->netns_name ? p->netns_name : "");
			add_user(us, "broker", 0, what, p->name);
			free(what);
		}
	}
	kb_pins_release(&pins);
	kb_nl_close(&nl);
}

static void find_users(struct users *us)
{
	struct dirent *ent;
	DIR *d;

	us->major = device_major();
	take_brokers(us);
	kb_mounts_each(0, take_mount, us);
	d = opendir("/proc");
	if (!d)
		return;
	while ((ent = readdir(d))) {
		int pid = atoi(ent->d_name);

		if (pid <= 0)
			continue;
		us->pid = pid;
		kb_mounts_each(pid, take_mount, us);
		if (us->major)
			take_devices(us, pid);
	}
	closedir(d);
}

static void print_json(const struct users *us, const char *refs, const char *version)
{
	struct kb_json js;
	size_t i;

	kb_json_init(&js, stdout, true);
	kb_json_object(&js, NULL);
	kb_json_bool(&js, "loaded", kb_module_loaded());
	kb_json_string(&js, "version", version[0] ? version : NULL);
	kb_json_s64(&js, "references", atoi(refs));
	kb_json_array(&js, "users");
	for (i = 0; i < us->count; i++) {
		const struct user *u = &us->list[i];

		kb_json_object(&js, NULL);
		kb_json_string(&js, "kind", u->kind);
		kb_json_string(&js, "what", u->what);
		if (u->broker[0])
			kb_json_string(&js, "broker", u->broker);
		if (u->pid) {
			kb_json_s64(&js, "pid", u->pid);
			kb_json_string(&js, "command", u->command);
		}
		kb_json_object_end(&js);
	}
	kb_json_array_end(&js);
	kb_json_object_end(&js);
	kb_json_finish(&js);
}

static void print_text(const struct users *us, const char *refs, const char *version)
{
	static const char *const heads[] = { "USED-BY", "WHAT", "BROKER", ">PID", "COMMAND" };
	struct kb_table *tab;
	size_t i;

	kb_section("module kbroker");
	kb_field("loaded", "%s", kb_module_loaded() ? "yes" : "no");
	if (!kb_module_loaded())
		return;
	if (version[0])
		kb_field("version", "%s", version);
	kb_field("references", "%s", refs[0] ? refs : "-");
	if (!us->count)
		return;
	tab = kb_table_new(heads, ARRAY_SIZE(heads));
	for (i = 0; i < us->count; i++) {
		const struct user *u = &us->list[i];

		kb_table_cell(tab, "%s", u->kind);
		kb_table_cell(tab, "%s", u->what);
		kb_table_cell(tab, "%s", u->broker[0] ? u->broker : "-");
		if (u->pid)
			kb_table_cell(tab, "%d", u->pid);
		else
			kb_table_cell(tab, "-");
		kb_table_cell(tab, "%s", u->command[0] ? u->command : "-");
	}
	kb_table_print(tab);
}

static int cmd_status(int argc, char **argv)
{
	struct users us = { 0 };
	char refs[32], version[64];
	size_t i;

	if (argc && strcmp(argv[0], "status"))
		return kb_usage("unknown command '%s' (it is 'kbroker module status')", argv[0]);
	module_value("refcnt", refs, sizeof(refs));
	module_value("version", version, sizeof(version));
	if (kb_module_loaded())
		find_users(&us);
	if (kb.json)
		print_json(&us, refs, version);
	else
		print_text(&us, refs, version);
	for (i = 0; i < us.count; i++) {
		free(us.list[i].what);
		free(us.list[i].broker);
	}
	free(us.list);
	free(us.seen);
	return kb_out_check();
}

const struct kb_cmd kb_cmds_module[] = {
	{ NULL, "[status]", "whether it is loaded, and who keeps it from being unloaded", NULL, cmd_status },
	{ 0 }
};
