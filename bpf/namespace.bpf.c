/* Namespaces entered and made: which ones a process is in afterwards. A clone that makes some is told by
 * the child, whose return from the call is the first thing it does; one that failed by the parent. */
#include "bpf/act.bpf.h"
#include "bpf/fdinfo.bpf.h"
#include "bpf/target.bpf.h"

#define CLONE_NEWTIME 0x00000080ULL
#define CLONE_PARENT  0x00008000ULL
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

/* What the child is in, whatever the flags in memory say by now. */
static __always_inline bool differs_from_parent(void)
{
	const struct task_struct *task = bpf_get_current_task_btf();
	const struct task_struct *parent = task->real_parent;

	return task->nsproxy != parent->nsproxy || task->cred->user_ns != parent->cred->user_ns;
}

/* made: the flags that ask for a namespace in that call. */
static __always_inline int cloned(struct scratch *s, const struct call *call, __u64 flags, __u64 made)
{
	struct nj_act *act;

	if (call->result > 0)
		return 0;
	if (!(flags & made) &&
	    (call->result < 0 || flags & CLONE_PARENT || !differs_from_parent()))
		return 0;
	act = act_begin(s, call, NJ_KIND_NAMESPACE);
	act->arg[0] = flags;
	act->arg_count = 1;
	finish(s, act);
	return 0;
}

static __always_inline int cloned3(struct scratch *s, const struct call *call)
{
	__u64 flags = 0;

	if (call->result > 0)
		return 0;
	bpf_probe_read_user(&flags, sizeof(flags), (void *)call->arg[0]);
	/* Here, unlike in clone(2), the low byte is no signal. */
	return cloned(s, call, flags, CLONE_NEW_ANY | CLONE_NEWTIME);
}

static __always_inline int namespace_act(struct scratch *s, const struct call *call)
{
	switch (call->act) {
	case NJ_ACT_SETNS:
		return entered(s, call);
	case NJ_ACT_UNSHARE:
		return parted(s, call);
	case NJ_ACT_CLONE:
		return cloned(s, call, call->arg[0], CLONE_NEW_ANY);
	case NJ_ACT_CLONE3:
		return cloned3(s, call);
	}
	return 0;
}

CALL_PROGRAM(namespace)
