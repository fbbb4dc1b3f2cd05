/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The state of one network namespace: at most one broker, its operations and
 * its events. Everything hangs off it; nothing knows init_net.
 */
#ifndef _KBR_BROKER_NET_H
#define _KBR_BROKER_NET_H

#include <linux/kref.h>
#include <linux/mutex.h>
#include <linux/types.h>
#include <linux/xarray.h>
#include <net/net_namespace.h>

struct kbr_broker;
struct kbr_op;

/**
 * struct kbr_net - per network namespace
 * @ref: kref: the namespace holds one, its broker one, each operation one, so
 *	that workers may outlive the namespace
 * @net: the namespace; NULL once it ended (@event_lock)
 * @admin: outermost lock: start, stop, and every change of topics begins under
 *	it; never held over a disk. Taken inside this layer, never by its callers
 * @dead: the namespace ends: no broker starts any more (@admin)
 * @broker: the broker, or NULL (@admin; readers: kbr_broker_get_in())
 * @ops: running and recently ended operations by id (xarray's lock)
 * @ops_count: entries of @ops (xarray's lock)
 * @ops_ended: those that have ended (xarray's lock)
 * @op_last: last operation id given (xarray's lock)
 * @event_lock: held over a call of the event listener, so that events arrive
 *	in the order of their numbers and the namespace stays; inner to @admin
 * @event_seq: sequence number of the last event (written under @event_lock)
 * @generation: changes with every change of what dumps show
 */
struct kbr_net {
	struct kref ref;
	struct net *net;
	struct mutex admin;
	bool dead;
	struct kbr_broker *broker;
	struct xarray ops;
	unsigned int ops_count;
	unsigned int ops_ended;
	u32 op_last;
	struct mutex event_lock;
	atomic64_t event_seq;
	atomic_t generation;
};

/** kbr_net_of() - the module's state in @net; valid while @net lives */
struct kbr_net *kbr_net_of(const struct net *net);
int kbr_net_register(void);
/** kbr_net_unregister() - after it no broker runs anywhere; kbr_broker_exit() waits for their workers */
void kbr_net_unregister(void);

/** kbr_net_create() - state for @net (NULL in tests: a namespace of its own); NULL on -ENOMEM */
struct kbr_net *kbr_net_create(struct net *net);
/** kbr_net_destroy() - the namespace ends: its broker is left to that broker's worker; waits for no disk */
void kbr_net_destroy(struct kbr_net *knet);
void kbr_net_get(struct kbr_net *knet);
void kbr_net_put(struct kbr_net *knet);

#endif /* _KBR_BROKER_NET_H */
