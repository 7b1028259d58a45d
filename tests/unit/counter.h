/* A counter's value by the name that /metrics prints, for tests that assert what was counted. */
#pragma once

#include <string.h>

#include "common/metrics.h"

struct counter_wanted {
	const char *name;
	uint64_t value;
};

static inline void counter_visit(void *ctx, const char *name, uint64_t value)
{
	struct counter_wanted *w = (struct counter_wanted *)ctx;

	if (strcmp(name, w->name) == 0)
		w->value += value;
}

static inline uint64_t counter_value(const struct metrics *m, const char *name)
{
	struct counter_wanted w = {.name = name};

	metrics_each(m, counter_visit, &w);
	return w.value;
}
