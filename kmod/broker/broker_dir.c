// SPDX-License-Identifier: GPL-2.0-only
/*
 * What is in a broker's directory beside the logs: meta.properties, the lock,
 * the clean-shutdown marker, the reserve. The offset checkpoints are in
 * broker_offsets.c.
 */
#define pr_fmt(fmt) "kbroker: " fmt

#include <linux/kernel.h>
#include <linux/mm.h>
#include <linux/printk.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/uuid.h>

#include "base/uuid.h"
#include "broker/broker.h"
#include "broker/cluster.h"
#include "storage/checkpoint.h"
#include "storage/file.h"

#define KBR_META_PROPERTIES	"meta.properties"
#define KBR_META_BYTES_MAX	(64u << 10)
#define KBR_LOCK_FILE		".lock"
#define KBR_CLEAN_MARKER	".kafka_cleanshutdown"
#define KBR_MARKER_BYTES_MAX	4096
#define KBR_RESERVE_FILE	".reserve"
#define KBR_RESERVE_BYTES	(1u << 20)
/* What is left of it when a stop has used its part */
#define KBR_RESERVE_BYTES_MIN	(KBR_RESERVE_BYTES / 2)
/* The reserve is made anew only when this much more than itself is free */
#define KBR_RESERVE_MARGIN	(4u << 20)

/* ---- meta.properties ---- */

/* What was found in it; ids are -1 and texts NULL where there is none */
struct kbr_meta {
	s32 version;
	s32 node_id;
	const char *cluster_id;
	const char *directory_id;
};

static int kbr_meta_line(struct kbr_meta *meta, char *line)
{
	char *value = strchr(line, '=');
	const char *key;

	line = strim(line);
	if (!*line || *line == '#' || *line == '!')
		return 0;
	if (!value)
		return -EBADMSG;
	*value++ = '\0';
	key = strim(line);
	value = strim(value);
	if (!strcmp(key, "version"))
		return kstrtos32(value, 10, &meta->version);
	if (!strcmp(key, "node.id") || !strcmp(key, "broker.id"))
		return kstrtos32(value, 10, &meta->node_id);
	if (!strcmp(key, "cluster.id"))
		meta->cluster_id = value;
	if (!strcmp(key, "directory.id"))
		meta->directory_id = value;
	return 0;
}

static int kbr_meta_parse(struct kbr_meta *meta, char *text)
{
	char *line;
	int err;

	*meta = (struct kbr_meta) { .version = -1, .node_id = -1 };
	while ((line = strsep(&text, "\n"))) {
		err = kbr_meta_line(meta, line);
		if (err)
			return -EBADMSG;
	}
	return meta->version < 0 ? -EBADMSG : 0;
}

/* @cluster NULL: it belongs to none. */
static int kbr_meta_write(struct kbr_broker *broker, const u8 *cluster)
{
	char id[KBR_UUID_TEXT_LEN + 1], text[160];
	size_t len;

	kbr_uuid_print(broker->directory_id, id);
	len = scnprintf(text, sizeof(text), "version=1\nnode.id=%d\ndirectory.id=%s\n",
			broker->id, id);
	if (cluster) {
		kbr_uuid_print(cluster, id);
		len += scnprintf(text + len, sizeof(text) - len, "cluster.id=%s\n", id);
	}
	return kbr_checkpoint_replace(broker->dir, KBR_META_PROPERTIES, text, len);
}

/* Anything but what a new file system, a shell or an unfinished first start leaves? */
static int kbr_dir_find_foreign(void *arg, const struct kbr_dirent *ent)
{
	static const char * const ours[] = {
		"lost+found", KBR_LOCK_FILE, KBR_RESERVE_FILE, KBR_META_PROPERTIES ".tmp",
	};
	unsigned int i;
	char *name = arg;

	if (!strcmp(ent->name, ".") || !strcmp(ent->name, ".."))
		return 0;
	for (i = 0; i < ARRAY_SIZE(ours); i++)
		if (!strcmp(ent->name, ours[i]))
			return 0;
	strscpy(name, ent->name, 64);
	return 1;
}

/* An empty directory may become a broker's; any other that has no meta.properties is refused. */
static int kbr_dir_check_empty(struct kbr_broker *broker, s32 wanted_id, struct kbr_refusal *why)
{
	char found[64] = "";
	int err;

	err = kbr_dir_list(broker->dir, "", kbr_dir_find_foreign, found);
	if (err < 0)
		return kbr_refuse(why, err, 0, "%.80s can't be read", broker->dir_path);
	if (err > 0)
		return kbr_refuse(why, -EINVAL, 0,
				  "%.80s holds \"%s\" and no meta.properties: it is neither empty nor a Kafka log directory",
				  broker->dir_path, found);
	broker->id = wanted_id < 0 ? 1 : wanted_id;
	return 0;
}

static int kbr_dir_check_meta(struct kbr_broker *broker, const struct kbr_meta *meta,
			      s32 wanted_id, bool *fresh, struct kbr_refusal *why)
{
	u8 cluster[16];

	if (meta->version > 1)
		return kbr_refuse(why, -EPROTONOSUPPORT, 0,
				  "meta.properties of %.80s is of version %d; this module knows up to version 1",
				  broker->dir_path, meta->version);
	if (meta->cluster_id && kbr_uuid_parse(meta->cluster_id, cluster))
		return kbr_refuse(why, -EBADMSG, 0,
				  "cluster.id in meta.properties of %.80s is no UUID: \"%.40s\"",
				  broker->dir_path, meta->cluster_id);
	if (meta->node_id >= 0 && wanted_id >= 0 && meta->node_id != wanted_id)
		return kbr_refuse(why, -EINVAL, 0, "%.80s belongs to node %d, not %d",
				  broker->dir_path, meta->node_id, wanted_id);
	broker->id = meta->node_id >= 0 ? meta->node_id : max(wanted_id, 1);
	*fresh = !meta->directory_id;
	if (!*fresh && kbr_uuid_parse(meta->directory_id, broker->directory_id))
		return kbr_refuse(why, -EBADMSG, 0,
				  "directory.id in meta.properties of %.80s is no UUID",
				  broker->dir_path);
	return meta->cluster_id ? kbr_cluster_create(broker, cluster) : 0;
}

/**
 * kbr_broker_dir_check() - is this directory this broker's to use?
 * @broker: gets its id, and its directory id if there is one
 * @wanted_id: node.id asked for, -1: any
 * @fresh: out: it is to be claimed with kbr_broker_dir_claim()
 * @why: what is wrong with it
 *
 * Changes nothing, since it may turn out to be somebody else's.
 * Return: 0, or an error with the sentence in @why.
 */
int kbr_broker_dir_check(struct kbr_broker *broker, s32 wanted_id, bool *fresh,
			 struct kbr_refusal *why)
{
	struct kbr_meta meta;
	size_t len;
	char *text;
	int err;

	err = kbr_checkpoint_read(broker->dir, KBR_META_PROPERTIES, KBR_META_BYTES_MAX, &text, &len);
	if (err == -ENOENT) {
		*fresh = true;
		return kbr_dir_check_empty(broker, wanted_id, why);
	}
	if (err)
		return kbr_refuse(why, err, 0, "meta.properties of %.80s can't be read",
				  broker->dir_path);
	err = kbr_meta_parse(&meta, text);
	if (err)
		err = kbr_refuse(why, err, 0, "meta.properties of %.80s makes no sense",
				 broker->dir_path);
	else
		err = kbr_dir_check_meta(broker, &meta, wanted_id, fresh, why);
	kvfree(text);
	return err;
}

int kbr_broker_dir_claim(struct kbr_broker *broker, struct kbr_refusal *why)
{
	u8 cluster[16];
	int err;

	generate_random_uuid(broker->directory_id);
	err = kbr_meta_write(broker, kbr_cluster_id(broker, cluster) ? cluster : NULL);
	if (err)
		return kbr_refuse(why, err, 0, "%.80s can't be written", broker->dir_path);
	return 0;
}

int kbr_broker_dir_join(struct kbr_broker *broker, const u8 id[16], struct kbr_refusal *why)
{
	int err = kbr_meta_write(broker, id);

	if (err)
		return kbr_refuse(why, err, 0, "meta.properties of %.80s can't be written",
				  broker->dir_path);
	return 0;
}

/* ---- lock, marker ---- */

int kbr_broker_dir_lock(struct kbr_broker *broker, struct kbr_refusal *why)
{
	int err = kbr_file_open(broker->dir, KBR_LOCK_FILE, KBR_FILE_CREATE, &broker->lock_file);

	if (err)
		return kbr_refuse(why, err, 0, "%.80s can't be written%s", broker->dir_path,
				  err == -EACCES ? ": whoever starts the broker may not" : "");
	err = kbr_file_lock(broker->lock_file);
	if (!err)
		return 0;
	kbr_file_close(broker->lock_file);
	broker->lock_file = NULL;
	if (err == -EBUSY)
		return kbr_refuse(why, err, 0,
				  "%.80s is in use by another program, perhaps a Kafka broker: its %s is locked",
				  broker->dir_path, KBR_LOCK_FILE);
	return kbr_refuse(why, err, 0, "%s in %.80s can't be locked", KBR_LOCK_FILE,
			  broker->dir_path);
}

/* What Kafka writes into it; anything else is a marker without an epoch. */
static s64 kbr_marker_epoch(struct kbr_broker *broker)
{
	static const char key[] = "\"brokerEpoch\":";
	size_t len;
	s64 epoch = -1;
	char *text, *at;

	if (kbr_checkpoint_read(broker->dir, KBR_CLEAN_MARKER, KBR_MARKER_BYTES_MAX, &text, &len))
		return -1;
	at = strstr(text, key);
	if (at) {
		at += strlen(key);
		at[strcspn(at, ",}")] = '\0';
		if (kstrtos64(strim(at), 10, &epoch))
			epoch = -1;
	}
	kvfree(text);
	return epoch;
}

int kbr_broker_dir_take_marker(struct kbr_broker *broker, bool *clean)
{
	s64 epoch = kbr_marker_epoch(broker);
	int err = kbr_dir_unlink(broker->dir, KBR_CLEAN_MARKER);

	*clean = false;
	if (err == -ENOENT)
		return 0;
	if (!err)
		err = kbr_dir_sync(broker->dir, "");
	/* Only a marker that is surely gone may be believed. */
	*clean = !err;
	if (*clean)
		broker->previous_epoch = epoch;
	return err;
}

int kbr_broker_dir_put_marker(struct kbr_broker *broker, s64 epoch)
{
	char text[64];
	size_t len;

	len = scnprintf(text, sizeof(text), "{\"version\":0,\"brokerEpoch\":%lld}",
			(long long)epoch);
	return kbr_checkpoint_replace(broker->dir, KBR_CLEAN_MARKER, text, len);
}

/* ---- reserve ---- */

static int kbr_dir_write_reserve(struct kbr_broker *broker)
{
	struct kbr_file *file;
	void *zeroes;
	loff_t pos;
	int err;

	zeroes = kvzalloc(64 << 10, GFP_KERNEL);
	if (!zeroes)
		return -ENOMEM;
	err = kbr_file_open(broker->dir, KBR_RESERVE_FILE, KBR_FILE_CREATE, &file);
	if (err)
		goto free;
	/* Written, not only allocated: then it is there on every file system. */
	for (pos = kbr_file_size(file); pos < KBR_RESERVE_BYTES && !err; pos += 64 << 10)
		err = kbr_file_write(file, zeroes, 64 << 10, pos);
	if (!err)
		err = kbr_file_sync(file);
	kbr_file_close(file);
	if (err)
		kbr_dir_unlink(broker->dir, KBR_RESERVE_FILE);
free:
	kvfree(zeroes);
	return err;
}

/* Bytes of one of an earlier run, which serves as well: a start on a full disk needs it most. */
static loff_t kbr_dir_reserve_size(struct kbr_broker *broker)
{
	struct kbr_file *file;
	loff_t size;

	if (kbr_file_open(broker->dir, KBR_RESERVE_FILE, KBR_FILE_RDONLY, &file))
		return 0;
	size = kbr_file_size(file);
	kbr_file_close(file);
	return size;
}

void kbr_broker_dir_reserve(struct kbr_broker *broker)
{
	u64 total, avail;
	loff_t size;

	if (READ_ONCE(broker->reserve))
		return;
	size = kbr_dir_reserve_size(broker);
	if (size < KBR_RESERVE_BYTES && !kbr_dir_stat_space(broker->dir, &total, &avail) &&
	    avail >= KBR_RESERVE_BYTES + KBR_RESERVE_MARGIN)
		size = kbr_dir_write_reserve(broker) ? 0 : KBR_RESERVE_BYTES;
	if (size >= KBR_RESERVE_BYTES_MIN)
		WRITE_ONCE(broker->reserve, true);
}

void kbr_broker_dir_ease_stop(struct kbr_broker *broker)
{
	struct kbr_file *file;
	u64 total, avail;

	if (!READ_ONCE(broker->reserve) || kbr_dir_stat_space(broker->dir, &total, &avail) ||
	    avail >= KBR_RESERVE_BYTES_MIN)
		return;
	if (kbr_file_open(broker->dir, KBR_RESERVE_FILE, 0, &file))
		return;
	if (kbr_file_size(file) > KBR_RESERVE_BYTES_MIN &&
	    !kbr_file_truncate(file, KBR_RESERVE_BYTES_MIN))
		/* the space may only be had again once this is on the disk */
		kbr_file_sync(file);
	kbr_file_close(file);
}

bool kbr_broker_dir_spend_reserve(struct kbr_broker *broker)
{
	if (!READ_ONCE(broker->reserve))
		return false;
	WRITE_ONCE(broker->reserve, false);
	pr_warn_ratelimited("%s: the disk is full: uses its reserve for retention and metadata\n",
			    broker->name);
	if (kbr_dir_unlink(broker->dir, KBR_RESERVE_FILE))
		return false;
	return !kbr_dir_sync(broker->dir, "");
}
