/* From what a detector found to an Alert for people: identity, process tree, place, steps.
 *
 * The id has a ULID's layout: the decisive event's wall time, then a hash of rule, cluster, node,
 * boot id, event and process, so that a replay gives the same one. Without memory, parts of an
 * alert are missing; the alert itself is not lost for that. Pure: no clock, no log. */
#pragma once

#include "collector/alert.h"
#include "collector/detect/detect.h"

#define VERDICT_ID_SIZE 27 /* 26 characters and the terminator */

/* The decisive event. */
struct verdict_event {
	const char *cluster;
	const char *node;
	const char *boot_id;
	uint64_t seq;
	uint64_t wall_ns;
	uint64_t received_ns;
	uint64_t exec_id; /* of the process that the alert is about */
};

void verdict_id(const char *rule, const struct verdict_event *event, char ret_id[VERDICT_ID_SIZE]);

/* An alert that is created, with all that the detector's row says. NULL without memory. */
struct alert *verdict_new(const struct detector *detector, const struct verdict_event *event);
/* The same for what happened in ctx, about process p: with its ancestors and its workload. */
struct alert *verdict_of(const struct detector *detector, const struct detect_context *ctx,
			 const struct process *p);
/* Makes it a later revision of the alert with that id. */
void verdict_revise(struct alert *a, const char *id, uint32_t revision, uint32_t count);

/* What it says is over: op close, in place of update. */
void verdict_close(struct alert *a);

void verdict_grade(struct alert *a, const char *severity, double score);
/* techniques: constant, NULL-terminated; in place of the detector's. */
void verdict_techniques(struct alert *a, const char *const *techniques);
void verdict_remote(struct alert *a, const char *ip, uint32_t port);
void verdict_place(struct alert *a, const char *namespace, const char *workload, const char *pod);
struct workload; /* collector/entity/workload.h */
/* Where it happened: names, container, labels; in place of what was there. */
void verdict_workload(struct alert *a, const struct workload *w);
void verdict_output(struct alert *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void verdict_evidence(struct alert *a, const char *key, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* For programs: a key of the alert's fields. */
void verdict_field(struct alert *a, const char *key, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

#define VERDICT_STEPS_MAX 16

/* Steps may be added in any order; they are kept by time, equal times as they were added. Past
 * VERDICT_STEPS_MAX they are left out. */
void verdict_step(struct alert *a, uint64_t wall_ns, const char *event, uint64_t exec_id,
		  const char *fmt, ...) __attribute__((format(printf, 5, 6)));
