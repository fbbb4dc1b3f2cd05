// SPDX-License-Identifier: GPL-2.0-only
/* Talking to the kernel's netlink family; see nl.h. */
#include <endian.h>
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <netlink/errno.h>
#include <netlink/genl/ctrl.h>
#include <netlink/genl/genl.h>
#include <netlink/netlink.h>

#include "attr_names.h"
#include "kbroker.h"
#include "mounts.h"
#include "nl.h"

#define DUMP_TRIES 10
/* what is being loaded: look again so often, for so long */
#define LOADING_STEP_MS 100
#define LOADING_MAX_MS 60000

/**
 * struct call - one request on its way
 * @nl: connection
 * @handler: for the answers, may be NULL
 * @arg: for @handler
 * @held: answers of a dump, kept until it is known to be consistent
 * @held_count: how many
 * @done: acknowledged, refused or at the end of the dump
 * @error: negative errno
 */
struct call {
	struct kb_nl *nl;
	kb_nl_handler handler;
	void *arg;
	struct nlmsghdr **held;
	size_t held_count;
	bool dump;
	bool done;
	int error;
};

static void forget(struct kb_nl *nl)
{
	free(nl->text);
	free(nl->attr);
	nl->text = NULL;
	nl->attr = NULL;
}

/* name of the attribute that begins @offset bytes into the request @orig */
static char *attr_path(struct kb_nl *nl, const struct nlmsghdr *orig, size_t offset)
{
	const struct nlattr *attr;
	int rem, first = NLMSG_HDRLEN + GENL_HDRLEN;
	const char *name;

	if (orig->nlmsg_len < (unsigned int)first)
		return NULL;
	rem = (int)orig->nlmsg_len - first;
	attr = (const struct nlattr *)((const char *)orig + first);
	for (; nla_ok(attr, rem); attr = nla_next(attr, &rem)) {
		size_t at = (size_t)((const char *)attr - (const char *)orig);

		if (offset < at || offset >= at + (size_t)nla_total_size(nla_len(attr)))
			continue;
		name = kb_attr_name(nl->request, nla_type(attr));
		return name ? kb_strdup(name) : kb_asprintf("attribute %d", nla_type(attr));
	}
	return NULL;
}

static void take_tlvs(struct kb_nl *nl, const struct nlattr *attr, int len,
		      const struct nlmsghdr *orig)
{
	const char *name;

	for (; nla_ok(attr, len); attr = nla_next(attr, &len)) {
		switch (nla_type(attr)) {
		case NLMSGERR_ATTR_MSG:
			free(nl->text);
			nl->text = kb_strdup(kb_attr_text(attr));
			break;
		case NLMSGERR_ATTR_OFFS:
			if (orig && nla_len(attr) >= 4 && !nl->attr)
				nl->attr = attr_path(nl, orig, nla_get_u32((struct nlattr *)attr));
			break;
		case NLMSGERR_ATTR_MISS_TYPE:
			if (nla_len(attr) < 4)
				break;
			name = kb_attr_name(nl->request, (int)nla_get_u32((struct nlattr *)attr));
			free(nl->attr);
			nl->attr = kb_asprintf("%s (missing)", name ? name : "an attribute");
			break;
		}
	}
}

static int on_error(struct sockaddr_nl *who, struct nlmsgerr *e, void *arg)
{
	const struct nlmsghdr *hdr = (const struct nlmsghdr *)((char *)e - NLMSG_HDRLEN);
	struct call *call = arg;

	(void)who;
	call->error = e->error;
	call->done = true;
	if (hdr->nlmsg_flags & NLM_F_ACK_TLVS) {
		size_t skip = sizeof(*e);
		bool capped = hdr->nlmsg_flags & NLM_F_CAPPED;

		if (!capped)
			skip += e->msg.nlmsg_len - NLMSG_HDRLEN;
		skip = NLMSG_ALIGN(skip);
		if (hdr->nlmsg_len > NLMSG_HDRLEN + skip)
			take_tlvs(call->nl, (const struct nlattr *)((char *)e + skip),
				  (int)(hdr->nlmsg_len - NLMSG_HDRLEN - skip), capped ? NULL : &e->msg);
	}
	return NL_STOP;
}

static int on_ack(struct nl_msg *msg, void *arg)
{
	struct call *call = arg;

	(void)msg;
	call->done = true;
	return NL_STOP;
}

static int on_finish(struct nl_msg *msg, void *arg)
{
	const struct nlmsghdr *hdr = nlmsg_hdr(msg);
	struct call *call = arg;
	int err;

	call->done = true;
	if (hdr->nlmsg_len >= NLMSG_HDRLEN + sizeof(err)) {
		memcpy(&err, nlmsg_data(hdr), sizeof(err));
		if (err < 0)
			call->error = err;
		if (err < 0 && hdr->nlmsg_flags & NLM_F_ACK_TLVS &&
		    hdr->nlmsg_len > NLMSG_HDRLEN + sizeof(err))
			take_tlvs(call->nl, (const struct nlattr *)((char *)nlmsg_data(hdr) + sizeof(err)),
				  (int)(hdr->nlmsg_len - NLMSG_HDRLEN - sizeof(err)), NULL);
	}
	return NL_STOP;
}

static int on_interrupted(struct nl_msg *msg, void *arg)
{
	struct call *call = arg;

	(void)msg;
	call->nl->intr = true;
	return NL_OK;
}

static int deliver(struct call *call, struct nlmsghdr *hdr)
{
	struct genlmsghdr *gh = nlmsg_data(hdr);
	struct kb_nl_msg msg = { 0 };

	if (!call->handler || nlmsg_parse(hdr, GENL_HDRLEN, msg.attrs, KB_NL_ATTRS_MAX, NULL) < 0)
		return 0;
	msg.cmd = gh->cmd;
	msg.head = nlmsg_attrdata(hdr, GENL_HDRLEN);
	msg.len = nlmsg_attrlen(hdr, GENL_HDRLEN);
	return call->handler(&msg, call->arg);
}

static int on_valid(struct nl_msg *msg, void *arg)
{
	struct nlmsghdr *hdr = nlmsg_hdr(msg), *copy;
	struct call *call = arg;

	if (call->nl->family && hdr->nlmsg_type != call->nl->family)
		return NL_SKIP;
	if (!call->dump) {
		deliver(call, hdr);
		return NL_OK;
	}
	copy = kb_alloc(hdr->nlmsg_len);
	memcpy(copy, hdr, hdr->nlmsg_len);
	call->held = kb_realloc(call->held, (call->held_count + 1) * sizeof(*call->held));
	call->held[call->held_count++] = copy;
	return NL_OK;
}

/**
 * kb_nl_try_open() - connect to the family
 * @nl: result; close it with kb_nl_close()
 *
 * Return: 0 or a negative errno; -ENOENT where the module isn't loaded.
 */
int kb_nl_try_open(struct kb_nl *nl)
{
	int on = 1, ret;

	memset(nl, 0, sizeof(*nl));
	nl->sock = nl_socket_alloc();
	if (!nl->sock)
		return -ENOMEM;
	ret = genl_connect(nl->sock);
	if (ret < 0) {
		nl_socket_free(nl->sock);
		nl->sock = NULL;
		return ret == -NLE_NOMEM ? -ENOMEM : -EPROTONOSUPPORT;
	}
	setsockopt(nl_socket_get_fd(nl->sock), SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof(on));
	nl_socket_set_buffer_size(nl->sock, 1 << 20, 0);
	nl->family = genl_ctrl_resolve(nl->sock, KBROKER_FAMILY_NAME);
	if (nl->family < 0) {
		kb_nl_close(nl);
		return -ENOENT;
	}
	return 0;
}

/**
 * kb_nl_open() - connect to the family
 * @nl: result; close it with kb_nl_close()
 *
 * Return: KB_OK or KB_REFUSED (told).
 */
int kb_nl_open(struct kb_nl *nl)
{
	int ret = kb_nl_try_open(nl);

	if (ret == -ENOENT)
		return kb_fail(ENOENT, "'kbroker broker start' loads it; 'modprobe kbroker' does too",
			       "the kbroker module is not loaded");
	if (ret)
		return kb_fail(-ret, NULL, "cannot open a netlink socket: %s", strerror(-ret));
	return KB_OK;
}

void kb_nl_close(struct kb_nl *nl)
{
	forget(nl);
	if (nl->sock)
		nl_socket_free(nl->sock);
	nl->sock = NULL;
}

int kb_nl_fd(struct kb_nl *nl)
{
	return nl_socket_get_fd(nl->sock);
}

/**
 * kb_nl_request() - begin a request
 * @nl: connection
 * @cmd: KBROKER_CMD_*
 * @flags: NLM_F_DUMP, or 0
 *
 * Return: the message, for kb_nl_call().
 */
struct nl_msg *kb_nl_request(struct kb_nl *nl, uint8_t cmd, int flags)
{
	struct nl_msg *msg = nlmsg_alloc_size(65536);

	if (!msg || !genlmsg_put(msg, NL_AUTO_PORT, NL_AUTO_SEQ, nl->family, 0, flags, cmd,
				 KBROKER_FAMILY_VERSION))
		abort();
	return msg;
}

static struct nl_cb *callbacks(struct call *call)
{
	struct nl_cb *cb = nl_cb_alloc(NL_CB_DEFAULT);

	if (!cb)
		abort();
	nl_cb_err(cb, NL_CB_CUSTOM, on_error, call);
	nl_cb_set(cb, NL_CB_ACK, NL_CB_CUSTOM, on_ack, call);
	nl_cb_set(cb, NL_CB_FINISH, NL_CB_CUSTOM, on_finish, call);
	nl_cb_set(cb, NL_CB_VALID, NL_CB_CUSTOM, on_valid, call);
	nl_cb_set(cb, NL_CB_DUMP_INTR, NL_CB_CUSTOM, on_interrupted, call);
	return cb;
}

static void drop_held(struct call *call)
{
	size_t i;

	for (i = 0; i < call->held_count; i++)
		free(call->held[i]);
	free(call->held);
	call->held = NULL;
	call->held_count = 0;
}

static int exchange(struct kb_nl *nl, struct nl_msg *msg, struct call *call)
{
	struct nl_cb *cb = callbacks(call);
	int ret;

	nlmsg_hdr(msg)->nlmsg_seq = NL_AUTO_SEQ;
	ret = nl_send_auto(nl->sock, msg);
	while (ret >= 0 && !call->done)
		ret = nl_recvmsgs(nl->sock, cb);
	nl_cb_put(cb);
	if (call->error)
		return call->error;
	if (call->done || ret >= 0)
		return 0;
	return ret == -NLE_NOMEM ? -ENOBUFS : -EIO;
}

/* -EAGAIN: the broker still loads what was asked for; false: no more patience */
static bool wait_loading(int64_t end)
{
	struct timespec step = { 0, LOADING_STEP_MS * 1000000L };

	return kb_mono_ms() < end && !kb_interrupted() && !nanosleep(&step, NULL);
}

static const char *held_text(const struct nlmsghdr *held, int type)
{
	return kb_attr_text(nlmsg_find_attr((struct nlmsghdr *)(uintptr_t)held, GENL_HDRLEN, type));
}

static int compare_held(const void *a, const void *b, void *order)
{
	const struct nlmsghdr *const *left = a, *const *right = b;
	int type = *(int *)order;

	return strcmp(held_text(*left, type), held_text(*right, type));
}

/**
 * kb_nl_call() - send a request and hear the answers out
 * @nl: connection
 * @msg: from kb_nl_request(); freed
 * @handler: called for each answer, may be NULL
 * @arg: for @handler
 *
 * A dump that a change interrupted is asked for again; the handler sees a
 * consistent one only. What is still being loaded is waited for.
 * Return: 0 or the kernel's negative errno; @nl->text and @nl->attr then say why.
 */
int kb_nl_call(struct kb_nl *nl, struct nl_msg *msg, kb_nl_handler handler, void *arg)
{
	struct call call = { .nl = nl, .handler = handler, .arg = arg };
	struct genlmsghdr *gh = nlmsg_data(nlmsg_hdr(msg));
	int64_t end = kb_mono_ms() + LOADING_MAX_MS;
	int ret, tries = 0;
	bool again;
	size_t i;

	nl->request = gh->cmd;
	call.dump = (nlmsg_hdr(msg)->nlmsg_flags & NLM_F_DUMP) == NLM_F_DUMP;
	do {
		drop_held(&call);
		forget(nl);
		nl->intr = false;
		call.done = false;
		call.error = 0;
		ret = exchange(nl, msg, &call);
		again = ret == -EAGAIN ? wait_loading(end) : !ret && nl->intr && ++tries < DUMP_TRIES;
	} while (again);
	nlmsg_free(msg);
	if (nl->order && !ret)
		qsort_r(call.held, call.held_count, sizeof(*call.held), compare_held, &nl->order);
	for (i = 0; i < call.held_count && !ret; i++)
		ret = deliver(&call, call.held[i]);
	drop_held(&call);
	return ret;
}

static const char *default_hint(int err)
{
	switch (err) {
	case EPERM:
	case EACCES:
		return geteuid() ? "run it as root (changes need CAP_NET_ADMIN)" : NULL;
	case ENODEV:
	case ENONET:
		return "'kbroker broker start --dir DIR' starts a broker";
	default:
		return NULL;
	}
}

/**
 * kb_nl_refused() - tell why the kernel refused
 * @nl: connection
 * @err: what kb_nl_call() returned
 * @hint: what to do about it; NULL for the usual advice
 * @fmt: what was refused ("topic orders was not created")
 *
 * Return: KB_REFUSED, for the caller to return.
 */
int kb_nl_refused(struct kb_nl *nl, int err, const char *hint, const char *fmt, ...)
{
	const char *why = nl->text ? nl->text : strerror(-err);
	va_list ap;
	char *what;
	int ret;

	va_start(ap, fmt);
	if (vasprintf(&what, fmt, ap) < 0)
		abort();
	va_end(ap);
	if (!hint)
		hint = default_hint(-err);
	if (nl->attr)
		ret = kb_fail(-err, hint, "%s: %s [%s]", what, why, nl->attr);
	else
		ret = kb_fail(-err, hint, "%s: %s", what, why);
	free(what);
	return ret;
}

/**
 * kb_nl_subscribe() - hear a multicast group from now on
 * @nl: connection; only kb_nl_receive() may be used on it afterwards
 * @group: name of the group
 *
 * Return: KB_OK or KB_REFUSED (told).
 */
int kb_nl_subscribe(struct kb_nl *nl, const char *group)
{
	int id = genl_ctrl_resolve_grp(nl->sock, KBROKER_FAMILY_NAME, group);

	if (id < 0 || nl_socket_add_membership(nl->sock, id) < 0)
		return kb_fail(EIO, NULL, "cannot subscribe to events");
	return KB_OK;
}

/* events answer no request, so their sequence numbers follow none */
static int accept_any(struct nl_msg *msg, void *arg)
{
	(void)msg;
	(void)arg;
	return NL_OK;
}

/**
 * kb_nl_receive() - take what has arrived on a subscribed connection
 * @nl: connection
 * @handler: called for each event
 * @arg: for @handler
 *
 * Waits if nothing has arrived: poll kb_nl_fd() first.
 * Return: 0; -ENOBUFS if events were lost; another negative errno.
 */
int kb_nl_receive(struct kb_nl *nl, kb_nl_handler handler, void *arg)
{
	struct call call = { .nl = nl, .handler = handler, .arg = arg };
	struct nl_cb *cb = callbacks(&call);
	int ret;

	nl_cb_set(cb, NL_CB_SEQ_CHECK, NL_CB_CUSTOM, accept_any, NULL);
	ret = nl_recvmsgs(nl->sock, cb);
	nl_cb_put(cb);
	if (call.error)
		return call.error;
	if (ret == -NLE_NOMEM)
		return -ENOBUFS;
	return ret < 0 ? -EIO : 0;
}

static uint64_t get_be(const struct nlattr *attr, size_t size)
{
	const unsigned char *p;
	uint64_t val = 0;
	size_t i;

	if (!attr || (size_t)nla_len(attr) < size)
		return 0;
	p = nla_data((struct nlattr *)attr);
	for (i = 0; i < size; i++)
		val = val << 8 | p[i];
	return val;
}

uint8_t kb_attr_u8(const struct nlattr *attr)
{
	return (uint8_t)get_be(attr, 1);
}

uint16_t kb_attr_u16(const struct nlattr *attr)
{
	return (uint16_t)get_be(attr, 2);
}

uint32_t kb_attr_u32(const struct nlattr *attr)
{
	return (uint32_t)get_be(attr, 4);
}

uint64_t kb_attr_u64(const struct nlattr *attr)
{
	return get_be(attr, 8);
}

int32_t kb_attr_s32(const struct nlattr *attr)
{
	return (int32_t)kb_attr_u32(attr);
}

int64_t kb_attr_s64(const struct nlattr *attr)
{
	return (int64_t)kb_attr_u64(attr);
}

/* the text of a NUL-terminated string attribute; "" if it is none */
const char *kb_attr_text(const struct nlattr *attr)
{
	const char *p;

	if (!attr || nla_len(attr) < 1)
		return "";
	p = nla_data((struct nlattr *)attr);
	return memchr(p, '\0', (size_t)nla_len(attr)) ? p : "";
}

void kb_put_u16(struct nl_msg *msg, int type, uint16_t val)
{
	val = htobe16(val);
	if (nla_put(msg, type, sizeof(val), &val))
		abort();
}

void kb_put_u32(struct nl_msg *msg, int type, uint32_t val)
{
	val = htobe32(val);
	if (nla_put(msg, type, sizeof(val), &val))
		abort();
}

void kb_put_u64(struct nl_msg *msg, int type, uint64_t val)
{
	val = htobe64(val);
	if (nla_put(msg, type, sizeof(val), &val))
		abort();
}

/* the message grows with kb_nl_request()'s 64 KiB; what can't fit is refused before */
void kb_put_text(struct nl_msg *msg, int type, const char *val)
{
	if (nla_put_string(msg, type, val))
		abort();
}

/**
 * kb_attrs_parse() - the attributes of a nest by type
 * @attrs: @max + 1 pointers
 * @max: largest type wanted
 * @nest: the nest
 */
void kb_attrs_parse(struct nlattr **attrs, int max, const struct nlattr *nest)
{
	memset(attrs, 0, (size_t)(max + 1) * sizeof(*attrs));
	if (nest)
		nla_parse_nested(attrs, max, (struct nlattr *)nest, NULL);
}
