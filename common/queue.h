/* Where threads meet: a bounded queue of pointers, many producers, one or many consumers.
 *
 * What happens when it is full is the producer's choice at each call: queue_try_push returns
 * -EAGAIN (the producer drops and counts, or slows its peer), queue_push waits (for what must never
 * be lost). The queue owns no item: whoever closes it empties it. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/cleanup.h"
#include "common/err.h"

struct queue;

/* capacity in items, at least 1. NULL without memory. */
struct queue *queue_new(size_t capacity);
/* Nobody may be waiting in it any more. NULL allowed. */
void queue_free(struct queue *q);

/* 0, -EAGAIN when full, -EPIPE when closed. Any thread. */
int queue_try_push(struct queue *q, void *item) must_check;
/* Waits for room. 0, or -EPIPE when closed. Any thread. */
int queue_push(struct queue *q, void *item) must_check;
/* Waits at most timeout_ms (-1: for ever). The item; NULL after the time or when the queue is
 * closed and empty. */
void *queue_pop(struct queue *q, int timeout_ms);
/* Wakes everyone; pushes fail from now on, pops hand out what is left. */
void queue_close(struct queue *q);
bool queue_is_closed(struct queue *q);
size_t queue_length(struct queue *q);

DEFINE_CLEANUP(struct queue *, queue_free)
