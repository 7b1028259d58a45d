/* Calls that set user ids, group ids or capabilities: what the credentials are afterwards. Failed
 * ones are reported too: somebody tried. */
#include "bpf/privilege.bpf.h"
#include "bpf/emit.bpf.h"

int privilege_changed(__s64 result, __u32 call)
{
	struct nj_cred *cred = emit_reserve(struct nj_cred, NJ_CLASS_PRIVILEGE);

	if (!cred)
		return 0;
	emit_head(&cred->head, NJ_CRED, sizeof(*cred));
	cred->result = result;
	cred->call = call;
	task_creds(bpf_get_current_task_btf(), &cred->creds);
	emit_submit(cred, NJ_CLASS_PRIVILEGE, EMIT_LATER);
	return 0;
}
