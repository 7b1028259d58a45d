/* One act of each class, for tests that want all of them. Acts that need nothing and leave nothing behind;
 * some fail on purpose: an attempt is an act. Traffic stays on loopback. Called in an actor, never in the
 * process that captures. */
#pragma once

#include <stdbool.h>

#include "bpf/abi.h"

/* Does the i-th act of that class; what differs with i makes it another act. */
void acts_do(enum nj_class class, unsigned int i);
/* Whether there is one: all but the use of CPUs, which is no act, and cgroups without a place for them. */
bool acts_exist(enum nj_class class);
