// SPDX-License-Identifier: GPL-2.0-only
/*
 * The daemons of a simulated cluster: what tools/kbrokerd/apply.c does with a
 * broker's registration, session and wishes, over an ideal log; and what a
 * session tells its kernel. See sim.h.
 */
#include "sim.h"

void sim_decide(struct sim *s)
{
	const char *wrong;

	/* the brokers come before the partition */
	if (!s->part.replicas.count)
		return;
	kbd_partition_update(&s->part, &s->brokers);
	wrong = kbd_partition_check(&s->part, &s->brokers);
	sim_expect(s, !wrong, wrong, s->part.leader, s->part.leader_epoch, s->part.partition_epoch);
	sim_trace(s, "decide", s->part.leader, s->part.leader_epoch, s->part.partition_epoch);
	sim_net_push_all(s);
}

void sim_expire(struct sim *s, unsigned int i)
{
	struct kbd_broker *known = kbd_broker_find(&s->brokers, i + 1);

	if (known->fenced)
		return;
	known->fenced = true;
	sim_trace(s, "fence", i, known->epoch, 0);
	sim_decide(s);
}

void sim_register(struct sim *s, unsigned int i)
{
	struct kbd_broker *known = kbd_broker_find(&s->brokers, i + 1);
	struct sim_node *node = &s->node[i];
	struct kbr_cluster_info info;
	bool other;

	kbr_cluster_describe(node->broker, &info);
	other = memcmp(known->directory_id, node->broker->directory_id,
		       sizeof(known->directory_id));
	/* another disk: not before the session of the old one is over */
	if (other && known->epoch >= 0 && !known->fenced)
		return sim_expire(s, i);
	if (known->epoch >= 0 && s->bug != SIM_BUG_NOT_FORGOTTEN &&
	    (other || !READ_ONCE(node->broker->clean) || info.previous_epoch != known->epoch))
		kbd_partition_forget(&s->part, i + 1, other);
	memcpy(known->directory_id, node->broker->directory_id, sizeof(known->directory_id));
	known->epoch = s->next_epoch++;
	known->fenced = true;
	known->stopping = false;
	node->life = known->epoch;
	node->lost = false;
	sim_trace(s, "register", i, node->life, other);
	sim_decide(s);
}

void sim_heartbeat(struct sim *s, unsigned int i)
{
	struct kbd_broker *known = kbd_broker_find(&s->brokers, i + 1);
	struct sim_node *node = &s->node[i];

	if (node->joined < 0 || node->joined != known->epoch || !known->fenced)
		return;
	known->fenced = false;
	sim_trace(s, "session", i, node->life, 0);
	sim_decide(s);
}

void sim_stopping(struct sim *s, unsigned int i)
{
	kbd_broker_find(&s->brokers, i + 1)->stopping = true;
	sim_trace(s, "stopping", i, s->node[i].life, 0);
	sim_decide(s);
}

void sim_take_wish(struct sim *s, const struct sim_msg *msg)
{
	struct kbd_isr_change change = {
		.leader = msg->from + 1,
		.broker_epoch = msg->life,
		.leader_epoch = msg->wish.leader_epoch,
		.partition_epoch = msg->wish.partition_epoch,
	};
	const struct kbd_loss loss = {
		.id = change.leader,
		.broker_epoch = change.broker_epoch,
		.partition_epoch = change.partition_epoch,
	};
	enum kbd_refusal ret;
	unsigned int i;

	for (i = 0; i < msg->wish.count; i++) {
		kbd_set_add(&change.isr, msg->wish.id[i]);
		change.epochs[i] = s->bug == SIM_BUG_STALE_EPOCH ?
				   kbd_broker_find(&s->brokers, msg->wish.id[i])->epoch :
				   msg->wish.epoch[i];
	}
	if (msg->wish.lost)
		ret = kbd_partition_lose(&s->part, &s->brokers, &loss);
	else
		ret = kbd_partition_change_isr(&s->part, &s->brokers, &change);
	sim_trace(s, "wish", msg->from, ret, msg->wish.lost ? -1 : (s64)msg->wish.count);
	if (msg->wish.lost && ret == KBD_OK)
		s->node[msg->from].lost = false;
	sim_decide(s);
}

static void sim_copy_set(struct kbr_id_set *to, const struct kbd_set *from)
{
	to->count = from->count;
	memcpy(to->id, from->id, from->count * sizeof(from->id[0]));
}

void sim_tell(struct sim *s, const struct sim_msg *msg)
{
	struct sim_node *node = &s->node[msg->to];
	struct kbr_cluster_change change = {
		.epoch = msg->life,
		.has_fenced = true,
		.fenced = msg->peers[msg->to].fenced,
	};
	struct kbr_replica_state state = {
		.leader = msg->part.leader,
		.leader_epoch = msg->part.leader_epoch,
		.partition_epoch = msg->part.partition_epoch,
	};
	struct kbr_replica_diverging cut = { .start = -1 };
	enum kbroker_replica_role role;
	struct kbr_replica_state before;
	struct kbr_refusal why = {};
	unsigned int i;
	u32 op = 0;
	bool anew, lost;
	int err;

	/* the session belongs to the life */
	if (!node->up || msg->life != node->life)
		return;
	for (i = 0; i < SIM_NODES; i++)
		kbr_cluster_peer_set(node->broker, &msg->peers[i], &why);
	err = kbr_cluster_set(node->broker, &change, &op, &why);
	sim_expect(s, !err && !op, "a broker refuses its epoch", msg->to, err, msg->life);
	sim_copy_set(&state.replicas, &msg->part.replicas);
	sim_copy_set(&state.isr, &msg->part.isr);
	sim_copy_set(&state.elr, &msg->part.elr);
	anew = !kbr_replica_get(node->part, &before, &role) ||
	       before.leader_epoch != state.leader_epoch;
	lost = kbr_partition_is_lost(node->part);
	err = kbr_replica_apply(node->part, &state, &why);
	if (lost && !kbr_partition_is_lost(node->part)) {
		/* copied anew */
		node->hw = 0;
		node->read = 0;
		node->told = -1;
	}
	if (s->bug == SIM_BUG_TRUNCATE && !err && anew) {
		cut.epoch = kbr_log_last_epoch(&node->part->log);
		cut.end = kbr_partition_hw(node->part);
		kbr_replica_truncate(node->part, state.leader_epoch, &cut);
	}
	sim_expect(s, !err || err == -ESTALE || (node->refuses && (err == -EIO || err == -ENOSPC)),
		   "a broker refuses its role", msg->to, err, state.partition_epoch);
	/* its daemon tells it again */
	if (!err || err == -ESTALE)
		node->joined = node->life;
	sim_trace(s, "told", msg->to, err, state.partition_epoch);
}

bool sim_may_lose(const struct sim *s, unsigned int i)
{
	bool other = false;
	unsigned int j;

	/* what one has is enough then, and that may be this one yet */
	if (s->min_isr < 2)
		return false;
	for (j = 0; j < SIM_NODES; j++) {
		/* two are no minority */
		if (s->node[j].lost)
			return false;
		if (j != i)
			other |= kbd_set_has(&s->part.isr, j + 1) || kbd_set_has(&s->part.elr, j + 1);
	}
	return other;
}
