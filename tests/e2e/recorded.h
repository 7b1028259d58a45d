/* Reads a recording and says whether the decisive events of runs are in it, and whether anything
 * was lost on the way. */
#pragma once

#include <stddef.h>

#include "common/event.h"
#include "tests/e2e/suite.h"

#define RECORDED_RUNS_MAX 64

struct recorded_run {
	const struct scenario *row;
	pid_t leader;
	uint32_t found; /* bit i: row->decisive[i] has been seen */
	char names[DECISIVE_MAX][64]; /* of row->decisive here: python3 may be python3.11 */
};

struct recorded {
	uint64_t events;
	uint64_t lost; /* as the agent reported it */
	uint64_t lost_life; /* of it: of class process */
	uint64_t gaps; /* sequence numbers that are not there */
};

/* 0, or negative with a sentence: the recording cannot be read. Fills found and names in runs (at most
 * RECORDED_RUNS_MAX). */
int recorded_read(const char *path, struct recorded_run *runs, size_t count,
		  struct recorded *ret_recorded, struct err *e) must_check;

/* Every event, with its time on the wall clock. */
typedef void (*recorded_event_fn)(void *ctx, const struct event *event, uint64_t wall_ns);
int recorded_walk(const char *path, recorded_event_fn fn, void *ctx, struct recorded *ret_recorded,
		  struct err *e) must_check;
