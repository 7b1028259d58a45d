/* x86-64; see arch.bpf.h. */
#pragma once

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct pt_regs {
	unsigned long r10, r9, r8, bp, ax, bx, cx, dx, si, di, orig_ax;
};

#pragma clang attribute pop

/* The x32 bit does not make another call. */
static __always_inline __u32 arch_call_number(const struct pt_regs *regs)
{
	return (__u32)regs->orig_ax & ~X32_CALL_BIT;
}

/* int 0x80 from a 64-bit process too. */
static __always_inline bool arch_is_compat(const struct task_struct *task)
{
	return task->thread_info.status & TS_COMPAT;
}

static __always_inline void arch_read_args(const struct pt_regs *regs, bool compat, __u64 ret_arg[6])
{
	if (compat) {
		ret_arg[0] = (__u32)regs->bx;
		ret_arg[1] = (__u32)regs->cx;
		ret_arg[2] = (__u32)regs->dx;
		ret_arg[3] = (__u32)regs->si;
		ret_arg[4] = (__u32)regs->di;
		ret_arg[5] = (__u32)regs->bp;
		return;
	}
	ret_arg[0] = regs->di;
	ret_arg[1] = regs->si;
	ret_arg[2] = regs->dx;
	ret_arg[3] = regs->r10;
	ret_arg[4] = regs->r8;
	ret_arg[5] = regs->r9;
}
