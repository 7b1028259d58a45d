/* Executions that failed: what was to be executed and with what, as it stands in the process's memory
 * after the call. One that succeeded is told by process.bpf.c. */
#include "bpf/walk.bpf.h"

#define ARGUMENTS_MAX 64
#define AT_EMPTY_PATH 0x1000

/* Appends the arguments that the array of pointers leads to, each with its final NUL, as one part of
 * data. Their texts lie anywhere, so each is read by itself. Returns how many. */
int exec_add_arguments(__u64 pointers, __u32 width)
{
	struct scratch *s = emit_scratch(SCRATCH_HOOK);
	struct nj_part part = {.type = NJ_PART_DATA};
	struct nj_act *act;
	__u32 pos, i;

	if (!s || s->pos >= SCRATCH_VAR)
		return 0;
	act = (void *)(s->head + SCRATCH_HEAD - sizeof(struct nj_act));
	pos = s->pos & (SCRATCH_VAR - 1);
	s->mark = 0;
	for (i = 0; i < ARGUMENTS_MAX; i++) {
		__u32 used = s->mark;
		__u64 text = 0;
		long len;

		if (bpf_probe_read_user(&text, width == 4 ? 4 : 8, (void *)(pointers + i * width))) {
			act->marks |= NJ_MARK_UNREADABLE;
			break;
		}
		if (!text)
			break;
		if (used >= NJ_DATA_MAX) {
			act->marks |= NJ_MARK_DATA_CUT;
			break;
		}
		len = bpf_probe_read_user_str(s->var + pos + sizeof(part) + (used & (NJ_DATA_MAX - 1)),
					      NJ_DATA_MAX - (used & (NJ_DATA_MAX - 1)), (void *)text);
		if (len <= 0 || len > NJ_DATA_MAX) {
			act->marks |= NJ_MARK_UNREADABLE;
			break;
		}
		s->mark = used + (__u32)len;
	}
	if (i == ARGUMENTS_MAX)
		act->marks |= NJ_MARK_DATA_CUT;
	part.len = (__u16)s->mark;
	if (part.len == 0 || part.len > NJ_DATA_MAX)
		return 0;
	__builtin_memcpy(s->var + pos, &part, sizeof(part));
	s->pos = pos + sizeof(part) + part.len;
	return (int)i;
}

static __always_inline int failed(struct scratch *s, const struct call *call, int dirfd, __u64 path, __u64 arguments,
				  __u32 flags)
{
	struct nj_act *act;

	if (call->result >= 0)
		return 0;
	act = act_begin(s, call, NJ_KIND_EXEC_FAILED);
	act->arg[0] = call->act == NJ_ACT_EXECVEAT ? (__u64)(__s64)dirfd : 0;
	act->arg[4] = call->act == NJ_ACT_EXECVEAT ? flags : 0;
	act->arg_count = call->act == NJ_ACT_EXECVEAT ? 5 : 0;
	walk_argument(path, dirfd, WALK_FOLLOW | (flags & AT_EMPTY_PATH ? WALK_EMPTY : 0));
	walk_add_path(NJ_PART_PATH);
	walk_add_inode();
	act_add_text(NJ_PART_RAW, path, NJ_RAW_MAX);
	exec_add_arguments(arguments, call->compat ? 4 : 8);
	act_emit(s, act, NJ_CLASS_EXEC_FAILED, EMIT_LATER);
	return 0;
}

static __always_inline int exec_act(struct scratch *s, const struct call *call)
{
	switch (call->act) {
	case NJ_ACT_EXECVE:
		return failed(s, call, WALK_AT_FDCWD, call->arg[0], call->arg[1], 0);
	case NJ_ACT_EXECVEAT:
		return failed(s, call, (int)call->arg[0], call->arg[1], call->arg[2], (__u32)call->arg[4]);
	}
	return 0;
}

CALL_PROGRAM(exec)
