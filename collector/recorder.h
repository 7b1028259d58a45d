/* Writes what stage 1 was fed into a recording (common/recording.h). Batches are encoded anew, so
 * that each frame opens its own epochs and can be read alone.
 *
 * Any thread; a lock of its own. Bounded by waiting: a frame is compressed and written by whoever
 * fills it. Ends itself, with a line in the log, at its size limit or when the disk refuses. */
#pragma once

#include <stdint.h>

#include "collector/stage1.h"
#include "common/buf.h"
#include "common/err.h"
#include "common/metrics.h"

struct recorder;

int recorder_new(const char *path, uint64_t max_bytes, struct metrics *metrics,
		 struct recorder **ret_recorder, struct err *e) must_check;
/* Who knows a node's Hello as an AgentMessage; without one a recording has only its names. Before the
 * first batch. */
void recorder_describe(struct recorder *r,
		       int (*hello)(void *ctx, const char *cluster, const char *node, const char *boot_id,
				    struct buf *out),
		       void *ctx);
void recorder_batch(struct recorder *r, const struct stage1_batch *batch);
void recorder_advance(struct recorder *r, uint64_t wall_ns);
/* Writes what is there, so that a quiet recording is never far behind. */
void recorder_flush(struct recorder *r);
/* Writes the rest. NULL allowed. */
void recorder_free(struct recorder *r);
