// SPDX-License-Identifier: GPL-2.0-only
/* A daemon: what joins its parts; see daemon.h. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <raft/uv.h>

#include "daemon.h"
#include "kernel.h"
#include "state.h"

/* Connections whose other side has not proved itself */
#define LINKS_MAX	64
#define BACKLOG		128
/* Who wants to become a member asks as often */
#define JOIN_MS		1000
/* Made once the cluster has it */
#define JOINED		"joined"

static u64 now(struct kbd_daemon *daemon)
{
	return uv_now(&daemon->loop);
}

/* ---- the end ---- */

static void raft_stopped(void *arg)
{
	struct kbd_daemon *daemon = arg;

	uv_stop(&daemon->loop);
}

/*
 * The log is as safe as after a crash, but others need not wait for a
 * connection to time out. The rest is the operating system's to take back.
 */
static void stop(struct kbd_daemon *daemon, int exit_code)
{
	if (daemon->stopping)
		return;
	daemon->stopping = true;
	daemon->exit_code = exit_code;
	uv_timer_stop(&daemon->tick);
	uv_prepare_stop(&daemon->before_wait);
	uv_close((uv_handle_t *)&daemon->listener, NULL);
	uv_close((uv_handle_t *)&daemon->local, NULL);
	if (daemon->raft)
		kbd_raft_stop(daemon->raft, raft_stopped);
	else
		uv_stop(&daemon->loop);
}

static void signalled(uv_signal_t *handle, int signal)
{
	kbd_log("signal %d: the daemon ends", signal);
	stop(handle->data, 0);
}

/* ---- the replicated log ---- */

static int raft_apply_entry(void *arg, u64 index, const void *entry, size_t len, u64 token)
{
	struct kbd_daemon *daemon = arg;
	int err = kbd_controller_apply(daemon->ctl, index, entry, len, token, now(daemon));

	if (err)
		stop(daemon, 1);
	return err;
}

static void raft_snapshot_state(void *arg, void **data, size_t *len)
{
	struct kbd_daemon *daemon = arg;

	kbd_controller_snapshot(daemon->ctl, data, len);
}

static int raft_restore_state(void *arg, const void *data, size_t len)
{
	struct kbd_daemon *daemon = arg;
	int err = kbd_controller_restore(daemon->ctl, data, len);

	if (err)
		stop(daemon, 1);
	return err;
}

/* The first entry of all says which cluster it is. */
static void begin_cluster(struct kbd_daemon *daemon)
{
	static const u8 none[KBD_UUID_SIZE];
	struct kbd_buf buf = { 0 };
	size_t nest;

	if (memcmp(kbd_controller_state(daemon->ctl)->cluster_id, none, sizeof(none)))
		return;
	kbd_begin(&buf, KBD_INIT);
	nest = kbd_nest(&buf, KBD_A_CLUSTER);
	kbd_put(&buf, KBROKER_A_CLUSTER_CLUSTER_ID, daemon->conf.self.cluster, KBD_UUID_SIZE);
	kbd_nest_end(&buf, nest);
	kbd_raft_propose(daemon->raft, buf.data, buf.len, ~0ULL);
	kbd_buf_free(&buf);
}

static void raft_lead(void *arg, bool leads)
{
	struct kbd_daemon *daemon = arg;

	kbd_log(leads ? "this daemon is the controller" : "this daemon is the controller no more");
	daemon->leads = leads;
	kbd_controller_lead(daemon->ctl, leads, now(daemon));
	if (leads && !daemon->stopping)
		begin_cluster(daemon);
	daemon->news = true;
}

static void raft_silent(void *arg, s32 id, u64 silent_ms)
{
	struct kbd_daemon *daemon = arg;

	kbd_controller_silent(daemon->ctl, id, silent_ms, now(daemon));
}

static const struct kbd_raft_ops raft_ops = {
	.apply = raft_apply_entry,
	.snapshot = raft_snapshot_state,
	.restore = raft_restore_state,
	.lead = raft_lead,
	.silent = raft_silent,
};

static int start_raft(struct kbd_daemon *daemon)
{
	const struct kbd_conf *conf = &daemon->conf;
	struct kbd_raft_options options = {
		.id = conf->self.id,
		.address = conf->self.address,
		.election_ms = conf->election_ms,
		.bootstrap = conf->bootstrap,
	};
	char error[256] = "", dir[256];
	int err;

	snprintf(dir, sizeof(dir), "%s/raft", conf->dir);
	options.dir = dir;
	err = kbd_raft_start(&daemon->loop, kbd_transport_raft(daemon->transport), &options, &raft_ops,
			     daemon, &daemon->raft, error, sizeof(error));
	if (err)
		kbd_log("the log of the cluster can't be read: %s (%s)", error, strerror(-err));
	return err;
}

/* ---- the controller ---- */

static int ctl_propose(void *arg, const void *entry, size_t len, u64 token)
{
	struct kbd_daemon *daemon = arg;

	return kbd_raft_propose(daemon->raft, entry, len, token);
}

static void ctl_reply(void *arg, u64 call, const void *answer, size_t len)
{
	kbd_calls_reply(arg, call, answer, len);
}

static void ctl_applied(void *arg, u64 index, const struct kbd_touched *touched)
{
	struct kbd_daemon *daemon = arg;

	(void)index;
	if (!daemon->session)
		return;
	kbd_session_applied(daemon->session, touched);
	daemon->news = true;
}

static void ctl_random(void *arg, void *buf, size_t len)
{
	(void)arg;
	if (getrandom(buf, len, 0) != (ssize_t)len)
		abort();
}

static void log_line(void *arg, const char *text)
{
	(void)arg;
	kbd_log("%s", text);
}

static const struct kbd_controller_ops ctl_ops = {
	.propose = ctl_propose,
	.reply = ctl_reply,
	.applied = ctl_applied,
	.random = ctl_random,
	.log = log_line,
};

/* ---- the session ---- */

static int session_look(void *arg, struct kbd_kernel *kernel)
{
	struct kbd_daemon *daemon = arg;

	return kbd_kernel_look(daemon->kernel, kernel);
}

static int session_known(void *arg, struct kbd_state *state)
{
	struct kbd_daemon *daemon = arg;

	return kbd_kernel_known(daemon->kernel, state);
}

static int session_requests(void *arg, struct kbd_session *session)
{
	struct kbd_daemon *daemon = arg;

	(void)session;
	kbd_kernel_requests(daemon->kernel);
	return 0;
}

static bool session_busy(void *arg)
{
	struct kbd_daemon *daemon = arg;

	return kbd_kernel_busy(daemon->kernel);
}

static int session_tell(void *arg, enum kbd_tell what, const struct kbd_buf *attrs)
{
	struct kbd_daemon *daemon = arg;

	kbd_kernel_tell(daemon->kernel, what, attrs);
	return 0;
}

static void session_ask(void *arg, u64 token, const void *data, size_t len)
{
	kbd_calls_ask(arg, token, data, len);
}

static void session_forget(void *arg, u64 token)
{
	kbd_calls_forget(arg, token);
}

static const struct kbd_session_ops session_ops = {
	.look = session_look,
	.known = session_known,
	.requests = session_requests,
	.busy = session_busy,
	.tell = session_tell,
	.ask = session_ask,
	.forget = session_forget,
	.log = log_line,
};

/* From the kernel's thread */
static void kernel_wakes(void *arg)
{
	struct kbd_daemon *daemon = arg;

	uv_async_send(&daemon->wake);
}

static void woken(uv_async_t *wake)
{
	struct kbd_daemon *daemon = wake->data;

	if (daemon->stopping)
		return;
	kbd_kernel_handle(daemon->kernel, daemon->session);
	daemon->news = true;
}

/* ---- becoming a member ---- */

static const struct kbd_frames_ops join_ops;

static bool is_member(struct kbd_daemon *daemon)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/" JOINED, daemon->conf.dir);
	return daemon->conf.bootstrap || !access(path, F_OK);
}

/* A file that is there, or is not; so that a loss of power does not change it. */
static int note_member(struct kbd_daemon *daemon)
{
	int dir = open(daemon->conf.dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int file = dir < 0 ? -1 : openat(dir, JOINED, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	int err = 0;

	if (file < 0 || fsync(file) || fsync(dir)) {
		kbd_log("cannot write %s/" JOINED ": %s", daemon->conf.dir, strerror(errno));
		err = -EIO;
	}
	if (file >= 0)
		close(file);
	if (dir >= 0)
		close(dir);
	return err;
}

static void join_answered(void *arg, struct kbd_frames *conn, u64 token, u8 flags, const void *data,
			  size_t len)
{
	struct kbd_daemon *daemon = arg;
	struct kbd_message msg;
	char why[KBD_WHY_SIZE];
	u32 err;

	(void)token;
	(void)flags;
	kbd_frames_close(conn);
	if (daemon->raft || daemon->stopping || kbd_decode(&msg, data, len, why))
		return;
	err = kbd_u32(&msg.attr[KBD_A_ERROR]);
	if (!err) {
		kbd_log("the cluster has this daemon as a member");
		if (note_member(daemon) || start_raft(daemon))
			stop(daemon, 1);
		return;
	}
	kbd_log("the cluster does not take this daemon: %s", kbd_text(&msg.attr[KBD_A_MESSAGE]));
	/* These do not pass by themselves. */
	if (err == EEXIST || err == EINVAL)
		stop(daemon, 1);
}

static void join_closed(void *arg, struct kbd_frames *conn, int status)
{
	struct kbd_daemon *daemon = arg;

	(void)conn;
	(void)status;
	daemon->joining = false;
}

static const struct kbd_frames_ops join_ops = {
	.frame = join_answered,
	.closed = join_closed,
};

static void join_linked(void *arg, uv_tcp_t *tcp, const struct kbd_proved *peer, int status)
{
	struct kbd_daemon *daemon = arg;
	struct kbd_buf buf = { 0 };
	struct kbd_frames *conn;
	size_t nest;

	(void)peer;
	daemon->joining = false;
	if (status) {
		kbd_log("cannot join at %s: %s", daemon->conf.join,
			status == -EACCES ? "it has another cluster id or another secret" :
					    uv_strerror(status));
		return;
	}
	conn = kbd_frames_new((uv_stream_t *)tcp, &join_ops, daemon);
	if (!conn)
		return;
	daemon->joining = true;
	kbd_begin(&buf, KBD_JOIN);
	nest = kbd_nest(&buf, KBD_A_CLUSTER);
	kbd_put(&buf, KBROKER_A_CLUSTER_CLUSTER_ID, daemon->conf.self.cluster, KBD_UUID_SIZE);
	kbd_nest_end(&buf, nest);
	nest = kbd_nest(&buf, KBD_A_DAEMON);
	kbd_put_u32(&buf, KBD_DAEMON_ID, daemon->conf.self.id);
	kbd_put_text(&buf, KBD_DAEMON_ADDRESS, daemon->conf.self.address);
	kbd_nest_end(&buf, nest);
	kbd_frames_send(conn, 1, 0, buf.data, buf.len);
	kbd_buf_free(&buf);
}

static void join(struct kbd_daemon *daemon)
{
	if (daemon->joining || (daemon->join_ms && now(daemon) - daemon->join_ms < JOIN_MS))
		return;
	daemon->join_ms = now(daemon);
	daemon->joining = kbd_link_connect(&daemon->loop, &daemon->conf.self, daemon->conf.join,
					   KBD_FOR_REQUESTS, join_linked, daemon);
}

/* ---- connections ---- */

static void link_done(void *arg, uv_tcp_t *tcp, const struct kbd_proved *peer, int status)
{
	struct kbd_daemon *daemon = arg;

	daemon->links--;
	if (status)
		return;
	if (daemon->stopping)
		uv_close((uv_handle_t *)tcp, (uv_close_cb)free);
	else if (peer->purpose == KBD_FOR_RAFT)
		kbd_transport_accepted(daemon->transport, tcp, peer);
	else
		kbd_calls_accept(daemon, (uv_stream_t *)tcp);
}

static void daemon_comes(uv_stream_t *listener, int status)
{
	struct kbd_daemon *daemon = listener->data;
	uv_tcp_t *tcp;

	if (status)
		return;
	if (daemon->links < LINKS_MAX) {
		if (kbd_link_accept(listener, &daemon->conf.self, link_done, daemon))
			daemon->links++;
		return;
	}
	/* Nothing is lost with it: who means well comes again. */
	tcp = malloc(sizeof(*tcp));
	if (!tcp || uv_tcp_init(&daemon->loop, tcp)) {
		free(tcp);
		return;
	}
	uv_accept(listener, (uv_stream_t *)tcp);
	uv_close((uv_handle_t *)tcp, (uv_close_cb)free);
}

static void command_comes(uv_stream_t *listener, int status)
{
	struct kbd_daemon *daemon = listener->data;
	uv_pipe_t *pipe;

	if (status)
		return;
	pipe = malloc(sizeof(*pipe));
	if (!pipe || uv_pipe_init(&daemon->loop, pipe, 0)) {
		free(pipe);
		return;
	}
	if (uv_accept(listener, (uv_stream_t *)pipe))
		uv_close((uv_handle_t *)pipe, (uv_close_cb)free);
	else
		kbd_calls_accept(daemon, (uv_stream_t *)pipe);
}

static int listen_all(struct kbd_daemon *daemon)
{
	struct sockaddr_storage at;
	char path[256];
	int err;

	err = kbd_address(daemon->conf.listen, &at) ?: uv_tcp_init(&daemon->loop, &daemon->listener);
	daemon->listener.data = daemon;
	if (!err)
		err = uv_tcp_bind(&daemon->listener, (struct sockaddr *)&at, 0) ?:
		      uv_listen((uv_stream_t *)&daemon->listener, BACKLOG, daemon_comes);
	if (err) {
		kbd_log("cannot listen at %s: %s", daemon->conf.listen, uv_strerror(err));
		return err;
	}
	snprintf(path, sizeof(path), "%s/" KBD_SOCKET, daemon->conf.dir);
	unlink(path);
	/* The directory is root's alone; so is the socket in it. */
	umask(077);
	err = uv_pipe_init(&daemon->loop, &daemon->local, 0) ?: uv_pipe_bind(&daemon->local, path);
	daemon->local.data = daemon;
	if (!err)
		err = uv_listen((uv_stream_t *)&daemon->local, BACKLOG, command_comes);
	if (err)
		kbd_log("cannot listen at %s: %s", path, uv_strerror(err));
	return err;
}

/* ---- time ---- */

static void ticked(uv_timer_t *timer)
{
	struct kbd_daemon *daemon = timer->data;

	if (!daemon->raft)
		join(daemon);
	kbd_controller_tick(daemon->ctl, now(daemon));
	kbd_calls_tick(daemon);
	kbd_members_tick(daemon);
	daemon->news = true;
}

/* Before the loop waits: what has happened since is looked at once. */
static void before_wait(uv_prepare_t *prepare)
{
	struct kbd_daemon *daemon = prepare->data;
	unsigned int round;

	if (!daemon->session)
		return;
	/* On the controller a look asks, and is answered at once. */
	for (round = 0; daemon->news && round < 4; round++) {
		daemon->news = false;
		kbd_calls_work(daemon);
		kbd_session_tick(daemon->session, now(daemon));
	}
}

/* ---- the beginning ---- */

static int init_session(struct kbd_daemon *daemon)
{
	const struct kbd_conf *conf = &daemon->conf;

	if (!*conf->broker)
		return 0;
	daemon->kernel = kbd_kernel_new(conf->broker, conf->self.cluster, conf->secret,
					sizeof(conf->secret), kernel_wakes, daemon);
	if (!daemon->kernel) {
		kbd_log("there is no memory");
		return -ENOMEM;
	}
	daemon->session = kbd_session_new(&session_ops, daemon, daemon->ctl, &conf->endpoint);
	return 0;
}

static int init(struct kbd_daemon *daemon)
{
	const struct kbd_controller_options times = {
		.session_ms = daemon->conf.session_ms ?: KBD_SESSION_MS,
		.balance_ms = KBD_BALANCE_MS,
		.balance_delay_ms = KBD_BALANCE_DELAY_MS,
	};
	static const int signals[] = { SIGTERM, SIGINT };
	char dir[256];
	unsigned int i;

	if (!is_member(daemon) && !*daemon->conf.join) {
		kbd_log("this daemon is no member of a cluster, and is not told where to join one");
		return -EINVAL;
	}
	snprintf(dir, sizeof(dir), "%s/raft", daemon->conf.dir);
	if (mkdir(dir, 0700) && errno != EEXIST) {
		kbd_log("cannot make %s: %s", dir, strerror(errno));
		return -errno;
	}
	signal(SIGPIPE, SIG_IGN);
	daemon->transport = kbd_transport_new(&daemon->loop, &daemon->conf.self);
	daemon->ctl = kbd_controller_new(&ctl_ops, daemon, &times);
	uv_async_init(&daemon->loop, &daemon->wake, woken);
	daemon->wake.data = daemon;
	uv_timer_init(&daemon->loop, &daemon->tick);
	daemon->tick.data = daemon;
	uv_prepare_init(&daemon->loop, &daemon->before_wait);
	daemon->before_wait.data = daemon;
	for (i = 0; i < 2; i++) {
		uv_signal_init(&daemon->loop, &daemon->signals[i]);
		daemon->signals[i].data = daemon;
		uv_signal_start(&daemon->signals[i], signalled, signals[i]);
	}
	return listen_all(daemon);
}

int kbd_daemon_run(const struct kbd_conf *conf, void (*ready)(void *arg), void *arg)
{
	struct kbd_daemon *daemon = calloc(1, sizeof(*daemon));

	if (!daemon)
		abort();
	daemon->conf = *conf;
	uv_loop_init(&daemon->loop);
	kbd_calls_init(daemon);
	if (init(daemon) || (is_member(daemon) && start_raft(daemon)) || init_session(daemon))
		return 1;
	uv_timer_start(&daemon->tick, ticked, 0, KBD_TICK_MS);
	uv_prepare_start(&daemon->before_wait, before_wait);
	ready(arg);
	kbd_log("daemon %d of the cluster listens at %s", conf->self.id, conf->listen);
	uv_run(&daemon->loop, UV_RUN_DEFAULT);
	if (daemon->kernel)
		kbd_kernel_free(daemon->kernel);
	return daemon->exit_code;
}
