// SPDX-License-Identifier: GPL-2.0-only
/*
 * Netlink: operations: what a change started and did not wait for.
 */
#include "base/kunit.h"
#include "netlink/nl.h"

static_assert((int)KBR_OP_PENDING == (int)KBROKER_OP_STATE_PENDING);
static_assert((int)KBR_OP_RUNNING == (int)KBROKER_OP_STATE_RUNNING);
static_assert((int)KBR_OP_DONE == (int)KBROKER_OP_STATE_DONE);
static_assert((int)KBR_OP_FAILED == (int)KBROKER_OP_STATE_FAILED);
static_assert((int)KBR_OP_BROKER_START == (int)KBROKER_OP_KIND_BROKER_START);
static_assert((int)KBR_OP_BROKER_STOP == (int)KBROKER_OP_KIND_BROKER_STOP);
static_assert((int)KBR_OP_BROKER_ALTER == (int)KBROKER_OP_KIND_BROKER_ALTER);
static_assert((int)KBR_OP_TOPIC_CREATE == (int)KBROKER_OP_KIND_TOPIC_CREATE);
static_assert((int)KBR_OP_TOPIC_DELETE == (int)KBROKER_OP_KIND_TOPIC_DELETE);
static_assert((int)KBR_OP_TOPIC_ALTER == (int)KBROKER_OP_KIND_TOPIC_ALTER);
static_assert((int)KBR_OP_DELETE_RECORDS == (int)KBROKER_OP_KIND_DELETE_RECORDS);
static_assert((int)KBR_OP_GROUP_RESET == (int)KBROKER_OP_KIND_GROUP_RESET);
static_assert((int)KBR_OP_GROUP_DELETE == (int)KBROKER_OP_KIND_GROUP_DELETE);
static_assert((int)KBR_OP_GROUP_FORGET == (int)KBROKER_OP_KIND_GROUP_FORGET);
static_assert((int)KBR_OP_REPLICA_SET == (int)KBROKER_OP_KIND_REPLICA_SET);
static_assert((int)KBR_OP_CLUSTER_JOIN == (int)KBROKER_OP_KIND_CLUSTER_JOIN);

/** kbr_nl_op_fill() - attributes of a struct kbr_op */
int kbr_nl_op_fill(struct sk_buff *skb, void *obj)
{
	struct kbr_op *op = obj;
	/* Pairs with the release in kbr_op_end(): error and why were set before. */
	enum kbr_op_state state = smp_load_acquire(&op->state);
	u32 total = READ_ONCE(op->total);

	if (kbr_nl_put_u32(skb, KBROKER_A_OP_ID, op->id) ||
	    nla_put_u8(skb, KBROKER_A_OP_KIND, op->kind) ||
	    nla_put_u8(skb, KBROKER_A_OP_STATE, state) ||
	    nla_put_string(skb, KBROKER_A_OP_OBJECT, op->object) ||
	    kbr_nl_put_u32(skb, KBROKER_A_OP_DONE, READ_ONCE(op->done)) ||
	    (total && kbr_nl_put_u32(skb, KBROKER_A_OP_TOTAL, total)))
		return -EMSGSIZE;
	if (state == KBR_OP_FAILED && kbr_nl_put_u32(skb, KBROKER_A_OP_ERROR, abs(op->error)))
		return -EMSGSIZE;
	/* Until the end somebody may be writing it. */
	if ((state == KBR_OP_FAILED || state == KBR_OP_DONE) && op->why.text[0] &&
	    nla_put_string(skb, KBROKER_A_OP_MESSAGE, op->why.text))
		return -EMSGSIZE;
	return 0;
}
KBR_EXPORT_IF_KUNIT(kbr_nl_op_fill);

/** kbroker_nl_op_get_doit() - show one operation */
int kbroker_nl_op_get_doit(struct sk_buff *skb, struct genl_info *info)
{
	struct kbr_net *knet;
	struct kbr_op *op;
	int err;

	err = kbr_nl_begin(info, 0, 0, &knet, NULL);
	if (!err)
		err = kbr_nl_require(info, KBROKER_A_OP_ID, "the request needs the id of an operation");
	if (err)
		return err;
	op = kbr_op_lookup(knet, be32_to_cpu(nla_get_be32(info->attrs[KBROKER_A_OP_ID])));
	if (!op) {
		NL_SET_ERR_MSG_ATTR(info->extack, info->attrs[KBROKER_A_OP_ID],
				    "there is no such operation, or it ended long ago");
		return -ENOENT;
	}
	err = kbr_nl_reply(info, KBROKER_CMD_OP_GET, kbr_nl_op_fill, op);
	kbr_op_put(op);
	return err;
}

/** kbroker_nl_op_dump_start() - begin a dump of operations */
int kbroker_nl_op_dump_start(struct netlink_callback *cb)
{
	return kbr_nl_dump_start(cb, 0, 0, 0);
}

/** kbroker_nl_op_get_dumpit() - operations in the order of their ids */
int kbroker_nl_op_get_dumpit(struct sk_buff *skb, struct netlink_callback *cb)
{
	struct kbr_nl_dump *dump = kbr_nl_dump_of(cb);
	struct kbr_op *op;
	int err;

	err = kbr_nl_dump_begin(cb, dump);
	while (!err && (op = kbr_op_next(dump->knet, dump->id))) {
		err = kbr_nl_dump_put(skb, cb, KBROKER_CMD_OP_GET, kbr_nl_op_fill, op);
		if (!err)
			dump->id = op->id;
		kbr_op_put(op);
	}
	return skb->len ?: err;
}
