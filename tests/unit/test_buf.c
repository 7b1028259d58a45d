/* The checked buffer: what does not fit sets the error once and changes nothing more. */
#include "tests/unit/unit.h"

#include <errno.h>

#include "common/buf.h"

static void the_first_append_past_the_maximum_sets_the_error_and_later_ones_do_nothing(void **state)
{
	_cleanup_buf_ struct buf b = buf_with_max(8);

	(void)state;
	buf_add(&b, "12345678", 8);
	assert_int_equal(buf_error(&b), 0);
	buf_add_byte(&b, '9');
	assert_int_equal(buf_error(&b), -EMSGSIZE);
	assert_int_equal(b.len, 8);
	buf_truncate(&b, 2);
	assert_int_equal(buf_error(&b), 0);
	buf_add_text(&b, "xy");
	assert_memory_equal(b.data, "12xy", 4);
}

static void a_length_that_wraps_around_is_refused(void **state)
{
	_cleanup_buf_ struct buf b = {0};

	(void)state;
	buf_add_byte(&b, 'a');
	assert_null(buf_extend(&b, SIZE_MAX));
	assert_int_equal(buf_error(&b), -EMSGSIZE);
	assert_int_equal(b.len, 1);
}

static void a_printed_text_that_does_not_fit_leaves_the_rest_alone(void **state)
{
	_cleanup_buf_ struct buf b = buf_with_max(6);

	(void)state;
	buf_printf(&b, "%s", "abc");
	buf_printf(&b, "%s", "defg");
	assert_int_equal(buf_error(&b), -EMSGSIZE);
	assert_int_equal(b.len, 3);
}

static void memory_beyond_the_usual_is_given_back(void **state)
{
	struct buf b = {0};

	(void)state;
	(void)buf_extend(&b, 1000);
	buf_clear_to(&b, 4096);
	assert_true(b.cap >= 1000 && b.len == 0);
	(void)buf_extend(&b, 5000);
	buf_clear_to(&b, 4096);
	assert_null(b.data);
	assert_int_equal(b.cap, 0);
	buf_add_text(&b, "usable");
	assert_string_equal(buf_text(&b), "usable");
	buf_done(&b);
}

static void a_buffer_grows_and_reads_back(void **state)
{
	_cleanup_buf_ struct buf b = {0};

	(void)state;
	for (int i = 0; i < 10000; i++)
		buf_printf(&b, "%d,", i % 10);
	assert_int_equal(buf_error(&b), 0);
	assert_int_equal(b.len, 20000);
	assert_int_equal(strlen(buf_text(&b)), 20000);
	buf_clear(&b);
	assert_string_equal(buf_text(&b), "");
	assert_true(bytes_equal(buf_bytes(&b), bytes_of_text("")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_first_append_past_the_maximum_sets_the_error_and_later_ones_do_nothing),
		cmocka_unit_test(a_length_that_wraps_around_is_refused),
		cmocka_unit_test(a_printed_text_that_does_not_fit_leaves_the_rest_alone),
		cmocka_unit_test(memory_beyond_the_usual_is_given_back),
		cmocka_unit_test(a_buffer_grows_and_reads_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
