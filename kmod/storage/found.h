/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What lies in a log's directory: files whose names are those of a segment's,
 * and the leftovers of deletion and cleaning among them. Storage's own.
 */
#ifndef _KBR_STORAGE_FOUND_H
#define _KBR_STORAGE_FOUND_H

#include <linux/types.h>

struct kbr_log;

/** enum kbr_found_kind - what kind of a segment's files */
enum kbr_found_kind {
	KBR_FOUND_LOG,
	KBR_FOUND_INDEX,
	KBR_FOUND_TIME,
	KBR_FOUND_TXN,
	KBR_FOUND_SNAPSHOT,
	KBR_FOUND_KINDS
};

/** enum kbr_found_state - what it waits for, by the last part of its name */
enum kbr_found_state {
	KBR_FOUND_LIVE,
	KBR_FOUND_DELETED,
	KBR_FOUND_CLEANED,
	KBR_FOUND_SWAP,
	KBR_FOUND_STATES
};

/**
 * struct kbr_found - a file whose name is that of a segment's
 * @base: number in the name
 * @kind: enum kbr_found_kind
 * @state: enum kbr_found_state
 */
struct kbr_found {
	s64 base;
	u8 kind;
	u8 state;
};

/**
 * struct kbr_found_all - all of a directory, sorted by base, kind, state
 * @file: the files; kvfree() it
 * @count: how many
 * @room: entries that fit @file
 */
struct kbr_found_all {
	struct kbr_found *file;
	size_t count;
	size_t room;
};

/** kbr_found_list() - read the directory of @log into @all, whose old contents are freed */
int kbr_found_list(struct kbr_log *log, struct kbr_found_all *all);
/** kbr_found_has() - is there such a file that is no leftover */
bool kbr_found_has(const struct kbr_found_all *all, s64 base, u8 kind);
/** kbr_found_path() - its path, with @state's suffix, to be kfree()d; NULL on -ENOMEM */
char *kbr_found_path(struct kbr_log *log, const struct kbr_found *f, unsigned int state);
/** kbr_found_unlink() - remove it; one that is gone is no error */
int kbr_found_unlink(struct kbr_log *log, const struct kbr_found *f);

/**
 * kbr_found_tidy() - deal with leftovers of deletion and cleaning, and indexes without a log
 * @all: the directory; listed anew if it changed
 *
 * Context: while the log is being opened.
 */
int kbr_found_tidy(struct kbr_log *log, struct kbr_found_all *all);

#endif /* _KBR_STORAGE_FOUND_H */
