/* What the dispatcher of system calls calls for sockets. */
#pragma once

#include "bpf/kernel_types.h"

int net_accepted(__s64 result);
int net_connected(__s64 result, __u32 fd);
