// SPDX-License-Identifier: GPL-2.0-only
/*
 * The controller's decisions; see decide.h for what they keep.
 */
#include <linux/string.h>

#include "decide.h"

/* ---- sets ---- */

static int kbd_set_find(const struct kbd_set *set, s32 id)
{
	int i;

	for (i = 0; i < set->count; i++)
		if (set->id[i] == id)
			return i;
	return -1;
}

bool kbd_set_has(const struct kbd_set *set, s32 id)
{
	return kbd_set_find(set, id) >= 0;
}

bool kbd_set_add(struct kbd_set *set, s32 id)
{
	if (set->count == KBD_REPLICAS_MAX || kbd_set_has(set, id))
		return false;
	set->id[set->count++] = id;
	return true;
}

bool kbd_set_del(struct kbd_set *set, s32 id)
{
	int i = kbd_set_find(set, id);

	if (i < 0)
		return false;
	set->count--;
	memmove(&set->id[i], &set->id[i + 1], (set->count - i) * sizeof(set->id[0]));
	return true;
}

bool kbd_set_equal(const struct kbd_set *a, const struct kbd_set *b)
{
	return a->count == b->count && !memcmp(a->id, b->id, a->count * sizeof(a->id[0]));
}

/* Keep of @set what @other has. */
static void kbd_set_keep(struct kbd_set *set, const struct kbd_set *other)
{
	int i;

	for (i = set->count - 1; i >= 0; i--)
		if (!kbd_set_has(other, set->id[i]))
			kbd_set_del(set, set->id[i]);
}

static bool kbd_set_within(const struct kbd_set *set, const struct kbd_set *other)
{
	int i;

	for (i = 0; i < set->count; i++)
		if (!kbd_set_has(other, set->id[i]))
			return false;
	return true;
}

/* Is it a list of ids, each once? */
static bool kbd_set_valid(const struct kbd_set *set)
{
	int i;

	if (set->count > KBD_REPLICAS_MAX)
		return false;
	for (i = 0; i < set->count; i++)
		if (set->id[i] < 0 || kbd_set_find(set, set->id[i]) != i)
			return false;
	return true;
}

/* ---- brokers ---- */

struct kbd_broker *kbd_broker_find(struct kbd_brokers *brokers, s32 id)
{
	unsigned int i;

	for (i = 0; i < brokers->count; i++)
		if (brokers->broker[i].id == id)
			return &brokers->broker[i];
	return NULL;
}

static const struct kbd_broker *kbd_broker_get(const struct kbd_brokers *brokers, s32 id)
{
	return kbd_broker_find((struct kbd_brokers *)brokers, id);
}

/* Has it a session? */
static bool kbd_broker_lives(const struct kbd_brokers *brokers, s32 id)
{
	const struct kbd_broker *broker = kbd_broker_get(brokers, id);

	return broker && !broker->fenced;
}

bool kbd_broker_may_lead(const struct kbd_brokers *brokers, s32 id)
{
	const struct kbd_broker *broker = kbd_broker_get(brokers, id);

	return broker && !broker->fenced && !broker->stopping;
}

/* ---- the in-sync set ---- */

static unsigned int kbd_min_isr(const struct kbd_partition *part)
{
	unsigned int min = part->min_isr < part->replicas.count ? part->min_isr :
								  part->replicas.count;

	return min ? min : 1;
}

/*
 * The ISR becomes @isr. The high watermark stands still while the ISR is too
 * small, so that who leaves it then still has all that was committed (KIP-966).
 */
static void kbd_partition_set_isr(struct kbd_partition *part, const struct kbd_set *isr)
{
	struct kbd_set before = part->isr;
	int i;

	part->isr = *isr;
	if (isr->count >= kbd_min_isr(part)) {
		part->elr.count = 0;
		return;
	}
	for (i = 0; i < before.count; i++)
		if (!kbd_set_has(isr, before.id[i]))
			kbd_set_add(&part->elr, before.id[i]);
	for (i = 0; i < isr->count; i++)
		kbd_set_del(&part->elr, isr->id[i]);
}

/* Who has no session can't be waited for, nor who stops, once he does not lead. */
static void kbd_partition_drop_dead(struct kbd_partition *part, const struct kbd_brokers *brokers)
{
	struct kbd_set isr = { 0 };
	int i;

	for (i = 0; i < part->isr.count; i++) {
		s32 id = part->isr.id[i];

		if (kbd_broker_may_lead(brokers, id) ||
		    (id == part->leader && kbd_broker_lives(brokers, id)))
			kbd_set_add(&isr, id);
	}
	if (!kbd_set_equal(&isr, &part->isr))
		kbd_partition_set_isr(part, &isr);
}

bool kbd_partition_forget(struct kbd_partition *part, s32 id, bool gone)
{
	bool had;

	if (!gone) {
		if (!part->async)
			return false;
		if (part->isr.count + part->elr.count == 1)
			return false;
	}
	had = kbd_set_del(&part->isr, id);
	had |= kbd_set_del(&part->elr, id);
	if (!had)
		return false;
	if (part->leader == id) {
		part->leader = KBD_NO_BROKER;
		part->leader_epoch++;
	}
	part->partition_epoch++;
	return true;
}

/* ---- election ---- */

/* The first replica in @set that may lead, other than @not. */
static s32 kbd_partition_pick(const struct kbd_partition *part, const struct kbd_brokers *brokers,
			      const struct kbd_set *set, s32 not)
{
	int i;

	for (i = 0; i < part->replicas.count; i++) {
		s32 id = part->replicas.id[i];

		if (id != not && kbd_set_has(set, id) && kbd_broker_may_lead(brokers, id))
			return id;
	}
	return KBD_NO_BROKER;
}

/* Nobody in sync is left: it leads alone, and the others follow it. */
static void kbd_partition_lead_alone(struct kbd_partition *part, s32 id)
{
	part->leader = id;
	part->isr.count = 0;
	kbd_set_add(&part->isr, id);
	if (part->isr.count >= kbd_min_isr(part))
		part->elr.count = 0;
	else
		kbd_set_del(&part->elr, id);
}

static void kbd_partition_elect(struct kbd_partition *part, const struct kbd_brokers *brokers)
{
	s32 id;

	if (kbd_set_has(&part->isr, part->leader) && kbd_broker_may_lead(brokers, part->leader))
		return;
	id = kbd_partition_pick(part, brokers, &part->isr, KBD_NO_BROKER);
	if (id != KBD_NO_BROKER) {
		part->leader = id;
		return;
	}
	/* It goes, but nobody else can: it leads to its end. */
	if (kbd_set_has(&part->isr, part->leader) && kbd_broker_lives(brokers, part->leader))
		return;
	id = kbd_partition_pick(part, brokers, &part->elr, KBD_NO_BROKER);
	if (id == KBD_NO_BROKER && part->unclean) {
		id = kbd_partition_pick(part, brokers, &part->replicas, KBD_NO_BROKER);
		/* Whatever the others have may be more, or other records. */
		if (id != KBD_NO_BROKER)
			part->elr.count = 0;
	}
	if (id != KBD_NO_BROKER)
		kbd_partition_lead_alone(part, id);
	else
		part->leader = KBD_NO_BROKER;
}

/* ---- reassignment ---- */

/* The replicas become @replicas; who is none any more is forgotten. */
static void kbd_partition_set_replicas(struct kbd_partition *part, const struct kbd_set *replicas)
{
	part->replicas = *replicas;
	kbd_set_keep(&part->isr, replicas);
	kbd_set_keep(&part->elr, replicas);
	if (part->isr.count >= kbd_min_isr(part))
		part->elr.count = 0;
}

static void kbd_partition_end_reassignment(struct kbd_partition *part)
{
	struct kbd_set target = part->target;

	if (!target.count || !kbd_set_within(&target, &part->isr))
		return;
	part->target.count = 0;
	part->from.count = 0;
	kbd_partition_set_replicas(part, &target);
}

enum kbd_refusal kbd_partition_reassign(struct kbd_partition *part,
					const struct kbd_brokers *brokers,
					const struct kbd_set *target)
{
	const struct kbd_set *from = part->target.count ? &part->from : &part->replicas;
	struct kbd_partition next = *part;
	struct kbd_set all = *target;
	int i;

	if (!target->count || !kbd_set_valid(target))
		return KBD_INVALID;
	if (kbd_set_equal(target, part->target.count ? &part->target : &part->replicas))
		return KBD_NOTHING;
	for (i = 0; i < target->count; i++)
		if (!kbd_broker_get(brokers, target->id[i]))
			return KBD_INELIGIBLE;
	next.from = *from;
	next.target = *target;
	if (kbd_set_within(from, target) && from->count == target->count) {
		/* The same replicas in another order, or as they were before. */
		next.target.count = 0;
		next.from.count = 0;
	} else {
		for (i = 0; i < from->count; i++)
			if (!kbd_set_has(&all, from->id[i]) && !kbd_set_add(&all, from->id[i]))
				return KBD_INVALID;
	}
	kbd_partition_set_replicas(&next, &all);
	/* What is committed must not leave with those that a new target leaves out. */
	if (!next.isr.count && part->isr.count + part->elr.count)
		return KBD_INELIGIBLE;
	*part = next;
	part->partition_epoch++;
	kbd_partition_update(part, brokers);
	return KBD_OK;
}

/* ---- a partition ---- */

enum kbd_refusal kbd_partition_init(struct kbd_partition *part, const struct kbd_brokers *brokers,
				    const struct kbd_set *replicas, u8 min_isr)
{
	int i;

	if (!replicas->count || !kbd_set_valid(replicas))
		return KBD_INVALID;
	memset(part, 0, sizeof(*part));
	part->replicas = *replicas;
	part->min_isr = min_isr;
	part->leader = KBD_NO_BROKER;
	for (i = 0; i < replicas->count; i++)
		if (kbd_broker_may_lead(brokers, replicas->id[i]))
			kbd_set_add(&part->isr, replicas->id[i]);
	if (!part->isr.count)
		return KBD_INELIGIBLE;
	part->leader = part->isr.id[0];
	return KBD_OK;
}

static bool kbd_partition_same(const struct kbd_partition *a, const struct kbd_partition *b)
{
	return a->leader == b->leader && kbd_set_equal(&a->isr, &b->isr) &&
	       kbd_set_equal(&a->elr, &b->elr) && kbd_set_equal(&a->replicas, &b->replicas) &&
	       kbd_set_equal(&a->target, &b->target);
}

bool kbd_partition_update(struct kbd_partition *part, const struct kbd_brokers *brokers)
{
	struct kbd_partition before = *part;

	kbd_partition_drop_dead(part, brokers);
	kbd_partition_elect(part, brokers);
	/* It may have been kept in sync only because it led. */
	kbd_partition_drop_dead(part, brokers);
	kbd_partition_end_reassignment(part);
	kbd_partition_elect(part, brokers);
	if (part->isr.count >= kbd_min_isr(part))
		part->elr.count = 0;
	if (kbd_partition_same(part, &before))
		return false;
	if (part->leader != before.leader)
		part->leader_epoch++;
	part->partition_epoch++;
	return true;
}

/* May @change's member @i be in sync? */
static bool kbd_isr_member_ok(const struct kbd_partition *part, const struct kbd_brokers *brokers,
			      const struct kbd_isr_change *change, int i)
{
	s32 id = change->isr.id[i];
	const struct kbd_broker *broker = kbd_broker_get(brokers, id);

	if (!broker || broker->fenced)
		return false;
	if (broker->stopping && id != part->leader)
		return false;
	/* Another registration: what the leader knows of it is of its life before (KIP-903). */
	if (change->epochs[i] < 0)
		return kbd_set_has(&part->isr, id);
	return change->epochs[i] == broker->epoch;
}

/*
 * The leader can lead no longer, though its broker lives: a sync failed. What was
 * committed it has, but in a partition that does not wait for disks.
 */
static enum kbd_refusal kbd_partition_resign(struct kbd_partition *part,
					     const struct kbd_brokers *brokers,
					     const struct kbd_set *isr)
{
	if (!kbd_set_within(isr, &part->isr))
		return KBD_INVALID;
	kbd_partition_set_isr(part, isr);
	if (part->async && part->isr.count + part->elr.count > 1)
		kbd_set_del(&part->elr, part->leader);
	part->leader = kbd_partition_pick(part, brokers, isr, part->leader);
	part->leader_epoch++;
	part->partition_epoch++;
	kbd_partition_update(part, brokers);
	return KBD_OK;
}

enum kbd_refusal kbd_partition_change_isr(struct kbd_partition *part,
					  const struct kbd_brokers *brokers,
					  const struct kbd_isr_change *change)
{
	const struct kbd_broker *leader = kbd_broker_get(brokers, change->leader);
	int i;

	if (change->leader != part->leader || !leader)
		return KBD_NOT_LEADER;
	if (change->broker_epoch != leader->epoch || change->leader_epoch < part->leader_epoch)
		return KBD_FENCED_EPOCH;
	if (change->partition_epoch != part->partition_epoch)
		return KBD_STALE;
	if (change->leader_epoch != part->leader_epoch || !kbd_set_valid(&change->isr) ||
	    !kbd_set_within(&change->isr, &part->replicas))
		return KBD_INVALID;
	if (!kbd_set_has(&change->isr, part->leader))
		return kbd_partition_resign(part, brokers, &change->isr);
	for (i = 0; i < change->isr.count; i++) {
		if (kbd_isr_member_ok(part, brokers, change, i))
			continue;
		/* The leader is to know that this change can come no more, even sent twice. */
		part->partition_epoch++;
		return KBD_INELIGIBLE;
	}
	if (change->isr.count == part->isr.count && kbd_set_within(&change->isr, &part->isr))
		return KBD_NOTHING;
	kbd_partition_set_isr(part, &change->isr);
	part->partition_epoch++;
	kbd_partition_update(part, brokers);
	return KBD_OK;
}

enum kbd_refusal kbd_partition_lose(struct kbd_partition *part, const struct kbd_brokers *brokers,
				    const struct kbd_loss *loss)
{
	const struct kbd_broker *broker = kbd_broker_get(brokers, loss->id);
	s32 led = part->leader_epoch;
	bool other = false;
	int i;

	if (!broker || loss->broker_epoch != broker->epoch)
		return KBD_FENCED_EPOCH;
	if (!kbd_set_has(&part->replicas, loss->id))
		return KBD_INVALID;
	if (loss->partition_epoch != part->partition_epoch)
		return KBD_STALE;
	for (i = 0; i < part->replicas.count; i++) {
		s32 id = part->replicas.id[i];

		other |= id != loss->id && kbd_broker_may_lead(brokers, id) &&
			 (kbd_set_has(&part->isr, id) || kbd_set_has(&part->elr, id));
	}
	if (!other)
		return KBD_INELIGIBLE;
	kbd_partition_forget(part, loss->id, true);
	kbd_partition_update(part, brokers);
	if (part->leader_epoch == led) {
		part->leader_epoch++;
		part->partition_epoch++;
	}
	return KBD_OK;
}

enum kbd_refusal kbd_partition_move_leader(struct kbd_partition *part,
					   const struct kbd_brokers *brokers, s32 from, s32 to)
{
	s32 id;

	if (part->leader != from || to == from)
		return KBD_NOTHING;
	if (to == KBD_NO_BROKER)
		id = kbd_partition_pick(part, brokers, &part->isr, from);
	else
		id = kbd_set_has(&part->isr, to) && kbd_broker_may_lead(brokers, to) ?
		     to : KBD_NO_BROKER;
	if (id == KBD_NO_BROKER)
		return KBD_INELIGIBLE;
	part->leader = id;
	part->leader_epoch++;
	part->partition_epoch++;
	kbd_partition_update(part, brokers);
	return KBD_OK;
}

s32 kbd_partition_preferred(const struct kbd_partition *part, const struct kbd_brokers *brokers)
{
	s32 id = part->replicas.id[0];

	if (part->target.count || part->leader == id || !kbd_set_has(&part->isr, id) ||
	    !kbd_broker_may_lead(brokers, id))
		return KBD_NO_BROKER;
	return id;
}

/* ---- placement ---- */

/* Its place in its rack: so many before it are in the same one. */
static unsigned int kbd_place_in_rack(const struct kbd_brokers *brokers, unsigned int at)
{
	unsigned int before = 0, i;

	for (i = 0; i < at; i++)
		if (kbd_broker_may_lead(brokers, brokers->broker[i].id) &&
		    !strcmp(brokers->broker[i].rack, brokers->broker[at].rack))
			before++;
	return before;
}

/* Those that can be used, the first of each rack, then the second of each, and so on. */
static unsigned int kbd_place_order(const struct kbd_brokers *brokers, u16 *order)
{
	unsigned int count = 0, usable = 0, turn, i;

	for (i = 0; i < brokers->count; i++)
		usable += kbd_broker_may_lead(brokers, brokers->broker[i].id);
	for (turn = 0; count < usable; turn++)
		for (i = 0; i < brokers->count; i++)
			if (kbd_broker_may_lead(brokers, brokers->broker[i].id) &&
			    kbd_place_in_rack(brokers, i) == turn)
				order[count++] = i;
	return count;
}

/* Is a replica in the rack of @broker already? */
static bool kbd_place_rack_used(const struct kbd_brokers *brokers, const struct kbd_set *replicas,
				const struct kbd_broker *broker)
{
	int i;

	for (i = 0; i < replicas->count; i++)
		if (!strcmp(kbd_broker_get(brokers, replicas->id[i])->rack, broker->rack))
			return true;
	return false;
}

enum kbd_refusal kbd_place(const struct kbd_brokers *brokers, unsigned int start,
			   unsigned int index, unsigned int replication_factor,
			   struct kbd_set *replicas)
{
	u16 order[KBD_BROKERS_MAX];
	unsigned int count = kbd_place_order(brokers, order);
	unsigned int first, shift, pass, i;

	if (!replication_factor || replication_factor > KBD_REPLICAS_MAX ||
	    replication_factor > count)
		return KBD_TOO_FEW;
	start %= count;
	first = (start + index) % count;
	/* Each round of leaders has its followers one further. */
	shift = start + index / count;
	replicas->count = 0;
	kbd_set_add(replicas, brokers->broker[order[first]].id);
	for (pass = 0; pass < 2; pass++) {
		for (i = 0; i + 1 < count && replicas->count < replication_factor; i++) {
			unsigned int at = (first + 1 + (shift + i) % (count - 1)) % count;
			const struct kbd_broker *broker = &brokers->broker[order[at]];

			/* first round: other racks only */
			if (pass || !kbd_place_rack_used(brokers, replicas, broker))
				kbd_set_add(replicas, broker->id);
		}
	}
	return KBD_OK;
}

/* ---- what must hold ---- */

const char *kbd_partition_check(const struct kbd_partition *part,
				const struct kbd_brokers *brokers)
{
	int i;

	if (!part->replicas.count || !kbd_set_valid(&part->replicas) ||
	    !kbd_set_valid(&part->isr) || !kbd_set_valid(&part->elr))
		return "a set that is none";
	if (!kbd_set_within(&part->isr, &part->replicas) ||
	    !kbd_set_within(&part->elr, &part->replicas))
		return "in sync or eligible, and no replica";
	for (i = 0; i < part->elr.count; i++)
		if (kbd_set_has(&part->isr, part->elr.id[i]))
			return "in the ISR and in the ELR";
	if (part->isr.count >= kbd_min_isr(part) && part->elr.count)
		return "an ELR beside an ISR that is large enough";
	if (part->target.count && !kbd_set_within(&part->target, &part->replicas))
		return "a target that is no replica";
	if (part->leader == KBD_NO_BROKER)
		return NULL;
	if (!kbd_set_has(&part->isr, part->leader))
		return "a leader that is not in sync";
	if (!kbd_broker_lives(brokers, part->leader))
		return "a leader without a session";
	if (!kbd_broker_may_lead(brokers, part->leader) &&
	    kbd_partition_pick(part, brokers, &part->isr, KBD_NO_BROKER) != KBD_NO_BROKER)
		return "a leader that stops, though another could lead";
	return NULL;
}
