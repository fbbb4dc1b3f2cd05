/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Views of groups for administrators: groups, their members, how far they are;
 * page by page, as group_wire.h lays them out. In a cluster each broker knows the
 * groups that it coordinates, and is asked for them by the others.
 */
#ifndef _KBR_BROKER_GROUP_VIEW_H
#define _KBR_BROKER_GROUP_VIEW_H

#include "base/refusal.h"
#include "codec/group_wire.h"

struct kbr_broker;
struct kbr_group;

/** kbr_group_tell_locked() - what is told of @group; texts are valid while its lock is held */
void kbr_group_tell_locked(struct kbr_group *group, struct kbr_group_told *told);

/**
 * kbr_group_tell_place() - where partition @told->partition of a topic is, and how far the group is behind
 *
 * Nothing where this broker has no log of it.
 */
void kbr_group_tell_place(struct kbr_broker *broker, const char *name,
			  struct kbr_group_offset_told *told);

/**
 * kbr_group_view() - append the page that begins at @from to @w
 *
 * Of the groups that this broker coordinates. Context: process; waits for nothing.
 *
 * Return: 0 or one of Kafka's errors, then nothing was appended: with
 * @from->one that the group is not there, is coordinated by another broker, or
 * is being loaded; else that all of them are.
 */
s16 kbr_group_view(struct kbr_broker *broker, const struct kbr_group_place *from,
		   struct kbr_wire_writer *w);

/* How long another broker may take to answer, ms */
#define KBR_GROUP_VIEW_MS	5000

/**
 * struct kbr_group_page - a page, to be read entry by entry
 * @buf: it, from kvmalloc(); NULL: none
 * @owner: node.id of the broker that has told it, -1 it is this one, standalone
 * @more: there is another one, from @next on
 * @next: its texts are in @buf
 * @left: entries that were not read
 * @r: where the next one is
 */
struct kbr_group_page {
	u8 *buf;
	s32 owner;
	bool more;
	struct kbr_group_place next;
	s32 left;
	struct kbr_wire_reader r;
};

/**
 * kbr_group_page_get() - the page that begins at @from, of the groups of one broker
 * @page: gets it; what it held is given back, and @from may be @page->next
 * @owner: node.id of the broker to ask; this one's, or -1: it is this one.
 *	Ignored with @from->one: who coordinates the group is asked
 * @why: gets the sentence
 *
 * Context: process; killable; waits KBR_GROUP_VIEW_MS at most.
 * Return: 0; -ENOENT there is no such group; -EAGAIN it is being loaded, or
 * nobody coordinates it now; -ETIMEDOUT the broker does not answer; -EINTR;
 * -ENODEV the broker stops; -ENOMEM; -EPROTO the answer makes no sense.
 */
int kbr_group_page_get(struct kbr_broker *broker, s32 owner, const struct kbr_group_place *from,
		       struct kbr_group_page *page, struct kbr_refusal *why);
void kbr_group_page_free(struct kbr_group_page *page);

/**
 * kbr_group_next_coordinator() - who else coordinates groups?
 * @after: the one before, -1: the first
 *
 * Return: node.id of the next other broker that leads a partition of
 * __consumer_offsets; -1: none.
 */
s32 kbr_group_next_coordinator(struct kbr_broker *broker, s32 after);

#endif /* _KBR_BROKER_GROUP_VIEW_H */
