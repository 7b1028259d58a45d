/* Sink options as an empty configuration gives them. */
#pragma once

#include "collector/sink/sink_options.h"
#include "tests/unit/alert_sample.h"

static inline struct sink_options sink_sample_options(void)
{
	char *none = sample_text("");

	return (struct sink_options){
		.log = {.format = sample_text("none"), .path = none, .color = sample_text("never"), .alerts = none},
		.kafka = {.brokers = none, .topic_prefix = sample_text("nightjar."), .partitions = 3,
			  .buffer_bytes = 1 << 20, .ca = none, .cert = none, .key = none, .key_password = none,
			  .sasl_mechanism = none, .username = none, .password = none},
	};
}
