/* Calls that set user ids, group ids, capabilities and what a process may become: what the credentials
 * are afterwards. Failed ones are reported too: somebody tried. */
#include "bpf/act.bpf.h"

#define ADDRESS(place) (1U << (place))

static __always_inline int changed(struct scratch *s, const struct call *call, __u32 count, __u32 addresses)
{
	struct nj_act *act;

	act = act_begin(s, call, NJ_KIND_CRED);
	act_args(act, call, count, addresses);
	act_add_creds();
	act_emit(s, act, NJ_CLASS_PRIVILEGE, EMIT_LATER);
	return 0;
}

enum {
	PR_SET_DUMPABLE = 4,
	PR_SET_KEEPCAPS = 8,
	PR_SET_NAME = 15,
	PR_SET_SECCOMP = 22,
	PR_SET_SECUREBITS = 28,
	PR_SET_MM = 35,
	PR_SET_NO_NEW_PRIVS = 38,
	PR_CAP_AMBIENT = 47,
	PR_SET_PTRACER = 0x59616d61,
	PR_CAP_AMBIENT_RAISE = 2,
	PR_COMM_SIZE = 16,
};

/* What widens or gives up rights, or hides a process. What only asks, limits and timers are left out;
 * so is what drops a bounding capability, of which every container's start makes dozens. */
static __always_inline bool prctl_wanted(__u32 option, __u64 arg)
{
	switch (option) {
	case PR_SET_DUMPABLE:
	case PR_SET_KEEPCAPS:
	case PR_SET_NAME:
	case PR_SET_SECCOMP:
	case PR_SET_SECUREBITS:
	case PR_SET_MM:
	case PR_SET_NO_NEW_PRIVS:
	case PR_SET_PTRACER:
		return true;
	case PR_CAP_AMBIENT:
		return arg == PR_CAP_AMBIENT_RAISE;
	}
	return false;
}

static __always_inline int controlled(struct scratch *s, const struct call *call)
{
	__u32 option = (__u32)call->arg[0];
	struct nj_act *act;

	if (!prctl_wanted(option, call->arg[1]))
		return 0;
	act = act_begin(s, call, NJ_KIND_PRCTL);
	act_args(act, call, 3, option == PR_SET_NAME || option == PR_SET_MM ? ADDRESS(1) | ADDRESS(2) : ADDRESS(2));
	if (option == PR_SET_NAME && call->result >= 0)
		act_add_kernel_text(NJ_PART_TEXT,
				    bpf_get_current_task() + bpf_core_field_offset(struct task_struct, comm));
	else if (option == PR_SET_NAME)
		act_add_text(NJ_PART_TEXT, call->arg[1], PR_COMM_SIZE);
	else if (option == PR_SET_MM || option == PR_CAP_AMBIENT)
		act->arg[option == PR_SET_MM ? 1 : 2] = call->arg[option == PR_SET_MM ? 1 : 2];
	act_emit(s, act, NJ_CLASS_PRIVILEGE, EMIT_LATER);
	return 0;
}

enum { SECCOMP_SET_MODE_STRICT = 0, SECCOMP_SET_MODE_FILTER = 1 };

/* As prctl(PR_SET_SECCOMP, mode, filter) says it: modes are the operations from 1. Its flags come last. */
static __always_inline int confined(struct scratch *s, const struct call *call)
{
	__u32 operation = (__u32)call->arg[0];
	struct nj_act *act;

	if (operation != SECCOMP_SET_MODE_STRICT && operation != SECCOMP_SET_MODE_FILTER)
		return 0;
	act = act_begin(s, call, NJ_KIND_PRCTL);
	act->arg[0] = PR_SET_SECCOMP;
	act->arg[1] = operation + 1;
	act->arg[3] = call->arg[1];
	act->arg_count = 4;
	act_emit(s, act, NJ_CLASS_PRIVILEGE, EMIT_LATER);
	return 0;
}

static __always_inline int privilege_act(struct scratch *s, const struct call *call)
{
	switch (call->act) {
	case NJ_ACT_SETID:
		return changed(s, call, 1, 0);
	case NJ_ACT_SETREID:
		return changed(s, call, 2, 0);
	case NJ_ACT_SETRESID:
		return changed(s, call, 3, 0);
	case NJ_ACT_SETGROUPS:
		return changed(s, call, 2, ADDRESS(1));
	case NJ_ACT_CAPSET:
		return changed(s, call, 2, ADDRESS(0) | ADDRESS(1));
	case NJ_ACT_PRCTL:
		return controlled(s, call);
	case NJ_ACT_SECCOMP:
		return confined(s, call);
	}
	return 0;
}

CALL_PROGRAM(privilege)
