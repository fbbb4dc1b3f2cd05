// SPDX-License-Identifier: GPL-2.0-only
/* Mounts of the module's file system, and loading the module. */
#include <errno.h>
#include <inttypes.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kbroker.h"
#include "mounts.h"

#define KB_FSTYPE "kbroker"

/* "\040" of mountinfo back to a blank, in place */
static void unescape(char *s)
{
	char *to = s;

	while (*s) {
		if (s[0] == '\\' && s[1] >= '0' && s[1] <= '3' && s[2] && s[3]) {
			*to++ = (char)((s[1] - '0') << 6 | (s[2] - '0') << 3 | (s[3] - '0'));
			s += 4;
		} else {
			*to++ = *s++;
		}
	}
	*to = '\0';
}

/**
 * kb_mounts_each() - visit the kbroker mounts of a process
 * @pid: process, 0 for this one
 * @visit: called for each
 * @arg: for @visit
 *
 * Return: 0; what @visit returned if not 0; -1 if the mounts can't be read.
 */
int kb_mounts_each(pid_t pid, kb_mount_visit visit, void *arg)
{
	char path[64], *line = NULL, *dash, *save;
	size_t room = 0;
	FILE *file;
	int ret = 0;

	if (pid)
		snprintf(path, sizeof(path), "/proc/%d/mountinfo", (int)pid);
	else
		snprintf(path, sizeof(path), "/proc/self/mountinfo");
	file = fopen(path, "re");
	if (!file)
		return -1;
	while (!ret && getline(&line, &room, file) > 0) {
		unsigned int major, minor;
		char *field[5];
		int i;

		/* id parent major:minor root target options... - type source ... */
		dash = strstr(line, " - " KB_FSTYPE " ");
		if (!dash)
			continue;
		*dash = '\0';
		for (i = 0; i < 5; i++)
			field[i] = strtok_r(i ? NULL : line, " ", &save);
		if (!field[4] || sscanf(field[2], "%u:%u", &major, &minor) != 2)
			continue;
		dash += strlen(" - " KB_FSTYPE " ");
		dash[strcspn(dash, "\n ")] = '\0';
		unescape(dash);
		unescape(field[4]);
		ret = visit(dash, field[4], makedev(major, minor), arg);
	}
	free(line);
	fclose(file);
	return ret;
}

struct wanted {
	const char *broker;
	const char *target;
};

static int is_wanted(const char *source, const char *target, dev_t dev, void *arg)
{
	const struct wanted *want = arg;

	(void)dev;
	return !strcmp(source, want->broker) && (!want->target || !strcmp(target, want->target));
}

/**
 * kb_mounted() - whether a broker's devices are mounted
 * @broker: its name
 * @target: where, or NULL for anywhere
 */
bool kb_mounted(const char *broker, const char *target)
{
	struct wanted want = { broker, target };

	return kb_mounts_each(0, is_wanted, &want) > 0;
}

/**
 * kb_mount() - mount the devices of a broker
 * @broker: its name
 * @target: directory, made if it isn't there
 *
 * Return: KB_OK or KB_REFUSED (told).
 */
int kb_mount(const char *broker, const char *target)
{
	int err;

	if (kb_mounted(broker, target))
		return KB_OK;
	if (mkdir(target, 0755) && errno != EEXIST) {
		err = errno;
		return kb_fail(err, NULL, "cannot make %s: %s", target, strerror(err));
	}
	if (mount(broker, target, KB_FSTYPE, MS_NOSUID | MS_NOEXEC, NULL)) {
		err = errno;
		return kb_fail(err, err == ENODEV ? "this kbroker module has no file system: is it the right one?" :
			       NULL, "cannot mount the devices of %s on %s: %s", broker, target,
			       strerror(err));
	}
	return KB_OK;
}

struct found {
	const char *broker;
	char target[4096];
};

static int first_of(const char *source, const char *target, dev_t dev, void *arg)
{
	struct found *found = arg;

	(void)dev;
	if (strcmp(source, found->broker))
		return 0;
	snprintf(found->target, sizeof(found->target), "%s", target);
	return 1;
}

/**
 * kb_unmount_all() - unmount the devices of a broker wherever this process sees them
 * @broker: its name
 *
 * Devices that are open stay usable to those who have them: the mount is only
 * taken out of sight.
 * Return: KB_OK or KB_REFUSED (told).
 */
int kb_unmount_all(const char *broker)
{
	struct found found = { .broker = broker };
	int err;

	while (kb_mounts_each(0, first_of, &found) > 0) {
		if (!umount2(found.target, UMOUNT_NOFOLLOW))
			continue;
		if (errno == EBUSY && !umount2(found.target, MNT_DETACH | UMOUNT_NOFOLLOW))
			continue;
		err = errno;
		return kb_fail(err, NULL, "cannot unmount %s: %s", found.target, strerror(err));
	}
	return KB_OK;
}

/**
 * kb_mount_of() - where the file system of a path is mounted
 * @path: absolute path
 *
 * Return: the mount point, to be freed; NULL if it can't be found.
 */
char *kb_mount_of(const char *path)
{
	char *line = NULL, *best = NULL, *target, *save;
	size_t room = 0, best_len = 0;
	FILE *file;
	int i;

	file = fopen("/proc/self/mountinfo", "re");
	while (file && getline(&line, &room, file) > 0) {
		size_t len;

		target = strtok_r(line, " ", &save);
		for (i = 0; target && i < 4; i++)
			target = strtok_r(NULL, " ", &save);
		if (!target)
			continue;
		unescape(target);
		len = strlen(target);
		/* "/" has its slash already; a later mount hides an earlier one */
		if (strncmp(path, target, len) || (len > 1 && path[len] && path[len] != '/') || len < best_len)
			continue;
		free(best);
		best = kb_strdup(target);
		best_len = len;
	}
	free(line);
	if (file)
		fclose(file);
	return best;
}

/**
 * kb_device_name() - "/dev/vdb" for "254:16"
 * @number: major and minor; anything else is returned as it is
 * @buf: room for the name
 */
const char *kb_device_name(const char *number, char buf[64])
{
	char path[64], link[256], *slash;
	unsigned int major, minor;
	ssize_t n;

	if (sscanf(number, "%u:%u", &major, &minor) != 2)
		return number;
	snprintf(path, sizeof(path), "/sys/dev/block/%u:%u", major, minor);
	n = readlink(path, link, sizeof(link) - 1);
	if (n <= 0)
		return number;
	link[n] = '\0';
	slash = strrchr(link, '/');
	snprintf(buf, 64, "/dev/%.50s", slash ? slash + 1 : link);
	return buf;
}

bool kb_module_loaded(void)
{
	return access("/sys/module/kbroker", F_OK) == 0;
}

/**
 * kb_modprobe() - load the module
 *
 * Return: KB_OK or KB_REFUSED (told, here or by modprobe).
 */
int kb_modprobe(void)
{
	static char *const argv[] = { "modprobe", "kbroker", NULL };
	static const char *const paths[] = { "/sbin/modprobe", "/usr/sbin/modprobe" };
	extern char **environ;
	int err = ENOENT, status;
	pid_t pid;
	size_t i;

	if (kb_module_loaded())
		return KB_OK;
	for (i = 0; i < ARRAY_SIZE(paths) && err; i++)
		err = posix_spawn(&pid, paths[i], NULL, NULL, argv, environ);
	if (err)
		return kb_fail(err, NULL, "cannot run modprobe: %s", strerror(err));
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (WIFEXITED(status) && !WEXITSTATUS(status))
		return KB_OK;
	return kb_fail(0, geteuid() ? "run it as root" :
		       "is the module built for this kernel ('uname -r') and installed?",
		       "the kbroker module could not be loaded");
}
