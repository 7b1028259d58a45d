/* What stage 2 may take for settled: the slowest holds it back, the silent do not. */
#include "tests/unit/unit.h"

#include "collector/stage2.h"
#include "collector/watermark.h"
#include "common/clock.h"

#define START (1000 * NS_PER_SEC)

struct both {
	struct metrics *metrics;
	struct watermark *w;
};

static int begin(void **state)
{
	struct both *b = calloc(1, sizeof(*b));

	assert_non_null(b);
	b->metrics = metrics_new();
	b->w = watermark_new(4, b->metrics);
	assert_non_null(b->w);
	*state = b;
	return 0;
}

static int end(void **state)
{
	struct both *b = *state;

	watermark_free(b->w);
	metrics_free(b->metrics);
	free(b);
	return 0;
}

static void freeing_nothing_is_allowed(void **state)
{
	(void)state;
	watermark_free(NULL);
}

static void a_time_before_the_tolerance_is_nowhere(void **state)
{
	struct watermark *w = ((struct both *)*state)->w;

	assert_int_equal(watermark_node(w, "c", "a", STAGE2_LATE_NS), 0);
}

static void the_slowest_node_holds_it_back(void **state)
{
	struct watermark *w = ((struct both *)*state)->w;

	assert_int_equal(watermark_node(w, "c", "a", START), START - STAGE2_LATE_NS);
	assert_int_equal(watermark_node(w, "c", "b", START + 9 * NS_PER_SEC),
			 START - STAGE2_LATE_NS);
	assert_int_equal(watermark_node(w, "c", "a", START + 5 * NS_PER_SEC),
			 START + 5 * NS_PER_SEC - STAGE2_LATE_NS);
}

static void it_never_goes_back(void **state)
{
	struct watermark *w = ((struct both *)*state)->w;

	assert_int_equal(watermark_node(w, "c", "a", START), START - STAGE2_LATE_NS);
	assert_int_equal(watermark_node(w, "c", "a", START - NS_PER_SEC), START - STAGE2_LATE_NS);
	assert_int_equal(watermark_node(w, "c", "new", START - NS_PER_SEC), START - STAGE2_LATE_NS);
}

static void the_same_name_in_two_clusters_is_two_nodes(void **state)
{
	struct watermark *w = ((struct both *)*state)->w;

	(void)watermark_node(w, "c", "a", START);
	assert_int_equal(watermark_node(w, "d", "a", START + NS_PER_SEC), START - STAGE2_LATE_NS);
}

static void a_silent_node_is_not_waited_for_after_a_tick(void **state)
{
	struct watermark *w = ((struct both *)*state)->w;

	(void)watermark_node(w, "c", "a", START);
	(void)watermark_node(w, "c", "b", START + 9 * NS_PER_SEC);
	assert_int_equal(watermark_tick(w, START + NS_PER_SEC), START - STAGE2_LATE_NS);
	assert_int_equal(watermark_tick(w, START + 10 * NS_PER_SEC),
			 START + 9 * NS_PER_SEC - STAGE2_LATE_NS);
}

static void when_all_are_silent_the_ticks_move_it(void **state)
{
	struct watermark *w = ((struct both *)*state)->w;

	(void)watermark_node(w, "c", "a", START);
	assert_int_equal(watermark_tick(w, START + 60 * NS_PER_SEC),
			 START + 58 * NS_PER_SEC - STAGE2_LATE_NS);
}

static void a_node_that_speaks_again_is_waited_for(void **state)
{
	struct watermark *w = ((struct both *)*state)->w;
	uint64_t settled;

	(void)watermark_node(w, "c", "a", START);
	settled = watermark_tick(w, START + 10 * NS_PER_SEC);
	(void)watermark_node(w, "c", "b", START + 20 * NS_PER_SEC);
	assert_int_equal(watermark_node(w, "c", "a", START + 10 * NS_PER_SEC),
			 START + 20 * NS_PER_SEC - STAGE2_LATE_NS);
	assert_true(settled < START + 20 * NS_PER_SEC);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(freeing_nothing_is_allowed),
		TEST(a_time_before_the_tolerance_is_nowhere),
		TEST(the_slowest_node_holds_it_back),
		TEST(it_never_goes_back),
		TEST(the_same_name_in_two_clusters_is_two_nodes),
		TEST(a_silent_node_is_not_waited_for_after_a_tick),
		TEST(when_all_are_silent_the_ticks_move_it),
		TEST(a_node_that_speaks_again_is_waited_for),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
