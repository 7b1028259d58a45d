/* How large each ring and each table of windows is: what the kernel side and the agent agree on at load.
 *
 * A quarter of the budget is the ring of process life; the rest is divided among the CPUs, which share rings in
 * groups where there are more than RING_PLAN_RINGS. Rings are powers of two, which the kernel wants, and never
 * smaller than RING_PLAN_FLOOR: on a machine of many CPUs the budget is exceeded by that. */
#pragma once

#include <stdint.h>

#include "node-agent/probe.h"

#define RING_PLAN_BUDGET  (2UL << 20) /* bytes */
#define RING_PLAN_FLOOR	  (64UL << 10)
#define RING_PLAN_RINGS	  32
#define RING_PLAN_WINDOWS 8192 /* of all CPUs; 128 bytes each, mapped by both sides: 1 MiB at most */

/* budget in bytes, 0: RING_PLAN_BUDGET; at least one CPU. */
struct probe_config ring_plan(uint64_t budget, uint32_t cpus);
