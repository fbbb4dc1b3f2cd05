// SPDX-License-Identifier: GPL-2.0-only
/*
 * What is under way in a simulated cluster; see sim.h. A follower has one Fetch
 * under way in a connection. One that gives up waiting begins another
 * connection, and what it sent in the old one may still come, any time later.
 */
#include <linux/slab.h>

#include "sim.h"

static struct sim_msg *sim_msg_new(struct sim *s, enum sim_msg_kind kind, unsigned int from,
				   unsigned int to, s64 life)
{
	struct sim_msg *msg;

	if (s->count >= SIM_MSGS_MAX)
		return NULL;
	msg = kzalloc(sizeof(*msg), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(s->test, msg);
	msg->kind = kind;
	msg->from = from;
	msg->to = to;
	msg->life = life;
	if (!sim_below(s, s->lateness))
		msg->late = s->step + sim_below(s, 400);
	list_add_tail(&msg->node, &s->msgs);
	s->count++;
	return msg;
}

static void sim_msg_free(struct sim_msg *msg)
{
	kfree(msg->buf);
	kfree(msg);
}

void sim_net_drop_all(struct sim *s)
{
	struct sim_msg *msg, *next;

	list_for_each_entry_safe(msg, next, &s->msgs, node) {
		list_del(&msg->node);
		sim_msg_free(msg);
	}
	s->count = 0;
}

/* ---- followers fetch ---- */

void sim_net_fetch(struct sim *s, unsigned int i)
{
	struct sim_node *node = &s->node[i];
	struct kbr_replica_position pos;
	struct sim_msg *msg;

	if (node->in_flight || node->joined < 0)
		return;
	if (kbr_replica_get_position(node->part, &pos) || pos.leader < 0)
		return;
	msg = sim_msg_new(s, SIM_FETCH, i, pos.leader - 1, node->life);
	if (!msg)
		return;
	msg->conn = node->conn;
	msg->fetch = (struct kbr_replica_fetch) {
		.id = i + 1,
		.broker_epoch = node->life,
		.leader_epoch = pos.leader_epoch,
		.last_epoch = pos.last_epoch,
		.offset = pos.end,
		.synced = s->bug == SIM_BUG_UNSYNCED ? pos.end : pos.synced,
		.start = pos.start,
		.hw = node->told,
	};
	node->in_flight = true;
	sim_trace(s, "fetch", i, pos.end, pos.synced);
}

void sim_net_hang_up(struct sim *s, unsigned int i)
{
	s->node[i].conn++;
	s->node[i].in_flight = false;
	sim_trace(s, "hang up", i, 0, 0);
}

/* Records from @pos on, into @answer. */
static int sim_map(struct sim *s, struct sim_node *node, struct sim_msg *answer)
{
	struct kbr_log_pos pos = { .offset = answer->fetch.offset };
	struct kbr_log_slice slice;
	int ret;

	ret = kbr_partition_map_replica(node->part, &pos, sim_below(s, 2) ? 1 : 2000, &slice,
					&answer->bounds);
	if (ret != 1)
		return ret;
	answer->buf = kmalloc(slice.len, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(s->test, answer->buf);
	answer->len = slice.len;
	ret = kbr_file_read(slice.file, answer->buf, slice.len, slice.pos);
	sim_expect(s, ret == (int)slice.len, "a leader can't read its log", ret, slice.len,
		   slice.pos);
	kbr_log_unmap(&slice);
	return 0;
}

/* As the server's Fetch (server/api_fetch.c). */
static void sim_take_fetch(struct sim *s, const struct sim_msg *msg)
{
	struct sim_node *node = &s->node[msg->to];
	struct sim_msg *answer;
	int ret;

	if (!node->up)
		return;
	answer = sim_msg_new(s, SIM_ANSWER, msg->to, msg->from, msg->life);
	if (!answer)
		return;
	answer->conn = msg->conn;
	answer->fetch = msg->fetch;
	answer->bounds = (struct kbr_partition_bounds) { -1, -1 };
	ret = kbr_replica_fetched(node->part, &msg->fetch, s->now, &answer->diverging);
	answer->diverges = ret == 1 && s->bug != SIM_BUG_TRUNCATE;
	if (ret >= 0)
		ret = kbr_partition_check_leader(node->part) ?:
		      kbr_partition_check_epoch(node->part, msg->fetch.leader_epoch);
	if (!ret && answer->diverges)
		ret = kbr_partition_get_bounds(node->part, &answer->bounds);
	else if (!ret)
		ret = sim_map(s, node, answer);
	answer->error = ret;
	sim_trace(s, "fetched", msg->to, ret, answer->len);
}

static int sim_truncate(struct sim *s, struct sim_node *node, const struct sim_msg *msg, s64 end)
{
	struct kbr_replica_diverging diverging = msg->diverging;
	s64 start = kbr_log_start(&node->part->log);
	int err;

	sim_trace(s, "diverges", msg->diverging.epoch, msg->diverging.end, start);
	diverging.start = msg->bounds.start;
	err = kbr_replica_truncate(node->part, msg->fetch.leader_epoch, &diverging);
	if (err || kbr_log_end(&node->part->log) != end || kbr_log_start(&node->part->log) != start)
		return err;
	return -EBADMSG;
}

/* As the fetcher (kbr_link_obey() in fetcher/fetch.c). */
static int sim_obey(struct sim *s, struct sim_node *node, const struct sim_msg *msg)
{
	s32 epoch = msg->fetch.leader_epoch;
	struct kbr_replica_position pos;
	int err;

	err = kbr_replica_get_position(node->part, &pos);
	if (err)
		return err;
	if (pos.leader_epoch != epoch || pos.leader != (s32)msg->from + 1)
		return 0;
	/* a repair cut the log meanwhile */
	if (pos.end < msg->fetch.offset)
		return 0;
	if (msg->error == -ERANGE && msg->bounds.start > pos.end)
		return kbr_replica_restart(node->part, epoch, msg->bounds.start);
	if (msg->error)
		return msg->error;
	if (msg->diverges)
		return sim_truncate(s, node, msg, pos.end);
	node->told = msg->bounds.hw;
	return kbr_replica_append(node->part, msg->buf, msg->len, epoch, msg->bounds.hw,
				  msg->bounds.start);
}

static void sim_take_answer(struct sim *s, const struct sim_msg *msg)
{
	struct sim_node *node = &s->node[msg->to];
	int err;

	if (!node->up || node->life != msg->life || node->conn != msg->conn)
		return;
	node->in_flight = false;
	err = sim_obey(s, node, msg);
	/* an append that the disk refuses may come after the log was begun anew a little before */
	if (node->refuses && (err == -EIO || err == -ENOSPC)) {
		node->hw = min(node->hw, kbr_partition_hw(node->part));
		node->read = min(node->read, node->hw);
	}
	sim_trace(s, "answer", msg->to, err, kbr_log_end(&node->part->log));
	sim_expect(s, err != -EBADMSG || msg->error, "a follower is sent what does not follow", msg->to,
		   msg->fetch.offset, msg->fetch.leader_epoch);
}

/* ---- the controller ---- */

void sim_net_push(struct sim *s, unsigned int i)
{
	struct sim_node *node = &s->node[i];
	struct sim_msg *msg;
	unsigned int j;

	if (!node->up || node->life < 0)
		return;
	msg = sim_msg_new(s, SIM_STATE, i, i, node->life);
	if (!msg)
		return;
	msg->part = s->part;
	for (j = 0; j < SIM_NODES; j++) {
		const struct kbd_broker *known = kbd_broker_find(&s->brokers, j + 1);

		msg->peers[j].id = j + 1;
		msg->peers[j].epoch = known->epoch;
		msg->peers[j].fenced = known->fenced;
		msg->peers[j].address.ss_family = AF_INET;
	}
}

void sim_net_push_all(struct sim *s)
{
	unsigned int i;

	for (i = 0; i < SIM_NODES; i++)
		sim_net_push(s, i);
}

/* A leader does by itself what it should ask for. */
static void sim_change_alone(struct sim *s, unsigned int i, const struct kbr_isr_wish *wish)
{
	enum kbroker_replica_role role;
	struct kbr_replica_state state;
	struct kbr_refusal why = {};

	if (!kbr_replica_get(s->node[i].part, &state, &role) || !wish->count)
		return;
	state.isr.count = wish->count;
	memcpy(state.isr.id, wish->id, wish->count * sizeof(wish->id[0]));
	state.partition_epoch++;
	kbr_replica_apply(s->node[i].part, &state, &why);
	sim_trace(s, "alone", i, state.isr.count, 0);
}

void sim_net_ask(struct sim *s, unsigned int i)
{
	struct kbr_cluster_request *request = kbr_cluster_request_next(s->node[i].broker, 0);
	struct sim_msg *msg;

	if (!request)
		return;
	if (s->bug == SIM_BUG_ISR_ALONE) {
		sim_change_alone(s, i, &request->isr);
	} else {
		msg = sim_msg_new(s, SIM_WISH, i, i, s->node[i].life);
		if (msg)
			msg->wish = request->isr;
	}
	sim_expect(s, request->kind == KBR_REQUEST_ISR, "a broker asks for what nobody wants", i,
		   request->kind, 0);
	kbr_cluster_request_put(request);
	sim_trace(s, "ask", i, 0, 0);
}

/* ---- delivery ---- */

/* May it come now? A daemon's messages go to and from the controller, not to other nodes. */
static bool sim_reaches(const struct sim *s, const struct sim_msg *msg)
{
	if (s->step < msg->late && !s->calm)
		return false;
	switch (msg->kind) {
	case SIM_FETCH:
	case SIM_ANSWER:
		return !s->cut[msg->from][msg->to];
	case SIM_STATE:
		return s->node[msg->to].linked;
	case SIM_WISH:
		return s->node[msg->from].linked && !s->stalled;
	}
	return false;
}

static void sim_take(struct sim *s, const struct sim_msg *msg)
{
	switch (msg->kind) {
	case SIM_FETCH:
		return sim_take_fetch(s, msg);
	case SIM_ANSWER:
		return sim_take_answer(s, msg);
	case SIM_STATE:
		return sim_tell(s, msg);
	case SIM_WISH:
		return sim_take_wish(s, msg);
	}
}

static struct sim_msg *sim_pick(struct sim *s, unsigned int skip)
{
	struct sim_msg *msg, *first = NULL;

	list_for_each_entry(msg, &s->msgs, node) {
		if (!sim_reaches(s, msg))
			continue;
		first = first ?: msg;
		if (!skip--)
			return msg;
	}
	return first;
}

bool sim_net_deliver(struct sim *s, bool chaos)
{
	/* the oldest as a rule */
	struct sim_msg *msg = sim_pick(s, chaos && !sim_below(s, 4) ? sim_below(s, 16) : 0);
	bool again;

	/* A full network loses what is stuck in it. */
	if (!msg && s->count >= SIM_MSGS_MAX) {
		msg = list_first_entry(&s->msgs, struct sim_msg, node);
		list_del(&msg->node);
		s->count--;
		sim_msg_free(msg);
		return false;
	}
	if (!msg)
		return false;
	list_del(&msg->node);
	s->count--;
	/* what is asked or told twice may come twice; a Fetch and its answer are their connection's */
	again = chaos && (msg->kind == SIM_STATE || msg->kind == SIM_WISH) && !sim_below(s, 8);
	if (!chaos || sim_below(s, s->loss))
		sim_take(s, msg);
	if (again && s->count < SIM_MSGS_MAX) {
		list_add_tail(&msg->node, &s->msgs);
		s->count++;
	} else {
		sim_msg_free(msg);
	}
	return true;
}
