/* Confirmations in any order: what may be forgotten is only what has nothing missing before it. */
#include "tests/unit/unit.h"

#include "collector/sink/window.h"

static void a_row_counts_only_when_all_before_it_are_settled(void **state)
{
	_cleanup_(window_freep) struct window *w = window_new(4);
	uint64_t a = window_add(w, 10), b = window_add(w, 11), c = window_add(w, 15);

	(void)state;
	assert_int_equal(window_settled_row(w), 0);
	window_settle(w, b);
	assert_int_equal(window_settled_row(w), 0);
	window_settle(w, a);
	assert_int_equal(window_settled_row(w), 11);
	window_settle(w, c);
	assert_int_equal(window_settled_row(w), 15);
}

static void an_alert_without_a_row_holds_its_place(void **state)
{
	_cleanup_(window_freep) struct window *w = window_new(4);
	uint64_t a = window_add(w, 10), none = window_add(w, 0), c = window_add(w, 12);

	(void)state;
	window_settle(w, a);
	window_settle(w, c);
	assert_int_equal(window_settled_row(w), 10);
	window_settle(w, none);
	assert_int_equal(window_settled_row(w), 12);
}

static void it_is_full_until_the_oldest_is_settled(void **state)
{
	_cleanup_(window_freep) struct window *w = window_new(2);
	uint64_t tickets[2];

	(void)state;
	assert_false(window_is_full(w));
	tickets[0] = window_add(w, 1);
	tickets[1] = window_add(w, 2);
	assert_true(window_is_full(w));
	window_settle(w, tickets[1]);
	assert_true(window_is_full(w));
	window_settle(w, tickets[0]);
	assert_false(window_is_full(w));
	assert_int_equal(window_settled_row(w), 2);
}

static void what_is_taken_back_leaves_no_gap(void **state)
{
	_cleanup_(window_freep) struct window *w = window_new(2);
	uint64_t a, b;

	(void)state;
	a = window_add(w, 1);
	(void)window_add(w, 2);
	window_take_back(w);
	b = window_add(w, 2);
	window_settle(w, b);
	window_settle(w, a);
	assert_int_equal(window_settled_row(w), 2);
}

static void it_goes_round_many_times(void **state)
{
	_cleanup_(window_freep) struct window *w = window_new(3);

	(void)state;
	for (uint64_t row = 1; row < 1000; row += 2) {
		uint64_t a = window_add(w, row), b = window_add(w, row + 1);

		window_settle(w, b);
		window_settle(w, a);
		assert_int_equal(window_settled_row(w), row + 1);
	}
}

static void freeing_nothing_is_allowed(void **state)
{
	(void)state;
	window_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_row_counts_only_when_all_before_it_are_settled),
		cmocka_unit_test(an_alert_without_a_row_holds_its_place),
		cmocka_unit_test(it_is_full_until_the_oldest_is_settled),
		cmocka_unit_test(what_is_taken_back_leaves_no_gap),
		cmocka_unit_test(it_goes_round_many_times),
		cmocka_unit_test(freeing_nothing_is_allowed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
