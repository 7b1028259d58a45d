/* Mounts and roots. Where something was mounted, moved or taken away is followed after the call
 * (walk.bpf.h), so a target is what stands there now: its inode and file system type are the mounted
 * one's. A new root is told from the root of the mount namespace, whatever the process sees. */
#include "bpf/fdinfo.bpf.h"
#include "bpf/walk.bpf.h"

#define MS_BIND		    4096
#define MS_MOVE		    8192
#define UMOUNT_NOFOLLOW	    8
#define OPEN_TREE_CLONE	    1
#define AT_SYMLINK_NOFOLLOW 0x100
#define AT_EMPTY_PATH	    0x1000
#define MOVE_FROM_FOLLOW    0x01
#define MOVE_FROM_EMPTY	    0x04
#define MOVE_TO_FOLLOW	    0x10
#define MOVE_TO_EMPTY	    0x40
#define MOUNT_ATTR_SIZE	    32 /* of its first version */
#define TYPE_CIFS	    0x73666963U /* "cifs", little endian */
#define TYPE_SMB3	    0x33626d73U

#define ADDRESS(n) (1U << (n))

static __always_inline __u32 at_flags(__u64 flags)
{
	return (flags & AT_SYMLINK_NOFOLLOW ? 0 : WALK_FOLLOW) | (flags & AT_EMPTY_PATH ? WALK_EMPTY : 0);
}

/* The path that the call was given, and what is there. */
static __noinline int add_place(struct nj_act *act, __u64 path, int dirfd, __u32 flags)
{
	int outcome;

	act_add_text(NJ_PART_RAW, path, NJ_RAW_MAX);
	outcome = walk_argument(path, dirfd, flags);
	walk_add_path(NJ_PART_PATH);
	walk_mark(act, outcome, flags);
	if (outcome == WALK_FOUND)
		walk_add_inode();
	return outcome;
}

/* What is mounted there. */
static __noinline int add_source(struct nj_act *act, __u64 path, int dirfd, __u32 flags)
{
	act_add_text(NJ_PART_RAW2, path, NJ_RAW_MAX);
	walk_mark(act, walk_argument(path, dirfd, flags), flags);
	return walk_add_path(NJ_PART_PATH2);
}

static __always_inline void add_type(struct dentry *dentry)
{
	act_add_kernel_text(NJ_PART_TEXT, (__u64)BPF_CORE_READ(dentry, d_sb, s_type, name));
}

/* Of what the walk stands on. */
static __always_inline void add_walked_type(void)
{
	struct walk *w = walk_state();

	if (w)
		add_type((struct dentry *)w->dentry);
}

/* Passwords of shares are among their data. */
static __always_inline bool has_secrets(__u64 type)
{
	__u32 name = 0;

	bpf_probe_read_user(&name, sizeof(name), (void *)type);
	return name == TYPE_CIFS || name == TYPE_SMB3;
}

static __always_inline void mounted(struct nj_act *act, const struct call *call)
{
	__u64 source = call->arg[0], type = call->arg[2], data = call->arg[4];
	char first = 0;
	int outcome;

	act_args(act, call, 5, ADDRESS(0) | ADDRESS(1) | ADDRESS(2) | ADDRESS(4));
	bpf_probe_read_user(&first, 1, (void *)source);
	if (first == '/' || (first && (call->arg[3] & (MS_BIND | MS_MOVE))))
		add_source(act, source, WALK_AT_FDCWD, WALK_FOLLOW);
	else if (first)
		act_add_text(NJ_PART_RAW2, source, NJ_RAW_MAX);
	if (data && !has_secrets(type))
		act_add_text(NJ_PART_DATA, data, NJ_RAW_MAX);
	outcome = add_place(act, call->arg[1], WALK_AT_FDCWD, WALK_FOLLOW);
	if (call->result >= 0 && outcome == WALK_FOUND)
		add_walked_type();
	else if (type)
		act_add_text(NJ_PART_TEXT, type, NJ_RAW_MAX);
}

static __always_inline void unmounted(struct nj_act *act, const struct call *call)
{
	act_args(act, call, 2, ADDRESS(0));
	add_place(act, call->arg[0], WALK_AT_FDCWD, call->arg[1] & UMOUNT_NOFOLLOW ? 0 : WALK_FOLLOW);
}

static __always_inline void moved(struct nj_act *act, const struct call *call)
{
	__u64 flags = call->arg[4];
	__u32 from = (flags & MOVE_FROM_FOLLOW ? WALK_FOLLOW : 0) | (flags & MOVE_FROM_EMPTY ? WALK_EMPTY : 0);
	__u32 to = (flags & MOVE_TO_FOLLOW ? WALK_FOLLOW : 0) | (flags & MOVE_TO_EMPTY ? WALK_EMPTY : 0);

	act_args(act, call, 5, ADDRESS(1) | ADDRESS(3));
	add_source(act, call->arg[1], (int)call->arg[0], from);
	if (add_place(act, call->arg[3], (int)call->arg[2], to) == WALK_FOUND && call->result >= 0)
		add_walked_type();
}

static __always_inline void tree_opened(struct nj_act *act, const struct call *call)
{
	act_args(act, call, 3, ADDRESS(1));
	add_source(act, call->arg[1], (int)call->arg[0], at_flags(call->arg[2]));
}

static __always_inline void detached_made(struct nj_act *act, const struct call *call)
{
	struct file *file = fdinfo_current_file(call->result);

	act_args(act, call, 3, 0);
	if (file)
		add_type(BPF_CORE_READ(file, f_path.dentry));
}

static __always_inline void attributes_set(struct nj_act *act, const struct call *call)
{
	act_args(act, call, 5, ADDRESS(1) | ADDRESS(3));
	act_add_data(NJ_PART_DATA, call->arg[3], MOUNT_ATTR_SIZE);
	add_place(act, call->arg[1], (int)call->arg[0], at_flags(call->arg[2]));
}

static __always_inline void root_changed(struct nj_act *act, const struct call *call)
{
	if (call->act == NJ_ACT_PIVOT_ROOT)
		act_add_text(NJ_PART_RAW2, call->arg[1], NJ_RAW_MAX);
	if (call->result < 0) {
		add_place(act, call->arg[0], WALK_AT_FDCWD, WALK_FOLLOW);
		return;
	}
	act_add_text(NJ_PART_RAW, call->arg[0], NJ_RAW_MAX);
	walk_root();
	walk_add_path(NJ_PART_PATH);
	walk_add_inode();
}

static __always_inline __u16 kind_of(__u32 act)
{
	if (act == NJ_ACT_UMOUNT)
		return NJ_KIND_UMOUNT;
	return act == NJ_ACT_CHROOT || act == NJ_ACT_PIVOT_ROOT ? NJ_KIND_ROOT : NJ_KIND_MOUNT;
}

static __always_inline int mount_act(struct scratch *s, const struct call *call)
{
	struct nj_act *act;

	/* Without a copy it is only one more way to open a path. */
	if (call->act == NJ_ACT_OPEN_TREE && !(call->arg[2] & OPEN_TREE_CLONE))
		return 0;
	act = act_begin(s, call, kind_of(call->act));
	switch (call->act) {
	case NJ_ACT_MOUNT:
		mounted(act, call);
		break;
	case NJ_ACT_UMOUNT:
		unmounted(act, call);
		break;
	case NJ_ACT_PIVOT_ROOT:
	case NJ_ACT_CHROOT:
		root_changed(act, call);
		break;
	case NJ_ACT_MOVE_MOUNT:
		moved(act, call);
		break;
	case NJ_ACT_OPEN_TREE:
		tree_opened(act, call);
		break;
	case NJ_ACT_FSOPEN:
		act_args(act, call, 2, ADDRESS(0));
		act_add_text(NJ_PART_TEXT, call->arg[0], NJ_RAW_MAX);
		break;
	case NJ_ACT_FSMOUNT:
		detached_made(act, call);
		break;
	case NJ_ACT_MOUNT_SETATTR:
		attributes_set(act, call);
		break;
	}
	act_emit(s, act, NJ_CLASS_MOUNT, EMIT_NOW);
	return 0;
}

CALL_PROGRAM(mount)
