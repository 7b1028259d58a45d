/* Alerts that were made before their container had its names: passed on at once as they are, remembered, and
 * completed by a revision (`op` update, the same id) when the runtime or the Kubernetes API has told.
 *
 * One for each shard of stage 1, on its thread and in the order of its stream, so that a replay revises the
 * same. Remembers the last JOIN_ALERTS alerts of the shard, some KiB each; an older one gives way, counted,
 * and stays as it was told. */
#pragma once

#include "collector/entity/workload.h"
#include "collector/stage1.h"

#define JOIN_ALERTS    64U
#define JOIN_WINDOW_NS 600000000000ULL /* after which names come too late for an alert */

struct join;

struct join *join_new(void);   /* NULL without memory */
void join_free(struct join *j); /* NULL allowed */

/* Passes the alert on. w: what it happened in, NULL: unknown. What it lacks may come until w->named, also
 * where there is no API that could name it: a replay must not have to know that. */
void join_alert(struct join *j, const struct workload *w, struct alert *a, const struct stage1_out *out);
/* w may have new names. wall_ns: when the collector learnt them. */
void join_names(struct join *j, const struct workload *w, uint64_t wall_ns, const struct stage1_out *out);
/* Alerts that gave way before they were complete. */
uint64_t join_evicted(const struct join *j);

DEFINE_CLEANUP(struct join *, join_free)
