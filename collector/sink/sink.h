/* Where alerts go. A sink is one const descriptor; collector/sink/registry.c lists them all.
 *
 * Thread: every function below is called by the alert thread only, except drain (main thread, after
 * the alert thread has stopped). An alert is in the store before any sink sees it. A sink copies
 * what it keeps. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "nightjar/v1/alert.pb-c.h"

/* One alert, with its JSON made once for all sinks. */
struct sink_alert {
	const Nightjar__V1__Alert *alert;
	const char *json; /* one object, no newline, terminated */
	uint32_t json_len;
	uint64_t row; /* of the store, ascending; 0: the store refused it */
};

struct sink_stats {
	uint64_t delivered; /* acknowledged by the far side */
	uint64_t failed;    /* given up */
	uint64_t queued;    /* taken, not yet acknowledged */
	uint64_t confirmed; /* durable sinks: no alert up to this row is owed any more; 0: none yet
			     */
};

struct sink;
struct sink_options; /* collector/sink/sink_options.h */
struct metrics;

struct sink_type {
	const char *name; /* as in the configuration */
	const char *help; /* one sentence */
	/* What it has not confirmed is sent again after a crash or a stop: its far side sees every
	 * alert at least once. The others begin with what comes. */
	bool durable;
	/* 1: opened; 0: the options do not ask for it; negative with the sentence. */
	int (*open)(const struct sink_options *options, struct metrics *metrics,
		    struct sink **ret_sink, struct err *e);
	/* 0: taken. -EAGAIN: full, ask again after poll. Other: refused for good and counted. */
	int (*publish)(struct sink *sink, const struct sink_alert *alert);
	/* Serves delivery reports; returns at once. */
	void (*poll)(struct sink *sink);
	/* Waits at most timeout_ms for what is queued. Returns how many stay undelivered. */
	int (*drain)(struct sink *sink, int timeout_ms);
	void (*stats)(const struct sink *sink, struct sink_stats *ret_stats);
	void (*free)(struct sink *sink); /* NULL allowed */
};

/* First member of every sink's own struct. */
struct sink {
	const struct sink_type *type;
};
