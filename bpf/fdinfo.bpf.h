/* What is behind a descriptor: the conversation endpoints of abi.h. */
#pragma once

#include "bpf/maps.bpf.h"

#define ENDPOINTS_CUT (1 << 16) /* in fdinfo_endpoints' result: there were more */
/* Of scratch.endpoints: for one descriptor alone. */
#define ENDPOINT_SLOT 0

/* Fills endpoints[slot] of the scratch in that row from a struct file. Returns enum nj_endpoint_kind. Functions
 * of their own to the verifier, as path_resolve is. */
int fdinfo_endpoint(__u64 file, int fd, __u32 slot, __u32 row);
/* Walks the descriptors below NJ_ENDPOINT_FDS of a struct files_struct by its bitmap of open ones
 * and fills scratch.endpoints from 0. Returns how many, ENDPOINTS_CUT added. */
int fdinfo_endpoints(__u64 files, __u32 row);

static __always_inline struct file *fdinfo_file(const struct files_struct *files, __u32 fd)
{
	struct fdtable *table = kernel_read(files, fdt);
	struct file **slots = kernel_read(table, fd);
	struct file *file = NULL;

	if (fd >= kernel_read(table, max_fds))
		return NULL;
	bpf_probe_read_kernel(&file, sizeof(file), slots + fd);
	return file;
}

static __always_inline struct file *fdinfo_current_file(__s64 fd)
{
	const struct task_struct *task = bpf_get_current_task_btf();

	return fd < 0 ? NULL : fdinfo_file(task->files, (__u32)fd);
}

/* Addresses, ports, state and identity of an Internet socket; kind is the caller's. */
static __always_inline void fdinfo_inet(const struct sock *sk, struct nj_endpoint *ep)
{
	ep->family = (__u8)kernel_read(sk, __sk_common.skc_family);
	ep->state = kernel_read(sk, __sk_common.skc_state);
	ep->local_port = kernel_read(sk, __sk_common.skc_num);
	/* A socket that closes has given its port back, but its header template still has it. */
	if (ep->local_port == 0)
		ep->local_port = __builtin_bswap16(
			kernel_read((const struct inet_sock *)sk, inet_sport));
	ep->remote_port = __builtin_bswap16(kernel_read(sk, __sk_common.skc_dport));
	ep->id = (__u64)kernel_read(sk, __sk_common.skc_cookie.counter);
	ep->id2 = kernel_read(sk, __sk_common.skc_net.net, ns.inum);
	if (ep->family == AF_INET6) {
		bpf_core_read(ep->local_ip, 16, &sk->__sk_common.skc_v6_rcv_saddr);
		bpf_core_read(ep->remote_ip, 16, &sk->__sk_common.skc_v6_daddr);
		return;
	}
	*(__u32 *)ep->local_ip = kernel_read(sk, __sk_common.skc_rcv_saddr);
	*(__u32 *)ep->remote_ip = kernel_read(sk, __sk_common.skc_daddr);
}
