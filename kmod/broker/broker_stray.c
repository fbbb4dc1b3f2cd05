// SPDX-License-Identifier: GPL-2.0-only
/*
 * Partition directories that no topic has: of a deletion or a creation that a
 * crash cut off (finished, or undone), and of somebody else (set aside).
 */
#define pr_fmt(fmt) "kbroker: " fmt

#include <linux/ctype.h>
#include <linux/mm.h>
#include <linux/printk.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "base/uuid.h"
#include "broker/broker_start.h"
#include "broker/partition.h"
#include "broker/topic.h"
#include "storage/checkpoint.h"

#define KBR_PARTITION_META	"partition.metadata"
#define KBR_PARTITION_META_MAX	4096

/* The longest name of a directory entry, and of one in a directory */
#define KBR_STRAY_NAME_MAX	255
#define KBR_STRAY_PATH_SIZE	(2 * KBR_STRAY_NAME_MAX + 2)

/* One directory to deal with */
struct kbr_stray {
	struct list_head node;
	char name[];
};

struct kbr_stray_scan {
	struct kbr_broker *broker;
	struct list_head found;
};

/* Split "<topic>-<n>"; false if it is no such name. */
static bool kbr_stray_split(const char *name, char *topic, u32 *partition)
{
	const char *dash = strrchr(name, '-');

	if (!dash || dash == name || dash - name > KBR_TOPIC_NAME_MAX || !isdigit(dash[1]) ||
	    (dash[1] == '0' && dash[2]) || kstrtou32(dash + 1, 10, partition))
		return false;
	memcpy(topic, name, dash - name);
	topic[dash - name] = '\0';
	return true;
}

/* Collects: the directory can't be changed while it is listed. */
static int kbr_stray_look(void *arg, const struct kbr_dirent *ent)
{
	struct kbr_stray_scan *scan = arg;
	char name[KBR_TOPIC_NAME_MAX + 1];
	struct kbr_topic *topic;
	struct kbr_stray *stray;
	bool known = false;
	u32 partition;
	size_t size;

	if (!ent->is_dir || strlen(ent->name) > KBR_STRAY_NAME_MAX ||
	    !kbr_stray_split(ent->name, name, &partition))
		return 0;
	if (!strcmp(ent->name, KBR_METADATA_TOPIC "-0"))
		return 0;
	topic = kbr_topic_lookup(scan->broker, name);
	if (topic)
		known = partition < kbr_topic_partitions(topic);
	kbr_topic_put(topic);
	if (known)
		return 0;
	size = strlen(ent->name) + 1;
	stray = kmalloc(struct_size(stray, name, size), GFP_KERNEL);
	if (!stray)
		return -ENOMEM;
	memcpy(stray->name, ent->name, size);
	list_add_tail(&stray->node, &scan->found);
	return 0;
}

/*
 * Is @stray what a removal left? Its partition.metadata names a topic that was
 * deleted, or went before the rest of a directory of that name.
 */
static bool kbr_stray_is_deleted(struct kbr_broker *broker, const struct kbr_stray *stray)
{
	char path[KBR_STRAY_PATH_SIZE], topic[KBR_TOPIC_NAME_MAX + 1];
	char id[KBR_UUID_TEXT_LEN + 1], *text;
	struct kbr_deleted *deleted;
	bool found = false;
	u32 partition;
	size_t len;
	int err;

	if (list_empty(&broker->start->deleted) || !kbr_stray_split(stray->name, topic, &partition))
		return false;
	snprintf(path, sizeof(path), "%s/%s", stray->name, KBR_PARTITION_META);
	err = kbr_checkpoint_read(broker->dir, path, KBR_PARTITION_META_MAX, &text, &len);
	if (err && err != -ENOENT)
		return false;
	if (err)
		text = NULL;
	list_for_each_entry(deleted, &broker->start->deleted, node) {
		if (strcmp(deleted->name, topic))
			continue;
		kbr_uuid_print(deleted->id, id);
		found = !text || strstr(text, id);
		break;
	}
	kvfree(text);
	return found;
}

struct kbr_stray_content {
	struct kbr_broker *broker;
	const char *name;
	char log[KBR_STRAY_NAME_MAX + 1];
	unsigned int logs;
};

static int kbr_stray_look_inside(void *arg, const struct kbr_dirent *ent)
{
	struct kbr_stray_content *content = arg;
	size_t len = strlen(ent->name);

	if (len < 4 || len > KBR_STRAY_NAME_MAX || strcmp(ent->name + len - 4, ".log"))
		return 0;
	strscpy(content->log, ent->name, sizeof(content->log));
	return ++content->logs > 1;
}

/* No segment, or a single one without a byte: nothing was ever written there. */
static bool kbr_stray_is_empty(struct kbr_broker *broker, const struct kbr_stray *stray)
{
	struct kbr_stray_content *content;
	char path[KBR_STRAY_PATH_SIZE];
	struct kbr_file *file;
	bool empty = false;
	int err;

	content = kzalloc(sizeof(*content), GFP_KERNEL);
	if (!content)
		return false;
	err = kbr_dir_list(broker->dir, stray->name, kbr_stray_look_inside, content);
	if (!err && !content->logs) {
		empty = true;
	} else if (!err) {
		snprintf(path, sizeof(path), "%s/%s", stray->name, content->log);
		if (!kbr_file_open(broker->dir, path, KBR_FILE_RDONLY, &file)) {
			empty = !kbr_file_size(file);
			kbr_file_close(file);
		}
	}
	kfree(content);
	return empty;
}

/* Set aside what is not ours to delete. */
static void kbr_stray_set_aside(struct kbr_broker *broker, const struct kbr_stray *stray)
{
	char to[KBR_STRAY_PATH_SIZE];
	unsigned int i;
	int err = -EEXIST;

	for (i = 0; i < 100 && (err == -EEXIST || err == -ENOTEMPTY); i++) {
		if (i)
			snprintf(to, sizeof(to), "%s.%u-stray", stray->name, i);
		else
			snprintf(to, sizeof(to), "%s-stray", stray->name);
		err = kbr_dir_rename(broker->dir, stray->name, to);
	}
	if (err)
		pr_warn("%s: %s belongs to no topic and can't be set aside (%d)\n", broker->name,
			stray->name, err);
	else
		pr_warn("%s: %s belongs to no topic: renamed to %s\n", broker->name, stray->name,
			to);
}

/* As kbr_log_delete() does it: renamed first, so that a crash leaves no half directory. */
static int kbr_stray_remove(struct kbr_broker *broker, const struct kbr_stray *stray)
{
	char to[KBR_STRAY_PATH_SIZE];

	snprintf(to, sizeof(to), "%.200s.%08x-delete", stray->name, get_random_u32());
	return kbr_dir_rename(broker->dir, stray->name, to);
}

void kbr_start_delete_leftovers(struct kbr_broker *broker)
{
	int err = kbr_log_delete_leftovers(broker->dir);

	/* In nobody's way: their names are no partition's. */
	if (err)
		pr_warn("%s: unfinished deletions can't be finished (%d): the next start tries again\n",
			broker->name, err);
}

int kbr_start_tidy(struct kbr_broker *broker)
{
	struct kbr_stray_scan scan = {
		.broker = broker,
		.found = LIST_HEAD_INIT(scan.found),
	};
	struct kbr_stray *stray, *next;
	bool removed = false;
	int err;

	err = kbr_dir_list(broker->dir, "", kbr_stray_look, &scan);
	list_for_each_entry_safe(stray, next, &scan.found, node) {
		if (err) {
			/* Listing failed: leave all as it is. */
		} else if (kbr_stray_is_deleted(broker, stray) ||
			   kbr_stray_is_empty(broker, stray)) {
			if (!kbr_stray_remove(broker, stray))
				removed = true;
		} else {
			kbr_stray_set_aside(broker, stray);
		}
		kfree(stray);
	}
	if (removed)
		kbr_start_delete_leftovers(broker);
	return err;
}
