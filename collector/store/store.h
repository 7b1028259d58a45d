/* Alerts on disk: SQLite in WAL mode, committed before anything is sent. What is committed outlives
 * the program; it outlives the loss of power after store_sync, which therefore may come after the
 * sending: until then the journal, or an agent that waits for its acknowledgement, has the events
 * of which the same alert is made again. Any thread; one connection under one lock for writing, one
 * for reading.
 *
 * Rows are numbered from 1 in the order in which they were stored, so the store is also the queue
 * of every sink that is behind, and one number a sink says what its far side has. */
#pragma once

#include <stdint.h>

#include "common/arena.h"
#include "common/bytes.h"
#include "common/err.h"
#include "nightjar/v1/alert.pb-c.h"
#include "nightjar/v1/query.pb-c.h"

#define STORE_ID_MAX	 64	     /* with the terminator; ours are 26 characters */
#define STORE_FILTER_MAX 64	     /* severities, and rules, in one filter */
#define STORE_PAGE_BYTES (3UL << 20) /* of packed alerts: a page fits into a gRPC client's 4 MiB   \
				      */

struct store;

/* path: the database file, made when missing; ":memory:" for tests. */
int store_open(const char *path, struct store **ret_store, struct err *e) must_check;
void store_close(struct store *s); /* NULL allowed */

/* 1: stored; 0: (id, revision) was there already; negative: not stored. *ret_row (may be NULL): its
 * number, when it was stored. */
int store_put(struct store *s, const Nightjar__V1__Alert *alert, uint64_t *ret_row,
	      struct err *e) must_check;

/* Brings everything that is stored to the disk. */
int store_sync(struct store *s, struct err *e) must_check;

/* The latest revision. 0 or -ENOENT; *ret_alert lives in arena. */
int store_get(struct store *s, const char *id, struct arena *arena,
	      Nightjar__V1__Alert **ret_alert) must_check;

/* Latest revisions that match, newest first. *ret_alerts lives in arena. *ret_token: where the next
 * page begins, "" at the end; a page may be shorter than page_size. filter may be NULL. -EINVAL for
 * a token that is not ours or belongs to another filter, -E2BIG for a filter past the maximum. */
int store_list(struct store *s, const Nightjar__V1__AlertFilter *filter, uint32_t page_size,
	       const char *page_token, struct arena *arena, Nightjar__V1__Alert ***ret_alerts,
	       size_t *ret_count, char **ret_token) must_check;
/* Alerts stored, all revisions. */
uint64_t store_count(struct store *s);

/* ---- the queue ---- */

/* The first row after that one. 1: there it is, *ret_alert (in arena) is NULL when it is damaged
 * and can only be passed over; 0: none; negative: not now. */
int store_next(struct store *s, uint64_t after, struct arena *arena, uint64_t *ret_row,
	       Nightjar__V1__Alert **ret_alert) must_check;
/* The number of the last row; 0: none. */
uint64_t store_last(struct store *s);
/* How many rows there are after that one; 0 too when the store cannot be read. */
uint64_t store_count_after(struct store *s, uint64_t row);
/* The last row that the sink's far side has, with none missing before it. A sink that was never
 * seen begins after the last row: it is sent what comes, not what was. */
int store_cursor(struct store *s, const char *sink, uint64_t *ret_row, struct err *e) must_check;
int store_set_cursor(struct store *s, const char *sink, uint64_t row, struct err *e) must_check;

/* ---- retention ---- */

struct store_limits {
	uint64_t max_bytes;  /* 0: any number */
	uint64_t max_age_ns; /* since it was stored; 0: any */
};

struct store_deleted {
	uint32_t old;	 /* for their age */
	uint32_t excess; /* for the size */
	uint32_t unsent; /* of these, some sink's far side did not have: past twice max_bytes */
};

/* Deletes a few of the oldest rows that are too old or too many, never the last one; rows after
 * `sent` are kept up to twice max_bytes. How many; 0: nothing more to do. Adds to *deleted. */
int store_trim(struct store *s, const struct store_limits *limits, uint64_t sent, uint64_t wall_ns,
	       struct store_deleted *deleted, struct err *e) must_check;
/* Bytes in use, without free pages and WAL. */
uint64_t store_bytes(struct store *s);
