/* Programs that are never attached: the agent and the tests run them with BPF_PROG_TEST_RUN. */
#include "bpf/emit.bpf.h"
#include "bpf/fdinfo.bpf.h"
#include "bpf/path.bpf.h"

/* Notes who we are as the first pid namespace numbers it, which getpid() in a container is not. */
SEC("raw_tp")
int selftest_own(void *ctx)
{
	(void)ctx;
	settings.own_tgid = (__u32)(bpf_get_current_pid_tgid() >> 32);
	return 0;
}

/* The working directory's path ends up in the scratch; returns path_resolve's result. */
SEC("raw_tp")
int selftest_path(void *ctx)
{
	const struct task_struct *task = bpf_get_current_task_btf();

	(void)ctx;
	return path_of(&task->fs->pwd, task->fs, SCRATCH_HOOK);
}

/* Endpoints of the caller; returns fdinfo_endpoints' result. */
SEC("raw_tp")
int selftest_endpoints(void *ctx)
{
	const struct task_struct *task = bpf_get_current_task_btf();

	(void)ctx;
	return fdinfo_endpoints((__u64)BPF_CORE_READ(task, files), SCRATCH_HOOK);
}
