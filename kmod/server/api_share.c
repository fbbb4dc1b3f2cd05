// SPDX-License-Identifier: GPL-2.0-only
/*
 * Share: what a broker of the cluster says about the device members of a group
 * (codec/share_wire.h).
 */
#include "broker/share_far.h"
#include "codec/kafka_error.h"
#include "server/request.h"

static enum kbr_request_state kbr_share_start(struct kbr_request *req)
{
	const char *refused = NULL;
	s64 epoch;
	s32 peer;
	s16 code;

	peer = kbr_request_peer(req, &epoch);
	if (peer < 0) {
		code = KBR_KAFKA_CLUSTER_AUTHORIZATION;
		refused = "it is no broker of the cluster, API";
	} else if (kbr_share_check(&req->body)) {
		code = KBR_KAFKA_INVALID_REQUEST;
		refused = "a message about shares is malformed, API";
	} else {
		code = kbr_share_receive(kbr_request_broker(req), peer, epoch, &req->body);
	}
	kbr_put_s16(&req->reply, code);
	if (refused)
		kbr_request_close_after(req, refused);
	return KBR_REQUEST_DONE;
}

/* What was let go of stays so though its node is gone meanwhile. */
const struct kbr_handler kbr_handle_share = { .start = kbr_share_start, .lasting = true };
