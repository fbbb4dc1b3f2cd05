// SPDX-License-Identifier: GPL-2.0-only
/* Version of the command and of the module that is loaded. */
#include <string.h>
#include <unistd.h>

#include "json.h"
#include "kbroker.h"

/* first line of a file of /sys/module/kbroker, or NULL */
static const char *module_file(const char *name, char *buf, size_t size)
{
	char path[128];
	FILE *file;

	snprintf(path, sizeof(path), "/sys/module/kbroker/%s", name);
	file = fopen(path, "re");
	if (!file)
		return NULL;
	if (!fgets(buf, (int)size, file))
		buf[0] = '\0';
	fclose(file);
	buf[strcspn(buf, "\n")] = '\0';
	return buf;
}

static int cmd_version(int argc, char **argv)
{
	bool loaded = access("/sys/module/kbroker", F_OK) == 0;
	char buf[64];
	const char *module = module_file("version", buf, sizeof(buf));
	struct kb_json js;

	(void)argc;
	(void)argv;
	if (!kb.json) {
		printf("kbroker %s\n", KB_VERSION);
		printf("module %s\n", module ? module : loaded ? "loaded" : "not loaded");
		return kb_out_check();
	}
	kb_json_init(&js, stdout, true);
	kb_json_object(&js, NULL);
	kb_json_string(&js, "tool", KB_VERSION);
	kb_json_bool(&js, "module_loaded", loaded);
	kb_json_string(&js, "module", module);
	kb_json_object_end(&js);
	kb_json_finish(&js);
	return kb_out_check();
}

const struct kb_cmd kb_cmds_version[] = {
	{ NULL, NULL, "show the versions", NULL, cmd_version },
	{ 0 }
};
