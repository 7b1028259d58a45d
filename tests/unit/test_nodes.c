/* What agents say of their container runtimes, summed up over nodes. */
#include "tests/unit/counter.h"
#include "tests/unit/unit.h"

#include "collector/ingest/nodes.h"

struct fixture {
	struct metrics *metrics;
	struct nodes *nodes;
};

static int set_up(void **state)
{
	static struct fixture f;

	f.metrics = metrics_new();
	f.nodes = nodes_new(2, f.metrics);
	*state = &f;
	return f.metrics && f.nodes ? 0 : -1;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	nodes_free(f->nodes);
	metrics_free(f->metrics);
	return 0;
}

static void say(struct fixture *f, const char *name, uint64_t answered, const char *problem)
{
	Nightjar__V1__ContainerLookups lookups = NIGHTJAR__V1__CONTAINER_LOOKUPS__INIT;
	struct node *node = nodes_get(f->nodes, "c", name);

	assert_non_null(node);
	lookups.answered = answered;
	lookups.failed = 1;
	lookups.problem = (char *)(uintptr_t)problem;
	nodes_lock(f->nodes);
	nodes_count_lookups(f->nodes, node, answered ? &lookups : NULL);
	nodes_unlock(f->nodes);
	node_unref(node);
}

static uint64_t answered(struct fixture *f)
{
	return counter_value(f->metrics, "nightjar_agent_container_lookups_total{result=\"answered\"}");
}

static uint64_t silent(struct fixture *f)
{
	return counter_value(f->metrics, "nightjar_nodes_runtime_silent");
}

static void an_agent_that_does_not_ask_counts_nothing(void **state)
{
	struct fixture *f = *state;

	say(f, "n1", 0, "");
	assert_int_equal(answered(f), 0);
	assert_int_equal(silent(f), 0);
}

static void counts_grow_by_what_is_new_and_a_new_agent_begins_again(void **state)
{
	struct fixture *f = *state;

	say(f, "n1", 5, "");
	say(f, "n1", 7, "");
	say(f, "n2", 1, "");
	assert_int_equal(answered(f), 8);
	say(f, "n1", 2, "");
	assert_int_equal(answered(f), 10);
	assert_int_equal(counter_value(f->metrics, "nightjar_agent_container_lookups_total{result=\"failed\"}"), 2);
}

static void a_node_whose_runtime_is_silent_counts_once_until_it_answers_or_is_forgotten(void **state)
{
	struct fixture *f = *state;

	say(f, "n1", 1, "no socket");
	say(f, "n1", 1, "refused");
	say(f, "n2", 1, "no socket");
	assert_int_equal(silent(f), 2);
	say(f, "n2", 1, "");
	assert_int_equal(silent(f), 1);
	say(f, "n3", 1, "");
	say(f, "n4", 1, "");
	assert_int_equal(silent(f), 0);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(an_agent_that_does_not_ask_counts_nothing),
		TEST(counts_grow_by_what_is_new_and_a_new_agent_begins_again),
		TEST(a_node_whose_runtime_is_silent_counts_once_until_it_answers_or_is_forgotten),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
