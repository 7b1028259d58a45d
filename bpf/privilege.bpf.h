/* What the dispatcher of system calls calls for credentials. */
#pragma once

#include "bpf/kernel_types.h"

int privilege_changed(__s64 result, __u32 call);
