/* What the Kafka sink needs before it can send: the producer's configuration and the topic. */
#pragma once

#include <librdkafka/rdkafka.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "collector/sink/sink_options.h"
#include "common/err.h"

/* Checks the options and turns them into librdkafka's; *ret_conf is owned until rd_kafka_new takes
 * it. 0, or negative with a sentence that names the option. */
int sink_kafka_setup_conf(const struct sink_kafka_options *options, rd_kafka_conf_t **ret_conf,
			  struct err *e) must_check;

/* A thread that makes the topic, or finds it and checks its partitions, as soon as a broker
 * answers. Nothing may be produced before it is ready: a broker would make the topic with its own
 * defaults. */
struct sink_kafka_topic {
	rd_kafka_t *rk;
	const char *name;
	int partitions;	 /* wanted */
	int replication; /* 0: the broker's */
	pthread_t thread;
	atomic_bool ready;
	atomic_bool stop;
	bool running;
};

/* name and rk outlive it. */
int sink_kafka_setup_topic_start(struct sink_kafka_topic *topic, struct err *e) must_check;
void sink_kafka_setup_topic_stop(struct sink_kafka_topic *topic); /* safe when it never started */
