/* Alerts about the watching itself, kind "health": a node that cannot see what the policy asks for
 * (coverage_degraded), and one that has lost events (events_lost). One per node and class.
 *
 * Judged from the recorded stream only: Hellos as intake keeps them, and the losses in batches; an
 * alert's time is when those were received, which is recorded with them. Part of a shard of stage
 * 1, so one thread at a time. 4096 findings and 1024 nodes a shard, the least recently used goes.
 */
#pragma once

#include "collector/detect/detect.h"
#include "collector/stage1.h"
#include "nightjar/v1/agent.pb-c.h"

struct node_health;

struct node_health *
node_health_new(const struct detect_options *options,
		const struct stage1_out *out); /* neither owned; NULL without memory */
void node_health_free(struct node_health *h);  /* NULL allowed */

/* Coverage: an alert for each class that is wanted and not full, or that is worse than the node's
 * last Hello had it; an update when it changes, op close when it is full or no longer wanted. A
 * Hello without coverage says nothing about it. */
void node_health_hello(struct node_health *h, const struct node_ref *node, uint64_t received_ns,
		       const Nightjar__V1__Hello *hello);
/* Losses: an alert once options->lost_events of a class are gone, an update each time that has
 * doubled, a new one after options->repeat_window_ns of none. */
void node_health_batch(struct node_health *h, const struct stage1_batch *batch);

/* Findings that newer ones pushed out since the start. */
uint64_t node_health_evicted(const struct node_health *h);

DEFINE_CLEANUP(struct node_health *, node_health_free)
