/* A policy into the maps of running programs, such that no act which the old and the new one both want is
 * missed in between: what is new goes in first, then the settings change, then what is old goes out. */
#pragma once

#include "common/err.h"
#include "node-agent/policy.h"

/* Descriptors of the maps; bpf/maps.bpf.h. */
struct policy_maps {
	int open_names, open_prefixes, ports, workloads;
};

/* Adds what the policy wants. 0, or negative with the sentence: then nothing was taken away yet. */
int policy_maps_add(const struct policy_maps *maps, const struct uplink_policy *policy, struct err *e) must_check;
/* Removes what it does not want, and cgroups that were not set in this epoch. 0 or negative. */
int policy_maps_trim(const struct policy_maps *maps, const struct uplink_policy *policy,
		     uint32_t epoch) must_check;

/* A cgroup is known: what the policy says of it, if it says anything. path NULL: it is gone. 0 or negative. */
int policy_maps_cgroup(const struct policy_maps *maps, const struct uplink_policy *policy, uint32_t epoch,
		       const struct nj_cgroup_key *key, const char *path) must_check;
