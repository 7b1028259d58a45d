/* When the agent is woken: at once for what may have to be acted upon, not for the rest, and in a
 * storm not at all. Other programs of the machine ring as well, and have their reasons. */
#include "tests/bpf/live.h"

#include <arpa/inet.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"

#define REST_NS (50 * NS_PER_MS)

static struct live live;

/* The actor's pace: between two acts the agent has to fall asleep, and nobody tells the actor that it did. */
static void sleep_us(long us)
{
	struct timespec t = {.tv_nsec = us * 1000};

	(void)nanosleep(&t, NULL);
}

static void make_pipe(void)
{
	int fds[2];

	if (pipe(fds) == 0) {
		(void)close(fds[0]);
		(void)close(fds[1]);
	}
}

static int only_pipes(void *arg)
{
	(void)arg;
	for (int i = 0; i < 2000; i++) {
		make_pipe();
		sleep_us(1000);
	}
	return 0;
}

/* Of other programs of the machine: what may wake, of the classes that are wanted here. */
static uint64_t urgent_of_others(void)
{
	const uint64_t *others = live.others;

	return others[EVENT_KIND_EXEC] + others[EVENT_KIND_ESTABLISHED] + others[EVENT_KIND_DUP] +
	       others[EVENT_KIND_PASS];
}

enum slept { UNDISTURBED, WOKEN_BY_OTHERS, WOKEN_FOR_NOTHING };

/* Handles everything and goes to sleep. Who wakes us must have had a reason, which is told at the latest
 * when its record is written. */
static enum slept sleep_for(int ms)
{
	struct pollfd p = {.fd = capture_fd(live.capture), .events = POLLIN};
	uint64_t before, deadline;

	do
		live_pump(&live, 0);
	while (capture_wait_ns(live.capture, 0) == 0);
	before = urgent_of_others();
	if (poll(&p, 1, ms) == 0)
		return UNDISTURBED;
	deadline = clock_monotonic_ns() + NS_PER_SEC;
	do
		live_pump(&live, 1);
	while (urgent_of_others() == before && clock_monotonic_ns() < deadline);
	return urgent_of_others() == before ? WOKEN_FOR_NOTHING : WOKEN_BY_OTHERS;
}

/* Until a moment in which nobody had a reason, or for long enough while everybody had one: a pipe every
 * millisecond would have been found among their reasons. */
static void what_only_explains_does_not_wake_and_is_not_lost(void **state)
{
	enum slept slept = WOKEN_BY_OTHERS;
	struct actor a;
	size_t from;

	(void)state;
	live_start(&live, NULL, 0);
	live_policy(&live, 1, 1U << NJ_CLASS_DESCRIPTOR, NULL);
	a = live_actor(&live, only_pipes, NULL);
	live_go(&a);
	(void)live_await(&live, EVENT_KIND_PIPE, a.pid);
	for (int i = 0; i < 100 && slept == WOKEN_BY_OTHERS; i++)
		slept = sleep_for(20);
	assert_int_not_equal(slept, WOKEN_FOR_NOTHING);
	from = live.count;
	(void)kill(a.pid, SIGKILL);
	(void)waitpid(a.pid, NULL, 0);
	(void)live_await(&live, EVENT_KIND_EXIT, a.pid);
	if (slept == UNDISTURBED)
		(void)live_expect(&live, EVENT_KIND_PIPE, a.pid, &from);
	live_stop(&live);
}

/* Forks and ends go through the ring that the exec goes through. */
static int forks_then_exec(void *arg)
{
	(void)arg;
	for (int i = 0; i < 10; i++) {
		pid_t pid = fork();

		if (pid == 0)
			_exit(0);
		(void)waitpid(pid, NULL, 0);
	}
	execl("/bin/true", "true", (char *)NULL);
	return 1;
}

/* The kernel's own rule would not wake for a record that stands behind others. */
static void what_may_matter_wakes_also_behind_what_does_not(void **state)
{
	struct pollfd p = {.fd = -1, .events = POLLIN};
	struct actor a;

	(void)state;
	live_start(&live, NULL, 0);
	p.fd = capture_fd(live.capture);
	a = live_actor(&live, forks_then_exec, NULL);
	live_pump(&live, 0);
	(void)capture_wait_ns(live.capture, 0);
	live_go(&a);
	assert_int_equal(poll(&p, 1, LIVE_DEADLINE_MS), 1);
	(void)live_await(&live, EVENT_KIND_EXEC, a.pid);
	assert_int_equal(live_finish(&live, &a), 0);
	live_stop(&live);
}

static int connect_without_end(void *arg)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(9)};

	(void)arg;
	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	for (;;) {
		int fd = socket(AF_INET, SOCK_DGRAM, 0);

		(void)!connect(fd, (struct sockaddr *)&to, sizeof(to));
		(void)close(fd);
	}
	return 0;
}

static int one_exec(void *arg)
{
	(void)arg;
	execl("/bin/true", "true", (char *)NULL);
	return 1;
}

/* While it rests an exec is no reason; it is there when the rest is over, and would have been one otherwise.
 * What else runs on the machine does not fill a quarter of a ring in that time. */
static void an_agent_at_rest_is_not_woken_for_an_exec(void **state)
{
	struct pollfd p = {.fd = -1, .events = POLLIN};
	struct actor a;
	int status;
	size_t from;

	(void)state;
	live_start(&live, NULL, 0);
	p.fd = capture_fd(live.capture);
	a = live_actor(&live, one_exec, NULL);
	live_pump(&live, 0);
	from = live.count;
	assert_int_equal(capture_wait_ns(live.capture, REST_NS), REST_NS);
	while (poll(&p, 1, 0) > 0) { /* what rang before */
		live_pump(&live, 0);
		(void)capture_wait_ns(live.capture, REST_NS);
	}
	live_go(&a);
	assert_int_equal(waitpid(a.pid, &status, 0), a.pid);
	assert_int_equal(status, 0);
	assert_int_equal(poll(&p, 1, 0), 0);
	(void)capture_wait_ns(live.capture, 0);
	live_pump(&live, 0);
	(void)live_expect(&live, EVENT_KIND_EXEC, a.pid, &from);
	live_stop(&live);
}

static void a_ring_that_fills_ends_the_rest(void **state)
{
	struct pollfd p = {.fd = -1, .events = POLLIN};
	struct actor a;

	(void)state;
	live_start(&live, NULL, 0);
	p.fd = capture_fd(live.capture);
	a = live_actor(&live, connect_without_end, NULL);
	live_pump(&live, 0);
	(void)capture_wait_ns(live.capture, REST_NS);
	live_go(&a);
	assert_int_equal(poll(&p, 1, LIVE_DEADLINE_MS), 1);
	(void)live_await(&live, EVENT_KIND_CONNECT, a.pid);
	(void)kill(a.pid, SIGKILL);
	(void)waitpid(a.pid, NULL, 0);
	assert_false(live.gap);
	live_stop(&live);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_only_explains_does_not_wake_and_is_not_lost),
		cmocka_unit_test(what_may_matter_wakes_also_behind_what_does_not),
		cmocka_unit_test(an_agent_at_rest_is_not_woken_for_an_exec),
		cmocka_unit_test(a_ring_that_fills_ends_the_rest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
