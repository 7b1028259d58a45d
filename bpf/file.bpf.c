/* Opens, as they really went: the path is that of the file behind the new descriptor. Reported are
 * those whose last component the policy names, and whatever carries a conversation (FIFO, pty); a
 * failed one has no file, so its argument's last component counts. Nearly every open fails the
 * first test, a bit by length and first character of the name. */
#include "bpf/call.bpf.h"
#include "bpf/fdinfo.bpf.h"
#include "bpf/path.bpf.h"

#define AT_FDCWD	     -100
#define O_WRONLY_CREAT_TRUNC 01101

/* Asks the map for the name in scratch.name. */
static __always_inline bool name_wanted(struct scratch *s)
{
	return bpf_map_lookup_elem(&open_names, &s->name) != NULL;
}

static __always_inline bool file_wanted(struct scratch *s, struct file *file)
{
	struct dentry *dentry = BPF_CORE_READ(file, f_path.dentry);
	const unsigned char *name = BPF_CORE_READ(dentry, d_name.name);
	__u32 len = BPF_CORE_READ(dentry, d_name.len);
	char first = 0;

	bpf_probe_read_kernel(&first, 1, name);
	if (should_drop_name(len, first))
		return false;
	__builtin_memset(&s->name, 0, sizeof(s->name));
	bpf_probe_read_kernel(s->name.text, bounded(len, NJ_NAME_MAX - 1), name);
	return name_wanted(s);
}

/* The argument is in scratch.raw, len bytes with the final NUL. */
static __always_inline bool argument_wanted(struct scratch *s, __u32 len)
{
	__u32 name_len;
	__u32 i;

	s->mark = 0;
	for (i = 0; i < NJ_RAW_MAX; i++) {
		if (i >= len)
			break;
		if (s->raw[i] == '/')
			s->mark = i + 1;
	}
	i = s->mark & (NJ_RAW_MAX - 1);
	name_len = len - 1 - i;
	if (should_drop_name(name_len, s->raw[i]))
		return false;
	__builtin_memset(&s->name, 0, sizeof(s->name));
	bpf_probe_read_kernel(s->name.text, bounded(name_len, NJ_NAME_MAX - 1), s->raw + i);
	return name_wanted(s);
}

/* Fills and sends the record; file is NULL for a failed open. raw_len counts the final NUL. */
static __always_inline void emit_open(struct scratch *s, struct nj_open *open, struct file *file, __u32 raw_len)
{
	const struct task_struct *task = bpf_get_current_task_btf();
	__u32 pos = 0;

	emit_head(&open->head, NJ_OPEN, 0);
	if (file) {
		int path = path_of(&file->f_path, task->fs, SCRATCH_HOOK);

		path_file_info(file, &open->file);
		open->flags = path & PATH_CUT ? NJ_EXE_TRUNCATED : 0;
		pos = path_append_resolved(s, pos, path, &open->path_len);
	}
	open->raw_len = (__u16)raw_len;
	pos = path_append(s, pos, s->raw, raw_len, NJ_RAW_MAX);
	if (pos > SCRATCH_VAR)
		return;
	open->head.size = (__u16)(sizeof(*open) + pos);
	emit_record(open, sizeof(*open) + pos, NJ_CLASS_FILE, EMIT_NOW);
}

/* raw: the path argument's address. */
static __noinline int opened(__s64 result, __u64 raw, int dirfd, __u32 flags)
{
	struct scratch *s = emit_scratch(SCRATCH_HOOK);
	struct file *file = fdinfo_current_file(result);
	struct nj_open *open;
	int kind = NJ_EP_NONE;
	long len;

	if (!s)
		return 0;
	if (file) {
		bool wanted = file_wanted(s, file);

		kind = fdinfo_endpoint((__u64)file, (int)result, ENDPOINT_SLOT, SCRATCH_HOOK);
		if (kind == NJ_EP_NONE && !wanted)
			return 0;
	}
	len = bpf_probe_read_user_str(s->raw, NJ_RAW_MAX, (void *)raw);
	if (len < 0 || len > NJ_RAW_MAX)
		len = 0;
	if (!file && (len == 0 || !argument_wanted(s, (__u32)len)))
		return 0;
	open = scratch_record(s, struct nj_open);
	open->result = result;
	open->dirfd = dirfd;
	open->open_flags = flags;
	if (kind != NJ_EP_NONE)
		open->endpoint = s->endpoints[ENDPOINT_SLOT];
	emit_open(s, open, file, (__u32)len);
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
