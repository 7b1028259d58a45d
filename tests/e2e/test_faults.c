/* What fails between an agent and its collector, with the two real programs: the collector killed in
 * the middle of a steady act, the agent killed, a collector that comes late, an uplink that is full.
 * Each time an attack tells whether everything has been repaired: reported, and once. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/version.h"
#include "tests/e2e/pair.h"
#include "tests/e2e/recorded.h"

#define RULE	    "reverse_shell"
#define ATTACKS_MAX 4
#define FULL_STARTS 1000 /* programs started: three events each do not fit into the smallest uplink */

struct attack {
	struct attacker attacker;
	struct run run;
};

struct test {
	struct pair *pair;
	struct attack attacks[ATTACKS_MAX];
	size_t attack_count;
	pid_t steady;
};

static int set_up(void **state)
{
	struct test *t = calloc(1, sizeof(*t));
	struct err e = {0};

	if (!t)
		return -1;
	*state = t;
	if (harness_skip_reason()[0])
		return 0;
	if (pair_new(&t->pair, &e) < 0) {
		fprintf(stderr, "%s\n", e.text);
		return -1;
	}
	return 0;
}

static int tear_down(void **state)
{
	struct test *t = *state;
	bool spoke = t->pair && pair_sanitizer_spoke(t->pair);

	for (size_t i = 0; i < t->attack_count; i++)
		attacker_stop(&t->attacks[i].attacker);
	pair_free(t->pair);
	if (t->steady > 0) {
		(void)kill(t->steady, SIGKILL);
		(void)waitpid(t->steady, NULL, 0);
	}
	for (size_t i = 0; i < t->attack_count; i++)
		run_done(&t->attacks[i].run, 0);
	free(t);
	return spoke ? -1 : 0;
}

static struct test *begin(void **state)
{
	struct test *t = *state;

	if (!t->pair) {
		printf("SKIP %s\n", harness_skip_reason());
		skip();
	}
	return t;
}

/* ---- what a test does ---- */

static void start_collector(struct test *t)
{
	struct err e = {0};

	if (pair_start_collector(t->pair, &e) < 0)
		fail_msg("%s", e.text);
}

static void start_agent(struct test *t, const char *const *words)
{
	struct err e = {0};

	if (pair_start_agent(t->pair, words, &e) < 0)
		fail_msg("%s", e.text);
}

static void start_both(struct test *t)
{
	start_collector(t);
	start_agent(t, NULL);
	assert_true(pair_await(t->pair, PAIR_AGENT, ": ready "));
}

/* A shell that answers, and stays open until the test is over. */
static struct run *attack(struct test *t)
{
	static const char *const argv[] = {"shell_dup2", NULL};
	struct attack *a = &t->attacks[t->attack_count++];

	assert_true(t->attack_count <= ATTACKS_MAX);
	a->run = (struct run){.leader = -1};
	assert_int_equal(attacker_start(ATTACKER_SHELL, &a->attacker), 0);
	assert_int_equal(run_start(argv, a->attacker.port, &a->run), 0);
	assert_true(attacker_got_shell(&a->attacker, HARNESS_SHELL_MS));
	return &a->run;
}

static void await_alert(struct test *t, const struct run *run)
{
	if (!pair_await_alert(t->pair, run, RULE))
		fail_msg("no %s about session %d, port %u", RULE, run->leader, run->port);
}

/* Judged in order: with the alert of a later attack, everything about the earlier ones is written. */
static void assert_each_reported_once(struct test *t)
{
	await_alert(t, attack(t));
	for (size_t i = 0; i < t->attack_count; i++)
		assert_int_equal(pair_count_alerts(t->pair, &t->attacks[i].run, RULE), 1);
}

static void start_program(void)
{
	pid_t pid = fork();

	if (pid == 0) {
		execl("/bin/true", "true", NULL);
		_exit(127);
	}
	if (pid > 0)
		(void)waitpid(pid, NULL, 0);
}

/* Programs started one after the other until it is killed. */
static void begin_steady_act(struct test *t)
{
	t->steady = fork();
	assert_true(t->steady >= 0);
	if (t->steady > 0)
		return;
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (;;)
		start_program();
}

static void end_steady_act(struct test *t)
{
	(void)kill(t->steady, SIGKILL);
	(void)waitpid(t->steady, NULL, 0);
	t->steady = 0;
}

static uint64_t metric(struct test *t, const char *name)
{
	uint64_t value = 0;

	assert_int_equal(pair_metric(t->pair, name, &value), 0);
	return value;
}

/* Both end well, and what is recorded since the collector's last start is whole but for its losses. */
static struct recorded stop_both(struct test *t)
{
	struct recorded recorded = {0};
	struct err e = {0};

	assert_int_equal(pair_stop(t->pair, PAIR_AGENT), 0);
	assert_int_equal(pair_stop(t->pair, PAIR_COLLECTOR), 0);
	if (recorded_read(pair_recording(t->pair), NULL, 0, &recorded, &e) < 0)
		fail_msg("%s", e.text);
	assert_true(recorded.events > 0);
	return recorded;
}

/* ---- tests ---- */

static void collector_killed_in_a_steady_act_loses_nothing(void **state)
{
	struct test *t = begin(state);
	struct recorded recorded;

	start_both(t);
	begin_steady_act(t);
	await_alert(t, attack(t));
	pair_kill(t->pair, PAIR_COLLECTOR);
	assert_true(pair_await(t->pair, PAIR_AGENT, "no connection to the collector"));
	(void)attack(t); /* nobody is there to report it */
	start_collector(t);
	assert_true(pair_await(t->pair, PAIR_AGENT, "connected to"));
	await_alert(t, &t->attacks[1].run);
	end_steady_act(t);
	assert_each_reported_once(t);
	assert_int_equal(metric(t, "nightjar_intake_batches_missing_total"), 0);
	recorded = stop_both(t);
	assert_int_equal(recorded.lost, 0);
	assert_int_equal(recorded.gaps, 0);
}

static void agent_killed_and_started_again_knows_what_runs(void **state)
{
	struct test *t = begin(state);

	start_both(t);
	await_alert(t, attack(t));
	pair_kill(t->pair, PAIR_AGENT);
	(void)attack(t); /* nobody saw this shell come */
	start_agent(t, NULL);
	assert_true(pair_await(t->pair, PAIR_AGENT, ": ready "));
	await_alert(t, &t->attacks[1].run);
	assert_each_reported_once(t);
	(void)stop_both(t);
}

static void shell_opened_before_the_first_agent_is_reported(void **state)
{
	struct test *t = begin(state);

	(void)attack(t);
	start_both(t);
	await_alert(t, &t->attacks[0].run);
	assert_each_reported_once(t);
	(void)stop_both(t);
}

static void collector_that_comes_late_gets_what_has_waited(void **state)
{
	struct test *t = begin(state);
	struct recorded recorded;

	/* Once, for a port that is there again later. */
	start_collector(t);
	assert_int_equal(pair_stop(t->pair, PAIR_COLLECTOR), 0);
	start_agent(t, NULL);
	assert_true(pair_await(t->pair, PAIR_AGENT, "capture is live"));
	assert_true(pair_await(t->pair, PAIR_AGENT, "no connection to the collector"));
	(void)attack(t);
	start_collector(t);
	await_alert(t, &t->attacks[0].run);
	assert_each_reported_once(t);
	recorded = stop_both(t);
	assert_int_equal(recorded.lost, 0);
	assert_int_equal(recorded.gaps, 0);
}

static void full_uplink_is_counted_and_reported(void **state)
{
	static const char *const small[] = {"--uplink-memory=64KiB", NULL};
	struct test *t = begin(state);
	struct recorded recorded;

	start_collector(t);
	start_agent(t, small);
	assert_true(pair_await(t->pair, PAIR_AGENT, ": ready "));
	await_alert(t, attack(t));
	pair_kill(t->pair, PAIR_COLLECTOR);
	assert_true(pair_await(t->pair, PAIR_AGENT, "no connection to the collector"));
	for (int i = 0; i < FULL_STARTS; i++)
		start_program();
	start_collector(t);
	assert_each_reported_once(t);
	assert_true(metric(t, "nightjar_agent_events_lost_total") > FULL_STARTS);
	assert_true(metric(t, "nightjar_intake_batches_missing_total") > 0);
	recorded = stop_both(t);
	/* Never less than what is not there; more only by what was on its way when the collector died. */
	assert_true(recorded.gaps > FULL_STARTS);
	assert_in_range(recorded.lost, recorded.gaps, recorded.gaps + recorded.gaps / 2);
}

/* The agent stands still while more happens than its rings hold. */
static void events_that_found_no_room_are_an_alert(void **state)
{
	static const char *const small[] = {"--capture-ring-bytes=64KiB", NULL};
	struct test *t = begin(state);
	struct recorded recorded;
	uint64_t woken_ns;

	start_collector(t);
	start_agent(t, small);
	assert_true(pair_await(t->pair, PAIR_AGENT, ": ready "));
	await_alert(t, attack(t));
	assert_int_equal(pair_count_alerts(t->pair, NULL, "events_lost"), 0);
	assert_int_equal(pair_signal(t->pair, PAIR_AGENT, SIGSTOP), 0);
	for (int i = 0; i < FULL_STARTS; i++)
		start_program();
	woken_ns = clock_monotonic_ns();
	assert_int_equal(pair_signal(t->pair, PAIR_AGENT, SIGCONT), 0);
	if (!pair_await_alert(t->pair, NULL, "events_lost"))
		fail_msg("no alert about lost events");
	printf("reported %llu ms after the agent went on\n",
	       (unsigned long long)((clock_monotonic_ns() - woken_ns) / NS_PER_MS));
	assert_each_reported_once(t); /* of the attack before, and of one after */
	assert_true(metric(t, "nightjar_agent_events_lost_total") > 100);
	recorded = stop_both(t);
	assert_true(recorded.lost > 100);
	assert_int_equal(recorded.gaps, 0);
}

static void busy_agent_tells_what_it_is_and_costs(void **state)
{
	struct test *t = begin(state);
	struct utsname kernel;
	json_t *node;

	assert_int_equal(uname(&kernel), 0);
	start_both(t);
	begin_steady_act(t);
	await_alert(t, attack(t));
	node = pair_node(t->pair);
	assert_non_null(node);
	assert_string_equal(json_string_value(json_object_get(node, "kernel")), kernel.release);
	assert_string_equal(json_string_value(json_object_get(node, "agent_version")), NIGHTJAR_VERSION);
	assert_true(json_array_size(json_object_get(node, "coverage")) >= 3);
	assert_non_null(json_object_get(node, "agent_rss_bytes"));
	assert_non_null(json_object_get(node, "agent_cpu_ns"));
	json_decref(node);
	end_steady_act(t);
	(void)stop_both(t);
}

static void write_config(const struct test *t, char ret_word[static 160], const char *text)
{
	_cleanup_(fclosep) FILE *f = NULL;

	snprintf(ret_word, 160, "--config=%s/agent.yaml", pair_dir(t->pair));
	f = fopen(ret_word + strlen("--config="), "we");
	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
}

static void hangup_applies_what_is_reloadable(void **state)
{
	struct test *t = begin(state);
	char config[160];
	const char *const words[] = {config, NULL};

	write_config(t, config, "log:\n  level: info\n");
	start_collector(t);
	start_agent(t, words);
	assert_true(pair_await(t->pair, PAIR_AGENT, ": ready "));
	write_config(t, config, "log:\n  level: loud\n");
	assert_int_equal(pair_signal(t->pair, PAIR_AGENT, SIGHUP), 0);
	assert_true(pair_await(t->pair, PAIR_AGENT, "cannot reload, everything stays as it was: "));
	write_config(t, config, "log:\n  level: debug\nbatch:\n  events: 1\n");
	assert_int_equal(pair_signal(t->pair, PAIR_AGENT, SIGHUP), 0);
	assert_true(pair_await(t->pair, PAIR_AGENT, "other options need a restart"));
	/* With the collector gone, there is something to say for developers. */
	pair_kill(t->pair, PAIR_COLLECTOR);
	start_collector(t);
	assert_true(pair_await(t->pair, PAIR_AGENT, "nightjar-agent: debug: "));
	assert_each_reported_once(t);
	(void)stop_both(t);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(collector_killed_in_a_steady_act_loses_nothing),
		TEST(agent_killed_and_started_again_knows_what_runs),
		TEST(shell_opened_before_the_first_agent_is_reported),
		TEST(collector_that_comes_late_gets_what_has_waited),
		TEST(full_uplink_is_counted_and_reported),
		TEST(events_that_found_no_room_are_an_alert),
		TEST(busy_agent_tells_what_it_is_and_costs),
		TEST(hangup_applies_what_is_reloadable),
	};

	return cmocka_run_group_tests_name("faults", tests, NULL, NULL);
}
