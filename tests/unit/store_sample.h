/* A store in a folder of its own, for tests of what is done with its rows. */
#pragma once

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "collector/store/store.h"
#include "common/clock.h"
#include "tests/unit/alert_sample.h"
#include "tests/unit/unit.h"

struct store_place {
	char dir[32];
	char path[64];
	char id[32];
	struct alert_sample sample;
	struct store *store;
};

static inline void store_place_reopen(struct store_place *p)
{
	struct err e = {0};

	store_close(p->store);
	p->store = NULL;
	if (store_open(p->path, &p->store, &e) < 0)
		fail_msg("%s", e.text);
}

static inline int store_place_set_up(void **state)
{
	struct store_place *p = calloc(1, sizeof(*p));

	strcpy(p->dir, "/tmp/nj-store-XXXXXX");
	assert_non_null(mkdtemp(p->dir));
	(void)snprintf(p->path, sizeof(p->path), "%s/alerts.db", p->dir);
	alert_sample_fill(&p->sample);
	store_place_reopen(p);
	*state = p;
	return 0;
}

static inline int store_place_tear_down(void **state)
{
	struct store_place *p = *state;

	store_close(p->store);
	assert_int_equal(unlink(p->path), 0);
	assert_int_equal(rmdir(p->dir), 0);
	free(p);
	return 0;
}

/* Stores the alert of that number; its row. */
static inline uint64_t store_place_put(struct store_place *p, int number)
{
	uint64_t row = 0;
	struct err e = {0};

	(void)snprintf(p->id, sizeof(p->id), "%026d", number);
	p->sample.alert.id = p->id;
	assert_int_equal(store_put(p->store, &p->sample.alert, &row, &e), 1);
	return row;
}

/* SQL over a connection of its own. */
static inline void store_place_run(const struct store_place *p, const char *sql)
{
	sqlite3 *db;
	char *error = NULL;

	assert_int_equal(sqlite3_open(p->path, &db), SQLITE_OK);
	if (sqlite3_exec(db, sql, NULL, NULL, &error) != SQLITE_OK)
		fail_msg("%s", error);
	(void)sqlite3_close(db);
}

static inline int64_t store_place_number(const struct store_place *p, const char *sql)
{
	sqlite3_stmt *stmt;
	sqlite3 *db;
	int64_t value;

	assert_int_equal(sqlite3_open(p->path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &stmt, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
	value = sqlite3_column_int64(stmt, 0);
	(void)sqlite3_finalize(stmt);
	(void)sqlite3_close(db);
	return value;
}
