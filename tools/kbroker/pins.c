// SPDX-License-Identifier: GPL-2.0-only
/* The brokers of all network namespaces; see pins.h. */
#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "kbroker.h"
#include "mounts.h"
#include "objects.h"
#include "pins.h"

static int take_pins(const struct kb_nl_msg *msg, void *arg)
{
	struct nlattr *pin[KBROKER_A_PIN_MAX + 1], *attr;
	struct kb_pins *pins = arg;
	struct kb_pin *p;
	char device[64];
	int rem;

	snprintf(pins->version, sizeof(pins->version), "%s",
		 kb_attr_text(msg->attrs[KBROKER_A_MODULE_VERSION]));
	nla_for_each_attr(attr, msg->head, msg->len, rem) {
		if (nla_type(attr) != KBROKER_A_MODULE_PIN)
			continue;
		kb_attrs_parse(pin, KBROKER_A_PIN_MAX, attr);
		pins->list = kb_realloc(pins->list, (pins->count + 1) * sizeof(*pins->list));
		p = &pins->list[pins->count++];
		memset(p, 0, sizeof(*p));
		snprintf(p->name, sizeof(p->name), "%s", kb_attr_text(pin[KBROKER_A_PIN_NAME]));
		p->state = kb_broker_state_name(kb_attr_u8(pin[KBROKER_A_PIN_STATE]));
		p->netns = kb_attr_u32(pin[KBROKER_A_PIN_NETNS]);
		p->dir = kb_strdup(kb_attr_text(pin[KBROKER_A_PIN_DIR]));
		p->device = kb_strdup(kb_device_name(kb_attr_text(pin[KBROKER_A_PIN_DEVICE]), device));
		p->handles = kb_attr_u32(pin[KBROKER_A_PIN_HANDLES]);
	}
	return 0;
}

/* note @path as the way into the namespaces that it is */
static void match_netns(struct kb_pins *pins, const char *path, const char *name)
{
	struct stat st;
	size_t i;

	if (stat(path, &st))
		return;
	for (i = 0; i < pins->count; i++) {
		struct kb_pin *p = &pins->list[i];

		if (p->netns_path || p->netns != (uint32_t)st.st_ino)
			continue;
		p->netns_path = kb_strdup(path);
		p->netns_name = kb_strdup(name);
	}
}

static void find_netns(struct kb_pins *pins)
{
	struct dirent *ent;
	char *path;
	DIR *dir;

	dir = opendir("/run/netns");
	while (dir && (ent = readdir(dir))) {
		path = kb_asprintf("/run/netns/%s", ent->d_name);
		if (ent->d_name[0] != '.')
			match_netns(pins, path, ent->d_name);
		free(path);
	}
	if (dir)
		closedir(dir);
	match_netns(pins, "/proc/self/ns/net", "(this one)");
	dir = opendir("/proc");
	while (dir && (ent = readdir(dir))) {
		char name[32];

		if (ent->d_name[0] < '1' || ent->d_name[0] > '9')
			continue;
		path = kb_asprintf("/proc/%s/ns/net", ent->d_name);
		snprintf(name, sizeof(name), "(of pid %.10s)", ent->d_name);
		match_netns(pins, path, name);
		free(path);
	}
	if (dir)
		closedir(dir);
}

int kb_pins_get(struct kb_nl *nl, struct kb_pins *pins)
{
	int ret;

	memset(pins, 0, sizeof(*pins));
	ret = kb_nl_call(nl, kb_nl_request(nl, KBROKER_CMD_MODULE_GET, 0), take_pins, pins);
	if (!ret && pins->count)
		find_netns(pins);
	return ret;
}

void kb_pins_release(struct kb_pins *pins)
{
	size_t i;

	for (i = 0; i < pins->count; i++) {
		free(pins->list[i].netns_path);
		free(pins->list[i].netns_name);
		free(pins->list[i].dir);
		free(pins->list[i].device);
	}
	free(pins->list);
	memset(pins, 0, sizeof(*pins));
}
