/* The maps that the program families share, and the settings that change while they run. Defined
 * once, in maps.bpf.c; here stand their sizes and the reasons. */
#pragma once

#include "bpf/calls.h"
#include "bpf/read.bpf.h"

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

/* One record and what it is put together from. One per CPU and row, used in process context only,
 * where the programs of a CPU do not interrupt each other; the iterators, which hooks may interrupt,
 * have a row of their own. Records of interrupt context (TCP) are small and built in the ring. */
enum scratch_row { SCRATCH_HOOK, SCRATCH_SEED, SCRATCH_ROWS };

struct call {
	__u32 nr;
	__u32 act; /* enum nj_act_number */
	__s64 result;
	__u64 arg[6];
	__u64 compat; /* 1: a 32-bit call */
};

#define SCRATCH_HEAD 320  /* the fixed part ends where the variable part begins */
#define SCRATCH_VAR  8192 /* a power of two, at least all variable parts of the largest record */
#define SCRATCH_LAST 2048 /* room behind for the largest single part */

struct scratch {
	struct call call; /* see call.bpf.h */
	__u8 head[SCRATCH_HEAD];
	__u8 var[SCRATCH_VAR + SCRATCH_LAST];
	struct nj_endpoint endpoints[2 * NJ_ENDPOINTS_MAX]; /* bound by a mask; one is spare */
	char path[2 * NJ_PATH_MAX];			     /* path_resolve fills it from the right */
	char raw[2 * NJ_RAW_MAX];
	struct nj_name name;
	struct nj_prefix prefix;
	struct nj_key key; /* of novelty.bpf.h */
	__u64 window;	   /* that the running act opened */
	/* A count or position that changes in a loop: in memory the verifier does not follow its
	 * values, which would otherwise multiply the paths to prove. */
	volatile __u32 mark;
	volatile __u32 pos; /* of var: where an act's next part begins */
};

/* value & mask, computed where the verifier sees it and the compiler cannot argue it away. */
#define bounded(value, mask)                                                                       \
	({                                                                                         \
		__u64 bounded_ = (value);                                                          \
		asm volatile("%0 &= %1" : "+r"(bounded_) : "i"(mask));                             \
		bounded_;                                                                          \
	})

/* The zeroed fixed part of a record that ends where scratch->var begins. */
#define scratch_record(scratch, type)                                                              \
	({                                                                                         \
		type *record_ = (void *)((scratch)->head + SCRATCH_HEAD - sizeof(type));           \
		__builtin_memset(record_, 0, sizeof(type));                                        \
		record_;                                                                           \
	})


struct ring {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 65536);
};

/* Row 0 is the ring of process life, so that no flood of other classes can push it out; the rest
 * belong to CPUs (or to groups of them). The agent sets max_entries and puts in rings of the size
 * that its budget allows. */
struct rings_map {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 2);
	__type(key, __u32);
	__array(values, struct ring);
};

/* 14 KiB per row and CPU: one largest record plus the pieces it is made of. */
struct scratches_map {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, SCRATCH_ROWS);
	__type(key, __u32);
	__type(value, struct scratch);
};

struct counts_map {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct nj_counts);
};

/* Lives and dies with the socket. */
struct owners_map {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct nj_owner);
};

/* Owners of accepted sockets by cookie: at the exit of accept(2) a socket is only reachable through
 * a descriptor, which the verifier does not take for socket storage. 8192 connections of about 100
 * bytes; an entry goes when its connection closes. Past that the one longest unused goes first, and
 * its connection's end is counted as ownerless. */
struct accepted_map {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 8192);
	__type(key, __u64);
	__type(value, struct nj_owner);
};

/* Last path components whose opening is reported. */
struct open_names_map {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 2 * NJ_OPEN_NAMES_MAX);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct nj_name);
	__type(value, __u8);
};

/* Paths below which opens are reported. */
struct open_prefixes_map {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, 2 * NJ_PREFIXES_MAX);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct nj_prefix);
	__type(value, __u8);
};

/* A bit per remote port, 64 in a word. */
struct ports_map {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 65536 / 64);
	__type(key, __u32);
	__type(value, __u64);
};

/* A hash and not the cgroups' own storage, which kernels before 6.2 do not have. Asked only while it
 * holds something. */
struct workloads_map {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, NJ_WORKLOADS_MAX);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct nj_cgroup_key);
	__type(value, struct nj_workload);
};

/* Direct-mapped: the slots of CPU n begin at n * windows_per_cpu. The agent sets max_entries and maps
 * it, so that it can close windows without a system call and in order with what it reports. */
struct windows_map {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct nj_window);
};

/* What the dispatcher hands a system call to, by enum nj_program. The agent puts in those that loaded. */
struct call_programs_map {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, NJ_PROGRAM_MAX);
	__type(key, __u32);
	__type(value, __u32);
};

extern struct call_programs_map call_programs SEC(".maps");
extern struct rings_map rings SEC(".maps");
extern struct scratches_map scratches SEC(".maps");
extern struct counts_map counts SEC(".maps");
extern struct owners_map owners SEC(".maps");
extern struct accepted_map accepted SEC(".maps");
extern struct open_names_map open_names SEC(".maps");
extern struct open_prefixes_map open_prefixes SEC(".maps");
extern struct ports_map ports SEC(".maps");
extern struct workloads_map workloads SEC(".maps");
extern struct windows_map windows SEC(".maps");
