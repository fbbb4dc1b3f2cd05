// SPDX-License-Identifier: GPL-2.0-only OR LGPL-2.1-or-later
/*
 * What brokers say to each other about device members; see share_wire.h.
 */
#include <linux/errno.h>
#include <linux/string.h>

#include "base/kunit.h"
#include "codec/share_wire.h"

void kbr_share_put_head(struct kbr_wire_writer *w, const struct kbr_share_message *message)
{
	kbr_put_s8(w, message->kind);
	kbr_put_str(w, &message->group);
	kbr_put_str(w, &message->topic);
	kbr_put_uuid(w, message->topic_id);
	kbr_put_s32(w, message->epoch);
	kbr_put_s64(w, message->sequence);
	kbr_put_s64(w, message->synced);
	kbr_put_s32(w, message->members);
}
KBR_EXPORT_IF_KUNIT(kbr_share_put_head);

void kbr_share_put_reader(struct kbr_wire_writer *w, const struct kbr_share_reader *reader)
{
	kbr_put_s32(w, reader->pid);
	kbr_put_string(w, reader->comm);
}
KBR_EXPORT_IF_KUNIT(kbr_share_put_reader);

void kbr_share_put_item(struct kbr_wire_writer *w, const struct kbr_share_item *item)
{
	kbr_put_s32(w, item->partition);
	kbr_put_s64(w, item->grant);
	kbr_put_s8(w, item->flags);
	kbr_put_s64(w, item->offset);
	kbr_put_s32(w, item->reader);
}
KBR_EXPORT_IF_KUNIT(kbr_share_put_item);

void kbr_share_get_head(struct kbr_wire_reader *r, struct kbr_share_message *message)
{
	message->kind = kbr_get_s8(r);
	message->group = kbr_get_string(r);
	message->topic = kbr_get_string(r);
	kbr_get_uuid(r, message->topic_id);
	message->epoch = kbr_get_s32(r);
	message->sequence = kbr_get_s64(r);
	message->synced = kbr_get_s64(r);
	message->members = kbr_get_s32(r);
}
KBR_EXPORT_IF_KUNIT(kbr_share_get_head);

static bool kbr_share_comm_valid(const struct kbr_str *comm)
{
	return comm->len <= KBR_SHARE_COMM_MAX && (!comm->len || !memchr(comm->at, 0, comm->len));
}

void kbr_share_get_reader(struct kbr_wire_reader *r, struct kbr_share_reader *reader)
{
	struct kbr_str comm;

	reader->pid = kbr_get_s32(r);
	comm = kbr_get_string(r);
	r->bad |= !kbr_share_comm_valid(&comm);
	if (r->bad)
		comm.len = 0;
	memcpy(reader->comm, comm.at, comm.len);
	reader->comm[comm.len] = '\0';
}
KBR_EXPORT_IF_KUNIT(kbr_share_get_reader);

void kbr_share_get_item(struct kbr_wire_reader *r, struct kbr_share_item *item)
{
	item->partition = kbr_get_s32(r);
	item->grant = kbr_get_s64(r);
	item->flags = kbr_get_s8(r);
	item->offset = kbr_get_s64(r);
	item->reader = kbr_get_s32(r);
}
KBR_EXPORT_IF_KUNIT(kbr_share_get_item);

static bool kbr_share_head_valid(const struct kbr_share_message *message)
{
	return message->kind < KBR_SHARE_KINDS && message->group.len > 0 &&
	       message->group.len <= KBR_GROUP_NAME_MAX && message->topic.len > 0 &&
	       message->topic.len <= KBR_TOPIC_NAME_MAX && message->epoch >= 0 &&
	       (s64)message->sequence > 0 && (s64)message->synced >= 0 &&
	       message->members <= KBR_SHARE_MEMBERS_MAX;
}

int kbr_share_check(const struct kbr_wire_reader *reader)
{
	struct kbr_wire_reader copy = *reader, *r = &copy;
	struct kbr_share_message message;
	struct kbr_share_reader member;
	struct kbr_share_item item;
	s32 readers, count, i;
	s64 before = -1;

	kbr_share_get_head(r, &message);
	if (r->bad || !kbr_share_head_valid(&message))
		return -EPROTO;
	readers = kbr_get_count(r);
	if (r->bad || readers > KBR_SHARE_READERS_MAX || readers > (s32)message.members)
		return -EPROTO;
	for (i = 0; i < readers && !r->bad; i++)
		kbr_share_get_reader(r, &member);
	count = kbr_get_count(r);
	if (r->bad || count > KBR_TOPIC_PARTITIONS_MAX)
		return -EPROTO;
	for (i = 0; i < count; i++) {
		kbr_share_get_item(r, &item);
		if (r->bad || item.partition >= KBR_TOPIC_PARTITIONS_MAX ||
		    item.partition <= before || !item.grant || (s64)item.grant < 0 ||
		    item.offset < -1 || item.reader < -1 || item.reader >= readers ||
		    (item.flags & ~(KBR_SHARE_WANTED | KBR_SHARE_LET_GO)))
			return -EPROTO;
		before = item.partition;
	}
	return r->bad || kbr_wire_reader_left(r) ? -EPROTO : 0;
}
KBR_EXPORT_IF_KUNIT(kbr_share_check);
