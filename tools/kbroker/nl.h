/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Talking to the kernel's netlink family "kbroker": requests, dumps, events.
 *
 * A refusal always shows the kernel's own sentence and the attribute it
 * complains about (extended ack).
 */
#ifndef KBROKER_TOOL_NL_H
#define KBROKER_TOOL_NL_H

#include <netlink/attr.h>
#include <netlink/msg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <linux/kbroker_netlink.h>

struct nl_sock;

/**
 * struct kb_nl - a connection to the family
 * @sock: socket
 * @family: family id
 * @text: the kernel's sentence on the last refusal, NULL if it gave none
 * @attr: name of the attribute that it was about, NULL if it named none
 * @request: command of the last request
 * @intr: the last dump was interrupted by a change
 * @order: attribute, a text, by which dumps are handed on; 0: as they come
 */
struct kb_nl {
	struct nl_sock *sock;
	int family;
	char *text;
	char *attr;
	uint8_t request;
	bool intr;
	int order;
};

#define KB_NL_ATTRS_MAX 64

/**
 * struct kb_nl_msg - one answer or event
 * @cmd: KBROKER_CMD_*
 * @attrs: its attributes by type; of one that repeats, the last
 * @head: first attribute, to walk those that repeat
 * @len: bytes of all attributes
 */
struct kb_nl_msg {
	uint8_t cmd;
	struct nlattr *attrs[KB_NL_ATTRS_MAX + 1];
	struct nlattr *head;
	int len;
};

/* called for each message; returns 0 to go on, or what kb_nl_call() shall return */
typedef int (*kb_nl_handler)(const struct kb_nl_msg *msg, void *arg);

int kb_nl_open(struct kb_nl *nl);
/* the same without an error message: -ENOENT if the module isn't there */
int kb_nl_try_open(struct kb_nl *nl);
void kb_nl_close(struct kb_nl *nl);
struct nl_msg *kb_nl_request(struct kb_nl *nl, uint8_t cmd, int flags);
int kb_nl_call(struct kb_nl *nl, struct nl_msg *msg, kb_nl_handler handler, void *arg);
int kb_nl_refused(struct kb_nl *nl, int err, const char *hint, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
int kb_nl_subscribe(struct kb_nl *nl, const char *group);
int kb_nl_fd(struct kb_nl *nl);
int kb_nl_receive(struct kb_nl *nl, kb_nl_handler handler, void *arg);

/* integers are big-endian on this family */
uint8_t kb_attr_u8(const struct nlattr *attr);
uint16_t kb_attr_u16(const struct nlattr *attr);
uint32_t kb_attr_u32(const struct nlattr *attr);
uint64_t kb_attr_u64(const struct nlattr *attr);
int32_t kb_attr_s32(const struct nlattr *attr);
int64_t kb_attr_s64(const struct nlattr *attr);
const char *kb_attr_text(const struct nlattr *attr);
void kb_put_u16(struct nl_msg *msg, int type, uint16_t val);
void kb_put_u32(struct nl_msg *msg, int type, uint32_t val);
void kb_put_u64(struct nl_msg *msg, int type, uint64_t val);
void kb_put_text(struct nl_msg *msg, int type, const char *val);
void kb_attrs_parse(struct nlattr **attrs, int max, const struct nlattr *nest);

#endif /* KBROKER_TOOL_NL_H */
