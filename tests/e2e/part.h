/* A part of the product: one of the built programs as a child, and what it says line by line, for suites that
 * put the product together by hand. One thread. */
#pragma once

#include <limits.h>

#include "tests/e2e/harness.h"

#define PART_SAID_MAX 65536 /* the longest line is an alert as JSON */

struct part {
	pid_t pid; /* 0: none */
	int said_fd;
	size_t len;
	char said[PART_SAID_MAX]; /* read, but not taken as a line yet */
};

/* argv[0] is the name below $NJ_BUILD/bin. said: which of its descriptors is read, 1 or 2. */
int part_start(const char *const *argv, int said, struct part *ret_part) must_check;
/* The next line, cut to fit; false when none came before the deadline or it has ended. */
bool part_line(struct part *p, uint64_t deadline_ns, char *ret_line, size_t size);
/* The next line with this text; the others are passed on to stderr. */
bool part_says(struct part *p, const char *text, int timeout_ms, char *ret_line, size_t size);
/* SIGTERM and its exit status; 128 and the signal when one ended it. One that never started is fine. */
int part_stop(struct part *p);
