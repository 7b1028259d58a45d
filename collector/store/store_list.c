/* Lists of alerts: the filter as SQL, page after page; see store.h.
 *
 * The order is (time, id), newest first, and a page begins strictly after the last row of the one
 * before it. So rows that are added meanwhile move nothing: whatever was there when the first page
 * was read is listed once. A page ends at page_size rows or STORE_PAGE_BYTES. */
#include <errno.h>
#include <stdlib.h>

#include "collector/store/page_token.h"
#include "collector/store/store_private.h"
#include "common/clock.h"

/* Values in the order of their question marks. Texts belong to the filter and to the query. */
#define VALUES_MAX (2 * STORE_FILTER_MAX + 16)

struct value {
	const char *text; /* NULL: number */
	int64_t number;
};

struct query {
	struct buf sql;
	struct value values[VALUES_MAX];
	int count;
	char technique_low[80];
	char technique_high[80];
};

static void bind_text(struct query *q, const char *condition, const char *text)
{
	buf_add_text(&q->sql, condition);
	q->values[q->count++] = (struct value){.text = text};
}

static void bind_number(struct query *q, const char *condition, int64_t number)
{
	buf_add_text(&q->sql, condition);
	q->values[q->count++] = (struct value){.number = number};
}

static void bind_one_of(struct query *q, const char *condition, char **texts, size_t count)
{
	for (size_t i = 0; i < count; i++)
		bind_text(q, i == 0 ? condition : ", ?", texts[i]);
	if (count > 0)
		buf_add_byte(&q->sql, ')');
}

static int64_t time_ns(const Google__Protobuf__Timestamp *t)
{
	return (int64_t)((uint64_t)t->seconds * NS_PER_SEC + (uint64_t)t->nanos);
}

/* T1059 and T1059.*: '/' is the byte after '.'. */
static void bind_technique(struct query *q, const char *technique)
{
	(void)snprintf(q->technique_low, sizeof(q->technique_low), "%s.", technique);
	(void)snprintf(q->technique_high, sizeof(q->technique_high), "%s/", technique);
	bind_text(q, " AND row IN (SELECT alert FROM technique WHERE technique = ?", technique);
	bind_text(q, " OR (technique >= ?", q->technique_low);
	bind_text(q, " AND technique < ?))", q->technique_high);
}

static bool is_set(const char *text)
{
	return text && *text;
}

static void add_filter(struct query *q, const Nightjar__V1__AlertFilter *f)
{
	if (f->since)
		bind_number(q, " AND time_ns >= ?", time_ns(f->since));
	if (f->until)
		bind_number(q, " AND time_ns < ?", time_ns(f->until));
	bind_one_of(q, " AND severity IN (?", f->severities, f->n_severities);
	bind_one_of(q, " AND rule IN (?", f->rules, f->n_rules);
	if (is_set(f->namespace_))
		bind_text(q, " AND namespace = ?", f->namespace_);
	if (is_set(f->workload))
		bind_text(q, " AND workload = ?", f->workload);
	if (is_set(f->node))
		bind_text(q, " AND node = ?", f->node);
	if (is_set(f->technique))
		bind_technique(q, f->technique);
}

static int check_filter(const Nightjar__V1__AlertFilter *f)
{
	if (!f)
		return 0;
	if (f->n_severities > STORE_FILTER_MAX || f->n_rules > STORE_FILTER_MAX)
		return -E2BIG;
	return f->technique && strlen(f->technique) >=
				       sizeof(((struct query *)0)->technique_low) - 1
		       ? -E2BIG
		       : 0;
}

static int build(struct query *q, const Nightjar__V1__AlertFilter *filter, uint32_t rows,
		 const struct page_cursor *after)
{
	buf_add_text(&q->sql, "SELECT message, time_ns, id FROM alert WHERE latest = 1");
	if (filter)
		add_filter(q, filter);
	if (after) {
		bind_number(q, " AND (time_ns, id) < (?", after->time_ns);
		bind_text(q, ", ?)", after->id);
	}
	bind_number(q, " ORDER BY time_ns DESC, id DESC LIMIT ?", rows);
	(void)buf_text(&q->sql);
	return buf_error(&q->sql);
}

static int prepare(struct store *s, struct query *q, sqlite3_stmt **ret_stmt)
{
	int rc = sqlite3_prepare_v2(s->reader->db, buf_text(&q->sql), -1, ret_stmt, NULL);

	for (int i = 0; i < q->count && rc == SQLITE_OK; i++) {
		const struct value *v = &q->values[i];

		if (v->text)
			rc = sqlite3_bind_text(*ret_stmt, i + 1, v->text, -1, SQLITE_STATIC);
		else
			rc = sqlite3_bind_int64(*ret_stmt, i + 1, v->number);
	}
	return store_errno(rc);
}

struct page {
	Nightjar__V1__Alert **alerts; /* room for size */
	size_t count;
	uint32_t size;
	bool more; /* rows are left */
	struct page_cursor last;
};

static void read_cursor(sqlite3_stmt *stmt, struct page_cursor *ret_cursor)
{
	ret_cursor->time_ns = sqlite3_column_int64(stmt, 1);
	(void)snprintf(ret_cursor->id, sizeof(ret_cursor->id), "%s",
		       (const char *)sqlite3_column_text(stmt, 2));
}

static int read_rows(sqlite3_stmt *stmt, struct arena *arena, struct page *page)
{
	size_t bytes = 0;
	int rc;

	while ((rc = sqlite3_step(stmt)) == SQLITE_ROW) {
		int r;

		bytes += (size_t)sqlite3_column_bytes(stmt, 0);
		if (page->count == page->size || (page->count > 0 && bytes > STORE_PAGE_BYTES)) {
			page->more = true;
			return 0;
		}
		r = store_unpack_row(stmt, 0, arena, &page->alerts[page->count]);
		if (r < 0)
			return r;
		page->count++;
		read_cursor(stmt, &page->last);
	}
	return rc == SQLITE_DONE ? 0 : store_errno(rc);
}

static int read_page(struct store *s, struct query *q, struct arena *arena, struct page *page)
{
	sqlite3_stmt *stmt = NULL;
	int r;

	(void)pthread_mutex_lock(&s->reader->lock);
	r = prepare(s, q, &stmt);
	if (r == 0)
		r = read_rows(stmt, arena, page);
	(void)sqlite3_finalize(stmt);
	(void)pthread_mutex_unlock(&s->reader->lock);
	return r;
}

int store_list(struct store *s, const Nightjar__V1__AlertFilter *filter, uint32_t page_size,
	       const char *page_token, struct arena *arena, Nightjar__V1__Alert ***ret_alerts,
	       size_t *ret_count, char **ret_token)
{
	struct query q = {0};
	struct page page = {.size = page_size};
	struct page_cursor after;
	bool first = !is_set(page_token);
	char *token;
	int r = check_filter(filter);

	if (r == 0 && !first)
		r = page_token_read(page_token, filter, &after);
	if (r < 0)
		return r;
	page.alerts = arena_alloc(arena, ((size_t)page_size + 1) * sizeof(Nightjar__V1__Alert *));
	token = arena_strdup(arena, "");
	if (!page.alerts || !token)
		return -ENOMEM;
	r = build(&q, filter, page_size + 1, first ? NULL : &after);
	if (r == 0)
		r = read_page(s, &q, arena, &page);
	if (r == 0 && page.more)
		r = page_token_write(&page.last, filter, arena, &token);
	buf_done(&q.sql);
	if (r < 0)
		return r;
	*ret_alerts = page.alerts;
	*ret_count = page.count;
	*ret_token = token;
	return 0;
}
