/* Parts of an NJ_ACT record: see act.bpf.h. Each function looks the scratch up again, so that the verifier
 * proves it once and callers stay small. */
#include "bpf/act.bpf.h"
#include "bpf/fdinfo.bpf.h"
#include "bpf/path.bpf.h"

static __always_inline struct nj_act *record_of(struct scratch *s)
{
	return (void *)(s->head + SCRATCH_HEAD - sizeof(struct nj_act));
}

/* Room for a part's head and its bytes, of which there may be SCRATCH_LAST less one head; NULL past the
 * end. */
static __always_inline __u8 *part_room(struct scratch *s, __u32 *ret_pos)
{
	__u32 pos = s->pos;

	if (pos >= SCRATCH_VAR)
		return NULL;
	*ret_pos = pos;
	return s->var + (pos & (SCRATCH_VAR - 1)) + sizeof(struct nj_part);
}

static __always_inline int part_end(struct scratch *s, __u32 pos, __u32 type, __u32 len)
{
	struct nj_part part = {.len = (__u16)len, .type = (__u8)type};

	__builtin_memcpy(s->var + (pos & (SCRATCH_VAR - 1)), &part, sizeof(part));
	s->pos = pos + sizeof(part) + len;
	return (int)len;
}

static __always_inline int part_missing(struct scratch *s)
{
	record_of(s)->marks |= NJ_MARK_UNREADABLE;
	return 0;
}

/* len bytes at that address, of which the verifier knows a bound below SCRATCH_LAST. A helper copies
 * them: as a copy in line an endpoint takes 472 bytes of stack, and before 6.13 a chain of calls has
 * 512. */
static __always_inline int part_put(struct scratch *s, __u32 type, const void *from, __u64 len)
{
	__u32 pos;
	__u8 *room = part_room(s, &pos);

	if (!room || bpf_probe_read_kernel(room, (__u32)len, from))
		return part_missing(s);
	return part_end(s, pos, type, (__u32)len);
}

static __always_inline __u32 cut_mark(__u32 type)
{
	if (type == NJ_PART_DATA)
		return NJ_MARK_DATA_CUT;
	return type == NJ_PART_PATH ? NJ_MARK_PATH_CUT : type == NJ_PART_PATH2 ? NJ_MARK_PATH2_CUT : NJ_MARK_RAW_CUT;
}

int act_add_text(__u32 type, __u64 user_address, __u32 max)
{
	struct scratch *s = emit_scratch(SCRATCH_HOOK);
	__u8 *room;
	__u32 pos;
	long len;

	if (!s || max > NJ_RAW_MAX)
		return 0;
	room = part_room(s, &pos);
	if (!room)
		return part_missing(s);
	len = bpf_probe_read_user_str(room, bounded(max, 2 * NJ_RAW_MAX - 1), (void *)user_address);
	if (len < 0 || len > NJ_RAW_MAX)
		return part_missing(s);
	/* Some kernels do not count the NUL of an empty text. */
	if (len == 0) {
		room[0] = 0;
		len = 1;
	}
	/* Full to the last byte: the text ends there, or goes on behind it. */
	if (len == max) {
		char last = 0;

		bpf_probe_read_user(&last, 1, (void *)(user_address + max - 1));
		if (last)
			record_of(s)->marks |= cut_mark(type);
	}
	return part_end(s, pos, type, (__u32)len);
}

int act_add_data(__u32 type, __u64 user_address, __u32 len)
{
	struct scratch *s = emit_scratch(SCRATCH_HOOK);
	__u8 *room;
	__u32 pos;

	if (!s || len == 0)
		return 0;
	room = part_room(s, &pos);
	if (!room)
		return part_missing(s);
	if (len > NJ_DATA_MAX) {
		len = NJ_DATA_MAX;
		record_of(s)->marks |= NJ_MARK_DATA_CUT;
	}
	if (bpf_probe_read_user(room, bounded(len, 2 * NJ_DATA_MAX - 1), (void *)user_address))
		return part_missing(s);
	return part_end(s, pos, type, len);
}

int act_add_kernel(__u32 type, __u64 address, __u32 len)
{
	struct scratch *s = emit_scratch(SCRATCH_HOOK);

	if (!s || len == 0 || len > NJ_RAW_MAX)
		return 0;
	return part_put(s, type, (void *)address, bounded(len, 2 * NJ_RAW_MAX - 1));
}

int act_add_raw(__u32 type, __u32 len)
{
	struct scratch *s = emit_scratch(SCRATCH_HOOK);

	if (!s || len == 0 || len > NJ_RAW_MAX)
		return 0;
	return part_put(s, type, s->raw, bounded(len, 2 * NJ_RAW_MAX - 1));
}

int act_add_scratch(__u32 type, __u32 start, __u32 len, __u32 cut)
{
	struct scratch *s = emit_scratch(SCRATCH_HOOK);
	int put;

	if (!s || len == 0 || start >= NJ_PATH_MAX || len > SCRATCH_LAST - sizeof(struct nj_part))
		return 0;
	put = part_put(s, type, s->path + bounded(start, NJ_PATH_MAX - 1),
		       bounded(len, SCRATCH_LAST - 1));
	if (put && cut)
		record_of(s)->marks |= cut_mark(type);
	return put;
}

int act_add_kernel_text(__u32 type, __u64 address)
{
	struct scratch *s = emit_scratch(SCRATCH_HOOK);
	__u8 *room;
	__u32 pos;
	long len;

	if (!s)
		return 0;
	room = part_room(s, &pos);
	if (!room)
		return part_missing(s);
	len = bpf_probe_read_kernel_str(room, NJ_RAW_MAX, (void *)address);
	if (len <= 0 || len > NJ_RAW_MAX)
		return part_missing(s);
	return part_end(s, pos, type, (__u32)len);
}

int act_add_path(__u32 type, __u64 path_address)
{
	const struct task_struct *task = bpf_get_current_task_btf();
	struct scratch *s = emit_scratch(SCRATCH_HOOK);
	const struct path *path = (void *)path_address;
	int found, put;
	__u32 len;

	if (!s)
		return 0;
	found = path_of(path, task->fs, SCRATCH_HOOK);
	len = (__u32)found & (2 * NJ_PATH_MAX - 1);
	if (len == 0 || len > NJ_PATH_MAX)
		return part_missing(s);
	put = part_put(s, type, s->path + ((NJ_PATH_MAX - len) & (NJ_PATH_MAX - 1)),
		       bounded(len, 2 * NJ_PATH_MAX - 1));
	if (put && found & PATH_CUT)
		record_of(s)->marks |= cut_mark(type);
	return put;
}

int act_add_inode(__u64 inode)
{
	struct scratch *s = emit_scratch(SCRATCH_HOOK);
	struct nj_file file = {0};

	if (!s)
		return 0;
	path_inode_info((const struct inode *)inode, &file);
	return part_put(s, NJ_PART_FILE, &file, sizeof(file));
}

int act_add_endpoint(__u32 slot)
{
	struct scratch *s = emit_scratch(SCRATCH_HOOK);
	__u64 place = bounded(slot, 2 * NJ_ENDPOINTS_MAX - 1);

	return s ? part_put(s, NJ_PART_ENDPOINT, &s->endpoints[place], sizeof(struct nj_endpoint)) : 0;
}

int act_add_target(__u64 task_address)
{
	const struct task_struct *task = (void *)task_address;
	struct scratch *s = emit_scratch(SCRATCH_HOOK);
	struct nj_owner target = {0};

	if (!s)
		return 0;
	target.task.start_ns = kernel_read(task, group_leader, start_boottime);
	target.task.tgid = (__u32)kernel_read(task, tgid);
	target.task.exec_count = (__u32)kernel_read(task, group_leader, self_exec_id);
	target.tid = (__u32)kernel_read(task, pid);
	task_css_cgroup(kernel_read(task, cgroups), &target.cgroup, &target.hierarchy);
	return part_put(s, NJ_PART_TARGET, &target, sizeof(target));
}

int act_add_creds(void)
{
	struct scratch *s = emit_scratch(SCRATCH_HOOK);
	struct nj_creds creds = {0};

	if (!s)
		return 0;
	task_creds(bpf_get_current_task_btf(), &creds);
	return part_put(s, NJ_PART_CREDS, &creds, sizeof(creds));
}

int act_add_namespaces(void)
{
	struct scratch *s = emit_scratch(SCRATCH_HOOK);
	struct nj_namespaces namespaces = {0};

	if (!s)
		return 0;
	task_namespaces(bpf_get_current_task_btf(), &namespaces);
	return part_put(s, NJ_PART_NAMESPACES, &namespaces, sizeof(namespaces));
}
