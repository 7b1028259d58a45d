/* Namespaces entered and made: which ones a process is in afterwards. A clone that makes some is an act of the
 * child, told where it is forked: not everywhere does a child pass the exit of the call that made it (on arm64 it does
 * not, and never the end of the call's function). One that failed is told at its exit, by who tried. */
#include "bpf/act.bpf.h"
#include "bpf/fdinfo.bpf.h"
#include "bpf/filter.bpf.h"
#include "bpf/target.bpf.h"

#define CLONE_NEWTIME 0x00000080ULL
#define CLONE_NEW_ANY 0x7e020000ULL /* mnt, cgroup, uts, ipc, user, pid, net */

static __always_inline void finish(struct scratch *s, struct nj_act *act)
{
	act_add_namespaces();
	act_emit(s, act, NJ_CLASS_NAMESPACE, EMIT_NOW);
}

/* The descriptor is of a namespace, whose inode number is its file's, or of a process. */
static __always_inline int entered(struct scratch *s, const struct call *call)
{
	struct file *file = fdinfo_current_file((int)call->arg[0]);
	__u64 task = target_by_pidfd((int)call->arg[0]);
	struct nj_act *act;

	act = act_begin(s, call, NJ_KIND_NAMESPACE);
	act_args(act, call, 2, 0);
	if (task)
		act_add_target(task);
	else if (file)
		act_add_inode((__u64)BPF_CORE_READ(file, f_inode));
	finish(s, act);
	return 0;
}

/* Threads that only stop sharing files, directory or semaphores are not of interest. */
static __always_inline int parted(struct scratch *s, const struct call *call)
{
	struct nj_act *act;

	if (!(call->arg[0] & (CLONE_NEW_ANY | CLONE_NEWTIME)))
		return 0;
	act = act_begin(s, call, NJ_KIND_NAMESPACE);
	act_args(act, call, 1, 0);
	finish(s, act);
	return 0;
}

/* made: the flags that ask for a namespace in that call. */
static __always_inline int failed(struct scratch *s, const struct call *call, __u64 flags, __u64 made)
{
	struct nj_act *act;

	if (call->result >= 0 || !(flags & made))
		return 0;
	act = act_begin(s, call, NJ_KIND_NAMESPACE);
	act->arg[0] = flags;
	act->arg_count = 1;
	finish(s, act);
	return 0;
}

static __always_inline __u64 clone3_flags(const struct call *call)
{
	__u64 flags = 0;

	bpf_probe_read_user(&flags, sizeof(flags), (void *)call->arg[0]);
	return flags;
}

static __always_inline void read_call(const struct task_struct *task, struct call *ret_call)
{
	const struct pt_regs *regs = (void *)bpf_task_pt_regs((struct task_struct *)task);

	ret_call->nr = arch_call_number(regs);
	ret_call->compat = arch_is_compat(task);
	ret_call->act = call_act(ret_call->nr, ret_call->compat);
	arch_read_args(regs, ret_call->compat, ret_call->arg);
}

/* Runs in the parent, before the child does and after the program that tells of the fork. What the child is in counts,
 * whatever the flags in memory say by now. */
SEC("tp_btf/sched_process_fork")
int BPF_PROG(namespace_fork, struct task_struct *parent, struct task_struct *child)
{
	struct scratch *s = emit_scratch(SCRATCH_HOOK);
	struct call call = {0};
	struct nj_act *act;

	if (!s || child->pid != child->tgid || child->flags & PF_KTHREAD || should_drop_task((__u32)parent->tgid))
		return 0;
	if ((child->nsproxy == parent->nsproxy && child->cred->user_ns == parent->cred->user_ns) ||
	    !filter_class(NJ_CLASS_NAMESPACE))
		return 0;
	read_call(parent, &call);
	if (call.act != NJ_ACT_CLONE && call.act != NJ_ACT_CLONE3)
		return 0;
	s->window = 0;
	act = act_begin(s, &call, NJ_KIND_NAMESPACE);
	act->arg[0] = call.act == NJ_ACT_CLONE ? call.arg[0] : clone3_flags(&call);
	act->arg_count = 1;
	__builtin_memset(s->raw, 0, sizeof(struct nj_namespaces));
	task_namespaces(child, (void *)s->raw);
	act_add_raw(NJ_PART_NAMESPACES, sizeof(struct nj_namespaces));
	act_emit_of(s, act, child, NJ_CLASS_NAMESPACE, EMIT_NOW);
	return 0;
}

static __always_inline int namespace_act(struct scratch *s, const struct call *call)
{
	switch (call->act) {
	case NJ_ACT_SETNS:
		return entered(s, call);
	case NJ_ACT_UNSHARE:
		return parted(s, call);
	case NJ_ACT_CLONE:
		return failed(s, call, call->arg[0], CLONE_NEW_ANY);
	case NJ_ACT_CLONE3:
		/* Here, unlike in clone(2), the low byte is no signal. */
		return failed(s, call, clone3_flags(call), CLONE_NEW_ANY | CLONE_NEWTIME);
	}
	return 0;
}

CALL_PROGRAM(namespace)
