/* What the kernel says its BPF programs cost: runs and time of each one that is loaded, while it
 * counts them (kernel.bpf_stats_enabled). A program that others reach by a tail call is counted
 * with the one that the kernel called. Counting costs some 30 ns a run, so never beside a
 * measurement of throughput. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define PROGRAMS_MAX 64

struct program {
	uint32_t id;
	char name[16];
	uint64_t runs;
	uint64_t ns;
};

/* Counting goes on until that descriptor is closed. Never fails: the driver ends instead. */
int programs_count(void);
/* All that are loaded, at most PROGRAMS_MAX. */
size_t programs_read(struct program *ret_programs);
/* NULL: it is not there. */
const struct program *programs_find(const struct program *list, size_t count, uint32_t id);
