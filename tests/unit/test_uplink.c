/* The uplink against a collector that refuses, forgets, falls silent and comes back. Nothing here
 * waits for time to pass: each step waits for what the other side has seen. */
#include "tests/unit/fake_collector.h"
#include "tests/unit/wire_sample.h"

#include <errno.h>

#include "common/rpc.h"
#include "node-agent/event_class.h"
#include "node-agent/uplink.h"
#include "tests/await.h"

#define HEARTBEAT_NS (50 * NS_PER_MS)
#define STOP_MS	     10000
#define WAIT_NS	     (20 * NS_PER_SEC)

struct node {
	struct fake *f;
	struct wire_encoder *enc;
	struct spool *spool;
	struct uplink *uplink;
	uint64_t event_seq;
	char ca[128], cert[128], key[128];
	/* Under f->lock. */
	uint32_t connected, unknown, policies, generation, classes;
	char open_name[32];
	bool (*lookups)(void *ctx, struct cri_stats *ret_stats);
};

static void on_connected(void *ctx)
{
	struct node *n = ctx;

	(void)pthread_mutex_lock(&n->f->lock);
	n->connected++;
	(void)pthread_cond_broadcast(&n->f->changed);
	(void)pthread_mutex_unlock(&n->f->lock);
}

static void on_unknown(void *ctx)
{
	struct node *n = ctx;

	(void)pthread_mutex_lock(&n->f->lock);
	n->unknown++;
	(void)pthread_cond_broadcast(&n->f->changed);
	(void)pthread_mutex_unlock(&n->f->lock);
}

static void on_policy(void *ctx, struct uplink_policy *policy)
{
	struct node *n = ctx;

	(void)pthread_mutex_lock(&n->f->lock);
	n->policies++;
	n->generation = policy->generation;
	n->classes = policy->classes;
	if (policy->open_name_count == 1)
		(void)snprintf(n->open_name, sizeof(n->open_name), "%s", policy->open_names[0]);
	uplink_policy_free(policy);
	(void)pthread_cond_broadcast(&n->f->changed);
	(void)pthread_mutex_unlock(&n->f->lock);
}

static int set_up(void **state)
{
	struct node *n = calloc(1, sizeof(*n));

	n->f = fake_new();
	n->enc = wire_encoder_new(WIRE_DEFINITIONS_MAX);
	n->spool = spool_new(1 << 20, 1000);
	(void)snprintf(n->ca, sizeof(n->ca), "%s/ca.pem", n->f->dir);
	(void)snprintf(n->cert, sizeof(n->cert), "%s/agent.pem", n->f->dir);
	(void)snprintf(n->key, sizeof(n->key), "%s/agent-key.pem", n->f->dir);
	rpc_init();
	*state = n;
	return 0;
}

static int tear_down(void **state)
{
	struct node *n = *state;

	if (n->uplink)
		uplink_stop(n->uplink, 0);
	uplink_free(n->uplink);
	fake_free(n->f);
	rpc_done();
	wire_encoder_free(n->enc);
	spool_free(n->spool);
	free(n);
	return 0;
}

static void start(struct node *n)
{
	static const struct capture_coverage coverage = {
		.class = "file", .state = "degraded", .provider = "x", .reason = "because"};
	const struct uplink_config config = {
		.target = n->f->target,
		.ca = n->ca,
		.cert = n->cert,
		.key = n->key,
		.cluster = "c",
		.node = "n1",
		.boot_id = "b",
		.coverage = &coverage,
		.coverage_count = 1,
		.spool = n->spool,
		.max_in_flight = 64,
		.heartbeat_ns = HEARTBEAT_NS,
		.backoff_min_ns = NS_PER_MS,
		.backoff_max_ns = 20 * NS_PER_MS,
		.policy = on_policy,
		.connected = on_connected,
		.unknown = on_unknown,
		.lookups = n->lookups,
		.ctx = n,
	};
	struct err e = {0};

	assert_int_equal(uplink_new(&config, &n->uplink, &e), 0);
	assert_int_equal(uplink_start(n->uplink, &e), 0);
}

static void push(struct node *n)
{
	struct process_def process = sample_shell;
	struct event event = sample_event(EVENT_KIND_EXEC, ++n->event_seq);
	struct spool_batch batch = {0};
	struct spool_counts dropped;

	process.exec_id = 100 + n->event_seq / 2; /* every second one defines nothing */
	event.process = &process;
	wire_encode_begin(n->enc);
	assert_int_equal(wire_encode_event(n->enc, &event), 0);
	assert_int_equal(wire_encode_parts(n->enc, &batch.parts), 0);
	assert_int_equal(spool_push(n->spool, &batch, &dropped), 0);
	if (n->uplink)
		uplink_wakeup(n->uplink);
}

static struct uplink_stats stats_of(struct node *n)
{
	struct uplink_stats stats;

	uplink_stats(n->uplink, &stats);
	return stats;
}

/* Reserves a port and gives it back, so that nobody listens there yet. */
static void choose_port(struct fake *f)
{
	fake_start(f, "127.0.0.1:0");
	fake_stop(f);
}

static void restart(struct fake *f)
{
	char address[64];

	(void)snprintf(address, sizeof(address), "%s", f->target);
	fake_start(f, address);
}

static void a_collector_that_comes_later_gets_everything_in_order(void **state)
{
	struct node *n = *state;

	choose_port(n->f);
	start(n);
	for (int i = 0; i < 10; i++)
		push(n);
	/* Stopping makes the uplink's last word visible without waiting for a clock. */
	assert_true(AWAIT(stats_of(n).failures > 0, WAIT_NS));
	assert_non_null(strstr(stats_of(n).problem, "connection refused"));
	restart(n->f);
	FAKE_AWAIT(n->f, n->f->batches == 10);
	assert_int_equal(n->f->hellos, 1);
	assert_int_equal(n->f->resume_seq, 1000);
	assert_string_equal(n->f->hello_node, "n1");
	for (uint64_t i = 0; i < 10; i++)
		assert_int_equal(n->f->seqs[i], 1000 + i);
	uplink_stop(n->uplink, STOP_MS);
	assert_int_equal(spool_length(n->spool), 0);
	assert_true(stats_of(n).connected);
}

static void a_bad_certificate_is_a_problem_with_a_sentence_and_not_the_end(void **state)
{
	struct node *n = *state;

	fake_make_cert(n->f->dir, "agent", TLS_ROLE_AGENT, -60);
	fake_start(n->f, "127.0.0.1:0");
	start(n);
	assert_true(AWAIT(stats_of(n).failures > 0, WAIT_NS));
	assert_non_null(strstr(stats_of(n).problem, "expired"));
	assert_false(stats_of(n).connected);
	/* A renewed one is used without a restart. */
	fake_make_cert(n->f->dir, "agent", TLS_ROLE_AGENT, 3600);
	FAKE_AWAIT(n->f, n->connected == 1);
}

static void a_missing_certificate_file_is_named(void **state)
{
	struct node *n = *state;

	fake_start(n->f, "127.0.0.1:0");
	(void)snprintf(n->cert, sizeof(n->cert), "%s/none.pem", n->f->dir);
	start(n);
	assert_true(AWAIT(stats_of(n).failures > 0, WAIT_NS));
	assert_non_null(strstr(stats_of(n).problem, "none.pem"));
}

static void what_is_not_acknowledged_comes_again_after_a_reconnect(void **state)
{
	struct node *n = *state;
	struct fake *f = n->f;

	f->mute = true;
	f->forgetful = true; /* another collector, as it were */
	fake_start(f, "127.0.0.1:0");
	start(n);
	for (int i = 0; i < 5; i++)
		push(n);
	FAKE_AWAIT(f, f->batches == 5);
	(void)pthread_mutex_lock(&f->lock);
	f->mute = false;
	listen_finish(f->call, LISTEN_UNAVAILABLE, "restarting");
	(void)pthread_mutex_unlock(&f->lock);
	FAKE_AWAIT(f, f->batches == 10);
	assert_int_equal(f->hellos, 2);
	assert_int_equal(f->resume_seq, 1000);
	assert_true(f->opens[5]);
	for (uint64_t i = 0; i < 5; i++)
		assert_int_equal(f->seqs[5 + i], 1000 + i);
	assert_int_equal(f->bad + f->stale, 0);
	uplink_stop(n->uplink, STOP_MS);
	assert_int_equal(spool_length(n->spool), 0);
}

static void a_collector_without_the_epoch_asks_for_it_and_gets_it(void **state)
{
	struct node *n = *state;
	struct fake *f = n->f;

	fake_start(f, "127.0.0.1:0");
	start(n);
	for (int i = 0; i < 3; i++)
		push(n);
	FAKE_AWAIT(f, f->batches == 3);
	(void)pthread_mutex_lock(&f->lock);
	wire_decoder_free(f->dec);
	f->dec = wire_decoder_new(WIRE_DEFINITIONS_MAX);
	(void)pthread_mutex_unlock(&f->lock);
	push(n);
	FAKE_AWAIT(f, f->batches == 4);
	assert_int_equal(f->stale, 1);
	assert_int_equal(f->bad, 0);
	assert_int_equal(f->seqs[3], 1003);
	assert_true(f->opens[3]);
	assert_int_equal(f->hellos, 1);
}

static void refusals_of_many_batches_are_answered_once(void **state)
{
	struct node *n = *state;
	struct fake *f = n->f;

	fake_start(f, "127.0.0.1:0");
	start(n);
	FAKE_AWAIT(f, n->connected == 1 && n->unknown == 1); /* both want the lock */
	push(n);
	FAKE_AWAIT(f, f->batches == 1);
	/* It reads none of the five before all of them are on their way. */
	(void)pthread_mutex_lock(&f->lock);
	wire_decoder_free(f->dec);
	f->dec = wire_decoder_new(WIRE_DEFINITIONS_MAX);
	for (int i = 0; i < 5; i++)
		push(n);
	assert_true(AWAIT(spool_unsent(n->spool) == 0, WAIT_NS));
	(void)pthread_mutex_unlock(&f->lock);
	FAKE_AWAIT(f, f->last_event == 6);
	push(n);
	FAKE_AWAIT(f, f->last_event == 7);
	assert_int_equal(f->stale, 5);
	assert_int_equal(f->batches, 1 + 5 + 1);
	assert_int_equal(f->bad, 0);
	/* And the next time it forgets, it is heard again. */
	(void)pthread_mutex_lock(&f->lock);
	wire_decoder_free(f->dec);
	f->dec = wire_decoder_new(WIRE_DEFINITIONS_MAX);
	(void)pthread_mutex_unlock(&f->lock);
	push(n);
	FAKE_AWAIT(f, f->last_event == 8);
	assert_int_equal(f->stale, 6);
}

static void batches_that_the_collector_has_are_not_sent_again(void **state)
{
	struct node *n = *state;
	struct fake *f = n->f;

	f->mute = true;
	fake_start(f, "127.0.0.1:0");
	start(n);
	for (int i = 0; i < 4; i++)
		push(n);
	FAKE_AWAIT(f, f->batches == 4);
	(void)pthread_mutex_lock(&f->lock);
	f->hello_answer = 1003; /* it had kept them all; its acknowledgements were lost */
	listen_finish(f->call, LISTEN_UNAVAILABLE, "restarting");
	(void)pthread_mutex_unlock(&f->lock);
	FAKE_AWAIT(f, f->hellos == 2);
	(void)pthread_mutex_lock(&f->lock);
	f->mute = false;
	(void)pthread_mutex_unlock(&f->lock);
	push(n);
	FAKE_AWAIT(f, f->last_event == 5);
	uplink_stop(n->uplink, STOP_MS);
	assert_int_equal(spool_length(n->spool), 0);
	assert_int_equal(f->bad + f->stale, 0);
}

static void only_a_collector_that_knows_nothing_is_told_what_runs(void **state)
{
	struct node *n = *state;
	struct fake *f = n->f;

	fake_start(f, "127.0.0.1:0");
	start(n);
	FAKE_AWAIT(f, n->unknown == 1);
	(void)pthread_mutex_lock(&f->lock);
	f->hello_answer = 999;
	listen_finish(f->call, LISTEN_UNAVAILABLE, "restarting");
	(void)pthread_mutex_unlock(&f->lock);
	FAKE_AWAIT(f, n->connected == 2);
	push(n);
	FAKE_AWAIT(f, f->batches == 1);
	assert_int_equal(n->unknown, 1);
}

static void an_agent_that_has_just_started_tells_what_runs(void **state)
{
	struct node *n = *state;
	struct fake *f = n->f;

	f->hello_answer = 999; /* of an agent that was here before */
	fake_start(f, "127.0.0.1:0");
	start(n);
	FAKE_AWAIT(f, n->unknown == 1);
	(void)pthread_mutex_lock(&f->lock);
	listen_finish(f->call, LISTEN_UNAVAILABLE, "restarting");
	(void)pthread_mutex_unlock(&f->lock);
	FAKE_AWAIT(f, n->connected == 2);
	push(n);
	FAKE_AWAIT(f, f->batches == 1);
	assert_int_equal(n->unknown, 1);
}

static void a_throttled_agent_keeps_to_its_window(void **state)
{
	struct node *n = *state;
	struct fake *f = n->f;

	f->mute = true;
	f->throttle = 2;
	fake_start(f, "127.0.0.1:0");
	start(n);
	FAKE_AWAIT(f, n->connected == 1); /* the throttle was the first word */
	for (int i = 0; i < 6; i++)
		push(n);
	/* A heartbeat that tells of waiting batches: the third was held back although it was there. */
	FAKE_AWAIT(f, f->batches == 2);
	(void)pthread_mutex_lock(&f->lock);
	f->waiting_beats = 0;
	(void)pthread_mutex_unlock(&f->lock);
	FAKE_AWAIT(f, f->waiting_beats >= 2);
	assert_int_equal(f->batches, 2);
	(void)pthread_mutex_lock(&f->lock);
	fake_ack(f->call, 1000);
	(void)pthread_mutex_unlock(&f->lock);
	FAKE_AWAIT(f, f->batches == 3);
}

static void policy_arrives_with_its_classes_and_names(void **state)
{
	struct node *n = *state;

	n->f->send_policy = true;
	fake_start(n->f, "127.0.0.1:0");
	start(n);
	FAKE_AWAIT(n->f, n->policies == 1);
	assert_int_equal(n->generation, 7);
	assert_int_equal(n->classes, 1 << NJ_CLASS_FILE);
	assert_string_equal(n->open_name, "shadow");
}

static bool some_lookups(void *ctx, struct cri_stats *ret_stats)
{
	(void)ctx;
	*ret_stats = (struct cri_stats){.answered = 77, .problem = "no socket"};
	return true;
}

static void heartbeats_tell_what_came_of_asking_the_runtime(void **state)
{
	struct node *n = *state;

	n->lookups = some_lookups;
	fake_start(n->f, "127.0.0.1:0");
	start(n);
	FAKE_AWAIT(n->f, n->f->answered == 77);
	assert_string_equal(n->f->problem, "no socket");
}

static void an_idle_agent_gives_signs_of_life(void **state)
{
	struct node *n = *state;

	fake_start(n->f, "127.0.0.1:0");
	start(n);
	FAKE_AWAIT(n->f, n->f->heartbeats >= 3);
	assert_int_equal(n->f->batches, 0);
	assert_int_equal(n->f->waiting_beats, 0);
	assert_true(n->f->rss_bytes > 0 && n->f->cpu_ns > 0);
}

static bool has_beaten(struct fake *f, uint32_t count)
{
	bool has;

	(void)pthread_mutex_lock(&f->lock);
	has = f->heartbeats >= count;
	(void)pthread_mutex_unlock(&f->lock);
	return has;
}

static void a_busy_agent_gives_signs_of_life_too(void **state)
{
	struct node *n = *state;

	fake_start(n->f, "127.0.0.1:0");
	start(n);
	FAKE_AWAIT(n->f, n->connected == 1);
	/* There is always a batch to send. */
	while (!has_beaten(n->f, 5)) {
		if (spool_length(n->spool) < 200)
			push(n);
		else
			(void)sched_yield();
	}
	(void)pthread_mutex_lock(&n->f->lock);
	assert_true(n->f->rss_bytes > 0 && n->f->cpu_ns > 0);
	assert_true(n->f->batches > 0);
	assert_int_equal(n->f->bad + n->f->stale, 0);
	(void)pthread_mutex_unlock(&n->f->lock);
}

static void garbage_from_the_collector_ends_the_connection(void **state)
{
	struct node *n = *state;
	struct fake *f = n->f;

	fake_start(f, "127.0.0.1:0");
	start(n);
	FAKE_AWAIT(f, n->connected == 1);
	(void)pthread_mutex_lock(&f->lock);
	assert_int_equal(listen_send(f->call, bytes_of_text("\xff\xff\xff")), 0);
	(void)pthread_mutex_unlock(&f->lock);
	FAKE_AWAIT(f, f->hellos == 2);
	FAKE_AWAIT(f, f->closed >= 1);
}

static void stopping_without_a_collector_does_not_wait(void **state)
{
	struct node *n = *state;

	choose_port(n->f);
	start(n);
	push(n);
	assert_true(AWAIT(stats_of(n).failures > 0, WAIT_NS));
	uplink_stop(n->uplink, STOP_MS);
	assert_int_equal(spool_length(n->spool), 1);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_collector_that_comes_later_gets_everything_in_order),
		TEST(a_bad_certificate_is_a_problem_with_a_sentence_and_not_the_end),
		TEST(a_missing_certificate_file_is_named),
		TEST(what_is_not_acknowledged_comes_again_after_a_reconnect),
		TEST(a_collector_without_the_epoch_asks_for_it_and_gets_it),
		TEST(refusals_of_many_batches_are_answered_once),
		TEST(batches_that_the_collector_has_are_not_sent_again),
		TEST(only_a_collector_that_knows_nothing_is_told_what_runs),
		TEST(an_agent_that_has_just_started_tells_what_runs),
		TEST(a_throttled_agent_keeps_to_its_window),
		TEST(policy_arrives_with_its_classes_and_names),
		TEST(heartbeats_tell_what_came_of_asking_the_runtime),
		TEST(an_idle_agent_gives_signs_of_life),
		TEST(a_busy_agent_gives_signs_of_life_too),
		TEST(garbage_from_the_collector_ends_the_connection),
		TEST(stopping_without_a_collector_does_not_wait),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
