/* Process life: fork, exec and exit of processes (threads and the kernel's own are not reported), and
 * the birth and end of cgroups, which is how a container's processes are told apart. All of it goes through
 * one ring, so that other classes can never push it out. */
#include "bpf/emit.bpf.h"
#include "bpf/image.bpf.h"

/* Runs in the parent, before the child does. */
SEC("tp_btf/sched_process_fork")
int BPF_PROG(process_fork, struct task_struct *parent, struct task_struct *child)
{
	struct nj_fork *fork;

	if (child->pid != child->tgid || child->flags & PF_KTHREAD || should_drop_task((__u32)parent->tgid))
		return 0;
	fork = emit_reserve(struct nj_fork, NJ_CLASS_PROCESS);
	if (!fork)
		return 0;
	emit_head(&fork->head, NJ_FORK, sizeof(*fork));
	task_identity(child, &fork->child);
	fork->child_uid = child->cred->uid.val;
	fork->session = task_session(child);
	fork->tty = task_tty(child);
	task_numbers(child, &fork->pgid, &fork->vpid, &fork->vpgid);
	task_namespaces(child, &fork->namespaces);
	bpf_probe_read_kernel(fork->comm, sizeof(fork->comm), &child->comm);
	emit_submit(fork, NJ_CLASS_PROCESS, EMIT_LATER);
	return 0;
}

/* Runs in the new image, after the other threads are gone: the current task is the leader. */
SEC("tp_btf/sched_process_exec")
int BPF_PROG(process_exec, struct task_struct *task, int old_pid, struct linux_binprm *bprm)
{
	struct scratch *s = emit_scratch(SCRATCH_HOOK);
	const struct mm_struct *mm = task->mm;
	struct nj_exec *exec;
	__u32 pos;

	if (!s || should_drop_task((__u32)task->tgid))
		return 0;
	exec = scratch_record(s, struct nj_exec);
	emit_head_init(&exec->head, NJ_EXEC, 0);
	pos = image_fill(s, exec, task, SCRATCH_HOOK);
	if (mm->arg_end - mm->arg_start > NJ_ARGS_MAX)
		exec->flags |= NJ_ARGS_TRUNCATED;
	if (mm->env_end - mm->env_start > NJ_ENV_MAX)
		exec->flags |= NJ_ENV_TRUNCATED;
	pos = image_append_raw(s, pos, exec, bprm->filename);
	pos = image_append_user(s, pos, mm->arg_start, mm->arg_end, NJ_ARGS_MAX, &exec->args_len);
	pos = image_append_user(s, pos, mm->env_start, mm->env_end, NJ_ENV_MAX, &exec->env_len);
	if (pos > SCRATCH_VAR)
		return 0;
	exec->head.size = (__u16)(sizeof(*exec) + pos);
	emit_record(exec, sizeof(*exec) + pos, NJ_CLASS_PROCESS, EMIT_NOW);
	return 0;
}

/* Runs in each thread that ends. Two threads that end together may both see nobody left: the agent
 * takes the first. */
SEC("tp_btf/sched_process_exit")
int BPF_PROG(process_exit, struct task_struct *task)
{
	const struct signal_struct *signal = task->signal;
	struct nj_exit *exit;

	if (signal->live.counter != 0 || task->flags & PF_KTHREAD || should_drop_task((__u32)task->tgid))
		return 0;
	exit = emit_reserve(struct nj_exit, NJ_CLASS_PROCESS);
	if (!exit)
		return 0;
	emit_head(&exit->head, NJ_EXIT, sizeof(*exit));
	exit->code = signal->flags & SIGNAL_GROUP_EXIT ? (__u32)signal->group_exit_code
						       : (__u32)task->group_leader->exit_code;
	emit_submit(exit, NJ_CLASS_PROCESS, EMIT_LATER);
	return 0;
}

static __always_inline int cgroup_changed(const struct cgroup *cgroup, const char *path, bool removed)
{
	struct scratch *s = emit_scratch(SCRATCH_HOOK);
	struct nj_cgroup *record;
	long len;

	if (!s)
		return 0;
	record = scratch_record(s, struct nj_cgroup);
	emit_head(&record->head, NJ_CGROUP, 0);
	record->id = cgroup->kn->id;
	record->hierarchy = (__u32)cgroup->root->hierarchy_id;
	record->removed = removed;
	len = bpf_probe_read_kernel_str(s->var, NJ_PATH_MAX, path);
	if (len <= 0 || len > NJ_PATH_MAX)
		return 0;
	record->path_len = (__u16)len;
	record->head.size = (__u16)(sizeof(*record) + len);
	emit_record(record, sizeof(*record) + (__u32)len, NJ_CLASS_CGROUP, EMIT_LATER);
	return 0;
}

SEC("tp_btf/cgroup_mkdir")
int BPF_PROG(cgroup_made, struct cgroup *cgroup, const char *path)
{
	return cgroup_changed(cgroup, path, false);
}

SEC("tp_btf/cgroup_rmdir")
int BPF_PROG(cgroup_gone, struct cgroup *cgroup, const char *path)
{
	return cgroup_changed(cgroup, path, true);
}
