/* The few kernel structs that the programs touch, with only the fields they read: CO-RE finds the
 * offsets of the running kernel at load time, so neither kernel headers nor a generated vmlinux.h
 * are needed. A field that kernels name or type differently is read through a flavour (___NAME) in
 * the helper that needs it.
 *
 * Constants below are user-space ABI or have not changed since 5.15. */
#pragma once

#include "bpf/abi.h"

typedef __u16 __be16;
typedef __u32 __be32;
typedef __u32 __wsum;
typedef _Bool bool;
#define true  1
#define false 0
#define NULL  ((void *)0)

enum {
	BPF_MAP_TYPE_HASH = 1,
	BPF_MAP_TYPE_ARRAY = 2,
	BPF_MAP_TYPE_PROG_ARRAY = 3,
	BPF_MAP_TYPE_PERCPU_ARRAY = 6,
	BPF_MAP_TYPE_LRU_HASH = 9,
	BPF_MAP_TYPE_LPM_TRIE = 11,
	BPF_MAP_TYPE_ARRAY_OF_MAPS = 12,
	BPF_MAP_TYPE_SK_STORAGE = 24,
	BPF_MAP_TYPE_RINGBUF = 27,
	BPF_ANY = 0,
	BPF_F_NO_PREALLOC = 1,
	BPF_F_MMAPABLE = 1024,
	BPF_SK_STORAGE_GET_F_CREATE = 1,
	BPF_RB_NO_WAKEUP = 1,
	BPF_RB_FORCE_WAKEUP = 2,
	BPF_RB_AVAIL_DATA = 0,
	BPF_RB_RING_SIZE = 1,
};

enum {
	PF_KTHREAD = 0x00200000,
	TS_COMPAT = 0x0002,    /* x86, thread_info.status: inside a 32-bit system call */
	TIF_32BIT = 1U << 22, /* arm64, thread_info.flags: a 32-bit process */
	X32_CALL_BIT = 0x40000000,

	S_IFMT = 0170000,
	S_IFDIR = 0040000,
	S_IFSOCK = 0140000,
	S_IFCHR = 0020000,
	S_IFREG = 0100000,
	S_IFLNK = 0120000,
	S_IFIFO = 0010000,
	DCACHE_MOUNTED_BEFORE_ENUM = 0x00010000, /* of dentry.d_flags, until 6.10 */
	PIPEFS_MAGIC = 0x50495045,
	SOCKFS_MAGIC = 0x534F434B,
	PROC_MAGIC = 0x9fa0,
	OVERLAYFS_MAGIC = 0x794C7630,
	S_IWUSR = 0200,
	S_IWGRP = 0020,
	S_IWOTH = 0002,
	CAP_DAC_OVERRIDE = 1,

	AF_UNIX = 1,
	AF_INET = 2,
	AF_INET6 = 10,
	AF_VSOCK = 40,
	SOCK_STREAM = 1,
	EPERM = 1,
	EINTR = 4,
	EAGAIN = 11,
	EACCES = 13,
	EFAULT = 14,
	EINVAL = 22,
	EAFNOSUPPORT = 97,
	ENETDOWN = 100,
	ENETUNREACH = 101,
	ERESTARTSYS = 512, /* and the next four: the call begins again, nobody sees them */
	ERESTART_LAST = 516,
	IPPROTO_TCP = 6,
	IPPROTO_UDP = 17,
	IPPROTO_MPTCP = 262,
	TCP_ESTABLISHED = 1,
	TCP_SYN_SENT = 2,
	TCP_CLOSE = 7,
	TCP_LISTEN = 10,
	SOCK_DEAD = 0, /* bit of skc_flags: let go of by close(2) */

	TTY_MAJOR_AUX = 5,	    /* /dev/tty, /dev/console, /dev/ptmx */
	PTY_MASTER_MAJOR = 128,	    /* and the next seven */
	PTY_SLAVE_MAJOR = 136,
	PTY_MAJORS = 8,
	PIDTYPE_PID = 0,
	PIDTYPE_TGID = 1,
	PIDTYPE_PGID = 2,
	PIDTYPE_SID = 3,
	SIGNAL_GROUP_EXIT = 4,
};

/* What a program on packets is given, as the kernel's user-space ABI has it: never relocated. */
struct __sk_buff {
	__u32 len, pkt_type, mark, queue_mapping;
	__u32 protocol; /* of the packet, network order */
	__u32 vlan_present, vlan_tci, vlan_proto, priority, ingress_ifindex, ifindex, tc_index, cb[5], hash;
	__u32 tc_classid, data, data_end, napi_id;
	__u32 family, remote_ip4, local_ip4, remote_ip6[4], local_ip6[4];
	__u32 remote_port, local_port, data_meta;
	__u64 flow_keys;
	__u64 tstamp;
	__u32 wire_len, gso_segs;
	struct bpf_sock *sk;
};

struct bpf_sock {
	__u32 bound_dev_if, family, type, protocol;
	__u32 mark, priority, src_ip4, src_ip6[4], src_port;
	__be16 dst_port; /* network order */
	__u16 pad;
	__u32 dst_ip4, dst_ip6[4], state;
};

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct dentry;
struct mount;
struct task_struct;
struct sock;

struct list_head {
	struct list_head *next;
};

struct hlist_node {
	struct hlist_node *next;
};

struct hlist_head {
	struct hlist_node *first;
};

struct hlist_bl_node {
	struct hlist_bl_node *next;
	struct hlist_bl_node **pprev;
};

struct qstr {
	__u32 hash;
	__u32 len;
	const unsigned char *name;
};

struct file_system_type {
	const char *name;
};

struct super_block {
	__u32 s_dev;
	unsigned long s_magic;
	void *s_fs_info;
	struct file_system_type *s_type;
};

struct pipe_inode_info {
	unsigned int readers;
	unsigned int writers;
};

struct inode {
	__u16 i_mode;
	struct {
		__u32 val;
	} i_uid, i_gid;
	struct super_block *i_sb;
	unsigned long i_ino;
	unsigned int i_nlink;
	__u32 i_rdev;
	__u32 i_generation;
	struct pipe_inode_info *i_pipe;
	void *i_private;
	char *i_link; /* a link's text, where the file system keeps it in memory */
};

struct dentry {
	unsigned int d_flags;
	struct hlist_bl_node d_hash;
	struct dentry *d_parent;
	struct qstr d_name;
	struct inode *d_inode;
	struct super_block *d_sb;
};

struct vfsmount {
	struct dentry *mnt_root;
};

struct mount {
	struct mount *mnt_parent;
	struct dentry *mnt_mountpoint;
	struct vfsmount mnt;
	struct list_head mnt_mounts; /* on it, in the order they were made */
	struct list_head mnt_child;
};

struct path {
	struct vfsmount *mnt;
	struct dentry *dentry;
};

struct file {
	unsigned int f_mode;
	void *private_data;
	struct inode *f_inode;
	struct path f_path;
};

struct fdtable {
	unsigned int max_fds;
	struct file **fd;
	unsigned long *open_fds;
};

struct files_struct {
	struct {
		int counter;
	} count;
	struct fdtable *fdt;
};

struct fs_struct {
	struct path root;
	struct path pwd;
};

struct tty_driver {
	int major;
	int minor_start;
};

struct tty_struct {
	int index;
	struct tty_driver *driver;
	struct tty_struct *link;
	void *driver_data;
};

struct tty_file_private {
	struct tty_struct *tty;
};

struct ns_common {
	unsigned int inum;
};

struct net {
	struct ns_common ns;
};

struct uts_namespace {
	struct ns_common ns;
};

struct ipc_namespace {
	struct ns_common ns;
};

struct mnt_namespace {
	struct ns_common ns;
};

struct xarray {
	void *xa_head;
};

struct xa_node {
	unsigned char shift;
	void *slots[64];
};

struct idr {
	struct xarray idr_rt;
};

struct pid_namespace {
	struct idr idr;
	unsigned int level;
	struct ns_common ns;
};

struct time_namespace {
	struct ns_common ns;
};

struct cgroup_namespace {
	struct ns_common ns;
};

struct user_namespace {
	struct ns_common ns;
};

struct nsproxy {
	struct uts_namespace *uts_ns;
	struct ipc_namespace *ipc_ns;
	struct mnt_namespace *mnt_ns;
	struct pid_namespace *pid_ns_for_children;
	struct net *net_ns;
	struct time_namespace *time_ns;
	struct cgroup_namespace *cgroup_ns;
};

struct in6_addr {
	__u8 bytes[16];
};

struct sock_common {
	__u32 skc_daddr;
	__u32 skc_rcv_saddr;
	__be16 skc_dport;
	__u16 skc_num;
	__u16 skc_family;
	unsigned char skc_state;
	unsigned long skc_flags;
	struct {
		struct net *net;
	} skc_net;
	struct in6_addr skc_v6_daddr;
	struct in6_addr skc_v6_rcv_saddr;
	struct {
		__s64 counter;
	} skc_cookie;
};

struct socket {
	short type;
	struct file *file;
	struct sock *sk;
};

struct sock {
	struct sock_common __sk_common;
	int sk_err;
	struct socket *sk_socket;
	unsigned char sk_kern_sock : 1;
	__u32 sk_ack_backlog; /* waiting to be accepted */
	__u32 sk_max_ack_backlog;
	__u16 sk_protocol;
};

struct inet_sock {
	__be16 inet_sport;
};

struct sockaddr_un {
	__u16 sun_family;
	char sun_path[108];
};

struct unix_address {
	int len; /* family included */
	struct sockaddr_un name[];
};

struct unix_sock {
	struct sock sk;
	struct unix_address *addr;
	struct path path; /* of the file it is bound to */
	struct sock *peer;
};

struct sockaddr_vm {
	__u16 svm_family;
};

struct vsock_sock {
	struct sockaddr_vm local_addr;
	struct sockaddr_vm remote_addr;
};

struct kernfs_node {
	__u64 id;
};

struct cgroup_root {
	int hierarchy_id;
};

struct cgroup {
	struct kernfs_node *kn;
	struct cgroup_root *root;
};

struct cgroup_subsys_state {
	struct cgroup *cgroup;
};

struct css_set {
	struct cgroup_subsys_state *subsys[16];
	struct cgroup *dfl_cgrp;
};

struct upid {
	int nr;
	struct pid_namespace *ns;
};

struct pid {
	unsigned int level;
	struct hlist_head tasks[4];
	struct upid numbers[1];
};

struct proc_fs_info {
	struct pid_namespace *pid_ns;
};

struct proc_inode {
	struct pid *pid;
	unsigned int fd;
	struct inode vfs_inode;
};

struct signal_struct {
	struct {
		int counter;
	} live;
	int group_exit_code;
	unsigned int flags;
	struct pid *pids[4];
	struct tty_struct *tty;
	unsigned long long sum_sched_runtime; /* of threads that have ended */
};

struct cred {
	struct {
		__u32 val;
	} uid, gid, euid, egid, suid, sgid;
	struct {
		__u64 val;
	} cap_inheritable, cap_permitted, cap_effective;
	struct user_namespace *user_ns;
};

struct linux_binprm {
	const char *filename;
};

struct mm_struct {
	unsigned long arg_start, arg_end, env_start, env_end;
	struct file *exe_file;
};

struct anon_vma;

struct vm_area_struct {
	unsigned long vm_flags;
	struct anon_vma *anon_vma;
	struct file *vm_file;
};

struct sched_entity {
	__u64 sum_exec_runtime;
};

struct thread_info {
	unsigned long flags;
	__u32 status;
};

struct task_struct {
	struct thread_info thread_info;
	unsigned int flags;
	int pid;
	int tgid;
	int exit_code;
	struct task_struct *real_parent;
	struct task_struct *group_leader;
	struct mm_struct *mm;
	struct fs_struct *fs;
	struct files_struct *files;
	struct signal_struct *signal;
	struct pid *thread_pid;
	struct hlist_node pid_links[4];
	struct css_set *cgroups;
	struct nsproxy *nsproxy;
	const struct cred *cred;
	char comm[16];
	struct sched_entity se;
	__u64 start_boottime;
	__u64 self_exec_id;
	struct {
		__u32 val;
	} loginuid;
};

struct pt_regs; /* arch.bpf.h */

struct bpf_raw_tracepoint_args {
	__u64 args[1];
};

struct seq_file;

struct bpf_iter_meta {
	struct seq_file *seq;
};

struct bpf_iter__task {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
};

struct bpf_iter__task_file {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
	__u32 fd;
	struct file *file;
};

/* Constants before 6.10; the values have changed since. */
enum dentry_flags {
	DCACHE_MOUNTED = 0x7f,
};

/* The subsystem's index in css_set.subsys differs by kernel configuration. */
enum cgroup_subsys_id {
	memory_cgrp_id = 0x7f,
};

#pragma clang attribute pop
