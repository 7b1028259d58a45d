/* A recording of a live run gives the same alerts again, byte for byte but for delivery data. */
#include "tests/unit/unit.h"

#include <libgen.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "tests/e2e/harness.h"
#include "tests/unit/program.h"

#define LIMIT_S	  120
#define LINES_MAX 4096

static const struct {
	const char *const argv[2];
	enum attacker_kind attacker;
	const char *rule;
} acts[] = {
	{{"shell_dup2"}, ATTACKER_SHELL, "reverse_shell"},
	{{"scenario/steal-environ.sh"}, ATTACKER_NONE, "credential_theft"},
	{{"scenario/scan-ports.py"}, ATTACKER_SINK, "lateral_scan"},
};

struct wanted {
	const struct run *run;
	const char *rule;
};

static bool is_wanted(void *ctx, json_t *alert)
{
	const struct wanted *w = ctx;

	return strcmp(json_string_value(json_object_get(alert, "rule")), w->rule) == 0 &&
	       run_owns_alert(w->run, alert);
}

static void act(struct dev *d, size_t i)
{
	struct attacker attacker = {.pid = -1, .result = -1};
	struct run run;
	const struct wanted wanted = {.run = &run, .rule = acts[i].rule};
	size_t from = dev_alert_count(d);

	assert_int_equal(attacker_start(acts[i].attacker, &attacker), 0);
	assert_int_equal(run_start(acts[i].argv, attacker.port, &run), 0);
	if (acts[i].attacker == ATTACKER_SHELL)
		assert_true(attacker_got_shell(&attacker, HARNESS_SHELL_MS));
	else
		assert_int_equal(run_wait(&run, HARNESS_SCENARIO_MS), 0);
	assert_non_null(dev_await_alert(d, &from, is_wanted, (void *)(uintptr_t)&wanted, HARNESS_ALERT_MS));
	attacker_stop(&attacker);
	run_done(&run, dev_pid(d));
}

/* Cuts "key":"…" and one of the commas beside it out of a JSON line. */
static void cut_member(char *line, const char *key)
{
	char member[64], *at, *end;

	(void)snprintf(member, sizeof(member), "\"%s\":\"", key);
	at = strstr(line, member);
	if (!at)
		return;
	end = strchr(at + strlen(member), '"') + 1;
	if (*end == ',')
		end++;
	else if (at[-1] == ',')
		at--;
	memmove(at, end, strlen(end) + 1);
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The lines about acts, without delivery data, in the order of their text: the threads of a live run
 * may report two alerts in either order. What the product says of its own health is no input. */
static size_t lines_of(struct buf *text, char **ret_lines)
{
	size_t count = 0;
	char *save = NULL;

	for (char *line = strtok_r((char *)(uintptr_t)buf_text(text), "\n", &save); line;
	     line = strtok_r(NULL, "\n", &save)) {
		if (strstr(line, "\"kind\":\"health\""))
			continue;
		assert_true(count < LINES_MAX);
		cut_member(line, "received_ns");
		cut_member(line, "detected_ns");
		ret_lines[count++] = line;
	}
	qsort(ret_lines, count, sizeof(*ret_lines), by_text);
	return count;
}

static void assert_replays(const char *recording)
{
	static char *live_lines[LINES_MAX], *replayed_lines[LINES_MAX];
	_cleanup_buf_ struct buf live = buf_with_max(64UL << 20), replayed = buf_with_max(64UL << 20);
	char command[PATH_MAX + 64], path[PATH_MAX];
	size_t count;

	(void)snprintf(path, sizeof(path), "%s", recording);
	(void)snprintf(command, sizeof(command), "cat '%s/alerts'", dirname(path));
	assert_int_equal(program_shell(command, &live), 0);
	(void)snprintf(command, sizeof(command), "replay --json '%s'", recording);
	assert_int_equal(program_run("nightjar", command, &replayed), 0);
	count = lines_of(&live, live_lines);
	assert_true(count >= sizeof(acts) / sizeof(*acts));
	assert_int_equal(lines_of(&replayed, replayed_lines), count);
	for (size_t i = 0; i < count; i++)
		assert_string_equal(replayed_lines[i], live_lines[i]);
}

static void assert_replays_for_people(const char *recording)
{
	_cleanup_buf_ struct buf said = buf_with_max(64UL << 20);
	char command[PATH_MAX + 64];

	(void)snprintf(command, sizeof(command), "replay '%s'", recording);
	assert_int_equal(program_run("nightjar", command, &said), 0);
	for (size_t i = 0; i < sizeof(acts) / sizeof(*acts); i++)
		assert_non_null(strstr(buf_text(&said), acts[i].rule));
	assert_null(strchr(buf_text(&said), '{'));
	assert_null(strchr(buf_text(&said), '\x1b'));
}

static void a_recording_gives_the_alerts_of_its_run(void **state)
{
	const struct dev_options options = {.record = true, .duration_s = LIMIT_S};
	_cleanup_(dev_freep) struct dev *d = NULL;
	struct err e = {0};

	(void)state;
	if (harness_skip_reason()[0]) {
		printf("SKIP %s\n", harness_skip_reason());
		skip();
	}
	if (dev_start(&options, &d, &e) < 0)
		fail_msg("%s", e.text);
	for (size_t i = 0; i < sizeof(acts) / sizeof(*acts); i++)
		act(d, i);
	assert_int_equal(dev_stop(d), 0);
	assert_replays(dev_recording(d));
	assert_replays_for_people(dev_recording(d));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_recording_gives_the_alerts_of_its_run),
	};

	return cmocka_run_group_tests_name("replay", tests, NULL, NULL);
}
