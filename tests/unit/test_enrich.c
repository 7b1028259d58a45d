/* Containers, a runtime and the wire together: what was sent early is completed late. */
#include "tests/unit/fake_runtime.h"
#include "tests/unit/wire_sample.h"

#include <poll.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/rpc.h"
#include "node-agent/enrich.h"

#define WAIT_MS 20000
#define LEAF	"/k8s.io/" ID(a1)

struct fixture {
	struct runtime *runtime;
	struct containers *containers;
	struct spool *spool;
	struct batch *batch;
	struct enrich *enrich;
	struct wire_decoder *dec;
	struct arena *arena;
	struct buf message;
	uint64_t now_ns;
};

static void build(struct fixture *f, const char *socket)
{
	struct batch_config batch = {.max_events = 64, .max_bytes = 1 << 20, .epoch_ns = 60 * NS_PER_SEC,
				     .max_definitions = 64};
	struct enrich_config config = {.socket = socket};
	struct err e = {0};

	f->spool = spool_new(1 << 20, 1);
	batch.spool = f->spool;
	f->batch = batch_new(&batch);
	f->containers = containers_new("/nonexistent", "/nonexistent", 16);
	f->dec = wire_decoder_new(64);
	f->arena = arena_new(1 << 20);
	config.containers = f->containers;
	config.batch = f->batch;
	if (enrich_new(&config, &f->enrich, &e) < 0)
		fail_msg("%s", e.text);
}

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	log_init("test", LOG_LEVEL_ERROR);
	rpc_log_quietly();
	rpc_init();
	f->runtime = runtime_new();
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	enrich_free(f->enrich);
	batch_free(f->batch);
	spool_free(f->spool);
	containers_free(f->containers);
	wire_decoder_free(f->dec);
	arena_free(f->arena);
	buf_done(&f->message);
	runtime_free(f->runtime);
	free(f);
	rpc_done();
	return 0;
}

static void report(struct fixture *f, const struct container *container, uint64_t seq)
{
	struct process_def process = sample_bare;
	const struct event event = {.seq = seq, .time_ns = seq, .kind = EVENT_KIND_EXIT, .process = &process,
				    .file = {.path = ""}, .raw_path = ""};

	process.container = &container->def;
	batch_add(f->batch, &event, f->now_ns);
}

/* The next batch as the collector has it. */
static struct wire_batch receive(struct fixture *f)
{
	struct wire_batch batch = {0};

	batch_flush(f->batch, ++f->now_ns);
	buf_clear(&f->message);
	assert_int_equal(spool_take(f->spool, 64, "n1", &f->message), 1);
	arena_reset(f->arena);
	assert_int_equal(wire_decode_batch(f->dec, buf_bytes(&f->message), f->arena, &batch), 0);
	return batch;
}

static void await_answer(struct fixture *f)
{
	struct pollfd ready = {.fd = enrich_fd(f->enrich), .events = POLLIN};

	if (poll(&ready, 1, WAIT_MS) <= 0)
		fail_msg("no answer came");
	enrich_turn(f->enrich, true, ++f->now_ns);
}

static void switched_off_it_does_nothing(void **state)
{
	struct fixture *f = *state;
	struct cri_stats stats;

	build(f, "off");
	containers_made(f->containers, 0, 42, LEAF);
	enrich_turn(f->enrich, false, 1);
	assert_int_equal(enrich_fd(f->enrich), -1);
	assert_int_equal(containers_unasked(f->containers), 1);
	assert_false(enrich_stats(f->enrich, &stats));
	enrich_free(NULL);
}

static void an_event_that_left_before_the_answer_is_completed(void **state)
{
	struct fixture *f = *state;
	struct container *container;
	struct wire_batch batch;
	struct cri_stats stats;

	build(f, f->runtime->path);
	containers_made(f->containers, 0, 42, LEAF);
	container = containers_get(f->containers, 0, 42, 0);
	report(f, container, 1);
	enrich_turn(f->enrich, false, ++f->now_ns);
	batch = receive(f);
	assert_string_equal(batch.events[0].process->container->pod, "");
	runtime_start(f->runtime);
	await_answer(f);
	batch = receive(f);
	assert_int_equal(batch.event_count, 0);
	assert_int_equal(batch.container_count, 1);
	assert_string_equal(batch.containers[0]->pod, "web-5d9");
	assert_string_equal(batch.containers[0]->cgroup, LEAF);
	report(f, container, 2);
	batch = receive(f);
	assert_int_equal(batch.container_count, 0);
	assert_string_equal(batch.events[0].process->container->pod, "web-5d9");
	assert_true(enrich_stats(f->enrich, &stats));
	assert_int_equal(stats.answered, 1);
	container_unref(container);
}

static void a_container_without_processes_costs_the_wire_nothing(void **state)
{
	struct fixture *f = *state;

	build(f, f->runtime->path);
	runtime_start(f->runtime);
	containers_made(f->containers, 0, 42, LEAF);
	enrich_turn(f->enrich, false, ++f->now_ns);
	await_answer(f);
	batch_flush(f->batch, ++f->now_ns);
	assert_int_equal(spool_unsent(f->spool), 0);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(switched_off_it_does_nothing),
		TEST(an_event_that_left_before_the_answer_is_completed),
		TEST(a_container_without_processes_costs_the_wire_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
