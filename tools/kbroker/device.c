// SPDX-License-Identifier: GPL-2.0-only
/* The device files of a topic; see device.h. */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <inttypes.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "device.h"
#include "kbroker.h"
#include "mounts.h"

/**
 * kb_topic_name_problem() - why a name can't be a topic's
 * @name: name
 *
 * Return: the rule it breaks, or NULL.
 */
const char *kb_topic_name_problem(const char *name)
{
	static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
	size_t len = strlen(name);

	if (!len)
		return "it is empty";
	if (len > KB_TOPIC_NAME_MAX)
		return "it is longer than 249 characters";
	if (!strcmp(name, ".") || !strcmp(name, ".."))
		return "it is a directory's name";
	if (name[strspn(name, allowed)])
		return "only letters, digits, '.', '_' and '-' are allowed";
	return NULL;
}

const char *kb_broker_name(void)
{
	return kb.broker ? kb.broker : KB_BROKER_DEFAULT;
}

struct search {
	const char *broker;
	char *target;
};

static int take_target(const char *source, const char *target, dev_t dev, void *arg)
{
	struct search *search = arg;

	(void)dev;
	if (strcmp(source, search->broker))
		return 0;
	search->target = kb_strdup(target);
	return 1;
}

/**
 * kb_device_root() - where the broker's devices are mounted
 *
 * Return: the directory, to be freed; /dev/<name> if it is mounted nowhere.
 */
char *kb_device_root(void)
{
	struct search search = { .broker = kb_broker_name() };

	kb_mounts_each(0, take_target, &search);
	return search.target ? search.target : kb_asprintf("/dev/%s", kb_broker_name());
}

/**
 * kb_topic_dev_find() - find a topic's devices
 * @topic: its name
 * @dev: result; release it with kb_topic_dev_release()
 *
 * Return: KB_OK, KB_USAGE or KB_REFUSED (told).
 */
int kb_topic_dev_find(const char *topic, struct kb_topic_dev *dev)
{
	const char *problem = kb_topic_name_problem(topic);
	char *root, *hint;
	struct stat st;
	int err;

	dev->topic = topic;
	dev->dir = NULL;
	if (problem)
		return kb_usage("'%s' can't be a topic: %s", topic, problem);
	root = kb_device_root();
	dev->dir = kb_asprintf("%s/%s", root, topic);
	if (!stat(dev->dir, &st)) {
		free(root);
		return KB_OK;
	}
	err = errno;
	if (err == ENOENT && !kb_mounted(kb_broker_name(), NULL)) {
		kb_fail(err, "'kbroker broker start --dir DIR' starts one and mounts its devices",
			"the devices of broker %s are not mounted here (%s)", kb_broker_name(), root);
	} else if (err == ENOENT) {
		hint = kb_asprintf("'kbroker topic list' shows those there are, 'kbroker topic create %s' makes it",
				   topic);
		kb_fail(err, hint, "there is no topic %s", topic);
		free(hint);
	} else {
		kb_fail(err, NULL, "%s: %s", dev->dir, strerror(err));
	}
	free(root);
	kb_topic_dev_release(dev);
	return KB_REFUSED;
}

void kb_topic_dev_release(struct kb_topic_dev *dev)
{
	free(dev->dir);
	dev->dir = NULL;
}

static int no_access(const char *path, const char *topic, bool writing)
{
	struct stat st;
	struct passwd *pw;
	struct group *gr;
	char *hint;

	if (stat(path, &st))
		return kb_fail(EACCES, NULL, "%s: %s", path, strerror(EACCES));
	pw = getpwuid(st.st_uid);
	gr = getgrgid(st.st_gid);
	hint = kb_asprintf("it belongs to %s:%s, mode %04o; 'kbroker topic alter %s' changes that",
			   pw ? pw->pw_name : "?", gr ? gr->gr_name : "?", st.st_mode & 0777, topic);
	kb_fail(EACCES, hint, "you may not %s topic %s", writing ? "produce to" : "consume from", topic);
	free(hint);
	return KB_REFUSED;
}

/* open @path; @partition is what it is: a number, -1 "all" or a group. 0, or the errno (told) */
static int open_node(const struct kb_topic_dev *dev, const char *path, int32_t partition, int flags, int *fd)
{
	int err;

	*fd = open(path, flags | O_CLOEXEC);
	err = *fd < 0 ? errno : 0;
	if (err == EACCES || err == EPERM)
		no_access(path, dev->topic, (flags & O_ACCMODE) != O_RDONLY);
	else if (err == EROFS)
		kb_fail(err, NULL, "topic %s is the broker's own: nobody may produce to it", dev->topic);
	else if (err == ENOENT && partition >= 0)
		kb_fail(err, "'kbroker topic describe' shows its partitions", "topic %s has no partition %" PRId32,
			dev->topic, partition);
	else if (err == EBUSY)
		kb_fail(err, "'kbroker group describe --members' shows them; a group has members of one kind at a time",
			"%s: clients of Kafka's protocol are in the group", path);
	else if (err)
		kb_fail(err, err == ENODEV || err == ENXIO ? "the topic was deleted or its broker stopped" : NULL,
			"%s: %s", path, strerror(err));
	return err;
}

/**
 * kb_partition_open() - open a partition's device
 * @dev: topic
 * @partition: number, -1 for "all"
 * @flags: for open(2)
 * @fd: result
 *
 * Return: KB_OK or KB_REFUSED (told).
 */
int kb_partition_open(const struct kb_topic_dev *dev, int32_t partition, int flags, int *fd)
{
	char *path;
	int err;

	if (partition < 0)
		path = kb_asprintf("%s/all", dev->dir);
	else
		path = kb_asprintf("%s/%" PRId32, dev->dir, partition);
	err = open_node(dev, path, partition, flags, fd);
	free(path);
	return err ? KB_REFUSED : KB_OK;
}

/**
 * kb_group_open() - become a member of a consumer group
 * @dev: topic
 * @group: its name
 * @fd: result, without waiting reads
 *
 * Return: KB_OK or KB_REFUSED (told).
 */
int kb_group_open(const struct kb_topic_dev *dev, const char *group, int *fd)
{
	struct kbroker_group name = { .name = (uintptr_t)group, .len = (uint32_t)strlen(group) };
	int flags = O_RDONLY | O_NONBLOCK, err;
	char *path;

	/* what no path can hold is told to "all" */
	if (strchr(group, '/')) {
		if (kb_partition_open(dev, -1, flags, fd) != KB_OK)
			return KB_REFUSED;
		if (!ioctl(*fd, KBROKER_IOC_JOIN_GROUP, &name))
			return KB_OK;
		return kb_fail(errno, NULL, "cannot join group %s on topic %s: %s", group, dev->topic,
			       strerror(errno));
	}
	path = kb_asprintf("%s/@%s", dev->dir, group);
	err = open_node(dev, path, -1, flags, fd);
	free(path);
	return err ? KB_REFUSED : KB_OK;
}

/**
 * kb_device_info() - what an open device is
 * @dev: topic
 * @fd: open device
 * @info: result
 *
 * Return: KB_OK or KB_REFUSED (told).
 */
int kb_device_info(const struct kb_topic_dev *dev, int fd, struct kbroker_info *info)
{
	int err;

	memset(info, 0, sizeof(*info));
	info->size = sizeof(*info);
	if (!ioctl(fd, KBROKER_IOC_GET_INFO, info))
		return KB_OK;
	err = errno;
	return kb_fail(err, err == ENOTTY ? "is kbroker's file system mounted there?" : NULL,
		       "%s is no kbroker device: %s", dev->dir, strerror(err));
}

/**
 * kb_offset_of_time() - offset of the first record of a time or later, asked of the device
 * @dev: topic
 * @partition: number
 * @time: ms since the epoch
 * @offset: result; the high watermark if there is none
 *
 * Return: KB_OK or KB_REFUSED (told).
 */
int kb_offset_of_time(const struct kb_topic_dev *dev, int32_t partition, int64_t time, int64_t *offset)
{
	struct kbroker_seek_time seek = { .timestamp = time, .partition = -1 };
	int fd, ret, err;

	ret = kb_partition_open(dev, partition, O_RDONLY | O_NONBLOCK, &fd);
	if (ret != KB_OK)
		return ret;
	ret = ioctl(fd, KBROKER_IOC_SEEK_TIME, &seek);
	err = errno;
	close(fd);
	if (ret)
		return kb_fail(err, NULL, "partition %" PRId32 " of %s can't be searched: %s", partition,
			       dev->topic, strerror(err));
	*offset = seek.offset;
	return KB_OK;
}

/**
 * kb_parse_partitions() - "0,2,5-7" as a set
 * @option: name of the option, for messages
 * @text: the list, NULL for all
 * @partitions: how many the topic has
 * @wanted: a byte each, set to 1 where it is in the list
 *
 * Return: KB_OK or KB_USAGE (told).
 */
int kb_parse_partitions(const char *option, const char *text, uint32_t partitions, uint8_t *wanted)
{
	const char *p = text;

	memset(wanted, text ? 0 : 1, partitions);
	while (p && *p) {
		unsigned long from, to;
		char *end;

		errno = 0;
		from = strtoul(p, &end, 10);
		if (end == p || *p == '-' || *p == '+' || *p == ' ')
			return kb_usage("--%s: '%s' is not a list of partitions (0,2,5-7)", option, text);
		to = from;
		if (*end == '-') {
			p = end + 1;
			to = strtoul(p, &end, 10);
			if (end == p || to < from)
				return kb_usage("--%s: '%s' is not a list of partitions (0,2,5-7)", option, text);
		}
		if (errno || to >= partitions)
			return kb_fail(ENOENT, NULL, "there is no partition %lu: the topic has %" PRIu32,
				       to, partitions);
		memset(wanted + from, 1, to - from + 1);
		if (*end && (*end != ',' || !end[1]))
			return kb_usage("--%s: '%s' is not a list of partitions (0,2,5-7)", option, text);
		p = end + (*end == ',');
	}
	if (text && !*text)
		return kb_usage("--%s: the list is empty", option);
	return KB_OK;
}
