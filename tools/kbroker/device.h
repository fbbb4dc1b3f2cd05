/* SPDX-License-Identifier: GPL-2.0-only */
/* The device files of a topic: where they are, and opening them with errors people understand. */
#ifndef KBROKER_TOOL_DEVICE_H
#define KBROKER_TOOL_DEVICE_H

#include <stdint.h>

#include <linux/kbroker.h>

#define KB_TOPIC_NAME_MAX 249

/**
 * struct kb_topic_dev - a topic's device directory
 * @topic: its name
 * @dir: "/dev/kbroker/<topic>"
 */
struct kb_topic_dev {
	const char *topic;
	char *dir;
};

const char *kb_topic_name_problem(const char *name);
const char *kb_broker_name(void);
char *kb_device_root(void);
int kb_topic_dev_find(const char *topic, struct kb_topic_dev *dev);
void kb_topic_dev_release(struct kb_topic_dev *dev);
int kb_partition_open(const struct kb_topic_dev *dev, int32_t partition, int flags, int *fd);
int kb_group_open(const struct kb_topic_dev *dev, const char *group, int *fd);
int kb_device_info(const struct kb_topic_dev *dev, int fd, struct kbroker_info *info);
int kb_offset_of_time(const struct kb_topic_dev *dev, int32_t partition, int64_t time, int64_t *offset);
int kb_parse_partitions(const char *option, const char *text, uint32_t partitions, uint8_t *wanted);

#endif /* KBROKER_TOOL_DEVICE_H */
