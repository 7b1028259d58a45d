/* Descriptors that come to stand for a conversation: copies of one, and new pairs. A copy of a
 * regular file says nothing and stays in the kernel; so does one that failed, which shells make all day. */
#include "bpf/act.bpf.h"
#include "bpf/fdinfo.bpf.h"

#define F_DUPFD		0
#define F_DUPFD_CLOEXEC 1030
#define ADDRESS(n)	(1U << (n))

static __always_inline int copied(struct scratch *s, const struct call *call, __u32 args)
{
	struct file *file = fdinfo_current_file(call->result);
	struct nj_act *act;

	if (!file || call->result == (int)call->arg[0])
		return 0;
	if (fdinfo_endpoint((__u64)file, (int)call->result, ENDPOINT_SLOT, SCRATCH_HOOK) == NJ_EP_NONE)
		return 0;
	act = act_begin(s, call, NJ_KIND_DUP);
	act_args(act, call, args, 0);
	act_add_endpoint(ENDPOINT_SLOT);
	act_emit(s, act, NJ_CLASS_DESCRIPTOR, EMIT_NOW);
	return 0;
}

/* fds: which argument is the address of the two. */
static __always_inline int paired(struct scratch *s, const struct call *call, __u32 args, __u32 fds)
{
	int fd[2] = {-1, -1};
	struct file *file[2];
	struct nj_act *act;

	if (call->result < 0)
		return 0;
	bpf_probe_read_user(fd, sizeof(fd), (void *)call->arg[fds]);
	file[0] = fdinfo_current_file(fd[0]);
	file[1] = fdinfo_current_file(fd[1]);
	if (!file[0] || !file[1])
		return 0;
	if (fdinfo_endpoint((__u64)file[0], fd[0], 0, SCRATCH_HOOK) == NJ_EP_NONE ||
	    fdinfo_endpoint((__u64)file[1], fd[1], 1, SCRATCH_HOOK) == NJ_EP_NONE)
		return 0;
	act = act_begin(s, call, NJ_KIND_PIPE);
	act_args(act, call, args, ADDRESS(fds));
	act_add_endpoint(0);
	act_add_endpoint(1);
	act_emit(s, act, NJ_CLASS_DESCRIPTOR, EMIT_LATER);
	return 0;
}

static __always_inline int descriptor_act(struct scratch *s, const struct call *call)
{
	switch (call->act) {
	case NJ_ACT_FCNTL:
		if (call->arg[1] != F_DUPFD && call->arg[1] != F_DUPFD_CLOEXEC)
			return 0;
		return copied(s, call, 3);
	case NJ_ACT_DUP:
		return copied(s, call, 1);
	case NJ_ACT_DUP2:
		return copied(s, call, 2);
	case NJ_ACT_DUP3:
		return copied(s, call, 3);
	case NJ_ACT_PIPE:
		return paired(s, call, 1, 0);
	case NJ_ACT_PIPE2:
		return paired(s, call, 2, 0);
	case NJ_ACT_PAIR:
		return paired(s, call, 4, 3);
	}
	return 0;
}

CALL_PROGRAM(descriptor)
