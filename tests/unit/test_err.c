/* The sentence that goes with an error: cut, prefixed, absent. */
#include "tests/unit/unit.h"

#include <errno.h>

#include "common/err.h"

static void without_a_holder_the_code_still_comes_back(void **state)
{
	(void)state;
	assert_int_equal(err_set(NULL, -EINVAL, "cannot read '%s'", "x"), -EINVAL);
	assert_int_equal(err_prefix(NULL, -EINVAL, "%s", "x"), -EINVAL);
}

static void a_sentence_too_long_is_cut_and_terminated(void **state)
{
	char longer[2 * sizeof(((struct err *)0)->text)];
	struct err e = {0};

	(void)state;
	memset(longer, 'a', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	assert_int_equal(err_set(&e, -E2BIG, "%s", longer), -E2BIG);
	assert_int_equal(strlen(e.text), sizeof(e.text) - 1);
	assert_int_equal(err_prefix(&e, -E2BIG, "%s", longer), -E2BIG);
	assert_int_equal(strlen(e.text), sizeof(e.text) - 1);
}

static void a_prefix_goes_before_the_sentence(void **state)
{
	struct err e = {0};

	(void)state;
	(void)err_set(&e, -ENOENT, "no such file");
	assert_int_equal(err_prefix(&e, -ENOENT, "%s:%d", "a.yaml", 3), -ENOENT);
	assert_string_equal(e.text, "a.yaml:3: no such file");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_a_holder_the_code_still_comes_back),
		cmocka_unit_test(a_sentence_too_long_is_cut_and_terminated),
		cmocka_unit_test(a_prefix_goes_before_the_sentence),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
