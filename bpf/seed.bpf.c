/* What is older than the agent: iterators that write the records of live process images, and give
 * the sockets they hold an identity and an owner. Arguments and environment are not here; user space
 * reads them from /proc. */
#include "bpf/emit.bpf.h"
#include "bpf/image.bpf.h"

SEC("iter/task")
int seed_task(struct bpf_iter__task *ctx)
{
	struct scratch *s = emit_scratch(SCRATCH_SEED);
	struct task_struct *task = ctx->task;
	struct nj_exec *exec;
	__u32 pos;

	if (!s || !task || task->pid != task->tgid || task->flags & PF_KTHREAD)
		return 0;
	if (!task->mm || !task->fs || !task->files)
		return 0;
	exec = scratch_record(s, struct nj_exec);
	emit_head_init(&exec->head, NJ_EXEC, 0);
	pos = image_fill(s, exec, task, SCRATCH_SEED);
	if (pos > SCRATCH_VAR)
		return 0;
	exec->head.size = (__u16)(sizeof(*exec) + pos);
	bpf_seq_write(ctx->meta->seq, exec, sizeof(*exec) + pos);
	return 0;
}

SEC("iter/task_file")
int seed_sockets(struct bpf_iter__task_file *ctx)
{
	struct nj_owner owner = {0};
	struct task_struct *task = ctx->task;
	struct file *file = ctx->file;
	struct nj_owner *kept;
	struct socket *socket;
	struct sock *sk;

	if (!file || !task)
		return 0;
	socket = bpf_sock_from_file(file);
	if (!socket)
		return 0;
	sk = socket->sk;
	if (!sk || sk->sk_protocol != IPPROTO_TCP)
		return 0;
	bpf_get_socket_cookie(sk);
	task_identity(task, &owner.task);
	task_cgroup(task, &owner.cgroup, &owner.hierarchy);
	owner.tid = (__u32)task->pid;
	kept = bpf_sk_storage_get(&owners, sk, NULL, BPF_SK_STORAGE_GET_F_CREATE);
	if (kept && kept->tid == 0)
		*kept = owner;
	return 0;
}
