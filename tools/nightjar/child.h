/* A program that this one started: its life, and what it says on stderr.
 *
 * It gets a process group of its own, so that Ctrl-C reaches the parent alone, which stops its
 * children in order; SIGTERM when the parent dies, however that happens; /dev/null as stdin; and a
 * pipe as stderr, whose lines are passed on; the last, if it was not, is kept as the reason should it die.
 * One thread; the parent polls pidfd and stderr_fd. */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "common/err.h"

#define CHILD_LINE_MAX 2048 /* longer lines are passed on in pieces */

struct child {
	const char *name; /* what it is called in sentences */
	pid_t pid;	  /* 0: never started */
	int pidfd;	  /* readable once it has ended; -1 none */
	int stderr_fd;	  /* -1 none */
	bool ended;
	int status;	  /* of wait(2), when ended */
	bool quiet;	  /* lines below a warning are not passed on */
	char line[CHILD_LINE_MAX];
	size_t line_len;
	char last[512];	 /* the last line; "" when it was passed on */
	char ready[CHILD_LINE_MAX]; /* words of its ready line; "" before */
};

/* argv[0] is the path. stdout_fd: what it gets as stdout. */
int child_start(struct child *c, const char *name, char *const argv[], int stdout_fd, struct err *e) must_check;
/* Reads what it has said so far; ends the ready wait as a side effect (c->ready). */
void child_listen(struct child *c);
/* Whether it has ended; collects its status then. */
bool child_has_ended(struct child *c);
/* SIGTERM, then waits at most timeout_ms and passes on what it says; SIGKILL after that. 0 when it
 * ended by itself with status 0; negative with the reason. A child that never started is fine. */
int child_stop(struct child *c, int timeout_ms, struct err *e) must_check;
/* "nightjar-agent ended with exit status 2", and its last words if they were kept back; -ECHILD. */
int child_explain(const struct child *c, struct err *e) must_check;
void child_done(struct child *c); /* kills it if it still runs */
