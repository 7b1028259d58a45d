/* From a struct file to the endpoint of a conversation, and the walk over a process's descriptors.
 * The tests are ordered so that a regular file costs two reads. */
#include "bpf/fdinfo.bpf.h"
#include "bpf/emit.bpf.h"

static __always_inline __u16 at_most_u16(__u32 n)
{
	return n > 0xffff ? 0xffff : (__u16)n;
}

static __always_inline void fill_pipe(struct inode *inode, struct nj_endpoint *ep)
{
	struct super_block *sb = kernel_read(inode, i_sb);
	struct pipe_inode_info *pipe = kernel_read(inode, i_pipe);

	ep->id = kernel_read(inode, i_ino);
	ep->readers = at_most_u16(kernel_read(pipe, readers));
	ep->writers = at_most_u16(kernel_read(pipe, writers));
	if (kernel_read(sb, s_magic) == PIPEFS_MAGIC) {
		ep->kind = NJ_EP_PIPE;
		ep->id2 = kernel_read(inode, i_generation);
		return;
	}
	ep->kind = NJ_EP_FIFO;
	ep->id2 = kernel_read(sb, s_dev);
}

static __always_inline void fill_unix(struct sock *sk, struct inode *inode, struct nj_endpoint *ep)
{
	struct unix_sock *peer_holder = (struct unix_sock *)sk;
	struct sock *peer = kernel_read(peer_holder, peer);

	ep->kind = NJ_EP_UNIX;
	ep->family = AF_UNIX;
	ep->id = kernel_read(inode, i_ino);
	if (peer)
		ep->id2 = kernel_read(peer, sk_socket, file, f_inode, i_ino);
}

static __always_inline void fill_socket(struct file *file, struct inode *inode, struct nj_endpoint *ep)
{
	struct socket *socket = kernel_read(file, private_data);
	struct sock *sk = kernel_read(socket, sk);
	__u16 family = kernel_read(sk, __sk_common.skc_family);
	__u16 protocol = kernel_read(sk, sk_protocol);

	/* A file of the tree that a UNIX socket is bound to, opened as a path. */
	if (!sk)
		return;
	ep->kind = NJ_EP_SOCKET_OTHER;
	ep->family = (__u8)family;
	ep->protocol = protocol;
	ep->id = kernel_read(inode, i_ino);
	if (family == AF_UNIX) {
		fill_unix(sk, inode, ep);
		return;
	}
	if (family != AF_INET && family != AF_INET6)
		return;
	fdinfo_inet(sk, ep);
	if (protocol == IPPROTO_TCP || protocol == IPPROTO_MPTCP)
		ep->kind = NJ_EP_TCP;
	else if (protocol == IPPROTO_UDP)
		ep->kind = NJ_EP_UDP;
	if (ep->kind != NJ_EP_TCP || ep->id == 0)
		ep->id = (1ULL << 63) | kernel_read(inode, i_ino);
}

/* A pseudo terminal is named by its index on its devpts, which the slave's dentry belongs to:
 * every container has a devpts of its own. */
static __always_inline void fill_tty(struct file *file, struct nj_endpoint *ep)
{
	struct tty_file_private *holder = kernel_read(file, private_data);
	struct tty_struct *tty = kernel_read(holder, tty);
	int major = kernel_read(tty, driver, major);
	struct dentry *dentry;

	if (major >= PTY_SLAVE_MAJOR && major < PTY_SLAVE_MAJOR + PTY_MAJORS) {
		ep->kind = NJ_EP_PTY_SLAVE;
		dentry = kernel_read(tty, driver_data);
	} else if (major >= PTY_MASTER_MAJOR && major < PTY_MASTER_MAJOR + PTY_MAJORS) {
		ep->kind = NJ_EP_PTY_MASTER;
		dentry = kernel_read(tty, link, driver_data);
	} else {
		return;
	}
	ep->id = (__u64)kernel_read(tty, index);
	ep->id2 = kernel_read(dentry, d_sb, s_dev);
}

static __always_inline bool may_be_pty(struct inode *inode)
{
	__u32 major = kernel_read(inode, i_rdev) >> 20;

	return major == TTY_MAJOR_AUX || (major >= PTY_SLAVE_MAJOR && major < PTY_SLAVE_MAJOR + PTY_MAJORS);
}

int fdinfo_endpoint(__u64 file_address, int fd, __u32 slot, __u32 row)
{
	struct file *file = (void *)file_address;
	struct inode *inode = kernel_read(file, f_inode);
	__u32 type = kernel_read(inode, i_mode) & S_IFMT;
	struct scratch *s = emit_scratch(row);
	struct nj_endpoint *ep;

	if (!s)
		return NJ_EP_NONE;
	ep = &s->endpoints[bounded(slot, 2 * NJ_ENDPOINTS_MAX - 1)];
	__builtin_memset(ep, 0, sizeof(*ep));
	ep->fd = (__s16)fd;
	if (type == S_IFIFO)
		fill_pipe(inode, ep);
	else if (type == S_IFSOCK)
		fill_socket(file, inode, ep);
	else if (type == S_IFCHR && may_be_pty(inode))
		fill_tty(file, ep);
	if (ep->kind != NJ_EP_NONE)
		ep->mode = (__u8)(kernel_read(file, f_mode) & (NJ_EP_READ | NJ_EP_WRITE));
	return ep->kind;
}

int fdinfo_endpoints(__u64 files_address, __u32 row)
{
	const struct files_struct *files = (void *)files_address;
	struct fdtable *table = kernel_read(files, fdt);
	unsigned long *bitmap = kernel_read(table, open_fds);
	struct file **slots = kernel_read(table, fd);
	struct scratch *s = emit_scratch(row);
	__u64 open = 0;
	int fd;

	if (!s)
		return 0;
	s->mark = 0;
	/* A table has 64 slots at least, as many as the bitmap's first word has bits. */
	bpf_probe_read_kernel(&open, sizeof(open), bitmap);
	for (fd = 0; fd < NJ_ENDPOINT_FDS; fd++, open >>= 1) {
		struct file *file = NULL;

		if (open == 0)
			break;
		if (!(open & 1))
			continue;
		bpf_probe_read_kernel(&file, sizeof(file), slots + fd);
		if (!file || fdinfo_endpoint((__u64)file, fd, s->mark, row) == NJ_EP_NONE)
			continue;
		if (s->mark >= NJ_ENDPOINTS_MAX)
			return NJ_ENDPOINTS_MAX | ENDPOINTS_CUT;
		s->mark++;
	}
	return (int)s->mark;
}
