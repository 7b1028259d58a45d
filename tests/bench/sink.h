/* A collector that only takes in: mutual TLS, the collector's own listener and decoder, an Ack for
 * every batch, and nothing behind it. A process of its own, so that its CPU time is its own; it
 * ends with the driver. In the place of a collector on another machine it is nice: it takes what
 * the load leaves. */
#pragma once

#include <stdint.h>
#include <sys/types.h>

/* Since it began, told by agents. Written by the sink while others read. */
struct sink_counts {
	volatile uint64_t batches;
	volatile uint64_t heartbeats; /* all that happened before one was sent before it */
	volatile uint64_t events;
	volatile uint64_t suppressed; /* that repeats stand for */
	volatile uint64_t lost;
};

struct sink {
	pid_t pid;
	uint16_t port;
	const struct sink_counts *counts;
};

/* Certificates of a CA, of the sink ("server") and of a node's agent ("agent"): NAME.pem,
 * NAME-key.pem. */
void sink_certificates(const char *dir);
/* dir has them. Before any thread and any use of gRPC. */
void sink_start(const char *dir, int niceness, struct sink *ret_sink);
void sink_stop(struct sink *s);
