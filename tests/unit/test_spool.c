/* Batches that wait for their acknowledgement: what is dropped is counted, what is sent again can be
 * read. A real decoder plays the collector. */
#include "tests/unit/wire_sample.h"

#include <errno.h>
#include <stdlib.h>

#include "node-agent/event_class.h"
#include "node-agent/spool.h"

#define FIRST_SEQ 1000
#define ROOMY	  (4UL << 20)

struct desk {
	struct wire_encoder *enc;
	struct spool *spool;
	struct wire_decoder *dec;
	struct arena *arena;
	uint64_t event_seq;
	struct spool_counts dropped;
};

static struct desk *desk_new(size_t limit)
{
	struct desk *d = calloc(1, sizeof(*d));

	d->enc = wire_encoder_new(64);
	d->spool = spool_new(limit, FIRST_SEQ);
	d->dec = wire_decoder_new(64);
	d->arena = arena_new(0);
	return d;
}

static void desk_free(struct desk *d)
{
	wire_encoder_free(d->enc);
	spool_free(d->spool);
	wire_decoder_free(d->dec);
	arena_free(d->arena);
	free(d);
}

/* A batch with one exec of its own process, which defines it, and the counts to go with it. */
static void push(struct desk *d)
{
	struct process_def process = sample_shell;
	struct event event = sample_event(EVENT_KIND_EXEC, ++d->event_seq);
	struct spool_batch batch = {.wall_offset_ns = 5, .policy_generation = 2};

	process.exec_id = 100 + d->event_seq;
	event.process = &process;
	if (wire_encoder_epoch_full(d->enc))
		wire_encoder_new_epoch(d->enc);
	wire_encode_begin(d->enc);
	assert_int_equal(wire_encode_event(d->enc, &event), 0);
	assert_int_equal(wire_encode_parts(d->enc, &batch.parts), 0);
	batch.counts.events[event_class(&event)] = 1;
	assert_int_equal(spool_push(d->spool, &batch, &d->dropped), 0);
}

/* The next batch as the collector reads it. */
static int take(struct desk *d, struct wire_batch *ret_batch)
{
	_cleanup_buf_ struct buf message = {0};
	int r = spool_take(d->spool, 1000, "n1", &message);

	assert_int_equal(r, 1);
	arena_reset(d->arena);
	return wire_decode_batch(d->dec, buf_bytes(&message), d->arena, ret_batch);
}

static void assert_next(struct desk *d, uint64_t event_seq, bool opens)
{
	struct wire_batch batch = {0};

	assert_int_equal(take(d, &batch), 0);
	assert_int_equal(batch.head.seq, FIRST_SEQ + event_seq - 1);
	assert_int_equal(batch.head.opens_epoch, opens);
	assert_int_equal(batch.event_count, 1);
	assert_int_equal(batch.events[0].seq, event_seq);
	assert_int_equal(batch.events[0].process->exec_id, 100 + event_seq);
}

static void assert_sent(struct desk *d)
{
	struct wire_batch batch = {0};

	assert_int_equal(take(d, &batch), 0);
}

static void assert_empty(struct desk *d)
{
	_cleanup_buf_ struct buf message = {0};

	assert_int_equal(spool_take(d->spool, 1000, "n1", &message), 0);
	assert_int_equal(message.len, 0);
}

static void an_empty_spool_has_nothing_to_send(void **state)
{
	struct desk *d = desk_new(ROOMY);

	(void)state;
	assert_empty(d);
	spool_ack(d->spool, 5000);
	(void)spool_rewind(d->spool);
	assert_empty(d);
	assert_int_equal(spool_resume_seq(d->spool), FIRST_SEQ);
	desk_free(d);
	spool_free(NULL);
}

static void a_full_spool_drops_the_oldest_and_counts_them_by_class(void **state)
{
	struct desk *d = desk_new(4096);
	uint64_t dropped = 0;

	(void)state;
	for (int i = 0; i < 50; i++) {
		push(d);
		dropped += d->dropped.events[NJ_CLASS_PROCESS];
		assert_int_equal(d->dropped.events[NJ_CLASS_FILE], 0);
	}
	assert_true(dropped > 0);
	assert_int_equal(dropped + spool_length(d->spool), 50);
	assert_int_equal(spool_resume_seq(d->spool), FIRST_SEQ + dropped);
	desk_free(d);
}

/* The definitions of the batches that went before it was sent are not lost with them. */
static void what_is_left_of_a_full_spool_can_be_read(void **state)
{
	struct desk *d = desk_new(8192);
	uint64_t first;

	(void)state;
	for (int i = 0; i < 40; i++)
		push(d);
	first = spool_resume_seq(d->spool) - FIRST_SEQ + 1;
	assert_true(first > 1);
	assert_next(d, first, true);
	for (uint64_t seq = first + 1; seq <= 40; seq++)
		assert_next(d, seq, false);
	assert_empty(d);
	desk_free(d);
}

static void a_batch_larger_than_the_limit_still_goes_out(void **state)
{
	struct desk *d = desk_new(1);

	(void)state;
	push(d);
	push(d);
	assert_int_equal(d->dropped.events[NJ_CLASS_PROCESS], 1);
	assert_next(d, 2, true);
	desk_free(d);
}

static void no_more_than_the_window_is_on_its_way(void **state)
{
	struct desk *d = desk_new(ROOMY);
	_cleanup_buf_ struct buf message = {0};

	(void)state;
	for (int i = 0; i < 3; i++)
		push(d);
	assert_int_equal(spool_take(d->spool, 2, "n1", &message), 1);
	assert_int_equal(spool_take(d->spool, 2, "n1", &message), 1);
	assert_int_equal(spool_take(d->spool, 2, "n1", &message), 0);
	spool_ack(d->spool, FIRST_SEQ);
	assert_int_equal(spool_take(d->spool, 2, "n1", &message), 1);
	assert_int_equal(spool_unsent(d->spool), 0);
	desk_free(d);
}

static void after_a_reconnect_the_unacknowledged_come_again_and_can_be_read(void **state)
{
	struct desk *d = desk_new(ROOMY);

	(void)state;
	for (int i = 0; i < 5; i++)
		push(d);
	assert_next(d, 1, true);
	assert_next(d, 2, false);
	assert_next(d, 3, false);
	spool_ack(d->spool, FIRST_SEQ + 1);
	(void)spool_rewind(d->spool);
	/* A collector that has started afresh. */
	wire_decoder_free(d->dec);
	d->dec = wire_decoder_new(64);
	assert_int_equal(spool_resume_seq(d->spool), FIRST_SEQ + 2);
	assert_next(d, 3, true);
	assert_next(d, 4, false);
	push(d);
	assert_next(d, 5, false);
	assert_next(d, 6, false);
	desk_free(d);
}

/* The acknowledged batches' definitions serve even when nothing was waiting at the reconnect. */
static void an_epoch_goes_on_over_a_reconnect_in_a_quiet_time(void **state)
{
	struct desk *d = desk_new(ROOMY);
	struct event event;
	struct spool_batch batch = {0};
	struct process_def process = sample_shell;
	struct wire_batch read = {0};

	(void)state;
	push(d);
	assert_next(d, 1, true);
	spool_ack(d->spool, FIRST_SEQ);
	(void)spool_rewind(d->spool);
	wire_decoder_free(d->dec);
	d->dec = wire_decoder_new(64);
	/* Defines nothing: its process was defined by the batch that is gone. */
	event = sample_event(EVENT_KIND_EXIT, 2);
	process.exec_id = 101;
	event.process = &process;
	wire_encode_begin(d->enc);
	assert_int_equal(wire_encode_event(d->enc, &event), 0);
	assert_int_equal(wire_encode_parts(d->enc, &batch.parts), 0);
	assert_int_equal(batch.parts.definitions.len, 0);
	assert_int_equal(spool_push(d->spool, &batch, &d->dropped), 0);
	assert_int_equal(take(d, &read), 0);
	assert_true(read.head.opens_epoch);
	assert_int_equal(read.events[0].process->exec_id, 101);
	desk_free(d);
}

/* Each defines its process, the first the target of all: more than 58 do not leave room for another. */
#define EPOCH_EVENTS 58

static void epochs_follow_each_other_within_the_spool(void **state)
{
	struct desk *d = desk_new(ROOMY);

	(void)state;
	for (uint64_t seq = 1; seq <= 200; seq++)
		push(d);
	for (uint64_t seq = 1; seq <= 100; seq++)
		assert_next(d, seq, seq % EPOCH_EVENTS == 1);
	spool_ack(d->spool, FIRST_SEQ + 69);
	(void)spool_rewind(d->spool);
	for (uint64_t seq = 71; seq <= 200; seq++)
		assert_next(d, seq, seq == 71 || seq % EPOCH_EVENTS == 1);
	desk_free(d);
}

static void an_acknowledgement_of_what_was_not_sent_again_is_taken(void **state)
{
	struct desk *d = desk_new(ROOMY);

	(void)state;
	for (int i = 0; i < 4; i++)
		push(d);
	for (uint64_t seq = 1; seq <= 3; seq++)
		assert_next(d, seq, seq == 1);
	(void)spool_rewind(d->spool);
	spool_ack(d->spool, FIRST_SEQ + 2); /* the answer to Hello: it had them */
	assert_next(d, 4, true);
	spool_ack(d->spool, FIRST_SEQ + 3);
	assert_int_equal(spool_length(d->spool), 0);
	assert_int_equal(spool_bytes(d->spool), 0);
	desk_free(d);
}

/* Sends all, then fills up until some of what was sent has to go. Returns how many went. */
static uint64_t fill_over_what_is_on_its_way(struct desk *d)
{
	size_t before;

	do {
		before = spool_length(d->spool);
		push(d);
		assert_sent(d);
		assert_int_equal(d->dropped.events[NJ_CLASS_PROCESS], 0);
	} while (spool_length(d->spool) > before);
	return d->event_seq - spool_length(d->spool);
}

static void what_goes_on_its_way_and_is_acknowledged_is_not_lost(void **state)
{
	struct desk *d = desk_new(4096);

	(void)state;
	assert_true(fill_over_what_is_on_its_way(d) > 0);
	spool_ack(d->spool, FIRST_SEQ + d->event_seq - 1);
	assert_int_equal(spool_length(d->spool), 0);
	(void)spool_rewind(d->spool);
	push(d);
	assert_int_equal(d->dropped.events[NJ_CLASS_PROCESS], 0);
	desk_free(d);
}

static void what_goes_on_its_way_is_lost_with_the_connection(void **state)
{
	struct desk *d = desk_new(4096);
	uint64_t went, in_flight;

	(void)state;
	went = fill_over_what_is_on_its_way(d);
	assert_true(went > 0);
	in_flight = spool_length(d->spool) + went;
	spool_ack(d->spool, FIRST_SEQ); /* the first of those that went has arrived */
	assert_int_equal(spool_rewind(d->spool), in_flight - 1);
	(void)spool_rewind(d->spool);
	spool_ack(d->spool, FIRST_SEQ + d->event_seq - 1);
	push(d);
	assert_int_equal(d->dropped.events[NJ_CLASS_PROCESS], went - 1);
	push(d);
	assert_int_equal(d->dropped.events[NJ_CLASS_PROCESS], 0);
	desk_free(d);
}

/* They are still waited for, so the window stays shut. */
static void what_went_on_its_way_counts_in_the_window(void **state)
{
	struct desk *d = desk_new(4096);
	_cleanup_buf_ struct buf message = {0};
	uint64_t went = fill_over_what_is_on_its_way(d);
	uint32_t window = (uint32_t)(spool_length(d->spool) + went);

	(void)state;
	push(d);
	assert_int_equal(spool_take(d->spool, window, "n1", &message), 0);
	spool_ack(d->spool, FIRST_SEQ);
	assert_int_equal(spool_take(d->spool, window, "n1", &message), 1);
	desk_free(d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_empty_spool_has_nothing_to_send),
		cmocka_unit_test(a_full_spool_drops_the_oldest_and_counts_them_by_class),
		cmocka_unit_test(what_is_left_of_a_full_spool_can_be_read),
		cmocka_unit_test(a_batch_larger_than_the_limit_still_goes_out),
		cmocka_unit_test(no_more_than_the_window_is_on_its_way),
		cmocka_unit_test(after_a_reconnect_the_unacknowledged_come_again_and_can_be_read),
		cmocka_unit_test(an_epoch_goes_on_over_a_reconnect_in_a_quiet_time),
		cmocka_unit_test(epochs_follow_each_other_within_the_spool),
		cmocka_unit_test(an_acknowledgement_of_what_was_not_sent_again_is_taken),
		cmocka_unit_test(what_goes_on_its_way_and_is_acknowledged_is_not_lost),
		cmocka_unit_test(what_goes_on_its_way_is_lost_with_the_connection),
		cmocka_unit_test(what_went_on_its_way_counts_in_the_window),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
