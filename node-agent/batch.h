/* Events into batches: at once when little happens, full ones when much does.
 *
 * What a batch costs, on both sides, is the message and hardly what is in it: 100 us here and 300 us at
 * the collector, as much as 300 events. So batches that are not full are paid from a purse: one is earned
 * every `interval`, BATCH_BURST are saved at most. While there is one, a batch is closed at the end of its
 * turn, unless another one waits to be sent; so the few events of an act (connect, dup, exec) on a quiet
 * host leave each within its turn. When the purse is empty the next batch waits and fills: an eighth of
 * `interval` at first, twice as long each time, until it is a whole one, and again an eighth once half of the
 * purse is full. So an attack in a busy moment is not held up for long, and a steady stream makes one batch
 * per interval. A batch is closed in any case when it is full (events or bytes) or its oldest event has waited
 * for `age`: behind a slow uplink they fill up.
 *
 * Whoever feeds it asks batch_rest_ns before each wait: while the purse is empty there is no use in being
 * woken for every event (capture_wait_ns).
 *
 * One thread. No clock: the loop passes its turn's time (boot clock) in. */
#pragma once

#include "common/err.h"
#include "common/event.h"
#include "common/wire.h"
#include "node-agent/spool.h"

#define BATCH_BURST 16U /* an attack of a few steps, each with its exec, forks and descriptors */

#define BATCH_HASTE 8U	/* part of the interval that the first batch waits which the purse has nothing for */

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
/* The next batch opens a new epoch, in which only what still acts is defined: after a snapshot nobody keeps
 * the definitions of all that ran. */
void batch_new_epoch(struct batch *b);
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
/* For how long from now on nothing that is added would leave, a batch that gets full excepted; 0: it would
 * leave at the end of its turn. Never more than `age`. */
uint64_t batch_rest_ns(const struct batch *b, uint64_t now_ns);

struct batch_stats {
	uint64_t events;
	uint64_t batches;
	uint64_t lost; /* events and reported losses that found no room */
};
void batch_stats(const struct batch *b, struct batch_stats *ret_stats);

DEFINE_CLEANUP(struct batch *, batch_free)
