/* A kernel that refuses one of the programs: its class says so, everything else works. */
#include "tests/bpf/live.h"

#include <stdio.h>
#include <unistd.h>

static struct live live;

static int one_exec(void *arg)
{
	(void)arg;
	execl("/bin/true", "true", "seen", (char *)NULL);
	return 1;
}

static const struct capture_coverage *row_of(const char *class)
{
	const struct capture_coverage *rows;
	uint32_t count = capture_coverages(live.capture, &rows);

	for (uint32_t i = 0; i < count; i++)
		if (strcmp(rows[i].class, class) == 0)
			return &rows[i];
	fail_msg("no class %s", class);
	return NULL;
}

static void assert_state(const char *class, const char *state, const char *reason)
{
	const struct capture_coverage *row = row_of(class);

	assert_string_equal(row->state, state);
	assert_non_null(strstr(row->reason, reason));
}

static void a_class_without_its_only_program_is_missing_and_says_why(void **state)
{
	const struct seen *s;
	pid_t pid;

	(void)state;
	live_start_refusing(&live, "tcp_state");
	assert_state("tcp", "missing", "tcp_state refused: ");
	assert_state("process", "full", "");
	assert_state("file", "full", "");
	pid = live_run(&live, one_exec, NULL);
	s = live_expect(&live, EVENT_KIND_EXEC, pid, NULL);
	assert_string_equal(s->args, "true seen");
	live_stop(&live);
}

static void four_classes_hang_on_the_exit_of_system_calls(void **state)
{
	static const char *const classes[] = {"file", "descriptor", "socket", "privilege"};

	(void)state;
	live_start_refusing(&live, "syscall_exit");
	for (size_t i = 0; i < 4; i++)
		assert_state(classes[i], "missing", "syscall_exit refused: ");
	assert_state("tcp", "full", "");
	live_stop(&live);
}

/* Who was born unseen is named by the exec's own record. */
static void a_class_without_one_of_its_programs_is_degraded(void **state)
{
	const struct seen *s;
	pid_t pid;

	(void)state;
	live_start_refusing(&live, "process_fork");
	assert_state("process", "degraded", "process_fork refused: ");
	pid = live_run(&live, one_exec, NULL);
	s = live_expect(&live, EVENT_KIND_EXEC, pid, NULL);
	assert_int_equal(s->process.ppid, getpid());
	assert_null(live_find(&live, EVENT_KIND_FORK, 0, NULL));
	live_stop(&live);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_class_without_its_only_program_is_missing_and_says_why),
		cmocka_unit_test(four_classes_hang_on_the_exit_of_system_calls),
		cmocka_unit_test(a_class_without_one_of_its_programs_is_degraded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
