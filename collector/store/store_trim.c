/* Retention: the oldest rows go, a few at a time; see store.h.
 *
 * The order is the one in which rows were stored, whatever the clocks of nodes said. The last row
 * always stays, so that numbers are never given twice. Free pages are used again: the file keeps
 * its largest size. One step of 64 rows takes about a millisecond. */
#include "collector/store/store_private.h"

#include <errno.h>

#define STEP 64

struct trim {
	const struct store_limits *limits;
	uint64_t sent;
	uint64_t wall_ns;
	uint64_t bytes; /* in use at the beginning */
};

/* Write lock held. */
static uint64_t read_bytes(struct store *s)
{
	uint64_t bytes = 0;

	if (sqlite3_step(s->pages) == SQLITE_ROW)
		bytes = (uint64_t)sqlite3_column_int64(s->pages, 0);
	(void)sqlite3_reset(s->pages);
	return bytes;
}

uint64_t store_bytes(struct store *s)
{
	uint64_t bytes;

	(void)pthread_mutex_lock(&s->write.lock);
	bytes = read_bytes(s);
	(void)pthread_mutex_unlock(&s->write.lock);
	return bytes;
}

/* Whether a row goes; counts why. */
static bool goes(const struct trim *t, uint64_t row, uint64_t stored_ns,
		 struct store_deleted *count)
{
	uint64_t max = t->limits->max_bytes, age = t->limits->max_age_ns;
	bool sent = row <= t->sent;

	if (sent && age > 0 && stored_ns + age < t->wall_ns) {
		count->old++;
		return true;
	}
	if (max == 0 || t->bytes <= max || (!sent && t->bytes / 2 <= max))
		return false;
	count->excess++;
	count->unsent += !sent;
	return true;
}

/* Write lock held. The rows to delete, oldest first. */
static int choose(struct store *s, const struct trim *t, int64_t rows[STEP],
		  struct store_deleted *count)
{
	int n = 0;

	while (n < STEP && sqlite3_step(s->oldest) == SQLITE_ROW) {
		int64_t row = sqlite3_column_int64(s->oldest, 0);
		uint64_t stored_ns = (uint64_t)sqlite3_column_int64(s->oldest, 1);

		if (row == sqlite3_column_int64(s->oldest, 2) ||
		    !goes(t, (uint64_t)row, stored_ns, count))
			break;
		rows[n++] = row;
	}
	(void)sqlite3_reset(s->oldest);
	return n;
}

static int erase_row(sqlite3_stmt *stmt, int64_t row)
{
	(void)sqlite3_bind_int64(stmt, 1, row);
	return store_step(stmt);
}

/* Write lock held. */
static int erase(struct store *s, const int64_t *rows, int n, struct err *e)
{
	sqlite3 *db = s->write.db;
	int rc = sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL), r;

	for (int i = 0; i < n && rc == SQLITE_OK; i++) {
		rc = erase_row(s->erase_techniques, rows[i]);
		if (rc == SQLITE_OK)
			rc = erase_row(s->erase, rows[i]);
	}
	if (rc == SQLITE_OK)
		rc = sqlite3_exec(db, "COMMIT", NULL, NULL, NULL);
	if (rc == SQLITE_OK)
		return n;
	r = store_fail(db, e, "cannot delete old alerts");
	(void)sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
	return r;
}

int store_trim(struct store *s, const struct store_limits *limits, uint64_t sent, uint64_t wall_ns,
	       struct store_deleted *deleted, struct err *e)
{
	struct trim t = {.limits = limits, .sent = sent, .wall_ns = wall_ns};
	struct store_deleted count = {0};
	int64_t rows[STEP];
	int r;

	(void)pthread_mutex_lock(&s->write.lock);
	t.bytes = read_bytes(s);
	r = choose(s, &t, rows, &count);
	if (r > 0)
		r = erase(s, rows, r, e);
	(void)pthread_mutex_unlock(&s->write.lock);
	if (r > 0) {
		deleted->old += count.old;
		deleted->excess += count.excess;
		deleted->unsent += count.unsent;
	}
	return r;
}
