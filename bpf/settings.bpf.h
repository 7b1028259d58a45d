/* What is wanted: constants written before load, settings that the agent changes while the programs
 * run, and the predicates over them, to be asked cheapest first. */
#pragma once

#include "bpf/maps.bpf.h"

/* Rings that CPUs share, apart from the one of process life. */
extern const volatile __u32 ring_count;
extern const volatile __u32 cpu_ring_bytes, process_ring_bytes; /* of each, and of that one */
/* Containers sit in cgroup v1 only where v2's root holds everybody. */
extern const volatile bool use_v1_cgroup;
/* Slots in which acts are remembered, a power of two, and what their hashes begin with: not to be
 * guessed by those who would like to collide. */
extern const volatile __u32 windows_per_cpu;
extern const volatile __u64 novelty_seed;

extern struct nj_settings settings;
extern struct nj_bell bell;

static __always_inline bool should_drop_class(__u32 class)
{
	return !(settings.classes & (1ULL << class));
}

/* Our own acts would feed on themselves: sending an event is an event. */
static __always_inline bool should_drop_task(__u32 tgid)
{
	return tgid == settings.own_tgid;
}

/* Before it is known whether the call is a 32-bit one. */
static __always_inline bool should_drop_number(__u32 nr)
{
	return nr >= NJ_CALLS_MAX ||
	       !(settings.any_calls[bounded(nr >> 6, NJ_CALLS_MAX / 64 - 1)] & (1ULL << (nr & 63)));
}

/* True when no name of this length and first character is wanted. */
static __always_inline bool should_drop_name(__u32 len, char first)
{
	return len == 0 || len >= NJ_NAME_MAX ||
	       !(settings.name_mask[bounded(len, NJ_NAME_MAX - 1)] & (1ULL << (first & 63)));
}
