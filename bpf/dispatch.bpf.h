/* From a hook that sees system calls to the program of the call's act: what every such hook does. */
#pragma once

#include "bpf/call.bpf.h"
#include "bpf/filter.bpf.h"
#include "bpf/socketcall.bpf.h"

/* Acts are bytes: with a place for each the verifier of 6.1, which loses a bound that was tested too far from
 * its use, has one in the place itself. */
#define ACTS_ROOM 256

static const __u8 program_of[ACTS_ROOM] = {
#define ACT(name, program, classes) [NJ_ACT_##name] = NJ_PROGRAM_##program,
	NJ_ACTS(ACT)
#undef ACT
};

static const __u32 classes_of[ACTS_ROOM] = {
#define ACT(name, program, classes) [NJ_ACT_##name] = (classes),
	NJ_ACTS(ACT)
#undef ACT
};

/* Where no workload has a policy of its own, what nobody wants has no act already. */
static __always_inline bool should_drop_workload(__u32 act)
{
	return settings.flags & NJ_WANT_WORKLOADS && !(filter_classes() & classes_of[bounded(act, ACTS_ROOM - 1)]);
}

/* Each place by its own number: the kernel makes that a plain jump, where a number that is computed takes an
 * indirect one. */
static __always_inline void go_on(void *ctx, __u32 act)
{
	switch (program_of[bounded(act, ACTS_ROOM - 1)]) {
#define PROGRAM(name)                                                                              \
	case NJ_PROGRAM_##name:                                                                    \
		bpf_tail_call_static(ctx, &call_programs, NJ_PROGRAM_##name);                      \
		break;
		NJ_PROGRAMS(PROGRAM)
#undef PROGRAM
	}
}

/* Most calls end at the first bitmap. */
static __always_inline int dispatch(void *ctx, const struct pt_regs *regs, long result)
{
	__u32 nr = arch_call_number(regs);
	const struct task_struct *task;
	struct scratch *s;
	bool compat;
	__u32 act;

	if (should_drop_number(nr))
		return 0;
	task = bpf_get_current_task_btf();
	compat = arch_is_compat(task);
	act = call_act(nr, compat);
	if (act == NJ_ACT_NONE || act >= NJ_ACT_MAX || should_drop_task((__u32)task->tgid))
		return 0;
	if (should_drop_workload(act))
		return 0;
	s = emit_scratch(SCRATCH_HOOK);
	if (!s)
		return 0;
	s->window = 0;
	s->call.nr = nr;
	s->call.act = act;
	s->call.compat = compat;
	s->call.result = result;
	arch_read_args(regs, compat, s->call.arg);
	if (act == NJ_ACT_SOCKETCALL)
		act = socketcall_resolve(&s->call);
	if (act != NJ_ACT_NONE && act < NJ_ACT_MAX)
		go_on(ctx, act);
	return 0;
}
