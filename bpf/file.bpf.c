/* Opens, as they really went: the path is that of the file behind the new descriptor. Wanted are those
 * that the policy names, by flags, last component or path, and whatever carries a conversation (FIFO,
 * pty); a failed one has no file, so its argument counts. Nearly every open fails the first test, a bit by
 * length and first character of the name. */
#include "bpf/call.bpf.h"
#include "bpf/fdinfo.bpf.h"
#include "bpf/novelty.bpf.h"
#include "bpf/path.bpf.h"

#define AT_FDCWD	     -100
#define O_WRONLY_CREAT_TRUNC 01101

/* Two loads and a bit: what most opens end at. */
static __always_inline bool may_be_wanted(const unsigned char *name, __u32 len, __u32 flags)
{
	char first = 0;

	if (filter_flags(flags) || filter_has_paths())
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

	novelty_add_inode(key, BPF_CORE_READ(file, f_inode));
	key->flags = flags;
	key->raw_hash = novelty_hash_raw(raw_len);
	return novelty_repeat();
}

/* Fills and sends the record; resolved: what path_of said, 0 for a failed open. raw_len counts the final
 * NUL. */
static __always_inline void emit_open(struct scratch *s, struct nj_open *open, int resolved, __u32 raw_len)
{
	__u32 pos = 0;

	emit_head(&open->head, NJ_OPEN, 0);
	open->head.window = s->window;
	open->flags = resolved & PATH_CUT ? NJ_EXE_TRUNCATED : 0;
	pos = path_append_resolved(s, pos, resolved, &open->path_len);
	open->raw_len = (__u16)raw_len;
	pos = path_append(s, pos, s->raw, raw_len, NJ_RAW_MAX);
	if (pos > SCRATCH_VAR)
		return;
	open->head.size = (__u16)(sizeof(*open) + pos);
	emit_record(open, sizeof(*open) + pos, NJ_CLASS_FILE, EMIT_NOW);
}

static __always_inline __u32 read_raw(struct scratch *s, __u64 raw)
{
	long len = bpf_probe_read_user_str(s->raw, NJ_RAW_MAX, (void *)raw);

	return len < 0 || len > NJ_RAW_MAX ? 0 : (__u32)len;
}

static __always_inline struct nj_open *begin_open(struct scratch *s, __s64 result, int dirfd, __u32 flags)
{
	struct nj_open *open = scratch_record(s, struct nj_open);

	open->result = result;
	open->dirfd = dirfd;
	open->open_flags = flags;
	return open;
}

static __noinline int open_failed(__s64 result, __u64 raw, int dirfd, __u32 flags)
{
	struct scratch *s = emit_scratch(SCRATCH_HOOK);
	__u32 len;

	if (!s)
		return 0;
	len = read_raw(s, raw);
	if (len == 0 || !(filter_flags(flags) || filter_raw_name(len) || filter_raw(len)))
		return 0;
	emit_open(s, begin_open(s, result, dirfd, flags), 0, len);
	return 0;
}

/* raw: the path argument's address. */
static __noinline int opened(__s64 result, __u64 raw, int dirfd, __u32 flags)
{
	const struct task_struct *task = bpf_get_current_task_btf();
	struct scratch *s = emit_scratch(SCRATCH_HOOK);
	struct file *file = fdinfo_current_file(result);
	const unsigned char *name;
	struct dentry *dentry;
	struct nj_open *open;
	__u32 len, name_len;
	int kind, resolved;

	if (!s)
		return 0;
	if (!file)
		return open_failed(result, raw, dirfd, flags);
	kind = fdinfo_endpoint((__u64)file, (int)result, ENDPOINT_SLOT, SCRATCH_HOOK);
	dentry = BPF_CORE_READ(file, f_path.dentry);
	name = BPF_CORE_READ(dentry, d_name.name);
	name_len = BPF_CORE_READ(dentry, d_name.len);
	if (kind == NJ_EP_NONE && !may_be_wanted(name, name_len, flags))
		return 0;
	len = read_raw(s, raw);
	if (opened_again(s, file, len, flags))
		return 0;
	resolved = path_of(&file->f_path, task->fs, SCRATCH_HOOK);
	if (kind == NJ_EP_NONE && !filter_flags(flags) && !filter_name((__u64)name, name_len) &&
	    !wanted_by_path(resolved))
		return novelty_unwanted();
	open = begin_open(s, result, dirfd, flags);
	path_file_info(file, &open->file);
	if (kind != NJ_EP_NONE)
		open->endpoint = s->endpoints[ENDPOINT_SLOT];
	emit_open(s, open, resolved, len);
	return 0;
}

static __always_inline int opened2(const struct call *call)
{
	__u64 flags = 0;

	bpf_probe_read_user(&flags, sizeof(flags), (void *)call->arg[2]);
	return opened(call->result, call->arg[1], (int)call->arg[0], (__u32)flags);
}

static __always_inline int file_act(const struct call *call)
{
	switch (call->act) {
	case NJ_ACT_OPEN:
		return opened(call->result, call->arg[0], AT_FDCWD, (__u32)call->arg[1]);
	case NJ_ACT_CREAT:
		return opened(call->result, call->arg[0], AT_FDCWD, O_WRONLY_CREAT_TRUNC);
	case NJ_ACT_OPENAT:
		return opened(call->result, call->arg[1], (int)call->arg[0], (__u32)call->arg[2]);
	case NJ_ACT_OPENAT2:
		return opened2(call);
	}
	return 0;
}

CALL_PROGRAM(file)
