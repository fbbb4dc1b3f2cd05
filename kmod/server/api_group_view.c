// SPDX-License-Identifier: GPL-2.0-only
/*
 * GroupView: a broker of the cluster asks for a page of what this one knows of
 * the groups that it coordinates (codec/group_wire.h).
 */
#include "broker/group_view.h"
#include "codec/kafka_error.h"
#include "server/request.h"

static enum kbr_request_state kbr_group_view_start(struct kbr_request *req)
{
	struct kbr_wire_writer *w = &req->reply;
	const char *refused = NULL;
	struct kbr_group_place from;
	size_t at = w->len;
	s16 code;
	s64 epoch;

	kbr_put_s16(w, 0);
	kbr_put_bytes_length(w, 0);
	if (kbr_request_peer(req, &epoch) < 0) {
		code = KBR_KAFKA_CLUSTER_AUTHORIZATION;
		refused = "it is no broker of the cluster, API";
	} else if (kbr_group_place_check(&req->body)) {
		code = KBR_KAFKA_INVALID_REQUEST;
		refused = "a place in a view of groups is malformed, API";
	} else {
		kbr_group_get_place(&req->body, &from);
		code = kbr_group_view(kbr_request_broker(req), &from, w);
	}
	kbr_wire_writer_patch_s16(w, at, code);
	kbr_wire_writer_patch_s32(w, at + sizeof(s16), (s32)(w->len - at - sizeof(s16) - sizeof(s32)));
	if (refused)
		kbr_request_close_after(req, refused);
	return KBR_REQUEST_DONE;
}

const struct kbr_handler kbr_handle_group_view = { .start = kbr_group_view_start };
