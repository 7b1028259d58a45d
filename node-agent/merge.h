/* Many rings, one order. A turn looks at the clock, then at the producer position of every ring,
 * and hands out the records up to there that are not younger than that look, oldest first. What
 * caused a record was submitted before the record was stamped, so it is in the same turn or an
 * earlier one; and a record is stamped before it gets its room in a ring, so whatever is before it there is
 * older than what it causes: fork comes before exec before acts before the end, whichever ring they
 * went through.
 *
 * Left over is a record that somebody is still writing (he may have lost his CPU) while later records of its
 * ring are done. A turn waits for him, at most MERGE_EPSILON_NS; past that, unrelated acts may
 * overtake his. What waits behind him may be the cause of anything younger, which is therefore held: at most
 * MERGE_HOLD_NS, and while no ring is more than half full. Then it is let go, and counted. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/bytes.h"
#include "common/cleanup.h"
#include "common/err.h"

#define MERGE_EPSILON_NS 200000ULL
#define MERGE_HOLD_NS	 20000000ULL
/* A kernel record is never longer: its size is 16 bits wide. */
#define MERGE_RECORD_MAX 65536U

struct merge;

/* Room for max_rings. NULL without memory. */
struct merge *merge_new(uint32_t max_rings);
void merge_free(struct merge *m); /* unmaps; NULL allowed */

/* Maps a ring buffer map of size bytes; keeps no reference to the descriptor but epoll's. */
int merge_add_map(struct merge *m, int fd, uint64_t size) must_check;
/* A ring in plain memory, for tests: positions and data as in the kernel's layout, size a power of two. */
int merge_add_memory(struct merge *m, unsigned long *consumer, const unsigned long *producer,
		     const uint8_t *data, uint64_t size) must_check;

int merge_fd(const struct merge *m); /* epoll; readable when a ring has records */

/* Whether a ring has anything to hand out, now or when it has been written. */
bool merge_pending(const struct merge *m);

/* The record is valid during the call. */
typedef void (*merge_record_fn)(void *ctx, struct bytes record);

/* Hands out at most max records that are waiting now. Returns how many. */
uint32_t merge_turn(struct merge *m, uint64_t now_boot_ns, uint32_t max, merge_record_fn handle, void *ctx);

/* Whether all that the last turn left waits for a writer: there is no use in looking again at once. */
bool merge_held(const struct merge *m);
/* How often a writer was not waited for any longer although finished records were behind him. */
uint64_t merge_overtaken(const struct merge *m);

DEFINE_CLEANUP(struct merge *, merge_free)
