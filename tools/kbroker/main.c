// SPDX-License-Identifier: GPL-2.0-only
/*
 * kbroker: the command line of the kbroker module.
 *
 *	kbroker OBJECT COMMAND [ARGUMENTS] [--options]
 *
 * This file finds the command and runs it; what commands there are is in
 * table.c, what they do in cmd_<object>.c.
 */
#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd_help.h"
#include "kbroker.h"

struct kb_state kb;

static void set_output(void)
{
	const char *color = kb_opt_get("color");
	bool plain = getenv("NO_COLOR");
	const char *term = getenv("TERM");

	if (!term || !strcmp(term, "dumb"))
		plain = true;
	kb.json = kb_opt_has("json");
	kb.quiet = kb_opt_has("quiet");
	kb.out_tty = isatty(STDOUT_FILENO);
	kb.err_tty = isatty(STDERR_FILENO);
	kb.color = kb.out_tty && !plain;
	kb.err_color = kb.err_tty && !plain;
	if (color && strcmp(color, "auto")) {
		kb.color = !strcmp(color, "always");
		kb.err_color = kb.color;
	}
	kb.netns = kb_opt_get("netns");
	kb.broker = kb_opt_get("broker");
}

static int enter_netns(const char *name)
{
	char path[256];
	int fd, err;

	if (strchr(name, '/'))
		snprintf(path, sizeof(path), "%s", name);
	else
		snprintf(path, sizeof(path), "/run/netns/%s", name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		err = errno;
		return kb_fail(err, err == ENOENT ? "'ip netns list' shows the names there are" : NULL,
			       "--netns %s: cannot open %s: %s", name, path, strerror(err));
	}
	if (setns(fd, CLONE_NEWNET)) {
		err = errno;
		close(fd);
		return kb_fail(err, err == EPERM ? "run it as root" : NULL,
			       "--netns %s: cannot enter it: %s", name, strerror(err));
	}
	close(fd);
	return KB_OK;
}

static int unknown_object(const char *word)
{
	const char *words[32], *guess;
	size_t n = 0;

	while (kb_objects[n].name && n < ARRAY_SIZE(words)) {
		words[n] = kb_objects[n].name;
		n++;
	}
	guess = kb_guess(word, words, n);
	if (guess)
		return kb_usage("unknown object '%s' (did you mean '%s'?)", word, guess);
	return kb_usage("unknown object '%s'", word);
}

static int unknown_command(const struct kb_object *obj, const char *word)
{
	const char *words[32], *guess;
	size_t n = 0;

	while (obj->cmds[n].run && n < ARRAY_SIZE(words)) {
		words[n] = obj->cmds[n].name;
		n++;
	}
	guess = kb_guess(word, words, n);
	if (guess)
		return kb_usage("unknown command '%s' (did you mean '%s'?)", word, guess);
	return kb_usage("unknown command '%s'", word);
}

static int run_command(int argc, char **argv)
{
	int min, max, ret, n;
	char **words;

	ret = kb_opts_parse(argc, argv, kb.cmd->opts, false, &words, &n);
	set_output();
	if (ret != KB_OK)
		return ret;
	if (kb_opt_has("help")) {
		kb_help_command(kb.object, kb.cmd);
		ret = KB_OK;
		goto out;
	}
	kb_args_count(kb.cmd->args, &min, &max);
	if (n < min)
		ret = kb_usage("something is missing: it takes %s", kb.cmd->args);
	else if (max >= 0 && n > max)
		ret = kb_usage("'%s' is too much: it takes %s", words[max],
			       kb.cmd->args ? kb.cmd->args : "no arguments");
	else if (kb.netns)
		ret = enter_netns(kb.netns);
	if (ret == KB_OK)
		ret = kb.cmd->run(n, words);
out:
	free(words);
	return ret;
}

static bool wants_json(int argc, char **argv)
{
	int i;

	for (i = 1; i < argc && strcmp(argv[i], "--"); i++)
		if (!strcmp(argv[i], "--json") || !strcmp(argv[i], "-J"))
			return true;
	return false;
}

static int run(int argc, char **argv)
{
	char **words;
	int n, ret;

	/* so that errors of the parser itself have the form asked for */
	kb.json = wants_json(argc, argv);
	ret = kb_opts_parse(argc - 1, argv + 1, NULL, true, &words, &n);
	set_output();
	kb.json = kb.json || wants_json(argc, argv);
	if (ret != KB_OK)
		return ret;
	if (!n) {
		if (kb_opt_has("help")) {
			kb_help_all(stdout);
		} else {
			kb_help_all(stderr);
			ret = KB_USAGE;
		}
		goto out;
	}
	kb.object = kb_object_find(words[0]);
	if (!kb.object) {
		ret = unknown_object(words[0]);
		goto out;
	}
	kb.cmd = kb_cmd_find(kb.object, NULL);
	if (kb.cmd) {
		ret = run_command(n - 1, words + 1);
		goto out;
	}
	if (n > 1 && words[1][0] != '-')
		kb.cmd = kb_cmd_find(kb.object, words[1]);
	if (kb.cmd) {
		ret = run_command(n - 2, words + 2);
	} else if (n > 1 && words[1][0] != '-') {
		ret = unknown_command(kb.object, words[1]);
	} else if (kb_opt_has("help") ||
		   (n > 1 && (!strcmp(words[1], "--help") || !strcmp(words[1], "-h")))) {
		kb_help_object(kb.object, stdout);
	} else if (n > 1) {
		ret = kb_usage("a command is missing before %s", words[1]);
	} else {
		kb_help_object(kb.object, stderr);
		ret = KB_USAGE;
	}
out:
	free(words);
	return ret;
}

int main(int argc, char **argv)
{
	int ret, closed;

	setlocale(LC_CTYPE, "");
	ret = run(argc, argv);
	kb_opts_release();
	closed = kb_out_close();
	return ret != KB_OK ? ret : closed;
}
