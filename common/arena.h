/* Memory with one lifetime: allocate in a row, release all at once. Used per batch and per alert.
 *
 * Blocks grow from 4 KiB by doubling to 256 KiB; arena_reset keeps the largest one for the next
 * batch. The limit is the hard maximum of bytes handed out between two resets: past it every
 * allocation fails with NULL, so a foreign message can never take more. One thread at a time. */
#pragma once

#include <stddef.h>

#include "common/bytes.h"
#include "common/cleanup.h"
#include "common/err.h"

struct arena;

/* limit in bytes, 0: none. Returns NULL without memory. */
struct arena *arena_new(size_t limit);
void arena_free(struct arena *a); /* NULL allowed */
void arena_reset(struct arena *a);

/* Aligned for any type; not zeroed. NULL without memory or past the limit. */
void *arena_alloc(struct arena *a, size_t size) must_check;
void *arena_zalloc(struct arena *a, size_t size) must_check;
/* Terminated copies. */
char *arena_strndup(struct arena *a, const char *text, size_t len) must_check;
char *arena_strdup(struct arena *a, const char *text) must_check;
char *arena_printf(struct arena *a, const char *fmt, ...) __attribute__((format(printf, 2, 3))) must_check;

/* Bytes handed out since the last reset. */
size_t arena_used(const struct arena *a);

DEFINE_CLEANUP(struct arena *, arena_free)
