/* grpc.health.v1.Health: Check and Watch. */
#pragma once

#include <stdbool.h>

#include "collector/ingest/listen.h"

#define HEALTH_WATCHERS_MAX 64

struct health;

/* services: names that are asked about besides "", NULL-terminated, outlive h. Not serving at
 * first. NULL without memory. */
struct health *health_new(const char *const *services);
void health_free(struct health *h); /* NULL allowed; after the listener has stopped */
const struct listen_method *health_methods(struct health *h);
/* Tells the watchers. Any thread. */
void health_set(struct health *h, bool serving);
