/* socketcall(2), through which older 32-bit programs make every call on sockets: one number, and the
 * arguments in memory. */
#pragma once

#include "bpf/call.bpf.h"

#define SOCKETCALL_NUMBERS 32 /* a power of two above the largest */

/* By the number of the call within socketcall. */
static const struct {
	__u8 act;
	__u8 args;
} socketcalls[SOCKETCALL_NUMBERS] = {
	[1] = {NJ_ACT_SOCKET, 3},    [2] = {NJ_ACT_BIND, 3},	  [3] = {NJ_ACT_CONNECT, 3},
	[4] = {NJ_ACT_LISTEN, 2},    [5] = {NJ_ACT_ACCEPT, 3},	  [8] = {NJ_ACT_PAIR, 4},
	[9] = {NJ_ACT_SENDTO, 4},    [10] = {NJ_ACT_RECVFROM, 4}, [11] = {NJ_ACT_SENDTO, 6},
	[12] = {NJ_ACT_RECVFROM, 6}, [16] = {NJ_ACT_SENDMSG, 3},  [17] = {NJ_ACT_RECVMSG, 3},
	[18] = {NJ_ACT_ACCEPT4, 4},   [19] = {NJ_ACT_RECVMMSG, 5}, [20] = {NJ_ACT_SENDMMSG, 4},
};

/* Makes it the call that it stands for. Returns its act, NJ_ACT_NONE for what nobody looks at. */
static __always_inline __u32 socketcall_resolve(struct call *call)
{
	__u64 number = bounded(call->arg[0], SOCKETCALL_NUMBERS - 1);
	__u32 arg[8] = {0};
	__u32 len = (__u32)bounded(socketcalls[number].args, 7) * sizeof(arg[0]);
	__u32 i;

	if (call->arg[0] >= SOCKETCALL_NUMBERS)
		return NJ_ACT_NONE;
	bpf_probe_read_user(arg, len, (void *)call->arg[1]);
#pragma unroll
	for (i = 0; i < 6; i++)
		call->arg[i] = arg[i];
	call->act = socketcalls[number].act;
	return call->act;
}
