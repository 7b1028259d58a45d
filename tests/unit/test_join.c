/* Alerts that are completed: which ones wait, for how long, what a revision carries, and how its number
 * goes with those that a detector gives. */
#include "tests/unit/unit.h"

#include <stdio.h>
#include <stdlib.h>

#include "collector/kube/join.h"
#include "collector/verdict.h"
#include "common/clock.h"

#define WALL_NS (1700000000ULL * NS_PER_SEC)
#define OUT_MAX 256

struct world {
	struct join *join;
	struct stage1_out out;
	struct alert *alerts[OUT_MAX];
	uint32_t count;
	struct workload w;
};

static void on_alert(void *ctx, struct alert *a)
{
	struct world *w = (struct world *)ctx;

	assert_true(w->count < OUT_MAX);
	w->alerts[w->count++] = a;
}

static int set_up(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	assert_non_null(w);
	w->join = join_new();
	w->out = (struct stage1_out){.alert = on_alert, .ctx = w};
	w->w = (struct workload){.id = 7, .container_id = "c1"};
	*state = w;
	return 0;
}

static int tear_down(void **state)
{
	struct world *w = *state;

	for (uint32_t i = 0; i < w->count; i++)
		alert_free(w->alerts[i]);
	join_free(w->join);
	free(w);
	return 0;
}

static struct alert *alert_of(const char *id, const struct workload *w, uint32_t revision)
{
	struct alert *a = alert_new();

	assert_non_null(a);
	a->msg.id = arena_strdup(a->arena, id);
	a->msg.op = arena_strdup(a->arena, "create");
	a->msg.revision = revision;
	a->msg.count = revision + 1;
	a->msg.timing = arena_alloc(a->arena, sizeof(*a->msg.timing));
	nightjar__v1__timing__init(a->msg.timing);
	a->msg.timing->event_ns = (int64_t)WALL_NS;
	if (w)
		verdict_workload(a, w);
	return a;
}

static void name(struct workload *w)
{
	Nightjar__V1__Label label = NIGHTJAR__V1__LABEL__INIT, *labels[] = {&label};
	Nightjar__V1__ContainerMetadata m = NIGHTJAR__V1__CONTAINER_METADATA__INIT;

	label.key = (char *)"app";
	label.value = (char *)"web";
	m.namespace_ = (char *)"shop";
	m.pod = (char *)"web-1";
	m.name = (char *)"main";
	m.image = (char *)"nginx";
	m.workload = (char *)"web";
	m.workload_kind = (char *)"Deployment";
	m.service_account = (char *)"sa";
	m.labels = labels;
	m.n_labels = 1;
	workload_name(w, &m);
}

static void an_alert_passes_at_once_whatever_it_lacks(void **state)
{
	struct world *w = *state;

	join_alert(w->join, &w->w, alert_of("a", &w->w, 0), &w->out);
	join_alert(w->join, NULL, alert_of("b", NULL, 0), &w->out);
	assert_int_equal(w->count, 2);
	assert_string_equal(w->alerts[0]->msg.id, "a");
	assert_int_equal(w->alerts[0]->msg.revision, 0);
}

static void names_complete_it_as_a_revision_of_the_same_id(void **state)
{
	struct world *w = *state;
	const Nightjar__V1__Alert *m;

	join_alert(w->join, &w->w, alert_of("a", &w->w, 0), &w->out);
	name(&w->w);
	join_names(w->join, &w->w, WALL_NS + 1, &w->out);
	assert_int_equal(w->count, 2);
	m = &w->alerts[1]->msg;
	assert_string_equal(m->id, "a");
	assert_string_equal(m->op, "update");
	assert_int_equal(m->revision, 1);
	assert_int_equal(m->count, 1);
	assert_string_equal(m->namespace_, "shop");
	assert_string_equal(m->workload, "web");
	assert_string_equal(m->workload_kind, "Deployment");
	assert_string_equal(m->pod, "web-1");
	assert_string_equal(m->service_account, "sa");
	assert_string_equal(m->container->name, "main");
	assert_string_equal(m->container->image, "nginx");
	assert_int_equal(m->n_labels, 1);
	assert_string_equal(m->labels[0]->value, "web");
	join_names(w->join, &w->w, WALL_NS + 2, &w->out);
	assert_int_equal(w->count, 2);
}

static void only_the_containers_own_alerts_are_completed(void **state)
{
	struct world *w = *state;
	struct workload other = {.id = 8, .container_id = "c2"};

	join_alert(w->join, &w->w, alert_of("a", &w->w, 0), &w->out);
	name(&other);
	join_names(w->join, &other, WALL_NS + 1, &w->out);
	assert_int_equal(w->count, 1);
}

static void what_is_named_or_on_the_host_waits_for_nothing(void **state)
{
	struct world *w = *state;
	struct workload host = {.id = 9, .host = true, .workload = "ssh.service"};

	join_alert(w->join, &host, alert_of("h", &host, 0), &w->out);
	host.workload[0] = 'x';
	join_names(w->join, &host, WALL_NS + 1, &w->out);
	name(&w->w);
	join_alert(w->join, &w->w, alert_of("a", &w->w, 0), &w->out);
	w->w.pod[0] = 'x';
	join_names(w->join, &w->w, WALL_NS + 1, &w->out);
	assert_int_equal(w->count, 2);
}

static void the_runtimes_names_come_first_and_the_apis_after(void **state)
{
	struct world *w = *state;

	join_alert(w->join, &w->w, alert_of("a", &w->w, 0), &w->out);
	(void)snprintf(w->w.pod, sizeof(w->w.pod), "web-1");
	(void)snprintf(w->w.image, sizeof(w->w.image), "docker.io/nginx");
	join_names(w->join, &w->w, WALL_NS + 1, &w->out);
	assert_int_equal(w->count, 2);
	assert_string_equal(w->alerts[1]->msg.pod, "web-1");
	name(&w->w);
	join_names(w->join, &w->w, WALL_NS + 2, &w->out);
	assert_int_equal(w->count, 3);
	assert_int_equal(w->alerts[2]->msg.revision, 2);
	assert_string_equal(w->alerts[2]->msg.container->image, "docker.io/nginx");
}

static void a_detectors_own_revisions_are_numbered_after_ours(void **state)
{
	struct world *w = *state;

	join_alert(w->join, &w->w, alert_of("a", &w->w, 0), &w->out);
	join_alert(w->join, &w->w, alert_of("a", &w->w, 1), &w->out);
	name(&w->w);
	join_names(w->join, &w->w, WALL_NS + 1, &w->out);
	assert_int_equal(w->alerts[2]->msg.revision, 2);
	assert_int_equal(w->alerts[2]->msg.count, 2);
	join_alert(w->join, &w->w, alert_of("a", &w->w, 2), &w->out);
	assert_int_equal(w->alerts[3]->msg.revision, 3);
	assert_string_equal(w->alerts[3]->msg.workload, "web");
}

static void names_that_come_too_late_complete_nothing(void **state)
{
	struct world *w = *state;

	join_alert(w->join, &w->w, alert_of("a", &w->w, 0), &w->out);
	name(&w->w);
	join_names(w->join, &w->w, WALL_NS + JOIN_WINDOW_NS + 1, &w->out);
	join_names(w->join, &w->w, WALL_NS + 1, &w->out);
	assert_int_equal(w->count, 1);
}

static void beyond_the_cap_the_oldest_stays_as_it_was_told_and_is_counted(void **state)
{
	struct world *w = *state;
	char id[16];

	for (unsigned int i = 0; i <= JOIN_ALERTS; i++) {
		(void)snprintf(id, sizeof(id), "a%u", i);
		join_alert(w->join, &w->w, alert_of(id, &w->w, 0), &w->out);
	}
	assert_int_equal(join_evicted(w->join), 1);
	name(&w->w);
	join_names(w->join, &w->w, WALL_NS + 1, &w->out);
	assert_int_equal(w->count, 2 * JOIN_ALERTS + 1);
	assert_string_equal(w->alerts[JOIN_ALERTS + 1]->msg.id, "a1");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(an_alert_passes_at_once_whatever_it_lacks),
		TEST(names_complete_it_as_a_revision_of_the_same_id),
		TEST(only_the_containers_own_alerts_are_completed),
		TEST(what_is_named_or_on_the_host_waits_for_nothing),
		TEST(the_runtimes_names_come_first_and_the_apis_after),
		TEST(a_detectors_own_revisions_are_numbered_after_ours),
		TEST(names_that_come_too_late_complete_nothing),
		TEST(beyond_the_cap_the_oldest_stays_as_it_was_told_and_is_counted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
