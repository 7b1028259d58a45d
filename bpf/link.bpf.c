/* Texts of links that are in memory (most file systems keep short ones with the inode), of an overlay's
 * links, which are those of the layer below, and the links of /proc that are none: they lead to the
 * object itself. A text that lies on disk only (ext4 from 60 bytes, XFS, btrfs) is not known here. */
#include "bpf/link.bpf.h"
#include "bpf/fdinfo.bpf.h"

#define NAME_ROOT   0x746f6f72U /* "root", little endian */
#define NAME_CWD    0x647763U
#define NAME_EXE    0x657865U
#define NAME_SELF   0x666c6573U
#define NAME_THREAD 0x65726874U /* "thre", of thread-self */
#define NAME_FD	    0x6466U
#define THREAD_LEN  11

/* Offsets in struct ovl_inode behind the inode that it embeds, and in struct ovl_entry; the module's types
 * cannot be had without CAP_SYS_ADMIN. */
#define OVL_UPPER      0  /* struct dentry * */
#define OVL_ENTRY      8  /* struct ovl_entry *, since 6.5 */
#define OVL_LOWER      16 /* struct dentry *, 6.0 to 6.4 */
#define OVL_ENTRY_LOWER 16 /* struct dentry * of the uppermost lower layer */

/* The first four bytes of a name of at most four, or of thread-self. */
static __always_inline __u32 short_name(struct dentry *dentry)
{
	__u32 len = BPF_CORE_READ(dentry, d_name.len);
	__u32 name = 0;

	if (len <= 4 || len == THREAD_LEN)
		bpf_probe_read_kernel(&name, len < 4 ? bounded(len, 3) : 4, BPF_CORE_READ(dentry, d_name.name));
	return name;
}

static __always_inline void *read_pointer(const void *at)
{
	void *pointer = NULL;

	bpf_probe_read_kernel(&pointer, sizeof(pointer), at);
	return pointer;
}

/* The inode of a dentry that is a link of that name's length, else NULL: what it was read from may be
 * something else on another kernel. */
static __always_inline struct inode *link_below(struct dentry *dentry, __u32 len)
{
	struct inode *inode;

	if (!dentry || BPF_CORE_READ(dentry, d_name.len) != len)
		return NULL;
	inode = BPF_CORE_READ(dentry, d_inode);
	if (!inode || (BPF_CORE_READ(inode, i_mode) & S_IFMT) != S_IFLNK)
		return NULL;
	return inode;
}

static __always_inline char *overlay_link(struct dentry *dentry, const struct inode *inode)
{
	const void *behind = (const void *)inode + bpf_core_type_size(struct inode);
	__u32 len = BPF_CORE_READ(dentry, d_name.len);
	struct inode *real = link_below(read_pointer(behind + OVL_UPPER), len);

	if (!real)
		real = link_below(read_pointer(read_pointer(behind + OVL_ENTRY) + OVL_ENTRY_LOWER), len);
	if (!real)
		real = link_below(read_pointer(behind + OVL_LOWER), len);
	return real ? BPF_CORE_READ(real, i_link) : NULL;
}

static __always_inline int stored_text(struct walk *w, struct dentry *dentry, const struct inode *inode)
{
	char *text = BPF_CORE_READ(inode, i_link);
	long len;

	if (!text && BPF_CORE_READ(inode, i_sb, s_magic) == OVERLAYFS_MAGIC)
		text = overlay_link(dentry, inode);
	len = bpf_probe_read_kernel_str(w->link, WALK_LINK, text) - 1;
	return len <= 0 || len >= WALK_LINK - 1 ? -1 : (int)len;
}

static __always_inline void stand_on(struct walk *w, const struct path *path)
{
	w->dentry = (__u64)BPF_CORE_READ(path, dentry);
	w->vfsmount = (__u64)BPF_CORE_READ(path, mnt);
}

static __always_inline struct task_struct *task_of(const struct pid *pid)
{
	struct hlist_node *node = BPF_CORE_READ(pid, tasks[PIDTYPE_PID].first);

	if (!node)
		return NULL;
	return (void *)node - bpf_core_field_offset(struct task_struct, pid_links);
}

/* Links below /proc/PID and /proc/PID/task/TID. */
static __always_inline int jump(struct walk *w, struct dentry *dentry, const struct inode *inode)
{
	const struct proc_inode *holder = (void *)inode - bpf_core_field_offset(struct proc_inode, vfs_inode);
	struct task_struct *task = task_of(BPF_CORE_READ(holder, pid));
	struct dentry *parent = BPF_CORE_READ(dentry, d_parent);
	__u32 name = short_name(dentry);
	struct file *file = NULL;
	struct fs_struct *fs;

	if (!task)
		return -1;
	if (short_name(parent) == NAME_FD)
		file = fdinfo_file(BPF_CORE_READ(task, files), BPF_CORE_READ(holder, fd));
	else if (name == NAME_EXE)
		file = BPF_CORE_READ(task, mm, exe_file);
	fs = BPF_CORE_READ(task, fs);
	if (file)
		stand_on(w, &file->f_path);
	else if (name == NAME_ROOT && fs)
		stand_on(w, &fs->root);
	else if (name == NAME_CWD && fs)
		stand_on(w, &fs->pwd);
	else
		return -1;
	return 0;
}

/* The number of a pid in the namespace that this /proc is mounted for. */
static __always_inline __u64 number_in(const struct pid *pid, const struct pid_namespace *ns)
{
	__u32 level = BPF_CORE_READ(ns, level);
	const struct upid *numbers = (const void *)pid + bpf_core_field_offset(struct pid, numbers);
	int number = 0;

	if (level > BPF_CORE_READ(pid, level))
		return 0;
	numbers = (const void *)numbers + level * bpf_core_type_size(struct upid);
	bpf_probe_read_kernel(&number, sizeof(number), numbers);
	return (__u64)number;
}

/* /proc/self and /proc/thread-self, for the current task. */
static __always_inline int own_number(struct walk *w, const struct inode *inode, bool thread)
{
	static const char one[] = "%d", both[] = "%d/task/%d";
	const struct task_struct *task = bpf_get_current_task_btf();
	const struct proc_fs_info *info = BPF_CORE_READ(inode, i_sb, s_fs_info);
	const struct pid_namespace *ns = BPF_CORE_READ(info, pid_ns);
	__u64 numbers[2];
	long len;

	numbers[0] = number_in(BPF_CORE_READ(task, signal, pids[PIDTYPE_TGID]), ns);
	numbers[1] = number_in(BPF_CORE_READ(task, thread_pid), ns);
	if (!numbers[0] || !numbers[1])
		return -1;
	if (thread)
		len = bpf_snprintf(w->link, WALK_LINK, both, numbers, sizeof(numbers));
	else
		len = bpf_snprintf(w->link, WALK_LINK, one, numbers, sizeof(numbers[0]));
	return len < 2 ? -1 : (int)len - 1;
}

int link_read(void)
{
	struct walk *w = walk_state();
	struct dentry *dentry;
	struct inode *inode;
	__u32 name;

	if (!w)
		return -1;
	dentry = (void *)w->child;
	inode = BPF_CORE_READ(dentry, d_inode);
	if (BPF_CORE_READ(inode, i_sb, s_magic) != PROC_MAGIC)
		return stored_text(w, dentry, inode);
	name = short_name(dentry);
	if (name == NAME_SELF || name == NAME_THREAD)
		return own_number(w, inode, name == NAME_THREAD);
	return jump(w, dentry, inode);
}
