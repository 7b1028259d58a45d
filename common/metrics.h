/* Counters and gauges with names: what /metrics prints and Fleet.Stats lists. A registry belongs to
 * one program's composition file; modules get it when they are built and keep their counters.
 *
 * Registration before the threads start; adding and reading from any thread. */
#pragma once

#include <stdint.h>

#include "common/buf.h"
#include "common/cleanup.h"

struct metrics;
struct metric;

struct metrics *metrics_new(void); /* NULL without memory */
void metrics_free(struct metrics *m); /* NULL allowed */

/* name: Prometheus name ("nightjar_events_total"); labels: `reason="ring"` or NULL; help: one
 * sentence, the same for every metric of a name. The strings must outlive the registry, labels are
 * copied. Never NULL: without memory, or past 512 metrics, a shared counter that is not printed. */
struct metric *metrics_counter(struct metrics *m, const char *name, const char *labels, const char *help);
struct metric *metrics_gauge(struct metrics *m, const char *name, const char *labels, const char *help);
/* A gauge whose value is asked for when it is printed. */
void metrics_gauge_fn(struct metrics *m, const char *name, const char *labels, const char *help,
		      uint64_t (*read)(void *ctx), void *ctx);

void metric_add(struct metric *metric, uint64_t n);
void metric_set(struct metric *metric, uint64_t value);
uint64_t metric_value(const struct metric *metric);

/* Prometheus text format 0.0.4, metrics of one name together. */
void metrics_write(const struct metrics *m, struct buf *out);
/* Calls visit with `name` or `name{labels}` for each. */
void metrics_each(const struct metrics *m, void (*visit)(void *ctx, const char *name, uint64_t value),
		  void *ctx);

DEFINE_CLEANUP(struct metrics *, metrics_free)
