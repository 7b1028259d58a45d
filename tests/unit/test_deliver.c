/* The alert thread with sinks that are full, slow or refuse: nothing is lost, nobody waits for
 * another's sink. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "collector/deliver.h"
#include "tests/unit/alert_sample.h"

#define SEEN_MAX 4096

/* A sink that records ids and answers as told. */
struct fake {
	struct sink base;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	int answer; /* of publish */
	int seen;
	int disorder; /* rows that came after a later one */
	uint64_t queued, row, confirmed;
	char first[32], last[32], json[8192];
	int64_t detected_ns;
};

static int fake_publish(struct sink *sink, const struct sink_alert *a)
{
	struct fake *f = (struct fake *)sink;
	int r;

	(void)pthread_mutex_lock(&f->lock);
	r = f->answer;
	if (r == 0) {
		(void)snprintf(f->seen ? f->last : f->first, sizeof(f->last), "%s", a->alert->id);
		(void)snprintf(f->json, sizeof(f->json), "%s", a->json);
		f->detected_ns = a->alert->timing->detected_ns;
		f->disorder += a->row && a->row <= f->row;
		f->row = a->row ? a->row : f->row;
	}
	f->seen += r != -EAGAIN;
	(void)pthread_cond_broadcast(&f->changed);
	(void)pthread_mutex_unlock(&f->lock);
	return r;
}

static void fake_poll(struct sink *sink)
{
	(void)sink;
}

static int fake_drain(struct sink *sink, int timeout_ms)
{
	(void)timeout_ms;
	return (int)((struct fake *)sink)->queued;
}

static void fake_stats(const struct sink *sink, struct sink_stats *ret_stats)
{
	struct fake *f = (struct fake *)(uintptr_t)sink; /* for its lock */

	(void)pthread_mutex_lock(&f->lock);
	*ret_stats = (struct sink_stats){.queued = f->queued, .confirmed = f->confirmed};
	(void)pthread_mutex_unlock(&f->lock);
}

static const struct sink_type fake_type = {
	.name = "fake",
	.publish = fake_publish,
	.poll = fake_poll,
	.drain = fake_drain,
	.stats = fake_stats,
};

static const struct sink_type durable_type = {
	.name = "durable",
	.durable = true,
	.publish = fake_publish,
	.poll = fake_poll,
	.drain = fake_drain,
	.stats = fake_stats,
};

static void fake_answer(struct fake *f, int answer)
{
	(void)pthread_mutex_lock(&f->lock);
	f->answer = answer;
	(void)pthread_mutex_unlock(&f->lock);
}

static void fake_confirm(struct fake *f, uint64_t row)
{
	(void)pthread_mutex_lock(&f->lock);
	f->confirmed = row;
	(void)pthread_mutex_unlock(&f->lock);
}

static void fake_await(struct fake *f, int seen)
{
	(void)pthread_mutex_lock(&f->lock);
	while (f->seen < seen)
		(void)pthread_cond_wait(&f->changed, &f->lock);
	(void)pthread_mutex_unlock(&f->lock);
}

struct rig {
	struct store *store;
	struct metrics *metrics;
	struct deliver *deliver;
	struct fake one, two;
	struct sink *sinks[3];
};

static void fake_init(struct fake *f, const struct sink_type *type)
{
	*f = (struct fake){.base.type = type};
	(void)pthread_mutex_init(&f->lock, NULL);
	(void)pthread_cond_init(&f->changed, NULL);
}

/* On a store that is there already; the first sink is durable. */
static void start_on(struct rig *rig, size_t capacity)
{
	struct deliver_config config = {.queue_capacity = capacity, .store = rig->store};
	struct err e = {0};

	rig->metrics = metrics_new();
	config.metrics = rig->metrics;
	config.sinks = rig->sinks;
	assert_int_equal(deliver_new(&config, &rig->deliver, &e), 0);
}

static void start_of(struct rig *rig, const struct sink_type *first, size_t capacity)
{
	struct err e = {0};

	*rig = (struct rig){0};
	fake_init(&rig->one, first);
	fake_init(&rig->two, &fake_type);
	rig->sinks[0] = &rig->one.base;
	rig->sinks[1] = &rig->two.base;
	assert_int_equal(store_open(":memory:", &rig->store, &e), 0);
	start_on(rig, capacity);
}

static void start(struct rig *rig, size_t capacity)
{
	start_of(rig, &fake_type, capacity);
}

static void start_replay(struct rig *rig)
{
	struct deliver_config config = {.queue_capacity = 8, .replay = true};
	struct err e = {0};

	*rig = (struct rig){0};
	fake_init(&rig->two, &fake_type);
	rig->sinks[0] = &rig->two.base;
	assert_int_equal(store_open(":memory:", &rig->store, &e), 0);
	rig->metrics = metrics_new();
	config.store = rig->store;
	config.metrics = rig->metrics;
	config.sinks = rig->sinks;
	assert_int_equal(deliver_new(&config, &rig->deliver, &e), 0);
}

static int stop_deliver(struct rig *rig, int timeout_ms)
{
	int unconfirmed = deliver_stop(rig->deliver, timeout_ms);

	deliver_free(rig->deliver);
	metrics_free(rig->metrics);
	return unconfirmed;
}

static int stop(struct rig *rig, int timeout_ms)
{
	int unconfirmed = stop_deliver(rig, timeout_ms);

	store_close(rig->store);
	return unconfirmed;
}

static struct alert *made(int n)
{
	struct alert *a = alert_new();

	assert_non_null(a);
	a->msg.id = arena_printf(a->arena, "%026d", n);
	a->msg.rule = sample_text("reverse_shell");
	return a;
}

static void a_full_sink_loses_nothing_and_holds_back_no_other(void **state)
{
	struct rig rig;

	(void)state;
	start(&rig, 64);
	fake_answer(&rig.one, -EAGAIN);
	for (int i = 0; i < 50; i++)
		deliver_submit(rig.deliver, made(i));
	fake_await(&rig.two, 50);
	assert_int_equal(rig.one.seen, 0);
	fake_answer(&rig.one, 0);
	fake_await(&rig.one, 50);
	assert_string_equal(rig.one.first, "00000000000000000000000000");
	assert_string_equal(rig.one.last, "00000000000000000000000049");
	assert_int_equal(stop(&rig, 1000), 0);
}

static void submit(struct rig *rig, int first, int end)
{
	for (int i = first; i < end; i++)
		deliver_submit(rig->deliver, made(i));
}

static void nobody_waits_for_a_sink_that_stays_full(void **state)
{
	struct rig rig;

	(void)state;
	start(&rig, 4);
	fake_answer(&rig.one, -EAGAIN);
	submit(&rig, 0, 100);
	fake_await(&rig.two, 100);
	assert_int_equal(store_count(rig.store), 100);
	fake_answer(&rig.one, 0);
	fake_await(&rig.one, 100);
	submit(&rig, 100, 150);
	assert_int_equal(stop(&rig, 5000), 0);
	assert_int_equal(rig.one.seen, 150);
	assert_int_equal(rig.one.disorder, 0);
	assert_string_equal(rig.one.last, "00000000000000000000000149");
	assert_int_equal(rig.two.seen, 150);
	assert_int_equal(rig.two.disorder, 0);
}

static void *submit_with_some_that_the_store_refuses(void *arg)
{
	for (int i = 0; i < 40; i++) {
		struct alert *a = made(i);

		if (i % 10 == 5)
			a->msg.id = sample_text("");
		deliver_submit(arg, a);
	}
	return NULL;
}

static void what_the_store_refuses_waits_in_memory(void **state)
{
	struct rig rig;
	pthread_t submitter;

	(void)state;
	start(&rig, 4);
	fake_answer(&rig.one, -EAGAIN);
	assert_int_equal(pthread_create(&submitter, NULL, submit_with_some_that_the_store_refuses,
					rig.deliver),
			 0);
	fake_await(&rig.two, 8);
	assert_true(store_count(rig.store) < 20); /* detectors wait: it is nowhere else */
	fake_answer(&rig.one, 0);
	(void)pthread_join(submitter, NULL);
	assert_int_equal(stop(&rig, 5000), 0);
	assert_int_equal(rig.one.seen, 40);
	assert_int_equal(rig.two.seen, 40);
	assert_int_equal(rig.one.disorder, 0);
}

/* From the store it has the same bytes that it has from memory. */
static void what_comes_from_the_store_is_what_was_sent(void **state)
{
	struct rig rig;

	(void)state;
	start(&rig, 1);
	fake_answer(&rig.one, -EAGAIN);
	submit(&rig, 0, 3);
	fake_await(&rig.two, 3);
	fake_answer(&rig.one, 0);
	fake_await(&rig.one, 3);
	assert_int_equal(stop(&rig, 5000), 0);
	assert_string_equal(rig.one.json, rig.two.json);
}

static void a_durable_sink_gets_after_a_crash_what_it_had_not_confirmed(void **state)
{
	struct rig rig;

	(void)state;
	start_of(&rig, &durable_type, 4);
	submit(&rig, 0, 10);
	fake_await(&rig.one, 10);
	fake_confirm(&rig.one, 7);
	assert_int_equal(stop_deliver(&rig, 1000), 0);

	fake_init(&rig.one, &durable_type);
	start_on(&rig, 4);
	fake_await(&rig.one, 3);
	submit(&rig, 10, 12);
	fake_await(&rig.one, 5);
	assert_string_equal(rig.one.first, "00000000000000000000000007");
	assert_string_equal(rig.one.last, "00000000000000000000000011");
	assert_int_equal(rig.one.disorder, 0);
	assert_int_equal(stop(&rig, 1000), 0);
	assert_int_equal(rig.two.seen, 12);
}

static void what_a_durable_sink_never_took_comes_at_the_next_start(void **state)
{
	struct rig rig;

	(void)state;
	start_of(&rig, &durable_type, 4);
	fake_answer(&rig.one, -EAGAIN);
	submit(&rig, 0, 20);
	fake_await(&rig.two, 20);
	assert_int_equal(stop_deliver(&rig, 1), 20);
	fake_answer(&rig.one, 0);
	start_on(&rig, 4);
	fake_await(&rig.one, 20);
	assert_int_equal(stop(&rig, 1000), 0);
	assert_int_equal(rig.two.seen, 20);
}

/* A sink that was confirmed once is told nothing twice. */
static void what_is_confirmed_is_not_sent_again(void **state)
{
	struct rig rig;

	(void)state;
	start_of(&rig, &durable_type, 4);
	submit(&rig, 0, 5);
	fake_await(&rig.one, 5);
	fake_confirm(&rig.one, 5);
	assert_int_equal(stop_deliver(&rig, 1000), 0);
	start_on(&rig, 4);
	submit(&rig, 5, 6);
	fake_await(&rig.one, 6);
	assert_int_equal(stop(&rig, 1000), 0);
	assert_int_equal(rig.one.seen, 6);
}

static void a_refused_alert_is_passed_over(void **state)
{
	struct rig rig;

	(void)state;
	start(&rig, 8);
	fake_answer(&rig.one, -EMSGSIZE);
	deliver_submit(rig.deliver, made(1));
	fake_await(&rig.one, 1);
	fake_answer(&rig.one, 0);
	deliver_submit(rig.deliver, made(2));
	fake_await(&rig.one, 2);
	assert_string_equal(rig.one.last, "00000000000000000000000002");
	assert_int_equal(stop(&rig, 1000), 0);
}

static void a_sink_that_stays_full_is_reported_at_the_end_and_all_is_stored(void **state)
{
	struct rig rig;

	(void)state;
	start(&rig, 4);
	fake_answer(&rig.one, -EAGAIN);
	for (int i = 0; i < 6; i++)
		deliver_submit(rig.deliver, made(i));
	assert_int_equal(deliver_stop(rig.deliver, 10), 6);
	assert_int_equal(store_count(rig.store), 6);
	deliver_free(rig.deliver);
	store_close(rig.store);
	metrics_free(rig.metrics);
}

static void what_a_sink_could_not_confirm_is_counted_at_the_end(void **state)
{
	struct rig rig;

	(void)state;
	start(&rig, 4);
	(void)pthread_mutex_lock(&rig.two.lock);
	rig.two.queued = 3;
	(void)pthread_mutex_unlock(&rig.two.lock);
	assert_int_equal(stop(&rig, 10), 3);
}

static void an_alert_made_again_is_sent_once(void **state)
{
	struct rig rig;

	(void)state;
	start(&rig, 8);
	deliver_submit(rig.deliver, made(1));
	deliver_submit(rig.deliver, made(1));
	deliver_submit(rig.deliver, made(2));
	fake_await(&rig.two, 2);
	assert_int_equal(stop(&rig, 1000), 0);
	assert_int_equal(rig.one.seen, 2);
}

static void bytes_that_are_no_text_are_mended_before_they_are_stored(void **state)
{
	struct rig rig;
	struct alert *a = made(1);
	_cleanup_(arena_freep) struct arena *arena = arena_new(0);
	Nightjar__V1__Alert *got = NULL;

	(void)state;
	start(&rig, 8);
	a->msg.output = sample_text("cut \xe2\x82");
	deliver_submit(rig.deliver, a);
	fake_await(&rig.two, 1);
	assert_int_equal(store_get(rig.store, "00000000000000000000000001", arena, &got), 0);
	assert_string_equal(got->output, "cut \xef\xbf\xbd\xef\xbf\xbd");
	assert_non_null(strstr(rig.two.json, "\"output\":\"cut \xef\xbf\xbd\xef\xbf\xbd\""));
	assert_int_equal(stop(&rig, 1000), 0);
}

static void delivery_times_are_set_and_a_replay_leaves_them_out(void **state)
{
	struct rig rig;

	(void)state;
	start(&rig, 8);
	deliver_submit(rig.deliver, made(1));
	fake_await(&rig.two, 1);
	assert_true(rig.two.detected_ns > 0);
	assert_int_equal(stop(&rig, 1000), 0);
	start_replay(&rig);
	deliver_submit(rig.deliver, made(1));
	fake_await(&rig.two, 1);
	assert_true(rig.two.detected_ns == 0);
	assert_null(strstr(rig.two.json, "_ns"));
	assert_int_equal(stop(&rig, 1000), 0);
}

static void freeing_nothing_is_allowed(void **state)
{
	(void)state;
	deliver_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_full_sink_loses_nothing_and_holds_back_no_other),
		cmocka_unit_test(nobody_waits_for_a_sink_that_stays_full),
		cmocka_unit_test(what_the_store_refuses_waits_in_memory),
		cmocka_unit_test(what_comes_from_the_store_is_what_was_sent),
		cmocka_unit_test(a_durable_sink_gets_after_a_crash_what_it_had_not_confirmed),
		cmocka_unit_test(what_a_durable_sink_never_took_comes_at_the_next_start),
		cmocka_unit_test(what_is_confirmed_is_not_sent_again),
		cmocka_unit_test(a_refused_alert_is_passed_over),
		cmocka_unit_test(a_sink_that_stays_full_is_reported_at_the_end_and_all_is_stored),
		cmocka_unit_test(what_a_sink_could_not_confirm_is_counted_at_the_end),
		cmocka_unit_test(an_alert_made_again_is_sent_once),
		cmocka_unit_test(bytes_that_are_no_text_are_mended_before_they_are_stored),
		cmocka_unit_test(delivery_times_are_set_and_a_replay_leaves_them_out),
		cmocka_unit_test(freeing_nothing_is_allowed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
