/* The capped table: eviction by age, records worth keeping, and a flood. */
#include "tests/unit/unit.h"

#include "common/table.h"

struct record {
	uint64_t value;
	bool marked;
};

struct seen {
	uint64_t gone[64];
	size_t count;
};

static bool keep_marked(void *ctx, const void *record)
{
	(void)ctx;
	return ((const struct record *)record)->marked;
}

static void note_gone(void *ctx, const void *key, void *record)
{
	struct seen *seen = ctx;

	(void)record;
	if (seen && seen->count < 64)
		seen->gone[seen->count++] = *(const uint64_t *)key;
}

static struct table *make(uint32_t capacity, struct seen *seen)
{
	struct table *t = table_new(&(struct table_config){
		.key_size = sizeof(uint64_t),
		.record_size = sizeof(struct record),
		.capacity = capacity,
		.keep = keep_marked,
		.gone = note_gone,
		.ctx = seen,
	});

	assert_non_null(t);
	return t;
}

static struct record *put(struct table *t, uint64_t key)
{
	return table_put(t, &key, NULL);
}

static void what_was_never_put_is_not_found(void **state)
{
	_cleanup_(table_freep) struct table *t = make(4, NULL);
	uint64_t key = 7;

	(void)state;
	assert_null(table_get(t, &key));
	assert_null(table_peek(t, &key));
	assert_false(table_remove(t, &key));
}

static void the_least_recently_used_record_makes_room(void **state)
{
	struct seen seen = {0};
	_cleanup_(table_freep) struct table *t = make(3, &seen);
	struct table_stats stats;
	uint64_t first = 1;

	(void)state;
	for (uint64_t key = 1; key <= 3; key++)
		put(t, key)->value = key;
	assert_non_null(table_get(t, &first));
	put(t, 4);
	assert_int_equal(seen.count, 1);
	assert_int_equal(seen.gone[0], 2);
	assert_int_equal(((struct record *)table_peek(t, &first))->value, 1);
	table_stats(t, &stats);
	assert_int_equal(stats.count, 3);
	assert_int_equal(stats.evicted, 1);
	assert_int_equal(stats.evicted_kept, 0);
}

static void a_marked_record_outlives_a_flood_of_unmarked_ones(void **state)
{
	_cleanup_(table_freep) struct table *t = make(100, NULL);
	struct table_stats stats;

	(void)state;
	for (uint64_t key = 1; key <= 20; key++)
		put(t, key)->marked = true;
	for (uint64_t key = 1000; key < 100000; key++)
		put(t, key);
	for (uint64_t key = 1; key <= 20; key++)
		assert_non_null(table_peek(t, &key));
	table_stats(t, &stats);
	assert_int_equal(stats.count, 100);
	assert_int_equal(stats.evicted_kept, 0);
}

static void a_table_of_marked_records_still_takes_new_ones_and_counts_what_it_cost(void **state)
{
	_cleanup_(table_freep) struct table *t = make(8, NULL);
	struct table_stats stats;

	(void)state;
	for (uint64_t key = 1; key <= 9; key++)
		put(t, key)->marked = true;
	table_stats(t, &stats);
	assert_int_equal(stats.count, 8);
	assert_int_equal(stats.evicted_kept, 1);
}

static void a_removed_slot_is_used_again_and_zeroed(void **state)
{
	_cleanup_(table_freep) struct table *t = make(2, NULL);
	uint64_t key = 1;
	bool is_new;

	(void)state;
	put(t, 1)->value = 99;
	assert_true(table_remove(t, &key));
	assert_int_equal(((struct record *)table_put(t, &key, &is_new))->value, 0);
	assert_true(is_new);
	(void)table_put(t, &key, &is_new);
	assert_false(is_new);
}

/* Of a size that is mapped, and of one that is not. */
static void a_cleared_table_is_as_it_was_made(void **state)
{
	static const uint32_t capacities[] = {3, 20000};

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct seen seen = {0};
		_cleanup_(table_freep) struct table *t = make(capacities[i], &seen);
		struct table_stats stats;
		uint64_t key = 2;

		for (uint64_t n = 1; n <= 3; n++)
			put(t, n)->value = 99;
		assert_true(table_remove(t, &key));
		table_clear(t);
		assert_int_equal(seen.count, 3);
		table_stats(t, &stats);
		assert_int_equal(stats.count, 0);
		for (uint64_t n = 1; n <= 3; n++)
			assert_null(table_peek(t, &n));
		for (uint64_t n = 1; n <= capacities[i]; n++)
			assert_int_equal(put(t, n)->value, 0);
		table_stats(t, &stats);
		assert_int_equal(stats.count, capacities[i]);
		assert_int_equal(stats.evicted, 0);
		assert_int_equal(seen.count, 3);
	}
}

static bool remove_even(void *ctx, const void *key, void *record)
{
	(void)record;
	if (*(const uint64_t *)key % 2 == 0)
		assert_true(table_remove(ctx, key));
	return true;
}

static void a_visit_may_remove_what_it_is_given(void **state)
{
	_cleanup_(table_freep) struct table *t = make(100, NULL);
	struct table_stats stats;

	(void)state;
	for (uint64_t key = 0; key < 100; key++)
		put(t, key);
	table_each(t, remove_even, t);
	table_stats(t, &stats);
	assert_int_equal(stats.count, 50);
	for (uint64_t key = 0; key < 100; key++)
		assert_int_equal(table_peek(t, &key) != NULL, key % 2);
}

static void every_record_is_told_when_the_table_goes(void **state)
{
	struct seen seen = {0};
	struct table *t = make(5, &seen);

	(void)state;
	for (uint64_t key = 1; key <= 5; key++)
		put(t, key);
	table_free(t);
	assert_int_equal(seen.count, 5);
	table_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_never_put_is_not_found),
		cmocka_unit_test(the_least_recently_used_record_makes_room),
		cmocka_unit_test(a_marked_record_outlives_a_flood_of_unmarked_ones),
		cmocka_unit_test(a_table_of_marked_records_still_takes_new_ones_and_counts_what_it_cost),
		cmocka_unit_test(a_removed_slot_is_used_again_and_zeroed),
		cmocka_unit_test(a_cleared_table_is_as_it_was_made),
		cmocka_unit_test(a_visit_may_remove_what_it_is_given),
		cmocka_unit_test(every_record_is_told_when_the_table_goes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
