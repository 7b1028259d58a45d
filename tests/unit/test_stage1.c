/* What stage 1 counts: whatever made room for something newer, by table. What it recognises is told
 * in the tests of the detectors. */
#include "tests/unit/story.h"

#include "collector/detect/interpreter.h"

#define STORY _cleanup_(story_freep) struct story *s = story_new()

struct lookup {
	const char *name;
	uint64_t value;
	bool found;
};

static void look(void *ctx, const char *name, uint64_t value)
{
	struct lookup *l = ctx;

	if (strcmp(name, l->name) != 0)
		return;
	l->value = value;
	l->found = true;
}

static uint64_t evicted(const struct story *s, const char *table)
{
	char name[96];
	struct lookup l = {.name = name};

	(void)snprintf(name, sizeof(name), "nightjar_state_evicted_total{table=\"%s\"}", table);
	metrics_each(s->metrics, look, &l);
	assert_true(l.found);
	return l.value;
}

static struct actor *shell(struct story *s)
{
	return story_start(s, NULL, "/usr/bin/bash", ARGS("-bash"), FDS());
}

static void freeing_nothing_is_allowed(void **state)
{
	(void)state;
	stage1_free(NULL);
}

static void an_ordinary_story_evicts_nothing(void **state)
{
	static const char *const tables[] = {
		"nodes",	"processes",	    "processes_exited",	    "pids",
		"endpoints",	"workloads",	    "local_connections",    "listeners",
		"descriptors",	"scan_trees",	    "pending_interpreters", "interpreter_files",
		"scan_targets", "endpoint_holders", "credential_findings",
	};
	STORY;
	struct actor *sh = shell(s);

	(void)state;
	story_open(s, story_spawn(s, sh, "/usr/bin/cat", ARGS("cat"), FDS(pipe_r(0, 1))),
		   "/etc/shadow", 3);
	story_tell(s, 64);
	for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++)
		assert_int_equal(evicted(s, tables[i]), 0);
}

/* Shells between two pipes that lead nowhere yet: the oldest is watched no more. */
static void interpreters_that_are_watched_no_more_are_counted(void **state)
{
	STORY;
	struct actor *sh = shell(s);

	(void)state;
	for (unsigned int i = 0; i < 300; i++)
		story_spawn(s, sh, "/usr/bin/bash", ARGS("bash"),
			    FDS(pipe_r(0, 1000 + i), pipe_w(1, 2000 + i)));
	story_tell(s, 64);
	assert_int_equal(evicted(s, "pending_interpreters"), 300 - 256);
}

static void interpreter_files_that_are_forgotten_are_counted(void **state)
{
	STORY;
	struct actor *sh = shell(s);

	(void)state;
	for (unsigned int i = 0; i < INTERPRETER_FILES + 5; i++) {
		char *exe = arena_printf(s->arena, "/opt/%u/bash", i);

		assert_non_null(exe);
		story_spawn(s, sh, exe, ARGS("bash"), FDS());
	}
	story_tell(s, 64);
	assert_int_equal(evicted(s, "interpreter_files"), 6); /* one was the login shell's */
}

static void trees_and_targets_of_scans_are_counted(void **state)
{
	STORY;
	struct actor *sh = shell(s);
	struct peer p = {.cookie = 1, .ip = "10.0.0.9", .port = 1};

	(void)state;
	for (unsigned int i = 0; i < 260; i++, p.port++, p.cookie++)
		story_connected(s, sh, &p);
	story_tell(s, 64);
	assert_int_equal(evicted(s, "scan_targets"), 260 - 256);
	for (unsigned int i = 0; i < 520; i++, p.cookie++)
		story_connected(s, shell(s), &p);
	story_tell(s, 64);
	assert_int_equal(evicted(s, "scan_trees"), 521 - 512);
}

static void thefts_that_are_forgotten_are_counted(void **state)
{
	STORY;

	(void)state;
	for (unsigned int i = 0; i < 1030; i++) {
		story_open(s, shell(s), "/etc/shadow", 3);
		story_tell(s, 64);
		story_forget_alerts(s);
	}
	assert_int_equal(evicted(s, "credential_findings"), 1030 - 1024);
}

static void holders_and_descriptors_that_made_room_are_counted(void **state)
{
	STORY;
	struct actor *sh = shell(s);

	(void)state;
	story_act(s, EVENT_KIND_PIPE, sh, FDS(pipe_r(3, 1)));
	for (unsigned int i = 0; i < 8; i++)
		(void)story_fork(s, sh);
	story_tell(s, 64);
	assert_int_equal(evicted(s, "endpoint_holders"), 9 - 6);
	for (unsigned int i = 0; i < 30; i++)
		story_act(s, EVENT_KIND_PIPE, sh, FDS(pipe_r((int)i + 4, 10 + i)));
	story_tell(s, 64);
	assert_int_equal(evicted(s, "descriptors"), 31 - 24);
}

static void workloads_that_made_room_are_counted(void **state)
{
	STORY;

	(void)state;
	for (unsigned int i = 0; i < 1030; i++) {
		struct container_def *host = arena_zalloc(s->arena, sizeof(*host));

		assert_non_null(host);
		*host = story_host;
		host->cgroup = arena_printf(s->arena, "/user.slice/session-%u.scope", i);
		assert_non_null(host->cgroup);
		s->container = host;
		(void)shell(s);
	}
	story_tell(s, 64);
	assert_int_equal(evicted(s, "workloads"), 1030 - 1024);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(freeing_nothing_is_allowed),
		cmocka_unit_test(an_ordinary_story_evicts_nothing),
		cmocka_unit_test(interpreters_that_are_watched_no_more_are_counted),
		cmocka_unit_test(interpreter_files_that_are_forgotten_are_counted),
		cmocka_unit_test(trees_and_targets_of_scans_are_counted),
		cmocka_unit_test(thefts_that_are_forgotten_are_counted),
		cmocka_unit_test(holders_and_descriptors_that_made_room_are_counted),
		cmocka_unit_test(workloads_that_made_room_are_counted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
