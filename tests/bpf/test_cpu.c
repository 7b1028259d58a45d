/* Who uses the CPUs: processes in containers, and those of the host where asked for. */
#include "tests/bpf/live.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/bpf/group.h"
#include "common/clock.h"

#define POD_ID	"8c1f1f1e-3f0a-4d2b-9c57-0d6f0d4c2a12"
#define FULL_ID "00000000000000000000000000000000000000000000000000000000000000bb"

static struct live live;
static char pods[128], pod[256], leaf[384];

/* Uses that much of the CPUs, however long it takes. */
static void spin(uint64_t ns)
{
	uint64_t end = clock_read_ns(CLOCK_THREAD_CPUTIME_ID) + ns;

	while (clock_read_ns(CLOCK_THREAD_CPUTIME_ID) < end)
		;
}

static void *spin_thread(void *arg)
{
	spin(*(uint64_t *)arg);
	return NULL;
}

/* In a thread that ends, then by itself. */
static int spin_in_threads(void *arg)
{
	uint64_t ns = 600 * NS_PER_MS;
	pthread_t thread;

	(void)arg;
	if (pthread_create(&thread, NULL, spin_thread, &ns) != 0 || pthread_join(thread, NULL) != 0)
		return 1;
	spin(ns);
	return 0;
}

/* Busy while a child of it does nothing. */
static int spin_and_rest(void *arg)
{
	pid_t pid = fork();

	if (pid == 0)
		for (;;)
			(void)pause();
	if (spin_in_threads(arg))
		return 1;
	(void)kill(pid, SIGKILL);
	return waitpid(pid, NULL, 0) != pid;
}

static uint64_t used_by(pid_t pid)
{
	const struct seen *s;
	uint64_t used = 0;
	size_t from = 0;

	while ((s = live_find(&live, EVENT_KIND_CPU, pid, &from)) != NULL) {
		assert_int_equal(s->detail.arg_count, 2);
		assert_true(s->detail.args[1] >= 200 * NS_PER_MS);
		assert_true(s->detail.args[0] >= s->detail.args[1] / 100 * 10);
		used += s->detail.args[0];
	}
	return used;
}

static void a_busy_process_is_told_with_its_threads_and_an_idle_one_is_not(void **state)
{
	const struct seen *fork;
	pid_t pid;

	(void)state;
	live_start_sampling(&live, true);
	pid = live_run(&live, spin_and_rest, NULL);
	fork = live_expect(&live, EVENT_KIND_FORK, pid, NULL);
	/* What it used before the first and after the last look is not told. */
	assert_in_range(used_by(pid), 400 * NS_PER_MS, 1300 * NS_PER_MS);
	assert_null(live_find(&live, EVENT_KIND_CPU, (pid_t)fork->child_pid, NULL));
	live_stop(&live);
}

static void one_of_the_host_is_not_told_unless_asked_for(void **state)
{
	pid_t pid;

	(void)state;
	live_start_sampling(&live, false);
	pid = live_run(&live, spin_in_threads, NULL);
	if (!live_find(&live, EVENT_KIND_EXIT, pid, NULL)->container_id[0])
		assert_null(live_find(&live, EVENT_KIND_CPU, pid, NULL));
	live_stop(&live);
}

static int spin_in_a_container(void *arg)
{
	pid_t child;

	(void)arg;
	if (group_enter(leaf) < 0)
		return 1;
	/* Whose process was there before the container does not belong to it: a child does. */
	child = fork();
	if (child == 0)
		_exit(spin_in_threads(NULL));
	return waitpid(child, NULL, 0) != child;
}

static void make_names(void)
{
	(void)snprintf(pods, sizeof(pods), "%s/nj%d-kubepods", group_root(), (int)getpid());
	(void)snprintf(pod, sizeof(pod), "%s/pod" POD_ID, pods);
	(void)snprintf(leaf, sizeof(leaf), "%s/" FULL_ID, pod);
}

static void one_in_a_container_is_told(void **state)
{
	const struct seen *s;

	(void)state;
	make_names();
	live_start_sampling(&live, false);
	if (mkdir(pods, 0755) < 0) {
		live_stop(&live);
		skip();
	}
	assert_int_equal(mkdir(pod, 0755), 0);
	assert_int_equal(mkdir(leaf, 0755), 0);
	(void)live_run(&live, spin_in_a_container, NULL);
	(void)rmdir(leaf);
	(void)rmdir(pod);
	(void)rmdir(pods);
	s = live_expect(&live, EVENT_KIND_CPU, 0, NULL);
	assert_string_equal(s->container_id, FULL_ID);
	live_stop(&live);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_busy_process_is_told_with_its_threads_and_an_idle_one_is_not),
		cmocka_unit_test(one_of_the_host_is_not_told_unless_asked_for),
		cmocka_unit_test(one_in_a_container_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
