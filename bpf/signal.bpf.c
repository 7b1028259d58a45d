/* Signals to other processes. What a process sends itself, and a signal of 0 that reached its process, which
 * only asks whether it is there, are not told. */
#include "bpf/act.bpf.h"
#include "bpf/novelty.bpf.h"
#include "bpf/target.bpf.h"

static __always_inline int sent(struct scratch *s, const struct call *call, __u64 task, __u32 signal)
{
	struct nj_key *key;
	struct nj_act *act;

	if (target_is_self(task) || (signal == 0 && call->result >= 0))
		return 0;
	key = novelty_key(s, NJ_CLASS_SIGNAL, NJ_KIND_SIGNAL);
	key->inode = task ? 0 : call->arg[0];
	target_add_key(key, task);
	key->flags = signal;
	key->result = call->result < 0 ? (__s32)call->result : 0;
	if (novelty_repeat())
		return 0;
	act = act_begin(s, call, NJ_KIND_SIGNAL);
	/* pid, signal; a group's number is negative, whatever the register's upper half holds. */
	act->arg[0] = (__u64)(__s64)(int)call->arg[0];
	act->arg[1] = signal;
	act->arg_count = 2;
	if (task)
		act_add_target(task);
	act_emit(s, act, NJ_CLASS_SIGNAL, EMIT_LATER);
	return 0;
}

static __always_inline int signal_act(struct scratch *s, const struct call *call)
{
	switch (call->act) {
	case NJ_ACT_KILL:
	case NJ_ACT_TKILL:
		return sent(s, call, target_by_number((int)call->arg[0]), (__u32)call->arg[1]);
	case NJ_ACT_TGKILL:
		return sent(s, call, target_by_number((int)call->arg[1]), (__u32)call->arg[2]);
	case NJ_ACT_PIDFD_SIGNAL:
		return sent(s, call, target_by_pidfd((int)call->arg[0]), (__u32)call->arg[1]);
	}
	return 0;
}

CALL_PROGRAM(signal)
