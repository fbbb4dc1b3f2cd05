// SPDX-License-Identifier: GPL-2.0-only
/*
 * Small files replaced atomically, and Kafka's offset checkpoints in them;
 * see checkpoint.h. What the offsets mean is the callers' business.
 *
 * An offset checkpoint (version 0) is text: a line with the version, a line
 * with the number of entries, then "<topic> <partition> <offset>" a line.
 */
#include <linux/ctype.h>
#include <linux/kernel.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "base/kunit.h"
#include "base/limits.h"
#include "storage/checkpoint.h"

#define KBR_CHECKPOINT_TMP	".tmp"
/* Two components of a path */
#define KBR_CHECKPOINT_PATH_MAX	512
/* A topic's name, a partition, an offset with its sign, two spaces, a newline */
#define KBR_CHECKPOINT_LINE_MAX	(KBR_TOPIC_NAME_MAX + 10 + 20 + 3)
/* All partitions that a broker may have, and its metadata log */
#define KBR_CHECKPOINT_ENTRIES_MAX (KBR_BROKER_PARTITIONS_MAX + 1)
#define KBR_CHECKPOINT_BYTES_MAX ((size_t)KBR_CHECKPOINT_ENTRIES_MAX * KBR_CHECKPOINT_LINE_MAX)

/**
 * kbr_checkpoint_replace() - atomically and durably replace a small file
 * @dir: broker directory
 * @path: file; "@path.tmp" beside it is used and left behind by a crash only
 * @buf: new content
 * @len: bytes at @buf
 *
 * Context: process, waits for the disk.
 * Return: 0: the new content is durable; or an error of the disk: then the old
 * content is still there, or (only if syncing the directory failed) either.
 */
int kbr_checkpoint_replace(struct kbr_dir *dir, const char *path, const void *buf, size_t len)
{
	const char *slash = strchr(path, '/');
	struct kbr_file *file;
	char *tmp, *parent;
	int err;

	if (strlen(path) >= KBR_CHECKPOINT_PATH_MAX)
		return -ENAMETOOLONG;
	tmp = kasprintf(GFP_KERNEL, "%s%s", path, KBR_CHECKPOINT_TMP);
	parent = kstrndup(path, slash ? slash - path : 0, GFP_KERNEL);
	if (!tmp || !parent) {
		err = -ENOMEM;
		goto out_free;
	}
	err = kbr_file_open(dir, tmp, KBR_FILE_CREATE | KBR_FILE_TRUNC, &file);
	if (err)
		goto out_free;
	err = kbr_file_write(file, buf, len, 0);
	if (!err)
		err = kbr_file_sync(file);
	kbr_file_close(file);
	if (!err)
		err = kbr_dir_rename(dir, tmp, path);
	if (err) {
		kbr_dir_unlink(dir, tmp);
		goto out_free;
	}
	err = kbr_dir_sync(dir, parent);
out_free:
	kfree(parent);
	kfree(tmp);
	return err;
}
KBR_EXPORT_IF_KUNIT(kbr_checkpoint_replace);

/**
 * kbr_checkpoint_read() - read a whole small file
 * @dir: broker directory
 * @path: file
 * @max: most bytes accepted
 * @buf: result; kvfree() it; a NUL follows the content
 * @len: bytes of content
 *
 * Return: 0; -EFBIG larger than @max; -ENOENT and others of the disk; -ENOMEM.
 */
int kbr_checkpoint_read(struct kbr_dir *dir, const char *path, size_t max, char **buf, size_t *len)
{
	struct kbr_file *file;
	ssize_t got = 0;
	loff_t size;
	char *text;
	int err;

	err = kbr_file_open(dir, path, KBR_FILE_RDONLY, &file);
	if (err)
		return err;
	size = kbr_file_size(file);
	err = -EFBIG;
	if (size > max)
		goto out_close;
	err = -ENOMEM;
	text = kvmalloc(size + 1, GFP_KERNEL);
	if (!text)
		goto out_close;
	if (size)
		got = kbr_file_read(file, text, size, 0);
	if (got < 0) {
		err = got;
		kvfree(text);
		goto out_close;
	}
	text[got] = '\0';
	*buf = text;
	*len = got;
	err = 0;
out_close:
	kbr_file_close(file);
	return err;
}
KBR_EXPORT_IF_KUNIT(kbr_checkpoint_read);

/* A text that grows while it is printed. */
struct kbr_checkpoint_text {
	char *buf;
	size_t len;
	size_t size;
};

static int kbr_checkpoint_room(struct kbr_checkpoint_text *text, size_t room)
{
	size_t size = max(text->size * 2, text->len + room + 1);
	char *buf;

	if (text->len + room < text->size)
		return 0;
	buf = kvmalloc(size, GFP_KERNEL);
	if (!buf)
		return -ENOMEM;
	if (text->len)
		memcpy(buf, text->buf, text->len);
	kvfree(text->buf);
	text->buf = buf;
	text->size = size;
	return 0;
}

/**
 * kbr_checkpoint_write_offsets() - replace an offset checkpoint
 * @dir: broker directory
 * @path: file
 * @next: fills the next entry and returns 1, 0 at the end, or a negative errno
 *	which ends the writing; called in one go, no lock is held
 * @arg: for @next
 *
 * Return: as kbr_checkpoint_replace(); -E2BIG for more entries than a broker
 * may have partitions; -EINVAL for a name or number that can't be in one.
 */
int kbr_checkpoint_write_offsets(struct kbr_dir *dir, const char *path,
				 int (*next)(void *arg, struct kbr_offset_entry *ent), void *arg)
{
	struct kbr_checkpoint_text body = {};
	struct kbr_offset_entry ent;
	char head[32];
	size_t headlen;
	u32 n = 0;
	int err;

	/* The head says how many entries follow: keep room for it in front. */
	err = kbr_checkpoint_room(&body, PAGE_SIZE - sizeof(head));
	if (err)
		return err;
	body.len = sizeof(head);
	while ((err = next(arg, &ent)) > 0) {
		if (n == KBR_CHECKPOINT_ENTRIES_MAX) {
			err = -E2BIG;
			break;
		}
		if (!*ent.topic || strlen(ent.topic) > KBR_TOPIC_NAME_MAX ||
		    strpbrk(ent.topic, " \t\n\r") || ent.partition > S32_MAX) {
			err = -EINVAL;
			break;
		}
		err = kbr_checkpoint_room(&body, KBR_CHECKPOINT_LINE_MAX);
		if (err)
			break;
		body.len += scnprintf(body.buf + body.len, body.size - body.len, "%s %u %lld\n",
				      ent.topic, ent.partition, ent.offset);
		n++;
	}
	if (!err) {
		headlen = scnprintf(head, sizeof(head), "0\n%u\n", n);
		memcpy(body.buf + sizeof(head) - headlen, head, headlen);
		err = kbr_checkpoint_replace(dir, path, body.buf + sizeof(head) - headlen,
					     body.len - sizeof(head) + headlen);
	}
	kvfree(body.buf);
	return err;
}
KBR_EXPORT_IF_KUNIT(kbr_checkpoint_write_offsets);

/* The next line, without its newline; NULL if there is no whole one left. */
static char *kbr_checkpoint_line(char **rest)
{
	char *line = *rest, *end = strchr(line, '\n');

	if (!end)
		return NULL;
	*end = '\0';
	*rest = end + 1;
	return line;
}

static int kbr_checkpoint_parse_entry(char *line, struct kbr_offset_entry *ent)
{
	char *partition, *offset;

	ent->topic = strsep(&line, " ");
	partition = strsep(&line, " ");
	offset = strsep(&line, " ");
	if (!partition || !offset || line)
		return -EBADMSG;
	if (!*ent->topic || strlen(ent->topic) > KBR_TOPIC_NAME_MAX)
		return -EBADMSG;
	/* kstrto*() would take a sign or a newline, which nobody writes. */
	if (!isdigit(*partition) || (!isdigit(*offset) && *offset != '-'))
		return -EBADMSG;
	if (kstrtou32(partition, 10, &ent->partition) || ent->partition > S32_MAX)
		return -EBADMSG;
	if (kstrtos64(offset, 10, &ent->offset))
		return -EBADMSG;
	return 0;
}

/**
 * kbr_checkpoint_read_offsets() - read an offset checkpoint
 * @dir: broker directory
 * @path: file
 * @entry: called for each entry, whose name is valid during the call only; a
 *	negative errno ends the reading and is returned
 * @arg: for @entry
 *
 * Return: 0; -EBADMSG damaged (entries before the damage were given);
 * -EPROTONOSUPPORT a version above 0; -EFBIG; -ENOENT and others of the disk.
 */
int kbr_checkpoint_read_offsets(struct kbr_dir *dir, const char *path,
				int (*entry)(void *arg, const struct kbr_offset_entry *ent),
				void *arg)
{
	char *text, *rest, *line;
	struct kbr_offset_entry ent;
	u32 version, count, i;
	size_t len;
	int err;

	err = kbr_checkpoint_read(dir, path, KBR_CHECKPOINT_BYTES_MAX, &text, &len);
	if (err)
		return err;
	err = -EBADMSG;
	/* A hole or garbage: the lines below must be the whole file. */
	if (memchr(text, '\0', len))
		goto out_free;
	rest = text;
	line = kbr_checkpoint_line(&rest);
	if (!line || !isdigit(*line) || kstrtou32(line, 10, &version))
		goto out_free;
	if (version) {
		err = -EPROTONOSUPPORT;
		goto out_free;
	}
	line = kbr_checkpoint_line(&rest);
	if (!line || !isdigit(*line) || kstrtou32(line, 10, &count))
		goto out_free;
	for (i = 0; i < count; i++) {
		line = kbr_checkpoint_line(&rest);
		err = line ? kbr_checkpoint_parse_entry(line, &ent) : -EBADMSG;
		if (!err)
			err = entry(arg, &ent);
		if (err)
			goto out_free;
	}
	err = *rest ? -EBADMSG : 0;
out_free:
	kvfree(text);
	return err;
}
KBR_EXPORT_IF_KUNIT(kbr_checkpoint_read_offsets);
