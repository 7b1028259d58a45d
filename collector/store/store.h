/* Alerts on disk: SQLite in WAL mode, committed (synchronous=FULL) before anything is sent.
 * Any thread; one connection under one lock for writing, one for reading. */
#pragma once

#include <stdint.h>

#include "common/arena.h"
#include "common/bytes.h"
#include "common/err.h"
#include "nightjar/v1/alert.pb-c.h"
#include "nightjar/v1/query.pb-c.h"

#define STORE_ID_MAX	 64	    /* with the terminator; ours are 26 characters */
#define STORE_FILTER_MAX 64	    /* severities, and rules, in one filter */
#define STORE_PAGE_BYTES (3UL << 20) /* of packed alerts: a page fits into a gRPC client's 4 MiB */

struct store;

/* path: the database file, made when missing; ":memory:" for tests. */
int store_open(const char *path, struct store **ret_store, struct err *e) must_check;
void store_close(struct store *s); /* NULL allowed */

/* 1: stored; 0: (id, revision) was there already; negative: not stored. */
int store_put(struct store *s, const Nightjar__V1__Alert *alert, struct err *e) must_check;

/* The latest revision. 0 or -ENOENT; *ret_alert lives in arena. */
int store_get(struct store *s, const char *id, struct arena *arena, Nightjar__V1__Alert **ret_alert) must_check;

/* Latest revisions that match, newest first. *ret_alerts lives in arena. *ret_token: where the next
 * page begins, "" at the end; a page may be shorter than page_size. filter may be NULL. -EINVAL for
 * a token that is not ours or belongs to another filter, -E2BIG for a filter past the maximum. */
int store_list(struct store *s, const Nightjar__V1__AlertFilter *filter, uint32_t page_size,
	       const char *page_token, struct arena *arena, Nightjar__V1__Alert ***ret_alerts,
	       size_t *ret_count, char **ret_token) must_check;
/* Alerts stored, all revisions. */
uint64_t store_count(struct store *s);
