/* nightjar.v1.Fleet: the nodes and the collector's own counters. */
#pragma once

#include "collector/ingest/listen.h"
#include "collector/ingest/nodes.h"
#include "common/metrics.h"

struct fleet;

struct fleet *fleet_new(struct nodes *nodes, struct metrics *metrics); /* neither owned; NULL without memory */
void fleet_free(struct fleet *f); /* NULL allowed; after the listener has stopped */
const struct listen_method *fleet_methods(struct fleet *f);
