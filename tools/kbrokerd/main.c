// SPDX-License-Identifier: GPL-2.0-only
/*
 * kbrokerd: one of the daemons that decide for a cluster of brokers.
 *
 *	kbrokerd --dir DIR [--daemon]
 *	kbrokerd --ask ADDRESS:PORT --cluster-id UUID --secret-file FILE
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "ask.h"
#include "base/uuid.h"
#include "daemon.h"

static const char usage[] =
	"usage: kbrokerd --dir DIR [--daemon]\n"
	"       kbrokerd --ask ADDRESS:PORT --cluster-id UUID --secret-file FILE\n"
	"\n"
	"One of the daemons that decide for a cluster of kbroker's brokers: they elect\n"
	"leaders, keep the cluster's topics, and tell each kernel. \"kbroker cluster init\"\n"
	"and \"kbroker cluster join\" make its directory and start it.\n"
	"\n"
	"  -d, --dir DIR            the daemon's directory; daemon.conf and secret are there\n"
	"      --daemon             go to the background once requests are listened for, and\n"
	"                           write what happens to DIR/log\n"
	"      --ask ADDRESS:PORT   print the brokers and daemons of the cluster there\n"
	"      --cluster-id UUID    of that cluster\n"
	"      --secret-file FILE   its secret\n"
	"  -h, --help               this text\n";

void kbd_log(const char *fmt, ...)
{
	struct timespec ts;
	struct tm tm;
	char stamp[32];
	va_list ap;

	clock_gettime(CLOCK_REALTIME, &ts);
	gmtime_r(&ts.tv_sec, &tm);
	strftime(stamp, sizeof(stamp), "%Y-%m-%dT%H:%M:%S", &tm);
	fprintf(stderr, "%s.%03ldZ ", stamp, ts.tv_nsec / 1000000);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
}

/* One daemon for a directory; the lock goes with the process. */
static int take_pid_file(const char *dir)
{
	char path[256], pid[16];
	int fd, len;

	snprintf(path, sizeof(path), "%s/pid", dir);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0) {
		fprintf(stderr, "kbrokerd: cannot open %s: %s\n", path, strerror(errno));
		return -1;
	}
	if (flock(fd, LOCK_EX | LOCK_NB)) {
		fprintf(stderr, "kbrokerd: a daemon of %s is running\n", dir);
		return -1;
	}
	len = snprintf(pid, sizeof(pid), "%d\n", (int)getpid());
	if (ftruncate(fd, 0) || pwrite(fd, pid, len, 0) != len) {
		fprintf(stderr, "kbrokerd: cannot write %s: %s\n", path, strerror(errno));
		return -1;
	}
	return fd;
}

/* The parent: wait until the child listens; what it says until then is shown. */
static int await_child(int fd, pid_t child)
{
	int status;
	char byte;

	if (read(fd, &byte, 1) == 1)
		return 0;
	if (waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status))
		return WEXITSTATUS(status);
	return 1;
}

/* In the child once it listens: from now on it is heard in DIR/log alone. */
static void detach(void *arg)
{
	int *ready = arg, fd;

	if (*ready < 0)
		return;
	fd = open("log", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (fd >= 0) {
		dup2(fd, STDERR_FILENO);
		close(fd);
	}
	fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (fd >= 0) {
		dup2(fd, STDIN_FILENO);
		dup2(fd, STDOUT_FILENO);
		close(fd);
	}
	if (write(*ready, "", 1) != 1)
		kbd_log("who started the daemon is gone");
	close(*ready);
}

static int serve(const char *dir, bool background)
{
	char why[KBD_WHY_CONF], *full = realpath(dir, NULL);
	int ready[2] = { -1, -1 };
	struct kbd_conf conf;
	pid_t child;

	if (!full || chdir(full)) {
		fprintf(stderr, "kbrokerd: %s: %s\n", dir, strerror(errno));
		return 1;
	}
	if (kbd_conf_read(&conf, full, why)) {
		fprintf(stderr, "kbrokerd: %s\n", why);
		return 1;
	}
	if (background) {
		if (pipe2(ready, O_CLOEXEC)) {
			fprintf(stderr, "kbrokerd: %s\n", strerror(errno));
			return 1;
		}
		child = fork();
		if (child < 0) {
			fprintf(stderr, "kbrokerd: %s\n", strerror(errno));
			return 1;
		}
		if (child) {
			close(ready[1]);
			return await_child(ready[0], child);
		}
		close(ready[0]);
		setsid();
	}
	if (take_pid_file(full) < 0)
		return 1;
	setvbuf(stderr, NULL, _IOLBF, 0);
	return kbd_daemon_run(&conf, detach, &ready[1]);
}

static int ask(const char *address, const char *cluster, const char *file)
{
	struct kbd_identity self = { .id = -1 };
	char why[KBD_WHY_CONF];
	u8 secret[KBD_SECRET_SIZE];

	if (!cluster || !file) {
		fprintf(stderr, "kbrokerd: --ask needs --cluster-id and --secret-file\n");
		return 2;
	}
	if (kbr_uuid_parse(cluster, self.cluster)) {
		fprintf(stderr, "kbrokerd: --cluster-id: %s is no UUID\n", cluster);
		return 2;
	}
	if (kbd_secret_read(file, secret, why)) {
		fprintf(stderr, "kbrokerd: %s\n", why);
		return 1;
	}
	if (kbd_link_key(secret, sizeof(secret), self.key)) {
		fprintf(stderr, "kbrokerd: the cryptographic library makes no key\n");
		return 1;
	}
	return kbd_ask_status(&self, address);
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "dir", required_argument, NULL, 'd' },
		{ "daemon", no_argument, NULL, 'D' },
		{ "ask", required_argument, NULL, 'a' },
		{ "cluster-id", required_argument, NULL, 'c' },
		{ "secret-file", required_argument, NULL, 's' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 }
	};
	const char *dir = NULL, *address = NULL, *cluster = NULL, *file = NULL;
	bool background = false;
	int opt;

	while ((opt = getopt_long(argc, argv, "d:h", options, NULL)) >= 0) {
		switch (opt) {
		case 'd':
			dir = optarg;
			break;
		case 'D':
			background = true;
			break;
		case 'a':
			address = optarg;
			break;
		case 'c':
			cluster = optarg;
			break;
		case 's':
			file = optarg;
			break;
		case 'h':
			fputs(usage, stdout);
			return 0;
		default:
			fputs(usage, stderr);
			return 2;
		}
	}
	if (optind < argc || !dir == !address) {
		fputs(usage, stderr);
		return 2;
	}
	/* The cluster's secret is to be in no core dump, and nobody but root is to look for it. */
	prctl(PR_SET_DUMPABLE, 0);
	return dir ? serve(dir, background) : ask(address, cluster, file);
}
