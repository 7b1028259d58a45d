/* What the bench drivers share: figures as JSON lines on stdout, percentiles, children that make
 * load. Everything else that a driver says goes to stderr. */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/err.h"
#include "common/event.h"
#include "common/tls.h"

/* The collector's counters: events taken in from agents, and what agents reported as lost. */
#define BENCH_METRIC_EVENTS	"nightjar_events_total"
#define BENCH_METRIC_LOST	"nightjar_agent_events_lost_total"
#define BENCH_METRIC_SUPPRESSED "nightjar_events_suppressed_total"
#define BENCH_METRIC_HEARTBEATS "nightjar_heartbeats_total"

/* Where made-up processes run: a service of a plain host. */
extern const struct container_def bench_host;

/* {"bench":…,"figure":…,"value":…,"unit":…,"n":…,"note":…}, flushed. */
void bench_print(const char *bench, const char *figure, double value, const char *unit, size_t n,
		 const char *note);

/* Sorts values; the one below which share (0 to 1) of them lie. 0 when there are none. */
double bench_quantile(double *values, size_t count, double share);

/* Starts "load ARG…" or "nightjar-agent ARG…" of this build, or argv[0] from PATH, in a session of
 * its own; its stdout comes from *ret_out. Never fails: the driver ends instead. */
pid_t bench_spawn(const char *const *argv, int *ret_out) must_check;
void bench_stop(pid_t pid); /* SIGTERM, then waits */

/* Reads all of fd as a terminated text, cut at size, and closes it. */
void bench_read_all(int fd, char *text, size_t size);

/* NAME.pem and NAME-key.pem of dir, with its CA. */
void bench_tls(const char *dir, const char *name, struct tls_files *ret_files);

/* A driver cannot go on: says why and exits. */
_Noreturn void bench_die(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
