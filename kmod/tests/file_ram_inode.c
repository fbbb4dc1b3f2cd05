// SPDX-License-Identifier: GPL-2.0-only
/*
 * Files and directories of the RAM disk: their volatile and durable states,
 * the changes in between, and what a loss of power makes of them. Knows no
 * paths, no faults and no counters; those are file_ram.c's.
 */
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "base/clock.h"
#include "tests/file_ram.h"
#include "tests/file_ram_inode.h"

#define KBR_RAM_CAP_MIN		4096

enum kbr_ram_op_type { KBR_RAM_OP_WRITE, KBR_RAM_OP_SIZE, KBR_RAM_OP_NAME };

/**
 * struct kbr_ram_op - an unsynced change
 * @node: in its inode's list
 * @type: which of the following are used
 * @seq: rises over all changes of a disk
 * @pos: WRITE: where
 * @len: WRITE: bytes; SIZE: the new size
 * @data: WRITE: what
 * @del: NAME: entry that goes, or NULL
 * @add: NAME: entry that comes, or NULL; belongs to the op until applied
 */
struct kbr_ram_op {
	struct list_head node;
	enum kbr_ram_op_type type;
	u64 seq;
	size_t pos;
	size_t len;
	u8 *data;
	char *del;
	struct kbr_ram_ent *add;
};

/* splitmix64: any state is good, also a small number */
u64 kbr_ram_rand(u64 *state)
{
	u64 z = (*state += 0x9e3779b97f4a7c15ull);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
	return z ^ (z >> 31);
}

static size_t kbr_ram_rand_below(u64 *state, size_t n)
{
	return n ? kbr_ram_rand(state) % n : 0;
}

static int kbr_ram_image_reserve(struct kbr_ram_image *img, size_t size)
{
	size_t cap = max_t(size_t, img->cap, KBR_RAM_CAP_MIN);
	u8 *data;

	if (size <= img->cap)
		return 0;
	while (cap < size)
		cap *= 2;
	data = kvzalloc(cap, GFP_KERNEL);
	if (!data)
		return -ENOMEM;
	if (img->size)
		memcpy(data, img->data, img->size);
	kvfree(img->data);
	img->data = data;
	img->cap = cap;
	return 0;
}

static int kbr_ram_image_copy(struct kbr_ram_image *to, const struct kbr_ram_image *from,
			      size_t room)
{
	int err = kbr_ram_image_reserve(to, max(from->size, room));

	if (err)
		return err;
	if (from->size)
		memcpy(to->data, from->data, from->size);
	to->size = from->size;
	return 0;
}

/* The capacity has been reserved. */
static void kbr_ram_image_resize(struct kbr_ram_image *img, size_t size)
{
	if (size < img->size)
		memset(img->data + size, 0, img->size - size);
	img->size = size;
}

static void kbr_ram_image_apply(struct kbr_ram_image *img, const struct kbr_ram_op *op)
{
	if (op->type == KBR_RAM_OP_SIZE) {
		kbr_ram_image_resize(img, op->len);
		return;
	}
	if (op->len)
		memcpy(img->data + op->pos, op->data, op->len);
	img->size = max(img->size, op->pos + op->len);
}

static struct kbr_ram_op *kbr_ram_op_alloc(enum kbr_ram_op_type type, u64 seq)
{
	struct kbr_ram_op *op = kzalloc(sizeof(*op), GFP_KERNEL);

	if (op) {
		op->type = type;
		op->seq = seq;
		INIT_LIST_HEAD(&op->node);
	}
	return op;
}

static struct kbr_ram_ent *kbr_ram_ent_alloc(const char *name, struct kbr_ram_inode *inode)
{
	size_t len = strlen(name) + 1;
	struct kbr_ram_ent *ent = kmalloc(struct_size(ent, name, len), GFP_KERNEL);

	if (!ent)
		return NULL;
	memcpy(ent->name, name, len);
	ent->inode = inode;
	inode->refs++;
	return ent;
}

static void kbr_ram_ent_free(struct kbr_ram_ent *ent)
{
	if (!ent)
		return;
	kbr_ram_inode_put(ent->inode);
	kfree(ent);
}

static void kbr_ram_op_free(struct kbr_ram_op *op)
{
	if (!op)
		return;
	list_del(&op->node);
	kvfree(op->data);
	kfree(op->del);
	kbr_ram_ent_free(op->add);
	kfree(op);
}

/**
 * kbr_ram_inode_alloc() - a new file or directory with one reference
 * @is_dir: which
 * @id: its number
 * @used: counter of the disk's live bytes
 */
struct kbr_ram_inode *kbr_ram_inode_alloc(bool is_dir, u64 id, u64 *used)
{
	struct kbr_ram_inode *inode = kzalloc(sizeof(*inode), GFP_KERNEL);

	if (!inode)
		return NULL;
	inode->refs = 1;
	inode->id = id;
	inode->is_dir = is_dir;
	inode->used = used;
	inode->mtime_ms = kbr_clock_now_ms();
	INIT_LIST_HEAD(&inode->ops);
	INIT_LIST_HEAD(&inode->names);
	INIT_LIST_HEAD(&inode->dur_names);
	return inode;
}

static void kbr_ram_names_free(struct list_head *names)
{
	struct kbr_ram_ent *ent, *tmp;

	list_for_each_entry_safe(ent, tmp, names, node) {
		list_del(&ent->node);
		kbr_ram_ent_free(ent);
	}
}

/**
 * kbr_ram_inode_put() - drop a reference, free with the last one
 * @inode: may be NULL
 */
void kbr_ram_inode_put(struct kbr_ram_inode *inode)
{
	struct kbr_ram_op *op, *tmp;
	struct kbr_ram_ent *ent;

	if (!inode || --inode->refs)
		return;
	list_for_each_entry(ent, &inode->names, node)
		ent->inode->parent = NULL;
	list_for_each_entry_safe(op, tmp, &inode->ops, node)
		kbr_ram_op_free(op);
	kbr_ram_names_free(&inode->names);
	kbr_ram_names_free(&inode->dur_names);
	*inode->used -= inode->vol.size;
	kvfree(inode->vol.data);
	kvfree(inode->dur.data);
	kfree(inode);
}

/* Do a change to the volatile content, and remember it until a sync. */
static int kbr_ram_inode_change(struct kbr_ram_inode *inode, struct kbr_ram_op *op, size_t end)
{
	int err = kbr_ram_image_reserve(&inode->dur, end);

	if (!err)
		err = kbr_ram_image_reserve(&inode->vol, end);
	if (err) {
		kbr_ram_op_free(op);
		return err;
	}
	*inode->used -= inode->vol.size;
	kbr_ram_image_apply(&inode->vol, op);
	*inode->used += inode->vol.size;
	inode->mtime_ms = kbr_clock_now_ms();
	list_add_tail(&op->node, &inode->ops);
	return 0;
}

/**
 * kbr_ram_inode_write() - write to a file
 * @inode: the file
 * @buf: what
 * @len: bytes
 * @pos: where
 * @seq: number of the change
 *
 * Return: 0 or -ENOMEM.
 */
int kbr_ram_inode_write(struct kbr_ram_inode *inode, const void *buf, size_t len, size_t pos,
			u64 seq)
{
	struct kbr_ram_op *op;

	if (!len)
		return 0;
	op = kbr_ram_op_alloc(KBR_RAM_OP_WRITE, seq);
	if (!op)
		return -ENOMEM;
	op->pos = pos;
	op->len = len;
	op->data = kvmalloc(len, GFP_KERNEL);
	if (!op->data) {
		kbr_ram_op_free(op);
		return -ENOMEM;
	}
	memcpy(op->data, buf, len);
	return kbr_ram_inode_change(inode, op, pos + len);
}

/**
 * kbr_ram_inode_resize() - truncate or extend a file
 * @inode: the file
 * @size: its new size
 * @seq: number of the change
 *
 * Return: 0 or -ENOMEM.
 */
int kbr_ram_inode_resize(struct kbr_ram_inode *inode, size_t size, u64 seq)
{
	struct kbr_ram_op *op = kbr_ram_op_alloc(KBR_RAM_OP_SIZE, seq);

	if (!op)
		return -ENOMEM;
	op->len = size;
	return kbr_ram_inode_change(inode, op, size);
}

static struct kbr_ram_ent *kbr_ram_names_find(struct list_head *names, const char *name,
					      size_t len)
{
	struct kbr_ram_ent *ent;

	list_for_each_entry(ent, names, node)
		if (strlen(ent->name) == len && !memcmp(ent->name, name, len))
			return ent;
	return NULL;
}

static void kbr_ram_names_apply(struct list_head *names, const char *del, struct kbr_ram_ent *add)
{
	struct kbr_ram_ent *ent;

	if (del) {
		ent = kbr_ram_names_find(names, del, strlen(del));
		if (ent) {
			list_del(&ent->node);
			kbr_ram_ent_free(ent);
		}
	}
	if (add) {
		ent = kbr_ram_names_find(names, add->name, strlen(add->name));
		if (ent) {
			list_del(&ent->node);
			kbr_ram_ent_free(ent);
		}
		list_add_tail(&add->node, names);
	}
}

/* Make the entries of @dir durable up to and including change @last. */
static void kbr_ram_names_sync(struct kbr_ram_inode *dir, const struct kbr_ram_op *last)
{
	struct kbr_ram_op *op, *tmp;
	bool end = false;

	list_for_each_entry_safe(op, tmp, &dir->ops, node) {
		end = op == last;
		kbr_ram_names_apply(&dir->dur_names, op->del, op->add);
		op->add = NULL;
		kbr_ram_op_free(op);
		if (end)
			break;
	}
}

/* Make the name of @inode durable, and those of the directories above. */
static void kbr_ram_inode_sync_name(struct kbr_ram_inode *inode, u64 until)
{
	struct kbr_ram_inode *dir;

	for (dir = inode->parent; dir; inode = dir, dir = dir->parent) {
		struct kbr_ram_op *op, *last = NULL;

		list_for_each_entry(op, &dir->ops, node)
			if (op->seq <= until && op->add && op->add->inode == inode)
				last = op;
		if (last)
			kbr_ram_names_sync(dir, last);
	}
}

/**
 * kbr_ram_inode_sync() - make a file durable, and its name
 * @inode: the file
 * @until: number of the last change that is covered
 */
void kbr_ram_inode_sync(struct kbr_ram_inode *inode, u64 until)
{
	struct kbr_ram_op *op, *tmp;

	list_for_each_entry_safe(op, tmp, &inode->ops, node) {
		if (op->seq > until)
			break;
		kbr_ram_image_apply(&inode->dur, op);
		kbr_ram_op_free(op);
	}
	kbr_ram_inode_sync_name(inode, until);
}

/**
 * kbr_ram_inode_lose() - a sync fails: its data is clean from now on, but not on disk
 * @inode: the file
 * @until: number of the last change that is covered
 * @rand: state of the random numbers that choose what did reach the disk
 *
 * The size is kept as a pending change, since metadata has another way to the
 * disk than data.
 * Return: 0 or -ENOMEM, then nothing is lost.
 */
int kbr_ram_inode_lose(struct kbr_ram_inode *inode, u64 until, u64 *rand)
{
	struct kbr_ram_op *size_op = kbr_ram_op_alloc(KBR_RAM_OP_SIZE, until);
	struct kbr_ram_op *op, *tmp;
	struct kbr_ram_image cur = {};
	size_t at, from, to;

	if (!size_op || kbr_ram_image_copy(&cur, &inode->dur, inode->dur.cap)) {
		kbr_ram_op_free(size_op);
		return -ENOMEM;
	}
	list_for_each_entry_safe(op, tmp, &inode->ops, node) {
		if (op->seq > until)
			break;
		kbr_ram_image_apply(&cur, op);
		if (op->type == KBR_RAM_OP_SIZE)
			kbr_ram_image_resize(&inode->dur, min(op->len, inode->dur.size));
		/* Only below the durable size: above, nothing refers to the blocks yet. */
		for (at = op->pos; op->data && at < op->pos + op->len; at = to) {
			from = round_down(at, KBR_RAM_SECTOR);
			to = from + KBR_RAM_SECTOR;
			if (from < inode->dur.size && kbr_ram_rand(rand) & 1)
				memcpy(inode->dur.data + from, cur.data + from,
				       min(to, inode->dur.size) - from);
		}
		kbr_ram_op_free(op);
	}
	size_op->len = cur.size;
	list_add(&size_op->node, &inode->ops);
	kvfree(cur.data);
	return 0;
}

/**
 * kbr_ram_inode_invalidate() - forget what is cached beyond a position
 * @inode: the file
 * @from: position; unsynced data from here on is dropped
 * @seq: number of the change
 *
 * The size stays. Return: 0 or -ENOMEM.
 */
int kbr_ram_inode_invalidate(struct kbr_ram_inode *inode, size_t from, u64 seq)
{
	struct kbr_ram_op *size_op = kbr_ram_op_alloc(KBR_RAM_OP_SIZE, seq);
	struct kbr_ram_image cur = {};
	struct kbr_ram_op *op;

	if (!size_op || kbr_ram_image_copy(&cur, &inode->dur, inode->dur.cap)) {
		kbr_ram_op_free(size_op);
		return -ENOMEM;
	}
	list_for_each_entry(op, &inode->ops, node) {
		if (op->type == KBR_RAM_OP_WRITE && op->pos + op->len > from)
			op->len = from > op->pos ? from - op->pos : 0;
		if (op->type == KBR_RAM_OP_SIZE || op->len)
			kbr_ram_image_apply(&cur, op);
		else
			op->pos = 0;
	}
	kbr_ram_image_resize(&cur, inode->vol.size);
	if (from < inode->vol.size)
		memcpy(inode->vol.data + from, cur.data + from, inode->vol.size - from);
	size_op->len = inode->vol.size;
	list_add_tail(&size_op->node, &inode->ops);
	kvfree(cur.data);
	return 0;
}

/**
 * kbr_ram_dir_find() - look a name up as it is now
 * @dir: directory
 * @name: need not be terminated
 * @len: its length
 */
struct kbr_ram_ent *kbr_ram_dir_find(struct kbr_ram_inode *dir, const char *name, size_t len)
{
	return kbr_ram_names_find(&dir->names, name, len);
}

/**
 * kbr_ram_dir_change() - add, remove or rename an entry
 * @dir: directory
 * @del: name that goes, or NULL
 * @add: name that comes, replacing what has it, or NULL
 * @inode: what @add names
 * @seq: number of the change
 *
 * Return: 0 or -ENOMEM, then nothing was done.
 */
int kbr_ram_dir_change(struct kbr_ram_inode *dir, const char *del, const char *add,
		       struct kbr_ram_inode *inode, u64 seq)
{
	struct kbr_ram_op *op = kbr_ram_op_alloc(KBR_RAM_OP_NAME, seq);
	struct kbr_ram_ent *ent = NULL, *old;

	if (!op)
		return -ENOMEM;
	if (del) {
		op->del = kstrdup(del, GFP_KERNEL);
		if (!op->del)
			goto err_free;
	}
	if (add) {
		op->add = kbr_ram_ent_alloc(add, inode);
		ent = kbr_ram_ent_alloc(add, inode);
		if (!op->add || !ent)
			goto err_free;
	}

	old = del ? kbr_ram_dir_find(dir, del, strlen(del)) : NULL;
	if (old)
		old->inode->parent = NULL;
	old = add ? kbr_ram_dir_find(dir, add, strlen(add)) : NULL;
	if (old)
		old->inode->parent = NULL;
	if (add)
		inode->parent = dir;
	kbr_ram_names_apply(&dir->names, del, ent);
	list_add_tail(&op->node, &dir->ops);
	return 0;

err_free:
	kbr_ram_ent_free(ent);
	kbr_ram_op_free(op);
	return -ENOMEM;
}

/**
 * kbr_ram_dir_sync() - make the entries of a directory durable, and its own name
 * @dir: directory
 * @until: number of the last change that is covered
 */
void kbr_ram_dir_sync(struct kbr_ram_inode *dir, u64 until)
{
	struct kbr_ram_op *op, *last = NULL;

	list_for_each_entry(op, &dir->ops, node)
		if (op->seq <= until)
			last = op;
	if (last)
		kbr_ram_names_sync(dir, last);
	kbr_ram_inode_sync_name(dir, until);
}

/**
 * struct kbr_ram_cut - how a crash treats one file or directory
 * @first: so many of the unsynced changes were applied for sure
 * @torn: and a part of the next one
 * @in_order: and nothing after that
 * @keep: otherwise a later sector survives with a chance of @keep in 8
 */
struct kbr_ram_cut {
	size_t first;
	bool torn;
	bool in_order;
	unsigned int keep;
};

static struct kbr_ram_cut kbr_ram_cut_choose(struct kbr_ram_inode *inode, u64 seed, u64 *rand)
{
	static const u8 chances[] = { 1, 4, 7 };
	size_t n = list_count_nodes(&inode->ops);
	struct kbr_ram_cut cut = { .in_order = true };

	if (!seed)
		return cut;
	cut.first = n;
	if (seed == U64_MAX)
		return cut;
	switch (kbr_ram_rand(rand) % 8) {
	case 0:
		cut.first = 0;
		break;
	case 1:
		break;
	case 2:
	case 3:
		cut.first = kbr_ram_rand_below(rand, n + 1);
		cut.torn = kbr_ram_rand(rand) & 1;
		break;
	default:
		cut.first = kbr_ram_rand_below(rand, n + 1);
		cut.torn = kbr_ram_rand(rand) & 1;
		cut.in_order = false;
		cut.keep = chances[kbr_ram_rand_below(rand, ARRAY_SIZE(chances))];
	}
	return cut;
}

/*
 * One write of a crashed file. @cur has it and all before it; a sector that
 * survives is copied from there, so it may be overwritten by a later version
 * of itself but never mixes two. In random order even a sector of a write
 * whose size survived may be missing: it then reads as it did before.
 */
static void kbr_ram_crash_write(struct kbr_ram_image *res, const struct kbr_ram_image *cur,
				const struct kbr_ram_op *op, const struct kbr_ram_cut *cut,
				size_t i, u64 *rand)
{
	size_t end = op->pos + op->len, torn = end, at, from, to;

	if (i > cut->first && cut->in_order)
		return;
	if (i == cut->first)
		torn = op->pos + (cut->torn ? kbr_ram_rand_below(rand, op->len + 1) : 0);
	if (i <= cut->first && torn > op->pos)
		res->size = max(res->size, torn);
	for (at = op->pos; at < end; at = to) {
		bool keep = at < torn;

		from = round_down(at, KBR_RAM_SECTOR);
		to = from + KBR_RAM_SECTOR;
		if (!cut->in_order)
			keep = kbr_ram_rand(rand) % 8 < cut->keep;
		if (keep)
			memcpy(res->data + from, cur->data + from, min(to, res->cap) - from);
	}
}

static int kbr_ram_crash_content(struct kbr_ram_inode *old, struct kbr_ram_inode *new, u64 seed)
{
	u64 rand = seed ^ (old->id * 0xd6e8feb86659fd93ull);
	struct kbr_ram_cut cut = kbr_ram_cut_choose(old, seed, &rand);
	struct kbr_ram_image *res = &new->dur;
	struct kbr_ram_image cur = {};
	struct kbr_ram_op *op;
	size_t i = 0;

	if (!old->dur.cap)
		return 0;
	/* The reserved room holds every size that the file went through. */
	if (kbr_ram_image_copy(&cur, &old->dur, old->dur.cap) ||
	    kbr_ram_image_copy(res, &old->dur, old->dur.cap))
		goto err_free;
	list_for_each_entry(op, &old->ops, node) {
		if (i >= cut.first && (!seed || seed == U64_MAX))
			break;
		if (op->type == KBR_RAM_OP_SIZE) {
			/* Blocks of after a truncation can't be in a file of before it. */
			if (i >= cut.first)
				break;
			kbr_ram_image_apply(&cur, op);
			memset(res->data + op->len, 0, res->cap - op->len);
			res->size = op->len;
		} else {
			kbr_ram_image_apply(&cur, op);
			kbr_ram_crash_write(res, &cur, op, &cut, i, &rand);
		}
		i++;
	}
	kvfree(cur.data);
	memset(res->data + res->size, 0, res->cap - res->size);
	if (kbr_ram_image_copy(&new->vol, res, res->cap))
		return -ENOMEM;
	*new->used += new->vol.size;
	new->mtime_ms = old->mtime_ms;
	return 0;

err_free:
	kvfree(cur.data);
	return -ENOMEM;
}

static int kbr_ram_crash_names(struct kbr_ram_inode *old, struct kbr_ram_inode *new, u64 seed)
{
	u64 rand = seed ^ (old->id * 0xd6e8feb86659fd93ull);
	struct kbr_ram_cut cut = kbr_ram_cut_choose(old, seed, &rand);
	struct kbr_ram_ent *ent, *copy;
	struct kbr_ram_inode *inode;
	struct kbr_ram_op *op;
	LIST_HEAD(names);
	size_t i = 0;
	int err = 0;

	/* First which of the old files have which names, then what is in them. */
	list_for_each_entry(ent, &old->dur_names, node) {
		copy = kbr_ram_ent_alloc(ent->name, ent->inode);
		if (!copy)
			goto err_free;
		list_add_tail(&copy->node, &names);
	}
	list_for_each_entry(op, &old->ops, node) {
		if (i++ >= cut.first)
			break;
		copy = op->add ? kbr_ram_ent_alloc(op->add->name, op->add->inode) : NULL;
		if (op->add && !copy)
			goto err_free;
		kbr_ram_names_apply(&names, op->del, copy);
	}
	list_for_each_entry(ent, &names, node) {
		inode = kbr_ram_inode_crash(ent->inode, seed, new->used);
		if (!inode)
			goto err_free;
		err = kbr_ram_dir_change(new, NULL, ent->name, inode, 0);
		kbr_ram_inode_put(inode);
		if (err)
			goto err_free;
	}
	kbr_ram_dir_sync(new, 0);
	kbr_ram_names_free(&names);
	return 0;

err_free:
	kbr_ram_names_free(&names);
	return -ENOMEM;
}

/**
 * kbr_ram_inode_crash() - what is left of a file or directory, and all below it
 * @old: stays as it is
 * @seed: see kbr_ram_crash()
 * @used: counter of the new disk's live bytes
 *
 * Return: an inode with one reference and no unsynced changes, or NULL.
 */
struct kbr_ram_inode *kbr_ram_inode_crash(struct kbr_ram_inode *old, u64 seed, u64 *used)
{
	struct kbr_ram_inode *new = kbr_ram_inode_alloc(old->is_dir, old->id, used);
	int err;

	if (!new)
		return NULL;
	if (old->is_dir)
		err = kbr_ram_crash_names(old, new, seed);
	else
		err = kbr_ram_crash_content(old, new, seed);
	if (err) {
		kbr_ram_inode_put(new);
		return NULL;
	}
	return new;
}
