/* Who acts: identity, cgroup and credentials of a task. A task pointer here is one that the verifier
 * knows, so its fields are plain loads, not probe reads. */
#pragma once

#include "bpf/maps.bpf.h"
#include "bpf/settings.bpf.h"

#define CGROUP_V2_ROOT 1

static __always_inline void task_identity(const struct task_struct *task, struct nj_task *ret_task)
{
	const struct task_struct *leader = task->group_leader;

	ret_task->start_ns = leader->start_boottime;
	ret_task->tgid = (__u32)task->tgid;
	ret_task->exec_count = (__u32)leader->self_exec_id;
}

/* The memory controller's cgroup, where there is one. */
static __always_inline void task_v1_cgroup(const struct css_set *set, __u64 *ret_id, __u32 *ret_hierarchy)
{
	__u32 index = bpf_core_enum_value(enum cgroup_subsys_id, memory_cgrp_id);
	struct cgroup *v1;

	if (index >= 16)
		return;
	v1 = kernel_read(set, subsys[index], cgroup);
	*ret_hierarchy = (__u32)kernel_read(v1, root, hierarchy_id);
	if (*ret_hierarchy)
		*ret_id = kernel_read(v1, kn, id);
}

/* The v2 id says which container a task is in, unless every task sits in v2's root because the
 * container runtime still uses v1; then the memory controller's cgroup does. */
static __always_inline void task_cgroup(const struct task_struct *task, __u64 *ret_id, __u32 *ret_hierarchy)
{
	const struct css_set *set = task->cgroups;

	*ret_id = set->dfl_cgrp->kn->id;
	*ret_hierarchy = 0;
	if (use_v1_cgroup && *ret_id == CGROUP_V2_ROOT)
		task_v1_cgroup(set, ret_id, ret_hierarchy);
}

/* The same of a task that is only an address to the verifier. */
static __always_inline void task_css_cgroup(const struct css_set *set, __u64 *ret_id, __u32 *ret_hierarchy)
{
	*ret_id = kernel_read(set, dfl_cgrp, kn, id);
	*ret_hierarchy = 0;
	if (use_v1_cgroup && *ret_id == CGROUP_V2_ROOT)
		task_v1_cgroup(set, ret_id, ret_hierarchy);
}

static __always_inline void task_owner(struct nj_owner *ret_owner)
{
	const struct task_struct *task = bpf_get_current_task_btf();

	task_identity(task, &ret_owner->task);
	task_cgroup(task, &ret_owner->cgroup, &ret_owner->hierarchy);
	ret_owner->tid = (__u32)task->pid;
}

static __always_inline void task_creds(const struct task_struct *task, struct nj_creds *ret_creds)
{
	const struct cred *cred = task->cred;

	ret_creds->uid = cred->uid.val;
	ret_creds->gid = cred->gid.val;
	ret_creds->euid = cred->euid.val;
	ret_creds->egid = cred->egid.val;
	ret_creds->suid = cred->suid.val;
	ret_creds->sgid = cred->sgid.val;
	/* A u64 since 6.3 and two u32 before, in the same eight bytes. */
	bpf_core_read(&ret_creds->cap_inheritable, 8, &cred->cap_inheritable);
	bpf_core_read(&ret_creds->cap_effective, 8, &cred->cap_effective);
	bpf_core_read(&ret_creds->cap_permitted, 8, &cred->cap_permitted);
}

static __always_inline __u32 task_session(const struct task_struct *task)
{
	struct pid *pid = kernel_read(task, signal, pids[PIDTYPE_SID]);

	return pid ? (__u32)kernel_read(pid, numbers[0].nr) : 0;
}

static __always_inline void task_upid(const struct pid *pid, __u32 level, struct upid *ret_upid)
{
	const void *numbers = (const void *)pid + bpf_core_field_offset(struct pid, numbers);
	const void *at = numbers + level * bpf_core_type_size(struct upid);

	bpf_probe_read_kernel(&ret_upid->nr, sizeof(ret_upid->nr), at + bpf_core_field_offset(struct upid, nr));
	bpf_probe_read_kernel(&ret_upid->ns, sizeof(ret_upid->ns), at + bpf_core_field_offset(struct upid, ns));
}

/* The process group's number in the first pid namespace, and both numbers in the process's own. */
static __always_inline void task_numbers(const struct task_struct *task, __u32 *ret_pgid, __u32 *ret_vpid,
					 __u32 *ret_vpgid)
{
	const struct pid *pid = kernel_read(task, signal, pids[PIDTYPE_TGID]);
	const struct pid *group = kernel_read(task, signal, pids[PIDTYPE_PGID]);
	__u32 level = kernel_read(pid, level);
	struct upid own = {0}, leader = {0};

	task_upid(pid, level, &own);
	if (kernel_read(group, level) >= level)
		task_upid(group, level, &leader);
	*ret_pgid = (__u32)kernel_read(group, numbers[0].nr);
	*ret_vpid = (__u32)own.nr;
	*ret_vpgid = leader.ns == own.ns ? (__u32)leader.nr : 0;
}

/* A task that has ended has none of them: all 0. */
static __always_inline void task_namespaces(const struct task_struct *task, struct nj_namespaces *ret_ns)
{
	const struct nsproxy *ns = task->nsproxy;

	if (!ns)
		return;
	ret_ns->mnt = ns->mnt_ns->ns.inum;
	ret_ns->pid = ns->pid_ns_for_children->ns.inum;
	ret_ns->net = ns->net_ns->ns.inum;
	ret_ns->user = task->cred->user_ns->ns.inum;
	ret_ns->uts = ns->uts_ns->ns.inum;
	ret_ns->ipc = ns->ipc_ns->ns.inum;
	ret_ns->cgroup = ns->cgroup_ns->ns.inum;
	ret_ns->time = ns->time_ns->ns.inum;
}

/* Device number of the controlling terminal, in the kernel's encoding; 0 none. */
static __always_inline __u32 task_tty(const struct task_struct *task)
{
	struct tty_struct *tty = kernel_read(task, signal, tty);

	if (!tty)
		return 0;
	return ((__u32)kernel_read(tty, driver, major) << 20) |
	       (__u32)(kernel_read(tty, driver, minor_start) + kernel_read(tty, index));
}
