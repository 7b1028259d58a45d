/* The agent's cost: memory and CPU at rest; memory, CPU and throughput while one process starts
 * programs and another makes connections without an end; memory on a larger and on a full node.
 *
 * usage: agent [IDLE_SECONDS]     (20 when not said) */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"
#include "tests/bench/bench.h"
#include "tests/bench/crowd.h"
#include "tests/e2e/harness.h"

#define IDLE_S_DEFAULT 20
#define SETTLE_S       8 /* what only the start needs has gone by then */
#define LOAD_S	       5
#define TRIM_S	       5  /* after its start an agent gives memory back */
#define CROWD_S	       30 /* the same, when there are many to list */
#define PODS	       250
#define PER_POD	       20
#define CPUS_VARIABLE  "NIGHTJAR_CAPTURE_CPUS"

/* Sampling needs time to pass; nothing here waits for an event. */
static void pass(unsigned int seconds)
{
	struct timespec t = {.tv_sec = seconds};

	while (nanosleep(&t, &t) < 0)
		;
}

/* Value in kB of "NAME: N kB" in /proc/PID/FILE; 0 when it is not there. */
static double proc_kb(pid_t pid, const char *file, const char *name)
{
	_cleanup_(fclosep) FILE *f = NULL;
	char path[64], line[256];

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, file);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f))
		if (strncmp(line, name, strlen(name)) == 0 && line[strlen(name)] == ':')
			return strtod(line + strlen(name) + 1, NULL);
	return 0;
}

/* CPU time of all threads, in nanoseconds. */
static double cpu_ns(pid_t pid)
{
	struct timespec t;
	clockid_t clock;

	if (clock_getcpuclockid(pid, &clock) != 0 || clock_gettime(clock, &t) < 0)
		bench_die("cannot read the agent's CPU clock");
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static double metric(const struct dev *d, const char *name)
{
	uint64_t value = 0;

	if (dev_metric(d, name, &value) < 0)
		bench_die("no metric %s", name);
	return (double)value;
}

static void measure_idle(pid_t agent, unsigned int seconds)
{
	double before, begun = (double)clock_monotonic_ns();

	before = cpu_ns(agent);
	pass(seconds);
	bench_print("agent", "idle_cpu_percent",
		    100 * (cpu_ns(agent) - before) / ((double)clock_monotonic_ns() - begun),
		    "% of a core", seconds,
		    "n: seconds; whatever else ran on the machine is in it");
	bench_print("agent", "rss_kb", proc_kb(agent, "status", "VmRSS"), "kB", 1, "idle");
	bench_print("agent", "pss_kb", proc_kb(agent, "smaps_rollup", "Pss"), "kB", 1, "idle");
}

static void measure_load(const struct dev *dev, pid_t agent)
{
	static const char *const loads[2][4] = {{"load", "forkexec", "2000000", NULL},
						{"load", "connect", "2000000", NULL}};
	double events = metric(dev, BENCH_METRIC_EVENTS), lost = metric(dev, BENCH_METRIC_LOST);
	double cpu = cpu_ns(agent), begun = (double)clock_monotonic_ns(), took;
	int out[2];
	pid_t busy[2];

	for (int i = 0; i < 2; i++)
		busy[i] = bench_spawn(loads[i], &out[i]);
	pass(LOAD_S);
	took = ((double)clock_monotonic_ns() - begun) / 1e9;
	events = metric(dev, BENCH_METRIC_EVENTS) - events;
	cpu = cpu_ns(agent) - cpu;
	bench_print("agent", "rss_load_kb", proc_kb(agent, "status", "VmRSS"), "kB", 1,
		    "one process starts programs, one connects, without an end");
	for (int i = 0; i < 2; i++) {
		bench_stop(busy[i]);
		(void)close(out[i]);
	}
	bench_print("agent", "events_per_s", events / took, "events/s", LOAD_S,
		    "n: seconds, under load");
	bench_print("agent", "load_cpu_percent", 100 * cpu / took / 1e9, "% of a core", LOAD_S, "");
	bench_print("agent", "lost", metric(dev, BENCH_METRIC_LOST) - lost, "events", LOAD_S,
		    "reported by the agent as lost under load");
}

/* nightjar dev, with the pid of its agent. Never fails: the driver ends instead. */
static struct dev *start_product(unsigned int duration_s, pid_t *ret_agent)
{
	const struct dev_options options = {.duration_s = duration_s};
	struct dev *dev;
	struct err e = {0};

	if (dev_start(&options, &dev, &e) < 0)
		bench_die("%s", e.text);
	*ret_agent = dev_child(dev, "nightjar-agent");
	if (*ret_agent < 0)
		bench_die("no process nightjar-agent below nightjar dev");
	return dev;
}

/* A product of its own, measured once it has listed everybody and given back what that took. */
static void measure_rss(const char *figure, unsigned int settle_s, const char *note)
{
	pid_t agent;
	_cleanup_(dev_freep) struct dev *dev = start_product(120, &agent);

	pass(settle_s);
	bench_print("agent", figure, proc_kb(agent, "status", "VmRSS"), "kB", 1, note);
}

/* Rings and tables by CPU are laid out for 64 of them; the kernel has those of the machine still.
 */
static void measure_sizes(void)
{
	pid_t crowd;

	(void)setenv(CPUS_VARIABLE, "64", 1);
	measure_rss("rss_kb_64cpu", SETTLE_S + TRIM_S, "laid out for 64 CPUs");
	crowd = crowd_start(PODS, PER_POD);
	measure_rss("rss_kb_5000_64cpu", CROWD_S,
		    "5 000 processes in 250 pods, laid out for 64 CPUs");
	(void)unsetenv(CPUS_VARIABLE);
	measure_rss("rss_kb_5000", CROWD_S, "5 000 processes in 250 pods, nobody to name them");
	bench_stop(crowd);
}

int main(int argc, char **argv)
{
	unsigned int idle_s = argc > 1 ? (unsigned int)strtoul(argv[1], NULL, 10) : IDLE_S_DEFAULT;
	pid_t agent;
	_cleanup_(dev_freep) struct dev *dev = start_product(300, &agent);

	pass(SETTLE_S);
	measure_idle(agent, idle_s);
	measure_load(dev, agent);
	(void)dev_stop(dev);
	measure_sizes();
	return 0;
}
