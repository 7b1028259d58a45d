/* A capped table of fixed-size records, found by a fixed-size key: every table of both programs.
 *
 * When it is full, a new key takes the place of the least recently used record; a record that the
 * owner's keep() wants is passed over, up to 32 of them, and then goes all the same: a flood can
 * neither grow the table nor stall it. Evictions are counted, those of kept records apart.
 *
 * Memory is reserved at start and touched only as records come to be used (pages of zeros cost
 * nothing). Pointers to a record are stable until it is removed or evicted. O(1) each; one thread
 * at a time. Keys are hashed as bytes (XXH3): zero any padding. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/cleanup.h"
#include "common/err.h"

struct table;

struct table_config {
	size_t key_size;
	size_t record_size;
	uint32_t capacity; /* records, at least 1 */
	/* May be NULL. keep: this record is worth more than its age. gone: called for every record
	 * that is evicted, removed or cleared, before its memory is reused. */
	bool (*keep)(void *ctx, const void *record);
	void (*gone)(void *ctx, const void *key, void *record);
	void *ctx;
};

struct table_stats {
	uint32_t count;
	uint32_t capacity;
	uint64_t evicted;      /* records pushed out by newer ones, kept ones included */
	uint64_t evicted_kept; /* of these, records that keep() wanted */
};

/* NULL without memory. */
struct table *table_new(const struct table_config *config);
void table_free(struct table *t); /* NULL allowed */

/* The record, now the most recently used one; NULL when there is none. */
void *table_get(struct table *t, const void *key);
/* The same without touching its age. */
void *table_peek(const struct table *t, const void *key);
/* Finds or makes (zeroed); never fails. *ret_new may be NULL. */
void *table_put(struct table *t, const void *key, bool *ret_new);
bool table_remove(struct table *t, const void *key);
void table_clear(struct table *t); /* all of them; what a large table took goes back to the system */

/* Visits all from the least to the most recently used one; visit may remove the record it is
 * given and no other. Stops when visit returns false. */
void table_each(struct table *t, bool (*visit)(void *ctx, const void *key, void *record), void *ctx);

void table_stats(const struct table *t, struct table_stats *ret_stats);

DEFINE_CLEANUP(struct table *, table_free)
