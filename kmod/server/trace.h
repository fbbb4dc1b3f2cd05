/* SPDX-License-Identifier: GPL-2.0-only */
/* Tracepoints of requests: received, handled, answered. */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM kbroker

#if !defined(_KBR_SERVER_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define _KBR_SERVER_TRACE_H

#include <linux/tracepoint.h>

#include "server/server.h"

DECLARE_EVENT_CLASS(kbr_request_class,
	TP_PROTO(const struct kbr_request *req, u64 bytes),
	TP_ARGS(req, bytes),
	TP_STRUCT__entry(
		__field(unsigned long, conn)
		__field(s16, api)
		__field(s16, version)
		__field(s32, correlation_id)
		__field(int, state)
		__field(u64, bytes)
		__field(s64, us)
	),
	TP_fast_assign(
		__entry->conn = req->conn->id;
		__entry->api = req->header.key;
		__entry->version = req->header.version;
		__entry->correlation_id = req->header.correlation_id;
		__entry->state = req->state;
		__entry->bytes = bytes;
		__entry->us = ktime_us_delta(ktime_get(), req->received);
	),
	TP_printk("connection=%lu api=%d version=%d correlation=%d state=%s bytes=%llu us=%lld",
		  __entry->conn, __entry->api, __entry->version, __entry->correlation_id,
		  __print_symbolic(__entry->state,
				   { KBR_REQUEST_DONE, "done" },
				   { KBR_REQUEST_NO_REPLY, "no-reply" },
				   { KBR_REQUEST_PARKED, "parked" },
				   { KBR_REQUEST_CLOSE, "close" }),
		  __entry->bytes, __entry->us)
);

/* Its header was read; @bytes: of the frame */
DEFINE_EVENT_PRINT(kbr_request_class, kbroker_request_receive,
	TP_PROTO(const struct kbr_request *req, u64 bytes),
	TP_ARGS(req, bytes),
	TP_printk("connection=%lu api=%d version=%d correlation=%d bytes=%llu us=%lld",
		  __entry->conn, __entry->api, __entry->version, __entry->correlation_id,
		  __entry->bytes, __entry->us)
);

/* Its handler has returned; @bytes: of the reply so far */
DEFINE_EVENT(kbr_request_class, kbroker_request_handle,
	TP_PROTO(const struct kbr_request *req, u64 bytes),
	TP_ARGS(req, bytes)
);

/* The socket has taken all of its reply; @bytes: of it */
DEFINE_EVENT_PRINT(kbr_request_class, kbroker_request_reply,
	TP_PROTO(const struct kbr_request *req, u64 bytes),
	TP_ARGS(req, bytes),
	TP_printk("connection=%lu api=%d version=%d correlation=%d bytes=%llu us=%lld",
		  __entry->conn, __entry->api, __entry->version, __entry->correlation_id,
		  __entry->bytes, __entry->us)
);

#endif /* _KBR_SERVER_TRACE_H */

/* found through the module's include path */
#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH server
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
