/* Reaching into other processes: ptrace, their memory, their descriptors. Failed attempts too. */
#include "bpf/act.bpf.h"
#include "bpf/fdinfo.bpf.h"
#include "bpf/novelty.bpf.h"
#include "bpf/target.bpf.h"

enum {
	PTRACE_TRACEME = 0,
	PTRACE_POKETEXT = 4,
	PTRACE_POKEDATA = 5,
	PTRACE_POKEUSR = 6,
	PTRACE_SETREGS = 13,
	PTRACE_SETFPREGS = 15,
	PTRACE_ATTACH = 16,
	PTRACE_SETREGSET = 0x4205,
	PTRACE_SEIZE = 0x4206,
};

/* What takes hold of a process or changes it. The rest, of which a debugger makes thousands, needs these
 * first. */
static __always_inline bool request_wanted(__u32 request)
{
	switch (request) {
	case PTRACE_TRACEME:
	case PTRACE_POKETEXT:
	case PTRACE_POKEDATA:
	case PTRACE_POKEUSR:
	case PTRACE_SETREGS:
	case PTRACE_SETFPREGS:
	case PTRACE_ATTACH:
	case PTRACE_SETREGSET:
	case PTRACE_SEIZE:
		return true;
	}
	return false;
}

/* One more of the same, done to the same. */
static __always_inline bool again(struct scratch *s, __u16 kind, __u64 task, __u64 flags)
{
	struct nj_key *key = novelty_key(s, NJ_CLASS_ACCESS, kind);

	target_add_key(key, task);
	key->flags = flags;
	key->result = s->call.result < 0 ? (__s32)s->call.result : 0;
	return novelty_repeat();
}

static __always_inline int traced(struct scratch *s, const struct call *call)
{
	__u32 request = (__u32)call->arg[0];
	struct nj_act *act;
	__u64 task;

	if (!request_wanted(request))
		return 0;
	/* A process that asks to be traced asks its parent. */
	task = request == PTRACE_TRACEME ? (__u64)BPF_CORE_READ(bpf_get_current_task_btf(), real_parent)
					 : target_by_number((int)call->arg[1]);
	if (again(s, NJ_KIND_PTRACE, task, request))
		return 0;
	act = act_begin(s, call, NJ_KIND_PTRACE);
	act->arg[0] = request;
	act->arg[1] = request == PTRACE_TRACEME ? 0 : call->arg[1];
	act->arg_count = 2;
	if (task)
		act_add_target(task);
	act_emit(s, act, NJ_CLASS_ACCESS, EMIT_NOW);
	return 0;
}

static __always_inline int memory_moved(struct scratch *s, const struct call *call)
{
	__u64 task = target_by_number((int)call->arg[0]);
	struct nj_act *act;

	if (target_is_self(task) || again(s, NJ_KIND_PROCESS_VM, task, call->nr))
		return 0;
	act = act_begin(s, call, NJ_KIND_PROCESS_VM);
	act->arg[0] = call->arg[0];
	act->arg_count = 1;
	if (task)
		act_add_target(task);
	act_emit(s, act, NJ_CLASS_ACCESS, EMIT_NOW);
	return 0;
}

/* What arrived stands behind the new descriptor. */
static __always_inline void add_arrived(int fd)
{
	struct file *file = fdinfo_current_file(fd);

	if (!file)
		return;
	if (fdinfo_endpoint((__u64)file, fd, ENDPOINT_SLOT, SCRATCH_HOOK) != NJ_EP_NONE)
		act_add_endpoint(ENDPOINT_SLOT);
	else
		act_add_file(NJ_PART_PATH, file);
}

static __always_inline int fetched(struct scratch *s, const struct call *call)
{
	__u64 task = target_by_pidfd((int)call->arg[0]);
	struct nj_act *act;

	if (target_is_self(task))
		return 0;
	act = act_begin(s, call, NJ_KIND_PASS);
	act_args(act, call, 3, 0);
	if (task)
		act_add_target(task);
	if (call->result >= 0)
		add_arrived((int)call->result);
	act_emit(s, act, NJ_CLASS_DESCRIPTOR, EMIT_NOW);
	return 0;
}

static __always_inline int access_act(struct scratch *s, const struct call *call)
{
	switch (call->act) {
	case NJ_ACT_PTRACE:
		return traced(s, call);
	case NJ_ACT_PROCESS_VM:
		return memory_moved(s, call);
	case NJ_ACT_PIDFD_GETFD:
		return fetched(s, call);
	}
	return 0;
}

CALL_PROGRAM(access)
