/* Reads BPF ring buffers itself, because libbpf's reader gives one ring after the other. The layout
 * is kernel ABI: a page with the consumer's position, a page with the producer's, the data; a record is
 * an eight-byte header (length and two flag bits), then its bytes, rounded up to eight. The kernel offers
 * the data twice in a row, so that no record is in two pieces; every page of a mapping counts as
 * resident, so we map it once and copy the rare record that wraps. At most 33 rings, so the oldest head is
 * found by looking at all. */
#include "node-agent/merge.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bpf/abi.h"
#include "common/clock.h"

#define RECORD_BUSY	(1U << 31)
#define RECORD_DISCARD	(1U << 30)
#define RECORD_HEADER	8
#define TIME_NONE	UINT64_MAX

struct ring {
	unsigned long *consumer;
	const unsigned long *producer;
	const uint8_t *data;
	uint64_t mask;
	size_t map_size; /* of the read-only mapping; 0: not ours */
	/* This turn's: */
	unsigned long limit;
	uint64_t head_time; /* of the next record, TIME_NONE: nothing to take */
	struct bytes head;
	uint32_t head_len; /* as its header says */
	bool busy; /* the next record is still being written */
	bool given_up; /* to wait for it */
	unsigned long busy_at; /* where it is */
	uint64_t busy_ns; /* when it was first seen; 0: not yet */
	uint64_t behind; /* time of the first finished record behind it, TIME_NONE: none */
	uint8_t *wrapped; /* MERGE_RECORD_MAX bytes for a head that wraps; of which few are ever touched */
};

struct merge {
	int epoll_fd;
	uint64_t blocked_ns; /* since when turns hand out nothing for a busy record; 0: they do */
	uint64_t overtaken;
	bool held;
	uint32_t max_rings;
	uint32_t count;
	struct ring rings[];
};

struct merge *merge_new(uint32_t max_rings)
{
	struct merge *m = calloc(1, sizeof(*m) + max_rings * sizeof(struct ring));

	if (!m)
		return NULL;
	m->max_rings = max_rings;
	m->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (m->epoll_fd < 0) {
		free(m);
		return NULL;
	}
	return m;
}

void merge_free(struct merge *m)
{
	if (!m)
		return;
	for (uint32_t i = 0; i < m->count; i++) {
		struct ring *r = &m->rings[i];

		free(r->wrapped);
		if (r->map_size == 0)
			continue;
		(void)munmap(r->consumer, (size_t)sysconf(_SC_PAGESIZE));
		(void)munmap((void *)(uintptr_t)r->producer, r->map_size);
	}
	(void)close(m->epoll_fd);
	free(m);
}

int merge_fd(const struct merge *m)
{
	return m->epoll_fd;
}

int merge_add_memory(struct merge *m, unsigned long *consumer, const unsigned long *producer,
		     const uint8_t *data, uint64_t size)
{
	uint8_t *wrapped;

	if (m->count >= m->max_rings || size == 0 || (size & (size - 1)))
		return -EINVAL;
	wrapped = malloc(MERGE_RECORD_MAX);
	if (!wrapped)
		return -ENOMEM;
	m->rings[m->count++] = (struct ring){.consumer = consumer,
					     .producer = producer,
					     .data = data,
					     .mask = size - 1,
					     .wrapped = wrapped};
	return 0;
}

int merge_add_map(struct merge *m, int fd, uint64_t size)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	size_t map_size = page + size;
	struct epoll_event readable = {.events = EPOLLIN};
	void *consumer, *producer;
	int r;

	consumer = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (consumer == MAP_FAILED)
		return -errno;
	producer = mmap(NULL, map_size, PROT_READ, MAP_SHARED, fd, (off_t)page);
	if (producer == MAP_FAILED) {
		r = -errno;
		(void)munmap(consumer, page);
		return r;
	}
	r = merge_add_memory(m, consumer, producer, (uint8_t *)producer + page, size);
	if (r < 0) {
		(void)munmap(consumer, page);
		(void)munmap(producer, map_size);
		return r;
	}
	m->rings[m->count - 1].map_size = map_size;
	return epoll_ctl(m->epoll_fd, EPOLL_CTL_ADD, fd, &readable) < 0 ? -errno : 0;
}

bool merge_pending(const struct merge *m)
{
	for (uint32_t i = 0; i < m->count; i++)
		if (__atomic_load_n(m->rings[i].producer, __ATOMIC_ACQUIRE) != *m->rings[i].consumer)
			return true;
	return false;
}

/* A record without a sensible time is taken at once and left to the decoder: nothing may block a
 * ring for ever. */
static uint64_t record_time(struct bytes record, uint64_t now)
{
	uint64_t time;

	if (record.len < sizeof(struct nj_head))
		return 0;
	memcpy(&time, record.data + offsetof(struct nj_head, time), sizeof(time));
	return time > now + NS_PER_SEC ? 0 : time;
}

static unsigned long record_span(uint32_t len)
{
	return ((unsigned long)len + RECORD_HEADER + 7) & ~7UL;
}

/* len bytes from that offset on, which may be in two pieces. */
static void copy_out(const struct ring *r, uint64_t offset, void *out, size_t len)
{
	uint64_t first = r->mask + 1 - offset;

	if (len <= first) {
		memcpy(out, r->data + offset, len);
		return;
	}
	memcpy(out, r->data + offset, first);
	memcpy((uint8_t *)out + first, r->data, len - first);
}

/* The bytes of the record whose header is at that offset, in one piece. One that is longer than records
 * are (see abi.h) reads as empty, which the decoder counts. */
static struct bytes record_at(struct ring *r, uint64_t offset, uint32_t len)
{
	uint64_t first = r->mask + 1 - offset - RECORD_HEADER;
	const uint8_t *at = r->data + offset + RECORD_HEADER;

	if (len <= first)
		return bytes_of(at, len);
	if (len > MERGE_RECORD_MAX)
		return bytes_of(r->wrapped, 0);
	copy_out(r, offset + RECORD_HEADER, r->wrapped, len);
	return bytes_of(r->wrapped, len);
}

static uint32_t header_at(const struct ring *r, unsigned long at)
{
	const uint8_t *header = r->data + (at & r->mask);

	return __atomic_load_n((const uint32_t *)(const void *)header, __ATOMIC_ACQUIRE);
}

/* When the first finished record behind the busy one at that position was made. */
static uint64_t time_behind(const struct ring *r, unsigned long at, uint64_t now)
{
	for (uint32_t len; at != r->limit; at += record_span(len & ~(RECORD_BUSY | RECORD_DISCARD))) {
		struct nj_head head;

		len = header_at(r, at);
		if (len & (RECORD_BUSY | RECORD_DISCARD) || len < sizeof(head))
			continue;
		copy_out(r, (at + RECORD_HEADER) & r->mask, &head, sizeof(head));
		return head.time > now ? TIME_NONE : head.time;
	}
	return TIME_NONE;
}

static void ring_busy(struct ring *r, unsigned long at, uint64_t now)
{
	if (r->busy_ns == 0 || r->busy_at != at) {
		r->busy_at = at;
		r->busy_ns = now;
		r->given_up = false;
	}
	r->busy = true;
	r->behind = time_behind(r, at, now);
}

/* Finds the ring's next record, stepping over discarded ones. */
static void ring_peek(struct ring *r, uint64_t now)
{
	unsigned long at = *r->consumer;

	r->head_time = TIME_NONE;
	r->behind = TIME_NONE;
	r->busy = false;
	while (at != r->limit) {
		uint32_t len = header_at(r, at);

		if (len & RECORD_BUSY) {
			ring_busy(r, at, now);
			return;
		}
		r->busy_ns = 0;
		if (!(len & RECORD_DISCARD)) {
			r->head = record_at(r, at & r->mask, len);
			r->head_len = len;
			r->head_time = record_time(r->head, now);
			if (r->head_time > now)
				r->head_time = TIME_NONE;
			return;
		}
		at += record_span(len & ~RECORD_DISCARD);
		__atomic_store_n(r->consumer, at, __ATOMIC_RELEASE);
	}
}

static void ring_consume(struct ring *r, uint64_t now)
{
	__atomic_store_n(r->consumer, *r->consumer + record_span(r->head_len), __ATOMIC_RELEASE);
	ring_peek(r, now);
}

/* Notes how far every ring is and what its next record is. */
static void snapshot(struct merge *m, uint64_t now)
{
	for (uint32_t i = 0; i < m->count; i++) {
		struct ring *r = &m->rings[i];

		r->limit = __atomic_load_n(r->producer, __ATOMIC_ACQUIRE);
	}
	for (uint32_t i = 0; i < m->count; i++)
		ring_peek(&m->rings[i], now);
}

static struct ring *oldest(struct merge *m)
{
	struct ring *best = NULL;

	for (uint32_t i = 0; i < m->count; i++) {
		struct ring *r = &m->rings[i];

		if (r->head_time != TIME_NONE && (!best || r->head_time < best->head_time))
			best = r;
	}
	return best;
}

/* True when this turn should rather end: some writer has not been waited for, and the last turns that
 * waited were short. On many CPUs somebody always writes. */
static bool wait_for_writer(struct merge *m, uint64_t now)
{
	bool fresh = false;

	for (uint32_t i = 0; i < m->count; i++)
		fresh |= m->rings[i].busy && now - m->rings[i].busy_ns < MERGE_EPSILON_NS;
	if (fresh && m->blocked_ns == 0)
		m->blocked_ns = now;
	if (fresh && now - m->blocked_ns < MERGE_EPSILON_NS)
		return true;
	m->blocked_ns = 0;
	return false;
}

static bool fills(const struct merge *m)
{
	for (uint32_t i = 0; i < m->count; i++)
		if (m->rings[i].limit - *m->rings[i].consumer > m->rings[i].mask / 2)
			return true;
	return false;
}

/* From which time on records are held, for the sake of older ones that wait behind a writer. */
static uint64_t hold_from(struct merge *m, uint64_t now)
{
	bool full = fills(m);
	uint64_t hold = TIME_NONE;

	for (uint32_t i = 0; i < m->count; i++) {
		struct ring *r = &m->rings[i];

		if (!r->busy || r->given_up || r->behind >= hold)
			continue;
		r->given_up = full || now - r->busy_ns >= MERGE_HOLD_NS;
		m->overtaken += r->given_up;
		if (!r->given_up)
			hold = r->behind;
	}
	return hold;
}

static bool any_busy(const struct merge *m)
{
	for (uint32_t i = 0; i < m->count; i++)
		if (m->rings[i].busy)
			return true;
	return false;
}

uint32_t merge_turn(struct merge *m, uint64_t now_boot_ns, uint32_t max, merge_record_fn handle, void *ctx)
{
	uint32_t done = 0;
	struct ring *r;
	uint64_t hold;

	snapshot(m, now_boot_ns);
	m->held = wait_for_writer(m, now_boot_ns);
	if (m->held)
		return 0;
	hold = hold_from(m, now_boot_ns);
	while (done < max && (r = oldest(m)) != NULL && r->head_time < hold) {
		handle(ctx, r->head);
		done++;
		ring_consume(r, now_boot_ns);
		if (r->busy)
			break;
	}
	m->held = done < max && any_busy(m);
	return done;
}

bool merge_held(const struct merge *m)
{
	return m->held;
}

uint64_t merge_overtaken(const struct merge *m)
{
	return m->overtaken;
}
