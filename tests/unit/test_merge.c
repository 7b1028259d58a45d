/* Rings in plain memory: which record comes first, and what a turn leaves for the next one. */
#include "tests/unit/unit.h"

#include <errno.h>

#include "bpf/abi.h"
#include "node-agent/merge.h"

#define RING_SIZE 4096
#define BUSY	  (1U << 31)
#define DISCARDED (1U << 30)

struct fake {
	unsigned long consumer, producer;
	uint8_t data[RING_SIZE] __attribute__((aligned(8)));
};

struct fixture {
	struct merge *m;
	struct fake rings[3];
	uint64_t times[64];
	uint32_t count;
};

static int set_up(void **state)
{
	static struct fixture f;

	memset(&f, 0, sizeof(f));
	f.m = merge_new(3);
	for (int i = 0; i < 3; i++)
		assert_int_equal(merge_add_memory(f.m, &f.rings[i].consumer, &f.rings[i].producer,
						  f.rings[i].data, RING_SIZE), 0);
	*state = &f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	merge_free(f->m);
	return 0;
}

/* Returns where it was put. */
static unsigned long push_bytes(struct fake *ring, const void *record, uint32_t size, uint32_t flags)
{
	unsigned long at = ring->producer;
	uint32_t header[2] = {size | flags, 0};

	for (size_t i = 0; i < sizeof(header) + size; i++)
		ring->data[(at + i) % RING_SIZE] =
			i < 8 ? ((uint8_t *)header)[i] : ((const uint8_t *)record)[i - 8];
	ring->producer += (8 + size + 7) & ~7UL;
	return at;
}

static unsigned long push(struct fake *ring, uint64_t time, uint32_t flags)
{
	struct nj_exit record = {.head = {.size = sizeof(record), .type = NJ_EXIT, .time = time}};

	return push_bytes(ring, &record, sizeof(record), flags);
}

static void commit(struct fake *ring, unsigned long at)
{
	ring->data[at % RING_SIZE + 3] &= 0x3f;
}

static void take(void *ctx, struct bytes record)
{
	struct fixture *f = ctx;
	struct nj_head head;

	memcpy(&head, record.data, sizeof(head));
	f->times[f->count++] = head.time;
}

static void bad_sizes_and_too_many_rings_are_refused(void **state)
{
	struct fixture *f = *state;
	struct merge *m = merge_new(1);
	struct fake *r = &f->rings[0];

	assert_int_equal(merge_add_memory(m, &r->consumer, &r->producer, r->data, 0), -EINVAL);
	assert_int_equal(merge_add_memory(m, &r->consumer, &r->producer, r->data, 3000), -EINVAL);
	assert_int_equal(merge_add_memory(f->m, &r->consumer, &r->producer, r->data, RING_SIZE), -EINVAL);
	merge_free(m);
	merge_free(NULL);
}

static void empty_rings_give_nothing(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(merge_turn(f->m, 1000, 100, take, f), 0);
}

static void what_has_not_been_handed_out_is_pending(void **state)
{
	struct fixture *f = *state;
	unsigned long at;

	assert_false(merge_pending(f->m));
	at = push(&f->rings[2], 10, BUSY);
	assert_true(merge_pending(f->m));
	commit(&f->rings[2], at);
	assert_int_equal(merge_turn(f->m, 1000, 100, take, f), 1);
	assert_false(merge_pending(f->m));
}

static void records_of_all_rings_come_in_order_of_time(void **state)
{
	struct fixture *f = *state;

	push(&f->rings[2], 10, 0);
	push(&f->rings[0], 20, 0);
	push(&f->rings[2], 30, 0);
	push(&f->rings[1], 25, 0);
	push(&f->rings[0], 40, 0);
	assert_int_equal(merge_turn(f->m, 1000, 100, take, f), 5);
	for (uint32_t i = 1; i < 5; i++)
		assert_true(f->times[i - 1] < f->times[i]);
	assert_int_equal(f->rings[0].consumer, f->rings[0].producer);
}

/* It may have a cause in a ring that was looked at before the cause was there. */
static void a_record_younger_than_the_look_at_the_clock_waits(void **state)
{
	struct fixture *f = *state;

	push(&f->rings[0], 50, 0);
	push(&f->rings[1], 150, 0);
	assert_int_equal(merge_turn(f->m, 100, 100, take, f), 1);
	push(&f->rings[0], 120, 0);
	assert_int_equal(merge_turn(f->m, 200, 100, take, f), 2);
	assert_int_equal(f->times[1], 120);
	assert_int_equal(f->times[2], 150);
}

static void a_turn_waits_for_a_writer_but_not_for_ever(void **state)
{
	struct fixture *f = *state;
	unsigned long at = push(&f->rings[0], 10, BUSY);

	push(&f->rings[1], 12, 0);
	assert_int_equal(merge_turn(f->m, 1000, 100, take, f), 0);
	assert_int_equal(merge_turn(f->m, 1000 + MERGE_EPSILON_NS / 2, 100, take, f), 0);
	assert_int_equal(merge_turn(f->m, 1000 + MERGE_EPSILON_NS, 100, take, f), 1);
	assert_int_equal(f->times[0], 12);
	commit(&f->rings[0], at);
	assert_int_equal(merge_turn(f->m, 2000 + MERGE_EPSILON_NS, 100, take, f), 1);
	assert_int_equal(f->times[1], 10);
}

/* One writer's delay is not held against the next. */
static void each_writer_is_waited_for(void **state)
{
	struct fixture *f = *state;
	unsigned long first = push(&f->rings[0], 10, BUSY), second;

	assert_int_equal(merge_turn(f->m, 1000, 100, take, f), 0);
	second = push(&f->rings[0], 20, BUSY);
	commit(&f->rings[0], first);
	push(&f->rings[1], 30, 0);
	assert_int_equal(merge_turn(f->m, 1000 + MERGE_EPSILON_NS, 100, take, f), 1);
	assert_int_equal(merge_turn(f->m, 1001 + MERGE_EPSILON_NS, 100, take, f), 0);
	commit(&f->rings[0], second);
	assert_int_equal(merge_turn(f->m, 1002 + MERGE_EPSILON_NS, 100, take, f), 2);
	assert_int_equal(f->times[1], 20);
	assert_int_equal(f->times[2], 30);
}

/* On many CPUs somebody always writes. */
static void ever_new_writers_hold_nothing_up(void **state)
{
	struct fixture *f = *state;
	uint64_t now = 1000;
	unsigned long at = push(&f->rings[0], 1, BUSY);
	uint32_t handled = 0;

	for (int i = 0; i < 20; i++, now += MERGE_EPSILON_NS / 4) {
		unsigned long next = push(&f->rings[0], now, BUSY);

		push(&f->rings[1], now, 0);
		f->count = 0;
		handled += merge_turn(f->m, now, 100, take, f);
		commit(&f->rings[0], at);
		at = next;
	}
	assert_true(handled >= 20);
}

/* The end of a process, and what it did before, which waits behind somebody who is not done. */
static void nothing_overtakes_what_waits_behind_a_busy_record(void **state)
{
	struct fixture *f = *state;
	unsigned long at;

	push(&f->rings[2], 5, 0);
	at = push(&f->rings[1], 10, BUSY);
	push(&f->rings[1], 9, DISCARDED);
	push(&f->rings[1], 11, 0);
	push(&f->rings[0], 12, 0);
	assert_int_equal(merge_turn(f->m, 1000, 100, take, f), 0);
	assert_int_equal(merge_turn(f->m, 1000 + MERGE_EPSILON_NS, 100, take, f), 1);
	assert_int_equal(f->times[0], 5);
	assert_int_equal(merge_turn(f->m, MERGE_HOLD_NS, 100, take, f), 0);
	commit(&f->rings[1], at);
	assert_int_equal(merge_turn(f->m, MERGE_HOLD_NS, 100, take, f), 3);
	for (uint32_t i = 1; i < 4; i++)
		assert_true(f->times[i] > f->times[i - 1]);
	assert_int_equal(merge_overtaken(f->m), 0);
}

static void it_is_held_for_a_bounded_time_and_counted_then(void **state)
{
	struct fixture *f = *state;
	unsigned long at = push(&f->rings[1], 10, BUSY);

	push(&f->rings[1], 11, 0);
	push(&f->rings[0], 12, 0);
	assert_int_equal(merge_turn(f->m, 1000, 100, take, f), 0);
	assert_int_equal(merge_turn(f->m, 999 + MERGE_HOLD_NS, 100, take, f), 0);
	assert_int_equal(merge_turn(f->m, 1000 + MERGE_HOLD_NS, 100, take, f), 1);
	assert_int_equal(f->times[0], 12);
	assert_int_equal(merge_overtaken(f->m), 1);
	assert_int_equal(merge_turn(f->m, 1001 + MERGE_HOLD_NS, 100, take, f), 0);
	assert_int_equal(merge_overtaken(f->m), 1);
	commit(&f->rings[1], at);
	assert_int_equal(merge_turn(f->m, 1002 + MERGE_HOLD_NS, 100, take, f), 2);
}

/* Order is not worth a loss. */
static void it_is_held_no_longer_when_a_ring_fills(void **state)
{
	struct fixture *f = *state;
	uint32_t pushed = 0;

	push(&f->rings[1], 10, BUSY);
	push(&f->rings[1], 11, 0);
	push(&f->rings[0], 12, 0);
	assert_int_equal(merge_turn(f->m, 1000, 100, take, f), 0);
	assert_int_equal(merge_turn(f->m, 1000 + MERGE_EPSILON_NS, 100, take, f), 0);
	for (pushed = 1; f->rings[0].producer <= RING_SIZE / 2; pushed++)
		push(&f->rings[0], 12 + pushed, 0);
	assert_int_equal(merge_turn(f->m, 1001 + MERGE_EPSILON_NS, 100, take, f), pushed);
	assert_int_equal(merge_overtaken(f->m), 1);
}

/* A second writer comes up while records are handed out. */
static void what_comes_up_in_the_middle_of_a_turn_is_not_overtaken_either(void **state)
{
	struct fixture *f = *state;
	unsigned long at;

	push(&f->rings[1], 10, 0);
	at = push(&f->rings[1], 11, BUSY);
	push(&f->rings[1], 12, 0);
	push(&f->rings[0], 13, 0);
	assert_int_equal(merge_turn(f->m, 1000, 100, take, f), 1);
	assert_int_equal(merge_turn(f->m, 2000, 100, take, f), 0);
	assert_int_equal(merge_turn(f->m, 2000 + MERGE_EPSILON_NS, 100, take, f), 0);
	commit(&f->rings[1], at);
	assert_int_equal(merge_turn(f->m, 3000 + MERGE_EPSILON_NS, 100, take, f), 3);
	for (uint32_t i = 1; i < 4; i++)
		assert_true(f->times[i] > f->times[i - 1]);
}

static void who_waits_for_a_writer_need_not_look_again_at_once(void **state)
{
	struct fixture *f = *state;
	unsigned long at = push(&f->rings[1], 10, BUSY);

	assert_int_equal(merge_turn(f->m, 1000, 100, take, f), 0);
	assert_true(merge_held(f->m));
	push(&f->rings[0], 12, 0);
	commit(&f->rings[1], at);
	assert_int_equal(merge_turn(f->m, 1001, 1, take, f), 1);
	assert_false(merge_held(f->m));
	assert_true(merge_pending(f->m));
}

static void discarded_records_are_stepped_over(void **state)
{
	struct fixture *f = *state;

	push(&f->rings[0], 10, DISCARDED);
	push(&f->rings[0], 11, 0);
	push(&f->rings[0], 12, DISCARDED);
	assert_int_equal(merge_turn(f->m, 1000, 100, take, f), 1);
	assert_int_equal(f->times[0], 11);
	assert_int_equal(f->rings[0].consumer, f->rings[0].producer);
}

static void a_turn_handles_at_most_what_it_is_told(void **state)
{
	struct fixture *f = *state;

	for (uint64_t i = 1; i <= 10; i++)
		push(&f->rings[i % 3], i, 0);
	assert_int_equal(merge_turn(f->m, 1000, 4, take, f), 4);
	assert_int_equal(merge_turn(f->m, 1000, 100, take, f), 6);
	for (uint64_t i = 0; i < 10; i++)
		assert_int_equal(f->times[i], i + 1);
}

static void rings_wrap(void **state)
{
	struct fixture *f = *state;

	for (uint64_t i = 1; i < 1000; i++) {
		push(&f->rings[0], i, 0);
		f->count = 0;
		assert_int_equal(merge_turn(f->m, 5000, 100, take, f), 1);
		assert_int_equal(f->times[0], i);
	}
}

/* What take_bytes expects next. */
struct expected {
	uint8_t bytes[512];
	uint32_t size;
	bool same;
};

static void take_bytes(void *ctx, struct bytes record)
{
	struct expected *e = ctx;

	e->same = record.len == e->size && memcmp(record.data, e->bytes, e->size) == 0;
}

static void a_record_comes_in_one_piece_wherever_the_ring_wraps(void **state)
{
	struct fixture *f = *state;
	struct expected e;

	for (uint32_t i = 1; i < 2000; i++) {
		struct nj_head head = {.type = NJ_EXIT, .time = i};

		e = (struct expected){.size = (uint32_t)sizeof(head) + i * 37 % 400};
		memset(e.bytes, (int)i, sizeof(e.bytes));
		memcpy(e.bytes, &head, sizeof(head));
		push_bytes(&f->rings[0], e.bytes, e.size, 0);
		assert_int_equal(merge_turn(f->m, 5000, 100, take_bytes, &e), 1);
		assert_true(e.same);
	}
	assert_int_equal(f->rings[0].consumer, f->rings[0].producer);
}

static void a_time_that_makes_no_sense_blocks_nothing(void **state)
{
	struct fixture *f = *state;

	push(&f->rings[0], UINT64_MAX - 1, 0);
	push(&f->rings[0], 5, 0);
	assert_int_equal(merge_turn(f->m, 1000, 100, take, f), 2);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(bad_sizes_and_too_many_rings_are_refused),
		TEST(empty_rings_give_nothing),
		TEST(what_has_not_been_handed_out_is_pending),
		TEST(records_of_all_rings_come_in_order_of_time),
		TEST(a_record_younger_than_the_look_at_the_clock_waits),
		TEST(a_turn_waits_for_a_writer_but_not_for_ever),
		TEST(each_writer_is_waited_for),
		TEST(ever_new_writers_hold_nothing_up),
		TEST(nothing_overtakes_what_waits_behind_a_busy_record),
		TEST(it_is_held_for_a_bounded_time_and_counted_then),
		TEST(it_is_held_no_longer_when_a_ring_fills),
		TEST(what_comes_up_in_the_middle_of_a_turn_is_not_overtaken_either),
		TEST(who_waits_for_a_writer_need_not_look_again_at_once),
		TEST(discarded_records_are_stepped_over),
		TEST(a_turn_handles_at_most_what_it_is_told),
		TEST(rings_wrap),
		TEST(a_record_comes_in_one_piece_wherever_the_ring_wraps),
		TEST(a_time_that_makes_no_sense_blocks_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
