/* One ring under one lock; see queue.h. */
#include "common/queue.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "common/clock.h"

struct queue {
	pthread_mutex_t lock;
	pthread_cond_t filled;
	pthread_cond_t drained;
	size_t capacity;
	size_t head; /* next to pop */
	size_t count;
	bool closed;
	void *items[];
};

struct queue *queue_new(size_t capacity)
{
	struct queue *q;

	assert(capacity > 0);
	q = calloc(1, sizeof(*q) + capacity * sizeof(q->items[0]));
	if (!q)
		return NULL;
	q->capacity = capacity;
	(void)pthread_mutex_init(&q->lock, NULL);
	clock_cond_init(&q->filled);
	clock_cond_init(&q->drained);
	return q;
}

void queue_free(struct queue *q)
{
	if (!q)
		return;
	(void)pthread_cond_destroy(&q->drained);
	(void)pthread_cond_destroy(&q->filled);
	(void)pthread_mutex_destroy(&q->lock);
	free(q);
}

/* Lock held. */
static void append(struct queue *q, void *item)
{
	q->items[(q->head + q->count) % q->capacity] = item;
	q->count++;
	(void)pthread_cond_signal(&q->filled);
}

int queue_try_push(struct queue *q, void *item)
{
	int r = 0;

	(void)pthread_mutex_lock(&q->lock);
	if (q->closed)
		r = -EPIPE;
	else if (q->count == q->capacity)
		r = -EAGAIN;
	else
		append(q, item);
	(void)pthread_mutex_unlock(&q->lock);
	return r;
}

int queue_push(struct queue *q, void *item)
{
	int r = -EPIPE;

	(void)pthread_mutex_lock(&q->lock);
	while (q->count == q->capacity && !q->closed)
		(void)pthread_cond_wait(&q->drained, &q->lock);
	if (!q->closed) {
		append(q, item);
		r = 0;
	}
	(void)pthread_mutex_unlock(&q->lock);
	return r;
}

static struct timespec deadline_after(int timeout_ms)
{
	return clock_timespec(clock_monotonic_ns() + (uint64_t)timeout_ms * NS_PER_MS);
}

/* Lock held. Returns when there is an item, the queue is closed or the time is up. */
static void await_item(struct queue *q, int timeout_ms)
{
	struct timespec deadline;

	if (timeout_ms < 0) {
		while (q->count == 0 && !q->closed)
			(void)pthread_cond_wait(&q->filled, &q->lock);
		return;
	}
	deadline = deadline_after(timeout_ms);
	while (q->count == 0 && !q->closed)
		if (pthread_cond_timedwait(&q->filled, &q->lock, &deadline) == ETIMEDOUT)
			return;
}

void *queue_pop(struct queue *q, int timeout_ms)
{
	void *item = NULL;

	(void)pthread_mutex_lock(&q->lock);
	if (q->count == 0 && timeout_ms != 0)
		await_item(q, timeout_ms);
	if (q->count > 0) {
		item = q->items[q->head];
		q->head = (q->head + 1) % q->capacity;
		q->count--;
		(void)pthread_cond_signal(&q->drained);
	}
	(void)pthread_mutex_unlock(&q->lock);
	return item;
}

void queue_close(struct queue *q)
{
	(void)pthread_mutex_lock(&q->lock);
	q->closed = true;
	(void)pthread_cond_broadcast(&q->filled);
	(void)pthread_cond_broadcast(&q->drained);
	(void)pthread_mutex_unlock(&q->lock);
}

bool queue_is_closed(struct queue *q)
{
	bool closed;

	(void)pthread_mutex_lock(&q->lock);
	closed = q->closed;
	(void)pthread_mutex_unlock(&q->lock);
	return closed;
}

size_t queue_length(struct queue *q)
{
	size_t count;

	(void)pthread_mutex_lock(&q->lock);
	count = q->count;
	(void)pthread_mutex_unlock(&q->lock);
	return count;
}
