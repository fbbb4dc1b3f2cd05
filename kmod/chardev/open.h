/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * One open device: what the files of this directory share.
 *
 * An open has two sides that do not know each other: a reader under
 * reader.lock and a writer under writer.lock. Nobody sleeps for news (records,
 * acks) with a lock held, except for what a leader says of a time or an end;
 * user memory is copied with one held, so both are taken interruptibly. Where
 * both are needed the reader's is the outer one. Inside them come the
 * broker layer's locks, never the other way round.
 */
#ifndef _KBR_CHARDEV_OPEN_H
#define _KBR_CHARDEV_OPEN_H

#include <linux/fs.h>
#include <linux/mutex.h>
#include <linux/rcupdate.h>
#include <linux/types.h>
#include <linux/uio.h>
#include <linux/xarray.h>
#include <linux/kbroker.h>

#include "broker/forward.h"
#include "broker/handle.h"
#include "broker/node.h"
#include "broker/partition.h"
#include "broker/remote.h"
#include "broker/share.h"
#include "codec/compress.h"
#include "codec/record.h"

struct kbr_async;

/* Buffers beyond this are given back after each call, bytes */
#define KBR_OPEN_KEEP_BYTES	(2u << 20)

/**
 * struct kbr_cursors - where a reader stands, one entry a partition
 * @rcu: to free it
 * @count: entries
 * @positions: offset of the next record for the user, -1: not begun (the log
 *	start); the handle shows them
 * @parts: member of a group: the partitions that it has, in order; else NULL:
 *	those of the topic
 * @moves: member of a group: their kbr_share_part.moves
 * @pos: storage's place: offset and hints of the next batch to load
 *
 * Entries change under reader.lock and are read with READ_ONCE() elsewhere;
 * the whole is replaced under RCU when a topic grows or a member's partitions
 * change.
 */
struct kbr_cursors {
	struct rcu_head rcu;
	unsigned int count;
	s64 *positions;
	struct kbr_share_part **parts;
	u32 *moves;
	struct kbr_log_pos pos[];
};

/**
 * struct kbr_reader - the reading side of an open
 * @lock: guards the rest, and the entries of @cursors
 * @cursors: RCU; NULL for "all" before its first use
 * @turn: index of the partition to look at next
 * @current_index: index of the partition that @buf came from
 * @part: that partition
 * @orphan: member of a group: it has lost @part, and finishes a line of it
 * @buf: whole batches
 * @page: that @buf is, or NULL
 * @size: bytes of @buf
 * @len: bytes loaded
 * @pos: next batch in @buf
 * @batch_last: last offset of the batch that @it walks
 * @unpacked: its records
 * @it: the walk
 * @rec: the record that comes next, if @have
 * @walking: @it and @unpacked are set
 * @have: @rec is set
 * @done: bytes of @rec's line that were read
 * @overtaken: KBROKER_IOC_NEXT found that retention overtook it; the next
 *	read() says so
 * @wants: &struct kbr_remote_want of partitions that were read at their leaders,
 *	by their numbers; they stay until the last close
 */
struct kbr_reader {
	struct mutex lock;	/* outer to the writer's; never held while waiting for records */
	struct kbr_cursors __rcu *cursors;
	unsigned int turn;
	unsigned int current_index;
	struct kbr_partition *part;
	bool orphan;
	u8 *buf;
	struct page *page;
	size_t size;
	size_t len;
	size_t pos;
	s64 batch_last;
	struct kbr_unpacked unpacked;
	struct kbr_record_iter it;
	struct kbr_record rec;
	bool walking;
	bool have;
	size_t done;
	bool overtaken;
	struct xarray wants;
};

/**
 * struct kbr_written - what an open wrote to one partition
 * @end: one past the last record, 0 nothing
 * @failures: kbr_produce.failures of the first of the writes that are unsettled,
 *	else of the last one
 * @unsettled: a write returned before its records were committed
 * @forwarded: all that was forwarded to its leader; NULL: nothing was
 *
 * The others concern what was appended here.
 */
struct kbr_written {
	s64 end;
	u32 failures;
	bool unsettled;
	struct kbr_forwarded *forwarded;
};

/**
 * struct kbr_writer - the writing side of an open
 * @lock: guards the rest
 * @buf: the batch under construction
 * @size: bytes of @buf
 * @page: the batch of one short line
 * @stage: lines as they came; between calls the unfinished one
 * @stage_size: bytes of @stage
 * @pending: bytes of the unfinished line
 * @pending_seq: changes with it
 * @pending_tgid: who wrote its last part
 * @killed_tgid: a process that a signal killed, 0 none (READ_ONCE: set by
 *	flush() without the lock)
 * @acks: KBR_ACKS_*
 * @target: partition that "all" writes to, -1 in turn
 * @written: one entry a partition of "all" (one only for a partition node)
 * @written_count: entries
 * @unsettled: some entry may be unsettled
 * @last: answer of KBROKER_IOC_LAST_WRITE
 * @last_forwarded: the last write was forwarded: it knows the offset; else NULL
 */
struct kbr_writer {
	struct mutex lock;	/* never held while waiting for acks */
	u8 *buf;
	size_t size;
	struct page *page;
	u8 *stage;
	size_t stage_size;
	size_t pending;
	unsigned int pending_seq;
	pid_t pending_tgid;
	pid_t killed_tgid;
	s32 acks;
	s32 target;
	struct kbr_written *written;
	unsigned int written_count;
	bool unsettled;
	struct kbroker_result last;
	struct kbr_forwarded *last_forwarded;
};

/**
 * struct kbr_open_group - what an open that is a member of a group has
 * @member: it, as the share knows it
 * @node: the node that it was opened through, a reference; NULL: it was "all"
 */
struct kbr_open_group {
	struct kbr_share_member member;
	struct kbr_node_group *node;
};

/**
 * struct kbr_open - one open device
 * @handle: what the broker layer shows of it; holds the topic
 * @part: its partition, NULL for "all" and for a group
 * @joined: NULL unless it is a member of a group; see kbr_open_group()
 * @reader: reading side
 * @writer: writing side
 *
 * @handle.format changes with both locks held.
 */
struct kbr_open {
	struct kbr_handle handle;
	struct kbr_partition *part;
	struct kbr_open_group *joined;
	struct kbr_reader reader;
	struct kbr_writer writer;
};

/**
 * struct kbr_write - one write() under way
 * @nowait: fail rather than wait before the append
 * @detached: return before its acks are met; a loss is told later
 * @final: by the last close: no signal may end it
 * @part: where it was written to; NULL: nothing was
 * @last: offset of its last record
 * @failures: kbr_produce.failures of its append
 * @forwarded: it went to the leader instead, and this tells what became of it: a
 *	reference, see kbr_write_end(); else NULL
 * @pending_seq: the writer's, if its end became the unfinished line
 * @left_pending: it did
 */
struct kbr_write {
	bool nowait;
	bool detached;
	bool final;
	struct kbr_partition *part;
	s64 last;
	u32 failures;
	struct kbr_forwarded *forwarded;
	unsigned int pending_seq;
	bool left_pending;
};

/* It is over, or somebody else has taken it over. */
static inline void kbr_write_end(struct kbr_write *write)
{
	kbr_forwarded_put(write->forwarded);
	write->forwarded = NULL;
}

static inline struct kbr_topic *kbr_open_topic(const struct kbr_open *open)
{
	return open->handle.topic;
}

static inline struct kbr_cursors *kbr_reader_cursors(struct kbr_open *open)
{
	return rcu_dereference_protected(open->reader.cursors,
					 lockdep_is_held(&open->reader.lock));
}

/* NULL: no member of a group. An open becomes one at most once, and stays it. */
static inline struct kbr_open_group *kbr_open_group(const struct kbr_open *open)
{
	return smp_load_acquire(&open->joined);	/* pairs with the release in kbr_member_join() */
}

/* Index of a written entry to its partition. Partitions live as long as their topic. */
static inline struct kbr_partition *kbr_open_partition(const struct kbr_open *open,
						       unsigned int index)
{
	return open->part ?: kbr_topic_partition(kbr_open_topic(open), index);
}

/* Index of a cursor to its partition. */
static inline struct kbr_partition *kbr_reader_partition(struct kbr_open *open, unsigned int index)
{
	struct kbr_cursors *cursors = kbr_reader_cursors(open);

	return cursors->parts ? cursors->parts[index]->part : kbr_open_partition(open, index);
}

/* Where to wait for records. */
static inline wait_queue_head_t *kbr_open_wait_queue(struct kbr_open *open)
{
	struct kbr_open_group *group = kbr_open_group(open);

	if (group)
		return &group->member.wait;
	return open->part ? &open->part->wait : &kbr_open_topic(open)->wait;
}

/* chardev.c */
ssize_t kbr_open_try_read(struct kbr_open *open, struct iov_iter *to, bool nowait, bool again);

/* splice.c */
ssize_t kbr_open_splice_read(struct file *file, loff_t *ppos, struct pipe_inode_info *pipe,
			     size_t len, unsigned int flags);

/* reader.c */
int kbr_open_init_reader(struct kbr_open *open);
void kbr_open_destroy_reader(struct kbr_open *open);
int kbr_reader_grow(struct kbr_open *open);
int kbr_reader_adopt(struct kbr_open *open);
void kbr_reader_given(struct kbr_open *open, unsigned int index, s64 offset);
bool kbr_reader_is_far(const struct kbr_partition *part, s64 offset);
int kbr_reader_look_far(struct kbr_open *open, unsigned int index,
			struct kbr_remote_chunk **chunk);
void kbr_reader_took_far(struct kbr_open *open, unsigned int index,
			 struct kbr_remote_chunk *chunk);
void kbr_reader_look(struct kbr_open *open);
void kbr_reader_forget_far(struct kbr_open *open);
int kbr_reader_get_bounds(struct kbr_partition *part, struct kbr_remote_bounds *bounds);
int kbr_reader_check_start(struct kbr_open *open, unsigned int index);
int kbr_reader_next(struct kbr_open *open);
void kbr_reader_consume(struct kbr_open *open);
size_t kbr_reader_copy(const struct kbr_reader *reader, const void *from, size_t len,
		       struct iov_iter *to);
void kbr_reader_drop(struct kbr_open *open);
bool kbr_reader_ready(struct kbr_open *open);
s64 kbr_reader_position(struct kbr_open *open, unsigned int index);
void kbr_reader_seek(struct kbr_open *open, unsigned int index, s64 offset);

/* writer.c */
void kbr_open_init_writer(struct kbr_open *open);
void kbr_open_destroy_writer(struct kbr_open *open);
int kbr_writer_reserve(struct kbr_writer *writer, size_t size, size_t keep);
void *kbr_writer_reserve_page(struct kbr_writer *writer);
int kbr_writer_reserve_stage(struct kbr_writer *writer, size_t size, size_t keep);
void kbr_writer_trim(struct kbr_writer *writer);
size_t kbr_writer_batch_max(const struct kbr_open *open);
struct kbr_partition *kbr_writer_pick(struct kbr_open *open);
int kbr_writer_append(struct kbr_open *open, struct kbr_partition *part,
		      struct kbr_produce *produce, struct kbr_write *write);
int kbr_writer_append_built(struct kbr_open *open, struct kbr_batch_builder *bld,
			    struct kbr_write *write);
int kbr_writer_check(struct kbr_open *open);
void kbr_writer_drop_pending(struct kbr_open *open, const struct kbr_write *write);
int kbr_writer_settle(struct kbr_open *open, struct kbr_write *write, bool dsync);
int kbr_writer_sync(struct kbr_open *open);
s64 kbr_writer_end(struct kbr_open *open, unsigned int index);

/* lines.c, record.c, batch.c: under the reader's or the writer's lock */
ssize_t kbr_lines_read(struct kbr_open *open, struct iov_iter *to);
ssize_t kbr_lines_write(struct kbr_open *open, struct iov_iter *from, struct kbr_write *write);
int kbr_lines_finish(struct kbr_open *open, struct kbr_write *write);
void kbr_lines_forget_killed(struct kbr_writer *writer);
ssize_t kbr_record_read(struct kbr_open *open, struct iov_iter *to);
ssize_t kbr_record_write(struct kbr_open *open, struct iov_iter *from, struct kbr_write *write);
int kbr_record_user_size(const struct kbr_record *rec, size_t *size, u32 *headers_len);
ssize_t kbr_batch_read(struct kbr_open *open, struct iov_iter *to);
ssize_t kbr_batch_write(struct kbr_open *open, struct iov_iter *from, struct kbr_write *write);
int kbr_batch_next(struct kbr_open *open, struct kbroker_next *next);

/* member.c: member of a group */
int kbr_member_join(struct kbr_open *open, struct kbr_node_group *node, const struct kbr_str *name);
void kbr_member_leave(struct kbr_open *open);
int kbr_member_enter(struct kbr_open *open, enum kbr_share_entry how);
void kbr_member_exit(struct kbr_open *open);
void kbr_member_look(struct kbr_open *open);
int kbr_member_commit(struct kbr_open *open);

/* async.c */
int kbr_async_init(void);
void kbr_async_exit(void);
struct kbr_async *kbr_async_alloc(struct kbr_open *open, struct kiocb *iocb);
ssize_t kbr_async_start(struct kbr_async *async, const struct kbr_write *write, ssize_t ret);
void kbr_async_free(struct kbr_async *async);

/* ioctl.c */
long kbr_open_ioctl(struct file *file, unsigned int cmd, unsigned long arg);

#endif /* _KBR_CHARDEV_OPEN_H */
