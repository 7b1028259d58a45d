/* What /proc tells, of this very process and of folders that are none. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "node-agent/procfs.h"

static void a_process_that_is_gone_is_an_error(void **state)
{
	struct procfs_image image = {0};

	(void)state;
	assert_true(procfs_read_areas("/proc", 0x7fffffff, &image) < 0);
	assert_true(procfs_read_areas("/nonexistent", 1, &image) < 0);
	assert_true(procfs_read_image("/proc", 0x7fffffff, &image) < 0);
}

static void areas_are_those_of_the_whole_image(void **state)
{
	static struct procfs_image whole, areas;
	uint32_t pid = (uint32_t)getpid();

	(void)state;
	assert_int_equal(procfs_read_image("/proc", pid, &whole), 0);
	assert_int_equal(procfs_read_areas("/proc", pid, &areas), 0);
	assert_int_equal(areas.start_ticks, whole.start_ticks);
	assert_int_equal(areas.args_len, whole.args_len);
	assert_true(areas.args_len > 0);
	assert_memory_equal(areas.args, whole.args, whole.args_len);
	assert_int_equal(areas.env_len, whole.env_len);
	assert_memory_equal(areas.env, whole.env, whole.env_len);
	assert_int_equal(areas.truncated, whole.truncated);
	assert_string_equal(areas.exe_path, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_process_that_is_gone_is_an_error),
		cmocka_unit_test(areas_are_those_of_the_whole_image),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
