/* Where containers meet what the runtime knows of them: asks for each container that appears, and hands
 * every answer to the table of containers and to the collector. Events never wait for it: one that left
 * before the answer is completed by a later definition of its container (common/wire.h).
 *
 * Part of the loop's thread. */
#pragma once

#include <stdint.h>

#include "common/cleanup.h"
#include "common/err.h"
#include "node-agent/batch.h"
#include "node-agent/containers.h"
#include "node-agent/cri.h"

struct enrich;

struct enrich_config {
	const char *socket; /* a path, "auto" or "off" */
	struct containers *containers; /* borrowed */
	struct batch *batch;	       /* borrowed */
};

/* rpc_init before. */
int enrich_new(const struct enrich_config *config, struct enrich **ret_enrich, struct err *e) must_check;
void enrich_free(struct enrich *en); /* NULL allowed */

/* To be waited on beside the rings; -1 when it is off. */
int enrich_fd(const struct enrich *en);
/* Once a turn; answers: enrich_fd is readable. */
void enrich_turn(struct enrich *en, bool answers, uint64_t now_ns);
/* False, and nothing else, when it is off. */
bool enrich_stats(const struct enrich *en, struct cri_stats *ret_stats);

DEFINE_CLEANUP(struct enrich *, enrich_free)
