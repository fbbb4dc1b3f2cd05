// SPDX-License-Identifier: GPL-2.0-only
/* A daemon's talk with its kernel; see kernel.h. */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include <linux/kbroker_netlink.h>

#include "daemon.h"
#include "kernel.h"
#include "netlink.h"
#include "state.h"

/* How often the broker is looked at, and an operation that goes on */
#define LOOK_MS		100
#define OP_MS		10

/**
 * struct told - what is to be told
 * @next: behind it
 * @what: kind of object
 * @len: bytes of @attrs
 * @attrs: for the kernel
 */
struct told {
	struct told *next;
	enum kbd_tell what;
	size_t len;
	u8 attrs[];
};

/**
 * struct open - an open request
 * @next: another one
 * @id: of the request
 * @attrs: a message
 */
struct open {
	struct open *next;
	u64 id;
	struct kbd_buf attrs;
};

/**
 * struct kbd_kernel_io - see kernel.h
 * @broker: name of the broker
 * @cluster: UUID of the cluster
 * @secret: of the cluster
 * @secret_len: its bytes
 * @wake: tells the daemon's thread
 * @arg: its argument
 * @thread: talks to the kernel
 * @nudge: eventfd, wakes it
 * @requests: connection for requests; the thread's
 * @events: connection for events; the thread's
 * @keyed: incarnation that was given the secret; the thread's
 * @lock: guards what follows
 * @stop: the thread is to end
 * @err: of the last look
 * @kernel: what it saw
 * @queue: to be told
 * @last: where the next one goes
 * @telling: one that was taken from @queue is being told
 * @want_known: what the kernel knows is wanted
 * @known: it, NULL not yet
 * @want_open: the open requests are wanted
 * @listed: they were looked up, and @open has all of them
 * @open: they
 * @news: the kernel has opened requests, or events were lost
 * @refused: errno that the kernel answered, 0 none
 * @why: its sentence
 * @said: the sentence that was logged last
 */
struct kbd_kernel_io {
	char broker[KBROKER_BROKER_NAME_MAX + 1];
	u8 cluster[KBD_UUID_SIZE];
	u8 secret[KBROKER_SECRET_MAX];
	size_t secret_len;
	void (*wake)(void *arg);
	void *arg;
	pthread_t thread;
	int nudge;
	struct kbd_nl requests;
	struct kbd_nl events;
	u8 keyed[KBD_UUID_SIZE];
	pthread_mutex_t lock;
	bool stop;
	int err;
	struct kbd_kernel kernel;
	struct told *queue;
	struct told **last;
	bool telling;
	bool want_known;
	struct kbd_state *known;
	bool want_open;
	bool listed;
	struct open *open;
	bool news;
	int refused;
	char why[KBD_NL_WHY];
	char said[KBD_NL_WHY];
};

/* ---- the thread: waiting ---- */

static bool stopping(struct kbd_kernel_io *io)
{
	bool stop;

	pthread_mutex_lock(&io->lock);
	stop = io->stop;
	pthread_mutex_unlock(&io->lock);
	return stop;
}

static void take_event(const struct kbd_nl_msg *msg, void *arg)
{
	bool *opened = arg;

	if (msg->cmd == KBROKER_CMD_REQUEST_NTF)
		*opened = true;
}

/* Until something happens, but not longer than @ms */
static void wait_news(struct kbd_kernel_io *io, int ms)
{
	struct pollfd fds[] = {
		{ .fd = io->nudge, .events = POLLIN },
		{ .fd = io->events.sock ? kbd_nl_fd(&io->events) : -1, .events = POLLIN },
	};
	bool opened = false;
	u64 count;

	if (poll(fds, 2, ms) <= 0)
		return;
	if (fds[0].revents && read(io->nudge, &count, sizeof(count)) < 0)
		return;
	/* Lost events may have been of requests. */
	if (fds[1].revents && kbd_nl_receive(&io->events, take_event, &opened))
		opened = true;
	if (!opened)
		return;
	pthread_mutex_lock(&io->lock);
	io->news = true;
	pthread_mutex_unlock(&io->lock);
	io->wake(io->arg);
}

/* ---- the thread: requests of netlink ---- */

/**
 * struct op - an operation of the kernel
 * @type: attribute of the answer that has its id, 0 none
 * @id: it, 0: nothing to wait for
 * @state: enum kbroker_op_state
 * @error: errno it ended with
 * @why: message
 */
struct op {
	int type;
	u32 id;
	u8 state;
	u32 error;
	char why[KBD_NL_WHY];
};

static void take_op_id(const struct kbd_nl_msg *msg, void *arg)
{
	struct op *op = arg;

	if (op->type)
		op->id = kbd_u32(&msg->attr[op->type]);
}

static void take_op(const struct kbd_nl_msg *msg, void *arg)
{
	struct op *op = arg;

	op->state = kbd_u8(&msg->attr[KBROKER_A_OP_STATE]);
	op->error = kbd_u32(&msg->attr[KBROKER_A_OP_ERROR]);
	snprintf(op->why, sizeof(op->why), "%s", kbd_text(&msg->attr[KBROKER_A_OP_MESSAGE]));
}

static int wait_op(struct kbd_kernel_io *io, struct op *op, char *why)
{
	struct kbd_buf buf = { 0 };
	int err = 0;

	while (op->state < KBROKER_OP_STATE_DONE && !err) {
		if (stopping(io))
			return -EINTR;
		kbd_begin(&buf, KBD_ANSWER);
		kbd_put_u32(&buf, KBROKER_A_OP_ID, op->id);
		err = kbd_nl_call(&io->requests, KBROKER_CMD_OP_GET, false, buf.data + KBD_HEADER_SIZE,
				  buf.len - KBD_HEADER_SIZE, take_op, op, why);
		if (!err && op->state < KBROKER_OP_STATE_DONE)
			wait_news(io, OP_MS);
	}
	kbd_buf_free(&buf);
	if (!err && op->state == KBROKER_OP_STATE_FAILED) {
		err = -(int)op->error ?: -EIO;
		snprintf(why, KBD_NL_WHY, "%s", *op->why ? op->why : strerror(-err));
	}
	return err;
}

/* One request, to its end */
static int carry_out(struct kbd_kernel_io *io, u8 cmd, int broker_attr, int op_attr,
		     const void *attrs, size_t len, char *why)
{
	struct op op = { .type = op_attr };
	struct kbd_buf buf = { 0 };
	int err;

	kbd_begin(&buf, KBD_ANSWER);
	kbd_put_text(&buf, broker_attr, io->broker);
	kbd_put_raw(&buf, attrs, len);
	err = kbd_nl_call(&io->requests, cmd, false, buf.data + KBD_HEADER_SIZE,
			  buf.len - KBD_HEADER_SIZE, take_op_id, &op, why);
	kbd_buf_free(&buf);
	return err || !op.id ? err : wait_op(io, &op, why);
}

static int dump(struct kbd_kernel_io *io, u8 cmd, int broker_attr,
		void (*take)(const struct kbd_nl_msg *msg, void *arg), void *arg)
{
	struct kbd_buf buf = { 0 };
	char why[KBD_NL_WHY];
	int err;

	kbd_begin(&buf, KBD_ANSWER);
	kbd_put_text(&buf, broker_attr, io->broker);
	err = kbd_nl_call(&io->requests, cmd, true, buf.data + KBD_HEADER_SIZE,
			  buf.len - KBD_HEADER_SIZE, take, arg, why);
	kbd_buf_free(&buf);
	return err;
}

/* ---- the thread: looking ---- */

/**
 * struct look - what the broker says of itself
 * @state: enum kbroker_cluster_state
 * @kernel: the rest
 */
struct look {
	u8 state;
	struct kbd_kernel kernel;
};

static void take_uuid(u8 *to, const struct kbd_attr *attr)
{
	if (attr->data && attr->len == KBD_UUID_SIZE)
		memcpy(to, attr->data, KBD_UUID_SIZE);
}

static void take_look(const struct kbd_nl_msg *msg, void *arg)
{
	struct look *look = arg;

	look->state = kbd_u8(&msg->attr[KBROKER_A_CLUSTER_STATE]);
	look->kernel.id = kbd_u32(&msg->attr[KBROKER_A_CLUSTER_ID]);
	look->kernel.clean = kbd_u8(&msg->attr[KBROKER_A_CLUSTER_CLEAN]);
	look->kernel.previous = kbd_u64(&msg->attr[KBROKER_A_CLUSTER_PREVIOUS_EPOCH]);
	take_uuid(look->kernel.cluster_id, &msg->attr[KBROKER_A_CLUSTER_CLUSTER_ID]);
	take_uuid(look->kernel.directory_id, &msg->attr[KBROKER_A_CLUSTER_DIRECTORY_ID]);
	take_uuid(look->kernel.incarnation, &msg->attr[KBROKER_A_CLUSTER_INCARNATION]);
}

static int ask_look(struct kbd_kernel_io *io, struct look *look)
{
	struct kbd_buf buf = { 0 };
	char why[KBD_NL_WHY];
	int err;

	memset(look, 0, sizeof(*look));
	kbd_begin(&buf, KBD_ANSWER);
	kbd_put_text(&buf, KBROKER_A_CLUSTER_BROKER, io->broker);
	err = kbd_nl_call(&io->requests, KBROKER_CMD_CLUSTER_GET, false, buf.data + KBD_HEADER_SIZE,
			  buf.len - KBD_HEADER_SIZE, take_look, look, why);
	kbd_buf_free(&buf);
	return err;
}

static void refused(struct kbd_kernel_io *io, int err, const char *why)
{
	pthread_mutex_lock(&io->lock);
	if (!io->refused) {
		io->refused = err;
		snprintf(io->why, sizeof(io->why), "%s", why);
	}
	pthread_mutex_unlock(&io->lock);
	io->wake(io->arg);
}

/* Each life of the broker is told the secret; its first of all, that it is a member. */
static int make_member(struct kbd_kernel_io *io, struct look *look)
{
	bool member = look->state != KBROKER_CLUSTER_STATE_STANDALONE;
	char why[KBD_NL_WHY] = "";
	struct kbd_buf buf = { 0 };
	int err;

	if (member && memcmp(look->kernel.cluster_id, io->cluster, sizeof(io->cluster))) {
		refused(io, -EINVAL, "the broker is a member of another cluster");
		return -ENODEV;
	}
	if (member && !memcmp(io->keyed, look->kernel.incarnation, sizeof(io->keyed)))
		return 0;
	kbd_begin(&buf, KBD_ANSWER);
	if (!member)
		kbd_put(&buf, KBROKER_A_CLUSTER_CLUSTER_ID, io->cluster, sizeof(io->cluster));
	kbd_put(&buf, KBROKER_A_CLUSTER_SECRET, io->secret, io->secret_len);
	err = carry_out(io, KBROKER_CMD_CLUSTER_SET, KBROKER_A_CLUSTER_BROKER, KBROKER_A_CLUSTER_OP_ID,
			buf.data + KBD_HEADER_SIZE, buf.len - KBD_HEADER_SIZE, why);
	memset(buf.data, 0, buf.len);
	kbd_buf_free(&buf);
	if (err) {
		refused(io, err, why);
		return -ENODEV;
	}
	memcpy(io->keyed, look->kernel.incarnation, sizeof(io->keyed));
	return member ? 0 : ask_look(io, look);
}

/* With the lock */
static void drop_queue(struct kbd_kernel_io *io)
{
	struct told *told;

	while ((told = io->queue)) {
		io->queue = told->next;
		free(told);
	}
	io->last = &io->queue;
}

static void look_at_broker(struct kbd_kernel_io *io)
{
	struct look look;
	bool changed, anew;
	int err;

	err = ask_look(io, &look);
	/* A connection that broke says nothing of the broker. */
	if (err && !io->requests.sock && !kbd_nl_open(&io->requests))
		err = ask_look(io, &look);
	err = err ?: make_member(io, &look);
	if (err)
		err = -ENODEV;
	pthread_mutex_lock(&io->lock);
	anew = !err && memcmp(look.kernel.incarnation, io->kernel.incarnation, KBD_UUID_SIZE);
	changed = anew || err != io->err;
	if (anew) {
		/* What was known of its last life, and for it, is not of this one. */
		io->kernel = look.kernel;
		kbd_state_free(io->known);
		io->known = NULL;
		drop_queue(io);
	}
	io->err = err;
	pthread_mutex_unlock(&io->lock);
	if (changed)
		io->wake(io->arg);
}

/* ---- the thread: what the kernel knows ---- */

static void take_topic(const struct kbd_nl_msg *msg, void *arg)
{
	const struct kbd_attr *id = &msg->attr[KBROKER_A_TOPIC_ID];
	const char *name = kbd_text(&msg->attr[KBROKER_A_TOPIC_NAME]);
	struct kbd_state *state = arg;
	struct kbd_topic *topic;
	struct kbd_attr attr, config[KBROKER_A_CONFIG_MAX + 1];
	size_t pos = 0;

	if (!id->data || id->len != KBD_UUID_SIZE || kbd_topic_find(state, name))
		return;
	topic = kbd_state_add_topic(state, name, id->data);
	topic->uid = msg->attr[KBROKER_A_TOPIC_UID].data ?
		     kbd_u32(&msg->attr[KBROKER_A_TOPIC_UID]) : KBD_UNSET;
	topic->gid = msg->attr[KBROKER_A_TOPIC_GID].data ?
		     kbd_u32(&msg->attr[KBROKER_A_TOPIC_GID]) : KBD_UNSET;
	topic->mode = msg->attr[KBROKER_A_TOPIC_MODE].data ?
		      kbd_u16(&msg->attr[KBROKER_A_TOPIC_MODE]) : KBD_UNSET;
	while (kbd_each(msg->body, msg->len, &pos, &attr)) {
		if (attr.type != KBROKER_A_TOPIC_CONFIG)
			continue;
		kbd_open(&attr, config, KBROKER_A_CONFIG_MAX + 1);
		kbd_topic_set_config(topic, kbd_text(&config[KBROKER_A_CONFIG_NAME]),
				     kbd_text(&config[KBROKER_A_CONFIG_VALUE]));
	}
	kbd_topic_grow(state, topic, kbd_u32(&msg->attr[KBROKER_A_TOPIC_PARTITIONS]));
}

/* Its epoch is none that a peer can have: it is told anew. */
static void take_peer(const struct kbd_nl_msg *msg, void *arg)
{
	s32 id = kbd_u32(&msg->attr[KBROKER_A_PEER_ID]);
	struct kbd_state *state = arg;

	if (kbd_member_find(state, id) || state->brokers.count == KBD_BROKERS_MAX)
		return;
	kbd_state_add_broker(state, id);
	kbd_broker_find(&state->brokers, id)->epoch = -1;
}

static void find_known(struct kbd_kernel_io *io)
{
	struct kbd_state *known = kbd_state_new();

	if (dump(io, KBROKER_CMD_TOPIC_GET, KBROKER_A_TOPIC_BROKER, take_topic, known) ||
	    dump(io, KBROKER_CMD_PEER_GET, KBROKER_A_PEER_BROKER, take_peer, known)) {
		kbd_state_free(known);
		return;
	}
	pthread_mutex_lock(&io->lock);
	kbd_state_free(io->known);
	io->known = known;
	io->want_known = false;
	pthread_mutex_unlock(&io->lock);
	io->wake(io->arg);
}

/* Passed on as it is, but for what is of this kernel alone */
static void take_open(const struct kbd_nl_msg *msg, void *arg)
{
	struct open *open = calloc(1, sizeof(*open)), **list = arg;
	struct kbd_attr attr;
	size_t pos = 0;

	if (!open)
		abort();
	open->id = kbd_u64(&msg->attr[KBROKER_A_REQUEST_ID]);
	kbd_begin(&open->attrs, KBD_REQUEST);
	while (kbd_each(msg->body, msg->len, &pos, &attr)) {
		if (attr.type != KBROKER_A_REQUEST_ID && attr.type != KBROKER_A_REQUEST_AGE_MS &&
		    attr.type != KBROKER_A_REQUEST_BROKER)
			kbd_put(&open->attrs, attr.type, attr.data, attr.len);
	}
	open->next = *list;
	*list = open;
}

static void free_open(struct open *open)
{
	while (open) {
		struct open *next = open->next;

		kbd_buf_free(&open->attrs);
		free(open);
		open = next;
	}
}

static void find_open(struct kbd_kernel_io *io)
{
	struct open *list = NULL;

	if (dump(io, KBROKER_CMD_REQUEST_GET, KBROKER_A_REQUEST_BROKER, take_open, &list)) {
		free_open(list);
		return;
	}
	pthread_mutex_lock(&io->lock);
	free_open(io->open);
	io->open = list;
	io->listed = true;
	io->want_open = false;
	pthread_mutex_unlock(&io->lock);
	io->wake(io->arg);
}

/* ---- the thread: telling ---- */

static const struct {
	u8 cmd;
	u8 broker;
	u8 op;
} tells[] = {
	[KBD_TELL_PEER]		= { KBROKER_CMD_PEER_NEW, KBROKER_A_PEER_BROKER, 0 },
	[KBD_TELL_PEER_GONE]	= { KBROKER_CMD_PEER_DEL, KBROKER_A_PEER_BROKER, 0 },
	[KBD_TELL_CLUSTER]	= { KBROKER_CMD_CLUSTER_SET, KBROKER_A_CLUSTER_BROKER,
				    KBROKER_A_CLUSTER_OP_ID },
	[KBD_TELL_TOPIC_NEW]	= { KBROKER_CMD_TOPIC_NEW, KBROKER_A_TOPIC_BROKER, KBROKER_A_TOPIC_OP_ID },
	[KBD_TELL_TOPIC]	= { KBROKER_CMD_TOPIC_SET, KBROKER_A_TOPIC_BROKER, KBROKER_A_TOPIC_OP_ID },
	[KBD_TELL_TOPIC_GONE]	= { KBROKER_CMD_TOPIC_DEL, KBROKER_A_TOPIC_BROKER, KBROKER_A_TOPIC_OP_ID },
	[KBD_TELL_REPLICAS]	= { KBROKER_CMD_REPLICA_SET, KBROKER_A_REPLICA_LIST_BROKER,
				    KBROKER_A_REPLICA_LIST_OP_ID },
	[KBD_TELL_ANSWER]	= { KBROKER_CMD_REQUEST_SET, KBROKER_A_REQUEST_BROKER, 0 },
};

/* @failed: something was refused, and the session does not know yet */
static struct told *take_told(struct kbd_kernel_io *io, bool *failed)
{
	struct told *told;

	pthread_mutex_lock(&io->lock);
	told = io->stop ? NULL : io->queue;
	if (told) {
		io->queue = told->next;
		if (!io->queue)
			io->last = &io->queue;
	}
	io->telling = told;
	*failed = io->refused;
	pthread_mutex_unlock(&io->lock);
	return told;
}

/* A request that was answered is not to be heard of any more. */
static void forget_open(struct kbd_kernel_io *io)
{
	pthread_mutex_lock(&io->lock);
	if (io->listed) {
		free_open(io->open);
		io->open = NULL;
		io->listed = false;
		io->want_open = true;
	}
	pthread_mutex_unlock(&io->lock);
}

/*
 * What is refused, for a full disk perhaps, holds up nothing else: the kernel itself
 * refuses what can't be without it. But nobody is told that it was done.
 */
static void tell_queued(struct kbd_kernel_io *io)
{
	char why[KBD_NL_WHY];
	struct told *told;
	bool some = false, failed;
	int err;

	while ((told = take_told(io, &failed))) {
		*why = '\0';
		some = true;
		if (failed && told->what == KBD_TELL_ANSWER) {
			free(told);
			continue;
		}
		err = carry_out(io, tells[told->what].cmd, tells[told->what].broker,
				tells[told->what].op, told->attrs, told->len, why);
		/* An answer may come after the request's end: nobody waits for it. */
		if (told->what == KBD_TELL_ANSWER)
			forget_open(io);
		else if (err)
			refused(io, err, why);
		free(told);
	}
	if (some)
		io->wake(io->arg);
}

/* ---- the thread ---- */

static void *talk(void *arg)
{
	struct kbd_kernel_io *io = arg;
	bool known, open;
	int err;

	while (!stopping(io)) {
		if (!io->events.sock) {
			err = kbd_nl_open(&io->events) ?:
			      kbd_nl_subscribe(&io->events, KBROKER_MCGRP_EVENTS);
			/* Without the module there is no broker. */
			if (err)
				kbd_nl_close(&io->events);
		}
		look_at_broker(io);
		tell_queued(io);
		pthread_mutex_lock(&io->lock);
		known = io->want_known && !io->err;
		open = io->want_open && !io->err;
		pthread_mutex_unlock(&io->lock);
		if (known)
			find_known(io);
		if (open)
			find_open(io);
		wait_news(io, LOOK_MS);
	}
	return NULL;
}

/* ---- the daemon's thread ---- */

static void nudge(struct kbd_kernel_io *io)
{
	const u64 one = 1;

	if (write(io->nudge, &one, sizeof(one)) < 0)
		kbd_log("cannot wake the kernel's thread: %s", strerror(errno));
}

int kbd_kernel_look(struct kbd_kernel_io *io, struct kbd_kernel *kernel)
{
	int err;

	pthread_mutex_lock(&io->lock);
	err = io->err;
	*kernel = io->kernel;
	pthread_mutex_unlock(&io->lock);
	return err;
}

/* The session takes @state's place with what was found. */
int kbd_kernel_known(struct kbd_kernel_io *io, struct kbd_state *state)
{
	struct kbd_state found;
	int err = -EAGAIN;

	pthread_mutex_lock(&io->lock);
	if (io->known) {
		found = *state;
		*state = *io->known;
		*io->known = found;
		kbd_state_free(io->known);
		io->known = NULL;
		err = 0;
	} else {
		io->want_known = true;
	}
	pthread_mutex_unlock(&io->lock);
	if (err)
		nudge(io);
	return err;
}

void kbd_kernel_requests(struct kbd_kernel_io *io)
{
	pthread_mutex_lock(&io->lock);
	io->want_open = true;
	pthread_mutex_unlock(&io->lock);
	nudge(io);
}

bool kbd_kernel_busy(struct kbd_kernel_io *io)
{
	bool busy;

	pthread_mutex_lock(&io->lock);
	busy = io->queue || io->telling || io->refused;
	pthread_mutex_unlock(&io->lock);
	return busy;
}

void kbd_kernel_tell(struct kbd_kernel_io *io, enum kbd_tell what, const struct kbd_buf *attrs)
{
	size_t len = attrs->len - KBD_HEADER_SIZE;
	struct told *told = malloc(sizeof(*told) + len);

	if (!told)
		abort();
	told->next = NULL;
	told->what = what;
	told->len = len;
	memcpy(told->attrs, attrs->data + KBD_HEADER_SIZE, len);
	pthread_mutex_lock(&io->lock);
	*io->last = told;
	io->last = &told->next;
	pthread_mutex_unlock(&io->lock);
	nudge(io);
}

void kbd_kernel_handle(struct kbd_kernel_io *io, struct kbd_session *session)
{
	char why[KBD_NL_WHY];
	struct open *open, *at;
	bool news, listed;
	int err;

	pthread_mutex_lock(&io->lock);
	err = io->refused;
	memcpy(why, io->why, sizeof(why));
	io->refused = 0;
	open = io->open;
	io->open = NULL;
	listed = io->listed;
	io->listed = false;
	news = io->news;
	io->news = false;
	pthread_mutex_unlock(&io->lock);
	if (err) {
		/* A broker that starts or stops is looked at again. */
		if (err != -ENODEV && strcmp(why, io->said))
			kbd_log("the kernel refused: %s (%s)", why, strerror(-err));
		memcpy(io->said, why, sizeof(io->said));
		kbd_session_refused(session);
	}
	if (news)
		kbd_session_event(session);
	for (at = open; at; at = at->next)
		kbd_session_request(session, at->id, &at->attrs);
	if (listed)
		kbd_session_listed(session);
	free_open(open);
}

struct kbd_kernel_io *kbd_kernel_new(const char *broker, const u8 *cluster, const void *secret,
				     size_t len, void (*wake)(void *arg), void *arg)
{
	struct kbd_kernel_io *io = calloc(1, sizeof(*io));

	if (!io || len > sizeof(io->secret))
		goto fail;
	snprintf(io->broker, sizeof(io->broker), "%s", broker);
	memcpy(io->cluster, cluster, sizeof(io->cluster));
	memcpy(io->secret, secret, len);
	io->secret_len = len;
	io->wake = wake;
	io->arg = arg;
	io->err = -EAGAIN;
	io->last = &io->queue;
	pthread_mutex_init(&io->lock, NULL);
	io->nudge = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (io->nudge < 0)
		goto fail;
	if (!pthread_create(&io->thread, NULL, talk, io))
		return io;
	close(io->nudge);
fail:
	free(io);
	return NULL;
}

void kbd_kernel_free(struct kbd_kernel_io *io)
{
	pthread_mutex_lock(&io->lock);
	io->stop = true;
	pthread_mutex_unlock(&io->lock);
	nudge(io);
	pthread_join(io->thread, NULL);
	drop_queue(io);
	free_open(io->open);
	kbd_state_free(io->known);
	kbd_nl_close(&io->requests);
	kbd_nl_close(&io->events);
	close(io->nudge);
	pthread_mutex_destroy(&io->lock);
	free(io);
}
