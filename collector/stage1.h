/* Stage 1: everything about one node. Feeds each event of a batch to the entity tables and the
 * detectors of the node's virtual shard, in the order in which the agent numbered them.
 *
 * 64 virtual shards, fixed for ever and with caps of their own; a node belongs to one
 * (stage1_shard). A shard is used by one thread at a time: worker threads own sets of shards, so
 * the number of threads changes no verdict. Verdicts depend on what is fed here only: no clock, no
 * environment, no randomness. */
#pragma once

#include <stdint.h>

#include "collector/alert.h"
#include "common/event.h"
#include "common/metrics.h"
#include "common/wire.h"

#define STAGE1_SHARDS 64U

struct node_ref {
	const char *cluster;
	const char *node;
	const char *boot_id;
};

/* A decoded batch; everything in it belongs to the caller and is valid during the call only. */
struct stage1_batch {
	struct node_ref node;
	uint64_t received_ns; /* wall clock; delivery data only */
	const struct wire_batch *batch;
};

struct observation; /* collector/stage2.h */

struct container_def; /* common/event.h */

/* Called from within stage1_feed, on its thread. alert: ownership passes. observe: copied. */
struct stage1_out {
	void (*alert)(void *ctx, struct alert *alert);
	void (*observe)(void *ctx, const struct observation *observation);
	/* A container whose names only the Kubernetes API has: again with each definition, until they
	 * come in through stage1_control. NULL: there is nobody to ask. */
	void (*unnamed)(void *ctx, const struct node_ref *node, const struct container_def *container);
	void *ctx;
};

struct detect_options; /* collector/detect/detect.h */

struct stage1;

struct stage1 *stage1_new(const struct detect_options *options, const struct stage1_out *out,
			  struct metrics *metrics); /* NULL without memory */
void stage1_free(struct stage1 *s);		    /* NULL allowed */
uint32_t stage1_shard(const char *cluster, const char *node);
void stage1_feed(struct stage1 *s, uint32_t shard, const struct stage1_batch *batch);
/* What comes beside events, as an AgentMessage: what a node says of itself in a Hello, as intake
 * keeps it, or the metadata of a container of it. Anything else is let pass. received_ns decides when its alerts have happened: it is a part of the recorded stream.
 */
void stage1_control(struct stage1 *s, uint32_t shard, const struct node_ref *node,
		  uint64_t received_ns, struct bytes message);
