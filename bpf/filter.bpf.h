/* What the policy wants, asked cheapest first. A program comes to run only for calls that somebody
 * wants, so it asks for what is left:
 *
 *   filter_class     acts of several classes: which of them the workload wants
 *   filter_flags     opens: wanted wherever the file is
 *   filter_name      opens: the last component, before any path is resolved
 *   filter_port      messages
 *   … novelty_repeat (novelty.bpf.h) …
 *   filter_path      opens: below a wanted path, after it is resolved
 *
 * Own processes, number and workload are the dispatcher's. */
#pragma once

#include "bpf/emit.bpf.h"
#include "bpf/settings.bpf.h"
#include "bpf/task.bpf.h"

/* What differs for the current task's cgroup; NULL: nothing. */
static __always_inline const struct nj_workload *filter_workload(void)
{
	struct nj_cgroup_key key = {0};

	if (!(settings.flags & NJ_WANT_WORKLOADS))
		return NULL;
	task_cgroup(bpf_get_current_task_btf(), &key.cgroup, &key.hierarchy);
	return bpf_map_lookup_elem(&workloads, &key);
}

/* Bits 1 << enum nj_class, of the current task. */
static __always_inline __u64 filter_classes(void)
{
	const struct nj_workload *workload = filter_workload();

	return workload ? workload->classes : settings.classes;
}

static __always_inline bool filter_class(__u32 class)
{
	return filter_classes() & (1ULL << class);
}

/* Whether every single act of the current task is to be told. */
static __always_inline bool filter_exact(void)
{
	const struct nj_workload *workload = filter_workload();

	return workload && workload->exact;
}

#define FILTER_ACCESS_MODE 3
#define FILTER_CREATES	   01100 /* O_CREAT | O_TRUNC, the same on every architecture that we run on */

/* flags of open(2): may change the file, or make one. */
static __always_inline bool filter_writes(__u32 flags)
{
	return flags & (FILTER_ACCESS_MODE | FILTER_CREATES);
}

/* Wanted by its flags, wherever the file is. */
static __always_inline bool filter_flags(__u32 flags)
{
	return settings.flags & NJ_WANT_OPEN_ALL ||
	       (settings.flags & NJ_WANT_OPEN_WRITES && filter_writes(flags));
}

/* Whether a path can make a difference at all. */
static __always_inline bool filter_has_paths(void)
{
	return settings.flags & NJ_WANT_PREFIXES;
}

static __always_inline bool filter_port(__u16 port)
{
	__u32 word = port / 64;
	__u64 *bits;

	if (!(settings.flags & NJ_WANT_PORTS))
		return true;
	bits = bpf_map_lookup_elem(&ports, &word);
	return bits && *bits & (1ULL << (port % 64));
}

/* Functions of their own to the verifier. */

/* Whether the name of len bytes at that kernel address is a wanted one. Leaves it in scratch.name. */
int filter_name(__u64 address, __u32 len);
/* The same for the last component of the text in scratch.raw, len bytes with its final NUL. */
int filter_raw_name(__u32 len);
/* Whether the path at start of scratch.path, len bytes with its final NUL, is a wanted one or below one. */
int filter_path(__u32 start, __u32 len);
/* The same for the text in scratch.raw. */
int filter_raw(__u32 len);
