/* Whom an act was done to, found after the call from what the call was given: a number, which the pid
 * namespace of who acts gives its meaning, or a pidfd. The kernel's own tables are walked, because its
 * helpers for it are newer than most kernels.
 *
 * Who has ended and was waited for by then is not found; the number stands in the arguments all the same.
 * A number that another process got in the meantime names that one. */
#pragma once

#include "bpf/act.bpf.h"

/* The struct task_struct of that thread, or of the leader of that process; 0: none. Functions of their own
 * to the verifier. */
__u64 target_by_number(int number);
__u64 target_by_pidfd(int fd);

/* 0 for no task. */
static __always_inline __u32 target_tgid(__u64 task)
{
	return task ? (__u32)BPF_CORE_READ((const struct task_struct *)task, tgid) : 0;
}

/* Whom it was done to, for novelty: a number that comes again names somebody else, and so does a process
 * with a new image. Takes these three words of the key. */
static __always_inline void target_add_key(struct nj_key *key, __u64 address)
{
	const struct task_struct *task = (const void *)address;

	if (!task)
		return;
	key->device = target_tgid(address);
	key->raw_hash = BPF_CORE_READ(task, group_leader, start_boottime);
	key->generation = (__u32)BPF_CORE_READ(task, group_leader, self_exec_id);
}

/* Everybody may do to himself what he likes. */
static __always_inline bool target_is_self(__u64 task)
{
	return target_tgid(task) == (__u32)bpf_get_current_task_btf()->tgid;
}
