// SPDX-License-Identifier: GPL-2.0-only
/*
 * The file system that shows a broker's device nodes: <topic>/<partition>,
 * <topic>/all and <topic>/@<group>. Nodes are made on lookup and forgotten with
 * their last user; the nodes themselves are ordinary device files, opened through the
 * character device layer. The contract is Documentation/ABI/testing/dev-kbroker.
 *
 * A mount knows the broker's name only, so both come and go independently. An
 * inode below the root holds its topic; once that is gone, the name is looked
 * up anew, and permission() keeps old paths and bind mounts from opening
 * whatever has the numbers by then.
 */
#include <linux/fs.h>
#include <linux/fs_context.h>
#include <linux/kdev_t.h>
#include <linux/module.h>
#include <linux/namei.h>
#include <linux/slab.h>
#include <linux/statfs.h>

#include "broker/access.h"
#include "broker/broker.h"
#include "broker/node.h"
#include "broker/partition.h"
#include "broker/topic.h"
#include "fs/kbrokerfs.h"
#include "kbr_compat.h"

#define KBR_FS_MAGIC		0x6b62726bul	/* "kbrk" */
#define KBR_FS_ROOT_INO		1
/* N11: stdio makes its buffers of this size, and each of its writes may be a disk sync. */
#define KBR_FS_BLKSIZE		(64u << 10)
/* Directories of topics and nodes have inode numbers in halves of their own. */
#define KBR_FS_DIR_INO		BIT(31)

/* The broker that @inode's mount shows, with a reference; NULL: none runs. */
static struct kbr_broker *kbr_fs_broker(const struct inode *inode)
{
	return kbr_broker_lookup(inode->i_sb->s_fs_info);
}

/* NULL for the root. The inode holds a reference. */
static struct kbr_topic *kbr_fs_topic(const struct inode *inode)
{
	return inode->i_private;
}

static const struct inode_operations kbr_fs_group_iops;

/* G1: a group's node holds what its number leads to. */
static bool kbr_fs_is_group(const struct inode *inode)
{
	return inode->i_op == &kbr_fs_group_iops;
}

static unsigned long kbr_fs_topic_ino(const struct kbr_topic *topic)
{
	u32 id;

	memcpy(&id, topic->id, sizeof(id));
	return KBR_FS_DIR_INO | (id >> 1);
}

static unsigned long kbr_fs_node_ino(u32 minor)
{
	return KBR_FS_ROOT_INO + 1 + minor;
}

/* N6: what stat() shows and the VFS judges by, as it is now. */
static void kbr_fs_refresh(struct inode *inode)
{
	struct kbr_topic *topic = kbr_fs_topic(inode);
	umode_t mode;

	if (!topic)
		return;
	mode = topic->internal ? 0400 : READ_ONCE(topic->mode) & 0666;
	if (kbr_fs_is_group(inode))
		mode &= 0444;
	WRITE_ONCE(inode->i_uid, topic->internal ? GLOBAL_ROOT_UID : READ_ONCE(topic->uid));
	WRITE_ONCE(inode->i_gid, topic->internal ? GLOBAL_ROOT_GID : READ_ONCE(topic->gid));
	if (!S_ISDIR(inode->i_mode))
		WRITE_ONCE(inode->i_mode, S_IFCHR | mode);
}

/* The root's owner is the broker's, root's while none runs. */
static void kbr_fs_refresh_root(struct inode *inode)
{
	struct kbr_broker *broker = kbr_fs_broker(inode);

	WRITE_ONCE(inode->i_uid, broker ? READ_ONCE(broker->uid) : GLOBAL_ROOT_UID);
	WRITE_ONCE(inode->i_gid, broker ? READ_ONCE(broker->gid) : GLOBAL_ROOT_GID);
	if (broker)
		kbr_broker_put(broker);
}

static int kbr_fs_permission(struct mnt_idmap *idmap, struct inode *inode, int mask)
{
	struct kbr_topic *topic = kbr_fs_topic(inode);

	/* A path walk under RCU holds the inode, but not its topic. */
	if (topic && (mask & MAY_NOT_BLOCK))
		return -ECHILD;
	/* N10: its numbers may be another topic's by now. */
	if (!S_ISDIR(inode->i_mode) && kbr_topic_gone(topic))
		return -ENXIO;
	if (kbr_fs_is_group(inode) && (mask & MAY_WRITE))
		return -EROFS;
	kbr_fs_refresh(inode);
	return generic_permission(idmap, inode, mask);
}

static int kbr_fs_getattr(struct mnt_idmap *idmap, const struct path *path, struct kstat *stat,
			  u32 request_mask, unsigned int query_flags)
{
	struct inode *inode = d_inode(path->dentry);

	if (kbr_fs_topic(inode))
		kbr_fs_refresh(inode);
	else
		kbr_fs_refresh_root(inode);
	generic_fillattr(idmap, request_mask, inode, stat);
	if (S_ISCHR(inode->i_mode))
		stat->blksize = KBR_FS_BLKSIZE;
	return 0;
}

/* N5 */
static int kbr_fs_setattr(struct mnt_idmap *idmap, struct dentry *dentry, struct iattr *attr)
{
	return -EPERM;
}

static struct inode *kbr_fs_inode(struct super_block *sb, umode_t mode, unsigned long ino)
{
	struct inode *inode = new_inode(sb);

	if (!inode)
		return NULL;
	inode->i_ino = ino;
	inode->i_mode = mode;
	inode->i_flags |= S_NOATIME | S_NOCMTIME;
	kbr_inode_init_times(inode);
	return inode;
}

/* A directory or node of @topic; takes over the caller's reference, also on failure. */
static struct inode *kbr_fs_topic_inode(struct super_block *sb, struct kbr_topic *topic,
					umode_t mode, unsigned long ino)
{
	struct inode *inode = kbr_fs_inode(sb, mode, ino);

	if (!inode) {
		kbr_topic_put(topic);
		return ERR_PTR(-ENOMEM);
	}
	inode->i_private = topic;
	kbr_fs_refresh(inode);
	return inode;
}

static const struct inode_operations kbr_fs_node_iops = {
	.permission	= kbr_fs_permission,
	.getattr	= kbr_fs_getattr,
	.setattr	= kbr_fs_setattr,
};

static const struct inode_operations kbr_fs_group_iops = {
	.permission	= kbr_fs_permission,
	.getattr	= kbr_fs_getattr,
	.setattr	= kbr_fs_setattr,
};

/* "@group" is there for whoever may consume; a minor comes and goes with the inode. */
static struct dentry *kbr_fs_group_lookup(struct inode *dir, struct dentry *dentry)
{
	struct kbr_topic *topic = kbr_fs_topic(dir);
	size_t len = dentry->d_name.len - 1;
	struct kbr_node_group *group;
	struct inode *inode;
	int err;

	if (!len)
		return ERR_PTR(-ENOENT);
	if (len > KBR_GROUP_NAME_MAX)
		return ERR_PTR(-ENAMETOOLONG);
	err = kbr_access_check(topic, current_cred(), KBR_MAY_CONSUME);
	if (err)
		return ERR_PTR(err);
	group = kbr_node_create_group(topic, dentry->d_name.name + 1, len);
	if (IS_ERR(group))
		return ERR_CAST(group);
	kbr_topic_get(topic);
	inode = kbr_fs_topic_inode(dir->i_sb, topic, S_IFCHR, kbr_fs_node_ino(group->minor));
	if (IS_ERR(inode)) {
		kbr_node_put_group(group);
		return ERR_CAST(inode);
	}
	init_special_inode(inode, inode->i_mode, MKDEV(MAJOR(kbr_node_devt), group->minor));
	inode->i_op = &kbr_fs_group_iops;
	kbr_fs_refresh(inode);
	return d_splice_alias(inode, dentry);
}

/* The partition that @name means in canonical decimal, -1 for "all", or -ENOENT. */
static s64 kbr_fs_parse_node(const char *name)
{
	u32 index;

	if (!strcmp(name, "all"))
		return -1;
	if (name[0] < '0' || name[0] > '9' || (name[0] == '0' && name[1]) ||
	    kstrtou32(name, 10, &index) || index >= KBR_TOPIC_PARTITIONS_MAX)
		return -ENOENT;
	return index;
}

static struct dentry *kbr_fs_topic_dir_lookup(struct inode *dir, struct dentry *dentry,
					      unsigned int flags)
{
	struct kbr_topic *topic = kbr_fs_topic(dir);
	s64 index = kbr_fs_parse_node(dentry->d_name.name);
	struct kbr_partition *part;
	struct inode *inode;
	u32 minor;

	if (kbr_topic_gone(topic))
		return ERR_PTR(-ENOENT);
	if (dentry->d_name.name[0] == '@')
		return kbr_fs_group_lookup(dir, dentry);
	if (index < -1)
		return ERR_PTR(-ENOENT);
	minor = topic->all_minor;
	if (index >= 0) {
		part = kbr_topic_partition(topic, index);
		if (!part)
			return ERR_PTR(-ENOENT);
		minor = part->minor;
	}
	kbr_topic_get(topic);
	inode = kbr_fs_topic_inode(dir->i_sb, topic, S_IFCHR, kbr_fs_node_ino(minor));
	if (IS_ERR(inode))
		return ERR_CAST(inode);
	init_special_inode(inode, inode->i_mode, MKDEV(MAJOR(kbr_node_devt), minor));
	inode->i_op = &kbr_fs_node_iops;
	return d_splice_alias(inode, dentry);
}

/* "all" is 2, partition n is n + 3. */
static int kbr_fs_topic_iterate(struct file *file, struct dir_context *ctx)
{
	struct kbr_topic *topic = kbr_fs_topic(file_inode(file));
	struct kbr_partition *part;
	char name[16];
	int len;

	if (!dir_emit_dots(file, ctx))
		return 0;
	if (kbr_topic_gone(topic))
		return 0;
	if (ctx->pos == 2) {
		if (!dir_emit(ctx, "all", 3, kbr_fs_node_ino(topic->all_minor), DT_CHR))
			return 0;
		ctx->pos++;
	}
	while (ctx->pos - 3 < KBR_TOPIC_PARTITIONS_MAX) {
		part = kbr_topic_partition(topic, ctx->pos - 3);
		if (!part)
			break;
		len = scnprintf(name, sizeof(name), "%u", part->index);
		if (!dir_emit(ctx, name, len, kbr_fs_node_ino(part->minor), DT_CHR))
			break;
		ctx->pos++;
	}
	return 0;
}

static const struct inode_operations kbr_fs_topic_iops = {
	.lookup		= kbr_fs_topic_dir_lookup,
	.permission	= kbr_fs_permission,
	.getattr	= kbr_fs_getattr,
	.setattr	= kbr_fs_setattr,
};

static const struct file_operations kbr_fs_topic_fops = {
	.owner		= THIS_MODULE,
	.llseek		= generic_file_llseek,
	.read		= generic_read_dir,
	.iterate_shared	= kbr_fs_topic_iterate,
	.fsync		= noop_fsync,
};

static struct dentry *kbr_fs_root_lookup(struct inode *dir, struct dentry *dentry,
					 unsigned int flags)
{
	struct kbr_broker *broker;
	struct kbr_topic *topic;
	struct inode *inode;

	broker = kbr_fs_broker(dir);
	if (!broker)
		return ERR_PTR(-ENOENT);
	topic = kbr_topic_lookup(broker, dentry->d_name.name);
	kbr_broker_put(broker);
	/* N4: an error, not a negative dentry: it ends open(O_CREAT), too. */
	if (!topic)
		return ERR_PTR(-ENOENT);
	inode = kbr_fs_topic_inode(dir->i_sb, topic, S_IFDIR | 0555, kbr_fs_topic_ino(topic));
	if (IS_ERR(inode))
		return ERR_CAST(inode);
	set_nlink(inode, 2);
	inode->i_op = &kbr_fs_topic_iops;
	inode->i_fop = &kbr_fs_topic_fops;
	return d_splice_alias(inode, dentry);
}

/*
 * struct kbr_fs_list - one listing of the root
 * @pos: directory position after @after
 * @after: the topic given last, "" at the start
 */
struct kbr_fs_list {
	loff_t pos;
	char after[KBR_TOPIC_NAME_MAX + 1];
};

static int kbr_fs_root_open(struct inode *inode, struct file *file)
{
	struct kbr_fs_list *list = kzalloc(sizeof(*list), GFP_KERNEL_ACCOUNT);

	file->private_data = list;
	return list ? 0 : -ENOMEM;
}

static int kbr_fs_root_release(struct inode *inode, struct file *file)
{
	kfree(file->private_data);
	return 0;
}

/* Topics by name from where the last call ended; "." and ".." are 0 and 1. */
static int kbr_fs_root_iterate(struct file *file, struct dir_context *ctx)
{
	struct kbr_fs_list *list = file->private_data;
	struct kbr_broker *broker;
	struct kbr_topic *topic;
	bool more;

	if (!dir_emit_dots(file, ctx))
		return 0;
	broker = kbr_fs_broker(file_inode(file));
	if (!broker)
		return 0;
	if (list->pos != ctx->pos) {
		/* rewinddir() or seekdir(): count from the first one again. */
		list->pos = 2;
		list->after[0] = '\0';
	}
	for (;;) {
		topic = kbr_topic_next(broker, list->after);
		if (!topic)
			break;
		more = list->pos < ctx->pos ||
		       dir_emit(ctx, topic->name, strlen(topic->name), kbr_fs_topic_ino(topic),
				DT_DIR);
		if (more) {
			strscpy(list->after, topic->name, sizeof(list->after));
			list->pos++;
			ctx->pos = max(ctx->pos, list->pos);
		}
		kbr_topic_put(topic);
		if (!more || fatal_signal_pending(current))
			break;
		cond_resched();
	}
	kbr_broker_put(broker);
	return 0;
}

static const struct inode_operations kbr_fs_root_iops = {
	.lookup		= kbr_fs_root_lookup,
	.permission	= kbr_fs_permission,
	.getattr	= kbr_fs_getattr,
	.setattr	= kbr_fs_setattr,
};

static const struct file_operations kbr_fs_root_fops = {
	.owner		= THIS_MODULE,
	.open		= kbr_fs_root_open,
	.release	= kbr_fs_root_release,
	.llseek		= generic_file_llseek,
	.read		= generic_read_dir,
	.iterate_shared	= kbr_fs_root_iterate,
	.fsync		= noop_fsync,
};

/* A name means the same as long as its topic is there. */
static int kbr_fs_d_revalidate(struct dentry *dentry, unsigned int flags)
{
	struct inode *inode;

	if (flags & LOOKUP_RCU)
		return -ECHILD;
	inode = d_inode(dentry);
	if (!inode || !kbr_fs_topic(inode))
		return 1;
	return !kbr_topic_gone(kbr_fs_topic(inode));
}

static const struct dentry_operations kbr_fs_dops = {
	.d_revalidate	= kbr_fs_d_revalidate,
	.d_delete	= always_delete_dentry,
};

static void kbr_fs_evict_inode(struct inode *inode)
{
	struct kbr_topic *topic = kbr_fs_topic(inode);

	clear_inode(inode);
	if (kbr_fs_is_group(inode))
		kbr_node_put_minor(iminor(inode));
	if (topic)
		kbr_topic_put(topic);
}

static int kbr_fs_statfs(struct dentry *dentry, struct kstatfs *buf)
{
	struct kbr_broker *broker = kbr_fs_broker(d_inode(dentry));

	simple_statfs(dentry, buf);
	buf->f_namelen = KBR_TOPIC_NAME_MAX;
	if (!broker)
		return 0;
	/* A directory and an "all" for each topic */
	buf->f_files = 2 * (u64)READ_ONCE(broker->topics_count) +
		       READ_ONCE(broker->partitions_count) + 1;
	kbr_broker_put(broker);
	return 0;
}

static const struct super_operations kbr_fs_super_ops = {
	.statfs		= kbr_fs_statfs,
	.drop_inode	= generic_delete_inode,
	.evict_inode	= kbr_fs_evict_inode,
};

static int kbr_fs_fill_super(struct super_block *sb)
{
	struct inode *root;

	sb->s_magic = KBR_FS_MAGIC;
	sb->s_op = &kbr_fs_super_ops;
	sb->s_d_op = &kbr_fs_dops;
	sb->s_iflags |= SB_I_NOEXEC;
	sb->s_flags |= SB_NOSUID;
	/* sendfile() looks at it, and must not find a limit. */
	sb->s_maxbytes = MAX_LFS_FILESIZE;
	sb->s_blocksize = PAGE_SIZE;
	sb->s_blocksize_bits = PAGE_SHIFT;
	sb->s_time_gran = 1;
	root = kbr_fs_inode(sb, S_IFDIR | 0755, KBR_FS_ROOT_INO);
	if (!root)
		return -ENOMEM;
	set_nlink(root, 2);
	root->i_op = &kbr_fs_root_iops;
	root->i_fop = &kbr_fs_root_fops;
	sb->s_root = d_make_root(root);
	return sb->s_root ? 0 : -ENOMEM;
}

static int kbr_fs_test_super(struct super_block *sb, struct fs_context *fc)
{
	return !strcmp(sb->s_fs_info, fc->s_fs_info);
}

/* N1: one super block for each name of a broker */
static int kbr_fs_get_tree(struct fs_context *fc)
{
	struct super_block *sb;
	int err;

	if (!fc->source || !fc->source[0])
		return invalf(fc, "The source of the mount must be the name of a broker");
	if (strlen(fc->source) > KBR_BROKER_NAME_MAX || strchr(fc->source, '/'))
		return invalf(fc, "No broker can have this name");
	fc->s_fs_info = kstrdup(fc->source, GFP_KERNEL);
	if (!fc->s_fs_info)
		return -ENOMEM;
	sb = sget_fc(fc, kbr_fs_test_super, set_anon_super_fc);
	if (IS_ERR(sb))
		return PTR_ERR(sb);
	if (!sb->s_root) {
		err = kbr_fs_fill_super(sb);
		if (err) {
			deactivate_locked_super(sb);
			return err;
		}
		sb->s_flags |= SB_ACTIVE;
	}
	fc->root = dget(sb->s_root);
	return 0;
}

static void kbr_fs_free_fc(struct fs_context *fc)
{
	kfree(fc->s_fs_info);
}

static const struct fs_context_operations kbr_fs_context_ops = {
	.get_tree	= kbr_fs_get_tree,
	.free		= kbr_fs_free_fc,
};

static int kbr_fs_init_context(struct fs_context *fc)
{
	fc->ops = &kbr_fs_context_ops;
	return 0;
}

static void kbr_fs_kill_sb(struct super_block *sb)
{
	void *name = sb->s_fs_info;

	kill_anon_super(sb);
	kfree(name);
}

/*
 * N2: no FS_USERNS_MOUNT. In a user namespace device nodes would not open, and
 * the names of topics would be told to whoever makes one.
 */
static struct file_system_type kbr_fs_type = {
	.owner			= THIS_MODULE,
	.name			= "kbroker",
	.init_fs_context	= kbr_fs_init_context,
	.kill_sb		= kbr_fs_kill_sb,
};
MODULE_ALIAS_FS("kbroker");

int kbr_fs_init(void)
{
	return register_filesystem(&kbr_fs_type);
}

void kbr_fs_exit(void)
{
	unregister_filesystem(&kbr_fs_type);
}
