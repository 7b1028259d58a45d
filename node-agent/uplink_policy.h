/* A policy as the collector sent it, read into plain values: every length and number is checked
 * here, so that whoever applies it trusts it.
 *
 * One allocation by lifetime: all that a policy points to is its own. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/capture_options.h"
#include "common/cleanup.h"
#include "common/err.h"
#include "nightjar/v1/control.pb-c.h"

/* A policy that has more of something is refused as a whole: a part of it would capture less than
 * its generation says. */
#define UPLINK_NAMES_MAX     CAPTURE_NAMES_MAX
#define UPLINK_NAME_BYTES    CAPTURE_NAME_BYTES
#define UPLINK_PREFIXES_MAX  CAPTURE_PREFIXES_MAX
#define UPLINK_PREFIX_BYTES  CAPTURE_PREFIX_BYTES
#define UPLINK_PORTS_MAX     CAPTURE_PORTS_MAX
#define UPLINK_WORKLOADS_MAX 1024U
#define UPLINK_CGROUP_BYTES  1023U

#define UPLINK_REPEAT_WINDOW_NS	    10000000000ULL /* when the policy says nothing: 10 s */
#define UPLINK_REPEAT_WINDOW_MIN_NS 100000000ULL
#define UPLINK_REPEAT_WINDOW_MAX_NS 600000000000ULL

/* What differs for the processes of one cgroup. */
struct uplink_workload {
	const char *cgroup; /* path below the hierarchy's root, "/…" */
	uint32_t classes;   /* instead of the policy's */
	bool each;	    /* nothing is summed up */
};

/* Classes are bits, 1 << enum nj_class; one that this agent does not know is left out. */
struct uplink_policy {
	uint32_t generation;
	uint32_t classes;
	uint32_t each;
	bool open_writes;
	bool open_all;
	bool first_bytes;
	const char *const *open_names; /* NULL-terminated, each one component */
	size_t open_name_count;
	const char *const *open_prefixes; /* NULL-terminated, each "/…" */
	size_t open_prefix_count;
	const uint16_t *ports; /* none: all */
	size_t port_count;
	uint64_t repeat_window_ns; /* between the bounds above */
	const struct uplink_workload *workloads;
	size_t workload_count;
	struct arena *memory;
};

/* 0; -EINVAL, -E2BIG, -ENOMEM with the sentence. */
int uplink_policy_read(const Nightjar__V1__Policy *in, struct uplink_policy **ret_policy,
		       struct err *e) must_check;
void uplink_policy_free(struct uplink_policy *policy); /* NULL allowed */

DEFINE_CLEANUP(struct uplink_policy *, uplink_policy_free)
