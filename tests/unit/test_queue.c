/* The bounded queue: full, closed, and handed over between threads in order. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <pthread.h>

#include "common/queue.h"

#define ITEMS 20000

static void a_full_queue_refuses_and_a_closed_one_says_so(void **state)
{
	_cleanup_(queue_freep) struct queue *q = queue_new(2);
	int items[3];

	(void)state;
	assert_int_equal(queue_try_push(q, &items[0]), 0);
	assert_int_equal(queue_push(q, &items[1]), 0);
	assert_int_equal(queue_try_push(q, &items[2]), -EAGAIN);
	assert_int_equal(queue_length(q), 2);
	queue_close(q);
	assert_true(queue_is_closed(q));
	assert_int_equal(queue_try_push(q, &items[2]), -EPIPE);
	assert_int_equal(queue_push(q, &items[2]), -EPIPE);
	assert_ptr_equal(queue_pop(q, -1), &items[0]);
	assert_ptr_equal(queue_pop(q, 0), &items[1]);
	assert_null(queue_pop(q, -1));
}

static void an_empty_queue_gives_nothing_after_the_time(void **state)
{
	_cleanup_(queue_freep) struct queue *q = queue_new(1);

	(void)state;
	assert_null(queue_pop(q, 0));
	assert_null(queue_pop(q, 1));
}

static void *produce(void *arg)
{
	for (uintptr_t i = 1; i <= ITEMS; i++)
		if (queue_push(arg, (void *)i) < 0)
			return NULL;
	queue_close(arg);
	return NULL;
}

static void items_cross_threads_in_order_and_none_is_lost(void **state)
{
	_cleanup_(queue_freep) struct queue *q = queue_new(16);
	pthread_t producer;
	uintptr_t expected = 1;
	void *item;

	(void)state;
	assert_int_equal(pthread_create(&producer, NULL, produce, q), 0);
	while ((item = queue_pop(q, -1)))
		assert_int_equal((uintptr_t)item, expected++);
	assert_int_equal(pthread_join(producer, NULL), 0);
	assert_int_equal(expected, ITEMS + 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_full_queue_refuses_and_a_closed_one_says_so),
		cmocka_unit_test(an_empty_queue_gives_nothing_after_the_time),
		cmocka_unit_test(items_cross_threads_in_order_and_none_is_lost),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
