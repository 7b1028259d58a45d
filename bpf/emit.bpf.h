/* Into the rings: every record leaves through here, and one that finds no room is counted. */
#pragma once

#include "bpf/maps.bpf.h"
#include "bpf/settings.bpf.h"
#include "bpf/task.bpf.h"

static __always_inline bool emit_is_life(__u32 class)
{
	return class == NJ_CLASS_PROCESS || class == NJ_CLASS_CGROUP;
}

static __always_inline void *emit_ring(__u32 class)
{
	__u32 row = 0;

	if (!emit_is_life(class)) {
		row = bpf_get_smp_processor_id();
		/* A division costs more than the rest of this. */
		if (row >= ring_count)
			row %= ring_count ?: 1;
		row++;
	}
	return bpf_map_lookup_elem(&rings, &row);
}

/* Whether a record may have to be acted upon at once, or only explains what follows. */
enum emit_haste { EMIT_LATER, EMIT_NOW };

/* The flags to submit with, asked right before it. Two CPUs may both ring: no harm. What is not urgent
 * fills at most a quarter of its ring. */
static __always_inline __u64 emit_flags(void *ring, __u32 class, enum emit_haste haste)
{
	__u32 state = bell.state;
	__u32 quarter = (emit_is_life(class) ? process_ring_bytes : cpu_ring_bytes) / 4;

	if (state == NJ_AGENT_AWAKE)
		return BPF_RB_NO_WAKEUP;
	if ((haste == EMIT_LATER || state == NJ_AGENT_NAPS) && bpf_ringbuf_query(ring, BPF_RB_AVAIL_DATA) < quarter)
		return BPF_RB_NO_WAKEUP;
	bell.state = NJ_AGENT_AWAKE;
	return BPF_RB_FORCE_WAKEUP;
}

/* After what is urgent was submitted, which is a full barrier: an agent that said meanwhile that it
 * sleeps has either seen the record before it did (capture_wait_ns looks again) or is woken here, by a
 * record that is none. Were it left to the kernel's own rule, every record that an agent keeps up with
 * would wake it while it works. */
static __always_inline void emit_wake(void *ring, enum emit_haste haste)
{
	void *nothing;

	if (haste == EMIT_LATER || bell.state != NJ_AGENT_ASLEEP)
		return;
	nothing = bpf_ringbuf_reserve(ring, sizeof(__u64), 0);
	if (!nothing)
		return;
	bell.state = NJ_AGENT_AWAKE;
	bpf_ringbuf_discard(nothing, BPF_RB_FORCE_WAKEUP);
}

static __always_inline struct nj_counts *emit_counts(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&counts, &zero);
}

/* An act that passed the filter. An interrupt may count on the same CPU in between. */
static __always_inline void emit_seen(__u32 class)
{
	struct nj_counts *row = emit_counts();

	/* In one register from the test to the place, whatever the caller's class comes from. */
	class = (__u32)bounded(class, 31);
	if (row && class < NJ_CLASS_MAX)
		__sync_fetch_and_add(&row->seen[class], 1);
}

static __always_inline void emit_lost(__u32 class)
{
	struct nj_counts *row = emit_counts();

	class = (__u32)bounded(class, 31);
	if (row && class < NJ_CLASS_MAX)
		__sync_fetch_and_add(&row->lost[class], 1);
}

/* The record that opened it was lost: whatever comes next is news. */
static __always_inline void emit_void_window(__u64 id)
{
	__u32 slot = id & 0xffff;
	struct nj_window *window = bpf_map_lookup_elem(&windows, &slot);

	if (window && window->id == id)
		window->opened_ns = 0;
}

static __always_inline struct scratch *emit_scratch(__u32 row)
{
	return bpf_map_lookup_elem(&scratches, &row);
}

/* Everything of a head but who acts. A record that has its room already was stamped before it got it:
 * node-agent/merge.h counts on that. */
static __always_inline void emit_head_init(struct nj_head *head, __u8 type, __u16 size)
{
	head->size = size;
	head->type = type;
	head->cpu = (__u8)bpf_get_smp_processor_id();
	head->time = head->time ?: bpf_ktime_get_boot_ns();
	head->generation = settings.generation;
}

static __always_inline void emit_head_task(struct nj_head *head, const struct task_struct *task)
{
	head->tid = (__u32)task->pid;
	task_identity(task, &head->task);
	task_cgroup(task, &head->cgroup, &head->hierarchy);
}

static __always_inline void emit_head(struct nj_head *head, __u8 type, __u16 size)
{
	emit_head_init(head, type, size);
	emit_head_task(head, bpf_get_current_task_btf());
}

static __always_inline void emit_head_owner(struct nj_head *head, __u8 type, __u16 size,
				   const struct nj_owner *owner)
{
	emit_head_init(head, type, size);
	head->tid = owner->tid;
	head->task = owner->task;
	head->cgroup = owner->cgroup;
	head->hierarchy = owner->hierarchy;
}

/* Copies a finished record, which begins with its head, out. */
static __always_inline void emit_record(const void *record, __u32 size, __u32 class, enum emit_haste haste)
{
	const struct nj_head *head = record;
	void *ring = emit_ring(class);

	emit_seen(class);
	if (ring && bpf_ringbuf_output(ring, (void *)record, size, emit_flags(ring, class, haste)) == 0) {
		emit_wake(ring, haste);
		return;
	}
	emit_lost(class);
	if (head->window)
		emit_void_window(head->window);
}

/* A zeroed record of fixed size in the ring itself, to be filled and submitted; NULL when there is
 * no room, which is counted. */
#define emit_reserve(type, class)                                                                  \
	({                                                                                         \
		void *ring_ = emit_ring(class);                                                    \
		__u64 now_ = bpf_ktime_get_boot_ns();                                              \
		type *record_ = ring_ ? bpf_ringbuf_reserve(ring_, sizeof(type), 0) : NULL;        \
		emit_seen(class);                                                                  \
		if (record_) {                                                                     \
			__builtin_memset(record_, 0, sizeof(type));                                \
			record_->head.time = now_;                                                 \
		} else {                                                                           \
			emit_lost(class);                                                          \
		}                                                                                  \
		record_;                                                                           \
	})

/* Sends what emit_reserve gave. */
static __always_inline void emit_submit(void *record, __u32 class, enum emit_haste haste)
{
	void *ring = emit_ring(class);

	if (!ring) {
		bpf_ringbuf_submit(record, 0);
		return;
	}
	bpf_ringbuf_submit(record, emit_flags(ring, class, haste));
	emit_wake(ring, haste);
}
