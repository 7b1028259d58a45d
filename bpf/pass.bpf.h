/* Descriptors that are passed in control messages (SCM_RIGHTS). */
#pragma once

#include "bpf/call.bpf.h"

/* Tells what the call that runs sent or was given: control: address of its control messages, len bytes of
 * them. A function of its own to the verifier. */
int pass_tell(__u64 control, __u32 len);
