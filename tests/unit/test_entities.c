/* Caps of the entity tables: what a flood pushes out, and what it does not. */
#include "tests/unit/story.h"

#include "collector/entity/entities.h"

struct flood {
	struct entities *en;
	struct node_state *node;
};

static int begin(void **state)
{
	struct flood *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	f->en = entities_new();
	assert_non_null(f->en);
	f->node = entities_node(f->en, &(struct node_ref){"c", "n", "b"});
	*state = f;
	return 0;
}

static int end(void **state)
{
	struct flood *f = *state;

	entities_free(f->en);
	free(f);
	return 0;
}

static struct process_def def(uint32_t pid)
{
	return (struct process_def){.exec_id = pid,
				    .pid = pid,
				    .start_ns = pid,
				    .exe.path = "/bin/x",
				    .cwd = "/",
				    .comm = "",
				    .exe_raw = "",
				    .session = pid,
				    .container = &story_host};
}

static struct process *act(struct flood *f, enum event_kind kind, uint32_t pid,
			   const struct endpoint *e)
{
	struct process_def d = def(pid);
	struct event event = {.kind = kind,
			      .process = &d,
			      .endpoints = e,
			      .endpoint_count = e ? 1 : 0,
			      .raw_path = "",
			      .file.path = ""};
	struct process *p = entities_apply(f->en, f->node->id, &event);

	entities_after(f->en, f->node->id, p, &event);
	return p;
}

static void an_end_of_what_was_never_seen_makes_nothing(void **state)
{
	struct entities_stats stats;

	assert_null(act(*state, EVENT_KIND_EXIT, 5, NULL));
	assert_null(act(*state, EVENT_KIND_CLOSE, 5, NULL));
	entities_stats(((struct flood *)*state)->en, &stats);
	assert_int_equal(stats.live, 0);
}

static void an_event_without_its_endpoint_is_harmless(void **state)
{
	for (int kind = 1; kind < EVENT_KIND_MAX; kind++)
		(void)act(*state, (enum event_kind)kind, 9, NULL);
}

static void a_node_s_boots_are_different_nodes(void **state)
{
	struct flood *f = *state;

	assert_int_equal(entities_node(f->en, &(struct node_ref){"c", "n", "b"})->id, f->node->id);
	assert_int_not_equal(entities_node(f->en, &(struct node_ref){"c", "n", "b2"})->id, 1);
}

static void short_lived_processes_push_out_no_live_one(void **state)
{
	struct flood *f = *state;
	struct process_def d = def(1);
	struct entities_stats stats;

	(void)act(f, EVENT_KIND_EXEC, 1, NULL);
	for (uint32_t pid = 2; pid < 5 * ENTITIES_LIVE; pid++) {
		(void)act(f, EVENT_KIND_EXEC, pid, NULL);
		(void)act(f, EVENT_KIND_EXIT, pid, NULL);
	}
	assert_non_null(process_get(f->en, 1, &d));
	entities_stats(f->en, &stats);
	assert_int_equal(stats.live, 1);
	assert_int_equal(stats.exited, ENTITIES_EXITED);
	assert_true(stats.evicted.of[EVICTED_EXITED] > 0);
}

static void a_flood_of_live_processes_passes_marked_ones_over(void **state)
{
	struct flood *f = *state;
	struct process_def d = def(1);
	struct entities_stats stats;

	act(f, EVENT_KIND_EXEC, 1, NULL)->marks |= PROCESS_REPORTED;
	for (uint32_t pid = 2; pid < 3 * ENTITIES_LIVE; pid++)
		(void)act(f, EVENT_KIND_EXEC, pid, NULL);
	assert_non_null(process_get(f->en, 1, &d));
	entities_stats(f->en, &stats);
	assert_int_equal(stats.live, ENTITIES_LIVE);
	assert_int_equal(stats.evicted_kept, 0);
}

static void a_flood_of_pipes_passes_marked_ones_over(void **state)
{
	struct flood *f = *state;
	struct endpoint first = pipe_r(0, 1);
	struct endpoint_key key = endpoint_key_of(f->node->id, &first);
	struct entities_stats stats;

	(void)act(f, EVENT_KIND_PIPE, 1, &first);
	endpoint_find(f->en, &key)->flags |= ENDPOINT_ON_PATH;
	for (uint64_t id = 2; id < 3 * ENTITIES_ENDPOINTS; id++) {
		struct endpoint e = pipe_r(7, id);

		(void)act(f, EVENT_KIND_PIPE, 2, &e);
	}
	assert_non_null(endpoint_find(f->en, &key));
	entities_stats(f->en, &stats);
	assert_int_equal(stats.endpoints, ENTITIES_ENDPOINTS);
}

static void the_standard_descriptors_survive_many_others(void **state)
{
	struct endpoint in = pipe_r(0, 1);
	struct process *p = act(*state, EVENT_KIND_PIPE, 1, &in);

	for (int fd = 3; fd < 200; fd++) {
		struct endpoint e = pipe_w(fd, (uint64_t)fd);

		(void)act(*state, EVENT_KIND_PIPE, 1, &e);
	}
	assert_non_null(descriptor_find(p, 0));
	assert_null(descriptor_find(p, 3));
	assert_non_null(descriptor_find(p, 199));
	assert_int_equal(p->fd_count, PROCESS_FDS);
}

static void a_number_used_again_lets_go_of_the_old_object(void **state)
{
	struct flood *f = *state;
	struct endpoint first = pipe_r(5, 1), second = pipe_r(5, 2), none = file_at(5);
	struct endpoint_key key = endpoint_key_of(f->node->id, &first);
	struct process *p = act(f, EVENT_KIND_PIPE, 1, &first);

	assert_int_equal(endpoint_find(f->en, &key)->holder_count[0], 1);
	(void)act(f, EVENT_KIND_DUP, 1, &second);
	assert_int_equal(endpoint_find(f->en, &key)->holder_count[0], 0);
	(void)act(f, EVENT_KIND_DUP, 1, &none);
	assert_null(descriptor_find(p, 5));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, begin, end)

/* The runtime is asked after the first processes have started, and may answer when nothing starts any more. */
static void a_container_gets_its_names_when_they_come(void **state)
{
	static const struct container_def early = {
		.container_id = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff", .pod_uid = "uid",
		.name = "", .image = "", .pod = "", .namespace = "", .cgroup = "/kubepods/poduid/0011",
		.image_id = "", .workload = ""};
	struct flood *f = *state;
	struct container_def full = early;
	struct process_def d = def(7);
	struct event event = {.kind = EVENT_KIND_EXEC, .process = &d, .raw_path = "", .file.path = ""};
	const struct workload *w;

	full.pod = "web-5d4f8c7b9-x2x7k";
	full.namespace = "shop";
	full.image = "img";
	full.name = "web";
	workload_complete(f->en, f->node->id, &full); /* nobody has seen it */
	d.container = &early;
	w = workload_find(f->en, entities_apply(f->en, f->node->id, &event)->container);
	assert_string_equal(w->pod, "");
	workload_complete(f->en, f->node->id, &full);
	assert_string_equal(w->pod, "web-5d4f8c7b9-x2x7k");
	assert_string_equal(w->namespace, "shop");
	assert_string_equal(w->name, "web");
	workload_complete(f->en, f->node->id, &early);
	assert_string_equal(w->pod, "web-5d4f8c7b9-x2x7k");
}

static void the_agent_names_the_host_s_workload(void **state)
{
	struct flood *f = *state;
	struct container_def unit = story_host;
	struct process_def d = def(8);
	struct event event = {.kind = EVENT_KIND_EXEC, .process = &d, .raw_path = "", .file.path = ""};
	const struct workload *w;

	unit.cgroup = "/system.slice/srv-data.mount";
	unit.workload = "srv-data.mount";
	d.container = &unit;
	w = workload_find(f->en, entities_apply(f->en, f->node->id, &event)->container);
	assert_string_equal(w->workload, "srv-data.mount");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(an_end_of_what_was_never_seen_makes_nothing),
		TEST(an_event_without_its_endpoint_is_harmless),
		TEST(a_node_s_boots_are_different_nodes),
		TEST(short_lived_processes_push_out_no_live_one),
		TEST(a_flood_of_live_processes_passes_marked_ones_over),
		TEST(a_flood_of_pipes_passes_marked_ones_over),
		TEST(the_standard_descriptors_survive_many_others),
		TEST(a_number_used_again_lets_go_of_the_old_object),
		TEST(a_container_gets_its_names_when_they_come),
		TEST(the_agent_names_the_host_s_workload),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
