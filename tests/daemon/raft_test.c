// SPDX-License-Identifier: GPL-2.0-only
/*
 * The daemons' replicated log: three nodes in one process, on loopback.
 *	raft_test DIRECTORY
 */
#include <arpa/inet.h>
#include <errno.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <raft/uv.h>

#include "kbrokerd/raft.h"

#define NODES		3
#define DEADLINE_MS	60000
#define SNAPSHOT	16

/* What the entries come to: any difference in content or order shows */
struct state {
	u64 count;
	u64 sum;
};

struct node {
	struct raft_uv_transport transport;
	struct kbd_raft *log;
	struct state state;
	u64 index;
	u64 tokens;
	unsigned int restored;
	s32 id;
	bool leads;
	char dir[256];
	char address[32];
};

static struct node nodes[NODES];
static uv_loop_t loop;
static const char *top;
static u64 proposed;
static int failures;

#define expect(cond) ((cond) ? 1 : (printf("# %d: %s\n", __LINE__, #cond), failures++, 0))

static int apply(void *arg, u64 index, const void *entry, size_t len, u64 token)
{
	struct node *node = arg;
	u64 value;

	expect(index > node->index);
	node->index = index;
	/* lengths differ, to see that none is rounded */
	expect(len >= sizeof(value));
	memcpy(&value, entry, sizeof(value));
	expect(len == sizeof(value) + value % 11);
	expect(!token || token == value + 1);
	node->tokens += !!token;
	node->state.count++;
	node->state.sum = node->state.sum * 31 + value;
	return 0;
}

static void snapshot(void *arg, void **data, size_t *len)
{
	struct node *node = arg;

	*data = malloc(sizeof(node->state));
	*len = sizeof(node->state);
	memcpy(*data, &node->state, sizeof(node->state));
}

static int restore(void *arg, const void *data, size_t len)
{
	struct node *node = arg;

	if (!expect(len == sizeof(node->state)))
		return -EPROTO;
	memcpy(&node->state, data, len);
	node->restored++;
	return 0;
}

static void lead(void *arg, bool leads)
{
	struct node *node = arg;

	expect(node->leads != leads);
	node->leads = leads;
}

static void silent(void *arg, s32 id, u64 silent_ms)
{
	struct node *node = arg;

	expect(node->leads);
	expect(id != node->id && silent_ms >= KBD_RAFT_ELECTION_MS && silent_ms < DEADLINE_MS);
}

static const struct kbd_raft_ops ops = {
	.apply = apply,
	.snapshot = snapshot,
	.restore = restore,
	.lead = lead,
	.silent = silent,
};

static void tick(uv_timer_t *timer)
{
	(void)timer;
}

static struct node *leader(void)
{
	struct node *node;

	for (node = nodes; node < nodes + NODES; node++)
		if (node->log && node->leads)
			return node;
	return NULL;
}

/* All that run and are members have applied the same @want entries */
static bool all_have(u64 want)
{
	struct node *node, *first = leader();

	if (!first)
		return false;
	for (node = nodes; node < nodes + NODES; node++)
		if (node->log && (node->state.count != want || node->state.sum != first->state.sum))
			return false;
	return true;
}

#define until(cond) do {							\
	u64 _end = uv_now(&loop) + DEADLINE_MS;					\
										\
	while (!(cond)) {							\
		if (uv_now(&loop) > _end) {					\
			printf("# %d: never: %s\n", __LINE__, #cond);	\
			printf("Bail out! the log stands still\n");		\
			exit(1);						\
		}								\
		uv_run(&loop, UV_RUN_ONCE);					\
	}									\
} while (0)

static void start(struct node *node, bool bootstrap)
{
	struct kbd_raft_options options = {
		.dir = node->dir, .id = node->id, .address = node->address,
		.snapshot_entries = SNAPSHOT, .bootstrap = bootstrap,
	};
	char error[512] = "";

	memset(&node->state, 0, sizeof(node->state));
	node->index = 0;
	node->tokens = 0;
	node->restored = 0;
	node->leads = false;
	mkdir(node->dir, 0700);
	memset(&node->transport, 0, sizeof(node->transport));
	node->transport.version = 1;
	raft_uv_tcp_init(&node->transport, &loop);
	if (kbd_raft_start(&loop, &node->transport, &options, &ops, node, &node->log, error,
			   sizeof(error))) {
		printf("Bail out! %s\n", error);
		exit(1);
	}
}

static void stopped(void *arg)
{
	struct node *node = arg;

	raft_uv_tcp_close(&node->transport);
	node->log = NULL;
}

static void stop(struct node *node)
{
	kbd_raft_stop(node->log, stopped);
	until(!node->log);
}

static void propose(unsigned int n)
{
	char entry[sizeof(u64) + 11] = "";
	struct node *node;
	int rv;

	while (n) {
		until(leader());
		node = leader();
		memcpy(entry, &proposed, sizeof(proposed));
		rv = kbd_raft_propose(node->log, entry, sizeof(proposed) + proposed % 11, proposed + 1);
		if (!expect(!rv))
			return;
		/* a leader that comes after has applied the entry, or it is gone for good */
		until(node->state.count > proposed || !node->leads);
		until(leader());
		if (leader()->state.count > proposed) {
			proposed++;
			n--;
		}
	}
}

static int change_status;

static void change_done(void *arg, int status)
{
	(void)arg;
	change_status = status;
}

static int finished(int rv)
{
	if (rv)
		return rv;
	until(change_status != 1);
	return change_status;
}

enum what { ADD, VOTE, REMOVE };

/* A slow machine may lose its leader meanwhile: then again, and it may be done by now */
static int change(struct node *node, enum what what, int done_already)
{
	bool again = false;
	int rv;

	for (;; again = true) {
		until(leader());
		change_status = 1;
		if (what == ADD)
			rv = kbd_raft_add(leader()->log, node->id, node->address, change_done, NULL);
		else if (what == VOTE)
			rv = kbd_raft_assign(leader()->log, node->id, KBD_RAFT_VOTER, change_done, NULL);
		else
			rv = kbd_raft_remove(leader()->log, node->id, change_done, NULL);
		rv = finished(rv);
		if (rv == done_already && again)
			return 0;
		if (rv != -EREMOTE && rv != -EBUSY)
			return rv;
		uv_run(&loop, UV_RUN_ONCE);
	}
}

static int add(struct node *node)
{
	return change(node, ADD, -EEXIST) ?: change(node, VOTE, -EALREADY);
}

static struct node *follower(void)
{
	struct node *node = nodes;

	until(leader());
	while (node == leader())
		node++;
	return node;
}

static void begins(void)
{
	start(&nodes[0], true);
	until(nodes[0].leads);
	propose(5);
	expect(nodes[0].tokens == 5);
}

static void grows(void)
{
	start(&nodes[1], false);
	start(&nodes[2], false);
	expect(!add(&nodes[1]));
	expect(!add(&nodes[2]));
	expect(add(&nodes[2]) == -EEXIST);
	propose(5);
	until(all_have(proposed));
	/* each entry's is told to one at most */
	expect(nodes[0].tokens + nodes[1].tokens + nodes[2].tokens <= proposed);
}

static void refuses(void)
{
	static const char big[KBD_RAFT_ENTRY_MAX + 1];

	until(leader());
	expect(kbd_raft_propose(follower()->log, big, 1, 1) == -EREMOTE);
	expect(kbd_raft_propose(leader()->log, big, sizeof(big), 1) == -EMSGSIZE);
}

static void loses_leader(void)
{
	struct node *old;

	until(leader());
	old = leader();
	stop(old);
	until(leader());
	expect(leader() != old);
	propose(5);
	until(all_have(proposed));
	start(old, false);
	until(all_have(proposed));
}

static void catches_up_by_snapshot(void)
{
	struct node *node = follower();

	stop(node);
	propose(4 * SNAPSHOT);
	start(node, false);
	/* not by its own */
	node->restored = 0;
	until(all_have(proposed));
	expect(node->restored);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static void loses_disk(void)
{
	struct node *node = follower();

	stop(node);
	expect(!nftw(node->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS));
	expect(!change(node, REMOVE, -ENOENT));
	start(node, false);
	expect(!add(node));
	until(all_have(proposed));
	propose(1);
	until(all_have(proposed));
}

static void restarts(void)
{
	int i;

	for (i = 0; i < NODES; i++)
		stop(&nodes[i]);
	for (i = 0; i < NODES; i++)
		start(&nodes[i], i == 0);
	until(all_have(proposed));
	propose(1);
	until(all_have(proposed));
}

static const struct {
	const char *name;
	void (*run)(void);
} cases[] = {
	{ "one node begins a cluster", begins },
	{ "others are added and come to have what it has", grows },
	{ "followers and entries too large are refused", refuses },
	{ "another leads when the leader is gone", loses_leader },
	{ "one that was away for long gets a snapshot", catches_up_by_snapshot },
	{ "one that lost its disk is added anew", loses_disk },
	{ "all keep what they had over a restart", restarts },
};

/* Ports that are free, all held until the last is known */
static void choose_addresses(void)
{
	struct sockaddr_in address;
	socklen_t len;
	int fd[NODES], i;

	for (i = 0; i < NODES; i++) {
		address = (struct sockaddr_in){ .sin_family = AF_INET };
		address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
		len = sizeof(address);
		fd[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		if (fd[i] < 0 || bind(fd[i], (struct sockaddr *)&address, len) ||
		    getsockname(fd[i], (struct sockaddr *)&address, &len)) {
			printf("Bail out! no port: %s\n", strerror(errno));
			exit(1);
		}
		nodes[i].id = i;
		snprintf(nodes[i].dir, sizeof(nodes[i].dir), "%s/%d", top, i);
		snprintf(nodes[i].address, sizeof(nodes[i].address), "127.0.0.1:%d",
			 ntohs(address.sin_port));
	}
	for (i = 0; i < NODES; i++)
		close(fd[i]);
}

int main(int argc, char **argv)
{
	unsigned int i, n = sizeof(cases) / sizeof(cases[0]);
	uv_timer_t timer;
	int before, failed = 0;

	if (argc != 2)
		return 2;
	top = argv[1];
	setvbuf(stdout, NULL, _IOLBF, 0);
	signal(SIGPIPE, SIG_IGN);
	uv_loop_init(&loop);
	uv_timer_init(&loop, &timer);
	uv_timer_start(&timer, tick, 10, 10);
	choose_addresses();
	printf("TAP version 13\n1..%u\n", n);
	for (i = 0; i < n; i++) {
		before = failures;
		cases[i].run();
		printf("%sok %u - %s\n", failures == before ? "" : "not ", i + 1, cases[i].name);
		failed |= failures != before;
	}
	for (i = 0; i < NODES; i++)
		stop(&nodes[i]);
	uv_close((uv_handle_t *)&timer, NULL);
	uv_run(&loop, UV_RUN_DEFAULT);
	expect(!uv_loop_close(&loop));
	return failed;
}
