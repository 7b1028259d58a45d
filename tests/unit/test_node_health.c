/* Alerts about the watching: what a node cannot see and what it has lost, and that quiet nodes stay
 * quiet. */
#include "tests/unit/unit.h"

#include <stdio.h>
#include <stdlib.h>

#include "collector/node_health.h"
#include "collector/sink/kafka_record.h"
#include "collector/verdict.h"
#include "common/clock.h"

#define ALERTS_MAX 64

struct desk {
	struct detect_options options;
	struct stage1_out out;
	struct node_health *health;
	struct alert *alerts[ALERTS_MAX];
	int count;
	uint64_t now_ns;
	const char *boot_id;
};

static void on_alert(void *ctx, struct alert *alert)
{
	struct desk *d = ctx;

	assert_true(d->count < ALERTS_MAX);
	d->alerts[d->count++] = alert;
}

static int set_up(void **state)
{
	struct desk *d = calloc(1, sizeof(*d));

	detect_options_default(&d->options);
	d->out = (struct stage1_out){.alert = on_alert, .ctx = d};
	d->health = node_health_new(&d->options, &d->out);
	d->now_ns = 1700000000ULL * NS_PER_SEC;
	d->boot_id = "boot-1";
	*state = d;
	return d->health ? 0 : -1;
}

static int tear_down(void **state)
{
	struct desk *d = *state;

	while (d->count > 0)
		alert_free(d->alerts[--d->count]);
	node_health_free(d->health);
	node_health_free(NULL);
	free(d);
	return 0;
}

/* ---- what is told ---- */

#define TEXT(text) ((char *)(uintptr_t)(text))

/* process and tcp in full, file as said; both lists are those of a Hello that intake kept. */
static void hello(struct desk *d, const char *node, const char *file, const char *reason,
		  bool wanted)
{
	Nightjar__V1__Hello hello = NIGHTJAR__V1__HELLO__INIT;
	Nightjar__V1__Coverage rows[3], *list[3];
	char *all[] = {TEXT("process"), TEXT("tcp"), TEXT("file")};
	const struct node_ref ref = {"c1", node, d->boot_id};

	for (int i = 0; i < 3; i++) {
		nightjar__v1__coverage__init(&rows[i]);
		rows[i].class_ = all[i];
		rows[i].state = TEXT("full");
		list[i] = &rows[i];
	}
	rows[2].state = TEXT(file);
	rows[2].reason = TEXT(reason);
	hello.coverage = list;
	hello.n_coverage = 3;
	hello.wanted = all;
	hello.n_wanted = wanted ? 3 : 2;
	node_health_hello(d->health, &ref, d->now_ns, &hello);
	d->now_ns += NS_PER_SEC;
}

static void lose(struct desk *d, const char *node, const char *class, uint64_t count)
{
	struct loss loss = {LOSS_REASON_RING, class, count};
	const struct wire_batch batch = {.losses = &loss, .loss_count = 1};
	const struct stage1_batch fed = {
		.node = {"c1", node, d->boot_id}, .received_ns = d->now_ns, .batch = &batch};

	node_health_batch(d->health, &fed);
	d->now_ns += NS_PER_SEC;
}

static const char *field(const struct alert *a, const char *key)
{
	for (size_t i = 0; i < a->msg.n_fields; i++)
		if (strcmp(a->msg.fields[i]->key, key) == 0)
			return a->msg.fields[i]->value;
	return "";
}

static void assert_alert(const struct desk *d, int at, const char *rule, const char *op,
			 uint32_t revision)
{
	const Nightjar__V1__Alert *m = &d->alerts[at]->msg;

	assert_true(at < d->count);
	assert_string_equal(m->rule, rule);
	assert_string_equal(m->kind, "health");
	assert_string_equal(m->op, op);
	assert_int_equal(m->revision, revision);
	assert_int_equal(strlen(m->id), VERDICT_ID_SIZE - 1);
	assert_string_equal(m->cluster, "c1");
}

/* ---- coverage ---- */

static void a_node_that_sees_everything_is_no_news(void **state)
{
	struct desk *d = *state;
	const Nightjar__V1__Hello silent = NIGHTJAR__V1__HELLO__INIT;
	const struct node_ref ref = {"c1", "n1", "boot-1"};

	hello(d, "n1", "full", "", true);
	hello(d, "n1", "full", "", true);
	node_health_hello(d->health, &ref, d->now_ns,
			  &silent); /* an agent that tells no coverage */
	assert_int_equal(d->count, 0);
}

static void what_nobody_wants_may_be_missing(void **state)
{
	struct desk *d = *state;

	hello(d, "n1", "missing", "no hook", false);
	hello(d, "n1", "missing", "no hook", false);
	assert_int_equal(d->count, 0);
}

static void a_wanted_class_that_is_missing_is_one_alert_until_it_is_full(void **state)
{
	struct desk *d = *state;
	struct kafka_record record;

	hello(d, "n1", "missing", "no BPF", true);
	assert_int_equal(d->count, 1);
	assert_alert(d, 0, "coverage_degraded", "create", 0);
	assert_string_equal(field(d->alerts[0], "node"), "n1");
	assert_string_equal(field(d->alerts[0], "class"), "file");
	assert_string_equal(field(d->alerts[0], "state"), "missing");
	assert_string_equal(field(d->alerts[0], "reason"), "no BPF");
	assert_string_equal(d->alerts[0]->msg.severity, "medium");
	assert_string_equal(d->alerts[0]->msg.output, "node n1 cannot capture file events: no BPF");
	assert_int_equal(d->alerts[0]->msg.time->seconds, 1700000000);
	kafka_record_fill(&d->alerts[0]->msg, &record);
	assert_string_equal(record.key, "c1/_health/n1");
	hello(d, "n1", "missing", "no BPF", true);
	assert_int_equal(d->count, 1);
	hello(d, "n1", "degraded", "slow hook", true);
	assert_alert(d, 1, "coverage_degraded", "update", 1);
	assert_string_equal(d->alerts[1]->msg.severity, "low");
	hello(d, "n1", "full", "", true);
	assert_alert(d, 2, "coverage_degraded", "close", 2);
	assert_string_equal(d->alerts[2]->msg.output, "node n1 captures file events in full again");
	hello(d, "n1", "full", "", true);
	assert_int_equal(d->count, 3);
	assert_string_equal(d->alerts[0]->msg.id, d->alerts[1]->msg.id);
	assert_string_equal(d->alerts[0]->msg.id, d->alerts[2]->msg.id);
}

static void a_reboot_neither_closes_nor_repeats_it(void **state)
{
	struct desk *d = *state;

	hello(d, "n1", "degraded", "", true);
	d->boot_id = "boot-2";
	hello(d, "n1", "degraded", "", true);
	assert_int_equal(d->count, 1);
	hello(d, "n1", "full", "", true);
	assert_alert(d, 1, "coverage_degraded", "close", 1);
}

static void a_class_that_got_worse_is_news_even_when_nobody_wants_it(void **state)
{
	struct desk *d = *state;

	hello(d, "n1", "full", "", false);
	hello(d, "n1", "degraded", "", false);
	assert_alert(d, 0, "coverage_degraded", "create", 0);
	hello(d, "n1", "degraded", "", false);
	assert_int_equal(d->count, 1);
	hello(d, "n1", "missing", "", false);
	assert_alert(d, 1, "coverage_degraded", "update", 1);
	hello(d, "n1", "full", "", false);
	assert_alert(d, 2, "coverage_degraded", "close", 2);
}

static void what_is_not_wanted_any_more_is_closed(void **state)
{
	struct desk *d = *state;

	hello(d, "n1", "degraded", "", true);
	hello(d, "n1", "degraded", "", false);
	assert_alert(d, 1, "coverage_degraded", "close", 1);
	assert_string_equal(d->alerts[1]->msg.output,
			    "node n1 need not capture file events any more");
}

static void a_wanted_class_that_an_agent_does_not_list_is_missing(void **state)
{
	struct desk *d = *state;
	Nightjar__V1__Hello old = NIGHTJAR__V1__HELLO__INIT;
	Nightjar__V1__Coverage row = NIGHTJAR__V1__COVERAGE__INIT, *rows[] = {&row};
	const struct node_ref ref = {"c1", "n1", "boot-1"};
	char *wanted[] = {TEXT("mount"), TEXT("no such class")};

	row.class_ = TEXT("process");
	row.state = TEXT("full");
	old.coverage = rows;
	old.n_coverage = 1;
	old.wanted = wanted;
	old.n_wanted = 2;
	node_health_hello(d->health, &ref, d->now_ns, &old);
	assert_int_equal(d->count, 1);
	assert_string_equal(field(d->alerts[0], "class"), "mount");
	assert_string_equal(field(d->alerts[0], "reason"), "the agent does not know this class");
}

static void nodes_and_classes_are_kept_apart(void **state)
{
	struct desk *d = *state;

	hello(d, "n1", "degraded", "", true);
	hello(d, "n2", "degraded", "", true);
	lose(d, "n1", "file", 1000);
	assert_int_equal(d->count, 3);
	for (int a = 0; a < 3; a++)
		for (int b = 0; b < a; b++)
			assert_string_not_equal(d->alerts[a]->msg.id, d->alerts[b]->msg.id);
}

/* ---- losses ---- */

static void a_few_lost_events_are_no_alert(void **state)
{
	struct desk *d = *state;

	for (int i = 0; i < 9; i++)
		lose(d, "n1", "file", 11);
	assert_int_equal(d->count, 0);
	lose(d, "n1", "tcp", 99);  /* of another class */
	lose(d, "n2", "file", 99); /* of another node */
	assert_int_equal(d->count, 0);
}

static void losses_past_the_threshold_are_one_alert_that_grows_by_doubling(void **state)
{
	struct desk *d = *state;

	lose(d, "n1", "file", 60);
	lose(d, "n1", "file", 60);
	assert_int_equal(d->count, 1);
	assert_alert(d, 0, "events_lost", "create", 0);
	assert_string_equal(field(d->alerts[0], "class"), "file");
	assert_string_equal(field(d->alerts[0], "count"), "120");
	assert_string_equal(field(d->alerts[0], "reason"), "the kernel's rings were full");
	assert_int_equal(d->alerts[0]->msg.count, 120);
	assert_string_equal(d->alerts[0]->msg.output,
			    "node n1 has lost 120 file events: the kernel's rings were full");
	for (int i = 0; i < 100; i++)
		lose(d, "n1", "file", 1);
	assert_int_equal(d->count, 1); /* no flood of revisions */
	lose(d, "n1", "file", 20);
	assert_alert(d, 1, "events_lost", "update", 1);
	assert_string_equal(field(d->alerts[1], "count"), "240");
	assert_string_equal(d->alerts[0]->msg.id, d->alerts[1]->msg.id);
}

static void after_a_time_without_losses_it_is_a_new_alert(void **state)
{
	struct desk *d = *state;

	lose(d, "n1", "file", 500);
	d->now_ns += d->options.repeat_window_ns + NS_PER_SEC;
	lose(d, "n1", "file", 99);
	assert_int_equal(d->count, 1);
	lose(d, "n1", "file", 1);
	assert_alert(d, 1, "events_lost", "create", 0);
	assert_string_equal(field(d->alerts[1], "count"), "100");
	assert_string_not_equal(d->alerts[0]->msg.id, d->alerts[1]->msg.id);
}

static void counts_that_nobody_can_have_do_not_overflow(void **state)
{
	struct desk *d = *state;

	for (int i = 0; i < 40; i++)
		lose(d, "n1", "file", UINT64_MAX);
	assert_true(d->count > 1 && d->count < 10);
	assert_int_equal(d->alerts[d->count - 1]->msg.count, UINT32_MAX);
}

/* ---- the same again ---- */

static void the_same_story_gives_the_same_ids(void **state)
{
	struct desk *d = *state, *again;
	void *other = NULL;

	assert_int_equal(set_up(&other), 0);
	again = other;
	for (int i = 0; i < 2; i++) {
		struct desk *who = i ? again : d;

		hello(who, "n1", "degraded", "", true);
		lose(who, "n1", "file", 100);
		hello(who, "n1", "full", "", true);
	}
	assert_int_equal(d->count, 3);
	assert_int_equal(again->count, 3);
	for (int i = 0; i < 3; i++)
		assert_string_equal(d->alerts[i]->msg.id, again->alerts[i]->msg.id);
	(void)tear_down(&other);
}

static void a_flood_of_nodes_pushes_out_the_oldest_and_counts_them(void **state)
{
	struct desk *d = *state;
	char name[16];

	for (int i = 0; i < 5000; i++) {
		(void)snprintf(name, sizeof(name), "n%d", i);
		hello(d, name, "degraded", "", true);
		alert_free(d->alerts[--d->count]);
	}
	assert_int_equal(node_health_evicted(d->health), 5000 - 4096);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_node_that_sees_everything_is_no_news),
		TEST(what_nobody_wants_may_be_missing),
		TEST(a_wanted_class_that_is_missing_is_one_alert_until_it_is_full),
		TEST(a_reboot_neither_closes_nor_repeats_it),
		TEST(a_class_that_got_worse_is_news_even_when_nobody_wants_it),
		TEST(what_is_not_wanted_any_more_is_closed),
		TEST(a_wanted_class_that_an_agent_does_not_list_is_missing),
		TEST(nodes_and_classes_are_kept_apart),
		TEST(a_few_lost_events_are_no_alert),
		TEST(losses_past_the_threshold_are_one_alert_that_grows_by_doubling),
		TEST(after_a_time_without_losses_it_is_a_new_alert),
		TEST(counts_that_nobody_can_have_do_not_overflow),
		TEST(the_same_story_gives_the_same_ids),
		TEST(a_flood_of_nodes_pushes_out_the_oldest_and_counts_them),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
