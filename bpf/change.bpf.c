/* Calls that change the file tree: names made, removed and moved, and what an inode says of itself. The
 * place is the one that the call worked on (walk.bpf.h), or the file behind the descriptor; the argument
 * stands beside it. Failed ones are reported too: somebody tried. What was removed is gone by now,
 * so its inode is not told. */
#include "bpf/fdinfo.bpf.h"
#include "bpf/walk.bpf.h"

#define AT_SYMLINK_NOFOLLOW 0x100
#define AT_SYMLINK_FOLLOW   0x400
#define AT_EMPTY_PATH	    0x1000
#define RENAME_EXCHANGE	    2

#define PERMISSIONS 0777
#define NO_ARG	    7 /* past the six: reads as 0 */

/* How the link at a path's end is taken. */
enum last_link {
	LAST_FOLLOWED,
	LAST_NOT_FOLLOWED,
	LAST_IS_NAME, /* made or removed */
	LAST_BY_FLAG, /* followed unless AT_SYMLINK_NOFOLLOW */
};

/* Where an act has what: places of arguments. A path without a directory begins at the working directory. */
struct shape {
	__u8 kind;
	__u8 args;
	__u8 addresses; /* bits */
	__u8 directory, path, last;
	__u8 directory2, path2; /* what a link leads to, where something is moved to */
	__u8 flags;	       /* AT_* */
};

#define A(n)	 (1U << (n))
#define X	 NO_ARG
#define ONE_PATH X, X

/* clang-format off */
static const struct shape shapes[NJ_ACT_MAX] = {
	/*                     kind                args addresses    directory path last             second   flags */
	[NJ_ACT_UNLINK]     = {NJ_KIND_UNLINK,     1, A(0),          X, 0, LAST_IS_NAME,      ONE_PATH, X},
	[NJ_ACT_UNLINKAT]   = {NJ_KIND_UNLINK,     3, A(1),          0, 1, LAST_IS_NAME,      ONE_PATH, X},
	[NJ_ACT_MKDIR]      = {NJ_KIND_MKDIR,      2, A(0),          X, 0, LAST_IS_NAME,      ONE_PATH, X},
	[NJ_ACT_MKDIRAT]    = {NJ_KIND_MKDIR,      3, A(1),          0, 1, LAST_IS_NAME,      ONE_PATH, X},
	[NJ_ACT_MKNOD]      = {NJ_KIND_MKNOD,      3, A(0),          X, 0, LAST_IS_NAME,      ONE_PATH, X},
	[NJ_ACT_MKNODAT]    = {NJ_KIND_MKNOD,      4, A(1),          0, 1, LAST_IS_NAME,      ONE_PATH, X},
	[NJ_ACT_RENAME]     = {NJ_KIND_RENAME,     2, A(0) | A(1),   X, 0, LAST_IS_NAME,      X, 1,     X},
	[NJ_ACT_RENAMEAT]   = {NJ_KIND_RENAME,     4, A(1) | A(3),   0, 1, LAST_IS_NAME,      2, 3,     X},
	[NJ_ACT_RENAMEAT2]  = {NJ_KIND_RENAME,     5, A(1) | A(3),   0, 1, LAST_IS_NAME,      2, 3,     X},
	[NJ_ACT_LINK]       = {NJ_KIND_LINK,       2, A(0) | A(1),   X, 1, LAST_IS_NAME,      X, 0,     X},
	[NJ_ACT_LINKAT]     = {NJ_KIND_LINK,       5, A(1) | A(3),   2, 3, LAST_IS_NAME,      0, 1,     4},
	[NJ_ACT_SYMLINK]    = {NJ_KIND_LINK,       2, A(0) | A(1),   X, 1, LAST_IS_NAME,      X, 0,     X},
	[NJ_ACT_SYMLINKAT]  = {NJ_KIND_LINK,       3, A(0) | A(2),   1, 2, LAST_IS_NAME,      X, 0,     X},
	[NJ_ACT_CHMOD]      = {NJ_KIND_CHMOD,      2, A(0),          X, 0, LAST_FOLLOWED,     ONE_PATH, X},
	[NJ_ACT_FCHMOD]     = {NJ_KIND_CHMOD,      2, 0,             0, X, LAST_FOLLOWED,     ONE_PATH, X},
	[NJ_ACT_FCHMODAT]   = {NJ_KIND_CHMOD,      3, A(1),          0, 1, LAST_FOLLOWED,     ONE_PATH, X},
	[NJ_ACT_FCHMODAT2]  = {NJ_KIND_CHMOD,      4, A(1),          0, 1, LAST_BY_FLAG,      ONE_PATH, 3},
	[NJ_ACT_CHOWN]      = {NJ_KIND_CHOWN,      3, A(0),          X, 0, LAST_FOLLOWED,     ONE_PATH, X},
	[NJ_ACT_LCHOWN]     = {NJ_KIND_CHOWN,      3, A(0),          X, 0, LAST_NOT_FOLLOWED, ONE_PATH, X},
	[NJ_ACT_FCHOWN]     = {NJ_KIND_CHOWN,      3, 0,             0, X, LAST_FOLLOWED,     ONE_PATH, X},
	[NJ_ACT_FCHOWNAT]   = {NJ_KIND_CHOWN,      5, A(1),          0, 1, LAST_BY_FLAG,      ONE_PATH, 4},
	[NJ_ACT_UTIME]      = {NJ_KIND_UTIME,      2, A(0) | A(1),   X, 0, LAST_FOLLOWED,     ONE_PATH, X},
	[NJ_ACT_FUTIMESAT]  = {NJ_KIND_UTIME,      3, A(1) | A(2),   0, 1, LAST_FOLLOWED,     ONE_PATH, X},
	[NJ_ACT_UTIMENSAT]  = {NJ_KIND_UTIME,      4, A(1) | A(2),   0, 1, LAST_BY_FLAG,      ONE_PATH, 3},
	[NJ_ACT_TRUNCATE]   = {NJ_KIND_TRUNCATE,   2, A(0),          X, 0, LAST_FOLLOWED,     ONE_PATH, X},
	[NJ_ACT_FTRUNCATE]  = {NJ_KIND_TRUNCATE,   2, 0,             0, X, LAST_FOLLOWED,     ONE_PATH, X},
};
/* clang-format on */

static __always_inline __u64 arg_at(const struct scratch *s, __u8 place)
{
	return place < 6 ? s->call.arg[place] : 0;
}

static __always_inline int directory_at(const struct scratch *s, __u8 place)
{
	return place < 6 ? (int)s->call.arg[place] : WALK_AT_FDCWD;
}

static __always_inline bool is_symbolic(const struct scratch *s)
{
	return s->call.act == NJ_ACT_SYMLINK || s->call.act == NJ_ACT_SYMLINKAT;
}

static __always_inline __u32 walk_flags_of(__u8 last, __u64 at_flags)
{
	__u32 flags = at_flags & AT_EMPTY_PATH ? WALK_EMPTY : 0;

	if (last == LAST_IS_NAME)
		return WALK_PARENT;
	if (last == LAST_FOLLOWED || (last == LAST_BY_FLAG && !(at_flags & AT_SYMLINK_NOFOLLOW)))
		flags |= WALK_FOLLOW;
	return flags;
}

/* Of what is moved or linked to. A new symbolic link is followed from its own place. */
static __always_inline __u32 second_flags(const struct shape *shape, __u64 at_flags)
{
	__u32 flags = at_flags & AT_EMPTY_PATH ? WALK_EMPTY : 0;

	if (shape->kind == NJ_KIND_RENAME)
		return WALK_PARENT;
	return at_flags & AT_SYMLINK_FOLLOW ? flags | WALK_FOLLOW : flags;
}

/* Whether the object is what the call has made of it. */
static __always_inline bool fits(const struct scratch *s, const struct shape *shape)
{
	struct walk *w = walk_state();
	__u32 mode;

	if (!w)
		return true;
	mode = BPF_CORE_READ(walk_inode(w), i_mode);
	switch (shape->kind) {
	case NJ_KIND_MKDIR:
		return (mode & S_IFMT) == S_IFDIR;
	case NJ_KIND_MKNOD:
		return (mode & S_IFMT) == ((__u32)arg_at(s, shape->path + 1) & S_IFMT ?: S_IFREG);
	case NJ_KIND_CHMOD:
		return ((mode ^ (__u32)arg_at(s, shape->path + 1)) & PERMISSIONS) == 0;
	case NJ_KIND_LINK:
		return !is_symbolic(s) || (mode & S_IFMT) == S_IFLNK;
	case NJ_KIND_UNLINK:
		return false; /* it is there */
	}
	return true;
}

/* The old name leads to something that is not what the new one leads to, though neither was exchanged. */
static __always_inline bool moved_another(const struct scratch *s, __u64 still_there)
{
	struct walk *w = walk_state();

	if (!still_there || !w || (s->call.act == NJ_ACT_RENAMEAT2 && s->call.arg[4] & RENAME_EXCHANGE))
		return false;
	return still_there != (__u64)walk_inode(w);
}

static __always_inline void add_descriptor(const struct scratch *s, struct nj_act *act, const struct shape *shape)
{
	struct file *file = fdinfo_current_file((int)arg_at(s, shape->directory));

	if (!file)
		return;
	if (shape->kind == NJ_KIND_CHMOD && act->result >= 0 &&
	    (BPF_CORE_READ(file, f_inode, i_mode) ^ (__u32)arg_at(s, shape->directory + 1)) & PERMISSIONS)
		act->marks |= NJ_MARK_RACED;
	act_add_file(NJ_PART_PATH, file);
}

/* Leaves in the key what still stands at the old name, for moved_another. */
static __noinline int add_first(struct scratch *s, struct nj_act *act, const struct shape *shape)
{
	struct walk *w = walk_state();
	__u32 flags = walk_flags_of(shape->last, arg_at(s, shape->flags));
	__u64 path = arg_at(s, shape->path);
	bool succeeded = act->result >= 0;
	int outcome;

	act_add_text(NJ_PART_RAW, path, NJ_RAW_MAX);
	outcome = walk_argument(path, directory_at(s, shape->directory), flags);
	walk_add_path(NJ_PART_PATH);
	walk_mark(act, outcome, flags);
	s->key.inode = outcome == WALK_FOUND && w ? (__u64)walk_inode(w) : 0;
	if (outcome != WALK_FOUND)
		return 0;
	if (succeeded && !fits(s, shape))
		act->marks |= NJ_MARK_RACED;
	/* What was moved or removed is not there any more; what is, is something else. */
	if (!succeeded || (shape->kind != NJ_KIND_UNLINK && shape->kind != NJ_KIND_RENAME))
		walk_add_inode();
	return 0;
}

static __noinline int add_second(struct scratch *s, struct nj_act *act, const struct shape *shape)
{
	__u32 flags = second_flags(shape, arg_at(s, shape->flags));
	bool moved = shape->kind == NJ_KIND_RENAME && act->result >= 0;
	__u64 path = arg_at(s, shape->path2);
	int outcome;

	act_add_text(NJ_PART_RAW2, path, NJ_RAW_MAX);
	if (is_symbolic(s))
		outcome = walk_argument(arg_at(s, shape->path), directory_at(s, shape->directory), WALK_FOLLOW);
	else
		outcome = walk_argument(path, directory_at(s, shape->directory2), flags);
	walk_add_path(NJ_PART_PATH2);
	/* A symbolic link may lead nowhere. */
	walk_mark(act, outcome, is_symbolic(s) ? WALK_PARENT : flags);
	if (moved && outcome == WALK_FOUND && moved_another(s, s->key.inode))
		act->marks |= NJ_MARK_RACED;
	if (moved)
		walk_add_inode();
	return 0;
}

static __always_inline int change_act(struct scratch *s, const struct call *call)
{
	const struct shape *shape;
	struct nj_act *act;

	if (call->act >= NJ_ACT_MAX)
		return 0;
	shape = &shapes[call->act];
	act = act_begin(s, call, shape->kind);
	act_args(act, call, shape->args, shape->addresses);
	/* A NULL path of futimesat and utimensat is the descriptor itself. */
	if (shape->path == NO_ARG || (shape->kind == NJ_KIND_UTIME && !arg_at(s, shape->path)))
		add_descriptor(s, act, shape);
	else
		add_first(s, act, shape);
	if (shape->path2 != NO_ARG)
		add_second(s, act, shape);
	act_emit(s, act, NJ_CLASS_CHANGE, EMIT_NOW);
	return 0;
}

CALL_PROGRAM(change)
