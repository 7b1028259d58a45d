/* The kernel programs: opened, cut to what this kernel accepts, loaded, attached. The only file that
 * knows the skeleton. One refused program costs its class and nothing else. */
#pragma once

#include "bpf/abi.h"
#include "common/buf.h"
#include "node-agent/capture.h"
#include "node-agent/hook.h"
#include "node-agent/policy_maps.h"
#include "node-agent/provider.h"

struct probe;

struct probe_config {
	uint32_t cpu_rings;	    /* rings that CPUs share, at least 1 */
	uint64_t process_ring_bytes; /* powers of two, at least a page */
	uint64_t cpu_ring_bytes;
	bool use_v1_cgroup;
	uint32_t cpus;		  /* that the kernel may number */
	uint32_t windows_per_cpu; /* slots in which repeats are counted, a power of two */
	uint64_t seed;		  /* of their hashes: not to be guessed */
	enum provider_kind provider; /* of system calls */
	struct hook_kernel kernel; /* set by probe_new */
	const char *refused; /* tests: this program gets a hook it was not written for; NULL: none */
};

int probe_new(const struct probe_config *config, struct probe **ret_probe, struct err *e) must_check;
void probe_free(struct probe *p); /* detaches and unloads; NULL allowed */

/* Attaches everything that was loaded and is wanted. */
int probe_attach(struct probe *p, struct err *e) must_check;

/* Which classes are wanted (bits 1 << enum nj_class). A program whose classes are not is attached to
 * nothing, and without a class that needs system calls their exit is not looked at: every call of the
 * machine pays for that hook. Says what counts for probe_attach before, takes effect at once after. */
int probe_want(struct probe *p, uint64_t classes, struct err *e) must_check;

/* Ring 0 is that of process life. */
uint32_t probe_ring_count(const struct probe *p);
int probe_ring_fd(const struct probe *p, uint32_t ring);
uint64_t probe_ring_bytes(const struct probe *p, uint32_t ring);

/* Shared with the running programs. */
struct nj_settings *probe_settings(struct probe *p);
struct nj_bell *probe_bell(struct probe *p);

/* Totals since load: by class, the runs that the kernel left out. */
void probe_missed(struct probe *p, uint64_t ret_missed[static NJ_CLASS_MAX]);
/* Totals since load: what the programs counted on that CPU, or on all for -1. 0, or negative with all 0. */
int probe_counts(struct probe *p, int cpu, struct nj_counts *ret_counts);
/* The slots in which repeats are counted, as the programs write them. Returns how many. */
uint32_t probe_windows(const struct probe *p, const struct nj_window **ret_windows);
void probe_maps(const struct probe *p, struct policy_maps *ret_maps);

/* Appends an NJ_EXEC record, without arguments and environment, for every live process, and gives
 * the TCP sockets that they hold an owner. */
int probe_seed(struct probe *p, struct buf *out) must_check;

/* Gives add the CPU time of threads (whole records of struct nj_cpu), piece by piece. */
int probe_sample_cpu(struct probe *p, void (*add)(void *ctx, struct bytes records), void *ctx) must_check;

uint32_t probe_coverages(const struct probe *p, const struct capture_coverage **ret_rows);

/* Run time and runs of a program since load, for measurements with kernel.bpf_stats_enabled. False
 * past the last program. */
bool probe_cost(struct probe *p, uint32_t program, const char **ret_name, uint64_t *ret_ns, uint64_t *ret_runs);

DEFINE_CLEANUP(struct probe *, probe_free)
