// SPDX-License-Identifier: GPL-2.0-only
/*
 * SIGINT, SIGTERM and SIGHUP ask a long command to finish what it accepted;
 * the same signal again ends the process at once.
 *
 * The handler is installed without SA_RESTART, so that a blocked system call
 * returns EINTR and the command sees the request.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <time.h>

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

/**
 * kb_poll() - poll(2) that no signal can slip by
 * @fds: as for poll(2)
 * @n: as for poll(2)
 * @timeout_ms: -1 waits for ever
 *
 * A signal that came just before the wait ends it as one that comes during it.
 * Return: as poll(2); -1 with EINTR once a signal asked to finish.
 */
int kb_poll(struct pollfd *fds, unsigned int n, int timeout_ms)
{
	struct timespec ts = { timeout_ms / 1000, timeout_ms % 1000 * 1000000L };
	sigset_t block, old;
	int ret, err;

	sigemptyset(&block);
	sigaddset(&block, SIGINT);
	sigaddset(&block, SIGTERM);
	sigaddset(&block, SIGHUP);
	sigprocmask(SIG_BLOCK, &block, &old);
	if (caught) {
		ret = -1;
		err = EINTR;
	} else {
		ret = ppoll(fds, n, timeout_ms < 0 ? NULL : &ts, &old);
		err = errno;
	}
	sigprocmask(SIG_SETMASK, &old, NULL);
	errno = err;
	return ret;
}

bool kb_interrupted(void)
{
	return caught != 0;
}

int kb_signal_number(void)
{
	return caught;
}
