/* SPDX-License-Identifier: GPL-2.0-only */
/* Mounts of the module's file system. */
#ifndef KBROKER_TOOL_MOUNTS_H
#define KBROKER_TOOL_MOUNTS_H

#include <stdbool.h>
#include <sys/types.h>

/* called for each kbroker mount that process @pid sees (0: this one); returns 0 to go on */
typedef int (*kb_mount_visit)(const char *source, const char *target, dev_t dev, void *arg);

int kb_mounts_each(pid_t pid, kb_mount_visit visit, void *arg);
bool kb_mounted(const char *broker, const char *target);
int kb_mount(const char *broker, const char *target);
int kb_unmount_all(const char *broker);
const char *kb_device_name(const char *number, char buf[64]);
char *kb_mount_of(const char *path);
int kb_modprobe(void);
bool kb_module_loaded(void);

#endif /* KBROKER_TOOL_MOUNTS_H */
