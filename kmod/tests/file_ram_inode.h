/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the RAM disk of file_ram.c consists of: files and directories with a
 * volatile and a durable state and the changes in between. Private to
 * file_ram*.c; everything here is called with the disk's mutex held.
 */
#ifndef _KBR_TESTS_FILE_RAM_INODE_H
#define _KBR_TESTS_FILE_RAM_INODE_H

#include <linux/list.h>
#include <linux/types.h>

/**
 * struct kbr_ram_image - content of a file
 * @data: zeros from @size to @cap
 * @cap: bytes allocated
 * @size: size of the file
 */
struct kbr_ram_image {
	u8 *data;
	size_t cap;
	size_t size;
};

/**
 * struct kbr_ram_inode - a file or directory
 * @refs: names, pending names and opens that refer to it
 * @id: number, mixed into the seed of a crash
 * @is_dir: which of the two
 * @used: bytes that the live files of the disk hold, updated with @vol.size
 * @parent: directory that has its name now; NULL if it has none
 * @ops: unsynced changes, oldest first (struct kbr_ram_op)
 * @vol: content as read; its capacity is never above that of @dur
 * @dur: content after power loss
 * @mtime_ms: last change
 * @names: directory: entries now (struct kbr_ram_ent)
 * @dur_names: directory: entries after power loss
 */
struct kbr_ram_inode {
	unsigned int refs;
	u64 id;
	bool is_dir;
	u64 *used;
	struct kbr_ram_inode *parent;
	struct list_head ops;
	struct kbr_ram_image vol;
	struct kbr_ram_image dur;
	s64 mtime_ms;
	struct list_head names;
	struct list_head dur_names;
};

/** struct kbr_ram_ent - a directory entry; holds a reference to @inode */
struct kbr_ram_ent {
	struct list_head node;
	struct kbr_ram_inode *inode;
	char name[];
};

u64 kbr_ram_rand(u64 *state);

struct kbr_ram_inode *kbr_ram_inode_alloc(bool is_dir, u64 id, u64 *used);
void kbr_ram_inode_put(struct kbr_ram_inode *inode);

int kbr_ram_inode_write(struct kbr_ram_inode *inode, const void *buf, size_t len, size_t pos,
			u64 seq);
int kbr_ram_inode_resize(struct kbr_ram_inode *inode, size_t size, u64 seq);
void kbr_ram_inode_sync(struct kbr_ram_inode *inode, u64 until);
int kbr_ram_inode_lose(struct kbr_ram_inode *inode, u64 until, u64 *rand);
int kbr_ram_inode_invalidate(struct kbr_ram_inode *inode, size_t from, u64 seq);

struct kbr_ram_ent *kbr_ram_dir_find(struct kbr_ram_inode *dir, const char *name, size_t len);
int kbr_ram_dir_change(struct kbr_ram_inode *dir, const char *del, const char *add,
		       struct kbr_ram_inode *inode, u64 seq);
void kbr_ram_dir_sync(struct kbr_ram_inode *dir, u64 until);

struct kbr_ram_inode *kbr_ram_inode_crash(struct kbr_ram_inode *old, u64 seed, u64 *used);

#endif /* _KBR_TESTS_FILE_RAM_INODE_H */
