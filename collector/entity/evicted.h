/* Capped state of a shard that made room for newer: how often, by what was capped. */
#pragma once

#include <stdint.h>

#include "common/table.h"

enum evicted_state {
	EVICTED_NODES,
	EVICTED_PROCESSES, /* live ones */
	EVICTED_EXITED,
	EVICTED_PIDS,
	EVICTED_ENDPOINTS,
	EVICTED_TUPLES,
	EVICTED_LISTENERS,
	EVICTED_WORKLOADS,
	EVICTED_HOLDERS,      /* of an object's side */
	EVICTED_DESCRIPTORS,  /* of a process */
	EVICTED_PENDING,      /* interpreters that may yet be connected */
	EVICTED_INTERPRETERS, /* files seen under an interpreter's name */
	EVICTED_SCAN_TREES,
	EVICTED_SCAN_TARGETS, /* of a tree */
	EVICTED_FINDINGS,     /* thefts already reported */
	EVICTED_HEALTH,	      /* open alerts about nodes */
	EVICTED_JOINS,	      /* alerts that waited for names */
	EVICTED_STATES,
};

/* Since the start. */
struct evicted {
	uint64_t of[EVICTED_STATES];
};

static inline uint64_t evicted_of(const struct table *t)
{
	struct table_stats stats;

	table_stats(t, &stats);
	return stats.evicted;
}
