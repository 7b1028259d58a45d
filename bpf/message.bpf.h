/* struct msghdr and mmsghdr of the calling process, 64-bit or not. */
#pragma once

#include "bpf/call.bpf.h"

struct message_header {
	__u64 name;
	__u32 name_len;
	__u64 control;
	__u64 control_len;
	__u32 bytes; /* mmsghdr: of that message, after the call */
};

/* As user space lays them out. */
struct message_native {
	__u64 name;
	__u32 name_len;
	__u32 pad;
	__u64 iov, iov_count, control, control_len;
	__u32 flags;
	__u32 pad2;
	__u32 bytes;
};

struct message_compat {
	__u32 name, name_len, iov, iov_count, control, control_len, flags, bytes;
};

/* bytes is read only where there is a vector: behind a single header may be anything, or nothing. */
static __always_inline long message_read_header(const struct call *call, __u64 at, struct message_header *ret_header)
{
	bool vector = call->act == NJ_ACT_SENDMMSG || call->act == NJ_ACT_RECVMMSG;
	struct message_native native = {0};
	struct message_compat compat = {0};
	long r;

	if (call->compat) {
		r = bpf_probe_read_user(&compat, vector ? 32 : 28, (void *)at);
		*ret_header = (struct message_header){compat.name, compat.name_len, compat.control,
						      compat.control_len, compat.bytes};
		return r;
	}
	r = bpf_probe_read_user(&native, vector ? 60 : 56, (void *)at);
	*ret_header = (struct message_header){native.name, native.name_len, native.control, native.control_len,
					      native.bytes};
	return r;
}
