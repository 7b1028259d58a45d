/* The collector and the agent as two programs that a test kills and starts again, on one private
 * directory: certificates, the collector's data, its alerts and recordings, what each has said.
 *
 * One thread. Programs are found below $NJ_BUILD (default "build"). Every wait is for a file to change
 * or a program to end, with a deadline. */
#pragma once

#include <jansson.h>

#include "tests/e2e/harness.h"

enum pair_program { PAIR_COLLECTOR, PAIR_AGENT, PAIR_PROGRAMS };

struct pair;

int pair_new(struct pair **ret_pair, struct err *e) must_check;
const char *pair_dir(const struct pair *p); /* ends with the pair; a test may write there */
void pair_free(struct pair *p); /* ends both, removes the directory; NULL allowed */

/* Waits until it is ready. The first start chooses the ports, later ones have them again. Each start
 * has a recording of its own. */
int pair_start_collector(struct pair *p, struct err *e) must_check;
/* Does not wait: see pair_await. words: more of its options, NULL-terminated; NULL: none. */
int pair_start_agent(struct pair *p, const char *const *words, struct err *e) must_check;

/* The program has said this since its last start. */
bool pair_await(struct pair *p, enum pair_program program, const char *text);
void pair_kill(struct pair *p, enum pair_program program); /* SIGKILL, and waits */
/* SIGTERM, and waits: the exit status, or -ETIMEDOUT (it is killed then). */
int pair_stop(struct pair *p, enum pair_program program);
int pair_signal(struct pair *p, enum pair_program program, int signal) must_check;

/* At least one alert of the rule about the run; run NULL: about whatever. */
bool pair_await_alert(struct pair *p, const struct run *run, const char *rule);
/* All of the rule about the run, whenever written. */
size_t pair_count_alerts(struct pair *p, const struct run *run, const char *rule);
/* The first of the rule, a new reference; NULL: none. */
json_t *pair_alert(struct pair *p, const char *rule);
/* For how long its threads have been ready to run and had no CPU, all together. */
uint64_t pair_cpu_wait_ns(const struct pair *p, enum pair_program program);
/* As dev_metric. */
int pair_metric(const struct pair *p, const char *name, uint64_t *ret_value) must_check;
/* Of any start of either; prints it. */
bool pair_sanitizer_spoke(const struct pair *p);
const char *pair_recording(const struct pair *p); /* of the newest start; path */
/* `nightjar nodes --output json`: the only node, a new reference; NULL when it cannot be had. */
json_t *pair_node(const struct pair *p);

DEFINE_CLEANUP(struct pair *, pair_free)
