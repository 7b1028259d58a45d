/* One policy after the other in running programs. An act that both want is not missed in between: programs,
 * calls and map entries of the new one come first, then the settings change, word by word, then what only
 * the old one wanted goes. */
#pragma once

#include "node-agent/containers.h"
#include "node-agent/probe.h"

/* before: NULL, the first. On failure what it was before stays in force. */
int policy_switch(struct probe *probe, struct containers *containers, const struct uplink_policy *before,
		  const struct uplink_policy *policy, struct err *e) must_check;

/* A cgroup was made: what the policy says of it, if it says anything. path NULL: it is gone. 0 or negative. */
int policy_switch_cgroup(struct probe *probe, const struct uplink_policy *policy, const struct nj_cgroup_key *key,
			 const char *path) must_check;
