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
		err = kbr_partition_epoch_end(part, epoch, &found, &end);
	/* the error before the partition, in this one */
	kbr_put_s16(w, kbr_error_to_kafka(err));
	kbr_put_s32(w, index);
	kbr_put_s32(w, found);
	kbr_put_s64(w, end);
}

static enum kbr_request_state kbr_leader_epoch_start(struct kbr_request *req)
{
	struct kbr_wire_writer *w = &req->reply;
	struct kbr_wire_reader *r = &req->body;
	struct kbr_topic *topic;
	bool replica = false;
	struct kbr_str name;
	s32 topics, count;
	int err;

	/* Nobody has proved yet to be a replica. */
	if (req->header.version >= 3)
		replica = kbr_get_s32(r) >= 0;
	kbr_put_s32(w, 0);	/* throttle_time_ms */
	topics = kbr_get_count(r);
	kbr_put_count(w, topics);
	while (topics-- > 0 && !kbr_request_is_futile(req)) {
		name = kbr_get_string(r);
		topic = kbr_request_topic(req, &name, KBR_MAY_CONSUME, &err);
		if (replica && !err)
			err = -EACCES;
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
