/* A system call that has returned, on its way from the hook that saw it to the program of its act.
 *
 * The hook (call_dispatch) leaves the call in the scratch and goes on by a tail call, so a family knows
 * nothing of its hook: its programs are loaded as whatever type the hook in use has. They look like this:
 *
 *   static __always_inline int change_act(struct scratch *s, const struct call *call) { … }
 *   CALL_PROGRAM(change)
 *
 * which makes the program call_change. */
#pragma once

#include "bpf/arch.bpf.h"
#include "bpf/calls.h"
#include "bpf/emit.bpf.h"

/* What is to be done about that number; NJ_ACT_NONE for what nobody wants. */
static __always_inline __u32 call_act(__u32 nr, bool compat)
{
	__u64 slot = bounded(nr, NJ_CALLS_MAX - 1);

	return compat ? settings.compat_acts[slot] : settings.acts[slot];
}

#define CALL_PROGRAM(name)                                                                         \
	SEC("tracepoint") /* the agent sets the type */                                            \
	int call_##name(void *ctx)                                                                 \
	{                                                                                          \
		struct scratch *s = emit_scratch(SCRATCH_HOOK);                                    \
                                                                                                   \
		if (s)                                                                             \
			(void)name##_act(s, &s->call);                                             \
		return 0; /* fexit takes nothing else */                                           \
	}
