/* Scans by mechanism, one target short of them, and those who talk to many without scanning. */
#include "tests/unit/story.h"

#define STORY	   _cleanup_(story_freep) struct story *s = story_new()
#define USER_SHELL story_start(s, NULL, "/usr/bin/bash", ARGS("-bash"), FDS())
#define SECOND	   1000000000ULL

static struct peer target(struct story *s, unsigned int host, uint16_t port)
{
	struct peer p = {.cookie = 10000 + s->event_count, .port = port};
	char ip[32];

	(void)snprintf(ip, sizeof(ip), "10.9.%u.%u", host / 250, host % 250 + 1);
	p.ip = arena_strdup(s->arena, ip);
	assert_non_null(p.ip);
	return p;
}

static void refused(struct story *s, struct actor *a, unsigned int host, uint16_t port)
{
	struct peer p = target(s, host, port);

	story_connect(s, a, &p);
	story_close(s, a, &p, -111);
}

static void answered(struct story *s, struct actor *a, unsigned int host, uint16_t port,
		     uint64_t open_ns)
{
	struct peer p = target(s, host, port);

	story_connected(s, a, &p);
	story_wait(s, open_ns);
	story_close(s, a, &p, 0);
}

/* ---- near misses ---- */

static void nineteen_addresses_are_silent(void **state)
{
	STORY;
	struct actor *sh = USER_SHELL;

	(void)state;
	for (unsigned int i = 0; i < 19; i++)
		refused(s, sh, i, 22);
	story_tell(s, 64);
	assert_int_equal(s->alert_count, 0);
	refused(s, sh, 19, 22);
	story_tell(s, 64);
	assert_int_equal(s->alert_count, 1);
}

static void the_same_address_again_is_no_new_target(void **state)
{
	STORY;
	struct actor *sh = USER_SHELL;

	(void)state;
	for (unsigned int i = 0; i < 300; i++)
		refused(s, sh, i % 12, 22);
	story_tell(s, 64);
	assert_int_equal(s->alert_count, 0);
}

static void twenty_addresses_over_a_longer_time_are_silent(void **state)
{
	STORY;
	struct actor *sh = USER_SHELL;

	(void)state;
	for (unsigned int i = 0; i < 40; i++) {
		refused(s, sh, i, 22);
		story_wait(s, 4 * SECOND);
	}
	story_tell(s, 64);
	assert_int_equal(s->alert_count, 0);
}

static void connections_that_stay_open_are_silent(void **state)
{
	STORY;
	struct actor *monitor =
		story_start(s, NULL, "/usr/bin/prometheus", ARGS("prometheus"), FDS());

	(void)state;
	for (unsigned int i = 0; i < 200; i++) {
		struct peer p = target(s, i, 9100);

		story_connected(s, monitor, &p);
	}
	story_tell(s, 64);
	assert_int_equal(s->alert_count, 0);
}

static void health_checks_of_three_hosts_are_silent(void **state)
{
	STORY;
	struct actor *sh = USER_SHELL;

	(void)state;
	for (unsigned int i = 0; i < 300; i++) {
		struct actor *curl = story_spawn(s, sh, "/usr/bin/curl", ARGS("curl"), FDS());

		answered(s, curl, i % 3, 80, 0);
		story_exit(s, curl);
	}
	story_tell(s, 64);
	assert_int_equal(s->alert_count, 0);
}

static void different_sessions_are_different_trees(void **state)
{
	STORY;

	(void)state;
	for (unsigned int i = 0; i < 100; i++)
		refused(s, USER_SHELL, i, 443);
	story_tell(s, 64);
	assert_int_equal(s->alert_count, 0);
}

static void udp_is_not_counted(void **state)
{
	STORY;
	struct actor *sh = USER_SHELL;

	(void)state;
	for (unsigned int i = 0; i < 100; i++) {
		struct peer p = target(s, i, 53);

		story_act(s, EVENT_KIND_CONNECT, sh, FDS(udp(-1, &p)));
	}
	story_tell(s, 64);
	assert_int_equal(s->alert_count, 0);
}

/* A test suite and its servers on ports of their own: all is answered. */
static void many_ports_of_one_address_that_answer_are_silent(void **state)
{
	STORY;
	struct actor *suite =
		story_spawn(s, USER_SHELL, "/usr/bin/python3.11", ARGS("pytest"), FDS());

	(void)state;
	for (uint16_t i = 0; i < 300; i++)
		answered(s, suite, 1, (uint16_t)(32768 + i), SECOND / 100);
	story_tell(s, 64);
	assert_int_equal(s->alert_count, 0);
}

static void a_few_closed_ports_among_many_open_ones_are_silent(void **state)
{
	STORY;
	struct actor *sh = USER_SHELL;

	(void)state;
	for (uint16_t i = 0; i < 240; i++) {
		if (i % 7 == 0)
			refused(s, sh, 1, (uint16_t)(1000 + i));
		else
			answered(s, sh, 1, (uint16_t)(1000 + i), SECOND / 100);
	}
	story_tell(s, 64);
	assert_int_equal(s->alert_count, 0);
}

static const struct container_def monitoring = {
	.container_id = "aa112233445566778899aabbccddeeff00112233445566778899aabbccddeeff",
	.pod_uid = "uid2", .name = "prometheus", .image = "img", .pod = "prometheus-0",
	.namespace = "monitoring", .cgroup = "/kubepods/pod2/0011", .image_id = "",
	.workload = ""};

/* Prometheus: the container's first program. New connections for each round, closed at once; some
 * targets are always down. */
static void scraping_200_targets_for_ever_is_silent(void **state)
{
	STORY;
	struct actor *prometheus;

	(void)state;
	s->container = &monitoring;
	prometheus = story_start(s, NULL, "/bin/prometheus", ARGS("prometheus"), FDS());
	for (int round = 0; round < 10; round++) {
		for (unsigned int i = 0; i < 200; i++) {
			if (i % 10 == 0)
				refused(s, prometheus, i, 9100);
			else
				answered(s, prometheus, i, 9100, SECOND / 50);
		}
		story_wait(s, 10 * SECOND);
	}
	story_tell(s, 64);
	assert_int_equal(s->alert_count, 0);
}

/* A supervisor starts the real program; kubelet and node agents are services of the host. */
static void health_checks_of_a_service_are_silent(void **state)
{
	static const struct container_def kubelet = {
		.container_id = "", .pod_uid = "", .name = "", .image = "", .pod = "",
		.namespace = "", .cgroup = "/system.slice/kubelet.service", .image_id = "",
		.workload = ""};
	STORY;
	struct actor *tini, *app, *host;

	(void)state;
	s->container = &monitoring;
	tini = story_start(s, NULL, "/sbin/tini", ARGS("tini"), FDS());
	app = story_spawn(s, tini, "/app/blackbox", ARGS("blackbox"), FDS());
	s->container = &kubelet;
	host = story_start(s, NULL, "/usr/bin/kubelet", ARGS("kubelet"), FDS());
	for (unsigned int i = 0; i < 110; i++) {
		answered(s, app, i, 8080, 0);
		answered(s, host, i, 8080, 0);
	}
	story_tell(s, 64);
	assert_int_equal(s->alert_count, 0);
}

/* What is a service does not depend on who manages the host; a session is none, nor is a scope. */
static void only_a_cgroup_of_its_own_makes_a_service(void **state)
{
	static const struct {
		const char *cgroup;
		uint32_t alerts;
	} cases[] = {
		{"/system.slice/kubelet.service", 0},
		{"/kubelet.slice/kubelet.service", 0},
		{"/podruntime/kubelet", 0},
		{"/user.slice/user-0.slice/session-1.scope", 1},
		{"/user.slice/user-0.slice/user@0.service/app.slice/x.service", 1},
		{"/init.scope", 1},
		{"/", 1},
		{"", 1},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct container_def host = story_host;
		STORY;
		struct actor *checker;

		host.cgroup = cases[i].cgroup;
		s->container = &host;
		checker = story_start(s, NULL, "/usr/bin/checker", ARGS("checker"), FDS());
		for (unsigned int k = 0; k < 40; k++)
			answered(s, checker, k, 8080, 0);
		story_tell(s, 64);
		assert_int_equal(s->alert_count, cases[i].alerts);
	}
}

/* A rack goes down: 40 addresses that have answered before stop answering. */
static void peers_that_were_known_and_fail_are_silent(void **state)
{
	STORY;
	struct actor *agent;

	(void)state;
	s->container = &monitoring;
	agent = story_start(s, NULL, "/bin/agent", ARGS("agent"), FDS());
	for (unsigned int i = 0; i < 40; i++)
		answered(s, agent, i, 4240, 3 * SECOND);
	story_wait(s, 100 * SECOND);
	for (unsigned int i = 0; i < 40; i++)
		refused(s, agent, i, 4240);
	story_tell(s, 64);
	assert_int_equal(s->alert_count, 0);
}

/* Connects are under way all at once, and then answered. */
static void many_connections_under_way_are_silent(void **state)
{
	STORY;
	struct actor *sh = USER_SHELL;
	struct peer peers[150];

	(void)state;
	for (unsigned int i = 0; i < 150; i++) {
		peers[i] = target(s, i, 443);
		story_connect(s, sh, &peers[i]);
	}
	for (unsigned int i = 0; i < 150; i++)
		story_established(s, sh, &peers[i]);
	story_tell(s, 64);
	assert_int_equal(s->alert_count, 0);
}

/* ---- positives ---- */

static void a_process_per_connection_is_one_scan(void **state)
{
	STORY;
	struct actor *sh = USER_SHELL;

	(void)state;
	for (unsigned int i = 0; i < 30; i++) {
		struct actor *sub = story_fork(s, sh);

		refused(s, sub, i, 6443);
		story_exit(s, sub);
	}
	story_tell(s, 64);
	assert_int_equal(s->alert_count, 1);
	assert_string_equal(s->alerts[0]->msg.rule, "lateral_scan");
	assert_string_equal(s->alerts[0]->msg.op, "create");
	assert_int_equal(s->alerts[0]->msg.process->pid, sh->def.pid);
	assert_int_equal(s->alerts[0]->msg.count, 20);
	assert_true(story_has_evidence(s->alerts[0], "addresses_on_port", "20"));
}

/* A worm that is let in everywhere. */
static void probes_that_are_answered_and_left_at_once_count_half(void **state)
{
	STORY;
	struct actor *sh = USER_SHELL;

	(void)state;
	for (unsigned int i = 0; i < 39; i++)
		answered(s, sh, i, 22, SECOND / 10);
	story_tell(s, 64);
	assert_int_equal(s->alert_count, 0);
	answered(s, sh, 39, 22, SECOND / 10);
	story_tell(s, 64);
	assert_int_equal(s->alert_count, 1);
	assert_true(story_has_evidence(s->alerts[0], "addresses_on_port", "40"));
	assert_true(story_has_evidence(s->alerts[0], "addresses_without_answer", "0"));
}

/* A tool in a container that has been there for long. */
static void a_tool_started_later_in_a_container_counts(void **state)
{
	STORY;
	struct actor *app, *tool;

	(void)state;
	s->container = &monitoring;
	app = story_start(s, NULL, "/bin/app", ARGS("app"), FDS());
	story_wait(s, 100 * SECOND);
	tool = story_spawn(s, app, "/tmp/worm", ARGS("worm"), FDS());
	for (unsigned int i = 0; i < 40; i++)
		answered(s, tool, i, 22, SECOND / 10);
	story_tell(s, 64);
	assert_int_equal(s->alert_count, 1);
}

/* Code that runs within the service itself is seen by what fails. */
static void a_service_that_fails_everywhere_is_reported(void **state)
{
	STORY;
	struct actor *app;

	(void)state;
	s->container = &monitoring;
	app = story_start(s, NULL, "/bin/app", ARGS("app"), FDS());
	for (unsigned int i = 0; i < 40; i++) {
		if (i % 2)
			refused(s, app, i, 6379);
		else
			answered(s, app, i, 6379, SECOND / 10);
	}
	story_tell(s, 64);
	assert_int_equal(s->alert_count, 1);
}

/* A filter drops everything, and the connects wait for minutes. */
static void attempts_that_stay_without_an_answer_count(void **state)
{
	STORY;
	struct actor *sh = USER_SHELL;

	(void)state;
	for (unsigned int i = 0; i < 21; i++) {
		struct peer p = target(s, i, 445);

		if (i == 20)
			story_wait(s, 3 * SECOND);
		story_connect(s, sh, &p);
	}
	story_tell(s, 64);
	assert_int_equal(s->alert_count, 1);
}

/* The end is reported when the process is gone already. */
static void an_end_after_the_exit_counts(void **state)
{
	STORY;
	struct actor *sh = USER_SHELL;

	(void)state;
	for (unsigned int i = 0; i < 40; i++) {
		struct actor *sub = story_fork(s, sh);
		struct peer p = target(s, i, 22);

		story_connected(s, sub, &p);
		story_exit(s, sub);
		story_close(s, sub, &p, 0);
	}
	story_tell(s, 64);
	assert_int_equal(s->alert_count, 1);
}

static void many_ports_of_one_address_are_a_scan(void **state)
{
	STORY;
	struct actor *sh = USER_SHELL;

	(void)state;
	for (uint16_t port = 1; port <= 30; port++)
		refused(s, sh, 1, port);
	story_tell(s, 64);
	assert_int_equal(s->alert_count, 1);
	assert_string_equal(s->alerts[0]->msg.remote->ip, "10.9.0.2");
}

static void a_growing_scan_is_revised_each_time_it_doubles(void **state)
{
	STORY;
	struct actor *sh = USER_SHELL;

	(void)state;
	for (unsigned int i = 0; i < 160; i++)
		refused(s, sh, i, 22);
	story_tell(s, 64);
	assert_int_equal(s->alert_count, 4); /* 20, 40, 80, 160 */
	for (uint32_t i = 1; i < 4; i++) {
		assert_string_equal(s->alerts[i]->msg.id, s->alerts[0]->msg.id);
		assert_string_equal(s->alerts[i]->msg.op, "update");
		assert_int_equal(s->alerts[i]->msg.revision, i);
		assert_int_equal(s->alerts[i]->msg.count, 20U << i);
	}
}

static void after_a_long_silence_it_is_another_scan(void **state)
{
	STORY;
	struct actor *sh = USER_SHELL;

	(void)state;
	for (unsigned int i = 0; i < 40; i++) {
		if (i == 20)
			story_wait(s, 700 * SECOND);
		refused(s, sh, i, 22);
	}
	story_tell(s, 64);
	assert_int_equal(s->alert_count, 2);
	assert_string_not_equal(s->alerts[0]->msg.id, s->alerts[1]->msg.id);
}

static void a_pod_s_probes_go_to_stage_2_as_well(void **state)
{
	static const struct container_def pod = {
		.container_id = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff",
		.pod_uid = "uid", .name = "web", .image = "img", .pod = "web-5d4f8c7b9-x2x7k",
		.namespace = "shop", .cgroup = "/kubepods/pod1/0011", .image_id = "",
		.workload = ""};
	STORY;
	struct actor *app;

	(void)state;
	s->container = &pod;
	app = story_start(s, NULL, "/app", ARGS("app"), FDS());
	refused(s, app, 1, 22);
	story_tell(s, 64);
	assert_int_equal(s->observation_count, 1);
	assert_string_equal(s->observations[0].key, "workload:test/shop/web");
	assert_int_equal(s->observations[0].remote_port, 22);
	assert_int_equal(s->observations[0].session, app->def.session);
}

/* With its alert a lineage's probes are explained, and no more of them are sent. */
static void a_pod_s_own_scan_is_withdrawn_from_stage_2(void **state)
{
	STORY;
	struct actor *app;

	(void)state;
	s->container = &monitoring;
	app = story_start(s, NULL, "/app", ARGS("app"), FDS());
	for (unsigned int i = 0; i < 30; i++)
		refused(s, app, i, 22);
	story_tell(s, 64);
	assert_int_equal(s->alert_count, 1);
	assert_int_equal(s->observation_count, 20);
	for (unsigned int i = 0; i < 19; i++)
		assert_int_equal(s->observations[i].kind, OBSERVATION_CONNECT_ATTEMPT);
	assert_int_equal(s->observations[19].kind, OBSERVATION_CONNECT_EXPLAINED);
}

/* CI jobs of many runners fetch from many servers. */
static void what_is_answered_is_not_for_stage_2(void **state)
{
	STORY;
	struct actor *runner, *job;

	(void)state;
	s->container = &monitoring;
	runner = story_start(s, NULL, "/app", ARGS("app"), FDS());
	story_wait(s, 100 * SECOND);
	job = story_spawn(s, runner, "/usr/bin/curl", ARGS("curl"), FDS());
	for (unsigned int i = 0; i < 30; i++)
		answered(s, job, i, 443, 0);
	story_tell(s, 64);
	assert_int_equal(s->observation_count, 0);
}

/* Stale addresses of a mesh: few of the many that it talks to. */
static void few_failures_of_many_are_not_for_stage_2(void **state)
{
	STORY;
	struct actor *app;

	(void)state;
	s->container = &monitoring;
	app = story_start(s, NULL, "/app", ARGS("app"), FDS());
	for (unsigned int i = 0; i < 50; i++)
		answered(s, app, i, 15008, 0);
	for (unsigned int i = 50; i < 55; i++)
		refused(s, app, i, 15008);
	story_tell(s, 64);
	assert_int_equal(s->observation_count, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nineteen_addresses_are_silent),
		cmocka_unit_test(the_same_address_again_is_no_new_target),
		cmocka_unit_test(twenty_addresses_over_a_longer_time_are_silent),
		cmocka_unit_test(connections_that_stay_open_are_silent),
		cmocka_unit_test(health_checks_of_three_hosts_are_silent),
		cmocka_unit_test(different_sessions_are_different_trees),
		cmocka_unit_test(udp_is_not_counted),
		cmocka_unit_test(many_ports_of_one_address_that_answer_are_silent),
		cmocka_unit_test(a_few_closed_ports_among_many_open_ones_are_silent),
		cmocka_unit_test(scraping_200_targets_for_ever_is_silent),
		cmocka_unit_test(health_checks_of_a_service_are_silent),
		cmocka_unit_test(only_a_cgroup_of_its_own_makes_a_service),
		cmocka_unit_test(peers_that_were_known_and_fail_are_silent),
		cmocka_unit_test(many_connections_under_way_are_silent),
		cmocka_unit_test(a_process_per_connection_is_one_scan),
		cmocka_unit_test(probes_that_are_answered_and_left_at_once_count_half),
		cmocka_unit_test(a_tool_started_later_in_a_container_counts),
		cmocka_unit_test(a_service_that_fails_everywhere_is_reported),
		cmocka_unit_test(attempts_that_stay_without_an_answer_count),
		cmocka_unit_test(an_end_after_the_exit_counts),
		cmocka_unit_test(many_ports_of_one_address_are_a_scan),
		cmocka_unit_test(a_growing_scan_is_revised_each_time_it_doubles),
		cmocka_unit_test(after_a_long_silence_it_is_another_scan),
		cmocka_unit_test(a_pod_s_probes_go_to_stage_2_as_well),
		cmocka_unit_test(a_pod_s_own_scan_is_withdrawn_from_stage_2),
		cmocka_unit_test(what_is_answered_is_not_for_stage_2),
		cmocka_unit_test(few_failures_of_many_are_not_for_stage_2),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
