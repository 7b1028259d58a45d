/* The rarer messages of the stream, written and read with protobuf-c. */
#pragma once

#include "common/buf.h"
#include "node-agent/uplink.h"

/* Append one AgentMessage. 0 or buf_error. */
int uplink_write_hello(const struct uplink_config *config, uint64_t resume_seq, struct buf *out) must_check;
/* boot_ns: all that happened until then has been sent; 0: not all has. lookups: NULL when the container
 * runtime is not asked. */
int uplink_write_heartbeat(uint64_t boot_ns, int64_t wall_offset_ns, const struct selfstats *stats,
			   const struct cri_stats *lookups, struct buf *out) must_check;

/* What the collector may say; one function each, all on the caller's thread, during the call. */
struct uplink_handlers {
	void (*ack)(void *ctx, uint64_t seq);
	void (*need_epoch)(void *ctx);
	void (*policy)(void *ctx, struct uplink_policy *policy);	  /* takes it over */
	void (*refused)(void *ctx, uint32_t generation, const char *why); /* a policy */
	void (*throttle)(void *ctx, uint32_t max_in_flight);
	void *ctx;
};
/* 0; -EBADMSG: no CollectorMessage. One of a kind that this agent does not know is let pass. */
int uplink_read(struct bytes message, const struct uplink_handlers *handlers) must_check;
