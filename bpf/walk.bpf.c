/* Follows a path through the directory cache. The table of that cache has no name that programs could
 * use; the agent finds it at start (node-agent/dcache.c) from where known entries hang. A name's place in
 * it is a hash that is salted with its directory: fs/namei.c, the same since 4.8 on every 64-bit
 * machine that reads words at any address.
 *
 * Typical: five names, one or two words each, one entry per bucket. Bounds: 256 steps (names,
 * slashes, links), 40 links as in the kernel. */
#include "bpf/walk.bpf.h"
#include "bpf/fdinfo.bpf.h"
#include "bpf/link.bpf.h"
#include "bpf/path.bpf.h"

#define TEXT_START   2048 /* room before it for texts of links */
#define TEXT_MAX     4096 /* PATH_MAX */
#define REST_MAX     960  /* of an argument that could not be followed */
#define STEPS	     256
#define LINKS_MAX    40
#define NAME_WORDS   32
#define BUCKET_MAX   32
#define MOUNTS_MAX   512
#define STACKED_MAX  8
#define SLASHES_MAX  32
#define GOLDEN_RATIO 0x61C8864680B583EBULL
#define WORD_ONES    0x0101010101010101ULL
#define WORD_HIGHS   0x8080808080808080ULL
#define WORD_SLASHES 0x2f2f2f2f2f2f2f2fULL
#define GOES_ON	     -1

static __always_inline __u64 word_at(const char *text, __u32 pos)
{
	return *(const __u64 *)(const void *)(text + pos);
}

static __always_inline __u32 text_at(__u32 pos)
{
	return (__u32)bounded(pos, WALK_TEXT - 1);
}

/* The highest bit of the first byte that is 0 is the lowest that is set; 0: there is none. */
static __always_inline __u64 zero_byte(__u64 word)
{
	return (word - WORD_ONES) & ~word & WORD_HIGHS;
}

static __always_inline __u64 rotated(__u64 word, __u32 by)
{
	return word << by | word >> (64 - by);
}

/* Measures and hashes the name at pos. False when it is longer than a name can be. */
int walk_measure(void)
{
	struct walk *w = walk_state();
	__u64 x = 0, y, word = 0, stop = 0, mask;
	__u32 i;

	if (!w)
		return 0;
	y = w->dentry;
	for (i = 0; i < NAME_WORDS; i++) {
		word = word_at(w->text, text_at(w->pos + i * 8));
		stop = zero_byte(word) | zero_byte(word ^ WORD_SLASHES);
		if (stop)
			break;
		x ^= word;
		y ^= x;
		x = rotated(x, 12);
		x += y;
		y = rotated(y, 45);
		y *= 9;
	}
	if (!stop)
		return 0;
	mask = ((stop - 1) & ~stop) >> 7;
	x ^= word & mask;
	w->end = w->pos + i * 8 + (__u32)((mask & WORD_ONES) * WORD_ONES >> 56);
	y ^= x * GOLDEN_RATIO;
	w->hash = (__u32)(y * GOLDEN_RATIO >> 32);
	return 1;
}

/* Whether the first name of the rest is that of the dentry, which has the same length. */
int walk_same_name(__u64 dentry_address)
{
	struct dentry *dentry = (void *)dentry_address;
	struct walk *w = walk_state();
	__u32 i, len;

	if (!w)
		return 0;
	len = w->end - w->pos;
	if (bpf_probe_read_kernel(w->name, bounded(len, 255), BPF_CORE_READ(dentry, d_name.name)))
		return 0;
	for (i = 0; i < NAME_WORDS; i++) {
		__u64 difference = word_at(w->name, i * 8) ^ word_at(w->text, text_at(w->pos + i * 8));
		__u32 left = len - i * 8;

		if (left < 8)
			return left == 0 || difference << (64 - left * 8) == 0;
		if (difference)
			return 0;
	}
	return 1;
}

static __always_inline bool is_child(struct walk *w, struct dentry *dentry)
{
	return BPF_CORE_READ(dentry, d_name.hash) == w->hash && (__u64)BPF_CORE_READ(dentry, d_parent) == w->dentry &&
	       BPF_CORE_READ(dentry, d_name.len) == w->end - w->pos && walk_same_name((__u64)dentry);
}

/* Looks the name up in the directory where the walk stands. */
int walk_lookup(void)
{
	struct walk *w = walk_state();
	__u64 node = 0;
	__u32 i;

	if (!w || !dcache.table)
		return 0;
	w->child = 0;
	bpf_probe_read_kernel(&node, sizeof(node), (void *)(dcache.table + (__u64)(w->hash >> dcache.shift) * 8));
	node &= ~1ULL; /* the bucket's lock */
	for (i = 0; i < BUCKET_MAX && node; i++) {
		struct dentry *dentry = (void *)(node - bpf_core_field_offset(struct dentry, d_hash));

		if (is_child(w, dentry)) {
			w->child = (__u64)dentry;
			return 1;
		}
		node = (__u64)BPF_CORE_READ(dentry, d_hash.next);
	}
	return 0;
}

static __always_inline bool is_mounted(struct dentry *dentry)
{
	__u32 mounted = DCACHE_MOUNTED_BEFORE_ENUM;

	if (bpf_core_enum_value_exists(enum dentry_flags, DCACHE_MOUNTED))
		mounted = bpf_core_enum_value(enum dentry_flags, DCACHE_MOUNTED);
	return BPF_CORE_READ(dentry, d_flags) & mounted;
}

/* Steps onto what is mounted where the walk stands, if anything is. */
int walk_into_mount(void)
{
	struct walk *w = walk_state();
	struct list_head *first, *node;
	struct mount *here;
	__u32 i;

	if (!w || !is_mounted((struct dentry *)w->dentry))
		return 0;
	here = (void *)(w->vfsmount - bpf_core_field_offset(struct mount, mnt));
	first = (void *)here + bpf_core_field_offset(struct mount, mnt_mounts);
	node = BPF_CORE_READ(first, next);
	for (i = 0; i < MOUNTS_MAX && node && node != first; i++) {
		struct mount *mount = (void *)node - bpf_core_field_offset(struct mount, mnt_child);

		if ((__u64)BPF_CORE_READ(mount, mnt_mountpoint) == w->dentry) {
			w->vfsmount = (__u64)mount + bpf_core_field_offset(struct mount, mnt);
			w->dentry = (__u64)BPF_CORE_READ(mount, mnt.mnt_root);
			return 1;
		}
		node = BPF_CORE_READ(node, next);
	}
	return 0;
}

static __always_inline void into_mounts(void)
{
	__u32 i;

	for (i = 0; i < STACKED_MAX; i++)
		if (!walk_into_mount())
			return;
}

/* `..`, which leads nowhere at the root. */
int walk_up(void)
{
	struct walk *w = walk_state();
	__u32 i;

	if (!w)
		return 0;
	for (i = 0; i < STACKED_MAX; i++) {
		struct vfsmount *vfsmount = (void *)w->vfsmount;
		struct dentry *dentry = (void *)w->dentry;
		struct mount *mount = (void *)vfsmount - bpf_core_field_offset(struct mount, mnt);
		struct mount *parent;

		if (w->dentry == w->root_dentry && w->vfsmount == w->root_vfsmount)
			return 0;
		if ((__u64)BPF_CORE_READ(vfsmount, mnt_root) != w->dentry) {
			w->dentry = (__u64)BPF_CORE_READ(dentry, d_parent);
			break;
		}
		parent = BPF_CORE_READ(mount, mnt_parent);
		if (parent == mount || !parent)
			return 0;
		w->dentry = (__u64)BPF_CORE_READ(mount, mnt_mountpoint);
		w->vfsmount = (__u64)parent + bpf_core_field_offset(struct mount, mnt);
	}
	into_mounts();
	return 0;
}

/* Puts the text of the link (w->child) in the place of its name, or goes to where it leads. */
int walk_into_link(void)
{
	struct walk *w = walk_state();
	__u32 start;
	int len;

	if (!w || ++w->links > LINKS_MAX)
		return WALK_STUCK;
	len = link_read();
	if (len < 0 || len >= WALK_LINK || w->end < (__u32)len)
		return WALK_STUCK;
	start = w->end - (__u32)len;
	if (bpf_probe_read_kernel(w->text + text_at(start), bounded((__u32)len, WALK_LINK - 1), w->link))
		return WALK_STUCK;
	w->pos = start;
	if (len > 0 && w->link[0] == '/') {
		w->dentry = w->root_dentry;
		w->vfsmount = w->root_vfsmount;
	}
	return GOES_ON;
}

static __always_inline void skip_slashes(struct walk *w, volatile __u32 *pos)
{
	__u32 i;

	for (i = 0; i < SLASHES_MAX; i++) {
		if (w->text[text_at(*pos)] != '/')
			return;
		(*pos)++;
	}
}

/* What stands behind the name at pos. */
enum name_place { NAME_INNER, NAME_LAST, NAME_LAST_DIRECTORY };

static __always_inline enum name_place place_of(struct walk *w)
{
	__u32 behind = w->end;

	if (!w->text[text_at(behind)])
		return NAME_LAST;
	skip_slashes(w, &behind);
	return w->text[text_at(behind)] ? NAME_INNER : NAME_LAST_DIRECTORY;
}

/* From a directory to the entry that walk_lookup found. */
static __always_inline int enter(struct walk *w)
{
	struct dentry *child = (void *)w->child;
	struct inode *inode = BPF_CORE_READ(child, d_inode);
	enum name_place place = place_of(w);
	bool removed = w->flags & WALK_PARENT;

	if (!inode)
		return WALK_MISSING;
	if (place != NAME_INNER && removed) {
		w->dentry = w->child;
		return WALK_FOUND;
	}
	if ((BPF_CORE_READ(inode, i_mode) & S_IFMT) == S_IFLNK &&
	    (place != NAME_LAST || (w->flags & WALK_FOLLOW)))
		return walk_into_link();
	w->dentry = w->child;
	w->pos = w->end;
	into_mounts();
	return GOES_ON;
}

/* One name, or a run of slashes. Returns GOES_ON or the outcome. */
int walk_step(void)
{
	struct walk *w = walk_state();
	__u32 len;

	if (!w)
		return WALK_STUCK;
	skip_slashes(w, &w->pos);
	if (!w->text[text_at(w->pos)])
		return WALK_FOUND;
	if (w->text[text_at(w->pos)] == '/')
		return GOES_ON;
	if (!walk_measure())
		return WALK_STUCK;
	len = w->end - w->pos;
	if (w->text[text_at(w->pos)] == '.' && len <= 2 && (len == 1 || w->text[text_at(w->pos + 1)] == '.')) {
		if (len == 2)
			(void)walk_up();
		w->pos = w->end;
		return GOES_ON;
	}
	if (!dcache.table)
		return WALK_STUCK;
	return walk_lookup() ? enter(w) : WALK_MISSING;
}

/* Where the argument in the text begins. False when there is no such place. */
static __always_inline bool begin(struct walk *w, int dirfd)
{
	const struct task_struct *task = bpf_get_current_task_btf();
	struct fs_struct *fs = task->fs;
	struct file *directory;

	w->root_dentry = (__u64)BPF_CORE_READ(fs, root.dentry);
	w->root_vfsmount = (__u64)BPF_CORE_READ(fs, root.mnt);
	if (w->text[TEXT_START] == '/') {
		w->dentry = w->root_dentry;
		w->vfsmount = w->root_vfsmount;
		return true;
	}
	if (dirfd == WALK_AT_FDCWD) {
		w->dentry = (__u64)BPF_CORE_READ(fs, pwd.dentry);
		w->vfsmount = (__u64)BPF_CORE_READ(fs, pwd.mnt);
		return true;
	}
	directory = fdinfo_current_file(dirfd);
	if (!directory)
		return false;
	w->dentry = (__u64)BPF_CORE_READ(directory, f_path.dentry);
	w->vfsmount = (__u64)BPF_CORE_READ(directory, f_path.mnt);
	return true;
}

int walk_argument(__u64 user_address, int dirfd, __u32 flags)
{
	struct walk *w = walk_state();
	int outcome = GOES_ON;
	__u32 i;

	if (!w)
		return WALK_NOWHERE;
	w->outcome = WALK_NOWHERE;
	w->flags = flags;
	w->links = 0;
	w->pos = TEXT_START;
	w->text[TEXT_START] = 0;
	if (bpf_probe_read_user_str(w->text + TEXT_START, TEXT_MAX, (void *)user_address) <= 0 &&
	    !(flags & WALK_EMPTY))
		return WALK_NOWHERE;
	if ((!w->text[TEXT_START] && !(flags & WALK_EMPTY)) || !begin(w, dirfd))
		return WALK_NOWHERE;
	for (i = 0; i < STEPS && outcome == GOES_ON; i++)
		outcome = walk_step();
	w->outcome = outcome == GOES_ON ? WALK_STUCK : (__u32)outcome;
	return (int)w->outcome;
}

int walk_root(void)
{
	const struct task_struct *task = bpf_get_current_task_btf();
	struct walk *w = walk_state();
	struct fs_struct *fs = task->fs;

	if (!w)
		return WALK_NOWHERE;
	w->dentry = (__u64)BPF_CORE_READ(fs, root.dentry);
	w->vfsmount = (__u64)BPF_CORE_READ(fs, root.mnt);
	w->root_dentry = 0;
	w->root_vfsmount = 0;
	w->outcome = WALK_FOUND;
	return WALK_FOUND;
}

int walk_nowhere(void)
{
	struct walk *w = walk_state();

	if (w)
		w->outcome = WALK_NOWHERE;
	return WALK_NOWHERE;
}

int walk_next_is(__u64 dentry_address)
{
	struct dentry *dentry = (void *)dentry_address;
	struct walk *w = walk_state();

	return w && BPF_CORE_READ(dentry, d_name.len) == w->end - w->pos && walk_same_name(dentry_address);
}

int walk_text(void)
{
	struct scratch *s = emit_scratch(SCRATCH_HOOK);
	struct walk *w = walk_state();
	__u32 len, end = NJ_PATH_MAX;
	int found;

	if (!s || !w || w->outcome == WALK_NOWHERE)
		return 0;
	found = path_resolve(w->dentry, w->vfsmount, w->root_dentry, w->root_vfsmount, SCRATCH_HOOK);
	len = (__u32)found & (2 * NJ_PATH_MAX - 1);
	if (len == 0 || len > NJ_PATH_MAX)
		return 0;
	w->path_start = NJ_PATH_MAX - len;
	w->path_cut = found & PATH_CUT;
	if (w->outcome != WALK_FOUND) {
		long rest;

		/* Over the final NUL, and a root's slash. */
		s->path[NJ_PATH_MAX - 1] = '/';
		end = NJ_PATH_MAX - (len == 2);
		rest = bpf_probe_read_kernel_str(s->path + bounded(end, 2 * NJ_PATH_MAX - 1), REST_MAX,
						 w->text + text_at(w->pos));
		end += rest > 0 ? (__u32)rest : 0;
		if (rest == REST_MAX)
			w->path_cut = PATH_CUT;
	}
	w->path_len = end - w->path_start;
	return (int)w->path_len;
}

int walk_add_path(__u32 type)
{
	struct walk *w = walk_state();

	if (!w || !walk_text())
		return 0;
	return act_add_scratch(type, w->path_start, w->path_len, w->path_cut);
}

int walk_add_inode(void)
{
	struct walk *w = walk_state();

	if (!w || w->outcome != WALK_FOUND)
		return 0;
	return act_add_inode((__u64)walk_inode(w));
}

/* For the agent, by BPF_PROG_TEST_RUN: where the entry of its own open file hangs. */
SEC("raw_tp")
int walk_sample(struct bpf_raw_tracepoint_args *ctx)
{
	struct file *file = fdinfo_current_file((__s64)ctx->args[0]);
	struct walk *w = walk_state();
	struct dentry *dentry;
	__u32 len;

	if (!w || !file)
		return 0;
	dentry = BPF_CORE_READ(file, f_path.dentry);
	len = BPF_CORE_READ(dentry, d_name.len);
	w->dentry = (__u64)BPF_CORE_READ(dentry, d_parent);
	w->pos = TEXT_START;
	if (bpf_probe_read_kernel(w->text + TEXT_START, bounded(len, 255), BPF_CORE_READ(dentry, d_name.name)))
		return 0;
	w->text[TEXT_START + bounded(len, 255)] = 0;
	(void)walk_measure();
	dcache_sample.hangs_at = (__u64)BPF_CORE_READ(dentry, d_hash.pprev);
	dcache_sample.hash = BPF_CORE_READ(dentry, d_name.hash);
	dcache_sample.own_hash = w->hash;
	return 1;
}
