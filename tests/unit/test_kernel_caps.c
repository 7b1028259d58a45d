/* What a kernel says of itself, and what is known to be in the way then. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <stdio.h>

#include "node-agent/kernel_caps.h"

static const char *obstacle_of(const char *release, const char *lockdown)
{
	static char text[160];

	memset(text, 'x', sizeof(text) - 1);
	kernel_caps_obstacle(release, lockdown, text);
	return text;
}

static void what_says_nothing_has_no_obstacle(void **state)
{
	(void)state;
	assert_string_equal(obstacle_of("", ""), "");
	assert_string_equal(obstacle_of("linux", "confidentiality"), "");
	assert_string_equal(obstacle_of("6", "none [integrity"), "");
}

static void kernels_before_5_15_are_too_old(void **state)
{
	(void)state;
	assert_string_equal(obstacle_of("5.14.21-default", ""), "kernel 5.14.21-default is older than 5.15");
	assert_string_equal(obstacle_of("4.19.0-26-amd64", ""), "kernel 4.19.0-26-amd64 is older than 5.15");
	assert_string_equal(obstacle_of("5.15.0", ""), "");
	assert_string_equal(obstacle_of("6.1.0-1-cloud-amd64", ""), "");
	assert_string_equal(obstacle_of("10.0", ""), "");
}

static void only_the_strict_lockdown_is_in_the_way(void **state)
{
	(void)state;
	assert_string_equal(obstacle_of("6.12.0", "[none] integrity confidentiality\n"), "");
	assert_string_equal(obstacle_of("6.12.0", "none [integrity] confidentiality\n"), "");
	assert_non_null(strstr(obstacle_of("6.12.0", "none integrity [confidentiality]\n"), "locked down"));
}

/* The longest that uname gives. */
static void a_long_release_is_cut(void **state)
{
	char release[65] = "5.4-";

	(void)state;
	memset(release + 4, 'r', sizeof(release) - 5);
	assert_true(strlen(obstacle_of(release, "")) < 80);
	assert_non_null(strstr(obstacle_of(release, ""), "is older than 5.15"));
}

static void a_kernel_without_types_is_told_what_to_do(void **state)
{
	struct kernel_caps caps = {.btf = true};
	struct err e = {0};

	(void)state;
	assert_int_equal(kernel_caps_read("/nonexistent/btf", &caps, &e), -ENOTSUP);
	assert_non_null(strstr(e.text, "has no type information at /nonexistent/btf"));
	assert_non_null(strstr(e.text, "5.15"));
	assert_null(strchr(e.text, '\n'));
	assert_true(caps.btf); /* untouched */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_says_nothing_has_no_obstacle),
		cmocka_unit_test(kernels_before_5_15_are_too_old),
		cmocka_unit_test(only_the_strict_lockdown_is_in_the_way),
		cmocka_unit_test(a_long_release_is_cut),
		cmocka_unit_test(a_kernel_without_types_is_told_what_to_do),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
