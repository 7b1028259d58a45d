/* A system call that has returned, as the dispatcher hands it to a program, and the shape of such a
 * program:
 *
 *   static __always_inline int change_act(const struct call *call) { switch (call->act) … }
 *   CALL_PROGRAM(change)
 *
 * makes the program call_change. */
#pragma once

#include "bpf/arch.bpf.h"
#include "bpf/calls.h"
#include "bpf/emit.bpf.h"

struct call {
	__u32 nr;
	__u32 act; /* enum nj_act_number */
	__s64 result;
	__u64 arg[6];
	bool compat;
};

/* What is to be done about that number; NJ_ACT_NONE for what nobody wants. */
static __always_inline __u32 call_act(__u32 nr, bool compat)
{
	__u64 slot = bounded(nr, NJ_CALLS_MAX - 1);

	return compat ? settings.compat_acts[slot] : settings.acts[slot];
}

static __always_inline void call_read(const struct pt_regs *regs, long result, struct call *ret_call)
{
	ret_call->nr = arch_call_number(regs);
	ret_call->compat = arch_is_compat(bpf_get_current_task_btf());
	ret_call->act = call_act(ret_call->nr, ret_call->compat);
	ret_call->result = result;
	arch_read_args(regs, ret_call->compat, ret_call->arg);
}

#define CALL_PROGRAM(name)                                                                         \
	SEC("tp_btf/sys_exit")                                                                     \
	int BPF_PROG(call_##name, struct pt_regs *regs, long result)                               \
	{                                                                                          \
		struct call call = {0};                                                            \
                                                                                                   \
		call_read(regs, result, &call);                                                    \
		return name##_act(&call);                                                          \
	}
