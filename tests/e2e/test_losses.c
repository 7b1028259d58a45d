/* What the kernel's rings could not hold is told where people look: a flood that small rings cannot
 * take, and the alert about them at the collector. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"
#include "tests/e2e/pair.h"
#include "tests/e2e/recorded.h"

#define FORK_OFF 1000 /* copies between two forks */
#define FD_FIRST 100 /* descriptors that a flooder takes in turn */
#define FDS	 800
#define FLOODERS 2
#define TOLD_NS	 (2 * NS_PER_SEC) /* from the loss to its alert */

struct test {
	struct pair *pair;
	pid_t flooders[FLOODERS];
};

static int set_up(void **state)
{
	struct test *t = calloc(1, sizeof(*t));
	struct err e = {0};

	*state = t;
	if (!t || harness_skip_reason()[0])
		return t ? 0 : -1;
	if (pair_new(&t->pair, &e) == 0)
		return 0;
	fprintf(stderr, "%s\n", e.text);
	return -1;
}

static void end_flooders(struct test *t)
{
	for (int i = 0; i < FLOODERS; i++) {
		if (t->flooders[i] <= 0)
			continue;
		(void)kill(t->flooders[i], SIGKILL);
		(void)waitpid(t->flooders[i], NULL, 0);
		t->flooders[i] = 0;
	}
}

static int tear_down(void **state)
{
	struct test *t = *state;
	bool spoke = t->pair && pair_sanitizer_spoke(t->pair);

	end_flooders(t);
	pair_free(t->pair);
	free(t);
	return spoke ? -1 : 0;
}

static void start(struct test *t)
{
	static const char *const small[] = {"--capture-ring-bytes=1MiB", NULL};
	struct err e = {0};

	if (pair_start_collector(t->pair, &e) < 0 || pair_start_agent(t->pair, small, &e) < 0)
		fail_msg("%s", e.text);
	assert_true(pair_await(t->pair, PAIR_AGENT, ": ready "));
}

/* Copies of a pipe's end, which are always told one by one, each to the next descriptor: what is missing can
 * be seen. Processes are born and end in between. */
static void flood(void)
{
	int fds[2];

	if (pipe(fds) < 0)
		return;
	for (unsigned int i = 0;; i++) {
		pid_t pid = i % FORK_OFF == 0 ? fork() : -1;

		if (pid == 0)
			_exit(0);
		if (pid > 0)
			(void)waitpid(pid, NULL, 0);
		(void)dup2(fds[0], FD_FIRST + (int)(i % FDS));
	}
}

static void start_flooders(struct test *t)
{
	for (int i = 0; i < FLOODERS; i++) {
		t->flooders[i] = fork();
		assert_true(t->flooders[i] >= 0);
		if (t->flooders[i] > 0)
			continue;
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		flood();
		_exit(0);
	}
}

static uint64_t waited_ns(const struct test *t)
{
	return pair_cpu_wait_ns(t->pair, PAIR_AGENT) + pair_cpu_wait_ns(t->pair, PAIR_COLLECTOR);
}

/* The alert's own time, on the wall clock. */
static uint64_t time_of(const json_t *alert)
{
	const char *text = json_string_value(json_object_get(alert, "time"));
	struct tm tm = {0};
	char *rest;
	double fraction;

	assert_non_null(text);
	rest = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);
	assert_non_null(rest);
	fraction = *rest == '.' ? strtod(rest, NULL) : 0;
	return (uint64_t)timegm(&tm) * NS_PER_SEC + (uint64_t)(fraction * (double)NS_PER_SEC);
}

/* Where the first copy is missing in a recording. */
struct gap {
	pid_t flooders[FLOODERS];
	int last_fd[FLOODERS];
	uint64_t last_ns[FLOODERS]; /* of the last copy before */
	uint64_t loss_ns;
};

static void look_for_gap(void *ctx, const struct event *event, uint64_t wall_ns)
{
	struct gap *g = ctx;

	for (int i = 0; i < FLOODERS; i++) {
		int fd = event->endpoint_count ? event->endpoints[0].fd : -1;

		if (event->kind != EVENT_KIND_DUP || event->process->pid != (uint32_t)g->flooders[i])
			continue;
		if (g->last_ns[i] && g->loss_ns == 0 && fd - FD_FIRST != (g->last_fd[i] - FD_FIRST + 1) % FDS)
			g->loss_ns = g->last_ns[i];
		g->last_fd[i] = fd;
		g->last_ns[i] = wall_ns;
	}
}

/* By the times that the records themselves carry: from the last copy before the first that is missing to the
 * alert. Two seconds are promised to a node whose programs get a CPU when they want one; for how long they
 * did not here, which says something about this machine only, is added. */
static void a_loss_is_an_alert_within_two_seconds_and_process_life_is_whole(void **state)
{
	struct test *t = *state;
	struct recorded recorded;
	struct gap gap = {0};
	uint64_t waited, told;
	struct err e = {0};
	json_t *alert;

	if (!t->pair) {
		printf("SKIP %s\n", harness_skip_reason());
		skip();
	}
	start(t);
	assert_int_equal(pair_count_alerts(t->pair, NULL, "events_lost"), 0);
	waited = waited_ns(t);
	start_flooders(t);
	memcpy(gap.flooders, t->flooders, sizeof(gap.flooders));
	assert_true(pair_await_alert(t->pair, NULL, "events_lost"));
	waited = waited_ns(t) - waited;
	end_flooders(t);
	alert = pair_alert(t->pair, "events_lost");
	told = time_of(alert);
	json_decref(alert);
	assert_int_equal(pair_stop(t->pair, PAIR_AGENT), 0);
	assert_int_equal(pair_stop(t->pair, PAIR_COLLECTOR), 0);
	if (recorded_walk(pair_recording(t->pair), look_for_gap, &gap, &recorded, &e) < 0)
		fail_msg("%s", e.text);
	assert_true(gap.loss_ns > 0 && told > gap.loss_ns);
	printf("told %llu ms after the first loss; the two programs waited %llu ms for a CPU\n",
	       (unsigned long long)((told - gap.loss_ns) / NS_PER_MS), (unsigned long long)(waited / NS_PER_MS));
	assert_true(told - gap.loss_ns <= TOLD_NS + waited);
	assert_true(recorded.lost > 100);
	assert_int_equal(recorded.lost_life, 0);
	assert_int_equal(recorded.gaps, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_loss_is_an_alert_within_two_seconds_and_process_life_is_whole, set_up,
						tear_down),
	};

	return cmocka_run_group_tests_name("losses", tests, NULL, NULL);
}
