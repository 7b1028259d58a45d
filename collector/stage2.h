/* Stage 2: what several pods or nodes do together. Fed by observations, keyed by correlation key,
 * and ordered by (event time, node, seq) behind a watermark, so that the order in which nodes'
 * messages arrive changes no verdict.
 *
 * Like stage 1 it has fixed virtual shards (by key), each used by one thread at a time, and no
 * clock: time moves with stage2_advance, whose values are part of a recording. */
#pragma once

#include <stdint.h>

#include "collector/stage1.h"

#define STAGE2_SHARDS  64U
#define STAGE2_KEY_MAX 192
#define STAGE2_LATE_NS 200000000ULL /* the watermark follows the slowest node's time by this */

enum observation_kind {
	/* key workload:CLUSTER/NAMESPACE/WORKLOAD; remote is set */
	OBSERVATION_CONNECT_ATTEMPT = 1,
	/* Stage 1 has reported this lineage: what it did is explained, and counts no more. */
	OBSERVATION_CONNECT_EXPLAINED,
};

/* One step that a detector of stage 1 matched; fixed size. */
struct observation {
	enum observation_kind kind;
	char key[STAGE2_KEY_MAX]; /* terminated, zero padded */
	uint64_t wall_ns;	  /* event time */
	uint64_t seq;
	char cluster[128];
	char node[256];
	char boot_id[40];
	uint64_t exec_id;
	uint32_t pid;
	uint32_t session; /* with node and container: the lineage */
	char exe[256];
	char container_id[65];
	char namespace[64];
	char workload[128];
	char pod[128];
	uint8_t family;
	uint8_t remote_ip[16];
	uint16_t remote_port;
};

struct stage2;

struct stage2 *stage2_new(const struct detect_options *options,
			  void (*alert)(void *ctx, struct alert *alert), void *ctx,
			  struct metrics *metrics); /* NULL without memory */
void stage2_free(struct stage2 *s);		    /* NULL allowed */
uint32_t stage2_shard(const char *key);
void stage2_feed(struct stage2 *s, uint32_t shard, const struct observation *observation);
/* No observation older than wall_ns will come any more: the shard handles what waited for it. */
void stage2_advance(struct stage2 *s, uint32_t shard, uint64_t wall_ns);
