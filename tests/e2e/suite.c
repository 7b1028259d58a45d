/* Runs the rows of a suite's table against one product.
 *
 * Silence is proved by order: events of a node are judged in the order in which they happened, so
 * once the alert of a later attack is there, everything before it has been judged. */
#include "tests/e2e/recorded.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

#define SUITE_LIMIT_S 280

static struct {
	struct dev *dev; /* NULL: scenarios only ($NJ_SCENARIOS_ONLY), or no permission */
	struct run run;
	struct attacker attacker;
	/* Quiet rows that were performed; their runs are over. */
	const struct scenario *rows[RECORDED_RUNS_MAX];
	struct run runs[RECORDED_RUNS_MAX];
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
		r = attacker_got_shell(&suite.attacker, HARNESS_SHELL_MS) ? 0 : -EPROTO;
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
static void print_reported(const struct run *r, size_t from)
{
	struct wanted any = {.run = r};
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
	print_reported(&suite.run, from);
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

/* An attack whose alert must come; the run of the row is set aside meanwhile. */
static void canary(const struct scenario *s, size_t from)
{
	struct run quiet = suite.run;

	attacker_stop(&suite.attacker);
	perform(s);
	await_rule(s->rule, from);
	attacker_stop(&suite.attacker);
	run_done(&suite.run, dev_pid(suite.dev));
	suite.run = quiet;
}

static void shell_canary(size_t from)
{
	static const struct scenario shell = {
		.argv = {"shell_dup2"}, .rule = "reverse_shell", .attacker = ATTACKER_SHELL};

	canary(&shell, from);
}

/* Fails when any alert of the whole suite tells of this run. */
static void assert_unreported(const char *name, const struct run *r)
{
	struct wanted any = {.run = r};
	size_t from = 0;

	if (!dev_await_alert(suite.dev, &from, is_wanted, &any, 0))
		return;
	print_reported(r, 0);
	fail_msg("reported, but nothing is wrong with %s", name);
}

void suite_quiet(void **state)
{
	const struct scenario *s = *state;
	size_t from = 0;

	skip_without_permission();
	if (suite.dev)
		from = dev_alert_count(suite.dev);
	perform(s);
	if (!suite.dev)
		return;
	assert_true(suite.row_count < RECORDED_RUNS_MAX);
	suite.rows[suite.row_count] = s;
	suite.runs[suite.row_count++] = suite.run;
	shell_canary(from);
	assert_unreported(s->argv[0], &suite.run);
}

void suite_the_other_detectors_were_awake(void **state)
{
	static const struct scenario others[] = {
		{.argv = {"scenario/scan-ports.py"},
		 .rule = "lateral_scan",
		 .attacker = ATTACKER_SINK},
		{.argv = {"scenario/steal-environ.sh"}, .rule = "credential_theft"},
	};

	(void)state;
	if (!suite.dev)
		skip();
	for (size_t i = 0; i < sizeof(others) / sizeof(*others); i++)
		canary(&others[i], dev_alert_count(suite.dev));
	for (size_t i = 0; i < suite.row_count; i++)
		assert_unreported(suite.rows[i]->argv[0], &suite.runs[i]);
}

/* Prints what is missing and returns how much. */
static unsigned int print_missing(const struct recorded_run *r)
{
	unsigned int missing = 0;

	for (uint32_t n = 0; n < DECISIVE_MAX && r->row->decisive[n].exe; n++) {
		const struct decisive *d = &r->row->decisive[n];

		if (r->found & 1U << n)
			continue;
		fprintf(stderr, "%s: no %s of %s with %s on descriptor %d\n", r->row->argv[0],
			event_kind_name(d->kind), d->exe, endpoint_kind_name(d->endpoint), d->fd);
		missing++;
	}
	return missing;
}

static void stop_product(void)
{
	int status = dev_stop(suite.dev);

	assert_false(harness_sanitizer_spoke(dev_stderr(suite.dev)));
	if (status != 0)
		fail_msg("nightjar dev ended with %d", status);
}

void suite_the_product_ended_well(void **state)
{
	(void)state;
	if (!suite.dev)
		skip();
	stop_product();
}

void suite_all_arrived_and_nothing_was_lost(void **state)
{
	struct recorded_run runs[RECORDED_RUNS_MAX] = {0};
	struct recorded recorded;
	unsigned int missing = 0;
	struct err e = {0};

	(void)state;
	if (!suite.dev)
		skip();
	for (size_t i = 0; i < suite.row_count; i++)
		runs[i] =
			(struct recorded_run){.row = suite.rows[i], .leader = suite.runs[i].leader};
	stop_product();
	if (recorded_read(dev_recording(suite.dev), runs, suite.row_count, &recorded, &e) < 0)
		fail_msg("%s", e.text);
	for (size_t i = 0; i < suite.row_count; i++)
		missing += print_missing(&runs[i]);
	if (missing || !recorded.events || recorded.lost || recorded.gaps)
		fail_msg("%u decisive events missing; of %" PRIu64 " events %" PRIu64
			 " were lost and %" PRIu64 " left out of the sequence",
			 missing, recorded.events, recorded.lost, recorded.gaps);
}
