/* When a batch is closed, and that nothing which does not fit goes uncounted. Time is a number here. */
#include "tests/unit/wire_sample.h"

#include <stdlib.h>

#include "common/clock.h"
#include "node-agent/batch.h"

#define T0	    (1000 * NS_PER_SEC)
#define INTERVAL_US 2000
#define INTERVAL_NS (INTERVAL_US * NS_PER_US)

struct desk {
	struct spool *spool;
	struct batch *batch;
	struct wire_decoder *dec;
	struct arena *arena;
	uint64_t seq;
};

static struct desk *desk_new(uint32_t max_events, size_t max_bytes, size_t spool_limit)
{
	struct desk *d = calloc(1, sizeof(*d));
	struct batch_config config = {
		.max_events = max_events,
		.max_bytes = max_bytes,
		.interval_ns = INTERVAL_NS,
		.age_ns = 5 * NS_PER_MS,
		.epoch_ns = 60 * NS_PER_SEC,
		.max_definitions = 64,
	};

	d->spool = spool_new(spool_limit, 1);
	config.spool = d->spool;
	d->batch = batch_new(&config);
	d->dec = wire_decoder_new(64);
	d->arena = arena_new(0);
	return d;
}

static void desk_free(struct desk *d)
{
	batch_free(d->batch);
	spool_free(d->spool);
	wire_decoder_free(d->dec);
	arena_free(d->arena);
	free(d);
}

static void add(struct desk *d, uint64_t now_ns)
{
	struct event event = sample_event(EVENT_KIND_OPEN, ++d->seq);

	batch_add(d->batch, &event, now_ns);
}

/* Sends and reads the next batch. */
static void take(struct desk *d, struct wire_batch *ret_batch)
{
	_cleanup_buf_ struct buf message = {0};

	assert_int_equal(spool_take(d->spool, 1000, "", &message), 1);
	arena_reset(d->arena);
	assert_int_equal(wire_decode_batch(d->dec, buf_bytes(&message), d->arena, ret_batch), 0);
}

static uint64_t count_losses(const struct wire_batch *batch, enum loss_reason reason, const char *class)
{
	uint64_t count = 0;

	for (uint32_t i = 0; i < batch->loss_count; i++)
		if (batch->losses[i].reason == reason && strcmp(batch->losses[i].class, class) == 0)
			count += batch->losses[i].count;
	return count;
}

static void an_event_that_cannot_be_encoded_is_a_counted_loss(void **state)
{
	struct desk *d = desk_new(100, 1 << 20, 1 << 20);
	struct event event = sample_event(EVENT_KIND_FORK, 1); /* without its child */
	struct wire_batch batch;

	(void)state;
	batch_add(d->batch, &event, T0);
	batch_turn(d->batch, T0);
	take(d, &batch);
	assert_int_equal(batch.event_count, 0);
	assert_int_equal(count_losses(&batch, LOSS_REASON_DECODE, "process"), 1);
	desk_free(d);
}

/* Kept definitions take room from batches; an epoch of new processes only must not take all of it. */
static void definitions_never_crowd_the_batches_out(void **state)
{
	struct desk *d = desk_new(1, 1 << 20, 8192);

	(void)state;
	for (uint64_t i = 1; i <= 300; i++) {
		struct process_def process = sample_shell;
		struct event event = sample_event(EVENT_KIND_EXEC, i);

		process.exec_id = 1000 + i;
		event.process = &process;
		batch_add(d->batch, &event, T0);
		assert_true(i < 20 || spool_length(d->spool) >= 3);
	}
	desk_free(d);
}

static void events_dropped_by_a_full_spool_are_reported(void **state)
{
	struct desk *d = desk_new(1, 1 << 20, 4096);
	struct batch_stats stats;
	struct wire_batch batch;
	uint64_t read = 0, lost = 0;

	(void)state;
	for (int i = 0; i < 100; i++)
		add(d, T0);
	batch_flush(d->batch, T0);
	while (spool_unsent(d->spool) > 0) {
		take(d, &batch);
		read += batch.event_count;
		lost += count_losses(&batch, LOSS_REASON_QUEUE, "file");
	}
	assert_true(read > 0 && lost > 0);
	/* The flush itself may have pushed more out: that is said by the next batch. */
	batch_flush(d->batch, T0);
	while (spool_unsent(d->spool) > 0) {
		take(d, &batch);
		lost += count_losses(&batch, LOSS_REASON_QUEUE, "file");
	}
	assert_true(read + lost >= 100); /* rather twice than not at all */
	batch_stats(d->batch, &stats);
	assert_int_equal(stats.events, 100);
	assert_true(stats.lost > 0);
	desk_free(d);
}

static void a_single_event_leaves_within_its_turn(void **state)
{
	struct desk *d = desk_new(100, 1 << 20, 1 << 20);
	struct wire_batch batch;

	(void)state;
	assert_int_equal(batch_deadline_ns(d->batch), 0);
	batch_turn(d->batch, T0);
	assert_int_equal(spool_length(d->spool), 0);
	add(d, T0);
	batch_turn(d->batch, T0);
	assert_int_equal(spool_length(d->spool), 1);
	assert_int_equal(batch_deadline_ns(d->batch), 0);
	take(d, &batch);
	assert_int_equal(batch.event_count, 1);
	desk_free(d);
}

/* Adds an event every 100 us from from_us until to_us; returns how many batches that made. */
static size_t stream(struct desk *d, uint64_t from_us, uint64_t to_us)
{
	struct wire_batch batch;
	size_t batches = 0;

	for (uint64_t us = from_us; us < to_us; us += 100) {
		add(d, T0 + us * NS_PER_US);
		batch_turn(d->batch, T0 + us * NS_PER_US);
		for (; spool_unsent(d->spool) > 0; batches++)
			take(d, &batch);
	}
	return batches;
}

static void the_first_events_of_an_act_do_not_wait_for_each_other(void **state)
{
	struct desk *d = desk_new(1000, 1 << 20, 1 << 20);

	(void)state;
	assert_int_equal(stream(d, 0, 100 * (1 + BATCH_BURST)), 1 + BATCH_BURST);
	assert_int_equal(stream(d, 100 * (1 + BATCH_BURST), 100 * (2 + BATCH_BURST)), 0);
	assert_int_equal(batch_deadline_ns(d->batch), T0 + 100 * BATCH_BURST * NS_PER_US + INTERVAL_NS / BATCH_HASTE);
	desk_free(d);
}

/* The first waits on the way to a whole interval make two more. */
static void a_steady_stream_makes_one_batch_per_interval(void **state)
{
	struct desk *d = desk_new(1000, 1 << 20, 1 << 20);

	(void)state;
	assert_int_equal(stream(d, 0, 100 * INTERVAL_US), 100 + BATCH_BURST + 2);
	assert_int_equal(stream(d, 100 * INTERVAL_US, 200 * INTERVAL_US), 100);
	/* A short rest is worth what it lasts. */
	assert_int_equal(stream(d, 203 * INTERVAL_US, 204 * INTERVAL_US), 3 + 1);
	/* A long one gives back all that can be saved, and no more than that. */
	assert_int_equal(stream(d, 300 * INTERVAL_US, 300 * INTERVAL_US + 100 * (2 + BATCH_BURST)), 1 + BATCH_BURST);
	desk_free(d);
}

/* When the purse is empty: an eighth of an interval, then twice as long each time. */
static void the_wait_doubles_up_to_an_interval(void **state)
{
	struct desk *d = desk_new(1000, 1 << 20, 1 << 20);
	uint64_t at = T0;

	(void)state;
	for (unsigned int i = 0; i <= BATCH_BURST; i++)
		assert_int_equal(stream(d, 0, 100), 1);
	for (uint64_t wait = INTERVAL_NS / BATCH_HASTE; wait < INTERVAL_NS; wait *= 2) {
		struct wire_batch batch;

		assert_int_equal(batch_rest_ns(d->batch, at), wait);
		at += wait;
		add(d, at - 1);
		batch_turn(d->batch, at - 1);
		assert_int_equal(spool_unsent(d->spool), 0);
		batch_turn(d->batch, at);
		assert_int_equal(spool_unsent(d->spool), 1);
		take(d, &batch);
	}
	assert_int_equal(batch_rest_ns(d->batch, at), INTERVAL_NS);
	desk_free(d);
}

/* Who feeds it need not be woken before something could leave. */
static void while_nothing_would_leave_there_is_rest(void **state)
{
	struct desk *d = desk_new(1000, 1 << 20, 1 << 20);

	(void)state;
	assert_int_equal(batch_rest_ns(d->batch, T0), 0);
	for (unsigned int i = 0; i < BATCH_BURST; i++) {
		assert_int_equal(stream(d, 0, 100), 1);
		assert_int_equal(batch_rest_ns(d->batch, T0), 0);
	}
	assert_int_equal(stream(d, 0, 100), 1);
	assert_int_equal(batch_rest_ns(d->batch, T0), INTERVAL_NS / BATCH_HASTE);
	assert_int_equal(batch_rest_ns(d->batch, T0 + 1), INTERVAL_NS / BATCH_HASTE - 1);
	assert_int_equal(batch_rest_ns(d->batch, T0 + INTERVAL_NS / BATCH_HASTE), 0);
	desk_free(d);
}

/* However long the interval: an event does not wait for longer than `age` because of it. */
static void rest_is_not_longer_than_an_event_may_wait(void **state)
{
	const struct batch_config slow = {
		.max_events = 1000, .max_bytes = 1 << 20, .interval_ns = NS_PER_SEC, .age_ns = 5 * NS_PER_MS};
	struct desk *d = desk_new(1000, 1 << 20, 1 << 20);

	(void)state;
	batch_set_limits(d->batch, &slow);
	for (unsigned int i = 0; i <= BATCH_BURST; i++)
		assert_int_equal(stream(d, 0, 100), 1);
	assert_int_equal(batch_rest_ns(d->batch, T0), slow.age_ns); /* an eighth of a second is more */
	add(d, T0);
	assert_int_equal(batch_rest_ns(d->batch, T0 + NS_PER_MS), 4 * NS_PER_MS);
	assert_int_equal(batch_rest_ns(d->batch, T0 + slow.age_ns), 0);
	batch_turn(d->batch, T0 + slow.age_ns);
	assert_int_equal(spool_unsent(d->spool), 1);
	desk_free(d);
}

static void behind_a_slow_uplink_batches_fill_until_they_are_old(void **state)
{
	struct desk *d = desk_new(1000, 1 << 20, 1 << 20);

	(void)state;
	add(d, T0);
	batch_turn(d->batch, T0); /* and is not sent */
	add(d, T0 + 2 * NS_PER_MS);
	batch_turn(d->batch, T0 + 2 * NS_PER_MS);
	assert_int_equal(spool_length(d->spool), 1);
	assert_in_range(batch_deadline_ns(d->batch), T0 + 2 * NS_PER_MS + 1, T0 + 7 * NS_PER_MS);
	batch_turn(d->batch, T0 + 7 * NS_PER_MS);
	assert_int_equal(spool_length(d->spool), 2);
	desk_free(d);
}

static void a_full_batch_is_closed_at_once(void **state)
{
	struct desk *d = desk_new(10, 1 << 20, 1 << 20);
	struct wire_batch batch;

	(void)state;
	for (int i = 0; i < 25; i++)
		add(d, T0);
	assert_int_equal(spool_length(d->spool), 2);
	take(d, &batch);
	assert_int_equal(batch.event_count, 10);
	desk_free(d);
}

static void a_batch_of_enough_bytes_is_closed_at_once(void **state)
{
	struct desk *d = desk_new(1000, 2000, 1 << 20);
	struct wire_batch batch;

	(void)state;
	for (int i = 0; i < 25; i++)
		add(d, T0);
	assert_true(spool_length(d->spool) >= 2);
	take(d, &batch);
	assert_in_range(batch.event_count, 1, 12);
	desk_free(d);
}

static void an_old_epoch_and_a_full_one_are_followed_by_a_new_one(void **state)
{
	struct desk *d = desk_new(1, 1 << 20, 1 << 20);
	struct wire_batch batch;
	struct process_def process = sample_shell;

	(void)state;
	add(d, T0);
	add(d, T0 + NS_PER_SEC);
	add(d, T0 + 61 * NS_PER_SEC);
	take(d, &batch);
	assert_true(batch.head.opens_epoch);
	take(d, &batch);
	assert_false(batch.head.opens_epoch);
	take(d, &batch);
	assert_true(batch.head.opens_epoch);
	for (int i = 0; i < 200; i++) {
		struct event event = sample_event(EVENT_KIND_EXEC, ++d->seq);

		process.exec_id++;
		event.process = &process;
		batch_add(d->batch, &event, T0 + 62 * NS_PER_SEC);
		take(d, &batch);
		assert_int_equal(batch.events[0].process->exec_id, process.exec_id);
	}
	assert_true(batch.head.epoch >= 4);
	desk_free(d);
}

static void a_new_epoch_can_be_wanted(void **state)
{
	struct desk *d = desk_new(1, 1 << 20, 1 << 20);
	struct wire_batch batch;

	(void)state;
	add(d, T0);
	batch_new_epoch(d->batch);
	add(d, T0);
	add(d, T0);
	take(d, &batch);
	take(d, &batch);
	assert_true(batch.head.opens_epoch);
	take(d, &batch);
	assert_false(batch.head.opens_epoch);
	desk_free(d);
}

static void a_gap_in_the_numbers_closes_the_batch(void **state)
{
	struct desk *d = desk_new(100, 1 << 20, 1 << 20);
	struct wire_batch batch;

	(void)state;
	add(d, T0);
	d->seq += 5;
	add(d, T0);
	batch_flush(d->batch, T0);
	take(d, &batch);
	assert_int_equal(batch.head.first_event, 1);
	take(d, &batch);
	assert_int_equal(batch.head.first_event, 7);
	assert_int_equal(batch.loss_count, 0);
	desk_free(d);
}

static void losses_from_the_kernel_go_out_without_an_event(void **state)
{
	struct desk *d = desk_new(100, 1 << 20, 1 << 20);
	const struct loss loss = {LOSS_REASON_RING, "tcp", 12};
	struct wire_batch batch;

	(void)state;
	batch_set_generation(d->batch, 9);
	batch_set_wall_offset(d->batch, -77);
	batch_add_loss(d->batch, &loss);
	batch_add_loss(d->batch, &loss);
	batch_turn(d->batch, T0);
	take(d, &batch);
	assert_int_equal(count_losses(&batch, LOSS_REASON_RING, "tcp"), 24);
	assert_int_equal(batch.head.policy_generation, 9);
	assert_int_equal(batch.head.wall_offset_ns, -77);
	batch_turn(d->batch, T0 + NS_PER_SEC);
	assert_int_equal(spool_unsent(d->spool), 0);
	desk_free(d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_event_that_cannot_be_encoded_is_a_counted_loss),
		cmocka_unit_test(definitions_never_crowd_the_batches_out),
		cmocka_unit_test(events_dropped_by_a_full_spool_are_reported),
		cmocka_unit_test(a_single_event_leaves_within_its_turn),
		cmocka_unit_test(the_first_events_of_an_act_do_not_wait_for_each_other),
		cmocka_unit_test(a_steady_stream_makes_one_batch_per_interval),
		cmocka_unit_test(the_wait_doubles_up_to_an_interval),
		cmocka_unit_test(while_nothing_would_leave_there_is_rest),
		cmocka_unit_test(rest_is_not_longer_than_an_event_may_wait),
		cmocka_unit_test(behind_a_slow_uplink_batches_fill_until_they_are_old),
		cmocka_unit_test(a_full_batch_is_closed_at_once),
		cmocka_unit_test(a_batch_of_enough_bytes_is_closed_at_once),
		cmocka_unit_test(an_old_epoch_and_a_full_one_are_followed_by_a_new_one),
		cmocka_unit_test(a_new_epoch_can_be_wanted),
		cmocka_unit_test(a_gap_in_the_numbers_closes_the_batch),
		cmocka_unit_test(losses_from_the_kernel_go_out_without_an_event),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
