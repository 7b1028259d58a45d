/* Opens, as they really went: the path is that of the file behind the new descriptor. Wanted are those
 * that the policy names, by flags, last component or path, and whatever carries a conversation (FIFO,
 * pty); a failed one has no file, so its argument counts. Nearly every open fails the first test, a bit by
 * length and first character of the name.
 *
 * A record's arguments are those of openat2, whatever the call was. */
#include "bpf/fdinfo.bpf.h"
#include "bpf/novelty.bpf.h"
#include "bpf/path.bpf.h"
#include "bpf/walk.bpf.h"

#define O_WRONLY_CREAT_TRUNC 01101
#define O_CREAT		     0100
#define O_EXCL		     0200
#define O_TMPFILE_ONLY	     020000000 /* O_TMPFILE without O_DIRECTORY */
#ifdef __TARGET_ARCH_arm64
#define O_NOFOLLOW 0100000
#else
#define O_NOFOLLOW 0400000
#endif
#define RESOLVE_IN_ROOT 0x10
#define ENOENT		2

/* What an open asked for, and got. */
struct opening {
	__s64 result;
	__u64 raw; /* address of the path argument, 0: opened by handle */
	__s32 dirfd;
	__u32 flags, mode, resolve;
};

/* Two loads and a bit: what most opens end at. */
static __always_inline bool may_be_wanted(const unsigned char *name, __u32 len, const struct opening *o)
{
	char first = 0;

	if (!o->raw || filter_flags(o->flags) || filter_has_paths())
		return true;
	bpf_probe_read_kernel(&first, 1, name);
	return !should_drop_name(len, first);
}

static __always_inline bool wanted_by_path(int resolved)
{
	__u32 len = (__u32)resolved & (2 * NJ_PATH_MAX - 1);

	return len > 0 && len <= NJ_PATH_MAX && filter_path(NJ_PATH_MAX - len, len);
}

/* True when it was reported within the window. The argument is in scratch.raw. */
static __always_inline bool opened_again(struct scratch *s, struct file *file, __u32 raw_len, __u32 flags)
{
	struct nj_key *key = novelty_key(s, NJ_CLASS_FILE, NJ_KIND_OPEN);

	novelty_add_inode(key, kernel_read(file, f_inode));
	key->flags = flags;
	key->raw_hash = novelty_hash_raw(raw_len);
	return novelty_repeat();
}

/* Length of the argument in scratch.raw with its final NUL; 0: unreadable. */
static __always_inline __u32 read_raw(struct scratch *s, __u64 raw)
{
	long len = raw ? bpf_probe_read_user_str(s->raw, NJ_RAW_MAX, (void *)raw) : 0;

	return len < 0 || len > NJ_RAW_MAX ? 0 : (__u32)len;
}

static __always_inline struct nj_act *begin_open(struct scratch *s, const struct opening *o, __u32 raw_len)
{
	struct nj_act *act = act_begin(s, &s->call, NJ_KIND_OPEN);

	act->arg[0] = (__u64)o->dirfd;
	act->arg[2] = o->flags;
	act->arg[3] = o->flags & (O_CREAT | O_TMPFILE_ONLY) ? o->mode : 0;
	act->arg[4] = o->resolve;
	act->arg_count = 5;
	if (raw_len)
		act_add_raw(NJ_PART_RAW, raw_len);
	else if (o->raw)
		act->marks |= NJ_MARK_UNREADABLE;
	if (raw_len == NJ_RAW_MAX) {
		char last = 0;

		bpf_probe_read_user(&last, 1, (void *)(o->raw + NJ_RAW_MAX - 1));
		act->marks |= last ? NJ_MARK_RAW_CUT : 0;
	}
	return act;
}

static __always_inline __u32 link_flags(__u32 flags)
{
	return flags & O_NOFOLLOW || (flags & (O_CREAT | O_EXCL)) == (O_CREAT | O_EXCL) ? 0 : WALK_FOLLOW;
}

/* Follows the argument; from another root only the call itself does. */
static __always_inline int follow(const struct opening *o)
{
	if (o->resolve & RESOLVE_IN_ROOT)
		return walk_nowhere();
	return walk_argument(o->raw, o->dirfd, link_flags(o->flags));
}

/* In a descriptor table that others share, the descriptor may stand for another file by now, and the
 * argument for another name. */
static __noinline bool is_raced(const struct opening *o, struct file *file)
{
	struct dentry *dentry = kernel_read(file, f_path.dentry);
	const struct task_struct *task = bpf_get_current_task_btf();
	struct files_struct *files = task->files;
	int outcome;

	if (kernel_read(files, count.counter) < 2 || !o->raw || o->flags & O_TMPFILE_ONLY)
		return false;
	outcome = follow(o);
	if (outcome == WALK_FOUND)
		return !walk_stands_on(dentry);
	/* Its name may be gone again, but it had it. */
	return outcome == WALK_MISSING && !walk_next_is((__u64)dentry);
}

/* What does not exist has to be wanted by name; whatever else failed is followed to what was meant. */
static __always_inline bool failure_wanted(const struct opening *o, __u32 raw_len)
{
	struct walk *w = walk_state();
	bool wanted = !o->raw || filter_flags(o->flags) || filter_raw_name(raw_len) || filter_raw(raw_len);

	if (!w || (!wanted && (o->result == -ENOENT || !filter_has_paths())))
		return false;
	(void)follow(o);
	if (!wanted && walk_text())
		wanted = filter_path(w->path_start, w->path_len);
	return wanted;
}

static __noinline int open_failed(struct scratch *s, const struct opening *o)
{
	__u32 raw_len = read_raw(s, o->raw);
	struct nj_act *act;

	if (!failure_wanted(o, raw_len))
		return 0;
	act = begin_open(s, o, raw_len);
	walk_add_path(NJ_PART_PATH);
	walk_add_inode();
	act_emit(s, act, NJ_CLASS_FILE, EMIT_NOW);
	return 0;
}

/* Nearly every file is none that carries a conversation, and is not looked at for it. */
static __always_inline int endpoint_of(struct file *file, __s64 fd)
{
	__u32 type = kernel_read(file, f_inode, i_mode) & S_IFMT;

	if (type != S_IFIFO && type != S_IFSOCK && type != S_IFCHR)
		return NJ_EP_NONE;
	return fdinfo_endpoint((__u64)file, (int)fd, ENDPOINT_SLOT, SCRATCH_HOOK);
}

static __always_inline int opened(struct scratch *s, const struct opening *o)
{
	const struct task_struct *task = bpf_get_current_task_btf();
	struct file *file = fdinfo_current_file(o->result);
	const unsigned char *name;
	struct dentry *dentry;
	struct nj_act *act;
	__u32 len, name_len;
	int kind, resolved;

	if (!file)
		return open_failed(s, o);
	kind = endpoint_of(file, o->result);
	dentry = kernel_read(file, f_path.dentry);
	name = kernel_read(dentry, d_name.name);
	name_len = kernel_read(dentry, d_name.len);
	if (kind == NJ_EP_NONE && !may_be_wanted(name, name_len, o))
		return 0;
	len = read_raw(s, o->raw);
	if (opened_again(s, file, len, o->flags))
		return 0;
	resolved = path_of(&file->f_path, task->fs, SCRATCH_HOOK);
	if (kind == NJ_EP_NONE && o->raw && !filter_flags(o->flags) && !filter_name((__u64)name, name_len) &&
	    !wanted_by_path(resolved))
		return novelty_unwanted();
	act = begin_open(s, o, len);
	act_add_scratch(NJ_PART_PATH, NJ_PATH_MAX - (resolved & (2 * NJ_PATH_MAX - 1)),
			resolved & (2 * NJ_PATH_MAX - 1), resolved & PATH_CUT);
	act_add_inode((__u64)kernel_read(file, f_inode));
	if (kind != NJ_EP_NONE)
		act_add_endpoint(ENDPOINT_SLOT);
	act->marks |= is_raced(o, file) ? NJ_MARK_RACED : 0;
	act_emit(s, act, NJ_CLASS_FILE, EMIT_NOW);
	return 0;
}

/* struct open_how */
static __always_inline void read_how(__u64 address, struct opening *ret_o)
{
	__u64 how[3] = {0};

	bpf_probe_read_user(how, sizeof(how), (void *)address);
	ret_o->flags = (__u32)how[0];
	ret_o->mode = (__u32)how[1];
	ret_o->resolve = (__u32)how[2];
}

static __always_inline int file_act(struct scratch *s, const struct call *call)
{
	struct opening o = {.result = call->result, .dirfd = WALK_AT_FDCWD, .raw = call->arg[0]};

	switch (call->act) {
	case NJ_ACT_OPEN:
		o.flags = (__u32)call->arg[1];
		o.mode = (__u32)call->arg[2];
		break;
	case NJ_ACT_CREAT:
		o.flags = O_WRONLY_CREAT_TRUNC;
		o.mode = (__u32)call->arg[1];
		break;
	case NJ_ACT_OPENAT:
		o.dirfd = (int)call->arg[0];
		o.raw = call->arg[1];
		o.flags = (__u32)call->arg[2];
		o.mode = (__u32)call->arg[3];
		break;
	case NJ_ACT_OPENAT2:
		o.dirfd = (int)call->arg[0];
		o.raw = call->arg[1];
		read_how(call->arg[2], &o);
		break;
	case NJ_ACT_OPEN_HANDLE:
		o.dirfd = (int)call->arg[0];
		o.raw = 0;
		o.flags = (__u32)call->arg[2];
		break;
	}
	return opened(s, &o);
}

CALL_PROGRAM(file)
