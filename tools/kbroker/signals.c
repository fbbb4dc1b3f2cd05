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
#include <unistd.h>

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

/**
 * kb_wait_input() - wait for input while somebody still reads the output
 * @fd: descriptor to be readable
 * @timeout_ms: -1 waits for ever
 *
 * A command that waits for more to print would not notice for a long time that
 * the other end of its pipe has gone.
 * Return: 1 @fd is readable; 0 time is up; -1 with EINTR once a signal asked to
 * finish, EPIPE once nobody reads the output any more.
 */
int kb_wait_input(int fd, int timeout_ms)
{
	struct pollfd fds[2] = {
		{ .fd = fd, .events = POLLIN },
		{ .fd = STDOUT_FILENO },
	};
	int n = kb_poll(fds, 2, timeout_ms);

	if (n > 0 && fds[0].revents)
		return 1;
	if (n > 0 && fds[1].revents & (POLLERR | POLLHUP)) {
		errno = EPIPE;
		return -1;
	}
	return n;
}

bool kb_interrupted(void)
{
	return caught != 0;
}

int kb_signal_number(void)
{
	return caught;
}
