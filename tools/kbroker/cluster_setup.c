// SPDX-License-Identifier: GPL-2.0-only
/*
 * "kbroker cluster init", "join", "start", "stop", "leave": this node's part in
 * a cluster, with its broker and its daemon.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <netdb.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "daemon.h"
#include "device.h"
#include "mounts.h"
#include "objects.h"

#define BROKER_PORT	9092
#define DAEMON_PORT	9094
#define UUID_SIZE	16
#define SECRET_SIZE	32
/* base64 of both */
#define TOKEN_LEN	64
/* How long the broker may take to become a member that has a session */
#define MEMBER_MS	60000
#define STEP_NS		100000000L
/* How many of them until a broker that stopped has no session */
#define FENCED_STEPS	30
#define HOST_LEN	(INET6_ADDRSTRLEN + 8)

#define SETUP_OPTS \
	{ "dir", 'd', "DIR", "directory of the broker's logs, if it does not run (default: /var/lib/kbroker)" }, \
	{ "id", 0, "N", "node.id, if it does not run" }, \
	{ "address", 0, "ADDRESS", "where the other nodes reach this one" }, \
	{ "port", 0, "N", "port of the broker's listener (default: 9092)" }, \
	{ "daemon-port", 0, "N", "port of the daemon (default: 9094)" }, \
	{ "listener-user", 0, "USER", "who Kafka's clients act as (default: who owns the broker)" }, \
	{ "rack", 0, "NAME", "where this node stands" }, \
	KB_OPT_DAEMON_DIR

const struct kb_opt kb_cluster_init_opts[] = {
	SETUP_OPTS,
	{ 0 }
};

const struct kb_opt kb_cluster_join_opts[] = {
	{ "token", 't', "TOKEN", "what 'kbroker cluster init' printed; -: read it from standard input" },
	{ "witness", 0, NULL, "without a broker: a vote beside two others" },
	SETUP_OPTS,
	{ 0 }
};

const struct kb_opt kb_cluster_daemon_opts[] = {
	KB_OPT_DAEMON_DIR,
	{ 0 }
};

const struct kb_opt kb_cluster_leave_opts[] = {
	{ "id", 0, "N", "another node, which is gone for good (default: this one)" },
	KB_OPT_DAEMON_DIR,
	{ 0 }
};

/**
 * struct setup - what a node is to be
 * @dir: the daemon's directory
 * @address: of this node, as text
 * @port: of the broker
 * @daemon_port: of the daemon
 * @id: node.id, -1 not known yet
 * @witness: without a broker
 * @host: what clients are told of the broker, "" the same
 * @host_port: likewise
 * @member: "ADDRESS:PORT" of a daemon to join at, "" none
 * @cluster: UUID of the cluster, and behind it
 * @secret: its secret
 */
struct setup {
	char *dir;
	char address[INET6_ADDRSTRLEN];
	int64_t port;
	int64_t daemon_port;
	int64_t id;
	bool witness;
	char host[KBROKER_HOST_MAX + 1];
	uint16_t host_port;
	char member[HOST_LEN];
	struct {
		unsigned char cluster[UUID_SIZE];
		unsigned char secret[SECRET_SIZE];
	} token;
};

_Static_assert(sizeof(((struct setup *)0)->token) * 8 == TOKEN_LEN * 6, "a token has no padding");

/* ---- tokens ---- */

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static void print_base64(const unsigned char *p, size_t len, char *text)
{
	unsigned int bits = 0, have = 0;

	while (len--) {
		bits = bits << 8 | *p++;
		for (have += 8; have >= 6; have -= 6)
			*text++ = digits[bits >> (have - 6) & 63];
	}
	if (have)
		*text++ = digits[bits << (6 - have) & 63];
	*text = '\0';
}

static bool read_token(const char *text, struct setup *setup)
{
	unsigned char *p = (unsigned char *)&setup->token;
	unsigned int bits = 0, have = 0;
	const char *digit;

	if (strlen(text) != TOKEN_LEN)
		return false;
	for (; *text; text++) {
		digit = strchr(digits, *text);
		if (!digit)
			return false;
		bits = bits << 6 | (unsigned int)(digit - digits);
		have += 6;
		if (have >= 8) {
			have -= 8;
			*p++ = (unsigned char)(bits >> have);
		}
	}
	return true;
}

static int find_token(struct setup *setup)
{
	const char *text = kb_opt_get("token");
	char line[TOKEN_LEN + 2];
	size_t len;

	if (!text)
		text = getenv("KBROKER_CLUSTER_TOKEN");
	if (!text)
		return kb_usage("--token is missing: 'kbroker cluster token' at another node prints it");
	if (!strcmp(text, "-")) {
		if (!fgets(line, sizeof(line), stdin))
			line[0] = '\0';
		len = strcspn(line, "\n");
		line[len] = '\0';
		text = line;
	}
	if (read_token(text, setup))
		return KB_OK;
	return kb_fail(EINVAL, NULL,
		       "--token: this is not what 'kbroker cluster init' printed: %d letters and digits",
		       TOKEN_LEN);
}

/* ---- addresses ---- */

static void join_address(char to[HOST_LEN], const char *address, int64_t port)
{
	snprintf(to, HOST_LEN, strchr(address, ':') ? "[%s]:%" PRId64 : "%s:%" PRId64, address, port);
}

/* The address that this machine has towards @to; nothing is sent. */
static int own_address(const struct sockaddr *to, socklen_t len, char text[INET6_ADDRSTRLEN])
{
	struct sockaddr_storage own;
	socklen_t own_len = sizeof(own);
	int fd = socket(to->sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0), err = 0;

	if (fd < 0 || connect(fd, to, len) || getsockname(fd, (struct sockaddr *)&own, &own_len) ||
	    getnameinfo((struct sockaddr *)&own, own_len, text, INET6_ADDRSTRLEN, NULL, 0, NI_NUMERICHOST))
		err = -EHOSTUNREACH;
	if (fd >= 0)
		close(fd);
	return err;
}

static int resolve(const char *what, const char *host, const char *port, struct addrinfo **list)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG };
	int err = getaddrinfo(host, port, &hints, list);

	if (err)
		return kb_fail(EHOSTUNREACH, NULL, "%s: %s: %s", what, host, gai_strerror(err));
	return KB_OK;
}

/* HOST, HOST:PORT or [HOST]:PORT of a daemon */
static int find_member(struct setup *setup, const char *text)
{
	char *host = kb_strdup(text), *colon = strrchr(host, ':'), *port = NULL, *name = host;
	char address[INET6_ADDRSTRLEN];
	struct addrinfo *list;
	int64_t number = DAEMON_PORT;
	int ret = KB_OK;

	if (colon && (strchr(host, ':') == colon || (*host == '[' && colon[-1] == ']'))) {
		*colon = '\0';
		port = colon + 1;
	}
	if (*name == '[' && name[strlen(name) - 1] == ']') {
		name[strlen(name) - 1] = '\0';
		name++;
	}
	if (port)
		ret = kb_arg_s64("port", port, 1, 65535, &number);
	if (ret == KB_OK)
		ret = resolve("no daemon can be asked", name, "9094", &list);
	if (ret == KB_OK) {
		getnameinfo(list->ai_addr, list->ai_addrlen, address, sizeof(address), NULL, 0, NI_NUMERICHOST);
		join_address(setup->member, address, number);
		if (!setup->address[0])
			own_address(list->ai_addr, list->ai_addrlen, setup->address);
		freeaddrinfo(list);
	}
	free(host);
	return ret;
}

static int find_address(struct setup *setup)
{
	/* documentation's own network: the way there is the default route */
	struct sockaddr_in away = { .sin_family = AF_INET, .sin_port = htons(9) };
	const char *text = kb_opt_get("address");
	unsigned char parsed[16];

	if (text) {
		if (inet_pton(AF_INET, text, parsed) != 1 && inet_pton(AF_INET6, text, parsed) != 1)
			return kb_usage("--address: '%s' is neither an IPv4 nor an IPv6 address", text);
		snprintf(setup->address, sizeof(setup->address), "%s", text);
		return KB_OK;
	}
	inet_pton(AF_INET, "192.0.2.1", &away.sin_addr);
	if (!setup->member[0] && own_address((struct sockaddr *)&away, sizeof(away), setup->address))
		return kb_fail(EHOSTUNREACH, "--address says it",
			       "it can't be told at which address other nodes reach this one");
	return KB_OK;
}

/* ---- the broker ---- */

/**
 * struct running - the broker of this namespace
 * @found: there is one
 * @id: its node.id
 * @member: it is a member of a cluster already
 * @cluster: of which
 * @state: enum kbroker_cluster_state
 * @topics: how many it has
 */
struct running {
	bool found;
	uint32_t id;
	bool member;
	unsigned char cluster[UUID_SIZE];
	uint8_t state;
	uint32_t topics;
};

static int take_running(const struct kb_nl_msg *msg, void *arg)
{
	const struct nlattr *cluster = msg->attrs[KBROKER_A_CLUSTER_CLUSTER_ID];
	struct running *running = arg;

	running->found = true;
	running->id = kb_attr_u32(msg->attrs[KBROKER_A_CLUSTER_ID]);
	running->state = kb_attr_u8(msg->attrs[KBROKER_A_CLUSTER_STATE]);
	running->member = cluster && nla_len((struct nlattr *)cluster) == UUID_SIZE;
	if (running->member)
		memcpy(running->cluster, nla_data((struct nlattr *)cluster), UUID_SIZE);
	return 0;
}

static int take_topics(const struct kb_nl_msg *msg, void *arg)
{
	struct running *running = arg;

	running->topics = kb_attr_u32(msg->attrs[KBROKER_A_BROKER_TOPICS]);
	return 0;
}

static void look(struct running *running)
{
	struct nl_msg *msg;
	struct kb_nl nl;

	memset(running, 0, sizeof(*running));
	if (kb_nl_try_open(&nl))
		return;
	msg = kb_nl_request(&nl, KBROKER_CMD_CLUSTER_GET, 0);
	kb_put_text(msg, KBROKER_A_CLUSTER_BROKER, kb_broker_name());
	kb_nl_call(&nl, msg, take_running, running);
	msg = kb_nl_request(&nl, KBROKER_CMD_BROKER_GET, 0);
	kb_put_text(msg, KBROKER_A_BROKER_NAME, kb_broker_name());
	kb_nl_call(&nl, msg, take_topics, running);
	kb_nl_close(&nl);
}

/* May the broker that runs become a member of this cluster, or is it one? */
static int check_running(const struct setup *setup, const struct running *running)
{
	char cluster[24];

	if (!running->found)
		return KB_OK;
	if (setup->id >= 0 && setup->id != running->id)
		return kb_fail(EEXIST, NULL, "--id: broker %s runs as node %u", kb_broker_name(), running->id);
	if (!running->member && running->topics)
		return kb_fail(EBUSY, "delete them, or start a broker in a new directory",
			       "broker %s has %u topics of its own, which no cluster would know",
			       kb_broker_name(), running->topics);
	/* who lost the daemon's directory alone comes back */
	if (running->member && (!setup->member[0] || memcmp(running->cluster, setup->token.cluster, UUID_SIZE))) {
		print_base64(running->cluster, UUID_SIZE, cluster);
		return kb_fail(EEXIST, "a broker's directory belongs to one cluster for good",
			       "broker %s is a member of cluster %s", kb_broker_name(), cluster);
	}
	return KB_OK;
}

/**
 * struct listening - the listener of a running broker that others reach it by
 * @setup: its address and port are looked for
 * @at_address: there is one at the address
 * @found: and at the port, too
 * @port: port of the last one at the address
 * @host: what clients are told of @found
 * @host_port: likewise
 */
struct listening {
	const struct setup *setup;
	bool at_address;
	bool found;
	uint16_t port;
	char host[KBROKER_HOST_MAX + 1];
	uint16_t host_port;
};

static int take_listener(const struct kb_nl_msg *msg, void *arg)
{
	const char *address = kb_attr_text(msg->attrs[KBROKER_A_LISTENER_ADDRESS]);
	uint16_t port = kb_attr_u16(msg->attrs[KBROKER_A_LISTENER_PORT]);
	struct listening *at = arg;

	if (at->found || (strcmp(address, at->setup->address) && strcmp(address, "0.0.0.0") && strcmp(address, "::")))
		return 0;
	at->at_address = true;
	at->found = port == at->setup->port;
	at->port = port;
	at->host_port = kb_attr_u16(msg->attrs[KBROKER_A_LISTENER_ADVERTISED_PORT]);
	snprintf(at->host, sizeof(at->host), "%s", kb_attr_text(msg->attrs[KBROKER_A_LISTENER_ADVERTISED_HOST]));
	return 0;
}

/* This program again, as another command; what it says is said. */
static int run_self(const char *const argv[])
{
	int status;
	pid_t pid;

	if (posix_spawn(&pid, "/proc/self/exe", NULL, NULL, (char *const *)argv, environ))
		return kb_fail(errno, NULL, "kbroker can't be run: %s", strerror(errno));
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return WIFEXITED(status) ? WEXITSTATUS(status) : KB_REFUSED;
}

static const char *logs_dir(void)
{
	return kb_opt_get("dir") ? kb_opt_get("dir") : "/var/lib/kbroker";
}

/*
 * It listens once it is a member: clients of the cluster would take it for one
 * before, and a standalone broker makes the topics that they ask for.
 */
static int start_broker(const struct setup *setup)
{
	const char *dir = logs_dir();
	char id[16];
	const char *const argv[] = { "kbroker", "broker", "start", "--quiet", "--name", kb_broker_name(), "--dir", dir,
			       "--id", id, NULL };

	if (mkdir(dir, 0755) && errno != EEXIST)
		return kb_fail(errno, NULL, "cannot make %s: %s", dir, strerror(errno));
	snprintf(id, sizeof(id), "%" PRId64, setup->id);
	return run_self(argv);
}

static int add_listener(const struct setup *setup)
{
	const char *user = kb_opt_get("listener-user");
	char listener[HOST_LEN];
	const char *const argv[] = { "kbroker", "--broker", kb_broker_name(), "listener", "add", listener,
				     user ? "--listener-user" : NULL, user, NULL };

	join_address(listener, setup->address, setup->port);
	return run_self(argv);
}

/* Better now than once it is a member: can it listen there? */
static int try_listener(const struct setup *setup)
{
	struct addrinfo hints = { .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV, .ai_socktype = SOCK_STREAM };
	char port[16], listener[HOST_LEN];
	struct addrinfo *at;
	int fd, err;

	join_address(listener, setup->address, setup->port);
	snprintf(port, sizeof(port), "%" PRId64, setup->port);
	err = getaddrinfo(setup->address, port, &hints, &at);
	if (err)
		return kb_fail(EINVAL, NULL, "%s: %s", listener, gai_strerror(err));
	fd = socket(at->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){ 1 }, sizeof(int)) ||
	    bind(fd, at->ai_addr, at->ai_addrlen) || listen(fd, 1))
		err = errno;
	if (fd >= 0)
		close(fd);
	freeaddrinfo(at);
	return err ? kb_fail(err, NULL, "nothing can listen at %s: %s", listener, strerror(err)) : KB_OK;
}

/* A broker that runs listens where the others look for it, or is made to. */
static int find_listener(struct setup *setup)
{
	struct listening at = { .setup = setup };
	struct kb_nl nl;
	int ret;

	if (kb_nl_open(&nl))
		return KB_REFUSED;
	ret = kb_nl_call(&nl, kb_nl_request(&nl, KBROKER_CMD_LISTENER_GET, NLM_F_DUMP), take_listener, &at);
	if (ret)
		ret = kb_nl_refused(&nl, ret, NULL, "the broker's listeners can't be found");
	kb_nl_close(&nl);
	if (ret != KB_OK)
		return ret;
	if (!at.found && (!at.at_address || kb_opt_has("port")))
		return add_listener(setup);
	setup->port = at.port;
	setup->host_port = at.host_port;
	snprintf(setup->host, sizeof(setup->host), "%s", at.host);
	return KB_OK;
}

/* The node.id that a directory of logs has; -1 none */
static int64_t id_of_logs(const char *dir)
{
	char id[32];

	kb_read_key(dir, "meta.properties", "node.id", id, sizeof(id));
	return id[0] ? strtoll(id, NULL, 10) : -1;
}

/* ---- the daemon's directory ---- */

static int make_dirs(const char *path)
{
	char *copy = kb_strdup(path), *at;
	int err = 0;

	for (at = strchr(copy + 1, '/'); !err && at; at = strchr(at + 1, '/')) {
		*at = '\0';
		if (mkdir(copy, 0755) && errno != EEXIST)
			err = errno;
		*at = '/';
	}
	if (!err && mkdir(copy, 0700) && errno != EEXIST)
		err = errno;
	if (!err && chmod(copy, 0700))
		err = errno;
	free(copy);
	return err ? kb_fail(err, NULL, "cannot make %s: %s", path, strerror(err)) : KB_OK;
}

static int write_file(const struct setup *setup, const char *name, const char *text)
{
	char *path = kb_asprintf("%s/%s", setup->dir, name);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600), err = 0;
	size_t len = strlen(text);

	if (fd < 0 || write(fd, text, len) != (ssize_t)len || fsync(fd))
		err = errno ? errno : EIO;
	if (fd >= 0)
		close(fd);
	if (err)
		kb_fail(err, NULL, "cannot write %s: %s", path, strerror(err));
	free(path);
	return err ? KB_REFUSED : KB_OK;
}

static int write_secret(const struct setup *setup)
{
	char text[2 * SECRET_SIZE + 2];
	unsigned int i;

	for (i = 0; i < SECRET_SIZE; i++)
		snprintf(text + 2 * i, 3, "%02x", setup->token.secret[i]);
	strcat(text, "\n");
	return write_file(setup, "secret", text);
}

static int write_conf(const struct setup *setup)
{
	char daemon[HOST_LEN], cluster[24], *broker, *host, *text;
	int ret;

	join_address(daemon, setup->address, setup->daemon_port);
	print_base64(setup->token.cluster, UUID_SIZE, cluster);
	broker = setup->witness ? kb_strdup("witness=1\n") :
		 kb_asprintf("broker=%s\nbroker.address=%s\nbroker.port=%" PRId64 "\n", kb_broker_name(),
			     setup->address, setup->port);
	host = setup->host[0] ? kb_asprintf("broker.host=%s\nbroker.host.port=%u\n", setup->host, setup->host_port) :
	       kb_strdup("");
	text = kb_asprintf("# written by \"kbroker cluster\"; see kbrokerd(8)\ncluster.id=%s\nnode.id=%" PRId64
			   "\nlisten=%s\n%s%s%s%s%s%s%s%s", cluster, setup->id, daemon, broker, host,
			   kb_opt_get("rack") ? "rack=" : "", kb_opt_get("rack") ? kb_opt_get("rack") : "",
			   kb_opt_get("rack") ? "\n" : "", setup->member[0] ? "join=" : "bootstrap=1",
			   setup->member, "\n");
	ret = write_file(setup, "daemon.conf", text);
	free(text);
	free(host);
	free(broker);
	return ret;
}

/* What was made for a daemon that did not come to be */
static void remove_dir(const char *dir)
{
	static const char *const names[] = { "daemon.conf", "secret", "pid", "socket", "log", "joined", "raft" };
	char *path;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(names); i++) {
		path = kb_asprintf("%s/%s", dir, names[i]);
		if (unlink(path))
			rmdir(path);
		free(path);
	}
	rmdir(dir);
}

/* ---- init and join ---- */

static void last_words(const char *dir, char *line, size_t size)
{
	char *path = kb_asprintf("%s/log", dir), text[512];
	FILE *file = fopen(path, "re");

	line[0] = '\0';
	free(path);
	if (!file)
		return;
	while (fgets(text, sizeof(text), file)) {
		char *said = strchr(text, ' ');

		if (said) {
			said[strcspn(said, "\n")] = '\0';
			snprintf(line, size, "%s", said + 1);
		}
	}
	fclose(file);
}

static bool done(const struct setup *setup)
{
	char *path = kb_asprintf("%s/joined", setup->dir);
	bool joined = !setup->member[0] || !access(path, F_OK);
	struct running running;

	free(path);
	if (!joined || setup->witness)
		return joined;
	look(&running);
	return running.state == KBROKER_CLUSTER_STATE_ACTIVE;
}

/* Until the cluster has the daemon, and the broker a session */
static int wait_member(const struct setup *setup)
{
	struct timespec step = { 0, STEP_NS };
	int64_t end = kb_mono_ms() + MEMBER_MS;
	char said[512];

	while (!done(setup)) {
		if (kb_daemon_pid(setup->dir) && kb_mono_ms() < end) {
			nanosleep(&step, NULL);
			continue;
		}
		last_words(setup->dir, said, sizeof(said));
		if (kb_daemon_pid(setup->dir))
			return kb_fail(ETIMEDOUT,
				       "it goes on trying; 'kbroker listener add' lets others reach its broker then",
				       "the cluster does not have this node yet: %s", said);
		remove_dir(setup->dir);
		return kb_fail(ECONNREFUSED, NULL, "this node is not in the cluster: %s", said);
	}
	return KB_OK;
}

static int start_daemon(const char *dir)
{
	char *const argv[] = { "kbrokerd", "--dir", (char *)dir, "--daemon", NULL };
	int status = kb_daemon_run(argv, NULL);

	if (status > 0)
		return kb_fail(EIO, NULL, "the daemon did not start");
	return status ? KB_REFUSED : KB_OK;
}

/* The lowest id that no node of the cluster has */
static int free_id(struct setup *setup)
{
	char *file = kb_asprintf("%s/secret", setup->dir), cluster[24], *out = NULL, *line, *next;
	char *const argv[] = { "kbrokerd", "--ask", setup->member, "--cluster-id", cluster,
			       "--secret-file", file, NULL };
	int64_t id = 1;
	int status;

	print_base64(setup->token.cluster, UUID_SIZE, cluster);
	status = kb_daemon_run(argv, &out);
	/* Lines begin with "broker ID" or "daemon ID"; each pass finds whether the id is taken. */
	for (line = out; !status && line; line = next) {
		int taken;

		next = strchr(line, '\n');
		if (sscanf(line, "%*s %d", &taken) == 1 && taken == id) {
			id++;
			next = out;
			continue;
		}
		if (next && !*++next)
			next = NULL;
	}
	free(out);
	free(file);
	if (status)
		return status < 0 ? KB_REFUSED : kb_fail(ECONNREFUSED, NULL,
							 "the cluster at %s can't be asked", setup->member);
	setup->id = id;
	return KB_OK;
}

static int check_setup(struct setup *setup)
{
	const char *rack = kb_opt_get("rack");
	char *path;
	int ret;

	if (rack && (!rack[0] || strlen(rack) > KBROKER_RACK_MAX || strpbrk(rack, "\n")))
		return kb_usage("--rack: a name has 1 to %d bytes", KBROKER_RACK_MAX);
	setup->id = -1;
	setup->port = BROKER_PORT;
	setup->daemon_port = DAEMON_PORT;
	setup->witness = kb_opt_known("witness") && kb_opt_has("witness");
	ret = kb_opt_s64("id", 0, KBROKER_ID_MAX, &setup->id);
	if (ret == KB_OK)
		ret = kb_opt_s64("port", 1, 65535, &setup->port);
	if (ret == KB_OK)
		ret = kb_opt_s64("daemon-port", 1, 65535, &setup->daemon_port);
	if (ret != KB_OK)
		return ret;
	setup->dir = kb_daemon_dir();
	path = kb_asprintf("%s/daemon.conf", setup->dir);
	if (!access(path, F_OK))
		ret = kb_fail(EEXIST, "'kbroker cluster start' starts its daemon",
			      "this node belongs to a cluster: %s is there",
			      path);
	free(path);
	return ret;
}

/* What both commands do once the token is there */
static int set_up(struct setup *setup)
{
	struct running running = { 0 };
	int ret = KB_OK;

	if (!setup->witness) {
		ret = kb_modprobe();
		look(&running);
	}
	if (ret == KB_OK)
		ret = check_running(setup, &running);
	if (ret == KB_OK && running.found)
		setup->id = running.id;
	else if (ret == KB_OK && setup->id < 0 && !setup->witness)
		setup->id = id_of_logs(logs_dir());
	if (ret == KB_OK)
		ret = make_dirs(setup->dir);
	if (ret == KB_OK)
		ret = write_secret(setup);
	if (ret == KB_OK && setup->id < 0)
		ret = setup->member[0] ? free_id(setup) : (setup->id = 1, KB_OK);
	if (ret == KB_OK && !setup->witness && !running.found)
		ret = try_listener(setup);
	if (ret == KB_OK && !setup->witness && !running.found)
		ret = start_broker(setup);
	if (ret == KB_OK && running.found)
		ret = find_listener(setup);
	if (ret == KB_OK)
		ret = write_conf(setup);
	if (ret == KB_OK)
		ret = start_daemon(setup->dir);
	if (ret != KB_OK) {
		remove_dir(setup->dir);
		return ret;
	}
	ret = wait_member(setup);
	if (ret == KB_OK && !setup->witness && !running.found)
		ret = add_listener(setup);
	return ret;
}

static void print_join(const struct setup *setup)
{
	char token[TOKEN_LEN + 1], at[HOST_LEN];

	print_base64((const unsigned char *)&setup->token, sizeof(setup->token), token);
	if (setup->daemon_port == DAEMON_PORT)
		snprintf(at, sizeof(at), "%s", setup->address);
	else
		join_address(at, setup->address, setup->daemon_port);
	printf("kbroker cluster join %s --token %s\n", at, token);
}

static void forget(struct setup *setup)
{
	explicit_bzero(&setup->token, sizeof(setup->token));
	free(setup->dir);
}

int kb_cluster_init(int argc, char **argv)
{
	struct setup setup = { 0 };
	int ret;

	(void)argc;
	(void)argv;
	ret = check_setup(&setup);
	if (ret == KB_OK)
		ret = find_address(&setup);
	if (ret == KB_OK && getrandom(&setup.token, sizeof(setup.token), 0) != sizeof(setup.token))
		ret = kb_fail(errno, NULL, "no random numbers: %s", strerror(errno));
	/* version 4 of RFC 4122, as Kafka's */
	setup.token.cluster[6] = (setup.token.cluster[6] & 0x0f) | 0x40;
	setup.token.cluster[8] = (setup.token.cluster[8] & 0x3f) | 0x80;
	if (ret == KB_OK)
		ret = set_up(&setup);
	if (ret == KB_OK) {
		kb_note("node %" PRId64 " is a cluster of its own; on each of two other machines, to join it:",
			setup.id);
		print_join(&setup);
		ret = kb_out_check();
	}
	forget(&setup);
	return ret;
}

int kb_cluster_join(int argc, char **argv)
{
	struct setup setup = { 0 };
	int ret;

	(void)argc;
	ret = check_setup(&setup);
	if (ret == KB_OK)
		ret = find_token(&setup);
	if (ret == KB_OK && kb_opt_get("address"))
		ret = find_address(&setup);
	if (ret == KB_OK)
		ret = find_member(&setup, argv[0]);
	if (ret == KB_OK && !setup.address[0])
		ret = kb_fail(EHOSTUNREACH, "--address says it",
			      "it can't be told at which address other nodes reach this one");
	if (ret == KB_OK)
		ret = set_up(&setup);
	if (ret == KB_OK)
		kb_note("node %" PRId64 " is in the cluster%s; 'kbroker cluster status' shows it", setup.id,
			setup.witness ? " as a witness" : "");
	forget(&setup);
	return ret;
}

/* ---- token ---- */

static int read_secret(const char *dir, unsigned char secret[SECRET_SIZE])
{
	char *path = kb_asprintf("%s/secret", dir), two[3] = "";
	FILE *file = fopen(path, "re");
	int i, ret = KB_OK;

	for (i = 0; file && i < SECRET_SIZE && fread(two, 1, 2, file) == 2; i++)
		secret[i] = (unsigned char)strtoul(two, NULL, 16);
	if (!file || i < SECRET_SIZE)
		ret = kb_fail(file ? EINVAL : errno, NULL, "cannot read %s: %s", path,
			      strerror(file ? EINVAL : errno));
	if (file)
		fclose(file);
	free(path);
	return ret;
}

/* The address of "ADDRESS:PORT" or "[ADDRESS]:PORT", and the port */
static void split_address(char *text, struct setup *setup)
{
	char *colon = strrchr(text, ':');

	if (!colon)
		return;
	*colon = '\0';
	setup->daemon_port = atoi(colon + 1);
	if (*text == '[')
		text++;
	text[strcspn(text, "]")] = '\0';
	snprintf(setup->address, sizeof(setup->address), "%.*s", INET6_ADDRSTRLEN - 1, text);
}

int kb_cluster_token(int argc, char **argv)
{
	char cluster[24], listen[HOST_LEN];
	struct setup setup = { 0 };
	int ret;

	(void)argc;
	(void)argv;
	setup.dir = kb_daemon_dir();
	kb_read_key(setup.dir, "daemon.conf", "cluster.id", cluster, sizeof(cluster));
	kb_read_key(setup.dir, "daemon.conf", "advertised", listen, sizeof(listen));
	if (!listen[0])
		kb_read_key(setup.dir, "daemon.conf", "listen", listen, sizeof(listen));
	split_address(listen, &setup);
	if (kb_uuid_parse(cluster, setup.token.cluster))
		ret = kb_fail(ENOENT, "'kbroker cluster init' begins a cluster, 'kbroker cluster join' comes to one",
			      "this node has no daemon of a cluster in %s", setup.dir);
	else
		ret = read_secret(setup.dir, setup.token.secret);
	if (ret == KB_OK) {
		print_join(&setup);
		ret = kb_out_check();
	}
	forget(&setup);
	return ret;
}

/* ---- start and stop ---- */

int kb_cluster_start(int argc, char **argv)
{
	char *dir = kb_daemon_dir(), *path = kb_asprintf("%s/daemon.conf", dir);
	int ret = KB_OK;

	(void)argc;
	(void)argv;
	if (access(path, F_OK))
		ret = kb_fail(ENOENT, "'kbroker cluster init' begins a cluster, 'kbroker cluster join' comes to one",
			      "this node has no daemon of a cluster in %s", dir);
	else if (kb_daemon_pid(dir))
		kb_note("the daemon of %s runs already", dir);
	else
		ret = start_daemon(dir);
	free(path);
	free(dir);
	return ret;
}

static int stop_daemon(const char *dir)
{
	struct timespec step = { 0, STEP_NS };
	int pid = kb_daemon_pid(dir), i;

	if (!pid)
		return kb_fail(ESRCH, NULL, "no daemon of %s runs", dir);
	if (kill(pid, SIGTERM))
		return kb_fail(errno, NULL, "the daemon can't be told to end: %s", strerror(errno));
	for (i = 0; i < 100; i++) {
		if (!kb_daemon_pid(dir))
			return KB_OK;
		nanosleep(&step, NULL);
	}
	return kb_fail(ETIMEDOUT, NULL, "the daemon (pid %d) does not end", pid);
}

int kb_cluster_stop(int argc, char **argv)
{
	char *dir = kb_daemon_dir();
	int ret = stop_daemon(dir);

	(void)argc;
	(void)argv;
	free(dir);
	return ret;
}

/* ---- leave ---- */

static int ask_id(enum kbd_kind kind, int nest_type, int id_type, uint32_t id, const char *what)
{
	struct kbd_buf buf = { 0 };
	struct kb_answer answer;
	size_t nest;
	int ret;

	kbd_begin(&buf, kind);
	nest = kbd_nest(&buf, (u16)nest_type);
	kbd_put_u32(&buf, (u16)id_type, id);
	kbd_nest_end(&buf, nest);
	ret = kb_daemon_ask(&buf, &answer, what);
	if (ret == KB_OK)
		kb_answer_free(&answer);
	return ret;
}

/**
 * struct member - a broker as the controller knows it
 * @found: it is registered
 * @fenced: it has no session
 */
struct member {
	bool found;
	bool fenced;
};

static int find_broker(uint32_t id, struct member *member)
{
	struct kbd_attr attr, attrs[KBD_A_END], peer[KBROKER_A_PEER_MAX + 1];
	struct kbd_buf buf = { 0 };
	struct kb_answer answer;
	size_t pos = 0;
	int ret;

	memset(member, 0, sizeof(*member));
	kbd_begin(&buf, KBD_STATUS);
	ret = kb_daemon_ask(&buf, &answer, "no node was taken out of the cluster");
	if (ret != KB_OK)
		return ret;
	while (kbd_each(answer.msg.body, answer.msg.len, &pos, &attr)) {
		if (attr.type != KBD_A_BROKER)
			continue;
		kbd_open(&attr, attrs, KBD_A_END);
		kbd_open(&attrs[KBD_A_PEER], peer, KBROKER_A_PEER_MAX + 1);
		if (kbd_u32(&peer[KBROKER_A_PEER_ID]) != id)
			continue;
		member->found = true;
		member->fenced = kbd_u8(&peer[KBROKER_A_PEER_FENCED]);
	}
	kb_answer_free(&answer);
	return KB_OK;
}

/* A broker that was stopped a moment ago is not to be refused for it. */
static int await_fenced(uint32_t id, struct member *member)
{
	struct timespec step = { 0, STEP_NS };
	struct running running;
	int i, ret;

	look(&running);
	for (i = 0; i < FENCED_STEPS; i++) {
		ret = find_broker(id, member);
		if (ret != KB_OK || !member->found || member->fenced || running.found)
			break;
		nanosleep(&step, NULL);
	}
	return ret;
}

int kb_cluster_leave(int argc, char **argv)
{
	struct member member = { 0 };
	char *dir = kb_daemon_dir(), own[16];
	bool is_own;
	int64_t id;
	int ret;

	(void)argc;
	(void)argv;
	kb_read_key(dir, "daemon.conf", "node.id", own, sizeof(own));
	id = own[0] ? atoi(own) : -1;
	ret = kb_opt_s64("id", 0, KBROKER_ID_MAX, &id);
	if (ret == KB_OK && id < 0)
		ret = kb_fail(ENOENT, NULL, "this node has no daemon of a cluster in %s", dir);
	is_own = own[0] && id == atoi(own);
	if (ret == KB_OK)
		ret = is_own ? await_fenced((uint32_t)id, &member) : find_broker((uint32_t)id, &member);
	/* A witness has none; nor has who got so far the last time. */
	if (ret == KB_OK && member.found)
		ret = ask_id(KBD_REMOVE, KBD_A_PEER, KBROKER_A_PEER_ID, (uint32_t)id,
			     "the broker was not removed from the cluster");
	if (ret == KB_OK)
		ret = ask_id(KBD_LEAVE, KBD_A_DAEMON, KBD_DAEMON_ID, (uint32_t)id,
			     "the daemon was not removed from the cluster");
	if (ret == KB_OK && is_own) {
		ret = kb_daemon_pid(dir) ? stop_daemon(dir) : KB_OK;
		kb_note("this node is out of the cluster; %s may be removed", dir);
	}
	free(dir);
	return ret;
}
