/* The time up to which every node has spoken: what stage 2 waits for.
 *
 * Each node's latest event or heartbeat time holds the watermark back, until a tick (a recorded
 * control event, the collector's clock) finds it silent for WATERMARK_SILENT_NS. No clock here. Not
 * locked: one owner. At most 16384 nodes; past them the longest silent one is forgotten. */
#pragma once

#include <stdint.h>

#include "common/cleanup.h"

#define WATERMARK_SILENT_NS 2000000000ULL

struct watermark;

struct watermark *watermark_new(void); /* NULL without memory */
void watermark_free(struct watermark *w); /* NULL allowed */

/* The node has told everything up to wall_ns. */
void watermark_note(struct watermark *w, const char *cluster, const char *node, uint64_t wall_ns);
/* It is wall_ns now: who has been silent for long is not waited for. */
void watermark_tick(struct watermark *w, uint64_t wall_ns);
/* What may be handled: the slowest node's time less STAGE2_LATE_NS; never goes back. 0: nothing. */
uint64_t watermark_value(struct watermark *w);

DEFINE_CLEANUP(struct watermark *, watermark_free)
