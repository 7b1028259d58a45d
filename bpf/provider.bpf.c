/* The other hooks that see system calls return: see node-agent/provider.h. Each does what the hook at the
 * exit of every call does (syscall_exit.bpf.c) and costs only the calls that it is attached to. The
 * arguments are those of the saved registers, wherever the hook stands. */
#include "bpf/dispatch.bpf.h"

static __always_inline const struct pt_regs *saved_registers(void)
{
	return (void *)bpf_task_pt_regs((void *)bpf_get_current_task_btf());
}

/* What a tracepoint syscalls/sys_exit_NAME hands over. */
struct exit_args {
	__u64 registers;
	__s64 nr;
	__s64 result;
};

SEC("tracepoint")
int tracepoint_exit(struct exit_args *args)
{
	return dispatch(args, saved_registers(), args->result);
}

/* Behind a function that takes the registers: they are its one argument, then comes its result. */
SEC("fexit")
int function_exit(unsigned long long *args)
{
	return dispatch(args, saved_registers(), (long)args[1]);
}
