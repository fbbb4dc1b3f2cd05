// SPDX-License-Identifier: GPL-2.0-only
/*
 * Operations of the kernel: waiting for their end, with progress.
 *
 * The wait subscribes to events before it looks at the state, so that an end
 * between the two can't be missed; events only wake it.
 */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "kbroker.h"
#include "objects.h"

/**
 * struct progress - what is known about an operation
 * @found: the kernel knows it
 * @ended: it has
 * @error: errno it failed with
 * @done: units done
 * @total: units in all, 0 unknown
 * @message: why it failed, or what is going on
 */
struct progress {
	bool found;
	bool ended;
	int error;
	uint32_t done;
	uint32_t total;
	char message[512];
};

static int take_progress(const struct kb_nl_msg *msg, void *arg)
{
	const char *state = kb_attr_word(kb_op_attrs, msg, KBROKER_A_OP_STATE);
	struct progress *p = arg;

	p->found = true;
	p->ended = !strcmp(state, "done") || !strcmp(state, "failed");
	p->error = (int)kb_attr_u32(msg->attrs[KBROKER_A_OP_ERROR]);
	if (!strcmp(state, "failed") && !p->error)
		p->error = EIO;
	p->done = kb_attr_u32(msg->attrs[KBROKER_A_OP_DONE]);
	p->total = kb_attr_u32(msg->attrs[KBROKER_A_OP_TOTAL]);
	snprintf(p->message, sizeof(p->message), "%s", kb_attr_text(msg->attrs[KBROKER_A_OP_MESSAGE]));
	return 0;
}

static int look(struct kb_nl *nl, uint32_t id, struct progress *p)
{
	struct nl_msg *msg = kb_nl_request(nl, KBROKER_CMD_OP_GET, 0);

	kb_put_u32(msg, KBROKER_A_OP_ID, id);
	return kb_nl_call(nl, msg, take_progress, p);
}

static int ignore(const struct kb_nl_msg *msg, void *arg)
{
	(void)msg;
	(void)arg;
	return 0;
}

static int failed(const struct progress *p, const char *what)
{
	const char *hint = NULL;

	if (p->error == ENOSPC)
		hint = "make room on the broker's disk";
	else if (p->error == EIO)
		hint = "the kernel's log (dmesg) says what the disk answered";
	if (p->message[0])
		return kb_fail(p->error, hint, "%s: %s", what, p->message);
	return kb_fail(p->error, hint, "%s: %s", what, strerror(p->error));
}

/**
 * kb_op_wait() - wait until an operation has ended
 * @nl: connection
 * @id: operation
 * @what: what was not done, should it fail ("topic orders was not created")
 *
 * Return: KB_OK or KB_REFUSED (told).
 */
int kb_op_wait(struct kb_nl *nl, uint32_t id, const char *what)
{
	struct kb_nl events;
	struct kb_progress pr;
	struct progress p = { 0 };
	int ret;

	if (kb_nl_open(&events))
		return KB_REFUSED;
	if (kb_nl_subscribe(&events, KBROKER_MCGRP_EVENTS)) {
		kb_nl_close(&events);
		return KB_REFUSED;
	}
	kb_signals_catch();
	kb_progress_start(&pr, kb.cmd->summary);
	for (;;) {
		struct pollfd pfd = { .fd = kb_nl_fd(&events), .events = POLLIN };

		ret = look(nl, id, &p);
		if (ret || p.ended)
			break;
		kb_progress_update(&pr, p.done, p.total, "%s", p.message);
		ret = kb_poll(&pfd, 1, 500);
		if (kb_interrupted())
			break;
		if (ret > 0)
			kb_nl_receive(&events, ignore, NULL);
	}
	kb_progress_end(&pr);
	kb_nl_close(&events);
	if (kb_interrupted() && !p.ended)
		return kb_fail(EINTR, "the kernel goes on with it: 'kbroker op list' shows how far it is",
			       "no longer waiting for operation %" PRIu32, id);
	if (ret < 0)
		return kb_nl_refused(nl, ret, NULL, "operation %" PRIu32, id);
	return p.error ? failed(&p, what) : KB_OK;
}

/* the id of an operation, whatever object the answer is about */
int kb_op_take_id(const struct kb_nl_msg *msg, void *arg)
{
	uint32_t *id = arg;
	int type;

	switch (msg->cmd) {
	case KBROKER_CMD_BROKER_NEW:
	case KBROKER_CMD_BROKER_SET:
	case KBROKER_CMD_BROKER_DEL:
		type = KBROKER_A_BROKER_OP_ID;
		break;
	case KBROKER_CMD_REPLICA_SET:
		type = KBROKER_A_REPLICA_LIST_OP_ID;
		break;
	case KBROKER_CMD_PARTITION_SET:
		type = KBROKER_A_PARTITION_OP_ID;
		break;
	case KBROKER_CMD_GROUP_DEL:
		type = KBROKER_A_GROUP_OP_ID;
		break;
	case KBROKER_CMD_GROUP_OFFSET_SET:
	case KBROKER_CMD_GROUP_OFFSET_DEL:
		type = KBROKER_A_GROUP_OFFSET_OP_ID;
		break;
	default:
		type = KBROKER_A_TOPIC_OP_ID;
	}
	*id = kb_attr_u32(msg->attrs[type]);
	return 0;
}

/**
 * kb_op_finish() - what a command does with the operation it started
 * @nl: connection
 * @id: operation, 0 if the kernel needed none
 * @what: as for kb_op_wait()
 *
 * Waits for it, or with --no-wait prints its id.
 * Return: KB_OK or KB_REFUSED (told).
 */
int kb_op_finish(struct kb_nl *nl, uint32_t id, const char *what)
{
	struct kb_json js;

	if (!id)
		return KB_OK;
	if (!kb_opt_known("no-wait") || !kb_opt_has("no-wait"))
		return kb_op_wait(nl, id, what);
	if (kb.json) {
		kb_json_init(&js, stdout, false);
		kb_json_object(&js, NULL);
		kb_json_u64(&js, "op", id);
		kb_json_object_end(&js);
		kb_json_finish(&js);
	} else {
		printf("%" PRIu32 "\n", id);
	}
	return KB_OK;
}
