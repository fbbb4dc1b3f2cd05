// SPDX-License-Identifier: GPL-2.0-only
/*
 * Netlink: the module, and the broker of a network namespace: start, alter,
 * show, stop.
 */
#include <linux/capability.h>
#include <linux/kdev_t.h>
#include <linux/srcu.h>
#include <linux/string.h>
#include <linux/kbroker.h>

#include "base/uuid.h"
#include "base/version.h"
#include "broker/node.h"
#include "netlink/nl.h"
#include "storage/syncer.h"

#define KBR_NL_FEATURES	(KBROKER_FEATURE_LINES | KBROKER_FEATURE_RECORD | KBROKER_FEATURE_BATCH | \
			 KBROKER_FEATURE_GZIP | KBROKER_FEATURE_SNAPPY | KBROKER_FEATURE_LZ4 | \
			 KBROKER_FEATURE_ZSTD | KBROKER_FEATURE_GROUP)

static_assert((int)KBR_BROKER_STARTING == (int)KBROKER_BROKER_STATE_STARTING);
static_assert((int)KBR_BROKER_RUNNING == (int)KBROKER_BROKER_STATE_RUNNING);
static_assert((int)KBR_BROKER_STOPPING == (int)KBROKER_BROKER_STATE_STOPPING);
static_assert((int)KBR_BROKER_STOPPED == (int)KBROKER_BROKER_STATE_STOPPED);
static_assert((int)KBR_BROKER_FAILED == (int)KBROKER_BROKER_STATE_FAILED);
static_assert(KBR_BROKER_NAME_MAX == KBROKER_BROKER_NAME_MAX);
static_assert(KBR_CONFIG_NAME_MAX == KBROKER_CONFIG_NAME_MAX);
static_assert(KBR_CONFIG_VALUE_MAX == KBROKER_CONFIG_VALUE_MAX);

/* The file system that @broker keeps mounted; @fs_type 0: do not say its type. */
static int kbr_nl_broker_fill_device(struct sk_buff *skb, struct kbr_broker *broker, int device,
				     int fs_type)
{
	const char *type = NULL;
	char text[24];
	int idx, err = 0;
	dev_t dev;

	/* The directory is given back after the last I/O section. */
	idx = srcu_read_lock(&broker->io);
	if (READ_ONCE(broker->dead) || !broker->dir)
		goto out;
	dev = kbr_dir_device(broker->dir, &type);
	snprintf(text, sizeof(text), "%u:%u", MAJOR(dev), MINOR(dev));
	err = nla_put_string(skb, device, text);
	if (!err && fs_type && type)
		err = nla_put_string(skb, fs_type, type);
out:
	srcu_read_unlock(&broker->io, idx);
	return err;
}

/* What group commit has done since the start. */
static int kbr_nl_broker_fill_syncs(struct sk_buff *skb, struct kbr_broker *broker)
{
	struct kbr_syncer_stats stats = { };
	int idx;

	idx = srcu_read_lock(&broker->io);
	/* Pairs with kbr_start_env(). The syncer is destroyed after the last I/O section. */
	if (smp_load_acquire(&broker->env_ready) && !READ_ONCE(broker->dead))
		kbr_syncer_get_stats(broker->env.syncer, &stats);
	srcu_read_unlock(&broker->io, idx);
	return kbr_nl_put_u64(skb, KBROKER_A_BROKER_SYNC_ROUNDS, stats.rounds) ||
	       kbr_nl_put_u64(skb, KBROKER_A_BROKER_SYNC_WRITERS, stats.waiters) ||
	       kbr_nl_put_u64(skb, KBROKER_A_BROKER_SYNC_USECS, stats.usecs) ||
	       kbr_nl_put_u64(skb, KBROKER_A_BROKER_SYNC_ERRORS, stats.errors);
}

/** kbr_nl_broker_fill() - attributes of a struct kbr_broker; sleeps for its topics_sem */
int kbr_nl_broker_fill(struct sk_buff *skb, void *obj)
{
	struct kbr_broker *broker = obj;
	char text[KBR_UUID_TEXT_LEN + 1];
	u8 cluster[16];
	int err;

	if (nla_put_string(skb, KBROKER_A_BROKER_NAME, broker->name) ||
	    kbr_nl_put_u32(skb, KBROKER_A_BROKER_ID, max(READ_ONCE(broker->id), 0)) ||
	    nla_put_string(skb, KBROKER_A_BROKER_DIR, broker->dir_path) ||
	    kbr_nl_put_u32(skb, KBROKER_A_BROKER_UID, from_kuid(&init_user_ns, READ_ONCE(broker->uid))) ||
	    kbr_nl_put_u32(skb, KBROKER_A_BROKER_GID, from_kgid(&init_user_ns, READ_ONCE(broker->gid))) ||
	    kbr_nl_put_u16(skb, KBROKER_A_BROKER_MODE, READ_ONCE(broker->mode)) ||
	    nla_put_u8(skb, KBROKER_A_BROKER_STATE, READ_ONCE(broker->state)) ||
	    kbr_nl_put_u32(skb, KBROKER_A_BROKER_HANDLES, atomic_read(&broker->handles)) ||
	    kbr_nl_put_u64(skb, KBROKER_A_BROKER_STARTED_MS, broker->started_ms))
		return -EMSGSIZE;
	if (memchr_inv(broker->directory_id, 0, sizeof(broker->directory_id)) &&
	    nla_put(skb, KBROKER_A_BROKER_DIRECTORY_ID, sizeof(broker->directory_id),
		    broker->directory_id))
		return -EMSGSIZE;
	if (kbr_cluster_id(broker, cluster)) {
		kbr_uuid_print(cluster, text);
		if (nla_put_string(skb, KBROKER_A_BROKER_CLUSTER_ID, text))
			return -EMSGSIZE;
	}
	if (kbr_nl_put_u64(skb, KBROKER_A_BROKER_UNSYNCED_BYTES,
			   max_t(s64, atomic64_read(&broker->env.unsynced_bytes), 0)) ||
	    kbr_nl_broker_fill_syncs(skb, broker) ||
	    kbr_nl_broker_fill_device(skb, broker, KBROKER_A_BROKER_DEVICE, KBROKER_A_BROKER_FS_TYPE))
		return -EMSGSIZE;

	down_read(&broker->topics_sem);
	err = kbr_nl_put_u32(skb, KBROKER_A_BROKER_TOPICS, broker->topics_count) ||
	      kbr_nl_put_u32(skb, KBROKER_A_BROKER_PARTITIONS, broker->partitions_count) ||
	      kbr_nl_config_set_fill(skb, KBROKER_A_BROKER_CONFIG, &broker->config_set);
	up_read(&broker->topics_sem);
	return err ? -EMSGSIZE : 0;
}

/* A broker of the list of those that run, if the caller may see it. */
static int kbr_nl_pin_fill(struct sk_buff *skb, struct kbr_broker *broker)
{
	struct kbr_net *knet = broker->knet;
	struct nlattr *nest = nla_nest_start(skb, KBROKER_A_MODULE_PIN);
	unsigned int netns = 0;

	mutex_lock(&knet->event_lock);
	if (knet->net)
		netns = knet->net->ns.inum;
	mutex_unlock(&knet->event_lock);

	if (!nest || nla_put_string(skb, KBROKER_A_PIN_NAME, broker->name) ||
	    nla_put_u8(skb, KBROKER_A_PIN_STATE, READ_ONCE(broker->state)) ||
	    (netns && kbr_nl_put_u32(skb, KBROKER_A_PIN_NETNS, netns)) ||
	    nla_put_string(skb, KBROKER_A_PIN_DIR, broker->dir_path) ||
	    kbr_nl_broker_fill_device(skb, broker, KBROKER_A_PIN_DEVICE, 0) ||
	    kbr_nl_put_u32(skb, KBROKER_A_PIN_HANDLES, atomic_read(&broker->handles)))
		return -EMSGSIZE;
	nla_nest_end(skb, nest);
	return 0;
}

static int kbr_nl_module_fill(struct sk_buff *skb, void *obj)
{
	struct kbr_net *own = obj;
	char name[KBR_BROKER_NAME_MAX + 1] = "";
	struct kbr_broker *broker;
	int err;

	if (nla_put_string(skb, KBROKER_A_MODULE_VERSION, KBR_VERSION) ||
	    kbr_nl_put_u64(skb, KBROKER_A_MODULE_FEATURES, KBR_NL_FEATURES) ||
	    kbr_nl_put_u32(skb, KBROKER_A_MODULE_MAJOR, MAJOR(kbr_node_devt)))
		return -EMSGSIZE;
	for (;;) {
		broker = kbr_broker_next(name);
		if (!broker)
			return 0;
		strscpy(name, broker->name, sizeof(name));
		err = 0;
		if (!own || broker->knet == own)
			err = kbr_nl_pin_fill(skb, broker);
		kbr_broker_put(broker);
		if (err)
			return err;
	}
}

/** kbroker_nl_module_get_doit() - version, features and the brokers that pin the module */
int kbroker_nl_module_get_doit(struct sk_buff *skb, struct genl_info *info)
{
	struct kbr_net *knet;
	int err;

	err = kbr_nl_begin(info, 0, 0, &knet, NULL);
	if (err)
		return err;
	/* Other namespaces are the administrator's business. */
	if (netlink_capable(skb, CAP_NET_ADMIN))
		knet = NULL;
	return kbr_nl_reply(info, KBROKER_CMD_MODULE_GET, kbr_nl_module_fill, knet);
}

/* Answer to a change of a broker. */
static int kbr_nl_broker_answer(struct sk_buff *skb, struct genl_info *info, void *hdr,
				const char *name, u32 op_id)
{
	if (nla_put_string(skb, KBROKER_A_BROKER_NAME, name) ||
	    kbr_nl_put_u32(skb, KBROKER_A_BROKER_OP_ID, op_id)) {
		nlmsg_free(skb);
		return -EMSGSIZE;
	}
	genlmsg_end(skb, hdr);
	return genlmsg_reply(skb, info);
}

/* Which attribute of "start a broker" an errno is about, if the broker layer does not say. */
static const struct nlattr *kbr_nl_broker_blame(struct genl_info *info, int err)
{
	switch (err) {
	case -EBUSY:
	case -ENOENT:
	case -ENOTDIR:
	case -EACCES:
	case -EROFS:
	case -ENOSPC:
		return info->attrs[KBROKER_A_BROKER_DIR];
	case -EEXIST:
	case -EINVAL:	/* a config says so by itself, the others were checked before */
		return info->attrs[KBROKER_A_BROKER_NAME];
	default:
		return NULL;
	}
}

/** kbroker_nl_broker_new_doit() - start a broker */
int kbroker_nl_broker_new_doit(struct sk_buff *skb, struct genl_info *info)
{
	struct nlattr **attrs = info->attrs;
	struct kbr_broker_params params = {
		.name = "kbroker",
		.id = -1,
		.uid = GLOBAL_ROOT_UID,
		.gid = GLOBAL_ROOT_GID,
		.mode = 0660,
	};
	struct kbr_listener_params *listeners = NULL;
	struct kbr_refusal why = {};
	struct kbr_owner owner;
	struct kbr_net *knet;
	struct sk_buff *msg;
	char *name;
	void *hdr;
	u32 op_id;
	int err;

	err = kbr_nl_begin(info, BIT_ULL(KBROKER_A_BROKER_CONFIG) | BIT_ULL(KBROKER_A_BROKER_LISTENER),
			   0, &knet, NULL);
	if (!err)
		err = kbr_nl_require(info, KBROKER_A_BROKER_DIR, "a broker needs a directory (dir)");
	if (!err)
		err = kbr_nl_check_text(attrs[KBROKER_A_BROKER_NAME], info->extack);
	if (!err)
		err = kbr_nl_check_text(attrs[KBROKER_A_BROKER_DIR], info->extack);
	if (!err)
		err = kbr_nl_get_owner(info, KBROKER_A_BROKER_UID, KBROKER_A_BROKER_GID,
				       KBROKER_A_BROKER_MODE, &owner);
	if (err)
		return err;
	if (attrs[KBROKER_A_BROKER_NAME])
		params.name = nla_data(attrs[KBROKER_A_BROKER_NAME]);
	if (attrs[KBROKER_A_BROKER_ID])
		params.id = be32_to_cpu(nla_get_be32(attrs[KBROKER_A_BROKER_ID]));
	params.dir = nla_data(attrs[KBROKER_A_BROKER_DIR]);
	if (params.dir[0] != '/')
		return kbr_nl_refuse(info->extack, attrs[KBROKER_A_BROKER_DIR], -EINVAL,
				     "the directory must be an absolute path");
	if (owner.set_uid)
		params.uid = owner.uid;
	if (owner.set_gid)
		params.gid = owner.gid;
	if (owner.set_mode)
		params.mode = owner.mode;

	msg = kbr_nl_answer_new(info, KBROKER_CMD_BROKER_NEW, &hdr);
	name = kstrdup(params.name, GFP_KERNEL);
	err = msg && name ? 0 : -ENOMEM;
	if (!err)
		err = kbr_nl_get_configs(info, KBROKER_A_BROKER_CONFIG, &params.configs, NULL);
	if (!err)
		err = kbr_nl_get_listeners(info, &listeners, &params.listeners_count);
	if (err)
		goto free;
	params.listeners = listeners;
	err = kbr_broker_start(knet, &params, &op_id, &why);
	if (err) {
		kbr_nl_refused(info, err, &why, kbr_nl_broker_blame(info, err), KBROKER_A_BROKER_CONFIG);
		goto free;
	}
	err = kbr_nl_broker_answer(msg, info, hdr, name, op_id);
	msg = NULL;
free:
	kbr_config_set_free(&params.configs);
	kvfree(listeners);
	kfree(name);
	nlmsg_free(msg);
	return err;
}

/** kbroker_nl_broker_set_doit() - alter owner, mode and configs */
int kbroker_nl_broker_set_doit(struct sk_buff *skb, struct genl_info *info)
{
	struct kbr_broker_change change = {};
	struct kbr_refusal why = {};
	struct kbr_broker *broker;
	struct kbr_net *knet;
	struct sk_buff *msg;
	void *hdr;
	u32 op_id;
	int err;

	err = kbr_nl_begin(info, BIT_ULL(KBROKER_A_BROKER_CONFIG), KBROKER_A_BROKER_NAME, &knet, &broker);
	if (err)
		return err;
	msg = kbr_nl_answer_new(info, KBROKER_CMD_BROKER_SET, &hdr);
	err = msg ? 0 : -ENOMEM;
	if (!err)
		err = kbr_nl_get_owner(info, KBROKER_A_BROKER_UID, KBROKER_A_BROKER_GID,
				       KBROKER_A_BROKER_MODE, &change.owner);
	if (!err)
		err = kbr_nl_get_configs(info, KBROKER_A_BROKER_CONFIG, &change.set, &change.del);
	if (err)
		goto free;
	if (!kbr_owner_given(&change.owner) && !change.set.count && !change.del.count) {
		err = kbr_nl_refuse(info->extack, NULL, -EINVAL,
				    "the request changes nothing: give uid, gid, mode or config");
		goto free;
	}
	err = kbr_broker_alter(knet, &change, &op_id, &why);
	if (err) {
		kbr_nl_refused(info, err, &why, NULL, KBROKER_A_BROKER_CONFIG);
		goto free;
	}
	err = kbr_nl_broker_answer(msg, info, hdr, broker->name, op_id);
	msg = NULL;
free:
	kbr_config_set_free(&change.set);
	kbr_config_set_free(&change.del);
	nlmsg_free(msg);
	kbr_broker_put(broker);
	return err;
}

/** kbroker_nl_broker_del_doit() - stop the broker */
int kbroker_nl_broker_del_doit(struct sk_buff *skb, struct genl_info *info)
{
	enum kbr_stop how = KBR_STOP_LEAVE;
	struct kbr_refusal why = {};
	struct kbr_broker *broker;
	struct kbr_net *knet;
	struct sk_buff *msg;
	void *hdr;
	u32 op_id;
	int err;

	err = kbr_nl_begin(info, 0, KBROKER_A_BROKER_NAME, &knet, &broker);
	if (err)
		return err;
	msg = kbr_nl_answer_new(info, KBROKER_CMD_BROKER_DEL, &hdr);
	if (info->attrs[KBROKER_A_BROKER_CRASH])
		how = KBR_STOP_CRASH;
	else if (info->attrs[KBROKER_A_BROKER_NOW])
		how = KBR_STOP_NOW;
	err = msg ? kbr_broker_stop(knet, how, &op_id, &why) : -ENOMEM;
	if (err) {
		nlmsg_free(msg);
		kbr_nl_refused(info, err, &why, NULL, 0);
	} else {
		err = kbr_nl_broker_answer(msg, info, hdr, broker->name, op_id);
	}
	kbr_broker_put(broker);
	return err;
}

/** kbroker_nl_broker_get_doit() - show the broker of this network namespace */
int kbroker_nl_broker_get_doit(struct sk_buff *skb, struct genl_info *info)
{
	struct kbr_broker *broker;
	int err;

	err = kbr_nl_begin(info, 0, KBROKER_A_BROKER_NAME, NULL, &broker);
	if (err)
		return err;
	err = kbr_nl_reply(info, KBROKER_CMD_BROKER_GET, kbr_nl_broker_fill, broker);
	kbr_broker_put(broker);
	return err;
}

/** kbroker_nl_broker_dump_start() - begin a dump of brokers */
int kbroker_nl_broker_dump_start(struct netlink_callback *cb)
{
	return kbr_nl_dump_start(cb, KBROKER_A_BROKER_NAME, 0, 0);
}

/** kbroker_nl_broker_get_dumpit() - the broker, if there is one */
int kbroker_nl_broker_get_dumpit(struct sk_buff *skb, struct netlink_callback *cb)
{
	struct kbr_nl_dump *dump = kbr_nl_dump_of(cb);
	int err;

	err = kbr_nl_dump_begin(cb, dump);
	if (err || dump->done || !dump->broker)
		return err;
	err = kbr_nl_dump_put(skb, cb, KBROKER_CMD_BROKER_GET, kbr_nl_broker_fill, dump->broker);
	if (err)
		return err;
	dump->done = true;
	return skb->len;
}
