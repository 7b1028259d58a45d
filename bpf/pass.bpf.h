/* Descriptors that arrive in control messages (SCM_RIGHTS). */
#pragma once

#include "bpf/call.bpf.h"

/* Tells what the call that runs was given: control: address of its control messages, len bytes of them.
 * A function of its own to the verifier. */
int pass_received(__u64 control, __u32 len);
