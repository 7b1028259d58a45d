/* The agent itself, run twice: what it prints keeps its numbers apart. */
#include "tests/bpf/live.h"

#include <libgen.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define EVENTS 200

struct agent {
	pid_t pid;
	FILE *lines;
};

static struct agent start_agent(void)
{
	char self[PATH_MAX] = "", program[PATH_MAX + 64];
	struct agent a;
	int fds[2];

	assert_true(readlink("/proc/self/exe", self, sizeof(self) - 1) > 0);
	(void)snprintf(program, sizeof(program), "%s/../../bin/nightjar-agent", dirname(self));
	assert_int_equal(pipe(fds), 0);
	a.pid = fork();
	assert_true(a.pid >= 0);
	if (a.pid == 0) {
		(void)dup2(fds[1], STDOUT_FILENO);
		(void)close(fds[0]);
		(void)close(fds[1]);
		(void)alarm(2 * LIVE_DEADLINE_MS / 1000);
		(void)execl(program, program, "--print-events", (char *)NULL);
		_exit(127);
	}
	(void)close(fds[1]);
	a.lines = fdopen(fds[0], "r");
	assert_non_null(a.lines);
	return a;
}

static void stop_agent(struct agent *a)
{
	(void)kill(a->pid, SIGTERM);
	(void)fclose(a->lines);
	assert_int_equal(waitpid(a->pid, NULL, 0), a->pid);
}

/* Programs that start without an end, so that there is something to number. */
static pid_t start_noise(void)
{
	pid_t pid = fork();

	assert_true(pid >= 0);
	while (pid == 0) {
		pid_t child = vfork();

		if (child == 0) {
			(void)execl("/bin/true", "true", (char *)NULL);
			_exit(1);
		}
		(void)waitpid(child, NULL, 0);
	}
	return pid;
}

static uint64_t next_seq(struct agent *a)
{
	static char line[1 << 20];
	const char *at;

	assert_non_null(fgets(line, sizeof(line), a->lines));
	at = strstr(line, "\"seq\":\"");
	assert_non_null(at);
	return strtoull(at + strlen("\"seq\":\""), NULL, 10);
}

/* An alert's id is made of (boot id, seq): the numbers of one boot name one event each. */
static void an_agent_that_was_restarted_never_uses_a_number_again(void **state)
{
	pid_t noise;
	uint64_t last = 0;

	(void)state;
	if (geteuid() != 0) {
		printf("SKIP needs root\n");
		exit(LIVE_SKIP);
	}
	noise = start_noise();
	for (int run = 0; run < 3; run++) {
		struct agent a = start_agent();

		for (int i = 0; i < EVENTS; i++) {
			uint64_t seq = next_seq(&a);

			assert_true(i == 0 ? seq > last : seq == last + 1);
			last = seq;
		}
		stop_agent(&a);
	}
	(void)kill(noise, SIGKILL);
	(void)waitpid(noise, NULL, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_agent_that_was_restarted_never_uses_a_number_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
