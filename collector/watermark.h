/* The time that stage 2 may take for settled: no observation older than it will come any more. It
 * follows the slowest node by STAGE2_LATE_NS. A node that is silent holds it back only until a tick
 * that is WATERMARK_SILENT_NS later than what the node has said last.
 *
 * Any thread; a lock of its own. Knows no clock: ticks come from the caller and are recorded. At
 * most `nodes` nodes, the one longest silent gives way. */
#pragma once

#include <stdint.h>

#include "common/cleanup.h"
#include "common/metrics.h"

#define WATERMARK_SILENT_NS 2000000000ULL

struct watermark;

struct watermark *watermark_new(uint32_t nodes, struct metrics *metrics); /* NULL without memory */
void watermark_free(struct watermark *w);				  /* NULL allowed */

/* Everything that the node did until wall_ns has been through stage 1 (a batch's last event, a
 * heartbeat). Returns where the watermark stands now; it never goes back, 0: nowhere yet. */
uint64_t watermark_node(struct watermark *w, const char *cluster, const char *node,
			uint64_t wall_ns);
/* The collector's clock, a few times a second. The same result. */
uint64_t watermark_tick(struct watermark *w, uint64_t wall_ns);

DEFINE_CLEANUP(struct watermark *, watermark_free)
