// SPDX-License-Identifier: GPL-2.0-only
/*
 * Kafka's classic group protocol: members join, one of them (the leader)
 * assigns partitions, the broker hands the assignment out.
 *
 *	Empty -> PreparingRebalance	somebody joins
 *	Preparing -> Completing		all rejoined, or the time is over: a new generation
 *	Completing -> Stable		the leader's assignment is on disk
 *	Completing, Stable -> Preparing	somebody joins, leaves, or is not heard of
 *	Preparing -> Empty		nobody is left
 *
 * All of it under the group's lock. Nothing here asks what time it is, nor has
 * a timer: kbr_group_tick_locked() ends what is over, and says when to call it
 * again. Times are monotonic, ms.
 */
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/uuid.h>

#include "base/clock.h"
#include "base/kunit.h"
#include "broker/group_internal.h"

/* A new member whose join phase does not end is given up after, ms */
#define KBR_GROUP_FRESH_MS	(5 * 60 * 1000)
/* Longest text of a client that goes into a member id, bytes */
#define KBR_GROUP_ID_TEXT_MAX	255

/* ---- members ---- */

static void kbr_group_member_release(struct kref *ref)
{
	struct kbr_group_member *member = container_of(ref, struct kbr_group_member, ref);

	kfree(member->id.at);
	kfree(member->former.at);
	kfree(member->instance_id.at);
	kfree(member->client_id.at);
	kfree(member->client_host.at);
	kvfree(member->protocols);
	kvfree(member->blob);
	kvfree(member->assignment.at);
	kfree(member);
}

void kbr_group_member_put(struct kbr_group_member *member)
{
	kref_put(&member->ref, kbr_group_member_release);
}

static struct kbr_group_member *kbr_group_find_member(const struct list_head *list,
						      const struct kbr_str *id)
{
	struct kbr_group_member *member;

	list_for_each_entry(member, list, node)
		if (kbr_group_str_same(&member->id, id))
			return member;
	return NULL;
}

static struct kbr_group_member *kbr_group_find_instance(struct kbr_group *group,
							const struct kbr_str *instance)
{
	struct kbr_group_member *member;

	if (instance->len < 0)
		return NULL;
	list_for_each_entry(member, &group->members, node)
		if (kbr_group_str_same(&member->instance_id, instance))
			return member;
	return NULL;
}

/* client id or instance id, "-", a UUID */
static bool kbr_group_make_id(struct kbr_str *id, const struct kbr_str *text)
{
	int len = clamp(text->len, 0, KBR_GROUP_ID_TEXT_MAX);
	uuid_t uuid;
	char *at;

	generate_random_uuid(uuid.b);
	at = kasprintf(GFP_KERNEL_ACCOUNT, "%.*s-%pUb", len, len ? text->at : "", &uuid);
	if (!at)
		return false;
	*id = (struct kbr_str) { .at = at, .len = strlen(at) };
	return true;
}

static ssize_t kbr_group_text_bytes(const struct kbr_str *text)
{
	return text->len < 0 ? 0 : text->len + 1;
}

/* Not in any list yet, and not accounted for. */
static struct kbr_group_member *kbr_group_member_new(const struct kbr_group_join *join)
{
	struct kbr_group_member *member = kzalloc(sizeof(*member), GFP_KERNEL_ACCOUNT);
	bool ok;

	if (!member)
		return NULL;
	kref_init(&member->ref);
	INIT_LIST_HEAD(&member->node);
	member->assignment.len = -1;
	member->former.len = -1;
	member->fresh = true;
	ok = kbr_group_str_dup(&member->instance_id, &join->id.instance_id) &&
	     kbr_group_str_dup(&member->client_id, &join->client_id) &&
	     kbr_group_str_dup(&member->client_host, &join->client_host);
	if (ok && join->id.member_id.len > 0)
		ok = kbr_group_str_dup(&member->id, &join->id.member_id);
	else if (ok)
		ok = kbr_group_make_id(&member->id, join->id.instance_id.len >= 0 ?
				       &join->id.instance_id : &join->client_id);
	if (!ok) {
		kbr_group_member_put(member);
		return NULL;
	}
	member->bytes = sizeof(*member) + kbr_group_text_bytes(&member->id) +
			kbr_group_text_bytes(&member->instance_id) +
			kbr_group_text_bytes(&member->client_id) +
			kbr_group_text_bytes(&member->client_host);
	if (member->instance_id.len >= 0)
		member->bytes += kbr_group_text_bytes(&member->id);	/* @former */
	return member;
}

/* Has it named the same protocols, with the same metadata, as @join? */
static bool kbr_group_member_same(const struct kbr_group_member *member,
				  const struct kbr_group_join *join)
{
	unsigned int i;

	if (member->protocols_count != join->protocols_count)
		return false;
	for (i = 0; i < join->protocols_count; i++)
		if (!kbr_group_str_same(&member->protocols[i].name, &join->protocols[i].name) ||
		    !kbr_group_str_same(&member->protocols[i].metadata,
					&join->protocols[i].metadata))
			return false;
	return true;
}

/* What a JoinGroup says of a member that is there. Returns Kafka's error. */
static s16 kbr_group_member_update(struct kbr_group *group, struct kbr_group_member *member,
				   const struct kbr_group_join *join)
{
	struct kbr_group_protocol *protocols;
	size_t len = 0, old = 0;
	unsigned int i;
	char *blob, *at;

	for (i = 0; i < join->protocols_count; i++)
		len += join->protocols[i].name.len + max(join->protocols[i].metadata.len, 0);
	for (i = 0; i < member->protocols_count; i++)
		old += member->protocols[i].name.len + max(member->protocols[i].metadata.len, 0) +
		       sizeof(*member->protocols);
	protocols = kvmalloc_array(join->protocols_count, sizeof(*protocols), GFP_KERNEL_ACCOUNT);
	blob = kvmalloc(len + 1, GFP_KERNEL_ACCOUNT);
	len += join->protocols_count * sizeof(*protocols);
	if (!protocols || !blob || !kbr_group_charge(group, (ssize_t)len - (ssize_t)old)) {
		kvfree(protocols);
		kvfree(blob);
		return KBR_KAFKA_GROUP_MAX_SIZE_REACHED;
	}
	member->bytes += len - old;
	at = blob;
	for (i = 0; i < join->protocols_count; i++) {
		struct kbr_str name = join->protocols[i].name, meta = join->protocols[i].metadata;

		meta.len = max(meta.len, 0);
		protocols[i].name = (struct kbr_str) { .at = at, .len = name.len };
		at = memcpy(at, name.at, name.len) + name.len;
		protocols[i].metadata = (struct kbr_str) { .at = at, .len = meta.len };
		if (meta.len)
			memcpy(at, meta.at, meta.len);
		at += meta.len;
	}
	kvfree(member->protocols);
	kvfree(member->blob);
	member->protocols = protocols;
	member->protocols_count = join->protocols_count;
	member->blob = blob;
	member->session_timeout_ms = join->session_timeout_ms;
	member->rebalance_timeout_ms = join->rebalance_timeout_ms;
	return 0;
}

static bool kbr_group_member_assign(struct kbr_group *group, struct kbr_group_member *member,
				    const struct kbr_str *assignment)
{
	ssize_t diff = max(assignment->len, 0) - max(member->assignment.len, 0);
	char *at = NULL;

	if (assignment->len > 0) {
		at = kvmalloc(assignment->len, GFP_KERNEL_ACCOUNT);
		if (!at)
			return false;
		memcpy(at, assignment->at, assignment->len);
	}
	if (!kbr_group_charge(group, diff)) {
		kvfree(at);
		return false;
	}
	member->bytes += diff;
	kvfree(member->assignment.at);
	member->assignment = (struct kbr_str) { .at = at, .len = max(assignment->len, 0) };
	return true;
}

/* Take it out; what it waits for is answered with @code. */
static void kbr_group_remove_member(struct kbr_group *group, struct kbr_group_member *member,
				    s16 code)
{
	member->code = code;
	member->joining = false;
	member->syncing = false;
	if (group->leader == member)
		group->leader = NULL;
	list_del_init(&member->node);
	group->members_count--;
	kbr_group_charge(group, -(ssize_t)member->bytes);
	kbr_group_wake_locked(group);
	kbr_group_member_put(member);
}

static void kbr_group_drop_promise(struct kbr_group *group, struct kbr_group_member *member)
{
	list_del_init(&member->node);
	group->promised_count--;
	kbr_group_charge(group, -(ssize_t)member->bytes);
	kbr_group_member_put(member);
}

void kbr_group_drop_members_locked(struct kbr_group *group, s16 code)
{
	struct kbr_group_member *member, *next;

	list_for_each_entry_safe(member, next, &group->members, node)
		kbr_group_remove_member(group, member, code);
	list_for_each_entry_safe(member, next, &group->promised, node)
		kbr_group_drop_promise(group, member);
}

static void kbr_group_alive(struct kbr_group_member *member, s64 now)
{
	member->deadline = now + member->session_timeout_ms;
}

/* ---- protocols ---- */

static bool kbr_group_member_supports(const struct kbr_group_member *member,
				      const struct kbr_str *protocol)
{
	unsigned int i;

	for (i = 0; i < member->protocols_count; i++)
		if (kbr_group_str_same(&member->protocols[i].name, protocol))
			return true;
	return false;
}

/* Do all members, other than @except, speak @protocol? */
static bool kbr_group_all_support(const struct kbr_group *group, const struct kbr_str *protocol,
				  const struct kbr_group_member *except)
{
	const struct kbr_group_member *member;

	list_for_each_entry(member, &group->members, node)
		if (member != except && !kbr_group_member_supports(member, protocol))
			return false;
	return true;
}

/* Has @join a type and a protocol in common with the members other than @except? */
static bool kbr_group_agrees(const struct kbr_group *group, const struct kbr_group_join *join,
			     const struct kbr_group_member *except)
{
	unsigned int i;

	if (group->kind == KBR_GROUP_DEVICE || !join->protocols_count ||
	    join->protocol_type.len <= 0)
		return false;
	if (!group->members_count)
		return true;
	if (!kbr_group_str_same(&group->protocol_type, &join->protocol_type))
		return false;
	for (i = 0; i < join->protocols_count; i++)
		if (kbr_group_all_support(group, &join->protocols[i].name, except))
			return true;
	return false;
}

/*
 * The vote of @member, its first protocol that all speak: what number it has
 * with @first, whose @votes are negative where not all speak it.
 */
static int kbr_group_vote(const struct kbr_group_member *first, const s32 *votes,
			  const struct kbr_group_member *member)
{
	unsigned int i, n;

	for (i = 0; i < member->protocols_count; i++)
		for (n = 0; n < first->protocols_count; n++)
			if (votes[n] >= 0 && kbr_group_str_same(&first->protocols[n].name,
								&member->protocols[i].name))
				return n;
	return -1;
}

static bool kbr_group_set_protocol(struct kbr_group *group, const struct kbr_str *protocol)
{
	struct kbr_str text;

	if (!kbr_group_str_dup(&text, protocol))
		return false;
	kfree(group->protocol.at);
	group->protocol = text;
	return true;
}

/* Most votes win; of two with as many, the one that was voted for first. */
static bool kbr_group_choose_protocol(struct kbr_group *group)
{
	const struct kbr_group_member *first, *member;
	int best = -1, vote;
	unsigned int n;
	bool chosen;
	s32 *votes;

	/* What all speak, the first one does, too. */
	first = list_first_entry(&group->members, struct kbr_group_member, node);
	votes = kvcalloc(first->protocols_count, sizeof(*votes), GFP_KERNEL);
	if (!votes)
		return false;
	for (n = 0; n < first->protocols_count; n++)
		if (!kbr_group_all_support(group, &first->protocols[n].name, NULL))
			votes[n] = -1;
	list_for_each_entry(member, &group->members, node) {
		vote = kbr_group_vote(first, votes, member);
		if (vote >= 0)
			votes[vote]++;
	}
	list_for_each_entry(member, &group->members, node) {
		vote = kbr_group_vote(first, votes, member);
		if (vote >= 0 && (best < 0 || votes[vote] > votes[best]))
			best = vote;
	}
	chosen = best >= 0 && kbr_group_set_protocol(group, &first->protocols[best].name);
	kvfree(votes);
	return chosen;
}

/* ---- rebalancing ---- */

static s64 kbr_group_rebalance_timeout(const struct kbr_group *group)
{
	const struct kbr_group_member *member;
	s64 longest = 0;

	list_for_each_entry(member, &group->members, node)
		longest = max_t(s64, longest, member->rebalance_timeout_ms);
	return longest;
}

/* Who waits for an assignment of a generation that is over must rejoin. */
static void kbr_group_stop_syncing(struct kbr_group *group, s64 now)
{
	struct kbr_group_member *member;

	group->storing = 0;
	group->sync_end = KBR_GROUP_NEVER;
	list_for_each_entry(member, &group->members, node) {
		if (!member->syncing)
			continue;
		member->code = KBR_KAFKA_REBALANCE_IN_PROGRESS;
		member->syncing = false;
		/* While it waited it could not say that it was alive. */
		kbr_group_alive(member, now);
	}
}

static void kbr_group_prepare(struct kbr_group *group, s64 now)
{
	bool first = group->state == KBR_GROUP_EMPTY;
	s64 timeout = kbr_group_rebalance_timeout(group);
	s64 delay = READ_ONCE(group->groups->broker->config.group_delay_ms);

	if (group->state == KBR_GROUP_COMPLETING_REBALANCE)
		kbr_group_stop_syncing(group, now);
	kbr_group_set_state_locked(group, KBR_GROUP_PREPARING_REBALANCE);
	group->delay_end = 0;
	group->rebalance_end = now + timeout;
	if (first && delay > 0) {
		/* More may be about to come. */
		group->delay_end = now + timeout;
		group->rebalance_end = now + min(delay, timeout);
	}
}

/* Stable or about to be: everybody must rejoin. Preparing already: nothing. */
static void kbr_group_rebalance(struct kbr_group *group, s64 now)
{
	if (group->state == KBR_GROUP_STABLE || group->state == KBR_GROUP_COMPLETING_REBALANCE ||
	    group->state == KBR_GROUP_EMPTY)
		kbr_group_prepare(group, now);
}

static void kbr_group_clear_protocol(struct kbr_group *group)
{
	kfree(group->protocol.at);
	group->protocol = (struct kbr_str) { .len = -1 };
	group->leader = NULL;
}

static void kbr_group_become_empty(struct kbr_group *group)
{
	LIST_HEAD(none);

	kbr_group_clear_protocol(group);
	group->kind = KBR_GROUP_NONE;
	kbr_group_set_state_locked(group, KBR_GROUP_EMPTY);
	/* If it can't be written down, a restart finds members that then time out. */
	if (group->record >= 0 || group->offsets_count || group->storing)
		kbr_group_append_locked(group, &none, KBR_GROUP_PUT_FULL, NULL);
	group->storing = 0;
}

/* The join phase ends: who did not rejoin is out, the others are a new generation. */
static void kbr_group_complete_join(struct kbr_group *group, s64 now)
{
	struct kbr_group_member *member, *next, *lead = NULL;

	list_for_each_entry_safe(member, next, &group->members, node)
		if (!member->joining && member->instance_id.len < 0)
			kbr_group_remove_member(group, member, KBR_KAFKA_UNKNOWN_MEMBER_ID);
	group->generation++;
	if (!group->members_count) {
		kbr_group_become_empty(group);
		return;
	}
	list_for_each_entry(member, &group->members, node)
		if (member->joining && !lead)
			lead = member;
	if (!lead) {
		/* Static members that did not come back: they have until their sessions end. */
		group->generation--;
		group->rebalance_end = now + max_t(s64, kbr_group_rebalance_timeout(group), 1);
		return;
	}
	if (!group->leader || !group->leader->joining)
		group->leader = lead;
	if (!kbr_group_choose_protocol(group)) {
		/* No memory: they are told to try again. */
		group->generation--;
		kbr_group_drop_members_locked(group, KBR_KAFKA_COORDINATOR_NOT_AVAILABLE);
		kbr_group_become_empty(group);
		return;
	}
	list_for_each_entry(member, &group->members, node) {
		member->joining = false;
		member->fresh = false;
		kbr_group_alive(member, now);
	}
	group->sync_end = now + kbr_group_rebalance_timeout(group);
	kbr_group_set_state_locked(group, KBR_GROUP_COMPLETING_REBALANCE);
}

/* Have all members rejoined? */
static bool kbr_group_all_joined(const struct kbr_group *group)
{
	const struct kbr_group_member *member;

	if (group->promised_count)
		return false;
	list_for_each_entry(member, &group->members, node)
		if (!member->joining)
			return false;
	return true;
}

static void kbr_group_maybe_complete_join(struct kbr_group *group, s64 now)
{
	if (group->state != KBR_GROUP_PREPARING_REBALANCE)
		return;
	if (!group->members_count || (!group->delay_end && kbr_group_all_joined(group)))
		kbr_group_complete_join(group, now);
}

/* A member has gone: the others share its partitions. */
static void kbr_group_member_gone(struct kbr_group *group, struct kbr_group_member *member,
				  s16 code, s64 now)
{
	kbr_group_remove_member(group, member, code);
	if (group->state == KBR_GROUP_PREPARING_REBALANCE)
		kbr_group_maybe_complete_join(group, now);
	else
		kbr_group_rebalance(group, now);
	if (group->state == KBR_GROUP_PREPARING_REBALANCE && !group->members_count)
		kbr_group_complete_join(group, now);
}

static s64 kbr_group_tick_members(struct kbr_group *group, s64 now)
{
	struct kbr_group_member *member, *next;
	s64 soonest;

again:
	soonest = KBR_GROUP_NEVER;
	list_for_each_entry(member, &group->members, node) {
		/* Who waits for the join phase is alive, and can't say so. */
		if (member->joining && !member->fresh)
			continue;
		if (member->syncing && group->state == KBR_GROUP_COMPLETING_REBALANCE)
			continue;
		if (member->deadline > now) {
			soonest = min(soonest, member->deadline);
			continue;
		}
		kbr_group_member_gone(group, member, KBR_KAFKA_UNKNOWN_MEMBER_ID, now);
		goto again;
	}
	list_for_each_entry_safe(member, next, &group->promised, node) {
		if (member->deadline > now)
			soonest = min(soonest, member->deadline);
		else
			kbr_group_drop_promise(group, member);
	}
	return soonest;
}

/* Who did not ask for its assignment in time is out. */
static void kbr_group_sync_over(struct kbr_group *group, s64 now)
{
	struct kbr_group_member *member, *next;

	group->sync_end = KBR_GROUP_NEVER;
	list_for_each_entry_safe(member, next, &group->members, node)
		if (!member->syncing)
			kbr_group_remove_member(group, member, KBR_KAFKA_UNKNOWN_MEMBER_ID);
	kbr_group_rebalance(group, now);
	kbr_group_maybe_complete_join(group, now);
}

s64 kbr_group_tick_locked(struct kbr_group *group, s64 now)
{
	s64 next = kbr_group_tick_members(group, now);

	if (group->state == KBR_GROUP_COMPLETING_REBALANCE && !group->storing) {
		if (group->sync_end <= now)
			kbr_group_sync_over(group, now);
		else
			next = min(next, group->sync_end);
	}
	if (group->state == KBR_GROUP_PREPARING_REBALANCE) {
		kbr_group_maybe_complete_join(group, now);
		if (group->state == KBR_GROUP_PREPARING_REBALANCE &&
		    group->rebalance_end <= now) {
			group->delay_end = 0;
			kbr_group_complete_join(group, now);
		}
		if (group->state == KBR_GROUP_PREPARING_REBALANCE)
			next = min(next, group->rebalance_end);
	}
	/* The end of a join phase began new deadlines. */
	if (group->state == KBR_GROUP_COMPLETING_REBALANCE && !group->storing)
		next = min(next, group->sync_end);
	if (group->state == KBR_GROUP_COMPLETING_REBALANCE || group->state == KBR_GROUP_STABLE)
		next = min(next, kbr_group_tick_members(group, now));
	return next;
}
KBR_EXPORT_IF_KUNIT(kbr_group_tick_locked);

/* ---- JoinGroup ---- */

static void kbr_group_forget_former(struct kbr_group_member *member)
{
	kfree(member->former.at);
	member->former = (struct kbr_str) { .len = -1 };
	member->storing = 0;
}

static void kbr_group_tell_join(struct kbr_group *group, struct kbr_group_member *member,
				kbr_group_tell tell, void *ctx)
{
	bool back = member->former.len >= 0;
	struct kbr_group_answer answer = {
		.generation = group->generation,
		.protocol = group->protocol,
		.leader = group->leader ? group->leader->id : (struct kbr_str) { .at = "" },
		.member_id = member->id,
		.lead = !back && group->leader == member,
		.assignment = { .at = "" },
		.group = group,
	};

	/* A leader that is back is told its old id, so that it does not assign anew. */
	if (back && group->leader == member)
		answer.leader = member->former;
	if (answer.protocol.len < 0)
		answer.protocol = (struct kbr_str) { .at = "" };
	tell(ctx, &answer);
	kbr_group_forget_former(member);
}

static void kbr_group_tell_error(struct kbr_group *group, s16 code, const struct kbr_str *member_id,
				 kbr_group_tell tell, void *ctx)
{
	struct kbr_group_answer answer = {
		.code = code,
		.generation = -1,
		.protocol = { .at = "" },
		.leader = { .at = "" },
		.member_id = *member_id,
		.assignment = { .at = "" },
		.group = group,
	};

	if (answer.member_id.len < 0)
		answer.member_id = (struct kbr_str) { .at = "" };
	tell(ctx, &answer);
}

/*
 * Answer a request that waits if it is over with it: its member is out, or has
 * asked anew, or somebody else is that static member now.
 */
static bool kbr_group_tell_over(const struct kbr_group_wait *wait, kbr_group_tell tell, void *ctx)
{
	static const struct kbr_str nobody = { .at = "", .len = 0 };
	const struct kbr_group_member *member = wait->member;
	const struct kbr_str *id = &member->id;
	s16 code = member->code;

	if ((s32)(member->fenced - wait->seq) >= 0) {
		code = KBR_KAFKA_FENCED_INSTANCE_ID;
		id = &nobody;	/* its own is forgotten, the other's not for it */
	} else if (!code && member->seq != wait->seq) {
		code = KBR_KAFKA_REBALANCE_IN_PROGRESS;
	}
	if (code)
		kbr_group_tell_error(wait->group, code, id, tell, ctx);
	return code;
}

/* It waits: @wait finds it again. */
static void kbr_group_wait_for(struct kbr_group *group, struct kbr_group_member *member,
			       struct kbr_group_wait *wait)
{
	kbr_group_get(group);
	kref_get(&member->ref);
	member->code = 0;
	*wait = (struct kbr_group_wait) {
		.group = group,
		.member = member,
		.seq = ++member->seq,
	};
	/* An older request of it is answered now. */
	kbr_group_wake_locked(group);
}

/* @member waits for the end of the join phase. */
static void kbr_group_await_join(struct kbr_group *group, struct kbr_group_member *member, s64 now,
				 struct kbr_group_wait *wait)
{
	kbr_group_forget_former(member);
	member->joining = true;
	member->deadline = now + KBR_GROUP_FRESH_MS;
	kbr_group_wait_for(group, member, wait);
	kbr_group_rebalance(group, now);
	kbr_group_maybe_complete_join(group, now);
}

/* A member that was not there. Returns Kafka's error. */
static s16 kbr_group_join_new(struct kbr_group *group, const struct kbr_group_join *join, s64 now,
			      struct kbr_group_wait *wait)
{
	struct kbr_group_member *member = kbr_group_member_new(join);
	struct kbr_str type;
	s16 code;

	if (!member)
		return KBR_KAFKA_COORDINATOR_NOT_AVAILABLE;
	if (!group->members_count) {
		if (!kbr_group_str_dup(&type, &join->protocol_type)) {
			kbr_group_member_put(member);
			return KBR_KAFKA_COORDINATOR_NOT_AVAILABLE;
		}
		kfree(group->protocol_type.at);
		group->protocol_type = type;
	}
	if (!kbr_group_charge(group, member->bytes)) {
		kbr_group_member_put(member);
		return KBR_KAFKA_GROUP_MAX_SIZE_REACHED;
	}
	code = kbr_group_member_update(group, member, join);
	if (code) {
		kbr_group_charge(group, -(ssize_t)member->bytes);
		kbr_group_member_put(member);
		return code;
	}
	group->kind = KBR_GROUP_CLASSIC;
	list_add_tail(&member->node, &group->members);
	group->members_count++;
	if (group->state == KBR_GROUP_PREPARING_REBALANCE && group->delay_end) {
		/* One more has come: wait as long again for the next. */
		s64 delay = READ_ONCE(group->groups->broker->config.group_delay_ms);

		group->rebalance_end = min(now + delay, group->delay_end);
	}
	kbr_group_await_join(group, member, now, wait);
	return 0;
}

/* KIP-394: an id first, so that a retry is not another member. */
static s16 kbr_group_promise(struct kbr_group *group, const struct kbr_group_join *join, s64 now,
			     struct kbr_str *id)
{
	struct kbr_group_member *member = kbr_group_member_new(join);

	if (!member)
		return KBR_KAFKA_COORDINATOR_NOT_AVAILABLE;
	if (!kbr_group_charge(group, member->bytes)) {
		kbr_group_member_put(member);
		return KBR_KAFKA_GROUP_MAX_SIZE_REACHED;
	}
	member->deadline = now + join->session_timeout_ms;
	list_add_tail(&member->node, &group->promised);
	group->promised_count++;
	*id = member->id;
	return KBR_KAFKA_MEMBER_ID_REQUIRED;
}

/* Does everybody's vote stay what it is with @join in the place of @member's protocols? */
static bool kbr_group_choice_stays(struct kbr_group *group, struct kbr_group_member *member,
				   const struct kbr_group_join *join)
{
	unsigned int i;

	for (i = 0; i < join->protocols_count; i++)
		if (kbr_group_all_support(group, &join->protocols[i].name, member))
			return kbr_group_str_same(&join->protocols[i].name, &group->protocol);
	return false;
}

/* Its new id has to be on disk before it hears of it: after a crash it would be fenced. */
static void kbr_group_store_id(struct kbr_group *group, struct kbr_group_member *member,
			       struct kbr_str *old, struct kbr_group_wait *wait)
{
	LIST_HEAD(none);

	kbr_group_wait_for(group, member, wait);
	kfree(member->former.at);
	member->former = *old;
	old->at = NULL;
	/* If it can't be written down, it is fenced by a crash and begins anew. */
	member->storing = kbr_group_append_locked(group, &none, KBR_GROUP_PUT_FULL, NULL) ?
			  0 : group->seq;
}

/*
 * KIP-345: a static member comes back under a new id. In a stable group whose
 * choice stays the same, nobody else notices.
 */
static s16 kbr_group_join_static(struct kbr_group *group, struct kbr_group_member *member,
				 const struct kbr_group_join *join, s64 now,
				 struct kbr_group_wait *wait)
{
	bool quiet = group->state == KBR_GROUP_STABLE && kbr_group_choice_stays(group, member, join);
	struct kbr_str id, old;
	s16 code;

	if (!kbr_group_make_id(&id, &join->id.instance_id))
		return KBR_KAFKA_COORDINATOR_NOT_AVAILABLE;
	code = kbr_group_member_update(group, member, join);
	if (code) {
		kfree(id.at);
		return code;
	}
	old = member->id;
	member->id = id;
	/* What its former self waits for: somebody else is it now. */
	member->fenced = member->seq++;
	member->joining = false;
	member->syncing = false;
	member->code = 0;
	kbr_group_wake_locked(group);
	kbr_group_alive(member, now);
	if (quiet)
		kbr_group_store_id(group, member, &old, wait);
	else
		kbr_group_await_join(group, member, now, wait);
	kfree(old.at);
	return 0;
}

/* A member that is known joins again. */
static s16 kbr_group_join_known(struct kbr_group *group, struct kbr_group_member *member,
				const struct kbr_group_join *join, s64 now,
				struct kbr_group_wait *wait, kbr_group_tell tell, void *ctx,
				bool *told)
{
	bool same = kbr_group_member_same(member, join);
	s16 code;

	kbr_group_alive(member, now);
	/* The answer to its JoinGroup may have been lost. */
	if (same && (group->state == KBR_GROUP_COMPLETING_REBALANCE ||
		     (group->state == KBR_GROUP_STABLE && member != group->leader))) {
		kbr_group_tell_join(group, member, tell, ctx);
		*told = true;
		return 0;
	}
	code = kbr_group_member_update(group, member, join);
	if (!code)
		kbr_group_await_join(group, member, now, wait);
	return code;
}

static s16 kbr_group_check_join(struct kbr_group *group, const struct kbr_group_join *join)
{
	const struct kbr_broker_config *config = &group->groups->broker->config;

	if (group->state == KBR_GROUP_DEAD)
		return KBR_KAFKA_COORDINATOR_NOT_AVAILABLE;
	if (join->session_timeout_ms < READ_ONCE(config->group_session_ms_min) ||
	    join->session_timeout_ms > READ_ONCE(config->group_session_ms_max) ||
	    join->rebalance_timeout_ms < 0)
		return KBR_KAFKA_INVALID_SESSION_TIMEOUT;
	return 0;
}

static s16 kbr_group_do_join(struct kbr_group *group, const struct kbr_group_join *join, s64 now,
			     struct kbr_group_wait *wait, kbr_group_tell tell, void *ctx,
			     bool *told, struct kbr_str *id)
{
	struct kbr_group_member *member, *promise = NULL;
	s16 code = kbr_group_check_join(group, join);

	if (code)
		return code;
	member = kbr_group_find_instance(group, &join->id.instance_id);
	if (join->id.member_id.len > 0) {
		if (member && !kbr_group_str_same(&member->id, &join->id.member_id))
			return KBR_KAFKA_FENCED_INSTANCE_ID;
		member = kbr_group_find_member(&group->members, &join->id.member_id);
		if (!member)
			promise = kbr_group_find_member(&group->promised, &join->id.member_id);
		if (!member && !promise)
			return KBR_KAFKA_UNKNOWN_MEMBER_ID;
	}
	if (!kbr_group_agrees(group, join, member))
		return KBR_KAFKA_INCONSISTENT_GROUP_PROTOCOL;
	if (member && join->id.member_id.len > 0)
		return kbr_group_join_known(group, member, join, now, wait, tell, ctx, told);
	if (member)
		return kbr_group_join_static(group, member, join, now, wait);
	if (group->members_count + (promise ? 0 : group->promised_count) >=
	    READ_ONCE(group->groups->broker->config.group_size_max))
		return KBR_KAFKA_GROUP_MAX_SIZE_REACHED;
	if (!promise && join->id_first && join->id.instance_id.len < 0)
		return kbr_group_promise(group, join, now, id);
	code = kbr_group_join_new(group, join, now, wait);
	if (!code && promise) {
		kbr_group_drop_promise(group, promise);
		kbr_group_maybe_complete_join(group, now);
	}
	return code;
}

bool kbr_group_join(struct kbr_group *group, const struct kbr_group_join *join, s64 now_ms,
		    struct kbr_group_wait *wait, kbr_group_tell tell, void *ctx)
{
	struct kbr_str id = join->id.member_id;
	bool told = false;
	s16 code;

	mutex_lock(&group->lock);
	kbr_group_settle_locked(group);
	kbr_group_tick_locked(group, now_ms);
	code = kbr_group_do_join(group, join, now_ms, wait, tell, ctx, &told, &id);
	if (code) {
		kbr_group_tell_error(group, code, &id, tell, ctx);
		told = true;
	}
	kbr_group_arm_locked(group, now_ms);
	mutex_unlock(&group->lock);
	return told || kbr_group_join_again(wait, now_ms, tell, ctx);
}
KBR_EXPORT_IF_KUNIT(kbr_group_join);

bool kbr_group_join_again(struct kbr_group_wait *wait, s64 now_ms, kbr_group_tell tell, void *ctx)
{
	struct kbr_group_member *member = wait->member;
	struct kbr_group *group = wait->group;
	bool told = true;

	mutex_lock(&group->lock);
	kbr_group_settle_locked(group);
	kbr_group_arm_locked(group, now_ms);
	if (!kbr_group_tell_over(wait, tell, ctx)) {
		told = !member->joining && !kbr_group_pending_locked(group, member->storing);
		if (told)
			kbr_group_tell_join(group, member, tell, ctx);
	}
	mutex_unlock(&group->lock);
	return told;
}
KBR_EXPORT_IF_KUNIT(kbr_group_join_again);

/* ---- SyncGroup ---- */

/* Who asks, if it is a member: Kafka's error. @generation -1 is not compared. */
static s16 kbr_group_identify(struct kbr_group *group, const struct kbr_group_id *id,
			      struct kbr_group_member **found)
{
	struct kbr_group_member *member = kbr_group_find_instance(group, &id->instance_id);

	if (group->state == KBR_GROUP_DEAD)
		return KBR_KAFKA_COORDINATOR_NOT_AVAILABLE;
	if (id->instance_id.len >= 0) {
		if (!member)
			return KBR_KAFKA_UNKNOWN_MEMBER_ID;
		if (!kbr_group_str_same(&member->id, &id->member_id))
			return KBR_KAFKA_FENCED_INSTANCE_ID;
	} else {
		member = kbr_group_find_member(&group->members, &id->member_id);
	}
	if (!member)
		return KBR_KAFKA_UNKNOWN_MEMBER_ID;
	*found = member;
	return 0;
}

/* The leader's word: everybody gets an assignment, those it left out an empty one. */
static s16 kbr_group_assign(struct kbr_group *group, const struct kbr_group_assignment *assignments,
			    unsigned int count)
{
	static const struct kbr_str nothing = { .at = "", .len = 0 };
	struct kbr_group_member *member;
	LIST_HEAD(none);
	unsigned int i;

	list_for_each_entry(member, &group->members, node) {
		const struct kbr_str *mine = &nothing;

		for (i = 0; i < count; i++)
			if (kbr_group_str_same(&assignments[i].member_id, &member->id))
				mine = &assignments[i].assignment;
		if (!kbr_group_member_assign(group, member, mine))
			return KBR_KAFKA_GROUP_MAX_SIZE_REACHED;
		cond_resched();
	}
	if (kbr_group_append_locked(group, &none, KBR_GROUP_PUT_FULL, NULL))
		return KBR_KAFKA_COORDINATOR_NOT_AVAILABLE;
	group->storing = group->seq;
	kbr_group_wake_locked(group);
	return 0;
}

void kbr_group_stored_locked(struct kbr_group *group, bool ok, s64 now)
{
	group->storing = 0;
	if (group->state != KBR_GROUP_COMPLETING_REBALANCE)
		return;
	if (ok) {
		struct kbr_group_member *member;

		group->sync_end = KBR_GROUP_NEVER;
		list_for_each_entry(member, &group->members, node)
			kbr_group_alive(member, now);
		kbr_group_set_state_locked(group, KBR_GROUP_STABLE);
	} else {
		/* They come again. */
		kbr_group_rebalance(group, now);
	}
}

static void kbr_group_tell_sync(struct kbr_group *group, struct kbr_group_member *member,
				kbr_group_tell tell, void *ctx)
{
	struct kbr_group_answer answer = {
		.generation = group->generation,
		.protocol = { .at = "" },
		.leader = { .at = "" },
		.member_id = member->id,
		.assignment = member->assignment,
		.group = group,
	};

	if (answer.assignment.len < 0)
		answer.assignment = (struct kbr_str) { .at = "" };
	tell(ctx, &answer);
}

static s16 kbr_group_do_sync(struct kbr_group *group, const struct kbr_group_id *id,
			     const struct kbr_group_assignment *assignments, unsigned int count,
			     s64 now, struct kbr_group_wait *wait)
{
	struct kbr_group_member *member = NULL;
	s16 code = kbr_group_identify(group, id, &member);

	if (code)
		return code;
	if (id->generation != group->generation)
		return KBR_KAFKA_ILLEGAL_GENERATION;
	kbr_group_alive(member, now);
	switch (group->state) {
	case KBR_GROUP_PREPARING_REBALANCE:
		return KBR_KAFKA_REBALANCE_IN_PROGRESS;
	case KBR_GROUP_COMPLETING_REBALANCE:
		kbr_group_wait_for(group, member, wait);
		member->syncing = true;
		if (member != group->leader || group->storing)
			return 0;
		code = kbr_group_assign(group, assignments, count);
		if (!code)
			return 0;
		/* All of them are told, and begin anew. */
		kbr_group_rebalance(group, now);
		return 0;
	case KBR_GROUP_STABLE:
		kbr_group_wait_for(group, member, wait);
		return 0;
	default:
		return KBR_KAFKA_UNKNOWN_MEMBER_ID;
	}
}

bool kbr_group_sync(struct kbr_group *group, const struct kbr_group_id *id,
		    const struct kbr_group_assignment *assignments, unsigned int count,
		    s64 now_ms, struct kbr_group_wait *wait, kbr_group_tell tell, void *ctx)
{
	s16 code;

	mutex_lock(&group->lock);
	kbr_group_settle_locked(group);
	kbr_group_tick_locked(group, now_ms);
	code = kbr_group_do_sync(group, id, assignments, count, now_ms, wait);
	if (code)
		kbr_group_tell_error(group, code, &id->member_id, tell, ctx);
	kbr_group_arm_locked(group, now_ms);
	mutex_unlock(&group->lock);
	return code || kbr_group_sync_again(wait, now_ms, tell, ctx);
}
KBR_EXPORT_IF_KUNIT(kbr_group_sync);

bool kbr_group_sync_again(struct kbr_group_wait *wait, s64 now_ms, kbr_group_tell tell, void *ctx)
{
	struct kbr_group_member *member = wait->member;
	struct kbr_group *group = wait->group;
	bool told = true;

	mutex_lock(&group->lock);
	kbr_group_settle_locked(group);
	kbr_group_arm_locked(group, now_ms);
	if (kbr_group_tell_over(wait, tell, ctx)) {
		;
	} else if (group->state == KBR_GROUP_STABLE) {
		member->syncing = false;
		kbr_group_tell_sync(group, member, tell, ctx);
	} else if (member->syncing) {
		told = false;
	} else {
		kbr_group_tell_error(group, KBR_KAFKA_REBALANCE_IN_PROGRESS, &member->id, tell, ctx);
	}
	mutex_unlock(&group->lock);
	return told;
}
KBR_EXPORT_IF_KUNIT(kbr_group_sync_again);

void kbr_group_abandon_locked(struct kbr_group *group, struct kbr_group_member *member, u32 seq,
			      s64 now)
{
	if (member->seq != seq || list_empty(&member->node))
		return;
	if (member->joining) {
		member->joining = false;
		kbr_group_alive(member, now);
		/* Nobody knows its id: it can't come back. */
		if (member->fresh && member->instance_id.len < 0)
			kbr_group_member_gone(group, member, KBR_KAFKA_UNKNOWN_MEMBER_ID, now);
	} else if (member->syncing) {
		member->syncing = false;
		kbr_group_alive(member, now);
	}
	kbr_group_arm_locked(group, now);
}

/* ---- Heartbeat, LeaveGroup, OffsetCommit ---- */

s16 kbr_group_heartbeat(struct kbr_group *group, const struct kbr_group_id *id, s64 now_ms)
{
	struct kbr_group_member *member = NULL;
	s16 code;

	mutex_lock(&group->lock);
	kbr_group_settle_locked(group);
	kbr_group_tick_locked(group, now_ms);
	code = kbr_group_identify(group, id, &member);
	if (!code && id->generation != group->generation)
		code = KBR_KAFKA_ILLEGAL_GENERATION;
	if (!code) {
		kbr_group_alive(member, now_ms);
		if (group->state == KBR_GROUP_PREPARING_REBALANCE)
			code = KBR_KAFKA_REBALANCE_IN_PROGRESS;
		else if (group->state == KBR_GROUP_EMPTY)
			code = KBR_KAFKA_UNKNOWN_MEMBER_ID;
	}
	kbr_group_arm_locked(group, now_ms);
	mutex_unlock(&group->lock);
	return code;
}
KBR_EXPORT_IF_KUNIT(kbr_group_heartbeat);

s16 kbr_group_leave(struct kbr_group *group, const struct kbr_group_id *id, s64 now_ms)
{
	struct kbr_group_member *member;
	s16 code = 0;

	mutex_lock(&group->lock);
	kbr_group_settle_locked(group);
	member = kbr_group_find_instance(group, &id->instance_id);
	if (id->instance_id.len >= 0 && !member)
		code = KBR_KAFKA_UNKNOWN_MEMBER_ID;
	else if (member && id->member_id.len > 0 && !kbr_group_str_same(&member->id, &id->member_id))
		code = KBR_KAFKA_FENCED_INSTANCE_ID;
	else if (!member)
		member = kbr_group_find_member(&group->members, &id->member_id);
	if (!code && member) {
		kbr_group_member_gone(group, member, KBR_KAFKA_UNKNOWN_MEMBER_ID, now_ms);
	} else if (!code) {
		member = kbr_group_find_member(&group->promised, &id->member_id);
		if (member)
			kbr_group_drop_promise(group, member);
		else
			code = KBR_KAFKA_UNKNOWN_MEMBER_ID;
		kbr_group_maybe_complete_join(group, now_ms);
	}
	kbr_group_arm_locked(group, now_ms);
	mutex_unlock(&group->lock);
	return code;
}
KBR_EXPORT_IF_KUNIT(kbr_group_leave);

s16 kbr_group_check_commit_locked(struct kbr_group *group, const struct kbr_group_id *id, s64 now)
{
	struct kbr_group_member *member = NULL;
	s16 code;

	kbr_group_tick_locked(group, now);
	if (group->state == KBR_GROUP_DEAD)
		return KBR_KAFKA_COORDINATOR_NOT_AVAILABLE;
	if (id->generation < 0 && id->member_id.len <= 0 && id->instance_id.len < 0) {
		/* Somebody who assigns partitions by himself */
		if (group->kind == KBR_GROUP_DEVICE || group->state != KBR_GROUP_EMPTY)
			return KBR_KAFKA_UNKNOWN_MEMBER_ID;
		return 0;
	}
	code = kbr_group_identify(group, id, &member);
	if (code)
		return code;
	if (id->generation != group->generation)
		return KBR_KAFKA_ILLEGAL_GENERATION;
	if (group->state == KBR_GROUP_COMPLETING_REBALANCE)
		return KBR_KAFKA_REBALANCE_IN_PROGRESS;
	kbr_group_alive(member, now);
	return 0;
}

/* ---- subscriptions, loading ---- */

/* Consumer protocol: version, topics, whatever follows */
static bool kbr_group_subscription_has(const struct kbr_str *metadata, const struct kbr_str *topic)
{
	struct kbr_wire_reader r;
	struct kbr_str name;
	s32 count;

	kbr_wire_reader_init(&r, metadata->at, max(metadata->len, 0), false);
	kbr_get_s16(&r);
	count = kbr_get_count(&r);
	for (; count > 0 && !r.bad; count--) {
		name = kbr_get_string(&r);
		if (!r.bad && kbr_group_str_same(&name, topic))
			return true;
	}
	return false;
}

bool kbr_group_subscribed_locked(struct kbr_group *group, const struct kbr_str *topic)
{
	const struct kbr_group_member *member;
	unsigned int i;

	if (!kbr_str_equal(&group->protocol_type, "consumer"))
		return false;
	list_for_each_entry(member, &group->members, node)
		for (i = 0; i < member->protocols_count; i++)
			if (kbr_group_subscription_has(&member->protocols[i].metadata, topic))
				return true;
	return false;
}

static int kbr_group_load_member(struct kbr_group *group,
				 const struct kbr_group_value_member *value, s64 now)
{
	struct kbr_group_protocol protocol = {
		.name = group->protocol,
		.metadata = value->subscription,
	};
	struct kbr_group_join join = {
		.id = { .member_id = value->id, .instance_id = value->instance_id },
		.client_id = value->client_id,
		.client_host = value->client_host,
		.session_timeout_ms = value->session_timeout_ms,
		.rebalance_timeout_ms = value->rebalance_timeout_ms,
		.protocols = &protocol,
		.protocols_count = 1,
	};
	struct kbr_group_member *member;

	if (value->id.len <= 0)
		return -EBADMSG;
	member = kbr_group_member_new(&join);
	if (!member)
		return -ENOMEM;
	if (!kbr_group_charge(group, member->bytes)) {
		kbr_group_member_put(member);
		return -ENOMEM;
	}
	member->fresh = false;
	list_add_tail(&member->node, &group->members);
	group->members_count++;
	if (kbr_group_member_update(group, member, &join) ||
	    !kbr_group_member_assign(group, member, &value->assignment))
		return -ENOMEM;
	kbr_group_alive(member, now);
	return 0;
}

int kbr_group_load_members_locked(struct kbr_group *group, const struct kbr_group_value *value,
				  struct kbr_wire_reader *r, s64 now)
{
	struct kbr_group_value_member member;
	struct kbr_str type;
	int err = 0;
	s32 i;

	kbr_group_drop_members_locked(group, KBR_KAFKA_UNKNOWN_MEMBER_ID);
	kbr_group_clear_protocol(group);
	group->kind = KBR_GROUP_NONE;
	group->generation = value->generation;
	group->state = KBR_GROUP_EMPTY;
	group->state_ms = value->state_ms >= 0 ? value->state_ms : kbr_clock_now_ms();
	if (!kbr_group_str_dup(&type, &value->protocol_type))
		return -ENOMEM;
	kfree(group->protocol_type.at);
	group->protocol_type = type;
	if (!value->members)
		return 0;
	if (value->protocol.len < 0 || !kbr_group_set_protocol(group, &value->protocol))
		return value->protocol.len < 0 ? -EBADMSG : -ENOMEM;
	for (i = 0; i < value->members && !err; i++) {
		err = kbr_group_value_member_decode(&member, value, r);
		if (!err)
			err = kbr_group_load_member(group, &member, now);
	}
	if (err) {
		kbr_group_drop_members_locked(group, KBR_KAFKA_UNKNOWN_MEMBER_ID);
		kbr_group_clear_protocol(group);
		return err;
	}
	group->leader = kbr_group_find_member(&group->members, &value->leader);
	if (!group->leader)
		group->leader = list_first_entry(&group->members, struct kbr_group_member, node);
	group->kind = KBR_GROUP_CLASSIC;
	group->state = KBR_GROUP_STABLE;
	return 0;
}
