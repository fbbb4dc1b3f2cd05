// SPDX-License-Identifier: GPL-2.0-only
/*
 * Events: numbers them in their namespace and hands them to the one listener.
 * What they look like on netlink is the listener's business.
 */
#include <linux/rwsem.h>

#include "base/kunit.h"
#include "broker/event.h"

/* Read side: a call of the listener. Write side: taking it away. */
static DECLARE_RWSEM(kbr_event_sem);
static kbr_event_listener kbr_event_listener_fn;

void kbr_event_set_listener(kbr_event_listener listener)
{
	down_write(&kbr_event_sem);
	kbr_event_listener_fn = listener;
	up_write(&kbr_event_sem);
}
KBR_EXPORT_IF_KUNIT(kbr_event_set_listener);

/**
 * kbr_event_raise() - tell the listener about a change
 * @knet: namespace it happened in; may be gone, then nobody is told
 * @event: what changed; @event->seq and @event->knet are filled in
 *
 * Context: process, may sleep; the caller holds no lock of this layer but
 * perhaps the admin mutex.
 */
void kbr_event_raise(struct kbr_net *knet, struct kbr_event *event)
{
	atomic_inc(&knet->generation);
	mutex_lock(&knet->event_lock);
	event->seq = atomic64_inc_return(&knet->event_seq);
	event->knet = knet;
	down_read(&kbr_event_sem);
	if (kbr_event_listener_fn && knet->net)
		kbr_event_listener_fn(event);
	up_read(&kbr_event_sem);
	mutex_unlock(&knet->event_lock);
}
