/* Code that comes from nowhere: memory that was written and is made executable, or is both from the start,
 * and files that have no name. Which memory it was is what the mapping says after the call. */
#include "bpf/act.bpf.h"
#include "bpf/fdinfo.bpf.h"
#include "bpf/novelty.bpf.h"

enum {
	PROT_WRITE = 2,
	PROT_EXEC = 4,
	MAP_SHARED = 1, /* in MAP_SHARED_VALIDATE too */
	MAP_ANONYMOUS = 0x20,
	SHM_EXEC = 0100000,
	IPC_SHMAT = 21,
	FILE_WRITABLE = 2, /* of f_mode */
	VM_EXEC = 0x4,
	VM_SHARED = 0x8,
	VM_MAYWRITE = 0x20,
};

static __always_inline int memfd_made(struct scratch *s, const struct call *call)
{
	struct file *file = fdinfo_current_file(call->result);
	struct nj_act *act;

	act = act_begin(s, call, NJ_KIND_MEMFD);
	act_args(act, call, 2, 1);
	act_add_text(NJ_PART_TEXT, call->arg[0], NJ_RAW_MAX);
	if (file)
		act_add_inode((__u64)BPF_CORE_READ(file, f_inode));
	act_emit(s, act, NJ_CLASS_MEMORY, EMIT_LATER);
	return 0;
}

struct mapping {
	__u64 flags;
	bool anonymous; /* pages of the process's own were written here */
	__u64 file;
};

static long look_at(struct task_struct *task, struct vm_area_struct *vma, struct mapping *found)
{
	found->flags = vma->vm_flags;
	found->anonymous = vma->anon_vma != NULL;
	found->file = (__u64)BPF_CORE_READ(vma, vm_file);
	return 0;
}

/* Helpers of 5.17 and later: without, only protections that are writable and executable at once are told. */
enum bpf_func_id___nj {
	BPF_FUNC_find_vma___nj = 180,
};

static __always_inline void find_mapping(__u64 address, struct mapping *found)
{
	if (!bpf_core_enum_value_exists(enum bpf_func_id___nj, BPF_FUNC_find_vma___nj))
		return;
	bpf_find_vma(bpf_get_current_task_btf(), address, look_at, found, 0);
}

/* Written before, or writable now: by this mapping, or by another one of the same shared memory. Code
 * that a loader maps from a file and never writes is neither. */
static __always_inline bool may_hold_written(const struct mapping *m, __u64 protection)
{
	return protection & PROT_WRITE || m->anonymous || (m->flags & VM_SHARED && m->flags & VM_MAYWRITE);
}

/* flags: what tells one way from another, with the number of the call. */
static __noinline int tell(struct scratch *s, struct file *file, __u32 args, __u64 flags)
{
	const struct call *call = &s->call;
	struct nj_key *key = novelty_key(s, NJ_CLASS_MEMORY, NJ_KIND_MEMORY_EXEC);
	struct nj_act *act;

	if (file)
		novelty_add_inode(key, BPF_CORE_READ(file, f_inode));
	key->flags = (__u64)call->nr << 32 | flags;
	key->result = call->result < 0 ? (__s32)call->result : 0;
	if (novelty_repeat())
		return 0;
	act = act_begin(s, call, NJ_KIND_MEMORY_EXEC);
	act_args(act, call, args, 0);
	if (file)
		act_add_file(NJ_PART_PATH, file);
	act_emit(s, act, NJ_CLASS_MEMORY, EMIT_LATER);
	return 0;
}

static __always_inline int made_executable(struct scratch *s, const struct call *call)
{
	struct mapping mapping = {0};

	if (!(call->arg[2] & PROT_EXEC))
		return 0;
	find_mapping(call->arg[0], &mapping);
	if (call->result >= 0 && !may_hold_written(&mapping, call->arg[2]))
		return 0;
	return tell(s, (void *)mapping.file, 3, call->arg[2]);
}

/* A file that has no name, or one that is shared and open for writing, may hold what somebody wrote. What a
 * loader maps is neither. */
static __always_inline bool file_may_hold_written(const struct file *file, __u64 flags)
{
	if (flags & MAP_SHARED && BPF_CORE_READ(file, f_mode) & FILE_WRITABLE)
		return true;
	return BPF_CORE_READ(file, f_inode, i_nlink) == 0;
}

/* Nearly every mapping ends at the first test. */
static __always_inline int mapped(struct scratch *s, const struct call *call)
{
	__u64 protection = call->arg[2], flags = call->arg[3];
	struct mapping mapping = {0};
	struct file *file = NULL;

	if (!(protection & PROT_EXEC))
		return 0;
	if (!(flags & MAP_ANONYMOUS))
		file = fdinfo_current_file((__s32)call->arg[4]);
	if (!(protection & PROT_WRITE) && !(file && file_may_hold_written(file, flags)))
		return 0;
	if (call->result >= 0)
		find_mapping((__u64)call->result, &mapping);
	if (mapping.file)
		file = (void *)mapping.file;
	return tell(s, file, 5, protection | flags << 8);
}

/* The arguments stand in memory. */
static __always_inline int mapped_old(struct scratch *s)
{
	__u32 arg[5] = {0};
	int i;

	bpf_probe_read_user(arg, sizeof(arg), (void *)s->call.arg[0]);
#pragma unroll
	for (i = 0; i < 5; i++)
		s->call.arg[i] = arg[i];
	return mapped(s, &s->call);
}

/* Whoever attaches a segment may write it, by another mapping. */
static __always_inline int attached(struct scratch *s, const struct call *call)
{
	struct mapping mapping = {0};

	if (!(call->arg[2] & SHM_EXEC))
		return 0;
	if (call->result >= 0)
		find_mapping((__u64)call->result, &mapping);
	return tell(s, (void *)mapping.file, 3, call->arg[2]);
}

/* Through ipc(2) the address of the segment stands in memory, and the result is 0. */
static __always_inline int ipc_called(struct scratch *s)
{
	__u32 at = 0;

	if ((s->call.arg[0] & 0xffff) != IPC_SHMAT)
		return 0;
	s->call.arg[0] = s->call.arg[1];
	s->call.arg[1] = s->call.arg[4];
	if (s->call.result == 0 && bpf_probe_read_user(&at, sizeof(at), (void *)s->call.arg[3]) == 0)
		s->call.result = at;
	return attached(s, &s->call);
}

static __always_inline int memory_act(struct scratch *s, const struct call *call)
{
	switch (call->act) {
	case NJ_ACT_MEMFD:
		return memfd_made(s, call);
	case NJ_ACT_MPROTECT:
		return made_executable(s, call);
	case NJ_ACT_MMAP:
		return mapped(s, call);
	case NJ_ACT_OLD_MMAP:
		return mapped_old(s);
	case NJ_ACT_SHMAT:
		return attached(s, call);
	case NJ_ACT_IPC:
		return ipc_called(s);
	}
	return 0;
}

CALL_PROGRAM(memory)
