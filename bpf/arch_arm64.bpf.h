/* arm64; see arch.bpf.h. A 32-bit process makes 32-bit calls only, and the other way round. */
#pragma once

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct pt_regs {
	__u64 regs[31];
	__u64 orig_x0;
	int syscallno;
};

#pragma clang attribute pop

static __always_inline __u32 arch_call_number(const struct pt_regs *regs)
{
	return (__u32)regs->syscallno;
}

static __always_inline bool arch_is_compat(const struct task_struct *task)
{
	return task->thread_info.flags & TIF_32BIT;
}

/* The first argument's register holds the result by now. */
static __always_inline void arch_read_args(const struct pt_regs *regs, bool compat, __u64 ret_arg[6])
{
	__u64 mask = compat ? 0xffffffff : ~0ULL;

	ret_arg[0] = regs->orig_x0 & mask;
	ret_arg[1] = regs->regs[1] & mask;
	ret_arg[2] = regs->regs[2] & mask;
	ret_arg[3] = regs->regs[3] & mask;
	ret_arg[4] = regs->regs[4] & mask;
	ret_arg[5] = regs->regs[5] & mask;
}
