/* What an alert is on Kafka besides its JSON: the key, which keeps the alerts of one workload in
 * order, and the headers (CloudEvents binary mode), by which consumers choose without parsing. */
#pragma once

#include "nightjar/v1/alert.pb-c.h"

#define KAFKA_RECORD_KEY_MAX	1024
#define KAFKA_RECORD_HEADERS	9
#define KAFKA_RECORD_HEADER_MAX 512

struct kafka_header {
	const char *name;
	char value[KAFKA_RECORD_HEADER_MAX]; /* terminated; longer ones are cut */
};

struct kafka_record {
	/* cluster/namespace/workload; host cluster/_host/node, health cluster/_health/node,
	 * campaign cluster/_campaign/id. A pod whose owner is not known yet stands for it. */
	char key[KAFKA_RECORD_KEY_MAX];
	struct kafka_header headers[KAFKA_RECORD_HEADERS];
};

void kafka_record_fill(const Nightjar__V1__Alert *alert, struct kafka_record *ret_record);
