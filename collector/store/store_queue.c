/* The store as the queue of sinks: the next row, and how far each sink's far side is; see store.h.
 */
#include "collector/store/store_private.h"

#include <errno.h>

int store_next(struct store *s, uint64_t after, struct arena *arena, uint64_t *ret_row,
	       Nightjar__V1__Alert **ret_alert)
{
	Nightjar__V1__Alert *alert = NULL;
	int rc, r = 0;

	(void)pthread_mutex_lock(&s->reader->lock);
	(void)sqlite3_bind_int64(s->next, 1, (int64_t)after);
	rc = sqlite3_step(s->next);
	if (rc == SQLITE_ROW)
		r = store_unpack_row(s->next, 1, arena, &alert);
	if (rc == SQLITE_ROW && (r == 0 || r == -EBADMSG)) {
		*ret_row = (uint64_t)sqlite3_column_int64(s->next, 0);
		*ret_alert = alert;
		r = 1;
	}
	(void)sqlite3_reset(s->next);
	(void)pthread_mutex_unlock(&s->reader->lock);
	return rc == SQLITE_ROW || rc == SQLITE_DONE ? r : store_errno(rc);
}

/* Write lock held. */
static int read_cursor(struct store *s, const char *sink, uint64_t *ret_row)
{
	int rc;

	(void)sqlite3_bind_text(s->cursor, 1, sink, -1, SQLITE_STATIC);
	rc = sqlite3_step(s->cursor);
	if (rc == SQLITE_ROW)
		*ret_row = (uint64_t)sqlite3_column_int64(s->cursor, 0);
	(void)sqlite3_reset(s->cursor);
	return rc == SQLITE_ROW ? SQLITE_OK : rc;
}

static int write_cursor(struct store *s, const char *sink, uint64_t row)
{
	(void)sqlite3_bind_text(s->set_cursor, 1, sink, -1, SQLITE_STATIC);
	(void)sqlite3_bind_int64(s->set_cursor, 2, (int64_t)row);
	return store_step(s->set_cursor);
}

/* Written at once: a sink that is seen for the first time keeps its beginning even when the program
 * dies before anything is confirmed. */
int store_cursor(struct store *s, const char *sink, uint64_t *ret_row, struct err *e)
{
	uint64_t row = 0;
	int rc, r = 0;

	(void)pthread_mutex_lock(&s->write.lock);
	rc = read_cursor(s, sink, &row);
	if (rc == SQLITE_OK)
		rc = write_cursor(s, sink, row);
	if (rc != SQLITE_OK)
		r = store_fail(s->write.db, e, "cannot read the position of a sink");
	(void)pthread_mutex_unlock(&s->write.lock);
	if (r == 0)
		*ret_row = row;
	return r;
}

int store_set_cursor(struct store *s, const char *sink, uint64_t row, struct err *e)
{
	int r = 0;

	(void)pthread_mutex_lock(&s->write.lock);
	if (write_cursor(s, sink, row) != SQLITE_OK)
		r = store_fail(s->write.db, e, "cannot keep the position of a sink");
	(void)pthread_mutex_unlock(&s->write.lock);
	return r;
}

/* A count of the reader; 0 too when it cannot be read. */
static uint64_t read_count(struct store *s, sqlite3_stmt *stmt, uint64_t after)
{
	uint64_t count = 0;

	(void)pthread_mutex_lock(&s->reader->lock);
	(void)sqlite3_bind_int64(stmt, 1, (int64_t)after);
	if (sqlite3_step(stmt) == SQLITE_ROW)
		count = (uint64_t)sqlite3_column_int64(stmt, 0);
	(void)sqlite3_reset(stmt);
	(void)pthread_mutex_unlock(&s->reader->lock);
	return count;
}

uint64_t store_count_after(struct store *s, uint64_t row)
{
	return read_count(s, s->count, row);
}

uint64_t store_count(struct store *s)
{
	return read_count(s, s->count, 0);
}

uint64_t store_last(struct store *s)
{
	return read_count(s, s->last, 0);
}
