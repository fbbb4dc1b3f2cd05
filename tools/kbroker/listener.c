// SPDX-License-Identifier: GPL-2.0-only
/*
 * Addresses of listeners as people write them, what goes with them into a
 * request, and a warning where one opens what files would not.
 */
#include <netdb.h>
#include <netinet/in.h>
#include <arpa/inet.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "kbroker.h"
#include "listener.h"
#include "objects.h"

/* Kafka's own */
#define PORT_DEFAULT 9092

/* "HOST:PORT", "[V6]:PORT", ":PORT", "HOST" into @host and @port; false: it is none */
static bool split(const char *text, char *host, size_t size, uint16_t *port)
{
	const char *colon = strrchr(text, ':'), *end = text + strlen(text);
	unsigned long val;
	char *rest;

	*port = PORT_DEFAULT;
	if (text[0] == '[') {
		end = strchr(++text, ']');
		if (!end || (end[1] && end[1] != ':'))
			return false;
		colon = end[1] ? end + 1 : NULL;
	} else if (colon) {
		/* an IPv6 address without brackets: where would it end? */
		if (strchr(text, ':') != colon)
			return false;
		end = colon;
	}
	if (colon) {
		val = strtoul(colon + 1, &rest, 10);
		if (rest == colon + 1 || *rest || colon[1] == '-' || colon[1] == '+' || val > 65535)
			return false;
		*port = (uint16_t)val;
	}
	if ((size_t)(end - text) >= size)
		return false;
	snprintf(host, size, "%.*s", (int)(end - text), text);
	return true;
}

/* What follows the protocol's name; NULL after an error was told */
static const char *skip_protocol(const char *text)
{
	const char *sep = strstr(text, "://");

	if (!sep)
		return text;
	if (sep - text == 9 && !strncasecmp(text, "PLAINTEXT", 9))
		return sep + 3;
	kb_usage("'%s': only PLAINTEXT is spoken here", text);
	return NULL;
}

static int add_one(struct kb_listeners *listeners, const char *address, uint16_t port, size_t advertised)
{
	struct kb_endpoint *end = &listeners->list[listeners->count];

	if (listeners->count == KB_LISTENERS_MAX)
		return kb_usage("more than %d listeners", KB_LISTENERS_MAX);
	snprintf(end->address, sizeof(end->address), "%s", address);
	end->port = port;
	listeners->advertised[listeners->count++] = advertised;
	return KB_OK;
}

static int add_name(struct kb_listeners *listeners, const char *host, uint16_t port, size_t advertised)
{
	struct addrinfo hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM };
	struct addrinfo *found, *at, *best;
	char text[INET6_ADDRSTRLEN];
	const void *raw;
	int err;

	err = getaddrinfo(host, NULL, &hints, &found);
	if (err)
		return kb_usage("'%s': %s", host, gai_strerror(err));
	best = found;
	for (at = found; at; at = at->ai_next)
		if (at->ai_family == AF_INET) {
			best = at;
			break;
		}
	if (best->ai_family == AF_INET)
		raw = &((struct sockaddr_in *)best->ai_addr)->sin_addr;
	else
		raw = &((struct sockaddr_in6 *)best->ai_addr)->sin6_addr;
	inet_ntop(best->ai_family, raw, text, sizeof(text));
	freeaddrinfo(found);
	return add_one(listeners, text, port, advertised);
}

/**
 * kb_listeners_add() - a listener as somebody wrote it
 * @listeners: gets it; two entries where no address stands for all of both kinds
 * @text: [PLAINTEXT://][HOST][:PORT]
 * @advertised: which --advertised-listener is its own
 *
 * Return: KB_OK or KB_USAGE (told).
 */
int kb_listeners_add(struct kb_listeners *listeners, const char *text, size_t advertised)
{
	const char *address = skip_protocol(text);
	char host[KBROKER_HOST_MAX + 1];
	uint16_t port;
	int ret;

	if (!address)
		return KB_USAGE;
	if (!split(address, host, sizeof(host), &port))
		return kb_usage("'%s' is no address: it takes HOST:PORT, [IPV6]:PORT or :PORT", text);
	if (host[0] && strcmp(host, "*"))
		return add_name(listeners, host, port, advertised);
	ret = add_one(listeners, "0.0.0.0", port, advertised);
	/* a port of the kernel's choice would be two */
	if (ret == KB_OK && port && !access("/proc/self/net/if_inet6", R_OK))
		ret = add_one(listeners, "::", port, advertised);
	return ret;
}

static int get_advertised(size_t n, char *host, size_t size, uint16_t *port)
{
	const char *text = kb_opt_nth("advertised-listener", n), *address;

	if (!text)
		return KB_OK;
	address = skip_protocol(text);
	if (!address)
		return KB_USAGE;
	if (!split(address, host, size, port) || !host[0] || !*port)
		return kb_usage("--advertised-listener: '%s' is not HOST:PORT", text);
	return KB_OK;
}

/**
 * kb_advertised_put() - what clients are told, if --advertised-listener was given
 * @msg: request, or inside a nest
 * @n: which of them
 * @host_type: attribute of the host
 * @port_type: attribute of the port
 *
 * Return: KB_OK or KB_USAGE (told).
 */
int kb_advertised_put(struct nl_msg *msg, size_t n, int host_type, int port_type)
{
	char host[KBROKER_HOST_MAX + 1] = "";
	uint16_t port = 0;
	int ret = get_advertised(n, host, sizeof(host), &port);

	if (ret == KB_OK && host[0]) {
		kb_put_text(msg, host_type, host);
		kb_put_u16(msg, port_type, port);
	}
	return ret;
}

static int get_user(uint32_t *uid, uint32_t *gid)
{
	const char *text = kb_opt_get("listener-user");
	struct passwd *pw = text ? getpwnam(text) : NULL;
	unsigned long val;
	char *end;

	if (!text)
		return KB_OK;
	if (!pw) {
		val = strtoul(text, &end, 10);
		if (end == text || *end || text[0] == '-' || val >= UINT32_MAX)
			return kb_usage("--listener-user: there is no user '%s'", text);
		pw = getpwuid((uid_t)val);
		*uid = (uint32_t)val;
		*gid = (uint32_t)val;
	}
	if (pw) {
		*uid = pw->pw_uid;
		*gid = pw->pw_gid;
	}
	return KB_OK;
}

/** kb_listeners_check() - the options that go with listeners; KB_OK or KB_USAGE (told) */
int kb_listeners_check(void)
{
	char host[KBROKER_HOST_MAX + 1];
	uint32_t uid, gid;
	uint16_t port;
	size_t n;

	for (n = 0; kb_opt_nth("advertised-listener", n); n++)
		if (get_advertised(n, host, sizeof(host), &port))
			return KB_USAGE;
	return get_user(&uid, &gid);
}

/**
 * kb_listener_put() - the attributes of a listener
 * @msg: request, or inside a nest
 * @listeners: listeners
 * @n: which of them
 */
void kb_listener_put(struct nl_msg *msg, const struct kb_listeners *listeners, size_t n)
{
	uint32_t uid, gid;

	kb_put_text(msg, KBROKER_A_LISTENER_ADDRESS, listeners->list[n].address);
	kb_put_u16(msg, KBROKER_A_LISTENER_PORT, listeners->list[n].port);
	kb_advertised_put(msg, listeners->advertised[n], KBROKER_A_LISTENER_ADVERTISED_HOST,
			  KBROKER_A_LISTENER_ADVERTISED_PORT);
	if (kb_opt_has("listener-user")) {
		get_user(&uid, &gid);
		kb_put_u32(msg, KBROKER_A_LISTENER_UID, uid);
		kb_put_u32(msg, KBROKER_A_LISTENER_GID, gid);
	}
}

/* what files would keep from strangers */
struct closed {
	uint32_t uid;
	uint16_t mode;
	bool known;
	char topic[KBROKER_TOPIC_NAME_MAX + 1];
};

static int take_broker(const struct kb_nl_msg *msg, void *arg)
{
	struct closed *closed = arg;

	closed->uid = kb_attr_u32(msg->attrs[KBROKER_A_BROKER_UID]);
	closed->mode = kb_attr_u16(msg->attrs[KBROKER_A_BROKER_MODE]);
	closed->known = true;
	return 0;
}

static int take_topic(const struct kb_nl_msg *msg, void *arg)
{
	struct closed *closed = arg;

	if ((kb_attr_u16(msg->attrs[KBROKER_A_TOPIC_MODE]) & 06) != 06 &&
	    !msg->attrs[KBROKER_A_TOPIC_INTERNAL])
		snprintf(closed->topic, sizeof(closed->topic), "%s", kb_attr_text(msg->attrs[KBROKER_A_TOPIC_NAME]));
	return 0;
}

static bool is_loopback(const char *address)
{
	return !strncmp(address, "127.", 4) || !strcmp(address, "::1");
}

/**
 * kb_listeners_warn() - tell if strangers may now do what files keep from them
 * @nl: connection
 * @listeners: listeners that were added
 *
 * Whoever named the clients' user has thought of it.
 */
void kb_listeners_warn(struct kb_nl *nl, const struct kb_listeners *listeners)
{
	struct closed closed = { 0 };
	bool local = true;
	char user[32];
	size_t i;

	if (!listeners->count || kb_opt_has("listener-user"))
		return;
	if (kb_nl_call(nl, kb_nl_request(nl, KBROKER_CMD_BROKER_GET, NLM_F_DUMP), take_broker, &closed) ||
	    !closed.known)
		return;
	if ((closed.mode & 06) == 06)
		kb_nl_call(nl, kb_nl_request(nl, KBROKER_CMD_TOPIC_GET, NLM_F_DUMP), take_topic, &closed);
	if ((closed.mode & 06) == 06 && !closed.topic[0])
		return;
	for (i = 0; i < listeners->count; i++)
		local = local && is_loopback(listeners->list[i].address);
	kb_warn("clients act as %s, the broker's owner: %s may now do what the modes of %s%s keep from others; --listener-user names somebody else",
		kb_user_name(closed.uid, user),
		local ? "every user of this machine" : "whoever reaches this machine",
		closed.topic[0] ? "topics as " : "topics", closed.topic);
}
