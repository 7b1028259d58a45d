/* What a path and an inode number do not tell of an executable: when it was changed, by whom it can
 * be, and whether it came with the container's image. */
#pragma once

#include "bpf/maps.bpf.h"

#define NSEC_PER_SEC	 1000000000ULL
#define EXE_MEMFD	 0x3a64666d656dULL /* "memfd:" */
#define EXE_MEMFD_LEN	 6
#define I_CTIME_QUERIED	 0x80000000U /* a flag of the kernel's in the nanoseconds, since 6.13 */

/* Until 6.10 (bc3ad85f6f9b "fs: move i_ctime", 6.6, and 77a9a3a03ac5, 6.7, renamed them). */
struct timespec64___nj {
	__s64 tv_sec;
	long tv_nsec;
} __attribute__((preserve_access_index));

struct inode___timespec {
	struct timespec64___nj i_ctime, i_mtime, __i_ctime, __i_mtime;
} __attribute__((preserve_access_index));

/* Since 6.11: seconds and nanoseconds apart. */
struct inode___apart {
	__s64 i_ctime_sec, i_mtime_sec;
	__u32 i_ctime_nsec, i_mtime_nsec;
} __attribute__((preserve_access_index));

#define exe_timespec(inode, field)                                                                 \
	((__u64)BPF_CORE_READ(inode, field.tv_sec) * NSEC_PER_SEC + (__u64)BPF_CORE_READ(inode, field.tv_nsec))

static __always_inline __u64 exe_ctime(const struct inode *inode)
{
	const struct inode___timespec *whole = (const void *)inode;
	const struct inode___apart *apart = (const void *)inode;

	if (bpf_core_field_exists(apart->i_ctime_sec))
		return (__u64)BPF_CORE_READ(apart, i_ctime_sec) * NSEC_PER_SEC +
		       (BPF_CORE_READ(apart, i_ctime_nsec) & ~I_CTIME_QUERIED);
	if (bpf_core_field_exists(whole->__i_ctime))
		return exe_timespec(whole, __i_ctime);
	if (bpf_core_field_exists(whole->i_ctime))
		return exe_timespec(whole, i_ctime);
	return 0;
}

static __always_inline __u64 exe_mtime(const struct inode *inode)
{
	const struct inode___timespec *whole = (const void *)inode;
	const struct inode___apart *apart = (const void *)inode;

	if (bpf_core_field_exists(apart->i_mtime_sec))
		return (__u64)BPF_CORE_READ(apart, i_mtime_sec) * NSEC_PER_SEC +
		       BPF_CORE_READ(apart, i_mtime_nsec);
	if (bpf_core_field_exists(whole->__i_mtime))
		return exe_timespec(whole, __i_mtime);
	if (bpf_core_field_exists(whole->i_mtime))
		return exe_timespec(whole, i_mtime);
	return 0;
}

/* An overlay's inode is embedded in a larger one, whose next field is the dentry in the upper layer;
 * that has held since overlays exist, and their module's types need not be known here. */
static __always_inline bool exe_in_upper_layer(const struct inode *inode)
{
	void *upper = NULL;

	if (BPF_CORE_READ(inode, i_sb, s_magic) != OVERLAYFS_MAGIC)
		return false;
	bpf_probe_read_kernel(&upper, sizeof(upper), (const void *)inode + bpf_core_type_size(struct inode));
	return upper != NULL;
}

/* A memfd has a dentry without a parent and a name that nothing else can have there. */
static __always_inline bool exe_is_memfd(const struct dentry *dentry)
{
	__u64 name = 0;

	if (BPF_CORE_READ(dentry, d_parent) != dentry)
		return false;
	bpf_probe_read_kernel(&name, EXE_MEMFD_LEN, BPF_CORE_READ(dentry, d_name.name));
	return name == EXE_MEMFD;
}

/* By its permission bits, of which the group's count for the effective group only. Whether the file
 * system is read-only is not asked. */
static __always_inline bool exe_is_writable(const struct inode *inode, const struct nj_creds *creds)
{
	__u32 mode = BPF_CORE_READ(inode, i_mode);

	if (creds->cap_effective & (1ULL << CAP_DAC_OVERRIDE))
		return true;
	if (BPF_CORE_READ(inode, i_uid.val) == creds->euid)
		return mode & S_IWUSR;
	if (BPF_CORE_READ(inode, i_gid.val) == creds->egid)
		return mode & S_IWGRP;
	return mode & S_IWOTH;
}

/* exec->creds are known already. */
static __always_inline void exe_info(const struct file *exe, struct nj_exec *exec)
{
	const struct inode *inode = BPF_CORE_READ(exe, f_inode);

	exec->exe_ctime_ns = exe_ctime(inode);
	exec->exe_mtime_ns = exe_mtime(inode);
	exec->exe_flags = (exe_is_writable(inode, &exec->creds) ? NJ_EXE_WRITABLE : 0) |
			  (exe_in_upper_layer(inode) ? NJ_EXE_UPPER : 0) |
			  (exe_is_memfd(BPF_CORE_READ(exe, f_path.dentry)) ? NJ_EXE_MEMFD : 0);
}
