/* Paths of files as the acting process sees them. */
#pragma once

#include "bpf/maps.bpf.h"

#define PATH_CUT (1 << 16) /* in path_resolve's result: components on the left are missing */

/* Walks from dentry to the root of the mount namespace (or the root given) and leaves the path in
 * the scratch's path, right-aligned at NJ_PATH_MAX. Returns its length with the final NUL, PATH_CUT
 * added when it did not fit, or 0 without a scratch. A function of its own to the verifier, so its
 * loop is proved once; kernel pointers come as plain numbers and are only probe-read. */
int path_resolve(__u64 dentry, __u64 vfsmount, __u64 root_dentry, __u64 root_vfsmount, __u32 row);

static __always_inline int path_of(const struct path *path, const struct fs_struct *fs, __u32 row)
{
	return path_resolve((__u64)kernel_read(path, dentry), (__u64)kernel_read(path, mnt),
			    (__u64)kernel_read(fs, root.dentry), (__u64)kernel_read(fs, root.mnt), row);
}

static __always_inline void path_inode_info(const struct inode *inode, struct nj_file *ret_file)
{
	ret_file->inode = kernel_read(inode, i_ino);
	ret_file->device = kernel_read(inode, i_sb, s_dev);
	ret_file->generation = kernel_read(inode, i_generation);
	ret_file->mode = kernel_read(inode, i_mode);
	ret_file->uid = kernel_read(inode, i_uid.val);
	ret_file->nlink = kernel_read(inode, i_nlink);
}

static __always_inline void path_file_info(const struct file *file, struct nj_file *ret_file)
{
	path_inode_info(kernel_read(file, f_inode), ret_file);
}

/* Appends len (at most max, less than SCRATCH_LAST) bytes of kernel memory to the record's variable
 * part at pos. Returns the position after them, or pos when they could not be read. */
static __always_inline __u32 path_append(struct scratch *s, __u32 pos, const char *from, __u32 len, __u32 max)
{
	if (len == 0 || len > max || pos >= SCRATCH_VAR)
		return pos;
	if (bpf_probe_read_kernel(s->var + (pos & (SCRATCH_VAR - 1)), len, from))
		return pos;
	return pos + len;
}

/* Appends what path_resolve left. Returns the position after it; *ret_len is 0 when nothing was. */
static __always_inline __u32 path_append_resolved(struct scratch *s, __u32 pos, int resolved, __u16 *ret_len)
{
	__u32 len = (__u32)resolved & (NJ_PATH_MAX * 2 - 1);
	__u32 after;

	*ret_len = 0;
	if (len == 0 || len > NJ_PATH_MAX)
		return pos;
	after = path_append(s, pos, s->path + ((NJ_PATH_MAX - len) & (NJ_PATH_MAX - 1)), len, NJ_PATH_MAX);
	*ret_len = (__u16)(after - pos);
	return after;
}
