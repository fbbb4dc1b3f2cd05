// SPDX-License-Identifier: GPL-2.0-only
/* Options that several commands take: owner, group, mode and configs. */
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>

#include "kbroker.h"
#include "objects.h"

/* a user's or group's number; KB_OK, KB_USAGE (told) */
static int find_id(const char *opt, const char *text, bool group, uint32_t *id)
{
	struct passwd *pw = group ? NULL : getpwnam(text);
	struct group *gr = group ? getgrnam(text) : NULL;
	unsigned long val;
	char *end;

	if (pw || gr) {
		*id = pw ? pw->pw_uid : gr->gr_gid;
		return KB_OK;
	}
	errno = 0;
	val = strtoul(text, &end, 10);
	if (end == text || *end || errno || text[0] == '-' || val >= UINT32_MAX)
		return kb_usage("--%s: there is no %s '%s'", opt, group ? "group" : "user", text);
	*id = (uint32_t)val;
	return KB_OK;
}

static int find_mode(const char *text, uint16_t *mode)
{
	unsigned long val;
	char *end;

	errno = 0;
	val = strtoul(text, &end, 8);
	if (end == text || *end || errno || text[0] == '-' || val > 0777)
		return kb_usage("--mode: '%s' is not an octal mode up to 0777", text);
	if (val & 0111)
		return kb_usage("--mode: %s has execute bits, which mean nothing on a topic", text);
	*mode = (uint16_t)val;
	return KB_OK;
}

/**
 * kb_put_access() - add --owner, --group and --mode to a request
 * @msg: request; NULL only checks the options
 * @uid_type: attribute of the owner
 * @gid_type: attribute of the group
 * @mode_type: attribute of the mode
 *
 * Return: KB_OK or KB_USAGE (told).
 */
int kb_put_access(struct nl_msg *msg, int uid_type, int gid_type, int mode_type)
{
	const char *owner = kb_opt_get("owner"), *group = kb_opt_get("group");
	const char *mode_text = kb_opt_get("mode");
	uint16_t mode = 0;
	uint32_t id;

	if (owner) {
		if (find_id("owner", owner, false, &id))
			return KB_USAGE;
		if (msg)
			kb_put_u32(msg, uid_type, id);
	}
	if (group) {
		if (find_id("group", group, true, &id))
			return KB_USAGE;
		if (msg)
			kb_put_u32(msg, gid_type, id);
	}
	if (mode_text) {
		if (find_mode(mode_text, &mode))
			return KB_USAGE;
		if (msg)
			kb_put_u16(msg, mode_type, mode);
	}
	return KB_OK;
}

int kb_check_access(void)
{
	return kb_put_access(NULL, 0, 0, 0);
}

static int put_config(struct nl_msg *msg, int type, const char *text, bool with_value)
{
	const char *eq = with_value ? strchr(text, '=') : text + strlen(text);
	char name[KBROKER_CONFIG_NAME_MAX + 1];
	struct nlattr *nest;

	if (!eq)
		return kb_usage("--config: '%s' is not NAME=VALUE", text);
	if (eq == text || (size_t)(eq - text) > KBROKER_CONFIG_NAME_MAX)
		return kb_usage("--%s: '%.*s' can't be a config's name", with_value ? "config" : "delete-config",
				(int)(eq - text), text);
	if (with_value && strlen(eq + 1) > KBROKER_CONFIG_VALUE_MAX)
		return kb_usage("--config: the value of %.*s is longer than %d bytes", (int)(eq - text), text,
				KBROKER_CONFIG_VALUE_MAX);
	if (!msg)
		return KB_OK;
	snprintf(name, sizeof(name), "%.*s", (int)(eq - text), text);
	nest = nla_nest_start(msg, type);
	if (!nest)
		abort();
	kb_put_text(msg, KBROKER_A_CONFIG_NAME, name);
	if (with_value)
		kb_put_text(msg, KBROKER_A_CONFIG_VALUE, eq + 1);
	nla_nest_end(msg, nest);
	return KB_OK;
}

/* a request has room for so many */
#define CONFIGS_MAX 50

/**
 * kb_put_configs() - add --config and --delete-config to a request
 * @msg: request; NULL only checks the options
 * @type: attribute of a config
 *
 * Return: KB_OK or KB_USAGE (told).
 */
int kb_put_configs(struct nl_msg *msg, int type)
{
	const struct kb_opt *opt = kb.cmd->opts;
	const char *text;
	size_t i, n = 0;

	for (; opt && opt->name; opt++) {
		bool with_value = !strcmp(opt->name, "config");

		if (!with_value && strcmp(opt->name, "delete-config"))
			continue;
		for (i = 0; (text = kb_opt_nth(opt->name, i)); i++) {
			if (++n > CONFIGS_MAX)
				return kb_usage("more than %d configs at once", CONFIGS_MAX);
			if (put_config(msg, type, text, with_value))
				return KB_USAGE;
		}
	}
	return KB_OK;
}

int kb_check_configs(void)
{
	return kb_put_configs(NULL, 0);
}
