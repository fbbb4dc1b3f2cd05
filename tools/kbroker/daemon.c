// SPDX-License-Identifier: GPL-2.0-only
/* The daemon of this node's cluster; see daemon.h. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon.h"
#include "device.h"
#include "kbrokerd/rpc.h"

/* The daemon answers a request that it can't pass on within five seconds */
#define ANSWER_S	90
#define OUT_MAX		(1 << 20)

char *kb_daemon_dir_of(const char *broker)
{
	return kb_asprintf("%s/%s", KBD_DIR, broker);
}

char *kb_daemon_dir(void)
{
	const char *dir = kb_opt_known("daemon-dir") ? kb_opt_get("daemon-dir") : NULL;

	return dir ? kb_strdup(dir) : kb_daemon_dir_of(kb_broker_name());
}

void kb_read_key(const char *dir, const char *name, const char *key, char *value, size_t size)
{
	char *path = kb_asprintf("%s/%s", dir, name), line[512];
	FILE *file = fopen(path, "re");
	size_t len = strlen(key);

	value[0] = '\0';
	free(path);
	while (file && fgets(line, sizeof(line), file)) {
		line[strcspn(line, "\n")] = '\0';
		if (!strncmp(line, key, len) && line[len] == '=')
			snprintf(value, size, "%s", line + len + 1);
	}
	if (file)
		fclose(file);
}

/* ---- questions ---- */

static bool has_conf(const char *dir)
{
	char *path = kb_asprintf("%s/daemon.conf", dir);
	bool there = !access(path, F_OK);

	free(path);
	return there;
}

static int open_socket(const char *dir)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	struct timeval limit = { .tv_sec = ANSWER_S };
	int fd, err;

	if ((size_t)snprintf(at.sun_path, sizeof(at.sun_path), "%s/%s", dir, KBD_SOCKET) >=
	    sizeof(at.sun_path)) {
		kb_fail(ENAMETOOLONG, NULL, "%s is too long a name for a directory of a daemon", dir);
		return -1;
	}
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	err = fd < 0 || connect(fd, (struct sockaddr *)&at, sizeof(at)) ? errno : 0;
	if (!err) {
		setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
		return fd;
	}
	if (fd >= 0)
		close(fd);
	if (err == ENOENT && !has_conf(dir))
		kb_fail(err, "'kbroker cluster init' begins a cluster, 'kbroker cluster join' comes to one",
			"this node has no daemon of a cluster in %s", dir);
	else if (err == ENOENT || err == ECONNREFUSED)
		kb_fail(err, "'kbroker cluster start' starts it", "the daemon of %s does not run", dir);
	else
		kb_fail(err, err == EACCES ? "run it as root" : NULL, "the daemon of %s can't be reached: %s",
			dir, strerror(err));
	return -1;
}

static int send_all(int fd, const unsigned char *data, size_t len)
{
	while (len) {
		ssize_t n = send(fd, data, len, MSG_NOSIGNAL);

		if (n < 0)
			return -errno;
		data += n;
		len -= (size_t)n;
	}
	return 0;
}

static int receive_all(int fd, unsigned char *data, size_t len)
{
	while (len) {
		ssize_t n = recv(fd, data, len, 0);

		if (n <= 0)
			return n < 0 ? (errno == EAGAIN ? -ETIMEDOUT : -errno) : -ECONNRESET;
		data += n;
		len -= (size_t)n;
	}
	return 0;
}

static int exchange(int fd, const struct kbd_buf *request, struct kb_answer *answer, char *why)
{
	unsigned char head[KBD_FRAME_HEADER] = { 0 };
	size_t len = request->len + KBD_FRAME_HEADER - 4;
	unsigned int i;
	int err;

	for (i = 0; i < 4; i++)
		head[i] = (unsigned char)(len >> (24 - 8 * i));
	err = send_all(fd, head, sizeof(head));
	if (!err)
		err = send_all(fd, request->data, request->len);
	if (!err)
		err = receive_all(fd, head, sizeof(head));
	if (err)
		return err;
	len = kbd_get_be32(head);
	if (len < KBD_FRAME_HEADER - 4 + KBD_HEADER_SIZE || len > KBD_FRAME_MAX ||
	    kbd_get_be64(head + 4) || head[12] != KBD_FRAME_ANSWER) {
		snprintf(why, KBD_WHY_SIZE, "what answers there is no kbrokerd of this version");
		return -EPROTO;
	}
	len -= KBD_FRAME_HEADER - 4;
	answer->data = kb_alloc(len);
	err = receive_all(fd, answer->data, len);
	if (!err)
		err = kbd_decode(&answer->msg, answer->data, len, why);
	if (!err && answer->msg.kind != KBD_ANSWER)
		err = -EPROTO;
	return err;
}

int kb_daemon_ask(struct kbd_buf *request, struct kb_answer *answer, const char *what)
{
	char why[KBD_WHY_SIZE] = "", *dir = kb_daemon_dir();
	int fd = open_socket(dir), err;
	uint32_t refused;

	free(dir);
	answer->data = NULL;
	if (fd < 0) {
		kbd_buf_free(request);
		return KB_REFUSED;
	}
	err = exchange(fd, request, answer, why);
	kbd_buf_free(request);
	close(fd);
	if (err) {
		kb_answer_free(answer);
		return kb_fail(-err, NULL, "%s: %s", what, *why ? why : strerror(-err));
	}
	refused = kbd_u32(&answer->msg.attr[KBD_A_ERROR]);
	if (!refused)
		return KB_OK;
	kb_fail((int)refused,
		refused == ENOTCONN ? "'kbroker cluster status' on the other nodes; a majority must run" :
		NULL, "%s: %s", what, kbd_text(&answer->msg.attr[KBD_A_MESSAGE]));
	kb_answer_free(answer);
	return KB_REFUSED;
}

void kb_answer_free(struct kb_answer *answer)
{
	free(answer->data);
	answer->data = NULL;
}

/* ---- the program ---- */

/* Beside this one if it is there, as in a build; else wherever PATH finds it */
static char *program(void)
{
	char self[PATH_MAX], *path, *slash;
	ssize_t len = readlink("/proc/self/exe", self, sizeof(self) - 1);

	if (len > 0) {
		self[len] = '\0';
		slash = strrchr(self, '/');
		path = kb_asprintf("%.*s/kbrokerd", (int)(slash - self), self);
		if (!access(path, X_OK))
			return path;
		free(path);
	}
	return kb_strdup("kbrokerd");
}

static char *read_out(int fd)
{
	size_t len = 0, room = 4096;
	char *out = kb_alloc(room);
	ssize_t n;

	while ((n = read(fd, out + len, room - len - 1)) > 0) {
		len += (size_t)n;
		if (len + 1 == room && room < OUT_MAX)
			out = kb_realloc(out, room *= 2);
	}
	out[len] = '\0';
	return out;
}

int kb_daemon_run(char *const argv[], char **out)
{
	posix_spawn_file_actions_t actions;
	int fds[2], status, err;
	char *path = program();
	pid_t pid;

	if (out && pipe2(fds, O_CLOEXEC)) {
		kb_fail(errno, NULL, "cannot make a pipe: %s", strerror(errno));
		free(path);
		return -1;
	}
	posix_spawn_file_actions_init(&actions);
	if (out)
		posix_spawn_file_actions_adddup2(&actions, fds[1], STDOUT_FILENO);
	err = posix_spawnp(&pid, path, &actions, NULL, argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	free(path);
	if (out) {
		close(fds[1]);
		*out = err ? NULL : read_out(fds[0]);
		close(fds[0]);
	}
	if (err) {
		kb_fail(err,
			err == ENOENT ? "it is built where libraft 0.22 is there, and installed with the other tools" :
			NULL, "kbrokerd can't be run: %s", strerror(err));
		return -1;
	}
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

int kb_daemon_pid(const char *dir)
{
	char *path = kb_asprintf("%s/pid", dir), text[16] = "";
	int fd = open(path, O_RDONLY | O_CLOEXEC), pid = 0;

	free(path);
	if (fd < 0)
		return 0;
	/* The daemon holds the lock as long as it runs. */
	if (flock(fd, LOCK_SH | LOCK_NB) && errno == EWOULDBLOCK && read(fd, text, sizeof(text) - 1) > 0)
		pid = atoi(text);
	close(fd);
	return pid;
}
