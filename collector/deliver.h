/* The alert thread: takes alerts from the detection threads, stores each, then hands it to every
 * sink. An alert whose (id, revision) the store already has is not sent again (a replayed journal
 * makes them a second time). Alerts are never dropped: a sink that is full takes them from the
 * store later (collector/outlet.h), and one that the disk refuses is sent all the same and counted.
 * What a durable sink's far side had not confirmed when the collector ended is sent at the next
 * start. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "collector/alert.h"
#include "collector/sink/sink.h"
#include "collector/store/store.h"
#include "common/metrics.h"

struct deliver;

struct deliver_config {
	struct store *store; /* not owned */
	struct sink **sinks; /* not owned; NULL-terminated */
	struct metrics *metrics;
	size_t queue_capacity; /* alerts in the queue, and as many again in memory for sinks to take
				*/
	struct store_limits limits; /* what the store keeps */
	bool replay; /* leave delivery times out: the same recording gives the same bytes */
};

int deliver_new(const struct deliver_config *config, struct deliver **ret_deliver,
		struct err *e) must_check;
/* Takes ownership. Any thread. */
void deliver_submit(struct deliver *d, struct alert *alert);
/* Hands out what is queued, drains the sinks within timeout_ms, ends the thread. Returns how many
 * alerts the worst of the sinks did not confirm; they are in the store all the same. */
int deliver_stop(struct deliver *d, int timeout_ms);
void deliver_free(struct deliver *d); /* NULL allowed; after deliver_stop */
