/* The service nightjar.v1.Alerts: List and Get read the store; Watch is fed by a sink of its own,
 * on the alert thread. A watcher that does not keep up is ended with RESOURCE_EXHAUSTED: it never
 * slows the others or the alert thread. */
#pragma once

#include "collector/ingest/listen.h"
#include "collector/sink/sink.h"
#include "collector/store/store.h"
#include "common/metrics.h"

#define ALERTS_WATCHERS_MAX 256

struct alerts;

/* store is not owned. NULL without memory. */
struct alerts *alerts_new(struct store *store, struct metrics *metrics);
/* After the listener and the alert thread have stopped. NULL allowed. */
void alerts_free(struct alerts *a);

/* Rows for listen_config.methods; ended by a NULL path; live as long as a. */
const struct listen_method *alerts_methods(struct alerts *a);
/* For registry_open's extra. Its free does nothing: it is part of a. */
struct sink *alerts_sink(struct alerts *a);
