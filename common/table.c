/* Chained buckets over one array of slots, with the slots in a list by age; see table.h.
 *
 * A table's arrays are mapped rather than taken from the heap: what the heap gives again has to be zeroed, and
 * is resident from then on. Small tables, which many tests and parsers make, come from the heap. */
#include "common/table.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <xxhash.h>

#define NONE	  0U /* slot 0 is the head of the age list, so 0 also ends chains */
#define KEEP_SCAN 32U
#define MAP_BYTES (64UL << 10) /* an array from this size on */

struct slot {
	uint32_t chain; /* next slot of the bucket, or of the free list */
	uint32_t older;
	uint32_t newer;
	uint32_t bucket;
};

struct table {
	struct table_config config;
	size_t slot_count; /* slot 0 included */
	uint32_t *buckets;
	uint32_t mask;
	struct slot *slots;
	unsigned char *keys;
	unsigned char *records;
	size_t record_stride;
	uint32_t fresh; /* slots from here on were never used */
	uint32_t freed; /* list of slots given back */
	struct table_stats stats;
};

static uint32_t bucket_count(uint32_t capacity)
{
	uint32_t n = 1;

	while (n < capacity && n < 1U << 31)
		n *= 2;
	return n;
}

/* Aligned for any type that fits. */
static size_t stride_of(size_t record_size)
{
	return record_size > 8 ? (record_size + 15) & ~(size_t)15 : 8;
}

/* Zeroed; NULL without memory. */
static void *array_new(size_t count, size_t size)
{
	void *array;

	if (count * size < MAP_BYTES)
		return calloc(count, size);
	array = mmap(NULL, count * size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	return array == MAP_FAILED ? NULL : array;
}

static void array_free(void *array, size_t count, size_t size)
{
	if (!array || count * size < MAP_BYTES)
		free(array);
	else
		(void)munmap(array, count * size);
}

struct table *table_new(const struct table_config *config)
{
	_cleanup_(table_freep) struct table *t = calloc(1, sizeof(*t));
	assert(config->key_size > 0 && config->capacity > 0);
	if (!t)
		return NULL;
	t->config = *config;
	t->mask = bucket_count(config->capacity) - 1;
	t->slot_count = (size_t)config->capacity + 1;
	t->record_stride = stride_of(config->record_size);
	t->fresh = 1;
	t->stats.capacity = config->capacity;
	t->buckets = array_new((size_t)t->mask + 1, sizeof(*t->buckets));
	t->slots = array_new(t->slot_count, sizeof(*t->slots));
	t->keys = array_new(t->slot_count, config->key_size);
	t->records = array_new(t->slot_count, t->record_stride);
	if (!t->buckets || !t->slots || !t->keys || !t->records)
		return NULL;
	return take_ptr(t);
}

static void *key_of(const struct table *t, uint32_t slot)
{
	return t->keys + (size_t)slot * t->config.key_size;
}

static void *record_of(const struct table *t, uint32_t slot)
{
	return t->records + (size_t)slot * t->record_stride;
}

void table_free(struct table *t)
{
	if (!t)
		return;
	if (t->buckets && t->slots && t->keys && t->records)
		table_clear(t);
	array_free(t->buckets, (size_t)t->mask + 1, sizeof(*t->buckets));
	array_free(t->slots, t->slot_count, sizeof(*t->slots));
	array_free(t->keys, t->slot_count, t->config.key_size);
	array_free(t->records, t->slot_count, t->record_stride);
	free(t);
}

static void age_unlink(struct table *t, uint32_t slot)
{
	struct slot *s = &t->slots[slot];

	t->slots[s->older].newer = s->newer;
	t->slots[s->newer].older = s->older;
}

/* Slot 0 closes the ring: its newer is the oldest slot, its older the newest. */
static void age_append(struct table *t, uint32_t slot)
{
	uint32_t newest = t->slots[0].older;

	t->slots[slot].older = newest;
	t->slots[slot].newer = 0;
	t->slots[newest].newer = slot;
	t->slots[0].older = slot;
}

static uint32_t bucket_of(const struct table *t, const void *key)
{
	return (uint32_t)XXH3_64bits(key, t->config.key_size) & t->mask;
}

static uint32_t find(const struct table *t, const void *key, uint32_t bucket)
{
	uint32_t slot = t->buckets[bucket];

	while (slot != NONE && memcmp(key_of(t, slot), key, t->config.key_size) != 0)
		slot = t->slots[slot].chain;
	return slot;
}

static void release(struct table *t, uint32_t slot)
{
	uint32_t *link = &t->buckets[t->slots[slot].bucket];

	if (t->config.gone)
		t->config.gone(t->config.ctx, key_of(t, slot), record_of(t, slot));
	while (*link != slot)
		link = &t->slots[*link].chain;
	*link = t->slots[slot].chain;
	age_unlink(t, slot);
	t->slots[slot].chain = t->freed;
	t->freed = slot;
	t->stats.count--;
}

static void evict_one(struct table *t)
{
	uint32_t slot = t->slots[0].newer;
	uint32_t victim = slot;

	for (uint32_t i = 0; t->config.keep && slot != 0 && i < KEEP_SCAN; i++) {
		if (!t->config.keep(t->config.ctx, record_of(t, slot)))
			break;
		slot = t->slots[slot].newer;
	}
	if (slot != 0 && (!t->config.keep || !t->config.keep(t->config.ctx, record_of(t, slot))))
		victim = slot;
	else
		t->stats.evicted_kept++;
	t->stats.evicted++;
	release(t, victim);
}

static uint32_t take_slot(struct table *t)
{
	uint32_t slot;

	if (t->freed == NONE && t->fresh > t->config.capacity)
		evict_one(t);
	if (t->freed == NONE)
		return t->fresh++;
	slot = t->freed;
	t->freed = t->slots[slot].chain;
	return slot;
}

void *table_peek(const struct table *t, const void *key)
{
	uint32_t slot = find(t, key, bucket_of(t, key));

	return slot == NONE ? NULL : record_of(t, slot);
}

void *table_get(struct table *t, const void *key)
{
	uint32_t slot = find(t, key, bucket_of(t, key));

	if (slot == NONE)
		return NULL;
	age_unlink(t, slot);
	age_append(t, slot);
	return record_of(t, slot);
}

void *table_put(struct table *t, const void *key, bool *ret_new)
{
	void *record = table_get(t, key);
	uint32_t bucket, slot;

	if (ret_new)
		*ret_new = !record;
	if (record)
		return record;
	slot = take_slot(t);
	bucket = bucket_of(t, key);
	t->slots[slot].bucket = bucket;
	t->slots[slot].chain = t->buckets[bucket];
	t->buckets[bucket] = slot;
	age_append(t, slot);
	memcpy(key_of(t, slot), key, t->config.key_size);
	memset(record_of(t, slot), 0, t->record_stride);
	t->stats.count++;
	return record_of(t, slot);
}

bool table_remove(struct table *t, const void *key)
{
	uint32_t slot = find(t, key, bucket_of(t, key));

	if (slot == NONE)
		return false;
	release(t, slot);
	return true;
}

/* A mapped array is zeros again and takes no memory. */
static void array_reset(void *array, size_t count, size_t size)
{
	if (count * size < MAP_BYTES)
		memset(array, 0, count * size);
	else
		(void)madvise(array, count * size, MADV_DONTNEED);
}

/* As table_new has left it: no slot is used, and slot 0 is alone in its ring. */
void table_clear(struct table *t)
{
	while (t->config.gone && t->slots[0].newer != 0)
		release(t, t->slots[0].newer);
	array_reset(t->buckets, (size_t)t->mask + 1, sizeof(*t->buckets));
	array_reset(t->slots, t->slot_count, sizeof(*t->slots));
	t->fresh = 1;
	t->freed = NONE;
	t->stats.count = 0;
	array_reset(t->keys, t->slot_count, t->config.key_size);
	array_reset(t->records, t->slot_count, t->record_stride);
}

void table_each(struct table *t, bool (*visit)(void *ctx, const void *key, void *record), void *ctx)
{
	uint32_t slot = t->slots[0].newer;

	while (slot != 0) {
		uint32_t next = t->slots[slot].newer;

		if (!visit(ctx, key_of(t, slot), record_of(t, slot)))
			return;
		slot = next;
	}
}

void table_stats(const struct table *t, struct table_stats *ret_stats)
{
	*ret_stats = t->stats;
}
