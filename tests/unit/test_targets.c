/* Targets of a tree: what each outcome makes of them, and the sums. */
#include "tests/unit/unit.h"

#include "collector/detect/targets.h"

#define SECOND 1000000000ULL
#define WINDOW (60 * SECOND)
#define SHORT  (2 * SECOND)
#define START  (1000 * SECOND)

static const struct targets_options options = {.window_ns = WINDOW,
					       .short_ns = SHORT,
					       .addresses = 20,
					       .ports = 30,
					       .answered_percent = 50,
					       .share_percent = 25};

static struct target *try_at(struct targets *t, uint64_t address, uint16_t port, uint64_t now_ns)
{
	bool evicted;

	return targets_try(t, address, port, address << 16 | port, now_ns, &evicted);
}

static void a_socket_that_is_unknown_has_no_target(void **state)
{
	struct targets t = {0};

	(void)state;
	assert_null(targets_of_socket(&t, 5));
	(void)try_at(&t, 1, 22, START);
	assert_null(targets_of_socket(&t, 5));
	assert_ptr_equal(targets_of_socket(&t, 1 << 16 | 22), &t.list[0]);
}

static void the_oldest_target_makes_room_and_says_so(void **state)
{
	struct targets t = {0};
	bool evicted;

	(void)state;
	for (uint64_t i = 0; i < TARGETS_MAX; i++) {
		(void)targets_try(&t, i, 22, i, START, &evicted);
		assert_false(evicted);
	}
	(void)targets_try(&t, 7, 22, 7, START, &evicted);
	assert_false(evicted);
	(void)targets_try(&t, TARGETS_MAX, 22, TARGETS_MAX, START, &evicted);
	assert_true(evicted);
	assert_null(targets_of_socket(&t, 0));
	assert_non_null(targets_of_socket(&t, 1));
	assert_int_equal(t.count, TARGETS_MAX);
}

static void a_failure_comes_to_count_once(void **state)
{
	struct targets t = {0};
	struct target *x = try_at(&t, 1, 22, START);

	(void)state;
	assert_true(target_closed(x, START + 1, SHORT));
	x = try_at(&t, 1, 22, START + 2);
	assert_false(target_closed(x, START + 3, SHORT));
	assert_int_equal(targets_on_port(&t, x, WINDOW).failed, 1);
}

static void an_answer_that_is_left_at_once_counts_unless_it_is_ordinary(void **state)
{
	struct targets t = {0};
	struct target *x = try_at(&t, 1, 22, START), *y = try_at(&t, 2, 22, START);

	(void)state;
	y->ordinary = true;
	target_answered(x, START);
	target_answered(y, START);
	assert_true(target_closed(x, START + SHORT, SHORT));
	assert_false(target_closed(y, START + SHORT, SHORT));
	assert_int_equal(targets_on_port(&t, x, WINDOW).tried, 2);
	assert_int_equal(targets_on_port(&t, x, WINDOW).left, 1);
}

static void a_connection_that_was_used_does_not_count(void **state)
{
	struct targets t = {0};
	struct target *x = try_at(&t, 1, 22, START);

	(void)state;
	target_answered(x, START);
	assert_false(target_closed(x, START + SHORT + 1, SHORT));
	/* Nor does what comes of it later. */
	x = try_at(&t, 1, 22, START + 10 * SECOND);
	assert_false(target_closed(x, START + 11 * SECOND, SHORT));
	assert_int_equal(targets_on_port(&t, x, WINDOW).failed, 0);
	assert_int_equal(targets_on_port(&t, x, WINDOW).tried, 1);
}

static void a_second_connection_beside_an_open_one_decides_nothing(void **state)
{
	struct targets t = {0};
	bool evicted;
	struct target *x = targets_try(&t, 1, 22, 100, START, &evicted);

	(void)state;
	target_answered(x, START);
	(void)targets_try(&t, 1, 22, 101, START + 1, &evicted);
	assert_null(targets_of_socket(&t, 101));
	assert_ptr_equal(targets_of_socket(&t, 100), x);
}

static void silence_fails_after_a_while_and_an_answer_mends_it(void **state)
{
	struct targets t = {0};
	struct target *x = try_at(&t, 1, 22, START);

	(void)state;
	assert_int_equal(targets_age(&t, START + SHORT - 1, SHORT), 0);
	assert_int_equal(targets_age(&t, START + SHORT, SHORT), 1);
	assert_int_equal(targets_age(&t, START + SHORT + 1, SHORT), 0);
	assert_int_equal(targets_on_port(&t, x, WINDOW).failed, 1);
	target_answered(x, START + 3 * SECOND);
	assert_int_equal(targets_on_port(&t, x, WINDOW).failed, 0);
}

static void what_is_older_than_the_window_is_left_out(void **state)
{
	struct targets t = {0};
	struct target *x, *y;

	(void)state;
	x = try_at(&t, 1, 22, START);
	(void)target_closed(x, START, SHORT);
	y = try_at(&t, 2, 22, START + WINDOW);
	assert_int_equal(targets_on_port(&t, y, WINDOW).failed, 1);
	y = try_at(&t, 2, 22, START + WINDOW + 1);
	assert_int_equal(targets_on_port(&t, y, WINDOW).failed, 0);
	assert_int_equal(targets_on_port(&t, y, WINDOW).tried, 1);
	/* A clock that begins within the window. */
	y->seen_ns = 5;
	assert_int_equal(targets_on_port(&t, y, WINDOW).tried, 2);
}

static void ports_and_addresses_are_summed_apart(void **state)
{
	struct targets t = {0};
	struct target *x = NULL;

	(void)state;
	for (uint16_t i = 0; i < 6; i++) {
		x = try_at(&t, 1, (uint16_t)(80 + i), START);
		(void)target_closed(x, START, SHORT);
	}
	for (uint64_t i = 2; i < 5; i++)
		(void)target_closed(try_at(&t, i, 85, START), START, SHORT);
	assert_int_equal(targets_at_address(&t, x, WINDOW).failed, 6);
	assert_int_equal(targets_on_port(&t, x, WINDOW).failed, 4);
}

static void thresholds_are_met_at_their_value(void **state)
{
	static const struct {
		struct targets_extent n;
		bool sweep, port_scan;
	} cases[] = {
		{{.tried = 19, .failed = 19}, false, false},
		{{.tried = 20, .failed = 20}, true, false},
		{{.tried = 80, .failed = 20}, true, false},
		{{.tried = 81, .failed = 20}, false, false},
		{{.tried = 39, .left = 39}, false, false},
		{{.tried = 40, .left = 40}, true, false},
		{{.tried = 29, .failed = 10, .left = 19}, false, false},
		{{.tried = 30, .failed = 10, .left = 20}, true, false},
		{{.tried = 29, .failed = 29}, true, false},
		{{.tried = 30, .failed = 30}, true, true},
		{{.tried = 120, .failed = 30}, true, true},
		{{.tried = 121, .failed = 30}, false, false},
		{{.tried = 60, .left = 60}, true, false},
		{{.tried = 0}, false, false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(targets_is_sweep(&cases[i].n, &options), cases[i].sweep);
		assert_int_equal(targets_is_port_scan(&cases[i].n, &options), cases[i].port_scan);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_socket_that_is_unknown_has_no_target),
		cmocka_unit_test(the_oldest_target_makes_room_and_says_so),
		cmocka_unit_test(a_failure_comes_to_count_once),
		cmocka_unit_test(an_answer_that_is_left_at_once_counts_unless_it_is_ordinary),
		cmocka_unit_test(a_connection_that_was_used_does_not_count),
		cmocka_unit_test(a_second_connection_beside_an_open_one_decides_nothing),
		cmocka_unit_test(silence_fails_after_a_while_and_an_answer_mends_it),
		cmocka_unit_test(what_is_older_than_the_window_is_left_out),
		cmocka_unit_test(ports_and_addresses_are_summed_apart),
		cmocka_unit_test(thresholds_are_met_at_their_value),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
