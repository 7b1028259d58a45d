/* The walk from a dentry to the root, crossing mounts. At most PATH_STEPS components and mounts,
 * which is deeper than paths of people and programs are; what is deeper is marked as cut. */
#include "bpf/path.bpf.h"
#include "bpf/emit.bpf.h"

#define PATH_STEPS    64
#define COMPONENT_MAX 255

struct walk {
	struct dentry *dentry;
	struct vfsmount *vfsmount;
	struct dentry *top; /* the mount's root */
};

static __always_inline void enter_mount(struct walk *w, struct vfsmount *vfsmount)
{
	w->vfsmount = vfsmount;
	w->top = kernel_read(vfsmount, mnt_root);
}

static __always_inline struct mount *mount_of(struct vfsmount *vfsmount)
{
	return (void *)vfsmount - bpf_core_field_offset(struct mount, mnt);
}

/* Steps from a mount's root to the place it is mounted on. False at the top. */
static __always_inline bool cross_mount(struct walk *w)
{
	struct mount *mount = mount_of(w->vfsmount);
	struct mount *parent = kernel_read(mount, mnt_parent);

	if (parent == mount || !parent)
		return false;
	w->dentry = kernel_read(mount, mnt_mountpoint);
	enter_mount(w, (void *)parent + bpf_core_field_offset(struct mount, mnt));
	return true;
}

/* Writes "/NAME" before what is there, which begins at scratch.mark. False when it does not fit. */
static __always_inline bool prepend_name(struct scratch *s, struct walk *w)
{
	struct dentry *dentry = w->dentry;
	const unsigned char *name = kernel_read(dentry, d_name.name);
	__u32 len = kernel_read(dentry, d_name.len);
	__u32 start = s->mark;

	if (len > COMPONENT_MAX || start < len + 1)
		return false;
	start -= len;
	bpf_probe_read_kernel(s->path + (start & (NJ_PATH_MAX - 1)), bounded(len, COMPONENT_MAX), name);
	start--;
	s->path[start & (NJ_PATH_MAX - 1)] = '/';
	s->mark = start;
	return true;
}

int path_resolve(__u64 dentry, __u64 vfsmount, __u64 root_dentry, __u64 root_vfsmount, __u32 row)
{
	struct walk w = {.dentry = (void *)dentry};
	struct scratch *s = emit_scratch(row);
	int cut = PATH_CUT;
	int i;

	if (!s)
		return 0;
	s->path[NJ_PATH_MAX - 1] = 0;
	s->mark = NJ_PATH_MAX - 1;
	enter_mount(&w, (void *)vfsmount);
	for (i = 0; i < PATH_STEPS; i++) {
		struct dentry *here = w.dentry;
		struct dentry *parent;

		if ((__u64)here == root_dentry && (__u64)w.vfsmount == root_vfsmount) {
			cut = 0;
			break;
		}
		if (here == w.top) {
			if (cross_mount(&w))
				continue;
			cut = 0;
			break;
		}
		if (!prepend_name(s, &w))
			break;
		/* A dentry without a parent that is no mount's root: a memfd, or a file that is
		 * no longer reachable. Its name is all there is. */
		parent = kernel_read(here, d_parent);
		if (parent == here || !parent) {
			cut = 0;
			break;
		}
		w.dentry = parent;
	}
	if (s->mark == NJ_PATH_MAX - 1) {
		s->path[NJ_PATH_MAX - 2] = '/';
		s->mark = NJ_PATH_MAX - 2;
	}
	return (int)(NJ_PATH_MAX - s->mark) | cut;
}
