/* CPU time of threads, by an iterator that the agent runs every few seconds: nothing is hooked, so
 * nothing that runs pays for it. The sum over a process is the agent's. */
#include "bpf/emit.bpf.h"
#include "bpf/task.bpf.h"

SEC("iter/task")
int cpu_sample(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;
	struct nj_cpu sample = {0};

	if (!task || task->flags & PF_KTHREAD || should_drop_task((__u32)task->tgid))
		return 0;
	sample.used_ns = task->se.sum_exec_runtime;
	if (task->pid == task->tgid)
		sample.used_ns += task->signal->sum_sched_runtime;
	if (sample.used_ns < NJ_CPU_FLOOR_NS)
		return 0;
	task_identity(task, &sample.thread.task);
	task_cgroup(task, &sample.thread.cgroup, &sample.thread.hierarchy);
	sample.thread.tid = (__u32)task->pid;
	bpf_seq_write(ctx->meta->seq, &sample, sizeof(sample));
	return 0;
}
