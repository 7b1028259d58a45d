/* Names of sockets: see socket.bpf.h. */
#include "bpf/socket.bpf.h"

#define SOCKADDR_VM_SIZE 16

/* A UNIX socket's address, abstract ones too, and where it is bound in the file tree. */
static __always_inline void add_unix(const struct unix_sock *unix, __u32 type, bool with_path)
{
	struct unix_address *address = kernel_read(unix, addr);
	struct dentry *dentry = kernel_read(unix, path.dentry);
	__u32 len = (__u32)kernel_read(address, len);

	if (len > sizeof(__u16))
		act_add_kernel(type, (__u64)&address->name, len);
	if (!dentry || !with_path)
		return;
	act_add_path(NJ_PART_PATH, (__u64)&unix->path);
	act_add_inode((__u64)kernel_read(dentry, d_inode));
}

int socket_add_names(__u64 sock, __u32 side)
{
	const struct sock *sk = (void *)sock;
	__u16 family = kernel_read(sk, __sk_common.skc_family);
	bool own_serves = side == SOCKET_OWN;

	if (family == AF_UNIX) {
		const struct unix_sock *own = (void *)sk;
		const struct sock *peer = kernel_read(own, peer);

		add_unix(own, own_serves ? NJ_PART_NAME : NJ_PART_NAME2, own_serves);
		if (peer)
			add_unix((void *)peer, own_serves ? NJ_PART_NAME2 : NJ_PART_NAME, !own_serves);
	} else if (family == AF_VSOCK && bpf_core_type_exists(struct vsock_sock)) {
		const struct vsock_sock *vsock = (void *)sk;
		__u64 own = (__u64)&vsock->local_addr, peer = (__u64)&vsock->remote_addr;

		act_add_kernel(NJ_PART_NAME, own_serves ? own : peer, SOCKADDR_VM_SIZE);
		act_add_kernel(NJ_PART_NAME2, own_serves ? peer : own, SOCKADDR_VM_SIZE);
	}
	return 0;
}
