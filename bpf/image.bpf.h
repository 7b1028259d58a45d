/* The record of a process image: written at exec, and by the iterator for images that are older
 * than the agent. */
#pragma once

#include "bpf/emit.bpf.h"
#include "bpf/exe.bpf.h"
#include "bpf/fdinfo.bpf.h"
#include "bpf/path.bpf.h"

/* Appends len bytes of the current address space, at most max (a power of two). */
static __always_inline __u32 image_append_user(struct scratch *s, __u32 pos, unsigned long from,
					       unsigned long to, __u32 max, __u16 *ret_len)
{
	__u64 len = to - from;

	*ret_len = 0;
	if (to <= from || pos >= SCRATCH_VAR)
		return pos;
	if (len > max)
		len = max;
	if (bpf_probe_read_user(s->var + (pos & (SCRATCH_VAR - 1)), (__u32)len & (2 * max - 1), (void *)from))
		return pos;
	*ret_len = (__u16)len;
	return pos + (__u32)len;
}

/* The file name as execve was given it, out of kernel memory. */
static __always_inline __u32 image_append_raw(struct scratch *s, __u32 pos, struct nj_exec *exec, const char *name)
{
	long len;

	if (pos >= SCRATCH_VAR)
		return pos;
	len = bpf_probe_read_kernel_str(s->var + (pos & (SCRATCH_VAR - 1)), NJ_RAW_MAX, name);
	if (len <= 0 || len > NJ_RAW_MAX)
		return pos;
	if (len == NJ_RAW_MAX)
		exec->flags |= NJ_RAW_TRUNCATED;
	exec->raw_len = (__u16)len;
	return pos + (__u32)len;
}

static __always_inline __u32 image_append_endpoints(struct scratch *s, __u32 pos, struct nj_exec *exec,
						    const struct task_struct *task, __u32 row)
{
	int found = fdinfo_endpoints((__u64)kernel_read(task, files), row);
	__u32 count = (__u32)found & 31;

	if (count > NJ_ENDPOINTS_MAX)
		return pos;
	if (found & ENDPOINTS_CUT)
		exec->flags |= NJ_ENDPOINTS_CUT;
	exec->endpoints = (__u16)count;
	return path_append(s, pos, (const char *)s->endpoints, count * sizeof(struct nj_endpoint),
			   NJ_ENDPOINTS_MAX * sizeof(struct nj_endpoint));
}

/* Everything but arguments and environment. Returns the position behind what was appended. */
static __always_inline __u32 image_fill(struct scratch *s, struct nj_exec *exec,
					const struct task_struct *task, __u32 row)
{
	const struct file *exe = task->mm->exe_file;
	const struct fs_struct *fs = task->fs;
	__u32 pos;
	int path;

	emit_head_task(&exec->head, task);
	task_identity(task->real_parent, &exec->parent);
	task_creds(task, &exec->creds);
	exec->loginuid = task->loginuid.val;
	exec->session = task_session(task);
	exec->tty = task_tty(task);
	task_numbers(task, &exec->pgid, &exec->vpid, &exec->vpgid);
	task_namespaces(task, &exec->namespaces);
	bpf_probe_read_kernel(exec->comm, sizeof(exec->comm), &task->comm);
	pos = image_append_endpoints(s, 0, exec, task, row);
	path_file_info(exe, &exec->exe);
	exe_info(exe, exec);
	path = path_of(&exe->f_path, fs, row);
	exec->flags |= path & PATH_CUT ? NJ_EXE_TRUNCATED : 0;
	pos = path_append_resolved(s, pos, path, &exec->exe_len);
	path = path_of(&fs->pwd, fs, row);
	exec->flags |= path & PATH_CUT ? NJ_CWD_TRUNCATED : 0;
	return path_append_resolved(s, pos, path, &exec->cwd_len);
}
