/* The entity tables of one virtual shard. Every table is capped; what is evicted is counted by the
 * tables themselves (entities_stats). Tables are made with the shard and touched as they fill: an
 * idle shard costs address space, not memory. One thread at a time. */
#pragma once

#include "collector/entity/endpoint.h"
#include "collector/entity/evicted.h"
#include "collector/entity/process.h"
#include "collector/entity/remote.h"
#include "collector/entity/workload.h"
#include "collector/stage1.h"
#include "common/table.h"

#define ENTITIES_NODES	   1024U
#define ENTITIES_LIVE	   8192U
#define ENTITIES_EXITED	   8192U
#define ENTITIES_ENDPOINTS 16384U
#define ENTITIES_WORKLOADS 1024U
#define ENTITIES_TUPLES	   4096U
#define ENTITIES_LISTENERS 1024U

/* A node during one boot. */
struct node_state {
	uint32_t id; /* from 1, never used again within the shard */
	int64_t wall_offset_ns;
	char cluster[128];
	char node[256];
	char boot_id[40];
};

struct entities {
	struct table *nodes;
	struct table *live;
	struct table *exited;
	struct table *pids; /* latest process of a number */
	struct table *endpoints;
	struct table *tuples;
	struct table *listeners;
	struct table *workloads;
	uint32_t node_count;
	uint64_t holders_evicted; /* from full lists of an object or a process */
	uint64_t descriptors_evicted;
};

struct entities *entities_new(void);	 /* NULL without memory */
void entities_free(struct entities *en); /* NULL allowed */

struct node_state *entities_node(struct entities *en, const struct node_ref *ref);

/* Takes one event in. Returns who acted: NULL for the end of something that was never seen. An
 * exit is taken in by entities_after, so that detectors still see what the process held. */
struct process *entities_apply(struct entities *en, uint32_t node, const struct event *event);
void entities_after(struct entities *en, uint32_t node, struct process *p,
		    const struct event *event);

struct entities_stats {
	uint64_t live, exited, endpoints; /* records now */
	struct evicted evicted;		  /* the entities' part of it */
	uint64_t evicted_kept;		  /* of these, marked ones */
};

void entities_stats(const struct entities *en, struct entities_stats *ret_stats);

DEFINE_CLEANUP(struct entities *, entities_free)
