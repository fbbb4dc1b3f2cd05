/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What cluster.c and request.c share, and nobody else.
 */
#ifndef _KBR_BROKER_CLUSTER_INTERNAL_H
#define _KBR_BROKER_CLUSTER_INTERNAL_H

#include <linux/hashtable.h>
#include <linux/mutex.h>
#include <linux/spinlock.h>
#include <linux/workqueue.h>
#include <linux/xarray.h>

#include "broker/cluster.h"
#include "broker/request.h"

/* Buckets of the open requests for in-sync sets, a power of two: a peer that is lost makes many at once */
#define KBR_ISR_BUCKETS_BITS	8

/**
 * struct kbr_requests - the open requests of a member
 * @lock: all here; outer to nothing but memory
 * @closed: the broker ends: none is opened any more
 * @open: by id
 * @last_id: the id last given
 * @count: entries of @open
 * @bounded: those of them that count against KBR_CLUSTER_REQUESTS_MAX
 * @timed: those that have a deadline
 * @isr: those for in-sync sets, by partition
 * @deadline: ends those of @timed whose time is over
 */
struct kbr_requests {
	struct mutex lock;
	bool closed;
	struct xarray open;
	unsigned long last_id;
	unsigned int count;
	unsigned int bounded;
	struct list_head timed;
	DECLARE_HASHTABLE(isr, KBR_ISR_BUCKETS_BITS);
	struct delayed_work deadline;
};

/**
 * struct kbr_cluster - a broker's part in its cluster
 * @broker: the broker, which owns this
 * @id: UUID of the cluster; never changes
 * @lock: all below but @requests; peers are copied under it
 * @epoch: broker epoch, -1 none (atomic: read without @lock)
 * @fenced: the controller has taken the session
 * @controller: node.id, -1 not known
 * @metadata_offset: how far the broker has been told of the metadata
 * @rack: where it stands
 * @secret_len: bytes of @secret, 0 none yet
 * @secret: never leaves this file
 * @peers: by node.id (@lock; entries are added under @peers_lock)
 * @peers_lock: held over a change of @peers, which may allocate
 * @peers_count: entries of @peers
 * @requests: what is asked of the controller
 */
struct kbr_cluster {
	struct kbr_broker *broker;
	u8 id[16];
	spinlock_t lock;
	atomic64_t epoch;
	bool fenced;
	s32 controller;
	u64 metadata_offset;
	char rack[KBROKER_RACK_MAX + 1];
	size_t secret_len;
	u8 secret[KBROKER_SECRET_MAX];
	struct xarray peers;
	struct mutex peers_lock;
	unsigned int peers_count;
	struct kbr_requests requests;
};

/* For readers of any kind: it is published complete, and stays as long as the broker. */
static inline struct kbr_cluster *kbr_cluster_of(const struct kbr_broker *broker)
{
	/* pairs with the release in kbr_cluster_create() */
	return smp_load_acquire(&broker->cluster);
}

/* request.c */
void kbr_requests_init(struct kbr_requests *requests);
/** kbr_requests_close() - end all that are open, with -ENODEV, and take no more */
void kbr_requests_close(struct kbr_requests *requests);
/** kbr_requests_count() - how many are open */
unsigned int kbr_requests_count(struct kbr_requests *requests);

#endif /* _KBR_BROKER_CLUSTER_INTERNAL_H */
