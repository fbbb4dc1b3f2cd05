// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The ways of a lock and an event that end in the kernel; see lock.h.
 */
#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "lock.h"

/* Waits while *@word is @val; false if the time came */
static bool kbl_futex_wait(u32 *word, u32 val, s64 until_ms)
{
	struct timespec until = { .tv_sec = until_ms / 1000, .tv_nsec = until_ms % 1000 * 1000000 };

	/* the bitset form takes an absolute monotonic time */
	return !syscall(SYS_futex, word, FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG, val,
			until_ms < 0 ? NULL : &until, NULL, FUTEX_BITSET_MATCH_ANY) ||
	       errno != ETIMEDOUT;
}

static void kbl_futex_wake(u32 *word, int count)
{
	syscall(SYS_futex, word, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, count, NULL, NULL, 0);
}

void kbl_lock_slow(struct kbl_lock *lock)
{
	/* whoever waited can't know that nobody else does, and leaves a 2 */
	while (__atomic_exchange_n(&lock->state, 2, __ATOMIC_ACQUIRE))
		kbl_futex_wait(&lock->state, 2, -1);
}

void kbl_unlock_slow(struct kbl_lock *lock)
{
	kbl_futex_wake(&lock->state, 1);
}

bool kbl_event_wait(struct kbl_event *event, struct kbl_lock *lock, s64 until_ms)
{
	u32 count = event->count;
	bool woken;

	/* signals come with the lock only: none is lost between here and the wait */
	event->waiters++;
	kbl_unlock(lock);
	woken = kbl_futex_wait(&event->count, count, until_ms);
	kbl_lock(lock);
	event->waiters--;
	return woken;
}

void kbl_event_signal(struct kbl_event *event)
{
	if (!event->waiters)
		return;
	/* read without the lock by the kernel, in the waiter's futex call */
	__atomic_store_n(&event->count, event->count + 1, __ATOMIC_RELAXED);
	kbl_futex_wake(&event->count, 1);
}

void kbl_event_broadcast(struct kbl_event *event)
{
	if (!event->waiters)
		return;
	__atomic_store_n(&event->count, event->count + 1, __ATOMIC_RELAXED);
	kbl_futex_wake(&event->count, INT_MAX);
}
