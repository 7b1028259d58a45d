/* Descriptors that come to stand for a conversation: copies of one, and new pairs. A copy of a
 * regular file says nothing and stays in the kernel. */
#include "bpf/descriptor.bpf.h"
#include "bpf/fdinfo.bpf.h"

#define F_DUPFD		0
#define F_DUPFD_CLOEXEC 1030

static __noinline int copied(struct scratch *s, __s64 result, int old_fd)
{
	struct file *file = fdinfo_current_file(result);
	struct nj_dup *dup;

	if (!file || result == old_fd)
		return 0;
	if (fdinfo_endpoint((__u64)file, (int)result, ENDPOINT_SLOT, SCRATCH_HOOK) == NJ_EP_NONE)
		return 0;
	dup = emit_reserve(struct nj_dup, NJ_CLASS_DESCRIPTOR);
	if (!dup)
		return 0;
	emit_head(&dup->head, NJ_DUP, sizeof(*dup));
	dup->old_fd = old_fd;
	dup->new_fd = (__s32)result;
	dup->endpoint = s->endpoints[ENDPOINT_SLOT];
	emit_submit(dup, NJ_CLASS_DESCRIPTOR, EMIT_NOW);
	return 0;
}

int descriptor_pair_made(__u64 fds_address)
{
	struct scratch *s = emit_scratch(SCRATCH_HOOK);
	int fds[2] = {-1, -1};
	struct file *file[2];
	struct nj_pipe *pipe;

	bpf_probe_read_user(fds, sizeof(fds), (void *)fds_address);
	file[0] = fdinfo_current_file(fds[0]);
	file[1] = fdinfo_current_file(fds[1]);
	if (!s || !file[0] || !file[1])
		return 0;
	if (fdinfo_endpoint((__u64)file[0], fds[0], 0, SCRATCH_HOOK) == NJ_EP_NONE ||
	    fdinfo_endpoint((__u64)file[1], fds[1], 1, SCRATCH_HOOK) == NJ_EP_NONE)
		return 0;
	pipe = emit_reserve(struct nj_pipe, NJ_CLASS_DESCRIPTOR);
	if (!pipe)
		return 0;
	emit_head(&pipe->head, NJ_PIPE, sizeof(*pipe));
	pipe->ends[0] = s->endpoints[0];
	pipe->ends[1] = s->endpoints[1];
	emit_submit(pipe, NJ_CLASS_DESCRIPTOR, EMIT_LATER);
	return 0;
}

static __always_inline int descriptor_act(struct scratch *s, const struct call *call)
{
	switch (call->act) {
	case NJ_ACT_FCNTL:
		if (call->arg[1] != F_DUPFD && call->arg[1] != F_DUPFD_CLOEXEC)
			return 0;
		return copied(s, call->result, (int)call->arg[0]);
	case NJ_ACT_DUP:
		return copied(s, call->result, (int)call->arg[0]);
	case NJ_ACT_PIPE:
		return call->result < 0 ? 0 : descriptor_pair_made(call->arg[0]);
	case NJ_ACT_PAIR:
		return call->result < 0 ? 0 : descriptor_pair_made(call->arg[3]);
	}
	return 0;
}

CALL_PROGRAM(descriptor)
