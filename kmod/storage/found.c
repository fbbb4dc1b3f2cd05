// SPDX-License-Identifier: GPL-2.0-only
/*
 * What lies in a log's directory; see found.h. Names are parsed here and
 * leftovers removed; what is in the files is recovery.c's business.
 */
#include <linux/kernel.h>
#include <linux/mm.h>
#include <linux/overflow.h>
#include <linux/slab.h>
#include <linux/sort.h>
#include <linux/string.h>

#include "base/limits.h"
#include "storage/found.h"
#include "storage/log_internal.h"

/* Bytes read at once to walk headers */
#define KBR_FOUND_CHUNK		(16U << 10)

static const char * const kbr_found_kinds[] = {
	[KBR_FOUND_LOG] = KBR_SUFFIX_LOG,
	[KBR_FOUND_INDEX] = KBR_SUFFIX_INDEX,
	[KBR_FOUND_TIME] = KBR_SUFFIX_TIME,
	[KBR_FOUND_TXN] = KBR_SUFFIX_TXN,
	[KBR_FOUND_SNAPSHOT] = KBR_SUFFIX_SNAPSHOT,
};

static const char * const kbr_found_states[] = {
	[KBR_FOUND_LIVE] = "",
	[KBR_FOUND_DELETED] = KBR_SUFFIX_DELETED,
	[KBR_FOUND_CLEANED] = ".cleaned",
	[KBR_FOUND_SWAP] = ".swap",
};

static bool kbr_found_parse(const char *name, struct kbr_found *f)
{
	unsigned int i, j;

	f->base = 0;
	for (i = 0; i < 20; i++) {
		if (name[i] < '0' || name[i] > '9' ||
		    check_mul_overflow(f->base, (s64)10, &f->base) ||
		    check_add_overflow(f->base, (s64)(name[i] - '0'), &f->base))
			return false;
	}
	name += i;
	for (i = 0; i < KBR_FOUND_KINDS; i++) {
		size_t len = strlen(kbr_found_kinds[i]);

		if (strncmp(name, kbr_found_kinds[i], len))
			continue;
		for (j = 0; j < KBR_FOUND_STATES; j++) {
			if (strcmp(name + len, kbr_found_states[j]))
				continue;
			f->kind = i;
			f->state = j;
			return true;
		}
	}
	return false;
}

static int kbr_found_add(void *arg, const struct kbr_dirent *ent)
{
	struct kbr_found_all *all = arg;
	struct kbr_found f;

	if (ent->is_dir || !kbr_found_parse(ent->name, &f))
		return 0;
	if (all->count == all->room) {
		size_t room = all->room ? 2 * all->room : 16;
		struct kbr_found *file = kvmalloc_array(room, sizeof(*file), GFP_KERNEL_ACCOUNT);

		if (!file)
			return -ENOMEM;
		if (all->count)
			memcpy(file, all->file, all->count * sizeof(*file));
		kvfree(all->file);
		all->file = file;
		all->room = room;
	}
	all->file[all->count++] = f;
	return 0;
}

static int kbr_found_compare(const void *pa, const void *pb)
{
	const struct kbr_found *a = pa, *b = pb;

	if (a->base != b->base)
		return a->base < b->base ? -1 : 1;
	if (a->kind != b->kind)
		return a->kind - b->kind;
	return a->state - b->state;
}

int kbr_found_list(struct kbr_log *log, struct kbr_found_all *all)
{
	int err;

	kvfree(all->file);
	memset(all, 0, sizeof(*all));
	err = kbr_dir_list(log->env->dir, log->name, kbr_found_add, all);
	if (!err)
		sort(all->file, all->count, sizeof(*all->file), kbr_found_compare, NULL);
	return err;
}

char *kbr_found_path(struct kbr_log *log, const struct kbr_found *f, unsigned int state)
{
	return kasprintf(GFP_KERNEL, "%s/%020lld%s%s", log->name, f->base,
			 kbr_found_kinds[f->kind], kbr_found_states[state]);
}

int kbr_found_unlink(struct kbr_log *log, const struct kbr_found *f)
{
	char *path = kbr_found_path(log, f, f->state);
	int err = path ? kbr_dir_unlink(log->env->dir, path) : -ENOMEM;

	kfree(path);
	return err == -ENOENT ? 0 : err;
}

/* offset behind the last batch of a cleaner's result; its base if there is none */
static int kbr_found_next_offset(struct kbr_log *log, const struct kbr_found *f, s64 *next)
{
	struct kbr_file *file;
	struct kbr_batch batch;
	struct kbr_scan scan;
	char *path;
	int err;

	*next = f->base;
	path = kbr_found_path(log, f, f->state);
	err = path ? kbr_file_open(log->env->dir, path, KBR_FILE_RDONLY, &file) : -ENOMEM;
	kfree(path);
	if (err)
		return err;
	err = kbr_scan_start(&scan, file, 0,
			     min_t(loff_t, kbr_file_size(file), KBR_SEGMENT_BYTES_MAX),
			     KBR_FOUND_CHUNK);
	if (!err) {
		while ((err = kbr_scan_header(&scan, &batch)) == 1) {
			*next = kbr_batch_last_offset(&batch) + 1;
			kbr_scan_next(&scan, &batch);
		}
		kbr_scan_stop(&scan);
	}
	kbr_file_close(file);
	return err == -EBADMSG ? 0 : err;
}

/*
 * A cleaner's complete results take the place of what they were made from:
 * [first base, end of the last). Those not below the oldest unfinished result
 * belong to a group that was not complete.
 */
static int kbr_found_swap(struct kbr_log *log, struct kbr_found_all *all, s64 unfinished)
{
	s64 from = S64_MAX, to = S64_MIN, next;
	size_t i;
	int err;

	for (i = 0; i < all->count; i++) {
		struct kbr_found *f = &all->file[i];

		if (f->state != KBR_FOUND_SWAP)
			continue;
		if (f->base >= unfinished) {
			err = kbr_found_unlink(log, f);
			if (err)
				return err;
			continue;
		}
		if (f->kind != KBR_FOUND_LOG)
			continue;
		err = kbr_found_next_offset(log, f, &next);
		if (err)
			return err;
		from = min(from, f->base);
		to = max(to, next);
	}
	for (i = 0; i < all->count; i++) {
		struct kbr_found *f = &all->file[i];
		char *old, *new;

		err = 0;
		if (f->state == KBR_FOUND_LIVE && f->kind != KBR_FOUND_SNAPSHOT &&
		    f->base >= from && f->base < to) {
			err = kbr_found_unlink(log, f);
		} else if (f->state == KBR_FOUND_SWAP && f->base < unfinished) {
			old = kbr_found_path(log, f, KBR_FOUND_SWAP);
			new = kbr_found_path(log, f, KBR_FOUND_LIVE);
			err = old && new ? kbr_dir_rename(log->env->dir, old, new) : -ENOMEM;
			kfree(old);
			kfree(new);
		}
		if (err)
			return err;
	}
	return kbr_dir_sync(log->env->dir, log->name);
}

int kbr_found_tidy(struct kbr_log *log, struct kbr_found_all *all)
{
	s64 unfinished = S64_MAX;
	bool changed = false, swap = false, live = false;
	size_t i;
	int err = 0;

	for (i = 0; i < all->count; i++)
		if (all->file[i].state == KBR_FOUND_CLEANED)
			unfinished = min(unfinished, all->file[i].base);
	for (i = 0; i < all->count && !err; i++) {
		struct kbr_found *f = &all->file[i];

		if (f->state == KBR_FOUND_SWAP)
			swap = true;
		if (f->state != KBR_FOUND_DELETED && f->state != KBR_FOUND_CLEANED)
			continue;
		err = kbr_found_unlink(log, f);
		changed = true;
	}
	if (!err && swap)
		err = kbr_found_swap(log, all, unfinished);
	if (!err && (changed || swap))
		err = kbr_found_list(log, all);
	for (i = 0; i < all->count && !err; i++) {
		struct kbr_found *f = &all->file[i];

		/* sorted: a segment's log comes before the rest of it */
		if (!i || f->base != f[-1].base)
			live = false;
		if (f->kind == KBR_FOUND_LOG)
			live = true;
		else if (!live && f->kind != KBR_FOUND_SNAPSHOT)
			err = kbr_found_unlink(log, f);
	}
	return err;
}

bool kbr_found_has(const struct kbr_found_all *all, s64 base, u8 kind)
{
	size_t i;

	for (i = 0; i < all->count; i++)
		if (all->file[i].base == base && all->file[i].kind == kind &&
		    all->file[i].state == KBR_FOUND_LIVE)
			return true;
	return false;
}
