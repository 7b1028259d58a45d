/* Puts an NJ_ACT record together, in the scratch of the running CPU:
 *
 *   struct nj_act *act = act_begin(s, call, NJ_KIND_CHMOD);
 *   act->arg[1] = call->arg[1];
 *   act_add_file(NJ_PART_PATH, (__u64)file);
 *   act_add_text(NJ_PART_RAW, call->arg[0], NJ_RAW_MAX);
 *   act_emit(s, act, NJ_CLASS_CHANGE, EMIT_LATER);
 *
 * What adds parts is a function of its own to the verifier, proved once for all programs: it takes
 * numbers, finds the record in the scratch again, and returns what became of it. A part that finds no
 * room or cannot be read is left out and the record marked. */
#pragma once

#include "bpf/call.bpf.h"

/* Text of the current address space, with its final NUL; at most max (NJ_RAW_MAX or less) bytes of it,
 * else it is marked as cut. Returns its length, 0 when it was left out. */
int act_add_text(__u32 type, __u64 user_address, __u32 max);
/* len bytes of the current address space, at most NJ_DATA_MAX. */
int act_add_data(__u32 type, __u64 user_address, __u32 len);
/* len bytes of kernel memory, at most NJ_RAW_MAX. */
int act_add_kernel(__u32 type, __u64 address, __u32 len);
/* Terminated text of len bytes in scratch.path; cut: some of it is missing. */
int act_add_scratch(__u32 type, __u32 start, __u32 len, __u32 cut);
/* The first len bytes, at most NJ_RAW_MAX, of scratch.raw. */
int act_add_raw(__u32 type, __u32 len);
/* Terminated text of kernel memory. */
int act_add_kernel_text(__u32 type, __u64 address);
/* The path of a struct path, as the current task sees it. */
int act_add_path(__u32 type, __u64 path_address);
/* NJ_PART_FILE of a struct inode. */
int act_add_inode(__u64 inode);
/* The endpoint in that slot of scratch.endpoints. */
int act_add_endpoint(__u32 slot);
/* NJ_PART_TARGET of a struct task_struct. */
int act_add_target(__u64 task);
/* NJ_PART_CREDS of the current task. */
int act_add_creds(void);
/* NJ_PART_NAMESPACES of the current task. */
int act_add_namespaces(void);

/* The zeroed fixed part. */
static __always_inline struct nj_act *act_begin(struct scratch *s, const struct call *call, __u16 kind)
{
	struct nj_act *act = scratch_record(s, struct nj_act);

	act->result = call->result;
	act->kind = kind;
	act->call = (__u16)call->nr;
	act->marks = call->compat ? NJ_MARK_COMPAT : 0;
	s->pos = 0;
	return act;
}

/* The first count arguments as they are, those that are addresses (a bit each) as 0. */
static __always_inline void act_args(struct nj_act *act, const struct call *call, __u32 count, __u32 addresses)
{
	__u32 i;

#pragma unroll
	for (i = 0; i < 6; i++)
		if (i < count && !(addresses & (1U << i)))
			act->arg[i] = call->arg[i];
	act->arg_count = (__u8)count;
}

/* The path and the identity of what is behind a struct file. */
static __always_inline void act_add_file(__u32 path_type, struct file *file)
{
	act_add_path(path_type, (__u64)&file->f_path);
	act_add_inode((__u64)kernel_read(file, f_inode));
}

/* Head and length, then out: an act of that task. */
static __always_inline void act_emit_of(struct scratch *s, struct nj_act *act, const struct task_struct *task,
					__u32 class, enum emit_haste haste)
{
	__u32 pos = s->pos;

	if (pos > SCRATCH_VAR)
		return;
	emit_head_init(&act->head, NJ_ACT, (__u16)(sizeof(*act) + pos));
	emit_head_task(&act->head, task);
	act->head.window = s->window;
	s->window = 0;
	emit_record(act, sizeof(*act) + pos, class, haste);
}

/* The current task is who acted. */
static __always_inline void act_emit(struct scratch *s, struct nj_act *act, __u32 class, enum emit_haste haste)
{
	act_emit_of(s, act, bpf_get_current_task_btf(), class, haste);
}
