/* What differs between architectures: where a system call's number, arguments and kind stand. Each has
 *
 *   arch_call_number   before anything else is known of the call
 *   arch_is_compat     inside a 32-bit call
 *   arch_read_args     the six arguments, as they were when the call began */
#pragma once

#include "bpf/kernel_types.h"

#include <bpf/bpf_helpers.h>

#ifdef __TARGET_ARCH_arm64
#include "bpf/arch_arm64.bpf.h"
#else
#include "bpf/arch_x86.bpf.h"
#endif
