/* A policy as the kernel programs take it: settings and map keys, computed from what the collector sent
 * (uplink_policy.h). Pure: probe.c writes the results into the running programs.
 *
 * Never narrowed are process life, TCP and cgroups: without them nothing else can be told apart. */
#pragma once

#include "bpf/abi.h"
#include "bpf/calls.h"
#include "node-agent/uplink_policy.h"

#define POLICY_ALL   ((1ULL << NJ_CLASS_MAX) - 1)
#define POLICY_FIXED (1ULL << NJ_CLASS_PROCESS | 1ULL << NJ_CLASS_TCP | 1ULL << NJ_CLASS_CGROUP)

#define POLICY_PORT_WORDS (65536 / 64)

/* What is in force until the collector has spoken: what every detector that works without further
 * metadata needs, and nothing whose rate an ordinary program decides (messages, memory, signals, splices).
 * names: NULL-terminated, borrowed by *ret_policy, which is not to be freed. */
void policy_default(const char *const *names, struct uplink_policy *ret_policy);

/* What the agent's own options ask for: until the collector has spoken, besides the above; alone, when there
 * is none, and then without a word about classes every one. -ENOMEM. */
int policy_asked(const struct capture_options *asked, bool alone, struct uplink_policy **ret_policy) must_check;

/* Classes that are wanted of anybody, the fixed ones included. */
uint64_t policy_classes(const struct uplink_policy *policy);

/* By enum nj_act_number: the classes that want the act. */
extern const uint64_t policy_act_classes[NJ_ACT_MAX];

/* Fills in which system calls are looked at for these classes. A number that is set to another act while
 * programs run is never read half written: it is one byte. */
void policy_calls(uint64_t classes, struct nj_settings *settings);

/* What is not looked at for its calls: classes, flags, window, names' mask, generation. The rest of *settings
 * stays as it is. */
void policy_settings(const struct uplink_policy *policy, struct nj_settings *settings);

/* Map keys. -EINVAL: no name of a file, no absolute path, or too long. */
int policy_name(const char *name, struct nj_name *ret_name) must_check;
int policy_prefix(const char *path, struct nj_prefix *ret_prefix) must_check;
void policy_ports(const struct uplink_policy *policy, uint64_t ret_words[static POLICY_PORT_WORDS]);

/* What differs for the processes of that cgroup (path below its hierarchy's root): that of the nearest
 * cgroup above it that the policy names. False: nothing. */
bool policy_workload(const struct uplink_policy *policy, const char *cgroup, struct nj_workload *ret_workload);
