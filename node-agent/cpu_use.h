/* Who uses the CPUs: sums the times of threads to those of processes, and tells the processes that used
 * more than a share of one CPU since the sample before. A process that is new to a sample and older
 * than the one before is told from the next one on.
 *
 * Holds at most CPU_USE_PROCESSES; the least recently seen one goes first and begins anew. One thread. */
#pragma once

#include "bpf/abi.h"
#include "common/bytes.h"
#include "common/cleanup.h"

#define CPU_USE_PROCESSES 8192

struct cpu_use;

/* percent: of one CPU. NULL without memory. */
struct cpu_use *cpu_use_new(uint32_t percent);
void cpu_use_free(struct cpu_use *u); /* NULL allowed */

/* A sample is begun, given its records (each a struct nj_cpu, at any address; what is cut at the end is left
 * out) and ended. */
void cpu_use_begin(struct cpu_use *u, uint64_t now_ns);
void cpu_use_add(struct cpu_use *u, struct bytes records);

/* used_ns of the last over_ns. */
typedef void (*cpu_use_fn)(void *ctx, const struct nj_owner *process, uint64_t used_ns, uint64_t over_ns);
void cpu_use_end(struct cpu_use *u, cpu_use_fn tell, void *ctx);

DEFINE_CLEANUP(struct cpu_use *, cpu_use_free)
