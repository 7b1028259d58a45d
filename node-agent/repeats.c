/* A slot of the agent stands for the window that it knows in the kernel's slot of the same number. Slots
 * of one image are chained, and found by it when it ends. Kept records lie in one circle of bytes. */
#include "node-agent/repeats.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/table.h"

/* A program that looked at the clock within a window has counted by then. */
#define SLACK_NS (50 * NS_PER_MS)
#define NO_SLOT	 UINT32_MAX

struct slot {
	uint64_t id;  /* of the window that is open as far as we know; 0 none */
	uint64_t closed_id;
	uint64_t at;  /* where in the circle its record is */
	uint32_t len;
	uint32_t next, prev; /* of the same image */
	struct nj_task task;
};

struct repeats {
	const struct nj_window *windows;
	uint32_t count;
	uint32_t open;
	uint64_t forgotten;
	uint64_t end; /* bytes ever kept; the circle holds the last size of them */
	size_t size;
	uint8_t *kept;
	struct table *images; /* nj_task → first slot */
	struct slot slots[];
};

struct repeats *repeats_new(const struct nj_window *windows, uint32_t slots, size_t keep_bytes)
{
	const struct table_config images = {
		.key_size = sizeof(struct nj_task),
		.record_size = sizeof(uint32_t),
		.capacity = slots ? slots : 1, /* each image has a slot at least: none is ever evicted */
	};
	_cleanup_(repeats_freep) struct repeats *r = calloc(1, sizeof(*r) + slots * sizeof(struct slot));

	if (!r || slots > 65536)
		return NULL;
	r->windows = windows;
	r->count = slots;
	r->size = keep_bytes;
	r->kept = malloc(keep_bytes ? keep_bytes : 1);
	r->images = table_new(&images);
	return r->kept && r->images ? take_ptr(r) : NULL;
}

void repeats_free(struct repeats *r)
{
	if (!r)
		return;
	table_free(r->images);
	free(r->kept);
	free(r);
}

void repeats_stats(const struct repeats *r, struct repeats_stats *ret_stats)
{
	*ret_stats = (struct repeats_stats){.open = r->open, .forgotten = r->forgotten};
}

/* ---- the slots of an image ---- */

static void chain(struct repeats *r, uint32_t at)
{
	struct slot *slot = &r->slots[at];
	bool fresh;
	uint32_t *first = table_put(r->images, &slot->task, &fresh);

	slot->prev = NO_SLOT;
	slot->next = fresh ? NO_SLOT : *first;
	if (slot->next != NO_SLOT)
		r->slots[slot->next].prev = at;
	*first = at;
	r->open++;
}

/* The window is not open any more. */
static void unchain(struct repeats *r, uint32_t at)
{
	struct slot *slot = &r->slots[at];

	if (slot->next != NO_SLOT)
		r->slots[slot->next].prev = slot->prev;
	if (slot->prev != NO_SLOT)
		r->slots[slot->prev].next = slot->next;
	else if (slot->next != NO_SLOT)
		*(uint32_t *)table_put(r->images, &slot->task, NULL) = slot->next;
	else
		(void)table_remove(r->images, &slot->task);
	slot->id = 0;
	r->open--;
}

/* ---- kept records ---- */

static bool keep_bytes(struct repeats *r, struct slot *slot, struct bytes record)
{
	uint64_t offset;

	if (record.len > r->size)
		return false;
	offset = r->end % r->size;
	/* Whole, not around the end. */
	if (offset + record.len > r->size)
		r->end += r->size - offset;
	slot->at = r->end;
	slot->len = (uint32_t)record.len;
	memcpy(r->kept + r->end % r->size, record.data, record.len);
	r->end += record.len;
	return true;
}

static struct bytes kept(const struct repeats *r, const struct slot *slot)
{
	if (slot->len == 0 || r->end - slot->at > r->size)
		return bytes_of(NULL, 0);
	return bytes_of(r->kept + slot->at % r->size, slot->len);
}

void repeats_keep(struct repeats *r, struct bytes record)
{
	struct nj_head head;
	struct slot *slot;
	uint32_t at;

	if (record.len < sizeof(head))
		return;
	memcpy(&head, record.data, sizeof(head));
	at = head.window & 0xffff;
	if (at >= r->count || head.window == 0)
		return;
	slot = &r->slots[at];
	if (slot->id)
		unchain(r, at);
	slot->id = head.window;
	slot->task = head.task;
	slot->len = 0;
	chain(r, at);
	(void)keep_bytes(r, slot, record);
}

/* ---- closing ---- */

typedef uint64_t word __attribute__((may_alias));

_Static_assert(sizeof(struct nj_window) % sizeof(word) == 0, "a window is whole words");

/* Copies a window as it is now, each word before the next and all before the second look at its id. False:
 * it is not that one any more, and the kernel has told or will. */
static bool read_window(const struct nj_window *window, uint64_t id, struct nj_window *ret_window)
{
	const word *from = (const word *)(const void *)window;
	word *to = (word *)(void *)ret_window;

	if (__atomic_load_n(&window->id, __ATOMIC_ACQUIRE) != id)
		return false;
	for (size_t i = 0; i < sizeof(*window) / sizeof(word); i++)
		to[i] = __atomic_load_n(&from[i], __ATOMIC_ACQUIRE);
	return __atomic_load_n(&window->id, __ATOMIC_RELAXED) == id;
}

static void hand_out(struct repeats *r, struct repeat *repeat, repeat_fn handle, void *ctx)
{
	if (repeat->count == 0)
		return;
	r->forgotten += repeat->record.len == 0;
	handle(ctx, repeat);
}

/* A window whose count is final. */
static void close_window(struct repeats *r, uint32_t at, const struct nj_window *window, repeat_fn handle, void *ctx)
{
	struct slot *slot = &r->slots[at];
	struct repeat repeat = {
		.key = window->key,
		.first_ns = window->first_ns,
		.last_ns = window->last_ns,
		.count = window->count,
		.record = kept(r, slot),
	};

	slot->closed_id = slot->id;
	unchain(r, at);
	hand_out(r, &repeat, handle, ctx);
}

int repeats_told(struct repeats *r, struct bytes record, repeat_fn handle, void *ctx)
{
	struct nj_repeat told;
	struct repeat repeat;
	struct slot *slot;
	uint32_t at;

	if (record.len != sizeof(told))
		return -EBADMSG;
	memcpy(&told, record.data, sizeof(told));
	at = told.head.window & 0xffff;
	if (at >= r->count || told.head.window == 0)
		return -EBADMSG;
	slot = &r->slots[at];
	if (slot->closed_id == told.head.window)
		return 0;
	repeat = (struct repeat){.key = told.key, .first_ns = told.first_ns, .last_ns = told.last_ns, .count = told.count};
	if (slot->id == told.head.window) {
		repeat.record = kept(r, slot);
		unchain(r, at);
	}
	slot->closed_id = told.head.window;
	hand_out(r, &repeat, handle, ctx);
	return 0;
}

void repeats_task(struct repeats *r, const struct nj_task *task, repeat_fn handle, void *ctx)
{
	const uint32_t *first = table_peek(r->images, task);
	uint32_t at = first ? *first : NO_SLOT;

	while (at != NO_SLOT) {
		uint32_t next = r->slots[at].next;
		struct nj_window window;

		if (read_window(&r->windows[at], r->slots[at].id, &window))
			close_window(r, at, &window, handle, ctx);
		at = next;
	}
}

static bool is_over(const struct nj_window *window, uint64_t now_ns, uint64_t window_ns, uint32_t epoch)
{
	return window->epoch != epoch || now_ns > window->opened_ns + window_ns + SLACK_NS;
}

void repeats_sweep(struct repeats *r, uint64_t now_ns, uint64_t window_ns, uint32_t epoch, repeat_fn handle,
		   void *ctx)
{
	for (uint32_t at = 0; at < r->count && r->open > 0; at++) {
		struct nj_window window;

		if (r->slots[at].id && read_window(&r->windows[at], r->slots[at].id, &window) &&
		    is_over(&window, now_ns, window_ns, epoch))
			close_window(r, at, &window, handle, ctx);
	}
}

void repeats_all(struct repeats *r, repeat_fn handle, void *ctx)
{
	for (uint32_t at = 0; at < r->count && r->open > 0; at++) {
		struct nj_window window;

		if (r->slots[at].id && read_window(&r->windows[at], r->slots[at].id, &window))
			close_window(r, at, &window, handle, ctx);
	}
}

void repeats_waiting(const struct repeats *r, uint64_t ret_counts[static NJ_CLASS_MAX])
{
	memset(ret_counts, 0, NJ_CLASS_MAX * sizeof(ret_counts[0]));
	for (uint32_t at = 0; at < r->count; at++) {
		struct nj_window window;

		if (r->slots[at].id && read_window(&r->windows[at], r->slots[at].id, &window))
			ret_counts[window.key.class % NJ_CLASS_MAX] += window.count;
	}
}

/* ---- what it was that came again ---- */

/* In the place of a file: bpf/target.bpf.h. */
static bool has_target(const struct nj_key *key)
{
	return key->kind == NJ_KIND_SIGNAL || key->kind == NJ_KIND_PTRACE || key->kind == NJ_KIND_PROCESS_VM ||
	       key->kind == NJ_KIND_PERF;
}

static void decode_target(const struct nj_key *key, struct decoded *d)
{
	d->target.task.tgid = (uint32_t)key->device;
	d->target.task.start_ns = key->raw_hash;
	d->target.task.exec_count = key->generation;
}

static void decode_key(const struct nj_key *key, struct decoded *d)
{
	const struct nj_head head = {.task = key->task};
	struct endpoint *ep = &d->endpoints[0];

	decode_init(d, &head);
	d->kind = key->kind;
	d->result = key->result;
	d->flags = (uint32_t)key->flags;
	d->endpoint_count = event_kind_endpoints(d->kind);
	if (has_target(key)) {
		decode_target(key, d);
		return;
	}
	if (key->family == 0) {
		d->file.inode = key->inode;
		d->file.device = decode_device(key->device);
		d->file.generation = key->generation;
		return;
	}
	d->endpoint_count = d->endpoint_count ? d->endpoint_count : 1;
	ep->fd = -1;
	ep->kind = ENDPOINT_KIND_SOCKET_OTHER;
	ep->family = key->family;
	ep->id = key->inode;
	ep->id2 = key->device;
	ep->remote_port = key->remote_port;
	memcpy(ep->remote_ip, key->remote_ip, sizeof(ep->remote_ip));
}

int repeats_decode(const struct repeat *repeat, struct decoded *ret_decoded)
{
	if (repeat->record.len > 0)
		return decode_record(repeat->record, ret_decoded);
	decode_key(&repeat->key, ret_decoded);
	return 0;
}
