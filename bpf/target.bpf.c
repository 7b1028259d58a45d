/* The walk from a number to a task: the pid namespace's IDR, which is a tree of 64 slots a node. */
#include "bpf/target.bpf.h"
#include "bpf/fdinfo.bpf.h"

#define TREE_LEVELS 6 /* of 64 slots: more than a pid has bits */
#define TREE_NODE   2 /* the low bits of a slot that leads to another node */
#define PIDFS_MAGIC 0x50494446
#define PIDFD_NAME  0x5d64666469705bULL /* "[pidfd]" */

static __always_inline struct task_struct *first_task(struct pid *pid)
{
	struct hlist_node *node = BPF_CORE_READ(pid, tasks[PIDTYPE_PID].first);

	return node ? (void *)node - bpf_core_field_offset(struct task_struct, pid_links) : NULL;
}

static __always_inline struct pid_namespace *own_namespace(void)
{
	struct pid *pid = BPF_CORE_READ(bpf_get_current_task_btf(), thread_pid);
	struct upid upid = {0};

	task_upid(pid, BPF_CORE_READ(pid, level), &upid);
	return upid.ns;
}

/* One level down. NULL when the number is not below that node. */
static __always_inline void *next_slot(struct xa_node *node, __u32 number)
{
	__u32 mask = (__u32)bpf_core_field_size(node->slots) / sizeof(void *) - 1;
	__u32 place = number >> (BPF_CORE_READ(node, shift) & 31);
	void *slot = NULL;

	bpf_probe_read_kernel(&slot, sizeof(slot),
			      (void *)node + bpf_core_field_offset(node->slots) + (place & mask) * sizeof(slot));
	return slot;
}

/* Whether the tree reaches as far as the number. */
static __always_inline bool covers(struct xa_node *root, __u32 number)
{
	__u32 slots = (__u32)bpf_core_field_size(root->slots) / sizeof(void *);
	__u32 shift = BPF_CORE_READ(root, shift);

	return shift > 31 || (number >> shift) < slots;
}

__u64 target_by_number(int number)
{
	struct pid_namespace *ns = own_namespace();
	void *slot = BPF_CORE_READ(ns, idr.idr_rt.xa_head);
	int level;

	if (number <= 0 || ((__u64)slot & 3) != TREE_NODE || !covers(slot - TREE_NODE, (__u32)number))
		return 0;
	for (level = 0; level < TREE_LEVELS; level++) {
		if (((__u64)slot & 3) != TREE_NODE)
			break;
		slot = next_slot(slot - TREE_NODE, (__u32)number);
	}
	return slot && !((__u64)slot & 3) ? (__u64)first_task(slot) : 0;
}

/* A pidfd is a file of pidfs since 6.9, and an anonymous one before. */
__u64 target_by_pidfd(int fd)
{
	struct file *file = fdinfo_current_file(fd);
	struct inode *inode = BPF_CORE_READ(file, f_inode);
	const unsigned char *name;
	__u64 text = 0;

	if (!file)
		return 0;
	if (BPF_CORE_READ(inode, i_sb, s_magic) == PIDFS_MAGIC)
		return (__u64)first_task(BPF_CORE_READ(inode, i_private));
	name = BPF_CORE_READ(file, f_path.dentry, d_name.name);
	bpf_probe_read_kernel(&text, sizeof(text), name);
	return text == PIDFD_NAME ? (__u64)first_task(BPF_CORE_READ(file, private_data)) : 0;
}
