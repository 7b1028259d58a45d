/* Code that comes from nowhere: memory that was written and is made executable, and files that have no
 * name. Which memory it was is what the mapping says after the call. */
#include "bpf/act.bpf.h"
#include "bpf/fdinfo.bpf.h"
#include "bpf/novelty.bpf.h"

enum {
	PROT_WRITE = 2,
	PROT_EXEC = 4,
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

static __always_inline int made_executable(struct scratch *s, const struct call *call)
{
	struct mapping mapping = {0};
	struct file *file;
	struct nj_key *key;
	struct nj_act *act;

	if (!(call->arg[2] & PROT_EXEC))
		return 0;
	find_mapping(call->arg[0], &mapping);
	if (call->result >= 0 && !may_hold_written(&mapping, call->arg[2]))
		return 0;
	file = (void *)mapping.file;
	key = novelty_key(s, NJ_CLASS_MEMORY, NJ_KIND_MEMORY_EXEC);
	if (file)
		novelty_add_inode(key, BPF_CORE_READ(file, f_inode));
	key->flags = call->arg[2];
	key->result = call->result < 0 ? (__s32)call->result : 0;
	if (novelty_repeat())
		return 0;
	act = act_begin(s, call, NJ_KIND_MEMORY_EXEC);
	act_args(act, call, 3, 0);
	if (file)
		act_add_file(NJ_PART_PATH, file);
	act_emit(s, act, NJ_CLASS_MEMORY, EMIT_LATER);
	return 0;
}

static __always_inline int memory_act(struct scratch *s, const struct call *call)
{
	switch (call->act) {
	case NJ_ACT_MEMFD:
		return memfd_made(s, call);
	case NJ_ACT_MPROTECT:
		return made_executable(s, call);
	}
	return 0;
}

CALL_PROGRAM(memory)
