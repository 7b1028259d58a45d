/* Alerts to Kafka, topic PREFIX "alerts": idempotent, acks=all, sent at once, retried until the
 * brokers confirm. Brokers that are down at start or later are no failure: alerts wait, first in
 * librdkafka's buffer (kafka.buffer), then in the store. A crash may repeat an id. */
#pragma once

#include "collector/sink/sink.h"

extern const struct sink_type sink_kafka_type;
