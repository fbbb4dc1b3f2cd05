/* SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note */
/*
 * The device interface of kbroker: /dev/kbroker/<topic>/<partition>,
 * /dev/kbroker/<topic>/all and /dev/kbroker/<topic>/@<group>. The contract is Documentation/ABI/testing/dev-kbroker.
 *
 * Integers of the device interface are in the byte order of the machine;
 * batches are Kafka's and big-endian.
 */
#ifndef _UAPI_LINUX_KBROKER_H
#define _UAPI_LINUX_KBROKER_H

#include <linux/types.h>
#include <linux/ioctl.h>

/**
 * enum kbroker_format - how read() and write() of one open speak
 * @KBROKER_FORMAT_LINES: values, each ended by a newline (the default)
 * @KBROKER_FORMAT_RECORD: one struct kbroker_record per call
 * @KBROKER_FORMAT_BATCH: whole Kafka v2 record batches, one or many per call
 */
enum kbroker_format {
	KBROKER_FORMAT_LINES = 0,
	KBROKER_FORMAT_RECORD = 1,
	KBROKER_FORMAT_BATCH = 2,
};

#define KBROKER_RECORD_NULL_KEY		(1u << 0)
#define KBROKER_RECORD_NULL_VALUE	(1u << 1)
#define KBROKER_RECORD_FLAGS		(KBROKER_RECORD_NULL_KEY | KBROKER_RECORD_NULL_VALUE)

/**
 * struct kbroker_record - one record in record format
 * @size: bytes of this struct, key, value and headers together; on write it
 *	must equal the length of the write
 * @flags: KBROKER_RECORD_*; unknown bits are refused
 * @partition: read: partition it came from; write: partition to write to
 *	through "all" (-1: the kernel chooses in turn); on a partition node -1
 *	or that partition
 * @headers_count: number of headers
 * @offset: read: its offset; write: must be 0
 * @timestamp: ms since the epoch; write: -1 lets the kernel stamp it
 * @key_len: bytes of key
 * @value_len: bytes of value
 * @headers_len: bytes of headers
 * @leader_epoch: read: leader epoch of its batch; write: must be 0
 *
 * Followed by the key, the value, then the headers without padding; each
 * header is a struct kbroker_header, its key and its value.
 */
struct kbroker_record {
	__u32 size;
	__u32 flags;
	__s32 partition;
	__u32 headers_count;
	__s64 offset;
	__s64 timestamp;
	__u32 key_len;
	__u32 value_len;
	__u32 headers_len;
	__s32 leader_epoch;
};

/**
 * struct kbroker_header - one record header, followed by key and value
 * @key_len: bytes of the name
 * @value_len: bytes of the value; -1 for a null value
 */
struct kbroker_header {
	__u32 key_len;
	__s32 value_len;
};

/**
 * struct kbroker_info - KBROKER_IOC_GET_INFO: what this open is
 * @size: bytes the caller has room for (set before the call); bytes filled
 * @format: enum kbroker_format
 * @partition: partition, or -1 for "all"
 * @partitions: partitions of the topic
 * @acks: 0, 1 or -1 (all)
 * @flags: 0
 * @batch_bytes_max: max.message.bytes of the topic
 * @lost: records that retention took from this reader
 * @features: KBROKER_FEATURE_* of this module
 * @topic_id: the topic's UUID
 */
struct kbroker_info {
	__u32 size;
	__u32 format;
	__s32 partition;
	__u32 partitions;
	__s32 acks;
	__u32 flags;
	__u64 batch_bytes_max;
	__u64 lost;
	__u64 features;
	__u8 topic_id[16];
};

#define KBROKER_FEATURE_LINES	(1ull << 0)
#define KBROKER_FEATURE_RECORD	(1ull << 1)
#define KBROKER_FEATURE_BATCH	(1ull << 2)
#define KBROKER_FEATURE_GZIP	(1ull << 3)
#define KBROKER_FEATURE_SNAPPY	(1ull << 4)
#define KBROKER_FEATURE_LZ4	(1ull << 5)
#define KBROKER_FEATURE_ZSTD	(1ull << 6)
#define KBROKER_FEATURE_GROUP	(1ull << 7)

/**
 * struct kbroker_position - KBROKER_IOC_GET_POSITION: offsets of one partition
 * @partition: in: which partition ("all" only; a partition node takes its own or -1)
 * @leader_epoch: out: current leader epoch
 * @position: out: offset of the next record that read() returns
 * @log_start: out: first offset that exists
 * @high_watermark: out: first offset that is not readable yet
 * @log_end: out: offset of the next append
 * @synced_end: out: first offset not known to be on stable storage
 * @written_end: out: one past the last record this open wrote there; -1 none
 */
struct kbroker_position {
	__s32 partition;
	__s32 leader_epoch;
	__s64 position;
	__s64 log_start;
	__s64 high_watermark;
	__s64 log_end;
	__s64 synced_end;
	__s64 written_end;
};

/**
 * struct kbroker_seek_time - KBROKER_IOC_SEEK_TIME: go to a time
 * @timestamp: in: ms since the epoch; go to the first record at or after it
 * @partition: in: which partition ("all": -1 means every partition)
 * @flags: must be 0
 * @offset: out: offset reached (high watermark if there is no such record; 0
 *	for partition -1 on "all")
 * @found: out: timestamp of the record found, -1 if none
 */
struct kbroker_seek_time {
	__s64 timestamp;
	__s32 partition;
	__u32 flags;
	__s64 offset;
	__s64 found;
};

/**
 * struct kbroker_next - KBROKER_IOC_NEXT: what the next read() would return
 * @partition: out: its partition; -1 if there is nothing to read
 * @flags: out: 0
 * @offset: out: offset of the next record
 * @size: out: bytes that read() needs in this open's format (batch: the whole
 *	batch; record: the whole struct; lines: the value and its newline)
 */
struct kbroker_next {
	__s32 partition;
	__u32 flags;
	__s64 offset;
	__u64 size;
};

/**
 * struct kbroker_result - KBROKER_IOC_LAST_WRITE: where the last write() of this open went
 * @partition: partition; -1 if nothing was written yet
 * @records: records of that write
 * @base_offset: offset of its first record
 * @log_append_time: ms, -1 unless message.timestamp.type=LogAppendTime
 */
struct kbroker_result {
	__s32 partition;
	__u32 records;
	__s64 base_offset;
	__s64 log_append_time;
};

/**
 * struct kbroker_target - KBROKER_IOC_SET_TARGET: partition that write() on "all" goes to
 * @partition: a partition, or -1 for in turn (the default)
 * @flags: must be 0
 */
struct kbroker_target {
	__s32 partition;
	__u32 flags;
};

/**
 * struct kbroker_group - KBROKER_IOC_JOIN_GROUP: make this open of "all" a member of a group
 * @name: pointer to the name of the group, in user memory
 * @len: its bytes, 1 to 249
 * @flags: must be 0
 */
struct kbroker_group {
	__u64 name;
	__u32 len;
	__u32 flags;
};

/**
 * struct kbroker_share - KBROKER_IOC_GET_SHARE: what this member of a group has
 * @partitions: pointer to an array of __u32 for the partitions' numbers, in user memory
 * @room: in: entries of that array
 * @count: out: partitions it has; may be more than @room, then @room of them are told
 * @members: out: members of the group on this topic
 * @flags: must be 0
 * @generation: out: changes with each change of the share
 */
struct kbroker_share {
	__u64 partitions;
	__u32 room;
	__u32 count;
	__u32 members;
	__u32 flags;
	__u64 generation;
};

#define KBROKER_IOC_MAGIC		0xB6
#define KBROKER_IOC_SET_FORMAT		_IOW(KBROKER_IOC_MAGIC, 1, __u32)
#define KBROKER_IOC_SET_ACKS		_IOW(KBROKER_IOC_MAGIC, 2, __s32)
#define KBROKER_IOC_GET_INFO		_IOWR(KBROKER_IOC_MAGIC, 3, struct kbroker_info)
#define KBROKER_IOC_GET_POSITION	_IOWR(KBROKER_IOC_MAGIC, 4, struct kbroker_position)
#define KBROKER_IOC_SEEK_TIME		_IOWR(KBROKER_IOC_MAGIC, 5, struct kbroker_seek_time)
#define KBROKER_IOC_NEXT		_IOR(KBROKER_IOC_MAGIC, 6, struct kbroker_next)
#define KBROKER_IOC_LAST_WRITE		_IOR(KBROKER_IOC_MAGIC, 7, struct kbroker_result)
#define KBROKER_IOC_SET_TARGET		_IOW(KBROKER_IOC_MAGIC, 8, struct kbroker_target)
#define KBROKER_IOC_JOIN_GROUP		_IOW(KBROKER_IOC_MAGIC, 9, struct kbroker_group)
#define KBROKER_IOC_COMMIT		_IO(KBROKER_IOC_MAGIC, 10)
#define KBROKER_IOC_SET_MAX_POLL	_IOW(KBROKER_IOC_MAGIC, 11, __u64)
#define KBROKER_IOC_GET_SHARE		_IOWR(KBROKER_IOC_MAGIC, 12, struct kbroker_share)

#endif /* _UAPI_LINUX_KBROKER_H */
