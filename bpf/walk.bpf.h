/* Where a path argument leads, after the call: the names are looked up one by one in the kernel's own
 * directory cache, where the call has just left them, so links, `..`, mounts and descriptors of
 * directories are followed as the kernel followed them. Nothing is waited for and nothing is touched.
 *
 *   walk_argument(call->arg[1], (int)call->arg[0], WALK_FOLLOW);
 *   walk_add_path(NJ_PART_PATH);
 *   walk_add_inode();
 *
 * The way is found again after the call, so a name that another thread changes in between leads
 * elsewhere. What cannot be followed (a name that is not cached, a link whose text lies on disk only)
 * ends the walk: the path is then the place reached, joined with the rest of the argument. */
#pragma once

#include "bpf/act.bpf.h"

#define WALK_AT_FDCWD -100

enum walk_flags {
	WALK_FOLLOW = 1, /* a link at the end too */
	WALK_PARENT = 2, /* the last name is made or removed: never followed, and mounts on it do not count */
	WALK_EMPTY = 4,	 /* an empty argument is the directory itself: AT_EMPTY_PATH */
};

enum walk_outcome {
	WALK_FOUND = 0,	  /* stands on the object */
	WALK_MISSING = 1, /* stands where the next name is not */
	WALK_STUCK = 2,	  /* stands where the next name cannot be followed */
	WALK_NOWHERE = 3, /* the argument cannot be read, or there is nothing to begin at */
};

/* Per CPU: one walk at a time. */
#define WALK_TEXT 8192 /* the argument stands in the middle: texts of links go before what is left */
#define WALK_LINK 256
struct walk {
	__u64 dentry;	/* where it stands */
	__u64 vfsmount;
	__u64 root_dentry;
	__u64 root_vfsmount;
	__u64 child;	/* dentry of the next name */
	volatile __u32 pos;	  /* of text: where the rest begins */
	volatile __u32 end;	  /* behind its first name */
	__u32 hash;
	__u32 flags;
	__u32 links;
	__u32 outcome;
	__u32 path_start; /* of scratch.path, what walk_text has left there */
	__u32 path_len;	  /* with its final NUL */
	__u32 path_cut;
	char text[WALK_TEXT + WALK_LINK];
	char link[2 * WALK_LINK];
	char name[2 * WALK_LINK];
};

/* Returns enum walk_outcome. */
int walk_argument(__u64 user_address, int dirfd, __u32 flags);
/* Stands on the current root, seen from that of the mount namespace. */
int walk_root(void);
/* For an argument that cannot be followed from here. Returns WALK_NOWHERE. */
int walk_nowhere(void);
/* Leaves the path in scratch.path, from path_start on: of the object, or of where it would be. Returns its
 * length, 0 when there is none. */
int walk_text(void);
/* Whether the next name, which the walk did not find, is that of a dentry. */
int walk_next_is(__u64 dentry);
/* Adds the path: of the object, or of where it would be. */
int walk_add_path(__u32 type);
/* NJ_PART_FILE of the object that was found. */
int walk_add_inode(void);

struct walk_map {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct walk);
};

extern struct walk_map walks SEC(".maps");
extern struct nj_dcache dcache; /* the agent finds it at start */
extern struct nj_dcache_sample dcache_sample;

static __always_inline struct walk *walk_state(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&walks, &zero);
}

static __always_inline bool walk_stands_on(const struct dentry *dentry)
{
	const struct walk *w = walk_state();

	return w && w->dentry == (__u64)dentry;
}

static __always_inline struct inode *walk_inode(const struct walk *w)
{
	struct dentry *dentry = (void *)w->dentry;

	return BPF_CORE_READ(dentry, d_inode);
}

/* A path that a success followed and the walk did not. */
static __always_inline void walk_mark(struct nj_act *act, int outcome, __u32 flags)
{
	if (outcome == WALK_STUCK || (outcome == WALK_MISSING && act->result >= 0 && !(flags & WALK_PARENT)))
		act->marks |= NJ_MARK_UNRESOLVED;
}
