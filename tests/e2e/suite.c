/* Runs the rows of a suite's table against one product.
 *
 * Silence is proved by order: events of a node are judged in the order in which they happened, so
 * once the alert of a later attack is there, everything before it has been judged. */
#include "tests/e2e/suite.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#define SUITE_LIMIT_S 280

#define SUITE_ROWS_MAX 64

static struct {
	struct dev *dev; /* NULL: scenarios only ($NJ_SCENARIOS_ONLY), or no permission */
	struct run run;
	struct attacker attacker;
	/* Quiet rows that were performed, with the leaders of their sessions. */
	const struct scenario *rows[SUITE_ROWS_MAX];
	pid_t leaders[SUITE_ROWS_MAX];
	size_t row_count;
} suite = {.attacker = {.pid = -1, .result = -1}, .run = {.leader = -1}};

struct wanted {
	const struct run *run;
	const char *rule; /* NULL: any but those about the product's own health */
};

static bool is_wanted(void *ctx, json_t *alert)
{
	const struct wanted *w = ctx;
	const char *rule = json_string_value(json_object_get(alert, "rule"));
	const char *kind = json_string_value(json_object_get(alert, "kind"));

	if (!rule || !kind || strcmp(kind, "health") == 0)
		return false;
	return (!w->rule || strcmp(rule, w->rule) == 0) && run_owns_alert(w->run, alert);
}

int suite_begin(void **state)
{
	const struct dev_options options = {.record = true, .duration_s = SUITE_LIMIT_S};
	struct err e = {0};

	(void)state; /* stays NULL, or it would take the place of every row */
	if (getenv("NJ_SCENARIOS_ONLY"))
		return 0;
	if (harness_skip_reason()[0]) {
		printf("SKIP %s\n", harness_skip_reason());
		return 0;
	}
	if (dev_start(&options, &suite.dev, &e) < 0) {
		fprintf(stderr, "%s\n", e.text);
		return -1;
	}
	return 0;
}

int suite_end(void **state)
{
	(void)state;
	dev_free(suite.dev);
	suite.dev = NULL;
	return 0;
}

int suite_clean(void **state)
{
	(void)state;
	attacker_stop(&suite.attacker);
	run_done(&suite.run, suite.dev ? dev_pid(suite.dev) : 0);
	return 0;
}

/* Runs the row; fails the test when the act itself does not work. */
static void perform(const struct scenario *s)
{
	_cleanup_(freep) char *output = NULL;
	int r;

	assert_int_equal(attacker_start(s->attacker, &suite.attacker), 0);
	assert_int_equal(run_start(s->argv, suite.attacker.port, &suite.run), 0);
	/* A shell stays open until the test is over, as an attacker would have it. */
	if (s->attacker == ATTACKER_SHELL)
		r = attacker_got_shell(&suite.attacker, HARNESS_SCENARIO_MS) ? 0 : -EPROTO;
	else
		r = run_wait(&suite.run, HARNESS_SCENARIO_MS);
	if (r == 0)
		return;
	output = run_output(&suite.run);
	fail_msg("%s: status %#x: %s\n%s", s->argv[0], suite.run.status, strerror(-r), output);
}

static void skip_without_permission(void)
{
	if (!suite.dev && !getenv("NJ_SCENARIOS_ONLY"))
		skip();
}

/* What was reported about the run instead, for the message of a failure. */
static void print_reported(size_t from)
{
	struct wanted any = {.run = &suite.run};
	json_t *alert;

	while ((alert = dev_await_alert(suite.dev, &from, is_wanted, &any, 0)) != NULL) {
		_cleanup_(freep) char *text = json_dumps(alert, JSON_INDENT(1));

		fprintf(stderr, "reported: %s\n", text);
	}
}

static void await_rule(const char *rule, size_t from)
{
	struct wanted w = {.run = &suite.run, .rule = rule};
	size_t at = from;

	if (dev_await_alert(suite.dev, &at, is_wanted, &w, HARNESS_ALERT_MS))
		return;
	print_reported(from);
	fail_msg("no %s within %d ms (session leader %d, port %u)", rule, HARNESS_ALERT_MS,
		 suite.run.leader, suite.run.port);
}

void suite_attack(void **state)
{
	const struct scenario *s = *state;
	size_t from = 0;

	skip_without_permission();
	if (suite.dev)
		from = dev_alert_count(suite.dev);
	perform(s);
	if (suite.dev)
		await_rule(s->rule, from);
}

/* A reverse shell whose alert must come; the run of the row is set aside meanwhile. */
static void canary(size_t from)
{
	static const struct scenario row = {.argv = {"shell_dup2"}, .attacker = ATTACKER_SHELL};
	struct run quiet = suite.run;

	attacker_stop(&suite.attacker);
	perform(&row);
	await_rule("reverse_shell", from);
	run_done(&suite.run, dev_pid(suite.dev));
	suite.run = quiet;
}

void suite_quiet(void **state)
{
	const struct scenario *s = *state;
	struct wanted any = {.run = &suite.run};
	size_t from = 0;

	skip_without_permission();
	if (suite.dev)
		from = dev_alert_count(suite.dev);
	perform(s);
	if (!suite.dev)
		return;
	assert_true(suite.row_count < SUITE_ROWS_MAX);
	suite.rows[suite.row_count] = s;
	suite.leaders[suite.row_count++] = suite.run.leader;
	canary(from);
	if (dev_await_alert(suite.dev, &(size_t){from}, is_wanted, &any, 0)) {
		print_reported(from);
		fail_msg("reported, but nothing is wrong with %s", s->argv[0]);
	}
}

void suite_all_arrived_and_nothing_was_lost(void **state)
{
	(void)state;
	if (!suite.dev)
		skip();
	assert_int_equal(dev_stop(suite.dev), 0);
}
