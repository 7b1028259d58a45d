/* The store as the queue of sinks: order, gaps, damage, positions that outlive a crash. */
#include "tests/unit/unit.h"

#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/store_sample.h"

static uint64_t cursor(struct store *s, const char *sink)
{
	uint64_t row = 77;
	struct err e = {0};

	if (store_cursor(s, sink, &row, &e) < 0)
		fail_msg("%s", e.text);
	return row;
}

static void set_cursor(struct store *s, const char *sink, uint64_t row)
{
	struct err e = {0};

	assert_int_equal(store_set_cursor(s, sink, row, &e), 0);
}

static void an_empty_store_has_no_rows(void **state)
{
	struct store_place *p = *state;
	_cleanup_(arena_freep) struct arena *arena = arena_new(0);
	Nightjar__V1__Alert *alert = NULL;
	uint64_t row = 77;

	assert_int_equal(store_next(p->store, 0, arena, &row, &alert), 0);
	assert_int_equal(row, 77);
	assert_null(alert);
	assert_int_equal(store_last(p->store), 0);
	assert_int_equal(store_count_after(p->store, 0), 0);
	assert_int_equal(cursor(p->store, "kafka"), 0);
}

static void rows_come_in_the_order_in_which_they_were_stored(void **state)
{
	struct store_place *p = *state;
	_cleanup_(arena_freep) struct arena *arena = arena_new(0);
	Nightjar__V1__Alert *alert;
	uint64_t row = 0;

	for (int i = 9; i >= 0; i--)
		assert_int_equal(store_place_put(p, i), 10 - (unsigned int)i);
	for (int i = 9; i >= 0; i--) {
		assert_int_equal(store_next(p->store, row, arena, &row, &alert), 1);
		assert_int_equal(atoi(alert->id), i);
	}
	assert_int_equal(row, store_last(p->store));
	assert_int_equal(store_next(p->store, row, arena, &row, &alert), 0);
	assert_int_equal(store_count_after(p->store, 7), 3);
}

static void a_damaged_row_is_given_without_its_alert(void **state)
{
	struct store_place *p = *state;
	_cleanup_(arena_freep) struct arena *arena = arena_new(0);
	Nightjar__V1__Alert *alert = NULL;
	uint64_t row = 0;

	(void)store_place_put(p, 1);
	(void)store_place_put(p, 2);
	store_place_run(p, "UPDATE alert SET message = x'ffffffff' WHERE row = 1");
	assert_int_equal(store_next(p->store, 0, arena, &row, &alert), 1);
	assert_int_equal(row, 1);
	assert_null(alert);
	assert_int_equal(store_next(p->store, row, arena, &row, &alert), 1);
	assert_int_equal(atoi(alert->id), 2);
}

static void an_alert_made_again_leaves_the_row_as_it_is(void **state)
{
	struct store_place *p = *state;
	uint64_t row = 77;
	struct err e = {0};

	(void)store_place_put(p, 1);
	assert_int_equal(store_put(p->store, &p->sample.alert, &row, &e), 0);
	assert_int_equal(row, 77);
	assert_int_equal(store_last(p->store), 1);
}

static void a_sink_that_is_new_begins_after_the_last_row_and_stays_there(void **state)
{
	struct store_place *p = *state;

	(void)store_place_put(p, 1);
	(void)store_place_put(p, 2);
	assert_int_equal(cursor(p->store, "kafka"), 2);
	(void)store_place_put(p, 3);
	store_place_reopen(p);
	assert_int_equal(cursor(p->store, "kafka"), 2);
	assert_int_equal(cursor(p->store, "other"), 3);
}

static void positions_outlive_a_crash(void **state)
{
	struct store_place *p = *state;
	int status;
	pid_t child;

	store_close(p->store);
	p->store = NULL;
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		store_place_reopen(p);
		set_cursor(p->store, "kafka", 41);
		set_cursor(p->store, "kafka", 42);
		(void)raise(SIGKILL);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSIGNALED(status));
	store_place_reopen(p);
	assert_int_equal(cursor(p->store, "kafka"), 42);
}

/* What an older version left behind: the same tables without what schema 2 added. */
static void a_store_of_schema_1_is_brought_up_to_date(void **state)
{
	struct store_place *p = *state;
	struct store_deleted deleted = {0};
	struct store_limits year = {.max_age_ns = 365 * 86400 * NS_PER_SEC};
	struct err e = {0};

	(void)store_place_put(p, 1);
	(void)store_place_put(p, 2);
	store_place_run(p, "DROP TABLE sink_cursor; DROP INDEX technique_alert;"
			   "ALTER TABLE alert DROP COLUMN stored_ns; PRAGMA user_version = 1");
	store_place_reopen(p);
	assert_int_equal(store_count(p->store), 2);
	assert_int_equal(cursor(p->store, "kafka"), 2);
	assert_int_equal(store_place_put(p, 3), 3);
	/* Their age counts from the time of the alert. */
	assert_int_equal(store_trim(p->store, &year, 3, 1764016996 * NS_PER_SEC, &deleted, &e), 0);
	assert_int_equal(store_trim(p->store, &year, 3, (1764016996 + 366 * 86400ULL) * NS_PER_SEC,
				    &deleted, &e),
			 2);
}

#define test(name) cmocka_unit_test_setup_teardown(name, store_place_set_up, store_place_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(an_empty_store_has_no_rows),
		test(rows_come_in_the_order_in_which_they_were_stored),
		test(a_damaged_row_is_given_without_its_alert),
		test(an_alert_made_again_leaves_the_row_as_it_is),
		test(a_sink_that_is_new_begins_after_the_last_row_and_stays_there),
		test(positions_outlive_a_crash),
		test(a_store_of_schema_1_is_brought_up_to_date),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
