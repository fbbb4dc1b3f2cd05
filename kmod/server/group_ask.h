/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A request to consumer groups: it waits until groups can be used, is begun, and
 * then waits for its group or for the disk, if it has to.
 */
#ifndef _KBR_SERVER_GROUP_ASK_H
#define _KBR_SERVER_GROUP_ASK_H

#include "broker/group.h"
#include "server/admin.h"

/* How long the disk may take, until the client is told to ask again, ms */
#define KBR_GROUP_ASK_DISK_MS	30000

struct kbr_group_ask;

/**
 * struct kbr_group_ask_calls - what differs between APIs
 * @begin: read the body and do what it asks for: true: it is answered. Where
 *	groups still can't be used kbr_group_find() says why
 * @again: @ask->wait has news: true: it is answered
 * @expire: the time is over: answer it
 * @wait_ms: how long it may wait
 */
struct kbr_group_ask_calls {
	bool (*begin)(struct kbr_request *req, struct kbr_group_ask *ask);
	bool (*again)(struct kbr_request *req, struct kbr_group_ask *ask);
	void (*expire)(struct kbr_request *req, struct kbr_group_ask *ask);
	s64 wait_ms;
};

/**
 * struct kbr_group_ask - where such a request is; its private part
 * @calls: see there
 * @create: __consumer_offsets is made if it is not there
 * @begun: @calls->begin was called
 * @deadline: when it must be answered
 * @wait: what it waits for once it was begun
 * @entries: its wait queues
 * @body: the body from a field on that is read twice
 * @left: items that were not begun
 * @name: current item
 * @offsets: what is committed or deleted
 * @offsets_count: entries of @offsets
 */
struct kbr_group_ask {
	const struct kbr_group_ask_calls *calls;
	bool create;
	bool begun;
	ktime_t deadline;
	struct kbr_group_wait wait;
	struct kbr_waiter_entry entries[KBR_GROUP_WAIT_ENTRIES];
	struct kbr_wire_reader body;
	s32 left;
	struct kbr_str name;
	struct kbr_group_offset *offsets;
	unsigned int offsets_count;
};

/** kbr_group_ask_start() - a handler's start(); @create: make __consumer_offsets if it is not there */
enum kbr_request_state kbr_group_ask_start(struct kbr_request *req,
					   const struct kbr_group_ask_calls *calls, bool create);
/** kbr_group_ask_resume() - a handler's resume() */
enum kbr_request_state kbr_group_ask_resume(struct kbr_request *req, bool expired);
/** kbr_group_ask_drop() - a handler's drop() */
void kbr_group_ask_drop(struct kbr_request *req);

/**
 * kbr_group_ask_find() - the group of a member's request
 * @missing: Kafka's code where there is none
 *
 * Return: a reference, or NULL and *@code.
 */
struct kbr_group *kbr_group_ask_find(struct kbr_request *req, const struct kbr_str *name,
				     bool create, s16 missing, s16 *code);
/** kbr_group_ask_throttle() - begin the answer of a version that has the field */
static inline void kbr_group_ask_throttle(struct kbr_request *req, s16 since)
{
	if (req->header.version >= since)
		kbr_put_s32(&req->reply, 0);
}

/** kbr_group_ask_put_bytes() - bytes that are never null */
static inline void kbr_group_ask_put_bytes(struct kbr_wire_writer *w, const struct kbr_str *bytes)
{
	kbr_put_bytes(w, bytes->len > 0 ? bytes->at : "", max(bytes->len, 0));
}

#endif /* _KBR_SERVER_GROUP_ASK_H */
