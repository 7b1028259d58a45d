/* All sinks, in the order in which they see an alert. */
#pragma once

#include "collector/sink/sink.h"
#include "collector/sink/sink_options.h"
#include "common/metrics.h"

/* Opens every sink that the options ask for; extra (may be NULL) goes last: the one that feeds
 * Alerts.Watch. *ret_sinks is NULL-terminated, what deliver_new wants. A broker that is down is no
 * failure; options that cannot work are. */
int registry_open(const struct sink_options *options, struct metrics *metrics, struct sink *extra,
		  struct sink ***ret_sinks, struct err *e) must_check;
/* Frees the array and every sink in it, extra too. NULL allowed. */
void registry_free(struct sink **sinks);
