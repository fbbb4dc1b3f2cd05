// SPDX-License-Identifier: GPL-2.0-only
/*
 * ListOffsets, versions 1 to 7: where a partition begins and ends, and the
 * first record of a time, exact to the record. There are no transactions yet:
 * the end is the high watermark whatever the isolation level.
 */
#include <linux/string.h>

#include "base/error.h"
#include "broker/access.h"
#include "broker/partition.h"
#include "broker/replica.h"
#include "server/request.h"

/* What may be asked for instead of a timestamp */
#define KBR_TIMESTAMP_LATEST	(-1)
#define KBR_TIMESTAMP_EARLIEST	(-2)
#define KBR_TIMESTAMP_MAX	(-3)

/**
 * struct kbr_found_offset - one answer
 * @timestamp: of the record, -1 if it was not looked for by time
 * @offset: -1 none
 * @epoch: its leader epoch, -1 unknown
 */
struct kbr_found_offset {
	s64 timestamp;
	s64 offset;
	s32 epoch;
};

static int kbr_list_offsets_find(struct kbr_request *req, struct kbr_partition *part,
				 s64 timestamp, struct kbr_found_offset *found)
{
	struct kbr_partition_bounds bounds;
	int err = kbr_partition_get_bounds(part, &bounds);

	if (err)
		return err;
	switch (timestamp) {
	case KBR_TIMESTAMP_LATEST:
		/* It must not go back: a client would read twice. */
		if (!kbr_replica_hw_known(part))
			return req->header.version >= 5 ? -EINPROGRESS : -EHOSTDOWN;
		found->offset = bounds.hw;
		break;
	case KBR_TIMESTAMP_EARLIEST:
		found->offset = bounds.start;
		break;
	case KBR_TIMESTAMP_MAX:
		if (req->header.version < 7)
			return -EPROTONOSUPPORT;
		err = kbr_partition_find_latest_time(part, &found->offset, &found->timestamp);
		break;
	default:
		if (timestamp < 0)
			return -EPROTONOSUPPORT;
		err = kbr_partition_find_time(part, timestamp, &found->offset, &found->timestamp);
	}
	if (!err && found->offset >= 0)
		found->epoch = kbr_partition_epoch_at(part, found->offset);
	return err;
}

static void kbr_list_offsets_partition(struct kbr_request *req, struct kbr_topic *topic, int err)
{
	struct kbr_found_offset found = { -1, -1, -1 };
	struct kbr_partition *part = NULL;
	struct kbr_wire_writer *w = &req->reply;
	struct kbr_wire_reader *r = &req->body;
	s32 index, epoch = -1;
	s64 timestamp;

	index = kbr_get_s32(r);
	if (req->header.version >= 4)
		epoch = kbr_get_s32(r);
	timestamp = kbr_get_s64(r);
	kbr_get_tags(r);
	if (!err && index >= 0)
		part = kbr_topic_partition(topic, index);
	if (!err && !part)
		err = -ENOENT;
	if (!err)
		err = kbr_partition_check_epoch(part, epoch);
	if (!err)
		err = kbr_partition_check_leader(part);
	if (!err)
		err = kbr_list_offsets_find(req, part, timestamp, &found);
	if (err)
		found = (struct kbr_found_offset) { -1, -1, -1 };

	kbr_put_s32(w, index);
	kbr_put_s16(w, kbr_error_to_kafka(err));
	kbr_put_s64(w, found.timestamp);
	kbr_put_s64(w, found.offset);
	if (req->header.version >= 4)
		kbr_put_s32(w, found.epoch);
	kbr_put_tags(w);
}

static enum kbr_request_state kbr_list_offsets_start(struct kbr_request *req)
{
	struct kbr_wire_writer *w = &req->reply;
	struct kbr_wire_reader *r = &req->body;
	struct kbr_topic *topic;
	struct kbr_str name;
	s32 topics, count;
	bool replica;
	int err;

	/* Nobody has proved yet to be a replica. */
	replica = kbr_get_s32(r) >= 0;
	if (req->header.version >= 2) {
		kbr_get_s8(r);		/* isolation level */
		kbr_put_s32(w, 0);	/* throttle_time_ms */
	}
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
			kbr_list_offsets_partition(req, topic, err);
		kbr_topic_put(topic);
		kbr_get_tags(r);
		kbr_put_tags(w);
	}
	kbr_put_tags(w);
	return KBR_REQUEST_DONE;
}

const struct kbr_handler kbr_handle_list_offsets = {
	.start = kbr_list_offsets_start,
};
