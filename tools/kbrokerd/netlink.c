// SPDX-License-Identifier: GPL-2.0-only
/* Requests to the kernel, by libnl; see netlink.h. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <netlink/genl/ctrl.h>
#include <netlink/genl/genl.h>
#include <netlink/netlink.h>

#include "netlink.h"

#define DUMP_TRIES	10
#define BUFFER_SIZE	(1 << 20)

/**
 * struct call - a request on its way
 * @family: of its answers
 * @why: the sentence of a refusal goes there
 * @held: answers
 * @count: how many
 * @done: acknowledged, refused, or at a dump's end
 * @disturbed: the dump is not of one moment
 * @err: negative errno
 */
struct call {
	int family;
	char *why;
	struct nlmsghdr **held;
	unsigned int count;
	bool done;
	bool disturbed;
	int err;
};

int kbd_nl_open(struct kbd_nl *nl)
{
	int on = 1, size = BUFFER_SIZE;

	nl->sock = nl_socket_alloc();
	if (!nl->sock)
		return -ENOMEM;
	if (genl_connect(nl->sock) < 0) {
		kbd_nl_close(nl);
		return -EPROTONOSUPPORT;
	}
	setsockopt(nl_socket_get_fd(nl->sock), SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof(on));
	nl_socket_set_buffer_size(nl->sock, BUFFER_SIZE, 0);
	/* A request is sent at once, and many partitions are one. */
	if (setsockopt(nl_socket_get_fd(nl->sock), SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size))) {
		kbd_nl_close(nl);
		return -EPERM;
	}
	nl->family = genl_ctrl_resolve(nl->sock, KBROKER_FAMILY_NAME);
	if (nl->family < 0) {
		kbd_nl_close(nl);
		return -ENOENT;
	}
	return 0;
}

void kbd_nl_close(struct kbd_nl *nl)
{
	nl_socket_free(nl->sock);
	nl->sock = NULL;
}

int kbd_nl_fd(const struct kbd_nl *nl)
{
	return nl_socket_get_fd(nl->sock);
}

/* ---- answers ---- */

static void deliver(const struct nlmsghdr *hdr, kbd_nl_take take, void *arg)
{
	const struct genlmsghdr *gen = nlmsg_data(hdr);
	struct kbd_nl_msg msg = { .cmd = gen->cmd };
	struct kbd_attr attr;
	size_t pos = 0;

	msg.body = (const u8 *)nlmsg_attrdata(hdr, GENL_HDRLEN);
	msg.len = nlmsg_attrlen(hdr, GENL_HDRLEN);
	while (kbd_each(msg.body, msg.len, &pos, &attr))
		if (attr.type < KBD_NL_ATTRS)
			msg.attr[attr.type] = attr;
	take(&msg, arg);
}

static int on_valid(struct nl_msg *msg, void *arg)
{
	const struct nlmsghdr *hdr = nlmsg_hdr(msg);
	struct call *call = arg;

	if (hdr->nlmsg_type != call->family)
		return NL_SKIP;
	call->held = realloc(call->held, (call->count + 1) * sizeof(*call->held));
	if (!call->held)
		abort();
	call->held[call->count] = malloc(hdr->nlmsg_len);
	if (!call->held[call->count])
		abort();
	memcpy(call->held[call->count++], hdr, hdr->nlmsg_len);
	return NL_OK;
}

static int on_ack(struct nl_msg *msg, void *arg)
{
	struct call *call = arg;

	(void)msg;
	call->done = true;
	return NL_STOP;
}

static int on_disturbed(struct nl_msg *msg, void *arg)
{
	struct call *call = arg;

	(void)msg;
	call->disturbed = true;
	return NL_OK;
}

/* The sentence is among the attributes behind the error. */
static void take_why(struct call *call, const void *attrs, size_t len)
{
	const struct nlattr *attr = nla_find(attrs, len, NLMSGERR_ATTR_MSG);

	if (attr)
		snprintf(call->why, KBD_NL_WHY, "%.*s", nla_len(attr), (const char *)nla_data(attr));
}

static int on_finish(struct nl_msg *msg, void *arg)
{
	const struct nlmsghdr *hdr = nlmsg_hdr(msg);
	struct call *call = arg;
	int err;

	call->done = true;
	if (hdr->nlmsg_len < NLMSG_HDRLEN + sizeof(err))
		return NL_STOP;
	memcpy(&err, nlmsg_data(hdr), sizeof(err));
	if (err < 0)
		call->err = err;
	if (err < 0 && hdr->nlmsg_flags & NLM_F_ACK_TLVS)
		take_why(call, (const char *)nlmsg_data(hdr) + sizeof(err),
			 hdr->nlmsg_len - NLMSG_HDRLEN - sizeof(err));
	return NL_STOP;
}

static int on_error(struct sockaddr_nl *who, struct nlmsgerr *error, void *arg)
{
	const struct nlmsghdr *hdr = (const struct nlmsghdr *)((const char *)error - NLMSG_HDRLEN);
	size_t skip = sizeof(*error);
	struct call *call = arg;

	(void)who;
	call->done = true;
	call->err = error->error;
	if (!(hdr->nlmsg_flags & NLM_F_CAPPED))
		skip += error->msg.nlmsg_len - NLMSG_HDRLEN;
	skip = NLMSG_ALIGN(skip);
	if (hdr->nlmsg_flags & NLM_F_ACK_TLVS && hdr->nlmsg_len > NLMSG_HDRLEN + skip)
		take_why(call, (const char *)error + skip, hdr->nlmsg_len - NLMSG_HDRLEN - skip);
	return NL_STOP;
}

/* ---- requests ---- */

static int exchange(struct kbd_nl *nl, struct nl_msg *msg, struct call *call)
{
	struct nl_cb *cb = nl_cb_alloc(NL_CB_DEFAULT);
	int err;

	if (!cb)
		abort();
	nl_cb_err(cb, NL_CB_CUSTOM, on_error, call);
	nl_cb_set(cb, NL_CB_ACK, NL_CB_CUSTOM, on_ack, call);
	nl_cb_set(cb, NL_CB_FINISH, NL_CB_CUSTOM, on_finish, call);
	nl_cb_set(cb, NL_CB_VALID, NL_CB_CUSTOM, on_valid, call);
	nl_cb_set(cb, NL_CB_DUMP_INTR, NL_CB_CUSTOM, on_disturbed, call);
	nlmsg_hdr(msg)->nlmsg_seq = NL_AUTO_SEQ;
	err = nl_send_auto(nl->sock, msg);
	while (err >= 0 && !call->done)
		err = nl_recvmsgs(nl->sock, cb);
	nl_cb_put(cb);
	if (call->err)
		return call->err;
	return call->done || err >= 0 ? 0 : err == -NLE_NOMEM ? -ENOBUFS : -EIO;
}

static void drop_held(struct call *call)
{
	unsigned int i;

	for (i = 0; i < call->count; i++)
		free(call->held[i]);
	free(call->held);
	call->held = NULL;
	call->count = 0;
}

int kbd_nl_call(struct kbd_nl *nl, u8 cmd, bool dump, const void *attrs, size_t len,
		kbd_nl_take take, void *arg, char *why)
{
	struct call call = { .family = nl->family, .why = why };
	unsigned int tries = 0, i;
	struct nl_msg *msg;
	int err;

	*why = '\0';
	if (!nl->sock)
		return -ENOENT;
	msg = nlmsg_alloc_size(NLMSG_HDRLEN + GENL_HDRLEN + NLMSG_ALIGN(len));
	if (!msg || !genlmsg_put(msg, NL_AUTO_PORT, NL_AUTO_SEQ, nl->family, 0,
				 dump ? NLM_F_DUMP : 0, cmd, KBROKER_FAMILY_VERSION) ||
	    nlmsg_append(msg, (void *)attrs, len, NLMSG_ALIGNTO))
		abort();
	do {
		drop_held(&call);
		call.done = false;
		call.disturbed = false;
		call.err = 0;
		err = exchange(nl, msg, &call);
		/* What is still to come would be taken for the answer to the next one. */
		if (!call.done)
			kbd_nl_close(nl);
	} while (!err && call.disturbed && ++tries < DUMP_TRIES);
	nlmsg_free(msg);
	for (i = 0; !err && take && i < call.count; i++)
		deliver(call.held[i], take, arg);
	drop_held(&call);
	if (err && !*why)
		snprintf(why, KBD_NL_WHY, "%s", strerror(-err));
	return err;
}

/* ---- events ---- */

int kbd_nl_subscribe(struct kbd_nl *nl, const char *group)
{
	int id = genl_ctrl_resolve_grp(nl->sock, KBROKER_FAMILY_NAME, group);

	if (id < 0 || nl_socket_add_membership(nl->sock, id) < 0)
		return -EIO;
	return nl_socket_set_nonblocking(nl->sock) < 0 ? -EIO : 0;
}

static int any_sequence(struct nl_msg *msg, void *arg)
{
	(void)msg;
	(void)arg;
	return NL_OK;
}

int kbd_nl_receive(struct kbd_nl *nl, kbd_nl_take take, void *arg)
{
	struct call call = { .family = nl->family };
	struct nl_cb *cb = nl_cb_alloc(NL_CB_DEFAULT);
	unsigned int i;
	int err;

	if (!cb)
		abort();
	nl_cb_set(cb, NL_CB_SEQ_CHECK, NL_CB_CUSTOM, any_sequence, NULL);
	nl_cb_set(cb, NL_CB_VALID, NL_CB_CUSTOM, on_valid, &call);
	do {
		err = nl_recvmsgs(nl->sock, cb);
	} while (err >= 0);
	nl_cb_put(cb);
	for (i = 0; i < call.count; i++)
		deliver(call.held[i], take, arg);
	drop_held(&call);
	return err == -NLE_NOMEM ? -ENOBUFS : 0;
}
