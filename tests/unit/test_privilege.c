/* What is left of root after privilege_drop: looked at in a child, for it cannot be undone. */
#include "tests/unit/unit.h"

#include <linux/capability.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "node-agent/privilege.h"

static unsigned long long effective(void)
{
	FILE *f = fopen("/proc/self/status", "r");
	unsigned long long caps = ~0ULL;
	char line[256];

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "CapEff: %llx", &caps) == 1)
			break;
	if (f)
		(void)fclose(f);
	return caps;
}

/* Exit status of a child that drops and looks. */
static int look(void)
{
	const unsigned long long keep = 1ULL << CAP_BPF | 1ULL << CAP_PERFMON | 1ULL << CAP_SYS_PTRACE |
					1ULL << CAP_DAC_READ_SEARCH;
	unsigned long long before = effective();
	struct err e = {0};

	if (privilege_drop(&e) < 0 || privilege_drop(&e) < 0)
		return 1;
	if (effective() != (before & keep))
		return 2;
	if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1)
		return 3;
	return 0;
}

static void only_what_capture_needs_is_left_and_nothing_comes_back(void **state)
{
	pid_t pid = fork();
	int status;

	(void)state;
	if (pid == 0)
		_exit(look());
	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_what_capture_needs_is_left_and_nothing_comes_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
