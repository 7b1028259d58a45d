/* The end-to-end harness: one `nightjar dev` for a whole suite, attackers and scenarios as children
 * in sessions of their own, alerts awaited as they are written. Nothing sleeps: every wait is a
 * poll with a deadline. Used by the suites of tests/e2e/ and the drivers of tests/bench/.
 *
 * One thread. Programs are found below the working directory (the top of the tree) and below
 * $NJ_BUILD (default "build"). */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <jansson.h>

#include "common/cleanup.h"
#include "common/err.h"

#define HARNESS_READY_MS    30000 /* nightjar dev: start to "ready" */
#define HARNESS_STOP_MS	    15000 /* SIGTERM to exit */
#define HARNESS_ALERT_MS    5000
#define HARNESS_SHELL_MS    20000
#define HARNESS_SCENARIO_MS 60000

/* Empty when BPF programs can be loaded here; otherwise the reason to skip. */
const char *harness_skip_reason(void);

/* Sum of a metric's samples over its labels, from the page at this IPv4 address. -ENOENT when there is
 * none. */
int harness_metric(const char *host, uint16_t port, const char *name, uint64_t *ret_value) must_check;
/* True when a sanitizer has reported something in this file of what programs said; prints it. */
bool harness_sanitizer_spoke(const char *path);
bool harness_sanitizer_spoke_in(const char *text, size_t len); /* the text itself */

/* ---- dev.c: the product ---- */

struct dev;

struct dev_options {
	const char *kafka;	 /* brokers; NULL: none */
	bool record;		 /* keep a recording, dev_recording() */
	unsigned int duration_s; /* the product's own limit: it never outlives a lost harness */
};

/* Starts the product and waits until it says that capture is live. */
int dev_start(const struct dev_options *options, struct dev **ret_dev, struct err *e) must_check;
/* SIGTERM, then waits. The exit status, or -ETIMEDOUT (it is killed then). Idempotent. */
int dev_stop(struct dev *d);
void dev_free(struct dev *d); /* stops it and removes its files; NULL allowed */
bool dev_is_alive(struct dev *d);
pid_t dev_pid(const struct dev *d);
const char *dev_recording(const struct dev *d); /* path */
const char *dev_stderr(const struct dev *d);	/* path of what it said */
/* The child of the product whose comm begins with name, -ESRCH. */
pid_t dev_child(const struct dev *d, const char *name);
int dev_metric(const struct dev *d, const char *name, uint64_t *ret_value) must_check;

/* The next alert that match wants, among all since index *from; *from moves past it. NULL when none
 * came within timeout_ms. Borrowed: lives as long as dev. */
json_t *dev_await_alert(struct dev *d, size_t *from, bool (*match)(void *ctx, json_t *alert),
			void *ctx, int timeout_ms);
/* How many alerts have been read: an index for dev_await_alert. */
size_t dev_alert_count(struct dev *d);

DEFINE_CLEANUP(struct dev *, dev_free)

/* ---- attacker.c: the other end, in a session of its own ---- */

enum attacker_kind {
	ATTACKER_NONE,
	ATTACKER_SHELL, /* accepts one shell, runs a command through it and checks the answer */
	ATTACKER_SINK,	/* accepts whatever comes on every address of 127.0.0.0/8 */
};

struct attacker {
	pid_t pid;
	int result; /* read end of a pipe */
	uint16_t port;
};

int attacker_start(enum attacker_kind kind, struct attacker *ret_attacker) must_check;
/* True once the shell has answered "echo marker-$((6*7))" with "marker-42". */
bool attacker_got_shell(struct attacker *a, int timeout_ms);
void attacker_stop(struct attacker *a); /* a stopped one is allowed */

/* ---- scenario.c: what happens on the victim ---- */

/* Where a scenario runs: a session, a directory and the root cgroup (the test's own cgroup may look
 * like a container's). Its environment has NJ_DIR (its directory), NJ_PORT (the attacker's port),
 * NJ_TESTS (tests/) and NJ_BIN (helper programs). */
struct run {
	pid_t leader; /* pid of the session leader: in the lineage of all that the scenario does */
	uint16_t port;
	char dir[64];
	int status; /* wait status, -1 while it runs */
};

/* argv[0] is a script below tests/, or without a slash a program in NJ_BIN; its words follow it. */
int run_start(const char *const *argv, uint16_t port, struct run *ret_run) must_check;
/* 0 when it ended with exit status 0; -ETIMEDOUT, -ECHILD otherwise. */
int run_wait(struct run *r, int timeout_ms) must_check;
/* Ends everything the scenario left behind (all other children of this process but keep) and
 * removes its directory. */
void run_done(struct run *r, pid_t keep);
/* What it has printed so far, malloc'ed, never NULL. */
char *run_output(const struct run *r);
/* Does the alert tell of this run: by the lineage of its process, its directory or its peer? */
bool run_owns_alert(const struct run *r, const json_t *alert);
