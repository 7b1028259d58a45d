/* Bytes that a process moves without reading them: splice, tee, vmsplice, sendfile. An edge from one
 * object to another, of which one at least is a conversation; what moves between files is not told.
 * copy_file_range only knows files. */
#include "bpf/act.bpf.h"
#include "bpf/fdinfo.bpf.h"
#include "bpf/novelty.bpf.h"
#include "bpf/socket.bpf.h"

/* Slots of scratch.endpoints. */
enum { FROM, TO };

/* The object in the first half of the key, then in the second: a file by its inode. */
static __always_inline void key_of(struct scratch *s, struct file *from, struct file *to)
{
	struct nj_key *key = novelty_key(s, NJ_CLASS_SPLICE, NJ_KIND_SPLICE);
	const struct nj_endpoint *target = &s->endpoints[TO];

	if (s->endpoints[FROM].kind != NJ_EP_NONE)
		novelty_add_endpoint(key, &s->endpoints[FROM]);
	else if (from)
		novelty_add_inode(key, BPF_CORE_READ(from, f_inode));
	key->raw_hash = target->id;
	key->flags = target->id2;
	if (target->kind == NJ_EP_NONE && to) {
		key->raw_hash = BPF_CORE_READ(to, f_inode, i_ino);
		key->flags = BPF_CORE_READ(to, f_inode, i_sb, s_dev);
	}
	key->result = s->call.result < 0 ? (__s32)s->call.result : 0;
}

/* from and to: descriptors; -1 for memory. */
static __noinline int moved(struct scratch *s, const struct call *call, int from_fd, int to_fd)
{
	struct file *from = fdinfo_current_file(from_fd), *to = fdinfo_current_file(to_fd);
	struct nj_act *act;

	if (call->result == 0 || socket_came_to_nothing(call->result))
		return 0;
	__builtin_memset(&s->endpoints[FROM], 0, 2 * sizeof(s->endpoints[FROM]));
	s->endpoints[FROM].fd = s->endpoints[TO].fd = -1;
	if (from)
		fdinfo_endpoint((__u64)from, from_fd, FROM, SCRATCH_HOOK);
	if (to)
		fdinfo_endpoint((__u64)to, to_fd, TO, SCRATCH_HOOK);
	if (s->endpoints[FROM].kind == NJ_EP_NONE && s->endpoints[TO].kind == NJ_EP_NONE)
		return 0;
	key_of(s, from, to);
	if (novelty_repeat())
		return 0;
	act = act_begin(s, call, NJ_KIND_SPLICE);
	act_add_endpoint(FROM);
	act_add_endpoint(TO);
	if (from && s->endpoints[FROM].kind == NJ_EP_NONE)
		act_add_file(NJ_PART_PATH, from);
	else if (to && s->endpoints[TO].kind == NJ_EP_NONE)
		act_add_file(NJ_PART_PATH, to);
	act_emit(s, act, NJ_CLASS_SPLICE, EMIT_LATER);
	return 0;
}

/* Memory goes into a pipe's write end, and comes out of its read end. */
static __always_inline int moved_memory(struct scratch *s, const struct call *call)
{
	int fd = (int)call->arg[0];
	struct file *file = fdinfo_current_file(fd);

	if (file && BPF_CORE_READ(file, f_mode) & NJ_EP_WRITE)
		return moved(s, call, -1, fd);
	return moved(s, call, fd, -1);
}

static __always_inline int splice_act(struct scratch *s, const struct call *call)
{
	switch (call->act) {
	case NJ_ACT_SPLICE:
		return moved(s, call, (int)call->arg[0], (int)call->arg[2]);
	case NJ_ACT_TEE:
		return moved(s, call, (int)call->arg[0], (int)call->arg[1]);
	case NJ_ACT_VMSPLICE:
		return moved_memory(s, call);
	case NJ_ACT_SENDFILE:
		return moved(s, call, (int)call->arg[1], (int)call->arg[0]);
	}
	return 0;
}

CALL_PROGRAM(splice)
