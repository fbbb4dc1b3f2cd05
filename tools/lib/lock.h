/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Inside libkbroker: a lock and an event over futex(2).
 *
 * A producer takes its lock for every record. Without contention this one is
 * two instructions with a lock prefix and nothing else, in line; the C
 * library's mutex is sixty, since it can do much that is not needed here.
 */
#ifndef _KB_LIB_LOCK_H
#define _KB_LIB_LOCK_H

#include <stdbool.h>
#include <linux/types.h>

/** struct kbl_lock - 0 free, 1 taken, 2 taken and somebody may wait; zero it to begin */
struct kbl_lock {
	u32 state;
};

/**
 * struct kbl_event - what threads wait for; zero it to begin
 * @count: changes with each signal
 * @waiters: threads that wait
 */
struct kbl_event {
	u32 count;
	u32 waiters;
};

void kbl_lock_slow(struct kbl_lock *lock);
void kbl_unlock_slow(struct kbl_lock *lock);

static inline void kbl_lock(struct kbl_lock *lock)
{
	u32 was = 0;

	if (unlikely(!__atomic_compare_exchange_n(&lock->state, &was, 1, false, __ATOMIC_ACQUIRE,
						  __ATOMIC_RELAXED)))
		kbl_lock_slow(lock);
}

static inline void kbl_unlock(struct kbl_lock *lock)
{
	if (unlikely(__atomic_exchange_n(&lock->state, 0, __ATOMIC_RELEASE) == 2))
		kbl_unlock_slow(lock);
}

/**
 * kbl_event_wait() - give the lock back, wait for a signal, take the lock again
 * @event: the event
 * @lock: the lock, held
 * @until_ms: monotonic time at which to stop waiting; -1 never
 *
 * May also return without a signal. Return: false if the time came.
 */
bool kbl_event_wait(struct kbl_event *event, struct kbl_lock *lock, s64 until_ms);

/** kbl_event_signal() - wake one of those who wait; call with the lock they wait with */
void kbl_event_signal(struct kbl_event *event);
/** kbl_event_broadcast() - wake all of them; call with the lock they wait with */
void kbl_event_broadcast(struct kbl_event *event);

#endif /* _KB_LIB_LOCK_H */
