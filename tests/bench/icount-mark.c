// SPDX-License-Identifier: GPL-2.0-only
/*
 * icount-mark begin|end [COMMAND...]: a marker for scripts. With a COMMAND,
 * both markers around it: its own start and end are counted, too, so give it
 * enough to do.
 */
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "icount.h"

int main(int argc, char **argv)
{
	int status = 0;
	pid_t pid;

	if (argc < 2 || (strcmp(argv[1], "begin") && strcmp(argv[1], "end"))) {
		fprintf(stderr, "usage: icount-mark begin|end [COMMAND...]\n");
		return 2;
	}
	if (!strcmp(argv[1], "end")) {
		icount_mark(2);
		return 0;
	}
	if (argc == 2) {
		icount_mark(1);
		return 0;
	}
	pid = fork();
	if (pid == 0) {
		icount_mark(1);
		execvp(argv[2], argv + 2);
		perror(argv[2]);
		_exit(127);
	}
	if (pid < 0 || waitpid(pid, &status, 0) < 0) {
		perror("icount-mark");
		return 1;
	}
	icount_mark(2);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}
