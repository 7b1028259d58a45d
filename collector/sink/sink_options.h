/* What the configuration says about sinks: collector/options.c maps its rows onto these fields,
 * collector/sink/registry.c opens what they ask for. Texts belong to the settings, are never NULL
 * and outlive the sinks; "" is unset. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct sink_log_options {
	char *format; /* log.format: "people" (default), "json", "none" */
	char *path;   /* log.path: file that is appended to; "": stdout */
	char *color;  /* log.color: "auto" (default: a terminal), "always", "never" */
	char *alerts; /* log.alerts_file: a file that gets JSON lines besides; "": none */
	bool wait;    /* for a reader of log.path that is slow, as a replay does */
};

struct sink_kafka_options {
	char *brokers;	      /* kafka.brokers: "HOST:PORT,…"; "": no Kafka */
	char *topic_prefix;   /* kafka.topic_prefix: "nightjar." */
	uint64_t partitions;  /* kafka.partitions: of topics that are made; default 6, 1 to 10000 */
	uint64_t replication; /* kafka.replication: 0 (default): as the brokers say */
	uint64_t buffer_bytes; /* kafka.buffer: alerts that wait for the brokers; default 64 MiB */
	bool tls;	       /* kafka.tls: default false */
	char *ca;	       /* kafka.ca: PEM file; "": the system's */
	char *cert;	       /* kafka.cert: client certificate, PEM file */
	char *key;	       /* kafka.key: its key, PEM file */
	char *key_password;    /* kafka.key_password: secret */
	char *sasl_mechanism;  /* kafka.sasl_mechanism: "" (none, default), PLAIN, SCRAM-SHA-256,
				  SCRAM-SHA-512 */
	char *username;	       /* kafka.username */
	char *password;	       /* kafka.password: secret */
};

struct sink_options {
	struct sink_log_options log;
	struct sink_kafka_options kafka;
};
