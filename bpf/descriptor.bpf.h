/* New pairs of descriptors: by their own calls, and by socketcall(2). */
#pragma once

#include "bpf/call.bpf.h"

/* fds: address of the two new descriptors. */
int descriptor_pair_made(__u64 fds);
