/* What the agent itself costs, for heartbeats. */
#pragma once

#include <stdint.h>

struct selfstats {
	uint64_t rss_bytes; /* 0 when /proc cannot be read */
	uint64_t cpu_ns;    /* of all threads since the start */
};

void selfstats_read(struct selfstats *ret_stats);
