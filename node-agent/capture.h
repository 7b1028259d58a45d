/* From the kernel to numbered events: loads the BPF programs, merges their rings and decodes the
 * records. What lies behind it, in order: kernel_caps → probe → merge → decode → procfs, proctable
 * → cgroup_id, containers.
 *
 * One thread owns a capture: it waits on capture_fd (epoll) for at most capture_wait_ns, then calls
 * capture_turn, whether or not the descriptor is ready. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "bpf/abi.h"
#include "common/buf.h"
#include "common/cleanup.h"
#include "common/event.h"
#include "common/wire.h"

struct capture;
struct containers;

struct capture_config {
	const char *boot_id;
	uint64_t first_seq;	     /* of the first event, see agent.proto; 0 is 1 */
	uint64_t ring_bytes;	     /* of all rings together, before the power-of-two rounding */
	uint32_t cpus;		     /* rings and windows are laid out for so many, or for those there may be */
	uint32_t max_processes;	     /* records in the process table */
	/* Both lists end with NULL and are borrowed until capture_free. */
	const char *const *env_names; /* chosen environment names */
	const struct uplink_policy *policy; /* in force from the start, borrowed until another one is */
	/* CPU use of processes in containers (on the host too), at least so many percent of one CPU, every
	 * so often; period 0: never. */
	uint64_t cpu_period_ns;
	uint32_t cpu_percent;
	bool cpu_host;
	const char *btf_path; /* the kernel's types; NULL: where it publishes them */
	const char *provider; /* of system calls, see provider.h; NULL: auto */
	const char *refused; /* tests: a program that is made such that the kernel refuses it */
};

/* Coverage of one event class, for Hello, --probe and metrics. */
struct capture_coverage {
	const char *class; /* process, tcp, file, descriptor, socket, privilege, cgroup */
	const char *state; /* full, degraded, missing */
	char provider[64]; /* the hook in use */
	char reason[128];  /* "" when full */
};

int capture_new(const struct capture_config *config, struct capture **ret_capture, struct err *e) must_check;
void capture_free(struct capture *c); /* detaches and unloads; NULL allowed */

int capture_fd(const struct capture *c); /* epoll; readable when a record came that cannot wait */
/* To be asked right before each wait. What may have to be acted upon (exec, an established or accepted
 * connection, open, dup) makes the descriptor readable at once; what only explains it (fork, exit,
 * closing, credentials) does not, and waits in the rings for as long as this says. 0: records wait that
 * no wake-up will come for.
 *
 * rest_ns: for so long nothing that comes would be passed on, so nobody is woken for it: a storm of execs
 * pays for no wake-up, which costs the kernel as much as the record itself. Only a ring that is a quarter
 * full makes the descriptor readable before. The wait is not longer than that. */
uint64_t capture_wait_ns(struct capture *c, uint64_t rest_ns);

/* Called for each event in order; the event and what it points to are valid during the call. A struct
 * process_def stays at its address, unchanged, until the next capture_turn, in a snapshot only during the
 * call. */
typedef void (*capture_event_fn)(void *ctx, const struct event *event);

/* Handles at most max_records waiting records. Returns how many records it handled. */
int capture_turn(struct capture *c, uint32_t max_records, capture_event_fn handle, void *ctx) must_check;

/* Reports every live process as an EXEC event of its present image, with the endpoints it holds
 * now, parents first: for a collector that knows nothing yet. Handles what waits in the rings before.
 * A process that is forked or replaces its image meanwhile may be reported by its own event as well,
 * later and under the same exec_id. Times are those of the snapshot; a process_def carries its own.
 * Returns how many processes there are. */
int capture_snapshot(struct capture *c, capture_event_fn handle, void *ctx) must_check;

/* Who processes belong to, for whoever learns more of it. Same thread. */
struct containers *capture_containers(struct capture *c);

/* Losses since the last call; fills at most max and returns how many. */
uint32_t capture_losses(struct capture *c, struct loss *ret_losses, uint32_t max);
/* Rows of the coverage table. */
uint32_t capture_coverages(const struct capture *c, const struct capture_coverage **ret_rows);
/* What is captured from now on; borrowed until the next one and capture_free. An act that the policy
 * before and this one both want is not missed in between. On failure the one before stays in force. */
int capture_set_policy(struct capture *c, const struct uplink_policy *policy, struct err *e) must_check;

/* The end: takes the programs off the system calls, handles what waits and closes every window. */
int capture_stop(struct capture *c, capture_event_fn handle, void *ctx) must_check;

/* What the programs counted since they were loaded; cpu -1: all together. -EINVAL: no such CPU. */
int capture_counts(struct capture *c, int cpu, struct nj_counts *ret_counts) must_check;

/* Records of that class that came from that CPU; -1: from all. */
uint64_t capture_shipped(const struct capture *c, int cpu, enum nj_class class);

/* How often since the start acts may have been handed on before older ones (see merge.h). */
uint64_t capture_overtaken(const struct capture *c);

/* Of one class: seen = shipped + suppressed + lost, and suppressed = repeated + waiting. */
struct capture_account {
	const char *class;
	uint64_t seen;	     /* acts that passed the kernel's filter */
	uint64_t shipped;    /* records that came here */
	uint64_t suppressed; /* acts that were only counted */
	uint64_t lost;	     /* records that found no room */
	uint64_t repeated;   /* acts that repeats told of */
	uint64_t waiting;    /* acts in windows that are still open */
	bool moved;	     /* acts came while it was drawn up */
};
/* 0; -EAGAIN: records wait, so nothing can be said now. */
int capture_account(struct capture *c, struct capture_account ret_rows[static NJ_CLASS_MAX]) must_check;

/* What is not captured here, and why, as a sentence goes on. False: nothing. */
bool capture_gaps(const struct capture *c, struct buf *out);

/* What --probe prints, with that provider of system calls, and what capture_gaps says. Works without loading
 * everything, needs root. 0 or negative. */
int capture_probe(const char *provider, struct buf *out, struct buf *ret_gaps, struct err *e) must_check;

DEFINE_CLEANUP(struct capture *, capture_free)
