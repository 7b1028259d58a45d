/* Calls that set user ids, group ids or capabilities: what the credentials are afterwards. Failed
 * ones are reported too: somebody tried. */
#include "bpf/act.bpf.h"

static __always_inline int changed(const struct call *call)
{
	struct scratch *s = emit_scratch(SCRATCH_HOOK);
	struct nj_act *act;

	if (!s)
		return 0;
	act = act_begin(s, call, NJ_KIND_CRED);
	act_args(act, call, 3, 0);
	act_add_creds();
	act_emit(s, act, NJ_CLASS_PRIVILEGE, EMIT_LATER);
	return 0;
}

static __always_inline int privilege_act(const struct call *call)
{
	switch (call->act) {
	case NJ_ACT_CRED:
		return changed(call);
	}
	return 0;
}

CALL_PROGRAM(privilege)
