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
/* What a node says of itself, an AgentMessage with its Hello: begins its part of each frame from
 * now on. Of a node that has said nothing a recording has only the names. */
void recorder_hello(struct recorder *r, const struct node_ref *node, uint64_t received_ns,
		    struct bytes message);
void recorder_batch(struct recorder *r, const struct stage1_batch *batch);
/* An AgentMessage with the metadata of a container. */
void recorder_metadata(struct recorder *r, const struct node_ref *node, uint64_t received_ns,
		       struct bytes message);
void recorder_advance(struct recorder *r, uint64_t wall_ns);
/* Writes what is there, so that a quiet recording is never far behind. */
void recorder_flush(struct recorder *r);
/* Writes the rest. NULL allowed. */
void recorder_free(struct recorder *r);
