/* After recvmsg(2) the control messages in the caller's memory hold the numbers of the descriptors that
 * were made for it; those of sendmsg(2) name what was sent. What they stand for is looked up in its
 * table, so memory that lies names nothing that the process does not have. */
#include "bpf/pass.bpf.h"
#include "bpf/act.bpf.h"
#include "bpf/fdinfo.bpf.h"

#define SOL_SOCKET   1
#define SCM_RIGHTS   1
#define MESSAGES_MAX 4 /* that are looked through: credentials, time stamps and the like stand beside */

struct control_native {
	__u64 len;
	__u32 level, type;
};

struct control_compat {
	__u32 len, level, type;
};

struct control {
	__u64 fds; /* address */
	__u32 count;
};

/* One control message at that address. Returns its length with padding, 0 when there is none. */
static __always_inline __u32 read_one(__u64 at, bool compat, struct control *ret_control)
{
	struct control_native native = {0};
	struct control_compat small = {0};
	__u32 head = compat ? sizeof(small) : sizeof(native);
	__u32 word = compat ? 4 : 8;

	if (compat) {
		bpf_probe_read_user(&small, sizeof(small), (void *)at);
		native = (struct control_native){small.len, small.level, small.type};
	} else {
		bpf_probe_read_user(&native, sizeof(native), (void *)at);
	}
	if (native.len < head || native.len > 1U << 16)
		return 0;
	if (native.level == SOL_SOCKET && native.type == SCM_RIGHTS) {
		ret_control->fds = at + head;
		ret_control->count = (__u32)(native.len - head) / sizeof(int);
	}
	return ((__u32)native.len + word - 1) & ~(word - 1);
}

static __always_inline struct control find_rights(__u64 at, __u32 len, bool compat)
{
	struct control found = {0};
	__u64 end = at + len;
	int i;

	for (i = 0; i < MESSAGES_MAX && found.count == 0; i++) {
		__u32 used = at < end ? read_one(at, compat, &found) : 0;

		if (used == 0)
			break;
		at += used;
	}
	return found;
}

/* Puts the endpoints (kind NONE for what is none) into the scratch's slots, and the first file that is
 * none into the record. */
static __always_inline void add_all(struct scratch *s, const struct control *rights)
{
	bool named = false;
	__u32 i;

	for (i = 0; i < NJ_ENDPOINTS_MAX; i++) {
		struct file *file;
		int fd = -1;

		if (i >= rights->count)
			break;
		bpf_probe_read_user(&fd, sizeof(fd), (void *)(rights->fds + i * sizeof(fd)));
		file = fdinfo_current_file(fd);
		if (!file)
			continue;
		if (fdinfo_endpoint((__u64)file, fd, ENDPOINT_SLOT, SCRATCH_HOOK) == NJ_EP_NONE && !named) {
			act_add_file(NJ_PART_PATH, file);
			named = true;
		}
		act_add_endpoint(ENDPOINT_SLOT);
		s->mark++;
	}
}

/* The socket that they went over, so that who sent and who received can be joined. */
static __always_inline void add_way(struct scratch *s, struct nj_act *act)
{
	struct file *file = fdinfo_current_file((__s32)s->call.arg[0]);

	act->arg[0] = s->call.arg[0];
	act->arg_count = 4;
	if (!file || fdinfo_endpoint((__u64)file, (int)s->call.arg[0], ENDPOINT_SLOT, SCRATCH_HOOK) != NJ_EP_UNIX)
		return;
	act->arg[2] = s->endpoints[ENDPOINT_SLOT].id;
	act->arg[3] = s->endpoints[ENDPOINT_SLOT].id2;
}

int pass_tell(__u64 control, __u32 len)
{
	struct scratch *s = emit_scratch(SCRATCH_HOOK);
	struct control rights;
	struct nj_act *act;

	if (!s)
		return 0;
	rights = find_rights(control, len, s->call.compat);
	if (rights.count == 0)
		return 0;
	s->mark = 0;
	act = act_begin(s, &s->call, NJ_KIND_PASS);
	act->arg[1] = rights.count;
	add_way(s, act);
	if (rights.count > NJ_ENDPOINTS_MAX)
		act->marks |= NJ_MARK_DATA_CUT;
	add_all(s, &rights);
	if (s->mark)
		act_emit(s, act, NJ_CLASS_DESCRIPTOR, EMIT_NOW);
	return 0;
}
