// SPDX-License-Identifier: GPL-2.0-only
/*
 * News of groups. They change under their lock, which events must not be raised
 * with: a worker raises them, and a group that changed again meanwhile is told of
 * once.
 */
#include "broker/event.h"
#include "broker/group_internal.h"

void kbr_group_changed_locked(struct kbr_group *group)
{
	struct kbr_groups *groups = group->groups;

	lockdep_assert_held(&group->lock);
	spin_lock(&groups->news_lock);
	if (!groups->silent) {
		/* A dump that shows it before and after is marked at once, not when it is told. */
		atomic_inc(&groups->broker->knet->generation);
		if (list_empty(&group->news)) {
			list_add_tail(&group->news, &groups->news);
			kbr_group_get(group);
			queue_work(groups->broker->work_wq, &groups->tell);
		}
	}
	spin_unlock(&groups->news_lock);
}

/* The next group that changed, with the list's reference, or NULL. */
static struct kbr_group *kbr_group_take_news(struct kbr_groups *groups)
{
	struct kbr_group *group;

	spin_lock(&groups->news_lock);
	group = list_first_entry_or_null(&groups->news, struct kbr_group, news);
	if (group)
		list_del_init(&group->news);
	spin_unlock(&groups->news_lock);
	return group;
}

static void kbr_group_raise(struct kbr_group *group, enum kbr_event_kind kind)
{
	struct kbr_broker *broker = group->groups->broker;
	struct kbr_event event = { .kind = kind, .broker = broker, .group = group };

	kbr_event_raise(broker->knet, &event);
}

void kbr_groups_tell_work(struct work_struct *work)
{
	struct kbr_groups *groups = container_of(work, struct kbr_groups, tell);
	struct kbr_group *group;

	while ((group = kbr_group_take_news(groups))) {
		bool dead = READ_ONCE(group->state) == KBR_GROUP_DEAD;

		if (!group->told)
			kbr_group_raise(group, KBR_EVENT_GROUP_NEW);
		else if (!dead)
			kbr_group_raise(group, KBR_EVENT_GROUP);
		group->told = true;
		if (dead)
			kbr_group_raise(group, KBR_EVENT_GROUP_DEL);
		kbr_group_put(group);
		cond_resched();
	}
}

void kbr_groups_stop_telling(struct kbr_groups *groups)
{
	struct kbr_group *group;

	spin_lock(&groups->news_lock);
	groups->silent = true;
	spin_unlock(&groups->news_lock);
	cancel_work_sync(&groups->tell);
	while ((group = kbr_group_take_news(groups)))
		kbr_group_put(group);
}
