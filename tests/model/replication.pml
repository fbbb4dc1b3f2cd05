/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Replication of one partition, as a model for spin: three replicas, a
 * controller whose decisions are atomic and durable (Raft is not modelled), and
 * brokers that learn of them late. What the code promises, and where:
 *
 *	A1  A follower appends only what follows its own end, and only from a
 *	    leader whose leader epoch is the one that both were told of
 *	    (kbr_replica_fetched(), kbr_replica_append()).
 *	A2  The leader counts a follower's synced end only from a Fetch whose
 *	    end does not diverge from its own log (kbr_replica_fetched()).
 *	A3  The high watermark is the smallest synced end of the in-sync set as
 *	    the controller last told it, together with who was asked to join
 *	    it; it rests while that set is below min.insync.replicas
 *	    (kbr_replica_hw()).
 *	A4  A follower cuts its log by leader epochs alone, never by its high
 *	    watermark (kbr_replica_truncate()).
 *	A5  A restarted broker leads nothing and follows nobody before it has
 *	    a new broker epoch (kbr_cluster_set()); to register ends what it
 *	    led, even where nobody noticed that it had died.
 *	A6  The in-sync set changes only by the controller, by compare-and-set of
 *	    the partition epoch, and with the broker epochs that its members
 *	    have (kbd_partition_change_isr()).
 *	A7  Who loses its disk is in no set that may be elected
 *	    (kbd_partition_forget()).
 *
 * Checked: a record below any high watermark never changes or vanishes; who is
 * elected has all of them; there are never two leaders in one leader epoch.
 *
 * Faults: the loss of power with any part of what was not synced, the loss of a
 * disk, a session that ends though its broker lives, requests that arrive late,
 * answers that never do.
 *
 * Each of these plants a bug, which the model must find:
 *	BUG_UNSYNCED	A3 over log ends instead of synced ends
 *	BUG_TRUNCATE_HW	A4 by the high watermark
 *	BUG_STALE_EPOCH	A6 without the broker epochs
 *	BUG_ISR_LOCAL	A6 by the leader itself
 *	BUG_SAME_EPOCH	A5 without the end of what it led
 *
 * ONE_RECORD: producers send but one record, so that logs can differ in their
 * lengths alone.
 */
#define N	3
#define NONE	3
#ifndef LEN
#define LEN	2		/* records that a log can hold */
#endif

#ifndef EPOCHS
#define EPOCHS	4		/* leader epochs below this one are reached */
#endif
#ifndef CRASHES
#define CRASHES	2
#endif
#ifndef LOSSES
#define LOSSES	1		/* disks */
#endif
#ifndef FENCES
#define FENCES	1		/* sessions that end though the broker lives */
#endif
#ifndef CHANGES
#define CHANGES	6		/* of the in-sync set, asked for */
#endif
#define MIN_ISR	2

#define BIT(b)		(1 << (b))
#define HAS(set, b)	((set) & BIT(b))
#define COUNT(set)	(((set) & 1) + (((set) >> 1) & 1) + (((set) >> 2) & 1))
#define MIN(a, b)	((a) < (b) -> (a) : (b))

/* ---- a broker ---- */
typedef replica {
	bit up;
	byte broker_epoch;	/* 0: none yet */
	byte role;		/* 0 none, 1 follower, 2 leader */
	byte leader;
	byte leader_epoch;
	byte partition_epoch;
	byte isr;
	byte wanted;		/* in-sync set that it asked for, 0 none */
	byte start;		/* of its leadership */
	byte record[LEN];	/* 1 or 2: two records that are not the same */
	byte epoch[LEN];
	byte end;
	byte synced;
	byte hw;
	byte known_end[N];	/* what it knows of followers; 0 nothing */
	byte known_synced[N];
	byte known_broker_epoch[N];
};
replica r[N];

/* A Fetch on its way, one a follower */
typedef fetch {
	bit sent;
	byte to;
	byte leader_epoch;
	byte broker_epoch;
	byte end;
	byte synced;
	byte last_epoch;
};
fetch f[N];

/* A change of the in-sync set on its way to the controller, one a leader */
typedef change {
	bit sent;
	byte leader_epoch;
	byte partition_epoch;
	byte broker_epoch;
	byte isr;
	byte epochs[N];
};
change c[N];

/* ---- the controller ---- */
byte k_leader = 0, k_leader_epoch = 1, k_partition_epoch = 1, k_isr = 7, k_elr = 0, k_fenced = 0;
byte k_broker_epoch[N];

/* ---- what was committed, for the checks alone ---- */
byte committed, committed_record[LEN], committed_epoch[LEN];
byte led[EPOCHS + 1];		/* who led in that epoch, NONE + 1: nobody */

byte crashes, losses, fences, changes;

/* for use within one step */
byte i, e, o, x, g;

/* The epoch of the last record of @b, 0 none */
#define LAST(b)	(r[b].end == 0 -> 0 : r[b].epoch[r[b].end - 1])

/* @e, @o := the largest epoch of @b up to @upto and where it ends */
inline epoch_end(b, upto) {
	e = 0; o = 0; i = 0;
	do
	:: i < r[b].end && r[b].epoch[i] <= upto -> e = r[b].epoch[i]; o = i + 1; i++
	:: else -> break
	od;
	i = 0
}

inline cut(b, to) {
	i = to;
	do
	:: i < LEN -> r[b].record[i] = 0; r[b].epoch[i] = 0; i++
	:: else -> break
	od;
	i = 0;
	if
	:: r[b].end > to -> r[b].end = to
	:: else
	fi;
	if
	:: r[b].synced > to -> r[b].synced = to
	:: else
	fi;
	if
	:: r[b].hw > to -> r[b].hw = to
	:: else
	fi
}

/* All that is below the high watermark of @b is what was committed. */
inline check_hw(b) {
	i = 0;
	do
	:: i < r[b].hw ->
		assert(i < committed);
		assert(r[b].record[i] == committed_record[i] && r[b].epoch[i] == committed_epoch[i]);
		i++
	:: else -> break
	od;
	i = 0
}

/* @b, which comes to lead, has all that was committed. */
inline check_leader(b) {
	assert(led[r[b].leader_epoch] == NONE + 1);
	led[r[b].leader_epoch] = b;
	i = 0;
	do
	:: i < committed ->
		assert(i < r[b].end);
		assert(r[b].record[i] == committed_record[i] && r[b].epoch[i] == committed_epoch[i]);
		i++
	:: else -> break
	od;
	i = 0
}

inline forget_known(b) {
	i = 0;
	do
	:: i < N -> r[b].known_end[i] = 0; r[b].known_synced[i] = 0;
		r[b].known_broker_epoch[i] = 0; i++
	:: else -> break
	od;
	i = 0
}

inline stop(b) {
	r[b].role = 0; r[b].leader = NONE; r[b].leader_epoch = 0; r[b].partition_epoch = 0;
	r[b].isr = 0; r[b].wanted = 0; r[b].start = 0; r[b].broker_epoch = 0;
	forget_known(b)
}

/* ---- what the controller decides (tools/kbrokerd/decide.c) ---- */

/* The in-sync set becomes @to; who leaves it may still be eligible. */
inline set_isr(to) {
	if
	:: COUNT(to) >= MIN_ISR -> k_elr = 0
	:: else -> k_elr = (k_elr | (k_isr & ~(to))) & ~(to)
	fi;
	k_isr = to
}

/* Elect whoever can, if the leader can't. */
inline elect() {
	if
	:: k_leader != NONE && HAS(k_isr, k_leader) && !HAS(k_fenced, k_leader)
	:: else ->
		x = NONE; i = N;
		do
		:: i > 0 -> i--;
			if
			:: HAS(k_isr, i) && !HAS(k_fenced, i) -> x = i
			:: else
			fi
		:: else -> break
		od;
		if
		:: x == NONE ->
			i = N;
			do
			:: i > 0 -> i--;
				if
				:: HAS(k_elr, i) && !HAS(k_fenced, i) -> x = i
				:: else
				fi
			:: else -> break
			od;
			if
			:: x != NONE -> k_isr = BIT(x); k_elr = k_elr & ~BIT(x)
			:: else
			fi
		:: else
		fi;
		i = 0;
		if
		:: x != k_leader -> k_leader = x; k_leader_epoch++
		:: else
		fi;
		x = 0
	fi;
	k_partition_epoch++
}

inline fence(b) {
	k_fenced = k_fenced | BIT(b);
	g = k_isr & ~BIT(b);
	set_isr(g);
	g = 0;
	elect()
}

/* ---- what happens ---- */

proctype broker(byte b) {
end:	do
	/* a record comes from a producer */
	:: d_step { r[b].role == 2 && r[b].end < LEN ->
		r[b].record[r[b].end] = 1; r[b].epoch[r[b].end] = r[b].leader_epoch; r[b].end++ }
#ifndef ONE_RECORD
	:: d_step { r[b].role == 2 && r[b].end < LEN ->
		r[b].record[r[b].end] = 2; r[b].epoch[r[b].end] = r[b].leader_epoch; r[b].end++ }
#endif
	/* the disk */
	:: d_step { r[b].up && r[b].synced < r[b].end -> r[b].synced = r[b].end }
	/* power is lost: any part of what was not synced may be there */
	:: d_step { r[b].up && crashes < CRASHES -> crashes++; r[b].up = 0; stop(b) }
	:: d_step { !r[b].up && r[b].synced < r[b].end -> x = r[b].end - 1; cut(b, x); x = 0 }
	/* the disk is lost with it */
	:: d_step { !r[b].up && losses < LOSSES && r[b].end > 0 -> losses++; cut(b, 0);
		k_isr = k_isr & ~BIT(b); k_elr = k_elr & ~BIT(b);	/* seen as it registers */
		elect() }
	/* it starts again, and registers */
	:: d_step { !r[b].up ->
		r[b].up = 1;
#ifndef BUG_SAME_EPOCH
		if
		:: !HAS(k_fenced, b) -> fence(b)
		:: else
		fi;
#endif
		k_fenced = k_fenced & ~BIT(b);
		k_broker_epoch[b]++; r[b].broker_epoch = k_broker_epoch[b];
		r[b].synced = r[b].end;		/* recovery has read and synced it */
		elect() }
	/* its session ended though it lives, and it registers anew when it learns of it */
	:: d_step { r[b].up && r[b].broker_epoch == k_broker_epoch[b] && HAS(k_fenced, b) ->
		k_fenced = k_fenced & ~BIT(b); elect() }
	/* it is told of the partition */
	:: d_step { r[b].up && r[b].broker_epoch == k_broker_epoch[b] &&
		r[b].partition_epoch != k_partition_epoch && k_leader_epoch < EPOCHS ->
		if
		:: r[b].leader_epoch != k_leader_epoch ->
			r[b].leader_epoch = k_leader_epoch; r[b].wanted = 0; forget_known(b);
			r[b].leader = k_leader;
			if
			:: k_leader == b -> r[b].role = 2; r[b].start = r[b].end; check_leader(b)
			:: else -> r[b].role = 1; r[b].start = 0
#ifdef BUG_TRUNCATE_HW
				; x = r[b].hw; cut(b, x); x = 0
#endif
			fi
		:: else
		fi;
		r[b].partition_epoch = k_partition_epoch;
		r[b].isr = k_isr; r[b].wanted = 0 }
	/* a follower asks */
	:: d_step { r[b].role == 1 && r[b].leader != NONE && !f[b].sent ->
		f[b].sent = 1; f[b].to = r[b].leader; f[b].leader_epoch = r[b].leader_epoch;
		f[b].broker_epoch = r[b].broker_epoch; f[b].end = r[b].end;
		f[b].synced = r[b].synced; f[b].last_epoch = LAST(b) }
	/* a leader's high watermark */
	:: d_step { r[b].role == 2 && COUNT(r[b].isr) >= MIN_ISR ->
#ifdef BUG_UNSYNCED
		x = r[b].end;
#else
		x = r[b].synced;
#endif
		i = 0;
		do
		:: i < N ->
			if
			:: i != b && HAS(r[b].isr | r[b].wanted, i) ->
#ifdef BUG_UNSYNCED
				x = MIN(x, r[b].known_end[i])
#else
				x = MIN(x, r[b].known_synced[i])
#endif
			:: else
			fi;
			i++
		:: else -> break
		od;
		i = 0;
		do
		:: committed < x -> committed_record[committed] = r[b].record[committed];
			committed_epoch[committed] = r[b].epoch[committed]; committed++
		:: else -> break
		od;
		if
		:: x > r[b].hw -> r[b].hw = x
		:: else
		fi;
		x = 0;
		check_hw(b) }
	/* a leader wants another in-sync set */
	:: d_step { r[b].role == 2 && !c[b].sent && !r[b].wanted && changes < CHANGES &&
		COUNT(r[b].isr) > 1 -> changes++; x = (HAS(r[b].isr, (b + 1) % N) -> (b + 1) % N : (b + 2) % N);
		c[b].isr = r[b].isr & ~BIT(x); x = 0;
#ifdef BUG_ISR_LOCAL
		r[b].isr = c[b].isr; c[b].isr = 0
#else
		c[b].sent = 1; c[b].leader_epoch = r[b].leader_epoch;
		c[b].partition_epoch = r[b].partition_epoch; c[b].broker_epoch = r[b].broker_epoch;
		r[b].wanted = r[b].isr
#endif
		}
	:: d_step { r[b].role == 2 && !c[b].sent && !r[b].wanted && changes < CHANGES && r[b].isr != 7 ->
		x = (HAS(r[b].isr, (b + 1) % N) -> (b + 2) % N : (b + 1) % N);
		if
		:: r[b].known_broker_epoch[x] && r[b].known_end[x] >= r[b].hw &&
		   r[b].known_end[x] >= r[b].start ->
			changes++;
			c[b].sent = 1; c[b].isr = r[b].isr | BIT(x); c[b].leader_epoch = r[b].leader_epoch;
			c[b].partition_epoch = r[b].partition_epoch;
			c[b].broker_epoch = r[b].broker_epoch;
			c[b].epochs[x] = r[b].known_broker_epoch[x];
			r[b].wanted = c[b].isr
		:: else
		fi;
		x = 0 }
	od
}

/* A Fetch of @b arrives, and is answered unless that is lost. */
inline serve(b, l) {
	if
	:: r[l].up && r[l].role == 2 && r[l].leader_epoch == f[b].leader_epoch ->
		epoch_end(l, f[b].last_epoch);
		if
		:: e < f[b].last_epoch || o < f[b].end ->	/* it diverges */
			if
			:: r[b].up && r[b].role == 1 && r[b].leader_epoch == f[b].leader_epoch &&
			   r[b].broker_epoch == f[b].broker_epoch && r[b].end == f[b].end ->
				x = o; g = e;
				epoch_end(b, g);
				x = MIN(x, o);
				if
				:: x < r[b].end -> cut(b, x)
				:: else
				fi;
				g = 0; x = 0
			:: else
			fi
		:: else ->
			r[l].known_end[b] = f[b].end; r[l].known_synced[b] = f[b].synced;
			r[l].known_broker_epoch[b] = f[b].broker_epoch;
			if
			:: r[b].up && r[b].role == 1 && r[b].leader_epoch == f[b].leader_epoch &&
			   r[b].broker_epoch == f[b].broker_epoch && r[b].end == f[b].end ->
				if
				:: r[b].end < r[l].end ->
					r[b].record[r[b].end] = r[l].record[r[b].end];
					r[b].epoch[r[b].end] = r[l].epoch[r[b].end];
					r[b].end++
				:: else
				fi;
				x = MIN(r[l].hw, r[b].end);
				if
				:: x > r[b].hw -> r[b].hw = x
				:: else
				fi;
				x = 0;
				check_hw(b)
			:: else
			fi
		fi;
		e = 0; o = 0
	:: else
	fi;
	f[b].sent = 0; f[b].to = 0; f[b].leader_epoch = 0; f[b].broker_epoch = 0; f[b].end = 0;
	f[b].synced = 0; f[b].last_epoch = 0
}

/* The controller hears what @b wants. */
inline decide(b) {
	x = 1; i = 0;
	do
	:: i < N ->
		if
		:: HAS(c[b].isr, i) && HAS(k_fenced, i) -> x = 0
#ifndef BUG_STALE_EPOCH
		:: HAS(c[b].isr & ~k_isr, i) && !HAS(k_fenced, i) && c[b].epochs[i] != k_broker_epoch[i] -> x = 0
#endif
		:: else
		fi;
		i++
	:: else -> break
	od;
	i = 0;
	if
	:: x && k_leader == b && c[b].broker_epoch == k_broker_epoch[b] &&
	   c[b].leader_epoch == k_leader_epoch && c[b].partition_epoch == k_partition_epoch ->
		g = c[b].isr;
		set_isr(g);
		g = 0;
		k_partition_epoch++
	:: else
	fi;
	x = 0;
	c[b].sent = 0; c[b].leader_epoch = 0; c[b].partition_epoch = 0; c[b].broker_epoch = 0;
	c[b].isr = 0; c[b].epochs[0] = 0; c[b].epochs[1] = 0; c[b].epochs[2] = 0
}

proctype world() {
end:	do
	:: d_step { f[0].sent && f[0].to == 1 -> serve(0, 1) }
	:: d_step { f[0].sent && f[0].to == 2 -> serve(0, 2) }
	:: d_step { f[1].sent && f[1].to == 0 -> serve(1, 0) }
	:: d_step { f[1].sent && f[1].to == 2 -> serve(1, 2) }
	:: d_step { f[2].sent && f[2].to == 0 -> serve(2, 0) }
	:: d_step { f[2].sent && f[2].to == 1 -> serve(2, 1) }
	:: d_step { c[0].sent -> decide(0) }
	:: d_step { c[1].sent -> decide(1) }
	:: d_step { c[2].sent -> decide(2) }
	/* no heartbeat came for too long: the broker has died, or has not */
	:: d_step { !r[0].up && !HAS(k_fenced, 0) -> fence(0) }
	:: d_step { !r[1].up && !HAS(k_fenced, 1) -> fence(1) }
	:: d_step { !r[2].up && !HAS(k_fenced, 2) -> fence(2) }
	:: d_step { fences < FENCES && r[0].up && !HAS(k_fenced, 0) -> fences++; fence(0) }
	:: d_step { fences < FENCES && r[1].up && !HAS(k_fenced, 1) -> fences++; fence(1) }
	:: d_step { fences < FENCES && r[2].up && !HAS(k_fenced, 2) -> fences++; fence(2) }
	od
}

/* All have been told that the first one leads. */
init {
	d_step {
		r[0].up = 1; r[1].up = 1; r[2].up = 1;
		r[0].role = 2; r[1].role = 1; r[2].role = 1;
		r[0].leader_epoch = 1; r[1].leader_epoch = 1; r[2].leader_epoch = 1;
		r[0].partition_epoch = 1; r[1].partition_epoch = 1; r[2].partition_epoch = 1;
		r[0].isr = 7; r[1].isr = 7; r[2].isr = 7;
		k_broker_epoch[0] = 1; k_broker_epoch[1] = 1; k_broker_epoch[2] = 1;
		r[0].broker_epoch = 1; r[1].broker_epoch = 1; r[2].broker_epoch = 1;
		i = 0;
		do
		:: i <= EPOCHS -> led[i] = NONE + 1; i++
		:: else -> break
		od;
		i = 0;
		led[1] = 0
	}
	atomic { run broker(0); run broker(1); run broker(2); run world() }
}
