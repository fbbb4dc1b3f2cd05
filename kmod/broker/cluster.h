/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A broker as a member of a cluster: who it is there, what the controller has
 * told it, its peers. What it asks of the controller is in request.h, what it
 * is to a partition in replica.h.
 *
 * A standalone broker has none of it: kbr_broker.cluster is NULL. It comes with
 * a start in a directory that belongs to a cluster, or when a broker without
 * topics is given one, and goes with the broker.
 *
 * A member starts without a broker epoch: it leads nothing and acknowledges
 * nothing until the controller has given it one. Nothing here is decided: all
 * but the identity on the disk is what kbr_cluster_set() and
 * kbr_cluster_peer_set() were told, and is forgotten with the broker.
 *
 * Context: any but interrupts, where nothing else is said.
 */
#ifndef _KBR_BROKER_CLUSTER_H
#define _KBR_BROKER_CLUSTER_H

#include <linux/socket.h>
#include <linux/types.h>
#include <linux/uio.h>
#include <linux/kbroker_netlink.h>

#include "broker/broker.h"
#include "broker/listener.h"

/* Bytes of what kbr_cluster_prove() makes */
#define KBR_CLUSTER_MAC_SIZE	32

enum kbr_cluster_state {
	KBR_CLUSTER_STANDALONE,
	KBR_CLUSTER_WAITING,		/* a member without a broker epoch */
	KBR_CLUSTER_ACTIVE,
	KBR_CLUSTER_FENCED,		/* its session is gone; goes on at the epochs it knows */
};

/**
 * struct kbr_cluster_info - a copy of what a broker knows of its cluster
 * @state: how it stands to it
 * @id: UUID of the cluster, unless standalone
 * @epoch: broker epoch, -1 none
 * @fenced: its session is gone
 * @previous_epoch: the one it had when it last stopped cleanly, -1 not known
 * @incarnation: a UUID made by this start
 * @controller: node.id, -1 not known
 * @metadata_offset: how far it has been told of the cluster's metadata
 * @rack: where it stands, "" not known
 * @requests: open requests
 */
struct kbr_cluster_info {
	enum kbr_cluster_state state;
	u8 id[16];
	s64 epoch;
	bool fenced;
	s64 previous_epoch;
	u8 incarnation[16];
	s32 controller;
	u64 metadata_offset;
	char rack[KBROKER_RACK_MAX + 1];
	u32 requests;
};

/**
 * struct kbr_cluster_change - what "cluster set" gives
 * @has_id: @id is the cluster to join, or the one it is in
 * @id: UUID of the cluster
 * @secret_len: bytes of @secret, 0: not changed
 * @secret: what brokers of the cluster prove to each other
 * @epoch: broker epoch, -1: not changed
 * @has_fenced: @fenced counts
 * @fenced: the controller has taken the session
 * @has_incarnation: @incarnation counts
 * @incarnation: which start of the broker all this was decided for
 * @has_controller: @controller counts
 * @controller: node.id, -1 not known
 * @has_metadata_offset: @metadata_offset counts
 * @metadata_offset: how far the broker has been told of the metadata
 * @rack: NULL: not changed
 */
struct kbr_cluster_change {
	bool has_id;
	u8 id[16];
	size_t secret_len;
	u8 secret[KBROKER_SECRET_MAX];
	s64 epoch;
	bool has_fenced;
	bool fenced;
	bool has_incarnation;
	u8 incarnation[16];
	bool has_controller;
	s32 controller;
	bool has_metadata_offset;
	u64 metadata_offset;
	const char *rack;
};

/**
 * struct kbr_peer - a broker of the cluster, this one included
 * @id: node.id
 * @epoch: broker epoch
 * @fenced: it has no session
 * @address: where brokers reach it: AF_INET or AF_INET6, with the port
 * @advertised_host: what clients are told; "" the address
 * @advertised_port: what clients are told; 0 the port of @address
 * @rack: where it stands, "" not known
 */
struct kbr_peer {
	s32 id;
	s64 epoch;
	bool fenced;
	struct sockaddr_storage address;
	char advertised_host[KBR_HOST_MAX + 1];
	u16 advertised_port;
	char rack[KBROKER_RACK_MAX + 1];
};

/**
 * struct kbr_peer_stats - what the connection to a peer counts
 * @connected: there is a proved connection
 * @fetches: sent to it
 * @bytes: of records that came from it
 * @error: errno that the connection last ended with, positive, 0 none
 * @followed: partitions that are followed there
 */
struct kbr_peer_stats {
	bool connected;
	u64 fetches;
	u64 bytes;
	int error;
	u32 followed;
};

struct kbr_cluster;

/** kbr_cluster_is_member() - does @broker belong to a cluster? Once true it stays so */
static inline bool kbr_cluster_is_member(const struct kbr_broker *broker)
{
	/* pairs with the release in kbr_cluster_create() */
	return unlikely(smp_load_acquire(&broker->cluster));
}

/** kbr_cluster_epoch() - its broker epoch, -1 none: then it leads and acknowledges nothing */
s64 kbr_cluster_epoch(const struct kbr_broker *broker);
/** kbr_cluster_is_waiting() - is it a member without a broker epoch? Any context */
bool kbr_cluster_is_waiting(const struct kbr_broker *broker);
/** kbr_cluster_id() - UUID of its cluster; false: standalone */
bool kbr_cluster_id(const struct kbr_broker *broker, u8 id[16]);
/** kbr_cluster_describe() - all of it; a standalone broker's too */
void kbr_cluster_describe(struct kbr_broker *broker, struct kbr_cluster_info *info);

/** kbr_cluster_rack() - where the broker stands, "" not known */
void kbr_cluster_rack(struct kbr_broker *broker, char rack[KBROKER_RACK_MAX + 1]);

/**
 * kbr_cluster_set() - what the controller, or whoever makes or joins a cluster, tells the broker
 * @op_id: out: operation that makes it a member and then does the rest; 0: all is done
 *
 * Context: process, may sleep.
 * Return: 0; -EINVAL another cluster, or not a member; -ENOTEMPTY it has topics;
 * -ESTALE an older broker epoch, or meant for another start of it; -ENODEV not running.
 */
int kbr_cluster_set(struct kbr_broker *broker, const struct kbr_cluster_change *change,
		    u32 *op_id, struct kbr_refusal *why);

/** kbr_cluster_peer() - what is known of broker @id; 0, -ENOENT */
int kbr_cluster_peer(struct kbr_broker *broker, s32 id, struct kbr_peer *copy);
/** kbr_cluster_next_peer() - the one with the smallest id above @after (-1: of all); 0, -ENOENT */
int kbr_cluster_next_peer(struct kbr_broker *broker, s32 after, struct kbr_peer *copy);
/** kbr_cluster_peers() - how many there are, this broker included if it was told of itself */
unsigned int kbr_cluster_peers(struct kbr_broker *broker);
/** kbr_cluster_peer_set() - add or change one; -EINVAL not a member; -E2BIG; -ENOMEM; -ESTALE older epoch; may sleep */
int kbr_cluster_peer_set(struct kbr_broker *broker, const struct kbr_peer *peer,
			 struct kbr_refusal *why);
/** kbr_cluster_peer_del() - forget one; -ENOENT; may sleep */
int kbr_cluster_peer_del(struct kbr_broker *broker, s32 id, struct kbr_refusal *why);
/** kbr_cluster_peer_report() - the fetcher tells how its connection to @id does */
void kbr_cluster_peer_report(struct kbr_broker *broker, s32 id, const struct kbr_peer_stats *stats);
/** kbr_cluster_peer_stats() - what was last reported; zeroes if nothing was */
void kbr_cluster_peer_stats(struct kbr_broker *broker, s32 id, struct kbr_peer_stats *stats);

/**
 * kbr_cluster_prove() - HMAC-SHA256 of @parts, in order, with the cluster's secret as the key
 *
 * Context: process, may sleep.
 * Return: 0; -ENOKEY no secret was given yet; -EINVAL standalone; -ENOMEM and
 * other errors of the crypto layer.
 */
int kbr_cluster_prove(struct kbr_broker *broker, const struct kvec *parts, unsigned int count,
		      u8 mac[KBR_CLUSTER_MAC_SIZE]);

const char *kbr_cluster_state_name(enum kbr_cluster_state state);

/* The rest is between the files of this layer. */

/** kbr_cluster_create() - @broker's directory belongs to cluster @id; it is not running yet */
int kbr_cluster_create(struct kbr_broker *broker, const u8 id[16]);
/** kbr_cluster_stop() - the broker ends: no request stays open and none is opened any more */
void kbr_cluster_stop(struct kbr_broker *broker);
/** kbr_cluster_free() - with the broker */
void kbr_cluster_free(struct kbr_broker *broker);

#endif /* _KBR_BROKER_CLUSTER_H */
