/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the suites of the broker layer share: a broker over a RAM disk in a
 * namespace of its own, and short ways to use it.
 */
#ifndef _KBR_TESTS_BROKER_TEST_H
#define _KBR_TESTS_BROKER_TEST_H

#include <kunit/test.h>

#include "broker/broker.h"
#include "broker/partition.h"
#include "broker/topic.h"
#include "file_ram.h"

/* How long an operation may take before a test gives up, ms */
#define KBR_TEST_PATIENCE_MS	60000

/**
 * struct kbr_test_broker - the fixture
 * @node: on the list of fixtures in use
 * @test: the running test
 * @knet: its namespace
 * @dir: the disk, which outlives the broker
 * @ops: @dir's calls, with a put() that does nothing
 * @real_ops: @dir's calls as they were
 * @name: name of the broker
 * @id: node.id of the broker, -1: as its directory says
 * @configs: for the next start
 * @why: sentence of the last refusal
 */
struct kbr_test_broker {
	struct list_head node;
	struct kunit *test;
	struct kbr_net *knet;
	struct kbr_dir *dir;
	struct kbr_file_ops ops;
	const struct kbr_file_ops *real_ops;
	const char *name;
	s32 id;
	struct kbr_config_set configs;
	struct kbr_refusal why;
};

/** kbr_test_init() - an empty disk, no broker; freed with the test by kbr_test_exit() */
struct kbr_test_broker *kbr_test_init(struct kunit *test);
void kbr_test_exit(struct kbr_test_broker *tb);
/** kbr_test_cleanup() - a suite's exit(): end what a failed assertion left running */
void kbr_test_cleanup(struct kunit *test);
/** kbr_test_start() - start and wait; the operation's or the request's error */
int kbr_test_start(struct kbr_test_broker *tb);
/** kbr_test_stop() - stop, if it runs, and wait */
void kbr_test_stop(struct kbr_test_broker *tb);
/** kbr_test_crash() - lose power: stop what runs, go on with what the disk kept */
void kbr_test_crash(struct kbr_test_broker *tb, u64 seed);
/** kbr_test_set_disk() - go on with @dir; nothing runs */
void kbr_test_set_disk(struct kbr_test_broker *tb, struct kbr_dir *dir);
/** kbr_test_get() - the broker, with a reference */
struct kbr_broker *kbr_test_get(struct kbr_test_broker *tb);
/** kbr_test_wait_op() - the end of operation @id; @err is the request's own error */
int kbr_test_wait_op(struct kbr_test_broker *tb, int err, u32 id);

/** kbr_test_create() - a topic with at most one config, NULL none */
int kbr_test_create(struct kbr_test_broker *tb, const char *name, s32 partitions,
		    const char *config, const char *value);
int kbr_test_delete(struct kbr_test_broker *tb, const char *name);
int kbr_test_alter(struct kbr_test_broker *tb, const char *name,
		   const struct kbr_topic_change *change);
int kbr_test_delete_records(struct kbr_test_broker *tb, const char *name, u32 index, s64 offset);
/** kbr_test_topic() - a topic with a reference; NULL if there is none */
struct kbr_topic *kbr_test_topic(struct kbr_test_broker *tb, const char *name);

/** kbr_test_produce() - one record; waits for its acks; its offset or an error */
s64 kbr_test_produce(struct kbr_partition *part, const char *value, int acks);
/** kbr_test_read() - the value at @offset into @value; its offset, -ENODATA at the end, or an error */
s64 kbr_test_read(struct kbr_partition *part, s64 offset, char *value, size_t size);
/** kbr_test_wait_state() - until the partition is in @state; false after the patience */
bool kbr_test_wait_state(struct kbr_partition *part, enum kbr_partition_state state);

#endif /* _KBR_TESTS_BROKER_TEST_H */
