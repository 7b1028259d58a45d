/* Events into batches: at once when little happens, full ones when much does.
 *
 * A batch is closed when it is full (events or bytes), at the end of a turn when its turn in the
 * schedule has come and nothing waits to be sent, and in any case when its oldest event has waited for
 * `age`. The schedule is one batch per `interval`, of which BATCH_BURST may be taken in advance. So
 * the few events of one act (connect, dup, exec) leave each within its turn, a steady stream makes
 * one batch per interval, and behind a slow uplink batches fill up.
 *
 * One thread. No clock: the loop passes its turn's time (boot clock) in. */
#pragma once

#include "common/err.h"
#include "common/event.h"
#include "common/wire.h"
#include "node-agent/spool.h"

#define BATCH_BURST 8U /* connect, established, three dups and an exec come within a millisecond */

struct batch;

struct batch_config {
	struct spool *spool; /* borrowed */
	uint32_t max_events;
	size_t max_bytes;
	uint64_t interval_ns;
	uint64_t age_ns;
	uint64_t epoch_ns; /* an epoch is not used longer */
	uint32_t max_definitions;
};

struct batch *batch_new(const struct batch_config *config); /* NULL without memory */
void batch_free(struct batch *b);			    /* NULL allowed; what is open is lost */

/* Of the next batch on; the rest of config is not looked at. */
void batch_set_limits(struct batch *b, const struct batch_config *config);
/* Stamped on batches from now on. */
void batch_set_generation(struct batch *b, uint32_t generation);
void batch_set_wall_offset(struct batch *b, int64_t wall_offset_ns);

void batch_add(struct batch *b, const struct event *event, uint64_t now_ns);
/* A container of which more is known now: the collector completes what it has been told before. */
void batch_add_container(struct batch *b, const struct container_def *container, uint64_t now_ns);
/* Counted, and reported with the next batch. */
void batch_add_loss(struct batch *b, const struct loss *loss);
/* The end of a turn: closes the batch if it is time. */
void batch_turn(struct batch *b, uint64_t now_ns);
/* Closes the batch if it holds anything. */
void batch_flush(struct batch *b, uint64_t now_ns);

/* When batch_turn has to be called again at the latest; 0: no need. */
uint64_t batch_deadline_ns(const struct batch *b);

struct batch_stats {
	uint64_t events;
	uint64_t batches;
	uint64_t lost; /* events and reported losses that found no room */
};
void batch_stats(const struct batch *b, struct batch_stats *ret_stats);

DEFINE_CLEANUP(struct batch *, batch_free)
