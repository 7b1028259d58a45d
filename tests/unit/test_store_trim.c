/* Retention: what goes, what must stay, and that nothing of a deleted alert is left. */
#include "tests/unit/unit.h"

#include <errno.h>

#include "tests/unit/store_sample.h"

#define NOW (1800000000 * NS_PER_SEC)
#define DAY (86400 * NS_PER_SEC)

static int trim(struct store_place *p, struct store_limits limits, uint64_t sent,
		struct store_deleted *deleted)
{
	struct err e = {0};
	int total = 0, r;

	while ((r = store_trim(p->store, &limits, sent, NOW, deleted, &e)) > 0) {
		assert_true(r <= 64);
		total += r;
	}
	if (r < 0)
		fail_msg("%s", e.text);
	return total;
}

/* n alerts, of which the first `old` were stored a year ago and the rest now. */
static void fill(struct store_place *p, int n, int old)
{
	char sql[128];

	for (int i = 1; i <= n; i++)
		(void)store_place_put(p, i);
	(void)snprintf(sql, sizeof(sql), "UPDATE alert SET stored_ns = %llu - (row <= %d) * %llu",
		       (unsigned long long)NOW, old, (unsigned long long)(365 * DAY));
	store_place_run(p, sql);
}

static void without_limits_nothing_goes(void **state)
{
	struct store_place *p = *state;
	struct store_deleted deleted = {0};

	fill(p, 20, 20);
	assert_int_equal(trim(p, (struct store_limits){0}, 20, &deleted), 0);
	assert_int_equal(
		trim(p, (struct store_limits){.max_bytes = 1UL << 30, .max_age_ns = 366 * DAY}, 20,
		     &deleted),
		0);
	assert_int_equal(store_count(p->store), 20);
}

static void an_empty_store_is_left_alone(void **state)
{
	struct store_place *p = *state;
	struct store_deleted deleted = {0};

	assert_int_equal(
		trim(p, (struct store_limits){.max_bytes = 1, .max_age_ns = 1}, 0, &deleted), 0);
}

static void what_is_too_old_goes_with_everything_that_belongs_to_it(void **state)
{
	struct store_place *p = *state;
	_cleanup_(arena_freep) struct arena *arena = arena_new(0);
	struct store_deleted deleted = {0};
	Nightjar__V1__Alert *alert;

	fill(p, 200, 150);
	assert_int_equal(trim(p, (struct store_limits){.max_age_ns = 90 * DAY}, 200, &deleted),
			 150);
	assert_int_equal(deleted.old, 150);
	assert_int_equal(deleted.excess, 0);
	assert_int_equal(store_count(p->store), 50);
	assert_int_equal(store_get(p->store, "00000000000000000000000150", arena, &alert), -ENOENT);
	assert_int_equal(store_get(p->store, "00000000000000000000000151", arena, &alert), 0);
	assert_int_equal(store_place_number(p, "SELECT count(*) FROM technique"), 50);
}

static void what_a_sink_waits_for_stays_however_old(void **state)
{
	struct store_place *p = *state;
	struct store_deleted deleted = {0};

	fill(p, 20, 20);
	assert_int_equal(trim(p, (struct store_limits){.max_age_ns = DAY}, 5, &deleted), 5);
	assert_int_equal(store_count_after(p->store, 5), 15);
}

static void the_last_row_stays_so_that_numbers_never_come_again(void **state)
{
	struct store_place *p = *state;
	struct store_deleted deleted = {0};

	fill(p, 10, 10);
	assert_int_equal(
		trim(p, (struct store_limits){.max_bytes = 1, .max_age_ns = DAY}, 10, &deleted), 9);
	store_place_reopen(p);
	assert_int_equal(store_place_put(p, 11), 11);
}

static void too_many_bytes_cost_the_oldest(void **state)
{
	struct store_place *p = *state;
	struct store_deleted deleted = {0};
	uint64_t max;

	fill(p, 1000, 0);
	max = store_bytes(p->store) / 2;
	assert_true(trim(p, (struct store_limits){.max_bytes = max}, 1000, &deleted) >= 400);
	assert_true(store_bytes(p->store) <= max);
	assert_true(store_bytes(p->store) > max / 2);
	assert_int_equal(deleted.unsent, 0);
	assert_int_equal(deleted.excess, 1000 - store_count(p->store));
	assert_int_equal(store_count_after(p->store, 900), 100);
}

static void what_a_sink_waits_for_goes_only_past_twice_the_limit_and_is_counted(void **state)
{
	struct store_place *p = *state;
	struct store_deleted deleted = {0};
	uint64_t bytes;

	fill(p, 1000, 0);
	bytes = store_bytes(p->store);
	assert_int_equal(trim(p, (struct store_limits){.max_bytes = bytes / 2 + 1}, 0, &deleted),
			 0);
	assert_true(trim(p, (struct store_limits){.max_bytes = bytes / 4}, 100, &deleted) >= 400);
	assert_true(store_bytes(p->store) <= bytes / 4 * 2 + 1);
	assert_true(store_bytes(p->store) > bytes / 4);
	assert_int_equal(deleted.unsent, deleted.excess - 100);
}

#define test(name) cmocka_unit_test_setup_teardown(name, store_place_set_up, store_place_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(without_limits_nothing_goes),
		test(an_empty_store_is_left_alone),
		test(what_is_too_old_goes_with_everything_that_belongs_to_it),
		test(what_a_sink_waits_for_stays_however_old),
		test(the_last_row_stays_so_that_numbers_never_come_again),
		test(too_many_bytes_cost_the_oldest),
		test(what_a_sink_waits_for_goes_only_past_twice_the_limit_and_is_counted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
