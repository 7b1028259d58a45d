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

/* Everybody may do to himself what he likes. */
static __always_inline bool target_is_self(__u64 task)
{
	return target_tgid(task) == (__u32)bpf_get_current_task_btf()->tgid;
}
