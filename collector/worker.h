/* The threads that detect. Stage-1 threads own sets of the 64 shards of nodes: they decode, feed
 * stage 1 and pass observations on. Stage-2 threads own sets of its shards. A bounded queue in front
 * of each thread; nothing is dropped at one: intake asks for room first, stage 1 waits for stage 2.
 *
 * The watermark is moved here, after a batch's observations have been handed over, so that stage 2
 * never sees time move past something that is still on its way. */
#pragma once

#include <stdint.h>

#include "collector/ingest/intake.h"
#include "collector/recorder.h"
#include "collector/stage1.h"

struct workers_config {
	unsigned int stage1_threads, stage2_threads;
	size_t queue_batches; /* in front of each stage-1 thread */
	uint32_t shard_nodes; /* decoders kept per shard */
	const struct detect_options *detect;
	struct recorder *recorder; /* NULL: none; not owned */
	struct metrics *metrics;
	/* All from worker threads. alert: ownership passes. */
	void (*alert)(void *ctx, struct alert *alert);
	void (*room_again)(void *ctx);
	void (*need_epoch)(void *ctx, struct node *node);
	/* As in stage1_out; NULL: there is no Kubernetes API. */
	void (*unnamed)(void *ctx, const struct node_ref *node, const struct container_def *container);
	void *ctx;
};

struct workers;

int workers_new(const struct workers_config *config, struct workers **ret_workers, struct err *e) must_check;
/* For intake_config. */
bool workers_room(void *ctx, const struct node *node);
void workers_submit(void *ctx, struct intake_item *item);
/* The collector's clock, a few times a second, main thread. */
void workers_tick(struct workers *w, uint64_t wall_ns);
/* Works off what is queued and ends the threads. Nobody submits any more. */
void workers_stop(struct workers *w);
void workers_free(struct workers *w); /* NULL allowed; after workers_stop */
