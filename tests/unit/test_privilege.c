/* What is left of root after privilege_drop: looked at in a child, for it cannot be undone. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/ptrace.h>
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

static void *mark(void *flag)
{
	*(bool *)flag = true;
	return NULL;
}

static bool is_refused(long result)
{
	return result < 0 && errno == EPERM;
}

/* Exit status of a child that drops and then tries what it never needs, and what it does. */
static int try_all(void)
{
	static char *const argv[] = {(char *)"true", NULL};
	bool ran = false;
	struct err e = {0};
	pthread_t thread;

	if (privilege_drop(&e) < 0)
		return 1;
	if (!is_refused(execv("/bin/true", argv)))
		return 2;
	if (!is_refused(fork()))
		return 3;
	if (!is_refused(unshare(CLONE_NEWNS)))
		return 4;
	if (!is_refused(ptrace(PTRACE_TRACEME, 0, NULL, NULL)))
		return 5;
	if (!is_refused(setuid(1)))
		return 6;
	if (pthread_create(&thread, NULL, mark, &ran) != 0 || pthread_join(thread, NULL) != 0 || !ran)
		return 7;
	return open("/proc/self/status", O_RDONLY | O_CLOEXEC) < 0 ? 8 : 0;
}

static void run_in_child(int (*body)(void))
{
	pid_t pid = fork();
	int status;

	if (pid == 0)
		_exit(body());
	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void only_what_capture_needs_is_left_and_nothing_comes_back(void **state)
{
	(void)state;
	run_in_child(look);
}

static void what_the_agent_never_does_is_refused_and_threads_still_start(void **state)
{
	(void)state;
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
	printf("SKIP sanitizers need what is refused: a process that looks for leaks, threads after a fork\n");
	skip();
#endif
	run_in_child(try_all);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_what_capture_needs_is_left_and_nothing_comes_back),
		cmocka_unit_test(what_the_agent_never_does_is_refused_and_threads_still_start),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
