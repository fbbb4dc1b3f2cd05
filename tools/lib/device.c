// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The devices of a broker: opening their nodes, and the ioctls that producer
 * and consumer both need.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/limits.h"
#include "lib.h"

#define KBL_MOUNT_DEFAULT	"/dev/kbroker"

int kbl_device_open(const char *mount, const char *topic, int partition, int flags)
{
	__u32 format = KBROKER_FORMAT_BATCH;
	char path[PATH_MAX], node[16];
	int fd, err;

	if (!mount)
		mount = getenv("KBROKER_DEVICES");
	if (!mount || !*mount)
		mount = KBL_MOUNT_DEFAULT;
	/* a name with a slash would be another path, and "." no topic */
	if (!*topic || strlen(topic) > KBR_TOPIC_NAME_MAX || strchr(topic, '/') ||
	    !strcmp(topic, ".") || !strcmp(topic, ".."))
		return -EINVAL;
	if (partition < 0)
		snprintf(node, sizeof(node), "all");
	else
		snprintf(node, sizeof(node), "%d", partition);
	if (snprintf(path, sizeof(path), "%s/%s/%s", mount, topic, node) >= (int)sizeof(path))
		return -ENAMETOOLONG;

	do {
		fd = open(path, flags | O_NONBLOCK | O_CLOEXEC);
	} while (fd < 0 && errno == EINTR);
	if (fd < 0)
		return -errno;
	if (ioctl(fd, KBROKER_IOC_SET_FORMAT, &format)) {
		err = -errno;
		close(fd);
		return err;
	}
	return fd;
}

int kbl_device_info(int fd, struct kbroker_info *info)
{
	memset(info, 0, sizeof(*info));
	info->size = sizeof(*info);
	return ioctl(fd, KBROKER_IOC_GET_INFO, info) < 0 ? -errno : 0;
}

int kbl_device_position(int fd, int partition, struct kbroker_position *position)
{
	memset(position, 0, sizeof(*position));
	position->partition = partition;
	return ioctl(fd, KBROKER_IOC_GET_POSITION, position) < 0 ? -errno : 0;
}
