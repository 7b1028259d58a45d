/* What came again and was only counted: the agent's side of the kernel's windows (bpf/novelty.bpf.h).
 *
 * The record that opened a window is kept, so that its repeats can be told with everything that it said. A
 * window is closed once, by whoever comes first: the kernel, when its slot is taken by another act or the
 * act comes after its time; repeats_task, when the process ends or replaces its image; repeats_sweep, when
 * its time is over or the policy changed; repeats_all at the end.
 *
 * Memory: 64 bytes per slot, and keep_bytes of records in the order in which they came; the oldest goes
 * first, and its repeats are told from the key alone. Time: a sweep looks at every slot, some ten
 * microseconds. One thread. */
#pragma once

#include "bpf/abi.h"
#include "common/bytes.h"
#include "common/cleanup.h"
#include "common/err.h"
#include "node-agent/decode.h"

struct repeats;

/* windows: as the programs write them, slots of them (at most 65536). NULL without memory. */
struct repeats *repeats_new(const struct nj_window *windows, uint32_t slots, size_t keep_bytes);
void repeats_free(struct repeats *r); /* NULL allowed */

/* A closed window whose act came again. */
struct repeat {
	struct nj_key key;
	uint64_t first_ns, last_ns;
	uint64_t count;	     /* more than 0 */
	struct bytes record; /* that opened it; empty when it is not kept any more. Valid during the call */
};
typedef void (*repeat_fn)(void *ctx, const struct repeat *repeat);

/* A record opened a window (head.window is not 0). */
void repeats_keep(struct repeats *r, struct bytes record);
/* The kernel has closed one. -EBADMSG: no such record. */
int repeats_told(struct repeats *r, struct bytes record, repeat_fn handle, void *ctx) must_check;
/* An image of a process does nothing any more. */
void repeats_task(struct repeats *r, const struct nj_task *task, repeat_fn handle, void *ctx);
/* Closes windows that are older than window_ns or not of that epoch of the policy. */
void repeats_sweep(struct repeats *r, uint64_t now_ns, uint64_t window_ns, uint32_t epoch, repeat_fn handle,
		   void *ctx);
/* Nothing counts any more: closes all. */
void repeats_all(struct repeats *r, repeat_fn handle, void *ctx);

/* The act that came again, as far as it is known. 0 or -EBADMSG. */
int repeats_decode(const struct repeat *repeat, struct decoded *ret_decoded) must_check;

/* Acts that are counted in windows which are open, by class. */
void repeats_waiting(const struct repeats *r, uint64_t ret_counts[static NJ_CLASS_MAX]);

struct repeats_stats {
	uint32_t open; /* windows that are known */
	uint64_t forgotten; /* repeats that had to be told from the key alone */
};
void repeats_stats(const struct repeats *r, struct repeats_stats *ret_stats);

DEFINE_CLEANUP(struct repeats *, repeats_free)
