/* Containers that wait for the Kubernetes API's names: asked once, answered once, whole where it can be,
 * again when the journal asks, given up in the end. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <stdlib.h>

#include "collector/kube/naming.h"
#include "common/clock.h"
#include "tests/unit/counter.h"
#include "tests/unit/kube_sample.h"

struct world {
	struct metrics *metrics;
	struct apistore *store;
	struct naming *naming;
	uint32_t told;
	int answer; /* of tell */
	char last[512];
};

static const struct naming_node node = {.cluster = "c", .node = "node-1", .boot_id = "b"};

static int tell(void *ctx, const struct naming_node *where, const Nightjar__V1__ContainerMetadata *m)
{
	struct world *w = (struct world *)ctx;

	assert_string_equal(where->node, "node-1");
	assert_string_equal(where->boot_id, "b");
	if (w->answer < 0)
		return w->answer;
	w->told++;
	(void)snprintf(w->last, sizeof(w->last), "%s %s %s %s/%s %s %s %s %zu", m->container_id, m->namespace_, m->pod,
		       m->workload_kind, m->workload, m->service_account, m->name, m->image, m->n_labels);
	return 0;
}

static int set_up(void **state)
{
	struct world *w = calloc(1, sizeof(*w));
	struct naming_config config = {.tell = tell, .ctx = w};

	assert_non_null(w);
	w->metrics = metrics_new();
	w->store = apistore_new(16, w->metrics);
	config.store = w->store;
	config.metrics = w->metrics;
	w->naming = naming_new(&config);
	assert_non_null(w->naming);
	*state = w;
	return 0;
}

static int tear_down(void **state)
{
	struct world *w = *state;

	naming_free(w->naming);
	apistore_free(w->store);
	metrics_free(w->metrics);
	free(w);
	return 0;
}

static void put_sample(struct world *w, bool with_owner)
{
	json_t *json = kube_json(POD_JSON);
	const struct api_meta owner = {.uid = "rs-uid",
				       .namespace = "shop",
				       .name = "web-5d4f8c7b9",
				       .owner = {.kind = "Deployment", .name = "web", .uid = "d"}};
	struct api_pod pod;

	assert_int_equal(apiobject_pod(json, &pod), 0);
	apistore_put_pod(w->store, &pod);
	if (with_owner)
		apistore_put_owner(w->store, API_REPLICASETS, &owner);
	json_decref(json);
}

static void nobody_asks_and_nothing_is_told(void **state)
{
	struct world *w = *state;

	put_sample(w, true);
	naming_turn(w->naming, NS_PER_SEC);
	assert_int_equal(w->told, 0);
}

static void names_that_do_not_fit_are_passed_over(void **state)
{
	struct world *w = *state;
	char longer[400];
	const struct naming_node odd = {.cluster = "c", .node = longer, .boot_id = "b"};

	memset(longer, 'x', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	naming_ask(w->naming, &odd, ID_A, "");
	naming_ask(w->naming, &node, longer, "");
	naming_ask(w->naming, &node, ID_A, longer);
	naming_turn(w->naming, NS_PER_SEC);
	assert_int_equal(counter_value(w->metrics, "nightjar_kube_containers_waiting"), 0);
}

static void an_answer_is_told_once_and_whole(void **state)
{
	struct world *w = *state;

	put_sample(w, true);
	naming_ask(w->naming, &node, ID_A, "");
	naming_turn(w->naming, NS_PER_SEC);
	assert_int_equal(w->told, 1);
	assert_string_equal(w->last, ID_A " shop web-5d4f8c7b9-x2x7k Deployment/web web nginx nginx:1.27 2");
	naming_turn(w->naming, 10 * NS_PER_SEC);
	assert_int_equal(w->told, 1);
	/* Asked again: who asks has forgotten. */
	naming_ask(w->naming, &node, ID_A, "");
	naming_turn(w->naming, 11 * NS_PER_SEC);
	assert_int_equal(w->told, 2);
}

static void what_is_not_known_yet_is_told_when_it_comes(void **state)
{
	struct world *w = *state;

	naming_ask(w->naming, &node, ID_A, "");
	naming_turn(w->naming, NS_PER_SEC);
	assert_int_equal(counter_value(w->metrics, "nightjar_kube_containers_waiting"), 1);
	put_sample(w, true);
	naming_turn(w->naming, NS_PER_SEC + 1);
	assert_int_equal(w->told, 1);
	assert_int_equal(counter_value(w->metrics, "nightjar_kube_containers_waiting"), 0);
}

static void a_part_is_told_after_a_moments_grace(void **state)
{
	struct world *w = *state;

	put_sample(w, false);
	naming_ask(w->naming, &node, ID_A, "");
	naming_turn(w->naming, NS_PER_SEC);
	naming_turn(w->naming, NS_PER_SEC + NAMING_GRACE_NS - 1);
	assert_int_equal(w->told, 0);
	naming_turn(w->naming, 2 * NS_PER_SEC + NAMING_GRACE_NS);
	assert_int_equal(w->told, 1);
	assert_non_null(strstr(w->last, "ReplicaSet/web-5d4f8c7b9"));
	assert_int_equal(counter_value(w->metrics, "nightjar_kube_containers_named_total{result=\"partly\"}"), 1);
}

static void what_cannot_be_told_now_is_told_later(void **state)
{
	struct world *w = *state;

	put_sample(w, true);
	w->answer = -EAGAIN;
	naming_ask(w->naming, &node, ID_A, "");
	naming_turn(w->naming, NS_PER_SEC);
	assert_int_equal(w->told, 0);
	w->answer = 0;
	naming_turn(w->naming, 3 * NS_PER_SEC);
	assert_int_equal(w->told, 1);
}

static void a_container_that_nobody_knows_is_given_up(void **state)
{
	struct world *w = *state;

	naming_ask(w->naming, &node, ID_B, "nobody");
	naming_turn(w->naming, NS_PER_SEC);
	naming_turn(w->naming, 2 * NS_PER_SEC + NAMING_WINDOW_NS);
	assert_int_equal(counter_value(w->metrics, "nightjar_kube_containers_named_total{result=\"unknown\"}"), 1);
	assert_int_equal(counter_value(w->metrics, "nightjar_kube_containers_waiting"), 0);
}

static void all_is_told_again_for_a_new_segment_of_the_journal(void **state)
{
	struct world *w = *state;

	put_sample(w, true);
	naming_ask(w->naming, &node, ID_A, "");
	naming_ask(w->naming, &node, ID_C, "pod-uid");
	naming_turn(w->naming, NS_PER_SEC);
	assert_int_equal(w->told, 2);
	naming_again(w->naming);
	naming_turn(w->naming, NS_PER_SEC + 1);
	assert_int_equal(w->told, 4);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(nobody_asks_and_nothing_is_told),
		TEST(names_that_do_not_fit_are_passed_over),
		TEST(an_answer_is_told_once_and_whole),
		TEST(what_is_not_known_yet_is_told_when_it_comes),
		TEST(a_part_is_told_after_a_moments_grace),
		TEST(what_cannot_be_told_now_is_told_later),
		TEST(a_container_that_nobody_knows_is_given_up),
		TEST(all_is_told_again_for_a_new_segment_of_the_journal),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
