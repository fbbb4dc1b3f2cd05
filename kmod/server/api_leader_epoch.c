// SPDX-License-Identifier: GPL-2.0-only
/*
 * OffsetForLeaderEpoch, versions 2 and 3: where an epoch ends, by which
 * consumers notice that what they read was cut off.
 */
#include "base/error.h"
#include "broker/access.h"
#include "broker/partition.h"
#include "server/request.h"

static void kbr_leader_epoch_partition(struct kbr_request *req, struct kbr_topic *topic, int err)
{
	struct kbr_wire_writer *w = &req->reply;
	struct kbr_wire_reader *r = &req->body;
	struct kbr_partition *part = NULL;
	s32 index, now, epoch, found = -1;
	s64 end = -1;

	index = kbr_get_s32(r);
	now = kbr_get_s32(r);
	epoch = kbr_get_s32(r);
	if (!err && index >= 0)
		part = kbr_topic_partition(topic, index);
	if (!err && !part)
		err = -ENOENT;
	if (!err)
		err = kbr_partition_check_epoch(part, now);
	if (!err)
		err = kbr_partition_check_leader(part);
	if (!err)
		err = kbr_partition_epoch_end(part, epoch, &found, &end);
	/* the error before the partition, in this one */
	kbr_put_s16(w, kbr_error_to_kafka(err));
	kbr_put_s32(w, index);
	kbr_put_s32(w, found);
	kbr_put_s64(w, end);
}

/* A follower reads whatever it is told to follow. */
static struct kbr_topic *kbr_leader_epoch_topic(struct kbr_request *req, const struct kbr_str *name,
						bool follower, int *err)
{
	char text[KBR_TOPIC_NAME_MAX + 1];
	struct kbr_topic *topic = NULL;

	if (!follower)
		return kbr_request_topic(req, name, KBR_MAY_CONSUME, err);
	if (!kbr_str_copy(name, text, sizeof(text)))
		topic = kbr_topic_lookup(kbr_request_broker(req), text);
	*err = topic ? 0 : -ENOENT;
	return topic;
}

static enum kbr_request_state kbr_leader_epoch_start(struct kbr_request *req)
{
	struct kbr_wire_writer *w = &req->reply;
	struct kbr_wire_reader *r = &req->body;
	struct kbr_topic *topic;
	struct kbr_str name;
	s32 replica = -1;
	bool refused;
	s64 epoch;
	s32 topics, count;
	int err;

	if (req->header.version >= 3)
		replica = kbr_get_s32(r);
	refused = replica >= 0 && kbr_request_peer(req, &epoch) != replica;
	kbr_put_s32(w, 0);	/* throttle_time_ms */
	topics = kbr_get_count(r);
	kbr_put_count(w, topics);
	while (topics-- > 0 && !kbr_request_is_futile(req)) {
		name = kbr_get_string(r);
		topic = kbr_leader_epoch_topic(req, &name, replica >= 0 && !refused, &err);
		if (refused)
			err = -EPERM;
		count = kbr_get_count(r);
		kbr_put_str(w, &name);
		kbr_put_count(w, count);
		while (count-- > 0 && !kbr_request_is_futile(req))
			kbr_leader_epoch_partition(req, topic, err);
		kbr_topic_put(topic);
	}
	return KBR_REQUEST_DONE;
}

const struct kbr_handler kbr_handle_offset_for_leader_epoch = {
	.start = kbr_leader_epoch_start,
};
