/* Detectors: what recognises a chain of acts of one node. Each is one const row (struct detector)
 * and a file of small functions; registry.c lists the rows in the order in which they see an event.
 *
 * A detector has state of its own per shard, made by init; it sees an event after the entity tables
 * have taken it in. It does no I/O, reads no clock and keeps no pointer into an event: what it says
 * depends on the events alone. */
#pragma once

#include <stdint.h>

#include "collector/baseline/baseline.h"
#include "collector/detect/targets.h"
#include "collector/entity/evicted.h"
#include "collector/stage1.h"

struct detect_options {
	uint32_t relay_hops_max;     /* reverse_shell: processes between interpreter and party */
	struct targets_options scan; /* lateral_scan */
	uint64_t repeat_window_ns;   /* silence after which the same finding is a new alert */
	uint64_t lost_events;	     /* of one class of a node, that are worth an alert */
	const struct baseline *baseline; /* NULL: everything is unknown */
};

/* 4 hops; 20 addresses, 30 ports, 60 s, 2 s, an answer counts half, 25 % must count; 10 min; 100
 * lost. */
void detect_options_default(struct detect_options *ret_options);

struct entities;
struct node_state;
struct process;

/* One event on its way through the detectors of a shard. */
struct detect_context {
	struct entities *entities;
	const struct detect_options *options;
	const struct stage1_out *out;
	const struct node_state *node;
	const struct event *event;
	struct process *process; /* who acted; NULL after an exit only */
	uint64_t wall_ns;	 /* of the event */
	uint64_t received_ns;	 /* delivery data */
};

/* What must be captured beyond process life and TCP. NULL-terminated lists; NULL: nothing. */
struct detect_needs {
	const char *const *classes;
	const char *const *open_names;	  /* last path components whose opening is reported */
	const char *const *open_prefixes; /* paths below which every opening is */
	const char *const *each; /* classes of which every single act is needed, never a count */
};

struct detector {
	const char *name;     /* the alert's rule */
	const char *title;    /* the alert's title */
	const char *help;     /* one sentence for the catalogue */
	const char *kind;     /* of the alert; NULL: chain */
	uint64_t kinds;	      /* DETECT_KIND bits of the events it sees */
	struct detect_needs needs;
	const char *severity; /* the highest it gives */
	double score;
	const char *const *tactics;	     /* ATT&CK ids; NULL-terminated */
	const char *const *techniques;	     /* the same */
	size_t state_size;		     /* zeroed at start; 0: none */
	int (*init)(void *state) must_check; /* NULL: nothing to do */
	void (*handle)(void *state, const struct detect_context *ctx);
	/* Sets the entries of the tables that are its own. NULL: none. */
	void (*evicted)(const void *state, struct evicted *counts);
	void (*done)(void *state); /* NULL: nothing to do */
};

#define DETECT_KIND(kind) (1ULL << (kind))

/* All of them, NULL-terminated. */
const struct detector *const *detect_registry(void);

/* What the entity tables need, whoever detects. */
extern const struct detect_needs detect_entity_needs;
