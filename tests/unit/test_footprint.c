/* A trim takes resident memory away and nothing else. */
#include "tests/unit/unit.h"

#include <stdlib.h>

#include "node-agent/footprint.h"
#include "node-agent/selfstats.h"

static int compare(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

static void what_ran_before_still_runs_and_less_is_resident(void **state)
{
	struct selfstats before, after;
	int numbers[] = {3, 1, 2};

	(void)state;
	selfstats_read(&before);
	footprint_trim();
	selfstats_read(&after);
	qsort(numbers, 3, sizeof(numbers[0]), compare);
	assert_int_equal(numbers[0], 1);
	assert_true(before.rss_bytes > 0);
	assert_true(after.rss_bytes < before.rss_bytes);
	assert_true(after.cpu_ns >= before.cpu_ns);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_ran_before_still_runs_and_less_is_resident),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
