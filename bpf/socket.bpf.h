/* What the families that look at sockets share: from a descriptor to its socket, and the names that
 * sockets other than Internet ones have. */
#pragma once

#include "bpf/act.bpf.h"
#include "bpf/fdinfo.bpf.h"

/* Whose name comes first: the text of an event is the name of the side that serves. */
enum socket_side { SOCKET_OWN, SOCKET_PEER };

/* Adds path, file and name of a UNIX socket and of its peer, the cid and port of a VSOCK one. side:
 * which of both serves. sock: a struct sock. */
int socket_add_names(__u64 sock, __u32 side);

/* The struct socket behind a file; NULL when it is something else. */
static __always_inline struct socket *socket_of(const struct file *file)
{
	if (!file || (kernel_read(file, f_inode, i_mode) & S_IFMT) != S_IFSOCK)
		return NULL;
	return kernel_read(file, private_data);
}

/* Other threads may have changed what a descriptor stands for since the call looked. */
static __always_inline bool socket_table_is_shared(void)
{
	const struct task_struct *task = bpf_get_current_task_btf();

	return kernel_read(task, files, count.counter) > 1;
}

/* What says that nothing happened yet, and no more: not an attempt that failed. */
static __always_inline bool socket_came_to_nothing(__s64 result)
{
	return result == -EAGAIN || result == -EINTR || (result <= -ERESTARTSYS && result >= -ERESTART_LAST);
}

/* Copies the address that a call was given to scratch.raw. Returns its length; 0: none that can be
 * read. */
static __always_inline __u32 socket_read_address(struct scratch *s, __u64 address, __u32 len)
{
	if (!address || len < sizeof(__u16))
		return 0;
	if (len > NJ_ADDRESS_MAX)
		len = NJ_ADDRESS_MAX;
	return bpf_probe_read_user(s->raw, bounded(len, 2 * NJ_ADDRESS_MAX - 1), (void *)address) ? 0 : len;
}

/* TCP: every failure after SYN_SENT is told by the state. A socket without a cookie never had one; of the
 * others the error says. */
static __always_inline bool socket_had_state(const struct sock *sk, __s64 result)
{
	if (result >= 0)
		return true;
	if (kernel_read(sk, __sk_common.skc_cookie.counter) == 0)
		return false;
	switch (-result) {
	case EPERM:
	case EACCES:
	case EFAULT:
	case EINVAL:
	case EAFNOSUPPORT:
	case ENETDOWN:
	case ENETUNREACH:
		return false;
	}
	return true;
}
