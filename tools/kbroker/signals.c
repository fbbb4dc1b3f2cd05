// SPDX-License-Identifier: GPL-2.0-only
/*
 * SIGINT, SIGTERM and SIGHUP ask a long command to finish what it accepted;
 * the same signal again ends the process at once.
 *
 * The handler is installed without SA_RESTART, so that a blocked system call
 * returns EINTR and the command sees the request.
 */
#include <signal.h>

#include "kbroker.h"

static volatile sig_atomic_t caught;

static void on_signal(int sig)
{
	caught = sig;
}

void kb_signals_catch(void)
{
	/* SA_RESETHAND: the second one has the default effect */
	struct sigaction sa = { .sa_handler = on_signal, .sa_flags = SA_RESETHAND };
	static const int sigs[] = { SIGINT, SIGTERM, SIGHUP };
	struct sigaction old;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(sigs); i++) {
		/* nohup(1) and background jobs ignore some; leave that so */
		if (!sigaction(sigs[i], NULL, &old) && old.sa_handler == SIG_IGN)
			continue;
		sigaction(sigs[i], &sa, NULL);
	}
}

bool kb_interrupted(void)
{
	return caught != 0;
}

int kb_signal_number(void)
{
	return caught;
}
