/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The state of one network namespace: at most one broker, its operations and
 * its events. Everything hangs off it; nothing knows init_net.
 */
#ifndef _KBR_BROKER_NET_H
#define _KBR_BROKER_NET_H

#include <linux/mutex.h>
#include <linux/types.h>
#include <linux/xarray.h>
#include <net/net_namespace.h>

struct kbr_broker;
struct kbr_op;

/**
 * struct kbr_net - per network namespace
 * @net: the namespace
 * @admin: outermost lock: start, stop, and every change of topics begins under
 *	it; never held over a disk
 * @broker: the broker, or NULL (@admin; readers: kbr_broker_get_in())
 * @ops: running and recently ended operations by id (xarray's lock)
 * @op_last: last operation id given
 * @event_seq: sequence number of the last event (atomic)
 * @generation: changes with every change of what dumps show
 */
struct kbr_net {
	struct net *net;
	struct mutex admin;
	struct kbr_broker *broker;
	struct xarray ops;
	u32 op_last;
	atomic64_t event_seq;
	atomic_t generation;
};

/** kbr_net_of() - the module's state in @net */
struct kbr_net *kbr_net_of(const struct net *net);
int kbr_net_register(void);
/** kbr_net_unregister() - after it no broker runs anywhere and all their workers have ended */
void kbr_net_unregister(void);

#endif /* _KBR_BROKER_NET_H */
