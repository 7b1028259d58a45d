/* A full node for the agent's bench: sleeping programs, each with arguments of its own, in the
 * cgroups of pods. */
#pragma once

#include <sys/types.h>

#include "common/err.h"

/* Makes `pods` cgroups as a kubelet would, and in each of them `each` processes. Returns when all
 * run: a process that ends them all and removes the cgroups when it is told to (bench_stop). Needs
 * root and the cgroup v2 hierarchy; the driver ends without. */
pid_t crowd_start(unsigned int pods, unsigned int each) must_check;
