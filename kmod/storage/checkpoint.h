/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Small text files that are replaced atomically: written beside, synced,
 * renamed, directory synced.
 */
#ifndef _KBR_STORAGE_CHECKPOINT_H
#define _KBR_STORAGE_CHECKPOINT_H

#include "storage/file.h"

/** kbr_checkpoint_replace() - atomically and durably replace @path by @len bytes at @buf */
int kbr_checkpoint_replace(struct kbr_dir *dir, const char *path, const void *buf, size_t len);

/**
 * kbr_checkpoint_read() - read a whole small file
 * @max: most bytes accepted; larger is -EFBIG
 * Return: 0 with *@buf (kvfree() it; NUL-terminated) and *@len; -ENOENT, ...
 */
int kbr_checkpoint_read(struct kbr_dir *dir, const char *path, size_t max, char **buf, size_t *len);

/** struct kbr_offset_entry - one line "<topic> <partition> <offset>" of Kafka's checkpoint files */
struct kbr_offset_entry {
	const char *topic;
	u32 partition;
	s64 offset;
};

/**
 * kbr_checkpoint_write_offsets() - write Kafka's text format (version 0) from a callback
 * @next: fills an entry and returns 1; 0 at the end; an error ends it, nothing is replaced
 */
int kbr_checkpoint_write_offsets(struct kbr_dir *dir, const char *path,
				 int (*next)(void *arg, struct kbr_offset_entry *ent), void *arg);
/** kbr_checkpoint_read_offsets() - parse one; a damaged file is -EBADMSG, a newer version -EPROTONOSUPPORT */
int kbr_checkpoint_read_offsets(struct kbr_dir *dir, const char *path,
				int (*entry)(void *arg, const struct kbr_offset_entry *ent), void *arg);

#endif /* _KBR_STORAGE_CHECKPOINT_H */
