// SPDX-License-Identifier: GPL-2.0-only
/* Help, printed from the command table; with --json the table itself. */
#include <string.h>

#include "cmd_help.h"
#include "json.h"

static void print_opts(const struct kb_opt *opts, FILE *out)
{
	const struct kb_opt *opt;

	for (opt = opts; opt && opt->name; opt++) {
		char left[64];

		snprintf(left, sizeof(left), "%c%c%s--%s%s%s", opt->letter ? '-' : ' ',
			 opt->letter ? opt->letter : ' ', opt->letter ? ", " : "  ", opt->name,
			 opt->arg ? " " : "", opt->arg ? opt->arg : "");
		if (strlen(left) > 30)
			fprintf(out, "  %s\n  %30s  %s\n", left, "", opt->help);
		else
			fprintf(out, "  %-30s  %s\n", left, opt->help);
	}
}

/**
 * kb_help_all() - the objects
 * @out: where to
 */
void kb_help_all(FILE *out)
{
	const struct kb_object *obj;

	fprintf(out, "kbroker - the command of the kbroker kernel module\n\n"
		"usage: kbroker OBJECT COMMAND [ARGUMENTS] [--options]\n\n");
	for (obj = kb_objects; obj->name; obj++)
		fprintf(out, "  %-12s %s\n", obj->name, obj->summary);
	fprintf(out, "\noptions of every command:\n");
	print_opts(kb_global_opts, out);
	fprintf(out, "\nTo begin:\n"
		"  kbroker broker start --dir /var/lib/kbroker\n"
		"  kbroker topic create orders --partitions 3\n"
		"  echo hello | kbroker produce orders\n"
		"  kbroker consume orders --from-beginning\n"
		"\nMore: kbroker OBJECT --help, man kbroker\n");
}

/**
 * kb_help_object() - the commands of an object
 * @obj: object
 * @out: where to
 */
void kb_help_object(const struct kb_object *obj, FILE *out)
{
	const struct kb_cmd *cmd = kb_cmd_find(obj, NULL);

	if (cmd) {
		kb_help_command(obj, cmd);
		return;
	}
	fprintf(out, "kbroker %s - %s\n\n", obj->name, obj->summary);
	for (cmd = obj->cmds; cmd->run; cmd++)
		fprintf(out, "  kbroker %s %s%s%s%s\n      %s\n", obj->name, cmd->name,
			cmd->args ? " " : "", cmd->args ? cmd->args : "",
			cmd->opts ? " [--options]" : "", cmd->summary);
	fprintf(out, "\nMore: kbroker %s COMMAND --help, man kbroker%s%s\n", obj->name,
		obj->no_page ? "" : "-", obj->no_page ? "" : obj->name);
}

/**
 * kb_help_command() - one command with its options
 * @obj: object
 * @cmd: command
 */
void kb_help_command(const struct kb_object *obj, const struct kb_cmd *cmd)
{
	printf("kbroker %s%s%s - %s\n\n", obj->name, cmd->name ? " " : "",
	       cmd->name ? cmd->name : "", cmd->summary);
	printf("usage: kbroker %s%s%s%s%s [--options]\n", obj->name, cmd->name ? " " : "",
	       cmd->name ? cmd->name : "", cmd->args ? " " : "", cmd->args ? cmd->args : "");
	if (cmd->opts && cmd->opts->name) {
		printf("\noptions:\n");
		print_opts(cmd->opts, stdout);
	}
	printf("\noptions of every command:\n");
	print_opts(kb_global_opts, stdout);
	printf("\nMore: man kbroker%s%s\n", obj->no_page ? "" : "-", obj->no_page ? "" : obj->name);
}

static void json_opts(struct kb_json *js, const char *key, const struct kb_opt *opts)
{
	const struct kb_opt *opt;
	char letter[2] = "";

	kb_json_array(js, key);
	for (opt = opts; opt && opt->name; opt++) {
		kb_json_object(js, NULL);
		kb_json_string(js, "name", opt->name);
		letter[0] = opt->letter;
		if (opt->letter)
			kb_json_string(js, "letter", letter);
		if (opt->arg)
			kb_json_string(js, "argument", opt->arg);
		kb_json_string(js, "help", opt->help);
		kb_json_object_end(js);
	}
	kb_json_array_end(js);
}

static int help_json(void)
{
	const struct kb_object *obj;
	const struct kb_cmd *cmd;
	struct kb_json js;

	kb_json_init(&js, stdout, true);
	kb_json_object(&js, NULL);
	json_opts(&js, "options", kb_global_opts);
	kb_json_array(&js, "objects");
	for (obj = kb_objects; obj->name; obj++) {
		kb_json_object(&js, NULL);
		kb_json_string(&js, "name", obj->name);
		kb_json_string(&js, "summary", obj->summary);
		kb_json_array(&js, "commands");
		for (cmd = obj->cmds; cmd->run; cmd++) {
			kb_json_object(&js, NULL);
			kb_json_string(&js, "name", cmd->name);
			kb_json_string(&js, "arguments", cmd->args ? cmd->args : "");
			kb_json_string(&js, "summary", cmd->summary);
			json_opts(&js, "options", cmd->opts);
			kb_json_object_end(&js);
		}
		kb_json_array_end(&js);
		kb_json_object_end(&js);
	}
	kb_json_array_end(&js);
	kb_json_object_end(&js);
	kb_json_finish(&js);
	return kb_out_check();
}

static int cmd_help(int argc, char **argv)
{
	const struct kb_object *obj;
	const struct kb_cmd *cmd;

	if (kb.json)
		return help_json();
	if (!argc) {
		kb_help_all(stdout);
		return kb_out_check();
	}
	obj = kb_object_find(argv[0]);
	if (!obj)
		return kb_usage("unknown object '%s'", argv[0]);
	if (argc == 1) {
		kb_help_object(obj, stdout);
		return kb_out_check();
	}
	cmd = kb_cmd_find(obj, argv[1]);
	if (!cmd)
		return kb_usage("%s has no command '%s'", argv[0], argv[1]);
	kb_help_command(obj, cmd);
	return kb_out_check();
}

const struct kb_cmd kb_cmds_help[] = {
	{ NULL, "[OBJECT] [COMMAND]", "show help; with --json the whole command table", NULL, cmd_help },
	{ 0 }
};
