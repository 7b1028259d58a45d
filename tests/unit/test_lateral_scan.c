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

static void probes_that_are_answered_and_closed_at_once_count(void **state)
{
	STORY;
	struct actor *sh = USER_SHELL;

	(void)state;
	for (unsigned int i = 0; i < 20; i++)
		answered(s, sh, i, 22, SECOND / 10);
	story_tell(s, 64);
	assert_int_equal(s->alert_count, 1);
}

/* The end is reported when the process is gone already. */
static void an_end_after_the_exit_counts(void **state)
{
	STORY;
	struct actor *sh = USER_SHELL;

	(void)state;
	for (unsigned int i = 0; i < 20; i++) {
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
		"00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff",
		"uid",
		"web",
		"img",
		"web-5d4f8c7b9-x2x7k",
		"shop",
		"/kubepods/pod1/0011"};
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
		cmocka_unit_test(a_process_per_connection_is_one_scan),
		cmocka_unit_test(probes_that_are_answered_and_closed_at_once_count),
		cmocka_unit_test(an_end_after_the_exit_counts),
		cmocka_unit_test(many_ports_of_one_address_are_a_scan),
		cmocka_unit_test(a_growing_scan_is_revised_each_time_it_doubles),
		cmocka_unit_test(after_a_long_silence_it_is_another_scan),
		cmocka_unit_test(a_pod_s_probes_go_to_stage_2_as_well),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
